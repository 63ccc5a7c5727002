//! Periods: half-open stretches of local days, `[start, end)`.

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};

use super::snapshot::Period;
use crate::catalog::{Calendar, PeriodKind};

impl Period {
    /// The period of a kind that holds a day.
    pub fn containing(kind: PeriodKind, day: Date, calendar: &Calendar) -> Period {
        let (start, end) = calendar.bounds(kind, day);
        Period { kind, start, end }
    }

    /// The period of the same kind that ends where this one begins; `None` at the beginning of time.
    pub fn before(&self, calendar: &Calendar) -> Option<Period> {
        let last = self.start.yesterday().ok()?;
        Some(Period::containing(self.kind, last, calendar))
    }

    /// Whether a day is one of its days.
    pub fn holds(&self, day: Date) -> bool {
        (self.start..self.end).contains(&day)
    }

    /// The same period of another year: as many years later as `years` says. Where periods do not begin on the same day
    /// every year, as weeks do not, the one that holds the same middle day.
    pub fn shifted(&self, years: i32, calendar: &Calendar) -> Period {
        Period::containing(self.kind, self.middle().saturating_add(years.years()), calendar)
    }

    /// The fiscal year it counts to: the one of its middle day, as ISO 8601 counts weeks.
    pub fn fiscal_year(&self, calendar: &Calendar) -> i16 {
        calendar.fiscal_year(self.middle())
    }

    fn middle(&self) -> Date {
        let days = self.start.until(self.end).map_or(1, |span| span.get_days());
        self.start.saturating_add((days / 2).days())
    }

    /// Its name: `2026-06-03`, `2026-W23`, `2026-06`, `2026-Q2`, `2026-H1`, `2026`. Fiscal years that do not begin in
    /// January are named by the year in which they begin: `FY2026`, `FY2026-Q1`.
    pub fn id(&self, calendar: &Calendar) -> String {
        let start = self.start;
        let fiscal = if calendar.fiscal_year_starts == (1, 1) {
            ""
        } else {
            "FY"
        };
        let part = |letter: char, months: i32| {
            let (year, part) = calendar.part_of_year(start, months);
            format!("{fiscal}{year:04}-{letter}{}", part + 1)
        };
        match self.kind {
            PeriodKind::Day | PeriodKind::Every { .. } => start.to_string(),
            // A week is named by its Thursday's year, as ISO 8601 does, on whatever day weeks begin.
            PeriodKind::Week => {
                let week = start.saturating_add(3.days()).iso_week_date();
                format!("{:04}-W{:02}", week.year(), week.week())
            }
            PeriodKind::Month => start.strftime("%Y-%m").to_string(),
            PeriodKind::Quarter => part('Q', 3),
            PeriodKind::Half => part('H', 6),
            PeriodKind::Year => format!("{fiscal}{:04}", calendar.fiscal_year(start)),
        }
    }

    /// The period of a name that [`Period::id`] gives; `None` for no such name.
    pub fn named(text: &str, calendar: &Calendar) -> Option<Period> {
        let year: i16 = text.trim_start_matches("FY").get(..4)?.parse().ok()?;
        let first = Date::new(year, 1, 1).ok()?.saturating_sub(7.days());
        // A fiscal year may begin in December: its last day is nearly two years on. Names are found by making them.
        let days = std::iter::successors(Some(first), |day| day.tomorrow().ok()).take(2 * 366 + 14);
        let kinds = [
            PeriodKind::Year,
            PeriodKind::Half,
            PeriodKind::Quarter,
            PeriodKind::Month,
            PeriodKind::Week,
            PeriodKind::Day,
        ];
        days.flat_map(|day| kinds.map(|kind| Period::containing(kind, day, calendar)))
            .find(|period| period.id(calendar) == text)
    }

    /// Its first moment.
    pub fn starts_at(&self, calendar: &Calendar) -> Timestamp {
        calendar.start_of(self.start)
    }

    /// The moment after its last one.
    pub fn ends_at(&self, calendar: &Calendar) -> Timestamp {
        calendar.start_of(self.end)
    }
}

#[cfg(test)]
mod oracle;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::load::{Files, load};
    use jiff::civil::date;

    fn calendar(text: &str) -> Calendar {
        let yaml =
            format!("calendar: {{{text}}}\nsources: {{s: {{topics: [t], format: json, fields: {{}}}}}}\n");
        load(&Files::new("", [("a.yaml", yaml.as_str())]))
            .map_err(|d| d.to_string())
            .unwrap()
            .calendar
    }

    #[test]
    fn periods_hold_their_days_and_have_names() {
        use PeriodKind::*;
        let plain = "timezone: Asia/Shanghai";
        let april = "timezone: Europe/London, fiscal_year_starts: 04-06, week_starts: sunday";
        for (settings, kind, day, start, end, id) in [
            (plain, Day, "2026-06-03", "2026-06-03", "2026-06-04", "2026-06-03"),
            (plain, Week, "2026-06-03", "2026-06-01", "2026-06-08", "2026-W23"),
            (plain, Week, "2027-01-01", "2026-12-28", "2027-01-04", "2026-W53"),
            (april, Week, "2026-06-03", "2026-05-31", "2026-06-07", "2026-W23"),
            (plain, Month, "2026-02-28", "2026-02-01", "2026-03-01", "2026-02"),
            (
                plain,
                Quarter,
                "2026-12-31",
                "2026-10-01",
                "2027-01-01",
                "2026-Q4",
            ),
            (plain, Half, "2026-06-30", "2026-01-01", "2026-07-01", "2026-H1"),
            (plain, Year, "2026-06-30", "2026-01-01", "2027-01-01", "2026"),
            (april, Year, "2026-04-05", "2025-04-06", "2026-04-06", "FY2025"),
            (
                april,
                Quarter,
                "2026-04-06",
                "2026-04-06",
                "2026-07-06",
                "FY2026-Q1",
            ),
            (
                april,
                Quarter,
                "2026-04-05",
                "2026-01-06",
                "2026-04-06",
                "FY2025-Q4",
            ),
            (
                plain,
                Every {
                    days: 10,
                    from: date(2026, 1, 1),
                },
                "2026-01-20",
                "2026-01-11",
                "2026-01-21",
                "2026-01-11",
            ),
            (
                plain,
                Every {
                    days: 10,
                    from: date(2026, 1, 1),
                },
                "2025-12-31",
                "2025-12-22",
                "2026-01-01",
                "2025-12-22",
            ),
        ] {
            let calendar = calendar(settings);
            let period = Period::containing(kind, day.parse().unwrap(), &calendar);
            let found = (
                period.start.to_string(),
                period.end.to_string(),
                period.id(&calendar),
            );
            assert_eq!(
                found,
                (start.to_owned(), end.to_owned(), id.to_owned()),
                "{kind:?} {day}"
            );
        }
    }

    /// Quarters that begin on the 31st begin on the last day of a shorter month, and still have four names a year.
    #[test]
    fn parts_of_a_year_that_begins_on_the_31st() {
        let calendar = calendar("fiscal_year_starts: 08-31");
        let quarters = |year: i16| {
            (1..=4).map(move |n| {
                let period = Period::named(&format!("FY{year}-Q{n}"), &calendar).unwrap();
                period.start.to_string()
            })
        };
        let expected = ["2026-08-31", "2026-11-30", "2027-02-28", "2027-05-31"];
        assert!(quarters(2026).eq(expected));
    }

    /// The week that begins in December is the first of its year, and the quarter that begins in January the last of its.
    #[test]
    fn a_growth_target_over_a_year_looks_at_the_same_part_of_that_fiscal_year() {
        for (settings, kind, day, year, before) in [
            ("", PeriodKind::Week, "2025-12-30", 2026, "2025-W01"),
            ("", PeriodKind::Month, "2026-02-10", 2026, "2025-02"),
            (
                "fiscal_year_starts: 04-01",
                PeriodKind::Quarter,
                "2027-02-01",
                2026,
                "FY2025-Q4",
            ),
            (
                "fiscal_year_starts: 04-01",
                PeriodKind::Month,
                "2027-02-01",
                2026,
                "2026-02",
            ),
            (
                "fiscal_year_starts: 08-31",
                PeriodKind::Quarter,
                "2027-03-01",
                2026,
                "FY2025-Q3",
            ),
        ] {
            let calendar = calendar(settings);
            let period = Period::containing(kind, day.parse().unwrap(), &calendar);
            assert_eq!(period.fiscal_year(&calendar), year, "{settings} {day}");
            assert_eq!(
                period.shifted(-1, &calendar).id(&calendar),
                before,
                "{settings} {day}"
            );
        }
    }

    #[test]
    fn a_day_of_a_clock_change_has_23_hours() {
        let calendar = calendar("timezone: Europe/Berlin");
        let period = Period::containing(PeriodKind::Day, "2026-03-29".parse().unwrap(), &calendar);
        let hours = period
            .ends_at(&calendar)
            .duration_since(period.starts_at(&calendar))
            .as_hours();
        assert_eq!(hours, 23);
    }
}
