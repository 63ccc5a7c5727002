//! Peers: the same topic, in one run, read by librdkafka alone and by `tautline run` with the example catalogue.
//!
//! What is compared is events per CPU-second of the reading process: on a machine that is shared with the broker,
//! events a second say more about the machine. Figures are noisy from run to run; the ratio within one run is not.
//!
//! `benches/peers/run [EVENTS] [ROUNDS]`
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a bench that cannot go on fails"
)]

#[allow(dead_code, reason = "the parts serve the end-to-end tests first")]
#[path = "../../tests/e2e/parts/mod.rs"]
mod parts;

use std::process::Command;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use parts::broker::Broker;
use parts::daemon::Site;
use parts::produce::Producer;
use parts::wait;

/// The topics of the example catalogue; the orders are filled.
const TOPICS: [&str; 3] = [TOPIC, "crm.visits", "cms.articles"];
const TOPIC: &str = "erp.orders";
const SOURCE: &str = "orders";
const PARTITIONS: i32 = 4;
/// Size of an event in bytes.
const EVENT_BYTES: usize = 540;
const DEFAULT_EVENTS: u64 = 2_000_000;
const DEFAULT_ROUNDS: usize = 3;
const ROUND_WITHIN: Duration = Duration::from_secs(600);

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
    if args.first().is_some_and(|arg| arg == "consume") {
        return consume(&args[1], number(2).unwrap());
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

    let mut peers = [
        ("librdkafka, consume only", Vec::new()),
        ("tautline run", Vec::new()),
    ];
    for round in 1..=rounds {
        peers[0].1.push(librdkafka(&broker, events));
        peers[1].1.push(tautline(&broker, events));
        for (name, measured) in &peers {
            eprintln!("round {round}: {name}: {:?}", measured.last().unwrap());
        }
    }
    print_table(&peers, events);
}

/// Writes orders as the example catalogue expects them, spread over the last weeks.
fn fill(broker: &Broker, events: u64) {
    const REGIONS: [&str; 4] = ["华东", "华南", "华北", "西南"];
    let mut rng = StdRng::seed_from_u64(540);
    let mut producer = Producer::new(broker, TOPIC);
    let first = Timestamp::now() - SignedDuration::from_hours(24 * 21);
    let step = SignedDuration::from_secs(21 * 86_400 - 60).as_millis() as f64 / events as f64;
    let mut event = String::with_capacity(EVENT_BYTES);
    for n in 0..events {
        let at = first + SignedDuration::from_millis((n as f64 * step) as i64);
        let kind = if rng.random_bool(0.96) {
            "order.paid"
        } else {
            "order.cancelled"
        };
        let (cents, customer) = (rng.random_range(100..100_000u32), rng.random_range(0..100_000u32));
        let region = REGIONS[rng.random_range(0..REGIONS.len())];
        let (store, rep) = (rng.random_range(1..=20u32), rng.random_range(1..=50u32));
        event.clear();
        event.push_str(&format!(
            concat!(
                r#"{{"specversion":"1.0","id":"o{n:010}","source":"/erp/pos/{region}","type":"{kind}","time":"{at}","#,
                r#""datacontenttype":"application/json","subject":"order/{n:010}","data":{{"order_no":"{n:012}","#,
                r#""amount":{yuan}.{fen:02},"currency":"CNY","customer":{{"id":"c{customer:06}","level":"gold"}},"#,
                r#""region":"{region}","store":"{region}-{store:02}","rep":"rep{rep:03}","items":["#,
                r#"{{"sku":"A-{sku:05}","qty":2}}],"note":""#
            ),
            n = n, region = region, kind = kind, at = at, yuan = cents / 100, fen = cents % 100, customer = customer,
            store = store, rep = rep, sku = cents,
        ));
        let padding = EVENT_BYTES.saturating_sub(event.len() + "\"}}".len());
        event.extend(std::iter::repeat_n('.', padding));
        event.push_str("\"}}");
        assert_eq!(event.len(), EVENT_BYTES, "{event}");
        producer.send((n % PARTITIONS as u64) as i32, &event);
    }
    producer.flush();
}

/// librdkafka alone, in a process of its own: this binary again.
fn librdkafka(broker: &Broker, events: u64) -> Measured {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["consume", &broker.bootstrap(), &events.to_string()])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let (seconds, cpu_seconds) = text.trim().split_once(' ').unwrap();
    Measured {
        seconds: seconds.parse().unwrap(),
        cpu_seconds: cpu_seconds.parse().unwrap(),
    }
}

/// Reads the whole topic and prints seconds and CPU-seconds.
fn consume(brokers: &str, events: u64) {
    let started = Instant::now();
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "peer")
        .set("enable.auto.commit", "false")
        // As tautline sets them: the comparison is of the reading, not of the settings.
        .set("fetch.queue.backoff.ms", "5")
        .set("queued.min.messages", "100000")
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset(TOPIC, partition, Offset::Beginning)
            .unwrap();
    }
    consumer.assign(&list).unwrap();
    let mut read = 0;
    while read < events {
        assert!(
            started.elapsed() < ROUND_WITHIN,
            "{read} of {events} events within {ROUND_WITHIN:?}"
        );
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            message.unwrap();
            read += 1;
        }
    }
    println!("{} {}", started.elapsed().as_secs_f64(), cpu_seconds("self"));
}

/// The daemon with an empty state, until it has counted every event.
fn tautline(broker: &Broker, events: u64) -> Measured {
    let site = Site::new(broker);
    site.write_example_catalog();
    let started = Instant::now();
    let daemon = site.spawn();
    let pid = daemon.pid().to_string();
    let measured = wait::until_ok("every event is folded", ROUND_WITHIN, || {
        let cpu_seconds = cpu_seconds(&pid);
        let seconds = started.elapsed().as_secs_f64();
        let folded = daemon
            .try_metrics()?
            .sum("tautline_events_total", &[("source", SOURCE)]);
        if folded >= events as f64 {
            Ok(Measured { seconds, cpu_seconds })
        } else {
            Err(format!("{folded}"))
        }
    });
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
    println!("| program | events/s | events per CPU-second | ratio |");
    println!("|---|---|---|---|");
    for (name, measured) in peers {
        let rate = median(measured.iter().map(|m| events / m.seconds));
        let per_cpu = per_cpu_second(measured);
        println!(
            "| {name} | {} | {} | {:.2} |",
            thousands(rate),
            thousands(per_cpu),
            per_cpu / reference
        );
    }
    println!(
        "median of {} rounds; ratio of events per CPU-second within this run",
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
