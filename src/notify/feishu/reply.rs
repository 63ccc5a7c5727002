//! Replies: what Feishu's answer means. It is judged by status and body: Feishu answers 200 to what it refuses.

use jiff::Timestamp;
use serde_json::Value as Json;

use crate::notify::Answer;
use crate::notify::answer::{by_status, clock_hint, retry_after, vendors_words};
use crate::notify::http::Reply;

/// Judges an answer.
pub(super) fn judge(reply: &Reply, now: Timestamp) -> Answer {
    let body: Json = serde_json::from_str(&reply.body).unwrap_or_default();
    let code = body["code"].as_i64().or_else(|| body["StatusCode"].as_i64());
    let text = body["msg"].as_str().or_else(|| body["StatusMessage"].as_str());
    let reason = vendors_words(code.unwrap_or_default(), text.unwrap_or_default());
    let later = |after, reason| Answer::Retry {
        after,
        maybe_shown: false,
        reason,
    };
    let reset = reply.header("x-ogw-ratelimit-reset").or(reply.retry_after());
    match (reply.status, code) {
        (200, Some(0)) => Answer::OK,
        (_, Some(19021)) => Answer::Disable {
            reason: format!("{reason}: {}", clock_hint(reply, now)),
        },
        (_, Some(19022)) => Answer::Disable {
            reason: format!("{reason}: add this machine's address to those that the bot takes messages from"),
        },
        (_, Some(19024)) => Answer::Disable {
            reason: format!("{reason}: make 'tautline' a keyword of the bot"),
        },
        // No such bot, or one that was switched off.
        (_, Some(19001 | 19002 | 19007)) => Answer::Disable { reason },
        (429, _) | (_, Some(11232 | 230_020 | 99_991_400)) => later(Some(retry_after(reset, now)), reason),
        (_, Some(-1)) => Answer::Busy { reason },
        (500..=599, Some(_)) => later(None, reason),
        (_, Some(9499)) => Answer::Drop { reason },
        (200 | 400, Some(_)) => Answer::Drop { reason },
        _ => by_status(reply, now),
    }
}
