//! The topic of the alert log: every notice, what came of it, every episode and why somebody was not told, each line once,
//! however often the daemon is killed.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, Consumer};
use serde_json::Value;

use crate::parts::broker::Broker;
use crate::parts::daemon::{Site, zone_at_noon};
use crate::parts::events::Order;
use crate::parts::produce::Producer;
use crate::parts::slack::Slack;
use crate::parts::{unique, wait};

const REGIONS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
const TOLD_WITHIN: Duration = Duration::from_secs(60);

#[test]
fn every_line_is_in_the_log_once_however_often_the_daemon_is_killed() {
    let broker = Broker::shared();
    let (topic, log) = (unique("orders"), unique("alert-log"));
    broker.create_topic(&topic, 1);
    let slack = Slack::start();
    let site = Site::new(broker)
        .tells(&slack.webhook())
        .declares(&catalog(&topic))
        .logs_to(&log);
    let mut producer = Producer::new(broker, &topic);
    for (number, region) in REGIONS.iter().enumerate() {
        let daemon = site.start();
        let id = format!("o{number}");
        let order = Order {
            id: &id,
            at: Timestamp::now(),
            kind: "order.paid",
            amount: "2000.00",
            customer: "c1",
            region,
        };
        producer.send(0, order.structured());
        producer.flush();
        slack.wait_for(number + 1, TOLD_WITHIN);
        // At any moment of writing to the log.
        std::thread::sleep(Duration::from_millis(70 * number as u64));
        daemon.kill();
    }
    let daemon = site.start();
    daemon.wait_until_ready();
    daemon.wait_until_delivered(0.0);
    daemon.wait_for("the log has everything", TOLD_WITHIN, |metrics| {
        match metrics.get("tautline_alert_log_waiting_lines", &[]) {
            Some(0.0) => Ok(()),
            seen => Err(format!("{seen:?}; {}", daemon.log())),
        }
    });
    daemon.stop();

    let lines = read(broker, &log);
    let numbers: Vec<i64> = lines
        .iter()
        .map(|line| line["number"].as_i64().unwrap())
        .collect();
    assert_eq!(
        numbers,
        (1..=numbers.len() as i64).collect::<Vec<_>>(),
        "{lines:#?}"
    );
    let of = |kind: &str| -> Vec<&Value> { lines.iter().filter(|line| line["type"] == kind).collect() };
    let notices: BTreeSet<&str> = of("notice")
        .iter()
        .map(|line| line["notice"].as_str().unwrap())
        .collect();
    assert_eq!(notices.len(), REGIONS.len(), "{lines:#?}");
    assert_eq!(of("notice").len(), REGIONS.len());
    assert_eq!(of("episode").len(), REGIONS.len());
    let told = slack.ids();
    assert_eq!(notices, told.iter().map(String::as_str).collect());
    let outcomes = of("outcome");
    assert_eq!(outcomes.len(), REGIONS.len(), "{lines:#?}");
    for outcome in outcomes {
        assert_eq!(outcome["status"], "delivered");
        assert!(notices.contains(outcome["notice"].as_str().unwrap()));
    }
    let states: BTreeSet<&str> = lines.iter().map(|line| line["state"].as_str().unwrap()).collect();
    assert_eq!(states.len(), 1);
}

/// Everything that is committed.
fn read(broker: &Broker, topic: &str) -> Vec<Value> {
    let consumer: BaseConsumer = broker
        .client()
        .set("group.id", unique("reader"))
        .set("auto.offset.reset", "earliest")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true")
        .create()
        .unwrap();
    let mut list = rdkafka::TopicPartitionList::new();
    list.add_partition_offset(topic, 0, rdkafka::Offset::Beginning)
        .unwrap();
    consumer.assign(&list).unwrap();
    let mut lines = Vec::new();
    wait::until("the end of the log", Duration::from_secs(30), || {
        match consumer.poll(Duration::from_millis(500))? {
            Ok(message) => {
                lines.push(serde_json::from_slice(message.payload().unwrap()).unwrap());
                None
            }
            Err(rdkafka::error::KafkaError::PartitionEOF(_)) => Some(()),
            Err(_) => None,
        }
    });
    lines
}

fn catalog(topic: &str) -> String {
    format!(
        r#"
calendar: {{timezone: {zone}}}
sources:
  orders:
    topics: [{topic}]
    format: cloudevents
    time: time
    fields: {{type: type, amount: data.amount, region: data.region}}
metrics:
  revenue: {{source: orders, agg: sum, expr: amount, unit: CNY, dimensions: [region]}}
nodes:
  revenue: {{metric: revenue, role: business, level: strategy, period: day, owner: chain}}
  region-revenue: {{metric: revenue, role: business, level: strategy, parent: revenue, relation: sum, each: [region], period: day, owner: regions}}
rules:
  large: {{on: node, nodes: [region-revenue], when: "node.value >= 1000", for: 0s, severity: info, title: "{{{{ node.title }}}} is large"}}
"#,
        zone = zone_at_noon(),
    )
}
