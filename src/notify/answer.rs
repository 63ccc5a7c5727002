//! Answers: what a receiver's reply means for the notice that was sent.

use std::time::Duration;

use jiff::Timestamp;

use super::http::Reply;
use super::pace::LONGEST_WAIT;

/// Wait where `Retry-After` is missing or cannot be read.
const DEFAULT_WAIT: Duration = Duration::from_secs(5);

/// What became of one attempt. Reasons never hold a secret.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// Delivered.
    Ok {
        /// What the channel needs to find the message again, to answer below it or to change it.
        shown: Option<String>,
    },
    /// Not delivered now; it is worth trying again.
    Retry {
        /// How long the receiver asks to wait; `None`: it does not say.
        after: Option<Duration>,
        /// Whether it may have arrived all the same.
        maybe_shown: bool,
        /// Why.
        reason: String,
    },
    /// The service is busy for a moment, and did not take it: it is tried again at once a few times, then as after any
    /// failure.
    Busy {
        /// Why.
        reason: String,
    },
    /// The receiver will never take this message, in this form.
    Drop {
        /// Why.
        reason: String,
    },
    /// The receiver will take no message any more.
    Disable {
        /// Why.
        reason: String,
    },
}

impl Answer {
    /// Delivered, and nothing to find it again by.
    pub const OK: Answer = Answer::Ok { shown: None };

    /// Whether people see the message, or nobody knows.
    pub(super) fn may_have_shown(&self) -> bool {
        match self {
            Answer::Ok { .. } => true,
            Answer::Retry { maybe_shown, .. } => *maybe_shown,
            Answer::Busy { .. } | Answer::Drop { .. } | Answer::Disable { .. } => false,
        }
    }
}

/// The wait that `Retry-After` asks for: seconds or an HTTP date. What is missing, negative or unreadable counts as
/// 5 s; ten minutes is the most.
pub(super) fn retry_after(header: Option<&str>, now: Timestamp) -> Duration {
    header
        .and_then(|text| read_wait(text.trim(), now))
        .unwrap_or(DEFAULT_WAIT)
        .min(LONGEST_WAIT)
}

/// What an answer means of which only the status says something. Nothing of its body is told: a page of errors may
/// hold the address.
pub(super) fn by_status(reply: &Reply, now: Timestamp) -> Answer {
    let later = |after| Answer::Retry {
        after,
        maybe_shown: false,
        reason: format!("status {}", reply.status),
    };
    let reason = format!("status {}", reply.status);
    match reply.status {
        429 => later(Some(retry_after(reply.retry_after(), now))),
        503 if reply.retry_after().is_some() => later(Some(retry_after(reply.retry_after(), now))),
        410 => Answer::Disable { reason },
        // Who is there has a word for it: without one it is a page of a proxy, or of a service in trouble.
        401 | 403 | 404 | 407 | 408 | 425 => later(None),
        400..=499 => Answer::Drop { reason },
        // A server's failure, a redirect, or a page in place of the service: it says nothing of the message.
        _ => later(None),
    }
}

/// What a status means by itself, with the seconds that it asks to wait.
pub(crate) fn of_status(status: u16, wait_seconds: Option<u64>) -> Answer {
    let mut headers = reqwest::header::HeaderMap::new();
    if let Some(seconds) = wait_seconds {
        headers.insert(reqwest::header::RETRY_AFTER, seconds.into());
    }
    let reply = Reply {
        status,
        headers,
        body: String::new(),
    };
    by_status(&reply, Timestamp::UNIX_EPOCH)
}

/// A vendor's word for what went wrong, with its number; short, whatever it is.
pub(super) fn vendors_words(code: i64, text: &str) -> String {
    let text: String = text
        .chars()
        .map(|char| if char.is_control() { ' ' } else { char })
        .take(80)
        .collect();
    format!("{code} {text}")
}

/// What to look at where a signature is refused: how far this machine's clock is from the server's.
pub(super) fn clock_hint(reply: &Reply, now: Timestamp) -> String {
    let date = reply
        .header("date")
        .and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
    let ahead = date.map(|date| now.duration_since(date.timestamp()).as_secs());
    match ahead {
        Some(seconds) if seconds.abs() > 60 => {
            let side = if seconds > 0 { "ahead of" } else { "behind" };
            format!(
                "this machine's clock is {} s {side} the server's: set it; the secret may be right",
                seconds.abs()
            )
        }
        Some(_) => "this machine's clock is right: check the secret".to_owned(),
        None => "check the secret and this machine's clock".to_owned(),
    }
}

fn read_wait(text: &str, now: Timestamp) -> Option<Duration> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // Too many digits for a number is a long wait, which is cut off anyway.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    Duration::try_from(date.duration_since(now)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One page of a proxy must not cost a destination all that comes until the next start.
    #[test]
    fn only_what_is_gone_for_good_takes_nothing_any_more() {
        for (status, meaning) in [
            (400, "drop"),
            (401, "retry"),
            (403, "retry"),
            (404, "retry"),
            (407, "retry"),
            (410, "disable"),
            (413, "drop"),
            (429, "retry"),
            (502, "retry"),
        ] {
            let found = match of_status(status, None) {
                Answer::Retry { .. } => "retry",
                Answer::Drop { .. } => "drop",
                Answer::Disable { .. } => "disable",
                Answer::Ok { .. } | Answer::Busy { .. } => "?",
            };
            assert_eq!(found, meaning, "{status}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_never_trusted() {
        let now: Timestamp = "2026-06-01T00:00:00Z".parse().unwrap();
        for (header, seconds) in [
            (Some("1"), 1),
            (Some(" 30 "), 30),
            (Some("0"), 0),
            (Some("600"), 600),
            (Some("601"), 600),
            (Some("99999999999999999999999"), 600),
            (Some("Mon, 01 Jun 2026 00:00:42 GMT"), 42),
            (Some("Tue, 02 Jun 2026 00:00:00 GMT"), 600),
            (Some("Sun, 31 May 2026 23:59:00 GMT"), 5),
            (Some("-1"), 5),
            (Some("1.5"), 5),
            (Some("soon"), 5),
            (Some(""), 5),
            (None, 5),
        ] {
            assert_eq!(
                retry_after(header, now),
                Duration::from_secs(seconds),
                "{header:?}"
            );
        }
    }
}
