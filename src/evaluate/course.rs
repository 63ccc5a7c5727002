//! How a KPI did over the days that its parent answers, against its own plans: the periods of both need not be the same, and
//! the days of the one are as many days before those of the other as the link has lag.

use std::ops::Range;

use jiff::Timestamp;

use super::Evaluator;
use super::attribution::{Driver, Untold, answer};
use super::node::Moment;
use super::snapshot::{NodeState, Pace, Period};
use crate::catalog::{Band, Calendar, Node};
use crate::fold::cells::Cells;
use crate::fold::day::Day;

/// Some days of an instance.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Days {
    pub(super) days: Range<Day>,
    /// Whether the last of them is over; else it is today.
    are_over: bool,
}

impl Days {
    /// The days of a KPI that its parent answers in its period up to `today`.
    fn answered(parent: &Period, lag: i32, today: Day) -> Days {
        let last = today.min(Day(Day::of(parent.end).0 - 1)).0 - lag;
        Days {
            days: Day(Day::of(parent.start).0 - lag)..Day(last + 1),
            are_over: last < today.0,
        }
    }
}

/// What some days came to, and what was planned of them.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Course {
    pub(super) value: f64,
    pub(super) plan: f64,
}

/// What is known of an instance in any of its periods.
pub(super) trait Known {
    /// The target of a period, as far as it is announced.
    fn target(&self, period: &Period) -> Option<f64>;
    /// The band of a period, where its target is one.
    fn band(&self, period: &Period) -> Option<Band>;
    /// Share of a period's target that is planned by the beginning of one of its days.
    fn planned_before(&self, period: &Period, day: Day) -> f64;
    /// The same by now.
    fn planned_by_now(&self, period: &Period) -> f64;
    /// What the days `from..to` came to.
    fn value(&self, from: Day, to: Day) -> Option<f64>;
}

/// How an instance did over some days. A total is what the days brought of each period, against the part of that
/// period's target that its plan gives to them; a level is compared with its targets. Of targets that are bands the plan is
/// what of them is the nearest to the value.
pub(super) fn course(
    node: &Node,
    accumulates: bool,
    calendar: &Calendar,
    Days { days, are_over }: Days,
    known: &impl Known,
) -> Result<Course, Untold> {
    let (mut value, mut plan) = (0.0, [0.0; 2]);
    let mut next = days.start;
    while next < days.end {
        let period = Period::containing(node.period, next.date(), calendar);
        let (start, end) = (Day::of(period.start), Day::of(period.end));
        let until = end.min(days.end);
        let target = known.target(&period).ok_or(Untold::NoTarget)?;
        let ends = known
            .band(&period)
            .map_or([target; 2], |band| [band.low, band.high]);
        if accumulates {
            let base = node.baseline.unwrap_or(0.0);
            let before = (next != start).then(|| known.planned_before(&period, next));
            let is_today = until == days.end && !are_over;
            let after = match (is_today, until == end) {
                (true, _) => known.planned_by_now(&period),
                (_, true) => 1.0,
                (..) => known.planned_before(&period, until),
            };
            for (plan, target) in std::iter::zip(&mut plan, ends) {
                let by = |share: f64| base + (target - base) * share;
                *plan += by(after) - before.map_or(0.0, by);
            }
            value += known.value(next, until).ok_or(Untold::NoValue)?;
        } else {
            for (plan, target) in std::iter::zip(&mut plan, ends) {
                *plan += target * f64::from(until.0 - next.0);
            }
        }
        next = until;
    }
    if !accumulates {
        plan = plan.map(|plan| plan / f64::from((days.end.0 - days.start.0).max(1)));
        value = known.value(days.start, days.end).ok_or(Untold::NoValue)?;
    }
    let [low, high] = plan;
    Ok(Course {
        value,
        plan: if low < high { value.clamp(low, high) } else { low },
    })
}

impl Evaluator {
    /// How a KPI stands over the days that its parent answers in its period up to `at`, or why that is not known.
    ///
    /// # Errors
    /// Why it is not known.
    pub fn driver(
        &self,
        cells: &Cells,
        kpi: &NodeState,
        parent: &NodeState,
        at: Timestamp,
    ) -> Result<Driver, Untold> {
        let (elasticity, lag) = answer(kpi.link.as_deref())?;
        let is_early = kpi.period == parent.period && kpi.pace == Pace::TooEarly;
        if is_early || parent.pace == Pace::TooEarly {
            return Err(Untold::TooEarly);
        }
        let today = Day::of(self.catalog.calendar.day_of(at));
        let days = Days::answered(&parent.period, lag, today);
        // Days of before there was anything are not days without anything.
        if cells.first_day().is_none_or(|first| first > days.days.start) {
            return Err(Untold::TooShort);
        }
        let moment = Moment {
            at,
            by: super::minute_of(at),
            today,
            last_day: today,
            calendar: &self.catalog.calendar,
            whole_from: Day(i32::MIN),
        };
        let compiled = self.nodes.get(kpi.key.node.0 as usize).and_then(Option::as_ref);
        let compiled = compiled.ok_or(Untold::NoValue)?;
        let Course { value, plan } =
            compiled.course(&self.catalog, cells, &self.cell_key(&kpi.key), days, moment)?;
        Ok(Driver {
            elasticity,
            value,
            plan,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;
    use crate::catalog::load::{Files, load};

    fn catalog(node: &str) -> Catalog {
        let yaml = format!(
            "sources: {{s: {{topics: [t], format: json, fields: {{v: v}}}}}}
metrics: {{m: {{source: s, agg: sum, expr: v}}}}
nodes: {{n: {{metric: m, role: business, {node}}}}}"
        );
        load(&Files::new("", [("a.yaml", yaml.as_str())]))
            .map_err(|problems| problems.to_string())
            .unwrap()
    }

    /// 10 come every day, and as many are planned as the target spread over the days; today is half over.
    struct Steady<'a>(&'a dyn Fn(&Period) -> Option<f64>);

    fn share(period: &Period, days: f64) -> f64 {
        let length = Day::of(period.end).0 - Day::of(period.start).0;
        days / f64::from(length)
    }

    impl Known for Steady<'_> {
        fn target(&self, period: &Period) -> Option<f64> {
            (self.0)(period)
        }

        fn band(&self, _: &Period) -> Option<Band> {
            None
        }

        fn planned_before(&self, period: &Period, day: Day) -> f64 {
            share(period, f64::from(day.0 - Day::of(period.start).0))
        }

        fn planned_by_now(&self, period: &Period) -> f64 {
            share(period, 2.5)
        }

        fn value(&self, from: Day, to: Day) -> Option<f64> {
            Some(10.0 * f64::from(to.0 - from.0))
        }
    }

    fn day(text: &str) -> Day {
        Day::of(text.parse().unwrap())
    }

    fn of(
        node: &str,
        accumulates: bool,
        days: (&str, &str, bool),
        target: &dyn Fn(&Period) -> Option<f64>,
    ) -> Result<(f64, f64), Untold> {
        let catalog = catalog(node);
        let (from, to, are_over) = days;
        let days = Days {
            days: day(from)..day(to),
            are_over,
        };
        let node = &catalog.nodes[0];
        let found = course(node, accumulates, &catalog.calendar, days, &Steady(target))?;
        Ok((found.value, (found.plan * 1e9).round() / 1e9))
    }

    #[test]
    fn a_month_is_compared_over_the_days_of_a_year() {
        // Three months at 310 a month of 31 days and 280 of 28, and two and a half days of April at 10 a day.
        let target = |period: &Period| Some(share(period, 1.0).recip() * 10.0);
        let year = of(
            "period: month",
            true,
            ("2026-01-01", "2026-04-04", false),
            &target,
        );
        assert_eq!(year, Ok((930.0, 925.0)));
        // A plan of twice as much.
        let twice = |period: &Period| target(period).map(|target| 2.0 * target);
        let year = of("period: month", true, ("2026-01-01", "2026-04-04", false), &twice);
        assert_eq!(year, Ok((930.0, 1850.0)));
    }

    #[test]
    fn days_that_are_shifted_take_a_part_of_each_period() {
        let target = |period: &Period| Some(if period.start.month() == 1 { 310.0 } else { 560.0 });
        // The last ten days of January, and the first four of February at 20 a day.
        let shifted = of("period: month", true, ("2026-01-22", "2026-02-05", true), &target);
        assert_eq!(shifted, Ok((140.0, 180.0)));
        let whole = of("period: month", true, ("2026-01-01", "2026-03-01", true), &target);
        assert_eq!(whole, Ok((590.0, 870.0)));
        let quarter = of(
            "period: quarter",
            true,
            ("2026-01-10", "2026-01-11", true),
            &|_| Some(900.0),
        );
        assert_eq!(quarter, Ok((10.0, 10.0)));
    }

    #[test]
    fn a_level_is_compared_with_its_targets_by_their_days() {
        let target = |period: &Period| Some(if period.start.month() == 1 { 0.04 } else { 0.02 });
        let level = of(
            "period: month",
            false,
            ("2026-01-30", "2026-02-03", true),
            &target,
        );
        assert_eq!(level, Ok((40.0, 0.03)));
    }

    #[test]
    fn a_period_without_a_target_leaves_nothing_to_compare_with() {
        let target = |period: &Period| (period.start.month() == 2).then_some(1.0);
        let none = of("period: month", true, ("2026-01-30", "2026-02-03", true), &target);
        assert_eq!(none, Err(Untold::NoTarget));
    }

    #[test]
    fn the_days_are_as_many_before_as_the_link_has_lag() {
        let calendar = catalog("period: month").calendar;
        let kind = crate::catalog::PeriodKind::Month;
        let june = Period::containing(kind, "2026-06-03".parse().unwrap(), &calendar);
        let answered = |lag, today| {
            let found = Days::answered(&june, lag, day(today));
            (found.days, found.are_over)
        };
        assert_eq!(
            answered(0, "2026-06-03"),
            (day("2026-06-01")..day("2026-06-04"), false)
        );
        assert_eq!(
            answered(5, "2026-06-03"),
            (day("2026-05-27")..day("2026-05-30"), true)
        );
        // Of a period that is over all of them.
        assert_eq!(
            answered(5, "2026-07-20"),
            (day("2026-05-27")..day("2026-06-26"), true)
        );
    }
}
