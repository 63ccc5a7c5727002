//! Orders: what people ask of alerts, and decide of weights, while the daemon runs. One is carried out between two steps, committed like
//! everything else, and only then answered.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::alert::dispatch::{Command, Refusal};
use crate::evaluate::weights::{self, Decision};

/// Orders that may wait.
const WAITING: usize = 256;
/// Orders of one request that wait at a time: others find room beside them.
const AT_ONCE: usize = WAITING / 2;
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

    /// The same of many commands, which wait together rather than one after the other: what is carried out between the
    /// same two steps is in one commit. The answers stand in the order of the commands; once nobody takes orders, those
    /// that are left are not given.
    pub async fn give_all(&self, commands: Vec<Command>) -> Vec<Result<String, NotDone>> {
        let many = commands.len();
        let mut answers = Vec::with_capacity(many);
        let mut commands = commands.into_iter().peekable();
        while commands.peek().is_some() {
            let mut waiting = Vec::new();
            while waiting.len() < AT_ONCE
                && let Some(command) = commands.peek()
                && let Ok(answered) = self.send(Ask::Alert(command.clone()))
            {
                waiting.push(answered);
                commands.next();
            }
            let is_busy = waiting.is_empty();
            // They wait for the same step: one that takes too long is too long for all.
            let until = Instant::now() + ANSWER_WITHIN;
            for answered in waiting {
                answers.push(answer(answered, until).await);
            }
            if is_busy || answers.last() == Some(&Err(NotDone::Busy)) {
                break;
            }
        }
        answers.resize(many, Err(NotDone::Busy));
        answers
    }

    async fn ask(&self, ask: Ask) -> Result<String, NotDone> {
        answer(self.send(ask)?, Instant::now() + ANSWER_WITHIN).await
    }

    fn send(&self, ask: Ask) -> Result<Answered, NotDone> {
        let (answer, answered) = oneshot::channel();
        self.0
            .try_send(Order { ask, answer })
            .map_err(|_| NotDone::Busy)?;
        Ok(answered)
    }
}

type Answered = oneshot::Receiver<Result<String, NotDone>>;

async fn answer(answered: Answered, until: Instant) -> Result<String, NotDone> {
    match tokio::time::timeout_at(until, answered).await {
        Ok(Ok(answer)) => answer,
        _ => Err(NotDone::Busy),
    }
}

/// What carries out orders in tests: all that wait, once a tick.
#[cfg(test)]
pub(super) mod slow {
    use super::{Ask, Command, OrderInbox};

    /// Takes what waits at this tick, answers it, and returns it.
    pub(in crate::serve) fn tick(inbox: &OrderInbox) -> Vec<Command> {
        let orders: Vec<_> = inbox.lock().unwrap().try_iter().collect();
        orders
            .into_iter()
            .map(|order| {
                let Ask::Alert(command) = order.ask else {
                    panic!("no order about an alert");
                };
                // Who asked may be gone.
                drop(order.answer.send(Ok("id".to_owned())));
                command
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ack(number: usize) -> Command {
        Command::Ack {
            episode: format!("e{number}"),
            by: "li".to_owned(),
            comment: String::new(),
            lasts: None,
        }
    }

    /// An evaluator that looks once in a while: what is asked of many alerts waits for few of its steps.
    #[tokio::test]
    async fn many_orders_wait_for_the_same_step() {
        let (orders, inbox) = Orders::new();
        for (many, steps) in [(0, 0), (1, 1), (100, 1), (AT_ONCE + 1, 2), (3 * WAITING, 6)] {
            let commands: Vec<Command> = (0..many).map(ack).collect();
            let giver = orders.clone();
            let asked = commands.clone();
            let given = tokio::spawn(async move { giver.give_all(asked).await });
            let mut taken = Vec::new();
            let mut needed = 0;
            while !given.is_finished() {
                tokio::task::yield_now().await;
                let now = slow::tick(&inbox);
                needed += usize::from(!now.is_empty());
                taken.extend(now);
            }
            assert_eq!((taken, needed), (commands, steps), "{many}");
            assert!(given.await.unwrap().iter().all(Result::is_ok));
        }
    }

    /// Where others fill the inbox, what fits is given, and the rest after it; where nothing fits, nothing waits.
    #[tokio::test]
    async fn a_full_inbox_is_waited_for_only_where_something_was_given() {
        let (orders, inbox) = Orders::new();
        let others: Vec<_> = (0..WAITING - 2)
            .map(|number| orders.send(Ask::Alert(ack(number))).unwrap())
            .collect();
        let giver = orders.clone();
        let given = tokio::spawn(async move { giver.give_all((0..5).map(ack).collect()).await });
        tokio::task::yield_now().await;
        assert_eq!(slow::tick(&inbox).len(), WAITING);
        while !given.is_finished() {
            tokio::task::yield_now().await;
            slow::tick(&inbox);
        }
        assert_eq!(given.await.unwrap(), vec![Ok("id".to_owned()); 5]);
        drop(others);

        let full: Vec<_> = (0..WAITING)
            .map(|number| orders.send(Ask::Alert(ack(number))).unwrap())
            .collect();
        let given = orders.give_all((0..3).map(ack).collect()).await;
        assert_eq!(given, vec![Err(NotDone::Busy); 3]);
        drop(full);
    }
}
