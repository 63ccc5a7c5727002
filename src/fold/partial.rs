//! Partials: mergeable aggregates. `merge` is associative and commutative, and [`Partial::empty`] is its identity,
//! so one machine and fifty give the same numbers, to the last digit.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::catalog::Agg;
use crate::fixed::Fixed;

/// Number of different keys that a [`Distinct`] keeps exactly before it becomes a sketch.
pub const DISTINCT_EXACT: usize = 4096;

/// A mergeable aggregate of one cell.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Partial {
    /// Exact sum, and the number of events in it: negative where more was taken back than added, which a partial of
    /// many may be on its own.
    Sum(Fixed, #[serde(with = "signed")] i64),
    /// Number of events.
    Count(#[serde(with = "signed")] i64),
    /// Smallest value; `None` when empty.
    Min(Option<Fixed>),
    /// Largest value; `None` when empty.
    Max(Option<Fixed>),
    /// Sum and count: never an average of averages.
    Avg(Fixed, #[serde(with = "signed")] i64),
    /// The newest value by (event time, offset), the value itself breaking ties between partitions.
    Last(Option<Newest>),
    /// Different keys.
    Distinct(Distinct),
}

/// Counts are written as unsigned numbers, as before anything could be taken back.
mod signed {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(count: &i64, to: S) -> Result<S::Ok, S::Error> {
        count.cast_unsigned().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<i64, D::Error> {
        u64::deserialize(from).map(u64::cast_signed)
    }
}

/// A value with its position in time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Newest {
    /// Event time, milliseconds since the epoch.
    pub time_ms: i64,
    /// Offset in its partition.
    pub offset: i64,
    /// The value.
    pub value: Fixed,
}

/// A set of 64-bit key hashes: exact up to [`DISTINCT_EXACT`], then HyperLogLog with 2¹⁴ registers
/// (Flajolet et al. 2007; standard error 0.81 %).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Distinct {
    /// Every hash.
    Exact(BTreeSet<u64>),
    /// Registers of the sketch.
    Sketch(Vec<u8>),
}

const PRECISION: u32 = 14;
const REGISTERS: usize = 1 << PRECISION;

/// Why a value could not be folded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FoldError {
    /// The sum would leave the range of exact numbers.
    #[error("sum overflows")]
    Overflow,
}

impl Partial {
    /// The identity of merge for an aggregation.
    pub fn empty(agg: Agg) -> Partial {
        match agg {
            Agg::Sum => Partial::Sum(Fixed::ZERO, 0),
            Agg::Count => Partial::Count(0),
            Agg::CountDistinct => Partial::Distinct(Distinct::Exact(BTreeSet::new())),
            Agg::Min => Partial::Min(None),
            Agg::Max => Partial::Max(None),
            Agg::Avg => Partial::Avg(Fixed::ZERO, 0),
            Agg::Last => Partial::Last(None),
        }
    }

    /// Merges another partial of the same aggregation into this one.
    ///
    /// # Errors
    /// [`FoldError::Overflow`]; this partial is then unchanged. Partials of different aggregations do not meet: a
    /// cell table holds one aggregation; should they, this one is kept.
    pub fn merge(&mut self, other: &Partial) -> Result<(), FoldError> {
        match (self, other) {
            (Partial::Sum(sum, count), Partial::Sum(more, n))
            | (Partial::Avg(sum, count), Partial::Avg(more, n)) => {
                *sum = sum.checked_add(*more).ok_or(FoldError::Overflow)?;
                *count += n;
            }
            (Partial::Count(count), Partial::Count(n)) => *count += n,
            (Partial::Min(low), Partial::Min(Some(value))) => {
                *low = Some(low.map_or(*value, |v| v.min(*value)))
            }
            (Partial::Max(high), Partial::Max(Some(value))) => {
                *high = Some(high.map_or(*value, |v| v.max(*value)))
            }
            (Partial::Last(newest), Partial::Last(other)) => *newest = (*newest).max(*other),
            (Partial::Distinct(set), Partial::Distinct(other)) => set.merge(other),
            _ => {}
        }
        Ok(())
    }

    /// The value, or `None` when there is none (an average or a smallest of nothing).
    pub fn value(&self) -> Option<f64> {
        match self {
            Partial::Sum(sum, _) => Some(sum.to_f64()),
            Partial::Count(count) => Some(*count as f64),
            Partial::Min(value) | Partial::Max(value) => value.map(Fixed::to_f64),
            Partial::Avg(_, ..=0) => None,
            Partial::Avg(sum, count) => Some(sum.to_f64() / *count as f64),
            Partial::Last(newest) => newest.map(|n| n.value.to_f64()),
            Partial::Distinct(set) => Some(set.estimate()),
        }
    }
}

impl Distinct {
    /// Adds the hash of a key.
    pub fn insert(&mut self, hash: u64) {
        match self {
            Distinct::Exact(set) => {
                set.insert(hash);
                if set.len() > DISTINCT_EXACT {
                    *self = Distinct::Sketch(sketch_of(set));
                }
            }
            Distinct::Sketch(registers) => add_to_sketch(registers, hash),
        }
    }

    /// Merges another set into this one.
    pub fn merge(&mut self, other: &Distinct) {
        match other {
            Distinct::Exact(set) => set.iter().for_each(|hash| self.insert(*hash)),
            Distinct::Sketch(theirs) => {
                if let Distinct::Exact(set) = self {
                    *self = Distinct::Sketch(sketch_of(set));
                }
                if let Distinct::Sketch(registers) = self {
                    registers
                        .iter_mut()
                        .zip(theirs)
                        .for_each(|(mine, other)| *mine = (*mine).max(*other));
                }
            }
        }
    }

    /// Whether every key is known, so that [`Distinct::estimate`] is exact.
    pub fn is_exact(&self) -> bool {
        matches!(self, Distinct::Exact(_))
    }

    /// Number of different keys. The sketch's estimator is Ertl's improved one ("New cardinality estimation
    /// algorithms for HyperLogLog sketches", 2017, algorithm 6), which needs no bias table.
    pub fn estimate(&self) -> f64 {
        match self {
            Distinct::Exact(set) => set.len() as f64,
            Distinct::Sketch(registers) => estimate(registers).round(),
        }
    }
}

fn sketch_of(set: &BTreeSet<u64>) -> Vec<u8> {
    let mut registers = vec![0; REGISTERS];
    set.iter().for_each(|hash| add_to_sketch(&mut registers, *hash));
    registers
}

fn add_to_sketch(registers: &mut [u8], hash: u64) {
    let index = (hash >> (64 - PRECISION)) as usize;
    let rank = ((hash << PRECISION) | (1 << (PRECISION - 1))).leading_zeros() as u8 + 1;
    registers[index] = registers[index].max(rank);
}

fn estimate(registers: &[u8]) -> f64 {
    const Q: usize = 64 - PRECISION as usize;
    let m = registers.len() as f64;
    let mut counts = [0u32; Q + 2];
    registers
        .iter()
        .for_each(|rank| counts[usize::from(*rank).min(Q + 1)] += 1);
    let mut z = m * tau((m - f64::from(counts[Q + 1])) / m);
    for k in (1..=Q).rev() {
        z = 0.5 * (z + f64::from(counts[k]));
    }
    z += m * sigma(f64::from(counts[0]) / m);
    m * m / (2.0 * std::f64::consts::LN_2) / z
}

fn sigma(mut x: f64) -> f64 {
    if x >= 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z == before {
            return z / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_partial(agg: Agg) -> impl Strategy<Value = Partial> {
        proptest::collection::vec((0i64..50, 0i64..50, -1_000_000i128..1_000_000), 0..30).prop_map(
            move |events| {
                let mut partial = Partial::empty(agg);
                for (time_ms, offset, micros) in events {
                    let value = Fixed::from_micros(micros);
                    let one = match agg {
                        Agg::Sum => Partial::Sum(value, 1),
                        Agg::Count => Partial::Count(1),
                        Agg::Min => Partial::Min(Some(value)),
                        Agg::Max => Partial::Max(Some(value)),
                        Agg::Avg => Partial::Avg(value, 1),
                        Agg::Last => Partial::Last(Some(Newest {
                            time_ms,
                            offset,
                            value,
                        })),
                        Agg::CountDistinct => {
                            Partial::Distinct(Distinct::Exact(BTreeSet::from([micros as u64])))
                        }
                    };
                    partial.merge(&one).unwrap();
                }
                partial
            },
        )
    }

    fn merged(a: &Partial, b: &Partial) -> Partial {
        let mut out = a.clone();
        out.merge(b).unwrap();
        out
    }

    const AGGS: [Agg; 7] = [
        Agg::Sum,
        Agg::Count,
        Agg::CountDistinct,
        Agg::Min,
        Agg::Max,
        Agg::Avg,
        Agg::Last,
    ];

    proptest! {
        #[test]
        fn merge_is_associative_and_commutative_with_identity(
            (agg, a, b, c) in (0usize..AGGS.len()).prop_flat_map(|i| {
                let agg = AGGS[i];
                (Just(agg), any_partial(agg), any_partial(agg), any_partial(agg))
            })
        ) {
            prop_assert_eq!(merged(&a, &b), merged(&b, &a));
            prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
            prop_assert_eq!(merged(&a, &Partial::empty(agg)), a);
        }
    }

    fn distinct_of(keys: impl Iterator<Item = u64>) -> Distinct {
        let mut set = Distinct::Exact(BTreeSet::new());
        keys.for_each(|key| set.insert(xxhash_rust::xxh3::xxh3_64(&key.to_le_bytes())));
        set
    }

    #[test]
    fn distinct_is_exact_to_the_bound_and_close_beyond() {
        assert!(distinct_of(0..4096).is_exact());
        assert_eq!(distinct_of(0..4096).estimate(), 4096.0);
        for n in [4097u64, 20_000, 300_000] {
            let set = distinct_of(0..n);
            assert!(!set.is_exact());
            // Four standard errors.
            assert!(
                (set.estimate() / n as f64 - 1.0).abs() < 4.0 * 0.0081,
                "{n}: {}",
                set.estimate()
            );
        }
    }

    #[test]
    fn distinct_does_not_depend_on_when_it_became_a_sketch() {
        let whole = distinct_of(0..10_000);
        let mut left = distinct_of(0..3_000);
        left.merge(&distinct_of(2_000..10_000));
        let mut right = distinct_of(5_000..10_000);
        right.merge(&distinct_of(0..5_500));
        assert_eq!(whole, left);
        assert_eq!(whole, right);
    }

    #[test]
    fn an_overflowing_sum_is_refused_and_leaves_the_partial() {
        let mut sum = Partial::Sum(Fixed::from_micros(i128::MAX), 1);
        let before = sum.clone();
        assert_eq!(
            sum.merge(&Partial::Sum(Fixed::from_micros(1), 1)),
            Err(FoldError::Overflow)
        );
        assert_eq!(sum, before);
    }

    #[test]
    fn nothing_has_no_average() {
        assert_eq!(Partial::empty(Agg::Avg).value(), None);
        assert_eq!(Partial::empty(Agg::Min).value(), None);
        assert_eq!(Partial::empty(Agg::Sum).value(), Some(0.0));
    }
}
