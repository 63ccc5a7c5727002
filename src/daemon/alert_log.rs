//! Brings what was decided and told to the topic of the alert log. The state keeps every line until the topic has it, and the
//! topic takes lines together with the number of the last one: each is in it once, whoever dies when.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use crate::source::kafka::Connection;
use crate::source::topics::{Topics, Wanted};
use crate::source::transactions::{Outgoing, Transactions, WriteError};
use crate::state::{StateError, Store};

/// How often new lines are looked for.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long a broker that does not answer is left alone.
const RETRY_AFTER: Duration = Duration::from_secs(2);
/// How long the end waits for the last lines.
const LAST_WAIT: Duration = Duration::from_secs(3);
const LOOK_AT_END: Duration = Duration::from_millis(20);
/// The most lines of one transaction.
const BATCH: usize = 1000;

/// Writes to the topic until it is ended.
pub(super) struct AlertLog {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl AlertLog {
    /// Starts to write.
    ///
    /// # Errors
    /// In words: no thread can be started.
    ///
    /// # Panics
    /// Outside of a runtime of tokio.
    pub(super) fn start(connection: Connection, topic: String, store: Store) -> Result<AlertLog, String> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = stop.clone();
        let runtime = Handle::current();
        let thread = std::thread::Builder::new()
            .name("alert-log".to_owned())
            .spawn(move || {
                Writer {
                    connection,
                    topic,
                    store,
                    runtime,
                    said: false,
                }
                .run(&stopping);
            })
            .map_err(|error| format!("cannot start a thread: {error}"))?;
        Ok(AlertLog { stop, thread })
    }

    /// Writes what the last commit brought, unless Kafka is away or takes its time. What is left stays in the state for the
    /// next start.
    pub(super) async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        let until = Instant::now() + LAST_WAIT;
        while !self.thread.is_finished() && Instant::now() < until {
            tokio::time::sleep(LOOK_AT_END).await;
        }
    }
}

struct Writer {
    connection: Connection,
    topic: String,
    store: Store,
    runtime: Handle,
    /// Whether it was said that the log takes nothing.
    said: bool,
}

impl Writer {
    fn run(mut self, stop: &AtomicBool) {
        let mut transactions = None;
        while !stop.load(Ordering::Relaxed) {
            let current = match transactions.take() {
                Some(current) => Ok(current),
                None => self.begin(),
            };
            let written = current.and_then(|mut current| {
                let lines = self.write(&mut current)?;
                Ok((current, lines))
            });
            match written {
                Ok((current, lines)) => {
                    if self.said {
                        self.said = false;
                        tracing::info!(topic = self.topic, "the alert log takes lines again");
                    }
                    transactions = Some(current);
                    if lines < BATCH {
                        pause(stop, LOOK_EVERY);
                    }
                }
                Err(reason) => {
                    if !self.said {
                        self.said = true;
                        tracing::warn!(
                            topic = self.topic,
                            reason,
                            "the alert log takes nothing; what it misses is kept"
                        );
                    }
                    pause(stop, RETRY_AFTER);
                }
            }
        }
        // What the last commit brought.
        if let Some(mut current) = transactions.filter(|_| !self.said)
            && let Err(reason) = self.write(&mut current)
        {
            tracing::debug!(reason, "the alert log gets the rest at the next start");
        }
    }

    fn begin(&self) -> Result<Transactions, String> {
        let topics = Topics::connect(&self.connection).map_err(|error| error.to_string())?;
        let wanted = Wanted {
            name: &self.topic,
            config: &[],
        };
        let made = self.runtime.block_on(topics.make(&[wanted]));
        made.map_err(|error| error.to_string())?;
        if topics
            .partitions(&self.topic)
            .map_err(|error| error.to_string())?
            == 0
        {
            return Err("there is no such topic; make it, with one partition".to_owned());
        }
        let policy = self
            .runtime
            .block_on(topics.setting(&self.topic, "cleanup.policy"));
        let policy = policy.map_err(|error| error.to_string())?;
        if policy.as_ref().is_some_and(|policy| policy.contains("compact")) {
            return Err(
                "the topic is compacted, and would forget lines; set its cleanup.policy to delete".to_owned(),
            );
        }
        let name = format!("{}.{}", self.topic, self.store.id());
        let mut transactions = Transactions::begin(&self.connection, &self.topic, &name)?;
        if let Some(number) = transactions.number(&self.connection, &name)? {
            self.store
                .log_reaches(number)
                .map_err(|error| error.to_string())?;
        }
        Ok(transactions)
    }

    /// Writes the oldest lines. Returns how many.
    fn write(&self, transactions: &mut Transactions) -> Result<usize, String> {
        let in_words = |error: StateError| error.to_string();
        let lines = self.store.unlogged(BATCH).map_err(in_words)?;
        let Some(last) = lines.last().map(|line| line.number) else {
            return Ok(0);
        };
        let records = lines.iter().map(|line| Outgoing {
            partition: None,
            key: &line.key,
            value: Some(line.body.as_bytes()),
        });
        self.store.logging_up_to(last).map_err(in_words)?;
        // Where Kafka does not say whether it took them, the next beginning asks for the number that it has.
        transactions
            .write(records, last)
            .map_err(|error: WriteError| error.to_string())?;
        self.store.logged(last).map_err(in_words)?;
        Ok(lines.len())
    }
}

fn pause(stop: &AtomicBool, length: Duration) {
    let step = Duration::from_millis(50);
    let mut left = length;
    while !left.is_zero() && !stop.load(Ordering::Relaxed) {
        std::thread::sleep(step.min(left));
        left = left.saturating_sub(step);
    }
}
