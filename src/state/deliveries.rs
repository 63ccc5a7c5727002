//! How notices reach their receivers, as the outbox has it: nothing else is kept of it, so that it is the same after a
//! restart.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, params};

use super::{StateError, Status, Store, corrupt};
use crate::alert::delivery::{Delivery, Failure};

/// A message that is lost among others that arrive is still seen for so long: nobody looks all the time.
const SEEN_FOR: SignedDuration = SignedDuration::from_mins(1);

impl Store {
    /// How notices reach these receivers at `now` by the wall clock: one is not reached when the last that became of its
    /// notices is that one was refused or given up.
    ///
    /// # Errors
    /// When SQLite refuses or a stored value cannot be read.
    pub fn deliveries(&self, receivers: &[String], now: Timestamp) -> Result<Vec<Delivery>, StateError> {
        let connection = self.lock();
        let seen_since = now.saturating_sub(SEEN_FOR).unwrap_or(Timestamp::MIN);
        receivers
            .iter()
            .map(|receiver| {
                Ok(Delivery {
                    receiver: receiver.clone(),
                    failure: failure(&connection, receiver, seen_since.as_millisecond())?,
                })
            })
            .collect()
    }
}

/// By the order of decisions, which is that of deliveries to one receiver: a wall clock that was set back changes nothing.
fn failure(connection: &Connection, receiver: &str, seen_since: i64) -> Result<Option<Failure>, StateError> {
    let mut last = connection.prepare_cached(
        "SELECT max(position) FROM notices WHERE receiver = ?1 AND status = ?2 AND position < ?3",
    )?;
    let mut last = |status: Status, before: i64| -> Result<Option<i64>, StateError> {
        Ok(last.query_row(params![receiver, status.as_str(), before], |row| row.get(0))?)
    };
    let Some(failed) = last(Status::Dead, i64::MAX)? else {
        return Ok(None);
    };
    let mut why = connection.prepare_cached("SELECT settled_ms, detail FROM notices WHERE position = ?1")?;
    let (failed_ms, reason): (i64, Option<String>) =
        why.query_row([failed], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let is_reached = last(Status::Delivered, i64::MAX)?.is_some_and(|reached| reached > failed);
    if is_reached && failed_ms < seen_since {
        return Ok(None);
    }
    let reached = last(Status::Delivered, failed)?.unwrap_or(0);
    let mut lost = connection.prepare_cached(
        "SELECT count(*), min(settled_ms) FROM notices WHERE receiver = ?1 AND status = ?2 AND position > ?3",
    )?;
    let of = params![receiver, Status::Dead.as_str(), reached];
    let (lost, first): (i64, i64) = lost.query_row(of, |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(Some(Failure {
        lost: lost.unsigned_abs(),
        since: Timestamp::from_millisecond(first).map_err(|error| corrupt("notice time", &error))?,
        reason,
    }))
}
