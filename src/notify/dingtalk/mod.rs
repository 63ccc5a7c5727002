//! DingTalk, by the robot of a group: one POST a message, signed in its address where the robot has a secret.
//!
//! * `payload`: a message within the vendor's limits. `reply`: what its answer means.

pub(super) mod payload;
mod reply;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::Url;
use reqwest::header::HeaderMap;
use serde_json::Value as Json;

use super::http::Http;
use super::{Answer, Channel, Form, Limit, Opened, Parcel, Sending, Wording, destination, hmac};
use crate::alert::notice::Notice;
use crate::settings::{self, Receiver};

/// 20 messages a minute, and one less: who sends more is let wait for ten minutes.
const LIMITS: [Limit; 1] = [Limit {
    per_message: Duration::from_secs(4),
    burst: 4,
}];

/// A group's robot.
pub(super) struct DingTalk {
    http: Http,
    robot: settings::DingTalk,
    wording: Wording,
}

/// A receiver's robot, ready to be written to.
pub(super) fn open(
    robot: &settings::DingTalk,
    receiver: &Receiver,
    wording: Wording,
) -> Result<Opened, String> {
    let dingtalk = DingTalk {
        http: Http::new("dingtalk", robot.url.reveal(), receiver)?.hiding(robot.secret.as_slice()),
        robot: robot.clone(),
        wording,
    };
    Ok((Arc::new(dingtalk), destination(robot.url.reveal())))
}

impl DingTalk {
    fn payload(&self, notices: &[Notice], form: Form) -> Json {
        let message = self.wording.message(notices);
        match form {
            Form::Full => payload::full(&message, &self.robot.mention),
            Form::Plain => payload::plain(&message, &self.robot.mention),
        }
    }

    /// The address at this moment: the signature is part of it.
    fn url(&self, now: Timestamp) -> Url {
        let mut url = self.http.url().clone();
        if let Some(secret) = &self.robot.secret {
            let milliseconds = now.as_millisecond();
            url.query_pairs_mut()
                .append_pair("timestamp", &milliseconds.to_string())
                .append_pair("sign", &sign(milliseconds, secret.reveal()));
        }
        url
    }

    async fn post(&self, parcel: Parcel<'_>) -> Answer {
        let body = self.payload(parcel.notices, parcel.form).to_string();
        let sent = self
            .http
            .post_to(self.url(Timestamp::now()), HeaderMap::new(), body)
            .await;
        match sent {
            Ok(reply) => reply::judge(&reply, Timestamp::now()),
            Err(answer) => answer,
        }
    }
}

/// The secret is the key, and is in the message as well.
pub(super) fn sign(milliseconds: i64, secret: &str) -> String {
    hmac::sha256(secret.as_bytes(), format!("{milliseconds}\n{secret}").as_bytes())
}

impl Channel for DingTalk {
    fn send<'a>(&'a self, parcel: Parcel<'a>) -> Sending<'a> {
        Box::pin(self.post(parcel))
    }

    fn destination(&self) -> &str {
        self.http.destination()
    }

    fn limits(&self) -> &[Limit] {
        &LIMITS
    }
}

#[cfg(test)]
mod tests;
