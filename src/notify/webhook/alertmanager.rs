//! Payload: the shape of Alertmanager's webhook, version 4, for programs that read it already.
//!
//! <https://prometheus.io/docs/alerting/latest/configuration/#webhook_config>

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use crate::alert::notice::{Notice, NoticeKind};
use crate::notify::alert::{self, Alert};
use crate::notify::message::Message;

/// Alerts in one message; the others are counted in `truncatedAlerts`.
pub(in crate::notify) const ALERTS: usize = 64;

/// Notices that go together, as one group. `page` is where people reach tautline; `message` words one notice.
pub(super) fn group(notices: &[Notice], page: Option<&str>, message: impl Fn(&Notice) -> Message) -> Json {
    let alerts: Vec<(Alert, bool)> = notices
        .iter()
        .take(ALERTS)
        .map(|notice| (Alert::of(notice, &message(notice)), alert::is_over(notice)))
        .collect();
    let fires = fires(notices);
    let group = notices.first().map(|notice| &notice.group);
    let group_labels: BTreeMap<String, String> = match group {
        Some(group) if !group.is_empty() => alert::labels(group),
        // One by one: the group is the alert.
        _ => alerts
            .first()
            .map(|(alert, _)| alert.labels.clone())
            .unwrap_or_default(),
    };
    let listed: Vec<Json> = alerts
        .iter()
        .map(|(alert, over)| {
            json!({
                "status": status(!over),
                "labels": alert.labels,
                "annotations": alert.annotations,
                "startsAt": alert.starts_at.to_string(),
                "endsAt": alert.ended_at.map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), |at| at.to_string()),
                "generatorURL": alert.generator_url,
                "fingerprint": alert::fingerprint(&alert.labels),
            })
        })
        .collect();
    json!({
        "version": "4",
        "groupKey": group_key(notices.first(), &group_labels),
        "truncatedAlerts": notices.len().saturating_sub(ALERTS),
        "status": status(fires),
        "receiver": notices.first().map_or("", |notice| notice.receiver.as_str()),
        "groupLabels": group_labels,
        "commonLabels": common(alerts.iter().map(|(alert, _)| &alert.labels)),
        // Labels that a route adds; ours add none.
        "routeLabels": {},
        "commonAnnotations": common(alerts.iter().map(|(alert, _)| &alert.annotations)),
        "externalURL": page.unwrap_or_default(),
        "notification_reason": reason(notices, fires),
        "alerts": listed,
    })
}

fn status(fires: bool) -> &'static str {
    if fires { "firing" } else { "resolved" }
}

/// The route and what its alerts share: `{}/{severity="critical"}:{alertname="hollow", parent="revenue"}`.
fn group_key(notice: Option<&Notice>, labels: &BTreeMap<String, String>) -> String {
    let route = notice.map(|notice| notice.route.as_str());
    let route = route.filter(|route| !route.is_empty()).unwrap_or("{}");
    let labels: Vec<String> = labels
        .iter()
        .map(|(name, value)| format!("{name}={value:?}"))
        .collect();
    format!("{route}:{{{}}}", labels.join(", "))
}

/// What all have with the same value.
fn common<'a>(mut all: impl Iterator<Item = &'a BTreeMap<String, String>>) -> Map<String, Json> {
    let Some(mut shared) = all.next().cloned() else {
        return Map::new();
    };
    for other in all {
        shared.retain(|name, value| other.get(name) == Some(value));
    }
    shared
        .into_iter()
        .map(|(name, value)| (name, Json::String(value)))
        .collect()
}

/// Whether anything of the group fires, told of in this message or before. What was decided last knows it.
fn fires(notices: &[Notice]) -> bool {
    let last = notices.last();
    notices.iter().any(|notice| !alert::is_over(notice)) || last.is_some_and(|last| last.group_fires)
}

/// Alertmanager's words, in the order in which it asks.
fn reason(notices: &[Notice], fires: bool) -> &'static str {
    let has = |kind: NoticeKind| notices.iter().any(|notice| notice.kind == kind);
    // The id of a message ends with how many its group had by then.
    let is_first = || notices.iter().any(|notice| notice.bundle.ends_with(".1"));
    if has(NoticeKind::Fired) && is_first() {
        return "first notification";
    }
    if has(NoticeKind::Fired) {
        return "new alerts added";
    }
    if has(NoticeKind::Resolved) {
        return if fires {
            "some alerts resolved"
        } else {
            "all alerts resolved"
        };
    }
    if has(NoticeKind::Repeat) {
        return "repeat interval elapsed";
    }
    "new alerts added"
}
