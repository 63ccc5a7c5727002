//! The forecast in its simple form: of a level, and of a total with less than a week of history. What a total with more
//! will come to is told by [`super::outlook`].
//!
//! A level stays where it is; its spread is that of days around their mean. A total without history follows its plan.

use super::outlook::normal;

/// Complete days that the means are taken from.
pub const DAYS: usize = 28;
/// Complete days without which there is no spread, and so no probability.
const MIN_DAYS: usize = 14;

/// What is known of a node.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// Value of the period so far.
    pub value: f64,
    /// The latest complete days, oldest first, the last one yesterday; `None` where there was no value.
    pub days: &'a [Option<f64>],
    /// Days of the period that come after today.
    pub days_left: usize,
    /// Share of the period that has passed.
    pub elapsed: f64,
    /// Planned share by now.
    pub expected_share: f64,
    /// Whether the value grows with the period.
    pub accumulates: bool,
}

/// A projected value with its spread.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Forecast {
    /// Projected value at the period's end.
    pub value: f64,
    /// Standard deviation; `None` with too little history.
    pub spread: Option<f64>,
}

/// Projects the period's end.
pub fn forecast(known: Known<'_>) -> Forecast {
    let recent = &known.days[known.days.len().saturating_sub(DAYS)..];
    if known.accumulates {
        total(known)
    } else {
        let seen: Vec<f64> = recent.iter().flatten().copied().collect();
        level(known, &seen)
    }
}

/// Value so far over planned share: the rule of three.
fn total(known: Known<'_>) -> Forecast {
    let share = known.expected_share.max(1e-9);
    let value = if share < 0.02 {
        known.value
    } else {
        known.value / share
    };
    Forecast { value, spread: None }
}

/// A level stays where it is; its end is an average over the period, of which the part to come may differ: by the mean of
/// the days left, and by as much as what was seen is off from where the level is.
fn level(known: Known<'_>, seen: &[f64]) -> Forecast {
    let spread = (seen.len() >= MIN_DAYS).then(|| {
        let n = seen.len() as f64;
        let mean = seen.iter().sum::<f64>() / n;
        let squares: f64 = seen.iter().map(|value| (value - mean).powi(2)).sum();
        let variance = squares / (n - 1.0) * inflation(seen, mean, squares);
        let left = (known.days_left as f64).max(1.0);
        let passed = (left * known.elapsed / (1.0 - known.elapsed).max(1e-9)).max(1.0);
        (1.0 - known.elapsed) * (variance / left + variance / passed).sqrt()
    });
    Forecast {
        value: known.value,
        spread,
    }
}

/// How much more the mean of many days varies than if each of them were drawn anew: (1 + ρ) / (1 − ρ) of an autoregression
/// of the first order, ρ mended for the few days that it is taken from (Marriott and Pope 1954, Biometrika 41).
fn inflation(seen: &[f64], mean: f64, squares: f64) -> f64 {
    /// Of a level that never comes back no month says where it goes.
    const HIGHEST: f64 = 0.9;
    if squares <= 0.0 {
        return 1.0;
    }
    let products: f64 = seen
        .windows(2)
        .map(|pair| (pair[0] - mean) * (pair[1] - mean))
        .sum();
    let raw = products / squares;
    let rho = (raw + (1.0 + 3.0 * raw) / seen.len() as f64).clamp(0.0, HIGHEST);
    (1.0 + rho) / (1.0 - rho)
}

impl Forecast {
    /// Probability of ending at or above a target; `None` without a spread.
    pub fn probability_above(&self, target: f64) -> Option<f64> {
        let spread = self.spread?;
        if spread <= f64::EPSILON * self.value.abs() {
            return Some(if self.value >= target { 1.0 } else { 0.0 });
        }
        Some(normal((self.value - target) / spread))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(days: &[Option<f64>]) -> Known<'_> {
        Known {
            value: 100.0,
            days,
            days_left: 10,
            elapsed: 0.5,
            expected_share: 0.5,
            accumulates: true,
        }
    }

    #[test]
    fn with_little_history_the_plan_speaks_and_there_is_no_probability() {
        let days = vec![Some(10.0); 3];
        let found = forecast(known(&days));
        assert_eq!((found.value, found.probability_above(1.0)), (200.0, None));
    }

    #[test]
    fn a_level_stays_where_it_is() {
        let days: Vec<Option<f64>> = (0..28)
            .map(|i| Some(if i % 2 == 0 { 90.0 } else { 110.0 }))
            .collect();
        let mut level = known(&days);
        level.accumulates = false;
        let found = forecast(level);
        assert_eq!(found.value, 100.0);
        assert!((found.probability_above(100.0).unwrap() - 0.5).abs() < 1e-6);
        assert!(found.probability_above(110.0).unwrap() < 0.01);
    }
}
