//! Slack down: whatever it answers, nothing is lost, the order is kept, and no limit is broken.

use std::time::Duration;

use tautline::notify::fake_slack::Scripted;

use crate::parts::broker::Broker;
use crate::parts::daemon::{Daemon, Site, zone_at_noon};
use crate::parts::events::Order;
use crate::parts::produce::Producer;
use crate::parts::slack::Slack;
use crate::parts::unique;

const REGIONS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
/// A failed attempt is repeated after seconds at first.
const TOLD_WITHIN: Duration = Duration::from_secs(120);
const DECIDED_WITHIN: Duration = Duration::from_secs(30);

#[test]
fn what_waits_goes_to_the_address_that_a_reload_brings() {
    let broker = Broker::shared();
    let topic = unique("levels");
    broker.create_topic(&topic, 1);
    let (slack, other) = (Slack::start(), Slack::start());
    for _ in 0..50 {
        slack.script(Scripted::new(503, ""));
    }
    let site = Site::new(broker)
        .tells(&slack.webhook())
        .declares(&catalog(&topic));
    let daemon = site.start();
    daemon.wait_until_ready();
    let mut producer = Producer::new(broker, &topic);
    set_level(&mut producer, "a", "150");
    wait_for_firing(&daemon, 1);

    let written = std::fs::read_to_string(site.settings()).unwrap();
    assert!(written.contains(&slack.webhook()), "{written}");
    let moved = written.replace(&slack.webhook(), &other.webhook());
    std::fs::write(site.settings(), moved).unwrap();
    let taken = daemon.post("/-/reload");
    assert_eq!(taken.status, 200, "{taken:?}");
    assert!(!taken.body.contains("restart"), "{taken:?}");
    other.wait_for(1, TOLD_WITHIN);
    set_level(&mut producer, "b", "150");
    other.wait_for(2, TOLD_WITHIN);
    let messages = other.messages();
    let regions: Vec<&str> = messages.iter().map(|message| region_of(&message.body)).collect();
    assert_eq!(regions, ["a", "b"]);
    assert!(slack.messages().is_empty(), "{:#?}", slack.requests());
    daemon.stop();
}

#[test]
fn no_answer_of_slack_loses_a_message_or_changes_their_order() {
    let broker = Broker::shared();
    let topic = unique("levels");
    broker.create_topic(&topic, 1);
    let slack = Slack::start();
    let ok = || Scripted::new(200, "ok");
    let failures = [
        Scripted::hang(),
        Scripted::new(429, r#"{"retry_after":2,"ok":false,"error":"rate_limited"}"#)
            .with_header("Retry-After", "2"),
        Scripted::new(500, "rollup_error"),
        Scripted::new(200, "<html>a proxy in between</html>"),
        Scripted::new(503, ""),
        // Shown, but the answer is lost: only now the same notice may come twice.
        Scripted::hang().and_show(),
    ];
    for failure in failures {
        slack.script(failure);
        slack.script(ok());
    }
    let site = Site::new(broker)
        .tells(&slack.webhook())
        .declares(&catalog(&topic));
    let daemon = site.start();
    daemon.wait_until_ready();

    // One decision after the other, faster than they can be delivered.
    let mut producer = Producer::new(broker, &topic);
    for (i, region) in REGIONS.iter().enumerate() {
        set_level(&mut producer, region, "150");
        wait_for_firing(&daemon, i + 1);
    }
    slack.wait_for(REGIONS.len() + 1, TOLD_WITHIN);
    let fired = slack.messages();
    let regions: Vec<&str> = fired.iter().map(|message| region_of(&message.body)).collect();
    assert_eq!(
        regions,
        ["a", "b", "c", "d", "e", "f", "f"],
        "{:#?}",
        slack.requests()
    );
    assert_eq!(fired[5].id, fired[6].id);
    assert_eq!(slack.ids().len(), REGIONS.len());

    // Slack is well again; the resolutions come in their order as well, also over a restart with some undelivered.
    for (i, region) in REGIONS.iter().enumerate() {
        set_level(&mut producer, region, "50");
        wait_for_firing(&daemon, REGIONS.len() - i - 1);
    }
    daemon.stop();
    let daemon = site.start();
    slack.wait_for(2 * REGIONS.len() + 1, TOLD_WITHIN);
    daemon.wait_for_evaluations(10);
    let messages = slack.messages();
    let resolved: Vec<&str> = messages[7..]
        .iter()
        .map(|message| region_of(&message.body))
        .collect();
    assert_eq!(resolved, REGIONS, "{:#?}", slack.requests());
    assert_eq!(slack.ids().len(), 2 * REGIONS.len());
    assert_limits_kept(&slack);
    let metrics = daemon.metrics();
    assert_eq!(metrics.get("tautline_oldest_undelivered_seconds", &[]), Some(0.0));
    daemon.stop();
}

/// Slack itself refused nothing, and was not asked again before the time it had named.
#[track_caller]
fn assert_limits_kept(slack: &Slack) {
    let requests = slack.requests();
    for request in &requests {
        assert!(
            request.status == 200 || request.why == "scripted",
            "{requests:#?}"
        );
    }
    let limited = requests.iter().position(|request| request.status == 429).unwrap();
    let wait = requests[limited + 1]
        .received
        .duration_since(requests[limited].received);
    assert!(
        wait.as_secs_f64() >= 2.0,
        "asked again after {wait}: {requests:#?}"
    );
}

/// The region that a message is about.
#[track_caller]
fn region_of(body: &str) -> &'static str {
    let found: Vec<_> = REGIONS
        .into_iter()
        .filter(|region| body.contains(&format!("Level · {region}")))
        .collect();
    assert_eq!(found.len(), 1, "{body}");
    found[0]
}

#[track_caller]
fn wait_for_firing(daemon: &Daemon, count: usize) {
    daemon.wait_for("the alerts are decided", DECIDED_WITHIN, |metrics| {
        let firing = metrics.sum("tautline_alert_state", &[("alertname", "full")]) / 3.0;
        if firing == count as f64 {
            Ok(())
        } else {
            Err(format!("{firing} of {count} firing"))
        }
    });
}

fn set_level(producer: &mut Producer, region: &str, level: &str) {
    let order = Order {
        region,
        ..Order::paid(region, level)
    };
    producer.send(0, order.structured());
    producer.flush();
}

fn catalog(topic: &str) -> String {
    format!(
        r#"
calendar: {{timezone: {zone}}}
sources:
  orders: {{topics: [{topic}], format: cloudevents, time: time, lateness: 1s, fields: {{amount: data.amount, region: data.region}}}}
metrics:
  level: {{title: Level, source: orders, agg: last, expr: amount, dimensions: [region]}}
nodes:
  level: {{metric: level, role: business, level: strategy, each: [region], period: day, owner: store}}
rules:
  full: {{on: node, nodes: [level], when: node.value >= 100.0, for: 0s, severity: warning, title: "{{{{ node.title }}}} is full"}}
"#,
        zone = zone_at_noon(),
    )
}
