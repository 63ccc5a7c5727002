//! What PagerDuty's Events API says.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::{Call, Vendor, Verdict, Window};
use crate::notify::pagerduty::{DEDUP_KEY, EVENT, SUMMARY};

const GOOD: &str = r#"{"status":"success","message":"Event processed"}"#;

/// A service with one integration.
pub struct PagerDuty {
    routing_key: String,
    a_minute: Window,
    /// Open incidents with their severities.
    open: BTreeMap<String, String>,
}

impl PagerDuty {
    /// A service with this integration key.
    pub fn new(routing_key: &str) -> Box<PagerDuty> {
        Box::new(PagerDuty {
            routing_key: routing_key.to_owned(),
            a_minute: Window::new(120, Duration::from_mins(1)),
            open: BTreeMap::new(),
        })
    }

    /// What became of the incidents, for the messages that are shown.
    fn take(&mut self, event: &Json) -> &'static str {
        let key = event["dedup_key"].as_str().unwrap_or_default().to_owned();
        match event["event_action"].as_str() {
            Some("trigger") => {
                let severity = event["payload"]["severity"].as_str().unwrap_or_default();
                match self.open.insert(key, severity.to_owned()) {
                    Some(_) => "updated",
                    None => "opened",
                }
            }
            Some("resolve") => match self.open.remove(&key) {
                Some(_) => "resolved",
                None => "ignored",
            },
            _ if self.open.contains_key(&key) => "acknowledged",
            _ => "ignored",
        }
    }
}

fn invalid(errors: &[&str]) -> Verdict {
    let body = json!({"status": "invalid event", "message": "Event object is invalid", "errors": errors});
    Verdict::refused(400, body.to_string(), errors.join("; "))
}

/// What is wrong with an event.
fn problem(event: &Json, size: usize) -> Option<&'static str> {
    let length = |text: &Json| text.as_str().map_or(0, |text| text.chars().count());
    let action = event["event_action"].as_str().unwrap_or_default();
    if !["trigger", "acknowledge", "resolve"].contains(&action) {
        return Some("'event_action' is not one of trigger, acknowledge, resolve");
    }
    if length(&event["dedup_key"]) > DEDUP_KEY {
        return Some("'dedup_key' is too long");
    }
    if size > EVENT {
        return Some("the event is too large");
    }
    if action != "trigger" {
        let key = length(&event["dedup_key"]);
        return (key == 0).then_some("'dedup_key' is missing or blank");
    }
    let payload = &event["payload"];
    if !(1..=SUMMARY).contains(&length(&payload["summary"])) {
        return Some("'payload.summary' is missing, blank or too long");
    }
    if length(&payload["source"]) == 0 {
        return Some("'payload.source' is missing or blank");
    }
    if !["critical", "error", "warning", "info"].contains(&payload["severity"].as_str().unwrap_or_default()) {
        return Some(
            "'payload.severity' is invalid (must be one of the following: 'critical', 'warning', 'error' or 'info')",
        );
    }
    None
}

impl Vendor for PagerDuty {
    fn judge(&mut self, call: &Call) -> Verdict {
        if call.path != "/v2/enqueue" {
            return Verdict::refused(404, "", "no such path");
        }
        if !self.a_minute.lets_through(call.at) {
            return Verdict::refused(429, "", "rate");
        }
        let Ok(event) = serde_json::from_str::<Json>(&call.body) else {
            return invalid(&["JSON is invalid"]);
        };
        let key = event["routing_key"].as_str().unwrap_or_default();
        if key.len() != 32 {
            return invalid(&["Length of 'routing_key' is incorrect (should be 32 characters)"]);
        }
        if key != self.routing_key {
            return invalid(&["Invalid routing key"]);
        }
        if let Some(problem) = problem(&event, call.body.len()) {
            return invalid(&[problem]);
        }
        let mut shown = event;
        let became = self.take(&shown);
        shown["became"] = json!(became);
        Verdict {
            status: 202,
            ..Verdict::good(GOOD, shown)
        }
    }

    fn good(&self) -> &'static str {
        GOOD
    }
}
