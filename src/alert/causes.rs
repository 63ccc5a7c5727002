//! Where most of a node's distance from its plan comes from, for those who read a message or a review.

use std::sync::Arc;

use super::notice::{Cause, Causes};
use super::record::{Facts, Labels};
use super::rule_error::RULE_ERROR;
use crate::catalog::{Catalog, NodeId, Relation};
use crate::evaluate::attribution::{Contribution, attribute};
use crate::evaluate::drill::{Part, drill};
use crate::evaluate::{InstanceKey, NodeState, Snapshot};

/// Parts of a distance that are named.
const NAMED: usize = 3;
/// Share of a distance from which on a part is named.
const LEAST: f64 = 0.1;
/// Kinds of alerts that are about no distance from a plan.
const UNCAUSED: [&str; 4] = ["feed_gap", "unit_change", "unreconciled", RULE_ERROR];

/// The instance whose distance from its plan an alert is about; `None` where it is about something else.
pub fn about(catalog: &Catalog, kind: &str, labels: &Labels, facts: &Facts) -> Option<InstanceKey> {
    let is_about_more = facts.item.is_some() || facts.source.is_some() || facts.entry.is_some();
    if is_about_more || UNCAUSED.contains(&kind) {
        return None;
    }
    // Of a link the business is what falls behind.
    let label = match facts.parent {
        Some(_) => "parent",
        None => "node",
    };
    instance(catalog, catalog.node_named(labels.get(label)?)?, labels)
}

/// The instance of a node that these labels name.
pub(super) fn instance(catalog: &Catalog, node: NodeId, labels: &Labels) -> Option<InstanceKey> {
    let each = &catalog.node(node).each;
    let value = |name: &String| labels.get(name).map(|value| Arc::from(value.as_str()));
    Some(InstanceKey {
        node,
        dimensions: each.iter().map(value).collect::<Option<_>>()?,
    })
}

/// The few dimension values that most of the distance of an instance comes from, where its node is split; else the parts
/// or factors. `before` tells what an instance came to in the period before the running one.
pub fn of(
    catalog: &Catalog,
    snapshot: &Snapshot,
    key: &InstanceKey,
    before: impl Fn(&NodeState) -> Option<f64>,
) -> Option<Causes> {
    let (parts, others) = values(catalog, snapshot, key, before).or_else(|| parts(catalog, snapshot, key))?;
    let node = catalog.node(key.node);
    Some(Causes {
        of: node.title.clone(),
        unit: catalog.metric(node.metric).unit.clone(),
        parts,
        others,
    })
}

fn values(
    catalog: &Catalog,
    snapshot: &Snapshot,
    key: &InstanceKey,
    before: impl Fn(&NodeState) -> Option<f64>,
) -> Option<(Vec<Cause>, usize)> {
    let found = drill(catalog, snapshot, key, before).into_iter().next()?;
    let declared = catalog.node(found.node);
    let cause = |part: &Part| {
        let values = declared.each.iter().zip(part.key.dimensions.iter());
        let beyond: Vec<&str> = values
            .filter(|(name, _)| found.dimensions.contains(name))
            .map(|(_, value)| &**value)
            .collect();
        Cause {
            title: beyond.join(" / "),
            amount: part.amount,
            share: part.share,
        }
    };
    let named: Vec<Cause> = found.parts.iter().take(NAMED).map(cause).collect();
    let others = found.others + found.parts.len() - named.len();
    Some((named, others))
}

fn parts(catalog: &Catalog, snapshot: &Snapshot, key: &InstanceKey) -> Option<(Vec<Cause>, usize)> {
    let found = attribute(catalog, snapshot, key, |_| None)?;
    let distance = found.distance();
    let accounts = found.accounts.into_iter();
    let account = accounts
        .filter(|account| account.relation != Relation::Influence)
        .min_by(|a, b| a.not_explained.abs().total_cmp(&b.not_explained.abs()))?;
    let cause = |part: &Contribution| {
        let amount = part.amount?;
        let node = catalog.node(part.key.node);
        let values: Vec<&str> = part.key.dimensions.iter().map(|value| &**value).collect();
        Some(Cause {
            title: match values.is_empty() {
                true => node.title.clone(),
                false => values.join(" / "),
            },
            amount,
            share: amount / distance,
        })
    };
    let named: Vec<Cause> = account
        .parts
        .iter()
        .filter_map(cause)
        .filter(|cause| cause.share >= LEAST)
        .take(NAMED)
        .collect();
    let others = account.parts.len() - named.len();
    (!named.is_empty()).then_some((named, others))
}
