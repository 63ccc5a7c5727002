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
