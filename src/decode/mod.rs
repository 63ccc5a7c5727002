//! Decode: bytes to an [`Event`], reading only the fields that the catalogue asks for, in one pass.
//!
//! * [`json`]: the scanner. It walks the object once, keeps the places of wanted values and skips the rest.
//! * [`time`]: event times. * [`reject`]: why a record could not be used.
//!
//! CloudEvents in binary mode carry their attributes as headers `ce_<name>` and their data as the payload (Kafka
//! protocol binding 1.0.2); in structured mode, and for plain JSON, everything is in the payload.

mod json;
mod reject;
mod time;

pub use reject::Reject;

use crate::catalog::expr;
use crate::catalog::{FieldId, FieldPath, FieldType, Format, Source};
use crate::fixed::Fixed;
use json::{Paths, Span};

/// Largest record that is read, in bytes.
pub const MAX_RECORD_BYTES: usize = 1024 * 1024;

/// A record as its source hands it over.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The value; `None` for a tombstone.
    pub payload: Option<&'a [u8]>,
    /// Headers, in order.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// Timestamp of the record, in milliseconds since the epoch.
    pub timestamp_ms: Option<i64>,
}

/// Decodes the records of one source. Keeps its buffers from record to record: no allocation once they have grown.
#[derive(Debug)]
pub struct Reader {
    payload_paths: Paths,
    /// For CloudEvents in binary mode: paths below `data`.
    data_paths: Paths,
    /// For CloudEvents in binary mode: the header of every slot that is an attribute.
    attributes: Vec<(String, usize)>,
    format: Format,
    kinds: Vec<FieldType>,
    /// Slot of the event time, behind those of the fields.
    time_slot: Option<usize>,
    /// Slot of the id, behind that.
    id_slot: Option<usize>,
    spans: Vec<Span>,
    /// Texts that do not stand in the payload as they are: unescaped ones, and headers.
    scratch: String,
}

/// A decoded event: the fields of its source by [`FieldId`].
#[derive(Debug)]
pub struct Event<'a> {
    /// Event time in milliseconds since the epoch.
    pub time_ms: i64,
    id_slot: Option<usize>,
    payload: &'a str,
    scratch: &'a str,
    spans: &'a [Span],
    kinds: &'a [FieldType],
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

impl Reader {
    /// A reader of a source's records.
    pub fn new(source: &Source) -> Reader {
        let mut paths: Vec<&FieldPath> = source.fields.iter().map(|field| &field.path).collect();
        let time_slot = source.time.as_ref().map(|time| {
            paths.push(time);
            paths.len() - 1
        });
        let id_slot = source.dedup.as_ref().map(|dedup| {
            paths.push(&dedup.id);
            paths.len() - 1
        });
        let whole = || {
            paths
                .iter()
                .enumerate()
                .map(|(slot, path)| (path.0.as_slice(), slot))
        };
        let data = || {
            whole()
                .filter(|(path, _)| path.len() > 1 && path[0] == "data")
                .map(|(path, slot)| (&path[1..], slot))
        };
        let attributes = whole()
            .filter(|(path, _)| path.len() == 1 && path[0] != "data")
            .map(|(path, slot)| (format!("ce_{}", path[0]), slot));
        Reader {
            payload_paths: Paths::new(whole()),
            data_paths: Paths::new(data()),
            attributes: attributes.collect(),
            format: source.format,
            kinds: source.fields.iter().map(|field| field.kind).collect(),
            time_slot,
            id_slot,
            spans: vec![Span::Missing; paths.len()],
            scratch: String::new(),
        }
    }

    /// Decodes one record.
    ///
    /// # Errors
    /// Why the record cannot be used.
    pub fn read<'a>(&'a mut self, record: &Record<'a>) -> Result<Event<'a>, Reject> {
        let payload = record
            .payload
            .filter(|payload| !payload.is_empty())
            .ok_or(Reject::Empty)?;
        if payload.len() > MAX_RECORD_BYTES {
            return Err(Reject::TooLarge { bytes: payload.len() });
        }
        let payload =
            simdutf8::compat::from_utf8(payload).map_err(|e| Reject::InvalidUtf8 { at: e.valid_up_to() })?;
        self.scratch.clear();
        self.spans.fill(Span::Missing);
        let binary = self.format == Format::CloudEvents
            && record
                .headers
                .iter()
                .any(|(name, _)| name.eq_ignore_ascii_case("ce_specversion"));
        if binary {
            self.read_attributes(record.headers)?;
            json::scan(payload, &self.data_paths, &mut self.spans, &mut self.scratch)?;
        } else {
            json::scan(payload, &self.payload_paths, &mut self.spans, &mut self.scratch)?;
        }
        let mut event = Event {
            time_ms: 0,
            id_slot: self.id_slot,
            payload,
            scratch: &self.scratch,
            spans: &self.spans,
            kinds: &self.kinds,
        };
        event.time_ms = match self.time_slot {
            Some(slot) => time::event_time(event.at(slot))?,
            None => record
                .timestamp_ms
                .filter(|ms| *ms >= 0)
                .ok_or(Reject::MissingTime)?,
        };
        Ok(event)
    }

    fn read_attributes(&mut self, headers: &[(&str, &[u8])]) -> Result<(), Reject> {
        for (name, slot) in &self.attributes {
            let Some((_, value)) = headers
                .iter()
                .find(|(header, _)| header.eq_ignore_ascii_case(name))
            else {
                continue;
            };
            let text = std::str::from_utf8(value).map_err(|e| Reject::InvalidUtf8 { at: e.valid_up_to() })?;
            let start = self.scratch.len();
            self.scratch.push_str(text);
            self.spans[*slot] = Span::Scratch {
                start,
                end: self.scratch.len(),
            };
        }
        Ok(())
    }
}

impl<'a> Event<'a> {
    fn at(&self, slot: usize) -> FieldValue<'a> {
        match self.spans[slot] {
            Span::Missing => FieldValue::Missing,
            Span::Text { start, end } => FieldValue::Text(&self.payload[start..end]),
            Span::Scratch { start, end } => FieldValue::Text(&self.scratch[start..end]),
            Span::Number { start, end } => FieldValue::Number(&self.payload[start..end]),
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
            FieldValue::Bool(_) | FieldValue::Composite => return Err(Reject::WrongType { field }),
        };
        Fixed::parse(text).map_err(|error| match error {
            crate::fixed::FixedError::NotANumber => Reject::WrongType { field },
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
            FieldValue::Composite => Err(Reject::WrongType { field }),
        }
    }

    /// A field for a filter, in the type that the catalogue gives it; anything else is missing there.
    pub fn filter_value(&self, field: usize) -> expr::Value<'a> {
        match (self.kinds[field], self.at(field)) {
            (FieldType::Number, FieldValue::Number(text) | FieldValue::Text(text)) => text
                .trim()
                .parse()
                .map_or(expr::Value::Missing, expr::Value::Number),
            (FieldType::Text | FieldType::Any, FieldValue::Text(text)) => expr::Value::Text(text),
            // A code such as a store number may be written with or without quotes.
            (FieldType::Text, FieldValue::Number(text)) => expr::Value::Text(text),
            (FieldType::Any, FieldValue::Number(text)) => {
                text.parse().map_or(expr::Value::Missing, expr::Value::Number)
            }
            (FieldType::Bool | FieldType::Any, FieldValue::Bool(truth)) => expr::Value::Bool(truth),
            _ => expr::Value::Missing,
        }
    }
}

#[cfg(test)]
mod tests;
