//! Tables of the state file.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};

use super::StateError;

/// Version of the tables below and of what stands in them; a newer one is refused, never guessed at.
///
/// 1: the first. 2: ids for dedup, partials of percentiles, and counts below 0. What version 1 wrote means the same in version 2.
const SCHEMA: i64 = 2;
/// The oldest version that is brought up to date by making the tables that it lacks.
const OLDEST: i64 = 1;

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS positions (
    topic TEXT, partition INTEGER, next_offset INTEGER NOT NULL, newest_event_ms INTEGER,
    PRIMARY KEY (topic, partition)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cell_tables (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS cells (
    table_id INTEGER, key TEXT, day INTEGER, partial BLOB NOT NULL,
    PRIMARY KEY (table_id, key, day)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS seen (
    topic TEXT, partition INTEGER, hour INTEGER, chunk INTEGER, hashes BLOB NOT NULL,
    PRIMARY KEY (topic, partition, hour, chunk)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS alerts (fingerprint TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS requests (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    source TEXT NOT NULL, key TEXT NOT NULL, body_hash INTEGER NOT NULL, receipt TEXT NOT NULL,
    UNIQUE (source, key));
CREATE TABLE IF NOT EXISTS notices (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL, receiver TEXT NOT NULL, episode TEXT NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL,
    decided_wall_ms INTEGER NOT NULL,
    status TEXT NOT NULL DEFAULT 'pending'
        CHECK (status IN ('pending', 'delivered', 'dropped', 'dead', 'superseded')),
    attempts INTEGER NOT NULL DEFAULT 0, next_attempt_ms INTEGER, maybe_shown INTEGER NOT NULL DEFAULT 0,
    settled_ms INTEGER, detail TEXT,
    UNIQUE (id, receiver));
CREATE INDEX IF NOT EXISTS notices_pending ON notices (position) WHERE status = 'pending';
CREATE INDEX IF NOT EXISTS notices_episode ON notices (receiver, episode);
CREATE INDEX IF NOT EXISTS notices_settled ON notices (settled_ms) WHERE settled_ms IS NOT NULL;
";

const META: &str = "
INSERT OR IGNORE INTO meta (key, value) VALUES ('store_id', lower(hex(randomblob(8))));
";

/// Makes the tables and takes the file for this process alone.
pub(super) fn prepare(connection: &Connection) -> Result<(), StateError> {
    // A predecessor that is just stopping gets a moment to let go of the file.
    connection.busy_timeout(Duration::from_secs(1))?;
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // FULL: a notice that was sent must not be forgotten by a power cut, or it would be sent again.
    connection.pragma_update(None, "synchronous", "FULL")?;
    match version(connection)? {
        None | Some(OLDEST..=SCHEMA) => {}
        Some(found) => {
            return Err(StateError::Schema {
                found,
                expected: SCHEMA,
            });
        }
    }
    connection.execute_batch(&format!(
        "BEGIN EXCLUSIVE; {TABLES} {META}
        INSERT OR REPLACE INTO meta (key, value) VALUES ('schema', {SCHEMA}); COMMIT;"
    ))?;
    Ok(())
}

/// The version of a file; `None` for a new one.
fn version(connection: &Connection) -> Result<Option<i64>, StateError> {
    let is_new = !connection.table_exists(None, "meta")?;
    if is_new {
        return Ok(None);
    }
    let select = "SELECT value FROM meta WHERE key = 'schema'";
    Ok(connection.query_row(select, [], |row| row.get(0)).optional()?)
}
