//! One pass over a history: what was known on the morning of each of its days.
//!
//! An ordinary day is level × weekday × phase of its period. A level is Σ λᵏ · value / Σ λᵏ · factor, one for each λ of
//! [`KEPT`]: which of them forecasts a series best is another question ([`super::calibration`]). A day that is far out counts as no more than the edge of what is usual, as in robust exponential smoothing (Gelper, Fried, Croux 2010,
//! "Robust forecasting with exponential and Holt-Winters smoothing", Journal of Forecasting 29). Where so many days in a
//! row are far out on one side that it is no chance, the series has moved, and its levels begin anew from those days; two
//! days that are like the time before bring it back.

/// How many levels there are.
pub(super) const LEVELS: usize = 4;
/// What a day counts one day later in each of the levels: half after 4, 10, 24 and 60 days.
const KEPT: [f64; LEVELS] = [
    0.840_896_415_253_714_5,
    0.933_032_991_536_807_4,
    0.971_531_941_153_605_9,
    0.988_514_020_352_896_2,
];
/// The level that days are compared with.
pub(super) const REFERENCE: usize = 1;
/// What a weekday's day counts a week later: half after ten weeks.
const WEEKDAY_KEPT: f64 = 0.933_032_991_536_807_4;
/// Days of a weekday that the shrinkage adds at the overall mean.
const WEEKDAY_SHRINKAGE: f64 = 2.0;
/// What a day's deviation counts a day later: half after four weeks.
const DEVIATION_KEPT: f64 = 0.975_548_642_052_573_2;
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
/// Days of a run after which one within it that brought something is enough: of what sells on single days three take months.
const LONG_RUN: u32 = 14;
/// Chance of a run below which it is none, from how often days were far out before.
const CHANCE: f64 = 1e-4;
/// How far a series moves at least, by logarithms; levels follow what is less by themselves.
const MOVE: f64 = 1.0;

/// What was known on a morning, as sums: a pass has a morning a day, and of most of them little is asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Morning {
    levels: Levels,
    weekdays: Weekdays,
}

impl Morning {
    /// What a mean day brings, by half-life.
    pub(super) fn levels(&self) -> [f64; LEVELS] {
        std::array::from_fn(|at| self.levels.mean(at).unwrap_or(0.0))
    }

    /// The sum of the factors of so many weekdays from one on, Monday 0; each is 1 on average.
    pub(super) fn weekdays(&self, first: usize, count: usize) -> f64 {
        let Weekdays { factors, sum: all } = &self.weekdays;
        let sum: f64 = (first..first + count).map(|weekday| factors[weekday % 7]).sum();
        if *all > 0.0 { 7.0 * sum / all } else { sum }
    }
}

/// Σ λᵏ · value and Σ λᵏ · factor, by half-life.
#[derive(Clone, Copy, Debug, Default)]
struct Levels {
    values: [f64; LEVELS],
    factors: [f64; LEVELS],
}

impl Levels {
    fn add(&mut self, value: f64, factor: f64) {
        for (sum, kept) in self.values.iter_mut().zip(KEPT) {
            *sum = kept * *sum + value;
        }
        for (sum, kept) in self.factors.iter_mut().zip(KEPT) {
            *sum = kept * *sum + factor;
        }
    }

    fn mean(&self, at: usize) -> Option<f64> {
        mean((self.values[at], self.factors[at]))
    }
}

/// Factors of Monday to Sunday, as they are and their sum.
#[derive(Clone, Copy, Debug)]
struct Weekdays {
    factors: [f64; 7],
    sum: f64,
}

impl Default for Weekdays {
    fn default() -> Weekdays {
        Weekdays {
            factors: [1.0; 7],
            sum: 7.0,
        }
    }
}

impl Weekdays {
    fn set(&mut self, weekday: usize, (values, days): Sum) {
        self.factors[weekday] = (values + WEEKDAY_SHRINKAGE) / (days + WEEKDAY_SHRINKAGE);
        // In pairs: days wait for this sum, one after the other.
        let [a, b, c, d, e, f, g] = self.factors;
        self.sum = ((a + b) + (c + d)) + ((e + f) + g);
    }

    /// 1 on average.
    fn factor(&self, weekday: usize) -> f64 {
        match self.sum > 0.0 {
            true => 7.0 * self.factors[weekday] / self.sum,
            false => self.factors[weekday],
        }
    }
}

/// Days in a row that are far out on one side.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    is_above: bool,
    days: u32,
    /// Days that brought something.
    filled: u32,
    /// Those of them that are neither its first nor its last: a feed that stops, or comes back, does so within a day.
    inside: u32,
    /// Whether its last day brought something.
    was_filled: bool,
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
    levels: Levels,
    /// Of each weekday what its days brought as shares of the level, and their number.
    of_weekdays: [Sum; 7],
    weekdays: Weekdays,
    deviation: Sum,
    seen: u32,
    run: Run,
    /// Days that were far out, below and above.
    far_out: [f64; 2],
    /// The levels before the series moved.
    before: Option<Levels>,
}

impl Filter {
    /// What is known after the days so far.
    pub(super) fn morning(&self) -> Morning {
        Morning {
            levels: self.levels,
            weekdays: self.weekdays,
        }
    }

    /// Mean absolute deviation of a day from what was expected of it, as a share of the level.
    pub(super) fn deviation(&self) -> f64 {
        mean(self.deviation).unwrap_or(UNKNOWN_DEVIATION)
    }

    /// How many days that is known from, those long ago less.
    pub(super) fn days(&self) -> f64 {
        self.deviation.1
    }

    /// The factor of a weekday, 1 on average.
    pub(super) fn weekday(&self, weekday: usize) -> f64 {
        self.weekdays.factor(weekday)
    }

    /// Takes in what an ordinary day brought; gives back what it counts as.
    pub(super) fn take(&mut self, value: f64, weekday: usize, phase: f64) -> f64 {
        // The next day's factor waits for this one by way of level and weekday: there are no more divisions on that way than
        // needed, and none for what hardly ever happens.
        let factor = (self.weekday(weekday) * phase).max(0.01);
        let (values, factors) = (self.levels.values[REFERENCE], self.levels.factors[REFERENCE]);
        let level = mean((values, factors)).unwrap_or(0.0);
        let expected = level * factor;
        self.seen += 1;
        let mut counted = value;
        if self.seen > FIRST_DAYS && level > 0.0 {
            let mut spread = self.deviation().max(LEAST_DEVIATION);
            if factor < SMALLEST_FACTOR {
                spread *= SMALLEST_FACTOR / factor;
            }
            let far = 1.0 + FAR * spread;
            let is_above = value > expected * far;
            if is_above || value * far * far < expected {
                if self.has_moved(value, factor, level, is_above) {
                    return value;
                }
                counted = if is_above {
                    expected * far
                } else {
                    expected / (far * far)
                };
            } else {
                self.run = Run::default();
            }
        }
        self.levels.add(counted, factor);
        // The first days have no level to be compared with.
        if level > 0.0 && self.seen > RUN {
            let of_weekday = &mut self.of_weekdays[weekday];
            *of_weekday = (
                WEEKDAY_KEPT * of_weekday.0 + counted * factors / (values * phase.max(0.1)),
                WEEKDAY_KEPT * of_weekday.1 + 1.0,
            );
            self.weekdays.set(weekday, *of_weekday);
            let deviates = (counted - expected).abs() / (level * factor.max(SMALLEST_FACTOR));
            self.deviation = (
                DEVIATION_KEPT * self.deviation.0 + deviates,
                DEVIATION_KEPT * self.deviation.1 + 1.0,
            );
        }
        counted
    }

    /// Whether a day that is far out shows that the series has moved, or is back; its levels follow.
    #[cold]
    fn has_moved(&mut self, value: f64, factor: f64, level: f64, is_above: bool) -> bool {
        if self.run.is_above != is_above {
            self.run = Run::default();
        }
        let run = &mut self.run;
        run.is_above = is_above;
        run.inside += u32::from(run.was_filled && run.days > 1);
        run.was_filled = value > 0.0;
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
        let is_filled = run.filled >= RUN || (run.inside > 0 && run.days >= LONG_RUN);
        let is_new = is_filled && is_no_chance && (moved / level).ln().abs() > MOVE;
        let old = self.before.and_then(|before| before.mean(REFERENCE));
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
                Levels {
                    values: [run.brought; LEVELS],
                    factors: [run.factors; LEVELS],
                }
            }
        };
        self.run = Run::default();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The level by half-lives of ten days, after 90 days of a hundred each and some more.
    fn level_after(more: &[f64]) -> f64 {
        let mut filter = Filter::default();
        let days = std::iter::repeat_n(&100.0, 90).chain(more);
        for (number, &value) in days.enumerate() {
            filter.take(value, number % 7, 1.0);
        }
        filter.morning().levels()[REFERENCE]
    }

    #[test]
    fn what_sells_on_single_days_has_moved_after_two_weeks_and_a_gap_is_none() {
        let mut days = [0.0; 21];
        assert!(level_after(&days) > 40.0, "a gap: {}", level_after(&days));
        days[4] = 0.5;
        assert!(level_after(&days[..13]) > 60.0, "not yet");
        // Half of one in two weeks.
        let level = level_after(&days[..14]);
        assert!((level - 0.5 / 14.0).abs() < 1e-3, "{level}");
        // A feed that stopped in the morning of a day, and one that came back in the evening.
        let mut gap = [0.0; 21];
        gap[0] = 3.0;
        assert!(level_after(&gap) > 40.0, "{}", level_after(&gap));
        gap[20] = 3.0;
        assert!(level_after(&gap) > 40.0, "{}", level_after(&gap));
        let back = [gap.as_slice(), &[100.0; 3]].concat();
        assert!(level_after(&back) > 45.0, "{}", level_after(&back));
    }

    #[test]
    fn what_is_kept_of_a_day_halves_as_often_as_is_said() {
        assert_eq!(KEPT, [4.0, 10.0, 24.0, 60.0].map(|days| 0.5f64.powf(1.0 / days)));
        assert_eq!(WEEKDAY_KEPT, 0.5f64.powf(0.1));
        assert_eq!(DEVIATION_KEPT, 0.5f64.powf(1.0 / 28.0));
    }
}
