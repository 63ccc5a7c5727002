//! What is read again from Kafka for definitions that are new, as page and API show it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::view::View;
use crate::evaluate::NodeInfo;
use crate::words::{Language, percent};

/// What is read again from Kafka for definitions that are new, and what was.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Backfills {
    /// What goes on.
    pub running: Option<Backfilling>,
    /// What is over, of the catalogue in force.
    pub done: Vec<Backfilled>,
    /// How many were finished since start, by metric.
    pub finished: BTreeMap<String, u64>,
}

impl Backfills {
    fn running_for(&self, metric: &str) -> Option<&Backfilling> {
        self.running.as_ref().filter(|of| of.metrics.contains(metric))
    }

    fn done_for(&self, metric: &str) -> impl Iterator<Item = &Backfilled> {
        self.done.iter().filter(move |of| of.metrics.contains(metric))
    }
}

/// A re-reading that goes on.
#[derive(Clone, PartialEq, Debug)]
pub struct Backfilling {
    /// Names of the metrics that it is for.
    pub metrics: BTreeSet<String>,
    /// From which time of records on.
    pub from: Timestamp,
    /// Records read so far.
    pub records_read: u64,
    /// Records to read, as far as is known.
    pub records_left: u64,
}

impl Backfilling {
    /// Share of the records that were read; 1 where there are none.
    pub fn share(&self) -> f64 {
        let all = self.records_read + self.records_left;
        if all == 0 {
            1.0
        } else {
            self.records_read as f64 / all as f64
        }
    }
}

/// A re-reading that is over.
#[derive(Clone, PartialEq, Debug)]
pub struct Backfilled {
    /// Names of the metrics that it was for.
    pub metrics: BTreeSet<String>,
    /// From which time of records on it was asked for.
    pub asked: Timestamp,
    /// When it was over.
    pub at: Timestamp,
    /// Since when everything is counted; `None`: everything that was ever there.
    pub since: Option<Timestamp>,
    /// Whether Kafka did not reach back to what was asked for.
    pub is_short: bool,
}

/// What is said of a node's metric, by the node's place in the catalogue.
pub(super) fn sentences(view: &View, language: Language, at: usize) -> Vec<String> {
    let Some(metric) = metric_of(view, at) else {
        return Vec::new();
    };
    let zone = &view.catalog.calendar.timezone;
    let backfills = &view.stats.backfills;
    if let Some(running) = backfills.running_for(metric) {
        return vec![backfilling(language, running, zone)];
    }
    let done = backfills.done_for(metric);
    let said: BTreeSet<String> = done.map(|done| backfilled(language, done, zone)).collect();
    said.into_iter().collect()
}

/// The same for programs; null where nothing is or was read again.
pub(super) fn json(view: &View, info: &NodeInfo) -> Value {
    let at = view.catalog.nodes.iter().position(|node| node.name == info.name);
    let Some(metric) = at.and_then(|at| metric_of(view, at)) else {
        return Value::Null;
    };
    let backfills = &view.stats.backfills;
    if let Some(running) = backfills.running_for(metric) {
        return json!({
            "state": "running",
            "from": running.from.to_string(),
            "recordsRead": running.records_read,
            "recordsLeft": running.records_left,
        });
    }
    // Of several parts the one that has seen least counts.
    let least = backfills.done_for(metric).max_by_key(|done| done.since);
    least.map_or(Value::Null, |done| {
        json!({
            "state": "done",
            "from": done.asked.to_string(),
            "at": done.at.to_string(),
            "since": done.since.map(|since| since.to_string()),
            "short": done.is_short,
        })
    })
}

fn metric_of(view: &View, at: usize) -> Option<&str> {
    let node = view.catalog.nodes.get(at)?;
    Some(&view.catalog.metric(node.metric).name)
}

/// What is read again for a metric, and how far that is.
fn backfilling(language: Language, running: &Backfilling, zone: &TimeZone) -> String {
    let from = language.moment(running.from, zone);
    let left = language.number(running.records_left as f64);
    let share = percent(running.share());
    match language {
        Language::Zh => {
            format!("正在从 Kafka 重读 {from} 以来的记录：已读 {share}，还剩 {left} 条。读完后一次换上新数。")
        }
        Language::En => format!(
            "Records since {from} are read again from Kafka: {share} are read, {left} are left. Their numbers come all at once when it is done."
        ),
    }
}

/// What was read again for a metric.
fn backfilled(language: Language, done: &Backfilled, zone: &TimeZone) -> String {
    let at = language.moment(done.at, zone);
    let Some(since) = done.since.map(|since| language.moment(since, zone)) else {
        return match language {
            Language::Zh => format!("现行口径已于 {at} 从 Kafka 重读全部记录。"),
            Language::En => {
                format!("All records were read again from Kafka under this definition on {at}.")
            }
        };
    };
    let asked = language.moment(done.asked, zone);
    match (language, done.is_short) {
        (Language::Zh, false) => format!("现行口径已于 {at} 从 Kafka 重读 {since} 以来的记录。"),
        (Language::Zh, true) => format!(
            "现行口径已于 {at} 从 Kafka 重读 {since} 以来的记录；要求从 {asked} 读起，更早的 Kafka 已不保留。"
        ),
        (Language::En, false) => {
            format!("Records since {since} were read again from Kafka under this definition on {at}.")
        }
        (Language::En, true) => format!(
            "Records since {since} were read again from Kafka under this definition on {at}; asked for was {asked}, and Kafka keeps none of before."
        ),
    }
}
