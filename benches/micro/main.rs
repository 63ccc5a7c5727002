//! Micro benches of what happens to every event and at every tick: `cargo bench --bench micro [FILTER]`.
//!
//! The catalogue is that of the speed goal: 12 metrics over 4 grouping sets (total, region × channel, store, rep).
#![allow(clippy::unwrap_used, reason = "a bench that cannot go on fails")]

use std::cell::RefCell;
use std::sync::Arc;

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use jiff::Timestamp;
use tautline::alert::judge;
use tautline::catalog::load::{Files, load};
use tautline::catalog::{Catalog, SourceId};
use tautline::decode::{Reader, Record, Sign};
use tautline::evaluate::{Evaluator, Horizon};
use tautline::fold::cells::Cells;
use tautline::fold::plan::Plan;
use tautline::fold::worker::Worker;
use tautline::serve::{ReadyState, Stats, View, metrics};
use tautline::state::{Commit, Store};
use tautline::words::Language;

fn main() {
    divan::main();
}

const CATALOG: &str = include_str!("catalog.yaml");
const START_MS: i64 = 1_780_277_400_000;
const EVENTS: usize = 10_000;

fn catalog() -> Arc<Catalog> {
    Arc::new(
        load(&Files::new("", [("catalog.yaml", CATALOG)]))
            .map_err(|problems| problems.to_string())
            .unwrap(),
    )
}

/// A CloudEvent of 540 bytes; `n` chooses its values.
fn event(n: usize) -> String {
    let at = Timestamp::from_millisecond(START_MS + (n as i64 * 7919) % 3_000_000).unwrap();
    let kind = ["order.paid", "order.paid", "order.paid", "order.refunded"][n % 4];
    let mut text = format!(
        r#"{{"specversion":"1.0","id":"0f7e6c1e-{n:08x}","source":"/erp/pos/{}","type":"{kind}","time":"{at}","datacontenttype":"application/json","data":{{"order":"SO-2026-{n:09}","customer":{{"id":"c{}","segment":"retail","city":"上海"}},"region":"r{}","channel":"{}","store":"s{}","rep":"p{}","currency":"CNY","amount":{}.{:02},"discount":{},"items":[{{"sku":"A-{}","qty":{}}},{{"sku":"B-{}","qty":1}}]}},"note":""#,
        n % 40,
        n * 31 % 50_000,
        n % 12,
        ["web", "app", "shop"][n % 3],
        n % 400,
        n % 900,
        20 + n % 480,
        n % 100,
        n % 30,
        n % 999,
        1 + n % 3,
        n % 777,
    );
    while text.len() < 538 {
        text.push('x');
    }
    text.push_str("\"}");
    text
}

fn events() -> Vec<String> {
    (0..EVENTS).map(event).collect()
}

fn record(payload: &str) -> Record<'_> {
    Record {
        payload: Some(payload.as_bytes()),
        ..Record::default()
    }
}

#[divan::bench]
fn decode(bencher: Bencher) {
    let catalog = catalog();
    let events = events();
    let mut reader = Reader::new(&catalog.sources[0]);
    let bytes: usize = events.iter().map(String::len).sum();
    bencher
        .counter(ItemsCount::new(EVENTS))
        .counter(BytesCount::new(bytes))
        .bench_local(|| {
            for event in &events {
                divan::black_box(reader.read_one(&record(event)).unwrap());
            }
        });
}

#[divan::bench]
fn decode_by_serde_json(bencher: Bencher) {
    let events = events();
    bencher.counter(ItemsCount::new(EVENTS)).bench_local(|| {
        for event in &events {
            divan::black_box(serde_json::from_str::<serde_json::Value>(event).unwrap());
        }
    });
}

#[divan::bench]
fn decode_and_fold(bencher: Bencher) {
    let catalog = catalog();
    let plan = Arc::new(Plan::compile(&catalog));
    let events = events();
    let mut reader = Reader::new(&catalog.sources[0]);
    let mut worker = Worker::new(&catalog, plan);
    bencher.counter(ItemsCount::new(EVENTS)).bench_local(|| {
        for (offset, event) in events.iter().enumerate() {
            worker
                .fold(
                    SourceId(0),
                    &reader.read_one(&record(event)).unwrap(),
                    offset as i64,
                    Sign::Add,
                )
                .unwrap();
        }
    });
}

#[divan::bench]
fn hand_over_and_merge(bencher: Bencher) {
    let catalog = catalog();
    let plan = Arc::new(Plan::compile(&catalog));
    let events = events();
    let mut reader = Reader::new(&catalog.sources[0]);
    let mut cells = Cells::new(plan.clone());
    let mut worker = Worker::new(&catalog, plan);
    bencher.counter(ItemsCount::new(EVENTS)).bench_local(|| {
        for (offset, event) in events.iter().enumerate() {
            worker
                .fold(
                    SourceId(0),
                    &reader.read_one(&record(event)).unwrap(),
                    offset as i64,
                    Sign::Add,
                )
                .unwrap();
        }
        cells.merge(worker.take()).unwrap();
    });
}

#[divan::bench]
fn commit_changed_cells(bencher: Bencher) {
    let catalog = catalog();
    let plan = Arc::new(Plan::compile(&catalog));
    let events = events();
    let mut reader = Reader::new(&catalog.sources[0]);
    let mut cells = Cells::new(plan.clone());
    let mut worker = Worker::new(&catalog, plan);
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("state.db")).unwrap();
    bencher
        .with_inputs(|| {
            for (offset, event) in events.iter().enumerate() {
                worker
                    .fold(
                        SourceId(0),
                        &reader.read_one(&record(event)).unwrap(),
                        offset as i64,
                        Sign::Add,
                    )
                    .unwrap();
            }
            cells.merge(worker.take()).unwrap();
            cells.take_changed()
        })
        .input_counter(|changed| ItemsCount::new(changed.len()))
        .bench_local_values(|changed| {
            store
                .commit(&Commit {
                    cells: &changed,
                    ..Commit::default()
                })
                .unwrap()
        });
}

/// A node with this many instances, each with one event.
fn many(instances: usize) -> (Arc<Catalog>, Arc<Plan>, Evaluator, Cells) {
    let catalog = catalog();
    let plan = Arc::new(Plan::compile(&catalog));
    let mut cells = Cells::new(plan.clone());
    let mut worker = Worker::new(&catalog, plan.clone());
    bring(&catalog, &mut worker, instances, "");
    cells.merge(worker.take()).unwrap();
    let evaluator = Evaluator::new(catalog.clone(), plan.clone());
    (catalog, plan, evaluator, cells)
}

/// One event for each of this many instances of a kind.
fn bring(catalog: &Catalog, worker: &mut Worker, instances: usize, kind: &str) {
    let mut reader = Reader::new(&catalog.sources[0]);
    for n in 0..instances {
        let payload = format!(
            r#"{{"type":"order.paid","time":"2026-06-01T01:30:00Z","data":{{"amount":{n},"discount":1,"customer":{{"id":"c"}},"region":"r","channel":"web","store":"s","rep":"p{n}{kind}"}}}}"#
        );
        worker
            .fold(
                SourceId(0),
                &reader.read_one(&record(&payload)).unwrap(),
                0,
                Sign::Add,
            )
            .unwrap();
    }
}

const INSTANCES: usize = 100_000;

/// What a tick costs by how many instances have changed since the one before.
#[divan::bench(sample_count = 10, args = [0, 1_000, 10_000, INSTANCES])]
fn tick_of_100_000_instances(bencher: Bencher, changed: usize) {
    let (catalog, plan, mut evaluator, cells) = many(INSTANCES);
    let mut worker = Worker::new(&catalog, plan);
    let cells = RefCell::new(cells);
    let mut at = Timestamp::from_millisecond(START_MS).unwrap();
    evaluator.snapshot(&cells.borrow(), at, Horizon::Known);
    bencher
        .counter(ItemsCount::new(INSTANCES))
        .with_inputs(|| {
            // What changed before was committed: else all of it would be looked at again.
            cells.borrow_mut().let_go_changed();
            bring(&catalog, &mut worker, changed, "");
            cells.borrow_mut().merge(worker.take()).unwrap();
        })
        .bench_local_values(|()| {
            at += jiff::SignedDuration::from_secs(1);
            evaluator.snapshot(&cells.borrow(), at, Horizon::Known)
        });
}

/// What a tick costs in which some come that were not there, among 100,000.
#[divan::bench(sample_count = 10, args = [1, 100, 1_000, 10_000])]
fn tick_in_which_instances_come(bencher: Bencher, coming: usize) {
    let (catalog, plan, mut evaluator, cells) = many(INSTANCES);
    let mut worker = Worker::new(&catalog, plan);
    let cells = RefCell::new(cells);
    let mut at = Timestamp::from_millisecond(START_MS).unwrap();
    evaluator.snapshot(&cells.borrow(), at, Horizon::Known);
    let mut round = 0;
    bencher
        .counter(ItemsCount::new(coming))
        .with_inputs(|| {
            round += 1;
            cells.borrow_mut().let_go_changed();
            bring(&catalog, &mut worker, coming, &format!("-{round}"));
            cells.borrow_mut().merge(worker.take()).unwrap();
        })
        .bench_local_values(|()| {
            at += jiff::SignedDuration::from_secs(1);
            evaluator.snapshot(&cells.borrow(), at, Horizon::Known)
        });
}

#[divan::bench(sample_count = 10)]
fn judge_100_000_instances(bencher: Bencher) {
    let (catalog, _, mut evaluator, cells) = many(INSTANCES);
    let snapshot = evaluator.snapshot(
        &cells,
        Timestamp::from_millisecond(START_MS).unwrap(),
        Horizon::Known,
    );
    let scene = judge::Scene::of(&catalog, &snapshot);
    // As on an ordinary day: nothing fires.
    let none = judge::Known::At(Default::default());
    bencher
        .counter(ItemsCount::new(INSTANCES))
        .bench_local(|| scene.samples(&none).len());
}

#[divan::bench(sample_count = 10)]
fn metrics_of_100_000_instances(bencher: Bencher) {
    let (catalog, _, mut evaluator, cells) = many(INSTANCES);
    let snapshot = evaluator.snapshot(
        &cells,
        Timestamp::from_millisecond(START_MS).unwrap(),
        Horizon::Known,
    );
    let view = View {
        entries: Default::default(),
        book: Default::default(),
        version: 1,
        catalog,
        snapshot: Arc::new(snapshot),
        rule_errors: Default::default(),
        alerts: Arc::from([]),
        language: Language::En,
        ready: ReadyState::default(),
        newest_rejected: Arc::from([]),
        silences: Arc::from([]),
        routing: Arc::default(),
        receivers: Arc::from([]),
        external_url: None,
        stats: Stats::default(),
    };
    bencher
        .counter(ItemsCount::new(INSTANCES))
        .bench_local(|| metrics::text(&view).unwrap());
}
