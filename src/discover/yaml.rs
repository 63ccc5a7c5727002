//! The guesses as a file of the catalogue: what the loader reads, with the reasons as comments.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::Sample;
use super::guess::{Guess, MetricGuess, Reasoned};
use crate::catalog::{Format, Layout};

/// Longest comment, in characters.
const MAX_COMMENT: usize = 220;
/// Paths that were left out and are listed.
const MAX_LEFT_OUT: usize = 40;

/// Writes the file. `usable`: what reading the sample back with it brought, when that is known.
pub(super) fn write(
    sample: &Sample,
    guess: &Guess,
    usable: Option<(usize, &BTreeMap<&'static str, usize>)>,
) -> String {
    let mut out = String::new();
    head(&mut out, sample, guess, usable);
    source(&mut out, sample, guess);
    out.push_str("\nmetrics:\n");
    for metric in &guess.metrics {
        line(&mut out, 2, &format!("# {}", comment(&metric.why)));
        line(&mut out, 2, &self::metric(&guess.source, metric));
    }
    next(&mut out, guess);
    out
}

fn head(
    out: &mut String,
    sample: &Sample,
    guess: &Guess,
    usable: Option<(usize, &BTreeMap<&'static str, usize>)>,
) {
    line(out, 0, &format!("# {}", comment(&sample.origin)));
    line(
        out,
        0,
        "# Guessed from a sample: read the reasons, correct names and units, and remove what nobody needs.",
    );
    if let Some((usable, rejected)) = usable {
        let whole = if rejected.is_empty() {
            format!("This source reads all {usable} events of the sample.")
        } else {
            let reasons: Vec<String> = rejected
                .iter()
                .map(|(reason, n)| format!("{reason}: {n}"))
                .collect();
            format!(
                "This source reads {usable} events of the sample; it would reject {} ({}).",
                rejected.values().sum::<usize>(),
                reasons.join(", ")
            )
        };
        line(out, 0, &format!("# {whole}"));
    }
    for note in &guess.notes {
        line(out, 0, &format!("# {}", comment(note)));
    }
}

fn source(out: &mut String, sample: &Sample, guess: &Guess) {
    out.push_str("\nsources:\n");
    line(out, 2, &format!("{}:", scalar(&guess.source)));
    line(out, 4, &format!("topics: [{}]", scalar(&sample.topic)));
    let format = match guess.format.value {
        Format::CloudEvents => "cloudevents",
        Format::Debezium => "debezium",
        Format::Avro => "avro",
        Format::Json => "json",
    };
    line(
        out,
        4,
        &format!("format: {format}  # {}", comment(&guess.format.why)),
    );
    match guess.layout {
        Layout::Single => {}
        Layout::Lines => line(out, 4, "payload: lines"),
        Layout::Array => line(out, 4, "payload: array"),
    }
    path(out, "time", &guess.time);
    path(out, "id", &guess.id);
    if guess.id.value.is_some() {
        line(out, 4, "dedup: 7d");
    }
    if guess.fields.is_empty() {
        line(out, 4, "fields: {}");
    } else {
        line(out, 4, "fields:");
    }
    for field in &guess.fields {
        let entry = format!(
            "{}: {{path: {}, type: {}}}  # {}",
            scalar(&field.name),
            scalar(&field.path),
            field.r#type.as_str(),
            comment(&field.why)
        );
        line(out, 6, &entry);
    }
    for left in guess.left_out.iter().take(MAX_LEFT_OUT) {
        line(
            out,
            6,
            &format!("# left out: {}: {}", comment(&left.value), comment(&left.why)),
        );
    }
    if let Some(more) = guess
        .left_out
        .len()
        .checked_sub(MAX_LEFT_OUT)
        .filter(|more| *more > 0)
    {
        line(out, 6, &format!("# left out: {more} more"));
    }
}

fn path(out: &mut String, key: &str, guess: &Reasoned<Option<String>>) {
    let why = comment(&guess.why);
    match &guess.value {
        Some(path) => line(out, 4, &format!("{key}: {}  # {why}", scalar(path))),
        None => line(out, 4, &format!("# {key}: {why}")),
    }
}

fn metric(source: &str, metric: &MetricGuess) -> String {
    let mut text = format!(
        "{}: {{source: {}, agg: {}",
        scalar(&metric.name),
        scalar(source),
        metric.agg
    );
    let parts = [
        ("expr", &metric.expr),
        ("filter", &metric.filter),
        ("unit", &metric.unit),
    ];
    for (key, value) in parts {
        if let Some(value) = value {
            // Writing to a String does not fail.
            let _ = write!(text, ", {key}: {}", scalar(value));
        }
    }
    if !metric.dimensions.is_empty() {
        let names: Vec<String> = metric.dimensions.iter().map(|name| scalar(name)).collect();
        let _ = write!(text, ", dimensions: [{}]", names.join(", "));
    }
    text.push('}');
    text
}

/// What to do with it.
fn next(out: &mut String, guess: &Guess) {
    let Some(metric) = guess
        .metrics
        .iter()
        .find(|metric| metric.agg == "sum")
        .or(guess.metrics.first())
    else {
        return;
    };
    let name = scalar(&metric.name);
    out.push_str("\n# Only what a node uses is counted. Say what the business wants, for example:\n");
    out.push_str("# nodes:\n");
    out.push_str(&format!(
        "#   {name}: {{metric: {name}, role: business, period: month, target: 1_000_000, owner: somebody}}\n"
    ));
}

fn line(out: &mut String, indent: usize, text: &str) {
    out.extend(std::iter::repeat_n(' ', indent));
    out.push_str(text);
    out.push('\n');
}

/// A text as a comment: on one line, printable, and not too long.
fn comment(text: &str) -> String {
    let printable = |c: char| if is_printable(c) { c } else { '\u{fffd}' };
    let mut short: String = text.chars().take(MAX_COMMENT).map(printable).collect();
    if text.chars().count() > MAX_COMMENT {
        short.push('…');
    }
    short
}

/// What YAML allows in a file, without line breaks and what hides: controls, marks of direction and order.
fn is_printable(c: char) -> bool {
    let hidden =
        matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    let no_character = (c as u32) & 0xFFFE == 0xFFFE || matches!(c, '\u{e000}'..='\u{f8ff}');
    !c.is_control() && !hidden && !no_character
}

/// A text as a scalar of YAML: plain where nothing can go wrong, else quoted.
fn scalar(text: &str) -> String {
    const WORDS: [&str; 12] = [
        "y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf", "infinity",
    ];
    let first = text.chars().next();
    let starts = first.is_some_and(|c| c == '_' || c.is_alphabetic());
    let inside =
        |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | ' ' | '=' | '"' | '!' | '/' | '&');
    let plain = starts
        && text.chars().all(inside)
        && !text.ends_with(' ')
        && !WORDS.contains(&text.to_lowercase().as_str());
    if plain {
        return text.to_owned();
    }
    if text.chars().all(is_printable) {
        return format!("'{}'", text.replace('\'', "''"));
    }
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if is_printable(c) => out.push(c),
            c => {
                let _ = write!(out, "\\U{:08x}", c as u32);
            }
        }
    }
    out.push('"');
    out
}
