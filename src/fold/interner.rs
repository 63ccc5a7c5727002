//! Dimension values as numbers, the same number in every thread. A thread asks only for values that it meets for the
//! first time; after that its own table answers without a lock.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::{DefaultHashBuilder, HashTable};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::catalog::OTHER;

/// A dimension value; 0 is "missing", 1 is "other".
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct ValueId(pub u32);

/// Bytes of the longest dimension value, and of the longest name of an item, unless the settings say otherwise.
pub const MAX_VALUE_BYTES: usize = 256;

/// What a missing dimension value is called.
pub const MISSING: &str = "";

impl ValueId {
    /// What counts where there is no room for more values.
    pub const OTHER: ValueId = ValueId(1);
}

#[derive(Debug, Default)]
struct Shared {
    /// By value; the values stand below, once.
    ids: HashTable<ValueId>,
    hasher: DefaultHashBuilder,
    values: Vec<Arc<str>>,
}

impl Shared {
    fn find(&self, value: &str) -> Option<ValueId> {
        let is_it = |id: &ValueId| *self.values[id.0 as usize] == *value;
        self.ids.find(self.hasher.hash_one(value), is_it).copied()
    }

    /// Keeps a value that is new.
    fn insert(&mut self, value: &str) -> ValueId {
        let id = ValueId(u32::try_from(self.values.len()).unwrap_or(u32::MAX));
        self.values.push(value.into());
        let Shared { ids, hasher, values } = self;
        let hash_at = |id: &ValueId| hasher.hash_one(&*values[id.0 as usize]);
        ids.insert_unique(hasher.hash_one(value), id, hash_at);
        id
    }
}

/// The table that all threads share.
#[derive(Clone, Debug)]
pub struct Interner {
    shared: Arc<Mutex<Shared>>,
    max_bytes: Arc<AtomicUsize>,
}

impl Default for Interner {
    fn default() -> Interner {
        let interner = Interner {
            shared: Arc::default(),
            max_bytes: Arc::new(AtomicUsize::new(MAX_VALUE_BYTES)),
        };
        interner.id(MISSING);
        interner.id(OTHER);
        interner
    }
}

impl Interner {
    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the length of the longest value that events may bring, in bytes.
    pub fn limit(&self, max_bytes: usize) {
        self.max_bytes.store(max_bytes, Ordering::Relaxed);
    }

    /// The length of the longest value that events may bring, in bytes.
    pub fn max_bytes(&self) -> usize {
        self.max_bytes.load(Ordering::Relaxed)
    }

    /// The number of a value.
    pub fn id(&self, value: &str) -> ValueId {
        let mut shared = self.shared();
        shared.find(value).unwrap_or_else(|| shared.insert(value))
    }

    /// The number of a value that was met before.
    pub fn find(&self, value: &str) -> Option<ValueId> {
        self.shared().find(value)
    }

    /// The value of a number.
    pub fn value(&self, id: ValueId) -> Arc<str> {
        self.shared()
            .values
            .get(id.0 as usize)
            .cloned()
            .unwrap_or_else(|| MISSING.into())
    }
}

/// One thread's view of the shared table.
#[derive(Debug)]
pub struct LocalInterner {
    shared: Interner,
    /// By value; the values stand below.
    ids: HashTable<ValueId>,
    /// Another one in every process: nobody can choose values that fall on one place.
    seed: u64,
    /// Texts of the shared table, by number; empty where this thread has not met a value.
    values: Vec<Option<Arc<str>>>,
}

impl LocalInterner {
    /// A view that knows nothing yet.
    pub fn new(shared: Interner) -> LocalInterner {
        LocalInterner {
            shared,
            ids: HashTable::new(),
            seed: DefaultHashBuilder::default().hash_one(0),
            values: Vec::new(),
        }
    }

    /// The length of the longest value that events may bring, in bytes.
    #[inline]
    pub fn max_bytes(&self) -> usize {
        self.shared.max_bytes()
    }

    /// The number of a value.
    pub fn id(&mut self, value: &str) -> ValueId {
        self.find(value).unwrap_or_else(|| {
            let id = self.shared.id(value);
            self.keep(value, id);
            id
        })
    }

    /// The number of a value where there is no room for more: of one that nobody has met, that of "other". It is not
    /// kept, so that what never ends needs no memory.
    pub fn id_if_met(&mut self, value: &str) -> ValueId {
        self.find(value).unwrap_or_else(|| {
            let Some(id) = self.shared.find(value) else {
                return ValueId::OTHER;
            };
            self.keep(value, id);
            id
        })
    }

    #[inline]
    fn find(&self, value: &str) -> Option<ValueId> {
        let is_it = |id: &ValueId| {
            let known = self.values.get(id.0 as usize);
            known.is_some_and(|known| known.as_deref() == Some(value))
        };
        self.ids.find(hash_of(self.seed, value), is_it).copied()
    }

    #[cold]
    fn keep(&mut self, value: &str, id: ValueId) {
        let at = id.0 as usize;
        if self.values.len() <= at {
            self.values.resize(at + 1, None);
        }
        self.values[at] = Some(self.shared.value(id));
        let LocalInterner {
            ids, seed, values, ..
        } = self;
        let hash_at = |id: &ValueId| hash_of(*seed, values[id.0 as usize].as_deref().unwrap_or(MISSING));
        ids.insert_unique(hash_of(*seed, value), id, hash_at);
    }
}

/// A hash of a value. Most values are short: their first and their last bytes are all of them, and one multiplication
/// whose halves are folded mixes them, as wyhash does it.
#[inline]
fn hash_of(seed: u64, value: &str) -> u64 {
    const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;
    let bytes = value.as_bytes();
    let (first, last) = match (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        (Some(first), Some(last)) if bytes.len() <= 16 => {
            (u64::from_le_bytes(*first), u64::from_le_bytes(*last))
        }
        (Some(_), _) => (xxh3_64_with_seed(bytes, seed), 0),
        _ => match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
            (Some(first), Some(last)) => (
                u64::from(u32::from_le_bytes(*first)),
                u64::from(u32::from_le_bytes(*last)),
            ),
            _ => (bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)), 0),
        },
    };
    let fold = |hash: u64, by: u64| {
        let product = u128::from(hash) * u128::from(by);
        (product as u64) ^ (product >> 64) as u64
    };
    let length = bytes.len() as u64;
    fold(
        fold(first ^ seed, MULTIPLIER) ^ last ^ length.rotate_left(32),
        MULTIPLIER | 1 << 62,
    )
}
