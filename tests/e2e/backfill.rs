//! Backfill: a definition that comes late counts as if it had always been there, whatever happens meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::{Offset, TopicPartitionList};
use serde_json::Value;

use crate::parts::broker::Broker;
use crate::parts::daemon::{Daemon, Site, zone_at_noon};
use crate::parts::events::Order;
use crate::parts::produce::Producer;
use crate::parts::{runtime, unique, wait};

const WITHIN: Duration = Duration::from_secs(300);
const PARTITIONS: i32 = 4;
const HISTORY: u64 = 80_000;
const DAY_MS: i64 = 86_400_000;
const REGIONS: [&str; 4] = ["east", "south", "north", "west"];
const KINDS: [&str; 4] = ["order.paid", "order.paid", "order.refunded", "order.shipped"];

/// Lets the orders end, also when the test fails.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Writes orders, some of them twice, and knows what they come to.
struct Generator {
    producer: Producer,
    rng: StdRng,
    orders: u64,
    cents: u64,
}

impl Generator {
    fn new(broker: &Broker, topic: &str, seed: u64) -> Generator {
        Generator {
            producer: Producer::new(broker, topic),
            rng: StdRng::seed_from_u64(seed),
            orders: 0,
            cents: 0,
        }
    }

    /// One order of this time; the sum of what is paid or refunded goes up.
    fn send(&mut self, at: Timestamp) {
        let rng = &mut self.rng;
        let (cents, customer) = (rng.random_range(1..100_000u64), rng.random_range(0..30_000));
        let kind = KINDS[rng.random_range(0..KINDS.len())];
        let (id, customer) = (format!("o{}", self.orders), format!("c{customer}"));
        let amount = format!("{}.{:02}", cents / 100, cents % 100);
        let order = Order {
            id: &id,
            at,
            kind,
            amount: &amount,
            customer: &customer,
            region: REGIONS[rng.random_range(0..REGIONS.len())],
        };
        let partition = rng.random_range(0..PARTITIONS);
        let copies = 1 + u64::from(rng.random_bool(0.02));
        for _ in 0..copies {
            self.producer
                .send_at(partition, at.as_millisecond(), order.structured());
        }
        self.orders += 1;
        if kind != "order.shipped" {
            self.cents += cents;
        }
    }
}

fn days_ago(days: f64) -> Timestamp {
    Timestamp::now() - SignedDuration::from_millis((days * DAY_MS as f64) as i64)
}

fn before(topic: &str) -> String {
    let from = days_ago(300.0).to_string();
    format!(
        r#"
calendar: {{timezone: {zone}}}
sources:
  orders:
    topics: [{topic}]
    format: cloudevents
    time: time
    id: id
    dedup: 2d
    lateness: 10m
    fields: {{type: type, amount: data.amount, customer: data.customer, region: data.region}}
metrics:
  paid: {{source: orders, agg: count, filter: type == "order.paid"}}
  revenue: {{source: orders, agg: sum, expr: amount, filter: type == "order.paid", unit: CNY, dimensions: [region]}}
nodes:
  paid: {{metric: paid, role: business, period: {{every: 500d, from: {from}}}}}
  revenue: {{metric: revenue, role: business, period: {{every: 500d, from: {from}}}, target: 1000000}}
"#,
        zone = zone_at_noon(),
        from = &from[..10],
    )
}

/// The revenue is another one, and metrics of every kind are new.
fn after(topic: &str) -> String {
    let from = days_ago(300.0).to_string();
    let from = &from[..10];
    let new = [
        ("all", "{source: orders, agg: count, backfill: P90D}"),
        (
            "buyers",
            "{source: orders, agg: count_distinct, expr: customer, filter: type == \"order.paid\", backfill: P90D}",
        ),
        (
            "new",
            "{source: orders, agg: count_new, expr: customer, dimensions: [region], backfill: P90D}",
        ),
        (
            "lost",
            "{source: orders, agg: count_new, expr: customer, within: 3d, filter: type == \"order.refunded\", backfill: 90d}",
        ),
        (
            "largest",
            "{source: orders, agg: max, expr: amount, backfill: 90d}",
        ),
        (
            "latest",
            "{source: orders, agg: last, expr: amount, backfill: 90d}",
        ),
        ("p90", "{source: orders, agg: p90, expr: amount, backfill: 90d}"),
        (
            "average",
            "{type: ratio, numerator: revenue, denominator: paid, backfill: 90d}",
        ),
        (
            "wait",
            "{source: orders, type: duration, key: customer, start: type == \"order.paid\", end: type == \"order.shipped\", agg: avg, unit: hours, backfill: 90d}",
        ),
        (
            "funnel",
            "{type: conversion, entity: customer, base_metric: paid, conversion_metric: shipped, window: 1d, backfill: 90d}",
        ),
    ];
    let mut metrics =
        String::from("  shipped: {source: orders, agg: count, filter: type == \"order.shipped\"}\n");
    let mut nodes = String::new();
    for (name, metric) in new {
        metrics.push_str(&format!("  {name}: {metric}\n"));
        let each = if name == "new" { ", each: [region]" } else { "" };
        // A key may be new more than once in a longer period.
        let period = match name {
            "lost" => "day".to_owned(),
            _ => format!("{{every: 500d, from: {from}}}"),
        };
        nodes.push_str(&format!(
            "  {name}: {{metric: {name}, role: business, period: {period}{each}}}\n"
        ));
    }
    nodes.push_str(&format!(
        "  regions: {{metric: revenue, role: business, parent: revenue, relation: sum, each: [region], period: {{every: 500d, from: {from}}}}}\n"
    ));
    let before = before(topic).replace(
        r#"expr: amount, filter: type == "order.paid""#,
        r#"expr: amount, filter: type == "order.paid" || type == "order.refunded", backfill: P90D"#,
    );
    before.replace("nodes:\n", &format!("{metrics}nodes:\n")) + &nodes
}

#[test]
fn killed_while_it_reads_the_past_again_it_counts_as_if_the_definition_had_always_been_there() {
    let seed =
        std::env::var("TAUTLINE_SEED").map_or_else(|_| rand::rng().random(), |seed| seed.parse().unwrap());
    eprintln!("TAUTLINE_SEED={seed}");
    let broker = Broker::shared();
    let topic = unique("backfill");
    broker.create_topic(&topic, PARTITIONS);
    let mut generator = Generator::new(broker, &topic, seed);
    for i in 0..HISTORY {
        generator.send(days_ago(80.0 * (1.0 - i as f64 / HISTORY as f64)));
    }
    generator.producer.flush();

    let site = Site::new(broker).declares(&before(&topic));
    let daemon = site.start();
    daemon.wait_until_ready();
    let ended = AtomicBool::new(false);
    let (daemon, generator) = std::thread::scope(|scope| {
        // Orders go on coming in, all the time.
        let live = scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                (0..20).for_each(|_| generator.send(Timestamp::now()));
                generator.producer.poll(Duration::from_millis(10));
            }
            generator.producer.flush();
            generator
        });
        let end = End(&ended);
        site.write_catalog(&after(&topic));
        let taken = daemon.post("/-/reload");
        assert_eq!(taken.status, 200, "{taken:?}");
        let mut daemon = daemon;
        let mut rng = StdRng::seed_from_u64(seed);
        for _ in 0..5 {
            wait::until_ok("records are read again", WITHIN, || {
                let metrics = daemon.try_metrics()?;
                let left = metrics.get("tautline_backfill_left_records", &[("metric", "revenue")]);
                match left {
                    Some(left) if left > 1000.0 => Ok(()),
                    left => Err(format!("{left:?} {}", daemon.log())),
                }
            });
            std::thread::sleep(Duration::from_millis(rng.random_range(0..400)));
            daemon.kill();
            daemon = site.start();
        }
        wait_for_backfills(&daemon);
        drop(end);
        (daemon, live.join().unwrap())
    });

    // A daemon that has never known anything else says the same of the same records.
    let model = Site::new(broker).declares(&after(&topic));
    let oracle = model.start();
    for daemon in [&daemon, &oracle] {
        daemon.wait_until_ready();
        daemon.wait_for_value("all", WITHIN, generator.orders as f64);
        daemon.wait_for_evaluations(3);
    }
    assert_same(&daemon, &oracle);
    let metrics = daemon.metrics();
    let revenue = metrics.get("tautline_kpi_value", &[("node", "revenue")]).unwrap();
    let expected = format!("{}.{:02}", generator.cents / 100, generator.cents % 100);
    assert_eq!(format!("{revenue:.2}"), expected);
    let node = daemon.get("/api/v1/nodes/revenue").json()["data"].clone();
    assert_eq!(node["backfill"]["state"], "done", "{node}");
    assert_eq!(node["instances"][0]["judged"], true, "{node}");
    let page = daemon.get("/nodes/revenue?lang=en").body;
    assert!(page.contains("All records were read again from Kafka"), "{page}");
    daemon.stop();

    // It is in the state, and goes on from there.
    let daemon = site.start();
    daemon.wait_until_ready();
    daemon.wait_for_evaluations(5);
    assert_same(&daemon, &oracle);
    daemon.stop();
    oracle.stop();
}

/// Little is fetched ahead: what is not read yet is still at the broker.
const SPARING: &str =
    "fetch.message.max.bytes: 65536, queued.min.messages: 1000, queued.max.messages.kbytes: 256";
/// Until a daemon has noticed that its broker is away.
const NOTICED_WITHIN: Duration = Duration::from_secs(30);

#[test]
fn a_broker_that_goes_away_while_the_past_is_read_again_costs_nothing() {
    let mut broker = Broker::start();
    let topic = "orders";
    broker.create_topic(topic, PARTITIONS);
    let mut generator = Generator::new(&broker, topic, 7);
    let send = |generator: &mut Generator, orders: u64, days: f64| {
        for i in 0..orders {
            generator.send(days_ago(days * (1.0 - i as f64 / orders as f64)));
        }
    };
    send(&mut generator, HISTORY, 80.0);
    generator.producer.flush();
    let site = Site::new(&broker).connects(SPARING).declares(&before(topic));
    let mut daemon = site.start();
    daemon.wait_until_ready();

    let left = |daemon: &Daemon| {
        let left = daemon
            .metrics()
            .get("tautline_backfill_left_records", &[("metric", "revenue")]);
        left.unwrap_or(0.0)
    };
    let wait_until_away = |daemon: &Daemon| {
        daemon.wait_for("the broker is away", NOTICED_WITHIN, |metrics| {
            match metrics.get("tautline_kafka_up", &[]) {
                Some(0.0) => Ok(()),
                up => Err(format!("{up:?}")),
            }
        });
    };
    site.write_catalog(&after(topic));
    assert_eq!(daemon.post("/-/reload").status, 200);
    wait::until_ok("the past is being read", WITHIN, || {
        let running = daemon.get("/api/v1/nodes/revenue").json()["data"]["backfill"].clone();
        let (read, left) = (running["recordsRead"].as_u64(), running["recordsLeft"].as_u64());
        match (read, left) {
            (Some(1..), Some(left)) if left > HISTORY / 4 => Ok(()),
            _ => Err(format!("{running} {}", daemon.log())),
        }
    });
    broker.stop("KILL");
    wait_until_away(&daemon);
    // What was fetched is read; then it stands in the middle, and the daemon is up. Orders wait at their producer meanwhile.
    send(&mut generator, 2000, 0.1);
    let in_the_middle = wait::until_ok("nothing is left of what was fetched", WITHIN, || {
        let before = left(&daemon);
        daemon.wait_for_evaluations(5);
        match left(&daemon) {
            after if after == before => Ok(after),
            after => Err(format!("{before}, then {after}")),
        }
    });
    assert!(in_the_middle > 1000.0, "{in_the_middle} {}", daemon.log());
    assert_eq!(daemon.get("/-/healthy").status, 200);

    // It goes on where it was, without beginning anew.
    broker.start_again();
    wait::until_ok("the reading goes on", WITHIN, || match left(&daemon) {
        left if left < in_the_middle => Ok(()),
        left => Err(format!("{left} of {in_the_middle} {}", daemon.log())),
    });
    generator.producer.flush();
    assert_eq!(
        daemon.log().matches("reading records of the past again").count(),
        1
    );

    // Away once more, and now a crash: the next daemon begins before its broker is there.
    broker.stop("TERM");
    daemon.kill();
    daemon = site.start();
    wait_until_away(&daemon);
    send(&mut generator, 2000, 0.01);
    broker.start_again();
    generator.producer.flush();
    wait_for_backfills(&daemon);

    let oracle = Site::new(&broker).declares(&after(topic));
    let oracle = oracle.start();
    for daemon in [&daemon, &oracle] {
        daemon.wait_until_ready();
        daemon.wait_for_value("all", WITHIN, generator.orders as f64);
        daemon.wait_for_evaluations(3);
    }
    assert_same(&daemon, &oracle);
    let revenue = daemon.metrics().get("tautline_kpi_value", &[("node", "revenue")]);
    let expected = format!("{}.{:02}", generator.cents / 100, generator.cents % 100);
    assert_eq!(format!("{:.2}", revenue.unwrap()), expected);
    daemon.stop();
    oracle.stop();
}

/// Waits until nothing is read again any more and everything was.
#[track_caller]
fn wait_for_backfills(daemon: &Daemon) {
    wait::until_ok("the past is counted", WITHIN, || {
        let node = daemon.get("/api/v1/nodes/revenue").json()["data"].clone();
        match node["backfill"]["state"].as_str() {
            Some("done") => Ok(()),
            _ => Err(format!("{node} {}", daemon.log())),
        }
    });
}

/// Both say the same of every node: value, days and items.
#[track_caller]
fn assert_same(one: &Daemon, other: &Daemon) {
    let nodes = |daemon: &Daemon| {
        let data = daemon.get("/api/v1/nodes").json()["data"]["nodes"].clone();
        let mut said = Vec::new();
        for node in data.as_array().unwrap() {
            for instance in node["instances"].as_array().unwrap() {
                let mut said_of = vec![node["name"].clone()];
                for key in [
                    "dimensions",
                    "value",
                    "completion",
                    "judged",
                    "countedSince",
                    "daily",
                ] {
                    said_of.push(instance[key].clone());
                }
                // Open items count with their age: the two are not asked in the same moment.
                if node["name"] == "wait" {
                    said_of[2] = Value::Null;
                    said_of.push(instance["openItems"]["count"].clone());
                }
                if node["name"] == "funnel" {
                    said_of[2] = Value::Null;
                }
                said.push(Value::from(said_of));
            }
        }
        said
    };
    // The newest records are younger than the lateness for a moment: one may count an item as open that the other does
    // not yet.
    wait::until_ok("both say the same", WITHIN / 4, || {
        let (one, other) = (nodes(one), nodes(other));
        assert!(one.len() >= 19, "{one:#?}");
        match one.iter().zip(&other).find(|(one, other)| one != other) {
            Some((one, other)) => Err(format!("{one} is not {other}")),
            None if one.len() != other.len() => Err(format!("{} nodes, not {}", one.len(), other.len())),
            None => Ok(()),
        }
    });
}

#[test]
fn it_goes_back_as_far_as_kafka_does_and_says_how_far_that_is() {
    let broker = Broker::shared();
    let topic = unique("retention");
    broker.create_topic(&topic, PARTITIONS);
    let mut producer = Producer::new(broker, &topic);
    let mut send = |days: f64, amount: &str| {
        let at = days_ago(days);
        let order = Order {
            at,
            ..Order::paid("o", amount)
        };
        producer.send_at(0, at.as_millisecond(), order.structured());
        producer.flush();
        at
    };
    // Beyond 90 days, gone by then, and there.
    send(100.0, "1");
    send(60.0, "10");
    let kept_from = send(40.0, "100");
    send(20.0, "1000");
    let declared = before(&topic).replace("    id: id\n    dedup: 2d\n", "");
    let site = Site::new(broker).declares(&declared);
    let daemon = site.start();
    daemon.wait_for_value("revenue", WITHIN, 1111.0);

    let wider = |backfill: &str| {
        let filter = "expr: amount, filter: type == \"order.paid\"";
        declared.replace(
            filter,
            &format!("expr: amount, filter: amount > 0.0, backfill: {backfill}"),
        )
    };
    site.write_catalog(&wider("P90D"));
    assert_eq!(daemon.post("/-/reload").status, 200);
    wait_for_backfills(&daemon);
    daemon.wait_for_value("revenue", WITHIN, 1110.0);
    daemon.wait_for_value("paid", WITHIN, 4.0);
    let said = |daemon: &Daemon| daemon.get("/api/v1/nodes/revenue").json()["data"].clone();
    let node = said(&daemon);
    assert_eq!(node["backfill"]["short"], false, "{node}");
    let since: Timestamp = node["instances"][0]["countedSince"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let off = since.duration_since(days_ago(90.0)).abs();
    assert!(off < SignedDuration::from_mins(10), "{node}");
    assert_eq!(node["instances"][0]["judged"], false, "{node}");

    // Two records are deleted; a definition of another day asks for as much and gets less.
    delete_records(broker, &topic, 2);
    site.write_catalog(&wider("P90D").replace("amount > 0.0", "amount > 0.5"));
    assert_eq!(daemon.post("/-/reload").status, 200);
    wait::until_ok("the past is counted again", WITHIN / 4, || {
        let node = said(&daemon);
        match node["instances"][0]["value"].as_f64() {
            Some(1100.0) => Ok(()),
            _ => Err(format!("{node} {}", daemon.log())),
        }
    });
    let node = said(&daemon);
    assert_eq!(node["backfill"]["short"], true, "{node}");
    let since: Timestamp = node["instances"][0]["countedSince"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(since.as_millisecond(), kept_from.as_millisecond(), "{node}");
    let page = daemon.get("/nodes/revenue?lang=en").body;
    assert!(page.contains("Kafka keeps none of before"), "{page}");
    let page = daemon.get("/nodes/revenue?lang=zh").body;
    assert!(page.contains("Kafka 已不保留"), "{page}");
    let log = daemon.log();
    assert!(log.contains("kafka does not reach back as far"), "{log}");
    let finished = daemon
        .metrics()
        .get("tautline_backfills_total", &[("metric", "revenue")]);
    assert_eq!(finished, Some(2.0));
    daemon.stop();
}

fn delete_records(broker: &Broker, topic: &str, before: i64) {
    let admin: AdminClient<DefaultClientContext> = broker.client().create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Offset(before))
        .unwrap();
    let deleted = runtime().block_on(admin.delete_records(&list, &AdminOptions::new()));
    deleted.unwrap();
}
