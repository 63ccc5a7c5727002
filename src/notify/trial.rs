//! Trial: a test message to one receiver, by the code that sends real ones. It says in its title that it is a test,
//! and its numbers are of a sample KPI, so that nobody takes it for an alert.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value as Json, json};

use super::{Answer, Form, Parcel, Wording, target};
use crate::alert::notice::{Notice, NoticeKind, ResolveReason};
use crate::alert::record::{Facts, Figure};
use crate::catalog::Severity;
use crate::settings::Receiver;
use crate::words::Language;

/// The episode of every test message: the end of one ends the one before, where a receiver keeps alerts.
const EPISODE: &str = "test";
/// How long the sample has fired when it ends.
const LASTED: SignedDuration = SignedDuration::from_hours(26);

/// What came of a test message.
#[derive(Clone, PartialEq, Debug)]
pub struct Trial {
    /// Name of the receiver.
    pub receiver: String,
    /// Key of its channel in the settings.
    pub channel: &'static str,
    /// Where it went; never holds a secret.
    pub destination: String,
    /// The receiver's answer, to the last attempt.
    pub answer: Answer,
    /// How the last attempt was dressed.
    pub form: Form,
    /// Why the message was refused as the channel shows it best, where it went as plain text then.
    pub refused: Option<String>,
}

/// Sends a test message: one attempt, and one more as plain text where the first is refused, as the daemon does.
///
/// # Errors
/// When the receiver cannot be written to at all; the text never holds a secret.
pub async fn send(
    name: &str,
    receiver: &Receiver,
    wording: Wording,
    resolved: bool,
    now: Timestamp,
) -> Result<Trial, String> {
    let notice = sample(name, wording.language, resolved, now);
    let target = target(name, receiver, wording)?;
    let attempt = async |form| {
        let parcel = Parcel {
            notices: std::slice::from_ref(&notice),
            form,
            shown: None,
            tried_since: None,
        };
        target.channel.send(parcel).await
    };
    let mut trial = Trial {
        receiver: name.to_owned(),
        channel: receiver.channel.key(),
        destination: target.channel.destination().to_owned(),
        answer: attempt(Form::Full).await,
        form: Form::Full,
        refused: None,
    };
    if let Answer::Drop { reason } = &trial.answer {
        trial.refused = Some(reason.clone());
        trial.form = Form::Plain;
        trial.answer = attempt(Form::Plain).await;
    }
    Ok(trial)
}

impl Trial {
    /// Whether the message arrived, in one form or the other.
    pub fn is_delivered(&self) -> bool {
        matches!(self.answer, Answer::Ok { .. })
    }

    /// What happened and what to do, for people.
    pub fn text(&self, language: Language) -> String {
        let Trial {
            receiver,
            channel,
            destination,
            ..
        } = self;
        let mut lines = vec![match language {
            Language::Zh => format!("{receiver}（{channel}）→ {destination}"),
            Language::En => format!("{receiver} ({channel}) → {destination}"),
        }];
        if let Some(reason) = &self.refused {
            lines.push(match language {
                Language::Zh => format!("完整样式被拒收：{reason}；改为纯文本再发"),
                Language::En => format!("refused as it is shown best: {reason}; sent again as plain text"),
            });
        }
        lines.push(self.outcome(language));
        lines.extend(self.advice(language));
        lines.join("\n")
    }

    fn outcome(&self, language: Language) -> String {
        let (word, reason) = match &self.answer {
            Answer::Ok { .. } => return language.pick("已送达", "delivered").to_owned(),
            Answer::Retry { reason, .. } | Answer::Busy { reason } => {
                (language.pick("暂未送达", "not delivered now"), reason)
            }
            Answer::Drop { reason } => (language.pick("被拒收", "refused"), reason),
            Answer::Disable { reason } => (
                language.pick("接收方不可用", "the receiver takes no messages"),
                reason,
            ),
        };
        format!("{word}{}{reason}", language.pick("：", ": "))
    }

    /// What to do now; `None` where nothing is to be done.
    pub fn advice(&self, language: Language) -> Option<String> {
        let name = &self.receiver;
        Some(match (&self.answer, language) {
            (Answer::Ok { .. }, _) if self.refused.is_none() => return None,
            (Answer::Ok { .. } | Answer::Drop { .. }, Language::Zh) => {
                "→ 地址没有问题，对方不接受这条消息的写法：请把上面的拒收原因报告给 tautline".to_owned()
            }
            (Answer::Ok { .. } | Answer::Drop { .. }, Language::En) => {
                "→ the address is right, and how the message is written is refused: report the reason above as a mistake of tautline".to_owned()
            }
            (Answer::Retry { after: Some(after), .. }, Language::Zh) => format!(
                "→ 对方要求等待 {} 秒（限流）：之后再试；守护进程会自动等待",
                after.as_secs()
            ),
            (Answer::Retry { after: Some(after), .. }, Language::En) => format!(
                "→ it asks to wait {} s, which is its rate limit: try again then; the daemon waits by itself",
                after.as_secs()
            ),
            (Answer::Retry { maybe_shown: true, .. }, Language::Zh) => format!(
                "→ 没有等到答复，消息可能已经送到：先看一眼；若没有，检查网络，或在 receivers.{name} 中加大 timeout"
            ),
            (Answer::Retry { maybe_shown: true, .. }, Language::En) => format!(
                "→ no answer came, and it may have arrived all the same: look there first; if not, check the network, or raise timeout in receivers.{name}"
            ),
            (Answer::Busy { .. }, Language::Zh) => {
                "→ 对方一时繁忙：稍后再试；守护进程会自动重试".to_owned()
            }
            (Answer::Busy { .. }, Language::En) => {
                "→ the service is busy for a moment: try again soon; the daemon does so by itself".to_owned()
            }
            (Answer::Retry { .. }, Language::Zh) => format!(
                "→ 检查 receivers.{name} 的地址、DNS、防火墙和代理（HTTPS_PROXY），以及对方是否正常；守护进程会反复重试"
            ),
            (Answer::Retry { .. }, Language::En) => format!(
                "→ check the address in receivers.{name}, DNS, the firewall and the proxy (HTTPS_PROXY), and whether the service works; the daemon tries again and again"
            ),
            (Answer::Disable { .. }, Language::Zh) => format!(
                "→ 检查 receivers.{name} 的地址和密钥，以及对方的机器人或频道是否仍在；修好之前守护进程不会再给它发消息，修好后需重启"
            ),
            (Answer::Disable { .. }, Language::En) => format!(
                "→ check the address and the secret in receivers.{name}, and whether the robot or the channel is still there; the daemon sends it nothing more until it is mended and started anew"
            ),
        })
    }

    /// The same for a program.
    pub fn json(&self, language: Language) -> Json {
        let (outcome, reason, after) = match &self.answer {
            Answer::Ok { .. } => ("delivered", None, None),
            Answer::Retry { reason, after, .. } => ("retry", Some(reason), after.as_ref()),
            Answer::Busy { reason } => ("retry", Some(reason), None),
            Answer::Drop { reason } => ("refused", Some(reason), None),
            Answer::Disable { reason } => ("disabled", Some(reason), None),
        };
        json!({
            "receiver": self.receiver,
            "channel": self.channel,
            "destination": self.destination,
            "delivered": self.is_delivered(),
            "outcome": outcome,
            "reason": reason,
            "retry_after_seconds": after.map(std::time::Duration::as_secs_f64),
            "maybe_shown": matches!(self.answer, Answer::Retry { maybe_shown: true, .. }),
            "form": if self.form == Form::Full { "full" } else { "plain" },
            "refused_as_full": self.refused,
            "what_to_do": self.advice(language),
        })
    }
}

/// A notice that says of itself that it is a test.
fn sample(receiver: &str, language: Language, resolved: bool, now: Timestamp) -> Notice {
    let fired_at = if resolved { now - LASTED } else { now };
    let facts = |parent: f64| Facts {
        title: "This is a test message from tautline, nothing is wrong".to_owned(),
        title_zh: Some("这是一条来自 tautline 的测试消息，请忽略".to_owned()),
        node: Some(figure(
            language.pick("示例 KPI", "Sample KPI"),
            0.96,
            &[1, 2, 3, 5, 6, 8, 9, 12],
        )),
        parent: Some(figure(
            language.pick("示例业务指标", "Sample business metric"),
            parent,
            &[9, 9, 10, 9, 9, 8, 9, 9],
        )),
        ..Facts::default()
    };
    Notice {
        // Every test is another message, also to a receiver that knows copies by their ids.
        id: format!("{EPISODE}.{}", now.as_millisecond()),
        seq: if resolved { 2 } else { 1 },
        kind: if resolved {
            NoticeKind::Resolved
        } else {
            NoticeKind::Fired
        },
        reason: resolved.then_some(ResolveReason::Recovered),
        alert_kind: "test".to_owned(),
        severity: Severity::WARNING,
        labels: [("alertname".to_owned(), "TautlineTest".to_owned())].into(),
        fired_at,
        facts: facts(if resolved { 0.71 } else { 0.41 }),
        facts_at_firing: resolved.then(|| facts(0.41)),
        ..Notice::blank(EPISODE, receiver, now, now)
    }
}

fn figure(title: &str, completion: f64, daily: &[i32]) -> Figure {
    Figure {
        title: title.to_owned(),
        value: Some(completion * 100.0),
        target: Some(100.0),
        completion: Some(completion),
        expected_share: Some(0.65),
        pace: Some(completion / 0.65),
        daily: daily.iter().map(|day| Some(f64::from(*day))).collect(),
        ..Figure::default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::notify::fakes::{Fake, Scripted, feishu};
    use crate::notify::robots;
    use crate::settings::{Mention, Receiver};

    async fn tried(url: &str, secret: &str, language: Language, resolved: bool) -> Trial {
        let channel = robots::channel("feishu", url, Some(secret), Mention::default());
        let receiver = Receiver {
            timeout: Duration::from_millis(300),
            ..Receiver::local(channel)
        };
        let now = Timestamp::now();
        send("ops", &receiver, robots::wording(language), resolved, now)
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn a_test_message_says_that_it_is_one() {
        let fake = Fake::start(feishu::Feishu::new(Some("SECtest_secret")))
            .await
            .unwrap();
        let url = fake.url(robots::path("feishu"));
        for (language, resolved, says) in [
            (Language::Zh, false, "这是一条来自 tautline 的测试消息"),
            (Language::En, false, "This is a test message"),
            (Language::En, true, "Resolved: This is a test message"),
        ] {
            let trial = tried(&url, "SECtest_secret", language, resolved).await;
            assert!(
                trial.is_delivered() && trial.advice(language).is_none(),
                "{trial:?}"
            );
            let shown = fake.messages().pop().unwrap().payload.to_string();
            assert!(shown.contains(says), "{shown}");
        }
        let trial = tried(&url, "SECtest_secret", Language::En, false).await;
        assert_eq!(
            trial.text(Language::En),
            "ops (feishu) → http://127.0.0.1/…\ndelivered"
        );
    }

    #[tokio::test]
    async fn what_fails_says_what_to_do_and_no_secret() {
        let fake = Fake::start(feishu::Feishu::new(Some("SECtest_secret")))
            .await
            .unwrap();
        let url = fake.url(robots::path("feishu"));
        let free = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let nobody = format!("http://{free}{}", robots::path("feishu"));
        for (script, url, secret, outcome, says) in [
            (
                None,
                &url,
                "SECother",
                "disabled",
                "check the address and the secret",
            ),
            (
                Some(Scripted::new(429, "").with_header("Retry-After", "7")),
                &url,
                "SECtest_secret",
                "retry",
                "asks to wait 7 s",
            ),
            (
                Some(Scripted::hang()),
                &url,
                "SECtest_secret",
                "retry",
                "look there first",
            ),
            (None, &nobody, "SECtest_secret", "retry", "DNS, the firewall"),
        ] {
            script.into_iter().for_each(|script| fake.script(script));
            let trial = tried(url, secret, Language::En, false).await;
            let (text, json) = (trial.text(Language::En), trial.json(Language::Zh));
            assert!(!trial.is_delivered() && text.contains(says), "{text}");
            assert_eq!(json["outcome"], outcome, "{json}");
            for told in [text, json.to_string()] {
                assert!(!told.contains("verysecret") && !told.contains("SEC"), "{told}");
            }
        }
    }

    #[tokio::test]
    async fn what_is_refused_in_full_goes_as_plain_text() {
        let fake = Fake::start(feishu::Feishu::new(None)).await.unwrap();
        fake.script(Scripted::new(200, r#"{"code":9499,"msg":"Bad Request"}"#));
        let trial = tried(&fake.url(robots::path("feishu")), "s", Language::En, false).await;
        assert!(trial.is_delivered() && trial.form == Form::Plain, "{trial:?}");
        assert!(trial.text(Language::En).contains("9499 Bad Request"));
    }
}
