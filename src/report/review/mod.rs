//! `tautline review`: the review (复盘) of a period: what was met and missed and by whom, where KPIs were done and the
//! business was not, what fired, how good the forecasts were, how good the data was, and what to look at next.

mod document;
mod links;
mod render;
mod score;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::Serialize;

use super::past::Past;
use super::{NamedPeriod, title_of};
use crate::alert::causes;
use crate::alert::notice::{Causes, NoticeKind};
use crate::alert::record::Episode;
use crate::catalog::{Band, Calendar, Catalog, Node, NodeId, PeriodKind, Role, SourceId, Target};
use crate::evaluate::weights::Titled;
use crate::evaluate::{InstanceKey, NodeState, Period, Snapshot};
use crate::fold::day::Day;
use crate::state::Status;
use crate::words::Language;

pub use links::{LinkChange, LinkFigures};
pub use score::{BusinessOwner, OwnerScore};

/// A pace below which a running business counts as one that does not move with its KPI.
const SLACK_PACE: f64 = 0.9;
/// A chance below which a running node is named among what to look at next.
const UNLIKELY: f64 = 0.2;
/// Instances of one node that are shown: where there are more, those furthest from their targets.
const INSTANCES_SHOWN: usize = 5;
/// Episodes whose causes are worked out; a storm of them is counted, not explained one by one.
const CAUSES_AT_MOST: usize = 50;

/// The review of a period.
#[derive(Clone, Debug, Serialize)]
pub struct Review {
    /// Which.
    pub period: NamedPeriod,
    /// Up to when everything was known when it was made: the close of the period, or earlier while it runs.
    pub up_to: Timestamp,
    /// Whether the period is over.
    pub is_over: bool,
    /// Every node instance, in tree order.
    pub results: Vec<NodeResult>,
    /// Every owner with a score, the lowest first.
    pub owners: Vec<OwnerScore>,
    /// Every owner of business targets that closed, the lowest first.
    pub business_owners: Vec<BusinessOwner>,
    /// Where a KPI was done and the business that it serves was not: indices into `results`, KPI and parent.
    pub apart: Vec<(usize, usize)>,
    /// Episodes that ran in the period, in the order of firing.
    pub episodes: Vec<EpisodeResult>,
    /// Forecasts made half-way, against what came.
    pub forecasts: Vec<ForecastResult>,
    /// How many more there are of nodes with `each`, of which only the heaviest misses are told.
    pub forecasts_more: usize,
    /// How the sources were.
    pub feeds: Vec<FeedResult>,
    /// Links that are not what they were before it.
    pub links: Vec<LinkChange>,
    /// What the closes of the period proposed of weights, and what became of it.
    pub weights: Vec<Titled>,
    /// Verdicts that were corrected in the period because events came late.
    pub corrections: usize,
    /// Notices of the period that nobody got.
    pub undelivered: usize,
    /// What to look at next, the most pressing first.
    pub next: Vec<ToLookAt>,
}

/// How a node instance did.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct NodeResult {
    /// Name in the catalogue.
    pub node: String,
    /// Title for people.
    pub title: String,
    /// Values of its dimensions.
    pub dimensions: Vec<String>,
    /// Business or KPI.
    pub role: Role,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Weight in points, as it was in force over the period.
    pub weight: Option<f64>,
    /// Unit.
    pub unit: Option<String>,
    /// The last of its periods that is told of: closed within the reviewed one, else the running one.
    pub period: NamedPeriod,
    /// Value.
    pub value: Option<f64>,
    /// Target; of a band its middle.
    pub target: Option<f64>,
    /// The band, where the target is one.
    pub band: Option<Band>,
    /// Completion.
    pub completion: Option<f64>,
    /// Pace, of a running one.
    pub pace: Option<f64>,
    /// Probability of meeting the target, of a running one.
    pub target_probability: Option<f64>,
    /// Its periods that closed within the reviewed one and had a target.
    pub closed: u32,
    /// Those of them whose target was met.
    pub met: u32,
    /// Completions of those, for the score.
    pub completions: Vec<f64>,
    /// The weight in force over each of them, in points; empty where it has none.
    pub weights: Vec<f64>,
    /// Verdict.
    pub verdict: Verdict,
    /// Why it is not judged, where it is not.
    pub unjudged: Option<Unjudged>,
    /// Of a target that was missed, or of one that is well behind its plan: where most of the distance comes from.
    pub causes: Option<Causes>,
    /// The day at whose close it stands so.
    #[serde(skip)]
    told_on: Date,
    #[serde(skip)]
    pub(super) key: InstanceKey,
    #[serde(skip)]
    pub(super) parent: Option<InstanceKey>,
}

/// How a node's last period ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The target was met.
    Met,
    /// It was missed.
    Missed,
    /// The period is longer than the reviewed one, or not over.
    Running,
    /// There is nothing to compare.
    NotJudged,
}

/// Why a node is not judged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unjudged {
    /// It has no target in the period.
    NoTarget,
    /// It has no value in the period.
    NoValue,
    /// Its metric has been counted as it is declared only since the period began.
    NewDefinition,
    /// The target is the baseline, or 0: there is no way to it.
    NoWay,
}

impl Unjudged {
    fn of(state: &NodeState) -> Unjudged {
        match (state.target, state.value) {
            (None, _) => Unjudged::NoTarget,
            (_, None) => Unjudged::NoValue,
            _ if !state.is_judged() => Unjudged::NewDefinition,
            _ => Unjudged::NoWay,
        }
    }
}

/// An episode with its cause.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct EpisodeResult {
    /// The episode.
    #[serde(flatten)]
    pub episode: Episode,
    /// Where most of the distance from plan came from when it fired, where that is known.
    pub causes: Option<Causes>,
}

/// A forecast made half-way through a period against its outcome.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ForecastResult {
    /// Title of the node.
    pub title: String,
    /// Unit.
    pub unit: Option<String>,
    /// What was forecast half-way.
    pub forecast: f64,
    /// What came.
    pub outcome: f64,
    /// What the plain rule of three said half-way: value so far over planned share.
    pub rule_of_three: Option<f64>,
}

/// How a source was.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct FeedResult {
    /// Name in the catalogue.
    pub source: String,
    /// Days of the period that are over.
    pub days: usize,
    /// Those of them on which it brought nothing that is folded.
    pub silent: Vec<Date>,
    /// Its alerts in the period, by rule.
    pub alerts: Vec<FeedAlert>,
    /// The worst that its alerts told of rejected events; what was rejected is kept for 24 hours only.
    pub rejected: Option<Rejected>,
}

/// The alerts of a source by one rule.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct FeedAlert {
    /// The rule.
    pub rule: String,
    /// How many there were.
    pub times: usize,
    /// For how long together within the period, in seconds.
    pub lasted_seconds: i64,
}

/// What was rejected of a source in the 24 hours before an alert.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Rejected {
    /// Events that were read.
    pub read: u64,
    /// Those that were rejected.
    pub rejected: u64,
    /// The most frequent reason.
    pub reason: Option<String>,
}

/// Something to look at next, and who should.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ToLookAt {
    /// What, and why.
    #[serde(flatten)]
    pub what: Next,
    /// Who answers for it.
    pub owner: Option<String>,
}

/// Something to look at next.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "snake_case", tag = "look_at")]
pub enum Next {
    /// A KPI is done and its business is not: is it the right KPI?
    Link {
        /// Title of the KPI.
        kpi: String,
        /// Title of what it serves.
        parent: String,
    },
    /// An alert is still firing.
    StillFiring {
        /// Rule.
        rule: String,
        /// Title of the node.
        title: String,
        /// Since when.
        since: Timestamp,
    },
    /// A running target that is not likely to be met.
    Unlikely {
        /// Title.
        title: String,
        /// Chance.
        chance: f64,
    },
    /// Weights are proposed and wait for a decision.
    Proposal {
        /// Title of what the KPIs serve.
        title: String,
        /// Name of the closed period.
        closed: String,
    },
    /// An entry that nobody has typed in.
    EntryDue {
        /// Title.
        title: String,
        /// First day for which it is.
        from: Date,
        /// The day after the last one.
        to: Date,
    },
    /// A link that was known before and is now too weak to tell.
    Weaker {
        /// Title of the KPI.
        kpi: String,
        /// Title of what it serves.
        parent: String,
    },
    /// No target for the next period.
    NoTargetNext {
        /// Title.
        title: String,
        /// Name of the next period.
        period: String,
    },
    /// A source that was silent on some days.
    Feed {
        /// Source.
        source: String,
        /// On how many days.
        silent: usize,
    },
}

/// Why there is no review.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum NoReview {
    /// No event has been read yet.
    #[error("there is nothing to review yet: no event has been read into this state")]
    NoEvents,
    /// The period lies outside of what the state knows.
    #[error("nothing is known of {asked}: the state begins on {first} and goes up to {last}")]
    Unknown {
        /// The period.
        asked: String,
        /// First day known.
        first: Date,
        /// Last day known.
        last: Date,
    },
}

/// Reviews a period; where none is asked for, the last month that is over.
///
/// # Errors
/// [`NoReview`] where nothing is known of it.
pub fn review(past: &mut Past, asked: Option<Period>) -> Result<Review, NoReview> {
    let catalog = past.catalog.clone();
    let calendar = &catalog.calendar;
    let (Some(today), Some(first), Some(watermark)) = (past.today(), past.first_day(), past.watermark) else {
        return Err(NoReview::NoEvents);
    };
    let period = asked.unwrap_or_else(|| {
        let running = Period::containing(PeriodKind::Month, today, calendar);
        Period::containing(PeriodKind::Month, running.start.saturating_sub(1.day()), calendar)
    });
    let named = NamedPeriod::of(period, calendar);
    if period.end <= first || period.start > today {
        return Err(NoReview::Unknown {
            asked: named.id,
            first,
            last: today,
        });
    }
    let is_over = calendar.start_of(period.end) <= watermark;
    let last_day = period.end.saturating_sub(1.day()).min(today);
    let mut results = results(past, &catalog, period, last_day, is_over);
    explain_gaps(past, &catalog, &mut results);
    let apart = apart(&results);
    let episodes = episodes(past, &catalog, period);
    let (forecasts, forecasts_more) = forecasts(past, &catalog, period, &results);
    let feeds = feeds(past, &catalog, period, today, &episodes);
    let within = |at: Timestamp| (period.starts_at(calendar)..period.ends_at(calendar)).contains(&at);
    let undelivered = past
        .notices
        .iter()
        .filter(|logged| logged.status == Status::Dead && within(logged.notice.decided_at))
        .count();
    let corrected = past
        .notices
        .iter()
        .filter(|logged| logged.notice.kind == NoticeKind::Correction && within(logged.notice.decided_at));
    // One notice goes to many receivers.
    let corrections: BTreeSet<&str> = corrected.map(|logged| logged.notice.id.as_str()).collect();
    let corrections = corrections.len();
    let instances = results.iter().map(|result| &result.key);
    let links = links::changes(past, &catalog, period, last_day, instances);
    let mut next = next(&catalog, period, &results, &apart, &episodes, &feeds);
    next.extend(waiting(past, &catalog, watermark));
    next.extend(links.iter().filter(|change| change.is_weaker()).map(|change| {
        let kpi = results.iter().find(|result| result.name() == change.kpi);
        ToLookAt {
            what: Next::Weaker {
                kpi: change.kpi.clone(),
                parent: change.parent.clone(),
            },
            owner: kpi.and_then(|kpi| kpi.owner.clone()),
        }
    }));
    // Stable: of one rank in the order in which they were found.
    next.sort_by_key(|found| found.what.rank());
    Ok(Review {
        up_to: past.close_of(last_day).min(watermark),
        is_over,
        owners: score::owners(&catalog, &results),
        business_owners: score::business_owners(&results),
        period: named,
        results,
        apart,
        episodes,
        forecasts,
        forecasts_more,
        corrections,
        feeds,
        links,
        weights: proposed_weights(past, &catalog, period),
        undelivered,
        next,
    })
}

/// The review as Markdown.
pub fn markdown(review: &Review, language: Language, zone: &TimeZone) -> String {
    render::markdown(&document::document(review, language, zone))
}

/// The review as one page to print; it needs nothing from elsewhere.
pub fn html(review: &Review, language: Language, zone: &TimeZone) -> String {
    render::html(&document::document(review, language, zone), language)
}

/// Last days of the periods of a kind that close within a period, as far as they are over.
fn closes(kind: PeriodKind, within: Period, last_day: Date, calendar: &Calendar, is_over: bool) -> Vec<Date> {
    let mut closes = Vec::new();
    let mut next = Period::containing(kind, within.start, calendar);
    while next.end <= within.end {
        let close = next.end.saturating_sub(1.day());
        if close < last_day || (close == last_day && is_over) {
            closes.push(close);
        }
        next = Period::containing(kind, next.end, calendar);
    }
    closes
}

fn results(
    past: &mut Past,
    catalog: &Catalog,
    period: Period,
    last_day: Date,
    is_over: bool,
) -> Vec<NodeResult> {
    // A kind of period, and which calendar counts it.
    type Rhythm = (PeriodKind, Option<usize>);
    let rhythm = |node: &Node| (node.period, catalog.metric(node.metric).calendar);
    let mut days: BTreeSet<Date> = BTreeSet::from([last_day]);
    let mut closes_of: Vec<(Rhythm, Vec<Date>)> = Vec::new();
    for node in &catalog.nodes {
        if closes_of.iter().any(|(known, _)| *known == rhythm(node)) {
            continue;
        }
        let closes = closes(node.period, period, last_day, catalog.calendar_of(node), is_over);
        days.extend(&closes);
        closes_of.push((rhythm(node), closes));
    }
    let closes_of = |node: &Node| {
        closes_of
            .iter()
            .find(|(known, _)| *known == rhythm(node))
            .map_or(&[][..], |(_, closes)| closes.as_slice())
    };
    let mut found: BTreeMap<InstanceKey, NodeResult> = BTreeMap::new();
    // One snapshot a day, whatever number of nodes close on it.
    for day in days {
        let snapshot = past.at_close_of(day);
        for state in &snapshot.instances {
            let closes = closes_of(catalog.node(state.key.node));
            let is_close = closes.contains(&day);
            let is_running = closes.is_empty() && day == last_day;
            if !is_close && !is_running {
                continue;
            }
            let result = result(catalog, &snapshot, state, (day, is_close));
            match found.get_mut(&state.key) {
                Some(known) => known.then(result),
                None => drop(found.insert(state.key.clone(), result)),
            }
        }
    }
    found.into_values().collect()
}

fn result(
    catalog: &Catalog,
    snapshot: &Snapshot,
    state: &NodeState,
    (told_on, is_close): (Date, bool),
) -> NodeResult {
    let weight = snapshot.weight(catalog, &state.key);
    let node = catalog.node(state.key.node);
    let verdict = match state.completion {
        None => Verdict::NotJudged,
        Some(_) if !is_close => Verdict::Running,
        Some(completion) if completion >= 1.0 => Verdict::Met,
        Some(_) => Verdict::Missed,
    };
    let completions: Vec<f64> = state.completion.filter(|_| is_close).into_iter().collect();
    NodeResult {
        node: node.name.clone(),
        title: node.title.clone(),
        dimensions: state
            .key
            .dimensions
            .iter()
            .map(|value| value.to_string())
            .collect(),
        role: node.role,
        owner: node.owner.clone(),
        weight,
        unit: catalog.metric(node.metric).unit.clone(),
        period: NamedPeriod::of(state.period, catalog.calendar_of(node)),
        value: state.value,
        target: state.target,
        band: state.band(),
        completion: state.completion,
        pace: state.pace.ratio().filter(|_| !is_close),
        target_probability: state.target_probability.filter(|_| !is_close),
        closed: u32::try_from(completions.len()).unwrap_or(0),
        met: u32::from(verdict == Verdict::Met),
        weights: completions.iter().filter_map(|_| weight).collect(),
        completions,
        unjudged: (verdict == Verdict::NotJudged).then(|| Unjudged::of(state)),
        verdict,
        causes: None,
        told_on,
        key: state.key.clone(),
        parent: state.parent.clone(),
    }
}

impl NodeResult {
    /// Title with dimension values.
    pub fn name(&self) -> String {
        if self.dimensions.is_empty() {
            self.title.clone()
        } else {
            format!("{} · {}", self.title, self.dimensions.join(" / "))
        }
    }

    /// A later period of the same instance takes its place; what was counted adds up.
    fn then(&mut self, later: NodeResult) {
        let mut completions = std::mem::take(&mut self.completions);
        completions.extend(&later.completions);
        let mut weights = std::mem::take(&mut self.weights);
        weights.extend(&later.weights);
        *self = NodeResult {
            closed: self.closed + later.closed,
            met: self.met + later.met,
            completions,
            weights,
            ..later
        };
    }

    /// Whether its last period was done.
    fn is_done(&self) -> bool {
        self.completion.is_some_and(|completion| completion >= 1.0)
    }

    /// Whether it was missed, or runs well behind its plan.
    fn is_slack(&self) -> bool {
        match self.verdict {
            Verdict::Missed => true,
            Verdict::Running => self.pace.is_some_and(|pace| pace < SLACK_PACE),
            Verdict::Met | Verdict::NotJudged => false,
        }
    }
}

/// KPIs that were done while what they serve was not (两张皮).
fn apart(results: &[NodeResult]) -> Vec<(usize, usize)> {
    let position = |key: &InstanceKey| results.iter().position(|result| result.key == *key);
    let mut found = Vec::new();
    for (at, result) in results.iter().enumerate() {
        if result.role != Role::Kpi || !result.is_done() {
            continue;
        }
        if let Some(parent) = result.parent.as_ref().and_then(position)
            && results[parent].is_slack()
        {
            found.push((at, parent));
        }
    }
    found
}

fn episodes(past: &mut Past, catalog: &Catalog, period: Period) -> Vec<EpisodeResult> {
    let (start, end) = (
        period.starts_at(&catalog.calendar),
        period.ends_at(&catalog.calendar),
    );
    let ran = |episode: &&Episode| {
        episode.fired_at < end && episode.ended_at.is_none_or(|ended_at| ended_at > start)
    };
    let episodes: Vec<Episode> = past.episodes.iter().filter(ran).cloned().collect();
    episodes
        .into_iter()
        .enumerate()
        .map(|(at, episode)| {
            let causes = (at < CAUSES_AT_MOST)
                .then(|| causes_of(past, catalog, &episode))
                .flatten();
            EpisodeResult { episode, causes }
        })
        .collect()
}

/// Where most of the distance from plan came from when an episode fired: of the parent for a link, else of the node.
fn causes_of(past: &mut Past, catalog: &Catalog, episode: &Episode) -> Option<Causes> {
    let key = causes::about(catalog, &episode.kind, &episode.labels, &episode.facts)?;
    let snapshot = past.at(episode.fired_at);
    causes_in(past, catalog, &snapshot, &key)
}

fn causes_in(past: &Past, catalog: &Catalog, snapshot: &Snapshot, key: &InstanceKey) -> Option<Causes> {
    let driver = |kpi: &NodeState, parent: &NodeState| past.driver(snapshot, kpi, parent);
    let known = past.known_at(snapshot.watermark?);
    causes::of(catalog, snapshot, key, &known, driver)
}

/// Says of the results that are missed, or well behind their plan, where most of that comes from: of every node those
/// furthest from their targets.
fn explain_gaps(past: &mut Past, catalog: &Catalog, results: &mut [NodeResult]) {
    let mut of_day: BTreeMap<Date, Vec<usize>> = BTreeMap::new();
    for node in by_node(results) {
        for at in furthest(results, node).into_iter().take(INSTANCES_SHOWN) {
            if results[at].is_slack() {
                of_day.entry(results[at].told_on).or_default().push(at);
            }
        }
    }
    for (day, positions) in of_day {
        let snapshot = past.at_close_of(day);
        for at in positions {
            let key = &results[at].key;
            results[at].causes = causes_in(past, catalog, &snapshot, key);
        }
    }
}

/// Where the instances of each node stand: they stand together.
fn by_node(results: &[NodeResult]) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut from = 0;
    for of_node in results.chunk_by(|a, b| a.key.node == b.key.node) {
        ranges.push(from..from + of_node.len());
        from += of_node.len();
    }
    ranges
}

/// The instances of one node: a few as they stand, many with those furthest from their targets first.
fn furthest(results: &[NodeResult], node: Range<usize>) -> Vec<usize> {
    let mut order: Vec<usize> = node.collect();
    if order.len() > INSTANCES_SHOWN {
        let completion = |at: &usize| results[*at].completion.unwrap_or(f64::INFINITY);
        order.sort_by(|a, b| completion(a).total_cmp(&completion(b)));
    }
    order
}

/// Of totals whose whole period is the reviewed one and over: what was forecast half-way, and what came.
fn forecasts(
    past: &mut Past,
    catalog: &Catalog,
    period: Period,
    results: &[NodeResult],
) -> (Vec<ForecastResult>, usize) {
    let closed: Vec<&NodeResult> = results
        .iter()
        .filter(|result| result.closed == 1 && result.period.period() == period)
        .filter(|result| catalog.accumulates(catalog.node(result.key.node).metric))
        .collect();
    if closed.is_empty() {
        return (Vec::new(), 0);
    }
    let half = period.start.until(period.end).map_or(0, |span| span.get_days()) / 2;
    let half_way = past.at_close_of(period.start.saturating_add(half.days()).saturating_sub(1.day()));
    let found: Vec<(&NodeResult, ForecastResult)> = closed
        .into_iter()
        .filter_map(|result| {
            let then = half_way.instances.iter().find(|state| state.key == result.key)?;
            let found = ForecastResult {
                title: result.name(),
                unit: result.unit.clone(),
                forecast: then.forecast?,
                outcome: result.value?,
                rule_of_three: then
                    .value
                    .filter(|_| then.expected_share > 0.0)
                    .map(|value| value / then.expected_share),
            };
            Some((result, found))
        })
        .collect();
    let (of_instances, mut told): (Vec<_>, Vec<_>) = found
        .into_iter()
        .partition(|(result, _)| !result.dimensions.is_empty());
    let (shown, more) = heaviest(of_instances);
    told.extend(shown);
    (told.into_iter().map(|(_, found)| found).collect(), more)
}

/// Of instances those whose forecast missed the most, by weight × miss, the heaviest first; and how many more there are.
fn heaviest(mut found: Vec<(&NodeResult, ForecastResult)>) -> (Vec<(&NodeResult, ForecastResult)>, usize) {
    let miss = |(result, found): &(&NodeResult, ForecastResult)| result.weight.unwrap_or(1.0) * found.miss();
    found.sort_by(|a, b| miss(b).total_cmp(&miss(a)));
    let more = found.len().saturating_sub(INSTANCES_SHOWN);
    found.truncate(INSTANCES_SHOWN);
    (found, more)
}

impl ForecastResult {
    /// How far it was off, as a share of the larger of forecast and outcome; 0 where both are 0.
    fn miss(&self) -> f64 {
        let larger = self.forecast.abs().max(self.outcome.abs());
        if larger > 0.0 {
            (self.forecast - self.outcome).abs() / larger
        } else {
            0.0
        }
    }
}

fn feeds(
    past: &Past,
    catalog: &Catalog,
    period: Period,
    today: Date,
    episodes: &[EpisodeResult],
) -> Vec<FeedResult> {
    let calendar = &catalog.calendar;
    let (start, end) = (period.starts_at(calendar), period.ends_at(calendar));
    let end = past.watermark.map_or(end, |watermark| watermark.min(end));
    // Today is not over: that nothing came yet says nothing.
    let (from, to) = (period.start, period.end.min(today));
    (0u32..)
        .map(SourceId)
        .zip(&catalog.sources)
        .map(|(id, source)| {
            let brought = past.cells.days_of_source(id, Day::of(from), Day::of(to));
            let days: Vec<Date> = std::iter::successors(Some(from), |day| day.tomorrow().ok())
                .take_while(|day| *day < to)
                .collect();
            let of_source: Vec<&Episode> = episodes
                .iter()
                .map(|found| &found.episode)
                .filter(|episode| episode.labels.get("source") == Some(&source.name))
                .collect();
            let mut alerts: BTreeMap<&str, (usize, i64)> = BTreeMap::new();
            for episode in &of_source {
                let (times, lasted) = alerts.entry(&episode.rule).or_default();
                *times += 1;
                let until = episode.ended_at.unwrap_or(end).min(end);
                *lasted += until.duration_since(episode.fired_at.max(start)).as_secs().max(0);
            }
            let facts = of_source
                .iter()
                .filter_map(|episode| episode.facts.source.as_ref());
            let worst = facts
                .filter(|facts| facts.rejected > 0)
                .max_by_key(|facts| facts.rejected);
            FeedResult {
                alerts: alerts
                    .into_iter()
                    .map(|(rule, (times, lasted_seconds))| FeedAlert {
                        rule: rule.to_owned(),
                        times,
                        lasted_seconds,
                    })
                    .collect(),
                rejected: worst.map(|facts| Rejected {
                    read: facts.read,
                    rejected: facts.rejected,
                    reason: facts.reason.clone(),
                }),
                source: source.name.clone(),
                silent: days
                    .iter()
                    .copied()
                    .filter(|day| !brought.contains(&Day::of(*day)))
                    .collect(),
                days: days.len(),
            }
        })
        .collect()
}

/// What was proposed of weights when the period or a part of it closed.
fn proposed_weights(past: &Past, catalog: &Catalog, period: Period) -> Vec<Titled> {
    let proposals = past.book.all_proposals();
    proposals
        .filter(|proposal| period.holds(catalog.calendar.day_of(proposal.at)))
        .map(|proposal| Titled::of(catalog, proposal))
        .collect()
}

fn next(
    catalog: &Catalog,
    period: Period,
    results: &[NodeResult],
    apart: &[(usize, usize)],
    episodes: &[EpisodeResult],
    feeds: &[FeedResult],
) -> Vec<ToLookAt> {
    let of = |what: Next, owner: Option<&String>| ToLookAt {
        what,
        owner: owner.cloned(),
    };
    let mut next: Vec<ToLookAt> = apart
        .iter()
        .map(|(kpi, parent)| {
            let what = Next::Link {
                kpi: results[*kpi].name(),
                parent: results[*parent].name(),
            };
            of(what, results[*kpi].owner.as_ref())
        })
        .collect();
    next.extend(
        episodes
            .iter()
            .filter(|found| found.episode.ended_at.is_none())
            .map(|found| {
                let Episode { facts, labels, .. } = &found.episode;
                let what = Next::StillFiring {
                    rule: found.episode.rule.clone(),
                    title: match (&facts.node, &facts.source) {
                        (Some(node), _) => crate::words::sentence::name(node),
                        (None, Some(source)) => source.name.clone(),
                        (None, None) => String::new(),
                    },
                    since: found.episode.fired_at,
                };
                of(what, labels.get("owner"))
            }),
    );
    next.extend(results.iter().filter_map(|result| {
        let chance = result
            .target_probability
            .filter(|chance| result.verdict == Verdict::Running && *chance < UNLIKELY)?;
        let what = Next::Unlikely {
            title: result.name(),
            chance,
        };
        Some(of(what, result.owner.as_ref()))
    }));
    for (id, node) in (0u32..).map(NodeId).zip(&catalog.nodes) {
        let Target::Table(rows) = &node.target else {
            continue;
        };
        let following = Period::containing(node.period, period.end, catalog.calendar_of(node));
        let was_told = results
            .iter()
            .any(|result| result.key.node == id && result.target.is_some());
        if was_told && !rows.iter().any(|row| following.holds(row.start)) {
            let what = Next::NoTargetNext {
                title: node.title.clone(),
                period: following.id(catalog.calendar_of(node)),
            };
            next.push(of(what, node.owner.as_ref()));
        }
    }
    // A source that speaks on most days and was silent on some; one that speaks now and then says nothing by it.
    let silent = feeds
        .iter()
        .filter(|feed| !feed.silent.is_empty() && feed.silent.len() * 5 <= feed.days);
    next.extend(silent.map(|feed| {
        let what = Next::Feed {
            source: feed.source.clone(),
            silent: feed.silent.len(),
        };
        let source = catalog.sources.iter().find(|source| source.name == feed.source);
        of(what, source.and_then(|source| source.owner.as_ref()))
    }));
    next
}

/// What waits for somebody now: proposals of weights, and entries that nobody has typed in.
fn waiting(past: &mut Past, catalog: &Catalog, now: Timestamp) -> Vec<ToLookAt> {
    let node_of = |name: &str| catalog.nodes.iter().find(|node| node.name == name);
    let mut found: Vec<ToLookAt> = past
        .book
        .pending()
        .map(|proposal| {
            let parent = node_of(&proposal.parent);
            ToLookAt {
                what: Next::Proposal {
                    title: parent.map_or_else(|| proposal.parent.clone(), |parent| parent.title.clone()),
                    closed: proposal.closed.clone(),
                },
                owner: parent.and_then(|parent| parent.owner.clone()),
            }
        })
        .collect();
    let snapshot = past.at(now);
    found.extend(snapshot.instances.iter().filter_map(|state| {
        let due = state.entry_due.as_ref().filter(|due| due.late_days > 0.0)?;
        Some(ToLookAt {
            what: Next::EntryDue {
                title: title_of(catalog, &state.key),
                from: due.from,
                to: due.to,
            },
            owner: catalog.node(state.key.node).owner.clone(),
        })
    }));
    found
}

impl Next {
    /// What is pressing comes first: what is apart or fires, then what is likely to be missed, then what waits.
    fn rank(&self) -> u8 {
        match self {
            Next::Link { .. } => 0,
            Next::StillFiring { .. } => 1,
            Next::Unlikely { .. } => 2,
            Next::Proposal { .. } => 3,
            Next::EntryDue { .. } => 4,
            Next::NoTargetNext { .. } => 5,
            Next::Feed { .. } => 6,
            Next::Weaker { .. } => 7,
        }
    }
}
