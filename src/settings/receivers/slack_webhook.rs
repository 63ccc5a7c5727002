//! `slack_webhook`: a Slack incoming webhook.

use std::path::PathBuf;

use reqwest::Url;

use super::slack_workspace::{self, Rate};
use super::{Checker, Common, Secret, UrlKeys, entry};

/// A Slack incoming webhook.
#[derive(Clone, PartialEq, Debug)]
pub struct SlackWebhook {
    /// Its URL, which is the secret.
    pub url: Secret,
    /// Messages a minute that its workspace takes from all who post there.
    pub workspace_per_minute: Rate,
}

impl SlackWebhook {
    /// One of which only the URL is known.
    pub fn at(url: Secret) -> SlackWebhook {
        SlackWebhook {
            url,
            workspace_per_minute: slack_workspace::PER_MINUTE,
        }
    }

    /// The id of the workspace, which stands in the URL: `https://hooks.slack.com/services/T…/B…/…`.
    pub fn workspace(&self) -> Option<String> {
        let url = Url::parse(self.url.reveal()).ok()?;
        let named = url.path_segments()?.nth(1)?;
        slack_workspace::is_id(named).then(|| named.to_owned())
    }
}

entry! {
    pub(super) struct SlackWebhookEntry {
        url: Option<String>,
        url_file: Option<PathBuf>,
        workspace_per_minute: Option<u32>,
    }
}

const URL: UrlKeys = UrlKeys {
    choice: "url_file: /run/secrets/slack_url or url: ${SLACK_URL}",
    looks_like: "https://hooks.slack.com/services/T…/B…/…",
};

pub(super) fn read(
    checker: &mut Checker,
    path: &[&str],
    entry: SlackWebhookEntry,
    common: &Common,
) -> Option<SlackWebhook> {
    let url = checker.secret_url(path, &URL, entry.url, entry.url_file, common)?;
    Some(SlackWebhook {
        url,
        workspace_per_minute: checker.workspace_per_minute(path, entry.workspace_per_minute)?,
    })
}
