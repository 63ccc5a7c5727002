//! A Slack to test against and to show in the demo: an incoming webhook that keeps Slack's limits and answers with
//! Slack's own error words. What all such servers share is [`super::fakes`].
//!
//! * `rules`: what Slack refuses. `show`: a message as text for a terminal.

pub(super) mod rules;
mod show;

use std::io;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::Instant;

use super::fakes::{Call, Fake, Vendor, Verdict, Window};

pub use super::fakes::{Message, Request, Scripted};

/// One message a second in the long run, and a few at once.
const PER_MESSAGE: Duration = Duration::from_secs(1);
const BURST: u32 = 5;

/// A running fake; it ends when this is dropped.
pub struct FakeSlack(Fake);

impl Message {
    /// The message as Slack would show it, in a terminal.
    pub fn as_text(&self) -> String {
        show::text(&self.payload)
    }

    /// The text of the notification.
    pub fn summary(&self) -> &str {
        self.payload["text"].as_str().unwrap_or("")
    }
}

/// A workspace: it takes so many messages a minute from all who post there, by webhooks and by apps.
#[derive(Clone, Debug)]
pub struct Workspace(Arc<Mutex<Window>>);

impl Workspace {
    /// One that takes so many.
    pub fn taking(most: usize) -> Workspace {
        Workspace(Arc::new(Mutex::new(Window::new(most, Duration::from_mins(1)))))
    }

    /// Whether it takes one more; it is counted if so.
    pub(super) fn lets_through(&self, now: Instant) -> bool {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        window.lets_through(now)
    }
}

impl Default for Workspace {
    fn default() -> Workspace {
        Workspace::taking(300)
    }
}

/// What Slack says.
#[derive(Debug, Default)]
pub struct Slack {
    workspace: Workspace,
    /// When the rate limit has forgotten every message.
    quiet_at: Option<Instant>,
}

impl FakeSlack {
    /// Starts on a free port of this machine.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start() -> io::Result<FakeSlack> {
        FakeSlack::serve(TcpListener::bind(("127.0.0.1", 0)).await?)
    }

    /// Starts on a socket that is bound already; to be called within a tokio runtime.
    ///
    /// # Errors
    /// When the socket has no address.
    pub fn serve(listener: TcpListener) -> io::Result<FakeSlack> {
        let clock = Box::new(Instant::now);
        Fake::serve(listener, Box::new(Slack::default()), clock).map(FakeSlack)
    }

    /// Address of the webhook.
    pub fn webhook_url(&self) -> String {
        self.url("/services/T0000FAKE/B0000FAKE/notsosecret")
    }
}

impl Deref for FakeSlack {
    type Target = Fake;

    fn deref(&self) -> &Fake {
        &self.0
    }
}

impl Slack {
    /// A channel of this workspace.
    pub(super) fn within(workspace: Workspace) -> Slack {
        Slack {
            workspace,
            quiet_at: None,
        }
    }

    /// Whether the rate limits of the channel and of the workspace let one more through.
    pub(super) fn lets_through(&mut self, now: Instant) -> bool {
        self.channel_takes(now) && self.workspace.lets_through(now)
    }

    fn channel_takes(&mut self, now: Instant) -> bool {
        let quiet_at = self.quiet_at.map_or(now, |at| at.max(now));
        let lets_through = quiet_at - now <= PER_MESSAGE * (BURST - 1);
        if lets_through {
            self.quiet_at = Some(quiet_at + PER_MESSAGE);
        }
        lets_through
    }
}

impl Vendor for Slack {
    fn judge(&mut self, call: &Call) -> Verdict {
        if !call.path.starts_with("/services/") {
            return Verdict::refused(404, "no_service", "no webhook has this path");
        }
        if !self.lets_through(call.at) {
            let body = r#"{"retry_after":1,"ok":false,"error":"rate_limited"}"#;
            let refused = Verdict::refused(
                429,
                body,
                "more than one message a second, or too many in the workspace",
            );
            return Verdict {
                headers: vec![("Retry-After".to_owned(), "1".to_owned())],
                ..refused
            };
        }
        match rules::check(&call.body, call.is_json) {
            Ok(payload) => Verdict::good(self.good(), payload),
            Err(refusal) => Verdict::refused(400, refusal.word, refusal.why),
        }
    }

    fn good(&self) -> &'static str {
        "ok"
    }
}

#[cfg(test)]
mod tests;
