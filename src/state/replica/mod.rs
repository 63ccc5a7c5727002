//! A state that several processes keep (`state.kafka`): one leads and writes, the others follow and take over.
//!
//! Every commit of whoever leads is one Kafka transaction on the compacted topic `<prefix>.state`, and counts when Kafka has
//! taken it; the file of each process is a copy. Positions of sources are rows like all others: events, alerts, notices and
//! what was delivered move together, whoever dies when.
//!
//! * [`rows`]: what a commit changes, as rows that another file can take.
//! * [`journal`]: writes them, and is fenced when somebody else takes the lead.
//! * [`follower`]: reads them. * [`topics`]: makes and checks the topics. [`lead`]: who leads.
//!
//! What stands in a file about the topic is in its table `replica`, which is of the file alone.

mod follower;
mod journal;
mod lead;
mod rows;
mod said;
#[cfg(test)]
mod tests;
mod topics;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::Message;
use rdkafka::message::BorrowedMessage;
use rusqlite::{Connection as Sqlite, OptionalExtension, Transaction, params};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::lock::Lock;
use super::{StateError, Store, corrupt, schema};
use crate::source::kafka::Connection;
use follower::{Follower, Seen, Stopped};
use journal::{Journal, KafkaJournal};
use rows::{Change, Putter, Tables};

pub use lead::Lead;
pub use topics::{NotReady, Topics, prepare};

/// The record that says that everything is in the topic, and of which version of the tables.
const MARKER: &str = "[\"replica\"]";

/// Whoever takes the lead writes it first: what comes before it is everything.
const TERM: &str = "[\"term\"]";

/// How long the end of the topic is waited for while nothing comes.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long Kafka is left alone after it did not take a commit: who reads the state gets a turn.
const RETRY_AFTER: Duration = Duration::from_secs(2);
/// The most changes of one transaction when a whole state is written, and the most bytes.
const BATCH: usize = 10_000;
const BATCH_BYTES: usize = 16_000_000;
/// The most records that a follower puts at once.
const FOLLOWED_AT_ONCE: usize = 10_000;
/// Who followed longer ago than this begins anew: compaction forgets what was deleted after
/// [`DELETE_RETENTION`](topics::DELETE_RETENTION).
const TOO_LONG_AGO_MS: i64 = 12 * 3_600_000;
/// How often a follower to whom nothing comes asks whether there is anybody.
const ASK_EVERY: Duration = Duration::from_secs(10);
/// How often it is written down that there is.
const STAMP_EVERY_MS: i64 = 60_000;

/// What the marker says.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
struct Marker {
    /// Version of the tables.
    schema: i64,
    /// The identity of the state.
    store_id: String,
}

/// How a file stands to the topic.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Standing {
    /// It holds a state that no topic has.
    Own,
    /// It holds what the topic says before this offset.
    Follows {
        /// What comes next.
        next_offset: i64,
        /// What the topic says of itself, once that was read.
        marker: Option<Marker>,
    },
}

/// The copy of a process that does not lead.
pub struct Replica {
    connection: Sqlite,
    lock: Option<Lock>,
    tables: Tables,
    kafka: Connection,
    topic: String,
    standing: Standing,
    follower: Option<Follower>,
    putter: Putter,
    /// Where a row began of which parts are missing.
    open_from: Option<i64>,
    /// Whether it is known that the topic holds no other state than this file's own.
    is_compared: bool,
    /// When the topic was last heard of, by the wall clock, and when that was written down.
    heard_ms: i64,
    stamped_ms: i64,
    asked: Instant,
    /// Where the topic ends, as far as is known.
    high: Option<i64>,
}

impl Replica {
    /// Opens the file, creates it when missing, and keeps others from using it.
    ///
    /// # Errors
    /// [`StateError::Open`] when the file cannot be used or is a copy of another topic, [`StateError::Schema`].
    pub fn open(path: &Path, kafka: Connection, topics: &Topics, now_ms: i64) -> Result<Replica, StateError> {
        let (connection, lock) = Store::connect(path)?;
        Replica::with(connection, Some(lock), kafka, &topics.state, now_ms).map_err(|error| match error {
            StateError::Replica(reason) => StateError::Open {
                path: path.display().to_string(),
                reason,
            },
            other => other,
        })
    }

    fn with(
        connection: Sqlite,
        lock: Option<Lock>,
        kafka: Connection,
        topic: &str,
        now_ms: i64,
    ) -> Result<Replica, StateError> {
        let tables = Tables::of(&connection)?;
        let mut replica = Replica {
            connection,
            lock,
            tables,
            kafka,
            topic: topic.to_owned(),
            standing: Standing::Own,
            follower: None,
            putter: Putter::default(),
            open_from: None,
            is_compared: false,
            heard_ms: now_ms,
            stamped_ms: now_ms,
            asked: Instant::now(),
            high: None,
        };
        match read_standing(&replica.connection)? {
            Some((of, ..)) if of != topic => {
                return Err(StateError::Replica(format!(
                    "it is a copy of the topic {of}, and state.kafka.prefix names {topic}; set state.sqlite to another \
                     file, or the prefix back"
                )));
            }
            Some((_, followed_ms, follows)) => {
                replica.standing = follows;
                replica.heard_ms = followed_ms;
                replica.stamped_ms = followed_ms;
            }
            None if is_empty(&replica.connection)? => replica.begin_anew(now_ms)?,
            None => {}
        }
        Ok(replica)
    }

    /// Forgets what is in the file; the topic has it.
    fn begin_anew(&mut self, now_ms: i64) -> Result<(), StateError> {
        let transaction = self.connection.transaction()?;
        self.tables.clear(&transaction)?;
        write_standing(&transaction, &self.topic, 0, None, now_ms)?;
        transaction.commit()?;
        self.standing = Standing::Follows {
            next_offset: 0,
            marker: None,
        };
        self.follower = None;
        self.putter = Putter::default();
        self.open_from = None;
        self.heard_ms = now_ms;
        self.stamped_ms = now_ms;
        Ok(())
    }

    /// Begins anew when compaction may have forgotten what was deleted since the topic was last heard of.
    fn renew(&mut self, now_ms: i64) -> Result<(), StateError> {
        let follows = matches!(self.standing, Standing::Follows { next_offset, .. } if next_offset > 0);
        if follows && now_ms - self.heard_ms > TOO_LONG_AGO_MS {
            tracing::info!(
                topic = self.topic,
                "the copy of the state is too old: reading the topic from its beginning"
            );
            self.begin_anew(now_ms)?;
        }
        Ok(())
    }

    /// How many offsets of the topic are not in this file yet, as far as is known.
    pub fn lag(&self) -> Option<i64> {
        Some((self.high? - self.next_offset()?).max(0))
    }

    /// Behind the last record that this file holds; `None` for a state that no topic has yet.
    pub fn next_offset(&self) -> Option<i64> {
        match &self.standing {
            Standing::Own => None,
            Standing::Follows { next_offset, .. } => Some(*next_offset),
        }
    }

    /// Takes over what comes within the time given. Returns how many records came.
    ///
    /// # Errors
    /// [`StateError::NotReplicated`] while no broker answers; others are for good.
    pub fn follow(&mut self, wait: Duration, now_ms: i64) -> Result<usize, StateError> {
        self.renew(now_ms)?;
        let Standing::Follows { next_offset, .. } = self.standing else {
            if !self.is_compared {
                self.compare()?;
            }
            std::thread::sleep(wait);
            return Ok(0);
        };
        let follower = match self.follower.take() {
            Some(follower) => follower,
            None => Follower::from(&self.kafka, &self.topic, next_offset)?,
        };
        match self.take_some(&follower, wait, now_ms) {
            Ok(taken) => {
                self.follower = Some(follower);
                Ok(taken)
            }
            // Who failed begins where the file says.
            Err(error) => {
                self.putter = Putter::default();
                self.open_from = None;
                match error {
                    Halted::Gone => self.begin_anew(now_ms).map(|()| 0),
                    Halted::Failed(error) => Err(error),
                }
            }
        }
    }

    fn take_some(&mut self, follower: &Follower, wait: Duration, now_ms: i64) -> Result<usize, Halted> {
        let until = Instant::now() + wait;
        let Standing::Follows {
            mut next_offset,
            mut marker,
        } = self.standing.clone()
        else {
            return Ok(0);
        };
        let transaction = self.connection.transaction().map_err(StateError::from)?;
        let (mut taken, mut is_heard) = (0, false);
        while taken < FOLLOWED_AT_ONCE {
            let left = until.saturating_duration_since(Instant::now());
            match follower.next(left)? {
                Seen::Record(record) => {
                    let offset = record.offset();
                    put(&self.tables, &transaction, &mut self.putter, &mut marker, &record)?;
                    next_offset = match self.putter.is_open() {
                        true => *self.open_from.get_or_insert(offset),
                        false => {
                            self.open_from = None;
                            offset + 1
                        }
                    };
                    taken += 1;
                    is_heard = true;
                }
                Seen::End => is_heard = true,
                Seen::Nothing => break,
            }
            if Instant::now() >= until {
                break;
            }
        }
        if self.asked.elapsed() >= ASK_EVERY {
            self.asked = Instant::now();
            if let Some(high) = follower.high() {
                (self.high, is_heard) = (Some(high), true);
            }
        }
        if is_heard {
            self.heard_ms = now_ms;
        }
        if taken > 0 || self.heard_ms - self.stamped_ms >= STAMP_EVERY_MS {
            write_standing(
                &transaction,
                &self.topic,
                next_offset,
                marker.as_ref(),
                self.heard_ms,
            )?;
            transaction.commit().map_err(StateError::from)?;
            self.stamped_ms = self.heard_ms;
        }
        self.standing = Standing::Follows { next_offset, marker };
        Ok(taken)
    }

    /// Takes the lead: whoever led before can write nothing from now on, and this file holds everything that it wrote. A
    /// state that no topic has is written to it. `lost` is told why, when somebody else has taken the lead.
    ///
    /// # Errors
    /// As [`Replica::follow`]; and where both the file and the topic hold a state, each its own.
    pub fn lead(mut self, term: Arc<Term>, now_ms: i64) -> Result<Store, StateError> {
        self.renew(now_ms)?;
        let mut journal =
            KafkaJournal::take_over(&self.kafka, &self.topic).map_err(StateError::NotReplicated)?;
        self.follower = None;
        self.putter = Putter::default();
        self.open_from = None;
        let begins = Change {
            key: TERM.to_owned(),
            row: Some(now_ms.to_string().into_bytes()),
        };
        let until = journal.write(&[begins])?;
        match self.standing.clone() {
            Standing::Own => self.compare()?,
            Standing::Follows { next_offset, .. } => self.take_all(next_offset, until, now_ms)?,
        }
        let marker = match &self.standing {
            Standing::Own => None,
            Standing::Follows { marker, .. } => marker.clone(),
        };
        // An older version wrote it: its rows are brought up to date, as those of a file are.
        if marker.as_ref().map(|marker| marker.schema) != Some(schema::SCHEMA) {
            let (keys, _) = self.keys()?;
            if marker.is_none() && self.standing != Standing::Own && !keys.is_empty() {
                return Err(StateError::Replica(format!(
                    "the topic {} holds a part of a state: a process that had it in its file ended while it was written. Start \
                     that one again, or delete the topic if there is nothing to keep",
                    self.topic
                )));
            }
            self.write_whole(&mut journal, keys, now_ms)?;
        }
        let Replica {
            connection,
            lock,
            tables,
            topic,
            ..
        } = self;
        Store::leading(
            connection,
            lock,
            Leading::new(tables, Box::new(journal), topic, term),
        )
    }

    /// Takes over everything up to the record before `until`.
    fn take_all(&mut self, from: i64, until: i64, now_ms: i64) -> Result<(), StateError> {
        let follower = Follower::from(&self.kafka, &self.topic, from)?;
        let Standing::Follows { mut marker, .. } = self.standing.clone() else {
            return Ok(());
        };
        let transaction = self.connection.transaction()?;
        let mut next_offset = from;
        let (tables, putter) = (&self.tables, &mut self.putter);
        follower.to_end(Some(until), PATIENCE, |record| {
            put(tables, &transaction, putter, &mut marker, record)?;
            next_offset = record.offset() + 1;
            Ok(())
        })?;
        write_standing(&transaction, &self.topic, next_offset, marker.as_ref(), now_ms)?;
        transaction.commit()?;
        self.standing = Standing::Follows { next_offset, marker };
        Ok(())
    }

    /// Refuses when the topic holds another state than this file, which has its own.
    fn compare(&mut self) -> Result<(), StateError> {
        let (_, marker) = self.keys()?;
        match marker {
            Some(_) => Err(StateError::Replica(format!(
                "the state file holds a state of its own, and the topic {} holds another: move the file away to take what \
                 the topic has, or set another state.kafka.prefix to keep the file's",
                self.topic
            ))),
            None => {
                self.is_compared = true;
                Ok(())
            }
        }
    }

    /// The keys of every row that the topic has, and its marker.
    fn keys(&self) -> Result<(BTreeSet<String>, Option<Marker>), StateError> {
        let follower = Follower::from(&self.kafka, &self.topic, 0)?;
        let (mut keys, mut marker) = (BTreeSet::new(), None);
        follower.to_end(None, PATIENCE, |record| {
            let key = key_of(record)?;
            match (key, record.payload()) {
                (TERM, _) => {}
                (MARKER, Some(payload)) => marker = Some(marker_of(payload)?),
                (MARKER, None) => marker = None,
                (_, Some(_)) => drop(keys.insert(key.to_owned())),
                (_, None) => drop(keys.remove(key)),
            }
            Ok(())
        })?;
        Ok((keys, marker))
    }

    /// Writes every row of the file to the topic, and that nothing else is in it.
    fn write_whole(
        &mut self,
        journal: &mut KafkaJournal,
        mut old: BTreeSet<String>,
        now_ms: i64,
    ) -> Result<(), StateError> {
        // Names of the state and its secrets, where the topic was empty.
        schema::prepare(&self.connection)?;
        let mut waiting: Vec<Change> = Vec::new();
        let (mut rows, mut bytes) = (0_u64, 0);
        self.tables.all(&self.connection, |changes| {
            rows += 1;
            for change in changes {
                old.remove(&change.key);
                bytes += change.row.as_ref().map_or(0, Vec::len);
                waiting.push(change);
            }
            if waiting.len() >= BATCH || bytes >= BATCH_BYTES {
                journal.write(&waiting)?;
                waiting.clear();
                bytes = 0;
            }
            Ok(())
        })?;
        if !old.is_empty() {
            let old: Vec<Change> = old.into_iter().map(|key| Change { key, row: None }).collect();
            for some in old.chunks(BATCH) {
                journal.write(some)?;
            }
        }
        let marker = Marker {
            schema: schema::SCHEMA,
            store_id: Store::id_of(&self.connection)?,
        };
        let row = postcard::to_allocvec(&marker).map_err(|error| corrupt("marker", &error))?;
        // With the last rows: a small state is there whole or not at all.
        waiting.push(Change {
            key: MARKER.to_owned(),
            row: Some(row),
        });
        let next_offset = journal.write(&waiting)?;
        let transaction = self.connection.transaction()?;
        write_standing(&transaction, &self.topic, next_offset, Some(&marker), now_ms)?;
        transaction.commit()?;
        tracing::info!(topic = self.topic, rows, "the topic holds the whole state now");
        Ok(())
    }
}

/// What whoever leads hears of its lead.
#[derive(Debug)]
pub struct Term {
    lost: watch::Sender<Option<String>>,
    /// Whether Kafka did not take the last commit.
    refused: AtomicBool,
}

impl Default for Term {
    fn default() -> Term {
        Term {
            lost: watch::Sender::new(None),
            refused: AtomicBool::new(false),
        }
    }
}

impl Term {
    /// Why it is over, once it is: somebody else leads, or this process has to begin again from the topic.
    pub fn lost(&self) -> watch::Receiver<Option<String>> {
        self.lost.subscribe()
    }

    /// Whether what fails now may be for want of Kafka.
    pub fn is_disturbed(&self) -> bool {
        self.lost.borrow().is_some() || self.refused.load(Ordering::Relaxed)
    }

    fn lose(&self, reason: String) {
        self.lost.send_replace(Some(reason));
    }
}

/// What a replicated state needs of whoever leads.
pub(super) struct Leading {
    tables: Tables,
    journal: Box<dyn Journal>,
    topic: String,
    term: Arc<Term>,
    /// Why Kafka did not take the last commit, and until when it is left alone.
    refused: Option<(String, Instant)>,
}

impl Leading {
    fn new(tables: Tables, journal: Box<dyn Journal>, topic: String, term: Arc<Term>) -> Leading {
        Leading {
            tables,
            journal,
            topic,
            term,
            refused: None,
        }
    }

    /// Notices what a connection changes from now on.
    pub(super) fn watch(&self, connection: &Sqlite) -> Result<(), StateError> {
        self.tables.watch(connection)
    }

    /// Writes what a transaction has changed to the topic, just before it is committed here.
    pub(super) fn publish(&mut self, transaction: &Transaction<'_>) -> Result<(), StateError> {
        if let Some(reason) = self.term.lost.borrow().as_ref() {
            return Err(StateError::Deposed(reason.clone()));
        }
        let changes = self.tables.take(transaction)?;
        if changes.is_empty() {
            return Ok(());
        }
        if let Some((reason, until)) = &self.refused
            && Instant::now() < *until
        {
            return Err(StateError::NotReplicated(reason.clone()));
        }
        let written = self.journal.write(&changes);
        self.refused = None;
        match &written {
            Err(StateError::Deposed(reason)) => self.term.lose(reason.clone()),
            Err(StateError::NotReplicated(reason)) => {
                self.refused = Some((reason.clone(), Instant::now() + RETRY_AFTER));
            }
            _ => {}
        }
        self.term.refused.store(self.refused.is_some(), Ordering::Relaxed);
        let next_offset = written?;
        let put = || {
            let mut put = transaction.prepare_cached(
                "UPDATE replica SET next_offset = ?1, followed_ms = unixepoch() * 1000 WHERE topic = ?2",
            )?;
            put.execute(params![next_offset, self.topic])
        };
        put().inspect_err(|error| self.fell_behind(error))?;
        Ok(())
    }

    /// The topic has what this file could not take: the next start reads it from there.
    pub(super) fn fell_behind(&self, error: &rusqlite::Error) {
        let reason = format!(
            "the state file did not take what the topic has ({error}); starting again from the topic"
        );
        self.term.lose(reason);
    }
}

/// Why following does not go on.
enum Halted {
    /// What comes next is no longer in the topic.
    Gone,
    Failed(StateError),
}

impl From<Stopped> for Halted {
    fn from(stopped: Stopped) -> Halted {
        match stopped {
            Stopped::Gone => Halted::Gone,
            other => Halted::Failed(other.into()),
        }
    }
}

impl From<StateError> for Halted {
    fn from(error: StateError) -> Halted {
        Halted::Failed(error)
    }
}

fn key_of<'m>(record: &'m BorrowedMessage<'_>) -> Result<&'m str, StateError> {
    let key = record.key().and_then(|key| std::str::from_utf8(key).ok());
    key.ok_or_else(|| {
        corrupt(
            &format!("record {} of the state's topic", record.offset()),
            &"it has no key that tautline writes; keep others from writing to that topic",
        )
    })
}

fn marker_of(payload: &[u8]) -> Result<Marker, StateError> {
    let marker: Marker = postcard::from_bytes(payload).map_err(|error| corrupt("marker", &error))?;
    match marker.schema > schema::SCHEMA {
        true => Err(StateError::Schema {
            found: marker.schema,
            expected: schema::SCHEMA,
        }),
        false => Ok(marker),
    }
}

fn put(
    tables: &Tables,
    transaction: &Transaction<'_>,
    putter: &mut Putter,
    marker: &mut Option<Marker>,
    record: &BorrowedMessage<'_>,
) -> Result<(), StateError> {
    let key = key_of(record)?;
    if key == TERM {
        return Ok(());
    }
    if key == MARKER {
        *marker = record.payload().map(marker_of).transpose()?;
        return Ok(());
    }
    putter.put(tables, transaction, key, record.payload())
}

/// Whether a file holds nothing that anybody could miss.
fn is_empty(connection: &Sqlite) -> Result<bool, StateError> {
    for table in [
        "positions",
        "entries",
        "alerts",
        "episodes",
        "notices",
        "weight_settings",
        "requests",
    ] {
        let select = format!("SELECT EXISTS (SELECT 1 FROM {table})");
        if connection.query_row(&select, [], |row| row.get(0))? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The topic that a file is a copy of, when it last followed, and how far.
fn read_standing(connection: &Sqlite) -> Result<Option<(String, i64, Standing)>, StateError> {
    let select = "SELECT topic, followed_ms, next_offset, marker FROM replica";
    let found = connection
        .query_row(select, [], |row| {
            Ok((
                row.get(0)?,
                row.get(1)?,
                row.get(2)?,
                row.get::<_, Option<Vec<u8>>>(3)?,
            ))
        })
        .optional()?;
    let Some((topic, followed_ms, next_offset, marker)) = found else {
        return Ok(None);
    };
    let marker = marker.map(|marker| marker_of(&marker)).transpose()?;
    Ok(Some((
        topic,
        followed_ms,
        Standing::Follows { next_offset, marker },
    )))
}

fn write_standing(
    transaction: &Transaction<'_>,
    topic: &str,
    next_offset: i64,
    marker: Option<&Marker>,
    now_ms: i64,
) -> Result<(), StateError> {
    let marker = marker
        .map(|marker| postcard::to_allocvec(marker).map_err(|error| corrupt("marker", &error)))
        .transpose()?;
    let mut put = transaction.prepare_cached(
        "INSERT INTO replica (topic, next_offset, marker, followed_ms) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (topic) DO UPDATE
         SET next_offset = excluded.next_offset, marker = excluded.marker, followed_ms = excluded.followed_ms",
    )?;
    put.execute(params![topic, next_offset, marker, now_ms])?;
    Ok(())
}
