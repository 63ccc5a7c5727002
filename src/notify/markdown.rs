//! Markdown for the channels that count bytes. A message is written with as much room as it may ever need; where that
//! is more than the vendor takes, with less, and it says so.

use super::message::{Item, Message, Tone};
use super::phrases;
use super::text::Fitter;

/// How much of everything a message may have: bytes of texts, numbers of parts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) title: usize,
    pub(super) lead: usize,
    pub(super) name: usize,
    pub(super) value: usize,
    pub(super) fields: usize,
    pub(super) items: usize,
    pub(super) trends: usize,
    pub(super) url: usize,
}

/// From the widest to the narrowest; with the last one no message has more than 1,900 bytes of text and addresses as
/// text alone, and 2,900 as markdown.
#[rustfmt::skip]
const ROOMS: [Room; 4] = [
    Room { title: 300, lead: 1500, name: 150, value: 600, fields: 20, items: 12, trends: 2, url: 2000 },
    Room { title: 240, lead: 600, name: 90, value: 240, fields: 12, items: 10, trends: 2, url: 1000 },
    Room { title: 180, lead: 300, name: 60, value: 120, fields: 9, items: 5, trends: 2, url: 500 },
    Room { title: 120, lead: 200, name: 45, value: 60, fields: 4, items: 3, trends: 0, url: 300 },
];

/// The message with the most room with which it keeps to the limit.
pub(super) fn within<T>(limit: usize, size: impl Fn(&T) -> usize, write: impl Fn(&Room) -> T) -> T {
    let [rooms @ .., narrowest] = &ROOMS;
    let fits = rooms.iter().map(&write).find(|written| size(written) <= limit);
    fits.unwrap_or_else(|| write(narrowest))
}

/// What a channel writes in place of a character that means something there.
pub(super) type Dress = fn(char) -> Option<&'static str>;

/// For channels where nothing can be escaped: a character that would mean something is replaced by its wide twin.
pub(super) fn wide(char: char) -> Option<&'static str> {
    Some(match char {
        '<' => "＜",
        '[' => "［",
        ']' => "］",
        '*' => "＊",
        '`' => "｀",
        _ => return None,
    })
}

/// The parts of a message, fitted and dressed.
pub(super) struct Parts {
    pub(super) title: String,
    pub(super) lead: String,
    /// Names with values.
    pub(super) fields: Vec<(String, String)>,
    pub(super) trends_title: String,
    /// Sparklines with names.
    pub(super) trends: Vec<(String, String)>,
    /// Titles with leads.
    pub(super) items: Vec<(String, String)>,
    /// What is not in `items`, in words; empty where there is nothing.
    pub(super) more: String,
    /// Labels with addresses.
    pub(super) links: Vec<(String, String)>,
    /// Where it comes from, ids, time, and whether it was cut. It says "tautline", which a robot may ask for.
    pub(super) footer: String,
}

impl Parts {
    pub(super) fn of(message: &Message, room: &Room, dress: Dress) -> Parts {
        let mut fit = Fitter::default();
        let fields = message.fields.iter().take(room.fields).map(|field| {
            let name = fit.bytes(&field.name, room.name, dress);
            (
                name,
                fit.bytes(&phrases::value(message, &field.value), room.value, dress),
            )
        });
        let fields = fields.collect();
        let items: Vec<(String, String)> = message
            .items
            .iter()
            .take(room.items)
            .map(|Item { title, lead }| {
                (
                    fit.bytes(title, room.title / 2, dress),
                    fit.bytes(lead, room.value, dress),
                )
            })
            .collect();
        let trends = message.trends.iter().take(room.trends).map(|trend| {
            let line = fit.bytes(&trend.line, room.value, dress);
            (line, fit.bytes(&trend.name, room.name, dress))
        });
        let trends: Vec<(String, String)> = trends.collect();
        let links: Vec<(String, String)> = message
            .links
            .iter()
            .filter(|link| link.url.len() <= room.url)
            .map(|link| (fit.bytes(&link.label, 60, dress), address(&link.url)))
            .filter(|(_, url)| url.len() <= room.url)
            .take(4)
            .collect();
        let title = fit.bytes(&message.title, room.title, dress);
        let lead = fit.bytes(&message.lead, room.lead, dress);
        let id = fit.bytes(&message.id, 90, dress);
        let kind = fit.bytes(&message.kind, 60, dress);
        let left_out = message.items.len() - items.len();
        let is_short = fit.cut
            || left_out > 0
            || message.fields.len() > room.fields
            || message.trends.len() > trends.len()
            || message.links.len() > links.len();
        let more = message.more + left_out;
        let mut footer = format!(
            "tautline · {id} · {kind} · {} {}",
            phrases::event_time(message),
            phrases::at(message, message.event_time)
        );
        if is_short {
            footer = format!("{footer} · {}", phrases::shortened(message));
        }
        Parts {
            title,
            lead,
            fields,
            trends_title: fit.bytes(&message.trends_title, 90, dress),
            trends,
            items,
            more: if more > 0 {
                phrases::more(message, more)
            } else {
                String::new()
            },
            links,
            footer,
        }
    }

    /// The message as lines of text alone, with the first address.
    pub(super) fn plain(self) -> String {
        let mut lines = vec![self.title, self.lead];
        lines.extend(self.fields.iter().map(|(name, value)| format!("{name}: {value}")));
        lines.extend(
            self.items
                .iter()
                .map(|(title, lead)| format!("{title} {lead}").trim_end().to_owned()),
        );
        lines.push(self.more);
        lines.extend(self.links.into_iter().next().map(|(_, url)| url));
        lines.push(self.footer);
        lines.retain(|line| !line.is_empty());
        lines.join("\n")
    }
}

/// An address that ends no link in Markdown before its end.
fn address(url: &str) -> String {
    url.replace('(', "%28").replace(')', "%29").replace(' ', "%20")
}

/// Whether somebody should be called by name: only where something is wrong.
pub(super) fn calls(message: &Message) -> bool {
    matches!(message.tone, Tone::Alert(_))
}
