//! The daemon as a whole: one supervisor thread owns the pipeline and starts it anew for a new catalogue or new
//! partitions; around it run the server, the outbox and the signals.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};

use super::alert_log::AlertLog;
use super::backfill::{Backfiller, Board};
use super::clock::Clock;
use super::discovery::{self, Discovered};
use super::evaluator::Totals;
use super::pipeline::{Found, Pipeline, Surroundings, connection};
use super::publisher::Publisher;
use crate::catalog::{Catalog, Diagnostics, load};
use crate::notify;
use crate::notify::mailroom::Mailroom;
use crate::serve;
use crate::serve::orders::Orders;
use crate::settings::{self, Settings};
use crate::source::kafka::KafkaReader;
use crate::source::push::Intake;
use crate::source::registry::Registry;
use crate::state::{Position, Store};

/// How often the supervisor looks whether its threads are alive.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a start waits for the broker to say what there is to read: a start without it restores the state, and does it
/// again when the broker answers.
const FIRST_LOOK_WITHIN: Duration = Duration::from_secs(2);

/// What a daemon is made of.
pub struct Options {
    /// Settings.
    pub settings: Arc<Settings>,
    /// The checked catalogue.
    pub catalog: Arc<Catalog>,
    /// The state.
    pub store: Store,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Where the server listens, bound already.
    pub listener: TcpListener,
}

/// A running daemon.
pub struct Daemon {
    commands: Sender<Command>,
    views: watch::Receiver<Arc<serve::View>>,
    reloads: mpsc::Sender<serve::ReloadRequest>,
    ended: oneshot::Receiver<Result<(), String>>,
    tasks: Tasks,
    alert_log: Option<AlertLog>,
}

struct Tasks {
    stop: watch::Sender<bool>,
    server: tokio::task::JoinHandle<std::io::Result<()>>,
    outbox: tokio::task::JoinHandle<()>,
    reloader: tokio::task::JoinHandle<()>,
}

enum Command {
    /// What a watch saw, by its number.
    Discovered(u64, Result<Discovered, String>),
    Reload(serve::ReloadRequest),
    /// A backfill is near the running fold, or says why it has to begin anew.
    Backfilled(Box<Backfiller>, Result<(), String>),
    Stop,
}

impl Daemon {
    /// Starts everything. Errors of the environment that may heal (broker away, topic missing) do not stop a start.
    ///
    /// # Errors
    /// In words: the state cannot be read, the client refuses its settings, a receiver cannot be set up.
    pub async fn start(options: Options) -> Result<Daemon, String> {
        let Options {
            settings,
            catalog,
            store,
            clock,
            listener,
        } = options;
        // A setting that the client does not know would fail at every attempt to connect, for good.
        KafkaReader::connect(&connection(&settings)).map_err(|error| format!("kafka.properties: {error}"))?;
        let registry = match &settings.kafka.schema_registry {
            Some(remote) => Some(Arc::new(Registry::start(remote, &Handle::current())?)),
            None => None,
        };
        let (stop, stopping) = watch::channel(false);
        let wake_outbox = Arc::new(tokio::sync::Notify::new());
        let delivery = Arc::new(notify::outbox::Stats::default());
        let board = Arc::new(Board::default());
        let publisher = Arc::new(Publisher::new(
            &settings,
            catalog.clone(),
            clock.clone(),
            delivery.clone(),
            store.clone(),
            registry.clone(),
            board.clone(),
        ));
        let views = publisher.subscribe();

        let (reloads, mut reload_requests) = mpsc::channel::<serve::ReloadRequest>(1);
        let (intake, submissions) = Intake::new();
        let (orders, order_inbox) = Orders::new();
        let signer = notify::Signer::new(store.link_key());
        let (slack_apps, shown_apps) = watch::channel(notify::SlackApp::of(&settings)?.into());
        let shared = serve::Shared {
            view: views.clone(),
            reload: reloads.clone(),
            intake,
            orders,
            signer: signer.clone(),
            store: store.clone(),
            tokens: settings.serve.tokens.clone().into(),
            slack_apps: shown_apps,
        };
        let server = tokio::spawn(serve::run(listener, shared, stopped(stopping.clone())));
        let (mailroom, outbox) = Mailroom::open(
            store.clone(),
            targets(&settings, &catalog, &signer)?,
            wake_outbox.clone(),
            stopping.clone(),
            delivery,
        );

        let alert_log = match &settings.kafka.alert_log {
            Some(topic) => Some(AlertLog::start(
                connection(&settings),
                topic.clone(),
                store.clone(),
            )?),
            None => None,
        };
        let (commands, inbox) = channel();
        let to_supervisor = commands.clone();
        let reloader = tokio::spawn(async move {
            while let Some(request) = reload_requests.recv().await {
                if to_supervisor.send(Command::Reload(request)).is_err() {
                    return;
                }
            }
        });
        let publish = publisher.clone();
        let around = Arc::new(Surroundings {
            settings,
            store,
            clock,
            publish: Arc::new(move |report| publish.publish(report)),
            wake_outbox,
            inbox: submissions,
            orders: order_inbox,
            registry,
            board,
            heartbeat_ends: Arc::default(),
        });
        let (tell_end, ended) = oneshot::channel();
        let supervisor = Supervisor {
            around,
            publisher,
            catalog,
            mailroom,
            slack_apps,
            signer,
            commands: commands.clone(),
            inbox,
            deferred: VecDeque::new(),
            watches: 0,
        };
        std::thread::Builder::new()
            .name("supervise".to_owned())
            .spawn(move || {
                // Nobody listens any more only when the whole process ends.
                let _ = tell_end.send(supervisor.run());
            })
            .map_err(|error| format!("cannot start a thread: {error}"))?;
        Ok(Daemon {
            commands,
            views,
            reloads,
            ended,
            tasks: Tasks {
                stop,
                server,
                outbox,
                reloader,
            },
            alert_log,
        })
    }

    /// Runs until `stop` completes or a part fails, then ends cleanly with a last commit.
    ///
    /// # Errors
    /// In words, when a part failed.
    pub async fn run_until(mut self, stop: impl Future<Output = ()>) -> Result<(), String> {
        let ended = tokio::select! {
            () = stop => None,
            ended = &mut self.ended => Some(ended),
        };
        let ended = match ended {
            Some(ended) => ended,
            None => {
                tracing::info!("stopping");
                // A supervisor that has ended already has answered already.
                let _ = self.commands.send(Command::Stop);
                (&mut self.ended).await
            }
        };
        self.tasks.stop.send_replace(true);
        self.tasks.reloader.abort();
        let mut server = self.tasks.server;
        let server = match tokio::time::timeout(serve::LAST_ANSWERS, &mut server).await {
            Ok(server) => server,
            Err(_) => {
                server.abort();
                Ok(Ok(()))
            }
        };
        if let Err(error) = self.tasks.outbox.await {
            tracing::error!(%error, "the outbox failed");
        }
        match server {
            Ok(Err(error)) => tracing::error!(%error, "the server failed"),
            Err(error) => tracing::error!(%error, "the server failed"),
            Ok(Ok(())) => {}
        }
        // Last: it waits for Kafka, and takes what all others decided.
        if let Some(alert_log) = self.alert_log.take() {
            alert_log.end().await;
        }
        ended.unwrap_or_else(|_| Err("the supervisor thread failed".to_owned()))
    }

    /// What is shown, as it changes.
    pub fn views(&self) -> watch::Receiver<Arc<serve::View>> {
        self.views.clone()
    }

    /// Where reload requests go (SIGHUP).
    pub fn reloads(&self) -> mpsc::Sender<serve::ReloadRequest> {
        self.reloads.clone()
    }
}

async fn stopped(mut stopping: watch::Receiver<bool>) {
    // An error means that the sender is gone, which is a stop as well.
    let _ = stopping.wait_for(|stop| *stop).await;
}

/// Everybody who can be told.
fn targets(
    settings: &Settings,
    catalog: &Catalog,
    signer: &notify::Signer,
) -> Result<Vec<notify::Target>, String> {
    let wording = notify::Wording::of(settings, &catalog.calendar.timezone, Some(signer));
    notify::targets(settings, &wording)
}

struct Supervisor {
    around: Arc<Surroundings>,
    publisher: Arc<Publisher>,
    catalog: Arc<Catalog>,
    mailroom: Mailroom,
    /// Apps whose buttons are answered.
    slack_apps: watch::Sender<Arc<[notify::SlackApp]>>,
    signer: notify::Signer,
    commands: Sender<Command>,
    inbox: Receiver<Command>,
    /// What came while a start waited for partitions.
    deferred: VecDeque<Command>,
    /// Watches so far.
    watches: u64,
}

/// Watches partitions until it is dropped.
struct Watch {
    /// Keeps answers of an older catalogue's watch from being taken for this one's.
    number: u64,
    _stop: Sender<()>,
}

/// A backfill beside the pipeline; it ends when this is dropped.
struct Beside {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Drop for Beside {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// What a reload found.
struct Loaded {
    settings: Arc<Settings>,
    catalog: Arc<Catalog>,
    /// Whom notices go to, where that is somebody else, or in other words.
    recipients: Option<Recipients>,
    /// For whoever asked.
    summary: String,
}

/// Those who are told, ready to be written to.
struct Recipients {
    targets: Vec<notify::Target>,
    slack_apps: Arc<[notify::SlackApp]>,
}

/// What runs under one catalogue.
struct Running {
    pipeline: Pipeline,
    found: Vec<Found>,
    watch: Watch,
    beside: Option<Beside>,
}

impl Supervisor {
    fn run(mut self) -> Result<(), String> {
        let mut running = self.start(Totals::default())?;
        loop {
            // What it says when it ends is in the inbox by then.
            let beside_is_over = running
                .beside
                .as_ref()
                .is_some_and(|beside| beside.thread.is_finished());
            let next = match self.deferred.pop_front() {
                Some(command) => Ok(command),
                None => self.inbox.recv_timeout(LOOK_EVERY),
            };
            match next {
                // Of the watch of an older catalogue, whose sources have other numbers.
                Ok(Command::Discovered(number, _)) if number != running.watch.number => {}
                Ok(Command::Discovered(_, seen)) => {
                    let found = self.seen(seen);
                    if let Some(found) = found.filter(|found| !same_partitions(&running.found, found)) {
                        running = self.start_again(running, found)?;
                    }
                }
                Ok(Command::Reload(answer)) => match self.load() {
                    Ok(Loaded {
                        settings,
                        catalog,
                        recipients,
                        summary,
                    }) => {
                        let totals = running.stop()?;
                        // Before anything is decided by the new routes, and after everything by the old ones.
                        if let Some(Recipients { targets, slack_apps }) = recipients {
                            self.mailroom.exchange(targets);
                            self.slack_apps.send_replace(slack_apps);
                        }
                        self.around = Arc::new(Surroundings {
                            settings,
                            ..Surroundings::clone(&self.around)
                        });
                        self.catalog = catalog;
                        let declared = (self.catalog.clone(), &*self.around.settings);
                        self.publisher.reloaded(Some(declared));
                        running = self.start(totals)?;
                        tracing::info!(summary, "settings and catalogue reloaded");
                        let _ = answer.send(Ok(summary));
                    }
                    Err(diagnostics) => {
                        self.publisher.reloaded(None);
                        tracing::error!(
                            diagnostics,
                            "what is written now is wrong; what was read before stays"
                        );
                        let _ = answer.send(Err(diagnostics));
                    }
                },
                // What was told to end may have been near by then.
                Ok(Command::Backfilled(backfiller, _)) if backfiller.is_stopped() => {}
                Ok(Command::Backfilled(mut backfiller, followed)) => {
                    running.beside = None;
                    running = self.exchange(running, &mut backfiller, followed)?;
                }
                Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => {
                    return running.stop().map(|_| ());
                }
                Err(RecvTimeoutError::Timeout) => {
                    if running.pipeline.has_failed() || beside_is_over {
                        return running.stop().and(Err("a thread ended by itself".to_owned()));
                    }
                    // A backfill beside it ends with a start anyway.
                    if running.pipeline.is_worn() && running.beside.is_none() {
                        tracing::info!(
                            "starting from the state, free of dimension values that are no longer kept"
                        );
                        let found = running.found.clone();
                        running = self.start_again(running, found)?;
                    }
                }
            }
        }
    }

    /// Starts from the state. Sources may have other numbers than before: partitions are told anew by the new watch. A
    /// broker that answers soon is waited for, so that a large state is restored once.
    fn start(&mut self, totals: Totals) -> Result<Running, String> {
        let watch = self.watch()?;
        let found = self.first_look(&watch);
        let mut pipeline = Pipeline::start(&self.around, &self.catalog, &found, totals)?;
        let beside = self.beside(&mut pipeline)?;
        Ok(Running {
            pipeline,
            found,
            watch,
            beside,
        })
    }

    /// The partitions that a watch finds at first; none where that takes long, or somebody wants us to stop.
    fn first_look(&mut self, watch: &Watch) -> Vec<Found> {
        let until = Instant::now() + FIRST_LOOK_WITHIN;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.inbox.recv_timeout(left) {
                Ok(Command::Discovered(number, seen)) if number == watch.number => {
                    return self.seen(seen).unwrap_or_default();
                }
                Ok(Command::Discovered(..)) => {}
                Ok(command) => {
                    let is_last = matches!(command, Command::Stop);
                    self.deferred.push_back(command);
                    if is_last {
                        return Vec::new();
                    }
                }
                Err(_) => return Vec::new(),
            }
        }
    }

    /// Says what a watch saw; the partitions that there are, if a broker answered.
    fn seen(&self, seen: Result<Discovered, String>) -> Option<Vec<Found>> {
        match seen {
            Ok(discovered) => {
                self.publisher.discovered(&discovered);
                if !discovered.missing_topics.is_empty() {
                    let topics = discovered.missing_topics.join(", ");
                    tracing::warn!(topics, "topics do not exist yet; looking again");
                }
                if !discovered.partitions.is_empty() {
                    tracing::info!(partitions = discovered.partitions.len(), "reading");
                }
                Some(discovered.partitions)
            }
            Err(reason) => {
                self.publisher.broker_away(&reason);
                None
            }
        }
    }

    /// Ends the pipeline and what is beside it, and starts them from the state, over these partitions.
    fn start_again(&self, running: Running, mut found: Vec<Found>) -> Result<Running, String> {
        let Running {
            pipeline,
            found: read,
            watch,
            beside,
        } = running;
        drop(beside);
        let totals = pipeline.stop()?;
        let positions = self.around.store.positions().map_err(|error| error.to_string())?;
        catch_up_bounds(&mut found, &read, &positions);
        let mut pipeline = Pipeline::start(&self.around, &self.catalog, &found, totals)?;
        let beside = self.beside(&mut pipeline)?;
        Ok(Running {
            pipeline,
            found,
            watch,
            beside,
        })
    }

    /// Stops the running fold, lets a backfill read up to where it stands and take its place in the state, and starts
    /// from there.
    fn exchange(
        &mut self,
        running: Running,
        backfiller: &mut Backfiller,
        followed: Result<(), String>,
    ) -> Result<Running, String> {
        let totals = running.stop()?;
        match followed.and_then(|()| backfiller.finish()) {
            Ok(true) => {}
            Ok(false) => tracing::warn!("kafka is away; the backfill begins anew when it is back"),
            Err(reason) => tracing::warn!(reason, "the backfill begins anew"),
        }
        self.start(totals)
    }

    /// Reads again what a pipeline says, beside it.
    fn beside(&self, pipeline: &mut Pipeline) -> Result<Option<Beside>, String> {
        let Some(mut backfiller) = pipeline.take_backfiller() else {
            return Ok(None);
        };
        let stop = backfiller.stopper();
        let commands = self.commands.clone();
        let thread = std::thread::Builder::new()
            .name("backfill".to_owned())
            .spawn(move || {
                let followed = backfiller.follow();
                // Nobody listens any more only when the whole process ends.
                let _ = commands.send(Command::Backfilled(Box::new(backfiller), followed));
            })
            .map_err(|error| format!("cannot start a thread: {error}"))?;
        Ok(Some(Beside { stop, thread }))
    }

    /// What is written now. Settings that belong to the start stay as they are until the next one, and with them all
    /// others: they are meant together.
    fn load(&self) -> Result<Loaded, String> {
        let in_words = |diagnostics: Diagnostics| diagnostics.to_string();
        let read = settings::load(Some(&self.around.settings.file)).map_err(in_words)?;
        let mut settings = Arc::new(read);
        let catalog = load::load_dir(&settings.catalog).map_err(in_words)?;
        settings::suffice(&settings, &catalog).map_err(in_words)?;
        let mut summary = crate::cli::check::summary(&catalog);
        for doubt in settings::doubts(&settings, &catalog) {
            tracing::warn!(place = %doubt.place, message = doubt.message, "settings");
            summary.push_str(&format!("{doubt} (warning)\n"));
        }
        let parts = settings.parts_of_the_start(&self.around.settings);
        if !parts.is_empty() {
            let parts = parts.join(", ");
            tracing::warn!(
                parts,
                "settings changed that need a restart; until then the old ones stay, all of them"
            );
            summary.push_str(&format!(
                "settings stay as they were at the start: {parts} changed, and that needs a restart\n"
            ));
            settings = self.around.settings.clone();
        }
        let is_same = settings.receivers == self.around.settings.receivers
            && catalog.calendar.timezone == self.catalog.calendar.timezone;
        let recipients = match is_same {
            true => None,
            false => Some(Recipients {
                targets: targets(&settings, &catalog, &self.signer)?,
                slack_apps: notify::SlackApp::of(&settings)?.into(),
            }),
        };
        Ok(Loaded {
            settings,
            catalog: Arc::new(catalog),
            recipients,
            summary,
        })
    }

    fn watch(&mut self) -> Result<Watch, String> {
        let (stop, stopping) = channel();
        let (connection, catalog) = (connection(&self.around.settings), self.catalog.clone());
        self.watches += 1;
        let (commands, number) = (self.commands.clone(), self.watches);
        std::thread::Builder::new()
            .name("discover".to_owned())
            .spawn(move || {
                discovery::watch(&connection, &catalog, &stopping, |seen| {
                    commands.send(Command::Discovered(number, seen)).is_ok()
                });
            })
            .map_err(|error| format!("cannot start a thread: {error}"))?;
        Ok(Watch { number, _stop: stop })
    }
}

impl Running {
    /// Ends everything with a last commit.
    fn stop(self) -> Result<Totals, String> {
        let Running {
            pipeline,
            watch,
            beside,
            ..
        } = self;
        drop((watch, beside));
        pipeline.stop()
    }
}

/// What was read of a partition is in it: its end was asked for before the reading ended, and taken as it is, it would
/// make the partition look shorter than what was read of it, as that of a topic that was made anew.
fn catch_up_bounds(found: &mut [Found], read: &[Found], positions: &[Position]) {
    for part in found {
        let is_it = |position: &&Position| {
            (&position.topic, position.partition) == (&part.partition.0, part.partition.1)
        };
        let was_read = read.iter().any(|before| before.partition == part.partition);
        if let Some(position) = positions.iter().find(is_it).filter(|_| was_read) {
            part.high = part.high.max(position.next_offset);
        }
    }
}

fn same_partitions(a: &[Found], b: &[Found]) -> bool {
    a.iter()
        .map(|f| (f.source, &f.partition))
        .eq(b.iter().map(|f| (f.source, &f.partition)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::SourceId;

    #[test]
    fn a_partition_reaches_as_far_as_it_was_read_before_it_may_look_made_anew() {
        let found = |topic: &str, high| Found {
            source: SourceId(0),
            partition: (topic.into(), 0),
            low: 0,
            high,
        };
        let read_to = |topic: &str, next_offset| Position {
            topic: topic.into(),
            partition: 0,
            next_offset,
            newest_event_ms: None,
        };
        let mut now = vec![found("orders", 100), found("visits", 3), found("leads", 9)];
        let read = [found("orders", 40), found("leads", 9)];
        let positions = [read_to("orders", 120), read_to("visits", 50), read_to("leads", 7)];
        catch_up_bounds(&mut now, &read, &positions);
        // Nobody read visits in this process: what the broker says of it is newer than the position.
        assert_eq!(now, [found("orders", 120), found("visits", 3), found("leads", 9)]);
    }
}
