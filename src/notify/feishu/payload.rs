//! Payload: a message as a card of Feishu, within the vendor's 20 KB by construction.

use serde_json::{Value as Json, json};

use crate::catalog::Grade;
use crate::notify::markdown::{Parts, calls, wide, within};
use crate::notify::message::{Message, Tone};
use crate::settings::Mention;

/// Bytes of a body; 20 KB less what the signature needs.
pub(super) const BODY: usize = 20_000;

/// The message as a card.
pub(in crate::notify) fn full(message: &Message, mention: &Mention) -> Json {
    within(BODY, size, |room| {
        let parts = Parts::of(message, room, dress);
        // The title is no Markdown.
        let title = Parts::of(message, room, |_| None).title;
        let mut elements = vec![div(&parts.lead)];
        let fields = parts.fields.iter().map(
            |(name, value)| json!({"is_short": true, "text": markdown(&format!("**{name}**\n{value}"))}),
        );
        let fields: Vec<Json> = fields.collect();
        if !fields.is_empty() {
            elements.push(json!({"tag": "div", "fields": fields}));
        }
        if !parts.trends.is_empty() {
            let lines = parts.trends.iter().map(|(line, name)| format!("{line} {name}"));
            let lines: Vec<String> = lines.collect();
            elements.push(div(&format!("**{}**\n{}", parts.trends_title, lines.join("\n"))));
        }
        elements.extend(
            parts
                .items
                .iter()
                .map(|(title, lead)| div(format!("**{title}**\n{lead}").trim_end())),
        );
        elements.push(div(&parts.more));
        if calls(message) {
            elements.push(div(&people(mention, "id")));
        }
        elements.retain(|element| element["text"]["content"] != "");
        let buttons: Vec<Json> = parts
            .links
            .iter()
            .enumerate()
            .map(|(index, (label, url))| {
                let kind = if index == 0 { "primary" } else { "default" };
                json!({"tag": "button", "text": text(label), "type": kind, "url": url})
            })
            .collect();
        if !buttons.is_empty() {
            elements.push(json!({"tag": "action", "actions": buttons}));
        }
        elements.push(json!({"tag": "note", "elements": [markdown(&parts.footer)]}));
        json!({
            "msg_type": "interactive",
            "card": {
                "config": {"wide_screen_mode": true},
                "header": {"title": text(&title), "template": colour(message.tone)},
                "elements": elements,
            },
        })
    })
}

/// The message as text alone.
pub(super) fn plain(message: &Message, mention: &Mention) -> Json {
    within(BODY, size, |room| {
        let mut text = Parts::of(message, room, wide).plain();
        let people = people(mention, "user_id");
        if calls(message) && !people.is_empty() {
            text = format!("{text}\n{people}");
        }
        json!({"msg_type": "text", "content": {"text": text}})
    })
}

fn size(payload: &Json) -> usize {
    payload.to_string().len()
}

/// Feishu's Markdown takes the characters that mean something there as HTML entities.
fn dress(char: char) -> Option<&'static str> {
    Some(match char {
        '&' => "&#38;",
        '<' => "&#60;",
        '>' => "&#62;",
        '*' => "&#42;",
        '~' => "&#126;",
        '[' => "&#91;",
        ']' => "&#93;",
        '`' => "&#96;",
        '_' => "&#95;",
        _ => return None,
    })
}

fn people(mention: &Mention, attribute: &str) -> String {
    let all = mention.all.then_some("all");
    let ids = all.into_iter().chain(mention.users.iter().map(String::as_str));
    let tags = ids.map(|id| format!("<at {attribute}={id}></at>"));
    tags.collect::<Vec<_>>().join(" ")
}

fn colour(tone: Tone) -> &'static str {
    match tone {
        Tone::Alert(Grade::Critical) => "red",
        Tone::Alert(Grade::Warning) => "orange",
        Tone::Alert(Grade::Info) => "blue",
        Tone::Good => "green",
        Tone::Neutral => "grey",
    }
}

fn div(content: &str) -> Json {
    json!({"tag": "div", "text": markdown(content)})
}

fn markdown(content: &str) -> Json {
    json!({"tag": "lark_md", "content": content})
}

fn text(content: &str) -> Json {
    json!({"tag": "plain_text", "content": content})
}
