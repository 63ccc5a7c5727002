//! The partitions that one thread reads: each record is folded where it was read, in the order of its partition, or waits.

use std::collections::VecDeque;
use std::sync::Arc;

use jiff::Timestamp;
use rdkafka::Message;
use rdkafka::message::OwnedMessage;
use smallvec::SmallVec;
use tautline_native::batch;

use super::folder::{Arrival, Folder};
use super::reader::{Assigned, Batch};
use crate::catalog::{Catalog, SourceId};
use crate::decode::{Learned, Record, SchemaId};
use crate::fold::dedup::Seen;
use crate::fold::plan::Plan;
use crate::source::kafka::{End, KafkaReader, TopicPartition, headers_of, record_of};
use crate::source::registry::{Look, Registry};
use crate::state::Position;

/// Headers of a record that have a value.
type HeaderList<'r> = SmallVec<[(&'r str, &'r [u8]); 8]>;

/// A partition's state between two records.
struct Partition {
    source: SourceId,
    position: Position,
    seen: Option<Seen>,
    moved: bool,
    /// Records from this offset on are not folded yet.
    until: i64,
    /// Records that wait for what the first one lacks. While there are any the partition is paused, and its position
    /// stands before them: a crash loses nothing.
    held: VecDeque<OwnedMessage>,
}

/// What a record has to wait for.
enum Wait {
    /// Its schema.
    Schema(SchemaId),
    /// Its turn: it is at or beyond [`Partition::until`].
    Turn,
}

impl Partition {
    fn name(&self) -> TopicPartition {
        (self.position.topic.clone(), self.position.partition)
    }

    /// Offsets between here and where it is folded up to. When a record from beyond waits, none of them has one.
    fn left(&self) -> u64 {
        let waits_beyond = self
            .held
            .front()
            .is_some_and(|record| record.offset() >= self.until);
        if waits_beyond {
            return 0;
        }
        (self.until - self.position.next_offset).max(0).unsigned_abs()
    }
}

/// The partitions of one thread, and what it folds with.
pub(super) struct Partitions {
    reader: Arc<KafkaReader>,
    registry: Option<Arc<Registry>>,
    catalog: Arc<Catalog>,
    folder: Folder,
    partitions: Vec<Partition>,
    /// The partition of the last record: neighbours mostly come from the same one.
    last: usize,
    /// Whether people are told that a partition waits for a schema.
    shows_waiting: bool,
}

impl Partitions {
    pub(super) fn new(
        reader: Arc<KafkaReader>,
        registry: Option<Arc<Registry>>,
        catalog: Arc<Catalog>,
        plan: Arc<Plan>,
        assigned: Vec<Assigned>,
    ) -> Partitions {
        let partition = |assigned: Assigned| Partition {
            source: assigned.source,
            position: assigned.position,
            seen: assigned.seen,
            moved: false,
            until: i64::MAX,
            held: VecDeque::new(),
        };
        Partitions {
            reader,
            registry,
            folder: Folder::new(catalog.clone(), plan),
            catalog,
            partitions: assigned.into_iter().map(partition).collect(),
            last: 0,
            shows_waiting: true,
        }
    }

    /// What is read again waits without a word.
    pub(super) fn quietly(mut self) -> Partitions {
        self.shows_waiting = false;
        self
    }

    /// Folds records of a partition up to this offset, which stays out; further ones wait. It only rises.
    pub(super) fn fold_until(&mut self, (topic, partition): &TopicPartition, until: i64) {
        if let Some(index) = self.partition_of(topic, *partition) {
            self.partitions[index].until = until;
        }
    }

    /// Offsets that are to be passed yet.
    pub(super) fn left(&self) -> u64 {
        let left = self.partitions.iter().map(Partition::left);
        left.fold(0, u64::saturating_add)
    }

    /// Partitions that have offsets to pass, and where each stands.
    pub(super) fn behind(&self) -> Vec<(TopicPartition, i64)> {
        let behind = self.partitions.iter().filter(|partition| partition.left() > 0);
        behind
            .map(|partition| (partition.name(), partition.position.next_offset))
            .collect()
    }

    /// How far each partition is.
    pub(super) fn positions(&self) -> impl Iterator<Item = &Position> {
        self.partitions.iter().map(|partition| &partition.position)
    }

    /// The ids that each partition has brought, where copies are looked for.
    pub(super) fn seen(&self) -> impl Iterator<Item = (TopicPartition, &Seen)> {
        let partitions = self.partitions.iter();
        partitions.filter_map(|partition| Some((partition.name(), partition.seen.as_ref()?)))
    }

    pub(super) fn take(&mut self, read: &batch::Record<'_>, now: Timestamp) {
        let Some(index) = self.partition_of(read.topic(), read.partition()) else {
            return;
        };
        self.last = index;
        if !self.partitions[index].held.is_empty() {
            self.partitions[index].held.push_back(read.detach());
            return;
        }
        let mut headers = HeaderList::new();
        headers.extend(read.headers().filter_map(|(name, value)| Some((name, value?))));
        let record = Record {
            topic: read.topic(),
            partition: read.partition(),
            offset: read.offset(),
            key: read.key(),
            payload: read.payload(),
            headers: &headers,
            timestamp_ms: read.timestamp_ms(),
        };
        if let Err(wait) = self.fold(index, &record, now) {
            self.hold(index, read.detach(), &wait);
        }
    }

    /// Keeps a record back, and stops reading its partition: what comes after it must wait.
    fn hold(&mut self, index: usize, message: OwnedMessage, wait: &Wait) {
        let partition = &mut self.partitions[index];
        partition.held.push_back(message);
        let name = partition.name();
        if let Err(error) = self.reader.pause(&name) {
            // Reading goes on, and everything read is kept back as well.
            tracing::warn!(%error, topic = %name.0, partition = name.1, "kafka: a partition cannot be paused");
        }
        self.note(index, wait);
    }

    /// Tells people that a partition waits for a schema.
    fn note(&self, index: usize, wait: &Wait) {
        let (Wait::Schema(schema), Some(registry)) = (wait, &self.registry) else {
            return;
        };
        let partition = &self.partitions[index];
        let (topic, number) = partition.name();
        tracing::debug!(%topic, partition = number, schema = schema.0, "waits for a schema");
        if self.shows_waiting {
            registry.hold((topic, number), &self.catalog.source(partition.source).name);
        }
    }

    /// Folds what was held back, as far as schemas are known and it is its turn now.
    pub(super) fn try_held(&mut self, now: Timestamp) {
        for index in 0..self.partitions.len() {
            while let Some(message) = self.partitions[index].held.pop_front() {
                if let Err(wait) = self.fold_held(index, &message, now) {
                    self.partitions[index].held.push_front(message);
                    self.note(index, &wait);
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
        self.release(&name);
    }

    fn release(&self, name: &TopicPartition) {
        if let Some(registry) = self.registry.as_ref().filter(|_| self.shows_waiting) {
            registry.release(name);
        }
    }

    /// Nobody waits any more: what is held back will be read again.
    pub(super) fn let_go(&self) {
        let held = self
            .partitions
            .iter()
            .filter(|partition| !partition.held.is_empty());
        held.for_each(|partition| self.release(&partition.name()));
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

    /// Folds a record that was held back.
    ///
    /// # Errors
    /// What it still has to wait for.
    fn fold_held(&mut self, index: usize, message: &OwnedMessage, now: Timestamp) -> Result<(), Wait> {
        let headers: HeaderList<'_> = headers_of(message).collect();
        self.fold(index, &record_of(message, &headers), now)
    }

    /// Folds a record.
    ///
    /// # Errors
    /// What it has to wait for first; nothing happened then.
    fn fold(&mut self, index: usize, record: &Record<'_>, now: Timestamp) -> Result<(), Wait> {
        if record.offset >= self.partitions[index].until {
            return Err(Wait::Turn);
        }
        self.learn(self.partitions[index].source, record)
            .map_err(Wait::Schema)?;
        let partition = &mut self.partitions[index];
        let arrival = Arrival {
            now,
            newest_ms: partition.position.newest_event_ms,
        };
        let account = self
            .folder
            .fold(partition.source, record, arrival, partition.seen.as_mut());
        partition.moved = true;
        partition.position.next_offset = record.offset + 1;
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
    pub(super) fn ends(&self) -> Vec<(TopicPartition, End)> {
        let mut ends = self.reader.ends();
        for ((topic, number), end) in &mut ends {
            let holds = |p: &Partition| {
                !p.held.is_empty() && p.position.partition == *number && p.position.topic == *topic
            };
            end.reached &= !self.partitions.iter().any(holds);
        }
        ends
    }

    pub(super) fn batch(&mut self) -> Batch {
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
