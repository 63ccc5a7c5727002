//! Decode: bytes to an [`Event`], reading only the fields that the catalogue asks for, in one pass.
//!
//! * [`reader`]: the reader of one source's records. * [`event`]: what it hands out.
//! * [`json`]: the scanner. It walks the object once, keeps the places of wanted values and skips the rest.
//! * [`avro`]: the other one, for Avro with a schema registry.
//! * [`change`]: what an event adds and what it takes back. [`debezium`]: changes of a table's rows.
//! * [`split`]: a payload with several events, cut into pieces.
//! * [`time`]: event times. * [`reject`]: why a record could not be used.
//!
//! CloudEvents in binary mode carry their attributes as headers `ce_<name>` and their data as the payload (Kafka
//! protocol binding 1.0.2); in structured mode, and for plain JSON, everything is in the payload.

mod avro;
mod change;
mod debezium;
mod event;
mod json;
mod reader;
mod reject;
mod split;
mod time;

pub use avro::{FieldKind, Learned, SchemaField, SchemaId, Shown, WriterSchema, schema_of};
pub use change::{Change, Found, Sign};
pub use event::{Event, FieldValue};
pub use reader::Reader;
pub use reject::Reject;
pub(crate) use time::event_time;

/// Largest event that is read, in bytes.
pub const MAX_EVENT_BYTES: usize = 1024 * 1024;
/// Largest record of several events that is read, in bytes.
pub const MAX_BATCH_BYTES: usize = 8 * 1024 * 1024;

/// A record as its source hands it over.
#[derive(Clone, Copy, Debug, Default)]
pub struct Record<'a> {
    /// Where it comes from: a Kafka topic.
    pub topic: &'a str,
    /// Partition of the topic.
    pub partition: i32,
    /// Place in the partition.
    pub offset: i64,
    /// The key, if it has one.
    pub key: Option<&'a [u8]>,
    /// The value; `None` for a tombstone.
    pub payload: Option<&'a [u8]>,
    /// Headers, in order.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// Timestamp of the record, in milliseconds since the epoch.
    pub timestamp_ms: Option<i64>,
}

/// One event of a record, or why it cannot be used. `'r` is the record's life, `'e` that of the reader's buffers.
#[derive(Debug)]
pub struct Item<'r, 'e> {
    /// Its number in the record, from 0 (of lines, blank ones counted); `None` when the record is one event, or is
    /// refused as a whole.
    pub index: Option<u32>,
    /// Its own bytes.
    pub text: &'r [u8],
    /// The event.
    pub found: Result<Found<'e>, Reject>,
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::any_json;
