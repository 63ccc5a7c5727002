//! What a workflow of Teams does with a message: it answers before it has looked at the card, and shows no bad one.

use std::time::Duration;

use serde_json::{Value as Json, json};

use super::{Call, Vendor, Verdict, Window};

/// Bytes of a body.
const BODY: usize = 28 * 1024;
/// Buttons that are shown.
const ACTIONS: usize = 6;

/// A workflow.
#[derive(Debug)]
pub struct Teams {
    a_second: Window,
}

impl Teams {
    /// A workflow.
    pub fn new() -> Box<Teams> {
        Box::new(Teams {
            a_second: Window::new(4, Duration::from_secs(1)),
        })
    }
}

impl Vendor for Teams {
    fn judge(&mut self, call: &Call) -> Verdict {
        if !call.query.contains_key("sig") {
            let body = json!({"error": {"code": "DirectApiAuthorizationRequired", "message": "…"}});
            return Verdict::refused(401, body.to_string(), "no signature");
        }
        if !self.a_second.lets_through(call.at) {
            return Verdict::refused(429, "", "rate");
        }
        if call.body.len() > BODY {
            return Verdict::refused(413, "", format!("{} bytes", call.body.len()));
        }
        let payload: Json = serde_json::from_str(&call.body).unwrap_or_default();
        match check(&payload) {
            Ok(()) => Verdict {
                status: 202,
                ..Verdict::good("", payload)
            },
            Err(why) => Verdict::refused(202, "", why),
        }
    }

    fn good(&self) -> &'static str {
        ""
    }
}

fn check(payload: &Json) -> Result<(), String> {
    let card = &payload["attachments"][0];
    if payload["type"] != "message" || card["contentType"] != "application/vnd.microsoft.card.adaptive" {
        return Err("no card".to_owned());
    }
    let card = &card["content"];
    let version = card["version"]
        .as_str()
        .and_then(|version| version.parse::<f64>().ok());
    if card["type"] != "AdaptiveCard" || version.is_none_or(|version| version > 1.4) {
        return Err("no card that Teams knows".to_owned());
    }
    let actions = card["actions"].as_array().map_or(0, Vec::len);
    if actions > ACTIONS {
        return Err(format!("{actions} buttons"));
    }
    let blocks = card["body"]
        .as_array()
        .filter(|blocks| !blocks.is_empty())
        .ok_or("empty")?;
    let bad = blocks.iter().find(|block| match block["type"].as_str() {
        Some("TextBlock") => block["text"].as_str().is_none_or(str::is_empty),
        Some("FactSet") => block["facts"].as_array().is_none_or(Vec::is_empty),
        _ => true,
    });
    bad.map_or(Ok(()), |block| Err(format!("block {block}")))
}
