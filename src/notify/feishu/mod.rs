//! Feishu, and Lark outside China, by a custom bot: one POST a message, signed where the bot has a secret.
//!
//! * `payload`: a card within the vendor's limits. `reply`: what its answer means.

pub(super) mod payload;
mod reply;

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value as Json;

use super::http::Http;
use super::{Answer, Channel, Form, Limit, Opened, Parcel, Sending, Wording, destination, hmac};
use crate::alert::notice::{Aside, Notice};
use crate::settings::{self, Receiver};

/// 100 messages a minute and 5 a second, and a little less.
const LIMITS: [Limit; 2] = [
    Limit {
        per_message: Duration::from_millis(250),
        burst: 1,
    },
    Limit {
        per_message: Duration::from_millis(640),
        burst: 5,
    },
];
/// The vendor asks for nothing to be sent on the hour and on the half hour that can wait.
const CROWDED_EVERY: i64 = 30 * 60;
const CROWDED_FOR: i64 = 60;

/// A custom bot.
pub(super) struct Feishu {
    http: Http,
    robot: settings::Feishu,
    wording: Wording,
}

/// A receiver's bot, ready to be written to.
pub(super) fn open(
    robot: &settings::Feishu,
    receiver: &Receiver,
    wording: Wording,
) -> Result<Opened, String> {
    let feishu = Feishu {
        http: Http::new("feishu", robot.url.reveal(), receiver)?.hiding(robot.secret.as_slice()),
        robot: robot.clone(),
        wording,
    };
    Ok((Arc::new(feishu), destination(robot.url.reveal())))
}

impl Feishu {
    /// What is sent at this moment.
    fn payload(&self, notices: &[Notice], form: Form, now: Timestamp) -> Json {
        let message = self.wording.message(notices);
        let mut payload = match form {
            Form::Full => payload::full(&message, &self.robot.mention),
            Form::Plain => payload::plain(&message, &self.robot.mention),
        };
        if let Some(secret) = &self.robot.secret {
            payload["timestamp"] = now.as_second().to_string().into();
            payload["sign"] = sign(now.as_second(), secret.reveal()).into();
        }
        payload
    }

    async fn post(&self, parcel: Parcel<'_>) -> Answer {
        let payload = self.payload(parcel.notices, parcel.form, Timestamp::now());
        match self.http.post(&payload).await {
            Ok(reply) => reply::judge(&reply, Timestamp::now()),
            Err(answer) => answer,
        }
    }
}

/// The key is what the message is with others, and the message is empty.
pub(super) fn sign(seconds: i64, secret: &str) -> String {
    hmac::sha256(format!("{seconds}\n{secret}").as_bytes(), b"")
}

impl Channel for Feishu {
    fn send<'a>(&'a self, parcel: Parcel<'a>) -> Sending<'a> {
        Box::pin(self.post(parcel))
    }

    fn destination(&self) -> &str {
        self.http.destination()
    }

    fn limits(&self) -> &[Limit] {
        &LIMITS
    }

    fn hold(&self, head: &Notice, decided: Timestamp) -> Option<Timestamp> {
        off_the_hour(head, decided)
    }
}

/// One to five minutes later for a digest of the full or the half hour, always the same for the same digest.
fn off_the_hour(head: &Notice, decided: Timestamp) -> Option<Timestamp> {
    let is_digest = matches!(head.aside.as_deref(), Some(Aside::Digest(_)));
    if !is_digest || decided.as_second().rem_euclid(CROWDED_EVERY) >= CROWDED_FOR {
        return None;
    }
    let seconds = 60 + xxhash_rust::xxh3::xxh3_64(head.id.as_bytes()) % 240;
    decided
        .checked_add(SignedDuration::from_secs(i64::try_from(seconds).ok()?))
        .ok()
}

#[cfg(test)]
mod tests;
