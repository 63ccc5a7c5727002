//! The registry at the other end: its protocol, one attempt at a time.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url, redirect};
use serde::Deserialize;

use super::LONGEST_WAIT;
use crate::decode::{SchemaId, WriterSchema};
use crate::settings::SchemaRegistry;

/// Media types that registries answer with.
const ACCEPTED: &str =
    "application/vnd.schemaregistry.v1+json, application/vnd.schemaregistry+json, application/json";
/// How long one attempt may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Longest answer that is read, in bytes.
const ANSWER_BYTES: usize = 8 * 1024 * 1024;
/// Most schemas that one schema may refer to, directly or not.
const MOST_REFERENCES: usize = 200;
/// The registry's word for "there is no such schema".
const SCHEMA_NOT_FOUND: i64 = 40403;

/// What the registry said, for good.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Schema(Arc<WriterSchema>),
    Unusable(&'static str),
}

/// What one attempt brought.
#[derive(Debug)]
pub(super) enum Fetched {
    Answer(Answer),
    Missing,
}

/// Why an attempt brought nothing.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) what: String,
    /// How long the registry asks to be left alone.
    pub(super) wait: Option<Duration>,
}

/// The registry at the other end.
pub(super) struct Remote {
    client: Client,
    settings: SchemaRegistry,
}

/// A schema as the registry tells it.
#[derive(Deserialize, Debug)]
struct Told {
    schema: String,
    #[serde(rename = "schemaType", default)]
    kind: Option<String>,
    #[serde(default)]
    references: Vec<Reference>,
}

/// A schema that another one refers to.
#[derive(Deserialize, Debug)]
struct Reference {
    subject: String,
    version: i64,
}

/// An answer of the registry.
enum Said {
    Told(Told),
    NotFound { code: Option<i64> },
}

impl Remote {
    /// # Errors
    /// In words, when no HTTP client can be made.
    pub(super) fn new(settings: &SchemaRegistry) -> Result<Remote, String> {
        Ok(Remote {
            client: client(&settings.url)?,
            settings: settings.clone(),
        })
    }

    /// Asks for one id, and for what it refers to.
    pub(super) async fn fetch(&self, id: SchemaId) -> Result<Fetched, Trouble> {
        let told = match self.get(&["schemas", "ids", &id.to_string()]).await? {
            Said::Told(told) => told,
            Said::NotFound {
                code: Some(SCHEMA_NOT_FOUND),
            } => return Ok(Fetched::Missing),
            // Not the registry's word: the address is another's, or a proxy answers.
            Said::NotFound { code } => {
                let code = code.map_or_else(String::new, |code| format!(", error code {code}"));
                return Err(Trouble::new(format!(
                    "it answers 404{code}: is the address right?"
                )));
            }
        };
        if told.kind.as_deref().is_some_and(|kind| kind != "AVRO") {
            return Ok(Fetched::unusable("it is not Avro"));
        }
        let mut references = Vec::new();
        let mut seen = HashSet::new();
        let mut open = told.references;
        while let Some(Reference { subject, version }) = open.pop() {
            if !seen.insert((subject.clone(), version)) {
                continue;
            }
            if seen.len() > MOST_REFERENCES {
                return Ok(Fetched::unusable("it refers to too many schemas"));
            }
            let path = ["subjects", &subject, "versions", &version.to_string()];
            match self.get(&path).await? {
                Said::Told(told) => {
                    references.push(told.schema);
                    open.extend(told.references);
                }
                Said::NotFound { .. } => {
                    return Ok(Fetched::unusable("the registry lacks a schema that it refers to"));
                }
            }
        }
        match WriterSchema::parse(&told.schema, &references) {
            Ok(schema) => Ok(Fetched::Answer(Answer::Schema(Arc::new(schema)))),
            Err(error) => {
                tracing::warn!(
                    schema = id.0,
                    error,
                    "a schema cannot be read; its events are rejected"
                );
                Ok(Fetched::unusable("it is no Avro schema"))
            }
        }
    }

    async fn get(&self, path: &[&str]) -> Result<Said, Trouble> {
        let mut url = self.settings.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        let mut request = self.client.get(url).header(ACCEPT, ACCEPTED).timeout(TIMEOUT);
        if let Some((username, password)) = &self.settings.credentials {
            request = request.basic_auth(username, Some(password.reveal()));
        }
        let response = request.send().await.map_err(Trouble::of)?;
        let status = response.status();
        let wait = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .map(Duration::from_secs);
        let body = read(response).await?;
        match status {
            StatusCode::OK => serde_json::from_slice(&body)
                .map(Said::Told)
                .map_err(|error| Trouble::new(format!("its answer is no schema: {error}"))),
            StatusCode::NOT_FOUND => {
                let body: Option<serde_json::Value> = serde_json::from_slice(&body).ok();
                let code = body.and_then(|body| body.get("error_code")?.as_i64());
                Ok(Said::NotFound { code })
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(Trouble::new(format!(
                "it answers {status}: check username and password"
            ))),
            _ => Err(Trouble {
                what: format!("it answers {status}"),
                wait: wait.map(|wait| wait.min(LONGEST_WAIT)),
            }),
        }
    }
}

impl Fetched {
    fn unusable(why: &'static str) -> Fetched {
        Fetched::Answer(Answer::Unusable(why))
    }
}

impl Trouble {
    fn new(what: String) -> Trouble {
        Trouble { what, wait: None }
    }

    fn of(error: reqwest::Error) -> Trouble {
        let error = error.without_url();
        let mut what = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            what = format!("{what}: {cause}");
            source = cause.source();
        }
        Trouble::new(what)
    }
}

fn client(url: &Url) -> Result<Client, String> {
    // Fails when another part of the process has chosen a provider already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder()
        .redirect(redirect::Policy::none())
        .user_agent(concat!("tautline/", env!("CARGO_PKG_VERSION")));
    // A proxy of the environment cannot reach this machine's own loopback.
    let builder = if crate::settings::is_loopback(url) {
        builder.no_proxy()
    } else {
        builder
    };
    builder
        .build()
        .map_err(|error| format!("kafka.schema_registry: cannot make an HTTP client: {error}"))
}

async fn read(mut response: Response) -> Result<Vec<u8>, Trouble> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(Trouble::of)? {
        if body.len() + chunk.len() > ANSWER_BYTES {
            return Err(Trouble::new("its answer is too long".to_owned()));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
