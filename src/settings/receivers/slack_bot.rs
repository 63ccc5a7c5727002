//! `slack_bot`: a Slack app that posts, updates what it has posted, and answers below it.

use std::path::PathBuf;

use reqwest::Url;

use super::super::load::SecretKeys;
use super::slack_workspace::{self, Rate};
use super::{Checker, Common, Secret, entry};

/// Where Slack's Web API begins.
const API: &str = "https://slack.com/api";

/// A Slack app in a channel.
#[derive(Clone, PartialEq, Debug)]
pub struct SlackBot {
    /// The bot's token.
    pub token: Secret,
    /// Id of the channel, or its name.
    pub channel: String,
    /// The secret by which Slack signs what it sends us; `None`: buttons are links.
    pub signing_secret: Option<Secret>,
    /// Id of the workspace in which the app is installed; `None`: it is known by its token only.
    pub workspace: Option<String>,
    /// Messages a minute that the workspace takes from all who post there.
    pub workspace_per_minute: Rate,
    /// Where the Web API begins.
    pub api_url: Url,
}

entry! {
    pub(super) struct SlackBotEntry {
        token: Option<String>,
        token_file: Option<PathBuf>,
        channel: Option<String>,
        signing_secret: Option<String>,
        signing_secret_file: Option<PathBuf>,
        workspace: Option<String>,
        workspace_per_minute: Option<u32>,
        api_url: Option<String>,
    }
}

const TOKEN: SecretKeys = SecretKeys {
    file: "token_file",
    example: "token_file: /run/secrets/slack_token or token: ${SLACK_TOKEN}",
};
const SIGNING: SecretKeys = SecretKeys {
    file: "signing_secret_file",
    example: "signing_secret_file: /run/secrets/slack_signing or signing_secret: ${SLACK_SIGNING_SECRET}",
};

pub(super) fn read(
    checker: &mut Checker,
    path: &[&str],
    entry: SlackBotEntry,
    common: &Common,
) -> Option<SlackBot> {
    let at = |key: &'static str| -> Vec<&str> { path.iter().copied().chain([key]).collect() };
    let token = checker.secret(path, &TOKEN, entry.token, entry.token_file);
    let signing_secret = match (entry.signing_secret, entry.signing_secret_file) {
        (None, None) => None,
        (text, file) => Some(checker.secret(path, &SIGNING, text, file)?),
    };
    let api = entry.api_url.as_deref().unwrap_or(API);
    let api_url = checker.check_url(&at("api_url"), API, api, common)?;
    let Some(channel) = entry.channel.filter(|channel| !channel.trim().is_empty()) else {
        let message = "the channel is missing; write its id, which is at the end of the channel's details: channel: C0123456789";
        checker.problem(path, message);
        return None;
    };
    let token = token?.trim().to_owned();
    if !token.starts_with("xoxb-") {
        let message = "this is no token of a bot, which begins with xoxb-; it is under 'OAuth & Permissions' of the app";
        checker.problem(path, message);
        return None;
    }
    let workspace = entry.workspace.map(|id| id.trim().to_owned());
    if workspace.as_ref().is_some_and(|id| !slack_workspace::is_id(id)) {
        let message = "this is no id of a workspace, which begins with T and stands in the addresses of its webhooks and of Slack in the browser: workspace: T0123456789";
        checker.problem(&at("workspace"), message);
        return None;
    }
    let workspace_per_minute = checker.workspace_per_minute(path, entry.workspace_per_minute)?;
    Some(SlackBot {
        workspace,
        workspace_per_minute,
        token: Secret::new(token),
        channel: channel.trim().to_owned(),
        signing_secret: signing_secret.map(|secret| Secret::new(secret.trim())),
        api_url,
    })
}
