//! What the calendar says of a running period and of the time before it: the same for all instances of a node.

use super::HISTORY_DAYS;
use super::model::PHASES;
use crate::catalog::Calendar;
use crate::evaluate::snapshot::Period;
use crate::fold::day::Day;

/// The calendar around a running period, in days.
#[derive(Clone, Debug)]
pub struct Almanac {
    period: Period,
    /// First day, and day after the last, of the running period and of those before it as far as a history reaches, the newest
    /// first. Of periods too short to have parts the running one alone.
    periods: Vec<(i32, i32)>,
    /// Special days from the beginning of a history to the end of the running period.
    special: Vec<i32>,
}

impl Almanac {
    /// That of a running period.
    pub fn of(running: Period, calendar: &Calendar) -> Almanac {
        let bounds = |period: &Period| (Day::of(period.start).0, Day::of(period.end).0);
        let (start, end) = bounds(&running);
        let oldest = Day(start - HISTORY_DAYS);
        let mut periods = vec![(start, end)];
        let mut period = running;
        while end - start >= PHASES as i32 && Day::of(period.start) > oldest {
            let Some(before) = period.before(calendar) else {
                break;
            };
            period = before;
            periods.push(bounds(&period));
        }
        let special = calendar.special_days.range(oldest.date()..running.end);
        Almanac {
            period: running,
            periods,
            special: special.map(|(date, _)| Day::of(*date).0).collect(),
        }
    }

    /// The running period.
    pub fn period(&self) -> &Period {
        &self.period
    }

    /// First day, and day after the last, of the running period.
    pub(super) fn running(&self) -> (i32, i32) {
        self.periods[0]
    }

    /// Periods from the one that holds a day to the running one, the oldest first.
    pub(super) fn periods_from(&self, day: Day) -> impl Iterator<Item = (i32, i32)> {
        let before = self.periods.iter().position(|(start, _)| *start <= day.0);
        let count = before.map_or(self.periods.len(), |at| at + 1);
        self.periods[..count].iter().rev().copied()
    }

    /// Special days of `from..to`, ascending.
    pub(super) fn special_days(&self, from: Day, to: Day) -> &[i32] {
        let at = |day: Day| self.special.partition_point(|special| *special < day.0);
        &self.special[at(from)..at(to)]
    }

    pub(super) fn is_special(&self, day: Day) -> bool {
        self.special.binary_search(&day.0).is_ok()
    }
}
