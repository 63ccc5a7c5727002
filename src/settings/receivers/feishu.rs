//! `feishu`: a custom bot of Feishu or Lark.

use std::path::PathBuf;

use super::mention::{self, Callable, Mention, MentionEntry};
use super::{Checker, Common, Secret, UrlKeys, entry};

/// A custom bot of Feishu or Lark.
#[derive(Clone, PartialEq, Debug)]
pub struct Feishu {
    /// Its URL, which is a secret.
    pub url: Secret,
    /// The secret by which messages are signed, where the robot asks for that.
    pub secret: Option<Secret>,
    /// Whom messages call by name.
    pub mention: Mention,
}

entry! {
    pub(super) struct FeishuEntry {
        url: Option<String>,
        url_file: Option<PathBuf>,
        secret: Option<String>,
        secret_file: Option<PathBuf>,
        mention: Option<MentionEntry>,
    }
}

const URL: UrlKeys = UrlKeys {
    choice: "url_file: /run/secrets/feishu_url or url: ${FEISHU_URL}",
    looks_like: "https://open.feishu.cn/open-apis/bot/v2/hook/…",
};

const CALLABLE: Callable = Callable {
    service: "Feishu",
    mobiles: false,
    all: true,
};

pub(super) fn read(
    checker: &mut Checker,
    path: &[&str],
    entry: FeishuEntry,
    common: &Common,
) -> Option<Feishu> {
    let mention = mention::read(checker, path, entry.mention, &CALLABLE);
    let secret = checker.signing_secret(path, entry.secret, entry.secret_file);
    let url = checker.secret_url(path, &URL, entry.url, entry.url_file, common)?;
    Some(Feishu { url, secret, mention })
}
