//! The node instances of a snapshot: in blocks, which it shares with the snapshot before as far as nothing in them changed.
//! A tick that changes one instance of a hundred thousand copies one block.

use std::ops::{Index, IndexMut};
use std::sync::Arc;

use super::snapshot::{InstanceKey, NodeState};

/// Instances of a block: few enough to copy for the sake of one of them.
const BLOCK: usize = 64;

/// Instances, each once, by key: a parent before its children, because nodes are numbered so.
#[derive(Clone, Debug, Default)]
pub struct Instances {
    /// Of one to [`BLOCK`] instances each.
    blocks: Vec<Arc<Vec<NodeState>>>,
    /// The position of the first of each block.
    starts: Vec<u32>,
}

impl Instances {
    /// How many there are.
    pub fn len(&self) -> usize {
        match (self.starts.last(), self.blocks.last()) {
            (Some(start), Some(last)) => *start as usize + last.len(),
            _ => 0,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> Iter<'_> {
        Iter {
            blocks: self.blocks.iter(),
            block: [].iter(),
            left: self.len(),
        }
    }

    /// All of them, to be changed; what is shared with other snapshots is copied.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut NodeState> {
        self.blocks
            .iter_mut()
            .flat_map(|block| Arc::make_mut(block).iter_mut())
    }

    /// One of them by position.
    pub fn get(&self, at: usize) -> Option<&NodeState> {
        let (block, within) = self.spot(at)?;
        self.blocks[block].get(within)
    }

    /// One of them by position, to be changed; its block is copied where it is shared with other snapshots.
    pub fn get_mut(&mut self, at: usize) -> Option<&mut NodeState> {
        let (block, within) = self.spot(at)?;
        Arc::make_mut(&mut self.blocks[block]).get_mut(within)
    }

    /// The block of a position, and the place within.
    fn spot(&self, at: usize) -> Option<(usize, usize)> {
        // Blocks are full where nothing was put in between.
        let guess = at / BLOCK;
        let is_it = |block: usize| {
            let start = self.starts.get(block).is_some_and(|start| *start as usize <= at);
            start && self.starts.get(block + 1).is_none_or(|next| at < *next as usize)
        };
        let block = match is_it(guess) {
            true => guess,
            false => self
                .starts
                .partition_point(|start| *start as usize <= at)
                .checked_sub(1)?,
        };
        Some((block, at - self.starts[block] as usize))
    }

    /// The position of an instance.
    pub fn position(&self, key: &InstanceKey) -> Option<usize> {
        let (block, within) = self.place(key);
        within.ok().map(|within| self.starts[block] as usize + within)
    }

    /// An instance.
    pub fn find(&self, key: &InstanceKey) -> Option<&NodeState> {
        let (block, within) = self.place(key);
        within.ok().map(|within| &self.blocks[block][within])
    }

    /// Adds one that comes after all others; in another order, see [`Instances::insert`].
    pub(super) fn push(&mut self, state: NodeState) {
        match self.blocks.last_mut().filter(|block| block.len() < BLOCK) {
            Some(block) => Arc::make_mut(block).push(state),
            None => {
                self.starts.push(number(self.len()));
                let mut block = Vec::with_capacity(BLOCK);
                block.push(state);
                self.blocks.push(Arc::new(block));
            }
        }
    }

    /// Adds one, or puts it in the place of the one with its key; returns its position.
    pub fn insert(&mut self, state: NodeState) -> usize {
        if let Some(at) = self.position(&state.key) {
            self[at] = state;
            return at;
        }
        let arrivals = self.insert_all(vec![state]);
        arrivals.positions().next().unwrap_or(0) as usize
    }

    /// Adds some that were not there. Of the others only those in the same blocks are copied.
    pub(super) fn insert_all(&mut self, mut states: Vec<NodeState>) -> Arrivals {
        states.sort_by(|a, b| a.key.cmp(&b.key));
        let mut before = Vec::with_capacity(states.len());
        for state in &states {
            let (block, within) = self.place(&state.key);
            let within = within.unwrap_or_else(|within| within);
            before.push(self.starts.get(block).map_or(0, |start| *start + number(within)));
        }
        // From the last one on, so that places still hold.
        for state in states.into_iter().rev() {
            let (block, within) = self.place(&state.key);
            let within = within.unwrap_or_else(|within| within);
            let Some(known) = self.blocks.get_mut(block) else {
                self.push(state);
                continue;
            };
            let known = Arc::make_mut(known);
            if known.len() < BLOCK {
                known.insert(within, state);
                continue;
            }
            let mut rest = known.split_off(BLOCK / 2);
            match within.checked_sub(BLOCK / 2) {
                Some(within) => rest.insert(within, state),
                None => known.insert(within, state),
            }
            self.blocks.insert(block + 1, Arc::new(rest));
        }
        let mut start = 0;
        self.starts.clear();
        self.starts.extend(self.blocks.iter().map(|block| {
            start += number(block.len());
            start - number(block.len())
        }));
        Arrivals { before }
    }

    /// The block of a key and its place there, or where it would be.
    fn place(&self, key: &InstanceKey) -> (usize, Result<usize, usize>) {
        let first = |block: &Arc<Vec<NodeState>>| block.first().is_some_and(|state| state.key <= *key);
        let Some(block) = self.blocks.partition_point(first).checked_sub(1) else {
            return (0, Err(0));
        };
        let within = self.blocks[block].binary_search_by(|state| state.key.cmp(key));
        (block, within)
    }
}

/// Instances that have come between others, which they moved on.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Arrivals {
    /// For each the position, as it was, of the first one behind it; ascending.
    before: Vec<u32>,
}

impl Arrivals {
    /// Whether none has come.
    pub fn is_empty(&self) -> bool {
        self.before.is_empty()
    }

    /// Where one stands now that was there before.
    pub fn moved(&self, at: u32) -> u32 {
        at + number(self.before.partition_point(|before| *before <= at))
    }

    /// Where they stand themselves, ascending.
    pub fn positions(&self) -> impl Iterator<Item = u32> {
        (0..).zip(&self.before).map(|(at, before)| at + before)
    }
}

impl Index<usize> for Instances {
    type Output = NodeState;

    fn index(&self, at: usize) -> &NodeState {
        let (block, within) = self.spot(at).unwrap_or_default();
        &self.blocks[block][within]
    }
}

impl IndexMut<usize> for Instances {
    fn index_mut(&mut self, at: usize) -> &mut NodeState {
        let (block, within) = self.spot(at).unwrap_or_default();
        &mut Arc::make_mut(&mut self.blocks[block])[within]
    }
}

/// In any order.
impl FromIterator<NodeState> for Instances {
    fn from_iter<I: IntoIterator<Item = NodeState>>(states: I) -> Instances {
        let mut states: Vec<NodeState> = states.into_iter().collect();
        if !states.is_sorted_by(|a, b| a.key <= b.key) {
            states.sort_by(|a, b| a.key.cmp(&b.key));
        }
        let mut instances = Instances::default();
        states.into_iter().for_each(|state| instances.push(state));
        instances
    }
}

impl<'a> IntoIterator for &'a Instances {
    type Item = &'a NodeState;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// Instances in order.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    blocks: std::slice::Iter<'a, Arc<Vec<NodeState>>>,
    block: std::slice::Iter<'a, NodeState>,
    left: usize,
}

impl<'a> Iterator for Iter<'a> {
    type Item = &'a NodeState;

    fn next(&mut self) -> Option<&'a NodeState> {
        loop {
            if let Some(state) = self.block.next() {
                self.left -= 1;
                return Some(state);
            }
            self.block = self.blocks.next()?.iter();
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Iter<'_> {}

/// No number of an instance.
pub(crate) const NOWHERE: u32 = u32::MAX;

/// Who serves whom among the instances of a snapshot, by position. It changes only when instances come or go.
#[derive(PartialEq, Eq, Debug, Default)]
pub struct Family {
    /// The parent of each; [`NOWHERE`] where there is none.
    parents: Vec<u32>,
    /// Those that would have a parent that is not there, ascending.
    orphans: Vec<u32>,
    /// Where the children of each begin in `children`, and at last its length.
    starts: Vec<u32>,
    children: Vec<u32>,
}

impl Family {
    /// That of some instances.
    pub fn of(instances: &Instances) -> Family {
        // Most instances of a node have the parent of the one before, or the next one of their parent's node.
        let mut guess = 0;
        let mut place = |key: &InstanceKey| {
            for near in [guess, guess + 1] {
                if instances.get(near).is_some_and(|state| state.key == *key) {
                    guess = near;
                    return number(near);
                }
            }
            let Some(at) = instances.position(key) else {
                return NOWHERE;
            };
            guess = at;
            number(at)
        };
        let parents: Vec<u32> = instances
            .iter()
            .map(|state| state.parent.as_ref().map_or(NOWHERE, &mut place))
            .collect();
        let is_orphan =
            |(_, (parent, state)): &(u32, (&u32, &NodeState))| **parent == NOWHERE && state.parent.is_some();
        let all = (0..).zip(parents.iter().zip(instances));
        let orphans = all.filter(is_orphan).map(|(at, _)| at).collect();
        Family::of_parents(parents, orphans)
    }

    /// The same after instances have come.
    pub(super) fn with(&self, arrivals: &Arrivals, instances: &Instances) -> Family {
        let arrived: Vec<u32> = arrivals.positions().collect();
        let parent_of = |at: u32| instances[at as usize].parent.as_ref();
        let mut parents = Vec::with_capacity(instances.len());
        let mut orphans: Vec<u32> = Vec::new();
        let mut known = self.parents.iter();
        let mut next = arrived.iter().peekable();
        for at in 0..number(instances.len()) {
            if next.next_if_eq(&&at).is_none() {
                let parent = known.next().filter(|parent| **parent != NOWHERE);
                parents.push(parent.map_or(NOWHERE, |parent| arrivals.moved(*parent)));
                continue;
            }
            let parent = parent_of(at).map(|key| instances.position(key).map_or(NOWHERE, number));
            parents.push(parent.unwrap_or(NOWHERE));
            orphans.extend((parent == Some(NOWHERE)).then_some(at));
        }
        for orphan in self.orphans.iter().map(|at| arrivals.moved(*at)) {
            let Some(key) = parent_of(orphan) else { continue };
            let parent = arrived.binary_search_by(|at| instances[*at as usize].key.cmp(key));
            match parent {
                Ok(parent) => parents[orphan as usize] = arrived[parent],
                Err(_) => orphans.push(orphan),
            }
        }
        orphans.sort_unstable();
        Family::of_parents(parents, orphans)
    }

    fn of_parents(parents: Vec<u32>, orphans: Vec<u32>) -> Family {
        let mut starts = vec![0u32; parents.len() + 1];
        let served = || parents.iter().filter(|parent| **parent != NOWHERE);
        served().for_each(|parent| starts[*parent as usize + 1] += 1);
        for at in 0..parents.len() {
            starts[at + 1] += starts[at];
        }
        let mut next = starts.clone();
        let mut children = vec![0; served().count()];
        for (child, parent) in (0..).zip(&parents) {
            if *parent != NOWHERE {
                let place = &mut next[*parent as usize];
                children[*place as usize] = child;
                *place += 1;
            }
        }
        Family {
            parents,
            orphans,
            starts,
            children,
        }
    }

    /// How many instances it was made of.
    pub fn len(&self) -> usize {
        self.parents.len()
    }

    /// Whether it was made of none.
    pub fn is_empty(&self) -> bool {
        self.parents.is_empty()
    }

    /// The position of an instance's parent, if that is there.
    pub fn parent(&self, at: usize) -> Option<usize> {
        let parent = self.parents.get(at).filter(|parent| **parent != NOWHERE)?;
        Some(*parent as usize)
    }

    /// Positions of the children of an instance, ascending.
    pub fn children(&self, at: usize) -> &[u32] {
        match (self.starts.get(at), self.starts.get(at + 1)) {
            (Some(from), Some(to)) => &self.children[*from as usize..*to as usize],
            _ => &[],
        }
    }
}

pub(crate) fn number(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(NOWHERE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{NodeId, PeriodKind};
    use crate::evaluate::Period;

    fn key(node: u32, value: &str) -> InstanceKey {
        let dimensions = match value {
            "" => Vec::new(),
            value => vec![value.into()],
        };
        InstanceKey {
            node: NodeId(node),
            dimensions: dimensions.into(),
        }
    }

    fn state(key: InstanceKey, parent: Option<InstanceKey>) -> NodeState {
        let day = "2026-06-01".parse().unwrap();
        let period = Period {
            kind: PeriodKind::Day,
            start: day,
            end: day.tomorrow().unwrap(),
        };
        NodeState::unknown(key, parent, period)
    }

    #[test]
    fn found_by_key_in_whichever_order_they_come() {
        for count in [0, 1, 2, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5] {
            let keys: Vec<InstanceKey> = (0..count).map(|n| key(1, &format!("{n:04}"))).collect();
            let instances: Instances = keys.iter().rev().map(|key| state(key.clone(), None)).collect();
            assert_eq!((instances.len(), instances.is_empty()), (count, count == 0));
            assert!(instances.iter().map(|state| &state.key).eq(&keys));
            for (at, key) in keys.iter().enumerate() {
                assert_eq!(instances.position(key), Some(at));
                assert_eq!(instances[at].key, *key);
            }
            assert!(instances.find(&key(0, "")).is_none());
            assert!(instances.find(&key(1, "0000x")).is_none());
            assert!(instances.find(&key(2, "")).is_none());
            let mut more = instances.clone();
            assert_eq!(more.insert(state(key(0, ""), None)), 0);
            assert_eq!(more.len(), count + 1);
            assert!(keys.iter().all(|key| more.find(key).is_some()));
        }
    }

    /// Some at the front, many in one place, some behind all: each is found where it says that it is, and so is everybody else.
    #[test]
    fn who_comes_between_others_moves_them_on() {
        let name = |n: usize| format!("{n:04}");
        let child = |n: usize| state(key(2, &name(n)), Some(key(1, &name(n))));
        let parent = |n: usize| state(key(1, &name(n)), Some(key(0, "")));
        let mut known: Instances = (100..400).step_by(3).map(child).collect();
        let mut family = Family::of(&known);
        let rounds: [Vec<NodeState>; 5] = [
            vec![child(5), child(500), child(101)],
            (150..350).filter(|n| n % 3 != 1).map(child).collect(),
            // Parents of some that are there already, and of one that comes with its own.
            (90..260).chain([600]).map(parent).chain([child(600)]).collect(),
            vec![state(key(0, ""), None)],
            Vec::new(),
        ];
        for states in rounds {
            let before = known.clone();
            let mut expected: Vec<InstanceKey> =
                before.iter().chain(&states).map(|s| s.key.clone()).collect();
            expected.sort();
            let arrived: Vec<InstanceKey> = states.iter().map(|state| state.key.clone()).collect();
            let arrivals = known.insert_all(states);
            assert!(known.iter().map(|state| &state.key).eq(&expected));
            assert_eq!(known.iter().len(), expected.len());
            for (at, key) in expected.iter().enumerate() {
                assert_eq!(known.position(key), Some(at));
                assert_eq!(known[at].key, *key);
            }
            for at in 0..before.len() {
                let now = arrivals.moved(number(at)) as usize;
                assert_eq!(known[now].key, before[at].key);
            }
            let mut positions: Vec<usize> = arrived.iter().map(|key| known.position(key).unwrap()).collect();
            positions.sort_unstable();
            assert!(arrivals.positions().map(|at| at as usize).eq(positions));
            family = family.with(&arrivals, &known);
            assert_eq!(family, Family::of(&known));
        }
    }

    #[test]
    fn a_change_is_not_seen_by_who_shares_the_rest() {
        let before: Instances = (0..200)
            .map(|n| state(key(1, &format!("{n:04}")), None))
            .collect();
        let mut after = before.clone();
        after.get_mut(100).unwrap().value = Some(7.0);
        assert_eq!((before[100].value, after[100].value), (None, Some(7.0)));
        let shared = before
            .blocks
            .iter()
            .zip(&after.blocks)
            .filter(|(a, b)| Arc::ptr_eq(a, b));
        assert_eq!(shared.count(), before.blocks.len() - 1);
    }

    #[test]
    fn children_of_parents_by_position() {
        let top = || key(0, "");
        let mut states = vec![state(top(), None)];
        for n in 0..100 {
            states.push(state(key(1, &format!("{n:03}")), Some(top())));
            // Of every second region there are two KPIs; the parents of the others are not there.
            if n % 2 == 0 {
                states.push(state(
                    key(2, &format!("{n:03}")),
                    Some(key(1, &format!("{n:03}"))),
                ));
                states.push(state(
                    key(3, &format!("{n:03}")),
                    Some(key(1, &format!("{n:03}"))),
                ));
            } else {
                states.push(state(key(3, &format!("{n:03}")), Some(key(9, "nobody"))));
            }
        }
        let instances: Instances = states.into_iter().collect();
        let family = Family::of(&instances);
        assert_eq!(family.len(), instances.len());
        for (at, state) in instances.iter().enumerate() {
            let parent = state.parent.as_ref().and_then(|key| instances.position(key));
            assert_eq!(family.parent(at), parent);
            let is_child = |child: &usize| instances[*child].parent.as_ref() == Some(&state.key);
            let children: Vec<u32> = (0..instances.len()).filter(is_child).map(number).collect();
            assert_eq!(family.children(at), children);
        }
        assert_eq!(family.children(0).len(), 100);
        assert!(family.children(instances.len()).is_empty());
    }
}
