//! Target burn: how much faster than of late a total would have to grow to meet its target.
//!
//! It is the burn rate of service level objectives, turned to the target of a period. With T the target, v the value
//! of the closed days, e their planned share and a window of the last w closed days that brought m of the target where
//! the plan expects a share p:
//!
//! needed = (T − v) / (T · (1 − e)), pace of the window = m / (T · p), burn = needed / pace of the window.
//!
//! 1 is on course: it goes as fast as it has to. A node burns by the smaller one of two windows: the long one says that it
//! matters, the short one forgets it soon when it is over. Of a quarter they are 28 and 7 days, of other periods the same
//! share of it.
//!
//! Source of windows in pairs: "Alerting on SLOs", The Site Reliability Workbook (2018), chapter 5. The bound of the
//! built-in rule is measured, see docs/detection.md.

use jiff::ToSpan;

use super::plan::PeriodPlan;
use super::snapshot::Period;
use crate::catalog::Calendar;
use crate::fold::day::Day;

/// Days of the period for which the windows are as long as they are.
const QUARTER: f64 = 91.0;
/// Long and short window of a quarter, in days.
const WINDOWS: [f64; 2] = [28.0, 7.0];
/// Periods shorter than this have no two windows.
const SHORTEST: i32 = 7;
/// The most that is said: what brings nothing would burn for ever.
const CAP: f64 = 10.0;

/// How much faster than of late it would have to go.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Burn(f32);

impl Burn {
    /// There is no such thing: the node's days do not add up to its value, it should stay low, or its period is short.
    pub const NONE: Burn = Burn(f32::NAN);
    /// The period is too young, or the windows hold nothing that is planned.
    pub const TOO_EARLY: Burn = Burn(-1.0);

    /// How many times as fast it would have to go, 0 to 10; `None` while that cannot be said.
    pub fn factor(self) -> Option<f64> {
        (self.0 >= 0.0).then_some(f64::from(self.0))
    }

    /// Whether there is, or will be, a factor in this period.
    pub fn applies(self) -> bool {
        !self.0.is_nan()
    }
}

/// What a burn is made of.
#[derive(Clone, Copy)]
pub(super) struct Course<'a> {
    pub(super) target: f64,
    pub(super) plan: &'a PeriodPlan,
    pub(super) period: &'a Period,
    pub(super) today: Day,
    pub(super) calendar: &'a Calendar,
}

/// The burn of a total; `brought` says what the days `from..to` have brought.
pub(super) fn burn(course: Course<'_>, brought: impl Fn(Day, Day) -> f64) -> Burn {
    let (start, end) = (Day::of(course.period.start), Day::of(course.period.end));
    let length = end.0 - start.0;
    if length < SHORTEST || course.target <= 0.0 || matches!(course.plan, PeriodPlan::Flat) {
        return Burn::NONE;
    }
    let planned = |day: Day| {
        let at = course.calendar.start_of(day.date());
        course.plan.share(course.period, at, course.calendar)
    };
    let today = course
        .today
        .min(Day::of(course.period.end.saturating_sub(1.day())));
    let done = planned(today);
    let (missing, left) = (
        course.target - brought(start, today),
        course.target * (1.0 - done),
    );
    let mut burn = f64::INFINITY;
    for window in WINDOWS {
        let days = (window * f64::from(length) / QUARTER).round().max(1.0) as i32;
        let from = Day(today.0 - days);
        let expected = course.target * (done - planned(from));
        if from < start || expected <= 0.0 {
            return Burn::TOO_EARLY;
        }
        let pace = brought(from, today) / expected;
        let factor = match missing {
            missing if missing <= 0.0 => 0.0,
            _ if left <= 0.0 || pace <= 0.0 => CAP,
            missing => missing / left / pace,
        };
        burn = burn.min(factor);
    }
    Burn(burn.clamp(0.0, CAP) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::PeriodKind;
    use crate::catalog::load::{Files, load};

    fn calendar() -> Calendar {
        let yaml =
            "calendar: {timezone: Asia/Shanghai}\nsources: {s: {topics: [t], format: json, fields: {}}}\n";
        load(&Files::new("", [("a.yaml", yaml)])).unwrap().calendar
    }

    /// The burn on a day of October (31 days: windows of 10 and 2) with a target of 310, 10 a day.
    fn on(day: &str, plan: &PeriodPlan, brought: impl Fn(i32) -> f64) -> Burn {
        let calendar = calendar();
        let start = "2026-10-01".parse().unwrap();
        let course = Course {
            target: 310.0,
            plan,
            period: &Period::containing(PeriodKind::Month, start, &calendar),
            today: Day::of(day.parse().unwrap()),
            calendar: &calendar,
        };
        let first = Day::of(start).0;
        burn(course, |from, to| {
            (from.0..to.0).map(|day| brought(day - first + 1)).sum()
        })
    }

    #[test]
    fn by_hand() {
        let linear = PeriodPlan::Linear;
        let near = |burn: Burn, expected: f64| {
            let factor = burn.factor().unwrap();
            assert!((factor - expected).abs() < 1e-6, "{factor} {expected}");
        };
        // As planned, and half of it: 250 are missing, 200 are planned for what is left, and it goes at half the pace.
        near(on("2026-10-12", &linear, |_| 10.0), 1.0);
        near(on("2026-10-12", &linear, |_| 5.0), (310.0 - 55.0) / 200.0 / 0.5);
        // The last two days were as planned: what was before is to be made up for, no more.
        near(
            on("2026-10-12", &linear, |day| if day < 10 { 5.0 } else { 10.0 }),
            (310.0 - 65.0) / 200.0,
        );
        // A bad day after ten good ones does not matter yet.
        near(
            on("2026-10-12", &linear, |day| if day < 11 { 10.0 } else { 0.0 }),
            (210.0 / 200.0) / 0.9,
        );
        near(on("2026-10-12", &linear, |_| 0.0), CAP);
        near(on("2026-10-12", &linear, |_| 40.0), 0.0);
        assert_eq!(on("2026-10-10", &linear, |_| 5.0), Burn::TOO_EARLY);
        assert!(on("2026-10-11", &linear, |_| 5.0).factor().is_some());
        // Behind the end of the period it is said of its last day.
        assert_eq!(
            on("2026-11-05", &linear, |_| 5.0),
            on("2026-10-31", &linear, |_| 5.0)
        );
    }

    #[test]
    fn where_there_is_none() {
        let none = on("2026-10-12", &PeriodPlan::Flat, |_| 5.0);
        assert!(!none.applies() && none.factor().is_none());
        assert!(Burn::TOO_EARLY.applies() && Burn::TOO_EARLY.factor().is_none());
        // Everything was planned for the first day: the windows hold no plan.
        let mut shares = vec![1.0; 32];
        shares[0] = 0.0;
        let first_day = PeriodPlan::Weighted(shares.into());
        assert_eq!(on("2026-10-12", &first_day, |_| 5.0), Burn::TOO_EARLY);
        // And all of it before today, so that nothing is left in the plan.
        let mut shares: Vec<f64> = (0..32).map(|day| f64::from(day) / 11.0).collect();
        shares.iter_mut().for_each(|share| *share = share.min(1.0));
        let over = PeriodPlan::Weighted(shares.into());
        assert_eq!(on("2026-10-12", &over, |_| 5.0).factor(), Some(CAP));
    }

    #[test]
    fn scaling_units_changes_nothing() {
        let calendar = calendar();
        for kind in [PeriodKind::Week, PeriodKind::Quarter, PeriodKind::Year] {
            let period = Period::containing(kind, "2026-10-01".parse().unwrap(), &calendar);
            let today = Day(i32::midpoint(Day::of(period.start).0, Day::of(period.end).0));
            let course = |target| Course {
                target,
                plan: &PeriodPlan::Linear,
                period: &period,
                today,
                calendar: &calendar,
            };
            let one = burn(course(100.0), |from, to| f64::from(to.0 - from.0) * 0.1);
            let many = burn(course(1e6), |from, to| f64::from(to.0 - from.0) * 1e3);
            assert_eq!(one, many, "{kind:?}");
            assert!(one.factor().is_some(), "{kind:?}");
        }
    }
}
