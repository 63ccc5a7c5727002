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
            PeriodKind::Quarter => self.part_bounds(day, 3),
            PeriodKind::Half => self.part_bounds(day, 6),
            PeriodKind::Year => self.part_bounds(day, 12),
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
        let (start, end) = self.part_bounds(day, months);
        let (_, part) = self.part_of_year(day, months);
        (i8::try_from(part + 1).unwrap_or(1), start, end)
    }

    /// The fiscal year that holds a day, named by the year in which it begins.
    pub fn fiscal_year(&self, day: Date) -> i16 {
        self.part_of_year(day, 12).0
    }

    /// The fiscal year that holds a day, and which of its parts of so many months does: the first is 0.
    pub fn part_of_year(&self, day: Date, months: i32) -> (i16, i32) {
        let year = match day.year() {
            year if day >= self.nth_month(year, 0) => year,
            year => year - 1,
        };
        let later = (1..12 / months).take_while(|part| day >= self.nth_month(year, part * months));
        (year, later.last().unwrap_or(0))
    }

    fn part_bounds(&self, day: Date, months: i32) -> (Date, Date) {
        let (year, part) = self.part_of_year(day, months);
        (
            self.nth_month(year, part * months),
            self.nth_month(year, (part + 1) * months),
        )
    }

    /// The first day of a month of a fiscal year, the first month is 0. Each is reckoned from the declared day, not from
    /// the one before it: what begins on the 31st begins on the last day of a shorter month, and on the 31st again after.
    fn nth_month(&self, year: i16, month: i32) -> Date {
        let (first_month, day) = self.fiscal_year_starts;
        let january = Date::new(year, 1, 1).unwrap_or(Date::MIN);
        let month = january.saturating_add((i32::from(first_month) - 1 + month).months());
        month
            .with()
            .day(day.min(month.days_in_month()))
            .build()
            .unwrap_or(month)
    }
}
