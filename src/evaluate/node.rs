//! One node compiled for evaluation, and its instances.

use hashbrown::HashMap;
use jiff::Timestamp;

use super::forecast::{DAYS, Known, forecast};
use super::pace::{self, PaceInput};
use super::snapshot::{InstanceKey, NodeState, Pace, Period};
use super::value::Formula;
use crate::catalog::{Calendar, Catalog, Direction, GrowthBase, Node, NodeId, Target};
use crate::fold::cells::Cells;
use crate::fold::day::Day;
use crate::fold::delta::DimensionKey;
use crate::fold::plan::Plan;

/// Local days that a node shows.
const DAILY: usize = 42;
/// An instance that has brought nothing for this long before its period, and has no target in it, is retired.
const RETIRED_AFTER_DAYS: i32 = 42;

/// A node ready to be evaluated.
#[derive(Debug)]
pub(super) struct CompiledNode {
    id: NodeId,
    formula: Formula,
    accumulates: bool,
    /// Position of each dimension of `Node::each` among the sorted names that keys follow.
    order: Vec<usize>,
    /// Target rows by dimension values, ascending by start.
    targets: HashMap<Vec<String>, Vec<(jiff::civil::Date, f64)>>,
}

/// When a snapshot is taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment<'a> {
    pub(super) at: Timestamp,
    pub(super) today: Day,
    /// Cells of later days are not looked at.
    pub(super) last_day: Day,
    pub(super) calendar: &'a Calendar,
}

impl CompiledNode {
    pub(super) fn new(catalog: &Catalog, plan: &Plan, id: NodeId) -> Option<CompiledNode> {
        let node = catalog.node(id);
        let mut sorted = node.each.clone();
        sorted.sort();
        let position = |name: &String| sorted.iter().position(|other| other == name);
        let mut targets: HashMap<Vec<String>, Vec<_>> = HashMap::new();
        if let Target::Table(rows) = &node.target {
            for row in rows {
                targets
                    .entry(row.dimensions.clone())
                    .or_default()
                    .push((row.start, row.target));
            }
            targets
                .values_mut()
                .for_each(|rows| rows.sort_by_key(|(start, _)| *start));
        }
        Some(CompiledNode {
            id,
            formula: Formula::of(catalog, plan, node.metric, &node.each)?,
            accumulates: catalog.accumulates(node.metric),
            order: node.each.iter().map(position).collect::<Option<_>>()?,
            targets,
        })
    }

    /// Its instances at a moment, by dimension values.
    pub(super) fn instances(
        &self,
        node: &Node,
        cells: &Cells,
        plan: &Plan,
        moment: Moment<'_>,
    ) -> Vec<NodeState> {
        let period = Period::containing(node.period, moment.today.date(), moment.calendar);
        let mut states: Vec<NodeState> = self
            .keys(node, cells, plan, &period)
            .into_iter()
            .map(|(dimensions, key)| self.state(node, cells, dimensions, &key, period, moment))
            .collect();
        states.sort_by(|a, b| a.key.cmp(&b.key));
        states
    }

    /// Dimension values in the order of `each`, with the key of their cells.
    fn keys(
        &self,
        node: &Node,
        cells: &Cells,
        plan: &Plan,
        period: &Period,
    ) -> Vec<(Box<[Box<str>]>, DimensionKey)> {
        if node.each.is_empty() {
            return vec![(Box::default(), DimensionKey::new())];
        }
        let since = Day::of(period.start).0 - RETIRED_AFTER_DAYS;
        let mut found: HashMap<DimensionKey, Box<[Box<str>]>> = HashMap::new();
        for group in self.formula.groups() {
            for key in cells.keys(group) {
                let alive = cells.last_day(group, key).is_some_and(|day| day.0 >= since);
                if alive && !found.contains_key(key) {
                    let values = self
                        .order
                        .iter()
                        .map(|&at| (&*plan.interner.value(key[at])).into())
                        .collect();
                    found.insert(key.clone(), values);
                }
            }
        }
        for (dimensions, rows) in &self.targets {
            if rows
                .iter()
                .any(|(start, _)| (period.start..period.end).contains(start))
            {
                let mut key: DimensionKey = dimensions.iter().map(|_| Default::default()).collect();
                for (value, &at) in dimensions.iter().zip(&self.order) {
                    key[at] = plan.interner.id(value);
                }
                found
                    .entry(key)
                    .or_insert_with(|| dimensions.iter().map(|value| value.as_str().into()).collect());
            }
        }
        found
            .into_iter()
            .map(|(key, dimensions)| (dimensions, key))
            .collect()
    }

    fn state(
        &self,
        node: &Node,
        cells: &Cells,
        dimensions: Box<[Box<str>]>,
        key: &DimensionKey,
        period: Period,
        moment: Moment<'_>,
    ) -> NodeState {
        let calendar = moment.calendar;
        let (from, to) = (Day::of(period.start), Day::of(period.end));
        let value = self
            .formula
            .value(cells, key, from, to.min(Day(moment.last_day.0 + 1)));
        let target = self.target(node, cells, &dimensions, key, &period, calendar);
        let elapsed = pace::elapsed(&period, moment.at, calendar);
        let expected_share = pace::expected_share(node.profile, &period, moment.at, calendar);
        let completion = value
            .zip(target)
            .and_then(|(value, target)| pace::completion(value, target, node.baseline, node.direction));
        let pace = match (value, target, completion) {
            (Some(value), Some(target), Some(completion)) => pace::pace(PaceInput {
                value,
                target,
                completion,
                expected_share,
                min_share: node.min_share,
                direction: node.direction,
                has_baseline: node.baseline.is_some(),
                accumulates: self.accumulates,
            }),
            _ => Pace::None,
        };
        let daily = self.daily(cells, key, moment);
        let projected = value.map(|value| {
            let complete = &daily[..daily.len() - 1];
            // Days before the first cell are no zeros: the node was not there yet.
            let started = complete
                .iter()
                .position(|day| day.is_some())
                .unwrap_or(complete.len());
            forecast(Known {
                value,
                today: daily.last().copied().flatten().unwrap_or(0.0),
                days: &complete[started.max(complete.len().saturating_sub(DAYS))..],
                weekday_of_last: Day(moment.today.0 - 1).date().weekday().to_monday_zero_offset() as usize,
                days_left: usize::try_from(to.0 - moment.today.0 - 1).unwrap_or(0),
                elapsed,
                expected_share,
                accumulates: self.accumulates,
            })
        });
        let probability = projected.zip(target).and_then(|(forecast, target)| {
            let above = forecast.probability_above(target)?;
            Some(if node.direction == Direction::Higher {
                above
            } else {
                1.0 - above
            })
        });
        NodeState {
            key: InstanceKey {
                node: self.id,
                dimensions,
            },
            parent: None,
            period,
            value,
            target,
            completion,
            expected_share,
            elapsed,
            pace,
            forecast: projected.map(|forecast| forecast.value),
            target_probability: probability,
            daily,
        }
    }

    /// The latest local days with today last. Totals have a 0 on a day without events, from their first day on.
    fn daily(&self, cells: &Cells, key: &DimensionKey, moment: Moment<'_>) -> Vec<Option<f64>> {
        let first = moment.today.0 + 1 - i32::try_from(DAILY).unwrap_or(0);
        let mut started = self.formula.has_cells(cells, key, Day(i32::MIN), Day(first));
        (first..=moment.today.0)
            .map(|day| {
                let (from, to) = (Day(day), Day(day + 1));
                started = started || self.formula.has_cells(cells, key, from, to);
                started
                    .then(|| self.formula.value(cells, key, from, to))
                    .flatten()
            })
            .collect()
    }

    fn target(
        &self,
        node: &Node,
        cells: &Cells,
        dimensions: &[Box<str>],
        key: &DimensionKey,
        period: &Period,
        calendar: &Calendar,
    ) -> Option<f64> {
        match &node.target {
            Target::None => None,
            Target::Number(number) => Some(*number),
            Target::Table(_) => {
                let dimensions: Vec<String> = dimensions.iter().map(|value| value.to_string()).collect();
                let rows = self.targets.get(&dimensions)?;
                rows.iter()
                    .find(|(start, _)| (period.start..period.end).contains(start))
                    .map(|(_, target)| *target)
            }
            Target::Growth { growth, over } => {
                let base = match over {
                    GrowthBase::Value(base) => *base,
                    GrowthBase::LastYear => self.base(cells, key, &period.shifted(-1, calendar))?,
                    GrowthBase::Year(year) => {
                        let years = i32::from(*year) - i32::from(period.start.year());
                        self.base(cells, key, &period.shifted(years, calendar))?
                    }
                };
                Some(base * (1.0 + growth))
            }
        }
    }

    /// The actual value of a past period, if any of it was seen.
    fn base(&self, cells: &Cells, key: &DimensionKey, period: &Period) -> Option<f64> {
        let (from, to) = (Day::of(period.start), Day::of(period.end));
        if !self.formula.has_cells(cells, key, from, to) {
            return None;
        }
        self.formula
            .value(cells, key, from, to)
            .filter(|base| *base != 0.0)
    }

    /// Flow of the days `from..to` for the drift detector: what each day brought, as known now.
    pub(super) fn flow(&self, cells: &Cells, key: &DimensionKey, from: Day, to: Day) -> Vec<Option<f64>> {
        (from.0..to.0)
            .map(|day| self.formula.value(cells, key, Day(day), Day(day + 1)))
            .collect()
    }
}
