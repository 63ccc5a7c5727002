//! One fold thread: reads its partitions, folds each record where it was read, and hands over what changed.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rdkafka::Message;
use rdkafka::message::{BorrowedMessage, Headers, OwnedMessage};
use smallvec::SmallVec;

use super::clock::Clock;
use super::door::Ack;
use super::folder::{Folder, Taken};
use crate::catalog::{Catalog, SourceId};
use crate::decode::{Learned, Record, SchemaId};
use crate::fold::dedup::{Seen, SeenDelta};
use crate::fold::plan::Plan;
use crate::source::entry::Entry;
use crate::source::kafka::{End, KafkaReader, Polled, TopicPartition};
use crate::source::registry::{Look, Registry};
use crate::state::{KeptRequest, Position};

/// How often a thread hands over; half of it is what a value waits here on average.
const HAND_OVER_EVERY: Duration = Duration::from_millis(200);
/// Records between two looks at the clock.
const RECORDS_PER_LOOK: u32 = 256;

/// What one thread did since it last handed over.
pub(super) struct Batch {
    pub(super) folded: Taken,
    /// Ids that partitions brought and forgot.
    pub(super) seen: Vec<(SourceId, TopicPartition, SeenDelta)>,
    pub(super) positions: Vec<Position>,
    pub(super) ends: Vec<(TopicPartition, End)>,
    /// Requests to answer after the commit that holds this batch.
    pub(super) acks: Vec<Ack>,
    /// Requests to remember.
    pub(super) requests: Vec<KeptRequest>,
    /// Entries that people typed in.
    pub(super) entries: Vec<Entry>,
}

/// A partition as a thread knows it.
pub(super) struct Assigned {
    pub(super) source: SourceId,
    pub(super) position: Position,
    /// The ids that it brought, of a source whose copies are looked for.
    pub(super) seen: Option<Seen>,
}

pub(super) struct FoldThread {
    pub(super) reader: Arc<KafkaReader>,
    /// Knows the schemas of Avro, if the operator named one.
    pub(super) registry: Option<Arc<Registry>>,
    pub(super) catalog: Arc<Catalog>,
    pub(super) plan: Arc<Plan>,
    pub(super) assigned: Vec<Assigned>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) hand_over: SyncSender<Batch>,
    pub(super) stop: Arc<AtomicBool>,
}

/// A partition's state between two records.
struct Partition {
    source: SourceId,
    position: Position,
    seen: Option<Seen>,
    moved: bool,
    /// Records that wait for the schema of the first one. While there are any the partition is paused, and its position
    /// stands before them: a crash loses nothing.
    held: VecDeque<OwnedMessage>,
}

impl Partition {
    fn name(&self) -> TopicPartition {
        (self.position.topic.clone(), self.position.partition)
    }
}

/// The partitions of one thread, and what it folds with.
struct Partitions {
    reader: Arc<KafkaReader>,
    registry: Option<Arc<Registry>>,
    catalog: Arc<Catalog>,
    folder: Folder,
    partitions: Vec<Partition>,
    /// The partition of the last record: neighbours mostly come from the same one.
    last: usize,
}

impl FoldThread {
    /// Reads until told to stop, or until nobody takes what it folds.
    pub(super) fn run(self) {
        let mut partitions = Partitions {
            reader: self.reader.clone(),
            registry: self.registry,
            folder: Folder::new(self.catalog.clone(), self.plan),
            catalog: self.catalog,
            partitions: self
                .assigned
                .into_iter()
                .map(|a| Partition {
                    source: a.source,
                    position: a.position,
                    seen: a.seen,
                    moved: false,
                    held: VecDeque::new(),
                })
                .collect(),
            last: 0,
        };
        let mut handed_over = Instant::now();
        let mut now = self.clock.now();
        let mut until_look = RECORDS_PER_LOOK;
        let mut waiting: Option<Batch> = None;
        while !self.stop.load(Ordering::Relaxed) {
            match self.reader.poll(Duration::from_millis(50)) {
                Polled::Record(message) => {
                    partitions.take(&message, now);
                    until_look -= 1;
                }
                Polled::Idle => until_look = 0,
            }
            if until_look > 0 {
                continue;
            }
            until_look = RECORDS_PER_LOOK;
            now = self.clock.now();
            partitions.try_held(now);
            if handed_over.elapsed() < HAND_OVER_EVERY {
                continue;
            }
            // A batch that could not be handed over goes first: positions must not overtake what they stand for.
            let batch = waiting.take().unwrap_or_else(|| partitions.batch());
            match self.hand_over.try_send(batch) {
                Ok(()) => handed_over = Instant::now(),
                Err(TrySendError::Full(batch)) => {
                    waiting = Some(batch);
                    handed_over = Instant::now();
                }
                Err(TrySendError::Disconnected(_)) => break,
            }
        }
        partitions.let_go();
        for batch in waiting.into_iter().chain(std::iter::once(partitions.batch())) {
            if self.hand_over.send(batch).is_err() {
                return;
            }
        }
    }
}

impl Partitions {
    fn take(&mut self, message: &BorrowedMessage<'_>, now: Timestamp) {
        let Some(index) = self.partition_of(message.topic(), message.partition()) else {
            return;
        };
        self.last = index;
        if !self.partitions[index].held.is_empty() {
            self.partitions[index].held.push_back(message.detach());
        } else if let Err(schema) = self.fold(index, message, now) {
            self.hold(index, message.detach(), schema);
        }
    }

    /// Keeps a record back until its schema is known, and stops reading its partition: what comes after it must wait.
    fn hold(&mut self, index: usize, message: OwnedMessage, schema: SchemaId) {
        let partition = &mut self.partitions[index];
        tracing::debug!(
            topic = message.topic(),
            partition = message.partition(),
            schema = schema.0,
            "waits for a schema"
        );
        partition.held.push_back(message);
        let name = partition.name();
        if let Err(error) = self.reader.pause(&name) {
            // Reading goes on, and everything read is kept back as well.
            tracing::warn!(%error, topic = %name.0, partition = name.1, "kafka: a partition cannot be paused");
        }
        if let Some(registry) = &self.registry {
            registry.hold(name, &self.catalog.source(partition.source).name);
        }
    }

    /// Folds what was held back, as far as schemas are known now.
    fn try_held(&mut self, now: Timestamp) {
        for index in 0..self.partitions.len() {
            while let Some(message) = self.partitions[index].held.pop_front() {
                if self.fold(index, &message, now).is_err() {
                    self.partitions[index].held.push_front(message);
                    break;
                }
                if self.partitions[index].held.is_empty() {
                    self.go_on(index);
                }
            }
        }
    }

    /// Reads a partition again that was paused.
    fn go_on(&mut self, index: usize) {
        let name = self.partitions[index].name();
        if let Err(error) = self.reader.resume(&name) {
            tracing::error!(%error, topic = %name.0, partition = name.1, "kafka: a partition cannot be resumed");
        }
        if let Some(registry) = &self.registry {
            registry.release(&name);
        }
    }

    /// Nobody waits any more: what is held back will be read again.
    fn let_go(&self) {
        let held = self
            .partitions
            .iter()
            .filter(|partition| !partition.held.is_empty());
        for (partition, registry) in held.filter_map(|held| Some((held, self.registry.as_ref()?))) {
            registry.release(&partition.name());
        }
    }

    /// Makes sure that the schema of a record is known.
    ///
    /// # Errors
    /// The schema that has to be waited for.
    fn learn(&mut self, source: SourceId, record: &Record<'_>) -> Result<(), SchemaId> {
        let Some(id) = self.folder.schema_needed(source, record) else {
            return Ok(());
        };
        let look = match &self.registry {
            Some(registry) => registry.look(id),
            None => Look::Unusable("the settings name no schema registry (kafka.schema_registry)"),
        };
        let learned = match &look {
            Look::Waiting => return Err(id),
            Look::Schema(schema) => Learned::Schema(schema),
            Look::Missing => Learned::Missing,
            Look::Unusable(why) => Learned::Unusable(why),
        };
        self.folder.learn(source, id, learned);
        Ok(())
    }

    /// Folds a record.
    ///
    /// # Errors
    /// The schema that has to be known first; nothing happened then.
    fn fold(&mut self, index: usize, message: &impl Message, now: Timestamp) -> Result<(), SchemaId> {
        let mut headers: SmallVec<[(&str, &[u8]); 8]> = SmallVec::new();
        if let Some(list) = message.headers() {
            headers.extend(list.iter().filter_map(|header| Some((header.key, header.value?))));
        }
        let record = Record {
            topic: message.topic(),
            partition: message.partition(),
            offset: message.offset(),
            key: message.key(),
            payload: message.payload(),
            headers: &headers,
            timestamp_ms: message.timestamp().to_millis(),
        };
        self.learn(self.partitions[index].source, &record)?;
        let partition = &mut self.partitions[index];
        let account = self
            .folder
            .fold(partition.source, &record, now, partition.seen.as_mut());
        partition.moved = true;
        partition.position.next_offset = message.offset() + 1;
        partition.position.newest_event_ms = partition.position.newest_event_ms.max(account.newest_ms);
        Ok(())
    }

    fn partition_of(&self, topic: &str, number: i32) -> Option<usize> {
        let is_it = |p: &Partition| p.position.partition == number && &*p.position.topic == topic;
        if self.partitions.get(self.last).is_some_and(is_it) {
            return Some(self.last);
        }
        self.partitions.iter().position(is_it)
    }

    /// Ends of the partitions as last seen. What is held back stands before the end, whatever the client says.
    fn ends(&self) -> Vec<(TopicPartition, End)> {
        let mut ends = self.reader.ends();
        for ((topic, number), end) in &mut ends {
            let holds = |p: &Partition| {
                !p.held.is_empty() && p.position.partition == *number && p.position.topic == *topic
            };
            end.reached &= !self.partitions.iter().any(holds);
        }
        ends
    }

    fn batch(&mut self) -> Batch {
        let ends = self.ends();
        let seen = self.partitions.iter_mut().filter_map(|partition| {
            let delta = partition.seen.as_mut()?.take();
            let source = partition.source;
            let Position { topic, partition, .. } = &partition.position;
            (!delta.is_empty()).then(|| (source, (topic.clone(), *partition), delta))
        });
        let seen = seen.collect();
        let moved = self
            .partitions
            .iter_mut()
            .filter_map(|partition| std::mem::take(&mut partition.moved).then_some(&partition.position));
        Batch {
            seen,
            positions: moved.cloned().collect(),
            folded: self.folder.take(),
            ends,
            acks: Vec::new(),
            requests: Vec::new(),
            entries: Vec::new(),
        }
    }
}
