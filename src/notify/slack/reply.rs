//! Replies: what Slack's answer to a webhook means, judged by status and body.

use jiff::Timestamp;

use crate::notify::answer::{Answer, by_status, retry_after};
use crate::notify::http::Reply;

/// Words by which Slack says that it is not the message that is wrong.
const LATER: [&str; 7] = [
    "rate_limited",
    "ratelimited",
    "rollup_error",
    "internal_error",
    "fatal_error",
    "service_unavailable",
    "request_timeout",
];
/// Words by which Slack says that this address takes nothing any more.
const NEVER: [&str; 20] = [
    "action_prohibited",
    "invalid_token",
    "invalid_auth",
    "token_revoked",
    "account_inactive",
    "no_service",
    "no_service_id",
    "no_team",
    "team_disabled",
    "channel_not_found",
    "channel_is_archived",
    "is_archived",
    "not_in_channel",
    "posting_to_general_channel_denied",
    "not_authed",
    "token_expired",
    "missing_scope",
    "restricted_action",
    "access_denied",
    "no_permission",
];
/// Words by which Slack refuses the message.
const NOT_THIS: [&str; 10] = [
    "invalid_payload",
    "invalid_blocks",
    "invalid_blocks_format",
    "invalid_attachments",
    "no_text",
    "too_many_attachments",
    "msg_blocks_too_long",
    "msg_too_long",
    "user_not_found",
    "invalid_metadata_format",
];

/// Judges an answer. Of its body only words that Slack has are told: a page of errors may hold the address.
pub(in crate::notify) fn judge(reply: &Reply, now: Timestamp) -> Answer {
    let status = reply.status;
    if status == 200 && reply.body.trim() == "ok" {
        return Answer::OK;
    }
    let Some(word) = word(&reply.body) else {
        return by_status(reply, now);
    };
    let reason = format!("{status} {word}");
    let later = |after| Answer::Retry {
        after,
        maybe_shown: false,
        reason: reason.clone(),
    };
    let is = |words: &[&str]| words.contains(&word);
    let wait = reply.retry_after();
    match status {
        429 => later(Some(retry_after(wait, now))),
        503 if wait.is_some() => later(Some(retry_after(wait, now))),
        500..=599 | 408 | 425 => later(None),
        _ if is(&LATER) => later(wait.map(|wait| retry_after(Some(wait), now))),
        _ if is(&NEVER) => Answer::Disable { reason },
        _ if is(&NOT_THIS) => Answer::Drop { reason },
        _ => later(None),
    }
}

/// The error word of a body that Slack is known to say: alone on its line, or the `error` of a JSON object.
fn word(body: &str) -> Option<&'static str> {
    let json: Option<serde_json::Value> = serde_json::from_str(body).ok();
    let said = json.as_ref().and_then(|json| json.get("error")?.as_str());
    let said = said.unwrap_or(body.trim());
    let known = LATER.iter().chain(&NEVER).chain(&NOT_THIS);
    known.copied().find(|word| *word == said)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn reply(status: u16, wait: Option<&str>, body: &str) -> Reply {
        let wait = wait.map(|wait| (reqwest::header::RETRY_AFTER, wait.parse().unwrap()));
        Reply {
            status,
            headers: wait.into_iter().collect(),
            body: body.to_owned(),
        }
    }

    #[test]
    fn every_answer_has_a_meaning() {
        let now: Timestamp = "2026-06-01T00:00:00Z".parse().unwrap();
        for (status, header, body, meaning) in [
            (200, None, "ok", "ok"),
            (200, None, "ok\n", "ok"),
            (200, None, "", "retry"),
            (200, None, "<html>Sign in to the hotel's network</html>", "retry"),
            (200, None, "invalid_blocks", "drop"),
            (
                200,
                None,
                r#"{"ok":false,"error":"channel_not_found"}"#,
                "disable",
            ),
            (200, None, r#"{"ok":false,"error":"rate_limited"}"#, "retry"),
            (400, None, "invalid_payload", "drop"),
            (400, None, "invalid_blocks", "drop"),
            (400, None, "no_text", "drop"),
            (400, None, "too_many_attachments", "drop"),
            (400, None, "user_not_found", "drop"),
            (400, None, "msg_blocks_too_long", "drop"),
            (400, None, "something new", "drop"),
            (400, None, "invalid_token", "disable"),
            (403, None, "action_prohibited", "disable"),
            (403, None, "invalid_token", "disable"),
            (404, None, "channel_not_found", "disable"),
            (404, None, "no_service", "disable"),
            (410, None, "channel_is_archived", "disable"),
            (410, None, "", "disable"),
            (403, None, "<html>blocked by the proxy</html>", "retry"),
            (404, None, "", "retry"),
            (404, None, "user_not_found", "drop"),
            (413, None, "", "drop"),
            (
                429,
                Some("1"),
                r#"{"retry_after":1,"ok":false,"error":"rate_limited"}"#,
                "retry in 1 s",
            ),
            (429, Some("Mon, 01 Jun 2026 00:01:00 GMT"), "", "retry in 60 s"),
            (429, Some("-3"), "", "retry in 5 s"),
            (429, Some("3600"), "", "retry in 600 s"),
            (429, None, "", "retry in 5 s"),
            (500, None, "rollup_error", "retry"),
            (502, None, "", "retry"),
            (503, None, "", "retry"),
            (503, Some("20"), "", "retry in 20 s"),
            (301, None, "", "retry"),
            (407, None, "", "retry"),
            (408, None, "", "retry"),
            (204, None, "", "retry"),
        ] {
            let found = match judge(&reply(status, header, body), now) {
                Answer::Ok { .. } => "ok".to_owned(),
                Answer::Retry { after: None, .. } => "retry".to_owned(),
                Answer::Retry {
                    after: Some(after), ..
                } => format!("retry in {} s", after.as_secs()),
                Answer::Busy { .. } => "busy".to_owned(),
                Answer::Drop { .. } => "drop".to_owned(),
                Answer::Disable { .. } => "disable".to_owned(),
            };
            assert_eq!(found, meaning, "{status} {header:?} {body}");
        }
    }

    #[test]
    fn a_reason_is_short_whatever_the_body_is() {
        let Answer::Retry { reason, after, .. } =
            judge(&reply(500, None, &"错".repeat(10_000)), Timestamp::UNIX_EPOCH)
        else {
            panic!("a server's failure is no reason to give up");
        };
        assert_eq!(reason, "status 500");
        assert_eq!(after, None::<Duration>);
    }
}
