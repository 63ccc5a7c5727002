//! Notices: one thing to tell one receiver about an episode. Decided once, kept in the outbox until delivered.

use jiff::Timestamp;
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
    /// The rule is gone from the catalogue.
    RuleDeleted,
}

/// One thing to tell one receiver.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Notice {
    /// `<episode>.<seq>`: the same over every retry.
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
    /// Event time of the decision.
    pub decided_at: Timestamp,
    /// Numbers at the decision.
    pub facts: Facts,
    /// Numbers when it fired, for a resolve.
    pub facts_at_firing: Option<Facts>,
}
