//! The history of episodes in the state file: what fired and ended, long after its alert record is forgotten.

use jiff::Timestamp;
use rusqlite::{Connection, Rows, Transaction, params};

use super::{StateError, corrupt, millis};
use crate::alert::record::{AlertRecord, Episode, Fingerprint, Past, Retention};

/// Keeps the current or last episode of each record; what is over stays as it ended. A record that is pending again still holds its last one. What runs
/// is kept however long ago it fired. `changed_one` hears of each that is new or other than before.
pub(super) fn put(
    transaction: &Transaction<'_>,
    changed: &[AlertRecord],
    retention: Retention,
    mut changed_one: impl FnMut(&Episode) -> Result<(), StateError>,
) -> Result<(), StateError> {
    let mut put = transaction.prepare_cached(
        "INSERT INTO episodes (fingerprint, number, fired_ms, body) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (fingerprint, number) DO UPDATE SET body = excluded.body
         WHERE body <> excluded.body AND json_extract(body, '$.ended_at') IS NULL",
    )?;
    let mut newest_ms = None;
    for episode in changed.iter().filter_map(AlertRecord::episode) {
        let body = serde_json::to_string(&episode).map_err(|error| corrupt("episode", &error))?;
        let fired_ms = episode.fired_at.as_millisecond();
        let rows = put.execute(params![
            episode.fingerprint.to_string(),
            episode.number.cast_signed(),
            fired_ms,
            body
        ])?;
        if rows > 0 {
            changed_one(&episode)?;
        }
        newest_ms = newest_ms.max(Some(fired_ms));
    }
    if let Some(newest_ms) = newest_ms {
        // As long as something is known of what was told of an episode, its number must not be given again.
        let kept = retention.episodes.max(retention.notices);
        transaction
            .prepare_cached(
                "DELETE FROM episodes WHERE fired_ms < ?1
                 AND unixepoch(json_extract(body, '$.ended_at')) * 1000 < ?1",
            )?
            .execute([newest_ms.saturating_sub(millis(kept))])?;
    }
    Ok(())
}

/// How many episodes identities had of which there is no record any more.
pub(super) fn read_counts(connection: &Connection) -> Result<Vec<(Fingerprint, u64)>, StateError> {
    let mut select = connection.prepare(
        "SELECT fingerprint, max(number) FROM episodes
         WHERE fingerprint NOT IN (SELECT fingerprint FROM alerts) GROUP BY fingerprint",
    )?;
    let mut rows = select.query([])?;
    let mut counts = Vec::new();
    while let Some(row) = rows.next()? {
        let name = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
        let fingerprint = name.parse().map_err(|error| corrupt("episode", &error))?;
        counts.push((fingerprint, row.get::<_, i64>(1)?.cast_unsigned()));
    }
    Ok(counts)
}

/// What ended after an event time, the first first: the newest, as many as are remembered at most.
pub(super) fn read_ended(connection: &Connection, since: Timestamp) -> Result<Vec<Episode>, StateError> {
    let mut select = connection.prepare(
        "SELECT body FROM episodes WHERE unixepoch(json_extract(body, '$.ended_at')) * 1000 >= ?1",
    )?;
    let second = since.as_second().saturating_mul(1000);
    let mut ended = read_bodies(select.query([second])?)?;
    ended.retain(|episode| episode.ended_at.is_some_and(|end| end > since));
    ended.sort_by_key(|episode| (episode.ended_at, episode.fingerprint, episode.number));
    let beyond = ended.len().saturating_sub(Past::ENDED_MAX);
    ended.drain(..beyond);
    Ok(ended)
}

/// Every episode, in the order of firing.
pub(super) fn read(connection: &Connection) -> Result<Vec<Episode>, StateError> {
    let mut select =
        connection.prepare("SELECT body FROM episodes ORDER BY fired_ms, fingerprint, number")?;
    read_bodies(select.query([])?)
}

fn read_bodies(mut rows: Rows<'_>) -> Result<Vec<Episode>, StateError> {
    let mut episodes = Vec::new();
    while let Some(row) = rows.next()? {
        let body = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
        episodes.push(serde_json::from_str(body).map_err(|error| corrupt("episode", &error))?);
    }
    Ok(episodes)
}
