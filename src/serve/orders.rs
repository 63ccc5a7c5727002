//! Orders: what people ask of alerts, and decide of weights, while the daemon runs. One is carried out between two steps, committed like
//! everything else, and only then answered.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::alert::dispatch::{Command, Refusal};
use crate::evaluate::weights::{self, Decision};

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
    pub(crate) ask: Ask,
    pub(crate) answer: oneshot::Sender<Result<String, NotDone>>,
}

/// What an order is about.
#[derive(Debug)]
pub(crate) enum Ask {
    /// An alert.
    Alert(Command),
    /// Weights that were proposed.
    Weights(Decision),
}

/// Why an order was not carried out.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotDone {
    /// It cannot be.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// What is decided of weights cannot be.
    #[error(transparent)]
    Weights(#[from] weights::Refused),
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
        self.ask(Ask::Alert(command)).await
    }

    /// Waits until a decision on weights is taken and durable. Returns how the proposal stands.
    ///
    /// # Errors
    /// When it cannot be, or nobody answers.
    pub async fn decide(&self, decision: Decision) -> Result<String, NotDone> {
        self.ask(Ask::Weights(decision)).await
    }

    async fn ask(&self, ask: Ask) -> Result<String, NotDone> {
        let (answer, answered) = oneshot::channel();
        self.0
            .try_send(Order { ask, answer })
            .map_err(|_| NotDone::Busy)?;
        match tokio::time::timeout(ANSWER_WITHIN, answered).await {
            Ok(Ok(answer)) => answer,
            _ => Err(NotDone::Busy),
        }
    }
}
