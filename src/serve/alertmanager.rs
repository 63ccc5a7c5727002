//! `/api/v2/…`: the part of Alertmanager's API that amtool, Karma and Grafana's Alertmanager data source use.

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::orders::NotDone;
use super::view::{AlertView, View};
use super::{Shared, access, routing_tree};
use crate::alert::dispatch::matcher::{Matcher, matches_all};
use crate::alert::dispatch::silence::{Silence, SilenceRefusal};
use crate::alert::dispatch::{Command, Refusal};
use crate::alert::record::Labels;
use crate::evaluate::weights;
use crate::settings::Token;
use crate::words::sentence;

/// What `GET /api/v2/alerts` and `alerts/groups` may ask for.
#[derive(Debug, Default)]
pub(super) struct Asked {
    matchers: Vec<Matcher>,
    /// On the label `receiver`: Alertmanager reads it as an anchored expression.
    receiver: Option<Matcher>,
    active: bool,
    silenced: bool,
    inhibited: bool,
    unprocessed: bool,
    /// Of groups only.
    muted: bool,
}

impl Asked {
    /// Reads the query. `filter` may stand several times.
    ///
    /// # Errors
    /// Which filter, or which expression for receivers, cannot be read.
    pub(super) fn read(pairs: &[(String, String)]) -> Result<Asked, String> {
        let flag = |name: &str| {
            let found = pairs.iter().rev().find(|(key, _)| key == name);
            found.is_none_or(|(_, value)| value != "false")
        };
        let filters = pairs
            .iter()
            .filter(|(key, _)| key == "filter" || key == "filter[]");
        let receiver = pairs
            .iter()
            .find(|(key, value)| key == "receiver" && !value.is_empty())
            .map(|(_, value)| Matcher::new("receiver", value, true, true));
        Ok(Asked {
            matchers: filters
                .map(|(_, text)| Matcher::parse(text))
                .collect::<Result<_, _>>()?,
            receiver: receiver.transpose()?,
            active: flag("active"),
            silenced: flag("silenced"),
            inhibited: flag("inhibited"),
            unprocessed: flag("unprocessed"),
            muted: flag("muted"),
        })
    }

    fn wants(&self, alert: &AlertView, labels: &Labels) -> bool {
        let (silenced, inhibited) = (!alert.silenced_by().is_empty(), !alert.inhibited_by().is_empty());
        alert.is_firing()
            && matches_all(&self.matchers, labels)
            && (self.silenced || !silenced)
            && (self.inhibited || !inhibited)
            && (self.active || silenced || inhibited)
            && (self.unprocessed || alert.receivers().next().is_some())
    }

    fn wants_receiver(&self, name: &str) -> bool {
        let labels = || [("receiver".to_owned(), name.to_owned())].into();
        self.receiver
            .as_ref()
            .is_none_or(|wanted| wanted.matches(&labels()))
    }
}

/// `GET /api/v2/alerts`.
pub(super) fn alerts(view: &View, asked: &Asked) -> Response {
    let found = view.alerts.iter().filter_map(|alert| {
        let labels = alert.matched_labels();
        // One that nobody is to be told of has no receiver that could be another one.
        let is_meant =
            asked.receiver.is_none() || alert.receivers().any(|receiver| asked.wants_receiver(receiver));
        // Times in which one receiver is not told do not hold back the alert.
        let is_muted = alert
            .tellings
            .iter()
            .all(|telling| !telling.muted_by().is_empty());
        let muted_by = if is_muted { alert.muted_by() } else { Vec::new() };
        (is_meant && asked.wants(alert, &labels)).then(|| alert_json(view, alert, &labels, &muted_by))
    });
    Json(found.collect::<Vec<_>>()).into_response()
}

/// Alerts of a receiver that are told together.
#[derive(Default)]
struct Group<'a> {
    alerts: Vec<(&'a AlertView, Labels)>,
    /// Times of its route in which nobody is told.
    muted_by: BTreeSet<&'a str>,
}

/// `GET /api/v2/alerts/groups`.
pub(super) fn groups(view: &View, asked: &Asked) -> Response {
    // By receiver, labels and route, as Alertmanager tells groups apart.
    let mut groups: BTreeMap<(&str, &Labels, &str), Group<'_>> = BTreeMap::new();
    for alert in view.alerts.iter() {
        let labels = alert.matched_labels();
        if !asked.wants(alert, &labels) {
            continue;
        }
        let meant = alert
            .tellings
            .iter()
            .filter(|telling| asked.wants_receiver(&telling.receiver));
        for telling in meant {
            let key = (telling.receiver.as_str(), &telling.group, telling.route.as_str());
            let group = groups.entry(key).or_default();
            group.muted_by.extend(telling.muted_by());
            group.alerts.push((alert, labels.clone()));
        }
    }
    let wanted = groups
        .into_iter()
        .filter(|(_, group)| asked.muted || group.muted_by.is_empty());
    let listed = wanted.map(|((receiver, labels, _), group)| {
        let muted_by: Vec<&str> = group.muted_by.into_iter().collect();
        let alerts = group
            .alerts
            .iter()
            .map(|(alert, labels)| alert_json(view, alert, labels, &muted_by));
        json!({
            "labels": labels,
            "receiver": {"name": receiver},
            "routeLabels": {},
            "alerts": alerts.collect::<Vec<_>>(),
        })
    });
    Json(listed.collect::<Vec<_>>()).into_response()
}

fn alert_json(view: &View, alert: &AlertView, labels: &Labels, muted_by: &[&str]) -> Value {
    let (silenced, inhibited) = (alert.silenced_by(), alert.inhibited_by());
    let is_held = !silenced.is_empty() || !inhibited.is_empty() || !muted_by.is_empty();
    let state = match (is_held, alert.tellings.is_empty()) {
        (true, _) => "suppressed",
        (false, true) => "unprocessed",
        (false, false) => "active",
    };
    let now = view.stats.now.unwrap_or(alert.active_at);
    let summary = sentence::heading(
        alert.labels.get("alertname").unwrap_or(&alert.kind),
        &alert.kind,
        &alert.facts,
        view.language,
    );
    let node = alert.labels.get("node");
    let generator = view.external_url.as_deref().map(|page| match node {
        Some(node) => format!(
            "{}/nodes/{}",
            page.trim_end_matches('/'),
            super::page::encoded(node)
        ),
        None => page.to_owned(),
    });
    json!({
        "labels": labels,
        "annotations": {
            "summary": summary,
            "description": sentence::of(&alert.kind, &alert.facts, view.language),
            "episode": alert.episode,
        },
        "startsAt": alert.active_at.to_string(),
        // It goes on: whoever reads this may forget it if it does not come again.
        "endsAt": (now + jiff::SignedDuration::from_mins(4)).to_string(),
        "updatedAt": now.to_string(),
        "generatorURL": generator.unwrap_or_default(),
        "fingerprint": alert.fingerprint.to_string(),
        "receivers": alert.receivers().map(|name| json!({"name": name})).collect::<Vec<_>>(),
        "status": {"state": state, "silencedBy": silenced, "inhibitedBy": inhibited, "mutedBy": muted_by},
    })
}

/// `GET /api/v2/status`.
pub(super) fn status(view: &View) -> Response {
    Json(json!({
        "cluster": {"status": "disabled", "peers": []},
        "versionInfo": {
            "version": env!("CARGO_PKG_VERSION"), "revision": "", "branch": "", "buildUser": "", "buildDate": "",
            "goVersion": "",
        },
        "config": {"original": routing_tree::config(view)},
        "uptime": view.stats.started.unwrap_or(Timestamp::UNIX_EPOCH).to_string(),
    }))
    .into_response()
}

/// `GET /api/v2/receivers`.
pub(super) fn receivers(view: &View) -> Response {
    let names: BTreeSet<&str> = view.receivers.iter().map(String::as_str).collect();
    Json(
        names
            .into_iter()
            .map(|name| json!({"name": name}))
            .collect::<Vec<_>>(),
    )
    .into_response()
}

/// `GET /api/v2/silences`.
pub(super) fn silences(view: &View, filters: &[Matcher]) -> Response {
    let now = view.stats.now.unwrap_or(Timestamp::UNIX_EPOCH);
    let found = view.silences.iter().filter(|silence| {
        filters.iter().all(|filter| {
            let of_name = silence
                .matchers
                .iter()
                .find(|matcher| matcher.name == filter.name);
            let labels = of_name.map(|matcher| (matcher.name.clone(), matcher.value.clone()));
            filter.matches(&labels.into_iter().collect())
        })
    });
    Json(
        found
            .map(|silence| silence_json(silence, now))
            .collect::<Vec<_>>(),
    )
    .into_response()
}

/// `GET /api/v2/silence/{id}`.
pub(super) fn silence(view: &View, id: &str) -> Response {
    let now = view.stats.now.unwrap_or(Timestamp::UNIX_EPOCH);
    match view.silences.iter().find(|silence| silence.id == id) {
        Some(silence) => Json(silence_json(silence, now)).into_response(),
        None => (StatusCode::NOT_FOUND, Json(format!("there is no silence {id}"))).into_response(),
    }
}

fn silence_json(silence: &Silence, now: Timestamp) -> Value {
    let matchers = silence.matchers.iter().map(|matcher| {
        json!({
            "name": matcher.name, "value": matcher.value,
            "isRegex": matcher.is_regex(), "isEqual": matcher.is_equal,
        })
    });
    json!({
        "id": silence.id,
        "matchers": matchers.collect::<Vec<_>>(),
        "startsAt": silence.starts_at.to_string(),
        "endsAt": silence.ends_at.to_string(),
        "updatedAt": silence.updated_at.to_string(),
        "createdBy": silence.created_by,
        "comment": silence.comment,
        "status": {"state": silence.state(now)},
    })
}

/// What `POST /api/v2/silences` sends.
#[derive(Deserialize, Debug)]
#[serde(rename_all = "camelCase")]
struct Posted {
    #[serde(default)]
    id: Option<String>,
    matchers: Vec<PostedMatcher>,
    starts_at: Timestamp,
    ends_at: Timestamp,
    #[serde(default)]
    created_by: String,
    #[serde(default)]
    comment: String,
}

#[derive(Deserialize, Debug)]
#[serde(rename_all = "camelCase")]
struct PostedMatcher {
    name: String,
    value: String,
    #[serde(default)]
    is_regex: bool,
    #[serde(default = "yes")]
    is_equal: bool,
}

fn yes() -> bool {
    true
}

/// `POST /api/v2/silences`.
pub(super) async fn post_silence(shared: &Shared, token: &Token, body: &[u8], force: bool) -> Response {
    let asked = match read_silence(body) {
        Ok(asked) => asked,
        Err(message) => return (StatusCode::BAD_REQUEST, Json(message)).into_response(),
    };
    match shared
        .orders
        .give(access::by(
            token,
            Command::Silence {
                silence: asked,
                force,
            },
        ))
        .await
    {
        Ok(id) => Json(json!({"silenceID": id})).into_response(),
        Err(not_done) => refused(&not_done),
    }
}

fn read_silence(body: &[u8]) -> Result<Silence, String> {
    let posted: Posted = serde_json::from_slice(body).map_err(|error| format!("not a silence: {error}"))?;
    let matchers = posted
        .matchers
        .iter()
        .map(|matcher| Matcher::new(&matcher.name, &matcher.value, matcher.is_regex, matcher.is_equal))
        .collect::<Result<_, _>>()?;
    Ok(Silence {
        id: posted.id.unwrap_or_default(),
        matchers,
        starts_at: posted.starts_at,
        ends_at: posted.ends_at,
        created_by: posted.created_by,
        comment: posted.comment,
        updated_at: posted.starts_at,
        reminded: false,
    })
}

/// `DELETE /api/v2/silence/{id}`.
pub(super) async fn delete_silence(shared: &Shared, token: &Token, id: String) -> Response {
    match shared
        .orders
        .give(access::by(token, Command::Expire { id }))
        .await
    {
        Ok(_) => StatusCode::OK.into_response(),
        Err(not_done) => refused(&not_done),
    }
}

/// Why an order was not carried out, in the shape of Alertmanager's errors: a text.
pub(super) fn refused(not_done: &NotDone) -> Response {
    let status = match not_done {
        NotDone::Refused(Refusal::Silence(SilenceRefusal::Unknown(_)) | Refusal::NotFiring(_)) => {
            StatusCode::NOT_FOUND
        }
        NotDone::Refused(Refusal::Silence(_)) => StatusCode::BAD_REQUEST,
        NotDone::Refused(Refusal::OutOfScope(_)) => StatusCode::FORBIDDEN,
        NotDone::Weights(weights::Refused::Unknown { .. }) => StatusCode::NOT_FOUND,
        NotDone::Weights(weights::Refused::Decided { .. }) => StatusCode::CONFLICT,
        NotDone::Busy => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(not_done.to_string())).into_response()
}
