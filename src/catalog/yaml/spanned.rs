//! A value with the place where it stands in its file.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};

/// Line and column in a document, both from 1, the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Location {
    pub(super) line: u32,
    pub(super) column: u32,
}

impl Location {
    /// Of what stands in no document.
    pub(crate) const UNKNOWN: Location = Location { line: 0, column: 0 };

    /// As one number, which is how a tree hands it to [`Spanned`].
    pub(super) fn packed(self) -> u64 {
        u64::from(self.line) << 32 | u64::from(self.column)
    }

    fn unpacked(packed: u64) -> Location {
        let half = |number: u64| u32::try_from(number & u64::from(u32::MAX)).unwrap_or(u32::MAX);
        Location {
            line: half(packed >> 32),
            column: half(packed),
        }
    }
}

/// The name of the tuple as which a tree gives a value with its place.
pub(super) const SPANNED: &str = "Spanned";

/// A value, and where it stands. Where it comes from an alias, that is where the alias stands.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Spanned<T> {
    pub(crate) value: T,
    pub(crate) location: Location,
}

impl Default for Location {
    fn default() -> Location {
        Location::UNKNOWN
    }
}

impl<T> Spanned<T> {
    pub(crate) const fn new(value: T, location: Location) -> Spanned<T> {
        Spanned { value, location }
    }

    /// Another value at the same place.
    pub(crate) fn with<U>(&self, value: U) -> Spanned<U> {
        Spanned::new(value, self.location)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Spanned<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Spanned<T>, D::Error> {
        struct Parts<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Parts<T> {
            type Value = Spanned<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value with its place")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Spanned<T>, A::Error> {
                let missing = || de::Error::invalid_length(0, &"a place and a value");
                let packed = parts.next_element()?.ok_or_else(missing)?;
                let value = parts.next_element()?.ok_or_else(missing)?;
                Ok(Spanned::new(value, Location::unpacked(packed)))
            }
        }
        deserializer.deserialize_tuple_struct(SPANNED, 2, Parts(PhantomData))
    }
}

/// A text that looks like a number or a truth where YAML is read, such as a password: as it is written.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Written(pub(crate) String);

impl Written {
    /// Without blanks around it.
    pub(crate) fn trimmed(&self) -> &str {
        self.0.trim()
    }
}

/// In a file it is the value.
impl<T: JsonSchema> JsonSchema for Spanned<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }
    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}
