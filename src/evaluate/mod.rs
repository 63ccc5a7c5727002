//! Evaluate: one place where partials are merged and a [`Snapshot`] is computed at a watermark. Pure: no I/O, no clock.
//!
//! * [`snapshot`]: the result. [`period`], [`pace`], [`forecast`], [`value`]: its arithmetic.
//! * [`attribution`]: what a distance from plan is made of.
//! * [`backfill`]: definitions whose past is read again. [`definition`]: since when a metric is counted as it is declared now.
//! * [`burn`]: how much faster than of late a total would have to grow.
//! * [`course`]: how a KPI did over the days that its parent answers.
//! * [`drift`]: whether a KPI and the business it serves have come apart.
//! * [`drivers`]: which of many series drives another.
//! * [`intake`]: how many of a source's events could be used lately.
//! * [`silence`]: for how long nothing has come of a source. [`surge`]: more of it than in weeks.
//! * [`weights`]: weights that follow what the KPIs are seen to explain.

pub mod attribution;
pub mod backfill;
pub mod burn;
mod course;
pub mod definition;
pub mod drift;
pub mod drill;
pub mod drivers;
pub mod forecast;
pub mod intake;
mod node;
pub mod outlook;
pub mod pace;
pub mod period;
mod plan;
mod reconcile;
pub mod retention;
pub mod silence;
pub mod snapshot;
pub mod surge;
pub mod value;
pub mod weights;

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;

use crate::catalog::{Catalog, MetricId, NodeId};
use crate::fold::cells::Cells;
use crate::fold::day::Day;
use crate::fold::delta::DimensionKey;
use crate::fold::plan::Plan;
use definition::CountedSince;
use node::{CompiledNode, Moment};
pub use snapshot::*;
pub use value::Estimate;
use value::Formula;

/// How much of the cells a snapshot looks at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Horizon {
    /// Everything that is known: the present.
    Known,
    /// Nothing after the local day of the watermark: a day of the past, judged later.
    Day,
}

/// The catalogue compiled for evaluation.
#[derive(Debug)]
pub struct Evaluator {
    catalog: Arc<Catalog>,
    plan: Arc<Plan>,
    nodes: Vec<Option<CompiledNode>>,
    infos: Arc<[NodeInfo]>,
    drift: drift::Drift,
    book: Arc<weights::Book>,
    /// `infos` with the weights that are in force on a day; made anew when the day or the book changes.
    weighed: Option<(Day, Arc<[NodeInfo]>)>,
}

impl Evaluator {
    /// Compiles a catalogue.
    pub fn new(catalog: Arc<Catalog>, plan: Arc<Plan>) -> Evaluator {
        let ids = || (0u32..).map(NodeId).take(catalog.nodes.len());
        let nodes = ids().map(|id| CompiledNode::new(&catalog, &plan, id)).collect();
        let infos = ids().map(|id| info(&catalog, id)).collect();
        Evaluator {
            drift: drift::Drift::new(&catalog),
            catalog,
            plan,
            nodes,
            infos,
            book: Arc::default(),
            weighed: None,
        }
    }

    /// Counts with the weights of a book from now on.
    pub fn weigh(&mut self, book: Arc<weights::Book>) {
        self.book = book;
        self.weighed = None;
    }

    /// The weights that it counts with, and what was proposed of them.
    pub fn book(&self) -> &Arc<weights::Book> {
        &self.book
    }

    /// A local day closes with this snapshot: proposes weights, and counts with what applies by itself, see
    /// [`weights::Book::close`]. What changed in the book is to be kept.
    pub fn propose_weights(&mut self, closed: &Snapshot, at: Timestamp) -> weights::Changed {
        self.write_book(|book, catalog| book.close(catalog, closed, at))
    }

    /// Takes a decision on proposed weights, and counts with it, see [`weights::Book::decide`]. What changed in the book is
    /// to be kept.
    ///
    /// # Errors
    /// Where there is no such proposal, or it is not pending any more.
    pub fn decide_weights(
        &mut self,
        decision: weights::Decision,
        today: Date,
        at: Timestamp,
    ) -> Result<weights::Changed, weights::Refused> {
        self.write_book(|book, catalog| book.decide(catalog, decision, today, at))
    }

    fn write_book<T>(&mut self, write: impl FnOnce(&mut weights::Book, &Catalog) -> T) -> T {
        self.weighed = None;
        write(Arc::make_mut(&mut self.book), &self.catalog)
    }

    /// The nodes with the weights that are in force for the periods that hold a day.
    fn weighed_on(&mut self, today: Day) -> Arc<[NodeInfo]> {
        let known = self.weighed.take().filter(|(day, _)| *day == today);
        let weighed = known.map_or_else(|| self.weighed_anew(today), |(_, weighed)| weighed);
        self.weighed.insert((today, weighed)).1.clone()
    }

    fn weighed_anew(&self, today: Day) -> Arc<[NodeInfo]> {
        let catalog = &self.catalog;
        let mut infos = self.infos.clone();
        for (id, node) in (0u32..).map(NodeId).zip(&catalog.nodes) {
            let start = Period::containing(node.period, today.date(), catalog.calendar_of(node)).start;
            let weight = self.book.weight(catalog, id, start);
            if weight.is_some() && weight != node.weight {
                Arc::make_mut(&mut infos)[id.0 as usize].weight = weight;
            }
        }
        infos
    }

    /// Keeps what forecasts of closed periods came to, some 3 KB of an instance with a year of history: for many days in a row
    /// that saves most of those forecasts, and for one a day it is not worth it.
    pub fn rehearsing(mut self) -> Evaluator {
        self.nodes
            .iter_mut()
            .flatten()
            .for_each(node::CompiledNode::rehearse);
        self
    }

    /// Judges no period that a metric's definition has not seen from its beginning, and no link by what it learned of
    /// another definition.
    pub fn since(mut self, since: &CountedSince) -> Evaluator {
        for node in self.nodes.iter_mut().flatten() {
            node.count_since(&self.plan, since);
        }
        for (info, node) in Arc::make_mut(&mut self.infos).iter_mut().zip(&self.catalog.nodes) {
            info.reckoned_since = since.of_metric(&self.plan, &self.catalog.metric(node.metric).name);
        }
        self.weighed = None;
        self
    }

    /// Every number at a watermark. What did not change since the last call is not computed again. Links are shown as
    /// they were judged when the last day closed, see [`Evaluator::close_day`].
    pub fn snapshot(&mut self, cells: &Cells, at: Timestamp, horizon: Horizon) -> Snapshot {
        let Evaluator {
            catalog, plan, nodes, ..
        } = self;
        let today = Day::of(catalog.calendar.day_of(at));
        let last_day = match horizon {
            Horizon::Known => Day(i32::MAX - 1),
            Horizon::Day => today,
        };
        let moment = Moment {
            at,
            today,
            last_day,
            calendar: &catalog.calendar,
            whole_from: Day(i32::MIN),
        };
        let mut instances = Vec::new();
        let mut items = Vec::new();
        for compiled in nodes.iter_mut().flatten() {
            compiled.states(catalog, cells, plan, moment, &mut instances, &mut items);
        }
        reconcile::reconcile(catalog, &mut instances);
        let infos = self.weighed_on(today);
        self.show_judgement(&mut instances);
        let shared = self.shared(&instances);
        Snapshot {
            watermark: Some(at),
            nodes: infos,
            instances,
            items,
            sources: Vec::new(),
            evicted_keys: Default::default(),
            evicted_items: Default::default(),
            dropped_marks: Default::default(),
            shared,
            intake: Vec::new(),
            events_in_other: Default::default(),
            events_too_old: Default::default(),
            long_values: Default::default(),
        }
    }

    /// The value of an instance over a period, by all that is known now.
    pub fn final_value(&self, cells: &Cells, key: &InstanceKey, period: &Period) -> Option<f64> {
        let node = self.catalog.node(key.node);
        let formula = Formula::of(&self.catalog, &self.plan, node.metric, &node.each)?;
        formula.value(
            cells,
            &self.cell_key(key),
            Day::of(period.start),
            Day::of(period.end),
        )
    }

    /// What of the value of an instance over a period is an estimate.
    pub fn estimates(&self, cells: &Cells, key: &InstanceKey, period: &Period) -> BTreeSet<Estimate> {
        let node = self.catalog.node(key.node);
        let formula = Formula::of(&self.catalog, &self.plan, node.metric, &node.each);
        let (from, to) = (Day::of(period.start), Day::of(period.end));
        formula
            .map(|formula| formula.estimates(cells, &self.cell_key(key), from, to))
            .unwrap_or_default()
    }

    /// What each of the days `from..to` brought to a metric: of the same dimension values as an instance where it is kept
    /// by them, else as a whole. `None` where it is not counted, or only in parts that do not add up.
    pub fn metric_flow(
        &self,
        cells: &Cells,
        metric: MetricId,
        like: &InstanceKey,
        from: Day,
        to: Day,
    ) -> Option<Vec<Option<f64>>> {
        let formula = |each: &[String]| Formula::of(&self.catalog, &self.plan, metric, each);
        if let Some(formula) = formula(&self.catalog.node(like.node).each) {
            return Some(formula.daily(cells, &self.cell_key(like), from, to));
        }
        if let Some(whole) = formula(&[]) {
            return Some(whole.daily(cells, &DimensionKey::default(), from, to));
        }
        let splits = self.catalog.nodes.iter().filter(|node| node.metric == metric);
        let parts = splits
            .filter_map(|node| formula(&node.each))
            .find(Formula::is_additive)?;
        let group = parts.columns().first()?.group;
        let mut sum = vec![0.0; usize::try_from(to.0 - from.0).unwrap_or(0)];
        for series in 0..cells.series_count(group) {
            let days = parts.daily(cells, cells.series_key(group, series), from, to);
            sum.iter_mut()
                .zip(days)
                .for_each(|(sum, day)| *sum += day.unwrap_or(0.0));
        }
        Some(sum.into_iter().map(Some).collect())
    }

    /// The key of an instance's cells: its values in the order of sorted dimension names.
    fn cell_key(&self, key: &InstanceKey) -> DimensionKey {
        let mut pairs: Vec<_> = self
            .catalog
            .node(key.node)
            .each
            .iter()
            .zip(key.dimensions.iter())
            .collect();
        pairs.sort();
        pairs
            .into_iter()
            .map(|(_, value)| self.plan.interner.id(value))
            .collect()
    }
}

/// The instance that an instance serves: the same values for the dimensions that its parent has.
pub(crate) fn parent_of(catalog: &Catalog, key: &InstanceKey) -> Option<InstanceKey> {
    let node = catalog.node(key.node);
    let parent = node.parent.as_ref()?.node;
    let value = |name: &String| {
        let position = node.each.iter().position(|other| other == name)?;
        key.dimensions.get(position).cloned()
    };
    let dimensions = catalog
        .node(parent)
        .each
        .iter()
        .map(value)
        .collect::<Option<_>>()?;
    Some(InstanceKey {
        node: parent,
        dimensions,
    })
}

fn info(catalog: &Catalog, id: NodeId) -> NodeInfo {
    let node = catalog.node(id);
    NodeInfo {
        name: node.name.clone(),
        title: node.title.clone(),
        role: node.role,
        level: node.level,
        parent: node
            .parent
            .as_ref()
            .map(|parent| catalog.node(parent.node).name.clone()),
        relation: node.parent.as_ref().map(|parent| parent.relation),
        owner: node.owner.clone(),
        weight: node.weight,
        unit: catalog.metric(node.metric).unit.clone(),
        each: node.each.clone(),
        reckoned_since: None,
    }
}

#[cfg(test)]
mod template_tests;
#[cfg(test)]
mod tests;
