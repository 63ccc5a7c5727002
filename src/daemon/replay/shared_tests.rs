//! Forty stores through the fold, the judgement and the dispatch of the daemon: what they share is told once.

use jiff::ToSpan;
use jiff::civil::date;

use super::*;
use crate::alert::dispatch::route::Route;
use crate::catalog::load::{Files, load};

const YAML: &str = "
sources:
  s: {topics: [t], format: json, time: t, fields: {k: k, store: store, v: v}}
metrics:
  visits: {source: s, agg: sum, expr: v, filter: k == \"visits\", dimensions: [store]}
  sales: {source: s, agg: sum, expr: v, filter: k == \"sales\", dimensions: [store]}
nodes:
  sales: {metric: sales, role: business, each: [store], period: month, target: 150000, rules: {behind_pace: off, target_at_risk: off}}
  visits: {metric: visits, role: kpi, owner: o, each: [store], parent: sales, relation: influence, period: month, target: 3000, rules: {behind_pace: off, target_at_risk: off}}
";

const STORES: u32 = 40;
const DAYS: i64 = 170;
const ONSET: i64 = 130;

/// The episodes of stores of which the first `fallen` lose two fifths of their sales from a day on.
fn episodes(fallen: u32) -> Vec<Episode> {
    let catalog = load(&Files::new("", [("a.yaml", YAML)]));
    let catalog = Arc::new(catalog.map_err(|d| d.to_string()).unwrap());
    let routing = Routing {
        root: Some(Route::to_receiver("ops")),
        ..Routing::default()
    };
    let mut replay = Replay::new(catalog, Arc::new(routing));
    for n in 0..DAYS {
        let day = date(2025, 1, 1).saturating_add(n.days());
        for store in 0..STORES {
            let own = f64::from(store);
            let wave = |length: f64| 1.0 + 0.05 * (n as f64 / (length + own / 20.0)).sin();
            let left = if n >= ONSET && store < fallen { 0.6 } else { 1.0 };
            for (key, value) in [
                ("visits", 100.0 * wave(3.0)),
                ("sales", 5000.0 * wave(4.0) * left),
            ] {
                let at = format!("{day}T12:00:00Z");
                let line =
                    format!("{{\"t\":\"{at}\",\"k\":\"{key}\",\"store\":\"s{store:02}\",\"v\":{value:.2}}}");
                let record = Record {
                    payload: Some(line.as_bytes()),
                    ..Record::default()
                };
                replay.record(SourceId(0), &record, at.parse().unwrap()).unwrap();
            }
        }
    }
    replay.episodes().to_vec()
}

#[test]
fn when_all_stores_fall_one_message_says_so() {
    let episodes = episodes(STORES);
    let (shared, own): (Vec<_>, Vec<_>) = episodes
        .iter()
        .partition(|episode| episode.kind == "shared_drift");
    let [shared] = shared.as_slice() else {
        panic!("{shared:?}")
    };
    let facts = shared.facts.shared.as_ref().unwrap();
    assert_eq!(facts.judged, 40);
    assert!(facts.drifting > 20 && !facts.is_more, "{facts:?}");
    assert_eq!(shared.labels.get("store"), None);
    // The episodes of the stores are there to be looked at, and nobody was told of them.
    assert_eq!(own.iter().filter(|episode| episode.kind == "hollow").count(), 40);
    let told: u32 = own.iter().map(|episode| episode.notices).sum();
    assert_eq!((told, shared.notices > 0), (0, true));
}

#[test]
fn when_two_stores_fall_each_is_told() {
    let episodes = episodes(2);
    let kinds: Vec<&str> = episodes.iter().map(|episode| episode.kind.as_str()).collect();
    assert_eq!(kinds, ["hollow", "hollow"]);
    assert!(episodes.iter().all(|episode| episode.notices > 0));
}

#[test]
fn the_link_of_a_store_that_is_gone_is_forgotten() {
    let catalog = load(&Files::new("", [("a.yaml", YAML)]));
    let catalog = Arc::new(catalog.map_err(|d| d.to_string()).unwrap());
    let mut replay = Replay::new(catalog, Default::default());
    let mut known = Vec::new();
    for n in 0..300i64 {
        let day = date(2025, 1, 1).saturating_add(n.days());
        // One is there all the time, and one for two months.
        for store in if n < 60 {
            &["stays", "goes"][..]
        } else {
            &["stays"][..]
        } {
            for key in ["visits", "sales"] {
                let at = format!("{day}T12:00:00Z");
                let line = format!("{{\"t\":\"{at}\",\"k\":\"{key}\",\"store\":\"{store}\",\"v\":100}}");
                let record = Record {
                    payload: Some(line.as_bytes()),
                    ..Record::default()
                };
                replay.record(SourceId(0), &record, at.parse().unwrap()).unwrap();
            }
        }
        let links = replay.evaluator.all_learned().links;
        known.push(
            links
                .iter()
                .map(|link| link.dimensions[0].clone())
                .collect::<Vec<_>>(),
        );
        known[n as usize].sort();
    }
    assert_eq!(known[59], ["goes", "stays"]);
    // An instance goes 42 days after the last event, at the beginning of a period; a link 128 days after that.
    assert_eq!(known[200], ["goes", "stays"]);
    assert_eq!(known[299], ["stays"]);
}
