//! Golden tests: for each type of metric a small stream with the answer worked out by hand, run through the same fold and
//! evaluation as the daemon. A case is a file of `cases/`: catalogue, events, and what must come out, with the work shown.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on fails"
)]

mod forecast;
mod instances;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use tautline::catalog::load::{Files, load};
use tautline::catalog::{Agg, Catalog, MetricKind, SourceId};
use tautline::daemon::replay::Replay;
use tautline::decode::Record;
use tautline::evaluate::Snapshot;
use tautline::source::entry::{self, Draft};

/// A file of `cases/`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    catalog: String,
    /// When every event arrives; without it, at its own time `t`, and late ones when the newest one did.
    arrive: Option<Timestamp>,
    /// One JSON object a line; `_times` says how often it comes, `_source` of which source it is (0, the first).
    #[serde(default)]
    events: String,
    /// What people type in, one a line, each into every manual metric.
    #[serde(default)]
    entries: String,
    /// In the order of `at`.
    expect: Vec<Expected>,
    /// How many events had which outcome; other outcomes had none.
    outcomes: Option<BTreeMap<String, u64>>,
}

/// What a node must show at a moment.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct Expected {
    at: Timestamp,
    node: String,
    #[serde(default)]
    dimensions: Vec<String>,
    /// `null`: no value.
    value: Option<f64>,
    /// Relative error that the type of metric promises; without it the value is exact.
    #[serde(default)]
    within: f64,
    /// Open items.
    open: Option<u64>,
    /// Open items that are overdue, the oldest first.
    overdue: Option<Vec<String>>,
}

impl Expected {
    /// What is wrong, one a line.
    fn differences(&self, snapshot: &Snapshot) -> String {
        let is_it = |node: usize, dimensions: &[Arc<str>]| {
            let of_node = snapshot
                .nodes
                .get(node)
                .is_some_and(|info| info.name == self.node);
            of_node
                && dimensions
                    .iter()
                    .map(|value| &**value)
                    .eq(self.dimensions.iter().map(String::as_str))
        };
        let mut wrong = String::new();
        let found = snapshot
            .instances
            .iter()
            .find(|state| is_it(state.key.node.0 as usize, &state.key.dimensions));
        let Some(state) = found else {
            return format!("{self:?}: there is no such instance\n");
        };
        // Exact means: as good as a float shows it.
        let allowed = |value: f64| value.abs() * self.within.max(1e-12);
        let equal = match (state.value, self.value) {
            (Some(found), Some(value)) => (found - value).abs() <= allowed(value),
            (found, value) => found.is_none() && value.is_none(),
        };
        if !equal {
            let _ = writeln!(wrong, "{self:?}: the value is {:?}", state.value);
        }
        let items = snapshot
            .items
            .iter()
            .find(|items| is_it(items.key.node.0 as usize, &items.key.dimensions));
        if let Some(open) = self.open {
            let found = items.map_or(0, |items| items.count);
            if found != open {
                let _ = writeln!(wrong, "{self:?}: {found} items are open");
            }
        }
        if let Some(overdue) = &self.overdue {
            let items = items.map_or(&[][..], |items| &items.items);
            let found: Vec<&str> = items
                .iter()
                .filter(|item| item.is_overdue)
                .map(|item| &*item.name)
                .collect();
            if found != *overdue {
                let _ = writeln!(wrong, "{self:?}: overdue are {found:?}");
            }
        }
        wrong
    }
}

/// A line of `entries`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Typed {
    /// When it is typed in.
    t: Timestamp,
    value: String,
    by: String,
    /// The time for which it is.
    r#for: Option<Timestamp>,
    store: Option<String>,
    replaces: Option<u64>,
}

/// Types lines into every manual metric, as the daemon's door takes them.
fn type_in(lines: &str, catalog: &Catalog) -> Vec<(Timestamp, SourceId, String)> {
    let typed: Vec<Typed> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let mut events = Vec::new();
    for (_, metric) in catalog
        .named_metrics()
        .filter(|(_, metric)| metric.manual.is_some())
    {
        let MetricKind::Simple(simple) = &metric.kind else {
            panic!("{} is an aggregation over its entries", metric.name);
        };
        let mut known = Vec::new();
        for line in &typed {
            let draft = Draft {
                value: line.value.clone(),
                by: line.by.clone(),
                at_ms: line.r#for.map(Timestamp::as_millisecond),
                dimensions: line
                    .store
                    .iter()
                    .map(|store| ("store".to_owned(), store.clone()))
                    .collect(),
                note: None,
                replaces: line.replaces,
            };
            let is_last = simple.agg == Agg::Last;
            let (entry, event) = entry::next(&known, &metric.name, draft, line.t, is_last).unwrap();
            known.push(entry);
            events.push((line.t, simple.source, event));
        }
    }
    events.sort_by_key(|(at, ..)| *at);
    events
}

/// The catalogue of a case.
fn catalog_of(case: &Case) -> Arc<Catalog> {
    let catalog = load(&Files::new("", [("catalog.yaml", case.catalog.as_str())]));
    Arc::new(catalog.map_err(|problems| problems.to_string()).unwrap())
}

/// Runs a case; what is wrong, one a line.
fn run(text: &str) -> String {
    let case: Case = serde_saphyr::from_str(text).unwrap();
    let catalog = catalog_of(&case);
    let mut replay = Replay::new(catalog.clone(), Default::default());
    let mut expected = case.expect.iter().peekable();
    let mut wrong = String::new();
    let mut arrived = Timestamp::MIN;
    for line in case.events.lines() {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        let at = case
            .arrive
            .unwrap_or_else(|| event["t"].as_str().expect("a time").parse().unwrap());
        while let Some(due) = expected.next_if(|expected| expected.at < at) {
            wrong += &due.differences(&replay.snapshot(due.at).unwrap());
        }
        arrived = arrived.max(at);
        let source = event["_source"].as_u64().unwrap_or(0) as u32;
        let record = Record {
            topic: "t",
            payload: Some(line.as_bytes()),
            ..Record::default()
        };
        for _ in 0..event["_times"].as_u64().unwrap_or(1) {
            replay.record(SourceId(source), &record, arrived).unwrap();
        }
    }
    for (at, source, event) in type_in(&case.entries, &catalog) {
        while let Some(due) = expected.next_if(|expected| expected.at < at) {
            wrong += &due.differences(&replay.snapshot(due.at).unwrap());
        }
        let record = Record {
            payload: Some(event.as_bytes()),
            ..Record::default()
        };
        replay.record(source, &record, at).unwrap();
    }
    for due in expected {
        wrong += &due.differences(&replay.snapshot(due.at).unwrap());
    }
    if let Some(outcomes) = &case.outcomes {
        let found: BTreeMap<String, u64> = replay
            .outcomes()
            .into_iter()
            .map(|((_, outcome), count)| (outcome.to_owned(), count))
            .collect();
        if found != *outcomes {
            let _ = writeln!(wrong, "outcomes are {found:?}");
        }
    }
    wrong
}

#[test]
fn every_type_of_metric_comes_to_what_was_worked_out_by_hand() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/cases");
    let mut cases: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    cases.sort();
    let mut wrong = String::new();
    let mut covered = BTreeSet::new();
    for case in cases {
        let text = std::fs::read_to_string(&case).unwrap();
        covered.extend(covers(&catalog_of(&serde_saphyr::from_str(&text).unwrap())));
        let found = run(&text);
        if !found.is_empty() {
            let _ = write!(wrong, "{}\n{found}", case.display());
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    let missing: Vec<String> = declarable().difference(&covered).cloned().collect();
    assert!(missing.is_empty(), "no case has {missing:?}");
}

/// What a catalogue may declare, by its schema: each type of metric, and each aggregation.
fn declarable() -> BTreeSet<String> {
    let schema = tautline::catalog::schema::catalogue();
    let words = |of: &str| {
        let words = find(&schema["definitions"][of], "enum").unwrap_or_else(|| panic!("{of} has no words"));
        let words = words.as_array().unwrap().iter();
        words
            .map(|word| word.as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let types = words("MetricType").into_iter().map(|word| format!("type {word}"));
    // The median is p50, and a percentile is named by a number beside it.
    let is_own = |word: &String| word != "median" && word != "percentile";
    let aggs = words("Agg")
        .into_iter()
        .filter(is_own)
        .map(|word| format!("agg {word}"));
    types.chain(aggs).collect()
}

/// The first value under a key, however deep.
fn find<'v>(value: &'v serde_json::Value, key: &str) -> Option<&'v serde_json::Value> {
    match value {
        serde_json::Value::Object(map) => map
            .get(key)
            .or_else(|| map.values().find_map(|inner| find(inner, key))),
        serde_json::Value::Array(all) => all.iter().find_map(|inner| find(inner, key)),
        _ => None,
    }
}

/// What of it a catalogue declares.
fn covers(catalog: &Catalog) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for metric in &catalog.metrics {
        let kind = match &metric.kind {
            MetricKind::Simple(simple) => {
                found.insert(format!("agg {}", simple.agg));
                if metric.manual.is_some() {
                    "manual"
                } else {
                    "simple"
                }
            }
            MetricKind::Duration(_) => "duration",
            MetricKind::Conversion(_) => "conversion",
            MetricKind::Ratio { .. } => "ratio",
            MetricKind::Derived { .. } => "derived",
        };
        found.insert(format!("type {kind}"));
    }
    found
}

#[test]
fn a_case_that_is_wrong_is_found_out() {
    let case = include_str!("cases/duration.yaml");
    for (right, other, complaint) in [
        ("value: 3.375", "value: 3.376", "the value is Some(3.375)"),
        (
            "open: 2, overdue: [c]",
            "open: 3, overdue: [c]",
            "2 items are open",
        ),
        ("overdue: [c, d]", "overdue: [d]", "overdue are [\"c\", \"d\"]"),
        ("node: longest", "node: shortest", "there is no such instance"),
    ] {
        let found = run(&case.replacen(right, other, 1));
        assert!(
            case.contains(right) && found.contains(complaint),
            "{complaint}: {found}"
        );
    }
}

/// `customers` different ones a day, on so many days, each day with the same ones; the value of the month.
fn distinct(customers: u32, days: u32) -> f64 {
    let catalog = "sources:\n  s: {topics: [t], format: json, time: t, fields: {c: c}}\nmetrics:\n  m: {source: s, agg: count_distinct, expr: c}\nnodes:\n  m: {metric: m, role: business, period: month}\n";
    let catalog = load(&Files::new("", [("a.yaml", catalog)])).map_err(|problems| problems.to_string());
    let mut replay = Replay::new(Arc::new(catalog.unwrap()), Default::default());
    for day in 1..=days {
        let at = format!("2026-06-{day:02}T12:00:00Z");
        for customer in 0..customers {
            let event = format!(r#"{{"t": "{at}", "c": "customer {customer}"}}"#);
            let record = Record {
                payload: Some(event.as_bytes()),
                ..Record::default()
            };
            replay.record(SourceId(0), &record, at.parse().unwrap()).unwrap();
        }
    }
    let snapshot = replay.snapshot("2026-06-20T00:00:00Z".parse().unwrap()).unwrap();
    snapshot.instances[0].value.unwrap()
}

#[test]
fn different_keys_are_exact_to_4096_and_then_an_estimate() {
    assert_eq!(distinct(4096, 1), 4096.0);
    assert_eq!(
        distinct(4096, 2),
        4096.0,
        "the same ones on another day are no others"
    );
    for customers in [4097, 20_000] {
        let found = distinct(customers, 2);
        let error = (found / f64::from(customers) - 1.0).abs();
        // Three times the standard error of 0.8 %.
        assert!(error < 0.025, "{customers}: {found}");
    }
}
