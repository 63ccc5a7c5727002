//! A source of which nothing comes any more, on a real broker: told once, to its owner, over a kill; a heartbeat keeps
//! another one alive.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;

use crate::parts::broker::Broker;
use crate::parts::daemon::{Daemon, Site};
use crate::parts::metrics::Metrics;
use crate::parts::produce::Producer;
use crate::parts::slack::Slack;
use crate::parts::unique;

const TOLD_WITHIN: Duration = Duration::from_secs(60);
/// Evaluations after which a repeated message would have come.
const QUIET: u64 = 15;

#[test]
fn a_dead_feed_is_told_once_over_a_kill_and_one_with_a_heartbeat_is_not_dead() {
    let broker = Broker::shared();
    let [orders, visits, beats] = ["orders", "visits", "beats"].map(unique);
    for topic in [&orders, &visits, &beats] {
        broker.create_topic(topic, 1);
    }
    let heart = Heart::start(broker, &beats);
    let slack = Slack::start();
    let site = Site::new(broker)
        .tells(&slack.webhook())
        .declares(&catalog(&orders, &visits, &beats));
    let daemon = site.start();
    daemon.wait_until_ready();

    event(broker, &orders);
    event(broker, &visits);
    slack.wait_for(1, TOLD_WITHIN);
    let said = slack.messages()[0].body.clone();
    assert!(
        said.contains("Nothing comes from source orders any more") && said.contains("data-team"),
        "{said}"
    );
    assert!(staleness(&daemon, "orders") >= 1.0);
    assert!(staleness(&daemon, "visits") < 1.0);
    let page = daemon.get("/").body;
    assert!(
        page.contains("Nothing comes from source orders any more"),
        "{page}"
    );
    let sources = daemon.get("/api/v1/sources").json();
    assert_eq!(
        sources["data"]["sources"][0]["silent"]["freshness"], "stale",
        "{sources}"
    );
    daemon.wait_until_delivered(1.0);
    daemon.kill();

    let daemon = site.start();
    daemon.wait_until_ready();
    daemon.wait_for_evaluations(QUIET);
    assert_eq!(slack.messages().len(), 1, "told again: {:#?}", slack.messages());
    assert!(
        staleness(&daemon, "orders") >= 1.0,
        "what was known of it is kept"
    );

    event(broker, &orders);
    slack.wait_for(2, TOLD_WITHIN);
    let said = slack.messages()[1].text.clone();
    assert!(
        said.contains("Resolved: Nothing comes from source orders"),
        "{said}"
    );
    // Events older than what their source allows are counted, and count.
    let late = |metrics: &Metrics| metrics.get("tautline_late_events_total", &[("source", "orders")]);
    assert_eq!(late(&daemon.metrics()), Some(0.0));
    let mut producer = Producer::new(broker, &orders);
    producer.send(0, r#"{"at": "2026-01-01T00:00:00Z"}"#);
    producer.flush();
    daemon.wait_for("a late event", TOLD_WITHIN, |metrics| match late(metrics) {
        Some(1.0) => Ok(()),
        seen => Err(format!("{seen:?}")),
    });
    heart.stop();
    daemon.stop();
}

fn staleness(daemon: &Daemon, source: &str) -> f64 {
    let metrics = daemon.metrics();
    metrics
        .get("tautline_source_staleness", &[("source", source)])
        .unwrap_or_else(|| panic!("no staleness of {source}"))
}

fn event(broker: &Broker, topic: &str) {
    let mut producer = Producer::new(broker, topic);
    producer.send(0, format!(r#"{{"at": "{}"}}"#, Timestamp::now()));
    producer.flush();
}

/// Writes into a topic every second.
struct Heart {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<()>,
}

impl Heart {
    fn start(broker: &'static Broker, topic: &str) -> Heart {
        let stop = Arc::new(AtomicBool::new(false));
        let (until, topic) = (stop.clone(), topic.to_owned());
        let thread = std::thread::spawn(move || {
            let mut producer = Producer::new(broker, &topic);
            while !until.load(Ordering::Relaxed) {
                producer.send(0, "{}");
                producer.flush();
                std::thread::sleep(Duration::from_secs(1));
            }
        });
        Heart { stop, thread }
    }

    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
    }
}

fn catalog(orders: &str, visits: &str, beats: &str) -> String {
    format!(
        r#"
sources:
  orders: {{topics: [{orders}], format: json, time: at, expected_interval: 1s, stale_after: 12s, owner: data-team, fields: {{}}}}
  visits: {{topics: [{visits}], format: json, time: at, expected_interval: 1s, stale_after: 12s, heartbeat: [{beats}], fields: {{}}}}
metrics:
  orders: {{source: orders, agg: count}}
  visits: {{source: visits, agg: count}}
nodes:
  orders: {{metric: orders, role: business, period: month}}
  visits: {{metric: visits, role: business, period: month}}
"#
    )
}
