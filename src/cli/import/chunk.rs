//! A file cut into requests. The cuts depend on the file alone, so that an import that was broken off and is run again
//! sends the same requests, and those that were taken count once.

use std::io::BufRead;
use std::path::Path;

use xxhash_rust::xxh3::xxh3_128;

/// Events of one request.
const EVENTS_A_CHUNK: usize = 5_000;
/// A request is full from this length on, in bytes: far below what the daemon takes.
const BYTES_A_CHUNK: usize = 1024 * 1024;

/// One request: one JSON object a line.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Chunk {
    pub(super) body: Vec<u8>,
    /// Line in the file of every event.
    lines: Vec<u64>,
    /// How much of the file it is, in bytes.
    pub(super) read_bytes: u64,
}

/// An event of a file.
pub(super) struct FileEvent {
    /// One JSON object, without a line break.
    pub(super) json: Vec<u8>,
    /// Its line in the file, from 1.
    pub(super) line: u64,
    /// How much of the file it took, in bytes.
    pub(super) read_bytes: u64,
}

impl Chunk {
    /// The line of an event by its number.
    pub(super) fn line(&self, index: u32) -> u64 {
        self.lines.get(index as usize).copied().unwrap_or(0)
    }

    /// Where it begins.
    pub(super) fn first_line(&self) -> u64 {
        self.line(0)
    }

    /// Names the request: the same part of the same file has the same name.
    pub(super) fn key(&self, file: &Path, number: u64, again: bool) -> String {
        let name = file
            .file_name()
            .map(|name| name.to_string_lossy())
            .unwrap_or_default();
        let mut named = self.body.clone();
        named.extend_from_slice(name.as_bytes());
        if again {
            named.extend_from_slice(&rand::random::<u64>().to_le_bytes());
        }
        format!("import-{number}-{:032x}", xxh3_128(&named))
    }

    fn is_full(&self) -> bool {
        self.lines.len() >= EVENTS_A_CHUNK || self.body.len() >= BYTES_A_CHUNK
    }
}

/// Cuts events into requests; a mistake ends them.
pub(super) fn chunks<'a>(
    mut events: impl Iterator<Item = Result<FileEvent, String>> + 'a,
) -> impl Iterator<Item = Result<Chunk, String>> + 'a {
    std::iter::from_fn(move || {
        let mut chunk = Chunk::default();
        while !chunk.is_full() {
            match events.next() {
                Some(Ok(event)) => {
                    chunk.body.extend_from_slice(&event.json);
                    chunk.body.push(b'\n');
                    chunk.lines.push(event.line);
                    chunk.read_bytes += event.read_bytes;
                }
                Some(Err(error)) => return Some(Err(error)),
                None => break,
            }
        }
        (!chunk.lines.is_empty()).then_some(Ok(chunk))
    })
}

/// The lines of an NDJSON file; blank ones are no events.
pub(super) struct Lines<R> {
    reader: R,
    shown: String,
    line: u64,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(reader: R, shown: String) -> Lines<R> {
        Lines {
            reader,
            shown,
            line: 0,
        }
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = Result<FileEvent, String>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut read_bytes = 0;
        loop {
            let mut text = Vec::new();
            match self.reader.read_until(b'\n', &mut text) {
                Ok(0) => return None,
                Ok(read) => read_bytes += read as u64,
                Err(error) => return Some(Err(format!("{}: {error}", self.shown))),
            }
            self.line += 1;
            let json = text.trim_ascii();
            let json = if self.line == 1 {
                json.strip_prefix("\u{feff}".as_bytes()).unwrap_or(json)
            } else {
                json
            };
            if !json.is_empty() {
                return Some(Ok(FileEvent {
                    json: json.to_vec(),
                    line: self.line,
                    read_bytes,
                }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_knows_its_line() {
        let text = "\u{feff}{\"a\": 1}\n\n  {\"a\": 2}\r\nnot json\n";
        let cut: Vec<Chunk> = chunks(Lines::new(text.as_bytes(), "f".to_owned()))
            .map(Result::unwrap)
            .collect();
        assert_eq!(cut.len(), 1);
        assert_eq!(cut[0].body, b"{\"a\": 1}\n{\"a\": 2}\nnot json\n");
        assert_eq!((cut[0].line(0), cut[0].line(1), cut[0].line(2)), (1, 3, 4));
        assert_eq!(cut[0].read_bytes, text.len() as u64);
        assert_eq!(chunks(Lines::new(&b"\n\n"[..], "f".to_owned())).count(), 0);
    }

    #[test]
    fn the_same_part_of_the_same_file_has_the_same_name() {
        let text: String = (0..12_000).map(|n| format!("{{\"a\": {n}}}\n")).collect();
        let keys = |file: &str, again| -> Vec<String> {
            let cut = chunks(Lines::new(text.as_bytes(), "f".to_owned()));
            (0..)
                .zip(cut)
                .map(|(n, chunk)| chunk.unwrap().key(Path::new(file), n, again))
                .collect()
        };
        assert_eq!(keys("a/b.ndjson", false).len(), 3);
        assert_eq!(keys("a/b.ndjson", false), keys("c/b.ndjson", false));
        assert_ne!(keys("a/b.ndjson", false), keys("a/c.ndjson", false));
        assert_ne!(keys("a/b.ndjson", true), keys("a/b.ndjson", true));
    }
}
