//! Attribution: what a node's distance from its plan is made of, part by part, without remainder; what the parts do
//! not explain is shown as such and never spread over them.
//!
//! * `sum`: a part's own distance from its own plan.
//! * `product` and `ratio`: LMDI, the logarithmic mean Divisia index (Ang, 2004, "Decomposition analysis for
//!   policymaking in energy"): `L(v, p) · ln(vᵢ / pᵢ)` with `L(a, b) = (a − b) / (ln a − ln b)`, where `v` is what the
//!   parts come to and `p` what their plans come to. The contributions add up to `v − p` exactly.
//! * `influence`: elasticity × the KPI's relative distance from its plan × the parent's plan, where the elasticity has
//!   been learned; a KPI whose link is not known yet is named without an amount.

use super::snapshot::{InstanceKey, NodeState, Snapshot};
use crate::catalog::{Catalog, NodeId, Relation};

/// A node's distance from its plan by now, and what it is made of. All amounts are in the node's unit; a positive one
/// is above plan.
#[derive(Clone, PartialEq, Debug)]
pub struct Attribution {
    /// Value so far.
    pub value: f64,
    /// What the plan expects by now.
    pub plan: f64,
    /// One a decomposition: all parts that are not split finer than the node together, and one for each child that is
    /// (by region, by channel). Each is a complete account of its own.
    pub accounts: Vec<Account>,
}

/// One complete account of the distance.
#[derive(Clone, PartialEq, Debug)]
pub struct Account {
    /// How the parts make up the node.
    pub relation: Relation,
    /// For a child that is split finer: which one.
    pub split: Option<NodeId>,
    /// What each part contributes, the largest first; parts of unknown amount last.
    pub parts: Vec<Contribution>,
    /// What the parts do not explain: the distance less their contributions.
    pub not_explained: f64,
}

/// What one part contributes.
#[derive(Clone, PartialEq, Debug)]
pub struct Contribution {
    /// The part.
    pub key: InstanceKey,
    /// Its share of the distance in the parent's unit; `None` where it is not known (a link that has not been learned).
    pub amount: Option<f64>,
    /// Its own value so far.
    pub value: f64,
    /// What its own plan expects by now.
    pub plan: f64,
}

impl Attribution {
    /// How far the node is from its plan.
    pub fn distance(&self) -> f64 {
        self.value - self.plan
    }
}

/// Distance, as a share of the plan, up to which there is nothing to look for: its parts are many times as large.
const LEAST: f64 = 0.01;

/// Whether a value is so far from its plan that it is worth asking where that comes from.
pub fn is_some_way_off(value: f64, plan: f64) -> bool {
    (value - plan).abs() > LEAST * plan.abs()
}

/// What the plan of an instance expects by now: the baseline and the planned share of the way to the target; for a
/// level the target itself. `None` without a target.
pub fn planned(catalog: &Catalog, state: &NodeState) -> Option<f64> {
    let node = catalog.node(state.key.node);
    let target = state.target?;
    if !catalog.accumulates(node.metric) {
        return Some(target);
    }
    let base = node.baseline.unwrap_or(0.0);
    Some(base + (target - base) * state.expected_share)
}

/// Splits an instance's distance from its plan over its children. `elasticity` tells by how many per cent a parent
/// moves when a KPI moves by one, where that has been learned.
///
/// `None` where there is nothing to split: no value, no target, or no children that can be compared (a part of another
/// period, or one without value or target, leaves its account out: half an account would be a wrong one).
pub fn attribute(
    catalog: &Catalog,
    snapshot: &Snapshot,
    key: &InstanceKey,
    elasticity: impl Fn(&InstanceKey) -> Option<f64>,
) -> Option<Attribution> {
    let whole = snapshot.instances.iter().find(|state| state.key == *key)?;
    let (value, plan) = (whole.value?, planned(catalog, whole)?);
    let children: Vec<&NodeState> = snapshot
        .instances
        .iter()
        .filter(|state| state.parent.as_ref() == Some(key))
        .collect();
    let mut groups: Vec<(Relation, Option<NodeId>, Vec<&NodeState>)> = Vec::new();
    for child in children {
        let Some(link) = &catalog.node(child.key.node).parent else {
            continue;
        };
        let is_finer = catalog.node(child.key.node).each.len() > catalog.node(key.node).each.len();
        let split = (is_finer && link.relation != Relation::Influence).then_some(child.key.node);
        match groups
            .iter_mut()
            .find(|(relation, known, _)| *relation == link.relation && *known == split)
        {
            Some((_, _, states)) => states.push(child),
            None => groups.push((link.relation, split, vec![child])),
        }
    }
    let accounts: Vec<Account> = groups
        .into_iter()
        .filter_map(|(relation, split, states)| {
            let parts = match relation {
                Relation::Influence => influences(catalog, plan, &states, &elasticity),
                _ => made_up_of(catalog, whole, relation, &states)?,
            };
            account(relation, split, parts, value - plan)
        })
        .collect();
    (!accounts.is_empty()).then_some(Attribution {
        value,
        plan,
        accounts,
    })
}

fn account(
    relation: Relation,
    split: Option<NodeId>,
    mut parts: Vec<Contribution>,
    distance: f64,
) -> Option<Account> {
    if parts.is_empty() {
        return None;
    }
    let size = |part: &Contribution| part.amount.map_or(-1.0, f64::abs);
    parts.sort_by(|a, b| size(b).total_cmp(&size(a)));
    let explained: f64 = parts.iter().filter_map(|part| part.amount).sum();
    Some(Account {
        relation,
        split,
        parts,
        not_explained: distance - explained,
    })
}

/// Parts that add up, multiply or divide to the whole; `None` where one of them cannot be compared.
fn made_up_of(
    catalog: &Catalog,
    whole: &NodeState,
    relation: Relation,
    states: &[&NodeState],
) -> Option<Vec<Contribution>> {
    let mut parts = Vec::with_capacity(states.len());
    for state in states {
        if state.period != whole.period {
            return None;
        }
        parts.push(Contribution {
            key: state.key.clone(),
            amount: None,
            value: state.value?,
            plan: planned(catalog, state)?,
        });
    }
    match relation {
        Relation::Sum => {
            for part in &mut parts {
                part.amount = Some(part.value - part.plan);
            }
        }
        Relation::Product => lmdi(&mut parts, |_| 1.0)?,
        Relation::Ratio if parts.len() == 2 => lmdi(&mut parts, |at| if at == 0 { 1.0 } else { -1.0 })?,
        Relation::Ratio | Relation::Influence => return None,
    }
    Some(parts)
}

/// Contributions by the logarithmic mean; `exponent` of each factor is 1, or −1 for a denominator. `None` where a
/// factor or its plan is not above 0: logarithms have nothing to say of it.
fn lmdi(parts: &mut [Contribution], exponent: impl Fn(usize) -> f64) -> Option<()> {
    if parts.iter().any(|part| part.value <= 0.0 || part.plan <= 0.0) {
        return None;
    }
    let together = |of: fn(&Contribution) -> f64, parts: &[Contribution]| -> f64 {
        parts
            .iter()
            .enumerate()
            .map(|(at, part)| exponent(at) * of(part).ln())
            .sum::<f64>()
            .exp()
    };
    let (value, plan) = (
        together(|part| part.value, parts),
        together(|part| part.plan, parts),
    );
    let mean = logarithmic_mean(value, plan);
    for (at, part) in parts.iter_mut().enumerate() {
        part.amount = Some(mean * exponent(at) * (part.value / part.plan).ln());
    }
    Some(())
}

/// `(a − b) / (ln a − ln b)`, which is `a` where both are equal.
fn logarithmic_mean(a: f64, b: f64) -> f64 {
    let ratio = (a / b).ln();
    // (eˣ − 1) / x keeps its digits where the two are nearly equal.
    if ratio == 0.0 {
        a
    } else {
        b * ratio.exp_m1() / ratio
    }
}

/// KPIs that drive the whole, each by its elasticity.
fn influences(
    catalog: &Catalog,
    plan_of_whole: f64,
    states: &[&NodeState],
    elasticity: impl Fn(&InstanceKey) -> Option<f64>,
) -> Vec<Contribution> {
    let contribution = |state: &&NodeState| {
        let (value, plan) = (state.value?, planned(catalog, state)?);
        let relative = (plan != 0.0).then(|| value / plan - 1.0);
        Some(Contribution {
            key: state.key.clone(),
            amount: elasticity(&state.key)
                .zip(relative)
                .map(|(elasticity, relative)| elasticity * relative * plan_of_whole),
            value,
            plan,
        })
    };
    states.iter().filter_map(contribution).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::catalog::load::{Files, load};
    use crate::evaluate::Period;

    const YAML: &str = "
sources: {s: {topics: [t], format: json, fields: {amount: amount, region: region}}}
metrics:
  revenue: {source: s, agg: sum, expr: amount, dimensions: [region]}
  traffic: {source: s, agg: count}
  conversion: {numerator: orders, denominator: traffic}
  average: {numerator: revenue, denominator: orders}
  orders: {source: s, agg: count, filter: amount > 0}
nodes:
  revenue: {metric: revenue, role: business, period: month, target: 1000, owner: a}
  regions: {metric: revenue, role: business, parent: revenue, relation: sum, each: [region], period: month, target: 500, owner: a}
  traffic: {metric: traffic, role: business, parent: revenue, relation: product, period: month, target: 100, owner: a}
  conversion: {metric: conversion, role: business, parent: revenue, relation: product, period: month, target: 0.1, owner: a}
  average: {metric: average, role: business, parent: revenue, relation: product, period: month, target: 100, owner: a}
  orders: {metric: orders, role: kpi, parent: revenue, relation: influence, period: month, target: 50, owner: a, weight: 100}
";

    fn catalog() -> Catalog {
        load(&Files::new("", [("a.yaml", YAML)]))
            .map_err(|error| error.to_string())
            .unwrap()
    }

    /// An instance half through its period.
    fn state(catalog: &Catalog, name: &str, instance: &[&str], value: f64, target: f64) -> NodeState {
        let node = catalog.nodes.iter().position(|node| node.name == name).unwrap();
        let key = |node: usize, dimensions: &[&str]| InstanceKey {
            node: NodeId(u32::try_from(node).unwrap()),
            dimensions: dimensions.iter().map(|value| Arc::from(*value)).collect(),
        };
        let parent = catalog.nodes[node].parent.as_ref();
        let period = Period {
            kind: catalog.nodes[node].period,
            start: "2026-06-01".parse().unwrap(),
            end: "2026-07-01".parse().unwrap(),
        };
        NodeState {
            value: Some(value),
            target: Some(target),
            completion: Some(value / target),
            expected_share: 0.5,
            elapsed: 0.5,
            ..NodeState::unknown(
                key(node, instance),
                parent.map(|parent| key(parent.node.0 as usize, &[])),
                period,
            )
        }
    }

    fn of(catalog: &Catalog, instances: Vec<NodeState>, elasticity: Option<f64>) -> Option<Attribution> {
        let key = instances[0].key.clone();
        let snapshot = Snapshot {
            instances,
            ..Snapshot::default()
        };
        attribute(catalog, &snapshot, &key, |_| elasticity)
    }

    #[test]
    fn parts_that_add_up_are_their_own_distances() {
        let catalog = catalog();
        let found = of(
            &catalog,
            vec![
                state(&catalog, "revenue", &[], 420.0, 1000.0),
                state(&catalog, "regions", &["east"], 150.0, 500.0),
                state(&catalog, "regions", &["west"], 260.0, 500.0),
            ],
            None,
        )
        .unwrap();
        assert_eq!((found.value, found.plan, found.distance()), (420.0, 500.0, -80.0));
        let [account] = &found.accounts[..] else { panic!() };
        let amounts: Vec<_> = account
            .parts
            .iter()
            .map(|part| (&*part.key.dimensions[0], part.amount.unwrap()))
            .collect();
        assert_eq!(amounts, [("east", -100.0), ("west", 10.0)]);
        assert_eq!(
            account.not_explained, 10.0,
            "ten came from nowhere, and are not spread"
        );
    }

    #[test]
    fn half_an_account_is_none() {
        let catalog = catalog();
        let mut west = state(&catalog, "regions", &["west"], 260.0, 500.0);
        west.target = None;
        let found = of(
            &catalog,
            vec![
                state(&catalog, "revenue", &[], 420.0, 1000.0),
                state(&catalog, "regions", &["east"], 150.0, 500.0),
                west,
            ],
            None,
        );
        assert_eq!(found, None);
    }

    #[test]
    fn a_driver_without_a_known_link_has_no_amount() {
        let catalog = catalog();
        let instances = || {
            vec![
                state(&catalog, "revenue", &[], 420.0, 1000.0),
                state(&catalog, "orders", &[], 20.0, 50.0),
            ]
        };
        let unknown = of(&catalog, instances(), None).unwrap();
        assert_eq!(unknown.accounts[0].parts[0].amount, None);
        assert_eq!(unknown.accounts[0].not_explained, -80.0);
        let known = of(&catalog, instances(), Some(0.5)).unwrap();
        // 20 % fewer orders than planned by now, half of which shows in revenue.
        assert!((known.accounts[0].parts[0].amount.unwrap() + 50.0).abs() < 1e-9);
        assert!((known.accounts[0].not_explained + 30.0).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn factors_explain_the_whole_distance(
            traffic in 1.0f64..500.0, conversion in 0.001f64..1.0, average in 1.0f64..1e4,
        ) {
            let catalog = catalog();
            let value = traffic * conversion * average;
            let found = of(&catalog, vec![
                state(&catalog, "revenue", &[], value, 1000.0),
                state(&catalog, "traffic", &[], traffic, 100.0),
                state(&catalog, "conversion", &[], conversion, 0.1),
                state(&catalog, "average", &[], average, 100.0),
            ], None).unwrap();
            let account = &found.accounts[0];
            // The plans: 50 visits by now, of which a tenth buys for 100 each.
            prop_assert!((found.plan - 500.0).abs() < 1e-9);
            prop_assert!(account.not_explained.abs() < 1e-6 * value.max(500.0), "{}", account.not_explained);
            for part in &account.parts {
                let amount = part.amount.unwrap();
                prop_assert!(amount == 0.0 || (amount > 0.0) == (part.value > part.plan));
            }
        }
    }
}
