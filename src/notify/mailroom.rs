//! Mailroom: the outbox goes to the receivers of the settings, also after a reload has changed them.

use std::sync::Arc;

use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::Target;
use super::outbox::{self, Outbox, Stats};

/// Makes the outbox anew for each sender.
type Store = Box<dyn Fn() -> Box<dyn Outbox> + Send + Sync>;

/// Whom notices go to from now on.
struct Exchange {
    targets: Vec<Target>,
    /// Told when nothing goes to those before any more.
    done: oneshot::Sender<()>,
}

/// Where receivers are exchanged. What is sent ends with it, as when it is told to stop.
#[derive(Debug)]
pub struct Mailroom(mpsc::Sender<Exchange>);

impl Mailroom {
    /// Sends what is in an outbox to these receivers, see [`outbox::run`].
    pub fn open(
        store: impl Outbox + Clone + 'static,
        targets: Vec<Target>,
        wake: Arc<Notify>,
        stopping: watch::Receiver<bool>,
        stats: Arc<Stats>,
    ) -> (Mailroom, JoinHandle<()>) {
        let (exchanges, inbox) = mpsc::channel(1);
        let store: Store = Box::new(move || Box::new(store.clone()));
        let task = tokio::spawn(run(store, targets, wake, stopping, stats, inbox));
        (Mailroom(exchanges), task)
    }

    /// Lets what is in flight end, within seconds, and sends everything else to these receivers. Notices of one that is
    /// new may be decided from then on. Blocks: not to be called from a task.
    pub fn exchange(&self, targets: Vec<Target>) {
        let (done, is_done) = oneshot::channel();
        // A mailroom that is closed sends nothing to anybody.
        let is_open = self.0.blocking_send(Exchange { targets, done }).is_ok();
        if is_open {
            let _ = is_done.blocking_recv();
        }
    }
}

async fn run(
    store: Store,
    mut targets: Vec<Target>,
    wake: Arc<Notify>,
    mut stopping: watch::Receiver<bool>,
    stats: Arc<Stats>,
    mut inbox: mpsc::Receiver<Exchange>,
) {
    loop {
        let (stop, is_stopped) = watch::channel(false);
        let sending = outbox::run(
            store(),
            targets,
            Arc::clone(&wake),
            is_stopped,
            Arc::clone(&stats),
        );
        let mut sending = std::pin::pin!(sending);
        let exchange = tokio::select! {
            () = &mut sending => return,
            exchange = inbox.recv() => exchange,
            _ = stopping.wait_for(|stop| *stop) => None,
        };
        stop.send_replace(true);
        sending.await;
        let Some(exchange) = exchange else { return };
        targets = exchange.targets;
        // Who asked may be gone.
        let _ = exchange.done.send(());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::office::{Script, decide};
    use super::super::{Answer, Channel, samples};
    use super::*;
    use crate::alert::notice::Notice;
    use crate::state;

    fn target(receiver: &str, script: &Arc<Script>) -> Target {
        Target {
            receiver: receiver.to_owned(),
            destination: Arc::as_ptr(script) as usize as u64,
            channel: Arc::clone(script) as Arc<dyn Channel>,
            give_up_after: Duration::from_hours(24),
        }
    }

    fn fired(receiver: &str, episode: u32) -> Notice {
        Notice {
            receiver: receiver.to_owned(),
            ..samples::numbered(samples::hollow(), episode)
        }
    }

    fn away() -> Option<Answer> {
        Some(Answer::Retry {
            after: None,
            maybe_shown: false,
            reason: "away".to_owned(),
        })
    }

    async fn until(is_so: impl Fn() -> bool) {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_queued_goes_where_a_reload_says_and_once() {
        let store = state::Store::in_memory().unwrap();
        let (old, new, boss) = (
            Script::new((0..50).map(|_| away())),
            Script::new([]),
            Script::new([]),
        );
        let (stop, stopping) = watch::channel(false);
        let (wake, stats) = (Arc::new(Notify::new()), Arc::new(Stats::default()));
        let (mailroom, task) = Mailroom::open(
            store.clone(),
            vec![target("ops", &old)],
            Arc::clone(&wake),
            stopping,
            Arc::clone(&stats),
        );
        decide(&store, &[fired("ops", 1), fired("ops", 2)]);
        wake.notify_one();
        until(|| !old.ids().is_empty()).await;
        // Another address for one of them, and one more who is told.
        let targets = vec![target("ops", &new), target("boss", &boss)];
        let mailroom = tokio::task::spawn_blocking(move || {
            mailroom.exchange(targets);
            mailroom
        });
        let mailroom = mailroom.await.unwrap();
        let tried = old.ids().len();
        decide(&store, &[fired("boss", 3)]);
        wake.notify_one();
        until(|| store.oldest_undelivered().unwrap().is_none()).await;
        assert_eq!(new.ids(), ["e1.1", "e2.1"]);
        assert_eq!(boss.ids(), ["e3.1"]);
        assert_eq!(old.ids().len(), tried, "nothing goes to the old address any more");
        let outcomes = stats.by_receiver_and_outcome();
        let count = |receiver: &str, outcome: &str| outcomes[&(receiver.to_owned(), outcome.to_owned())];
        assert_eq!((count("ops", "delivered"), count("boss", "delivered")), (2, 1));
        assert_eq!((count("ops", "dead"), count("boss", "dead")), (0, 0));
        stop.send_replace(true);
        task.await.unwrap();
        // Nobody is there to answer.
        tokio::task::spawn_blocking(move || mailroom.exchange(Vec::new()))
            .await
            .unwrap();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_was_missed_counts_once_however_often_receivers_change() {
        let store = state::Store::in_memory().unwrap();
        let old = Script::new((0..50).map(|_| away()));
        let (stop, stopping) = watch::channel(false);
        let stats = Arc::new(Stats::default());
        let long_ago = jiff::Timestamp::now() - jiff::SignedDuration::from_mins(1);
        super::super::office::decide_at(&store, &[fired("ops", 1)], long_ago);
        let (mailroom, task) = Mailroom::open(
            store.clone(),
            vec![target("ops", &old)],
            Arc::new(Notify::new()),
            stopping,
            Arc::clone(&stats),
        );
        until(|| stats.missed().get("ops") == Some(&1)).await;
        let script = Arc::clone(&old);
        let exchanged = tokio::task::spawn_blocking(move || {
            for _ in 0..3 {
                mailroom.exchange(vec![target("ops", &script)]);
            }
        });
        exchanged.await.unwrap();
        stop.send_replace(true);
        task.await.unwrap();
        assert_eq!(stats.missed()["ops"], 1);
    }
}
