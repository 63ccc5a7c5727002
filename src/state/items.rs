//! Items that are under way or were, by column: one row an item, with its marks.

use rusqlite::{Connection, Transaction, params};

use super::{StateError, TableIds, corrupt};
use crate::fold::cells::{StoredItem, StoredMark};

pub(super) fn read(connection: &Connection) -> Result<Vec<StoredItem>, StateError> {
    let mut select = connection.prepare(
        "SELECT t.name, k.hash, k.name, k.marks FROM items k JOIN cell_tables t ON t.id = k.table_id",
    )?;
    let mut rows = select.query([])?;
    let mut items = Vec::new();
    while let Some(row) = rows.next()? {
        let (table, hash): (String, i64) = (row.get(0)?, row.get(1)?);
        let blob = row.get_ref(3)?.as_blob().map_err(rusqlite::Error::from)?;
        let marks: Vec<StoredMark> = postcard::from_bytes(blob)
            .map_err(|error| corrupt(&format!("item {hash} of {table}"), &error))?;
        items.push(StoredItem {
            table,
            hash: hash.cast_unsigned(),
            name: row.get(2)?,
            marks,
        });
    }
    Ok(items)
}

pub(super) fn put(
    transaction: &Transaction<'_>,
    tables: &mut TableIds,
    items: &[StoredItem],
) -> Result<(), StateError> {
    let mut put = transaction.prepare_cached(
        "INSERT INTO items (table_id, hash, name, marks) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (table_id, hash) DO UPDATE SET name = excluded.name, marks = excluded.marks",
    )?;
    let mut forget = transaction.prepare_cached("DELETE FROM items WHERE table_id = ?1 AND hash = ?2")?;
    for item in items {
        let id = tables.id(transaction, &item.table)?;
        let hash = item.hash.cast_signed();
        if item.marks.is_empty() {
            forget.execute(params![id, hash])?;
            continue;
        }
        let blob = postcard::to_allocvec(&item.marks)
            .map_err(|error| corrupt(&format!("item {hash} of {}", item.table), &error))?;
        put.execute(params![id, hash, item.name, blob])?;
    }
    Ok(())
}
