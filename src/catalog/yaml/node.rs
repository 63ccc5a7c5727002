//! Types read from a [`Tree`]: one deserializer for all that people write, with the place of every mistake.
//!
//! A tree is strict where serde asks for one kind of thing, and says what to write instead; a type that takes several
//! kinds asks for any.

use std::fmt;
use std::sync::Arc;

use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeSeed, Deserializer, Expected, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::forward_to_deserialize_any;

use super::spanned::{Location, SPANNED, Spanned};
use super::tree::{Number, TREE, Tree};
use crate::catalog::diagnostic::{Diagnostic, nearest};

/// What is wrong with a tree, and where.
#[derive(Debug)]
pub(crate) struct TreeError(Box<Wrong>);

#[derive(Debug, Default)]
struct Wrong {
    location: Option<Location>,
    message: String,
    /// The keys that lead to it, from the innermost to the outermost.
    path: Vec<String>,
    /// The key that nobody knows, where it is about one.
    unknown_key: Option<String>,
    /// What belongs there, where something else stands in place of many.
    wanted: Option<Wanted>,
}

/// What holds others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wanted {
    /// A list.
    List,
    /// A mapping.
    Keys,
}

impl TreeError {
    /// The innermost place wins: it is set first.
    fn at(mut self, location: Location) -> TreeError {
        self.0.location.get_or_insert(location);
        self
    }

    fn below(mut self, key: &str) -> TreeError {
        self.0.path.push(key.to_owned());
        self
    }

    /// Where it is, where that is in a document.
    pub(crate) fn location(&self) -> Option<Location> {
        self.0.location.filter(|location| *location != Location::UNKNOWN)
    }

    /// The keys that lead to it, from the outermost on.
    pub(crate) fn path(&self) -> impl Iterator<Item = &str> {
        self.0.path.iter().rev().map(String::as_str)
    }

    /// What belongs there, where something else stands in place of many.
    pub(crate) fn wanted(&self) -> Option<Wanted> {
        self.0.wanted
    }

    fn wants(mut self, wanted: Wanted) -> TreeError {
        self.0.wanted = Some(wanted);
        self
    }

    /// The key that nobody knows, where it is about one.
    pub(super) fn unknown_key(&self) -> Option<&str> {
        self.0.unknown_key.as_deref()
    }

    /// With the file's name; `otherwise` is the place where none is known.
    pub(crate) fn diagnostic(self, file: &Arc<str>, otherwise: Location) -> Diagnostic {
        Diagnostic {
            place: super::place(file, self.location().unwrap_or(otherwise)),
            message: self.0.message,
        }
    }
}

impl fmt::Display for TreeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for TreeError {}

impl de::Error for TreeError {
    fn custom<T: fmt::Display>(message: T) -> TreeError {
        TreeError(Box::new(Wrong {
            message: message.to_string(),
            ..Wrong::default()
        }))
    }
    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> TreeError {
        let expected = expected.to_string();
        TreeError::custom(format!(
            "found {}, expected {}",
            found(unexpected),
            noun(&expected)
        ))
    }
    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> TreeError {
        TreeError::invalid_type(unexpected, expected)
    }
    fn unknown_field(field: &str, expected: &'static [&'static str]) -> TreeError {
        let hint = match nearest(field, expected.iter().copied()) {
            Some(near) => format!("; did you mean '{near}'?"),
            None => format!("; known are {}", expected.join(", ")),
        };
        let mut error = TreeError::custom(format!("unknown key '{field}'{hint}"));
        error.0.unknown_key = Some(field.to_owned());
        error
    }
    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> TreeError {
        let hint = nearest(variant, expected.iter().copied())
            .map_or_else(String::new, |near| format!(" (did you mean '{near}'?)"));
        TreeError::custom(format!("'{variant}' is not one of {}{hint}", expected.join(", ")))
    }
    fn duplicate_field(field: &'static str) -> TreeError {
        TreeError::custom(format!("the key '{field}' is given twice here"))
    }
    fn missing_field(field: &'static str) -> TreeError {
        TreeError::custom(format!("the key '{field}' is missing here"))
    }
}

/// What stands there, in words.
fn found(unexpected: Unexpected<'_>) -> String {
    match unexpected {
        Unexpected::Unit | Unexpected::Option => "nothing".to_owned(),
        Unexpected::Bool(truth) => truth.to_string(),
        Unexpected::Unsigned(number) => number.to_string(),
        Unexpected::Signed(number) => number.to_string(),
        Unexpected::Float(number) => number.to_string(),
        Unexpected::Str(text) => format!("'{text}'"),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "a mapping".to_owned(),
        other => other.to_string(),
    }
}

/// What serde wants, in words of people who do not know Rust.
fn noun(expected: &str) -> &str {
    match expected {
        "f32" | "f64" => "a number",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "u8" => "a whole number up to 255",
        "u16" => "a whole number up to 65535",
        "u32" | "u64" | "usize" => "a whole number from 0 on",
        "a boolean" => "true or false",
        "a string" => "a text",
        "a sequence" => "a list",
        "a map" => "a mapping",
        _ if expected.starts_with("struct ") => "a mapping",
        other => other,
    }
}

/// A tree to read types from.
#[derive(Clone, Copy)]
pub(crate) struct Node<'t>(pub(crate) &'t Spanned<Tree>);

impl<'t> Node<'t> {
    fn located<T>(self, done: Result<T, TreeError>) -> Result<T, TreeError> {
        done.map_err(|error| error.at(self.0.location))
    }

    /// The number that stands here, also in quotes.
    fn number(self) -> Result<Number, TreeError> {
        let text = match &self.0.value {
            Tree::Number(number) => return Ok(number.clone()),
            Tree::Text(text) => text,
            other => return Err(self.wrong(format!("found {}, expected a number", other.noun()))),
        };
        Number::read(text.trim()).ok_or_else(|| {
            let hint = match text.trim().strip_suffix('%') {
                Some(number) => format!("; write {number}"),
                None => String::new(),
            };
            self.wrong(format!("'{text}' is not a number{hint}"))
        })
    }

    fn whole(self) -> Result<i64, TreeError> {
        let number = self.number()?;
        number
            .whole
            .ok_or_else(|| self.wrong(format!("'{}' is not a whole number", number.text())))
    }

    fn items(self) -> Result<&'t [Spanned<Tree>], TreeError> {
        let said = match &self.0.value {
            Tree::List(items) => return Ok(items),
            Tree::Null => return Ok(&[]),
            Tree::Map(_) => "found a mapping, expected a list",
            // Without the value: it may be a secret.
            _ => "one value stands here, and a list belongs here: [value]",
        };
        Err(self.wrong(said.to_owned()).wants(Wanted::List))
    }

    fn pairs(self) -> Result<Pairs<'t>, TreeError> {
        let pairs: &[_] = match &self.0.value {
            Tree::Map(pairs) => pairs,
            Tree::Null => &[],
            other => {
                let what = match other {
                    Tree::List(_) => "found a list",
                    _ => "one value stands here",
                };
                let said = format!("{what}, and keys belong here, as in name: {{key: value}}");
                return Err(self.wrong(said).wants(Wanted::Keys));
            }
        };
        Ok(Pairs {
            rest: pairs.iter(),
            pair: None,
        })
    }

    fn wrong(self, message: String) -> TreeError {
        <TreeError as de::Error>::custom(message).at(self.0.location)
    }
}

macro_rules! numbers {
    ($($name:ident $read:ident $visit:ident $type:ty),* $(,)?) => {$(
        fn $name<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TreeError> {
            self.located(visitor.$visit(self.$read()? as $type))
        }
    )*};
}

impl<'de> Deserializer<'de> for Node<'_> {
    type Error = TreeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TreeError> {
        let done = match &self.0.value {
            Tree::Null => visitor.visit_unit(),
            Tree::Bool(truth) => visitor.visit_bool(*truth),
            Tree::Number(number) => match number.whole {
                Some(whole) => visitor.visit_i64(whole),
                None => visitor.visit_f64(number.value),
            },
            Tree::Text(text) => visitor.visit_str(text),
            Tree::List(items) => visitor.visit_seq(Items(items.iter().enumerate())),
            Tree::Map(_) => visitor.visit_map(self.pairs()?),
        };
        self.located(done)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TreeError> {
        match &self.0.value {
            Tree::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, TreeError> {
        match &self.0.value {
            Tree::Number(number) if name == TREE => visitor.visit_bytes(number.text().as_bytes()),
            _ if name == TREE => self.deserialize_any(visitor),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, TreeError> {
        match name == SPANNED {
            true => visitor.visit_seq(PlaceAndValue {
                location: self.0.location,
                value: Some(self),
                given: false,
            }),
            false => self.deserialize_tuple(length, visitor),
        }
    }

    /// A title may be 2026: what YAML reads as a number is a text where a text is wanted.
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TreeError> {
        let done = match (&self.0.value, self.0.value.scalar()) {
            (Tree::Text(text), _) => visitor.visit_str(text),
            (_, Some(text)) => visitor.visit_str(&text),
            (other, None) => Err(self.wrong(format!("found {}, expected a text", other.noun()))),
        };
        self.located(done)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TreeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TreeError> {
        // Whoever sets a variable may know no YAML.
        let is_variable = self.0.location == Location::UNKNOWN;
        let scalar = self.0.value.scalar();
        let truth = match scalar
            .as_deref()
            .map(|text| text.trim().to_ascii_lowercase())
            .as_deref()
        {
            Some("true") => true,
            Some("false") => false,
            Some("1" | "yes" | "on") if is_variable => true,
            Some("0" | "no" | "off") if is_variable => false,
            Some(_) => {
                return Err(self.wrong(format!(
                    "'{}' is neither true nor false",
                    scalar.unwrap_or_default()
                )));
            }
            None => return Err(self.wrong(format!("found {}, expected true or false", self.0.value.noun()))),
        };
        self.located(visitor.visit_bool(truth))
    }

    numbers! {
        deserialize_i8 whole visit_i64 i64,
        deserialize_i16 whole visit_i64 i64,
        deserialize_i32 whole visit_i64 i64,
        deserialize_i64 whole visit_i64 i64,
        deserialize_u8 whole visit_i64 i64,
        deserialize_u16 whole visit_i64 i64,
        deserialize_u32 whole visit_i64 i64,
        deserialize_u64 whole visit_i64 i64,
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TreeError> {
        self.located(visitor.visit_f64(self.number()?.value))
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TreeError> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TreeError> {
        self.located(visitor.visit_seq(Items(self.items()?.iter().enumerate())))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, TreeError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TreeError> {
        self.located(visitor.visit_map(self.pairs()?))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TreeError> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TreeError> {
        let done = match self.0.value.scalar() {
            Some(word) => StrDeserializer::<TreeError>::new(&word).deserialize_enum(name, variants, visitor),
            None => Err(self.wrong(format!(
                "found {}, expected one of {}",
                self.0.value.noun(),
                variants.join(", ")
            ))),
        };
        self.located(done)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TreeError> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! { i128 u128 char bytes byte_buf unit unit_struct identifier }
}

struct Items<'t>(std::iter::Enumerate<std::slice::Iter<'t, Spanned<Tree>>>);

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = TreeError;
    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, TreeError> {
        match self.0.next() {
            Some((index, item)) => match seed.deserialize(Node(item)) {
                Ok(value) => Ok(Some(value)),
                Err(error) => Err(error.at(item.location).below(&index.to_string())),
            },
            None => Ok(None),
        }
    }
}

type Pair = (Spanned<String>, Spanned<Tree>);

struct Pairs<'t> {
    rest: std::slice::Iter<'t, Pair>,
    /// The one whose key was given.
    pair: Option<&'t Pair>,
}

impl<'de> MapAccess<'de> for Pairs<'_> {
    type Error = TreeError;
    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, TreeError> {
        self.pair = self.rest.next();
        match self.pair {
            Some((key, _)) => match seed.deserialize(Key(key)) {
                Ok(value) => Ok(Some(value)),
                Err(error) => Err(error.at(key.location).below(&key.value)),
            },
            None => Ok(None),
        }
    }
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, TreeError> {
        match self.pair.take() {
            Some((key, value)) => match seed.deserialize(Node(value)) {
                Ok(read) => Ok(read),
                Err(error) => Err(error.at(value.location).below(&key.value)),
            },
            None => Err(de::Error::custom("a key without a value")),
        }
    }
}

/// A key of a mapping: a text, also where it looks like a number.
#[derive(Clone, Copy)]
struct Key<'t>(&'t Spanned<String>);

impl<'de> Deserializer<'de> for Key<'_> {
    type Error = TreeError;
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TreeError> {
        visitor.visit_str(&self.0.value)
    }
    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, TreeError> {
        visitor.visit_seq(PlaceAndValue {
            location: self.0.location,
            value: Some(self),
            given: false,
        })
    }
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, TreeError> {
        visitor.visit_newtype_struct(self)
    }
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TreeError> {
        StrDeserializer::<TreeError>::new(&self.0.value).deserialize_enum(name, variants, visitor)
    }
    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        seq tuple map struct identifier ignored_any
    }
}

/// As [`Spanned`] reads it: the place, then the value.
struct PlaceAndValue<D> {
    location: Location,
    value: Option<D>,
    given: bool,
}

impl<'de, D: Deserializer<'de, Error = TreeError>> SeqAccess<'de> for PlaceAndValue<D> {
    type Error = TreeError;
    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, TreeError> {
        if !std::mem::replace(&mut self.given, true) {
            let packed: de::value::U64Deserializer<TreeError> =
                de::IntoDeserializer::into_deserializer(self.location.packed());
            return seed.deserialize(packed).map(Some);
        }
        self.value.take().map(|value| seed.deserialize(value)).transpose()
    }
}
