//! Scores of owners: what their KPIs came to, and what the business came to that these serve.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{NodeResult, Verdict};
use crate::catalog::{Assess, Catalog, NodeId, Role};

/// Completion counts up to this: one KPI at 300 % does not pay for two at half.
const CAP: f64 = 1.2;

/// One owner's score. All are shares: 1 is everything met.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct OwnerScore {
    /// Who.
    pub owner: String,
    /// Σ weight · min(completion, 1.2) / Σ weight over the KPIs with a weight; `None` where none was closed.
    pub kpi: Option<f64>,
    /// The same over the business metrics that they serve, each with the weight of the KPIs that serve it.
    pub business: Option<f64>,
    /// Both together, as `assess` of the catalogue says.
    pub combined: Option<f64>,
    /// Assessed targets that were met.
    pub met: usize,
    /// Assessed targets that were closed.
    pub closed: usize,
}

/// Scores of everybody who owns a KPI with a weight, the lowest first.
pub(super) fn owners(catalog: &Catalog, results: &[NodeResult]) -> Vec<OwnerScore> {
    let mut by_owner: BTreeMap<&str, Vec<NodeId>> = BTreeMap::new();
    for (id, node) in (0u32..).map(NodeId).zip(&catalog.nodes) {
        if let (Role::Kpi, Some(owner), Some(_)) = (node.role, &node.owner, node.weight) {
            by_owner.entry(owner).or_default().push(id);
        }
    }
    let mut scores: Vec<OwnerScore> = by_owner
        .into_iter()
        .map(|(owner, kpis)| {
            let weight = |id: NodeId| weight(catalog, results, id);
            let mut served: BTreeMap<NodeId, f64> = BTreeMap::new();
            for &kpi in &kpis {
                if let Some(business) = business_above(catalog, kpi) {
                    *served.entry(business).or_insert(0.0) += weight(kpi);
                }
            }
            let kpi = weighted(kpis.iter().map(|&id| (weight(id), completion(results, id))));
            let business = weighted(
                served
                    .iter()
                    .map(|(&id, &weight)| (weight, completion(results, id))),
            );
            let own = |result: &&NodeResult| kpis.contains(&result.key.node) && result.closed > 0;
            OwnerScore {
                owner: owner.to_owned(),
                kpi,
                business,
                combined: combined(catalog.assess, kpi, business),
                met: results
                    .iter()
                    .filter(own)
                    .filter(|result| result.verdict == Verdict::Met)
                    .count(),
                closed: results.iter().filter(own).count(),
            }
        })
        .collect();
    scores.sort_by(|a, b| {
        let of = |score: &OwnerScore| score.combined.unwrap_or(f64::INFINITY);
        of(a).total_cmp(&of(b))
    });
    scores
}

/// What the business targets of one owner came to.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct BusinessOwner {
    /// Who.
    pub owner: String,
    /// Mean of the completions of their closed periods, each up to 1.2.
    pub completion: Option<f64>,
    /// Targets whose last closed period met them.
    pub met: usize,
    /// Targets that were closed.
    pub closed: usize,
}

/// Everybody who owns a business target that closed, the lowest first.
pub(super) fn business_owners(results: &[NodeResult]) -> Vec<BusinessOwner> {
    let mut by_owner: BTreeMap<&str, Vec<&NodeResult>> = BTreeMap::new();
    for result in results {
        if let (Role::Business, Some(owner), true) = (result.role, &result.owner, result.closed > 0) {
            by_owner.entry(owner).or_default().push(result);
        }
    }
    let owners = by_owner.into_iter().map(|(owner, of_owner)| BusinessOwner {
        owner: owner.to_owned(),
        completion: weighted(of_owner.iter().flat_map(|result| {
            let capped = result
                .completions
                .iter()
                .map(|completion| completion.clamp(0.0, CAP));
            capped.map(|completion| (1.0, Some(completion)))
        })),
        met: of_owner
            .iter()
            .filter(|result| result.verdict == Verdict::Met)
            .count(),
        closed: of_owner.len(),
    });
    let mut owners: Vec<BusinessOwner> = owners.collect();
    owners.sort_by(|a, b| {
        let of = |owner: &BusinessOwner| owner.completion.unwrap_or(f64::INFINITY);
        of(a).total_cmp(&of(b))
    });
    owners
}

/// The nearest business metric above a KPI.
fn business_above(catalog: &Catalog, kpi: NodeId) -> Option<NodeId> {
    let mut next = catalog.node(kpi).parent.as_ref()?.node;
    while catalog.node(next).role != Role::Business {
        next = catalog.node(next).parent.as_ref()?.node;
    }
    Some(next)
}

/// The weight of a KPI: the mean of what was in force over its closed periods; what is declared where none closed.
fn weight(catalog: &Catalog, results: &[NodeResult], id: NodeId) -> f64 {
    let of_node = results.iter().filter(|result| result.key.node == id);
    let all: Vec<f64> = of_node
        .flat_map(|result| result.weights.iter().copied())
        .collect();
    if all.is_empty() {
        return catalog.node(id).weight.unwrap_or(0.0);
    }
    all.iter().sum::<f64>() / all.len() as f64
}

/// Mean of the capped completions of a node's closed periods, over all its instances, each with the weight that was in
/// force over it.
fn completion(results: &[NodeResult], id: NodeId) -> Option<f64> {
    let of_node = results.iter().filter(|result| result.key.node == id);
    weighted(of_node.flat_map(|result| {
        // A node without weights has periods of one weight.
        let weights = result.weights.iter().copied().chain(std::iter::repeat(1.0));
        let completions = result.completions.iter();
        completions
            .zip(weights)
            .map(|(completion, weight)| (weight, Some(completion.clamp(0.0, CAP))))
    }))
}

fn weighted(parts: impl Iterator<Item = (f64, Option<f64>)>) -> Option<f64> {
    let known: Vec<(f64, f64)> = parts
        .filter_map(|(weight, value)| Some((weight, value?)))
        .collect();
    let all: f64 = known.iter().map(|(weight, _)| weight).sum();
    (all > 0.0).then(|| known.iter().map(|(weight, value)| weight * value).sum::<f64>() / all)
}

fn combined(assess: Assess, kpi: Option<f64>, business: Option<f64>) -> Option<f64> {
    weighted([(assess.kpi, kpi), (assess.business, business)].into_iter())
}
