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
