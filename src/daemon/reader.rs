//! One fold thread: reads its partitions, folds each record where it was read, and hands over what changed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rdkafka::Message;
use rdkafka::message::{BorrowedMessage, Headers};
use smallvec::SmallVec;

use super::clock::Clock;
use super::door::Ack;
use super::folder::{Folder, Taken};
use crate::catalog::{Catalog, SourceId};
use crate::decode::Record;
use crate::fold::dedup::{Seen, SeenDelta};
use crate::fold::plan::Plan;
use crate::source::kafka::{End, KafkaReader, Polled, TopicPartition};
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
}

/// The partitions of one thread, and what it folds with.
struct Partitions {
    folder: Folder,
    partitions: Vec<Partition>,
    /// The partition of the last record: neighbours mostly come from the same one.
    last: usize,
}

impl FoldThread {
    /// Reads until told to stop, or until nobody takes what it folds.
    pub(super) fn run(self) {
        let mut partitions = Partitions {
            folder: Folder::new(self.catalog, self.plan),
            partitions: self
                .assigned
                .into_iter()
                .map(|a| Partition {
                    source: a.source,
                    position: a.position,
                    seen: a.seen,
                    moved: false,
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
            if handed_over.elapsed() < HAND_OVER_EVERY {
                continue;
            }
            // A batch that could not be handed over goes first: positions must not overtake what they stand for.
            let batch = waiting.take().unwrap_or_else(|| partitions.batch(&self.reader));
            match self.hand_over.try_send(batch) {
                Ok(()) => handed_over = Instant::now(),
                Err(TrySendError::Full(batch)) => {
                    waiting = Some(batch);
                    handed_over = Instant::now();
                }
                Err(TrySendError::Disconnected(_)) => return,
            }
        }
        for batch in waiting
            .into_iter()
            .chain(std::iter::once(partitions.batch(&self.reader)))
        {
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
        let Partition {
            source,
            position,
            seen,
            moved,
        } = &mut self.partitions[index];
        let mut headers: SmallVec<[(&str, &[u8]); 8]> = SmallVec::new();
        if let Some(list) = message.headers() {
            headers.extend(list.iter().filter_map(|header| Some((header.key, header.value?))));
        }
        let record = Record {
            topic: &position.topic,
            partition: message.partition(),
            offset: message.offset(),
            key: message.key(),
            payload: message.payload(),
            headers: &headers,
            timestamp_ms: message.timestamp().to_millis(),
        };
        let account = self.folder.fold(*source, &record, now, seen.as_mut());
        *moved = true;
        position.next_offset = message.offset() + 1;
        position.newest_event_ms = position.newest_event_ms.max(account.newest_ms);
    }

    fn partition_of(&self, topic: &str, number: i32) -> Option<usize> {
        let is_it = |p: &Partition| p.position.partition == number && &*p.position.topic == topic;
        if self.partitions.get(self.last).is_some_and(is_it) {
            return Some(self.last);
        }
        self.partitions.iter().position(is_it)
    }

    fn batch(&mut self, reader: &KafkaReader) -> Batch {
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
            ends: reader.ends(),
            acks: Vec::new(),
            requests: Vec::new(),
        }
    }
}
