//! Feeds of nodes that no link watches: whether anything still comes, and in the same unit. What a link says of its two
//! sides is said here of a node by itself.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::arrivals::{Arrivals, by_age};
use super::date;
use super::health::{Liveness, Units};
use super::link::{Days, Special, Tuning, weekday};
use crate::evaluate::outlook::Awaited;
use crate::evaluate::snapshot::{FeedState, LATEST_DAYS};

/// What is usual of a feed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Feed {
    first_day: i32,
    closed_to: i32,
    /// Values of the latest days as they were known at the last close, by day; NaN for a level without one.
    values: Vec<f64>,
    live: Liveness,
    /// Whether its silence is longer than chance explains.
    is_silent: bool,
    units: Units,
    /// The first day that the definition has seen whole; `None`: all of them.
    pub(super) whole_from: Option<i32>,
    /// How late its data comes.
    #[serde(skip)]
    arrivals: Arrivals,
    #[serde(skip)]
    pub(super) state: Arc<FeedState>,
}

impl Feed {
    /// A feed whose first day this is.
    pub(super) fn new(first_day: i32, whole_from: Option<i32>) -> Feed {
        Feed {
            first_day,
            closed_to: first_day - 1,
            values: vec![0.0; LATEST_DAYS],
            live: Liveness::default(),
            is_silent: false,
            units: Units::default(),
            whole_from,
            arrivals: Arrivals::default(),
            state: Arc::default(),
        }
    }

    /// The last day that was closed.
    pub(super) fn closed_to(&self) -> i32 {
        self.closed_to
    }

    /// Takes in a day close: what each of the latest days brought, as known now, the closed one last, of a total or of a
    /// level, of which 0 is a value as any other. Days that were closed already are not closed again.
    pub(super) fn close(
        &mut self,
        day: i32,
        flow: &[Option<f64>],
        is_level: bool,
        days: &Days,
        tuning: &Tuning,
    ) {
        if day <= self.closed_to {
            return;
        }
        // Days that nobody closed are nobody's values.
        for missed in self.closed_to + 1..=day {
            self.values[at(missed)] = if is_level { f64::NAN } else { 0.0 };
        }
        self.closed_to = day;
        let has_come = self.absorb(day, flow);
        let is_warm = day - self.first_day >= tuning.warmup as i32;
        // On and around holidays nobody need work: silence and small days say nothing there.
        let is_unusual = days.is_unusual(day);
        self.is_silent = (has_come || !is_unusual) && self.live.day(weekday(day), has_come, is_warm, tuning);
        let ratio = |day: i32| {
            Some(self.values[at(day)])
                .filter(|value| *value > 0.0)
                .map(f64::ln)
        };
        if days.special(day) != Some(Special::Workday) {
            self.units.day(day, ratio, is_unusual, is_warm, tuning);
        }
        self.show();
    }

    /// Learns how late data comes of what each of the latest days of a total has brought as a day is about to close.
    pub(super) fn learn_arrivals(&mut self, day: i32, flow: &[Option<f64>]) {
        if day == self.closed_to + 1 && !self.live.is_long() {
            let came = by_age(day, self.first_day, flow, |of_day| self.brought_on(of_day));
            self.arrivals.learn(&came);
        }
    }

    /// What is awaited of the latest days; `None` where everything comes in time.
    pub(super) fn awaited(&self) -> Option<Awaited> {
        let arrived = self.arrivals.usual()?;
        let brought = |day: i32| self.brought_on(day);
        Some(Awaited::of(arrived, self.closed_to, self.first_day, brought))
    }

    /// What a total had brought on a day as of the last close.
    fn brought_on(&self, day: i32) -> f64 {
        let is_kept = (self.closed_to + 1 - LATEST_DAYS as i32..=self.closed_to).contains(&day);
        if is_kept { self.values[at(day)] } else { 0.0 }
    }

    /// Whether anything has arrived since the last close.
    fn absorb(&mut self, day: i32, flow: &[Option<f64>]) -> bool {
        let mut has_come = false;
        for (ago, value) in (0i32..).zip(flow.iter().rev()).take(self.values.len()) {
            let of_day = day - ago;
            if of_day < self.first_day {
                break;
            }
            let known = &mut self.values[at(of_day)];
            if let Some(value) = value.filter(|value| value.is_finite() && value != known) {
                *known = value;
                has_come = true;
            }
        }
        has_come
    }

    fn show(&mut self) {
        let silent_days = if self.is_silent { self.live.days } else { 0 };
        let changed = self.units.changed;
        self.state = Arc::new(FeedState {
            silent_days,
            silent_since: self
                .is_silent
                .then(|| date(self.closed_to + 1 - silent_days as i32))
                .flatten(),
            silent_confidence: self.is_silent.then(|| self.live.confidence()),
            factor: changed.map_or(1.0, |(_, log)| log.exp()),
            changed_since: changed.and_then(|(since, _)| date(since)),
            changed_confidence: changed.map(|_| self.units.confidence()),
        });
    }

    /// How late its data comes, to be kept beside it.
    pub(super) fn arrivals(&self) -> &Arrivals {
        &self.arrivals
    }

    /// Shows what the last close said, after a restart; `None` of a feed that was kept with another number of days.
    pub(super) fn restored(mut self, arrivals: Arrivals) -> Option<Feed> {
        self.arrivals = arrivals;
        self.show();
        (self.values.len() == LATEST_DAYS).then_some(self)
    }
}

fn at(day: i32) -> usize {
    day.rem_euclid(LATEST_DAYS as i32) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2024-01-01, a Monday.
    const FIRST: i32 = 19_723;

    /// What is said at the close of each day of a series, decoded from what is kept every day or never.
    fn closes(values: &[f64], restarts: bool) -> Vec<FeedState> {
        let (days, tuning) = (Days::default(), Tuning::default());
        let mut feed = Feed::new(FIRST, None);
        let closed = (0..values.len()).map(|last| {
            let flow: Vec<Option<f64>> = values[last.saturating_sub(47)..=last]
                .iter()
                .copied()
                .map(Some)
                .collect();
            feed.close(FIRST + last as i32, &flow, false, &days, &tuning);
            if restarts {
                let kept = postcard::to_allocvec(&feed).unwrap();
                feed = postcard::from_bytes::<Feed>(&kept)
                    .unwrap()
                    .restored(Arrivals::default())
                    .unwrap();
            }
            (*feed.state).clone()
        });
        closed.collect()
    }

    /// 1,000 a working day, 200 at weekends, with a wave of a tenth.
    fn usual(day: usize) -> f64 {
        let size = if day % 7 < 5 { 1000.0 } else { 200.0 };
        size * (1.0 + 0.1 * (day as f64 / 5.0).sin())
    }

    #[test]
    fn what_was_kept_with_another_number_of_days_begins_anew() {
        let short = Feed {
            values: vec![0.0; LATEST_DAYS - 1],
            ..Feed::new(FIRST, None)
        };
        assert!(short.restored(Arrivals::default()).is_none());
    }

    #[test]
    fn what_is_as_usual_is_nothing_to_tell() {
        let values: Vec<f64> = (0..400).map(usual).collect();
        assert!(
            closes(&values, false)
                .iter()
                .all(|state| *state == FeedState::default())
        );
    }

    #[test]
    fn cents_in_place_of_yuan_are_told_from_the_second_day_on_and_back_again() {
        let values = (0..200).map(|day| usual(day) * if (150..160).contains(&day) { 100.0 } else { 1.0 });
        let values: Vec<f64> = values.collect();
        let said = closes(&values, false);
        let factor = |day: usize| said[day].factor;
        // One odd day may be one odd order.
        assert_eq!(factor(150), 1.0);
        assert!((80.0..125.0).contains(&factor(151)), "{}", factor(151));
        assert_eq!(said[151].changed_since, date(FIRST + 150));
        assert!(said[151].changed_confidence.unwrap() > 0.999, "{:?}", said[151]);
        assert!((80.0..125.0).contains(&factor(159)));
        // At the latest when most of five days are as usual again.
        assert_eq!(factor(164), 1.0);
    }

    #[test]
    fn a_silence_is_told_when_chance_does_not_explain_it() {
        let values: Vec<f64> = (0..200)
            .map(|day| {
                if (150..170).contains(&day) {
                    0.0
                } else {
                    usual(day)
                }
            })
            .collect();
        let said = closes(&values, false);
        let silent: Vec<usize> = (0..200).filter(|day| said[*day].silent_days > 0).collect();
        // Of a feed that came on each of 150 days a silent day has about 1 in 25 to 50 by what is remembered; three of
        // them have less than 1 in 100,000.
        assert_eq!(silent, (152..170).collect::<Vec<_>>());
        assert_eq!(
            (said[152].silent_days, said[152].silent_since),
            (3, date(FIRST + 150))
        );
        assert_eq!(said[169].silent_days, 20);
        // The rarer by chance, the surer: at 1 in 100,000 it is 99 %.
        let sure = |day: usize| said[day].silent_confidence.unwrap();
        assert!(
            sure(152) >= 0.99 && sure(152) < sure(153) && sure(169) > 0.9999,
            "{}",
            sure(152)
        );
        assert_eq!(said[151].silent_confidence, None);
    }

    #[test]
    fn a_level_that_is_nothing_is_no_silence() {
        let (days, tuning) = (Days::default(), Tuning::default());
        let silent_days = |value: fn(usize) -> Option<f64>| {
            let mut feed = Feed::new(FIRST, None);
            let mut silent = Vec::new();
            for last in 0..200 {
                let flow: Vec<_> = (last.max(47) - 47..=last).map(value).collect();
                feed.close(FIRST + last as i32, &flow, true, &days, &tuning);
                if feed.state.silent_days > 0 {
                    silent.push(last);
                }
            }
            silent
        };
        // A refund rate of 3 %, and of none at all from day 150 on.
        let zero = |day| Some(if day < 150 { 0.03 } else { 0.0 });
        assert_eq!(silent_days(zero), Vec::<usize>::new());
        assert_eq!(silent_days(|_| Some(0.0)), Vec::<usize>::new());
        // Without any value it is silent, as a total is.
        let none = |day| (!(150..170).contains(&day)).then_some(0.0);
        assert_eq!(silent_days(none), (152..170).collect::<Vec<_>>());
    }

    #[test]
    fn nothing_is_told_of_a_young_feed_or_of_one_that_is_often_silent() {
        let young: Vec<f64> = (0..80)
            .map(|day| if day < 60 { usual(day) } else { 0.0 })
            .collect();
        assert!(
            closes(&young, false)
                .iter()
                .all(|state| *state == FeedState::default())
        );
        // A few events a month: a week without any is nothing.
        let rare: Vec<f64> = (0..300).map(|day| if day % 9 == 0 { 5.0 } else { 0.0 }).collect();
        assert!(
            closes(&rare, false)
                .iter()
                .all(|state| *state == FeedState::default())
        );
    }

    #[test]
    fn a_restart_on_any_day_says_the_same() {
        let values = (0..200).map(|day| match day {
            120..125 => 0.0,
            150..160 => usual(day) / 100.0,
            _ => usual(day),
        });
        let values: Vec<f64> = values.collect();
        assert_eq!(closes(&values, true), closes(&values, false));
    }

    #[test]
    fn how_late_its_data_comes_outlasts_a_restart() {
        let (days, tuning) = (Days::default(), Tuning::default());
        let mut feed = Feed::new(FIRST, None);
        assert_eq!(feed.awaited(), None);
        // Half of a day comes on the next one.
        for last in 0..30usize {
            let brought = |day: usize| if day < last { 100.0 } else { 50.0 };
            let flow: Vec<Option<f64>> = (0..=last).map(|day| Some(brought(day))).collect();
            feed.learn_arrivals(FIRST + last as i32, &flow);
            feed.close(FIRST + last as i32, &flow, false, &days, &tuning);
        }
        let awaited = feed.awaited();
        assert!(awaited.is_some());
        let body = super::super::kept::encode(&feed, &"sales", feed.arrivals()).unwrap();
        let (kept, arrivals) =
            super::super::kept::decode::<Feed, _, Arrivals>(&body, &"sales".to_owned()).unwrap();
        assert_eq!(kept.restored(arrivals).unwrap().awaited(), awaited);
    }
}
