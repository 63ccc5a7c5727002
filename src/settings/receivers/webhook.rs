//! `webhook`: a program that takes signed HTTP requests.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::super::load::SecretKeys;
use super::{Checker, Common, Secret, UrlKeys, entry};
use crate::notify::template;
use crate::notify::webhook::check_keys;

/// A program that takes signed HTTP requests.
#[derive(Clone, PartialEq, Debug)]
pub struct Webhook {
    /// Its URL, which may hold a secret.
    pub url: Secret,
    /// What it reads.
    pub format: WebhookFormat,
    /// How requests are signed.
    pub signature: Signature,
    /// What is sent in place of `format`.
    pub own: Option<OwnBody>,
    /// The value of the header `Authorization`.
    pub authorization: Option<Secret>,
}

/// What a program reads whose shape the settings say. Every text in it is a template.
#[derive(Clone, PartialEq, Debug)]
pub struct OwnBody {
    /// Of every notice.
    pub body: Map<String, Json>,
    /// Of the end of an episode, where that is another request.
    pub end: Option<OwnEnd>,
}

/// The request about the end of an episode.
#[derive(Clone, PartialEq, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnEnd {
    /// What comes behind the URL; `{{ episode }}` and `{{ notice }}` stand for the ids.
    pub path: String,
    /// What is sent.
    #[serde(default)]
    pub body: Map<String, Json>,
}

impl OwnEnd {
    /// The path with the ids in it, which are hex digits and dots.
    pub fn path_of(&self, episode: &str, notice: &str) -> String {
        let path = self.path.replace("{{ episode }}", episode);
        path.replace("{{ notice }}", notice)
    }
}

/// What a program reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WebhookFormat {
    /// One event a notice.
    #[default]
    Events,
    /// The webhook of Alertmanager, version 4.
    Alertmanager,
}

/// How requests are signed.
#[derive(Clone, PartialEq, Debug)]
pub enum Signature {
    /// By Standard Webhooks, with each of these keys; without keys not at all.
    Standard(Vec<Secret>),
    /// As Grafana signs.
    Grafana {
        /// Its secret.
        secret: Secret,
        /// The header with the time of the attempt, which is signed, too; `None`: the body alone is.
        timestamp_header: Option<String>,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum SignatureWord {
    #[default]
    Standard,
    Grafana,
}

entry! {
    pub(super) struct WebhookEntry {
        url: Option<String>,
        url_file: Option<PathBuf>,
        secret: Option<String>,
        secret_file: Option<PathBuf>,
        format: Option<WebhookFormat>,
        body: Option<Map<String, Json>>,
        end: Option<OwnEnd>,
        authorization: Option<String>,
        authorization_file: Option<PathBuf>,
        #[serde(default)]
        signature: SignatureWord,
        timestamp_header: Option<String>,
    }
}

const URL: UrlKeys = UrlKeys {
    choice: "url: https://… or url_file: /run/secrets/webhook_url",
    looks_like: "https://ops.example.com/hooks/kpi",
};
const SECRET: SecretKeys = SecretKeys {
    file: "secret_file",
    example: "secret_file: /run/secrets/webhook or secret: ${WEBHOOK_SECRET}",
};

const AUTHORIZATION: SecretKeys = SecretKeys {
    file: "authorization_file",
    example: "authorization_file: /run/secrets/webhook_authorization or authorization: Bearer ${TOKEN}",
};

pub(super) fn read(
    checker: &mut Checker,
    path: &[&str],
    entry: WebhookEntry,
    common: &Common,
) -> Option<Webhook> {
    let url = checker.secret_url(path, &URL, entry.url, entry.url_file, common)?;
    let secret = match (entry.secret, entry.secret_file) {
        (None, None) => None,
        (text, file) => Some(checker.secret(path, &SECRET, text, file)?),
    };
    let signature = match (entry.signature, secret) {
        (SignatureWord::Standard, secret) => {
            let secrets: Vec<Secret> = secret
                .iter()
                .flat_map(|text| text.split_whitespace())
                .map(Secret::new)
                .collect();
            if let Err(reason) = check_keys(&secrets) {
                checker.problem(path, reason);
                return None;
            }
            if entry.timestamp_header.is_some() {
                let message = "timestamp_header belongs to signature: grafana; the standard's header is webhook-timestamp";
                checker.problem(path, message);
                return None;
            }
            Signature::Standard(secrets)
        }
        (SignatureWord::Grafana, Some(secret)) => {
            let named = entry.timestamp_header.as_deref();
            if named.is_some_and(|name| reqwest::header::HeaderName::try_from(name).is_err()) {
                checker.problem(
                    path,
                    "timestamp_header is no name of a header; write such as X-Timestamp",
                );
                return None;
            }
            Signature::Grafana {
                secret: Secret::new(secret),
                timestamp_header: entry.timestamp_header,
            }
        }
        (SignatureWord::Grafana, None) => {
            checker.problem(path, format!("nothing to sign with; write {}", SECRET.example));
            return None;
        }
    };
    let authorization = match (entry.authorization, entry.authorization_file) {
        (None, None) => None,
        (text, file) => Some(checker.secret(path, &AUTHORIZATION, text, file)?),
    };
    if authorization
        .as_deref()
        .is_some_and(|value| reqwest::header::HeaderValue::try_from(value).is_err())
    {
        checker.problem(
            path,
            "the authorization is no value of a header; it is one line of ASCII",
        );
        return None;
    }
    if entry.format.is_some() && entry.body.is_some() {
        checker.problem(path, "a body of one's own has no format; leave one of them out");
        return None;
    }
    Some(Webhook {
        url,
        format: entry.format.unwrap_or_default(),
        signature,
        own: own(checker, path, entry.body, entry.end)?,
        authorization: authorization.map(Secret::new),
    })
}

/// A body of the settings' own, with its templates checked.
fn own(
    checker: &mut Checker,
    path: &[&str],
    body: Option<Map<String, Json>>,
    end: Option<OwnEnd>,
) -> Option<Option<OwnBody>> {
    let Some(body) = body else {
        if end.is_some() {
            checker.problem(path, "end goes with a body of one's own; add body: {…}");
        }
        return Some(None);
    };
    let before = checker.problems();
    let at = |keys: &[&'static str]| -> Vec<&str> { path.iter().chain(keys).copied().collect() };
    check_texts(checker, &at(&["body"]), &body);
    if let Some(end) = &end {
        check_texts(checker, &at(&["end", "body"]), &end.body);
        let plain = end.path_of("0", "0.1");
        if !plain.starts_with(['/', '?']) || plain.contains(['{', '}', ' ', '#']) {
            let message = "this is no path behind the URL; write such as /{{ episode }}/close, with {{ episode }} or {{ notice }} in it";
            checker.problem(&at(&["end", "path"]), message);
        }
    }
    (checker.problems() == before).then_some(Some(OwnBody { body, end }))
}

/// Checks every text of a body, each at the key of the body in which it stands.
fn check_texts(checker: &mut Checker, path: &[&str], body: &Map<String, Json>) {
    for (key, value) in body {
        let at: Vec<&str> = path.iter().copied().chain([key.as_str()]).collect();
        for text in texts(value) {
            if let Err(reason) = template::check(text) {
                checker.problem(&at, format!("{key}: {reason}"));
            }
        }
    }
}

fn texts(value: &Json) -> Vec<&str> {
    match value {
        Json::String(text) => vec![text],
        Json::Array(all) => all.iter().flat_map(texts).collect(),
        Json::Object(all) => all.values().flat_map(texts).collect(),
        Json::Null | Json::Bool(_) | Json::Number(_) => Vec::new(),
    }
}
