//! Reads a body by a compiled schema: one pass, nothing is built; wanted values end in the scratch buffer as text.
//!
//! The encoding: <https://avro.apache.org/docs/1.12.0/specification/#binary-encoding>.

use std::fmt::Write;

use jiff::ToSpan;
use jiff::civil::{Date, date};

use super::SchemaId;
use super::number;
use super::program::{Entry, Op, Program, What};
use crate::decode::Reject;
use crate::decode::json::{MAX_DEPTH, Paths, Span, TimeUnit};

/// Why a body cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Wrong {
    TooDeep,
    At { at: usize, what: &'static str },
}

impl Wrong {
    pub(super) fn in_schema(self, id: SchemaId) -> Reject {
        match self {
            Wrong::TooDeep => Reject::TooDeep,
            Wrong::At { at, what } => Reject::InvalidAvro { id, at, what },
        }
    }
}

/// Reads a whole body.
pub(super) fn walk(
    program: &Program,
    paths: &Paths,
    body: &[u8],
    spans: &mut [Span],
    scratch: &mut String,
) -> Result<(), Wrong> {
    let mut walk = Walk {
        ops: &program.ops,
        paths,
        body,
        at: 0,
        spans,
        scratch,
    };
    walk.value(program.root, 0)?;
    if walk.at < body.len() {
        return Err(walk.wrong("something follows the value"));
    }
    Ok(())
}

struct Walk<'a> {
    ops: &'a [Op],
    paths: &'a Paths,
    body: &'a [u8],
    at: usize,
    spans: &'a mut [Span],
    scratch: &'a mut String,
}

impl<'a> Walk<'a> {
    fn wrong(&self, what: &'static str) -> Wrong {
        Wrong::At { at: self.at, what }
    }

    fn value(&mut self, op: usize, depth: usize) -> Result<(), Wrong> {
        if depth > MAX_DEPTH {
            return Err(Wrong::TooDeep);
        }
        let ops = self.ops;
        let Op { what, slots } = &ops[op];
        let wanted = !slots.is_empty();
        let span = match what {
            What::Skip(bytes) => return self.step(*bytes),
            What::Union(branches) => {
                let branch = self.long()?;
                let branch = usize::try_from(branch)
                    .ok()
                    .and_then(|branch| branches.get(branch));
                let Some(branch) = branch else {
                    return Err(self.wrong("the union has no such branch"));
                };
                return self.value(*branch, depth);
            }
            What::Record(parts) => {
                for part in parts {
                    self.value(*part, depth + 1)?;
                }
                Span::Composite
            }
            What::Array(item) => {
                self.blocks(|walk| walk.value(*item, depth + 1), true)?;
                Span::Composite
            }
            What::Map { wanted, others } => {
                let entry = |walk: &mut Walk<'a>| {
                    let key = walk.bytes()?;
                    match wanted.iter().find(|wanted| *wanted.key == *key) {
                        Some(Entry { node, value, .. }) => {
                            // A key that stands twice: nothing stays of the first value.
                            walk.paths.clear_below(*node, walk.spans);
                            walk.value(*value, depth + 1)
                        }
                        None => walk.value(*others, depth + 1),
                    }
                };
                self.blocks(entry, wanted.is_empty())?;
                Span::Composite
            }
            What::Null => Span::Missing,
            What::Bool => match self.take(1)?[0] {
                0 => Span::Bool(false),
                1 => Span::Bool(true),
                _ => return Err(self.wrong("a truth is 0 or 1")),
            },
            What::Whole(unit) => {
                let value = self.long()?;
                if !wanted {
                    return Ok(());
                }
                let (start, end) = self.written(|text| write!(text, "{value}"));
                match unit {
                    Some(unit) => Span::Time {
                        start,
                        end,
                        unit: *unit,
                    },
                    None => Span::ScratchNumber { start, end },
                }
            }
            What::Date => {
                let days = self.long()?;
                match (wanted, day(days)) {
                    (false, _) => return Ok(()),
                    (true, Some(day)) => self.text(|text| write!(text, "{day}")),
                    (true, None) => {
                        let (start, end) = self.written(|text| write!(text, "{days}"));
                        Span::Time {
                            start,
                            end,
                            unit: TimeUnit::NoInstant,
                        }
                    }
                }
            }
            What::Float => {
                let value = f32::from_le_bytes(self.array()?);
                self.float(f64::from(value), |text| number::write_f32(text, value))
            }
            What::Double => {
                let value = f64::from_le_bytes(self.array()?);
                self.float(value, |text| number::write_f64(text, value))
            }
            What::Text => {
                let start = self.at;
                let bytes = self.bytes()?;
                if !wanted {
                    return Ok(());
                }
                let Ok(found) = simdutf8::basic::from_utf8(bytes) else {
                    self.at = start;
                    return Err(self.wrong("a text is not UTF-8"));
                };
                self.text(|text| text.write_str(found))
            }
            What::Enum(symbols) => {
                let symbol = self.long()?;
                let symbol = usize::try_from(symbol)
                    .ok()
                    .and_then(|symbol| symbols.get(symbol));
                let Some(symbol) = symbol else {
                    return Err(self.wrong("the enum has no such symbol"));
                };
                if !wanted {
                    return Ok(());
                }
                self.text(|text| text.write_str(symbol))
            }
            What::Bytes => {
                self.bytes()?;
                Span::Composite
            }
            What::Fixed(bytes) => {
                self.step(*bytes)?;
                Span::Composite
            }
            What::Decimal(scale) => {
                let bytes = self.bytes()?;
                if !wanted {
                    return Ok(());
                }
                self.decimal(bytes, *scale)
            }
            What::FixedDecimal { bytes, scale } => {
                let bytes = self.take(*bytes as u64)?;
                self.decimal(bytes, *scale)
            }
            What::Uuid => {
                let bytes: [u8; 16] = self.array()?;
                self.text(|text| number::write_uuid(text, &bytes))
            }
        };
        for &slot in slots {
            self.spans[slot] = span;
        }
        Ok(())
    }

    /// The items of a list or a map, block by block. A block may say its length: `steps_over` uses it.
    fn blocks(
        &mut self,
        mut item: impl FnMut(&mut Walk<'a>) -> Result<(), Wrong>,
        steps_over: bool,
    ) -> Result<(), Wrong> {
        loop {
            let count = self.long()?;
            if count == 0 {
                return Ok(());
            }
            if count < 0 {
                let bytes = self.length()?;
                if steps_over {
                    self.step(bytes)?;
                    continue;
                }
            }
            for _ in 0..count.unsigned_abs() {
                let before = self.at;
                item(self)?;
                if self.at == before {
                    // Items without bytes: so are the others, however many there are said to be.
                    break;
                }
            }
        }
    }

    fn decimal(&mut self, bytes: &[u8], scale: usize) -> Span {
        let (start, end) = self.written(|text| number::write_decimal(text, bytes, scale));
        Span::ScratchNumber { start, end }
    }

    /// A number that is none is kept as a text: nobody takes it for a number then.
    fn float(&mut self, value: f64, write: impl FnOnce(&mut String) -> std::fmt::Result) -> Span {
        let (start, end) = self.written(write);
        if value.is_finite() {
            Span::ScratchNumber { start, end }
        } else {
            Span::Scratch { start, end }
        }
    }

    fn text(&mut self, write: impl FnOnce(&mut String) -> std::fmt::Result) -> Span {
        let (start, end) = self.written(write);
        Span::Scratch { start, end }
    }

    fn written(&mut self, write: impl FnOnce(&mut String) -> std::fmt::Result) -> (usize, usize) {
        let start = self.scratch.len();
        // Writing to a String does not fail.
        let _ = write(self.scratch);
        (start, self.scratch.len())
    }

    /// A whole number: zigzag, seven bits a byte, the low ones first.
    fn long(&mut self) -> Result<i64, Wrong> {
        let mut value: u64 = 0;
        for shift in (0..70).step_by(7) {
            let Some(&byte) = self.body.get(self.at) else {
                return Err(self.wrong("the record ends too early"));
            };
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            self.at += 1;
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
            }
        }
        Err(self.wrong("a number is too long"))
    }

    fn length(&mut self) -> Result<u64, Wrong> {
        let start = self.at;
        u64::try_from(self.long()?).map_err(|_| Wrong::At {
            at: start,
            what: "a length is negative",
        })
    }

    fn bytes(&mut self) -> Result<&'a [u8], Wrong> {
        let length = self.length()?;
        self.take(length)
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], Wrong> {
        let start = self.at;
        self.step(length)?;
        Ok(&self.body[start..self.at])
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Wrong> {
        let bytes = self.take(N as u64)?;
        bytes
            .try_into()
            .map_err(|_| self.wrong("the record ends too early"))
    }

    fn step(&mut self, bytes: u64) -> Result<(), Wrong> {
        let left = self.body.len() - self.at;
        match usize::try_from(bytes) {
            Ok(bytes) if bytes <= left => {
                self.at += bytes;
                Ok(())
            }
            _ => Err(self.wrong("the record ends too early")),
        }
    }
}

/// The day so many days after 1970-01-01, within the calendar.
fn day(days: i64) -> Option<Date> {
    let days = i32::try_from(days).ok().filter(|days| days.abs() < 4_000_000)?;
    date(1970, 1, 1).checked_add(days.days()).ok()
}
