//! How sure forecasts of a series are: what the same forecast said of the periods that have closed, at the same share
//! elapsed, against what came.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use hashbrown::DefaultHashBuilder;

use super::{History, model};
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

/// Scores that were worked out on other days. A closed period is asked again at the same mornings as the months go by, and
/// says the same while no day up to its end changes.
#[derive(Debug, Default)]
pub struct Rehearsed {
    hasher: DefaultHashBuilder,
    /// The newest first.
    periods: Vec<OfPeriod>,
}

/// Scores of a closed period.
#[derive(Debug)]
struct OfPeriod {
    /// Its first day.
    start: i32,
    /// Hash of the days of history up to its end.
    days: u64,
    /// By the day of the forecast, from the first one on; `None` where that has not been asked.
    scores: Box<[Option<Score>]>,
}

/// What a forecast of a closed period says of later ones.
#[derive(Clone, Copy, Debug)]
enum Score {
    /// ln of what came against what was forecast.
    Of(f32),
    /// One of both was nothing, or they had nothing to do with each other.
    Unusable,
}

impl Score {
    fn of(came: f64, forecast: f64) -> Score {
        let score = (came / forecast).ln();
        if forecast > 0.0 && came > 0.0 && score.abs() <= LARGEST {
            Score::Of(score as f32)
        } else {
            Score::Unusable
        }
    }
}

impl Rehearsed {
    /// Of each closed period, the newest first, a hash of the days that its scores are made of: those up to its end.
    fn hashes(&self, history: History<'_>, closed: &[(i32, i32)]) -> Vec<u64> {
        let mut hasher = self.hasher.build_hasher();
        hasher.write_i32(history.from.0);
        let mut hashed = 0;
        let ends = closed.iter().rev().map(|(_, end)| *end);
        let mut hashes: Vec<u64> = ends
            .map(|end| {
                let until = history.until(Day(end)).days.len().max(hashed);
                history.days[hashed..until]
                    .iter()
                    .for_each(|brought| hasher.write_u64(brought.to_bits()));
                hashed = until;
                hasher.finish()
            })
            .collect();
        hashes.reverse();
        hashes
    }

    /// The scores of a closed period, none of them known where one of its days changed.
    fn of_period(&mut self, (start, end): (i32, i32), days: u64) -> &mut [Option<Score>] {
        let place = self.periods.partition_point(|known| known.start > start);
        let known = self.periods.get(place);
        if known.is_none_or(|known| known.start != start) {
            let length = usize::try_from(end - start).unwrap_or(0);
            let scores = vec![None; length].into();
            self.periods.insert(place, OfPeriod { start, days, scores });
        }
        let known = &mut self.periods[place];
        if known.days != days {
            known.days = days;
            known.scores.fill(None);
        }
        &mut known.scores
    }
}

impl Calibration {
    /// Forecasts the closed periods of a history at the morning of the day that lies as far into them as today does
    /// into the running one.
    pub(super) fn of(
        history: History<'_>,
        prepared: &model::Prepared,
        running: Period,
        rehearsed: &mut Rehearsed,
    ) -> Calibration {
        let (start, end) = (Day::of(running.start).0, Day::of(running.end).0);
        let today = history.today();
        let share = f64::from(today.0 - start) / f64::from((end - start).max(1));
        let closed = &prepared.closed()[..prepared.closed().len().min(PERIODS)];
        let hashes = rehearsed.hashes(history, closed);
        let mut scores = Vec::new();
        for (&period, days) in closed.iter().zip(hashes) {
            let length = period.1 - period.0;
            let into = ((share * f64::from(length)) as i32).clamp(0, length - 1);
            let moment = Day(period.0 + into);
            if moment.0 - history.from.0 < DAYS_BEFORE {
                break;
            }
            let known = &mut rehearsed.of_period(period, days)[into as usize];
            let score = *known.get_or_insert_with(|| rehearse(history, prepared, period, moment));
            if let Score::Of(score) = score {
                scores.push(score);
            }
        }
        rehearsed.periods.truncate(PERIODS);
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

/// Forecasts a closed period by what was known on the morning of one of its days.
fn rehearse(history: History<'_>, prepared: &model::Prepared, period: (i32, i32), moment: Day) -> Score {
    let model = model::Model::of(history.until(moment), prepared, period);
    let forecast: f64 = (moment.0..period.1).map(|day| model.expected(Day(day))).sum();
    let came: f64 = history.until(Day(period.1)).days[history.until(moment).days.len()..]
        .iter()
        .sum();
    Score::of(came, forecast)
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
