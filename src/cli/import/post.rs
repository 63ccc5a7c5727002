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
    /// A source of a daemon.
    ///
    /// # Errors
    /// In words, when the address is none.
    pub(super) fn new(daemon: &str, source: &str, token: &str) -> Result<Target, String> {
        // Fails when another part of the process has chosen a provider already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let no_address =
            || format!("'{daemon}' is no address of a daemon; write one such as http://127.0.0.1:9464");
        let mut url = Url::parse(daemon).map_err(|_| no_address())?;
        url.path_segments_mut()
            .map_err(|()| no_address())?
            .pop_if_empty()
            .extend(["api", "v1", "events", source]);
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
        let begun = Instant::now();
        loop {
            let reason = match self.attempt(chunk, key).await {
                Ok(response) if response.status() != StatusCode::SERVICE_UNAVAILABLE => {
                    return receipt(response).await;
                }
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

    async fn attempt(&self, chunk: &Chunk, key: &str) -> reqwest::Result<Response> {
        self.client
            .post(self.url.clone())
            .bearer_auth(&self.token)
            .header(header::CONTENT_TYPE, "application/x-ndjson")
            .header("Idempotency-Key", key)
            .body(chunk.body.clone())
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
