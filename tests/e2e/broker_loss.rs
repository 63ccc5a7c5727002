//! Broker loss: the daemon stays up, says so once, and goes on without loss.

use std::time::{Duration, Instant};

use crate::parts::broker::Broker;
use crate::parts::daemon::{Daemon, Site, zone_at_noon};
use crate::parts::events::Order;
use crate::parts::produce::Producer;
use crate::parts::{http, wait};

/// How long the broker is away.
const AWAY: Duration = Duration::from_secs(20);
const NOTICED_WITHIN: Duration = Duration::from_secs(15);
const BACK_WITHIN: Duration = Duration::from_secs(60);
const TOPIC: &str = "orders";

#[test]
fn a_broker_that_is_away_for_20_seconds_costs_nothing() {
    let mut broker = Broker::start();
    broker.create_topic(TOPIC, 4);
    let site = Site::new(&broker).declares(&catalog());
    let daemon = site.start();
    produce(&broker, 0..1000);
    daemon.wait_until_ready();
    wait_for_orders(&daemon, 1000);

    broker.stop("TERM");
    let stopped = Instant::now();
    daemon.wait_for(
        "the metrics say that the broker is away",
        NOTICED_WITHIN,
        |metrics| {
            let seen = (
                metrics.get("tautline_kafka_up", &[]),
                metrics.get("tautline_ready", &[]),
            );
            if seen == (Some(0.0), Some(0.0)) {
                Ok(())
            } else {
                Err(format!("kafka_up, ready: {seen:?}"))
            }
        },
    );
    wait::holds_for(
        "the daemon is up and says why it is not ready",
        AWAY.saturating_sub(stopped.elapsed()),
        || {
            let healthy = http::get(site.port(), "/-/healthy").map_err(|error| error.to_string())?;
            let ready = http::get(site.port(), "/-/ready").map_err(|error| error.to_string())?;
            let fine = healthy.status == 200 && ready.status == 503 && ready.body.contains("Kafka broker");
            if fine {
                Ok(())
            } else {
                Err(format!("{healthy:?} {ready:?}"))
            }
        },
    );
    // What was known stays known.
    assert_eq!(
        daemon.metrics().get("tautline_kpi_value", &[("node", "orders")]),
        Some(1000.0)
    );

    broker.start_again();
    daemon.wait_for(
        "the metrics say that the broker is back",
        BACK_WITHIN,
        |metrics| {
            let seen = (
                metrics.get("tautline_kafka_up", &[]),
                metrics.get("tautline_ready", &[]),
            );
            if seen == (Some(1.0), Some(1.0)) {
                Ok(())
            } else {
                Err(format!("kafka_up, ready: {seen:?}"))
            }
        },
    );
    assert_eq!(daemon.get("/-/ready").status, 200);
    produce(&broker, 1000..2500);
    wait_for_orders(&daemon, 2500);
    daemon.wait_for_evaluations(5);
    let metrics = daemon.metrics();
    assert_eq!(
        metrics.get("tautline_kpi_value", &[("node", "orders")]),
        Some(2500.0)
    );
    assert_eq!(
        metrics.get("tautline_kpi_value", &[("node", "revenue")]),
        Some(2500.0 * 12.5)
    );

    let log = daemon.log();
    for said in ["kafka is away", "kafka is back"] {
        assert_eq!(log.matches(said).count(), 1, "'{said}' is logged once:\n{log}");
    }
    daemon.stop();
}

#[test]
fn a_daemon_that_starts_before_its_broker_waits_for_it() {
    let mut broker = Broker::start();
    broker.create_topic(TOPIC, 2);
    produce(&broker, 0..10);
    broker.stop("KILL");
    let site = Site::new(&broker).declares(&catalog());
    let daemon = site.start();
    daemon.wait_for(
        "the metrics say that the broker is away",
        NOTICED_WITHIN,
        |metrics| {
            let up = metrics.get("tautline_kafka_up", &[]);
            if up == Some(0.0) {
                Ok(())
            } else {
                Err(format!("{up:?}"))
            }
        },
    );
    assert_eq!(daemon.get("/-/ready").status, 503);
    broker.start_again();
    wait_for_orders(&daemon, 10);
    daemon.wait_until_ready();
    daemon.stop();
}

fn catalog() -> String {
    format!(
        r#"
calendar: {{timezone: {zone}}}
sources:
  orders: {{topics: [{TOPIC}], format: cloudevents, time: time, fields: {{type: type, amount: data.amount}}}}
metrics:
  revenue: {{source: orders, agg: sum, expr: amount, filter: type == "order.paid", unit: CNY}}
  orders: {{source: orders, agg: count}}
nodes:
  revenue: {{metric: revenue, role: business, level: strategy, period: day, target: 100000, owner: chain}}
  orders: {{metric: orders, role: kpi, level: tactic, parent: revenue, relation: influence, period: day, target: 5000, weight: 100, owner: sales}}
"#,
        zone = zone_at_noon(),
    )
}

fn produce(broker: &Broker, numbers: std::ops::Range<i32>) {
    let mut producer = Producer::new(broker, TOPIC);
    for n in numbers {
        producer.send(n % 2, Order::paid(&format!("o{n}"), "12.50").structured());
    }
    producer.flush();
}

#[track_caller]
fn wait_for_orders(daemon: &Daemon, count: u32) {
    daemon.wait_for("the orders are counted", BACK_WITHIN, |metrics| {
        let seen = metrics.get("tautline_kpi_value", &[("node", "orders")]);
        if seen == Some(f64::from(count)) {
            Ok(())
        } else {
            Err(format!("{seen:?} of {count}"))
        }
    });
}
