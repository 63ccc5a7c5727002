//! How long the daemon takes from its start until it is ready, with many series in its state.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::parts::broker::Broker;
use crate::parts::daemon::{Daemon, Site};
use crate::parts::http;
use crate::parts::produce::Producer;
use crate::{PARTITIONS, TOPIC};

const READY_WITHIN: Duration = Duration::from_secs(600);
/// Starts after an orderly end, and as many after a kill.
const STARTS: usize = 3;

/// Brings one order of each of `series` people into the state, then starts the daemon again and again, and prints how long
/// it took until `/-/ready` said yes.
pub(crate) fn measure(series: u64) {
    let broker = Broker::start();
    broker.create_topic(TOPIC, PARTITIONS);
    let at = Timestamp::now();
    let mut producer = Producer::new(&broker, TOPIC);
    for person in 0..series {
        let order = format!(r#"{{"time": "{at}", "amount": 25.5, "person": "p{person:07}"}}"#);
        producer.send((person % PARTITIONS.unsigned_abs() as u64) as i32, order);
    }
    producer.flush();
    let site = Site::new(&broker).declares(&format!(
        "calendar: {{timezone: UTC}}\n\
         sources:\n  orders: {{topics: [{TOPIC}], format: json, time: time, fields: {{amount: amount, person: person}}}}\n\
         metrics:\n  revenue: {{source: orders, agg: sum, expr: amount, unit: CNY, dimensions: [person], max_cells: {room}}}\n\
         nodes:\n  by-person: {{metric: revenue, role: business, each: [person], period: month, owner: sales}}\n",
        room = 2 * series,
    ));
    let started = Instant::now();
    let mut daemon = site.spawn();
    ready(&daemon);
    eprintln!(
        "{series} events read from an empty state in {:.1?}",
        started.elapsed()
    );
    let mut took = [Vec::new(), Vec::new()];
    for start in 0..2 * STARTS {
        let kill = start % 2 == 1;
        if kill {
            daemon.kill();
        } else {
            daemon.stop();
        }
        let started = Instant::now();
        daemon = site.spawn();
        ready(&daemon);
        took[usize::from(kill)].push(started.elapsed());
    }
    let memory = memory_kib(daemon.pid()) / 1024;
    daemon.stop();
    let state = rusqlite::Connection::open(site.settings().with_file_name("tautline.db")).unwrap();
    let kept: i64 = state
        .query_row("SELECT count(*) FROM cells", [], |row| row.get(0))
        .unwrap();
    assert_eq!(kept.unsigned_abs(), series, "a series each");
    for (took, end) in took.iter_mut().zip(["SIGTERM", "SIGKILL"]) {
        took.sort_unstable();
        println!(
            "{series} series, start to ready after {end}: min {:.1?}, median {:.1?}, max {:.1?}",
            took[0],
            took[STARTS / 2],
            took[STARTS - 1]
        );
    }
    println!("{memory} MiB in memory, as the kernel counts it");
}

fn ready(daemon: &Daemon) {
    let started = Instant::now();
    let is_ready = || http::get(daemon.port(), "/-/ready").is_ok_and(|answer| answer.status == 200);
    while !is_ready() {
        assert!(
            started.elapsed() < READY_WITHIN,
            "not ready within {READY_WITHIN:?}:\n{}",
            daemon.log()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The memory that a process has right now.
fn memory_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
    number.and_then(|number| number.trim().parse().ok()).unwrap()
}
