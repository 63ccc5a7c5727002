//! The desk: the store as the queues use it, away from the threads that run tasks, with the counts and the clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio::time::Instant;

use super::outbox::{Outbox, OutboxError, Postponed, Settled, Stats, Wait};

/// Pause before the store is asked again that has just failed.
const STORE_PAUSE: Duration = Duration::from_secs(1);
/// How often a change is tried once the process stops, before it is left to the next start.
const LAST_TRIES: usize = 5;

/// What all queues share.
pub(super) struct Desk {
    store: Arc<dyn Outbox>,
    stats: Arc<Stats>,
    store_fails: AtomicBool,
    began: (Instant, Timestamp),
    stopping: watch::Receiver<bool>,
}

impl Desk {
    /// `now` is the wall clock.
    pub(super) fn new(
        store: Arc<dyn Outbox>,
        stats: Arc<Stats>,
        stopping: watch::Receiver<bool>,
        now: Timestamp,
    ) -> Desk {
        Desk {
            store,
            stats,
            store_fails: AtomicBool::new(false),
            began: (Instant::now(), now),
            stopping,
        }
    }

    /// The wall clock, moved by the runtime's clock: a jump of the wall clock moves no retry, and tests can move it.
    pub(super) fn now(&self) -> Timestamp {
        let (instant, wall) = self.began;
        let elapsed = SignedDuration::try_from(instant.elapsed()).unwrap_or(SignedDuration::MAX);
        wall.saturating_add(elapsed).unwrap_or(Timestamp::MAX)
    }

    pub(super) fn waited(&self, receiver: &str, why: Wait, time: Duration) {
        self.stats.waited(receiver, why, time);
    }

    pub(super) fn retried(&self, receiver: &str) {
        self.stats.retried(receiver);
    }

    /// Asks the store; `None` when it failed, which has been logged then.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&dyn Outbox) -> Result<T, OutboxError> + Send + 'static,
    ) -> Option<T> {
        let store = Arc::clone(&self.store);
        let answer = tokio::task::spawn_blocking(move || question(&*store)).await;
        let failed = match answer {
            Ok(Ok(answer)) => {
                self.store_fails.store(false, Ordering::Relaxed);
                return Some(answer);
            }
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        // Once for every time it begins to fail: it may be asked every second.
        if !self.store_fails.swap(true, Ordering::Relaxed) {
            tracing::error!(
                reason = failed,
                "outbox cannot be used; no notice is lost, none is sent meanwhile"
            );
        }
        None
    }

    /// Takes notices out of the queue, and counts them. Does not come back before the store has it: a notice that
    /// was delivered and not recorded would be delivered again.
    pub(super) async fn settle(&self, receiver: &str, positions: Vec<i64>, settled: Settled) {
        let (count, status, now) = (positions.len(), settled.status, self.now());
        let written = self
            .insist(move |store| store.settle(&positions, &settled, now))
            .await;
        if written {
            self.stats.settled(receiver, status, count);
        }
    }

    /// Keeps what an attempt that failed leaves for the next one.
    pub(super) async fn postpone(&self, position: i64, postponed: Postponed) {
        self.insist(move |store| store.postpone(position, &postponed))
            .await;
    }

    /// Notes that people have not seen what an attempt was made to show.
    pub(super) async fn not_shown(&self, positions: Vec<i64>) {
        self.insist(move |store| store.mark(&positions, false)).await;
    }

    async fn insist(
        &self,
        change: impl Fn(&dyn Outbox) -> Result<(), OutboxError> + Clone + Send + 'static,
    ) -> bool {
        let mut tries_left = LAST_TRIES;
        while tries_left > 0 {
            if self.ask(change.clone()).await.is_some() {
                return true;
            }
            tokio::time::sleep(STORE_PAUSE).await;
            // While it runs, it waits for as long as it takes: going on would send the same notice again and again.
            if *self.stopping.borrow() || self.stopping.has_changed().is_err() {
                tries_left -= 1;
            }
        }
        tracing::error!("outbox cannot be written; a delivered notice may be sent again");
        false
    }
}
