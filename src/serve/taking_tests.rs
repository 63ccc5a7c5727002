//! Links of messages and the page's controls, over HTTP: what one request asks of several alerts.

use std::io::{Read, Write};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use super::orders::{OrderInbox, Orders, slow};
use super::view::{AlertView, Stats, View};
use super::{App, Shared, router};
use crate::alert::dispatch::Command;
use crate::alert::dispatch::matcher::Matcher;
use crate::alert::dispatch::silence::Silence;
use crate::alert::record::{AlertState, Compared, Labels};
use crate::catalog::Severity;
use crate::catalog::load::{Files, load};
use crate::notify::{Signer, samples};
use crate::settings::{Role, Secret, Token};
use crate::source::push::Intake;
use crate::state::{Commit, Store};
use crate::words::Language;

const NOW: &str = "2026-06-23T01:30:00Z";
const CATALOG: &str = "
sources: {s: {topics: [t], format: json, fields: {who: who}}}
metrics: {visits: {source: s, agg: count}}
nodes: {revenue: {metric: visits, role: business, period: month}}
";
const KEY: &[u8] = b"key of links";
/// Commands that are carried out, and at how many ticks.
type Carried = (Vec<Command>, usize);

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// An alert of the sample's, with another identity.
fn alert(episode: &str, node: &str, period: &str, severity: Severity) -> AlertView {
    let sample = samples::hollow();
    let labels = labels(&[("alertname", "hollow"), ("node", node), ("period", period)]);
    AlertView {
        rule: "hollow".to_owned(),
        kind: "hollow".to_owned(),
        severity,
        state: AlertState::Firing,
        active_at: sample.fired_at,
        fingerprint: crate::alert::identity::fingerprint("hollow", &labels),
        labels,
        facts: sample.facts,
        episode: episode.to_owned(),
        tellings: Vec::new(),
        ack: None,
    }
}

fn view(alerts: Vec<AlertView>, silences: Vec<Silence>) -> View {
    let catalog = load(&Files::new("", [("a.yaml", CATALOG)])).unwrap();
    View {
        version: 1,
        catalog: Arc::new(catalog),
        snapshot: Arc::default(),
        rule_errors: Arc::default(),
        alerts: alerts.into(),
        language: Language::En,
        ready: Default::default(),
        newest_rejected: Arc::from([]),
        entries: Arc::default(),
        book: Arc::default(),
        silences: silences.into(),
        routing: Arc::default(),
        receivers: Arc::from([]),
        external_url: None,
        stats: Stats {
            now: Some(NOW.parse().unwrap()),
            ..Stats::default()
        },
    }
}

/// A server, and the evaluator that it asks.
struct Served {
    port: u16,
    inbox: OrderInbox,
}

impl Served {
    async fn with(view: View, store: Store) -> Served {
        let (orders, inbox) = Orders::new();
        let (reload, _) = mpsc::channel(1);
        let token = Token {
            secret: Secret::new("responders"),
            role: Role::Responder,
            scope: Vec::new(),
        };
        let shared = Shared {
            view: watch::Sender::new(Arc::new(view)).subscribe(),
            reload,
            intake: Intake::new().0,
            orders,
            signer: Signer::new(KEY),
            store,
            tokens: Arc::from([token]),
            slack_apps: watch::Sender::new(Arc::from([])).subscribe(),
        };
        let stopping = watch::Sender::new(false).subscribe();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move { axum::serve(listener, router(App { shared, stopping })).await });
        Served { port, inbox }
    }

    /// Asks, and carries out what is asked for, all that waits at each tick.
    async fn ask(&self, method: &str, path: &str, form: &str) -> (u16, String, Carried) {
        self.ask_with(method, path, "application/x-www-form-urlencoded", form)
            .await
    }

    async fn ask_with(&self, method: &str, path: &str, kind: &str, body: &str) -> (u16, String, Carried) {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: tautline\r\nconnection: close\r\nauthorization: Bearer responders\r\n\
             content-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let port = self.port;
        let asked = tokio::task::spawn_blocking(move || {
            let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        });
        let mut carried = (Vec::new(), 0);
        while !asked.is_finished() {
            tokio::task::yield_now().await;
            let now = slow::tick(&self.inbox);
            carried.1 += usize::from(!now.is_empty());
            carried.0.extend(now);
        }
        let answer = asked.await.unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer, carried)
    }
}

/// A store in which one message was about these episodes.
fn store(episodes: usize) -> Store {
    let store = Store::in_memory().unwrap();
    let mut notices: Vec<_> = (0..u32::try_from(episodes).unwrap())
        .map(|number| samples::numbered(samples::hollow(), number))
        .collect();
    for notice in &mut notices {
        notice.bundle = "b1.1".to_owned();
    }
    store
        .commit(&Commit {
            notices: &notices,
            ..Commit::default()
        })
        .unwrap();
    store
}

fn many(count: usize) -> Vec<AlertView> {
    let one = |number| {
        let (episode, node) = (format!("e{number}"), format!("n{number}"));
        alert(&episode, &node, "2026-06", Severity::WARNING)
    };
    (0..count).map(one).collect()
}

fn link(action: &str, sent: &str) -> String {
    Signer::new(KEY).link("", action, "b1.1", sent.parse().unwrap())
}

#[tokio::test]
async fn a_link_takes_all_alerts_of_its_message_at_once() {
    let served = Served::with(view(many(100), Vec::new()), store(100)).await;
    let link = link("ack", NOW);
    let (status, page, carried) = served.ask("GET", &link, "").await;
    assert_eq!((status, carried), (200, (Vec::new(), 0)));
    assert!(page.contains("Acknowledge these 100 alerts"), "{page}");

    let (status, page, (commands, ticks)) = served.ask("POST", &link, "by=li&comment=mine&hours=4").await;
    assert_eq!((status, commands.len(), ticks), (200, 100, 1), "{page}");
    for command in commands {
        let Command::Ack {
            by, comment, lasts, ..
        } = command
        else {
            panic!("{command:?}");
        };
        assert_eq!((by.as_str(), comment.as_str()), ("li", "mine"));
        assert_eq!(lasts, Some(SignedDuration::from_hours(4)));
    }
    // Without a time it lasts as the settings say.
    let (_, _, (commands, _)) = served.ask("POST", &link, "by=li&hours=").await;
    assert!(
        matches!(&commands[0], Command::Ack { lasts: None, .. }),
        "{:?}",
        commands[0]
    );
    // Who does not say who they are is asked again.
    let (status, page, carried) = served.ask("POST", &link, "by=+").await;
    assert_eq!((status, carried), (200, (Vec::new(), 0)));
    assert!(page.contains("name=\"by\""), "{page}");
}

#[tokio::test]
async fn a_link_silences_each_alert_of_its_message() {
    let served = Served::with(view(many(3), Vec::new()), store(3)).await;
    let (status, page, (commands, ticks)) = served.ask("POST", &link("silence", NOW), "by=li&hours=24").await;
    assert_eq!((status, commands.len(), ticks), (200, 3, 1), "{page}");
    let now: Timestamp = NOW.parse().unwrap();
    let mut nodes = Vec::new();
    for command in commands {
        let Command::Silence { silence, force: true } = command else {
            panic!("{command:?}");
        };
        assert_eq!(
            silence.ends_at.duration_since(now),
            SignedDuration::from_hours(24)
        );
        let node = silence.matchers.iter().find(|matcher| matcher.name == "node");
        nodes.push(node.unwrap().value.clone());
        assert!(silence.matchers.iter().all(|matcher| matcher.name != "period"));
    }
    nodes.sort();
    assert_eq!(nodes, ["n0", "n1", "n2"]);
}

#[tokio::test]
async fn a_link_that_is_changed_or_old_does_nothing() {
    let served = Served::with(view(many(3), Vec::new()), store(3)).await;
    let good = link("ack", NOW);
    for (path, says) in [
        (good.replace("sig=", "sig=00"), "not one of ours"),
        (good.replace("/ack/", "/silence/"), "not one of ours"),
        (good.replace("b1.1", "b1.2"), "not one of ours"),
        (good.replace("b1.1", "b1.1,e7"), "not one of ours"),
        (good.split('?').next().unwrap().to_owned(), "not one of ours"),
        (link("ack", "2026-06-16T01:29:59Z"), "has expired"),
    ] {
        for (method, form) in [("GET", ""), ("POST", "by=li")] {
            let (status, page, carried) = served.ask(method, &path, form).await;
            assert_eq!((status, carried), (403, (Vec::new(), 0)), "{method} {path}");
            assert!(page.contains(says), "{page}");
        }
    }
    let old = link("ack", "2026-06-16T01:30:00Z");
    assert_eq!(served.ask("GET", &old, "").await.0, 200);
}

#[tokio::test]
async fn controls_of_the_page_ask_for_a_token() {
    let served = Served::with(view(many(2), Vec::new()), Store::in_memory().unwrap()).await;
    for (token, status, done) in [("", 401, 0), ("another", 401, 0), ("responders", 200, 1)] {
        let form = format!("by=li&token={token}");
        let (found, page, (commands, _)) = served.ask("POST", "/episodes/e1/ack", &form).await;
        assert_eq!((found, commands.len()), (status, done), "{token}: {page}");
    }
    // What is over needs nobody.
    let (status, _, carried) = served
        .ask("POST", "/episodes/gone/ack", "by=li&token=responders")
        .await;
    assert_eq!((status, carried), (410, (Vec::new(), 0)));
}

fn silence(matchers: &[&str]) -> Silence {
    let now: Timestamp = NOW.parse().unwrap();
    Silence {
        id: matchers.concat(),
        matchers: matchers
            .iter()
            .map(|text| Matcher::parse(text).unwrap())
            .collect(),
        starts_at: now,
        ends_at: now + SignedDuration::from_hours(1),
        created_by: "li".to_owned(),
        comment: String::new(),
        updated_at: now,
        reminded: false,
    }
}

/// Alerts of two nodes and two levels.
fn few() -> Vec<AlertView> {
    vec![
        alert("e0", "revenue", "2026-06", Severity::CRITICAL),
        alert("e1", "revenue", "2026-07", Severity::WARNING),
        alert("e2", "articles", "2026-06", Severity::WARNING),
        AlertView {
            state: AlertState::Pending {
                since: Timestamp::UNIX_EPOCH,
            },
            ..alert("e3", "articles", "2026-05", Severity::CRITICAL)
        },
    ]
}

#[tokio::test]
async fn a_silence_says_how_many_alerts_it_holds_by_all_that_matchers_see() {
    for (matcher, holds) in [
        ("severity=\"critical\"", 1),
        ("severity=\"warning\"", 2),
        ("kind=\"hollow\"", 3),
        ("node=\"articles\"", 1),
        ("severity=\"info\"", 0),
    ] {
        let served = Served::with(
            view(few(), vec![silence(&[matcher])]),
            Store::in_memory().unwrap(),
        )
        .await;
        let (_, page, _) = served.ask("GET", "/alerts", "").await;
        let cell = format!("<td class=\"number\">{holds}</td>");
        assert!(page.contains(&cell), "{matcher}: {page}");
    }
}

#[tokio::test]
async fn what_a_silence_would_hold_is_known_before_it_is_made() {
    let served = Served::with(view(few(), Vec::new()), Store::in_memory().unwrap()).await;
    let preview = async |filters: &str| -> Value {
        let path = format!("/api/v1/silences/preview?{filters}");
        let (_, answer, carried) = served.ask("GET", &path, "").await;
        assert_eq!(carried, (Vec::new(), 0));
        serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap()
    };
    let found = preview("filter=severity%3D%22critical%22").await;
    assert_eq!(
        found["data"],
        json!({
            "count": 1, "firing": 3, "needsForce": false, "refusal": null,
            "alerts": [{
                "episode": "e0", "activeAt": "2026-06-20T01:30:00Z",
                "labels": {
                    "alertname": "hollow", "node": "revenue", "period": "2026-06", "severity": "critical",
                    "kind": "hollow",
                },
            }],
        })
    );
    for (filters, count, force, says) in [
        ("filter=node%3Drevenue&filter=period%3D2026-07", 1, false, ""),
        ("filter=node%3Drevenue", 2, true, "2 of the 3 alerts"),
        (
            "filter=node%3D~%22rev.%2B%22",
            2,
            true,
            "no matcher names a value",
        ),
        (
            "filter=node!%3Drevenue",
            1,
            false,
            "must not match the empty value",
        ),
        ("", 3, false, "needs at least one matcher"),
    ] {
        let found = &preview(filters).await["data"];
        let refusal = found["refusal"].as_str().unwrap_or_default();
        assert_eq!(
            (found["count"].as_u64(), found["needsForce"].as_bool()),
            (Some(count), Some(force)),
            "{filters}"
        );
        assert!(
            refusal.contains(says) && refusal.is_empty() == says.is_empty(),
            "{filters}: {refusal}"
        );
    }
    assert_eq!(preview("filter=node").await["errorType"], "bad_data");

    // The same on the page, and beside the silence of one alert.
    let (_, page, _) = served.ask("GET", "/alerts?matchers=node%3Drevenue", "").await;
    assert!(
        page.contains("It would hold back 2 of the 3 alerts that fire."),
        "{page}"
    );
    assert!(page.contains("say force=true if it is meant"), "{page}");
    let (_, page, _) = served.ask("GET", "/alerts?matchers=node", "").await;
    assert!(
        page.contains("&#39;node&#39; is no matcher") || page.contains("'node' is no matcher"),
        "{page}"
    );
    let (_, page, _) = served.ask("GET", "/episodes/e0/silence", "").await;
    assert!(
        page.contains("It also silences these, which fire now (1):"),
        "{page}"
    );
    let (_, page, _) = served.ask("GET", "/episodes/e2/silence", "").await;
    assert!(!page.contains("It also silences"), "{page}");
}

/// The value of an alert is what its rule compares, whatever else is known of its node.
#[tokio::test]
async fn the_value_of_an_alert_is_what_its_rule_judged() {
    for (compared, value) in [(Some(0.2), "2e-01"), (None, "NaN"), (Some(f64::INFINITY), "NaN")] {
        let mut alert = alert("e0", "revenue", "2026-06", Severity::WARNING);
        alert.facts.compared = Compared::new(compared);
        assert!(alert.facts.node.as_ref().unwrap().pace.is_some());
        let served = Served::with(view(vec![alert], Vec::new()), Store::in_memory().unwrap()).await;
        let (_, answer, _) = served.ask("GET", "/api/v1/alerts", "").await;
        let found: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
        assert_eq!(found["data"]["alerts"][0]["value"], value);
    }
}

#[tokio::test]
async fn an_acknowledgement_by_the_api_says_how_long_it_lasts() {
    let served = Served::with(view(few(), Vec::new()), Store::in_memory().unwrap()).await;
    let ack = async |body: Value| {
        let path = "/api/v1/episodes/e0/ack";
        served
            .ask_with("POST", path, "application/json", &body.to_string())
            .await
    };
    let hours = |hours| Some(SignedDuration::from_hours(hours));
    for (body, expected) in [
        (json!({"by": "li"}), None),
        (json!({"by": "li", "lasts": "8h"}), hours(8)),
        (json!({"by": "li", "lasts": "3d"}), hours(72)),
        (
            json!({"by": "li", "until": "2026-06-23T04:30:00Z", "comment": "c"}),
            hours(3),
        ),
    ] {
        let (status, answer, (commands, _)) = ack(body).await;
        assert_eq!(status, 200, "{answer}");
        let [Command::Ack { lasts, .. }] = &commands[..] else {
            panic!("{commands:?}");
        };
        assert_eq!(*lasts, expected);
    }
    for (body, says) in [
        (json!({"by": " "}), "by is empty: write who takes it"),
        (json!({"comment": "c"}), "missing field `by`"),
        (json!({"by": "li", "till": "8h"}), "unknown field `till`"),
        (json!({"by": "li", "lasts": "long"}), "write '30m', '8h' or '3d'"),
        (json!({"by": "li", "lasts": "0s"}), "write '30m', '8h' or '3d'"),
        (
            json!({"by": "li", "until": NOW}),
            "which is past; write a later moment",
        ),
        (json!({"by": "li", "until": "soon"}), "write {"),
        (
            json!({"by": "li", "lasts": "8h", "until": "2026-06-24T00:00:00Z"}),
            "write until or lasts, not both",
        ),
    ] {
        let (status, answer, carried) = ack(body).await;
        assert_eq!((status, carried), (400, (Vec::new(), 0)), "{answer}");
        let message: String = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
        assert!(message.contains(says), "{message}");
    }
}
