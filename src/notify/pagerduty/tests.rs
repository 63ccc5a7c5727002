use super::*;
use crate::alert::notice::{Aside, Digest, Heading, ResolveReason};
use crate::notify::fakes::pagerduty::PagerDuty as FakeService;
use crate::notify::fakes::{Fake, Scripted};
use crate::notify::robots::{meaning, wording};
use crate::notify::{Target, samples, target};
use crate::words::Language;

const KEY: &str = "verysecretverysecretverysecret00";

async fn service() -> (Fake, Target) {
    let fake = Fake::start(FakeService::new(KEY)).await.unwrap();
    let target = at(&fake, KEY);
    (fake, target)
}

fn at(fake: &Fake, key: &str) -> Target {
    let service = settings::PagerDuty {
        routing_key: Secret::new(key),
        api_url: fake.url("").parse().unwrap(),
    };
    let receiver = Receiver::local(settings::Channel::PagerDuty(service));
    target("ops", &receiver, wording(Language::En)).unwrap()
}

async fn send(target: &Target, notice: Notice, form: Form) -> Answer {
    let parcel = Parcel {
        notices: &[notice],
        form,
        shown: None,
        tried_since: None,
    };
    target.channel.send(parcel).await
}

#[tokio::test]
async fn an_episode_is_one_incident() {
    let (fake, target) = service().await;
    let kind = |kind| Notice {
        kind,
        ..samples::worse()
    };
    for notice in [
        samples::hollow(),
        samples::worse(),
        kind(NoticeKind::Acked),
        kind(NoticeKind::Repeat),
        samples::over(ResolveReason::Recovered),
        samples::numbered(samples::hollow(), 2),
    ] {
        assert_eq!(send(&target, notice, Form::Full).await, Answer::OK);
    }
    let events: Vec<String> = fake
        .messages()
        .iter()
        .map(|message| {
            let event = &message.payload;
            let severity = event["payload"]["severity"].as_str().unwrap_or("-");
            let text = |name: &str| event[name].as_str().unwrap().to_owned();
            format!("{} {severity} {}", text("dedup_key"), text("became"))
        })
        .collect();
    assert_eq!(
        events,
        [
            "5e1f warning opened",
            "5e1f critical updated",
            "5e1f - acknowledged",
            "5e1f critical updated",
            "5e1f - resolved",
            "e2 warning opened"
        ]
    );
    let first = &fake.messages()[0].payload;
    assert_eq!(first["payload"]["source"], "articles");
    assert_eq!(first["client_url"], "https://kpi.example/nodes/articles");
    assert!(first["payload"]["custom_details"]["Since"].is_string(), "{first}");
}

#[tokio::test]
async fn what_is_no_incident_has_no_place() {
    let (_, target) = service().await;
    let correction = Notice {
        kind: NoticeKind::Correction,
        ..samples::hollow()
    };
    let digest = Digest {
        name: None,
        from: Timestamp::UNIX_EPOCH,
        until: Timestamp::UNIX_EPOCH,
        open: Vec::new(),
        ended: Vec::new(),
        waiting: Vec::new(),
        forecast: Vec::new(),
    };
    let digest = Notice {
        aside: Some(Box::new(Aside::Digest(digest))),
        ..samples::hollow()
    };
    assert!(target.channel.takes(&samples::hollow()));
    assert!(!target.channel.takes(&correction) && !target.channel.takes(&digest));
}

#[tokio::test]
async fn every_answer_has_a_meaning_and_no_secret() {
    let (fake, target) = service().await;
    for (status, body, expected) in [
        (202, r#"{"status":"success"}"#, "ok"),
        (200, "<html>Sign in</html>", "retry"),
        (
            400,
            r#"{"status":"invalid event","errors":["'payload.summary' is missing or blank"]}"#,
            "drop",
        ),
        (400, "", "drop"),
        (
            400,
            r#"{"errors":["Invalid routing key verysecretverysecretverysecret00"]}"#,
            "disable",
        ),
        (403, "", "retry"),
        (429, "", "retry in 5 s"),
        (500, "", "retry"),
        (503, "", "retry"),
    ] {
        fake.script(Scripted::new(status, body));
        let answer = send(&target, samples::hollow(), Form::Full).await;
        assert_eq!(meaning(&answer), expected, "{status} {body}");
        assert!(!format!("{answer:?}").contains("secret"), "{answer:?}");
    }
    let other = at(&fake, "another0another0another0another0");
    assert_eq!(
        meaning(&send(&other, samples::hollow(), Form::Full).await),
        "disable"
    );
}

#[tokio::test]
async fn the_longest_message_keeps_to_the_limits() {
    let (fake, target) = service().await;
    let mut notice = samples::hollow();
    notice.facts.title = "🔴营收".repeat(2000);
    notice.alert_kind = "own".to_owned();
    notice.explains = vec![Heading::of(&"营".repeat(3000)); 5];
    for form in [Form::Full, Form::Plain] {
        assert_eq!(send(&target, notice.clone(), form).await, Answer::OK);
    }
    let shown = fake.messages();
    let summary = shown[0].payload["payload"]["summary"].as_str().unwrap();
    assert!(summary.ends_with('…') && summary.chars().count() <= SUMMARY);
    assert!(shown[1].payload["payload"].get("custom_details").is_none());
}
