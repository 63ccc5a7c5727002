//! What the daemon publishes for the server after every evaluation: cheap to build, read by every handler.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::backfills::Backfills;
use crate::alert::dispatch::route::{self, Routing};
use crate::alert::dispatch::silence::Silence;
use crate::alert::notice::Ack;
use crate::alert::record::{AlertState, Facts, Fingerprint, Labels, Telling};
use crate::catalog::{Catalog, Severity};
use crate::evaluate::weights::Book;
use crate::evaluate::{InstanceKey, Snapshot};
use crate::source::entry::Entry;
use crate::source::registry::Status;
use crate::words::Language;

/// Everything that is shown, at one moment.
#[derive(Clone, Debug)]
pub struct View {
    /// Rises with every published view; pages refresh when it does.
    pub version: u64,
    /// The catalogue in force, for definitions and rules.
    pub catalog: Arc<Catalog>,
    /// The numbers.
    pub snapshot: Arc<Snapshot>,
    /// Rules that cannot be evaluated, with where and why.
    pub rule_errors: Arc<BTreeMap<String, String>>,
    /// Every alert that is not inactive.
    pub alerts: Arc<[AlertView]>,
    /// The settings' language: what a reader gets who asks for none.
    pub language: Language,
    /// Whether the numbers are current.
    pub ready: ReadyState,
    /// The newest rejected events, newest first.
    pub newest_rejected: Arc<[Rejected]>,
    /// Every entry that people typed in.
    pub entries: Arc<Vec<Entry>>,
    /// Weights that were declared, proposed and decided.
    pub book: Arc<Book>,
    /// Silences, expired ones for a while too.
    pub silences: Arc<[Silence]>,
    /// Who is told what.
    pub routing: Arc<Routing>,
    /// Names of all receivers.
    pub receivers: Arc<[String]>,
    /// The address under which people reach the page.
    pub external_url: Option<Arc<str>>,
    /// Counters of the process.
    pub stats: Stats,
}

/// One alert as it is shown.
#[derive(Clone, Debug)]
pub struct AlertView {
    /// Name of the rule.
    pub rule: String,
    /// Drift kind, or the rule's name.
    pub kind: String,
    /// Severity now.
    pub severity: Severity,
    /// Where it stands; never [`AlertState::Inactive`].
    pub state: AlertState,
    /// Event time since when it is pending or firing.
    pub active_at: Timestamp,
    /// Identity.
    pub labels: Labels,
    /// Numbers now.
    pub facts: Facts,
    /// Identity, as a hash.
    pub fingerprint: Fingerprint,
    /// Id of the episode that runs, or ran last.
    pub episode: String,
    /// Who knows of it, or is to be told.
    pub tellings: Vec<Telling>,
    /// Who has taken it.
    pub ack: Option<Ack>,
}

impl AlertView {
    /// The labels that matchers see.
    pub fn matched_labels(&self) -> Labels {
        route::seen_by_matchers(&self.labels, self.severity, &self.kind)
    }

    /// Whether people have been told: firing, or clear but not yet for long enough.
    pub fn is_firing(&self) -> bool {
        matches!(self.state, AlertState::Firing | AlertState::Recovering { .. })
    }

    /// Who knows of it, or is to be told.
    pub fn receivers(&self) -> impl Iterator<Item = &str> {
        self.tellings.iter().map(|telling| telling.receiver.as_str())
    }

    /// Ids of the silences that hold it back.
    pub fn silenced_by(&self) -> Vec<&str> {
        self.held("silence ")
    }

    /// The alerts that explain it.
    pub fn inhibited_by(&self) -> Vec<&str> {
        self.held("explained by ")
    }

    /// The times in which somebody is not told.
    pub fn muted_by(&self) -> Vec<&str> {
        let all = self.tellings.iter().flat_map(Telling::muted_by);
        let found: std::collections::BTreeSet<&str> = all.collect();
        found.into_iter().collect()
    }

    fn held(&self, by: &str) -> Vec<&str> {
        let all = self.tellings.iter().flat_map(|telling| &telling.held);
        let found: std::collections::BTreeSet<&str> = all.filter_map(|held| held.strip_prefix(by)).collect();
        found.into_iter().collect()
    }

    /// Whether the alert is about this instance.
    pub fn concerns(&self, snapshot: &Snapshot, key: &InstanceKey) -> bool {
        let info = &snapshot.nodes[key.node.0 as usize];
        self.labels.get("node") == Some(&info.name)
            && info
                .each
                .iter()
                .zip(key.dimensions.iter())
                .all(|(name, value)| self.labels.get(name).is_some_and(|label| **label == **value))
    }
}

/// Whether the daemon is ready: it is when nothing stands against it.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ReadyState {
    /// Why it is not ready; empty when it is.
    pub reasons: Vec<NotReady>,
}

/// Something that stands against being ready.
#[derive(Clone, PartialEq, Debug)]
pub enum NotReady {
    /// The state has not been read yet, or no partition is assigned yet.
    Starting,
    /// None of the catalogue's topics exists yet.
    TopicsMissing {
        /// Their names.
        topics: Vec<String>,
    },
    /// History is being read; nobody is told anything until it is, or until that takes too long.
    CatchingUp {
        /// Records still to read; `None` while unknown.
        records_left: Option<u64>,
        /// Whether that takes so long that people are told all the same.
        is_overdue: bool,
    },
    /// No broker answers.
    BrokerAway {
        /// Since when, by the wall clock.
        since: Timestamp,
    },
    /// The schema registry does not answer, and partitions wait for it.
    RegistryAway {
        /// Since when, by the wall clock.
        since: Timestamp,
        /// What happened instead.
        reason: String,
        /// How many partitions wait.
        partitions: u64,
    },
    /// The last commit failed: what the database said.
    StateFailed(String),
}

impl NotReady {
    /// A word for machines.
    pub fn code(&self) -> &'static str {
        match self {
            NotReady::Starting => "starting",
            NotReady::TopicsMissing { .. } => "topics_missing",
            NotReady::CatchingUp { .. } => "catching_up",
            NotReady::BrokerAway { .. } => "broker_away",
            NotReady::RegistryAway { .. } => "registry_away",
            NotReady::StateFailed(_) => "state_failed",
        }
    }
}

/// An event that could not be used.
#[derive(Clone, PartialEq, Debug)]
pub struct Rejected {
    /// When it was read, by the wall clock.
    pub at: Timestamp,
    /// Name of the source.
    pub source: String,
    /// Kafka topic.
    pub topic: String,
    /// Partition of the topic.
    pub partition: i32,
    /// Offset in the partition.
    pub offset: i64,
    /// Reason as a word: `invalid_json`, `future`, …
    pub reason: String,
    /// What exactly was wrong, for people; may be empty.
    pub detail: String,
}

/// Counters and gauges of the process, all since its start.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Stats {
    /// When the process started, by the wall clock.
    pub started: Option<Timestamp>,
    /// How often rules are evaluated at least.
    pub evaluates_every: std::time::Duration,
    /// When the view was made, by the wall clock.
    pub now: Option<Timestamp>,
    /// Whether a broker answers.
    pub kafka_up: bool,
    /// Whether the last reload (or the first load) of the catalogue succeeded.
    pub config_last_reload_successful: bool,
    /// Topics that the catalogue names and the brokers do not have.
    pub missing_topics: Vec<String>,
    /// Events written to the dead-letter file.
    pub dead_letter_events: u64,
    /// Notices by receiver and outcome (`delivered`, `retried`, `dead`, …).
    pub notices: BTreeMap<(String, String), u64>,
    /// Time that notices have waited, by receiver and reason.
    pub notice_waits: BTreeMap<(String, &'static str), std::time::Duration>,
    /// Alerts of which their receiver did not hear in time.
    pub missed_notices: BTreeMap<String, u64>,
    /// Notices that wait for their delivery, by receiver.
    pub pending_notices: BTreeMap<String, u64>,
    /// Age of the oldest notice that is not delivered; 0 with an empty outbox, `None` while unknown.
    pub oldest_undelivered_seconds: Option<f64>,
    /// Lines that the alert log has yet to take; `None` where the settings name none.
    pub unlogged: Option<u64>,
    /// Whether this process leads several that keep the state together; `None` where it is alone.
    pub leads: Option<bool>,
    /// How the schema registry stands; `None` where the settings name none.
    pub registry: Option<Status>,
    /// What is read again from Kafka, and what was.
    pub backfills: Backfills,
    /// Time that commits took.
    pub commits: Histogram,
}

/// A histogram of durations with fixed bounds: cheap to copy into every view.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Histogram {
    counts: [u64; Self::BOUNDS.len() + 1],
    sum_seconds: f64,
}

impl Histogram {
    /// Upper bounds of the buckets, in seconds; one more bucket takes what is above.
    pub const BOUNDS: [f64; 11] = [
        0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0,
    ];

    /// Adds one duration.
    pub fn observe(&mut self, seconds: f64) {
        let bucket = Self::BOUNDS.partition_point(|bound| *bound < seconds);
        self.counts[bucket] += 1;
        self.sum_seconds += seconds;
    }

    /// Number of durations.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Their sum in seconds.
    pub fn sum_seconds(&self) -> f64 {
        self.sum_seconds
    }

    /// Upper bound and number of durations up to it, for every bound.
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        Self::BOUNDS
            .iter()
            .zip(&self.counts)
            .scan(0, |total, (bound, count)| {
                *total += count;
                Some((*bound, *total))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::Histogram;

    #[test]
    fn a_histogram_counts_up_to_its_bounds_inclusive() {
        let mut histogram = Histogram::default();
        for seconds in [0.0005, 0.003, 60.0] {
            histogram.observe(seconds);
        }
        let cumulative: Vec<_> = histogram.cumulative().collect();
        assert_eq!(cumulative[0], (0.0005, 1));
        assert_eq!(cumulative[2], (0.0025, 1));
        assert_eq!(cumulative[3], (0.005, 2));
        assert_eq!(cumulative[10], (5.0, 2));
        assert_eq!(histogram.count(), 3);
    }
}
