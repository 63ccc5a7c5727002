//! Durations: from a start to an end of an item, checked against the fields of their source.

use super::metrics::id_of_field;
use super::sources::Sources;
use super::{Entry, Loader};
use crate::catalog::agg::{Agg, AggWord};
use crate::catalog::file::MetricEntry;
use crate::catalog::model::{Duration, FieldId, Simple, SourceId, TimeUnit};

/// Items that a metric remembers unless it says otherwise: about 200 MB, when they are all there.
const MAX_ITEMS: usize = 1_000_000;

impl Loader<'_> {
    pub(super) fn duration(
        &mut self,
        entry: &Entry<'_, MetricEntry>,
        source: usize,
        sources: &mut Sources,
    ) -> Option<Duration> {
        let value = entry.value;
        let name = &entry.name.value;
        let user = format!("metric '{name}'");
        if let Some(retract) = &sources.sources[source].retract {
            let message = format!(
                "{user} cannot take events back: what has begun or ended has, and source '{}' retracts at {}; use a source that does not",
                sources.sources[source].name, retract.place
            );
            self.problem(entry.place(), message);
            return None;
        }
        let (Some(key), Some(start), Some(end)) = (&value.key, &value.start, &value.end) else {
            let message = format!(
                "{user} is a duration and needs 'key' (the field that names an item), 'start' and 'end' (which events begin and end it)"
            );
            self.problem(entry.place(), message);
            return None;
        };
        let agg = match &value.agg {
            Some(agg) => match agg.value {
                AggWord::Agg(found @ (Agg::Avg | Agg::Min | Agg::Max | Agg::Percentile(_))) => found,
                _ => {
                    let message = format!(
                        "{user} is a duration and needs one of avg, median, p90, min and max; for the number of items write agg: count over their ends"
                    );
                    self.problem(entry.at(agg), message);
                    return None;
                }
            },
            None => {
                let message = format!("{user} says no 'agg'; write one of avg, median, p90, min, max");
                self.problem(entry.place(), message);
                return None;
            }
        };
        let Some(unit) = value.unit.as_deref().and_then(TimeUnit::of) else {
            let message = format!(
                "{user} is a duration, and its unit is {}; write unit: days, hours, minutes or seconds",
                value
                    .unit
                    .as_deref()
                    .map_or("not said".to_owned(), |unit| format!("'{unit}'"))
            );
            self.problem(entry.place(), message);
            return None;
        };
        if let Some(max) = value.max_items.as_ref().filter(|max| max.value.0 == 0) {
            let message = "at least one item must be remembered; write a number such as 1_000_000";
            self.problem(entry.at(max), message);
            return None;
        }
        let fields: Vec<String> = sources.sources[source]
            .fields
            .iter()
            .map(|field| field.name.clone())
            .collect();
        let what = format!("field in source '{}' named", sources.sources[source].name);
        let field = self.resolve(
            &what,
            entry.at(key),
            &key.value,
            fields.iter().map(String::as_str),
        )?;
        let start = self.event_condition(&entry.file, start, source, sources, &user)?;
        let end = self.event_condition(&entry.file, end, source, sources, &user)?;
        let field: FieldId = id_of_field(field);
        Some(Duration {
            marks: Simple {
                source: SourceId(u32::try_from(source).unwrap_or(u32::MAX)),
                agg,
                field: Some(field),
                filter: None,
                keys: None,
            },
            key: field,
            start,
            end,
            unit,
            max_items: value.max_items.as_ref().map_or(MAX_ITEMS, |max| max.value.0),
        })
    }
}
