//! Microsoft Teams, by a workflow that posts to a channel what a webhook gets: one POST a message; the address, which
//! Microsoft makes and may change, is the secret.
//!
//! The workflow answers before it has looked at the card, so that a bad card is never seen here: `payload` keeps to
//! what every Teams shows.

pub(super) mod payload;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value as Json;

use super::answer::by_status;
use super::http::{Http, Reply};
use super::{Answer, Channel, Form, Limit, Opened, Parcel, Sending, Wording, destination};
use crate::settings::{self, Receiver};

/// Four a second, and a little less.
const LIMITS: [Limit; 1] = [Limit {
    per_message: Duration::from_millis(334),
    burst: 1,
}];

/// A workflow.
pub(super) struct Teams {
    http: Http,
    workflow: settings::Teams,
    wording: Wording,
}

/// A receiver's workflow, ready to be written to.
pub(super) fn open(
    workflow: &settings::Teams,
    receiver: &Receiver,
    wording: Wording,
) -> Result<Opened, String> {
    let teams = Teams {
        http: Http::new("teams", workflow.url.reveal(), receiver)?,
        workflow: workflow.clone(),
        wording,
    };
    Ok((Arc::new(teams), destination(workflow.url.reveal())))
}

impl Teams {
    async fn post(&self, parcel: Parcel<'_>) -> Answer {
        let message = self.wording.message(parcel.notices);
        let payload = match parcel.form {
            Form::Full => payload::full(&message, &self.workflow.mention),
            Form::Plain => payload::plain(&message, &self.workflow.mention),
        };
        match self.http.post(&payload).await {
            Ok(reply) => judge(&reply, Timestamp::now()),
            Err(answer) => answer,
        }
    }
}

/// What the workflow's answer means.
fn judge(reply: &Reply, now: Timestamp) -> Answer {
    let body: Json = serde_json::from_str(&reply.body).unwrap_or_default();
    let word = body["error"]["code"].as_str().unwrap_or_default();
    match (reply.status, word) {
        (200 | 202, "") => Answer::OK,
        (
            400..=499,
            "WorkflowTriggerIsNotEnabled" | "WorkflowNotFound" | "DirectApiAuthorizationRequired",
        ) => Answer::Disable {
            reason: format!("{} {word}", reply.status),
        },
        _ => by_status(reply, now),
    }
}

impl Channel for Teams {
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
