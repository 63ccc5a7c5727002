//! Alertmanager: alerts are pushed into one that a company has already, to every replica.
//!
//! It keeps alerts in memory and ends by itself what it does not hear of again. So what fires is sent again every
//! `resend`, with an end four times as far ahead, and what ended is sent again for a quarter of an hour. The outbox
//! knows what stands, also over a restart.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde_json::{Value as Json, json};
use tokio::task::JoinSet;

use super::alert::{self, Alert};
use super::http::Http;
use super::webhook::reply;
use super::{Answer, Channel, Limit, Opened, Parcel, Sending, Wording, destination};
use crate::alert::notice::{Notice, NoticeKind};
use crate::catalog::Severity;
use crate::settings::{Alertmanager as Settings, Receiver, Secret};

/// Alerts in one request.
const BATCH: usize = 64;
/// An alert ends by itself when it was not sent again for so many times.
const MISSED: i32 = 4;
const LIMITS: [Limit; 1] = [Limit {
    per_message: Duration::from_millis(20),
    burst: 100,
}];

/// An Alertmanager with all its replicas.
struct Alertmanager {
    replicas: Vec<(Arc<Http>, Url)>,
    shown: String,
    headers: HeaderMap,
    resend: Duration,
    wording: Wording,
}

/// A receiver's Alertmanager, ready to be written to.
pub(super) fn open(settings: &Settings, receiver: &Receiver, wording: Wording) -> Result<Opened, String> {
    let mut replicas = Vec::new();
    let basic = settings
        .credentials
        .as_ref()
        .map(|(user, password)| STANDARD.encode(format!("{user}:{}", password.reveal())));
    let secrets: Vec<Secret> = settings
        .credentials
        .iter()
        .map(|(_, password)| password.clone())
        .chain(basic.clone().map(Secret::new))
        .collect();
    for url in &settings.urls {
        let http = Http::new("alertmanager", url.as_str(), receiver)?.hiding(&secrets);
        let api = format!("{}/api/v2/alerts", url.as_str().trim_end_matches('/'));
        let api = Url::parse(&api).map_err(|error| format!("alertmanager: {error}"))?;
        replicas.push((Arc::new(http), api));
    }
    let mut headers = HeaderMap::new();
    if let Some(basic) = basic {
        let mut value = HeaderValue::try_from(format!("Basic {basic}"))
            .map_err(|_| "alertmanager: this user and password cannot be sent".to_owned())?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    let hosts: Vec<&str> = replicas.iter().map(|(http, _)| http.destination()).collect();
    let channel = Alertmanager {
        shown: hosts.join(" "),
        replicas,
        headers,
        resend: settings.resend,
        wording,
    };
    let urls: Vec<&str> = settings.urls.iter().map(Url::as_str).collect();
    Ok((Arc::new(channel), destination(&urls.join("\n"))))
}

impl Alertmanager {
    /// What a notice says, as it is sent at this time; at a change of severity also the end of the alert at the
    /// severities that it left.
    fn alerts(&self, notice: &Notice, now: Timestamp, changes: bool) -> Vec<Json> {
        let alert = Alert::of(notice, &self.wording.message(std::slice::from_ref(notice)));
        let mut left: Vec<Severity> = Severity::BUILT_IN.to_vec();
        left.extend(
            notice
                .left
                .iter()
                .filter(|level| !Severity::BUILT_IN.contains(level)),
        );
        left.retain(|level| match notice.kind {
            NoticeKind::Escalated => *level < notice.severity,
            NoticeKind::DeEscalated => *level > notice.severity,
            _ => false,
        });
        let mut out = vec![self.pushed(&alert, now)];
        if changes {
            out.extend(left.into_iter().map(|severity| {
                let ended = Alert {
                    ended_at: Some(now),
                    ..alert.at(severity)
                };
                self.pushed(&ended, now)
            }));
        }
        out
    }

    fn pushed(&self, alert: &Alert, now: Timestamp) -> Json {
        // Event time may be ahead of the clock: an end in the future would be none yet.
        let starts_at = alert.starts_at.min(now);
        let ends_at = match alert.ended_at {
            Some(ended) => ended.min(now).max(starts_at),
            None => {
                let ahead = SignedDuration::try_from(self.resend).unwrap_or(SignedDuration::MAX);
                now.saturating_add(ahead * MISSED).unwrap_or(Timestamp::MAX)
            }
        };
        json!({
            "labels": alert.labels,
            "annotations": alert.annotations,
            "startsAt": starts_at.to_string(),
            "endsAt": ends_at.to_string(),
            "generatorURL": alert.generator_url,
        })
    }

    /// One replica that has it is enough: replicas tell each other what was sent, and those that were away hear it
    /// the next time. Without any, the first one's answer counts.
    async fn post(&self, alerts: &[Json]) -> Answer {
        let body = Json::from(alerts.to_vec()).to_string();
        let mut posts = JoinSet::new();
        for (http, url) in &self.replicas {
            let (http, url, headers, body) = (http.clone(), url.clone(), self.headers.clone(), body.clone());
            posts.spawn(async move {
                let answer = match http.post_to(url, headers, body).await {
                    Ok(reply) => {
                        reply::judge(reply.status, reply.retry_after(), &reply.body, Timestamp::now())
                    }
                    Err(answer) => answer,
                };
                (http, answer)
            });
        }
        let (mut taken, mut refused) = (None, None);
        while let Some(posted) = posts.join_next().await {
            match posted {
                Ok((_, Answer::Ok { .. })) => taken = Some(Answer::OK),
                Ok((http, answer)) => {
                    let replica = http.destination();
                    tracing::debug!(replica, ?answer, "a replica did not take alerts");
                    refused = Some(answer);
                }
                Err(error) => refused = Some(later(error.to_string())),
            }
        }
        taken
            .or(refused)
            .unwrap_or_else(|| later("there is no replica".to_owned()))
    }

    async fn post_all(&self, standing: &[Notice]) -> Answer {
        let now = Timestamp::now();
        let alerts: Vec<Json> = standing
            .iter()
            .flat_map(|notice| self.alerts(notice, now, false))
            .collect();
        let mut worst = Answer::OK;
        for batch in alerts.chunks(BATCH) {
            match self.post(batch).await {
                Answer::Ok { .. } => {}
                // Of a refused batch the right alerts are kept: nothing of it is sent again before the next time.
                answer => worst = answer,
            }
        }
        worst
    }
}

fn later(reason: String) -> Answer {
    Answer::Retry {
        after: None,
        maybe_shown: true,
        reason,
    }
}

impl Channel for Alertmanager {
    fn send<'a>(&'a self, parcel: Parcel<'a>) -> Sending<'a> {
        Box::pin(async move {
            let now = Timestamp::now();
            let alerts: Vec<Json> = parcel
                .notices
                .iter()
                .flat_map(|notice| self.alerts(notice, now, true))
                .collect();
            self.post(&alerts).await
        })
    }

    fn destination(&self) -> &str {
        &self.shown
    }

    fn limits(&self) -> &[Limit] {
        &LIMITS
    }

    /// Alertmanager groups by itself.
    fn bundles(&self, _head: &Notice) -> bool {
        false
    }

    fn updates(&self) -> bool {
        true
    }

    /// It knows alerts, and nothing of what comes after their end.
    fn takes(&self, notice: &Notice) -> bool {
        notice.aside.is_none() && (!alert::is_over(notice) || notice.kind == NoticeKind::Resolved)
    }

    fn resends_every(&self) -> Option<Duration> {
        Some(self.resend)
    }

    fn resend<'a>(&'a self, standing: &'a [Notice]) -> Sending<'a> {
        Box::pin(self.post_all(standing))
    }
}
