//! Dedup: which ids a partition has brought within a window of event time, bounded and persisted.
//!
//! Copies of an event are told apart where their partition is read: a producer that repeats a send by key brings the
//! copy to the same partition. A copy in another partition is not seen.
//!
//! An id is kept as 64 bits of hash. With n ids remembered, a new id is taken for a known one with a probability of
//! n / 2⁶⁴: for five million ids 2.7 · 10⁻¹³, one event in 3.7 · 10¹². An id is remembered until an event arrives that
//! is newer by more than the window, rounded up to hours; beyond `max_keys` the oldest by event time go first, and are
//! counted. An event that comes later than the window is counted and not remembered.

use std::collections::{BTreeMap, VecDeque};

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

/// Ids in one row of the state: what a commit writes again for the sake of one more id is at most this many.
pub const CHUNK: u64 = 1024;
const HOUR_MS: i64 = 3_600_000;

/// How much is remembered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// Hours of event time.
    pub hours: i32,
    /// Ids.
    pub max_keys: usize,
}

impl Bounds {
    /// The bounds of one of a source's partitions: an equal share of the source's.
    pub fn of_partition(dedup: &crate::catalog::Dedup, partitions: usize) -> Bounds {
        let hours = dedup
            .window
            .as_millis()
            .unsigned_abs()
            .div_ceil(HOUR_MS.unsigned_abs().into());
        Bounds {
            hours: i32::try_from(hours).unwrap_or(i32::MAX),
            max_keys: dedup.max_keys.div_ceil(partitions.max(1)),
        }
    }
}

/// The hash of an event's id. An event and the retraction of it may bear the same id: that of the retraction is the
/// complement. (Not another seed: the seed is xored with short ids, and the retraction of `120` would be event `123`.)
pub fn hash_of(id: &str, retracts: bool) -> u64 {
    let hash = xxh3_64(id.as_bytes());
    if retracts { !hash } else { hash }
}

/// Rows of the state by hour and number: the ids of an hour, in pieces of [`CHUNK`].
pub type Chunks = BTreeMap<(i32, u64), Vec<u64>>;

/// What changed since the last hand-over.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct SeenDelta {
    /// Chunks that changed, whole, by hour and number.
    pub chunks: Chunks,
    /// The first chunk that is still needed: everything before it is forgotten.
    pub needed_from: Option<(i32, u64)>,
    /// Ids forgotten before their time, because there were too many.
    pub evicted: u64,
}

impl SeenDelta {
    /// Adds what changed after this.
    pub fn absorb(&mut self, later: SeenDelta) {
        self.chunks.extend(later.chunks);
        self.needed_from = later.needed_from.or(self.needed_from);
        self.evicted += later.evicted;
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty() && self.needed_from.is_none() && self.evicted == 0
    }
}

/// The ids of one partition.
#[derive(Debug)]
pub struct Seen {
    bounds: Bounds,
    table: HashTable<u64>,
    /// Hours since the epoch.
    hours: BTreeMap<i32, Hour>,
    /// Hours that got ids since the last hand-over.
    changed: Vec<i32>,
    needed_from: Option<(i32, u64)>,
    evicted: u64,
}

/// The ids of one hour, in the order in which they came. Their positions never change: chunks are cut by position.
#[derive(Default, Debug)]
struct Hour {
    /// Position of the first one that is left.
    first: u64,
    hashes: VecDeque<u64>,
    /// Positions below have been handed over.
    handed_over: u64,
}

impl Hour {
    fn end(&self) -> u64 {
        self.first + self.hashes.len() as u64
    }
}

impl Seen {
    /// Nothing seen yet.
    pub fn new(bounds: Bounds) -> Seen {
        Seen {
            bounds,
            table: HashTable::new(),
            hours: BTreeMap::new(),
            changed: Vec::new(),
            needed_from: None,
            evicted: 0,
        }
    }

    /// What the state kept.
    pub fn restore(bounds: Bounds, chunks: Chunks) -> Seen {
        let mut seen = Seen::new(bounds);
        let mut by_hour: BTreeMap<i32, Vec<(u64, Vec<u64>)>> = BTreeMap::new();
        for ((at, number), hashes) in chunks {
            by_hour.entry(at).or_default().push((number, hashes));
        }
        for (at, chunks) in by_hour {
            let hour = Hour::restore(chunks);
            for &hash in &hour.hashes {
                seen.table
                    .entry(hash, |known| *known == hash, |hash| *hash)
                    .or_insert(hash);
            }
            if hour.handed_over < hour.end() {
                seen.changed.push(at);
            }
            seen.hours.insert(at, hour);
        }
        seen.forget_old();
        seen
    }

    /// How much is remembered.
    pub fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// Whether an id is known.
    pub fn contains(&self, hash: u64) -> bool {
        self.table.find(hash, |known| *known == hash).is_some()
    }

    /// Remembers an id that is not known, with the time of its event in milliseconds since the epoch.
    pub fn insert(&mut self, hash: u64, time_ms: i64) {
        let hour = i32::try_from(time_ms.div_euclid(HOUR_MS)).unwrap_or(i32::MAX);
        let newest = self.hours.last_key_value().map(|(newest, _)| *newest);
        if newest.is_some_and(|newest| hour < newest.saturating_sub(self.bounds.hours)) {
            return;
        }
        self.table.insert_unique(hash, hash, |hash| *hash);
        self.hours.entry(hour).or_default().hashes.push_back(hash);
        if self.changed.last() != Some(&hour) {
            self.changed.push(hour);
        }
        if newest.is_none_or(|newest| hour > newest) || self.table.len() > self.bounds.max_keys {
            self.forget_old();
        }
    }

    /// Remembers what another one does of the same partition: ids of its hours, as far as they are in the window.
    pub fn absorb(&mut self, other: &Seen) {
        for (&at, hour) in &other.hours {
            let time_ms = i64::from(at) * HOUR_MS;
            for &hash in hour.hashes.iter() {
                if !self.contains(hash) {
                    self.insert(hash, time_ms);
                }
            }
        }
    }

    /// Number of ids that are remembered.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Forgets hours that are out of the window, then the oldest ids while there are too many.
    fn forget_old(&mut self) {
        let Some((&newest, _)) = self.hours.last_key_value() else {
            return;
        };
        let since = newest.saturating_sub(self.bounds.hours);
        while let Some(mut oldest) = self.hours.first_entry() {
            let too_old = *oldest.key() < since;
            if !too_old && self.table.len() <= self.bounds.max_keys {
                break;
            }
            let Some(hash) = oldest.get_mut().hashes.pop_front() else {
                oldest.remove();
                continue;
            };
            oldest.get_mut().first += 1;
            self.evicted += u64::from(!too_old);
            if let Ok(known) = self.table.find_entry(hash, |known| *known == hash) {
                known.remove();
            }
        }
    }

    /// Hands over what changed since the last call.
    pub fn take(&mut self) -> SeenDelta {
        let mut chunks = Chunks::new();
        for at in std::mem::take(&mut self.changed) {
            if let Some(hour) = self.hours.get_mut(&at) {
                hour.hand_over(at, &mut chunks);
            }
        }
        let needed_from = self
            .hours
            .first_key_value()
            .map(|(at, hour)| (*at, hour.first / CHUNK));
        let moved = needed_from != self.needed_from;
        self.needed_from = needed_from;
        SeenDelta {
            chunks,
            needed_from: needed_from.filter(|_| moved),
            evicted: std::mem::take(&mut self.evicted),
        }
    }
}

impl Hour {
    fn restore(chunks: Vec<(u64, Vec<u64>)>) -> Hour {
        let mut hour = Hour::default();
        let mut in_place = true;
        let followed = chunks.len() > 1;
        for (number, hashes) in chunks {
            let start = number * CHUNK;
            if hour.hashes.is_empty() {
                // A chunk that another follows was filled to its end: what is missing was evicted from its front.
                let missing = CHUNK.saturating_sub(hashes.len() as u64);
                hour.first = start + if followed { missing } else { 0 };
            } else {
                in_place &= hour.end() == start;
            }
            hour.hashes.extend(hashes);
        }
        // Positions that do not add up (an hour was evicted whole and begun again) are written anew.
        hour.handed_over = if in_place { hour.end() } else { hour.first };
        hour
    }

    fn hand_over(&mut self, at: i32, chunks: &mut Chunks) {
        let index = |position: u64| usize::try_from(position - self.first).unwrap_or(usize::MAX);
        let end = self.end();
        let mut from = self.handed_over.max(self.first);
        while from < end {
            let number = from / CHUNK;
            let start = (number * CHUNK).max(self.first);
            let stop = ((number + 1) * CHUNK).min(end);
            let hashes = self.hashes.range(index(start)..index(stop)).copied().collect();
            chunks.insert((at, number), hashes);
            from = stop;
        }
        self.handed_over = end;
    }
}

#[cfg(test)]
mod tests;
