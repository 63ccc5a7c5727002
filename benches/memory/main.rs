//! Memory a series, and the restart: `cargo bench --bench memory -- [SERIES]` (default 1,000,000). Memory a judged link, and
//! what a close of the day takes on one core: `cargo bench --bench memory -- links [LINKS] [DAYS]` (default 20,000 and 100).
//!
//! Every series is a person with one day of one metric, evaluated as a node instance: cells, state file and snapshot
//! are what the daemon holds. Every link is a store's visits and sales, judged day after day.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench that cannot go on fails, and prints"
)]

use std::sync::Arc;
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use tautline::alert::judge;
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

const LINKED: &str = "
sources:
  s: {topics: [t], format: json, time: t, fields: {k: k, store: store, v: v}}
metrics:
  visits: {source: s, agg: sum, expr: v, filter: k == \"visits\", dimensions: [store]}
  sales: {source: s, agg: sum, expr: v, filter: k == \"sales\", dimensions: [store]}
nodes:
  sales: {metric: sales, role: business, each: [store], period: month, target: 150000}
  visits: {metric: visits, role: kpi, each: [store], parent: sales, relation: influence, period: month, target: 3000}
";

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let number = |at: usize, default: usize| args.get(at).map_or(default, |text| text.parse().unwrap());
    if args.first().is_some_and(|arg| arg == "links") {
        links(number(1, 20_000), number(2, 100));
    } else {
        series(number(0, 1_000_000));
    }
}

fn links(links: usize, days: usize) {
    let files = Files::new("", [("a.yaml", LINKED)]);
    let catalog = Arc::new(load(&files).map_err(|p| p.to_string()).unwrap());
    let plan = Arc::new(Plan::bounded(&catalog, 256));
    let mut cells = Cells::new(plan.clone());
    let mut worker = Worker::new(&catalog, plan.clone());
    let mut reader = Reader::new(&catalog.sources[0]);
    let mut evaluator = Evaluator::new(catalog.clone(), plan);
    // 2026-01-01.
    let first: i64 = 1_767_225_600;
    let (mut grown, mut closes, mut snapshot) = (0, Vec::new(), None);
    let none = judge::Known::At(Default::default());
    for day in 0..days {
        for n in 0..links {
            let wave = 1.0 + 0.1 * (day as f64 / (3.0 + n as f64 % 7.0)).sin();
            for (key, size) in [("visits", 100.0), ("sales", 5000.0)] {
                let at = first + 86_400 * day as i64 + 43_200;
                let payload = format!(
                    r#"{{"t": {at}, "k": "{key}", "store": "s{n:06}", "v": {:.2}}}"#,
                    size * wave
                );
                let record = Record {
                    payload: Some(payload.as_bytes()),
                    ..Record::default()
                };
                let event = reader.read_one(&record).unwrap();
                worker.fold(SourceId(0), &event, at, Sign::Add).unwrap();
            }
        }
        cells.merge(worker.take()).unwrap();
        cells.take_changed();
        let at = Timestamp::from_second(first + 86_400 * (day as i64 + 1) - 1).unwrap();
        drop(snapshot.take());
        let mut clock = Clock::new();
        let mut next = evaluator.snapshot(&cells, at, Horizon::Day);
        let of_snapshot = clock.lap();
        let before = resident_bytes();
        clock.lap();
        evaluator.close_day(&mut next);
        let of_links = clock.lap();
        grown += resident_bytes().saturating_sub(before);
        clock.lap();
        // As on an ordinary day: nothing fires.
        let breaches = judge::Scene::of(&catalog, &next).samples(&none).len();
        let of_rules = clock.lap();
        // A day later everything is looked at once more.
        drop(evaluator.snapshot(&cells, at + SignedDuration::from_secs(1), Horizon::Known));
        closes.push([of_snapshot, of_links, of_rules, clock.lap()]);
        evaluator.take_learned();
        snapshot = Some(next);
        if day + 1 == days {
            println!("{breaches} breaches on the last day");
        }
    }
    // What a close costs depends on the history: that of the last days.
    let last = &closes[closes.len().saturating_sub(LAST)..];
    println!(
        "{links} links over {days} days: {:.0} bytes each; CPU-seconds of a close of the day, least, median and most of the last {}:",
        grown as f64 / links as f64,
        last.len()
    );
    let row = |name: &str, of: &dyn Fn(&[f64; 4]) -> f64| {
        let mut seconds: Vec<f64> = last.iter().map(of).collect();
        seconds.sort_by(f64::total_cmp);
        let (least, most) = (seconds[0], seconds[seconds.len() - 1]);
        println!(
            "{name:<28} {least:.2}  {:.2}  {most:.2}",
            seconds[seconds.len() / 2]
        );
    };
    row("values and forecasts", &|close| close[0]);
    row("links", &|close| close[1]);
    row("rules", &|close| close[2]);
    row("together", &|close| close[..3].iter().sum());
    row("first tick of the next day", &|close| close[3]);
}

/// Days of which a close is told.
const LAST: usize = 10;

/// User and system time since the last look at it.
struct Clock(f64);

impl Clock {
    fn new() -> Clock {
        Clock(cpu_seconds())
    }

    fn lap(&mut self) -> f64 {
        let now = cpu_seconds();
        now - std::mem::replace(&mut self.0, now)
    }
}

fn series(series: usize) {
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
