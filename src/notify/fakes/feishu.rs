//! What Feishu says to a custom bot's message.

use std::time::Duration;

use serde_json::{Value as Json, json};

use super::{Call, Vendor, Verdict, Window};
use crate::notify::feishu::sign;

/// Bytes of a body.
const BODY: usize = 20 * 1024;
/// How far a timestamp may be off, in seconds.
const CLOCK: i64 = 3600;
const GOOD: &str = r#"{"code":0,"msg":"success","data":{},"StatusCode":0,"StatusMessage":"success"}"#;
const COLOURS: &str = "blue wathet turquoise green yellow orange red carmine violet purple indigo grey";

/// A custom bot.
#[derive(Debug)]
pub struct Feishu {
    secret: Option<String>,
    a_second: Window,
    a_minute: Window,
}

impl Feishu {
    /// A bot that asks for a signature, if there is a secret.
    pub fn new(secret: Option<&str>) -> Box<Feishu> {
        Box::new(Feishu {
            secret: secret.map(str::to_owned),
            a_second: Window::new(5, Duration::from_secs(1)),
            a_minute: Window::new(100, Duration::from_mins(1)),
        })
    }

    fn signature_is_good(&self, payload: &Json, call: &Call) -> bool {
        let Some(secret) = &self.secret else {
            return true;
        };
        let seconds = payload["timestamp"]
            .as_str()
            .and_then(|text| text.parse::<i64>().ok());
        seconds.is_some_and(|seconds| {
            (call.received.as_second() - seconds).abs() <= CLOCK
                && payload["sign"].as_str() == Some(sign(seconds, secret).as_str())
        })
    }
}

fn refused(code: i64, text: &str, why: impl Into<String>) -> Verdict {
    let status = if code == 9499 { 400 } else { 200 };
    Verdict::refused(
        status,
        json!({"code": code, "msg": text, "data": {}}).to_string(),
        why,
    )
}

impl Vendor for Feishu {
    fn judge(&mut self, call: &Call) -> Verdict {
        if !self.a_second.lets_through(call.at) || !self.a_minute.lets_through(call.at) {
            return refused(11232, "frequency limited", "rate");
        }
        if call.body.len() > BODY {
            return refused(9499, "Bad Request", format!("{} bytes", call.body.len()));
        }
        let Ok(payload) = serde_json::from_str::<Json>(&call.body) else {
            return refused(9499, "Bad Request", "no JSON");
        };
        if !self.signature_is_good(&payload, call) {
            return refused(
                19021,
                "sign match fail or timestamp is not within one hour from current time",
                "signature",
            );
        }
        match check(&payload) {
            Ok(()) => Verdict::good(GOOD, payload),
            Err(why) => refused(9499, "Bad Request", why),
        }
    }

    fn good(&self) -> &'static str {
        GOOD
    }
}

fn check(payload: &Json) -> Result<(), String> {
    let has_text = |text: &Json| text.as_str().is_some_and(|text| !text.is_empty());
    match payload["msg_type"].as_str() {
        Some("text") if has_text(&payload["content"]["text"]) => Ok(()),
        Some("interactive") => {
            let card = &payload["card"];
            let colour = card["header"]["template"].as_str().unwrap_or_default();
            if !COLOURS.split(' ').any(|known| known == colour) {
                return Err(format!("colour {colour}"));
            }
            if !has_text(&card["header"]["title"]["content"]) {
                return Err("no title".to_owned());
            }
            let elements = card["elements"].as_array().ok_or("no elements")?;
            elements.iter().try_for_each(element)
        }
        _ => Err("no message".to_owned()),
    }
}

fn element(element: &Json) -> Result<(), String> {
    let text = |text: &Json| {
        let is_known = matches!(text["tag"].as_str(), Some("lark_md" | "plain_text"));
        let is_there = text["content"].as_str().is_some_and(|text| !text.is_empty());
        (is_known && is_there).then_some(()).ok_or(format!("text {text}"))
    };
    let list = |name: &str| element[name].as_array().cloned().unwrap_or_default();
    match element["tag"].as_str() {
        Some("div") if element["fields"].is_array() => {
            list("fields").iter().try_for_each(|field| text(&field["text"]))
        }
        Some("div") => text(&element["text"]),
        Some("note") => list("elements").iter().try_for_each(text),
        Some("action") => list("actions")
            .iter()
            .try_for_each(|button| text(&button["text"])),
        other => Err(format!("tag {other:?}")),
    }
}
