//! History that Kafka still has: `backtest --kafka` says of topics what it says of the same events in a file, and what
//! the daemon says that reads them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use apache_avro::Schema;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rdkafka::consumer::{BaseConsumer, Consumer};
use serde_json::{Value, json};

use crate::avro::{by_first, first};
use crate::parts::broker::Broker;
use crate::parts::daemon::{Site, shown, tautline, zone_at_noon};
use crate::parts::produce::Producer;
use crate::parts::registry::Registry;
use crate::parts::{scratch, unique, wait};

const WITHIN: Duration = Duration::from_secs(60);
const PARTITIONS: i32 = 2;
const DAYS: i64 = 260;
/// Since so many days orders do not follow visits any more.
const APART: i64 = 45;
const MINUTE_MS: i64 = 60_000;

/// One event and its arrival.
struct Sent {
    source: &'static str,
    partition: i32,
    arrival_ms: i64,
    event: Value,
}

/// Visits at their plan, day after day, and orders that follow them until they stop to; some late, some twice.
fn history(zone: &TimeZone) -> Vec<Sent> {
    let rng = &mut StdRng::seed_from_u64(11);
    let today = Timestamp::now()
        .to_zoned_datetime(zone.clone())
        .start_of_day()
        .unwrap();
    let mut sent = Vec::new();
    for ago in (1..=DAYS).rev() {
        let day = (&today - ago.days()).timestamp().as_millisecond();
        // A campaign now and then, which the orders of the same day answer.
        let push = if rng.random_bool(0.15) { 1.8 } else { 1.0 };
        let visits = (60.0 * push * rng.random_range(0.9..1.1)) as i64;
        let rate = if ago > APART { 0.5 } else { 0.2 };
        let orders = (visits as f64 * rate * rng.random_range(0.95..1.05)) as i64;
        for (source, events) in [("visits", visits), ("orders", orders)] {
            for n in 0..events {
                let at_ms = day + MINUTE_MS * (1 + n * 1400 / events);
                let late = if rng.random_bool(0.05) { 15 } else { 0 };
                let at = Timestamp::from_millisecond(at_ms).unwrap();
                let event = json!({"id": format!("{source}-{ago}-{n}"), "at": at.to_string(), "amount": 200});
                let (partition, arrival_ms) = (rng.random_range(0..PARTITIONS), at_ms + late * MINUTE_MS);
                for copy in 0..=i64::from(rng.random_bool(0.02)) {
                    sent.push(Sent {
                        source,
                        partition,
                        arrival_ms: arrival_ms + copy * MINUTE_MS,
                        event: event.clone(),
                    });
                }
            }
        }
    }
    sent.sort_by_key(|sent| sent.arrival_ms);
    sent
}

fn catalog(zone: &str, visits: &str, orders: &str) -> String {
    let source = |topic: &str| {
        format!(
            "{{topics: [{topic}], format: json, time: at, id: id, dedup: 2d, lateness: 1h, fields: {{amount: amount}}}}"
        )
    };
    format!(
        "calendar: {{timezone: {zone}}}\n\
         sources:\n  visits: {}\n  orders: {}\n\
         metrics:\n  visits: {{source: visits, agg: count}}\n  revenue: {{source: orders, agg: sum, expr: amount, unit: CNY}}\n\
         nodes:\n  revenue: {{metric: revenue, role: business, period: month, target: 180000, owner: sales}}\n  \
         visits: {{metric: visits, role: kpi, parent: revenue, relation: influence, period: month, target: 1800, owner: growth}}\n",
        source(visits),
        source(orders)
    )
}

fn backtest(settings: &Path, args: &[&str]) -> Output {
    tautline(&[&["backtest", "--config", settings.to_str().unwrap()], args].concat())
}

/// The lines of a run that must end well.
#[track_caller]
fn episodes(output: &Output) -> Vec<Value> {
    assert!(output.status.success(), "{}", shown(output));
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn topics_tell_what_a_file_of_the_same_events_tells_and_the_daemon() {
    let broker = Broker::shared();
    let (visits, orders) = (unique("visits"), unique("orders"));
    broker.create_topic(&visits, PARTITIONS);
    broker.create_topic(&orders, PARTITIONS);
    let zone = zone_at_noon();
    let sent = history(&TimeZone::get(&zone).unwrap());
    let folder = scratch("history");
    let file = folder.path().join("history.ndjson");
    let mut lines = String::new();
    let mut producers = [Producer::new(broker, &visits), Producer::new(broker, &orders)];
    for one in &sent {
        let arrival = Timestamp::from_millisecond(one.arrival_ms).unwrap();
        let mut line = one.event.clone();
        line["_arrival"] = arrival.to_string().into();
        line["_source"] = one.source.into();
        writeln!(lines, "{line}").unwrap();
        let producer = &mut producers[usize::from(one.source == "orders")];
        producer.send_at(one.partition, one.arrival_ms, one.event.to_string());
    }
    producers.iter().for_each(Producer::flush);
    std::fs::write(&file, lines).unwrap();

    let site = Site::new(broker).declares(&catalog(&zone, &visits, &orders));
    let settings = site.settings();
    let of_file = episodes(&backtest(
        &settings,
        &["--input", file.to_str().unwrap(), "--format", "ndjson"],
    ));
    let of_topics = episodes(&backtest(&settings, &["--kafka", "--format", "ndjson"]));
    assert_eq!(of_topics, of_file);
    let hollow: Vec<&Value> = of_file.iter().filter(|told| told["kind"] == "hollow").collect();
    assert_eq!(hollow.len(), 1, "{of_file:#?}");
    let counts = backtest(&settings, &["--kafka"]);
    let report = String::from_utf8_lossy(&counts.stdout).into_owned();
    let ids: BTreeSet<&str> = sent.iter().filter_map(|one| one.event["id"].as_str()).collect();
    let folded = |source: &str| ids.iter().filter(|id| id.starts_with(source)).count();
    for source in ["visits", "orders"] {
        assert!(
            report.contains(&format!("{source}: {} folded", folded(source))),
            "{report}"
        );
    }
    let asks: BaseConsumer = broker.client().create().unwrap();
    let groups = asks
        .fetch_group_list(Some(site.group()), Duration::from_secs(10))
        .unwrap();
    let state = groups
        .groups()
        .iter()
        .map(|group| group.state())
        .collect::<Vec<_>>();
    assert!(
        state.iter().all(|state| *state == "Dead"),
        "backtest leaves no trace: {state:?}"
    );
    let against = episodes(&backtest(
        &settings,
        &[
            "--kafka",
            "--format",
            "ndjson",
            "--against",
            settings.with_file_name("catalog").to_str().unwrap(),
        ],
    ));
    assert!(
        against.is_empty(),
        "the same catalogue tells the same: {against:#?}"
    );

    // What is still on in history is what the daemon says that reads the same topics now.
    let still_on = of_file.iter().filter(|told| told["cleared"].is_null());
    let still_on: BTreeSet<String> = still_on
        .map(|told| format!("{} of {}", told["kind"], told["node"]))
        .collect();
    let daemon = site.start();
    daemon.wait_until_ready();
    wait::until_ok("the daemon says the same", WITHIN, || {
        let alerts = daemon.get("/api/v1/alerts").json();
        let alerts = alerts["data"]["alerts"].as_array().unwrap();
        let firing = alerts.iter().filter(|alert| alert["state"] == "firing");
        let firing: BTreeSet<String> = firing
            .map(|alert| format!("{} of {}", alert["labels"]["alertname"], alert["labels"]["node"]))
            .collect();
        if firing == still_on {
            // Numbers go on from day to day; since when it is apart does not.
            let of_link = alerts
                .iter()
                .find(|alert| alert["labels"]["alertname"] == "hollow")
                .unwrap();
            let since = |text: &Value| text.as_str().unwrap().split(',').next().unwrap().to_owned();
            assert_eq!(
                since(&of_link["annotations"]["description"]),
                since(&hollow[0]["note"])
            );
            Ok(())
        } else {
            Err(format!("{firing:?}, and not {still_on:?}: {alerts:#?}"))
        }
    });
    daemon.stop();

    // What was known of the link back then.
    let before = (Timestamp::now() - (24 * 70).hours()).to_string();
    let at = [
        "explain",
        "visits",
        "--config",
        settings.to_str().unwrap(),
        "--at",
        &before,
    ];
    let explained = shown(&tautline(&at));
    let link = explained
        .lines()
        .find(|line| line.contains("at the close of"))
        .unwrap_or(&explained);
    assert!(link.contains("answering after about 0 days"), "{explained}");
}

#[test]
fn what_stands_in_the_way_of_reading_topics_is_said() {
    let broker = Broker::shared();
    let (visits, orders) = (unique("visits"), unique("orders"));
    broker.create_topic(&visits, 1);
    broker.create_topic(&orders, 1);
    let said = |site: &Site, args: &[&str]| {
        let answer = backtest(&site.settings(), args);
        assert_eq!(answer.status.code(), Some(1), "{}", shown(&answer));
        String::from_utf8_lossy(&answer.stderr).into_owned()
    };
    let catalog = |visits: &str| catalog("UTC", visits, &orders);
    let misspelt = Site::new(broker).declares(&catalog(&visits.replace("visits", "vistis")));
    let answer = said(&misspelt, &["--kafka"]);
    assert!(answer.contains(&format!("did you mean '{visits}'?")), "{answer}");
    let empty = said(&Site::new(broker).declares(&catalog(&visits)), &["--kafka"]);
    assert!(
        empty.contains(&visits) && empty.contains("is it the right broker?"),
        "{empty}"
    );
    let away = said(
        &Site::with_broker_away().declares(&catalog(&visits)),
        &["--kafka"],
    );
    assert!(
        away.contains("no broker answers at 127.0.0.1:9") && away.contains("kafka.brokers"),
        "{away}"
    );
    let none = said(&Site::without_broker().declares(&catalog(&visits)), &["--kafka"]);
    assert!(none.contains("the settings name no brokers"), "{none}");
    let neither = backtest(&misspelt.settings(), &[]);
    assert_eq!(neither.status.code(), Some(2), "{}", shown(&neither));
    assert!(shown(&neither).contains("--input"), "{}", shown(&neither));
}

#[test]
fn avro_in_topics_is_read_by_the_schemas_of_the_registry() {
    let broker = Broker::shared();
    let orders = unique("avro-orders");
    broker.create_topic(&orders, PARTITIONS);
    let schema = Schema::parse(&first()).unwrap();
    let mut producer = Producer::new(broker, &orders);
    (0..100).for_each(|n| producer.send((n % 2) as i32, by_first(&schema, n)));
    producer.flush();
    let mut registry = Registry::down();
    registry.register(1, &first());
    let site = Site::new(broker).asks(&registry.setting()).declares(&format!(
        "calendar: {{timezone: UTC}}\n\
         sources:\n  orders: {{topics: [{orders}], format: avro, time: at, id: id, dedup: 2d, fields: {{amount: amount}}}}\n\
         metrics:\n  revenue: {{source: orders, agg: sum, expr: amount, unit: CNY}}\n\
         nodes:\n  revenue: {{metric: revenue, role: business, period: year, owner: sales}}\n"
    ));
    let away = backtest(&site.settings(), &["--kafka"]);
    assert_eq!(away.status.code(), Some(1), "{}", shown(&away));
    assert!(shown(&away).contains("kafka.schema_registry"), "{}", shown(&away));
    registry.start();
    let read = backtest(&site.settings(), &["--kafka"]);
    assert!(read.status.success(), "{}", shown(&read));
    assert!(shown(&read).contains("orders: 100 folded"), "{}", shown(&read));
}
