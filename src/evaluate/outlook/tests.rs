//! The forecast against the rule of three and Holt-Winters, on held-out periods of series that differ in kind, and its
//! distribution against what came.

use std::f64::consts::TAU;

use jiff::civil::Date;

use super::*;
use crate::catalog::PeriodKind;
use crate::catalog::load::{Files, load};
use crate::evaluate::snapshot::Period;

/// A small generator of numbers that look random: the tests are the same on every machine.
struct Dice(u64);

impl Dice {
    fn uniform(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Standard normal, by twelve uniforms.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }

    /// Poisson, by counting exponentials.
    fn poisson(&mut self, mean: f64) -> f64 {
        let (limit, mut product, mut count) = ((-mean).exp(), self.uniform(), 0.0);
        while product > limit {
            product *= self.uniform();
            count += 1.0;
        }
        count
    }
}

const HOLIDAYS: &str = "date,kind,name
2024-02-10,holiday,春节\n2024-02-11,holiday,春节\n2024-02-12,holiday,春节\n2024-02-13,holiday,春节\n2024-02-14,holiday,春节
2024-10-01,holiday,国庆\n2024-10-02,holiday,国庆\n2024-10-03,holiday,国庆\n2024-10-04,holiday,国庆
2025-01-28,holiday,春节\n2025-01-29,holiday,春节\n2025-01-30,holiday,春节\n2025-01-31,holiday,春节\n2025-02-01,holiday,春节
2025-10-01,holiday,国庆\n2025-10-02,holiday,国庆\n2025-10-03,holiday,国庆\n2025-10-04,holiday,国庆
2026-02-17,holiday,春节\n2026-02-18,holiday,春节\n2026-02-19,holiday,春节\n2026-02-20,holiday,春节\n2026-02-21,holiday,春节
";

fn calendar() -> Calendar {
    let yaml = "calendar: {timezone: Asia/Shanghai, holidays: h.csv}\nsources: {s: {topics: [t], format: json, fields: {}}}\n";
    load(&Files::new("", [("a.yaml", yaml), ("h.csv", HOLIDAYS)]))
        .unwrap()
        .calendar
}

/// What a kind of business brings on each day from 2024 to the end of June 2026.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Business {
    /// Weekends, a season, growth.
    Shop,
    /// Working days, and a rush at the end of each quarter.
    Contracts,
    /// A few a day.
    Sparse,
    /// Empty over the holidays.
    Factory,
}

const FROM: &str = "2024-01-01";
const TO: &str = "2026-07-01";

fn series(business: Business, seed: u64, calendar: &Calendar) -> Vec<f64> {
    let mut dice = Dice(seed.wrapping_mul(7919) + 17);
    let (from, to): (Date, Date) = (FROM.parse().unwrap(), TO.parse().unwrap());
    let growth = 0.3 * dice.normal();
    let season = 0.15 + 0.2 * dice.uniform();
    let phase = dice.uniform() * TAU;
    let mut wander = 0.0;
    let mut days = Vec::new();
    let mut date = from;
    while date < to {
        let t = f64::from(Day::of(date).0 - Day::of(from).0) / 365.25;
        let weekday = date.weekday().to_monday_zero_offset();
        let is_holiday = calendar.special_days.contains_key(&date);
        wander = 0.97 * wander + 0.02 * dice.normal();
        let rate = (growth * t + season * (TAU * t + phase).sin() + wander).exp();
        let value = match business {
            Business::Shop => {
                let weekend = if weekday >= 5 { 1.6 } else { 1.0 };
                let holiday = if is_holiday { 1.8 } else { 1.0 };
                100.0 * rate * weekend * holiday * (0.12 * dice.normal()).exp()
            }
            Business::Contracts => {
                let quarter = Period::containing(PeriodKind::Quarter, date, calendar);
                let left = Day::of(quarter.end).0 - Day::of(date).0;
                let rush = if left <= 10 { 3.0 } else { 1.0 };
                let open = if weekday >= 5 || is_holiday { 0.0 } else { 1.0 };
                200.0 * rate * rush * open * (0.5 * dice.normal()).exp()
            }
            Business::Sparse => dice.poisson(4.0 * rate),
            Business::Factory => {
                let open = if is_holiday { 0.05 } else { 1.0 };
                80.0 * rate * open * (0.2 * dice.normal()).exp()
            }
        };
        days.push(value);
        date = date.tomorrow().unwrap();
    }
    days
}

/// Holt-Winters with an additive trend, damped, and a multiplicative week, its three weights found by the smallest
/// one-step error over the history (Hyndman, Athanasopoulos, "Forecasting: principles and practice", 8.3).
fn holt_winters(days: &[f64], ahead: usize) -> f64 {
    const DAMP: f64 = 0.98;
    let run = |alpha: f64, beta: f64, gamma: f64| {
        let first: f64 = days[..14].iter().sum::<f64>() / 14.0;
        let mut season: Vec<f64> = (0..7)
            .map(|i| (days[i] + days[i + 7]) / 2.0 / first.max(1e-9))
            .collect();
        let (mut level, mut trend, mut error) = (first, 0.0, 0.0);
        for (i, value) in days.iter().enumerate().skip(14) {
            let s = season[i % 7];
            let said = (level + DAMP * trend) * s;
            error += (value - said).powi(2);
            let before = level;
            level = alpha * value / s.max(0.02) + (1.0 - alpha) * (level + DAMP * trend);
            trend = beta * (level - before) + (1.0 - beta) * DAMP * trend;
            season[i % 7] = gamma * value / level.max(1e-9) + (1.0 - gamma) * s;
        }
        let mut sum = 0.0;
        let mut damp = 0.0;
        for step in 1..=ahead {
            damp += DAMP.powi(i32::try_from(step).unwrap());
            sum += (level + damp * trend).max(0.0) * season[(days.len() + step - 1) % 7];
        }
        (error, sum)
    };
    let mut best = (f64::INFINITY, 0.0);
    for alpha in [0.02, 0.05, 0.1, 0.2, 0.4] {
        for beta in [0.0, 0.01, 0.05] {
            for gamma in [0.02, 0.1, 0.3] {
                let found = run(alpha, beta, gamma);
                if found.0 < best.0 {
                    best = found;
                }
            }
        }
    }
    best.1
}

/// One forecast of a held-out period.
struct Trial {
    business: Business,
    outcome: f64,
    ours: Outlook,
    rule_of_three: f64,
    holt_winters: f64,
}

fn trials() -> Vec<Trial> {
    let calendar = calendar();
    let from = Day::of(FROM.parse().unwrap());
    let mut trials = Vec::new();
    for business in [
        Business::Shop,
        Business::Contracts,
        Business::Sparse,
        Business::Factory,
    ] {
        for seed in 1..=12 {
            let days = series(business, seed, &calendar);
            let kind = if business == Business::Contracts {
                PeriodKind::Quarter
            } else {
                PeriodKind::Month
            };
            // Held out: the half year from Spring Festival's on.
            let mut period = Period::containing(kind, "2026-01-01".parse().unwrap(), &calendar);
            while period.end <= TO.parse().unwrap() {
                let at = |date: Date| usize::try_from(Day::of(date).0 - from.0).unwrap();
                let (start, end) = (at(period.start), at(period.end));
                let almanac = Almanac::of(period, &calendar);
                for share in [0.25, 0.5, 0.75] {
                    let today = start + ((end - start) as f64 * share) as usize;
                    let first = today.saturating_sub(HISTORY_DAYS as usize);
                    let history = History {
                        from: Day(from.0 + first as i32),
                        days: &days[first..today],
                        calendar: &calendar,
                    };
                    let value: f64 = days[start..today].iter().sum();
                    let past = Past::of(history, &almanac, &mut Room::default());
                    let calibration = past.calibration(0, &mut Room::default());
                    trials.push(Trial {
                        business,
                        outcome: days[start..end].iter().sum(),
                        ours: Arc::new(past.foreseen(0, calibration, None))
                            .outlook(value, 0.0)
                            .unwrap(),
                        rule_of_three: value / ((today - start) as f64 / (end - start) as f64),
                        holt_winters: value + holt_winters(&days[..today], end - today),
                    });
                }
                period = Period::containing(kind, period.end, &calendar);
            }
        }
    }
    trials
}

/// Mean absolute logarithmic error.
fn error<'t>(trials: impl Iterator<Item = &'t Trial>, said: impl Fn(&Trial) -> f64) -> f64 {
    let errors: Vec<f64> = trials
        .map(|trial| (said(trial).max(1e-9) / trial.outcome).ln().abs())
        .collect();
    errors.iter().sum::<f64>() / errors.len() as f64
}

#[test]
fn beats_the_rule_of_three_and_holt_winters_on_held_out_periods() {
    let trials = trials();
    let mut lines = Vec::new();
    for business in [
        Business::Shop,
        Business::Contracts,
        Business::Sparse,
        Business::Factory,
    ] {
        let of = || trials.iter().filter(move |trial| trial.business == business);
        let ours = error(of(), |trial| trial.ours.value);
        let three = error(of(), |trial| trial.rule_of_three);
        let winters = error(of(), |trial| trial.holt_winters);
        lines.push(format!(
            "{business:?}: ours {ours:.4}, rule of three {three:.4}, Holt-Winters {winters:.4}"
        ));
    }
    let all = |said: &dyn Fn(&Trial) -> f64| error(trials.iter(), said);
    let (ours, three, winters) = (
        all(&|trial| trial.ours.value),
        all(&|trial| trial.rule_of_three),
        all(&|trial| trial.holt_winters),
    );
    lines.push(format!(
        "all: ours {ours:.4}, rule of three {three:.4}, Holt-Winters {winters:.4}"
    ));
    let report = lines.join("\n");
    println!("{report}");
    assert!(ours < 0.8 * three && ours < 0.9 * winters, "{report}");
}

#[test]
fn ranges_hold_what_they_promise() {
    let trials = trials();
    for (promised, low, high) in [(0.5, 0.38, 0.64), (0.8, 0.70, 0.90), (0.95, 0.88, 0.995)] {
        let held = trials
            .iter()
            .filter(|trial| {
                let (from, to) = trial.ours.range(promised).unwrap();
                (from..=to).contains(&trial.outcome)
            })
            .count();
        let share = held as f64 / trials.len() as f64;
        println!("promised {promised}: held {share:.3} of {}", trials.len());
        assert!((low..=high).contains(&share), "promised {promised}: held {share}");
    }
}

/// Of the targets that are given a chance of a third, about a third is met.
#[test]
fn chances_are_what_they_say() {
    let trials = trials();
    let mut bins = [(0.0, 0.0); 5];
    for trial in &trials {
        for factor in [0.85, 0.95, 1.0, 1.05, 1.15] {
            let target = trial
                .rule_of_three
                .max(trial.outcome * 0.5)
                .min(trial.outcome * 2.0)
                * factor;
            let chance = trial.ours.probability_above(target).unwrap();
            let bin = ((chance * 5.0) as usize).min(4);
            bins[bin].0 += f64::from(u8::from(trial.outcome >= target));
            bins[bin].1 += 1.0;
        }
    }
    for (at, (met, all)) in bins.iter().enumerate() {
        println!(
            "chance {}–{} %: met {:.2} of {all}",
            at * 20,
            at * 20 + 20,
            met / all
        );
    }
    assert!(bins[0].0 / bins[0].1 < 0.3, "{bins:?}");
    assert!(bins[4].0 / bins[4].1 > 0.7, "{bins:?}");
    let rates: Vec<f64> = bins.iter().map(|(met, all)| met / all).collect();
    assert!(
        rates.windows(2).all(|pair| pair[0] <= pair[1] + 0.05),
        "{rates:?}"
    );
}

/// Day by day it comes to the same as all at once, also where a day is changed that was gone through.
#[test]
fn who_goes_on_says_the_same_as_who_begins() {
    let calendar = calendar();
    let from = Day::of(FROM.parse().unwrap());
    // Of all of them, one after the other.
    let mut room = Room::default();
    for business in [Business::Shop, Business::Contracts, Business::Sparse] {
        for kind in [PeriodKind::Week, PeriodKind::Month, PeriodKind::Quarter] {
            let mut days = series(business, 3, &calendar);
            let mut walk = None;
            for today in 10..420 {
                if today % 50 == 0 {
                    days[today - 3] *= 2.0;
                }
                let date = Day(from.0 + today as i32).date();
                let almanac = Almanac::of(Period::containing(kind, date, &calendar), &calendar);
                let history = History {
                    from,
                    days: &days[..today],
                    calendar: &calendar,
                };
                let begun = Past::of(history, &almanac, &mut room);
                let resumed = Past::resumed(history, &almanac, walk.take());
                let calibration = begun.calibration(0, &mut room);
                assert_eq!(
                    resumed.calibration(0, &mut room),
                    calibration,
                    "{business:?} {kind:?} {today}"
                );
                let foreseen = begun.foreseen(0, calibration.clone(), None);
                begun.leave(&mut room);
                assert_eq!(resumed.foreseen(0, calibration.clone(), None), foreseen);
                let calibrated = Past::calibrated(history, &almanac, &mut room);
                assert_eq!(calibrated.foreseen(0, calibration, None), foreseen);
                calibrated.leave(&mut room);
                walk = Some(resumed.into_walk());
            }
        }
    }
}

#[test]
fn steady_days_go_on() {
    let calendar = calendar();
    let days = vec![10.0; 60];
    let period = Period::containing(PeriodKind::Month, "2024-03-01".parse().unwrap(), &calendar);
    let history = History {
        from: Day::of("2024-01-11".parse().unwrap()),
        days: &days,
        calendar: &calendar,
    };
    // Sixty days from 11 January: 11 March, ten days into a month of 31; noon of it, with five already.
    let almanac = Almanac::of(period, &calendar);
    let foreseen = |history| {
        Arc::new(Past::of(history, &almanac, &mut Room::default()).foreseen(0, Calibration::default(), None))
    };
    let found = foreseen(history).outlook(105.0, 0.5).unwrap();
    assert!((found.value - 310.0).abs() < 3.0, "{found:?}");
    assert_eq!(found.probability_above(100.0), Some(1.0), "it is there already");
    let short = History {
        days: &days[..5],
        ..history
    };
    assert_eq!(foreseen(short).outlook(105.0, 0.5), None);
}

#[test]
fn days_are_told_apart_from_others_that_come_to_the_same() {
    let calendar = calendar();
    let mark = |from: i32, days: &[f64]| {
        History {
            from: Day(from),
            days,
            calendar: &calendar,
        }
        .mark()
    };
    let days = [3.0, 5.0, 0.0, 2.0];
    assert_eq!(mark(7, &days), mark(7, &[3.0, 5.0, 0.0, 2.0]));
    let others: [(i32, &[f64]); 5] = [
        (7, &[5.0, 3.0, 0.0, 2.0]),
        (7, &[3.0, 5.0, 2.0, 0.0]),
        (7, &[0.0, 3.0, 5.0, 0.0, 2.0]),
        (7, &[4.0, 4.0, 0.0, 2.0]),
        (6, &days),
    ];
    for (from, other) in others {
        assert_ne!(mark(7, &days), mark(from, other), "{from} {other:?}");
    }
}

#[test]
fn the_normal_distribution_is_itself() {
    for (z, expected) in [
        (0.0, 0.5),
        (1.0, 0.841_344_75),
        (-1.96, 0.024_997_9),
        (4.0, 0.999_968_3),
    ] {
        assert!((normal(z) - expected).abs() < 2e-7, "{z}");
    }
}
