//! The outbox: what the sender needs of the place where notices are kept, and the task that empties it.
//!
//! A notice leaves the outbox in one of three ways (see [`Status`]), each recorded and counted. Until then it is tried
//! again, and what else is said of its episode waits: people read an episode in the order in which it
//! was decided.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::Target;
use super::desk::Desk;
use super::pace::Shared;
use super::queue::Queue;
use crate::alert::notice::Notice;

/// Twice the usual `group_wait`: who has not heard of an alert so long after it was to be told has missed it. Where a route
/// says to wait longer, it is twice that.
pub(crate) const MISSED_AFTER: SignedDuration = SignedDuration::from_secs(10);

/// The outbox is looked at this often even if nobody says that there is something new.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// The place where notices are kept. Calls may block on a disk; every change is durable when the call returns.
pub trait Outbox: Send + Sync {
    /// The oldest pending notices, in the order in which they were decided.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn pending(&self, of: Of<'_>, limit: usize) -> Result<Vec<Pending>, OutboxError>;

    /// Every notice of an episode to one receiver, settled ones too, in the order in which they were decided.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn siblings(&self, receiver: &str, episode: &str) -> Result<Vec<Sibling>, OutboxError>;

    /// What the channel said of the last message about an episode to one receiver, see [`Sibling::shown`].
    ///
    /// # Errors
    /// When the store cannot be read.
    fn shown(&self, receiver: &str, episode: &str) -> Result<Option<String>, OutboxError>;

    /// The pending notices of a bundle to one receiver, in the order in which they were decided.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn bundle(&self, receiver: &str, bundle: &str) -> Result<Vec<Pending>, OutboxError>;

    /// The last delivered notice of each episode that its receiver knows of and that is not over, and of those whose
    /// end was delivered since then; in the order in which they were decided.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn standing(&self, receiver: &str, ended_since: Timestamp) -> Result<Vec<Notice>, OutboxError>;

    /// Places and receivers of the notices that say that something has begun, and that nobody got: decided before
    /// `decided_before` and still pending (earlier by what twice the `group_wait` of their routes is longer than the
    /// usual), or refused or given up since then.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn missed(
        &self,
        decided_before: Timestamp,
        given_up_since: Timestamp,
    ) -> Result<Vec<(i64, String)>, OutboxError>;

    /// Takes pending notices out of the queue for good, all of them or none.
    ///
    /// # Errors
    /// When the store cannot be written; nothing has changed then.
    fn settle(&self, positions: &[i64], settled: &Settled, now: Timestamp) -> Result<(), OutboxError>;

    /// Whether people may have seen these notices: they may from the beginning of an attempt, since the process can end
    /// before its outcome is written, and not any more when it is known that they have not.
    ///
    /// # Errors
    /// When the store cannot be written; nothing has changed then.
    fn mark(&self, positions: &[i64], maybe_shown: bool) -> Result<(), OutboxError>;

    /// Keeps what an attempt that failed leaves for the next one.
    ///
    /// # Errors
    /// When the store cannot be written; nothing has changed then.
    fn postpone(&self, position: i64, postponed: &Postponed) -> Result<(), OutboxError>;
}

/// The store cannot be used; the text says why.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct OutboxError(pub String);

/// Whose notices.
#[derive(Clone, Copy, Debug)]
pub enum Of<'a> {
    /// Those of these receivers.
    These(&'a [String]),
    /// Those of everybody else.
    Others(&'a [String]),
}

/// A notice that waits for its delivery.
#[derive(Clone, PartialEq, Debug)]
pub struct Pending {
    /// Its place in the order of decisions.
    pub position: i64,
    /// Name of the receiver.
    pub receiver: String,
    /// The notice, or why it cannot be read.
    pub notice: Result<Notice, String>,
    /// Failed attempts so far.
    pub attempts: u32,
    /// When it is tried again, by the wall clock; `None` before the first attempt.
    pub next_attempt: Option<Timestamp>,
    /// Whether an attempt began of which nobody knows that it failed, so that people may have seen it.
    pub maybe_shown: bool,
    /// When it was decided, by the wall clock.
    pub decided: Timestamp,
}

/// A notice as its neighbours in the episode see it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sibling {
    /// Its place in the order of decisions.
    pub position: i64,
    /// Whether it ends the episode.
    pub resolves: bool,
    /// Whether it takes back what the end said.
    pub corrects: bool,
    /// Where it stands.
    pub status: Status,
    /// Whether an attempt began of which nobody knows that it failed, so that people may have seen it.
    pub maybe_shown: bool,
    /// What the channel said of the message, once it was delivered.
    pub shown: Option<String>,
}

/// How a notice left the queue.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settled {
    /// Where it stands now.
    pub status: Status,
    /// Why, if there is more to say; never holds a secret.
    pub detail: Option<String>,
    /// What the channel needs to find the message again.
    pub shown: Option<String>,
}

impl Settled {
    /// Without a message that could be found again.
    pub fn with(status: Status, detail: Option<String>) -> Settled {
        Settled {
            status,
            detail,
            shown: None,
        }
    }
}

/// What an attempt that failed leaves for the next one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Postponed {
    /// Failed attempts so far.
    pub attempts: u32,
    /// When to try again, by the wall clock.
    pub next_attempt: Timestamp,
    /// Whether people may have seen it.
    pub maybe_shown: bool,
    /// Why it failed; never holds a secret.
    pub reason: String,
}

/// Where a notice stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// Waits for its delivery.
    Pending,
    /// The receiver has it.
    Delivered,
    /// Given up, with a reason: refused even as plain text, too old, or the destination or the receiver is gone. It stays
    /// in the store for people to look at.
    Dead,
    /// Nobody needs to hear of it: the episode ended before its beginning was told, or the channel has no place for it.
    Superseded,
}

impl Status {
    /// Every status in which a notice is settled.
    pub const SETTLED: [Status; 3] = [Status::Delivered, Status::Dead, Status::Superseded];

    /// The word for metrics and for the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Pending => "pending",
            Status::Delivered => "delivered",
            Status::Dead => "dead",
            Status::Superseded => "superseded",
        }
    }

    /// The status of a word that [`Status::as_str`] gave.
    pub fn from_word(word: &str) -> Option<Status> {
        Status::SETTLED
            .into_iter()
            .chain([Status::Pending])
            .find(|status| status.as_str() == word)
            // What was refused had a word of its own once; a file that is only read may still have it.
            .or_else(|| (word == "dropped").then_some(Status::Dead))
    }
}

/// Counts of what became of notices, since the start of the process.
#[derive(Debug, Default)]
pub struct Stats {
    counts: Mutex<BTreeMap<(String, String), u64>>,
    waits: Mutex<BTreeMap<(String, &'static str), Duration>>,
    missed: Mutex<BTreeMap<String, u64>>,
    /// Places of the notices that were counted as missed and still are, so that each counts once.
    known_missed: Mutex<HashSet<i64>>,
}

/// Why a notice waits that could go otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Wait {
    /// For the rate that its destination takes.
    RateLimit,
    /// Because its destination asked to wait, or an attempt failed.
    Retry,
}

impl Wait {
    const ALL: [Wait; 2] = [Wait::RateLimit, Wait::Retry];

    fn as_str(self) -> &'static str {
        match self {
            Wait::RateLimit => "rate_limit",
            Wait::Retry => "retry",
        }
    }
}

impl Stats {
    const RETRIED: &str = "retried";

    /// Notices by receiver and outcome: `delivered`, `dead`, `superseded`, and `retried` once for every
    /// attempt that failed and is made again.
    pub fn by_receiver_and_outcome(&self) -> BTreeMap<(String, String), u64> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Time that the heads of queues have waited, by receiver and reason: `rate_limit`, `retry`.
    pub fn waits(&self) -> BTreeMap<(String, &'static str), Duration> {
        lock(&self.waits).clone()
    }

    /// Alerts, by receiver, of which their receiver did not hear in time: their first notice was not delivered within
    /// twice the `group_wait` of its route, and twice the usual one at least, after its decision, or was refused or given up.
    pub fn missed(&self) -> BTreeMap<String, u64> {
        lock(&self.missed).clone()
    }

    pub(super) fn waited(&self, receiver: &str, why: Wait, time: Duration) {
        *lock(&self.waits)
            .entry((receiver.to_owned(), why.as_str()))
            .or_default() += time;
    }

    /// All that are missed now. What is not among them any more was delivered or is not kept, and does not come back.
    fn miss(&self, all: Vec<(i64, String)>) {
        let mut known = lock(&self.known_missed);
        let mut counts = lock(&self.missed);
        let mut now = HashSet::with_capacity(all.len());
        for (position, receiver) in all {
            let is_new = now.insert(position) && !known.contains(&position);
            *counts.entry(receiver).or_default() += u64::from(is_new);
        }
        *known = now;
    }

    pub(super) fn settled(&self, receiver: &str, status: Status, count: usize) {
        self.add(receiver, status.as_str(), count as u64);
    }

    pub(super) fn retried(&self, receiver: &str) {
        self.add(receiver, Stats::RETRIED, 1);
    }

    /// A count that is there from the start shows its first change in a graph.
    fn begin(&self, receiver: &str) {
        for status in Status::SETTLED {
            self.add(receiver, status.as_str(), 0);
        }
        self.add(receiver, Stats::RETRIED, 0);
        lock(&self.missed).entry(receiver.to_owned()).or_default();
        for why in Wait::ALL {
            self.waited(receiver, why, Duration::ZERO);
        }
    }

    fn add(&self, receiver: &str, outcome: &str, count: u64) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts
            .entry((receiver.to_owned(), outcome.to_owned()))
            .or_default() += count;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Empties the outbox until it is told to stop, one queue a destination. Then it finishes what is in flight, within
/// seconds, and returns; what is still pending stays in the store for the next start.
///
/// `wake` says that notices were added ([`Notify::notify_one`]); `stopping` becomes true, or loses its sender, to
/// stop.
pub async fn run(
    store: Box<dyn Outbox>,
    targets: Vec<Target>,
    wake: Arc<Notify>,
    stopping: watch::Receiver<bool>,
    stats: Arc<Stats>,
) {
    let by = By {
        now: Timestamp::now(),
        look_every: LOOK_EVERY,
    };
    run_by(by, store, targets, wake, stopping, stats).await;
}

/// The clock that a sender goes by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct By {
    /// The wall clock at its start; from there it moves with the clock of the runtime.
    pub(crate) now: Timestamp,
    /// How often the outbox is looked at even if nobody says that there is something new.
    pub(crate) look_every: Duration,
}

/// [`run`], by a clock that may be a virtual one.
pub(crate) async fn run_by(
    by: By,
    store: Box<dyn Outbox>,
    targets: Vec<Target>,
    wake: Arc<Notify>,
    mut stopping: watch::Receiver<bool>,
    stats: Arc<Stats>,
) {
    let known: Vec<String> = targets.iter().map(|target| target.receiver.clone()).collect();
    known.iter().for_each(|receiver| stats.begin(receiver));
    let desk = Arc::new(Desk::new(
        Arc::from(store),
        Arc::clone(&stats),
        stopping.clone(),
        by.now,
    ));
    let (bell, _) = watch::channel(());

    let mut destinations: BTreeMap<u64, Vec<Target>> = BTreeMap::new();
    for target in targets {
        destinations.entry(target.destination).or_default().push(target);
    }
    let (mut queues, mut shared) = (JoinSet::new(), Shared::default());
    for targets in destinations.into_values() {
        let shares = targets.iter().filter_map(|target| target.channel.shares());
        let pace = shares.map(|shares| shared.of(shares)).last();
        let queue = Queue::new(
            targets,
            pace,
            Arc::clone(&desk),
            bell.subscribe(),
            stopping.clone(),
        );
        queues.spawn(queue.run());
    }

    let since = desk.now();
    loop {
        abandon_unknown(&desk, &known).await;
        count_missed(&desk, since, &stats).await;
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => break,
            () = wake.notified() => {}
            () = tokio::time::sleep(by.look_every) => {}
        }
        bell.send_replace(());
    }
    while queues.join_next().await.is_some() {}
}

/// Counts the alerts of which nobody has heard in time, and those that were given up since a moment.
async fn count_missed(desk: &Desk, since: Timestamp, stats: &Stats) {
    let before = desk.now() - MISSED_AFTER;
    let found = desk.ask(move |store| store.missed(before, since)).await;
    // A store that cannot be read says nothing.
    if let Some(found) = found {
        stats.miss(found);
    }
}

/// A notice whose receiver is not in the settings any more would wait forever.
async fn abandon_unknown(desk: &Desk, known: &[String]) {
    let names = known.to_vec();
    let lost = desk
        .ask(move |store| store.pending(Of::Others(&names), usize::MAX))
        .await;
    // A store that cannot be read has been logged; the next look tries again.
    let Some(lost) = lost else { return };
    let mut by_receiver: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for pending in lost {
        by_receiver
            .entry(pending.receiver)
            .or_default()
            .push(pending.position);
    }
    for (receiver, positions) in by_receiver {
        tracing::warn!(
            receiver,
            notices = positions.len(),
            "receiver is not in the settings, notices given up"
        );
        let reason = "the receiver is no longer in the settings";
        let settled = Settled::with(Status::Dead, Some(reason.to_owned()));
        desk.settle(&receiver, positions, settled).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missed_counts_once_and_is_remembered_only_as_long() {
        let stats = Stats::default();
        let found = |positions: &[i64]| -> Vec<(i64, String)> {
            positions.iter().map(|at| (*at, "ops".to_owned())).collect()
        };
        for (now, count, known) in [
            (vec![1, 2], 2, 2),
            (vec![1, 2, 3], 3, 3),
            (vec![3], 3, 1),
            (vec![4, 4], 4, 1),
            (vec![], 4, 0),
        ] {
            stats.miss(found(&now));
            assert_eq!(
                (stats.missed()["ops"], lock(&stats.known_missed).len()),
                (count, known),
                "{now:?}"
            );
        }
    }
}
