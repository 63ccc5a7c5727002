//! Feeds of every kind, look by look, over months.

use jiff::civil::{Date, date};

use super::*;
use crate::catalog::load::{Files, load};

/// Seconds between two looks.
const STEP: i64 = 60;
const DAY: i64 = 86_400;

/// 2026-03-02, a Monday, at midnight.
fn start() -> Timestamp {
    "2026-03-02T00:00:00Z".parse().unwrap()
}

fn source(says: &str) -> Source {
    let yaml = format!("sources:\n  s: {{topics: [t], format: json, fields: {{}}{says}}}\n");
    let catalog = load(&Files::new("", [("a.yaml", yaml.as_str())]));
    catalog.map_err(|d| d.to_string()).unwrap().sources.remove(0)
}

/// A source under watch.
struct Watched {
    source: Source,
    silence: Silence,
    now: Timestamp,
    holidays: Vec<Date>,
}

impl Watched {
    fn new(says: &str) -> Watched {
        Watched {
            source: source(says),
            silence: Silence::default(),
            now: start(),
            holidays: Vec::new(),
        }
    }

    /// One look, `STEP` seconds after the last.
    fn look(&mut self, heard: bool, could_hear: bool) -> Silent {
        self.now += SignedDuration::from_secs(STEP);
        let look = Look {
            now: self.now,
            heard,
            could_hear,
            at_end: could_hear,
            every: SignedDuration::from_secs(1),
            timezone: &TimeZone::UTC,
        };
        let holidays = &self.holidays;
        self.silence
            .look(&self.source, look, |day| holidays.contains(&day.date()));
        self.silence.silent(&self.source)
    }

    /// Looks over so many days at a feed that brings something at a second since the start, if `is_heard` says so; returns the
    /// seconds since the start at which it was found stale.
    fn days(&mut self, days: i64, mut is_heard: impl FnMut(i64) -> bool) -> Vec<i64> {
        let mut stale = Vec::new();
        let mut was = false;
        for _ in 0..days * DAY / STEP {
            let at = self.now.duration_since(start()).as_secs();
            let is = self.look(is_heard(at), true).freshness == Freshness::Stale;
            if is && !was {
                stale.push(at + STEP);
            }
            was = is;
        }
        stale
    }

    /// As after a restart, with what the state keeps.
    fn restart(&mut self) {
        let kept = serde_json::to_string(&self.silence).unwrap();
        self.silence = serde_json::from_str(&kept).unwrap();
    }
}

/// Deterministic numbers from 0 to 1.
fn chance(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed;
    move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// From eight to ten in the evening on each day.
fn is_open(at: i64) -> bool {
    (8 * 3600..22 * 3600).contains(&at.rem_euclid(DAY))
}

#[test]
fn what_the_catalogue_expects_is_late_and_then_stale() {
    let mut watched = Watched::new(", expected_interval: 10m");
    watched.look(true, true);
    let mut seen = Vec::new();
    for minute in 1..=40 {
        seen.push((minute, watched.look(false, true).freshness));
    }
    let first = |freshness| seen.iter().find(|(_, is)| *is == freshness).unwrap().0;
    assert_eq!((first(Freshness::Late), first(Freshness::Stale)), (11, 30));
    let silent = watched.silence.silent(&watched.source);
    assert_eq!(silent.lasted, SignedDuration::from_mins(40));
    assert_eq!(silent.since, Some(start() + SignedDuration::from_secs(STEP)));
    assert_eq!(silent.expected, Some(SignedDuration::from_mins(10)));
    // The first event ends it.
    assert_eq!(watched.look(true, true).freshness, Freshness::Live);
    assert_eq!(watched.look(true, true).share, 0.0);
}

#[test]
fn five_minutes_are_never_too_long_and_the_catalogue_may_say_more() {
    let stale_after = |says: &str| source(says).stale_after().map(|after| after.as_secs());
    assert_eq!(stale_after(", expected_interval: 5s"), Some(300));
    assert_eq!(stale_after(", expected_interval: 5s, stale_after: 20s"), Some(20));
    assert_eq!(stale_after(", stale_after: 2h"), Some(7200));
    assert_eq!(stale_after(""), None);
    assert_eq!(stale_after(", expected_interval: never"), None);
}

#[test]
fn nothing_that_ever_came_is_stale_too_where_something_is_expected() {
    let mut watched = Watched::new(", expected_interval: 1m");
    let stale = watched.days(1, |_| false);
    // The first look tells when the clock begins.
    assert_eq!(stale, [6 * STEP]);
    assert_eq!(watched.silence.silent(&watched.source).since, None);
    assert!(
        Watched::new(", expected_interval: never")
            .days(60, |at| at < 40 * DAY && is_open(at))
            .is_empty()
    );
}

#[test]
fn time_in_which_nothing_could_be_heard_does_not_count() {
    let mut watched = Watched::new(", expected_interval: 10m");
    watched.look(true, true);
    for _ in 0..20 {
        watched.look(false, true);
    }
    for _ in 0..500 {
        assert_eq!(watched.look(false, false).freshness, Freshness::Late);
    }
    // Nor do a restart and the time until it was over.
    watched.restart();
    watched.now += SignedDuration::from_hours(7);
    let mut minutes = 0;
    while watched.look(false, true).freshness != Freshness::Stale {
        minutes += 1;
    }
    // 20 of 30 minutes had passed; of two looks after a pause the first only tells the time.
    assert_eq!(minutes, 10);
}

#[test]
fn a_stale_source_is_back_when_what_waited_is_read() {
    let mut watched = Watched::new(", stale_after: 10m");
    watched.look(true, true);
    for _ in 0..11 {
        watched.look(false, true);
    }
    assert_eq!(
        watched.silence.silent(&watched.source).freshness,
        Freshness::Stale
    );
    // Others wait behind the first one, for a look and over a restart.
    let behind = |watched: &mut Watched, heard| {
        watched.now += SignedDuration::from_secs(STEP);
        let look = Look {
            now: watched.now,
            heard,
            could_hear: true,
            at_end: false,
            every: SignedDuration::from_secs(1),
            timezone: &TimeZone::UTC,
        };
        let is_new = watched.silence.look(&watched.source, look, |_| false);
        assert!(is_new || !heard, "that it is on its way back is written");
        watched.silence.silent(&watched.source).freshness
    };
    assert_eq!(behind(&mut watched, true), Freshness::Stale);
    watched.restart();
    assert_eq!(behind(&mut watched, false), Freshness::Stale);
    assert_eq!(watched.look(false, true).freshness, Freshness::Live);
    let back = watched.silence.silent(&watched.source).back.unwrap();
    let first = start() + SignedDuration::from_secs(STEP);
    assert_eq!((back.at, back.silent_from), (watched.now, Some(first)));
}

#[test]
fn a_busy_feed_that_sleeps_at_night_is_missed_within_half_an_hour_by_day_and_in_the_morning() {
    let weeks = 6;
    for (died, found_by) in [
        // In the middle of a working day.
        (weeks * 7 * DAY + 11 * 3600, 11 * 3600 + 1800),
        // Just before closing: nobody knows until the next morning.
        (weeks * 7 * DAY + 21 * 3600 + 3500, 34 * 3600),
    ] {
        let mut watched = Watched::new("");
        assert!(
            watched.days(weeks * 7, is_open).is_empty(),
            "it sleeps every night"
        );
        let stale = watched.days(2, |at| is_open(at) && at < died);
        let found = stale.first().map(|at| at - weeks * 7 * DAY);
        assert!(
            found.is_some_and(|found| found <= found_by),
            "died {died}, found {found:?}"
        );
    }
}

#[test]
fn nothing_is_said_in_the_first_weeks() {
    let mut watched = Watched::new("");
    assert!(watched.days(28, |at| is_open(at) && at < 20 * DAY).is_empty());
}

#[test]
fn on_holidays_silence_says_nothing_and_teaches_nothing() {
    let mut watched = Watched::new("");
    let holidays = [date(2026, 4, 13), date(2026, 4, 14), date(2026, 4, 15)];
    watched.holidays = holidays.to_vec();
    let is_holiday = |at: i64| (42..45).contains(&(at / DAY));
    assert!(watched.days(60, |at| is_open(at) && !is_holiday(at)).is_empty());
    // The days are as told apart as before them.
    let died = 60 * DAY + 11 * 3600;
    let stale = watched.days(1, |at| is_open(at) && at < died);
    assert!(stale.first().is_some_and(|at| *at <= died + 3600), "{stale:?}");
}

#[test]
fn chance_does_not_raise_it_in_feeds_of_any_rate() {
    // Events an hour; at night a tenth of it.
    for (seed, rate) in (1..).zip([1.0, 12.0, 60.0, 600.0]) {
        let mut next = chance(seed);
        let mut watched = Watched::new("");
        let stale = watched.days(365, |at| {
            let rate = if is_open(at) { rate } else { rate / 10.0 };
            next() < 1.0 - (-rate * STEP as f64 / 3600.0).exp()
        });
        assert!(stale.is_empty(), "{rate} an hour: {stale:?}");
    }
}

#[test]
fn nor_do_batches_and_a_restart_in_between_changes_nothing() {
    let mut next = chance(7);
    let batch = |at: i64, next: &mut dyn FnMut() -> f64| {
        // A batch of two to six minutes about every twenty.
        at.rem_euclid(1200) < 120 + (next() * 240.0) as i64
    };
    let mut watched = Watched::new("");
    let mut stale = watched.days(100, |at| batch(at, &mut next));
    watched.restart();
    stale.extend(watched.days(100, |at| batch(at, &mut next)));
    assert!(stale.is_empty(), "{stale:?}");
    let died = 200 * DAY;
    let found = watched.days(1, |_| false);
    assert!(
        found.first().is_some_and(|at| *at <= died + 4 * 3600),
        "{found:?}"
    );
}
