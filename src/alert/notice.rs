//! Notices: one thing to tell one receiver about an episode. Decided once, kept in the outbox until delivered.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::record::{Facts, Labels};
use crate::catalog::Severity;

/// Why somebody is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// A new episode.
    Fired,
    /// The same episode, worse.
    Escalated,
    /// The episode is over.
    Resolved,
}

/// Why an episode ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResolveReason {
    /// The clear condition held long enough.
    Recovered,
    /// The period closed.
    PeriodClosed,
    /// The rule is gone from the catalogue, or does not apply any more.
    RuleDeleted,
    /// The rule is there, and the node switched it off.
    Paused,
    /// There was no data, and the rule says that this ends it.
    NoData,
    /// What it was about is declared differently now.
    Updated,
}

/// How a period ended for the node of the alert.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The target was met.
    Met,
    /// It was missed.
    Missed,
}

/// An episode soon after another of the same identity: "again, 3rd time in 24 h".
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Again {
    /// Episodes within 24 hours of event time, this one included; at least 2.
    pub count: u32,
    /// The episode before, for threads.
    pub previous: String,
}

/// One thing to tell one receiver.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Notice {
    /// `<episode>.<seq>`: the same over every retry, and for every receiver of one decision.
    pub id: String,
    /// The episode.
    pub episode: String,
    /// Number of the notice within its episode, from 1.
    pub seq: u32,
    /// Name of the receiver in the settings.
    pub receiver: String,
    /// Why.
    pub kind: NoticeKind,
    /// For [`NoticeKind::Resolved`]: why it ended.
    pub reason: Option<ResolveReason>,
    /// Drift kind, or the rule's name.
    pub alert_kind: String,
    /// Severity at the decision.
    pub severity: Severity,
    /// Labels.
    pub labels: Labels,
    /// Event time at which the episode fired.
    pub fired_at: Timestamp,
    /// Event time of the decision; of a resolve: when the episode ended.
    pub decided_at: Timestamp,
    /// Numbers at the decision.
    pub facts: Facts,
    /// Numbers when it fired, for a resolve.
    pub facts_at_firing: Option<Facts>,
    /// For a resolve: the worst numbers of the episode, where they can be compared.
    #[serde(default)]
    pub peak: Option<Facts>,
    /// For a resolve with [`ResolveReason::PeriodClosed`]: how the period ended.
    #[serde(default)]
    pub verdict: Option<Verdict>,
    /// For [`NoticeKind::Fired`]: it came back soon after the last episode.
    #[serde(default)]
    pub again: Option<Again>,
    /// For [`NoticeKind::Fired`]: it comes and goes; nothing more is told of it until it is steady.
    #[serde(default)]
    pub flapping: bool,
}

impl Notice {
    /// For a resolve: how long it fired, in event time.
    pub fn duration(&self) -> SignedDuration {
        self.decided_at.duration_since(self.fired_at)
    }
}
