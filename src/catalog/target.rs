//! Targets as far as the catalogue alone tells them, and those that are a range.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::model::{Catalog, GrowthBase, Node, Target, TargetRow};

/// A target that is a range: all that lies within it is as good.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Band {
    /// The least that is good.
    pub low: f64,
    /// The most that is good, above `low`.
    pub high: f64,
}

impl Band {
    /// A band with some width, of finite numbers; else `None`.
    pub fn new(low: f64, high: f64) -> Option<Band> {
        (low < high && low.is_finite() && high.is_finite()).then_some(Band { low, high })
    }

    /// The number that stands for it where one is needed: what a plan expects on the whole.
    pub fn middle(self) -> f64 {
        self.low + (self.high - self.low) / 2.0
    }

    /// The value of the band that is the nearest to one: the value itself within it.
    pub fn nearest(self, value: f64) -> f64 {
        value.clamp(self.low, self.high)
    }

    /// 1 within it; outside 1 less the distance as a share of its width, not under 0.
    pub fn completion(self, value: f64) -> f64 {
        let distance = (value - self.nearest(value)).abs();
        if distance == 0.0 {
            return 1.0;
        }
        (1.0 - distance / (self.high - self.low)).max(0.0)
    }

    /// The part of it that a plan expects, of a total: `share` is the planned share by now.
    #[must_use]
    pub fn of_share(self, share: f64) -> Band {
        Band {
            low: self.low * share,
            high: self.high * share,
        }
    }
}

impl Catalog {
    /// The target of the period that holds a day, over all instances of a node; `None` where only history, or the
    /// instances that turn up, can tell it.
    pub fn target_on(&self, node: &Node, day: Date) -> Option<f64> {
        match &node.target {
            Target::Number(number) => node.each.is_empty().then_some(*number),
            Target::Growth {
                growth,
                over: GrowthBase::Value(base),
            } => node.each.is_empty().then_some(base * (1.0 + growth)),
            Target::Table(rows) => {
                let (start, end) = self.calendar_of(node).bounds(node.period, day);
                let mut by_instance: BTreeMap<&[String], &TargetRow> = BTreeMap::new();
                let known = |row: &&TargetRow| row.announced.is_none_or(|announced| announced <= day);
                for row in rows
                    .iter()
                    .filter(|row| (start..end).contains(&row.start))
                    .filter(known)
                {
                    let latest = by_instance.entry(&row.dimensions).or_insert(row);
                    if row.announced >= latest.announced {
                        *latest = row;
                    }
                }
                // Bands of parts do not add up to one of the whole.
                let is_one_number =
                    !by_instance.is_empty() && by_instance.values().all(|row| row.band.is_none());
                is_one_number.then(|| by_instance.values().map(|row| row.target).sum())
            }
            Target::None | Target::Band(_) | Target::Growth { .. } => None,
        }
    }
}

impl Node {
    /// Whether a target of it is a range.
    pub fn has_band(&self) -> bool {
        match &self.target {
            Target::Band(_) => true,
            Target::Table(rows) => rows.iter().any(|row| row.band.is_some()),
            Target::None | Target::Number(_) | Target::Growth { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_band_is_met_within_it_and_less_and_less_outside() {
        let band = Band::new(20.0, 30.0).unwrap();
        for (value, completion) in [
            (20.0, 1.0),
            (25.0, 1.0),
            (30.0, 1.0),
            // 4 of 10 away, on either side.
            (34.0, 0.6),
            (16.0, 0.6),
            (40.0, 0.0),
            (99.0, 0.0),
            (-5.0, 0.0),
        ] {
            assert!((band.completion(value) - completion).abs() < 1e-12, "{value}");
        }
        assert_eq!(
            (band.middle(), band.nearest(34.0), band.nearest(22.0)),
            (25.0, 30.0, 22.0)
        );
        // 40 % of the period: 8 to 12 by now.
        assert_eq!(band.of_share(0.4), Band { low: 8.0, high: 12.0 });
        assert_eq!((Band::new(3.0, 3.0), Band::new(1.0, f64::INFINITY)), (None, None));
    }
}
