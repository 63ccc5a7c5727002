//! The calendar: zone, fiscal year, weeks, workdays, and the holiday file.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::{self, Date};
use jiff::tz::TimeZone;

use super::{Loader, Owned, entries};
use crate::catalog::diagnostic::{Place, nearest};
use crate::catalog::file::{CalendarEntry, Weekday};
use crate::catalog::model::{Calendar, DayKind, NamedCalendar, SpecialDay};
use crate::catalog::yaml;
use crate::catalog::yaml::Spanned;

const MONDAY_TO_FRIDAY: [bool; 7] = [true, true, true, true, true, false, false];

impl Loader<'_> {
    /// The calendar, or UTC with Monday weeks where none is declared.
    pub(super) fn calendar(&mut self, declared: &[(Arc<str>, Spanned<CalendarEntry>)]) -> Calendar {
        let mut calendar = usual(TimeZone::UTC);
        let Some((file, entry)) = declared.first() else {
            return calendar;
        };
        let entry = &entry.value;
        if let Some(zone) = &entry.timezone {
            let found = self.zone(&zone.value, yaml::place(file, zone.location));
            calendar.timezone = found.unwrap_or(TimeZone::UTC);
        }
        self.read_calendar(file, entry, &mut calendar);
        calendar
    }

    /// Calendars that metrics may name. Each says everything that is not usual anew: nothing comes of the default one but
    /// its zone, in which all days are cut.
    pub(super) fn calendars(
        &mut self,
        declared: &Owned<CalendarEntry>,
        zone: &TimeZone,
    ) -> Vec<NamedCalendar> {
        let mut calendars = Vec::new();
        for entry in entries(declared) {
            if let Some(own) = &entry.value.timezone {
                let message = format!(
                    "calendar '{}' has no zone of its own: all days are cut in that of 'calendar:'; remove 'timezone'",
                    entry.name.value
                );
                self.problem(entry.at(own), message);
            }
            let mut calendar = usual(zone.clone());
            self.read_calendar(&entry.file, entry.value, &mut calendar);
            calendars.push(NamedCalendar {
                name: entry.name.value.clone(),
                calendar,
            });
        }
        calendars
    }

    fn read_calendar(&mut self, file: &Arc<str>, entry: &CalendarEntry, calendar: &mut Calendar) {
        if let Some(starts) = &entry.fiscal_year_starts {
            match month_and_day(&starts.value) {
                Some(found) => calendar.fiscal_year_starts = found,
                None => {
                    let place = yaml::place(file, starts.location);
                    self.problem(
                        place,
                        format!("'{}' is no month and day; write it as 04-01", starts.value),
                    );
                }
            }
        }
        if let Some(starts) = entry.week_starts {
            calendar.week_starts = weekday(starts);
        }
        if let Some(workdays) = &entry.workdays {
            calendar.workdays = [false; 7];
            calendar.workdays_declared = true;
            for day in workdays {
                calendar.workdays[weekday(*day).to_monday_zero_offset() as usize] = true;
            }
        }
        if let Some(holidays) = &entry.holidays {
            calendar.special_days = self.holidays(file, holidays);
        }
    }

    /// A time zone by its name.
    pub(super) fn zone(&mut self, name: &str, place: Place) -> Option<TimeZone> {
        let found = TimeZone::get(name).ok();
        if found.is_none() {
            let names: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
            let near = match name {
                // All of China is one zone, and it is not called after the capital.
                "Asia/Beijing" | "China/Beijing" | "Beijing" | "GMT+8" | "UTC+8" | "+08:00" => {
                    Some("Asia/Shanghai")
                }
                name => nearest(name, names.iter().map(String::as_str)),
            };
            let hint = near.map_or_else(
                || "write one such as Asia/Shanghai".to_owned(),
                |near| format!("did you mean '{near}'?"),
            );
            self.problem(place, format!("there is no time zone '{name}'; {hint}"));
        }
        found
    }

    fn holidays(&mut self, file: &Arc<str>, named: &Spanned<String>) -> BTreeMap<Date, SpecialDay> {
        let mut days = BTreeMap::new();
        let Some((shown, rows)) = self.csv(file, named, &["date", "kind", "name"]) else {
            return days;
        };
        for row in rows {
            let place = Place {
                file: shown.clone(),
                line: row.line,
                column: 1,
            };
            let [date, kind, name] = row.cells.as_slice() else {
                continue;
            };
            let Ok(date) = date.parse::<Date>() else {
                self.problem(place, format!("'{date}' is no date; write it as 2026-10-01"));
                continue;
            };
            let kind = match kind.as_str() {
                "holiday" => DayKind::Holiday,
                "workday" => DayKind::Workday,
                "promotion" => DayKind::Promotion,
                other => {
                    self.problem(
                        place,
                        format!("'{other}' is not one of holiday, workday, promotion"),
                    );
                    continue;
                }
            };
            days.insert(
                date,
                SpecialDay {
                    kind,
                    name: name.clone(),
                },
            );
        }
        days
    }
}

/// What a calendar is that says nothing.
fn usual(timezone: TimeZone) -> Calendar {
    Calendar {
        timezone,
        fiscal_year_starts: (1, 1),
        week_starts: civil::Weekday::Monday,
        workdays: MONDAY_TO_FRIDAY,
        workdays_declared: false,
        special_days: BTreeMap::new(),
    }
}

fn month_and_day(text: &str) -> Option<(i8, i8)> {
    let (month, day) = text.split_once('-')?;
    let (month, day) = (month.parse().ok()?, day.parse().ok()?);
    // A day that every year has.
    Date::new(2023, month, day).ok().map(|_| (month, day))
}

fn weekday(day: Weekday) -> civil::Weekday {
    match day {
        Weekday::Monday => civil::Weekday::Monday,
        Weekday::Tuesday => civil::Weekday::Tuesday,
        Weekday::Wednesday => civil::Weekday::Wednesday,
        Weekday::Thursday => civil::Weekday::Thursday,
        Weekday::Friday => civil::Weekday::Friday,
        Weekday::Saturday => civil::Weekday::Saturday,
        Weekday::Sunday => civil::Weekday::Sunday,
    }
}
