//! Slack, by an app: one message an episode, which says how it stands and is brought up to date without a ping; what
//! happens is answered below it, and comes into the channel only where people should look: worse, over, or back again. An
//! alert that comes back soon goes on below the message that it had.
//!
//! * [`App`]: what one person sees who presses a button.
//! * `reply`: what Slack's answer means. Messages themselves are those of [`super::slack`].
//! * `seek`: looks for a message of which nobody knows whether it got there, before it is posted once more.

mod app;
mod reply;
mod seek;

pub use app::App;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::http::Http;
use super::message::can_be_taken;
use super::slack::{payload, workspace};
use super::{Answer, Channel, Form, Limit, Opened, Parcel, Sending, Waiting, Wording, destination};
use crate::alert::notice::{Notice, NoticeKind};
use crate::settings::{self, Receiver};
use reply::Said;

/// A message a second in a channel, and 50 changes a minute; a notice about a message that is there is one of each.
const LIMITS: [Limit; 1] = [Limit {
    per_message: Duration::from_millis(1300),
    burst: 3,
}];

/// An app in a channel.
struct SlackBot {
    http: Http,
    headers: HeaderMap,
    post: Url,
    update: Url,
    history: Url,
    replies: Url,
    channel: String,
    /// The workspace in which the app is installed, and what it takes. Where it is not named the token stands for it.
    workspace: (u64, Limit),
    is_interactive: bool,
    wording: Wording,
}

/// Where a message is, kept with the notices about its episode.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Place {
    /// Id of the channel.
    channel: String,
    /// What Slack knows the message by.
    ts: String,
    /// Whether it is about other episodes as well: it is answered below then, and never changed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    shared: bool,
}

/// A receiver's app, ready to be written to.
pub(super) fn open(
    bot: &settings::SlackBot,
    receiver: &Receiver,
    wording: Wording,
) -> Result<Opened, String> {
    let (http, headers) = way(bot, receiver)?;
    let channel = SlackBot {
        post: method(bot, "chat.postMessage")?,
        update: method(bot, "chat.update")?,
        history: method(bot, "conversations.history")?,
        replies: method(bot, "conversations.replies")?,
        http,
        headers,
        channel: bot.channel.clone(),
        workspace: match &bot.workspace {
            Some(id) => workspace(id, bot.workspace_per_minute),
            None => workspace(
                &format!("{}\n{}", bot.api_url, bot.token.reveal()),
                bot.workspace_per_minute,
            ),
        },
        is_interactive: bot.signing_secret.is_some(),
        wording,
    };
    let key = format!("{}\n{}\n{}", bot.api_url, bot.token.reveal(), bot.channel);
    Ok((Arc::new(channel), destination(&key)))
}

/// The way to Slack's Web API, and what every call says in its headers.
fn way(bot: &settings::SlackBot, receiver: &Receiver) -> Result<(Http, HeaderMap), String> {
    let http =
        Http::new("slack_bot", bot.api_url.as_str(), receiver)?.hiding(std::slice::from_ref(&bot.token));
    let mut bearer = HeaderValue::try_from(format!("Bearer {}", bot.token.reveal()))
        .map_err(|_| "slack_bot: this token cannot be sent; write it on one line".to_owned())?;
    bearer.set_sensitive(true);
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    let headers = HeaderMap::from_iter([(AUTHORIZATION, bearer), (CONTENT_TYPE, json)]);
    Ok((http, headers))
}

/// Address of a method of the Web API.
fn method(bot: &settings::SlackBot, name: &str) -> Result<Url, String> {
    let api = bot.api_url.as_str().trim_end_matches('/');
    Url::parse(&format!("{api}/{name}")).map_err(|error| format!("slack_bot: {error}"))
}

impl SlackBot {
    async fn send(&self, parcel: Parcel<'_>) -> Answer {
        let Some(head) = parcel.notices.first() else {
            return Answer::OK;
        };
        let place = parcel
            .shown
            .and_then(|shown| serde_json::from_str::<Place>(shown).ok())
            .filter(|place| (parcel.notices.len() == 1 || place.shared) && head.aside.is_none());
        match place {
            // Nothing is there that could be brought up to date.
            None if head.quiet && head.kind != NoticeKind::Resolved => Answer::OK,
            None => self.begin(parcel, head).await,
            Some(place) => match self.go_on(parcel, head, &place).await {
                Said::Gone(_) => self.begin(parcel, head).await,
                said => said.answer(),
            },
        }
    }

    /// Posts a message of its own, and keeps where it is.
    async fn begin(&self, parcel: Parcel<'_>, head: &Notice) -> Answer {
        let mut body = self.shown(parcel, head);
        body["channel"] = json!(self.channel);
        match self.post_once(parcel, head, None, body).await {
            Said::Posted(place) if head.aside.is_none() => {
                let place = Place {
                    shared: parcel.notices.len() > 1,
                    ..place
                };
                Answer::Ok {
                    shown: serde_json::to_string(&place).ok(),
                }
            }
            said => said.answer(),
        }
    }

    /// Brings the message up to date, which can be done again; then answers below it, which cannot.
    async fn go_on(&self, parcel: Parcel<'_>, head: &Notice, place: &Place) -> Said {
        if !place.shared {
            let mut body = self.shown(parcel, head);
            body["channel"] = json!(place.channel);
            body["ts"] = json!(place.ts);
            match self.call(&self.update, head, body).await {
                Said::Posted(_) => {}
                said => return said,
            }
        }
        if head.quiet && !(place.shared && head.kind == NoticeKind::Resolved) {
            return Said::Posted(place.clone());
        }
        let mut body = match parcel.notices {
            [_] => payload::reply(&self.wording.message(parcel.notices), parcel.form),
            // Which ones they are stands nowhere else.
            _ => self.shown(parcel, head),
        };
        body["channel"] = json!(place.channel);
        body["thread_ts"] = json!(place.ts);
        let calls = parcel.notices.iter().any(|notice| {
            // What fires below a message is an alert that came back.
            let calls = [NoticeKind::Fired, NoticeKind::Escalated, NoticeKind::Resolved];
            calls.contains(&notice.kind) && !notice.quiet
        });
        body["reply_broadcast"] = json!(calls);
        match self.post_once(parcel, head, Some(place), body).await {
            Said::Posted(_) => Said::Posted(place.clone()),
            said => said,
        }
    }

    /// Posts, where no attempt before has.
    async fn post_once(&self, parcel: Parcel<'_>, head: &Notice, thread: Option<&Place>, body: Json) -> Said {
        if let Some(since) = parcel.tried_since {
            match self.seek(&head.id, since, thread).await {
                Ok(None) => {}
                Ok(Some(place)) => return Said::Posted(place),
                Err(answer) => return Said::Other(answer),
            }
        }
        self.call(&self.post, head, body).await
    }

    /// How the episode stands.
    fn shown(&self, parcel: Parcel<'_>, head: &Notice) -> Json {
        let message = self.wording.message(parcel.notices);
        let takes = self.is_interactive && parcel.notices.len() == 1 && can_be_taken(head);
        match parcel.form {
            Form::Full => payload::full(&message, takes.then_some(head.episode.as_str())),
            Form::Plain => payload::plain(&message),
        }
    }

    async fn call(&self, method: &Url, head: &Notice, mut body: Json) -> Said {
        body["metadata"] = json!({
            "event_type": seek::EVENT_TYPE,
            "event_payload": {"id": head.id, "episode": head.episode},
        });
        let sent = self
            .http
            .post_to(method.clone(), self.headers.clone(), body.to_string());
        match sent.await {
            Ok(reply) => reply::judge(&reply, Timestamp::now()),
            Err(answer) => Said::Other(answer),
        }
    }
}

impl Channel for SlackBot {
    fn send<'a>(&'a self, parcel: Parcel<'a>) -> Sending<'a> {
        Box::pin(self.send(parcel))
    }

    fn destination(&self) -> &str {
        self.http.destination()
    }

    fn limits(&self) -> &[Limit] {
        &LIMITS
    }

    fn shares(&self) -> Option<(u64, Limit)> {
        Some(self.workspace)
    }

    /// Each episode has a message of its own, which is brought up to date; a storm is one.
    fn bundles(&self, head: &Notice) -> bool {
        head.storm
    }

    /// What stands in no message yet goes in one that they share; what stands in one already is answered below it.
    fn gathers(&self, head: Waiting<'_>, other: Waiting<'_>) -> bool {
        let is_shared = |shown: &str| serde_json::from_str::<Place>(shown).is_ok_and(|place| place.shared);
        head.notice.aside.is_none()
            && other.notice.aside.is_none()
            && head.shown == other.shown
            && head.shown.is_none_or(is_shared)
    }

    fn updates(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests;
