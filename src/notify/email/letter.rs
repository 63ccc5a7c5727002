//! A message as a mail: subject, text, HTML, and the headers that make an episode one conversation.

use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};

use super::html;
use crate::alert::notice::{Notice, NoticeKind};
use crate::catalog::Grade;
use crate::notify::message::Message;
use crate::notify::text::Fitter;
use crate::notify::{Form, phrases};

/// Bytes of a subject: what a mail program shows of it, and more.
const SUBJECT: usize = 400;

/// A mail to be written.
pub(super) struct Letter<'a> {
    /// What it says.
    pub(super) message: &'a Message,
    /// Whether it has HTML.
    pub(super) form: Form,
    /// Its `Message-ID`, the same over every attempt: mail servers and programs know a copy by it.
    pub(super) id: String,
    /// The `Message-ID` of the first mail about the episode.
    pub(super) root: Option<&'a str>,
    /// Whether it is marked as urgent.
    pub(super) is_urgent: bool,
}

/// The `Message-ID` of a notice to a receiver.
pub(super) fn id(notice: &str, receiver: &str, from: &Mailbox) -> String {
    let legal = |text: &str| -> String {
        let legal = |char: char| char.is_ascii_alphanumeric() || "-_.".contains(char);
        text.chars()
            .map(|char| if legal(char) { char } else { '_' })
            .collect()
    };
    // Names beyond ASCII would all be the same.
    let receiver = xxhash_rust::xxh3::xxh3_64(receiver.as_bytes());
    format!(
        "<tautline.{}.{receiver:016x}@{}>",
        legal(notice),
        from.email.domain()
    )
}

/// Whether a mail program should show a notice as urgent.
pub(super) fn is_urgent(notice: &Notice) -> bool {
    let begins = matches!(notice.kind, NoticeKind::Fired | NoticeKind::Escalated);
    begins && notice.severity.like() == Grade::Critical
}

impl Letter<'_> {
    /// The mail as it is sent.
    pub(super) fn mail(&self, from: &Mailbox, to: &[Mailbox]) -> Result<lettre::Message, String> {
        let subject = Fitter::default().bytes(&self.message.title, SUBJECT, |_| None);
        let mut builder = lettre::Message::builder()
            .from(from.clone())
            .subject(subject)
            .message_id(Some(self.id.clone()))
            .date_now();
        for to in to {
            builder = builder.to(to.clone());
        }
        if let Some(root) = self.root {
            builder = builder.in_reply_to(root.to_owned()).references(root.to_owned());
        }
        // Nobody's absence note should come back.
        let mut headers = vec![
            ("Auto-Submitted", "auto-generated"),
            ("X-Auto-Response-Suppress", "All"),
        ];
        if self.is_urgent {
            headers.extend([("Importance", "high"), ("X-Priority", "1")]);
        }
        for (name, value) in headers {
            let name = HeaderName::new_from_ascii(name.to_owned()).map_err(|error| error.to_string())?;
            builder = builder.raw_header(HeaderValue::new(name, value.to_owned()));
        }
        let text = text(self.message);
        let mail = match self.form {
            Form::Full => {
                builder.multipart(MultiPart::alternative_plain_html(text, html::page(self.message)))
            }
            Form::Plain => builder.singlepart(SinglePart::plain(text)),
        };
        mail.map_err(|error| format!("the mail cannot be written: {error}"))
    }
}

/// The message as lines of text.
pub(super) fn text(message: &Message) -> String {
    let mut blocks = vec![message.title.clone(), message.lead.clone()];
    let field = |name: &str, value: String| format!("{name}: {value}");
    let fields = message.fields.iter();
    let fields: Vec<String> = fields
        .map(|entry| field(&entry.name, phrases::value(message, &entry.value)))
        .collect();
    blocks.push(fields.join("\n"));
    if !message.trends.is_empty() {
        let lines = message
            .trends
            .iter()
            .map(|trend| format!("{}  {}", trend.line, trend.name));
        let lines: Vec<String> = std::iter::once(message.trends_title.clone())
            .chain(lines)
            .collect();
        blocks.push(lines.join("\n"));
    }
    blocks.extend(
        message
            .items
            .iter()
            .map(|item| format!("- {}\n  {}", item.title, item.lead).trim_end().to_owned()),
    );
    if message.more > 0 {
        blocks.push(phrases::more(message, message.more));
    }
    let links: Vec<String> = message
        .links
        .iter()
        .map(|link| format!("{}: {}", link.label, link.url))
        .collect();
    blocks.push(links.join("\n"));
    blocks.push(footer(message));
    blocks.retain(|block| !block.is_empty());
    blocks.join("\n\n")
}

/// Where it comes from, what it is known by, and when it was.
pub(super) fn footer(message: &Message) -> String {
    format!(
        "tautline · {} · {} · {} {}",
        message.id,
        message.kind,
        phrases::event_time(message),
        phrases::at(message, message.event_time)
    )
}
