//! The calendar's periods: half-open stretches of local days.

use jiff::ToSpan;
use jiff::civil::Date;

use super::model::{Calendar, PeriodKind};

impl Calendar {
    /// First day of the period of a kind that holds a day, and the day after its last one.
    pub fn bounds(&self, kind: PeriodKind, day: Date) -> (Date, Date) {
        match kind {
            PeriodKind::Day => (day, day.saturating_add(1.day())),
            PeriodKind::Week => {
                let past = day.weekday().since(self.week_starts);
                let start = day.saturating_sub(i64::from(past).days());
                (start, start.saturating_add(7.days()))
            }
            PeriodKind::Month => (
                day.first_of_month(),
                day.first_of_month().saturating_add(1.month()),
            ),
            PeriodKind::Quarter => self.part_of_year(day, 3),
            PeriodKind::Half => self.part_of_year(day, 6),
            PeriodKind::Year => self.part_of_year(day, 12),
            PeriodKind::Every { days, from } => {
                let days = i32::from(days.max(1));
                let past = from.until(day).map_or(0, |span| span.get_days()).rem_euclid(days);
                let start = day.saturating_sub(past.days());
                (start, start.saturating_add(days.days()))
            }
        }
    }

    /// The month of the fiscal year that holds a day: its number, 1 to 12, its first day and the day after its last one.
    /// Where the fiscal year begins within a month of the calendar, so do its months.
    pub fn fiscal_month(&self, day: Date) -> (i8, Date, Date) {
        self.numbered_part(day, 1)
    }

    /// The quarter of the fiscal year that holds a day: its number, 1 to 4, its first day and the day after its last one.
    pub fn fiscal_quarter(&self, day: Date) -> (i8, Date, Date) {
        self.numbered_part(day, 3)
    }

    fn numbered_part(&self, day: Date, months: i32) -> (i8, Date, Date) {
        let (start, end) = self.part_of_year(day, months);
        let (year, _) = self.part_of_year(day, 12);
        let past = 12 * (i32::from(start.year()) - i32::from(year.year())) + i32::from(start.month())
            - i32::from(year.month());
        (i8::try_from(past / months + 1).unwrap_or(1), start, end)
    }

    /// The part of `months` months of the fiscal year that holds a day.
    fn part_of_year(&self, day: Date, months: i32) -> (Date, Date) {
        let (month, first) = self.fiscal_year_starts;
        let this_year = Date::new(day.year(), month, first).unwrap_or(day);
        let year = if day >= this_year {
            this_year
        } else {
            this_year.saturating_sub(1.year())
        };
        let mut start = year;
        let mut n = 0;
        loop {
            n += months;
            let end = year.saturating_add(n.months());
            if day < end || n >= 12 {
                return (start, end);
            }
            start = end;
        }
    }
}
