//! What a day is expected to bring: level × weekday × season × phase of the period × special day. Factors are drawn towards
//! 1 as long as little is known of them, and learned from days that are not special.

use super::calibration::Weights;
use super::filter::{Filter, LEVELS, Morning, REFERENCE};
use super::{Almanac, History, year_before};
use crate::fold::day::Day;

/// Forecasts that are put together: of each level, and of one with last year's season.
pub(super) const FORECASTS: usize = LEVELS + 1;
/// Days on both sides over which a season's rate is taken: three whole weeks, so that weekdays are in balance.
const SEASON_HALF_WIDTH: i32 = 10;
/// Mean age of the days of the level that the season goes with.
const LEVEL_AGE: i32 = 14;
/// How much of last year's seasonal change is believed.
const SEASON_TRUST: f64 = 0.8;
/// The largest seasonal change that is one, up and down.
const SEASON_LIMITS: (f64, f64) = (0.2, 5.0);
/// Parts of a period whose share is learned: the end of a quarter is not its middle.
pub(super) const PHASES: usize = 12;
/// How often their variance by chance the phases must differ, before anything of it is believed.
const PHASE_DOUBT: f64 = 3.0;
/// Special days of the same name that the shrinkage adds at an ordinary day's rate.
const SPECIAL_SHRINKAGE: f64 = 0.3;
/// Ordinary days that a forecast of the past knows at least.
const FIRST_ORIGIN: usize = 28;
/// Days from one forecast of the past to the next.
const STRIDE: usize = 3;
/// Forecasts of the past that are made at most: those longest ago say little of today.
const ORIGINS: usize = 120;
/// Standard deviation of a normal distribution over its mean absolute deviation: √(π/2).
const SPREAD_OF_DEVIATION: f64 = 1.2533;
/// By how much a level is off after a month that nobody has seen yet, beside the noise of days: typical of the series that
/// constants were chosen on.
const WANDER: f64 = 0.135;
/// Days after which it wanders no further.
const WANDERS_FOR: f64 = 30.0;

/// How much days are uncertain, and with them the level that is learned from them.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Noise {
    /// Variance of a day around what was expected of it, as a share of the level squared.
    of_a_day: f64,
    /// Days that the level was learned from.
    days: f64,
}

impl Noise {
    /// Standard deviation of the sum of a number of days, as a share of it: their own noise, that of the level, and where
    /// the level goes.
    pub(super) fn of_days(self, days: f64) -> f64 {
        // Of the last minutes of a period a share says nothing: half a day's noise stands for them.
        let days = days.max(0.5);
        let wander = if self.of_a_day > 0.0 {
            WANDER * WANDER * (days / WANDERS_FOR).min(1.0)
        } else {
            0.0
        };
        (self.of_a_day / days + self.of_a_day / self.days + wander).sqrt()
    }
}

/// A forecast of some past days, as it would have been made on the morning of the first of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    /// What each of the forecasts said.
    pub(super) said: [f64; FORECASTS],
    /// What the days counted as, special days left out and far ones drawn in.
    pub(super) counted: f64,
    /// What they brought.
    pub(super) came: f64,
}

/// Sums over the days up to one.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    /// What ordinary days counted as.
    counted: f64,
    /// How many they were.
    ordinary: f64,
    /// What all days brought.
    brought: f64,
}

/// A history as it was known on its mornings, and what is summed up of its days.
#[derive(Debug)]
pub(super) struct Prepared {
    from: Day,
    /// The days that it was made of, to go on from them; none where nobody goes on.
    days: Vec<f64>,
    /// Mornings by the number of their day, the oldest first: those of [`Prepared::origins`], or of all days to go on from.
    mornings: Vec<(usize, Morning)>,
    /// What is known today.
    today: Filter,
    /// Sums up to each day.
    sums: Vec<Sums>,
    /// What the parts of closed periods brought, and those of the last one so far: what they count as, and factors of weekdays.
    learned: Phases,
    parts: [(f64, f64); PHASES],
    /// First day of the last period, and the day after its last.
    period: (i32, i32),
    /// Factors of the parts of that period.
    phases: [f64; PHASES],
}

/// Days of whose mornings something may be asked.
#[derive(Clone, Copy)]
enum Mornings {
    All,
    /// So many, up to this one.
    Origins(usize, usize),
}

impl Prepared {
    /// Of a whole history; what its beginnings need is part of it. Mornings are kept for forecasts of so many days; `None`
    /// where none are asked for.
    pub(super) fn of(
        history: History<'_>,
        almanac: &Almanac,
        days: Option<usize>,
        room: Option<Box<Prepared>>,
    ) -> Box<Prepared> {
        let count = history.days.len();
        let (origins, last) = days.map_or((0, 0), |days| origins(count, days));
        let mut prepared = Prepared::new(history.from, (count, origins), almanac, room);
        prepared.go_on(history, almanac, Mornings::Origins(origins, last));
        prepared
    }

    /// The same, going on from an earlier day of the same history. All mornings are kept.
    pub(super) fn resumed(
        known: Option<Box<Prepared>>,
        history: History<'_>,
        almanac: &Almanac,
    ) -> Box<Prepared> {
        let is_beginning = |known: &Prepared| {
            let first = history.days.get(..known.days.len());
            known.from == history.from && first.is_some_and(|days| days == known.days)
        };
        let count = history.days.len();
        let begun = || Prepared::new(history.from, (count, count), almanac, None);
        let mut prepared = known.filter(|known| is_beginning(known)).unwrap_or_else(begun);
        prepared.go_on(history, almanac, Mornings::All);
        let taken = prepared.days.len();
        prepared.days.extend_from_slice(&history.days[taken..]);
        prepared
    }

    /// Of nothing yet, with room for so many days and mornings, in the place of another one.
    fn new(
        from: Day,
        (days, mornings): (usize, usize),
        almanac: &Almanac,
        room: Option<Box<Prepared>>,
    ) -> Box<Prepared> {
        let emptied = |mut known: Box<Prepared>| {
            known.sums.clear();
            known.mornings.clear();
            (
                std::mem::take(&mut known.sums),
                std::mem::take(&mut known.mornings),
                Some(known),
            )
        };
        let (mut sums, mut kept, place) = room.map_or_else(Default::default, emptied);
        sums.reserve(days + 1);
        sums.push(Sums::default());
        kept.reserve(mornings);
        let prepared = Prepared {
            from,
            days: Vec::new(),
            mornings: kept,
            today: Filter::default(),
            sums,
            learned: Phases::default(),
            parts: [(0.0, 0.0); PHASES],
            period: almanac.first_from(from),
            phases: [1.0; PHASES],
        };
        match place {
            Some(mut place) => {
                *place = prepared;
                place
            }
            None => Box::new(prepared),
        }
    }

    /// Takes in what is new of a history.
    fn go_on(&mut self, history: History<'_>, almanac: &Almanac, mornings: Mornings) {
        let taken = self.sums.len() - 1;
        let first = Day(self.from.0 + taken as i32);
        let mut special = almanac.special_days(first, history.today());
        // The number of the next day whose morning is kept, and of the last one.
        let (mut next, last, step) = match mornings {
            Mornings::All => (taken, usize::MAX, 1),
            Mornings::Origins(0, _) => (usize::MAX, 0, STRIDE),
            Mornings::Origins(count, last) => (last - (count - 1) * STRIDE, last, STRIDE),
        };
        let mut filter = std::mem::take(&mut self.today);
        let mut sums = self.sums[taken];
        let mut weekday = weekday(first);
        for (number, &value) in history.days.iter().enumerate().skip(taken) {
            let day = Day(self.from.0 + number as i32);
            if day.0 >= self.period.1 {
                self.close_periods(day, almanac);
            }
            if number == next {
                self.mornings.push((number, filter.morning()));
                next = if number < last { number + step } else { usize::MAX };
            }
            if special.first() == Some(&day.0) {
                special = &special[1..];
            } else {
                let at = phase(day, self.period);
                let factor = filter.weekday(weekday);
                let counts = filter.take(value, weekday, self.phases[at]);
                self.parts[at].0 += counts;
                self.parts[at].1 += factor;
                sums.counted += counts;
                sums.ordinary += 1.0;
            }
            sums.brought += value;
            self.sums.push(sums);
            weekday = if weekday == 6 { 0 } else { weekday + 1 };
        }
        self.today = filter;
        // The running period may begin today.
        self.close_periods(history.today(), almanac);
    }

    /// Closes periods up to the one that holds a day.
    fn close_periods(&mut self, day: Day, almanac: &Almanac) {
        while day.0 >= self.period.1
            && let Some(next) = almanac.after(self.period)
        {
            let (start, end) = std::mem::replace(&mut self.period, next);
            if start >= self.from.0 && end - start >= PHASES as i32 {
                self.learned.add(&self.parts);
            }
            self.parts = [(0.0, 0.0); PHASES];
            self.phases = self.learned.factors();
        }
    }

    /// Mean of the ordinary days `from..to`; `None` where the history does not reach around them, or there are none.
    fn rate(&self, from: Day, to: Day) -> Option<f64> {
        let at = |day: Day| usize::try_from(day.0 - self.from.0).ok();
        let (from, to) = (self.sums.get(at(from)?)?, self.sums.get(at(to)?)?);
        let count = to.ordinary - from.ordinary;
        (count > 0.0).then(|| (to.counted - from.counted) / count)
    }

    fn rate_around(&self, day: Day) -> Option<f64> {
        self.rate(Day(day.0 - SEASON_HALF_WIDTH), Day(day.0 + SEASON_HALF_WIDTH + 1))
    }

    /// How the days `from..to` compared, a year before, with those that the level was learned from on the morning of
    /// `from`; 1 without a year of data.
    fn season(&self, from: Day, to: Day) -> f64 {
        let (first, last) = (year_before(from), year_before(Day(to.0 - 1)));
        let ahead = self.rate(
            Day(first.0 - SEASON_HALF_WIDTH),
            Day(last.0 + SEASON_HALF_WIDTH + 1),
        );
        match (ahead, self.rate_around(Day(first.0 - LEVEL_AGE))) {
            (Some(ahead), Some(base)) if ahead > 0.0 && base > 0.0 => (ahead / base)
                .powf(SEASON_TRUST)
                .clamp(SEASON_LIMITS.0, SEASON_LIMITS.1),
            _ => 1.0,
        }
    }

    /// The levels of a morning for the days from it to `to`.
    fn levels(&self, at: usize, morning: &Morning, to: Day) -> [f64; FORECASTS] {
        let levels = morning.levels();
        let from = Day(self.from.0 + at as i32);
        let seasonal = levels[REFERENCE] * self.season(from, to);
        std::array::from_fn(|number| levels.get(number).copied().unwrap_or(seasonal))
    }

    /// Forecasts of so many days of the history, the newest first, by what was known on their first morning; mornings were kept
    /// for as many days, or all.
    pub(super) fn origins(&self, days: usize) -> impl ExactSizeIterator<Item = Origin> {
        let (count, last) = origins(self.sums.len() - 1, days);
        let newest = self.mornings.last().map_or(0, |(number, _)| *number);
        let step = if self.days.is_empty() { 1 } else { STRIDE };
        let mornings = self.mornings.iter().rev().skip(newest.saturating_sub(last));
        mornings.step_by(step).take(count).map(move |(at, morning)| {
            let number = *at as i32;
            let (from, to) = (self.sums[*at], self.sums[at + days]);
            let over = morning.weekdays(weekday(Day(self.from.0 + number)), days % 7);
            let ordinary = (to.ordinary - from.ordinary) / days as f64;
            let factors = ((days - days % 7) as f64 + over) * ordinary;
            Origin {
                said: self
                    .levels(*at, morning, Day(self.from.0 + number + days as i32))
                    .map(|level| level * factors),
                counted: to.counted - from.counted,
                came: to.brought - from.brought,
            }
        })
    }

    /// Days from one of [`Prepared::origins`] to the next, as a share of so many days: how much each of them says that the
    /// others do not.
    pub(super) fn own_share(days: usize) -> f64 {
        (STRIDE as f64 / days.max(1) as f64).min(1.0)
    }
}

/// How many forecasts of so many days can be made of a history of `count` days, and the number of the last one's first day.
fn origins(count: usize, days: usize) -> (usize, usize) {
    count.checked_sub(days).map_or((0, 0), |last| {
        let all = (last + STRIDE).saturating_sub(FIRST_ORIGIN) / STRIDE;
        (all.min(ORIGINS), last)
    })
}

/// What the parts of closed periods brought, against their whole period's rate.
#[derive(Debug, Default)]
struct Phases {
    periods: f64,
    sums: [f64; PHASES],
    squares: [f64; PHASES],
}

impl Phases {
    /// Takes in what the parts of a period brought, and what weekdays would have made of its mean.
    fn add(&mut self, parts: &[(f64, f64); PHASES]) {
        let brought: f64 = parts.iter().map(|part| part.0).sum();
        let expected: f64 = parts.iter().map(|part| part.1).sum();
        if brought <= 0.0 || expected <= 0.0 {
            return;
        }
        self.periods += 1.0;
        for (at, part) in parts.iter().enumerate() {
            let differs = match part.1 > 0.0 {
                true => part.0 / part.1 / (brought / expected) - 1.0,
                false => 0.0,
            };
            self.sums[at] += differs;
            self.squares[at] += differs * differs;
        }
    }

    /// The means, drawn to 1 by what chance makes of them (James and Stein 1961, positive part), and more.
    fn factors(&self) -> [f64; PHASES] {
        let count = self.periods;
        if count < 2.0 {
            return [1.0; PHASES];
        }
        let means = self.sums.map(|sum| sum / count);
        let within = std::iter::zip(self.squares, means)
            .map(|(squares, mean)| (squares - count * mean * mean) / (count - 1.0));
        let by_chance = within.sum::<f64>() / count;
        let seen: f64 = means.iter().map(|mean| mean * mean).sum();
        let believed = if seen > 0.0 {
            (1.0 - PHASE_DOUBT * by_chance / seen).max(0.0)
        } else {
            0.0
        };
        means.map(|mean| 1.0 + believed * mean)
    }
}

/// A fitted model.
#[derive(Debug)]
pub(super) struct Model<'a> {
    history: History<'a>,
    prepared: &'a Prepared,
    almanac: &'a Almanac,
    level: f64,
}

impl<'a> Model<'a> {
    /// The model of a whole history for the days of its running period.
    pub(super) fn of(
        history: History<'a>,
        prepared: &'a Prepared,
        almanac: &'a Almanac,
        weights: &Weights,
    ) -> Model<'a> {
        let (_, end) = almanac.running();
        let levels = prepared.levels(history.days.len(), &prepared.today.morning(), Day(end));
        Model {
            history,
            prepared,
            almanac,
            level: weights.mean(&levels),
        }
    }

    /// What a day is expected to bring.
    pub(super) fn expected(&self, day: Day) -> f64 {
        let ordinary = || {
            let phase = self.prepared.phases[phase(day, self.almanac.running())];
            self.prepared.today.weekday(weekday(day)) * phase
        };
        self.level * self.special(day).unwrap_or_else(ordinary)
    }

    /// How much days and the level are uncertain.
    pub(super) fn noise(&self) -> Noise {
        let today = &self.prepared.today;
        let of_a_day = today.deviation() * SPREAD_OF_DEVIATION;
        Noise {
            of_a_day: if self.level > 0.0 {
                of_a_day * of_a_day
            } else {
                0.0
            },
            days: today.days().max(1.0),
        }
    }

    /// The factor of a special day: what the days of its name brought before, against their ordinary neighbours;
    /// `None` for a day that is not special, or of which nothing is known.
    fn special(&self, day: Day) -> Option<f64> {
        // A date costs something.
        if !self.almanac.is_special(day) {
            return None;
        }
        let calendar = self.history.calendar;
        let name = &calendar.special_days.get(&day.date())?.name;
        let (mut sum, mut count) = (0.0, 0.0);
        let until = self.history.today().date();
        for (date, _) in calendar
            .special_days
            .range(..until)
            .rev()
            .filter(|(_, other)| other.name == *name)
            .take(16)
        {
            let same = Day::of(*date);
            let at = usize::try_from(same.0 - self.history.from.0).ok();
            let value = at.and_then(|at| self.history.days.get(at).copied());
            let (Some(value), Some(rate)) = (value, self.prepared.rate_around(same)) else {
                continue;
            };
            if rate > 0.0 {
                sum += value / rate;
                count += 1.0;
            }
        }
        let ordinary = self.prepared.today.weekday(weekday(day));
        (count > 0.0).then(|| (sum + SPECIAL_SHRINKAGE * ordinary) / (count + SPECIAL_SHRINKAGE))
    }
}

/// In which part of its period a day lies.
fn phase(day: Day, (start, end): (i32, i32)) -> usize {
    let share = f64::from(day.0 - start) / f64::from((end - start).max(1));
    ((share * PHASES as f64) as usize).min(PHASES - 1)
}

fn weekday(day: Day) -> usize {
    // 1970-01-01 was a Thursday.
    (day.0 + 3).rem_euclid(7) as usize
}
