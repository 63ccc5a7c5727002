//! A drift alert reaches Slack once, and its resolution once, also over a restart.

use std::time::Duration;

use crate::parts::broker::Broker;
use crate::parts::daemon::{Daemon, Site, shown, tautline, zone_at_noon};
use crate::parts::events::{Order, article};
use crate::parts::produce::Producer;
use crate::parts::slack::Slack;
use crate::parts::unique;

const TOLD_WITHIN: Duration = Duration::from_secs(30);
/// Evaluations after which a repeated message would have come.
const QUIET: u64 = 15;

/// A daemon that has told its Slack of one thing: every article is written, and the revenue that they serve is behind.
pub(crate) struct Story {
    /// The topic of the orders.
    pub(crate) orders: String,
    pub(crate) slack: Slack,
    pub(crate) site: Site,
    pub(crate) daemon: Daemon,
}

impl Story {
    #[track_caller]
    pub(crate) fn told() -> Story {
        let broker = Broker::shared();
        let (orders, articles) = (unique("orders"), unique("articles"));
        broker.create_topic(&orders, 2);
        broker.create_topic(&articles, 1);
        let slack = Slack::start();
        let site = Site::new(broker)
            .tells(&slack.webhook())
            .declares(&catalog(&orders, &articles));
        let daemon = site.start();
        daemon.wait_until_ready();
        // Half of the day has passed: 100 of 1000 is a pace of about 0.2.
        sell(broker, &orders, "100.00");
        publish(broker, &articles, 50);
        slack.wait_for(1, TOLD_WITHIN);
        Story {
            orders,
            slack,
            site,
            daemon,
        }
    }
}

#[test]
fn a_link_rule_fires_once_and_resolves_once_over_a_restart() {
    let Story {
        orders,
        slack,
        site,
        daemon,
    } = Story::told();
    let fired = &slack.messages()[0];
    for part in ["Articles is done, Revenue is not", "content-team", "100"] {
        assert!(fired.body.contains(part), "'{part}' is missing in {fired:#?}");
    }
    assert_firing(&daemon, true);
    reports_tell_of_it(&site);
    daemon.wait_for_evaluations(QUIET);
    daemon.stop();
    reports_tell_of_it(&site);

    let daemon = site.start();
    daemon.wait_until_ready();
    daemon.wait_for_evaluations(QUIET);
    assert_firing(&daemon, true);
    assert_eq!(slack.messages().len(), 1, "told again: {:#?}", slack.messages());

    sell(Broker::shared(), &orders, "900.00");
    slack.wait_for(2, TOLD_WITHIN);
    daemon.wait_for_evaluations(QUIET);
    assert_firing(&daemon, false);
    let messages = slack.messages();
    assert_eq!(messages.len(), 2, "{messages:#?}");
    let resolved = &messages[1];
    assert_ne!(resolved.id, fired.id);
    assert_eq!(episode(&resolved.id), episode(&fired.id), "one episode");
    assert!(resolved.text.to_lowercase().contains("resolved"), "{resolved:#?}");
    let metrics = daemon.metrics();
    assert_eq!(metrics.get("tautline_oldest_undelivered_seconds", &[]), Some(0.0));
    daemon.stop();
}

/// `explain` and `review` read the state, whether the daemon is running or not.
#[track_caller]
fn reports_tell_of_it(site: &Site) {
    let config = site.settings();
    let config = config.to_str().unwrap();
    let told = |args: &[&str]| {
        let output = tautline(&[args, &["--config", config, "--language", "en"]].concat());
        assert!(output.status.success(), "{args:?}: {}", shown(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let explained = told(&["explain", "articles"]);
    for part in [
        "100% = 50 / 50",
        "done-but-flat: firing since",
        "kpi.completion = 1,",
    ] {
        assert!(explained.contains(part), "'{part}' is missing in {explained}");
    }
    let zone = jiff::tz::TimeZone::get(&zone_at_noon()).unwrap();
    let today = zone.to_datetime(jiff::Timestamp::now()).date().to_string();
    let reviewed = told(&["review", "--period", &today]);
    for part in [
        "The period is not over",
        "Articles is done, Revenue is not",
        "still firing",
    ] {
        assert!(reviewed.contains(part), "'{part}' is missing in {reviewed}");
    }
    let misspelt = tautline(&["explain", "artcles", "--config", config]);
    assert_eq!(misspelt.status.code(), Some(1));
    assert!(
        shown(&misspelt).contains("did you mean 'articles'?"),
        "{}",
        shown(&misspelt)
    );
}

/// The part of a notice's id before its number.
fn episode(id: &str) -> &str {
    id.rsplit_once('.').expect("an id is <episode>.<seq>").0
}

#[track_caller]
fn assert_firing(daemon: &Daemon, firing: bool) {
    let alerts = daemon.get("/api/v1/alerts").json();
    let mine = alerts["data"]["alerts"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|alert| alert["labels"]["alertname"] == "done-but-flat" && alert["state"] == "firing");
    assert_eq!(mine.count(), usize::from(firing), "{alerts}");
    let state = daemon
        .metrics()
        .get("tautline_alert_state", &[("alertname", "done-but-flat")]);
    assert_eq!(state, firing.then_some(3.0));
}

pub(crate) fn sell(broker: &Broker, topic: &str, amount: &str) {
    let mut producer = Producer::new(broker, topic);
    producer.send(1, Order::paid(amount, amount).structured());
    producer.flush();
}

pub(crate) fn publish(broker: &Broker, topic: &str, count: u32) {
    let mut producer = Producer::new(broker, topic);
    for n in 0..count {
        producer.send(0, article(&format!("a{n}")));
    }
    producer.flush();
}

pub(crate) fn catalog(orders: &str, articles: &str) -> String {
    format!(
        r#"
calendar: {{timezone: {zone}}}
sources:
  orders: {{topics: [{orders}], format: cloudevents, time: time, lateness: 1s, fields: {{type: type, amount: data.amount}}}}
  articles: {{topics: [{articles}], format: json, time: published_at, lateness: 1s, fields: {{state: state}}}}
metrics:
  revenue: {{title: Revenue, source: orders, agg: sum, expr: amount, filter: type == "order.paid", unit: CNY}}
  articles: {{title: Articles, source: articles, agg: count, filter: state == "published"}}
nodes:
  revenue: {{metric: revenue, role: business, level: strategy, period: day, profile: linear, target: 1000, owner: chain, rules: {{target_at_risk: off}}}}
  articles: {{metric: articles, role: kpi, level: tactic, parent: revenue, relation: influence, period: day, profile: linear, target: 50, weight: 100, owner: content-team, rules: {{target_at_risk: off}}}}
rules:
  done-but-flat:
    on: link
    nodes: [articles]
    when: kpi.completion >= 0.9 && parent.pace < 0.9
    clear: kpi.completion < 0.9 || parent.pace > 0.95
    for: 0s
    severity: critical
    title: "{{{{ kpi.title }}}} is done, {{{{ parent.title }}}} is not"
"#,
        zone = zone_at_noon(),
    )
}
