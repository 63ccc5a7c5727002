//! What can be measured: events by kind, money by kind and currency, quantities, durations, and who came.

use std::collections::BTreeMap;

use serde_json::Value;

use super::words::{self, any};
use super::{FieldGuess, Kind, MetricGuess, Role, free, per_cent, slug};
use crate::catalog::Format;
use crate::discover::observe::{Observed, Row};

/// Metrics that are written: more than anybody reads.
const MAX_METRICS: usize = 30;
/// Kinds of event that get metrics of their own.
const MAX_KINDS: usize = 8;
/// Fields that a metric is broken down by.
const MAX_DIMENSIONS: usize = 8;
/// Fields of which the different values are counted.
const MAX_KEYS: usize = 3;

/// Events of one kind.
struct Class<'o> {
    /// The value of the field that says the kind; `None`: all events.
    kind: Option<&'o str>,
    rows: Vec<&'o Row>,
}

struct Writer<'g> {
    source: &'g str,
    kind: Option<&'g FieldGuess>,
    dimensions: Vec<String>,
    retracts: bool,
    metrics: Vec<MetricGuess>,
    beyond: usize,
}

/// Metrics that suit the fields.
pub(super) fn metrics(
    source: &str,
    observed: &Observed,
    fields: &[FieldGuess],
    notes: &mut Vec<String>,
) -> Vec<MetricGuess> {
    let kind = fields.iter().find(|field| field.role == Role::Kind);
    let mut breaking: Vec<&FieldGuess> = fields
        .iter()
        .filter(|field| field.role == Role::Dimension)
        .collect();
    breaking.sort_by_key(|field| field.missing * 2 > observed.rows.len());
    let mut writer = Writer {
        source,
        kind,
        dimensions: breaking
            .iter()
            .take(MAX_DIMENSIONS)
            .map(|field| field.name.clone())
            .collect(),
        retracts: observed.format == Format::Debezium,
        metrics: Vec::new(),
        beyond: 0,
    };
    let classes = classes(observed, kind, notes);
    for class in &classes {
        writer.count(class, observed.rows.len());
    }
    for field in fields {
        for class in &classes {
            writer.number(field, class, fields);
        }
    }
    writer.keys(fields);
    if writer.beyond > 0 {
        notes.push(format!(
            "{} more metrics could be made in the same way",
            writer.beyond
        ));
    }
    writer.metrics
}

/// The events by kind, the frequent kinds first.
fn classes<'o>(observed: &'o Observed, kind: Option<&FieldGuess>, notes: &mut Vec<String>) -> Vec<Class<'o>> {
    let Some(kind) = kind else {
        return vec![Class {
            kind: None,
            rows: observed.rows.iter().collect(),
        }];
    };
    let mut by_kind: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    let mut numbers: BTreeMap<String, Vec<&Row>> = BTreeMap::new();
    for row in &observed.rows {
        match row.at(&kind.keys) {
            Some(Value::String(text)) => by_kind.entry(text).or_default().push(row),
            Some(Value::Number(number)) => numbers.entry(number.to_string()).or_default().push(row),
            _ => {}
        }
    }
    // Kinds as numbers have no text of their own in the events; the values seen have.
    let seen = observed.paths.iter().find(|(keys, _)| *keys == kind.keys);
    for (number, rows) in numbers {
        let text = seen.and_then(|(_, values)| values.counts.get_key_value(&number));
        if let Some((text, _)) = text {
            by_kind.entry(text).or_default().extend(rows);
        }
    }
    let mut classes: Vec<Class<'o>> = by_kind
        .into_iter()
        .map(|(kind, rows)| Class {
            kind: Some(kind),
            rows,
        })
        .collect();
    classes.sort_by_key(|class| std::cmp::Reverse(class.rows.len()));
    if classes.len() > MAX_KINDS {
        notes.push(format!(
            "'{}' has {} values; the {MAX_KINDS} most frequent have metrics of their own",
            kind.name,
            classes.len()
        ));
        classes.truncate(MAX_KINDS);
    }
    classes
}

impl Writer<'_> {
    /// How many events of a kind.
    fn count(&mut self, class: &Class<'_>, all: usize) {
        let (name, why) = match class.kind {
            None => (self.source.to_owned(), "every event counts".to_owned()),
            Some(value) => (
                self.name_of_kind(value),
                format!("{} of events", per_cent(class.rows.len(), all)),
            ),
        };
        let filter = self.filter_of(class);
        self.push(name, "count", None, filter, None, why);
    }

    /// `order.paid` of source `orders` is `order_paid`, and `paid` is `orders_paid`.
    fn name_of_kind(&self, value: &str) -> String {
        let parts: Vec<&str> = value.rsplit(['.', '/', ':']).take(2).collect();
        let short: Vec<String> = parts.iter().rev().map(|part| slug(part)).collect();
        let name = short.join("_").trim_matches('_').to_owned();
        let stem = self.source.trim_end_matches('s');
        if name.is_empty() || !name.contains(stem) {
            format!("{}_{name}", self.source).trim_end_matches('_').to_owned()
        } else {
            name
        }
    }

    fn filter_of(&self, class: &Class<'_>) -> Option<String> {
        let kind = self.kind?;
        class
            .kind
            .map(|value| format!("{} == {}", kind.name, quoted(value)))
    }

    /// Metrics of a field that is a number.
    fn number(&mut self, field: &FieldGuess, class: &Class<'_>, fields: &[FieldGuess]) {
        let having: Vec<&Row> = class
            .rows
            .iter()
            .copied()
            .filter(|row| row.at(&field.keys).is_some())
            .collect();
        if field.r#type != Kind::Number || having.is_empty() {
            return;
        }
        // An event that lacks the field would be rejected whole: the filter leaves it to the other metrics.
        let present = (having.len() < class.rows.len()).then(|| format!("{} != null", field.name));
        let mut filters: Vec<String> = self.filter_of(class).into_iter().chain(present).collect();
        let suffix = class
            .kind
            .map(|value| slug(value.rsplit(['.', '/', ':']).next().unwrap_or(value)));
        let name = match suffix.filter(|suffix| !suffix.is_empty()) {
            Some(suffix) => format!("{}_{suffix}", field.name),
            None => field.name.clone(),
        };
        let own = |filters: &[String]| (!filters.is_empty()).then(|| filters.join(" && "));
        match &field.role {
            Role::Money { unit, level } => {
                let agg = if *level { "avg" } else { "sum" };
                let Some(currency) = currency_beside(field, fields).filter(|_| unit.is_none()) else {
                    let why = match unit {
                        Some(unit) if unit.ends_with("cents") => {
                            format!("money, in {unit}: hundredths, if the name says so rightly")
                        }
                        Some(unit) => format!("money; {unit} by the field's name"),
                        None => "money; no field says the currency: add unit: CNY, or what it is".to_owned(),
                    };
                    return self.push(name, agg, Some(field), own(&filters), unit.clone(), why);
                };
                for (code, seen) in currencies(&having, currency) {
                    let mut filters = filters.clone();
                    filters.push(format!("{} == {}", currency.name, quoted(&code)));
                    let name = if currency.distinct > 1 {
                        format!("{name}_{}", slug(&code))
                    } else {
                        name.clone()
                    };
                    let why = format!(
                        "money in {code}, {} of these events: different currencies do not add up",
                        per_cent(seen, having.len())
                    );
                    self.push(name, agg, Some(field), own(&filters), Some(code), why);
                }
            }
            Role::Quantity => {
                let why = "a number of things adds up".to_owned();
                self.push(
                    name,
                    "sum",
                    Some(field),
                    own(&filters),
                    Some("items".to_owned()),
                    why,
                );
            }
            Role::Duration { unit } => {
                let unit = unit.clone();
                let why = "lengths of time are averaged; p90 shows the slow ones".to_owned();
                self.push(
                    format!("{name}_avg"),
                    "avg",
                    Some(field),
                    own(&filters),
                    unit.clone(),
                    why,
                );
                if !self.retracts {
                    let why = "nine of ten are shorter".to_owned();
                    self.push(
                        format!("{name}_p90"),
                        "p90",
                        Some(field),
                        own(&filters),
                        unit,
                        why,
                    );
                }
            }
            Role::Share => {
                let why = "shares and scores are averaged".to_owned();
                self.push(
                    format!("{name}_avg"),
                    "avg",
                    Some(field),
                    own(&filters),
                    Some("points".to_owned()),
                    why,
                );
            }
            Role::Number => {
                let why =
                    "a number of unknown meaning is averaged; write agg: sum if it adds up, and its unit"
                        .to_owned();
                filters.dedup();
                self.push(
                    format!("{name}_avg"),
                    "avg",
                    Some(field),
                    own(&filters),
                    None,
                    why,
                );
            }
            _ => {}
        }
    }

    /// Who came, counted once each.
    fn keys(&mut self, fields: &[FieldGuess]) {
        if self.retracts {
            return;
        }
        let is_who = |field: &FieldGuess| {
            let path: Vec<String> = field.keys.iter().flat_map(|key| words::words(key)).collect();
            any(&path, &words::WHO)
        };
        let mut keys: Vec<&FieldGuess> = fields.iter().filter(|field| field.role == Role::Key).collect();
        keys.sort_by_key(|field| !is_who(field));
        for field in keys.into_iter().take(MAX_KEYS) {
            let stem = field.name.trim_end_matches("_id").trim_end_matches("_no");
            let name = format!("{stem}_distinct");
            let why = format!(
                "{} different in the sample; a key that comes again counts once",
                field.distinct
            );
            self.push(name, "count_distinct", Some(field), None, None, why);
        }
    }

    fn push(
        &mut self,
        name: String,
        agg: &'static str,
        expr: Option<&FieldGuess>,
        filter: Option<String>,
        unit: Option<String>,
        why: String,
    ) {
        if self.metrics.len() >= MAX_METRICS {
            self.beyond += 1;
            return;
        }
        let name = free(&name, |name| {
            self.metrics.iter().any(|metric| metric.name == name)
        });
        self.metrics.push(MetricGuess {
            name,
            agg,
            expr: expr.map(|field| field.name.clone()),
            filter,
            unit,
            dimensions: self.dimensions.clone(),
            why,
        });
    }
}

/// The currency that stands beside money, or else the only one there is.
fn currency_beside<'f>(money: &FieldGuess, fields: &'f [FieldGuess]) -> Option<&'f FieldGuess> {
    let all = || fields.iter().filter(|field| field.role == Role::Currency);
    let parent = |field: &FieldGuess| field.keys[..field.keys.len() - 1].to_vec();
    all()
        .find(|field| parent(field) == parent(money))
        .or_else(|| all().min_by_key(|field| field.keys.len()))
}

/// Currencies of these events, the frequent ones first.
fn currencies(rows: &[&Row], currency: &FieldGuess) -> Vec<(String, usize)> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for code in rows.iter().filter_map(|row| row.at(&currency.keys)?.as_str()) {
        *counts.entry(code).or_default() += 1;
    }
    let mut counts: Vec<(String, usize)> = counts.into_iter().map(|(code, n)| (code.to_owned(), n)).collect();
    counts.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    counts
}

/// A text as CEL writes it.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() || !is_plain(c) => {
                let code = c as u32;
                out.push_str(&if code > 0xFFFF {
                    format!("\\U{code:08x}")
                } else {
                    format!("\\u{code:04x}")
                });
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Whether a character can stand in a file as it is.
fn is_plain(c: char) -> bool {
    c == ' ' || c.is_alphanumeric() || c.is_ascii_punctuation()
}
