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
//! * [`instances`]: the instances of a snapshot, shared with the one before where nothing changed.
//! * [`outlook`]: what a total will have come to when its period ends, how sure that is, and what is late.
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
pub mod instances;
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

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use jiff::civil::Date;

use crate::catalog::{Catalog, MetricId, NodeId};
use crate::fold::cells::{Cells, Version};
use crate::fold::day::Day;
use crate::fold::delta::DimensionKey;
use crate::fold::plan::Plan;
use definition::CountedSince;
use instances::{Arrivals, Family, Instances};
use node::{CompiledNode, Looks, Moment, Part, Scratch, Standing};
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
    /// Nodes that read the rows of each group, and those that change with time, by index.
    readers: Vec<Vec<usize>>,
    ageing: Vec<usize>,
    /// The last snapshot of the present.
    last: Option<Last>,
    /// Number of the last snapshot.
    serial: u64,
    /// Threads among which everything is looked at.
    threads: usize,
    /// Whether instances keep how far they have gone through their histories, where they are not too many.
    keeps_walks: bool,
}

impl Evaluator {
    /// Compiles a catalogue.
    pub fn new(catalog: Arc<Catalog>, plan: Arc<Plan>) -> Evaluator {
        let ids = || (0u32..).map(NodeId).take(catalog.nodes.len());
        let nodes: Vec<_> = ids().map(|id| CompiledNode::new(&catalog, &plan, id)).collect();
        let mut readers = vec![Vec::new(); plan.groups.len()];
        let mut ageing = Vec::new();
        for (index, compiled) in nodes.iter().enumerate() {
            let Some(compiled) = compiled else { continue };
            compiled
                .groups()
                .iter()
                .for_each(|&group| readers[group].push(index));
            if compiled.ages() {
                ageing.push(index);
            }
        }
        let infos = ids().map(|id| info(&catalog, id)).collect();
        Evaluator {
            drift: drift::Drift::new(&catalog),
            catalog,
            plan,
            nodes,
            infos,
            book: Arc::default(),
            weighed: None,
            readers,
            ageing,
            last: None,
            serial: 0,
            threads: 1,
            keeps_walks: false,
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

    /// Has all processors to itself, as nothing else runs beside it, and days that close one after the other: so it keeps
    /// how far it has gone through histories.
    pub fn alone(mut self) -> Evaluator {
        self.keeps_walks = true;
        self.threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
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
        self.last = None;
        self
    }

    /// Every number at a watermark. Links are shown as they were judged when the last day closed, see
    /// [`Evaluator::close_day`].
    ///
    /// Of the present, what did not change since the last call is taken over from it, and costs nothing: time counts by whole
    /// minutes of the watermark, but for what has begun and not ended. Where an instance goes, or half as many come as there are,
    /// all are looked at.
    pub fn snapshot(&mut self, cells: &Cells, at: Timestamp, horizon: Horizon) -> Snapshot {
        let today = Day::of(self.catalog.calendar.day_of(at));
        if horizon == Horizon::Known
            && let Some(snapshot) = self.refreshed(cells, at, today)
        {
            return snapshot;
        }
        let before = self.last.take();
        let Evaluator {
            catalog,
            plan,
            nodes,
            drift,
            ..
        } = self;
        let moment = Moment {
            at,
            by: match horizon {
                Horizon::Known => minute_of(at),
                Horizon::Day => at,
            },
            today,
            last_day: match horizon {
                Horizon::Known => Day(i32::MAX - 1),
                Horizon::Day => today,
            },
            calendar: &catalog.calendar,
            whole_from: Day(i32::MIN),
        };
        let mut instances = Instances::default();
        let mut items = Vec::new();
        let mut has_moved = false;
        let compiled = nodes.iter_mut().flatten();
        let mut looks: Vec<Looks<'_>> = compiled
            .map(|compiled| compiled.prepare(catalog, (cells, plan), &drift.late, moment))
            .collect();
        let all: usize = looks.iter().map(Looks::len).sum();
        if self.keeps_walks && all <= WALKS {
            looks.iter_mut().for_each(Looks::keep_walks);
        }
        look_at_all(&mut looks, cells, self.threads);
        for looks in looks {
            has_moved |= looks.add(&mut instances, &mut items);
        }
        let known = before.map(|before| before.family);
        self.serial += 1;
        let family = match known.filter(|family| !has_moved && family.len() == instances.len()) {
            Some(family) => family,
            None => Arc::new(Family::of(&instances)),
        };
        reconcile::reconcile(catalog, &mut instances, &family);
        for state in instances.iter_mut() {
            self.show_judgement(state);
        }
        let shared = self.shared(&instances);
        if horizon == Horizon::Day {
            self.drift.looked_at(cells.version());
        }
        self.last = Some(match horizon {
            Horizon::Known => Last {
                at: Some(at),
                cells: Some(cells.version()),
                instances: instances.clone(),
                family: family.clone(),
            },
            Horizon::Day => Last::family_alone(family.clone()),
        });
        Snapshot {
            watermark: Some(at),
            nodes: self.weighed_on(today),
            instances,
            family,
            serial: self.serial,
            items,
            shared,
            ..Snapshot::default()
        }
    }

    /// What links and feeds say has changed: nothing that was shown can be taken over.
    fn forget_shown(&mut self) {
        self.last = self.last.take().map(|last| Last::family_alone(last.family));
    }

    /// The last snapshot brought up to date where cells have changed; `None` where that would not do: there is none, the minute
    /// is another, an instance has gone, or many have come.
    fn refreshed(&mut self, cells: &Cells, at: Timestamp, today: Day) -> Option<Snapshot> {
        let last = self.last.take()?;
        let family = last.family.clone();
        let refreshed = self.refresh(last, cells, at, today);
        if refreshed.is_none() {
            self.last = Some(Last::family_alone(family));
        }
        refreshed
    }

    fn refresh(&mut self, last: Last, cells: &Cells, at: Timestamp, today: Day) -> Option<Snapshot> {
        last.at
            .filter(|since| *since <= at && minute_of(*since) == minute_of(at))?;
        let mut touched: BTreeMap<usize, Vec<(usize, usize)>> =
            self.ageing.iter().map(|&node| (node, Vec::new())).collect();
        let mut series: Vec<(usize, usize)> = cells.changed_since(last.cells?)?.collect();
        series.sort_unstable();
        series.dedup();
        for (group, series) in series {
            for &node in &self.readers[group] {
                touched.entry(node).or_default().push((group, series));
            }
        }
        let catalog = self.catalog.clone();
        let moment = Moment {
            at,
            by: minute_of(at),
            today,
            last_day: Day(i32::MAX - 1),
            calendar: &catalog.calendar,
            whole_from: Day(i32::MIN),
        };
        let mut instances = last.instances;
        let mut standing = Standing {
            instances: &mut instances,
            changed: Vec::new(),
            arrived: Vec::new(),
            items: Vec::new(),
            scratch: Scratch::default(),
        };
        for (node, series) in touched {
            if let Some(compiled) = &mut self.nodes[node] {
                let read = (cells, &*self.plan, &self.drift.late);
                let done = compiled.refresh(&catalog, read, moment, &series, &mut standing);
                done.ok()?;
            }
        }
        let Standing {
            mut changed,
            arrived,
            mut items,
            ..
        } = standing;
        items.sort_by(|a, b| a.key.cmp(&b.key));
        if arrived.len() * MANY > instances.len() {
            return None;
        }
        let (family, arrivals) = match arrived.is_empty() {
            true => (last.family, Arrivals::default()),
            false => {
                let arrivals = self.make_room(&mut instances, arrived);
                changed.iter_mut().for_each(|at| *at = arrivals.moved(*at));
                changed.extend(arrivals.positions());
                (Arc::new(last.family.with(&arrivals, &instances)), arrivals)
            }
        };
        changed.sort_unstable();
        changed.dedup();
        let judged = |at: &u32| *at as usize;
        for at in changed.iter().map(judged) {
            if let Some(state) = instances.get_mut(at) {
                self.show_judgement(state);
            }
        }
        let reconciled = reconcile::reconcile_after(&catalog, &mut instances, &family, &changed);
        changed.extend(reconciled);
        changed.sort_unstable();
        changed.dedup();
        let shared = self.shared(&instances);
        self.serial += 1;
        self.last = Some(Last {
            at: Some(at),
            cells: Some(cells.version()),
            instances: instances.clone(),
            family: family.clone(),
        });
        Some(Snapshot {
            watermark: Some(at),
            nodes: self.weighed_on(today),
            instances,
            family,
            serial: self.serial,
            changed: Changed::Some {
                at: changed,
                arrivals,
            },
            items,
            shared,
            ..Snapshot::default()
        })
    }

    /// Puts instances that have come between the others.
    fn make_room(&mut self, instances: &mut Instances, arrived: Vec<(usize, NodeState)>) -> Arrivals {
        let mut places: Vec<(InstanceKey, usize)> = Vec::with_capacity(arrived.len());
        places.extend(arrived.iter().map(|(index, state)| (state.key.clone(), *index)));
        places.sort_unstable();
        let arrivals = instances.insert_all(arrived.into_iter().map(|(_, state)| state).collect());
        self.nodes
            .iter_mut()
            .flatten()
            .for_each(|node| node.make_room(&arrivals));
        for ((key, index), position) in places.into_iter().zip(arrivals.positions()) {
            if let Some(node) = &mut self.nodes[key.node.0 as usize] {
                node.stands_at(index, position);
            }
        }
        arrivals
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

    /// What an instance is made of by a dimension that its node is not split by (`drill`): value by value what the running period
    /// has brought by the end of a day, and what the one before came to.
    pub fn by_dimension(
        &self,
        cells: &Cells,
        state: &NodeState,
        dimension: &str,
        last_day: Day,
    ) -> Vec<drill::Counted> {
        let node = self.catalog.node(state.key.node);
        let mut names: Vec<String> = node.each.clone();
        names.push(dimension.to_owned());
        let Some(formula) = Formula::of(&self.catalog, &self.plan, node.metric, &names) else {
            return Vec::new();
        };
        // Keys follow the sorted names.
        names.sort();
        let at = |name: &str| names.iter().position(|other| other == name);
        let own: Option<Vec<_>> = node
            .each
            .iter()
            .zip(state.key.dimensions.iter())
            .map(|(name, value)| Some((at(name)?, self.plan.interner.find(value)?)))
            .collect();
        let (Some(own), Some(place)) = (own, at(dimension)) else {
            return Vec::new();
        };
        let groups: BTreeSet<usize> = formula.groups().into_iter().collect();
        let series = groups.into_iter().flat_map(|group| {
            (0..cells.series_count(group)).map(move |series| cells.series_key(group, series))
        });
        let is_mine = |key: &&DimensionKey| own.iter().all(|(at, value)| key[*at] == *value);
        let keys: HashSet<&DimensionKey> = series.filter(is_mine).collect();
        let calendar = self.catalog.calendar_of(node);
        let before = state.period.before(calendar);
        let (from, to) = (Day::of(state.period.start), Day::of(state.period.end));
        let value =
            |key: &DimensionKey, from: Day, to: Day| formula.value(cells, key, from, to).unwrap_or(0.0);
        let mut counted: Vec<drill::Counted> = keys
            .into_iter()
            .map(|key| drill::Counted {
                value: self.plan.interner.value(key[place]),
                came: value(key, from, to.min(Day(last_day.0.saturating_add(1)))),
                before: before.map_or(0.0, |before| {
                    value(key, Day::of(before.start), Day::of(before.end))
                }),
            })
            .filter(|counted| counted.came != 0.0 || counted.before != 0.0)
            .collect();
        counted.sort_by(|a, b| a.value.cmp(&b.value));
        counted
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

/// The last snapshot, to go on from.
#[derive(Debug)]
struct Last {
    /// Its watermark; `None` where only its family is kept.
    at: Option<Timestamp>,
    /// How far the cells had come.
    cells: Option<Version>,
    instances: Instances,
    family: Arc<Family>,
}

impl Last {
    /// Nothing of it holds any more but who serves whom.
    fn family_alone(family: Arc<Family>) -> Last {
        Last {
            at: None,
            cells: None,
            instances: Instances::default(),
            family,
        }
    }
}

/// Instances up to which histories are kept as far as they were gone through: two years of them take half a gigabyte.
const WALKS: usize = 4096;

/// All are looked at where more than one for every so many that are there comes at once.
const MANY: usize = 2;

/// Instances of a part that one thread does at a time.
const PART: usize = 64;

/// Looks at all instances, where they are many by several threads.
fn look_at_all(looks: &mut [Looks<'_>], cells: &Cells, threads: usize) {
    let all: usize = looks.iter().map(Looks::len).sum();
    if threads < 2 || all < 2 * PART {
        looks.iter_mut().for_each(|looks| looks.look(cells));
        return;
    }
    let parts: Vec<Part<'_>> = looks.iter_mut().flat_map(|looks| looks.parts(PART)).collect();
    let parts = Mutex::new(parts.into_iter());
    let next = || parts.lock().unwrap_or_else(PoisonError::into_inner).next();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(part) = next() {
                    part.look(cells);
                }
            });
        }
    });
}

/// The whole minute that a moment is in.
fn minute_of(at: Timestamp) -> Timestamp {
    let second = at.as_second();
    Timestamp::from_second(second - second.rem_euclid(60)).unwrap_or(at)
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
mod standing_tests;
#[cfg(test)]
mod template_tests;
#[cfg(test)]
mod tests;
