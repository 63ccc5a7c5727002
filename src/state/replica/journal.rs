//! Where commits of a replicated state go before they count: a compacted topic of one partition, one Kafka transaction a
//! commit.

use super::rows::Change;
use crate::source::kafka::Connection;
use crate::source::transactions::{Outgoing, Transactions, WriteError};
use crate::state::StateError;

/// Takes the commits of whoever leads.
pub(super) trait Journal: Send {
    /// Writes changes: all of them or none, as durable as the topic. Returns the offset behind them.
    ///
    /// # Errors
    /// [`StateError::NotReplicated`] when they are not there, [`StateError::Deposed`] when somebody else leads, or when it
    /// cannot be known whether they are there: the next one to lead finds out.
    fn write(&mut self, changes: &[Change]) -> Result<i64, StateError>;
}

/// Writes to Kafka.
pub(super) struct KafkaJournal(Transactions);

impl KafkaJournal {
    /// Fences whoever wrote before.
    ///
    /// # Errors
    /// In words: the client refuses its settings, or no broker answers.
    pub(super) fn take_over(connection: &Connection, topic: &str) -> Result<KafkaJournal, String> {
        Transactions::begin(connection, topic, &format!("{topic}.lead")).map(KafkaJournal)
    }
}

impl Journal for KafkaJournal {
    fn write(&mut self, changes: &[Change]) -> Result<i64, StateError> {
        let records = changes.iter().map(|change| Outgoing {
            partition: Some(0),
            key: &change.key,
            value: change.row.as_deref(),
        });
        self.0.write(records, 0).map_err(|error| match error {
            WriteError::Refused(reason) => StateError::NotReplicated(reason),
            WriteError::Fenced(reason) => StateError::Deposed(reason),
            error @ WriteError::Unknown(_) => {
                StateError::Deposed(format!("{error}; whoever leads next finds out"))
            }
        })
    }
}
