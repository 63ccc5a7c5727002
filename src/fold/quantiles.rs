//! Percentiles: a DDSketch (Masson, Rim, Lee: "DDSketch: a fast and fully-mergeable quantile sketch with
//! relative-error guarantees", VLDB 2019) over fixed-point numbers.
//!
//! The mapping from values to buckets is the paper's linearly interpolated one, here in whole numbers: each octave of
//! the value's 10⁻⁶ units is cut into 64 equal buckets, and below 64 units every number has its own. A bucket's middle
//! is at most 1/128 = 0.78 % away from everything in it. No logarithm of a platform is asked, values are bounded, so
//! buckets are never collapsed: merging adds counts, and the result is the same bit by bit whatever the order.

use serde::{Deserialize, Serialize};

use crate::catalog::Quantile;
use crate::fixed::Fixed;

/// Buckets an octave, as a power of two.
const PRECISION: u32 = 6;
const PER_OCTAVE: u128 = 1 << PRECISION;
/// The largest relative error of a percentile: half a bucket against the bucket's lower end.
pub const RELATIVE_ERROR: f64 = 1.0 / (2.0 * PER_OCTAVE as f64);

/// Number of values by bucket.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Quantiles {
    /// Bucket and count, ascending by bucket, which is ascending by value. Negative values have negative buckets.
    buckets: Vec<(i16, u64)>,
}

impl Quantiles {
    /// Adds a value.
    pub fn insert(&mut self, value: Fixed) {
        let bucket = bucket_of(value);
        match self.buckets.binary_search_by_key(&bucket, |(bucket, _)| *bucket) {
            Ok(at) => self.buckets[at].1 += 1,
            Err(at) => self.buckets.insert(at, (bucket, 1)),
        }
    }

    /// Adds what another sketch holds.
    pub fn merge(&mut self, other: &Quantiles) {
        if self.buckets.is_empty() {
            self.buckets.clone_from(&other.buckets);
            return;
        }
        let mut merged = Vec::with_capacity(self.buckets.len() + other.buckets.len());
        let (mut mine, mut theirs) = (
            self.buckets.iter().peekable(),
            other.buckets.iter().copied().peekable(),
        );
        while let (Some(&&(a, count)), Some(&(b, more))) = (mine.peek(), theirs.peek()) {
            if a <= b {
                mine.next();
            }
            if b <= a {
                theirs.next();
            }
            merged.push(match a.cmp(&b) {
                std::cmp::Ordering::Less => (a, count),
                std::cmp::Ordering::Equal => (a, count + more),
                std::cmp::Ordering::Greater => (b, more),
            });
        }
        merged.extend(mine.copied().chain(theirs));
        self.buckets = merged;
    }

    /// Number of values.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|(_, count)| count).sum()
    }

    /// The value of rank ⌊q · (n − 1)⌋ among the n values in order, with a relative error of at most
    /// [`RELATIVE_ERROR`]; `None` of nothing.
    pub fn value(&self, quantile: Quantile) -> Option<f64> {
        let last = u128::from(self.count().checked_sub(1)?);
        let rank = u128::from(quantile.per_mille()) * last / 1000;
        let mut up_to = 0u128;
        let holds_rank = |(_, count): &&(i16, u64)| {
            up_to += u128::from(*count);
            up_to > rank
        };
        let (bucket, _) = self.buckets.iter().find(holds_rank)?;
        Some(middle_of(*bucket))
    }
}

pub(super) fn bucket_of(value: Fixed) -> i16 {
    let units = value.micros().unsigned_abs();
    let bucket = if units < PER_OCTAVE {
        units
    } else {
        let octave = units.ilog2() - PRECISION;
        u128::from(octave) * PER_OCTAVE + (units >> octave)
    };
    // Values are bounded by 10²⁴ units: the highest bucket is 4,777.
    let bucket = i16::try_from(bucket).unwrap_or(i16::MAX);
    if value < Fixed::ZERO { -bucket } else { bucket }
}

pub(super) fn middle_of(bucket: i16) -> f64 {
    let magnitude = u128::from(bucket.unsigned_abs());
    let octave = (magnitude / PER_OCTAVE).saturating_sub(1);
    let low = (magnitude - octave * PER_OCTAVE) << octave;
    let width = 1u128 << octave;
    // Below 128 units a bucket is one number.
    let middle = low as f64 + (width - 1) as f64 / 2.0;
    middle.copysign(f64::from(bucket)) / Fixed::ONE.micros() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMIT: i128 = Fixed::MAX_INPUT.micros();

    /// Values of every magnitude, both signs, and zero.
    fn value() -> impl Strategy<Value = Fixed> {
        let magnitude = (0u32..81, any::<u128>()).prop_map(|(bits, random)| {
            let units = (random & ((1 << bits) - 1)).min(LIMIT.unsigned_abs());
            i128::try_from(units).unwrap()
        });
        (magnitude, any::<bool>())
            .prop_map(|(units, negative)| Fixed::from_micros(if negative { -units } else { units }))
    }

    fn of(values: &[Fixed]) -> Quantiles {
        let mut sketch = Quantiles::default();
        values.iter().for_each(|value| sketch.insert(*value));
        sketch
    }

    proptest! {
        #[test]
        fn every_percentile_is_within_one_percent(
            values in proptest::collection::vec(value(), 1..200),
            mille in 1u32..1000,
        ) {
            let quantile = Quantile::of_share(f64::from(mille) / 1000.0).unwrap();
            let mut sorted = values.clone();
            sorted.sort();
            let exact = sorted[mille as usize * (sorted.len() - 1) / 1000].to_f64();
            let found = of(&values).value(quantile).unwrap();
            let error = (found - exact).abs();
            prop_assert!(error <= exact.abs() * RELATIVE_ERROR * (1.0 + 1e-12), "{found} for {exact}");
            prop_assert!(RELATIVE_ERROR < 0.01);
        }

        #[test]
        fn order_and_splits_do_not_matter(
            values in proptest::collection::vec((value(), 0usize..4), 0..200),
            shuffle in 0usize..200,
        ) {
            let all: Vec<Fixed> = values.iter().map(|(value, _)| *value).collect();
            let mut merged = Quantiles::default();
            for part in 0..4 {
                let part = (part + shuffle) % 4;
                let mut share: Vec<Fixed> = values.iter().filter(|(_, p)| *p == part).map(|(v, _)| *v).collect();
                let turn = shuffle % share.len().max(1);
                share.rotate_left(turn);
                merged.merge(&of(&share));
            }
            prop_assert_eq!(
                postcard::to_allocvec(&merged).unwrap(),
                postcard::to_allocvec(&of(&all)).unwrap()
            );
            prop_assert_eq!(merged.count(), all.len() as u64);
        }
    }

    #[test]
    fn small_numbers_and_zero_are_exact() {
        for text in ["0", "0.000001", "-0.000001", "0.000127", "-0.000064"] {
            let value = Fixed::parse(text).unwrap();
            assert_eq!(
                of(&[value]).value(Quantile::MEDIAN),
                Some(value.to_f64()),
                "{text}"
            );
        }
    }

    #[test]
    fn buckets_are_in_the_order_of_values_to_the_ends_of_the_range() {
        let units: Vec<i128> = (0..80).map(|bits| 1i128 << bits).chain([LIMIT]).collect();
        let mut values: Vec<i128> = units.iter().flat_map(|u| [*u - 1, *u]).collect();
        values.extend(values.clone().iter().map(|u| -u));
        values.sort_unstable();
        let buckets: Vec<i16> = values.iter().map(|u| bucket_of(Fixed::from_micros(*u))).collect();
        assert!(buckets.is_sorted());
        assert_eq!(buckets.last(), Some(&4_777));
    }

    #[test]
    fn nothing_has_no_percentile() {
        assert_eq!(Quantiles::default().value(Quantile::MEDIAN), None);
    }
}
