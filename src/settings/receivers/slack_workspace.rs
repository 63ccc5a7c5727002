//! What receivers have in common that post to one Slack workspace: it takes so many messages a minute from all of them.

use std::num::NonZeroU32;

use super::{Channel, Checker, Receiver};

/// Messages a minute.
pub type Rate = NonZeroU32;

/// What a workspace takes unless the settings say otherwise. Slack gives no figure; people report several hundred.
pub const PER_MINUTE: Rate = Rate::new(300).unwrap();

/// Whether a text is the id of a workspace.
pub(super) fn is_id(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit();
    text.len() > 1 && text.starts_with('T') && text.chars().all(is_plain)
}

impl Checker {
    /// How many messages a minute a workspace takes.
    pub(super) fn workspace_per_minute(&mut self, path: &[&str], entry: Option<u32>) -> Option<Rate> {
        let Some(count) = entry else {
            return Some(PER_MINUTE);
        };
        let rate = Rate::new(count);
        if rate.is_none() {
            let path: Vec<&str> = path.iter().copied().chain(["workspace_per_minute"]).collect();
            self.problem(
                &path,
                "with no message a minute nothing is sent; write workspace_per_minute: 300",
            );
        }
        rate
    }

    /// An app does not say in which workspace it is: beside a webhook it may be the same, and nobody would know.
    pub(super) fn same_workspace<'r>(
        &mut self,
        receivers: impl Iterator<Item = (&'r String, &'r Receiver)> + Clone,
    ) {
        let webhooks = receivers
            .clone()
            .filter_map(|(_, receiver)| match &receiver.channel {
                Channel::SlackWebhook(webhook) => webhook.workspace(),
                _ => None,
            });
        let Some(workspace) = webhooks.min() else {
            return;
        };
        for (name, receiver) in receivers {
            let Channel::SlackBot(bot) = &receiver.channel else {
                continue;
            };
            if bot.workspace.is_none() {
                self.warn(
                    &["receivers", name, "slack_bot"],
                    format!(
                        "this app does not share its rate with the webhooks of its workspace; if it is theirs, add workspace: {workspace}"
                    ),
                );
            }
        }
    }
}
