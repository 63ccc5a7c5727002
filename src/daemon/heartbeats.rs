//! Heartbeats: topics whose records only say that a feed is alive. Nobody reads them: that their ends move is enough.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::error::KafkaError;

use crate::catalog::{Catalog, SourceId};
use crate::source::kafka::{Connection, KafkaReader};

/// How often the ends are asked for.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How soon an ending pipeline is noticed.
const NOTICE_WITHIN: Duration = Duration::from_millis(200);

/// Sources of which a heartbeat was heard, by [`SourceId`].
#[derive(Debug, Default)]
pub(crate) struct Heartbeats(Vec<AtomicBool>);

impl Heartbeats {
    /// Of none yet.
    pub(crate) fn of(catalog: &Catalog) -> Heartbeats {
        Heartbeats(catalog.sources.iter().map(|_| AtomicBool::new(false)).collect())
    }

    /// Whether one was heard of a source since this was last asked.
    pub(crate) fn take(&self, source: SourceId) -> bool {
        let heard = self.0.get(source.0 as usize);
        heard.is_some_and(|heard| heard.swap(false, Ordering::Relaxed))
    }

    fn hear(&self, source: SourceId) {
        if let Some(heard) = self.0.get(source.0 as usize) {
            heard.store(true, Ordering::Relaxed);
        }
    }
}

/// The ends of the topics that sources name.
struct Ends {
    sources: BTreeMap<String, Vec<SourceId>>,
    /// By topic and partition, as last seen.
    ends: HashMap<(String, i32), i64>,
    missing: HashSet<String>,
}

impl Ends {
    fn of(catalog: &Catalog) -> Ends {
        let mut sources: BTreeMap<String, Vec<SourceId>> = BTreeMap::new();
        for (id, source) in (0..).map(SourceId).zip(&catalog.sources) {
            for topic in &source.heartbeats {
                sources.entry(topic.clone()).or_default().push(id);
            }
        }
        Ends {
            sources,
            ends: HashMap::new(),
            missing: HashSet::new(),
        }
    }

    /// Says of every source one of whose topics has grown since the last look that it was heard. What there was at the first
    /// look came some time before.
    fn look(&mut self, reader: &KafkaReader, heartbeats: &Heartbeats) -> Result<(), KafkaError> {
        for (topic, sources) in &self.sources {
            let partitions = reader.partitions(topic)?;
            if partitions.is_empty() {
                if self.missing.insert(topic.clone()) {
                    tracing::warn!(
                        topic,
                        "no such topic: nothing is heard of the sources that name it as heartbeat"
                    );
                }
                continue;
            }
            // A topic that was made since has records of no time before.
            let is_new = self.missing.remove(topic);
            for partition in partitions {
                let (low, high) = reader.bounds(topic, partition)?;
                let before = self.ends.insert((topic.clone(), partition), high);
                let has_grown = before.map_or(is_new && low < high, |before| before != high);
                if has_grown {
                    sources.iter().for_each(|source| heartbeats.hear(*source));
                }
            }
        }
        Ok(())
    }
}

/// Looks until told to stop; while no broker answers nothing is heard. Returns at once where no source names a topic.
pub(super) fn watch(
    connection: &Connection,
    catalog: &Catalog,
    heartbeats: &Heartbeats,
    stop: &Arc<AtomicBool>,
) {
    let mut ends = Ends::of(catalog);
    if ends.sources.is_empty() {
        return;
    }
    let reader = match KafkaReader::connect(connection) {
        Ok(reader) => reader,
        // The readers of the events say so as well, and end the start.
        Err(error) => return tracing::error!(%error, "kafka: heartbeats cannot be watched"),
    };
    while !stop.load(Ordering::Relaxed) {
        if let Err(error) = ends.look(&reader, heartbeats) {
            tracing::debug!(%error, "heartbeats cannot be asked for");
        }
        let next = Instant::now() + LOOK_EVERY;
        while Instant::now() < next && !stop.load(Ordering::Relaxed) {
            std::thread::sleep(NOTICE_WITHIN);
        }
    }
}
