//! Simple metrics: one aggregation over one source, checked against its fields.

use std::sync::Arc;

use super::Loader;
use super::sources::Sources;
use crate::catalog::agg::{Agg, AggWord, Quantile};
use crate::catalog::diagnostic::Place;
use crate::catalog::expr::{Expr, Type};
use crate::catalog::file::{Duration, WholeNumber};
use crate::catalog::model::{FieldId, FieldType, Keys, Simple, Source, SourceId, Within};
use crate::catalog::yaml::Spanned;

/// What a simple metric and an inline part have in common.
pub(super) struct Part<'a> {
    pub(super) name: &'a str,
    pub(super) agg: &'a Spanned<AggWord>,
    pub(super) percentile: Option<&'a Spanned<f64>>,
    pub(super) expr: Option<&'a Spanned<String>>,
    pub(super) filter: Option<&'a Spanned<String>>,
    pub(super) within: Option<&'a Spanned<Duration>>,
    pub(super) max_keys: Option<&'a Spanned<WholeNumber>>,
}

/// Keys that a metric remembers unless it says otherwise: about 500 MB, when they are all there.
const MAX_KEYS: usize = 5_000_000;
const DAY_MS: i128 = 86_400_000;

impl Loader<'_> {
    pub(super) fn simple(
        &mut self,
        file: &Arc<str>,
        place: Place,
        part: &Part<'_>,
        source: usize,
        sources: &mut Sources,
    ) -> Option<Simple> {
        let user = format!("metric '{}'", part.name);
        let agg = self.agg(file, part, &user)?;
        let at = |spanned: &Spanned<String>| super::yaml::place(file, spanned.location);
        if !sources.sources[source].can_fold(agg) {
            let message = cannot_take_back(&sources.sources[source], agg, &user);
            self.problem(super::yaml::place(file, part.agg.location), message);
            return None;
        }
        let field = match part.expr {
            Some(name) => {
                let source_name = sources.sources[source].name.clone();
                let names: Vec<String> = sources.sources[source]
                    .fields
                    .iter()
                    .map(|f| f.name.clone())
                    .collect();
                let what = format!("field in source '{source_name}' named");
                let field = self.resolve(&what, at(name), &name.value, names.iter().map(String::as_str))?;
                if agg.is_numeric()
                    && let Err(message) = sources.use_as(source, field, FieldType::Number, &user)
                {
                    self.problem(at(name), message);
                    return None;
                }
                Some(FieldId(u16::try_from(field).unwrap_or(u16::MAX)))
            }
            None if agg == Agg::Count => None,
            None => {
                self.problem(
                    place,
                    format!("{user} needs 'expr': the field that it aggregates"),
                );
                return None;
            }
        };
        let filter = match part.filter {
            Some(text) => Some(self.event_condition(file, text, source, sources, &user)?),
            None => None,
        };
        let source = SourceId(u32::try_from(source).unwrap_or(u32::MAX));
        let keys = self.keys(file, part, agg, &user)?;
        Some(Simple {
            source,
            agg,
            field,
            filter,
            keys,
        })
    }

    /// How keys are remembered: `Some(None)` for an aggregation that has no use for them.
    fn keys(&mut self, file: &Arc<str>, part: &Part<'_>, agg: Agg, user: &str) -> Option<Option<Keys>> {
        let at = |location| super::yaml::place(file, location);
        if !agg.remembers_keys() {
            let given = [
                ("within", part.within.map(|within| within.location)),
                ("max_keys", part.max_keys.map(|max| max.location)),
            ];
            for (key, location) in given {
                if let Some(location) = location {
                    let message = format!(
                        "{user} is a {agg} and remembers no keys; write agg: count_new or count_returning, or remove '{key}'"
                    );
                    self.problem(at(location), message);
                    return None;
                }
            }
            return Some(None);
        }
        if let Some(max) = part.max_keys.filter(|max| max.value.0 == 0) {
            let message = "at least one key must be remembered; write a number such as 5_000_000";
            self.problem(at(max.location), message);
            return None;
        }
        let within = match part.within {
            None => None,
            Some(within) => {
                let ms = within.value.0.as_millis();
                let Some(days) = i32::try_from(ms / DAY_MS)
                    .ok()
                    .filter(|days| *days > 0 && ms % DAY_MS == 0)
                else {
                    let message = "'within' is a number of whole days, at least one, such as 90d";
                    self.problem(at(within.location), message);
                    return None;
                };
                Some(Within {
                    days,
                    place: at(within.location),
                })
            }
        };
        Some(Some(Keys {
            within,
            max: part.max_keys.map_or(MAX_KEYS, |max| max.value.0),
        }))
    }

    fn agg(&mut self, file: &Arc<str>, part: &Part<'_>, user: &str) -> Option<Agg> {
        let at = |location| super::yaml::place(file, location);
        match (part.agg.value, part.percentile) {
            (AggWord::Agg(agg), None) => Some(agg),
            (AggWord::Percentile, Some(share)) => {
                let quantile = Quantile::of_share(share.value);
                if quantile.is_none() {
                    let message = format!(
                        "'{}' is no percentile; write a share between 0.001 and 0.999, such as 0.95",
                        share.value
                    );
                    self.problem(at(share.location), message);
                }
                quantile.map(Agg::Percentile)
            }
            (AggWord::Percentile, None) => {
                let message =
                    format!("{user} says not which percentile; write agg: p95, or add percentile: 0.95");
                self.problem(at(part.agg.location), message);
                None
            }
            (AggWord::Agg(agg), Some(share)) => {
                let message =
                    format!("{user} is a {agg} and has no use for 'percentile'; write agg: percentile");
                self.problem(at(share.location), message);
                None
            }
        }
    }

    /// A condition on the fields of a source: a filter, or which events take back.
    pub(super) fn event_condition(
        &mut self,
        file: &Arc<str>,
        text: &Spanned<String>,
        source: usize,
        sources: &mut Sources,
        user: &str,
    ) -> Option<Expr> {
        let variables = sources.variables(source);
        let expr = self.expr(file, text, &variables)?;
        let name = text.value.trim();
        if expr.kind() == Type::Any && variables.iter().any(|variable| variable.name == name) {
            let message = format!(
                "a condition is true or false; compare the field: {name} == \"…\", or declare it as {{path: …, type: bool}}"
            );
            self.problem(super::yaml::place(file, text.location), message);
            return None;
        }
        if !matches!(expr.kind(), Type::Bool | Type::Any) {
            let message = format!("a condition is true or false, and this is {}", expr.kind().noun());
            self.problem(super::yaml::place(file, text.location), message);
            return None;
        }
        let inferred = expr.inferred().iter().filter_map(|found| {
            let kind = match found.kind {
                Type::Text => FieldType::Text,
                Type::Number => FieldType::Number,
                Type::Bool => FieldType::Bool,
                Type::Any => return None,
            };
            Some((found.variable, kind))
        });
        for (field, kind) in inferred {
            if let Err(message) = sources.use_as(source, field, kind, user) {
                self.problem(super::yaml::place(file, text.location), message);
                return None;
            }
        }
        Some(expr)
    }
}

/// Why an aggregation does not go with a source that takes back, and what does.
fn cannot_take_back(source: &Source, agg: Agg, user: &str) -> String {
    match &source.retract {
        Some(retract) => format!(
            "{user} cannot take events back: nothing can be subtracted from a {agg}, and source '{}' retracts at {}; use sum, count or avg",
            source.name, retract.place
        ),
        None => format!(
            "rows of source '{}' change, and this aggregation cannot take back what a row was; sum, count and avg can, and last takes the newest",
            source.name
        ),
    }
}
