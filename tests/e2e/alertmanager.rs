//! Alertmanager: a real one knows what fires, and what does not any more, also when it or the daemon was restarted; and
//! the daemon answers tools as a real one does.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use base64::Engine;
use serde_json::Value;
use tautline::notify::fakes::Fake;
use tautline::notify::fakes::program::{Groups, Program};

use crate::parts::broker::Broker;
use crate::parts::daemon::{Daemon, RESPONDER, Site, shown};
use crate::parts::events::{Order, level_that_fills};
use crate::parts::process::Process;
use crate::parts::produce::Producer;
use crate::parts::{free_port, http, runtime, scratch, unique, wait};

const WITHIN: Duration = Duration::from_secs(60);
/// An Alertmanager that tells nobody.
const NOBODY: &str = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n";

#[test]
fn a_real_one_hears_of_alerts_and_of_their_ends_over_restarts() {
    let broker = Broker::shared();
    let topic = unique("levels");
    broker.create_topic(&topic, 1);
    let (folder, port) = (scratch("alertmanager"), free_port());
    let away = free_port();
    let start = || start_alertmanager(folder.path(), port, NOBODY);
    let alertmanager = start();
    let site = Site::new(broker)
        .tells_by(&format!(
            "alertmanager: {{urls: [\"http://127.0.0.1:{port}\", \"http://127.0.0.1:{away}\"], resend: 1s, timeout: 2s}}"
        ))
        .declares(&level_that_fills(&topic));
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

#[test]
fn an_end_that_it_slept_through_is_told_by_it_with_the_time_that_we_say() {
    let broker = Broker::shared();
    let topic = unique("levels");
    broker.create_topic(&topic, 1);
    let (folder, port) = (scratch("alertmanager"), free_port());
    let key = base64::engine::general_purpose::STANDARD.encode([7; 32]);
    let secret = format!("whsec_{key}");
    // What Alertmanager says, and what the daemon says to a program.
    let theirs = runtime().block_on(Fake::start(Box::new(Groups))).unwrap();
    let ours = runtime()
        .block_on(Fake::start(Program::new(&secret).unwrap()))
        .unwrap();
    let config = format!(
        "route: {{receiver: hook, group_by: ['...'], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}}\n\
         receivers: [{{name: hook, webhook_configs: [{{url: '{}', send_resolved: true}}]}}]\n",
        theirs.url("/hook")
    );
    let mut alertmanager = start_alertmanager(folder.path(), port, &config);
    let site = Site::new(broker).declares(&level_that_fills(&topic));
    routes(
        &site,
        &format!(
            "receivers:\n  ops: {{alertmanager: {{urls: [\"http://127.0.0.1:{port}\"], resend: 1s, timeout: 2s}}}}\n  \
             hook: {{webhook: {{url: \"{}\", secret: {secret}}}}}\n\
             routes: {{receiver: ops, group_by: [\"...\"], routes: [{{receiver: hook, continue: true}}, {{receiver: ops}}]}}\n",
            ours.url("/hook")
        ),
    );
    let daemon = site.start();
    daemon.wait_until_ready();
    let mut producer = Producer::new(broker, &topic);
    let mut set = |level: &str| {
        producer.send(0, Order::paid("o", level).structured());
        producer.flush();
    };
    set("150");
    let fired = said(&theirs, "firing");
    assert_eq!(
        fired["alerts"][0]["startsAt"],
        event(&ours, "firing")["fired_at"],
        "{fired:#}"
    );

    // It forgets what fires, and knows only whom it has told.
    alertmanager.signal("TERM");
    alertmanager.wait_for_end(WITHIN);
    set("50");
    let ended = event(&ours, "resolved");
    daemon.wait_for_evaluations(5);
    let _alertmanager = start_alertmanager(folder.path(), port, &config);
    let resolved = said(&theirs, "resolved");
    let alert = &resolved["alerts"][0];
    let labels = (&alert["labels"]["alertname"], &alert["labels"]["severity"]);
    assert_eq!(
        (labels.0.as_str(), labels.1.as_str()),
        (Some("full"), Some("warning")),
        "{resolved:#}"
    );
    let time = |time: &Value| time.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert_eq!(
        time(&alert["endsAt"]),
        time(&ended["decided_at"]),
        "{resolved:#} {ended:#}"
    );
    assert_eq!(
        time(&alert["startsAt"]),
        time(&ended["fired_at"]),
        "{resolved:#} {ended:#}"
    );
    daemon.stop();
}

/// The first message of Alertmanager with this status.
#[track_caller]
fn said(theirs: &Fake, status: &str) -> Value {
    wait::until_ok(&format!("Alertmanager says {status}"), WITHIN, || {
        let messages = theirs.messages();
        let found = messages
            .iter()
            .find(|message| message.payload["status"] == status);
        found
            .map(|message| message.payload.clone())
            .ok_or_else(|| format!("{messages:#?} {:#?}", theirs.requests()))
    })
}

/// The first event of the daemon of this kind.
#[track_caller]
fn event(ours: &Fake, kind: &str) -> Value {
    let kind = format!("kpi.alert.{kind}");
    wait::until_ok(&kind, WITHIN, || {
        let messages = ours.messages();
        let found = messages
            .iter()
            .find(|message| message.payload["type"] == kind.as_str());
        found
            .map(|message| message.payload["data"].clone())
            .ok_or_else(|| format!("{messages:#?} {:#?}", ours.requests()))
    })
}

#[test]
fn groups_are_filtered_as_by_a_real_one() {
    let broker = Broker::shared();
    let topic = unique("levels");
    broker.create_topic(&topic, 1);
    let (folder, port) = (scratch("alertmanager"), free_port());
    let config = "route: {receiver: ops, group_by: ['...']}\nreceivers: [{name: ops}]\n";
    let _alertmanager = start_alertmanager(folder.path(), port, config);
    let site = Site::new(broker).declares(&level_that_fills(&topic));
    let channel = format!("alertmanager: {{urls: [\"http://127.0.0.1:{port}\"], resend: 1s, timeout: 2s}}");
    routes(
        &site,
        &format!("receivers:\n  ops: {{{channel}}}\nroutes: {{receiver: ops, group_by: [\"...\"]}}\n"),
    );
    let daemon = site.start();
    daemon.wait_until_ready();
    let mut producer = Producer::new(broker, &topic);
    producer.send(0, Order::paid("o", "150").structured());
    producer.flush();
    wait_for(port, &[("full", "warning")]);
    groups_are_alike(
        port,
        &daemon,
        &[
            ("", 1),
            ("active=false", 0),
            ("silenced=false", 1),
            ("inhibited=false", 1),
        ],
    );

    let silence = serde_json::json!({
        "matchers": [{"name": "node", "value": "level", "isRegex": false, "isEqual": true}],
        "startsAt": "2020-01-01T00:00:00Z", "endsAt": "2090-01-01T00:00:00Z", "createdBy": "li", "comment": "stock",
    });
    for at in [port, daemon.port()] {
        let bearer = format!("Bearer {RESPONDER}");
        let headers = [
            ("Content-Type", "application/json"),
            ("Authorization", bearer.as_str()),
        ];
        // More than half of what fires.
        let answer = http::send(
            at,
            "/api/v2/silences?force=true",
            &headers,
            silence.to_string().as_bytes(),
        )
        .unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    let is_silenced = |at: u16| {
        let groups = http::get(at, "/api/v2/alerts/groups").unwrap().json();
        groups[0]["alerts"][0]["status"]["state"] == "suppressed"
    };
    wait::until("both are silenced", WITHIN, || {
        (is_silenced(port) && is_silenced(daemon.port())).then_some(())
    });
    groups_are_alike(
        port,
        &daemon,
        &[
            ("", 1),
            ("active=false", 1),
            ("silenced=false", 0),
            ("inhibited=false", 1),
        ],
    );
    daemon.stop();

    // Times of a route: the Alertmanager here is older than `mutedBy`, so that only our side can be asked.
    routes(
        &site,
        &format!(
            "receivers:\n  ops: {{{channel}}}\n  night: {{slack_webhook: {{url: \"http://127.0.0.1:9/\"}}}}\n\
             time_intervals: {{always: [{{times: [{{start_time: \"00:00\", end_time: \"24:00\"}}]}}]}}\n\
             routes: {{receiver: ops, group_by: [\"...\"], routes: \
             [{{receiver: night, mute_time_intervals: [always], continue: true}}, {{receiver: ops}}]}}\n"
        ),
    );
    let daemon = site.start();
    daemon.wait_until_ready();
    // Who is new in a route hears when it gets worse.
    producer.send(0, Order::paid("o", "250").structured());
    producer.flush();
    let groups = wait::until("the night is a group", WITHIN, || {
        let groups = daemon.get("/api/v2/alerts/groups?receiver=night").json();
        (groups.as_array().map(Vec::len) == Some(1)).then_some(groups)
    });
    let status = &groups[0]["alerts"][0]["status"];
    assert_eq!(status["mutedBy"], serde_json::json!(["always"]), "{groups:#}");
    assert_eq!(status["state"], "suppressed", "{groups:#}");
    let receivers = |query: &str| -> Vec<String> {
        let groups = daemon.get(&format!("/api/v2/alerts/groups?{query}")).json();
        let groups = groups.as_array().unwrap().iter();
        groups
            .map(|group| group["receiver"]["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(receivers("muted=true"), ["night", "ops"]);
    assert_eq!(receivers("muted=false"), ["ops"]);
    assert_eq!(receivers("receiver=n.*"), ["night"]);
    let ops = daemon.get("/api/v2/alerts/groups?receiver=ops").json();
    assert_eq!(
        ops[0]["alerts"][0]["status"]["mutedBy"],
        serde_json::json!([]),
        "{ops:#}"
    );
    daemon.stop();
}

/// Both list as many alerts, in the same groups and in the same shape; `own` are queries with what they find.
#[track_caller]
fn groups_are_alike(port: u16, daemon: &Daemon, own: &[(&str, usize)]) {
    let shared = [
        ("receiver=ops", 1),
        ("receiver=op", 0),
        ("receiver=o.*", 1),
        ("filter=alertname%3D%22full%22", 1),
        ("filter=alertname%3Dempty", 0),
        (
            "filter=alertname%3D~%22fu.%2B%22&filter=severity%21%3Dcritical",
            1,
        ),
        ("filter=team%3D%22%22", 1),
        ("filter=team%21%3D%22%22", 0),
    ];
    for (query, count) in own.iter().chain(&shared) {
        let path = format!("/api/v2/alerts/groups?{query}");
        let (theirs, ours) = (http::get(port, &path).unwrap().json(), daemon.get(&path).json());
        let summed = |groups: &Value| -> Vec<String> {
            let groups = groups.as_array().unwrap().iter();
            groups
                .flat_map(|group| {
                    let labels = ["alertname", "node", "period"].map(|name| group["labels"][name].clone());
                    let alerts = group["alerts"].as_array().unwrap().iter();
                    alerts.map(move |alert| {
                        let label = |name: &str| &alert["labels"][name];
                        format!(
                            "{} {labels:?} {} {} {} {}",
                            group["receiver"]["name"],
                            label("alertname"),
                            label("severity"),
                            alert["startsAt"]
                                .as_str()
                                .unwrap()
                                .parse::<jiff::Timestamp>()
                                .unwrap(),
                            alert["status"]["state"],
                        )
                    })
                })
                .collect()
        };
        assert_eq!(summed(&ours), summed(&theirs), "{query}: {ours:#} {theirs:#}");
        assert_eq!(summed(&ours).len(), *count, "{query}: {ours:#}");
        has_shape(&theirs, &ours, query);
    }
    for query in ["filter=%3D", "receiver=%28"] {
        let path = format!("/api/v2/alerts/groups?{query}");
        let statuses = [port, daemon.port()].map(|port| http::get(port, &path).unwrap().status);
        assert_eq!(statuses, [400, 400], "{query}");
    }
}

/// Whether `ours` has everything that `theirs` has, with values of the same types. Labels are the alert's own.
#[track_caller]
fn has_shape(theirs: &Value, ours: &Value, at: &str) {
    match (theirs, ours) {
        (Value::Object(theirs), Value::Object(ours)) => {
            for (name, value) in theirs {
                if !at.ends_with("labels") && !at.ends_with("annotations") {
                    let own = ours
                        .get(name)
                        .unwrap_or_else(|| panic!("{at}: no {name} in {ours:?}"));
                    has_shape(value, own, &format!("{at}.{name}"));
                }
            }
        }
        (Value::Array(theirs), Value::Array(ours)) => {
            for (theirs, ours) in theirs.iter().zip(ours) {
                has_shape(theirs, ours, at);
            }
        }
        _ => assert_eq!(
            std::mem::discriminant(theirs),
            std::mem::discriminant(ours),
            "{at}: {ours} where there is {theirs}"
        ),
    }
}

/// Puts these receivers and routes into the settings.
fn routes(site: &Site, text: &str) {
    let settings = std::fs::read_to_string(site.settings()).unwrap();
    let (head, _) = settings.split_once("receivers:").unwrap();
    std::fs::write(site.settings(), format!("{head}{text}")).unwrap();
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
fn start_alertmanager(folder: &Path, port: u16, settings: &str) -> Process {
    let config = folder.join("alertmanager.yml");
    std::fs::write(&config, settings).unwrap();
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
