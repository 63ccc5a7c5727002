//! The outbox in the state file: notices from their decision until they are delivered, and for a while after.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use super::alert_log::Log;
use super::{StateError, Store, corrupt, millis};
use crate::alert::notice::Notice;
use crate::alert::record::Retention;
use crate::notify::outbox::{MISSED_AFTER, Of, Outbox, OutboxError, Pending, Postponed, Settled, Sibling};

pub use crate::notify::outbox::Status;

/// How many notices are kept at most, apart from the pending ones.
const KEEP_NEWEST: i64 = 100_000;

/// Why a notice is not told that was decided all the same.
const UNSAID: &str = "resolve_when_silenced: never";

/// A notice as the log shows it.
#[derive(Clone, PartialEq, Debug)]
pub struct LoggedNotice {
    /// The notice.
    pub notice: Notice,
    /// Where it stands.
    pub status: Status,
    /// Failed attempts so far.
    pub attempts: u32,
    /// Why it stands there, if there is more to say.
    pub detail: Option<String>,
    /// When it was decided, by the wall clock.
    pub decided: Timestamp,
    /// When it was settled, by the wall clock.
    pub settled: Option<Timestamp>,
}

/// Every notice of the log, oldest first.
pub(super) fn read_log(connection: &Connection) -> Result<Vec<LoggedNotice>, StateError> {
    let mut select = connection.prepare(
        "SELECT body, status, attempts, detail, decided_wall_ms, settled_ms FROM notices ORDER BY position",
    )?;
    let mut rows = select.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(logged(row)?);
    }
    Ok(found)
}

pub(super) fn logged(row: &Row<'_>) -> Result<LoggedNotice, StateError> {
    let settled: Option<i64> = row.get(5)?;
    Ok(LoggedNotice {
        notice: serde_json::from_str(row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?)
            .map_err(|error| corrupt("notice", &error))?,
        status: status(row, 1)?,
        attempts: row.get(2)?,
        detail: row.get(3)?,
        decided: timestamp("notice time", row.get(4)?)?,
        settled: settled.map(|ms| timestamp("notice time", ms)).transpose()?,
    })
}

/// Adds notices, and lets go of what is too old to be asked for.
pub(super) fn put(
    transaction: &Transaction<'_>,
    notices: &[Notice],
    wall_ms: i64,
    retention: Retention,
    log: Option<Log<'_>>,
) -> Result<(), StateError> {
    if notices.is_empty() {
        return Ok(());
    }
    insert(transaction, notices, Status::Pending, wall_ms, log)?;
    prune(transaction, wall_ms.saturating_sub(millis(retention.notices)))
}

/// Adds notices that nobody is told.
pub(super) fn put_unsaid(
    transaction: &Transaction<'_>,
    notices: &[Notice],
    wall_ms: i64,
    log: Option<Log<'_>>,
) -> Result<(), StateError> {
    insert(transaction, notices, Status::Superseded, wall_ms, log)
}

fn insert(
    transaction: &Transaction<'_>,
    notices: &[Notice],
    status: Status,
    wall_ms: i64,
    log: Option<Log<'_>>,
) -> Result<(), StateError> {
    // A notice that is decided again after a crash has the id it had: the first one stays.
    let mut insert = transaction.prepare_cached(
        "INSERT INTO notices (id, receiver, episode, kind, bundle, body, decided_wall_ms, status, settled_ms, detail)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
         ON CONFLICT (id, receiver) DO NOTHING",
    )?;
    let is_settled = status != Status::Pending;
    for notice in notices {
        let Notice {
            id,
            receiver,
            episode,
            bundle,
            ..
        } = notice;
        let body = serde_json::to_string(notice).map_err(|error| corrupt("notice", &error))?;
        let detail = is_settled.then_some(UNSAID);
        let rows = insert.execute(params![
            id,
            receiver,
            episode,
            notice.kind.as_str(),
            bundle,
            body,
            wall_ms,
            status.as_str(),
            is_settled.then_some(wall_ms),
            detail
        ])?;
        if let Some(log) = log.filter(|_| rows > 0) {
            log.notice(notice, status, detail)?;
        }
    }
    Ok(())
}

/// Of settled notices those are kept that were settled since then, and the newest 100 000 at most. Only episodes that are
/// over are let go: what was delivered of an episode decides whether its end is told. What is about none has no end.
fn prune(transaction: &Transaction<'_>, kept_from_ms: i64) -> Result<(), StateError> {
    let mut prune = transaction.prepare_cached(
        "DELETE FROM notices
         WHERE (settled_ms < ?1
                OR (settled_ms IS NOT NULL AND position <= (SELECT max(position) FROM notices) - ?2))
         AND (kind IN ('digest', 'reminder', 'proposal')
              OR EXISTS (SELECT 1 FROM notices last WHERE last.receiver = notices.receiver
                  AND last.episode = notices.episode AND last.kind = 'resolved' AND last.settled_ms IS NOT NULL))",
    )?;
    prune.execute([kept_from_ms, KEEP_NEWEST])?;
    Ok(())
}

impl Store {
    /// When the oldest notice that is still pending was decided, by the wall clock; `None` with nothing pending.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn oldest_undelivered(&self) -> Result<Option<Timestamp>, StateError> {
        let connection = self.lock();
        let mut select =
            connection.prepare_cached("SELECT min(decided_wall_ms) FROM notices WHERE status = 'pending'")?;
        let oldest: Option<i64> = select.query_row([], |row| row.get(0))?;
        oldest.map(|ms| timestamp("notice time", ms)).transpose()
    }

    /// Number of notices that wait for their delivery, by receiver.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn pending_counts(&self) -> Result<BTreeMap<String, u64>, StateError> {
        let connection = self.lock();
        let mut select = connection.prepare_cached(
            "SELECT receiver, count(*) FROM notices WHERE status = 'pending' GROUP BY receiver",
        )?;
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Number of notices by receiver and status (`pending`, `delivered`, `dead`, `superseded`), as far
    /// back as they are kept.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn outcome_counts(&self) -> Result<BTreeMap<(String, String), u64>, StateError> {
        let connection = self.lock();
        let mut select = connection
            .prepare_cached("SELECT receiver, status, count(*) FROM notices GROUP BY receiver, status")?;
        let rows = select.query_map([], |row| {
            Ok(((row.get(0)?, row.get(1)?), row.get::<_, i64>(2)?.unsigned_abs()))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The newest notices, newest first.
    ///
    /// # Errors
    /// When SQLite refuses or a stored value cannot be read.
    pub fn recent_notices(&self, limit: usize) -> Result<Vec<LoggedNotice>, StateError> {
        let connection = self.lock();
        let mut select = connection.prepare_cached(
            "SELECT body, status, attempts, detail, decided_wall_ms, settled_ms FROM notices
             ORDER BY position DESC LIMIT ?1",
        )?;
        let mut rows = select.query([i64::try_from(limit).unwrap_or(i64::MAX)])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(logged(row)?);
        }
        Ok(found)
    }

    /// Every notice about an episode, oldest first, as far back as they are kept.
    ///
    /// # Errors
    /// When SQLite refuses or a stored value cannot be read.
    pub fn notices_of(&self, episode: &str) -> Result<Vec<LoggedNotice>, StateError> {
        let connection = self.lock();
        let mut select = connection.prepare_cached(
            "SELECT body, status, attempts, detail, decided_wall_ms, settled_ms FROM notices
             WHERE episode = ?1 ORDER BY position",
        )?;
        let mut rows = select.query([episode])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(logged(row)?);
        }
        Ok(found)
    }

    fn read_pending(&self, of: Of<'_>, limit: usize) -> Result<Vec<Pending>, StateError> {
        let (names, wanted) = match of {
            Of::These(names) => (names, true),
            Of::Others(names) => (names, false),
        };
        let names = serde_json::to_string(names).map_err(|error| corrupt("receivers", &error))?;
        let connection = self.lock();
        let mut select = connection.prepare_cached(
            "SELECT position, receiver, body, attempts, next_attempt_ms, maybe_shown, decided_wall_ms FROM notices
             WHERE status = 'pending' AND (receiver IN (SELECT value FROM json_each(?1))) = ?2
             ORDER BY position LIMIT ?3",
        )?;
        all_pending(select.query(params![names, wanted, i64::try_from(limit).unwrap_or(i64::MAX)])?)
    }

    fn read_bundle(&self, receiver: &str, bundle: &str) -> Result<Vec<Pending>, StateError> {
        let connection = self.lock();
        let mut select = connection.prepare_cached(
            "SELECT position, receiver, body, attempts, next_attempt_ms, maybe_shown, decided_wall_ms FROM notices
             WHERE status = 'pending' AND receiver = ?1 AND bundle = ?2 ORDER BY position",
        )?;
        all_pending(select.query([receiver, bundle])?)
    }

    fn read_siblings(&self, receiver: &str, episode: &str) -> Result<Vec<Sibling>, StateError> {
        let connection = self.lock();
        let mut select = connection.prepare_cached(
            "SELECT position, kind = 'resolved', kind = 'correction', status, maybe_shown, shown FROM notices
             WHERE receiver = ?1 AND episode = ?2 ORDER BY position",
        )?;
        let mut rows = select.query([receiver, episode])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(Sibling {
                position: row.get(0)?,
                resolves: row.get(1)?,
                corrects: row.get(2)?,
                status: status(row, 3)?,
                maybe_shown: row.get(4)?,
                shown: row.get(5)?,
            });
        }
        Ok(found)
    }

    fn read_shown(&self, receiver: &str, episode: &str) -> Result<Option<String>, StateError> {
        let connection = self.lock();
        let mut select = connection.prepare_cached(
            "SELECT shown FROM notices WHERE receiver = ?1 AND episode = ?2 AND shown IS NOT NULL
             ORDER BY position DESC LIMIT 1",
        )?;
        Ok(select
            .query_row([receiver, episode], |row| row.get(0))
            .optional()?)
    }

    fn read_standing(&self, receiver: &str, ended_since: Timestamp) -> Result<Vec<Notice>, StateError> {
        let connection = self.lock();
        // An end that was decided and is not delivered ends it all the same: the queue tells it, or has given it up.
        let mut select = connection.prepare_cached(
            "SELECT body FROM notices n
             WHERE receiver = ?1 AND status = 'delivered' AND kind NOT IN ('correction', 'digest', 'reminder', 'proposal')
             AND (kind != 'resolved' OR settled_ms >= ?2)
             AND NOT EXISTS (SELECT 1 FROM notices later WHERE later.receiver = n.receiver
                 AND later.episode = n.episode AND later.position > n.position
                 AND (later.kind = 'resolved'
                      OR (later.status = 'delivered' AND later.kind NOT IN ('correction', 'digest', 'reminder', 'proposal'))))
             ORDER BY position",
        )?;
        let mut rows = select.query(params![receiver, ended_since.as_millisecond()])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let body = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
            found.push(serde_json::from_str(body).map_err(|error| corrupt("notice", &error))?);
        }
        Ok(found)
    }

    fn read_missed(
        &self,
        decided_before: Timestamp,
        given_up_since: Timestamp,
    ) -> Result<Vec<(i64, String)>, StateError> {
        let connection = self.lock();
        let mut select = connection.prepare_cached(
            "SELECT position, receiver FROM notices
             WHERE kind = 'fired' AND status = 'pending' AND decided_wall_ms < ?1
             AND decided_wall_ms < ?1 - max(0, 2 * coalesce(json_extract(body, '$.wait_ms'), 0) - ?3)
             UNION ALL SELECT position, receiver FROM notices
             WHERE kind = 'fired' AND status = 'dead' AND settled_ms >= ?2",
        )?;
        let usual = i64::try_from(MISSED_AFTER.as_millis()).unwrap_or(i64::MAX);
        let of = [
            decided_before.as_millisecond(),
            given_up_since.as_millisecond(),
            usual,
        ];
        let rows = select.query_map(of, |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn write_settled(&self, positions: &[i64], settled: &Settled, now: Timestamp) -> Result<(), StateError> {
        self.write(|transaction| {
            let mut settle = transaction.prepare_cached(
                "UPDATE notices SET status = ?2, detail = ?3, shown = ?4, settled_ms = ?5
                 WHERE position = ?1 AND status = 'pending'",
            )?;
            let Settled {
                status,
                detail,
                shown,
            } = settled;
            let log = self.log(transaction, now.as_millisecond());
            for position in positions {
                let rows = settle.execute(params![
                    position,
                    status.as_str(),
                    detail,
                    shown,
                    now.as_millisecond()
                ])?;
                if let Some(log) = log.filter(|_| rows > 0) {
                    log.outcome(*position, *status, detail.as_deref())?;
                }
            }
            Ok(())
        })
    }

    fn write_mark(&self, positions: &[i64], maybe_shown: bool) -> Result<(), StateError> {
        self.write(|transaction| {
            let mut mark = transaction.prepare_cached(
                "UPDATE notices SET maybe_shown = ?2 WHERE position = ?1 AND status = 'pending'",
            )?;
            for position in positions {
                mark.execute(params![position, maybe_shown])?;
            }
            Ok(())
        })
    }

    fn write_postponed(&self, position: i64, postponed: &Postponed) -> Result<(), StateError> {
        self.write(|transaction| {
            let mut postpone = transaction.prepare_cached(
                "UPDATE notices SET attempts = ?2, next_attempt_ms = ?3, maybe_shown = ?4, detail = ?5
                 WHERE position = ?1 AND status = 'pending'",
            )?;
            postpone.execute(params![
                position,
                postponed.attempts,
                postponed.next_attempt.as_millisecond(),
                postponed.maybe_shown,
                postponed.reason
            ])?;
            Ok(())
        })
    }
}

impl Outbox for Store {
    fn pending(&self, of: Of<'_>, limit: usize) -> Result<Vec<Pending>, OutboxError> {
        Ok(self.read_pending(of, limit)?)
    }

    fn siblings(&self, receiver: &str, episode: &str) -> Result<Vec<Sibling>, OutboxError> {
        Ok(self.read_siblings(receiver, episode)?)
    }

    fn shown(&self, receiver: &str, episode: &str) -> Result<Option<String>, OutboxError> {
        Ok(self.read_shown(receiver, episode)?)
    }

    fn bundle(&self, receiver: &str, bundle: &str) -> Result<Vec<Pending>, OutboxError> {
        Ok(self.read_bundle(receiver, bundle)?)
    }

    fn standing(&self, receiver: &str, ended_since: Timestamp) -> Result<Vec<Notice>, OutboxError> {
        Ok(self.read_standing(receiver, ended_since)?)
    }

    fn missed(
        &self,
        decided_before: Timestamp,
        given_up_since: Timestamp,
    ) -> Result<Vec<(i64, String)>, OutboxError> {
        Ok(self.read_missed(decided_before, given_up_since)?)
    }

    fn mark(&self, positions: &[i64], maybe_shown: bool) -> Result<(), OutboxError> {
        Ok(self.write_mark(positions, maybe_shown)?)
    }

    fn settle(&self, positions: &[i64], settled: &Settled, now: Timestamp) -> Result<(), OutboxError> {
        Ok(self.write_settled(positions, settled, now)?)
    }

    fn postpone(&self, position: i64, postponed: &Postponed) -> Result<(), OutboxError> {
        Ok(self.write_postponed(position, postponed)?)
    }
}

impl From<StateError> for OutboxError {
    fn from(error: StateError) -> OutboxError {
        OutboxError(error.to_string())
    }
}

fn all_pending(mut rows: rusqlite::Rows<'_>) -> Result<Vec<Pending>, StateError> {
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let next_attempt: Option<i64> = row.get(4)?;
        found.push(Pending {
            position: row.get(0)?,
            receiver: row.get(1)?,
            notice: serde_json::from_str(row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?)
                .map_err(|error| error.to_string()),
            attempts: row.get(3)?,
            next_attempt: next_attempt.map(|ms| timestamp("attempt time", ms)).transpose()?,
            maybe_shown: row.get(5)?,
            decided: timestamp("notice time", row.get(6)?)?,
        });
    }
    Ok(found)
}

fn status(row: &Row<'_>, column: usize) -> Result<Status, StateError> {
    let word: String = row.get(column)?;
    Status::from_word(&word).ok_or_else(|| corrupt("notice status", &word))
}

fn timestamp(what: &str, ms: i64) -> Result<Timestamp, StateError> {
    Timestamp::from_millisecond(ms).map_err(|error| corrupt(what, &error))
}
