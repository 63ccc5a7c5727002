//! A schema registry: writers' schemas by id, over Confluent's REST API.
//!
//! Fold threads [look](Registry::look) ids up; what is not known is fetched by one task, again and again until the
//! registry answers. A thread never waits here: it holds the partition back and looks again.
//!
//! The API: <https://docs.confluent.io/platform/current/schema-registry/develop/api.html>.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rand::Rng;
use reqwest::header::{ACCEPT, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url, redirect};
use serde::Deserialize;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::kafka::TopicPartition;
use crate::decode::{SchemaId, WriterSchema};
use crate::settings::SchemaRegistry;

/// Media types that registries answer with.
const ACCEPTED: &str =
    "application/vnd.schemaregistry.v1+json, application/vnd.schemaregistry+json, application/json";
/// How long one attempt may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Time before the second attempt; doubled from attempt to attempt.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// Longest time between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// How long it is believed that an id does not exist: it may be registered later.
const MISSING_FOR: Duration = Duration::from_secs(60);
/// Most ids that are remembered as missing; garbage brings any number of them.
const MOST_MISSING: usize = 10_000;
/// Longest answer that is read, in bytes.
const ANSWER_BYTES: usize = 8 * 1024 * 1024;
/// Most schemas that one schema may refer to, directly or not.
const MOST_REFERENCES: usize = 200;
/// The registry's word for "there is no such schema".
const SCHEMA_NOT_FOUND: i64 = 40403;

/// What is known of an id.
#[derive(Clone, Debug)]
pub enum Look {
    /// The schema.
    Schema(Arc<WriterSchema>),
    /// The registry has no such id.
    Missing,
    /// The registry has something that cannot be used: why.
    Unusable(&'static str),
    /// The registry was asked and has not answered yet.
    Waiting,
}

/// How it stands, for people and machines.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Status {
    /// Since when the registry has not answered, and what happened instead; `None` while it answers.
    pub away: Option<(Timestamp, String)>,
    /// Partitions that wait for a schema, by source.
    pub held: BTreeMap<String, u64>,
    /// Attempts by outcome: `found`, `missing`, `failed`.
    pub requests: BTreeMap<&'static str, u64>,
}

/// A registry, and the task that asks it.
#[derive(Debug)]
pub struct Registry {
    shared: Arc<Shared>,
    asks: UnboundedSender<SchemaId>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    answers: HashMap<SchemaId, Answer>,
    missing: HashMap<SchemaId, Instant>,
    asked: HashSet<SchemaId>,
    held: BTreeMap<TopicPartition, String>,
    away: Option<(Timestamp, String)>,
    requests: BTreeMap<&'static str, u64>,
}

/// What the registry said, for good.
#[derive(Clone, Debug)]
enum Answer {
    Schema(Arc<WriterSchema>),
    Unusable(&'static str),
}

/// What one attempt brought.
#[derive(Debug)]
enum Fetched {
    Answer(Answer),
    Missing,
}

/// Why an attempt brought nothing.
#[derive(Debug)]
struct Trouble {
    what: String,
    /// How long the registry asks to be left alone.
    wait: Option<Duration>,
}

impl Registry {
    /// Starts the task. Nothing is asked yet.
    ///
    /// # Errors
    /// In words, when no HTTP client can be made.
    pub fn start(settings: &SchemaRegistry, runtime: &tokio::runtime::Handle) -> Result<Registry, String> {
        let shared = Arc::new(Shared::default());
        let (asks, asked) = unbounded_channel();
        let remote = Remote {
            client: client(&settings.url)?,
            settings: settings.clone(),
        };
        let task = runtime.spawn(run(remote, shared.clone(), asked));
        Ok(Registry { shared, asks, task })
    }

    /// What is known of an id; an unknown one is asked for.
    pub fn look(&self, id: SchemaId) -> Look {
        let mut known = self.shared.known();
        match known.answers.get(&id) {
            Some(Answer::Schema(schema)) => return Look::Schema(schema.clone()),
            Some(Answer::Unusable(why)) => return Look::Unusable(why),
            None => {}
        }
        if known
            .missing
            .get(&id)
            .is_some_and(|since| since.elapsed() < MISSING_FOR)
        {
            return Look::Missing;
        }
        // The task ends with the process only.
        if known.asked.insert(id) {
            let _ = self.asks.send(id);
        }
        Look::Waiting
    }

    /// A partition of a source waits for a schema.
    pub fn hold(&self, partition: TopicPartition, source: &str) {
        self.shared.known().held.insert(partition, source.to_owned());
    }

    /// A partition waits no longer.
    pub fn release(&self, partition: &TopicPartition) {
        self.shared.known().held.remove(partition);
    }

    /// How it stands.
    pub fn status(&self) -> Status {
        let known = self.shared.known();
        let mut held = BTreeMap::new();
        for source in known.held.values() {
            *held.entry(source.clone()).or_insert(0) += 1;
        }
        Status {
            away: known.away.clone(),
            held,
            requests: known.requests.clone(),
        }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what an attempt brought. Returns whether the id is settled.
    fn take(&self, id: SchemaId, fetched: Result<Fetched, Trouble>) -> Option<Trouble> {
        let mut known = self.known();
        let outcome = match &fetched {
            Ok(Fetched::Answer(_)) => "found",
            Ok(Fetched::Missing) => "missing",
            Err(_) => "failed",
        };
        *known.requests.entry(outcome).or_insert(0) += 1;
        let fetched = match fetched {
            Err(trouble) => {
                if known.away.is_none() {
                    known.away = Some((Timestamp::now(), trouble.what.clone()));
                    tracing::warn!(
                        schema = id.0,
                        reason = trouble.what,
                        "the schema registry does not answer; partitions that need it wait, and nothing is lost"
                    );
                }
                return Some(trouble);
            }
            Ok(fetched) => fetched,
        };
        if let Some((since, _)) = known.away.take() {
            let away = Timestamp::now().duration_since(since);
            tracing::info!(away_seconds = away.as_secs(), "the schema registry answers again");
        }
        known.asked.remove(&id);
        match fetched {
            Fetched::Answer(answer) => {
                known.answers.insert(id, answer);
            }
            Fetched::Missing => {
                if known.missing.len() >= MOST_MISSING {
                    known.missing.clear();
                }
                known.missing.insert(id, Instant::now());
            }
        }
        None
    }
}

/// Asks for one id after the other, each until there is an answer.
async fn run(remote: Remote, shared: Arc<Shared>, mut asked: UnboundedReceiver<SchemaId>) {
    let mut waiting: VecDeque<SchemaId> = VecDeque::new();
    let mut wait = FIRST_WAIT;
    loop {
        let id = match waiting.pop_front() {
            Some(id) => id,
            None => match asked.recv().await {
                Some(id) => id,
                None => return,
            },
        };
        let fetched = remote.fetch(id).await;
        match shared.take(id, fetched) {
            None => wait = FIRST_WAIT,
            Some(trouble) => {
                // One schema that makes trouble must not keep the others waiting.
                waiting.push_back(id);
                while let Ok(other) = asked.try_recv() {
                    waiting.push_front(other);
                }
                let jitter = rand::rng().random_range(0.5..1.0);
                let pause = wait.mul_f64(jitter).max(trouble.wait.unwrap_or_default());
                tokio::time::sleep(pause).await;
                wait = (wait * 2).min(LONGEST_WAIT);
            }
        }
    }
}

/// The registry at the other end.
struct Remote {
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
    async fn fetch(&self, id: SchemaId) -> Result<Fetched, Trouble> {
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

#[cfg(test)]
mod tests;
