//! Intake: how many of a source's events could be used lately, and what its bounds let go.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::silence::Silent;
use super::surge::Rush;
use crate::fold::cells::Bound;

/// What is older says nothing of how a source is now.
const WINDOW_HOURS: i64 = 24;
const HOUR_S: i64 = 3600;

/// What came of a source over the last 24 hours of arrival, hour by hour.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Intake {
    /// Ascending, those of the window only.
    hours: VecDeque<Hour>,
}

#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
struct Hour {
    /// Hours since the epoch.
    hour: i64,
    read: u64,
    let_go: u64,
    /// By which bounds that was.
    #[serde(default)]
    bounds: BTreeSet<Bound>,
    /// By reason.
    rejected: BTreeMap<String, u64>,
}

/// The sums of an [`Intake`], and how silent its source is.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Recent {
    /// Events that were read.
    pub read: u64,
    /// Those that were rejected.
    pub rejected: u64,
    /// The most frequent reason.
    pub reason: Option<String>,
    /// Events, keys, items and ids that were let go because a bound was reached.
    pub let_go: u64,
    /// Which bounds were reached.
    pub bounds: BTreeSet<Bound>,
    /// Its silence; of none that is known where history is replayed.
    pub silent: Silent,
    /// Its last hour against the busiest one of four weeks, likewise.
    pub rush: Rush,
}

impl Recent {
    /// Rejected events as a share of all; `None` without any.
    pub fn rejected_share(&self) -> Option<f64> {
        (self.read > 0).then(|| self.rejected as f64 / self.read as f64)
    }
}

impl Intake {
    /// Counts events that arrived at `at`; `rejected` is the reason where they could not be used.
    pub fn count(&mut self, at: Timestamp, events: u64, rejected: Option<&str>) {
        let hour = self.hour_mut(at);
        hour.read += events;
        if let Some(reason) = rejected {
            *hour.rejected.entry(reason.to_owned()).or_insert(0) += events;
        }
    }

    /// Counts what a bound let go at `at`.
    pub fn count_let_go(&mut self, at: Timestamp, bound: Bound, count: u64) {
        let hour = self.hour_mut(at);
        hour.let_go += count;
        hour.bounds.insert(bound);
    }

    /// Forgets what is out of the window at `at`.
    pub fn pass(&mut self, at: Timestamp) {
        let oldest = at.as_second().div_euclid(HOUR_S) - WINDOW_HOURS;
        while self.hours.front().is_some_and(|hour| hour.hour <= oldest) {
            self.hours.pop_front();
        }
    }

    /// Over the window.
    pub fn recent(&self) -> Recent {
        let mut recent = Recent::default();
        let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
        for hour in &self.hours {
            recent.read += hour.read;
            recent.let_go += hour.let_go;
            recent.bounds.extend(&hour.bounds);
            for (reason, count) in &hour.rejected {
                recent.rejected += count;
                *reasons.entry(reason).or_insert(0) += count;
            }
        }
        let most = reasons.into_iter().max_by_key(|(_, count)| *count);
        recent.reason = most.map(|(reason, _)| reason.to_owned());
        recent
    }

    /// The hour of `at`, the newest there is; a clock that goes back counts in the newest.
    fn hour_mut(&mut self, at: Timestamp) -> &mut Hour {
        self.pass(at);
        let hour = at.as_second().div_euclid(HOUR_S);
        let is_new = self.hours.back().is_none_or(|newest| newest.hour < hour);
        if is_new {
            self.hours.push_back(Hour {
                hour,
                ..Hour::default()
            });
        }
        let newest = self.hours.len() - 1;
        &mut self.hours[newest]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_the_last_day_and_says_the_most_frequent_reason() {
        let at = |hour: i64| Timestamp::from_second(1_780_000_000 + hour * HOUR_S).unwrap();
        let mut intake = Intake::default();
        assert_eq!(intake.recent().rejected_share(), None);
        intake.count(at(0), 90, None);
        intake.count(at(0), 4, Some("no_time"));
        intake.count(at(10), 6, Some("wrong_type"));
        intake.count_let_go(at(10), Bound::Days, 2);
        intake.count_let_go(at(10), Bound::Cells, 1);
        let recent = intake.recent();
        assert_eq!((recent.read, recent.rejected, recent.let_go), (100, 10, 3));
        assert_eq!(recent.bounds, BTreeSet::from([Bound::Cells, Bound::Days]));
        assert_eq!(recent.reason.as_deref(), Some("wrong_type"));
        assert_eq!(recent.rejected_share(), Some(0.1));
        // The first hour is out of the window after a day; then the other one.
        intake.pass(at(23));
        assert_eq!(intake.recent().read, 100);
        intake.pass(at(24));
        assert_eq!((intake.recent().read, intake.recent().rejected), (6, 6));
        intake.count(at(9), 1, None);
        assert_eq!(intake.recent().read, 7, "a clock that goes back loses nothing");
        intake.pass(at(60));
        assert_eq!(intake.recent(), Recent::default());
    }

    #[test]
    fn counts_that_were_kept_before_bounds_had_names_are_read() {
        let kept = r#"{"hours": [{"hour": 7, "read": 10, "let_go": 4, "rejected": {}}]}"#;
        let recent = serde_json::from_str::<Intake>(kept).unwrap().recent();
        assert_eq!((recent.read, recent.let_go, recent.bounds.len()), (10, 4, 0));
    }
}
