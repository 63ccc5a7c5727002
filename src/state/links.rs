//! What the judgement has learned of every link: one row each, written when a day closes.

use rusqlite::{Connection, Transaction, params};

use super::{StateError, corrupt};
use crate::evaluate::drift::StoredLink;

pub(super) fn read(connection: &Connection) -> Result<Vec<StoredLink>, StateError> {
    let mut select =
        connection.prepare("SELECT node, dimensions, body FROM links ORDER BY node, dimensions")?;
    let mut rows = select.query([])?;
    let mut links = Vec::new();
    while let Some(row) = rows.next()? {
        let (node, dimensions): (String, String) = (row.get(0)?, row.get(1)?);
        let dimensions =
            serde_json::from_str(&dimensions).map_err(|error| corrupt(&format!("link {node}"), &error))?;
        links.push(StoredLink {
            node,
            dimensions,
            body: row.get(2)?,
        });
    }
    Ok(links)
}

pub(super) fn put(transaction: &Transaction<'_>, links: &[StoredLink]) -> Result<(), StateError> {
    let mut put = transaction.prepare_cached(
        "INSERT INTO links (node, dimensions, body) VALUES (?1, ?2, ?3)
         ON CONFLICT (node, dimensions) DO UPDATE SET body = excluded.body",
    )?;
    for link in links {
        // As JSON: values may hold any text.
        let dimensions = serde_json::to_string(&link.dimensions).map_err(|error| corrupt("link", &error))?;
        put.execute(params![link.node, dimensions, link.body])?;
    }
    Ok(())
}
