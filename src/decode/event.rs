//! A decoded event: the fields of its source, read when somebody asks.

use super::Reject;
use super::json::Span;
use crate::catalog::expr;
use crate::catalog::{FieldId, FieldType};
use crate::fixed::Fixed;

/// A decoded event: the fields of its source by [`FieldId`].
#[derive(Debug)]
pub struct Event<'a> {
    /// Event time in milliseconds since the epoch.
    pub time_ms: i64,
    pub(super) id_slot: Option<usize>,
    pub(super) payload: &'a str,
    pub(super) scratch: &'a str,
    pub(super) spans: &'a [Span],
    pub(super) kinds: &'a [FieldType],
}

/// A field of an event.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum FieldValue<'a> {
    /// Not there, or null.
    Missing,
    /// A text.
    Text(&'a str),
    /// A number as it was written.
    Number(&'a str),
    /// True or false.
    Bool(bool),
    /// An object or a list.
    Composite,
}

impl<'a> Event<'a> {
    #[inline]
    pub(super) fn at(&self, slot: usize) -> FieldValue<'a> {
        match self.spans[slot] {
            Span::Missing => FieldValue::Missing,
            Span::Text { start, end } => FieldValue::Text(&self.payload[start..end]),
            Span::Scratch { start, end } => FieldValue::Text(&self.scratch[start..end]),
            Span::Number { start, end } => FieldValue::Number(&self.payload[start..end]),
            Span::ScratchNumber { start, end } | Span::Time { start, end, .. } => {
                FieldValue::Number(&self.scratch[start..end])
            }
            Span::Bool(truth) => FieldValue::Bool(truth),
            Span::Composite => FieldValue::Composite,
        }
    }

    /// The id, of a source that tells copies by it.
    ///
    /// # Errors
    /// [`Reject::MissingId`] where there is none that is a text or a number.
    pub fn id(&self) -> Result<&'a str, Reject> {
        match self.id_slot.map(|slot| self.at(slot)) {
            Some(FieldValue::Text(id) | FieldValue::Number(id)) if !id.is_empty() => Ok(id),
            _ => Err(Reject::MissingId),
        }
    }

    /// A field as it was written.
    pub fn value(&self, field: FieldId) -> FieldValue<'a> {
        self.at(usize::from(field.0))
    }

    /// A field as an exact number: a JSON number, or a text that is one.
    ///
    /// # Errors
    /// Missing, of another type, or out of range.
    pub fn number(&self, field: FieldId) -> Result<Fixed, Reject> {
        let text = match self.value(field) {
            FieldValue::Number(text) => text,
            FieldValue::Text(text) => text.trim(),
            FieldValue::Missing => return Err(Reject::MissingField { field }),
            FieldValue::Bool(_) => {
                let found = "true or false, and a number is needed";
                return Err(Reject::WrongType { field, found });
            }
            FieldValue::Composite => {
                let found = "an object or a list, and a number is needed";
                return Err(Reject::WrongType { field, found });
            }
        };
        Fixed::parse(text).map_err(|error| match error {
            crate::fixed::FixedError::NotANumber => Reject::WrongType {
                field,
                found: "a text that is no number",
            },
            crate::fixed::FixedError::OutOfRange => Reject::OutOfRange { field },
        })
    }

    /// A field as a key or a dimension value: texts as they are, numbers as written, `true` and `false`.
    ///
    /// # Errors
    /// [`Reject::WrongType`] for an object or a list.
    pub fn key(&self, field: FieldId) -> Result<Option<&'a str>, Reject> {
        match self.value(field) {
            FieldValue::Missing => Ok(None),
            FieldValue::Text(text) | FieldValue::Number(text) => Ok(Some(text)),
            FieldValue::Bool(truth) => Ok(Some(if truth { "true" } else { "false" })),
            FieldValue::Composite => Err(Reject::WrongType {
                field,
                found: "an object or a list, and one value is needed",
            }),
        }
    }

    /// Whether a field can be a key.
    ///
    /// # Errors
    /// What [`Event::key`] says.
    #[inline]
    pub fn check_key(&self, field: FieldId) -> Result<(), Reject> {
        match self.spans[usize::from(field.0)] {
            Span::Composite => Err(Reject::WrongType {
                field,
                found: "an object or a list, and one value is needed",
            }),
            _ => Ok(()),
        }
    }

    /// A field for a filter, in the type that the catalogue gives it; anything else is missing there.
    pub fn filter_value(&self, field: usize) -> expr::Value<'a> {
        match (self.kinds[field], self.at(field)) {
            (FieldType::Number, FieldValue::Number(text) | FieldValue::Text(text)) => finite(text.trim()),
            (FieldType::Text | FieldType::Any, FieldValue::Text(text)) => expr::Value::Text(text),
            // A code such as a store number may be written with or without quotes.
            (FieldType::Text, FieldValue::Number(text)) => expr::Value::Text(text),
            (FieldType::Any, FieldValue::Number(text)) => finite(text),
            (FieldType::Bool | FieldType::Any, FieldValue::Bool(truth)) => expr::Value::Bool(truth),
            _ => expr::Value::Missing,
        }
    }
}

/// A number for a filter. `NaN`, `inf` and what is beyond every float are none.
fn finite(text: &str) -> expr::Value<'_> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => expr::Value::Number(number),
        _ => expr::Value::Missing,
    }
}
