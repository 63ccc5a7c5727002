//! A small labelled corpus whose links are the instances of one KPI, through the same path as `backtest`: a change that
//! finds less, or cries more, fails.
//!
//! Visits of stores are counts about a slowly wandering rate, and sales what they bring after a lag, with weekdays and a
//! wandering of their own. Every fault begins on a day of its own. It is no measure of how good the judgement is
//! (docs/detection.md has that), only of whether it became worse.

use std::sync::Arc;

use jiff::civil::{Date, date};
use jiff::{Timestamp, ToSpan};
use tautline::catalog::SourceId;
use tautline::catalog::attribute::DriftKind;
use tautline::catalog::load::{Files, load};
use tautline::daemon::replay::Replay;
use tautline::decode::Record;

const CATALOG: &str = r#"
sources:
  shop: {topics: [shop], format: json, time: t, fields: {kind: kind, store: store, value: value}}
metrics:
  sales: {source: shop, agg: sum, expr: value, filter: kind == "sales", dimensions: [store]}
  visits: {source: shop, agg: sum, expr: value, filter: kind == "visits", dimensions: [store]}
nodes:
  sales: {metric: sales, role: business, each: [store], period: month, profile: linear, target: 150_000, rules: {behind_pace: off, target_at_risk: off}}
  visits: {metric: visits, role: kpi, owner: stores, parent: sales, relation: influence, each: [store], period: month, profile: linear, target: 3_000, rules: {behind_pace: off, target_at_risk: off}}
"#;
const FIRST: Date = date(2024, 1, 1);
const DAYS: usize = 270;
const STORES: usize = 32;
const SEEDS: [u64; 2] = [1, 2];
/// Days after its first in which a fault is to be found.
const WITHIN: i64 = 60;

/// Numbers that look like chance and are the same everywhere: SplitMix64.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    fn uniform(&mut self, low: f64, high: f64) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        low + (high - low) * ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Near to normal: the sum of twelve uniform numbers.
    pub(crate) fn normal(&mut self, deviation: f64) -> f64 {
        deviation * ((0..12).map(|_| self.uniform(0.0, 1.0)).sum::<f64>() - 6.0)
    }
}

/// What goes wrong in a store: one of eight sells less of the same visits, one of eight more.
fn fault(store: usize) -> Option<DriftKind> {
    match store % 8 {
        0 => Some(DriftKind::Hollow),
        4 => Some(DriftKind::Uncredited),
        _ => None,
    }
}

/// A store's history.
struct Store {
    /// By day, visits and sales.
    days: Vec<[f64; 2]>,
    /// The first day of its fault, where it has one.
    onset: usize,
}

fn store(seed: u64, number: usize) -> Store {
    let mut chance = Chance(seed * 1_000 + number as u64);
    let (size, lag) = (chance.uniform(0.6, 1.4), chance.uniform(0.0, 6.0) as usize);
    let onset = chance.uniform(140.0, 200.0) as usize;
    let by_fault = match fault(number) {
        Some(DriftKind::Hollow) => 1.0 - chance.uniform(0.3, 0.5),
        Some(_) => 1.0 + chance.uniform(0.4, 0.7),
        None => 1.0,
    };
    let weekday = |day: usize| [0.9, 0.9, 0.9, 0.9, 0.9, 1.3, 1.2][day % 7];
    let (mut drive, mut own) = (0.0, 0.0);
    let (mut visitors, mut days) = (Vec::new(), Vec::new());
    for day in 0..DAYS {
        drive = 0.93 * drive + chance.normal(0.03);
        own = 0.95 * own + chance.normal(0.022);
        visitors.push(100.0 * size * f64::exp(drive));
        let then = visitors[day.saturating_sub(lag)];
        let wrong = if day >= onset { by_fault } else { 1.0 };
        let mut noise = || f64::exp(chance.normal(0.1)) * weekday(day);
        days.push([
            visitors[day] * noise(),
            50.0 * then * f64::exp(own) * wrong * noise(),
        ]);
    }
    Store { days, onset }
}

/// Episodes of drift: kind, store (`None` of all of them together), and how many days after the first one it was raised.
fn told(stores: &[Store]) -> Vec<(String, Option<usize>, i64)> {
    let catalog = load(&Files::new("", [("shop.yaml", CATALOG)])).map_err(|problems| problems.to_string());
    let mut replay = Replay::new(Arc::new(catalog.unwrap()), Default::default());
    for day in 0..DAYS {
        let at: Timestamp = format!("{}T12:00:00Z", FIRST.saturating_add((day as i64).days()))
            .parse()
            .unwrap();
        for (number, store) in stores.iter().enumerate() {
            for (kind, value) in std::iter::zip(["visits", "sales"], store.days[day]) {
                let event =
                    format!(r#"{{"t":"{at}","kind":"{kind}","store":"{number}","value":{value:.2}}}"#);
                let record = Record {
                    payload: Some(event.as_bytes()),
                    ..Record::default()
                };
                replay.record(SourceId(0), &record, at).unwrap();
            }
        }
    }
    let first: Timestamp = format!("{FIRST}T00:00:00Z").parse().unwrap();
    let is_drift = |kind: &str| DriftKind::of(kind).is_some() || kind == "shared_drift";
    let episodes = replay.episodes().iter();
    episodes
        .filter(|episode| is_drift(&episode.kind))
        .map(|episode| {
            let store = episode.labels.get("store").and_then(|store| store.parse().ok());
            let days = episode.raised.duration_since(first).as_hours() / 24;
            (episode.kind.clone(), store, days)
        })
        .collect()
}

/// Faults found by the right kind, found by any, and false alarms.
#[derive(Debug, Default)]
struct Score {
    right: u32,
    found: u32,
    falsely: u32,
}

impl Score {
    fn add(&mut self, stores: &[Store], told: &[(String, Option<usize>, i64)]) {
        let mut found = [false; STORES];
        for (kind, store, day) in told {
            let wrong = store.and_then(|store| Some((store, fault(store)?)));
            let since = wrong.map(|(store, _)| day - stores[store].onset as i64);
            match (wrong, since) {
                (Some((store, expected)), Some(0..=WITHIN)) => {
                    self.right += u32::from(!found[store] && DriftKind::of(kind) == Some(expected));
                    found[store] = true;
                }
                // What goes on may be told again by another kind.
                (Some(_), Some(since)) if since > WITHIN => {}
                _ => self.falsely += 1,
            }
        }
        self.found += found.iter().filter(|found| **found).count() as u32;
    }

    fn f1(&self, faults: u32) -> f64 {
        f64::from(2 * self.right) / f64::from(self.found + self.falsely + faults)
    }
}

#[test]
fn instances_of_one_kpi_are_judged_as_well_as_ever() {
    let mut score = Score::default();
    for seed in SEEDS {
        let stores: Vec<Store> = (0..STORES).map(|number| store(seed, number)).collect();
        score.add(&stores, &told(&stores));
    }
    let faults = (0..STORES).filter(|store| fault(*store).is_some()).count() * SEEDS.len();
    let f1 = score.f1(faults as u32);
    let a_year = f64::from(score.falsely) * 365.0 / (SEEDS.len() * STORES * DAYS) as f64;
    // All 16 faults and 2 false alarms; with limits lowered to 0.7 of what they are it is 3, an F1 of 0.914.
    assert!(
        f1 >= 0.94 && a_year < 0.05,
        "F1 {f1:.3}, {a_year:.3} false alarms a KPI-year: {score:?}"
    );
}
