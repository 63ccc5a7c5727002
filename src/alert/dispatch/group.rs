//! Groups: alerts that are told together, and when. All times are of the wall clock.

use std::collections::{BTreeMap, VecDeque};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::route::{DEFAULT_WAIT, Guard, Timing};
use crate::alert::record::Labels;
use crate::catalog::{Grade, Severity};

/// What is remembered of a group that was told of.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Group {
    /// When its first message went: messages about new alerts go at multiples of `group_interval` after it.
    pub(super) began: Timestamp,
    /// Messages so far; part of their ids.
    pub(super) messages: u64,
}

/// The key of a group: its receiver, its route, and what its alerts share.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct GroupKey {
    pub(super) receiver: String,
    pub(super) route: String,
    pub(super) labels: Labels,
}

impl GroupKey {
    /// As text, for the store and for ids.
    pub(super) fn text(&self) -> String {
        let labels: Vec<String> = self
            .labels
            .iter()
            .map(|(name, value)| format!("{name}={value:?}"))
            .collect();
        format!("{}/{}/{{{}}}", self.route, self.receiver, labels.join(","))
    }

    /// The id of the nth message about it since it began: a group that was forgotten and is there again has others.
    pub(super) fn bundle(&self, began: Timestamp, n: u64) -> String {
        let text = format!("{}@{}", self.text(), began.as_millisecond());
        format!("{:016x}.{n}", xxh3_64(text.as_bytes()))
    }
}

/// When an alert that nobody knows of is told: at the end of `group_wait` for the first of a group, at the next multiple
/// of `group_interval` for one that joins.
pub(super) fn due(
    timing: &Timing,
    group: Option<&Group>,
    first_waits_since: Timestamp,
    since: Timestamp,
    severity: Severity,
) -> Timestamp {
    let wait = timing.group_wait.unwrap_or(match severity.like() {
        Grade::Critical => SignedDuration::ZERO,
        Grade::Warning | Grade::Info => DEFAULT_WAIT,
    });
    let Some(group) = group.filter(|_| timing.group_interval > SignedDuration::ZERO) else {
        return later(first_waits_since, wait);
    };
    // A critical alert does not wait for its turn. Others do, also where the first of a group goes at once.
    if severity.like() == Grade::Critical && wait.is_zero() {
        return since;
    }
    // Where the clock was set back behind the group's first message, its turns are too far ahead to wait for.
    if since < group.began {
        return later(since, wait);
    }
    let (interval, passed) = (
        timing.group_interval.as_millis(),
        since.duration_since(group.began).as_millis(),
    );
    let turns = (passed + interval - 1) / interval;
    let at = group
        .began
        .as_millisecond()
        .saturating_add(i64::try_from(turns * interval).unwrap_or(i64::MAX));
    Timestamp::from_millisecond(at).unwrap_or(Timestamp::MAX)
}

pub(super) fn later(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.saturating_add(by).unwrap_or(Timestamp::MAX)
}

/// New alerts of one receiver lately: within the window of the storm guard, for which a storm lasts at least.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Rush {
    /// When the last ones were told; no more than it takes for a storm.
    told: VecDeque<Timestamp>,
    /// Until when further ones wait for the next summary.
    until: Option<Timestamp>,
}

impl Rush {
    /// Until when new alerts wait, while there is a storm.
    pub(super) fn holds_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.until.filter(|until| now < *until)
    }

    /// Whether so many more are too many.
    pub(super) fn is_storm(&self, more: usize, guard: Guard, now: Timestamp) -> bool {
        let lately = self
            .told
            .iter()
            .filter(|told| now.duration_since(**told) < guard.window)
            .count();
        more > 0 && lately + more > guard.max
    }

    /// Further ones wait for the next summary.
    pub(super) fn hold(&mut self, guard: Guard, now: Timestamp) {
        self.until = Some(later(now, guard.window));
    }

    /// Notes new alerts that are told now.
    pub(super) fn note(&mut self, count: usize, is_storm: bool, guard: Guard, now: Timestamp) {
        let most = guard.max;
        self.told.retain(|told| now.duration_since(*told) < guard.window);
        self.told.extend(std::iter::repeat_n(now, count.min(most + 1)));
        while self.told.len() > most + 1 {
            self.told.pop_front();
        }
        if is_storm {
            self.hold(guard, now);
        }
    }

    /// Whether there is nothing to remember any more.
    pub(super) fn is_over(&self, guard: Guard, now: Timestamp) -> bool {
        self.holds_until(now).is_none()
            && self
                .told
                .back()
                .is_none_or(|told| now.duration_since(*told) >= guard.window)
    }
}

/// All groups that were told of and are not over, by their text.
pub(super) type Groups = BTreeMap<String, Group>;
