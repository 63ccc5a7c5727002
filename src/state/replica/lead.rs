//! Who leads: whoever Kafka's group gives the one partition of `<prefix>.lead`. No election of our own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::KafkaError;
use tokio::sync::watch;

use super::said::Said;
use super::topics::Topics;
use crate::source::kafka::Connection;

/// How long whoever leads may be silent before another takes over, unless `kafka.properties` say otherwise.
const SESSION: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(100);

/// Hears what the group decides.
struct Hearing {
    held: watch::Sender<bool>,
}

impl ClientContext for Hearing {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(facility, message, "kafka, standing for the lead");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "kafka, standing for the lead");
    }
}

impl ConsumerContext for Hearing {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        // Before the partition is given back: what is written after this is written by whoever gets it.
        if let Rebalance::Revoke(list) = rebalance
            && list.count() > 0
        {
            self.held.send_replace(false);
        }
    }

    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(list) = rebalance
            && list.count() > 0
        {
            self.held.send_replace(true);
        }
    }
}

/// Stands for the lead until it is dropped.
pub struct Lead {
    held: watch::Receiver<bool>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Lead {
    /// Joins the group.
    ///
    /// # Errors
    /// In words: the client refuses its settings.
    pub fn stand(connection: &Connection, topics: &Topics) -> Result<Lead, String> {
        let config = connection.client(
            &[("session.timeout.ms", &SESSION.as_millis().to_string())],
            &[
                ("group.id", &topics.lead),
                ("enable.auto.commit", "false"),
                // Whoever leads keeps the lead when another one comes.
                ("partition.assignment.strategy", "cooperative-sticky"),
            ],
        );
        let (held, hear) = watch::channel(false);
        let consumer: BaseConsumer<Hearing> = config
            .create_with_context(Hearing { held })
            .map_err(|error| error.to_string())?;
        consumer
            .subscribe(&[&topics.lead])
            .map_err(|error| error.to_string())?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = stop.clone();
        let said = Said::default();
        let thread = std::thread::Builder::new()
            .name("lead".to_owned())
            .spawn(move || {
                while !stopping.load(Ordering::Relaxed) {
                    if let Some(Err(error)) = consumer.poll(POLL) {
                        said.hear(&error);
                    }
                }
            })
            .map_err(|error| format!("cannot start a thread: {error}"))?;
        Ok(Lead {
            held: hear,
            stop,
            thread: Some(thread),
        })
    }

    /// Whether the lead is held, as it changes.
    pub fn held(&self) -> watch::Receiver<bool> {
        self.held.clone()
    }
}

impl Drop for Lead {
    /// Leaves the group, so that another takes over at once.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that stood for the lead failed");
        }
    }
}
