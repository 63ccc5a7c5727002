//! Folds records: decodes each, folds its events, and keeps account of what became of them.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::dead_letter::DeadLetter;
use crate::catalog::{Catalog, Layout, SourceId};
use crate::decode::{self, Found, Item, Learned, Record, Reject, SchemaId};
use crate::fold::dedup::Seen;
use crate::fold::delta::Delta;
use crate::fold::plan::Plan;
use crate::fold::worker::{Folded, Worker};

/// The outcome of an event that counts.
const FOLDED: &str = "folded";
/// The outcome of an event that no filter lets pass.
const FILTERED: &str = "filtered";
/// The outcome of a copy.
const DUPLICATE: &str = "duplicate";

/// How many events of a source had an outcome.
pub(crate) type Outcomes = HashMap<(SourceId, &'static str), u64>;

/// The outcome of a record that only says that a row is gone.
const TOMBSTONE: &str = "tombstone";

/// Whether an outcome is a reason of rejection.
pub(crate) fn is_rejection(outcome: &str) -> bool {
    ![FOLDED, FILTERED, DUPLICATE, TOMBSTONE].contains(&outcome)
}

/// What one thread folds with. Keeps its buffers from record to record.
pub(crate) struct Folder {
    catalog: Arc<Catalog>,
    decoders: Vec<decode::Reader>,
    worker: Worker,
    max_skew_ms: Vec<i64>,
    lateness_ms: Vec<i64>,
    /// Events by source that came later than it allows.
    late: Vec<u64>,
    /// There are a handful: a list is looked through sooner than a table.
    outcomes: Vec<((SourceId, &'static str), u64)>,
    dead_letters: Vec<DeadLetter>,
}

/// When a record arrives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    /// The wall clock.
    pub(crate) now: Timestamp,
    /// The newest event time that its partition has brought, in milliseconds since the epoch: what is older by more than
    /// the source's lateness is late. `None` where that is not asked, or nothing came yet.
    pub(crate) newest_ms: Option<i64>,
}

impl Arrival {
    /// At a moment, in no order.
    pub(crate) fn at(now: Timestamp) -> Arrival {
        Arrival { now, newest_ms: None }
    }
}

/// What became of one record.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Account {
    /// Number of its events; a record that was refused as a whole counts as one.
    pub(crate) events: u64,
    /// How many of them were rejected.
    pub(crate) rejected: u64,
    /// How many of them are copies of what was counted before.
    pub(crate) duplicates: u64,
    /// The newest event time of those that were not, in milliseconds since the epoch.
    pub(crate) newest_ms: Option<i64>,
}

/// What was folded since it was last taken.
pub(crate) struct Taken {
    pub(crate) delta: Delta,
    pub(crate) outcomes: Outcomes,
    /// Events that came later than their source allows, by [`SourceId`].
    pub(crate) late: Vec<u64>,
    pub(crate) dead_letters: Vec<DeadLetter>,
}

impl Folder {
    pub(crate) fn new(catalog: Arc<Catalog>, plan: Arc<Plan>) -> Folder {
        let max_skew_ms = catalog.sources.iter().map(|s| s.max_skew.as_millis() as i64);
        let lateness_ms = catalog.sources.iter().map(|s| s.lateness.as_millis() as i64);
        Folder {
            decoders: catalog.sources.iter().map(decode::Reader::new).collect(),
            worker: Worker::new(&catalog, plan),
            max_skew_ms: max_skew_ms.collect(),
            lateness_ms: lateness_ms.collect(),
            late: vec![0; catalog.sources.len()],
            outcomes: Vec::new(),
            dead_letters: Vec::new(),
            catalog,
        }
    }

    /// The schema that must be [learned](Folder::learn) before this record can be folded.
    pub(crate) fn schema_needed(&self, source: SourceId, record: &Record<'_>) -> Option<SchemaId> {
        self.decoders[source.0 as usize].schema_needed(record)
    }

    /// Takes what the schema registry says of an id.
    pub(crate) fn learn(&mut self, source: SourceId, id: SchemaId, learned: Learned<'_>) {
        let absent = self.decoders[source.0 as usize].learn(id, learned);
        if absent.is_empty() {
            return;
        }
        let source = self.catalog.source(source);
        let fields: Vec<&str> = absent
            .iter()
            .filter_map(|field| source.fields.get(usize::from(field.0)))
            .map(|field| field.name.as_str())
            .collect();
        tracing::warn!(
            source = source.name,
            schema = id.0,
            fields = fields.join(", "),
            "a schema has nothing for these fields: they are missing in every event written by it"
        );
    }

    /// Folds every event of a record of Kafka. Where `seen` is given, copies of what it remembers are not folded.
    pub(crate) fn fold(
        &mut self,
        source: SourceId,
        record: &Record<'_>,
        arrival: Arrival,
        seen: Option<&mut Seen>,
    ) -> Account {
        let layout = self.catalog.source(source).layout;
        self.fold_all(layout, source, record, arrival, seen, |_| record.offset)
    }

    /// Folds every event of a request. Each event has an offset of its own, from that of the record on.
    pub(crate) fn fold_as(
        &mut self,
        layout: Layout,
        source: SourceId,
        record: &Record<'_>,
        arrival: Arrival,
        seen: Option<&mut Seen>,
    ) -> Account {
        self.fold_all(layout, source, record, arrival, seen, |n| {
            record.offset + n.cast_signed()
        })
    }

    fn fold_all(
        &mut self,
        layout: Layout,
        source: SourceId,
        record: &Record<'_>,
        arrival: Arrival,
        mut seen: Option<&mut Seen>,
        offset: impl Fn(u64) -> i64,
    ) -> Account {
        let Folder {
            catalog,
            decoders,
            worker,
            max_skew_ms,
            lateness_ms,
            late,
            outcomes,
            dead_letters,
        } = self;
        let Arrival { now, mut newest_ms } = arrival;
        let latest_ms = now.as_millisecond() + max_skew_ms[source.0 as usize];
        let lateness_ms = lateness_ms[source.0 as usize];
        let mut account = Account::default();
        decoders[source.0 as usize].read_as(layout, record, |item| {
            let Item { index, text, found } = item;
            let offset = offset(account.events);
            account.events += 1;
            let folded = found.and_then(|found| {
                let seen = seen.as_deref_mut();
                fold_one(worker, source, &found, offset, latest_ms, seen)
            });
            let outcome = match folded {
                Ok((outcome, time_ms)) => {
                    account.newest_ms = account.newest_ms.max(time_ms);
                    if let (FOLDED, Some(time_ms), Some(newest)) = (outcome, time_ms, &mut newest_ms) {
                        late[source.0 as usize] += u64::from(time_ms < *newest - lateness_ms);
                        *newest = time_ms.max(*newest);
                    }
                    account.duplicates += u64::from(outcome == DUPLICATE);
                    outcome
                }
                Err(reject) => {
                    account.rejected += 1;
                    let detail = reject.explain(catalog.source(source));
                    dead_letters.push(DeadLetter::new(
                        source,
                        record,
                        (index, text),
                        &reject,
                        detail,
                        now,
                    ));
                    reject.reason()
                }
            };
            count(outcomes, source, outcome);
        });
        account
    }

    /// The dead letters that were written last, oldest first.
    pub(crate) fn newest_dead_letters(&self, count: u64) -> &[DeadLetter] {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        &self.dead_letters[self.dead_letters.len().saturating_sub(count)..]
    }

    /// Hands over what was folded since the last call.
    pub(crate) fn take(&mut self) -> Taken {
        Taken {
            delta: self.worker.take(),
            outcomes: self.outcomes.drain(..).collect(),
            late: std::mem::replace(&mut self.late, vec![0; self.catalog.sources.len()]),
            dead_letters: std::mem::take(&mut self.dead_letters),
        }
    }
}

fn count(outcomes: &mut Vec<((SourceId, &'static str), u64)>, source: SourceId, outcome: &'static str) {
    match outcomes.iter_mut().find(|(of, _)| *of == (source, outcome)) {
        Some((_, count)) => *count += 1,
        None => outcomes.push(((source, outcome), 1)),
    }
}

/// Folds one event; returns its outcome and its event time.
fn fold_one(
    worker: &mut Worker,
    source: SourceId,
    found: &Found<'_>,
    offset: i64,
    latest_ms: i64,
    seen: Option<&mut Seen>,
) -> Result<(&'static str, Option<i64>), Reject> {
    let Found::Change(change) = found else {
        return Ok((TOMBSTONE, None));
    };
    let time_ms = change.newest_ms();
    if time_ms.is_some_and(|time_ms| time_ms > latest_ms) {
        return Err(Reject::Future);
    }
    let folded = match seen {
        Some(seen) => worker.fold_once(source, change, offset, seen)?,
        None => worker.fold_change(source, change, offset)?,
    };
    let outcome = match folded {
        Folded::Counted => FOLDED,
        Folded::Filtered => FILTERED,
        Folded::Duplicate => DUPLICATE,
    };
    Ok((outcome, time_ms))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::load::{Files, load};

    fn folder(payload: &str) -> Folder {
        let yaml = format!(
            "sources:\n  s: {{topics: [t], format: json, payload: {payload}, time: t, fields: {{a: a}}}}\nmetrics:\n  m: {{source: s, agg: sum, expr: a}}\nnodes:\n  m: {{metric: m, role: business, period: month}}\n"
        );
        let catalog = Arc::new(
            load(&Files::new("", [("a.yaml", yaml.as_str())]))
                .map_err(|d| d.to_string())
                .unwrap(),
        );
        let plan = Arc::new(Plan::compile(&catalog));
        Folder::new(catalog, plan)
    }

    /// Newest event time, outcomes, and dead letters by number, reason and payload.
    type Seen = (
        Option<i64>,
        Vec<(&'static str, u64)>,
        Vec<(Option<u32>, &'static str, String)>,
    );

    fn fold(folder: &mut Folder, payload: &str) -> Seen {
        let record = Record {
            topic: "t",
            offset: 7,
            payload: Some(payload.as_bytes()),
            ..Record::default()
        };
        let account = folder.fold(
            SourceId(0),
            &record,
            Arrival::at(Timestamp::from_second(1_780_000_000).unwrap()),
            None,
        );
        let taken = folder.take();
        let mut outcomes: Vec<_> = taken
            .outcomes
            .into_iter()
            .map(|((_, outcome), count)| (outcome, count))
            .collect();
        outcomes.sort_unstable();
        let letters = taken
            .dead_letters
            .into_iter()
            .map(|letter| (letter.index, letter.reason, letter.payload))
            .collect();
        (account.newest_ms, outcomes, letters)
    }

    #[test]
    fn a_bad_line_spoils_itself_only() {
        let payload = "{\"t\": 1780000000, \"a\": 1}\n\noops\n{\"t\": 1790000000, \"a\": 1}\n{\"t\": 1770000000, \"a\": 5}\n{\"t\": 1, \"a\": \"\u{e9}\"}";
        assert_eq!(
            fold(&mut folder("lines"), payload),
            (
                Some(1_780_000_000_000),
                vec![
                    ("folded", 2),
                    ("future", 1),
                    ("invalid_json", 1),
                    ("wrong_type", 1)
                ],
                vec![
                    (Some(2), "invalid_json", "oops".to_owned()),
                    (Some(3), "future", "{\"t\": 1790000000, \"a\": 1}".to_owned()),
                    (Some(5), "wrong_type", "{\"t\": 1, \"a\": \"\u{e9}\"}".to_owned()),
                ]
            )
        );
    }

    #[test]
    fn an_array_is_taken_element_by_element_unless_its_frame_is_broken() {
        let good = r#"{"t": 1780000000, "a": 1}"#;
        assert_eq!(
            fold(&mut folder("array"), &format!("[{good}, 7, {good}]")),
            (
                Some(1_780_000_000_000),
                vec![("folded", 2), ("not_an_object", 1)],
                vec![(Some(1), "not_an_object", "7".to_owned())]
            )
        );
        let broken = format!("[{good}, {{]");
        assert_eq!(
            fold(&mut folder("array"), &broken),
            (
                None,
                vec![("invalid_json", 1)],
                vec![(None, "invalid_json", broken.clone())]
            )
        );
        assert_eq!(fold(&mut folder("array"), "[]"), (None, vec![], vec![]));
        assert_eq!(fold(&mut folder("array"), good).1, [("not_an_array", 1)]);
        assert_eq!(
            fold(&mut folder("single"), &format!("[{good}]")).1,
            [("not_an_object", 1)]
        );
    }

    #[test]
    fn a_record_without_a_payload_is_empty_in_every_layout() {
        for layout in ["single", "lines", "array"] {
            assert_eq!(fold(&mut folder(layout), "").1, [("empty", 1)], "{layout}");
        }
    }
}
