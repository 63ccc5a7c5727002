//! What an event does to the numbers: most add what they say; a change of a table's row takes back what the row was.

use super::Event;

/// Whether an image counts, or takes back what counted before.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Sign {
    /// It counts.
    Add,
    /// It is taken back.
    Retract,
}

impl Sign {
    /// The other one: taking back what was taken back adds it.
    pub fn other(self) -> Sign {
        match self {
            Sign::Add => Sign::Retract,
            Sign::Retract => Sign::Add,
        }
    }
}

/// What a piece of a record turned out to be.
#[derive(Debug)]
pub enum Found<'e> {
    /// An event.
    Change(Change<'e>),
    /// The mark behind a deleted row, for Kafka's compaction. The deletion itself came before it.
    Tombstone,
}

/// An event as at most two images of the same thing.
#[derive(Debug)]
pub struct Change<'e> {
    /// What it was: to be taken back.
    pub before: Option<Event<'e>>,
    /// What it is: to be added.
    pub after: Option<Event<'e>>,
    /// Whether it was something before that the record does not tell.
    pub lacks_before: bool,
}

impl<'e> Change<'e> {
    /// An event that only adds.
    pub fn add(event: Event<'e>) -> Change<'e> {
        Change {
            before: None,
            after: Some(event),
            lacks_before: false,
        }
    }

    /// The newest event time of its images, in milliseconds since the epoch.
    pub fn newest_ms(&self) -> Option<i64> {
        let time = |event: &Option<Event<'_>>| event.as_ref().map(|event| event.time_ms);
        time(&self.before).max(time(&self.after))
    }
}
