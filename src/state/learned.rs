//! What the judgement has learned of every link and feed: one row each, written when a day closes.

use rusqlite::{Connection, Transaction, params};

use super::{StateError, corrupt};
use crate::evaluate::drift::{Learned, StoredFeed, StoredLink};

pub(super) fn read(connection: &Connection) -> Result<Learned, StateError> {
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
    let mut select = connection.prepare("SELECT node, body FROM feeds ORDER BY node")?;
    let feeds = select.query_map([], |row| {
        Ok(StoredFeed {
            node: row.get(0)?,
            body: row.get(1)?,
        })
    })?;
    Ok(Learned {
        links,
        forgotten: Vec::new(),
        feeds: feeds.collect::<Result<_, _>>()?,
    })
}

pub(super) fn put(transaction: &Transaction<'_>, learned: &Learned) -> Result<(), StateError> {
    // As JSON: values may hold any text.
    let key =
        |dimensions: &[String]| serde_json::to_string(dimensions).map_err(|error| corrupt("link", &error));
    let mut delete = transaction.prepare_cached("DELETE FROM links WHERE node = ?1 AND dimensions = ?2")?;
    for (node, dimensions) in &learned.forgotten {
        delete.execute(params![node, key(dimensions)?])?;
    }
    let mut put = transaction.prepare_cached(
        "INSERT INTO links (node, dimensions, body) VALUES (?1, ?2, ?3)
         ON CONFLICT (node, dimensions) DO UPDATE SET body = excluded.body",
    )?;
    for link in &learned.links {
        put.execute(params![link.node, key(&link.dimensions)?, link.body])?;
    }
    let mut put = transaction.prepare_cached(
        "INSERT INTO feeds (node, body) VALUES (?1, ?2) ON CONFLICT (node) DO UPDATE SET body = excluded.body",
    )?;
    for feed in &learned.feeds {
        put.execute(params![feed.node, feed.body])?;
    }
    Ok(())
}

/// Forgets what was learned of a node: its links and its feed begin anew.
pub(super) fn forget(transaction: &Transaction<'_>, node: &str) -> Result<(), StateError> {
    for table in ["links", "feeds"] {
        transaction.execute(&format!("DELETE FROM {table} WHERE node = ?1"), [node])?;
    }
    Ok(())
}
