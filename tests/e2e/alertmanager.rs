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
            "alertmanager: {{urls: [\"http://127.0.0.1:{port}\", \"http://127.0.0.1:{away}\"], resend: 1s, timeout: 2s, allow_private: true}}"
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
            "receivers:\n  ops: {{alertmanager: {{urls: [\"http://127.0.0.1:{port}\"], resend: 1s, timeout: 2s, allow_private: true}}}}\n  \
             hook: {{webhook: {{url: \"{}\", secret: {secret}, allow_private: true}}}}\n\
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
    let channel = format!(
        "alertmanager: {{urls: [\"http://127.0.0.1:{port}\"], resend: 1s, timeout: 2s, allow_private: true}}"
    );
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
            "receivers:\n  ops: {{{channel}}}\n  night: {{slack_webhook: {{url: \"http://127.0.0.1:9/\", allow_private: true}}}}\n\
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

/// The requests that Grafana makes of a data source of the type Alertmanager whose implementation is Prometheus: its test
/// button, its pages of groups, silences and contact points, and what its backend reads of the answers.
#[test]
fn grafanas_data_source_finds_what_it_asks_for() {
    let broker = Broker::shared();
    let topic = unique("levels");
    broker.create_topic(&topic, 1);
    let site = Site::new(broker).declares(&level_that_fills(&topic));
    routes(
        &site,
        "receivers:\n  ops:  {slack_webhook: {url: \"http://127.0.0.1:9/\", allow_private: true}}\n  boss: {slack_webhook: {url: \"http://127.0.0.1:9/\", allow_private: true}}\n\
         routes: {receiver: ops, routes: [{receiver: boss, matchers: ['severity=~\"critical|page\"', 'a b!=\"\"'], group_interval: 0s}]}\n",
    );
    let daemon = site.start();
    daemon.wait_until_ready();
    let mut producer = Producer::new(broker, &topic);
    producer.send(0, Order::paid("o", "150").structured());
    producer.flush();
    let get = |path: &str| http::get(daemon.port(), path).unwrap();

    // The test button: what answers under the prefix of Mimir is no Alertmanager of Prometheus.
    assert_ne!(get("/api/v1/status/buildinfo").status, 200);
    assert_ne!(get("/alertmanager/api/v2/status").status, 200);
    let status = get("/api/v2/status").json();
    for name in [
        "branch",
        "buildDate",
        "buildUser",
        "goVersion",
        "revision",
        "version",
    ] {
        assert!(status["versionInfo"][name].is_string(), "{status:#}");
    }
    assert!(status["cluster"]["status"].is_string() && status["cluster"]["peers"].is_array());
    is_time(&status["uptime"]);
    // Its backend reads the configuration, and finds the routes and the contact points there.
    let original = status["config"]["original"].as_str().unwrap();
    let config: Value = serde_json::from_str(original).unwrap();
    assert_eq!(config["route"]["receiver"], "ops", "{config:#}");
    assert_eq!(
        config["receivers"],
        serde_json::json!([{"name": "boss"}, {"name": "ops"}]),
        "{config:#}"
    );
    // Alertmanager's own reader takes it.
    let url = format!("--alertmanager.url=http://127.0.0.1:{}", daemon.port());
    let drawn = Command::new("amtool")
        .args(["config", "routes", "test", &url, "severity=critical", "a_b=c"])
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&drawn.stdout).trim(),
        "boss",
        "{}",
        shown(&drawn)
    );

    // Its page of groups, with the filters that it has.
    let groups = wait::until("it fires", WITHIN, || {
        let groups = get("/api/v2/alerts/groups").json();
        (groups.as_array().map(Vec::len) == Some(1)).then_some(groups)
    });
    assert_eq!(groups[0]["receiver"]["name"], "ops");
    is_alert(&groups[0]["alerts"][0]);
    let many = |path: &str| get(path).json().as_array().map(Vec::len);
    let encoded = "filter=alertname%3D%22full%22&filter=%22node%22%3D~%22le.*%22";
    assert_eq!(
        many(&format!(
            "/api/v2/alerts/groups?{encoded}&receiver=ops&active=true&silenced=false"
        )),
        Some(1)
    );
    assert_eq!(
        many("/api/v2/alerts/groups?filter=alertname%3D%22empty%22"),
        Some(0)
    );
    // A preview of what a silence would hold.
    let preview = get(
        "/api/v2/alerts?filter=node%3D%22level%22&silenced=true&active=true&inhibited=true&unprocessed=true",
    )
    .json();
    is_alert(&preview[0]);

    // A silence as its backend writes it, by the header that the data source adds; read, changed and ended.
    let bearer = format!("Bearer {RESPONDER}");
    let headers = [
        ("Content-Type", "application/json"),
        ("Authorization", bearer.as_str()),
    ];
    let post = |id: &str, ends: &str| {
        let body = serde_json::json!({
            "comment": "created 2026-06-01 10:00", "createdBy": "admin", "id": id,
            "startsAt": "2020-01-01T00:00:00.000Z", "endsAt": ends,
            "matchers": [
                {"isEqual": true, "isRegex": false, "name": "alertname", "value": "full"},
                {"isEqual": false, "isRegex": false, "name": "a=b", "value": "c"},
            ],
        });
        let path = "/api/v2/silences?force=true";
        let answer = http::send(daemon.port(), path, &headers, body.to_string().as_bytes()).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()["silenceID"].as_str().unwrap().to_owned()
    };
    let id = post("", "2090-01-01T00:00:00.000Z");
    let silences = wait::until("it is there", WITHIN, || {
        let silences = get("/api/v2/silences?ruleMetadata=true&accesscontrol=true").json();
        (silences.as_array().map(Vec::len) == Some(1)).then_some(silences)
    });
    is_silence(&silences[0], &id, "active");
    assert_eq!(many("/api/v2/silences?filter=alertname%3D%22full%22"), Some(1));
    wait::until("the alert says by whom", WITHIN, || {
        let alerts = get("/api/v2/alerts").json();
        (alerts[0]["status"]["silencedBy"] == serde_json::json!([id])).then_some(())
    });
    let changed = post(&id, "2091-01-01T00:00:00.000Z");
    wait::until("it ends later", WITHIN, || {
        let silence = get(&format!("/api/v2/silence/{changed}")).json();
        (silence["endsAt"] == "2091-01-01T00:00:00Z").then_some(())
    });
    is_silence(
        &get(&format!("/api/v2/silence/{changed}")).json(),
        &changed,
        "active",
    );
    let path = format!("/api/v2/silence/{changed}");
    let ended = http::request(daemon.port(), "DELETE", &path, &headers, b"").unwrap();
    assert_eq!(ended.status, 200, "{}", ended.body);
    wait::until("it is over", WITHIN, || {
        let silence = get(&path).json();
        (silence["status"]["state"] == "expired").then_some(())
    });
    assert_eq!(get("/api/v2/silence/none").status, 404);
    // What was posted can be read again, whatever the name of the label.
    daemon.stop();
    let daemon = site.start();
    wait::until_ok("the silences are there again", WITHIN, || {
        let kept = daemon.get("/api/v2/silences").json();
        let name = &kept[0]["matchers"][1]["name"];
        (name == "a=b").then_some(()).ok_or_else(|| kept.to_string())
    });
    daemon.stop();
}

/// What a Grafana needs of an alert.
#[track_caller]
fn is_alert(alert: &Value) {
    for name in ["startsAt", "endsAt", "updatedAt"] {
        is_time(&alert[name]);
    }
    assert!(
        alert["labels"].is_object() && alert["annotations"].is_object(),
        "{alert:#}"
    );
    assert!(
        alert["fingerprint"].is_string() && alert["generatorURL"].is_string(),
        "{alert:#}"
    );
    assert!(alert["receivers"][0]["name"].is_string(), "{alert:#}");
    let status = &alert["status"];
    assert!(
        ["active", "suppressed", "unprocessed"].contains(&status["state"].as_str().unwrap()),
        "{alert:#}"
    );
    for name in ["silencedBy", "inhibitedBy", "mutedBy"] {
        assert!(status[name].is_array(), "{alert:#}");
    }
}

#[track_caller]
fn is_silence(silence: &Value, id: &str, state: &str) {
    for name in ["startsAt", "endsAt", "updatedAt"] {
        is_time(&silence[name]);
    }
    assert_eq!(
        (&silence["id"], &silence["status"]["state"]),
        (&Value::from(id), &Value::from(state)),
        "{silence:#}"
    );
    assert_eq!(silence["createdBy"], "admin");
    let matchers = serde_json::json!([
        {"isEqual": true, "isRegex": false, "name": "alertname", "value": "full"},
        {"isEqual": false, "isRegex": false, "name": "a=b", "value": "c"},
    ]);
    assert_eq!(silence["matchers"], matchers);
}

#[track_caller]
fn is_time(time: &Value) {
    let text = time.as_str().unwrap_or_else(|| panic!("{time} is no time"));
    assert!(text.parse::<jiff::Timestamp>().is_ok(), "{text}");
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
