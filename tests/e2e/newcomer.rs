//! What happens to those who begin: a topic that is misspelt, a feed of which nothing can be used, settings that change,
//! and history that is older than what is kept.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::{Timestamp, ToSpan};

use crate::parts::broker::Broker;
use crate::parts::daemon::{Daemon, Site, zone_at_noon};
use crate::parts::events::Order;
use crate::parts::metrics::Metrics;
use crate::parts::produce::Producer;
use crate::parts::unique;

const WITHIN: Duration = Duration::from_secs(60);

#[test]
fn a_topic_that_is_not_there_is_said_and_read_once_it_is() {
    let broker = Broker::shared();
    // Asking for the ends of a hundred partitions takes long enough for others to be read on meanwhile.
    let (there, wide, late) = (unique("orders"), unique("orders"), unique("orders"));
    broker.create_topic(&there, 1);
    broker.create_topic(&wide, 100);
    let site = Site::new(broker).declares(&catalog(&format!("{there}, {wide}, {late}")));
    let daemon = site.start();
    let missing = [("topic", late.as_str())];
    wait_for(&daemon, "tautline_topic_missing", &missing, Some(1.0));
    let page = daemon.get("/?lang=en").body;
    assert!(page.contains(&format!("Kafka has no topic {late}")), "{page}");

    // The other topic is read meanwhile: a start over one topic more doubles nothing of it.
    let is_over = AtomicBool::new(false);
    let written = std::thread::scope(|scope| {
        let flow = scope.spawn(|| {
            let mut producer = Producer::new(broker, &there);
            let mut written = 0.0;
            while !is_over.load(Ordering::Relaxed) {
                for _ in 0..20 {
                    producer.send(0, Order::paid("o", "1").structured());
                    written += 1.0;
                }
                producer.flush();
            }
            written
        });
        daemon.wait_for("the flow", WITHIN, |metrics: &Metrics| {
            let read = metrics.get("tautline_kpi_value", &[("node", "revenue")]);
            let flows = read.is_some_and(|read| read > 100.0);
            flows.then_some(()).ok_or_else(|| format!("{read:?}"))
        });
        broker.create_topic(&late, 1);
        let mut producer = Producer::new(broker, &late);
        producer.send(0, Order::paid("o1", "500").structured());
        producer.flush();
        wait_for(&daemon, "tautline_topic_missing", &missing, None);
        is_over.store(true, Ordering::Relaxed);
        flow.join().unwrap()
    });
    let all = Some(500.0 + written);
    wait_for(&daemon, "tautline_kpi_value", &[("node", "revenue")], all);
    daemon.stop();
}

#[test]
fn a_feed_of_which_nothing_can_be_used_from_the_first_event_on_is_told() {
    let broker = Broker::shared();
    let topic = unique("orders");
    broker.create_topic(&topic, 2);
    let site = Site::new(broker).declares(&catalog(&topic));
    let daemon = site.start();
    let mut producer = Producer::new(broker, &topic);
    let local = Order::paid("o1", "500").structured().replace('Z', "");
    for n in 0..40 {
        producer.send(n % 2, &local);
    }
    producer.flush();
    let broken = [("alertname", "rejected"), ("source", "orders")];
    wait_for(&daemon, "tautline_alert_state", &broken, Some(3.0));
    let detail = site.dead_letters()[0]["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("write timezone: Asia/Shanghai"), "{detail}");

    // What it says helps.
    let zoned = catalog(&topic).replace("time: time,", "time: time, timezone: UTC,");
    site.write_catalog(&zoned);
    assert_eq!(daemon.post("/-/reload").status, 200);
    producer.send(0, &local);
    producer.flush();
    wait_for(&daemon, "tautline_kpi_value", &[("node", "revenue")], Some(500.0));
    daemon.stop();
}

#[test]
fn a_reload_takes_over_settings_or_says_that_they_need_a_restart() {
    let broker = Broker::shared();
    let topic = unique("orders");
    broker.create_topic(&topic, 1);
    let site = Site::new(broker).declares(&catalog(&topic));
    let daemon = site.start();
    let written = std::fs::read_to_string(site.settings()).unwrap();
    let rewrite = |from: &str, to: &str| {
        assert!(written.contains(from), "{written}");
        std::fs::write(site.settings(), written.replace(from, to)).unwrap();
        daemon.post("/-/reload")
    };
    let taken = rewrite("every: 200ms", "every: 100ms");
    assert_eq!(taken.status, 200, "{taken:?}");
    assert!(!taken.body.contains("restart"), "{taken:?}");
    let taken = rewrite(
        "receivers:\n",
        "receivers:\n  boss: {slack_webhook: {url: \"http://127.0.0.1:9/b\", allow_private: true}}\n",
    );
    assert_eq!(taken.status, 200, "{taken:?}");
    assert!(!taken.body.contains("restart"), "{taken:?}");
    let started = rewrite("language: ", "language: zh # ");
    assert_eq!(started.status, 200, "{started:?}");
    assert!(
        started
            .body
            .contains("language changed, and that needs a restart"),
        "{started:?}"
    );
    let wrong = rewrite("routes: {receiver: ops", "routes: {receiver: opps");
    assert_eq!(wrong.status, 400, "{wrong:?}");
    assert!(
        wrong.body.contains("tautline.yaml:") && wrong.body.contains("opps"),
        "{wrong:?}"
    );
    daemon.stop();
}

#[test]
fn days_beyond_what_is_kept_are_forgotten_and_not_half_counted_again() {
    let broker = Broker::shared();
    let topic = unique("orders");
    broker.create_topic(&topic, 1);
    let site =
        Site::new(broker).declares(&catalog(&topic).replace("period: year", "period: day, profile: linear"));
    let settings = std::fs::read_to_string(site.settings()).unwrap();
    std::fs::write(
        site.settings(),
        settings.replace("every: 200ms", "every: 200ms, keep: 60d"),
    )
    .unwrap();
    let mut producer = Producer::new(broker, &topic);
    let order = |days_ago: i64, amount: &'static str| {
        let order = Order {
            at: Timestamp::now() - (24 * days_ago).hours(),
            ..Order::paid("o", amount)
        };
        order.structured()
    };
    producer.send(0, order(90, "1"));
    producer.send(0, order(30, "2"));
    producer.send(0, order(0, "4"));
    producer.flush();
    let daemon = site.start();
    wait_for(&daemon, "tautline_kpi_value", &[("node", "revenue")], Some(4.0));
    daemon.stop();
    let days = |expected: i64| {
        let state = rusqlite::Connection::open(site.settings().with_file_name("tautline.db")).unwrap();
        let count: i64 = state
            .query_row("SELECT count(DISTINCT day) FROM cells", [], |row| row.get(0))
            .unwrap();
        assert_eq!(count, expected);
    };
    days(2);

    let daemon = site.start();
    producer.send(0, order(90, "8"));
    producer.send(0, order(0, "16"));
    producer.flush();
    wait_for(&daemon, "tautline_kpi_value", &[("node", "revenue")], Some(20.0));
    wait_for(
        &daemon,
        "tautline_events_too_old_total",
        &[("metric", "revenue")],
        Some(1.0),
    );
    let page = daemon.get("/?lang=zh").body;
    assert!(page.contains("早于保留期限"), "{page}");
    daemon.stop();
    days(2);
}

#[test]
fn values_that_came_and_went_are_let_go_and_nothing_is_counted_twice() {
    let broker = Broker::shared();
    let topic = unique("orders");
    broker.create_topic(&topic, 1);
    let by_store = "  by-store: {metric: revenue, role: business, parent: revenue, relation: sum, each: [store], period: day, profile: linear}\n";
    let catalog = catalog(&topic)
        .replace("amount: data.amount", "amount: data.amount, store: data.store")
        .replace("unit: CNY", "unit: CNY, dimensions: [store]")
        .replace("period: year", "period: day, profile: linear")
        + by_store;
    let site = Site::new(broker).declares(&catalog);
    let settings = std::fs::read_to_string(site.settings()).unwrap();
    let settings = settings.replace("every: 200ms", "every: 200ms, keep: 60d");
    std::fs::write(site.settings(), settings).unwrap();
    let mut producer = Producer::new(broker, &topic);
    let mut send = |days_ago: i64, store: usize| {
        let at = Timestamp::now() - (24 * days_ago).hours();
        let data = format!(r#"{{"amount": 2, "store": "s{store}"}}"#);
        let event = format!(
            r#"{{"specversion": "1.0", "id": "{days_ago}-{store}", "source": "till", "type": "order", "time": "{at}", "data": {data}}}"#
        );
        producer.send(0, &event);
    };
    (0..1200).for_each(|store| send(90, store));
    let daemon = site.start();
    daemon.wait_for("by-store", WITHIN, |metrics: &Metrics| {
        let known = metrics.get("tautline_kpi_value", &[("node", "by-store"), ("store", "s1199")]);
        known
            .map(|_| ())
            .ok_or_else(|| "s1199 is not there yet".to_owned())
    });
    // Ninety days later: those stores are forgotten, and others have come.
    (2000..2010).for_each(|store| send(0, store));
    let free = "starting from the state, free of dimension values";
    daemon.wait_for("a start from the state", WITHIN, |_: &Metrics| {
        let found = daemon.log().contains(free);
        found.then_some(()).ok_or_else(|| daemon.log())
    });
    send(0, 2010);
    wait_for(&daemon, "tautline_kpi_value", &[("node", "revenue")], Some(22.0));
    let metrics = daemon.metrics();
    let of = |store: &str| metrics.get("tautline_kpi_value", &[("node", "by-store"), ("store", store)]);
    assert_eq!((of("s2000"), of("s2010"), of("s7")), (Some(2.0), Some(2.0), None));
    daemon.stop();
}

#[track_caller]
fn wait_for(daemon: &Daemon, name: &str, labels: &[(&str, &str)], expected: Option<f64>) {
    daemon.wait_for(name, WITHIN, |metrics: &Metrics| {
        let seen = metrics.get(name, labels);
        if seen == expected {
            Ok(())
        } else {
            Err(format!("{seen:?}"))
        }
    });
}

fn catalog(topics: &str) -> String {
    format!(
        "calendar: {{timezone: {zone}}}\n\
         sources:\n  orders: {{topics: [{topics}], format: cloudevents, time: time, fields: {{amount: data.amount}}}}\n\
         metrics:\n  revenue: {{source: orders, agg: sum, expr: amount, unit: CNY}}\n\
         nodes:\n  revenue: {{metric: revenue, role: business, period: year, target: 1000, owner: sales}}\n",
        zone = zone_at_noon()
    )
}
