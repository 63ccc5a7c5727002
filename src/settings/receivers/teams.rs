//! `teams`: a workflow of Teams that posts what a webhook gets.

use std::path::PathBuf;

use super::mention::{self, Callable, Mention, MentionEntry};
use super::{Checker, Common, Secret, UrlKeys, entry};

/// A workflow of Teams that posts to a channel when a webhook request is received.
#[derive(Clone, PartialEq, Debug)]
pub struct Teams {
    /// Its URL, which is a secret.
    pub url: Secret,
    /// Whom messages call by name.
    pub mention: Mention,
}

entry! {
    pub(super) struct TeamsEntry {
        url: Option<String>,
        url_file: Option<PathBuf>,
        mention: Option<MentionEntry>,
    }
}

const URL: UrlKeys = UrlKeys {
    choice: "url_file: /run/secrets/teams_url or url: ${TEAMS_URL}",
    looks_like: "https://….logic.azure.com/workflows/…/triggers/manual/paths/invoke?…&sig=…",
};

const CALLABLE: Callable = Callable {
    service: "Teams",
    mobiles: false,
    all: false,
};

pub(super) fn read(
    checker: &mut Checker,
    path: &[&str],
    entry: TeamsEntry,
    common: &Common,
) -> Option<Teams> {
    let mention = mention::read(checker, path, entry.mention, &CALLABLE);
    let url = checker.secret_url(path, &URL, entry.url, entry.url_file, common)?;
    if is_old_connector(url.reveal()) {
        checker.problem(path, RETIRED);
        return None;
    }
    Some(Teams { url, mention })
}

const RETIRED: &str = "this is an Office 365 connector, which Microsoft has retired; in Teams, add the workflow 'Post to a channel when a webhook request is received' and write its URL";

/// A workflow's host may be any; those of the old connectors are known.
fn is_old_connector(url: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(url) else {
        return false;
    };
    let host = url.host_str().unwrap_or_default();
    host.ends_with(".webhook.office.com")
        || matches!(host, "outlook.office.com" | "outlook.office365.com")
            && url.path().starts_with("/webhook")
}
