//! A partition that cannot be read from the start on delays what people are told; it does not keep it from them.

use std::io::Write;
use std::time::Duration;

use apache_avro::Schema;

use crate::alert::publish;
use crate::avro::{by_first, first};
use crate::parts::broker::Broker;
use crate::parts::daemon::{Site, zone_at_noon};
use crate::parts::produce::Producer;
use crate::parts::registry::Registry;
use crate::parts::slack::Slack;
use crate::parts::{unique, wait};

const WITHIN: Duration = Duration::from_secs(60);

#[test]
fn a_partition_that_is_stuck_at_the_start_does_not_silence_the_others() {
    let broker = Broker::shared();
    let (orders, articles) = (unique("stuck-orders"), unique("articles"));
    broker.create_topic(&orders, 1);
    broker.create_topic(&articles, 1);
    let mut registry = Registry::down();
    registry.register(1, &first());
    let slack = Slack::start();
    let site = Site::new(broker)
        .asks(&registry.setting())
        .tells(&slack.webhook())
        .declares(&catalog(&orders, &articles));
    let mut settings = std::fs::OpenOptions::new()
        .append(true)
        .open(site.settings())
        .unwrap();
    settings.write_all(b"alerts: {catchup_max: 4s}\n").unwrap();

    let schema = Schema::parse(&first()).unwrap();
    let mut producer = Producer::new(broker, &orders);
    producer.send(0, by_first(&schema, 1));
    producer.flush();
    publish(broker, &articles, 50);
    let daemon = site.start();
    let ready = |part: &str| {
        wait::until_ok(part, WITHIN, || {
            let body = daemon.get("/-/ready").body;
            if body.contains(part) { Ok(()) } else { Err(body) }
        });
    };
    ready("catching up: 1 records of history left to read; no notice is sent until then");
    ready("it takes longer than alerts.catchup_max, so notices are sent and say so");
    let page = daemon.get("/?lang=en").body;
    assert!(page.contains("notices are sent all the same"), "{page}");
    slack.wait_for(1, WITHIN);
    let told = &slack.messages()[0];
    assert!(told.text.contains("Articles is done (catching up)"), "{told:#?}");
    assert!(told.body.contains("the numbers may not be complete"), "{told:#?}");

    // What was stuck counts when it comes, and the mark is gone.
    registry.start();
    daemon.wait_until_ready();
    daemon.wait_for_value("revenue", WITHIN, 1.25);
    publish(broker, &articles, 50);
    slack.wait_for(2, WITHIN);
    let told = &slack.messages()[1];
    assert!(!told.text.contains("catching up"), "{told:#?}");
    daemon.stop();
}

fn catalog(orders: &str, articles: &str) -> String {
    format!(
        r#"
calendar: {{timezone: {zone}}}
sources:
  orders: {{topics: [{orders}], format: avro, time: at, fields: {{amount: amount}}}}
  articles: {{topics: [{articles}], format: json, time: published_at, lateness: 1s, fields: {{state: state}}}}
metrics:
  revenue: {{source: orders, agg: sum, expr: amount, unit: CNY}}
  articles: {{title: Articles, source: articles, agg: count, filter: state == "published"}}
nodes:
  revenue: {{metric: revenue, role: business, level: strategy, period: day, owner: chain}}
  articles: {{metric: articles, role: kpi, level: tactic, parent: revenue, relation: influence, period: day, profile: linear, target: 50, weight: 100, owner: content-team, rules: {{target_at_risk: off, behind_pace: off}}}}
rules:
  done:
    on: node
    nodes: [articles]
    when: node.completion >= 0.9 && node.completion < 1.9
    for: 0s
    severity: critical
    title: "{{{{ node.title }}}} is done"
"#,
        zone = zone_at_noon(),
    )
}
