//! The log of what was told: episodes and notices, the newest first, a page at a time.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use rusqlite::params;

use super::outbox::{LoggedNotice, logged};
use super::{StateError, Store, corrupt};
use crate::alert::identity::{Fingerprint, episode_id};
use crate::alert::record::{Episode, Labels};

/// Rows that are read at once: between two looks the daemon can write.
const BATCH: i64 = 500;

/// Entries of a page, unless another number is asked for.
const PAGE: usize = 100;

/// What of the log is asked for; what is not said is not asked.
#[derive(Clone, Debug)]
pub struct Asked<Place> {
    /// Name of the rule.
    pub rule: Option<String>,
    /// Name of the node (of the KPI, for a link).
    pub node: Option<String>,
    /// Who was told, or was to be.
    pub receiver: Option<String>,
    /// Not what was over before: notices by the wall clock of their decision, episodes by event time.
    pub from: Option<Timestamp>,
    /// Not what began then, or later.
    pub until: Option<Timestamp>,
    /// Behind which place of the log the page begins.
    pub after: Option<Place>,
    /// How many entries a page has.
    pub limit: usize,
}

impl<Place> Default for Asked<Place> {
    fn default() -> Asked<Place> {
        Asked {
            rule: None,
            node: None,
            receiver: None,
            from: None,
            until: None,
            after: None,
            limit: PAGE,
        }
    }
}

/// Entries of the log, the newest first.
#[derive(Clone, PartialEq, Debug)]
pub struct Page<Place, Entry> {
    /// The entries.
    pub entries: Vec<Entry>,
    /// The place behind which the next page begins; `None`: this was the last.
    pub next: Option<Place>,
}

/// The place of a notice in the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoticePlace(i64);

/// The place of an episode in the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EpisodePlace {
    fired_ms: i64,
    fingerprint: Fingerprint,
    number: u64,
}

/// Text that is no place of the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("that is no place of the log; take 'next' of the page before")]
pub struct NotAPlace;

impl fmt::Display for NoticePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for NoticePlace {
    type Err = NotAPlace;

    fn from_str(text: &str) -> Result<NoticePlace, NotAPlace> {
        text.parse().map(NoticePlace).map_err(|_| NotAPlace)
    }
}

impl fmt::Display for EpisodePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.fired_ms, self.fingerprint, self.number)
    }
}

impl FromStr for EpisodePlace {
    type Err = NotAPlace;

    fn from_str(text: &str) -> Result<EpisodePlace, NotAPlace> {
        let parts: Vec<&str> = text.split('.').collect();
        let [fired_ms, fingerprint, number] = parts.as_slice() else {
            return Err(NotAPlace);
        };
        Ok(EpisodePlace {
            fired_ms: fired_ms.parse().map_err(|_| NotAPlace)?,
            fingerprint: fingerprint.parse().map_err(|_| NotAPlace)?,
            number: number.parse().map_err(|_| NotAPlace)?,
        })
    }
}

impl<Place: Copy> Asked<Place> {
    fn begins_ms(&self) -> i64 {
        self.from.map_or(i64::MIN, Timestamp::as_millisecond)
    }

    fn ends_ms(&self) -> i64 {
        self.until.map_or(i64::MAX, Timestamp::as_millisecond)
    }

    fn wants(&self, rule: &str, labels: &Labels) -> bool {
        self.rule.as_deref().is_none_or(|wanted| wanted == rule)
            && self
                .node
                .as_ref()
                .is_none_or(|node| labels.get("node") == Some(node))
    }

    /// A page of the wanted entries. `read` gives the next batch behind a place, and an empty one at the end.
    fn page<Entry>(
        &self,
        read: impl Fn(Option<Place>) -> Result<Vec<(Place, Entry)>, StateError>,
        is_wanted: impl Fn(&Entry) -> bool,
    ) -> Result<Page<Place, Entry>, StateError> {
        let mut entries: Vec<Entry> = Vec::new();
        let (mut read_to, mut last) = (self.after, None);
        loop {
            let batch = read(read_to)?;
            if batch.is_empty() {
                return Ok(Page { entries, next: None });
            }
            for (place, entry) in batch {
                read_to = Some(place);
                if !is_wanted(&entry) {
                    continue;
                }
                if entries.len() == self.limit {
                    return Ok(Page { entries, next: last });
                }
                last = read_to;
                entries.push(entry);
            }
        }
    }
}

impl Store {
    /// Notices by the order of their decision, the newest first.
    ///
    /// # Errors
    /// When SQLite refuses or a stored value cannot be read.
    pub fn notice_log(
        &self,
        asked: &Asked<NoticePlace>,
    ) -> Result<Page<NoticePlace, LoggedNotice>, StateError> {
        let read = |after: Option<NoticePlace>| {
            let connection = self.lock();
            let mut select = connection.prepare_cached(
                "SELECT body, status, attempts, detail, decided_wall_ms, settled_ms, position FROM notices
                 WHERE position < ?1 AND decided_wall_ms >= ?2 AND decided_wall_ms < ?3
                 AND (?4 IS NULL OR receiver = ?4) ORDER BY position DESC LIMIT ?5",
            )?;
            let before = after.map_or(i64::MAX, |place| place.0);
            let mut rows = select.query(params![
                before,
                asked.begins_ms(),
                asked.ends_ms(),
                asked.receiver,
                BATCH
            ])?;
            let mut batch = Vec::new();
            while let Some(row) = rows.next()? {
                batch.push((NoticePlace(row.get(6)?), logged(row)?));
            }
            Ok(batch)
        };
        asked.page(read, |logged| {
            let labels = &logged.notice.labels;
            asked.wants(labels.get("alertname").map_or("", String::as_str), labels)
        })
    }

    /// Episodes with their ids, by the order in which they fired, the newest first.
    ///
    /// # Errors
    /// When SQLite refuses or a stored value cannot be read.
    pub fn episode_log(
        &self,
        asked: &Asked<EpisodePlace>,
    ) -> Result<Page<EpisodePlace, (String, Episode)>, StateError> {
        let of_receiver = match &asked.receiver {
            Some(receiver) => Some(self.episodes_of(receiver)?),
            None => None,
        };
        let read = |after: Option<EpisodePlace>| {
            let connection = self.lock();
            let mut select = connection.prepare_cached(
                "SELECT body FROM episodes
                 WHERE fired_ms < ?1 AND (fired_ms, fingerprint, number) < (?2, ?3, ?4)
                 ORDER BY fired_ms DESC, fingerprint DESC, number DESC LIMIT ?5",
            )?;
            let (fired_ms, fingerprint, number) = after.map_or((i64::MAX, String::new(), 0), |place| {
                (
                    place.fired_ms,
                    place.fingerprint.to_string(),
                    place.number.cast_signed(),
                )
            });
            let mut rows = select.query(params![asked.ends_ms(), fired_ms, fingerprint, number, BATCH])?;
            let mut batch = Vec::new();
            while let Some(row) = rows.next()? {
                let body = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
                let episode: Episode =
                    serde_json::from_str(body).map_err(|error| corrupt("episode", &error))?;
                let place = EpisodePlace {
                    fired_ms: episode.fired_at.as_millisecond(),
                    fingerprint: episode.fingerprint,
                    number: episode.number,
                };
                let id = episode_id(self.id(), episode.fingerprint, episode.number);
                batch.push((place, (id, episode)));
            }
            Ok(batch)
        };
        asked.page(read, |(id, episode)| {
            let ran = episode
                .ended_at
                .is_none_or(|ended| ended.as_millisecond() >= asked.begins_ms());
            ran && asked.wants(&episode.rule, &episode.labels)
                && of_receiver.as_ref().is_none_or(|known| known.contains(id))
        })
    }

    /// Ids of the episodes that these messages are about: bundles of notices, or episodes themselves.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn episodes_of_messages(&self, parts: &[&str]) -> Result<Vec<String>, StateError> {
        let parts = serde_json::to_string(parts).map_err(|error| corrupt("parts", &error))?;
        let connection = self.lock();
        let mut select = connection.prepare_cached(
            "SELECT DISTINCT episode FROM notices
             WHERE bundle IN (SELECT value FROM json_each(?1)) OR episode IN (SELECT value FROM json_each(?1))",
        )?;
        let rows = select.query_map([parts], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Ids of the episodes of which a receiver was told, or was to be.
    fn episodes_of(&self, receiver: &str) -> Result<HashSet<String>, StateError> {
        let connection = self.lock();
        let mut select =
            connection.prepare_cached("SELECT DISTINCT episode FROM notices WHERE receiver = ?1")?;
        let rows = select.query_map([receiver], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
