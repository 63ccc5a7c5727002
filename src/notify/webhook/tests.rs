use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use proptest::prelude::*;

use super::*;
use crate::alert::notice::{Heading, NoticeKind, ResolveReason};
use crate::notify::samples;
use crate::notify::signer::Signer;
use crate::settings;
use crate::words::Language;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// What the standard advises, in bytes.
const LIMIT: usize = 20_000;
/// How far the clocks of a sender and a receiver may be apart.
const CLOCK_SECONDS: i64 = 300;

/// A program that verifies as the standard says, and keeps what it took.
#[derive(Clone, Default)]
struct Program {
    taken: Arc<Mutex<Vec<Json>>>,
    says: Arc<Mutex<Option<u16>>>,
}

async fn take(State(program): State<Program>, headers: HeaderMap, body: String) -> StatusCode {
    if let Some(status) = *program.says.lock().unwrap() {
        return StatusCode::from_u16(status).unwrap();
    }
    let header = |name: &str| headers[name].to_str().unwrap().to_owned();
    let time: i64 = header("webhook-timestamp").parse().unwrap();
    let signature = signature::standard(&[Key::parse(SECRET).unwrap()], &header("webhook-id"), time, &body);
    let is_ours = header("webhook-signature").split(' ').any(|one| one == signature);
    if !is_ours || (Timestamp::now().as_second() - time).abs() > CLOCK_SECONDS {
        return StatusCode::UNAUTHORIZED;
    }
    if body.len() > LIMIT {
        return StatusCode::PAYLOAD_TOO_LARGE;
    }
    program
        .taken
        .lock()
        .unwrap()
        .push(serde_json::from_str(&body).unwrap());
    StatusCode::NO_CONTENT
}

impl Program {
    async fn start(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook/verysecret", listener.local_addr().unwrap());
        let app = Router::new()
            .route("/hook/{path}", post(take))
            .with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        url
    }
}

fn webhook(url: &str, secrets: &[&str], format: WebhookFormat) -> Arc<dyn Channel> {
    let settings = Settings {
        format,
        signature: Signature::Standard(secrets.iter().copied().map(Secret::new).collect()),
        ..unsigned(url)
    };
    let receiver = Receiver::local(settings::Channel::Webhook(settings.clone()));
    open(&settings, &receiver, wording()).unwrap().0
}

fn unsigned(url: &str) -> Settings {
    Settings {
        url: Secret::new(url),
        format: WebhookFormat::Events,
        signature: Signature::Standard(Vec::new()),
        own: None,
        authorization: None,
    }
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

async fn send(channel: &Arc<dyn Channel>, notices: &[Notice], form: Form) -> Answer {
    let shown = None;
    channel
        .send(Parcel {
            notices,
            form,
            shown,
            tried_since: None,
        })
        .await
}

#[tokio::test]
async fn a_program_takes_what_is_signed_with_its_secret_also_while_secrets_change() {
    let program = Program::default();
    let url = program.start().await;
    let other = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    for (secrets, taken) in [
        (vec![SECRET], true),
        (vec![other, SECRET], true),
        (vec![other], false),
    ] {
        let channel = webhook(&url, &secrets, WebhookFormat::Events);
        let answer = send(&channel, &[samples::hollow()], Form::Full).await;
        assert_eq!(answer == Answer::OK, taken, "{answer:?}");
        assert!(!channel.destination().contains("secret") && !format!("{answer:?}").contains("secret"));
    }
    let taken = program.taken.lock().unwrap().clone();
    assert_eq!(taken.len(), 2);
    assert_eq!(taken[0]["type"], "kpi.alert.firing");
    assert_eq!(taken[0]["data"]["id"], "5e1f.1");
    assert_eq!(taken[0]["data"]["labels"]["node"], "articles");
    assert_eq!(taken[0]["data"]["facts"]["node"]["completion_ratio"], 0.96);
    assert_eq!(
        taken[0]["data"]["links"][0]["url"],
        "https://kpi.example/nodes/articles"
    );
}

#[tokio::test]
async fn gone_is_gone_and_the_rest_may_come_back() {
    let program = Program::default();
    let channel = webhook(&program.start().await, &[SECRET], WebhookFormat::Events);
    for (status, meaning) in [(410, "Disable"), (413, "Drop"), (302, "Retry"), (503, "Retry")] {
        *program.says.lock().unwrap() = Some(status);
        let answer = format!("{:?}", send(&channel, &[samples::hollow()], Form::Full).await);
        assert!(answer.starts_with(meaning), "{status}: {answer}");
    }
}

/// An end has the numbers of its beginning, of its worst and of now.
#[test]
fn an_end_has_its_beginning_and_its_worst() {
    let data = |notice: &Notice| {
        let message = wording().message(std::slice::from_ref(notice));
        payload::event(notice, &message, Form::Full)["data"].clone()
    };
    let over = samples::over_after_worse(ResolveReason::Recovered);
    let found = data(&over);
    let done = |when: &str| found[when]["parent"]["completion_ratio"].as_f64();
    assert_eq!(
        ["facts_at_firing", "facts_at_peak", "facts"].map(done),
        [Some(0.41), Some(0.35), Some(0.78)]
    );
    let repeated = Notice {
        kind: NoticeKind::Repeat,
        ..over
    };
    assert!(data(&repeated).get("facts_at_peak").is_none());
}

#[test]
fn notices_in_alertmanagers_shape() {
    let over = samples::numbered(samples::over(ResolveReason::Recovered), 2);
    let mut fired = samples::hollow();
    fired.labels.insert("产品线".into(), "家电".into());
    fired.group = [("parent".to_owned(), "revenue".to_owned())].into();
    fired.route = r#"{}/{severity="warning"}"#.to_owned();
    let message = |notice: &Notice| wording().message(std::slice::from_ref(notice));
    let group = alertmanager::group(&[fired, over], Some("https://kpi.example"), message);
    assert_eq!(group["version"], "4");
    assert_eq!(group["status"], "firing");
    assert_eq!(group["groupKey"], r#"{}/{severity="warning"}:{parent="revenue"}"#);
    assert_eq!(group["routeLabels"], serde_json::json!({}));
    assert_eq!(group["commonLabels"]["parent"], "revenue");
    assert!(group["commonLabels"].get("severity").is_none());
    let alerts = group["alerts"].as_array().unwrap();
    assert_eq!(alerts[0]["endsAt"], "0001-01-01T00:00:00Z");
    assert_eq!(alerts[0]["labels"]["___"], "家电");
    assert_eq!(alerts[1]["status"], "resolved");
    assert_eq!(alerts[1]["endsAt"], "2026-06-23T01:30:00Z");
    assert_eq!(alerts[1]["fingerprint"].as_str().unwrap().len(), 16);
    let many = vec![samples::hollow(); alertmanager::ALERTS + 3];
    let group = alertmanager::group(&many, None, message);
    assert_eq!(group["truncatedAlerts"], 3);
}

#[test]
fn a_group_is_over_when_nothing_of_it_fires_whether_or_not_this_message_lists_it() {
    let message = |notice: &Notice| wording().message(std::slice::from_ref(notice));
    let over = |episode, group_fires| {
        let notice = samples::numbered(samples::over(ResolveReason::Recovered), episode);
        Notice {
            group_fires,
            ..notice
        }
    };
    let joins = Notice {
        bundle: "5e1f.2".to_owned(),
        ..samples::hollow()
    };
    let first = Notice {
        bundle: "5e1f.1".to_owned(),
        ..samples::hollow()
    };
    let again = Notice {
        kind: NoticeKind::Repeat,
        ..samples::hollow()
    };
    for (notices, status, reason) in [
        (vec![first], "firing", "first notification"),
        (vec![over(2, true), joins], "firing", "new alerts added"),
        (vec![over(2, true)], "firing", "some alerts resolved"),
        (
            vec![over(2, true), over(3, false)],
            "resolved",
            "all alerts resolved",
        ),
        (
            vec![over(2, false), again.clone()],
            "firing",
            "some alerts resolved",
        ),
        (vec![again], "firing", "repeat interval elapsed"),
    ] {
        let group = alertmanager::group(&notices, None, message);
        assert_eq!(
            (group["status"].as_str(), group["notification_reason"].as_str()),
            (Some(status), Some(reason))
        );
    }
}

/// Opsgenie, as far as its documentation says what it takes.
#[derive(Clone, Default)]
struct Opsgenie {
    /// Method and path of each request, with its body.
    taken: Arc<Mutex<Vec<(String, Json)>>>,
}

async fn judge(
    State(genie): State<Opsgenie>,
    uri: axum::http::Uri,
    headers: HeaderMap,
    body: String,
) -> (StatusCode, String) {
    // As some do: what was sent stands in the answer.
    let echo = format!("{headers:?} {body}");
    let refuse = |why: &str| (StatusCode::UNPROCESSABLE_ENTITY, format!("{why} {echo}"));
    if headers
        .get("authorization")
        .is_none_or(|key| key != "GenieKey verysecret")
    {
        return (StatusCode::UNAUTHORIZED, echo);
    }
    let Ok(body) = serde_json::from_str::<Json>(&body) else {
        return refuse("no JSON");
    };
    let closes = uri.path().ends_with("/close");
    let long = |name: &str, most: usize| {
        body[name]
            .as_str()
            .is_some_and(|text| text.chars().count() > most)
    };
    let limits = [
        ("message", 130),
        ("alias", 512),
        ("description", 15_000),
        ("entity", 512),
        ("source", 100),
        ("note", 25_000),
    ];
    if let Some((name, _)) = limits.iter().find(|(name, most)| long(name, *most)) {
        return refuse(name);
    }
    let tags = body["tags"].as_array().into_iter().flatten();
    if tags.clone().count() > 20
        || tags
            .clone()
            .any(|tag| tag.as_str().is_none_or(|tag| tag.chars().count() > 50))
    {
        return refuse("tags");
    }
    let priority = body["priority"].as_str().unwrap_or_default();
    let is_new = body["message"]
        .as_str()
        .is_some_and(|message| !message.is_empty());
    let is_whole = is_new && ["P1", "P2", "P3", "P4", "P5"].contains(&priority);
    if !closes && !is_whole {
        return refuse("message or priority");
    }
    if closes && uri.query() != Some("identifierType=alias") {
        return refuse("identifierType");
    }
    genie.taken.lock().unwrap().push((uri.path().to_owned(), body));
    (
        StatusCode::ACCEPTED,
        r#"{"result":"Request will be processed"}"#.to_owned(),
    )
}

/// The receiver that the documentation shows, with the address of a server of the test.
fn documented(genie: &str) -> Arc<dyn Channel> {
    let docs = include_str!("../../../docs/settings.md");
    let example = docs.split("whose alerts are episodes:").nth(1).unwrap();
    let example = example.split("```").nth(1).unwrap().trim_start_matches("yaml");
    let written = example.replace("https://api.opsgenie.com", genie).replace(
        "authorization_file: /run/secrets/opsgenie",
        "authorization: GenieKey verysecret\n      allow_private: true",
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tautline.yaml");
    std::fs::write(&file, format!("kafka: {{brokers: b}}\n{written}")).unwrap();
    let settings = settings::load(Some(&file))
        .map_err(|problems| problems.to_string())
        .unwrap();
    let receiver = &settings.receivers["opsgenie"];
    let settings::Channel::Webhook(webhook) = &receiver.channel else {
        panic!("{receiver:?}")
    };
    open(webhook, receiver, wording()).unwrap().0
}

#[tokio::test]
async fn the_documented_template_for_opsgenie_keeps_to_its_limits() {
    let genie = Opsgenie::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let app = Router::new()
        .route("/v2/alerts", post(judge))
        .route("/v2/alerts/{alias}/close", post(judge))
        .with_state(genie.clone());
    tokio::spawn(async move { axum::serve(listener, app).await });
    let channel = documented(&url);
    assert!(channel.takes(&samples::hollow()) && !channel.bundles(&samples::hollow()));

    let mut long = samples::worse();
    let text = "营收🔴\"}],\"alias\":\"x {{ title }} ".repeat(2000);
    long.facts.node.as_mut().unwrap().title = text.clone();
    long.facts.title = text.clone();
    long.labels.insert("alertname".to_owned(), text.clone());
    long.alert_kind = text;
    let over = samples::over(ResolveReason::Recovered);
    for notice in [samples::hollow(), long, over.clone()] {
        for form in [Form::Full, Form::Plain] {
            assert_eq!(
                send(&channel, std::slice::from_ref(&notice), form).await,
                Answer::OK
            );
        }
    }
    let taken = genie.taken.lock().unwrap().clone();
    assert_eq!(taken[0].0, "/v2/alerts");
    assert_eq!(taken[0].1["alias"], "5e1f");
    assert_eq!(taken[0].1["priority"], "P3");
    assert_eq!(taken[0].1["details"]["period"], "2026-06");
    assert_eq!(taken[2].1["message"].as_str().unwrap().chars().count(), 130);
    assert_eq!(
        (&taken[2].1["alias"], &taken[2].1["priority"]),
        (&"5e1f".into(), &"P1".into())
    );
    assert_eq!(taken[4].0, "/v2/alerts/5e1f/close");
    assert_eq!(taken[4].1["source"], "tautline");
    // What was closed is not corrected.
    let correction = Notice {
        kind: NoticeKind::Correction,
        ..over
    };
    assert!(!channel.takes(&correction));
}

#[tokio::test]
async fn no_answer_repeats_the_key_of_a_service() {
    let genie = Opsgenie::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v2/alerts", listener.local_addr().unwrap());
    let app = Router::new().route("/v2/alerts", post(judge)).with_state(genie);
    tokio::spawn(async move { axum::serve(listener, app).await });
    for (key, answered) in [("GenieKey verysecret", "422"), ("GenieKey verysecret2", "401")] {
        let settings = Settings {
            own: Some(settings::OwnBody {
                body: serde_json::Map::new(),
                end: None,
            }),
            authorization: Some(Secret::new(key)),
            ..unsigned(&url)
        };
        let receiver = Receiver::local(settings::Channel::Webhook(settings.clone()));
        let channel = open(&settings, &receiver, wording()).unwrap().0;
        let answer = format!("{:?}", send(&channel, &[samples::hollow()], Form::Full).await);
        assert!(
            answer.contains(answered) && !answer.contains("verysecret"),
            "{answer}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn every_event_is_small_enough_and_says_when_it_was_cut(
        text in prop_oneof!["\\PC{0,40}", ("[a-z营\"\\\\🔴👨‍👩‍👧\n]{1,8}", 1usize..900).prop_map(|(part, times)| part.repeat(times))],
        many in 0usize..60, over in any::<bool>(), plain in any::<bool>(),
    ) {
        let mut notice = if over { samples::over(ResolveReason::Recovered) } else { samples::worse() };
        for (figure, then) in [(&mut notice.facts.node, true), (&mut notice.facts.parent, false)] {
            let figure = figure.as_mut().unwrap();
            figure.title = text.clone();
            figure.instance = text.clone();
            figure.owner = then.then(|| text.clone());
            (figure.unit, figure.period) = (Some(text.clone()), text.clone());
        }
        notice.facts_at_firing = over.then(|| notice.facts.clone());
        notice.peak = over.then(|| notice.facts.clone());
        notice.facts.title = text.clone();
        notice.alert_kind = text.clone();
        notice.labels.extend((0..many).map(|n| (format!("{n}{text}"), text.clone())));
        notice.explains = vec![Heading::of(&text); many];
        notice.kind = if over { NoticeKind::Resolved } else { NoticeKind::Fired };
        let message = wording().message(std::slice::from_ref(&notice));
        let form = if plain { Form::Plain } else { Form::Full };
        let event = payload::event(&notice, &message, form);
        prop_assert!(event.to_string().len() <= LIMIT, "{}", event.to_string().len());
        if many > 30 {
            prop_assert_eq!(&event["data"]["shortened"], &Json::Bool(true));
        }
    }
}

#[test]
fn the_path_of_an_end_comes_before_the_query() {
    let at = |base: &str, path: &str| ended_at(&Url::parse(base).unwrap(), path).to_string();
    assert_eq!(
        at("https://h.example/alerts/", "/5e/close"),
        "https://h.example/alerts/5e/close"
    );
    assert_eq!(
        at("https://h.example/alerts?key=K", "/5e/close?by=id"),
        "https://h.example/alerts/5e/close?key=K&by=id"
    );
}
