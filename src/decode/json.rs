//! One pass over a JSON object: values on wanted paths are remembered by place, the rest is skipped.
//!
//! What is skipped is checked for its frame (strings closed, brackets matched, commas and colons where the walk goes),
//! not for every rule of the grammar inside it: a number in a field that nobody asked for may be malformed.

mod guess;
mod paths;
mod text;

use tautline_native::marks::Marks;

use super::Reject;
use guess::{Guesses, Lead, Way};
pub(super) use paths::Paths;
use text::{is_number as is_number_token, unescape};

/// Levels of nesting that are read.
pub(super) const MAX_DEPTH: usize = 64;

/// Where a wanted value stands.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Span {
    Missing,
    /// A text without escapes, between its quotes in the payload.
    Text {
        start: usize,
        end: usize,
    },
    /// A text in the scratch buffer.
    Scratch {
        start: usize,
        end: usize,
    },
    Number {
        start: usize,
        end: usize,
    },
    /// A number in the scratch buffer.
    ScratchNumber {
        start: usize,
        end: usize,
    },
    /// A whole number in the scratch buffer that stands for a time.
    Time {
        start: usize,
        end: usize,
        unit: TimeUnit,
    },
    Bool(bool),
    Composite,
}

/// What a number that stands for a time counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum TimeUnit {
    /// Milliseconds since 1970.
    Millis,
    /// Microseconds since 1970.
    Micros,
    /// Nanoseconds since 1970.
    Nanos,
    /// Milliseconds since 1970 by the clocks on the wall of a zone that the number does not say.
    LocalMillis,
    /// The same in microseconds.
    LocalMicros,
    /// The same in nanoseconds.
    LocalNanos,
    /// A time of day: no moment follows from it.
    NoInstant,
}

/// Scans a payload and fills the spans of the paths that it has; of a key that stands twice the last one counts.
pub(super) fn scan(
    payload: &str,
    paths: &mut Paths,
    spans: &mut [Span],
    scratch: &mut String,
    marks: &mut Marks,
) -> Result<(), Reject> {
    let mut scanner = Scanner::new(payload, paths, spans, scratch, marks);
    scanner.space();
    match scanner.peek() {
        Some(b'{') => scanner.object(0, 0)?,
        Some(b'[' | b'"' | b't' | b'f' | b'n' | b'-' | b'0'..=b'9') => return Err(Reject::NotAnObject),
        _ => return Err(scanner.wrong("expected an object")),
    }
    scanner.end("something follows the object")
}

pub(super) struct Scanner<'a> {
    bytes: &'a [u8],
    text: &'a str,
    /// Where it stands.
    pub(super) at: usize,
    paths: &'a mut Paths,
    spans: &'a mut [Span],
    scratch: &'a mut String,
    /// The quotes and backslashes of the payload.
    marks: &'a Marks,
    /// Which nodes have had a value, one bit each; beyond those that have one nothing is known.
    visited: u64,
}

/// Where a text stands between its quotes, and whether something in it is escaped.
struct Text {
    start: usize,
    end: usize,
    is_escaped: bool,
}

/// What a byte means to the frame of a value that is stepped over.
#[derive(Clone, Copy)]
enum Frame {
    None,
    Quote,
    Open,
    Close,
}

const FRAME: [Frame; 256] = {
    let mut frame = [Frame::None; 256];
    frame[b'"' as usize] = Frame::Quote;
    frame[b'{' as usize] = Frame::Open;
    frame[b'[' as usize] = Frame::Open;
    frame[b'}' as usize] = Frame::Close;
    frame[b']' as usize] = Frame::Close;
    frame
};

impl Scanner<'_> {
    /// Stands at the beginning of a payload.
    pub(super) fn new<'a>(
        payload: &'a str,
        paths: &'a mut Paths,
        spans: &'a mut [Span],
        scratch: &'a mut String,
        marks: &'a mut Marks,
    ) -> Scanner<'a> {
        marks.read(payload.as_bytes());
        Scanner {
            bytes: payload.as_bytes(),
            text: payload,
            at: 0,
            paths,
            spans,
            scratch,
            marks,
            visited: 0,
        }
    }

    /// Only space may follow.
    pub(super) fn end(&mut self, what: &'static str) -> Result<(), Reject> {
        self.space();
        if self.at < self.bytes.len() {
            return Err(self.wrong(what));
        }
        Ok(())
    }

    #[inline]
    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline]
    pub(super) fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    #[cold]
    pub(super) fn wrong(&self, what: &'static str) -> Reject {
        Reject::InvalidJson { at: self.at, what }
    }

    fn expect(&mut self, byte: u8, what: &'static str) -> Result<(), Reject> {
        if self.peek() != Some(byte) {
            return Err(self.wrong(what));
        }
        self.at += 1;
        Ok(())
    }

    /// Walks an object whose keys lead on from `node`; stands at its `{`.
    fn object(&mut self, node: usize, depth: usize) -> Result<(), Reject> {
        if depth >= MAX_DEPTH {
            return Err(Reject::TooDeep);
        }
        self.at += 1;
        // Paths are a tree: nobody asks for these guesses until the object is behind.
        let mut guesses = std::mem::take(&mut self.paths.nodes[node].guesses);
        let walked = self.members(node, depth, &mut guesses);
        self.paths.nodes[node].guesses = guesses;
        walked
    }

    fn members(&mut self, node: usize, depth: usize, guesses: &mut Guesses) -> Result<(), Reject> {
        for nth in 0.. {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let lead = match guesses.try_at(nth, rest) {
                Some((length, lead)) => {
                    self.at += length;
                    if !lead.opens_text {
                        self.space();
                    }
                    lead
                }
                None => match self.lead(node, nth, guesses)? {
                    Some(lead) => lead,
                    None => break,
                },
            };
            match lead.to {
                Way::Nowhere if lead.opens_text => {
                    self.rest_of_text()?;
                }
                Way::Nowhere => self.skip(depth)?,
                Way::Slot(slot) if lead.opens_text => {
                    self.spans[slot] = self.rest_of_wanted_text()?;
                }
                Way::Slot(slot) => self.spans[slot] = self.value(None, depth)?,
                Way::Node(child) => {
                    self.at -= usize::from(lead.opens_text);
                    self.wanted(child, depth)?;
                }
            }
        }
        Ok(())
    }

    /// Reads what stands before the `nth` value of an object; `None` at the end of the object, which is then behind.
    fn lead(&mut self, node: usize, nth: usize, guesses: &mut Guesses) -> Result<Option<Lead>, Reject> {
        let from = self.at;
        self.space();
        match self.peek() {
            Some(b'}') => {
                self.at += 1;
                return Ok(None);
            }
            Some(b',') if nth > 0 => {
                self.at += 1;
                self.space();
            }
            _ if nth > 0 => return Err(self.wrong("expected ',' or '}'")),
            _ => {}
        }
        let child = self.key(node)?;
        let opens_text = self.peek() == Some(b'"');
        self.at += usize::from(opens_text);
        let to = self.paths.way(child);
        let lead = Lead { to, opens_text };
        guesses.learn(nth, &self.bytes[from..self.at], lead);
        Ok(Some(lead))
    }

    /// Reads a key up to its value; returns where it leads.
    fn key(&mut self, node: usize) -> Result<Option<usize>, Reject> {
        let Text {
            start,
            end,
            is_escaped,
        } = self.string("expected a key in quotes")?;
        let child = if is_escaped {
            let from = self.scratch.len();
            unescape(self.text, start, end, self.scratch)?;
            let child = self
                .paths
                .child(node, self.scratch.as_bytes(), from, self.scratch.len());
            self.scratch.truncate(from);
            child
        } else {
            self.paths.child(node, self.bytes, start, end)
        };
        self.space();
        self.expect(b':', "expected ':' after a key")?;
        self.space();
        Ok(child)
    }

    /// A value on a wanted path, or on the way to one.
    fn wanted(&mut self, node: usize, depth: usize) -> Result<(), Reject> {
        let bit = 1_u64
            .checked_shl(u32::try_from(node).unwrap_or(u32::MAX))
            .unwrap_or(0);
        if bit == 0 || self.visited & bit != 0 {
            // A key that stands twice: nothing stays of the first value.
            self.paths.clear_below(node, self.spans);
        }
        self.visited |= bit;
        let has_children = !self.paths.nodes[node].children.is_empty();
        let span = self.value(has_children.then_some(node), depth)?;
        for &slot in &self.paths.nodes[node].slots {
            self.spans[slot] = span;
        }
        Ok(())
    }

    /// A value; what is wanted of an object leads on from `node`.
    fn value(&mut self, node: Option<usize>, depth: usize) -> Result<Span, Reject> {
        Ok(match (self.peek(), node) {
            (Some(b'"'), _) => {
                self.at += 1;
                self.rest_of_wanted_text()?
            }
            (Some(b'-' | b'0'..=b'9'), _) => self.wanted_number()?,
            (Some(b'{'), Some(node)) => {
                self.object(node, depth + 1)?;
                Span::Composite
            }
            (Some(b'{' | b'['), _) => {
                self.skip_nested(depth)?;
                Span::Composite
            }
            (Some(b't'), _) => {
                self.word("true")?;
                Span::Bool(true)
            }
            (Some(b'f'), _) => {
                self.word("false")?;
                Span::Bool(false)
            }
            (Some(b'n'), _) => {
                self.word("null")?;
                Span::Missing
            }
            _ => return Err(self.wrong("expected a value")),
        })
    }

    /// The rest of a text, which stands behind its first quote.
    #[inline]
    fn rest_of_wanted_text(&mut self) -> Result<Span, Reject> {
        let Text {
            start,
            end,
            is_escaped,
        } = self.rest_of_text()?;
        if is_escaped {
            return self.escaped(start, end);
        }
        Ok(Span::Text { start, end })
    }

    #[cold]
    fn escaped(&mut self, start: usize, end: usize) -> Result<Span, Reject> {
        let from = self.scratch.len();
        unescape(self.text, start, end, self.scratch)?;
        Ok(Span::Scratch {
            start: from,
            end: self.scratch.len(),
        })
    }

    /// A number, whose grammar is checked: most are digits with a point among them.
    fn wanted_number(&mut self) -> Result<Span, Reject> {
        let start = self.at;
        let whole = start + usize::from(self.peek() == Some(b'-'));
        let mut end = self.digits(whole);
        let mut is_number = end == whole + 1 || (end > whole && self.bytes[whole] != b'0');
        if self.bytes.get(end) == Some(&b'.') {
            let fraction = end + 1;
            end = self.digits(fraction);
            is_number &= end > fraction;
        }
        self.at = end;
        if let Some(b'-' | b'+' | b'.' | b'e' | b'E') = self.peek() {
            self.number();
            is_number = is_number_token(&self.bytes[start..self.at]);
        }
        if !is_number {
            self.at = start;
            return Err(self.wrong("not a number as JSON writes it"));
        }
        Ok(Span::Number { start, end: self.at })
    }

    /// Where the digits from here on end.
    #[inline]
    fn digits(&self, from: usize) -> usize {
        let rest = self.bytes.get(from..).unwrap_or_default();
        from + rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
    }

    /// Steps over a value.
    pub(super) fn skip(&mut self, depth: usize) -> Result<(), Reject> {
        match self.peek() {
            Some(b'"') => self.string("expected a text").map(|_| ()),
            Some(b'{' | b'[') => self.skip_nested(depth),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            Some(b'-' | b'0'..=b'9') => {
                self.number();
                Ok(())
            }
            _ => Err(self.wrong("expected a value")),
        }
    }

    /// Steps over an object or a list, matching brackets by a stack of bits.
    fn skip_nested(&mut self, depth: usize) -> Result<(), Reject> {
        let mut open: u64 = 0; // one bit a level: 1 for an object
        let mut level = 0;
        while let Some(&byte) = self.bytes.get(self.at) {
            match FRAME[usize::from(byte)] {
                Frame::None => self.at += 1,
                Frame::Quote => {
                    self.at += 1;
                    self.rest_of_text()?;
                }
                Frame::Open => {
                    level += 1;
                    if depth + level > MAX_DEPTH {
                        return Err(Reject::TooDeep);
                    }
                    open = open << 1 | u64::from(byte == b'{');
                    self.at += 1;
                }
                Frame::Close => {
                    if (open & 1 == 1) != (byte == b'}') {
                        return Err(self.wrong("brackets do not match"));
                    }
                    open >>= 1;
                    level -= 1;
                    self.at += 1;
                    if level == 0 {
                        return Ok(());
                    }
                }
            }
        }
        Err(self.wrong("the record ends too early"))
    }

    /// Stands at a quote.
    fn string(&mut self, what: &'static str) -> Result<Text, Reject> {
        self.expect(b'"', what)?;
        self.rest_of_text()
    }

    /// Stands behind the first quote of a text.
    #[inline(always)]
    fn rest_of_text(&mut self) -> Result<Text, Reject> {
        let start = self.at;
        match self.marks.next(start) {
            Some(end) if self.bytes[end] == b'"' => {
                self.at = end + 1;
                let is_escaped = false;
                Ok(Text {
                    start,
                    end,
                    is_escaped,
                })
            }
            _ => self.rest_of_escaped_text(),
        }
    }

    /// The same, for a text in which something is escaped, or which is not closed.
    #[cold]
    fn rest_of_escaped_text(&mut self) -> Result<Text, Reject> {
        let start = self.at;
        let mut is_escaped = false;
        loop {
            let Some(end) = self.marks.next(self.at) else {
                self.at = self.bytes.len();
                return Err(self.wrong("a text is not closed"));
            };
            if self.bytes[end] == b'"' {
                self.at = end + 1;
                return Ok(Text {
                    start,
                    end,
                    is_escaped,
                });
            }
            is_escaped = true;
            self.at = end + 2;
            if self.at > self.bytes.len() {
                self.at = self.bytes.len();
                return Err(self.wrong("a text is not closed"));
            }
        }
    }

    fn word(&mut self, word: &'static str) -> Result<(), Reject> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return Err(self.wrong("expected true, false or null"));
        }
        self.at += word.len();
        Ok(())
    }

    fn number(&mut self) {
        while let Some(b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
    }
}
