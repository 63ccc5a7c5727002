//! Health of a feed, before anything is read out of it: silence, units, and how late its data is.

use serde::{Deserialize, Serialize};

use super::link::Tuning;
use super::sure;

/// How often each weekday is silent.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Liveness {
    /// Days and silent days by weekday, forgetting 4 % a week.
    seen: [f64; 7],
    silent: [f64; 7],
    /// −log₁₀ of the probability of the running silence.
    evidence: f64,
    /// Days of the running silence.
    pub(super) days: u32,
}

impl Liveness {
    /// Takes in a day and whether anything has come; true when the silence is a gap.
    pub(super) fn day(&mut self, weekday: usize, has_come: bool, may_alert: bool, tuning: &Tuning) -> bool {
        if has_come {
            self.days = 0;
            self.evidence = 0.0;
        } else {
            self.days += 1;
            self.evidence -= self.probability(weekday).log10();
        }
        if self.evidence >= tuning.silence && may_alert {
            return true;
        }
        self.seen[weekday] = self.seen[weekday] * 0.96 + 1.0;
        self.silent[weekday] = self.silent[weekday] * 0.96 + f64::from(u8::from(!has_come));
        false
    }

    /// Probability that the running silence is no chance: a feed that broke brings nothing, one that did not is silent for so
    /// long with the probability that is added up here, and feeds break once in [`sure::ONE_DAY_IN`] days.
    pub(super) fn confidence(&self) -> f64 {
        sure::posterior(self.evidence * std::f64::consts::LN_10)
    }

    /// Whether the running silence is longer than a weekend, or than is usual.
    pub(super) fn is_long(&self) -> bool {
        self.days >= 3 || self.evidence >= 2.0
    }

    /// Probability that a weekday is silent; weekdays that never were are pooled.
    fn probability(&self, weekday: usize) -> f64 {
        let never = |day: &usize| self.silent[*day] < 0.5;
        let (seen, silent) = if never(&weekday) {
            ((0..7).filter(never).map(|day| self.seen[day]).sum(), 0.0)
        } else {
            (self.seen[weekday], self.silent[weekday])
        };
        f64::min(1.0, (silent + 0.5) / (seen + 1.0))
    }
}

/// Days whose mean tells the unit of a stream of few events, where single days tell nothing.
const FEW: usize = 5;

/// Whether a stream still counts in the same unit.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Units {
    /// Usual log ratio to the reference by weekday.
    usual: [Option<f64>; 7],
    /// Mean deviation of a day: of weekdays of usual size, and of small ones, which vary more.
    deviation: [f64; 2],
    /// The last day and its log size, if it was odd.
    odd: Option<(i32, f64)>,
    /// The latest days with their log sizes and what was usual then, oldest first.
    latest: Vec<(i32, f64, f64)>,
    /// First day and log size of a change that is on.
    pub(super) changed: Option<(i32, f64)>,
}

impl Default for Units {
    fn default() -> Units {
        Units {
            usual: [None; 7],
            deviation: [0.25; 2],
            odd: None,
            latest: Vec::new(),
            changed: None,
        }
    }
}

impl Units {
    /// Takes in a day; true when the day is not to be used. `ratio` is the log ratio of a day
    /// to its reference as known now. On an unusual day (a holiday, a promotion or a day beside one) only a size tells
    /// that no holiday makes.
    pub(super) fn day(
        &mut self,
        day: i32,
        ratio: impl Fn(i32) -> Option<f64>,
        is_unusual: bool,
        may_alert: bool,
        tuning: &Tuning,
    ) -> bool {
        // Late data has come in since.
        for (of_day, off, usual) in &mut self.latest {
            *off = ratio(*of_day).map_or(*off, |ratio| ratio - *usual);
        }
        let Some(ratio) = ratio(day) else {
            return self.changed.is_some();
        };
        let weekday = super::link::weekday(day);
        let largest = self.largest();
        let Some(usual) = &mut self.usual[weekday] else {
            if !is_unusual {
                self.usual[weekday] = Some(ratio);
            }
            return false;
        };
        let deviation = &mut self.deviation[size_of(*usual, largest)];
        let off = ratio - *usual;
        let least = match (is_unusual, off > 0.0) {
            (false, _) => tuning.unit_log,
            (true, true) => tuning.unit_log + 0.5,
            // However small a day is, a holiday may have made it so.
            (true, false) => f64::INFINITY,
        };
        let is_odd = off.abs() > least && off.abs() > tuning.unit_sigmas * *deviation;
        let spread = *deviation;
        if !is_unusual {
            // A change teaches nothing: the usual size moves by its usual deviations only.
            let step = off.clamp(-3.0 * spread, 3.0 * spread);
            if !is_odd {
                *usual += 0.15 * step;
                let size = 1.2533 * off.abs().min(4.0 * spread);
                *deviation = f64::max(0.05, spread + 0.03 * (size - spread));
            }
            self.latest.push((day, off, ratio - off));
            if self.latest.len() > FEW {
                self.latest.remove(0);
            }
        }
        if !is_odd {
            self.odd = None;
            if self.changed.is_none() || !self.is_changed_on_average(spread, tuning) {
                self.changed = None;
            }
            if may_alert && self.is_changed_on_average(spread, tuning) && self.changed.is_none() {
                let first = self.latest.first().map_or(day, |(first, ..)| *first);
                self.changed = Some((first, self.average()));
            }
            return self.changed.is_some();
        }
        let alike =
            |(_, last): &(i32, f64)| off * last > 0.0 && (off - last).abs() < f64::max(1.0, 4.0 * spread);
        if let Some((first, _)) = self.odd.filter(alike)
            && may_alert
        {
            let since = self.changed.map_or(first, |(since, _)| since);
            self.changed = Some((since, off));
        }
        self.odd = Some((day, off));
        true
    }

    /// Size of the weekday that brings the most.
    fn largest(&self) -> f64 {
        self.usual.iter().flatten().copied().fold(f64::MIN, f64::max)
    }

    /// Probability that it is no chance that the unit changed, at the least: chance that has one peak is not as far out on
    /// two days in a row, or in the mean of [`FEW`]. Nothing else is asked of its shape, and further days are not counted.
    pub(super) fn confidence(&self) -> f64 {
        let spread = |day: i32| {
            let usual = self.usual[super::link::weekday(day)].unwrap_or(f64::MIN);
            self.deviation[size_of(usual, self.largest())]
        };
        let by_days = self.odd.map_or(1.0, |(day, off)| {
            sure::of_one_peak(off.abs() / spread(day)).powi(2)
        });
        let by_mean = self.latest.last().map_or(1.0, |(day, ..)| {
            let spread = spread(*day);
            let deviations = self.average().abs() * (FEW as f64).sqrt() / spread;
            let is_known = self.latest.len() == FEW;
            if is_known {
                sure::of_one_peak(deviations)
            } else {
                1.0
            }
        });
        1.0 - f64::min(by_days, by_mean)
    }

    /// Usual log ratio to the reference of a weekday; `None` while there is none.
    pub(super) fn usual(&self, weekday: usize) -> Option<f64> {
        self.usual[weekday]
    }

    /// The change has been the business's own for long: what it came to is usual from now on.
    pub(super) fn settle(&mut self) {
        let shift = self.average();
        self.usual.iter_mut().flatten().for_each(|usual| *usual += shift);
        for (_, off, usual) in &mut self.latest {
            *off -= shift;
            *usual += shift;
        }
        self.odd = None;
        self.changed = None;
    }

    fn average(&self) -> f64 {
        self.latest.iter().map(|(_, off, _)| off).sum::<f64>() / self.latest.len().max(1) as f64
    }

    /// Whether the latest days together are of another size, all to one side.
    fn is_changed_on_average(&self, spread: f64, tuning: &Tuning) -> bool {
        let mean = self.average();
        self.latest.len() == FEW
            && mean.abs() > tuning.unit_log_of_few
            && mean.abs() > tuning.unit_sigmas * spread / (FEW as f64).sqrt()
            && self.latest.iter().all(|(_, off, _)| off * mean > 0.0)
    }
}

/// Place of the deviation of weekdays of a size: of usual ones, and of small ones.
fn size_of(usual: f64, largest: f64) -> usize {
    usize::from(usual < largest - 1.0)
}

/// Ages in days that are told apart; older ones count as the last.
const AGES: usize = 16;

/// At what age a stream's volume arrives.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Lateness {
    share: [f64; AGES],
}

impl Lateness {
    /// Takes in what arrived on one day, by age; shares have a half-life of 5 days.
    pub(super) fn arrived(&mut self, by_age: &[f64; AGES]) {
        let volume: f64 = by_age.iter().sum();
        if volume > 0.0 {
            for (share, arrived) in self.share.iter_mut().zip(by_age) {
                *share += 0.13 * (arrived / volume - *share);
            }
        }
    }

    /// The age at which a day has usually arrived.
    pub(super) fn maturity(&self, tuning: &Tuning) -> i32 {
        let all: f64 = self.share.iter().sum();
        let mut sum = 0.0;
        for (age, share) in (0i32..).zip(self.share) {
            sum += share;
            if sum >= tuning.mature * all {
                return age;
            }
        }
        AGES as i32 - 1
    }

    pub(super) fn empty_ages() -> [f64; AGES] {
        [0.0; AGES]
    }

    /// The place of an age.
    pub(super) fn age(days: i32) -> usize {
        usize::try_from(days).unwrap_or(0).min(AGES - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silence_is_as_sure_as_chance_makes_it_rare() {
        let silent = |evidence| Liveness {
            evidence,
            ..Liveness::default()
        };
        // Where it is told: 100,000 / 100,999. Three days more of 1 in 10 each: 10⁸ / (10⁸ + 999).
        assert!((silent(5.0).confidence() - 0.990_109).abs() < 1e-6);
        assert!((silent(8.0).confidence() - 0.999_990).abs() < 1e-6);
    }

    #[test]
    fn another_unit_is_at_least_as_sure_as_two_days_or_five_together_are() {
        let day = |day: i32, off: f64| (day, off, 0.0);
        let mut units = Units {
            usual: [Some(0.0); 7],
            deviation: [0.25, 1.0],
            odd: Some((4, 2.3)),
            latest: (0..5).map(|of| day(of, 0.0)).collect(),
            changed: Some((3, 2.3)),
        };
        // 2.3 / 0.25 = 9.2 deviations on each of two days: 1 − (4 / (9 · 9.2²))².
        assert!(
            (units.confidence() - (1.0 - 2.7571e-5)).abs() < 1e-8,
            "{}",
            units.confidence()
        );
        // A weekday that is usually small varies more: 2.3 deviations, 1 − (4 / (9 · 2.3²))².
        units.usual = [Some(4.0); 7];
        units.usual[super::super::link::weekday(4)] = Some(0.0);
        assert!(
            (units.confidence() - 0.992_941).abs() < 1e-6,
            "{}",
            units.confidence()
        );
        // Five days of 1.8 in the mean, none of them odd: 1.8 · √5 / 0.25 = 16.1 deviations, 1 − 4 / (9 · 16.1²).
        units.usual = [Some(0.0); 7];
        units.odd = None;
        units.latest = (0..5).map(|of| day(of, 1.8)).collect();
        assert!(
            (units.confidence() - 0.998_285).abs() < 1e-6,
            "{}",
            units.confidence()
        );
        // Four are no mean of five.
        units.latest.pop();
        assert_eq!(units.confidence(), 0.0);
    }
}
