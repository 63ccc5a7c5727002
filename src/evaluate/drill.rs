//! Drill-down: the fewest dimension values that a node's distance from its plan comes from. After Adtributor (Bhagwan et
//! al., NSDI 2014, "Adtributor: revenue debugging in advertising systems"): of every split that is counted, the smallest
//! set of values that together explain two thirds of the distance, none of them with less than a tenth; splits are
//! ranked by how surprising their sets are, by the Jensen–Shannon terms of what was expected against what came.
//!
//! A metric that adds up is split by each of its declared `dimensions` too that a finer split has, without a node of its own: its
//! values are sums over the others. Dimensions of a node's `drill` are counted for this alone. By what is in neither nothing is
//! counted, and [`not_counted`] names it.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::attribution::{is_some_way_off, planned};
use super::snapshot::{InstanceKey, NodeState, Snapshot};
use crate::catalog::{Agg, Catalog, MetricId, MetricKind, Node, NodeId};

/// Share of the distance that a set explains at least (Adtributor's `T_EP`).
const EXPLAINED: f64 = 0.67;
/// Share of it that every value of a set explains at least (`T_EEP`).
const OF_EACH: f64 = 0.1;

/// Where the distance of a node comes from, along one split.
#[derive(Clone, PartialEq, Debug)]
pub struct Drill {
    /// The node whose instances are the values.
    pub node: NodeId,
    /// Dimensions that it is split by and the whole is not.
    pub dimensions: Vec<String>,
    /// The smallest set, the largest contribution first.
    pub parts: Vec<Part>,
    /// How many other values there are.
    pub others: usize,
    /// Share of the distance that the set explains; more than 1 where the others go the other way.
    pub explained: f64,
    /// What all values together leave of the distance: they do not come to the whole, or their plans do not.
    pub not_explained: f64,
    /// How surprising the set is, 0 to ln 2.
    pub surprise: f64,
}

/// One value of a split.
#[derive(Clone, PartialEq, Debug)]
pub struct Part {
    /// Values of the whole's dimensions and of the split's, in the order of the node that counts them.
    pub key: InstanceKey,
    /// How far it is from what was expected of it, in the unit of the whole.
    pub amount: f64,
    /// The same as a share of the whole's distance (explanatory power).
    pub share: f64,
}

/// One value of a dimension that is counted for a drill alone.
#[derive(Clone, PartialEq, Debug)]
pub struct Counted {
    /// The value.
    pub value: Arc<str>,
    /// What the running period has brought.
    pub came: f64,
    /// What the period before came to.
    pub before: f64,
}

/// What is known of a node's parts besides what a snapshot shows of them.
pub trait Known {
    /// What an instance came to in the period before the running one.
    fn before(&self, part: &NodeState) -> Option<f64>;

    /// What an instance is made of by a dimension of its node's `drill`.
    fn by_dimension(&self, whole: &NodeState, dimension: &str) -> Vec<Counted>;
}

impl<F: Fn(&NodeState) -> Option<f64>> Known for F {
    fn before(&self, part: &NodeState) -> Option<f64> {
        self(part)
    }

    fn by_dimension(&self, _: &NodeState, _: &str) -> Vec<Counted> {
        Vec::new()
    }
}

/// Splits of an instance's distance from its plan that a few values explain, the most surprising first.
///
/// What is expected of a value is its plan; where not all values have one, its share of the period before of the whole's
/// plan. `known` tells what that was, and what is counted by dimensions that no node is split by.
pub fn drill<'c>(
    catalog: &'c Catalog,
    snapshot: &Snapshot,
    key: &InstanceKey,
    known: &impl Known,
) -> Vec<Drill> {
    let Some(whole) = snapshot.instances.find(key) else {
        return Vec::new();
    };
    let declared = catalog.node(key.node);
    let (Some(value), Some(plan)) = (whole.value, planned(catalog, whole)) else {
        return Vec::new();
    };
    // Only what adds up comes from its parts; a level has no share in another one.
    if !is_some_way_off(value, plan) || plan <= 0.0 || !catalog.accumulates(declared.metric) {
        return Vec::new();
    }
    let counted: HashSet<Vec<&String>> = splits(catalog, declared)
        .map(|(_, node)| sorted(&node.each))
        .collect();
    let mut found: Vec<Drill> = Vec::new();
    let mut seen: HashSet<Vec<&'c String>> = HashSet::new();
    let mut look = |id: NodeId, names: Vec<&'c String>, values: Vec<Value<'_>>| {
        // Two nodes with the same split say the same.
        if values.len() < 2 || !seen.insert(sorted(names.iter().copied())) {
            return;
        }
        let beyond = names.into_iter().filter(|of| !declared.each.contains(of));
        found.extend(along(id, beyond.cloned().collect(), (value, plan), values, known));
    };
    for (id, node) in splits(catalog, declared) {
        let positions: Option<Vec<usize>> = declared
            .each
            .iter()
            .map(|of| node.each.iter().position(|other| other == of))
            .collect();
        let Some(positions) = positions else { continue };
        let is_part = |state: &&NodeState| {
            let mut values = positions.iter().zip(key.dimensions.iter());
            state.key.node == id
                && state.period == whole.period
                && values.all(|(&at, value)| state.key.dimensions[at] == *value)
        };
        let parts: Vec<&NodeState> = snapshot.instances.iter().filter(is_part).collect();
        let all: Vec<&String> = node.each.iter().collect();
        look(id, all.clone(), grouped(catalog, node, &all, &parts));
        let beyond = all.iter().filter(|of| !declared.each.contains(of)).count();
        let declares = &catalog.metric(node.metric).dimensions;
        if beyond < 2 || !adds_up(catalog, node.metric) {
            continue;
        }
        // What is counted by shop and channel is counted by channel too: it is the sum over shops. Only what is declared as a
        // dimension is one by itself: shop 1 of the east may have no more than its number in common with shop 1 of the west.
        let own = all
            .iter()
            .filter(|of| declares.contains(of) && !declared.each.contains(of));
        for &one in own {
            let names: Vec<&String> = all
                .iter()
                .copied()
                .filter(|of| *of == one || declared.each.contains(of))
                .collect();
            if !counted.contains(&sorted(names.iter().copied())) {
                look(id, names.clone(), grouped(catalog, node, &names, &parts));
            }
        }
    }
    for dimension in &declared.drill {
        let names: Vec<&String> = declared.each.iter().chain([dimension]).collect();
        let value = |counted: Counted| Value {
            key: InstanceKey {
                node: key.node,
                dimensions: key.dimensions.iter().cloned().chain([counted.value]).collect(),
            },
            states: Vec::new(),
            came: counted.came,
            plan: None,
            before: Some(counted.before),
        };
        // Counting them again costs something; a split that was looked at says the same.
        if !counted.contains(&sorted(names.iter().copied())) {
            let values = known.by_dimension(whole, dimension).into_iter().map(value);
            look(key.node, names, values.collect());
        }
    }
    found.sort_by(|a, b| b.surprise.total_cmp(&a.surprise));
    found
}

/// Dimensions that the metric of an instance declares, and that no split of it is counted by: nothing can be said of them.
pub fn not_counted<'c>(catalog: &'c Catalog, key: &InstanceKey) -> Vec<&'c str> {
    let node = catalog.node(key.node);
    let is_counted = |dimension: &String| {
        node.each.contains(dimension)
            || node.drill.contains(dimension)
            || splits(catalog, node).any(|(_, other)| other.each.contains(dimension))
    };
    let declared = catalog.metric(node.metric).dimensions.iter();
    declared
        .filter(|dimension| !is_counted(dimension))
        .map(String::as_str)
        .collect()
}

/// Nodes by which the metric of a node is split finer.
fn splits<'c>(catalog: &'c Catalog, whole: &'c Node) -> impl Iterator<Item = (NodeId, &'c Node)> {
    let nodes = (0u32..).map(NodeId).zip(&catalog.nodes);
    nodes.filter(|(_, node)| {
        let is_finer = node.each.len() > whole.each.len();
        let holds_all = whole.each.iter().all(|dimension| node.each.contains(dimension));
        node.metric == whole.metric && is_finer && holds_all
    })
}

fn sorted<'n>(names: impl IntoIterator<Item = &'n String>) -> Vec<&'n String> {
    let mut names: Vec<&String> = names.into_iter().collect();
    names.sort();
    names
}

/// Whether parts come to their whole. One customer of two shops is one customer.
fn adds_up(catalog: &Catalog, metric: MetricId) -> bool {
    match &catalog.metric(metric).kind {
        MetricKind::Simple(simple) => matches!(simple.agg, Agg::Sum | Agg::Count),
        MetricKind::Ratio { .. } | MetricKind::Duration(_) | MetricKind::Conversion(_) => false,
        MetricKind::Derived { expr, inputs } => {
            expr.is_linear() && inputs.iter().all(|input| adds_up(catalog, *input))
        }
    }
}

/// A value of a split, with what is counted of it.
struct Value<'s> {
    key: InstanceKey,
    states: Vec<&'s NodeState>,
    came: f64,
    /// Its plan; `None` where not all that is counted of it has one.
    plan: Option<f64>,
    /// What it came to in the period before, where that is not told by its states.
    before: Option<f64>,
}

/// Parts by their values of some dimensions of their node.
fn grouped<'s>(catalog: &Catalog, node: &Node, names: &[&String], parts: &[&'s NodeState]) -> Vec<Value<'s>> {
    let positions: Vec<usize> = names
        .iter()
        .filter_map(|name| node.each.iter().position(|other| other == *name))
        .collect();
    let mut by_values: BTreeMap<Vec<&Arc<str>>, Vec<&'s NodeState>> = BTreeMap::new();
    for &part in parts {
        let values = positions.iter().map(|&at| &part.key.dimensions[at]).collect();
        by_values.entry(values).or_default().push(part);
    }
    let value = |(values, states): (Vec<&Arc<str>>, Vec<&'s NodeState>)| Value {
        key: InstanceKey {
            node: states[0].key.node,
            dimensions: values.into_iter().cloned().collect(),
        },
        came: states.iter().map(|state| state.value.unwrap_or(0.0)).sum(),
        plan: states.iter().map(|state| planned(catalog, state)).sum(),
        before: None,
        states,
    };
    by_values.into_iter().map(value).collect()
}

/// The smallest set along one split, if a small one explains enough.
fn along(
    node: NodeId,
    dimensions: Vec<String>,
    (value, plan): (f64, f64),
    values: Vec<Value<'_>>,
    known: &impl Known,
) -> Option<Drill> {
    let expected = expected(plan, &values, known)?;
    let mut all: Vec<(Part, f64)> = values
        .into_iter()
        .zip(&expected)
        .map(|(of, &expected)| {
            let amount = of.came - expected;
            let part = Part {
                key: of.key,
                amount,
                share: amount / (value - plan),
            };
            (part, surprise(expected / plan, of.came / value))
        })
        .collect();
    all.sort_by(|(a, _), (b, _)| b.share.total_cmp(&a.share));
    let of_all: f64 = all.iter().map(|(part, _)| part.amount).sum();
    let count = all.len();
    let mut drill = Drill {
        node,
        dimensions,
        parts: Vec::new(),
        others: count,
        explained: 0.0,
        not_explained: value - plan - of_all,
        surprise: 0.0,
    };
    for (part, surprise) in all {
        if part.share < OF_EACH || drill.explained >= EXPLAINED {
            break;
        }
        drill.explained += part.share;
        drill.surprise += surprise;
        drill.others -= 1;
        drill.parts.push(part);
    }
    // More than half of them is no small set.
    (drill.explained >= EXPLAINED && drill.others >= drill.parts.len()).then_some(drill)
}

/// What was expected of each value, in their order.
fn expected(plan: f64, values: &[Value<'_>], known: &impl Known) -> Option<Vec<f64>> {
    let plans: Option<Vec<f64>> = values.iter().map(|of| of.plan).collect();
    if plans.is_some() {
        return plans;
    }
    let came = |of: &Value<'_>| -> f64 {
        let of_states = || {
            let states = of.states.iter();
            states
                .map(|state| known.before(state).unwrap_or(0.0).max(0.0))
                .sum()
        };
        of.before.map_or_else(of_states, |before| before.max(0.0))
    };
    let came: Vec<f64> = values.iter().map(came).collect();
    let total: f64 = came.iter().sum();
    (total > 0.0).then(|| came.iter().map(|came| came / total * plan).collect())
}

/// The term of one value in the Jensen–Shannon divergence of two distributions.
fn surprise(p: f64, q: f64) -> f64 {
    let (p, q) = (p.max(0.0), q.max(0.0));
    let term = |of: f64| {
        if of > 0.0 && of.is_finite() {
            of * (2.0 * of / (p + q)).ln()
        } else {
            0.0
        }
    };
    0.5 * (term(p) + term(q))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::load::{Files, load};
    use crate::evaluate::Period;

    /// Sales of 2 regions with 3 shops each and by 2 channels; expected 100 a shop, and 300 a channel.
    const CATALOG: &str = "sources: {s: {topics: [t], format: json, fields: {v: v, region: region, shop: shop, channel: channel}}}
metrics:
  m: {source: s, agg: sum, expr: v}
  n: {source: s, agg: count}
nodes:
  all:      {metric: m, role: business, period: month, target: 1000}
  regions:  {metric: m, role: business, parent: all, relation: sum, each: [region], period: month}
  shops:    {metric: m, role: business, parent: regions, relation: sum, each: [region, shop], period: month}
  again:    {metric: m, role: business, parent: regions, relation: influence, each: [shop, region], period: month}
  channels: {metric: m, role: business, parent: all, relation: sum, each: [channel], period: month}
  others:   {metric: n, role: business, each: [channel], period: month}
";

    fn catalog() -> Catalog {
        load(&Files::new("", [("a.yaml", CATALOG)]))
            .map_err(|problems| problems.to_string())
            .unwrap()
    }

    type Sale = (&'static str, &'static [&'static str], f64);

    /// A snapshot with these values; the whole has a plan of 600 by now, and nobody else has one.
    fn snapshot(catalog: &Catalog, whole: f64, sales: &[Sale]) -> Snapshot {
        snapshot_of(catalog, "all", whole, sales)
    }

    fn snapshot_of(catalog: &Catalog, all: &'static str, whole: f64, sales: &[Sale]) -> Snapshot {
        let period = period_of_june(catalog);
        let state = |(name, dimensions, value): &Sale| {
            let node = catalog.nodes.iter().position(|node| node.name == *name).unwrap();
            let key = InstanceKey {
                node: NodeId(node as u32),
                dimensions: dimensions.iter().map(|value| Arc::from(*value)).collect(),
            };
            NodeState {
                value: Some(*value),
                ..NodeState::unknown(key, None, period)
            }
        };
        let mut instances: Vec<NodeState> = sales.iter().map(state).collect();
        instances.push(NodeState {
            target: Some(1000.0),
            expected_share: 0.6,
            ..state(&(all, &[], whole))
        });
        Snapshot {
            instances: instances.into_iter().collect(),
            ..Snapshot::default()
        }
    }

    fn period_of_june(catalog: &Catalog) -> Period {
        let day = "2026-06-18".parse().unwrap();
        Period::containing(crate::catalog::PeriodKind::Month, day, &catalog.calendar)
    }

    const SHOPS: [&[&str]; 6] = [
        &["east", "1"],
        &["east", "2"],
        &["east", "3"],
        &["west", "1"],
        &["west", "2"],
        &["west", "3"],
    ];

    /// Dimensions, values with their shares, and how many others there are.
    type Told = (String, Vec<(String, f64)>, usize);

    fn told(whole: f64, shops: [f64; 6], channels: [f64; 2]) -> Vec<Told> {
        let catalog = catalog();
        let mut sales: Vec<Sale> = Vec::new();
        sales.extend(
            SHOPS
                .iter()
                .zip(shops)
                .map(|(shop, value)| ("shops", *shop, value)),
        );
        sales.push(("regions", &["east"], shops[..3].iter().sum()));
        sales.push(("regions", &["west"], shops[3..].iter().sum()));
        sales.push(("channels", &["web"], channels[0]));
        sales.push(("channels", &["shop"], channels[1]));
        let snapshot = snapshot(&catalog, whole, &sales);
        let key = snapshot
            .instances
            .iter()
            .find(|state| state.key.dimensions.is_empty())
            .unwrap()
            .key
            .clone();
        // A month ago every shop brought as much as every other one, and so did both channels.
        let found = drill(&catalog, &snapshot, &key, &|_: &NodeState| Some(50.0));
        found
            .into_iter()
            .map(|drill| {
                let parts = drill.parts.iter().map(|part| {
                    let share = (part.share * 1000.0).round() / 1000.0;
                    (part.key.dimensions.join("/"), share)
                });
                (drill.dimensions.join(" × "), parts.collect(), drill.others)
            })
            .collect()
    }

    #[test]
    fn one_shop_is_found_before_its_region_and_channels_that_share_it_are_not() {
        // 90 of the 100 that are missing, in one shop; both channels miss half of it.
        let found = told(500.0, [10.0, 95.0, 100.0, 100.0, 95.0, 100.0], [250.0, 250.0]);
        let part = |name: &str, share| (name.to_owned(), share);
        assert_eq!(
            found,
            [
                ("region × shop".to_owned(), vec![part("east/1", 0.9)], 5),
                ("region".to_owned(), vec![part("east", 0.95)], 1),
            ]
        );
    }

    /// A shop and channel split is the only one there is, and a metric that does not add up has the same.
    const CROSSED: &str = "sources: {s: {topics: [t], format: json, fields: {v: v, shop: shop, channel: channel, rep: rep}}}
metrics:
  m: {source: s, agg: sum, expr: v, dimensions: [shop, channel, rep]}
  d: {source: s, agg: count_distinct, expr: v}
nodes:
  all:     {metric: m, role: business, period: month, target: 1000}
  crossed: {metric: m, role: business, parent: all, relation: sum, each: [shop, channel], period: month}
  keys:    {metric: d, role: business, period: month, target: 1000}
  by-key:  {metric: d, role: business, parent: keys, relation: influence, each: [shop, channel], period: month}
";

    #[test]
    fn a_dimension_of_a_finer_split_needs_no_node_and_parts_come_to_the_gap_to_the_last_digit() {
        let catalog = load(&Files::new("", [("a.yaml", CROSSED)]))
            .map_err(|problems| problems.to_string())
            .unwrap();
        // Four shops by two channels: 600 were planned by now. The web lacks about the same in each shop.
        const CELLS: [(&[&str], f64); 8] = [
            (&["1", "web"], 50.1),
            (&["1", "store"], 75.3),
            (&["2", "web"], 49.7),
            (&["2", "store"], 74.9),
            (&["3", "web"], 50.4),
            (&["3", "store"], 75.1),
            (&["4", "web"], 49.9),
            (&["4", "store"], 74.2),
        ];
        // Half a unit of the whole is in none of them.
        let whole: f64 = CELLS.iter().map(|(_, value)| value).sum::<f64>() + 0.5;
        let of = |name: &'static str, all: &'static str| {
            let sales: Vec<Sale> = CELLS.iter().map(|(of, value)| (name, *of, *value)).collect();
            let snapshot = snapshot_of(&catalog, all, whole, &sales);
            let key = InstanceKey {
                node: catalog.node_named(all).unwrap(),
                dimensions: [].into(),
            };
            // Each brought as much as every other one a month ago.
            drill(&catalog, &snapshot, &key, &|_: &NodeState| Some(50.0))
        };
        let found = of("crossed", "all");
        let by_channel = found
            .iter()
            .find(|drill| drill.dimensions == ["channel"])
            .unwrap();
        assert!(
            found.iter().all(|drill| drill.dimensions != ["shop"]),
            "{found:#?}"
        );
        let [web] = &by_channel.parts[..] else {
            panic!("{by_channel:#?}")
        };
        // 300 of 600 were expected, and 50.1 + 49.7 + 50.4 + 49.9 = 200.1 came.
        assert_eq!(web.key.dimensions.join("/"), "web");
        assert!((web.amount + 99.9).abs() < 1e-9, "{web:?}");
        // The store has 299.5 of 300; with it and the half that is nowhere it is 500.1 − 600.
        let store = 299.5 - 300.0;
        assert!((by_channel.not_explained - 0.5).abs() < 1e-9, "{by_channel:?}");
        let sum = web.amount + store + by_channel.not_explained;
        assert!((sum - (whole - 600.0)).abs() < 1e-9, "{sum} of {}", whole - 600.0);
        // Keys of two channels are not the sum of both, so what is not counted by channel alone is not told.
        assert!(
            of("by-key", "keys")
                .iter()
                .all(|drill| drill.dimensions.len() == 2)
        );
        // Of what is declared and in no split there is nothing to tell, and that is said.
        let key = |name: &str| InstanceKey {
            node: catalog.node_named(name).unwrap(),
            dimensions: [].into(),
        };
        assert_eq!(not_counted(&catalog, &key("all")), ["rep"]);
        assert_eq!(not_counted(&catalog, &key("keys")), Vec::<&str>::new());
    }

    #[test]
    fn a_set_is_as_small_as_it_can_be_and_others_may_go_the_other_way() {
        // 60 and 50 less, 10 more: the two explain 1.1 of what is missing.
        let found = told(500.0, [40.0, 100.0, 110.0, 100.0, 50.0, 100.0], [250.0, 250.0]);
        let (dimensions, parts, others) = &found[0];
        assert_eq!((dimensions.as_str(), *others), ("region × shop", 4));
        assert_eq!(parts, &[("east/1".to_owned(), 0.6), ("west/2".to_owned(), 0.5)]);
    }

    #[test]
    fn what_everybody_lacks_comes_from_nobody() {
        let even = [500.0 / 6.0; 6];
        assert_eq!(told(500.0, even, [250.0, 250.0]), []);
        // Within a hundredth of the plan there is nothing to look for.
        assert_eq!(
            told(596.0, [96.0, 100.0, 100.0, 100.0, 100.0, 100.0], [298.0, 298.0]),
            []
        );
    }
}
