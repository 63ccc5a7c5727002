//! Heartbeats: topics whose records only say that a feed is alive. Nobody reads them: that their ends move is enough.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::error::KafkaError;

use crate::catalog::{Catalog, Source, SourceId};
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
        let heart = |source: &Source| Heart {
            beats: AtomicBool::new(false),
            is_away: AtomicBool::new(!source.heartbeats.is_empty()),
        };
        Heartbeats(catalog.sources.iter().map(heart).collect())
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
    /// In which they are asked for.
    order: VecDeque<String>,
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
            order: sources.keys().cloned().collect(),
            sources,
            missing: HashSet::new(),
        }
    }

    /// Says of every source one of whose topics has grown since the last look that it was heard, and of which a topic could
    /// not be asked for. Where one cannot, nobody waits for the others: they are asked for first next time.
    fn look(&mut self, asking: &Asking<'_>, heartbeats: &Heartbeats) {
        let mut away: HashSet<SourceId> = HashSet::new();
        let topics: Vec<String> = self.order.iter().cloned().collect();
        for topic in topics {
            let sources = &self.sources[&topic];
            let found = match away.is_empty() {
                true => has_grown(asking, &topic, &mut self.missing),
                false => None,
            };
            match found {
                Some(true) => {
                    let hearts = sources.iter().filter_map(|source| heartbeats.heart(*source));
                    hearts.for_each(|heart| heart.beats.store(true, Ordering::Relaxed));
                }
                Some(false) => {}
                None => {
                    if away.is_empty() {
                        self.order.retain(|other| *other != topic);
                        self.order.push_back(topic.clone());
                    }
                    for source in sources {
                        away.insert(*source);
                        if let Some(heart) = heartbeats.heart(*source) {
                            heart.is_away.store(true, Ordering::Relaxed);
                        }
                    }
                }
            }
        }
        for source in self
            .sources
            .values()
            .flatten()
            .filter(|source| !away.contains(source))
        {
            if let Some(heart) = heartbeats.heart(*source) {
                heart.is_away.store(false, Ordering::Relaxed);
            }
        }
    }
}

/// Whom to ask for the ends of topics.
struct Asking<'a> {
    reader: &'a KafkaReader,
    ends: &'a Ends,
    stop: &'a AtomicBool,
}

/// Whether a topic has grown since the last look; `None` where that cannot be asked. What there was at the first look came some
/// time before.
fn has_grown(asking: &Asking<'_>, topic: &str, missing: &mut HashSet<String>) -> Option<bool> {
    let failed = |error: KafkaError| tracing::debug!(%error, topic, "heartbeats cannot be asked for");
    let partitions = asking.reader.partitions(topic).map_err(failed).ok()?;
    if partitions.is_empty() {
        if missing.insert(topic.to_owned()) {
            tracing::warn!(
                topic,
                "no such topic: nothing is heard of the sources that name it as heartbeat"
            );
        }
        return Some(false);
    }
    // A topic that was made since has records of no time before.
    let is_new = missing.remove(topic);
    let mut has_grown = false;
    let mut is_whole = true;
    for partition in partitions {
        let Ok((low, high)) = asking.reader.bounds(topic, partition).map_err(failed) else {
            is_whole = false;
            break;
        };
        let mut ends = asking.ends.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody asks any more for what is heard here: the next one is to hear it.
        if asking.stop.load(Ordering::Relaxed) {
            return None;
        }
        let before = ends.insert((topic.to_owned(), partition), high);
        has_grown |= before.map_or(is_new && low < high, |before| before != high);
    }
    (has_grown || is_whole).then_some(has_grown)
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
        let asking = Asking {
            reader: &reader,
            ends,
            stop,
        };
        topics.look(&asking, heartbeats);
        let next = Instant::now() + LOOK_EVERY;
        while Instant::now() < next && !stop.load(Ordering::Relaxed) {
            std::thread::sleep(NOTICE_WITHIN);
        }
    }
}
