//! PagerDuty, by its Events API v2: an episode is an incident, which begins, gets worse, is taken and ends with it.
//!
//! The API: <https://developer.pagerduty.com/docs/events-api-v2/trigger-events/>.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::Url;
use reqwest::header::HeaderMap;
use serde_json::{Value as Json, json};

use super::answer::{by_status, vendors_words};
use super::http::{Http, Reply};
use super::message::Message;
use super::text::Fitter;
use super::{Answer, Channel, Form, Limit, Opened, Parcel, Sending, Wording, destination, phrases};
use crate::alert::notice::{Notice, NoticeKind};
use crate::settings::{self, Receiver, Secret};

/// PagerDuty takes about 120 a minute for each integration.
const LIMITS: [Limit; 1] = [Limit {
    per_message: Duration::from_millis(600),
    burst: 5,
}];

/// Characters of a summary.
pub(crate) const SUMMARY: usize = 1024;
/// Characters of a deduplication key.
pub(crate) const DEDUP_KEY: usize = 255;
/// Bytes of an event.
pub(crate) const EVENT: usize = 512_000;
/// Shares of the room, in bytes.
const NAME: usize = 200;
const VALUE: usize = 1000;
const URL: usize = 2000;

/// A service.
struct PagerDuty {
    http: Http,
    enqueue: Url,
    routing_key: Secret,
    wording: Wording,
}

/// A receiver's service, ready to be written to.
pub(super) fn open(
    service: &settings::PagerDuty,
    receiver: &Receiver,
    wording: Wording,
) -> Result<Opened, String> {
    let api = service.api_url.as_str().trim_end_matches('/');
    let channel = PagerDuty {
        http: Http::new("pagerduty", api, receiver)?.hiding(std::slice::from_ref(&service.routing_key)),
        enqueue: Url::parse(&format!("{api}/v2/enqueue")).map_err(|error| format!("pagerduty: {error}"))?,
        routing_key: service.routing_key.clone(),
        wording,
    };
    let key = destination(&format!("{api}\n{}", service.routing_key.reveal()));
    Ok((Arc::new(channel), key))
}

impl PagerDuty {
    async fn post(&self, parcel: Parcel<'_>) -> Answer {
        let Some(notice) = parcel.notices.first() else {
            return Answer::OK;
        };
        let event = self.event(notice, parcel.form).to_string();
        let sent = self.http.post_to(self.enqueue.clone(), HeaderMap::new(), event);
        match sent.await {
            Ok(reply) => judge(&reply, Timestamp::now()),
            Err(answer) => answer,
        }
    }

    fn event(&self, notice: &Notice, form: Form) -> Json {
        let mut fit = Fitter::default();
        let action = match notice.kind {
            NoticeKind::Acked => "acknowledge",
            NoticeKind::Resolved => "resolve",
            _ => "trigger",
        };
        let mut event = json!({
            "routing_key": self.routing_key.reveal(),
            "event_action": action,
            "dedup_key": fit.escaped(&notice.episode, DEDUP_KEY),
        });
        if action == "trigger" {
            let message = self.wording.message(std::slice::from_ref(notice));
            event["payload"] = payload(&mut fit, notice, &message, form);
            event["client"] = json!("tautline");
            let links: Vec<_> = message
                .links
                .iter()
                .filter(|link| link.url.len() <= URL)
                .collect();
            if let Some(page) = links.first() {
                event["client_url"] = json!(page.url);
            }
            event["links"] = links
                .iter()
                .map(|link| json!({"href": link.url, "text": link.label}))
                .collect();
        }
        event
    }
}

fn payload(fit: &mut Fitter, notice: &Notice, message: &Message, form: Form) -> Json {
    let said = [message.title.as_str(), message.lead.as_str()];
    let summary = said.map(str::trim).join(" — ");
    let label = |name: &str| notice.labels.get(name).map(|value| value.as_str());
    let mut payload = json!({
        "summary": fit.characters(summary.trim_end_matches(" — "), SUMMARY),
        "source": fit.bytes(label("node").or(label("source")).unwrap_or("tautline"), NAME, |_| None),
        // It knows no others.
        "severity": notice.severity.like().as_str(),
        "timestamp": notice.decided_at.to_string(),
        "component": fit.bytes(label("node").unwrap_or_default(), NAME, |_| None),
        "group": fit.bytes(label("parent").unwrap_or_default(), NAME, |_| None),
        "class": fit.bytes(&notice.alert_kind, NAME, |_| None),
    });
    if form == Form::Full {
        let fields = message.fields.iter().map(|field| {
            let name = fit.bytes(&field.name, NAME, |_| None);
            let value = fit.bytes(&phrases::value(message, &field.value), VALUE, |_| None);
            (name, json!(value))
        });
        let mut details: serde_json::Map<String, Json> = fields.collect();
        details.insert("notice".to_owned(), json!(fit.bytes(&notice.id, NAME, |_| None)));
        // An address that is cut leads nowhere: one that is too long is left out.
        if fit.cut || message.links.iter().any(|link| link.url.len() > URL) {
            details.insert("shortened".to_owned(), json!(true));
        }
        payload["custom_details"] = Json::Object(details);
    }
    payload
}

/// What PagerDuty's answer means.
fn judge(reply: &Reply, now: Timestamp) -> Answer {
    let body: Json = serde_json::from_str(&reply.body).unwrap_or_default();
    let errors = body["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    let said: Vec<&str> = errors.iter().filter_map(Json::as_str).collect();
    let said = match said.is_empty() {
        true => body["message"].as_str().unwrap_or_default().to_owned(),
        false => said.join("; "),
    };
    let reason = vendors_words(i64::from(reply.status), &said);
    match reply.status {
        202 => Answer::OK,
        400 if said.contains("routing") => Answer::Disable {
            reason: format!("{reason}: check the integration key of the service"),
        },
        400 if !said.is_empty() => Answer::Drop { reason },
        400 => Answer::Drop {
            reason: "status 400".to_owned(),
        },
        // Something in between that takes what it does not pass on.
        200..=299 => Answer::Retry {
            after: None,
            maybe_shown: false,
            reason: format!("status {}", reply.status),
        },
        _ => by_status(reply, now),
    }
}

impl Channel for PagerDuty {
    fn send<'a>(&'a self, parcel: Parcel<'a>) -> Sending<'a> {
        Box::pin(self.post(parcel))
    }

    fn destination(&self) -> &str {
        self.http.destination()
    }

    fn limits(&self) -> &[Limit] {
        &LIMITS
    }

    /// Each episode is an incident of its own.
    fn bundles(&self, _head: &Notice) -> bool {
        false
    }

    /// A known incident with another severity is an update, and pages nobody.
    fn updates(&self) -> bool {
        true
    }

    /// It knows incidents, and nothing of what comes after their end.
    fn takes(&self, notice: &Notice) -> bool {
        notice.aside.is_none() && notice.kind != NoticeKind::Correction
    }
}
