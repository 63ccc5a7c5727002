//! Orders: what people ask of alerts while the daemon runs. One is carried out between two steps, committed like
//! everything else, and only then answered.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::alert::dispatch::{Command, Refusal};

/// Orders that may wait.
const WAITING: usize = 256;
/// How long one waits for the commit.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// Takes orders.
#[derive(Clone, Debug)]
pub struct Orders(SyncSender<Order>);

/// Orders as they come. One pipeline after the other reads from it.
pub(crate) type OrderInbox = Arc<Mutex<Receiver<Order>>>;

/// An order on its way.
#[derive(Debug)]
pub struct Order {
    pub(crate) command: Command,
    pub(crate) answer: oneshot::Sender<Result<String, Refusal>>,
}

/// Why an order was not carried out.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotDone {
    /// It cannot be.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Nobody can take it now.
    #[error("the daemon is busy or stopping; try again")]
    Busy,
}

impl Orders {
    /// A way in, and where orders come out.
    pub(crate) fn new() -> (Orders, OrderInbox) {
        let (orders, inbox) = sync_channel(WAITING);
        (Orders(orders), Arc::new(Mutex::new(inbox)))
    }

    /// Waits until the order is carried out and durable. Returns the id of the silence, or of the episode.
    ///
    /// # Errors
    /// When it cannot be, or nobody answers.
    pub async fn give(&self, command: Command) -> Result<String, NotDone> {
        let (answer, answered) = oneshot::channel();
        self.0
            .try_send(Order { command, answer })
            .map_err(|_| NotDone::Busy)?;
        match tokio::time::timeout(ANSWER_WITHIN, answered).await {
            Ok(Ok(answer)) => Ok(answer?),
            _ => Err(NotDone::Busy),
        }
    }
}
