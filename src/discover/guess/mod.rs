//! What a sample probably means: a source, its fields and metrics, each guess with its reason.
//!
//! * `words`: what names suggest. * `time`: event time and id. * `personal`: what is left out.
//! * `fields`: what each field is good for. * `metrics`: what can be measured.

mod fields;
mod metrics;
mod personal;
mod time;
mod words;

use serde::Serialize;

use super::Sample;
use super::observe::Observed;
use crate::catalog::{FieldPath, Format, Layout};

/// A guess with its reason.
#[derive(Clone, Debug, Serialize)]
pub struct Reasoned<T> {
    /// The guess.
    pub value: T,
    /// Why.
    pub why: String,
}

/// What a sample probably means.
#[derive(Clone, Debug)]
pub struct Guess {
    /// Name for the source.
    pub source: String,
    /// Format of the records.
    pub format: Reasoned<Format>,
    /// How many events a record holds.
    pub layout: Layout,
    /// Path of the event time; `None`: the record's timestamp.
    pub time: Reasoned<Option<String>>,
    /// Path of the id; `None`: copies are not looked for.
    pub id: Reasoned<Option<String>>,
    /// Fields that are of use.
    pub fields: Vec<FieldGuess>,
    /// Paths that are not, and why.
    pub left_out: Vec<Reasoned<String>>,
    /// Metrics that can be made of them.
    pub metrics: Vec<MetricGuess>,
    /// Further things worth knowing.
    pub notes: Vec<String>,
}

/// A field with what it is good for.
#[derive(Clone, Debug, Serialize)]
pub struct FieldGuess {
    /// Its name: an identifier.
    pub name: String,
    /// Where it stands, as the catalogue writes it.
    pub path: String,
    /// Its type.
    pub r#type: Kind,
    /// What it is good for.
    pub role: Role,
    /// Number of different values in the sample.
    pub distinct: usize,
    /// Events that do not have it.
    pub missing: usize,
    /// Why.
    pub why: String,
    /// The keys.
    #[serde(skip)]
    pub(super) keys: Vec<String>,
}

/// Type of a field, by the words of the catalogue.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Text.
    Text,
    /// Number.
    Number,
    /// True or false.
    Bool,
}

impl Kind {
    /// The word of the catalogue.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Text => "text",
            Kind::Number => "number",
            Kind::Bool => "bool",
        }
    }
}

/// What a field is good for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Says what kind of event it is: metrics filter by it.
    Kind,
    /// The currency of the money beside it.
    Currency,
    /// Breaks metrics down.
    Dimension,
    /// One value so far; a dimension, perhaps.
    Constant,
    /// Names somebody or something: the different ones can be counted.
    Key,
    /// Money, and its unit where a name says it.
    Money {
        /// The unit, where the name says it.
        unit: Option<String>,
        /// Of one piece or at one moment: averaged, not summed.
        level: bool,
    },
    /// A number of things.
    Quantity,
    /// A length of time, in this unit.
    Duration {
        /// The unit, where the name says it.
        unit: Option<String>,
    },
    /// A share or score: averaged.
    Share,
    /// Another number.
    Number,
}

/// A metric.
#[derive(Clone, Debug, Serialize)]
pub struct MetricGuess {
    /// Its name.
    pub name: String,
    /// The word of its aggregation.
    pub agg: &'static str,
    /// The field that it aggregates.
    pub expr: Option<String>,
    /// Its filter, in CEL.
    pub filter: Option<String>,
    /// Its unit.
    pub unit: Option<String>,
    /// Fields that break it down.
    pub dimensions: Vec<String>,
    /// Why.
    pub why: String,
}

/// Guesses. `now_ms` is the time: what lies after it is no event time.
pub fn guess(sample: &Sample, observed: &Observed, now_ms: i64) -> Guess {
    let time = time::time(observed, now_ms);
    let id = time::id(observed);
    let mut notes = Vec::new();
    let (fields, left_out) = fields::fields(observed, &time, &id, &mut notes);
    let source = source_name(&sample.topic);
    let metrics = metrics::metrics(&source, observed, &fields, &mut notes);
    Guess {
        source,
        format: format(sample, observed),
        layout: observed.layout,
        time: written(time),
        id: written(id),
        fields,
        left_out,
        metrics,
        notes,
    }
}

/// A path of keys as the catalogue writes it.
fn path_text(keys: &[String]) -> String {
    FieldPath::Payload(keys.to_vec()).to_string()
}

fn written(guess: Reasoned<Option<FieldPath>>) -> Reasoned<Option<String>> {
    Reasoned {
        value: guess.value.map(|path| path.to_string()),
        why: guess.why,
    }
}

fn format(sample: &Sample, observed: &Observed) -> Reasoned<Format> {
    let binary = sample.records.iter().any(|taken| {
        taken
            .headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("ce_specversion"))
    });
    let what = match (observed.format, observed.wrapped) {
        (Format::CloudEvents, _) if binary => "have CloudEvents attributes in their headers (binary mode)",
        (Format::CloudEvents, _) => {
            "are CloudEvents in structured mode: specversion, id, type and source are there"
        }
        (Format::Debezium, true) => {
            "are Debezium changes (op, before, after) in Connect's schema/payload wrapper"
        }
        (Format::Debezium, false) if observed.framed => {
            "are Debezium changes in Avro, in the wire format of a schema registry"
        }
        (Format::Avro, _) => "are Avro in the wire format of a schema registry",
        (Format::Debezium, false) => "are Debezium changes: op, before and after are there",
        _ => match observed.layout {
            Layout::Single => "are JSON objects",
            Layout::Lines => "are several JSON objects, one a line",
            Layout::Array => "are JSON arrays of objects",
        },
    };
    let all = sample.records.len();
    Reasoned {
        value: observed.format,
        why: format!("{} of {all} records {what}", observed.of_format),
    }
}

/// A name for the source: the last part of the topic's name.
fn source_name(topic: &str) -> String {
    let last = topic
        .rsplit(['.', '/'])
        .find(|part| part.chars().any(char::is_alphanumeric));
    let name = slug(last.unwrap_or("events"));
    if name.is_empty() {
        "events".to_owned()
    } else {
        name
    }
}

/// A text as a name: letters and digits as they are, anything else becomes one `_`.
fn slug(text: &str) -> String {
    let mut name = String::new();
    for c in text.chars() {
        if c.is_alphanumeric() {
            name.extend(c.to_lowercase().filter(|c| c.is_alphanumeric()));
        } else if !name.is_empty() && !name.ends_with('_') {
            name.push('_');
        }
    }
    name.trim_end_matches('_').chars().take(60).collect()
}

/// A name that is not taken yet.
fn free(name: &str, taken: impl Fn(&str) -> bool) -> String {
    if !taken(name) {
        return name.to_owned();
    }
    let numbered = (2u32..).map(|n| format!("{name}_{n}"));
    numbered.into_iter().find(|name| !taken(name)).unwrap_or_default()
}

/// A share of events in whole per cent, never 0 or 100 for a part.
fn per_cent(part: usize, of: usize) -> String {
    match (part, of) {
        (_, 0) => "0 %".to_owned(),
        (part, of) if part == of => "100 %".to_owned(),
        (0, _) => "0 %".to_owned(),
        (part, of) => {
            let share = (part as f64 * 100.0 / of as f64).round().clamp(1.0, 99.0);
            format!("{share:.0} %")
        }
    }
}
