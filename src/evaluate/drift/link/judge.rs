//! The test of one window length: does the parent bring what its KPI explains?

use serde::{Deserialize, Serialize};

use super::tuning::Tuning;

const RING: usize = super::stream::RING;

/// What a judge sees of the window that ends with a day.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// Log ratios of KPI and parent to their references.
    pub(super) ratios: [Option<f64>; 2],
    /// Log ratios of the KPI in windows with holidays before, the holidays counted.
    pub(super) raw: Vec<f64>,
    /// What the other KPIs of the parent bring it now, the least and the most: log ratios, 0 and less, 0 and more.
    pub(super) others: (f64, f64),
    /// Standard deviation from calendar effects that are not well known.
    pub(super) doubt: f64,
    /// Of KPI and parent.
    pub(super) noise: [Noise; 2],
    /// What came to the parent.
    pub(super) counted: Counted,
    /// Times by which the spread is wider because days of the window are not usable.
    pub(super) thin: f64,
}

/// What the noise of single days makes of the log ratio of a side.
#[derive(Clone, Copy, Debug)]
pub(super) struct Noise {
    /// Variance where the side is at its reference.
    pub(super) at_reference: f64,
    /// −1 where less is better.
    pub(super) sign: f64,
}

impl Noise {
    /// Variance where the side is at a log ratio to its reference: of twice as many events it is half.
    fn at(&self, ratio: f64) -> f64 {
        self.at_reference / (ratio * self.sign).exp()
    }
}

/// Variance of a gap that the noise of both sides makes where they are at some log ratios: the KPI's goes into it by half.
fn noise_at([kpi, parent]: &[Noise; 2], [x, y]: [f64; 2]) -> f64 {
    (parent.at(y) + 0.5 * kpi.at(x)).min(4.0)
}

/// What came in a window, in events of usual size: as many would vary as much.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counted {
    /// How many came.
    pub(super) events: f64,
    /// How many the reference stands for.
    pub(super) reference: f64,
    /// −1 where less is better.
    pub(super) sign: f64,
}

impl Counted {
    /// Spreads by which fewer came than expected, where few were: the root of the deviance of a negative binomial whose
    /// relative variance is `spread`² (McCullagh and Nelder 1989, Generalized Linear Models, §2.3 and 6.2). The log ratio of
    /// a handful of events to a few more is large by chance alone. `level` is the log ratio of what is expected to the
    /// reference; `None` where many were expected, or no fewer came.
    fn shortfall(&self, level: f64, spread: f64, tuning: &Tuning) -> Option<f64> {
        let expected = self.reference * (level * self.sign).exp();
        if !(expected < tuning.few && self.events < expected) {
            return None;
        }
        let shape = 1.0 / (spread.powi(2) - 1.0 / expected).max(tuning.sigma_min.powi(2));
        let own = if self.events > 0.0 {
            self.events * (self.events / expected).ln()
        } else {
            0.0
        };
        let both = self.events + shape;
        let deviance = 2.0 * (own - both * (both / (expected + shape)).ln());
        Some(deviance.max(0.0).sqrt())
    }
}

/// How a parent answers its KPI, where that is known well enough to speak of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    lag: usize,
    pub(super) elasticity: f64,
    strength: f64,
}

/// What a judge has to say of what its KPI brings the parent.
#[derive(Clone, Debug)]
pub(super) struct Spoken {
    known: Known,
    x: Vec<f32>,
    base_x: f64,
}

impl Spoken {
    /// What the KPI brought its parent by the day before `day`, the least and the most, by its elasticity and around its lag.
    /// `judged_to` is the last day that was judged.
    pub(super) fn brings(&self, day: i32, judged_to: i32, tuning: &Tuning) -> (f64, f64) {
        let known = &self.known;
        let lags = known.lag.saturating_sub(3)..=tuning.max_lag.min(known.lag + 3);
        // By the day before: the other one is as it was before this day closed.
        let days = lags.map(|lag| day - 1 - lag as i32);
        let days = days.filter(|day| (judged_to - RING as i32 + 1..=judged_to).contains(day));
        let answers =
            days.filter_map(|day| Some((known.elasticity + 0.1) * (of(&self.x, day)? - self.base_x)));
        answers.fold((0.0, 0.0), |(low, high), answer| {
            (answer.min(low), answer.max(high))
        })
    }
}

/// Where lag, elasticity and strength of a link lie with a probability of four fifths.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Ranges {
    /// Of the correlation.
    pub strength: [f64; 2],
    /// Of the elasticity.
    pub elasticity: [f64; 2],
    /// Of the lag, in days.
    pub lag_days: [f64; 2],
}

/// The middle four fifths of a normal distribution reach so many deviations to each side.
const FOUR_FIFTHS: f64 = 1.2816;

/// The test of one window length.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Judge {
    pub(super) window: usize,
    kappa: f64,
    /// What the sums have to pass since the last day, in spread-days.
    limit: f64,
    /// Log ratios of KPI and parent by day; NaN where there is none. A ratio with seven digits is as good as its day.
    x: Vec<f32>,
    y: Vec<f32>,
    base_x: f64,
    base_y: f64,
    spread_x: f64,
    spread_y: f64,
    sigma: f64,
    covariance: Vec<f64>,
    var_x: f64,
    var_y: f64,
    pub(super) lag: usize,
    pub(super) elasticity: f64,
    pub(super) strength: f64,
    learned: u32,
    /// The last day that was learned from, or passed over.
    learned_to: Option<i32>,
    pub(super) judged: u32,
    pub(super) sums: [f64; 2],
    pub(super) since: [Option<i32>; 2],
    /// Smoothed departures of KPI, parent, and parent from what is explained, as log ratios.
    pub(super) kpi: f64,
    pub(super) parent: f64,
    pub(super) gap: f64,
    /// Spreads by which the latest window is off.
    deviations: f64,
}

fn at(day: i32) -> usize {
    day.rem_euclid(RING as i32) as usize
}

/// The ratio of a day, where there is one.
fn of(ratios: &[f32], day: i32) -> Option<f64> {
    Some(f64::from(ratios[at(day)])).filter(|ratio| !ratio.is_nan())
}

/// The part of a gap that the other KPIs of the parent do not explain.
fn beyond(gap: f64, (least, most): (f64, f64)) -> f64 {
    if gap < 0.0 {
        (gap - least).min(0.0)
    } else {
        (gap - most).max(0.0)
    }
}

impl Judge {
    pub(super) fn new(tuning: &Tuning, window: usize, kappa: f64, limit: f64) -> Judge {
        Judge {
            window,
            kappa,
            limit: limit / tuning.sensitivity,
            x: vec![f32::NAN; RING],
            y: vec![f32::NAN; RING],
            base_x: 0.0,
            base_y: 0.0,
            spread_x: 0.1,
            spread_y: 0.1,
            sigma: 0.1,
            covariance: vec![0.0; tuning.max_lag + 1],
            var_x: 0.0,
            var_y: 0.0,
            lag: 0,
            elasticity: 0.6,
            strength: 0.0,
            learned: 0,
            learned_to: None,
            judged: 0,
            sums: [0.0; 2],
            since: [None; 2],
            kpi: 0.0,
            parent: 0.0,
            gap: 0.0,
            deviations: 0.0,
        }
    }

    /// Lag and elasticity, where they are known.
    pub(super) fn known(&self) -> Option<Known> {
        (self.strength >= 0.5 && self.learned >= 60).then_some(Known {
            lag: self.lag,
            elasticity: self.elasticity,
            strength: self.strength,
        })
    }

    /// How sure lag, elasticity and strength are; `None` of too few windows to say.
    ///
    /// Windows of w days that overlap are worth 2·N/w of their own, where N is how many days the sums remember: by
    /// simulation, with days that follow each other and days that do not. Of the correlation by Fisher's z (1921,
    /// Metron 1), of the elasticity by its standard error in the regression, of the lag by the likelihood of the others.
    pub(super) fn ranges(&self, tuning: &Tuning) -> Option<Ranges> {
        let keeps = 0.5f64.powf(1.0 / tuning.link_half_life);
        let remembered = ((1.0 + keeps) / (1.0 - keeps)).min(f64::from(self.learned));
        let windows = 2.0 * remembered / self.window as f64;
        if windows < 5.0 || self.var_x <= 0.0 || self.var_y <= 0.0 {
            return None;
        }
        let correlation = |lag: usize| {
            let r = self.covariance[lag] / (self.var_x * self.var_y).sqrt();
            r.clamp(-0.999, 0.999)
        };
        let best = correlation(self.lag);
        let (z, z_half) = (best.atanh(), FOUR_FIFTHS / (windows - 3.0).sqrt());
        let slope = self.covariance[self.lag] / self.var_x;
        let error = ((1.0 - best * best) * self.var_y / self.var_x / (windows - 2.0)).sqrt();
        let half = FOUR_FIFTHS * error;
        // Half of the χ² of one degree of freedom that four fifths stay below.
        let least = FOUR_FIFTHS * FOUR_FIFTHS / 2.0;
        let is_likely = |lag: &usize| {
            let r = correlation(*lag);
            r > 0.0 && windows / 2.0 * ((1.0 - r * r) / (1.0 - best * best)).ln() <= least
        };
        let lags = || (0..self.covariance.len()).filter(is_likely);
        let (first, last) = (lags().min().unwrap_or(self.lag), lags().max().unwrap_or(self.lag));
        Some(Ranges {
            strength: [(z - z_half).tanh().max(0.0), (z + z_half).tanh().max(0.0)],
            // What is said is drawn to what links have on the whole where the KPI hardly moves.
            elasticity: [
                (slope - half).min(self.elasticity),
                (slope + half).max(self.elasticity),
            ],
            lag_days: [first.min(self.lag) as f64, last.max(self.lag) as f64],
        })
    }

    pub(super) fn is_suspicious(&self, tuning: &Tuning) -> bool {
        self.sums.iter().any(|sum| *sum > tuning.hold * self.limit)
    }

    /// What the sums have to pass.
    pub(super) fn limit(&self, tuning: &Tuning) -> f64 {
        self.limit + tuning.rise(self.window, self.kappa) / tuning.sensitivity
    }

    pub(super) fn level(&self, side: usize) -> f64 {
        if side == 0 { self.base_x } else { self.base_y }
    }

    pub(super) fn day(&mut self, day: i32, seen: &Seen, may_learn: bool, tuning: &Tuning) {
        let [x, y] = seen.ratios;
        let kept = |ratio: Option<f64>| ratio.map_or(f32::NAN, |ratio| ratio as f32);
        self.x[at(day)] = kept(x);
        self.y[at(day)] = kept(y);
        let (Some(x), Some(y)) = (x, y) else {
            return;
        };
        self.judged += 1;
        if may_learn {
            self.catch_up(day, tuning);
        }
        if self.judged < 8 {
            return;
        }
        let (dx, dy) = (x - self.base_x, y - self.base_y);
        let explained = self.explained(day, dy, seen, tuning);
        let gap = beyond(dy - explained, seen.others);
        self.gap += 0.2 * (gap - self.gap);
        self.kpi += 0.15 * (dx - self.kpi);
        self.parent += 0.15 * (dy - self.parent);
        if self.judged <= tuning.warmup {
            return;
        }
        let young = (1.0 + tuning.young / f64::from(self.learned.max(1))).sqrt();
        // Few windows do not overlap, so their spread is known badly: it is drawn to what links have on the whole, and
        // what the noise of single days makes of it.
        let known = f64::from(self.learned).min(1.5 * tuning.half_life);
        let drawn = |own: f64, noise: f64| {
            let believed = tuning.sigma_usual.powi(2) + noise;
            (own * known + believed * tuning.sigma_weight) / (known + tuning.sigma_weight)
        };
        let own = self.sigma.powi(2);
        let usual_noise = noise_at(&seen.noise, [self.base_x, self.base_y]);
        let usual = drawn(own, usual_noise);
        self.limit = tuning.limit_of(self.window, usual, usual_noise / seen.thin.powi(2));
        // It was learned at usual levels. Of more events the noise is less, and of fewer it is more.
        let noise = noise_at(&seen.noise, [x, self.base_y + dy - gap]);
        let is_noise = (own / usual_noise.max(f64::MIN_POSITIVE)).min(1.0);
        let sigma = drawn(own + (noise - usual_noise) * is_noise, noise).sqrt();
        let spread = sigma.max(tuning.sigma_min) * young * seen.thin;
        let spread = spread.hypot(seen.doubt);
        let mut u = gap / spread;
        if self.window == tuning.window[0] {
            let explained = self.base_y + dy - gap;
            let shortfall = seen.counted.shortfall(explained, spread, tuning);
            u = shortfall.map_or(u, |most| u.clamp(-most, most));
        }
        self.deviations = u;
        for (side, step) in [-u, u].into_iter().enumerate() {
            let sum = (self.sums[side] + step - self.kappa).clamp(0.0, 1.5 * self.limit(tuning));
            if sum > 0.0 && self.sums[side] == 0.0 {
                self.since[side] = Some(day);
            }
            self.sums[side] = sum;
        }
    }

    /// What it has to say of what the KPI brings its parent; `None` where the link is not known well enough.
    pub(super) fn spoken(&self, tuning: &Tuning) -> Option<Spoken> {
        let known = self.known().filter(|known| known.strength >= tuning.speaks)?;
        Some(Spoken {
            known,
            x: self.x.clone(),
            base_x: self.base_x,
        })
    }

    /// The answer nearest to `dy` that the KPI explains: hull of β·dx over admissible lags and elasticities.
    fn explained(&self, day: i32, dy: f64, seen: &Seen, tuning: &Tuning) -> f64 {
        let known = self.known();
        let last = known.map_or(tuning.max_lag, |known| tuning.max_lag.min(known.lag + 3));
        let mut hull: Option<(f64, f64)> = None;
        for lag in 0..=last {
            let Some(x) = of(&self.x, day - lag as i32) else {
                continue;
            };
            let dx = x - self.base_x;
            let (mut low, mut high) = tuning.beta;
            if let Some(known) = known.filter(|known| lag.abs_diff(known.lag) <= 3) {
                low = f64::max(tuning.beta_floor, low.min(known.elasticity - 0.1));
                high = high.max(known.elasticity + 0.1);
                if known.strength >= tuning.strong {
                    low = low.max((known.elasticity - 0.1).min(tuning.strong_low));
                }
            }
            for answer in [low * dx, high * dx] {
                hull = Some(hull.map_or((answer, answer), |(a, b)| (a.min(answer), b.max(answer))));
            }
        }
        // Holidays of the KPI are answered later, too.
        for raw in &seen.raw {
            let answer = tuning.beta.1 * (raw - self.base_x);
            hull = hull.map(|(a, b)| (a.min(answer), b.max(answer)));
        }
        hull.map_or(dy, |(low, high)| dy.clamp(low, high))
    }

    /// Learns the days that were passed over while a sum was suspicious, too: it came to nothing, so they are part of
    /// what is usual. Without them the spread would be that of the calm days alone.
    fn catch_up(&mut self, day: i32, tuning: &Tuning) {
        let back = if self.judged > tuning.warmup + tuning.delay as u32 {
            tuning.delay as i32
        } else {
            0
        };
        let oldest = day - (RING as i32 - tuning.max_lag as i32 - 1);
        let from = self.learned_to.map_or(day - back, |last| last + 1).max(oldest);
        for past in from..=day - back {
            self.learn(past, tuning);
            self.learned_to = Some(past);
        }
    }

    /// Passes over the days of an alert: they were no usual ones.
    pub(super) fn pass_over(&mut self, day: i32) {
        self.learned_to = self.learned_to.max(Some(day));
    }

    fn learn(&mut self, day: i32, tuning: &Tuning) {
        let (Some(x), Some(y)) = (of(&self.x, day), of(&self.y, day)) else {
            return;
        };
        self.learned += 1;
        let learned = f64::from(self.learned);
        let rate = 1.0 - 0.5f64.powf(1.0 / tuning.half_life);
        let g = rate.max(1.0 / learned);
        if self.learned == 1 {
            // Without a target, and with one in another unit, the usual level is nowhere near the reference.
            self.base_x = x;
            self.base_y = y;
        }
        let together = tuning.together(x - self.base_x, y - self.base_y);
        self.base_x += g * (x - self.base_x).clamp(-0.3, 0.3) + together;
        self.base_y += g * (y - self.base_y).clamp(-0.3, 0.3) + together;
        let (dx, dy) = (x - self.base_x, y - self.base_y);
        let g = rate.max(1.0 / (learned + 7.0));
        self.spread_x += g * (1.2533 * dx.abs().min(3.0 * self.spread_x) - self.spread_x);
        self.spread_y += g * (1.2533 * dy.abs().min(3.0 * self.spread_y) - self.spread_y);
        let g = (1.0 - 0.5f64.powf(1.0 / tuning.link_half_life)).max(1.0 / learned);
        let cy = dy.clamp(-3.0 * self.spread_y, 3.0 * self.spread_y);
        for lag in 0..=tuning.max_lag {
            if let Some(x) = of(&self.x, day - lag as i32) {
                let d = (x - self.base_x).clamp(-3.0 * self.spread_x, 3.0 * self.spread_x);
                self.covariance[lag] += g * (d * cy - self.covariance[lag]);
                if lag == 0 {
                    self.var_x += g * (d * d - self.var_x);
                }
            }
        }
        self.var_y += g * (cy * cy - self.var_y);
        self.lag = (0..self.covariance.len())
            .max_by(|a, b| self.covariance[*a].total_cmp(&self.covariance[*b]).then(b.cmp(a)))
            .unwrap_or(0);
        let c = self.covariance[self.lag];
        self.elasticity = ((c + 0.005 * 0.6) / (self.var_x + 0.005)).clamp(0.2, 1.2);
        let scale = (self.var_x * self.var_y).sqrt();
        self.strength = if scale > 0.0 { c / scale } else { 0.0 };
        if let Some(x) = of(&self.x, day - self.lag as i32) {
            let rest = dy - self.elasticity * (x - self.base_x);
            let g = rate.max(1.0 / (learned + 14.0));
            self.sigma += g * (1.2533 * rest.abs().min(2.5 * self.sigma) - self.sigma);
        }
    }

    /// Whether the KPI is up and the parent not down: the KPI itself is what moved.
    pub(super) fn looks_gamed(&self) -> bool {
        self.kpi > 0.2 && self.parent > -0.12
    }

    /// Spreads by which the latest window is off to a side: the parent brings less, or more.
    pub(super) fn departs(&self, side: usize) -> f64 {
        let off = if side == 0 {
            -self.deviations
        } else {
            self.deviations
        };
        off.max(0.0)
    }

    pub(super) fn is_over(&self, side: usize, tuning: &Tuning) -> bool {
        self.sums[side] >= self.limit(tuning)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_more_events_the_noise_is_less() {
        let noise = |at_reference, sign| Noise { at_reference, sign };
        let both = [noise(0.04, 1.0), noise(0.02, 1.0)];
        let ln2 = 2f64.ln();
        // 0.02 + 0.04 / 2, and half of each where twice as many come.
        assert!((noise_at(&both, [0.0, 0.0]) - 0.04).abs() < 1e-12);
        assert!((noise_at(&both, [ln2, 0.0]) - 0.03).abs() < 1e-12);
        assert!((noise_at(&both, [ln2, -ln2]) - 0.05).abs() < 1e-12);
        // Where less is better a ratio of 2 is half as many.
        let turned = [noise(0.04, 1.0), noise(0.02, -1.0)];
        assert!((noise_at(&turned, [0.0, ln2]) - 0.06).abs() < 1e-12);
    }

    #[test]
    fn a_kpi_that_doubles_is_judged_by_the_noise_of_twice_as_many_events() {
        let tuning = Tuning::default();
        let mut judge = Judge::new(&tuning, 7, 1.7, 10.0);
        judge.judged = tuning.warmup;
        judge.learned = 200;
        let many = Counted {
            events: 1000.0,
            reference: 1000.0,
            sign: 1.0,
        };
        let noise = |at_reference| Noise {
            at_reference,
            sign: 1.0,
        };
        let seen = Seen {
            ratios: [Some(2f64.ln()), Some(0.0)],
            raw: Vec::new(),
            others: (0.0, 0.0),
            doubt: 0.0,
            noise: [noise(0.02), noise(0.005)],
            counted: many,
            thin: 1.0,
        };
        judge.day(500, &seen, false, &tuning);
        // The gap is 0.7 ln 2. Of σ̂² = 0.01 two thirds are noise at usual levels (0.015); now it is 0.005 / 2^0.7 + 0.01 / 2.
        // By the noise of usual levels it would be 4.0 spreads.
        assert!((judge.deviations + 5.07539).abs() < 1e-4, "{}", judge.deviations);
    }

    #[test]
    fn a_shortfall_of_few_events_is_the_root_of_a_deviance() {
        let tuning = Tuning::default();
        let counted = |events: f64| Counted {
            events,
            reference: 21.0,
            sign: 1.0,
        };
        // Half of the reference is expected: 10.5. Of the spread² 1/10.5 is chance, the rest a shape of 1/0.0025 = 400.
        let (level, spread) = (0.5f64.ln(), (1.0f64 / 10.5 + 0.0025).sqrt());
        let of = |events| counted(events).shortfall(level, spread, &tuning);
        // √(2·(2 ln(2/10.5) − 402 ln(402/410.5))); the log ratio would say 4.7.
        assert!((of(2.0).unwrap() - 3.19216).abs() < 1e-4, "{:?}", of(2.0));
        // √(2·400·ln(410.5/400)): nothing at all is a number, too.
        assert!((of(0.0).unwrap() - 4.55292).abs() < 1e-4, "{:?}", of(0.0));
        assert_eq!(of(10.6), None);
        // At the limit of what is few, and beyond.
        let of_many = |expected: f64| {
            let level = (expected / 21.0).ln();
            counted(1.0).shortfall(level, spread, &tuning)
        };
        assert!(of_many(39.9).is_some() && of_many(40.1).is_none());
    }
}
