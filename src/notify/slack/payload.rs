//! Payload: a message as Slack's Block Kit wants it, within the vendor's limits by construction.
//!
//! Limits: <https://docs.slack.dev/reference/block-kit/blocks>. Slack refuses a whole message for one character too
//! many, so every part has a share of the room: together they stay far below the 13 200 characters at which Slack
//! answers `msg_blocks_too_long`.

use jiff::Timestamp;
use serde_json::{Value as Json, json};

use crate::notify::message::{Does, Item, Message, Value};
use crate::notify::phrases;
use crate::notify::text::Fitter;
use crate::notify::{ACK_ACTION, Form};

/// Slack's limits, in characters as they are sent, unless they count parts.
pub mod limit {
    /// Blocks of a message.
    pub const BLOCKS: usize = 50;
    /// Text of a header.
    pub const HEADER: usize = 150;
    /// Text of a section.
    pub const SECTION: usize = 3000;
    /// Fields of a section.
    pub const FIELDS: usize = 10;
    /// Text of a field.
    pub const FIELD: usize = 2000;
    /// Elements of a context block.
    pub const CONTEXT: usize = 10;
    /// Elements of an actions block.
    pub const ACTIONS: usize = 25;
    /// Text of a button.
    pub const BUTTON: usize = 75;
    /// Address of a button.
    pub const URL: usize = 3000;
    /// Text of all blocks together; Slack does not document it.
    pub const ALL_BLOCKS: usize = 13_200;
    /// Top-level text that is shown well.
    pub const TEXT: usize = 4000;
}

/// Shares of the room, each below Slack's limit for the part.
const NAME: usize = 120;
const VALUE: usize = 300;
const SUMMARY: usize = 1000;
const LINE: usize = 60;
const ID: usize = 200;

/// The message with blocks; its `text` is what a notification and a screen reader say.
/// With an episode, the button that acknowledges is Slack's own, not a link.
pub(in crate::notify) fn full(message: &Message, taking: Option<&str>) -> Json {
    let mut fit = Fitter::default();
    let title = fit.escaped(&message.title, limit::HEADER);
    let mut blocks =
        vec![json!({"type": "header", "text": {"type": "plain_text", "text": title, "emoji": true}})];
    let lead = fit.escaped(&message.lead, limit::SECTION);
    if !lead.is_empty() {
        blocks.push(section(&lead));
    }
    let fields: Vec<Json> = message
        .fields
        .iter()
        .map(|field| {
            let name = fit.escaped(&field.name, NAME);
            mrkdwn(&format!("*{name}*\n{}", value(&mut fit, message, &field.value)))
        })
        .collect();
    for fields in fields.chunks(limit::FIELDS) {
        blocks.push(json!({"type": "section", "fields": fields}));
    }
    if !message.trends.is_empty() {
        blocks.push(section(&trends(&mut fit, message)));
    }
    for item in &message.items {
        blocks.push(section(&line(&mut fit, item)));
    }
    if message.more > 0 {
        blocks.push(section(&phrases::more(message, message.more)));
    }
    let mut buttons = Vec::new();
    for link in message
        .links
        .iter()
        .filter(|link| taking.is_none() || link.does != Does::Ack)
    {
        if link.url.chars().count() > limit::URL {
            // An address that is cut leads nowhere.
            fit.cut = true;
            continue;
        }
        let label = fit.escaped(&link.label, limit::BUTTON);
        buttons
            .push(json!({"type": "button", "text": {"type": "plain_text", "text": label}, "url": link.url}));
    }
    if let Some(episode) = taking {
        let label = phrases::acknowledge(message);
        let button = json!({"type": "button", "text": {"type": "plain_text", "text": label}, "style": "primary",
            "action_id": ACK_ACTION, "value": episode});
        buttons.insert(buttons.len().min(1), button);
    }
    if !buttons.is_empty() {
        blocks.push(json!({"type": "actions", "elements": buttons}));
    }
    blocks.push(context(&mut fit, message));
    json!({"text": summary(message), "blocks": blocks, "unfurl_links": false, "unfurl_media": false})
}

/// The message as text alone, for a receiver that refuses the blocks.
pub(in crate::notify) fn plain(message: &Message) -> Json {
    let mut fit = Fitter::default();
    let mut lines = vec![
        fit.escaped(&message.title, limit::HEADER),
        fit.escaped(&message.lead, SUMMARY),
    ];
    let id = format!(
        "{} · {}",
        fit.escaped(&message.id, NAME),
        phrases::at(message, message.event_time)
    );
    let shortened = phrases::shortened(message);
    let more = (message.more > 0).then(|| phrases::more(message, message.more));
    let length = |line: &String| line.chars().count() + 1;
    let mut details = Vec::new();
    for field in &message.fields {
        let value = match &field.value {
            Value::Text(text) => fit.escaped(text, VALUE / 2),
            Value::Moment(time, _) => phrases::at(message, *time),
        };
        details.push(format!("{}: {value}", fit.escaped(&field.name, NAME)));
    }
    for item in &message.items {
        details.push(format!(
            "{} {}",
            fit.escaped(&item.title, NAME),
            fit.escaped(&item.lead, NAME)
        ));
    }
    // What there is no room for is on the page.
    let ends = [&id, &shortened].into_iter().chain(&more);
    let mut room = limit::TEXT - lines.iter().chain(ends).map(length).sum::<usize>();
    for line in details {
        match room.checked_sub(length(&line)) {
            Some(left) => {
                room = left;
                lines.push(line);
            }
            None => fit.cut = true,
        }
    }
    lines.extend(more);
    if let Some(link) = message.links.first() {
        let url = fit.escaped(&link.url, usize::MAX);
        let taken: usize = lines.iter().chain([&id, &shortened, &url]).map(length).sum();
        // An address that is cut leads nowhere.
        match taken > limit::TEXT {
            true => fit.cut = true,
            false => lines.push(url),
        }
    }
    lines.push(id);
    if fit.cut {
        lines.push(shortened);
    }
    lines.retain(|line| !line.is_empty());
    json!({"text": lines.join("\n"), "unfurl_links": false, "unfurl_media": false})
}

/// What happened, to be read below the message that says how it stands.
pub(in crate::notify) fn reply(message: &Message, form: Form) -> Json {
    if form == Form::Plain {
        return json!({"text": summary(message), "unfurl_links": false, "unfurl_media": false});
    }
    let mut fit = Fitter::default();
    let (title, lead) = (
        fit.escaped(&message.title, limit::HEADER),
        fit.escaped(&message.lead, limit::SECTION / 2),
    );
    let said = format!("*{title}*\n{lead}").trim_end().to_owned();
    let blocks = [section(&said), context(&mut fit, message)];
    json!({"text": summary(message), "blocks": blocks, "unfurl_links": false, "unfurl_media": false})
}

fn summary(message: &Message) -> String {
    // The blocks say that something was cut; the summary repeats their beginning.
    let both = format!("{} — {}", message.title, message.lead);
    let text = if message.lead.is_empty() {
        &message.title
    } else {
        &both
    };
    Fitter::default().escaped(text, SUMMARY)
}

fn value(fit: &mut Fitter, message: &Message, value: &Value) -> String {
    match value {
        Value::Text(text) => fit.escaped(text, VALUE),
        Value::Moment(time, None) => moment(message, *time),
        Value::Moment(time, Some(remark)) => {
            format!("{} · {}", moment(message, *time), fit.escaped(remark, VALUE))
        }
    }
}

/// Sparklines are quoted as code, so that all bars are of one width and the days stand below each other.
fn trends(fit: &mut Fitter, message: &Message) -> String {
    let mut lines = vec![format!("*{}*", fit.escaped(&message.trends_title, NAME))];
    for trend in &message.trends {
        lines.push(format!(
            "`{}` {}",
            fit.escaped(&trend.line, LINE),
            fit.escaped(&trend.name, NAME)
        ));
    }
    lines.join("\n")
}

fn context(fit: &mut Fitter, message: &Message) -> Json {
    let id = format!(
        "{} · {}",
        fit.escaped(&message.id, ID),
        fit.escaped(&message.kind, ID)
    );
    let label = phrases::event_time(message);
    let time = format!("{label} {}", moment(message, message.event_time));
    let mut elements = vec![mrkdwn(&id), mrkdwn(&time)];
    if fit.cut {
        elements.push(mrkdwn(&phrases::shortened(message)));
    }
    json!({"type": "context", "elements": elements})
}

/// One alert among several.
fn line(fit: &mut Fitter, item: &Item) -> String {
    let title = fit.escaped(&item.title, limit::HEADER);
    let lead = fit.escaped(&item.lead, VALUE);
    format!("*{title}*\n{lead}").trim_end().to_owned()
}

/// A moment that Slack shows on the reader's own clock.
fn moment(message: &Message, time: Timestamp) -> String {
    format!(
        "<!date^{}^{{date_num}} {{time}}|{}>",
        time.as_second(),
        phrases::at(message, time)
    )
}

fn section(text: &str) -> Json {
    json!({"type": "section", "text": mrkdwn(text)})
}

fn mrkdwn(text: &str) -> Json {
    json!({"type": "mrkdwn", "text": text})
}

#[cfg(test)]
#[path = "payload_tests.rs"]
mod tests;
