//! Turns what the evaluator reports into the view that the server shows, and says changes of health once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::watch;

use super::backfill::Board;
use super::clock::Clock;
use super::discovery::Discovered;
use super::evaluator::Report;
use crate::alert::dispatch::route::Routing;
use crate::alert::identity::episode_id;
use crate::alert::record::{AlertRecord, AlertState};
use crate::catalog::Catalog;
use crate::notify::outbox;
use crate::serve::{AlertView, NotReady, ReadyState, Stats, View};
use crate::settings::Settings;
use crate::source::registry::{Registry, Status};
use crate::state::Store;

pub(super) struct Publisher {
    view: watch::Sender<Arc<View>>,
    clock: Arc<dyn Clock>,
    delivery: Arc<outbox::Stats>,
    store: Store,
    registry: Option<Arc<Registry>>,
    board: Arc<Board>,
    known: Mutex<Known>,
}

/// What is remembered between two reports.
struct Known {
    catalog: Arc<Catalog>,
    routing: Arc<Routing>,
    /// Names of all receivers.
    receivers: Arc<[String]>,
    stats: Stats,
    /// The last records of alerts, and what is shown of them.
    alerts: (Arc<[AlertRecord]>, Arc<[AlertView]>),
    away_since: Option<Timestamp>,
    missing_topics: Vec<String>,
    /// Whether there is anything to read, as far as the broker said.
    found_partitions: bool,
    caught_up: bool,
    /// Whether it was said that people are told before it is.
    overdue_said: bool,
    /// When the last line of life was written, and how many events had been read by then.
    said: (Instant, u64),
}

/// How often a daemon that is well says so.
const LINE_OF_LIFE_EVERY: Duration = Duration::from_secs(60);

impl Publisher {
    pub(super) fn new(
        settings: &Settings,
        catalog: Arc<Catalog>,
        clock: Arc<dyn Clock>,
        delivery: Arc<outbox::Stats>,
        store: Store,
        registry: Option<Arc<Registry>>,
        board: Arc<Board>,
    ) -> Publisher {
        let stats = Stats {
            kafka_up: true,
            config_last_reload_successful: true,
            started: Some(clock.now()),
            evaluates_every: settings.evaluate_every,
            leads: store.is_replicated().then_some(true),
            unlogged: settings.kafka.alert_log.is_some().then_some(0),
            ..Stats::default()
        };
        let view = View {
            version: 0,
            catalog: catalog.clone(),
            snapshot: Arc::default(),
            rule_errors: Arc::default(),
            alerts: Arc::from([]),
            language: settings.language,
            ready: ReadyState {
                reasons: vec![NotReady::Starting],
            },
            newest_rejected: Arc::from([]),
            entries: Arc::default(),
            book: Arc::default(),
            silences: Arc::from([]),
            routing: settings.routing.clone(),
            receivers: settings.receivers.keys().cloned().collect(),
            external_url: settings.serve.external_url.as_deref().map(Arc::from),
            stats: stats.clone(),
        };
        let known = Known {
            catalog,
            routing: settings.routing.clone(),
            receivers: view.receivers.clone(),
            stats,
            alerts: (Arc::from([]), Arc::from([])),
            away_since: None,
            missing_topics: Vec::new(),
            found_partitions: false,
            caught_up: false,
            overdue_said: false,
            said: (Instant::now(), 0),
        };
        Publisher {
            view: watch::Sender::new(Arc::new(view)),
            clock,
            delivery,
            store,
            registry,
            board,
            known: Mutex::new(known),
        }
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Arc<View>> {
        self.view.subscribe()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new catalogue and new settings are in force, or (`None`) what was written was refused.
    pub(super) fn reloaded(&self, declared: Option<(Arc<Catalog>, &Settings)>) {
        let mut known = self.known();
        known.stats.config_last_reload_successful = declared.is_some();
        if let Some((catalog, settings)) = declared {
            known.catalog = catalog;
            known.routing = settings.routing.clone();
            known.receivers = settings.receivers.keys().cloned().collect();
            known.stats.evaluates_every = settings.evaluate_every;
        }
    }

    /// The broker answered.
    pub(super) fn discovered(&self, discovered: &Discovered) {
        let mut known = self.known();
        self.broker(&mut known, true, "");
        known.missing_topics.clone_from(&discovered.missing_topics);
        known.found_partitions = !discovered.partitions.is_empty();
    }

    /// No broker answered at the start.
    pub(super) fn broker_away(&self, reason: &str) {
        self.broker(&mut self.known(), false, reason);
    }

    fn broker(&self, known: &mut Known, up: bool, reason: &str) {
        known.stats.kafka_up = up;
        match (up, known.away_since) {
            (false, None) => {
                known.away_since = Some(self.clock.now());
                tracing::warn!(reason, "kafka is away; reading goes on by itself when it is back");
            }
            (true, Some(since)) => {
                known.away_since = None;
                let away = self.clock.now().duration_since(since);
                tracing::info!(away_seconds = away.as_secs(), "kafka is back");
            }
            _ => {}
        }
    }

    /// Publishes the next view.
    pub(super) fn publish(&self, report: Report) {
        let mut known = self.known();
        // Before partitions are known only discovery can say whether the broker is there.
        if report.has_partitions {
            self.broker(&mut known, report.broker_up, "no broker connected");
        }
        if report.caught_up && !known.caught_up {
            known.caught_up = true;
            tracing::info!("caught up with what was there at the start");
        }
        if report.is_overdue && !known.overdue_said {
            tracing::warn!(
                partitions_behind = report.partitions_behind,
                "history is not read within alerts.catchup_max; people are told all the same, with a mark"
            );
        }
        known.overdue_said = report.is_overdue;
        if let Some(seconds) = report.commit_seconds {
            known.stats.commits.observe(seconds);
        }
        known.stats.dead_letter_events += report.new_dead_letters;
        known.stats.notices = self.delivery.by_receiver_and_outcome();
        known.stats.notice_waits = self.delivery.waits();
        known.stats.missed_notices = self.delivery.missed();
        known.stats.pending_notices = self.pending_notices();
        known.stats.oldest_undelivered_seconds = self.store.oldest_undelivered().ok().map(|since| {
            since.map_or(0.0, |since| {
                self.clock.now().duration_since(since).as_secs_f64().max(0.0)
            })
        });
        if known.stats.unlogged.is_some() {
            known.stats.unlogged = self.store.unlogged_count().ok();
        }
        known.stats.backfills = self.board.read();
        known.stats.missing_topics = known.missing_topics.clone();
        known.stats.registry = self.registry.as_ref().map(|registry| registry.status());
        known.stats.now = Some(self.clock.now());
        line_of_life(&mut known, &report);
        let mut reasons = Vec::new();
        if let Some(since) = known.away_since {
            reasons.push(NotReady::BrokerAway { since });
        } else if !report.has_partitions && (known.found_partitions || known.missing_topics.is_empty()) {
            reasons.push(NotReady::Starting);
        } else if !report.has_partitions {
            let topics = known.missing_topics.clone();
            reasons.push(NotReady::TopicsMissing { topics });
        } else if report.partitions_behind > 0 {
            let lags = report.snapshot.sources.iter().map(|source| source.lag_records);
            reasons.push(NotReady::CatchingUp {
                records_left: lags.sum(),
                is_overdue: report.is_overdue,
            });
        }
        reasons.extend(known.stats.registry.as_ref().and_then(registry_away));
        if let Some(error) = report.commit_error {
            reasons.push(NotReady::StateFailed(error));
        }
        if !Arc::ptr_eq(&known.alerts.0, &report.alerts) {
            let views = report.alerts.iter();
            let views = views.filter_map(|record| alert_view(record, self.store.id()));
            known.alerts = (report.alerts.clone(), views.collect());
        }
        let view = View {
            version: self.view.borrow().version + 1,
            catalog: known.catalog.clone(),
            snapshot: report.snapshot,
            rule_errors: report.rule_errors,
            alerts: known.alerts.1.clone(),
            language: self.view.borrow().language,
            ready: ReadyState { reasons },
            newest_rejected: report.rejected.into(),
            entries: report.entries,
            book: report.book,
            silences: report.silences.into(),
            routing: known.routing.clone(),
            receivers: known.receivers.clone(),
            external_url: self.view.borrow().external_url.clone(),
            stats: known.stats.clone(),
        };
        self.view.send_replace(Arc::new(view));
    }
}

impl Publisher {
    /// Notices that wait, of every receiver that there is: one for whom none waits is 0.
    fn pending_notices(&self) -> BTreeMap<String, u64> {
        let receivers = self.view.borrow().receivers.clone();
        let mut all: BTreeMap<String, u64> = receivers.iter().map(|name| (name.clone(), 0)).collect();
        all.extend(self.store.pending_counts().unwrap_or_default());
        all
    }
}

/// Whether partitions wait because the registry does not answer.
fn registry_away(status: &Status) -> Option<NotReady> {
    let partitions = status.held.values().sum();
    let (since, reason) = status.away.clone()?;
    (partitions > 0).then_some(NotReady::RegistryAway {
        since,
        reason,
        partitions,
    })
}

/// One line a minute: enough to see in a log that all is well, and where it stood when it was not.
fn line_of_life(known: &mut Known, report: &Report) {
    if known.said.0.elapsed() < LINE_OF_LIFE_EVERY {
        return;
    }
    let sources = &report.snapshot.sources;
    let read: u64 = sources.iter().flat_map(|source| source.outcomes.values()).sum();
    let firing =
        |record: &&AlertRecord| matches!(record.state, AlertState::Firing | AlertState::Recovering { .. });
    tracing::info!(
        events = read.saturating_sub(known.said.1),
        lag_records = sources
            .iter()
            .map(|source| source.lag_records)
            .sum::<Option<u64>>(),
        watermark = report.snapshot.watermark.map(tracing::field::display),
        firing = report.alerts.iter().filter(firing).count(),
        undelivered_seconds = known.stats.oldest_undelivered_seconds,
        "running"
    );
    known.said = (Instant::now(), read);
}

fn alert_view(record: &AlertRecord, store_id: &str) -> Option<AlertView> {
    let active_at = match record.state {
        AlertState::Inactive => return None,
        AlertState::Pending { since } => since,
        AlertState::Firing | AlertState::Recovering { .. } => record.fired_at?,
    };
    Some(AlertView {
        rule: record.rule.clone(),
        kind: record.kind.clone(),
        severity: record.severity,
        state: record.state,
        active_at,
        labels: record.labels.clone(),
        facts: record.facts.clone(),
        fingerprint: record.fingerprint,
        episode: episode_id(store_id, record.fingerprint, record.episodes),
        tellings: record.told.tellings.clone(),
        ack: record.told.ack.clone(),
    })
}
