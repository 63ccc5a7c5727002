//! What one worker folded since it last handed over.

use smallvec::SmallVec;

use super::day::Day;
use super::interner::ValueId;
use super::partial::Partial;

/// Dimension values of a row, in the order of its group's names.
pub type DimensionKey = SmallVec<[ValueId; 4]>;

/// A row of a group: a day and dimension values.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct RowKey {
    /// The local day.
    pub day: Day,
    /// Dimension values.
    pub dimensions: DimensionKey,
}

/// Rows by group, in the order of [`super::plan::Plan::groups`].
#[derive(Debug, Default)]
pub struct Delta {
    /// By group.
    pub groups: Vec<GroupDelta>,
}

/// The rows of one group.
#[derive(Debug, Default)]
pub struct GroupDelta {
    /// Keys of the rows.
    pub keys: Vec<RowKey>,
    /// Events of each row.
    pub events: Vec<u32>,
    /// Partials, row by row: as many a row as the group has columns.
    pub partials: Vec<Partial>,
    /// Keys that came, for columns that remember keys: each once a row and column.
    pub arrivals: Vec<Arrival>,
    /// Starts and ends of items, for columns of durations.
    pub marks: Vec<MarkOf>,
    /// Names of the items of `marks`, one after the other.
    pub names: String,
    /// Events with a dimension value, or a name of an item, that is longer than allowed.
    pub long_values: u64,
}

/// A start or an end of an item.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MarkOf {
    /// Index of the row in [`GroupDelta::keys`].
    pub row: u32,
    /// Index of the column.
    pub column: u16,
    /// Whether it is an end.
    pub is_end: bool,
    /// Hash of the item's name.
    pub hash: u64,
    /// Time of the event, in milliseconds since the epoch.
    pub time_ms: i64,
    /// Where the item's name ends in [`GroupDelta::names`]; it begins where the one before ends.
    pub name_end: usize,
}

/// A key that came in a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arrival {
    /// Index of the row in [`GroupDelta::keys`].
    pub row: u32,
    /// Index of the column.
    pub column: u16,
    /// Hash of the key.
    pub hash: u64,
    /// Earliest time of its events, in milliseconds since the epoch.
    pub first_ms: i64,
}
