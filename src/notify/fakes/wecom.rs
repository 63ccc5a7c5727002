//! What WeCom says to a robot's message.

use std::time::Duration;

use serde_json::{Value as Json, json};

use super::{Call, Vendor, Verdict, Window};

const GOOD: &str = r#"{"errcode":0,"errmsg":"ok"}"#;

/// A group's robot.
#[derive(Debug)]
pub struct WeCom {
    a_minute: Window,
}

impl WeCom {
    /// A robot.
    pub fn new() -> Box<WeCom> {
        Box::new(WeCom {
            a_minute: Window::new(20, Duration::from_mins(1)),
        })
    }
}

fn refused(code: i64, text: &str, why: impl Into<String>) -> Verdict {
    Verdict::refused(200, json!({"errcode": code, "errmsg": text}).to_string(), why)
}

impl Vendor for WeCom {
    fn judge(&mut self, call: &Call) -> Verdict {
        if !call.query.contains_key("key") {
            return refused(93000, "invalid webhook url", "no key");
        }
        if !self.a_minute.lets_through(call.at) {
            return refused(45009, "api freq out of limit", "rate");
        }
        let payload: Json = serde_json::from_str(&call.body).unwrap_or_default();
        let (most, content) = match payload["msgtype"].as_str() {
            Some("text") => (2048, &payload["text"]["content"]),
            Some("markdown") => (4096, &payload["markdown"]["content"]),
            _ => return refused(40008, "invalid message type", "msgtype"),
        };
        let bytes = content.as_str().map_or(0, str::len);
        if bytes == 0 {
            return refused(44004, "empty content", "empty");
        }
        if bytes > most {
            let text = format!("markdown.content exceed max length {most}. invalid Request Parameter");
            return refused(40058, &text, format!("{bytes} bytes"));
        }
        Verdict::good(GOOD, payload)
    }

    fn good(&self) -> &'static str {
        GOOD
    }
}
