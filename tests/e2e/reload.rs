//! Reload: a right catalogue is taken, a wrong one is refused and the old one stays.

use std::time::Duration;

use crate::parts::broker::Broker;
use crate::parts::daemon::{Daemon, Site, zone_at_noon};
use crate::parts::events::Order;
use crate::parts::produce::Producer;
use crate::parts::unique;

const WITHIN: Duration = Duration::from_secs(30);

#[test]
fn a_wrong_catalogue_is_refused_and_a_right_one_is_taken() {
    let broker = Broker::shared();
    let topic = unique("orders");
    broker.create_topic(&topic, 2);
    let site = Site::new(broker).declares(&catalog(&topic, 1000));
    let daemon = site.start();
    let mut producer = Producer::new(broker, &topic);
    producer.send(0, Order::paid("o1", "500").structured());
    producer.flush();
    wait_for(&daemon, 0.5, 1.0);

    // By signal: the answer is in the log and the metric.
    let wrong = catalog(&topic, 2000).replace("expr: amount", "expr: amont");
    site.write_catalog(&wrong);
    daemon.signal("HUP");
    wait_for(&daemon, 0.5, 0.0);
    let log = daemon.log();
    assert!(log.contains("catalog.yaml:") && log.contains("amont"), "{log}");
    site.write_catalog(&catalog(&topic, 2000));
    daemon.signal("HUP");
    wait_for(&daemon, 0.25, 1.0);

    // By request: the answer says it.
    site.write_catalog(&wrong);
    let refused = daemon.post("/-/reload");
    assert_eq!(refused.status, 400, "{refused:?}");
    assert!(
        refused.body.contains("catalog.yaml:") && refused.body.contains("amont"),
        "{refused:?}"
    );
    wait_for(&daemon, 0.25, 0.0);
    site.write_catalog(&catalog(&topic, 4000));
    let taken = daemon.post("/-/reload");
    assert_eq!(taken.status, 200, "{taken:?}");
    wait_for(&daemon, 0.125, 1.0);

    // What is read after all that is counted as before, once.
    producer.send(1, Order::paid("o2", "1500").structured());
    producer.flush();
    wait_for(&daemon, 0.5, 1.0);
    daemon.stop();
}

#[test]
fn a_changed_definition_does_not_fire_and_says_why() {
    let broker = Broker::shared();
    let topic = unique("orders");
    broker.create_topic(&topic, 1);
    // What was small before would be smaller still: counted from nothing in the middle of the day.
    let declared = catalog(&topic, 1000)
        + "rules:\n  small: {on: node, nodes: [revenue, orders], when: \"node.value < 100.0\", for: 0s, severity: critical}\n"
        + "  poor: {on: node, nodes: [revenue, orders], when: \"node.completion < 0.9\", for: 0s, severity: critical}\n";
    let declared = declared
        .replace("nodes:\n  revenue:", "  orders: {source: orders, agg: count}\nnodes:\n  orders: {metric: orders, role: business, period: day, rules: {small: off}}\n  revenue:");
    let site = Site::new(broker).declares(&declared);
    let mut daemon = site.start();
    let mut producer = Producer::new(broker, &topic);
    producer.send(0, Order::paid("o1", "950").structured());
    producer.flush();
    wait_for(&daemon, 0.95, 1.0);
    let firing = |daemon: &Daemon| {
        let alerts = daemon.get("/api/v1/alerts").json()["data"]["alerts"].clone();
        let names = alerts.as_array().unwrap().iter();
        names
            .map(|alert| alert["labels"]["alertname"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(firing(&daemon), [""; 0]);

    let changed = declared.replace("filter: type ==", "filter: amount > 0.0 && type ==");
    site.write_catalog(&changed);
    assert_eq!(daemon.post("/-/reload").status, 200);
    for order in ["o2", "o3"] {
        producer.send(0, Order::paid(order, "7").structured());
        producer.flush();
        daemon.wait_for("an order under the new definition", WITHIN, |metrics| {
            let seen = metrics.get("tautline_kpi_value", &[("node", "revenue")]);
            let wanted = if order == "o2" { 7.0 } else { 14.0 };
            if seen == Some(wanted) {
                Ok(())
            } else {
                Err(format!("{seen:?}"))
            }
        });
        daemon.wait_for_evaluations(3);
        assert_eq!(firing(&daemon), [""; 0]);
        assert_eq!(
            daemon
                .metrics()
                .get("tautline_kpi_completion_ratio", &[("node", "revenue")]),
            None
        );
        // The metric beside it keeps its state.
        let nodes = daemon.get("/api/v1/nodes").json()["data"]["nodes"].clone();
        for node in nodes.as_array().unwrap() {
            let instance = &node["instances"][0];
            let is_changed = node["name"] == "revenue";
            assert_eq!(instance["judged"], !is_changed, "{node}");
            assert_eq!(instance["countedSince"].is_string(), is_changed, "{node}");
            if !is_changed {
                assert_eq!(instance["value"], if order == "o2" { 2.0 } else { 3.0 }, "{node}");
            }
        }
        let page = daemon.get("/nodes/revenue?lang=en").body;
        assert!(page.contains("Counted under this definition since"), "{page}");
        let page = daemon.get("/nodes/revenue?lang=zh").body;
        assert!(page.contains("本期不完整"), "{page}");
        assert!(!daemon.get("/nodes/orders?lang=en").body.contains("Counted under"));
        // It is in the state.
        daemon.kill();
        daemon = site.start();
        daemon.wait_until_ready();
    }

    // Back again: what came meanwhile is missing, and it does not pretend otherwise.
    site.write_catalog(&declared);
    assert_eq!(daemon.post("/-/reload").status, 200);
    daemon.wait_for("the first definition", WITHIN, |metrics| {
        let seen = metrics.get("tautline_kpi_value", &[("node", "revenue")]);
        if seen == Some(950.0) {
            Ok(())
        } else {
            Err(format!("{seen:?}"))
        }
    });
    daemon.wait_for_evaluations(3);
    assert_eq!(firing(&daemon), [""; 0]);
    let page = daemon.get("/nodes/revenue?lang=en").body;
    assert!(page.contains("This period is not whole"), "{page}");
    daemon.stop();
}

#[test]
fn a_changed_formula_is_reckoned_anew_and_says_since_when() {
    let broker = Broker::shared();
    let topic = unique("orders");
    broker.create_topic(&topic, 1);
    let declared = catalog(&topic, 1000).replace(
        "nodes:\n  revenue:",
        "  orders: {source: orders, agg: count}\n  net: {type: derived, expr: revenue - orders}\nnodes:\n  net: {metric: net, role: business, period: day}\n  revenue:",
    );
    let site = Site::new(broker).declares(&declared);
    let mut daemon = site.start();
    let mut producer = Producer::new(broker, &topic);
    producer.send(0, Order::paid("o1", "950").structured());
    producer.flush();
    let net = |daemon: &Daemon, wanted: f64| {
        daemon.wait_for("the net amount", WITHIN, |metrics| {
            match metrics.get("tautline_kpi_value", &[("node", "net")]) {
                seen if seen == Some(wanted) => Ok(()),
                seen => Err(format!("{seen:?}")),
            }
        });
        daemon.wait_for_evaluations(2);
        let nodes = daemon.get("/api/v1/nodes").json()["data"]["nodes"].clone();
        let node = nodes
            .as_array()
            .unwrap()
            .iter()
            .find(|node| node["name"] == "net");
        let node = node.unwrap().clone();
        // The events are all there: the period is judged.
        assert_eq!(node["instances"][0]["judged"], true, "{node}");
        node["reckonedSince"].is_string()
    };
    assert!(!net(&daemon, 949.0));
    site.write_catalog(&declared.replace("revenue - orders", "revenue - orders * 50.0"));
    assert_eq!(daemon.post("/-/reload").status, 200);
    assert!(net(&daemon, 900.0));
    daemon.kill();
    daemon = site.start();
    daemon.wait_until_ready();
    assert!(net(&daemon, 900.0));
    let page = daemon.get("/nodes/net?lang=en").body;
    assert!(page.contains("Reckoned by this formula since"), "{page}");
    assert!(daemon.get("/nodes/net?lang=zh").body.contains("现行公式自"));
    assert!(
        !daemon
            .get("/nodes/revenue?lang=en")
            .body
            .contains("Reckoned by this formula")
    );
    daemon.stop();
}

#[track_caller]
fn wait_for(daemon: &Daemon, completion: f64, reloaded: f64) {
    daemon.wait_for("completion and reload state", WITHIN, |metrics| {
        let seen = (
            metrics.get("tautline_kpi_completion_ratio", &[("node", "revenue")]),
            metrics.get("tautline_config_last_reload_successful", &[]),
        );
        if seen == (Some(completion), Some(reloaded)) {
            Ok(())
        } else {
            Err(format!("{seen:?}"))
        }
    });
}

fn catalog(topic: &str, target: u32) -> String {
    format!(
        r#"
calendar: {{timezone: {zone}}}
sources:
  orders: {{topics: [{topic}], format: cloudevents, time: time, fields: {{type: type, amount: data.amount}}}}
metrics:
  revenue: {{source: orders, agg: sum, expr: amount, filter: type == "order.paid", unit: CNY}}
nodes:
  revenue: {{metric: revenue, role: business, level: strategy, period: day, target: {target}, owner: chain}}
"#,
        zone = zone_at_noon(),
    )
}
