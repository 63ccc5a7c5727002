//! Phrases that every channel's messages have.

use jiff::Timestamp;

use super::message::{Message, Value};
use crate::words::Language;

/// What is not listed is counted.
pub(super) fn more(message: &Message, more: usize) -> String {
    match message.language {
        Language::Zh => format!("另有 {more} 项，见 tautline 页面。"),
        Language::En => format!("+{more} more; tautline's page has all of them."),
    }
}

/// What stands in a message that was cut.
pub(super) fn shortened(message: &Message) -> String {
    let text = message.language.pick(
        "内容有删节，完整内容见 tautline 页面。",
        "Shortened with …; tautline's page has all of it.",
    );
    text.to_owned()
}

/// What a button says by which somebody takes an alert.
pub(super) fn acknowledge(message: &Message) -> &'static str {
    message.language.pick("认领", "Acknowledge")
}

/// What stands before the time of a message.
pub(super) fn event_time(message: &Message) -> &'static str {
    message.language.pick("事件时间", "Event time")
}

/// A moment on the clock of the business, with how far that is from UTC.
pub(super) fn at(message: &Message, time: Timestamp) -> String {
    let local = time.to_zoned_datetime(message.zone.clone());
    let form = if local.offset().is_zero() {
        "%Y-%m-%d %H:%M UTC"
    } else {
        "%Y-%m-%d %H:%M %:z"
    };
    local.strftime(form).to_string()
}

/// A value as text, for a channel that knows nothing of the reader's clock.
pub(super) fn value(message: &Message, value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        Value::Moment(time, None) => at(message, *time),
        Value::Moment(time, Some(remark)) => format!("{} · {remark}", at(message, *time)),
    }
}
