//! Items that are under way and keys that are new, over a daemon that is killed: counted and told once.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::parts::broker::Broker;
use crate::parts::daemon::{Daemon, Site, zone_at_noon};
use crate::parts::produce::Producer;
use crate::parts::slack::Slack;
use crate::parts::unique;

const TOLD_WITHIN: Duration = Duration::from_secs(30);
/// Evaluations after which a repeated message would have come.
const QUIET: u64 = 15;

#[test]
fn an_overdue_item_is_told_once_and_ends_once_over_a_kill() {
    let broker = Broker::shared();
    let topic = unique("tickets");
    broker.create_topic(&topic, 2);
    let slack = Slack::start();
    let site = Site::new(broker)
        .tells(&slack.webhook())
        .declares(&catalog(&topic));
    let daemon = site.start();
    daemon.wait_until_ready();

    // The end of t2 comes by way of another partition, maybe before its start. t3 is younger than what is allowed.
    ticket(broker, &topic, 0, "t1", "open", 180, "ann");
    ticket(broker, &topic, 1, "t2", "done", 60, "ann");
    ticket(broker, &topic, 0, "t2", "open", 120, "bob");
    ticket(broker, &topic, 1, "t3", "open", 10, "ann");
    slack.wait_for(1, TOLD_WITHIN);
    daemon.wait_for_evaluations(QUIET);
    assert!(
        slack.messages()[0].body.contains("t1 is overdue"),
        "{:#?}",
        slack.messages()
    );
    assert_eq!(numbers(&daemon), (2, 1, Some(2.0)));
    daemon.kill();

    let daemon = site.start();
    daemon.wait_until_ready();
    daemon.wait_for_evaluations(QUIET);
    assert_eq!(slack.messages().len(), 1, "told again: {:#?}", slack.messages());
    assert_eq!(numbers(&daemon), (2, 1, Some(2.0)));
    let page = daemon.get("/nodes/speed").body;
    assert!(page.contains("t1") && page.contains("overdue"), "{page}");
    // The known customer is not new after the restart, and the ticket's end ends the alert.
    ticket(broker, &topic, 1, "t1", "done", 0, "ann");
    slack.wait_for(2, TOLD_WITHIN);
    daemon.wait_for_evaluations(QUIET);
    let messages = slack.messages();
    assert_eq!(messages.len(), 2, "{messages:#?}");
    assert!(
        messages[1].text.contains("Resolved: t1 is overdue"),
        "{:#?}",
        messages[1]
    );
    assert_eq!(numbers(&daemon), (1, 0, Some(2.0)));
    daemon.stop();
}

/// Open items, overdue items, and new customers.
fn numbers(daemon: &Daemon) -> (u64, u64, Option<f64>) {
    let node = daemon.get("/api/v1/nodes/speed").json();
    let open = &node["data"]["instances"][0]["openItems"];
    let count = |name: &str| open[name].as_u64().unwrap_or_else(|| panic!("{node}"));
    let new = daemon
        .metrics()
        .get("tautline_kpi_value", &[("node", "customers")]);
    (count("count"), count("overdue"), new)
}

fn ticket(
    broker: &Broker,
    topic: &str,
    partition: i32,
    id: &str,
    state: &str,
    minutes_ago: i64,
    customer: &str,
) {
    let at = Timestamp::now() - SignedDuration::from_mins(minutes_ago);
    let mut producer = Producer::new(broker, topic);
    producer.send(
        partition,
        format!(r#"{{"id": "{id}", "state": "{state}", "at": "{at}", "customer": "{customer}"}}"#),
    );
    producer.flush();
}

fn catalog(topic: &str) -> String {
    format!(
        r#"
calendar: {{timezone: {zone}}}
sources:
  tickets: {{topics: [{topic}], format: json, time: at, lateness: 0s, fields: {{id: id, state: state, customer: customer}}}}
metrics:
  hours: {{title: Hours to solve, source: tickets, type: duration, key: id, start: state == "open", end: state == "done", agg: avg, unit: hours}}
  new_customers: {{source: tickets, agg: count_new, expr: customer}}
nodes:
  speed: {{metric: hours, role: business, level: strategy, direction: lower, period: month, overdue_after: 2h, owner: support}}
  customers: {{metric: new_customers, role: business, period: month, owner: sales}}
"#,
        zone = zone_at_noon(),
    )
}
