//! Durations of a cell: exact number and sum, and a sketch for percentiles that can also forget. What an item lasted
//! changes when an earlier start or end of it arrives late.

use serde::{Deserialize, Serialize};

use super::quantiles;
use crate::catalog::Agg;
use crate::fixed::Fixed;

/// Durations: a sum over items, so that merging is adding, and taking one out is adding it with the other sign.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Durations {
    count: i64,
    /// In milliseconds.
    total_ms: i64,
    /// Bucket of [`quantiles`] and number, ascending, none of them 0. The bucketed value is in seconds.
    buckets: Vec<(i16, i64)>,
}

impl Durations {
    /// Adds a duration so many times; a negative number takes it out.
    pub fn add(&mut self, ms: i64, times: i64) {
        self.count += times;
        self.total_ms = self.total_ms.saturating_add(ms.saturating_mul(times));
        self.add_to_bucket(quantiles::bucket_of(seconds(ms)), times);
    }

    /// Adds what another one holds.
    pub fn merge(&mut self, other: &Durations) {
        self.count += other.count;
        self.total_ms = self.total_ms.saturating_add(other.total_ms);
        for &(bucket, times) in &other.buckets {
            self.add_to_bucket(bucket, times);
        }
    }

    fn add_to_bucket(&mut self, bucket: i16, times: i64) {
        match self.buckets.binary_search_by_key(&bucket, |(bucket, _)| *bucket) {
            Ok(at) => {
                self.buckets[at].1 += times;
                if self.buckets[at].1 == 0 {
                    self.buckets.remove(at);
                }
            }
            Err(at) if times != 0 => self.buckets.insert(at, (bucket, times)),
            Err(_) => {}
        }
    }

    /// Number of durations.
    pub fn count(&self) -> u64 {
        u64::try_from(self.count).unwrap_or(0)
    }

    /// An aggregate in seconds: the average exactly, smallest, largest and percentiles with the error of a sketch
    /// ([`quantiles::RELATIVE_ERROR`]); `None` of nothing.
    pub fn seconds(&self, agg: Agg) -> Option<f64> {
        let last = self.count.checked_sub(1).filter(|last| *last >= 0)?;
        let rank = match agg {
            Agg::Min => 0,
            Agg::Max => last,
            Agg::Percentile(quantile) => {
                let rank = i128::from(quantile.per_mille()) * i128::from(last) / 1000;
                i64::try_from(rank).unwrap_or(last)
            }
            _ => return Some(self.total_ms as f64 / self.count as f64 / 1000.0),
        };
        let mut up_to = 0;
        let holds_rank = |(_, times): &&(i16, i64)| {
            up_to += times;
            up_to > rank
        };
        let (bucket, _) = self.buckets.iter().find(holds_rank)?;
        Some(quantiles::middle_of(*bucket))
    }
}

fn seconds(ms: i64) -> Fixed {
    Fixed::from_micros(i128::from(ms) * 1000)
}
