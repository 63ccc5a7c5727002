//! Reads records of the past again, for definitions that are new. It follows the running fold up to where that stands, with a
//! client, a fold and cells of its own; when both stand at the same offsets, what it counted takes the place of what the
//! running fold has counted under these definitions, in one commit. So every record from its beginning on counts once:
//! what is before the place where they meet here, what is after it there. Nothing of it is kept before that commit: after
//! a crash it begins anew.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::folder::is_rejection;
use super::partitions::Partitions;
use super::pipeline::{Found, Surroundings, connection, dedup};
use super::reader::Assigned;
use crate::catalog::{Catalog, SourceId};
use crate::evaluate::backfill::{Backfill, Reach, Wanted, done, next};
use crate::fold::cells::{Bound, Cells};
use crate::fold::dedup::{Seen, SeenDelta};
use crate::fold::plan::Plan;
use crate::serve::{Backfilled, Backfilling, Backfills};
use crate::source::kafka::{KafkaReader, TopicPartition};
use crate::state::{Exchange, Position, Store};

/// How soon a broker that did not answer is asked again.
const RETRY_EVERY: Duration = Duration::from_secs(1);
/// Records between two looks at the clock.
const RECORDS_PER_LOOK: usize = 1024;
/// How often what was folded is merged.
const MERGE_EVERY: Duration = Duration::from_millis(500);
/// A round that took less than this has come so near that the running fold may wait for the rest.
const NEAR: Duration = Duration::from_secs(1);
/// How long the running fold waits for the rest.
const FINISH_WITHIN: Duration = Duration::from_secs(30);
/// Silence after which is asked whether the records that are missing are there at all.
const ASK_AFTER: Duration = Duration::from_secs(3);

/// What is read again and what was, for people.
#[derive(Default)]
pub(super) struct Board(Mutex<Backfills>);

impl Board {
    fn shown(&self) -> MutexGuard<'_, Backfills> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn read(&self) -> Backfills {
        self.shown().clone()
    }

    /// Nothing goes on, and these are over.
    pub(super) fn begin(&self, known: &[Backfill], wanted: &BTreeMap<String, Wanted>) {
        let over = known.iter().filter_map(|known| {
            let done = known.done.as_ref()?;
            Some(Backfilled {
                metrics: wanted.get(&known.name)?.metrics.clone(),
                asked: Timestamp::from_millisecond(known.from_ms).ok()?,
                at: Timestamp::from_millisecond(done.at_ms).ok()?,
                since: done.since_ms.and_then(|ms| Timestamp::from_millisecond(ms).ok()),
                is_short: done.is_short,
            })
        });
        let mut shown = self.shown();
        shown.done = over.collect();
        shown.running = None;
    }

    fn progress(&self, running: Backfilling) {
        self.shown().running = Some(running);
    }

    fn finished(&self, metrics: &BTreeSet<String>) {
        let mut shown = self.shown();
        for metric in metrics {
            *shown.finished.entry(metric.clone()).or_insert(0) += 1;
        }
    }
}

/// A re-reading of definitions that begin at the same time.
pub(super) struct Backfiller {
    backfills: Vec<Backfill>,
    /// Metrics that they are part of, by name.
    metrics: BTreeSet<String>,
    from: Timestamp,
    plan: Arc<Plan>,
    catalog: Arc<Catalog>,
    around: Arc<Surroundings>,
    /// Every partition that there is.
    found: Vec<Found>,
    cells: Cells,
    reading: Option<Reading>,
    outcomes: BTreeMap<&'static str, u64>,
    merged_at: Instant,
    stop: Arc<AtomicBool>,
}

/// What it reads with.
struct Reading {
    reader: Arc<KafkaReader>,
    partitions: Partitions,
    starts: HashMap<TopicPartition, Start>,
}

/// Where the reading of a partition began.
struct Start {
    source: SourceId,
    offset: i64,
    reach: Reach,
    /// Whether the time of its first record says how far back it goes.
    is_cut: bool,
}

impl Backfiller {
    /// What is to be read again next, if anything; `cells` are those of the running fold.
    pub(super) fn of(
        around: &Arc<Surroundings>,
        catalog: &Arc<Catalog>,
        plan: &Plan,
        cells: &Cells,
        found: &[Found],
        known: &[Backfill],
        wanted: &BTreeMap<String, Wanted>,
    ) -> Option<Backfiller> {
        let backfills: Vec<Backfill> = next(known).into_iter().cloned().collect();
        let from = Timestamp::from_millisecond(backfills.first()?.from_ms).ok()?;
        let names: BTreeSet<&str> = backfills.iter().map(|backfill| backfill.name.as_str()).collect();
        let plan = Arc::new(plan.only(|name| names.contains(name)));
        let of = |name: &&str| wanted.get(*name).map(|wanted| wanted.metrics.iter().cloned());
        let metrics = names.iter().filter_map(of).flatten().collect();
        let mut own = Cells::new(plan.clone());
        own.know_series_of(cells);
        own.restore_kept_from(cells.kept_from());
        Some(Backfiller {
            backfills,
            metrics,
            from,
            plan,
            catalog: catalog.clone(),
            around: around.clone(),
            found: found.to_vec(),
            cells: own,
            reading: None,
            outcomes: BTreeMap::new(),
            merged_at: Instant::now(),
            stop: Arc::default(),
        })
    }

    /// Tells it to end.
    pub(super) fn stopper(&self) -> Arc<AtomicBool> {
        self.stop.clone()
    }

    /// Whether it was told to end.
    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Reads until it is near the running fold, or told to end.
    ///
    /// # Errors
    /// In words, why it has to begin anew.
    pub(super) fn follow(&mut self) -> Result<(), String> {
        while self.reading.is_none() && !self.is_stopped() {
            match self.begin() {
                Ok(reading) => self.reading = Some(reading),
                Err(reason) => {
                    tracing::debug!(reason, "a backfill waits for the broker");
                    std::thread::sleep(RETRY_EVERY);
                }
            }
        }
        while !self.is_stopped() {
            let positions = self.around.store.positions().map_err(|error| error.to_string())?;
            let began = Instant::now();
            self.read_to(&positions, None)?;
            if began.elapsed() < NEAR {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Finds where each partition's reading begins.
    fn begin(&self) -> Result<Reading, String> {
        let reader = KafkaReader::connect(&connection(&self.around.settings));
        let mut reader = reader.map_err(|error| error.to_string())?;
        let sources: BTreeSet<SourceId> = sources_of(&self.plan).map(|(_, source)| source).collect();
        let mine = || self.found.iter().filter(|found| sources.contains(&found.source));
        let names: Vec<TopicPartition> = mine().map(|found| found.partition.clone()).collect();
        let from_ms = self.from.as_millisecond();
        let offsets = reader
            .offsets_at(&names, from_ms)
            .map_err(|error| error.to_string())?;
        let offsets: HashMap<TopicPartition, Option<i64>> = offsets.into_iter().collect();
        let positions = self.around.store.positions().map_err(|error| error.to_string())?;
        let mut starts = HashMap::new();
        let mut assigned = Vec::new();
        for found in mine() {
            let (topic, number) = &found.partition;
            let bounds = reader.bounds(topic, *number).map_err(|error| error.to_string())?;
            let at = offsets.get(&found.partition).copied().flatten();
            let newest_ms = position_of(&positions, &found.partition).and_then(|of| of.newest_event_ms);
            let start = Start::of(found.source, at, bounds, newest_ms);
            assigned.push(Assigned {
                source: found.source,
                position: Position {
                    topic: topic.clone(),
                    partition: *number,
                    next_offset: start.offset,
                    newest_event_ms: None,
                },
                seen: dedup(&self.catalog, &self.found, found.source).map(Seen::new),
            });
            starts.insert(found.partition.clone(), start);
        }
        let first: Vec<(TopicPartition, i64)> = starts
            .iter()
            .map(|(name, start)| (name.clone(), start.offset))
            .collect();
        reader.assign(&first).map_err(|error| error.to_string())?;
        let reader = Arc::new(reader);
        let partitions = Partitions::new(
            reader.clone(),
            self.around.registry.clone(),
            self.catalog.clone(),
            self.plan.clone(),
            assigned,
        );
        tracing::info!(metrics = self.named(), from = %self.from, "reading records of the past again");
        Ok(Reading {
            reader,
            partitions: partitions.quietly(),
            starts,
        })
    }

    fn named(&self) -> String {
        Vec::from_iter(self.metrics.iter().map(String::as_str)).join(", ")
    }

    /// Folds everything before these positions; whether it came so far before `within` was over; without that, before it
    /// was told to end.
    fn read_to(&mut self, positions: &[Position], within: Option<Duration>) -> Result<bool, String> {
        let Some(mut reading) = self.reading.take() else {
            return Ok(false);
        };
        let read = self.read(&mut reading, positions, within);
        self.reading = Some(reading);
        read
    }

    fn read(
        &mut self,
        reading: &mut Reading,
        positions: &[Position],
        within: Option<Duration>,
    ) -> Result<bool, String> {
        reading.aim(positions)?;
        let began = Instant::now();
        let mut heard = Instant::now();
        let mut now = self.around.clock.now();
        let mut until_look = RECORDS_PER_LOOK;
        reading.partitions.try_held(now);
        self.show(reading);
        let reader = reading.reader.clone();
        while reading.partitions.left() > 0 {
            let polled = reader.poll(Duration::from_millis(20));
            for record in polled.records() {
                reading.note_first(record.topic(), record.partition(), record.timestamp_ms());
                reading.partitions.take(&record, now);
            }
            if !polled.is_empty() {
                heard = Instant::now();
            }
            until_look = until_look.saturating_sub(polled.len());
            if until_look > 0 && !polled.is_empty() {
                continue;
            }
            drop(polled);
            until_look = RECORDS_PER_LOOK;
            now = self.around.clock.now();
            reading.partitions.try_held(now);
            if self.merged_at.elapsed() >= MERGE_EVERY {
                self.merge(reading);
            }
            let is_over = match within {
                Some(within) => began.elapsed() > within,
                None => self.is_stopped(),
            };
            if is_over {
                return Ok(false);
            }
            if heard.elapsed() > ASK_AFTER {
                reading.ask()?;
                heard = Instant::now();
            }
        }
        self.merge(reading);
        Ok(true)
    }

    fn merge(&mut self, reading: &mut Reading) {
        let batch = reading.partitions.batch();
        // What leaves the range of exact numbers is counted among what was let go, and told at the end.
        let _ = self.cells.merge(batch.folded.delta);
        for ((_, outcome), count) in batch.folded.outcomes {
            *self.outcomes.entry(outcome).or_insert(0) += count;
        }
        self.merged_at = Instant::now();
        self.show(reading);
    }

    fn show(&self, reading: &Reading) {
        self.around.board.progress(Backfilling {
            metrics: self.metrics.clone(),
            from: self.from,
            records_read: reading.read(),
            records_left: reading.partitions.left(),
        });
    }

    /// Reads the rest, up to where the running fold has stopped, and puts what was counted in the place of what it has.
    /// Returns whether that is done; else the broker did not answer in time, and it may follow again.
    ///
    /// # Errors
    /// In words, why it has to begin anew.
    pub(super) fn finish(&mut self) -> Result<bool, String> {
        let positions = self.around.store.positions().map_err(|error| error.to_string())?;
        if !self.read_to(&positions, Some(FINISH_WITHIN))? {
            return Ok(false);
        }
        let Some(reading) = &self.reading else {
            return Ok(false);
        };
        let at_ms = self.around.clock.now().as_millisecond();
        let mut known = self
            .around
            .store
            .definitions()
            .map_err(|error| error.to_string())?;
        known.retain(|known| self.backfills.iter().any(|backfill| backfill.name == known.name));
        for backfill in &mut self.backfills {
            let of = |(name, _): &(&str, SourceId)| *name == backfill.name;
            let sources: BTreeSet<SourceId> = sources_of(&self.plan)
                .filter(of)
                .map(|(_, source)| source)
                .collect();
            let starts = reading
                .starts
                .values()
                .filter(|start| sources.contains(&start.source));
            let reached = done(starts.map(|start| start.reach), backfill.from_ms, at_ms);
            if let Some(definition) = known.iter_mut().find(|known| known.name == backfill.name) {
                definition.since_ms = reached.since_ms;
            }
            backfill.done = Some(reached);
        }
        let seen = seen(&self.around.store, &reading.partitions)?;
        self.around
            .store
            .exchange(&Exchange {
                backfills: &self.backfills,
                definitions: &known,
                cells: &self.cells.take_changed(),
                keys: &self.cells.take_changed_keys(),
                items: &self.cells.take_changed_items(),
                seen: &seen,
                nodes: &self.nodes(),
            })
            .map_err(|error| error.to_string())?;
        self.say(reading.read());
        self.around.board.finished(&self.metrics);
        Ok(true)
    }

    /// Nodes whose links follow from its definitions: those of its metrics, and their children.
    fn nodes(&self) -> Vec<&str> {
        let nodes = &self.catalog.nodes;
        let is_mine = |metric| self.metrics.contains(&self.catalog.metric(metric).name);
        let touched = nodes.iter().filter(|node| {
            let parent = node
                .parent
                .as_ref()
                .map(|parent| self.catalog.node(parent.node).metric);
            is_mine(node.metric) || parent.is_some_and(is_mine)
        });
        touched.map(|node| node.name.as_str()).collect()
    }

    /// One line when it is over, and one where something is not as it was asked for.
    fn say(&mut self, records: u64) {
        let metrics = self.named();
        let count = |is: fn(&str) -> bool| -> u64 {
            let counted = self.outcomes.iter().filter(|(outcome, _)| is(outcome));
            counted.map(|(_, count)| count).sum()
        };
        let (rejected, folded) = (count(is_rejection), count(|outcome| outcome == "folded"));
        let reached = self
            .backfills
            .iter()
            .filter_map(|backfill| backfill.done.as_ref());
        let since = reached.clone().filter_map(|done| done.since_ms).max();
        let since = since.and_then(|ms| Timestamp::from_millisecond(ms).ok());
        let since = since.map_or_else(|| "the beginning".to_owned(), |since| since.to_string());
        tracing::info!(
            metrics,
            records,
            folded,
            rejected,
            since,
            "records of the past are counted"
        );
        if reached.clone().any(|done| done.is_short) {
            tracing::warn!(metrics, asked = %self.from, since, "kafka does not reach back as far as 'backfill' asks for: its retention is shorter");
        }
        if rejected > 0 {
            let reasons = self.outcomes.iter().filter(|(outcome, _)| is_rejection(outcome));
            let reasons: Vec<String> = reasons
                .map(|(reason, count)| format!("{reason}={count}"))
                .collect();
            let reasons = reasons.join(" ");
            tracing::warn!(
                metrics,
                reasons,
                "events of the past cannot be used under the catalogue of today"
            );
        }
        let mut evicted: BTreeMap<Bound, u64> = BTreeMap::new();
        for found in self.cells.take_evicted() {
            *evicted.entry(found.bound).or_default() += found.count;
        }
        for (bound, evicted) in evicted {
            let fixed = match bound {
                Bound::Range => "range of exact numbers",
                _ => "starts and ends of one item",
            };
            let bound = bound.key().unwrap_or(fixed);
            tracing::warn!(metrics, bound, evicted, "a bound was reached in the past");
        }
    }
}

impl Start {
    /// `at`: the first offset of the time asked for; `bounds`: what is in Kafka; `newest_ms`: the newest event that the
    /// running fold has read.
    fn of(source: SourceId, at: Option<i64>, (low, high): (i64, i64), newest_ms: Option<i64>) -> Start {
        // Where records were deleted a broker may know no offset of a time, although there are later records: what is left
        // is read then.
        let otherwise = if low > 0 { low } else { high };
        let offset = at.unwrap_or(otherwise).max(low);
        let is_all = offset <= low;
        let reach = match newest_ms {
            _ if is_all && low == 0 => Reach::Everything,
            // All of its records are gone: what it brought is missing.
            Some(newest_ms) if is_all && low == high => Reach::Short(newest_ms.saturating_add(1)),
            _ => Reach::Asked,
        };
        Start {
            source,
            offset,
            reach,
            is_cut: is_all && low > 0 && low < high,
        }
    }
}

impl Reading {
    /// Folds up to these positions from now on.
    fn aim(&mut self, positions: &[Position]) -> Result<(), String> {
        let stand: Vec<(TopicPartition, i64)> = self
            .partitions
            .positions()
            .map(|position| ((position.topic.clone(), position.partition), position.next_offset))
            .collect();
        for (name, at) in stand {
            let start = self.starts.get(&name).map_or(0, |start| start.offset);
            let until = position_of(positions, &name).map_or(0, |position| position.next_offset);
            if until < at && at > start {
                return Err(made_anew(&name));
            }
            self.partitions.fold_until(&name, until);
        }
        Ok(())
    }

    /// Where records before the first one are gone, its time says how far back Kafka goes.
    fn note_first(&mut self, topic: &str, partition: i32, time_ms: Option<i64>) {
        if !self.starts.values().any(|start| start.is_cut) {
            return;
        }
        let of = |(name, _): &(&TopicPartition, &mut Start)| name.1 == partition && *name.0 == *topic;
        if let Some((_, start)) = self.starts.iter_mut().find(of)
            && std::mem::take(&mut start.is_cut)
            && let Some(time_ms) = time_ms
        {
            start.reach = Reach::Short(time_ms);
        }
    }

    /// Asks whether the records that are missing are there at all.
    fn ask(&mut self) -> Result<(), String> {
        for (name, at) in self.partitions.behind() {
            // A broker that does not answer is asked again.
            let Ok((low, high)) = self.reader.bounds(&name.0, name.1) else {
                return Ok(());
            };
            let (topic, partition) = &name;
            if low > at {
                return Err(format!(
                    "kafka has deleted records of topic {topic}, partition {partition}, that were to be read"
                ));
            }
            if high < at {
                return Err(made_anew(&name));
            }
        }
        Ok(())
    }

    /// Records read so far; offsets without a record count.
    fn read(&self) -> u64 {
        let read = self.partitions.positions().map(|position| {
            let name = (position.topic.clone(), position.partition);
            let start = self
                .starts
                .get(&name)
                .map_or(position.next_offset, |start| start.offset);
            (position.next_offset - start).max(0).unsigned_abs()
        });
        read.sum()
    }
}

/// The definitions of a plan with the source of each.
fn sources_of(plan: &Plan) -> impl Iterator<Item = (&str, SourceId)> {
    plan.groups.iter().flat_map(|group| {
        let columns = group.columns.iter();
        columns.map(|column| (column.name.as_str(), group.source))
    })
}

fn made_anew((topic, partition): &TopicPartition) -> String {
    format!("topic {topic}, partition {partition}, is shorter than what was read: it was made anew")
}

fn position_of<'p>(positions: &'p [Position], name: &TopicPartition) -> Option<&'p Position> {
    let mut positions = positions.iter();
    positions.find(|position| position.topic == name.0 && position.partition == name.1)
}

/// Ids that the running fold does not remember, because nothing counted their events.
fn seen(store: &Store, partitions: &Partitions) -> Result<Vec<(TopicPartition, SeenDelta)>, String> {
    let mut kept = store.seen().map_err(|error| error.to_string())?;
    let mut deltas = Vec::new();
    for (name, again) in partitions.seen() {
        let mut seen = Seen::restore(again.bounds(), kept.remove(&name).unwrap_or_default());
        seen.absorb(again);
        let delta = seen.take();
        if !delta.is_empty() {
            deltas.push((name, delta));
        }
    }
    Ok(deltas)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_begins_where_the_time_was_or_where_kafka_still_can() {
        let start = |at, bounds, newest_ms| {
            let start = Start::of(SourceId(0), at, bounds, newest_ms);
            (start.offset, start.reach, start.is_cut)
        };
        let (everything, asked) = (Reach::Everything, Reach::Asked);
        assert_eq!(start(Some(5), (0, 9), Some(7)), (5, asked, false));
        assert_eq!(start(Some(0), (0, 9), Some(7)), (0, everything, false));
        assert_eq!(start(None, (0, 9), Some(7)), (9, asked, false));
        assert_eq!(start(None, (0, 0), None), (0, everything, false));
        // The first record that is left says how far it goes; without one the newest event that was read does.
        assert_eq!(start(Some(3), (3, 9), Some(7)), (3, asked, true));
        assert_eq!(start(Some(4), (3, 9), Some(7)), (4, asked, false));
        assert_eq!(start(None, (3, 9), Some(7)), (3, asked, true));
        assert_eq!(start(None, (9, 9), Some(7)), (9, Reach::Short(8), false));
        assert_eq!(start(None, (9, 9), None), (9, asked, false));
    }
}
