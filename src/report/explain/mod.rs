//! `tautline explain NODE`: every number behind a node's state, each with what it was made from, down to days and
//! thresholds.

mod health;
#[cfg(test)]
mod tests;
mod text;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

use super::past::Past;
use super::{NamedPeriod, is_about, title_of};
use crate::alert::judge;
use crate::alert::record::{AlertRecord, AlertState, Episode, Labels};
use crate::catalog::attribute::DriftKind;
use crate::catalog::expr::Value;
use crate::catalog::severity::by_name;
use crate::catalog::{
    Band, Calendar, Catalog, Direction, GrowthBase, Level, Node, NodeId, Profile, Relation, Role, Rule,
    RuleOn, Severity, Target,
};
use crate::evaluate::attribution::{self, Account, LeftOut, Untold};
use crate::evaluate::drill;
use crate::evaluate::outlook::Outlook;
use crate::evaluate::weights::{Line, Setting};
use crate::evaluate::{Estimate, InstanceKey, LinkState, NodeState, Pace, Period, Ranges, Snapshot};
use crate::words::definition;

pub use health::{FeedFinding, HealthText, MaskedDay, SourceAlert, SourceNow, SourceText, Watched};
pub use text::text;

/// How a missing value is written.
const MISSING: &str = "—";

/// Everything behind one instance at one moment.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Explanation {
    /// Name in the catalogue.
    pub node: String,
    /// Title for people.
    pub title: String,
    /// Values of the `each` dimensions.
    pub dimensions: BTreeMap<String, String>,
    /// Business or KPI.
    pub role: Role,
    /// Level.
    pub level: Level,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Weight in points.
    pub weight: Option<f64>,
    /// What has been in force for it, and what is proposed; nothing where it is what was declared at first.
    pub weights: Option<WeightsText>,
    /// Where the node is declared.
    pub declared_at: String,
    /// The moment that is explained.
    pub at: Timestamp,
    /// The period that holds it.
    pub period: NamedPeriod,
    /// The metric on one line, and where it is declared.
    pub metric: String,
    /// Where the metric is declared.
    pub metric_declared_at: String,
    /// Unit.
    pub unit: Option<String>,
    /// Whether the value grows with the period.
    pub accumulates: bool,
    /// Value so far.
    pub value: Option<f64>,
    /// What of the value is an estimate; the rest is exact.
    pub estimates: BTreeSet<Estimate>,
    /// What each day of the period brought so far.
    pub days: Vec<DayValue>,
    /// Target; of a band its middle.
    pub target: Option<f64>,
    /// The band, where the target is one.
    pub band: Option<Band>,
    /// Where the target comes from.
    pub target_from: TargetFrom,
    /// Value at which completion is 0.
    pub baseline: Option<f64>,
    /// Whether less is better.
    pub lower_is_better: bool,
    /// Actual against target.
    pub completion: Option<f64>,
    /// Share of the period that has passed.
    pub elapsed: f64,
    /// Share of the target that the plan expects by now.
    pub expected_share: f64,
    /// What the plan expects by now, in the unit of the value.
    pub planned: Option<f64>,
    /// What the plan follows: `linear`, `workdays`, `last_year`, `file`, `flat` or `default`.
    pub profile: &'static str,
    /// Pace.
    pub pace: Option<f64>,
    /// How many times as fast as of late it would have to go to meet its target, 0 to 10.
    pub burn: Option<f64>,
    /// Whether it is too early for a pace, and until which planned share.
    pub too_early_before: Option<f64>,
    /// Whether it is too early because the period has brought fewer events than this.
    pub too_few_below: Option<u64>,
    /// Since when the metric is counted as it is declared now, where that is not from its first event on.
    pub counted_since: Option<Timestamp>,
    /// Since when the metric is reckoned of others as it is now, where it was reckoned otherwise before.
    pub reckoned_since: Option<Timestamp>,
    /// Whether it has been counted so for the whole period; else nothing is judged.
    pub judged: bool,
    /// Projected value at the period's end.
    pub forecast: Option<f64>,
    /// What of it is yet to come of days before today, where data is late.
    pub forecast_late: Option<f64>,
    /// Range in which it ends with a probability of 80 %.
    pub forecast_range: Option<(f64, f64)>,
    /// Probability of meeting the target.
    pub target_probability: Option<f64>,
    /// The parent's numbers.
    pub parent: Option<ParentText>,
    /// What the judgement of its link knows; of the past what it knew as the last month closed.
    pub link: Option<LinkText>,
    /// Why nothing is known of a link that is judged.
    pub unlinked: Option<Unlinked>,
    /// Health of what it is computed from.
    pub health: HealthText,
    /// Rules that judge it, with what they read.
    pub rules: Vec<RuleText>,
    /// What its distance from plan is made of.
    pub accounts: Vec<AccountText>,
    /// What it would be made of, where that cannot be told.
    pub accounts_left_out: Vec<LeftOutText>,
    /// The fewest dimension values that it comes from, the most surprising split first.
    pub drills: Vec<DrillText>,
    /// Dimensions that its metric declares and by which nothing is counted, so nothing can be said of them.
    pub not_counted_by: Vec<String>,
}

/// The weights of a KPI and its siblings.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct WeightsText {
    /// Title of the parent.
    pub parent: String,
    /// What was decided up to then, the oldest first.
    pub history: Vec<Setting>,
    /// What waits for a decision.
    pub proposed: Option<Line>,
}

/// What one day brought.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct DayValue {
    /// The day.
    pub day: Date,
    /// What it brought; `None` where there is no value.
    pub value: Option<f64>,
}

/// Where a target comes from.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetFrom {
    /// There is none.
    None,
    /// The same number every period.
    Fixed,
    /// Growth over a base.
    Growth {
        /// 0.3 for 30 %.
        growth: f64,
        /// What it grows over.
        base: f64,
        /// The year of the base; `None` for a stated value.
        year: Option<i16>,
    },
    /// A line of a target file.
    File {
        /// Since when it is known; `None`: always.
        announced: Option<Date>,
    },
}

/// The parent at the same moment.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ParentText {
    /// Name in the catalogue.
    pub node: String,
    /// Title with dimension values.
    pub title: String,
    /// How it is served.
    pub relation: Relation,
    /// Completion.
    pub completion: Option<f64>,
    /// Share of its target that its plan expects by now.
    pub expected_share: f64,
    /// Pace.
    pub pace: Option<f64>,
}

/// What the judgement of a link knows.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct LinkText {
    /// The day whose close it is of, where that is not the last one.
    pub as_of: Option<Date>,
    /// How strongly the parent follows, 0 to 1.
    pub strength: Option<f64>,
    /// How many days later it follows.
    pub lag_days: Option<f64>,
    /// Per cent by which the parent moves when it moves by one.
    pub elasticity: Option<f64>,
    /// Where these three lie with a probability of four fifths; `None` of the past.
    pub ranges: Option<Ranges>,
    /// How far the parent is from what its KPI explains, as a share.
    pub parent_gap: Option<f64>,
    /// Days judged so far.
    pub judged_days: u32,
    /// Whose values come to less than 0 of late: such a link is not judged, there is no ratio of them.
    pub below_zero: Option<LinkSide>,
    /// What is wrong with it, feeds aside; of the past it is not kept.
    pub findings: Vec<LinkFound>,
    /// Evidence by kind, as a share of what it takes to say so.
    pub evidence: BTreeMap<&'static str, f64>,
}

/// Something that is wrong with a link.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct LinkFound {
    /// What.
    pub kind: &'static str,
    /// First day of it, as far as can be told.
    pub since: Option<Date>,
    /// Probability that it is no chance.
    pub confidence: Option<f64>,
}

/// A side of a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkSide {
    /// The KPI.
    Kpi,
    /// What it serves.
    Parent,
}

/// Why nothing is known of a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case", tag = "why")]
pub enum Unlinked {
    /// A side has brought nothing yet.
    NoData {
        /// Which.
        side: LinkSide,
    },
    /// No day has closed since both have.
    NotClosed,
    /// It is about the past, and by then no month had closed.
    Past,
}

/// One rule on this instance.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct RuleText {
    /// Name.
    pub rule: String,
    /// On the node, or on the link to its parent.
    pub on_link: bool,
    /// Levels: severity, condition as written, seconds for which it must hold.
    pub levels: Vec<LevelText>,
    /// Clear condition as written.
    pub clear: Option<String>,
    /// What it read: names of its conditions with their values.
    pub readings: Vec<(String, String)>,
    /// Where its alert stood; of the past, pending is not known.
    pub state: StateText,
}

/// One level of a rule.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct LevelText {
    /// Severity.
    #[serde(serialize_with = "by_name")]
    pub severity: Severity,
    /// Condition as written.
    pub when: String,
    /// For how many seconds of event time it must hold.
    pub for_seconds: f64,
}

/// Where an alert stands.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum StateText {
    /// Nothing to say.
    Inactive,
    /// Its values of `each` are new: nothing begins before then.
    New {
        /// When.
        until: Timestamp,
    },
    /// Breaching, not for long enough yet.
    Pending {
        /// Since when.
        since: Timestamp,
    },
    /// People know.
    Firing {
        /// Since when.
        since: Timestamp,
        /// Level.
        #[serde(serialize_with = "by_name")]
        severity: Severity,
    },
}

/// One account of the distance from plan.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct AccountText {
    /// How the parts make it up.
    pub relation: Relation,
    /// Each part with its amount, the largest first.
    pub parts: Vec<PartText>,
    /// What they do not explain.
    pub not_explained: f64,
}

/// One part.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct PartText {
    /// Title with dimension values.
    pub title: String,
    /// Contribution in the unit of the whole; `None` where it is not known.
    pub amount: Option<f64>,
    /// Why it is not known.
    pub untold: Option<Untold>,
}

/// An account of the distance from plan that cannot be made.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct LeftOutText {
    /// How the parts would make it up.
    pub relation: Relation,
    /// Title of the first part that stands in the way, where it is one.
    pub part: Option<String>,
    /// Why.
    pub untold: Untold,
}

/// Where most of the distance comes from, along one split.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct DrillText {
    /// Name of the node that is split so.
    pub node: String,
    /// Dimensions that it is split by and the whole is not.
    pub dimensions: Vec<String>,
    /// The smallest set of values, the largest contribution first.
    pub parts: Vec<DrillPart>,
    /// How many other values there are.
    pub others: usize,
    /// What all values together leave of the distance.
    pub not_explained: f64,
    /// The same as a share of it.
    pub not_explained_share: f64,
}

/// One value of a split.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct DrillPart {
    /// Dimension values.
    pub values: Vec<String>,
    /// How far it is from what was expected of it.
    pub amount: f64,
    /// The same as a share of the whole's distance.
    pub share: f64,
}

/// Why a node cannot be explained.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum Unexplained {
    /// There is no such node.
    #[error("no node '{name}' in the catalogue{}", super::did_you_mean(.nearest.as_deref()))]
    NoNode {
        /// What was asked for.
        name: String,
        /// The nearest name.
        nearest: Option<String>,
    },
    /// There has been no event yet.
    #[error("there is nothing to explain yet: no event has been read into this state")]
    NoEvents,
    /// It was not there then.
    #[error("'{name}' had no numbers at {at}; the state begins on {begins}")]
    NotThen {
        /// The node.
        name: String,
        /// The moment.
        at: Timestamp,
        /// First day of the state.
        begins: Date,
    },
    /// The node has no instances, and one was named.
    #[error("'{name}' is one node for all and not one for each value; leave out '{}'", .asked.join(" "))]
    NotSplit {
        /// The node.
        name: String,
        /// The values that were given.
        asked: Vec<String>,
    },
    /// The node has many instances, and none or an unknown one was named.
    #[error(
        "'{name}' is one node for every {each}; {}say which, such as {name} {}\n{}",
        not_there(.asked),
        .known.first().cloned().unwrap_or_default(),
        listed(.known)
    )]
    WhichInstance {
        /// The node.
        name: String,
        /// The values that were given.
        asked: Vec<String>,
        /// Names of its dimensions.
        each: String,
        /// Its instances, values joined by blanks.
        known: Vec<String>,
    },
}

fn not_there(asked: &[String]) -> String {
    match asked {
        [] => String::new(),
        asked => format!("'{}' is none of them; ", asked.join(" ")),
    }
}

fn listed(known: &[String]) -> String {
    const SHOWN: usize = 20;
    let mut lines: Vec<String> = known.iter().take(SHOWN).map(|name| format!("  {name}")).collect();
    if known.len() > SHOWN {
        lines.push(format!("  and {} more", known.len() - SHOWN));
    }
    lines.join("\n")
}

/// Explains an instance: `dimensions` are the values of its `each`, in their order; `at` is the watermark where not
/// given.
///
/// # Errors
/// [`Unexplained`], in words for the one who asked.
pub fn explain(
    past: &mut Past,
    name: &str,
    dimensions: &[String],
    at: Option<Timestamp>,
) -> Result<Explanation, Unexplained> {
    let catalog = past.catalog.clone();
    let (snapshot, key, at) = instance(past, name, dimensions, at)?;
    let Some(state) = snapshot.instances.iter().find(|state| state.key == key) else {
        return Err(Unexplained::NoEvents);
    };
    Ok(explanation(past, &catalog, &snapshot, state, at))
}

/// The instance that is asked for, at the watermark.
///
/// # Errors
/// [`Unexplained`], in words for the one who asked.
pub(super) fn find(past: &mut Past, name: &str, dimensions: &[String]) -> Result<InstanceKey, Unexplained> {
    instance(past, name, dimensions, None).map(|(_, key, _)| key)
}

/// The instance that is asked for, with every number at the moment `at`, not after the watermark.
fn instance(
    past: &mut Past,
    name: &str,
    dimensions: &[String],
    at: Option<Timestamp>,
) -> Result<(Snapshot, InstanceKey, Timestamp), Unexplained> {
    let catalog = past.catalog.clone();
    let Some(index) = catalog.nodes.iter().position(|node| node.name == name) else {
        let names = catalog.nodes.iter().map(|node| node.name.as_str());
        return Err(Unexplained::NoNode {
            name: name.to_owned(),
            nearest: crate::catalog::diagnostic::nearest(name, names).map(str::to_owned),
        });
    };
    let (Some(watermark), Some(begins)) = (past.watermark, past.first_day()) else {
        return Err(Unexplained::NoEvents);
    };
    let at = at.unwrap_or(watermark).min(watermark);
    let snapshot = past.at(at);
    let id = NodeId(u32::try_from(index).unwrap_or(u32::MAX));
    let of_node = || snapshot.instances.iter().filter(|state| state.key.node == id);
    let is_asked = |state: &&NodeState| {
        state
            .key
            .dimensions
            .iter()
            .map(|value| &**value)
            .eq(dimensions.iter().map(String::as_str))
    };
    let Some(state) = of_node().find(is_asked) else {
        if catalog.nodes[index].each.is_empty() && !dimensions.is_empty() {
            return Err(Unexplained::NotSplit {
                name: name.to_owned(),
                asked: dimensions.to_vec(),
            });
        }
        if catalog.nodes[index].each.is_empty() || of_node().next().is_none() {
            return Err(Unexplained::NotThen {
                name: name.to_owned(),
                at,
                begins,
            });
        }
        return Err(Unexplained::WhichInstance {
            name: name.to_owned(),
            asked: dimensions.to_vec(),
            each: catalog.nodes[index].each.join(" × "),
            known: of_node().map(|state| state.key.dimensions.join(" ")).collect(),
        });
    };
    let key = state.key.clone();
    Ok((snapshot, key, at))
}

fn explanation(
    past: &Past,
    catalog: &Catalog,
    snapshot: &Snapshot,
    state: &NodeState,
    at: Timestamp,
) -> Explanation {
    let node = catalog.node(state.key.node);
    let metric = catalog.metric(node.metric);
    let accumulates = catalog.accumulates(node.metric);
    let too_early = state.pace == Pace::TooEarly;
    let is_few = too_early && state.expected_share >= node.min_share;
    let today = catalog.calendar.day_of(at);
    let until = today.tomorrow().unwrap_or(today).min(state.period.end);
    let days = past.days(&state.key, state.period.start, until);
    let up_to_now = Period {
        end: until,
        ..state.period
    };
    let link = link(past, snapshot, state, at);
    let unlinked = match link {
        Some(_) => None,
        None => unlinked(past, snapshot, state, at),
    };
    let driver = |kpi: &NodeState, parent: &NodeState| past.driver(snapshot, kpi, parent);
    let attribution = attribution::attribute(catalog, snapshot, &state.key, driver);
    let attribution = attribution.filter(|_| state.is_judged());
    let (accounts, left_out) =
        attribution.map_or_else(Default::default, |found| (found.accounts, found.left_out));
    Explanation {
        node: node.name.clone(),
        title: node.title.clone(),
        dimensions: node
            .each
            .iter()
            .cloned()
            .zip(state.key.dimensions.iter().map(|value| value.to_string()))
            .collect(),
        role: node.role,
        level: node.level,
        owner: node.owner.clone(),
        weight: snapshot.weight(catalog, &state.key),
        weights: weights(past, node, at),
        declared_at: node.place.to_string(),
        at,
        period: NamedPeriod::of(state.period, catalog.calendar_of(node)),
        metric: definition::of_metric(catalog, node.metric),
        metric_declared_at: metric.place.to_string(),
        unit: metric.unit.clone(),
        accumulates,
        value: state.value,
        estimates: past.estimates(&state.key, &up_to_now),
        days: std::iter::successors(Some(state.period.start), |day| day.tomorrow().ok())
            .zip(days)
            .map(|(day, value)| DayValue { day, value })
            .collect(),
        target: state.target,
        band: state.band(),
        target_from: target_from(node, state, catalog.calendar_of(node)),
        baseline: node.baseline,
        lower_is_better: node.direction == Direction::Lower,
        completion: state.completion,
        elapsed: state.elapsed,
        expected_share: state.expected_share,
        planned: attribution::planned(catalog, state),
        profile: profile(node, catalog),
        pace: state.pace.ratio(),
        burn: state.burn.factor(),
        too_early_before: (too_early && !is_few).then_some(node.min_share),
        too_few_below: is_few.then_some(node.min_count),
        counted_since: state.counted_since,
        reckoned_since: snapshot.nodes[state.key.node.0 as usize].reckoned_since,
        judged: state.is_judged(),
        forecast: state.forecast,
        forecast_late: late(state),
        forecast_range: state.range80(),
        target_probability: state.target_probability,
        parent: parent(catalog, snapshot, state),
        link,
        unlinked,
        health: health::health(past, snapshot, state, at),
        rules: rules(past, catalog, snapshot, state, at),
        accounts: accounts.into_iter().map(|of| account(catalog, of)).collect(),
        accounts_left_out: left_out.into_iter().map(|of| not_made(catalog, of)).collect(),
        not_counted_by: if state.is_judged() {
            not_counted(catalog, state)
        } else {
            Vec::new()
        },
        drills: if state.is_judged() {
            drills(past, catalog, snapshot, state, at)
        } else {
            Vec::new()
        },
    }
}

/// Dimensions that could tell where a distance comes from, were it counted by them.
fn not_counted(catalog: &Catalog, state: &NodeState) -> Vec<String> {
    let adds_up = catalog.accumulates(catalog.node(state.key.node).metric);
    let is_off = state
        .value
        .zip(attribution::planned(catalog, state))
        .is_some_and(|(value, plan)| attribution::is_some_way_off(value, plan));
    match adds_up && is_off {
        true => drill::not_counted(catalog, &state.key)
            .into_iter()
            .map(str::to_owned)
            .collect(),
        false => Vec::new(),
    }
}

/// Where most of the distance comes from, against the plans of the values, or their shares of the period before.
fn drills(
    past: &Past,
    catalog: &Catalog,
    snapshot: &Snapshot,
    state: &NodeState,
    at: Timestamp,
) -> Vec<DrillText> {
    let plan = attribution::planned(catalog, state);
    let distance = state
        .value
        .zip(plan)
        .map_or(f64::NAN, |(value, plan)| value - plan);
    let texts = drill::drill(catalog, snapshot, &state.key, &past.known_at(at))
        .into_iter()
        .map(|found| DrillText {
            node: catalog.node(found.node).name.clone(),
            dimensions: found.dimensions,
            parts: found
                .parts
                .into_iter()
                .map(|part| DrillPart {
                    values: part
                        .key
                        .dimensions
                        .iter()
                        .map(|value| value.to_string())
                        .collect(),
                    amount: part.amount,
                    share: part.share,
                })
                .collect(),
            others: found.others,
            not_explained: found.not_explained,
            not_explained_share: found.not_explained / distance,
        });
    texts.collect()
}

/// What a forecast adds for days whose data is late; `None` of what nobody would miss.
fn late(state: &NodeState) -> Option<f64> {
    /// The least share of a forecast that is worth a word.
    const LEAST: f64 = 1e-3;
    let late = state.outlook.as_ref().and_then(Outlook::late)?;
    (late.abs() >= LEAST * state.forecast?.abs()).then_some(late)
}

/// What has been in force for a KPI up to a moment, and what is proposed of it now.
fn weights(past: &Past, node: &Node, at: Timestamp) -> Option<WeightsText> {
    let catalog = &past.catalog;
    node.weight?;
    let parent = catalog.node(node.parent.as_ref()?.node);
    let today = catalog.calendar.day_of(at);
    let settings = past.book.settings(&parent.name).iter();
    let is_now = past.watermark.is_some_and(|watermark| at >= watermark);
    // Of the present also what applies only later.
    let known = settings.filter(|setting| is_now || setting.from.is_none_or(|from| from <= today));
    let history: Vec<Setting> = known.cloned().collect();
    let pending = past
        .book
        .pending()
        .find(|proposal| proposal.parent == parent.name);
    let proposed = pending
        .filter(|_| is_now)
        .and_then(|proposal| proposal.lines.iter().find(|line| line.node == node.name))
        .cloned();
    (history.len() > 1 || proposed.is_some()).then(|| WeightsText {
        parent: parent.title.clone(),
        history,
        proposed,
    })
}

/// What is known of the link of an instance now, or was as the last month closed.
fn link(past: &Past, snapshot: &Snapshot, state: &NodeState, at: Timestamp) -> Option<LinkText> {
    let words = |link: &LinkState, as_of: Option<Date>| LinkText {
        as_of,
        strength: link.strength,
        lag_days: link.lag_days,
        elasticity: link.elasticity,
        ranges: link.ranges,
        parent_gap: link.parent_gap,
        judged_days: link.judged_days,
        below_zero: below_zero(snapshot, state).filter(|_| as_of.is_none()),
        findings: link
            .findings
            .iter()
            .filter(|finding| finding.stream.is_none())
            .map(|finding| LinkFound {
                kind: finding.kind.as_str(),
                since: finding.since,
                confidence: finding.confidence,
            })
            .collect(),
        evidence: std::iter::zip(DriftKind::ALL, link.scores)
            .map(|(kind, score)| (kind.as_str(), score))
            .collect(),
    };
    if let Some(link) = &state.link {
        return Some(words(link, None));
    }
    let closed = past.link_closed(&state.key, past.catalog.calendar.day_of(at))?;
    Some(words(&closed.link, Some(closed.day)))
}

/// Days by whose sums a link is judged.
const LINK_DAYS: usize = 28;

/// What serves and what is served, of a KPI whose link is judged.
fn sides<'s>(snapshot: &'s Snapshot, state: &'s NodeState) -> Option<[(LinkSide, &'s NodeState); 2]> {
    let key = state.parent.as_ref()?;
    let parent = snapshot.instances.iter().find(|other| other.key == *key)?;
    Some([(LinkSide::Kpi, state), (LinkSide::Parent, parent)])
}

/// The side whose latest days come to less than 0.
fn below_zero(snapshot: &Snapshot, state: &NodeState) -> Option<LinkSide> {
    let is_below = |(_, side): &(LinkSide, &NodeState)| {
        let latest = side.daily.iter().rev().take(LINK_DAYS).flatten();
        latest.sum::<f64>() < 0.0
    };
    let (side, _) = sides(snapshot, state)?.into_iter().find(is_below)?;
    Some(side)
}

/// Why nothing is known of the link of a KPI that drives its parent.
fn unlinked(past: &Past, snapshot: &Snapshot, state: &NodeState, at: Timestamp) -> Option<Unlinked> {
    let node = past.catalog.node(state.key.node);
    let relation = node.parent.as_ref()?.relation;
    if node.role != Role::Kpi || relation != Relation::Influence {
        return None;
    }
    // Days before the first event are not told of; of a total those without any are 0.
    let has_none = |(_, side): &(LinkSide, &NodeState)| {
        let is_total = past.catalog.accumulates(past.catalog.node(side.key.node).metric);
        let has_come = |value: &f64| !is_total || *value != 0.0;
        !side.daily.iter().flatten().any(has_come)
    };
    let without = sides(snapshot, state)?.into_iter().find(has_none);
    Some(match without {
        Some((side, _)) => Unlinked::NoData { side },
        None if past.is_now(at) => Unlinked::NotClosed,
        None => Unlinked::Past,
    })
}

fn target_from(node: &Node, state: &NodeState, calendar: &Calendar) -> TargetFrom {
    match (&node.target, state.target) {
        (Target::None, _) | (_, None) => TargetFrom::None,
        (Target::Number(_) | Target::Band(_), _) => TargetFrom::Fixed,
        (Target::Growth { growth, over }, Some(target)) => TargetFrom::Growth {
            growth: *growth,
            base: target / (1.0 + growth),
            year: match over {
                GrowthBase::LastYear => Some(state.period.fiscal_year(calendar) - 1),
                GrowthBase::Year(year) => Some(*year),
                GrowthBase::Value(_) => None,
            },
        },
        (Target::Table(rows), Some(target)) => TargetFrom::File {
            announced: rows
                .iter()
                .filter(|row| {
                    state.period.holds(row.start) && row.target == target && row.band == state.band()
                })
                .filter(|row| {
                    row.dimensions
                        .iter()
                        .map(String::as_str)
                        .eq(state.key.dimensions.iter().map(|v| &**v))
                })
                .filter_map(|row| row.announced)
                .max(),
        },
    }
}

fn profile(node: &Node, catalog: &Catalog) -> &'static str {
    match node.profile {
        Profile::Linear => "linear",
        Profile::Workdays => "workdays",
        Profile::LastYear => "last_year",
        Profile::Flat => "flat",
        Profile::File => "file",
        Profile::Default if catalog.calendar_of(node).workdays_declared => "last_year, else workdays",
        Profile::Default => "last_year, else linear",
    }
}

fn parent(catalog: &Catalog, snapshot: &Snapshot, state: &NodeState) -> Option<ParentText> {
    let key = state.parent.as_ref()?;
    let parent = snapshot.instances.iter().find(|other| other.key == *key)?;
    Some(ParentText {
        node: catalog.node(key.node).name.clone(),
        title: title_of(catalog, key),
        relation: catalog.node(state.key.node).parent.as_ref()?.relation,
        completion: parent.completion,
        expected_share: parent.expected_share,
        pace: parent.pace.ratio(),
    })
}

fn rules(
    past: &Past,
    catalog: &Catalog,
    snapshot: &Snapshot,
    state: &NodeState,
    at: Timestamp,
) -> Vec<RuleText> {
    let node = catalog.node(state.key.node);
    let judges = |rule: &&Rule| {
        let is_of_link = rule.on != RuleOn::Siblings && node.role == Role::Kpi && state.parent.is_some();
        let can = rule.on == RuleOn::Node || is_of_link;
        can && rule.applies_to(&node.name)
    };
    let period = state.period.id(catalog.calendar_of(node));
    let explained = |rule: &Rule| {
        let readings = judge::readings(catalog, snapshot, rule, state, written);
        RuleText {
            rule: rule.name.clone(),
            on_link: rule.on == RuleOn::Link,
            levels: rule
                .levels
                .iter()
                .map(|level| LevelText {
                    severity: level.severity,
                    when: level.when.source().to_owned(),
                    for_seconds: level.hold_for.as_secs_f64(),
                })
                .collect(),
            clear: rule.clear.as_ref().map(|clear| clear.source().to_owned()),
            readings,
            state: match standing(past, catalog, rule, state, &period, at) {
                StateText::Inactive => judge::new_until(catalog, snapshot, rule, state)
                    .map_or(StateText::Inactive, |until| StateText::New { until }),
                stands => stands,
            },
        }
    };
    // A rule that reads nothing here (no parts to add up, no target) has nothing to say.
    let says_something = |rule: &RuleText| {
        rule.state != StateText::Inactive || rule.readings.iter().any(|(_, value)| value != MISSING)
    };
    catalog
        .rules
        .iter()
        .filter(judges)
        .map(explained)
        .filter(says_something)
        .collect()
}

/// Where the alert of a rule stood at a moment: now by its record; before that by the history, which does not keep who
/// was pending.
fn standing(
    past: &Past,
    catalog: &Catalog,
    rule: &Rule,
    state: &NodeState,
    period: &str,
    at: Timestamp,
) -> StateText {
    // The judgement of a link knows no period: it goes on over its end.
    let is_mine = |name: &str, labels: &Labels| {
        name == rule.name
            && is_about(labels, catalog, &state.key)
            && labels.get("period").is_none_or(|of| of == period)
    };
    if past.watermark.is_some_and(|watermark| at >= watermark) {
        let record = past
            .alerts
            .iter()
            .find(|alert| is_mine(&alert.rule, &alert.labels));
        return record.map_or(StateText::Inactive, stands);
    }
    let ran = |episode: &&Episode| {
        is_mine(&episode.rule, &episode.labels)
            && episode.fired_at <= at
            && episode.ended_at.is_none_or(|ended_at| ended_at > at)
    };
    let running = past.episodes.iter().find(ran);
    running.map_or(StateText::Inactive, |episode| StateText::Firing {
        since: episode.fired_at,
        severity: episode.severity,
    })
}

fn stands(alert: &AlertRecord) -> StateText {
    match (alert.state, alert.fired_at) {
        (AlertState::Inactive, _) => StateText::Inactive,
        (AlertState::Pending { since }, _) => StateText::Pending { since },
        (AlertState::Firing | AlertState::Recovering { .. }, fired_at) => StateText::Firing {
            since: fired_at.unwrap_or(Timestamp::UNIX_EPOCH),
            severity: alert.severity,
        },
    }
}

/// A value as exact as it is judged, without noise.
fn written(value: Value<'_>) -> String {
    match value {
        Value::Missing => MISSING.to_owned(),
        Value::Text(text) => format!("\"{text}\""),
        Value::Bool(truth) => truth.to_string(),
        Value::Number(number) => {
            let text = format!("{number:.4}");
            let trimmed = text.trim_end_matches('0').trim_end_matches('.');
            trimmed.to_owned()
        }
    }
}

fn account(catalog: &Catalog, account: Account) -> AccountText {
    let parts = account.parts.iter().map(|part| PartText {
        title: title_of(catalog, &part.key),
        amount: part.amount.ok(),
        untold: part.amount.err(),
    });
    AccountText {
        relation: account.relation,
        parts: parts.collect(),
        not_explained: account.not_explained,
    }
}

fn not_made(catalog: &Catalog, left_out: LeftOut) -> LeftOutText {
    LeftOutText {
        relation: left_out.relation,
        part: left_out.part.map(|part| title_of(catalog, &part)),
        untold: left_out.why,
    }
}
