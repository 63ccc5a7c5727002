//! Notify: the edge that delivers notices. It drains the outbox, one queue a destination, in the order in which the
//! notices were decided; a notice leaves the outbox delivered, superseded or dead, never silently.
//!
//! * [`outbox`]: what the sender needs of the store, and the task that empties it; `queue` is one destination's part.
//! * [`message`]: what a notice says, for any channel; one folder a channel makes it into a payload: [`slack`],
//!   `slack_bot`, `feishu`, `dingtalk`, `wecom`, `teams`, `email`, `pagerduty`; `markdown` is what those that count bytes share.
//! * `wire` and `alert`: a notice for programs, which `webhook` and `alertmanager` send.
//! * `http`: the request that all of them make, and where it may go.
//! * [`trial`]: a test message to one receiver.
//! * `template`: own wording of titles and texts.
//! * [`answer`]: what a receiver's reply means for the notice. `pace`: how fast, and when again.
//! * [`fakes`], [`fake_slack`]: the services, and a Slack to test against and to show in the demo: true limits, true errors.

mod alert;
mod alertmanager;
pub mod answer;
#[cfg(test)]
mod arbitrary;
mod desk;
mod dingtalk;
mod email;
pub mod fake_slack;
pub mod fakes;
mod feishu;
mod hmac;
mod http;
pub mod mailroom;
mod markdown;
pub mod message;
#[cfg(test)]
mod office;
pub mod outbox;
mod pace;
mod pagerduty;
mod phrases;
mod queue;
#[cfg(test)]
pub(crate) mod samples;
pub mod signer;
pub mod slack;
mod slack_bot;
mod teams;
pub(crate) mod template;
mod text;
mod tls;
mod trend;
pub mod trial;
pub(crate) mod webhook;
mod wecom;
mod wire;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::alert::notice::Notice;
use crate::settings::{self, Receiver, Settings, Templates};
use crate::words::Language;

pub(crate) use alert::legal as label_name;
pub use answer::Answer;
pub use outbox::{Outbox, Stats, run};
pub use pace::Limit;
pub use signer::Signer;
pub use slack_bot::App as SlackApp;
pub use trend::Trend;

/// What Slack's own button is known by that acknowledges an alert.
pub(crate) const ACK_ACTION: &str = "tautline_ack";

/// An answer to come.
pub type Sending<'a> = Pin<Box<dyn Future<Output = Answer> + Send + 'a>>;

/// A way to reach people.
pub trait Channel: Send + Sync {
    /// Makes one attempt. Ends within a bounded time, whatever the other side does.
    fn send<'a>(&'a self, parcel: Parcel<'a>) -> Sending<'a>;

    /// Where it goes, for logs: never holds a secret.
    fn destination(&self) -> &str;

    /// How fast it may be written to; all of them hold.
    fn limits(&self) -> &[Limit] {
        &[Limit::ONE_A_SECOND]
    }

    /// Whether notices that were decided together with this one go as one message.
    fn bundles(&self, _head: &Notice) -> bool {
        true
    }

    /// Whether a notice that waits may go in one message with the head of the queue although they were decided apart.
    /// Asked where the queue is behind what its destination takes.
    fn gathers(&self, head: Waiting<'_>, other: Waiting<'_>) -> bool {
        self.bundles(head.notice) && head.notice.aside.is_none() && other.notice.aside.is_none()
    }

    /// How fast it and others may be written to together, and what they have in common.
    fn shares(&self) -> Option<(u64, Limit)> {
        None
    }

    /// How many notices one message says something of, in numbers at least; the others go in the next one.
    fn room(&self) -> usize {
        usize::MAX
    }

    /// Until when a notice of the queue is better held back that was decided at `decided`, if nothing waits behind it.
    fn hold(&self, _head: &Notice, _decided: Timestamp) -> Option<Timestamp> {
        None
    }

    /// Whether what is shown already can be brought up to date without a ping.
    fn updates(&self) -> bool {
        false
    }

    /// Whether the channel has a place for a notice at all.
    fn takes(&self, _notice: &Notice) -> bool {
        true
    }

    /// How often it wants to hear what stands, for a receiver that forgets; `None`: never.
    fn resends_every(&self) -> Option<Duration> {
        None
    }

    /// Says again what stands: the last delivered notice of each episode, see [`Outbox::standing`].
    fn resend<'a>(&'a self, _standing: &'a [Notice]) -> Sending<'a> {
        Box::pin(std::future::ready(Answer::OK))
    }
}

/// A notice that waits for its delivery, as a channel sees it.
#[derive(Clone, Copy, Debug)]
pub struct Waiting<'a> {
    /// The notice.
    pub notice: &'a Notice,
    /// What the channel said of the last message about its episode, see [`Answer::Ok`].
    pub shown: Option<&'a str>,
}

/// What goes to one receiver in one message.
#[derive(Clone, Copy, Debug)]
pub struct Parcel<'a> {
    /// The notices, in the order of their decisions; at least one, and one only where the channel does not bundle.
    pub notices: &'a [Notice],
    /// How the message is dressed.
    pub form: Form,
    /// What the channel said of the last message about the episode, see [`Answer::Ok`]; of several notices that were
    /// decided apart: what it said of all of them.
    pub shown: Option<&'a str>,
    /// Since when it may be there already, from an attempt whose outcome nobody knows: its answer was lost, or the
    /// process ended before it was written down. `None`: this is the first attempt.
    pub tried_since: Option<Timestamp>,
}

/// How the messages of a channel are worded: [`message::Reader`] with what it refers to.
#[derive(Clone, Debug)]
pub struct Wording {
    language: Language,
    page: Option<String>,
    signer: Option<Signer>,
    zone: TimeZone,
    templates: Templates,
}

impl Wording {
    /// As the settings say, with times on the clock of the business; `signer` signs links, `None`: no links that do
    /// something.
    pub fn of(settings: &Settings, zone: &TimeZone, signer: Option<&Signer>) -> Wording {
        Wording {
            language: settings.language,
            page: settings.serve.external_url.clone(),
            signer: signer.cloned(),
            zone: zone.clone(),
            templates: Templates::default(),
        }
    }

    /// The same in another language.
    pub fn in_language(self, language: Language) -> Wording {
        Wording { language, ..self }
    }

    /// What notices that go together say.
    pub fn message(&self, notices: &[Notice]) -> message::Message {
        let reader = message::Reader {
            language: self.language,
            page: self.page.as_deref(),
            signer: self.signer.as_ref(),
            zone: Some(&self.zone),
            templates: (self.templates != Templates::default()).then_some(&self.templates),
        };
        message::Message::of(notices, &reader)
    }
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

/// Everybody who can be told, in these words.
///
/// # Errors
/// Names the receiver whose address is no URL, or says why no HTTP client can be made.
pub fn targets(settings: &Settings, wording: &Wording) -> Result<Vec<Target>, String> {
    settings
        .receivers
        .iter()
        .map(|(name, receiver)| target(name, receiver, wording.clone()))
        .collect()
}

fn target(name: &str, receiver: &Receiver, wording: Wording) -> Result<Target, String> {
    let wording = Wording {
        templates: receiver.templates.clone(),
        ..wording
    };
    let (channel, destination) =
        open(receiver, wording).map_err(|reason| format!("receiver '{name}': {reason}"))?;
    Ok(Target {
        receiver: name.to_owned(),
        destination,
        channel,
        give_up_after: receiver.give_up_after,
    })
}

/// A channel, and the hash of its address.
type Opened = (Arc<dyn Channel>, u64);

/// A receiver's channel, ready to be written to: one function a channel.
fn open(receiver: &Receiver, wording: Wording) -> Result<Opened, String> {
    match &receiver.channel {
        settings::Channel::SlackWebhook(webhook) => slack::open(webhook, receiver, wording),
        settings::Channel::SlackBot(bot) => slack_bot::open(bot, receiver, wording),
        settings::Channel::Feishu(robot) => feishu::open(robot, receiver, wording),
        settings::Channel::DingTalk(robot) => dingtalk::open(robot, receiver, wording),
        settings::Channel::WeCom(robot) => wecom::open(robot, receiver, wording),
        settings::Channel::Teams(workflow) => teams::open(workflow, receiver, wording),
        settings::Channel::Email(mail) => email::open(mail, receiver, wording),
        settings::Channel::PagerDuty(service) => pagerduty::open(service, receiver, wording),
        settings::Channel::Webhook(hook) => webhook::open(hook, receiver, wording),
        settings::Channel::Alertmanager(one) => alertmanager::open(one, receiver, wording),
    }
}

/// The hash of what the vendor's limits are counted by: an address, or an address with a room.
fn destination(address: &str) -> u64 {
    xxhash_rust::xxh3::xxh3_64(address.trim().as_bytes())
}

#[cfg(test)]
mod body_tests;
#[cfg(test)]
mod delivery_tests;
#[cfg(test)]
mod limits_tests;
#[cfg(test)]
mod queue_properties;
#[cfg(test)]
mod robots;
#[cfg(test)]
mod secrets_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tls_front;
#[cfg(test)]
mod whole_tests;
