//! Payload: a message in WeCom's few marks of Markdown. Everybody, and people by their mobile numbers, can only be
//! called by a message that is text alone.

use serde_json::{Value as Json, json};

use crate::notify::markdown::{Parts, calls, wide, within};
use crate::notify::message::{Message, Tone};
use crate::settings::Mention;

/// Bytes of Markdown.
pub(super) const MARKDOWN: usize = 4096;
/// Bytes of text.
pub(super) const TEXT: usize = 2048;

/// The message with its layout.
pub(super) fn full(message: &Message, mention: &Mention) -> Json {
    let calls = calls(message);
    if calls && (mention.all || !mention.mobiles.is_empty()) {
        return plain(message, mention);
    }
    let content = within(MARKDOWN, String::len, |room| {
        let parts = Parts::of(message, room, wide);
        let mut lines = vec![
            format!(
                "### <font color=\"{}\">{}</font>",
                colour(message.tone),
                parts.title
            ),
            parts.lead,
        ];
        lines.extend(
            parts
                .fields
                .iter()
                .map(|(name, value)| format!("> <font color=\"comment\">{name}</font> {value}")),
        );
        if !parts.trends.is_empty() {
            lines.push(format!("**{}**", parts.trends_title));
            lines.extend(parts.trends.iter().map(|(line, name)| format!("`{line}` {name}")));
        }
        lines.extend(
            parts
                .items
                .iter()
                .map(|(title, lead)| format!("**{title}** {lead}").trim_end().to_owned()),
        );
        lines.push(parts.more);
        let links = parts.links.iter().map(|(label, url)| format!("[{label}]({url})"));
        lines.push(links.collect::<Vec<_>>().join("  "));
        lines.push(format!("<font color=\"comment\">{}</font>", parts.footer));
        if calls {
            let people = mention.users.iter().map(|id| format!("<@{id}>"));
            lines.push(people.collect::<Vec<_>>().join(" "));
        }
        lines.retain(|line| !line.is_empty());
        lines.join("\n")
    });
    json!({"msgtype": "markdown", "markdown": {"content": content}})
}

/// The message as text alone.
pub(super) fn plain(message: &Message, mention: &Mention) -> Json {
    let content = within(TEXT, String::len, |room| Parts::of(message, room, wide).plain());
    let mut text = json!({"content": content});
    if calls(message) && !mention.is_empty() {
        let all = mention.all.then_some("@all");
        let ids: Vec<&str> = mention.users.iter().map(String::as_str).chain(all).collect();
        text["mentioned_list"] = json!(ids);
        text["mentioned_mobile_list"] = json!(mention.mobiles);
    }
    json!({"msgtype": "text", "text": text})
}

/// A message with its layout as two, each about half as long and of whole lines; `None` for one that is a single line, or
/// text alone.
pub(super) fn halves(payload: &Json) -> Option<[Json; 2]> {
    let content = payload["markdown"]["content"].as_str()?;
    let middle = content.floor_char_boundary(content.len() / 2);
    let line_ends = content.match_indices('\n').map(|(at, _)| at);
    let at = line_ends.min_by_key(|at| at.abs_diff(middle))?;
    let part = |content: &str| json!({"msgtype": "markdown", "markdown": {"content": content}});
    Some([part(&content[..at]), part(&content[at + 1..])])
}

/// WeCom has three colours.
fn colour(tone: Tone) -> &'static str {
    match tone {
        Tone::Alert(_) => "warning",
        Tone::Good => "info",
        Tone::Neutral => "comment",
    }
}
