//! Replies: what a program's answer to a webhook means. Only 2xx is success; its body says nothing.

use jiff::Timestamp;

use crate::notify::answer::{Answer, retry_after};

/// Characters of a body that a log line may have.
const SHOWN: usize = 80;

/// Judges an answer.
pub(in crate::notify) fn judge(
    status: u16,
    retry_after_header: Option<&str>,
    body: &str,
    now: Timestamp,
) -> Answer {
    let body: String = body.trim().chars().take(SHOWN).collect();
    let reason = format!("{status} {body:?}");
    let later = |after| Answer::Retry {
        after,
        maybe_shown: false,
        reason: reason.clone(),
    };
    match status {
        200..=299 => Answer::OK,
        410 => Answer::Disable { reason },
        // It is the message that is refused: it will be refused again.
        400 | 413 | 414 | 415 | 422 | 431 => Answer::Drop { reason },
        429 => later(Some(retry_after(retry_after_header, now))),
        _ if retry_after_header.is_some() => later(Some(retry_after(retry_after_header, now))),
        // A redirect is not followed. What a new release or a changed secret has broken is mended by people.
        _ => later(None),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_answer_has_a_meaning() {
        let now: Timestamp = "2026-06-01T00:00:00Z".parse().unwrap();
        for (status, header, meaning) in [
            (200, None, "ok"),
            (202, None, "ok"),
            (204, None, "ok"),
            (299, None, "ok"),
            (301, None, "retry"),
            (307, None, "retry"),
            (400, None, "drop"),
            (401, None, "retry"),
            (403, None, "retry"),
            (404, None, "retry"),
            (410, None, "disable"),
            (413, None, "drop"),
            (422, None, "drop"),
            (429, Some("7"), "retry in 7 s"),
            (429, None, "retry in 5 s"),
            (429, Some("Mon, 01 Jun 2026 00:01:00 GMT"), "retry in 60 s"),
            (500, None, "retry"),
            (502, Some("30"), "retry in 30 s"),
            (503, Some("99999"), "retry in 600 s"),
            (504, None, "retry"),
        ] {
            let found = match judge(status, header, "", now) {
                Answer::Ok { .. } => "ok".to_owned(),
                Answer::Retry { after: None, .. } => "retry".to_owned(),
                Answer::Retry {
                    after: Some(after), ..
                } => format!("retry in {} s", after.as_secs()),
                Answer::Busy { .. } => "busy".to_owned(),
                Answer::Drop { .. } => "drop".to_owned(),
                Answer::Disable { .. } => "disable".to_owned(),
            };
            assert_eq!(found, meaning, "{status} {header:?}");
        }
    }

    #[test]
    fn a_reason_is_short_and_its_controls_are_escaped() {
        let Answer::Retry { reason, after, .. } = judge(
            500,
            None,
            &format!("\n{}", "错\u{1b}".repeat(10_000)),
            Timestamp::UNIX_EPOCH,
        ) else {
            panic!("a server's failure is no reason to give up");
        };
        assert!(reason.len() < 600 && !reason.contains('\u{1b}'), "{reason}");
        assert_eq!(after, None::<Duration>);
    }
}
