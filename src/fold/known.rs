//! Known keys: which key was met for the first time where. A key is new once a *run*: a stretch of local days in which
//! two neighbouring days with events of the key are at most `within` apart; without `within` a key has one run, for good.
//!
//! A run counts in the cell of its earliest event; between equal times the smaller hash of the dimension values decides.
//! So the result follows from the set of events alone, in whatever order and in however many pieces they come: an event
//! that is earlier than all that was known moves the count from the cell that had it, and one that joins two runs takes
//! one count away.
//!
//! A key is kept as 64 bits of hash: with n keys, a new one is taken for a known one with a probability of n / 2⁶⁴.
//! Beyond `max_keys` runs the one with the oldest last day goes, between equal days the one with the smaller hash; should
//! its key come again, it is new again. From then on the order of events may matter to forgotten keys.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use hashbrown::HashTable;
use smallvec::SmallVec;

use super::day::Day;

/// Of so many runs one is put on the list of those that go next, whenever the list is made.
const LIST_SHARE: usize = 16;

/// A stretch of days of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Run {
    /// Time of its earliest event, in milliseconds since the epoch.
    pub first_ms: i64,
    /// The local day of that.
    pub first: Day,
    /// The last day with an event.
    pub last: Day,
    /// The series in whose cell of the first day it counts.
    pub series: u32,
}

/// One key less (−1) or more (+1) in the cell of a series and a day.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Move {
    /// The series.
    pub series: u32,
    /// The day.
    pub day: Day,
    /// −1 or +1.
    pub by: i64,
}

/// What an event changes: at most two runs lose their place and one gets it.
pub type Moves = SmallVec<[Move; 3]>;

/// Runs of a key, ascending.
pub type Runs = SmallVec<[Run; 1]>;

#[derive(Debug)]
struct Key {
    hash: u64,
    runs: Runs,
    /// Whether it is listed among the changed ones.
    changed: bool,
}

/// The known keys of one column.
#[derive(Debug)]
pub struct KnownKeys {
    /// Days after which a key that comes back is new again.
    within: Option<i32>,
    max: usize,
    table: HashTable<Key>,
    /// Runs of all keys.
    runs: usize,
    /// Keys that changed since the last commit.
    changed: Vec<u64>,
    /// Runs that go next, the first one first: every run with a last day up to `listed_to` is here, along with some that
    /// are over. Made when it is needed, so that most columns have none.
    oldest: BinaryHeap<Reverse<(Day, u64)>>,
    listed_to: Option<(Day, u64)>,
    evicted: u64,
}

impl KnownKeys {
    /// Nothing known yet. `within` is in days.
    pub fn new(within: Option<i32>, max: usize) -> KnownKeys {
        KnownKeys {
            within,
            max,
            table: HashTable::new(),
            runs: 0,
            changed: Vec::new(),
            oldest: BinaryHeap::new(),
            listed_to: None,
            evicted: 0,
        }
    }

    /// Takes a key that the state kept.
    pub fn restore(&mut self, hash: u64, runs: Runs) {
        self.runs += runs.len();
        let changed = false;
        self.table
            .insert_unique(hash, Key { hash, runs, changed }, |key| key.hash);
        self.evict();
    }

    /// Number of runs that are remembered: of keys, where there is no `within`.
    pub fn len(&self) -> usize {
        self.runs
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.runs == 0
    }

    /// Runs forgotten since the last call, because there were too many.
    pub fn take_evicted(&mut self) -> u64 {
        std::mem::take(&mut self.evicted)
    }

    /// An event of a key; `series_hash` tells a series in an order that does not depend on when it was met.
    pub fn arrive(&mut self, hash: u64, event: Run, series_hash: impl Fn(u32) -> u64) -> Moves {
        let mut moves = Moves::new();
        let fresh = Key {
            hash,
            runs: Runs::new(),
            changed: false,
        };
        let key = self
            .table
            .entry(hash, |key| key.hash == hash, |key| key.hash)
            .or_insert(fresh)
            .into_mut();
        let reach = self.within.unwrap_or(i32::MAX);
        let near = |run: &Run| {
            event.first.0 >= run.first.0.saturating_sub(reach)
                && event.first.0 <= run.last.0.saturating_add(reach)
        };
        // The runs that the event belongs to are neighbours: at most one before it and one after it.
        let from = key
            .runs
            .iter()
            .position(near)
            .unwrap_or_else(|| key.runs.partition_point(|run| run.first < event.first));
        let to = from + key.runs[from..].iter().take_while(|run| near(run)).count();
        if let [run] = &mut key.runs[from..to]
            && event.first_ms > run.first_ms
        {
            // By far the most frequent: a known key comes again.
            if event.last > run.last {
                run.last = event.last;
                mark(key, &mut self.changed);
            }
            return moves;
        }
        let order = |run: &Run| (run.first_ms, series_hash(run.series));
        let mut joined = event;
        for run in &key.runs[from..to] {
            if order(run) < order(&joined) {
                (joined.first_ms, joined.first, joined.series) = (run.first_ms, run.first, run.series);
            }
            joined.last = joined.last.max(run.last);
        }
        if key.runs[from..to] == [joined] {
            return moves;
        }
        let mut push = |run: &Run, by| {
            let (series, day) = (run.series, run.first);
            moves.push(Move { series, day, by });
        };
        let is_first = |run: &&Run| (run.first_ms, run.series) == (joined.first_ms, joined.series);
        for run in key.runs[from..to].iter().filter(|run| !is_first(run)) {
            push(run, -1);
        }
        if !key.runs[from..to].iter().any(|run| is_first(&run)) {
            push(&joined, 1);
        }
        self.runs = self.runs + 1 + from - to;
        key.runs.drain(from..to);
        key.runs.insert(from, joined);
        mark(key, &mut self.changed);
        if self.listed_to.is_some_and(|to| (joined.last, hash) <= to) {
            self.oldest.push(Reverse((joined.last, hash)));
        }
        self.evict();
        moves
    }

    /// Keys that changed since the last call, whole; without runs where nothing is known any more.
    pub fn take_changed(&mut self) -> impl Iterator<Item = (u64, Runs)> + '_ {
        std::mem::take(&mut self.changed).into_iter().map(|hash| {
            let runs = self.table.find_mut(hash, |key| key.hash == hash).map(|key| {
                key.changed = false;
                key.runs.clone()
            });
            (hash, runs.unwrap_or_default())
        })
    }

    /// Forgets the oldest runs while there are too many.
    fn evict(&mut self) {
        while self.runs > self.max {
            let Some(Reverse((last, hash))) = self.oldest.pop() else {
                if !self.list() {
                    return;
                }
                continue;
            };
            let Ok(mut entry) = self.table.find_entry(hash, |key| key.hash == hash) else {
                continue;
            };
            let key = entry.get_mut();
            // One that went on since it was listed is not that old any more.
            let Some(at) = key.runs.iter().position(|run| run.last == last) else {
                continue;
            };
            key.runs.remove(at);
            self.runs -= 1;
            self.evicted += 1;
            mark(key, &mut self.changed);
            if key.runs.is_empty() {
                entry.remove();
            }
        }
    }

    /// Lists the oldest runs; whether there are any.
    fn list(&mut self) -> bool {
        let keys = self.table.iter();
        let mut all: Vec<(Day, u64)> = keys
            .flat_map(|key| key.runs.iter().map(|run| (run.last, key.hash)))
            .collect();
        let count = (all.len() / LIST_SHARE).max(1).min(all.len());
        if count == 0 {
            return false;
        }
        let (_, newest, _) = all.select_nth_unstable(count - 1);
        self.listed_to = Some(*newest);
        all.truncate(count);
        self.oldest = all.into_iter().map(Reverse).collect();
        true
    }
}

fn mark(key: &mut Key, changed: &mut Vec<u64>) {
    if !std::mem::replace(&mut key.changed, true) {
        changed.push(key.hash);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn event(ms: i64, series: u32) -> Run {
        let day = Day(i32::try_from(ms.div_euclid(10)).unwrap());
        Run {
            first_ms: ms,
            first: day,
            last: day,
            series,
        }
    }

    /// Series in another order than their numbers, as hashes are.
    fn tie(series: u32) -> u64 {
        u64::from(series ^ 2)
    }

    type Counts = BTreeMap<(u32, Day), i64>;

    fn folded(events: &[(u64, i64, u32)], within: Option<i32>) -> Counts {
        let mut known = KnownKeys::new(within, usize::MAX);
        let mut counts = Counts::new();
        for &(key, ms, series) in events {
            for Move { series, day, by } in known.arrive(key, event(ms, series), tie) {
                *counts.entry((series, day)).or_default() += by;
            }
        }
        counts.retain(|_, count| *count != 0);
        counts
    }

    /// The same by its definition: sort the events of each key, cut where the gap is too long, count the first.
    fn naive(events: &[(u64, i64, u32)], within: Option<i32>) -> Counts {
        let mut by_key: BTreeMap<u64, Vec<(i64, u64, u32)>> = BTreeMap::new();
        for &(key, ms, series) in events {
            by_key.entry(key).or_default().push((ms, tie(series), series));
        }
        let mut counts = Counts::new();
        for mut events in by_key.into_values() {
            events.sort_unstable();
            let mut last: Option<Day> = None;
            for (ms, _, series) in events {
                let day = event(ms, series).first;
                if last.is_none_or(|last| within.is_some_and(|within| day.0 - last.0 > within)) {
                    *counts.entry((series, day)).or_default() += 1;
                }
                last = Some(day);
            }
        }
        counts
    }

    proptest! {
        #[test]
        fn the_order_of_events_does_not_matter(
            events in proptest::collection::vec((0u64..3, 0i64..300, 0u32..4), 0..40),
            within in proptest::option::of(1i32..6),
        ) {
            prop_assert_eq!(folded(&events, within), naive(&events, within));
        }

        /// What is left after evictions are the newest runs, one at a time as they came.
        #[test]
        fn of_too_many_keys_the_oldest_go(
            events in proptest::collection::vec((0u64..30, 0i64..300), 1..80),
            max in 1usize..20,
        ) {
            let mut known = KnownKeys::new(None, max);
            let mut model: BTreeMap<u64, Day> = BTreeMap::new();
            let mut evicted = 0;
            for (key, ms) in events {
                known.arrive(key, event(ms, 0), tie);
                let last = model.entry(key).or_insert(Day(0));
                *last = event(ms, 0).last.max(*last);
                if model.len() > max {
                    let (_, oldest) = model.iter().map(|(key, last)| (*last, *key)).min().unwrap();
                    model.remove(&oldest);
                    evicted += 1;
                }
                prop_assert_eq!(known.len(), model.len());
                prop_assert!(model.keys().all(|key| known.table.find(*key, |k| k.hash == *key).is_some()));
            }
            prop_assert_eq!(known.take_evicted(), evicted);
        }
    }

    #[test]
    fn the_bound_is_reached_by_one_more() {
        let mut known = KnownKeys::new(None, 3);
        for key in [1, 2, 3, 1] {
            known.arrive(key, event(key.cast_signed() * 10, 0), tie);
        }
        assert_eq!((known.len(), known.take_evicted()), (3, 0));
        assert_eq!(known.take_changed().count(), 3);
        known.arrive(4, event(40, 0), tie);
        assert_eq!((known.len(), known.take_evicted()), (3, 1));
        let mut changed: Vec<(u64, usize)> = known
            .take_changed()
            .map(|(key, runs)| (key, runs.len()))
            .collect();
        changed.sort_unstable();
        assert_eq!(changed, [(1, 0), (4, 1)]);
        // The forgotten one is new again.
        assert_eq!(known.arrive(1, event(50, 0), tie).len(), 1);
    }
}
