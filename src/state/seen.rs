//! Ids of events by partition, for dedup: rows of many ids, written as they fill.

use std::sync::Arc;

use hashbrown::HashMap;
use rusqlite::{Connection, Transaction, params};

use super::{StateError, corrupt};
use crate::fold::dedup::{Chunks, SeenDelta};

/// Ids by topic and partition.
pub type SeenByPartition = HashMap<(Arc<str>, i32), Chunks>;

pub(super) fn read(connection: &Connection) -> Result<SeenByPartition, StateError> {
    let mut select = connection.prepare("SELECT topic, partition, hour, chunk, hashes FROM seen")?;
    let mut rows = select.query([])?;
    let mut seen = SeenByPartition::new();
    while let Some(row) = rows.next()? {
        let topic: Arc<str> = row.get::<_, String>(0)?.into();
        let (hour, chunk): (i32, i64) = (row.get(2)?, row.get(3)?);
        let blob = row.get_ref(4)?.as_blob().map_err(rusqlite::Error::from)?;
        let (hashes, rest) = blob.as_chunks::<8>();
        if !rest.is_empty() {
            return Err(corrupt(
                &format!("ids of {topic} {hour} {chunk}"),
                &"not a multiple of 8 bytes",
            ));
        }
        let hashes = hashes.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
        seen.entry((topic, row.get(1)?))
            .or_default()
            .insert((hour, chunk.unsigned_abs()), hashes);
    }
    Ok(seen)
}

pub(super) fn put(
    transaction: &Transaction<'_>,
    changed: &[((Arc<str>, i32), SeenDelta)],
) -> Result<(), StateError> {
    let mut put = transaction.prepare_cached(
        "INSERT INTO seen (topic, partition, hour, chunk, hashes) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (topic, partition, hour, chunk) DO UPDATE SET hashes = excluded.hashes",
    )?;
    let mut forget = transaction.prepare_cached(
        "DELETE FROM seen WHERE topic = ?1 AND partition = ?2 AND (hour, chunk) < (?3, ?4)",
    )?;
    for ((topic, partition), delta) in changed {
        for ((hour, chunk), hashes) in &delta.chunks {
            let blob: Vec<u8> = hashes.iter().flat_map(|hash| hash.to_le_bytes()).collect();
            put.execute(params![&**topic, partition, hour, chunk.cast_signed(), blob])?;
        }
        if let Some((hour, chunk)) = delta.needed_from {
            forget.execute(params![&**topic, partition, hour, chunk.cast_signed()])?;
        }
    }
    Ok(())
}
