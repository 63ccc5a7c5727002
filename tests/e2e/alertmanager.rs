//! Alertmanager: a real one knows what fires, and what does not any more, also when it or the daemon was restarted.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::parts::broker::Broker;
use crate::parts::daemon::{Site, shown, zone_at_noon};
use crate::parts::events::Order;
use crate::parts::process::Process;
use crate::parts::produce::Producer;
use crate::parts::{free_port, http, scratch, unique, wait};

const WITHIN: Duration = Duration::from_secs(60);

#[test]
fn a_real_one_hears_of_alerts_and_of_their_ends_over_restarts() {
    let broker = Broker::shared();
    let topic = unique("levels");
    broker.create_topic(&topic, 1);
    let (folder, port) = (scratch("alertmanager"), free_port());
    let away = free_port();
    let start = || start_alertmanager(folder.path(), port);
    let alertmanager = start();
    let site = Site::new(broker)
        .tells_by(&format!(
            "alertmanager: {{urls: [\"http://127.0.0.1:{port}\", \"http://127.0.0.1:{away}\"], resend: 1s, timeout: 2s}}"
        ))
        .declares(&catalog(&topic));
    let daemon = site.start();
    daemon.wait_until_ready();
    let mut producer = Producer::new(broker, &topic);
    let mut set = |level: &str| {
        producer.send(0, Order::paid("o", level).structured());
        producer.flush();
    };

    set("150");
    wait_for(port, &[("full", "warning")]);
    set("250");
    wait_for(port, &[("full", "critical")]);

    // It forgets, and is told again.
    drop(alertmanager);
    let alertmanager = start();
    wait_for(port, &[("full", "critical")]);
    // The daemon forgets nothing: it tells again without an event.
    daemon.kill();
    drop(alertmanager);
    let alertmanager = start();
    let daemon = site.start();
    wait_for(port, &[("full", "critical")]);

    set("50");
    wait_for(port, &[]);
    // The end is told again to one that has not heard of it.
    drop(alertmanager);
    let _alertmanager = start();
    daemon.wait_for_evaluations(20);
    wait_for(port, &[]);
    daemon.stop();
}

/// Waits until amtool lists these alerts, by name and severity.
#[track_caller]
fn wait_for(port: u16, wanted: &[(&str, &str)]) {
    wait::until_ok("Alertmanager knows", WITHIN, || {
        let url = format!("--alertmanager.url=http://127.0.0.1:{port}");
        let asked = Command::new("amtool")
            .args(["alert", "query", "--output=json", &url])
            .output()
            .unwrap();
        let listed: serde_json::Value = serde_json::from_slice(&asked.stdout).map_err(|_| shown(&asked))?;
        let label =
            |alert: &serde_json::Value, name: &str| alert["labels"][name].as_str().unwrap_or("").to_owned();
        let alerts = listed.as_array().into_iter().flatten();
        let found: Vec<(String, String)> = alerts
            .map(|alert| (label(alert, "alertname"), label(alert, "severity")))
            .collect();
        let is_wanted = found.len() == wanted.len()
            && found
                .iter()
                .zip(wanted)
                .all(|(found, wanted)| (found.0.as_str(), found.1.as_str()) == *wanted);
        if is_wanted {
            Ok(())
        } else {
            Err(format!("{found:?}"))
        }
    });
}

#[track_caller]
fn start_alertmanager(folder: &Path, port: u16) -> Process {
    let config = folder.join("alertmanager.yml");
    std::fs::write(
        &config,
        "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n",
    )
    .unwrap();
    let args = [
        format!("--config.file={}", config.display()),
        format!("--storage.path={}", folder.join("data").display()),
        format!("--web.listen-address=127.0.0.1:{port}"),
        "--cluster.listen-address=".to_owned(),
    ];
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let program = Path::new("prometheus-alertmanager");
    let log = folder.join("alertmanager.log");
    let process = Process::start("alertmanager", program, &args, folder, &log);
    wait::until_ok("Alertmanager is ready", WITHIN, || {
        match http::get(port, "/-/ready") {
            Ok(answer) if answer.status == 200 => Ok(()),
            other => Err(format!("{other:?}\n{}", process.log())),
        }
    });
    process
}

fn catalog(topic: &str) -> String {
    format!(
        r#"
calendar: {{timezone: {zone}}}
sources:
  orders: {{topics: [{topic}], format: cloudevents, time: time, lateness: 1s, fields: {{amount: data.amount}}}}
metrics:
  level: {{title: Level, source: orders, agg: last, expr: amount}}
nodes:
  level: {{metric: level, role: business, level: strategy, period: day, owner: store}}
rules:
  full: {{on: node, nodes: [level], when: node.value >= 100.0, for: 0s, severity: warning, levels: [{{severity: critical, when: node.value >= 200.0}}], title: "{{{{ node.title }}}} is full"}}
"#,
        zone = zone_at_noon(),
    )
}
