//! Slack, by an incoming webhook: one POST a message; the address is the secret.
//!
//! * `payload`: a message within Slack's limits. `reply`: what Slack's answer means.

pub(super) mod payload;
pub(super) mod reply;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::http::Http;
use super::{Answer, Channel, Form, Limit, Opened, Parcel, Sending, Wording, destination};
use crate::alert::notice::Notice;
use crate::settings::{Receiver, SlackWebhook};

pub use payload::limit;

/// A Slack incoming webhook.
pub struct Slack {
    http: Http,
    wording: Wording,
    /// The workspace that the address names.
    workspace: Option<u64>,
}

/// Several hundred messages a minute, whatever their channels.
pub(super) const WORKSPACE: Limit = Limit {
    per_message: Duration::from_millis(200),
    burst: 10,
};

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
        let mut parts = http.url().path_segments().into_iter().flatten();
        // https://hooks.slack.com/services/T…/B…/…
        let named = parts.nth(1).filter(|part| part.starts_with('T'));
        let host = http.url().host_str().unwrap_or_default();
        Ok(Slack {
            workspace: named.map(|named| super::destination(&format!("{host}/{named}"))),
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
        self.workspace.map(|workspace| (workspace, WORKSPACE))
    }
}

#[cfg(test)]
mod tests;
