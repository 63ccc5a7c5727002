//! Heartbeats: topics whose records only say that a feed is alive. Nobody reads them: that their ends move is enough.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::error::KafkaError;

use crate::catalog::{Catalog, SourceId};
use crate::source::kafka::{Connection, KafkaReader};

/// How often the ends are asked for.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How soon an ending pipeline is noticed.
const NOTICE_WITHIN: Duration = Duration::from_millis(200);

/// What is known of the heartbeats of each source, by [`SourceId`].
#[derive(Debug, Default)]
pub(crate) struct Heartbeats(Vec<Heart>);

#[derive(Debug, Default)]
struct Heart {
    /// Whether one was heard since that was last asked.
    beats: AtomicBool,
    /// Whether nobody could ask for one of its topics.
    is_away: AtomicBool,
}

impl Heartbeats {
    /// Of none yet.
    pub(crate) fn of(catalog: &Catalog) -> Heartbeats {
        Heartbeats(catalog.sources.iter().map(|_| Heart::default()).collect())
    }

    /// Whether one was heard of a source since this was last asked.
    pub(crate) fn take(&self, source: SourceId) -> bool {
        let heart = self.0.get(source.0 as usize);
        heart.is_some_and(|heart| heart.beats.swap(false, Ordering::Relaxed))
    }

    /// Whether one would have been heard of a source that has any.
    pub(crate) fn are_known(&self, source: SourceId) -> bool {
        let heart = self.0.get(source.0 as usize);
        heart.is_none_or(|heart| !heart.is_away.load(Ordering::Relaxed))
    }

    fn heart(&self, source: SourceId) -> Option<&Heart> {
        self.0.get(source.0 as usize)
    }
}

/// Where the topics ended that sources name, by topic and partition. Lives as long as the process: a beat during a reload is
/// heard after it.
pub(crate) type Ends = Arc<Mutex<HashMap<(String, i32), i64>>>;

/// The topics that sources name.
struct Topics {
    sources: BTreeMap<String, Vec<SourceId>>,
    missing: HashSet<String>,
}

impl Topics {
    fn of(catalog: &Catalog) -> Topics {
        let mut sources: BTreeMap<String, Vec<SourceId>> = BTreeMap::new();
        for (id, source) in (0..).map(SourceId).zip(&catalog.sources) {
            for topic in &source.heartbeats {
                sources.entry(topic.clone()).or_default().push(id);
            }
        }
        Topics {
            sources,
            missing: HashSet::new(),
        }
    }

    /// Says of every source one of whose topics has grown since the last look that it was heard, and of which a topic could
    /// not be asked for.
    fn look(&mut self, reader: &KafkaReader, ends: &Ends, heartbeats: &Heartbeats) {
        let mut away: HashSet<SourceId> = HashSet::new();
        for (topic, sources) in &self.sources {
            match has_grown(reader, topic, ends, &mut self.missing) {
                Ok(true) => {
                    let hearts = sources.iter().filter_map(|source| heartbeats.heart(*source));
                    hearts.for_each(|heart| heart.beats.store(true, Ordering::Relaxed));
                }
                Ok(false) => {}
                Err(error) => {
                    tracing::debug!(%error, topic, "heartbeats cannot be asked for");
                    away.extend(sources.iter().copied());
                }
            }
        }
        for source in self.sources.values().flatten() {
            if let Some(heart) = heartbeats.heart(*source) {
                heart.is_away.store(away.contains(source), Ordering::Relaxed);
            }
        }
    }
}

/// Whether a topic has grown since the last look. What there was at the first one came some time before.
fn has_grown(
    reader: &KafkaReader,
    topic: &str,
    ends: &Ends,
    missing: &mut HashSet<String>,
) -> Result<bool, KafkaError> {
    let partitions = reader.partitions(topic)?;
    if partitions.is_empty() {
        if missing.insert(topic.to_owned()) {
            tracing::warn!(
                topic,
                "no such topic: nothing is heard of the sources that name it as heartbeat"
            );
        }
        return Ok(false);
    }
    // A topic that was made since has records of no time before.
    let is_new = missing.remove(topic);
    let mut has_grown = false;
    let mut failed = None;
    for partition in partitions {
        match reader.bounds(topic, partition) {
            Ok((low, high)) => {
                let mut ends = ends.lock().unwrap_or_else(PoisonError::into_inner);
                let before = ends.insert((topic.to_owned(), partition), high);
                has_grown |= before.map_or(is_new && low < high, |before| before != high);
            }
            Err(error) => failed = Some(error),
        }
    }
    match failed {
        Some(error) if !has_grown => Err(error),
        _ => Ok(has_grown),
    }
}

/// Looks until told to stop; while no broker answers nothing is heard. Returns at once where no source names a topic.
pub(super) fn watch(
    connection: &Connection,
    catalog: &Catalog,
    ends: &Ends,
    heartbeats: &Heartbeats,
    stop: &Arc<AtomicBool>,
) {
    let mut topics = Topics::of(catalog);
    if topics.sources.is_empty() {
        return;
    }
    let reader = match KafkaReader::connect(connection) {
        Ok(reader) => reader,
        // The readers of the events say so as well, and end the start.
        Err(error) => return tracing::error!(%error, "kafka: heartbeats cannot be watched"),
    };
    while !stop.load(Ordering::Relaxed) {
        topics.look(&reader, ends, heartbeats);
        let next = Instant::now() + LOOK_EVERY;
        while Instant::now() < next && !stop.load(Ordering::Relaxed) {
            std::thread::sleep(NOTICE_WITHIN);
        }
    }
}
