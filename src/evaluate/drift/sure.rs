//! How sure a judgement is: the probability that it is no chance. What tells of each kind says how it is reckoned.
//!
//! Where a day is compared with a model of what goes on, it brings a likelihood ratio, and with it and a prior there is a
//! probability that something has changed: [`posterior`]. Where only what is usual is modelled there is the probability that
//! chance alone is as far out, and confidence is 1 less that: [`within`] where it is normal, [`of_one_peak`] where nothing
//! but its spread is known, and [`of_most`] over several that may say the same thing.

/// A change of one kind begins on one day in so many: the prior of [`posterior`], about once in three years.
pub(super) const ONE_DAY_IN: f64 = 1000.0;

/// Probability of a change, where the days since its most likely first one are e^`log_ratio` times as likely with it as
/// without it: Bayes' rule with the prior that it began on that day.
pub(super) fn posterior(log_ratio: f64) -> f64 {
    1.0 / (1.0 + (ONE_DAY_IN - 1.0) * (-log_ratio).exp())
}

/// Log of the mean of likelihood ratios that are given by their logs: that of "one of these", each of them as likely before.
pub(super) fn one_of(log_ratios: impl ExactSizeIterator<Item = f64> + Clone) -> f64 {
    let count = log_ratios.len() as f64;
    let most = log_ratios.clone().fold(0.0, f64::max);
    let sum: f64 = log_ratios.map(|ratio| (ratio - most).exp()).sum();
    most + (sum / count).ln()
}

/// Probability that a normal deviate is within ±z: the error function by Abramowitz and Stegun 7.1.26, to 1.5·10⁻⁷.
pub(super) fn within(z: f64) -> f64 {
    let x = z.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let poly = t
        * (0.254_829_592
            + t * (-0.284_496_736 + t * (1.421_413_741 + t * (-1.453_152_027 + t * 1.061_405_429))));
    1.0 - poly * (-x * x).exp()
}

/// The most that chance can have to be `deviations` and more away from where it has its one peak, whatever its shape
/// (Gauss 1823; Pukelsheim 1994, "The three sigma rule", The American Statistician 48).
pub(super) fn of_one_peak(deviations: f64) -> f64 {
    // What is no number is at the peak.
    let deviations = deviations.max(0.0);
    if deviations * 3f64.sqrt() < 2.0 {
        1.0 - deviations / 3f64.sqrt()
    } else {
        4.0 / (9.0 * deviations * deviations)
    }
}

/// How sure more than half of `judged` are together, by how sure each of those is that say the same; `None` where fewer do.
///
/// With p the m-th smallest of n probabilities of chance, n/m · p is one of all of them, however they hang together
/// (Rüger 1978, Metrika 25; Vovk and Wang 2020, Biometrika 107): links of one parent see the same parent, so what they say
/// must not be multiplied. m is the least number that is more than half.
pub(super) fn of_most(judged: usize, confidences: impl Iterator<Item = f64>) -> Option<f64> {
    let needed = judged / 2 + 1;
    let mut chances: Vec<f64> = confidences.map(|confidence| 1.0 - confidence).collect();
    chances.sort_unstable_by(f64::total_cmp);
    let last = chances.get(needed - 1)?;
    Some(1.0 - (last * judged as f64 / needed as f64).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(value: f64, expected: f64) {
        assert!((value - expected).abs() < 5e-5, "{value} for {expected}");
    }

    #[test]
    fn a_change_is_as_likely_as_its_prior_and_its_days_make_it() {
        // 1 in 1,000 without any evidence.
        close(posterior(0.0), 0.001);
        // 999 times as likely with it: even.
        close(posterior(999f64.ln()), 0.5);
        // Where an answer that is missing is told: e¹⁰ / (e¹⁰ + 999) = 22,026 / 23,025.
        close(posterior(10.0), 0.9566);
        // Where a silence is told: 100,000 / 100,999.
        close(posterior(5.0 * std::f64::consts::LN_10), 0.9901);
        assert_eq!(
            (posterior(f64::INFINITY), posterior(f64::NEG_INFINITY)),
            (1.0, 0.0)
        );
    }

    #[test]
    fn one_of_several_is_their_mean() {
        // (2 + 4 + 6) / 3 = 4.
        close(one_of([2f64, 4.0, 6.0].map(f64::ln).into_iter()), 4f64.ln());
        // One that says e¹² and 25 that say nothing: (e¹² + 25) / 26 = 6,260.8.
        let mut ratios = [0.0; 26];
        ratios[7] = 12.0;
        close(one_of(ratios.into_iter()), 6260.76f64.ln());
        close(posterior(one_of(ratios.into_iter())), 0.8624);
        // As many as there are say the same: it is that.
        close(one_of([700.0; 26].into_iter()), 700.0);
    }

    #[test]
    fn a_normal_deviate_is_where_tables_say() {
        for (z, share) in [(0.0, 0.0), (1.0, 0.6827), (1.96, 0.95), (-2.5758, 0.99)] {
            close(within(z), share);
        }
    }

    #[test]
    fn chance_with_one_peak_is_bounded_whatever_its_shape() {
        close(of_one_peak(0.0), 1.0);
        // 4 / 81, the three sigma rule.
        close(of_one_peak(3.0), 0.0494);
        close(of_one_peak(6.0), 4.0 / 324.0);
        // Where both rules meet it is 1/3.
        let meets = 2.0 / 3f64.sqrt();
        close(of_one_peak(meets), 1.0 / 3.0);
        close(of_one_peak(meets - 1e-9), 1.0 / 3.0);
        assert_eq!((of_one_peak(f64::INFINITY), of_one_peak(f64::NAN)), (0.0, 1.0));
    }

    #[test]
    fn most_of_several_are_as_sure_as_the_last_of_those_that_it_takes() {
        // Of five it takes three: 5/3 of what the third has by chance, 0.05, is 0.0833.
        close(of_most(5, [0.95, 0.99, 0.98].into_iter()).unwrap(), 0.9167);
        // A fourth that is less sure changes nothing, one that is surer does: 5/3 · 0.02.
        close(of_most(5, [0.95, 0.99, 0.98, 0.3].into_iter()).unwrap(), 0.9167);
        close(of_most(5, [0.95, 0.99, 0.98, 0.985].into_iter()).unwrap(), 0.9667);
        // Of six it takes four.
        assert_eq!(of_most(6, [0.99, 0.99, 0.99].into_iter()), None);
        // No less than nothing.
        assert_eq!(of_most(5, [0.1; 3].into_iter()), Some(0.0));
    }
}
