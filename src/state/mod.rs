//! State: offsets, partials, alert records and notices in one SQLite file, changed by one atomic commit.
//!
//! A crash at any point leaves the last commit: what was read after it is read again from Kafka, at the offsets that
//! were committed with the partials. So no event is lost and none is counted twice, and a decided notice is kept
//! until it is delivered.
//!
//! [`replica`]: a state that several processes keep, commit by commit in a topic. `alert_log`: what a topic for people has yet to
//! take. Every other module is a table, or a few that belong together.

mod alert_log;
mod backfills;
mod definitions;
mod deliveries;
mod entries;
mod episodes;
mod held;
mod items;
mod keys;
mod learned;
mod lock;
mod log;
mod outbox;
mod reading;
pub mod replica;
mod requests;
mod schema;
mod seen;
#[cfg(test)]
mod tests;
mod weights;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use hashbrown::HashMap;
use jiff::SignedDuration;
use rusqlite::{Connection, OptionalExtension, ToSql, Transaction, params};

use crate::alert::dispatch::{Held, Kept};
use crate::alert::notice::Notice;
use crate::alert::record::{AlertRecord, Episode, Fingerprint, Past, Retention};
use crate::evaluate::backfill::Backfill;
use crate::evaluate::definition::Definition;
use crate::evaluate::drift::Learned;
use crate::evaluate::weights::Changed;
use crate::fold::cells::{ForgottenDay, StoredCell, StoredItem, StoredKey};
use crate::fold::day::Day;
use crate::fold::dedup::SeenDelta;
use crate::source::entry::Entry;
use alert_log::Log;
use lock::Lock;
use replica::Leading;

pub use alert_log::Line;
pub use backfills::Exchange;
pub use log::{Asked, EpisodePlace, NotAPlace, NoticePlace, Page};
pub use outbox::{LoggedNotice, Status};
pub use reading::Reading;
pub use requests::{KEPT_REQUESTS, KeptRequest};
pub use seen::SeenByPartition;

/// What can go wrong with the state.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The file or its folder cannot be used.
    #[error("cannot open state {path}: {reason}")]
    Open {
        /// The file.
        path: String,
        /// What the system says, and what to do.
        reason: String,
    },
    /// The file was written by another version.
    #[error(
        "state has schema {found}, this tautline reads {expected}: use the version that wrote it, or another file"
    )]
    Schema {
        /// Found in the file.
        found: i64,
        /// Read by this version.
        expected: i64,
    },
    /// There is no room for what is to be written.
    #[error(
        "state: no room to write ({0}): free some on the disk of the state file; nothing is lost, it is tried again"
    )]
    Full(rusqlite::Error),
    /// SQLite refused.
    #[error("state: {0}")]
    Sqlite(rusqlite::Error),
    /// Kafka did not take what was to be written.
    #[error("state: kafka did not take the commit ({0}); nothing is lost, it is tried again")]
    NotReplicated(String),
    /// Another process writes the state now.
    #[error("state: this process does not lead any more: {0}")]
    Deposed(String),
    /// The file does not fit the topic that it is to be a copy of.
    #[error("state: {0}")]
    Replica(String),
    /// A stored value cannot be read back.
    #[error("state: unreadable {what}: {reason}")]
    Corrupt {
        /// Which value.
        what: String,
        /// Why.
        reason: String,
    },
}

impl From<rusqlite::Error> for StateError {
    fn from(error: rusqlite::Error) -> StateError {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => StateError::Full(error),
            _ => StateError::Sqlite(error),
        }
    }
}

/// How far a partition has been read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Position {
    /// Topic.
    pub topic: Arc<str>,
    /// Partition.
    pub partition: i32,
    /// Offset of the next record to read.
    pub next_offset: i64,
    /// Newest event time seen, in milliseconds since the epoch.
    pub newest_event_ms: Option<i64>,
}

/// Everything that changes together.
#[derive(Default)]
pub struct Commit<'a> {
    /// Partitions that moved.
    pub positions: &'a [Position],
    /// Cells that changed, whole.
    pub cells: &'a [StoredCell],
    /// Days that are no longer kept.
    pub forgotten: &'a [ForgottenDay],
    /// The first day that is kept, if any was forgotten.
    pub kept_from: Option<Day>,
    /// Keys that changed, whole.
    pub keys: &'a [StoredKey],
    /// Items that changed, whole.
    pub items: &'a [StoredItem],
    /// Ids that partitions brought and forgot.
    pub seen: &'a [((Arc<str>, i32), SeenDelta)],
    /// What was learned of links and feeds.
    pub learned: Option<&'a Learned>,
    /// Alert records that changed.
    pub alerts: &'a [AlertRecord],
    /// Identities whose record is no longer needed.
    pub removed_alerts: &'a [Fingerprint],
    /// New notices.
    pub notices: &'a [Notice],
    /// Notices that are decided and not told.
    pub unsaid: &'a [Notice],
    /// The wall clock at the decision, in milliseconds since the epoch: the age of new notices counts from here.
    pub wall_ms: i64,
    /// Watermark of the last evaluation, in milliseconds since the epoch.
    pub watermark_ms: Option<i64>,
    /// Length of the dead-letter file that belongs to these positions, in bytes.
    pub dead_letter_bytes: u64,
    /// What came of each source lately, encoded; `None` leaves it as it is.
    pub intake: Option<&'a str>,
    /// How often each source brings something, encoded; `None` leaves it as it is.
    pub rhythms: Option<&'a str>,
    /// Who is not told of what, and why.
    pub held: &'a [Held],
    /// What dispatch remembers, if it has changed.
    pub dispatch: Option<&'a Kept>,
    /// Requests that were taken under a key.
    pub requests: &'a [KeptRequest],
    /// Entries that people typed in.
    pub entries: &'a [Entry],
    /// Weights that were proposed or decided.
    pub weights: Option<&'a Changed>,
    /// How long what is over is kept.
    pub retention: Retention,
}

/// What a start finds.
pub struct Restored {
    /// How far each partition was read.
    pub positions: Vec<Position>,
    /// Every cell.
    pub cells: Vec<StoredCell>,
    /// The first day that is kept, if any was forgotten.
    pub kept_from: Option<Day>,
    /// Every key that is known.
    pub keys: Vec<StoredKey>,
    /// Every item that is known.
    pub items: Vec<StoredItem>,
    /// Definitions that cells were counted under.
    pub definitions: Vec<Definition>,
    /// What is or was read again of them.
    pub backfills: Vec<Backfill>,
    /// Ids that each partition remembers.
    pub seen: SeenByPartition,
    /// What is known of every link and feed.
    pub learned: Learned,
    /// Every alert record.
    pub alerts: Vec<AlertRecord>,
    /// What is known of episodes beside them.
    pub past: Past,
    /// Watermark of the last evaluation, in milliseconds since the epoch.
    pub watermark_ms: Option<i64>,
    /// Length of the dead-letter file that belongs to the positions, in bytes.
    pub dead_letter_bytes: u64,
    /// What came of each source lately, encoded.
    pub intake: Option<String>,
    /// How often each source brings something, encoded.
    pub rhythms: Option<String>,
    /// What dispatch remembers.
    pub dispatch: Kept,
}

/// A handle on the state; clones share one connection. Held only by the evaluator (commits) and the outbox.
#[derive(Clone)]
pub struct Store {
    connection: Arc<Mutex<Connection>>,
    store_id: Arc<str>,
    link_key: Arc<str>,
    /// Where commits go before they count, if several processes keep the state. Locked after the connection.
    leading: Option<Arc<Mutex<Leading>>>,
    /// Whether there is a log that is to take what is decided.
    logs: bool,
    /// Kept to the end of the last clone; none for a state in memory.
    _lock: Option<Arc<Lock>>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("id", &self.store_id)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the file, creates it when missing, and keeps others from using it.
    ///
    /// # Errors
    /// [`StateError::Open`] when the file cannot be used or another process holds it, [`StateError::Schema`].
    pub fn open(path: &Path) -> Result<Store, StateError> {
        let (connection, lock) = Store::connect(path)?;
        if let Some(topic) = connection
            .query_row("SELECT topic FROM replica", [], |row| row.get::<_, String>(0))
            .optional()?
        {
            return Err(StateError::Open {
                path: path.display().to_string(),
                reason: format!(
                    "it is a copy of the topic {topic}; set state.kafka.prefix as it was, or state.sqlite to another file"
                ),
            });
        }
        Store::with(connection, Some(lock), None)
    }

    /// Opens the file as [`Store::open`] does.
    fn connect(path: &Path) -> Result<(Connection, Lock), StateError> {
        let refuse = |reason: String| StateError::Open {
            path: path.display().to_string(),
            reason,
        };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|error| refuse(error.to_string()))?;
        }
        let lock = Lock::take(path).map_err(refuse)?;
        let connection = Connection::open(path).map_err(|error| refuse(error.to_string()))?;
        schema::prepare(&connection).map_err(|error| match error {
            StateError::Sqlite(error) | StateError::Full(error) => refuse(error.to_string()),
            other => other,
        })?;
        Ok((connection, lock))
    }

    /// The state of whoever leads those who keep it together.
    fn leading(connection: Connection, lock: Option<Lock>, leading: Leading) -> Result<Store, StateError> {
        leading.watch(&connection)?;
        Store::with(connection, lock, Some(leading))
    }

    /// A state in memory, for tests and the demo.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn in_memory() -> Result<Store, StateError> {
        let connection = Connection::open_in_memory()?;
        schema::prepare(&connection)?;
        Store::with(connection, None, None)
    }

    /// The same state; with `logs`, what is decided from now on is kept for the alert log.
    #[must_use]
    pub fn logging(self, logs: bool) -> Store {
        Store { logs, ..self }
    }

    /// Lets the log of writes grow without end, and waits for no disk: for tests that look at every write.
    ///
    /// # Errors
    /// When SQLite refuses.
    #[cfg(test)]
    pub(crate) fn keep_every_write(&self) -> Result<(), StateError> {
        let connection = self.lock();
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        connection.pragma_update(None, "synchronous", "OFF")?;
        Ok(())
    }

    fn with(
        connection: Connection,
        lock: Option<Lock>,
        leading: Option<Leading>,
    ) -> Result<Store, StateError> {
        let (store_id, link_key) = (Store::id_of(&connection)?, made_with_it(&connection, "link_key")?);
        Ok(Store {
            connection: Arc::new(Mutex::new(connection)),
            store_id: store_id.into(),
            link_key: link_key.into(),
            leading: leading.map(|leading| Arc::new(Mutex::new(leading))),
            logs: false,
            _lock: lock.map(Arc::new),
        })
    }

    /// Whether several processes keep it.
    pub fn is_replicated(&self) -> bool {
        self.leading.is_some()
    }

    /// The identity of this state: made once with the file, part of every episode id.
    pub fn id(&self) -> &str {
        &self.store_id
    }

    fn id_of(connection: &Connection) -> Result<String, StateError> {
        made_with_it(connection, "store_id")
    }

    /// The secret that signs links in messages: made once with the file, so that they stay good over a restart.
    pub fn link_key(&self) -> &[u8] {
        self.link_key.as_bytes()
    }

    /// Why somebody was not told of an episode, oldest first, as far back as it is kept.
    ///
    /// # Errors
    /// When SQLite refuses or a stored value cannot be read.
    pub fn held(&self, episode: &str) -> Result<Vec<Held>, StateError> {
        held::read(&self.lock(), episode)
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A panic while holding the lock leaves an open transaction, which SQLite rolls back: the data is whole.
        self.connection
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Changes the state: all of it or nothing. Where several processes keep it, Kafka has taken the change before it
    /// counts here.
    ///
    /// # Errors
    /// What `change` says, or when SQLite or Kafka refuses; nothing has changed then.
    fn write<T>(
        &self,
        change: impl FnOnce(&Transaction<'_>) -> Result<T, StateError>,
    ) -> Result<T, StateError> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        let done = change(&transaction)?;
        let Some(leading) = &self.leading else {
            transaction.commit()?;
            return Ok(done);
        };
        let mut leading = leading.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        leading.publish(&transaction)?;
        transaction
            .commit()
            .inspect_err(|error| leading.fell_behind(error))?;
        Ok(done)
    }

    /// Where lines of the alert log are written in a transaction, if there is one.
    fn log<'t>(&self, transaction: &'t Transaction<'t>, wall_ms: i64) -> Option<Log<'t>> {
        self.logs.then(|| Log::at(transaction, wall_ms))
    }

    /// Reads everything that a start needs.
    ///
    /// # Errors
    /// When SQLite refuses or a stored value cannot be read.
    pub fn restore(&self) -> Result<Restored, StateError> {
        let connection = self.lock();
        let dispatch = match read_text(&connection, "dispatch")? {
            Some(kept) => serde_json::from_str(&kept).map_err(|error| corrupt("dispatch", &error))?,
            None => Kept::default(),
        };
        let ended = match dispatch.digested_until() {
            Some(until) => episodes::read_ended(&connection, until)?,
            None => Vec::new(),
        };
        Ok(Restored {
            positions: read_positions(&connection)?,
            cells: read_cells(&connection)?,
            kept_from: read_kept_from(&connection)?,
            keys: keys::read(&connection)?,
            items: items::read(&connection)?,
            definitions: definitions::read(&connection)?,
            backfills: backfills::read(&connection)?,
            seen: seen::read(&connection)?,
            learned: learned::read(&connection)?,
            alerts: read_alerts(&connection)?,
            past: Past {
                counts: episodes::read_counts(&connection)?,
                ended,
            },
            watermark_ms: read_number(&connection, "watermark_ms")?,
            dead_letter_bytes: read_number(&connection, "dead_letter_bytes")?
                .unwrap_or(0)
                .unsigned_abs(),
            intake: read_text(&connection, "intake")?,
            rhythms: read_text(&connection, "rhythms")?,
            dispatch,
        })
    }

    /// How far each partition was read.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn positions(&self) -> Result<Vec<Position>, StateError> {
        read_positions(&self.lock())
    }

    /// Definitions that cells were counted under.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn definitions(&self) -> Result<Vec<Definition>, StateError> {
        definitions::read(&self.lock())
    }

    /// Ids that each partition remembers.
    ///
    /// # Errors
    /// When SQLite refuses or a stored value cannot be read.
    pub fn seen(&self) -> Result<SeenByPartition, StateError> {
        seen::read(&self.lock())
    }

    /// Requests that were taken under a key, oldest first.
    ///
    /// # Errors
    /// When SQLite refuses or a stored value cannot be read.
    pub fn requests(&self) -> Result<Vec<KeptRequest>, StateError> {
        requests::read(&self.lock())
    }

    /// Every entry that people typed in, in the order of their numbers.
    ///
    /// # Errors
    /// When SQLite refuses or a stored value cannot be read.
    pub fn entries(&self) -> Result<Vec<Entry>, StateError> {
        entries::read(&self.lock())
    }

    /// Writes a commit: all of it or nothing.
    ///
    /// # Errors
    /// When SQLite refuses (disk full, I/O error); nothing has changed then.
    pub fn commit(&self, commit: &Commit<'_>) -> Result<(), StateError> {
        self.write(|transaction| self.put(transaction, commit))
    }

    fn put(&self, transaction: &Transaction<'_>, commit: &Commit<'_>) -> Result<(), StateError> {
        let log = self.log(transaction, commit.wall_ms);
        let mut tables = TableIds::default();
        put_cells(transaction, &mut tables, commit.cells)?;
        forget_days(transaction, &mut tables, commit.forgotten)?;
        if let Some(first) = commit.kept_from {
            put_number(transaction, "kept_from_day", first.0.into())?;
        }
        keys::put(transaction, &mut tables, commit.keys)?;
        items::put(transaction, &mut tables, commit.items)?;
        seen::put(transaction, commit.seen)?;
        put_positions(transaction, commit.positions)?;
        requests::put(transaction, commit.requests)?;
        entries::put(transaction, commit.entries)?;
        if let Some(changed) = commit.weights {
            weights::put(transaction, changed)?;
        }
        if let Some(learned) = commit.learned {
            learned::put(transaction, learned)?;
        }
        put_alerts(transaction, commit.alerts, commit.removed_alerts)?;
        let log_episode = |episode: &Episode| match log {
            Some(log) => log.episode(self.id(), episode),
            None => Ok(()),
        };
        episodes::put(transaction, commit.alerts, commit.retention, log_episode)?;
        outbox::put_unsaid(transaction, commit.unsaid, commit.wall_ms, log)?;
        outbox::put(transaction, commit.notices, commit.wall_ms, commit.retention, log)?;
        if let Some(watermark_ms) = commit.watermark_ms {
            put_number(transaction, "watermark_ms", watermark_ms)?;
        }
        if let Some(intake) = commit.intake {
            put_meta(transaction, "intake", intake)?;
        }
        if let Some(rhythms) = commit.rhythms {
            put_meta(transaction, "rhythms", rhythms)?;
        }
        held::put(transaction, commit.held, commit.wall_ms, commit.retention, log)?;
        if let Some(kept) = commit.dispatch {
            let kept = serde_json::to_string(kept).map_err(|error| corrupt("dispatch", &error))?;
            put_meta(transaction, "dispatch", &kept)?;
        }
        put_number(
            transaction,
            "dead_letter_bytes",
            commit.dead_letter_bytes.cast_signed(),
        )
    }

    /// The length of the dead-letter file alone, when a new one begins.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn put_dead_letter_bytes(&self, bytes: u64) -> Result<(), StateError> {
        self.write(|transaction| put_number(transaction, "dead_letter_bytes", bytes.cast_signed()))
    }
}

/// What was made with the file.
fn made_with_it(connection: &Connection, key: &str) -> Result<String, StateError> {
    let select = "SELECT value FROM meta WHERE key = ?1";
    Ok(connection.query_row(select, [key], |row| row.get(0))?)
}

fn read_number(connection: &Connection, key: &str) -> Result<Option<i64>, StateError> {
    let select = "SELECT CAST(value AS INTEGER) FROM meta WHERE key = ?1";
    Ok(connection.query_row(select, [key], |row| row.get(0)).optional()?)
}

fn read_text(connection: &Connection, key: &str) -> Result<Option<String>, StateError> {
    let select = "SELECT value FROM meta WHERE key = ?1";
    Ok(connection.query_row(select, [key], |row| row.get(0)).optional()?)
}

fn put_number(transaction: &Transaction<'_>, key: &str, value: i64) -> Result<(), StateError> {
    put_meta(transaction, key, value)
}

fn put_meta(transaction: &Transaction<'_>, key: &str, value: impl ToSql) -> Result<(), StateError> {
    let mut put = transaction.prepare_cached(
        "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
    )?;
    put.execute(params![key, value])?;
    Ok(())
}

fn read_positions(connection: &Connection) -> Result<Vec<Position>, StateError> {
    let mut select =
        connection.prepare("SELECT topic, partition, next_offset, newest_event_ms FROM positions")?;
    let rows = select.query_map([], |row| {
        Ok(Position {
            topic: row.get::<_, String>(0)?.into(),
            partition: row.get(1)?,
            next_offset: row.get(2)?,
            newest_event_ms: row.get(3)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn put_positions(transaction: &Transaction<'_>, positions: &[Position]) -> Result<(), StateError> {
    let mut put = transaction.prepare_cached(
        "INSERT INTO positions (topic, partition, next_offset, newest_event_ms) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (topic, partition) DO UPDATE
         SET next_offset = excluded.next_offset, newest_event_ms = excluded.newest_event_ms",
    )?;
    for position in positions {
        let Position {
            topic,
            partition,
            next_offset,
            newest_event_ms,
        } = position;
        put.execute(params![&**topic, partition, next_offset, newest_event_ms])?;
    }
    Ok(())
}

fn read_cells(connection: &Connection) -> Result<Vec<StoredCell>, StateError> {
    let mut select = connection.prepare(
        "SELECT t.name, c.key, c.day, c.partial FROM cells c JOIN cell_tables t ON t.id = c.table_id",
    )?;
    let mut rows = select.query([])?;
    let mut cells = Vec::new();
    while let Some(row) = rows.next()? {
        let (table, key, day): (String, String, i32) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let blob = row.get_ref(3)?.as_blob().map_err(rusqlite::Error::from)?;
        let partial = postcard::from_bytes(blob)
            .map_err(|error| corrupt(&format!("cell {table} {key} {day}"), &error))?;
        cells.push(StoredCell {
            table,
            key,
            day,
            partial,
        });
    }
    Ok(cells)
}

/// Numbers of tables of cells and keys by name, as far as a commit has asked for them.
#[derive(Default)]
struct TableIds(HashMap<String, i64>);

impl TableIds {
    fn id(&mut self, transaction: &Transaction<'_>, name: &str) -> Result<i64, StateError> {
        if let Some(id) = self.0.get(name) {
            return Ok(*id);
        }
        // The update changes nothing; it is there so that RETURNING gives the id of a table that is known already.
        let mut put = transaction.prepare_cached(
            "INSERT INTO cell_tables (name) VALUES (?1) ON CONFLICT (name) DO UPDATE SET name = name RETURNING id",
        )?;
        let id = put.query_row([name], |row| row.get(0))?;
        self.0.insert(name.to_owned(), id);
        Ok(id)
    }
}

fn put_cells(
    transaction: &Transaction<'_>,
    tables: &mut TableIds,
    cells: &[StoredCell],
) -> Result<(), StateError> {
    let mut put = transaction.prepare_cached(
        "INSERT INTO cells (table_id, key, day, partial) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (table_id, key, day) DO UPDATE SET partial = excluded.partial",
    )?;
    for cell in cells {
        let id = tables.id(transaction, &cell.table)?;
        let blob = postcard::to_allocvec(&cell.partial)
            .map_err(|error| corrupt(&format!("cell {} {}", cell.table, cell.key), &error))?;
        put.execute(params![id, cell.key, cell.day, blob])?;
    }
    Ok(())
}

fn forget_days(
    transaction: &Transaction<'_>,
    tables: &mut TableIds,
    days: &[ForgottenDay],
) -> Result<(), StateError> {
    let mut forget =
        transaction.prepare_cached("DELETE FROM cells WHERE table_id = ?1 AND key = ?2 AND day = ?3")?;
    for ForgottenDay {
        tables: names,
        key,
        day,
    } in days
    {
        for name in names {
            let id = tables.id(transaction, name)?;
            forget.execute(params![id, key, day])?;
        }
    }
    Ok(())
}

fn read_kept_from(connection: &Connection) -> Result<Option<Day>, StateError> {
    let day = read_number(connection, "kept_from_day")?;
    Ok(day.and_then(|day| i32::try_from(day).ok()).map(Day))
}

fn read_alerts(connection: &Connection) -> Result<Vec<AlertRecord>, StateError> {
    let mut select = connection.prepare("SELECT fingerprint, body FROM alerts ORDER BY fingerprint")?;
    let mut rows = select.query([])?;
    let mut alerts = Vec::new();
    while let Some(row) = rows.next()? {
        let (fingerprint, body): (String, String) = (row.get(0)?, row.get(1)?);
        let record =
            serde_json::from_str(&body).map_err(|error| corrupt(&format!("alert {fingerprint}"), &error))?;
        alerts.push(record);
    }
    Ok(alerts)
}

fn put_alerts(
    transaction: &Transaction<'_>,
    changed: &[AlertRecord],
    removed: &[Fingerprint],
) -> Result<(), StateError> {
    let mut put = transaction.prepare_cached(
        "INSERT INTO alerts (fingerprint, body) VALUES (?1, ?2)
         ON CONFLICT (fingerprint) DO UPDATE SET body = excluded.body",
    )?;
    for record in changed {
        let body = serde_json::to_string(record).map_err(|error| corrupt("alert", &error))?;
        put.execute(params![record.fingerprint.to_string(), body])?;
    }
    let mut remove = transaction.prepare_cached("DELETE FROM alerts WHERE fingerprint = ?1")?;
    for fingerprint in removed {
        remove.execute([fingerprint.to_string()])?;
    }
    Ok(())
}

fn millis(time: SignedDuration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

fn corrupt(what: &str, reason: &dyn std::fmt::Display) -> StateError {
    StateError::Corrupt {
        what: what.to_owned(),
        reason: reason.to_string(),
    }
}
