//! Debezium's change events as Kafka Connect writes them: in JSON, with the `schema`/`payload` wrapper or without, or in
//! Avro.
//!
//! The wrapper need not be recognised: every path is looked for at both places, and a record has one of them.

use super::json::{Paths, Span};
use super::{Event, FieldValue, Reject};
use crate::catalog::FieldPath;

/// Where the parts of an envelope are kept: the slots of the row after, those of the row before, then its own.
#[derive(Debug)]
pub(super) struct Envelope {
    /// Number of slots of one row.
    width: usize,
    /// Slots that do not depend on the row: both images have them.
    shared: Vec<usize>,
}

/// What an envelope says, besides the rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Operation {
    /// Whether the row before is there, absent although there was one, or never was.
    pub(super) before: Side,
    /// The same for the row after.
    pub(super) after: Side,
}

/// One side of a change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Side {
    /// There is no row on this side.
    None,
    /// The row is in the record.
    Given,
    /// There was a row, and the record does not have it.
    Lacking,
}

impl Envelope {
    /// The envelope around rows with these fields, and the paths that fill its slots: in JSON, and in Avro, which has
    /// no wrapper.
    pub(super) fn new(fields: &[&FieldPath]) -> (Envelope, Paths, Paths) {
        let width = fields.len();
        let mut wanted: Vec<(Vec<String>, usize)> = Vec::new();
        let mut shared = Vec::new();
        for (slot, field) in fields.iter().enumerate() {
            match field {
                FieldPath::Payload(keys) => {
                    wanted.push((under("after", keys), slot));
                    wanted.push((under("before", keys), width + slot));
                }
                FieldPath::Envelope(keys) => {
                    wanted.push((keys.clone(), slot));
                    shared.push(slot);
                }
                FieldPath::Record(_) => shared.push(slot),
            }
        }
        for (n, key) in ["op", "before", "after"].into_iter().enumerate() {
            wanted.push((vec![key.to_owned()], 2 * width + n));
        }
        let wrapped: Vec<_> = wanted
            .iter()
            .map(|(keys, slot)| (under("payload", keys), *slot))
            .collect();
        let plain = || wanted.iter().map(|(keys, slot)| (keys.as_slice(), *slot));
        let wrapped = wrapped.iter().map(|(keys, slot)| (keys.as_slice(), *slot));
        let json = Paths::new(plain().chain(wrapped));
        (Envelope { width, shared }, json, Paths::new(plain()))
    }

    /// Where the slots of the row before begin.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// Number of slots.
    pub(super) fn slots(&self) -> usize {
        2 * self.width + 3
    }

    /// Gives the row before what both rows have in common.
    pub(super) fn share(&self, spans: &mut [Span]) {
        for &slot in &self.shared {
            spans[self.width + slot] = spans[slot];
        }
    }

    /// What the envelope says; `whole` is the event over all slots.
    pub(super) fn operation(&self, whole: &Event<'_>) -> Result<Operation, Reject> {
        let FieldValue::Text(op) = whole.at(2 * self.width) else {
            return Err(Reject::NoEnvelope);
        };
        let side = |slot: usize| match whole.at(2 * self.width + slot) {
            FieldValue::Composite => Ok(Side::Given),
            FieldValue::Missing => Ok(Side::Lacking),
            _ => Err(Reject::RowNotAnObject),
        };
        let (before, after) = match op {
            "c" | "r" => (Side::None, side(2)?),
            "u" => (side(1)?, side(2)?),
            "d" => (side(1)?, Side::None),
            _ => {
                return Err(Reject::UnknownOperation {
                    op: op.chars().next().unwrap_or(' '),
                });
            }
        };
        if after == Side::Lacking {
            return Err(Reject::RowNotAnObject);
        }
        Ok(Operation { before, after })
    }
}

/// Whether a payload only marks a deleted row: nothing, or nothing in a wrapper, as old versions of Connect wrote it.
pub(super) fn is_tombstone(payload: &[u8]) -> bool {
    const WRAPPED: &[u8] = br#"{"schema":null,"payload":null}"#;
    let is_space = |byte: &u8| byte.is_ascii_whitespace();
    let short = payload.len() <= 2 * WRAPPED.len();
    let dense = || payload.iter().filter(|byte| !is_space(byte));
    short && (dense().next().is_none() || dense().eq(b"null") || dense().eq(WRAPPED))
}

fn under(key: &str, keys: &[String]) -> Vec<String> {
    std::iter::once(key.to_owned())
        .chain(keys.iter().cloned())
        .collect()
}
