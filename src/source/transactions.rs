//! Writes records to Kafka in transactions: all of them or none, and nobody else under the same name. Whoever begins under a
//! name fences whoever wrote under it before: Kafka takes nothing from it any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::{ClientContext, Message, Offset, TopicPartitionList};

use super::kafka::Connection;

/// How long one request may take before it is made again.
const REQUEST: Duration = Duration::from_secs(2);
/// How long one look at what becomes of records takes.
const LOOK: Duration = Duration::from_millis(200);
/// How long records wait for brokers while none of them arrives, before somebody is told that they are not there.
const RECORDS_WAIT: Duration = Duration::from_secs(5);
/// How long the end of a transaction is waited for whose records are there. Less than what Kafka gives one.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long Kafka lets a transaction be open before it ends it.
const TRANSACTION: Duration = Duration::from_secs(60);
/// How long whoever begins waits for Kafka to end what the one before had begun.
const TAKE_OVER: Duration = Duration::from_secs(15);

/// A record to be written.
pub struct Outgoing<'a> {
    /// Where to; `None`: where its key says.
    pub partition: Option<i32>,
    /// Its key.
    pub key: &'a str,
    /// Its value; `None` for a tombstone.
    pub value: Option<&'a [u8]>,
}

/// Why records were not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// None of them is there.
    #[error("{0}")]
    Refused(String),
    /// Somebody else writes under the name now.
    #[error("another process writes now: {0}")]
    Fenced(String),
    /// Kafka did not say whether they are there.
    #[error("kafka did not say whether it took them: {0}")]
    Unknown(String),
}

/// Remembers how far the topic reaches.
struct Delivered {
    /// Behind the last record that arrived.
    next_offset: Arc<AtomicI64>,
}

impl ClientContext for Delivered {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(facility, message, "kafka, writing");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "kafka, writing");
    }
}

impl ProducerContext for Delivered {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        // What failed makes its transaction fail.
        if let Ok(message) = result {
            self.next_offset
                .fetch_max(message.offset() + 1, Ordering::Relaxed);
        }
    }
}

/// Writes to one topic.
pub struct Transactions {
    producer: BaseProducer<Delivered>,
    topic: String,
    next_offset: Arc<AtomicI64>,
    /// A transaction that failed has to be ended before the next one begins.
    must_abort: bool,
    /// Keeps a number beside the records, where one is to be kept.
    numbered: Option<BaseConsumer>,
}

impl Transactions {
    /// Begins to write under a name.
    ///
    /// # Errors
    /// In words: the client refuses its settings, or no broker answers.
    pub fn begin(connection: &Connection, topic: &str, name: &str) -> Result<Transactions, String> {
        let config = connection.client(
            &[
                ("compression.type", "zstd"),
                ("linger.ms", "0"),
                ("queue.buffering.max.messages", "1000000"),
            ],
            &[
                ("transactional.id", name),
                ("transaction.timeout.ms", &TRANSACTION.as_millis().to_string()),
                ("enable.idempotence", "true"),
            ],
        );
        let next_offset = Arc::new(AtomicI64::new(0));
        let context = Delivered {
            next_offset: next_offset.clone(),
        };
        let producer: BaseProducer<Delivered> = config
            .create_with_context(context)
            .map_err(|error| error.to_string())?;
        let until = Instant::now() + TAKE_OVER;
        loop {
            match producer.init_transactions(REQUEST) {
                Ok(()) => break,
                Err(KafkaError::Transaction(error)) if error.is_retriable() && Instant::now() < until => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(Transactions {
            producer,
            topic: topic.to_owned(),
            next_offset,
            must_abort: false,
            numbered: None,
        })
    }

    /// Keeps a number with every transaction from now on, as the offset of a consumer group of this name: it is written with
    /// the records or not at all. Returns the last one.
    ///
    /// # Errors
    /// In words: no broker answers.
    pub fn number(&mut self, connection: &Connection, group: &str) -> Result<Option<i64>, String> {
        let config = connection.client(
            &[],
            &[
                ("group.id", group),
                ("isolation.level", "read_committed"),
                ("enable.auto.commit", "false"),
            ],
        );
        let consumer: BaseConsumer = config.create().map_err(|error| error.to_string())?;
        let mut asked = TopicPartitionList::new();
        asked.add_partition(&self.topic, 0);
        let kept = consumer
            .committed_offsets(asked, REQUEST)
            .map_err(|error| error.to_string())?;
        let last = kept
            .find_partition(&self.topic, 0)
            .and_then(|partition| match partition.offset() {
                Offset::Offset(number) => Some(number),
                _ => None,
            });
        self.numbered = Some(consumer);
        Ok(last)
    }

    /// Writes records, and the number up to which everything is written if one is kept. Returns the offset behind the last
    /// record of the topic's partition, where it has one.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn write<'a>(
        &mut self,
        records: impl IntoIterator<Item = Outgoing<'a>>,
        number: i64,
    ) -> Result<i64, WriteError> {
        if self.must_abort {
            let ended = self.until_done(RECORDS_WAIT, |producer| producer.abort_transaction(LOOK));
            ended.map_err(WriteError::before_the_end)?;
            self.must_abort = false;
        }
        self.producer.begin_transaction().map_err(|error| match error {
            KafkaError::Transaction(error) if error.is_fatal() => WriteError::Fenced(error.to_string()),
            error => WriteError::Refused(error.to_string()),
        })?;
        self.must_abort = true;
        for record in records {
            self.send(&record)?;
        }
        if let Some(consumer) = &self.numbered {
            let mut list = TopicPartitionList::new();
            let group = consumer.group_metadata();
            list.add_partition_offset(&self.topic, 0, Offset::Offset(number))
                .map_err(|error| WriteError::Refused(error.to_string()))?;
            let group = group.ok_or_else(|| WriteError::Refused("the client has no group".to_owned()))?;
            let kept = self.until_done(RECORDS_WAIT, |producer| {
                producer.send_offsets_to_transaction(&list, &group, REQUEST)
            });
            kept.map_err(WriteError::before_the_end)?;
        }
        // While they are not there, nothing is: what Kafka says of the end alone leaves it open.
        let there = self.until_done(RECORDS_WAIT, |producer| producer.flush(LOOK));
        there.map_err(WriteError::before_the_end)?;
        self.until_done(PATIENCE, |producer| producer.commit_transaction(REQUEST))?;
        self.must_abort = false;
        Ok(self.next_offset.load(Ordering::Relaxed))
    }

    /// Asks until it is done, or somebody else writes, or it takes too long.
    fn until_done(
        &self,
        patience: Duration,
        ask: impl Fn(&BaseProducer<Delivered>) -> Result<(), KafkaError>,
    ) -> Result<(), WriteError> {
        let mut until = Instant::now() + patience;
        let mut waiting = self.producer.in_flight_count();
        loop {
            // Nobody else hears what became of the records, and an abort waits until somebody has heard it.
            self.producer.poll(Duration::ZERO);
            let asked = ask(&self.producer);
            // A slow link is not one that is away.
            let left = self.producer.in_flight_count();
            if left < waiting {
                (waiting, until) = (left, Instant::now() + patience);
            }
            match asked {
                Ok(()) => return Ok(()),
                Err(KafkaError::Transaction(error)) if error.is_fatal() => {
                    return Err(WriteError::Fenced(error.to_string()));
                }
                Err(KafkaError::Transaction(error)) if error.txn_requires_abort() => {
                    return Err(WriteError::Refused(error.to_string()));
                }
                Err(KafkaError::Transaction(error)) if !error.is_retriable() => {
                    return Err(WriteError::Unknown(error.to_string()));
                }
                Err(error) if Instant::now() >= until => return Err(WriteError::Unknown(error.to_string())),
                Err(_) => {}
            }
        }
    }

    fn send(&self, outgoing: &Outgoing<'_>) -> Result<(), WriteError> {
        let mut record: BaseRecord<'_, str, [u8]> = BaseRecord::to(&self.topic).key(outgoing.key);
        record.partition = outgoing.partition;
        record.payload = outgoing.value;
        let until = Instant::now() + RECORDS_WAIT;
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                    if Instant::now() < until =>
                {
                    record = back;
                    self.producer.poll(Duration::from_millis(20));
                }
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::Fatal), _)) => {
                    let why = self.producer.client().fatal_error();
                    return Err(WriteError::Fenced(why.map_or_else(String::new, |(_, why)| why)));
                }
                Err((error, _)) => return Err(WriteError::Refused(error.to_string())),
            }
        }
    }
}

impl WriteError {
    /// Of a step before the end of a transaction: nothing is there until that.
    fn before_the_end(self) -> WriteError {
        match self {
            WriteError::Unknown(reason) => WriteError::Refused(reason),
            other => other,
        }
    }
}
