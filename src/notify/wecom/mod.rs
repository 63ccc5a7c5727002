//! WeCom, by the robot of a group: one POST a message; the key in the address is the secret.
//!
//! * `payload`: a message within the vendor's limits. `reply`: what its answer means.

mod payload;
mod reply;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value as Json;

use super::http::Http;
use super::{Answer, Channel, Form, Limit, Opened, Parcel, Sending, Wording, destination};
use crate::settings::{self, Receiver};

/// 20 messages a minute, and one less.
const LIMITS: [Limit; 1] = [Limit {
    per_message: Duration::from_secs(4),
    burst: 4,
}];

/// A group's robot.
pub(super) struct WeCom {
    http: Http,
    robot: settings::WeCom,
    wording: Wording,
}

/// A receiver's robot, ready to be written to.
pub(super) fn open(robot: &settings::WeCom, receiver: &Receiver, wording: Wording) -> Result<Opened, String> {
    let wecom = WeCom {
        http: Http::new("wecom", robot.url.reveal(), receiver)?,
        robot: robot.clone(),
        wording,
    };
    Ok((Arc::new(wecom), destination(robot.url.reveal())))
}

impl WeCom {
    async fn post(&self, parcel: Parcel<'_>) -> Answer {
        let message = self.wording.message(parcel.notices);
        let payload = match parcel.form {
            Form::Full => payload::full(&message, &self.robot.mention),
            Form::Plain => payload::plain(&message, &self.robot.mention),
        };
        let answer = self.attempt(&payload).await;
        match payload::halves(&payload) {
            Some([first, second]) if reply::is_too_long(&answer) => self.in_two(&first, &second).await,
            _ => answer,
        }
    }

    /// WeCom takes less than it says: the message goes in two parts. Once the first is there, people have seen it.
    async fn in_two(&self, first: &Json, second: &Json) -> Answer {
        match self.attempt(first).await {
            Answer::Ok { .. } => {}
            refused => return refused,
        }
        match self.attempt(second).await {
            Answer::Retry { after, reason, .. } => Answer::Retry {
                after,
                maybe_shown: true,
                reason,
            },
            Answer::Busy { reason } => Answer::Retry {
                after: None,
                maybe_shown: true,
                reason,
            },
            answer => answer,
        }
    }

    async fn attempt(&self, payload: &Json) -> Answer {
        match self.http.post(payload).await {
            Ok(reply) => reply::judge(&reply, Timestamp::now()),
            Err(answer) => answer,
        }
    }
}

impl Channel for WeCom {
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
