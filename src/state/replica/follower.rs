//! Reads the topic of a replicated state, in order, up to its end and on.

use std::time::{Duration, Instant};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use rdkafka::{ClientConfig, ClientContext, Offset, TopicPartitionList};

use crate::source::kafka::Connection;

/// How long a request may take.
const REQUEST: Duration = Duration::from_secs(5);

/// The end of the topic is no error, and a broker that is away is said by whoever follows.
struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(facility, message, "kafka, following the state");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "kafka, following the state");
    }
}

impl ConsumerContext for Quiet {}

/// Reads one partition.
pub(super) struct Follower {
    consumer: BaseConsumer<Quiet>,
    topic: String,
}

/// What a look brought.
pub(super) enum Seen<'a> {
    /// A record.
    Record(Box<BorrowedMessage<'a>>),
    /// Everything that is committed has been read.
    End,
    /// Nothing within the time given.
    Nothing,
}

impl Follower {
    /// Reads from an offset on.
    ///
    /// # Errors
    /// In words: the client refuses its settings, no broker answers, or the topic does not reach that far.
    pub(super) fn from(connection: &Connection, topic: &str, offset: i64) -> Result<Follower, String> {
        let mut config = ClientConfig::new();
        for (key, value) in &connection.properties {
            config.set(key, value);
        }
        config
            .set("bootstrap.servers", &connection.brokers)
            .set("group.id", format!("{topic}.follower"))
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "error")
            .set("isolation.level", "read_committed");
        config.set_log_level(rdkafka::config::RDKafkaLogLevel::Error);
        let consumer: BaseConsumer<Quiet> = config
            .create_with_context(Quiet)
            .map_err(|error| error.to_string())?;
        let (_, high) = consumer
            .fetch_watermarks(topic, 0, REQUEST)
            .map_err(|error| error.to_string())?;
        if offset > high {
            return Err(format!(
                "the topic {topic} ends at offset {high}, and what was taken of it here ends at {offset}: it was made anew. \
                 If the new one is right, move the state file away; if the file is, set another state.kafka.prefix and \
                 move nothing"
            ));
        }
        let mut list = TopicPartitionList::new();
        let from = match offset {
            0 => Offset::Beginning,
            offset => Offset::Offset(offset),
        };
        list.add_partition_offset(topic, 0, from)
            .map_err(|error| error.to_string())?;
        consumer.assign(&list).map_err(|error| error.to_string())?;
        Ok(Follower {
            consumer,
            topic: topic.to_owned(),
        })
    }

    /// The next record, or that there is none.
    ///
    /// # Errors
    /// In words, where reading cannot go on by itself.
    pub(super) fn next(&self, wait: Duration) -> Result<Seen<'_>, String> {
        match self.consumer.poll(wait) {
            None => Ok(Seen::Nothing),
            Some(Ok(message)) => Ok(Seen::Record(Box::new(message))),
            Some(Err(KafkaError::PartitionEOF(_))) => Ok(Seen::End),
            Some(Err(error @ KafkaError::MessageConsumption(code)))
                if code == rdkafka::error::RDKafkaErrorCode::AutoOffsetReset
                    || code == rdkafka::error::RDKafkaErrorCode::OffsetOutOfRange =>
            {
                Err(format!(
                    "topic {}: {error}; it does not hold what comes next any more",
                    self.topic
                ))
            }
            // It heals by itself.
            Some(Err(error)) => {
                tracing::debug!(%error, "kafka, following the state");
                Ok(Seen::Nothing)
            }
        }
    }

    /// Hands every record up to the end of the topic to `each`.
    ///
    /// # Errors
    /// What `each` says, or in words that the end was not reached in time.
    pub(super) fn to_end<E: From<String>>(
        &self,
        patience: Duration,
        mut each: impl FnMut(&BorrowedMessage<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut until = Instant::now() + patience;
        loop {
            match self.next(Duration::from_millis(200))? {
                Seen::Record(message) => {
                    each(&message)?;
                    until = Instant::now() + patience;
                }
                Seen::End => return Ok(()),
                Seen::Nothing if Instant::now() < until => {}
                Seen::Nothing => {
                    return Err(format!(
                        "topic {}: its end is not reached, kafka does not answer",
                        self.topic
                    )
                    .into());
                }
            }
        }
    }
}
