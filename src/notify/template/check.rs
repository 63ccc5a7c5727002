//! Whether a template can be used: looked at where it is written, and tried on every kind of alert.

use jiff::Timestamp;
use minijinja::{Environment, ErrorKind};

use super::{environment, fields, rendered};
use crate::alert::notice::{Ack, Notice, NoticeKind, ResolveReason};
use crate::alert::record::{Facts, Figure, ItemFacts, Labels, SourceFacts};
use crate::catalog::Severity;
use crate::catalog::diagnostic::nearest;
use crate::notify::message::{Message, Reader};
use crate::words::Language;

/// Bytes of a template.
const SOURCE: usize = 4000;

/// Whether a template can be used; says what is wrong with it, and what to write instead.
///
/// # Errors
/// Its syntax, a field, a filter or a test that there is not, wherever it stands, or what goes wrong with it for an alert
/// of any kind about any thing, in any language.
pub(crate) fn check(source: &str) -> Result<(), String> {
    if source.len() > SOURCE {
        return Err(format!(
            "a template of more than {SOURCE} bytes is no wording of a message"
        ));
    }
    let environment = environment();
    let template = environment
        .template_from_str(source)
        .map_err(|error| told(&error))?;
    let known = names();
    let mut used: Vec<String> = template.undeclared_variables(true).into_iter().collect();
    used.sort();
    for name in used {
        let is_known = known.contains(&name)
            || name.starts_with("labels.")
            || environment.globals().any(|(global, _)| name == global);
        if !is_known {
            let hint = match nearest(&name, known.iter().map(String::as_str)) {
                Some(near) => format!("did you mean '{near}'?"),
                None => format!("there are {}", known.join(", ")),
            };
            return Err(format!("there is no field '{name}'; {hint}"));
        }
    }
    // These are looked for when they are needed, which may be in a branch that no sample takes.
    for (kind, name) in applied(source) {
        if let Some(error) = unknown(&environment, kind, name) {
            return Err(told(&error));
        }
    }
    for notice in samples() {
        for (language, page) in [
            (Language::En, None),
            (Language::Zh, Some("https://tautline.example")),
        ] {
            let message = sample_message(&notice, language, page);
            rendered(source, &notice, &message).map_err(|error| told(&error))?;
        }
    }
    Ok(())
}

/// Why a filter or a test is not there; `None` where it is.
fn unknown(environment: &Environment<'_>, kind: &str, name: &str) -> Option<minijinja::Error> {
    let (used, expected) = match kind {
        "filter" => (format!("{{{{ none | {name} }}}}"), ErrorKind::UnknownFilter),
        _ => (format!("{{{{ none is {name} }}}}"), ErrorKind::UnknownTest),
    };
    let said = environment.render_str(&used, ());
    said.err().filter(|error| error.kind() == expected)
}

/// Filters and tests that a template applies, in all of its branches: names behind `|` and `is`, outside of text.
fn applied(source: &str) -> Vec<(&'static str, &str)> {
    let mut found = Vec::new();
    let mut rest = source;
    while let Some((begin, end)) = next_block(rest) {
        let block = &rest[begin..end];
        rest = &rest[end..];
        let inner = block
            .get(2..)
            .unwrap_or_default()
            .trim_start_matches(['-', '+'])
            .trim_start();
        match block.get(..2) {
            Some("{#") => {}
            Some("{%") if inner.starts_with("raw") => {
                rest = rest.split_once("endraw").map_or("", |(_, behind)| behind);
            }
            _ => in_code(inner, &mut found),
        }
    }
    found
}

/// Where the next `{{ … }}`, `{% … %}` or `{# … #}` begins and ends.
fn next_block(text: &str) -> Option<(usize, usize)> {
    let marks = [("{{", "}}"), ("{%", "%}"), ("{#", "#}")];
    let begins = marks.map(|(open, close)| text.find(open).map(|at| (at, close)));
    let (begin, close) = begins.into_iter().flatten().min_by_key(|(at, _)| *at)?;
    let mut at = begin + 2;
    while let Some(char) = text[at..].chars().next() {
        if text[at..].starts_with(close) {
            return Some((begin, at + 2));
        }
        let is_text = matches!(char, '"' | '\'') && close != "#}";
        at += if is_text {
            end_of_text(&text[at..])
        } else {
            char.len_utf8()
        };
    }
    None
}

/// Bytes of a text in quotes at the beginning, with its quotes.
fn end_of_text(quoted: &str) -> usize {
    let quote = quoted.chars().next();
    let mut is_escaped = false;
    for (at, char) in quoted.char_indices().skip(1) {
        match char {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            char if Some(char) == quote => return at + 1,
            _ => {}
        }
    }
    quoted.len()
}

fn in_code<'s>(code: &'s str, found: &mut Vec<(&'static str, &'s str)>) {
    let is_of_name = |char: char| char.is_alphanumeric() || char == '_';
    let (mut rest, mut before) = (code, "");
    while let Some(char) = rest.chars().next() {
        let length = if is_of_name(char) {
            rest.find(|char| !is_of_name(char)).unwrap_or(rest.len())
        } else if matches!(char, '"' | '\'') {
            end_of_text(rest)
        } else {
            char.len_utf8()
        };
        let (token, behind) = rest.split_at(length);
        rest = behind;
        if token.trim().is_empty() {
            continue;
        }
        let is_name = token.starts_with(|char: char| char.is_alphabetic() || char == '_');
        match before {
            // `{% filter upper %}` is as good as a bar.
            "|" | "filter" if is_name => found.push(("filter", token)),
            "is" if token == "not" => continue,
            "is" if is_name => found.push(("test", token)),
            _ => {}
        }
        before = token;
    }
}

fn told(error: &minijinja::Error) -> String {
    let what = match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    };
    match error.line() {
        Some(line) if line > 1 => format!("{what} (line {line} of the template)"),
        _ => what,
    }
}

/// Every name that a template may use, from what templates are given, so that the two cannot differ.
fn names() -> Vec<String> {
    let notice = Notice::blank("sample", "sample", Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH);
    let message = sample_message(&notice, Language::En, None);
    let all = serde_json::to_value(fields(&notice, &message)).unwrap_or_default();
    let mut names = Vec::new();
    for (name, value) in all.as_object().into_iter().flatten() {
        names.push(name.clone());
        let inner = value.as_object().filter(|_| name != "labels");
        names.extend(
            inner
                .into_iter()
                .flatten()
                .map(|(inner, _)| format!("{name}.{inner}")),
        );
    }
    names
}

fn sample_message(notice: &Notice, language: Language, page: Option<&str>) -> Message {
    let reader = Reader {
        language,
        page,
        ..Reader::default()
    };
    Message::of(std::slice::from_ref(notice), &reader)
}

/// Every kind of notice about everything that an alert is about, at every end that there is, taken by somebody and not.
fn samples() -> Vec<Notice> {
    use NoticeKind::{Acked, Correction, DeEscalated, Escalated, Fired, Repeat, Resolved};
    let now = Timestamp::UNIX_EPOCH;
    let begins = [Fired, Escalated, DeEscalated, Repeat, Acked, Correction].map(|kind| (kind, None));
    let ends = REASONS.map(|reason| (Resolved, Some(reason)));
    let mut samples = Vec::new();
    for (facts, labels) in subjects() {
        for (kind, reason) in begins.iter().chain(&ends).copied() {
            let is_over = kind == Resolved;
            let notice = Notice {
                kind,
                reason,
                alert_kind: "sample".to_owned(),
                facts: facts.clone(),
                labels: labels.clone(),
                facts_at_firing: is_over.then(|| facts.clone()),
                peak: is_over.then(|| facts.clone()),
                ..Notice::blank("sample", "sample", now, now)
            };
            let taken = Notice {
                severity: Severity::CRITICAL,
                ack: Some(Ack {
                    by: "Sample".to_owned(),
                    at: now,
                    comment: String::new(),
                    until: now,
                    severity: None,
                }),
                ..notice.clone()
            };
            samples.extend([notice, taken]);
        }
    }
    samples
}

/// What an alert is about, with its labels: a link, a node of which all is known, one of which little is, an item, a
/// source, and something of which nothing is known.
fn subjects() -> Vec<(Facts, Labels)> {
    let little = Figure {
        title: "Sample".to_owned(),
        value: Some(41.0),
        target: Some(100.0),
        completion: Some(0.41),
        ..Figure::default()
    };
    let known = Figure {
        owner: Some("Sample".to_owned()),
        unit: Some("CNY".to_owned()),
        period: "2026-06".to_owned(),
        expected_share: Some(0.5),
        pace: Some(0.82),
        forecast: Some(80.0),
        target_probability: Some(0.1),
        ..little.clone()
    };
    let labels = |pairs: &[(&str, &str)]| -> Labels {
        let pairs = pairs.iter().chain(&[("alertname", "sample")]);
        pairs
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    };
    let node = |figure: &Figure| Facts {
        node: Some(figure.clone()),
        ..Facts::default()
    };
    let of_node = [("node", "sample"), ("period", "2026-06"), ("owner", "sample")];
    vec![
        (
            Facts {
                parent: Some(little.clone()),
                ..node(&little)
            },
            labels(&[("node", "sample"), ("parent", "sample"), ("period", "2026-06")]),
        ),
        (node(&little), labels(&of_node)),
        (
            Facts {
                parent: Some(known.clone()),
                ..node(&known)
            },
            labels(&of_node),
        ),
        (
            Facts {
                item: Some(ItemFacts {
                    name: "sample".to_owned(),
                    ..ItemFacts::default()
                }),
                ..Facts::default()
            },
            labels(&[("node", "sample"), ("item", "sample")]),
        ),
        (
            Facts {
                source: Some(SourceFacts {
                    name: "sample".to_owned(),
                    ..SourceFacts::default()
                }),
                ..Facts::default()
            },
            labels(&[("source", "sample")]),
        ),
        (Facts::default(), Labels::new()),
    ]
}

/// Why an episode can end.
const REASONS: [ResolveReason; 7] = [
    ResolveReason::Recovered,
    ResolveReason::PeriodClosed,
    ResolveReason::RuleDeleted,
    ResolveReason::Paused,
    ResolveReason::NoData,
    ResolveReason::Updated,
    ResolveReason::SourceGone,
];
