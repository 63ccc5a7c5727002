//! One node compiled for evaluation, and its instances. What costs something (values over days, targets, forecasts) is
//! computed anew only when cells of the instance changed, or the day did; the rest is a little arithmetic a tick.

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use smallvec::SmallVec;

use super::attribution::Untold;
use super::burn::{self, Burn, burn};
use super::course::{self, Course, Days, course};
use super::definition::CountedSince;
use super::forecast::{DAYS, Forecast, Known, forecast};
use super::instances::{Arrivals, Instances, NOWHERE, number};
use super::outlook::{self, Almanac, Awaited, Foreseen, History, Late, Outlook, Past, Walk};
use super::pace::{self, PaceInput};
use super::plan::PeriodPlan;
use super::snapshot::{EntryDue, InstanceKey, LATEST_DAYS, NodeState, OpenItem, OpenItems, Pace, Period};
use super::value::Formula;
use crate::catalog::{Band, Calendar, Catalog, Direction, GrowthBase, Manual, Node, NodeId, Target};
use crate::fold::cells::Cells;
use crate::fold::day::Day;
use crate::fold::delta::DimensionKey;
use crate::fold::plan::Plan;

/// Open items that a node shows, besides those that are overdue.
const SHOWN_ITEMS: usize = 100;
/// An instance that has brought nothing for this long before its period, and has no target in it, is retired.
const RETIRED_AFTER_DAYS: i32 = 42;
/// Days before a period from which on last year says what it should look like.
const YEAR_OF_DATA: i32 = 366;
/// A series that there is not yet.
const NO_SERIES: u32 = u32::MAX;
/// Days of history from which on a total's forecast does not look at the clock.
const STEADY_DAYS: usize = 7;

/// A node ready to be evaluated, with its instances.
#[derive(Debug)]
pub(super) struct CompiledNode {
    id: NodeId,
    formula: Formula,
    /// Since when every part of the formula is counted, where that is not from the beginning.
    counted_since: Option<Timestamp>,
    /// When its definition came into the catalogue, if that is known.
    declared: Option<Timestamp>,
    accumulates: bool,
    /// Position of each dimension of `Node::each` among the sorted names that keys follow.
    order: Vec<usize>,
    /// Groups whose rows the formula reads, each once.
    groups: Vec<usize>,
    /// How many series of each group have been looked at.
    scanned: Vec<usize>,
    instances: Vec<Instance>,
    /// Where each of them stands in the snapshot; [`NOWHERE`] while it is not there.
    positions: Vec<u32>,
    /// Indices of instances by the keys of their cells, which stand in `instances`.
    by_cells: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// Instances by dimension values, as of the last time that all were looked at.
    sorted: Vec<u32>,
    /// The calendar around the period that was looked at last.
    almanac: Option<Arc<Almanac>>,
}

#[derive(Debug)]
struct Instance {
    key: InstanceKey,
    parent: Option<InstanceKey>,
    cell_key: DimensionKey,
    /// Its series in each of the node's groups; [`NO_SERIES`] until there is one.
    series: SmallVec<[u32; 4]>,
    /// Target rows, ascending by the day they were announced. Most of many instances have none.
    targets: Box<[TargetOf]>,
    computed: Option<Computed>,
    /// Its history as far as it was gone through, where that is kept.
    walk: Option<Walk>,
}

/// A line of a target file.
#[derive(Clone, Copy, Debug)]
struct TargetOf {
    start: Date,
    target: f64,
    band: Option<Band>,
    announced: Option<Date>,
}

/// What was computed, and of what.
#[derive(Clone, Debug)]
struct Computed {
    generation: u64,
    today: Day,
    last_day: Day,
    period: Period,
    value: Option<f64>,
    target: Option<f64>,
    /// Few targets are bands.
    band: Option<Box<Band>>,
    plan: PeriodPlan,
    daily: Arc<[Option<f64>]>,
    burn: Burn,
    /// Days of history before today.
    history: u32,
    forecast: Option<Forecast>,
    /// Fewer events than the node waits for.
    is_few: bool,
    /// The first local day that knew of it: by an event, or by a target.
    seen_from: Option<Day>,
    /// Of a total with some history.
    foreseen: Option<Arc<Foreseen>>,
}

/// When a snapshot is taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment<'a> {
    pub(super) at: Timestamp,
    /// The time by which shares of periods are told: in whole minutes, so that they do not change with every tick.
    pub(super) by: Timestamp,
    pub(super) today: Day,
    /// Cells of later days are not looked at.
    pub(super) last_day: Day,
    pub(super) calendar: &'a Calendar,
    /// The first day that the node's definition has seen whole; what was before is not compared with.
    pub(super) whole_from: Day,
}

impl CompiledNode {
    pub(super) fn new(catalog: &Catalog, plan: &Plan, id: NodeId) -> Option<CompiledNode> {
        let node = catalog.node(id);
        let mut names = node.each.clone();
        names.sort();
        let position = |name: &String| names.iter().position(|other| other == name);
        let formula = Formula::of(catalog, plan, node.metric, &node.each)?;
        let mut groups = formula.groups();
        groups.sort_unstable();
        groups.dedup();
        let mut compiled = CompiledNode {
            id,
            accumulates: catalog.accumulates(node.metric),
            order: node.each.iter().map(position).collect::<Option<_>>()?,
            scanned: vec![0; groups.len()],
            counted_since: None,
            declared: None,
            formula,
            groups,
            instances: Vec::new(),
            positions: Vec::new(),
            by_cells: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            sorted: Vec::new(),
            almanac: None,
        };
        if node.each.is_empty() {
            compiled.instance(catalog, plan, &DimensionKey::new());
        }
        if let Target::Table(rows) = &node.target {
            let mut targets: BTreeMap<usize, Vec<TargetOf>> = BTreeMap::new();
            for row in rows {
                let mut key: DimensionKey = row.dimensions.iter().map(|_| Default::default()).collect();
                for (value, &at) in row.dimensions.iter().zip(&compiled.order) {
                    key[at] = plan.interner.id(value);
                }
                let index = compiled.instance(catalog, plan, &key);
                targets.entry(index).or_default().push(TargetOf {
                    start: row.start,
                    target: row.target,
                    band: row.band,
                    announced: row.announced,
                });
            }
            for (index, mut rows) in targets {
                rows.sort_by_key(|row| row.announced);
                compiled.instances[index].targets = rows.into();
            }
        }
        Some(compiled)
    }

    pub(super) fn count_since(&mut self, plan: &Plan, since: &CountedSince) {
        self.counted_since = since.of_formula(plan, &self.formula);
        self.declared = since.declared(plan, &self.formula);
    }

    /// The instance of a cell key, made when it is new.
    fn instance(&mut self, catalog: &Catalog, plan: &Plan, cell_key: &DimensionKey) -> usize {
        if let Some(index) = self.index_of(cell_key) {
            return index;
        }
        let hash = self.hasher.hash_one(cell_key);
        let dimensions = self
            .order
            .iter()
            .map(|&at| plan.interner.value(cell_key[at]))
            .collect();
        let key = InstanceKey {
            node: self.id,
            dimensions,
        };
        self.instances.push(Instance {
            parent: super::parent_of(catalog, &key),
            key,
            cell_key: cell_key.clone(),
            series: self.groups.iter().map(|_| NO_SERIES).collect(),
            targets: Box::default(),
            computed: None,
            walk: None,
        });
        self.positions.push(NOWHERE);
        let index = self.instances.len() - 1;
        let CompiledNode {
            by_cells,
            hasher,
            instances,
            ..
        } = self;
        let hash_at = |index: &u32| hasher.hash_one(&instances[*index as usize].cell_key);
        by_cells.insert_unique(hash, u32::try_from(index).unwrap_or(u32::MAX), hash_at);
        index
    }

    fn index_of(&self, cell_key: &DimensionKey) -> Option<usize> {
        let is_it = |index: &u32| self.instances[*index as usize].cell_key == *cell_key;
        let found = self.by_cells.find(self.hasher.hash_one(cell_key), is_it);
        found.map(|index| *index as usize)
    }

    fn sort(&mut self) {
        if self.sorted.len() == self.instances.len() {
            return;
        }
        self.sorted = (0u32..).take(self.instances.len()).collect();
        let key = |index: &u32| &self.instances[*index as usize].key;
        self.sorted.sort_by(|a, b| key(a).cmp(key(b)));
    }

    /// What is the same for all its instances at a moment.
    fn frame<'a>(&self, catalog: &'a Catalog, moment: Moment<'a>) -> Frame<'a> {
        let node = catalog.node(self.id);
        let calendar = catalog.calendar_of(node);
        let moment = Moment { calendar, ..moment };
        let period = Period::containing(node.period, moment.today.date(), calendar);
        let since = self.counted_since;
        let whole_from = since.map_or(moment.whole_from, |since| {
            Day(Day::of(calendar.day_of(since)).0 + 1)
        });
        Frame {
            node,
            accumulates: self.accumulates,
            counted_since: since,
            manual: catalog.metric(node.metric).manual.as_ref(),
            period,
            // By the calendar the plan is the same for all instances, and counting working days costs something.
            by_calendar: ByCalendar {
                linear: pace::elapsed(&period, moment.by, calendar),
                of_today: pace::elapsed_of_day(moment.today.date(), moment.by, calendar),
                workdays: PeriodPlan::Workdays.share(&period, moment.by, calendar),
            },
            known_since: self.declared.map(|declared| Day::of(calendar.day_of(declared))),
            is_whole: since.is_none_or(|since| calendar.start_of(period.start) > since),
            moment: Moment { whole_from, ..moment },
        }
    }

    /// Finds instances that are new, and says what is to be looked at.
    pub(super) fn prepare<'a>(
        &'a mut self,
        catalog: &'a Catalog,
        (cells, plan): (&Cells, &Plan),
        late: &'a HashMap<InstanceKey, Awaited>,
        moment: Moment<'a>,
    ) -> Looks<'a> {
        self.discover(catalog, cells, plan);
        self.sort();
        let frame = self.frame(catalog, moment);
        let CompiledNode {
            formula,
            groups,
            instances,
            positions,
            sorted,
            almanac,
            ..
        } = self;
        Looks {
            of: Of {
                formula,
                groups,
                frame,
                almanac: almanac_of(almanac, &frame),
                late,
                keeps_walks: false,
            },
            seen: Vec::new(),
            instances,
            positions,
            sorted,
        }
    }

    /// Puts in place those of its instances whose series have changed, and all of them if they change with time. Those that come
    /// are put aside.
    ///
    /// # Errors
    /// Where an instance has gone: the others do not stand where they stood.
    pub(super) fn refresh(
        &mut self,
        catalog: &Catalog,
        (cells, plan, late): (&Cells, &Plan, &HashMap<InstanceKey, Awaited>),
        moment: Moment<'_>,
        series: &[(usize, usize)],
        into: &mut Standing<'_>,
    ) -> Result<(), Gone> {
        self.discover(catalog, cells, plan);
        let frame = self.frame(catalog, moment);
        let almanac = almanac_of(&mut self.almanac, &frame).clone();
        if self.ages() {
            return (0..self.instances.len())
                .try_for_each(|index| self.refresh_one((&frame, &almanac, late), cells, index, into));
        }
        let changed = series.iter().filter_map(|(group, series)| {
            let key = cells.series_key(*group, *series);
            self.index_of(key)
        });
        let mut changed: Vec<usize> = changed.collect();
        changed.sort_unstable();
        changed.dedup();
        changed
            .into_iter()
            .try_for_each(|index| self.refresh_one((&frame, &almanac, late), cells, index, into))
    }

    /// Instances have come among all of the snapshot: where its own stand now.
    pub(super) fn make_room(&mut self, arrivals: &Arrivals) {
        let there = self.positions.iter_mut().filter(|at| **at != NOWHERE);
        there.for_each(|at| *at = arrivals.moved(*at));
    }

    /// One of its own has come to a position.
    pub(super) fn stands_at(&mut self, index: usize, position: u32) {
        self.positions[index] = position;
    }

    fn refresh_one(
        &mut self,
        (frame, almanac, late): (&Frame<'_>, &Almanac, &HashMap<InstanceKey, Awaited>),
        cells: &Cells,
        index: usize,
        into: &mut Standing<'_>,
    ) -> Result<(), Gone> {
        let CompiledNode {
            formula,
            groups,
            instances,
            ..
        } = self;
        let of = Of {
            formula,
            groups,
            frame: *frame,
            almanac,
            late,
            keeps_walks: false,
        };
        let seen = of.look(cells, &mut instances[index], &mut into.scratch);
        let position = self.positions[index];
        let (mut state, open) = match (seen, position) {
            (None, NOWHERE) => return Ok(()),
            (None, _) => return Err(Gone),
            (Some(seen), _) => seen,
        };
        into.items.extend(open.map(|open| *open));
        if position == NOWHERE {
            into.arrived.push((index, state));
            return Ok(());
        }
        let known = into.instances.get_mut(position as usize).ok_or(Gone)?;
        // Of many parts they are not compared at once.
        state.unreconciled = known.unreconciled.take();
        *known = state;
        into.changed.push(position);
        Ok(())
    }

    /// Whether its instances change as time goes by, without any event.
    pub(super) fn ages(&self) -> bool {
        self.formula.ages()
    }

    /// The groups whose rows it reads.
    pub(super) fn groups(&self) -> &[usize] {
        &self.groups
    }

    /// Finds the instances of series that have not been looked at yet.
    fn discover(&mut self, catalog: &Catalog, cells: &Cells, plan: &Plan) {
        for at in 0..self.groups.len() {
            let group = self.groups[at];
            for series in self.scanned[at]..cells.series_count(group) {
                let index = self.instance(catalog, plan, cells.series_key(group, series));
                self.instances[index].series[at] = u32::try_from(series).unwrap_or(NO_SERIES);
            }
            self.scanned[at] = cells.series_count(group);
        }
    }

    /// How an instance did over some days, against the plans of its own periods.
    pub(super) fn course(
        &self,
        catalog: &Catalog,
        cells: &Cells,
        cell_key: &DimensionKey,
        days: Days,
        moment: Moment<'_>,
    ) -> Result<Course, Untold> {
        let node = catalog.node(self.id);
        let calendar = catalog.calendar_of(node);
        let whole_from = self.counted_since.map_or(moment.whole_from, |since| {
            Day(Day::of(calendar.day_of(since)).0 + 1)
        });
        if whole_from > days.days.start {
            return Err(Untold::TooShort);
        }
        let known = InPeriods {
            instance: &self.instances[self.index_of(cell_key).ok_or(Untold::NoValue)?],
            node,
            formula: &self.formula,
            cells,
            moment: Moment {
                calendar,
                whole_from,
                ..moment
            },
            accumulates: self.accumulates,
        };
        course(node, self.accumulates, calendar, days, &known)
    }

    /// What each of the days `from..to` brought, as known now.
    pub(super) fn flow(&self, cells: &Cells, key: &DimensionKey, from: Day, to: Day) -> Vec<Option<f64>> {
        self.formula.daily(cells, key, from, to)
    }
}

/// The latest entry that should be there by now, its grace over, and whether one of its days has it. Nothing is due for
/// a time before there was the metric: its first entry, or the day on which it was declared.
fn entry_due(
    formula: &Formula,
    cells: &Cells,
    key: &DimensionKey,
    declared: &Manual,
    known_since: Option<Day>,
    moment: Moment<'_>,
) -> Option<EntryDue> {
    let Moment { by: at, calendar, .. } = moment;
    let settled = calendar.day_of(at.checked_sub(declared.grace).ok()?);
    let running = Period::containing(declared.every?, settled, calendar);
    let due = Period::containing(declared.every?, running.start.yesterday().ok()?, calendar);
    let first = formula.first_day(cells, key).into_iter().chain(known_since).min();
    let is_there = formula.has_cells(cells, key, Day::of(due.start), Day::of(due.end));
    if !is_there && first.is_some_and(|first| first > Day::of(due.start)) {
        return None;
    }
    let late = at.duration_since(calendar.start_of(due.end)).as_secs_f64() / 86_400.0;
    Some(EntryDue {
        from: due.start,
        to: due.end,
        late_days: if is_there { 0.0 } else { late },
    })
}

/// All instances of a node, to be looked at.
pub(super) struct Looks<'a> {
    of: Of<'a>,
    instances: &'a mut [Instance],
    /// What was seen of each, in their order.
    seen: Vec<Option<Seen>>,
    positions: &'a mut [u32],
    sorted: &'a [u32],
}

/// An instance with its open items.
type Seen = (NodeState, Option<Box<OpenItems>>);

impl Looks<'_> {
    /// How many instances there are.
    pub(super) fn len(&self) -> usize {
        self.instances.len()
    }

    /// Instances keep how far they have gone through their histories.
    pub(super) fn keep_walks(&mut self) {
        self.of.keeps_walks = true;
    }

    /// Looks at all of them.
    pub(super) fn look(&mut self, cells: &Cells) {
        let Looks {
            of, instances, seen, ..
        } = self;
        let mut scratch = Scratch::default();
        *seen = instances
            .iter_mut()
            .map(|instance| of.look(cells, instance, &mut scratch))
            .collect();
    }

    /// The same, as parts that several threads can do.
    pub(super) fn parts(&mut self, size: usize) -> impl Iterator<Item = Part<'_>> {
        let Looks {
            of, instances, seen, ..
        } = self;
        seen.resize_with(instances.len(), || None);
        let of = *of;
        let parts = instances.chunks_mut(size).zip(seen.chunks_mut(size));
        parts.map(move |(instances, seen)| Part { of, instances, seen })
    }

    /// Adds what was seen, by dimension values. Whether anything stands elsewhere than before.
    pub(super) fn add(mut self, states: &mut Instances, items: &mut Vec<OpenItems>) -> bool {
        let mut has_moved = false;
        for &index in self.sorted {
            let seen = self.seen.get_mut(index as usize).and_then(Option::take);
            let position = seen.as_ref().map_or(NOWHERE, |_| number(states.len()));
            let known = &mut self.positions[index as usize];
            has_moved |= std::mem::replace(known, position) != position;
            if let Some((state, open)) = seen {
                states.push(state);
                items.extend(open.map(|open| *open));
            }
        }
        has_moved
    }
}

/// Some instances of a node, to be looked at.
pub(super) struct Part<'a> {
    of: Of<'a>,
    instances: &'a mut [Instance],
    seen: &'a mut [Option<Seen>],
}

impl Part<'_> {
    pub(super) fn look(self, cells: &Cells) {
        let mut scratch = Scratch::default();
        for (instance, seen) in self.instances.iter_mut().zip(self.seen) {
            *seen = self.of.look(cells, instance, &mut scratch);
        }
    }
}

/// Lists that looks at one instance after the other fill anew.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// What days brought.
    days: Vec<Option<f64>>,
    /// The same of complete days, where nothing is 0.
    complete: Vec<f64>,
    /// For forecasts.
    room: outlook::Room,
}

/// A node at a moment.
#[derive(Clone, Copy)]
struct Of<'a> {
    formula: &'a Formula,
    groups: &'a [usize],
    frame: Frame<'a>,
    almanac: &'a Almanac,
    /// What is awaited of what comes late.
    late: &'a HashMap<InstanceKey, Awaited>,
    /// Whether instances keep how far they have gone through their histories.
    keeps_walks: bool,
}

impl Of<'_> {
    /// One of its instances, with its open items; `None` where it is not shown.
    fn look(&self, cells: &Cells, instance: &mut Instance, scratch: &mut Scratch) -> Option<Seen> {
        let Of {
            formula,
            groups,
            frame,
            ..
        } = *self;
        let Frame {
            node, period, moment, ..
        } = frame;
        let open = instance.open(node, formula, cells, moment.at);
        let is_alive = || open.is_some() || instance.is_alive(cells, groups, &period, moment.last_day);
        if !node.each.is_empty() && !is_alive() {
            return None;
        }
        let (computed, shares) = instance.compute(self, cells, scratch);
        let mut state = instance.state(node, &computed, shares);
        state.counted_since = frame.counted_since;
        if !frame.is_whole {
            state.withhold();
        }
        if let Some(declared) = frame.manual {
            let known_since = frame.known_since;
            let due = entry_due(formula, cells, &instance.cell_key, declared, known_since, moment);
            state.entry_due = due.map(Box::new);
        }
        instance.computed = Some(computed);
        Some((state, open.map(Box::new)))
    }
}

/// The calendar around the running period, made anew when that is another.
fn almanac_of<'k>(known: &'k mut Option<Arc<Almanac>>, frame: &Frame<'_>) -> &'k Arc<Almanac> {
    let same = known.take().filter(|known| *known.period() == frame.period);
    known.insert(same.unwrap_or_else(|| Arc::new(Almanac::of(frame.period, frame.moment.calendar))))
}

/// What is the same for all instances of a node at a moment.
#[derive(Clone, Copy)]
struct Frame<'a> {
    node: &'a Node,
    accumulates: bool,
    /// Since when every part of the formula is counted, where that is not from the beginning.
    counted_since: Option<Timestamp>,
    manual: Option<&'a Manual>,
    period: Period,
    by_calendar: ByCalendar,
    /// When its definition came into the catalogue, if that is known.
    known_since: Option<Day>,
    /// Whether its definition has seen the period from its beginning.
    is_whole: bool,
    moment: Moment<'a>,
}

/// A snapshot that is brought up to date where something changed.
pub(super) struct Standing<'a> {
    pub(super) instances: &'a mut Instances,
    /// Positions of what was put in place, in no order.
    pub(super) changed: Vec<u32>,
    /// What was not there before, with its index within the node; in no order.
    pub(super) arrived: Vec<(usize, NodeState)>,
    pub(super) items: Vec<OpenItems>,
    pub(super) scratch: Scratch,
}

/// An instance has gone.
pub(super) struct Gone;

/// An instance in any of its periods.
struct InPeriods<'a> {
    instance: &'a Instance,
    node: &'a Node,
    formula: &'a Formula,
    cells: &'a Cells,
    moment: Moment<'a>,
    accumulates: bool,
}

impl InPeriods<'_> {
    fn planned(&self, period: &Period, at: Timestamp) -> f64 {
        let InPeriods {
            node,
            formula,
            cells,
            moment,
            ..
        } = *self;
        let first = formula.first_day(cells, &self.instance.cell_key);
        let plan = self
            .instance
            .plan(node, formula, cells, (period, moment), first, self.accumulates);
        plan.share(period, at, moment.calendar)
    }
}

impl course::Known for InPeriods<'_> {
    fn target(&self, period: &Period) -> Option<f64> {
        self.instance
            .target(self.node, self.formula, self.cells, period, self.moment)
    }

    fn band(&self, period: &Period) -> Option<Band> {
        self.instance.band(self.node, period, self.moment)
    }

    fn planned_before(&self, period: &Period, day: Day) -> f64 {
        self.planned(period, self.moment.calendar.start_of(day.date()))
    }

    fn planned_by_now(&self, period: &Period) -> f64 {
        self.planned(period, self.moment.by)
    }

    fn value(&self, from: Day, to: Day) -> Option<f64> {
        self.formula.value(self.cells, &self.instance.cell_key, from, to)
    }
}

/// Planned shares that follow from the calendar alone.
#[derive(Clone, Copy)]
struct ByCalendar {
    linear: f64,
    /// Share of the local day that has passed.
    of_today: f64,
    workdays: f64,
}

/// Shares of the period at a moment.
#[derive(Clone, Copy)]
struct Shares {
    elapsed: f64,
    /// Of the local day.
    of_today: f64,
    expected: f64,
    accumulates: bool,
}

impl Computed {
    /// The days that its forecast was fitted to: their mark.
    fn fitted_to(&self) -> Option<u64> {
        Some(self.foreseen.as_ref()?.mark())
    }

    fn shares(&self, moment: Moment<'_>, by_calendar: ByCalendar, accumulates: bool) -> Shares {
        let expected = match &self.plan {
            PeriodPlan::Linear => by_calendar.linear,
            PeriodPlan::Workdays => by_calendar.workdays,
            plan => plan.share(&self.period, moment.by, moment.calendar),
        };
        Shares {
            elapsed: by_calendar.linear,
            of_today: by_calendar.of_today,
            expected,
            accumulates,
        }
    }
}

impl Instance {
    /// Whether it has begun, and has brought something lately or has a target in the period.
    fn is_alive(&self, cells: &Cells, groups: &[usize], period: &Period, last_day: Day) -> bool {
        let since = Day::of(period.start).0 - RETIRED_AFTER_DAYS;
        let series = self.series(groups);
        let series = series.filter_map(|(group, series)| cells.series_days(group, series));
        let has_events = |(first, last): (Day, Day)| first <= last_day && last.0 >= since;
        series.into_iter().any(has_events) || self.targets.iter().any(|row| period.holds(row.start))
    }

    /// Groups that have a series of it, and its number there.
    fn series(&self, groups: &[usize]) -> impl Iterator<Item = (usize, usize)> {
        let known = groups.iter().zip(&self.series);
        known.filter_map(|(&group, &series)| (series != NO_SERIES).then_some((group, series as usize)))
    }

    fn generation(&self, cells: &Cells, groups: &[usize]) -> u64 {
        let series = self.series(groups);
        // The number of series is part of it: a new one may have the generation that another had.
        series
            .map(|(group, series)| u64::from(cells.series_generation(group, series)) + (1 << 40))
            .sum()
    }

    fn compute(&mut self, of: &Of<'_>, cells: &Cells, scratch: &mut Scratch) -> (Computed, Shares) {
        let Of {
            formula,
            groups,
            frame,
            almanac,
            late,
            keeps_walks,
        } = *of;
        let Frame {
            node,
            moment,
            by_calendar,
            accumulates,
            ..
        } = frame;
        let period = *almanac.period();
        let generation = self.generation(cells, groups);
        let is_current = |computed: &&Computed| {
            computed.generation == generation
                && (computed.today, computed.last_day, computed.period)
                    == (moment.today, moment.last_day, period)
        };
        if let Some(computed) = self.computed.as_ref().filter(is_current) {
            let mut computed = computed.clone();
            if formula.ages() {
                computed.value = self.value(formula, cells, &period, moment);
            }
            let shares = computed.shares(moment, by_calendar, accumulates);
            if !shares.accumulates || (computed.history as usize) < STEADY_DAYS {
                computed.forecast = project(&computed, &period, moment, shares);
            }
            return (computed, shares);
        }
        let key = &self.cell_key;
        let first = Day(moment.today.0 + 1 - LATEST_DAYS as i32);
        // Days before the first cell are no zeros: the node was not there yet.
        let first_event = formula.first_day(cells, key);
        let started = first_event.map_or(i32::MAX, |day| day.0);
        // What was before is not kept: most of many instances are young.
        let first = Day(first.0.max(started).min(moment.today.0));
        // What is to come of a total is told by a longer history: both are read at once.
        let history_from = Day(started.max(moment.today.0 - outlook::HISTORY_DAYS)).max(moment.whole_from);
        let history_from = Some(history_from).filter(|from| accumulates && *from < moment.today);
        let from = history_from.map_or(first, |from| from.min(first));
        let Scratch { days, complete, room } = scratch;
        days.clear();
        formula.daily_into(cells, key, (from, Day(moment.today.0 + 1)), days);
        if started > moment.today.0 {
            days.fill(None);
        }
        let comparable = started.max(moment.whole_from.0);
        let history = u32::try_from(i64::from(moment.today.0) - i64::from(comparable)).unwrap_or(0);
        let mut computed = Computed {
            generation,
            today: moment.today,
            last_day: moment.last_day,
            period,
            value: self.value(formula, cells, &period, moment),
            target: self.target(node, formula, cells, &period, moment),
            band: self.band(node, &period, moment).map(Box::new),
            plan: self.plan(node, formula, cells, (&period, moment), first_event, accumulates),
            daily: days[(first.0 - from.0) as usize..].into(),
            burn: Burn::NONE,
            history: history.min(LATEST_DAYS as u32 - 1),
            forecast: None,
            is_few: self.is_few(node, formula, cells, &period, moment),
            seen_from: self.seen_from(first_event),
            foreseen: None,
        };
        if accumulates {
            // Those of a catalogue that has grown too large for them are given back.
            let mut walk = self.walk.take().filter(|_| keeps_walks);
            let kept = keeps_walks.then_some(&mut walk);
            if let Some(from_here) = history_from {
                let known = &days[(from_here.0 - from.0) as usize..days.len() - 1];
                complete.clear();
                complete.extend(known.iter().map(|day| day.unwrap_or(0.0)));
                let since = Day::of(period.start).0 - from_here.0;
                let since = usize::try_from(since).unwrap_or(0);
                // What does not add up over days is not completed by days.
                let late = late.get(&self.key).filter(|_| formula.is_additive());
                // A moment of the past may be in the middle of its day.
                let tomorrow = Day(moment.today.0 + 1).date();
                let is_closing =
                    moment.at.as_millisecond() + 1 >= moment.calendar.start_of(tomorrow).as_millisecond();
                let late =
                    late.and_then(|awaited| awaited.complete(complete, moment.today.0, since, is_closing));
                let history = History {
                    from: from_here,
                    days: complete,
                    calendar: moment.calendar,
                };
                let foreseen = self.look_ahead(
                    &computed,
                    formula,
                    cells,
                    (moment, almanac),
                    (history, late),
                    (kept, room),
                );
                computed.foreseen = Some(foreseen);
            }
            self.walk = walk;
            let is_same = |before: &&Computed| {
                // Days from today on have no part in it, however many of them are looked at.
                (before.today, before.period, before.target)
                    == (computed.today, computed.period, computed.target)
                    && before.fitted_to() == computed.fitted_to()
            };
            computed.burn = match self.computed.as_ref().filter(is_same) {
                Some(before) => before.burn,
                None => self.burn(node, &computed, formula, cells, moment),
            };
        }
        let shares = computed.shares(moment, by_calendar, accumulates);
        computed.forecast = project(&computed, &period, moment, shares);
        (computed, shares)
    }

    /// How much faster than of late it would have to go: of closed days, so that it changes once a day, and with what is
    /// late.
    fn burn(
        &self,
        node: &Node,
        computed: &Computed,
        formula: &Formula,
        cells: &Cells,
        moment: Moment<'_>,
    ) -> Burn {
        let Some(target) = computed.target else {
            return Burn::NONE;
        };
        // More of a total that should end in a band is not better.
        let is_band = computed.band.is_some();
        if is_band || node.direction == Direction::Lower || node.baseline.is_some() || !formula.is_additive()
        {
            return Burn::NONE;
        }
        let course = burn::Course {
            target,
            plan: &computed.plan,
            period: &computed.period,
            today: moment.today,
            calendar: moment.calendar,
        };
        burn(course, |from, to| {
            formula.value(cells, &self.cell_key, from, to).unwrap_or(0.0)
        })
    }

    /// What is to come of a total: fitted when the day begins, and again when an earlier day changes. How sure it is
    /// holds for the day: what past days say of it does not change with every event.
    fn look_ahead(
        &self,
        computed: &Computed,
        formula: &Formula,
        cells: &Cells,
        (moment, almanac): (Moment<'_>, &Almanac),
        (history, late): (History<'_>, Option<Late>),
        (mut walk, room): (Option<&mut Option<Walk>>, &mut outlook::Room),
    ) -> Arc<Foreseen> {
        let mark = history.mark() ^ late.as_ref().map_or(0, Late::mark);
        let is_of_today =
            |before: &&Computed| (before.today, before.period) == (computed.today, computed.period);
        let before = self.computed.as_ref().filter(is_of_today);
        let before = before.and_then(|before| Some((before.last_day, before.foreseen.as_ref()?)));
        // As a day closes, how sure it is follows from what is known then.
        let holds = |(last_day, known): &(Day, &Arc<Foreseen>)| {
            *last_day == computed.last_day || known.calibration().mark() == mark
        };
        let calibrated = before.filter(holds).map(|(_, known)| known);
        // What today brings changes nothing of what is to come; an event of an earlier day does.
        if let Some(known) = calibrated.filter(|known| known.mark() == mark) {
            return known.clone();
        }
        let past = match (walk.as_mut(), calibrated) {
            (Some(walk), _) => Past::resumed(history, almanac, walk.take()),
            (None, Some(_)) => Past::calibrated(history, almanac, room),
            (None, None) => Past::of(history, almanac, room),
        };
        let calibration = match calibrated {
            Some(known) => known.calibration().clone(),
            None => past.calibration(mark, room),
        };
        let foreseen = past.foreseen(mark, calibration, late);
        match walk {
            Some(walk) => *walk = Some(past.into_walk()),
            None => past.leave(room),
        }
        Arc::new(match formula.is_additive() {
            true => foreseen,
            false => foreseen.thinned(self.thinning(computed, formula, cells, history, moment)),
        })
    }

    /// How much of what single days bring counts for the period, from here to its end: as in the last closed periods
    /// that were seen whole, else as in the running one so far.
    fn thinning(
        &self,
        computed: &Computed,
        formula: &Formula,
        cells: &Cells,
        history: History<'_>,
        moment: Moment<'_>,
    ) -> f64 {
        const PERIODS: usize = 3;
        let value = |from: Day, to: Day| formula.value(cells, &self.cell_key, from, to).unwrap_or(0.0);
        let of_days = |from: Day, to: Day| -> f64 {
            let at = |day: Day| usize::try_from(day.0 - history.from.0).unwrap_or(0);
            history.days[at(from).min(history.days.len())..at(to).min(history.days.len())]
                .iter()
                .sum()
        };
        let (start, today) = (Day::of(computed.period.start), moment.today);
        let share =
            f64::from(today.0 - start.0) / f64::from((Day::of(computed.period.end).0 - start.0).max(1));
        let (mut counted, mut brought) = (0.0, 0.0);
        let mut period = computed.period;
        for _ in 0..PERIODS {
            let Ok(before) = period.start.yesterday() else {
                break;
            };
            period = Period::containing(period.kind, before, moment.calendar);
            let (start, end) = (Day::of(period.start), Day::of(period.end));
            if start < history.from {
                break;
            }
            let then = Day(start.0 + (share * f64::from(end.0 - start.0)) as i32);
            counted += value(start, end) - value(start, then);
            brought += of_days(then, end);
        }
        if brought <= 0.0 {
            (counted, brought) = (value(start, today), of_days(start.max(history.from), today));
        }
        if brought > 0.0 {
            (counted / brought).clamp(0.0, 1.0)
        } else {
            1.0
        }
    }

    /// The value of the running period.
    fn value(&self, formula: &Formula, cells: &Cells, period: &Period, moment: Moment<'_>) -> Option<f64> {
        let (from, to) = (
            Day::of(period.start),
            Day::of(period.end).min(Day(moment.last_day.0 + 1)),
        );
        let at_ms = Some(moment.at.as_millisecond());
        formula.value_at(cells, &self.cell_key, from, to, at_ms)
    }

    /// Its open items; `None` where it has none.
    fn open(&self, node: &Node, formula: &Formula, cells: &Cells, at: Timestamp) -> Option<OpenItems> {
        let mut open = OpenItems {
            key: self.key.clone(),
            count: 0,
            overdue: 0,
            overdue_after: node.overdue_after,
            items: Vec::new(),
        };
        let at_ms = at.as_millisecond();
        let items = formula.open_items(cells, &self.cell_key);
        for (start_ms, name) in items.take_while(|(start_ms, _)| *start_ms <= at_ms) {
            let age = SignedDuration::from_millis(at_ms - start_ms);
            let is_overdue = node.overdue_after.is_some_and(|after| age > after);
            open.count += 1;
            open.overdue += u64::from(is_overdue);
            if is_overdue || open.items.len() < SHOWN_ITEMS {
                open.items.push(OpenItem {
                    name: name.into(),
                    started: Timestamp::from_millisecond(start_ms).unwrap_or(at),
                    age,
                    is_overdue,
                });
            }
        }
        (open.count > 0).then_some(open)
    }

    /// Whether the period has brought fewer events than the node waits for.
    fn is_few(
        &self,
        node: &Node,
        formula: &Formula,
        cells: &Cells,
        period: &Period,
        moment: Moment<'_>,
    ) -> bool {
        // Most nodes wait for none.
        node.min_count > 0 && {
            let (from, to) = (Day::of(period.start), Day(moment.last_day.0.saturating_add(1)));
            let events = formula.events(cells, &self.cell_key, from, to.min(Day::of(period.end)));
            events.is_some_and(|events| events < node.min_count)
        }
    }

    /// The first local day that knew of it. Whom a target names is no stranger, whenever its first event comes.
    fn seen_from(&self, first_event: Option<Day>) -> Option<Day> {
        let first_target = self.targets.iter().map(|row| Day::of(row.start)).min();
        first_event.into_iter().chain(first_target).min()
    }

    /// The plan by last year's days follows what this instance brought then; `first` is the day of its first event.
    fn plan(
        &self,
        node: &Node,
        formula: &Formula,
        cells: &Cells,
        (period, moment): (&Period, Moment<'_>),
        first: Option<Day>,
        accumulates: bool,
    ) -> PeriodPlan {
        PeriodPlan::of(node, period, moment.calendar, |from, to| {
            let first = first?.max(moment.whole_from);
            let seen = Day::of(period.start).0 - first.0 >= YEAR_OF_DATA;
            (accumulates && seen).then(|| formula.flow(cells, &self.cell_key, from, to))
        })
    }

    fn state(&self, node: &Node, computed: &Computed, shares: Shares) -> NodeState {
        let (value, target) = (computed.value, computed.target);
        let band = computed.band.as_deref().copied();
        let completion = match band {
            Some(band) => value.map(|value| band.completion(value)),
            None => value
                .zip(target)
                .and_then(|(value, target)| pace::completion(value, target, node.baseline, node.direction)),
        };
        let pace = match (value, target, completion) {
            (Some(value), Some(target), Some(completion)) => pace::pace(PaceInput {
                value,
                target,
                band,
                completion,
                expected_share: shares.expected,
                min_share: node.min_share,
                is_few: computed.is_few,
                direction: node.direction,
                has_baseline: node.baseline.is_some(),
                accumulates: shares.accumulates,
            }),
            _ => Pace::None,
        };
        let outlook: Option<Outlook> = computed
            .foreseen
            .as_ref()
            .zip(value)
            .and_then(|(foreseen, value)| foreseen.outlook(value, shares.of_today));
        let above = |target: f64| match &outlook {
            Some(outlook) => outlook.probability_above(target),
            None => computed.forecast?.probability_above(target),
        };
        // Above its lower end and not above its upper one.
        let within = band.map(|band| Some((above(band.low)? - above(band.high)?).max(0.0)));
        let above = within.unwrap_or_else(|| above(target?));
        let probability = above.filter(|_| !computed.is_few).map(|above| {
            if node.direction == Direction::Higher {
                above
            } else {
                1.0 - above
            }
        });
        NodeState {
            key: self.key.clone(),
            parent: self.parent.clone(),
            period: computed.period,
            value,
            target,
            band: computed.band.clone(),
            completion,
            expected_share: shares.expected,
            elapsed: shares.elapsed,
            pace,
            forecast: outlook
                .as_ref()
                .map(|outlook| outlook.value)
                .or(computed.forecast.map(|forecast| forecast.value)),
            target_probability: probability,
            level_spread: match (shares.accumulates, computed.forecast) {
                (false, Some(forecast)) => forecast.spread,
                _ => None,
            },
            outlook,
            unreconciled: None,
            link: None,
            feed: None,
            counted_since: None,
            seen_from: computed.seen_from,
            entry_due: None,
            burn: computed.burn,
            daily: computed.daily.clone(),
        }
    }

    fn target(
        &self,
        node: &Node,
        formula: &Formula,
        cells: &Cells,
        period: &Period,
        moment: Moment<'_>,
    ) -> Option<f64> {
        match &node.target {
            Target::None => None,
            Target::Number(number) => Some(*number),
            Target::Band(band) => Some(band.middle()),
            Target::Table(_) => self.row(period, moment).map(|row| row.target),
            Target::Growth { growth, over } => {
                let base = match over {
                    GrowthBase::Value(base) => *base,
                    GrowthBase::LastYear => {
                        self.base(formula, cells, &period.shifted(-1, moment.calendar), moment)?
                    }
                    GrowthBase::Year(year) => {
                        let years = i32::from(*year) - i32::from(period.fiscal_year(moment.calendar));
                        self.base(formula, cells, &period.shifted(years, moment.calendar), moment)?
                    }
                };
                Some(base * (1.0 + growth))
            }
        }
    }

    /// The line of the target file that counts for a period at a moment.
    fn row(&self, period: &Period, moment: Moment<'_>) -> Option<&TargetOf> {
        // The past is judged by the target of its time: what was announced later did not count yet.
        let today = moment.today.date();
        let known = |row: &&TargetOf| row.announced.is_none_or(|day| day <= today);
        let mut rows = self.targets.iter().rev().filter(known);
        rows.find(|row| period.holds(row.start))
    }

    /// The band of a period, where its target is one.
    fn band(&self, node: &Node, period: &Period, moment: Moment<'_>) -> Option<Band> {
        match &node.target {
            Target::Band(band) => Some(*band),
            Target::Table(_) => self.row(period, moment)?.band,
            Target::None | Target::Number(_) | Target::Growth { .. } => None,
        }
    }

    /// The actual value of a past period, if it was seen from its beginning or at least in part, under this definition.
    fn base(&self, formula: &Formula, cells: &Cells, period: &Period, moment: Moment<'_>) -> Option<f64> {
        let (from, to) = (Day::of(period.start), Day::of(period.end));
        let first = formula.first_day(cells, &self.cell_key)?;
        if first >= to || from < moment.whole_from {
            return None;
        }
        formula
            .value(cells, &self.cell_key, from, to)
            .filter(|base| *base != 0.0)
    }
}

fn project(computed: &Computed, period: &Period, moment: Moment<'_>, shares: Shares) -> Option<Forecast> {
    let complete = &computed.daily[..computed.daily.len() - 1];
    let known = complete.len() - (computed.history as usize).min(DAYS);
    Some(forecast(Known {
        value: computed.value?,
        days: &complete[known..],
        days_left: usize::try_from(Day::of(period.end).0 - moment.today.0 - 1).unwrap_or(0),
        elapsed: shares.elapsed,
        expected_share: shares.expected,
        accumulates: shares.accumulates,
    }))
}
