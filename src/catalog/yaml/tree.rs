//! A YAML document as a tree with the place of everything: to look places up after reading, to change it before it is
//! read as types, and to read types from it.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

use super::spanned::Spanned;
use crate::catalog::diagnostic::Place;

/// A document, or a part of one.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Tree {
    /// Nothing.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A text.
    Text(String),
    /// A list; a path names its items by number.
    List(Vec<Spanned<Tree>>),
    /// A mapping, in the order of the file.
    Map(Vec<(Spanned<String>, Spanned<Tree>)>),
}

/// A number and how it is written: a title may be `007`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Number {
    pub(crate) value: f64,
    /// Where it is a whole number of 64 bits.
    pub(super) whole: Option<i64>,
    /// Where the shortest way to write it differs.
    written: Option<Box<str>>,
}

impl From<f64> for Number {
    fn from(value: f64) -> Number {
        Number {
            value,
            whole: (value.fract() == 0.0 && value.abs() < WHOLE).then_some(value as i64),
            written: None,
        }
    }
}

/// Whole numbers up to here are told apart by 64 bits of floating point.
const WHOLE: f64 = (1u64 << f64::MANTISSA_DIGITS) as f64;

impl Number {
    /// What a text says that is a number: digits, with `_` between them, a sign, a point, an exponent.
    pub(crate) fn read(text: &str) -> Option<Number> {
        let digits = text.replace('_', "");
        let number = match (digits.parse::<i64>(), text) {
            (Ok(whole), _) => Number::whole(whole),
            (Err(_), ".nan") => Number::from(f64::NAN),
            (Err(_), ".inf") => Number::from(f64::INFINITY),
            (Err(_), "-.inf") => Number::from(f64::NEG_INFINITY),
            // Rust reads the words inf and nan as well.
            (Err(_), _) if digits.contains(|c: char| c.is_ascii_digit()) => {
                digits.parse::<f64>().ok()?.into()
            }
            (Err(_), _) => return None,
        };
        Some(number.written(Some(text)))
    }

    /// `0x1f`, `0o17` and `0b101`, as YAML reads them.
    fn of_radix(text: &str) -> Option<Number> {
        let (radix, digits) = [("0x", 16), ("0o", 8), ("0b", 2)]
            .iter()
            .find_map(|(prefix, radix)| Some((*radix, text.strip_prefix(prefix)?)))?;
        let whole = i64::from_str_radix(&digits.replace('_', ""), radix).ok()?;
        Some(Number::whole(whole).written(Some(text)))
    }

    pub(super) fn whole(number: i64) -> Number {
        Number {
            value: number as f64,
            whole: Some(number),
            written: None,
        }
    }

    /// The same number with what the file has for it.
    pub(super) fn written(mut self, written: Option<&str>) -> Number {
        self.written = written.filter(|written| *written != self.text()).map(Box::from);
        self
    }

    /// As it is written.
    pub(super) fn text(&self) -> Cow<'_, str> {
        match (&self.written, self.whole) {
            (Some(written), _) => Cow::Borrowed(written),
            (None, Some(whole)) => Cow::Owned(whole.to_string()),
            (None, None) => Cow::Owned(self.value.to_string()),
        }
    }
}

/// The name under which a tree is asked for a part of itself.
pub(super) const TREE: &str = "Tree";

/// From another tree, see [`super::node`]: numbers come as bytes, the way they are written.
impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Tree, D::Error> {
        struct Part;
        impl<'de> Visitor<'de> for Part {
            type Value = Tree;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a part of a tree")
            }
            fn visit_bool<E>(self, truth: bool) -> Result<Tree, E> {
                Ok(Tree::Bool(truth))
            }
            fn visit_bytes<E>(self, written: &[u8]) -> Result<Tree, E> {
                let text = String::from_utf8_lossy(written);
                let number = Number::read(&text).or_else(|| Number::of_radix(&text));
                Ok(number.map_or_else(|| Tree::Text(text.into_owned()), Tree::Number))
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
        deserializer.deserialize_newtype_struct(TREE, Part)
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
                    Some(item) => (item.location, item),
                    None => break,
                },
                Tree::Map(pairs) => match pairs.iter().find(|(name, _)| name.value == *key) {
                    Some((name, below)) => (name.location, below),
                    None => break,
                },
                _ => break,
            };
            let scalar = depth + 1 == path.len() && !matches!(below.value, Tree::List(_) | Tree::Map(_));
            found = super::place(file, if scalar { below.location } else { place_of_key });
            at = &below.value;
        }
        found
    }

    /// What it is, as a noun.
    pub(crate) fn noun(&self) -> &'static str {
        match self {
            Tree::Null => "nothing",
            Tree::Bool(_) => "true or false",
            Tree::Number(_) => "a number",
            Tree::Text(_) => "a text",
            Tree::List(_) => "a list",
            Tree::Map(_) => "a mapping",
        }
    }

    /// A scalar as text; `None` for lists, mappings and nothing.
    pub(crate) fn scalar(&self) -> Option<String> {
        Some(match self {
            Tree::Bool(truth) => truth.to_string(),
            Tree::Number(number) => number.text().into_owned(),
            Tree::Text(text) => text.clone(),
            Tree::Null | Tree::List(_) | Tree::Map(_) => return None,
        })
    }
}
