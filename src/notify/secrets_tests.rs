//! No secret leaves by what is said of failures: every channel fails in every way, against servers that repeat all that
//! they were sent, and then logs, errors, what `notify test` prints, the history API and the state file are searched.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use tokio::sync::{Notify, watch};
use tracing_subscriber::fmt::MakeWriter;

use super::fakes::smtp::Smtp;
use super::fakes::{Call, Fake, Scripted, Vendor, Verdict};
use super::office::decide;
use super::robots::{channel, path, wording};
use super::{Form, Parcel, Stats, run, samples, target, trial};
use crate::alert::notice::Notice;
use crate::settings::{self, Channel, MailTls, Mention, Receiver, Secret, Signature, WebhookFormat};
use crate::state::Store;
use crate::words::Language;

/// Part of every secret, so that a piece of one is found as well.
const SECRET: &str = "verysecret";
const WEBHOOK_KEY: &str = "whsec_verysecretverysecretverysecretverysecretvery";
const ROUTING_KEY: &str = "verysecretverysecretverysecret00";

/// A server that repeats everything in its refusal.
struct Echo(u16);

impl Vendor for Echo {
    fn judge(&mut self, call: &Call) -> Verdict {
        let query: Vec<String> = call
            .query
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let said = format!("{} {} {:?}", call.path, query.join("&"), call.authorization);
        // Each vendor's own shape of an error, and after it the request.
        let body = serde_json::json!({
            "errcode": 310_000, "errmsg": said, "code": 19_021, "msg": said, "ok": false, "error": said,
            "errors": [format!("routing {said} {}", call.body)], "message": said,
        });
        let body = if self.0 == 200 {
            body.to_string()
        } else {
            format!("{said} {}", call.body)
        };
        Verdict::refused(self.0, body, "")
    }

    fn good(&self) -> &'static str {
        "never"
    }
}

const NAMES: [&str; 9] = [
    "slack",
    "feishu",
    "dingtalk",
    "wecom",
    "teams",
    "slack_bot",
    "pagerduty",
    "webhook",
    "alertmanager",
];

/// A receiver with this channel at the server with this address.
fn receiver(name: &str, server: &str) -> Receiver {
    let url = || server.parse().unwrap();
    let channel = match name {
        "slack_bot" => Channel::SlackBot(settings::SlackBot {
            token: Secret::new("xoxb-verysecret"),
            channel: "C1".to_owned(),
            signing_secret: Some(Secret::new(SECRET)),
            workspace: None,
            workspace_per_minute: settings::SLACK_WORKSPACE_PER_MINUTE,
            api_url: url(),
        }),
        "pagerduty" => Channel::PagerDuty(settings::PagerDuty {
            routing_key: Secret::new(ROUTING_KEY),
            api_url: url(),
        }),
        "webhook" => Channel::Webhook(settings::Webhook {
            url: Secret::new(format!("{server}/hooks/{SECRET}")),
            format: WebhookFormat::Events,
            signature: Signature::Standard(vec![Secret::new(WEBHOOK_KEY)]),
            own: None,
            authorization: None,
        }),
        "alertmanager" => Channel::Alertmanager(settings::Alertmanager {
            urls: vec![url()],
            credentials: Some(("kpi".to_owned(), Secret::new(SECRET))),
            resend: Duration::from_mins(1),
        }),
        robot => channel(
            robot,
            &format!("{server}{}", path(robot)),
            matches!(robot, "feishu" | "dingtalk").then_some("SECverysecret"),
            Mention::default(),
        ),
    };
    Receiver {
        timeout: Duration::from_millis(200),
        ..Receiver::local(channel)
    }
}

fn mail(port: u16) -> Receiver {
    let email = settings::Email {
        server: "127.0.0.1".to_owned(),
        port,
        tls: MailTls::None,
        credentials: Some(("kpi".to_owned(), Secret::new(SECRET))),
        from: "kpi@example.com".parse().unwrap(),
        to: vec!["ops@example.com".parse().unwrap()],
    };
    Receiver {
        timeout: Duration::from_millis(200),
        ..Receiver::local(Channel::Email(email))
    }
}

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Log;
    fn make_writer(&'a self) -> Log {
        self.clone()
    }
}

/// Every form in which a secret may be written.
fn has_secret(text: &str) -> bool {
    let forms = [
        SECRET.to_owned(),
        STANDARD.encode("kpi:verysecret"),
        STANDARD.encode("\0kpi\0verysecret"),
        STANDARD.encode(SECRET),
    ];
    forms.iter().any(|form| text.contains(form.as_str()))
}

/// One attempt, and one as `notify test` makes it; what both say.
async fn said(receiver: &Receiver) -> String {
    let target = target("ops", receiver, wording(Language::En)).unwrap();
    let parcel = Parcel {
        notices: &[samples::hollow()],
        form: Form::Full,
        shown: None,
        tried_since: None,
    };
    let answer = target.channel.send(parcel).await;
    let tried = trial::send("ops", receiver, wording(Language::En), false, Timestamp::now())
        .await
        .unwrap();
    format!(
        "{answer:?} {target:?} {receiver:?} {} {}",
        tried.text(Language::En),
        tried.json(Language::Zh)
    )
}

/// What the sender logs, what the history tells and what the state file holds, once a notice to each was given up.
async fn given_up(receivers: &[(&str, Receiver)]) -> String {
    let log = Log::default();
    // What another test meets first, without a subscriber, may be taken for something that nobody ever listens to.
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry());
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone())
        .finish();
    let logging = tracing::subscriber::set_default(subscriber);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tautline.db");
    let store = Store::open(&path).unwrap();
    let targets = receivers.iter().map(|(name, receiver)| {
        // The first failure is the last attempt.
        let receiver = Receiver {
            give_up_after: Duration::from_nanos(1),
            ..receiver.clone()
        };
        target(name, &receiver, wording(Language::En)).unwrap()
    });
    let notices: Vec<Notice> = receivers
        .iter()
        .map(|(name, _)| Notice {
            receiver: (*name).to_owned(),
            ..samples::hollow()
        })
        .collect();
    decide(&store, &notices);
    let (stop, stopping) = watch::channel(false);
    let stats = Arc::new(Stats::default());
    let sender = tokio::spawn(run(
        Box::new(store.clone()),
        targets.collect(),
        Arc::new(Notify::new()),
        stopping,
        Arc::clone(&stats),
    ));
    while store.oldest_undelivered().unwrap().is_some() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stop.send_replace(true);
    sender.await.unwrap();
    drop(logging);
    let told = store.notices_of(&samples::hollow().episode).unwrap();
    assert_eq!(told.len(), receivers.len());
    let history = axum::body::to_bytes(crate::serve::api::history(&told, &[]).into_body(), usize::MAX);
    let history = history.await.unwrap();
    let mut all = format!("{told:?} {:?}", stats.by_receiver_and_outcome());
    for bytes in [
        log.0.lock().unwrap().clone(),
        history.to_vec(),
        std::fs::read(&path).unwrap(),
        std::fs::read(path.with_extension("db-wal")).unwrap_or_default(),
    ] {
        all.push_str(&String::from_utf8_lossy(&bytes));
    }
    assert!(all.contains("notice") && !log.0.lock().unwrap().is_empty());
    all
}

#[track_caller]
fn clean(what: &str, text: &str) {
    if has_secret(text) {
        let at = text.find(SECRET).unwrap_or_default();
        let from = text.floor_char_boundary(at.saturating_sub(200));
        panic!(
            "{what} tells a secret: …{}",
            text[from..].chars().take(300).collect::<String>()
        );
    }
}

#[tokio::test]
async fn a_server_that_repeats_what_it_was_sent_makes_nobody_tell_it() {
    for status in [200, 400, 401, 403, 404, 413, 429, 500, 503] {
        let fake = Fake::start(Box::new(Echo(status))).await.unwrap();
        let receivers = NAMES.map(|name| (name, receiver(name, &fake.url(""))));
        for (name, receiver) in &receivers {
            clean(&format!("{name} {status}"), &said(receiver).await);
        }
        clean(&format!("the sender, {status}"), &given_up(&receivers).await);
    }
}

#[tokio::test]
async fn a_way_that_fails_makes_nobody_tell_a_secret() {
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let fake = Fake::start(Box::new(Echo(500))).await.unwrap();
    for name in NAMES {
        let nobody = receiver(name, &format!("http://{free}"));
        clean(&format!("{name}, refused"), &said(&nobody).await);
        let unknown = receiver(name, "https://nowhere.invalid");
        clean(&format!("{name}, DNS"), &said(&unknown).await);
        let here = receiver(name, &fake.url(""));
        let location = fake.url("/verysecret?key=verysecret");
        for scripted in [
            Scripted::hang(),
            Scripted::new(302, &location).with_header("Location", &location),
        ] {
            for _ in 0..2 {
                fake.script(scripted.clone());
            }
            clean(&format!("{name} {scripted:?}"), &said(&here).await);
        }
    }
    let refused = NAMES.map(|name| (name, receiver(name, &format!("http://{free}"))));
    clean("the sender, refused", &given_up(&refused).await);
}

#[tokio::test]
async fn a_mail_server_that_repeats_the_password_makes_nobody_tell_it() {
    let server = Smtp::start(Some(("kpi", "other"))).await.unwrap();
    let encoded = STANDARD.encode("\0kpi\0verysecret");
    let receiver = mail(server.port());
    clean("email, wrong password", &said(&receiver).await);
    for answer in [
        format!("535 5.7.8 bad {SECRET}"),
        format!("535 5.7.8 bad {encoded}"),
        format!("454 4.7.0 busy {encoded}"),
    ] {
        for _ in 0..3 {
            server.script("AUTH", &answer);
        }
        clean(&format!("email, {answer}"), &said(&receiver).await);
    }
    server.script("AUTH", &format!("535 5.7.8 bad {encoded}"));
    clean("the sender, email", &given_up(&[("email", receiver)]).await);
}
