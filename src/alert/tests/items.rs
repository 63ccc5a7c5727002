//! Items from their start to their end: worked out by hand, from events through cells, snapshots and rules to what
//! people are told.

use std::sync::Arc;

use jiff::Timestamp;

use super::{moment, nothing, routing_of};
use crate::alert::engine::Engine;
use crate::alert::judge;
use crate::alert::notice::{Notice, NoticeKind};
use crate::catalog::Severity;
use crate::catalog::load::{Files, load};
use crate::catalog::{Catalog, SourceId};
use crate::decode::{Found, Item, Reader, Record};
use crate::evaluate::{Evaluator, Horizon, NodeState, Snapshot};
use crate::fold::cells::Cells;
use crate::fold::plan::Plan;
use crate::fold::worker::Worker;
use crate::words::{Language, sentence};

const CATALOG: &str = r#"
sources:
  launches: {topics: [t], format: debezium, time: $envelope.ts_ms, fields: {product: id, state: state, line: line}}
metrics:
  days_to_launch: {source: launches, type: duration, key: product, start: state == "approved", end: state == "on_sale", agg: avg, unit: days}
nodes:
  all:   {title: 上市用时, metric: days_to_launch, role: business, direction: lower, period: month, target: 20, overdue_after: 30d, owner: li}
  lines: {metric: days_to_launch, role: kpi, parent: all, relation: influence, each: [line], direction: lower, period: month}
"#;

struct World {
    catalog: Arc<Catalog>,
    plan: Arc<Plan>,
    cells: Cells,
    engine: Engine,
}

impl World {
    fn new() -> World {
        let catalog = load(&Files::new("", [("a.yaml", CATALOG)]));
        let catalog = Arc::new(catalog.map_err(|d| d.to_string()).unwrap());
        let plan = Arc::new(Plan::compile(&catalog));
        World {
            cells: Cells::new(plan.clone()),
            engine: Engine::new("store"),
            catalog,
            plan,
        }
    }

    /// A row of the product became this, in a worker of its own.
    fn row(&mut self, day: &str, product: &str, before: Option<&str>, state: &str, line: &str) {
        let at: Timestamp = format!("{day}T12:00:00Z").parse().unwrap();
        let row = |state: &str| format!(r#"{{"id": "{product}", "state": "{state}", "line": "{line}"}}"#);
        let payload = format!(
            r#"{{"op": "{}", "before": {}, "after": {}, "ts_ms": {}}}"#,
            if before.is_some() { "u" } else { "c" },
            before.map_or("null".to_owned(), row),
            row(state),
            at.as_millisecond()
        );
        let record = Record {
            payload: Some(payload.as_bytes()),
            ..Record::default()
        };
        let mut worker = Worker::new(&self.catalog, self.plan.clone());
        Reader::new(&self.catalog.sources[0]).read(&record, |Item { found, .. }| {
            let Found::Change(change) = found.unwrap() else {
                panic!("a change");
            };
            worker.fold_change(SourceId(0), &change, 0).unwrap();
        });
        self.cells.merge(worker.take()).unwrap();
    }

    /// Everything is written, read again, and goes on from there.
    fn restart(&mut self) {
        let mut cells = Cells::new(self.plan.clone());
        cells.restore(self.cells.take_changed());
        cells.restore_items(self.cells.take_changed_items());
        self.cells = cells;
        let records = self.engine.records().cloned().collect();
        self.engine = Engine::new("store");
        self.engine.restore(records, Default::default());
    }

    fn snapshot(&self, at: &str) -> Snapshot {
        let at = format!("{at}T12:00:00Z").parse().unwrap();
        Evaluator::new(self.catalog.clone(), self.plan.clone()).snapshot(&self.cells, at, Horizon::Known)
    }

    fn step(&mut self, at: &str) -> Vec<Notice> {
        let snapshot = self.snapshot(at);
        let scene = judge::Scene::of(&self.catalog, &snapshot);
        let samples = scene.samples(&self.engine.known());
        let (at, world) = (snapshot.watermark.unwrap(), nothing());
        let routing = routing_of(&[(Severity::INFO, "ops".to_owned())]);
        let moment = Some(moment(at, &routing, &world));
        let step = self.engine.step(&samples, &self.catalog.rules, at, moment);
        let mut notices = step.notices;
        notices.retain(|notice| notice.alert_kind == "overdue");
        notices
    }
}

fn values(snapshot: &Snapshot) -> Vec<(String, Option<f64>)> {
    let of = |state: &NodeState| (state.key.dimensions.join(","), state.value);
    snapshot.instances.iter().map(of).collect()
}

fn told(notices: &[Notice]) -> Vec<(&str, NoticeKind)> {
    notices
        .iter()
        .map(|notice| (notice.labels["item"].as_str(), notice.kind))
        .collect()
}

#[test]
fn open_items_count_with_their_age() {
    let mut world = World::new();
    // Ends first, by way of another partition; a copy; another change of a row that is approved already.
    world.row("2026-06-11", "p1", Some("approved"), "on_sale", "tea");
    world.row("2026-06-01", "p1", None, "approved", "tea");
    world.row("2026-06-01", "p1", None, "approved", "tea");
    world.row("2026-06-05", "p1", Some("approved"), "approved", "tea");
    world.row("2026-06-02", "p2", Some("draft"), "approved", "ink");
    let at = |value: f64| Some(value);
    let expected = [
        // 10 days over, and one of 18 on the 20th.
        ("".to_owned(), at(14.0)),
        ("ink".to_owned(), at(18.0)),
        ("tea".to_owned(), at(10.0)),
    ];
    assert_eq!(values(&world.snapshot("2026-06-20")), expected);
    world.restart();
    assert_eq!(values(&world.snapshot("2026-06-20")), expected);
    // A day later the open one is a day older, without any event. In July what ended in June is of the past.
    assert_eq!(values(&world.snapshot("2026-06-21"))[0].1, at(14.5));
    let july = values(&world.snapshot("2026-07-03"));
    assert_eq!(
        july,
        [
            ("".to_owned(), at(31.0)),
            ("ink".to_owned(), at(31.0)),
            ("tea".to_owned(), None)
        ]
    );
    // Opened again after its end, and closed: two durations of one item.
    world.row("2026-06-13", "p1", Some("on_sale"), "approved", "tea");
    world.row("2026-06-15", "p1", Some("approved"), "on_sale", "tea");
    assert_eq!(values(&world.snapshot("2026-06-20"))[2].1, at(6.0));
}

#[test]
fn each_item_past_its_time_is_an_alert_of_its_own() {
    let mut world = World::new();
    world.row("2026-06-01", "p1", None, "approved", "tea");
    world.row("2026-06-02", "p2", None, "approved", "ink");
    // Thirty days to the second are allowed.
    assert_eq!(world.step("2026-07-01"), []);
    let fired = world.step("2026-07-02");
    assert_eq!(told(&fired), [("p1", NoticeKind::Fired)]);
    let facts = &fired[0].facts;
    for (language, heading, text) in [
        (
            Language::Zh,
            "p1 已逾期（上市用时）",
            "已进行 31 天，期限为 30 天。",
        ),
        (
            Language::En,
            "p1 is overdue (上市用时)",
            "It has been open for 31 days; 30 days are allowed.",
        ),
    ] {
        assert_eq!(sentence::heading("overdue", "overdue", facts, language), heading);
        assert_eq!(sentence::of("overdue", facts, language), text);
    }
    let labels: Vec<(&str, &str)> = fired[0]
        .labels
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(
        labels,
        [
            ("alertname", "overdue"),
            ("item", "p1"),
            ("node", "all"),
            ("owner", "li")
        ]
    );
    world.restart();
    assert_eq!(told(&world.step("2026-07-03")), [("p2", NoticeKind::Fired)]);
    // A new month is no end of an item.
    assert_eq!(world.step("2026-08-02"), []);
    world.row("2026-07-20", "p1", Some("approved"), "on_sale", "tea");
    let resolved = world.step("2026-08-03");
    assert_eq!(told(&resolved), [("p1", NoticeKind::Resolved)]);
    let open = &world.snapshot("2026-08-03").items;
    let open: Vec<(u64, u64, &str)> = open
        .iter()
        .map(|open| (open.count, open.overdue, &*open.items[0].name))
        .collect();
    // Without overdue_after nothing is overdue: lines are a node of their own.
    assert_eq!(open, [(1, 1, "p2"), (1, 0, "p2")]);
}

/// Whoever keeps what was told would take the notices of an episode whose id comes twice for those of the first.
#[test]
fn an_item_that_is_overdue_again_after_it_was_forgotten_has_new_ids() {
    let mut world = World::new();
    world.row("2026-01-05", "p1", None, "approved", "a");
    let first = world.step("2026-03-01");
    assert_eq!(told(&first), [("p1", NoticeKind::Fired)]);
    world.row("2026-03-02", "p1", Some("approved"), "on_sale", "a");
    assert_eq!(told(&world.step("2026-03-03")), [("p1", NoticeKind::Resolved)]);
    // Its record is let go a week after the month.
    world.step("2026-04-20");
    let of_item = |record: &&crate::alert::record::AlertRecord| record.labels.contains_key("item");
    assert_eq!(world.engine.records().filter(of_item).count(), 0);
    world.row("2026-05-01", "p1", Some("on_sale"), "approved", "a");
    let again = world.step("2026-07-01");
    assert_eq!(told(&again), [("p1", NoticeKind::Fired)]);
    assert_ne!(again[0].id, first[0].id);
}
