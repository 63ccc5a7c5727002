//! A late event into a closed period: who was told that it was missed is told that it was met after all, once.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::parts::broker::Broker;
use crate::parts::daemon::{Site, zone_at_noon};
use crate::parts::produce::Producer;
use crate::parts::slack::Slack;
use crate::parts::unique;

const TOLD_WITHIN: Duration = Duration::from_secs(60);
/// How long after the start of the test the period closes: a busy machine takes its time to start the daemon.
const CLOSES_AFTER: SignedDuration = SignedDuration::from_secs(60);
/// Evaluations after which a repeated message would have come.
const QUIET: u64 = 15;
const TARGET: i64 = 10;

#[test]
fn a_late_event_that_changes_the_verdict_of_a_closed_period_is_told_once() {
    let broker = Broker::shared();
    let topic = unique("late-orders");
    broker.create_topic(&topic, 1);
    let slack = Slack::start();
    let site = Site::new(broker)
        .tells(&slack.webhook())
        .declares(&catalog(&topic));
    let daemon = site.start();
    daemon.wait_until_ready();

    let (first, late) = (0..TARGET / 2, TARGET / 2..TARGET);
    send(broker, &topic, first);
    slack.wait_for(1, TOLD_WITHIN);
    slack.wait_for(2, TOLD_WITHIN + CLOSES_AFTER.unsigned_abs());
    let messages = slack.messages();
    assert!(messages[0].body.contains("too few"), "{messages:#?}");
    assert!(
        messages[1].text.contains("Period closed: too few"),
        "{messages:#?}"
    );

    // The day is over, and an event more of it than it needs comes.
    send(broker, &topic, late);
    slack.wait_for(3, TOLD_WITHIN);
    daemon.wait_for_evaluations(QUIET);
    let messages = slack.messages();
    assert_eq!(messages.len(), 3, "{messages:#?}");
    assert!(messages[2].text.contains("Correction: too few"), "{messages:#?}");
    assert!(
        messages[2]
            .body
            .contains("It was told as missed; late data changed that."),
        "{messages:#?}"
    );
    daemon.wait_until_delivered(3.0);
    daemon.kill();

    // Told once, also over a kill.
    let daemon = site.start();
    daemon.wait_until_ready();
    daemon.wait_for_evaluations(QUIET);
    assert_eq!(slack.messages().len(), 3, "{:#?}", slack.messages());
    daemon.stop();
}

/// Orders of yesterday.
fn send(broker: &Broker, topic: &str, ids: std::ops::Range<i64>) {
    let yesterday = Timestamp::now() - SignedDuration::from_hours(20);
    let mut producer = Producer::new(broker, topic);
    for id in ids {
        producer.send(0, format!(r#"{{"at": "{yesterday}", "id": "o{id}"}}"#));
    }
    producer.flush();
}

/// Events may come so late that yesterday closes only while the test runs.
fn catalog(topic: &str) -> String {
    let zone = zone_at_noon();
    let now = Timestamp::now().to_zoned_datetime(TimeZone::get(&zone).unwrap());
    let midnight = now.start_of_day().unwrap().timestamp();
    let lateness = now.timestamp().duration_since(midnight) + CLOSES_AFTER;
    format!(
        r#"
calendar: {{timezone: {zone}}}
sources:
  orders: {{topics: [{topic}], format: json, time: at, id: id, dedup: 7d, lateness: {lateness}s, fields: {{}}}}
metrics:
  orders: {{source: orders, agg: count}}
nodes:
  orders: {{metric: orders, role: business, period: day, target: {TARGET}, owner: sales}}
rules:
  short: {{on: node, when: node.completion < 0.9 && node.elapsed > 0.9, title: too few}}
"#,
        lateness = lateness.as_secs(),
    )
}
