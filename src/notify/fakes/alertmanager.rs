//! What Alertmanager says to alerts that are pushed into it.

use jiff::Timestamp;
use serde_json::{Value as Json, json};

use super::{Call, Vendor, Verdict};

/// An Alertmanager: it keeps the right alerts of a request also where it refuses others of it.
#[derive(Debug, Default)]
pub struct Alertmanager;

impl Vendor for Alertmanager {
    fn judge(&mut self, call: &Call) -> Verdict {
        if call.path != "/api/v2/alerts" || !call.is_json {
            return Verdict::refused(404, "", "no such path");
        }
        let pushed: Json = serde_json::from_str(&call.body).unwrap_or_default();
        let Some(alerts) = pushed.as_array() else {
            return Verdict::refused(400, r#"{"code":601,"message":"parsing body failed"}"#, "no list");
        };
        let problems: Vec<String> = alerts.iter().filter_map(problem).collect();
        let right: Vec<&Json> = alerts.iter().filter(|alert| problem(alert).is_none()).collect();
        let shown = json!(right);
        if problems.is_empty() {
            return Verdict::good("", shown);
        }
        Verdict {
            shows: (!right.is_empty()).then_some(shown),
            ..Verdict::refused(400, json!(problems.join("; ")).to_string(), problems.join("; "))
        }
    }

    fn good(&self) -> &'static str {
        ""
    }
}

/// Why an alert is not taken.
fn problem(alert: &Json) -> Option<String> {
    if let Some(problem) = labels_problem(&alert["labels"]) {
        return Some(problem);
    }
    let is_text = |(_, text): (&String, &Json)| text.is_string();
    if !alert["annotations"]
        .as_object()
        .is_some_and(|all| all.iter().all(is_text))
    {
        return Some("invalid annotations".to_owned());
    }
    match (time(&alert["startsAt"]), time(&alert["endsAt"])) {
        (Some(starts), Some(ends)) if ends < starts => Some("start time must be before end time".to_owned()),
        (Some(_), Some(_)) => None,
        _ => Some("a time is not RFC 3339".to_owned()),
    }
}

/// What is wrong with a set of labels.
pub(super) fn labels_problem(labels: &Json) -> Option<String> {
    let Some(labels) = labels.as_object().filter(|labels| !labels.is_empty()) else {
        return Some("at least one label pair required".to_owned());
    };
    labels.iter().find_map(|(name, value)| {
        let is_legal = |(at, char): (usize, char)| {
            char == '_' || char.is_ascii_alphabetic() || (at > 0 && char.is_ascii_digit())
        };
        if name.is_empty() || !name.chars().enumerate().all(is_legal) {
            return Some(format!("invalid label name {name:?}"));
        }
        let is_empty = value.as_str().is_none_or(str::is_empty);
        is_empty.then(|| format!("label {name} has no value"))
    })
}

/// A moment, as RFC 3339 writes it.
pub(super) fn time(text: &Json) -> Option<Timestamp> {
    text.as_str()?.parse().ok()
}
