//! Whether the parent answers the moves of its KPI, and when: day by day, where [`super::judge`] compares levels.
//!
//! Of each day, y and x are the log ratios of parent and KPI to what was usual of late. The answer is learned as
//! y = β·mean(x over `width` days that end `lag` days back) + γ·x of the day itself: what moves both at once, such as a
//! promotion, is no answer. Then each new day is asked which of three explains it best: the answer as learned, none at all,
//! or the same answer later. The logs of the likelihood ratios add up to a sum that begins anew at 0 (Page's CUSUM; for
//! likelihood ratios Lorden 1971, Annals of Mathematical Statistics 42).
//!
//! What the link has brought so far says how far such a sum goes by chance: with a mean of −d and a variance v a day, it
//! passes h as often as e^(−θh), θ = 2d/v (Siegmund 1985). A link that answers too weakly to be told from none has no d, and
//! nothing is said of it.

use serde::{Deserialize, Serialize};

use super::super::sure;
use super::stream::RING;
use super::tuning::AnswerTuning;

/// Widths of the answers that are tried, in days.
const WIDTHS: [usize; 3] = [1, 3, 5];
/// Lags of the answers that are tried.
const LAGS: usize = 15;
/// An answer that is later by fewer days than the first of them is not asked for.
const LATER_FROM: usize = 5;
/// How many days more are asked for.
const LATER: usize = 26;
/// The largest departure of a day that counts, as a log ratio.
const LARGEST: f64 = 0.8;
/// Days of learning from which on an answer is chosen.
const CHOSEN_FROM: f64 = 60.0;
/// Days of which the chosen answer spoke before it had learned them, from which on it is believed.
const TRIED_FROM: f64 = 45.0;

/// Lag and width of every shape of the answer that is tried.
fn shapes() -> impl Iterator<Item = (usize, usize)> {
    (0..LAGS).flat_map(|lag| WIDTHS.map(|width| (lag, width)))
}

/// What is learned of one shape of the answer: sums of products that forget. `0` is the KPI on the day itself.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Shape {
    xx: f32,
    x0: f32,
    xx0: f32,
    xy: f32,
    x0y: f32,
}

/// The answer as learned.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Learned {
    lag: usize,
    width: usize,
    /// Elasticity of the answer.
    beta: f64,
    /// Of what moves both at once.
    gamma: f64,
    /// Variance of a day.
    variance: f64,
}

/// What was usual of late.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Usual {
    /// As a log ratio.
    mean: f64,
    days: f64,
}

/// What a day says, as logs of likelihood ratios.
struct Told {
    /// For no answer.
    missing: f64,
    /// For one that is later, by days from [`LATER_FROM`].
    later: [f64; LATER],
    /// Expected answer times what came.
    came: f64,
    /// Expected answer squared.
    expected: f64,
}

/// The sum of what days say of one departure from the answer.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Evidence {
    sum: f64,
    /// First day of the sum.
    since: i32,
    /// Sums of [`Told`] over its days.
    came: f64,
    expected: f64,
}

impl Evidence {
    fn add(&mut self, day: i32, step: f64, most: f64, told: &Told) {
        if self.sum <= 0.0 {
            *self = Evidence {
                since: day,
                ..Evidence::default()
            };
        }
        self.sum = (self.sum + step).clamp(0.0, most);
        self.came += told.came;
        self.expected += told.expected;
    }
}

/// What of the answer may be asked on a day.
#[derive(Clone, Copy, Debug)]
pub(super) struct MayAsk {
    /// Whether it is missing.
    pub(super) missing: bool,
    /// Whether it is later.
    pub(super) later: bool,
}

/// That the answer does not come, or comes later.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Change {
    /// First day of it, as far as can be told.
    pub(super) since: i32,
    /// Share of the answers expected since that came at their time.
    pub(super) answered: f64,
    /// Evidence as a share of what it takes to say so.
    pub(super) evidence: f64,
    /// Probability that it is no chance: that of a change once in [`sure::ONE_DAY_IN`] days after θS, the sum as a log
    /// likelihood ratio that passes h by chance as often as e^(−h) says. Of an answer that is later S is that of one of all
    /// lags that are asked for, each as likely as any other.
    pub(super) confidence: f64,
    /// Days from a move to the middle of its answer, as it was and, where it is later, as it is.
    pub(super) lags: [f64; 2],
}

/// What is known of the answer of a parent to its KPI.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Answer {
    /// Of KPI and parent by day, log ratios to what was usual of late; NaN where a day says nothing.
    departures: [Vec<f32>; 2],
    /// By day, what it said for no answer by what was known then; NaN where it said nothing.
    said: Vec<f32>,
    usual: [Usual; 2],
    shapes: Vec<Shape>,
    /// Days that were learned from, forgetting.
    weight: f64,
    /// Sum of the squares of the parent's departures, forgetting.
    yy: f64,
    /// Mean and variance of what the learned days said, and how many they are, forgetting.
    mean: f64,
    variance: f64,
    tried: f64,
    learned: Option<Learned>,
    missing: Evidence,
    /// By days from [`LATER_FROM`].
    later: Vec<Evidence>,
    /// What it takes to say either; `None` while the answer is not known well enough.
    limits: Option<[f64; 2]>,
    is_missing: bool,
    is_later: bool,
}

fn at(day: i32) -> usize {
    day.rem_euclid(RING as i32) as usize
}

impl Answer {
    pub(super) fn new() -> Answer {
        let empty = || vec![f32::NAN; RING];
        Answer {
            departures: [empty(), empty()],
            said: empty(),
            usual: [Usual::default(); 2],
            shapes: vec![Shape::default(); LAGS * WIDTHS.len()],
            weight: 0.0,
            yy: 0.0,
            mean: 0.0,
            variance: 0.0,
            tried: 0.0,
            learned: None,
            missing: Evidence::default(),
            later: vec![Evidence::default(); LATER],
            limits: None,
            is_missing: false,
            is_later: false,
        }
    }

    /// Takes in a day: log ratios of KPI and parent to what is expected of them. What the levels of both say explains a
    /// part of what is asked for here, so it may not be asked then.
    pub(super) fn day(&mut self, day: i32, ratios: [Option<f64>; 2], may: MayAsk, tuning: &AnswerTuning) {
        for (side, ratio) in ratios.into_iter().enumerate() {
            let departure = self.departure(side, ratio, tuning);
            self.departures[side][at(day)] = departure;
        }
        self.said[at(day)] = f32::NAN;
        self.learn(day - tuning.delay, tuning);
        self.choose(tuning);
        let told = self.told_of(day, tuning);
        self.said[at(day)] = told.as_ref().map_or(f32::NAN, |told| told.missing as f32);
        if !may.missing {
            self.missing = Evidence::default();
        }
        if !may.later {
            self.later.fill(Evidence::default());
        }
        if let Some(told) = &told {
            // What is not known well enough to be told is not forgotten either.
            let [most_missing, most_later] = match self.limits {
                Some(limits) => limits.map(|limit| 1.5 * limit),
                None => [tuning.missing, tuning.later].map(|limit| 0.5 * limit),
            };
            if may.missing {
                self.missing.add(day, told.missing, most_missing, told);
            }
            if may.later {
                for (evidence, step) in std::iter::zip(&mut self.later, told.later) {
                    evidence.add(day, step, most_later, told);
                }
            }
        }
        self.tell(tuning);
    }

    /// That the answer is missing, where that is told, and as far as it is else.
    pub(super) fn missing(&self, tuning: &AnswerTuning) -> Option<Change> {
        let ratio = self.theta(tuning) * self.missing.sum;
        self.change(&self.missing, self.is_missing, 0, 0, ratio)
    }

    /// That the answer is later, where that is told, and as far as it is else.
    pub(super) fn later(&self, tuning: &AnswerTuning) -> Option<Change> {
        let (more, evidence) = self.latest();
        let theta = self.theta(tuning);
        let ratio = sure::one_of(self.later.iter().map(|evidence| theta * evidence.sum));
        self.change(evidence, self.is_later, 1, more, ratio)
    }

    fn change(
        &self,
        evidence: &Evidence,
        is_told: bool,
        limit: usize,
        more: usize,
        log_ratio: f64,
    ) -> Option<Change> {
        let (limits, learned) = (self.limits?, self.learned?);
        let share = evidence.sum / limits[limit];
        let middle = learned.lag as f64 + (learned.width - 1) as f64 / 2.0;
        let answered = evidence.came / evidence.expected.max(f64::MIN_POSITIVE);
        Some(Change {
            since: evidence.since,
            answered: answered.clamp(0.0, 1.0),
            evidence: if is_told { share.max(1.0) } else { share.min(0.999) },
            confidence: sure::posterior(log_ratio),
            lags: [middle, middle + more as f64],
        })
    }

    /// Log ratio to what was usual of late, which it then becomes a part of.
    fn departure(&mut self, side: usize, ratio: Option<f64>, tuning: &AnswerTuning) -> f32 {
        let Some(ratio) = ratio else {
            return f32::NAN;
        };
        let usual = &mut self.usual[side];
        let departure = ratio - usual.mean;
        usual.days += 1.0;
        let rate = (1.0 - 0.5f64.powf(1.0 / tuning.usual_half_life)).max(1.0 / usual.days);
        usual.mean += rate * departure.clamp(-0.5, 0.5);
        departure.clamp(-LARGEST, LARGEST) as f32
    }

    fn departure_of(&self, side: usize, day: i32) -> Option<f64> {
        let departure = f64::from(self.departures[side][at(day)]);
        (!departure.is_nan()).then_some(departure)
    }

    /// Mean move of the KPI over `width` days that end `lag` days before a day; `None` where most of them say nothing.
    fn moved(&self, day: i32, lag: usize, width: usize) -> Option<f64> {
        let days = (lag..lag + width).map(|ago| day - ago as i32);
        let (mut sum, mut count) = (0.0, 0);
        for move_of in days.filter_map(|day| self.departure_of(0, day)) {
            sum += move_of;
            count += 1;
        }
        (count * 2 > width).then(|| sum / count as f64)
    }

    /// Learns a day that is far enough back for nothing that goes on now to teach itself.
    fn learn(&mut self, day: i32, tuning: &AnswerTuning) {
        let Some(y) = self.departure_of(1, day) else {
            return;
        };
        let kept = 0.5f64.powf(1.0 / tuning.half_life);
        self.weight = self.weight * kept + 1.0;
        self.yy = self.yy * kept + y * y;
        let at_once = self.departure_of(0, day).unwrap_or(0.0);
        for (place, (lag, width)) in shapes().enumerate() {
            if let Some(x) = self.moved(day, lag, width) {
                let shape = &mut self.shapes[place];
                let sums = [
                    (&mut shape.xx, x * x),
                    (&mut shape.x0, at_once * at_once),
                    (&mut shape.xx0, x * at_once),
                    (&mut shape.xy, x * y),
                    (&mut shape.x0y, at_once * y),
                ];
                for (sum, new) in sums {
                    *sum = (f64::from(*sum) * kept + new) as f32;
                }
            }
        }
        let said = f64::from(self.said[at(day)]);
        if !said.is_nan() {
            self.tried = self.tried * kept + 1.0;
            let off = said - self.mean;
            self.mean += off / self.tried;
            self.variance += (off * (said - self.mean) - self.variance) / self.tried;
        }
    }

    /// Chooses the shape that explains the most of what was learned, and what it takes to say that it does not come.
    fn choose(&mut self, tuning: &AnswerTuning) {
        self.learned = None;
        self.limits = None;
        if self.weight < CHOSEN_FROM {
            return;
        }
        let ridge = tuning.ridge * self.weight;
        let mut most = 0.0;
        for (shape, (lag, width)) in std::iter::zip(&self.shapes, shapes()) {
            let [xx, x0, xx0, xy, x0y] = [shape.xx, shape.x0, shape.xx0, shape.xy, shape.x0y].map(f64::from);
            let (xx, x0) = (xx + ridge, x0 + ridge);
            // An answer on the same day is not told from what moves both.
            let (beta, gamma) = if lag < 2 {
                (xy / xx, 0.0)
            } else {
                let determinant = xx * x0 - xx0 * xx0;
                (
                    (xy * x0 - x0y * xx0) / determinant,
                    (x0y * xx - xy * xx0) / determinant,
                )
            };
            let explained = beta * xy + gamma * x0y;
            if beta > 0.0 && explained > most {
                most = explained;
                self.learned = Some(Learned {
                    lag,
                    width,
                    beta,
                    gamma,
                    variance: (1.05 * (self.yy - explained) / self.weight).max(tuning.least_variance),
                });
            }
        }
        let brings = -self.mean;
        let is_known = self.tried >= TRIED_FROM
            && brings >= tuning.brings
            && self
                .learned
                .is_some_and(|learned| learned.beta >= tuning.least_elasticity);
        let theta = self.theta(tuning);
        self.limits = is_known.then(|| [tuning.missing / theta, tuning.later / theta]);
    }

    /// What a sum has to be multiplied by to be the log of its rarity by chance. Days that stand side by side are alike, so
    /// a sum of them varies more than its days do.
    fn theta(&self, tuning: &AnswerTuning) -> f64 {
        (2.0 * -self.mean / (tuning.alike * self.variance)).clamp(0.02, 1.0)
    }

    /// What a day says of each departure from the answer.
    fn told_of(&self, day: i32, tuning: &AnswerTuning) -> Option<Told> {
        let learned = self.learned?;
        let y = self.departure_of(1, day)?;
        let at_once = self.departure_of(0, day).unwrap_or(0.0);
        let answer = learned.beta * self.moved(day, learned.lag, learned.width)?;
        let most = tuning.clip * learned.variance.sqrt() + answer.abs();
        let rest = (y - learned.gamma * at_once).clamp(-most, most);
        let unlikely = |departure: f64| departure.powi(2) / (2.0 * learned.variance);
        // Where the parent moved with its KPI on the same day, neither is missing nor late what came at once.
        let (a, b) = (tuning.together.0 * at_once, tuning.together.1 * at_once);
        let known = unlikely(rest - answer).min(unlikely(y - y.clamp(a.min(b), a.max(b))));
        let none = unlikely(rest);
        let later = std::array::from_fn(|more| {
            let moved = self.moved(day, learned.lag + LATER_FROM + more, learned.width);
            moved.map_or(0.0, |x| known.min(none) - unlikely(rest - learned.beta * x))
        });
        Some(Told {
            missing: known - none,
            later,
            came: answer * rest,
            expected: answer * answer,
        })
    }

    fn tell(&mut self, tuning: &AnswerTuning) {
        let Some([missing, later]) = self.limits else {
            self.is_missing = false;
            self.is_later = false;
            return;
        };
        let is_on = |evidence: &Evidence, was_on: bool, limit: f64| {
            evidence.sum >= limit || was_on && evidence.sum > tuning.clear * limit
        };
        let latest = *self.latest().1;
        self.is_later = is_on(&latest, self.is_later, later);
        // What may come later is not missing.
        self.is_missing =
            is_on(&self.missing, self.is_missing, missing) && latest.sum < tuning.may_come * later;
    }

    /// By how many days the answer is later, where that has the most evidence.
    fn latest(&self) -> (usize, &Evidence) {
        let first = (LATER_FROM, &self.later[0]);
        let all = (LATER_FROM..).zip(&self.later);
        all.fold(
            first,
            |best, next| if next.1.sum > best.1.sum { next } else { best },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_sure_it_is_follows_from_the_sum_and_what_chance_makes_of_one() {
        let tuning = AnswerTuning::default();
        let mut answer = Answer::new();
        answer.learned = Some(Learned {
            lag: 5,
            width: 1,
            beta: 0.8,
            gamma: 0.0,
            variance: 0.01,
        });
        // θ = 2 · 0.13 / (1.3 · 0.4) = 0.5.
        (answer.mean, answer.variance) = (-0.13, 0.4);
        answer.limits = Some([20.0, 24.0]);
        // At its limit a sum of 20 is a log ratio of 10: e¹⁰ / (e¹⁰ + 999).
        answer.missing.sum = 20.0;
        answer.is_missing = true;
        let missing = answer.missing(&tuning).unwrap();
        assert_eq!(missing.evidence, 1.0);
        assert!((missing.confidence - 0.956_612).abs() < 1e-5, "{missing:?}");
        // One of 26 lags that says e¹² while the others say nothing: (e¹² + 25) / 26 beside 999.
        answer.later[9].sum = 24.0;
        let later = answer.later(&tuning).unwrap();
        assert_eq!(later.lags, [5.0, 19.0]);
        assert!((later.confidence - 0.862_392).abs() < 1e-5, "{later:?}");
        // Two that say so are twice as likely.
        answer.later[10].sum = 24.0;
        let later = answer.later(&tuning).unwrap();
        assert!((later.confidence - 0.926_107).abs() < 1e-5, "{later:?}");
        // What fades is no longer sure, however long it is still told: e⁵ / (e⁵ + 999).
        answer.missing.sum = 10.0;
        let missing = answer.missing(&tuning).unwrap();
        assert_eq!(missing.evidence, 1.0);
        assert!((missing.confidence - 0.129_346).abs() < 1e-5, "{missing:?}");
    }
}
