//! Stretches of time that come again: nights, weekends, holidays, the last days of a quarter. Fields as Alertmanager's
//! `time_intervals` have them, and the working days and the fiscal year of the catalogue's calendar.

use jiff::Timestamp;
use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;

use crate::catalog::Calendar;

/// One stretch; every field that is given must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Interval {
    /// Times of day, half-open; the end may be 24:00, given as `None`. Empty: the whole day.
    pub times: Vec<(Time, Option<Time>)>,
    /// Days of the week, first and last. Empty: all.
    pub weekdays: Vec<(Weekday, Weekday)>,
    /// Days of the month, first and last; negative ones count from its end. Empty: all.
    pub days_of_month: Vec<(i8, i8)>,
    /// Months, first and last. Empty: all.
    pub months: Vec<(i8, i8)>,
    /// Years, first and last. Empty: all.
    pub years: Vec<(i16, i16)>,
    /// Whether it is on working days only (`true`), or on all others (`false`), by the catalogue's calendar.
    pub workdays: Option<bool>,
    /// Months of the fiscal year, first and last, from 1. Empty: all.
    pub fiscal_months: Vec<(i8, i8)>,
    /// Quarters of the fiscal year, first and last, from 1. Empty: all.
    pub fiscal_quarters: Vec<(i8, i8)>,
    /// Days of the fiscal month, first and last; negative ones count from its end. Empty: all.
    pub days_of_fiscal_month: Vec<(i8, i8)>,
    /// Days of the fiscal quarter, first and last; negative ones count from its end. Empty: all.
    pub days_of_fiscal_quarter: Vec<(i8, i8)>,
    /// Where the clock hangs; `None`: where the catalogue's calendar does.
    pub zone: Option<TimeZone>,
}

impl Interval {
    /// Whether a moment lies in it.
    pub fn holds(&self, now: Timestamp, calendar: &Calendar) -> bool {
        let local = self.zone.as_ref().unwrap_or(&calendar.timezone).to_datetime(now);
        let (date, time) = (local.date(), local.time());
        let any = |is_empty: bool, holds: bool| is_empty || holds;
        let in_times = self
            .times
            .iter()
            .any(|(from, to)| *from <= time && to.is_none_or(|to| time < to));
        let in_week = self.weekdays.iter().any(|(from, to)| {
            let past = |day: Weekday| day.since(Weekday::Monday);
            let day = past(date.weekday());
            past(*from) <= day && day <= past(*to)
        });
        let in_month = is_day(&self.days_of_month, date.day(), date.days_in_month());
        let in_months = self
            .months
            .iter()
            .any(|(from, to)| (*from..=*to).contains(&date.month()));
        let in_years = self
            .years
            .iter()
            .any(|(from, to)| (*from..=*to).contains(&date.year()));
        any(self.times.is_empty(), in_times)
            && any(self.weekdays.is_empty(), in_week)
            && any(self.days_of_month.is_empty(), in_month)
            && any(self.months.is_empty(), in_months)
            && any(self.years.is_empty(), in_years)
            && self
                .workdays
                .is_none_or(|wanted| calendar.is_workday(date) == wanted)
            && self.holds_fiscal(date, calendar)
    }

    fn holds_fiscal(&self, date: Date, calendar: &Calendar) -> bool {
        let part_holds = |numbers: &[(i8, i8)], days: &[(i8, i8)], part: (i8, Date, Date)| {
            let (number, start, end) = part;
            let is_part =
                numbers.is_empty() || numbers.iter().any(|(from, to)| (*from..=*to).contains(&number));
            is_part && (days.is_empty() || is_day(days, past(start, date) + 1, past(start, end)))
        };
        part_holds(
            &self.fiscal_months,
            &self.days_of_fiscal_month,
            calendar.fiscal_month(date),
        ) && part_holds(
            &self.fiscal_quarters,
            &self.days_of_fiscal_quarter,
            calendar.fiscal_quarter(date),
        )
    }
}

impl Interval {
    /// The next moment at which it may begin or end: one of its times of day, or midnight.
    pub fn next_edge(&self, now: Timestamp, calendar: &Calendar) -> Timestamp {
        let zone = self.zone.as_ref().unwrap_or(&calendar.timezone);
        let date = zone.to_datetime(now).date();
        let times = self
            .times
            .iter()
            .flat_map(|(from, to)| [Some(*from), *to])
            .flatten();
        let today = times.map(|time| date.to_datetime(time));
        let tomorrow = date
            .saturating_add(jiff::Span::new().days(1))
            .to_datetime(Time::midnight());
        today
            .chain([tomorrow])
            .filter_map(|local| zone.to_timestamp(local).ok())
            .filter(|edge| *edge > now)
            .min()
            .unwrap_or(Timestamp::MAX)
    }
}

/// Whether the `day`th of so many days lies between two of them; −1 is the last one. Days beyond the end are the end.
fn is_day(ranges: &[(i8, i8)], day: i8, last: i8) -> bool {
    let nth = |n: i8| if n < 0 { last + 1 + n } else { n.min(last) };
    // A range that begins beyond the end of a short month is not in it.
    ranges
        .iter()
        .any(|(from, to)| *from <= last && (nth(*from).max(1)..=nth(*to)).contains(&day))
}

/// Days from one to another; those of a quarter fit.
fn past(from: Date, to: Date) -> i8 {
    let days = to.duration_since(from).as_hours() / 24;
    i8::try_from(days).unwrap_or(i8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::load::{Files, load};

    /// In 2026 China's National Day is a holiday to the 8th, and Sunday the 27th of September and Saturday the 10th of
    /// October make up for it.
    const CALENDAR: &str = "calendar:
  timezone: Asia/Shanghai
  fiscal_year_starts: FIRST
  workdays: [mon, tue, wed, thu, fri]
  holidays: days.csv
sources: {s: {topics: [t], format: json, fields: {}}}
";

    fn calendar(fiscal_year_starts: &str) -> Calendar {
        let yaml = CALENDAR.replace("FIRST", fiscal_year_starts);
        let holidays: String = (1..=8)
            .map(|day| format!("2026-10-{day:02},holiday,National Day\n"))
            .collect();
        let days =
            format!("date,kind,name\n2026-09-27,workday,make-up\n2026-10-10,workday,make-up\n{holidays}");
        load(&Files::new("", [("a.yaml", &*yaml), ("days.csv", &*days)]))
            .unwrap()
            .calendar
    }

    /// The days of a stretch, as ranges, on which an interval holds at noon; it holds for all of a day or for none of it.
    fn days(interval: &Interval, calendar: &Calendar, from: &str, to: &str) -> String {
        let (mut day, last): (Date, Date) = (from.parse().unwrap(), to.parse().unwrap());
        let mut ranges: Vec<(Date, Date)> = Vec::new();
        while day <= last {
            let at = |hour, minute| {
                let local = day.at(hour, minute, 0, 0);
                calendar.timezone.to_timestamp(local).unwrap()
            };
            let holds = interval.holds(at(12, 0), calendar);
            for (hour, minute) in [(0, 0), (23, 59)] {
                assert_eq!(
                    interval.holds(at(hour, minute), calendar),
                    holds,
                    "{day} {hour}:{minute}"
                );
            }
            match ranges.last_mut() {
                Some((_, end)) if holds && end.tomorrow().unwrap() == day => *end = day,
                _ if holds => ranges.push((day, day)),
                _ => {}
            }
            day = day.tomorrow().unwrap();
        }
        let words = ranges.iter().map(|(from, to)| match from == to {
            true => from.strftime("%m-%d").to_string(),
            false => format!("{}..{}", from.strftime("%m-%d"), to.strftime("%m-%d")),
        });
        words.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn working_days_know_holidays_and_the_days_that_make_up_for_them() {
        let calendar = calendar("01-01");
        let on = |workdays| Interval {
            workdays: Some(workdays),
            ..Interval::default()
        };
        let found = |interval: &Interval| days(interval, &calendar, "2026-09-21", "2026-10-18");
        assert_eq!(
            found(&on(true)),
            "09-21..09-25 09-27..09-30 10-09..10-10 10-12..10-16"
        );
        assert_eq!(found(&on(false)), "09-26 10-01..10-08 10-11 10-17..10-18");
        // By weekday alone the make-up days are the weekend, and the holidays are not.
        let weekend = Interval {
            weekdays: vec![(Weekday::Saturday, Weekday::Sunday)],
            ..Interval::default()
        };
        assert_eq!(
            found(&weekend),
            "09-26..09-27 10-03..10-04 10-10..10-11 10-17..10-18"
        );
        let both = Interval {
            workdays: Some(true),
            ..weekend
        };
        assert_eq!(found(&both), "09-27 10-10");
    }

    #[test]
    fn office_hours_of_working_days_follow_the_clock_of_their_own_zone() {
        let calendar = calendar("01-01");
        let office = Interval {
            times: vec![(
                jiff::civil::time(9, 0, 0, 0),
                Some(jiff::civil::time(18, 0, 0, 0)),
            )],
            workdays: Some(true),
            ..Interval::default()
        };
        let holds = |interval: &Interval, at: &str| interval.holds(at.parse().unwrap(), &calendar);
        for (at, expected) in [
            ("2026-09-27T00:59:59Z", false),
            ("2026-09-27T01:00:00Z", true),
            ("2026-09-27T09:59:59Z", true),
            ("2026-09-27T10:00:00Z", false),
            ("2026-10-01T02:00:00Z", false),
            ("2026-10-10T02:00:00Z", true),
        ] {
            assert_eq!(holds(&office, at), expected, "{at}");
        }
        // In London the day is still the holiday, while Shanghai works again.
        let london = Interval {
            workdays: Some(true),
            zone: Some(TimeZone::get("Europe/London").unwrap()),
            ..Interval::default()
        };
        let shanghai = Interval {
            zone: None,
            ..london.clone()
        };
        let at = "2026-10-08T20:00:00Z";
        assert_eq!((holds(&london, at), holds(&shanghai, at)), (false, true));
    }

    #[test]
    fn fiscal_months_and_quarters_are_those_of_the_catalogue() {
        let months = |range| Interval {
            fiscal_months: vec![range],
            ..Interval::default()
        };
        let quarters = |range| Interval {
            fiscal_quarters: vec![range],
            ..Interval::default()
        };
        let year =
            |interval: &Interval, first: &str| days(interval, &calendar(first), "2026-01-01", "2026-12-31");
        for (interval, first, expected) in [
            (months((1, 1)), "01-01", "01-01..01-31"),
            (months((1, 1)), "04-01", "04-01..04-30"),
            (months((12, 12)), "04-01", "03-01..03-31"),
            (months((9, 11)), "04-01", "01-01..02-28 12-01..12-31"),
            (quarters((1, 1)), "04-01", "04-01..06-30"),
            (quarters((4, 4)), "04-01", "01-01..03-31"),
            (quarters((3, 4)), "04-01", "01-01..03-31 10-01..12-31"),
            // A fiscal year that begins within a month.
            (months((1, 1)), "04-06", "04-06..05-05"),
            (months((12, 12)), "04-06", "03-06..04-05"),
            (quarters((1, 2)), "04-06", "04-06..10-05"),
        ] {
            assert_eq!(year(&interval, first), expected, "{interval:?} from {first}");
        }
    }

    #[test]
    fn the_last_days_of_a_fiscal_month_or_quarter_are_counted_from_its_end() {
        let of = |change: fn(&mut Interval)| {
            let mut interval = Interval::default();
            change(&mut interval);
            interval
        };
        for (interval, first, expected) in [
            (
                of(|at| at.days_of_fiscal_quarter = vec![(-5, -1)]),
                "04-01",
                "03-27..03-31 06-26..06-30 09-26..09-30 12-27..12-31",
            ),
            (
                of(|at| {
                    at.days_of_fiscal_quarter = vec![(-5, -1)];
                    at.fiscal_quarters = vec![(4, 4)];
                }),
                "04-01",
                "03-27..03-31",
            ),
            // Working days among the last days of the third fiscal quarter: a holiday begins with the fourth.
            (
                of(|at| {
                    at.days_of_fiscal_quarter = vec![(-5, -1), (1, 10)];
                    at.fiscal_quarters = vec![(3, 4)];
                    at.workdays = Some(true);
                    at.months = vec![(9, 10)];
                }),
                "01-01",
                "09-27..09-30 10-09..10-10",
            ),
            (
                of(|at| {
                    at.days_of_fiscal_month = vec![(1, 2)];
                    at.fiscal_months = vec![(1, 3)];
                }),
                "04-06",
                "04-06..04-07 05-06..05-07 06-06..06-07",
            ),
            // Days beyond the end are the end, as in a month of the calendar.
            (
                of(|at| {
                    at.days_of_fiscal_month = vec![(28, 31)];
                    at.fiscal_months = vec![(11, 12)];
                }),
                "04-01",
                "02-28 03-28..03-31",
            ),
            (
                of(|at| at.days_of_fiscal_quarter = vec![(92, 92)]),
                "04-01",
                "09-30 12-31",
            ),
        ] {
            let found = days(&interval, &calendar(first), "2026-01-01", "2026-12-31");
            assert_eq!(found, expected, "{interval:?} from {first}");
        }
    }

    #[test]
    fn an_edge_is_a_time_of_day_or_midnight_on_the_clock_of_the_zone() {
        let yaml =
            "calendar: {timezone: Europe/Berlin}\nsources: {s: {topics: [t], format: json, fields: {}}}\n";
        let calendar = load(&Files::new("", [("a.yaml", yaml)])).unwrap().calendar;
        let time = |hour| jiff::civil::time(hour, 0, 0, 0);
        let interval = Interval {
            times: vec![(time(2), Some(time(9))), (time(22), None)],
            ..Interval::default()
        };
        for (now, edge) in [
            ("2026-06-01T06:59:59Z", "2026-06-01T07:00:00Z"),
            ("2026-06-01T07:00:00Z", "2026-06-01T20:00:00Z"),
            ("2026-06-01T20:00:00Z", "2026-06-01T22:00:00Z"),
            // At two there is no two o'clock: the hour that follows begins then.
            ("2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z"),
            // The night in which two o'clock comes twice counts it once.
            ("2026-10-24T22:30:00Z", "2026-10-25T00:00:00Z"),
            ("2026-10-25T00:00:00Z", "2026-10-25T08:00:00Z"),
        ] {
            let (now, edge): (Timestamp, Timestamp) = (now.parse().unwrap(), edge.parse().unwrap());
            assert_eq!(interval.next_edge(now, &calendar), edge, "{now}");
        }
        let always = Interval::default();
        let now: Timestamp = "2026-06-01T12:00:00Z".parse().unwrap();
        assert_eq!(
            always.next_edge(now, &calendar).to_string(),
            "2026-06-01T22:00:00Z"
        );
    }
}
