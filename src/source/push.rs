//! Events that are sent to tautline over HTTP. A request waits until its events are durable: they are folded, merged
//! and committed like those of a Kafka partition, and only then is it answered.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, oneshot};

use super::kafka::TopicPartition;
use crate::catalog::Layout;

/// Requests that may wait to be folded.
const WAITING_REQUESTS: usize = 1024;
/// Bytes of requests that are not answered yet.
const WAITING_BYTES: usize = 64 * 1024 * 1024;
/// How long a request waits for the commit.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Errors that one answer lists.
const LISTED_ERRORS: usize = 100;

/// What is sent: the body of a request, and what belongs to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Parcel {
    /// Name of the source.
    pub source: String,
    /// How many events the body holds, and how they are laid out.
    pub layout: Layout,
    /// Attributes of a CloudEvent in binary mode, named `ce_…` as in Kafka.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The events.
    pub body: Vec<u8>,
    /// Names the request, so that it counts once however often it is sent.
    pub key: Option<String>,
}

/// A parcel on its way, and where its answer goes.
#[derive(Debug)]
pub struct Submission {
    /// What is sent.
    pub parcel: Parcel,
    /// Gets the answer once the events are durable.
    pub answer: Answer,
}

/// Where an answer goes.
pub type Answer = oneshot::Sender<Result<Receipt, Refused>>;
/// Submissions as they come. One pipeline after the other reads from it.
pub type Inbox = Arc<Mutex<Receiver<Submission>>>;

/// What became of the events of a request.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Receipt {
    /// Events that are folded, or that no filter lets pass.
    pub accepted: u64,
    /// Events whose id was counted before, of a source that looks for copies.
    #[serde(default)]
    pub duplicates: u64,
    /// Events that cannot be used.
    pub rejected: u64,
    /// Why, for the first hundred of them.
    pub errors: Vec<EventError>,
    /// Number of the entry that was kept, of a metric that people type in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    /// Whether the request had been taken before, and nothing was counted again.
    #[serde(default)]
    pub repeated: bool,
}

/// Why one event cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EventError {
    /// Its number in the request, from 0; `None`: the whole body.
    pub index: Option<u32>,
    /// The reason as a word.
    pub reason: String,
    /// The reason in words.
    pub detail: String,
}

impl Receipt {
    /// Adds an error, if there is room for it.
    pub fn list(&mut self, error: EventError) {
        if self.errors.len() < LISTED_ERRORS {
            self.errors.push(error);
        }
    }
}

/// Why a request is not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    /// Too much is waiting.
    #[error("too many events are waiting; send them again in a moment")]
    Full,
    /// The commit did not come in time, or the daemon is stopping.
    #[error(
        "the events are not durable yet; send them again with the same Idempotency-Key, and they count once"
    )]
    NotDurable,
    /// The catalogue has no such source, or not for HTTP.
    #[error("the catalogue was changed: the source takes no events over HTTP any more")]
    UnknownSource,
    /// An entry corrects one that is not there.
    #[error("there is no entry of this number: the list of entries has those that there are")]
    NoSuchEntry,
    /// An entry corrects one that was corrected already.
    #[error("this entry was corrected already: correct the newest one")]
    AlreadyReplaced,
    /// A correction says another day or dimension.
    #[error("a correction keeps the day and the dimensions of what it corrects: leave them out")]
    CorrectionMoves,
    /// The key was used for other events.
    #[error("this Idempotency-Key was used for other events; use a new one for every request")]
    KeyReused,
}

/// Where requests are handed in.
#[derive(Clone, Debug)]
pub struct Intake {
    queue: SyncSender<Submission>,
    room: Arc<Semaphore>,
}

impl Intake {
    /// An intake, and the inbox in which its submissions arrive.
    pub fn new() -> (Intake, Inbox) {
        let (queue, inbox) = sync_channel(WAITING_REQUESTS);
        let room = Arc::new(Semaphore::new(WAITING_BYTES));
        (Intake { queue, room }, Arc::new(Mutex::new(inbox)))
    }

    /// Hands a parcel in and waits until its events are durable.
    ///
    /// # Errors
    /// Why they are not, or are not known to be.
    pub async fn submit(&self, parcel: Parcel) -> Result<Receipt, Refused> {
        let bytes = u32::try_from(parcel.body.len()).map_err(|_| Refused::Full)?;
        let _room = self.room.try_acquire_many(bytes).map_err(|_| Refused::Full)?;
        let (answer, answered) = oneshot::channel();
        match self.queue.try_send(Submission { parcel, answer }) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => return Err(Refused::Full),
            Err(TrySendError::Disconnected(_)) => return Err(Refused::NotDurable),
        }
        match tokio::time::timeout(ANSWER_WITHIN, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(Refused::NotDurable),
        }
    }
}

/// What stands for a source's requests among the partitions: no topic of Kafka has a name like this.
pub fn partition_of(source: &str) -> TopicPartition {
    (format!("http:{source}").into(), 0)
}

/// Whether a topic stands for the requests of a source.
pub fn is_pushed(topic: &str) -> bool {
    topic.starts_with("http:")
}
