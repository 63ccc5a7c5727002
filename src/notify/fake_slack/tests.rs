use jiff::Timestamp;
use serde_json::json;

use super::rules::check;
use super::*;
use crate::notify::fakes::slack_bot::SlackBot;

/// A message in which something is there so many times.
type Payload = Box<dyn Fn(usize) -> serde_json::Value>;

/// What Slack says to a message: "ok" or its error word.
fn word(payload: &serde_json::Value) -> &'static str {
    check(&payload.to_string(), true).map_or_else(|refusal| refusal.word, |_| "ok")
}

fn plain(length: usize) -> serde_json::Value {
    json!({"type": "plain_text", "text": "字".repeat(length)})
}

fn with(block: serde_json::Value) -> serde_json::Value {
    json!({"text": "t", "blocks": [block]})
}

#[test]
fn every_limit_holds_at_n_and_not_at_n_plus_1() {
    let repeat = |part: serde_json::Value, n: usize| vec![part; n];
    let button = |text, url: usize| json!({"type": "button", "text": plain(text), "url": format!("https://{}", "u".repeat(url - 8))});
    let cases: Vec<(&str, usize, Payload)> = vec![
        (
            "header",
            150,
            Box::new(move |n| with(json!({"type": "header", "text": plain(n)}))),
        ),
        (
            "section",
            3000,
            Box::new(move |n| with(json!({"type": "section", "text": plain(n)}))),
        ),
        (
            "field",
            2000,
            Box::new(move |n| with(json!({"type": "section", "fields": [plain(n)]}))),
        ),
        (
            "fields",
            10,
            Box::new(move |n| with(json!({"type": "section", "fields": repeat(plain(1), n)}))),
        ),
        (
            "context",
            10,
            Box::new(move |n| with(json!({"type": "context", "elements": repeat(plain(1), n)}))),
        ),
        (
            "actions",
            25,
            Box::new(move |n| with(json!({"type": "actions", "elements": repeat(button(1, 9), n)}))),
        ),
        (
            "button",
            75,
            Box::new(move |n| with(json!({"type": "actions", "elements": [button(n, 9)]}))),
        ),
        (
            "url",
            3000,
            Box::new(move |n| with(json!({"type": "actions", "elements": [button(1, n)]}))),
        ),
        (
            "block id",
            255,
            Box::new(|n| with(json!({"type": "divider", "block_id": "i".repeat(n)}))),
        ),
        (
            "blocks",
            50,
            Box::new(move |n| json!({"blocks": repeat(json!({"type": "divider"}), n)})),
        ),
    ];
    for (name, limit, payload) in cases {
        assert_eq!(word(&payload(limit)), "ok", "{name} at {limit}");
        assert_eq!(
            word(&payload(limit + 1)),
            "invalid_blocks",
            "{name} at {}",
            limit + 1
        );
    }
}

#[test]
fn refusals_have_slacks_words() {
    let sections = |n: usize| vec![json!({"type": "section", "text": plain(3000)}); n];
    for (payload, says) in [
        (json!({"text": "hello"}), "ok"),
        (json!({"text": ""}), "no_text"),
        (json!({}), "no_text"),
        (json!([]), "invalid_payload"),
        (json!({"text": 1}), "invalid_payload"),
        (json!({"text": "t", "blocks": sections(4)}), "ok"),
        (json!({"text": "t", "blocks": sections(5)}), "msg_blocks_too_long"),
        (
            json!({"text": "t", "attachments": vec![json!({}); 101]}),
            "too_many_attachments",
        ),
        (
            with(json!({"type": "header", "text": {"type": "mrkdwn", "text": "t"}})),
            "invalid_blocks",
        ),
        (
            with(json!({"type": "section", "text": plain(0)})),
            "invalid_blocks",
        ),
        (with(json!({"type": "section"})), "invalid_blocks"),
        (with(json!({"type": "actions"})), "invalid_blocks"),
        (with(json!({"type": "banner"})), "invalid_blocks"),
    ] {
        assert_eq!(word(&payload), says, "{payload}");
    }
    assert_eq!(check("{", true).unwrap_err().word, "invalid_payload");
    assert_eq!(check("{}", false).unwrap_err().word, "invalid_payload");
}

#[test]
fn a_message_is_shown_as_text() {
    let payload = json!({"text": "t", "blocks": [
        {"type": "header", "text": {"type": "plain_text", "text": "A &amp; B"}},
        {"type": "section", "text": {"type": "mrkdwn", "text": "*Days*\n`▁█` A &lt;1&gt;"}},
        {"type": "section", "fields": [{"type": "mrkdwn", "text": "*Since*\n<!date^0^{date_num}|1970-01-01>"}]},
        {"type": "actions", "elements": [
            {"type": "button", "text": {"type": "plain_text", "text": "Open"}, "url": "https://kpi.example"}]},
        {"type": "context", "elements": [{"type": "mrkdwn", "text": "e.1"}, {"type": "mrkdwn", "text": "<https://x|X>"}]},
    ]});
    let message = Message {
        received: Timestamp::UNIX_EPOCH,
        payload,
    };
    let text = "A & B\nDays\n│ ▁█ A <1>\n  Since: 1970-01-01\n[Open] https://kpi.example\ne.1 · X";
    assert_eq!(message.as_text(), text);
    assert_eq!(message.summary(), "t");
}

#[test]
fn a_short_burst_is_let_through_and_then_one_a_second() {
    let mut slack = Slack::default();
    let start = Instant::now();
    let mut at = |ms: u64| slack.lets_through(start + Duration::from_millis(ms));
    assert_eq!([0; 6].map(&mut at), [true, true, true, true, true, false]);
    assert!(!at(900));
    assert!(at(1000));
    assert!(!at(1100));
    assert!(at(2500));
}

#[tokio::test]
async fn too_many_are_told_to_wait() {
    let fake = FakeSlack::start().await.unwrap();
    let client = reqwest::Client::builder().no_proxy();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = client.build().unwrap();
    let mut last = None;
    for _ in 0..=BURST {
        let request = client.post(fake.webhook_url()).json(&json!({"text": "hello"}));
        last = Some(request.send().await.unwrap());
    }
    let last = last.unwrap();
    assert_eq!(last.status(), 429);
    assert_eq!(last.headers()["retry-after"], "1");
    assert_eq!(
        last.text().await.unwrap(),
        r#"{"retry_after":1,"ok":false,"error":"rate_limited"}"#
    );
    assert_eq!(fake.messages().len(), BURST as usize);
    assert_eq!(fake.requests().len(), BURST as usize + 1);
}

/// A call as a server hears it, so many seconds after the start.
fn call(start: Instant, seconds: u64, path: &str) -> Call {
    Call {
        path: path.to_owned(),
        query: Default::default(),
        is_json: true,
        authorization: Some("Bearer xoxb-1".to_owned()),
        headers: Default::default(),
        body: json!({"channel": SlackBot::CHANNEL, "text": "x"}).to_string(),
        at: start + Duration::from_secs(seconds),
        received: jiff::Timestamp::UNIX_EPOCH,
    }
}

/// Webhooks and apps count together: so many in a minute are taken, and not one more.
#[test]
fn a_workspace_takes_so_many_of_all_who_post_there() {
    let start = Instant::now();
    let workspace = Workspace::taking(6);
    let mut webhook = Slack::within(workspace.clone());
    let mut app = SlackBot::within(workspace, "xoxb-1");
    let mut by_webhook = |at| webhook.judge(&call(start, at, "/services/T1/B1/s"));
    let mut by_app = |at| app.judge(&call(start, at, "/api/chat.postMessage"));
    for at in [0, 1, 2] {
        assert_eq!((by_webhook(at).status, by_app(at).status), (200, 200), "{at}");
    }
    let (over, over_too) = (by_app(3), by_webhook(4));
    assert_eq!(over.status, 429);
    assert!(over.body.contains("ratelimited"), "{}", over.body);
    assert!(over.headers.contains(&("Retry-After".to_owned(), "1".to_owned())));
    assert_eq!(over_too.status, 429);
    assert!(over_too.body.contains("rate_limited"), "{}", over_too.body);
    assert_eq!([59, 60, 60].map(|at| by_app(at).status), [429, 200, 200]);
    assert_eq!(by_webhook(60).status, 429);
}
