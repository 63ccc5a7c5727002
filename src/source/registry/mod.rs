//! A schema registry: writers' schemas by id, over Confluent's REST API.
//!
//! Fold threads [look](Registry::look) ids up; what is not known is fetched by one task, again and again until the
//! registry answers. A thread never waits here: it holds the partition back and looks again.
//!
//! * `remote`: the protocol. * [`once`]: the same for a command, which does not wait for long.
//!
//! The API: <https://docs.confluent.io/platform/current/schema-registry/develop/api.html>.

pub mod once;
mod remote;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rand::Rng;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use self::remote::{Answer, Fetched, Remote, Trouble};
use super::kafka::TopicPartition;
use crate::decode::{SchemaId, WriterSchema};
use crate::settings::SchemaRegistry;

/// Time before the second attempt; doubled from attempt to attempt.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// Longest time between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// How long it is believed that an id does not exist: it may be registered later.
const MISSING_FOR: Duration = Duration::from_secs(60);
/// Most ids that are remembered as missing; garbage brings any number of them.
const MOST_MISSING: usize = 10_000;

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

impl Registry {
    /// Starts the task. Nothing is asked yet.
    ///
    /// # Errors
    /// In words, when no HTTP client can be made.
    pub fn start(settings: &SchemaRegistry, runtime: &tokio::runtime::Handle) -> Result<Registry, String> {
        let shared = Arc::new(Shared::default());
        let (asks, asked) = unbounded_channel();
        let remote = Remote::new(settings)?;
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

#[cfg(test)]
mod tests;
