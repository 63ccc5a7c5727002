//! Cells: partials by table, key and day.

use super::partial::Partial;

/// A cell as the state keeps it.
#[derive(Clone, PartialEq, Debug)]
pub struct StoredCell {
    /// Name of its table.
    pub table: String,
    /// Dimension values, joined by the unit separator (U+001F).
    pub key: String,
    /// Local day, in days since 1970-01-01.
    pub day: i32,
    /// The partial.
    pub partial: Partial,
}
