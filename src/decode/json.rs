//! One pass over a JSON object: values on wanted paths are remembered by place, the rest is skipped.
//!
//! What is skipped is checked for its frame (strings closed, brackets matched, commas and colons where the walk goes),
//! not for every rule of the grammar inside it: a number in a field that nobody asked for may be malformed.

mod guess;
mod paths;
mod text;

use tautline_native::marks::Marks;

use super::Reject;
use guess::Lead;
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
    /// A time of day, or a time without a zone: no moment follows from it.
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
}

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
        for nth in 0.. {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let lead = match self.paths.nodes[node].guesses.try_at(nth, rest) {
                Some((length, lead)) => {
                    self.at += length;
                    if !lead.opens_text {
                        self.space();
                    }
                    lead
                }
                None => match self.lead(node, nth)? {
                    Some(lead) => lead,
                    None => break,
                },
            };
            match lead.child {
                Some(child) if lead.opens_text => {
                    self.forget(child);
                    let span = self.rest_of_wanted_text()?;
                    self.fill(child, span);
                }
                Some(child) => self.wanted(child, depth)?,
                None if lead.opens_text => {
                    self.rest_of_text()?;
                }
                None => self.skip(depth)?,
            }
        }
        Ok(())
    }

    /// Reads what stands before the `nth` value of an object; `None` at the end of the object, which is then behind.
    fn lead(&mut self, node: usize, nth: usize) -> Result<Option<Lead>, Reject> {
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
        let lead = Lead { child, opens_text };
        let text = &self.bytes[from..self.at];
        self.paths.nodes[node].guesses.learn(nth, text, lead);
        Ok(Some(lead))
    }

    /// Reads a key up to its value; returns where it leads.
    fn key(&mut self, node: usize) -> Result<Option<usize>, Reject> {
        let (start, end, escaped) = self.string("expected a key in quotes")?;
        let child = if escaped {
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

    /// A key that stands twice: nothing stays of the first value.
    #[inline]
    fn forget(&mut self, node: usize) {
        if !self.paths.nodes[node].children.is_empty() {
            self.paths.clear_below(node, self.spans);
        }
    }

    /// Notes the value of a node.
    #[inline]
    fn fill(&mut self, node: usize, span: Span) {
        for &slot in &self.paths.nodes[node].slots {
            self.spans[slot] = span;
        }
    }

    /// A value on a wanted path, or on the way to one.
    fn wanted(&mut self, node: usize, depth: usize) -> Result<(), Reject> {
        self.forget(node);
        let span = match self.peek() {
            Some(b'"') => {
                self.at += 1;
                self.rest_of_wanted_text()?
            }
            Some(b'{') if !self.paths.nodes[node].children.is_empty() => {
                self.object(node, depth + 1)?;
                Span::Composite
            }
            Some(b'{' | b'[') => {
                self.skip(depth)?;
                Span::Composite
            }
            Some(b't') => {
                self.word("true")?;
                Span::Bool(true)
            }
            Some(b'f') => {
                self.word("false")?;
                Span::Bool(false)
            }
            Some(b'n') => {
                self.word("null")?;
                Span::Missing
            }
            Some(b'-' | b'0'..=b'9') => self.wanted_number()?,
            _ => return Err(self.wrong("expected a value")),
        };
        self.fill(node, span);
        Ok(())
    }

    /// The rest of a text, which stands behind its first quote.
    #[inline]
    fn rest_of_wanted_text(&mut self) -> Result<Span, Reject> {
        let (start, end, escaped) = self.rest_of_text()?;
        if !escaped {
            return Ok(Span::Text { start, end });
        }
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
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    self.rest_of_text()?;
                }
                Some(bracket @ (b'{' | b'[')) => {
                    level += 1;
                    if depth + level > MAX_DEPTH {
                        return Err(Reject::TooDeep);
                    }
                    open = open << 1 | u64::from(bracket == b'{');
                    self.at += 1;
                }
                Some(bracket @ (b'}' | b']')) => {
                    if (open & 1 == 1) != (bracket == b'}') {
                        return Err(self.wrong("brackets do not match"));
                    }
                    open >>= 1;
                    level -= 1;
                    self.at += 1;
                    if level == 0 {
                        return Ok(());
                    }
                }
                Some(_) => self.at += 1,
                None => return Err(self.wrong("the record ends too early")),
            }
        }
    }

    /// Stands at a quote; returns the place between the quotes and whether something is escaped.
    fn string(&mut self, what: &'static str) -> Result<(usize, usize, bool), Reject> {
        self.expect(b'"', what)?;
        self.rest_of_text()
    }

    /// Stands behind the first quote of a text; returns the place between its quotes and whether something is escaped.
    #[inline]
    fn rest_of_text(&mut self) -> Result<(usize, usize, bool), Reject> {
        let start = self.at;
        let mut escaped = false;
        loop {
            let Some(found) = self.marks.next(self.at) else {
                self.at = self.bytes.len();
                return Err(self.wrong("a text is not closed"));
            };
            if self.bytes[found] == b'"' {
                self.at = found + 1;
                return Ok((start, found, escaped));
            }
            escaped = true;
            self.at = found + 2;
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
