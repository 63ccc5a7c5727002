//! A Slack app: the daemon is killed, and the same message goes on; a button that Slack signs acknowledges; no secret is
//! anywhere where somebody can read.

use std::fmt::Write;
use std::time::Duration;

use ring::hmac;
use serde_json::Value as Json;
use tautline::notify::fakes::Fake;
use tautline::notify::fakes::slack_bot::{SlackBot, channel};

use crate::alert::{catalog, publish, sell};
use crate::parts::broker::Broker;
use crate::parts::daemon::{Daemon, Site, shown, tautline};
use crate::parts::{http, runtime, unique, wait};

const TOKEN: &str = "xoxb-verysecret-token";
const SIGNING: &str = "verysecret-signing";
const WITHIN: Duration = Duration::from_secs(30);

#[test]
fn one_message_goes_on_over_a_kill_and_its_button_acknowledges() {
    let broker = Broker::shared();
    let (orders, articles) = (unique("orders"), unique("articles"));
    broker.create_topic(&orders, 2);
    broker.create_topic(&articles, 1);
    let fake = runtime().block_on(Fake::start(SlackBot::new(TOKEN))).unwrap();
    let site = Site::new(broker)
        .tells_by(&format!(
            "slack_bot: {{token: {TOKEN}, channel: {channel}, signing_secret: {SIGNING}, api_url: \"{}\", timeout: 1s, allow_private: true}}",
            fake.url("/api"),
            channel = SlackBot::CHANNEL,
        ))
        .declares(&catalog(&orders, &articles));
    tried(&site, &fake);

    let daemon = site.start();
    daemon.wait_until_ready();
    sell(broker, &orders, "100.00");
    publish(broker, &articles, 50);
    until(&fake, "it fires", |now, _| text(now).contains("Articles is done"));
    daemon.wait_until_delivered(1.0);
    daemon.kill();

    let daemon = site.start();
    daemon.wait_until_ready();
    let episode = button(&fake);
    assert_eq!(press(&daemon, &episode, "another secret"), 401);
    assert_eq!(press(&daemon, &episode, SIGNING), 200);
    until(&fake, "it is taken", |now, answers| {
        text(now).contains("Acknowledged") && answers.len() == 1 && answers[0]["reply_broadcast"] == false
    });
    assert!(alert_message(&fake).0.to_string().contains("li has taken it"));
    let seen = read_everything(&daemon, &episode);
    assert!(!seen.contains("verysecret"), "{seen}");

    sell(broker, &orders, "900.00");
    until(&fake, "it is over", |now, answers| {
        text(now).contains("Resolved") && answers.len() == 2 && answers[1]["reply_broadcast"] == true
    });
    assert_eq!(press(&daemon, &episode, SIGNING), 200);
    wait::until("the one who pressed too late is told", WITHIN, || {
        fake.messages().into_iter().find(|message| {
            message.payload["method"] == "chat.postEphemeral"
                && message.payload["user"] == SlackBot::MEMBER
                && text(&message.payload).contains("is over already")
        })
    });
    daemon.stop();
}

/// `notify test` posts a message of its own, without the daemon.
#[track_caller]
fn tried(site: &Site, fake: &Fake) {
    let settings = site.settings();
    let test = |args: &[&str]| {
        let output = tautline(
            &[
                &["notify", "test"],
                args,
                &["--config", settings.to_str().unwrap()],
            ]
            .concat(),
        );
        assert!(!shown(&output).contains("verysecret"), "{}", shown(&output));
        output
    };
    let good = test(&["ops", "--lang", "en"]);
    assert!(good.status.success(), "{}", shown(&good));
    assert!(shown(&good).contains("delivered"), "{}", shown(&good));
    assert!(text(&fake.messages()[0].payload).contains("This is a test message"));
    let misspelt = test(&["osp"]);
    assert_eq!(misspelt.status.code(), Some(2), "{}", shown(&misspelt));
    assert!(
        shown(&misspelt).contains("did you mean 'ops'?"),
        "{}",
        shown(&misspelt)
    );
    fake.script(tautline::notify::fakes::Scripted::new(
        200,
        r#"{"ok":false,"error":"not_in_channel"}"#,
    ));
    let refused = test(&["ops", "--format", "json"]);
    assert_eq!(refused.status.code(), Some(1), "{}", shown(&refused));
    let told: Json = serde_json::from_slice(&refused.stdout).unwrap();
    assert_eq!(told["outcome"], "disabled", "{told}");
    assert!(
        told["reason"].as_str().unwrap().contains("invite the app"),
        "{told}"
    );
}

fn text(payload: &Json) -> &str {
    payload["text"].as_str().unwrap_or_default()
}

/// The message about the alert as it stands, with the answers below it. There is one.
#[track_caller]
fn alert_message(fake: &Fake) -> (Json, Vec<Json>) {
    let mut messages: Vec<(Json, Vec<Json>)> = channel(&fake.messages()).into_values().collect();
    messages.retain(|(now, _)| !text(now).contains("test message"));
    assert!(messages.len() <= 1, "{messages:#?}");
    messages.pop().unwrap_or_default()
}

#[track_caller]
fn until(fake: &Fake, what: &str, is: impl Fn(&Json, &[Json]) -> bool) {
    wait::until_ok(what, WITHIN, || {
        let (now, answers) = alert_message(fake);
        match is(&now, &answers) {
            true => Ok(()),
            false => Err(format!("{now:#} {answers:#?}; {:#?}", fake.requests())),
        }
    });
}

/// What the button of the message sends.
#[track_caller]
fn button(fake: &Fake) -> String {
    let (now, _) = alert_message(fake);
    let blocks = now["blocks"].as_array().unwrap();
    let actions = blocks.iter().find(|block| block["type"] == "actions").unwrap();
    let buttons = actions["elements"].as_array().unwrap();
    let ack = buttons
        .iter()
        .find(|button| button["action_id"] == "tautline_ack")
        .unwrap();
    ack["value"].as_str().unwrap().to_owned()
}

/// Slack says that somebody pressed the button.
fn press(daemon: &Daemon, episode: &str, secret: &str) -> u16 {
    let payload = serde_json::json!({
        "type": "block_actions",
        "user": {"id": SlackBot::MEMBER, "username": "li", "name": "li"},
        "channel": {"id": SlackBot::CHANNEL, "name": "ops"},
        "actions": [{"action_id": "tautline_ack", "value": episode}],
    });
    let body = format!("payload={}", http::escaped(&payload.to_string()));
    let time = jiff::Timestamp::now().as_second().to_string();
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let signed = hmac::sign(&key, format!("v0:{time}:{body}").as_bytes());
    let mut signature = "v0=".to_owned();
    for byte in signed.as_ref() {
        write!(signature, "{byte:02x}").unwrap();
    }
    let headers = [
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("X-Slack-Request-Timestamp", time.as_str()),
        ("X-Slack-Signature", signature.as_str()),
    ];
    let answer = http::send(daemon.port(), "/api/v1/slack/actions", &headers, body.as_bytes());
    answer.unwrap().status
}

/// All that the daemon says to whoever asks, and its log.
fn read_everything(daemon: &Daemon, episode: &str) -> String {
    let mut seen = daemon.log();
    for path in [
        "/",
        "/nodes/articles",
        "/metrics",
        "/api/v1/alerts",
        "/api/v1/rules",
        "/api/v2/status",
        "/api/v2/receivers",
        "/api/v2/alerts",
        &format!("/api/v1/episodes/{episode}/history"),
    ] {
        let answer = daemon.get(path);
        assert_eq!(answer.status, 200, "{path}");
        seen.push_str(&answer.body);
    }
    seen
}
