//! Which of many series drives another: the lagged correlation of what is new in each day, with false discoveries
//! under control.
//!
//! 1. A day counts as the logarithm of its value, less its weekday's mean and the mean of the [`LOCAL`] days around it:
//!    what two series share because both grow, or both have weekends, is no link.
//! 2. Prewhitening (Box, Jenkins 1976, "Time Series Analysis", ch. 11): the candidate is filtered by its own
//!    autoregression, its order by AIC, and the other series by the same filter. Without it two slow series correlate
//!    by chance.
//! 3. r(lag) = correlation of the filtered series, the candidate `lag` days earlier. What is left of autocorrelation
//!    makes fewer days of the days (Bartlett 1946): n / (1 + 2 Σ ρₓ(k) ρᵧ(k)). p is that of atanh(r) · √(n − 3)
//!    (Fisher 1915).
//! 4. Benjamini and Hochberg (1995) over all lags of all candidates: of the links that are said at q ≤ 0.05 one in
//!    twenty is expected to be chance.
//!
//! The filtered candidate is white, so the regression coefficients of single lags are the answer to an impulse (Box and
//! Jenkins), and their sum over the lags that are said is the elasticity.

use super::outlook::normal;

/// Lags that are looked at, in days: 0 to this.
pub const MAX_LAG: usize = 28;
/// Share of chance links among those that are said.
pub const FALSE_DISCOVERIES: f64 = 0.05;
/// Pairs of days without which nothing is said.
pub const MIN_DAYS: usize = 60;
/// Length of the local mean, in days.
const LOCAL: usize = 57;
/// Highest order of the autoregression.
const MAX_ORDER: usize = 14;
/// Largest departure of a day, in robust deviations; beyond it a day counts as this.
const WINSOR: f64 = 4.0;

/// A series by day; all series of one question begin on the same day.
pub type Series = [Option<f64>];

/// The link of one lag.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Lagged {
    /// Days by which the candidate is ahead.
    pub lag: usize,
    /// Correlation.
    pub r: f64,
    /// Per cent by which the other moves when the candidate moves by one, at this lag alone.
    pub slope: f64,
    /// Probability of as much by chance.
    pub p: f64,
    /// Share of chance links among those that are as sure as this one.
    pub q: f64,
    /// Days that count, autocorrelation taken off.
    pub days: f64,
}

/// How a candidate is linked.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Driver {
    /// Every lag that could be looked at; empty where there are too few days.
    pub lags: Vec<Lagged>,
    /// Days with a value on both sides.
    pub days: usize,
}

impl Driver {
    /// The surest lag.
    pub fn best(&self) -> Option<&Lagged> {
        self.lags
            .iter()
            .min_by(|a, b| a.p.total_cmp(&b.p).then(b.r.abs().total_cmp(&a.r.abs())))
    }

    /// The lags that are said, of the direction of the surest.
    pub fn said(&self) -> impl Iterator<Item = &Lagged> {
        let sign = self.best().map_or(1.0, |best| best.r.signum());
        self.lags
            .iter()
            .filter(move |lagged| lagged.q <= FALSE_DISCOVERIES && lagged.r * sign > 0.0)
    }

    /// Whether there is a link.
    pub fn is_linked(&self) -> bool {
        self.best().is_some_and(|best| best.q <= FALSE_DISCOVERIES)
    }

    /// Share of what is new in the other that the candidate explains.
    pub fn explained(&self) -> f64 {
        self.said()
            .map(|lagged| lagged.r * lagged.r)
            .sum::<f64>()
            .min(1.0)
    }

    /// Per cent by which the other moves in all when the candidate moves by one.
    pub fn elasticity(&self) -> Option<f64> {
        self.is_linked()
            .then(|| self.said().map(|lagged| lagged.slope).sum())
    }

    /// The least correlation that would have been found four times in five, at one lag among all that were tried.
    pub fn least_seen(&self) -> Option<f64> {
        const Z_POWER: f64 = 0.84;
        let days = self.lags.first()?.days;
        // Two-sided, Bonferroni over the lags.
        let z = quantile(1.0 - 0.025 / self.lags.len() as f64) + Z_POWER;
        Some((z / (days - 3.0).sqrt()).tanh())
    }
}

/// Links of candidates to a series. `first_weekday` is the weekday of the first day, 0 for Monday; `is_unusual` names
/// days (holidays, promotions) that say nothing of others.
pub fn rank(
    other: &Series,
    candidates: &[Vec<Option<f64>>],
    first_weekday: usize,
    is_unusual: impl Fn(usize) -> bool,
) -> Vec<Driver> {
    let clean = |series: &Series| departures(series, first_weekday, &is_unusual);
    let y = clean(other);
    let mut drivers: Vec<Driver> = candidates.iter().map(|x| linked(&clean(x), &y)).collect();
    control(&mut drivers);
    drivers
}

/// Departures of the days from what was usual then; `None` for days that say nothing.
fn departures(series: &Series, first_weekday: usize, is_unusual: impl Fn(usize) -> bool) -> Vec<Option<f64>> {
    let usable: Vec<Option<f64>> = series
        .iter()
        .enumerate()
        .map(|(day, value)| value.filter(|value| value.is_finite() && !is_unusual(day)))
        .collect();
    let known: Vec<f64> = usable.iter().copied().flatten().collect();
    let mean = known.iter().sum::<f64>() / known.len().max(1) as f64;
    let variance = known.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / known.len().max(1) as f64;
    if known.is_empty() || variance <= 0.0 {
        return vec![None; series.len()];
    }
    let is_size = mean > 0.0 && known.iter().all(|value| *value >= 0.0);
    // As much is added to a day as makes one of few events a number that does not stand out.
    let least = f64::max(0.05 * mean, 0.5 * (variance / mean.abs()).min(mean.abs()));
    let mut days: Vec<Option<f64>> = usable
        .iter()
        .map(|value| {
            value.map(|value| {
                if is_size {
                    ((value + least) / (mean + least)).ln()
                } else {
                    (value - mean) / variance.sqrt()
                }
            })
        })
        .collect();
    for weekday in 0..7 {
        let of_weekday = |day: usize| (day + first_weekday) % 7 == weekday;
        let same: Vec<f64> = (0..days.len())
            .filter(|day| of_weekday(*day))
            .filter_map(|day| days[day])
            .collect();
        let usual = median(&same);
        for day in (0..days.len()).filter(|day| of_weekday(*day)) {
            days[day] = days[day].map(|value| value - usual);
        }
    }
    let around = |day: usize| {
        let from = day.saturating_sub(LOCAL / 2);
        let near: Vec<f64> = days[from..days.len().min(day + LOCAL / 2 + 1)]
            .iter()
            .copied()
            .flatten()
            .collect();
        near.iter().sum::<f64>() / near.len().max(1) as f64
    };
    let mut rest: Vec<Option<f64>> = (0..days.len())
        .map(|day| days[day].map(|value| value - around(day)))
        .collect();
    let sizes: Vec<f64> = rest.iter().flatten().map(|value| value.abs()).collect();
    let most = WINSOR * 1.4826 * median(&sizes);
    if most > 0.0 {
        rest.iter_mut()
            .flatten()
            .for_each(|value| *value = value.clamp(-most, most));
    }
    rest
}

fn median(values: &[f64]) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// Mean product of a series with another one `lag` days later, and of how many days.
fn product(x: &Series, y: &Series, lag: usize) -> (f64, usize) {
    let pairs = x
        .iter()
        .zip(y.iter().skip(lag))
        .filter_map(|(x, y)| Some((*x)? * (*y)?));
    let (sum, count) = pairs.fold((0.0, 0usize), |(sum, count), product| (sum + product, count + 1));
    (sum / count.max(1) as f64, count)
}

/// Coefficients of an autoregression by Levinson and Durbin, of the order that AIC likes best.
fn autoregression(x: &Series) -> Vec<f64> {
    let covariance: Vec<f64> = (0..=MAX_ORDER).map(|lag| product(x, x, lag).0).collect();
    let count = product(x, x, 0).1 as f64;
    let mut best = (count * covariance[0].ln(), Vec::new());
    let (mut coefficients, mut rest): (Vec<f64>, f64) = (Vec::new(), covariance[0]);
    for order in 1..=MAX_ORDER {
        let told: f64 = coefficients
            .iter()
            .zip(covariance[1..order].iter().rev())
            .map(|(c, r)| c * r)
            .sum();
        let reflection = (covariance[order] - told) / rest;
        // Days are missing, so the covariances need not belong to any process.
        if reflection.is_nan() || reflection.abs() >= 0.999 {
            break;
        }
        let turned: Vec<f64> = coefficients.iter().rev().map(|c| c * reflection).collect();
        coefficients.iter_mut().zip(turned).for_each(|(c, t)| *c -= t);
        coefficients.push(reflection);
        rest *= 1.0 - reflection * reflection;
        let aic = count * rest.ln() + 2.0 * order as f64;
        if aic < best.0 {
            best = (aic, coefficients.clone());
        }
    }
    best.1
}

/// What of each day does not follow from the days before. A day that is missing counts as usual for the days after it.
fn filtered(x: &Series, coefficients: &[f64]) -> Vec<Option<f64>> {
    let before = |day: usize, ago: usize| day.checked_sub(ago).and_then(|day| x[day]).unwrap_or(0.0);
    let told = |day: usize| {
        coefficients
            .iter()
            .enumerate()
            .map(|(at, c)| c * before(day, at + 1))
            .sum::<f64>()
    };
    (0..x.len())
        .map(|day| x[day].map(|value| value - told(day)))
        .collect()
}

fn linked(x: &Series, y: &Series) -> Driver {
    let days = product(x, y, 0).1;
    let (var_x, var_y) = (product(x, x, 0).0, product(y, y, 0).0);
    if days < MIN_DAYS || var_x <= 0.0 || var_y <= 0.0 {
        return Driver {
            lags: Vec::new(),
            days,
        };
    }
    let coefficients = autoregression(x);
    let (x, y) = (filtered(x, &coefficients), filtered(y, &coefficients));
    let (var_x, var_y) = (product(&x, &x, 0).0, product(&y, &y, 0).0);
    let rho = |series: &Series, variance: f64, lag: usize| product(series, series, lag).0 / variance;
    let shared: f64 = (1..=MAX_ORDER)
        .map(|lag| rho(&x, var_x, lag) * rho(&y, var_y, lag))
        .sum();
    let lags = (0..=MAX_LAG).filter_map(|lag| {
        let (covariance, count) = product(&x, &y, lag);
        if count < MIN_DAYS {
            return None;
        }
        let r = (covariance / (var_x * var_y).sqrt()).clamp(-0.999, 0.999);
        let days = count as f64 / (1.0 + 2.0 * shared).clamp(1.0, 4.0);
        let z = r.atanh() * (days - 3.0).sqrt();
        // The error function is good to 10⁻⁷.
        let p = (2.0 * (1.0 - normal(z.abs()))).clamp(1e-7, 1.0);
        Some(Lagged {
            lag,
            r,
            slope: covariance / var_x,
            p,
            q: 1.0,
            days,
        })
    });
    Driver {
        lags: lags.collect(),
        days,
    }
}

/// Benjamini and Hochberg over all lags of all candidates.
fn control(drivers: &mut [Driver]) {
    let mut all: Vec<(usize, usize, f64)> = drivers
        .iter()
        .enumerate()
        .flat_map(|(at, driver)| {
            driver
                .lags
                .iter()
                .enumerate()
                .map(move |(lag, lagged)| (at, lag, lagged.p))
        })
        .collect();
    all.sort_by(|a, b| a.2.total_cmp(&b.2));
    let count = all.len() as f64;
    let mut least = 1.0f64;
    for (rank, (driver, lag, p)) in all.into_iter().enumerate().rev() {
        least = least.min(p * count / (rank + 1) as f64);
        drivers[driver].lags[lag].q = least;
    }
}

/// The normal quantile, by bisection.
fn quantile(probability: f64) -> f64 {
    let (mut low, mut high) = (0.0, 6.0);
    for _ in 0..50 {
        let middle = f64::midpoint(low, high);
        if normal(middle) < probability {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Noise that every machine makes alike: sums of a linear congruential generator, of variance 1.
    fn noise(seed: u64, days: usize) -> Vec<f64> {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut uniform = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1u64 << 53) as f64
        };
        (0..days)
            .map(|_| (0..12).map(|_| uniform()).sum::<f64>() - 6.0)
            .collect()
    }

    /// 100 a day, weekends of half, growth by half in 400 days, slow waves, and what is new.
    fn business(new: &[f64]) -> Vec<Option<f64>> {
        let mut wave = 0.0;
        let day = |(day, new): (usize, &f64)| {
            wave = 0.9 * wave + 0.08 * new;
            let weekend = if day % 7 >= 5 { 0.5 } else { 1.0 };
            Some(100.0 * weekend * (wave + day as f64 / 1000.0).exp())
        };
        new.iter().enumerate().map(day).collect()
    }

    #[test]
    fn a_driver_is_found_at_its_lag_with_its_elasticity() {
        let cause = noise(1, 400);
        let own = noise(2, 400);
        let x = business(&cause);
        // Answers by 0.6 of what the cause was five days ago.
        let new: Vec<f64> = (0..400)
            .map(|day: usize| 0.6 * day.checked_sub(5).map_or(0.0, |before| cause[before]) + 0.3 * own[day])
            .collect();
        let y = business(&new);
        let strangers: Vec<Vec<Option<f64>>> = (10..30).map(|seed| business(&noise(seed, 400))).collect();
        let candidates: Vec<Vec<Option<f64>>> = std::iter::once(x).chain(strangers).collect();
        let drivers = rank(&y, &candidates, 0, |_| false);
        let best = drivers[0].best().unwrap();
        assert_eq!(best.lag, 5);
        assert!(best.q < 1e-4 && drivers[0].is_linked(), "{best:?}");
        let elasticity = drivers[0].elasticity().unwrap();
        assert!((elasticity - 0.6).abs() < 0.1, "{elasticity}");
        let false_ones = drivers[1..].iter().filter(|driver| driver.is_linked()).count();
        assert!(false_ones <= 1, "{false_ones} of 20 strangers");
    }

    #[test]
    fn series_that_only_grow_and_rest_together_are_not_linked() {
        let linked = (0..60u64)
            .filter(|seed| {
                let [x, y] = [100 + seed, 500 + seed].map(|seed| business(&noise(seed, 400)));
                rank(&y, &[x], 0, |_| false)[0].is_linked()
            })
            .count();
        // 5 % of 60 are 3; 8 would be a chance of 1 in 100.
        assert!(linked <= 7, "{linked} of 60");
    }

    #[test]
    fn scale_and_weekday_of_the_first_day_do_not_matter() {
        let x = business(&noise(3, 200));
        let y = business(&noise(4, 200));
        let tell = |factor: f64, first: usize| {
            let scaled: Vec<Option<f64>> = y.iter().map(|value| value.map(|value| value * factor)).collect();
            rank(&scaled, std::slice::from_ref(&x), first, |_| false).remove(0)
        };
        let (one, other) = (tell(1.0, 0), tell(1e6, 3));
        for (a, b) in one.lags.iter().zip(&other.lags) {
            assert!((a.r - b.r).abs() < 1e-9);
        }
    }

    #[test]
    fn too_little_says_nothing() {
        let x = business(&noise(5, 50));
        let constant = vec![Some(3.0); 400];
        let nothing = vec![None; 400];
        assert_eq!(rank(&x, std::slice::from_ref(&x), 0, |_| false)[0].best(), None);
        let y = business(&noise(6, 400));
        for series in [constant, nothing, vec![Some(f64::NAN); 400], vec![Some(0.0); 400]] {
            let driver = &rank(&y, &[series], 0, |_| false)[0];
            assert!(driver.lags.is_empty() && driver.elasticity().is_none() && driver.least_seen().is_none());
        }
    }
}
