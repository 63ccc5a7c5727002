//! Prometheus: /metrics is clean, and a real server scrapes it and answers with the completion.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::parts::broker::Broker;
use crate::parts::daemon::{Site, shown, zone_at_noon};
use crate::parts::events::Order;
use crate::parts::process::Process;
use crate::parts::produce::Producer;
use crate::parts::{free_port, http, scratch, unique, wait};

const SCRAPED_WITHIN: Duration = Duration::from_secs(60);

#[test]
fn promtool_finds_nothing_and_a_query_returns_the_completion() {
    let broker = Broker::shared();
    let topic = unique("orders");
    broker.create_topic(&topic, 1);
    let site = Site::new(broker).declares(&catalog(&topic));
    let daemon = site.start();
    let mut producer = Producer::new(broker, &topic);
    producer.send(0, Order::paid("o1", "620.50").structured());
    // Rejected: the counter of its reason must be as clean as the rest.
    producer.send(0, "{");
    producer.flush();
    daemon.wait_for("the order is counted", Duration::from_secs(30), |metrics| {
        let seen = metrics.get("tautline_kpi_completion_ratio", &[("node", "revenue")]);
        if seen == Some(0.6205) {
            Ok(())
        } else {
            Err(format!("{seen:?}"))
        }
    });
    daemon.wait_until_ready();

    let text = daemon.get("/metrics").body;
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let checked = promtool.wait_with_output().unwrap();
    let clean = checked.status.success() && checked.stdout.is_empty() && checked.stderr.is_empty();
    assert!(clean, "{}\n{text}", shown(&checked));

    let folder = scratch("prometheus");
    let (server, port) = start_prometheus(folder.path(), site.port());
    let query = http::escaped(r#"tautline_kpi_completion_ratio{node="revenue",owner="chain"}"#);
    let value = wait::until_ok("Prometheus has scraped the completion", SCRAPED_WITHIN, || {
        let answer = http::get(port, &format!("/api/v1/query?query={query}"))
            .map_err(|error| format!("{error}\n{}", server.log()))?;
        if answer.status != 200 {
            return Err(answer.body); // it is starting
        }
        let value = answer.json()["data"]["result"][0]["value"][1]
            .as_str()
            .map(str::to_owned);
        value.ok_or(answer.body)
    });
    assert_eq!(value, "0.6205");
    daemon.stop();
}

fn start_prometheus(folder: &Path, scraped: u16) -> (Process, u16) {
    let port = free_port();
    let config = folder.join("prometheus.yml");
    let text = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: tautline\n  static_configs:\n  - targets: ['127.0.0.1:{scraped}']\n"
    );
    std::fs::write(&config, text).unwrap();
    let args = [
        format!("--config.file={}", config.display()),
        format!("--storage.tsdb.path={}", folder.join("data").display()),
        format!("--web.listen-address=127.0.0.1:{port}"),
    ];
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let log = folder.join("prometheus.log");
    (
        Process::start("prometheus", Path::new("prometheus"), &args, folder, &log),
        port,
    )
}

fn catalog(topic: &str) -> String {
    format!(
        r#"
calendar: {{timezone: {zone}}}
sources:
  orders: {{topics: [{topic}], format: cloudevents, time: time, fields: {{type: type, amount: data.amount}}}}
metrics:
  revenue: {{source: orders, agg: sum, expr: amount, filter: type == "order.paid", unit: CNY}}
  orders: {{source: orders, agg: count}}
nodes:
  revenue: {{metric: revenue, role: business, level: strategy, period: day, target: 1000, owner: chain}}
  orders: {{metric: orders, role: kpi, level: tactic, parent: revenue, relation: influence, period: day, target: 10, weight: 100, owner: sales}}
"#,
        zone = zone_at_noon(),
    )
}
