//! Avro with a schema registry: whatever the registry does, every event counts once, and none is rejected for it.

use std::time::Duration;

use apache_avro::Schema;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use jiff::Timestamp;
use serde_json::json;

use crate::parts::broker::Broker;
use crate::parts::daemon::{Daemon, Site, zone_at_noon};
use crate::parts::produce::Producer;
use crate::parts::registry::{PASSWORD, Registry};
use crate::parts::{http, unique, wait};

const WITHIN: Duration = Duration::from_secs(60);
const PARTITIONS: i32 = 4;
/// Events of one phase.
const EVENTS: i64 = 2000;
/// An id that is never registered.
const NOWHERE: u32 = 99;

/// The first schema: an amount in cents of its own type, no region.
pub(crate) fn first() -> serde_json::Value {
    json!({"type": "record", "name": "shop.Order", "fields": [
        {"name": "id", "type": "long"},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "note", "type": ["null", "string"]},
        {"name": "amount", "type": {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}}]})
}

/// The second one: fields in another order, a region, the amount as a double, the time in microseconds.
fn second() -> serde_json::Value {
    json!({"type": "record", "name": "shop.Order", "fields": [
        {"name": "region", "type": ["null", {"type": "enum", "name": "Region", "symbols": ["east", "west"]}]},
        {"name": "amount", "type": "double"},
        {"name": "tags", "type": {"type": "map", "values": "string"}},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "id", "type": "long"}]})
}

/// A payload in the wire format.
pub(crate) fn framed(id: u32, schema: &Schema, fields: Vec<(&str, Value)>) -> Vec<u8> {
    let row = Value::Record(
        fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    );
    let writer = GenericDatumWriter::builder(schema).build().unwrap();
    let mut payload = vec![0];
    payload.extend(id.to_be_bytes());
    payload.extend(writer.write_value_to_vec(row).unwrap());
    payload
}

/// An order of 1.25 by the first schema.
pub(crate) fn by_first(schema: &Schema, n: i64) -> Vec<u8> {
    let fields = vec![
        ("id", Value::Long(n)),
        ("at", Value::TimestampMillis(Timestamp::now().as_millisecond())),
        (
            "note",
            Value::Union(1, Box::new(Value::String("x".repeat(n as usize % 50)))),
        ),
        ("amount", Value::Decimal(apache_avro::Decimal::from([125u8]))),
    ];
    framed(1, schema, fields)
}

/// An order of 2.5 by the second schema, every other one from the west, the rest without a region.
fn by_second(schema: &Schema, n: i64) -> Vec<u8> {
    let region = match n % 2 {
        0 => Value::Union(0, Box::new(Value::Null)),
        _ => Value::Union(1, Box::new(Value::Enum(1, "west".to_owned()))),
    };
    let tags = [("k".to_owned(), Value::String("v".to_owned()))];
    let fields = vec![
        ("region", region),
        ("amount", Value::Double(2.5)),
        ("tags", Value::Map(tags.into_iter().collect())),
        ("at", Value::TimestampMicros(Timestamp::now().as_microsecond())),
        ("id", Value::Long(n)),
    ];
    framed(2, schema, fields)
}

#[test]
fn a_registry_that_is_away_costs_nothing() {
    let broker = Broker::shared();
    let (orders, visits) = (unique("avro-orders"), unique("visits"));
    broker.create_topic(&orders, PARTITIONS);
    broker.create_topic(&visits, 1);
    let mut registry = Registry::down();
    registry.register(1, &first());
    let site = Site::new(broker)
        .asks(&registry.setting())
        .declares(&catalog(&orders, &visits));
    let (one, two) = (
        Schema::parse(&first()).unwrap(),
        Schema::parse(&second()).unwrap(),
    );

    // Down at the start: what needs it waits, what does not goes on, over a crash.
    let mut producer = Producer::new(broker, &orders);
    (0..EVENTS).for_each(|n| producer.send((n % 4) as i32, by_first(&one, n)));
    producer.flush();
    let mut json = Producer::new(broker, &visits);
    (0..10).for_each(|_| json.send(0, "{}"));
    json.flush();
    let daemon = site.start();
    daemon.wait_for("what needs no schema is read", WITHIN, |metrics| {
        let seen = metrics.get(
            "tautline_events_total",
            &[("source", "visits"), ("outcome", "folded")],
        );
        if seen == Some(10.0) {
            Ok(())
        } else {
            Err(format!("{seen:?}"))
        }
    });
    wait_until_held(&daemon, site.port());
    daemon.kill();
    let daemon = site.start();
    wait_until_held(&daemon, site.port());
    registry.start();
    wait_for_orders(&daemon, EVENTS as f64);
    daemon.wait_until_ready();
    assert_value(&daemon, "revenue", EVENTS as f64 * 1.25);
    let log = daemon.log();
    assert!(
        log.contains("the schema registry does not answer")
            && log.contains("the schema registry answers again"),
        "{log}"
    );

    // It breaks while events come, some by a schema that is not known yet; what is known goes on, until one that is
    // not stands in the way. A crash in the middle.
    registry.register(2, &second());
    registry.fails(true);
    for n in 0..EVENTS {
        let payload = if n % 3 == 0 {
            by_second(&two, n)
        } else {
            by_first(&one, n)
        };
        producer.send((n % 4) as i32, payload);
    }
    producer.flush();
    wait_until_held(&daemon, site.port());
    daemon.kill();
    let daemon = site.spawn();
    registry.stop();
    wait_until_held(&daemon, site.port());
    registry.fails(false);
    registry.start();
    wait_for_orders(&daemon, 2.0 * EVENTS as f64);
    daemon.wait_until_ready();
    let of_second = (0..EVENTS).filter(|n| n % 3 == 0).count() as f64;
    let of_first = 2.0 * EVENTS as f64 - of_second;
    assert_value(&daemon, "revenue", of_first * 1.25 + of_second * 2.5);
    let west = (0..EVENTS).filter(|n| n % 3 == 0 && n % 2 == 1).count() as f64;
    let seen = daemon
        .metrics()
        .get("tautline_kpi_value", &[("node", "regions"), ("region", "west")]);
    assert_eq!(seen, Some(west * 2.5));

    // What the registry does not know, and what is not in the wire format, is rejected; what comes behind it counts.
    producer.send(
        0,
        framed(
            NOWHERE,
            &one,
            vec![
                ("id", Value::Long(1)),
                ("at", Value::TimestampMillis(1)),
                ("note", Value::Union(0, Box::new(Value::Null))),
                ("amount", Value::Decimal(apache_avro::Decimal::from([1u8]))),
            ],
        ),
    );
    producer.send(0, "{\"amount\": 1}");
    producer.send(0, [0, 0, 0, 0, 1, 2]);
    producer.send(0, by_second(&two, 0));
    producer.flush();
    wait_for_orders(&daemon, 2.0 * EVENTS as f64 + 1.0);
    wait::until_ok("rejected events are kept", WITHIN, || {
        let letters = site.dead_letters();
        let reasons: Vec<&str> = letters
            .iter()
            .filter_map(|letter| letter["reason"].as_str())
            .collect();
        if reasons == ["unknown_schema", "no_schema_id", "invalid_avro"] {
            Ok(())
        } else {
            Err(format!("{reasons:?}"))
        }
    });
    assert!(
        registry.asked() < 200,
        "it is not asked for every event: {}",
        registry.asked()
    );
    assert!(!daemon.log().contains(PASSWORD));
    daemon.stop();
}

#[test]
fn the_past_is_read_again_when_the_registry_comes_back() {
    let broker = Broker::shared();
    let (orders, visits) = (unique("avro-past"), unique("visits"));
    broker.create_topic(&orders, PARTITIONS);
    broker.create_topic(&visits, 1);
    let mut registry = Registry::down();
    registry.register(1, &first());
    registry.register(2, &second());
    registry.start();
    let declared = catalog(&orders, &visits);
    let site = Site::new(broker).asks(&registry.setting()).declares(&declared);
    let (one, two) = (
        Schema::parse(&first()).unwrap(),
        Schema::parse(&second()).unwrap(),
    );
    let mut producer = Producer::new(broker, &orders);
    let mut send = |numbers: std::ops::Range<i64>| {
        for n in numbers {
            let payload = if n % 3 == 0 {
                by_second(&two, n)
            } else {
                by_first(&one, n)
            };
            producer.send((n % 4) as i32, payload);
        }
        producer.flush();
    };
    send(0..EVENTS);
    let daemon = site.start();
    wait_for_orders(&daemon, EVENTS as f64);
    daemon.kill();

    // A daemon that knows no schema any more, and a definition that needs every record again. Nothing new comes: it is
    // the past alone that waits.
    registry.stop();
    let large = "  large: {source: orders, agg: sum, expr: amount, filter: amount > 2.0, dimensions: [region], backfill: P30D}\n";
    let node = "  large: {metric: large, role: business, each: [region], period: day, owner: chain}\n";
    let declared = declared.replace("nodes:\n", &format!("{large}nodes:\n")) + node;
    site.write_catalog(&declared);
    let daemon = site.start();
    let backfill = |daemon: &Daemon| daemon.get("/api/v1/nodes/large").json()["data"]["backfill"].clone();
    let asked = registry.asked();
    wait::until_ok("the past waits for its schemas", WITHIN, || {
        let running = backfill(&daemon);
        let waits = running["state"] == "running" && running["recordsLeft"] == EVENTS;
        if waits && daemon.log().contains("the schema registry does not answer") {
            Ok(())
        } else {
            Err(format!("{running} {}", daemon.log()))
        }
    });
    assert_eq!(registry.asked(), asked, "it is away");
    assert_value(&daemon, "orders", EVENTS as f64);
    // A crash meanwhile, and events of today that wait as well.
    daemon.kill();
    send(EVENTS..2 * EVENTS);
    let daemon = site.start();
    wait_until_held(&daemon, site.port());
    assert_ne!(backfill(&daemon)["state"], "done");
    registry.start();
    wait_for_orders(&daemon, 2.0 * EVENTS as f64);
    wait::until_ok("the past is counted", WITHIN, || {
        let found = backfill(&daemon);
        if found["state"] == "done" {
            Ok(())
        } else {
            Err(format!("{found} {}", daemon.log()))
        }
    });
    // Orders of 2.5 are those by the second schema: every third one, of which those with an odd number are from the west.
    let of_second = |west: bool| {
        (0..2 * EVENTS)
            .filter(|n| n % 3 == 0 && (n % 2 == 1) == west)
            .count() as f64
    };
    for (region, count) in [("west", of_second(true)), ("", of_second(false))] {
        let seen = daemon
            .metrics()
            .get("tautline_kpi_value", &[("node", "large"), ("region", region)]);
        assert_eq!(seen, Some(count * 2.5), "{region:?}");
    }
    assert_eq!(
        site.dead_letters(),
        [""; 0].map(serde_json::Value::from),
        "nothing is rejected for it"
    );
    daemon.stop();
}

/// Every partition waits, and the daemon says so everywhere.
#[track_caller]
fn wait_until_held(daemon: &Daemon, port: u16) {
    daemon.wait_for("partitions wait for the registry", WITHIN, |metrics| {
        let seen = (
            metrics.get("tautline_held_partitions", &[("source", "orders")]),
            metrics.get("tautline_schema_registry_up", &[]),
            metrics.get("tautline_ready", &[]),
        );
        if seen == (Some(f64::from(PARTITIONS)), Some(0.0), Some(0.0)) {
            Ok(())
        } else {
            Err(format!("held, up, ready: {seen:?}"))
        }
    });
    let ready = http::get(port, "/-/ready").unwrap();
    assert!(
        ready.status == 503 && ready.body.contains("schema registry has not answered"),
        "{ready:?}"
    );
    let page = http::get(port, "/?lang=en").unwrap().body;
    assert!(page.contains("The schema registry has not answered"), "{page}");
}

#[track_caller]
fn wait_for_orders(daemon: &Daemon, count: f64) {
    daemon.wait_for("all orders are counted", WITHIN, |metrics| {
        match metrics.get("tautline_kpi_value", &[("node", "orders")]) {
            Some(seen) if seen >= count => Ok(()),
            seen => Err(format!("{seen:?} of {count}; {}", daemon.log())),
        }
    });
    daemon.wait_for_evaluations(3);
    assert_value(daemon, "orders", count);
}

#[track_caller]
fn assert_value(daemon: &Daemon, node: &str, value: f64) {
    assert_eq!(
        daemon.metrics().get("tautline_kpi_value", &[("node", node)]),
        Some(value),
        "{node}"
    );
}

fn catalog(orders: &str, visits: &str) -> String {
    format!(
        r#"
calendar: {{timezone: {zone}}}
sources:
  orders: {{topics: [{orders}], format: avro, time: at, fields: {{amount: amount, region: region}}}}
  visits: {{topics: [{visits}], format: json, fields: {{}}}}
metrics:
  revenue: {{source: orders, agg: sum, expr: amount, unit: CNY, dimensions: [region]}}
  orders: {{source: orders, agg: count}}
  visits: {{source: visits, agg: count}}
nodes:
  revenue: {{metric: revenue, role: business, level: strategy, period: day, target: 1000, owner: chain}}
  regions: {{metric: revenue, role: business, level: strategy, period: day, each: [region], parent: revenue, relation: sum, owner: chain}}
  orders: {{metric: orders, role: kpi, level: tactic, parent: revenue, relation: influence, period: day, target: 1000, weight: 50, owner: sales}}
  visits: {{metric: visits, role: kpi, level: tactic, parent: revenue, relation: influence, period: day, target: 1000, weight: 50, owner: sales}}
"#,
        zone = zone_at_noon(),
    )
}
