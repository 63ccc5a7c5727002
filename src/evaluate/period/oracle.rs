//! Periods against a slow oracle that counts: it walks the days of a century one by one, and the minutes around a day.

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use proptest::prelude::*;

use super::*;
use crate::catalog::load::{Files, load};
use crate::fold::day::{Day, DayClock};

/// Zones whose clocks change at midnight, by less than an hour, or by a whole day.
const ZONES: [&str; 14] = [
    "UTC",
    "Asia/Shanghai",
    "Europe/London",
    "America/New_York",
    "Africa/Cairo",
    "Asia/Beirut",
    "America/Santiago",
    "America/Havana",
    "Pacific/Apia",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "America/Sao_Paulo",
    "Atlantic/Azores",
    "Asia/Tehran",
];
const KINDS: [PeriodKind; 6] = [
    PeriodKind::Day,
    PeriodKind::Week,
    PeriodKind::Month,
    PeriodKind::Quarter,
    PeriodKind::Half,
    PeriodKind::Year,
];
const MONTHS: [i8; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
const WEEKDAYS: [Weekday; 7] = [
    Weekday::Monday,
    Weekday::Tuesday,
    Weekday::Wednesday,
    Weekday::Thursday,
    Weekday::Friday,
    Weekday::Saturday,
    Weekday::Sunday,
];

fn calendar() -> impl Strategy<Value = Calendar> {
    let fiscal = (1..=12i8).prop_flat_map(|month| (Just(month), 1..=MONTHS[month as usize - 1]));
    // Every third business counts from January.
    let fiscal = prop_oneof![Just((1, 1)), fiscal.clone(), fiscal];
    (
        prop::sample::select(&ZONES[..]),
        fiscal,
        prop::sample::select(&WEEKDAYS[..]),
    )
        .prop_map(|(zone, fiscal_year_starts, week_starts)| {
            let yaml = "sources: {s: {topics: [t], format: json, fields: {}}}\n";
            let catalog = load(&Files::new("", [("a.yaml", yaml)]))
                .map_err(|d| d.to_string())
                .unwrap();
            Calendar {
                timezone: TimeZone::get(zone).unwrap(),
                fiscal_year_starts,
                week_starts,
                ..catalog.calendar
            }
        })
}

/// Whether a period of a kind begins on a day, by looking at the day alone.
fn begins(kind: PeriodKind, day: Date, calendar: &Calendar) -> bool {
    let (month, first) = calendar.fiscal_year_starts;
    let is_first_of = |every: i8| {
        let is_month = (day.month() - month).rem_euclid(every) == 0;
        // The declared day, or the last of a month that is too short for it.
        let is_last = day.tomorrow().unwrap().day() == 1;
        is_month && (day.day() == first || (is_last && day.day() < first))
    };
    match kind {
        PeriodKind::Day => true,
        PeriodKind::Week => day.weekday() == calendar.week_starts,
        PeriodKind::Month => day.day() == 1,
        PeriodKind::Quarter => is_first_of(3),
        PeriodKind::Half => is_first_of(6),
        PeriodKind::Year => is_first_of(12),
        PeriodKind::Every { days, from } => {
            (Day::of(day).0 - Day::of(from).0).rem_euclid(i32::from(days)) == 0
        }
    }
}

proptest! {
    /// The period of a day begins on the last day before it on which one begins, and ends on the first after it.
    #[test]
    fn bounds_are_what_counting_days_finds(
        calendar in calendar(),
        day in 0..36_500i32,
        every in (1..400u16, -1000..40_000i32),
    ) {
        let day = Day(day).date();
        let every = PeriodKind::Every { days: every.0, from: Day(every.1).date() };
        for kind in KINDS.into_iter().chain([every]) {
            let period = Period::containing(kind, day, &calendar);
            let mut start = day;
            while !begins(kind, start, &calendar) {
                start = start.yesterday().unwrap();
            }
            let mut end = day.tomorrow().unwrap();
            while !begins(kind, end, &calendar) {
                end = end.tomorrow().unwrap();
            }
            prop_assert_eq!((period.start, period.end), (start, end), "{:?} of {}", kind, day);
        }
    }

    /// Names tell periods of a kind apart, and lead back to them.
    #[test]
    fn every_period_has_a_name_of_its_own(calendar in calendar(), day in 0..36_500i32) {
        for kind in KINDS {
            let period = Period::containing(kind, Day(day).date(), &calendar);
            let next = Period::containing(kind, period.end, &calendar);
            prop_assert!(period.id(&calendar) < next.id(&calendar), "{:?}", kind);
            prop_assert_eq!(Period::named(&period.id(&calendar), &calendar), Some(period));
        }
    }

    /// The same part of another year is the same part: there and back again is where one was.
    #[test]
    fn a_part_of_another_year_leads_back(calendar in calendar(), day in 0..36_500i32, years in -5..5i32) {
        for kind in [PeriodKind::Month, PeriodKind::Quarter, PeriodKind::Half, PeriodKind::Year] {
            let period = Period::containing(kind, Day(day).date(), &calendar);
            let other = period.shifted(years, &calendar);
            prop_assert_eq!(other.shifted(-years, &calendar), period, "{:?}", kind);
            let gone = i32::from(other.fiscal_year(&calendar)) - i32::from(period.fiscal_year(&calendar));
            prop_assert_eq!(gone, years);
        }
    }

    /// A moment is in exactly the local day that its zone's clock shows, whatever the clock does around midnight, and the
    /// clock that remembers the last day finds the same one.
    #[test]
    fn a_moment_is_in_the_day_that_the_clock_shows(
        calendar in calendar(),
        // 1990 to 2040, in minutes.
        minutes in prop::collection::vec(10_519_200..36_816_480i64, 1..20),
        steps in prop::collection::vec(-2000..2000i64, 20),
    ) {
        let mut clock = DayClock::new(calendar.clone());
        for (minute, step) in minutes.into_iter().flat_map(|minute| steps.iter().map(move |step| (minute, step))) {
            let at = Timestamp::from_second((minute + step) * 60).unwrap();
            let shown = at.to_zoned_datetime(calendar.timezone.clone()).date();
            prop_assert_eq!(clock.day_of(at.as_millisecond()).date(), shown, "{}", at);
            let (start, end) = (calendar.start_of(shown), calendar.start_of(shown.tomorrow().unwrap()));
            prop_assert!(start <= at && at < end, "{} is not from {} to {}", at, start, end);
        }
    }

    /// Days follow on each other without a gap, also those whose midnight a clock change swallows.
    #[test]
    fn a_day_begins_when_the_one_before_ends(calendar in calendar(), day in 7_300..25_500i32) {
        let day = Day(day).date();
        let start = calendar.start_of(day);
        let before = start - SignedDuration::from_secs(1);
        let shown = |at: Timestamp| at.to_zoned_datetime(calendar.timezone.clone()).date();
        prop_assert!(shown(before) < day, "{}", day);
        // Samoa never had 2011-12-30: that day begins and ends with the moment at which the next one begins.
        let is_missing = calendar.start_of(day.saturating_add(1.day())) == start;
        prop_assert!(shown(start) == day || is_missing, "{}", day);
        if is_missing {
            prop_assert_eq!(day.to_string(), "2011-12-30");
        }
    }
}

/// The changes that a zone made at midnight, one by one: random days rarely meet them.
#[test]
fn the_days_of_clock_changes_at_midnight() {
    for (zone, day, hours) in [
        ("Africa/Cairo", "2023-04-28", 23),
        ("Asia/Beirut", "2024-03-31", 23),
        ("America/Santiago", "2024-09-08", 23),
        ("America/Havana", "2024-11-03", 25),
        ("America/Santiago", "2024-04-06", 25),
        ("Pacific/Apia", "2011-12-29", 24),
        ("Pacific/Apia", "2011-12-30", 0),
        ("Pacific/Apia", "2011-12-31", 24),
    ] {
        let zone_of = TimeZone::get(zone).unwrap();
        let yaml = format!(
            "calendar: {{timezone: {zone}}}\nsources: {{s: {{topics: [t], format: json, fields: {{}}}}}}\n"
        );
        let catalog = load(&Files::new("", [("a.yaml", yaml.as_str())])).map_err(|d| d.to_string());
        let calendar = catalog.unwrap().calendar;
        let day: Date = day.parse().unwrap();
        let (start, end) = (calendar.start_of(day), calendar.start_of(day.tomorrow().unwrap()));
        assert_eq!(end.duration_since(start).as_hours(), hours, "{zone} {day}");
        // Every minute of it is its own.
        let mut clock = DayClock::new(calendar);
        let mut at = start;
        while at < end {
            assert_eq!(at.to_zoned_datetime(zone_of.clone()).date(), day, "{zone} {at}");
            assert_eq!(clock.day_of(at.as_millisecond()).date(), day, "{zone} {at}");
            at += SignedDuration::from_mins(1);
        }
    }
}
