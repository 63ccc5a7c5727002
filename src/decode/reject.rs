//! Why a record could not be used: a word for metrics, a sentence for people.

use super::SchemaId;
use crate::catalog::{FieldId, Format, Source};

/// A reason of rejection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Reject {
    /// No payload: a tombstone, or an empty one.
    #[error("the record is empty")]
    Empty,
    /// Longer than [`super::MAX_EVENT_BYTES`], or all events together than [`super::MAX_BATCH_BYTES`].
    #[error("the record has {bytes} bytes; at most {most} are read")]
    TooLarge {
        /// Its length.
        bytes: usize,
        /// The most that is read.
        most: usize,
    },
    /// Not UTF-8.
    #[error("not UTF-8 at byte {at}")]
    InvalidUtf8 {
        /// Offset of the first wrong byte.
        at: usize,
    },
    /// A part of the record beside its payload is not UTF-8.
    #[error("{part} is not UTF-8 at byte {at}")]
    PartNotUtf8 {
        /// Which part.
        part: &'static str,
        /// Offset of the first wrong byte in it.
        at: usize,
    },
    /// Not JSON.
    #[error("not JSON at byte {at}: {what}")]
    InvalidJson {
        /// Offset in the payload.
        at: usize,
        /// What was expected.
        what: &'static str,
    },
    /// Not in the wire format of a schema registry.
    #[error(
        "the record does not begin with a byte 0 and four bytes of schema id, as serializers that use a schema registry write it"
    )]
    NoSchemaId,
    /// The registry has no such schema.
    #[error("the schema registry has no schema {id}")]
    UnknownSchema {
        /// Its id.
        id: SchemaId,
    },
    /// The schema cannot be used.
    #[error("schema {id} cannot be used: {why}")]
    UnusableSchema {
        /// Its id.
        id: SchemaId,
        /// Why.
        why: &'static str,
    },
    /// Not what its schema says.
    #[error("not what schema {id} says at byte {at} of the body: {what}")]
    InvalidAvro {
        /// Id of the schema.
        id: SchemaId,
        /// Offset in the body.
        at: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// Nested deeper than is read.
    #[error("nested deeper than {} levels", super::json::MAX_DEPTH)]
    TooDeep,
    /// JSON, but not an object.
    #[error("the record is not a JSON object")]
    NotAnObject,
    /// JSON, but not an array, where the source says `payload: array`.
    #[error("the record is not a JSON array; without 'payload: array' a record is one object")]
    NotAnArray,
    /// Not one of Debezium's change events.
    #[error(
        "no Debezium change event: 'op' is missing; rows that ExtractNewRecordState unwrapped are format: json"
    )]
    NoEnvelope,
    /// An operation that is not one of Debezium's on rows.
    #[error("operation '{op}' is not one on rows: c, u, d and r are")]
    UnknownOperation {
        /// Its first character.
        op: char,
    },
    /// The row of a change is missing, or no object.
    #[error("the row of the change is not a JSON object")]
    RowNotAnObject,
    /// What the row was is not in the record, so that it cannot be taken back.
    #[error(
        "the record does not say what the row was before; let the database log whole rows (PostgreSQL: ALTER TABLE … REPLICA IDENTITY FULL; MySQL: binlog_row_image=FULL)"
    )]
    MissingBefore,
    /// The event time is missing.
    #[error("the event time is missing")]
    MissingTime,
    /// The event time cannot be read.
    #[error(
        "the event time is neither RFC 3339 nor a number of seconds or milliseconds since 1970; for times without an offset write timezone: Asia/Shanghai, or whichever it is, at the source"
    )]
    InvalidTime,
    /// The id is missing.
    #[error("the event has no id, a text or a number, by which its source tells copies")]
    MissingId,
    /// The event time is too far ahead of the clock.
    #[error("the event time is ahead of the clock by more than max_skew")]
    Future,
    /// A field that a metric aggregates is missing.
    #[error("field {} is missing", field.0)]
    MissingField {
        /// Which.
        field: FieldId,
    },
    /// A field has another type than a metric needs.
    #[error("field {} is {found}", field.0)]
    WrongType {
        /// Which.
        field: FieldId,
        /// What it is, and should not be.
        found: &'static str,
    },
    /// A number is too large to be summed exactly.
    #[error("field {} is beyond ±10^18", field.0)]
    OutOfRange {
        /// Which.
        field: FieldId,
    },
}

impl Reject {
    /// The reason as a word, for `tautline_events_total{outcome}`.
    pub fn reason(&self) -> &'static str {
        match self {
            Reject::Empty => "empty",
            Reject::TooLarge { .. } => "too_large",
            Reject::InvalidUtf8 { .. } | Reject::PartNotUtf8 { .. } => "invalid_utf8",
            Reject::InvalidJson { .. } => "invalid_json",
            Reject::NoSchemaId => "no_schema_id",
            Reject::UnknownSchema { .. } => "unknown_schema",
            Reject::UnusableSchema { .. } => "unusable_schema",
            Reject::InvalidAvro { .. } => "invalid_avro",
            Reject::TooDeep => "too_deep",
            Reject::NotAnObject => "not_an_object",
            Reject::NotAnArray => "not_an_array",
            Reject::NoEnvelope => "no_envelope",
            Reject::UnknownOperation { .. } => "unknown_operation",
            Reject::RowNotAnObject => "not_an_object",
            Reject::MissingBefore => "missing_before",
            Reject::MissingTime => "missing_time",
            Reject::InvalidTime => "invalid_time",
            Reject::MissingId => "missing_id",
            Reject::Future => "future",
            Reject::MissingField { .. } => "missing_field",
            Reject::WrongType { .. } => "wrong_type",
            Reject::OutOfRange { .. } => "out_of_range",
        }
    }

    /// The reason as a sentence, fields by name.
    pub fn explain(&self, source: &Source) -> String {
        let named = |field: &FieldId| {
            let field = source.fields.get(usize::from(field.0));
            field.map_or_else(String::new, |field| format!("'{}' ({})", field.name, field.path))
        };
        match self {
            Reject::MissingField { field } => format!("field {} is missing", named(field)),
            Reject::WrongType { field, found } if source.format == Format::Debezium => format!(
                "field {} is {found}; for decimals set decimal.handling.mode to string in the connector",
                named(field)
            ),
            Reject::WrongType { field, found } => format!("field {} is {found}", named(field)),
            Reject::OutOfRange { field } => format!("field {} is beyond ±10^18", named(field)),
            other => other.to_string(),
        }
    }
}
