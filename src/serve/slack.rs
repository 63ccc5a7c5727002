//! Slack's buttons: `POST /api/v1/slack/actions`. Slack signs what it sends with the app's signing secret; a request
//! that is not signed so, or five minutes old, does nothing.
//!
//! The signature: <https://docs.slack.dev/authentication/verifying-requests-from-slack>.

use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Deserialize;

use super::Shared;
use super::orders::NotDone;
use crate::alert::dispatch::Command;
use crate::notify::{ACK_ACTION, SlackApp};

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
    channel: Place,
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

#[derive(Default, Deserialize)]
struct Place {
    #[serde(default)]
    id: String,
}

#[derive(Deserialize)]
struct Action {
    action_id: String,
    #[serde(default)]
    value: String,
}

/// Acknowledges as the one who pressed the button.
pub(super) async fn actions(shared: &Shared, headers: &HeaderMap, body: &Bytes) -> Response {
    let apps = shared.slack_apps.borrow().clone();
    let app = match verify(&apps, headers, body, Timestamp::now()) {
        Ok(app) => app,
        Err(reason) => return (StatusCode::UNAUTHORIZED, format!("{reason}\n")).into_response(),
    };
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
            tracing::info!(episode = action.value, reason = %refusal, "a button was pressed too late");
            // Slack shows nothing of what is said here, and waits for it.
            tokio::spawn(async move {
                apps[app]
                    .tell_too_late(&pressed.channel.id, &pressed.user.id)
                    .await
            });
            StatusCode::OK.into_response()
        }
        _ => StatusCode::OK.into_response(),
    }
}

/// By which app Slack sent it, just now: `v0=` and the hex HMAC-SHA256 of `v0:<timestamp>:<body>`.
fn verify(
    apps: &[SlackApp],
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
) -> Result<usize, &'static str> {
    if apps.is_empty() {
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
    let known = apps.iter().enumerate().fold(None, |known, (place, app)| {
        app.has_signed(&signed, &given).then_some(place).or(known)
    });
    known.ok_or("the signature is not that of an app in the settings")
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
        let apps = ["another", SECRET].map(SlackApp::with_secret);
        let good = headers(TIME, SIGNATURE);
        for (now, is_good) in [(0, true), (300, true), (-300, true), (301, false), (-301, false)] {
            let found = verify(&apps, &good, BODY.as_bytes(), at(sent + now));
            assert_eq!(found.ok(), is_good.then_some(1), "{now}");
        }
        let now = at(sent);
        for (headers, body, apps) in [
            (headers(TIME, SIGNATURE), "token=other", &apps[..]),
            (headers("1531420619", SIGNATURE), BODY, &apps),
            (headers(TIME, "v0=00"), BODY, &apps),
            (headers(TIME, &SIGNATURE[3..]), BODY, &apps),
            (headers("soon", SIGNATURE), BODY, &apps),
            (HeaderMap::new(), BODY, &apps),
            (headers(TIME, SIGNATURE), BODY, &apps[..1]),
            (headers(TIME, SIGNATURE), BODY, &[]),
        ] {
            assert!(
                verify(apps, &headers, body.as_bytes(), now).is_err(),
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
