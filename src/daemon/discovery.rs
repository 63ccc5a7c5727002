//! Watches which partitions the catalogue's topics have: brokers come and go, topics are made late and grow.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::pipeline::Found;
use crate::catalog::{Catalog, SourceId};
use crate::source::kafka::{Connection, KafkaReader};

/// How soon a broker that did not answer, or a topic that is not there, is asked for again.
const RETRY_EVERY: Duration = Duration::from_secs(1);
/// How often new partitions are looked for when all topics are there.
const LOOK_EVERY: Duration = Duration::from_secs(15);

/// Tries after which a partition without a leader is one that somebody has to look at.
const SETTLES_WITHIN: u32 = 10;

/// What discovery saw.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Discovered {
    /// Every partition that exists.
    pub(super) partitions: Vec<Found>,
    /// Topics that the catalogue names and the broker does not have.
    pub(super) missing_topics: Vec<String>,
}

/// Calls `tell` with what there is, at first and whenever it changes, until the other end of `stop` is dropped.
pub(super) fn watch(
    connection: &Connection,
    catalog: &Arc<Catalog>,
    stop: &Receiver<()>,
    tell: impl Fn(Result<Discovered, String>) -> bool,
) {
    let mut last: Option<Discovered> = None;
    let mut client: Option<KafkaReader> = None;
    let mut settling = 0;
    loop {
        let seen = look(&mut client, connection, catalog);
        let mut wait = RETRY_EVERY;
        match seen {
            Ok(discovered) => {
                settling = 0;
                if discovered.missing_topics.is_empty() {
                    wait = LOOK_EVERY;
                }
                let changed = last
                    .as_ref()
                    .is_none_or(|last| !last.same_partitions(&discovered));
                if changed && !tell(Ok(discovered.clone())) {
                    return;
                }
                last = Some(discovered);
            }
            Err(error) if is_settling(&error) && settling < SETTLES_WITHIN => {
                settling += 1;
                tracing::debug!(%error, "a topic is being made");
            }
            Err(error) => {
                if last.is_none() && !tell(Err(error.to_string())) {
                    return;
                }
            }
        }
        if stop.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}

impl Discovered {
    /// Whether the same partitions and topics are there; offsets move all the time.
    fn same_partitions(&self, other: &Discovered) -> bool {
        let names = |discovered: &Discovered| -> Vec<_> {
            discovered
                .partitions
                .iter()
                .map(|found| (found.source, found.partition.clone()))
                .collect()
        };
        names(self) == names(other) && self.missing_topics == other.missing_topics
    }
}

/// Whether a broker answered that a partition has no leader, or none that this broker knows of: for a moment, while a
/// topic is made or a leader changes.
fn is_settling(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::LeaderNotAvailable
                | RDKafkaErrorCode::NotLeaderForPartition
                | RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::ReplicaNotAvailable
        )
    )
}

fn look(
    client: &mut Option<KafkaReader>,
    connection: &Connection,
    catalog: &Catalog,
) -> Result<Discovered, KafkaError> {
    let reader = match client {
        Some(reader) => reader,
        None => client.insert(KafkaReader::connect(connection)?),
    };
    let mut discovered = Discovered::default();
    for (source_id, source) in (0..).map(SourceId).zip(&catalog.sources) {
        for topic in &source.topics {
            let partitions = reader.partitions(topic)?;
            if partitions.is_empty() {
                discovered.missing_topics.push(topic.clone());
            }
            for partition in partitions {
                let (low, high) = reader.bounds(topic, partition)?;
                let partition = (topic.as_str().into(), partition);
                discovered.partitions.push(Found {
                    source: source_id,
                    partition,
                    low,
                    high,
                });
            }
        }
    }
    Ok(discovered)
}
