//! Stretches of time that come again, as Alertmanager's `time_intervals` write them.

use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::Deserialize;

use super::load::Checker;
use crate::alert::dispatch::interval::Interval;

#[derive(Deserialize, JsonSchema, Debug)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
pub(super) struct IntervalEntry {
    times: Vec<TimesEntry>,
    /// `monday:friday`, `sunday`.
    weekdays: Vec<String>,
    /// `1:5`, `-1` for the last day.
    days_of_month: Vec<Text>,
    /// `january:march`, `12`.
    months: Vec<Text>,
    /// `2026:2027`.
    years: Vec<Text>,
    /// On working days only, or on all others only, by the catalogue's calendar with its holidays.
    workdays: Option<bool>,
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

/// YAML writers write numbers as well.
#[derive(Deserialize, JsonSchema, Debug)]
#[serde(untagged)]
enum Text {
    Int(i64),
    Text(String),
}

impl Text {
    fn text(&self) -> String {
        match self {
            Text::Int(number) => number.to_string(),
            Text::Text(text) => text.trim().to_owned(),
        }
    }
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
        for text in entry.days_of_month.iter().map(Text::text) {
            let day = |text: &str| {
                text.parse::<i8>()
                    .ok()
                    .filter(|day| *day != 0 && (-31..=31).contains(day))
            };
            match range(&text, day).filter(|(from, to)| from.signum() != to.signum() || from <= to) {
                Some(found) => interval.days_of_month.push(found),
                None => self.problem_at(
                    &at("days_of_month"),
                    format!("'{text}' is no range of days; write 1:5, or -1 for the last day"),
                ),
            }
        }
        for text in entry.months.iter().map(Text::text) {
            match range(&text, month).filter(|(from, to)| from <= to) {
                Some(found) => interval.months.push(found),
                None => self.problem_at(
                    &at("months"),
                    format!("'{text}' is no range of months; write january:march or 1:3"),
                ),
            }
        }
        for text in entry.years.iter().map(Text::text) {
            match range(&text, |text| text.parse::<i16>().ok()).filter(|(from, to)| from <= to) {
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
