//! Replies: what WeCom's answer means. It is judged by its number; the words beside it vary.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value as Json;

use crate::notify::Answer;
use crate::notify::answer::{by_status, retry_after, vendors_words};
use crate::notify::http::Reply;

/// Whether WeCom says that a message is too long.
pub(super) fn is_too_long(answer: &Answer) -> bool {
    matches!(answer, Answer::Drop { reason } if reason.starts_with("40058"))
}

/// Judges an answer.
pub(super) fn judge(reply: &Reply, now: Timestamp) -> Answer {
    let body: Json = serde_json::from_str(&reply.body).unwrap_or_default();
    let Some(code) = body["errcode"].as_i64() else {
        return by_status(reply, now);
    };
    let reason = vendors_words(code, body["errmsg"].as_str().unwrap_or_default());
    let later = |after, reason| Answer::Retry {
        after,
        maybe_shown: false,
        reason,
    };
    match (reply.status, code) {
        (200, 0) => Answer::OK,
        (_, 45009) => later(Some(Duration::from_mins(1)), reason),
        (_, -1) => Answer::Busy { reason },
        (_, 93000) => Answer::Disable { reason },
        (429, _) => later(Some(retry_after(reply.retry_after(), now)), reason),
        (500..=599, _) => later(None, reason),
        // Too long (40058): it goes in two parts. The like: the queue sends it as text alone.
        _ => Answer::Drop { reason },
    }
}
