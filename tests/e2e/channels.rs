//! Every channel hears of an alert once, and once of its end, in its own form: the daemon against fakes that enforce what
//! the vendors do.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tautline::notify::fakes::dingtalk::DingTalk;
use tautline::notify::fakes::feishu::Feishu;
use tautline::notify::fakes::pagerduty::PagerDuty;
use tautline::notify::fakes::program::Program;
use tautline::notify::fakes::slack_bot::SlackBot;
use tautline::notify::fakes::smtp::Smtp;
use tautline::notify::fakes::teams::Teams;
use tautline::notify::fakes::wecom::WeCom;
use tautline::notify::fakes::{Fake, Vendor};

use crate::alert::{catalog, publish, sell};
use crate::parts::broker::Broker;
use crate::parts::daemon::{Daemon, Site};
use crate::parts::{runtime, unique, wait};

const WITHIN: Duration = Duration::from_secs(60);
/// Evaluations after which a repeated message would have come.
const QUIET: u64 = 15;
const SECRET: &str = "SECthe-secret-of-the-robots";
const PAGER: &str = "0123456789abcdef0123456789abcdef";
const BOT: &str = "xoxb-the-token-of-the-bot";

struct Channels {
    /// Names of receivers, and who hears them.
    fakes: Vec<(&'static str, Fake)>,
    mail: Smtp,
    signing: String,
}

impl Channels {
    fn start() -> Channels {
        let signing = format!("whsec_{}", STANDARD.encode([7; 32]));
        let vendors: [(&str, Box<dyn Vendor>); 7] = [
            ("feishu", Feishu::new(Some(SECRET))),
            ("dingtalk", DingTalk::new(Some(SECRET))),
            ("wecom", WeCom::new()),
            ("teams", Teams::new()),
            ("pager", PagerDuty::new(PAGER)),
            ("program", Program::new(&signing).unwrap()),
            ("bot", SlackBot::new(BOT)),
        ];
        let start = |(name, vendor)| (name, runtime().block_on(Fake::start(vendor)).unwrap());
        Channels {
            fakes: vendors.into_iter().map(start).collect(),
            mail: runtime().block_on(Smtp::start(None)).unwrap(),
            signing,
        }
    }

    /// What the settings say of them: everybody is told of everything.
    fn settings(&self) -> String {
        let receivers = self.fakes.iter().map(|(name, fake)| {
            let channel = match *name {
                "feishu" => format!(
                    "feishu: {{url: \"{}\", secret: {SECRET}, allow_private: true}}",
                    fake.url("/open-apis/bot/v2/hook/0b1c")
                ),
                "dingtalk" => format!(
                    "dingtalk: {{url: \"{}\", secret: {SECRET}, allow_private: true}}",
                    fake.url("/robot/send?access_token=0b1c")
                ),
                "wecom" => format!(
                    "wecom: {{url: \"{}\", allow_private: true}}",
                    fake.url("/cgi-bin/webhook/send?key=0b1c")
                ),
                "teams" => format!(
                    "teams: {{url: \"{}\", allow_private: true}}",
                    fake.url("/workflows/w/triggers/manual/paths/invoke?sig=0b1c")
                ),
                "pager" => format!(
                    "pagerduty: {{routing_key: \"{PAGER}\", api_url: \"{}\", allow_private: true}}",
                    fake.url("")
                ),
                "program" => format!(
                    "webhook: {{url: \"{}\", secret: \"{}\", allow_private: true}}",
                    fake.url("/hook"),
                    self.signing
                ),
                _ => format!(
                    "slack_bot: {{token: {BOT}, channel: {}, api_url: \"{}\", allow_private: true}}",
                    SlackBot::CHANNEL,
                    fake.url("/api")
                ),
            };
            format!("  {name}: {{{channel}}}\n")
        });
        let receivers: String = receivers.collect();
        let mail = format!(
            "  mail: {{email: {{server: 127.0.0.1, port: {}, tls: none, from: kpi@example.com, to: [ops@example.com], allow_private: true}}}}\n",
            self.mail.port()
        );
        let names = self.fakes.iter().map(|(name, _)| *name).chain(["mail"]);
        let routes: Vec<String> = names
            .map(|name| format!("{{receiver: {name}, continue: true}}"))
            .collect();
        format!(
            "receivers:\n{receivers}{mail}routes: {{receiver: mail, group_by: [\"...\"], routes: [{}]}}\n",
            routes.join(", ")
        )
    }

    /// What each has been sent so far, as text; of the program and the pager with what became of it.
    fn heard(&self) -> Vec<(&'static str, Vec<String>)> {
        let shown = |value: &Value| match value.as_str() {
            Some(text) => text.to_owned(),
            None => value.to_string(),
        };
        let mut heard: Vec<(&str, Vec<String>)> = self
            .fakes
            .iter()
            .map(|(name, fake)| {
                let messages = fake.messages();
                (
                    *name,
                    messages.iter().map(|message| shown(&message.payload)).collect(),
                )
            })
            .collect();
        let mails = self.mail.mails();
        heard.push(("mail", mails.iter().map(|mail| format!("{mail:?}")).collect()));
        heard
    }

    /// Waits until everybody has so many messages, and no more come.
    #[track_caller]
    fn wait_for(&self, daemon: &Daemon, count: usize) -> Vec<(&'static str, Vec<String>)> {
        // Of an end the bot changes what it has said, and answers below it.
        let calls = |name: &str| if name == "bot" { 2 * count - 1 } else { count };
        let counts = || -> Vec<(&str, usize)> {
            let heard = self.heard().into_iter();
            heard.map(|(name, messages)| (name, messages.len())).collect()
        };
        wait::until_ok("every channel is told", WITHIN, || {
            let counts = counts();
            let all = counts.iter().all(|(name, heard)| *heard >= calls(name));
            all.then_some(()).ok_or_else(|| format!("{counts:?}"))
        });
        daemon.wait_for_evaluations(QUIET);
        let counts = counts();
        assert!(
            counts.iter().all(|(name, heard)| *heard == calls(name)),
            "{counts:?}"
        );
        self.heard()
    }
}

#[test]
fn every_channel_hears_of_an_alert_once_and_once_of_its_end() {
    for language in ["zh", "en"] {
        let broker = Broker::shared();
        let (orders, articles) = (unique("orders"), unique("articles"));
        broker.create_topic(&orders, 2);
        broker.create_topic(&articles, 1);
        let channels = Channels::start();
        let site = Site::new(broker).declares(&catalog(&orders, &articles));
        let written = std::fs::read_to_string(site.settings()).unwrap();
        let (head, _) = written.split_once("receivers:").unwrap();
        let head = head.replace("language: en", &format!("language: {language}"));
        std::fs::write(site.settings(), head + &channels.settings()).unwrap();
        let daemon = site.start();
        daemon.wait_until_ready();
        sell(broker, &orders, "100.00");
        publish(broker, &articles, 50);
        for (name, messages) in channels.wait_for(&daemon, 1) {
            assert!(messages[0].contains("Articles"), "{name}: {messages:#?}");
        }
        sell(broker, &orders, "900.00");
        channels.wait_for(&daemon, 2);
        for (name, fake) in &channels.fakes {
            let refused: Vec<_> = fake
                .requests()
                .into_iter()
                .filter(|request| request.status >= 300)
                .collect();
            assert!(refused.is_empty(), "{name}: {refused:#?}");
        }
        assert_eq!(channels.mail.wrong(), Vec::<String>::new());
        let metrics = daemon.metrics();
        let names = channels.fakes.iter().map(|(name, _)| *name).chain(["mail"]);
        for name in names {
            let delivered = [("receiver", name), ("outcome", "delivered")];
            assert_eq!(
                metrics.get("tautline_notices_total", &delivered),
                Some(2.0),
                "{name}"
            );
        }
        daemon.stop();
    }
}
