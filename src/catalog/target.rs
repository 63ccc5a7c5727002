//! Targets as far as the catalogue alone tells them.

use std::collections::BTreeMap;

use jiff::civil::Date;

use super::model::{Catalog, GrowthBase, Node, Target, TargetRow};

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
                (!by_instance.is_empty()).then(|| by_instance.values().map(|row| row.target).sum())
            }
            Target::None | Target::Growth { .. } => None,
        }
    }
}
