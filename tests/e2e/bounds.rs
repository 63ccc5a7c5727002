//! Bounds: what is beyond one follows its rule, is counted, stands on the page and is told as `limit_reached`, and is
//! the same after a kill.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use crate::parts::broker::Broker;
use crate::parts::daemon::{Daemon, Site, zone_at_noon};
use crate::parts::metrics::Metrics;
use crate::parts::produce::Producer;
use crate::parts::unique;

const WITHIN: Duration = Duration::from_secs(60);
const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 1440 * MINUTE_MS;
/// Starts and ends that are kept of one item.
const MARKS: i64 = 32;

/// A topic of one partition a source, so that what is sent first is read first.
struct Topics<'a> {
    broker: &'a Broker,
    prefix: String,
}

impl Topics<'_> {
    const SOURCES: [&'static str; 5] = ["orders", "stores", "visits", "tickets", "payments"];

    fn name(&self, source: &str) -> String {
        format!("{}-{source}", self.prefix)
    }

    fn send(&self, source: &str, events: &[String]) {
        let mut producer = Producer::new(self.broker, &self.name(source));
        events.iter().for_each(|event| producer.send(0, event));
        producer.flush();
    }
}

#[test]
fn every_bound_follows_its_rule_and_is_counted_shown_and_told() {
    let broker = Broker::shared();
    let topics = Topics {
        broker,
        prefix: unique("bounds"),
    };
    for source in Topics::SOURCES {
        broker.create_topic(&topics.name(source), 1);
    }
    let site = Site::new(broker).declares(&catalog(&topics));
    let daemon = site.start();
    daemon.wait_until_ready();
    assert_eq!(let_go(&daemon.metrics()), [0.0; 6], "nothing yet");

    let now = Timestamp::now().as_millisecond();
    // max_cells 2: the third and the fourth region count as "other", and the total stays whole.
    let order =
        |region: &str, amount: u32| format!(r#"{{"at": {now}, "region": "{region}", "amount": {amount}}}"#);
    let orders = [
        order("east", 1),
        order("west", 2),
        order("north", 4),
        order("south", 8),
    ];
    topics.send("orders", &orders);
    // A value longer than 256 bytes is "other" as well; one of 256 is itself.
    let sale =
        |store: &str, amount: u32| format!(r#"{{"at": {now}, "store": "{store}", "amount": {amount}}}"#);
    let (fits, long) = ("s".repeat(256), "s".repeat(257));
    topics.send("stores", &[sale(&fits, 1), sale(&long, 2), sale(&long, 4)]);
    // max_keys 2: a was last seen longest ago.
    let visit =
        |who: &str, days_ago: i64| format!(r#"{{"at": {}, "who": "{who}"}}"#, now - days_ago * DAY_MS);
    topics.send("visits", &[visit("a", 2), visit("b", 1), visit("c", 0)]);
    daemon.wait_for_value("newcomers", WITHIN, 3.0);
    // a is new again, in place of b.
    topics.send("visits", &[visit("a", 0)]);
    daemon.wait_for_value("newcomers", WITHIN, 4.0);
    // c is still known; b is new again.
    topics.send("visits", &[visit("c", 0), visit("b", 0)]);
    daemon.wait_for_value("newcomers", WITHIN, 5.0);
    // max_items 2: t1 has ended and goes first, then t2, the oldest that is open. An end of what is forgotten is an
    // item that is over, and goes at once.
    let ticket =
        |id: &str, state: &str, at: i64| format!(r#"{{"at": {at}, "id": "{id}", "state": "{state}"}}"#);
    let minutes_ago = |minutes: i64| now - minutes * MINUTE_MS;
    let mut tickets = vec![
        ticket("t1", "open", minutes_ago(60)),
        ticket("t1", "done", minutes_ago(50)),
        ticket("t2", "open", minutes_ago(40)),
        ticket("t3", "open", minutes_ago(30)),
        ticket("t4", "open", minutes_ago(20)),
        ticket("t2", "done", minutes_ago(10)),
    ];
    // Of one item no more than so many starts and ends are kept: t4 has one, and gets as many again.
    let again = (0..MARKS).map(|n| ticket("t4", "open", minutes_ago(9) + n));
    tickets.extend(again);
    topics.send("tickets", &tickets);
    // dedup_max_keys 4: p1 and p2 are forgotten early, so that a copy of p1 counts; p6 is known.
    let payment = |id: &str| format!(r#"{{"at": {now}, "id": "{id}"}}"#);
    let payments = ["p1", "p2", "p3", "p4", "p5", "p6", "p1", "p6"].map(payment);
    topics.send("payments", &payments);

    let wanted = [2.0, 2.0, 3.0, 3.0, 1.0, 3.0];
    daemon.wait_for("what was let go is counted", WITHIN, |metrics| {
        let seen = let_go(metrics);
        if seen == wanted {
            Ok(())
        } else {
            Err(format!("{seen:?}, not {wanted:?}"))
        }
    });
    assert_rules(&daemon, &fits);
    for source in Topics::SOURCES {
        let alert = [("alertname", "limit_reached"), ("source", source)];
        daemon.wait_for("the source's limit is told", WITHIN, |metrics| {
            match metrics.get("tautline_alert_state", &alert) {
                Some(3.0) => Ok(()),
                other => Err(format!("{source}: {other:?}")),
            }
        });
    }
    let page = daemon.get("/?lang=en").body;
    for sentence in [
        "Metric revenue: more combinations of dimension values than max_cells; 2 events count as",
        "Metric sales: 2 events have a dimension value or an item&#39;s name longer than evaluate.max_value_bytes",
        "Metric newcomers: more keys than max_keys; 3 that were last seen longest ago were forgotten",
        "Metric hours: more items than max_items; 3 were forgotten",
        "Metric hours: more than 32 starts and ends of one item; the 1 oldest were forgotten",
        "Source payments: more ids than dedup_max_keys; the 3 oldest were forgotten early",
        // What is told names the place where the limit can be raised.
        "Source orders has reached a limit of the catalogue",
        "Source stores has reached a limit of the settings",
        "2 events or keys were beyond a limit: evaluate.max_value_bytes in the settings",
    ] {
        let page = page.replace('\'', "&#39;");
        assert!(page.contains(sentence), "{sentence:?} is not on {page}");
    }
    // The daemon is up all the same.
    assert_eq!(daemon.get("/-/ready").status, 200);
    daemon.kill();

    // What was let go stays so, and the bounds hold on.
    let daemon = site.start();
    daemon.wait_until_ready();
    daemon.wait_for_evaluations(2);
    assert_rules(&daemon, &fits);
    topics.send("orders", &[order("up", 16), order("east", 32)]);
    topics.send("payments", &[payment("p6"), payment("p2")]);
    daemon.wait_for_value("total", WITHIN, 63.0);
    daemon.wait_for_value("payments", WITHIN, 8.0);
    assert_eq!(
        parts(&daemon, "regions"),
        [("east", 33.0), ("other", 28.0), ("west", 2.0)].map(owned)
    );
    let metrics = daemon.metrics();
    assert_eq!(
        (
            metrics.sum("tautline_events_in_other_total", &[]),
            metrics.sum("tautline_dedup_evicted_ids_total", &[])
        ),
        (1.0, 1.0)
    );
    daemon.stop();
}

/// What counted as "other" is not taken back from a value of its own when the bound was raised in between.
#[test]
fn another_bound_for_values_leaves_no_wrong_sum_where_events_take_back() {
    let broker = Broker::shared();
    let topic = unique("cancelled");
    broker.create_topic(&topic, 1);
    let zone = zone_at_noon();
    let today = Timestamp::now()
        .to_zoned_datetime(TimeZone::get(&zone).unwrap())
        .date();
    let period = format!(
        "role: business, period: {{every: 30d, from: {}}}",
        today - 20.days()
    );
    let mut site = Site::new(broker).declares(&format!(
        r#"
calendar: {{timezone: {zone}}}
sources:
  orders: {{topics: [{topic}], format: json, time: at, lateness: 0s, retract: op == "cancel", fields: {{op: op, store: store, amount: amount}}}}
metrics:
  sales: {{source: orders, agg: sum, expr: amount, dimensions: [store]}}
  again: {{source: orders, agg: sum, expr: amount, filter: amount > 0.0, dimensions: [store], backfill: P30D}}
nodes:
  total: {{metric: sales, target: 100, {period}}}
  by-store: {{metric: sales, each: [store], {period}}}
  again: {{metric: again, each: [store], {period}}}
"#
    ));
    let daemon = site.start();
    let long = "s".repeat(300);
    let now = Timestamp::now().as_millisecond();
    let send = |op: &str, store: &str, amount: u32| {
        let mut producer = Producer::new(broker, &topic);
        producer.send(
            0,
            format!(r#"{{"at": {now}, "op": "{op}", "store": "{store}", "amount": {amount}}}"#),
        );
        producer.flush();
    };
    send("pay", &long, 5);
    send("pay", "east", 7);
    daemon.wait_for_value("total", WITHIN, 12.0);
    for node in ["by-store", "again"] {
        assert_eq!(
            parts(&daemon, node),
            [("east", 7.0), ("other", 5.0)].map(owned),
            "{node}"
        );
    }
    let judged = |daemon: &Daemon, node: &str| {
        let node = daemon.get(&format!("/api/v1/nodes/{node}")).json();
        let instances = node["data"]["instances"].as_array().unwrap().clone();
        let judged = instances
            .iter()
            .map(|instance| instance["judged"].as_bool().unwrap());
        judged.collect::<Vec<_>>()
    };
    assert_eq!(judged(&daemon, "by-store"), [true, true]);

    site.set_evaluate("max_value_bytes: 512");
    let taken = daemon.post("/-/reload");
    assert_eq!(taken.status, 200, "{taken:?}");
    let read_again = [("east", 7.0), (&*long, 5.0)].map(owned);
    crate::parts::wait::until_ok("the past is read again under the new bound", WITHIN, || {
        let node = daemon.get("/api/v1/nodes/again").json()["data"].clone();
        if node["backfill"]["state"] == "done" && node["instances"].as_array().unwrap().len() == 2 {
            Ok(())
        } else {
            Err(format!("{node} {}", daemon.log()))
        }
    });
    crate::parts::wait::until_ok("its numbers are there", WITHIN, || {
        match parts(&daemon, "again") {
            seen if seen == read_again => Ok(()),
            seen => Err(format!("{seen:?}")),
        }
    });
    send("cancel", &long, 5);
    let assert_holds = |daemon: &Daemon| {
        daemon.wait_for_value("total", WITHIN, 7.0);
        daemon.wait_for_evaluations(2);
        // The total is one definition all the time, and so judged.
        assert_eq!(judged(daemon, "total"), [true]);
        assert_eq!(parts(daemon, "again"), [("east", 7.0), (&*long, 0.0)].map(owned));
        assert_eq!(judged(daemon, "again"), [true, true]);
        // Without a backfill it begins anew, and nobody takes it for whole: there is no "other" that is 5 too high.
        let anew = parts(daemon, "by-store");
        assert!(anew.iter().all(|(store, _)| store != "other"), "{anew:?}");
        assert!(
            judged(daemon, "by-store").iter().all(|judged| !judged),
            "{anew:?}"
        );
    };
    assert_holds(&daemon);
    daemon.kill();
    let daemon = site.start();
    daemon.wait_until_ready();
    assert_holds(&daemon);
    daemon.stop();
}

/// Counts since start, in the order of the test: other, long, keys, items, marks, ids.
fn let_go(metrics: &Metrics) -> [f64; 6] {
    [
        ("tautline_events_in_other_total", ("metric", "revenue")),
        ("tautline_long_values_total", ("metric", "sales")),
        ("tautline_evicted_keys_total", ("metric", "newcomers")),
        ("tautline_evicted_items_total", ("metric", "hours")),
        ("tautline_dropped_item_marks_total", ("metric", "hours")),
        ("tautline_dedup_evicted_ids_total", ("source", "payments")),
    ]
    .map(|(name, label)| metrics.sum(name, &[label]))
}

/// What the rules leave.
#[track_caller]
fn assert_rules(daemon: &Daemon, fits: &str) {
    let metrics = daemon.metrics();
    let value = |node| metrics.get("tautline_kpi_value", &[("node", node)]);
    assert_eq!(
        ["total", "sales", "newcomers", "payments"].map(value),
        [Some(15.0), Some(7.0), Some(5.0), Some(7.0)]
    );
    assert_eq!(
        parts(daemon, "regions"),
        [("east", 1.0), ("other", 12.0), ("west", 2.0)].map(owned)
    );
    assert_eq!(
        parts(daemon, "by-store"),
        [("other", 6.0), (fits, 1.0)].map(owned)
    );
    let node = daemon.get("/api/v1/nodes/hours").json();
    let open = node["data"]["instances"][0]["openItems"]["oldest"]
        .as_array()
        .unwrap();
    let names: Vec<&str> = open.iter().map(|item| item["item"].as_str().unwrap()).collect();
    assert_eq!(names, ["t3", "t4"]);
}

fn owned((name, value): (&str, f64)) -> (String, f64) {
    (name.to_owned(), value)
}

/// Values of a node by its one dimension, in order.
fn parts(daemon: &Daemon, node: &str) -> Vec<(String, f64)> {
    let node = daemon.get(&format!("/api/v1/nodes/{node}")).json();
    let instances = node["data"]["instances"].as_array().unwrap();
    let part = |instance: &serde_json::Value| {
        let of = instance["dimensions"]
            .as_object()
            .unwrap()
            .values()
            .next()
            .unwrap();
        (
            of.as_str().unwrap().to_owned(),
            instance["value"].as_f64().unwrap(),
        )
    };
    let mut parts: Vec<(String, f64)> = instances.iter().map(part).collect();
    parts.sort_by(|a, b| a.0.cmp(&b.0));
    parts
}

fn catalog(topics: &Topics<'_>) -> String {
    let zone = zone_at_noon();
    let today = Timestamp::now()
        .to_zoned_datetime(TimeZone::get(&zone).unwrap())
        .date();
    let [orders, stores, visits, tickets, payments] = Topics::SOURCES.map(|source| topics.name(source));
    // Days ago are in the period, whatever day it is.
    let period = format!(
        "role: business, period: {{every: 30d, from: {}}}",
        today - 20.days()
    );
    format!(
        r#"
calendar: {{timezone: {zone}}}
sources:
  orders: {{topics: [{orders}], format: json, time: at, lateness: 0s, fields: {{region: region, amount: amount}}}}
  stores: {{topics: [{stores}], format: json, time: at, lateness: 0s, fields: {{store: store, amount: amount}}}}
  visits: {{topics: [{visits}], format: json, time: at, lateness: 0s, fields: {{who: who}}}}
  tickets: {{topics: [{tickets}], format: json, time: at, lateness: 0s, fields: {{id: id, state: state}}}}
  payments: {{topics: [{payments}], format: json, time: at, lateness: 0s, id: id, dedup: 7d, dedup_max_keys: 4, fields: {{}}}}
metrics:
  revenue: {{source: orders, agg: sum, expr: amount, dimensions: [region], max_cells: 2}}
  sales: {{source: stores, agg: sum, expr: amount, dimensions: [store]}}
  newcomers: {{source: visits, agg: count_new, expr: who, max_keys: 2}}
  hours: {{source: tickets, type: duration, key: id, start: state == "open", end: state == "done", agg: avg, unit: hours, max_items: 2}}
  payments: {{source: payments, agg: count}}
nodes:
  total: {{metric: revenue, {period}}}
  regions: {{metric: revenue, each: [region], {period}}}
  sales: {{metric: sales, {period}}}
  by-store: {{metric: sales, each: [store], {period}}}
  newcomers: {{metric: newcomers, {period}}}
  hours: {{metric: hours, direction: lower, {period}}}
  payments: {{metric: payments, {period}}}
"#
    )
}
