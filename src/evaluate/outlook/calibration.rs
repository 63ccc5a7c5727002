//! How sure forecasts of a series are: what the same forecast said of the periods that have closed, at the same share
//! elapsed, against what came.

use std::sync::Arc;

use super::{History, MIN_DAYS, model};
use crate::evaluate::snapshot::Period;
use crate::fold::day::Day;

/// Closed periods that are looked at: those longest ago say little of today.
const PERIODS: usize = 12;
/// Days of history before a moment in a closed period from which on a forecast of it says something.
const DAYS_BEFORE: i32 = 42;
/// Periods that the prior from the noise of single days counts as.
const PRIOR: f64 = 3.0;
/// How much wider than the noise of single days the prior is: weeks are alike, days are not independent.
const PRIOR_WIDTH: f64 = 1.6;
/// Width of the kernel around each score, as a share of the prior's spread.
const KERNEL: f64 = 0.6;
/// A score beyond this is no score: nothing was forecast, or nothing came.
const LARGEST: f64 = 3.0;

/// Scores of closed periods at one share elapsed: ln of what came after that moment against what was forecast of it.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Calibration {
    scores: Arc<[f32]>,
}

impl Calibration {
    /// Forecasts the closed periods of a history at the morning of the day that lies as far into them as today does
    /// into the running one.
    pub fn of(history: History<'_>, running: Period) -> Calibration {
        let (start, end) = (Day::of(running.start).0, Day::of(running.end).0);
        let today = history.today();
        let share = f64::from(today.0 - start) / f64::from((end - start).max(1));
        let prepared = model::Prepared::of(history, running);
        let mut scores = Vec::new();
        for &period in prepared.closed().iter().take(PERIODS) {
            let (start, end) = (Day(period.0), Day(period.1));
            let length = end.0 - start.0;
            let moment = Day(start.0 + ((share * f64::from(length)) as i32).clamp(0, length - 1));
            if moment.0 - history.from.0 < DAYS_BEFORE {
                break;
            }
            let known = history.until(moment);
            if known.days.len() < MIN_DAYS {
                break;
            }
            let model = model::Model::of(known, &prepared, period);
            let forecast: f64 = (moment.0..end.0).map(|day| model.expected(Day(day))).sum();
            let at = |day: Day| usize::try_from(day.0 - history.from.0).unwrap_or(0);
            let came: f64 = history.days[at(moment)..at(end).min(history.days.len())]
                .iter()
                .sum();
            if forecast > 0.0 && came > 0.0 {
                let score = (came / forecast).ln();
                if score.abs() <= LARGEST {
                    scores.push(score as f32);
                }
            }
        }
        Calibration {
            scores: scores.into(),
        }
    }

    /// By how much forecasts of this series are off on one side, believed as far as there are scores: the median,
    /// shrunk by four periods at 0.
    pub fn bias(&self) -> f64 {
        let mut sorted: Vec<f32> = self.scores.to_vec();
        sorted.sort_by(f32::total_cmp);
        let count = sorted.len();
        if count == 0 {
            return 0.0;
        }
        let median = f64::from(sorted[(count - 1) / 2] + sorted[count / 2]) / 2.0;
        median * count as f64 / (count as f64 + 4.0)
    }

    /// The scores around the corrected forecast.
    pub(super) fn centred(&self) -> Arc<[f32]> {
        let bias = self.bias() as f32;
        if bias == 0.0 {
            return self.scores.clone();
        }
        self.scores.iter().map(|score| score - bias).collect()
    }
}

/// Probability that ln(outcome / forecast) of what is to come is at most `x`: the prior and a kernel around each score.
pub(super) fn cumulative(x: f64, spread: f64, scores: &[f32]) -> f64 {
    let prior = (spread * PRIOR_WIDTH).max(1e-6);
    let kernel = (prior * KERNEL).max(1e-6);
    let of_scores: f64 = scores
        .iter()
        .map(|score| normal((x - f64::from(*score)) / kernel))
        .sum();
    (PRIOR * normal(x / prior) + of_scores) / (PRIOR + scores.len() as f64)
}

/// The value below which a share of the distribution lies, by bisection.
pub(super) fn quantile(share: f64, spread: f64, scores: &[f32]) -> f64 {
    let widest = scores
        .iter()
        .map(|score| f64::from(score.abs()))
        .fold(0.0, f64::max)
        + 10.0 * spread.max(1e-6);
    let (mut low, mut high) = (-widest, widest);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if cumulative(middle, spread, scores) < share {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

/// Φ by the error function of Abramowitz and Stegun 7.1.26; absolute error below 1.5·10⁻⁷.
pub(in crate::evaluate) fn normal(z: f64) -> f64 {
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
