//! Payload: a message as an Adaptive Card 1.4, within what Teams shows everywhere.

use serde_json::{Value as Json, json};

use crate::catalog::Grade;
use crate::notify::markdown::{Parts, calls, wide, within};
use crate::notify::message::{Message, Tone};
use crate::settings::Mention;

/// Bytes of a body. Teams takes about 28 KB, and puts more around the card than one sees.
pub(super) const BODY: usize = 21_000;
/// Buttons that are shown.
pub(super) const ACTIONS: usize = 6;

/// The message as a card.
pub(in crate::notify) fn full(message: &Message, mention: &Mention) -> Json {
    within(BODY, size, |room| {
        let parts = Parts::of(message, room, wide);
        let mut body = vec![
            json!({"type": "TextBlock", "size": "Large", "weight": "Bolder", "color": colour(message.tone), "wrap": true, "text": parts.title}),
            block(&parts.lead),
        ];
        let facts = parts
            .fields
            .iter()
            .map(|(name, value)| json!({"title": name, "value": value}));
        let facts: Vec<Json> = facts.collect();
        if !facts.is_empty() {
            body.push(json!({"type": "FactSet", "facts": facts}));
        }
        if !parts.trends.is_empty() {
            body.push(
                json!({"type": "TextBlock", "weight": "Bolder", "wrap": true, "text": parts.trends_title}),
            );
            let lines = parts.trends.iter().map(
                |(line, name)| json!({"type": "TextBlock", "fontType": "Monospace", "spacing": "None", "text": format!("{line} {name}")}),
            );
            body.extend(lines);
        }
        body.extend(
            parts
                .items
                .iter()
                .map(|(title, lead)| block(format!("**{title}** {lead}").trim_end())),
        );
        body.push(block(&parts.more));
        body.push(json!({"type": "TextBlock", "size": "Small", "isSubtle": true, "wrap": true, "text": parts.footer}));
        let actions = parts.links.iter().take(ACTIONS);
        let actions =
            actions.map(|(label, url)| json!({"type": "Action.OpenUrl", "title": label, "url": url}));
        card(message, body, actions.collect(), mention)
    })
}

/// The message as a card of text alone: a workflow takes nothing else.
pub(super) fn plain(message: &Message, mention: &Mention) -> Json {
    within(BODY, size, |room| {
        let text = Parts::of(message, room, wide).plain().replace('\n', "\n\n");
        card(message, vec![block(&text)], Vec::new(), mention)
    })
}

fn card(message: &Message, mut body: Vec<Json>, actions: Vec<Json>, mention: &Mention) -> Json {
    body.retain(|block| block["text"] != "");
    let mut teams = json!({"width": "Full"});
    if calls(message) && !mention.users.is_empty() {
        let tag = |id: &String| format!("<at>{id}</at>");
        let tags: Vec<String> = mention.users.iter().map(tag).collect();
        body.push(block(&tags.join(" ")));
        let people = mention
            .users
            .iter()
            .map(|id| json!({"type": "mention", "text": tag(id), "mentioned": {"id": id, "name": id}}));
        teams["entities"] = people.collect();
    }
    let mut content = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": teams,
        "body": body,
    });
    if !actions.is_empty() {
        content["actions"] = actions.into();
    }
    json!({"type": "message", "attachments": [
        {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": null, "content": content},
    ]})
}

fn size(payload: &Json) -> usize {
    payload.to_string().len()
}

fn colour(tone: Tone) -> &'static str {
    match tone {
        Tone::Alert(Grade::Critical) => "Attention",
        Tone::Alert(Grade::Warning) => "Warning",
        Tone::Alert(Grade::Info) => "Accent",
        Tone::Good => "Good",
        Tone::Neutral => "Default",
    }
}

fn block(text: &str) -> Json {
    json!({"type": "TextBlock", "wrap": true, "text": text})
}
