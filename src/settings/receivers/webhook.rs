//! `webhook`: a program that takes signed HTTP requests.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::load::SecretKeys;
use super::{Checker, Common, Secret, UrlKeys, entry};
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
        #[serde(default)]
        format: WebhookFormat,
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
    Some(Webhook {
        url,
        format: entry.format,
        signature,
    })
}
