//! A sender at work, for tests: a store in memory, and a channel that answers as it is told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::outbox::{Outbox, Stats, run};
use super::{Answer, Channel, Form, Parcel, Sending, Target};
use crate::alert::notice::Notice;
use crate::state::{Commit, Store};

/// A channel that answers as it is told, then with "ok".
pub(super) struct Script {
    began: Instant,
    pub(super) answers: Mutex<VecDeque<Option<Answer>>>,
    sent: Mutex<Vec<(f64, String)>>,
}

impl Script {
    pub(super) fn new(answers: impl IntoIterator<Item = Option<Answer>>) -> Arc<Script> {
        Arc::new(Script {
            began: Instant::now(),
            answers: Mutex::new(answers.into_iter().collect()),
            sent: Mutex::default(),
        })
    }
    /// Ids of the notices sent, with `+` for the plain form.
    pub(super) fn ids(&self) -> Vec<String> {
        self.sent
            .lock()
            .unwrap()
            .iter()
            .map(|(_, id)| id.clone())
            .collect()
    }
    /// Seconds at which they were sent.
    pub(super) fn seconds(&self) -> Vec<f64> {
        self.sent.lock().unwrap().iter().map(|(at, _)| *at).collect()
    }
}

impl Channel for Script {
    fn send<'a>(&'a self, parcel: Parcel<'a>) -> Sending<'a> {
        let ids: Vec<&str> = parcel.notices.iter().map(|notice| notice.id.as_str()).collect();
        let mark = if parcel.form == Form::Plain { "+" } else { "" };
        let at = self.began.elapsed().as_secs_f64();
        self.sent
            .lock()
            .unwrap()
            .push((at, format!("{}{mark}", ids.join(" "))));
        let answer = self
            .answers
            .lock()
            .unwrap()
            .pop_front()
            .unwrap_or(Some(Answer::OK));
        Box::pin(async move {
            match answer {
                Some(answer) => answer,
                None => std::future::pending().await,
            }
        })
    }
    fn destination(&self) -> &str {
        "script"
    }
}

/// A sender at work.
pub(super) struct Office {
    store: Store,
    wake: Arc<Notify>,
    stop: watch::Sender<bool>,
    stats: Arc<Stats>,
    task: JoinHandle<()>,
}

impl Office {
    pub(super) fn open(store: &Store, script: &Arc<Script>) -> Office {
        Office::with(store, Box::new(store.clone()), &[("ops", 1, script)])
    }

    pub(super) fn with(
        store: &Store,
        outbox: Box<dyn Outbox>,
        targets: &[(&str, u64, &Arc<Script>)],
    ) -> Office {
        let targets = targets
            .iter()
            .map(|(receiver, destination, script)| Target {
                receiver: (*receiver).to_owned(),
                destination: *destination,
                channel: Arc::clone(script) as Arc<dyn Channel>,
                give_up_after: Duration::from_secs(24 * 3600),
            })
            .collect();
        let (stop, stopping) = watch::channel(false);
        let (wake, stats) = (Arc::new(Notify::new()), Arc::new(Stats::default()));
        let task = tokio::spawn(run(
            outbox,
            targets,
            Arc::clone(&wake),
            stopping,
            Arc::clone(&stats),
        ));
        Office {
            store: store.clone(),
            wake,
            stop,
            stats,
            task,
        }
    }

    pub(super) fn decide(&self, notices: &[Notice]) {
        decide(&self.store, notices);
        self.wake.notify_one();
    }

    pub(super) async fn until_settled(&self) {
        while self.store.oldest_undelivered().unwrap().is_some() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(super) fn stats(&self) -> &Stats {
        &self.stats
    }

    pub(super) async fn close(self) {
        self.stop.send_replace(true);
        self.task.await.unwrap();
    }

    /// Outcomes of a receiver that happened at all: "delivered 2, retried 1".
    pub(super) fn outcomes(&self, receiver: &str) -> String {
        let counts = self.stats.by_receiver_and_outcome();
        let told = counts
            .iter()
            .filter(|((who, _), count)| who == receiver && **count > 0);
        told.map(|((_, outcome), count)| format!("{outcome} {count}"))
            .collect::<Vec<_>>()
            .join(", ")
    }
}

pub(super) fn decide(store: &Store, notices: &[Notice]) {
    let wall_ms = Timestamp::now().as_millisecond();
    store
        .commit(&Commit {
            notices,
            wall_ms,
            ..Commit::default()
        })
        .unwrap();
}
