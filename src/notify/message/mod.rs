//! Messages: what notices say to people, before any channel gives them its form. A manager who reads one between two
//! meetings sees in ten seconds what is wrong, how wrong, since when and whose it is.
//!
//! * `single`: about one episode. `many`: about several that are told together. `aside`: digests, reminders
//!   and proposals.

mod aside;
mod many;
mod single;

pub(super) use single::{can_be_taken, severity};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::signer::Signer;
use super::template;
use super::trend::Trend;
use crate::alert::notice::Notice;
use crate::alert::record::Figure;
use crate::catalog::Grade;
use crate::settings::Templates;
use crate::words::Language;

/// For whom a message is worded.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reader<'a> {
    /// Language of all of it.
    pub language: Language,
    /// The address under which people reach tautline's page; `None`: no links.
    pub page: Option<&'a str>,
    /// Signs the links that do something; `None`: none of these.
    pub signer: Option<&'a Signer>,
    /// The clock that times are told by; `None`: UTC.
    pub zone: Option<&'a TimeZone>,
    /// Own wording, where there is any.
    pub templates: Option<&'a Templates>,
}

/// What notices say.
#[derive(Clone, PartialEq, Debug)]
pub struct Message {
    /// One line that says it all, with a mark for its kind and severity.
    pub title: String,
    /// One or two sentences with the numbers.
    pub lead: String,
    /// The numbers one by one, whose it is, since when. Empty for several alerts.
    pub fields: Vec<Field>,
    /// The alerts one by one, the worst first, where there are several.
    pub items: Vec<Item>,
    /// Alerts beyond those in `items`.
    pub more: usize,
    /// What stands above the sparklines.
    pub trends_title: String,
    /// How the days went: the KPI first, then what it serves.
    pub trends: Vec<Trend>,
    /// What to do: read more, take it, silence it. The first is the page.
    pub links: Vec<Link>,
    /// Id of the first notice, the same over every retry.
    pub id: String,
    /// Drift kind, or the rule's name.
    pub kind: String,
    /// How bad it is, for a colour.
    pub tone: Tone,
    /// Event time of the decision.
    pub event_time: Timestamp,
    /// Language of all of it.
    pub language: Language,
    /// The clock that times are told by.
    pub zone: TimeZone,
}

/// How bad a message is, for a colour.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tone {
    /// Something is wrong.
    Alert(Grade),
    /// It is over, or taken.
    Good,
    /// For information: a digest, a reminder, a proposal, an end without a recovery.
    Neutral,
}

/// A name with its value.
#[derive(Clone, PartialEq, Debug)]
pub struct Field {
    /// The name.
    pub name: String,
    /// The value.
    pub value: Value,
}

/// A value of a field.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// As it is.
    Text(String),
    /// A moment, which a channel may show on the reader's own clock, and a remark on it.
    Moment(Timestamp, Option<String>),
}

/// One alert among several.
#[derive(Clone, PartialEq, Debug)]
pub struct Item {
    /// One line, with its mark.
    pub title: String,
    /// One sentence with the numbers; may be empty.
    pub lead: String,
}

/// Something to do on the page.
#[derive(Clone, PartialEq, Debug)]
pub struct Link {
    /// What to do there.
    pub label: String,
    /// Its address.
    pub url: String,
    /// What it does there.
    pub does: Does,
}

/// What a link does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Does {
    /// Shows.
    Show,
    /// Acknowledges.
    Ack,
    /// Silences.
    Silence,
}

impl Message {
    /// What notices that go together say; empty for none.
    pub fn of(notices: &[Notice], reader: &Reader<'_>) -> Message {
        let zone = reader.zone.cloned().unwrap_or(TimeZone::UTC);
        let mut message = Message {
            zone,
            ..Message::worded(notices, reader)
        };
        // Own wording does not hide it.
        if notices.iter().any(|notice| notice.catching_up) {
            message.mark_catching_up();
        }
        message
    }

    /// Says that the numbers may not be whole.
    fn mark_catching_up(&mut self) {
        let language = self.language;
        self.title
            .push_str(language.pick("（数据补读中）", " (catching up)"));
        if !self.lead.is_empty() {
            self.lead.push_str(language.pick("", " "));
        }
        self.lead.push_str(language.pick(
            "启动前的数据还没有读完，数字可能不完整。",
            "What came before the start has not all been read, so the numbers may not be complete.",
        ));
    }

    fn worded(notices: &[Notice], reader: &Reader<'_>) -> Message {
        match notices {
            [only] => match only.aside.as_deref() {
                Some(aside) => aside::message(only, aside, reader),
                None => Message::of_one(only, reader),
            },
            several => many::message(several, reader),
        }
    }

    fn of_one(notice: &Notice, reader: &Reader<'_>) -> Message {
        let language = reader.language;
        let facts = &notice.facts;
        let figures: Vec<&Figure> = facts.node.iter().chain(&facts.parent).collect();
        let trends: Vec<Trend> = figures.iter().filter_map(|figure| Trend::of(figure)).collect();
        let days = trends
            .iter()
            .map(|trend| trend.line.chars().count())
            .max()
            .unwrap_or(0);
        let mut message = Message {
            zone: reader.zone.cloned().unwrap_or(TimeZone::UTC),
            title: single::title(notice, language),
            lead: single::lead(notice, language),
            fields: single::fields(notice, language),
            trends_title: match language {
                Language::Zh => format!("最近 {days} 天，逐日"),
                Language::En => format!("Last {days} days, day by day"),
            },
            trends,
            links: single::links(notice, reader),
            tone: Tone::of(notice),
            ..Message::blank(notice, language)
        };
        if let Some(templates) = reader.templates {
            template::worded(templates, notice, &mut message);
        }
        message
    }

    /// Nothing said yet; with the ids of a notice.
    fn blank(notice: &Notice, language: Language) -> Message {
        Message {
            title: String::new(),
            lead: String::new(),
            fields: Vec::new(),
            items: Vec::new(),
            more: 0,
            trends_title: String::new(),
            trends: Vec::new(),
            links: Vec::new(),
            id: notice.id.clone(),
            kind: notice.alert_kind.clone(),
            tone: Tone::Neutral,
            event_time: notice.decided_at,
            language,
            zone: TimeZone::UTC,
        }
    }
}

/// How far a node is, in words.
pub(super) fn progress(figure: &Figure, language: Language) -> String {
    match single::progress(figure, None, language) {
        Value::Text(text) => text,
        Value::Moment(..) => String::new(),
    }
}

#[cfg(test)]
mod tests;
