//! WeCom, by the robot of a group: one POST a message; the key in the address is the secret.
//!
//! * `payload`: a message within the vendor's limits. `reply`: what its answer means.

mod payload;
mod reply;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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

/// Messages of which it is remembered that half of them is there.
const BEGUN_MAX: usize = 100;

/// A group's robot.
pub(super) struct WeCom {
    http: Http,
    robot: settings::WeCom,
    wording: Wording,
    /// First parts of messages that are there, whose second parts are not: by notice and text.
    begun: Mutex<HashSet<(String, String)>>,
}

/// A receiver's robot, ready to be written to.
pub(super) fn open(robot: &settings::WeCom, receiver: &Receiver, wording: Wording) -> Result<Opened, String> {
    let wecom = WeCom {
        http: Http::new("wecom", robot.url.reveal(), receiver)?,
        robot: robot.clone(),
        wording,
        begun: Mutex::default(),
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
            Some([first, second]) if reply::is_too_long(&answer) => {
                self.in_two(&message.id, &first, &second).await
            }
            _ => answer,
        }
    }

    /// WeCom takes less than it says: the message goes in two parts. Once the first is there, people have seen it, and it
    /// is not sent again with the second.
    async fn in_two(&self, notice: &str, first: &Json, second: &Json) -> Answer {
        let part = (notice.to_owned(), first.to_string());
        if !self.begun().contains(&part) {
            match self.attempt(first).await {
                Answer::Ok { .. } => {}
                refused => return refused,
            }
            self.begun().insert(part.clone());
        }
        let answer = self.attempt(second).await;
        if !matches!(answer, Answer::Retry { .. } | Answer::Busy { .. }) {
            self.begun().remove(&part);
        }
        match answer {
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

    fn begun(&self) -> MutexGuard<'_, HashSet<(String, String)>> {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        // What was given up meanwhile is never asked for again.
        if begun.len() > BEGUN_MAX {
            begun.clear();
        }
        begun
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
