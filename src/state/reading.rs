//! The state as reports read it: one moment of it, also while the daemon goes on writing.

use std::path::Path;

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags};

use super::outbox::{self, LoggedNotice};
use super::{
    Position, StateError, corrupt, definitions, episodes, items, learned, read_alerts, read_cells,
    read_number, read_positions, read_text, schema, weights,
};
use crate::alert::dispatch::Kept;
use crate::alert::dispatch::silence::Silences;
use crate::alert::record::{AlertRecord, Episode};
use crate::evaluate::definition::Definition;
use crate::evaluate::drift::Learned;
use crate::evaluate::weights::Book;
use crate::fold::cells::{StoredCell, StoredItem};

/// What a state file held at one moment.
pub struct Reading {
    /// Every cell.
    pub cells: Vec<StoredCell>,
    /// Every item that is known.
    pub items: Vec<StoredItem>,
    /// What is known of every link and feed.
    pub learned: Learned,
    /// Definitions that cells were counted under.
    pub definitions: Vec<Definition>,
    /// Weights that were declared, proposed and decided.
    pub weights: Book,
    /// Silences, expired ones for a while too.
    pub silences: Silences,
    /// Every alert record.
    pub alerts: Vec<AlertRecord>,
    /// Episodes of the last two years, in the order of firing.
    pub episodes: Vec<Episode>,
    /// Every notice that is still in the log, oldest first.
    pub notices: Vec<LoggedNotice>,
    /// How far each partition was read.
    pub positions: Vec<Position>,
    /// What came of each source lately, encoded.
    pub intake: Option<String>,
    /// How often each source brings something, encoded.
    pub rhythms: Option<String>,
    /// Watermark of the last evaluation.
    pub watermark: Option<Timestamp>,
}

impl Reading {
    /// Reads a state file, which the daemon may be writing.
    ///
    /// # Errors
    /// [`StateError::Open`] when there is none or it cannot be read, [`StateError::Schema`], [`StateError::Corrupt`].
    pub fn of(path: &Path) -> Result<Reading, StateError> {
        let refuse = |reason: String| StateError::Open {
            path: path.display().to_string(),
            reason,
        };
        if !path.exists() {
            return Err(refuse(
                "there is none yet; `tautline run` makes it, and `state.sqlite` of the settings says where"
                    .to_owned(),
            ));
        }
        let mut connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
            .or_else(|_| Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY))
            .map_err(|error| refuse(error.to_string()))?;
        connection.pragma_update(None, "query_only", true)?;
        schema::prepare_reading(&connection)?;
        // One transaction: everything is of one commit.
        let transaction = connection.transaction()?;
        Ok(Reading {
            cells: read_cells(&transaction)?,
            items: items::read(&transaction)?,
            learned: learned::read(&transaction)?,
            definitions: definitions::read(&transaction)?,
            weights: weights::read(&transaction)?,
            silences: match read_text(&transaction, "dispatch")? {
                Some(kept) => {
                    serde_json::from_str::<Kept>(&kept)
                        .map_err(|error| corrupt("dispatch", &error))?
                        .silences
                }
                None => Silences::default(),
            },
            alerts: read_alerts(&transaction)?,
            episodes: episodes::read(&transaction)?,
            notices: outbox::read_log(&transaction)?,
            positions: read_positions(&transaction)?,
            intake: read_text(&transaction, "intake")?,
            rhythms: read_text(&transaction, "rhythms")?,
            watermark: read_number(&transaction, "watermark_ms")?
                .and_then(|ms| Timestamp::from_millisecond(ms).ok()),
        })
    }
}
