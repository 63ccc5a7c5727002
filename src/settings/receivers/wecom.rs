//! `wecom`: a robot of a WeCom group.

use std::path::PathBuf;

use super::mention::{self, Callable, Mention, MentionEntry};
use super::{Checker, Common, Secret, UrlKeys, entry};

/// A robot of a WeCom group.
#[derive(Clone, PartialEq, Debug)]
pub struct WeCom {
    /// Its URL, which is a secret.
    pub url: Secret,
    /// Whom messages call by name.
    pub mention: Mention,
}

entry! {
    pub(super) struct WeComEntry {
        url: Option<String>,
        url_file: Option<PathBuf>,
        mention: Option<MentionEntry>,
    }
}

const URL: UrlKeys = UrlKeys {
    choice: "url_file: /run/secrets/wecom_url or url: ${WECOM_URL}",
    looks_like: "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=…",
};

const CALLABLE: Callable = Callable {
    service: "WeCom",
    mobiles: true,
    all: true,
};

pub(super) fn read(
    checker: &mut Checker,
    path: &[&str],
    entry: WeComEntry,
    common: &Common,
) -> Option<WeCom> {
    let mention = mention::read(checker, path, entry.mention, &CALLABLE);
    let url = checker.secret_url(path, &URL, entry.url, entry.url_file, common)?;
    Some(WeCom { url, mention })
}
