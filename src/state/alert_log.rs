//! What the alert log has yet to take: every episode that began, changed or ended, every notice and what came of it, and why
//! somebody was not told. Written with the commit that decided it, and forgotten when the topic has it.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Transaction, params};
use serde_json::{Value, json};

use super::outbox::Status;
use super::{StateError, Store, corrupt};
use crate::alert::dispatch::Held;
use crate::alert::identity::episode_id;
use crate::alert::notice::Notice;
use crate::alert::record::Episode;

/// A line that the log has yet to take.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// Strictly rising, from 1; the same over restarts.
    pub number: i64,
    /// The episode that it is about.
    pub key: String,
    /// A JSON object with the number and the state's identity.
    pub body: String,
}

/// Whoever changes the state writes lines here, if there is a log.
#[derive(Clone, Copy)]
pub(super) struct Log<'t> {
    transaction: &'t Transaction<'t>,
    /// The wall clock, in milliseconds since the epoch.
    wall_ms: i64,
}

impl<'t> Log<'t> {
    pub(super) fn at(transaction: &'t Transaction<'t>, wall_ms: i64) -> Log<'t> {
        Log { transaction, wall_ms }
    }

    /// A notice that was decided.
    pub(super) fn notice(
        self,
        notice: &Notice,
        status: Status,
        detail: Option<&str>,
    ) -> Result<(), StateError> {
        let body = json!({
            "type": "notice", "episode": notice.episode, "notice": notice.id, "receiver": notice.receiver,
            "kind": notice.kind, "alert": notice.alert_kind, "severity": notice.severity.as_str(),
            "labels": notice.labels, "reason": notice.reason, "firedAt": notice.fired_at.to_string(),
            "decidedAt": notice.decided_at.to_string(), "numbers": notice.facts.numbers(),
            "status": status.as_str(), "detail": detail,
        });
        self.line(&notice.episode, body)
    }

    /// What came of notices.
    pub(super) fn outcome(
        self,
        position: i64,
        status: Status,
        detail: Option<&str>,
    ) -> Result<(), StateError> {
        let mut select = self
            .transaction
            .prepare_cached("SELECT id, receiver, episode, attempts FROM notices WHERE position = ?1")?;
        let found = select
            .query_row([position], |row| {
                Ok((
                    row.get::<_, String>(0)?,
                    row.get::<_, String>(1)?,
                    row.get::<_, String>(2)?,
                    row.get::<_, i64>(3)?,
                ))
            })
            .optional()?;
        let Some((id, receiver, episode, attempts)) = found else {
            return Ok(());
        };
        let body = json!({
            "type": "outcome", "episode": episode, "notice": id, "receiver": receiver, "status": status.as_str(),
            "detail": detail, "failedAttempts": attempts,
        });
        self.line(&episode, body)
    }

    /// An episode as it became.
    pub(super) fn episode(self, store_id: &str, episode: &Episode) -> Result<(), StateError> {
        let id = episode_id(store_id, episode.fingerprint, episode.number);
        let body = json!({
            "type": "episode", "episode": id, "rule": episode.rule, "kind": episode.kind, "labels": episode.labels,
            "severity": episode.severity.as_str(), "firedAt": episode.fired_at.to_string(),
            "endedAt": episode.ended_at.map(|at| at.to_string()), "reason": episode.end_reason,
            "numbers": episode.facts.numbers(),
        });
        self.line(&id, body)
    }

    /// Why somebody is not told.
    pub(super) fn held(self, held: &Held) -> Result<(), StateError> {
        let body =
            json!({"type": "held", "episode": held.episode, "receiver": held.receiver, "heldBy": held.by});
        self.line(&held.episode, body)
    }

    fn line(self, key: &str, mut body: Value) -> Result<(), StateError> {
        let at = Timestamp::from_millisecond(self.wall_ms).map_err(|error| corrupt("wall clock", &error))?;
        body["at"] = at.to_string().into();
        let mut insert = self
            .transaction
            .prepare_cached("INSERT INTO alert_log (key, body) VALUES (?1, ?2)")?;
        insert.execute(params![key, body.to_string()])?;
        Ok(())
    }
}

impl Store {
    /// The oldest lines that the log has yet to take.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn unlogged(&self, limit: usize) -> Result<Vec<Line>, StateError> {
        let connection = self.lock();
        let mut select =
            connection.prepare_cached("SELECT number, key, body FROM alert_log ORDER BY number LIMIT ?1")?;
        let mut rows = select.query([i64::try_from(limit).unwrap_or(i64::MAX)])?;
        let mut lines = Vec::new();
        while let Some(row) = rows.next()? {
            let (number, key, body): (i64, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let rest = body
                .strip_prefix('{')
                .ok_or_else(|| corrupt("line of the alert log", &"no JSON object"))?;
            let body = format!("{{\"number\":{number},\"state\":\"{}\",{rest}", self.id());
            lines.push(Line { number, key, body });
        }
        Ok(lines)
    }

    /// How many lines the log has yet to take.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn unlogged_count(&self) -> Result<u64, StateError> {
        let connection = self.lock();
        let mut select = connection.prepare_cached("SELECT count(*) FROM alert_log")?;
        let count: i64 = select.query_row([], |row| row.get(0))?;
        Ok(count.unsigned_abs())
    }

    /// The log has every line up to this number.
    ///
    /// # Errors
    /// When the state cannot be written.
    pub fn logged(&self, number: i64) -> Result<(), StateError> {
        self.write(|transaction| {
            let mut forget = transaction.prepare_cached("DELETE FROM alert_log WHERE number <= ?1")?;
            forget.execute([number])?;
            Ok(())
        })
    }

    /// The log has lines up to this number. What it has is forgotten here; where it has more than this state ever wrote, the
    /// state was brought back from a copy: its lines go on behind those of the log.
    ///
    /// # Errors
    /// When the state cannot be written.
    pub fn log_reaches(&self, number: i64) -> Result<(), StateError> {
        self.write(|transaction| {
            let given: Option<i64> = transaction
                .query_row(
                    "SELECT seq FROM sqlite_sequence WHERE name = 'alert_log'",
                    [],
                    |row| row.get(0),
                )
                .optional()?;
            if given.is_some_and(|given| given >= number) {
                transaction.execute("DELETE FROM alert_log WHERE number <= ?1", [number])?;
                return Ok(());
            }
            // Twice, so that no number meets one that is there.
            transaction.execute("UPDATE alert_log SET number = -number", [])?;
            transaction.execute("UPDATE alert_log SET number = ?1 - number", [number])?;
            let set =
                "UPDATE sqlite_sequence SET seq = max(?1, (SELECT coalesce(max(number), 0) FROM alert_log))
                       WHERE name = 'alert_log'";
            if transaction.execute(set, [number])? == 0 {
                transaction.execute(
                    "INSERT INTO sqlite_sequence (name, seq) VALUES ('alert_log', ?1)",
                    [number],
                )?;
            }
            Ok(())
        })
    }
}
