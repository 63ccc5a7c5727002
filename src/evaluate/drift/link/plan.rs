//! The reference flow of a stream: what its plan expects of a day, up to a constant.
//!
//! r(d) = rate of the running target × season(d) × anchor. The season comes from last year's months; a target that is
//! set anew re-anchors the reference, so that it is no drift of the business.

use serde::{Deserialize, Serialize};

use super::calendar::{Days, date_of, day_of, month_and_day};
use super::tuning::Tuning;

/// A target as announced, over the days `start..end`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Announced {
    /// First day of its period.
    pub start: i32,
    /// Day after the last.
    pub end: i32,
    /// The target: of the whole period for what adds up, at any time for a level.
    pub target: f64,
}

/// The plan of one stream as announced so far.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Plan {
    /// Whether the stream is a level (ratio, average, newest value) and does not add up over days.
    level: bool,
    /// Mean daily rates of the months of the year before, January first, brought to the level of the first day.
    monthly: Option<[f64; 12]>,
    running: Vec<Running>,
    anchor: f64,
    last_rate: Option<f64>,
    /// Mean square of the plan's steps between periods, season taken out.
    steps: f64,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Running {
    start: i32,
    end: i32,
    rate: f64,
}

impl Plan {
    pub(super) fn new(level: bool, monthly: Option<[f64; 12]>, first_day: i32, days: &Days) -> Plan {
        Plan {
            level,
            monthly: monthly
                .filter(|rates| rates.iter().all(|rate| *rate > 0.0 && rate.is_finite()))
                .map(|rates| ordinary_months(rates, first_day, days)),
            running: Vec::new(),
            anchor: 1.0,
            last_rate: None,
            steps: 0.0025,
        }
    }

    /// Season of a day: last year's monthly rates, linear between the middles of months; 1 where they are not known.
    fn season(&self, day: i32) -> f64 {
        let Some(monthly) = &self.monthly else {
            return 1.0;
        };
        let (month, of_month) = month_and_day(day);
        let at = month as f64 + (f64::from(of_month) - 15.5) / 30.5;
        let before = at.floor();
        let share = at - before;
        let index = (before as i64).rem_euclid(12) as usize;
        monthly[index] * (1.0 - share) + monthly[(index + 1) % 12] * share
    }

    /// Last year's rates carry last year's growth, which would make a step at the end of every year. The growth is that
    /// of the first target over the same months of last year; every month is brought to the level of the first day.
    fn detrend(&mut self, first_day: i32, target: &Announced) {
        let Some(monthly) = &mut self.monthly else {
            return;
        };
        let months = (target.start..target.end).map(|day| month_and_day(day).0);
        let was: f64 = months.map(|month| monthly[month]).sum();
        let now = if self.level {
            target.target * f64::from(target.end - target.start)
        } else {
            target.target
        };
        if was <= 0.0 || now <= 0.0 {
            return;
        }
        let growth = (now / was).ln().clamp(-0.5, 0.5);
        let (month, of_month) = month_and_day(first_day);
        for (at, rate) in monthly.iter_mut().enumerate() {
            let ago = (month as i64 - 1 - at as i64).rem_euclid(12) as f64 + 0.5
                - (f64::from(of_month) - 1.0) / 30.5;
            *rate *= (growth * ago / 12.0).exp();
        }
    }

    /// Takes in a target on the day on which it is announced.
    pub(super) fn announce(
        &mut self,
        target: &Announced,
        today: i32,
        first_day: i32,
        days: &Days,
        tuning: &Tuning,
    ) {
        if self.last_rate.is_none() {
            self.detrend(first_day, target);
        }
        let season: f64 = (target.start..target.end).map(|day| self.season(day)).sum();
        let due = if self.level {
            f64::from(target.end - target.start)
        } else {
            1.0
        };
        let rate = if season > 0.0 && target.target > 0.0 {
            target.target * due / season
        } else {
            0.0
        };
        if let Some(last) = self.last_rate.filter(|last| *last > 0.0 && rate > 0.0) {
            let step = (rate / last).ln();
            let changed_inside = self.running.iter().any(|known| known.start == target.start);
            // A target of a period with many holidays says how its planner counts them, not what an ordinary day brings.
            let is_odd = days.unusual_share(target.start, target.end) > ODD_SHARE
                || self
                    .running
                    .last()
                    .is_some_and(|last| days.unusual_share(last.start, last.end) > ODD_SHARE);
            if changed_inside || is_odd || step.abs() > tuning.retarget {
                self.anchor *= (-step).exp();
            } else {
                // Targets carry the planner's error of the period, which their steps show where season is not
                // what they are about: a plan that jumps is followed the less.
                self.steps += 0.2 * (step * step - self.steps);
                let trust = (tuning.plan_steps.powi(2) / self.steps).min(1.0);
                self.anchor *= (-step * (1.0 - trust)).exp();
            }
        }
        if rate > 0.0 {
            self.last_rate = Some(rate);
        }
        self.running
            .retain(|known| known.end > today - 2 && known.start != target.start);
        self.running.push(Running {
            start: target.start,
            end: target.end,
            rate,
        });
    }

    /// Whether a target was ever announced.
    pub(super) fn has_target(&self) -> bool {
        self.last_rate.is_some()
    }

    /// What the plan expects of a day; `None` without a target. Without any target at all the season alone.
    pub(super) fn reference(&self, day: i32) -> Option<f64> {
        let running = self
            .running
            .iter()
            .find(|known| (known.start..known.end).contains(&day));
        let rate = match (running, self.last_rate) {
            (Some(running), _) => running.rate,
            (None, Some(last)) => last,
            (None, None) => 1.0,
        };
        Some(rate * self.season(day) * self.anchor).filter(|flow| *flow > 0.0 && flow.is_finite())
    }
}

/// Share of unusual days above which a period says little about ordinary days.
const ODD_SHARE: f64 = 0.15;

/// Months of the year before that were full of holidays say little about ordinary days: they lie between the months
/// around them.
fn ordinary_months(mut rates: [f64; 12], first_day: i32, days: &Days) -> [f64; 12] {
    let first = date_of(first_day);
    let is_odd = |month: usize| {
        let year = if (month as i8) < first.month() - 1 {
            first.year()
        } else {
            first.year() - 1
        };
        let date = jiff::civil::Date::new(year, month as i8 + 1, 1).unwrap_or(first);
        let start = day_of(date);
        days.unusual_share(start, start + i32::from(date.days_in_month())) > ODD_SHARE
    };
    let odd: [bool; 12] = std::array::from_fn(is_odd);
    if odd.iter().all(|odd| *odd) {
        return rates;
    }
    let known = rates;
    for month in (0..12).filter(|month| odd[*month]) {
        let away = |step: usize| (1..12).find(|n| !odd[(month + n * step) % 12]).unwrap_or(0);
        // 11 steps forward are one back.
        let (after, before) = (away(1), away(11));
        let (a, b) = (known[(month + after) % 12], known[(month + before * 11) % 12]);
        let share = before as f64 / (before + after).max(1) as f64;
        rates[month] = (b.ln() * (1.0 - share) + a.ln() * share).exp();
    }
    rates
}
