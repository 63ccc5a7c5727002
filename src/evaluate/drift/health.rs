//! Health of a feed, before anything is read out of it: silence, units, and how late its data is.

use serde::{Deserialize, Serialize};

use super::link::Tuning;

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
        let largest = self.usual.iter().flatten().copied().fold(f64::MIN, f64::max);
        let Some(usual) = &mut self.usual[weekday] else {
            if !is_unusual {
                self.usual[weekday] = Some(ratio);
            }
            return false;
        };
        let deviation = &mut self.deviation[usize::from(*usual < largest - 1.0)];
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

    fn average(&self) -> f64 {
        self.latest.iter().map(|(_, off, _)| off).sum::<f64>() / self.latest.len().max(1) as f64
    }

    /// Whether the latest days together are of another size, all to one side.
    fn is_changed_on_average(&self, spread: f64, tuning: &Tuning) -> bool {
        let mean = self.average();
        self.latest.len() == FEW
            && mean.abs() > tuning.unit_log - 0.35
            && mean.abs() > tuning.unit_sigmas * spread / (FEW as f64).sqrt()
            && self.latest.iter().all(|(_, off, _)| off * mean > 0.0)
    }
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
