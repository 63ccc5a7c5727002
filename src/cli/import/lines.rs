//! Where the rows of a CSV file begin. The reader of CSV counts a line when it has read its `\n`, which of `\r\n` it does
//! with the next row only, and blank lines as a part of the row behind them.

use std::collections::VecDeque;
use std::io::{self, Read};

/// A file that passes by, with the lines that are read and not yet asked for.
pub(super) struct Lines<R> {
    file: R,
    /// Places in bytes, and numbers from 1, of the lines that are not blank.
    starts: VecDeque<(u64, u64)>,
    at: u64,
    line: u64,
    is_blank: bool,
}

impl<R> Lines<R> {
    pub(super) fn new(file: R) -> Lines<R> {
        Lines {
            file,
            starts: VecDeque::new(),
            at: 0,
            line: 1,
            is_blank: true,
        }
    }

    /// The first line with anything on it from this place on; places must not go back. Nothing behind the last one.
    pub(super) fn line_from(&mut self, byte: u64) -> Option<u64> {
        while self.starts.front().is_some_and(|(start, _)| *start < byte) {
            self.starts.pop_front();
        }
        self.starts.front().map(|(_, line)| *line)
    }
}

impl<R: Read> Read for Lines<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read(buffer)?;
        for byte in &buffer[..length] {
            if self.is_blank && !matches!(byte, b'\r' | b'\n') {
                self.starts.push_back((self.at, self.line));
                self.is_blank = false;
            }
            if *byte == b'\n' {
                self.line += 1;
                self.is_blank = true;
            }
            self.at += 1;
        }
        Ok(length)
    }
}

/// The line on which a row begins.
pub(super) fn line_of<R: Read>(reader: &mut csv::Reader<Lines<R>>, row: &csv::StringRecord) -> u64 {
    row.position().map_or(0, |position| line_at(reader, position))
}

fn line_at<R: Read>(reader: &mut csv::Reader<Lines<R>>, position: &csv::Position) -> u64 {
    let begins = reader.get_mut().line_from(position.byte());
    begins.unwrap_or(position.line())
}

/// What is wrong with a row that is none, with its line; `None` where it is the file that cannot be read.
pub(super) fn malformed<R: Read>(
    reader: &mut csv::Reader<Lines<R>>,
    error: &csv::Error,
) -> Option<(u64, String)> {
    let line = line_at(reader, error.position()?);
    let message = match error.kind() {
        csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => format!(
            "the row has {len} cells, and the header has {expected_len}; quote a cell that holds a comma or a line break, and double the quotes in it"
        ),
        csv::ErrorKind::Utf8 { err, .. } => format!(
            "cell {} is not UTF-8; save the file as \"CSV UTF-8\"",
            err.field() + 1
        ),
        _ => error.to_string(),
    };
    Some((line, message))
}
