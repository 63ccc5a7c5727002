//! `dingtalk`: a robot of a DingTalk group.

use std::path::PathBuf;

use super::mention::{self, Callable, Mention, MentionEntry};
use super::{Checker, Common, Secret, UrlKeys, entry};

/// A robot of a DingTalk group.
#[derive(Clone, PartialEq, Debug)]
pub struct DingTalk {
    /// Its URL, which is a secret.
    pub url: Secret,
    /// The secret by which messages are signed, where the robot asks for that.
    pub secret: Option<Secret>,
    /// Whom messages call by name.
    pub mention: Mention,
}

entry! {
    pub(super) struct DingTalkEntry {
        url: Option<String>,
        url_file: Option<PathBuf>,
        secret: Option<String>,
        secret_file: Option<PathBuf>,
        mention: Option<MentionEntry>,
    }
}

const URL: UrlKeys = UrlKeys {
    choice: "url_file: /run/secrets/dingtalk_url or url: ${DINGTALK_URL}",
    looks_like: "https://oapi.dingtalk.com/robot/send?access_token=…",
};

const CALLABLE: Callable = Callable {
    service: "DingTalk",
    mobiles: true,
    all: true,
};

pub(super) fn read(
    checker: &mut Checker,
    path: &[&str],
    entry: DingTalkEntry,
    common: &Common,
) -> Option<DingTalk> {
    let mention = mention::read(checker, path, entry.mention, &CALLABLE);
    let secret = checker.signing_secret(path, entry.secret, entry.secret_file);
    let url = checker.secret_url(path, &URL, entry.url, entry.url_file, common)?;
    Some(DingTalk { url, secret, mention })
}
