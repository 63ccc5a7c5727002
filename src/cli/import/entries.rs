//! Entries of a manual metric from CSV: the columns `value`, `by`, `at`, `note`, and the names of dimensions.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use serde_json::{Map, Value};
use xxhash_rust::xxh3::xxh3_128;

use super::lines::{Lines, line_of, malformed};
use super::post::Target;
use super::{SHOWN_ERRORS, Summary};
use crate::catalog::{Catalog, Metric};
use crate::cli::complain;

/// Columns that are no dimension.
const COLUMNS: [&str; 4] = ["value", "by", "at", "note"];

/// The manual metric of a name.
///
/// # Errors
/// In words, with those that there are.
pub(super) fn find<'c>(catalog: &'c Catalog, name: &str) -> Result<&'c Metric, String> {
    let manual = || {
        catalog
            .named_metrics()
            .filter(|(_, metric)| metric.manual.is_some())
    };
    let found = manual().find(|(_, metric)| metric.name == name);
    found.map(|(_, metric)| metric).ok_or_else(|| {
        let names: Vec<&str> = manual().map(|(_, metric)| metric.name.as_str()).collect();
        match names.as_slice() {
            [] => {
                format!("metric '{name}' is not typed in, and none is; write type: manual in the catalogue")
            }
            names => format!(
                "there is no metric '{name}' with type: manual; there are {}",
                names.join(", ")
            ),
        }
    })
}

/// Sends every row of a file; a row that was taken before does not count again.
///
/// # Errors
/// In words: what is wrong with the file, or that the daemon does not take it.
pub(super) async fn send(
    target: &Target,
    metric: &Metric,
    file: &Path,
    again: bool,
) -> Result<Summary, String> {
    let shown = file.display();
    let opened = File::open(file).map_err(|error| format!("{shown}: {error}"))?;
    let mut rows = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(Lines::new(opened));
    let header = rows.headers().cloned();
    let header = header.map_err(|error| match malformed(&mut rows, &error) {
        Some((line, message)) => format!("{shown}:{line}: {message}"),
        None => format!("{shown}: {error}"),
    })?;
    let line = line_of(&mut rows, &header).max(1);
    check(&header, metric).map_err(|message| format!("{shown}:{line}: {message}"))?;
    let mut summary = Summary::default();
    let reject = |summary: &mut Summary, line: u64, reason: &str| {
        summary.rejected += 1;
        summary.shown += 1;
        if summary.shown <= SHOWN_ERRORS {
            complain(&format!("{shown}:{line}: {reason}"));
        }
    };
    // Two rows that say the same are two entries; their number among those that do tells them apart.
    let mut same: BTreeMap<String, u64> = BTreeMap::new();
    let mut row = csv::StringRecord::new();
    loop {
        match rows.read_record(&mut row) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                let (line, reason) =
                    malformed(&mut rows, &error).ok_or_else(|| format!("{shown}: {error}"))?;
                reject(&mut summary, line, &reason);
                continue;
            }
        }
        let line = line_of(&mut rows, &row);
        let body = Value::Object(entry(&header, &row)).to_string();
        let number = same.entry(body.clone()).or_default();
        *number += 1;
        let once = if again { rand::random::<u64>() } else { *number };
        let key = format!("entry-{once}-{:032x}", xxh3_128(body.as_bytes()));
        match target.enter(body.into_bytes(), &key).await? {
            Ok(repeated) => {
                summary.accepted += 1;
                summary.repeated += u64::from(repeated);
            }
            Err(reason) => reject(&mut summary, line, &reason),
        }
    }
    Ok(summary)
}

fn check(header: &csv::StringRecord, metric: &Metric) -> Result<(), String> {
    let known: Vec<&str> = COLUMNS
        .into_iter()
        .chain(metric.dimensions.iter().map(String::as_str))
        .collect();
    if let Some(unknown) = header.iter().find(|column| !known.contains(column)) {
        return Err(format!(
            "there is no column '{unknown}'; known are {}",
            known.join(", ")
        ));
    }
    let needed = ["value", "by"]
        .into_iter()
        .chain(metric.dimensions.iter().map(String::as_str));
    match needed
        .into_iter()
        .find(|needed| !header.iter().any(|column| column == *needed))
    {
        Some(missing) => Err(format!("the column '{missing}' is missing")),
        None => Ok(()),
    }
}

fn entry(header: &csv::StringRecord, row: &csv::StringRecord) -> Map<String, Value> {
    let mut entry = Map::new();
    let mut dimensions = Map::new();
    for (column, cell) in header.iter().zip(row).filter(|(_, cell)| !cell.is_empty()) {
        let to = if COLUMNS.contains(&column) {
            &mut entry
        } else {
            &mut dimensions
        };
        to.insert(column.to_owned(), cell.into());
    }
    for needed in ["value", "by"] {
        entry.entry(needed).or_insert_with(|| "".into());
    }
    entry.insert("dimensions".to_owned(), Value::Object(dimensions));
    entry
}
