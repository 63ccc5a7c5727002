//! Copies in a topic: an event whose id was counted does not count again, however often the daemon is killed between.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use crate::parts::broker::Broker;
use crate::parts::daemon::{Daemon, Site, zone_at_noon};
use crate::parts::events::Order;
use crate::parts::produce::Producer;
use crate::parts::unique;

const ORDERS: u64 = 40_000;
const PARTITIONS: i32 = 3;
const KILLS: u64 = 8;
const LONGEST_LIFE: Duration = Duration::from_millis(1200);

#[test]
fn killed_while_it_reads_copies_it_counts_every_id_once() {
    let seed =
        std::env::var("TAUTLINE_SEED").map_or_else(|_| rand::rng().random(), |seed| seed.parse().unwrap());
    eprintln!("TAUTLINE_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let broker = Broker::shared();
    let topic = unique("copies");
    broker.create_topic(&topic, PARTITIONS);
    let site = Site::new(broker).declares(&catalog(&topic));
    let mut producer = Producer::new(broker, &topic);

    let (mut cents, mut copies) = (0, 0);
    let mut sent: Vec<(u64, u64)> = Vec::new();
    for kill in 0..KILLS {
        let orders = ORDERS * kill / KILLS..ORDERS * (kill + 1) / KILLS;
        for order in orders {
            let amount = rng.random_range(1..100_000);
            cents += amount;
            sent.push((order, amount));
        }
        // A producer that is not sure repeats what it sent: some of it at once, some of it much later, in any order.
        let mut batch: Vec<(u64, u64)> = sent[(ORDERS * kill / KILLS) as usize..].to_vec();
        let repeated = (0..batch.len() / 2).map(|_| sent[rng.random_range(0..sent.len())]);
        let repeated: Vec<_> = repeated.collect();
        copies += repeated.len() as u64;
        batch.extend(repeated);
        batch.shuffle(&mut rng);
        for (order, amount) in batch {
            let (id, amount) = (
                format!("o{order}"),
                format!("{}.{:02}", amount / 100, amount % 100),
            );
            let order_event = Order::paid(&id, &amount);
            producer.send((order % PARTITIONS as u64) as i32, order_event.structured());
        }
        producer.flush();
        let daemon = site.spawn();
        // Nothing to wait for: any moment may be the wrong one.
        std::thread::sleep(LONGEST_LIFE.mul_f64(rng.random()));
        daemon.kill();
    }

    let daemon = site.start();
    let outcome = |outcome| [("source", "orders"), ("outcome", outcome)];
    daemon.wait_for("every order", Duration::from_secs(60), |metrics| {
        let seen = metrics.get("tautline_kpi_value", &[("node", "orders")]);
        (seen == Some(ORDERS as f64))
            .then_some(())
            .ok_or_else(|| format!("{seen:?} of {ORDERS}"))
    });
    daemon.wait_until_ready();
    daemon.wait_for_evaluations(3);
    assert_numbers(&daemon, cents);
    let metrics = daemon.metrics();
    assert!(
        metrics
            .get("tautline_events_total", &outcome("duplicate"))
            .unwrap_or(0.0)
            <= copies as f64
    );
    daemon.stop();

    // What is remembered is in the commit: copies of everything, after the last stop.
    for (order, amount) in &sent {
        let (id, amount) = (
            format!("o{order}"),
            format!("{}.{:02}", amount / 100, amount % 100),
        );
        producer.send(
            (order % PARTITIONS as u64) as i32,
            Order::paid(&id, &amount).structured(),
        );
    }
    producer.flush();
    let daemon = site.start();
    daemon.wait_for("every copy is seen", Duration::from_secs(60), |metrics| {
        let seen = metrics.get("tautline_events_total", &outcome("duplicate"));
        (seen == Some(ORDERS as f64))
            .then_some(())
            .ok_or_else(|| format!("{seen:?} of {ORDERS}"))
    });
    assert_numbers(&daemon, cents);
    daemon.stop();
}

#[track_caller]
fn assert_numbers(daemon: &Daemon, cents: u64) {
    let metrics = daemon.metrics();
    let value = |node| {
        metrics
            .get("tautline_kpi_value", &[("node", node)])
            .map(|value| format!("{value:.2}"))
    };
    assert_eq!(value("orders"), Some(format!("{ORDERS}.00")));
    assert_eq!(
        value("revenue"),
        Some(format!("{}.{:02}", cents / 100, cents % 100))
    );
}

fn catalog(topic: &str) -> String {
    format!(
        r#"
calendar: {{timezone: {zone}}}
sources:
  orders: {{topics: [{topic}], format: cloudevents, time: time, id: id, dedup: 2d, fields: {{type: type, amount: data.amount}}}}
metrics:
  revenue: {{source: orders, agg: sum, expr: amount, filter: type == "order.paid", unit: CNY}}
  orders: {{source: orders, agg: count}}
nodes:
  revenue: {{metric: revenue, role: business, level: strategy, period: day, owner: chain}}
  orders: {{metric: orders, role: kpi, level: tactic, parent: revenue, relation: influence, period: day, target: {ORDERS}, weight: 100, owner: sales, rules: {{behind_pace: off, target_at_risk: off}}}}
"#,
        zone = zone_at_noon(),
    )
}
