//! Manual metrics: what people type in. Each has a source of its own, whose events are its entries.

use jiff::SignedDuration;

use super::sources::{IDLE_TIMEOUT, Sources};
use super::{Entry, Loader};
use crate::catalog::agg::{Agg, AggWord};
use crate::catalog::entries::{AT, DIMENSIONS, VALUE, source_of};
use crate::catalog::file::MetricEntry;
use crate::catalog::model::{
    Expected, Field, FieldType, Format, Layout, Manual, PeriodKind, Simple, Source, SourceId,
};
use crate::catalog::path::FieldPath;

impl Loader<'_> {
    /// The aggregation over the entries of a manual metric, with the source that holds them.
    pub(super) fn manual(&mut self, entry: &Entry<'_, MetricEntry>, sources: &mut Sources) -> Option<Simple> {
        let (name, value) = (&entry.name.value, entry.value);
        let of_events = [
            ("source", value.source.as_ref().map(|it| entry.at(it))),
            ("expr", value.expr.as_ref().map(|it| entry.at(it))),
            ("filter", value.filter.as_ref().map(|it| entry.at(it))),
            ("percentile", value.percentile.as_ref().map(|it| entry.at(it))),
        ];
        for (key, place) in of_events {
            if let Some(place) = place {
                let message = format!("metric '{name}' is typed in and comes from no events; remove '{key}'");
                self.problem(place, message);
                return None;
            }
        }
        let Some(people) = value
            .entered_by
            .as_ref()
            .filter(|people| !people.value.is_empty())
        else {
            let place = value.entered_by.as_ref().map_or(entry.place(), |it| entry.at(it));
            let message = format!(
                "metric '{name}' is typed in, and nobody may; write who does: entered_by: [service-lead]"
            );
            self.problem(place, message);
            return None;
        };
        if people.value.iter().any(|who| who.trim().is_empty()) {
            self.problem(entry.at(people), "a name in 'entered_by' is empty");
            return None;
        }
        if let (Some(grace), None) = (&value.grace, &value.every) {
            self.problem(
                entry.at(grace),
                "'grace' is how late an entry may be that is due; say how often: every: week",
            );
            return None;
        }
        let agg = match &value.agg {
            None => Agg::Last,
            Some(word) => match word.value {
                AggWord::Agg(agg @ (Agg::Last | Agg::Sum | Agg::Avg | Agg::Count)) => agg,
                _ => {
                    let message = format!(
                        "metric '{name}' is typed in, and an entry can be corrected: last, sum, avg and count can take back what was wrong; write one of them"
                    );
                    self.problem(entry.at(word), message);
                    return None;
                }
            },
        };
        let payload = |keys: &[&str]| FieldPath::Payload(keys.iter().map(|key| (*key).to_owned()).collect());
        let field = |name: &str, path, kind| Field {
            name: name.to_owned(),
            path,
            kind,
            place: entry.place(),
        };
        let mut fields = vec![field(VALUE, payload(&[VALUE]), FieldType::Number)];
        fields.extend(
            value
                .dimensions
                .iter()
                .map(|of| field(&of.value, payload(&[DIMENSIONS, &of.value]), FieldType::Text)),
        );
        let source = SourceId(u32::try_from(sources.sources.len()).unwrap_or(u32::MAX));
        sources.sources.push(Source {
            name: source_of(name),
            topics: Vec::new(),
            http: false,
            manual: true,
            // An entry is a row: its correction takes back what it was and adds what it is.
            format: Format::Debezium,
            layout: Layout::Single,
            time: Some(payload(&[AT])),
            timezone: None,
            lateness: SignedDuration::ZERO,
            max_skew: SignedDuration::from_mins(5),
            max_rejected: 1.0,
            // Who should have typed something in is told by the rule entry_missed.
            expected_interval: Expected::Never,
            stale_after: None,
            heartbeats: Vec::new(),
            idle_timeout: IDLE_TIMEOUT,
            owner: None,
            retract: None,
            dedup: None,
            fields,
            place: entry.place(),
        });
        Some(Simple {
            source,
            agg,
            field: (agg != Agg::Count).then(|| super::metrics::id_of_field(0)),
            filter: None,
            keys: None,
        })
    }

    /// Who types a metric in, and how often.
    pub(super) fn manual_of(&self, entry: &Entry<'_, MetricEntry>) -> Option<Manual> {
        let value = entry.value;
        let entered_by = value.entered_by.as_ref()?.value.clone();
        let every = value.every.as_ref().map(|every| every.value);
        let usual = match every {
            Some(PeriodKind::Day) => SignedDuration::from_hours(24),
            Some(PeriodKind::Week) => SignedDuration::from_hours(48),
            _ => SignedDuration::from_hours(5 * 24),
        };
        Some(Manual {
            entered_by,
            every,
            grace: value.grace.as_ref().map_or(usual, |grace| grace.value.0),
        })
    }
}
