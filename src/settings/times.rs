//! Stretches of time that come again, as Alertmanager's `time_intervals` write them.

use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::Deserialize;

use super::load::Checker;
use crate::alert::dispatch::interval::Interval;
use crate::catalog::yaml::Written;

#[derive(Deserialize, JsonSchema, Debug)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
pub(super) struct IntervalEntry {
    times: Vec<TimesEntry>,
    /// `monday:friday`, `sunday`.
    weekdays: Vec<String>,
    /// `1:5`, `-1` for the last day.
    days_of_month: Vec<Written>,
    /// `january:march`, `12`.
    months: Vec<Written>,
    /// `2026:2027`.
    years: Vec<Written>,
    /// On working days only, or on all others only, by the catalogue's calendar with its holidays.
    workdays: Option<bool>,
    /// `1:3`, `12`: months of the catalogue's fiscal year.
    fiscal_months: Vec<Written>,
    /// `4`: quarters of the catalogue's fiscal year.
    fiscal_quarters: Vec<Written>,
    /// `1:5`, `-3:-1` for the last three days.
    days_of_fiscal_month: Vec<Written>,
    /// `-5:-1` for the last five days.
    days_of_fiscal_quarter: Vec<Written>,
    /// IANA name; the catalogue's zone where it is missing.
    location: Option<String>,
}

#[derive(Deserialize, JsonSchema, Debug)]
#[serde(deny_unknown_fields)]
struct TimesEntry {
    /// `09:00`.
    start_time: String,
    /// `18:00`; `24:00` is the end of the day.
    end_time: String,
}

const WEEKDAYS: [(&str, Weekday); 7] = [
    ("monday", Weekday::Monday),
    ("tuesday", Weekday::Tuesday),
    ("wednesday", Weekday::Wednesday),
    ("thursday", Weekday::Thursday),
    ("friday", Weekday::Friday),
    ("saturday", Weekday::Saturday),
    ("sunday", Weekday::Sunday),
];

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

impl Checker {
    /// Reads one stretch; `None` where something is wrong, which has been noted.
    pub(super) fn interval(&mut self, path: &[String], entry: IntervalEntry) -> Option<Interval> {
        let before = self.problems();
        let at = |key: &str| -> Vec<String> { path.iter().cloned().chain([key.to_owned()]).collect() };
        let mut interval = Interval {
            workdays: entry.workdays,
            ..Interval::default()
        };
        for times in &entry.times {
            match (clock(&times.start_time), clock(&times.end_time)) {
                (Some(Some(start)), Some(end)) if end.is_none_or(|end| start < end) => {
                    interval.times.push((start, end));
                }
                _ => self.problem_at(
                    &at("times"),
                    format!(
                        "'{}' to '{}' is no time of day; write {{start_time: \"09:00\", end_time: \"18:00\"}}, and a night as two: 22:00 to 24:00 and 00:00 to 07:00",
                        times.start_time, times.end_time
                    ),
                ),
            }
        }
        for text in &entry.weekdays {
            match range(text, weekday).filter(|(from, to)| order(*from) <= order(*to)) {
                Some(found) => interval.weekdays.push(found),
                None => self.problem_at(
                    &at("weekdays"),
                    format!("'{text}' is no range of weekdays; write monday:friday, or two ranges for one over Sunday"),
                ),
            }
        }
        interval.days_of_month = self.days(&at("days_of_month"), &entry.days_of_month, 31);
        let fiscal = at("days_of_fiscal_month");
        interval.days_of_fiscal_month = self.days(&fiscal, &entry.days_of_fiscal_month, 31);
        let fiscal = at("days_of_fiscal_quarter");
        interval.days_of_fiscal_quarter = self.days(&fiscal, &entry.days_of_fiscal_quarter, 92);
        let fiscal = at("fiscal_months");
        interval.fiscal_months = self.parts(&fiscal, &entry.fiscal_months, "months", 12);
        let fiscal = at("fiscal_quarters");
        interval.fiscal_quarters = self.parts(&fiscal, &entry.fiscal_quarters, "quarters", 4);
        for text in entry.months.iter().map(Written::trimmed) {
            match range(text, month).filter(|(from, to)| from <= to) {
                Some(found) => interval.months.push(found),
                None => self.problem_at(
                    &at("months"),
                    format!("'{text}' is no range of months; write january:march or 1:3"),
                ),
            }
        }
        for text in entry.years.iter().map(Written::trimmed) {
            match range(text, |text| text.parse::<i16>().ok()).filter(|(from, to)| from <= to) {
                Some(found) => interval.years.push(found),
                None => self.problem_at(
                    &at("years"),
                    format!("'{text}' is no range of years; write 2026:2027"),
                ),
            }
        }
        if let Some(location) = &entry.location {
            interval.zone = self.zone(&at("location"), location);
        }
        (self.problems() == before).then_some(interval)
    }

    /// Reads ranges of days of a stretch that has so many at most.
    fn days(&mut self, path: &[String], texts: &[Written], most: i8) -> Vec<(i8, i8)> {
        let day = |text: &str| {
            let day = text.parse::<i8>().ok()?;
            (day != 0 && (-most..=most).contains(&day)).then_some(day)
        };
        let mut days = Vec::new();
        for text in texts.iter().map(Written::trimmed) {
            match range(text, day).filter(|(from, to)| from.signum() != to.signum() || from <= to) {
                Some(found) => days.push(found),
                None => self.problem_at(
                    path,
                    format!("'{text}' is no range of days; write 1:5, or -1 for the last day"),
                ),
            }
        }
        days
    }

    /// Reads ranges of parts of the fiscal year, by their numbers.
    fn parts(&mut self, path: &[String], texts: &[Written], what: &str, most: i8) -> Vec<(i8, i8)> {
        let number = |text: &str| text.parse::<i8>().ok().filter(|part| (1..=most).contains(part));
        let mut parts = Vec::new();
        for text in texts.iter().map(Written::trimmed) {
            match range(text, number).filter(|(from, to)| from <= to) {
                Some(found) => parts.push(found),
                None => self.problem_at(
                    path,
                    format!(
                        "'{text}' is no range of fiscal {what}; write numbers such as 1:{most}, two ranges for one over the end of the year"
                    ),
                ),
            }
        }
        parts
    }

    /// Reads the name of a zone; `None` where there is none, which has been noted.
    pub(super) fn zone(&mut self, path: &[String], name: &str) -> Option<TimeZone> {
        let zone = TimeZone::get(name).ok();
        if zone.is_none() {
            self.problem_at(
                path,
                format!("'{name}' is no time zone; write an IANA name such as Asia/Shanghai"),
            );
        }
        zone
    }
}

/// `09:00`; the inner `None` is 24:00.
fn clock(text: &str) -> Option<Option<Time>> {
    let (hour, minute) = text.trim().split_once(':')?;
    match (hour.parse::<i8>().ok()?, minute.parse::<i8>().ok()?) {
        (24, 0) => Some(None),
        (hour, minute) => Time::new(hour, minute, 0, 0).ok().map(Some),
    }
}

/// `a:b`, or `a` alone.
fn range<T: Copy>(text: &str, read: impl Fn(&str) -> Option<T>) -> Option<(T, T)> {
    match text.split_once(':') {
        Some((from, to)) => Some((read(from.trim())?, read(to.trim())?)),
        None => read(text.trim()).map(|only| (only, only)),
    }
}

fn weekday(text: &str) -> Option<Weekday> {
    let wanted = text.to_lowercase();
    WEEKDAYS
        .iter()
        .find(|(name, _)| *name == wanted)
        .map(|(_, day)| *day)
}

fn order(day: Weekday) -> i8 {
    day.to_monday_zero_offset()
}

fn month(text: &str) -> Option<i8> {
    let wanted = text.to_lowercase();
    let named = MONTHS.iter().position(|name| *name == wanted);
    let number = named
        .map(|position| position + 1)
        .or_else(|| wanted.parse().ok())?;
    i8::try_from(number).ok().filter(|month| (1..=12).contains(month))
}

#[cfg(test)]
mod tests {
    use super::super::load::tests::load_text;
    use super::*;

    fn with(interval: &str) -> Result<Interval, String> {
        let text = format!("kafka: {{brokers: b}}\ntime_intervals:\n  close: [{{{interval}}}]\n");
        let settings = load_text(&text)?;
        Ok(settings.routing.intervals["close"][0].clone())
    }

    #[test]
    fn parts_of_the_fiscal_year_are_read_and_checked() {
        let read = with(
            "fiscal_months: [1, \"10:12\"], fiscal_quarters: [\"4\"], days_of_fiscal_month: [\"1:3\", -1], days_of_fiscal_quarter: [\"-5:-1\", 92], workdays: true",
        );
        let expected = Interval {
            fiscal_months: vec![(1, 1), (10, 12)],
            fiscal_quarters: vec![(4, 4)],
            days_of_fiscal_month: vec![(1, 3), (-1, -1)],
            days_of_fiscal_quarter: vec![(-5, -1), (92, 92)],
            workdays: Some(true),
            ..Interval::default()
        };
        assert_eq!(read, Ok(expected));
        let months = "is no range of fiscal months; write numbers such as 1:12, two ranges for one over the end of the year";
        let quarters = "is no range of fiscal quarters; write numbers such as 1:4, two ranges for one over the end of the year";
        let days = "is no range of days; write 1:5, or -1 for the last day";
        for (interval, expected) in [
            ("fiscal_months: [13]", format!("'13' {months}")),
            ("fiscal_months: [0]", format!("'0' {months}")),
            ("fiscal_months: [april]", format!("'april' {months}")),
            ("fiscal_quarters: [\"4:1\"]", format!("'4:1' {quarters}")),
            ("fiscal_quarters: [5]", format!("'5' {quarters}")),
            ("days_of_fiscal_month: [32]", format!("'32' {days}")),
            ("days_of_fiscal_quarter: [93]", format!("'93' {days}")),
            ("days_of_fiscal_quarter: [0]", format!("'0' {days}")),
            ("days_of_fiscal_quarter: [\"-1:-5\"]", format!("'-1:-5' {days}")),
        ] {
            let found = with(interval).unwrap_err();
            let (place, message) = found.split_once(": ").unwrap();
            assert_eq!(message, expected);
            assert!(place.starts_with("tautline.yaml:3:"), "{place}");
        }
    }
}
