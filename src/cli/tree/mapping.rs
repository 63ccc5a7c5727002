//! The two-way KPI mapping table: which KPIs serve a business metric, and which business metric a KPI serves.

use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr;

use crate::catalog::{Catalog, Node, NodeId, Relation, Role};

use super::padded;

/// A KPI and a business node that it serves, with the nodes between them.
struct Way {
    kpi: NodeId,
    /// From the KPI up to the business node, both of them included.
    steps: Vec<NodeId>,
}

/// As two tables for a terminal: from business metrics down, and from KPIs up.
pub fn text(catalog: &Catalog) -> String {
    let mut down = vec![row([
        "BUSINESS METRIC",
        "OWNER",
        "ASSESSED",
        "SERVED BY",
        "KPI ASSESSED",
        "PATH",
        "KPI OWNER",
        "WEIGHT",
    ])];
    for id in with_role(catalog, Role::Business) {
        let node = catalog.node(id);
        let ways = ways_to(catalog, id);
        if ways.is_empty() {
            let assessed = assessed(catalog, id).words();
            down.push(row([
                &node.title,
                owner(node),
                assessed,
                "nobody",
                "",
                "",
                "",
                "",
            ]));
        }
        for (index, way) in ways.iter().enumerate() {
            let kpi = catalog.node(way.kpi);
            let (title, owned, counts) = if index == 0 {
                (node.title.as_str(), owner(node), assessed(catalog, id).words())
            } else {
                ("", "", "")
            };
            let weight = weight(kpi);
            down.push(row([
                title,
                owned,
                counts,
                &kpi.title,
                assessed(catalog, way.kpi).words(),
                &path(catalog, way),
                owner(kpi),
                &weight,
            ]));
        }
    }
    let mut up = vec![row([
        "KPI",
        "ASSESSED",
        "OWNER",
        "WEIGHT",
        "SERVES",
        "PATH",
        "BUSINESS OWNER",
    ])];
    for id in with_role(catalog, Role::Kpi) {
        let kpi = catalog.node(id);
        let (title, weight) = (&kpi.title, weight(kpi));
        let assessed = assessed(catalog, id).words();
        match nearest_business(catalog, id) {
            Some(way) => {
                let served = catalog.node(way.steps[way.steps.len() - 1]);
                up.push(row([
                    title,
                    assessed,
                    owner(kpi),
                    &weight,
                    &served.title,
                    &path(catalog, &way),
                    owner(served),
                ]));
            }
            None => up.push(row([title, assessed, owner(kpi), &weight, "nothing", "", ""])),
        }
    }
    let mut out = format!("{}\n{}", table(&down), table(&up));
    let loose = loose(catalog);
    if !loose.is_empty() {
        out.push_str(&format!("\nMetrics that are neither: {}\n", loose.join(", ")));
    }
    out.push_str("\n⇢ influences   + adds up to   × multiplies to   ÷ is a part of the ratio\n");
    out
}

/// For a program to read.
pub fn json(catalog: &Catalog) -> String {
    let business: Vec<Value> = with_role(catalog, Role::Business)
        .map(|id| {
            let ways = ways_to(catalog, id);
            let mut value = shape(catalog, id);
            value["served_by"] = ways
                .iter()
                .map(|way| json!({"node": catalog.node(way.kpi).name, "path": steps(catalog, way)}))
                .collect();
            value
        })
        .collect();
    let kpis: Vec<Value> = with_role(catalog, Role::Kpi)
        .map(|id| {
            let mut value = shape(catalog, id);
            value["serves"] = nearest_business(catalog, id).map_or(Value::Null, |way| {
                let served = &catalog.node(way.steps[way.steps.len() - 1]).name;
                json!({"node": served, "path": steps(catalog, &way)})
            });
            value
        })
        .collect();
    json!({"business": business, "kpis": kpis, "unmapped_metrics": loose(catalog)}).to_string()
}

fn shape(catalog: &Catalog, id: NodeId) -> Value {
    let node = catalog.node(id);
    let assessed = assessed(catalog, id);
    json!({
        "node": node.name,
        "title": node.title,
        "metric": catalog.metric(node.metric).name,
        "role": node.role,
        "level": node.level,
        "parent": node.parent.as_ref().map(|parent| &catalog.node(parent.node).name),
        "relation": node.parent.as_ref().map(|parent| parent.relation),
        "each": node.each,
        "assessed": assessed == Assessed::Yes,
        "not_assessed_because": assessed.because(),
        "owner": node.owner,
        "weight": node.weight,
    })
}

fn steps(catalog: &Catalog, way: &Way) -> Vec<Value> {
    way.steps
        .windows(2)
        .map(|step| {
            let relation = catalog.node(step[0]).parent.as_ref().map(|parent| parent.relation);
            json!({"from": catalog.node(step[0]).name, "relation": relation, "to": catalog.node(step[1]).name})
        })
        .collect()
}

fn with_role(catalog: &Catalog, role: Role) -> impl Iterator<Item = NodeId> + '_ {
    (0u32..)
        .zip(&catalog.nodes)
        .filter(move |(_, node)| node.role == role)
        .map(|(index, _)| NodeId(index))
}

/// Every KPI below a business node, the nearest first.
fn ways_to(catalog: &Catalog, business: NodeId) -> Vec<Way> {
    let mut ways: Vec<Way> = with_role(catalog, Role::Kpi)
        .filter_map(|kpi| way(catalog, kpi, |id| id == business))
        .collect();
    ways.sort_by_key(|way| way.steps.len());
    ways
}

fn nearest_business(catalog: &Catalog, kpi: NodeId) -> Option<Way> {
    way(catalog, kpi, |id| catalog.node(id).role == Role::Business)
}

/// The way from a KPI up to the first ancestor that is asked for.
fn way(catalog: &Catalog, kpi: NodeId, wanted: impl Fn(NodeId) -> bool) -> Option<Way> {
    let mut steps = vec![kpi];
    let mut at = kpi;
    while let Some(parent) = &catalog.node(at).parent {
        at = parent.node;
        steps.push(at);
        if wanted(at) {
            return Some(Way { kpi, steps });
        }
    }
    None
}

/// Metrics that no node uses by itself.
fn loose(catalog: &Catalog) -> Vec<&str> {
    catalog
        .named_metrics()
        .filter(|(id, _)| !catalog.nodes.iter().any(|node| node.metric == *id))
        .map(|(_, metric)| metric.name.as_str())
        .collect()
}

fn path(catalog: &Catalog, way: &Way) -> String {
    let mut out = String::new();
    for (index, &step) in way.steps.iter().enumerate() {
        let node = catalog.node(step);
        out.push_str(&node.name);
        if let Some(parent) = node.parent.as_ref().filter(|_| index + 1 < way.steps.len()) {
            out.push_str(match parent.relation {
                Relation::Influence => " ⇢ ",
                Relation::Sum => " + ",
                Relation::Product => " × ",
                Relation::Ratio => " ÷ ",
            });
        }
    }
    out
}

fn owner(node: &Node) -> &str {
    node.owner.as_deref().unwrap_or("no owner")
}

/// Whether a node counts in somebody's score in the [review](crate::report::review), and if not, why.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Assessed {
    Yes,
    /// A KPI that nobody has given a weight.
    NoWeight,
    /// A KPI that is in nobody's score, because nobody owns it.
    NoOwner,
    /// `assess` gives its role no points.
    NoPoints,
    /// A business metric that no KPI in a score serves first.
    NotServed,
}

impl Assessed {
    fn words(self) -> &'static str {
        match self {
            Assessed::Yes => "yes",
            Assessed::NoWeight => "no, no weight",
            Assessed::NoOwner => "no, no owner",
            Assessed::NoPoints => "no",
            Assessed::NotServed => "no, not served",
        }
    }

    fn because(self) -> Option<&'static str> {
        match self {
            Assessed::Yes => None,
            Assessed::NoWeight => Some("no_weight"),
            Assessed::NoOwner => Some("no_owner"),
            Assessed::NoPoints => Some("no_points"),
            Assessed::NotServed => Some("not_served"),
        }
    }
}

/// By the rule of the review: KPIs count with an owner and a weight, and with them the nearest business metric above
/// each, as far as `assess` gives points to the one and to the other.
fn assessed(catalog: &Catalog, id: NodeId) -> Assessed {
    let node = catalog.node(id);
    let points = match node.role {
        Role::Kpi => catalog.assess.kpi,
        Role::Business => catalog.assess.business,
    };
    if points <= 0.0 {
        return Assessed::NoPoints;
    }
    let in_a_score = |kpi: &Node| kpi.weight.is_some() && kpi.owner.is_some();
    match node.role {
        Role::Kpi if node.weight.is_none() => Assessed::NoWeight,
        Role::Kpi if node.owner.is_none() => Assessed::NoOwner,
        Role::Kpi => Assessed::Yes,
        Role::Business => {
            let is_served = with_role(catalog, Role::Kpi)
                .filter(|&kpi| in_a_score(catalog.node(kpi)))
                .filter_map(|kpi| nearest_business(catalog, kpi))
                .any(|way| way.steps.last() == Some(&id));
            if is_served {
                Assessed::Yes
            } else {
                Assessed::NotServed
            }
        }
    }
}

fn weight(node: &Node) -> String {
    node.weight
        .map_or_else(|| "–".to_owned(), |weight| weight.to_string())
}

fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.iter().map(|cell| (*cell).to_owned()).collect()
}

fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].width()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| padded(cell, *width))
            .collect();
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::load;

    fn shop() -> Catalog {
        load::load_dir(std::path::Path::new("config/catalog")).unwrap()
    }

    #[test]
    fn the_table_reads_both_ways() {
        insta::assert_snapshot!(text(&shop()), @r#"
        BUSINESS METRIC    OWNER       ASSESSED  SERVED BY         KPI ASSESSED  PATH                               KPI OWNER     WEIGHT
        Revenue            ceo-office  no        Buying customers  yes           customers ⇢ revenue                growth-team   100
                                                 Average order     yes           average-order ⇢ revenue            sales         60
                                                 Articles          yes           articles ⇢ revenue                 content-team  100
                                                 Customer visits   yes           visits ⇢ region-revenue + revenue  sales         40
        Revenue by region  regions     no        Customer visits   yes           visits ⇢ region-revenue            sales         40

        KPI               ASSESSED  OWNER         WEIGHT  SERVES             PATH                     BUSINESS OWNER
        Buying customers  yes       growth-team   100     Revenue            customers ⇢ revenue      ceo-office
        Average order     yes       sales         60      Revenue            average-order ⇢ revenue  ceo-office
        Articles          yes       content-team  100     Revenue            articles ⇢ revenue       ceo-office
        Customer visits   yes       sales         40      Revenue by region  visits ⇢ region-revenue  regions

        Metrics that are neither: orders_paid

        ⇢ influences   + adds up to   × multiplies to   ÷ is a part of the ratio
        "#);
    }

    /// One of each kind, under what `assess` says.
    fn mixed(assess: &str) -> Catalog {
        let yaml = format!(
            "\
{assess}
sources: {{s: {{topics: [t], format: json, fields: {{who: who}}}}}}
metrics:
  visits: {{title: Visits, source: s, agg: count}}
nodes:
  all:      {{title: All, metric: visits, role: business, period: month}}
  part:     {{title: Part, metric: visits, role: business, parent: all, relation: sum, period: month}}
  weighed:  {{title: Weighed, metric: visits, role: kpi, parent: part, period: month, owner: ann, weight: 100}}
  light:    {{title: Light, metric: visits, role: kpi, parent: all, period: month, owner: ann}}
  ownerless: {{title: Ownerless, metric: visits, role: kpi, parent: all, period: month, weight: 50}}
"
        );
        load::load(&load::Files::new("", [("a.yaml", yaml.as_str())]))
            .map_err(|problems| problems.to_string())
            .unwrap()
    }

    /// What a program and a person are told about every node; the two must agree.
    fn told(assess: &str) -> Vec<(String, bool, Option<String>)> {
        let catalog = mixed(assess);
        let value: Value = serde_json::from_str(&json(&catalog)).unwrap();
        let nodes = ["business", "kpis"].map(|key| value[key].as_array().unwrap().clone());
        nodes
            .into_iter()
            .flatten()
            .map(|node| {
                let because = node["not_assessed_because"].as_str().map(str::to_owned);
                let assessed = node["assessed"].as_bool().unwrap();
                assert_eq!(assessed, because.is_none(), "{node}");
                (node["node"].as_str().unwrap().to_owned(), assessed, because)
            })
            .collect()
    }

    fn node(name: &str, because: Option<&str>) -> (String, bool, Option<String>) {
        (name.to_owned(), because.is_none(), because.map(str::to_owned))
    }

    #[test]
    fn who_is_assessed_is_what_the_review_scores() {
        assert_eq!(
            told("assess: {kpi: 70, business: 30}"),
            [
                // Its only KPIs have no weight or no owner; that of its part counts for the part.
                node("all", Some("not_served")),
                node("part", None),
                node("weighed", None),
                node("light", Some("no_weight")),
                node("ownerless", Some("no_owner")),
            ]
        );
        assert_eq!(
            told(""),
            [
                node("all", Some("no_points")),
                node("part", Some("no_points")),
                node("weighed", None),
                node("light", Some("no_weight")),
                node("ownerless", Some("no_owner")),
            ]
        );
        assert_eq!(
            told("assess: {kpi: 0, business: 1}"),
            [
                node("all", Some("not_served")),
                node("part", None),
                node("weighed", Some("no_points")),
                node("light", Some("no_points")),
                node("ownerless", Some("no_points")),
            ]
        );
        insta::assert_snapshot!(text(&mixed("assess: {kpi: 70, business: 30}")), @r"
        BUSINESS METRIC  OWNER     ASSESSED        SERVED BY  KPI ASSESSED   PATH                  KPI OWNER  WEIGHT
        All              no owner  no, not served  Light      no, no weight  light ⇢ all           ann        –
                                                   Ownerless  no, no owner   ownerless ⇢ all       no owner   50
                                                   Weighed    yes            weighed ⇢ part + all  ann        100
        Part             no owner  yes             Weighed    yes            weighed ⇢ part        ann        100

        KPI        ASSESSED       OWNER     WEIGHT  SERVES  PATH             BUSINESS OWNER
        Weighed    yes            ann       100     Part    weighed ⇢ part   no owner
        Light      no, no weight  ann       –       All     light ⇢ all      no owner
        Ownerless  no, no owner   no owner  50      All     ownerless ⇢ all  no owner

        ⇢ influences   + adds up to   × multiplies to   ÷ is a part of the ratio
        ");
    }

    #[test]
    fn a_program_gets_every_step() {
        let value: Value = serde_json::from_str(&json(&shop())).unwrap();
        assert_eq!(
            value["business"][0]["served_by"].as_array().map(Vec::len),
            Some(4)
        );
        let visits = &value["kpis"].as_array().unwrap()[3];
        assert_eq!(
            visits["serves"],
            json!({"node": "region-revenue", "path": [{"from": "visits", "relation": "influence", "to": "region-revenue"}]})
        );
    }
}
