//! Slack, by an incoming webhook: one POST a message; the address is the secret.
//!
//! * `payload`: a message within Slack's limits. `reply`: what Slack's answer means.

mod payload;
mod reply;

use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, Response, Url, redirect};

use super::{Answer, Channel, Form, Parcel, Sending, Wording};
use crate::alert::notice::Notice;
use crate::settings::SlackWebhook;

pub use payload::limit;

/// Bytes of an answer that are read; Slack's are a few words.
const ANSWER_BYTES: usize = 4096;

/// A Slack incoming webhook.
pub struct Slack {
    client: Client,
    url: Url,
    shown: String,
    timeout: Duration,
    wording: Wording,
}

impl Slack {
    /// Prepares a sender.
    ///
    /// # Errors
    /// When the address is no URL, or no HTTP client can be made. The text never holds the address.
    pub fn new(webhook: &SlackWebhook, wording: Wording) -> Result<Slack, String> {
        let url = Url::parse(webhook.url.reveal().trim())
            .map_err(|error| format!("slack_webhook: the address is not a URL: {error}"))?;
        let host = match url.host_str() {
            Some(host) if matches!(url.scheme(), "http" | "https") => host.to_owned(),
            _ => {
                return Err("slack_webhook: the address must begin with https:// and name a host".to_owned());
            }
        };
        Ok(Slack {
            client: client(&host)?,
            shown: format!("{}://{host}/…", url.scheme()),
            url,
            timeout: webhook.timeout,
            wording,
        })
    }

    /// The JSON that is sent for notices that go together; at least one.
    pub fn payload(&self, notices: &[Notice], form: Form) -> serde_json::Value {
        let message = self.wording.message(notices);
        match form {
            Form::Full => payload::full(&message),
            Form::Plain => payload::plain(&message),
        }
    }

    async fn post(&self, notices: &[Notice], form: Form) -> Answer {
        let request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .timeout(self.timeout)
            .body(self.payload(notices, form).to_string());
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return failed(error),
        };
        let status = response.status().as_u16();
        let wait = response
            .headers()
            .get(RETRY_AFTER)
            .map(|value| value.to_str().unwrap_or("").to_owned());
        match read(response).await {
            Ok(body) => reply::judge(status, wait.as_deref(), &body, Timestamp::now()),
            Err(error) => failed(error),
        }
    }
}

impl Channel for Slack {
    fn send<'a>(&'a self, parcel: Parcel<'a>) -> Sending<'a> {
        Box::pin(self.post(parcel.notices, parcel.form))
    }

    fn destination(&self) -> &str {
        &self.shown
    }
}

fn client(host: &str) -> Result<Client, String> {
    // Fails when another part of the process has chosen a provider already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder()
        .redirect(redirect::Policy::none())
        .user_agent(concat!("tautline/", env!("CARGO_PKG_VERSION")));
    // A proxy of the environment cannot reach this machine's own loopback.
    let builder = if is_loopback(host) {
        builder.no_proxy()
    } else {
        builder
    };
    builder
        .build()
        .map_err(|error| format!("cannot make an HTTP client: {}", with_causes(&error)))
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']);
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

async fn read(mut response: Response) -> Result<String, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        let room = ANSWER_BYTES - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if body.len() == ANSWER_BYTES {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&body).into_owned())
}

/// No answer. Only where no connection was made is it sure that nobody saw the message.
fn failed(error: reqwest::Error) -> Answer {
    let maybe_shown = !error.is_connect();
    let reason = with_causes(&error.without_url());
    Answer::Retry {
        after: None,
        maybe_shown,
        reason,
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests;
