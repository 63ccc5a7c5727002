//! Surges of a source: more events in an hour than in any hour of the last four weeks. A load that was repeated, a producer in
//! a loop, or a rush of customers: which of them nobody but people can say.
//!
//! Only hours count that were watched as a whole: after a break older events come in a rush that says nothing.

use std::collections::VecDeque;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::fold::day::Day;

const SLOT_S: i64 = 300;
/// Slots that make up an hour.
const HOUR: usize = 12;
/// Days that are looked back at, and that must have been seen before anything is said.
const DAYS: usize = 28;
/// Of fewer events in an hour nothing is said.
const LEAST: u64 = 100;

/// Events of a source, slot by slot of five minutes, and the busiest hour of each day.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Surge {
    /// The busiest hour of each of the latest days, oldest first, without today.
    busiest: VecDeque<u64>,
    /// Today, and its busiest hour so far.
    today: Option<(i32, u64)>,
    #[serde(skip)]
    slot: Option<(i64, u64, bool)>,
    /// The latest slots, without a break.
    #[serde(skip)]
    hour: VecDeque<u64>,
}

/// What is said of the last hour.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize)]
pub struct Rush {
    /// Events in it.
    pub events: u64,
    /// Those of the busiest hour of the four weeks before; 0 where that is not known.
    pub busiest: u64,
}

impl Rush {
    /// How many times as many as in that hour; 0 where that is not known, or where there are few.
    pub fn ratio(self) -> f64 {
        if self.busiest == 0 || self.events < LEAST {
            return 0.0;
        }
        self.events as f64 / self.busiest as f64
    }
}

impl Surge {
    /// Takes in events that came since the last look; `watched`: nothing came that had waited. `is_unusual`: on such a day a
    /// rush is expected, and says nothing of other days. True where a slot was closed.
    pub fn look(
        &mut self,
        (now, timezone): (Timestamp, &TimeZone),
        events: u64,
        watched: bool,
        is_unusual: impl Fn(Day) -> bool,
    ) -> bool {
        let number = now.as_second().div_euclid(SLOT_S);
        match &mut self.slot {
            Some((slot, count, whole)) if *slot == number => {
                *count += events;
                *whole &= watched;
                false
            }
            slot => {
                let closed = slot.replace((number, events, watched));
                let Some((before, count, whole)) = closed else {
                    return false;
                };
                self.close(
                    before,
                    count,
                    whole && watched && before + 1 == number,
                    timezone,
                    is_unusual,
                );
                true
            }
        }
    }

    fn close(
        &mut self,
        slot: i64,
        count: u64,
        is_whole: bool,
        timezone: &TimeZone,
        is_unusual: impl Fn(Day) -> bool,
    ) {
        let began = Timestamp::UNIX_EPOCH.saturating_add(SignedDuration::from_secs(slot * SLOT_S));
        let day = Day::of(
            timezone
                .to_datetime(began.unwrap_or(Timestamp::UNIX_EPOCH))
                .date(),
        );
        if !is_whole || is_unusual(day) {
            self.hour.clear();
            return;
        }
        if let Some((_, busiest)) = self.today.take_if(|(today, _)| *today != day.0) {
            self.busiest.push_back(busiest);
            if self.busiest.len() > DAYS {
                self.busiest.pop_front();
            }
        }
        self.hour.push_back(count);
        if self.hour.len() > HOUR {
            self.hour.pop_front();
        }
        let (_, busiest) = self.today.get_or_insert((day.0, 0));
        if self.hour.len() == HOUR {
            *busiest = (*busiest).max(self.hour.iter().sum());
        }
    }

    /// What is said of the last hour.
    pub fn rush(&self) -> Rush {
        let is_known = self.busiest.len() == DAYS && self.hour.len() == HOUR;
        Rush {
            events: self.hour.iter().sum(),
            busiest: if is_known {
                self.busiest.iter().copied().max().unwrap_or(0)
            } else {
                0
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks once a minute over so many minutes at a source that brings `events` of a minute since the start.
    struct Watched(Surge, i64);

    impl Watched {
        fn minutes(&mut self, minutes: i64, watched: bool, events: impl Fn(i64) -> u64) -> Vec<Rush> {
            let start: Timestamp = "2026-03-02T00:00:00Z".parse().unwrap();
            let looks = (0..minutes).map(|_| {
                let now = start + SignedDuration::from_mins(self.1);
                let unusual = |day: Day| day.date().day() == 29;
                self.0
                    .look((now, &TimeZone::UTC), events(self.1), watched, unusual);
                self.1 += 1;
                self.0.rush()
            });
            looks.collect()
        }
    }

    const DAY: i64 = 24 * 60;

    #[test]
    fn an_hour_that_brings_several_times_as_much_as_any_of_four_weeks_is_a_surge() {
        let mut watched = Watched(Surge::default(), 0);
        // From 6 to 20 events a minute; 1,140 in the busiest hour.
        let usual = |minute: i64| 6 + u64::try_from(minute % DAY / 100).unwrap();
        let learning = watched.minutes(28 * DAY, true, usual);
        assert!(learning.iter().all(|rush| rush.ratio() == 0.0));
        watched.minutes(2 * DAY, true, usual);
        let quiet = watched.minutes(12 * 60, true, usual);
        assert!(quiet.iter().all(|rush| rush.ratio() <= 1.0));
        assert_eq!(quiet.last().unwrap().busiest, 1_180);
        let surge = watched.minutes(2 * 60, true, |minute| usual(minute) * 6);
        let first = surge.iter().position(|rush| rush.ratio() >= 3.0).unwrap();
        assert!((30..=70).contains(&first), "{first}");
        // Over when the hour is, and what was seen of it is what is compared with from the next day on.
        let after = watched.minutes(DAY, true, usual);
        assert!(after[61].ratio() < 1.0);
        assert!(after.last().unwrap().busiest > 4_000);
    }

    #[test]
    fn what_comes_after_a_break_and_on_special_days_says_nothing() {
        let mut watched = Watched(Surge::default(), 0);
        watched.minutes(30 * DAY, true, |_| 10);
        let kept = serde_json::to_string(&watched.0).unwrap();
        let again: Surge = serde_json::from_str(&kept).unwrap();
        assert_eq!(again.rush().busiest, 0, "an hour is to be seen first");
        let usual = watched.minutes(60, true, |_| 10);
        assert_eq!(usual.last().unwrap().busiest, 600);
        // Hours that waited come at once.
        let rush = watched.minutes(10, false, |_| 5_000);
        assert!(rush.iter().all(|rush| rush.ratio() < 3.0), "{rush:?}");
        let after = watched.minutes(120, true, |_| 10);
        assert!(after.iter().all(|rush| rush.ratio() <= 1.0));
    }

    #[test]
    fn few_events_are_no_surge() {
        let mut watched = Watched(Surge::default(), 0);
        watched.minutes(30 * DAY, true, |minute| u64::from(minute % 60 == 0));
        let rush = watched.minutes(60, true, |_| 1);
        assert!(rush.iter().all(|rush| rush.ratio() == 0.0));
    }
}
