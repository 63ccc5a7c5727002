//! Stretches of time that come again: nights, weekends, holidays. Fields as Alertmanager's `time_intervals` have them,
//! and the working days of the catalogue's calendar.

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
        let in_month = self.days_of_month.iter().any(|range| holds_day(*range, date));
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

/// Whether a day lies between two days of its month; −1 is the last one. Days beyond the month's end are its end.
fn holds_day((from, to): (i8, i8), date: Date) -> bool {
    let last = date.days_in_month();
    let day = |n: i8| if n < 0 { last + 1 + n } else { n.min(last) };
    // A range that begins beyond the end of a short month is not in it.
    from <= last && (day(from).max(1)..=day(to)).contains(&date.day())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::load::{Files, load};

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
