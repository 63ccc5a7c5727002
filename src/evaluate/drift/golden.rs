//! A small labelled corpus made here, and its score: a change of the judgement that finds less, or cries more, fails.
//!
//! KPI actions are counts about a slowly wandering rate; the parent is a base and what actions convert to after a lag, both
//! with weekdays and the noise of single days. One link in four has some ten events a day. Every fault begins on a day of its
//! own. It is no measure of how good the judgement is (docs/detection.md has that), only of whether it became worse.

use super::link::{Announced, Before, DayInput, Days, Link, Tuning};
use crate::catalog::attribute::DriftKind;

/// 2023-01-01.
const FIRST: i32 = 19_358;
const DAYS: usize = 320;
/// Links of each fault, and of none.
const EACH: u64 = 8;
const WELL: u64 = 24;

/// Numbers that look like chance and are the same everywhere: SplitMix64.
struct Chance(u64);

impl Chance {
    fn uniform(&mut self, low: f64, high: f64) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        low + (high - low) * ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Near to normal: the sum of twelve uniform numbers.
    fn normal(&mut self, deviation: f64) -> f64 {
        deviation * ((0..12).map(|_| self.uniform(0.0, 1.0)).sum::<f64>() - 6.0)
    }

    /// A count about a mean.
    fn count(&mut self, mean: f64) -> f64 {
        (mean + self.normal(mean.sqrt())).round().max(0.0)
    }
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Fault {
    None,
    Hollow,
    Gaming,
    Uncredited,
    Silence,
    Unit,
}

impl Fault {
    const ALL: [Fault; 5] = [
        Fault::Hollow,
        Fault::Gaming,
        Fault::Uncredited,
        Fault::Silence,
        Fault::Unit,
    ];

    /// What may be told of it, and within how many days.
    fn expects(self) -> (&'static [DriftKind], usize) {
        match self {
            Fault::None => (&[], 0),
            Fault::Hollow => (&[DriftKind::Hollow], 60),
            Fault::Gaming => (&[DriftKind::Gaming, DriftKind::Hollow], 60),
            Fault::Uncredited => (&[DriftKind::Uncredited], 60),
            Fault::Silence => (&[DriftKind::FeedGap], 11),
            Fault::Unit => (&[DriftKind::UnitChange], 14),
        }
    }
}

struct Made {
    flows: [Vec<Option<f64>>; 2],
    /// What a planner knows: mean rates, a little off.
    plans: [f64; 2],
    onset: usize,
}

fn make(seed: u64, fault: Fault) -> Made {
    let mut chance = Chance(seed);
    let rate = if seed.is_multiple_of(4) {
        chance.uniform(5.0, 15.0)
    } else {
        chance.uniform(40.0, 300.0)
    };
    let (conversion, value) = (chance.uniform(0.3, 0.8), chance.uniform(50.0, 500.0));
    let (base, lag) = (chance.uniform(0.1, 0.4), chance.uniform(0.0, 8.0) as usize);
    let size = chance.uniform(0.2, 0.5);
    let onset = chance.uniform(150.0, 250.0) as usize;
    let weekday = |day: usize| [1.2, 1.1, 1.1, 1.0, 1.0, 0.9, 0.7][day % 7];
    let (mut drive, mut own) = (0.0, 0.0);
    let (mut actions, mut flows) = (Vec::new(), [Vec::new(), Vec::new()]);
    for day in 0..DAYS {
        drive = 0.93 * drive + chance.normal(0.03);
        own = 0.95 * own + chance.normal(0.022);
        let on = day >= onset;
        let is = |kind: Fault| on && fault == kind;
        let real = chance.count(rate * f64::exp(drive));
        actions.push(real);
        let claimed = if is(Fault::Gaming) {
            real * (1.0 + 2.0 * size)
        } else {
            real
        };
        let then = actions[day.saturating_sub(lag)];
        let kept = if is(Fault::Hollow) { 1.0 - size } else { 1.0 };
        let more = if is(Fault::Uncredited) { 1.3 * size } else { 0.0 };
        let mean = conversion * ((1.0 - base) * then + base * rate) * kept + conversion * rate * more;
        let orders = chance.count(mean * f64::exp(own) * weekday(day));
        let parent = orders * value * (1.0 + chance.normal(0.06));
        let is_silent = is(Fault::Silence) && day < onset + 8;
        let unit = if is(Fault::Unit) { 100.0 } else { 1.0 };
        flows[0].push(Some(if is_silent {
            0.0
        } else {
            (claimed * weekday(day)).round()
        }));
        flows[1].push(Some(parent * unit));
    }
    let off = [chance.normal(0.1).exp(), chance.normal(0.1).exp()];
    Made {
        flows,
        plans: [rate * off[0], rate * conversion * value * off[1]],
        onset,
    }
}

/// The days on which each kind began to be told.
fn told(made: &Made) -> Vec<(DriftKind, usize)> {
    let (tuning, days) = (Tuning::default(), Days::default());
    let mut link = Link::new(FIRST, Before::default(), Before::default(), &days, &tuning);
    let (mut told, mut on): (Vec<_>, Vec<DriftKind>) = (Vec::new(), Vec::new());
    for at in 0..DAYS {
        let day = FIRST + at as i32;
        let targets = made.plans.map(|rate| Announced {
            start: day,
            end: day + 30,
            target: rate * 30.0,
        });
        let input = |side: usize| DayInput {
            flow: &made.flows[side][at.saturating_sub(47)..=at],
            targets: if at.is_multiple_of(30) {
                &targets[side..=side]
            } else {
                &[]
            },
        };
        link.close(day, input(0), input(1), &days, &tuning);
        let now: Vec<DriftKind> = link
            .reading(&tuning)
            .findings
            .iter()
            .map(|finding| finding.kind)
            .collect();
        told.extend(
            now.iter()
                .filter(|kind| !on.contains(kind))
                .map(|kind| (*kind, at)),
        );
        on = now;
    }
    told
}

/// Found by the right kind, found by another, missed, and false alarms.
#[derive(Debug, Default)]
struct Score {
    right: u32,
    other: u32,
    missed: u32,
    falsely: u32,
    delays: Vec<usize>,
}

impl Score {
    fn f1(&self) -> f64 {
        let found = self.right + self.other;
        f64::from(2 * self.right) / f64::from(found + self.missed + found + self.falsely)
    }
}

#[test]
fn a_small_corpus_is_judged_as_well_as_ever() {
    let faults = Fault::ALL
        .into_iter()
        .flat_map(|fault| std::iter::repeat_n(fault, EACH as usize));
    let all = faults.chain(std::iter::repeat_n(Fault::None, WELL as usize));
    let mut score = Score::default();
    for (seed, fault) in (1u64..).zip(all) {
        let made = make(seed, fault);
        let (kinds, within) = fault.expects();
        let told = told(&made);
        let is_inside = |at: usize| fault != Fault::None && at >= made.onset;
        score.falsely += told.iter().filter(|(_, at)| !is_inside(*at)).count() as u32;
        if fault == Fault::None {
            continue;
        }
        let hits: Vec<_> = told
            .iter()
            .filter(|(_, at)| is_inside(*at) && *at <= made.onset + within)
            .collect();
        match hits.iter().find(|(kind, _)| kinds.contains(kind)) {
            Some((_, at)) => {
                score.right += 1;
                score.delays.push(at - made.onset);
            }
            None if hits.is_empty() => score.missed += 1,
            None => score.other += 1,
        }
    }
    score.delays.sort_unstable();
    let delay = score.delays[score.delays.len() / 2];
    assert!(
        score.f1() >= 0.945 && score.falsely <= 1 && delay <= 8,
        "F1 {:.3}, median delay {delay} days: {score:?}",
        score.f1()
    );
}
