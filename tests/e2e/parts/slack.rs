//! The fake Slack, beside the tests: it lives on while daemons die.

use std::collections::BTreeSet;
use std::time::Duration;

use tautline::notify::fake_slack::{FakeSlack, Message, Request, Scripted};

use super::{runtime, wait};

/// A Slack that one test has for itself.
pub(crate) struct Slack(FakeSlack);

/// A message as people got it.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Told {
    /// Id of the notice.
    pub(crate) id: String,
    /// What the notification says.
    pub(crate) text: String,
    /// The message as it is shown.
    pub(crate) body: String,
}

impl Slack {
    /// Starts one.
    pub(crate) fn start() -> Slack {
        Slack(runtime().block_on(FakeSlack::start()).unwrap())
    }

    /// What stands in the settings, as the body of `slack_webhook`.
    pub(crate) fn webhook(&self) -> String {
        format!(
            "{{url: \"{}\", timeout: 1s, allow_private: true}}",
            self.0.webhook_url()
        )
    }

    /// Every message so far, oldest first.
    #[track_caller]
    pub(crate) fn messages(&self) -> Vec<Told> {
        self.0.messages().iter().map(told).collect()
    }

    /// Ids of the notices so far.
    #[track_caller]
    pub(crate) fn ids(&self) -> BTreeSet<String> {
        self.messages().into_iter().map(|message| message.id).collect()
    }

    /// Every request so far, refused ones too.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.0.requests()
    }

    /// Answers the next request like this; several are used one after the other.
    pub(crate) fn script(&self, answer: Scripted) {
        self.0.script(answer);
    }

    /// Waits until there are so many messages.
    #[track_caller]
    pub(crate) fn wait_for(&self, count: usize, within: Duration) {
        wait::until_ok(&format!("{count} messages are shown"), within, || {
            let seen = self.messages().len();
            if seen >= count {
                Ok(())
            } else {
                Err(format!("{seen}; requests {:#?}", self.requests()))
            }
        });
    }
}

#[track_caller]
fn told(message: &Message) -> Told {
    let blocks = message.payload["blocks"].as_array();
    let mut contexts = blocks
        .into_iter()
        .flatten()
        .filter(|block| block["type"] == "context");
    let context = contexts
        .next_back()
        .and_then(|block| block["elements"][0]["text"].as_str());
    // <id> · <kind>
    let id = context.and_then(|text| text.split(" · ").next());
    Told {
        id: id
            .unwrap_or_else(|| panic!("no notice id in {message:#?}"))
            .to_owned(),
        text: message.summary().to_owned(),
        body: message.as_text(),
    }
}
