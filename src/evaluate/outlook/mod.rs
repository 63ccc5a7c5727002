//! The forecast: what a total will have come to when its period ends, how sure that is, and how likely it meets its
//! target.
//!
//! Period-end value = value so far + Σ over the time left of level × weekday × season × phase × special day
//! ([`model`]). The levels are robust to single days and begin anew where the series moves ([`filter`]); they forget at
//! different speeds, and count by how well they forecast this series. How sure it is, is learned likewise: the same forecast
//! is made on past mornings of as many days as are left of the period, and `ln(outcome / forecast)` is kept
//! ([`calibration`]). The distribution of the outcome is made of these scores (split conformal prediction: Vovk, Gammerman,
//! Shafer 2005, "Algorithmic Learning in a Random World") and of a prior from the noise of single days, which fades as
//! the history grows. Of days that come late, what is missing is told by how late they usually are ([`late`]).

mod almanac;
mod calibration;
mod filter;
mod late;
mod model;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::catalog::Calendar;
use crate::fold::day::Day;

pub use almanac::Almanac;
pub use calibration::Calibration;
pub(super) use calibration::normal;
pub use late::{AGES, Arrived, Awaited, Late};

/// Days of history that a forecast looks at, at most: two years and what their beginning needs.
pub const HISTORY_DAYS: i32 = 2 * 366 + 60;
/// Complete days without which there is nothing to project from.
const MIN_DAYS: usize = 7;
/// Complete days without which there is no spread, and so no probability.
const MIN_DAYS_OF_SPREAD: usize = 14;

/// What each day brought, up to yesterday.
#[derive(Clone, Copy, Debug)]
pub struct History<'a> {
    /// Day of the first value.
    pub from: Day,
    /// Values of complete days, the last one yesterday; days without a value count as 0.
    pub days: &'a [f64],
    /// The calendar of weekdays and special days.
    pub calendar: &'a Calendar,
}

impl History<'_> {
    /// Tells days from others: another value of any of them, or another first day, gives another mark.
    pub fn mark(&self) -> u64 {
        // An odd number with its bits well mixed: 2⁶⁴ over the golden ratio.
        const MIX: u64 = 0x9E37_79B9_7F4A_7C15;
        let first = u64::from(self.from.0.cast_unsigned()).wrapping_add(1);
        self.days.iter().fold(first, |mark, day| {
            (mark.rotate_left(23) ^ day.to_bits()).wrapping_mul(MIX)
        })
    }

    /// The day after the last one: today.
    fn today(&self) -> Day {
        Day(self.from.0 + i32::try_from(self.days.len()).unwrap_or(0))
    }
}

/// A projected value with its distribution.
#[derive(Clone, PartialEq, Debug)]
pub struct Outlook {
    /// Projected value at the period's end: the median of the distribution.
    pub value: f64,
    /// What was there already when it was made: a total of positive parts does not fall below it.
    so_far: f64,
    /// Spread of what is to come by the noise of single days, as a share of it; `None` with too little history.
    spread: Option<f64>,
    foreseen: Arc<Foreseen>,
}

/// What is to come of a period, as seen on one of its days, and how sure that is. It holds all day; [`Foreseen::outlook`] is a little
/// arithmetic.
#[derive(Clone, PartialEq, Debug)]
pub struct Foreseen {
    /// `None` with less than a week of history.
    ahead: Option<Ahead>,
    calibration: Calibration,
    /// Of the days that it was told from, see [`History::mark`].
    mark: u64,
    /// What is missing of past days; few are late.
    late: Option<Box<Late>>,
}

/// What is to come of a period.
#[derive(Clone, PartialEq, Debug)]
struct Ahead {
    /// What today is expected to bring.
    of_today: f64,
    /// What the days after today are expected to bring.
    later: f64,
    /// Days after today.
    days_later: f64,
    /// Noise of a day and of the level; `None` with too little history.
    noise: Option<model::Noise>,
}

/// A history made ready for the forecasts of one running period, and for those of the periods before it.
#[derive(Debug)]
pub struct Past<'a> {
    history: History<'a>,
    almanac: &'a Almanac,
    prepared: Box<model::Prepared>,
}

/// Room for what a forecast needs while it is made: who makes one after the other asks for it once.
#[derive(Debug, Default)]
pub struct Room {
    prepared: Option<Box<model::Prepared>>,
    origins: Vec<model::Origin>,
}

/// A history as far as it was gone through: a day later only one day of it is new. It takes about 160 bytes a day.
#[derive(Debug)]
pub struct Walk(Box<model::Prepared>);

impl<'a> Past<'a> {
    /// Of a history whose day after the last lies in the running period.
    pub fn of(history: History<'a>, almanac: &'a Almanac, room: &mut Room) -> Past<'a> {
        let days = days_left(history, almanac);
        Past {
            history,
            almanac,
            prepared: model::Prepared::of(history, almanac, Some(days), room.prepared.take()),
        }
    }

    /// The same for [`Past::foreseen`] alone: how sure forecasts are is known.
    pub fn calibrated(history: History<'a>, almanac: &'a Almanac, room: &mut Room) -> Past<'a> {
        Past {
            history,
            almanac,
            prepared: model::Prepared::of(history, almanac, None, room.prepared.take()),
        }
    }

    /// The same as [`Past::of`], going on from what an earlier day left, where no day of it has changed.
    pub fn resumed(history: History<'a>, almanac: &'a Almanac, known: Option<Walk>) -> Past<'a> {
        let known = known.map(|Walk(prepared)| prepared);
        Past {
            history,
            almanac,
            prepared: model::Prepared::resumed(known, history, almanac),
        }
    }

    /// What a later day goes on from; of [`Past::resumed`] alone.
    pub fn into_walk(self) -> Walk {
        Walk(self.prepared)
    }

    /// Gives its room back.
    pub fn leave(self, room: &mut Room) {
        room.prepared = Some(self.prepared);
    }

    /// How sure forecasts of this history are, over as many days as are left after today; `mark` is the history's.
    pub fn calibration(&self, mark: u64, room: &mut Room) -> Calibration {
        let days = days_left(self.history, self.almanac);
        room.origins.clear();
        room.origins.extend(self.prepared.origins(days));
        Calibration::of(&room.origins, days, mark)
    }

    /// What is to come of a total's running period; `mark` is the history's, of which `late` is missing.
    pub fn foreseen(&self, mark: u64, calibration: Calibration, late: Option<Late>) -> Foreseen {
        Foreseen {
            ahead: self.ahead(&calibration),
            calibration,
            mark,
            late: late.map(Box::new),
        }
    }

    fn ahead(&self, calibration: &Calibration) -> Option<Ahead> {
        let Past {
            history,
            almanac,
            prepared,
        } = self;
        if history.days.len() < MIN_DAYS {
            return None;
        }
        let (_, end) = almanac.running();
        let model = model::Model::of(*history, prepared, almanac, &calibration.weights);
        let today = history.today();
        Some(Ahead {
            of_today: model.expected(today),
            later: (today.0 + 1..end).map(|day| model.expected(Day(day))).sum(),
            days_later: f64::from((end - today.0 - 1).max(0)),
            noise: (history.days.len() >= MIN_DAYS_OF_SPREAD).then(|| model.noise()),
        })
    }
}

/// Days of the running period after today; at least one.
fn days_left(history: History<'_>, almanac: &Almanac) -> usize {
    let left = almanac.running().1 - history.today().0 - 1;
    usize::try_from(left).unwrap_or(0).max(1)
}

impl Foreseen {
    /// How sure forecasts are.
    pub fn calibration(&self) -> &Calibration {
        &self.calibration
    }

    /// Of the days that it was told from, see [`History::mark`].
    pub fn mark(&self) -> u64 {
        self.mark
    }

    /// The same where days do not add up to their period: a customer who comes on two days is one in the month.
    /// `share` is how much of what days bring counts for the period.
    #[must_use]
    pub fn thinned(self, share: f64) -> Foreseen {
        let thinned = |ahead: Ahead| Ahead {
            of_today: ahead.of_today * share,
            later: ahead.later * share,
            ..ahead
        };
        Foreseen {
            ahead: self.ahead.map(thinned),
            ..self
        }
    }

    /// The projection when a share of today has passed and the period has come to `so_far`; `None` with less than a week of
    /// history.
    pub fn outlook(self: &Arc<Foreseen>, so_far: f64, share_of_today: f64) -> Option<Outlook> {
        let ahead = self.ahead.as_ref()?;
        let late = self.late.as_deref();
        let (missing, worth) = late.map_or((0.0, 0.0), |late| (late.missing, late.worth));
        let rest = late.map_or(1.0 - share_of_today, |late| late.rest_of_today(share_of_today));
        // The rest of today comes at the rate of its plan, whatever its beginning brought.
        let to_come = missing + ahead.of_today * rest + ahead.later;
        Some(Outlook {
            value: so_far + to_come,
            so_far,
            spread: ahead
                .noise
                .map(|noise| noise.of_days(ahead.days_later + rest + worth)),
            foreseen: self.clone(),
        })
    }
}

impl Outlook {
    /// Probability of ending at or above a target; `None` without a spread.
    pub fn probability_above(&self, target: f64) -> Option<f64> {
        let spread = self.spread?;
        let to_come = self.value - self.so_far;
        let needed = target - self.so_far;
        if to_come.abs() <= f64::EPSILON * self.value.abs() {
            return Some(if needed <= 0.0 { 1.0 } else { 0.0 });
        }
        // A share of what is to come; below 0 the target has been met already, or lies on the other side.
        let ratio = needed / to_come;
        if to_come > 0.0 && ratio <= 0.0 {
            return Some(1.0);
        }
        let above = if ratio <= 0.0 {
            // What is to come is negative (net of refunds) and the target is above: only by a sign that has never been.
            0.0
        } else {
            1.0 - calibration::cumulative(ratio.ln(), spread, &self.foreseen.calibration.scores)
        };
        Some(if to_come > 0.0 { above } else { 1.0 - above })
    }

    /// What of it is yet to come of days before today; `None` where nothing is late.
    pub fn late(&self) -> Option<f64> {
        self.foreseen.late.as_ref().map(|late| late.missing)
    }

    /// The range in which the outcome lies with a probability, its tails equal; `None` without a spread.
    pub fn range(&self, probability: f64) -> Option<(f64, f64)> {
        let spread = self.spread?;
        let tail = (1.0 - probability) / 2.0;
        let to_come = self.value - self.so_far;
        let scores = &self.foreseen.calibration.scores;
        let at = |share: f64| self.so_far + to_come * calibration::quantile(share, spread, scores).exp();
        let (low, high) = (at(tail), at(1.0 - tail));
        Some((low.min(high), low.max(high)))
    }
}

/// The date of a day's same weekday a year before.
fn year_before(day: Day) -> Day {
    Day(day.0 - 364)
}
