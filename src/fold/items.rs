//! Items that are under way: from a start to an end, by key. What an item lasted follows from all its marks (starts and
//! ends) in the order of their times, whatever the order in which they came:
//!
//! * the earliest start opens it; a start of an item that is open changes nothing;
//! * the first end at or after the start closes it; an end of an item that is not open changes nothing, until a start
//!   from before it comes late;
//! * a start after the end opens it again: another duration of the same item.
//!
//! At equal times a start comes before an end, and of two equal marks the one whose dimension values have the smaller
//! hash counts. A duration counts in the cell of its end; an open item in the series of its start.
//!
//! With a window an item is an attempt, and an end is its success: an attempt that is open for longer than the window has
//! failed, and a start after that begins the next one. An attempt counts in the cell of its start, from its start on;
//! its duration is then 1 where it has succeeded, else 0.
//!
//! Beyond `max` items those that are not open go first, by their last mark, then the open ones, the oldest first. Of an
//! item at most [`MAX_MARKS`] marks are kept: beyond, the oldest that change nothing go, then the oldest durations.
//! What was counted stays counted.

use std::collections::BTreeSet;

use hashbrown::{HashMap, HashTable};
use smallvec::SmallVec;

use super::day::Day;
use super::oldest::Oldest;

/// Marks that are kept of one item.
pub const MAX_MARKS: usize = 32;

/// A start or an end of an item.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mark {
    /// Its time, in milliseconds since the epoch.
    pub time_ms: i64,
    /// The local day of that.
    pub day: Day,
    /// Whether it is an end.
    pub is_end: bool,
    /// The series of its dimension values; [`NO_SERIES`] where they do not matter.
    pub series: u32,
}

/// The series of the end of an attempt: it counts where the attempt began.
pub const NO_SERIES: u32 = u32::MAX;

impl Mark {
    fn place(&self) -> (i64, bool) {
        (self.time_ms, self.is_end)
    }
}

/// One duration less (−1) or more (+1) in the cell of a series and a day.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Change {
    /// The series.
    pub series: u32,
    /// The day.
    pub day: Day,
    /// The duration, in milliseconds; of an attempt 1 if it succeeded, else 0.
    pub ms: i64,
    /// −1 or +1.
    pub by: i64,
}

/// What a mark changes.
pub type Changes = SmallVec<[Change; 2]>;

/// Marks of an item by time.
pub type Marks = SmallVec<[Mark; 2]>;

#[derive(Debug)]
struct Item {
    hash: u64,
    name: Box<str>,
    marks: Marks,
    changed: bool,
}

/// Whether it is open, the time of its last mark (of its start, while it is open), and its hash.
type Rank = (bool, i64, u64);

/// The items of one column.
#[derive(Debug)]
pub struct Items {
    max: usize,
    /// Within which an attempt succeeds, in milliseconds; `None`: these are no attempts.
    window_ms: Option<i64>,
    table: HashTable<Item>,
    /// Starts and hashes of open items by series.
    open: HashMap<u32, BTreeSet<(i64, u64)>>,
    changed: Vec<u64>,
    oldest: Oldest<Rank>,
    evicted: u64,
    dropped_marks: u64,
}

impl Items {
    /// No items yet; with a window (in milliseconds) they are attempts.
    pub fn new(max: usize, window_ms: Option<i64>) -> Items {
        Items {
            max,
            window_ms,
            table: HashTable::new(),
            open: HashMap::new(),
            changed: Vec::new(),
            oldest: Oldest::default(),
            evicted: 0,
            dropped_marks: 0,
        }
    }

    /// Takes an item that the state kept.
    pub fn restore(&mut self, hash: u64, name: &str, marks: Marks) {
        if let Some(start) = spans(&marks, self.window_ms).1 {
            self.open
                .entry(start.series)
                .or_default()
                .insert((start.time_ms, hash));
        }
        let item = Item {
            hash,
            name: name.into(),
            marks,
            changed: false,
        };
        self.table.insert_unique(hash, item, |item| item.hash);
        self.evict();
    }

    /// Number of items that are remembered.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Items forgotten since the last call, because there were too many.
    pub fn take_evicted(&mut self) -> u64 {
        std::mem::take(&mut self.evicted)
    }

    /// Marks forgotten since the last call, because their items had more than [`MAX_MARKS`].
    pub fn take_dropped_marks(&mut self) -> u64 {
        std::mem::take(&mut self.dropped_marks)
    }

    /// Starts and names of the open items of a series, the oldest first.
    pub fn open_of(&self, series: u32) -> impl Iterator<Item = (i64, &str)> {
        let open = self.open.get(&series).into_iter().flatten();
        open.filter_map(|(start_ms, hash)| {
            let item = self.table.find(*hash, |item| item.hash == *hash)?;
            Some((*start_ms, &*item.name))
        })
    }

    /// Starts of the open items of a series, the oldest first.
    pub fn starts_of(&self, series: u32) -> impl Iterator<Item = i64> {
        self.open
            .get(&series)
            .into_iter()
            .flatten()
            .map(|(start_ms, _)| *start_ms)
    }

    /// How many attempts of a series that began on the days `from..to` and have not succeeded may still do so at
    /// `at_ms`.
    pub fn undecided(&self, series: u32, from: Day, to: Day, at_ms: i64) -> u64 {
        let (Some(window_ms), Some(open)) = (self.window_ms, self.open.get(&series)) else {
            return 0;
        };
        let in_time = open.range((at_ms - window_ms, 0)..=(at_ms, u64::MAX));
        let of_days = in_time.filter(|(_, hash)| {
            let item = self.table.find(*hash, |item| item.hash == *hash);
            let start = item.and_then(|item| spans(&item.marks, self.window_ms).1);
            start.is_some_and(|start| from <= start.day && start.day < to)
        });
        of_days.count() as u64
    }

    /// A mark of an item; `series_hash` tells a series in an order that does not depend on when it was met.
    pub fn mark(&mut self, hash: u64, name: &str, mark: Mark, series_hash: impl Fn(u32) -> u64) -> Changes {
        let fresh = || Item {
            hash,
            name: name.into(),
            marks: Marks::new(),
            changed: false,
        };
        let item = self
            .table
            .entry(hash, |item| item.hash == hash, |item| item.hash)
            .or_insert_with(fresh)
            .into_mut();
        let at = item.marks.partition_point(|other| other.place() < mark.place());
        let is_known = item
            .marks
            .get(at)
            .is_some_and(|other| other.place() == mark.place());
        if is_known && series_hash(item.marks[at].series) <= series_hash(mark.series) {
            return Changes::new();
        }
        let window_ms = self.window_ms;
        let (closed_before, open_before) = spans(&item.marks, window_ms);
        if is_known {
            item.marks[at] = mark;
        } else {
            item.marks.insert(at, mark);
        }
        let (closed, open) = spans(&item.marks, window_ms);
        let mut changes = Changes::new();
        let difference = |from: &Closed, to: &Closed, by: i64, changes: &mut Changes| {
            changes.extend(from.iter().filter(|span| !to.contains(span)).map(|span| Change {
                series: span.series,
                day: span.day,
                ms: span.ms,
                by,
            }));
        };
        difference(&closed_before, &closed, -1, &mut changes);
        difference(&closed, &closed_before, 1, &mut changes);
        while item.marks.len() > MAX_MARKS {
            let before = item.marks.len();
            drop_oldest(&mut item.marks, window_ms);
            self.dropped_marks += (before - item.marks.len()) as u64;
        }
        if open != open_before {
            if let Some(start) = open_before
                && let Some(open) = self.open.get_mut(&start.series)
            {
                open.remove(&(start.time_ms, hash));
                if open.is_empty() {
                    self.open.remove(&start.series);
                }
            }
            if let Some(start) = open {
                let of_series = self.open.entry(start.series).or_default();
                of_series.insert((start.time_ms, hash));
            }
        }
        self.oldest.ranked(rank(item, window_ms));
        if !std::mem::replace(&mut item.changed, true) {
            self.changed.push(hash);
        }
        self.evict();
        changes
    }

    /// Items that changed since the last call, whole; without marks where nothing is known any more.
    pub fn take_changed(&mut self, mut each: impl FnMut(u64, &str, &[Mark])) {
        for hash in std::mem::take(&mut self.changed) {
            match self.table.find_mut(hash, |item| item.hash == hash) {
                Some(item) => {
                    item.changed = false;
                    each(hash, &item.name, &item.marks);
                }
                None => each(hash, "", &[]),
            }
        }
    }

    /// Forgets items while there are too many.
    fn evict(&mut self) {
        while self.table.len() > self.max {
            let (table, window_ms) = (&self.table, self.window_ms);
            let all = || table.iter().map(|item| rank(item, window_ms));
            let Some((is_open, last_ms, hash)) = self.oldest.pop(all) else {
                return;
            };
            let Ok(entry) = self.table.find_entry(hash, |item| item.hash == hash) else {
                continue;
            };
            // One that went on since it was listed is of another rank.
            if rank(entry.get(), window_ms) != (is_open, last_ms, hash) {
                continue;
            }
            let (item, _) = entry.remove();
            if let Some(start) = spans(&item.marks, window_ms).1
                && let Some(open) = self.open.get_mut(&start.series)
            {
                open.remove(&(start.time_ms, hash));
            }
            if !item.changed {
                self.changed.push(hash);
            }
            self.evicted += 1;
        }
    }
}

fn rank(item: &Item, window_ms: Option<i64>) -> Rank {
    let open = spans(&item.marks, window_ms).1;
    let last_ms = match open {
        Some(start) => start.time_ms,
        None => item.marks.last().map_or(i64::MIN, |mark| mark.time_ms),
    };
    (open.is_some(), last_ms, item.hash)
}

/// A duration that is over, or an attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Span {
    start_ms: i64,
    ms: i64,
    /// Of its end; of an attempt, of its start.
    day: Day,
    series: u32,
}

type Closed = SmallVec<[Span; 4]>;

/// The durations that marks say are over, and the start of the one that is not. Of attempts all are among the first,
/// also those that are not over.
fn spans(marks: &[Mark], window_ms: Option<i64>) -> (Closed, Option<Mark>) {
    if let Some(window_ms) = window_ms {
        return attempts(marks, window_ms);
    }
    let mut closed = Closed::new();
    let mut open: Option<Mark> = None;
    for mark in marks {
        match (open, mark.is_end) {
            (None, false) => open = Some(*mark),
            (Some(start), true) => {
                closed.push(Span {
                    start_ms: start.time_ms,
                    ms: mark.time_ms - start.time_ms,
                    day: mark.day,
                    series: mark.series,
                });
                open = None;
            }
            _ => {}
        }
    }
    (closed, open)
}

fn attempts_of(marks: &[Mark], window_ms: Option<i64>) -> Closed {
    spans(marks, window_ms).0
}

fn attempts(marks: &[Mark], window_ms: i64) -> (Closed, Option<Mark>) {
    let mut attempts = Closed::new();
    let mut open: Option<Mark> = None;
    for mark in marks {
        let running = open.filter(|start| mark.time_ms - start.time_ms <= window_ms);
        match (running, mark.is_end) {
            (None, false) => {
                attempts.push(Span {
                    start_ms: mark.time_ms,
                    ms: 0,
                    day: mark.day,
                    series: mark.series,
                });
                open = Some(*mark);
            }
            (Some(_), true) => {
                if let Some(attempt) = attempts.last_mut() {
                    attempt.ms = 1;
                }
                open = None;
            }
            _ => {}
        }
    }
    (attempts, open)
}

/// Drops the oldest mark that changes nothing, or the oldest duration.
fn drop_oldest(marks: &mut Marks, window_ms: Option<i64>) {
    if window_ms.is_some() {
        let first = (1..marks.len()).find(|at| {
            let mut rest = marks.clone();
            rest.remove(*at);
            attempts_of(&rest, window_ms) == attempts_of(marks, window_ms)
        });
        match first {
            Some(at) => drop(marks.remove(at)),
            // Without its start an end would be one of nothing.
            None => {
                marks.remove(0);
                while marks.first().is_some_and(|mark| mark.is_end) {
                    marks.remove(0);
                }
            }
        }
        return;
    }
    let mut is_open = false;
    let idle = marks.iter().position(|mark| {
        let changes = mark.is_end == is_open;
        is_open = if changes { !mark.is_end } else { is_open };
        !changes
    });
    match idle {
        Some(at) => drop(marks.remove(at)),
        None => drop(marks.drain(..2.min(marks.len()))),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn mark(time_ms: i64, is_end: bool, series: u32) -> Mark {
        Mark {
            time_ms,
            day: Day(i32::try_from(time_ms / 10).unwrap()),
            is_end,
            series,
        }
    }

    fn tie(series: u32) -> u64 {
        u64::from(series ^ 2)
    }

    type Durations = BTreeMap<(u32, Day, i64), i64>;
    type Open = Vec<(u32, i64, String)>;

    fn folded(marks: &[(u64, Mark)]) -> (Durations, Open) {
        let mut items = Items::new(usize::MAX, None);
        let mut durations = Durations::new();
        for (key, mark) in marks {
            for change in items.mark(*key, &format!("item-{key}"), *mark, tie) {
                *durations
                    .entry((change.series, change.day, change.ms))
                    .or_default() += change.by;
            }
        }
        durations.retain(|_, count| *count != 0);
        let of = |series| {
            items
                .open_of(series)
                .map(move |(start, name)| (series, start, name.to_owned()))
        };
        (durations, (0..4).flat_map(of).collect())
    }

    /// By the definition: go through the marks of each item in time.
    fn naive(marks: &[(u64, Mark)]) -> (Durations, Open) {
        let mut by_key: BTreeMap<u64, Vec<(i64, bool, u64, Mark)>> = BTreeMap::new();
        for (key, mark) in marks {
            by_key
                .entry(*key)
                .or_default()
                .push((mark.time_ms, mark.is_end, tie(mark.series), *mark));
        }
        let (mut durations, mut open) = (Durations::new(), Open::new());
        for (key, mut marks) in by_key {
            marks.sort_by_key(|(time, is_end, tie, _)| (*time, *is_end, *tie));
            let mut running: Option<Mark> = None;
            for (.., mark) in marks {
                if !mark.is_end && running.is_none() {
                    running = Some(mark);
                } else if let (true, Some(start)) = (mark.is_end, running) {
                    *durations
                        .entry((mark.series, mark.day, mark.time_ms - start.time_ms))
                        .or_default() += 1;
                    running = None;
                }
            }
            open.extend(running.map(|start| (start.series, start.time_ms, format!("item-{key}"))));
        }
        open.sort();
        (durations, open)
    }

    proptest! {
        #[test]
        fn the_order_of_marks_does_not_matter(
            marks in proptest::collection::vec((0u64..3, 0i64..60, any::<bool>(), 0u32..4), 0..30),
        ) {
            let marks: Vec<(u64, Mark)> = marks.into_iter().map(|(key, time, is_end, series)| (key, mark(time, is_end, series))).collect();
            let (durations, mut open) = folded(&marks);
            open.sort();
            prop_assert_eq!((durations, open), naive(&marks));
        }
    }

    /// Attempts by day and success, begun and succeeded, as the definition says: marks in order, one key after the other.
    fn naive_attempts(marks: &[(u64, Mark)], window_ms: i64) -> BTreeMap<(i64, Day), (i64, i64)> {
        let mut counted: BTreeMap<(i64, Day), (i64, i64)> = BTreeMap::new();
        for key in 0..3 {
            let mut of_key: Vec<&Mark> = marks
                .iter()
                .filter(|(of, _)| *of == key)
                .map(|(_, m)| m)
                .collect();
            of_key.sort_by_key(|mark| (mark.time_ms, mark.is_end));
            let mut open: Option<&Mark> = None;
            for mark in of_key {
                if open.is_some_and(|start| mark.time_ms > start.time_ms + window_ms) {
                    open = None;
                }
                match (open, mark.is_end) {
                    (None, false) => {
                        counted.entry((0, mark.day)).or_default().0 += 1;
                        open = Some(mark);
                    }
                    (Some(start), true) => {
                        counted.entry((0, start.day)).or_default().1 += 1;
                        open = None;
                    }
                    _ => {}
                }
            }
        }
        counted
    }

    proptest! {
        #[test]
        fn attempts_are_those_of_the_definition_in_any_order(
            marks in proptest::collection::vec((0u64..3, 0i64..60, any::<bool>()), 0..30),
            window_ms in 0i64..30,
        ) {
            let marks: Vec<(u64, Mark)> = marks.into_iter().map(|(key, time, is_end)| (key, mark(time, is_end, 0))).collect();
            let mut items = Items::new(usize::MAX, Some(window_ms));
            let mut counted: BTreeMap<(i64, Day), (i64, i64)> = BTreeMap::new();
            for (key, mark) in &marks {
                for change in items.mark(*key, "x", *mark, tie) {
                    let cell = counted.entry((0, change.day)).or_default();
                    cell.0 += change.by;
                    cell.1 += change.by * change.ms;
                }
            }
            counted.retain(|_, cell| *cell != (0, 0));
            prop_assert_eq!(counted, naive_attempts(&marks, window_ms));
            // What may still succeed: began within the window before now, and has not.
            let (first, last) = (Day(i32::MIN), Day(i32::MAX));
            let undecided = items.undecided(0, first, last, 60);
            let late = |start: &i64| 60 - *start <= window_ms;
            prop_assert_eq!(undecided, items.starts_of(0).filter(late).count() as u64);
        }
    }

    #[test]
    fn end_before_start_copies_and_reopening() {
        let (start, end) = (|at| (1, mark(at, false, 0)), |at| (1, mark(at, true, 0)));
        let lasted = |marks: &[(u64, Mark)]| {
            let (durations, open) = folded(marks);
            let lasted: Vec<i64> = durations.into_keys().map(|(.., ms)| ms).collect();
            (
                lasted,
                open.into_iter().map(|(_, start, _)| start).collect::<Vec<_>>(),
            )
        };
        assert_eq!(lasted(&[start(10)]), (vec![], vec![10]));
        assert_eq!(lasted(&[end(10)]), (vec![], vec![]));
        assert_eq!(lasted(&[end(30), start(10)]), (vec![20], vec![]));
        assert_eq!(lasted(&[start(30), end(10)]), (vec![], vec![30]));
        assert_eq!(
            lasted(&[start(10), start(10), start(20), end(30), end(40), end(30)]),
            (vec![20], vec![])
        );
        assert_eq!(lasted(&[start(10), end(30), start(50)]), (vec![20], vec![50]));
        assert_eq!(lasted(&[start(10), end(10)]), (vec![0], vec![]));
        // A start that comes late: what was one item from 20 to 40 was two.
        assert_eq!(
            lasted(&[start(20), end(40), end(15), start(5)]),
            (vec![10, 20], vec![])
        );
    }

    #[test]
    fn beyond_the_bound_what_is_over_goes_first() {
        let mut items = Items::new(3, None);
        let mut mark_of = |key, time, is_end| items.mark(key, "x", mark(time, is_end, 0), tie).len();
        mark_of(1, 10, false);
        mark_of(2, 20, false);
        mark_of(3, 30, false);
        mark_of(3, 40, true);
        assert_eq!((items.len(), items.take_evicted()), (3, 0));
        items.mark(4, "x", mark(50, false, 0), tie);
        assert_eq!((items.len(), items.take_evicted()), (3, 1));
        assert_eq!(items.starts_of(0).collect::<Vec<_>>(), [10, 20, 50]);
        items.mark(5, "x", mark(5, false, 0), tie);
        assert_eq!((items.len(), items.take_evicted()), (3, 1));
        assert_eq!(items.starts_of(0).collect::<Vec<_>>(), [10, 20, 50]);
        items.mark(6, "x", mark(60, false, 0), tie);
        assert_eq!(items.starts_of(0).collect::<Vec<_>>(), [20, 50, 60]);
        let mut left = Vec::new();
        items.take_changed(|hash, _, marks| left.push((hash, marks.len())));
        left.sort_unstable();
        left.dedup();
        assert_eq!(left, [(1, 0), (2, 1), (3, 0), (4, 1), (5, 0), (6, 1)]);
    }

    #[test]
    fn of_an_item_so_many_marks_are_kept() {
        let mut items = Items::new(3, None);
        let last = i64::try_from(MAX_MARKS).unwrap();
        for time in 0..last {
            items.mark(1, "x", mark(time, false, 0), tie);
        }
        let marks = |items: &Items| items.table.find(1, |_| true).map_or(0, |item| item.marks.len());
        assert_eq!((marks(&items), items.take_dropped_marks()), (MAX_MARKS, 0));
        items.mark(1, "x", mark(last, false, 0), tie);
        assert_eq!((marks(&items), items.take_dropped_marks()), (MAX_MARKS, 1));
        // The start that counts is not among those that went.
        assert_eq!(items.mark(1, "x", mark(last + 1, true, 0), tie)[0].ms, last + 1);
        assert_eq!((marks(&items), items.take_dropped_marks()), (MAX_MARKS, 1));
        // Another item has room of its own, and where no mark is idle a duration goes: its start and its end.
        for time in 0..last + 2 {
            items.mark(2, "y", mark(time, time % 2 == 1, 0), tie);
        }
        assert_eq!(items.take_dropped_marks(), 2);
    }
}
