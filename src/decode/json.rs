//! One pass over a JSON object: values on wanted paths are remembered by place, the rest is skipped.
//!
//! What is skipped is checked for its frame (strings closed, brackets matched, commas and colons where the walk goes),
//! not for every rule of the grammar inside it: a number in a field that nobody asked for may be malformed.

mod guess;
mod marks;

use super::Reject;
use guess::Guesses;
use marks::Marks;

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

/// Wanted paths as a tree of keys.
#[derive(Debug)]
pub(super) struct Paths {
    nodes: Vec<Node>,
}

#[derive(Debug, Default)]
struct Node {
    children: Vec<(Key, usize)>,
    /// Slots that this path fills.
    slots: Vec<usize>,
    /// Keys of the objects that stood here.
    guesses: Guesses,
}

impl Paths {
    pub(super) fn new<'p>(paths: impl Iterator<Item = (&'p [String], usize)>) -> Paths {
        let mut nodes = vec![Node::default()];
        for (path, slot) in paths {
            let mut at = 0;
            for key in path {
                let known = nodes[at]
                    .children
                    .iter()
                    .find(|(name, _)| *name.text == *key.as_bytes())
                    .map(|(_, to)| *to);
                at = known.unwrap_or_else(|| {
                    nodes.push(Node::default());
                    let to = nodes.len() - 1;
                    nodes[at].children.push((Key::new(key.as_bytes()), to));
                    to
                });
            }
            nodes[at].slots.push(slot);
        }
        Paths { nodes }
    }

    /// No paths: everything is stepped over.
    pub(super) fn none() -> Paths {
        Paths { nodes: Vec::new() }
    }

    /// The node from which all paths lead on.
    pub(super) const ROOT: usize = 0;

    /// Number of nodes.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Slots that the value at a node fills.
    pub(super) fn slots(&self, node: usize) -> &[usize] {
        &self.nodes[node].slots
    }

    /// Keys that lead on from a node, and where to.
    pub(super) fn children(&self, node: usize) -> impl Iterator<Item = (&[u8], usize)> {
        let children = self.nodes[node].children.iter();
        children.map(|(key, to)| (&*key.text, *to))
    }

    /// Forgets what was found at a node and behind it.
    pub(super) fn clear_below(&self, node: usize, spans: &mut [Span]) {
        for &slot in &self.nodes[node].slots {
            spans[slot] = Span::Missing;
        }
        for (_, child) in &self.nodes[node].children {
            self.clear_below(*child, spans);
        }
    }

    /// The node that a key leads to.
    pub(super) fn child_of(&self, node: usize, key: &[u8]) -> Option<usize> {
        self.child(node, key, 0, key.len())
    }

    /// The node that a key leads to. The key stands at `start..end` of `bytes`.
    #[inline]
    fn child(&self, node: usize, bytes: &[u8], start: usize, end: usize) -> Option<usize> {
        let children = &self.nodes[node].children;
        let word = first_word(bytes, start, end);
        let is_it = |name: &Key| name.start == word && (end - start < 8 || *name.text == bytes[start..end]);
        children.iter().find(|(name, _)| is_it(name)).map(|(_, to)| *to)
    }
}

/// A key with its first bytes as a number: most keys are told apart by one comparison.
#[derive(Debug)]
struct Key {
    text: Box<[u8]>,
    start: u64,
}

impl Key {
    fn new(text: &[u8]) -> Key {
        Key {
            text: text.into(),
            start: first_word(text, 0, text.len()),
        }
    }
}

/// The first eight bytes of a key. A shorter key is followed by the byte 255, which no text holds, and zeros: it is
/// known by its number.
#[inline]
fn first_word(bytes: &[u8], start: usize, end: usize) -> u64 {
    let length = end - start;
    let word = match bytes[start..].first_chunk::<8>() {
        Some(word) => u64::from_le_bytes(*word),
        None => {
            let mut padded = [0; 8];
            padded[..length].copy_from_slice(&bytes[start..end]);
            u64::from_le_bytes(padded)
        }
    };
    if length >= 8 {
        return word;
    }
    let own = (1 << (8 * length)) - 1;
    word & own | 255 << (8 * length)
}

/// Scans a payload and fills the spans of the paths that it has; of a key that stands twice the last one counts.
pub(super) fn scan(
    payload: &str,
    paths: &mut Paths,
    spans: &mut [Span],
    scratch: &mut String,
) -> Result<(), Reject> {
    let mut scanner = Scanner::new(payload, paths, spans, scratch);
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
    marks: Marks,
}

impl Scanner<'_> {
    /// Stands at the beginning of a payload.
    pub(super) fn new<'a>(
        payload: &'a str,
        paths: &'a mut Paths,
        spans: &'a mut [Span],
        scratch: &'a mut String,
    ) -> Scanner<'a> {
        Scanner {
            bytes: payload.as_bytes(),
            text: payload,
            at: 0,
            paths,
            spans,
            scratch,
            marks: Marks::new(),
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

    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    pub(super) fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

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
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        let mut nth = 0;
        loop {
            let guessed = self.paths.nodes[node].guesses.try_at(nth, &self.bytes[self.at..]);
            let child = match guessed {
                Some((length, child)) => {
                    self.at += length;
                    self.space();
                    child
                }
                None => {
                    let from = self.at;
                    let child = self.key(node)?;
                    let text = &self.bytes[from..self.at];
                    self.paths.nodes[node].guesses.learn(nth, text, child);
                    child
                }
            };
            nth += 1;
            match child {
                Some(child) => self.wanted(child, depth)?,
                None => self.skip(depth)?,
            }
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.wrong("expected ',' or '}'")),
            }
            self.space();
        }
    }

    /// Reads a key up to its value; returns where it leads.
    fn key(&mut self, node: usize) -> Result<Option<usize>, Reject> {
        let (start, end, escaped) = self.string("expected a key in quotes")?;
        let child = if escaped {
            let from = self.scratch.len();
            self.unescape(start, end)?;
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
        let start = self.at;
        if !self.paths.nodes[node].children.is_empty() {
            // A key that stands twice: nothing stays of the first value.
            self.paths.clear_below(node, self.spans);
        }
        let span = match self.peek() {
            Some(b'"') => {
                let (start, end, escaped) = self.string("expected a text")?;
                if escaped {
                    let from = self.scratch.len();
                    self.unescape(start, end)?;
                    Span::Scratch {
                        start: from,
                        end: self.scratch.len(),
                    }
                } else {
                    Span::Text { start, end }
                }
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
            Some(b'-' | b'0'..=b'9') => {
                self.number();
                if !is_number(&self.bytes[start..self.at]) {
                    self.at = start;
                    return Err(self.wrong("not a number as JSON writes it"));
                }
                Span::Number { start, end: self.at }
            }
            _ => return Err(self.wrong("expected a value")),
        };
        for &slot in &self.paths.nodes[node].slots {
            self.spans[slot] = span;
        }
        Ok(())
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
                    self.string("expected a text")?;
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
        let start = self.at;
        let mut escaped = false;
        loop {
            let Some(found) = self.marks.next(self.bytes, self.at) else {
                self.at = self.bytes.len();
                return Err(self.wrong("a text is not closed"));
            };
            self.at = found;
            if self.bytes[self.at] == b'"' {
                self.at += 1;
                return Ok((start, self.at - 1, escaped));
            }
            escaped = true;
            self.at += 2;
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

    /// Appends the text between `start` and `end` to the scratch buffer, escapes resolved.
    fn unescape(&mut self, start: usize, end: usize) -> Result<(), Reject> {
        let wrong = Reject::InvalidJson {
            at: start,
            what: "a text has an unknown escape",
        };
        let mut rest = &self.text[start..end];
        while let Some(at) = rest.find('\\') {
            self.scratch.push_str(&rest[..at]);
            let code = rest.as_bytes().get(at + 1).copied().ok_or(wrong)?;
            let mut after = at + 2;
            self.scratch.push(match code {
                b'"' | b'\\' | b'/' => char::from(code),
                b'b' => '\u{8}',
                b'f' => '\u{c}',
                b'n' => '\n',
                b'r' => '\r',
                b't' => '\t',
                b'u' => {
                    let high = hex(rest, after).ok_or(wrong)?;
                    after += 4;
                    let code = if (0xD800..0xDC00).contains(&high) {
                        let low = rest
                            .get(after..after + 2)
                            .filter(|text| *text == "\\u")
                            .and_then(|_| hex(rest, after + 2));
                        let low = low.filter(|low| (0xDC00..0xE000).contains(low)).ok_or(wrong)?;
                        after += 6;
                        0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)
                    } else {
                        high
                    };
                    char::from_u32(code).ok_or(wrong)?
                }
                _ => return Err(wrong),
            });
            rest = &rest[after..];
        }
        self.scratch.push_str(rest);
        Ok(())
    }
}

/// Whether a token is a number of JSON's grammar: no leading zero, digits on both sides of the point.
fn is_number(token: &[u8]) -> bool {
    let digits = |bytes: &[u8]| bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut rest = token.strip_prefix(b"-").unwrap_or(token);
    let whole = digits(rest);
    if whole == 0 || (whole > 1 && rest[0] == b'0') {
        return false;
    }
    rest = &rest[whole..];
    if let Some(fraction) = rest.strip_prefix(b".") {
        let count = digits(fraction);
        if count == 0 {
            return false;
        }
        rest = &fraction[count..];
    }
    if let Some(exponent) = rest.strip_prefix(b"e").or(rest.strip_prefix(b"E")) {
        let exponent = exponent
            .strip_prefix(b"+")
            .or(exponent.strip_prefix(b"-"))
            .unwrap_or(exponent);
        return !exponent.is_empty() && digits(exponent) == exponent.len();
    }
    rest.is_empty()
}

fn hex(text: &str, at: usize) -> Option<u32> {
    let digits = text.get(at..at + 4)?;
    digits
        .bytes()
        .all(|b| b.is_ascii_hexdigit())
        .then(|| u32::from_str_radix(digits, 16).ok())?
}
