//! Who was not told of what, and why: part of the history of an episode.

use rusqlite::{Connection, Transaction, params};

use super::alert_log::Log;
use super::{StateError, corrupt, millis};
use crate::alert::dispatch::Held;
use crate::alert::record::Retention;

/// Adds lines; they are kept as notices are.
pub(super) fn put(
    transaction: &Transaction<'_>,
    held: &[Held],
    wall_ms: i64,
    retention: Retention,
    log: Option<Log<'_>>,
) -> Result<(), StateError> {
    if held.is_empty() {
        return Ok(());
    }
    let mut put = transaction.prepare_cached(
        "INSERT INTO held (episode, receiver, at_ms, body) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (episode, receiver, at_ms) DO UPDATE SET body = excluded.body WHERE body <> excluded.body",
    )?;
    for line in held {
        let body = serde_json::to_string(line).map_err(|error| corrupt("held notice", &error))?;
        let rows = put.execute(params![
            line.episode,
            line.receiver,
            line.at.as_millisecond(),
            body
        ])?;
        if let Some(log) = log.filter(|_| rows > 0) {
            log.held(line)?;
        }
    }
    let kept_from = wall_ms.saturating_sub(millis(retention.notices));
    transaction.execute("DELETE FROM held WHERE at_ms < ?1", [kept_from])?;
    Ok(())
}

/// The lines of an episode, oldest first.
pub(super) fn read(connection: &Connection, episode: &str) -> Result<Vec<Held>, StateError> {
    let mut select =
        connection.prepare_cached("SELECT body FROM held WHERE episode = ?1 ORDER BY at_ms, receiver")?;
    let mut rows = select.query([episode])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let body = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
        found.push(serde_json::from_str(body).map_err(|error| corrupt("held notice", &error))?);
    }
    Ok(found)
}
