use std::time::{Duration, Instant};

use super::*;
use crate::notify::fake_slack::{FakeSlack, Scripted};
use crate::notify::samples;
use crate::notify::signer::Signer;
use crate::settings::{self, Secret};
use crate::words::Language;

fn slack(url: &str, timeout: Duration) -> Slack {
    let webhook = SlackWebhook::at(Secret::new(url));
    let receiver = Receiver {
        timeout,
        ..Receiver::local(settings::Channel::SlackWebhook(webhook.clone()))
    };
    Slack::new(&webhook, &receiver, wording()).unwrap()
}

fn wording() -> Wording {
    Wording {
        language: Language::En,
        page: Some("https://kpi.example".to_owned()),
        signer: Some(Signer::new(b"key")),
        zone: jiff::tz::TimeZone::UTC,
        templates: Default::default(),
    }
}

async fn send(slack: &Slack, form: Form) -> Answer {
    let notices = [samples::hollow()];
    let parcel = Parcel {
        notices: &notices,
        form,
        shown: None,
        tried_since: None,
    };
    slack.send(parcel).await
}

async fn answer_to(script: Scripted) -> Answer {
    let fake = FakeSlack::start().await.unwrap();
    fake.script(script);
    let slack = slack(&fake.webhook_url(), Duration::from_millis(300));
    send(&slack, Form::Full).await
}

#[tokio::test]
async fn a_message_arrives() {
    let fake = FakeSlack::start().await.unwrap();
    let slack = slack(&fake.webhook_url(), Duration::from_secs(5));
    assert_eq!(send(&slack, Form::Full).await, Answer::OK);
    assert_eq!(send(&slack, Form::Plain).await, Answer::OK);
    let shown = fake.wait_for_more_than(1).await;
    assert_eq!(shown[0].payload, slack.payload(&[samples::hollow()], Form::Full));
    assert_eq!(shown[1].payload, slack.payload(&[samples::hollow()], Form::Plain));
}

#[tokio::test]
async fn answers_are_judged_by_status_header_and_body() {
    let answer = answer_to(Scripted::new(429, "").with_header("Retry-After", "7")).await;
    assert!(matches!(answer, Answer::Retry { after: Some(after), .. } if after == Duration::from_secs(7)));
    let answer = answer_to(Scripted::new(200, "not ok")).await;
    assert!(matches!(
        answer,
        Answer::Retry {
            after: None,
            maybe_shown: false,
            ..
        }
    ));
    let answer = answer_to(Scripted::new(403, "invalid_token")).await;
    assert_eq!(
        answer,
        Answer::Disable {
            reason: "403 invalid_token".into()
        }
    );
}

#[tokio::test]
async fn a_server_that_is_too_slow_may_have_shown_it() {
    let began = Instant::now();
    let answer = answer_to(Scripted::hang()).await;
    assert!(
        matches!(
            answer,
            Answer::Retry {
                after: None,
                maybe_shown: true,
                ..
            }
        ),
        "{answer:?}"
    );
    assert!(began.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = FakeSlack::start().await.unwrap();
    let redirect = Scripted::new(307, "").with_header("Location", &elsewhere.webhook_url());
    assert!(matches!(answer_to(redirect).await, Answer::Retry { .. }));
    assert!(elsewhere.requests().is_empty());
}

#[tokio::test]
async fn of_a_long_answer_only_the_beginning_is_read() {
    let answer = answer_to(Scripted::new(500, &"x".repeat(10_000_000))).await;
    let Answer::Retry { reason, .. } = answer else {
        panic!("{answer:?}")
    };
    assert!(reason.len() < 100, "{reason}");
}

#[tokio::test]
async fn without_a_connection_nobody_saw_it_and_the_reason_keeps_the_secret() {
    // A port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let slack = slack(
        &format!("http://{free}/services/T0/B0/verysecret"),
        Duration::from_secs(5),
    );
    let answer = send(&slack, Form::Full).await;
    let Answer::Retry {
        maybe_shown: false,
        reason,
        ..
    } = answer
    else {
        panic!("{answer:?}")
    };
    assert!(reason.contains("refused"), "{reason}");
    assert!(
        !reason.contains("secret") && !reason.contains("services"),
        "{reason}"
    );
    assert_eq!(slack.destination(), "http://127.0.0.1/…");
}

/// What a receiver shares with others.
fn shares(channel: settings::Channel) -> Option<(u64, Limit)> {
    let (channel, _) = crate::notify::open(&Receiver::local(channel), wording()).unwrap();
    channel.shares()
}

fn webhook(url: &str) -> settings::Channel {
    settings::Channel::SlackWebhook(SlackWebhook::at(Secret::new(url)))
}

fn app(token: &str, workspace: Option<&str>, per_minute: u32) -> settings::Channel {
    settings::Channel::SlackBot(settings::SlackBot {
        token: Secret::new(token),
        channel: "C1".to_owned(),
        signing_secret: None,
        workspace: workspace.map(str::to_owned),
        workspace_per_minute: SlackRate::new(per_minute).unwrap(),
        api_url: "https://slack.com/api".parse().unwrap(),
    })
}

#[test]
fn webhooks_of_one_workspace_share_a_rate() {
    let one = shares(webhook("https://hooks.slack.com/services/T01/B01/a"));
    assert_eq!(
        one.unwrap().1,
        Limit::a_minute(settings::SLACK_WORKSPACE_PER_MINUTE)
    );
    assert_eq!(one, shares(webhook("https://hooks.slack.com/services/T01/B02/b")));
    assert_ne!(one, shares(webhook("https://hooks.slack.com/services/T02/B01/a")));
    assert_eq!(shares(webhook("https://hooks.example.com/b")), None);
    assert_eq!(shares(webhook("https://hooks.example.com/hooks/Team1/a")), None);
}

#[test]
fn an_app_shares_it_with_the_webhooks_of_its_workspace() {
    let one = shares(webhook("https://hooks.slack.com/services/T01/B01/a"));
    assert_eq!(one, shares(app("xoxb-1", Some("T01"), 300)));
    // The rate is that of who says it; which of several counts is seen when they meet.
    let (key, limit) = shares(app("xoxb-1", Some("T01"), 60)).unwrap();
    assert_eq!(
        (key, limit),
        (one.unwrap().0, Limit::a_minute(SlackRate::new(60).unwrap()))
    );
    // One that is not named is known by its token, whatever its channel.
    let unnamed = shares(app("xoxb-1", None, 300));
    assert_ne!(unnamed, one);
    assert_eq!(unnamed, shares(app("xoxb-1", None, 300)));
    assert_ne!(unnamed, shares(app("xoxb-2", None, 300)));
}
