//! `tautline suggest NODE`: which metrics of the catalogue drive a business node, which KPIs drive nothing that can be
//! seen, and which targets its history speaks for; each with its reasons.

mod target;
#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::Serialize;

use super::explain::Unexplained;
use super::past::Past;
use crate::catalog::{Catalog, MetricId, MetricKind, NodeId, Role};
use crate::evaluate::drivers::{self, Driver};
use crate::fold::day::Day;

pub use target::{Basis, Proposal};
pub use text::text;

/// Days of history that are looked at, at most: two years.
const HISTORY: i32 = 730;

/// What can be suggested for one instance.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Suggestion {
    /// Name in the catalogue.
    pub node: String,
    /// Title with dimension values.
    pub title: String,
    /// Values of the `each` dimensions.
    pub dimensions: BTreeMap<String, String>,
    /// First and last day that were looked at.
    pub days: (Date, Date),
    /// Lags that were tried for each metric, in days: 0 to this.
    pub max_lag_days: usize,
    /// Share of chance links among those that are said.
    pub false_discovery_rate: f64,
    /// Metrics that are linked, the one that explains most first.
    pub drivers: Vec<DriverText>,
    /// Metrics without a link that can be seen.
    pub unlinked: Vec<Unlinked>,
    /// KPIs that serve the node, directly or through others, and whose metric drives nothing that can be seen.
    pub idle_kpis: Vec<IdleKpi>,
    /// KPIs that serve the node and were not compared with it: what they say of each other is arithmetic.
    pub arithmetic_kpis: Vec<ArithmeticKpi>,
    /// Metrics that could not be looked at, and why.
    pub not_looked_at: Vec<NotLookedAt>,
    /// Whether its target is a band, of which none is proposed.
    pub has_band: bool,
    /// Targets for the next period; `None` where fewer than three periods have closed.
    pub target: Option<Proposal>,
    /// Unit of the node.
    pub unit: Option<String>,
}

/// A KPI that moves with the node by arithmetic.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ArithmeticKpi {
    /// Name in the catalogue.
    pub node: String,
    /// Title.
    pub title: String,
    /// Its metric.
    pub metric: String,
    /// Why.
    pub why: Arithmetic,
}

/// Why two metrics move together whatever people do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Arithmetic {
    /// They are one.
    Same,
    /// That of the node is reckoned from that of the KPI.
    PartOfNode,
    /// That of the KPI is reckoned from that of the node.
    MadeOfNode,
}

/// A metric that moves before the node, or with it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct DriverText {
    /// Name in the catalogue.
    pub metric: String,
    /// Title.
    pub title: String,
    /// Days by which it is ahead, where the link is the surest.
    pub lag_days: usize,
    /// Every lag that is said.
    pub lags_days: Vec<usize>,
    /// Correlation at that lag.
    pub correlation: f64,
    /// Per cent by which the node moves in all when it moves by one.
    pub elasticity: Option<f64>,
    /// Share of what is new in the node that it explains.
    pub explained: f64,
    /// Share of chance links among those as sure as this one.
    pub q: f64,
    /// Days with a value on both sides.
    pub days: usize,
    /// KPIs under the node that count it.
    pub kpis: Vec<String>,
}

/// A metric without a link that can be seen.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Unlinked {
    /// Name in the catalogue.
    pub metric: String,
    /// Title.
    pub title: String,
    /// Its largest correlation at any lag.
    pub correlation: f64,
    /// The correlation that would have been found four times in five.
    pub least_seen: Option<f64>,
    /// Days with a value on both sides.
    pub days: usize,
}

/// A KPI that drives nothing that can be seen.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct IdleKpi {
    /// Name in the catalogue.
    pub node: String,
    /// Title.
    pub title: String,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Weight in points.
    pub weight: Option<f64>,
    /// Its metric.
    pub metric: String,
    /// The correlation that would have been found four times in five.
    pub least_seen: Option<f64>,
}

/// Why a metric could not be looked at.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct NotLookedAt {
    /// Name in the catalogue.
    pub metric: String,
    /// Why.
    pub why: Why,
}

/// Why a metric could not be looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// No node uses it, so nothing is counted for it.
    NotCounted,
    /// It is counted in parts only, and these do not add up.
    OnlyInParts,
    /// Fewer than [`drivers::MIN_DAYS`] days with a value on both sides, or always the same value.
    TooFewDays,
}

/// Suggests for an instance: `dimensions` are the values of its `each`, in their order.
///
/// # Errors
/// [`Unexplained`], in words for the one who asked.
pub fn suggest(past: &mut Past, name: &str, dimensions: &[String]) -> Result<Suggestion, Unexplained> {
    let catalog = past.catalog.clone();
    let key = super::explain::find(past, name, dimensions)?;
    let (Some(today), Some(begins)) = (past.today(), past.first_day()) else {
        return Err(Unexplained::NoEvents);
    };
    let (from, to) = (
        Day::of(begins).0.max(Day::of(today).0 - HISTORY),
        Day::of(today).0,
    );
    let flow = past.days(&key, Day(from).date(), Day(to).date());
    let node = catalog.node(key.node);
    let mut not_looked_at = Vec::new();
    let mut candidates = Vec::new();
    for (id, metric) in catalog.named_metrics() {
        if arithmetic(&catalog, node.metric, id).is_some() {
            continue;
        }
        let no = |why| NotLookedAt {
            metric: metric.name.clone(),
            why,
        };
        match past.metric_days(id, &key, Day(from).date(), Day(to).date()) {
            Some(days) => candidates.push((id, days)),
            None if catalog.nodes.iter().any(|node| node.metric == id) => {
                not_looked_at.push(no(Why::OnlyInParts))
            }
            None => not_looked_at.push(no(Why::NotCounted)),
        }
    }
    let is_special = |day: usize| {
        let date = Day(from + i32::try_from(day).unwrap_or(0)).date();
        catalog
            .calendar_of(catalog.node(key.node))
            .special_days
            .contains_key(&date)
    };
    let series: Vec<Vec<Option<f64>>> = candidates.iter().map(|(_, days)| days.clone()).collect();
    let weekday = Day(from).date().weekday().to_monday_zero_offset();
    let found = drivers::rank(&flow, &series, usize::try_from(weekday).unwrap_or(0), is_special);
    let mut looked: Vec<(MetricId, Driver)> = candidates.into_iter().map(|(id, _)| id).zip(found).collect();
    looked.retain(|(id, driver)| {
        if driver.best().is_none() {
            not_looked_at.push(NotLookedAt {
                metric: catalog.metric(*id).name.clone(),
                why: Why::TooFewDays,
            });
        }
        driver.best().is_some()
    });
    let below = kpis_below(&catalog, key.node);
    let arithmetic_kpis = below.iter().filter_map(|id| {
        let kpi = catalog.node(*id);
        Some(ArithmeticKpi {
            node: kpi.name.clone(),
            title: kpi.title.clone(),
            metric: catalog.metric(kpi.metric).name.clone(),
            why: arithmetic(&catalog, node.metric, kpi.metric)?,
        })
    });
    let arithmetic_kpis = arithmetic_kpis.collect();
    let idle_kpis = below
        .iter()
        .filter_map(|kpi| idle(&catalog, *kpi, &looked))
        .collect();
    let mut drivers: Vec<DriverText> = looked
        .iter()
        .filter_map(|(id, driver)| driver_text(&catalog, *id, driver, &below))
        .collect();
    drivers.sort_by(|a, b| {
        b.explained
            .total_cmp(&a.explained)
            .then_with(|| a.metric.cmp(&b.metric))
    });
    let mut unlinked: Vec<Unlinked> = looked
        .iter()
        .filter_map(|(id, driver)| unlinked(&catalog, *id, driver))
        .collect();
    unlinked.sort_by(|a, b| {
        b.correlation
            .abs()
            .total_cmp(&a.correlation.abs())
            .then_with(|| a.metric.cmp(&b.metric))
    });
    Ok(Suggestion {
        node: node.name.clone(),
        title: super::title_of(&catalog, &key),
        dimensions: node
            .each
            .iter()
            .cloned()
            .zip(key.dimensions.iter().map(ToString::to_string))
            .collect(),
        days: (Day(from).date(), Day(to - 1).date()),
        max_lag_days: drivers::MAX_LAG,
        false_discovery_rate: drivers::FALSE_DISCOVERIES,
        drivers,
        unlinked,
        idle_kpis,
        arithmetic_kpis,
        not_looked_at,
        has_band: node.has_band(),
        target: target::propose(past, &key, today, begins).filter(|_| !node.has_band()),
        unit: catalog.metric(node.metric).unit.clone(),
    })
}

fn driver_text(catalog: &Catalog, id: MetricId, driver: &Driver, below: &[NodeId]) -> Option<DriverText> {
    let best = driver.best().filter(|_| driver.is_linked())?;
    let metric = catalog.metric(id);
    let mut lags_days: Vec<usize> = driver.said().map(|lagged| lagged.lag).collect();
    lags_days.sort_unstable();
    Some(DriverText {
        metric: metric.name.clone(),
        title: metric.title.clone(),
        lag_days: best.lag,
        lags_days,
        correlation: best.r,
        elasticity: driver.elasticity(),
        explained: driver.explained(),
        q: best.q,
        days: driver.days,
        kpis: below
            .iter()
            .map(|kpi| catalog.node(*kpi))
            .filter(|kpi| kpi.metric == id)
            .map(|kpi| kpi.name.clone())
            .collect(),
    })
}

fn unlinked(catalog: &Catalog, id: MetricId, driver: &Driver) -> Option<Unlinked> {
    let best = driver.best().filter(|_| !driver.is_linked())?;
    let metric = catalog.metric(id);
    Some(Unlinked {
        metric: metric.name.clone(),
        title: metric.title.clone(),
        correlation: best.r,
        least_seen: driver.least_seen(),
        days: driver.days,
    })
}

/// A KPI whose metric was looked at and has no link.
fn idle(catalog: &Catalog, kpi: NodeId, looked: &[(MetricId, Driver)]) -> Option<IdleKpi> {
    let kpi = catalog.node(kpi);
    let (_, driver) = looked.iter().find(|(id, _)| *id == kpi.metric)?;
    (!driver.is_linked()).then(|| IdleKpi {
        node: kpi.name.clone(),
        title: kpi.title.clone(),
        owner: kpi.owner.clone(),
        weight: kpi.weight,
        metric: catalog.metric(kpi.metric).name.clone(),
        least_seen: driver.least_seen(),
    })
}

/// The KPIs that serve a node, directly or through others.
fn kpis_below(catalog: &Catalog, node: NodeId) -> Vec<NodeId> {
    let mut all: Vec<NodeId> = Vec::new();
    let mut next: Vec<NodeId> = catalog.children(node).collect();
    while let Some(child) = next.pop() {
        next.extend(catalog.children(child));
        if catalog.node(child).role == Role::Kpi {
            all.push(child);
        }
    }
    all.sort_unstable();
    all
}

/// Why the metric of a node and another one move together by arithmetic; `None` where they do not.
fn arithmetic(catalog: &Catalog, of_node: MetricId, other: MetricId) -> Option<Arithmetic> {
    match () {
        () if of_node == other => Some(Arithmetic::Same),
        () if is_made_of(catalog, of_node, other) => Some(Arithmetic::PartOfNode),
        () if is_made_of(catalog, other, of_node) => Some(Arithmetic::MadeOfNode),
        () => None,
    }
}

/// Whether a metric is another one, or computed from it: then they move together by arithmetic.
fn is_made_of(catalog: &Catalog, whole: MetricId, part: MetricId) -> bool {
    if whole == part {
        return true;
    }
    match &catalog.metric(whole).kind {
        MetricKind::Simple(_) | MetricKind::Duration(_) | MetricKind::Conversion(_) => false,
        MetricKind::Ratio {
            numerator,
            denominator,
        } => is_made_of(catalog, *numerator, part) || is_made_of(catalog, *denominator, part),
        MetricKind::Derived { inputs, .. } => inputs.iter().any(|input| is_made_of(catalog, *input, part)),
    }
}
