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

    /// The period that holds a day; of one before all that are known the oldest.
    pub(super) fn first_from(&self, day: Day) -> (i32, i32) {
        let mut periods = self.periods.iter();
        let found = periods.find(|(start, _)| *start <= day.0);
        found.or(self.periods.last()).copied().unwrap_or_default()
    }

    /// The period that follows one, if there is one up to the running one.
    pub(super) fn after(&self, (_, end): (i32, i32)) -> Option<(i32, i32)> {
        let mut periods = self.periods.iter();
        let holding = periods.find(|(start, _)| *start <= end).copied();
        holding.filter(|(_, its_end)| *its_end > end)
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
