//! Rejected events: each is kept with reason, place and payload in an NDJSON file.
//!
//! The length of the file is part of the commit: after a crash the file is cut back to it, and the events that are
//! read again are written again, so that each stands there once.

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
    bytes: u64,
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
            max_bytes,
        })
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
        if self.bytes > self.max_bytes {
            self.rotate()?;
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
