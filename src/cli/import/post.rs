//! The requests of an import. What is not known to be taken is sent again under the same name.

use std::time::{Duration, Instant};

use reqwest::{Client, Response, StatusCode, Url, header};
use serde::Deserialize;

use super::chunk::Chunk;
use crate::source::push::Receipt;

/// How long one attempt may take: longer than the daemon waits for its commit.
const ATTEMPT_WITHIN: Duration = Duration::from_secs(60);
/// How long a daemon that does not take a request is asked again.
const GIVE_UP_AFTER: Duration = Duration::from_secs(120);
/// Time between two attempts.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Where the events go.
pub(super) struct Target {
    client: Client,
    url: Url,
    token: String,
}

#[derive(Deserialize)]
struct Body {
    data: Option<Receipt>,
    error: Option<String>,
}

impl Target {
    /// A source of a daemon (`events`), or a metric that people type in (`entries`).
    ///
    /// # Errors
    /// In words, when the address is none.
    pub(super) fn new(daemon: &str, kind: &str, name: &str, token: &str) -> Result<Target, String> {
        // Fails when another part of the process has chosen a provider already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let no_address =
            || format!("'{daemon}' is no address of a daemon; write one such as http://127.0.0.1:9464");
        let mut url = Url::parse(daemon).map_err(|_| no_address())?;
        url.path_segments_mut()
            .map_err(|()| no_address())?
            .pop_if_empty()
            .extend(["api", "v1", kind, name]);
        let mut client = Client::builder().timeout(ATTEMPT_WITHIN);
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        if host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback()) {
            client = client.no_proxy();
        }
        Ok(Target {
            client: client.build().map_err(|error| error.to_string())?,
            url,
            token: token.to_owned(),
        })
    }

    /// Sends a request until it is answered.
    ///
    /// # Errors
    /// In words, when the daemon refuses it or does not take it in time.
    pub(super) async fn send(&self, chunk: &Chunk, key: &str) -> Result<Receipt, String> {
        let response = self.answered("application/x-ndjson", &chunk.body, key).await?;
        receipt(response).await
    }

    /// Sends an entry until it is answered: whether it had been taken before, or why it cannot be used.
    ///
    /// # Errors
    /// In words, when the daemon refuses all of them or does not take it in time.
    pub(super) async fn enter(&self, entry: Vec<u8>, key: &str) -> Result<Result<bool, String>, String> {
        let response = self.answered("application/json", &entry, key).await?;
        let status = response.status();
        // What is wrong with this one; anything else is wrong with all of them.
        let of_this = [
            StatusCode::UNPROCESSABLE_ENTITY,
            StatusCode::BAD_REQUEST,
            StatusCode::PAYLOAD_TOO_LARGE,
        ];
        if of_this.contains(&status) {
            return Ok(Err(said(response).await));
        }
        if !status.is_success() {
            return Err(said(response).await);
        }
        let text = response.text().await.unwrap_or_default();
        let body: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        Ok(Ok(body["data"]["repeated"] == true))
    }

    async fn answered(&self, kind: &str, body: &[u8], key: &str) -> Result<Response, String> {
        let begun = Instant::now();
        loop {
            let reason = match self.attempt(kind, body, key).await {
                Ok(response) if response.status() != StatusCode::SERVICE_UNAVAILABLE => return Ok(response),
                Ok(response) => said(response).await,
                Err(error) => format!("{} does not answer: {}", self.url, innermost(&error)),
            };
            if begun.elapsed() >= GIVE_UP_AFTER {
                return Err(format!(
                    "{reason}; run the import again: what was taken is not counted twice"
                ));
            }
            tokio::time::sleep(RETRY_AFTER).await;
        }
    }

    async fn attempt(&self, kind: &str, body: &[u8], key: &str) -> reqwest::Result<Response> {
        self.client
            .post(self.url.clone())
            .bearer_auth(&self.token)
            .header(header::CONTENT_TYPE, kind)
            .header("Idempotency-Key", key)
            .body(body.to_vec())
            .send()
            .await
    }
}

/// 200 and, when every event was rejected, 422 have a receipt.
async fn receipt(response: Response) -> Result<Receipt, String> {
    let (status, url) = (response.status(), response.url().clone());
    let text = response.text().await.unwrap_or_default();
    let body = serde_json::from_str::<Body>(&text)
        .map_err(|_| format!("{url} answered {status}, and not as a tautline does; is --url right?"))?;
    body.data
        .ok_or_else(|| body.error.unwrap_or_else(|| status.to_string()))
}

async fn said(response: Response) -> String {
    let status = response.status();
    let text = response.text().await.unwrap_or_default();
    let body = serde_json::from_str::<Body>(&text).ok();
    body.and_then(|body| body.error)
        .unwrap_or_else(|| status.to_string())
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut at = error;
    while let Some(below) = at.source() {
        at = below;
    }
    at.to_string()
}
