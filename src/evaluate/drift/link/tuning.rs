//! The constants of the judgement: one set, for every link.

/// One set of constants. [`Tuning::default`] is what tautline uses; none depends on the data that it is used on.
#[derive(Clone, Debug)]
pub struct Tuning {
    /// Divides every limit: 0.7 is quieter, 1.5 is faster.
    pub sensitivity: f64,
    /// Days within which a parent answers its KPI.
    pub max_lag: usize,
    /// Judged days before the first alert.
    pub warmup: u32,
    /// Baselines, spread and link are learned from days this far back, so that a fault does not teach itself.
    pub delay: usize,
    /// Nothing is learned while a sum is above this share of its limit.
    pub hold: f64,
    /// Half-life of baselines and spread, in days.
    pub half_life: f64,
    /// Log size of a move of both sides from which on their baselines follow it.
    pub together_from: f64,
    /// By how much of the larger one both moves may differ.
    pub together_within: f64,
    /// Half-life of baselines that follow a move of both, in days.
    pub together_half_life: f64,
    /// Half-life of lag and elasticity, in days.
    pub link_half_life: f64,
    /// Lengths of the windows, the longest last, in days.
    pub window: [usize; 3],
    /// Slack of the sum of each window, in spreads.
    pub kappa: [f64; 3],
    /// Limit of the sum of each window, in spread-days.
    pub limit: [f64; 3],
    /// By how much lower a limit is where a link does not wander: a share of it.
    pub calm: f64,
    /// How many times the variance of its windows the noise of single days alone would make, where a link wanders too little
    /// for a lower limit, and from where on it is lower by all of [`Tuning::calm`].
    pub calm_at: (f64, f64),
    /// Links of a catalogue up to which limits are as they stand. Beyond, they rise so that the false alarms of all links
    /// together stay those of so many.
    pub fleet: usize,
    /// Log of how many times as many there are; 0 for fewer. See [`Tuning::of_a_fleet`].
    pub crowd: f64,
    /// Answers to a move of the KPI that are always accepted, as elasticities.
    pub beta: (f64, f64),
    /// The least that a learned weak link can lower the first of them to.
    pub beta_floor: f64,
    /// Correlation from which on a link is strong: it then explains no less than it is known to, and a KPI that jumps
    /// alone is seen sooner.
    pub strong: f64,
    /// The most that a strong link raises the first of [`Tuning::beta`] to.
    pub strong_low: f64,
    /// Correlation from which on a KPI speaks for what its parent does, before another KPI of the same parent is blamed.
    pub speaks: f64,
    /// The spread of a young link is widened by √(1 + young / days learned).
    pub young: f64,
    /// Spread that links have on the whole, besides the noise of single days, as a log ratio.
    pub sigma_usual: f64,
    /// Days of learning as much as which that speaks.
    pub sigma_weight: f64,
    /// Least spread, as a log ratio.
    pub sigma_min: f64,
    /// Events expected in the shortest window up to which a shortfall is judged as one of a count.
    pub few: f64,
    /// An alert clears when its sum is below this share of the limit.
    pub clear: f64,
    /// Log size of a step of the plan between periods from which on it is a new plan, not growth.
    pub retarget: f64,
    /// Log size of the steps of a plan between periods, season taken out, up to which the reference follows it whole.
    pub plan_steps: f64,
    /// A silence is a feed gap when −log₁₀ of its probability reaches this.
    pub silence: f64,
    /// A day whose log ratio to its usual size passes this, and `unit_sigmas` deviations, is odd.
    pub unit_log: f64,
    /// See `unit_log`.
    pub unit_sigmas: f64,
    /// The same of the mean of a few days, where single ones vary too much; and by how much a size must differ from what the
    /// other side of a link does at the same time.
    pub unit_log_of_few: f64,
    /// Days after which a size that both sides share is their usual one.
    pub unit_settles: i32,
    /// Log size from which on it is another unit though the other side of a link has moved as far.
    pub unit_shared: f64,
    /// A day is judged when this share of its volume has usually arrived.
    pub mature: f64,
    /// Of the parent's answer, day by day.
    pub answer: AnswerTuning,
}

/// The constants of what is asked of the parent's answer.
#[derive(Clone, Debug)]
pub struct AnswerTuning {
    /// Half-life of what is usual of late, in days: slower moves are no answer.
    pub usual_half_life: f64,
    /// Days back from which on is learned: an answer that fades over two months does not teach itself.
    pub delay: i32,
    /// Half-life of what is learned, in days.
    pub half_life: f64,
    /// Variance that is added to that of the KPI, so that a KPI that hardly moves learns nothing.
    pub ridge: f64,
    /// The least variance of a day.
    pub least_variance: f64,
    /// Standard deviations beyond which a day says no more.
    pub clip: f64,
    /// Elasticities with which both move where something else moves both at once.
    pub together: (f64, f64),
    /// What the answer must have said for itself a day, as the log of a likelihood ratio, to be asked for.
    pub brings: f64,
    /// The least elasticity that is asked for.
    pub least_elasticity: f64,
    /// By how much neighbouring days that are alike raise the variance of a sum.
    pub alike: f64,
    /// Log of the rarity of a sum by chance that says that the answer is missing.
    pub missing: f64,
    /// The same for an answer that comes later.
    pub later: f64,
    /// It is over when the sum is below this share of that.
    pub clear: f64,
    /// Share of the evidence for a later answer from which on nothing is missing.
    pub may_come: f64,
}

impl Default for AnswerTuning {
    fn default() -> AnswerTuning {
        AnswerTuning {
            usual_half_life: 30.0,
            delay: 56,
            half_life: 120.0,
            ridge: 0.002,
            least_variance: 0.001,
            clip: 2.5,
            together: (0.6, 1.1),
            brings: 0.08,
            least_elasticity: 0.3,
            alike: 1.3,
            missing: 10.0,
            later: 12.0,
            clear: 0.25,
            may_come: 0.5,
        }
    }
}

impl Default for Tuning {
    fn default() -> Tuning {
        Tuning {
            sensitivity: 1.0,
            max_lag: 14,
            warmup: 90,
            delay: 28,
            hold: 0.25,
            half_life: 75.0,
            together_from: 0.3,
            together_within: 0.3,
            together_half_life: 14.0,
            link_half_life: 90.0,
            window: [7, 14, 28],
            kappa: [1.7, 1.8, 1.9],
            limit: [10.0, 20.0, 30.0],
            calm: 0.3,
            calm_at: (1.2, 1.8),
            fleet: 500,
            crowd: 0.0,
            beta: (0.7, 1.1),
            beta_floor: 0.4,
            strong: 0.8,
            strong_low: 0.95,
            speaks: 0.7,
            young: 0.0,
            sigma_usual: 0.09,
            sigma_weight: 60.0,
            sigma_min: 0.05,
            few: 40.0,
            clear: 0.25,
            retarget: 0.25,
            plan_steps: 0.06,
            silence: 5.0,
            unit_log: 1.95,
            unit_sigmas: 6.0,
            unit_log_of_few: 1.6,
            unit_settles: 14,
            unit_shared: 3.0,
            mature: 0.95,
            answer: AnswerTuning::default(),
        }
    }
}

impl Tuning {
    /// The same for a catalogue of so many judged links.
    ///
    /// A sum of evidence with slack κ over windows of w days passes h by chance about e^(−θh) as often as it begins, with
    /// θ = 2κ/w: the exponent of a Brownian motion of drift −κ and variance w a day, which is what windows that overlap add up
    /// to (Siegmund 1985, Sequential Analysis). N links make N times as many false alarms; limits that are
    /// ln(N/N₀)/θ higher bring them back to those of N₀.
    pub fn of_a_fleet(mut self, links: usize) -> Tuning {
        self.crowd = (links.max(1) as f64 / self.fleet as f64).ln().max(0.0);
        // These are logs of rarities already.
        self.answer.missing += self.crowd;
        self.answer.later += self.crowd;
        self
    }

    /// By how much baselines follow a day on which KPI and parent are off by log ratios, beside what they follow any day: where both
    /// have moved alike and far, that is a level of both. Else the answers that a move of such a size explains would
    /// hide for months what one side does.
    pub(super) fn together(&self, kpi: f64, parent: f64) -> f64 {
        let (less, more) = (kpi.abs().min(parent.abs()), kpi.abs().max(parent.abs()));
        let is_shared = kpi * parent > 0.0 && less > self.together_from;
        if !is_shared || more - less >= self.together_within * more {
            return 0.0;
        }
        (1.0 - 0.5f64.powf(1.0 / self.together_half_life)) * less * kpi.signum()
    }

    /// The limit of a window in spread-days, of a link whose windows have a variance and to which the noise of single days
    /// alone would give another.
    ///
    /// A sum of independent days passes a limit as seldom as theory says. What wanders by itself stays out for weeks, and
    /// passes it more often; then its windows vary by more than their days do. Gaps that go to the nearest answer that
    /// is accepted vary by less than their days, so that begins above 1.
    pub(super) fn limit_of(&self, window: usize, variance: f64, noise: f64) -> f64 {
        let at = self.window.iter().position(|own| *own == window).unwrap_or(0);
        let (from, to) = self.calm_at;
        let calm = ((noise / variance - from) / (to - from)).clamp(0.0, 1.0);
        self.limit[at] * (1.0 - self.calm * calm) / self.sensitivity
    }

    /// What the limit of a window rises by in a large catalogue, in spread-days.
    pub(super) fn rise(&self, window: usize, kappa: f64) -> f64 {
        self.crowd * window as f64 / (2.0 * kappa)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often a sum over windows of `window` days of chance passes a limit, begun anew each time.
    fn passes(window: usize, kappa: f64, limit: f64) -> u32 {
        let mut state = 7u64;
        let mut uniform = || {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            (z ^ (z >> 31)) as f64 / u64::MAX as f64
        };
        let mut days = vec![0.0; window];
        let (mut sum, mut evidence, mut count) = (0.0, 0.0f64, 0);
        for day in 0..2_000_000 {
            let normal: f64 = (0..12).map(|_| uniform()).sum::<f64>() - 6.0;
            sum += normal - days[day % window];
            days[day % window] = normal;
            evidence = (evidence + sum / (window as f64).sqrt() - kappa).max(0.0);
            if evidence >= limit {
                count += 1;
                evidence = 0.0;
            }
        }
        count
    }

    #[test]
    fn a_fleet_ten_times_as_large_raises_limits_so_that_each_link_errs_a_tenth_as_often() {
        let tuning = Tuning::default().of_a_fleet(5000);
        // With less slack than ours, so that two million days bring enough of them.
        for (window, kappa, limit) in [(7, 0.6, 24.0), (14, 0.6, 40.0)] {
            let before = passes(window, kappa, limit);
            let after = passes(window, kappa, limit + tuning.rise(window, kappa));
            let times = f64::from(before) / f64::from(after.max(1));
            assert!(
                before > 300 && (7.0..16.0).contains(&times),
                "{before} and {after}"
            );
        }
    }

    #[test]
    fn a_link_that_does_not_wander_is_told_of_sooner() {
        let limit = |noise: f64| Tuning::default().limit_of(14, 0.01, noise);
        for (noise, expected) in [
            (0.0, 20.0),
            (0.012, 20.0),
            (0.015, 17.0),
            (0.018, 14.0),
            (0.05, 14.0),
        ] {
            assert!(
                (limit(noise) - expected).abs() < 1e-9,
                "{noise}: {}",
                limit(noise)
            );
        }
    }

    #[test]
    fn baselines_follow_what_both_sides_do_alike() {
        let tuning = Tuning::default();
        let rate = 1.0 - 0.5f64.powf(1.0 / 14.0);
        let near = |(kpi, parent), expected: f64| {
            let found = tuning.together(kpi, parent);
            assert!((found - expected).abs() < 1e-12, "{kpi} {parent}: {found}");
        };
        near((1.0, 0.8), rate * 0.8);
        near((-0.4, -0.5), -rate * 0.4);
        // Not as far, not as much, not to the same side.
        near((0.29, 0.31), 0.0);
        near((1.0, 0.7), 0.0);
        near((0.5, -0.5), 0.0);
    }

    #[test]
    fn few_links_are_judged_as_ever() {
        for links in [0, 1, 499, 500] {
            assert_eq!(Tuning::default().of_a_fleet(links).rise(28, 1.9), 0.0);
        }
        // ln 10 · 28 / 3.8
        let ten_times = Tuning::default().of_a_fleet(5000).rise(28, 1.9);
        assert!((ten_times - 16.966).abs() < 1e-3, "{ten_times}");
    }
}
