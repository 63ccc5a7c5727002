//! A process among several that keep one state: it follows until Kafka's group gives it the lead, runs the daemon as long as
//! it has it, and follows again.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::clock::Clock;
use super::pipeline::connection;
use super::supervisor::{Daemon, Options};
use crate::catalog::Catalog;
use crate::serve::standby::{self, Shown};
use crate::serve::{self, ReloadRequest};
use crate::settings::Settings;
use crate::source::kafka::Connection;
use crate::state::replica::{Lead, Replica, Term, Topics, prepare};
use crate::state::{StateError, Store};

/// How long a follower waits for records before it looks whether it is to lead.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long something that failed is left alone.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How long whoever is to lead may fail to before another one gets a chance, and how long it leaves that chance.
const LEADS_WITHIN: Duration = Duration::from_secs(30);
const LEAVE_FOR: Duration = Duration::from_secs(15);
/// How long a topic that was made may be unknown to a broker.
const EARLY: Duration = Duration::from_secs(30);
/// How long the file may be held by what this process did while it led.
const HELD_AT_MOST: Duration = Duration::from_secs(120);

/// Settings and catalogue as they are written now.
pub type Loaded = (Arc<Settings>, Arc<Catalog>);

/// What a process among several is made of.
pub struct Member {
    /// What is in force at the start.
    pub loaded: Loaded,
    /// Reads them again, whenever this process takes the lead.
    pub load: Box<dyn Fn() -> Result<Loaded, String> + Send + Sync>,
    /// Topics that keep the state begin with this.
    pub prefix: String,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Where it listens, leading or not.
    pub listener: std::net::TcpListener,
    /// Where reload requests of the daemon go, while there is one.
    pub reloads: watch::Sender<Option<mpsc::Sender<ReloadRequest>>>,
}

/// What came of following.
enum Followed {
    /// This process leads.
    Leads(Store),
    /// It was to lead, and cannot: another one may.
    CannotLead(String),
    /// It is to stop.
    Stopped,
}

impl Member {
    /// Follows and leads until told to stop.
    ///
    /// # Errors
    /// In words: a topic is not as it has to be, the state file cannot be used or holds another state than the topic, or a
    /// part of the daemon failed.
    pub async fn run(mut self, stopping: watch::Receiver<bool>) -> Result<(), String> {
        let topics = Topics::of(&self.prefix);
        let kafka = connection(&self.loaded.0);
        let standby = self.stand_by()?;
        let is_ready = ready(&kafka, &topics, stopping.clone()).await;
        standby.end().await;
        if !is_ready? {
            return Ok(());
        }
        let mut lead = Lead::stand(&kafka, &topics)?;
        let mut has_led = false;
        loop {
            let term = Arc::new(Term::default());
            let standby = self.stand_by()?;
            let following = Following {
                path: self.loaded.0.state_sqlite.clone(),
                kafka: kafka.clone(),
                topics: topics.clone(),
                clock: self.clock.clone(),
                held: lead.held(),
                term: term.clone(),
                shown: standby.shown.clone(),
                has_led,
                stop: Arc::default(),
            };
            let followed = follow(following, stopping.clone()).await;
            standby.end().await;
            let store = match followed? {
                Followed::Leads(store) => store,
                Followed::Stopped => return Ok(()),
                Followed::CannotLead(reason) => {
                    tracing::error!(
                        reason,
                        "this process cannot lead now; another one may, and it tries again later"
                    );
                    tokio::task::spawn_blocking(move || drop(lead))
                        .await
                        .map_err(|error| error.to_string())?;
                    if pause(LEAVE_FOR, stopping.clone()).await {
                        return Ok(());
                    }
                    lead = Lead::stand(&kafka, &topics)?;
                    continue;
                }
            };
            has_led = true;
            let ended = self.lead(store, &term, &lead, stopping.clone()).await;
            self.reloads.send_replace(None);
            if *stopping.borrow() {
                return ended;
            }
            match ended {
                Ok(()) => {}
                Err(reason) if term.is_disturbed() || !*lead.held().borrow() => {
                    tracing::warn!(reason, "the term ended; following again");
                }
                Err(reason) => return Err(reason),
            }
            if pause(RETRY_AFTER, stopping.clone()).await {
                return Ok(());
            }
        }
    }

    /// Runs the daemon until it is told to stop, or does not lead any more.
    async fn lead(
        &mut self,
        store: Store,
        term: &Term,
        lead: &Lead,
        mut stopping: watch::Receiver<bool>,
    ) -> Result<(), String> {
        // Since the start, or the last time that this process led.
        match (self.load)() {
            Ok(loaded) => self.loaded = loaded,
            Err(reason) => {
                tracing::error!(
                    reason,
                    "what is written now is wrong; what was read before is in force"
                );
            }
        }
        let (settings, catalog) = self.loaded.clone();
        let store = store.logging(settings.kafka.alert_log.is_some());
        tracing::info!("this process leads");
        let daemon = Daemon::start(Options {
            settings,
            catalog,
            store,
            clock: self.clock.clone(),
            listener: self.listener()?,
        })
        .await?;
        self.reloads.send_replace(Some(daemon.reloads()));
        let (mut held, mut lost) = (lead.held(), term.lost());
        let over = async move {
            // A lost sender means that its owner is gone, which ends it as well.
            tokio::select! {
                _ = stopping.wait_for(|stop| *stop) => {}
                _ = held.wait_for(|held| !*held) => tracing::warn!("the lead went to another process"),
                lost = lost.wait_for(Option::is_some) => {
                    let reason = lost.ok().and_then(|lost| lost.clone()).unwrap_or_default();
                    tracing::warn!(reason, "the lead is lost");
                }
            }
        };
        daemon.run_until(over).await
    }

    fn listener(&self) -> Result<TcpListener, String> {
        let listener = self.listener.try_clone().and_then(TcpListener::from_std);
        listener.map_err(|error| format!("cannot listen: {error}"))
    }

    /// Says that it follows, until that is over.
    fn stand_by(&self) -> Result<Standby, String> {
        let shown = Arc::new(Shown::default());
        let (end, mut ends) = watch::channel(false);
        let server = tokio::spawn(standby::run(self.listener()?, shown.clone(), async move {
            // A lost sender is an end as well.
            let _ = ends.wait_for(|ends| *ends).await;
        }));
        Ok(Standby { shown, end, server })
    }
}

/// Whether it was told to stop within this time.
async fn pause(length: Duration, mut stopping: watch::Receiver<bool>) -> bool {
    tokio::select! {
        () = tokio::time::sleep(length) => false,
        _ = stopping.wait_for(|stop| *stop) => true,
    }
}

/// The server of a process that follows.
struct Standby {
    shown: Arc<Shown>,
    end: watch::Sender<bool>,
    server: JoinHandle<std::io::Result<()>>,
}

impl Standby {
    /// Ends it; who has asked half of a question is not waited for.
    async fn end(self) {
        self.end.send_replace(true);
        let mut server = self.server;
        match tokio::time::timeout(serve::LAST_ANSWERS, &mut server).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::error!(%error, "the server failed"),
            Ok(Err(error)) => tracing::error!(%error, "the server failed"),
            Err(_) => server.abort(),
        }
    }
}

/// Follows until this process is to lead, or to stop.
async fn follow(following: Following, mut stopping: watch::Receiver<bool>) -> Result<Followed, String> {
    let stop = following.stop.clone();
    let mut thread = tokio::task::spawn_blocking(move || following.run());
    let followed = tokio::select! {
        followed = &mut thread => followed,
        _ = stopping.wait_for(|stop| *stop) => {
            stop.store(true, Ordering::Relaxed);
            thread.await
        }
    };
    followed
        .unwrap_or_else(|error| Err(StateError::Replica(format!("the follower failed: {error}"))))
        .map_err(|error| error.to_string())
}

/// Whether the topics are there; asks until a broker answers. `false` when it is to stop before.
async fn ready(kafka: &Connection, topics: &Topics, stopping: watch::Receiver<bool>) -> Result<bool, String> {
    // Errors of topics are for good, those of brokers are not: who reaches one asks it.
    let mut said = false;
    let early = Instant::now() + EARLY;
    let mut stopped = stopping.clone();
    loop {
        let prepared = tokio::select! {
            prepared = prepare(kafka, topics, Instant::now() < early) => prepared,
            _ = stopped.wait_for(|stop| *stop) => return Ok(false),
        };
        match prepared {
            Ok(()) => return Ok(true),
            Err(error) if error.is_final => return Err(error.reason),
            Err(error) => {
                if !said {
                    said = true;
                    tracing::warn!(reason = error.reason, "kafka is away; asking again");
                }
            }
        }
        if pause(RETRY_AFTER, stopping.clone()).await {
            return Ok(false);
        }
    }
}

/// The thread that follows.
struct Following {
    path: PathBuf,
    kafka: Connection,
    topics: Topics,
    clock: Arc<dyn Clock>,
    held: watch::Receiver<bool>,
    term: Arc<Term>,
    shown: Arc<Shown>,
    /// Whether this process led before: what it did then may hold the file for a while.
    has_led: bool,
    stop: Arc<AtomicBool>,
}

impl Following {
    /// Opens the copy.
    fn open(&self) -> Result<Option<Replica>, StateError> {
        let until = Instant::now() + HELD_AT_MOST;
        loop {
            let now_ms = self.clock.now().as_millisecond();
            match Replica::open(&self.path, self.kafka.clone(), &self.topics, now_ms) {
                Ok(replica) => return Ok(Some(replica)),
                Err(_) if self.stop.load(Ordering::Relaxed) => return Ok(None),
                Err(StateError::Open { .. }) if self.has_led && Instant::now() < until => {
                    std::thread::sleep(RETRY_AFTER);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn run(self) -> Result<Followed, StateError> {
        let now_ms = || self.clock.now().as_millisecond();
        let mut said = false;
        // Since when this process is to lead and does not.
        let mut failing: Option<Instant> = None;
        'anew: loop {
            let Some(mut replica) = self.open()? else {
                return Ok(Followed::Stopped);
            };
            loop {
                if self.stop.load(Ordering::Relaxed) {
                    return Ok(Followed::Stopped);
                }
                let is_held = *self.held.borrow();
                let failed = if is_held {
                    match replica.lead(self.term.clone(), now_ms()) {
                        Ok(store) => return Ok(Followed::Leads(store)),
                        Err(error) => error,
                    }
                } else {
                    failing = None;
                    match replica.follow(LOOK_EVERY, now_ms()) {
                        Ok(_) => {
                            said = false;
                            self.shown.tell(replica.next_offset(), replica.lag());
                            continue;
                        }
                        Err(error) => error,
                    }
                };
                // What a broker or a disk says today it may not say tomorrow.
                let passes = matches!(
                    failed,
                    StateError::NotReplicated(_)
                        | StateError::Deposed(_)
                        | StateError::Full(_)
                        | StateError::Sqlite(_)
                );
                if !passes {
                    return Err(failed);
                }
                let reason = failed.to_string();
                if is_held && failing.get_or_insert_with(Instant::now).elapsed() > LEADS_WITHIN {
                    return Ok(Followed::CannotLead(reason));
                }
                if !said {
                    said = true;
                    tracing::warn!(reason, "the state cannot be followed now; trying again");
                }
                std::thread::sleep(RETRY_AFTER);
                continue 'anew;
            }
        }
    }
}
