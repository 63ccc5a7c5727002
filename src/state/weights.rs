//! The book of weights: what was declared, proposed and decided.

use jiff::Timestamp;
use rusqlite::{Connection, Transaction, params};
use serde::Serialize;

use super::{StateError, Store, corrupt};
use crate::catalog::Catalog;
use crate::evaluate::weights::{Book, Changed, Proposal, Setting};

impl Store {
    /// The book of weights.
    ///
    /// # Errors
    /// When SQLite refuses or a stored value cannot be read.
    pub fn weights(&self) -> Result<Book, StateError> {
        read(&self.lock())
    }

    /// The book with this catalogue in force from `at` by the clock on, kept before anything is judged under it.
    ///
    /// # Errors
    /// When SQLite refuses; nothing has changed then.
    pub fn declare_weights(
        &self,
        catalog: &Catalog,
        watermark_ms: Option<i64>,
        at: Timestamp,
    ) -> Result<Book, StateError> {
        let mut book = self.weights()?;
        let watermark = watermark_ms.and_then(|ms| Timestamp::from_millisecond(ms).ok());
        let today = watermark.map(|watermark| catalog.calendar.day_of(watermark));
        let changed = book.declare(catalog, today, at);
        for setting in changed.settings.iter().filter(|setting| setting.number > 1) {
            tracing::info!(
                parent = setting.parent,
                "other weights are declared: they are in force"
            );
        }
        self.keep_weights(&changed)?;
        Ok(book)
    }

    /// Keeps what changed in the book beside a commit: before anything is judged under it.
    ///
    /// # Errors
    /// When SQLite refuses; nothing has changed then.
    pub fn keep_weights(&self, changed: &Changed) -> Result<(), StateError> {
        if changed.is_empty() {
            return Ok(());
        }
        self.write(|transaction| put(transaction, changed))
    }
}

/// Everything, in the order in which it was made.
pub(super) fn read(connection: &Connection) -> Result<Book, StateError> {
    let mut settings = Vec::new();
    let mut select =
        connection.prepare("SELECT parent, number, body FROM weight_settings ORDER BY parent, number")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (parent, number, body): (String, i64, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let setting: Setting = serde_json::from_str(&body)
            .map_err(|error| corrupt(&format!("weights {number} of {parent}"), &error))?;
        settings.push(setting);
    }
    let mut proposals = Vec::new();
    let mut select =
        connection.prepare("SELECT parent, closed, body FROM weight_proposals ORDER BY parent, at_ms")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (parent, closed, body): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let proposal: Proposal = serde_json::from_str(&body)
            .map_err(|error| corrupt(&format!("proposal of {closed} for {parent}"), &error))?;
        proposals.push(proposal);
    }
    Ok(Book::restore(settings, proposals))
}

/// Keeps what changed. A setting is never changed; a proposal is, until it is decided.
pub(super) fn put(transaction: &Transaction<'_>, changed: &Changed) -> Result<(), StateError> {
    fn body<T: Serialize>(value: &T) -> Result<String, StateError> {
        serde_json::to_string(value).map_err(|error| corrupt("weights", &error))
    }
    let mut put_setting = transaction
        .prepare_cached("INSERT INTO weight_settings (parent, number, body) VALUES (?1, ?2, ?3)")?;
    for setting in &changed.settings {
        put_setting.execute(params![setting.parent, setting.number, body(setting)?])?;
    }
    let mut put_proposal = transaction.prepare_cached(
        "INSERT INTO weight_proposals (parent, closed, at_ms, body) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (parent, closed) DO UPDATE SET body = excluded.body",
    )?;
    for proposal in &changed.proposals {
        put_proposal.execute(params![
            proposal.parent,
            proposal.closed,
            proposal.at.as_millisecond(),
            body(proposal)?
        ])?;
    }
    Ok(())
}
