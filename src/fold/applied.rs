//! Which columns an event has something for: worked out once for every combination of filters that pass, of which there
//! are a handful, and then looked up.

use super::plan::{Plan, SourcePlan};

/// Combinations that are kept for a source; beyond them the oldest is worked out again.
const MOST: usize = 64;

/// The columns of one grouping set.
#[derive(Clone, Debug)]
pub(super) struct Applied {
    /// Index into [`Plan::groups`].
    pub(super) group: usize,
    /// Indices into [`Group::columns`](super::plan::Group::columns), ascending; at least one.
    pub(super) columns: Vec<usize>,
}

/// The combinations that were met, of one source.
#[derive(Debug, Default)]
pub(super) struct Combinations {
    known: Vec<(Vec<bool>, Vec<Applied>)>,
    /// Which one is replaced next, once there are [`MOST`].
    next: usize,
}

impl Combinations {
    /// The grouping sets that events which pass these filters have something for.
    #[inline]
    pub(super) fn of(&mut self, plan: &Plan, source: &SourcePlan, passes: &[bool]) -> &[Applied] {
        let known = self.known.iter().position(|(known, _)| known == passes);
        let at = known.unwrap_or_else(|| self.add(plan, source, passes));
        &self.known[at].1
    }

    #[cold]
    fn add(&mut self, plan: &Plan, source: &SourcePlan, passes: &[bool]) -> usize {
        let applied = source.groups.iter().filter_map(|&group| {
            let columns = plan.groups[group].columns.iter().enumerate();
            let columns = columns.filter(|(_, column)| column.applies(passes));
            let columns: Vec<usize> = columns.map(|(at, _)| at).collect();
            (!columns.is_empty()).then_some(Applied { group, columns })
        });
        let combination = (passes.to_vec(), applied.collect());
        if self.known.len() < MOST {
            self.known.push(combination);
            return self.known.len() - 1;
        }
        let at = self.next;
        self.next = (at + 1) % MOST;
        self.known[at] = combination;
        at
    }
}
