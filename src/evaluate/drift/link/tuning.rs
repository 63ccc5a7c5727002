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
    /// Half-life of lag and elasticity, in days.
    pub link_half_life: f64,
    /// Lengths of the windows, the longest last, in days.
    pub window: [usize; 3],
    /// Slack of the sum of each window, in spreads.
    pub kappa: [f64; 3],
    /// Limit of the sum of each window, in spread-days.
    pub limit: [f64; 3],
    /// Answers to a move of the KPI that are always accepted, as elasticities.
    pub beta: (f64, f64),
    /// The least that a learned weak link can lower the first of them to.
    pub beta_floor: f64,
    /// Correlation from which on a link is strong: it then explains no less than it is known to, and a KPI that jumps
    /// alone is seen sooner.
    pub strong: f64,
    /// The most that a strong link raises the first of [`Tuning::beta`] to.
    pub strong_low: f64,
    /// The spread of a young link is widened by √(1 + young / days learned).
    pub young: f64,
    /// Spread that links have on the whole, besides the noise of single days, as a log ratio.
    pub sigma_usual: f64,
    /// Days of learning as much as which that speaks.
    pub sigma_weight: f64,
    /// Least spread, as a log ratio.
    pub sigma_min: f64,
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
    /// A day is judged when this share of its volume has usually arrived.
    pub mature: f64,
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
            link_half_life: 90.0,
            window: [7, 14, 28],
            kappa: [1.7, 1.8, 1.9],
            limit: [10.0, 20.0, 30.0],
            beta: (0.7, 1.1),
            beta_floor: 0.4,
            strong: 0.8,
            strong_low: 0.95,
            young: 0.0,
            sigma_usual: 0.09,
            sigma_weight: 60.0,
            sigma_min: 0.05,
            clear: 0.25,
            retarget: 0.25,
            plan_steps: 0.06,
            silence: 5.0,
            unit_log: 1.95,
            unit_sigmas: 6.0,
            mature: 0.95,
        }
    }
}
