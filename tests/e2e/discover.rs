//! `tautline discover`: what it makes of a topic is taken by `check`, and the daemon counts by it.

use std::time::Duration;

use apache_avro::Schema;
use apache_avro::types::Value as Avro;
use serde_json::json;

use crate::avro;
use crate::parts::broker::Broker;
use crate::parts::daemon::{Site, shown, tautline, zone_at_noon};
use crate::parts::produce::Producer;
use crate::parts::registry::Registry;
use crate::parts::{scratch, unique};

#[test]
fn a_topic_becomes_a_source_that_runs() {
    let broker = Broker::shared();
    let topic = unique("sales.orders");
    broker.create_topic(&topic, 3);
    let mut producer = Producer::new(broker, &topic);
    let now = jiff::Timestamp::now();
    for n in 0..90 {
        let (kind, region) = if n % 3 == 0 {
            ("refund", "east")
        } else {
            ("paid", "west")
        };
        let amount = format!("{}.25", n);
        let phone = 13_800_138_000u64 + n;
        let event = format!(
            r#"{{"event_id": "e{n}", "at": "{now}", "type": "{kind}", "amount": {amount}, "currency": "CNY", "region": "{region}", "phone": "{phone}"}}"#
        );
        producer.send((n % 3) as i32, event);
    }
    producer.send(0, "oops");
    producer.flush();

    let site = Site::new(broker);
    let yaml = discovered(
        &site,
        &topic,
        &[
            "The newest 91 of 91 records",
            "90 events of the sample; it would reject 1 (invalid_json: 1)",
            "time: at",
            "id: event_id",
            "left out: phone",
        ],
    );
    assert!(!yaml.contains("13800138"), "a telephone number is shown");
    declare(
        &site,
        &yaml,
        "  revenue: {metric: amount_paid, role: business, period: year, target: 10000, owner: chain}\n",
    );
    let daemon = site.start();
    let expected: f64 = (0..90).filter(|n| n % 3 != 0).map(|n| f64::from(n) + 0.25).sum();
    daemon.wait_for("revenue", Duration::from_secs(60), |metrics| {
        let seen = metrics.get("tautline_kpi_value", &[("node", "revenue")]);
        if seen == Some(expected) {
            Ok(())
        } else {
            Err(format!("{seen:?}"))
        }
    });
    daemon.stop();

    let settings = site.settings();
    let settings = settings.to_str().unwrap();
    let small = tautline(&[
        "discover", "--topic", &topic, "--sample", "7", "--config", settings, "--format", "json",
    ]);
    let value: serde_json::Value = serde_json::from_slice(&small.stdout).unwrap();
    assert_eq!(
        (&value["records"], &value["source"]),
        (&7.into(), &yaml_source(&yaml).into())
    );
}

#[test]
fn avro_becomes_a_source_that_runs() {
    let broker = Broker::shared();
    let topic = unique("erp.orders");
    broker.create_topic(&topic, 2);
    let schema = Schema::parse(&avro::first()).unwrap();
    let mut producer = Producer::new(broker, &topic);
    (0..40).for_each(|n| producer.send((n % 2) as i32, avro::by_first(&schema, n)));
    producer.flush();
    let mut registry = Registry::down();
    registry.register(1, &avro::first());

    // Without a registry, with one that is away, and with one that wants a password.
    let servers = broker.bootstrap();
    let refused = |more: &[&str]| {
        let args = [&["discover", "--topic", &topic, "--brokers", &servers][..], more].concat();
        let answer = tautline(&args);
        assert_eq!(answer.status.code(), Some(1), "{}", shown(&answer));
        shown(&answer)
    };
    let said = refused(&[]);
    assert!(
        said.contains("no registry is known: write kafka: {schema_registry:"),
        "{said}"
    );
    let url = registry.url();
    let said = refused(&["--registry", &url]);
    assert!(said.contains("does not answer") && said.contains(&url), "{said}");
    registry.start();
    let said = refused(&["--registry", &url]);
    assert!(said.contains("check username and password"), "{said}");

    let site = Site::new(broker).asks(&registry.setting());
    let yaml = discovered(
        &site,
        &topic,
        &[
            "format: avro  # 40 of 40 records are Avro",
            "This source reads all 40 events",
            "time: at  # timestamp-millis by its schema",
            "amount: {path: amount, type: number}",
        ],
    );
    declare(
        &site,
        &yaml,
        "  revenue: {metric: amount, role: business, period: year, target: 10000, owner: chain}\n",
    );
    let daemon = site.start();
    daemon.wait_for_value("revenue", Duration::from_secs(60), 50.0);
    daemon.stop();
}

/// A change event as Debezium's Avro converter registers it: the row once, by name the second time, and Connect's own
/// words beside Avro's.
fn envelope() -> serde_json::Value {
    json!({"type": "record", "name": "Envelope", "namespace": "erp.sales.orders", "fields": [
        {"name": "before", "default": null, "type": ["null", {"type": "record", "name": "Value", "fields": [
            {"name": "id", "type": "long"},
            {"name": "updated_at", "type": {"type": "long", "connect.version": 1, "connect.name": "io.debezium.time.Timestamp"}},
            {"name": "status", "type": {"type": "string", "connect.version": 1, "connect.parameters": {"allowed": "open,paid"}, "connect.name": "io.debezium.data.Enum"}},
            {"name": "region", "type": ["null", "string"], "default": null},
            {"name": "amount", "type": {"type": "bytes", "scale": 2, "precision": 12, "connect.version": 1,
                "connect.parameters": {"scale": "2", "connect.decimal.precision": "12"},
                "connect.name": "org.apache.kafka.connect.data.Decimal", "logicalType": "decimal"}}],
            "connect.name": "erp.sales.orders.Value"}]},
        {"name": "after", "type": ["null", "Value"], "default": null},
        {"name": "source", "type": {"type": "record", "name": "Source", "namespace": "io.debezium.connector.postgresql", "fields": [
            {"name": "version", "type": "string"},
            {"name": "connector", "type": "string"},
            {"name": "name", "type": "string"},
            {"name": "ts_ms", "type": "long"},
            {"name": "snapshot", "type": [{"type": "string", "connect.default": "false"}, "null"], "default": "false"},
            {"name": "table", "type": "string"},
            {"name": "lsn", "type": ["null", "long"], "default": null}]}},
        {"name": "op", "type": "string"},
        {"name": "ts_ms", "type": ["null", "long"], "default": null}],
        "connect.name": "erp.sales.orders.Envelope"})
}

/// A row of the table: id, state, region, cents.
type OrderRow = (i64, &'static str, Option<&'static str>, i64);

fn row(of: Option<OrderRow>, at_ms: i64) -> Avro {
    let Some((id, status, region, cents)) = of else {
        return Avro::Union(0, Box::new(Avro::Null));
    };
    let region = match region {
        None => Avro::Union(0, Box::new(Avro::Null)),
        Some(region) => Avro::Union(1, Box::new(Avro::String(region.to_owned()))),
    };
    let fields = [
        ("id", Avro::Long(id)),
        ("updated_at", Avro::Long(at_ms)),
        ("status", Avro::String(status.to_owned())),
        ("region", region),
        (
            "amount",
            Avro::Decimal(apache_avro::Decimal::from(cents.to_be_bytes())),
        ),
    ];
    let fields = fields.map(|(name, value)| (name.to_owned(), value));
    Avro::Union(1, Box::new(Avro::Record(fields.into())))
}

/// A change of a row, in the wire format.
fn change(schema: &Schema, op: &str, before: Option<OrderRow>, after: Option<OrderRow>) -> Vec<u8> {
    let now = jiff::Timestamp::now().as_millisecond();
    let text = |text: &str| Avro::String(text.to_owned());
    let source = [
        ("version", text("3.0.0.Final")),
        ("connector", text("postgresql")),
        ("name", text("erp")),
        ("ts_ms", Avro::Long(now)),
        ("snapshot", Avro::Union(0, Box::new(text("false")))),
        ("table", text("orders")),
        ("lsn", Avro::Union(1, Box::new(Avro::Long(24_023_128)))),
    ];
    let source = source.map(|(name, value)| (name.to_owned(), value));
    avro::framed(
        7,
        schema,
        vec![
            ("before", row(before, now)),
            ("after", row(after, now)),
            ("source", Avro::Record(source.into())),
            ("op", text(op)),
            ("ts_ms", Avro::Union(1, Box::new(Avro::Long(now)))),
        ],
    )
}

#[test]
fn debezium_in_avro_becomes_a_source_that_runs() {
    let broker = Broker::shared();
    let topic = unique("erp.sales.orders");
    broker.create_topic(&topic, 2);
    let schema = Schema::parse(&envelope()).unwrap();
    let mut registry = Registry::down();
    registry.register(7, &envelope());
    registry.start();
    // 60 rows of 10.25 to 69.25; every third one is paid for 5 more, every tenth one is deleted, which leaves a tombstone.
    let mut producer = Producer::new(broker, &topic);
    let (mut open, mut paid) = (0, 0);
    for n in 0..60i64 {
        let partition = (n % 2) as i32;
        let region = [Some("east"), Some("west"), None][n as usize % 3];
        let mut now: OrderRow = (n, "open", region, 1000 + 100 * n + 25);
        let op = if n < 20 { "r" } else { "c" };
        producer.send(partition, change(&schema, op, None, Some(now)));
        if n % 3 == 0 {
            let settled = (n, "paid", region, now.3 + 500);
            producer.send(partition, change(&schema, "u", Some(now), Some(settled)));
            now = settled;
        }
        if n % 10 == 9 {
            producer.send(partition, change(&schema, "d", Some(now), None));
            producer.send_tombstone(partition);
        } else if now.1 == "paid" {
            paid += now.3;
        } else {
            open += now.3;
        }
    }
    producer.flush();

    let site = Site::new(broker).asks(&registry.setting());
    let yaml = discovered(
        &site,
        &topic,
        &[
            "format: debezium",
            "Debezium changes in Avro, in the wire format of a schema registry",
            "time: updated_at",
            "amount: {path: amount, type: number}",
            "amount_paid: {source:",
            "This source reads all 86 events of the sample",
        ],
    );
    declare(
        &site,
        &yaml,
        "  open: {metric: amount_open, role: business, period: year, target: 10000, owner: chain}\n  paid: {metric: amount_paid, role: business, period: year, target: 10000, owner: chain}\n  regions: {metric: amount_paid, role: business, parent: paid, relation: sum, period: year, each: [region], owner: chain}\n",
    );
    let daemon = site.start();
    // What was open and is paid now counts as paid alone, and what was deleted nowhere.
    let assert_booked = || {
        for (node, cents) in [("open", open), ("paid", paid)] {
            daemon.wait_for_value(node, Duration::from_secs(60), cents as f64 / 100.0);
        }
    };
    assert_booked();
    daemon.wait_until_ready();
    daemon.wait_for_evaluations(2);
    assert_booked();
    assert_eq!(site.dead_letters().len(), 0, "it can use every record");
    daemon.stop();
}

#[test]
fn a_topic_that_is_not_there_or_empty_is_said() {
    let broker = Broker::shared();
    let topic = unique("returns");
    broker.create_topic(&topic, 2);
    let folder = scratch("discover");
    let servers = broker.bootstrap();
    let said = |topic: &str| {
        let answer = tautline(&["discover", "--topic", topic, "--brokers", &servers]);
        assert_eq!(answer.status.code(), Some(1), "{}", shown(&answer));
        shown(&answer)
    };
    let misspelt = said(&topic.replace("returns", "retruns"));
    assert!(
        misspelt.contains(&format!("did you mean '{topic}'?")),
        "{misspelt}"
    );
    let empty = said(&topic);
    assert!(empty.contains("holds no record yet"), "{empty}");
    let file = folder.path().join("visits.ndjson");
    std::fs::write(&file, "{\"at\": \"2026-11-24T09:30:00Z\", \"minutes\": 7}\n").unwrap();
    let from_file = tautline(&["discover", "--input", file.to_str().unwrap()]);
    assert!(
        shown(&from_file).contains("minutes_avg: {source: visits"),
        "{}",
        shown(&from_file)
    );
}

/// What discover makes of a topic; it says all of `expected`.
#[track_caller]
fn discovered(site: &Site, topic: &str, expected: &[&str]) -> String {
    let settings = site.settings();
    let found = tautline(&[
        "discover",
        "--topic",
        topic,
        "--config",
        settings.to_str().unwrap(),
    ]);
    assert!(found.status.success(), "{}", shown(&found));
    let yaml = String::from_utf8(found.stdout).unwrap();
    for expected in expected {
        assert!(yaml.contains(expected), "{expected}\n{yaml}");
    }
    yaml
}

/// Declares what discover made, with these nodes; check has nothing to say against it.
#[track_caller]
fn declare(site: &Site, yaml: &str, nodes: &str) {
    let zone = zone_at_noon();
    site.write_catalog(&format!(
        "{yaml}\ncalendar: {{timezone: {zone}}}\nnodes:\n{nodes}"
    ));
    let checked = tautline(&["check", "--config", site.settings().to_str().unwrap()]);
    assert!(checked.status.success(), "{}\n{yaml}", shown(&checked));
}

/// The name under `sources:`.
fn yaml_source(yaml: &str) -> String {
    let mut lines = yaml.lines().skip_while(|line| *line != "sources:");
    lines.nth(1).unwrap().trim().trim_end_matches(':').to_owned()
}
