//! Programs that take webhooks: one that verifies as Standard Webhooks 1.0.0 says, and one that reads the webhook of
//! Alertmanager, version 4.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::alertmanager::{labels_problem, time};
use super::{Call, Vendor, Verdict, Window};
use crate::notify::webhook::ALERTS;
use crate::notify::webhook::signature::{Key, standard};

/// Bytes of a body that the standard advises to stay below.
const EVENT: usize = 20_000;
/// Bytes of a body that a web server in front of a program takes where nobody says otherwise.
const BODY: usize = 1_048_576;
/// How far the clocks of a sender and a receiver may be apart, in seconds.
const CLOCK: i64 = 300;

/// A program that verifies signatures, and takes each event once.
pub struct Program {
    keys: Vec<Key>,
    a_minute: Window,
    seen: BTreeSet<String>,
}

impl Program {
    /// One that knows this secret (`whsec_…`), and takes ten requests a second in the long run, and 40 more at once.
    ///
    /// # Errors
    /// When the secret is none.
    pub fn new(secret: &str) -> Result<Box<Program>, String> {
        Ok(Box::new(Program {
            keys: vec![Key::parse(secret)?],
            a_minute: Window::new(640, Duration::from_mins(1)),
            seen: BTreeSet::new(),
        }))
    }
}

impl Vendor for Program {
    fn judge(&mut self, call: &Call) -> Verdict {
        if !self.a_minute.lets_through(call.at) {
            return Verdict {
                headers: vec![("Retry-After".to_owned(), "1".to_owned())],
                ..Verdict::refused(429, "", "rate")
            };
        }
        let header = |name: &str| call.headers.get(name).map_or("", String::as_str);
        let (id, signatures) = (header("webhook-id"), header("webhook-signature"));
        let Ok(seconds) = header("webhook-timestamp").parse::<i64>() else {
            return Verdict::refused(400, "", "no webhook-timestamp");
        };
        if (call.received.as_second() - seconds).abs() > CLOCK {
            return Verdict::refused(401, "", "clock");
        }
        let ours = standard(&self.keys, id, seconds, &call.body);
        if !signatures.split(' ').any(|signature| signature == ours) {
            return Verdict::refused(401, "", "signature");
        }
        if call.body.len() > EVENT {
            return Verdict::refused(413, "", format!("{} bytes", call.body.len()));
        }
        let event: Json = serde_json::from_str(&call.body).unwrap_or_default();
        if !event["type"].is_string() || time(&event["timestamp"]).is_none() || !event["data"].is_object() {
            return Verdict::refused(400, "", "no event");
        }
        match self.seen.insert(id.to_owned()) {
            true => Verdict::good("", event),
            false => Verdict {
                shows: None,
                ..Verdict::good("", event)
            },
        }
    }

    fn good(&self) -> &'static str {
        ""
    }
}

/// A program that reads groups of alerts.
#[derive(Debug, Default)]
pub struct Groups;

impl Vendor for Groups {
    fn judge(&mut self, call: &Call) -> Verdict {
        if call.body.len() > BODY {
            return Verdict::refused(413, "", format!("{} bytes", call.body.len()));
        }
        let group: Json = serde_json::from_str(&call.body).unwrap_or_default();
        match group_problem(&group) {
            None => Verdict::good("", group),
            Some(why) => Verdict::refused(400, json!({"error": why}).to_string(), why),
        }
    }

    fn good(&self) -> &'static str {
        ""
    }
}

fn group_problem(group: &Json) -> Option<String> {
    let is_text = |name: &str| group[name].is_string();
    let texts = ["groupKey", "receiver", "externalURL"];
    if group["version"] != "4" || !texts.into_iter().all(is_text) || !group["truncatedAlerts"].is_u64() {
        return Some("no message of version 4".to_owned());
    }
    // An Alertmanager that is older has neither.
    let is_there = |name: &str| group.get(name).is_some();
    if is_there("notification_reason") && !is_text("notification_reason") {
        return Some("the reason is no text".to_owned());
    }
    let maps = ["groupLabels", "commonLabels", "commonAnnotations"];
    let newer = ["routeLabels"].into_iter().filter(|name| is_there(name));
    let mut maps = maps.into_iter().chain(newer);
    let is_text_map = |name: &&str| {
        let map = group[*name].as_object();
        map.is_some_and(|map| map.values().all(Json::is_string))
    };
    if let Some(wrong) = maps.find(|name| !is_text_map(name)) {
        return Some(format!("{wrong} is no map of texts"));
    }
    let is_key = |key: &str| key.starts_with("{}") && key.contains(":{") && key.ends_with('}');
    if !group["groupKey"].as_str().is_some_and(is_key) {
        return Some("the key of the group is not a route and labels".to_owned());
    }
    let alerts = group["alerts"].as_array().map(Vec::as_slice).unwrap_or_default();
    if alerts.len() > ALERTS {
        return Some(format!("{} alerts", alerts.len()));
    }
    let fires = alerts.iter().any(|alert| alert["status"] == "firing");
    if alerts.is_empty() || (group["status"] == "firing") != fires {
        return Some("the status is not that of the alerts".to_owned());
    }
    alerts.iter().find_map(|alert| {
        let is_open = alert["endsAt"] == "0001-01-01T00:00:00Z";
        let is_hex = |text: &str| text.len() == 16 && text.chars().all(|char| char.is_ascii_hexdigit());
        if (alert["status"] == "firing") != is_open {
            return Some("an end that does not fit the status".to_owned());
        }
        if time(&alert["startsAt"]).is_none() || !alert["fingerprint"].as_str().is_some_and(is_hex) {
            return Some("an alert without a start or a fingerprint".to_owned());
        }
        labels_problem(&alert["labels"])
    })
}
