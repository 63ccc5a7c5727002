//! The forecast in its simple form: what the latest weeks say of the days that are left, by weekday.
//!
//! Period-end value = value so far + Σ over the days left of the mean of their weekday over the latest 28 days, each
//! weekday's mean shrunk towards the overall one as if two more days of it had been seen at the overall mean. The
//! spread is that of days around their weekday's mean, with the uncertainty of the means themselves; the probability
//! of the target takes both as normal.

/// Complete days that the means are taken from.
pub const DAYS: usize = 28;
/// Complete days without which there is no spread, and so no probability.
const MIN_DAYS: usize = 14;
/// Days of a weekday that the shrinkage adds at the overall mean.
const SHRINKAGE: f64 = 2.0;

/// What is known of a node.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// Value of the period so far.
    pub value: f64,
    /// Value of today so far; it is part of `value`.
    pub today: f64,
    /// The latest complete days, oldest first, the last one yesterday; `None` where there was no value.
    pub days: &'a [Option<f64>],
    /// Weekday of yesterday, 0 to 6.
    pub weekday_of_last: usize,
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
    let first_weekday = (known.weekday_of_last + 7 * DAYS + 1 - recent.len()) % 7;
    let seen: Vec<(usize, f64)> = recent
        .iter()
        .enumerate()
        .filter_map(|(i, day)| Some(((first_weekday + i) % 7, (*day)?)))
        .collect();
    if known.accumulates {
        total(known, &seen)
    } else {
        level(known, &seen)
    }
}

fn total(known: Known<'_>, seen: &[(usize, f64)]) -> Forecast {
    if seen.len() < 7 {
        let share = known.expected_share.max(1e-9);
        let value = if share < 0.02 {
            known.value
        } else {
            known.value / share
        };
        return Forecast { value, spread: None };
    }
    let n = seen.len() as f64;
    let overall = seen.iter().map(|(_, value)| value).sum::<f64>() / n;
    let mean_of = |weekday: usize| {
        let (mut sum, mut count) = (SHRINKAGE * overall, SHRINKAGE);
        for (_, value) in seen.iter().filter(|(day, _)| *day == weekday) {
            sum += value;
            count += 1.0;
        }
        sum / count
    };
    let means: [f64; 7] = std::array::from_fn(mean_of);
    let today = (known.weekday_of_last + 1) % 7;
    let rest_of_today = (means[today] - known.today).max(0.0);
    let ahead: f64 = (1..=known.days_left).map(|n| means[(today + n) % 7]).sum();
    let spread = (seen.len() >= MIN_DAYS).then(|| {
        let squares: f64 = seen
            .iter()
            .map(|(weekday, value)| (value - means[*weekday]).powi(2))
            .sum();
        let left = known.days_left as f64 + 0.5;
        (squares / (n - 1.0) * (left + left * left / n)).sqrt()
    });
    Forecast {
        value: known.value + rest_of_today + ahead,
        spread,
    }
}

/// A level stays where it is; its end is an average over the period, of which the part to come may differ.
fn level(known: Known<'_>, seen: &[(usize, f64)]) -> Forecast {
    let spread = (seen.len() >= MIN_DAYS).then(|| {
        let n = seen.len() as f64;
        let mean = seen.iter().map(|(_, value)| value).sum::<f64>() / n;
        let variance = seen.iter().map(|(_, value)| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
        let left = (known.days_left as f64).max(1.0);
        (1.0 - known.elapsed) * (variance / left).sqrt()
    });
    Forecast {
        value: known.value,
        spread,
    }
}

impl Forecast {
    /// Probability of ending at or above a target; `None` without a spread.
    pub fn probability_above(&self, target: f64) -> Option<f64> {
        let spread = self.spread?;
        if spread <= f64::EPSILON * self.value.abs() {
            return Some(if self.value >= target { 1.0 } else { 0.0 });
        }
        Some(normal_cdf((self.value - target) / spread))
    }
}

/// Φ by the error function of Abramowitz and Stegun 7.1.26; absolute error below 1.5·10⁻⁷.
fn normal_cdf(z: f64) -> f64 {
    let x = z.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let poly = t
        * (0.254_829_592
            + t * (-0.284_496_736 + t * (1.421_413_741 + t * (-1.453_152_027 + t * 1.061_405_429))));
    let erf = 1.0 - poly * (-x * x).exp();
    if z >= 0.0 {
        0.5 + erf / 2.0
    } else {
        0.5 - erf / 2.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(days: &[Option<f64>]) -> Known<'_> {
        Known {
            value: 100.0,
            today: 4.0,
            days,
            weekday_of_last: 0,
            days_left: 10,
            elapsed: 0.5,
            expected_share: 0.5,
            accumulates: true,
        }
    }

    #[test]
    fn steady_days_go_on() {
        let days = vec![Some(10.0); 28];
        let found = forecast(known(&days));
        assert_eq!(found.value, 100.0 + 6.0 + 100.0);
        assert_eq!(found.probability_above(206.0), Some(1.0));
        assert_eq!(found.probability_above(207.0), Some(0.0));
    }

    #[test]
    fn weekdays_are_told_apart() {
        // Yesterday was a Monday; 28 days with a busy Tuesday, which today is.
        let days: Vec<Option<f64>> = (0..28)
            .map(|i| Some(if i % 7 == 0 { 70.0 } else { 7.0 }))
            .collect();
        let mut left = known(&days);
        left.days_left = 0;
        left.today = 0.0;
        let busy = (4.0 * 70.0 + 2.0 * 16.0) / 6.0;
        assert!((forecast(left).value - (100.0 + busy)).abs() < 1e-9);
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

    #[test]
    fn the_normal_distribution_is_itself() {
        for (z, expected) in [
            (0.0, 0.5),
            (1.0, 0.841_344_75),
            (-1.96, 0.024_997_9),
            (4.0, 0.999_968_3),
        ] {
            assert!((normal_cdf(z) - expected).abs() < 2e-7, "{z}");
        }
    }
}
