//! A sender at work, for tests: a store in memory, and a channel that answers as it is told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::outbox::{By, Outbox, Stats, run_by};
use super::{Answer, Channel, Form, Limit, Parcel, Sending, Target, Waiting};
use crate::alert::notice::Notice;
use crate::state::{Commit, Store};

/// How a message is answered; `None`: not at all.
type Scripted = fn() -> Option<Answer>;

/// A channel that answers as it is told, then with "ok".
pub(super) struct Script {
    began: Instant,
    /// Whether it takes together what was decided apart.
    gathers: bool,
    /// What it shares with others.
    shares: Option<(u64, Limit)>,
    pub(super) answers: Mutex<VecDeque<Option<Answer>>>,
    /// How messages are answered that hold a notice, whatever else is to be answered.
    always: Mutex<Vec<(&'static str, Scripted)>>,
    sent: Mutex<Vec<Sent>>,
}

/// A message that was sent.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    /// Seconds since the script began.
    pub(super) at: f64,
    /// Ids of its notices, with `+` for the plain form.
    pub(super) id: String,
    /// How it was answered; `None`: not at all.
    pub(super) answer: Option<Answer>,
}

impl Sent {
    /// Ids of its notices, whatever the form.
    pub(super) fn ids(&self) -> impl Iterator<Item = &str> {
        self.id.trim_end_matches('+').split(' ')
    }
}

impl Script {
    pub(super) fn new(answers: impl IntoIterator<Item = Option<Answer>>) -> Arc<Script> {
        Script::with(answers, false)
    }
    /// One that takes together what was decided apart, where the queue is behind.
    pub(super) fn gathering(answers: impl IntoIterator<Item = Option<Answer>>) -> Arc<Script> {
        Script::with(answers, true)
    }
    fn with(answers: impl IntoIterator<Item = Option<Answer>>, gathers: bool) -> Arc<Script> {
        Arc::new(Script {
            began: Instant::now(),
            gathers,
            shares: None,
            answers: Mutex::new(answers.into_iter().collect()),
            always: Mutex::default(),
            sent: Mutex::default(),
        })
    }
    /// One that may be written to so fast together with others of the same key.
    pub(super) fn sharing(key: u64, limit: Limit) -> Arc<Script> {
        let mut script = Script::with([], false);
        if let Some(script) = Arc::get_mut(&mut script) {
            script.shares = Some((key, limit));
        }
        script
    }
    /// Answers every message with this notice in this way.
    pub(super) fn when(&self, id: &'static str, answer: Scripted) {
        self.always.lock().unwrap().push((id, answer));
    }
    /// Ids of the notices sent, with `+` for the plain form.
    pub(super) fn ids(&self) -> Vec<String> {
        self.sent
            .lock()
            .unwrap()
            .iter()
            .map(|sent| sent.id.clone())
            .collect()
    }
    /// Seconds at which they were sent.
    pub(super) fn seconds(&self) -> Vec<f64> {
        self.sent.lock().unwrap().iter().map(|sent| sent.at).collect()
    }
    /// What was sent since it was last taken.
    pub(super) fn take_sent(&self) -> Vec<Sent> {
        std::mem::take(&mut *self.sent.lock().unwrap())
    }
}

impl Channel for Script {
    fn send<'a>(&'a self, parcel: Parcel<'a>) -> Sending<'a> {
        let ids: Vec<&str> = parcel.notices.iter().map(|notice| notice.id.as_str()).collect();
        let mark = if parcel.form == Form::Plain { "+" } else { "" };
        let at = self.began.elapsed().as_secs_f64();
        let always = self.always.lock().unwrap();
        let answer = match always.iter().find(|(id, _)| ids.contains(id)) {
            Some((_, answer)) => answer(),
            None => self
                .answers
                .lock()
                .unwrap()
                .pop_front()
                .unwrap_or(Some(Answer::OK)),
        };
        self.sent.lock().unwrap().push(Sent {
            at,
            id: format!("{}{mark}", ids.join(" ")),
            answer: answer.clone(),
        });
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
    fn gathers(&self, _: Waiting<'_>, _: Waiting<'_>) -> bool {
        self.gathers
    }
    fn shares(&self) -> Option<(u64, Limit)> {
        self.shares
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
        let by = By {
            now: Timestamp::now(),
            look_every: Duration::from_secs(10),
        };
        Office::by(by, store, outbox, targets)
    }

    /// By a clock of its own.
    pub(super) fn by(
        by: By,
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
        let task = tokio::spawn(run_by(
            by,
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
        self.wake();
    }

    /// Says that there is something new.
    pub(super) fn wake(&self) {
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

    /// Stops it; what it counted.
    pub(super) async fn close(self) -> Arc<Stats> {
        self.stop.send_replace(true);
        self.task.await.unwrap();
        self.stats
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
    decide_at(store, notices, Timestamp::now());
}

/// Puts notices into the outbox at this moment of the wall clock.
pub(super) fn decide_at(store: &Store, notices: &[Notice], now: Timestamp) {
    let wall_ms = now.as_millisecond();
    store
        .commit(&Commit {
            notices,
            wall_ms,
            ..Commit::default()
        })
        .unwrap();
}
