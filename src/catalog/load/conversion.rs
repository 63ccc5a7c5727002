//! Funnels: the share of entities that take the next step in time, over two metrics that say which events are steps.

use super::metrics::{id, id_of_field};
use super::sources::Sources;
use super::{Entry, Loader, Owned, entries};
use crate::catalog::file::{MetricEntry, MetricType};
use crate::catalog::model::{Conversion, Metric, MetricKind, Step};
use crate::catalog::yaml::Spanned;

/// Entities that a metric remembers unless it says otherwise: about 200 MB, when they are all there.
const MAX_ITEMS: usize = 1_000_000;

impl Loader<'_> {
    /// Fills in the metrics of two steps, once those that they name are known.
    pub(super) fn conversions(
        &mut self,
        declared: &Owned<MetricEntry>,
        metrics: &mut [Metric],
        sources: &Sources,
    ) {
        for (index, entry) in entries(declared).enumerate() {
            if entry.value.r#type.as_ref().map(|kind| kind.value) != Some(MetricType::Conversion) {
                continue;
            }
            metrics[index].kind = match self.conversion(&entry, metrics, sources) {
                Some(conversion) => MetricKind::Conversion(Box::new(conversion)),
                // The catalogue is refused; indices must be right while the rest is checked.
                None => MetricKind::Ratio {
                    numerator: id(index),
                    denominator: id(index),
                },
            };
        }
    }

    fn conversion(
        &mut self,
        entry: &Entry<'_, MetricEntry>,
        metrics: &[Metric],
        sources: &Sources,
    ) -> Option<Conversion> {
        let value = entry.value;
        let user = format!("metric '{}'", entry.name.value);
        let of_its_own = [
            ("source", value.source.as_ref().map(|it| entry.at(it))),
            ("agg", value.agg.as_ref().map(|it| entry.at(it))),
            ("expr", value.expr.as_ref().map(|it| entry.at(it))),
            ("filter", value.filter.as_ref().map(|it| entry.at(it))),
        ];
        for (key, place) in of_its_own {
            if let Some(place) = place {
                let message = format!(
                    "{user} is a conversion: its steps are the events of 'base_metric' and 'conversion_metric'; remove '{key}'"
                );
                self.problem(place, message);
                return None;
            }
        }
        let (Some(entity), Some(base), Some(goal), Some(window)) = (
            &value.entity,
            &value.base_metric,
            &value.conversion_metric,
            &value.window,
        ) else {
            let message = format!(
                "{user} is a conversion and needs 'entity' (the field that names who takes the steps), 'base_metric', 'conversion_metric' (whose events are the steps) and 'window' (within which the next one is taken, such as 7d)"
            );
            self.problem(entry.place(), message);
            return None;
        };
        let window_ms = i64::try_from(window.value.0.as_millis()).unwrap_or(i64::MAX);
        if window_ms <= 0 {
            let message = "nobody takes a step within no time; write a window such as 7d";
            self.problem(entry.at(window), message);
            return None;
        }
        if let Some(max) = value.max_items.as_ref().filter(|max| max.value.0 == 0) {
            let message = "at least one entity must be remembered; write a number such as 1_000_000";
            self.problem(entry.at(max), message);
            return None;
        }
        Some(Conversion {
            base: self.step(entry, base, entity, metrics, sources)?,
            goal: self.step(entry, goal, entity, metrics, sources)?,
            window_ms,
            max_items: value.max_items.as_ref().map_or(MAX_ITEMS, |max| max.value.0),
        })
    }

    fn step(
        &mut self,
        entry: &Entry<'_, MetricEntry>,
        name: &Spanned<String>,
        entity: &Spanned<String>,
        metrics: &[Metric],
        sources: &Sources,
    ) -> Option<Step> {
        let names = metrics.iter().map(|metric| metric.name.as_str());
        let at = self.resolve("metric", entry.at(name), &name.value, names)?;
        let step = match &metrics[at].kind {
            MetricKind::Simple(simple) if metrics[at].manual.is_none() => simple.clone(),
            _ => {
                // One that is refused is something else for the time being.
                if self.problems.is_empty() {
                    let message = format!(
                        "the steps of a conversion are events, and metric '{}' has none of its own; name a simple metric, such as one with agg: count",
                        name.value
                    );
                    self.problem(entry.at(name), message);
                }
                return None;
            }
        };
        let source = &sources.sources[step.source.0 as usize];
        if let Some(retract) = &source.retract {
            let message = format!(
                "metric '{}' cannot take events back: a step that was taken has been, and source '{}' retracts at {}; use a source that does not",
                entry.name.value, source.name, retract.place
            );
            self.problem(entry.at(name), message);
            return None;
        }
        let what = format!("field in source '{}' named", source.name);
        let fields = source.fields.iter().map(|field| field.name.as_str());
        let field = self.resolve(&what, entry.at(entity), &entity.value, fields)?;
        Some(Step {
            metric: id(at),
            step,
            entity: id_of_field(field),
        })
    }
}
