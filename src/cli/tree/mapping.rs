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
        "SERVED BY",
        "ASSESSED",
        "PATH",
        "KPI OWNER",
        "WEIGHT",
    ])];
    for id in with_role(catalog, Role::Business) {
        let node = catalog.node(id);
        let ways = ways_to(catalog, id);
        if ways.is_empty() {
            down.push(row([&node.title, owner(node), "nobody", "", "", "", ""]));
        }
        for (index, way) in ways.iter().enumerate() {
            let kpi = catalog.node(way.kpi);
            let (title, owned) = if index == 0 {
                (node.title.as_str(), owner(node))
            } else {
                ("", "")
            };
            let weight = weight(kpi);
            down.push(row([
                title,
                owned,
                &kpi.title,
                assessed(kpi),
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
        match nearest_business(catalog, id) {
            Some(way) => {
                let served = catalog.node(way.steps[way.steps.len() - 1]);
                up.push(row([
                    title,
                    assessed(kpi),
                    owner(kpi),
                    &weight,
                    &served.title,
                    &path(catalog, &way),
                    owner(served),
                ]));
            }
            None => up.push(row([
                title,
                assessed(kpi),
                owner(kpi),
                &weight,
                "nothing",
                "",
                "",
            ])),
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
    json!({
        "node": node.name,
        "title": node.title,
        "metric": catalog.metric(node.metric).name,
        "role": node.role,
        "level": node.level,
        "parent": node.parent.as_ref().map(|parent| &catalog.node(parent.node).name),
        "relation": node.parent.as_ref().map(|parent| parent.relation),
        "each": node.each,
        "assessed": node.role == Role::Kpi,
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

/// A KPI without weight is declared as assessed and counts in nobody's score.
fn assessed(node: &Node) -> &'static str {
    match (node.role, node.weight) {
        (Role::Business, _) => "no",
        (Role::Kpi, Some(_)) => "yes",
        (Role::Kpi, None) => "yes, no weight",
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
        BUSINESS METRIC    OWNER       SERVED BY         ASSESSED  PATH                               KPI OWNER     WEIGHT
        Revenue            ceo-office  Buying customers  yes       customers ⇢ revenue                growth-team   100
                                       Average order     yes       average-order ⇢ revenue            sales         60
                                       Articles          yes       articles ⇢ revenue                 content-team  100
                                       Customer visits   yes       visits ⇢ region-revenue + revenue  sales         40
        Revenue by region  regions     Customer visits   yes       visits ⇢ region-revenue            sales         40

        KPI               ASSESSED  OWNER         WEIGHT  SERVES             PATH                     BUSINESS OWNER
        Buying customers  yes       growth-team   100     Revenue            customers ⇢ revenue      ceo-office
        Average order     yes       sales         60      Revenue            average-order ⇢ revenue  ceo-office
        Articles          yes       content-team  100     Revenue            articles ⇢ revenue       ceo-office
        Customer visits   yes       sales         40      Revenue by region  visits ⇢ region-revenue  regions

        Metrics that are neither: orders_paid

        ⇢ influences   + adds up to   × multiplies to   ÷ is a part of the ratio
        "#);
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
