//! Rejected events: each is kept with reason, place and payload in an NDJSON file.
//!
//! The length of the file is part of the commit: after a crash the file is cut back to it, and the events that are
//! read again are written again, so that each stands there once. A full file is moved away only when all of it is
//! committed, and the length of the new one, 0, is committed before anything is written to it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::catalog::{Catalog, SourceId};
use crate::decode::{Record, Reject};
use crate::serve::Rejected;

/// Payload bytes that are kept; the whole record is still in Kafka, at the offset given.
const KEPT_BYTES: usize = 16 * 1024;
/// How much of the file's end is read for the newest ones.
const TAIL_BYTES: u64 = 2 * 1024 * 1024;

/// A rejected event.
#[derive(Clone, Debug, Serialize)]
pub struct DeadLetter {
    /// Its source; written by name.
    #[serde(skip)]
    pub source: SourceId,
    /// When it was read.
    pub read_at: Timestamp,
    /// Reason, as in `tautline_events_total{outcome}`.
    pub reason: &'static str,
    /// The reason in words.
    pub detail: String,
    /// Topic.
    pub topic: Arc<str>,
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
    /// Number of the event in its record, from 0; nothing when the record is one event or was refused as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<u32>,
    /// Timestamp of the record, in milliseconds since the epoch.
    pub timestamp_ms: Option<i64>,
    /// Length of the event in bytes.
    pub payload_bytes: usize,
    /// The event's first 16 KiB; bytes that are not UTF-8 are replaced.
    pub payload: String,
}

impl DeadLetter {
    pub(super) fn new(
        source: SourceId,
        record: &Record<'_>,
        (index, text): (Option<u32>, &[u8]),
        reject: &Reject,
        detail: String,
        now: Timestamp,
    ) -> DeadLetter {
        DeadLetter {
            source,
            read_at: now,
            reason: reject.reason(),
            detail,
            topic: record.topic.into(),
            partition: record.partition,
            offset: record.offset,
            index,
            timestamp_ms: record.timestamp_ms,
            payload_bytes: text.len(),
            payload: String::from_utf8_lossy(&text[..text.len().min(KEPT_BYTES)]).into_owned(),
        }
    }
}

impl DeadLetter {
    /// As the page shows it.
    pub(super) fn shown(&self, catalog: &Catalog) -> Rejected {
        Rejected {
            at: self.read_at,
            source: catalog.source(self.source).name.clone(),
            topic: self.topic.to_string(),
            partition: self.partition,
            offset: self.offset,
            reason: self.reason.to_owned(),
            detail: numbered(self.index, &self.detail),
        }
    }
}

fn numbered(index: Option<u32>, detail: &str) -> String {
    match index {
        Some(index) => format!("#{index}: {detail}"),
        None => detail.to_owned(),
    }
}

/// A line of the file, as far as the page shows it.
#[derive(Deserialize)]
struct Kept {
    source: String,
    read_at: Timestamp,
    reason: String,
    detail: String,
    topic: String,
    partition: i32,
    offset: i64,
    index: Option<u32>,
}

#[derive(Serialize)]
struct Line<'a> {
    source: &'a str,
    #[serde(flatten)]
    letter: &'a DeadLetter,
}

/// The file.
pub(super) struct DeadLetterFile {
    path: PathBuf,
    file: File,
    /// Length, as far as letters are whole.
    bytes: u64,
    /// Length that a crash leaves of it.
    committed_bytes: u64,
    max_bytes: u64,
}

impl DeadLetterFile {
    /// Opens the file and cuts it back to the length that was committed.
    pub(super) fn open(path: &Path, committed_bytes: u64, max_bytes: u64) -> io::Result<DeadLetterFile> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder)?;
        }
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)?;
        // A shorter file was moved away by somebody: go on behind what is there.
        let bytes = committed_bytes.min(file.metadata()?.len());
        file.set_len(bytes)?;
        file.seek(SeekFrom::End(0))?;
        Ok(DeadLetterFile {
            path: path.to_owned(),
            file,
            bytes,
            committed_bytes,
            max_bytes,
        })
    }

    /// Moves a full file away, unless something in it is not committed. Whether the file is now shorter than the state
    /// says: then its length is to be committed, and [`Self::committed`] called, before anything is appended.
    pub(super) fn rotate_if_full(&mut self) -> io::Result<bool> {
        let is_due = self.bytes > self.max_bytes && self.bytes == self.committed_bytes;
        if is_due {
            self.rotate()?;
        }
        // Also where the commit after an earlier call failed, or a crash came before it.
        Ok(self.bytes < self.committed_bytes)
    }

    /// What is there was committed.
    pub(super) fn committed(&mut self) {
        self.committed_bytes = self.bytes;
    }

    /// Appends and syncs. Called before the commit that counts the new length.
    pub(super) fn append(
        &mut self,
        letters: &[DeadLetter],
        name: impl Fn(SourceId) -> String,
    ) -> io::Result<()> {
        if letters.is_empty() {
            return Ok(());
        }
        let mut text = Vec::new();
        for letter in letters {
            serde_json::to_writer(
                &mut text,
                &Line {
                    source: &name(letter.source),
                    letter,
                },
            )?;
            text.push(b'\n');
        }
        // Half a letter that a full disk left is not built upon.
        self.file.set_len(self.bytes)?;
        self.file.seek(SeekFrom::Start(self.bytes))?;
        self.file.write_all(&text)?;
        self.file.sync_data()?;
        self.bytes += text.len() as u64;
        Ok(())
    }

    /// The newest ones, at most so many, newest first: as far as they stand in the last 2 MiB of the file.
    pub(super) fn newest(&mut self, most: usize) -> io::Result<Vec<Rejected>> {
        let from = self.bytes.saturating_sub(TAIL_BYTES);
        let mut tail = Vec::new();
        self.file.seek(SeekFrom::Start(from))?;
        self.file.read_to_end(&mut tail)?;
        self.file.seek(SeekFrom::End(0))?;
        // The first of them may be the end of a longer line, and is then no letter.
        let lines = tail.rsplit(|byte| *byte == b'\n');
        let letters = lines.filter_map(|line| serde_json::from_slice::<Kept>(line).ok());
        let shown = letters.map(|kept| Rejected {
            at: kept.read_at,
            source: kept.source,
            topic: kept.topic,
            partition: kept.partition,
            offset: kept.offset,
            reason: kept.reason,
            detail: numbered(kept.index, &kept.detail),
        });
        Ok(shown.take(most).collect())
    }

    /// Length of the file in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The full file becomes `<name>.1`, replacing the one before it.
    fn rotate(&mut self) -> io::Result<()> {
        let mut old = self.path.clone().into_os_string();
        old.push(".1");
        std::fs::rename(&self.path, old)?;
        // The state must not say that the file is empty while the disk still has the full one under its name.
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
        self.file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .read(true)
            .write(true)
            .open(&self.path)?;
        self.bytes = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of its own, removed at the end.
    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    fn letter(offset: i64) -> DeadLetter {
        let record = Record {
            topic: "t",
            offset,
            ..Record::default()
        };
        let detail = Reject::Empty.to_string();
        DeadLetter::new(
            SourceId(0),
            &record,
            (None, b"{}"),
            &Reject::Empty,
            detail,
            Timestamp::UNIX_EPOCH,
        )
    }

    /// Offsets that stand in a file; none where there is no file.
    fn offsets(path: &Path) -> Vec<i64> {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let offset = |line| serde_json::from_str::<Kept>(line).unwrap().offset;
        text.lines().map(offset).collect()
    }

    /// Where a crash falls in the handing over of one batch.
    #[derive(Clone, Copy, PartialEq, Debug)]
    enum Crash {
        BeforeRotation,
        AfterRotation,
        AfterRotationCommit,
        AfterAppend,
        Nowhere,
    }

    /// The state's side of it, as the evaluator does it.
    fn hand_over(file: &mut DeadLetterFile, committed: &mut u64, letters: &[DeadLetter], crash: Crash) {
        if crash == Crash::BeforeRotation {
            return;
        }
        let rotated = file.rotate_if_full().unwrap();
        if crash == Crash::AfterRotation {
            return;
        }
        if rotated {
            *committed = file.bytes();
            file.committed();
        }
        if crash == Crash::AfterRotationCommit {
            return;
        }
        file.append(letters, |_| "s".to_owned()).unwrap();
        if crash == Crash::AfterAppend {
            return;
        }
        *committed = file.bytes();
        file.committed();
    }

    #[test]
    fn each_letter_stands_there_once_wherever_crashes_fall() {
        let crashes = [
            Crash::BeforeRotation,
            Crash::AfterRotation,
            Crash::AfterRotationCommit,
            Crash::AfterAppend,
            Crash::Nowhere,
        ];
        let pairs = crashes.into_iter().flat_map(|one| crashes.map(|two| (one, two)));
        for (one, two) in pairs.filter(|(one, two)| *one != Crash::Nowhere || *two == Crash::Nowhere) {
            // A batch that is smaller than what stands there, and one that is larger.
            for batch in [1, 20] {
                let folder = folder();
                let path = folder.path().join("dead.ndjson");
                let mut committed = 0;
                let mut file = DeadLetterFile::open(&path, committed, 300).unwrap();
                let first: Vec<DeadLetter> = (0..4).map(letter).collect();
                hand_over(&mut file, &mut committed, &first, Crash::Nowhere);
                assert!(file.bytes() > 300, "it is full");

                let next: Vec<DeadLetter> = (4..4 + batch).map(letter).collect();
                for crash in [one, two, Crash::Nowhere] {
                    hand_over(&mut file, &mut committed, &next, crash);
                    if crash == Crash::Nowhere {
                        break;
                    }
                    // What was not committed is read again.
                    file = DeadLetterFile::open(&path, committed, 300).unwrap();
                }
                let case = format!("{one:?}, {two:?}, {batch}");
                assert_eq!(
                    offsets(&folder.path().join("dead.ndjson.1")),
                    [0, 1, 2, 3],
                    "{case}"
                );
                assert_eq!(offsets(&path), (4..4 + batch).collect::<Vec<_>>(), "{case}");
            }
        }
    }

    #[test]
    fn a_file_with_letters_that_no_commit_has_is_not_moved_away() {
        let folder = folder();
        let path = folder.path().join("dead.ndjson");
        let mut file = DeadLetterFile::open(&path, 0, 100).unwrap();
        let letters: Vec<DeadLetter> = (0..4).map(letter).collect();
        // The commit failed; the letters stay where a crash cuts them off.
        file.append(&letters, |_| "s".to_owned()).unwrap();
        assert!(!file.rotate_if_full().unwrap());
        file.append(&[letter(4)], |_| "s".to_owned()).unwrap();
        file.committed();
        assert!(file.rotate_if_full().unwrap());
        // Its commit failed as well: it is asked for until one holds.
        assert!(file.rotate_if_full().unwrap());
        file.committed();
        assert!(!file.rotate_if_full().unwrap());
        assert_eq!(offsets(&folder.path().join("dead.ndjson.1")), [0, 1, 2, 3, 4]);
        assert_eq!(offsets(&path), [0; 0]);
    }
}
