//! The queue of one destination: one notice at a time, in the order of decisions. The store is the queue; what is
//! kept here besides is only how fast the destination may be written to and whether it still takes messages.
//!
//! A notice that fails again and again steps aside: others are tried while it waits for its next attempt, only what else
//! there is to say of its episode waits with it. Where all fail, the destination is left alone for longer and longer,
//! whichever is tried. A message about several alerts that is not taken is made smaller, until what nobody takes is alone.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio::time::Instant;

use super::answer::Answer;
use super::desk::Desk;
use super::outbox::{Of, Pending, Postponed, Settled, Sibling, Status, Wait};
use super::pace::{LONGEST_WAIT, Pace, wait_after, wait_while_busy, with_jitter};
use super::{Form, Parcel, Target, Waiting};
use crate::alert::notice::{Notice, NoticeKind};

/// How long a notice in flight may take to finish when the process stops.
const GRACE: Duration = Duration::from_secs(5);
/// Pause before a store is looked at again that could not be read.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// A destination whose oldest notice is older than this takes less than there is, or was away: what waits there for
/// one receiver goes in one message. The usual `group_interval`.
const BEHIND: Duration = Duration::from_mins(1);
/// Notices that are looked through for such a message, or for one that may go before those that stepped aside.
const GATHERED: usize = 2000;

/// Failed attempts after which a notice steps aside for those about other episodes.
const ASIDE_AFTER: u32 = 3;
/// Time between attempts from then on, at least, whatever the destination asks for.
const LEAST_WAIT: Duration = Duration::from_mins(1);
/// Failures one after the other, of more than one notice, after which a delivery means that the destination is back.
const AWAY_AFTER: u32 = ASIDE_AFTER + 1;

/// How late a place in a shared pace may be taken: later, it would crowd those behind it.
const SLOT_KEPT: Duration = Duration::from_millis(500);

/// How long ends are said again to a receiver that forgets.
const REPEAT_ENDS_FOR: SignedDuration = SignedDuration::from_mins(15);

/// One destination with everybody who is reached there.
pub(super) struct Queue {
    targets: Vec<Target>,
    receivers: Vec<String>,
    desk: Arc<Desk>,
    bell: watch::Receiver<()>,
    stopping: watch::Receiver<bool>,
    pace: Pace,
    /// That of all destinations with which it has something in common.
    shared: Option<Arc<Mutex<Pace>>>,
    /// When it may write by the pace that it shares with others.
    slot: Option<Instant>,
    /// The notices that were refused as blocks and go as plain text.
    plain: BTreeSet<i64>,
    /// Notices that one message may hold, besides what the channel says: fewer after one that was not taken.
    at_once: usize,
    /// The head of a message that was refused, and goes in parts.
    split: Option<i64>,
    /// Failed attempts since the last delivery, but for those of notices that had stepped aside before.
    failures: u32,
    /// Until when the destination is left alone after a failure, but for a last attempt.
    paused_until: Option<Instant>,
    /// Those that stepped aside while the destination was away: they go at once now that it is back.
    revived: BTreeSet<i64>,
    /// Why the destination takes no message any more. Forgotten with the process: a start tries it again.
    disabled: Option<String>,
    /// Since when the head waits for the rate of the destination.
    blocked_since: Option<Instant>,
    /// When to say again what stands; `None`: never.
    next_resend: Option<Instant>,
}

/// The notice that is tried next.
struct Head {
    pending: Pending,
    /// Whether it is the only one that waits.
    is_last: bool,
    /// Episodes of which the same receiver is told nothing now: something that was decided before stepped aside.
    aside: HashSet<String>,
}

/// What may be tried, of the oldest pending notices.
enum Choice {
    Head(Box<Head>),
    /// All of them stepped aside, until then.
    Wait(Instant),
    /// There are none.
    Nothing,
}

/// What goes in one message: pending notices, the head of the queue first.
struct Packed {
    notices: Vec<Notice>,
    pending: Vec<Pending>,
    /// What the channel said of the last message about all of them.
    shown: Option<String>,
    /// Whether they were decided apart, and go together because the queue is behind.
    is_gathered: bool,
}

/// What waits for one receiver, as far as it goes with the head of the queue.
#[derive(Default)]
struct Backlog {
    /// Notices with where their episodes are shown.
    waiting: Vec<(Notice, Pending, Option<String>)>,
    /// What nobody needs to hear of any more.
    moot: Vec<i64>,
}

impl Packed {
    fn head(&self) -> &Pending {
        &self.pending[0]
    }

    fn id(&self) -> &str {
        &self.notices[0].id
    }

    fn positions(&self) -> Vec<i64> {
        self.pending.iter().map(|pending| pending.position).collect()
    }

    /// Half of it, where there is more than one.
    fn half(&self) -> Option<usize> {
        (self.notices.len() > 1).then_some(self.notices.len() / 2)
    }

    /// As much of a backlog as one message has room for; `None` where nothing waits any more.
    fn gathered(backlog: Backlog, room: usize) -> Option<Packed> {
        let mut packed = Packed {
            notices: Vec::new(),
            pending: Vec::new(),
            shown: None,
            is_gathered: false,
        };
        let mut waiting = backlog.waiting.into_iter().take(room.max(1));
        let (notice, pending, shown) = waiting.next()?;
        packed.notices.push(notice);
        packed.pending.push(pending);
        packed.shown = shown;
        for (notice, pending, shown) in waiting {
            if packed.shown != shown {
                // A conversation about one of them is not one about all.
                packed.shown = None;
            }
            packed.is_gathered = true;
            packed.notices.push(notice);
            packed.pending.push(pending);
        }
        Some(packed)
    }
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
        shared: Option<Arc<Mutex<Pace>>>,
        desk: Arc<Desk>,
        bell: watch::Receiver<()>,
        stopping: watch::Receiver<bool>,
    ) -> Queue {
        Queue {
            receivers: targets.iter().map(|target| target.receiver.clone()).collect(),
            pace: Pace::new(targets.first().map_or(&[], |target| target.channel.limits())),
            // At once: what the receiver knew may be gone since the last stop.
            next_resend: resend_every(&targets).map(|_| Instant::now()),
            targets,
            shared,
            desk,
            bell,
            stopping,
            slot: None,
            plain: BTreeSet::new(),
            at_once: usize::MAX,
            split: None,
            failures: 0,
            paused_until: None,
            revived: BTreeSet::new(),
            disabled: None,
            blocked_since: None,
        }
    }

    /// Delivers until it is told to stop.
    pub(super) async fn run(mut self) {
        while !*self.stopping.borrow() {
            // Marked as heard before the store is read: what is added meanwhile rings again.
            self.bell.borrow_and_update();
            self.resend_if_due().await;
            let until = match self.step().await {
                Next::Look => continue,
                Next::WaitUntil(until) => Some(until),
                Next::WaitForBell => None,
            };
            let until = until.into_iter().chain(self.next_resend).min();
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

    /// Says again what stands. In the queue, so that no end is sent between reading what stands and saying it.
    async fn resend_if_due(&mut self) {
        let (Some(due), Some(every)) = (self.next_resend, resend_every(&self.targets)) else {
            return;
        };
        if due > Instant::now() {
            return;
        }
        self.next_resend = Some(Instant::now() + every);
        if self.disabled.is_some() {
            return;
        }
        let now = self.desk.now();
        let ended_since = now.saturating_sub(REPEAT_ENDS_FOR).unwrap_or(now);
        for target in &self.targets {
            let receiver = target.receiver.clone();
            let standing = self
                .desk
                .ask(move |store| store.standing(&receiver, ended_since))
                .await;
            let Some(standing) = standing.filter(|standing| !standing.is_empty()) else {
                continue;
            };
            let mut stopping = self.stopping.clone();
            let answer = tokio::select! {
                _ = stopping.wait_for(|stop| *stop) => return,
                answer = target.channel.resend(&standing) => answer,
            };
            if let Answer::Retry { reason, .. }
            | Answer::Busy { reason }
            | Answer::Drop { reason }
            | Answer::Disable { reason } = answer
            {
                let receiver = target.receiver.as_str();
                tracing::warn!(
                    receiver,
                    reason,
                    "what stands could not be said again; the next time is soon"
                );
            }
        }
    }

    /// Looks at the head of the queue and moves it on, as far as that is possible now.
    async fn step(&mut self) -> Next {
        if let Some(reason) = self.disabled.clone() {
            return self.abandon_all(&reason).await;
        }
        let head = match self.choice().await {
            None => return Next::store_pause(),
            Some(Choice::Nothing) => return Next::WaitForBell,
            Some(Choice::Wait(until)) => return Next::WaitUntil(until),
            Some(Choice::Head(head)) => head,
        };
        let Head {
            pending: head,
            is_last,
            aside,
        } = *head;
        if is_last && let Some(until) = self.held(&head) {
            return Next::WaitUntil(until);
        }
        match &head.notice {
            Ok(notice) => {
                let notice = notice.clone();
                self.step_with(head, notice, aside).await
            }
            Err(reason) => {
                tracing::error!(
                    receiver = head.receiver,
                    reason,
                    "stored notice cannot be read, given up"
                );
                let reason = format!("cannot be read: {reason}");
                self.settle_one(&head, Status::Dead, reason).await
            }
        }
    }

    /// What to try next; `None` when the store cannot be read.
    async fn choice(&self) -> Option<Choice> {
        let pending = self.pending(2).await?;
        if !pending.first().is_some_and(stepped_aside) {
            return Some(self.choose(&pending, false));
        }
        // One that stepped aside has its turn while others are taken, or when there are none.
        let others_first = self.failures > 0;
        // Few of them do: the next is not far.
        for limit in [64, GATHERED] {
            let pending = self.pending(limit).await?;
            match self.choose(&pending, others_first) {
                Choice::Wait(_) if pending.len() == limit && limit < GATHERED => {}
                Choice::Wait(_) if others_first => return Some(self.choose(&pending, false)),
                choice => return Some(choice),
            }
        }
        Some(Choice::Nothing)
    }

    /// The first that may go, of pending notices in the order of decisions.
    fn choose(&self, all: &[Pending], others_only: bool) -> Choice {
        let now = Instant::now();
        let mut aside: HashSet<(&str, &str)> = HashSet::new();
        let mut with_company: HashSet<&str> = HashSet::new();
        let mut until: Option<Instant> = None;
        for pending in all {
            let receiver = pending.receiver.as_str();
            if let Ok(notice) = &pending.notice {
                let wait = self.wait(pending);
                let steps_aside = stepped_aside(pending) && (others_only || wait.is_some());
                // What went with another, nobody knows whether in vain, is looked for by the other's id.
                let went_along =
                    pending.attempts == 0 && pending.maybe_shown && with_company.contains(receiver);
                if steps_aside {
                    let due = now + wait.unwrap_or_default();
                    until = Some(until.map_or(due, |until| until.min(due)));
                    if pending.maybe_shown {
                        with_company.insert(receiver);
                    }
                }
                if steps_aside || went_along || aside.contains(&(receiver, &notice.episode)) {
                    aside.insert((receiver, &notice.episode));
                    continue;
                }
            }
            let of_receiver = aside.iter().filter(|(of, _)| *of == receiver);
            return Choice::Head(Box::new(Head {
                pending: pending.clone(),
                is_last: all.len() == 1,
                aside: of_receiver.map(|(_, episode)| (*episode).to_owned()).collect(),
            }));
        }
        until.map_or(Choice::Nothing, Choice::Wait)
    }

    /// Until when the channel would rather hold the notice back; `None`: it may go.
    fn held(&self, head: &Pending) -> Option<Instant> {
        let target = self
            .targets
            .iter()
            .find(|target| target.receiver == head.receiver)?;
        let until = target.channel.hold(head.notice.as_ref().ok()?, head.decided)?;
        let wait = Duration::try_from(until.duration_since(self.desk.now())).ok()?;
        (!wait.is_zero()).then(|| Instant::now() + wait.min(LONGEST_WAIT))
    }

    async fn step_with(&mut self, head: Pending, notice: Notice, aside: HashSet<String>) -> Next {
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
            return self.supersede(&head.receiver, moot).await;
        }

        let of_head = |target: &&Target| target.receiver == head.receiver;
        let Some(target) = self.targets.iter().find(of_head).cloned() else {
            return Next::WaitForBell;
        };
        let last = self.wait_until(later(head.decided, target.give_up_after));
        let last = Instant::now() + last.unwrap_or_default();
        let paused = self.paused_until.map(|until| until.min(last));
        let due = Instant::now() + self.wait(&head).unwrap_or_default();
        let due = paused.map_or(due, |paused| paused.max(due));
        let free = self.pace.free_at(Instant::now());
        // Read after both: what is due at once is due by now.
        let now = Instant::now();
        if free.max(due) > now {
            if due <= now {
                self.blocked_since.get_or_insert(now);
            }
            return Next::WaitUntil(free.max(due));
        }
        if let Some(shared) = &self.shared {
            // Its place is kept while it waits, so that nobody is overtaken for ever. One that was let pass is gone.
            let kept = self.slot.filter(|slot| *slot + SLOT_KEPT > now);
            let slot = kept.unwrap_or_else(|| {
                let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
                shared.reserve(now)
            });
            self.slot = Some(slot);
            if slot > now {
                self.blocked_since.get_or_insert(now);
                return Next::WaitUntil(slot);
            }
        }
        if let Some(since) = self.blocked_since.take() {
            self.desk.waited(&head.receiver, Wait::RateLimit, now - since);
        }
        if notice.quiet && notice.kind != NoticeKind::Resolved && !target.channel.updates() {
            let reason = "the channel cannot bring a message up to date; the next one says how it stands";
            return self
                .settle_one(&head, Status::Superseded, reason.to_owned())
                .await;
        }
        if !target.channel.takes(&notice) {
            let reason = format!("the channel has no place for a {}", notice.kind.as_str());
            return self.settle_one(&head, Status::Superseded, reason).await;
        }
        let shown = siblings.iter().rev().find_map(|sibling| sibling.shown.clone());
        // What was refused, or failed, again and again is tried by itself.
        let is_apart = self.plain.contains(&head.position) || is_alone(&head);
        let room = self.room(&head, &target);
        let is_update = notice.quiet && notice.kind != NoticeKind::Resolved;
        let is_behind = !is_apart && !is_update && later(head.decided, BEHIND) <= self.desk.now();
        let parcel = if is_behind && gathers(&target, &notice, shown.as_deref()) {
            let Some(backlog) = self.backlog(&head, &notice, &target, aside).await else {
                return Next::store_pause();
            };
            if !backlog.moot.is_empty() {
                return self.supersede(&head.receiver, backlog.moot).await;
            }
            Packed::gathered(backlog, room)
        } else {
            self.parcel(head, notice, &target, shown, aside).await
        };
        let Some(mut parcel) = parcel else {
            return Next::store_pause();
        };
        if let ([only], None) = (parcel.notices.as_slice(), &parcel.shown)
            && let Some(again) = &only.again
        {
            // It came back soon: what is shown of it already goes on.
            let (receiver, previous) = (only.receiver.clone(), again.previous.clone());
            let asked = self
                .desk
                .ask(move |store| store.shown(&receiver, &previous))
                .await;
            let Some(shown) = asked else {
                return Next::store_pause();
            };
            parcel.shown = shown;
        }
        // Its place in what is shared is taken now.
        self.slot = None;
        // Written down before: whoever finds it after a crash knows that people may have seen it.
        let positions = parcel.positions();
        if self
            .desk
            .ask(move |store| store.mark(&positions, true))
            .await
            .is_none()
        {
            return Next::store_pause();
        }
        self.pace.take(Instant::now());
        let is_refused = self.plain.contains(&parcel.head().position);
        self.revived.remove(&parcel.head().position);
        let form = if is_refused { Form::Plain } else { Form::Full };
        match self.attempt(&target, &parcel, form).await {
            Some(answer) => self.conclude(&parcel, &target, form, answer).await,
            None => Next::Look,
        }
    }

    /// Settles what nobody needs to hear of: their episodes are over and were not told.
    async fn supersede(&self, receiver: &str, moot: Vec<i64>) -> Next {
        let reason = "the episode ended before its beginning was told, or its end was not told";
        tracing::info!(receiver, notices = moot.len(), reason, "notices superseded");
        let settled = Settled::with(Status::Superseded, Some(reason.to_owned()));
        self.desk.settle(receiver, moot, settled).await;
        Next::Look
    }

    /// What waits for the receiver of the head and can go in one message with it, the head first; `None` when the store
    /// cannot be read.
    async fn backlog(
        &self,
        head: &Pending,
        notice: &Notice,
        target: &Target,
        aside: HashSet<String>,
    ) -> Option<Backlog> {
        let (head, notice) = (head.clone(), notice.clone());
        let channel = Arc::clone(&target.channel);
        self.desk
            .ask(move |store| {
                let shown = store.shown(&head.receiver, &notice.episode)?;
                let first = Waiting {
                    notice: &notice,
                    shown: shown.as_deref(),
                };
                let mut backlog = Backlog::default();
                // What is said of an episode keeps its order: behind one that stays, all stay.
                let mut left = aside;
                let receiver = [head.receiver.clone()];
                for pending in store.pending(Of::These(&receiver), GATHERED)? {
                    // What follows another that was tried by itself may have gone with that: whoever looks for the head
                    // finds nothing of it.
                    if head.maybe_shown && pending.position > head.position && pending.attempts > 0 {
                        break;
                    }
                    // One that cannot be read, or that has no place, is settled when it is the head.
                    let Ok(other) = pending.notice.clone() else {
                        continue;
                    };
                    let is_update = other.quiet && other.kind != NoticeKind::Resolved;
                    if !channel.takes(&other) || (is_update && !channel.updates()) {
                        continue;
                    }
                    // What may be there already is looked for by the head's id: it goes only with what went with the head.
                    if is_update || pending.maybe_shown != head.maybe_shown || left.contains(&other.episode) {
                        left.insert(other.episode);
                        continue;
                    }
                    if other.kind == NoticeKind::Resolved {
                        let siblings = store.siblings(&pending.receiver, &other.episode)?;
                        backlog.moot.extend(superseded(&siblings));
                    }
                    let shown = store.shown(&pending.receiver, &other.episode)?;
                    let waiting = Waiting {
                        notice: &other,
                        shown: shown.as_deref(),
                    };
                    if pending.position == head.position || channel.gathers(first, waiting) {
                        backlog.waiting.push((other, pending, shown));
                    } else {
                        left.insert(other.episode);
                    }
                }
                Ok(backlog)
            })
            .await
    }

    /// The head of the queue with what goes in one message with it; `None` when the store cannot be read.
    async fn parcel(
        &self,
        head: Pending,
        notice: Notice,
        target: &Target,
        shown: Option<String>,
        aside: HashSet<String>,
    ) -> Option<Packed> {
        let mut packed = Packed {
            notices: Vec::new(),
            pending: Vec::new(),
            shown,
            is_gathered: false,
        };
        if is_alone(&head) || notice.bundle.is_empty() || !target.channel.bundles(&notice) {
            packed.notices.push(notice);
            packed.pending.push(head);
            return Some(packed);
        }
        let (receiver, bundle) = (head.receiver.clone(), notice.bundle.clone());
        let mates = self
            .desk
            .ask(move |store| store.bundle(&receiver, &bundle))
            .await?;
        let room = self.room(&head, target);
        for mate in mates {
            // One that cannot be read, or that only brings up to date, is settled on its own when it is the head.
            if let Ok(notice) = &mate.notice
                && (!notice.quiet || notice.kind == NoticeKind::Resolved)
                && !aside.contains(&notice.episode)
                && packed.notices.len() < room
            {
                packed.notices.push(notice.clone());
                packed.pending.push(mate);
            }
        }
        Some(packed)
    }

    /// The oldest pending notices; `None` when the store cannot be read.
    async fn pending(&self, limit: usize) -> Option<Vec<Pending>> {
        let receivers = self.receivers.clone();
        self.desk
            .ask(move |store| store.pending(Of::These(&receivers), limit))
            .await
    }

    /// Time until the next attempt; `None`: it is due. A wall clock that was set back must not hold a notice for longer
    /// than the longest wait.
    fn wait(&self, head: &Pending) -> Option<Duration> {
        let next = head
            .next_attempt
            .filter(|_| !self.revived.contains(&head.position));
        self.wait_until(next?)
    }

    /// Time until a moment of the wall clock, never more than the longest wait; `None`: it is past.
    fn wait_until(&self, wall: Timestamp) -> Option<Duration> {
        let wait = Duration::try_from(wall.duration_since(self.desk.now())).ok()?;
        (!wait.is_zero()).then_some(wait.min(LONGEST_WAIT.mul_f32(1.1)))
    }

    /// One attempt; `None` when the process stops and the receiver does not answer in time.
    async fn attempt(&mut self, target: &Target, packed: &Packed, form: Form) -> Option<Answer> {
        let head = packed.head();
        let sending = target.channel.send(Parcel {
            notices: &packed.notices,
            form,
            shown: packed.shown.as_deref(),
            tried_since: head.maybe_shown.then_some(head.decided),
        });
        let stopped = async {
            // A lost sender means stop, too.
            let _ = self.stopping.wait_for(|stop| *stop).await;
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            answer = sending => Some(answer),
            () = stopped => {
                tracing::warn!(notice = packed.id(), "no answer while stopping; the notice goes again at the next start");
                None
            }
        }
    }

    async fn conclude(&mut self, packed: &Packed, target: &Target, form: Form, answer: Answer) -> Next {
        let head = packed.head();
        let receiver = head.receiver.as_str();
        if !answer.may_have_shown() {
            let unseen = packed.pending.iter().filter(|pending| !pending.maybe_shown);
            let positions = unseen.map(|pending| pending.position).collect();
            self.desk.not_shown(positions).await;
        }
        match (answer, form) {
            (Answer::Ok { shown }, form) => {
                let (attempts, notices) = (head.attempts + 1, packed.notices.len());
                tracing::info!(
                    receiver,
                    notice = packed.id(),
                    notices,
                    attempts,
                    ?form,
                    "notice delivered"
                );
                let settled = Settled {
                    status: Status::Delivered,
                    detail: (form == Form::Plain).then(|| "as plain text".to_owned()),
                    shown,
                };
                self.settle(packed, settled).await;
                self.is_there().await;
                Next::Look
            }
            (Answer::Drop { reason }, form)
                if let Some(half) = packed.half()
                    && (packed.is_gathered || form == Form::Plain) =>
            {
                tracing::warn!(
                    receiver,
                    notice = packed.id(),
                    notices = packed.notices.len(),
                    reason,
                    "message about several alerts refused, it goes in parts"
                );
                self.at_once = half;
                self.split = Some(head.position);
                self.plain.remove(&head.position);
                Next::Look
            }
            (Answer::Drop { reason }, Form::Full) => {
                tracing::warn!(
                    receiver,
                    notice = packed.id(),
                    reason,
                    "message refused, sent as plain text"
                );
                self.plain.insert(head.position);
                Next::Look
            }
            (Answer::Drop { reason }, Form::Plain) => {
                tracing::error!(
                    receiver,
                    notice = packed.id(),
                    reason,
                    "message refused even as plain text, given up"
                );
                let reason = format!("refused, as plain text too: {reason}");
                self.settle(packed, Settled::with(Status::Dead, Some(reason)))
                    .await
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
            (Answer::Busy { reason }, _) => {
                self.fail(head, wait_while_busy, packed.half());
                let wait = with_jitter(wait_while_busy(head.attempts.saturating_add(1)));
                self.retry(packed, target, wait, false, reason).await
            }
            (
                Answer::Retry {
                    after,
                    maybe_shown,
                    reason,
                },
                _,
            ) => {
                // What becomes of this message changes nothing about it.
                match after {
                    Some(asked) => self.pace.hold_until(Instant::now() + asked.min(LONGEST_WAIT)),
                    None if maybe_shown || head.maybe_shown => self.fail(head, wait_after, None),
                    None => self.fail(head, wait_after, packed.half()),
                }
                let attempts = head.attempts.saturating_add(1);
                let wait = after.unwrap_or_else(|| with_jitter(wait_after(attempts)));
                // Who asks for next to nothing, again and again, is asked less often.
                let wait = match attempts > ASIDE_AFTER {
                    true => wait.max(LEAST_WAIT),
                    false => wait,
                };
                self.retry(packed, target, wait, maybe_shown, reason).await
            }
        }
    }

    async fn retry(
        &mut self,
        packed: &Packed,
        target: &Target,
        wait: Duration,
        maybe_shown: bool,
        reason: String,
    ) -> Next {
        let head = packed.head();
        let (receiver, attempts, now) = (
            head.receiver.as_str(),
            head.attempts.saturating_add(1),
            self.desk.now(),
        );
        let give_up = later(head.decided, target.give_up_after);
        if now >= give_up {
            tracing::error!(receiver, attempts, reason, "notice given up");
            let settled = Settled::with(Status::Dead, Some(format!("given up: {reason}")));
            // What went along is given up by its own age.
            let old = packed
                .pending
                .iter()
                .filter(|pending| now >= later(pending.decided, target.give_up_after));
            let positions = old.map(|pending| pending.position).collect();
            self.desk.settle(receiver, positions, settled).await;
            return Next::Look;
        }
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
        // Those that went with the head wait behind it.
        self.desk.postpone(head.position, postponed).await;
        self.desk.retried(receiver);
        let waits = Duration::try_from(next_attempt.duration_since(now)).unwrap_or_default();
        self.desk.waited(receiver, Wait::Retry, waits);
        Next::Look
    }

    /// Notices that a message has room for. One that may be there already, and was not refused, keeps its company: it is
    /// looked for by the id of its head.
    fn room(&self, head: &Pending, target: &Target) -> usize {
        let room = target.channel.room();
        if head.maybe_shown && self.split != Some(head.position) {
            room
        } else {
            room.min(self.at_once)
        }
    }

    /// An attempt has failed, and the destination says nothing of when to try again. Of a message that may be made
    /// smaller: its half.
    fn fail(&mut self, head: &Pending, wait: fn(u32) -> Duration, half: Option<usize>) {
        // What always fails says little of the destination.
        let failures = if stepped_aside(head) {
            1
        } else {
            self.failures = self.failures.saturating_add(1);
            self.failures
        };
        let until = Instant::now() + with_jitter(wait(failures));
        self.paused_until = self.paused_until.max(Some(until));
        // Once is an accident; one of them may be what cannot be taken.
        if self.failures > 1
            && let Some(half) = half
        {
            self.at_once = half;
        }
    }

    /// A message has arrived.
    async fn is_there(&mut self) {
        self.paused_until = None;
        self.at_once = self.at_once.saturating_mul(2);
        if std::mem::take(&mut self.failures) < AWAY_AFTER {
            return;
        }
        // A store that cannot be read just now lets them wait for their turn.
        let pending = self.pending(GATHERED).await.unwrap_or_default();
        let aside = pending.iter().filter(|pending| stepped_aside(pending));
        self.revived = aside.map(|pending| pending.position).collect();
    }

    async fn settle(&mut self, packed: &Packed, settled: Settled) -> Next {
        for position in packed.positions() {
            self.plain.remove(&position);
            self.revived.remove(&position);
        }
        self.desk
            .settle(&packed.head().receiver, packed.positions(), settled)
            .await;
        Next::Look
    }

    async fn settle_one(&mut self, head: &Pending, status: Status, reason: String) -> Next {
        self.desk
            .settle(
                &head.receiver,
                vec![head.position],
                Settled::with(status, Some(reason)),
            )
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
                let settled = Settled::with(Status::Dead, Some(detail));
                self.desk.settle(receiver, positions, settled).await;
            }
        }
        Next::WaitForBell
    }
}

/// The notices of an episode that nobody needs to hear of: the episode is over before its receiver was told that it began,
/// or an end is corrected of which they were not told. What may have been seen counts as told: it needs its end.
fn superseded(siblings: &[Sibling]) -> Vec<i64> {
    let is_told = |sibling: &&Sibling| sibling.status == Status::Delivered || sibling.maybe_shown;
    let told = siblings.iter().any(|sibling| is_told(&sibling));
    // Who does not know how it ended does not hear that it ended otherwise. An end that is not in the log any more was told.
    let untold_end = siblings
        .iter()
        .any(|sibling| sibling.resolves && sibling.status != Status::Pending && !is_told(&sibling));
    if untold_end {
        let corrections = siblings
            .iter()
            .filter(|sibling| sibling.corrects && sibling.status == Status::Pending);
        return corrections.map(|sibling| sibling.position).collect();
    }
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

/// Whether a channel takes the notice together with others that were decided apart from it.
fn gathers(target: &Target, notice: &Notice, shown: Option<&str>) -> bool {
    let itself = Waiting { notice, shown };
    target.channel.gathers(itself, itself)
}

/// Whether a notice has failed so often that others go before it.
fn stepped_aside(pending: &Pending) -> bool {
    pending.attempts >= ASIDE_AFTER
}

/// Whether a notice is tried by itself: it has failed again and again, and certainly is not there.
fn is_alone(head: &Pending) -> bool {
    stepped_aside(head) && !head.maybe_shown
}

/// How often the targets of one destination want to hear what stands.
fn resend_every(targets: &[Target]) -> Option<Duration> {
    targets
        .iter()
        .filter_map(|target| target.channel.resends_every())
        .min()
}

fn later(time: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    time.saturating_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
