//! From a text to a [`Tree`]: the only part that knows the YAML library.

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Error, NonFiniteFloatPolicy, Options, Spanned as Read};

use super::spanned::{Location, Spanned};
use super::tree::{Number, Tree};
use crate::catalog::diagnostic::Diagnostic;

/// Reads a document. An empty one is [`Tree::Null`].
///
/// # Errors
/// Where the text is no YAML, or has a key twice: the first such place, and what to write instead.
pub(crate) fn parse(file: &Arc<str>, text: &str) -> Result<Spanned<Tree>, Diagnostic> {
    let is_nothing = |line: &str| line.trim_start().is_empty() || line.trim_start().starts_with('#');
    if text.lines().all(is_nothing) {
        return Ok(Spanned::default());
    }
    let text = text.trim_start_matches('\u{feff}');
    // Only true and false are booleans: `n` may be the name of a field, and `no` a country.
    let mut options = Options::default();
    options.strict_booleans = true;
    // 8e93041 may be a commit: what is no number that fits is one where a number is wanted.
    options.non_finite_float_policy = NonFiniteFloatPolicy::PassThrough;
    let read: Read<Raw> =
        serde_saphyr::from_str_with_options(text, options).map_err(|error| diagnostic(file, text, &error))?;
    Ok(tree(text, read))
}

/// What the library makes of a document; how a scalar is written is told by its span.
enum Raw {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Read<Raw>>),
    Map(Vec<(Read<String>, Read<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Raw, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Raw;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }
            fn visit_bool<E>(self, truth: bool) -> Result<Raw, E> {
                Ok(Raw::Bool(truth))
            }
            fn visit_i64<E>(self, number: i64) -> Result<Raw, E> {
                Ok(Raw::Int(number))
            }
            fn visit_u64<E>(self, number: u64) -> Result<Raw, E> {
                Ok(i64::try_from(number).map_or(Raw::Float(number as f64), Raw::Int))
            }
            fn visit_f64<E>(self, number: f64) -> Result<Raw, E> {
                Ok(Raw::Float(number))
            }
            fn visit_str<E>(self, text: &str) -> Result<Raw, E> {
                Ok(Raw::Text(text.to_owned()))
            }
            fn visit_unit<E>(self) -> Result<Raw, E> {
                Ok(Raw::Null)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Raw, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Raw::List(items))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
                let mut pairs = Vec::new();
                while let Some(key) = map.next_key()? {
                    pairs.push((key, map.next_value()?));
                }
                Ok(Raw::Map(pairs))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

fn tree(text: &str, read: Read<Raw>) -> Spanned<Tree> {
    let location = location(read.referenced);
    // Where an alias stands, its name is written; the value is written where it is defined.
    let written = || {
        let (start, length) = (
            read.defined.span().byte_offset()?,
            read.defined.span().byte_len()?,
        );
        let start = usize::try_from(start).ok()?;
        let written = text.get(start..start + usize::try_from(length).ok()?)?;
        Some(written.trim())
    };
    let value = match read.value {
        Raw::Null => Tree::Null,
        Raw::Bool(truth) => match written() {
            // Where a text is wanted, it is as it is written.
            Some(text) if text != truth.to_string() => Tree::Text(text.to_owned()),
            _ => Tree::Bool(truth),
        },
        Raw::Int(number) => Tree::Number(Number::whole(number).written(written())),
        Raw::Float(number) => Tree::Number(Number::from(number).written(written())),
        Raw::Text(text) => Tree::Text(text),
        Raw::List(items) => Tree::List(items.into_iter().map(|item| tree(text, item)).collect()),
        Raw::Map(pairs) => Tree::Map(
            pairs
                .into_iter()
                .map(|(key, value)| {
                    (
                        Spanned::new(key.value, self::location(key.referenced)),
                        tree(text, value),
                    )
                })
                .collect(),
        ),
    };
    Spanned::new(value, location)
}

fn location(location: serde_saphyr::Location) -> Location {
    let number = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    Location {
        line: number(location.line()),
        column: number(location.column()),
    }
}

fn diagnostic(file: &Arc<str>, text: &str, error: &Error) -> Diagnostic {
    let error = error.without_snippet();
    let place = super::place(file, error.location().map_or(Location::UNKNOWN, location));
    let message = match error {
        Error::DuplicateMappingKey { key: Some(key), .. } => {
            let first = first_definition(text, key, place.line);
            format!("'{key}' is defined twice in this mapping{first}; rename or remove one of them")
        }
        other => {
            let said = other.to_string();
            let line = said.lines().next().unwrap_or_default();
            let said = line.split(" at line ").next().unwrap_or(line);
            match said.contains("did not find expected ','") {
                true => format!(
                    "{said}; a text that holds [ ] {{ }} , or : belongs in quotes, as in filter: 'region in [\"east\", \"west\"]'"
                ),
                false => said.to_owned(),
            }
        }
    };
    Diagnostic { place, message }
}

/// Where the other definition stands: the nearest line above with the same key at the same depth.
fn first_definition(text: &str, key: &str, line: u32) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let second = (line as usize).saturating_sub(1);
    let depth = |line: &str| line.len() - line.trim_start().len();
    let is_it = |candidate: &&usize| {
        let line = lines[**candidate];
        let written = line.trim_start().trim_start_matches(['"', '\'']);
        written
            .strip_prefix(key)
            .is_some_and(|rest| rest.trim_start_matches(['"', '\'']).trim_start().starts_with(':'))
            && lines
                .get(second)
                .is_some_and(|second| depth(second) == depth(line))
    };
    let above: Vec<usize> = (0..second.min(lines.len())).rev().collect();
    above
        .iter()
        .find(is_it)
        .map_or_else(String::new, |first| format!(", first at line {}", first + 1))
}
