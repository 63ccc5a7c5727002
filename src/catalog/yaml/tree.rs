//! A YAML document as a tree with the place of everything: to look places up after reading, to change it before it is
//! read as types, and to read types from it.

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::value::{MapDeserializer, StrDeserializer};
use serde::de::{self, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::forward_to_deserialize_any;
use serde_saphyr::{Location, Spanned};

use crate::catalog::diagnostic::{Diagnostic, Place};

/// A document, or a part of one.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Tree {
    /// Nothing.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A text.
    Text(String),
    /// A list; a path names its items by number.
    List(Vec<Spanned<Tree>>),
    /// A mapping, in the order of the file.
    Map(Vec<(Spanned<String>, Spanned<Tree>)>),
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Tree, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Tree;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }
            fn visit_bool<E>(self, truth: bool) -> Result<Tree, E> {
                Ok(Tree::Bool(truth))
            }
            fn visit_i64<E>(self, number: i64) -> Result<Tree, E> {
                Ok(Tree::Int(number))
            }
            fn visit_u64<E>(self, number: u64) -> Result<Tree, E> {
                Ok(i64::try_from(number).map_or(Tree::Float(number as f64), Tree::Int))
            }
            fn visit_f64<E>(self, number: f64) -> Result<Tree, E> {
                Ok(Tree::Float(number))
            }
            fn visit_str<E>(self, text: &str) -> Result<Tree, E> {
                Ok(Tree::Text(text.to_owned()))
            }
            fn visit_unit<E>(self) -> Result<Tree, E> {
                Ok(Tree::Null)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Tree, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Tree::List(items))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
                let mut pairs = Vec::new();
                while let Some(key) = map.next_key()? {
                    pairs.push((key, map.next_value()?));
                }
                Ok(Tree::Map(pairs))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

impl Tree {
    /// The place of what `path` leads to: of the scalar itself where the file has it, else of the deepest key that the
    /// file has, else its first line.
    pub(crate) fn place(&self, file: &Arc<str>, path: &[&str]) -> Place {
        let mut found = Place {
            file: file.clone(),
            line: 1,
            column: 1,
        };
        let mut at = self;
        for (depth, key) in path.iter().enumerate() {
            let (place_of_key, below) = match at {
                Tree::List(items) => match key.parse::<usize>().ok().and_then(|index| items.get(index)) {
                    Some(item) => (item.referenced, item),
                    None => break,
                },
                Tree::Map(pairs) => match pairs.iter().find(|(name, _)| name.value == *key) {
                    Some((name, below)) => (name.referenced, below),
                    None => break,
                },
                _ => break,
            };
            let scalar = depth + 1 == path.len() && !matches!(below.value, Tree::List(_) | Tree::Map(_));
            found = super::place(file, if scalar { below.referenced } else { place_of_key });
            at = &below.value;
        }
        found
    }

    /// What it is, as a noun.
    pub(crate) fn noun(&self) -> &'static str {
        match self {
            Tree::Null => "nothing",
            Tree::Bool(_) => "true or false",
            Tree::Int(_) | Tree::Float(_) => "a number",
            Tree::Text(_) => "a text",
            Tree::List(_) => "a list",
            Tree::Map(_) => "a mapping",
        }
    }

    /// A scalar as text; `None` for lists, mappings and nothing.
    pub(crate) fn scalar(&self) -> Option<String> {
        Some(match self {
            Tree::Bool(truth) => truth.to_string(),
            Tree::Int(number) => number.to_string(),
            Tree::Float(number) => number.to_string(),
            Tree::Text(text) => text.clone(),
            Tree::Null | Tree::List(_) | Tree::Map(_) => return None,
        })
    }
}

/// What is wrong with a tree, and where.
#[derive(Debug)]
pub(crate) struct TreeError {
    location: Option<Location>,
    message: String,
}

impl TreeError {
    /// The innermost place wins: it is set first.
    fn at(mut self, location: Location) -> TreeError {
        self.location.get_or_insert(location);
        self
    }

    /// With the file's name; `otherwise` is the place where none is known.
    pub(crate) fn diagnostic(self, file: &Arc<str>, otherwise: Location) -> Diagnostic {
        Diagnostic {
            place: super::place(file, self.location.unwrap_or(otherwise)),
            message: self.message,
        }
    }
}

impl fmt::Display for TreeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for TreeError {}

impl de::Error for TreeError {
    fn custom<T: fmt::Display>(message: T) -> TreeError {
        TreeError {
            location: None,
            message: message.to_string(),
        }
    }
    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn de::Expected) -> TreeError {
        TreeError::custom(format!("found {unexpected}, expected {expected}"))
    }
    fn unknown_field(field: &str, expected: &'static [&'static str]) -> TreeError {
        TreeError::custom(super::unknown_key(field, expected))
    }
    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> TreeError {
        TreeError::custom(super::unknown_word(variant, expected))
    }
    fn missing_field(field: &'static str) -> TreeError {
        TreeError::custom(super::missing_key(field))
    }
}

/// A tree to read types from.
#[derive(Clone, Copy)]
pub(crate) struct Node<'t>(pub(crate) &'t Spanned<Tree>);

impl Node<'_> {
    fn located<T>(self, done: Result<T, TreeError>) -> Result<T, TreeError> {
        done.map_err(|error| error.at(self.0.referenced))
    }
}

impl<'de> Deserializer<'de> for Node<'_> {
    type Error = TreeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TreeError> {
        let done = match &self.0.value {
            Tree::Null => visitor.visit_unit(),
            Tree::Bool(truth) => visitor.visit_bool(*truth),
            Tree::Int(number) => visitor.visit_i64(*number),
            Tree::Float(number) => visitor.visit_f64(*number),
            Tree::Text(text) => visitor.visit_str(text),
            Tree::List(items) => visitor.visit_seq(Items(items.iter())),
            Tree::Map(pairs) => visitor.visit_map(Pairs {
                rest: pairs.iter(),
                value: None,
            }),
        };
        self.located(done)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TreeError> {
        let done = match &self.0.value {
            Tree::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        };
        self.located(done)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, TreeError> {
        // How `Spanned` asks for a value with its place.
        let done = if name == "__yaml_spanned" {
            visitor.visit_newtype_struct(WithPlace(self))
        } else {
            visitor.visit_newtype_struct(self)
        };
        self.located(done)
    }

    /// A title may be 2026: what YAML reads as a number is a text where a text is wanted.
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TreeError> {
        let done = match self.0.value.scalar() {
            Some(text) => visitor.visit_str(&text),
            None => return self.deserialize_any(visitor),
        };
        self.located(done)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TreeError> {
        self.deserialize_string(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TreeError> {
        let done = match self.0.value.scalar() {
            Some(word) => StrDeserializer::<TreeError>::new(&word).deserialize_enum(name, variants, visitor),
            None => Err(de::Error::custom(format!(
                "found {}, expected one of {}",
                self.0.value.noun(),
                variants.join(", ")
            ))),
        };
        self.located(done)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

struct Items<'t>(std::slice::Iter<'t, Spanned<Tree>>);

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = TreeError;
    fn next_element_seed<S: de::DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, TreeError> {
        self.0.next().map(|item| seed.deserialize(Node(item))).transpose()
    }
}

struct Pairs<'t> {
    rest: std::slice::Iter<'t, (Spanned<String>, Spanned<Tree>)>,
    value: Option<&'t Spanned<Tree>>,
}

impl<'de> MapAccess<'de> for Pairs<'_> {
    type Error = TreeError;
    fn next_key_seed<S: de::DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, TreeError> {
        let Some((key, value)) = self.rest.next() else {
            return Ok(None);
        };
        self.value = Some(value);
        let text = Spanned::new(Tree::Text(key.value.clone()), key.referenced, key.defined);
        seed.deserialize(Node(&text)).map(Some)
    }
    fn next_value_seed<S: de::DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, TreeError> {
        match self.value.take() {
            Some(value) => seed.deserialize(Node(value)),
            None => Err(de::Error::custom("a key without a value")),
        }
    }
}

/// A node as `Spanned` reads it: a mapping of the value and its places.
struct WithPlace<'t>(Node<'t>);

impl<'de> Deserializer<'de> for WithPlace<'_> {
    type Error = TreeError;
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TreeError> {
        visitor.visit_map(PlaceFields {
            node: self.0,
            next: 0,
        })
    }
    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct PlaceFields<'t> {
    node: Node<'t>,
    next: usize,
}

const FIELDS: [&str; 4] = ["__serde_saphyr_private_spanned", "value", "referenced", "defined"];

impl<'de> MapAccess<'de> for PlaceFields<'_> {
    type Error = TreeError;
    fn next_key_seed<S: de::DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, TreeError> {
        let Some(name) = FIELDS.get(self.next) else {
            return Ok(None);
        };
        self.next += 1;
        seed.deserialize(IntoDeserializer::<TreeError>::into_deserializer(*name))
            .map(Some)
    }
    fn next_value_seed<S: de::DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, TreeError> {
        let location = |location: Location| {
            let number = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
            MapDeserializer::new(
                [
                    ("line", number(location.line())),
                    ("column", number(location.column())),
                ]
                .into_iter(),
            )
        };
        match self.next {
            1 => seed.deserialize(IntoDeserializer::<TreeError>::into_deserializer(true)),
            2 => seed.deserialize(self.node),
            3 => seed.deserialize(location(self.node.0.referenced)),
            _ => seed.deserialize(location(self.node.0.defined)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(text: &str) -> Spanned<Tree> {
        serde_saphyr::from_str(text).unwrap()
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
        assert_eq!(
            (thing.name.value.as_str(), thing.name.referenced.line()),
            ("2026", 1)
        );
        assert_eq!(
            thing
                .many
                .iter()
                .map(|n| (n.value, n.referenced.column()))
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
            error.diagnostic(&"f".into(), tree.referenced).to_string()
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
        assert_eq!(
            said("name: a\nmany: [b]\n"),
            "f:2:8: found string \"b\", expected f64"
        );
    }
}
