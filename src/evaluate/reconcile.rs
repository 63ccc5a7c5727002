//! Whether the parts of a node add up (multiply, divide) to it: 口径不一致 shows as an amount.

use hashbrown::HashMap;

use super::snapshot::{InstanceKey, Mismatch, NodeState};
use crate::catalog::{Catalog, NodeId, Relation};

/// Sets [`NodeState::unreconciled`] of every instance that has parts to compare with.
///
/// Children that are split finer than their parent are each a decomposition of their own (by region, by channel);
/// the others make one together. Of several decompositions the one that is furthest off counts. Parts of another
/// period, parts without a value, and what is counted under a new definition in the middle of a period, are not
/// compared.
pub(super) fn reconcile(catalog: &Catalog, instances: &mut [NodeState]) {
    if !catalog.nodes.iter().any(|node| {
        node.parent
            .as_ref()
            .is_some_and(|p| p.relation != Relation::Influence)
    }) {
        return;
    }
    let mut parts: HashMap<(InstanceKey, Relation, Option<NodeId>), Vec<usize>> = HashMap::new();
    for (index, state) in instances.iter().enumerate() {
        let node = catalog.node(state.key.node);
        let (Some(link), Some(parent)) = (&node.parent, &state.parent) else {
            continue;
        };
        if link.relation == Relation::Influence {
            continue;
        }
        let finer = node.each.len() > catalog.node(link.node).each.len();
        parts
            .entry((parent.clone(), link.relation, finer.then_some(state.key.node)))
            .or_default()
            .push(index);
    }
    let by_key: HashMap<InstanceKey, usize> = instances
        .iter()
        .enumerate()
        .map(|(index, state)| (state.key.clone(), index))
        .collect();
    for ((parent, relation, _), children) in parts {
        let Some(&at) = by_key.get(&parent) else { continue };
        let children: Vec<&NodeState> = children.iter().map(|&index| &instances[index]).collect();
        let comparable = |child: &&NodeState| child.period == instances[at].period && child.is_judged();
        if !instances[at].is_judged() || !children.iter().all(comparable) {
            continue;
        }
        let found = worst(compare(&instances[at], &children, relation));
        let known = instances[at].unreconciled;
        instances[at].unreconciled = worst(known.into_iter().chain(found));
    }
}

fn worst(found: impl IntoIterator<Item = Mismatch>) -> Option<Mismatch> {
    found.into_iter().max_by(|a, b| a.share().total_cmp(&b.share()))
}

fn compare(whole: &NodeState, parts: &[&NodeState], relation: Relation) -> Vec<Mismatch> {
    let values: Option<Vec<f64>> = parts.iter().map(|part| part.value).collect();
    let targets: Option<Vec<f64>> = parts.iter().map(|part| part.target).collect();
    let together = |numbers: Vec<f64>| match (relation, numbers.as_slice()) {
        (Relation::Sum, numbers) => Some(numbers.iter().sum()),
        (Relation::Product, numbers) => Some(numbers.iter().product()),
        (Relation::Ratio, [numerator, denominator]) if *denominator != 0.0 => Some(numerator / denominator),
        _ => None,
    };
    let mismatch = |of_target, whole: Option<f64>, parts: Option<Vec<f64>>| {
        Some(Mismatch {
            of_target,
            whole: whole?,
            parts: parts.and_then(together)?,
        })
    };
    [
        mismatch(false, whole.value, values),
        mismatch(true, whole.target, targets),
    ]
    .into_iter()
    .flatten()
    .collect()
}
