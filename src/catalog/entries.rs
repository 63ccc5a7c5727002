//! Names of the source that holds the entries of a manual metric, and of the keys of its events.

/// Key of the value.
pub const VALUE: &str = "value";
/// Key of the time for which it is.
pub const AT: &str = "at";
/// Key of the dimension values.
pub const DIMENSIONS: &str = "dimensions";

/// The source that holds the entries of a metric: no name of a catalogue has a colon.
pub fn source_of(metric: &str) -> String {
    format!("entries:{metric}")
}

/// The metric of a source that [`source_of`] named.
pub fn metric_of(source: &str) -> Option<&str> {
    source.strip_prefix("entries:")
}
