//! What Slack's Web API says to an app: `chat.postMessage` and `chat.update`, with threads, tokens and limits;
//! `conversations.history` and `conversations.replies`, with scopes and pages.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::{Call, Vendor, Verdict, Window};
use crate::notify::fake_slack::{Slack, Workspace, rules};

/// Characters at which a text is refused.
const TEXT: usize = 40_000;

/// An app in a workspace with one channel.
pub struct SlackBot {
    token: String,
    channel: (&'static str, &'static str),
    posts: Slack,
    updates: Window,
    reads: Window,
    reads_history: bool,
    /// By what Slack knows them by, oldest first.
    messages: BTreeMap<String, Json>,
    count: u32,
}

impl SlackBot {
    /// Id of the channel that the app is in.
    pub const CHANNEL: &str = "C0FAKE0OPS";

    /// Id of a person who is in it.
    pub const MEMBER: &str = "U1";

    /// An app with this token.
    pub fn new(token: &str) -> Box<SlackBot> {
        Box::new(SlackBot {
            token: token.to_owned(),
            channel: (SlackBot::CHANNEL, "#ops"),
            posts: Slack::default(),
            updates: Window::new(50, Duration::from_mins(1)),
            reads: Window::new(50, Duration::from_mins(1)),
            reads_history: true,
            messages: BTreeMap::new(),
            count: 0,
        })
    }

    /// An app in a workspace in which others post as well.
    pub fn within(workspace: Workspace, token: &str) -> Box<SlackBot> {
        let mut app = SlackBot::new(token);
        app.posts = Slack::within(workspace);
        app
    }

    /// An app without the scope `channels:history`.
    pub fn without_history(token: &str) -> Box<SlackBot> {
        let mut app = SlackBot::new(token);
        app.reads_history = false;
        app
    }

    /// What is in the channel (`thread`: `None`) or in a thread, its first message too: a page, the newest first in the
    /// channel, the oldest first in a thread.
    fn read(&mut self, call: &Call, thread: Option<&str>) -> Verdict {
        let (id, _) = self.channel;
        let asked = |name: &str| call.query.get(name).map_or("", String::as_str);
        if !self.reads.lets_through(call.at) {
            return limited();
        }
        if !self.reads_history {
            return refused("missing_scope", "needs channels:history");
        }
        if asked("channel") != id {
            return refused("channel_not_found", "history is read by the id of the channel");
        }
        if let Some(thread) = thread
            && !self.messages.contains_key(thread)
        {
            return refused("thread_not_found", "no message with this ts");
        }
        let is_there = |(ts, message): &(&String, &Json)| match (thread, message["thread_ts"].as_str()) {
            (None, Some(_)) => message["reply_broadcast"] == true,
            (None, None) => true,
            (Some(thread), own) => own == Some(thread) || *ts == thread,
        };
        let after = |(ts, message): &(&String, &Json)| {
            ts.as_str() > asked("oldest") || message["ts"].as_str() == thread
        };
        let mut found: Vec<&Json> = self
            .messages
            .iter()
            .filter(is_there)
            .filter(after)
            .map(|(_, message)| message)
            .collect();
        if thread.is_none() {
            found.reverse();
        }
        let (from, limit) = (
            asked("cursor").parse().unwrap_or(0),
            asked("limit").parse().unwrap_or(100).min(999),
        );
        let page: Vec<Json> = found
            .iter()
            .skip(from)
            .take(limit)
            .map(|message| {
                let mut message = (*message).clone();
                if asked("include_all_metadata") != "true" {
                    message["metadata"] = Json::Null;
                }
                message
            })
            .collect();
        let next = from + page.len();
        let next = if next < found.len() {
            next.to_string()
        } else {
            String::new()
        };
        let body = json!({
            "ok": true,
            "messages": page,
            "has_more": !next.is_empty(),
            "response_metadata": {"next_cursor": next},
        });
        Verdict {
            shows: None,
            ..Verdict::good(&body.to_string(), Json::Null)
        }
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
            && !self.messages.contains_key(thread)
        {
            return refused("thread_not_found", "no message with this ts");
        }
        self.count += 1;
        let ts = format!("{}.{:06}", call.received.as_second(), self.count);
        payload["method"] = json!("chat.postMessage");
        payload["ts"] = json!(ts);
        self.messages.insert(ts.clone(), payload.clone());
        Verdict::good(&json!({"ok": true, "channel": id, "ts": ts}).to_string(), payload)
    }

    /// Says it to one person, who must be in the channel; nothing of it stays there.
    fn whisper(&mut self, call: &Call, mut payload: Json) -> Verdict {
        let (id, name) = self.channel;
        if ![Some(id), Some(name)].contains(&payload["channel"].as_str()) {
            return refused("channel_not_found", "no such channel");
        }
        if payload["user"].as_str() != Some(SlackBot::MEMBER) {
            return refused("user_not_in_channel", "nobody of this id is there");
        }
        if !self.posts.lets_through(call.at) {
            return limited();
        }
        payload["method"] = json!("chat.postEphemeral");
        Verdict::good(r#"{"ok":true,"message_ts":"1.1"}"#, payload)
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
        let Some(message) = self.messages.get_mut(&ts) else {
            return refused("message_not_found", "no message with this ts");
        };
        message["metadata"] = payload["metadata"].clone();
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
        let method = call.path.rsplit('/').next();
        match method {
            Some("conversations.history") => return self.read(call, None),
            Some("conversations.replies") => {
                return self.read(call, Some(call.query.get("ts").map_or("", String::as_str)));
            }
            _ => {}
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
        match method {
            Some("chat.postEphemeral") => self.whisper(call, payload),
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
        if message.payload["method"] == "chat.postEphemeral" {
            continue;
        }
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
