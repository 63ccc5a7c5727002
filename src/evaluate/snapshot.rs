//! The snapshot: every number behind the page, the metrics and the rules, at one watermark.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp, civil};
use serde::Serialize;

use super::burn::Burn;
pub use super::drift::link::Ranges;
use super::instances::{Arrivals, Family, Instances};
use super::intake::Recent;
use super::outlook::Outlook;
use super::silence::Silent;
use crate::catalog::attribute::DriftKind;
use crate::catalog::{Band, Catalog, Level, NodeId, PeriodKind, Relation, Role};
use crate::fold::day::Day;

/// Local days whose values are shown of a node, and looked at again as its link is judged: what is later than this the
/// judgement does not see. Feeds are kept with as many.
pub const LATEST_DAYS: usize = 48;

/// Event time up to which every live partition has been read, less allowed lateness. Only moves forward.
pub type Watermark = Timestamp;

/// A node instance: the node and its values of the `each` dimensions (empty without `each`).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct InstanceKey {
    /// The node.
    pub node: NodeId,
    /// Values in the order of the node's `each`.
    pub dimensions: Arc<[Arc<str>]>,
}

/// A half-open period of local days, `[start, end)`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Period {
    /// What kind.
    pub kind: PeriodKind,
    /// First day.
    pub start: civil::Date,
    /// The day after the last.
    pub end: civil::Date,
}

/// Pace, or why there is none.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Pace {
    /// Completion against planned share; 1.0 is on plan.
    Ratio(f64),
    /// Less than `min_share` of the period has passed, or it has brought fewer than `min_count` events.
    TooEarly,
    /// The metric's definition has not seen the period from its beginning.
    NewDefinition,
    /// No target, or no value.
    None,
}

impl Pace {
    /// The ratio, if there is one.
    pub fn ratio(self) -> Option<f64> {
        match self {
            Pace::Ratio(ratio) => Some(ratio),
            Pace::TooEarly | Pace::NewDefinition | Pace::None => None,
        }
    }
}

/// Parts that do not come to their whole. One side at least is an amount.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, serde::Deserialize)]
pub struct Mismatch {
    /// Whether it is between targets; else between values.
    pub of_target: bool,
    /// Of the node; `None` where it cannot be computed.
    pub whole: Option<f64>,
    /// What its parts come to; `None` where they come to nothing that can be computed.
    pub parts: Option<f64>,
}

impl Mismatch {
    /// The difference as a share of the whole. Of nothing, and of what cannot be computed, everything is the whole of
    /// it: 1.
    pub fn share(&self) -> f64 {
        match (self.whole, self.parts) {
            (Some(whole), Some(parts)) if whole == parts => 0.0,
            (Some(whole), Some(parts)) if whole != 0.0 => ((parts - whole) / whole).abs(),
            _ => 1.0,
        }
    }
}

/// The feed of a node that no link watches, at the last day close.
#[derive(Clone, PartialEq, Debug)]
pub struct FeedState {
    /// Days of a silence that is longer than chance explains; 0: none.
    pub silent_days: u32,
    /// Its first day.
    pub silent_since: Option<civil::Date>,
    /// Probability that it is no chance.
    pub silent_confidence: Option<f64>,
    /// How many times their usual size values are since their unit changed; 1: it did not.
    pub factor: f64,
    /// The first day of that.
    pub changed_since: Option<civil::Date>,
    /// Probability that it is no chance, at the least.
    pub changed_confidence: Option<f64>,
}

impl Default for FeedState {
    fn default() -> FeedState {
        FeedState {
            silent_days: 0,
            silent_since: None,
            silent_confidence: None,
            factor: 1.0,
            changed_since: None,
            changed_confidence: None,
        }
    }
}

/// A link at the last day close.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct LinkState {
    /// What is wrong with it.
    pub findings: Vec<LinkFinding>,
    /// Evidence by kind, in the order of [`DriftKind::ALL`], as a share of what it takes to say so; 1 and more is said.
    pub scores: [f64; 7],
    /// Probability that it is no chance that the parent brings less, or more, than its KPI explains, by the latest window; `None`
    /// of what a month closed with.
    pub sure: Option<[f64; 2]>,
    /// How far the parent is from what its KPI explains, as a share; `None` before the warm-up is over.
    pub parent_gap: Option<f64>,
    /// How strongly the parent follows, 0 to 1; `None` before it can be told.
    pub strength: Option<f64>,
    /// How many days later the parent follows.
    pub lag_days: Option<f64>,
    /// Per cent by which the parent moves when the KPI moves by one; `None` where the link is too weak to tell.
    pub elasticity: Option<f64>,
    /// How sure strength, lag and elasticity are; `None` before it can be told, and of what a month closed with.
    pub ranges: Option<Ranges>,
    /// Days judged so far.
    pub judged_days: u32,
}

/// Something that is wrong with a link.
#[derive(Clone, PartialEq, Debug)]
pub struct LinkFinding {
    /// What.
    pub kind: DriftKind,
    /// First day of it, as far as can be told.
    pub since: Option<civil::Date>,
    /// The parent against what its KPI explains, as a share; for a changed unit, times the usual size.
    pub gap: Option<f64>,
    /// The KPI against its usual level, as a share.
    pub kpi: Option<f64>,
    /// The parent against its usual level, as a share.
    pub parent: Option<f64>,
    /// Evidence as a share of what it takes to say so.
    pub evidence: Option<f64>,
    /// Probability that it is no chance; how it is reckoned of each kind, `docs/detection.md` says. `None` of what a test puts in.
    pub confidence: Option<f64>,
    /// Whose feed it is, `kpi` or `parent`, where it is about one.
    pub stream: Option<&'static str>,
    /// Share of the answers expected of the parent since that came at their time, where it is about its answer.
    pub answered: Option<f64>,
    /// Days from a move of the KPI to the middle of the parent's answer, as it was and as it is; the same where it is missing.
    pub lag_days: Option<[f64; 2]>,
}

impl LinkState {
    /// Evidence for a kind.
    pub fn score(&self, kind: DriftKind) -> f64 {
        self.scores[kind as usize]
    }

    /// The elasticity, unless the link has come apart: then the KPI's moves explain nothing.
    pub fn elasticity_in_force(&self) -> Option<f64> {
        self.elasticity.filter(|_| self.findings.is_empty())
    }

    /// What is found of a kind.
    pub fn finding(&self, kind: DriftKind) -> Option<&LinkFinding> {
        self.findings.iter().find(|finding| finding.kind == kind)
    }
}

/// What links that serve the same say together.
#[derive(Clone, PartialEq, Debug)]
pub struct SharedDrift {
    /// What they serve; without dimension values of a node that has some: all of its instances.
    pub key: InstanceKey,
    /// Whether it brings more than their KPIs explain, or less.
    pub is_more: bool,
    /// Links that drift to that side, as a share of more than half of them, or what all of them say as one; 1 and more is said.
    pub evidence: f64,
    /// Links that are judged.
    pub judged: usize,
    /// How many go that way, if ever so little, where all of them as one say so and most of them alone do not.
    pub going: Option<usize>,
    /// The KPIs of those that drift to that side since the same days, the surest first.
    pub drifting: Vec<InstanceKey>,
    /// The middle one of their first days; of all as one, the first.
    pub since: Option<civil::Date>,
    /// How far their parents are from what is explained, as a share: the median, or of all as one.
    pub gap: Option<f64>,
    /// Their KPIs against usual levels, likewise.
    pub kpi: Option<f64>,
    /// Their parents against usual levels, likewise.
    pub parent: Option<f64>,
    /// Probability that it is no chance that more than half of them say so, however they hang together, or that all as one do;
    /// `None` where fewer say so.
    pub confidence: Option<f64>,
}

/// One node instance at the watermark.
#[derive(Clone, Debug)]
pub struct NodeState {
    /// Which.
    pub key: InstanceKey,
    /// Its parent instance, if any: same values for the dimensions that the parent has.
    pub parent: Option<InstanceKey>,
    /// The running period.
    pub period: Period,
    /// Value for the period so far; `None`: no value (an empty ratio), never a made-up 0.
    pub value: Option<f64>,
    /// Target of the period; of a band its middle.
    pub target: Option<f64>,
    /// The band, where the target is one.
    pub band: Option<Box<Band>>,
    /// Actual against target, by direction and baseline.
    pub completion: Option<f64>,
    /// Share of the target that the plan expects by now, 0 to 1.
    pub expected_share: f64,
    /// Share of the period that has passed, 0 to 1.
    pub elapsed: f64,
    /// Pace.
    pub pace: Pace,
    /// Projected value at the period's end.
    pub forecast: Option<f64>,
    /// Probability of meeting the target.
    pub target_probability: Option<f64>,
    /// The distribution behind both, of a total with some history.
    pub outlook: Option<Outlook>,
    /// The standard deviation of the forecast of a level, once that can be told.
    pub level_spread: Option<f64>,
    /// How far its parts are from coming to it; `None` where it has none to compare with. Of thousands of parts as of the last
    /// whole minute.
    pub unreconciled: Option<Box<Mismatch>>,
    /// What the judgement says of its link to its parent; `None` where there is none to judge.
    pub link: Option<Arc<LinkState>>,
    /// What is said of its feed by itself; `None` where links watch it, and before anything has come.
    pub feed: Option<Arc<FeedState>>,
    /// Since when its metric is counted as it is declared now: what came before is not in its numbers, and not compared
    /// with. `None`: from its first event on.
    pub counted_since: Option<Timestamp>,
    /// The first local day that knew of it, by an event or a target; `None`: nothing has named it yet.
    pub seen_from: Option<Day>,
    /// Of a metric that people type in, and are due to: the latest entry that should be there.
    pub entry_due: Option<Box<EntryDue>>,
    /// How much faster than of late it would have to go to meet its target.
    pub burn: Burn,
    /// Values of the latest local days since its first event, oldest first, today last, at most [`LATEST_DAYS`];
    /// `None` where there is no value.
    pub daily: Arc<[Option<f64>]>,
}

/// An entry that is due: the days for which it is, and whether somebody has typed it in.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct EntryDue {
    /// First day.
    pub from: civil::Date,
    /// The day after the last one.
    pub to: civil::Date,
    /// Days since then; 0 when the entry is there.
    pub late_days: f64,
}

/// Items of an instance that have begun and not ended.
#[derive(Clone, Debug)]
pub struct OpenItems {
    /// The instance.
    pub key: InstanceKey,
    /// How many there are.
    pub count: u64,
    /// How many of them are overdue.
    pub overdue: u64,
    /// The age from which an item is overdue, if one is.
    pub overdue_after: Option<SignedDuration>,
    /// The oldest first: all that are overdue, and the 100 oldest at least.
    pub items: Vec<OpenItem>,
}

/// An item that has begun and not ended.
#[derive(Clone, Debug)]
pub struct OpenItem {
    /// What the key says.
    pub name: Arc<str>,
    /// Event time of its start.
    pub started: Timestamp,
    /// Event time since then.
    pub age: SignedDuration,
    /// Whether it is older than the node's `overdue_after`.
    pub is_overdue: bool,
}

impl NodeState {
    /// The band, where the target is one.
    pub fn band(&self) -> Option<Band> {
        self.band.as_deref().copied()
    }

    /// Whether its numbers say something of the period; else its definition has not seen the period from its beginning.
    pub fn is_judged(&self) -> bool {
        self.pace != Pace::NewDefinition
    }

    /// The range in which the period ends with a probability of 80 %: of a total by what past days say of its forecast, of a
    /// level four fifths of a normal distribution around it. `None` before either can be told.
    pub fn range80(&self) -> Option<(f64, f64)> {
        /// The middle four fifths of a normal distribution reach so many deviations to each side.
        const FOUR_FIFTHS: f64 = 1.281_551_6;
        match &self.outlook {
            Some(outlook) => outlook.range(0.8),
            None => {
                let (value, reach) = (self.forecast?, FOUR_FIFTHS * self.level_spread?);
                Some((value - reach, value + reach))
            }
        }
    }

    /// An instance of which nothing is known yet but its period.
    pub fn unknown(key: InstanceKey, parent: Option<InstanceKey>, period: Period) -> NodeState {
        NodeState {
            key,
            parent,
            period,
            value: None,
            target: None,
            band: None,
            completion: None,
            expected_share: 0.0,
            elapsed: 0.0,
            pace: Pace::None,
            forecast: None,
            target_probability: None,
            outlook: None,
            level_spread: None,
            unreconciled: None,
            link: None,
            feed: None,
            counted_since: None,
            seen_from: None,
            entry_due: None,
            burn: Burn::NONE,
            daily: Arc::from([]),
        }
    }

    /// Takes back what only a whole period can say.
    pub(super) fn withhold(&mut self) {
        self.completion = None;
        self.pace = Pace::NewDefinition;
        self.forecast = None;
        self.outlook = None;
        self.level_spread = None;
        self.target_probability = None;
    }
}

/// What people and rules need to know of a node besides its numbers; the same for all its instances.
#[derive(Clone, Debug, Serialize)]
pub struct NodeInfo {
    /// Name in the catalogue.
    pub name: String,
    /// Title for people.
    pub title: String,
    /// Business or KPI.
    pub role: Role,
    /// Level.
    pub level: Level,
    /// Name of the parent.
    pub parent: Option<String>,
    /// How it serves its parent.
    pub relation: Option<Relation>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Weight in points, as it is in force for the running period.
    pub weight: Option<f64>,
    /// Unit of the metric.
    pub unit: Option<String>,
    /// Names of the `each` dimensions.
    pub each: Vec<String>,
    /// Since when its metric is reckoned of others as it is now; `None` for one that was never reckoned otherwise. Its
    /// numbers are reckoned anew back to the first day, and its links are not.
    #[serde(rename = "reckonedSince")]
    pub reckoned_since: Option<Timestamp>,
}

/// How a source is doing.
#[derive(Clone, Debug, Serialize)]
pub struct SourceState {
    /// Name in the catalogue.
    pub name: String,
    /// Its watermark, seconds since the epoch; `None` before the first event.
    pub watermark_seconds: Option<f64>,
    /// Records between what was read and the end of its partitions; `None` while unknown.
    pub lag_records: Option<u64>,
    /// Events by outcome since start: `folded`, `filtered`, `duplicate`, and one entry a reason of rejection.
    pub outcomes: BTreeMap<String, u64>,
    /// Ids forgotten since start before their time, because there were more than `dedup_max_keys`.
    pub evicted_ids: u64,
    /// Events since start that were folded although they came later than `lateness` allows.
    pub late: u64,
    /// Its silence.
    pub silent: Silent,
}

/// Everything at one watermark.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The watermark; `None` before the first event.
    pub watermark: Option<Watermark>,
    /// Nodes by [`NodeId`], with the weights of the running periods.
    pub nodes: Arc<[NodeInfo]>,
    /// Instances, in tree order (a parent before its children).
    pub instances: Instances,
    /// Who serves whom among them; empty in one that was not evaluated.
    pub family: Arc<Family>,
    /// Number of the snapshot among those of its evaluator.
    pub serial: u64,
    /// Which of them may be another than in the one with the number before.
    pub changed: Changed,
    /// Instances that have open items, in the order of `instances`.
    pub items: Vec<OpenItems>,
    /// Sources, in catalogue order.
    pub sources: Vec<SourceState>,
    /// Keys forgotten since start because there were more than `max_keys`, by metric; only of metrics that forgot any.
    pub evicted_keys: BTreeMap<String, u64>,
    /// Items forgotten since start because there were more than `max_items`, by metric.
    pub evicted_items: BTreeMap<String, u64>,
    /// Starts and ends of items forgotten since start because one item had too many, by metric.
    pub dropped_marks: BTreeMap<String, u64>,
    /// What links say together; in the order of parents.
    pub shared: Arc<[SharedDrift]>,
    /// What came of each source lately, by [`SourceId`](crate::catalog::SourceId).
    pub intake: Vec<Recent>,
    /// Events since start that count as "other" because there were more combinations than `max_cells`, by metric.
    pub events_in_other: BTreeMap<String, u64>,
    /// Events since start that were let go because their day is no longer kept, by metric.
    pub events_too_old: BTreeMap<String, u64>,
    /// Events since start with a dimension value or an item's name longer than `evaluate.max_value_bytes`, by metric.
    pub long_values: BTreeMap<String, u64>,
}

/// Instances that may differ from those of the snapshot before.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Changed {
    /// All of them: some have gone, many have come, or it is a later minute.
    #[default]
    All,
    /// Some of them.
    Some {
        /// Where they stand, ascending.
        at: Vec<u32>,
        /// Those of them that were not there before.
        arrivals: Arrivals,
    },
}

impl Snapshot {
    /// Who serves whom.
    pub fn family(&self) -> Arc<Family> {
        if self.family.len() == self.instances.len() {
            self.family.clone()
        } else {
            Arc::new(Family::of(&self.instances))
        }
    }

    /// Weight of an instance's node in points, as it is in force for its running period.
    pub fn weight(&self, catalog: &Catalog, key: &InstanceKey) -> Option<f64> {
        let info = self.nodes.get(key.node.0 as usize);
        info.map_or(catalog.node(key.node).weight, |info| info.weight)
    }
}
