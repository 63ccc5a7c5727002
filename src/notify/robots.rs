//! Every channel with its fake, for tests of what all of them share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::fakes::{
    Fake, Scripted, Vendor, alertmanager, dingtalk, feishu, pagerduty, program, slack_bot, teams, wecom,
};
use super::{Answer, Channel, Form, Parcel, Wording, fake_slack, open, samples};
use crate::alert::notice::{Notice, ResolveReason};
use crate::notify::signer::Signer;
use crate::settings::{self, Mention, Receiver, Secret, Signature, WebhookFormat};
use crate::words::Language;

/// A channel with the server it writes to, whose clock stands still until it is moved.
pub(super) struct Robot {
    pub(super) name: &'static str,
    pub(super) channel: Arc<dyn Channel>,
    pub(super) fake: Fake,
    pub(super) clock: Arc<Mutex<Instant>>,
}

pub(super) fn wording(language: Language) -> Wording {
    Wording {
        language,
        page: Some("https://kpi.example".to_owned()),
        signer: Some(Signer::new(b"key")),
        zone: jiff::tz::TimeZone::UTC,
        templates: Default::default(),
    }
}

pub(super) fn mention(users: &[&str], mobiles: &[&str], all: bool) -> Mention {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    Mention {
        users: texts(users),
        mobiles: texts(mobiles),
        all,
    }
}

/// The setting of a receiver that writes to `ops@example.com` by a server on this machine.
pub(super) fn mail(port: u16) -> settings::Email {
    settings::Email {
        server: "127.0.0.1".to_owned(),
        port,
        tls: settings::MailTls::None,
        credentials: None,
        from: "kpi@example.com".parse().unwrap(),
        to: vec!["ops@example.com".parse().unwrap()],
    }
}

/// Where a fake takes messages, with what is secret in it.
pub(super) fn path(name: &str) -> &'static str {
    match name {
        "feishu" => "/open-apis/bot/v2/hook/verysecret",
        "dingtalk" => "/robot/send?access_token=verysecret",
        "wecom" => "/cgi-bin/webhook/send?key=verysecret",
        "teams" => "/workflows/w/triggers/manual/paths/invoke?sig=verysecret",
        "webhook" | "webhook v4" => "/hooks/verysecret",
        "slack_bot" => "/api",
        "pagerduty" | "alertmanager" => "",
        _ => "/services/T0/B0/verysecret",
    }
}

pub(super) fn channel(name: &str, url: &str, secret: Option<&str>, mention: Mention) -> settings::Channel {
    let (url, secret) = (Secret::new(url), secret.map(Secret::new));
    match name {
        "feishu" => settings::Channel::Feishu(settings::Feishu { url, secret, mention }),
        "dingtalk" => settings::Channel::DingTalk(settings::DingTalk { url, secret, mention }),
        "wecom" => settings::Channel::WeCom(settings::WeCom { url, mention }),
        "teams" => settings::Channel::Teams(settings::Teams { url, mention }),
        "webhook" | "webhook v4" => settings::Channel::Webhook(settings::Webhook {
            url,
            format: match name {
                "webhook" => WebhookFormat::Events,
                _ => WebhookFormat::Alertmanager,
            },
            signature: Signature::Standard(vec![Secret::new(WEBHOOK_KEY)]),
            own: None,
            authorization: None,
        }),
        "slack_bot" => settings::Channel::SlackBot(settings::SlackBot {
            token: Secret::new(TOKEN),
            channel: slack_bot::SlackBot::CHANNEL.to_owned(),
            signing_secret: None,
            workspace: None,
            workspace_per_minute: settings::SLACK_WORKSPACE_PER_MINUTE,
            api_url: url.reveal().parse().unwrap(),
        }),
        "pagerduty" => settings::Channel::PagerDuty(settings::PagerDuty {
            routing_key: Secret::new(ROUTING_KEY),
            api_url: url.reveal().parse().unwrap(),
        }),
        "alertmanager" => settings::Channel::Alertmanager(settings::Alertmanager {
            urls: vec![url.reveal().parse().unwrap()],
            credentials: None,
            resend: Duration::from_mins(1),
        }),
        _ => settings::Channel::SlackWebhook(settings::SlackWebhook::at(url)),
    }
}

pub(super) async fn robot(name: &'static str, mention: Mention) -> Robot {
    build(name, mention, wording(Language::Zh)).await
}

/// One whose messages are worded like this.
pub(super) async fn robot_with(name: &'static str, wording: Wording) -> Robot {
    build(name, Mention::default(), wording).await
}

async fn build(name: &'static str, mention: Mention, wording: Wording) -> Robot {
    let secret = matches!(name, "feishu" | "dingtalk").then_some("SECtest_secret");
    let vendor: Box<dyn Vendor> = match name {
        "feishu" => feishu::Feishu::new(secret),
        "dingtalk" => dingtalk::DingTalk::new(secret),
        "wecom" => wecom::WeCom::new(),
        "teams" => teams::Teams::new(),
        "webhook" => program::Program::new(WEBHOOK_KEY).unwrap(),
        "webhook v4" => Box::new(program::Groups),
        "slack_bot" => slack_bot::SlackBot::new(TOKEN),
        "pagerduty" => pagerduty::PagerDuty::new(ROUTING_KEY),
        "alertmanager" => Box::new(alertmanager::Alertmanager),
        _ => Box::new(fake_slack::Slack::default()),
    };
    let clock = Arc::new(Mutex::new(Instant::now()));
    let read = Arc::clone(&clock);
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let fake = Fake::serve(listener, vendor, Box::new(move || *read.lock().unwrap())).unwrap();
    let channel = channel(name, &fake.url(path(name)), secret, mention);
    let receiver = Receiver {
        timeout: Duration::from_secs(20),
        ..Receiver::local(channel)
    };
    let (channel, _) = open(&receiver, wording).unwrap();
    Robot {
        name,
        channel,
        fake,
        clock,
    }
}

/// Where people write and read.
pub(super) const NAMES: [&str; 5] = ["slack", "feishu", "dingtalk", "wecom", "teams"];

/// Everything that is reached by HTTP.
pub(super) const ALL: [&str; 10] = [
    "slack",
    "slack_bot",
    "feishu",
    "dingtalk",
    "wecom",
    "teams",
    "webhook",
    "alertmanager",
    "webhook v4",
    "pagerduty",
];

pub(super) const WEBHOOK_KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const TOKEN: &str = "xoxb-verysecret";
const ROUTING_KEY: &str = "verysecretverysecretverysecret00";

impl Robot {
    /// Sends after a quiet minute.
    pub(super) async fn send(&self, notices: &[Notice], form: Form) -> Answer {
        *self.clock.lock().unwrap() += Duration::from_mins(1);
        let parcel = Parcel {
            notices,
            form,
            shown: None,
            tried_since: None,
        };
        self.channel.send(parcel).await
    }

    pub(super) async fn answer_to(&self, scripted: Scripted) -> Answer {
        self.fake.script(scripted);
        self.send(&[samples::hollow()], Form::Full).await
    }

    /// What the last message was.
    pub(super) fn last(&self) -> serde_json::Value {
        self.fake.messages().last().unwrap().payload.clone()
    }
}

/// What an answer means, in a word.
pub(super) fn meaning(answer: &Answer) -> String {
    match answer {
        Answer::Ok { .. } => "ok".to_owned(),
        Answer::Retry { after: None, .. } => "retry".to_owned(),
        Answer::Retry {
            after: Some(after), ..
        } => format!("retry in {} s", after.as_secs()),
        Answer::Busy { .. } => "busy".to_owned(),
        Answer::Drop { .. } => "drop".to_owned(),
        Answer::Disable { .. } => "disable".to_owned(),
    }
}

#[tokio::test]
async fn every_channel_shows_every_kind_of_message_in_both_forms() {
    let many: Vec<Notice> = (1..=40).map(|n| samples::numbered(samples::worse(), n)).collect();
    for name in NAMES {
        let robot = robot(name, Mention::default()).await;
        for notices in [
            vec![samples::hollow()],
            vec![samples::over(ResolveReason::Recovered)],
            vec![samples::proposed()],
            many.clone(),
        ] {
            for form in [Form::Full, Form::Plain] {
                assert_eq!(robot.send(&notices, form).await, Answer::OK, "{name} {form:?}");
                let shown = robot.last().to_string();
                assert!(shown.contains(&notices[0].episode), "{name}: {shown}");
            }
        }
        assert_eq!(robot.fake.messages().len(), 8, "{name}");
    }
}

#[tokio::test]
async fn servers_that_fail_are_tried_again_and_nothing_secret_is_said() {
    for name in NAMES {
        let robot = robot(name, Mention::default()).await;
        for (scripted, expected) in [
            (Scripted::new(500, "verysecret"), "retry"),
            (
                Scripted::new(429, "").with_header("Retry-After", "7"),
                "retry in 7 s",
            ),
            (
                Scripted::new(503, "").with_header("Retry-After", "20"),
                "retry in 20 s",
            ),
            (
                Scripted::new(302, "").with_header("Location", "https://a.example/"),
                "retry",
            ),
            (Scripted::new(404, "Cannot POST ?key=x"), "retry"),
            (Scripted::new(410, ""), "disable"),
            (Scripted::new(413, ""), "drop"),
        ] {
            let what = format!("{name} {scripted:?}");
            let answer = robot.answer_to(scripted).await;
            assert_eq!(meaning(&answer), expected, "{what}");
            assert!(!format!("{answer:?}").contains("secret"), "{what}");
            assert!(!format!("{answer:?}").contains("access_token"), "{what}");
        }
        assert!(!robot.channel.destination().contains("secret"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_service_takes_every_message(
        notices in proptest::collection::vec(super::arbitrary::notice(), 1..30), with_people in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            for name in NAMES {
                let ids: Vec<String> = (0..16).map(|n| format!("{n}{}", "u".repeat(62))).collect();
                let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
                let robot = robot(name, if with_people { mention(&ids, &[], false) } else { Mention::default() }).await;
                for bundle in [&notices[..1], &notices] {
                    for form in [Form::Full, Form::Plain] {
                        assert_eq!(robot.send(bundle, form).await, Answer::OK, "{name}");
                    }
                }
                let why: Vec<String> = robot.fake.requests().into_iter().map(|request| request.why).collect();
                assert_eq!(why, vec![String::new(); 4], "{name}");
                assert_eq!(robot.fake.messages().len(), 4, "{name}");
            }
        });
    }
}

/// How often each outcome was, for a receiver.
pub(super) type Outcomes = BTreeMap<(String, String), u64>;
