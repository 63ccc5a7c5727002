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
    let sells = |n: i64, store: u32| {
        let own = f64::from(store);
        let wave = |length: f64| 1.0 + 0.05 * (n as f64 / (length + own / 20.0)).sin();
        let left = if n >= ONSET && store < fallen { 0.6 } else { 1.0 };
        [100.0 * wave(3.0), 5000.0 * wave(4.0) * left]
    };
    told(DAYS, sells)
}

/// The episodes of stores with some three visits a day, half of which buy: too few to see a fifth less in any of them.
/// From a day on those that `falls` names sell `left` of what they did.
fn few_visits(days: i64, left: f64, falls: impl Fn(u32) -> bool) -> Vec<Episode> {
    let mut state = 11u64;
    let mut uniform = move || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) as f64 / u64::MAX as f64
    };
    let sells = move |n: i64, store: u32| {
        let visits = (0..12).filter(|_| uniform() < 0.25).count();
        let share = if n >= 150 && falls(store) { 0.5 * left } else { 0.5 };
        let bought = (0..visits).filter(|_| uniform() < share).count();
        let sold: f64 = (0..bought).map(|_| 30.0 + 40.0 * uniform()).sum();
        [visits as f64, sold]
    };
    told(days, sells)
}

/// What is told of forty stores that bring visits and sales, by day and store.
fn told(days: i64, mut sells: impl FnMut(i64, u32) -> [f64; 2]) -> Vec<Episode> {
    let catalog = load(&Files::new("", [("a.yaml", YAML)]));
    let catalog = Arc::new(catalog.map_err(|d| d.to_string()).unwrap());
    let routing = Routing {
        root: Some(Route::to_receiver("ops")),
        ..Routing::default()
    };
    let mut replay = Replay::new(catalog, Arc::new(routing));
    for n in 0..days {
        let day = date(2025, 1, 1).saturating_add(n.days());
        for store in 0..STORES {
            for (key, value) in std::iter::zip(["visits", "sales"], sells(n, store)) {
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
    let compared = shared.facts.compared.number();
    assert!(compared.is_some_and(|drift| drift >= 1.0), "{compared:?}");
    assert!(facts.drifting > 20 && !facts.is_more, "{facts:?}");
    assert_eq!(shared.labels.get("store"), None);
    // The episodes of the stores are there to be looked at, and nobody was told of them.
    assert_eq!(own.iter().filter(|episode| episode.kind == "hollow").count(), 40);
    let told: u32 = own.iter().map(|episode| episode.notices).sum();
    assert_eq!((told, shared.notices > 0), (0, true));
}

#[test]
fn what_no_store_alone_can_show_all_of_them_do() {
    let episodes = few_visits(230, 0.8, |_| true);
    let told: Vec<&str> = episodes
        .iter()
        .filter(|episode| episode.notices > 0)
        .map(|episode| episode.kind.as_str())
        .collect();
    // Chance may have told a store or two before.
    assert!(told.len() <= 3, "{told:?}");
    let mut shared = episodes.iter().filter(|episode| episode.kind == "shared_drift");
    let (Some(shared), None) = (shared.next(), shared.next()) else {
        panic!("{told:?}")
    };
    let facts = shared.facts.shared.as_ref().unwrap();
    assert_eq!((facts.judged, facts.is_more), (40, false));
    assert!(facts.going.is_some_and(|going| going > 20), "{facts:?}");
    assert!(
        facts.gap.is_some_and(|gap| (-0.25..-0.1).contains(&gap)),
        "{facts:?}"
    );
    // The fall began on 31 May.
    let since = facts.since.unwrap();
    assert!(
        (date(2025, 5, 25)..=date(2025, 6, 10)).contains(&since),
        "{since}"
    );
}

#[test]
fn stores_of_few_events_that_are_well_say_nothing_together_for_a_year() {
    let episodes = few_visits(460, 1.0, |_| true);
    let told: Vec<&str> = episodes.iter().map(|episode| episode.kind.as_str()).collect();
    // Fifty store-years of a false alarm in twenty bring two or three.
    assert!(told.len() <= 3 && !told.contains(&"shared_drift"), "{told:?}");
}

#[test]
fn what_two_stores_do_is_no_matter_of_all() {
    // They bring the whole less, too: by one in twenty.
    let episodes = few_visits(260, 0.0, |store| store < 2);
    assert!(
        episodes.iter().any(|episode| episode.notices > 0),
        "{episodes:#?}"
    );
    assert!(
        episodes.iter().all(|episode| episode.kind != "shared_drift"),
        "{episodes:#?}"
    );
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
