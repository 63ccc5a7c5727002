//! Findings about nodes: owners, targets, weights, and whether KPIs and business meet.

use std::collections::BTreeMap;

use super::{Findings, S02, S03, S05, S06, S07, S08, S10};
use crate::catalog::{Agg, Catalog, MetricKind, Node, NodeId, Relation, Role, RuleOn, Target};

/// Points of weight from which a single KPI carries its parent alone.
const NEARLY_ALL: f64 = 80.0;
/// Difference from 100 that is rounding.
const ROUNDING: f64 = 0.5;

pub(super) fn lint(catalog: &Catalog, findings: &mut Findings) {
    for (index, node) in (0u32..).zip(&catalog.nodes) {
        owner(node, findings);
        target(node, findings);
        weight(node, findings);
        served_by_one(catalog, NodeId(index), findings);
        served_by_nobody(catalog, NodeId(index), findings);
        action_only(catalog, node, findings);
    }
    weights(catalog, findings);
}

fn owner(node: &Node, findings: &mut Findings) {
    let name = &node.name;
    match (&node.owner, node.role) {
        (Some(_), _) => {}
        (None, Role::Kpi) => {
            let message = format!("KPI '{name}' has no owner: who answers for it? add owner: …");
            findings.warning(S02, name, &node.place, message);
        }
        (None, Role::Business) => {
            let message = format!("'{name}' has no owner: who is told when it stands still? add owner: …");
            findings.note(S02, name, &node.place, message);
        }
    }
}

fn target(node: &Node, findings: &mut Findings) {
    if node.target != Target::None {
        return;
    }
    let name = &node.name;
    let what = if node.role == Role::Kpi { "KPI " } else { "" };
    let message = format!(
        "{what}'{name}' has no target, so nobody can say whether it is done; \
         add target: 1200, {{growth: 30%, over: last_year}} or {{file: targets.csv}}"
    );
    // The parts of a whole are understood without targets of their own; everything else is not.
    let part = node.role == Role::Business && node.parent.is_some();
    if part {
        findings.note(S03, name, &node.place, message);
    } else {
        findings.warning(S03, name, &node.place, message);
    }
}

fn weight(node: &Node, findings: &mut Findings) {
    if node.role == Role::Kpi && node.weight.is_none() {
        let message = format!(
            "KPI '{}' has no weight and does not count in its owner's score; add weight: 0 to 100",
            node.name
        );
        findings.note(S05, &node.name, &node.place, message);
    }
}

/// What an owner is assessed by comes to 100 points.
fn weights(catalog: &Catalog, findings: &mut Findings) {
    let mut owners: BTreeMap<&str, Vec<(&Node, f64)>> = BTreeMap::new();
    for node in catalog.nodes.iter().filter(|node| node.role == Role::Kpi) {
        if let (Some(owner), Some(weight)) = (&node.owner, node.weight) {
            owners.entry(owner).or_default().push((node, weight));
        }
    }
    for (owner, mut assessed) in owners {
        let sum: f64 = assessed.iter().map(|(_, weight)| weight).sum();
        if (sum - 100.0).abs() <= ROUNDING {
            continue;
        }
        assessed.sort_by_key(|(node, _)| node.place.clone());
        let parts: Vec<String> = assessed
            .iter()
            .map(|(node, weight)| format!("{} {weight}", node.name))
            .collect();
        let message = match assessed.as_slice() {
            [(node, weight)] => format!(
                "the only KPI of '{owner}' is '{}' with weight {weight}; write 100, or declare what the other {} are for",
                node.name,
                100.0 - weight
            ),
            _ => format!(
                "the weights of '{owner}' come to {sum} and not to 100: {}",
                parts.join(", ")
            ),
        };
        if let Some((node, _)) = assessed.first() {
            findings.warning(S06, owner, &node.place, message);
        }
    }
}

/// A business node with a single KPI that is nearly the whole of it: once that one is gamed, nothing else shows it.
fn served_by_one(catalog: &Catalog, id: NodeId, findings: &mut Findings) {
    let node = catalog.node(id);
    let children: Vec<&Node> = catalog.children(id).map(|child| catalog.node(child)).collect();
    if let ([only], Role::Business) = (children.as_slice(), node.role)
        && only.role == Role::Kpi
        && only.weight.is_some_and(|weight| weight >= NEARLY_ALL)
    {
        let message = format!(
            "'{}' hangs by '{}' alone, with weight {}; add a second KPI, such as one of quality, that shows when it is gamed",
            node.name,
            only.name,
            only.weight.unwrap_or_default()
        );
        findings.note(S07, &only.name, &only.place, message);
    }
}

fn served_by_nobody(catalog: &Catalog, id: NodeId, findings: &mut Findings) {
    let node = catalog.node(id);
    if node.role != Role::Business || node.parent.is_some() || has_kpi_below(catalog, id) {
        return;
    }
    let name = &node.name;
    let message =
        format!("nobody serves '{name}': no KPI stands below it; add one with role: kpi and parent: {name}");
    findings.warning(S08, name, &node.place, message);
}

fn has_kpi_below(catalog: &Catalog, id: NodeId) -> bool {
    catalog
        .children(id)
        .any(|child| catalog.node(child).role == Role::Kpi || has_kpi_below(catalog, child))
}

/// "50 articles published": done by doing, whether or not it does anything.
fn action_only(catalog: &Catalog, node: &Node, findings: &mut Findings) {
    let counts = match &catalog.metric(node.metric).kind {
        MetricKind::Simple(simple) => simple.agg == Agg::Count,
        _ => false,
    };
    let Some(parent) = node
        .parent
        .as_ref()
        .filter(|parent| parent.relation == Relation::Influence)
    else {
        return;
    };
    let judged = catalog
        .rules
        .iter()
        .any(|rule| rule.on == RuleOn::Link && rule.place.is_some() && rule.applies_to(&node.name));
    if node.role == Role::Kpi && counts && !judged {
        let (name, served) = (&node.name, &catalog.node(parent.node).name);
        let message = format!(
            "KPI '{name}' counts actions, and nothing tests whether '{served}' follows; \
             add a rule with on: link, nodes: [{name}], such as when: kpi.completion >= 0.9 && parent.pace < 0.9"
        );
        findings.note(S10, name, &node.place, message);
    }
}
