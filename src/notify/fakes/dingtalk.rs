//! What DingTalk says to a robot's message.

use std::time::Duration;

use serde_json::{Value as Json, json};
use tokio::time::Instant;

use super::{Call, Vendor, Verdict, Window};
use crate::notify::dingtalk::sign;

/// Bytes of a body.
const BODY: usize = 20_000;
/// How far a timestamp may be off, in milliseconds.
const CLOCK: i64 = 3_600_000;
/// How long who sends too fast is let wait.
const PUNISHED: Duration = Duration::from_mins(10);
const GOOD: &str = r#"{"errcode":0,"errmsg":"ok"}"#;

/// A group's robot.
#[derive(Debug)]
pub struct DingTalk {
    secret: Option<String>,
    a_minute: Window,
    punished_until: Option<Instant>,
}

impl DingTalk {
    /// A robot that asks for a signature, if there is a secret.
    pub fn new(secret: Option<&str>) -> Box<DingTalk> {
        Box::new(DingTalk {
            secret: secret.map(str::to_owned),
            a_minute: Window::new(20, Duration::from_mins(1)),
            punished_until: None,
        })
    }

    fn signature_is_good(&self, call: &Call) -> bool {
        let Some(secret) = &self.secret else {
            return true;
        };
        let milliseconds = call
            .query
            .get("timestamp")
            .and_then(|text| text.parse::<i64>().ok());
        milliseconds.is_some_and(|milliseconds| {
            (call.received.as_millisecond() - milliseconds).abs() <= CLOCK
                && call.query.get("sign") == Some(&sign(milliseconds, secret))
        })
    }
}

fn refused(code: i64, text: &str, why: impl Into<String>) -> Verdict {
    Verdict::refused(200, json!({"errcode": code, "errmsg": text}).to_string(), why)
}

impl Vendor for DingTalk {
    fn judge(&mut self, call: &Call) -> Verdict {
        let is_punished = self.punished_until.is_some_and(|until| call.at < until);
        if is_punished || !self.a_minute.lets_through(call.at) {
            self.punished_until = self
                .punished_until
                .filter(|_| is_punished)
                .or(Some(call.at + PUNISHED));
            return refused(130_101, "send too fast, exceed 20 times per minute", "rate");
        }
        if !call.query.contains_key("access_token") {
            return refused(300_005, "token is not exist", "no token");
        }
        if !self.signature_is_good(call) {
            return refused(310_000, "sign not match", "signature");
        }
        if call.body.len() > BODY {
            return refused(
                460_101,
                "message too long, exceed 20000 bytes",
                format!("{} bytes", call.body.len()),
            );
        }
        let payload: Json = serde_json::from_str(&call.body).unwrap_or_default();
        match check(&payload) {
            Ok(()) => Verdict::good(GOOD, payload),
            Err(why) => refused(400_602, "param error", why),
        }
    }

    fn good(&self) -> &'static str {
        GOOD
    }
}

fn check(payload: &Json) -> Result<(), String> {
    let has = |pointer: &str| {
        let text = payload.pointer(pointer).and_then(Json::as_str);
        text.filter(|text| !text.is_empty())
            .ok_or_else(|| format!("no {pointer}"))
    };
    let text = match payload["msgtype"].as_str() {
        Some("text") => has("/text/content")?,
        Some("markdown") => {
            has("/markdown/title")?;
            has("/markdown/text")?
        }
        Some("actionCard") => {
            has("/actionCard/title")?;
            has("/actionCard/btns/0/title")?;
            has("/actionCard/btns/0/actionURL")?;
            has("/actionCard/text")?
        }
        other => return Err(format!("msgtype {other:?}")),
    };
    let mobiles = payload["at"]["atMobiles"].as_array().cloned().unwrap_or_default();
    let missing = mobiles
        .iter()
        .filter_map(Json::as_str)
        .find(|mobile| !text.contains(&format!("@{mobile}")));
    missing.map_or(Ok(()), |mobile| Err(format!("@{mobile} is not in the text")))
}
