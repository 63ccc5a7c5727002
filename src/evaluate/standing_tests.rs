//! What is taken over from the snapshot before is what would have been computed anew, and rules that are asked about what
//! changed say what they would have said of everything.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::alert::dispatch::route::Routing;
use crate::alert::engine::{Engine, Step};
use crate::alert::judge::{self, Tell, When};
use crate::catalog::SourceId;
use crate::catalog::load::{Files, load};
use crate::decode::{Reader, Record, Sign};
use crate::fold::worker::Worker;

const CATALOG: &str = r#"
calendar: {timezone: Asia/Shanghai}
sources:
  orders: {topics: [orders], format: json, time: time, fields: {amount: amount, region: region, customer: customer}}
  launches: {topics: [launches], format: json, time: time, fields: {product: product, state: state, line: line}}
  visits: {topics: [visits], format: json, time: time, fields: {region: region}}
metrics:
  revenue: {source: orders, agg: sum, expr: amount}
  orders: {source: orders, agg: count}
  visits: {source: visits, agg: count}
  average_order: {numerator: revenue, denominator: orders}
  latest: {source: orders, agg: last, expr: amount}
  buyers: {source: orders, agg: count_distinct, expr: customer}
  days_to_launch: {source: launches, type: duration, key: product, start: state == "approved", end: state == "on_sale", agg: avg, unit: days}
nodes:
  revenue: {metric: revenue, role: business, period: month, target: 30000, owner: ceo}
  regions: {metric: revenue, role: business, parent: revenue, relation: sum, each: [region], period: month, target: 3000}
  orders: {metric: orders, role: kpi, parent: regions, relation: influence, each: [region], period: month, target: 300}
  visits: {metric: visits, role: kpi, parent: regions, relation: influence, each: [region], period: month, target: 200}
  average: {metric: average_order, role: kpi, parent: revenue, relation: influence, period: week, target: 50}
  latest: {metric: latest, role: kpi, parent: revenue, relation: influence, each: [region], period: day, target: 20}
  buyers: {metric: buyers, role: kpi, parent: revenue, relation: influence, period: day, target: 5}
  launches: {metric: days_to_launch, role: kpi, direction: lower, parent: revenue, relation: influence, period: month, target: 2, overdue_after: 1h}
  launches_of: {metric: days_to_launch, role: kpi, direction: lower, parent: revenue, relation: influence, each: [line], period: month, overdue_after: 20s}
rules:
  slow: {on: node, when: node.pace < 0.5, clear: node.pace > 0.8, for: 30s, severity: warning}
  apart: {on: link, when: kpi.completion > parent.completion + 0.02, for: 1m, severity: critical}
  few: {on: link, when: kpi.completion < 0.5, severity: info}
  far: {on: link, when: link.gap > 0.3, severity: warning}
  fails: {on: node, nodes: [latest], when: 1.0 / node.value > 0.5, severity: info}
"#;

#[derive(Clone, Debug)]
enum Happens {
    Order {
        region: u8,
        amount: i16,
    },
    /// Of a region that may have brought no order yet: then the parent comes after its child.
    Visit {
        region: u8,
    },
    Launch {
        product: u8,
        is_end: bool,
        /// Seconds by which it is ahead of the watermark.
        ahead: i64,
    },
    Passes {
        seconds: i64,
    },
    /// As after every step of a daemon.
    Commit,
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        6 => (0u8..4, -20i16..400).prop_map(|(region, amount)| Happens::Order { region, amount }),
        2 => (0u8..4).prop_map(|region| Happens::Visit { region }),
        1 => (0u8..3, any::<bool>(), 0i64..30)
            .prop_map(|(product, is_end, ahead)| Happens::Launch { product, is_end, ahead }),
        6 => (0i64..40).prop_map(|seconds| Happens::Passes { seconds }),
        1 => (40i64..40_000).prop_map(|seconds| Happens::Passes { seconds }),
        // Some regions have brought nothing for so long that they are not shown.
        1 => (4_000_000i64..7_000_000).prop_map(|seconds| Happens::Passes { seconds }),
        3 => Just(Happens::Commit),
    ]
}

/// One of two worlds to which the same happens.
struct World {
    catalog: Arc<Catalog>,
    evaluator: Evaluator,
    engine: Engine,
    snapshot: Snapshot,
}

impl World {
    fn new(catalog: &Arc<Catalog>, plan: &Arc<Plan>) -> World {
        World {
            evaluator: Evaluator::new(catalog.clone(), plan.clone()),
            engine: Engine::new("store"),
            snapshot: Snapshot::default(),
            catalog: catalog.clone(),
        }
    }

    fn step(&mut self, cells: &Cells, at: Timestamp, horizon: Horizon) -> Step {
        let routing = Routing::default();
        let when = When {
            at,
            horizon,
            tell: Some(Tell::at(at, &routing)),
            intake: &[],
        };
        let (snapshot, step) = judge::step(&self.catalog, &mut self.evaluator, cells, &mut self.engine, when);
        self.snapshot = snapshot;
        step
    }
}

fn shown(snapshot: &Snapshot) -> Vec<String> {
    let states = snapshot.instances.iter().map(|state| format!("{state:?}"));
    let items = snapshot.items.iter().map(|open| format!("{open:?}"));
    states
        .chain(items)
        .chain([format!("{:?} {:?}", snapshot.watermark, snapshot.shared)])
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_taken_over_is_what_would_be_computed(story in prop::collection::vec(happens(), 1..60)) {
        let catalog = load(&Files::new("", [("a.yaml", CATALOG)])).map_err(|d| d.to_string()).unwrap();
        let catalog = Arc::new(catalog);
        let plan = Arc::new(Plan::compile(&catalog));
        let mut cells = Cells::new(plan.clone());
        let mut worker = Worker::new(&catalog, plan.clone());
        let (mut one, mut other) = (World::new(&catalog, &plan), World::new(&catalog, &plan));
        let mut at: Timestamp = "2026-06-15T10:00:00+08:00".parse().unwrap();
        for (n, event) in story.into_iter().enumerate() {
            let mut bring = |source: u32, payload: String| {
                let record = Record { payload: Some(payload.as_bytes()), ..Record::default() };
                let mut reader = Reader::new(&catalog.sources[source as usize]);
                let event = reader.read_one(&record).unwrap();
                worker.fold(SourceId(source), &event, n as i64, Sign::Add).unwrap();
                cells.merge(worker.take()).unwrap();
            };
            match event {
                Happens::Order { region, amount } => bring(0, format!(
                    r#"{{"time": "{at}", "amount": {amount}, "region": "r{region}", "customer": "c{n}"}}"#
                )),
                Happens::Visit { region } => bring(2, format!(r#"{{"time": "{at}", "region": "r{region}"}}"#)),
                Happens::Launch { product, is_end, ahead } => bring(1, format!(
                    r#"{{"time": "{}", "product": "p{product}", "line": "l{}", "state": "{}"}}"#,
                    at + SignedDuration::from_secs(ahead),
                    product % 2,
                    if is_end { "on_sale" } else { "approved" }
                )),
                Happens::Commit => drop(cells.take_changed()),
                Happens::Passes { seconds } => {
                    let before = at;
                    at += SignedDuration::from_secs(seconds);
                    let close = catalog.calendar.start_of(catalog.calendar.day_of(at)) - SignedDuration::from_millis(1);
                    let steps = [(close, Horizon::Day), (at, Horizon::Known)];
                    for (at, horizon) in steps.into_iter().filter(|(at, _)| *at >= before) {
                        other.evaluator.last = None;
                        let steps = [&mut one, &mut other].map(|world| world.step(&cells, at, horizon));
                        prop_assert_eq!(&other.snapshot.changed, &Changed::All);
                        prop_assert_eq!(shown(&one.snapshot), shown(&other.snapshot));
                        prop_assert_eq!(&steps[0], &steps[1]);
                        prop_assert_eq!(one.engine.failures(), other.engine.failures());
                    }
                }
            }
        }
    }
}

/// A step in the middle of a minute says which instances may have changed, and only those.
#[test]
fn what_changed_is_named() {
    let catalog = load(&Files::new("", [("a.yaml", CATALOG)]))
        .map_err(|d| d.to_string())
        .unwrap();
    let catalog = Arc::new(catalog);
    let plan = Arc::new(Plan::compile(&catalog));
    let mut cells = Cells::new(plan.clone());
    let mut worker = Worker::new(&catalog, plan.clone());
    let mut evaluator = Evaluator::new(catalog.clone(), plan);
    let mut bring = |cells: &mut Cells, region: &str| {
        let payload = format!(
            r#"{{"time": "2026-06-15T10:00:00+08:00", "amount": 5, "region": "{region}", "customer": "c"}}"#
        );
        let record = Record {
            payload: Some(payload.as_bytes()),
            ..Record::default()
        };
        let mut reader = Reader::new(&catalog.sources[0]);
        let event = reader.read_one(&record).unwrap();
        worker.fold(SourceId(0), &event, 0, Sign::Add).unwrap();
        cells.merge(worker.take()).unwrap();
    };
    let mut second = 0;
    let mut look = |cells: &Cells| {
        second += 1;
        let at = format!("2026-06-15T10:00:{second:02}+08:00").parse().unwrap();
        evaluator.snapshot(cells, at, Horizon::Known)
    };
    bring(&mut cells, "east");
    bring(&mut cells, "west");
    assert_eq!(look(&cells).changed, Changed::All);
    let named = |snapshot: &Snapshot| match &snapshot.changed {
        Changed::All => vec!["all".to_owned()],
        Changed::Some { at, .. } => {
            let keys = at.iter().map(|at| &snapshot.instances[*at as usize].key);
            let name =
                |key: &InstanceKey| [&*catalog.node(key.node).name, &key.dimensions.join(",")].join(" ");
            keys.map(name)
                .filter(|name| !name.starts_with("launches"))
                .collect()
        }
    };
    // What was taken to be written has not changed again.
    drop(cells.take_changed());
    assert!(named(&look(&cells)).is_empty());
    bring(&mut cells, "west");
    let expected = [
        "revenue ",
        "regions west",
        "orders west",
        "average ",
        "latest west",
        "buyers ",
    ];
    let mut found = named(&look(&cells));
    found.sort();
    let mut expected = expected;
    expected.sort_unstable();
    assert_eq!(found, expected);
    // Two looks of others at what changed, and it is not known any more.
    bring(&mut cells, "east");
    drop(cells.take_changed());
    assert_eq!(named(&look(&cells)), ["all"]);
    // One that was not there, which moves others on.
    assert!(named(&look(&cells)).is_empty());
    drop(cells.take_changed());
    bring(&mut cells, "north");
    let snapshot = look(&cells);
    let Changed::Some { arrivals, .. } = &snapshot.changed else {
        panic!("{:?}", snapshot.changed);
    };
    let arrived: Vec<String> = arrivals
        .positions()
        .map(|at| snapshot.instances[at as usize].key.dimensions.join(","))
        .collect();
    assert_eq!(arrived, ["north"; 3]);
    let mut found = named(&snapshot);
    found.sort();
    let expected = expected.map(|name| name.replace("west", "north"));
    assert_eq!(found, expected);
    // All of them at once are no few.
    for region in 0..20 {
        bring(&mut cells, &format!("r{region}"));
    }
    assert_eq!(named(&look(&cells)), ["all"]);
    assert!(named(&look(&cells)).iter().all(|name| name != "all"));
}
