//! Settings from the environment: `TAUTLINE__KAFKA__BROKERS` sets `kafka.brokers` and counts more than the file.

use super::load::one_in;
use crate::catalog::diagnostic::Diagnostics;
use crate::catalog::yaml::{Location, Number, Spanned, Tree, TreeError, Wanted};

const PREFIX: &str = "TAUTLINE";
/// Between the prefix and the keys.
const SEPARATOR: &str = "__";

/// Every variable of the environment that is a setting, with its value, in the order of their names.
///
/// # Errors
/// A value that is no text.
pub(super) fn variables() -> Result<Vec<(String, String)>, Diagnostics> {
    let mut found = Vec::new();
    for (name, value) in std::env::vars_os() {
        let Some(name) = name.into_string().ok().filter(|name| keys(name).is_some()) else {
            continue;
        };
        match value.into_string() {
            Ok(value) => found.push((name, value)),
            Err(_) => return Err(wrong(format!("{name} is no text in UTF-8"))),
        }
    }
    found.sort();
    Ok(found)
}

/// Puts variables over what a file says.
pub(super) fn overlay(tree: &mut Spanned<Tree>, variables: &[(String, String)]) {
    for (name, value) in variables {
        if let Some(keys) = keys(name) {
            set(tree, &keys, value);
        }
    }
}

/// The variable that sets what stands at a path, if there is one.
pub(super) fn variable_of(path: &[&str]) -> Option<String> {
    let wanted = name_of(path.iter().copied());
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    names.into_iter().find(|name| name.eq_ignore_ascii_case(&wanted))
}

/// A mistake that stands in no file: the variable that makes it.
pub(super) fn mistake(error: &TreeError) -> Diagnostics {
    let variable = name_of(error.path());
    wrong(match error.wanted() {
        Some(Wanted::Keys) => {
            format!("{variable} stands for several settings; set one of them, such as {variable}{SEPARATOR}…")
        }
        Some(Wanted::List) => {
            format!("{variable} is a list, and variables set no lists; write it in the settings file")
        }
        None => format!("{variable}: {error}"),
    })
}

fn wrong(message: String) -> Diagnostics {
    one_in("environment", message)
}

fn name_of<'k>(keys: impl Iterator<Item = &'k str>) -> String {
    keys.fold(PREFIX.to_owned(), |name, key| {
        format!("{name}{SEPARATOR}{}", key.to_uppercase())
    })
}

/// The keys of a variable's name, in lower case.
fn keys(name: &str) -> Option<Vec<String>> {
    let (prefix, rest) = name.split_once(SEPARATOR)?;
    let keys = rest.split(SEPARATOR).map(str::to_lowercase).collect();
    prefix.eq_ignore_ascii_case(PREFIX).then_some(keys)
}

fn set(tree: &mut Spanned<Tree>, keys: &[String], value: &str) {
    let Some((key, below)) = keys.split_first() else {
        *tree = Spanned::new(scalar(value), Location::UNKNOWN);
        return;
    };
    if !matches!(tree.value, Tree::Map(_)) {
        *tree = Spanned::new(Tree::Map(Vec::new()), Location::UNKNOWN);
    }
    if let Tree::Map(pairs) = &mut tree.value {
        let same = |(name, _): &(Spanned<String>, _)| name.value == *key;
        let alike = |(name, _): &(Spanned<String>, _)| name.value.to_lowercase() == *key;
        let known = pairs
            .iter()
            .position(same)
            .or_else(|| pairs.iter().position(alike));
        let at = known.unwrap_or_else(|| {
            pairs.push((Spanned::new(key.clone(), Location::UNKNOWN), Spanned::default()));
            pairs.len() - 1
        });
        set(&mut pairs[at].1, below, value);
    }
}

/// What a variable says: true, false, a number, or a text.
fn scalar(value: &str) -> Tree {
    match value {
        "true" => Tree::Bool(true),
        "false" => Tree::Bool(false),
        other => Number::read(other).map_or_else(|| Tree::Text(other.to_owned()), Tree::Number),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::catalog::yaml::{self, Node};

    #[derive(Deserialize, Debug, Default, PartialEq)]
    #[serde(deny_unknown_fields, default)]
    struct Of {
        name: String,
        port: u16,
        inner: Inner,
    }

    #[derive(Deserialize, Debug, Default, PartialEq)]
    #[serde(deny_unknown_fields, default)]
    struct Inner {
        on: bool,
        list: Vec<String>,
    }

    fn with(text: &str, variables: &[(&str, &str)]) -> Result<Of, String> {
        let mut tree = yaml::parse(&"f".into(), text).unwrap();
        let owned: Vec<_> = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        overlay(&mut tree, &owned);
        Of::deserialize(Node(&tree)).map_err(|error| match error.location() {
            Some(location) => error.diagnostic(&"f".into(), location).to_string(),
            None => mistake(&error).to_string(),
        })
    }

    #[test]
    fn a_variable_counts_more_than_the_file() {
        let read = with(
            "Name: a\ninner:\n".replace("Name", "name").as_str(),
            &[
                ("TAUTLINE__NAME", "007"),
                ("tautline__port", "80"),
                ("TAUTLINE__INNER__ON", "yes"),
                ("TAUTLINE_HOME", "x"),
                ("OTHER__NAME", "x"),
            ],
        );
        let expected = Of {
            name: "007".to_owned(),
            port: 80,
            inner: Inner {
                on: true,
                list: Vec::new(),
            },
        };
        assert_eq!(read, Ok(expected));
    }

    #[test]
    fn a_variable_that_does_not_fit_is_named() {
        let said = |name: &str, value: &str| with("inner: {list: [a]}", &[(name, value)]).unwrap_err();
        for (name, value, expected) in [
            ("TAUTLINE__PORT", "many", "TAUTLINE__PORT: 'many' is not a number"),
            (
                "TAUTLINE__PORT",
                "-1",
                "TAUTLINE__PORT: found -1, expected a whole number up to 65535",
            ),
            (
                "TAUTLINE__PROT",
                "1",
                "TAUTLINE__PROT: unknown key 'prot'; did you mean 'port'?",
            ),
            (
                "TAUTLINE__INNER",
                "on",
                "TAUTLINE__INNER stands for several settings; set one of them, such as TAUTLINE__INNER__…",
            ),
            (
                "TAUTLINE__INNER__LIST__0",
                "b",
                "TAUTLINE__INNER__LIST is a list, and variables set no lists; write it in the settings file",
            ),
            (
                "TAUTLINE__INNER__LIST",
                "b",
                "TAUTLINE__INNER__LIST is a list, and variables set no lists; write it in the settings file",
            ),
        ] {
            assert_eq!(said(name, value), format!("environment:1:1: {expected}"));
        }
        let of_the_file = with("port: x", &[("TAUTLINE__NAME", "a")]).unwrap_err();
        assert_eq!(of_the_file, "f:1:7: 'x' is not a number");
    }
}
