//! The evaluator thread: merges what the fold threads hand over, judges it, and commits everything at once.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::oneshot;

use super::barrier::{Barrier, Gate};
use super::clock::Clock;
use super::dead_letter::{DeadLetter, DeadLetterFile};
use super::door::Ack;
use super::folder::is_rejection;
use super::reader::Batch;
use super::rhythms::Rhythms;
use crate::alert::dispatch::route::Routing;
use crate::alert::dispatch::silence::Silence;
use crate::alert::dispatch::{Held, Kept};
use crate::alert::engine::{Engine, Step};
use crate::alert::judge;
use crate::alert::notice::Notice;
use crate::alert::record::{AlertRecord, Fingerprint};
use crate::catalog::{Calendar, Catalog, SourceId};
use crate::evaluate::drift::Learned;
use crate::evaluate::intake::{Intake, Recent};
use crate::evaluate::weights::{Book, Changed, Decision};
use crate::evaluate::{Evaluator, Horizon, Snapshot, SourceState, retention};
use crate::fold::cells::{Bound, Cells, ForgottenDay, StoredCell, StoredItem, StoredKey};
use crate::fold::dedup::SeenDelta;
use crate::serve::Rejected;
use crate::serve::orders::{Ask, NotDone, Order, OrderInbox};
use crate::source::entry::Entry;
use crate::source::kafka::{KafkaReader, TopicPartition};
use crate::source::push::is_pushed;
use crate::source::watermark::{Allowed, Reach, Watermarks};
use crate::state::{Commit, KeptRequest, Position, StateError, Store};

/// Rejected events that the page shows.
pub(super) const NEWEST_REJECTED: usize = 100;
/// How long a request waits for others that go into the same commit.
const ANSWER_AFTER: Duration = Duration::from_millis(20);
/// A watermark that moved while nothing else did is written this often.
const IDLE_COMMIT_EVERY: Duration = Duration::from_secs(30);

/// What the evaluator tells the rest of the daemon after every step.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Every number.
    pub snapshot: Arc<Snapshot>,
    /// Rules that cannot be evaluated, with where and why.
    pub rule_errors: Arc<BTreeMap<String, String>>,
    /// Every alert record; the same as before where none has changed.
    pub alerts: Arc<[AlertRecord]>,
    /// Newest rejected events, newest first.
    pub rejected: Vec<Rejected>,
    /// Every entry that people typed in.
    pub entries: Arc<Vec<Entry>>,
    /// Weights that were declared, proposed and decided.
    pub book: Arc<Book>,
    /// Silences, expired ones for a while too.
    pub silences: Vec<Silence>,
    /// Events rejected since the last report.
    pub new_dead_letters: u64,
    /// Whether any partition is known.
    pub has_partitions: bool,
    /// Partitions that have not reached the end that they had at the start.
    pub partitions_behind: usize,
    /// Whether partitions are known and read up to that end.
    pub caught_up: bool,
    /// Whether people are told although they are not, because it takes too long.
    pub is_overdue: bool,
    /// Whether the brokers answer.
    pub broker_up: bool,
    /// Why the last commit failed, if it did.
    pub commit_error: Option<String>,
    /// How long the last commit took, in seconds.
    pub commit_seconds: Option<f64>,
}

pub(super) struct EvaluatorThread {
    pub(super) catalog: Arc<Catalog>,
    pub(super) cells: Cells,
    pub(super) evaluator: Evaluator,
    pub(super) engine: Engine,
    /// Every alert record, as long as none changes.
    pub(super) records: Option<Arc<[AlertRecord]>>,
    pub(super) watermarks: Watermarks,
    pub(super) routing: Arc<Routing>,
    /// Names of all receivers.
    pub(super) receivers: Vec<String>,
    pub(super) orders: OrderInbox,
    /// Nobody could be told since the last time that somebody could.
    pub(super) was_away: bool,
    pub(super) store: Store,
    /// Why commits fail since they do, as it was said in the log.
    pub(super) uncommitted: Option<String>,
    pub(super) dead_letters: DeadLetterFile,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) readers: Vec<Arc<KafkaReader>>,
    pub(super) every: Duration,
    /// How many days back days are kept at least.
    pub(super) keep_days: i32,
    pub(super) has_partitions: bool,
    pub(super) publish: Box<dyn Fn(Report) + Send>,
    pub(super) wake_outbox: Arc<tokio::sync::Notify>,
    pub(super) totals: Totals,
    /// Every entry that people typed in.
    pub(super) entries: Arc<Vec<Entry>>,
    pub(super) new_dead_letters: u64,
    /// What came of each source lately, by [`SourceId`].
    pub(super) intake: Vec<Intake>,
    pub(super) rhythms: Rhythms,
    pub(super) stop: Arc<AtomicBool>,
    /// Says that a start from the state would free most of the memory.
    pub(super) is_worn: Arc<AtomicBool>,
}

/// Counters that live as long as the process, over reloads.
#[derive(Clone, Default)]
pub(super) struct Totals {
    pub(super) barrier: Barrier,
    pub(super) outcomes: HashMap<(String, &'static str), u64>,
    /// Events that came later than their source allows, by source.
    pub(super) late: HashMap<String, u64>,
    pub(super) rejected: VecDeque<Rejected>,
    /// Ids forgotten before their time, by source.
    pub(super) evicted_ids: HashMap<String, u64>,
    /// Keys forgotten before their time, by metric.
    pub(super) evicted_keys: BTreeMap<String, u64>,
    /// Items forgotten because there were too many, by metric.
    pub(super) evicted_items: BTreeMap<String, u64>,
    /// Starts and ends of items forgotten since the process began, because one item had too many, by metric.
    pub(super) dropped_marks: BTreeMap<String, u64>,
    /// Events that count as "other", because there were too many combinations, by metric.
    pub(super) events_in_other: BTreeMap<String, u64>,
    /// Events that were let go because their day is no longer kept, by metric.
    pub(super) events_too_old: BTreeMap<String, u64>,
    /// Events whose amounts would have taken a sum out of the range of exact numbers, by metric.
    pub(super) beyond_range: BTreeMap<String, u64>,
    /// Events since the process began with a value that is longer than allowed, by metric.
    pub(super) long_values: BTreeMap<String, u64>,
}

/// What came of an order, and who waits for it.
type Outcome = Result<String, NotDone>;
type Reply = oneshot::Sender<Outcome>;

/// What waits for the next commit.
#[derive(Default)]
struct Pending {
    positions: HashMap<(Arc<str>, i32), Position>,
    cells: Vec<StoredCell>,
    forgotten: Vec<ForgottenDay>,
    learned: Learned,
    keys: Vec<StoredKey>,
    items: Vec<StoredItem>,
    seen: Vec<(TopicPartition, SeenDelta)>,
    alerts: Vec<AlertRecord>,
    removed_alerts: Vec<Fingerprint>,
    notices: Vec<Notice>,
    unsaid: Vec<Notice>,
    held: Vec<Held>,
    dispatch: Option<Kept>,
    /// What people asked for, and what came of it.
    answers: Vec<(Reply, Outcome)>,
    dead_letters: Vec<DeadLetter>,
    requests: Vec<KeptRequest>,
    entries: Vec<Entry>,
    weights: Changed,
    acks: Vec<Ack>,
}

impl Pending {
    fn is_empty(&self) -> bool {
        self.positions.is_empty()
            && self.cells.is_empty()
            && self.forgotten.is_empty()
            && self.learned.is_empty()
            && self.weights.is_empty()
            && self.keys.is_empty()
            && self.items.is_empty()
            && self.alerts.is_empty()
            && self.notices.is_empty()
            && self.unsaid.is_empty()
            && self.removed_alerts.is_empty()
            && self.held.is_empty()
            && self.dispatch.is_none()
            && self.answers.is_empty()
            && self.acks.is_empty()
    }

    /// Adds what a step of the alerts did.
    fn take(&mut self, step: Step) {
        self.alerts.extend(step.changed);
        self.removed_alerts.extend(step.removed);
        self.notices.extend(step.notices);
        self.unsaid.extend(step.unsaid);
        self.held.extend(step.held);
        if step.kept.is_some() {
            self.dispatch = step.kept;
        }
    }

    /// Adds what a partition brought and forgot to what it did before.
    fn remember(&mut self, partition: TopicPartition, delta: SeenDelta) {
        match self.seen.iter_mut().find(|(known, _)| *known == partition) {
            Some((_, before)) => before.absorb(delta),
            None => self.seen.push((partition, delta)),
        }
    }
}

impl EvaluatorThread {
    /// Commits fail at every evaluation while a disk is full or a broker is away: the log says so once for each reason, and
    /// once that it is over.
    fn say_of_commits(&mut self, tried: bool, error: Option<&String>) {
        match error {
            Some(error) if self.uncommitted.as_ref() != Some(error) => {
                tracing::error!(%error, "commit failed; it is tried again, and nothing is lost meanwhile");
                self.uncommitted = Some(error.clone());
            }
            None if tried && self.uncommitted.take().is_some() => {
                tracing::info!("commits succeed again: everything until now is kept");
            }
            _ => {}
        }
    }

    /// Runs until told to stop and every fold thread has handed over its last batch; the last step commits it.
    pub(super) fn run(mut self, batches: &Receiver<Batch>) -> Totals {
        let mut pending = Pending::default();
        let mut committed_at = Instant::now();
        let mut next_step = Instant::now();
        loop {
            let ended = loop {
                let wait = next_step.saturating_duration_since(Instant::now());
                match batches.recv_timeout(wait) {
                    Ok(batch) => {
                        if !batch.acks.is_empty() {
                            next_step = next_step.min(Instant::now() + ANSWER_AFTER);
                        }
                        self.absorb(batch, &mut pending);
                    }
                    Err(RecvTimeoutError::Timeout) => break false,
                    // Without fold threads there is nobody to wait for but the one who stops us.
                    Err(RecvTimeoutError::Disconnected) if self.has_partitions => break true,
                    Err(RecvTimeoutError::Disconnected) => {
                        std::thread::sleep(wait);
                        break self.stop.load(Ordering::Relaxed);
                    }
                }
            };
            next_step = Instant::now() + self.every;
            // Each fold thread has a client of its own; one that is connected is enough to know that the broker is there.
            let broker_up = self.readers.is_empty() || self.readers.iter().any(|reader| reader.broker_up());
            let due = committed_at.elapsed() >= IDLE_COMMIT_EVERY;
            let report = self.step(&mut pending, broker_up, due || ended);
            if report.commit_error.is_none() && report.commit_seconds.is_some() {
                committed_at = Instant::now();
            }
            (self.publish)(report);
            if ended {
                return self.totals;
            }
        }
    }

    fn absorb(&mut self, batch: Batch, pending: &mut Pending) {
        let now = Instant::now();
        // Beyond 10¹⁴ events of 10¹⁸: the sum stays where it was, and `count_bounds` counts and says it.
        let _ = self.cells.merge(batch.folded.delta);
        for (source, partition, delta) in batch.seen {
            self.count_evicted(source, delta.evicted);
            pending.remember(partition, delta);
        }
        for position in batch.positions {
            if let Some(source) = self.watermarks.moved(position.clone(), now) {
                self.rhythms.hear(source);
            }
            pending
                .positions
                .insert((position.topic.clone(), position.partition), position);
        }
        for (partition, end) in batch.ends {
            self.watermarks.ended(&partition, end);
        }
        let arrived = self.clock.now();
        for ((source, outcome), count) in batch.folded.outcomes {
            let rejected = is_rejection(outcome).then_some(outcome);
            self.intake[source.0 as usize].count(arrived, count, rejected);
            self.rhythms.count(source, count);
            let name = self.catalog.source(source).name.clone();
            *self.totals.outcomes.entry((name, outcome)).or_insert(0) += count;
        }
        let late = self.catalog.sources.iter().zip(batch.folded.late);
        for (source, count) in late.filter(|(_, count)| *count > 0) {
            *self.totals.late.entry(source.name.clone()).or_insert(0) += count;
        }
        self.new_dead_letters += batch.folded.dead_letters.len() as u64;
        for letter in &batch.folded.dead_letters {
            self.totals.rejected.push_front(letter.shown(&self.catalog));
        }
        self.totals.rejected.truncate(NEWEST_REJECTED);
        pending.dead_letters.extend(batch.folded.dead_letters);
        pending.requests.extend(batch.requests);
        pending.entries.extend(batch.entries);
        pending.acks.extend(batch.acks);
    }

    /// Ids that were forgotten before their time: copies of their events would be counted.
    fn count_evicted(&mut self, source: SourceId, evicted: u64) {
        if evicted == 0 {
            return;
        }
        self.intake[source.0 as usize].count_let_go(self.clock.now(), Bound::Ids, evicted);
        let name = &self.catalog.source(source).name;
        let total = self.totals.evicted_ids.entry(name.clone()).or_insert(0);
        if *total == 0 {
            tracing::warn!(
                source = name,
                "more ids in the window than dedup_max_keys: the oldest are forgotten, copies of their events are counted"
            );
        }
        *total += evicted;
    }

    /// What was let go because a bound was reached.
    fn count_bounds(&mut self) {
        for evicted in self.cells.take_evicted() {
            let name = &self.catalog.metric(evicted.metric).name;
            let (totals, message) = match evicted.bound {
                // Ids are remembered beside the cells, see `count_evicted`.
                Bound::Ids => continue,
                Bound::Range => {
                    let message = "a sum would leave the range of exact numbers: it stays where it was, and the amounts beyond it are in no sum";
                    (&mut self.totals.beyond_range, message)
                }
                Bound::Items => {
                    let message = "more items than max_items: those that ended longest ago are forgotten, then the oldest open ones";
                    (&mut self.totals.evicted_items, message)
                }
                Bound::Keys => {
                    let message = "more keys than max_keys: those that were last seen longest ago are forgotten, and are new when they come again";
                    (&mut self.totals.evicted_keys, message)
                }
                Bound::Marks => {
                    let message = "an item has more starts and ends than are kept of one: the oldest are forgotten, and a late event cannot change what they came to";
                    (&mut self.totals.dropped_marks, message)
                }
                Bound::Values => {
                    let message = "dimension values longer than evaluate.max_value_bytes count as 'other', and of longer names of items the beginning is kept";
                    (&mut self.totals.long_values, message)
                }
                Bound::Cells => {
                    let message = "more combinations of dimension values than max_cells: events of further ones count as 'other'";
                    (&mut self.totals.events_in_other, message)
                }
                Bound::Days => {
                    let message = "events of days that are no longer kept are let go: evaluate.keep says how far back days are kept";
                    (&mut self.totals.events_too_old, message)
                }
            };
            let total = totals.entry(name.clone()).or_insert(0);
            if *total == 0 {
                tracing::warn!(metric = name, "{message}");
            }
            *total += evicted.count;
            if let Some(source) = self.catalog.metric(evicted.metric).source() {
                let intake = &mut self.intake[source.0 as usize];
                intake.count_let_go(self.clock.now(), evicted.bound, evicted.count);
            }
        }
    }

    /// What came of each source over the last 24 hours.
    fn recent_intake(&mut self, broker_up: bool) -> Vec<Recent> {
        let now = self.clock.now();
        self.intake.iter_mut().for_each(|intake| intake.pass(now));
        let EvaluatorThread {
            catalog,
            watermarks,
            rhythms,
            has_partitions,
            intake,
            ..
        } = self;
        let looked = rhythms.look(now, |id| match catalog.source(id).topics.is_empty() {
            true => Reach::Pushed,
            false if broker_up && *has_partitions => watermarks.reach(id),
            false => Reach::Away,
        });
        let recent = intake.iter().zip(looked);
        recent
            .map(|(intake, (silent, rush))| Recent {
                silent,
                rush,
                ..intake.recent()
            })
            .collect()
    }

    /// One evaluation and, if there is something to keep, one commit.
    fn step(&mut self, pending: &mut Pending, broker_up: bool, commit_anyway: bool) -> Report {
        let partitions_behind = self.watermarks.behind();
        let caught_up = self.has_partitions && partitions_behind == 0;
        let catchup_max = self.routing.manners.catchup_max.unsigned_abs();
        let gate = self.totals.barrier.look(caught_up, Instant::now(), catchup_max);

        let before = self.watermarks.overall();
        let allowed = |source: SourceId| {
            let source = self.catalog.source(source);
            Allowed {
                lateness: source.lateness,
                idle_timeout: source.idle_timeout.unsigned_abs(),
            }
        };
        let watermark = self.watermarks.advance(
            self.clock.now(),
            Instant::now(),
            broker_up && self.has_partitions,
            (gate == Gate::Overdue).then_some(catchup_max),
            allowed,
        );
        self.count_bounds();
        let intake = self.recent_intake(broker_up);

        self.carry_out(pending);
        self.was_away |= gate == Gate::Closed;
        // A store that cannot be read fails at the commit as well, which is said there.
        if let Ok(deliveries) = self.store.deliveries(&self.receivers, self.clock.now()) {
            self.engine.heed(deliveries);
        }
        let mut snapshot = Snapshot::default();
        if let Some(watermark) = watermark {
            let first = self.cells.first_day();
            let before = before.or(first.map(|day| self.catalog.calendar.start_of(day.date())));
            let closes = before.map_or_else(Vec::new, |before| {
                day_closes(&self.catalog.calendar, before, watermark)
            });
            for at in closes {
                let closed = self.judge(at, Horizon::Day, Gate::Closed, &intake, pending);
                let changed = self.evaluator.propose_weights(&closed, self.clock.now());
                pending.weights.extend(changed);
            }
            snapshot = self.judge(watermark, Horizon::Known, gate, &intake, pending);
        }
        snapshot.sources = self.source_states(&intake);
        snapshot.evicted_keys = self.totals.evicted_keys.clone();
        snapshot.evicted_items = self.totals.evicted_items.clone();
        snapshot.dropped_marks = self.totals.dropped_marks.clone();
        snapshot.long_values = self.totals.long_values.clone();
        snapshot.events_in_other = self.totals.events_in_other.clone();
        snapshot.events_too_old = self.totals.events_too_old.clone();
        pending.cells.extend(self.cells.take_changed());
        pending.forgotten.extend(self.cells.take_forgotten());
        pending.learned.extend(self.evaluator.take_learned());
        pending.keys.extend(self.cells.take_changed_keys());
        pending.items.extend(self.cells.take_changed_items());
        let started = Instant::now();
        let committed = if pending.is_empty() && !commit_anyway {
            None
        } else {
            Some(self.commit(pending, watermark, commit_anyway))
        };
        let commit_error = match &committed {
            Some(Err(error)) => Some(error.clone()),
            _ => None,
        };
        self.say_of_commits(committed.is_some(), commit_error.as_ref());
        Report {
            rule_errors: self.engine.failures().clone(),
            snapshot: Arc::new(snapshot),
            alerts: self.alerts(),
            rejected: self.totals.rejected.iter().cloned().collect(),
            entries: self.entries.clone(),
            book: self.evaluator.book().clone(),
            silences: self.engine.silences().all.values().cloned().collect(),
            new_dead_letters: std::mem::take(&mut self.new_dead_letters),
            has_partitions: self.has_partitions,
            partitions_behind,
            caught_up,
            is_overdue: gate == Gate::Overdue,
            broker_up,
            commit_error,
            commit_seconds: matches!(committed, Some(Ok(()))).then(|| started.elapsed().as_secs_f64()),
        }
    }

    /// Carries out what people asked for since the last step.
    fn carry_out(&mut self, pending: &mut Pending) {
        let orders: Vec<Order> = {
            let inbox = self
                .orders
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            inbox.try_iter().collect()
        };
        for Order { ask, answer } in orders {
            tracing::info!(?ask, "asked for");
            let outcome = match ask {
                Ask::Alert(command) => {
                    let (outcome, step) = self.engine.command(command, &self.routing, self.clock.now());
                    self.take(step, pending);
                    outcome.map_err(NotDone::from)
                }
                Ask::Weights(decision) => self.decide_weights(decision, pending),
            };
            pending.answers.push((answer, outcome));
        }
    }

    /// Takes what somebody decides of weights, by the local day of the watermark: what runs by then keeps its weights.
    fn decide_weights(&mut self, decision: Decision, pending: &mut Pending) -> Outcome {
        let now = self.clock.now();
        let today = self
            .catalog
            .calendar
            .day_of(self.watermarks.overall().unwrap_or(now));
        let standing = if decision.approve { "approved" } else { "rejected" };
        let changed = self.evaluator.decide_weights(decision, today, now)?;
        pending.weights.extend(changed);
        Ok(standing.to_owned())
    }

    fn judge(
        &mut self,
        at: Timestamp,
        horizon: Horizon,
        gate: Gate,
        intake: &[Recent],
        pending: &mut Pending,
    ) -> Snapshot {
        self.cells
            .keep_from(retention::kept_from(&self.catalog, at, self.keep_days));
        if self.cells.is_mostly_forgotten() {
            self.is_worn.store(true, Ordering::Relaxed);
        }
        let routing = self.routing.clone();
        let (snapshot, step) = judge::step(
            &self.catalog,
            &mut self.evaluator,
            &self.cells,
            &mut self.engine,
            judge::When {
                at,
                horizon,
                tell: (gate != Gate::Closed).then(|| judge::Tell {
                    now: self.clock.now(),
                    routing: &routing,
                    is_back: std::mem::replace(&mut self.was_away, false),
                    catching_up: gate == Gate::Overdue,
                }),
                intake,
            },
        );
        self.take(step, pending);
        snapshot
    }

    /// Adds what a step of the alerts did to what is to be written.
    fn take(&mut self, step: Step, pending: &mut Pending) {
        if !step.changed.is_empty() || !step.removed.is_empty() {
            self.records = None;
        }
        pending.take(step);
    }

    /// Every alert record. Ten thousand of them are not copied at every step.
    fn alerts(&mut self) -> Arc<[AlertRecord]> {
        let Self { records, engine, .. } = self;
        records
            .get_or_insert_with(|| engine.records().cloned().collect())
            .clone()
    }

    fn source_states(&self, intake: &[Recent]) -> Vec<SourceState> {
        let mut states: Vec<SourceState> = (0..)
            .map(SourceId)
            .zip(&self.catalog.sources)
            .map(|(id, source)| SourceState {
                name: source.name.clone(),
                watermark_seconds: self.watermarks.of(id).map(|w| w.as_millisecond() as f64 / 1000.0),
                lag_records: self.watermarks.lag(id),
                outcomes: BTreeMap::new(),
                evicted_ids: self.totals.evicted_ids.get(&source.name).copied().unwrap_or(0),
                late: self.totals.late.get(&source.name).copied().unwrap_or(0),
                silent: intake
                    .get(id.0 as usize)
                    .map(|recent| recent.silent)
                    .unwrap_or_default(),
            })
            .collect();
        for ((name, outcome), count) in &self.totals.outcomes {
            if let Some(state) = states.iter_mut().find(|state| state.name == *name) {
                state.outcomes.insert((*outcome).to_owned(), *count);
            }
        }
        states
    }

    /// Writes rejected events to their file, whose length the next commit holds.
    fn keep_dead_letters(&mut self, letters: &[DeadLetter]) -> Result<(), String> {
        if letters.is_empty() {
            return Ok(());
        }
        let in_file = |error: std::io::Error| format!("dead-letter file: {error}");
        if self.dead_letters.rotate_if_full().map_err(in_file)? {
            let moved = self.store.put_dead_letter_bytes(self.dead_letters.bytes());
            moved.map_err(|error| error.to_string())?;
            self.dead_letters.committed();
        }
        let name = |source: SourceId| self.catalog.source(source).name.clone();
        self.dead_letters.append(letters, name).map_err(in_file)
    }

    /// Writes a step; `anyway`: with what is written now and then only.
    fn commit(
        &mut self,
        pending: &mut Pending,
        watermark: Option<Timestamp>,
        anyway: bool,
    ) -> Result<(), String> {
        self.keep_dead_letters(&pending.dead_letters)?;
        pending.dead_letters.clear();
        let positions: Vec<Position> = pending.positions.values().cloned().collect();
        let of_sources = self.catalog.sources.iter().map(|source| source.name.as_str());
        let intake: BTreeMap<&str, &Intake> = of_sources.zip(&self.intake).collect();
        let intake = serde_json::to_string(&intake).map_err(|error| error.to_string())?;
        let rhythms = self.rhythms.to_keep(anyway);
        let commit = Commit {
            intake: Some(&intake),
            rhythms: rhythms.as_deref(),
            positions: &positions,
            cells: &pending.cells,
            forgotten: &pending.forgotten,
            kept_from: self.cells.kept_from(),
            learned: Some(&pending.learned),
            keys: &pending.keys,
            items: &pending.items,
            seen: &pending.seen,
            alerts: &pending.alerts,
            removed_alerts: &pending.removed_alerts,
            notices: &pending.notices,
            unsaid: &pending.unsaid,
            held: &pending.held,
            dispatch: pending.dispatch.as_ref(),
            watermark_ms: watermark.map(Timestamp::as_millisecond),
            wall_ms: self.clock.now().as_millisecond(),
            dead_letter_bytes: self.dead_letters.bytes(),
            requests: &pending.requests,
            entries: &pending.entries,
            weights: Some(&pending.weights),
            retention: self.routing.manners.retention,
        };
        self.store
            .commit(&commit)
            .map_err(|error: StateError| error.to_string())?;
        self.dead_letters.committed();
        self.rhythms.kept();
        if !pending.entries.is_empty() {
            Arc::make_mut(&mut self.entries).append(&mut pending.entries);
        }
        for Ack { answer, receipt } in pending.acks.drain(..) {
            // Who asked may be gone.
            let _ = answer.send(Ok(receipt));
        }
        for (answer, outcome) in pending.answers.drain(..) {
            let _ = answer.send(outcome);
        }
        if let Some(reader) = self.readers.first() {
            reader.publish_offsets(positions.iter().filter(|position| !is_pushed(&position.topic)));
        }
        if !pending.notices.is_empty() {
            self.wake_outbox.notify_one();
        }
        *pending = Pending::default();
        Ok(())
    }
}

/// The last moments of the local days that a watermark passed on its way from `before` to `now`: clocks of rules see
/// every day, also when a year of history is read in a second.
pub(crate) fn day_closes(calendar: &Calendar, before: Timestamp, now: Timestamp) -> Vec<Timestamp> {
    let mut closes = Vec::new();
    let mut day = calendar.day_of(before);
    while let Ok(next) = day.tomorrow() {
        let close = calendar.start_of(next) - SignedDuration::from_millis(1);
        if close >= now {
            break;
        }
        if close > before {
            closes.push(close);
        }
        day = next;
    }
    closes
}
