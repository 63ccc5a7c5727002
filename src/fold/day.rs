//! Local days as numbers, and the day of an event time without a look into the zone for every event.

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};

use crate::catalog::Calendar;

/// A local day: days since 1970-01-01.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize)]
pub struct Day(pub i32);

impl Day {
    /// The day of a date.
    pub fn of(date: Date) -> Day {
        // jiff's dates reach from year −9999 to 9999: about 3.6 million days either way.
        Day(Date::new(1970, 1, 1)
            .unwrap_or(Date::ZERO)
            .until(date)
            .map_or(0, |span| span.get_days()))
    }

    /// The date of a day.
    pub fn date(self) -> Date {
        Date::new(1970, 1, 1)
            .unwrap_or(Date::ZERO)
            .saturating_add(self.0.days())
    }
}

/// Finds the local day of event times. Neighbouring events mostly share it.
#[derive(Clone, Debug)]
pub struct DayClock {
    calendar: Calendar,
    /// The day found last, and where it starts and ends, in milliseconds since the epoch.
    last: (Day, i64, i64),
}

impl DayClock {
    /// A clock for the days of a calendar.
    pub fn new(calendar: Calendar) -> DayClock {
        DayClock {
            calendar,
            last: (Day(0), 0, 0),
        }
    }

    /// The local day of a moment, in milliseconds since the epoch.
    pub fn day_of(&mut self, time_ms: i64) -> Day {
        let (day, start, end) = self.last;
        if (start..end).contains(&time_ms) {
            return day;
        }
        let at = Timestamp::from_millisecond(time_ms).unwrap_or(Timestamp::UNIX_EPOCH);
        let date = self.calendar.day_of(at);
        let start = self.calendar.start_of(date).as_millisecond();
        let end = date
            .tomorrow()
            .map_or(i64::MAX, |next| self.calendar.start_of(next).as_millisecond());
        self.last = (Day::of(date), start, end);
        self.last.0
    }
}
