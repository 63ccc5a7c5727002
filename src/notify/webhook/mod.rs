//! Webhook: notices for programs, by Standard Webhooks 1.0.0, or in the shape of Alertmanager's webhook.
//!
//! * `payload`, `alertmanager`: what is sent. `signature`: how it is signed. `reply`: what the answer means.

mod alertmanager;
mod payload;
pub(super) mod reply;
pub(super) mod signature;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use jiff::Timestamp;
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use serde_json::Value as Json;

use super::http::Http;
use super::template;
use super::{Answer, Channel, Form, Limit, Opened, Parcel, Sending, Waiting, Wording, destination};
use crate::alert::notice::{Notice, NoticeKind};
use crate::settings::{OwnBody, Receiver, Secret, Signature, Webhook as Settings, WebhookFormat};
use signature::Key;

pub(super) use alertmanager::ALERTS;

const GRAFANA_HEADER: HeaderName = HeaderName::from_static("x-grafana-alerting-signature");
/// A program reads faster than people.
const LIMITS: [Limit; 1] = [Limit {
    per_message: std::time::Duration::from_millis(100),
    burst: 20,
}];

/// A program that takes signed HTTP requests.
struct Webhook {
    http: Http,
    wording: Wording,
    format: WebhookFormat,
    signing: Signing,
    own: Option<OwnBody>,
    /// The value of the header `Authorization`.
    authorization: Option<HeaderValue>,
}

enum Signing {
    Standard(Vec<Key>),
    Grafana {
        secret: Secret,
        timestamp_header: Option<HeaderName>,
    },
}

/// Whether secrets are keys of Standard Webhooks; says what is wrong, without the secret.
pub(crate) fn check_keys(secrets: &[Secret]) -> Result<(), String> {
    keys(secrets).map(|_| ())
}

fn keys(secrets: &[Secret]) -> Result<Vec<Key>, String> {
    secrets.iter().map(|secret| Key::parse(secret.reveal())).collect()
}

/// A receiver's webhook, ready to be written to.
pub(super) fn open(webhook: &Settings, receiver: &Receiver, wording: Wording) -> Result<Opened, String> {
    let signing = match &webhook.signature {
        Signature::Standard(secrets) => Signing::Standard(keys(secrets)?),
        Signature::Grafana {
            secret,
            timestamp_header,
        } => Signing::Grafana {
            secret: secret.clone(),
            timestamp_header: timestamp_header
                .as_deref()
                .map(HeaderName::try_from)
                .transpose()
                .map_err(|error| format!("timestamp_header: {error}"))?,
        },
    };
    let mut secrets = match &webhook.signature {
        Signature::Standard(secrets) => secrets.clone(),
        Signature::Grafana { secret, .. } => vec![secret.clone()],
    };
    let authorization = match &webhook.authorization {
        None => None,
        Some(secret) => {
            // A scheme before it is no secret, and an answer may repeat the rest alone.
            secrets.extend(secret.reveal().split_whitespace().map(Secret::new));
            let mut value =
                HeaderValue::try_from(secret.reveal()).map_err(|_| "authorization: no value of a header")?;
            value.set_sensitive(true);
            Some(value)
        }
    };
    let channel = Webhook {
        http: Http::new("webhook", webhook.url.reveal(), receiver)?.hiding(&secrets),
        wording,
        format: webhook.format,
        signing,
        own: webhook.own.clone(),
        authorization,
    };
    Ok((Arc::new(channel), destination(webhook.url.reveal())))
}

impl Webhook {
    fn payload(&self, notices: &[Notice], form: Form) -> Json {
        let message = |notice: &Notice| self.wording.message(std::slice::from_ref(notice));
        if let (Some(own), Some(notice)) = (&self.own, notices.first()) {
            let body = match own.end.as_ref().filter(|_| is_end(notice)) {
                Some(end) => &end.body,
                None => &own.body,
            };
            return template::body(body, notice, &message(notice));
        }
        match (self.format, notices.first()) {
            (WebhookFormat::Events, Some(notice)) => payload::event(notice, &message(notice), form),
            (WebhookFormat::Events, None) => Json::Null,
            (WebhookFormat::Alertmanager, _) => {
                alertmanager::group(notices, self.wording.page.as_deref(), message)
            }
        }
    }

    /// The headers of an attempt at this time.
    fn headers(&self, id: &str, now: i64, body: &str) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        let value = |text: &str| HeaderValue::try_from(text).map_err(|error| error.to_string());
        headers.insert("webhook-id", value(id)?);
        if let Some(authorization) = &self.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        headers.insert("webhook-timestamp", HeaderValue::from(now));
        match &self.signing {
            Signing::Standard(keys) if keys.is_empty() => {}
            Signing::Standard(keys) => {
                let signatures = signature::standard(keys, id, now, body);
                headers.insert("webhook-signature", value(&signatures)?);
            }
            Signing::Grafana {
                secret,
                timestamp_header,
            } => {
                let signed_time = timestamp_header.as_ref().map(|_| now);
                let signature = signature::grafana(secret.reveal(), signed_time, body);
                headers.insert(GRAFANA_HEADER, value(&signature)?);
                if let Some(name) = timestamp_header {
                    headers.insert(name.clone(), HeaderValue::from(now));
                }
            }
        }
        Ok(headers)
    }

    /// Where a message goes: the end of an episode may have a path of its own.
    fn url(&self, notices: &[Notice]) -> Url {
        let end = self.own.as_ref().and_then(|own| own.end.as_ref());
        match (end, notices.first()) {
            (Some(end), Some(notice)) if is_end(notice) => {
                ended_at(self.http.url(), &end.path_of(&notice.episode, &notice.id))
            }
            _ => self.http.url().clone(),
        }
    }

    async fn post(&self, notices: &[Notice], form: Form) -> Answer {
        let body = self.payload(notices, form).to_string();
        let id = notices.first().map_or("", |notice| notice.id.as_str());
        let now = Timestamp::now();
        let headers = match self.headers(id, now.as_second(), &body) {
            Ok(headers) => headers,
            Err(reason) => return Answer::Drop { reason },
        };
        let url = self.url(notices);
        match self.http.post_to(url, headers, body).await {
            Ok(reply) => reply::judge(reply.status, reply.retry_after(), &reply.body, now),
            Err(answer) => answer,
        }
    }
}

impl Channel for Webhook {
    fn send<'a>(&'a self, parcel: Parcel<'a>) -> Sending<'a> {
        Box::pin(self.post(parcel.notices, parcel.form))
    }

    fn destination(&self) -> &str {
        self.http.destination()
    }

    fn limits(&self) -> &[Limit] {
        &LIMITS
    }

    fn bundles(&self, _head: &Notice) -> bool {
        self.own.is_none() && self.format == WebhookFormat::Alertmanager
    }

    /// A message is about one group.
    fn gathers(&self, head: Waiting<'_>, other: Waiting<'_>) -> bool {
        let (head, other) = (head.notice, other.notice);
        self.bundles(head) && head.group == other.group && head.route == other.route
    }

    /// A program reads what is listed, and nothing else.
    fn room(&self) -> usize {
        alertmanager::ALERTS
    }

    /// Programs keep their own picture: they want every change.
    fn updates(&self) -> bool {
        true
    }

    fn takes(&self, notice: &Notice) -> bool {
        match &self.own {
            // What has been ended there is not corrected, and no template words a digest.
            Some(own) => {
                notice.aside.is_none() && (own.end.is_none() || notice.kind != NoticeKind::Correction)
            }
            None => self.format == WebhookFormat::Events || notice.aside.is_none(),
        }
    }
}

/// A path, perhaps with a query, behind a URL that may have a query of its own.
fn ended_at(base: &Url, path: &str) -> Url {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let mut url = base.clone();
    url.set_path(&format!("{}{path}", base.path().trim_end_matches('/')));
    let queries = [base.query().unwrap_or(""), query];
    let query = queries.into_iter().filter(|part| !part.is_empty());
    let query = query.collect::<Vec<_>>().join("&");
    url.set_query((!query.is_empty()).then_some(query.as_str()));
    url
}

fn is_end(notice: &Notice) -> bool {
    notice.kind == NoticeKind::Resolved
}
