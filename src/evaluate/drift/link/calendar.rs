//! Days as the judgement of links counts them: since 1970-01-01, with the days that the catalogue's calendar calls special.

use std::collections::BTreeMap;

use jiff::ToSpan;
use jiff::civil::Date;

/// How a special day differs, in the order of the catalogue's words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Special {
    /// Nobody works.
    Holiday,
    /// A make-up working day.
    Workday,
    /// A promotion: unusual volume.
    Promotion,
}

/// The special days of a calendar.
#[derive(Clone, Default, Debug)]
pub struct Days {
    special: BTreeMap<i32, Special>,
    /// See [`Days::is_unusual`]; ascending. It is asked of every day of many windows.
    unusual: Vec<i32>,
}

/// Holidays in a row from which on the days around them are unusual too: people leave early and come back late.
const LONG_HOLIDAY: i32 = 3;
/// How many days around a long holiday are unusual.
const AROUND: i32 = 6;

impl Days {
    /// From dates and what they are.
    pub fn new(special: impl IntoIterator<Item = (Date, Special)>) -> Days {
        let mut days = Days {
            special: special
                .into_iter()
                .map(|(date, kind)| (day_of(date), kind))
                .collect(),
            unusual: Vec::new(),
        };
        let near = days.special.keys().flat_map(|day| day - AROUND..=day + AROUND);
        let mut unusual: Vec<i32> = near.filter(|day| days.reckoned_unusual(*day)).collect();
        unusual.sort_unstable();
        unusual.dedup();
        days.unusual = unusual;
        days
    }

    /// What a day is.
    pub fn special(&self, day: i32) -> Option<Special> {
        self.special.get(&day).copied()
    }

    /// Whether a day says nothing about an ordinary one: a holiday, a make-up day, a promotion, or a day beside a long
    /// holiday.
    pub fn is_unusual(&self, day: i32) -> bool {
        self.unusual.binary_search(&day).is_ok()
    }

    /// The same, told from the days around it.
    fn reckoned_unusual(&self, day: i32) -> bool {
        self.special.contains_key(&day) || self.beside(day, -1) <= AROUND || self.beside(day, 1) <= AROUND
    }

    /// Whether no day of a stretch is near any special one: then none of them is unusual, and none need be asked.
    pub(super) fn is_usual(&self, first: i32, last: i32) -> bool {
        let near = first - AROUND - LONG_HOLIDAY..=last + AROUND + LONG_HOLIDAY;
        self.special.range(near).next().is_none()
    }

    /// Share of a stretch of days that is unusual.
    pub(super) fn unusual_share(&self, start: i32, end: i32) -> f64 {
        let unusual = (start..end).filter(|day| self.is_unusual(*day)).count();
        unusual as f64 / f64::from((end - start).max(1))
    }

    /// Days to the nearest long holiday in a direction; beyond [`AROUND`] where there is none.
    fn beside(&self, day: i32, step: i32) -> i32 {
        let is_holiday = |day: i32| self.special(day) == Some(Special::Holiday);
        (1..=AROUND)
            .find(|away| {
                let first = day + step * away;
                is_holiday(first) && (1..LONG_HOLIDAY).all(|more| is_holiday(first + step * more))
            })
            .unwrap_or(AROUND + 1)
    }
}

/// The number of a date.
pub fn day_of(date: Date) -> i32 {
    Date::new(1970, 1, 1)
        .unwrap_or(Date::ZERO)
        .until(date)
        .map_or(0, |span| span.get_days())
}

/// The date of a day.
pub fn date_of(day: i32) -> Date {
    Date::new(1970, 1, 1)
        .unwrap_or(Date::ZERO)
        .saturating_add(day.days())
}

/// The weekday of a day, 0 for Monday.
pub fn weekday(day: i32) -> usize {
    (day + 3).rem_euclid(7) as usize
}

/// Month (0 to 11) and day of the month (1 to 31).
pub(super) fn month_and_day(day: i32) -> (usize, i32) {
    let date = date_of(day);
    ((date.month() - 1) as usize, i32::from(date.day()))
}

/// How many of the last days of a quarter are those in which targets are chased.
const CHASED: i32 = 10;

/// The latest days in which the targets of a quarter were, or are, chased.
#[derive(Clone, Debug)]
pub(super) struct QuarterEnd {
    days: std::ops::Range<i32>,
    /// Counted from year 0, as it is kept with what a link has learned.
    quarter: i32,
}

impl QuarterEnd {
    /// Those that have begun by a day.
    pub(super) fn by(day: i32) -> QuarterEnd {
        let date = date_of(day);
        let month = date.month() - (date.month() - 1) % 3;
        let start = day_of(Date::new(date.year(), month, 1).unwrap_or(date));
        let quarter = i32::from(date.year()) * 4 + i32::from(month) / 3 + 1;
        // Three months later by 92 days, or by up to two days less.
        let end = date_of(start + 92).first_of_month();
        let end = day_of(end);
        if day >= end - CHASED {
            QuarterEnd {
                days: end - CHASED..end,
                quarter,
            }
        } else {
            QuarterEnd {
                days: start - CHASED..start,
                quarter: quarter - 1,
            }
        }
    }

    /// The quarter that a day closes, if it is one of them. Days of earlier quarters, 90 days before, are not told apart from
    /// others.
    pub(super) fn of(&self, day: i32) -> Option<i32> {
        self.days.contains(&day).then_some(self.quarter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ten_days_of_a_quarter_are_those_of_the_latest_that_has_begun_to_close() {
        let number = |year: i16, month: i8, day: i8| day_of(Date::constant(year, month, day));
        let by = |year: i16, month: i8, day: i8| {
            let last = QuarterEnd::by(number(year, month, day));
            (date_of(last.days.start), date_of(last.days.end - 1), last.quarter)
        };
        let of = |from: [i8; 2], to: [i8; 2], year: i16, quarter: i32| {
            let date = |[month, day]: [i8; 2]| Date::constant(year, month, day);
            (date(from), date(to), i32::from(year) * 4 + quarter)
        };
        // Quarters of 90, 91, 92 and 92 days; of 91 in a leap year.
        assert_eq!(by(2026, 3, 21), of([12, 22], [12, 31], 2025, 4));
        assert_eq!(by(2026, 3, 22), of([3, 22], [3, 31], 2026, 1));
        assert_eq!(by(2026, 3, 31), of([3, 22], [3, 31], 2026, 1));
        assert_eq!(by(2026, 6, 20), of([3, 22], [3, 31], 2026, 1));
        assert_eq!(by(2026, 6, 21), of([6, 21], [6, 30], 2026, 2));
        assert_eq!(by(2026, 10, 1), of([9, 21], [9, 30], 2026, 3));
        assert_eq!(by(2024, 12, 31), of([12, 22], [12, 31], 2024, 4));
        assert_eq!(by(2024, 4, 1), of([3, 22], [3, 31], 2024, 1));
        // This number stands in states that are kept.
        assert_eq!(by(2026, 3, 31).2, 8105);
        let march = QuarterEnd::by(number(2026, 4, 5));
        let is_of_it = (0..40).filter(|ago| march.of(number(2026, 4, 5) - ago).is_some());
        assert_eq!(is_of_it.collect::<Vec<_>>(), (5..15).collect::<Vec<_>>());
    }
}
