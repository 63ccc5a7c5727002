//! Which level forecasts a series best, and how sure its forecasts are: what they said of as many days of the history as
//! are left of the period, against what came.

use std::sync::Arc;

use super::model::{FORECASTS, Origin, Prepared};

/// Mean absolute error, by logarithms, that is believed of every forecast before any was made.
const USUAL_ERROR: f64 = 0.15;
/// Forecasts that this belief counts as, and the one of their spread.
const BELIEF: f64 = 6.0;
/// How much more the better forecasts count: weights go with the inverse of their errors to this power.
const POWER: i32 = 6;
/// The largest error of a forecast that counts: after a change of unit all of them are off, and none is better.
const LARGEST_ERROR: f64 = 1.0;
/// Forecasts that the normal distribution of the spread counts as beside theirs.
const PRIOR: f64 = 2.5;
/// Width of the kernel around each score, as a share of the spread of forecasts.
const KERNEL: f64 = 0.45;
/// Scores that are kept at most, spread evenly over all of them: quantiles need no more.
const KEPT: usize = 32;
/// What a score counts as at most for the spread of forecasts: one month of another unit says little of the next.
const FAR_OFF: f32 = 0.4;
/// A score beyond this is no score: nothing was forecast, or nothing came.
const LARGEST: f64 = 3.0;

/// How much each of the forecasts counts.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Weights([f64; FORECASTS]);

impl Weights {
    /// By the mean absolute logarithmic error that each of them had (Bates and Granger 1969, "The combination of
    /// forecasts", with a power that makes it nearly a choice).
    fn of(origins: &[Origin]) -> Weights {
        // Logarithms add up as their numbers multiply, and there is one for all of them: ORIGINS factors of at most e.
        let most = LARGEST_ERROR.exp();
        let mut off = [1.0; FORECASTS];
        let mut count = BELIEF;
        for origin in origins.iter().filter(|origin| origin.counted > 0.0) {
            count += 1.0;
            for (off, said) in off.iter_mut().zip(origin.said) {
                let (low, high) = match said < origin.counted {
                    true => (said, origin.counted),
                    false => (origin.counted, said),
                };
                *off *= if low > 0.0 { (high / low).min(most) } else { most };
            }
        }
        let errors = off.map(|off| BELIEF * USUAL_ERROR + off.ln());
        let weights = errors.map(|error| (USUAL_ERROR * count / error).powi(POWER));
        let all: f64 = weights.iter().sum();
        Weights(weights.map(|weight| weight / all))
    }

    /// The mean of what they say.
    pub(super) fn mean(&self, said: &[f64; FORECASTS]) -> f64 {
        std::iter::zip(self.0, said)
            .map(|(weight, said)| weight * said)
            .sum()
    }
}

/// How sure forecasts of a history are, over as many days as are left.
#[derive(Clone, PartialEq, Debug)]
pub struct Calibration {
    pub(super) weights: Weights,
    pub(super) scores: Scores,
    mark: u64,
}

impl Default for Calibration {
    fn default() -> Calibration {
        Calibration {
            weights: Weights::of(&[]),
            scores: Scores::default(),
            mark: 0,
        }
    }
}

/// ln of what came against what was forecast.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Scores {
    of_windows: Arc<[f32]>,
    /// What each of them counts: they overlap.
    weight: f64,
    /// Mean of their squares, of each at most that of [`FAR_OFF`].
    square: f64,
}

impl Calibration {
    /// Of the days that it was learned from, see [`super::History::mark`].
    pub fn mark(&self) -> u64 {
        self.mark
    }

    /// By the forecasts of so many days that were made of a history with a mark.
    pub(super) fn of(origins: &[Origin], days: usize, mark: u64) -> Calibration {
        let weights = Weights::of(origins);
        // As far off as the largest score, up and down.
        let limits = (-LARGEST).exp()..=LARGEST.exp();
        let mut ratios = Vec::with_capacity(origins.len());
        ratios.extend(origins.iter().filter_map(|origin| {
            let said = weights.mean(&origin.said);
            let ratio = origin.came / said;
            (said > 0.0 && origin.came > 0.0 && limits.contains(&ratio)).then_some(ratio)
        }));
        Calibration {
            weights,
            scores: Scores::of(ratios, Prepared::own_share(days)),
            mark,
        }
    }
}

impl Scores {
    /// Of what came as a share of what was forecast. Forecasts overlap: `own_share` is how much each of them says that the others
    /// do not.
    fn of(mut ratios: Vec<f64>, own_share: f64) -> Scores {
        ratios.sort_unstable_by(f64::total_cmp);
        let (count, kept) = (ratios.len(), ratios.len().min(KEPT));
        // The middles of as many equal parts.
        let of_windows = (0..kept).map(|part| ratios[(2 * part + 1) * count / (2 * kept)].ln() as f32);
        let of_windows: Arc<[f32]> = of_windows.collect();
        let squares = of_windows
            .iter()
            .map(|score| score.clamp(-FAR_OFF, FAR_OFF).powi(2));
        Scores {
            weight: own_share * count as f64 / kept.max(1) as f64,
            square: f64::from(squares.sum::<f32>()) / kept.max(1) as f64,
            of_windows,
        }
    }

    /// How many independent forecasts they are worth.
    fn worth(&self) -> f64 {
        self.weight * self.of_windows.len() as f64
    }

    /// Spread of forecasts: what is believed of it before any was made, and what theirs was (the mean of a scaled inverse χ²
    /// prior and its data).
    fn spread(&self, prior: f64) -> f64 {
        let (believed, seen) = (BELIEF * prior * prior, self.worth() * self.square);
        ((believed + seen) / (BELIEF + self.worth())).sqrt().max(1e-6)
    }
}

/// Probability that ln(outcome / forecast) of what is to come is at most `x`: a normal distribution and a kernel around each
/// score. `prior` is the spread that the noise of days makes.
pub(super) fn cumulative(x: f64, prior: f64, scores: &Scores) -> f64 {
    let spread = scores.spread(prior);
    let kernel = spread * KERNEL;
    let of_scores: f64 = scores
        .of_windows
        .iter()
        .map(|score| normal((x - f64::from(*score)) / kernel))
        .sum();
    (PRIOR * normal(x / spread) + scores.weight * of_scores) / (PRIOR + scores.worth())
}

/// The value below which a share of the distribution lies, by bisection.
pub(super) fn quantile(share: f64, prior: f64, scores: &Scores) -> f64 {
    let widest = scores
        .of_windows
        .iter()
        .map(|score| f64::from(score.abs()))
        .fold(0.0, f64::max)
        + 10.0 * scores.spread(prior);
    let (mut low, mut high) = (-widest, widest);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if cumulative(middle, prior, scores) < share {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_believed_of_the_spread_gives_way_to_what_was_seen() {
        assert!((Scores::default().spread(0.2) - 0.2).abs() < 1e-9);
        // Twelve forecasts that overlap by three quarters count as three: √((6 · 0.2² + 3 · 0.1²) / 9).
        let off = |score: f64| Scores::of(vec![score.exp(); 12], 0.25);
        assert!((off(-0.1).spread(0.2) - 0.173_205).abs() < 1e-5);
        // What is off by more than 0.4 counts as that: √((6 · 0.2² + 3 · 0.4²) / 9).
        assert!((off(2.0).spread(0.2) - 0.282_843).abs() < 1e-5);
    }
}
