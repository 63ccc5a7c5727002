//! Who may do what: tokens that may only read, answer a part of the alerts, or everything.

use std::time::Duration;

use base64::Engine;
use serde_json::json;

use crate::parts::broker::Broker;
use crate::parts::daemon::{RESPONDER, Site, tautline};
use crate::parts::events::{Order, level_that_fills};
use crate::parts::http::{Answer, request};
use crate::parts::metrics::Metrics;
use crate::parts::produce::Producer;
use crate::parts::unique;

const WITHIN: Duration = Duration::from_secs(60);
const VIEWER: &str = "viewer-of-everything-there-is";
const HALF: &str = "responder-for-the-first-half";
const ADMIN: &str = "admin-who-may-do-everything";

#[test]
fn each_role_may_do_what_it_is_for_and_nothing_else() {
    let broker = Broker::shared();
    let topic = unique("levels");
    broker.create_topic(&topic, 1);
    let site = Site::new(broker).declares(&level_that_fills(&topic));
    let written = std::fs::read_to_string(site.settings()).unwrap();
    let tokens = format!(
        "tokens: [{{token: {VIEWER}, role: viewer}}, {{token: {ADMIN}, role: admin}}, \
         {{token: {HALF}, role: responder, scope: ['node=\"other\"']}}, "
    );
    std::fs::write(site.settings(), written.replace("tokens: [", &tokens)).unwrap();
    let daemon = site.start();
    let ask = |method: &str, path: &str, token: &str, body: &str| -> Answer {
        let bearer = format!("Bearer {token}");
        let headers = [
            ("Authorization", bearer.as_str()),
            ("Content-Type", "application/json"),
        ];
        let headers = if token.is_empty() {
            &headers[1..]
        } else {
            &headers[..]
        };
        request(daemon.port(), method, path, headers, body.as_bytes()).unwrap()
    };
    let status = |method: &str, path: &str, token: &str| ask(method, path, token, "").status;

    // Nothing is shown without a token, but whether it lives.
    for path in [
        "/",
        "/alerts",
        "/metrics",
        "/events",
        "/api/v1/nodes",
        "/api/v2/alerts",
        "/nope",
    ] {
        assert_eq!(status("GET", path, ""), 401, "{path}");
        assert_eq!(status("GET", path, "another-one-that-nobody-has"), 401, "{path}");
    }
    for path in ["/-/healthy", "/assets/style.css"] {
        assert_eq!(status("GET", path, ""), 200, "{path}");
    }
    for path in ["/", "/alerts", "/metrics", "/api/v1/nodes", "/api/v2/alerts"] {
        for token in [VIEWER, ADMIN, RESPONDER] {
            assert_eq!(status("GET", path, token), 200, "{path} {token}");
        }
    }
    // As a browser sends what its user types in.
    let typed = base64::engine::general_purpose::STANDARD.encode(format!("anybody:{VIEWER}"));
    let basic = format!("Basic {typed}");
    let page = request(daemon.port(), "GET", "/", &[("Authorization", &basic)], b"").unwrap();
    assert_eq!(page.status, 200);
    // A browser shows it again for whatever another site makes it ask: nothing is changed by it.
    let typed = base64::engine::general_purpose::STANDARD.encode(format!("anybody:{ADMIN}"));
    let basic = [("Authorization", format!("Basic {typed}"))];
    let basic = basic.each_ref().map(|(name, value)| (*name, value.as_str()));
    let reload = request(daemon.port(), "POST", "/-/reload", &basic, b"").unwrap();
    assert_eq!(reload.status, 401);

    let mut producer = Producer::new(broker, &topic);
    producer.send(0, Order::paid("o", "150").structured());
    producer.flush();
    let alerts = crate::parts::wait::until_ok("an alert", WITHIN, || {
        let metrics = Metrics::parse(&ask("GET", "/metrics", VIEWER, "").body);
        let fires = metrics.by("tautline_alert_state", "alertname");
        let alerts = ask("GET", "/api/v2/alerts", VIEWER, "").json();
        let is_there = alerts.as_array().is_some_and(|alerts| !alerts.is_empty());
        is_there.then_some(alerts).ok_or_else(|| format!("{fires:?}"))
    });
    let node = alerts[0]["labels"]["node"].as_str().unwrap().to_owned();
    let episode = alerts[0]["annotations"]["episode"].as_str().unwrap().to_owned();

    // A viewer changes nothing, and hears who could.
    let ack = format!("/api/v1/episodes/{episode}/ack");
    let by = json!({"by": "li"}).to_string();
    let refused = ask("POST", &ack, VIEWER, &by);
    assert_eq!(refused.status, 403, "{refused:?}");
    assert!(
        refused
            .body
            .contains("the role viewer, which may not acknowledge or silence")
            && refused.body.contains("responder, editor, admin"),
        "{refused:?}"
    );
    // Who answers for other alerts does not answer for this one.
    let refused = ask("POST", &ack, HALF, &by);
    assert_eq!(refused.status, 403, "{refused:?}");
    assert!(refused.body.contains("node=\\\"other\\\""), "{refused:?}");
    let silence = |node: &str| {
        let matcher = json!({"name": "node", "value": node, "isRegex": false, "isEqual": true});
        let (from, to) = (
            jiff::Timestamp::now(),
            jiff::Timestamp::now() + Duration::from_secs(3600),
        );
        json!({"matchers": [matcher], "startsAt": from, "endsAt": to, "createdBy": "li", "comment": "c"})
            .to_string()
    };
    let silences = "/api/v2/silences?force=true";
    assert_eq!(ask("POST", silences, HALF, &silence(&node)).status, 403);
    assert_eq!(ask("POST", silences, HALF, &silence("other")).status, 200);
    let of_all = ask("POST", silences, RESPONDER, &silence(&node)).json();
    let id = of_all["silenceID"].as_str().unwrap();
    assert_eq!(status("DELETE", &format!("/api/v2/silence/{id}"), HALF), 403);
    assert_eq!(status("DELETE", &format!("/api/v2/silence/{id}"), ADMIN), 200);
    assert_eq!(ask("POST", &ack, ADMIN, &by).status, 200);

    // A reload is for who may do everything.
    assert_eq!(status("POST", "/-/reload", ""), 401);
    assert_eq!(status("POST", "/-/reload", RESPONDER), 403);
    assert_eq!(status("POST", "/-/reload", ADMIN), 200);
    daemon.stop();
}

#[test]
fn a_scope_of_who_answers_no_alerts_is_a_mistake_with_its_place() {
    let site = Site::without_broker().declares("nodes: {}\n");
    let written = std::fs::read_to_string(site.settings()).unwrap();
    let tokens = format!("tokens: [{{token: {VIEWER}, role: viewer, scope: ['team=\"a\"']}}, ");
    std::fs::write(site.settings(), written.replace("tokens: [", &tokens)).unwrap();
    let settings = site.settings();
    let output = tautline(&["check", "--config", settings.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("tautline.yaml:5:138: a scope") && said.contains("the role viewer has none"),
        "{said}"
    );
}
