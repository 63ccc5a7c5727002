//! What cells follow from besides rows: keys that are known, and items that are under way.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use xxhash_rust::xxh3::xxh3_64;

use super::{Cells, columns_of, join, number};
use crate::catalog::MetricId;
use crate::fold::day::Day;
use crate::fold::delta::{DimensionKey, GroupDelta};
use crate::fold::items::{Items, Mark, NO_SERIES};
use crate::fold::known::{KnownKeys, Run};
use crate::fold::partial::{Kind, Partial};
use crate::fold::plan::{ColumnRef, Plan};

/// What is known of a key as the state keeps it.
#[derive(Clone, PartialEq, Debug)]
pub struct StoredKey {
    /// Its column's definition.
    pub table: String,
    /// Hash of the key.
    pub hash: u64,
    /// Its runs, ascending; without any the key is forgotten.
    pub runs: Vec<StoredRun>,
}

/// A [`Run`] as the state keeps it.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct StoredRun {
    /// Time of its earliest event, in milliseconds since the epoch.
    pub first_ms: i64,
    /// The local day of that.
    pub first: Day,
    /// The last day with an event.
    pub last: Day,
    /// Dimension values of the cell in which it counts, joined by the unit separator (U+001F).
    pub key: String,
}

/// An item as the state keeps it.
#[derive(Clone, PartialEq, Debug)]
pub struct StoredItem {
    /// Its column's definition.
    pub table: String,
    /// Hash of its name.
    pub hash: u64,
    /// Its name.
    pub name: String,
    /// Its marks by time; without any the item is forgotten.
    pub marks: Vec<StoredMark>,
}

/// A [`Mark`] as the state keeps it.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct StoredMark {
    /// Its time, in milliseconds since the epoch.
    pub time_ms: i64,
    /// The local day of that.
    pub day: Day,
    /// Whether it is an end.
    pub is_end: bool,
    /// Its dimension values, joined by the unit separator (U+001F).
    pub key: String,
}

/// What was let go because there was too much of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Evicted {
    /// The metric.
    pub metric: MetricId,
    /// What.
    pub bound: Bound,
    /// How many.
    pub count: u64,
}

/// A bound of what is kept of the events of a source.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// `max_cells`: events count as "other".
    Cells,
    /// `max_keys`: keys are forgotten.
    Keys,
    /// `max_items`: items are forgotten.
    Items,
    /// `dedup_max_keys`: ids are forgotten before their time.
    Ids,
    /// The marks of one item, [`MAX_MARKS`](crate::fold::items::MAX_MARKS): the oldest are forgotten.
    Marks,
    /// `evaluate.max_value_bytes`: events with a dimension value or an item's name that is longer.
    Values,
    /// `evaluate.keep`: events of days that are forgotten.
    Days,
    /// The range of exact numbers: amounts that would have taken a sum out of it are not in the sum.
    Range,
}

/// Where a [`Bound`] is said, and so where it can be changed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum SaidIn {
    /// In the catalogue, at a metric or a source.
    Catalogue,
    /// In the settings.
    Settings,
    /// Nowhere: it is fixed.
    Code,
}

impl Bound {
    /// Where it is said.
    pub fn said_in(self) -> SaidIn {
        match self {
            Bound::Cells | Bound::Keys | Bound::Items | Bound::Ids => SaidIn::Catalogue,
            Bound::Values | Bound::Days => SaidIn::Settings,
            Bound::Marks | Bound::Range => SaidIn::Code,
        }
    }

    /// The key by which it is said; `None` where it is fixed.
    pub fn key(self) -> Option<&'static str> {
        match self {
            Bound::Cells => Some("max_cells"),
            Bound::Keys => Some("max_keys"),
            Bound::Items => Some("max_items"),
            Bound::Ids => Some("dedup_max_keys"),
            Bound::Values => Some("evaluate.max_value_bytes"),
            Bound::Days => Some("evaluate.keep"),
            Bound::Marks | Bound::Range => None,
        }
    }
}

/// By column.
#[derive(Debug)]
pub(super) struct Remembered {
    keys: BTreeMap<ColumnRef, KnownKeys>,
    items: BTreeMap<ColumnRef, Items>,
}

impl Remembered {
    pub(super) fn new(plan: &Plan) -> Remembered {
        let keys = columns_of(plan).filter_map(|(at, column)| match column.kind {
            Kind::New { within } => Some((at, KnownKeys::new(within, column.max_keys))),
            _ => None,
        });
        let items = columns_of(plan)
            .filter(|(_, column)| column.marks.is_some() && column.feeds.is_none())
            .map(|(at, column)| {
                let window_ms = match column.kind {
                    Kind::Conversions { window_ms } => Some(window_ms),
                    _ => None,
                };
                (at, Items::new(column.max_keys, window_ms))
            });
        Remembered {
            keys: keys.collect(),
            items: items.collect(),
        }
    }
}

impl Cells {
    /// Takes keys that the state kept, of definitions that the catalogue still has.
    pub fn restore_keys(&mut self, stored: Vec<StoredKey>) {
        let plan = self.plan.clone();
        let columns = by_name(&plan);
        for StoredKey { table, hash, runs } in stored {
            let Some(&at) = columns.get(table.as_str()) else {
                continue;
            };
            let runs = runs.into_iter().map(|run| Run {
                first_ms: run.first_ms,
                first: run.first,
                last: run.last,
                series: self.series_of(at, &run.key),
            });
            let runs = runs.collect();
            if let Some(known) = self.remembered.keys.get_mut(&at) {
                known.restore(hash, runs);
            }
        }
    }

    /// Takes items that the state kept, of definitions that the catalogue still has.
    pub fn restore_items(&mut self, stored: Vec<StoredItem>) {
        let plan = self.plan.clone();
        let columns = by_name(&plan);
        for item in stored {
            let Some(&at) = columns.get(item.table.as_str()) else {
                continue;
            };
            let column = &plan.groups[at.group].columns[at.column];
            let is_attempt = matches!(column.kind, Kind::Conversions { .. });
            let marks = item.marks.into_iter().map(|mark| Mark {
                time_ms: mark.time_ms,
                day: mark.day,
                is_end: mark.is_end,
                series: match mark.is_end && is_attempt {
                    true => NO_SERIES,
                    false => self.series_of(at, &mark.key),
                },
            });
            let marks = marks.collect();
            if let Some(items) = self.remembered.items.get_mut(&at) {
                items.restore(item.hash, &item.name, marks);
            }
        }
    }

    fn series_of(&mut self, at: ColumnRef, key: &str) -> u32 {
        let dimensions = self.parse_key(key, self.plan.groups[at.group].names.len());
        number(self.groups[at.group].series_index(&dimensions))
    }

    /// Keys that came: the cells of the new ones change.
    pub(super) fn merge_arrivals(&mut self, group: usize, delta: &GroupDelta) {
        for arrival in &delta.arrivals {
            let column = usize::from(arrival.column);
            let at = ColumnRef { group, column };
            let key = &delta.keys[arrival.row as usize];
            let series = number(self.groups[group].series_index(&key.dimensions));
            let Some(known) = self.remembered.keys.get_mut(&at) else {
                continue;
            };
            let event = Run {
                first_ms: arrival.first_ms,
                first: key.day,
                last: key.day,
                series,
            };
            let cells = &self.groups[group];
            let place = |series: u32| hash_of(&self.plan, &cells.series[series as usize].dimensions);
            for change in known.arrive(arrival.hash, event, place) {
                self.change(at, change.series, change.day, |partial| {
                    if let Partial::Count(count) = partial {
                        *count += change.by;
                    }
                });
            }
        }
    }

    /// Items that began and ended: the cells of their durations change.
    pub(super) fn merge_marks(&mut self, group: usize, delta: &GroupDelta) {
        let mut name_start = 0;
        for of in &delta.marks {
            let name = delta.names.get(name_start..of.name_end).unwrap_or_default();
            name_start = of.name_end;
            let column = usize::from(of.column);
            let key = &delta.keys[of.row as usize];
            let declared = &self.plan.groups[group].columns[column];
            let at = declared.feeds.unwrap_or(ColumnRef { group, column });
            let is_attempt = matches!(declared.kind, Kind::Conversions { .. });
            let series = match of.is_end && is_attempt {
                true => NO_SERIES,
                false => number(self.groups[group].series_index(&key.dimensions)),
            };
            let Some(items) = self.remembered.items.get_mut(&at) else {
                continue;
            };
            let mark = Mark {
                time_ms: of.time_ms,
                day: key.day,
                is_end: of.is_end,
                series,
            };
            let cells = &self.groups[at.group];
            let place = |series: u32| {
                let known = cells.series.get(series as usize);
                known.map_or(0, |known| hash_of(&self.plan, &known.dimensions))
            };
            for change in items.mark(of.hash, name, mark, place) {
                self.change(at, change.series, change.day, |partial| match partial {
                    Partial::Durations(durations) => durations.add(change.ms, change.by),
                    Partial::Conversions { begun, converted } => {
                        *begun += change.by;
                        *converted += change.by * change.ms;
                    }
                    _ => {}
                });
            }
        }
    }

    fn change(&mut self, at: ColumnRef, series: u32, day: Day, change: impl FnOnce(&mut Partial)) {
        if self.is_forgotten(day) {
            return;
        }
        let columns = &self.plan.groups[at.group].columns;
        let cells = &mut self.groups[at.group];
        let of = &mut cells.series[series as usize];
        cells.live += usize::from(!std::mem::replace(&mut of.is_live, true));
        let row = of.row_mut(day, columns.iter().map(|column| column.kind), columns.len());
        change(&mut of.partials[row * columns.len() + at.column]);
        if of.touch(row) {
            self.changed.push((number(at.group), series, day));
        }
    }

    /// Keys that changed since the last call, whole.
    pub fn take_changed_keys(&mut self) -> Vec<StoredKey> {
        let mut stored = Vec::new();
        for (at, known) in &mut self.remembered.keys {
            let group = &self.groups[at.group];
            let column = &self.plan.groups[at.group].columns[at.column];
            for (hash, runs) in known.take_changed() {
                let runs = runs.into_iter().map(|run| StoredRun {
                    first_ms: run.first_ms,
                    first: run.first,
                    last: run.last,
                    key: join(&self.plan, &group.series[run.series as usize].dimensions),
                });
                stored.push(StoredKey {
                    table: column.name.clone(),
                    hash,
                    runs: runs.collect(),
                });
            }
        }
        stored
    }

    /// Items that changed since the last call, whole.
    pub fn take_changed_items(&mut self) -> Vec<StoredItem> {
        let mut stored = Vec::new();
        for (at, items) in &mut self.remembered.items {
            let group = &self.groups[at.group];
            let column = &self.plan.groups[at.group].columns[at.column];
            items.take_changed(|hash, name, marks| {
                let marks = marks.iter().map(|mark| StoredMark {
                    time_ms: mark.time_ms,
                    day: mark.day,
                    is_end: mark.is_end,
                    key: group
                        .series
                        .get(mark.series as usize)
                        .map_or_else(String::new, |series| join(&self.plan, &series.dimensions)),
                });
                stored.push(StoredItem {
                    table: column.name.clone(),
                    hash,
                    name: name.to_owned(),
                    marks: marks.collect(),
                });
            });
        }
        stored
    }

    /// What was let go since the last call: keys, items and marks that were forgotten because there were too many of
    /// them, events that count as "other" or not at all, and amounts that would have taken a sum out of its range.
    pub fn take_evicted(&mut self) -> Vec<Evicted> {
        let plan = &self.plan;
        let metric = |at: &ColumnRef| plan.groups[at.group].columns[at.column].metric;
        let keys = self.remembered.keys.iter_mut().map(|(at, known)| Evicted {
            metric: metric(at),
            bound: Bound::Keys,
            count: known.take_evicted(),
        });
        let items = self.remembered.items.iter_mut().flat_map(|(at, items)| {
            let counts = [
                (Bound::Items, items.take_evicted()),
                (Bound::Marks, items.take_dropped_marks()),
            ];
            counts.map(|(bound, count)| Evicted {
                metric: metric(at),
                bound,
                count,
            })
        });
        let groups = plan.groups.iter().zip(&mut self.groups);
        let cells = groups.flat_map(|(group, cells)| {
            let counts = [
                (Bound::Cells, &mut cells.in_other),
                (Bound::Days, &mut cells.too_old),
                (Bound::Values, &mut cells.long_values),
            ];
            counts.map(|(bound, count)| Evicted {
                metric: group.metric,
                bound,
                count: std::mem::take(count),
            })
        });
        let beyond_range = std::mem::take(&mut self.beyond_range);
        let sums = beyond_range.into_iter().map(|(at, count)| Evicted {
            metric: metric(&at),
            bound: Bound::Range,
            count,
        });
        let all = keys.chain(items).chain(cells).chain(sums);
        all.filter(|evicted| evicted.count > 0).collect()
    }

    /// Open items of a column, of one series: starts in milliseconds since the epoch, and names, the oldest first.
    pub fn open_items<'c>(
        &'c self,
        at: ColumnRef,
        dimensions: &DimensionKey,
    ) -> impl Iterator<Item = (i64, &'c str)> + use<'c> {
        let items = self.items_of(at, dimensions);
        items
            .into_iter()
            .flat_map(|(items, series)| items.open_of(series))
    }

    /// Their starts alone.
    pub fn open_starts<'c>(
        &'c self,
        at: ColumnRef,
        dimensions: &DimensionKey,
    ) -> impl Iterator<Item = i64> + use<'c> {
        let items = self.items_of(at, dimensions);
        items
            .into_iter()
            .flat_map(|(items, series)| items.starts_of(series))
    }

    /// Attempts that began on the days `from..to` and may still succeed at `at_ms`.
    pub fn undecided(&self, at: ColumnRef, dimensions: &DimensionKey, from: Day, to: Day, at_ms: i64) -> u64 {
        let items = self.items_of(at, dimensions);
        items.map_or(0, |(items, series)| items.undecided(series, from, to, at_ms))
    }

    fn items_of(&self, at: ColumnRef, dimensions: &DimensionKey) -> Option<(&Items, u32)> {
        let series = self.groups[at.group].index_of(dimensions)?;
        Some((self.remembered.items.get(&at)?, number(series)))
    }
}

fn by_name(plan: &Plan) -> HashMap<&str, ColumnRef> {
    columns_of(plan)
        .map(|(at, column)| (column.name.as_str(), at))
        .collect()
}

/// Tells dimension values in an order that does not depend on when they were met.
fn hash_of(plan: &Plan, dimensions: &DimensionKey) -> u64 {
    xxh3_64(join(plan, dimensions).as_bytes())
}
