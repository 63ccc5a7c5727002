//! One pass over a history: what was known on the morning of each of its days.
//!
//! An ordinary day is level × weekday × phase of its period. A level is Σ λᵏ · value / Σ λᵏ · factor, one for each of
//! [`HALF_LIVES`]: which of them forecasts a series best is another question ([`super::calibration`]). A day that is far
//! out counts as no more than the edge of what is usual, as in robust exponential smoothing (Gelper, Fried, Croux 2010,
//! "Robust forecasting with exponential and Holt-Winters smoothing", Journal of Forecasting 29). Where so many days in a
//! row are far out on one side that it is no chance, the series has moved, and its levels begin anew from those days; two
//! days that are like the time before bring it back.

use std::sync::LazyLock;

/// How many levels there are.
pub(super) const LEVELS: usize = 4;
/// Days after which a day counts half in each of the levels.
const HALF_LIVES: [f64; LEVELS] = [4.0, 10.0, 24.0, 60.0];
/// What a day counts one day later.
static KEPT: LazyLock<[f64; LEVELS]> = LazyLock::new(|| HALF_LIVES.map(|days| 0.5f64.powf(1.0 / days)));
/// The level that days are compared with.
pub(super) const REFERENCE: usize = 1;
/// What a weekday's day counts a week later: half after ten weeks.
static WEEKDAY_KEPT: LazyLock<f64> = LazyLock::new(|| 0.5f64.powf(0.1));
/// Days of a weekday that the shrinkage adds at the overall mean.
const WEEKDAY_SHRINKAGE: f64 = 2.0;
/// What a day's deviation counts a day later: half after four weeks.
static DEVIATION_KEPT: LazyLock<f64> = LazyLock::new(|| 0.5f64.powf(1.0 / 28.0));
/// Mean deviation that is believed of a series of which nothing is known.
const UNKNOWN_DEVIATION: f64 = 0.5;
/// Mean deviation that is allowed at least: what has never varied may move a little every day.
const LEAST_DEVIATION: f64 = 0.05;
/// Days of weekdays that bring next to nothing deviate as those that bring so much: a share of a mean day.
const SMALLEST_FACTOR: f64 = 0.3;
/// Mean deviations from which on a day is far out: 3.2 standard deviations of a normal distribution.
const FAR: f64 = 4.0;
/// Ordinary days after which it can be told what is far out: each weekday twice.
const FIRST_DAYS: u32 = 14;
/// Days in a row that are far out, at least, of a series that has moved.
const RUN: u32 = 3;
/// Chance of a run below which it is none, from how often days were far out before.
const CHANCE: f64 = 1e-4;
/// How far a series moves at least, by logarithms; levels follow what is less by themselves.
const MOVE: f64 = 1.0;

/// What was known on a morning.
#[derive(Clone, Copy, Debug)]
pub(super) struct Morning {
    /// What a mean day brings, by half-life.
    pub(super) levels: [f64; LEVELS],
    /// Factors of Monday to Sunday, 1 on average.
    pub(super) weekdays: [f64; 7],
    /// Mean absolute deviation of a day from what was expected of it, as a share of the level.
    pub(super) deviation: f64,
    /// How many days that is known from, those long ago less.
    pub(super) days: f64,
}

/// Days in a row that are far out on one side.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    is_above: bool,
    days: u32,
    /// Days that brought something.
    filled: u32,
    brought: f64,
    factors: f64,
}

/// A weighted sum of values, and of what divides it.
type Sum = (f64, f64);

fn mean((values, weights): Sum) -> Option<f64> {
    (weights > 0.0).then(|| values / weights)
}

/// The state of the pass.
#[derive(Debug, Default)]
pub(super) struct Filter {
    levels: [Sum; LEVELS],
    weekdays: [Sum; 7],
    deviation: Sum,
    seen: u32,
    run: Run,
    /// Days that were far out, below and above.
    far_out: [f64; 2],
    /// The levels before the series moved.
    before: Option<[Sum; LEVELS]>,
}

impl Filter {
    /// What is known after the days so far.
    pub(super) fn morning(&self) -> Morning {
        let mut weekdays = self
            .weekdays
            .map(|(sum, count)| (sum + WEEKDAY_SHRINKAGE) / (count + WEEKDAY_SHRINKAGE));
        let all = weekdays.iter().sum::<f64>() / 7.0;
        if all > 0.0 {
            weekdays.iter_mut().for_each(|factor| *factor /= all);
        }
        Morning {
            levels: self.levels.map(|sum| mean(sum).unwrap_or(0.0)),
            weekdays,
            deviation: mean(self.deviation).unwrap_or(UNKNOWN_DEVIATION),
            days: self.deviation.1,
        }
    }

    /// Takes in what an ordinary day brought; gives back what it counts as.
    pub(super) fn take(&mut self, value: f64, weekday: usize, phase: f64) -> f64 {
        let known = self.morning();
        let factor = (known.weekdays[weekday] * phase).max(0.01);
        let level = known.levels[REFERENCE];
        let expected = level * factor;
        let spread = known.deviation.max(LEAST_DEVIATION) * factor.max(SMALLEST_FACTOR) / factor;
        self.seen += 1;
        let mut counted = value;
        if self.seen > FIRST_DAYS && level > 0.0 {
            let (low, high) = (
                expected / (1.0 + FAR * spread).powi(2),
                expected * (1.0 + FAR * spread),
            );
            if self.has_moved(value, factor, level, (low, high)) {
                return value;
            }
            counted = value.clamp(low, high);
        }
        for (sum, kept) in self.levels.iter_mut().zip(*KEPT) {
            *sum = (kept * sum.0 + counted, kept * sum.1 + factor);
        }
        // The first days have no level to be compared with.
        if level > 0.0 && self.seen > RUN {
            let of_weekday = &mut self.weekdays[weekday];
            *of_weekday = (
                *WEEKDAY_KEPT * of_weekday.0 + counted / (level * phase.max(0.1)),
                *WEEKDAY_KEPT * of_weekday.1 + 1.0,
            );
            let deviates = (counted - expected).abs() / (level * factor.max(SMALLEST_FACTOR));
            let kept = *DEVIATION_KEPT;
            self.deviation = (kept * self.deviation.0 + deviates, kept * self.deviation.1 + 1.0);
        }
        counted
    }

    /// Whether a day shows that the series has moved, or is back; its levels follow.
    fn has_moved(&mut self, value: f64, factor: f64, level: f64, (low, high): (f64, f64)) -> bool {
        if (low..=high).contains(&value) {
            self.run = Run::default();
            return false;
        }
        let is_above = value > high;
        if self.run.is_above != is_above {
            self.run = Run::default();
        }
        let run = &mut self.run;
        run.is_above = is_above;
        run.days += 1;
        run.filled += u32::from(value > 0.0);
        run.brought += value;
        run.factors += factor;
        let run = *run;
        let moved = run.brought / run.factors;
        let far_out = &mut self.far_out[usize::from(is_above)];
        let usual = (*far_out + 0.5) / f64::from(self.seen);
        let is_no_chance = usual.powi(run.days.try_into().unwrap_or(i32::MAX)) < CHANCE;
        // Days without anything are a gap: nothing is begun anew from nothing.
        let is_new = run.filled >= RUN && is_no_chance && (moved / level).ln().abs() > MOVE;
        let old = self.before.and_then(|sums| mean(sums[REFERENCE]));
        let is_back = run.days >= 2
            && old.is_some_and(|old| {
                // Nearer to the time before than to now, by logarithms.
                let half = (old * level).sqrt();
                old > 0.0 && (old > level) == is_above && (moved > half) == is_above
            });
        if !is_new && !is_back {
            *far_out += 1.0;
            return false;
        }
        *far_out = (*far_out - f64::from(run.days - 1)).max(0.0);
        let known = self.levels;
        self.levels = match self.before.take() {
            Some(before) if is_back => before,
            _ => {
                self.before = Some(known);
                [(run.brought, run.factors); LEVELS]
            }
        };
        self.run = Run::default();
        true
    }
}
