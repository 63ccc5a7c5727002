//! One side of a link: what each day brought as known now, beside what the plan expects of it.

use serde::{Deserialize, Serialize};

use super::super::arrivals::by_age;
use super::super::health::{Lateness, Liveness, Units};
use super::calendar::{Days, QuarterEnd, weekday};
use super::judge::Counted;
use super::plan::{Announced, Plan};
use super::tuning::Tuning;
use crate::evaluate::outlook::{AGES, Arrived, Awaited};

/// A weekday that brings less than this share of an average day says nothing of its own.
const LEAST_SHARE: f64 = 0.15;

/// Days from which on it is known whether a plan has the unit of the values.
const SCALE_DAYS: u32 = 7;
/// Log ratio of what comes to a plan up to which both are of one scale: four times.
const SAME_SCALE: f64 = 2.0 * std::f64::consts::LN_2;

/// The least share of what is expected of a level that counts.
const LEAST_LEVEL: f64 = 0.05;

/// Days that are kept: the windows, the delay of learning and the oldest late data fit into it.
pub const RING: usize = 128;

/// What is known of a stream before its first day.
#[derive(Clone, Copy, Debug, Default)]
pub struct Before {
    /// Whether the stream is a level (ratio, average, newest value) and does not add up over days.
    pub level: bool,
    /// Whether less of it is better: it then explains, and is explained, the other way round.
    pub lower: bool,
    /// Mean daily rates of the months of the year before, January first.
    pub last_year: Option<[f64; 12]>,
}

/// What a stream is at one day close.
#[derive(Clone, Copy, Debug)]
pub struct DayInput<'a> {
    /// Values of the latest days as known now, oldest first, the closing day last. Days before the first are `None`;
    /// so is a day of a level without a value.
    pub flow: &'a [Option<f64>],
    /// Targets announced since the last close, in the order of their announcement.
    pub targets: &'a [Announced],
}

/// State of one side of a link.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Stream {
    level: bool,
    lower: bool,
    first_day: i32,
    plan: Plan,
    /// NaN where nothing is known of a day: a level without a value.
    value: Vec<f64>,
    /// In few bytes: seven digits of a plan are more than it knows.
    reference: Vec<f32>,
    masked: Vec<bool>,
    live: Liveness,
    units: Units,
    late: Lateness,
    /// Share of its reference that a weekday brings: forgetting sums of values and references.
    brought: [f64; 7],
    expected: [f64; 7],
    /// Size of a day's noise: mean of (value − expected)² / expected, in the unit of the values.
    noise: f64,
    noise_days: f64,
    /// Ordinary days that were learned from, since the first that brought something.
    days: u32,
    closing: Chase,
}

/// What the last days of a quarter bring more than others.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Chase {
    /// Quarter of the running sums.
    quarter: Option<i32>,
    brought: f64,
    expected: f64,
    /// Quarters seen.
    seen: f64,
    /// Log ratio of these days to others.
    lift: f64,
}

impl Chase {
    /// Takes in a mature day of a quarter's end with what it would bring as an ordinary day; `None` closes the quarter.
    fn learn(&mut self, quarter: Option<i32>, value: f64, expected: f64) {
        if quarter != self.quarter {
            if self.expected > 0.0 && self.quarter.is_some() {
                let lift = ((self.brought + 1e-9) / self.expected).max(0.05).ln();
                self.seen = self.seen * 0.8 + 1.0;
                self.lift += (lift - self.lift) / (self.seen + 0.3);
            }
            self.quarter = quarter;
            self.brought = 0.0;
            self.expected = 0.0;
        }
        if quarter.is_some() {
            self.brought += value;
            self.expected += expected;
        }
    }

    /// Standard deviation of the lift of a quarter to come.
    fn doubt(&self) -> f64 {
        0.35 / (1.0 + 2.0 * self.seen)
    }
}

/// Sums over the usable days of a window.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Window {
    pub(super) value: f64,
    pub(super) reference: f64,
    pub(super) days: usize,
    /// Standard deviation of the log ratio from calendar effects that are not well known.
    pub(super) doubt: f64,
    /// Size of a day's noise, in the unit of the values.
    pub(super) noise: f64,
    /// Log ratio of values to a reference of another scale, see [`Stream::scale`].
    scale: f64,
    level: bool,
    lower: bool,
}

impl Window {
    /// Log ratio of what came to the reference. As much as half a noise is added to both, so that nothing in a window of
    /// few events is a number too.
    pub(super) fn ratio(&self) -> f64 {
        let expected = self.reference * self.scale.exp();
        let half = 0.5 * self.noise.min(expected);
        let ratio = (self.value + half) / (expected + half);
        // A level of nothing is far off, not infinitely far.
        let least = if self.level && self.value >= 0.0 {
            LEAST_LEVEL
        } else {
            0.0
        };
        (ratio.max(least).ln() + self.scale) * self.sign()
    }

    /// What came, in events of usual size.
    pub(super) fn counted(&self) -> Counted {
        let size = self.noise.max(f64::MIN_POSITIVE);
        Counted {
            events: self.value / size,
            reference: self.reference / size,
            sign: self.sign(),
        }
    }

    /// −1 where less is better.
    pub(super) fn sign(&self) -> f64 {
        if self.lower { -1.0 } else { 1.0 }
    }
}

fn at(day: i32) -> usize {
    day.rem_euclid(RING as i32) as usize
}

/// What a stream's health says at a day close.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Health {
    /// Days of a silence that is a gap.
    pub(super) silent_days: Option<u32>,
    /// First day and log size, where its unit changed.
    pub(super) unit_change: Option<(i32, f64)>,
}

impl Stream {
    pub(super) fn new(first_day: i32, before: Before, days: &Days) -> Stream {
        Stream {
            level: before.level,
            lower: before.lower,
            first_day,
            plan: Plan::new(before.level, before.last_year, first_day, days),
            value: vec![0.0; RING],
            reference: vec![0.0; RING],
            masked: vec![true; RING],
            live: Liveness::default(),
            units: Units::default(),
            late: Lateness::default(),
            brought: [0.0; 7],
            expected: [0.0; 7],
            noise: 0.0,
            noise_days: 0.0,
            days: 0,
            closing: Chase::default(),
        }
    }

    /// −1 where less is better.
    pub(super) fn sign(&self) -> f64 {
        if self.lower { -1.0 } else { 1.0 }
    }

    /// Probability that the running silence is no chance.
    pub(super) fn silence_confidence(&self) -> f64 {
        self.live.confidence()
    }

    /// Probability that it is no chance that values are of another unit.
    pub(super) fn unit_confidence(&self) -> f64 {
        self.units.confidence()
    }

    /// Mean log size of the days `from..=to` against what is usual of them, holidays as well; `None` where they brought nothing.
    pub(super) fn moved(&self, from: i32, to: i32) -> Option<f64> {
        let off = |day: i32| {
            let (value, reference) = (self.value[at(day)], f64::from(self.reference[at(day)]));
            let usual = self.units.usual(weekday(day))?;
            (value > 0.0 && reference > 0.0).then(|| (value / reference).ln() - usual)
        };
        let days = from.max(to + 1 - RING as i32)..=to;
        let (sum, count) = days
            .filter_map(off)
            .fold((0.0, 0), |(sum, count), off| (sum + off, count + 1));
        (count > 0).then(|| sum / f64::from(count))
    }

    /// A change of size has been the business's own for long: what it came to is usual from now on.
    pub(super) fn settle(&mut self) {
        self.units.settle();
    }

    /// Takes in a day close; `closed_to` is the one that was closed last.
    pub(super) fn close(
        &mut self,
        day: i32,
        closed_to: i32,
        input: DayInput<'_>,
        days: &Days,
        tuning: &Tuning,
    ) -> Health {
        for target in input.targets {
            self.plan.announce(target, day, self.first_day, days, tuning);
        }
        // Days that nobody closed are nobody's values, and nothing was expected of them: what their places hold is of
        // long before.
        for missed in (closed_to + 1).max(day + 1 - RING as i32)..day {
            self.forget(missed);
        }
        self.forget(day);
        let slot = at(day);
        self.reference[slot] = self.plan.reference(day).unwrap_or(0.0) as f32;
        self.masked[slot] = days.is_unusual(day) || self.reference[slot] <= 0.0;
        let has_come = self.absorb(day, closed_to, input.flow);
        let warm = day - self.first_day >= tuning.warmup as i32;
        let weekday = weekday(day);
        let mut health = Health::default();
        // On and around holidays nobody need work: silence and small days say nothing there.
        let is_unusual = days.is_unusual(day);
        if (has_come || !is_unusual) && self.live.day(weekday, has_come, warm, tuning) {
            for ago in 0..self.live.days.min(RING as u32) as i32 {
                self.masked[at(day - ago)] = true;
            }
            health.silent_days = Some(self.live.days);
        }
        let ratio = |day: i32| {
            let (value, reference) = (self.value[at(day)], f64::from(self.reference[at(day)]));
            (value > 0.0 && reference > 0.0).then(|| (value / reference).ln())
        };
        let is_makeup = days.special(day) == Some(super::calendar::Special::Workday);
        if !is_makeup && self.units.day(day, ratio, is_unusual, warm, tuning) {
            self.masked[slot] = true;
        }
        health.unit_change = self.units.changed;
        health
    }

    /// Makes room for a day: a total without a value is 0, a level without one is nothing to compare with.
    fn forget(&mut self, day: i32) {
        self.value[at(day)] = if self.level { f64::NAN } else { 0.0 };
        self.reference[at(day)] = 0.0;
        self.masked[at(day)] = true;
    }

    /// Takes in the values as known now; whether anything has arrived since the last close. A level of 0 has.
    fn absorb(&mut self, day: i32, closed_to: i32, flow: &[Option<f64>]) -> bool {
        let mut by_age = Lateness::empty_ages();
        let mut has_come = false;
        for (ago, value) in (0i32..).zip(flow.iter().rev()).take(RING) {
            let of_day = day - ago;
            if of_day < self.first_day {
                break;
            }
            let known = &mut self.value[at(of_day)];
            if let Some(value) = value.filter(|value| value.is_finite() && value != known) {
                let arrived = if known.is_nan() { value } else { value - *known };
                *known = value;
                has_come = true;
                by_age[Lateness::age(ago)] += arrived.abs();
            }
        }
        // Where nobody closed the day before, nobody knows when what is there came.
        if day == closed_to + 1 {
            self.late.arrived(&by_age);
        }
        has_come
    }

    /// Whether a day is to be compared with what was expected of it.
    fn is_usable(&self, day: i32) -> bool {
        !self.masked[at(day)] && !self.value[at(day)].is_nan()
    }

    /// Log ratio of what came to the reference over all days of a window, holidays too, where there are any in it.
    pub(super) fn raw_ratio(&self, last: i32, length: usize, days: &Days) -> Option<f64> {
        let first = last + 1 - length as i32;
        if days.is_usual(first, last) {
            return None;
        }
        let shares = self.weekday_shares();
        let (mut value, mut reference, mut unusual) = (0.0, 0.0, false);
        for day in first..=last {
            if day < self.first_day {
                return None;
            }
            unusual |= days.is_unusual(day);
            let (brought, expected) = (self.value[at(day)], f64::from(self.reference[at(day)]));
            if brought.is_nan() || expected <= 0.0 {
                continue;
            }
            value += brought;
            reference += expected * shares[weekday(day)];
        }
        (unusual && reference > 0.0).then(|| ((value + 0.05 * reference) / (1.05 * reference)).ln())
    }

    /// What has come since the last close, by the age of its day; `None` where that says nothing: of a level, where nobody
    /// closed the day before, and where much comes at once after a silence.
    pub(super) fn came(&self, day: i32, closed_to: i32, flow: &[Option<f64>]) -> Option<[f64; AGES]> {
        let known = |of_day: i32| self.brought_on(of_day, closed_to);
        let says = !self.level && day == closed_to + 1 && !self.live.is_long();
        says.then(|| by_age(day, self.first_day, flow, known))
    }

    /// What is awaited of the days up to the last close.
    pub(super) fn awaited(&self, closed_to: i32, arrived: Arrived) -> Awaited {
        Awaited::of(arrived, closed_to, self.first_day, |day| {
            self.brought_on(day, closed_to)
        })
    }

    /// What a total had brought on a day as of the last close.
    fn brought_on(&self, day: i32, closed_to: i32) -> f64 {
        let is_kept = (closed_to + 1 - RING as i32..=closed_to).contains(&day);
        if is_kept { self.value[at(day)] } else { 0.0 }
    }

    pub(super) fn maturity(&self, tuning: &Tuning) -> i32 {
        self.late.maturity(tuning)
    }

    /// Learns the share of a weekday, the quarter's end and the noise from a mature day; `level` is the usual log ratio
    /// of the stream to its reference.
    pub(super) fn learn_day(&mut self, day: i32, level: f64, closing: &QuarterEnd) {
        let slot = at(day);
        let quarter = closing.of(day);
        if !self.is_usable(day) {
            self.closing.learn(quarter, 0.0, 0.0);
            return;
        }
        let weekday = weekday(day);
        let level = if level == 0.0 { self.scale() } else { level };
        let expected = f64::from(self.reference[slot]) * self.weekday_share(day) * level.exp();
        self.closing.learn(quarter, self.value[slot], expected);
        if quarter.is_some() {
            return;
        }
        // Until then a plan in another unit would count as noise, and a large one is remembered for long.
        if expected > 0.0 && self.days >= SCALE_DAYS {
            self.noise_days += 1.0;
            let off = self.value[slot] - expected;
            let size = (off * off / expected).min(if self.noise_days > 20.0 {
                8.0 * self.noise
            } else {
                f64::MAX
            });
            self.noise += (size - self.noise) / self.noise_days.min(90.0);
        }
        self.days += u32::from(self.days > 0 || self.value[slot] > 0.0);
        self.brought[weekday] = self.brought[weekday] * 0.95 + self.value[slot];
        self.expected[weekday] = self.expected[weekday] * 0.95 + f64::from(self.reference[slot]);
    }

    /// Log ratio of a day to what is expected of it at the usual `level`, the weekday and the quarter's end taken out; `None`
    /// where the day says nothing.
    pub(super) fn departure(&self, day: i32, level: f64, closing: &QuarterEnd) -> Option<f64> {
        let slot = at(day);
        let share = self.weekday_share(day);
        if !self.is_usable(day) || share < LEAST_SHARE || self.brought.iter().sum::<f64>() <= 0.0 {
            return None;
        }
        let level = if level == 0.0 { self.scale() } else { level };
        let mut expected = f64::from(self.reference[slot]) * share * level.exp();
        if closing.of(day).is_some() {
            expected *= self.closing.lift.exp();
        }
        // A day without anything is far off, not infinitely far.
        let floor = 0.05 * expected;
        let ratio = ((self.value[slot].max(0.0) + floor) / (expected + floor)).ln();
        ratio.is_finite().then(|| self.sign() * ratio.clamp(-1.5, 1.5))
    }

    /// Log ratio of what came to the reference where that is of another scale, as it is without any target and with one in
    /// another unit; else 0. Until the usual level is learned the distance to such a reference would count as the noise of a
    /// day, and after that a noise in the unit of the values cannot be added to it.
    fn scale(&self) -> f64 {
        let brought: f64 = self.brought.iter().sum();
        let expected: f64 = self.expected.iter().sum();
        if brought <= 0.0 || expected <= 0.0 {
            return 0.0;
        }
        let scale = (brought / expected).ln();
        // A first week-end says nothing of the unit of a plan.
        let is_known = self.days >= SCALE_DAYS && scale.abs() >= SAME_SCALE;
        if self.plan.has_target() && !is_known {
            0.0
        } else {
            scale
        }
    }

    /// Share of its reference that a weekday brings, 1 on average, shrunk to it while little is known.
    fn weekday_share(&self, day: i32) -> f64 {
        self.share_of_weekday()(weekday(day))
    }

    /// The same of every weekday, Monday first.
    fn weekday_shares(&self) -> [f64; 7] {
        std::array::from_fn(self.share_of_weekday())
    }

    fn share_of_weekday(&self) -> impl Fn(usize) -> f64 {
        let brought: f64 = self.brought.iter().sum();
        let expected: f64 = self.expected.iter().sum();
        let level = brought / expected;
        // As much as one day of average size speaks for "as any other day".
        let prior = expected / 7.0 / 10.0;
        move |weekday| {
            if brought <= 0.0 || expected <= 0.0 {
                return 1.0;
            }
            (self.brought[weekday] + prior * level) / (self.expected[weekday] + prior) / level
        }
    }

    /// Sums over the usable days of windows of so many days that end with a day, the shortest first. `ends` are the days of the
    /// quarter's end as of that day.
    pub(super) fn windows<const COUNT: usize>(
        &self,
        last: i32,
        lengths: [usize; COUNT],
        ends: &QuarterEnd,
    ) -> [Window; COUNT] {
        let shares = self.weekday_shares();
        let lift = self.closing.lift.exp();
        let doubt = self.closing.doubt();
        let mut window = Window {
            noise: self.noise,
            scale: self.scale(),
            level: self.level,
            lower: self.lower,
            ..Window::default()
        };
        let mut closing = 0.0;
        let mut ago = 0;
        // A longer window is a shorter one and the days before it.
        lengths.map(|length| {
            while ago < length as i32 && last - ago >= self.first_day {
                let day = last - ago;
                ago += 1;
                if !self.is_usable(day) {
                    continue;
                }
                let slot = at(day);
                let mut reference = f64::from(self.reference[slot]) * shares[weekday(day)];
                if ends.of(day).is_some() {
                    reference *= lift;
                    closing += reference;
                }
                window.value += self.value[slot];
                window.reference += reference;
                window.days += 1;
            }
            if window.reference > 0.0 {
                window.doubt = closing / window.reference * doubt;
            }
            window
        })
    }
}
