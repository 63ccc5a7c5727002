//! YAML with the place of everything: what serde gives, turned into diagnostics that people can act on.

mod tree;

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_saphyr::{Error, Location, Spanned};

use super::diagnostic::{Diagnostic, Place, nearest};

pub(crate) use tree::{Node, Tree};

/// A mapping whose keys are names that the user chose, in the order of the file, each with its place.
#[derive(Clone, Debug)]
pub(crate) struct Named<T>(pub(crate) Vec<(Spanned<String>, T)>);

impl<T> Default for Named<T> {
    fn default() -> Named<T> {
        Named(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Named<T>, D::Error> {
        struct Pairs<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Pairs<T> {
            type Value = Named<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping of names")
            }
            fn visit_unit<E>(self) -> Result<Named<T>, E> {
                Ok(Named::default())
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Named<T>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(key) = map.next_key::<Spanned<String>>()? {
                    pairs.push((key, map.next_value()?));
                }
                Ok(Named(pairs))
            }
        }
        deserializer.deserialize_map(Pairs(PhantomData))
    }
}

/// A place in a file.
pub(crate) fn place(file: &Arc<str>, location: Location) -> Place {
    let number = |n: u64| u32::try_from(n).unwrap_or(u32::MAX).max(1);
    Place {
        file: file.clone(),
        line: number(location.line()),
        column: number(location.column()),
    }
}

/// Reads a file. An empty one gives the default.
///
/// # Errors
/// The first mistake, with its place and what to write instead.
pub(crate) fn read<T: DeserializeOwned + Default>(file: &Arc<str>, text: &str) -> Result<T, Diagnostic> {
    if text
        .lines()
        .all(|line| line.trim_start().is_empty() || line.trim_start().starts_with('#'))
    {
        return Ok(T::default());
    }
    // Only true and false are booleans: `n` may be the name of a field, and `no` a country.
    let mut options = serde_saphyr::Options::default();
    options.strict_booleans = true;
    serde_saphyr::from_str_with_options(text, options).map_err(|error| diagnostic(file, text, &error))
}

fn diagnostic(file: &Arc<str>, text: &str, error: &Error) -> Diagnostic {
    let error = error.without_snippet();
    let place = place(file, error.location().unwrap_or(Location::UNKNOWN));
    let message = match error {
        Error::SerdeUnknownField { field, .. } if is_tail_of_number(text, &place, field) => {
            "a comma separates entries, also within a number: write 10000 for 10,000".to_owned()
        }
        Error::SerdeUnknownField { field, expected, .. } => unknown_key(field, expected),
        Error::SerdeUnknownVariant {
            variant, expected, ..
        } => unknown_word(variant, expected),
        Error::SerdeMissingField { field, .. } => missing_key(field),
        Error::SerdeInvalidType {
            unexpected, expected, ..
        } => format!("found {unexpected}, expected {expected}"),
        Error::DuplicateMappingKey { key: Some(key), .. } => {
            let first = first_definition(text, key, place.line);
            format!("'{key}' is defined twice in this mapping{first}; rename or remove one of them")
        }
        other => {
            let said = other.to_string();
            let line = said.lines().next().unwrap_or_default();
            let said = line.split(" at line ").next().unwrap_or(line);
            in_words(said, value_at(text, &place))
        }
    };
    Diagnostic { place, message }
}

/// What the parser says, for people who do not know its words. `value` is what stands at the place.
fn in_words(said: &str, value: &str) -> String {
    if said.starts_with("expected mapping start") {
        return format!("'{value}' is one value, and keys belong here, as in name: {{key: value}}");
    }
    if said.starts_with("invalid floating point") || said.starts_with("invalid integer") {
        let hint = match value.strip_suffix('%') {
            Some(number) => format!("; write {number}"),
            None => String::new(),
        };
        return format!("'{value}' is not a number{hint}");
    }
    if said.contains("did not find expected ','") {
        return format!(
            "{said}; a text that holds [ ] {{ }} , or : belongs in quotes, as in filter: 'region in [\"east\", \"west\"]'"
        );
    }
    said.to_owned()
}

/// The value that begins at a place: up to what ends it, on its line.
fn value_at<'t>(text: &'t str, place: &Place) -> &'t str {
    let line = text.lines().nth(place.line as usize - 1).unwrap_or_default();
    let start = line.char_indices().nth(place.column as usize - 1);
    let rest = start.map_or("", |(at, _)| &line[at..]);
    let ends = |(at, c): &(usize, char)| {
        let next = rest[at + c.len_utf8()..].chars().next();
        matches!(c, '}' | ']' | '#') || (*c == ',' && next.is_none_or(char::is_whitespace))
    };
    let end = rest.char_indices().find(ends).map_or(rest.len(), |(at, _)| at);
    rest[..end].trim().trim_matches(['"', '\''])
}

/// Whether a key is what follows a comma within a number: `10,000` in a flow mapping.
fn is_tail_of_number(text: &str, place: &Place, key: &str) -> bool {
    let line = text.lines().nth(place.line as usize - 1).unwrap_or_default();
    let before: String = line.chars().take(place.column as usize - 1).collect();
    let number = before.strip_suffix(',');
    key.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        && number.is_some_and(|number| number.ends_with(|c: char| c.is_ascii_digit()))
}

fn unknown_key(found: &str, expected: &[&str]) -> String {
    let hint = match nearest(found, expected.iter().copied()) {
        Some(near) => format!("; did you mean '{near}'?"),
        None => format!("; known are {}", expected.join(", ")),
    };
    format!("unknown key '{found}'{hint}")
}

fn unknown_word(found: &str, expected: &[&str]) -> String {
    let hint = nearest(found, expected.iter().copied())
        .map_or_else(String::new, |near| format!(" (did you mean '{near}'?)"));
    format!("'{found}' is not one of {}{hint}", expected.join(", "))
}

fn missing_key(name: &str) -> String {
    format!("the key '{name}' is missing here")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_know_their_place() {
        let named: Named<u32> =
            serde_saphyr::from_str("a: 1\nbee: {c: 2}\n".replace("{c: 2}", "2").as_str()).unwrap();
        let (key, value) = &named.0[1];
        assert_eq!(
            (
                key.value.as_str(),
                key.referenced.line(),
                key.referenced.column(),
                *value
            ),
            ("bee", 2, 1, 2)
        );
    }

    #[test]
    fn newcomers_are_told_what_to_write() {
        #[derive(Deserialize, Default, Debug)]
        #[serde(deny_unknown_fields, default)]
        struct Of {
            target: f64,
            filter: String,
            part: Named<u32>,
        }
        let file: Arc<str> = "f".into();
        let said = |text: &str| match read::<Of>(&file, text) {
            Ok(of) => format!("{} {} {:?}", of.target, of.filter, of.part),
            Err(diagnostic) => diagnostic.to_string(),
        };
        for (text, expected) in [
            (
                "{target: 10,000}",
                "f:1:13: a comma separates entries, also within a number: write 10000 for 10,000",
            ),
            (
                "{target: 30%, filter: a}",
                "f:1:10: '30%' is not a number; write 30",
            ),
            ("target: viel", "f:1:9: 'viel' is not a number"),
            (
                "filter: a\npart: 127.0.0.1:9092",
                "f:2:7: '127.0.0.1:9092' is one value, and keys belong here, as in name: {key: value}",
            ),
        ] {
            assert_eq!(said(text), expected, "{text}");
        }
        let unquoted = said("{filter: a in [\"x\", \"y\"]}");
        assert!(
            unquoted.contains("belongs in quotes, as in filter: 'region in"),
            "{unquoted}"
        );
    }

    #[test]
    fn a_key_twice_names_both_lines() {
        let file: Arc<str> = "f".into();
        let error = read::<Named<u32>>(&file, "a: 1\nb: 2\na: 3\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "f:3:1: 'a' is defined twice in this mapping, first at line 1; rename or remove one of them"
        );
    }
}
