//! How large a whole message may be, at N and at N + 1, where a service counts the message and not its parts: the fake
//! refuses what the service does, and nothing of ours comes near.

use serde_json::{Value as Json, json};

use super::fakes::{Call, Vendor, pagerduty as fake_pagerduty, program, teams as fake_teams};
use super::message::{Does, Link, Message};
use super::robots::{WEBHOOK_KEY, robot_with, wording};
use super::webhook::ALERTS;
use super::webhook::signature::{Key, standard};
use super::{Form, pagerduty, samples, teams};
use crate::alert::notice::{Heading, Notice};
use crate::settings::Mention;
use crate::words::Language;

/// Letters of one, three and four bytes.
const LETTERS: [&str; 3] = ["a", "字", "🔴"];

const ROUTING_KEY: &str = "00000000000000000000000000000000";

/// Where it is written to, itself, a body, where that can be filled, and how many bytes it takes.
type Service = (&'static str, Box<dyn Vendor>, Json, &'static str, usize);

/// A request of its own minute.
fn call(path: &str, body: String, minute: u64) -> Call {
    let received = jiff::Timestamp::now();
    let id = format!("id{minute}");
    let key = Key::parse(WEBHOOK_KEY).unwrap();
    let signature = standard(&[key], &id, received.as_second(), &body);
    let headers = [
        ("webhook-id", id),
        ("webhook-timestamp", received.as_second().to_string()),
        ("webhook-signature", signature),
    ];
    Call {
        path: path.to_owned(),
        query: [("sig".to_owned(), "s".to_owned())].into(),
        is_json: true,
        authorization: None,
        headers: headers.map(|(name, value)| (name.to_owned(), value)).into(),
        body,
        at: tokio::time::Instant::now() + std::time::Duration::from_mins(minute),
        received,
    }
}

/// A body of so many bytes, with a filler at this place that ends with this letter.
fn filled(mut body: Json, at: &str, bytes: usize, end: &str) -> String {
    let room = bytes - body.to_string().len();
    let filler = format!("{}{end}", "a".repeat(room - end.len()));
    *body.pointer_mut(at).unwrap() = json!(filler);
    let body = body.to_string();
    assert_eq!(body.len(), bytes);
    body
}

#[tokio::test]
async fn services_take_a_body_of_n_bytes_and_not_one_more() {
    let event = json!({"type": "t", "timestamp": "2026-06-23T01:30:00Z", "data": {"x": ""}});
    let trigger = json!({
        "routing_key": ROUTING_KEY, "event_action": "trigger", "dedup_key": "k",
        "payload": {"summary": "s", "source": "s", "severity": "info", "custom_details": {"x": ""}},
    });
    let block = json!({"type": "TextBlock", "text": ""});
    let content = json!({"type": "AdaptiveCard", "version": "1.4", "body": [block]});
    let attachment = json!({"contentType": "application/vnd.microsoft.card.adaptive", "content": content});
    let card = json!({"type": "message", "attachments": [attachment]});
    let services: [Service; 3] = [
        (
            "",
            program::Program::new(WEBHOOK_KEY).unwrap(),
            event,
            "/data/x",
            20_000,
        ),
        (
            "/v2/enqueue",
            fake_pagerduty::PagerDuty::new(ROUTING_KEY),
            trigger,
            "/payload/custom_details/x",
            pagerduty::EVENT,
        ),
        (
            "",
            fake_teams::Teams::new(),
            card,
            "/attachments/0/content/body/0/text",
            28 * 1024,
        ),
    ];
    for (path, mut vendor, body, at, most) in services {
        let mut minute = 0;
        for letter in LETTERS {
            for bytes in [most, most + 1] {
                minute += 1;
                let body = filled(body.clone(), at, bytes, letter);
                let verdict = vendor.judge(&call(path, body, minute));
                assert_eq!(
                    verdict.why.is_empty(),
                    bytes == most,
                    "{at} {letter}: {}",
                    verdict.why
                );
            }
        }
    }
}

/// A notice all of whose texts are longer than any service takes.
fn endless(letter: &str) -> Notice {
    let long = letter.repeat(20_000);
    let mut notice = samples::worse();
    notice.alert_kind.clone_from(&long);
    notice.explains = vec![Heading::of(&long); 20];
    notice.labels = (0..40).map(|n| (format!("{n}{long}"), long.clone())).collect();
    notice.labels.insert("node".to_owned(), long.clone());
    notice.facts.title.clone_from(&long);
    for figure in [&mut notice.facts.node, &mut notice.facts.parent]
        .into_iter()
        .flatten()
    {
        figure.title.clone_from(&long);
        figure.instance.clone_from(&long);
        figure.period.clone_from(&long);
        figure.unit = Some(long.clone());
        figure.owner = Some(long.clone());
    }
    notice.facts_at_firing = Some(notice.facts.clone());
    notice
}

#[tokio::test]
async fn however_long_the_words_every_program_takes_the_message() {
    for name in ["webhook", "webhook v4", "pagerduty", "teams", "alertmanager"] {
        for letter in LETTERS {
            let robot = robot_with(name, wording(Language::Zh)).await;
            for form in [Form::Full, Form::Plain] {
                let answer = robot.send(&[endless(letter)], form).await;
                let why: Vec<String> = robot
                    .fake
                    .requests()
                    .into_iter()
                    .map(|request| request.why)
                    .collect();
                assert_eq!(super::robots::meaning(&answer), "ok", "{name} {letter}: {why:?}");
                assert!(why.iter().all(String::is_empty), "{name} {letter}: {why:?}");
            }
        }
    }
}

#[test]
fn a_card_has_six_buttons_at_most_and_a_seventh_is_refused() {
    for letter in LETTERS {
        let message = Message {
            links: (0..7)
                .map(|n| Link {
                    label: letter.repeat(n + 1),
                    url: format!("https://kpi.example/{n}"),
                    does: Does::Show,
                })
                .collect(),
            ..wording(Language::Zh).message(&[samples::hollow()])
        };
        let mut payload = teams::payload::full(&message, &Mention::default());
        let judged = |payload: &Json| {
            let call = call("", payload.to_string(), 1);
            fake_teams::Teams::new().judge(&call).why
        };
        assert_eq!(judged(&payload), "");
        let actions = payload.pointer_mut("/attachments/0/content/actions").unwrap();
        let actions = actions.as_array_mut().unwrap();
        assert!((1..=6).contains(&actions.len()));
        let one = actions[0].clone();
        actions.resize(6, one.clone());
        assert_eq!(judged(&payload), "");
        let actions = payload.pointer_mut("/attachments/0/content/actions").unwrap();
        actions.as_array_mut().unwrap().push(one);
        assert_eq!(judged(&payload), "7 buttons");
    }
}

#[tokio::test]
async fn a_group_lists_64_alerts_and_counts_the_next() {
    for letter in LETTERS {
        for count in [ALERTS, ALERTS + 1] {
            let robot = robot_with("webhook v4", wording(Language::Zh)).await;
            let notices: Vec<Notice> = (0..)
                .take(count)
                .map(|n| {
                    let mut notice = samples::numbered(samples::hollow(), n);
                    notice.labels.insert("region".to_owned(), format!("{letter}{n}"));
                    notice
                })
                .collect();
            assert_eq!(
                super::robots::meaning(&robot.send(&notices, Form::Full).await),
                "ok"
            );
            let mut group = robot.last();
            assert_eq!(group["alerts"].as_array().map(Vec::len), Some(ALERTS));
            assert_eq!(group["truncatedAlerts"], count - ALERTS);
            let more = group["alerts"][0].clone();
            group["alerts"].as_array_mut().unwrap().push(more);
            let verdict = program::Groups.judge(&call("", group.to_string(), 1));
            assert_eq!(verdict.why, "65 alerts");
        }
    }
}
