//! Slack, by an incoming webhook: one POST a message; the address is the secret.
//!
//! * `payload`: a message within Slack's limits. `reply`: what Slack's answer means.

pub(super) mod payload;
pub(super) mod reply;

use std::sync::Arc;

use jiff::Timestamp;

use super::http::Http;
use super::{Answer, Channel, Form, Limit, Opened, Parcel, Sending, Wording, destination};
use crate::alert::notice::Notice;
use crate::settings::{Receiver, SlackRate, SlackWebhook};

pub use payload::limit;

/// A Slack incoming webhook.
pub struct Slack {
    http: Http,
    wording: Wording,
    /// The workspace that the address names, and what it takes.
    workspace: Option<(u64, Limit)>,
}

/// What all who post to a workspace have in common, whatever their channels: its id, and what it takes of all.
pub(super) fn workspace(id: &str, per_minute: SlackRate) -> (u64, Limit) {
    (destination(id), Limit::a_minute(per_minute))
}

/// A receiver's webhook, ready to be written to.
pub(super) fn open(webhook: &SlackWebhook, receiver: &Receiver, wording: Wording) -> Result<Opened, String> {
    let slack = Slack::new(webhook, receiver, wording)?;
    Ok((Arc::new(slack), destination(webhook.url.reveal())))
}

impl Slack {
    /// Prepares a sender.
    ///
    /// # Errors
    /// When the address is no URL, or no HTTP client can be made. The text never holds the address.
    pub fn new(webhook: &SlackWebhook, receiver: &Receiver, wording: Wording) -> Result<Slack, String> {
        let http = Http::new("slack_webhook", webhook.url.reveal(), receiver)?;
        let id = webhook.workspace();
        Ok(Slack {
            workspace: id.map(|id| workspace(&id, webhook.workspace_per_minute)),
            http,
            wording,
        })
    }

    /// The JSON that is sent for notices that go together; at least one.
    pub fn payload(&self, notices: &[Notice], form: Form) -> serde_json::Value {
        let message = self.wording.message(notices);
        match form {
            Form::Full => payload::full(&message, None),
            Form::Plain => payload::plain(&message),
        }
    }

    async fn post(&self, notices: &[Notice], form: Form) -> Answer {
        match self.http.post(&self.payload(notices, form)).await {
            Ok(reply) => reply::judge(&reply, Timestamp::now()),
            Err(answer) => answer,
        }
    }
}

impl Channel for Slack {
    fn send<'a>(&'a self, parcel: Parcel<'a>) -> Sending<'a> {
        Box::pin(self.post(parcel.notices, parcel.form))
    }

    fn destination(&self) -> &str {
        self.http.destination()
    }

    fn shares(&self) -> Option<(u64, Limit)> {
        self.workspace
    }
}

#[cfg(test)]
mod tests;
