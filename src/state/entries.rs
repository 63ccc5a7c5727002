//! Entries that people typed in: every one, corrected ones too.

use rusqlite::{Connection, Transaction, params};

use super::{StateError, corrupt};
use crate::source::entry::Entry;

/// Every entry, in the order of their numbers.
pub(super) fn read(connection: &Connection) -> Result<Vec<Entry>, StateError> {
    let mut select =
        connection.prepare("SELECT metric, number, body FROM entries ORDER BY metric, number")?;
    let mut rows = select.query([])?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        let (metric, number, body): (String, i64, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let entry: Entry = serde_json::from_str(&body)
            .map_err(|error| corrupt(&format!("entry {number} of {metric}"), &error))?;
        entries.push(Entry { metric, ..entry });
    }
    Ok(entries)
}

/// Keeps entries. None is ever changed or removed.
pub(super) fn put(transaction: &Transaction<'_>, entries: &[Entry]) -> Result<(), StateError> {
    let mut put =
        transaction.prepare_cached("INSERT INTO entries (metric, number, body) VALUES (?1, ?2, ?3)")?;
    for entry in entries {
        let body = serde_json::to_string(entry).map_err(|error| corrupt("entry", &error))?;
        put.execute(params![entry.metric, entry.number.cast_signed(), body])?;
    }
    Ok(())
}
