//! The queue of one destination: one notice at a time, in the order of decisions. The store is the queue; what is
//! kept here besides is only how fast the destination may be written to and whether it still takes messages.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio::time::Instant;

use super::answer::Answer;
use super::desk::Desk;
use super::outbox::{Of, Pending, Postponed, Sibling, Status};
use super::pace::{LONGEST_WAIT, Pace, wait_after, with_jitter};
use super::{Form, Target};
use crate::alert::notice::Notice;

/// How long a notice in flight may take to finish when the process stops.
const GRACE: Duration = Duration::from_secs(5);
/// Pause before a store is looked at again that could not be read.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// One destination with everybody who is reached there.
pub(super) struct Queue {
    targets: Vec<Target>,
    receivers: Vec<String>,
    desk: Arc<Desk>,
    bell: watch::Receiver<()>,
    stopping: watch::Receiver<bool>,
    pace: Pace,
    /// The notice that was refused as blocks and goes as plain text now.
    plain: Option<i64>,
    /// Why the destination takes no message any more. Forgotten with the process: a start tries it again.
    disabled: Option<String>,
}

/// What to do before the next look at the store.
enum Next {
    Look,
    WaitUntil(Instant),
    WaitForBell,
}

impl Next {
    fn store_pause() -> Next {
        Next::WaitUntil(Instant::now() + STORE_PAUSE)
    }
}

impl Queue {
    pub(super) fn new(
        targets: Vec<Target>,
        desk: Arc<Desk>,
        bell: watch::Receiver<()>,
        stopping: watch::Receiver<bool>,
    ) -> Queue {
        Queue {
            receivers: targets.iter().map(|target| target.receiver.clone()).collect(),
            targets,
            desk,
            bell,
            stopping,
            pace: Pace::default(),
            plain: None,
            disabled: None,
        }
    }

    /// Delivers until it is told to stop.
    pub(super) async fn run(mut self) {
        while !*self.stopping.borrow() {
            // Marked as heard before the store is read: what is added meanwhile rings again.
            self.bell.borrow_and_update();
            let until = match self.step().await {
                Next::Look => continue,
                Next::WaitUntil(until) => Some(until),
                Next::WaitForBell => None,
            };
            let timer = async {
                match until {
                    Some(until) => tokio::time::sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = self.stopping.wait_for(|stop| *stop) => return,
                rung = self.bell.changed() => if rung.is_err() { return },
                () = timer => {}
            }
        }
    }

    /// Looks at the head of the queue and moves it on, as far as that is possible now.
    async fn step(&mut self) -> Next {
        if let Some(reason) = self.disabled.clone() {
            return self.abandon_all(&reason).await;
        }
        let Some(pending) = self.pending(1).await else {
            return Next::store_pause();
        };
        let Some(head) = pending.into_iter().next() else {
            return Next::WaitForBell;
        };
        match &head.notice {
            Ok(notice) => self.step_with(&head, notice).await,
            Err(reason) => {
                tracing::error!(
                    receiver = head.receiver,
                    reason,
                    "stored notice cannot be read, given up"
                );
                let reason = format!("cannot be read: {reason}");
                self.settle(&head, Status::Dead, Some(reason)).await
            }
        }
    }

    async fn step_with(&mut self, head: &Pending, notice: &Notice) -> Next {
        let (receiver, episode) = (head.receiver.clone(), notice.episode.clone());
        let siblings = self
            .desk
            .ask(move |store| store.siblings(&receiver, &episode))
            .await;
        let Some(siblings) = siblings else {
            return Next::store_pause();
        };
        let moot = superseded(&siblings);
        if !moot.is_empty() {
            let reason = "the episode ended before its beginning was told";
            tracing::info!(
                receiver = head.receiver,
                episode = notice.episode,
                reason,
                "notices superseded"
            );
            let reason = Some(reason.to_owned());
            self.desk
                .settle(&head.receiver, moot, Status::Superseded, reason)
                .await;
            return Next::Look;
        }

        let free = self.due(head).max(self.pace.free_at(Instant::now()));
        if free > Instant::now() {
            return Next::WaitUntil(free);
        }
        let target = self
            .targets
            .iter()
            .find(|target| target.receiver == head.receiver);
        let Some(target) = target.cloned() else {
            return Next::WaitForBell;
        };
        self.pace.take(Instant::now());
        let is_refused = self.plain == Some(head.position);
        let form = if is_refused { Form::Plain } else { Form::Full };
        match self.attempt(&target, notice, form).await {
            Some(answer) => self.conclude(head, notice, &target, form, answer).await,
            None => Next::Look,
        }
    }

    /// The oldest pending notices; `None` when the store cannot be read.
    async fn pending(&self, limit: usize) -> Option<Vec<Pending>> {
        let receivers = self.receivers.clone();
        self.desk
            .ask(move |store| store.pending(Of::These(&receivers), limit))
            .await
    }

    /// The moment of the next attempt. A wall clock that was set back must not hold a notice for longer than the
    /// longest wait.
    fn due(&self, head: &Pending) -> Instant {
        let wait = head
            .next_attempt
            .and_then(|next| Duration::try_from(next.duration_since(self.desk.now())).ok())
            .unwrap_or_default();
        Instant::now() + wait.min(LONGEST_WAIT.mul_f32(1.1))
    }

    /// One attempt; `None` when the process stops and the receiver does not answer in time.
    async fn attempt(&mut self, target: &Target, notice: &Notice, form: Form) -> Option<Answer> {
        let sending = target.channel.send(notice, form);
        let stopped = async {
            // A lost sender means stop, too.
            let _ = self.stopping.wait_for(|stop| *stop).await;
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            answer = sending => Some(answer),
            () = stopped => {
                tracing::warn!(notice = notice.id, "no answer while stopping; the notice goes again at the next start");
                None
            }
        }
    }

    async fn conclude(
        &mut self,
        head: &Pending,
        notice: &Notice,
        target: &Target,
        form: Form,
        answer: Answer,
    ) -> Next {
        let receiver = head.receiver.as_str();
        match (answer, form) {
            (Answer::Ok, form) => {
                let attempts = head.attempts + 1;
                tracing::info!(receiver, notice = notice.id, attempts, ?form, "notice delivered");
                let detail = (form == Form::Plain).then(|| "as plain text".to_owned());
                self.settle(head, Status::Delivered, detail).await
            }
            (Answer::Drop { reason }, Form::Full) => {
                tracing::warn!(
                    receiver,
                    notice = notice.id,
                    reason,
                    "message refused, sent as plain text"
                );
                self.plain = Some(head.position);
                Next::Look
            }
            (Answer::Drop { reason }, Form::Plain) => {
                tracing::error!(
                    receiver,
                    notice = notice.id,
                    reason,
                    "message refused even as plain text, dropped"
                );
                self.settle(head, Status::Dropped, Some(reason)).await
            }
            (Answer::Disable { reason }, _) => {
                tracing::error!(
                    receiver,
                    destination = target.channel.destination(),
                    reason,
                    "destination takes no messages any more: its notices are given up until the next start"
                );
                self.disabled = Some(reason);
                Next::Look
            }
            (
                Answer::Retry {
                    after,
                    maybe_shown,
                    reason,
                },
                _,
            ) => self.retry(head, target, after, maybe_shown, reason).await,
        }
    }

    async fn retry(
        &mut self,
        head: &Pending,
        target: &Target,
        after: Option<Duration>,
        maybe_shown: bool,
        reason: String,
    ) -> Next {
        let (receiver, attempts, now) = (
            head.receiver.as_str(),
            head.attempts.saturating_add(1),
            self.desk.now(),
        );
        let give_up = later(head.decided, target.give_up_after);
        if now >= give_up {
            tracing::error!(receiver, attempts, reason, "notice given up");
            return self
                .settle(head, Status::Dead, Some(format!("given up: {reason}")))
                .await;
        }
        let wait = after.unwrap_or_else(|| with_jitter(wait_after(attempts)));
        // The last attempt is made at the moment of giving up, not some time before it.
        let next_attempt = later(now, wait).min(give_up);
        tracing::warn!(
            receiver,
            destination = target.channel.destination(),
            attempts,
            reason,
            wait_seconds = wait.as_secs_f64(),
            "notice is tried again"
        );
        let postponed = Postponed {
            attempts,
            next_attempt,
            maybe_shown: head.maybe_shown || maybe_shown,
            reason,
        };
        self.desk.postpone(head.position, postponed).await;
        self.desk.retried(receiver);
        Next::Look
    }

    async fn settle(&mut self, head: &Pending, status: Status, detail: Option<String>) -> Next {
        self.desk
            .settle(&head.receiver, vec![head.position], status, detail)
            .await;
        Next::Look
    }

    /// Gives up everything for a destination that takes nothing.
    async fn abandon_all(&mut self, reason: &str) -> Next {
        let Some(pending) = self.pending(usize::MAX).await else {
            return Next::store_pause();
        };
        for receiver in &self.receivers {
            let of_receiver = pending.iter().filter(|pending| pending.receiver == *receiver);
            let positions: Vec<i64> = of_receiver.map(|pending| pending.position).collect();
            if !positions.is_empty() {
                let detail = format!("destination disabled: {reason}");
                self.desk
                    .settle(receiver, positions, Status::Dead, Some(detail))
                    .await;
            }
        }
        Next::WaitForBell
    }
}

/// The notices of an episode that nobody needs to hear of: the episode is over before
/// its receiver was told that it began. What may have been seen counts as told: it needs its end.
fn superseded(siblings: &[Sibling]) -> Vec<i64> {
    let told = siblings
        .iter()
        .any(|sibling| sibling.status == Status::Delivered || sibling.maybe_shown);
    let end = siblings
        .iter()
        .find(|sibling| sibling.resolves && sibling.status == Status::Pending);
    let Some(end) = end.filter(|_| !told) else {
        return Vec::new();
    };
    siblings
        .iter()
        .filter(|sibling| sibling.status == Status::Pending && sibling.position <= end.position)
        .map(|sibling| sibling.position)
        .collect()
}

fn later(time: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    time.saturating_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
