//! Where most of a node's distance from its plan comes from, for those who read a message or a review.

use std::sync::Arc;

use super::notice::{Cause, Causes, NotExplained};
use super::record::{Facts, Labels};
use super::rule_error::RULE_ERROR;
use crate::catalog::{Catalog, NodeId, Relation};
use crate::evaluate::attribution::{Account, Contribution, Driver, Untold, attribute, is_some_way_off};
use crate::evaluate::drill::{Known, Part, drill};
use crate::evaluate::{InstanceKey, NodeState, Snapshot};

/// Parts of a distance that are named.
const NAMED: usize = 3;
/// Share of a distance from which on a part is named.
const LEAST: f64 = 0.1;
/// Share of a distance up to which a remainder is one of rounding.
const ROUNDING: f64 = 0.01;
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
/// or factors, or the KPIs that drive it. `known` tells what instances came to in the period before the running one and what is
/// counted by dimensions that no node is split by, and `driver` how a KPI stands over the days that its parent answers.
pub fn of(
    catalog: &Catalog,
    snapshot: &Snapshot,
    key: &InstanceKey,
    known: &impl Known,
    driver: impl Fn(&NodeState, &NodeState) -> Result<Driver, Untold>,
) -> Option<Causes> {
    let found = values(catalog, snapshot, key, known);
    let found = found.or_else(|| parts(catalog, snapshot, key, driver))?;
    let node = catalog.node(key.node);
    Some(Causes {
        of: node.title.clone(),
        unit: catalog.metric(node.metric).unit.clone(),
        ..found
    })
}

/// Causes of something that has no title yet.
fn causes(named: Vec<Cause>, others: usize, not_explained: f64, distance: f64) -> Causes {
    let rest = NotExplained {
        amount: not_explained,
        share: not_explained / distance,
    };
    Causes {
        of: String::new(),
        unit: None,
        parts: named,
        others,
        not_explained: Some(rest).filter(|rest| rest.share.abs() >= ROUNDING),
    }
}

fn values(catalog: &Catalog, snapshot: &Snapshot, key: &InstanceKey, known: &impl Known) -> Option<Causes> {
    let found = drill(catalog, snapshot, key, known).into_iter().next()?;
    // A part has the values of the whole's dimensions and of the split's, in the order of the node that counts them.
    let whole = &catalog.node(key.node).each;
    let counted = catalog.node(found.node);
    let names: Vec<&String> = counted
        .each
        .iter()
        .chain(&counted.drill)
        .filter(|name| whole.contains(name) || found.dimensions.contains(name))
        .collect();
    let cause = |part: &Part| {
        let values = names.iter().zip(part.key.dimensions.iter());
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
    // Every part of a set has at least a tenth of the distance.
    let distance = found.parts.first().map(|part| part.amount / part.share)?;
    Some(causes(named, others, found.not_explained, distance))
}

fn parts(
    catalog: &Catalog,
    snapshot: &Snapshot,
    key: &InstanceKey,
    driver: impl Fn(&NodeState, &NodeState) -> Result<Driver, Untold>,
) -> Option<Causes> {
    let found = attribute(catalog, snapshot, key, driver)?;
    if !is_some_way_off(found.value, found.plan) {
        return None;
    }
    let distance = found.distance();
    let is_driven = |account: &&Account| account.relation == Relation::Influence;
    let made_up = found.accounts.iter().filter(|account| !is_driven(account));
    let made_up = made_up.min_by(|a, b| a.not_explained.abs().total_cmp(&b.not_explained.abs()));
    // What drives it explains a part at best, and is worth saying where that is the larger one.
    let explains_most = |account: &&Account| account.not_explained.abs() <= 0.5 * distance.abs();
    let driven = || found.accounts.iter().filter(is_driven).find(explains_most);
    let account = made_up.or_else(driven)?;
    let cause = |part: &Contribution| {
        let amount = part.amount.ok()?;
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
    (!named.is_empty()).then(|| causes(named, others, account.not_explained, distance))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::PeriodKind;
    use crate::catalog::load::{Files, load};
    use crate::evaluate::Period;

    /// Half of June has passed.
    const CATALOG: &str = "
sources: {s: {topics: [t], format: json, fields: {v: v, shop: shop}}}
metrics:
  sales:  {source: s, agg: sum, expr: v}
  visits: {source: s, agg: count}
nodes:
  all:    {metric: sales, role: business, period: month}
  shops:  {metric: sales, role: business, parent: all, relation: sum, each: [shop], period: month}
  driven: {metric: sales, role: business, period: month}
  visits: {metric: visits, role: kpi, parent: driven, period: month}
";

    fn told(whole: &str, numbers: &[(&str, &[&str], f64, f64)], elasticity: Option<f64>) -> Option<Causes> {
        let catalog = load(&Files::new("", [("a.yaml", CATALOG)]))
            .map_err(|problems| problems.to_string())
            .unwrap();
        let key = |name: &str, dimensions: &[&str]| InstanceKey {
            node: catalog.node_named(name).unwrap(),
            dimensions: dimensions.iter().map(|value| Arc::from(*value)).collect(),
        };
        let period = Period::containing(
            PeriodKind::Month,
            "2026-06-16".parse().unwrap(),
            &catalog.calendar,
        );
        let instances = numbers.iter().map(|(name, dimensions, value, target)| {
            let key = key(name, dimensions);
            let parent = catalog.node(key.node).parent.as_ref();
            let parent = parent.map(|parent| InstanceKey {
                node: parent.node,
                dimensions: [].into(),
            });
            NodeState {
                value: Some(*value),
                target: Some(*target),
                expected_share: 0.5,
                elapsed: 0.5,
                ..NodeState::unknown(key, parent, period)
            }
        });
        let snapshot = Snapshot {
            instances: instances.collect(),
            ..Snapshot::default()
        };
        let driver = |kpi: &NodeState, _: &NodeState| {
            Ok(Driver {
                elasticity: elasticity.ok_or(Untold::Learning)?,
                value: kpi.value.unwrap(),
                plan: 0.5 * kpi.target.unwrap(),
            })
        };
        of(
            &catalog,
            &snapshot,
            &key(whole, &[]),
            &|_: &NodeState| None,
            driver,
        )
    }

    /// Titles with amounts and shares of the distance, and what is left.
    type Short<'c> = (Vec<(&'c str, f64, f64)>, Option<(f64, f64)>);

    fn short(causes: &Causes) -> Short<'_> {
        let parts = causes.parts.iter();
        let parts = parts.map(|part| (part.title.as_str(), part.amount, part.share));
        let rest = causes.not_explained.map(|rest| (rest.amount, rest.share));
        (parts.collect(), rest)
    }

    #[test]
    fn what_parts_leave_is_told_and_not_spread() {
        // 100 are missing: 60 and 20 of them in the shops, and 20 in none of those that are known.
        let numbers: &[(&str, &[&str], f64, f64)] = &[
            ("all", &[], 400.0, 1000.0),
            ("shops", &["a"], 190.0, 500.0),
            ("shops", &["b"], 230.0, 500.0),
        ];
        let found = told("all", numbers, None).unwrap();
        let parts = vec![("a", -60.0, 0.6), ("b", -20.0, 0.2)];
        assert_eq!(short(&found), (parts, Some((-20.0, 0.2))));
    }

    #[test]
    fn a_whole_that_is_on_plan_has_no_parts_of_a_distance() {
        // One shop is 50 above and the other 51 below: of a distance of 1 that would be 51 times all of it.
        let numbers: &[(&str, &[&str], f64, f64)] = &[
            ("all", &[], 499.0, 1000.0),
            ("shops", &["a"], 300.0, 500.0),
            ("shops", &["b"], 199.0, 500.0),
        ];
        assert_eq!(told("all", numbers, None), None);
    }

    #[test]
    fn what_drives_a_business_is_told_where_it_is_most_of_it() {
        let numbers: &[(&str, &[&str], f64, f64)] =
            &[("driven", &[], 400.0, 1000.0), ("visits", &[], 40.0, 100.0)];
        // A fifth fewer visits, eight tenths of which show in sales: 80 of the 100 that are missing.
        let found = told("driven", numbers, Some(0.8)).unwrap();
        let (parts, rest) = short(&found);
        let [(title, amount, share)] = parts[..] else {
            panic!("{parts:?}")
        };
        assert!(title == "visits" && (amount + 80.0).abs() < 1e-9 && (share - 0.8).abs() < 1e-9);
        let (amount, share) = rest.unwrap();
        assert!((amount + 20.0).abs() < 1e-9 && (share - 0.2).abs() < 1e-9);
        assert_eq!(told("driven", numbers, Some(0.4)), None, "less than half of it");
        assert_eq!(told("driven", numbers, None), None);
    }
}
