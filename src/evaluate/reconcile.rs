//! Whether the parts of a node add up (multiply, divide) to it: 口径不一致 shows as an amount.

use std::collections::BTreeMap;

use super::instances::{Family, Instances, number};
use super::snapshot::{Mismatch, NodeState};
use crate::catalog::{Catalog, NodeId, Relation};

/// Children of an instance up to which they are compared with it whenever one of them changes; those of more once a minute.
const AT_ONCE: usize = 4096;

/// Sets [`NodeState::unreconciled`] of every instance that has parts to compare with.
///
/// Children that are split finer than their parent are each a decomposition of their own (by region, by channel);
/// the others make one together. Of several decompositions the one that is furthest off counts. Parts of another
/// period, and what is counted under a new definition in the middle of a period, are not compared.
///
/// What cannot be computed on one side (a ratio by zero, an average of nothing) disagrees with an amount on the other,
/// and agrees with nothing and with 0. What nobody has declared or typed in yet is not compared: a missing entry is
/// told as such.
pub(super) fn reconcile(catalog: &Catalog, instances: &mut Instances, family: &Family) {
    if has_parts(catalog) {
        for whole in 0..instances.len() {
            reconcile_one(catalog, instances, family, whole);
        }
    }
}

/// The same where only what stands at some positions has changed. Returns the positions of those that say something else now.
pub(super) fn reconcile_after(
    catalog: &Catalog,
    instances: &mut Instances,
    family: &Family,
    changed: &[u32],
) -> Vec<u32> {
    if !has_parts(catalog) {
        return Vec::new();
    }
    let changed = changed.iter().map(|at| *at as usize);
    let mut wholes: Vec<usize> = changed
        .flat_map(|at| [Some(at), family.parent(at)])
        .flatten()
        .filter(|whole| family.children(*whole).len() <= AT_ONCE)
        .collect();
    wholes.sort_unstable();
    wholes.dedup();
    wholes.retain(|whole| reconcile_one(catalog, instances, family, *whole));
    wholes.into_iter().map(number).collect()
}

/// Whether anything in a catalogue is made of parts.
fn has_parts(catalog: &Catalog) -> bool {
    let mut links = catalog.nodes.iter().filter_map(|node| node.parent.as_ref());
    links.any(|link| link.relation != Relation::Influence)
}

/// Compares one instance with its parts; whether it says something else than before.
fn reconcile_one(catalog: &Catalog, instances: &mut Instances, family: &Family, whole: usize) -> bool {
    let mut parts: BTreeMap<(Option<NodeId>, Relation), Vec<&NodeState>> = BTreeMap::new();
    for &child in family.children(whole) {
        let state = &instances[child as usize];
        let node = catalog.node(state.key.node);
        let Some(link) = node
            .parent
            .as_ref()
            .filter(|link| link.relation != Relation::Influence)
        else {
            continue;
        };
        let is_finer = node.each.len() > catalog.node(link.node).each.len();
        let of = (is_finer.then_some(state.key.node), link.relation);
        parts.entry(of).or_default().push(state);
    }
    let of_whole = &instances[whole];
    let comparable = |part: &&NodeState| part.period == of_whole.period && part.is_judged();
    let comparable_parts = parts
        .into_iter()
        .filter(|(_, parts)| of_whole.is_judged() && parts.iter().all(comparable));
    let found =
        comparable_parts.flat_map(|((_, relation), parts)| compare(catalog, of_whole, &parts, relation));
    let found = worst(found);
    if found == of_whole.unreconciled.as_deref().copied() {
        return false;
    }
    if let Some(state) = instances.get_mut(whole) {
        state.unreconciled = found.map(Box::new);
    }
    true
}

/// The one that is furthest off; of equal ones that of values, and then the larger amount, whatever the order.
fn worst(found: impl IntoIterator<Item = Mismatch>) -> Option<Mismatch> {
    let rank = |a: &Mismatch, b: &Mismatch| {
        a.share()
            .total_cmp(&b.share())
            .then_with(|| b.of_target.cmp(&a.of_target))
            .then_with(|| {
                a.parts
                    .unwrap_or(0.0)
                    .abs()
                    .total_cmp(&b.parts.unwrap_or(0.0).abs())
            })
    };
    found.into_iter().max_by(rank)
}

/// Parts of a sum that differ from their whole by less than this share of the largest of them differ by rounding.
const ROUNDING: f64 = 1e-9;

fn compare(catalog: &Catalog, whole: &NodeState, parts: &[&NodeState], relation: Relation) -> Vec<Mismatch> {
    // Amounts that come from events are there, or there is nothing.
    let is_typed_in = |state: &NodeState| catalog.is_typed_in(catalog.node(state.key.node).metric);
    let is_awaited = |state: &&NodeState| state.value.is_none() && is_typed_in(state);
    let mut found = Vec::new();
    if ![whole].iter().chain(parts).any(is_awaited) {
        let values: Vec<Option<f64>> = parts.iter().map(|part| part.value).collect();
        found.extend(mismatch(false, whole.value, &values, relation));
    }
    // Ranges need not add up: a whole may be held closer than its parts.
    let is_band = [whole].iter().chain(parts).any(|state| state.band.is_some());
    let target = whole.target.filter(|_| !is_band);
    if let (Some(target), Some(targets)) = (target, parts.iter().map(|part| part.target).collect()) {
        let targets: Vec<f64> = targets;
        let targets: Vec<Option<f64>> = targets.into_iter().map(Some).collect();
        found.extend(mismatch(true, Some(target), &targets, relation));
    }
    found
}

/// How far parts are from their whole; `None` where there is nothing to compare.
fn mismatch(
    of_target: bool,
    whole: Option<f64>,
    parts: &[Option<f64>],
    relation: Relation,
) -> Option<Mismatch> {
    let together = match (relation, parts) {
        // A region that has no latest value yet leaves a sum open; it does not make it nothing.
        (Relation::Sum, parts) => Some(parts.iter().copied().sum::<Option<f64>>()?),
        // Nothing of something is nothing, also where the something is not known: no visits have no conversion.
        (Relation::Product, parts) if parts.contains(&Some(0.0)) => Some(0.0),
        (Relation::Product, parts) => parts.iter().copied().product::<Option<f64>>(),
        (Relation::Ratio, [numerator, denominator]) => numerator
            .zip(denominator.filter(|denominator| *denominator != 0.0))
            .map(|(numerator, denominator)| numerator / denominator),
        (Relation::Ratio | Relation::Influence, _) => return None,
    };
    let largest = parts
        .iter()
        .flatten()
        .fold(0.0, |most: f64, part| most.max(part.abs()));
    let together = match (together, whole) {
        (Some(parts), Some(whole))
            if relation == Relation::Sum && (parts - whole).abs() < ROUNDING * largest =>
        {
            Some(whole)
        }
        (together, _) => together,
    };
    let is_nothing = |amount: Option<f64>| amount.is_none_or(|amount| amount == 0.0);
    let agrees = (whole.is_none() || together.is_none()) && is_nothing(whole) && is_nothing(together);
    (!agrees).then_some(Mismatch {
        of_target,
        whole,
        parts: together,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What parts come to, and by how much of their whole they miss it; `None` where nothing is compared.
    fn compared(relation: Relation, whole: Option<f64>, parts: &[Option<f64>]) -> Option<(Option<f64>, f64)> {
        mismatch(false, whole, parts, relation).map(|found| (found.parts, found.share()))
    }

    #[test]
    fn parts_against_their_whole_also_where_there_is_nothing_to_divide_by() {
        let none = None::<f64>;
        let is_off = |parts, share| Some((parts, share));
        type Case<'a> = (
            Relation,
            Option<f64>,
            &'a [Option<f64>],
            Option<(Option<f64>, f64)>,
        );
        let cases: &[Case<'_>] = &[
            (
                Relation::Sum,
                Some(100.0),
                &[Some(60.0), Some(40.0)],
                is_off(Some(100.0), 0.0),
            ),
            (
                Relation::Sum,
                Some(100.0),
                &[Some(60.0), Some(50.0)],
                is_off(Some(110.0), 0.1),
            ),
            (
                Relation::Sum,
                Some(-100.0),
                &[Some(-60.0), Some(-50.0)],
                is_off(Some(-110.0), 0.1),
            ),
            // Of nothing, any amount is the whole difference.
            (
                Relation::Sum,
                Some(0.0),
                &[Some(3.0), Some(4.0)],
                is_off(Some(7.0), 1.0),
            ),
            (
                Relation::Sum,
                Some(0.0),
                &[Some(0.0), Some(0.0)],
                is_off(Some(0.0), 0.0),
            ),
            // 0.1 + 0.2 − 0.3 is not 0 in binary.
            (
                Relation::Sum,
                Some(0.0),
                &[Some(0.1), Some(0.2), Some(-0.3)],
                is_off(Some(0.0), 0.0),
            ),
            (Relation::Sum, none, &[Some(3.0)], is_off(Some(3.0), 1.0)),
            (Relation::Sum, Some(3.0), &[Some(3.0), none], None),
            (
                Relation::Product,
                Some(1000.0),
                &[Some(20.0), Some(50.0)],
                is_off(Some(1000.0), 0.0),
            ),
            (
                Relation::Product,
                Some(1000.0),
                &[Some(20.0), Some(40.0)],
                is_off(Some(800.0), 0.2),
            ),
            // No orders have no average: they come to nothing.
            (
                Relation::Product,
                Some(0.0),
                &[Some(0.0), none],
                is_off(Some(0.0), 0.0),
            ),
            (
                Relation::Product,
                Some(500.0),
                &[Some(0.0), none],
                is_off(Some(0.0), 1.0),
            ),
            (
                Relation::Product,
                Some(500.0),
                &[Some(0.0), Some(7.0)],
                is_off(Some(0.0), 1.0),
            ),
            (
                Relation::Product,
                Some(500.0),
                &[Some(20.0), none],
                is_off(none, 1.0),
            ),
            (
                Relation::Product,
                none,
                &[Some(20.0), Some(5.0)],
                is_off(Some(100.0), 1.0),
            ),
            (Relation::Product, none, &[Some(0.0), none], None),
            (
                Relation::Ratio,
                Some(5.0),
                &[Some(50.0), Some(10.0)],
                is_off(Some(5.0), 0.0),
            ),
            (
                Relation::Ratio,
                Some(5.0),
                &[Some(40.0), Some(10.0)],
                is_off(Some(4.0), 0.2),
            ),
            (
                Relation::Ratio,
                Some(5.0),
                &[Some(50.0), Some(0.0)],
                is_off(none, 1.0),
            ),
            (Relation::Ratio, Some(5.0), &[none, Some(10.0)], is_off(none, 1.0)),
            (
                Relation::Ratio,
                none,
                &[Some(50.0), Some(10.0)],
                is_off(Some(5.0), 1.0),
            ),
            (Relation::Ratio, none, &[Some(0.0), Some(10.0)], None),
            (Relation::Ratio, none, &[Some(50.0), Some(0.0)], None),
            (Relation::Ratio, Some(0.0), &[Some(0.0), Some(0.0)], None),
            (Relation::Ratio, Some(5.0), &[Some(50.0)], None),
        ];
        for (relation, whole, parts, expected) in cases {
            let found = compared(*relation, *whole, parts);
            let is_same = match (found, expected) {
                (Some((parts, share)), Some((of, by))) => parts == *of && (share - by).abs() < 1e-12,
                (found, expected) => found == *expected,
            };
            assert!(
                is_same,
                "{relation:?} {whole:?} of {parts:?}: {found:?}, not {expected:?}"
            );
        }
    }
}
