//! Metrics: simple aggregations, ratios and derived expressions, each checked against its source.

use super::simple::Part;
use super::sources::Sources;
use super::{Entry, Loader, Owned, entries};
use crate::catalog::Agg;
use crate::catalog::diagnostic::Place;
use crate::catalog::expr::{Type, Variable};
use crate::catalog::file::{InlinePart, MetricEntry, MetricType, PartEntry};
use crate::catalog::model::{FieldId, Metric, MetricId, MetricKind, NamedCalendar, Simple};
use crate::catalog::yaml::Spanned;

/// Metrics with the sources that each draws on.
pub(super) struct Metrics {
    pub(super) metrics: Vec<Metric>,
    /// How many of them the catalogue names: inline parts of ratios come behind.
    named: usize,
}

impl Metrics {
    /// Names that a node may use.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.metrics[..self.named]
            .iter()
            .map(|metric| metric.name.as_str())
    }

    /// Whether what a metric comes to by the values of a dimension adds up to it. One customer of two shops is one customer.
    pub(super) fn adds_up(&self, metric: usize) -> bool {
        // A circle is said elsewhere; here it must only end.
        let parts = self.parts(metric);
        let is_total = |simple: &&Simple| matches!(simple.agg, Agg::Sum | Agg::Count);
        let is_linear = |at: usize| match &self.metrics[at].kind {
            MetricKind::Simple(_) => true,
            MetricKind::Derived { expr, .. } => expr.is_linear(),
            MetricKind::Ratio { .. } | MetricKind::Duration(_) | MetricKind::Conversion(_) => false,
        };
        let mut open = vec![metric];
        let mut seen = vec![false; self.metrics.len()];
        while let Some(at) = open.pop() {
            if std::mem::replace(&mut seen[at], true) {
                continue;
            }
            if !is_linear(at) {
                return false;
            }
            if let MetricKind::Derived { inputs, .. } = &self.metrics[at].kind {
                open.extend(inputs.iter().map(|input| input.0 as usize));
            }
        }
        parts.iter().all(is_total)
    }

    /// The simple metrics that a metric is made of.
    pub(super) fn parts(&self, metric: usize) -> Vec<&Simple> {
        let mut parts = Vec::new();
        let mut open = vec![metric];
        let mut seen = vec![false; self.metrics.len()];
        while let Some(at) = open.pop() {
            // A circle is said elsewhere; here it must only end.
            if std::mem::replace(&mut seen[at], true) {
                continue;
            }
            match &self.metrics[at].kind {
                MetricKind::Simple(simple) => parts.push(simple),
                MetricKind::Duration(duration) => parts.push(&duration.marks),
                MetricKind::Conversion(conversion) => parts.push(&conversion.base.step),
                MetricKind::Ratio {
                    numerator,
                    denominator,
                } => {
                    open.extend([numerator.0 as usize, denominator.0 as usize]);
                }
                MetricKind::Derived { inputs, .. } => {
                    open.extend(inputs.iter().map(|input| input.0 as usize))
                }
            }
        }
        parts
    }
}

fn max_cells(value: &MetricEntry) -> usize {
    value.max_cells.as_ref().map_or(MAX_CELLS, |max| max.value.0)
}

pub(super) fn id_of_field(index: usize) -> FieldId {
    FieldId(u16::try_from(index).unwrap_or(u16::MAX))
}

/// Combinations of dimension values that a metric keeps unless it says otherwise.
const MAX_CELLS: usize = 1_000_000;

pub(super) fn id(index: usize) -> MetricId {
    MetricId(u32::try_from(index).unwrap_or(u32::MAX))
}

impl Loader<'_> {
    pub(super) fn metrics(
        &mut self,
        declared: &Owned<MetricEntry>,
        sources: &mut Sources,
        calendars: &[NamedCalendar],
    ) -> Metrics {
        let names: Vec<Variable> = entries(declared)
            .map(|entry| Variable::new(entry.name.value.clone(), Type::Number))
            .collect();
        let mut inline = Vec::new();
        let mut metrics: Vec<Metric> = Vec::new();
        for entry in entries(declared) {
            let problems = self.problems.len();
            let kind = self.metric_kind(&entry, sources, &names, &mut inline);
            // A stand-in keeps indices right while the rest is checked; the catalogue is refused anyway.
            let kind = kind.unwrap_or_else(|| {
                if self.problems.len() == problems {
                    self.problem(
                        entry.place(),
                        format!("metric '{}' is not complete", entry.name.value),
                    );
                }
                MetricKind::Ratio {
                    numerator: id(metrics.len()),
                    denominator: id(metrics.len()),
                }
            });
            metrics.push(Metric {
                name: entry.name.value.clone(),
                title: entry
                    .value
                    .title
                    .clone()
                    .unwrap_or_else(|| entry.name.value.clone()),
                unit: entry.value.unit.clone(),
                dimensions: entry
                    .value
                    .dimensions
                    .iter()
                    .map(|dimension| dimension.value.clone())
                    .collect(),
                calendar: self.calendar_named(&entry, calendars),
                manual: self.manual_of(&entry),
                kind,
                max_cells: max_cells(entry.value),
                backfill: entry.value.backfill.as_ref().map(|length| length.value.0),
                place: entry.place(),
            });
        }
        let named = metrics.len();
        self.conversions(declared, &mut metrics, sources);
        metrics.extend(inline);
        if self.problems.is_empty() {
            self.cycles(&metrics);
        }
        let metrics = Metrics { metrics, named };
        if self.problems.is_empty() {
            self.dimensions(declared, &metrics, sources);
            self.backfills(declared, &metrics.metrics, sources);
        }
        metrics
    }

    /// Index of the calendar that a metric names.
    fn calendar_named(
        &mut self,
        entry: &Entry<'_, MetricEntry>,
        calendars: &[NamedCalendar],
    ) -> Option<usize> {
        let named = entry.value.calendar.as_ref()?;
        let names = calendars.iter().map(|calendar| calendar.name.as_str());
        self.resolve(
            "calendar in 'calendars' named",
            entry.at(named),
            &named.value,
            names,
        )
    }

    fn metric_kind(
        &mut self,
        entry: &Entry<'_, MetricEntry>,
        sources: &mut Sources,
        names: &[Variable],
        inline: &mut Vec<Metric>,
    ) -> Option<MetricKind> {
        let value = entry.value;
        let kind = match &value.r#type {
            Some(kind) => kind.value,
            None if value.entered_by.is_some() && value.source.is_none() => MetricType::Manual,
            None if value.key.is_some() || value.start.is_some() || value.end.is_some() => {
                MetricType::Duration
            }
            None if value.numerator.is_some() || value.denominator.is_some() => MetricType::Ratio,
            None if value.agg.is_none() && value.expr.is_some() && value.source.is_none() => {
                MetricType::Derived
            }
            None => MetricType::Simple,
        };
        if kind != MetricType::Manual {
            let of_people = [
                ("entered_by", value.entered_by.as_ref().map(|it| entry.at(it))),
                ("every", value.every.as_ref().map(|it| entry.at(it))),
                ("grace", value.grace.as_ref().map(|it| entry.at(it))),
            ];
            for (key, place) in of_people {
                if let Some(place) = place {
                    let message = format!(
                        "metric '{}' is not typed in; write type: manual, or remove '{key}'",
                        entry.name.value
                    );
                    self.problem(place, message);
                    return None;
                }
            }
        }
        if kind != MetricType::Conversion {
            let of_steps = [
                ("entity", value.entity.as_ref().map(|it| entry.at(it))),
                ("base_metric", value.base_metric.as_ref().map(|it| entry.at(it))),
                (
                    "conversion_metric",
                    value.conversion_metric.as_ref().map(|it| entry.at(it)),
                ),
                ("window", value.window.as_ref().map(|it| entry.at(it))),
            ];
            for (key, place) in of_steps {
                if let Some(place) = place {
                    let message = format!(
                        "metric '{}' is no conversion; write type: conversion, or remove '{key}'",
                        entry.name.value
                    );
                    self.problem(place, message);
                    return None;
                }
            }
        }
        if kind != MetricType::Duration {
            let max_items = value
                .max_items
                .as_ref()
                .filter(|_| kind != MetricType::Conversion);
            let of_items = [
                ("key", value.key.as_ref().map(|it| entry.at(it))),
                ("start", value.start.as_ref().map(|it| entry.at(it))),
                ("end", value.end.as_ref().map(|it| entry.at(it))),
                ("max_items", max_items.map(|it| entry.at(it))),
            ];
            for (key, place) in of_items {
                if let Some(place) = place {
                    let message = format!(
                        "metric '{}' is no duration; write type: duration, or remove '{key}'",
                        entry.name.value
                    );
                    self.problem(place, message);
                    return None;
                }
            }
        }
        if kind != MetricType::Simple {
            let of_keys = [
                ("within", value.within.as_ref().map(|it| entry.at(it))),
                ("max_keys", value.max_keys.as_ref().map(|it| entry.at(it))),
            ];
            for (key, place) in of_keys {
                if let Some(place) = place {
                    let message = format!(
                        "metric '{}' remembers no keys of its own; '{key}' belongs to agg: count_new or count_returning",
                        entry.name.value
                    );
                    self.problem(place, message);
                    return None;
                }
            }
        }
        self.check_max_cells(entry, kind)?;
        match kind {
            MetricType::Simple => {
                let source = self.metric_source(entry, sources)?;
                let Some(agg) = &value.agg else {
                    let message = format!(
                        "metric '{}' says no 'agg'; write one of sum, count, count_distinct, count_new, count_returning, min, max, avg, last, median, p95",
                        entry.name.value
                    );
                    self.problem(entry.place(), message);
                    return None;
                };
                let part = Part {
                    name: &entry.name.value,
                    agg,
                    percentile: value.percentile.as_ref(),
                    expr: value.expr.as_ref(),
                    filter: value.filter.as_ref(),
                    within: value.within.as_ref(),
                    max_keys: value.max_keys.as_ref(),
                };
                self.simple(&entry.file, entry.place(), &part, source, sources)
                    .map(MetricKind::Simple)
            }
            MetricType::Manual => self.manual(entry, sources).map(MetricKind::Simple),
            MetricType::Duration => {
                let source = self.metric_source(entry, sources)?;
                self.duration(entry, source, sources)
                    .map(|duration| MetricKind::Duration(Box::new(duration)))
            }
            // Its steps are filled in when every metric is known.
            MetricType::Conversion => Some(MetricKind::Ratio {
                numerator: MetricId(u32::MAX),
                denominator: MetricId(u32::MAX),
            }),
            MetricType::Ratio => self.ratio(entry, sources, names, inline),
            MetricType::Derived => {
                let Some(text) = &value.expr else {
                    self.problem(
                        entry.place(),
                        "a derived metric needs 'expr', such as revenue - refunds",
                    );
                    return None;
                };
                let expr = self.expr(&entry.file, text, names)?;
                if expr.kind() != Type::Number {
                    self.problem(
                        entry.at(text),
                        format!("a metric is a number, and this is {}", expr.kind().noun()),
                    );
                    return None;
                }
                // The expression knows metrics by their place in the catalogue: no renumbering is needed.
                let inputs = expr.uses().iter().map(|&index| id(index)).collect();
                Some(MetricKind::Derived { expr, inputs })
            }
        }
    }

    /// What is made of other metrics has no cells of its own.
    fn check_max_cells(&mut self, entry: &Entry<'_, MetricEntry>, kind: MetricType) -> Option<()> {
        let value = entry.value;
        let Some(max) = &value.max_cells else {
            return Some(());
        };
        let name = &entry.name.value;
        let is_inline = |part: &Option<Spanned<PartEntry>>| {
            part.as_ref()
                .is_some_and(|part| matches!(part.value, PartEntry::Inline(_)))
        };
        let has_cells = match kind {
            MetricType::Simple | MetricType::Duration | MetricType::Conversion | MetricType::Manual => true,
            MetricType::Ratio => is_inline(&value.numerator) || is_inline(&value.denominator),
            MetricType::Derived => false,
        };
        let message = if !has_cells {
            format!(
                "metric '{name}' has no cells of its own; write 'max_cells' at the metrics that it is made of"
            )
        } else if max.value.0 == 0 {
            format!(
                "metric '{name}' keeps no cells; write the number of combinations that it may have, at least 1"
            )
        } else {
            return Some(());
        };
        self.problem(entry.at(max), message);
        None
    }

    fn metric_source(&mut self, entry: &Entry<'_, MetricEntry>, sources: &Sources) -> Option<usize> {
        let Some(source) = &entry.value.source else {
            let message = format!("metric '{}' says no 'source'", entry.name.value);
            self.problem(entry.place(), message);
            return None;
        };
        let names = sources.sources.iter().map(|source| source.name.as_str());
        self.resolve("source", entry.at(source), &source.value, names)
    }

    fn ratio(
        &mut self,
        entry: &Entry<'_, MetricEntry>,
        sources: &mut Sources,
        names: &[Variable],
        inline: &mut Vec<Metric>,
    ) -> Option<MetricKind> {
        let value = entry.value;
        let (Some(numerator), Some(denominator)) = (&value.numerator, &value.denominator) else {
            let message = format!(
                "metric '{}' is a ratio and needs both 'numerator' and 'denominator'",
                entry.name.value
            );
            self.problem(entry.place(), message);
            return None;
        };
        let mut side = |part: &Spanned<PartEntry>, suffix: &str| match &part.value {
            PartEntry::Name(name) => {
                let known = names.iter().map(|variable| variable.name.as_str());
                self.resolve("metric", entry.at(part), name, known).map(id)
            }
            PartEntry::Inline(part) => {
                let source = self.metric_source(entry, sources)?;
                let name = format!("{}.{suffix}", entry.name.value);
                let InlinePart {
                    agg,
                    percentile,
                    expr,
                    filter,
                    within,
                    max_keys,
                } = &**part;
                let part = Part {
                    name: &name,
                    agg,
                    percentile: percentile.as_ref(),
                    expr: expr.as_ref(),
                    filter: filter.as_ref(),
                    within: within.as_ref(),
                    max_keys: max_keys.as_ref(),
                };
                let simple = self.simple(&entry.file, entry.place(), &part, source, sources)?;
                inline.push(Metric {
                    title: name.clone(),
                    name,
                    unit: None,
                    dimensions: Vec::new(),
                    calendar: None,
                    manual: None,
                    kind: MetricKind::Simple(simple),
                    max_cells: max_cells(value),
                    backfill: None,
                    place: entry.place(),
                });
                Some(id(names.len() + inline.len() - 1))
            }
        };
        let (numerator, denominator) = (side(numerator, "numerator"), side(denominator, "denominator"));
        Some(MetricKind::Ratio {
            numerator: numerator?,
            denominator: denominator?,
        })
    }

    /// A metric that is made of itself has no value.
    fn cycles(&mut self, metrics: &[Metric]) {
        let below = |at: usize| match &metrics[at].kind {
            MetricKind::Simple(_) | MetricKind::Duration(_) | MetricKind::Conversion(_) => Vec::new(),
            MetricKind::Ratio {
                numerator,
                denominator,
            } => vec![numerator.0 as usize, denominator.0 as usize],
            MetricKind::Derived { inputs, .. } => inputs.iter().map(|input| input.0 as usize).collect(),
        };
        for start in 0..metrics.len() {
            let mut seen = vec![false; metrics.len()];
            let mut open = below(start);
            while let Some(at) = open.pop() {
                if at == start {
                    let metric = &metrics[start];
                    let message = format!("metric '{}' is made of itself; break the circle", metric.name);
                    self.problem(metric.place.clone(), message);
                    return;
                }
                if !std::mem::replace(&mut seen[at], true) {
                    open.extend(below(at));
                }
            }
        }
    }

    /// Dimensions are fields of every source that a metric draws on.
    fn dimensions(&mut self, declared: &Owned<MetricEntry>, metrics: &Metrics, sources: &Sources) {
        for (index, entry) in entries(declared).enumerate() {
            for dimension in &entry.value.dimensions {
                self.dimension(
                    entry.at(dimension),
                    &dimension.value,
                    &metrics.parts(index),
                    sources,
                );
            }
        }
    }

    /// Whether every part has a field of this name; says it when not.
    pub(super) fn dimension(
        &mut self,
        place: Place,
        name: &str,
        parts: &[&Simple],
        sources: &Sources,
    ) -> bool {
        for part in parts {
            let source = &sources.sources[part.source.0 as usize];
            let names = source.fields.iter().map(|field| field.name.as_str());
            let what = format!("field in source '{}' named", source.name);
            if self.resolve(&what, place.clone(), name, names).is_none() {
                return false;
            }
        }
        true
    }
}
