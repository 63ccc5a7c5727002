//! What is kept of one alert identity. Persisted whole with every change, so that clocks survive a restart.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::catalog::Severity;

/// Labels of an alert: identity only (`alertname`, `node`, `parent`, `period`, `each` dimensions, `owner`); values
/// are never labels.
pub type Labels = BTreeMap<String, String>;

/// Identity of an alert: a hash of rule name and identity labels, 16 hex digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Fingerprint(pub String);

/// Where an alert stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "state")]
pub enum AlertState {
    /// Nothing to say.
    Inactive,
    /// Breaching, not yet for long enough; nobody has been told.
    Pending {
        /// Event time since when it breaches; moves on over gaps without data.
        since: Timestamp,
    },
    /// Told.
    Firing,
    /// Clear, not yet for long enough.
    Recovering {
        /// Event time since when it is clear.
        since: Timestamp,
    },
}

/// What a rule says of one identity at one watermark.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Condition {
    /// The fire condition holds, at this severity.
    Breach(Severity),
    /// Between the fire and the clear condition.
    Band,
    /// The clear condition holds.
    Clear,
    /// An operand has no value.
    Missing,
    /// The rule could not be evaluated.
    Error,
}

/// What people are told: numbers and words at one moment. Attributes, never identity.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Facts {
    /// One line: "Articles is done, Revenue is not".
    pub title: String,
    /// Title, value, target, completion, pace of the node (of the KPI for a link).
    pub node: Option<Figure>,
    /// The same of the parent, for a link.
    pub parent: Option<Figure>,
}

/// The numbers of one node, for a message.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Figure {
    /// Title for people.
    pub title: String,
    /// Dimension values, joined by " / "; empty without `each`.
    pub instance: String,
    /// Unit of value and target.
    pub unit: Option<String>,
    /// Owner.
    pub owner: Option<String>,
    /// Period, such as `2026-06`, `2026-Q3`.
    pub period: String,
    /// Value so far.
    pub value: Option<f64>,
    /// Target.
    pub target: Option<f64>,
    /// Completion.
    pub completion: Option<f64>,
    /// Planned share by now.
    pub expected_share: Option<f64>,
    /// Pace.
    pub pace: Option<f64>,
    /// Projected final value.
    pub forecast: Option<f64>,
    /// Probability of meeting the target.
    pub target_probability: Option<f64>,
    /// Latest daily values, oldest first, for a sparkline.
    pub daily: Vec<Option<f64>>,
}

/// What is kept of one alert identity.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct AlertRecord {
    /// Identity.
    pub fingerprint: Fingerprint,
    /// Name of the rule.
    pub rule: String,
    /// Drift kind, or the rule's name.
    pub kind: String,
    /// Identity and added labels.
    pub labels: Labels,
    /// Where it stands.
    pub state: AlertState,
    /// Level it stands at (while pending: the level that is breached).
    pub severity: Severity,
    /// Number of episodes so far; part of every episode id.
    pub episodes: u64,
    /// Notices of the current episode so far.
    pub seq: u32,
    /// Event time at which the current or last episode fired.
    pub fired_at: Option<Timestamp>,
    /// Numbers now.
    pub facts: Facts,
    /// Numbers when the current or last episode fired.
    pub facts_at_firing: Option<Facts>,
}

/// Judgement of one rule on one identity.
#[derive(Clone, PartialEq, Debug)]
pub struct Sample {
    /// Name of the rule.
    pub rule: String,
    /// Drift kind, or the rule's name.
    pub kind: String,
    /// Identity and added labels.
    pub labels: Labels,
    /// Judgement.
    pub condition: Condition,
    /// Event time at which the period of this identity ends.
    pub period_end: Timestamp,
    /// What to tell.
    pub facts: Facts,
}
