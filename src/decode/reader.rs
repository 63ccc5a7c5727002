//! The reader of one source's records.

use std::fmt::Write;

use jiff::tz::TimeZone;
use tautline_native::marks::Marks;

use super::avro::{self, Schemas};
use super::debezium::{self, Envelope, Side};
use super::json::{self, Paths, Span};
use super::split::{self, Piece};
use super::{
    Change, Event, FieldValue, Found, Item, Learned, MAX_BATCH_BYTES, MAX_EVENT_BYTES, Record, Reject,
    SchemaId, time,
};
use crate::catalog::{FieldId, FieldPath, FieldType, Format, Layout, RecordPart, Source};

/// Decodes the records of one source. Keeps its buffers from record to record: no allocation once they have grown.
#[derive(Debug)]
pub struct Reader {
    payload_paths: Paths,
    /// For CloudEvents in binary mode: paths below `data`.
    data_paths: Paths,
    /// For CloudEvents in binary mode: the header of every slot that is an attribute.
    attributes: Vec<(String, usize)>,
    /// For formats that may be Avro: the writers' schemas.
    schemas: Option<Schemas>,
    /// Parts of the record that fields ask for, and their slots.
    parts: Vec<(RecordPart, usize)>,
    format: Format,
    layout: Layout,
    kinds: Vec<FieldType>,
    /// Slot of the event time, behind those of the fields; `None`: the record's timestamp is the event time.
    time_slot: Option<usize>,
    /// Slot of the id, behind that.
    id_slot: Option<usize>,
    /// Whether a small number is a date, in days since 1970, as Debezium writes dates.
    dates_are_days: bool,
    /// Zone of times that are written without an offset.
    zone: Option<TimeZone>,
    /// For Debezium: the slots are those of an envelope with two rows.
    envelope: Option<Envelope>,
    spans: Vec<Span>,
    /// Texts that do not stand in the payload as they are: unescaped ones, and parts of the record.
    scratch: String,
    /// The quotes and backslashes of a payload.
    marks: Marks,
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
        let id_slot = source.dedup.as_ref().map(|dedup| {
            paths.push(&dedup.id);
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
            FieldPath::Payload(_) | FieldPath::Envelope(_) => None,
        });
        let time_is_column = matches!(source.time, Some(FieldPath::Payload(_)));
        let (envelope, payload_paths, schemas) = match source.format {
            Format::Debezium => {
                let (envelope, json, avro) = Envelope::new(&paths);
                (Some(envelope), json, Some(Schemas::new(avro)))
            }
            Format::Avro => (None, Paths::none(), Some(Schemas::new(Paths::new(whole())))),
            Format::Json | Format::CloudEvents => (None, Paths::new(whole()), None),
        };
        let slots = envelope.as_ref().map_or(paths.len(), Envelope::slots);
        Reader {
            payload_paths,
            data_paths: Paths::new(data),
            attributes: attributes.collect(),
            schemas,
            parts: parts.collect(),
            format: source.format,
            layout: source.layout,
            kinds: source.fields.iter().map(|field| field.kind).collect(),
            time_slot,
            id_slot,
            dates_are_days: envelope.is_some() && time_is_column,
            zone: source.timezone.clone(),
            envelope,
            spans: vec![Span::Missing; slots],
            scratch: String::new(),
            marks: Marks::default(),
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
            let found = self.found(record, payload);
            return visit(Item {
                index: None,
                text: payload,
                found,
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
                        found: self.found(record, text),
                    });
                }
            }
            Err(reject) => visit(Item {
                index: None,
                text: payload,
                found: Err(reject),
            }),
        }
        self.pieces = pieces;
    }

    /// The schema that must be [learned](Reader::learn) before this record can be read.
    pub fn schema_needed(&self, record: &Record<'_>) -> Option<SchemaId> {
        self.schemas.as_ref()?.needed(record.payload?)
    }

    /// Takes what the schema registry says of an id. Returns the fields that the schema has nothing for: they are
    /// missing in every event that was written by it.
    pub fn learn(&mut self, id: SchemaId, learned: Learned<'_>) -> Vec<FieldId> {
        let Some(schemas) = &mut self.schemas else {
            return Vec::new();
        };
        let fields = self.kinds.len();
        let absent = schemas.learn(id, learned).into_iter();
        let mut absent: Vec<FieldId> = absent
            .filter(|slot| *slot < fields)
            .map(|slot| FieldId(slot as u16))
            .collect();
        absent.sort_unstable_by_key(|field| field.0);
        absent
    }

    /// Decodes a record of one event that only adds.
    ///
    /// # Errors
    /// Why the record cannot be used.
    pub fn read_one<'a>(&'a mut self, record: &Record<'a>) -> Result<Event<'a>, Reject> {
        match self.found(record, record.payload.unwrap_or_default())? {
            Found::Change(change) => change.after.ok_or(Reject::Empty),
            Found::Tombstone => Err(Reject::Empty),
        }
    }

    /// Decodes the text of one event of a record.
    fn found<'a>(&'a mut self, record: &Record<'a>, text: &'a [u8]) -> Result<Found<'a>, Reject> {
        if self.envelope.is_some() && debezium::is_tombstone(text) {
            return Ok(Found::Tombstone);
        }
        let payload = self.scan(record, text)?;
        let change = match &self.envelope {
            None => Change::add(self.image(record, payload, 0)?),
            Some(envelope) => {
                envelope.share(&mut self.spans);
                self.change(envelope, record, payload)?
            }
        };
        Ok(Found::Change(change))
    }

    /// Finds the places of everything that is asked for; returns the text as such.
    fn scan<'t>(&mut self, record: &Record<'_>, text: &'t [u8]) -> Result<&'t str, Reject> {
        if text.is_empty() {
            return Err(Reject::Empty);
        }
        if text.len() > MAX_EVENT_BYTES {
            return Err(Reject::TooLarge {
                bytes: text.len(),
                most: MAX_EVENT_BYTES,
            });
        }
        self.scratch.clear();
        self.spans.fill(Span::Missing);
        if let Some(schemas) = &self.schemas
            && (self.format == Format::Avro || avro::is_framed(text))
        {
            schemas.scan(text, &mut self.spans, &mut self.scratch)?;
            self.read_parts(record)?;
            return Ok("");
        }
        let payload = utf8(text)?;
        self.read_parts(record)?;
        let paths = if self.is_binary(record) {
            self.read_attributes(record.headers)?;
            &mut self.data_paths
        } else {
            &mut self.payload_paths
        };
        json::scan(
            payload,
            paths,
            &mut self.spans,
            &mut self.scratch,
            &mut self.marks,
        )?;
        Ok(payload)
    }

    /// The event whose slots begin at `first`.
    fn image<'a>(&'a self, record: &Record<'_>, payload: &'a str, first: usize) -> Result<Event<'a>, Reject> {
        let mut event = Event {
            time_ms: 0,
            id_slot: self.id_slot,
            payload,
            scratch: &self.scratch,
            spans: &self.spans[first..],
            kinds: &self.kinds,
        };
        event.time_ms = match self.time_slot {
            Some(slot) => match event.spans[slot] {
                Span::Time { start, end, unit } => {
                    time::in_unit(&event.scratch[start..end], unit, self.zone.as_ref())?
                }
                _ => self.time_of(event.at(slot))?,
            },
            None => record
                .timestamp_ms
                .filter(|ms| *ms >= 0)
                .ok_or(Reject::MissingTime)?,
        };
        Ok(event)
    }

    fn time_of(&self, value: FieldValue<'_>) -> Result<i64, Reject> {
        let read = time::event_time(value, self.dates_are_days);
        match (&self.zone, read) {
            (Some(zone), Err(Reject::InvalidTime)) => time::local_time(value, zone),
            (_, read) => read,
        }
    }

    fn change<'a>(
        &'a self,
        envelope: &Envelope,
        record: &Record<'_>,
        payload: &'a str,
    ) -> Result<Change<'a>, Reject> {
        let whole = Event {
            time_ms: 0,
            id_slot: self.id_slot,
            payload,
            scratch: &self.scratch,
            spans: &self.spans,
            kinds: &self.kinds,
        };
        let operation = envelope.operation(&whole)?;
        let image = |side, first| match side {
            Side::Given => self.image(record, payload, first).map(Some),
            Side::None | Side::Lacking => Ok(None),
        };
        let after = image(operation.after, 0)?;
        let before = match image(operation.before, envelope.width()) {
            // A row whose time cannot be read was rejected when it came: an update takes nothing back.
            Err(_) if after.is_some() => None,
            Err(Reject::MissingTime) => return Err(Reject::MissingBefore),
            before => before?,
        };
        Ok(Change {
            before,
            after,
            lacks_before: operation.before == Side::Lacking,
        })
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
