//! What is kept of one alert identity. Persisted whole with every change, so that clocks survive a restart.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::delivery::DeliveryFacts;
use super::dispatch::route::Route;
pub use super::identity::Fingerprint;
use super::identity::fingerprint;
use super::notice::{Ack, Because, ResolveReason, Verdict};
use crate::catalog::attribute::DriftKind;
use crate::catalog::{Band, Ladder, Severity};
use crate::evaluate::Mismatch;
use crate::fold::cells::Bound;

/// Labels of an alert: identity only (`alertname`, `node`, `parent`, `period`, `each` dimensions, `owner`); values
/// are never labels.
pub type Labels = BTreeMap<String, String>;

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

/// What people are told: numbers and words at one moment. Attributes, never identity.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Facts {
    /// One line: "Articles is done, Revenue is not".
    pub title: String,
    /// The same in Chinese, where the rule says it in two languages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title_zh: Option<String>,
    /// Title, value, target, completion, pace of the node (of the KPI for a link).
    pub node: Option<Figure>,
    /// The same of the parent, for a link.
    pub parent: Option<Figure>,
    /// Who answers for what the node serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_owner: Option<String>,
    /// What the judgement of the link says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<LinkFigure>,
    /// The item, for an alert about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<ItemFacts>,
    /// The source, for an alert about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceFacts>,
    /// What the links of a node say together, for an alert about them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared: Option<SharedFacts>,
    /// The entry that nobody typed in, for an alert about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<EntryFacts>,
    /// The receiver whom notices do not reach, for an alert about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<DeliveryFacts>,
    /// Breaches without an alert, for an alert about a rule that has too many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crowd: Option<CrowdFacts>,
    /// What the rule compares.
    #[serde(default, skip_serializing_if = "Compared::is_unknown")]
    pub compared: Compared,
}

/// The number that a rule compares first, for programs. It moves with every event, and is no news by itself: two are
/// always equal.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Compared(Option<f64>);

impl Compared {
    /// A number, if there is one.
    pub fn new(number: Option<f64>) -> Compared {
        Compared(number.filter(|number| number.is_finite()))
    }

    /// The number; `None` where it has no value.
    pub fn number(self) -> Option<f64> {
        self.0
    }

    fn is_unknown(&self) -> bool {
        self.0.is_none()
    }
}

impl PartialEq for Compared {
    fn eq(&self, _: &Compared) -> bool {
        true
    }
}

/// What is told of a rule that breaches in more places than alerts are kept of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CrowdFacts {
    /// Alerts of it that are kept: `alerts.max_per_rule`.
    pub kept: u64,
    /// Breaches beyond them.
    pub beyond: u64,
}

/// What is told of a source, over the last 24 hours.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct SourceFacts {
    /// Its name.
    pub name: String,
    /// Events that were read.
    pub read: u64,
    /// Those that were rejected.
    pub rejected: u64,
    /// Share of rejected events from which on it is told.
    pub allowed: f64,
    /// The most frequent reason of rejection.
    pub reason: Option<String>,
    /// What bounds let go.
    pub let_go: u64,
    /// Which bounds those are.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub bounds: BTreeSet<Bound>,
    /// Its silence, for an alert about that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent: Option<SilentFacts>,
    /// Its last hour, for an alert about a surge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rush: Option<RushFacts>,
}

/// What is told of a source that brings much more than usual.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct RushFacts {
    /// Events of the last hour.
    pub events: u64,
    /// Those of the busiest hour of the four weeks before.
    pub busiest: u64,
}

/// What is told of a source that brings nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct SilentFacts {
    /// Whether it ever brought something.
    pub ever: bool,
    /// For how long it has not, in seconds: in steps of ten seconds, from ten minutes on of five, from two hours on of
    /// hours, so that it is not another one with every second.
    pub lasted_seconds: i64,
    /// How often something is expected, where the catalogue says so, in seconds.
    pub expected_seconds: Option<i64>,
    /// How long a silence is allowed, where the catalogue says so, in seconds.
    pub allowed_seconds: Option<i64>,
}

/// What is told of links that drift together.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct SharedFacts {
    /// Whether the parents bring more than their KPIs explain, or less.
    pub is_more: bool,
    /// How many drift to that side.
    pub drifting: usize,
    /// Of how many that are judged.
    pub judged: usize,
    /// How many go that way, where all of them as one say so and most of them alone do not.
    pub going: Option<usize>,
    /// Which drift, the surest first; at most [`SharedFacts::NAMED`].
    pub names: Vec<String>,
    /// The middle one of their first days.
    pub since: Option<jiff::civil::Date>,
    /// The parents against what their KPIs explain, as a share: the median.
    pub gap: Option<f64>,
    /// The KPIs against their usual levels, as a share: the median.
    pub kpi: Option<f64>,
    /// The parents against their usual levels, as a share: the median.
    pub parent: Option<f64>,
    /// Probability that it is no chance, 0 to 1.
    #[serde(default)]
    pub confidence: Option<f64>,
}

impl SharedFacts {
    /// Links that are named at most: what is kept of an alert does not grow with the number of links.
    pub const NAMED: usize = 100;
}

/// What is told of an entry that nobody typed in.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct EntryFacts {
    /// First day for which it is.
    pub from: jiff::civil::Date,
    /// Last day.
    pub last: jiff::civil::Date,
    /// Who should type it in.
    pub entered_by: Vec<String>,
}

/// What is told of an item that is open for too long.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct ItemFacts {
    /// What the key says.
    pub name: String,
    /// Title of its node.
    pub node: String,
    /// Dimension values of the node's instance, joined by " / "; empty without `each`.
    pub instance: String,
    /// Who answers for the node.
    pub owner: Option<String>,
    /// Event time of its start.
    pub started: Timestamp,
    /// Event time since then, in seconds; whole days or hours.
    pub age_seconds: i64,
    /// The age from which it is overdue, in seconds.
    pub allowed_seconds: i64,
}

/// The numbers behind a judgement of a link, for a message.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct LinkFigure {
    /// First day of it, as far as can be told.
    pub since: Option<jiff::civil::Date>,
    /// The parent against what its KPI explains, as a share: −0.3 is 30 % less. For a changed unit: times the usual size.
    pub gap: Option<f64>,
    /// The KPI against its usual level, as a share.
    pub kpi: Option<f64>,
    /// The parent against its usual level, as a share.
    pub parent: Option<f64>,
    /// Evidence as a share of what it takes to say so.
    pub evidence: Option<f64>,
    /// Probability that it is no chance, 0 to 1.
    pub confidence: Option<f64>,
    /// Days by which the parent follows.
    pub lag_days: Option<f64>,
    /// How strongly the parent follows, 0 to 1.
    pub strength: Option<f64>,
    /// Whose feed it is, `kpi` or `parent`, where it is about one.
    pub stream: Option<String>,
    /// Share of the answers expected of the parent since that came at their time, 0 to 1, where it is about its answer.
    #[serde(default)]
    pub answered: Option<f64>,
    /// Days from a move of the KPI to the middle of the parent's answer, as it was and as it is; the same where it is missing.
    #[serde(default)]
    pub answered_after: Option<[f64; 2]>,
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
    /// Weight in the owner's score, in points.
    #[serde(default)]
    pub weight: Option<f64>,
    /// Period, such as `2026-06`, `2026-Q3`.
    pub period: String,
    /// Value so far.
    pub value: Option<f64>,
    /// Target; of a band its middle.
    pub target: Option<f64>,
    /// The band, where the target is one.
    #[serde(default)]
    pub band: Option<Band>,
    /// Completion.
    pub completion: Option<f64>,
    /// Planned share by now; `None` of a total with a band, whose completion does not grow with the period.
    pub expected_share: Option<f64>,
    /// Pace.
    pub pace: Option<f64>,
    /// Projected final value.
    pub forecast: Option<f64>,
    /// Probability of meeting the target.
    pub target_probability: Option<f64>,
    /// Parts that do not come to it.
    #[serde(default)]
    pub unreconciled: Option<Mismatch>,
    /// Latest daily values, oldest first, for a sparkline.
    pub daily: Vec<Option<f64>>,
}

impl Facts {
    /// The numbers of the node and of what it serves, as the API and the alert log show them.
    pub fn numbers(&self) -> serde_json::Value {
        let of = |figure: &Figure| {
            serde_json::json!({
                "value": figure.value,
                "target": figure.target,
                "targetBand": figure.band.map(|band| [band.low, band.high]),
                "completion": figure.completion,
                "expectedShare": figure.expected_share,
                "pace": figure.pace,
            })
        };
        serde_json::json!({"node": self.node.as_ref().map(of), "parent": self.parent.as_ref().map(of)})
    }

    /// How much they matter, to rank alerts: what is missing to the plan, times the weight where there is one.
    pub fn impact(&self) -> Option<f64> {
        let figure = self.parent.as_ref().or(self.node.as_ref())?;
        let gap = (figure.expected_share? - figure.completion?).abs();
        let weight = self.node.as_ref().and_then(|node| node.weight);
        Some(gap * weight.unwrap_or(1.0))
    }

    /// How bad these numbers are, to find the peak of an episode: how far a KPI and its parent are apart in pace, or
    /// how far a node is behind its plan. Only numbers of one alert can be compared.
    pub(super) fn badness(&self) -> Option<f64> {
        if let Some(item) = &self.item {
            return Some(item.age_seconds as f64);
        }
        if let Some(source) = &self.source {
            return Some((source.rejected + source.let_go) as f64);
        }
        if let Some(shared) = &self.shared {
            return shared.gap.map(f64::abs);
        }
        let node = self.node.as_ref()?.pace?;
        match &self.parent {
            Some(parent) => Some((node - parent.pace?).abs()),
            None => Some(-node),
        }
    }
}

/// What is kept of one alert identity. Identities that never breached have none.
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
    /// Names of the sources that it is computed from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
    /// Where it stands.
    pub state: AlertState,
    /// Level it stands at (while pending: the level that is breached; inactive: the last one).
    pub severity: Severity,
    /// Number of episodes so far; part of every episode id.
    pub episodes: u64,
    /// Notices of the current or last episode so far.
    pub seq: u32,
    /// Event time at which the current or last episode fired.
    pub fired_at: Option<Timestamp>,
    /// Numbers at the last judgement.
    pub facts: Facts,
    /// Numbers when the current or last episode fired.
    pub facts_at_firing: Option<Facts>,
    /// Event time at which the period of this identity ends; `None`: it has no period.
    #[serde(default)]
    pub period_end: Option<Timestamp>,
    /// Clocks of the current stretch; empty while inactive.
    #[serde(default)]
    pub clocks: Clocks,
    /// Of the current and earlier episodes.
    #[serde(default)]
    pub history: History,
    /// Who knows what.
    #[serde(default)]
    pub told: Told,
}

/// One episode as the history keeps it: from its firing to its end, with the words of its beginning.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Episode {
    /// Identity of the alert.
    pub fingerprint: Fingerprint,
    /// Which episode of this identity, from 1.
    pub number: u64,
    /// Name of the rule.
    pub rule: String,
    /// Drift kind, or the rule's name.
    pub kind: String,
    /// Labels.
    pub labels: Labels,
    /// Level it stands at, or stood at when it ended.
    pub severity: Severity,
    /// Event time at which it fired.
    pub fired_at: Timestamp,
    /// Event time at which it ended; `None` while it runs.
    pub ended_at: Option<Timestamp>,
    /// Why it ended.
    pub end_reason: Option<ResolveReason>,
    /// Numbers when it fired.
    pub facts: Facts,
    /// Whether it ended before anybody was told of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub untold: bool,
}

/// What is known of episodes beside the records.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Past {
    /// How many episodes identities had whose records are forgotten: their next one goes on from there, so that no id
    /// comes twice.
    pub counts: Vec<(Fingerprint, u64)>,
    /// What ended since the digest that was sent the longest ago: at most [`Past::ENDED_MAX`], the newest.
    pub ended: Vec<Episode>,
}

impl Past {
    /// Episodes that are remembered for the next digest at most: a business that fires all the time must not fill the
    /// memory by the end of a month.
    pub const ENDED_MAX: usize = 10_000;
}

/// How long what is over is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Retention {
    /// Episodes, after their end in event time. Reviews compare with the year before.
    pub episodes: SignedDuration,
    /// What was told of them and what was held back, by the wall clock.
    pub notices: SignedDuration,
}

impl Retention {
    /// Nothing is let go: what a test expects is everything that was told.
    pub const FOR_EVER: Retention = Retention {
        episodes: SignedDuration::from_hours(1_000_000),
        notices: SignedDuration::from_hours(1_000_000),
    };
}

impl Default for Retention {
    fn default() -> Retention {
        Retention {
            episodes: SignedDuration::from_hours(800 * 24),
            notices: SignedDuration::from_hours(90 * 24),
        }
    }
}

impl AlertRecord {
    /// A record that says nothing yet.
    pub(crate) fn blank() -> AlertRecord {
        AlertRecord {
            fingerprint: fingerprint("", &Labels::new()),
            rule: String::new(),
            kind: String::new(),
            labels: Labels::new(),
            sources: Vec::new(),
            state: AlertState::Inactive,
            severity: Severity::INFO,
            episodes: 0,
            seq: 0,
            fired_at: None,
            facts: Facts::default(),
            facts_at_firing: None,
            period_end: None,
            clocks: Clocks::default(),
            history: History::default(),
            told: Told::default(),
        }
    }

    /// Whether it is about what tautline reads and does, and not about the business.
    pub fn is_technical(&self) -> bool {
        let facts = &self.facts;
        facts.source.is_some()
            || facts.delivery.is_some()
            || facts.crowd.is_some()
            || self.rule == super::rule_error::RULE_ERROR
            || DriftKind::is_about_feeds(&self.kind)
    }

    /// A record with these labels, for tests of what looks at labels.
    #[cfg(test)]
    pub(crate) fn sample(labels: Labels, severity: Severity) -> AlertRecord {
        AlertRecord {
            labels,
            severity,
            ..AlertRecord::blank()
        }
    }

    /// Moves what it says of levels to the ladder that holds now.
    pub(super) fn seat(&mut self, ladder: &Ladder) {
        let seat = |severity: &mut Severity| *severity = ladder.seat(*severity);
        seat(&mut self.severity);
        self.clocks.seat(ladder);
        self.history
            .levels
            .iter_mut()
            .for_each(|change| seat(&mut change.from));
        self.told.knows_flapping.values_mut().for_each(seat);
        let acked = self.told.ack.iter_mut();
        acked.filter_map(|ack| ack.severity.as_mut()).for_each(seat);
        let owed = self.told.owed.iter_mut().flat_map(|ended| {
            seat(&mut ended.severity);
            &mut ended.tellings
        });
        let closed = self
            .told
            .closed
            .iter_mut()
            .flat_map(|closed| &mut closed.tellings);
        let tellings = self.told.tellings.iter_mut().chain(owed).chain(closed);
        tellings
            .filter_map(|telling| telling.severity.as_mut())
            .for_each(seat);
    }

    /// The current or last episode; `None` before the first.
    pub fn episode(&self) -> Option<Episode> {
        let fired_at = self.fired_at.filter(|_| self.episodes > 0)?;
        let is_running = matches!(self.state, AlertState::Firing | AlertState::Recovering { .. });
        Some(Episode {
            fingerprint: self.fingerprint,
            number: self.episodes,
            rule: self.rule.clone(),
            kind: self.kind.clone(),
            labels: self.labels.clone(),
            severity: self.severity,
            fired_at,
            ended_at: self.history.ended_at.filter(|_| !is_running),
            end_reason: self.history.end_reason.filter(|_| !is_running),
            facts: self.facts_at_firing.clone().unwrap_or_default(),
            untold: self.history.untold && !is_running,
        })
    }
}

/// Clocks of event time. They stand still while there is no data or the rule cannot be evaluated.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Clocks {
    /// One a level that was breached since the alert left inactive.
    pub levels: Vec<LevelClock>,
    /// Breaching updates since it is pending; not counted on beyond what the rule needs.
    pub breaches: u32,
    /// Event time of the last counted update: the same watermark twice is one update.
    pub counted_at: Option<Timestamp>,
    /// Event time since when the clocks stand still; they move on by the gap when judgements are back.
    pub stopped_at: Option<Timestamp>,
}

impl Clocks {
    /// Moves the clocks to a ladder. Where two levels are one by now, the level is breached for as long as either is.
    fn seat(&mut self, ladder: &Ladder) {
        let mut seated: Vec<LevelClock> = Vec::new();
        for clock in self.levels.drain(..) {
            let clock = LevelClock {
                severity: ladder.seat(clock.severity),
                ..clock
            };
            match seated.iter_mut().find(|other| other.severity == clock.severity) {
                None => seated.push(clock),
                Some(other) if clock.breached && !other.breached => *other = clock,
                Some(other) if clock.breached == other.breached => {
                    other.since = match clock.breached {
                        true => other.since.min(clock.since),
                        false => other.since.max(clock.since),
                    };
                }
                Some(_) => {}
            }
        }
        self.levels = seated;
    }
}

/// Since when one level is breached without a break, or is not.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct LevelClock {
    /// The level.
    pub severity: Severity,
    /// Whether it, or a higher level, is breached now.
    pub breached: bool,
    /// Event time since when.
    pub since: Timestamp,
}

/// What is remembered of episodes.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct History {
    /// Event times at which the episodes of the last month fired, the current or last one included; oldest first.
    pub fired: Vec<Timestamp>,
    /// Event time at which the last episode ended. While one is running: the end of the one before.
    pub ended_at: Option<Timestamp>,
    /// Why it ended.
    pub end_reason: Option<ResolveReason>,
    /// How often the current or last episode began to recover and fell back.
    pub relapses: u32,
    /// The worst numbers of the current or last episode, where they can be compared.
    pub peak: Option<Facts>,
    /// The latest changes of level of the current or last episode; oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub levels: Vec<LevelChange>,
    /// Whether the last episode ended before anybody was told of it.
    #[serde(default)]
    pub untold: bool,
    /// Episodes follow each other too fast to tell each.
    pub flapping: bool,
}

/// An episode got worse, or less bad.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct LevelChange {
    /// Event time.
    pub at: Timestamp,
    /// The level before.
    pub from: Severity,
}

impl History {
    /// Changes of level that are kept of an episode: one that goes up and down must not grow its record by each.
    pub const LEVELS_MAX: usize = 20;

    /// The level at an event time, if it is another one by now.
    pub fn level_at(&self, at: Timestamp, now: Severity) -> Option<Severity> {
        let after = self.levels.iter().find(|change| change.at > at);
        after.map(|change| change.from).filter(|from| *from != now)
    }

    /// Notes that the level changes.
    pub(super) fn note_level(&mut self, change: LevelChange) {
        if self.levels.len() == History::LEVELS_MAX {
            self.levels.remove(0);
        }
        self.levels.push(change);
    }
}

/// Who has been told of what. Notices are what brings this and the state together.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(from = "KeptTold")]
pub struct Told {
    /// Receivers who know of the current episode, or are to be told of it.
    pub tellings: Vec<Telling>,
    /// The level at which receivers were told that it is flapping.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub knows_flapping: BTreeMap<String, Severity>,
    /// Episodes that ended and whose receivers do not know yet; oldest first.
    pub owed: Vec<Ended>,
    /// Episodes that were over before somebody's turn to hear of them, while that is not written down.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub untold: Vec<Untold>,
    /// Who has taken the current episode.
    pub ack: Option<Ack>,
    /// What was told of the end of its period.
    pub closed: Option<Closed>,
    /// What is true of it after all, while it is not told yet.
    pub correction: Option<Correction>,
}

/// What one receiver knows of the current episode. Times are of the wall clock.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Telling {
    /// Name of the receiver.
    pub receiver: String,
    /// The route that leads there.
    #[serde(default)]
    pub route: String,
    /// What the alerts share that are told together with it.
    #[serde(default)]
    pub group: Labels,
    /// The step of the route's escalation that leads there.
    #[serde(default)]
    pub rung: Option<u32>,
    /// The level that they know of; `None`: they know nothing yet.
    pub severity: Option<Severity>,
    /// Since when it waits to be told.
    pub since: Timestamp,
    /// When they were first told.
    #[serde(default)]
    pub first_told_at: Option<Timestamp>,
    /// When they were last pinged.
    #[serde(default)]
    pub told_at: Option<Timestamp>,
    /// How often they were told since then that it still fires.
    #[serde(default)]
    pub repeats: u32,
    /// Whether they know who has taken it.
    #[serde(default)]
    pub knows_ack: bool,
    /// Why they are not told; empty: nothing is in the way.
    #[serde(default)]
    pub held: Vec<String>,
    /// Whether it waits for the next summary, because too much is new at once.
    #[serde(default)]
    pub storm: bool,
    /// When they were last not told that it still fires, because somebody has acknowledged it.
    #[serde(default)]
    pub spared_at: Option<Timestamp>,
    /// Why they are told now and were not before.
    #[serde(default)]
    pub because: Option<Because>,
}

impl Telling {
    /// Somebody who is to be told.
    pub fn new(receiver: &str, route: &Route, record: &AlertRecord, now: Timestamp) -> Telling {
        Telling {
            receiver: receiver.to_owned(),
            route: route.id.clone(),
            group: route.group_of(record),
            rung: None,
            severity: None,
            since: now,
            first_told_at: None,
            told_at: None,
            repeats: 0,
            knows_ack: false,
            held: Vec::new(),
            storm: false,
            spared_at: None,
            because: None,
        }
    }

    /// Names of the times in which the receiver is not told.
    pub fn muted_by(&self) -> Vec<&str> {
        let times = self.held.iter().filter_map(|held| {
            let muted = held.strip_prefix("mute ");
            muted.or_else(|| held.strip_prefix("outside "))
        });
        times.collect()
    }
}

/// A finished episode whose receivers do not know yet: it waits for its time, was decided while nobody could be told, or
/// is held back because it is flapping.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Ended {
    /// Number of the episode.
    pub episode: u64,
    /// Notices of it so far.
    pub seq: u32,
    /// Who was told that it fired, and not yet that it is over.
    #[serde(default)]
    pub tellings: Vec<Telling>,
    /// When its end was first seen by who tells it, by the wall clock.
    #[serde(default)]
    pub since: Option<Timestamp>,
    /// Why it ended.
    pub reason: ResolveReason,
    /// Level at its end.
    pub severity: Severity,
    /// Event time at which it fired.
    pub fired_at: Timestamp,
    /// Event time at which it ended.
    pub ended_at: Timestamp,
    /// Numbers at its end.
    pub facts: Facts,
    /// Numbers when it fired.
    pub facts_at_firing: Option<Facts>,
    /// Its worst numbers.
    pub peak: Option<Facts>,
}

/// A finished episode that nothing kept from being told but its end.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Untold {
    /// Number of the episode.
    pub episode: u64,
    /// Names of those who would have been told.
    pub receivers: Vec<String>,
}

/// What was told of the end of a period. Late events may make it wrong.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Closed {
    /// Number of the episode.
    pub episode: u64,
    /// Notices of it so far.
    pub seq: u32,
    /// Who was told.
    pub tellings: Vec<Telling>,
    /// What they were told.
    pub verdict: Verdict,
    /// Event time at which the episode fired.
    pub fired_at: Timestamp,
}

/// What is true of a closed period after all.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Correction {
    /// How it ended.
    pub verdict: Verdict,
    /// The numbers.
    pub facts: Facts,
}

/// What is kept of [`Told`]; older versions knew receivers by name only, and one finished episode.
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct KeptTold {
    tellings: Vec<Telling>,
    knows_flapping: BTreeMap<String, Severity>,
    owed: KeptOwed,
    untold: Vec<Untold>,
    ack: Option<Ack>,
    closed: Option<Closed>,
    correction: Option<Correction>,
    receivers: Vec<String>,
    severity: Option<Severity>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum KeptOwed {
    All(Vec<Ended>),
    One(Option<Box<KeptEnded>>),
}

#[derive(Deserialize)]
struct KeptEnded {
    receivers: Vec<String>,
    #[serde(flatten)]
    ended: Ended,
}

impl Default for KeptOwed {
    fn default() -> KeptOwed {
        KeptOwed::All(Vec::new())
    }
}

impl From<KeptTold> for Told {
    fn from(kept: KeptTold) -> Told {
        let telling = |receiver: String, severity: Option<Severity>| Telling {
            severity,
            first_told_at: Some(Timestamp::UNIX_EPOCH),
            // Nobody knows when: it is repeated when it would be if that had been just now.
            told_at: None,
            ..Telling::new(
                &receiver,
                &Route::to_receiver(&receiver),
                &AlertRecord::blank(),
                Timestamp::UNIX_EPOCH,
            )
        };
        let mut tellings = kept.tellings;
        tellings.extend(
            kept.receivers
                .into_iter()
                .map(|receiver| telling(receiver, kept.severity)),
        );
        let owed = match kept.owed {
            KeptOwed::All(all) => all,
            KeptOwed::One(one) => one
                .map(|one| {
                    let severity = Some(one.ended.severity);
                    let tellings = one
                        .receivers
                        .into_iter()
                        .map(|receiver| telling(receiver, severity));
                    Ended {
                        tellings: tellings.collect(),
                        ..one.ended
                    }
                })
                .into_iter()
                .collect(),
        };
        Told {
            tellings,
            knows_flapping: kept.knows_flapping,
            owed,
            untold: kept.untold,
            ack: kept.ack,
            closed: kept.closed,
            correction: kept.correction,
        }
    }
}
