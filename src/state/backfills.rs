//! What is read again, and the one commit in which it takes the place of what was counted until then.

use rusqlite::{Connection, Transaction, params};

use super::{StateError, Store, TableIds, definitions, items, keys, learned, put_cells, seen};
use crate::evaluate::backfill::{Backfill, Done};
use crate::evaluate::definition::Definition;
use crate::fold::cells::{StoredCell, StoredItem, StoredKey};
use crate::fold::dedup::SeenDelta;
use crate::source::kafka::TopicPartition;

/// Everything that a re-reading changes.
#[derive(Default)]
pub struct Exchange<'a> {
    /// The re-readings, done. What was counted under their definitions is forgotten.
    pub backfills: &'a [Backfill],
    /// Their definitions.
    pub definitions: &'a [Definition],
    /// Their cells.
    pub cells: &'a [StoredCell],
    /// Their keys.
    pub keys: &'a [StoredKey],
    /// Their items.
    pub items: &'a [StoredItem],
    /// Ids that only they count.
    pub seen: &'a [(TopicPartition, SeenDelta)],
    /// Nodes whose links and feeds begin anew: what was judged of them followed from what is forgotten.
    pub nodes: &'a [&'a str],
}

impl Store {
    /// Writes what was read again in place of what was counted until then: all of it or nothing.
    ///
    /// # Errors
    /// When SQLite refuses; nothing has changed then.
    pub fn exchange(&self, exchange: &Exchange<'_>) -> Result<(), StateError> {
        self.write(|transaction| {
            let mut tables = TableIds::default();
            for backfill in exchange.backfills {
                let id = tables.id(transaction, &backfill.name)?;
                for table in ["cells", "keys", "items"] {
                    transaction.execute(&format!("DELETE FROM {table} WHERE table_id = ?1"), [id])?;
                }
            }
            put_cells(transaction, &mut tables, exchange.cells)?;
            keys::put(transaction, &mut tables, exchange.keys)?;
            items::put(transaction, &mut tables, exchange.items)?;
            seen::put(transaction, exchange.seen)?;
            definitions::put(transaction, exchange.definitions)?;
            put(transaction, exchange.backfills)?;
            for node in exchange.nodes {
                learned::forget(transaction, node)?;
            }
            Ok(())
        })
    }
}

pub(super) fn read(connection: &Connection) -> Result<Vec<Backfill>, StateError> {
    let mut select = connection.prepare(
        "SELECT name, length_ms, from_ms, done_ms, since_ms, is_short FROM backfills ORDER BY name",
    )?;
    let rows = select.query_map([], |row| {
        let done_ms: Option<i64> = row.get(3)?;
        let (since_ms, is_short) = (row.get(4)?, row.get(5)?);
        Ok(Backfill {
            name: row.get(0)?,
            length_ms: row.get(1)?,
            from_ms: row.get(2)?,
            done: done_ms.map(|at_ms| Done {
                at_ms,
                since_ms,
                is_short,
            }),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn put(transaction: &Transaction<'_>, backfills: &[Backfill]) -> Result<(), StateError> {
    let mut put = transaction.prepare_cached(
        "INSERT OR REPLACE INTO backfills (name, length_ms, from_ms, done_ms, since_ms, is_short)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for Backfill {
        name,
        length_ms,
        from_ms,
        done,
    } in backfills
    {
        let done_ms = done.as_ref().map(|done| done.at_ms);
        let since_ms = done.as_ref().and_then(|done| done.since_ms);
        let is_short = done.as_ref().is_some_and(|done| done.is_short);
        put.execute(params![name, length_ms, from_ms, done_ms, since_ms, is_short])?;
    }
    Ok(())
}

pub(super) fn forget(transaction: &Transaction<'_>, names: &[String]) -> Result<(), StateError> {
    let mut forget = transaction.prepare_cached("DELETE FROM backfills WHERE name = ?1")?;
    for name in names {
        forget.execute([name])?;
    }
    Ok(())
}
