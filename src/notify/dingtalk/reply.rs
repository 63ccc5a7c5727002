//! Replies: what DingTalk's answer means. It answers 200 to what it refuses.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value as Json;

use crate::notify::Answer;
use crate::notify::answer::{by_status, clock_hint, retry_after, vendors_words};
use crate::notify::http::Reply;
use crate::notify::pace::LONGEST_WAIT;

/// Judges an answer.
pub(super) fn judge(reply: &Reply, now: Timestamp) -> Answer {
    let body: Json = serde_json::from_str(&reply.body).unwrap_or_default();
    let later = |after, reason| Answer::Retry {
        after,
        maybe_shown: false,
        reason,
    };
    let Some(code) = body["errcode"].as_i64() else {
        // The gateway before the robot has words of its own.
        if let Some(status) = body["status"].as_i64() {
            let wait = Duration::from_secs(body["wait"].as_u64().unwrap_or(5).max(1));
            let punish = body["punish"].as_str().unwrap_or_default();
            return later(Some(wait.min(LONGEST_WAIT)), vendors_words(status, punish));
        }
        return by_status(reply, now);
    };
    let text = body["errmsg"].as_str().unwrap_or_default();
    let reason = vendors_words(code, text);
    match (reply.status, code) {
        (200, 0) => Answer::OK,
        (_, 310_000) if text.contains("keyword") => Answer::Disable {
            reason: format!("{reason}: make 'tautline' a keyword of the robot"),
        },
        (_, 310_000) if text.contains("ip") && !text.contains("sign") => Answer::Disable {
            reason: format!(
                "{reason}: add this machine's address to those that the robot takes messages from"
            ),
        },
        (_, 310_000) => Answer::Disable {
            reason: format!("{reason}: {}", clock_hint(reply, now)),
        },
        (_, 300_001 | 300_005 | 400_101 | 400_102) => Answer::Disable { reason },
        (_, 130_101) => later(Some(LONGEST_WAIT), reason),
        (_, -1) => Answer::Busy { reason },
        (_, 90030) | (429, _) => later(Some(retry_after(reply.retry_after(), now)), reason),
        (500..=599, _) => later(None, reason),
        _ => Answer::Drop { reason },
    }
}
