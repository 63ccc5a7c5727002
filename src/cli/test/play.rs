//! Plays a test: a clock that jumps from one moment at which something happens to the next, the stage, and the daemon's
//! own sender, which lives on the same clock.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::case::{Acked, Case, Declared, Event, Injected, Injection, Silenced};
use super::file::State;
use super::stage::Stage;
use crate::alert::dispatch::silence::Silence;
use crate::alert::dispatch::{Command, Held};
use crate::alert::identity::episode_id;
use crate::alert::record::{AlertRecord, AlertState};
use crate::catalog::{Place, Severity};
use crate::notify::outbox::{By, run_by};
use crate::notify::{Answer, Channel, Parcel, Sending, Target, answer};
use crate::state::{LoggedNotice, Store};

/// The sender is told when there is something new; it need not look by itself.
const LOOK_EVERY: Duration = Duration::from_hours(365 * 24);
/// A notice is given up at this age, as by the settings' default.
const GIVE_UP_AFTER: Duration = Duration::from_hours(24);

/// What came of a test.
pub(super) struct Played {
    /// Where the alerts of each expectation stood, in the order of the expectations.
    pub(super) states: Vec<Vec<Stood>>,
    /// Every notice, in the order of decisions.
    pub(super) notices: Vec<LoggedNotice>,
    /// Why somebody was not told.
    pub(super) held: Vec<Held>,
    /// The silences that were made.
    pub(super) silences: Vec<Silence>,
    /// What could not be done.
    pub(super) refused: Vec<(Place, String)>,
}

/// Where an alert stood.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Stood {
    pub(super) state: State,
    pub(super) since: Option<Timestamp>,
    pub(super) severity: Severity,
    pub(super) labels: crate::alert::record::Labels,
}

/// Plays a test from its start to its end.
///
/// # Errors
/// When the store fails, or a sum leaves the range of exact numbers.
pub(super) fn play(case: &Case) -> Result<Played, String> {
    let store = Store::in_memory().map_err(|error| error.to_string())?;
    play_from(case, store, case.start, |_| {})
}

/// Plays a test from what a store holds and a moment on; `observe` is told each moment when it is over.
///
/// # Errors
/// As [`play`].
pub(super) fn play_from(
    case: &Case,
    store: Store,
    from: Timestamp,
    observe: impl FnMut(Timestamp),
) -> Result<Played, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .map_err(|error| error.to_string())?;
    runtime.block_on(async { Player::open(case, store, from)?.play(observe).await })
}

struct Player<'c> {
    case: &'c Case,
    store: Store,
    stage: Stage,
    sender: Option<Sender>,
    clock: Clock,
    script: Arc<Script>,
    played: Played,
}

/// The clock of the runtime, as a wall clock.
#[derive(Clone, Copy)]
struct Clock {
    began: Instant,
    start: Timestamp,
}

impl Clock {
    async fn move_to(self, at: Timestamp) {
        let since = Duration::try_from(at.duration_since(self.start)).unwrap_or_default();
        tokio::time::sleep_until(self.began + since).await;
    }
}

impl<'c> Player<'c> {
    fn open(case: &'c Case, store: Store, from: Timestamp) -> Result<Player<'c>, String> {
        let reloaded = case.reloads.iter().filter(|(at, _)| *at < from);
        let declared = reloaded
            .max_by_key(|(at, _)| *at)
            .map_or(&case.declared, |(_, declared)| declared);
        let stage = Stage::open(case, declared.clone(), store.clone(), from)?;
        Ok(Player {
            clock: Clock {
                began: Instant::now(),
                start: from,
            },
            script: Arc::new(Script {
                injections: Mutex::new(case.injections.clone()),
            }),
            played: Played {
                states: case.states.iter().map(|_| Vec::new()).collect(),
                notices: Vec::new(),
                held: Vec::new(),
                silences: Vec::new(),
                refused: Vec::new(),
            },
            sender: None,
            store,
            stage,
            case,
        })
    }

    async fn play(mut self, mut observe: impl FnMut(Timestamp)) -> Result<Played, String> {
        let (case, from) = (self.case, self.clock.start);
        self.start_sender(from);
        let mut planned = moments(case).split_off(&from);
        planned.insert(from);
        let mut now = from;
        loop {
            self.clock.move_to(now).await;
            if planned.remove(&now) {
                self.happen(now).await?;
            } else {
                let told = self.stage.tell(now)?;
                self.wake(told);
            }
            observe(now);
            // Time goes on, whatever is said to be due.
            let soon = now + SignedDuration::from_millis(1);
            let due = self.stage.next_due().map(|due| due.max(soon));
            if let Some(clock) = self.stage.clocks(now).filter(|clock| *clock <= case.until) {
                planned.insert(clock.max(soon));
            }
            match planned.first().copied().into_iter().chain(due).min() {
                Some(next) if next <= case.until => now = next,
                _ => break,
            }
        }
        // What was decided at the last moment has a minute to arrive.
        self.clock
            .move_to(case.until + SignedDuration::from_mins(1))
            .await;
        self.stop_sender().await;
        let Player {
            store,
            stage,
            mut played,
            ..
        } = self;
        let mut notices = store
            .recent_notices(usize::MAX)
            .map_err(|error| error.to_string())?;
        notices.reverse();
        played.notices = notices;
        played.silences = stage.silences().cloned().collect();
        played.held.extend(stage.held);
        Ok(played)
    }

    /// Everything that the test plans for a moment, then an evaluation, then a look at what is expected.
    async fn happen(&mut self, now: Timestamp) -> Result<(), String> {
        let case = self.case;
        if let Some((_, declared)) = case.reloads.iter().find(|(at, _)| *at == now) {
            let declared = declared.clone();
            self.reopen(now, Some(declared)).await?;
        }
        if case.restarts.contains(&now) {
            self.reopen(now, None).await?;
        }
        let arrived = |event: &&Event| event.arrival <= now;
        while let Some(event) = case.events.get(self.stage.folded()).filter(arrived) {
            self.stage.fold(event);
        }
        for silence in case.silences.iter().filter(|silence| silence.from == now) {
            self.silence(silence, now)?;
        }
        let told = self.stage.evaluate(case, now)?;
        self.wake(told);
        for ack in case.acks.iter().filter(|ack| ack.at == now) {
            self.acknowledge(ack, now)?;
        }
        for (expected, stood) in case.states.iter().zip(&mut self.played.states) {
            if expected.at == now {
                let records = self.stage.records();
                let meant = records.filter(|record| expected.which.holds(&record.rule, &record.labels));
                *stood = meant.map(stood_at).collect();
            }
        }
        Ok(())
    }

    /// Loses everything that is only in memory, and begins again from the store.
    async fn reopen(&mut self, now: Timestamp, declared: Option<Declared>) -> Result<(), String> {
        self.stop_sender().await;
        let declared = declared.unwrap_or_else(|| self.stage.declared().clone());
        let next = Stage::open(self.case, declared, self.store.clone(), now)?;
        let last = std::mem::replace(&mut self.stage, next);
        self.played.held.extend(last.held);
        self.start_sender(now);
        Ok(())
    }

    fn silence(&mut self, silenced: &Silenced, now: Timestamp) -> Result<(), String> {
        let silence = Silence {
            id: String::new(),
            matchers: silenced.matchers.clone(),
            starts_at: silenced.from,
            ends_at: silenced.to,
            created_by: silenced.created_by.clone(),
            comment: "test".to_owned(),
            updated_at: now,
            reminded: false,
        };
        // Whoever was answered before a crash does not ask again.
        let is_made = |made: &Silence| {
            (&made.matchers, made.starts_at, made.ends_at)
                == (&silence.matchers, silence.starts_at, silence.ends_at)
        };
        if self.stage.silences().any(is_made) {
            return Ok(());
        }
        let answer = self
            .stage
            .command(Command::Silence { silence, force: true }, now)?;
        if let Err(refusal) = answer {
            self.played
                .refused
                .push((self.case.place.clone(), refusal.to_string()));
        }
        Ok(())
    }

    fn acknowledge(&mut self, ack: &Acked, now: Timestamp) -> Result<(), String> {
        let is_running = |record: &&AlertRecord| {
            matches!(record.state, AlertState::Firing | AlertState::Recovering { .. })
        };
        let firing = self
            .stage
            .records()
            .filter(is_running)
            .find(|record| ack.which.holds(&record.rule, &record.labels));
        let Some(record) = firing else {
            let text = format!("nobody can acknowledge {}: it does not fire", ack.which.text());
            self.played.refused.push((ack.place.clone(), text));
            return Ok(());
        };
        if record
            .told
            .ack
            .as_ref()
            .is_some_and(|known| known.by == ack.by && known.at == now)
        {
            return Ok(());
        }
        let command = Command::Ack {
            episode: episode_id(self.store.id(), record.fingerprint, record.episodes),
            by: ack.by.clone(),
            comment: String::new(),
            lasts: ack.lasts,
        };
        if let Err(refusal) = self.stage.command(command, now)? {
            self.played.refused.push((ack.place.clone(), refusal.to_string()));
        }
        let told = self.stage.tell(now)?;
        self.wake(told);
        Ok(())
    }

    fn start_sender(&mut self, now: Timestamp) {
        let targets = self.stage.declared().receivers.iter().map(|receiver| Target {
            receiver: receiver.clone(),
            destination: xxhash_rust::xxh3::xxh3_64(receiver.as_bytes()),
            channel: Arc::new(Scripted {
                receiver: receiver.clone(),
                script: self.script.clone(),
                clock: self.clock,
            }),
            give_up_after: GIVE_UP_AFTER,
        });
        let (stop, stopping) = watch::channel(false);
        let wake = Arc::new(Notify::new());
        let by = By {
            now,
            look_every: LOOK_EVERY,
        };
        let store = Box::new(self.store.clone());
        let task = tokio::spawn(run_by(
            by,
            store,
            targets.collect(),
            wake.clone(),
            stopping,
            Arc::default(),
        ));
        self.sender = Some(Sender { wake, stop, task });
    }

    async fn stop_sender(&mut self) {
        if let Some(sender) = self.sender.take() {
            let _ = sender.stop.send(true);
            let _ = sender.task.await;
        }
    }

    fn wake(&self, told: usize) {
        if let Some(sender) = self.sender.as_ref().filter(|_| told > 0) {
            sender.wake.notify_one();
        }
    }
}

/// The daemon's sender at work.
struct Sender {
    wake: Arc<Notify>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// The answers that receivers give instead of taking a message.
struct Script {
    injections: Mutex<Vec<Injection>>,
}

/// A receiver of a test.
struct Scripted {
    receiver: String,
    script: Arc<Script>,
    clock: Clock,
}

impl Scripted {
    fn answer(&self) -> Answer {
        let elapsed = SignedDuration::try_from(self.clock.began.elapsed()).unwrap_or_default();
        let now = self.clock.start + elapsed;
        let mut injections = self
            .script
            .injections
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let due = injections.iter_mut().find(|injection| {
            injection.receiver == self.receiver
                && injection.times > 0
                && injection.from <= now
                && injection.until.is_none_or(|until| now < until)
        });
        let Some(injection) = due else {
            return Answer::OK;
        };
        injection.times -= 1;
        match injection.answer {
            Injected::Status(status, wait) => answer::of_status(status, wait),
            Injected::Lost => Answer::Retry {
                after: None,
                maybe_shown: true,
                reason: "no answer".to_owned(),
            },
        }
    }
}

impl Channel for Scripted {
    fn send<'a>(&'a self, _: Parcel<'a>) -> Sending<'a> {
        Box::pin(std::future::ready(self.answer()))
    }

    fn destination(&self) -> &str {
        &self.receiver
    }
}

/// The moments that can be told beforehand.
fn moments(case: &Case) -> BTreeSet<Timestamp> {
    let mut moments = BTreeSet::from([case.start, case.until]);
    let mut at = case.start;
    while let Ok(next) = at.checked_add(case.every) {
        if next > case.until {
            break;
        }
        moments.insert(next);
        at = next;
    }
    let calendar = &case.declared.catalog.calendar;
    let fed = case
        .fed
        .iter()
        .map(|source| case.declared.catalog.source(*source).lateness);
    let lateness = fed.max().unwrap_or_default();
    let mut day = calendar.day_of(case.start);
    while let Ok(next) = day.tomorrow() {
        day = next;
        let over = calendar.start_of(day) + lateness;
        if over > case.until {
            break;
        }
        moments.insert(over);
    }
    let points = case
        .series
        .iter()
        .flat_map(|series| series.points.iter().map(|(at, _)| *at));
    let said = points
        .chain(case.states.iter().map(|state| state.at))
        .chain(case.restarts.iter().copied())
        .chain(case.reloads.iter().map(|(at, _)| *at))
        .chain(case.acks.iter().map(|ack| ack.at))
        .chain(
            case.silences
                .iter()
                .flat_map(|silence| [silence.from, silence.to]),
        );
    moments.extend(said.filter(|at| *at <= case.until));
    moments
}

fn stood_at(record: &AlertRecord) -> Stood {
    let (state, since) = match record.state {
        AlertState::Inactive => (State::Inactive, None),
        AlertState::Pending { since } => (State::Pending, Some(since)),
        AlertState::Firing => (State::Firing, record.fired_at),
        AlertState::Recovering { since } => (State::Recovering, Some(since)),
    };
    Stood {
        state,
        since,
        severity: record.severity,
        labels: record.labels.clone(),
    }
}
