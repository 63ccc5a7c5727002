//! Slack's buttons: `POST /api/v1/slack/actions`. Slack signs what it sends with the app's signing secret; a request
//! that is not signed so, or five minutes old, does nothing.
//!
//! The signature: <https://docs.slack.dev/authentication/verifying-requests-from-slack>.

use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use ring::hmac;
use serde::Deserialize;

use super::Shared;
use super::orders::NotDone;
use crate::alert::dispatch::Command;
use crate::notify::ACK_ACTION;
use crate::settings::Secret;

/// How far the clock of a request may be from ours.
const CLOCK: i64 = 5 * 60;
/// Slack tells the one who pressed that it failed when no answer came within 3 s.
const ANSWER_WITHIN: Duration = Duration::from_millis(2500);
/// Characters of a name.
const MOST: usize = 300;

/// What Slack sends when somebody presses a button.
#[derive(Deserialize)]
struct Pressed {
    user: User,
    #[serde(default)]
    actions: Vec<Action>,
}

#[derive(Deserialize)]
struct User {
    id: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    username: Option<String>,
}

#[derive(Deserialize)]
struct Action {
    action_id: String,
    #[serde(default)]
    value: String,
}

/// Acknowledges as the one who pressed the button.
pub(super) async fn actions(shared: &Shared, headers: &HeaderMap, body: &Bytes) -> Response {
    if let Err(reason) = verify(&shared.slack_secrets, headers, body, Timestamp::now()) {
        return (StatusCode::UNAUTHORIZED, format!("{reason}\n")).into_response();
    }
    let Some(pressed) = read(body) else {
        return (StatusCode::BAD_REQUEST, "no payload of a button\n").into_response();
    };
    let Some(action) = pressed
        .actions
        .iter()
        .find(|action| action.action_id == ACK_ACTION)
    else {
        // A button that is a link: Slack tells of it, too.
        return StatusCode::OK.into_response();
    };
    let command = Command::Ack {
        episode: action.value.clone(),
        by: name(&pressed.user),
        comment: String::new(),
        lasts: None,
    };
    let orders = shared.orders.clone();
    // On its own task: an order that takes longer than Slack waits is carried out all the same.
    let given = tokio::spawn(async move { orders.give(command).await });
    match tokio::time::timeout(ANSWER_WITHIN, given).await {
        Ok(Ok(Err(NotDone::Busy))) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Ok(Ok(Err(NotDone::Refused(refusal)))) => {
            // Slack shows nothing of what is said here; the message itself is brought up to date.
            tracing::info!(episode = action.value, reason = %refusal, "a button was pressed too late");
            StatusCode::OK.into_response()
        }
        _ => StatusCode::OK.into_response(),
    }
}

/// Whether Slack sent it, and just now: `v0=` and the hex HMAC-SHA256 of `v0:<timestamp>:<body>`.
fn verify(secrets: &[Secret], headers: &HeaderMap, body: &[u8], now: Timestamp) -> Result<(), &'static str> {
    if secrets.is_empty() {
        return Err("no receiver has a signing_secret; add it to slack_bot in the settings");
    }
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let (Some(time), Some(signature)) = (header("x-slack-request-timestamp"), header("x-slack-signature"))
    else {
        return Err("the request is not signed");
    };
    let sent: i64 = time.parse().map_err(|_| "the request is not signed")?;
    if now.as_second().abs_diff(sent) > CLOCK.unsigned_abs() {
        return Err("the request is old, or a clock is wrong");
    }
    let given = signature
        .strip_prefix("v0=")
        .and_then(crate::notify::signer::from_hex)
        .ok_or("the request is not signed")?;
    let signed = [b"v0:", time.as_bytes(), b":", body].concat();
    // Every secret is tried, so that the time says nothing about them.
    let is_known = secrets.iter().fold(false, |known, secret| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.reveal().as_bytes());
        known | hmac::verify(&key, &signed, &given).is_ok()
    });
    is_known
        .then_some(())
        .ok_or("the signature is not that of an app in the settings")
}

/// The body is a form with JSON in its field `payload`.
fn read(body: &[u8]) -> Option<Pressed> {
    let text = std::str::from_utf8(body).ok()?;
    // The pairs of a form are those of a query.
    let mut url = reqwest::Url::parse("http://form").ok()?;
    url.set_query(Some(text));
    let (_, payload) = url.query_pairs().find(|(name, _)| name == "payload")?;
    serde_json::from_str(&payload).ok()
}

fn name(user: &User) -> String {
    let known = user.name.as_ref().or(user.username.as_ref());
    let name = known.filter(|name| !name.trim().is_empty()).unwrap_or(&user.id);
    name.chars()
        .filter(|char| !char.is_control())
        .take(MOST)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of Slack's documentation.
    const SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";
    const TIME: &str = "1531420618";
    const BODY: &str = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    const SIGNATURE: &str = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";

    fn headers(time: &str, signature: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("x-slack-request-timestamp", time.parse().unwrap());
        headers.insert("x-slack-signature", signature.parse().unwrap());
        headers
    }

    #[test]
    fn a_request_is_slacks_and_fresh_or_does_nothing() {
        let at = |seconds: i64| Timestamp::from_second(seconds).unwrap();
        let sent: i64 = TIME.parse().unwrap();
        let secrets = [Secret::new("another"), Secret::new(SECRET)];
        let good = headers(TIME, SIGNATURE);
        for (now, is_good) in [(0, true), (300, true), (-300, true), (301, false), (-301, false)] {
            let found = verify(&secrets, &good, BODY.as_bytes(), at(sent + now));
            assert_eq!(found.is_ok(), is_good, "{now}");
        }
        let now = at(sent);
        for (headers, body, secrets) in [
            (headers(TIME, SIGNATURE), "token=other", &secrets[..]),
            (headers("1531420619", SIGNATURE), BODY, &secrets),
            (headers(TIME, "v0=00"), BODY, &secrets),
            (headers(TIME, &SIGNATURE[3..]), BODY, &secrets),
            (headers("soon", SIGNATURE), BODY, &secrets),
            (HeaderMap::new(), BODY, &secrets),
            (headers(TIME, SIGNATURE), BODY, &secrets[..1]),
            (headers(TIME, SIGNATURE), BODY, &[]),
        ] {
            assert!(
                verify(secrets, &headers, body.as_bytes(), now).is_err(),
                "{headers:?}"
            );
        }
    }

    #[test]
    fn who_pressed_what_is_read_from_the_form() {
        let body = "payload=%7B%22type%22%3A%22block_actions%22%2C%22user%22%3A%7B%22id%22%3A%22U1%22%2C%22username%22%3A%22li+wei%22%7D%2C%22actions%22%3A%5B%7B%22action_id%22%3A%22tautline_ack%22%2C%22value%22%3A%225e1f%22%7D%5D%7D";
        let pressed = read(body.as_bytes()).unwrap();
        assert_eq!(name(&pressed.user), "li wei");
        let action = &pressed.actions[0];
        assert_eq!(
            (action.action_id.as_str(), action.value.as_str()),
            (ACK_ACTION, "5e1f")
        );
        assert!(read(b"payload=x").is_none() && read(b"").is_none());
    }
}
