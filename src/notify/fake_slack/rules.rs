//! What Slack refuses, with its own words for it.

use serde_json::Value as Json;

use crate::notify::slack::limit;

/// Attachments that a message may have.
const ATTACHMENTS: usize = 100;
/// Length of a block's or an action's id, and of a button's value.
const ID: usize = 255;
const BUTTON_VALUE: usize = 2000;

/// Why a message is refused.
#[derive(Debug)]
pub(in crate::notify) struct Refusal {
    /// Slack's word.
    pub(in crate::notify) word: &'static str,
    /// What exactly is wrong.
    pub(in crate::notify) why: String,
}

fn refusal<T>(word: &'static str, why: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal {
        word,
        why: why.into(),
    })
}

fn invalid_blocks<T>(why: impl Into<String>) -> Result<T, Refusal> {
    refusal("invalid_blocks", why)
}

/// The message, if Slack would show it.
pub(in crate::notify) fn check(body: &str, is_json: bool) -> Result<Json, Refusal> {
    if !is_json {
        return refusal("invalid_payload", "Content-Type is not application/json");
    }
    let payload: Json = match serde_json::from_str(body) {
        Ok(payload) => payload,
        Err(error) => return refusal("invalid_payload", error.to_string()),
    };
    if !payload.is_object() {
        return refusal("invalid_payload", "not a JSON object");
    }
    let list = |name: &str| payload.get(name).and_then(Json::as_array).map_or(0, Vec::len);
    if list("attachments") > ATTACHMENTS {
        return refusal(
            "too_many_attachments",
            format!("more than {ATTACHMENTS} attachments"),
        );
    }
    let text = match payload.get("text") {
        None => "",
        Some(Json::String(text)) => text,
        Some(_) => return refusal("invalid_payload", "text is not a string"),
    };
    match payload.get("blocks") {
        None => {}
        Some(Json::Array(blocks)) => check_blocks(blocks)?,
        Some(_) => return invalid_blocks("blocks is not a list"),
    }
    if text.trim().is_empty() && list("blocks") + list("attachments") == 0 {
        return refusal("no_text", "neither text nor blocks");
    }
    Ok(payload)
}

fn check_blocks(blocks: &[Json]) -> Result<(), Refusal> {
    if blocks.len() > limit::BLOCKS {
        return invalid_blocks(format!("{} blocks", blocks.len()));
    }
    let mut total = 0;
    for block in blocks {
        total += check_block(block)?;
    }
    if total > limit::ALL_BLOCKS {
        return refusal("msg_blocks_too_long", format!("{total} characters in all blocks"));
    }
    Ok(())
}

/// Checks a block and counts the characters of its texts.
fn check_block(block: &Json) -> Result<usize, Refusal> {
    check_length(block, "block_id", ID)?;
    let both = ["plain_text", "mrkdwn"];
    match block["type"].as_str() {
        Some("divider") => Ok(0),
        Some("header") => check_text(&block["text"], &["plain_text"], limit::HEADER),
        Some("section") => {
            let fields = check_list(block, "fields", limit::FIELDS, |field| {
                check_text(field, &both, limit::FIELD)
            })?;
            match (block.get("text"), fields) {
                (None, None) => invalid_blocks("a section without text and fields"),
                (None, Some(fields)) => Ok(fields),
                (Some(text), fields) => Ok(check_text(text, &both, limit::SECTION)? + fields.unwrap_or(0)),
            }
        }
        Some("context") => {
            // Slack documents no limit for a context's text; a section's is the most that it shows anywhere.
            let text = |element: &Json| check_text(element, &both, limit::SECTION);
            needed(check_list(block, "elements", limit::CONTEXT, text)?)
        }
        Some("actions") => needed(check_list(block, "elements", limit::ACTIONS, check_button)?),
        other => invalid_blocks(format!("block type {other:?}")),
    }
}

fn needed(count: Option<usize>) -> Result<usize, Refusal> {
    count.map_or_else(|| invalid_blocks("a block without elements"), Ok)
}

fn check_button(button: &Json) -> Result<usize, Refusal> {
    if button["type"] != "button" {
        return invalid_blocks(format!("element type {}", button["type"]));
    }
    check_length(button, "url", limit::URL)?;
    check_length(button, "value", BUTTON_VALUE)?;
    check_length(button, "action_id", ID)?;
    let is_web = |url: &str| url.starts_with("http://") || url.starts_with("https://");
    if button
        .get("url")
        .is_some_and(|url| !url.as_str().is_some_and(is_web))
    {
        return invalid_blocks("a button's url is no web address");
    }
    check_text(&button["text"], &["plain_text"], limit::BUTTON)
}

fn check_list(
    block: &Json,
    name: &str,
    most: usize,
    check: impl Fn(&Json) -> Result<usize, Refusal>,
) -> Result<Option<usize>, Refusal> {
    let Some(list) = block.get(name) else {
        return Ok(None);
    };
    let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
    if list.is_empty() || list.len() > most {
        return invalid_blocks(format!("{} {name}", list.len()));
    }
    list.iter().map(check).sum::<Result<usize, Refusal>>().map(Some)
}

fn check_text(object: &Json, types: &[&str], most: usize) -> Result<usize, Refusal> {
    if !object["type"]
        .as_str()
        .is_some_and(|found| types.contains(&found))
    {
        return invalid_blocks(format!("text type {} where {types:?} is wanted", object["type"]));
    }
    let count = object["text"].as_str().map_or(0, |text| text.chars().count());
    if count == 0 || count > most {
        return invalid_blocks(format!("a text of {count} characters where {most} is the most"));
    }
    Ok(count)
}

fn check_length(object: &Json, name: &str, most: usize) -> Result<(), Refusal> {
    let count = object[name].as_str().map_or(0, |text| text.chars().count());
    if count > most {
        return invalid_blocks(format!("a {name} of {count} characters where {most} is the most"));
    }
    Ok(())
}
