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
    /// All of [`BLOCK`] instances but for the last.
    blocks: Vec<Arc<Vec<NodeState>>>,
}

impl Instances {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self.blocks.split_last() {
            Some((last, full)) => full.len() * BLOCK + last.len(),
            None => 0,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> Iter<'_> {
        Iter {
            of: self,
            from: 0,
            to: self.len(),
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
        self.blocks.get(at / BLOCK)?.get(at % BLOCK)
    }

    /// One of them by position, to be changed; its block is copied where it is shared with other snapshots.
    pub fn get_mut(&mut self, at: usize) -> Option<&mut NodeState> {
        Arc::make_mut(self.blocks.get_mut(at / BLOCK)?).get_mut(at % BLOCK)
    }

    /// The position of an instance.
    pub fn position(&self, key: &InstanceKey) -> Option<usize> {
        self.place(key).ok()
    }

    /// An instance.
    pub fn find(&self, key: &InstanceKey) -> Option<&NodeState> {
        self.get(self.position(key)?)
    }

    /// Adds one that comes after all others; in another order, see [`Instances::insert`].
    pub(super) fn push(&mut self, state: NodeState) {
        match self.blocks.last_mut().filter(|block| block.len() < BLOCK) {
            Some(block) => Arc::make_mut(block).push(state),
            None => {
                let mut block = Vec::with_capacity(BLOCK);
                block.push(state);
                self.blocks.push(Arc::new(block));
            }
        }
    }

    /// Adds one, or puts it in the place of the one with its key; returns its position. All that come after it are moved.
    pub fn insert(&mut self, state: NodeState) -> usize {
        let at = match self.place(&state.key) {
            Ok(at) => {
                self.get_mut(at)
                    .into_iter()
                    .for_each(|known| known.clone_from(&state));
                return at;
            }
            Err(at) => at,
        };
        let mut all: Vec<NodeState> = self.iter().cloned().collect();
        all.insert(at, state);
        *self = all.into_iter().collect();
        at
    }

    /// The position of a key, or where it would be.
    fn place(&self, key: &InstanceKey) -> Result<usize, usize> {
        let first = |block: &Arc<Vec<NodeState>>| block.first().is_some_and(|state| state.key <= *key);
        let Some(block) = self.blocks.partition_point(first).checked_sub(1) else {
            return Err(0);
        };
        let within = self.blocks[block].binary_search_by(|state| state.key.cmp(key));
        within
            .map(|at| block * BLOCK + at)
            .map_err(|at| block * BLOCK + at)
    }
}

impl Index<usize> for Instances {
    type Output = NodeState;

    fn index(&self, at: usize) -> &NodeState {
        &self.blocks[at / BLOCK][at % BLOCK]
    }
}

impl IndexMut<usize> for Instances {
    fn index_mut(&mut self, at: usize) -> &mut NodeState {
        &mut Arc::make_mut(&mut self.blocks[at / BLOCK])[at % BLOCK]
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
    of: &'a Instances,
    from: usize,
    to: usize,
}

impl<'a> Iterator for Iter<'a> {
    type Item = &'a NodeState;

    fn next(&mut self) -> Option<&'a NodeState> {
        let state = (self.from < self.to).then(|| &self.of[self.from])?;
        self.from += 1;
        Some(state)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.to - self.from;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Iter<'_> {}

/// No number of an instance.
pub(crate) const NOWHERE: u32 = u32::MAX;

/// Who serves whom among the instances of a snapshot, by position. It changes only when instances come or go.
#[derive(Debug, Default)]
pub struct Family {
    /// The parent of each; [`NOWHERE`] where there is none.
    parents: Vec<u32>,
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
