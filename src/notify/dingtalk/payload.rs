//! Payload: a message as a card with buttons, or as Markdown where people are called: a card calls nobody.

use serde_json::{Value as Json, json};

use crate::notify::markdown::{Parts, calls, wide, within};
use crate::notify::message::Message;
use crate::settings::Mention;

/// Bytes of a body; DingTalk takes about 20,000.
pub(super) const BODY: usize = 19_500;

/// The message with its layout.
pub(in crate::notify) fn full(message: &Message, mention: &Mention) -> Json {
    let calls = calls(message) && !mention.is_empty();
    within(BODY, size, |room| {
        let parts = Parts::of(message, room, wide);
        let title = parts.title.clone();
        if calls || parts.links.is_empty() {
            let links = parts.links.iter().map(|(label, url)| format!("[{label}]({url})"));
            let links: Vec<String> = links.collect();
            let mut text = text(&parts, &links.join(" · "));
            if calls {
                text = format!("{text}\n\n{}", people(mention));
            }
            let at = if calls { at(mention) } else { json!({}) };
            return json!({"msgtype": "markdown", "markdown": {"title": title, "text": text}, "at": at});
        }
        let buttons = parts
            .links
            .iter()
            .map(|(label, url)| json!({"title": label, "actionURL": url}));
        let buttons: Vec<Json> = buttons.collect();
        // Side by side as long as there are two.
        let side_by_side = if buttons.len() <= 2 { "1" } else { "0" };
        json!({"msgtype": "actionCard", "actionCard": {
            "title": title, "text": text(&parts, ""), "btnOrientation": side_by_side, "btns": buttons,
        }})
    })
}

/// The message as text alone.
pub(super) fn plain(message: &Message, mention: &Mention) -> Json {
    let calls = calls(message) && !mention.is_empty();
    within(BODY, size, |room| {
        let mut text = Parts::of(message, room, wide).plain();
        if calls {
            text = format!("{text}\n{}", people(mention));
        }
        let at = if calls { at(mention) } else { json!({}) };
        json!({"msgtype": "text", "text": {"content": text}, "at": at})
    })
}

fn size(payload: &Json) -> usize {
    payload.to_string().len()
}

/// DingTalk wants an empty line between two lines.
fn text(parts: &Parts, links: &str) -> String {
    let mut lines = vec![format!("### {}", parts.title), parts.lead.clone()];
    lines.extend(
        parts
            .fields
            .iter()
            .map(|(name, value)| format!("> **{name}**：{value}")),
    );
    if !parts.trends.is_empty() {
        lines.push(format!("**{}**", parts.trends_title));
        lines.extend(parts.trends.iter().map(|(line, name)| format!("{line} {name}")));
    }
    lines.extend(
        parts
            .items
            .iter()
            .map(|(title, lead)| format!("- **{title}** {lead}").trim_end().to_owned()),
    );
    lines.push(parts.more.clone());
    lines.push(links.to_owned());
    lines.push(format!("###### {}", parts.footer));
    lines.retain(|line| !line.is_empty());
    lines.join("\n\n")
}

/// Whom DingTalk calls must stand in the text as well.
fn people(mention: &Mention) -> String {
    let all = mention.all.then_some("all");
    let users = mention.users.iter().chain(&mention.mobiles).map(String::as_str);
    let names = all.into_iter().chain(users).map(|id| format!("@{id}"));
    names.collect::<Vec<_>>().join(" ")
}

fn at(mention: &Mention) -> Json {
    json!({"atMobiles": mention.mobiles, "atUserIds": mention.users, "isAtAll": mention.all})
}
