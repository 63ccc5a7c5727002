//! Kafka topics. Partitions are assigned by tautline itself, at the offsets of its own state: the state decides where
//! reading starts, and the group's committed offsets follow it, so that Kafka's tools show the lag.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Headers, OwnedMessage};
use rdkafka::statistics::Statistics;
use rdkafka::{ClientConfig, ClientContext, Message, Offset, TopicPartitionList};
use tautline_native::batch::{Batch, BatchQueue, Record};

use crate::decode;
use crate::state::Position;

/// The headers of a record that have a value, in order.
pub fn headers_of(message: &OwnedMessage) -> impl Iterator<Item = (&str, &[u8])> {
    let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
    headers.filter_map(|header| Some((header.key, header.value?)))
}

/// A record that was taken out of its batch, for decoding; `headers` are [its own](headers_of).
pub fn record_of<'m>(message: &'m OwnedMessage, headers: &'m [(&'m str, &'m [u8])]) -> decode::Record<'m> {
    decode::Record {
        topic: message.topic(),
        partition: message.partition(),
        offset: message.offset(),
        key: message.key(),
        payload: message.payload(),
        headers,
        timestamp_ms: message.timestamp().to_millis(),
    }
}

/// How long a request to the broker may take before the caller tries again later.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// What connects to the brokers.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Bootstrap servers.
    pub brokers: String,
    /// Consumer group whose offsets show the lag.
    pub group: String,
    /// Any further librdkafka setting, e.g. SASL and TLS.
    pub properties: BTreeMap<String, String>,
}

impl Connection {
    /// Settings of a client: what is usual, over it what the user sets, and over both what the code relies on.
    pub(crate) fn client(&self, usual: &[(&str, &str)], own: &[(&str, &str)]) -> ClientConfig {
        let users = self.properties.iter().map(|(key, value)| (&**key, &**value));
        let mut config = ClientConfig::new();
        for (key, value) in usual.iter().copied().chain(users).chain(own.iter().copied()) {
            config.set(key, value);
        }
        config.set("bootstrap.servers", &self.brokers);
        // The client's own log; what matters comes back as an error.
        config.set_log_level(RDKafkaLogLevel::Error);
        config
    }
}

/// A topic and a partition.
pub type TopicPartition = (Arc<str>, i32);

/// What the client's statistics say, about once a second.
#[derive(Debug, Default)]
struct Observed {
    broker_up: bool,
    ends: HashMap<TopicPartition, End>,
}

/// The end of a partition as last seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct End {
    /// Offset of the next record that will be written.
    pub high: i64,
    /// Whether the client stood at the end: with transactions the last offsets hold no record.
    pub reached: bool,
}

/// Receives statistics and errors from the client.
pub struct Context {
    observed: Mutex<Observed>,
}

impl Context {
    fn observed(&self) -> MutexGuard<'_, Observed> {
        self.observed
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl ClientContext for Context {
    fn stats(&self, statistics: Statistics) {
        let mut observed = self.observed();
        // Internal pseudo brokers have negative ids.
        observed.broker_up = statistics
            .brokers
            .values()
            .any(|broker| broker.nodeid >= 0 && broker.state == "UP");
        if !observed.broker_up {
            return;
        }
        for (name, topic) in &statistics.topics {
            for (number, partition) in topic.partitions.iter().filter(|(_, p)| p.hi_offset >= 0) {
                let high = partition.hi_offset;
                let reached = partition.fetchq_cnt == 0 && partition.eof_offset >= high;
                observed
                    .ends
                    .insert((name.as_str().into(), *number), End { high, reached });
            }
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        match error.rdkafka_error_code() {
            // Said once by the daemon, which knows for how long; the client repeats it for every broker and attempt.
            Some(RDKafkaErrorCode::AllBrokersDown | RDKafkaErrorCode::BrokerTransportFailure) => {
                self.observed().broker_up = false;
                tracing::debug!(%error, reason, "kafka connection lost");
            }
            _ => tracing::warn!(%error, reason, "kafka client error"),
        }
    }
}

impl ConsumerContext for Context {
    fn commit_callback(&self, result: rdkafka::error::KafkaResult<()>, _offsets: &TopicPartitionList) {
        if let Err(error) = result {
            tracing::debug!(%error, "group offsets not committed; the next commit brings them");
        }
    }
}

/// What a poll brought: some records, or none within the time given.
pub struct Polled<'a>(Batch<'a>);

impl Polled<'_> {
    /// Its records, in the order of their partitions.
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        self.0.iter().filter_map(|polled| {
            // Transport errors heal by themselves and show as a broker that is not up.
            let said = polled.inspect_err(|error| tracing::debug!(%error, "kafka poll"));
            said.ok()
        })
    }

    /// Number of records, errors of partitions among them.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing came.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Reads a set of partitions.
pub struct KafkaReader {
    /// Into which the assigned partitions deliver.
    queue: BatchQueue<Context>,
    /// Brings everything else: statistics, errors, commits.
    consumer: Arc<BaseConsumer<Context>>,
    assigned: Vec<TopicPartition>,
}

impl KafkaReader {
    /// A client with nothing assigned yet.
    ///
    /// # Errors
    /// When a property is unknown to librdkafka or contradicts another.
    pub fn connect(connection: &Connection) -> Result<KafkaReader, KafkaError> {
        let config = connection.client(
            &[
                // the default of 1000 stalls a reader that is slower than the broker
                ("fetch.queue.backoff.ms", "5"),
                ("queued.min.messages", "100000"),
                ("queued.max.messages.kbytes", "65536"),
                // Of one partition at a time; the first record comes whole, however large. What is fetched in pieces of many
                // megabytes lies in fresh pages, and clearing those cost a tenth of the daemon's time.
                ("fetch.message.max.bytes", "1048576"),
                ("reconnect.backoff.max.ms", "2000"),
                ("auto.offset.reset", "earliest"),
                ("isolation.level", "read_committed"),
            ],
            &[
                ("group.id", &connection.group),
                ("enable.auto.commit", "false"),
                ("enable.auto.offset.store", "false"),
                ("enable.partition.eof", "false"),
                ("statistics.interval.ms", "500"),
                ("log.connection.close", "false"),
            ],
        );
        // Until the first statistics arrive nothing speaks against it.
        let observed = Observed {
            broker_up: true,
            ends: HashMap::new(),
        };
        let context = Context {
            observed: Mutex::new(observed),
        };
        let consumer: Arc<BaseConsumer<Context>> = Arc::new(config.create_with_context(context)?);
        Ok(KafkaReader {
            queue: BatchQueue::new(consumer.clone())?,
            consumer,
            assigned: Vec::new(),
        })
    }

    /// Every partition of a topic; empty while the topic does not exist.
    ///
    /// # Errors
    /// When no broker answers.
    pub fn partitions(&self, topic: &str) -> Result<Vec<i32>, KafkaError> {
        let metadata = self.consumer.fetch_metadata(Some(topic), REQUEST_TIMEOUT)?;
        let found = metadata
            .topics()
            .iter()
            .filter(|found| found.name() == topic && found.error().is_none());
        Ok(found
            .flat_map(|found| found.partitions().iter().map(|partition| partition.id()))
            .collect())
    }

    /// Names of all topics that the client may see, without those that Kafka keeps for itself.
    ///
    /// # Errors
    /// When no broker answers.
    pub fn topics(&self) -> Result<Vec<String>, KafkaError> {
        let metadata = self.consumer.fetch_metadata(None, REQUEST_TIMEOUT)?;
        let names = metadata.topics().iter().map(|topic| topic.name().to_owned());
        let mut names: Vec<String> = names.filter(|name| !name.starts_with("__")).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Lowest and next offset of a partition, asked of its broker.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub fn bounds(&self, topic: &str, partition: i32) -> Result<(i64, i64), KafkaError> {
        self.consumer.fetch_watermarks(topic, partition, REQUEST_TIMEOUT)
    }

    /// The first offset of each partition whose record is of this time or later, in milliseconds since the epoch; `None`
    /// where there is no such record.
    ///
    /// # Errors
    /// When a broker does not answer.
    pub fn offsets_at(
        &self,
        partitions: &[TopicPartition],
        time_ms: i64,
    ) -> Result<Vec<(TopicPartition, Option<i64>)>, KafkaError> {
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for (topic, partition) in partitions {
            list.add_partition_offset(topic, *partition, Offset::Offset(time_ms))?;
        }
        let found = self.consumer.offsets_for_times(list, REQUEST_TIMEOUT)?;
        let mut offsets = Vec::with_capacity(partitions.len());
        for partition in partitions {
            let of = found.find_partition(&partition.0, partition.1);
            if let Some(of) = &of {
                of.error()?;
            }
            let offset = match of.map(|of| of.offset()) {
                Some(Offset::Offset(offset)) => Some(offset),
                _ => None,
            };
            offsets.push((partition.clone(), offset));
        }
        Ok(offsets)
    }

    /// Reads these partitions from now on, each from its offset.
    ///
    /// # Errors
    /// When the client refuses the list.
    pub fn assign(&mut self, starts: &[(TopicPartition, i64)]) -> Result<(), KafkaError> {
        let mut list = TopicPartitionList::with_capacity(starts.len());
        for ((topic, partition), offset) in starts {
            list.add_partition_offset(topic, *partition, Offset::Offset(*offset))?;
            // Before it is assigned: nothing of it comes in another way.
            self.queue.collect(topic, *partition)?;
        }
        self.consumer.assign(&list)?;
        self.assigned = starts.iter().map(|(partition, _)| partition.clone()).collect();
        Ok(())
    }

    /// The next records, waiting for the first of them at most `wait`.
    pub fn poll(&self, wait: Duration) -> Polled<'_> {
        match self.consumer.poll(Duration::ZERO) {
            None => {}
            Some(Err(error)) => tracing::debug!(%error, "kafka poll"),
            // It would be overtaken by the next one of its partition. The pipeline starts again from its state.
            Some(Ok(_)) => unreachable!("a record came past the queue of its partition"),
        }
        Polled(self.queue.take(wait))
    }

    /// Stops reading a partition; what was fetched of it and not handed out will be fetched again.
    ///
    /// # Errors
    /// When the client refuses.
    pub fn pause(&self, partition: &TopicPartition) -> Result<(), KafkaError> {
        self.consumer.pause(&list_of(partition))
    }

    /// Goes on reading a partition behind the last record that was handed out.
    ///
    /// # Errors
    /// When the client refuses.
    pub fn resume(&self, partition: &TopicPartition) -> Result<(), KafkaError> {
        self.consumer.resume(&list_of(partition))
    }

    /// Whether a broker is connected, as of the latest statistics.
    pub fn broker_up(&self) -> bool {
        self.consumer.context().observed().broker_up
    }

    /// The end of every assigned partition as last seen; missing while unknown.
    pub fn ends(&self) -> Vec<(TopicPartition, End)> {
        let observed = self.consumer.context().observed();
        let end = |partition: &TopicPartition| Some((partition.clone(), *observed.ends.get(partition)?));
        self.assigned.iter().filter_map(end).collect()
    }

    /// Tells the group how far the state is, without waiting. Only for people and their tools: tautline itself starts
    /// from its own state.
    pub fn publish_offsets<'p>(&self, positions: impl Iterator<Item = &'p Position>) {
        let mut list = TopicPartitionList::new();
        for position in positions {
            let offset = Offset::Offset(position.next_offset);
            if let Err(error) = list.add_partition_offset(&position.topic, position.partition, offset) {
                tracing::debug!(%error, "group offset not listed");
            }
        }
        if let Err(error) = self.consumer.commit(&list, CommitMode::Async) {
            tracing::debug!(%error, "group offsets not committed; the next commit brings them");
        }
    }
}

fn list_of((topic, partition): &TopicPartition) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(1);
    list.add_partition(topic, *partition);
    list
}
