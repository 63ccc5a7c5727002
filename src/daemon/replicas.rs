//! A process among several that keep one state: it follows until Kafka's group gives it the lead, runs the daemon as long as
//! it has it, and follows again.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use super::clock::Clock;
use super::pipeline::connection;
use super::supervisor::{Daemon, Options};
use crate::catalog::Catalog;
use crate::serve::ReloadRequest;
use crate::serve::standby::{self, Followed};
use crate::settings::Settings;
use crate::source::kafka::Connection;
use crate::state::replica::{Lead, Replica, Topics, prepare};
use crate::state::{StateError, Store};

/// How long a follower waits for records before it looks whether it is to lead.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long something that failed is left alone.
const RETRY_AFTER: Duration = Duration::from_secs(1);
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

impl Member {
    /// Follows and leads until told to stop.
    ///
    /// # Errors
    /// In words: a topic is not as it has to be, the state file cannot be used or holds another state than the topic, or a
    /// part of the daemon failed.
    pub async fn run(mut self, stopping: watch::Receiver<bool>) -> Result<(), String> {
        let topics = Topics::of(&self.prefix);
        let kafka = connection(&self.loaded.0);
        if !ready(&kafka, &topics, stopping.clone()).await? {
            return Ok(());
        }
        let lead = Lead::stand(&kafka, &topics)?;
        let mut has_led = false;
        loop {
            let (lost, mut told_lost) = watch::channel(None);
            let found = self
                .follow(&kafka, &topics, &lead, lost, has_led, stopping.clone())
                .await?;
            let Some(store) = found else {
                return Ok(());
            };
            has_led = true;
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
            let (mut stop, mut held) = (stopping.clone(), lead.held());
            let over = async move {
                // A lost sender means that its owner is gone, which ends it as well.
                tokio::select! {
                    _ = stop.wait_for(|stop| *stop) => {}
                    _ = held.wait_for(|held| !*held) => tracing::warn!("the lead went to another process"),
                    lost = told_lost.wait_for(Option::is_some) => {
                        let reason = lost.ok().and_then(|lost| lost.clone()).unwrap_or_default();
                        tracing::warn!(reason, "the lead is lost");
                    }
                }
            };
            let ended = daemon.run_until(over).await;
            self.reloads.send_replace(None);
            ended?;
            if *stopping.borrow() {
                return Ok(());
            }
            tokio::time::sleep(RETRY_AFTER).await;
        }
    }

    fn listener(&self) -> Result<TcpListener, String> {
        let listener = self.listener.try_clone().and_then(TcpListener::from_std);
        listener.map_err(|error| format!("cannot listen: {error}"))
    }

    /// Follows until this process is to lead; `None` when it is to stop.
    async fn follow(
        &self,
        kafka: &Connection,
        topics: &Topics,
        lead: &Lead,
        lost: watch::Sender<Option<String>>,
        has_led: bool,
        mut stopping: watch::Receiver<bool>,
    ) -> Result<Option<Store>, String> {
        let followed: Followed = Arc::new(AtomicI64::new(-1));
        let (end_standby, mut standby_ends) = watch::channel(false);
        let server = tokio::spawn(standby::run(self.listener()?, followed.clone(), async move {
            // A lost sender is an end as well.
            let _ = standby_ends.wait_for(|ends| *ends).await;
        }));
        let stop = Arc::new(AtomicBool::new(false));
        let following = Following {
            path: self.loaded.0.state_sqlite.clone(),
            kafka: kafka.clone(),
            topics: topics.clone(),
            clock: self.clock.clone(),
            held: lead.held(),
            lost,
            followed,
            has_led,
            stop: stop.clone(),
        };
        let mut thread = tokio::task::spawn_blocking(move || following.run());
        let found = tokio::select! {
            found = &mut thread => found,
            _ = stopping.wait_for(|stop| *stop) => {
                stop.store(true, Ordering::Relaxed);
                thread.await
            }
        };
        end_standby.send_replace(true);
        match server.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the server failed"),
            Err(error) => tracing::error!(%error, "the server failed"),
        }
        found
            .unwrap_or_else(|error| Err(StateError::Replica(format!("the follower failed: {error}"))))
            .map_err(|error| error.to_string())
    }
}

/// Whether the topics are there; asks until a broker answers. `false` when it is to stop before.
async fn ready(
    kafka: &Connection,
    topics: &Topics,
    mut stopping: watch::Receiver<bool>,
) -> Result<bool, String> {
    // Errors of topics are for good, those of brokers are not: who reaches one asks it.
    let mut said = false;
    loop {
        match prepare(kafka, topics).await {
            Ok(()) => return Ok(true),
            Err(error) if error.is_final => return Err(error.reason),
            Err(error) => {
                if !said {
                    said = true;
                    tracing::warn!(reason = error.reason, "kafka is away; asking again");
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(RETRY_AFTER) => {}
            _ = stopping.wait_for(|stop| *stop) => return Ok(false),
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
    lost: watch::Sender<Option<String>>,
    followed: Followed,
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

    fn run(self) -> Result<Option<Store>, StateError> {
        let now_ms = || self.clock.now().as_millisecond();
        let mut said = false;
        'anew: loop {
            let Some(mut replica) = self.open()? else {
                return Ok(None);
            };
            loop {
                if self.stop.load(Ordering::Relaxed) {
                    return Ok(None);
                }
                let failed = if *self.held.borrow() {
                    match replica.lead(self.lost.clone(), now_ms()) {
                        Ok(store) => return Ok(Some(store)),
                        Err(error) => error,
                    }
                } else {
                    match replica.follow(LOOK_EVERY, now_ms()) {
                        Ok(_) => {
                            said = false;
                            let offset = replica.next_offset().unwrap_or(-1);
                            self.followed.store(offset, Ordering::Relaxed);
                            continue;
                        }
                        Err(error) => error,
                    }
                };
                match failed {
                    StateError::NotReplicated(reason) | StateError::Deposed(reason) => {
                        if !said {
                            said = true;
                            tracing::warn!(reason, "the state cannot be followed now; trying again");
                        }
                        std::thread::sleep(RETRY_AFTER);
                        continue 'anew;
                    }
                    error => return Err(error),
                }
            }
        }
    }
}
