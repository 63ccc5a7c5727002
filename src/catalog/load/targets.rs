//! Target files, and the reading of CSV files that the catalogue names.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::Date;

use super::Loader;
use crate::catalog::Band;
use crate::catalog::diagnostic::{Place, nearest};
use crate::catalog::model::{MonthlyRates, TargetRow};
use crate::catalog::yaml;
use crate::catalog::yaml::Spanned;

/// One line of a CSV file, its cells in the order that was asked for.
pub(super) struct Row {
    pub(super) line: u32,
    pub(super) cells: Vec<String>,
}

/// Lines of a text as an editor counts them. The reader of CSV counts blank lines, and the `\n` of `\r\n`, as a part of the
/// row behind them.
struct Lines<'t> {
    text: &'t [u8],
    /// Counted up to here, in bytes.
    at: usize,
    line: u64,
}

impl<'t> Lines<'t> {
    fn of(text: &'t str) -> Lines<'t> {
        Lines {
            text: text.as_bytes(),
            at: 0,
            line: 1,
        }
    }

    /// The line on which a row begins; positions must not go back.
    fn from(&mut self, position: &csv::Position) -> u64 {
        let from = usize::try_from(position.byte()).unwrap_or(usize::MAX);
        let is_before = |at: usize, byte: u8| at < from || matches!(byte, b'\r' | b'\n');
        while let Some(&byte) = self.text.get(self.at).filter(|byte| is_before(self.at, **byte)) {
            self.line += u64::from(byte == b'\n');
            self.at += 1;
        }
        self.line
    }
}

impl Loader<'_> {
    /// Reads a CSV file that must have these columns; others are left alone. The file is named relative to the
    /// catalogue folder.
    pub(super) fn csv(
        &mut self,
        file: &Arc<str>,
        named: &Spanned<String>,
        columns: &[&str],
    ) -> Option<(Arc<str>, Vec<Row>)> {
        let place = yaml::place(file, named.location);
        let Some(text) = self.files.texts.get(&named.value) else {
            let csv = self
                .files
                .texts
                .keys()
                .map(String::as_str)
                .filter(|path| path.ends_with(".csv"));
            let hint = nearest(&named.value, csv)
                .map_or_else(String::new, |near| format!("; did you mean '{near}'?"));
            self.problem(
                place,
                format!("there is no file '{}' in the catalogue folder{hint}", named.value),
            );
            return None;
        };
        let shown = self.files.shown(&named.value);
        // A byte order mark is what spreadsheets begin a file with.
        let text = text.trim_start_matches('\u{feff}');
        let mut lines = Lines::of(text);
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .from_reader(text.as_bytes());
        let at = |line: u64| Place {
            file: shown.clone(),
            line: u32::try_from(line).unwrap_or(1),
            column: 1,
        };
        let headers: Vec<String> = match reader.headers() {
            Ok(headers) => headers.iter().map(str::to_owned).collect(),
            Err(error) => {
                self.problem(at(1), format!("this is no CSV: {error}"));
                return None;
            }
        };
        let mut positions = Vec::new();
        for column in columns {
            let Some(position) = headers.iter().position(|header| header == column) else {
                let message = format!(
                    "the column '{column}' is missing; the first line must name {}",
                    columns.join(",")
                );
                self.problem(at(1), message);
                return None;
            };
            positions.push(position);
        }
        let mut rows = Vec::new();
        for record in reader.records() {
            match record {
                Ok(record) => {
                    let line = record.position().map_or(1, |position| lines.from(position));
                    let cell = |position: &usize| record.get(*position).unwrap_or_default().to_owned();
                    rows.push(Row {
                        line: u32::try_from(line).unwrap_or(u32::MAX),
                        cells: positions.iter().map(cell).collect(),
                    });
                }
                Err(error) => {
                    let line = error.position().map_or(1, |position| lines.from(position));
                    let message = match error.kind() {
                        csv::ErrorKind::UnequalLengths {
                            expected_len, len, ..
                        } => format!(
                            "this line has {len} cells, and the first one has {expected_len}; quote a cell that holds a comma"
                        ),
                        _ => format!("this line does not fit the first one: {error}"),
                    };
                    self.problem(at(line), message);
                }
            }
        }
        Some((shown, rows))
    }

    fn has_column(&self, named: &Spanned<String>, column: &str) -> bool {
        let first = self
            .files
            .texts
            .get(&named.value)
            .and_then(|text| text.trim_start_matches('\u{feff}').lines().next());
        first.is_some_and(|line| {
            line.split(',')
                .any(|header| header.trim().trim_matches('"') == column)
        })
    }

    /// A plan file: `date,weight`; a line's weight holds for its day and those after it up to the next line.
    pub(super) fn plan_file(&mut self, file: &Arc<str>, named: &Spanned<String>) -> BTreeMap<Date, f64> {
        let mut plan = BTreeMap::new();
        let Some((shown, rows)) = self.csv(file, named, &["date", "weight"]) else {
            return plan;
        };
        let known = self.problems.len();
        for row in rows {
            let place = Place {
                file: shown.clone(),
                line: row.line,
                column: 1,
            };
            let [date, weight] = row.cells.as_slice() else {
                continue;
            };
            match (date.parse::<Date>(), weight.parse::<f64>()) {
                (Ok(date), Ok(weight)) if weight >= 0.0 && weight.is_finite() => {
                    if plan.insert(date, weight).is_some() {
                        let message = format!("'{date}' stands here twice; keep the weight that the day has");
                        self.problem(place, message);
                    }
                }
                (Err(_), _) => self.problem(place, format!("'{date}' is no date; write it as 2026-10-01")),
                _ => self.problem(
                    place,
                    format!("'{weight}' is no weight; write 0 or a number above it"),
                ),
            }
        }
        if self.problems.len() == known && plan.values().all(|weight| *weight == 0.0) {
            let place = Place {
                file: shown,
                line: 1,
                column: 1,
            };
            self.problem(
                place,
                "no day of this plan has a weight above 0; write what each day counts for, such as 2026-10-01,1",
            );
        }
        plan
    }

    /// A file of last year's months: `month,[dimension…,]rate`, twelve lines for every combination of values.
    pub(super) fn last_year(
        &mut self,
        file: &Arc<str>,
        named: &Spanned<String>,
        each: &[String],
    ) -> Vec<MonthlyRates> {
        let columns: Vec<&str> = std::iter::once("month")
            .chain(each.iter().map(String::as_str))
            .chain(["rate"])
            .collect();
        let Some((shown, rows)) = self.csv(file, named, &columns) else {
            return Vec::new();
        };
        let mut found: BTreeMap<Vec<String>, ([Option<f64>; 12], u32)> = BTreeMap::new();
        for row in rows {
            let place = Place {
                file: shown.clone(),
                line: row.line,
                column: 1,
            };
            let [month, dimensions @ .., rate] = row.cells.as_slice() else {
                continue;
            };
            let Some(month) = month
                .parse::<usize>()
                .ok()
                .filter(|month| (1..=12).contains(month))
            else {
                self.problem(place, format!("'{month}' is no month; write 1 to 12"));
                continue;
            };
            match rate.replace('_', "").parse::<f64>() {
                Ok(rate) if rate > 0.0 && rate.is_finite() => {
                    let (rates, _) = found.entry(dimensions.to_vec()).or_insert(([None; 12], row.line));
                    rates[month - 1] = Some(rate);
                }
                _ => self.problem(
                    place,
                    format!("'{rate}' is no rate; write what a day of the month brought, above 0"),
                ),
            }
        }
        let mut complete = Vec::new();
        for (dimensions, (rates, line)) in found {
            let known: Vec<f64> = rates.iter().copied().flatten().collect();
            match <[f64; 12]>::try_from(known) {
                Ok(rates) => complete.push(MonthlyRates { dimensions, rates }),
                Err(known) => {
                    let place = Place {
                        file: shown.clone(),
                        line,
                        column: 1,
                    };
                    self.problem(
                        place,
                        format!(
                            "here begin {} months, and a year has 12; name each of them",
                            known.len()
                        ),
                    );
                }
            }
        }
        complete
    }

    /// A target file: `start,[dimension…,]target[,announced]`, or `low,high` in place of `target`.
    pub(super) fn targets(
        &mut self,
        file: &Arc<str>,
        named: &Spanned<String>,
        each: &[String],
    ) -> Vec<TargetRow> {
        let columns: Vec<&str> = std::iter::once("start")
            .chain(each.iter().map(String::as_str))
            .collect();
        let is_of_bands = ["low", "high"]
            .iter()
            .any(|column| self.has_column(named, column));
        if is_of_bands && self.has_column(named, "target") {
            let place = yaml::place(file, named.location);
            let message = format!(
                "'{}' has the column 'target' beside 'low' or 'high'; keep 'target', or both of the others for a band",
                named.value
            );
            self.problem(place, message);
            return Vec::new();
        }
        let amounts: &[&str] = if is_of_bands {
            &["low", "high"]
        } else {
            &["target"]
        };
        let has_announced = self.has_column(named, "announced");
        let columns: Vec<&str> = columns
            .into_iter()
            .chain(amounts.iter().copied())
            .chain(has_announced.then_some("announced"))
            .collect();
        let Some((shown, rows)) = self.csv(file, named, &columns) else {
            return Vec::new();
        };
        let mut targets = Vec::new();
        for row in rows {
            let place = Place {
                file: shown.clone(),
                line: row.line,
                column: 1,
            };
            let (cells, announced) = match (has_announced, row.cells.split_last()) {
                (true, Some((announced, cells))) => {
                    (cells, Some(announced.as_str()).filter(|text| !text.is_empty()))
                }
                _ => (row.cells.as_slice(), None),
            };
            let [start, cells @ ..] = cells else { continue };
            let Some((dimensions, given)) = cells.split_at_checked(each.len()) else {
                continue;
            };
            let announced = match announced.map(str::parse::<Date>) {
                None => None,
                Some(Ok(date)) => Some(date),
                Some(Err(_)) => {
                    self.problem(place, "'announced' must be a date such as 2026-10-01, or empty");
                    continue;
                }
            };
            let Ok(start) = start.parse::<Date>() else {
                self.problem(
                    place,
                    format!("'{start}' is no date; write the first day of the period as 2026-10-01"),
                );
                continue;
            };
            let number = |cell: &String| {
                let number = cell.replace('_', "").parse::<f64>().ok();
                number
                    .filter(|number| number.is_finite())
                    .ok_or_else(|| cell.clone())
            };
            let numbers: Result<Vec<f64>, String> = given.iter().map(number).collect();
            let (target, band) = match numbers.as_deref() {
                Err(cell) => {
                    self.problem(place, format!("'{cell}' is no number"));
                    continue;
                }
                Ok([low, high]) => match Band::new(*low, *high) {
                    Some(band) => (band.middle(), Some(band)),
                    None => {
                        let message = format!(
                            "the band from {low} to {high} holds nothing; write the least that is good under 'low', and a larger number under 'high'"
                        );
                        self.problem(place, message);
                        continue;
                    }
                },
                Ok([target]) => (*target, None),
                Ok(_) => continue,
            };
            targets.push(TargetRow {
                start,
                dimensions: dimensions.to_vec(),
                target,
                band,
                announced,
            });
        }
        targets
    }
}
