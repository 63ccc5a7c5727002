//! What the alert log has yet to take: every episode that began, changed or ended, every notice and what came of it, and why
//! somebody was not told. Written with the commit that decided it, and forgotten when the topic has it.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Transaction, params};
use serde_json::{Value, json};

use super::outbox::Status;
use super::{StateError, Store, corrupt, put_number, read_number};
use crate::alert::dispatch::Held;
use crate::alert::identity::episode_id;
use crate::alert::notice::Notice;
use crate::alert::record::Episode;

/// Under which names the state knows the last number that a line got, and the last one that the log was given.
const NUMBER: &str = "alert_log_number";
const GIVEN: &str = "alert_log_given";

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
        let number = next_number(self.transaction)?;
        let mut insert = self
            .transaction
            .prepare_cached("INSERT INTO alert_log (number, key, body) VALUES (?1, ?2, ?3)")?;
        insert.execute(params![number, key, body.to_string()])?;
        Ok(())
    }
}

/// Numbers are part of the state: who takes over, or reads the state from its topic, goes on from the last one.
fn next_number(transaction: &Transaction<'_>) -> Result<i64, StateError> {
    let mut next = transaction.prepare_cached(
        "INSERT INTO meta (key, value) VALUES ('alert_log_number', 1)
         ON CONFLICT (key) DO UPDATE SET value = value + 1 RETURNING value",
    )?;
    Ok(next.query_row([], |row| row.get(0))?)
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

    /// Lines up to this number are about to be given to the log.
    ///
    /// # Errors
    /// When the state cannot be written.
    pub fn logging_up_to(&self, number: i64) -> Result<(), StateError> {
        self.write(|transaction| put_number(transaction, GIVEN, number))
    }

    /// The log has lines up to this number. What it has is forgotten here; where it has more than this state ever gave it, the
    /// state was brought back from a copy: its lines go on behind those of the log.
    ///
    /// # Errors
    /// When the state cannot be written.
    pub fn log_reaches(&self, number: i64) -> Result<(), StateError> {
        self.write(|transaction| {
            if read_number(transaction, GIVEN)?.unwrap_or(0) >= number {
                transaction.execute("DELETE FROM alert_log WHERE number <= ?1", [number])?;
                return Ok(());
            }
            let mut select = transaction.prepare("SELECT key, body FROM alert_log ORDER BY number")?;
            let lines = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let lines: Vec<(String, String)> = lines.collect::<Result<_, _>>()?;
            transaction.execute("DELETE FROM alert_log", [])?;
            put_number(transaction, GIVEN, number)?;
            let last = read_number(transaction, NUMBER)?.unwrap_or(0).max(number);
            put_number(transaction, NUMBER, last)?;
            let mut insert =
                transaction.prepare("INSERT INTO alert_log (number, key, body) VALUES (?1, ?2, ?3)")?;
            for (key, body) in lines {
                insert.execute(params![next_number(transaction)?, key, body])?;
            }
            Ok(())
        })
    }
}
