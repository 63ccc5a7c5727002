//! YAML with the place of everything. One way for all that people write: a text becomes a [`Tree`] ([`parse`]), and
//! types are read from the tree ([`Node`]), with diagnostics that people can act on.

mod node;
mod parse;
mod spanned;
mod tree;

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};

use super::diagnostic::{Diagnostic, Place};

pub(crate) use node::{Node, TreeError, Wanted};
pub(crate) use parse::parse;
pub(crate) use spanned::{Location, Spanned, Written};
pub(crate) use tree::{Number, Tree};

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
    Place {
        file: file.clone(),
        line: location.line.max(1),
        column: location.column.max(1),
    }
}

/// Reads a file. An empty one is an empty mapping.
///
/// # Errors
/// The first mistake, with its place and what to write instead.
pub(crate) fn read<T: DeserializeOwned>(file: &Arc<str>, text: &str) -> Result<T, Diagnostic> {
    let tree = parse(file, text)?;
    T::deserialize(Node(&tree)).map_err(|error| diagnostic(error, file, text))
}

/// A mistake in a tree that was read from a text.
pub(crate) fn diagnostic(error: TreeError, file: &Arc<str>, text: &str) -> Diagnostic {
    let unknown = error.unknown_key().map(str::to_owned);
    let mut diagnostic = error.diagnostic(file, Location::UNKNOWN);
    if unknown.is_some_and(|key| is_tail_of_number(text, &diagnostic.place, &key)) {
        diagnostic.message =
            "a comma separates entries, also within a number: write 10000 for 10,000".to_owned();
    }
    diagnostic
}

/// Whether a key is what follows a comma within a number: `10,000` in a flow mapping.
fn is_tail_of_number(text: &str, place: &Place, key: &str) -> bool {
    let line = text.lines().nth(place.line as usize - 1).unwrap_or_default();
    let before: String = line.chars().take(place.column as usize - 1).collect();
    let number = before.strip_suffix(',');
    key.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        && number.is_some_and(|number| number.ends_with(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_know_their_place() {
        let named: Named<u32> = read(&"f".into(), "a: 1\nbee: 2\n").unwrap();
        let (key, value) = &named.0[1];
        assert_eq!(
            (key.value.as_str(), key.location.line, key.location.column, *value),
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
                "f:2:7: one value stands here, and keys belong here, as in name: {key: value}",
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

    fn tree(text: &str) -> Spanned<Tree> {
        parse(&"f".into(), text).unwrap()
    }

    #[test]
    fn a_tree_finds_the_deepest_key() {
        let tree = tree("kafka: {brokers: x}\nreceivers:\n  ops:\n    slack: [1, {a: b}]\n").value;
        let file: Arc<str> = "f".into();
        let at = |path: &[&str]| tree.place(&file, path).to_string();
        assert_eq!(at(&["kafka", "brokers"]), "f:1:18");
        assert_eq!(at(&["receivers", "ops", "slack", "0"]), "f:4:13");
        assert_eq!(at(&["receivers", "ops", "slack", "1", "b"]), "f:4:16");
        assert_eq!(at(&["receivers", "ops", "url"]), "f:3:3");
        assert_eq!(at(&["nothing"]), "f:1:1");
    }

    #[derive(Deserialize, Debug)]
    #[serde(deny_unknown_fields)]
    struct Thing {
        name: Spanned<String>,
        #[serde(default)]
        many: Vec<Spanned<f64>>,
        word: Option<Word>,
    }

    #[derive(Deserialize, Debug, PartialEq)]
    #[serde(rename_all = "lowercase")]
    enum Word {
        Early,
        Late,
    }

    #[test]
    fn types_read_from_a_tree_know_their_places() {
        let tree = tree("name: 2026\nmany: [1, 2.5]\nword: early\n");
        let thing = Thing::deserialize(Node(&tree)).unwrap();
        assert_eq!((thing.name.value.as_str(), thing.name.location.line), ("2026", 1));
        assert_eq!(
            thing
                .many
                .iter()
                .map(|n| (n.value, n.location.column))
                .collect::<Vec<_>>(),
            [(1.0, 8), (2.5, 11)]
        );
        assert_eq!(thing.word, Some(Word::Early));
    }

    #[test]
    fn mistakes_in_a_tree_are_told_as_those_in_a_file() {
        let said = |text: &str| {
            let tree = tree(text);
            let error = Thing::deserialize(Node(&tree)).unwrap_err();
            error.diagnostic(&"f".into(), tree.location).to_string()
        };
        assert_eq!(
            said("name: a\nnmae: b\n"),
            "f:2:1: unknown key 'nmae'; did you mean 'name'?"
        );
        assert_eq!(said("many: []\n"), "f:1:1: the key 'name' is missing here");
        assert_eq!(
            said("{name: a, word: maybe}\n"),
            "f:1:17: 'maybe' is not one of early, late"
        );
        assert_eq!(said("name: a\nmany: [b]\n"), "f:2:8: 'b' is not a number");
    }

    #[test]
    fn a_number_is_a_text_as_it_is_written() {
        let names = |text: &str| -> Vec<String> {
            let named: Named<String> = read(&"f".into(), text).unwrap();
            named.0.into_iter().map(|(_, value)| value).collect()
        };
        assert_eq!(
            names("a: 007 # agent\nb: 1.50\nc: &c 1e3\nd: *c\ne: '08'\nf: true\ng: 9007199254740993\n"),
            ["007", "1.50", "1e3", "1e3", "08", "true", "9007199254740993"]
        );
        assert_eq!(
            names("a: 8e93041\nb: .nan\nc: 12_34\nd: 0x30\ne: True\n"),
            ["8e93041", ".nan", "12_34", "0x30", "True"]
        );
        assert_eq!(names("{a: 1.0, b: -0.50}"), ["1.0", "-0.50"]);
        assert_eq!(names("\u{feff}é: 1.20\n"), ["1.20"]);
        // A part of a tree keeps it as well.
        let trees: Named<Spanned<Tree>> = read(&"f".into(), "a: 007\nb: [1.50]\nc: 0x1f\n").unwrap();
        assert_eq!(trees.0[0].1.value.scalar().as_deref(), Some("007"));
        assert_eq!(trees.0[0].1.location, Location { line: 1, column: 4 });
        let Tree::List(items) = &trees.0[1].1.value else {
            panic!("{trees:?}");
        };
        assert_eq!(items[0].value.scalar().as_deref(), Some("1.50"));
        assert_eq!(u8::deserialize(Node(&trees.0[2].1)).unwrap(), 31);
    }

    #[test]
    fn what_is_of_another_kind_is_told_with_what_to_write() {
        #[derive(Deserialize, Default, Debug)]
        #[serde(deny_unknown_fields, default)]
        struct Of {
            list: Vec<Spanned<String>>,
            on: bool,
            count: u8,
            name: String,
            inner: Inner,
            word: Option<Word>,
        }
        #[derive(Deserialize, Default, Debug)]
        #[serde(deny_unknown_fields, default)]
        struct Inner {
            share: f64,
        }
        let said = |text: &str| match read::<Of>(&"f".into(), text) {
            Ok(of) => format!("{of:?}"),
            Err(diagnostic) => diagnostic.to_string(),
        };
        for (text, expected) in [
            (
                "list: a",
                "f:1:7: one value stands here, and a list belongs here: [value]",
            ),
            ("list: {a: b}", "f:1:7: found a mapping, expected a list"),
            ("on: yes", "f:1:5: 'yes' is neither true nor false"),
            ("on: [true]", "f:1:5: found a list, expected true or false"),
            ("count: 1.5", "f:1:8: '1.5' is not a whole number"),
            (
                "count: 256",
                "f:1:8: found 256, expected a whole number up to 255",
            ),
            ("name: [a]", "f:1:7: found a list, expected a text"),
            ("name:", "f:1:5: found nothing, expected a text"),
            (
                "inner: [a]",
                "f:1:8: found a list, and keys belong here, as in name: {key: value}",
            ),
            ("inner: {share: high}", "f:1:16: 'high' is not a number"),
            (
                "word: [early]",
                "f:1:7: found a list, expected one of early, late",
            ),
            (
                "- a",
                "f:1:1: found a list, and keys belong here, as in name: {key: value}",
            ),
        ] {
            assert_eq!(said(text), expected, "{text}");
        }
        // What is left empty is as if nobody had written it, and quotes change no meaning.
        let read = said("list:\ninner:\ncount: '7'\non: 'true'\n");
        assert!(read.contains("count: 7") && read.contains("on: true"), "{read}");
        assert!(said("on: True").contains("on: true"));
    }
}
