//! Definitions that the fold has known, and since when.

use rusqlite::{Connection, Transaction, params};

use super::{StateError, Store, backfills};
use crate::evaluate::backfill::Changes;
use crate::evaluate::definition::Definition;

impl Store {
    /// Keeps definitions that came, came back or went, and what is to be read again of them: before anything is folded
    /// under them.
    ///
    /// # Errors
    /// When SQLite refuses; nothing has changed then.
    pub fn define(&self, changed: &[Definition], again: &Changes) -> Result<(), StateError> {
        if changed.is_empty() && *again == Changes::default() {
            return Ok(());
        }
        self.write(|transaction| {
            put(transaction, changed)?;
            backfills::forget(transaction, &again.dropped)?;
            backfills::put(transaction, &again.begun)
        })
    }
}

pub(super) fn read(connection: &Connection) -> Result<Vec<Definition>, StateError> {
    let mut select =
        connection.prepare("SELECT name, since_ms, in_use, declared_ms FROM definitions ORDER BY name")?;
    let rows = select.query_map([], |row| {
        Ok(Definition {
            name: row.get(0)?,
            since_ms: row.get(1)?,
            in_use: row.get(2)?,
            declared_ms: row.get(3)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn put(transaction: &Transaction<'_>, changed: &[Definition]) -> Result<(), StateError> {
    let mut put = transaction.prepare_cached(
        "INSERT INTO definitions (name, since_ms, in_use, declared_ms) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (name) DO UPDATE
         SET since_ms = excluded.since_ms, in_use = excluded.in_use, declared_ms = excluded.declared_ms",
    )?;
    for Definition {
        name,
        since_ms,
        in_use,
        declared_ms,
    } in changed
    {
        put.execute(params![name, since_ms, in_use, declared_ms])?;
    }
    Ok(())
}
