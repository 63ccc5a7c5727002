//! The topics of a replicated state: made when they are missing, and checked, because one that forgets by age would lose
//! the state without a word.

use std::time::Duration;

use rdkafka::error::KafkaError;

use crate::source::kafka::Connection;
use crate::source::topics::{self, Wanted};

/// How long compaction remembers what was deleted.
pub(super) const DELETE_RETENTION: Duration = Duration::from_secs(24 * 3600);

/// Names of the topics.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Topics {
    /// Compacted: every row of the state.
    pub state: String,
    /// Empty: whoever has its partition leads.
    pub lead: String,
}

impl Topics {
    /// Those of a prefix.
    pub fn of(prefix: &str) -> Topics {
        Topics {
            state: format!("{prefix}.state"),
            lead: format!("{prefix}.lead"),
        }
    }
}

/// Why the topics are not ready.
#[derive(Debug)]
pub struct NotReady {
    /// In words, with what to do.
    pub reason: String,
    /// Whether somebody has to do something; otherwise a broker may answer later.
    pub is_final: bool,
}

impl From<KafkaError> for NotReady {
    fn from(error: KafkaError) -> NotReady {
        NotReady {
            reason: error.to_string(),
            is_final: matches!(error, KafkaError::ClientConfig(..)),
        }
    }
}

impl From<String> for NotReady {
    fn from(reason: String) -> NotReady {
        NotReady {
            reason,
            is_final: true,
        }
    }
}

/// Makes the topics that are missing, and looks whether the state's keeps what it is given. While it is early, one that is
/// missing may still come: brokers hear late of what was made.
///
/// # Errors
/// [`NotReady`]: no broker answers, a topic is missing and may not be made, or it is not as it has to be.
pub async fn prepare(connection: &Connection, topics: &Topics, is_early: bool) -> Result<(), NotReady> {
    let admin = topics::Topics::connect(connection)?;
    let retention = DELETE_RETENTION.as_millis().to_string();
    let wanted = [
        Wanted {
            name: &topics.state,
            config: &[("cleanup.policy", "compact"), ("delete.retention.ms", &retention)],
        },
        Wanted {
            name: &topics.lead,
            config: &[],
        },
    ];
    admin.make(&wanted).await?;
    for (topic, how) in [(&topics.state, " and cleanup.policy=compact"), (&topics.lead, "")] {
        match admin.partitions(topic)? {
            1 => {}
            0 if is_early => {
                return Err(NotReady {
                    reason: format!("the topic {topic} is not known yet"),
                    is_final: false,
                });
            }
            0 => return Err(format!("there is no topic {topic}; make it with one partition{how}").into()),
            many => {
                let message = format!("the topic {topic} has {many} partitions; make it anew with one{how}");
                return Err(message.into());
            }
        }
    }
    if let Some(policy) = admin.setting(&topics.state, "cleanup.policy").await?
        && policy != "compact"
    {
        let topic = &topics.state;
        let message = format!(
            "the topic {topic} has cleanup.policy={policy}, and would forget the state; set it to compact"
        );
        return Err(message.into());
    }
    let kept = admin.setting(&topics.state, "delete.retention.ms").await?;
    if let Some(kept) = kept.filter(|kept| {
        kept.parse()
            .is_ok_and(|kept: u128| kept < DELETE_RETENTION.as_millis())
    }) {
        let topic = &topics.state;
        let message = format!(
            "the topic {topic} has delete.retention.ms={kept}: who follows would miss what was deleted; set it to {retention} \
             at least"
        );
        return Err(message.into());
    }
    Ok(())
}
