//! Peers: the same topic, in one run, read by librdkafka alone, by programs of one thread that keep one sum by two
//! dimensions in memory and nothing else, by `tautline run` with 12 metrics over 4 grouping sets and with the example
//! catalogue, and by Kafka Streams with that one sum, exactly once.
//!
//! What is compared is events per CPU-second of the reading process: on a machine that is shared with the broker,
//! events a second say more about the machine. Figures are noisy from run to run; the ratio within one run is not.
//!
//! `benches/peers/run [EVENTS] [ROUNDS]`, and for the time from append to /metrics
//! `benches/peers/run latency [EVENTS_A_SECOND] [SECONDS]`, and for a start from a large state
//! `benches/peers/run restart [SERIES]`
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a bench that cannot go on fails"
)]

mod latency;
mod one_thread;
mod orders;
#[allow(dead_code, reason = "the parts serve the end-to-end tests first")]
#[path = "../../tests/e2e/parts/mod.rs"]
mod parts;
mod restart;

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use one_thread::Reads;
use orders::{EVENT_BYTES, Orders};
use parts::broker::Broker;
use parts::daemon::Site;
use parts::produce::Producer;

/// 12 metrics over 4 grouping sets: total, region × channel, store, rep.
const TWELVE_METRICS: &str = include_str!("../micro/catalog.yaml");
/// The topics of the example catalogue; the orders are filled.
const TOPICS: [&str; 3] = [TOPIC, "crm.visits", "cms.articles"];
const TOPIC: &str = "erp.orders";
const STREAMS: &str = "Kafka Streams, exactly_once_v2, one sum by two dimensions";
const SOURCE: &str = "orders";
const PARTITIONS: i32 = 4;
const DEFAULT_EVENTS: u64 = 2_000_000;
const DEFAULT_ROUNDS: usize = 3;
/// Events a second for the latency, and for how long.
const DEFAULT_RATE: u64 = 200_000;
const DEFAULT_SECONDS: u64 = 20;
/// Series in the state that is started from.
const DEFAULT_SERIES: u64 = 1_000_000;
const ROUND_WITHIN: Duration = Duration::from_secs(900);
/// How often the daemon is asked how far it is: often enough to say when it is done, and seldom enough to cost it nothing.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What one reader needed for the whole topic.
#[derive(Clone, Copy, Debug)]
struct Measured {
    seconds: f64,
    cpu_seconds: f64,
}

fn main() {
    // Cargo adds --bench.
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let number = |at: usize| args.get(at).map(|text| text.parse().expect("a number"));
    if let Some(reads) = args.first().and_then(|arg| one_thread::Reads::of(arg)) {
        return one_thread::read(reads, &args[1], number(2).unwrap());
    }
    if args.first().is_some_and(|arg| arg == "latency") {
        return latency::measure(
            number(1).unwrap_or(DEFAULT_RATE),
            number(2).unwrap_or(DEFAULT_SECONDS),
        );
    }
    if args.first().is_some_and(|arg| arg == "restart") {
        return restart::measure(number(1).unwrap_or(DEFAULT_SERIES));
    }
    let events = number(0).unwrap_or(DEFAULT_EVENTS);
    let rounds = number(1).map_or(DEFAULT_ROUNDS, |rounds| rounds as usize);

    let broker = Broker::start();
    for topic in TOPICS {
        broker.create_topic(topic, PARTITIONS);
    }
    let started = Instant::now();
    fill(&broker, events);
    eprintln!(
        "{events} events of {EVENT_BYTES} bytes in {PARTITIONS} partitions, lz4: written in {:.1?}",
        started.elapsed()
    );

    type Peer = (&'static str, fn(&Broker, u64) -> Measured);
    let programs: [Peer; 6] = [
        ("librdkafka, consume only", |broker, events| {
            one_thread::measure(Reads::Nothing, broker, events)
        }),
        (
            "one thread, sonic-rs, one sum by two dimensions",
            |broker, events| one_thread::measure(Reads::Fields, broker, events),
        ),
        (
            "one thread, serde_json::Value, one sum by two dimensions",
            |broker, events| one_thread::measure(Reads::Value, broker, events),
        ),
        (
            "tautline run, 12 metrics over 4 grouping sets",
            |broker, events| {
                let site = Site::new(broker);
                site.write_catalog(TWELVE_METRICS);
                tautline(&site, events)
            },
        ),
        ("tautline run, example catalogue", |broker, events| {
            let site = Site::new(broker);
            site.write_example_catalog();
            tautline(&site, events)
        }),
        (STREAMS, streams),
    ];
    // The slowest peer can be left out while one works on the others.
    let without_streams = std::env::var_os("WITHOUT_STREAMS").is_some();
    let programs: Vec<Peer> = programs
        .into_iter()
        .filter(|(name, _)| *name != STREAMS || !without_streams)
        .collect();
    let mut peers: Vec<(&str, Vec<Measured>)> =
        programs.iter().map(|(name, _)| (*name, Vec::new())).collect();
    for round in 1..=rounds {
        for ((name, measure), (_, all)) in programs.iter().zip(&mut peers) {
            let measured = measure(&broker, events);
            eprintln!("round {round}: {name}: {measured:?}");
            all.push(measured);
        }
    }
    print_table(&peers, events);
}

/// Writes orders as the example catalogue expects them, spread over the last weeks.
fn fill(broker: &Broker, events: u64) {
    let mut producer = Producer::new(broker, TOPIC);
    let first = Timestamp::now() - SignedDuration::from_hours(24 * 21);
    let step = SignedDuration::from_secs(21 * 86_400 - 60).as_millis() as f64 / events as f64;
    let mut orders = Orders::new();
    for n in 0..events {
        let at = first + SignedDuration::from_millis((n as f64 * step) as i64);
        producer.send((n % PARTITIONS as u64) as i32, orders.next(at));
    }
    producer.flush();
}

/// What a peer printed: seconds and CPU-seconds.
fn measured(output: &Output) -> Measured {
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    // A peer's logger may write there too.
    let line = text.lines().find_map(|line| line.strip_prefix("measured "));
    let (seconds, cpu_seconds) = line.unwrap_or_else(|| panic!("{text}")).split_once(' ').unwrap();
    Measured {
        seconds: seconds.parse().unwrap(),
        cpu_seconds: cpu_seconds.parse().unwrap(),
    }
}

/// Kafka Streams with an empty state, until every event is in its sums; the start of the virtual machine is in it.
fn streams(broker: &Broker, events: u64) -> Measured {
    let state = parts::scratch("streams");
    let target = parts::root().join("target/streams");
    let classpath = format!("{0}/classes:{0}/libs/*", target.display());
    let output = Command::new("java")
        .args(["-Xmx1g", "-Dorg.apache.logging.log4j.level=WARN"])
        .args(["-cp", &classpath, "Peer", &broker.bootstrap(), TOPIC])
        .arg(events.to_string())
        .arg(state.path())
        .output()
        .unwrap();
    measured(&output)
}

/// The daemon with an empty state, until it has counted and committed every event.
fn tautline(site: &Site, events: u64) -> Measured {
    let started = Instant::now();
    let daemon = site.spawn();
    let pid = daemon.pid().to_string();
    let measured = loop {
        std::thread::sleep(LOOK_EVERY);
        let measured = Measured {
            seconds: started.elapsed().as_secs_f64(),
            cpu_seconds: cpu_seconds(&pid),
        };
        let folded = daemon.try_metrics().map_or(0.0, |metrics| {
            metrics.sum("tautline_events_total", &[("source", SOURCE)])
        });
        if folded >= events as f64 {
            break measured;
        }
        assert!(
            started.elapsed() < ROUND_WITHIN,
            "{folded} of {events} events within {ROUND_WITHIN:?}"
        );
    };
    let metrics = daemon.metrics();
    let fine: f64 = ["folded", "filtered"]
        .iter()
        .map(|outcome| {
            metrics.sum(
                "tautline_events_total",
                &[("source", SOURCE), ("outcome", outcome)],
            )
        })
        .sum();
    assert_eq!(
        fine,
        events as f64,
        "some events were rejected: {:?}",
        metrics.by("tautline_events_total", "outcome")
    );
    daemon.stop();
    measured
}

/// User and system time of a process so far.
fn cpu_seconds(pid: &str) -> f64 {
    /// What the kernel counts CPU time in, for programs.
    const TICKS_A_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The second field is the program's name in parentheses and may hold blanks; utime and stime are 14 and 15.
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = after_name.split_whitespace().skip(11).take(2);
    ticks.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / TICKS_A_SECOND
}

fn print_table(peers: &[(&str, Vec<Measured>)], events: u64) {
    let events = events as f64;
    let per_cpu_second = |measured: &[Measured]| median(measured.iter().map(|m| events / m.cpu_seconds));
    let reference = per_cpu_second(&peers[0].1);
    let streams = peers.iter().find(|(name, _)| *name == STREAMS);
    let streams = streams.map(|(_, measured)| per_cpu_second(measured));
    println!("| program | events/s | events per CPU-second | to librdkafka | to Kafka Streams |");
    println!("|---|---|---|---|---|");
    for (name, measured) in peers {
        let rate = median(measured.iter().map(|m| events / m.seconds));
        let per_cpu = per_cpu_second(measured);
        println!(
            "| {name} | {} | {} | {:.2} | {} |",
            thousands(rate),
            thousands(per_cpu),
            per_cpu / reference,
            streams.map_or("".to_owned(), |streams| format!("{:.1}", per_cpu / streams)),
        );
    }
    println!(
        "median of {} rounds; ratios of events per CPU-second within this run",
        peers[0].1.len()
    );
}

fn median(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = numbers.collect();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|g| std::str::from_utf8(g).unwrap())
        .collect();
    groups.join(",")
}
