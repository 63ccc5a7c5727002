//! Memory a series, and the restart: `cargo bench --bench memory -- [SERIES]` (default 1,000,000).
//!
//! Every series is a person with one day of one metric, evaluated as a node instance: cells, state file and snapshot
//! are what the daemon holds.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench that cannot go on fails, and prints"
)]

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use tautline::catalog::SourceId;
use tautline::catalog::load::{Files, load};
use tautline::decode::{Reader, Record, Sign};
use tautline::evaluate::{Evaluator, Horizon};
use tautline::fold::cells::Cells;
use tautline::fold::plan::Plan;
use tautline::fold::worker::Worker;
use tautline::state::{Commit, Store};

const CATALOG: &str = "
sources:
  orders: {topics: [t], format: json, time: time, fields: {amount: amount, person: person}}
metrics:
  revenue: {source: orders, agg: sum, expr: amount}
nodes:
  revenue: {metric: revenue, role: business, period: month, target: 1000, each: [person]}
";

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let series: usize = args.first().map_or(1_000_000, |text| text.parse().unwrap());
    let catalog = Arc::new(
        load(&Files::new("", [("a.yaml", CATALOG)]))
            .map_err(|p| p.to_string())
            .unwrap(),
    );
    let plan = Arc::new(Plan::compile(&catalog));
    let before = resident_bytes();
    let mut cells = Cells::new(plan.clone());
    let mut worker = Worker::new(&catalog, plan.clone());
    let mut reader = Reader::new(&catalog.sources[0]);
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("state.db")).unwrap();
    for n in 0..series {
        let payload = format!(r#"{{"time": 1780277400, "amount": {n}, "person": "person-{n:07}"}}"#);
        let record = Record {
            payload: Some(payload.as_bytes()),
            ..Record::default()
        };
        worker
            .fold(
                SourceId(0),
                &reader.read_one(&record).unwrap(),
                n as i64,
                Sign::Add,
            )
            .unwrap();
        if n % 10_000 == 9_999 || n + 1 == series {
            cells.merge(worker.take()).unwrap();
            store
                .commit(&Commit {
                    cells: &cells.take_changed(),
                    ..Commit::default()
                })
                .unwrap();
        }
    }
    let folded = resident_bytes();
    let mut evaluator = Evaluator::new(catalog.clone(), plan);
    let at = Timestamp::from_second(1_780_280_000).unwrap();
    let snapshot = evaluator.snapshot(&cells, at, Horizon::Known);
    assert_eq!(snapshot.instances.len(), series);
    let evaluated = resident_bytes();
    let a_series = |from: u64, to: u64| to.saturating_sub(from) as f64 / series as f64;
    println!(
        "{series} series: {:.0} bytes each folded, {:.0} more evaluated",
        a_series(before, folded),
        a_series(folded, evaluated)
    );
    drop((store, cells, worker, evaluator, snapshot));

    let (started, cpu_before) = (Instant::now(), cpu_seconds());
    let store = Store::open(&folder.path().join("state.db")).unwrap();
    let restored = store.restore().unwrap();
    let plan = Arc::new(Plan::compile(&catalog));
    let mut cells = Cells::new(plan.clone());
    cells.restore(restored.cells);
    let snapshot = Evaluator::new(catalog, plan).snapshot(&cells, at, Horizon::Known);
    assert_eq!(snapshot.instances.len(), series);
    println!(
        "restored and evaluated in {:.1?}, {:.1} CPU-seconds",
        started.elapsed(),
        cpu_seconds() - cpu_before
    );
}

/// User and system time of this process so far: what a busy machine does not change.
fn cpu_seconds() -> f64 {
    const TICKS_A_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    // The second field is the program's name in parentheses; utime and stime are 14 and 15.
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = after_name.split_whitespace().skip(11).take(2);
    ticks.map(|ticks| ticks.parse::<f64>().unwrap()).sum::<f64>() / TICKS_A_SECOND
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}
