//! Partials: mergeable aggregates. `merge` is associative and commutative, and [`Partial::empty`] is its identity,
//! so one machine and fifty give the same numbers, to the last digit.

use serde::{Deserialize, Serialize};

use super::distinct::Distinct;
use super::durations::Durations;
use super::quantiles::Quantiles;
use crate::catalog::Agg;
use crate::fixed::Fixed;

/// What a cell holds. Several aggregations may be read from the same: every percentile from one sketch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// [`Partial::Sum`].
    Sum,
    /// [`Partial::Count`].
    Count,
    /// [`Partial::Min`].
    Min,
    /// [`Partial::Max`].
    Max,
    /// [`Partial::Avg`].
    Avg,
    /// [`Partial::Last`].
    Last,
    /// [`Partial::Distinct`].
    Distinct,
    /// [`Partial::Quantiles`].
    Quantiles,
    /// [`Partial::Count`] of new keys; which ones are new is known where everything is merged ([`super::known`]).
    New {
        /// Days after which a key that comes back is new again.
        within: Option<i32>,
    },
    /// [`Partial::Durations`] of items that are over; which ones are is known where everything is merged
    /// ([`super::items`]).
    Durations,
    /// [`Partial::Conversions`] of attempts; which ones succeed is known where everything is merged.
    Conversions {
        /// Within which they do, in milliseconds.
        window_ms: i64,
    },
}

impl Kind {
    /// What an aggregation is read from.
    pub fn of(agg: Agg) -> Kind {
        match agg {
            Agg::Sum => Kind::Sum,
            Agg::Count => Kind::Count,
            // Those that return are the different ones less the new ones.
            Agg::CountDistinct | Agg::CountReturning => Kind::Distinct,
            Agg::CountNew => Kind::New { within: None },
            Agg::Min => Kind::Min,
            Agg::Max => Kind::Max,
            Agg::Avg => Kind::Avg,
            Agg::Last => Kind::Last,
            Agg::Percentile(_) => Kind::Quantiles,
        }
    }

    /// Its word in the name of a column: part of the state, it never changes.
    pub(super) fn word(self) -> &'static str {
        match self {
            Kind::Sum => "sum",
            Kind::Count => "count",
            Kind::Distinct => "count_distinct",
            Kind::Min => "min",
            Kind::Max => "max",
            Kind::Avg => "avg",
            Kind::Last => "last",
            Kind::Quantiles => "quantiles",
            Kind::New { .. } => "count_new",
            Kind::Durations => "durations",
            Kind::Conversions { .. } => "conversions",
        }
    }
}

/// A mergeable aggregate of one cell. The state keeps it by the number of its variant: new ones come last. A history is read
/// from end to end at every close of a day, so what is large and rare stands elsewhere.
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
    Last(Option<Box<Newest>>),
    /// Different keys.
    Distinct(Distinct),
    /// Values by bucket, for percentiles.
    Quantiles(Quantiles),
    /// How long items lasted.
    Durations(Box<Durations>),
    /// Attempts, and how many of them succeeded.
    Conversions {
        /// Attempts that began.
        begun: i64,
        /// Those that succeeded.
        converted: i64,
    },
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

/// Takes in another value, if it is newer than the one there.
pub(super) fn take_newer(newest: &mut Option<Box<Newest>>, other: Newest) {
    match newest {
        Some(newest) => **newest = (**newest).max(other),
        None => *newest = Some(Box::new(other)),
    }
}

/// Why a value could not be folded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FoldError {
    /// The sum would leave the range of exact numbers.
    #[error("sum overflows")]
    Overflow,
}

impl Partial {
    /// The identity of merge for a kind.
    pub fn empty(kind: Kind) -> Partial {
        match kind {
            Kind::Sum => Partial::Sum(Fixed::ZERO, 0),
            Kind::Count | Kind::New { .. } => Partial::Count(0),
            Kind::Distinct => Partial::Distinct(Distinct::default()),
            Kind::Min => Partial::Min(None),
            Kind::Max => Partial::Max(None),
            Kind::Avg => Partial::Avg(Fixed::ZERO, 0),
            Kind::Last => Partial::Last(None),
            Kind::Quantiles => Partial::Quantiles(Quantiles::default()),
            Kind::Durations => Partial::Durations(Box::default()),
            Kind::Conversions { .. } => Partial::Conversions {
                begun: 0,
                converted: 0,
            },
        }
    }

    /// Whether what is read of it is exact, or what a sketch comes to.
    pub fn is_exact(&self, agg: Agg) -> bool {
        match (self, agg) {
            (Partial::Distinct(distinct), _) => distinct.is_exact(),
            (Partial::Quantiles(_) | Partial::Durations(_), Agg::Percentile(_)) => false,
            _ => true,
        }
    }

    /// Merges another partial of the same kind into this one.
    ///
    /// # Errors
    /// [`FoldError::Overflow`]; this partial is then unchanged. Partials of different kinds do not meet: a cell
    /// table holds one kind; should they, this one is kept.
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
            (Partial::Last(newest), Partial::Last(other)) => {
                other.iter().for_each(|other| take_newer(newest, **other));
            }
            (Partial::Distinct(set), Partial::Distinct(other)) => set.merge(other),
            (Partial::Quantiles(sketch), Partial::Quantiles(other)) => sketch.merge(other),
            (Partial::Durations(durations), Partial::Durations(other)) => durations.merge(other),
            (
                Partial::Conversions { begun, converted },
                Partial::Conversions {
                    begun: more,
                    converted: succeeded,
                },
            ) => {
                *begun += more;
                *converted += succeeded;
            }
            _ => {}
        }
        Ok(())
    }

    /// Of a sum or an average: its events, those that take back subtracted. Of anything else 0.
    pub(super) fn events(&self) -> i64 {
        match self {
            Partial::Sum(_, events) | Partial::Avg(_, events) => *events,
            _ => 0,
        }
    }

    /// How many events it is made of, or different keys; `None` where they are not counted.
    pub fn count(&self) -> Option<u64> {
        let events = |count: i64| Some(u64::try_from(count).unwrap_or(0));
        match self {
            Partial::Sum(_, count) | Partial::Avg(_, count) | Partial::Count(count) => events(*count),
            Partial::Conversions { begun, .. } => events(*begun),
            Partial::Distinct(set) => Some(set.estimate() as u64),
            Partial::Quantiles(sketch) => Some(sketch.count()),
            Partial::Durations(durations) => Some(durations.count()),
            Partial::Min(_) | Partial::Max(_) | Partial::Last(_) => None,
        }
    }

    /// The value of an aggregation of this kind, or `None` when there is none (an average or a smallest of nothing).
    #[inline]
    pub fn value(&self, agg: Agg) -> Option<f64> {
        // Most cells are sums, and histories are read day by day.
        match self {
            Partial::Sum(sum, _) => Some(sum.to_f64()),
            _ => self.value_but_sum(agg),
        }
    }

    fn value_but_sum(&self, agg: Agg) -> Option<f64> {
        match self {
            Partial::Sum(sum, _) => Some(sum.to_f64()),
            Partial::Count(count) => Some(*count as f64),
            Partial::Min(value) | Partial::Max(value) => value.map(Fixed::to_f64),
            Partial::Avg(_, ..=0) => None,
            Partial::Avg(sum, count) => Some(sum.to_f64() / *count as f64),
            Partial::Last(newest) => newest.as_ref().map(|newest| newest.value.to_f64()),
            Partial::Distinct(set) => Some(set.estimate()),
            Partial::Quantiles(sketch) => match agg {
                Agg::Percentile(quantile) => sketch.value(quantile),
                _ => None,
            },
            Partial::Durations(durations) => durations.seconds(agg),
            Partial::Conversions { begun: ..=0, .. } => None,
            Partial::Conversions { begun, converted } => Some(*converted as f64 / *begun as f64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fold::distinct::DISTINCT_EXACT;
    use proptest::prelude::*;

    #[test]
    fn a_cell_takes_half_a_cache_line() {
        assert_eq!(size_of::<Partial>(), 32);
    }

    fn any_partial(kind: Kind) -> impl Strategy<Value = Partial> {
        proptest::collection::vec((0i64..50, 0i64..50, -1_000_000i128..1_000_000), 0..30).prop_map(
            move |events| {
                let mut partial = Partial::empty(kind);
                for (time_ms, offset, micros) in events {
                    let value = Fixed::from_micros(micros);
                    let one = match kind {
                        Kind::Sum => Partial::Sum(value, 1),
                        Kind::Count | Kind::New { .. } => Partial::Count(1),
                        Kind::Min => Partial::Min(Some(value)),
                        Kind::Max => Partial::Max(Some(value)),
                        Kind::Avg => Partial::Avg(value, 1),
                        Kind::Last => {
                            let newest = Newest {
                                time_ms,
                                offset,
                                value,
                            };
                            Partial::Last(Some(newest.into()))
                        }
                        Kind::Distinct => Partial::Distinct(Distinct::Exact([spread(micros as u64)].into())),
                        Kind::Quantiles => {
                            let mut sketch = Quantiles::default();
                            sketch.insert(value);
                            Partial::Quantiles(sketch)
                        }
                        Kind::Conversions { .. } => Partial::Conversions {
                            begun: time_ms,
                            converted: offset,
                        },
                        Kind::Durations => {
                            let mut durations = Durations::default();
                            durations.add(time_ms, if offset % 3 == 0 { -1 } else { 1 });
                            Partial::Durations(durations.into())
                        }
                    };
                    partial.merge(&one).unwrap();
                }
                partial
            },
        )
    }

    /// A hash of a number, as hashes of keys are: over all of 64 bits (SplitMix64).
    fn spread(number: u64) -> u64 {
        let mut hash = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
        hash = (hash ^ hash >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        hash = (hash ^ hash >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        hash ^ hash >> 31
    }

    /// Sets of keys on both sides of the switch to a sketch: one that is small, one that is nearly full, one beyond.
    fn any_distinct() -> impl Strategy<Value = Partial> {
        let size = prop_oneof![
            0..50usize,
            DISTINCT_EXACT - 40..DISTINCT_EXACT + 40,
            DISTINCT_EXACT..4 * DISTINCT_EXACT
        ];
        // Ranges overlap: what two sets share counts once.
        (0u64..20_000, size).prop_map(|(from, size)| {
            let mut set = Distinct::default();
            (from..from + size as u64).for_each(|number| set.insert(spread(number)));
            Partial::Distinct(set)
        })
    }

    fn merged(a: &Partial, b: &Partial) -> Partial {
        let mut out = a.clone();
        out.merge(b).unwrap();
        out
    }

    const KINDS: [Kind; 10] = [
        Kind::Sum,
        Kind::Count,
        Kind::Distinct,
        Kind::Min,
        Kind::Max,
        Kind::Avg,
        Kind::Last,
        Kind::Quantiles,
        Kind::Durations,
        Kind::Conversions { window_ms: 1 },
    ];

    proptest! {
        #[test]
        fn merge_is_associative_and_commutative_with_identity(
            (kind, a, b, c) in (0usize..KINDS.len()).prop_flat_map(|i| {
                let kind = KINDS[i];
                (Just(kind), any_partial(kind), any_partial(kind), any_partial(kind))
            })
        ) {
            prop_assert_eq!(merged(&a, &b), merged(&b, &a));
            prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
            prop_assert_eq!(merged(&a, &Partial::empty(kind)), a);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        /// The order of merges decides neither when a set becomes a sketch nor what is in it.
        #[test]
        fn sets_merge_alike_on_both_sides_of_the_sketch(
            a in any_distinct(), b in any_distinct(), c in any_distinct()
        ) {
            prop_assert_eq!(merged(&a, &b), merged(&b, &a));
            prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
            prop_assert_eq!(merged(&a, &Partial::empty(Kind::Distinct)), a.clone());
            prop_assert_eq!(merged(&a, &a), a);
        }

        /// One set at once and any split of it are the same bytes; the estimate is within five standard errors.
        #[test]
        fn a_set_that_is_split_is_the_whole_set(size in 1usize..60_000, parts in 1usize..8) {
            let mut whole = Distinct::default();
            let mut split = vec![Distinct::default(); parts];
            for number in 0..size {
                let hash = spread(number as u64);
                whole.insert(hash);
                split[number % parts].insert(hash);
            }
            let whole = Partial::Distinct(whole);
            let together = split
                .into_iter()
                .fold(Partial::empty(Kind::Distinct), |all, part| merged(&all, &Partial::Distinct(part)));
            prop_assert_eq!(&together, &whole);
            let estimate = whole.value(Agg::CountDistinct).unwrap();
            let allowed = if size <= DISTINCT_EXACT { 0.0 } else { 5.0 * 0.0081 };
            prop_assert!((estimate / size as f64 - 1.0).abs() <= allowed, "{estimate} of {size}");
        }
    }

    /// The state keeps partials in these bytes: they never change.
    #[test]
    fn what_older_versions_wrote_is_read() {
        let value = Fixed::from_micros(3);
        let mut sketch = Quantiles::default();
        sketch.insert(value);
        let mut durations = Durations::default();
        durations.add(3, 1);
        let newest = Newest {
            time_ms: 1,
            offset: 2,
            value,
        };
        for (partial, bytes) in [
            (Partial::Sum(value, 2), &[0, 6, 2][..]),
            (Partial::Count(200), &[1, 200, 1]),
            (
                Partial::Count(-1),
                &[1, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1],
            ),
            (Partial::Min(Some(value)), &[2, 1, 6]),
            (Partial::Max(None), &[3, 0]),
            (Partial::Avg(value, 2), &[4, 6, 2]),
            (Partial::Last(Some(newest.into())), &[5, 1, 2, 4, 6]),
            (Partial::Distinct(Distinct::Exact([7].into())), &[6, 0, 1, 7]),
            (Partial::Distinct(Distinct::Sketch(vec![1])), &[6, 1, 1, 1]),
            (Partial::Quantiles(sketch), &[7, 1, 6, 1]),
            (Partial::Durations(durations.into()), &[8, 2, 6, 1, 186, 6, 2]),
            (
                Partial::Conversions {
                    begun: 3,
                    converted: -1,
                },
                &[9, 6, 1],
            ),
        ] {
            assert_eq!(postcard::to_allocvec(&partial).unwrap(), bytes);
            assert_eq!(postcard::from_bytes::<Partial>(bytes).unwrap(), partial);
        }
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
        assert_eq!(Partial::empty(Kind::Avg).value(Agg::Avg), None);
        assert_eq!(Partial::empty(Kind::Min).value(Agg::Min), None);
        assert_eq!(Partial::empty(Kind::Sum).value(Agg::Sum), Some(0.0));
    }
}
