//! The plan of a period: what share of the target should be done by when.
//!
//! `linear` and `workdays` follow from the calendar alone. `last_year` and `file` give every day a weight; the planned
//! share at a moment is the weight of the days before it, with today's in proportion, over that of the whole period.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};

use super::pace;
use super::snapshot::Period;
use crate::catalog::{Calendar, Node, Profile};
use crate::fold::day::Day;

/// Days by which a day of last year with the same weekday is found.
const YEAR_OF_WEEKS: i32 = 364;
/// How far around that day a special day of the same name may lie: Spring Festival moves by up to a month.
const NAMED_WITHIN: i32 = 45;
/// First and last day, counted back from a day, that its weight may come from.
pub(super) const LOOKS_BACK: (i32, i32) = (YEAR_OF_WEEKS + NAMED_WITHIN, YEAR_OF_WEEKS - NAMED_WITHIN);

/// The plan of one instance in one period.
#[derive(Clone, Debug)]
pub(super) enum PeriodPlan {
    /// By time elapsed.
    Linear,
    /// By working time.
    Workdays,
    /// The whole target at any time.
    Flat,
    /// Weights of the days up to each day of the period, from 0 to 1; one more than the period has days.
    Weighted(Arc<[f64]>),
}

impl PeriodPlan {
    /// The planned share at a moment.
    pub(super) fn share(&self, period: &Period, at: Timestamp, calendar: &Calendar) -> f64 {
        match self {
            PeriodPlan::Linear => pace::expected_share(Profile::Linear, period, at, calendar),
            PeriodPlan::Workdays => pace::expected_share(Profile::Workdays, period, at, calendar),
            PeriodPlan::Flat => 1.0,
            PeriodPlan::Weighted(shares) => {
                let today = calendar.day_of(at);
                let day = usize::try_from(days_between(period.start, today))
                    .unwrap_or(0)
                    .min(shares.len() - 2);
                let of_today = pace::elapsed_of_day(today, at, calendar);
                shares[day] + (shares[day + 1] - shares[day]) * of_today
            }
        }
    }

    /// The plan of a node's instance. `last_year` tells what the days `from..to` of the past brought, where there is
    /// a year of data: asked only when the profile wants it.
    pub(super) fn of(
        node: &Node,
        period: &Period,
        calendar: &Calendar,
        last_year: impl FnOnce(Day, Day) -> Option<Vec<f64>>,
    ) -> PeriodPlan {
        let fallback = if calendar.workdays_declared {
            PeriodPlan::Workdays
        } else {
            PeriodPlan::Linear
        };
        match node.profile {
            Profile::Linear => PeriodPlan::Linear,
            Profile::Workdays => PeriodPlan::Workdays,
            Profile::Flat => PeriodPlan::Flat,
            Profile::File => {
                weighted(days(period).map(|day| weight_in_file(&node.plan, day))).unwrap_or(fallback)
            }
            Profile::LastYear | Profile::Default => {
                let from = Day(Day::of(period.start).0 - LOOKS_BACK.0);
                let to = Day(Day::of(period.end).0 - LOOKS_BACK.1);
                let weights = last_year(from, to).and_then(|flow| {
                    let brought = |day: Date| {
                        let at = usize::try_from(Day::of(day).0 - from.0).ok()?;
                        flow.get(at).copied()
                    };
                    weighted(
                        days(period).map(|day| brought(same_day_last_year(day, calendar)).unwrap_or(0.0)),
                    )
                });
                weights.unwrap_or(fallback)
            }
        }
    }
}

fn days(period: &Period) -> impl Iterator<Item = Date> {
    let end = period.end;
    std::iter::successors(Some(period.start), |day| Some(day.saturating_add(1.day())))
        .take_while(move |day| *day < end)
}

fn days_between(from: Date, to: Date) -> i32 {
    from.until(to).map_or(0, |span| span.get_days())
}

/// Shares that add up from weights; `None` where they are all nothing.
fn weighted(weights: impl Iterator<Item = f64>) -> Option<PeriodPlan> {
    let mut shares = vec![0.0];
    let mut sum = 0.0;
    for weight in weights {
        sum += weight.max(0.0);
        shares.push(sum);
    }
    if sum <= 0.0 || !sum.is_finite() {
        return None;
    }
    shares.iter_mut().for_each(|share| *share /= sum);
    Some(PeriodPlan::Weighted(shares.into()))
}

/// The weight of a day: that of the last line at or before it.
fn weight_in_file(plan: &BTreeMap<Date, f64>, day: Date) -> f64 {
    plan.range(..=day).next_back().map_or(0.0, |(_, weight)| *weight)
}

/// The day of the year before that a day is like: the same day of the same holiday or promotion, else the same
/// weekday 52 weeks before. Where only that one was special, the week before it, or after it, stands in.
fn same_day_last_year(day: Date, calendar: &Calendar) -> Date {
    let same_weekday = day.saturating_sub(YEAR_OF_WEEKS.days());
    if let Some(special) = calendar.special_days.get(&day) {
        let nth = nth_of_name(day, &special.name, calendar);
        let around = same_weekday.saturating_sub(NAMED_WITHIN.days())
            ..same_weekday.saturating_add(NAMED_WITHIN.days());
        let named = calendar
            .special_days
            .range(around)
            .filter(|(_, other)| other.name == special.name);
        let found = named.map(|(date, _)| *date).nth(nth);
        return found.unwrap_or(same_weekday);
    }
    let ordinary = |day: &Date| !calendar.special_days.contains_key(day);
    [
        same_weekday,
        same_weekday.saturating_sub(7.days()),
        same_weekday.saturating_add(7.days()),
    ]
    .into_iter()
    .find(ordinary)
    .unwrap_or(same_weekday)
}

/// How many days of the same name come before a day, within a month and a half.
fn nth_of_name(day: Date, name: &str, calendar: &Calendar) -> usize {
    let before = day.saturating_sub(NAMED_WITHIN.days())..day;
    calendar
        .special_days
        .range(before)
        .filter(|(_, other)| other.name == name)
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::PeriodKind;
    use crate::catalog::load::{Files, load};

    fn calendar() -> Calendar {
        let yaml = "calendar: {timezone: Asia/Shanghai, holidays: h.csv}\nsources: {s: {topics: [t], format: json, fields: {}}}\n";
        let holidays = "date,kind,name\n2025-01-29,holiday,春节\n2025-01-30,holiday,春节\n2026-02-17,holiday,春节\n2026-02-18,holiday,春节\n2025-06-10,promotion,店庆\n";
        load(&Files::new("", [("a.yaml", yaml), ("h.csv", holidays)]))
            .map_err(|d| d.to_string())
            .unwrap()
            .calendar
    }

    #[test]
    fn a_day_is_like_its_weekday_or_its_holiday_a_year_before() {
        let calendar = calendar();
        for (day, like) in [
            ("2026-06-02", "2025-06-03"),
            ("2026-02-18", "2025-01-30"),
            // A year before there was a promotion on that weekday: the week before stands in.
            ("2026-06-09", "2025-06-03"),
        ] {
            assert_eq!(
                same_day_last_year(day.parse().unwrap(), &calendar),
                like.parse::<Date>().unwrap(),
                "{day}"
            );
        }
    }

    /// What a profile expects at moments of the period that a day is in, by way of a catalogue. Working days and a holiday
    /// are declared: a profile that goes by them would show.
    fn expected(profile: &str, plan: &str, kind: PeriodKind, zone: &str, day: &str, at: &[&str]) -> Vec<f64> {
        let yaml = format!(
            "calendar: {{timezone: {zone}, workdays: [mon, tue, wed, thu, fri], holidays: h.csv}}\nsources: {{s: {{topics: [t], format: json, fields: {{}}}}}}\nmetrics: {{m: {{source: s, agg: count}}}}\nnodes: {{n: {{metric: m, role: business, period: month, profile: {profile}}}}}\n"
        );
        let holidays = "date,kind,name\n2026-06-03,holiday,a\n2026-06-04,holiday,a\n2026-06-06,workday,b\n";
        let files = [("a.yaml", yaml.as_str()), ("h.csv", holidays), ("plan.csv", plan)];
        let catalog = load(&Files::new("", files)).map_err(|d| d.to_string()).unwrap();
        let calendar = &catalog.calendar;
        let period = Period::containing(kind, day.parse().unwrap(), calendar);
        let plan = PeriodPlan::of(&catalog.nodes[0], &period, calendar, |_, _| {
            panic!("no year before is asked for")
        });
        at.iter()
            .map(|at| plan.share(&period, at.parse().unwrap(), calendar))
            .collect()
    }

    const ANY: &str = "date,weight\n2026-01-01,1\n";

    #[test]
    fn flat_expects_all_of_it_at_any_time() {
        // The first moment, a holiday, a day off, a day of make-up, and the end.
        let at = [
            "2026-06-01T00:00:00+08:00",
            "2026-06-03T12:00:00+08:00",
            "2026-06-05T23:59:59+08:00",
            "2026-06-06T12:00:00+08:00",
            "2026-06-07T12:00:00+08:00",
            "2026-07-01T00:00:00+08:00",
        ];
        for kind in [
            PeriodKind::Day,
            PeriodKind::Week,
            PeriodKind::Month,
            PeriodKind::Year,
        ] {
            let found = expected("flat", ANY, kind, "Asia/Shanghai", "2026-06-03", &at);
            assert_eq!(found, [1.0; 6], "{kind:?}");
        }
    }

    const PLAN: &str = "{file: plan.csv}";
    /// Monday 1 June to Sunday 7 June weigh 10, 20, 20 (Wednesday is not there: Tuesday holds on), 30, 30, 0, 0: 110.
    const WEEK: &str = "date,weight\n2026-06-01,10\n2026-06-02,20\n2026-06-04,30\n2026-06-06,0\n";

    #[test]
    fn a_file_expects_by_its_weights_whatever_they_sum_to() {
        let at = [
            ("2026-06-01T00:00:00+08:00", 0.0),
            ("2026-06-01T06:00:00+08:00", 2.5 / 110.0),
            ("2026-06-02T00:00:00+08:00", 10.0 / 110.0),
            // The missing day is a holiday: a file means what it says.
            ("2026-06-03T00:00:00+08:00", 30.0 / 110.0),
            ("2026-06-03T12:00:00+08:00", 40.0 / 110.0),
            ("2026-06-04T00:00:00+08:00", 50.0 / 110.0),
            ("2026-06-05T12:00:00+08:00", 95.0 / 110.0),
            // Saturday is worked and weighs nothing, and so does Sunday, which is not there.
            ("2026-06-06T00:00:00+08:00", 1.0),
            ("2026-06-07T12:00:00+08:00", 1.0),
            ("2026-06-08T00:00:00+08:00", 1.0),
        ];
        let moments = at.map(|(at, _)| at);
        // As amounts, as percents of which a tenth is missing, and as shares that come to more than 1.
        let percents = "date,weight\n2026-06-01,8\n2026-06-02,16\n2026-06-04,24\n2026-06-06,0\n";
        let shares = "date,weight\n2026-06-01,0.15\n2026-06-02,0.3\n2026-06-04,0.45\n2026-06-06,0\n";
        for plan in [WEEK, percents, shares] {
            let found = expected(
                PLAN,
                plan,
                PeriodKind::Week,
                "Asia/Shanghai",
                "2026-06-03",
                &moments,
            );
            for ((at, share), found) in at.iter().zip(found) {
                assert!(
                    (found - share).abs() < 1e-12,
                    "{at}: {found}, not {share} by {plan}"
                );
            }
        }
    }

    #[test]
    fn a_file_that_begins_inside_a_period_expects_nothing_before_and_one_that_ends_holds_on() {
        let june = |plan: &str, at: &[&str]| {
            expected(PLAN, plan, PeriodKind::Month, "Asia/Shanghai", "2026-06-01", at)
        };
        // Twenty of the thirty days weigh the same.
        let begins = "date,weight\n2026-06-11,7\n";
        assert_eq!(
            june(
                begins,
                &[
                    "2026-06-10T12:00:00+08:00",
                    "2026-06-11T12:00:00+08:00",
                    "2026-06-21T00:00:00+08:00"
                ]
            ),
            [0.0, 0.5 / 20.0, 10.0 / 20.0]
        );
        // 5 × 4 and then 25 × 2, of which five have passed.
        let ends = "date,weight\n2026-05-31,4\n2026-06-06,2\n";
        let found = june(ends, &["2026-06-11T00:00:00+08:00"]);
        assert!((found[0] - 30.0 / 70.0).abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn a_period_that_weighs_nothing_goes_by_the_calendar() {
        let at = |day: &str, at: &str| expected(PLAN, WEEK, PeriodKind::Week, "Asia/Shanghai", day, &[at])[0];
        // The week before the file begins, and the one after its last day with a weight: five working days each.
        assert_eq!(at("2026-05-27", "2026-05-27T12:00:00+08:00"), 2.5 / 5.0);
        assert_eq!(at("2026-06-10", "2026-06-13T00:00:00+08:00"), 1.0);
    }

    #[test]
    fn a_day_of_a_clock_change_has_its_own_hours() {
        // On 29 March clocks in Berlin go from 2 to 3: noon is 11 of 23 hours in.
        let plan = "date,weight\n2026-03-28,1\n2026-03-29,3\n2026-03-30,0\n";
        let noon = ["2026-03-29T12:00:00+02:00"];
        let found = expected(
            PLAN,
            plan,
            PeriodKind::Month,
            "Europe/Berlin",
            "2026-03-29",
            &noon,
        );
        assert!(
            (found[0] - (1.0 + 3.0 * 11.0 / 23.0) / 4.0).abs() < 1e-12,
            "{found:?}"
        );
    }

    #[test]
    fn weights_add_up_to_shares() {
        let calendar = calendar();
        let period = Period {
            kind: crate::catalog::PeriodKind::Week,
            start: "2026-06-01".parse().unwrap(),
            end: "2026-06-08".parse().unwrap(),
        };
        let plan = weighted([1.0, 1.0, 2.0, 0.0, 0.0, 2.0, 2.0].into_iter()).unwrap();
        let share = |at: &str| plan.share(&period, at.parse().unwrap(), &calendar);
        assert_eq!(share("2026-06-01T00:00:00+08:00"), 0.0);
        assert_eq!(share("2026-06-03T12:00:00+08:00"), 3.0 / 8.0);
        assert_eq!(share("2026-06-05T12:00:00+08:00"), 0.5);
        assert!((share("2026-06-07T23:59:59.999999999+08:00") - 1.0).abs() < 1e-12);
        assert!(weighted([0.0, 0.0].into_iter()).is_none());
    }
}
