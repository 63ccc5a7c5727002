//! Keys that came before, by column: one row a key, with its runs.

use rusqlite::{Connection, Transaction, params};

use super::{StateError, TableIds, corrupt};
use crate::fold::cells::{StoredKey, StoredRun};

pub(super) fn read(connection: &Connection) -> Result<Vec<StoredKey>, StateError> {
    let mut select = connection
        .prepare("SELECT t.name, k.hash, k.runs FROM keys k JOIN cell_tables t ON t.id = k.table_id")?;
    let mut rows = select.query([])?;
    let mut keys = Vec::new();
    while let Some(row) = rows.next()? {
        let (table, hash): (String, i64) = (row.get(0)?, row.get(1)?);
        let blob = row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?;
        let runs: Vec<StoredRun> =
            postcard::from_bytes(blob).map_err(|error| corrupt(&format!("key {hash} of {table}"), &error))?;
        keys.push(StoredKey {
            table,
            hash: hash.cast_unsigned(),
            runs,
        });
    }
    Ok(keys)
}

pub(super) fn put(
    transaction: &Transaction<'_>,
    tables: &mut TableIds,
    keys: &[StoredKey],
) -> Result<(), StateError> {
    let mut put = transaction.prepare_cached(
        "INSERT INTO keys (table_id, hash, runs) VALUES (?1, ?2, ?3)
         ON CONFLICT (table_id, hash) DO UPDATE SET runs = excluded.runs",
    )?;
    let mut forget = transaction.prepare_cached("DELETE FROM keys WHERE table_id = ?1 AND hash = ?2")?;
    for key in keys {
        let id = tables.id(transaction, &key.table)?;
        let hash = key.hash.cast_signed();
        if key.runs.is_empty() {
            forget.execute(params![id, hash])?;
            continue;
        }
        let blob = postcard::to_allocvec(&key.runs)
            .map_err(|error| corrupt(&format!("key {hash} of {}", key.table), &error))?;
        put.execute(params![id, hash, blob])?;
    }
    Ok(())
}
