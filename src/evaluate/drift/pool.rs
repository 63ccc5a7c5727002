//! All instances of a KPI as one: what is too small, or too short of events, to be seen in any of them.
//!
//! Of independent counts with means μᵢ·(1 + δ) and a δ that all have in common, everything that they say of δ is in their sum
//! (a sufficient statistic: Fisher 1922, Phil. Trans. R. Soc. A 222). So the sums of KPI and business are judged as a link of
//! their own, by the same constants. What it learns of lag and elasticity is not lent to instances: they need not be alike.

use super::link::{Announced, Before};
use hashbrown::HashSet;

use crate::catalog::{Catalog, Direction, NodeId};
use crate::evaluate::snapshot::{InstanceKey, NodeState};
use crate::fold::day::Day;

/// Whether the instances of a judged KPI can be added up, and those of its parent.
pub(super) fn adds_up(catalog: &Catalog, kpi: NodeId) -> bool {
    let node = catalog.node(kpi);
    let parent = node
        .parent
        .as_ref()
        .map(|parent| catalog.node(parent.node).metric);
    let metrics = [Some(node.metric), parent];
    let all_add_up = metrics
        .into_iter()
        .all(|metric| metric.is_some_and(|metric| catalog.accumulates(metric)));
    !node.each.is_empty() && all_add_up
}

/// The target of an instance's running period.
pub(super) fn target_of(side: &NodeState) -> Option<Announced> {
    let target = side.target.filter(|target| *target > 0.0 && target.is_finite())?;
    Some(Announced {
        start: Day::of(side.period.start).0,
        end: Day::of(side.period.end).0,
        target,
    })
}

/// One side of the instances that were closed so far.
#[derive(Debug, Default)]
pub(super) struct Total<'s> {
    /// Sum of what each of the latest days brought, the closing day last.
    pub(super) flow: Vec<Option<f64>>,
    /// Sum of the targets; `None` where one has none or another period.
    pub(super) target: Option<Announced>,
    parts: Vec<&'s InstanceKey>,
}

impl<'s> Total<'s> {
    fn add(&mut self, key: &'s InstanceKey, flow: &[Option<f64>], target: Option<Announced>) {
        // The last day of each is the closing one; who came later has fewer.
        let missing = flow.len().saturating_sub(self.flow.len());
        self.flow.splice(..0, std::iter::repeat_n(None, missing));
        for (sum, value) in std::iter::zip(self.flow.iter_mut().rev(), flow.iter().rev()) {
            if let Some(value) = value {
                *sum = Some(sum.unwrap_or(0.0) + value);
            }
        }
        self.target = match (self.parts.is_empty(), self.target, target) {
            (true, _, target) => target,
            (_, Some(sum), Some(more)) if (sum.start, sum.end) == (more.start, more.end) => Some(Announced {
                target: sum.target + more.target,
                ..sum
            }),
            _ => None,
        };
        self.parts.push(key);
    }

    /// What is known before the first day: the sum of last year's months where all parts have some.
    pub(super) fn before(&self, catalog: &Catalog, node: NodeId) -> Before {
        let node = catalog.node(node);
        let parts: HashSet<Vec<&str>> = if node.last_year.is_empty() {
            HashSet::new()
        } else {
            let dimensions = self.parts.iter().map(|key| key.dimensions.iter());
            dimensions
                .map(|values| values.map(|value| &**value).collect())
                .collect()
        };
        let known: Vec<_> = node
            .last_year
            .iter()
            .filter(|monthly| {
                let dimensions: Vec<&str> = monthly.dimensions.iter().map(String::as_str).collect();
                parts.contains(&dimensions)
            })
            .collect();
        let is_whole = !known.is_empty() && known.len() == self.parts.len();
        Before {
            lower: node.direction == Direction::Lower,
            last_year: is_whole
                .then(|| std::array::from_fn(|month| known.iter().map(|monthly| monthly.rates[month]).sum())),
            level: false,
        }
    }
}

/// The instances of a KPI that were closed so far, and what they serve.
#[derive(Debug, Default)]
pub(super) struct Pool<'s> {
    pub(super) kpi: Total<'s>,
    pub(super) parent: Total<'s>,
    /// The first day on which all of them were there: like is compared with like, and a sum that another one joins begins anew.
    pub(super) whole_from: Option<i32>,
}

impl<'s> Pool<'s> {
    /// Adds an instance.
    pub(super) fn add(
        &mut self,
        key: &'s InstanceKey,
        flow: &[Option<f64>],
        target: Option<Announced>,
        first_day: i32,
    ) {
        self.kpi.add(key, flow, target);
        self.whole_from = self.whole_from.max(Some(first_day));
    }

    /// Adds a parent instance, once for all KPIs that serve it.
    pub(super) fn add_parent(
        &mut self,
        key: &'s InstanceKey,
        flow: &[Option<f64>],
        target: Option<Announced>,
    ) {
        self.parent.add(key, flow, target);
    }

    /// How many instances there are.
    pub(super) fn instances(&self) -> usize {
        self.kpi.parts.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(start: i32, target: f64) -> Option<Announced> {
        Some(Announced {
            start,
            end: 31,
            target,
        })
    }

    #[test]
    fn days_add_up_and_so_do_targets_of_one_period() {
        let key = &InstanceKey {
            node: NodeId(0),
            dimensions: [].into(),
        };
        let mut pool = Pool::default();
        pool.add(key, &[None, Some(1.0), Some(2.0)], target(0, 10.0), 3);
        pool.add(key, &[Some(3.0)], target(0, 5.0), 7);
        assert_eq!(pool.kpi.flow, [None, Some(1.0), Some(5.0)]);
        assert_eq!((pool.kpi.target, pool.instances()), (target(0, 15.0), 2));
        assert_eq!(pool.whole_from, Some(7));
        pool.add(key, &[Some(1.0), None, None, None], target(0, 1.0), 0);
        assert_eq!(pool.kpi.flow, [Some(1.0), None, Some(1.0), Some(5.0)]);
        // One without a target, or of another period, leaves no sum to compare with.
        pool.add_parent(key, &[Some(1.0)], target(0, 1.0));
        pool.add_parent(key, &[Some(1.0)], None);
        pool.add_parent(key, &[Some(1.0)], target(0, 1.0));
        assert_eq!(pool.parent.target, None);
        pool.add(key, &[], target(1, 5.0), 0);
        assert_eq!(pool.kpi.target, None);
    }
}
