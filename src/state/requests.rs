//! Requests that named themselves by a key: what they were answered, so that a repetition counts nothing again.

use rusqlite::{Connection, Transaction, params};

use super::{StateError, corrupt};
use crate::source::push::Receipt;

/// Requests that are kept: the newest ones.
pub const KEPT_REQUESTS: usize = 100_000;

/// A request that was taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeptRequest {
    /// Name of the source.
    pub source: String,
    /// Its key.
    pub key: String,
    /// Hash of its body: another body under the same key is a mistake.
    pub body_hash: u64,
    /// Its answer.
    pub receipt: Receipt,
}

/// Every request that is kept, oldest first.
pub(super) fn read(connection: &Connection) -> Result<Vec<KeptRequest>, StateError> {
    let mut select =
        connection.prepare("SELECT source, key, body_hash, receipt FROM requests ORDER BY position")?;
    let mut rows = select.query([])?;
    let mut requests = Vec::new();
    while let Some(row) = rows.next()? {
        let (source, key, hash, receipt): (String, String, i64, String) =
            (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        let receipt =
            serde_json::from_str(&receipt).map_err(|error| corrupt(&format!("request {key}"), &error))?;
        requests.push(KeptRequest {
            source,
            key,
            body_hash: hash.cast_unsigned(),
            receipt,
        });
    }
    Ok(requests)
}

/// Keeps requests, and forgets the oldest beyond [`KEPT_REQUESTS`].
pub(super) fn put(transaction: &Transaction<'_>, requests: &[KeptRequest]) -> Result<(), StateError> {
    if requests.is_empty() {
        return Ok(());
    }
    let mut put = transaction.prepare_cached(
        "INSERT OR REPLACE INTO requests (source, key, body_hash, receipt) VALUES (?1, ?2, ?3, ?4)",
    )?;
    for request in requests {
        let receipt = serde_json::to_string(&request.receipt).map_err(|error| corrupt("receipt", &error))?;
        put.execute(params![
            request.source,
            request.key,
            request.body_hash.cast_signed(),
            receipt
        ])?;
    }
    let mut forget = transaction
        .prepare_cached("DELETE FROM requests WHERE position <= (SELECT MAX(position) FROM requests) - ?1")?;
    forget.execute([i64::try_from(KEPT_REQUESTS).unwrap_or(i64::MAX)])?;
    Ok(())
}
