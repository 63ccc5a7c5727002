//! Notices: one thing to tell one receiver about an episode. Decided once, kept in the outbox until delivered.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::identity::notice_id;
use super::record::{Facts, Figure, Labels};
use crate::catalog::Severity;
use crate::evaluate::weights::Titled;
use crate::words::Language;

/// Why somebody is told.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// A new episode.
    Fired,
    /// The same episode, worse.
    Escalated,
    /// The same episode, less bad: worth an update where a channel can, never a ping.
    DeEscalated,
    /// It still fires, and was last told of long ago.
    Repeat,
    /// Somebody has taken it.
    Acked,
    /// A silence ends soon.
    Reminder,
    /// The episode is over.
    Resolved,
    /// The verdict that was told with the end of a period is another one now: late events changed it.
    Correction,
    /// Many things at once, at a time of day.
    Digest,
    /// Weights are proposed and wait for a decision.
    Proposal,
}

impl NoticeKind {
    /// The word for the store, metrics and payloads.
    pub fn as_str(self) -> &'static str {
        match self {
            NoticeKind::Fired => "fired",
            NoticeKind::Escalated => "escalated",
            NoticeKind::DeEscalated => "de_escalated",
            NoticeKind::Repeat => "repeat",
            NoticeKind::Acked => "acked",
            NoticeKind::Reminder => "reminder",
            NoticeKind::Resolved => "resolved",
            NoticeKind::Correction => "correction",
            NoticeKind::Digest => "digest",
            NoticeKind::Proposal => "proposal",
        }
    }
}

/// Why somebody is told now and not before.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "why")]
pub enum Because {
    /// A silence that held it back has ended.
    SilenceEnded,
    /// It fired while nobody was to be told, at night or on a holiday.
    MuteEnded,
    /// What explained it is over, and it still fires.
    InhibitionEnded,
    /// Those who were told first have not acknowledged it.
    Unacknowledged {
        /// When they were told, by the wall clock.
        since: Timestamp,
    },
}

/// Somebody has taken an episode.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Ack {
    /// Who.
    pub by: String,
    /// When, by the wall clock.
    pub at: Timestamp,
    /// What they say.
    #[serde(default)]
    pub comment: String,
    /// Until when it holds, by the wall clock.
    pub until: Timestamp,
    /// The level that was taken: it ends when it gets worse. `None` where it is older than that is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
}

/// What a notice says that is about no single episode.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "aside")]
pub enum Aside {
    /// For [`NoticeKind::Digest`].
    Digest(Digest),
    /// For [`NoticeKind::Reminder`].
    Silence(EndingSilence),
    /// For [`NoticeKind::Proposal`].
    Weights(Titled),
}

/// A silence that ends soon.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EndingSilence {
    /// Its id.
    pub id: String,
    /// Who made it.
    pub created_by: String,
    /// What they said.
    pub comment: String,
    /// Its matchers, as text.
    pub matchers: Vec<String>,
    /// When it ends, by the wall clock.
    pub ends_at: Timestamp,
    /// Alerts that it holds back now.
    pub alerts: u32,
}

/// Many things at once.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Digest {
    /// Its name in the settings; `None` for what happened while the daemon was away.
    pub name: Option<String>,
    /// What lies between the last digest and this one, by the wall clock.
    pub from: Timestamp,
    /// Its end.
    pub until: Timestamp,
    /// Alerts that fire now, the worst first.
    pub open: Vec<DigestLine>,
    /// Alerts that ended since the last one, the newest first.
    pub ended: Vec<DigestLine>,
    /// Weights that wait for somebody to decide.
    #[serde(default)]
    pub waiting: Vec<Titled>,
    /// Where nodes will end up.
    pub forecast: Vec<Figure>,
}

/// An alert in a digest.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct DigestLine {
    /// Its episode.
    pub episode: String,
    /// Drift kind, or the rule's name.
    pub alert_kind: String,
    /// Severity.
    pub severity: Severity,
    /// Labels.
    pub labels: Labels,
    /// Numbers.
    pub facts: Facts,
    /// Event time at which it fired.
    pub fired_at: Timestamp,
    /// Event time at which it ended; `None` while it fires.
    pub ended_at: Option<Timestamp>,
    /// Why it ended.
    pub reason: Option<ResolveReason>,
    /// Whether it began since the last digest.
    pub is_new: bool,
    /// Its level at the last digest, or when it fired since then, where that is another one.
    #[serde(default)]
    pub was: Option<Severity>,
    /// Of what fires: its episodes that began since the last digest. Of what is over: the episodes that the line stands
    /// for, of which it says how the last one went.
    #[serde(default)]
    pub episodes: u32,
    /// Whether it ended before anybody was told of it.
    #[serde(default)]
    pub untold: bool,
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
    /// A source that it was computed from is gone from the catalogue, and what it was about with it.
    SourceGone,
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
    /// The episode before: what channels show of it goes on.
    pub previous: String,
}

/// The heading of an alert in every language.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(from = "KeptHeading")]
pub struct Heading {
    /// In English.
    pub en: String,
    /// In Chinese.
    pub zh: String,
}

/// As it is read: an earlier version kept one text for all.
#[derive(Deserialize)]
#[serde(untagged)]
enum KeptHeading {
    Each { en: String, zh: String },
    One(String),
}

impl From<KeptHeading> for Heading {
    fn from(kept: KeptHeading) -> Heading {
        match kept {
            KeptHeading::Each { en, zh } => Heading { en, zh },
            KeptHeading::One(text) => Heading {
                en: text.clone(),
                zh: text,
            },
        }
    }
}

impl Heading {
    /// The same in all of them.
    pub fn of(text: &str) -> Heading {
        KeptHeading::One(text.to_owned()).into()
    }

    /// In one of them.
    pub fn text(&self, language: Language) -> &str {
        match language {
            Language::En => &self.en,
            Language::Zh => &self.zh,
        }
    }
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
    /// For a change of level: those at which the episode stood before. Some receivers know each as an alert of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<Severity>,
    /// Labels.
    pub labels: Labels,
    /// Event time at which the episode fired.
    pub fired_at: Timestamp,
    /// Event time of the decision; of a resolve: when the episode ended.
    pub decided_at: Timestamp,
    /// When it was decided, by the wall clock.
    #[serde(default)]
    pub told_at: Option<Timestamp>,
    /// Numbers at the decision.
    pub facts: Facts,
    /// Numbers when it fired, for a resolve.
    pub facts_at_firing: Option<Facts>,
    /// For a resolve: the worst numbers of the episode, where they can be compared.
    #[serde(default)]
    pub peak: Option<Facts>,
    /// For a resolve with [`ResolveReason::PeriodClosed`]: how the period ended. For a correction: how it ended after all.
    #[serde(default)]
    pub verdict: Option<Verdict>,
    /// For [`NoticeKind::Fired`]: it came back soon after the last episode.
    #[serde(default)]
    pub again: Option<Again>,
    /// For [`NoticeKind::Fired`]: it comes and goes; nothing more is told of it until it is steady.
    #[serde(default)]
    pub flapping: bool,
    /// Notices for one receiver with the same bundle were decided together: they are one message where the channel
    /// can show several alerts at once.
    #[serde(default)]
    pub bundle: String,
    /// Labels that the alerts of the bundle share, by `group_by` of the route.
    #[serde(default)]
    pub group: Labels,
    /// Matchers of the route that led here, and of those above it, as Alertmanager writes them; empty where none did.
    #[serde(default)]
    pub route: String,
    /// For [`NoticeKind::Resolved`]: others of its group go on, as far as the receiver has been told.
    #[serde(default)]
    pub group_fires: bool,
    /// `group_wait` of the route, in milliseconds; 0 where it is not said.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub wait_ms: u64,
    /// So many alerts at once that the bundle is a summary.
    #[serde(default)]
    pub storm: bool,
    /// Nobody needs a ping: what is shown already is brought up to date, where the channel can.
    #[serde(default)]
    pub quiet: bool,
    /// History was still being read when it was decided: the numbers may not be whole.
    #[serde(default)]
    pub catching_up: bool,
    /// Why now, where that is not plain.
    #[serde(default)]
    pub because: Option<Because>,
    /// Who has taken the episode.
    #[serde(default)]
    pub ack: Option<Ack>,
    /// Headings of alerts that are not told because this one explains them.
    #[serde(default)]
    pub explains: Vec<Heading>,
    /// Where the distance from the plan comes from, of what began or got worse.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causes: Option<Box<Causes>>,
    /// What it says that is about no single episode.
    #[serde(default)]
    pub aside: Option<Box<Aside>>,
}

/// Where a node's distance from its plan comes from: the few parts that make up most of it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Causes {
    /// Title of the node whose distance it is: what an alert is about, or the business that it serves.
    pub of: String,
    /// Unit of the amounts.
    pub unit: Option<String>,
    /// The parts, the largest first.
    pub parts: Vec<Cause>,
    /// How many other parts there are.
    pub others: usize,
    /// What all parts together leave of the distance, where that is some of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_explained: Option<NotExplained>,
}

/// What the parts of a distance do not explain.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct NotExplained {
    /// In the unit of the whole.
    pub amount: f64,
    /// The same as a share of the whole's distance.
    pub share: f64,
}

/// One part of a distance.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Cause {
    /// What it is: values of dimensions, or the title of a node.
    pub title: String,
    /// How far it is from what was expected of it, in the unit of the whole.
    pub amount: f64,
    /// The same as a share of the whole's distance.
    pub share: f64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Notice {
    /// A notice that says nothing yet: the first of its episode, decided at `now` by the wall clock and `at` in event
    /// time.
    pub fn blank(episode: &str, receiver: &str, now: Timestamp, at: Timestamp) -> Notice {
        Notice {
            id: notice_id(episode, 1),
            episode: episode.to_owned(),
            seq: 1,
            receiver: receiver.to_owned(),
            kind: NoticeKind::Fired,
            reason: None,
            alert_kind: String::new(),
            severity: Severity::INFO,
            left: Vec::new(),
            labels: Labels::new(),
            fired_at: at,
            decided_at: at,
            told_at: Some(now),
            facts: Facts::default(),
            facts_at_firing: None,
            peak: None,
            verdict: None,
            again: None,
            flapping: false,
            causes: None,
            bundle: String::new(),
            group: Labels::new(),
            route: String::new(),
            wait_ms: 0,
            group_fires: false,
            storm: false,
            quiet: false,
            catching_up: false,
            because: None,
            ack: None,
            explains: Vec::new(),
            aside: None,
        }
    }

    /// For a resolve: how long it fired, in event time.
    pub fn duration(&self) -> SignedDuration {
        self.decided_at.duration_since(self.fired_at)
    }
}
