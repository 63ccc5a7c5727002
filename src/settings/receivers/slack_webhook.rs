//! `slack_webhook`: a Slack incoming webhook.

use std::path::PathBuf;

use super::{Checker, Common, Secret, UrlKeys, entry};

/// A Slack incoming webhook.
#[derive(Clone, PartialEq, Debug)]
pub struct SlackWebhook {
    /// Its URL, which is the secret.
    pub url: Secret,
}

entry! {
    pub(super) struct SlackWebhookEntry {
        url: Option<String>,
        url_file: Option<PathBuf>,
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
    Some(SlackWebhook { url })
}
