//! A pipeline: the fold threads and the evaluator of one catalogue over one set of partitions. A new catalogue or a
//! new partition ends it and starts the next one from the state: there is one way to start, and it is tried every day.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;
use std::time::Instant;

use jiff::Timestamp;
use serde::de::DeserializeOwned;

use super::backfill::{Backfiller, Board};
use super::clock::Clock;
use super::dead_letter::DeadLetterFile;
use super::door::{self, Door, DoorParts};
use super::evaluator::{EvaluatorThread, NEWEST_REJECTED, Report, Totals};
use super::heartbeats::{self, Heartbeats};
use super::reader::{Assigned, FoldThread};
use super::rhythms::Rhythms;
use crate::alert::engine::Engine;
use crate::alert::judge;
use crate::catalog::{Catalog, SourceId};
use crate::evaluate::Evaluator;
use crate::evaluate::backfill::{self, Backfill, Wanted};
use crate::evaluate::definition::{self, CountedSince, Definition};
use crate::fold::cells::Cells;
use crate::fold::dedup::{Bounds, Seen};
use crate::fold::plan::Plan;
use crate::serve::orders::OrderInbox;
use crate::settings::Settings;
use crate::source::kafka::{Connection, End, KafkaReader, TopicPartition};
use crate::source::push::{self, Inbox};
use crate::source::registry::Registry;
use crate::source::watermark::{Progress, Watermarks};
use crate::state::{Position, Store};

/// Batches that may wait for the evaluator; beyond it the fold threads keep what they folded.
const WAITING_BATCHES: usize = 8;

/// What every pipeline of this process shares.
#[derive(Clone)]
pub(super) struct Surroundings {
    pub(super) settings: Arc<Settings>,
    pub(super) store: Store,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) publish: Arc<dyn Fn(Report) + Send + Sync>,
    pub(super) wake_outbox: Arc<tokio::sync::Notify>,
    /// What is sent over HTTP.
    pub(super) inbox: Inbox,
    /// What people ask of alerts.
    pub(super) orders: OrderInbox,
    /// Knows the schemas of Avro, if the operator named one.
    pub(super) registry: Option<Arc<Registry>>,
    /// What is read again, for people.
    pub(super) board: Arc<Board>,
    /// Where topics of heartbeats ended.
    pub(super) heartbeat_ends: heartbeats::Ends,
}

/// A partition of a source with its bounds, as the broker told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Found {
    pub(super) source: SourceId,
    pub(super) partition: TopicPartition,
    pub(super) low: i64,
    pub(super) high: i64,
}

pub(super) struct Pipeline {
    stop: Arc<AtomicBool>,
    is_worn: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    evaluator: JoinHandle<Totals>,
    /// What is to be read again beside it.
    backfiller: Option<Backfiller>,
}

impl Pipeline {
    /// Starts from the state.
    ///
    /// # Errors
    /// In words: the state cannot be read, the dead-letter file not opened, or the client refuses its settings.
    pub(super) fn start(
        around: &Arc<Surroundings>,
        catalog: &Arc<Catalog>,
        found: &[Found],
        mut totals: Totals,
    ) -> Result<Pipeline, String> {
        let entries = around.store.entries().map_err(|error| error.to_string())?;
        let restored = around.store.restore().map_err(|error| error.to_string())?;
        let settings = &around.settings;
        let plan = Arc::new(Plan::bounded(catalog, settings.max_value_bytes));
        let mut cells = Cells::new(plan.clone());
        cells.restore_kept_from(restored.kept_from);
        cells.restore(restored.cells);
        cells.restore_keys(restored.keys);
        cells.restore_items(restored.items);
        let wanted = backfill::wanted(catalog, &plan);
        let Defined {
            counted_since,
            backfills,
        } = define(
            around,
            catalog,
            &plan,
            &wanted,
            Known {
                definitions: restored.definitions,
                backfills: restored.backfills,
                positions: &restored.positions,
                watermark_ms: restored.watermark_ms,
            },
        )?;
        around.board.begin(&backfills, &wanted);
        // Before partitions are known there is nothing to read from.
        let backfiller = (!found.is_empty())
            .then(|| Backfiller::of(around, catalog, &plan, &cells, found, &backfills, &wanted))
            .flatten();
        let mut evaluator = Evaluator::new(catalog.clone(), plan.clone()).since(&counted_since);
        evaluator.restore_learned(restored.learned);
        let book = around
            .store
            .declare_weights(catalog, restored.watermark_ms, around.clock.now())
            .map_err(|error| error.to_string())?;
        evaluator.weigh(Arc::new(book));
        let mut engine = Engine::new(around.store.id()).within(settings.routing.manners);
        engine.restore(restored.alerts, restored.dispatch);
        engine.recall(restored.past);
        engine.seat(&catalog.severities);
        engine.withdraw(|record| judge::withdrawn(catalog, record));
        // Each of several processes has a file of its own, and the state knows the length of one: nothing is cut, and what a
        // crash left uncommitted may be in it twice.
        let whole_bytes = match around.store.is_replicated() {
            true => u64::MAX,
            false => restored.dead_letter_bytes,
        };
        let mut dead_letters = DeadLetterFile::open(
            &settings.dead_letter.path,
            whole_bytes,
            settings.dead_letter.max_bytes,
        )
        .map_err(|error| {
            format!(
                "dead-letter file {}: {error}",
                settings.dead_letter.path.display()
            )
        })?;
        if totals.rejected.is_empty() {
            // Before a restart the page showed them; a file that cannot be read keeps nobody from starting.
            match dead_letters.newest(NEWEST_REJECTED) {
                Ok(newest) => totals.rejected = newest.into(),
                Err(error) => tracing::warn!(%error, "the newest rejected events cannot be read back"),
            }
        }

        let now = Instant::now();
        let committed = restored
            .watermark_ms
            .and_then(|ms| Timestamp::from_millisecond(ms).ok());
        let mut watermarks = Watermarks::starting_at(committed);
        let known: HashMap<TopicPartition, Position> = restored
            .positions
            .into_iter()
            .map(|p| ((p.topic.clone(), p.partition), p))
            .collect();
        let mut remembered = restored.seen;
        let stop = Arc::new(AtomicBool::new(false));
        let is_worn = Arc::new(AtomicBool::new(false));
        let (hand_over, batches) = sync_channel(WAITING_BATCHES);
        let mut threads = Vec::new();
        let mut readers = Vec::new();
        for share in shares(found, settings.fold_workers()) {
            let mut reader =
                KafkaReader::connect(&connection(settings)).map_err(|error| format!("kafka: {error}"))?;
            let mut assigned = Vec::new();
            let mut starts = Vec::new();
            for part in share {
                let position = starting_position(&part, known.get(&part.partition));
                watermarks.track(Progress {
                    source: part.source,
                    position: position.clone(),
                    end: None,
                    high_at_start: part.high,
                    pushed: false,
                    moved_at: now,
                });
                let seen = dedup(catalog, found, part.source).map(|bounds| {
                    let kept = remembered.remove(&part.partition);
                    Seen::restore(bounds, kept.unwrap_or_default())
                });
                starts.push((part.partition.clone(), position.next_offset));
                assigned.push(Assigned {
                    source: part.source,
                    position,
                    seen,
                });
            }
            reader
                .assign(&starts)
                .map_err(|error| format!("kafka: {error}"))?;
            let reader = Arc::new(reader);
            readers.push(reader.clone());
            let thread = FoldThread {
                reader,
                registry: around.registry.clone(),
                catalog: catalog.clone(),
                plan: plan.clone(),
                assigned,
                clock: around.clock.clone(),
                hand_over: hand_over.clone(),
                stop: stop.clone(),
            };
            threads.push(spawn(format!("fold-{}", threads.len()), move || thread.run())?);
        }
        let desks: Vec<Assigned> = door::positions(catalog, |topic| known.get(&(topic.into(), 0)).cloned())
            .into_iter()
            .map(|(source, position)| Assigned {
                source,
                seen: dedup(catalog, found, source).map(|bounds| {
                    let kept = remembered.remove(&(position.topic.clone(), position.partition));
                    Seen::restore(bounds, kept.unwrap_or_default())
                }),
                position,
            })
            .collect();
        // While Kafka's partitions are not known yet, what is sent must not move the watermark past them.
        let pushed_only = catalog.sources.iter().all(|source| source.topics.is_empty());
        let has_partitions = !found.is_empty() || (pushed_only && !desks.is_empty());
        if has_partitions {
            desks
                .iter()
                .for_each(|desk| watermarks.track(at_desk(desk.source, &desk.position, now)));
        }
        if !desks.is_empty() {
            let door = Door::new(DoorParts {
                inbox: around.inbox.clone(),
                catalog: catalog.clone(),
                plan: plan.clone(),
                desks,
                kept: around.store.requests().map_err(|error| error.to_string())?,
                entries: entries.clone(),
                clock: around.clock.clone(),
                hand_over: hand_over.clone(),
                stop: stop.clone(),
            });
            threads.push(spawn("door".to_owned(), move || door.run())?);
        }
        drop(hand_over);
        let heartbeats = Arc::new(Heartbeats::of(catalog));
        let watched = (
            connection(settings),
            catalog.clone(),
            around.heartbeat_ends.clone(),
            heartbeats.clone(),
            stop.clone(),
        );
        // Nobody waits for its end: a broker that is away would hold it up.
        spawn("heartbeats".to_owned(), move || {
            let (connection, catalog, ends, heartbeats, stop) = watched;
            heartbeats::watch(&connection, &catalog, &ends, &heartbeats, &stop);
        })?;
        let publish = around.publish.clone();
        let evaluator = EvaluatorThread {
            catalog: catalog.clone(),
            cells,
            evaluator,
            engine,
            records: None,
            uncommitted: None,
            watermarks,
            routing: settings.routing.clone(),
            receivers: settings.receivers.keys().cloned().collect(),
            orders: around.orders.clone(),
            was_away: true,
            store: around.store.clone(),
            dead_letters,
            clock: around.clock.clone(),
            readers,
            every: settings.evaluate_every,
            keep_days: settings.keep_days,
            has_partitions,
            publish: Box::new(move |report| publish(report)),
            wake_outbox: around.wake_outbox.clone(),
            totals,
            entries: Arc::new(entries),
            new_dead_letters: 0,
            intake: by_source(catalog, restored.intake.as_deref()),
            rhythms: Rhythms::restore(
                catalog.clone(),
                restored.rhythms.as_deref(),
                heartbeats,
                settings.evaluate_every,
            ),
            stop: stop.clone(),
            is_worn: is_worn.clone(),
        };
        let evaluator = spawn("evaluate".to_owned(), move || evaluator.run(&batches))?;
        Ok(Pipeline {
            stop,
            is_worn,
            threads,
            evaluator,
            backfiller,
        })
    }

    /// What is to be read again beside it, once.
    pub(super) fn take_backfiller(&mut self) -> Option<Backfiller> {
        self.backfiller.take()
    }

    /// Whether most of what it holds in memory is of days that are no longer kept: dimension values that came and went.
    pub(super) fn is_worn(&self) -> bool {
        self.is_worn.load(Ordering::Relaxed)
    }

    /// Whether a thread has ended although nobody told it to.
    pub(super) fn has_failed(&self) -> bool {
        self.evaluator.is_finished() || self.threads.iter().any(JoinHandle::is_finished)
    }

    /// Lets every thread hand over, commits the last step, and returns the counters for the next pipeline.
    pub(super) fn stop(self) -> Result<Totals, String> {
        self.stop.store(true, Ordering::Relaxed);
        let mut failed = false;
        for thread in self.threads {
            failed |= thread.join().is_err();
        }
        let totals = self
            .evaluator
            .join()
            .map_err(|_| "the evaluator thread failed".to_owned())?;
        if failed {
            Err("a fold thread failed".to_owned())
        } else {
            Ok(totals)
        }
    }
}

fn spawn<T: Send + 'static>(
    name: String,
    run: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, String> {
    std::thread::Builder::new()
        .name(name)
        .spawn(run)
        .map_err(|error| format!("cannot start a thread: {error}"))
}

/// Deals the partitions out, as evenly as their number allows.
fn shares(found: &[Found], threads: usize) -> Vec<Vec<Found>> {
    let mut shares = vec![Vec::new(); threads.min(found.len())];
    let count = shares.len().max(1);
    for (i, part) in found.iter().enumerate() {
        shares[i % count].push(part.clone());
    }
    shares
}

/// How many ids a partition remembers, if its source looks for copies. What is sent over HTTP is one partition more.
pub(super) fn dedup(catalog: &Catalog, found: &[Found], source: SourceId) -> Option<Bounds> {
    let declared = catalog.source(source);
    let dedup = declared.dedup.as_ref()?;
    let of_topics = found.iter().filter(|other| other.source == source).count();
    Some(Bounds::of_partition(
        dedup,
        of_topics + usize::from(declared.http),
    ))
}

/// What is known of each source, as the state has it by their names. What cannot be read begins anew.
pub(super) fn by_source<T: DeserializeOwned + Default>(catalog: &Catalog, kept: Option<&str>) -> Vec<T> {
    let kept = kept.and_then(|kept| serde_json::from_str::<HashMap<String, T>>(kept).ok());
    let mut kept = kept.unwrap_or_default();
    catalog
        .sources
        .iter()
        .map(|source| kept.remove(&source.name).unwrap_or_default())
        .collect()
}

/// What the state knows of definitions, and how far it has read.
struct Known<'a> {
    definitions: Vec<Definition>,
    backfills: Vec<Backfill>,
    positions: &'a [Position],
    watermark_ms: Option<i64>,
}

/// Definitions as they are in force.
struct Defined {
    counted_since: CountedSince,
    backfills: Vec<Backfill>,
}

/// Keeps what is counted under a definition that was not there before, and what is to be read again of it, and says since
/// when each is counted. In the state before the first event is folded: a crash in between leaves nothing to be taken for
/// whole.
fn define(
    around: &Surroundings,
    catalog: &Catalog,
    plan: &Plan,
    wanted: &BTreeMap<String, Wanted>,
    known: Known<'_>,
) -> Result<Defined, String> {
    let Known {
        mut definitions,
        mut backfills,
        positions,
        watermark_ms,
    } = known;
    let now_ms = around.clock.now().as_millisecond();
    let changed = definition::changes(&definitions, plan, now_ms, |source| {
        read_up_to(catalog, source, positions, watermark_ms.unwrap_or(now_ms))
    });
    for changed in changed.iter().filter(|changed| changed.in_use) {
        if let Some(since) = changed
            .since_ms
            .and_then(|ms| Timestamp::from_millisecond(ms).ok())
        {
            tracing::info!(definition = changed.name, %since, "counted from now on; what was read before is not in it");
        }
    }
    let names: BTreeSet<&str> = changed.iter().map(|changed| changed.name.as_str()).collect();
    definitions.retain(|known| !names.contains(known.name.as_str()));
    definitions.extend(changed.iter().cloned());
    let again = backfill::changes(&backfills, &definitions, &names, wanted, now_ms);
    around
        .store
        .define(&changed, &again)
        .map_err(|error| error.to_string())?;
    let is_over = |known: &Backfill| {
        again.dropped.contains(&known.name) || again.begun.iter().any(|begun| begun.name == known.name)
    };
    backfills.retain(|known| !is_over(known));
    backfills.extend(again.begun);
    Ok(Defined {
        counted_since: CountedSince::of(&definitions),
        backfills,
    })
}

/// The newest event time that was read of a source, in milliseconds since the epoch; `otherwise` where something was
/// read and nothing of it could be used.
fn read_up_to(catalog: &Catalog, source: SourceId, positions: &[Position], otherwise: i64) -> Option<i64> {
    let source = catalog.source(source);
    let (pushed, _) = push::partition_of(&source.name);
    let of_source = |position: &&Position| {
        let topic = &*position.topic;
        topic == &*pushed || source.topics.iter().any(|name| name == topic)
    };
    let read: Vec<&Position> = positions.iter().filter(of_source).collect();
    let newest = read.iter().filter_map(|position| position.newest_event_ms).max();
    newest.or((!read.is_empty()).then_some(otherwise))
}

fn starting_position(part: &Found, known: Option<&Position>) -> Position {
    let (topic, partition) = &part.partition;
    let start = |next_offset, newest_event_ms| Position {
        topic: topic.clone(),
        partition: *partition,
        next_offset,
        newest_event_ms,
    };
    match known {
        None => start(part.low, None),
        Some(position) if position.next_offset < part.low => {
            tracing::error!(
                %topic,
                partition,
                from = position.next_offset,
                to = part.low,
                "kafka has deleted records that were not read yet: its retention is shorter than the time away"
            );
            start(part.low, position.newest_event_ms)
        }
        Some(position) if position.next_offset > part.high => {
            tracing::error!(
                %topic,
                partition,
                read = position.next_offset,
                end = part.high,
                "the topic is shorter than what was read: it was made anew; reading it from its beginning"
            );
            start(part.low, position.newest_event_ms)
        }
        Some(position) => position.clone(),
    }
}

/// What the watermark knows of a source's requests: they are always read up to their end.
fn at_desk(source: SourceId, position: &Position, now: Instant) -> Progress {
    Progress {
        source,
        position: position.clone(),
        end: Some(End {
            high: position.next_offset,
            reached: true,
        }),
        high_at_start: position.next_offset,
        pushed: true,
        moved_at: now,
    }
}

pub(super) fn connection(settings: &Settings) -> Connection {
    Connection {
        brokers: settings.kafka.brokers.clone(),
        group: settings.kafka.group.clone(),
        properties: settings.kafka.properties.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_dealt_out_evenly() {
        let found: Vec<Found> = (0..5)
            .map(|n| Found {
                source: SourceId(0),
                partition: ("t".into(), n),
                low: 0,
                high: 0,
            })
            .collect();
        let sizes: Vec<usize> = shares(&found, 2).iter().map(Vec::len).collect();
        assert_eq!(sizes, [3, 2]);
        assert_eq!(shares(&found[..1], 4).len(), 1);
        assert!(shares(&[], 4).is_empty());
    }

    #[test]
    fn reading_starts_where_the_state_says_unless_kafka_cannot() {
        let part = Found {
            source: SourceId(0),
            partition: ("t".into(), 0),
            low: 10,
            high: 20,
        };
        let at = |next_offset| Position {
            topic: "t".into(),
            partition: 0,
            next_offset,
            newest_event_ms: Some(1),
        };
        assert_eq!(starting_position(&part, None).next_offset, 10);
        assert_eq!(starting_position(&part, Some(&at(15))).next_offset, 15);
        assert_eq!(starting_position(&part, Some(&at(20))).next_offset, 20);
        assert_eq!(starting_position(&part, Some(&at(5))).next_offset, 10);
        assert_eq!(starting_position(&part, Some(&at(25))).next_offset, 10);
    }
}
