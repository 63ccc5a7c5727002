//! Tables of the state file.

use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension};

use super::StateError;

/// Version of the tables below and of what stands in them; a newer one is refused, never guessed at.
///
/// 1: the first. 2: ids for dedup, partials of percentiles, and counts below 0. 3: the history of episodes.
/// 4: keys that are known, and partials of `count_new` beside them. 5: items, partials of durations, and what is known of
/// links. 6: since when definitions are counted, and entries. 7: bundles of notices, where messages are shown, who was
/// not told of what, and what is read again. 8: the first day that is kept, and when definitions were declared.
/// 9: weights that were declared, proposed and decided. 10: what is known of feeds that no link watches. 11: links learn the
/// unit of a plan; those of before begin anew. 12: which topic a file is a copy of, and what the alert log has yet to take.
/// What else an older version wrote means the same in a newer one.
pub(super) const SCHEMA: i64 = 12;
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
CREATE TABLE IF NOT EXISTS keys (
    table_id INTEGER, hash INTEGER, runs BLOB NOT NULL, PRIMARY KEY (table_id, hash)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS items (
    table_id INTEGER, hash INTEGER, name TEXT NOT NULL, marks BLOB NOT NULL,
    PRIMARY KEY (table_id, hash)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS seen (
    topic TEXT, partition INTEGER, hour INTEGER, chunk INTEGER, hashes BLOB NOT NULL,
    PRIMARY KEY (topic, partition, hour, chunk)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS links (
    node TEXT, dimensions TEXT, body BLOB NOT NULL,
    PRIMARY KEY (node, dimensions)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS feeds (node TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS definitions (
    name TEXT PRIMARY KEY, since_ms INTEGER, in_use INTEGER NOT NULL, declared_ms INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS backfills (
    name TEXT PRIMARY KEY, length_ms INTEGER NOT NULL, from_ms INTEGER NOT NULL,
    done_ms INTEGER, since_ms INTEGER, is_short INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS entries (
    metric TEXT, number INTEGER, body TEXT NOT NULL, PRIMARY KEY (metric, number)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS weight_settings (
    parent TEXT, number INTEGER, body TEXT NOT NULL, PRIMARY KEY (parent, number)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS weight_proposals (
    parent TEXT, closed TEXT, at_ms INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (parent, closed)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS alerts (fingerprint TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS episodes (
    fingerprint TEXT, number INTEGER, fired_ms INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (fingerprint, number)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS episodes_fired ON episodes (fired_ms);
CREATE TABLE IF NOT EXISTS held (
    episode TEXT, receiver TEXT, at_ms INTEGER, body TEXT NOT NULL,
    PRIMARY KEY (episode, receiver, at_ms)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS replica (
    topic TEXT PRIMARY KEY, next_offset INTEGER NOT NULL, marker BLOB, followed_ms INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS alert_log (
    number INTEGER PRIMARY KEY, key TEXT NOT NULL, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS requests (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    source TEXT NOT NULL, key TEXT NOT NULL, body_hash INTEGER NOT NULL, receipt TEXT NOT NULL,
    UNIQUE (source, key));
CREATE TABLE IF NOT EXISTS notices (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL, receiver TEXT NOT NULL, episode TEXT NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL,
    decided_wall_ms INTEGER NOT NULL,
    status TEXT NOT NULL DEFAULT 'pending'
        CHECK (status IN ('pending', 'delivered', 'dead', 'superseded')),
    attempts INTEGER NOT NULL DEFAULT 0, next_attempt_ms INTEGER, maybe_shown INTEGER NOT NULL DEFAULT 0,
    settled_ms INTEGER, detail TEXT, bundle TEXT NOT NULL DEFAULT '', shown TEXT,
    UNIQUE (id, receiver));
CREATE INDEX IF NOT EXISTS notices_pending ON notices (position) WHERE status = 'pending';
CREATE INDEX IF NOT EXISTS notices_episode ON notices (receiver, episode);
CREATE INDEX IF NOT EXISTS notices_outcome ON notices (receiver, status);
CREATE INDEX IF NOT EXISTS notices_untold ON notices (decided_wall_ms) WHERE kind = 'fired' AND status = 'pending';
CREATE INDEX IF NOT EXISTS notices_lost ON notices (settled_ms) WHERE kind = 'fired' AND status = 'dead';
CREATE INDEX IF NOT EXISTS notices_settled ON notices (settled_ms) WHERE settled_ms IS NOT NULL;
";

/// Columns that were added to tables of older versions.
const COLUMNS: [(&str, &str, &str); 3] = [
    ("notices", "bundle", "TEXT NOT NULL DEFAULT ''"),
    ("notices", "shown", "TEXT"),
    ("definitions", "declared_ms", "INTEGER"),
];

/// How long SQLite waits for another process that is just recovering or closing the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// What was refused had a word of its own once.
const REFUSED: &str = "
UPDATE notices SET status = 'dead', detail = 'refused, as plain text too: ' || coalesce(detail, '')
    WHERE status = 'dropped';
";

const META: &str = "
INSERT OR IGNORE INTO meta (key, value) VALUES ('store_id', lower(hex(randomblob(8))));
INSERT OR IGNORE INTO meta (key, value) VALUES ('link_key', lower(hex(randomblob(32))));
";

/// Makes the tables. That nobody else writes is seen to by a [`Lock`](super::lock::Lock); readers may come and go.
pub(super) fn prepare(connection: &Connection) -> Result<(), StateError> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // Else a statement is compiled anew whenever it is asked with other values, in case another plan suits them better.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // FULL: a notice that was sent must not be forgotten by a power cut, or it would be sent again.
    connection.pragma_update(None, "synchronous", "FULL")?;
    let found = version(connection)?;
    if let Some(found) = found
        && !(OLDEST..=SCHEMA).contains(&found)
    {
        return Err(StateError::Schema {
            found,
            expected: SCHEMA,
        });
    }
    // Columns that a table of an older version lacks.
    let mut columns = String::new();
    for (table, column, how) in COLUMNS {
        if connection.table_exists(None, table)? && !connection.column_exists(None, table, column)? {
            columns.push_str(&format!("ALTER TABLE {table} ADD COLUMN {column} {how};"));
        }
    }
    // What was counted before there was this table counts as seen whole: nothing else is known of it.
    let counted = if found.is_some_and(|found| found < 5) {
        "INSERT OR IGNORE INTO definitions SELECT name, NULL, 1, NULL FROM cell_tables;"
    } else {
        ""
    };
    let links = if found.is_some_and(|found| found < 11) {
        "DELETE FROM links;"
    } else {
        ""
    };
    connection.execute_batch(&format!(
        "BEGIN EXCLUSIVE; {TABLES} {META} {columns} {counted} {links} {REFUSED}
        INSERT OR REPLACE INTO meta (key, value) VALUES ('schema', {SCHEMA}); COMMIT;"
    ))?;
    Ok(())
}

/// Makes a connection that only reads ready: the file must be of this version.
pub(super) fn prepare_reading(connection: &Connection) -> Result<(), StateError> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    match version(connection)? {
        Some(SCHEMA) => Ok(()),
        found => Err(StateError::Schema {
            found: found.unwrap_or(0),
            expected: SCHEMA,
        }),
    }
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
