//! The reader of one source's records.

use std::fmt::Write;

use super::json::{self, Paths, Span};
use super::split::{self, Piece};
use super::{Event, Item, MAX_BATCH_BYTES, MAX_EVENT_BYTES, Record, Reject, time};
use crate::catalog::{FieldPath, FieldType, Format, Layout, RecordPart, Source};

/// Decodes the records of one source. Keeps its buffers from record to record: no allocation once they have grown.
#[derive(Debug)]
pub struct Reader {
    payload_paths: Paths,
    /// For CloudEvents in binary mode: paths below `data`.
    data_paths: Paths,
    /// For CloudEvents in binary mode: the header of every slot that is an attribute.
    attributes: Vec<(String, usize)>,
    /// Parts of the record that fields ask for, and their slots.
    parts: Vec<(RecordPart, usize)>,
    format: Format,
    layout: Layout,
    kinds: Vec<FieldType>,
    /// Slot of the event time, behind those of the fields; `None`: the record's timestamp is the event time.
    time_slot: Option<usize>,
    spans: Vec<Span>,
    /// Texts that do not stand in the payload as they are: unescaped ones, and parts of the record.
    scratch: String,
    /// The events of a payload that holds several.
    pieces: Vec<Piece>,
}

impl Reader {
    /// A reader of a source's records.
    pub fn new(source: &Source) -> Reader {
        let mut paths: Vec<&FieldPath> = source.fields.iter().map(|field| &field.path).collect();
        let record_time = FieldPath::Record(RecordPart::Timestamp);
        let time_slot = source
            .time
            .as_ref()
            .filter(|time| **time != record_time)
            .map(|time| {
                paths.push(time);
                paths.len() - 1
            });
        let whole = || {
            (0..)
                .zip(&paths)
                .filter_map(|(slot, path)| Some((path.keys()?, slot)))
        };
        let data = whole()
            .filter(|(path, _)| path.len() > 1 && path[0] == "data")
            .map(|(path, slot)| (&path[1..], slot));
        let attributes = whole()
            .filter(|(path, _)| path.len() == 1 && path[0] != "data")
            .map(|(path, slot)| (format!("ce_{}", path[0]), slot));
        let parts = (0..).zip(&paths).filter_map(|(slot, path)| match path {
            FieldPath::Record(part) => Some((part.clone(), slot)),
            FieldPath::Payload(_) => None,
        });
        Reader {
            payload_paths: Paths::new(whole()),
            data_paths: Paths::new(data),
            attributes: attributes.collect(),
            parts: parts.collect(),
            format: source.format,
            layout: source.layout,
            kinds: source.fields.iter().map(|field| field.kind).collect(),
            time_slot,
            spans: vec![Span::Missing; paths.len()],
            scratch: String::new(),
            pieces: Vec::new(),
        }
    }

    /// Decodes a record: `visit` gets its events one after the other, or why there are none.
    pub fn read<'r>(&mut self, record: &Record<'r>, visit: impl FnMut(Item<'r, '_>)) {
        self.read_as(self.layout, record, visit);
    }

    /// Decodes a record whose payload is laid out in another way than the source's records are.
    pub fn read_as<'r>(&mut self, layout: Layout, record: &Record<'r>, mut visit: impl FnMut(Item<'r, '_>)) {
        let payload = record.payload.unwrap_or_default();
        if layout == Layout::Single || payload.is_empty() {
            let event = self.read_one(record);
            return visit(Item {
                index: None,
                text: payload,
                event,
            });
        }
        let mut pieces = std::mem::take(&mut self.pieces);
        match cut(layout, payload, &mut pieces) {
            Ok(()) => {
                for piece in &pieces {
                    let text = &payload[piece.start..piece.end];
                    visit(Item {
                        index: Some(piece.index),
                        text,
                        event: self.event(record, text),
                    });
                }
            }
            Err(reject) => visit(Item {
                index: None,
                text: payload,
                event: Err(reject),
            }),
        }
        self.pieces = pieces;
    }

    /// Decodes a record of one event.
    ///
    /// # Errors
    /// Why the record cannot be used.
    pub fn read_one<'a>(&'a mut self, record: &Record<'a>) -> Result<Event<'a>, Reject> {
        self.event(record, record.payload.unwrap_or_default())
    }

    /// Decodes the text of one event of a record.
    fn event<'a>(&'a mut self, record: &Record<'a>, text: &'a [u8]) -> Result<Event<'a>, Reject> {
        if text.is_empty() {
            return Err(Reject::Empty);
        }
        if text.len() > MAX_EVENT_BYTES {
            return Err(Reject::TooLarge {
                bytes: text.len(),
                most: MAX_EVENT_BYTES,
            });
        }
        let payload = utf8(text)?;
        self.scratch.clear();
        self.spans.fill(Span::Missing);
        self.read_parts(record)?;
        if self.is_binary(record) {
            self.read_attributes(record.headers)?;
            json::scan(payload, &self.data_paths, &mut self.spans, &mut self.scratch)?;
        } else {
            json::scan(payload, &self.payload_paths, &mut self.spans, &mut self.scratch)?;
        }
        let mut event = Event {
            time_ms: 0,
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

    /// Whether the record is a CloudEvent in binary mode.
    fn is_binary(&self, record: &Record<'_>) -> bool {
        let marks = |(name, _): &(&str, &[u8])| name.eq_ignore_ascii_case("ce_specversion");
        self.format == Format::CloudEvents && record.headers.iter().any(marks)
    }

    fn read_attributes(&mut self, headers: &[(&str, &[u8])]) -> Result<(), Reject> {
        for (name, slot) in &self.attributes {
            let found = headers
                .iter()
                .find(|(header, _)| header.eq_ignore_ascii_case(name));
            if let Some((_, value)) = found {
                self.spans[*slot] = text_of(&mut self.scratch, "a header", value)?;
            }
        }
        Ok(())
    }

    fn read_parts(&mut self, record: &Record<'_>) -> Result<(), Reject> {
        let scratch = &mut self.scratch;
        for (part, slot) in &self.parts {
            self.spans[*slot] = match part {
                RecordPart::Key => match record.key {
                    Some(key) => text_of(scratch, "the record's key", key)?,
                    None => Span::Missing,
                },
                RecordPart::Header(name) => {
                    let mut latest_first = record.headers.iter().rev();
                    match latest_first.find(|(header, _)| header == name) {
                        Some((_, value)) => text_of(scratch, "a header", value)?,
                        None => Span::Missing,
                    }
                }
                RecordPart::Timestamp => match record.timestamp_ms {
                    Some(ms) => number(scratch, ms),
                    None => Span::Missing,
                },
                RecordPart::Topic => text_of(scratch, "the topic", record.topic.as_bytes())?,
                RecordPart::Partition => number(scratch, i64::from(record.partition)),
                RecordPart::Offset => number(scratch, record.offset),
            };
        }
        Ok(())
    }
}

/// Cuts a payload into its events.
fn cut(layout: Layout, payload: &[u8], pieces: &mut Vec<Piece>) -> Result<(), Reject> {
    if payload.len() > MAX_BATCH_BYTES {
        return Err(Reject::TooLarge {
            bytes: payload.len(),
            most: MAX_BATCH_BYTES,
        });
    }
    match layout {
        Layout::Array => split::elements(utf8(payload)?, pieces),
        Layout::Lines | Layout::Single => {
            split::lines(payload, pieces);
            Ok(())
        }
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, Reject> {
    simdutf8::compat::from_utf8(bytes).map_err(|e| Reject::InvalidUtf8 { at: e.valid_up_to() })
}

/// Keeps a text in the scratch buffer.
fn text_of(scratch: &mut String, part: &'static str, bytes: &[u8]) -> Result<Span, Reject> {
    let text = std::str::from_utf8(bytes).map_err(|e| Reject::PartNotUtf8 {
        part,
        at: e.valid_up_to(),
    })?;
    let start = scratch.len();
    scratch.push_str(text);
    Ok(Span::Scratch {
        start,
        end: scratch.len(),
    })
}

/// Writes a number into the scratch buffer.
fn number(scratch: &mut String, value: i64) -> Span {
    let start = scratch.len();
    // Writing to a String does not fail.
    let _ = write!(scratch, "{value}");
    Span::ScratchNumber {
        start,
        end: scratch.len(),
    }
}
