//! Notify: the edge that delivers notices. It drains the outbox, one queue a destination, in the order in which the
//! notices were decided; a notice leaves the outbox delivered, dropped, dead or superseded, never silently.
//!
//! * [`outbox`]: what the sender needs of the store, and the task that empties it; `queue` is one destination's part.
//! * [`message`]: what a notice says, for any channel; one file a channel makes it into a payload: [`slack`].
//! * [`answer`]: what a receiver's reply means for the notice. `pace`: how fast, and when again.
//! * [`fake_slack`]: a Slack to test against and to show in the demo: true limits, true errors.

pub mod answer;
mod desk;
pub mod fake_slack;
pub mod message;
#[cfg(test)]
mod office;
pub mod outbox;
mod pace;
mod queue;
#[cfg(test)]
pub(crate) mod samples;
pub mod slack;
mod text;
mod trend;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::alert::notice::Notice;
use crate::settings::Settings;

pub use answer::Answer;
pub use outbox::{Outbox, Stats, run};
pub use trend::Trend;

/// An answer to come.
pub type Sending<'a> = Pin<Box<dyn Future<Output = Answer> + Send + 'a>>;

/// A way to reach people.
pub trait Channel: Send + Sync {
    /// Makes one attempt. Ends within a bounded time, whatever the other side does.
    fn send<'a>(&'a self, notice: &'a Notice, form: Form) -> Sending<'a>;

    /// Where it goes, for logs: never holds a secret.
    fn destination(&self) -> &str;
}

/// How a message is dressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// As the channel shows it best.
    Full,
    /// Text alone, for a receiver that refuses the other.
    Plain,
}

/// A receiver of the settings, ready to be written to.
#[derive(Clone)]
pub struct Target {
    /// Name of the receiver.
    pub receiver: String,
    /// A hash of its address: receivers with the same one share a queue and a rate.
    pub destination: u64,
    /// How to write to it.
    pub channel: Arc<dyn Channel>,
    /// Age at which a notice is given up that cannot be delivered.
    pub give_up_after: Duration,
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("receiver", &self.receiver)
            .field("destination", &self.channel.destination())
            .field("give_up_after", &self.give_up_after)
            .finish()
    }
}

/// Everybody who can be told.
///
/// # Errors
/// Names the receiver whose address is no URL, or says why no HTTP client can be made.
pub fn targets(settings: &Settings) -> Result<Vec<Target>, String> {
    settings
        .receivers
        .iter()
        .map(|(name, receiver)| {
            let webhook = &receiver.slack_webhook;
            let page = settings.serve.external_url.as_deref();
            let slack = slack::Slack::new(webhook, settings.language, page)
                .map_err(|reason| format!("receiver '{name}': {reason}"))?;
            Ok(Target {
                receiver: name.clone(),
                destination: xxhash_rust::xxh3::xxh3_64(webhook.url.reveal().trim().as_bytes()),
                channel: Arc::new(slack),
                give_up_after: webhook.give_up_after,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests;
