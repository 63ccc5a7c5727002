//! Reads the topic of a replicated state, in order, up to its end and on.

use std::time::{Duration, Instant};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::{ClientContext, Message, Offset, TopicPartitionList};

use super::said::Said;
use crate::source::kafka::Connection;
use crate::state::StateError;

/// How long a request may take.
const REQUEST: Duration = Duration::from_secs(5);
/// How long a look whether a broker is there may take.
const LOOK: Duration = Duration::from_secs(1);

/// Why reading does not go on.
#[derive(Debug)]
pub(super) enum Stopped {
    /// No broker answers; it may later.
    Away(String),
    /// What comes next is no longer in the topic: everything is to be read again.
    Gone,
    /// Somebody has to do something.
    Final(String),
}

impl From<Stopped> for StateError {
    fn from(stopped: Stopped) -> StateError {
        match stopped {
            Stopped::Away(reason) => StateError::NotReplicated(reason),
            Stopped::Gone => {
                StateError::NotReplicated("what comes next is no longer in the topic".to_owned())
            }
            Stopped::Final(reason) => StateError::Replica(reason),
        }
    }
}

fn away(error: &KafkaError) -> Stopped {
    Stopped::Away(error.to_string())
}

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
    said: Said,
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
    /// [`Stopped`]: the client refuses its settings, no broker answers, or the topic does not reach that far.
    pub(super) fn from(connection: &Connection, topic: &str, offset: i64) -> Result<Follower, Stopped> {
        let config = connection.client(
            &[],
            &[
                ("group.id", &format!("{topic}.follower")),
                ("enable.auto.commit", "false"),
                ("enable.auto.offset.store", "false"),
                ("enable.partition.eof", "true"),
                ("auto.offset.reset", "error"),
                ("isolation.level", "read_committed"),
            ],
        );
        let consumer: BaseConsumer<Quiet> = config
            .create_with_context(Quiet)
            .map_err(|error| Stopped::Final(error.to_string()))?;
        let (_, high) = consumer
            .fetch_watermarks(topic, 0, REQUEST)
            .map_err(|error| away(&error))?;
        if offset > high {
            return Err(Stopped::Away(format!(
                "the topic {topic} ends at offset {high}, and what was taken of it here ends at {offset}: it was made anew. \
                 If the new one is right, move the state file away; if the file is, set another state.kafka.prefix and \
                 move nothing"
            )));
        }
        let mut list = TopicPartitionList::new();
        let from = match offset {
            0 => Offset::Beginning,
            offset => Offset::Offset(offset),
        };
        list.add_partition_offset(topic, 0, from)
            .map_err(|error| away(&error))?;
        consumer.assign(&list).map_err(|error| away(&error))?;
        Ok(Follower {
            consumer,
            topic: topic.to_owned(),
            said: Said::default(),
        })
    }

    /// The next record, or that there is none.
    ///
    /// # Errors
    /// [`Stopped::Gone`]. What heals by itself is no error.
    pub(super) fn next(&self, wait: Duration) -> Result<Seen<'_>, Stopped> {
        match self.consumer.poll(wait) {
            None => Ok(Seen::Nothing),
            Some(Ok(message)) => Ok(Seen::Record(Box::new(message))),
            Some(Err(KafkaError::PartitionEOF(_))) => Ok(Seen::End),
            Some(Err(KafkaError::MessageConsumption(
                RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange,
            ))) => Err(Stopped::Gone),
            Some(Err(error)) => {
                self.said.hear(&error);
                Ok(Seen::Nothing)
            }
        }
    }

    /// Where the topic ends, if a broker says so soon.
    pub(super) fn high(&self) -> Option<i64> {
        let bounds = self.consumer.fetch_watermarks(&self.topic, 0, LOOK);
        bounds.ok().map(|(_, high)| high)
    }

    /// Hands every record to `each`: up to the one before `until`, or up to what a broker says is the end, which one that has
    /// just become the partition's leader may say too early.
    ///
    /// # Errors
    /// What `each` says, or that the end was not reached in time.
    pub(super) fn to_end(
        &self,
        until: Option<i64>,
        patience: Duration,
        mut each: impl FnMut(&BorrowedMessage<'_>) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        let mut last = Instant::now() + patience;
        loop {
            match self.next(Duration::from_millis(200))? {
                Seen::Record(message) => {
                    each(&message)?;
                    if until.is_some_and(|until| message.offset() + 1 >= until) {
                        return Ok(());
                    }
                    last = Instant::now() + patience;
                }
                Seen::End if until.is_none() => return Ok(()),
                Seen::End | Seen::Nothing if Instant::now() < last => {}
                Seen::End | Seen::Nothing => {
                    let topic = &self.topic;
                    let reason =
                        format!("the end of the topic {topic} is not reached: kafka does not answer");
                    return Err(StateError::NotReplicated(reason));
                }
            }
        }
    }
}
