//! Any Kafka client moves the numbers, and Kafka's own tools see how far tautline has read.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::parts::broker::Broker;
use crate::parts::daemon::{Site, zone_at_noon};
use crate::parts::events::Order;
use crate::parts::{unique, wait};

/// What a user may expect.
const PROMISED: Duration = Duration::from_secs(2);
/// What a test may demand on a machine that is busy with something else.
const WITHIN: Duration = Duration::from_secs(15);

#[test]
fn an_event_from_kcat_moves_completion_and_the_group_shows_it() {
    let broker = Broker::shared();
    let topic = unique("orders");
    broker.create_topic(&topic, 3);
    let site = Site::new(broker).declares(&catalog(&topic));
    let daemon = site.start();
    daemon.wait_until_ready();

    let mut slowest = Duration::ZERO;
    for n in 1..=3u32 {
        kcat(broker, &topic, &Order::paid(&format!("o{n}"), "250").structured());
        let produced = Instant::now();
        daemon.wait_for("the event moves completion", WITHIN, |metrics| {
            let seen = metrics.get("tautline_kpi_completion_ratio", &[("node", "revenue")]);
            if seen == Some(f64::from(n) / 4.0) {
                Ok(())
            } else {
                Err(format!("{seen:?}"))
            }
        });
        slowest = slowest.max(produced.elapsed());
    }
    eprintln!("from kcat to /metrics: {slowest:?} at most; promised: {PROMISED:?}");
    if std::thread::available_parallelism().is_ok_and(|cores| cores.get() >= 2) {
        assert!(slowest < PROMISED * 3, "{slowest:?}");
    }

    let described = wait::until_ok(
        "the group's offsets stand at the end",
        Duration::from_secs(60),
        || {
            let group = ["--describe", "--group", site.group(), "--offsets"];
            let text = broker.tool(
                "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
                &group,
            );
            let lines = text
                .lines()
                .map(|line| line.split_whitespace().collect::<Vec<_>>());
            // GROUP TOPIC PARTITION CURRENT-OFFSET LOG-END-OFFSET LAG …
            let mine: Vec<_> = lines
                .filter(|columns| columns.get(1) == Some(&topic.as_str()))
                .collect();
            let read: u32 = mine
                .iter()
                .filter_map(|columns| columns[3].parse::<u32>().ok())
                .sum();
            let no_lag = mine.iter().all(|columns| columns[3] == "-" || columns[5] == "0");
            if read == 3 && no_lag { Ok(text) } else { Err(text) }
        },
    );
    eprintln!("{described}");
    daemon.stop();
}

/// Produces one record as a person would.
#[track_caller]
fn kcat(broker: &Broker, topic: &str, payload: &str) {
    let mut kcat = Command::new("kcat")
        .args(["-P", "-b", &broker.bootstrap(), "-t", topic])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    kcat.stdin.take().unwrap().write_all(payload.as_bytes()).unwrap();
    assert!(kcat.wait().unwrap().success());
}

fn catalog(topic: &str) -> String {
    format!(
        r#"
calendar: {{timezone: {zone}}}
sources:
  orders: {{topics: [{topic}], format: cloudevents, time: time, fields: {{type: type, amount: data.amount}}}}
metrics:
  revenue: {{source: orders, agg: sum, expr: amount, filter: type == "order.paid", unit: CNY}}
nodes:
  revenue: {{metric: revenue, role: business, level: strategy, period: day, target: 1000, owner: chain}}
"#,
        zone = zone_at_noon(),
    )
}
