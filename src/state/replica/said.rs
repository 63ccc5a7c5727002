//! Says once what a client complains of, unless it heals by itself: missing rights, for one, would otherwise look like silence.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// What was said.
#[derive(Default)]
pub(super) struct Said(Mutex<BTreeSet<String>>);

impl Said {
    /// Says it, the first time.
    pub(super) fn hear(&self, error: &KafkaError) {
        let heals = matches!(
            error.rdkafka_error_code(),
            None | Some(
                RDKafkaErrorCode::AllBrokersDown
                    | RDKafkaErrorCode::BrokerTransportFailure
                    | RDKafkaErrorCode::Resolve
                    | RDKafkaErrorCode::OperationTimedOut
            )
        );
        let said = error.to_string();
        let is_new = !heals && self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(said);
        match is_new {
            true => tracing::warn!(%error, "kafka refuses what a replicated state needs"),
            false => tracing::debug!(%error, "kafka"),
        }
    }
}
