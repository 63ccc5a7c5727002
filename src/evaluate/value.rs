//! Values of metrics from cells: each node's metric resolved once to the columns that it is made of.

use std::collections::BTreeSet;

use crate::catalog::expr::{Expr, Value};
use crate::catalog::{Agg, Catalog, MetricId, MetricKind};
use crate::fold::cells::Cells;
use crate::fold::day::Day;
use crate::fold::delta::DimensionKey;
use crate::fold::durations::Durations;
use crate::fold::partial::{Kind, Partial};
use crate::fold::plan::{ColumnRef, Plan};

/// A part of a value that is not exact.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Estimate {
    /// Different keys beyond [`DISTINCT_EXACT`](crate::fold::distinct::DISTINCT_EXACT).
    Distinct,
    /// A percentile.
    Percentile,
}

/// A metric over one set of dimensions, ready to be read.
#[derive(Clone, Debug)]
pub enum Formula {
    /// One column.
    Column(ColumnRef, Agg),
    /// One column of what people type in: nobody said 0 where nobody typed anything in.
    Entered(ColumnRef, Agg),
    /// Different keys less those that are new.
    Returning {
        /// Different keys.
        all: ColumnRef,
        /// Those of them that are new.
        new: ColumnRef,
    },
    /// How long items took, those that are open with their age.
    Duration {
        /// Where they are.
        column: ColumnRef,
        /// The aggregation.
        agg: Agg,
        /// Seconds of its unit.
        unit_seconds: f64,
    },
    /// Attempts that succeeded over attempts.
    Conversion {
        /// Where they are.
        column: ColumnRef,
        /// Where what succeeds comes in, if that is another source.
        fed_by: Option<ColumnRef>,
    },
    /// Numerator over denominator.
    Ratio(Box<(Formula, Formula)>),
    /// An expression over metrics; its variables are the metrics of the catalogue by index.
    Derived(Expr, Vec<(usize, Formula)>),
}

impl Formula {
    /// The formula of a metric; `None` where the plan does not fold it, which does not happen for a node's metric.
    pub fn of(catalog: &Catalog, plan: &Plan, metric: MetricId, dimensions: &[String]) -> Option<Formula> {
        match &catalog.metric(metric).kind {
            MetricKind::Simple(simple) if simple.agg == Agg::CountReturning => Some(Formula::Returning {
                all: plan.column(metric, dimensions)?,
                new: plan.new_column(metric, dimensions)?,
            }),
            MetricKind::Duration(duration) => Some(Formula::Duration {
                column: plan.column(metric, dimensions)?,
                agg: duration.marks.agg,
                unit_seconds: duration.unit.seconds(),
            }),
            MetricKind::Conversion(_) => {
                let column = plan.column(metric, dimensions)?;
                Some(Formula::Conversion {
                    column,
                    fed_by: plan.fed_by(column),
                })
            }
            MetricKind::Simple(simple) if catalog.metric(metric).manual.is_some() => {
                Some(Formula::Entered(plan.column(metric, dimensions)?, simple.agg))
            }
            MetricKind::Simple(simple) => Some(Formula::Column(plan.column(metric, dimensions)?, simple.agg)),
            MetricKind::Ratio {
                numerator,
                denominator,
            } => Some(Formula::Ratio(Box::new((
                Formula::of(catalog, plan, *numerator, dimensions)?,
                Formula::of(catalog, plan, *denominator, dimensions)?,
            )))),
            MetricKind::Derived { expr, inputs } => {
                let input =
                    |id: &MetricId| Some((id.0 as usize, Formula::of(catalog, plan, *id, dimensions)?));
                Some(Formula::Derived(
                    expr.clone(),
                    inputs.iter().map(input).collect::<Option<_>>()?,
                ))
            }
        }
    }

    /// Whether the values of days add up to that of their period. Distinct keys do not.
    pub fn is_additive(&self) -> bool {
        match self {
            Formula::Column(_, agg) | Formula::Entered(_, agg) => {
                agg.accumulates() && *agg != Agg::CountDistinct
            }
            Formula::Ratio(_)
            | Formula::Returning { .. }
            | Formula::Duration { .. }
            | Formula::Conversion { .. } => false,
            Formula::Derived(expr, inputs) => {
                expr.is_linear() && inputs.iter().all(|(_, input)| input.is_additive())
            }
        }
    }

    /// The columns that it is made of.
    pub fn columns(&self) -> Vec<ColumnRef> {
        match self {
            Formula::Column(column, _) | Formula::Entered(column, _) | Formula::Duration { column, .. } => {
                vec![*column]
            }
            Formula::Conversion { column, fed_by } => std::iter::once(*column).chain(*fed_by).collect(),
            Formula::Returning { all, new } => vec![*all, *new],
            Formula::Ratio(sides) => [sides.0.columns(), sides.1.columns()].concat(),
            Formula::Derived(_, inputs) => inputs.iter().flat_map(|(_, input)| input.columns()).collect(),
        }
    }

    /// Whether the days `from..to` have brought anything.
    pub fn has_cells(&self, cells: &Cells, key: &DimensionKey, from: Day, to: Day) -> bool {
        match self {
            Formula::Column(column, _)
            | Formula::Entered(column, _)
            | Formula::Duration { column, .. }
            | Formula::Conversion { column, .. } => cells.days(*column, key, from, to).next().is_some(),
            Formula::Returning { all, .. } => cells.days(*all, key, from, to).next().is_some(),
            Formula::Ratio(sides) => {
                sides.0.has_cells(cells, key, from, to) || sides.1.has_cells(cells, key, from, to)
            }
            Formula::Derived(_, inputs) => inputs
                .iter()
                .any(|(_, input)| input.has_cells(cells, key, from, to)),
        }
    }

    /// The groups whose rows it reads.
    pub fn groups(&self) -> Vec<usize> {
        match self {
            // What succeeds changes the cells of the attempts.
            Formula::Conversion { column, .. } => vec![column.group],
            Formula::Ratio(sides) => [sides.0.groups(), sides.1.groups()].concat(),
            Formula::Derived(_, inputs) => inputs.iter().flat_map(|(_, input)| input.groups()).collect(),
            _ => self.columns().iter().map(|column| column.group).collect(),
        }
    }

    /// The value over the days `from..to`; `None` where there is none (an average of nothing, an empty denominator).
    pub fn value(&self, cells: &Cells, key: &DimensionKey, from: Day, to: Day) -> Option<f64> {
        self.value_at(cells, key, from, to, None)
    }

    /// The same at a moment of a running period, in milliseconds since the epoch: items that are open count with their
    /// age, and attempts that may still succeed do not count.
    pub fn value_at(
        &self,
        cells: &Cells,
        key: &DimensionKey,
        from: Day,
        to: Day,
        at_ms: Option<i64>,
    ) -> Option<f64> {
        match self {
            Formula::Duration {
                column,
                agg,
                unit_seconds,
            } => {
                let mut durations = match cells.merged(*column, key, from, to) {
                    Some(Partial::Durations(durations)) => *durations,
                    _ => Durations::default(),
                };
                if let Some(at_ms) = at_ms {
                    let starts = cells.open_starts(*column, key);
                    starts
                        .take_while(|start_ms| *start_ms <= at_ms)
                        .for_each(|start_ms| durations.add(at_ms - start_ms, 1));
                }
                Some(durations.seconds(*agg)? / unit_seconds)
            }
            Formula::Conversion { column, .. } => {
                let Some(Partial::Conversions { begun, converted }) = cells.merged(*column, key, from, to)
                else {
                    return None;
                };
                // What may still succeed has not failed.
                let undecided = at_ms.map_or(0, |at_ms| cells.undecided(*column, key, from, to, at_ms));
                let decided = begun - i64::try_from(undecided).unwrap_or(0);
                (decided > 0).then(|| converted as f64 / decided as f64)
            }
            Formula::Entered(column, agg) => cells.merged(*column, key, from, to)?.value(*agg),
            Formula::Column(column, agg) => match cells.merged(*column, key, from, to) {
                Some(partial) => partial.value(*agg),
                None => Partial::empty(Kind::of(*agg)).value(*agg),
            },
            Formula::Returning { all, new } => {
                let count = |column, agg| {
                    let merged = cells.merged(column, key, from, to);
                    merged.and_then(|partial| partial.value(agg)).unwrap_or(0.0)
                };
                let (all, new) = (count(*all, Agg::CountDistinct), count(*new, Agg::CountNew));
                // Beyond its exact range the number of different keys is an estimate, which may fall below the new ones.
                Some((all - new).max(0.0))
            }
            Formula::Ratio(sides) => {
                let denominator = sides
                    .1
                    .value_at(cells, key, from, to, at_ms)
                    .filter(|value| *value != 0.0)?;
                Some(sides.0.value_at(cells, key, from, to, at_ms)? / denominator)
            }
            Formula::Derived(expr, inputs) => {
                let values: Vec<(usize, Option<f64>)> = inputs
                    .iter()
                    .map(|(index, input)| (*index, input.value_at(cells, key, from, to, at_ms)))
                    .collect();
                expr.number(|index| {
                    let value = values
                        .iter()
                        .find(|(input, _)| *input == index)
                        .and_then(|(_, value)| *value);
                    value.map_or(Value::Missing, Value::Number)
                })
            }
        }
    }

    /// How many events the value over the days `from..to` is made of: of a ratio those below the line, of a reckoned metric
    /// those of the input that has fewest. `None` where they are not counted: of a smallest, largest or newest.
    pub fn events(&self, cells: &Cells, key: &DimensionKey, from: Day, to: Day) -> Option<u64> {
        let of = |column: ColumnRef| match cells.merged(column, key, from, to) {
            Some(partial) => partial.count(),
            None => Some(0),
        };
        match self {
            Formula::Column(_, Agg::Min | Agg::Max | Agg::Last)
            | Formula::Entered(_, Agg::Min | Agg::Max | Agg::Last) => None,
            Formula::Column(column, _)
            | Formula::Entered(column, _)
            | Formula::Duration { column, .. }
            | Formula::Conversion { column, .. } => of(*column),
            Formula::Returning { all, .. } => of(*all),
            Formula::Ratio(sides) => sides.1.events(cells, key, from, to),
            Formula::Derived(_, inputs) => {
                let inputs = inputs.iter();
                inputs
                    .filter_map(|(_, input)| input.events(cells, key, from, to))
                    .min()
            }
        }
    }

    /// What of the value over the days `from..to` is an estimate, each kind once.
    pub fn estimates(&self, cells: &Cells, key: &DimensionKey, from: Day, to: Day) -> BTreeSet<Estimate> {
        let of = |column: ColumnRef, agg: Agg| {
            let kind = match agg {
                Agg::Percentile(_) => Estimate::Percentile,
                _ => Estimate::Distinct,
            };
            let merged = cells.merged(column, key, from, to);
            merged
                .filter(|partial| !partial.is_exact(agg))
                .map(|_| kind)
                .into_iter()
                .collect()
        };
        match self {
            Formula::Column(column, agg)
            | Formula::Entered(column, agg)
            | Formula::Duration { column, agg, .. } => of(*column, *agg),
            Formula::Returning { all, .. } => of(*all, Agg::CountDistinct),
            Formula::Conversion { .. } => BTreeSet::new(),
            Formula::Ratio(sides) => {
                let mut found = sides.0.estimates(cells, key, from, to);
                found.extend(sides.1.estimates(cells, key, from, to));
                found
            }
            Formula::Derived(_, inputs) => inputs
                .iter()
                .flat_map(|(_, input)| input.estimates(cells, key, from, to))
                .collect(),
        }
    }

    /// Whether its value changes as time goes by, without any event.
    pub fn ages(&self) -> bool {
        match self {
            Formula::Column(..) | Formula::Entered(..) | Formula::Returning { .. } => false,
            Formula::Duration { .. } | Formula::Conversion { .. } => true,
            Formula::Ratio(sides) => sides.0.ages() || sides.1.ages(),
            Formula::Derived(_, inputs) => inputs.iter().any(|(_, input)| input.ages()),
        }
    }

    /// Open items, the oldest first; none but of a duration.
    pub fn open_items<'c>(
        &self,
        cells: &'c Cells,
        key: &DimensionKey,
    ) -> impl Iterator<Item = (i64, &'c str)> + use<'c> {
        let column = match self {
            Formula::Duration { column, .. } => Some(*column),
            _ => None,
        };
        let key = key.clone();
        column
            .into_iter()
            .flat_map(move |column| cells.open_items(column, &key))
    }

    /// The value of each of the days `from..to`; totals have a 0 on a day without events.
    pub fn daily(&self, cells: &Cells, key: &DimensionKey, from: Day, to: Day) -> Vec<Option<f64>> {
        let mut values = Vec::new();
        self.daily_into(cells, key, (from, to), &mut values);
        values
    }

    /// The same, put into a list that is empty.
    pub(super) fn daily_into(
        &self,
        cells: &Cells,
        key: &DimensionKey,
        (from, to): (Day, Day),
        values: &mut Vec<Option<f64>>,
    ) {
        match self {
            Formula::Column(column, agg) => {
                let days = usize::try_from(to.0 - from.0).unwrap_or(0);
                values.resize(days, Partial::empty(Kind::of(*agg)).value(*agg));
                for (day, partial) in cells.days(*column, key, from, to) {
                    if let Ok(at) = usize::try_from(day.0 - from.0) {
                        values[at] = partial.value(*agg);
                    }
                }
            }
            Formula::Returning { .. }
            | Formula::Entered(..)
            | Formula::Duration { .. }
            | Formula::Conversion { .. }
            | Formula::Ratio(_)
            | Formula::Derived(..) => {
                let day = |day: i32| self.value(cells, key, Day(day), Day(day + 1));
                values.extend((from.0..to.0).map(day));
            }
        }
    }

    /// What each of the days `from..to` brought; 0 on a day without a value.
    pub fn flow(&self, cells: &Cells, key: &DimensionKey, from: Day, to: Day) -> Vec<f64> {
        let daily = self.daily(cells, key, from, to).into_iter();
        daily.map(|day| day.unwrap_or(0.0)).collect()
    }

    /// The first day on which any of its columns has a cell.
    pub fn first_day(&self, cells: &Cells, key: &DimensionKey) -> Option<Day> {
        match self {
            Formula::Column(column, _)
            | Formula::Entered(column, _)
            | Formula::Returning { all: column, .. }
            | Formula::Duration { column, .. }
            | Formula::Conversion { column, .. } => cells
                .days(*column, key, Day(i32::MIN), Day(i32::MAX))
                .next()
                .map(|(day, _)| day),
            Formula::Ratio(sides) => sides
                .0
                .first_day(cells, key)
                .into_iter()
                .chain(sides.1.first_day(cells, key))
                .min(),
            Formula::Derived(_, inputs) => inputs
                .iter()
                .filter_map(|(_, input)| input.first_day(cells, key))
                .min(),
        }
    }
}
