//! Everything that topics hold, in the order in which it arrived, over all of their partitions. Reads without a trace: no
//! group follows it.
//!
//! A partition keeps its order; between partitions the record that arrived first goes first. So a few records of each are
//! in memory, not the topic.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use rdkafka::error::KafkaError;
use rdkafka::message::OwnedMessage;

use super::kafka::{Connection, KafkaReader, TopicPartition};
use super::sample::unknown;
use crate::catalog::{Catalog, SourceId};

/// How long a partition may bring nothing before it is given up.
const QUIET: Duration = Duration::from_secs(30);
/// Kilobytes that are fetched ahead, unless the operator says otherwise: of all partitions together, and of one at the
/// least and at most.
const AHEAD_KBYTES: usize = 256 * 1024;
const AHEAD_OF_ONE_KBYTES: (usize, usize) = (512, 8192);

/// First and next offset of partitions, as they were when they were first asked for: what is read twice is the same.
pub type Ends = BTreeMap<TopicPartition, (i64, i64)>;

/// A record with its place in time.
pub struct Arrived {
    /// Whose it is.
    pub source: SourceId,
    /// When it arrived, in milliseconds since the epoch: what its timestamp says, and never before what stands before it in
    /// its partition.
    pub at_ms: i64,
    /// The record.
    pub message: OwnedMessage,
}

/// What one partition has yet to bring.
struct Stretch {
    source: SourceId,
    partition: TopicPartition,
    reader: KafkaReader,
    /// Offset of the next record.
    next: i64,
    /// What stood at its end when the reading began; later records are left out.
    until: i64,
    /// When the last one arrived.
    at_ms: i64,
    waiting: VecDeque<Arrived>,
}

/// A reading of every partition of a catalogue's topics, up to where they end when it begins.
pub struct History {
    stretches: Vec<Stretch>,
    /// Partitions, empty ones too, by [`SourceId`].
    partitions: Vec<usize>,
    records: u64,
    brokers: String,
}

impl History {
    /// Finds the partitions of the topics of every source, and where they end, unless `ends` knows it.
    ///
    /// # Errors
    /// In words: no broker answers, or a topic is not there (with those that are near).
    pub fn open(connection: &Connection, catalog: &Catalog, ends: &mut Ends) -> Result<History, String> {
        let connect = |connection: &Connection| {
            KafkaReader::connect(connection).map_err(|error| format!("kafka.properties: {error}"))
        };
        let away = |error: KafkaError| {
            format!(
                "no broker answers at {}: {error}; see to kafka.brokers in the settings",
                connection.brokers
            )
        };
        let asking = connect(connection)?;
        let mut held = Vec::new();
        let mut partitions_of = vec![0; catalog.sources.len()];
        for (source, declared) in (0..).map(SourceId).zip(&catalog.sources) {
            for topic in &declared.topics {
                let partitions = asking.partitions(topic).map_err(away)?;
                if partitions.is_empty() {
                    let known = asking.topics().map_err(away)?;
                    return Err(unknown(topic, &connection.brokers, &known));
                }
                partitions_of[source.0 as usize] += partitions.len();
                for number in partitions {
                    let partition: TopicPartition = (topic.as_str().into(), number);
                    let (low, high) = match ends.get(&partition) {
                        Some(known) => *known,
                        None => asking.bounds(topic, number).map_err(away)?,
                    };
                    ends.insert(partition.clone(), (low, high));
                    if low < high {
                        held.push((source, partition, low, high));
                    }
                }
            }
        }
        let mut connection = connection.clone();
        let (least, most) = AHEAD_OF_ONE_KBYTES;
        let ahead = (AHEAD_KBYTES / held.len().max(1)).clamp(least, most);
        let property = "queued.max.messages.kbytes".to_owned();
        connection
            .properties
            .entry(property)
            .or_insert_with(|| ahead.to_string());
        let records: i64 = held.iter().map(|(.., low, high)| high - low).sum();
        let stretch = |(source, partition, low, high): (SourceId, TopicPartition, i64, i64)| {
            let mut reader = connect(&connection)?;
            reader.assign(&[(partition.clone(), low)]).map_err(away)?;
            Ok(Stretch {
                source,
                partition,
                reader,
                next: low,
                until: high,
                at_ms: i64::MIN,
                waiting: VecDeque::new(),
            })
        };
        Ok(History {
            stretches: held.into_iter().map(stretch).collect::<Result<_, String>>()?,
            records: records.unsigned_abs(),
            partitions: partitions_of,
            brokers: connection.brokers.clone(),
        })
    }

    /// How many partitions a source has.
    pub fn partitions(&self, source: SourceId) -> usize {
        self.partitions[source.0 as usize]
    }

    /// How many offsets there are to pass; with transactions and compaction some of them hold no record.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// The next record; `None` at the end.
    ///
    /// # Errors
    /// In words, when a partition brings nothing more although it has not ended.
    pub fn next_record(&mut self) -> Result<Option<Arrived>, String> {
        for stretch in &mut self.stretches {
            stretch.fill(&self.brokers)?;
        }
        let first = self
            .stretches
            .iter_mut()
            .filter(|stretch| !stretch.waiting.is_empty())
            .min_by_key(|stretch| stretch.waiting.front().map(|arrived| arrived.at_ms));
        Ok(first.and_then(|stretch| stretch.waiting.pop_front()))
    }
}

impl Stretch {
    /// Waits until a record is there, or the end.
    fn fill(&mut self, brokers: &str) -> Result<(), String> {
        let began = Instant::now();
        while self.waiting.is_empty() && self.next < self.until {
            let polled = self.reader.poll(Duration::from_millis(100));
            for record in polled.records() {
                let offset = record.offset();
                // What was written since is left out.
                if offset < self.until {
                    self.at_ms = self.at_ms.max(record.timestamp_ms().unwrap_or(self.at_ms));
                    self.waiting.push_back(Arrived {
                        source: self.source,
                        at_ms: self.at_ms,
                        message: record.detach(),
                    });
                }
                self.next = offset + 1;
            }
            if !polled.is_empty() {
                continue;
            }
            drop(polled);
            // The last offsets of a transaction hold no record: then the client says that it is at the end.
            if self.reader.ends().iter().any(|(_, end)| end.reached) {
                self.next = self.until;
            } else if began.elapsed() > QUIET {
                let (topic, number) = &self.partition;
                return Err(format!(
                    "partition {number} of topic '{topic}' has brought nothing for {} s at offset {} of {}; is the broker at {brokers} there, and may this client read the topic? (kafka.properties)",
                    QUIET.as_secs(),
                    self.next,
                    self.until
                ));
            }
        }
        Ok(())
    }
}
