//! Cells: every partial merged, by series (grouping set and dimension values) and local day.

mod kept;
mod remembered;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};
use smallvec::SmallVec;

use super::FoldError;
use super::day::Day;
use super::delta::{Delta, DimensionKey, GroupDelta};
use super::interner::ValueId;
use super::partial::{Kind, Partial};
use super::plan::{Column, ColumnRef, Group, Plan};
use crate::catalog::SourceId;

pub use kept::ForgottenDay;
pub use remembered::{Bound, Evicted, SaidIn, StoredItem, StoredKey, StoredMark, StoredRun};

use remembered::Remembered;

/// Joins dimension values in the state.
const SEPARATOR: char = '\u{1f}';

/// A cell as the state keeps it.
#[derive(Clone, PartialEq, Debug)]
pub struct StoredCell {
    /// Its column's definition.
    pub table: String,
    /// Dimension values, joined by the unit separator (U+001F).
    pub key: String,
    /// Local day, in days since 1970-01-01.
    pub day: i32,
    /// The partial.
    pub partial: Partial,
}

/// How far cells have come: what changed since one is known as long as it was the last but one to be looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Version {
    /// Which cells they are.
    of: u64,
    changes: u64,
    /// Looks at what had changed, each of which forgets it.
    looks: u64,
}

/// Cells that were made so far.
static MADE: AtomicU64 = AtomicU64::new(0);

/// All cells.
#[derive(Debug)]
pub struct Cells {
    plan: Arc<Plan>,
    groups: Vec<GroupCells>,
    remembered: Remembered,
    changed: Vec<(u32, u32, Day)>,
    version: Version,
    /// The version at the last look at what changed.
    looked_at: Version,
    /// Days before it are forgotten.
    kept_from: Option<Day>,
    /// Those since the last commit.
    forgotten: Vec<ForgottenDay>,
    /// Events since the last look whose amounts would have taken a sum out of the range of exact numbers, by column.
    beyond_range: BTreeMap<ColumnRef, u64>,
}

#[derive(Debug, Default)]
struct GroupCells {
    /// Numbers of series by their dimension values, which stand in `series`: a million of them are kept once.
    index: HashTable<u32>,
    hasher: DefaultHashBuilder,
    series: Vec<Series>,
    /// Those of `series` that have a day, or are about to get one.
    live: usize,
    /// Events since the last look that count as "other", because there were too many combinations.
    in_other: u64,
    /// Events since the last look whose day is no longer kept.
    too_old: u64,
    /// Events since the last look with a dimension value, or a name of an item, that is too long.
    long_values: u64,
}

#[derive(Debug)]
struct Series {
    dimensions: DimensionKey,
    /// Ascending by day. Most of many series have few days: those need no memory of their own.
    rows: SmallVec<[Row; 2]>,
    /// Row by row: as many a day as the group has columns.
    partials: Vec<Partial>,
    /// Rises with every change, so that readers know what to compute anew.
    generation: u32,
    /// Whether it counts for `max_cells`: one all of whose days are forgotten does not.
    is_live: bool,
}

/// A day of a series.
#[derive(Clone, Copy, Debug)]
struct Row {
    day: Day,
    /// Whether it was changed since the last commit.
    is_dirty: bool,
}

impl Cells {
    /// No cells yet.
    pub fn new(plan: Arc<Plan>) -> Cells {
        let groups = plan.groups.iter().map(|_| GroupCells::default()).collect();
        let remembered = Remembered::new(&plan);
        let version = Version {
            of: MADE.fetch_add(1, Ordering::Relaxed),
            changes: 0,
            looks: 0,
        };
        Cells {
            version,
            looked_at: version,
            plan,
            groups,
            remembered,
            changed: Vec::new(),
            kept_from: None,
            forgotten: Vec::new(),
            beyond_range: BTreeMap::new(),
        }
    }

    /// Takes what the state kept. Cells of definitions that the catalogue no longer has are left where they are.
    pub fn restore(&mut self, stored: Vec<StoredCell>) {
        self.forget_version();
        let plan = self.plan.clone();
        let mut columns: HashMap<&str, (usize, usize)> = HashMap::new();
        for (g, group) in plan.groups.iter().enumerate() {
            for (c, column) in group.columns.iter().enumerate() {
                columns.insert(&column.name, (g, c));
            }
        }
        for cell in stored {
            let Some(&(group, column)) = columns.get(cell.table.as_str()) else {
                continue;
            };
            let width = plan.groups[group].columns.len();
            let dimensions = self.parse_key(&cell.key, plan.groups[group].names.len());
            let series = self.groups[group].live_series(&dimensions);
            let series = &mut self.groups[group].series[series];
            let row = series.row_mut(
                Day(cell.day),
                plan.groups[group].columns.iter().map(|c| c.kind),
                width,
            );
            series.partials[row * width + column] = cell.partial;
        }
        for (group, cells) in plan.groups.iter().zip(&self.groups) {
            cells.note_if_full(group);
        }
    }

    fn parse_key(&self, key: &str, width: usize) -> DimensionKey {
        if width == 0 {
            return DimensionKey::new();
        }
        key.split(SEPARATOR)
            .map(|value| self.plan.interner.id(value))
            .collect()
    }

    /// Merges what a worker handed over.
    ///
    /// # Errors
    /// When a sum leaves the range of exact numbers; that sum stays as it was, everything else is merged, and
    /// [`Cells::take_evicted`] counts its events.
    pub fn merge(&mut self, delta: Delta) -> Result<(), FoldError> {
        self.version.changes += 1;
        let plan = self.plan.clone();
        let mut failed = None;
        for (g, (group, mut delta)) in plan.groups.iter().zip(delta.groups).enumerate() {
            let width = group.columns.len();
            self.groups[g].admit(group, &mut delta, self.kept_from);
            self.groups[g].long_values += delta.long_values;
            self.merge_arrivals(g, &delta);
            self.merge_marks(g, &delta);
            let cells = &mut self.groups[g];
            // A group without columns has no rows either.
            for (key, partials) in delta.keys.iter().zip(delta.partials.chunks(width.max(1))) {
                if self.kept_from.is_some_and(|first| key.day < first) {
                    continue;
                }
                let s = cells.series_index(&key.dimensions);
                let series = &mut cells.series[s];
                let row = series.row_mut(key.day, group.columns.iter().map(|column| column.kind), width);
                for (column, (mine, other)) in series.partials[row * width..(row + 1) * width]
                    .iter_mut()
                    .zip(partials)
                    .enumerate()
                {
                    if let Err(error) = mine.merge(other) {
                        failed = Some(error);
                        let at = ColumnRef { group: g, column };
                        // Takings back count as well; what cancels out was one event at least.
                        let events = other.events().unsigned_abs().max(1);
                        *self.beyond_range.entry(at).or_insert(0) += events;
                    }
                }
                if series.touch(row) {
                    self.changed.push((number(g), number(s), key.day));
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Makes the series of other cells of the same groups, as far as there are columns for them: what has a place there
    /// has one here.
    pub fn know_series_of(&mut self, other: &Cells) {
        let groups = self.plan.groups.iter().zip(&mut self.groups).zip(&other.groups);
        for ((group, mine), theirs) in groups.filter(|((group, _), _)| !group.columns.is_empty()) {
            for series in &theirs.series {
                if series.is_live {
                    mine.live_series(&series.dimensions);
                }
            }
            mine.note_if_full(group);
        }
    }

    /// Cells that changed since the last call, whole.
    pub fn take_changed(&mut self) -> Vec<StoredCell> {
        let mut stored = Vec::new();
        self.note_look();
        for (g, s, day) in std::mem::take(&mut self.changed) {
            let group = &self.plan.groups[g as usize];
            let width = group.columns.len();
            let series = &mut self.groups[g as usize].series[s as usize];
            let Ok(row) = series.rows.binary_search_by_key(&day, |row| row.day) else {
                continue;
            };
            series.rows[row].is_dirty = false;
            let key = join(&self.plan, &series.dimensions);
            for (partial, column) in series.partials[row * width..(row + 1) * width]
                .iter()
                .zip(&group.columns)
            {
                // What was taken back to nothing must not stay in the state as it was.
                if group.retracts || column.can_fall() || *partial != Partial::empty(column.kind) {
                    stored.push(StoredCell {
                        table: column.name.clone(),
                        key: key.clone(),
                        day: day.0,
                        partial: partial.clone(),
                    });
                }
            }
        }
        stored
    }

    /// Forgets what [`Cells::take_changed`] would give: nothing is kept of a replay.
    pub fn let_go_changed(&mut self) {
        self.note_look();
        for (g, s, day) in std::mem::take(&mut self.changed) {
            let rows = &mut self.groups[g as usize].series[s as usize].rows;
            if let Ok(row) = rows.binary_search_by_key(&day, |row| row.day) {
                rows[row].is_dirty = false;
            }
        }
    }

    /// How far they have come.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Series that have changed since a version, by group and number, perhaps some more, perhaps one several times; `None`
    /// where that is not known any more.
    pub fn changed_since(&self, version: Version) -> Option<impl Iterator<Item = (usize, usize)>> {
        let is_last = version.looks == self.version.looks;
        // Nothing came between that version and the look that forgot what had changed by then.
        let is_before = version == self.looked_at && version.looks + 1 == self.version.looks;
        let is_known = version.of == self.version.of && (is_last || is_before);
        let series = self
            .changed
            .iter()
            .map(|&(group, series, _)| (group as usize, series as usize));
        is_known.then_some(series)
    }

    /// What has changed is about to be forgotten.
    fn note_look(&mut self) {
        self.looked_at = self.version;
        self.version.looks += 1;
    }

    /// Something has changed that is not among what changed.
    fn forget_version(&mut self) {
        self.version.looks += 2;
    }

    /// The first day that has a cell.
    pub fn first_day(&self) -> Option<Day> {
        let first = |series: &Series| series.rows.first().map(|row| row.day);
        self.groups
            .iter()
            .flat_map(|group| group.series.iter().filter_map(first))
            .min()
    }

    /// Days of `from..to` on which a source brought anything that is folded, ascending.
    pub fn days_of_source(&self, source: SourceId, from: Day, to: Day) -> BTreeSet<Day> {
        self.plan
            .groups
            .iter()
            .zip(&self.groups)
            .filter(|(group, _)| group.source == source)
            .flat_map(|(_, cells)| &cells.series)
            .flat_map(|series| {
                let start = series.before(from);
                let days = series.rows[start..].iter().map(|row| row.day);
                days.take_while(|day| *day < to)
            })
            .collect()
    }

    /// Number of series that a group has. They are numbered from 0 in the order in which they were met, for good.
    pub fn series_count(&self, group: usize) -> usize {
        self.groups[group].series.len()
    }

    /// Dimension values of a series.
    pub fn series_key(&self, group: usize, series: usize) -> &DimensionKey {
        &self.groups[group].series[series].dimensions
    }

    /// First and last day on which a series has a cell.
    pub fn series_days(&self, group: usize, series: usize) -> Option<(Day, Day)> {
        let rows = &self.groups[group].series[series].rows;
        Some((rows.first()?.day, rows.last()?.day))
    }

    /// A number that changes whenever the series does.
    pub fn series_generation(&self, group: usize, series: usize) -> u32 {
        self.groups[group].series[series].generation
    }

    /// The partial of the days `from..to`, merged; `None` without any cell there.
    pub fn merged(
        &self,
        column: ColumnRef,
        dimensions: &DimensionKey,
        from: Day,
        to: Day,
    ) -> Option<Partial> {
        let mut merged: Option<Partial> = None;
        for (_, partial) in self.days(column, dimensions, from, to) {
            match &mut merged {
                None => merged = Some(partial.clone()),
                // Each partial is in range; their sum over a period leaves it only beyond 10¹⁴ events of 10¹⁸.
                Some(merged) => drop(merged.merge(partial)),
            }
        }
        merged
    }

    /// The partials of the days `from..to`, in order; days without a cell are left out.
    pub fn days(
        &self,
        column: ColumnRef,
        dimensions: &DimensionKey,
        from: Day,
        to: Day,
    ) -> impl Iterator<Item = (Day, &Partial)> {
        let width = self.plan.groups[column.group].columns.len();
        let (rows, partials) = match self.groups[column.group].find(dimensions) {
            Some(series) => {
                let start = series.before(from);
                let end = series.before(to).max(start);
                (
                    &series.rows[start..end],
                    &series.partials[start * width..end * width],
                )
            }
            None => Default::default(),
        };
        let of_column = partials.chunks_exact(width).map(move |row| &row[column.column]);
        rows.iter().map(|row| row.day).zip(of_column)
    }
}

impl GroupCells {
    fn find(&self, dimensions: &DimensionKey) -> Option<&Series> {
        self.index_of(dimensions).map(|index| &self.series[index])
    }

    fn index_of(&self, dimensions: &DimensionKey) -> Option<usize> {
        let is_it = |index: &u32| self.series[*index as usize].dimensions == *dimensions;
        let found = self.index.find(self.hasher.hash_one(dimensions), is_it);
        found.map(|index| *index as usize)
    }

    fn series_index(&mut self, dimensions: &DimensionKey) -> usize {
        if let Some(index) = self.index_of(dimensions) {
            return index;
        }
        let index = self.series.len();
        self.series.push(Series {
            dimensions: dimensions.clone(),
            rows: SmallVec::new(),
            partials: Vec::new(),
            generation: 0,
            is_live: false,
        });
        let GroupCells {
            index: table,
            hasher,
            series,
            ..
        } = self;
        let hash_at = |index: &u32| hasher.hash_one(&series[*index as usize].dimensions);
        table.insert_unique(hasher.hash_one(dimensions), number(index), hash_at);
        index
    }

    /// Makes series of the combinations that are new while there is room for them; the rows of others become "other".
    fn admit(&mut self, group: &Group, delta: &mut GroupDelta, kept_from: Option<Day>) {
        let has_values = !group.names.is_empty();
        for (key, events) in delta.keys.iter_mut().zip(&delta.events) {
            if kept_from.is_some_and(|first| key.day < first) {
                self.too_old += u64::from(*events);
                continue;
            }
            if has_values && self.live >= group.max_series {
                let is_live = self.find(&key.dimensions).is_some_and(|series| series.is_live);
                if !is_live {
                    key.dimensions
                        .iter_mut()
                        .for_each(|value| *value = ValueId::OTHER);
                }
                let is_other = key.dimensions.iter().all(|value| *value == ValueId::OTHER);
                self.in_other += if is_other { u64::from(*events) } else { 0 };
            }
            self.live_series(&key.dimensions);
        }
        self.note_if_full(group);
    }

    /// Lets the threads that fold know.
    fn note_if_full(&self, group: &Group) {
        let is_full = self.live >= group.max_series;
        if is_full != group.is_full() {
            group.is_full.store(is_full, Ordering::Relaxed);
        }
    }

    /// A series that gets a day, by its number.
    fn live_series(&mut self, dimensions: &DimensionKey) -> usize {
        let index = self.series_index(dimensions);
        self.live += usize::from(!std::mem::replace(&mut self.series[index].is_live, true));
        index
    }
}

impl Series {
    /// Notes that a row was changed; whether it is the first time since the last commit.
    fn touch(&mut self, row: usize) -> bool {
        self.generation = self.generation.wrapping_add(1);
        !std::mem::replace(&mut self.rows[row].is_dirty, true)
    }

    /// Number of rows of days before this one.
    fn before(&self, day: Day) -> usize {
        self.rows.partition_point(|row| row.day < day)
    }

    /// The row of a day, made when it is new.
    fn row_mut(&mut self, day: Day, kinds: impl Iterator<Item = Kind>, width: usize) -> usize {
        match self.rows.binary_search_by_key(&day, |row| row.day) {
            Ok(row) => row,
            Err(row) => {
                self.rows.insert(row, Row { day, is_dirty: false });
                // A vector would make room for four rows at once, and a million series have one each.
                if self.partials.len() == self.partials.capacity() {
                    self.partials.reserve_exact(width * (self.rows.len() / 2).max(1));
                }
                let empty = kinds.map(Partial::empty);
                self.partials.splice(row * width..row * width, empty);
                row
            }
        }
    }
}

fn columns_of(plan: &Plan) -> impl Iterator<Item = (ColumnRef, &Column)> {
    plan.groups.iter().enumerate().flat_map(|(group, of)| {
        let columns = of.columns.iter().enumerate();
        columns.map(move |(column, it)| (ColumnRef { group, column }, it))
    })
}

fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

fn join(plan: &Plan, dimensions: &DimensionKey) -> String {
    let mut key = String::new();
    for (i, id) in dimensions.iter().enumerate() {
        if i > 0 {
            key.push(SEPARATOR);
        }
        key.push_str(&plan.interner.value(*id));
    }
    key
}
