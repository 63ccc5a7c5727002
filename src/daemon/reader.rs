//! One fold thread: reads its partitions, folds each record where it was read, and hands over what changed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::{Duration, Instant};

use super::clock::Clock;
use super::door::Ack;
use super::folder::Taken;
use super::partitions::Partitions;
use crate::catalog::{Catalog, SourceId};
use crate::fold::dedup::{Seen, SeenDelta};
use crate::fold::plan::Plan;
use crate::source::entry::Entry;
use crate::source::kafka::{End, KafkaReader, TopicPartition};
use crate::source::registry::Registry;
use crate::state::{KeptRequest, Position};

/// How often a thread hands over; half of it is what a value waits here on average.
const HAND_OVER_EVERY: Duration = Duration::from_millis(200);
/// Records between two looks at the clock.
const RECORDS_PER_LOOK: usize = 256;

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

impl FoldThread {
    /// Reads until told to stop, or until nobody takes what it folds.
    pub(super) fn run(self) {
        let mut partitions = Partitions::new(
            self.reader.clone(),
            self.registry,
            self.catalog,
            self.plan,
            self.assigned,
        );
        let mut handed_over = Instant::now();
        let mut now = self.clock.now();
        let mut until_look = RECORDS_PER_LOOK;
        let mut waiting: Option<Batch> = None;
        while !self.stop.load(Ordering::Relaxed) {
            let polled = self.reader.poll(Duration::from_millis(50));
            for record in polled.records() {
                partitions.take(&record, now);
            }
            until_look = until_look.saturating_sub(polled.len());
            if until_look > 0 && !polled.is_empty() {
                continue;
            }
            drop(polled);
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
