//! Secrets: when every channel fails, and what it answers repeats all that it was sent, nothing that anybody can read
//! of the daemon tells a secret: no page, no API, no metric, no log, no command, not the state file.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tautline::notify::fakes::{Call, Fake, Vendor, Verdict};

use crate::alert::{catalog, publish, sell};
use crate::amtool::{FORM, link_to};
use crate::parts::broker::Broker;
use crate::parts::daemon::{APPROVER, Daemon, RESPONDER, Site, TOKEN, shown, tautline};
use crate::parts::{http, runtime, unique, wait};

/// Part of every secret, so that a piece of one is found as well.
const SECRET: &str = "verysecret";
const WITHIN: Duration = Duration::from_secs(60);

/// A server that takes nothing, and repeats everything: each channel gets its vendor's own shape of an error.
struct Echo;

impl Vendor for Echo {
    fn judge(&mut self, call: &Call) -> Verdict {
        let said = format!("{} {:?} {:?}", call.path, call.query, call.headers);
        let status = if call.path.contains("v4") {
            400
        } else if call.path.contains("events") {
            410
        } else if call.path.contains("alerts") {
            500
        } else if call.path.contains("enqueue") {
            400
        } else if call.path.contains("workflows") {
            401
        } else if call.path.contains("services") {
            403
        } else {
            200
        };
        let body = json!({
            "errcode": 310_000, "errmsg": said, "code": 19_021, "msg": said, "ok": false, "error": said,
            "errors": [format!("routing {said} {}", call.body)], "message": said, "body": call.body,
        });
        Verdict::refused(status, body.to_string(), "")
    }

    fn good(&self) -> &'static str {
        "never"
    }
}

/// Receivers by name, and whether a notice to them ends soon in any case.
const NAMES: [&str; 11] = [
    "slack",
    "slack_bot",
    "feishu",
    "dingtalk",
    "wecom",
    "teams",
    "events",
    "v4",
    "pager",
    "am",
    "mail",
];

fn receivers(fake: &Fake) -> String {
    let url = |path: &str| fake.url(path);
    let signing = format!("whsec_{}", STANDARD.encode(format!("{SECRET}-{SECRET}-{SECRET}")));
    // Nobody listens at the discard port.
    format!(
        r#"
  slack: {{slack_webhook: {{url: "{slack}", timeout: 1s, give_up_after: 2s, allow_private: true}}}}
  slack_bot: {{slack_bot: {{token: xoxb-{SECRET}, channel: C1, signing_secret: {SECRET}-signing, api_url: "{api}", timeout: 1s, give_up_after: 2s, allow_private: true}}}}
  feishu: {{feishu: {{url: "{feishu}", secret: SEC{SECRET}, timeout: 1s, give_up_after: 2s, allow_private: true}}}}
  dingtalk: {{dingtalk: {{url: "{dingtalk}", secret: SEC{SECRET}, timeout: 1s, give_up_after: 2s, allow_private: true}}}}
  wecom: {{wecom: {{url: "{wecom}", timeout: 1s, give_up_after: 2s, allow_private: true}}}}
  teams: {{teams: {{url: "{teams}", timeout: 1s, give_up_after: 2s, allow_private: true}}}}
  events: {{webhook: {{url: "{events}", secret: "{signing}", timeout: 1s, give_up_after: 2s, allow_private: true}}}}
  v4: {{webhook: {{url: "{v4}", format: alertmanager, secret: "{signing}", timeout: 1s, give_up_after: 2s, allow_private: true}}}}
  pager: {{pagerduty: {{routing_key: verysecretverysecretverysecret00, api_url: "{pager}", timeout: 1s, give_up_after: 2s, allow_private: true}}}}
  am: {{alertmanager: {{urls: ["{am}"], username: kpi, password: {SECRET}, resend: 1s, timeout: 1s, give_up_after: 2s, allow_private: true}}}}
  mail: {{email: {{server: 127.0.0.1, port: 9, tls: none, username: kpi, password: {SECRET}, from: kpi@example.com, to: [ops@example.com], timeout: 1s, give_up_after: 2s, allow_private: true}}}}
"#,
        slack = url("/services/T0/B0/verysecret"),
        api = url("/api"),
        feishu = url("/open-apis/bot/v2/hook/verysecret"),
        dingtalk = url("/robot/send?access_token=verysecret"),
        wecom = url("/cgi-bin/webhook/send?key=verysecret"),
        teams = url("/workflows/w/triggers/manual/paths/invoke?sig=verysecret"),
        events = url("/events/verysecret"),
        v4 = url("/v4/verysecret"),
        pager = url(""),
        am = url(""),
    )
}

#[test]
fn when_every_channel_fails_nothing_that_can_be_read_tells_a_secret() {
    let broker = Broker::shared();
    let (orders, articles) = (unique("orders"), unique("articles"));
    broker.create_topic(&orders, 2);
    broker.create_topic(&articles, 1);
    let fake = runtime().block_on(Fake::start(Box::new(Echo))).unwrap();
    let site = Site::new(broker)
        .connects(&format!("sasl.username: kpi, sasl.password: {SECRET}-kafka"))
        .declares(&catalog(&orders, &articles));
    let settings = std::fs::read_to_string(site.settings()).unwrap();
    let (head, _) = settings.split_once("receivers:").unwrap();
    let all: Vec<String> = NAMES
        .iter()
        .map(|name| format!("{{receiver: {name}, continue: true}}"))
        .collect();
    let routes = format!(
        "routes: {{receiver: slack, group_by: [\"...\"], routes: [{}]}}\n",
        all.join(", ")
    );
    std::fs::write(
        site.settings(),
        format!("{head}receivers:{}{routes}", receivers(&fake)),
    )
    .unwrap();
    commands_tell_nothing(&site);

    let daemon = site.start();
    daemon.wait_until_ready();
    sell(broker, &orders, "100.00");
    publish(broker, &articles, 50);
    daemon.wait_for("every receiver has lost a notice", WITHIN, |metrics| {
        for name in NAMES {
            let dead = [("receiver", name), ("outcome", "dead")];
            let count = metrics.get("tautline_notices_total", &dead);
            if count.is_none_or(|count| count < 1.0) {
                return Err(format!("{name}: {count:?}"));
            }
        }
        Ok(())
    });
    let failures = wait::until("it is told that they are not reached", WITHIN, || {
        let alerts = daemon
            .get("/api/v2/alerts?filter=alertname=delivery_failed")
            .json();
        let found = alerts.as_array().map(Vec::len) == Some(NAMES.len());
        found.then(|| alerts.to_string())
    });
    clean("delivery_failed", &failures);
    daemon.wait_for_evaluations(5);
    every_answer_is_clean(&daemon);
    every_page_is_clean(&daemon);
    the_stream_of_the_page_is_clean(&daemon);
    what_links_lead_to_is_clean(&daemon, &fake);
    clean("the log", &daemon.log());
    assert!(
        daemon.log().contains("given up"),
        "the log says what became of notices"
    );
    daemon.stop();
    clean("the log", &std::fs::read_to_string(log(&site)).unwrap());
    for file in ["tautline.db", "tautline.db-wal", "dead-letter.ndjson"] {
        let bytes = std::fs::read(site.settings().with_file_name(file)).unwrap_or_default();
        clean(file, &String::from_utf8_lossy(&bytes));
    }
}

fn log(site: &Site) -> std::path::PathBuf {
    site.settings().with_file_name("tautline.log")
}

/// Every form in which a secret may be written.
#[track_caller]
fn clean(what: &str, text: &str) {
    let signing = STANDARD.encode(format!("{SECRET}-{SECRET}-{SECRET}"));
    let forms = [
        SECRET.to_owned(),
        STANDARD.encode("kpi:verysecret"),
        STANDARD.encode("\0kpi\0verysecret"),
        STANDARD.encode(SECRET),
        signing,
        TOKEN.to_owned(),
        RESPONDER.to_owned(),
        APPROVER.to_owned(),
    ];
    for form in forms {
        let Some(at) = text.find(&form) else { continue };
        let from = text.floor_char_boundary(at.saturating_sub(200));
        let around: String = text[from..].chars().take(300).collect();
        panic!("{what} tells a secret: …{around}");
    }
}

/// What `check`, `notify test` and `route explain` print.
#[track_caller]
fn commands_tell_nothing(site: &Site) {
    let settings = site.settings();
    let config = settings.to_str().unwrap();
    let mut commands: Vec<Vec<&str>> = vec![
        vec!["check", "--config", config],
        vec!["route", "explain", "severity=critical", "--config", config],
    ];
    for name in NAMES {
        commands.push(vec!["notify", "test", name, "--config", config]);
        commands.push(vec![
            "notify", "test", name, "--format", "json", "--config", config,
        ]);
    }
    for command in commands {
        let output = tautline(&command);
        let failed = command[0] == "notify";
        assert_eq!(
            output.status.success(),
            !failed,
            "{command:?}: {}",
            shown(&output)
        );
        clean(&format!("{command:?}"), &shown(&output));
    }
}

/// Every operation of the document that only reads, and what those that change say to who may not.
#[track_caller]
fn every_answer_is_clean(daemon: &Daemon) {
    let document = daemon.get("/api/v1/openapi.json").json();
    let alerts = daemon.get("/api/v2/alerts").json();
    let silence = json!({
        "matchers": [{"name": "node", "value": "articles", "isRegex": false, "isEqual": true}],
        "startsAt": "2020-01-01T00:00:00Z", "endsAt": "2090-01-01T00:00:00Z", "createdBy": "li", "comment": "c",
    });
    let headers = [
        ("Content-Type", "application/json"),
        ("Authorization", &format!("Bearer {RESPONDER}")),
    ];
    let made = http::send(
        daemon.port(),
        "/api/v2/silences",
        &headers,
        silence.to_string().as_bytes(),
    )
    .unwrap();
    assert_eq!(made.status, 200, "{}", made.body);
    let silence = made.json()["silenceID"].as_str().unwrap().to_owned();
    let mut asked = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for path in with_values(path, &episodes(daemon), &silence) {
            if methods.get("get").is_some() {
                let answer = http::get(daemon.port(), &path).unwrap();
                asked += 1;
                clean(&path, &answer.body);
            }
            if methods.get("post").is_some() && !path.starts_with("/-/") {
                let nobody = [("Authorization", "Bearer verywrong")];
                let answer = http::send(daemon.port(), &path, &nobody, b"{").unwrap();
                assert!(answer.status >= 400, "{path}: {}", answer.status);
                clean(&path, &answer.body);
            }
        }
    }
    assert!(asked >= 15, "{asked}");
    assert!(!alerts.as_array().unwrap().is_empty(), "{alerts}");
}

/// A path of the document with what there is in place of its parameters.
fn with_values(path: &str, episodes: &[String], silence: &str) -> Vec<String> {
    let path = path
        .replace("{name}", "articles")
        .replace("{metric}", "revenue")
        .replace("{source}", "orders")
        .replace("{parent}", "revenue")
        .replace("{period}", "2026-06")
        .replace("{id}", silence);
    match path.contains("{episode}") {
        true => episodes
            .iter()
            .map(|episode| path.replace("{episode}", episode))
            .collect(),
        false => vec![path],
    }
}

/// Every episode that the page of alerts leads to.
#[track_caller]
fn episodes(daemon: &Daemon) -> Vec<String> {
    let page = daemon.get("/alerts").body;
    let links = page.split("/episodes/").skip(1);
    let mut found: Vec<String> = links
        .map(|rest| rest.split(['"', '?', '#']).next().unwrap_or_default().to_owned())
        .collect();
    found.sort();
    found.dedup();
    assert!(found.len() > NAMES.len(), "{found:?}");
    found
}

#[track_caller]
fn every_page_is_clean(daemon: &Daemon) {
    let mut pages: Vec<String> = [
        "/",
        "/alerts",
        "/rejected",
        "/nodes/articles",
        "/nodes/revenue",
        "/nodes/none",
        "/nowhere",
        "/metrics",
        "/-/ready",
        "/-/healthy",
        "/assets/page.js",
        "/ack/none?sig=0",
        "/silence/none?sig=0",
    ]
    .map(str::to_owned)
    .into();
    pages.extend(
        episodes(daemon)
            .iter()
            .map(|episode| format!("/episodes/{episode}")),
    );
    let mut told = 0;
    for page in pages {
        for language in ["zh", "en"] {
            let mark = if page.contains('?') { '&' } else { '?' };
            let answer = http::get(daemon.port(), &format!("{page}{mark}lang={language}")).unwrap();
            told += usize::from(answer.body.contains("given up"));
            clean(&page, &answer.body);
        }
    }
    // The pages of episodes say why a notice was lost.
    assert!(told > 0);
    let _: Value = daemon.get("/api/v1/alerts").json();
}

/// What the page listens to, over a few evaluations.
#[track_caller]
fn the_stream_of_the_page_is_clean(daemon: &Daemon) {
    let mut stream = TcpStream::connect(("127.0.0.1", daemon.port())).unwrap();
    stream.set_read_timeout(Some(WITHIN)).unwrap();
    stream
        .write_all(b"GET /events HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
        .unwrap();
    let (mut heard, mut piece) = (String::new(), [0; 4096]);
    while heard.matches("event: version").count() < 3 {
        let read = stream.read(&mut piece).unwrap();
        assert!(read > 0, "the stream ended: {heard}");
        heard.push_str(&String::from_utf8_lossy(&piece[..read]));
    }
    clean("/events", &heard);
}

/// The signed pages of a message, before and after their buttons.
#[track_caller]
fn what_links_lead_to_is_clean(daemon: &Daemon, fake: &Fake) {
    let requests = fake.requests();
    let said = requests
        .iter()
        .map(|request| request.answer.as_str())
        .find(|answer| answer.contains("/ack/") && answer.contains("/silence/"))
        .unwrap();
    for path in ["/ack/", "/silence/"] {
        let link = link_to(said, path);
        let (forged, good) = (link.replace("sig=", "sig=00"), link);
        for (link, is_good) in [(forged, false), (good, true)] {
            let page = http::get(daemon.port(), &link).unwrap();
            clean(&link, &page.body);
            assert_eq!(page.status == 200, is_good, "{link}: {}", page.body);
            let done = http::send(daemon.port(), &link, &FORM, b"by=li&comment=c").unwrap();
            clean(&link, &done.body);
            assert_eq!(done.status == 200, is_good, "{link}: {}", done.body);
        }
    }
}
