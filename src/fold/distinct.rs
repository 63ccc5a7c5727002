//! Distinct counts: exact to a bound, then a sketch.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Number of different keys that a [`Distinct`] keeps exactly before it becomes a sketch.
pub const DISTINCT_EXACT: usize = 4096;

/// Standard error of the sketch's estimate, as a share: 1.04 / √m (Flajolet et al. 2007).
pub const STANDARD_ERROR: f64 = 0.0081;

/// A set of 64-bit key hashes: exact up to [`DISTINCT_EXACT`], then HyperLogLog with 2¹⁴ registers
/// (Flajolet et al. 2007; standard error 0.81 %).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Distinct {
    /// Every hash.
    Exact(BTreeSet<u64>),
    /// Registers of the sketch.
    Sketch(Vec<u8>),
}

impl Default for Distinct {
    fn default() -> Distinct {
        Distinct::Exact(BTreeSet::new())
    }
}

const PRECISION: u32 = 14;
const REGISTERS: usize = 1 << PRECISION;

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
}
