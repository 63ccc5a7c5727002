//! Looks for a message of which nobody knows whether it got there: the notice's id is in the metadata of what was posted.
//!
//! Slack has no idempotency key. Without the scope `channels:history` (`groups:history` in private channels), or when the
//! receiver names its channel instead of giving its id, there is nothing to look with, and the message is posted once
//! more: rather twice than never.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reqwest::header::HeaderMap;
use serde::Deserialize;

use super::{Place, SlackBot};
use crate::notify::Answer;
use crate::notify::slack::reply;

/// Type of the metadata of every message.
pub(super) const EVENT_TYPE: &str = "tautline_notice";

/// By how much the clock of Slack may be behind the one here.
const SKEW: SignedDuration = SignedDuration::from_mins(10);
/// Messages asked for at once: what Slack grants to every app.
const PAGE: u32 = 15;
/// Pages that are looked through, the newest messages first; a Tier 3 method may be called 50 times a minute.
const PAGES: u32 = 20;

/// Words by which Slack asks for another try.
const LATER: [&str; 7] = [
    "",
    "ratelimited",
    "rate_limited",
    "internal_error",
    "fatal_error",
    "service_unavailable",
    "request_timeout",
];

/// What Slack says is in a channel, or in a thread.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Found {
    ok: bool,
    error: String,
    messages: Vec<Message>,
    response_metadata: Cursor,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Message {
    ts: String,
    thread_ts: Option<String>,
    metadata: Metadata,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Metadata {
    event_type: String,
    event_payload: Payload,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Payload {
    id: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Cursor {
    next_cursor: String,
}

impl Message {
    /// Whether it is the notice's, in the channel (`thread`: `None`) or below a message.
    fn is(&self, notice: &str, thread: Option<&Place>) -> bool {
        let is_there = match thread {
            None => self.thread_ts.as_ref().is_none_or(|thread| *thread == self.ts),
            Some(place) => self.ts != place.ts,
        };
        is_there && self.metadata.event_type == EVENT_TYPE && self.metadata.event_payload.id == notice
    }
}

impl SlackBot {
    /// Where the message of this notice is, if an attempt since then has posted it; `thread`: below which message.
    ///
    /// # Errors
    /// When nobody can say now, and it is to be tried again.
    pub(super) async fn seek(
        &self,
        notice: &str,
        since: Timestamp,
        thread: Option<&Place>,
    ) -> Result<Option<Place>, Answer> {
        let Some(channel) = thread.map_or(self.channel_id(), |place| Some(place.channel.as_str())) else {
            return Ok(None);
        };
        let since = since.saturating_sub(SKEW).unwrap_or(Timestamp::MIN);
        let mut cursor = String::new();
        for _ in 0..PAGES {
            let Some(found) = self.page(channel, since, thread, &cursor).await? else {
                return Ok(None);
            };
            if let Some(message) = found.messages.iter().find(|message| message.is(notice, thread)) {
                tracing::info!(
                    notice,
                    ts = message.ts,
                    "an attempt before has posted it: it is not posted again"
                );
                return Ok(Some(Place {
                    channel: channel.to_owned(),
                    ts: message.ts.clone(),
                    shared: false,
                }));
            }
            cursor = found.response_metadata.next_cursor;
            if cursor.is_empty() {
                return Ok(None);
            }
        }
        tracing::warn!(
            notice,
            pages = PAGES,
            "too many messages to look through for one that may be there: it is posted again"
        );
        Ok(None)
    }

    /// A page of what is there; `None`: Slack does not let this app read it.
    async fn page(
        &self,
        channel: &str,
        since: Timestamp,
        thread: Option<&Place>,
        cursor: &str,
    ) -> Result<Option<Found>, Answer> {
        let mut url = match thread {
            None => self.history.clone(),
            Some(_) => self.replies.clone(),
        };
        {
            let mut query = url.query_pairs_mut();
            query
                .append_pair("channel", channel)
                .append_pair("oldest", &format!("{}.000000", since.as_second()))
                .append_pair("include_all_metadata", "true")
                .append_pair("limit", &PAGE.to_string());
            if let Some(place) = thread {
                query.append_pair("ts", &place.ts);
            }
            if !cursor.is_empty() {
                query.append_pair("cursor", cursor);
            }
        }
        let headers = HeaderMap::from_iter([(
            reqwest::header::AUTHORIZATION,
            self.headers[reqwest::header::AUTHORIZATION].clone(),
        )]);
        let read = self.http.read(url, headers).await?;
        let found: Found = serde_json::from_str(&read.body).unwrap_or_default();
        if read.status == 200 && found.ok {
            return Ok(Some(found));
        }
        if read.status != 200 || LATER.contains(&found.error.as_str()) {
            return Err(match reply::judge(&read, Timestamp::now()) {
                Answer::Retry { after, reason, .. } => later(after, reason),
                Answer::Busy { reason } | Answer::Drop { reason } | Answer::Disable { reason } => {
                    later(None, reason)
                }
                Answer::Ok { .. } => later(None, "no history in the answer".to_owned()),
            });
        }
        let reason = found.error.as_str();
        tracing::warn!(
            reason,
            "cannot look whether a message is there already, so it is posted again; give the app the scope \
             channels:history (groups:history for a private channel), and invite it"
        );
        Ok(None)
    }

    /// The channel's id, where the receiver gives it: history is not read by name.
    fn channel_id(&self) -> Option<&str> {
        let is_id = self.channel.len() >= 9
            && self.channel.starts_with(['C', 'G', 'D'])
            && self
                .channel
                .bytes()
                .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
        is_id.then_some(self.channel.as_str())
    }
}

/// Looking was in vain; the message may be there as before.
fn later(after: Option<Duration>, reason: String) -> Answer {
    Answer::Retry {
        after,
        maybe_shown: true,
        reason,
    }
}
