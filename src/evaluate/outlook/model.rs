//! What a day is expected to bring: level × weekday × season × phase of the period × special day. Each factor is learned
//! with shrinkage towards 1, from days that are not special.

use std::sync::LazyLock;

use super::{History, year_before};
use crate::evaluate::snapshot::Period;
use crate::fold::day::Day;

/// Days that the level is learned from; those long ago hardly count.
const LEVEL_DAYS: i32 = 84;
/// Days after which a day counts half in the level.
const HALF_LIFE: f64 = 21.0;
/// What a day that is so many back counts in the level.
static WEIGHTS: LazyLock<[f64; LEVEL_DAYS as usize + 1]> =
    LazyLock::new(|| std::array::from_fn(|back| 0.5f64.powf(back as f64 / HALF_LIFE)));
/// Days that weekdays are learned from.
const WEEKDAY_DAYS: i32 = 84;
/// Days of a weekday that the shrinkage adds at the overall mean.
const WEEKDAY_SHRINKAGE: f64 = 2.0;
/// Days on both sides over which a season's rate is taken.
const SEASON_HALF_WIDTH: i32 = 10;
/// How much of last year's seasonal change is believed.
const SEASON_TRUST: f64 = 0.8;
/// Parts of a period whose share is learned: the end of a quarter is not its middle.
const PHASES: usize = 12;
/// Periods that the shrinkage of phases adds at no difference.
const PHASE_SHRINKAGE: f64 = 2.0;
/// Special days of the same name that the shrinkage adds at an ordinary day's rate.
const SPECIAL_SHRINKAGE: f64 = 0.3;

/// How much days are uncertain, and with them the level that is learned from them.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Noise {
    /// Variance of a day around what was expected of it, as a share of the level squared.
    of_a_day: f64,
    /// Days that the level was learned from.
    days: f64,
}

impl Noise {
    /// Standard deviation of the sum of a number of days, as a share of it: their own noise, and that of the level.
    pub(super) fn of_days(self, days: f64) -> f64 {
        // Of the last minutes of a period a share says nothing: half a day's noise stands for them.
        let days = days.max(0.5);
        (self.of_a_day / days + self.of_a_day / self.days).sqrt()
    }
}

/// What all models of a history share: sums of ordinary days up to each of its days, so that a rate around any day costs
/// nothing, and the bounds of its periods. The calendar is asked once, not for every day of every model.
#[derive(Debug)]
pub(super) struct Prepared {
    values: Vec<f64>,
    counts: Vec<f64>,
    /// First day and day after the last of the running period and of those before it, the newest first.
    periods: Vec<(i32, i32)>,
    /// In which part of its period each day lies.
    phases: Vec<u8>,
    /// What the parts of each period brought; `None` of one that is too short, or that the history has not seen whole.
    parts: Vec<Option<Parts>>,
}

/// What the ordinary days of a period brought, by the part in which they lie.
#[derive(Clone, Copy, Debug, Default)]
struct Parts {
    brought: [f64; PHASES],
    /// How many of them there are of each weekday.
    days: [[f64; 7]; PHASES],
}

impl Prepared {
    /// Of a whole history; what its beginnings need is part of it.
    pub(super) fn of(history: History<'_>, running: Period) -> Prepared {
        let mut sums = Prepared {
            values: Vec::with_capacity(history.days.len() + 1),
            counts: Vec::with_capacity(history.days.len() + 1),
            periods: Vec::new(),
            phases: vec![0; history.days.len()],
            parts: Vec::new(),
        };
        let (mut value, mut count) = (0.0, 0.0);
        sums.values.push(0.0);
        sums.counts.push(0.0);
        let first = history.from.date();
        let last = Day(history.today().0).date();
        let mut special: Vec<i32> = history
            .calendar
            .special_days
            .range(first..last)
            .map(|(date, _)| Day::of(*date).0)
            .collect();
        special.reverse();
        for (day, brought) in (history.from.0..).zip(history.days) {
            if special.last() == Some(&day) {
                special.pop();
            } else {
                value += brought;
                count += 1.0;
            }
            sums.values.push(value);
            sums.counts.push(count);
        }
        let mut period = running;
        loop {
            let (start, end) = (Day::of(period.start).0, Day::of(period.end).0);
            sums.periods.push((start, end));
            let Ok(before) = period.start.yesterday() else {
                break;
            };
            if start <= history.from.0 {
                break;
            }
            period = Period::containing(running.kind, before, history.calendar);
        }
        sums.part(history);
        sums
    }

    /// Tells the days of every period by the part in which they lie.
    fn part(&mut self, history: History<'_>) {
        for &period in &self.periods {
            let (start, end) = period;
            let mut parts = Parts::default();
            let (first, last) = (start.max(history.from.0), end.min(history.today().0));
            for day in (first..last).map(Day) {
                // Not before the history and not after it.
                let at = (day.0 - history.from.0) as usize;
                let phase = phase(day, period);
                self.phases[at] = phase as u8;
                if self.counts[at + 1] > self.counts[at] {
                    parts.brought[phase] += history.days[at];
                    parts.days[phase][weekday(day)] += 1.0;
                }
            }
            let is_whole = start >= history.from.0 && end - start >= PHASES as i32;
            self.parts.push(is_whole.then_some(parts));
        }
    }
}

impl Prepared {
    /// Whether a day of the history, which begins with the day `from`, is not special.
    fn is_ordinary(&self, from: Day, day: Day) -> bool {
        let at = usize::try_from(day.0 - from.0).ok();
        let counts = at.and_then(|at| self.counts.get(at..=at + 1));
        counts.is_some_and(|counts| counts[1] > counts[0])
    }

    /// The periods before the running one, the newest first.
    pub(super) fn closed(&self) -> &[(i32, i32)] {
        &self.periods[1..]
    }
}

/// A fitted model.
#[derive(Debug)]
pub(super) struct Model<'a> {
    history: History<'a>,
    sums: &'a Prepared,
    period: (i32, i32),
    level: f64,
    weekdays: [f64; 7],
    phases: [f64; PHASES],
    /// Last year's rate around the days that the level is learned from; `None` without a year of data.
    season_base: Option<f64>,
    /// Variance of a day around what was expected of it, as a share of the level squared.
    noise: f64,
    /// Weight of the days that the level was learned from, in days.
    weight: f64,
}

impl<'a> Model<'a> {
    /// Fits the model to a history for the days of a period.
    pub(super) fn of(history: History<'a>, sums: &'a Prepared, period: (i32, i32)) -> Model<'a> {
        let mut model = Model {
            history,
            sums,
            period,
            level: 0.0,
            weekdays: [1.0; 7],
            phases: [1.0; PHASES],
            season_base: None,
            noise: 0.0,
            weight: 0.0,
        };
        model.learn_weekdays();
        model.learn_phases();
        let today = history.today();
        model.season_base = model.season_rate_before(today);
        model.learn_level();
        model
    }

    /// What a day is expected to bring.
    pub(super) fn expected(&self, day: Day) -> f64 {
        self.level * self.factor(day)
    }

    /// How much days and the level are uncertain.
    pub(super) fn noise(&self) -> Noise {
        Noise {
            of_a_day: if self.level > 0.0 { self.noise } else { 0.0 },
            days: self.weight.max(1.0),
        }
    }

    fn value(&self, day: Day) -> Option<f64> {
        let at = usize::try_from(day.0 - self.history.from.0).ok()?;
        self.history.days.get(at).copied()
    }

    fn ordinary(&self, day: Day) -> Option<f64> {
        self.value(day)
            .filter(|_| self.sums.is_ordinary(self.history.from, day))
    }

    fn factor(&self, day: Day) -> f64 {
        let ordinary = self.weekdays[weekday(day)] * self.season(day) * self.phases[phase(day, self.period)];
        match self.special(day) {
            Some(special) => special * self.season(day),
            None => ordinary,
        }
    }

    /// How the rate around a day compared, a year before, with that around the days of the level.
    fn season(&self, day: Day) -> f64 {
        let Some(base) = self.season_base.filter(|base| *base > 0.0) else {
            return 1.0;
        };
        match self.rate_around(year_before(day)) {
            Some(rate) if rate > 0.0 => (rate / base).powf(SEASON_TRUST).clamp(0.2, 5.0),
            _ => 1.0,
        }
    }

    /// Mean of the ordinary days around a day; three whole weeks, so that weekdays are in balance. `None` where the
    /// history does not reach around it.
    fn rate_around(&self, day: Day) -> Option<f64> {
        let at = |day: i32| usize::try_from(day - self.history.from.0).ok();
        let (from, to) = (at(day.0 - SEASON_HALF_WIDTH)?, at(day.0 + SEASON_HALF_WIDTH + 1)?);
        if to > self.history.days.len() {
            return None;
        }
        let count = self.sums.counts[to] - self.sums.counts[from];
        (count > 0.0).then(|| (self.sums.values[to] - self.sums.values[from]) / count)
    }

    /// Last year's rate over the days that the level is learned from, weighted as they are.
    fn season_rate_before(&self, today: Day) -> Option<f64> {
        let (mut sum, mut weights) = (0.0, 0.0);
        // Every third day is enough: the rate is a mean over three weeks anyway.
        for (back, weight) in (0i32..).zip(*WEIGHTS).skip(1).step_by(3) {
            sum += weight * self.rate_around(year_before(Day(today.0 - back)))?;
            weights += weight;
        }
        Some(sum / weights)
    }

    fn learn_weekdays(&mut self) {
        let today = self.history.today();
        let (mut sums, mut counts) = ([0.0; 7], [0.0; 7]);
        for back in 1..=WEEKDAY_DAYS {
            let day = Day(today.0 - back);
            if let Some(value) = self.ordinary(day) {
                sums[weekday(day)] += value;
                counts[weekday(day)] += 1.0;
            }
        }
        let (all, days): (f64, f64) = (sums.iter().sum(), counts.iter().sum());
        if days < 1.0 || all <= 0.0 {
            return;
        }
        let mean = all / days;
        for ((factor, sum), count) in self.weekdays.iter_mut().zip(sums).zip(counts) {
            *factor = (sum + WEEKDAY_SHRINKAGE * mean) / ((count + WEEKDAY_SHRINKAGE) * mean);
        }
    }

    /// What each part of the closed periods brought, against the whole period's rate.
    fn learn_phases(&mut self) {
        let (mut sums, mut seen) = ([0.0; PHASES], 0.0);
        let periods = std::iter::zip(&self.sums.periods, &self.sums.parts);
        let closed = periods.filter(|((_, end), _)| *end <= self.period.0);
        // Twelve closed periods are as good as all of them.
        for (_, parts) in closed.take(12) {
            let Some(Parts { brought, days }) = parts else {
                break;
            };
            let expected = days.map(|days| {
                let of_weekdays = std::iter::zip(days, self.weekdays);
                of_weekdays.map(|(days, factor)| days * factor).sum::<f64>()
            });
            let (all, weights): (f64, f64) = (brought.iter().sum(), expected.iter().sum());
            if all <= 0.0 || weights <= 0.0 {
                continue;
            }
            for phase in 0..PHASES {
                let rate = if expected[phase] > 0.0 {
                    brought[phase] / expected[phase] / (all / weights)
                } else {
                    1.0
                };
                sums[phase] += rate;
            }
            seen += 1.0;
        }
        for (factor, sum) in self.phases.iter_mut().zip(sums) {
            *factor = (sum + PHASE_SHRINKAGE) / (seen + PHASE_SHRINKAGE);
        }
    }

    fn learn_level(&mut self) {
        let today = self.history.today();
        let (mut brought, mut expected, mut weights) = (0.0, 0.0, 0.0);
        let mut seen: Vec<(f64, f64, f64)> = Vec::with_capacity(LEVEL_DAYS as usize);
        for (back, weight) in (0i32..).zip(*WEIGHTS).skip(1) {
            let day = Day(today.0 - back);
            let Some(value) = self.ordinary(day) else { continue };
            let phase = self.sums.phases[(day.0 - self.history.from.0) as usize];
            let factor = self.weekdays[weekday(day)] * self.season(day) * self.phases[usize::from(phase)];
            brought += weight * value;
            expected += weight * factor;
            weights += weight;
            seen.push((weight, value, factor));
        }
        if expected > 0.0 {
            self.level = brought / expected;
        }
        if self.level <= 0.0 || weights <= 0.0 {
            return;
        }
        let squares: f64 = seen
            .iter()
            .map(|(weight, value, factor)| weight * (value / self.level - factor).powi(2))
            .sum();
        self.noise = squares / weights;
        self.weight = weights;
    }

    /// The factor of a special day: what the days of its name brought before, against their ordinary neighbours;
    /// `None` for a day that is not special, or of which nothing is known.
    fn special(&self, day: Day) -> Option<f64> {
        // The calendar was asked for the days of the history already, and a date costs something.
        let calendar = self.history.calendar;
        if calendar.special_days.is_empty() || self.sums.is_ordinary(self.history.from, day) {
            return None;
        }
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
            let (Some(value), Some(rate)) = (self.value(same), self.rate_around(same)) else {
                continue;
            };
            if rate > 0.0 {
                sum += value / rate;
                count += 1.0;
            }
        }
        let ordinary = self.weekdays[weekday(day)];
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
