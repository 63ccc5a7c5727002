//! What a test plays on: the fold, the evaluation, the alerts and the store of the daemon, with a clock that is told.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::case::{Case, Declared, Event};
use super::series;
use crate::alert::dispatch::silence::Silence;
use crate::alert::dispatch::{Command, Held, Kept, Refusal};
use crate::alert::engine::{Engine, Step};
use crate::alert::judge;
use crate::alert::notice::Notice;
use crate::alert::record::{AlertRecord, AlertState, Fingerprint, Retention};
use crate::catalog::SourceId;
use crate::daemon::evaluator::day_closes;
use crate::daemon::folder::{Arrival, Folder, is_rejection};
use crate::daemon::heartbeats::Heartbeats;
use crate::daemon::rhythms::Rhythms;
use crate::decode::Record;
use crate::evaluate::intake::{Intake, Recent};
use crate::evaluate::{Evaluator, Horizon, Snapshot, weights};
use crate::fold::cells::Cells;
use crate::fold::dedup::{Bounds, Seen};
use crate::fold::plan::Plan;
use crate::source::watermark::Reach;
use crate::state::{Commit, Position, Store};

/// All events of a test are one partition, in the order of arrival.
const EVENTS: &str = "events";
/// Nobody looks away between two evaluations of a test, however long that is.
const LOOKS_WITHIN: Duration = Duration::from_secs(365 * 86_400);

/// The daemon's parts between two restarts.
pub(super) struct Stage {
    declared: Declared,
    store: Store,
    folder: Folder,
    seen: Vec<Option<Seen>>,
    cells: Cells,
    evaluator: Evaluator,
    engine: Engine,
    intake: Vec<Intake>,
    rhythms: Rhythms,
    /// Sources that bring events.
    fed: Vec<SourceId>,
    /// Evaluations are this much behind the clock: the lateness that the catalogue allows those who have events.
    lateness: SignedDuration,
    watermark: Option<Timestamp>,
    /// Events folded so far.
    folded: usize,
    snapshot: Snapshot,
    was_away: bool,
    /// Who is not told of what, and why, since the start.
    pub(super) held: Vec<Held>,
}

/// What goes into one commit.
#[derive(Default)]
struct Changed {
    alerts: Vec<AlertRecord>,
    removed: Vec<Fingerprint>,
    notices: Vec<Notice>,
    unsaid: Vec<Notice>,
    held: Vec<Held>,
    kept: Option<Kept>,
    weights: weights::Changed,
}

impl Changed {
    fn take(&mut self, step: Step) {
        self.alerts.extend(step.changed);
        self.removed.extend(step.removed);
        self.notices.extend(step.notices);
        self.unsaid.extend(step.unsaid);
        self.held.extend(step.held);
        self.kept = step.kept.or(self.kept.take());
    }
}

impl Stage {
    /// Begins from what the store holds.
    pub(super) fn open(
        case: &Case,
        declared: Declared,
        store: Store,
        now: Timestamp,
    ) -> Result<Stage, String> {
        let catalog = declared.catalog.clone();
        let restored = store.restore().map_err(|error| error.to_string())?;
        let plan = Arc::new(Plan::compile(&catalog));
        let mut cells = Cells::new(plan.clone());
        cells.restore(restored.cells);
        cells.restore_keys(restored.keys);
        cells.restore_items(restored.items);
        let mut evaluator = Evaluator::new(catalog.clone(), plan.clone());
        evaluator.restore_learned(restored.learned);
        let book = store
            .declare_weights(&catalog, restored.watermark_ms, now)
            .map_err(|error| error.to_string())?;
        evaluator.weigh(Arc::new(book));
        let mut engine = Engine::new(store.id()).within(declared.routing.manners);
        engine.restore(restored.alerts, restored.dispatch);
        engine.recall(restored.past);
        engine.seat(&catalog.severities);
        engine.withdraw(|record| judge::withdrawn(&catalog, record));
        let mut remembered = restored.seen;
        let seen = catalog.sources.iter().map(|source| {
            let bounds = Bounds::of_partition(source.dedup.as_ref()?, 1);
            let kept = remembered.remove(&(source.name.as_str().into(), 0));
            Some(Seen::restore(bounds, kept.unwrap_or_default()))
        });
        let fed = case.fed.iter().map(|source| catalog.source(*source).lateness);
        Ok(Stage {
            seen: seen.collect(),
            folder: Folder::new(catalog.clone(), plan),
            intake: catalog.sources.iter().map(|_| Intake::default()).collect(),
            rhythms: Rhythms::restore(
                catalog.clone(),
                restored.rhythms.as_deref(),
                Arc::new(Heartbeats::of(&catalog)),
                LOOKS_WITHIN,
            ),
            fed: case.fed.clone(),
            lateness: fed.max().unwrap_or_default(),
            watermark: restored
                .watermark_ms
                .and_then(|ms| Timestamp::from_millisecond(ms).ok()),
            folded: restored
                .positions
                .first()
                .and_then(|position| usize::try_from(position.next_offset).ok())
                .unwrap_or(0),
            snapshot: Snapshot::default(),
            was_away: true,
            held: Vec::new(),
            cells,
            evaluator,
            engine,
            store,
            declared,
        })
    }

    /// What it goes by.
    pub(super) fn declared(&self) -> &Declared {
        &self.declared
    }

    /// When the next thing is due to be told, if nothing happens.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.engine.next_due()
    }

    pub(super) fn records(&self) -> impl Iterator<Item = &AlertRecord> {
        self.engine.records()
    }

    /// Silences, expired ones for a while too.
    pub(super) fn silences(&self) -> impl Iterator<Item = &Silence> {
        self.engine.silences().all.values()
    }

    /// Events folded so far.
    pub(super) fn folded(&self) -> usize {
        self.folded
    }

    /// Folds what has arrived.
    pub(super) fn fold(&mut self, event: &Event) {
        let record = Record {
            payload: Some(event.text.as_bytes()),
            offset: offset(self.folded),
            timestamp_ms: Some(event.arrival.as_millisecond()),
            ..Record::default()
        };
        let seen = self.seen[event.source.0 as usize].as_mut();
        self.folder
            .fold(event.source, &record, Arrival::at(event.arrival), seen);
        self.folded += 1;
        self.rhythms.hear(event.source);
        self.rhythms
            .look(event.arrival, |source| reach(&self.fed, source));
    }

    /// Judges every day that is over by now, and now.
    pub(super) fn evaluate(&mut self, case: &Case, now: Timestamp) -> Result<usize, String> {
        self.merge(now)?;
        let watermark = now - self.lateness;
        let calendar = self.declared.catalog.calendar.clone();
        let first = self.cells.first_day().map(|day| calendar.start_of(day.date()));
        let before = self.watermark.or(first).unwrap_or(watermark);
        let mut changed = Changed::default();
        for close in day_closes(&calendar, before, watermark) {
            self.judge(case, (close, now), Horizon::Day, &mut changed);
            let proposed = self.evaluator.propose_weights(&self.snapshot, now);
            changed.weights.extend(proposed);
        }
        self.judge(case, (watermark, now), Horizon::Known, &mut changed);
        self.watermark = Some(watermark);
        self.commit(changed, now)
    }

    /// Tells what became due since the last evaluation.
    pub(super) fn tell(&mut self, now: Timestamp) -> Result<usize, String> {
        let Some(at) = self.watermark else { return Ok(0) };
        let mut changed = Changed::default();
        changed.take(judge::tell(
            &self.declared.catalog,
            &self.evaluator,
            &self.cells,
            &mut self.engine,
            (&self.snapshot, at),
            judge::Tell::at(now, &self.declared.routing),
        ));
        self.commit(changed, now)
    }

    /// Carries out what somebody asks for.
    pub(super) fn command(
        &mut self,
        command: Command,
        now: Timestamp,
    ) -> Result<Result<String, Refusal>, String> {
        let (answer, step) = self.engine.command(command, &self.declared.routing, now);
        let mut changed = Changed::default();
        changed.take(step);
        self.commit(changed, now)?;
        Ok(answer)
    }

    /// The next moments at which a clock of an alert runs out. Evaluated at each, an alert moves exactly when it does in a
    /// daemon that evaluates every second.
    pub(super) fn clocks(&self, now: Timestamp) -> Option<Timestamp> {
        let manners = &self.declared.routing.manners;
        let mut waits: Vec<SignedDuration> = vec![manners.error_for, manners.flap.window];
        for rule in &self.declared.catalog.rules {
            waits.push(rule.keep_firing_for);
            waits.extend(rule.levels.iter().map(|level| level.hold_for));
        }
        waits.sort_unstable();
        waits.dedup();
        let since = |record: &AlertRecord| {
            let state = match record.state {
                AlertState::Pending { since } | AlertState::Recovering { since } => Some(since),
                AlertState::Inactive | AlertState::Firing => None,
            };
            let levels = record.clocks.levels.iter().map(|level| level.since);
            let ended = record.history.ended_at.filter(|_| record.history.flapping);
            state.into_iter().chain(levels).chain(ended).collect::<Vec<_>>()
        };
        let ends = self.engine.records().flat_map(since).flat_map(|since| {
            let lateness = self.lateness;
            waits.iter().map(move |wait| since + *wait + lateness)
        });
        let silences = self.rhythms.stale_from(&self.fed);
        ends.chain(silences).filter(|end| *end > now).min()
    }

    fn judge(
        &mut self,
        case: &Case,
        (at, now): (Timestamp, Timestamp),
        horizon: Horizon,
        changed: &mut Changed,
    ) {
        self.intake.iter_mut().for_each(|intake| intake.pass(now));
        let looked = self.rhythms.look(now, |source| reach(&self.fed, source));
        let recent = |(intake, (silent, rush)): (&Intake, _)| Recent {
            silent,
            rush,
            ..intake.recent()
        };
        let intake: Vec<Recent> = self.intake.iter().zip(looked).map(recent).collect();
        let routing = self.declared.routing.clone();
        let catalog = self.declared.catalog.clone();
        let (snapshot, step) = judge::step_as_if(
            &catalog,
            &mut self.evaluator,
            &self.cells,
            &mut self.engine,
            judge::When {
                at,
                horizon,
                tell: Some(judge::Tell {
                    now,
                    routing: &routing,
                    is_back: std::mem::take(&mut self.was_away),
                    catching_up: false,
                }),
                intake: &intake,
            },
            |snapshot| {
                series::put_in(&catalog, &case.series, &case.fed, snapshot, at);
                // What links are told to say here has no sum of all instances beside it.
                if !case.series.is_empty() {
                    let shared =
                        crate::evaluate::drift::shared::shared(&catalog, &snapshot.instances, |_| None);
                    snapshot.shared = shared.into();
                }
            },
        );
        changed.take(step);
        self.snapshot = snapshot;
    }

    /// Takes over what was folded.
    fn merge(&mut self, now: Timestamp) -> Result<(), String> {
        let taken = self.folder.take();
        for ((source, outcome), count) in taken.outcomes {
            let SourceId(index) = source;
            self.intake[index as usize].count(now, count, is_rejection(outcome).then_some(outcome));
        }
        self.cells.merge(taken.delta).map_err(|error| error.to_string())
    }

    /// Writes everything down; how many notices it brought.
    fn commit(&mut self, changed: Changed, now: Timestamp) -> Result<usize, String> {
        let seen: Vec<_> = self
            .declared
            .catalog
            .sources
            .iter()
            .zip(&mut self.seen)
            .filter_map(|(source, seen)| Some(((source.name.as_str().into(), 0), seen.as_mut()?.take())))
            .filter(|(_, delta)| !delta.is_empty())
            .collect();
        let position = Position {
            topic: EVENTS.into(),
            partition: 0,
            next_offset: offset(self.folded),
            newest_event_ms: None,
        };
        let rhythms = self.rhythms.to_keep(true);
        let commit = Commit {
            positions: &[position],
            cells: &self.cells.take_changed(),
            keys: &self.cells.take_changed_keys(),
            items: &self.cells.take_changed_items(),
            seen: &seen,
            learned: Some(&self.evaluator.take_learned()),
            alerts: &changed.alerts,
            removed_alerts: &changed.removed,
            notices: &changed.notices,
            unsaid: &changed.unsaid,
            held: &changed.held,
            dispatch: changed.kept.as_ref(),
            weights: Some(&changed.weights),
            watermark_ms: self.watermark.map(Timestamp::as_millisecond),
            wall_ms: now.as_millisecond(),
            rhythms: rhythms.as_deref(),
            retention: Retention::FOR_EVER,
            ..Commit::default()
        };
        self.store.commit(&commit).map_err(|error| error.to_string())?;
        self.held.extend(changed.held);
        Ok(changed.notices.len())
    }
}

/// Of what brings no events in a test nothing can be heard.
fn reach(fed: &[SourceId], source: SourceId) -> Reach {
    match fed.contains(&source) {
        true => Reach::Pushed,
        false => Reach::Away,
    }
}

fn offset(folded: usize) -> i64 {
    i64::try_from(folded).unwrap_or(i64::MAX)
}
