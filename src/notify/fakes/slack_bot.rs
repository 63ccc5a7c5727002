//! What Slack's Web API says to an app: `chat.postMessage` and `chat.update`, with threads, tokens and limits.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::{Call, Vendor, Verdict, Window};
use crate::notify::fake_slack::{Slack, rules};

/// Characters at which a text is refused.
const TEXT: usize = 40_000;

/// An app in a workspace with one channel.
pub struct SlackBot {
    token: String,
    channel: (&'static str, &'static str),
    posts: Slack,
    updates: Window,
    messages: BTreeSet<String>,
    count: u32,
}

impl SlackBot {
    /// Id of the channel that the app is in.
    pub const CHANNEL: &str = "C0FAKE0OPS";

    /// An app with this token.
    pub fn new(token: &str) -> Box<SlackBot> {
        Box::new(SlackBot {
            token: token.to_owned(),
            channel: (SlackBot::CHANNEL, "#ops"),
            posts: Slack::default(),
            updates: Window::new(50, Duration::from_mins(1)),
            messages: BTreeSet::new(),
            count: 0,
        })
    }

    fn post(&mut self, call: &Call, mut payload: Json) -> Verdict {
        let (id, name) = self.channel;
        if ![Some(id), Some(name)].contains(&payload["channel"].as_str()) {
            return refused("channel_not_found", "no such channel");
        }
        if !self.posts.lets_through(call.at) {
            return limited();
        }
        if let Some(thread) = payload["thread_ts"].as_str()
            && !self.messages.contains(thread)
        {
            return refused("thread_not_found", "no message with this ts");
        }
        self.count += 1;
        let ts = format!("{}.{:06}", call.received.as_second(), self.count);
        self.messages.insert(ts.clone());
        payload["method"] = json!("chat.postMessage");
        payload["ts"] = json!(ts);
        Verdict::good(&json!({"ok": true, "channel": id, "ts": ts}).to_string(), payload)
    }

    fn update(&mut self, call: &Call, mut payload: Json) -> Verdict {
        let (id, _) = self.channel;
        if payload["channel"] != id {
            return refused("channel_not_found", "a change needs the id of the channel");
        }
        if !self.updates.lets_through(call.at) {
            return limited();
        }
        let ts = payload["ts"].as_str().unwrap_or_default().to_owned();
        if !self.messages.contains(&ts) {
            return refused("message_not_found", "no message with this ts");
        }
        payload["method"] = json!("chat.update");
        Verdict::good(&json!({"ok": true, "channel": id, "ts": ts}).to_string(), payload)
    }
}

fn refused(word: &str, why: impl Into<String>) -> Verdict {
    Verdict::refused(200, json!({"ok": false, "error": word}).to_string(), why)
}

fn limited() -> Verdict {
    Verdict {
        headers: vec![("Retry-After".to_owned(), "1".to_owned())],
        ..Verdict::refused(429, r#"{"ok":false,"error":"ratelimited"}"#, "rate")
    }
}

/// What is wrong with the metadata of a message.
fn bad_metadata(payload: &Json) -> Option<&'static str> {
    let metadata = payload.get("metadata")?;
    match (&metadata["event_type"], &metadata["event_payload"]) {
        (Json::String(_), Json::Object(_)) => None,
        _ => Some("metadata is {event_type: text, event_payload: object}"),
    }
}

impl Vendor for SlackBot {
    fn judge(&mut self, call: &Call) -> Verdict {
        match &call.authorization {
            None => return refused("not_authed", "no token"),
            Some(given) if *given != format!("Bearer {}", self.token) => {
                return refused("invalid_auth", "another token");
            }
            Some(_) => {}
        }
        let payload = match rules::check(&call.body, call.is_json) {
            Ok(payload) => payload,
            Err(refusal) => return refused(refusal.word, refusal.why),
        };
        let text = payload["text"].as_str().unwrap_or_default();
        if text.chars().count() > TEXT {
            return refused("msg_too_long", "more than 40 000 characters");
        }
        if let Some(why) = bad_metadata(&payload) {
            return refused("invalid_metadata_format", why);
        }
        match call.path.rsplit('/').next() {
            Some("chat.postMessage") => self.post(call, payload),
            Some("chat.update") => self.update(call, payload),
            _ => refused("unknown_method", call.path.clone()),
        }
    }

    fn good(&self) -> &'static str {
        r#"{"ok":true}"#
    }
}

/// What stands in the channel, from what was shown: every message with how it stands now, and the answers below it.
pub fn channel(shown: &[super::Message]) -> BTreeMap<String, (Json, Vec<Json>)> {
    let mut messages: BTreeMap<String, (Json, Vec<Json>)> = BTreeMap::new();
    for message in shown {
        let payload = message.payload.clone();
        let ts = payload["ts"].as_str().unwrap_or_default().to_owned();
        match (payload["method"].as_str(), payload["thread_ts"].as_str()) {
            (Some("chat.update"), _) => {
                if let Some((now, _)) = messages.get_mut(&ts) {
                    *now = payload;
                }
            }
            (_, Some(thread)) => {
                if let Some((_, answers)) = messages.get_mut(thread) {
                    answers.push(payload);
                }
            }
            (_, None) => {
                messages.insert(ts, (payload, Vec::new()));
            }
        }
    }
    messages
}
