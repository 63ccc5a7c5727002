//! Attribution: what a node's distance from its plan is made of, part by part, without remainder; what the parts do
//! not explain is shown as such and never spread over them.
//!
//! * `sum`: a part's own distance from its own plan.
//! * `product` and `ratio`: LMDI, the logarithmic mean Divisia index (Ang, 2004, "Decomposition analysis for
//!   policymaking in energy"): `L(v, p) · ln(vᵢ / pᵢ)` with `L(a, b) = (a − b) / (ln a − ln b)`, where `v` is what the
//!   parts come to and `p` what their plans come to. The contributions add up to `v − p` exactly.
//! * `influence`: elasticity × how far the KPI was from its own plan over the days that the parent's period so far answers
//!   (as many days before as the link has lag) × the parent's plan; where that cannot be told, it is said why.

use serde::Serialize;

use super::snapshot::{InstanceKey, LinkState, NodeState, Snapshot};
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
    /// Accounts that cannot be made: half of one would be a wrong one.
    pub left_out: Vec<LeftOut>,
}

/// An account that cannot be made.
#[derive(Clone, PartialEq, Debug)]
pub struct LeftOut {
    /// How the parts make up the node.
    pub relation: Relation,
    /// The first part that stands in the way, where it is one.
    pub part: Option<InstanceKey>,
    /// Why.
    pub why: Untold,
}

/// Why what a part contributes is not told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Untold {
    /// Its link is still being learned.
    Learning,
    /// Its link is too weak to say by how much the parent answers.
    Weak,
    /// Its link is in drift: what moves it does not move the parent then.
    Drifting,
    /// It is about the past, and how its link stood then is not kept.
    Past,
    /// It is too early in the period.
    TooEarly,
    /// Its days do not reach back to the beginning of the parent's period, as many days before as it takes to answer.
    TooShort,
    /// It has no value.
    NoValue,
    /// It has no target.
    NoTarget,
    /// Its plan over these days is 0, and nothing is a share of that.
    NoPlan,
    /// Its period is another one than the parent's.
    OtherPeriod,
    /// It, or its plan, is not above 0, and a factor of 0 explains everything and nothing.
    NotAboveZero,
    /// Not all parts are there.
    Incomplete,
}

/// A KPI over the days that its parent answers in its period so far.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Driver {
    /// Per cent by which the parent moves when it moves by one.
    pub elasticity: f64,
    /// What it came to.
    pub value: f64,
    /// What its own plan expected.
    pub plan: f64,
}

/// By how much a parent answers its KPI and after how many days, where both is known.
pub fn answer(link: Option<&LinkState>) -> Result<(f64, i32), Untold> {
    let link = link
        .filter(|link| link.parent_gap.is_some())
        .ok_or(Untold::Learning)?;
    let (elasticity, lag) = link.elasticity.zip(link.lag_days).ok_or(Untold::Weak)?;
    if link.findings.is_empty() {
        Ok((elasticity, lag.round() as i32))
    } else {
        Err(Untold::Drifting)
    }
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
    /// Its share of the distance in the parent's unit, or why it is not known.
    pub amount: Result<f64, Untold>,
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
/// level the target itself. Of a band it is what of it is the nearest to the value: within it there is no distance. `None`
/// without a target.
pub fn planned(catalog: &Catalog, state: &NodeState) -> Option<f64> {
    let node = catalog.node(state.key.node);
    let target = state.target?;
    let accumulates = catalog.accumulates(node.metric);
    if let (Some(band), Some(value)) = (state.band(), state.value) {
        let by_now = if accumulates {
            band.of_share(state.expected_share)
        } else {
            band
        };
        return Some(by_now.nearest(value));
    }
    if !accumulates {
        return Some(target);
    }
    let base = node.baseline.unwrap_or(0.0);
    Some(base + (target - base) * state.expected_share)
}

/// Splits an instance's distance from its plan over its children. `driver` tells how a KPI stands over the days that its
/// parent answers.
///
/// `None` where there is nothing to split: no value, no target, or no children.
pub fn attribute(
    catalog: &Catalog,
    snapshot: &Snapshot,
    key: &InstanceKey,
    driver: impl Fn(&NodeState, &NodeState) -> Result<Driver, Untold>,
) -> Option<Attribution> {
    let whole = snapshot.instances.find(key)?;
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
    let mut found = Attribution {
        value,
        plan,
        accounts: Vec::new(),
        left_out: Vec::new(),
    };
    for (relation, split, states) in groups {
        let parts = match relation {
            Relation::Influence => Ok(influences(whole, plan, &states, &driver)),
            _ => made_up_of(catalog, whole, relation, &states),
        };
        match parts {
            Ok(parts) => found.accounts.push(account(relation, split, parts, value - plan)),
            Err((part, why)) => found.left_out.push(LeftOut { relation, part, why }),
        }
    }
    (!found.accounts.is_empty() || !found.left_out.is_empty()).then_some(found)
}

fn account(
    relation: Relation,
    split: Option<NodeId>,
    mut parts: Vec<Contribution>,
    distance: f64,
) -> Account {
    let size = |part: &Contribution| part.amount.map_or(-1.0, f64::abs);
    parts.sort_by(|a, b| size(b).total_cmp(&size(a)));
    let explained: f64 = parts.iter().filter_map(|part| part.amount.ok()).sum();
    Account {
        relation,
        split,
        parts,
        not_explained: distance - explained,
    }
}

/// A part with its own value so far and what its own plan expects by now.
struct Compared<'s> {
    state: &'s NodeState,
    value: f64,
    plan: f64,
}

/// Which part is in the way of an account, and why.
type Hindered = (Option<InstanceKey>, Untold);

/// Parts that add up, multiply or divide to the whole, where all of them can be compared.
fn made_up_of(
    catalog: &Catalog,
    whole: &NodeState,
    relation: Relation,
    states: &[&NodeState],
) -> Result<Vec<Contribution>, Hindered> {
    let compared = states.iter().map(|state| {
        let compared = || {
            if state.period != whole.period {
                return Err(Untold::OtherPeriod);
            }
            Ok(Compared {
                state,
                value: state.value.ok_or(Untold::NoValue)?,
                plan: planned(catalog, state).ok_or(Untold::NoTarget)?,
            })
        };
        compared().map_err(|why| (Some(state.key.clone()), why))
    });
    let parts: Vec<Compared<'_>> = compared.collect::<Result<_, _>>()?;
    let amounts: Vec<f64> = match relation {
        Relation::Sum => parts.iter().map(|part| part.value - part.plan).collect(),
        Relation::Product => lmdi(&parts, |_| 1.0)?,
        Relation::Ratio if parts.len() == 2 => lmdi(&parts, |at| if at == 0 { 1.0 } else { -1.0 })?,
        Relation::Ratio | Relation::Influence => return Err((None, Untold::Incomplete)),
    };
    let contribution = |(part, amount): (&Compared<'_>, f64)| Contribution {
        key: part.state.key.clone(),
        amount: Ok(amount),
    };
    Ok(parts.iter().zip(amounts).map(contribution).collect())
}

/// Contributions by the logarithmic mean; `exponent` of each factor is 1, or −1 for a denominator. Of a factor that is
/// not above 0, or whose plan is not, logarithms have nothing to say.
fn lmdi(parts: &[Compared<'_>], exponent: impl Fn(usize) -> f64) -> Result<Vec<f64>, Hindered> {
    let is_not_above = |part: &&Compared<'_>| part.value <= 0.0 || part.plan <= 0.0;
    if let Some(part) = parts.iter().find(is_not_above) {
        return Err((Some(part.state.key.clone()), Untold::NotAboveZero));
    }
    let together = |of: fn(&Compared<'_>) -> f64| -> f64 {
        let logs = parts
            .iter()
            .enumerate()
            .map(|(at, part)| exponent(at) * of(part).ln());
        logs.sum::<f64>().exp()
    };
    let mean = logarithmic_mean(together(|part| part.value), together(|part| part.plan));
    let parts = parts.iter().enumerate();
    Ok(parts
        .map(|(at, part)| mean * exponent(at) * (part.value / part.plan).ln())
        .collect())
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
    whole: &NodeState,
    plan_of_whole: f64,
    states: &[&NodeState],
    driver: impl Fn(&NodeState, &NodeState) -> Result<Driver, Untold>,
) -> Vec<Contribution> {
    let amount = |state: &NodeState| {
        let driver = driver(state, whole)?;
        if driver.plan == 0.0 {
            return Err(Untold::NoPlan);
        }
        Ok(driver.elasticity * (driver.value / driver.plan - 1.0) * plan_of_whole)
    };
    let contribution = |state: &&NodeState| Contribution {
        key: state.key.clone(),
        amount: amount(state),
    };
    states.iter().map(contribution).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::catalog::attribute::DriftKind;
    use crate::catalog::load::{Files, load};
    use crate::evaluate::{LinkFinding, Period};

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
            instances: instances.into_iter().collect(),
            ..Snapshot::default()
        };
        let driver = |kpi: &NodeState, _: &NodeState| {
            Ok(Driver {
                elasticity: elasticity.ok_or(Untold::Learning)?,
                value: kpi.value.ok_or(Untold::NoValue)?,
                plan: planned(catalog, kpi).ok_or(Untold::NoTarget)?,
            })
        };
        attribute(catalog, &snapshot, &key, driver)
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
    fn half_an_account_is_none_and_says_why() {
        let catalog = catalog();
        let left_out = |name: &str, instance: &[&str], change: fn(&mut NodeState)| {
            let mut part = state(&catalog, name, instance, 260.0, 500.0);
            change(&mut part);
            let instances = vec![
                state(&catalog, "revenue", &[], 420.0, 1000.0),
                state(&catalog, "regions", &["east"], 150.0, 500.0),
                part,
            ];
            let found = of(&catalog, instances, None).unwrap();
            let [left_out] = &found.left_out[..] else {
                panic!("{found:?}")
            };
            let part = left_out.part.as_ref().unwrap();
            (catalog.node(part.node).name.clone(), left_out.why)
        };
        let west = ["west"];
        let regions = |why| ("regions".to_owned(), why);
        let other_period = |part: &mut NodeState| part.period.kind = crate::catalog::PeriodKind::Week;
        assert_eq!(
            left_out("regions", &west, |part| part.target = None),
            regions(Untold::NoTarget)
        );
        assert_eq!(
            left_out("regions", &west, |part| part.value = None),
            regions(Untold::NoValue)
        );
        assert_eq!(
            left_out("regions", &west, other_period),
            regions(Untold::OtherPeriod)
        );
        assert_eq!(
            left_out("traffic", &[], |part| part.value = Some(0.0)),
            ("traffic".to_owned(), Untold::NotAboveZero)
        );
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
        assert_eq!(unknown.accounts[0].parts[0].amount, Err(Untold::Learning));
        assert_eq!(unknown.accounts[0].not_explained, -80.0);
        let known = of(&catalog, instances(), Some(0.5)).unwrap();
        // 20 % fewer orders than planned by now, half of which shows in revenue.
        assert!((known.accounts[0].parts[0].amount.unwrap() + 50.0).abs() < 1e-9);
        assert!((known.accounts[0].not_explained + 30.0).abs() < 1e-9);
    }

    #[test]
    fn a_driver_says_why_it_has_no_amount() {
        let catalog = catalog();
        let instances = || {
            vec![
                state(&catalog, "revenue", &[], 420.0, 1000.0),
                state(&catalog, "orders", &[], 20.0, 0.0),
            ]
        };
        let found = of(&catalog, instances(), Some(0.5)).unwrap();
        assert_eq!(found.accounts[0].parts[0].amount, Err(Untold::NoPlan));
        let link = |parent_gap, elasticity, findings| LinkState {
            parent_gap,
            elasticity,
            lag_days: Some(4.0),
            findings,
            ..LinkState::default()
        };
        let finding = LinkFinding {
            kind: DriftKind::Hollow,
            since: None,
            gap: None,
            kpi: None,
            parent: None,
            evidence: None,
            confidence: None,
            stream: None,
            answered: None,
            lag_days: None,
        };
        for (link, expected) in [
            (None, Err(Untold::Learning)),
            (Some(link(None, None, vec![])), Err(Untold::Learning)),
            (Some(link(Some(0.1), None, vec![])), Err(Untold::Weak)),
            (
                Some(link(Some(0.1), Some(0.7), vec![finding])),
                Err(Untold::Drifting),
            ),
            (Some(link(Some(0.1), Some(0.7), vec![])), Ok((0.7, 4))),
        ] {
            assert_eq!(answer(link.as_ref()), expected, "{link:?}");
        }
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
                let is_above = match catalog.node(part.key.node).name.as_str() {
                    "traffic" => traffic > 50.0,
                    "conversion" => conversion > 0.1,
                    _ => average > 100.0,
                };
                prop_assert!(amount == 0.0 || (amount > 0.0) == is_above);
            }
        }
    }
}
