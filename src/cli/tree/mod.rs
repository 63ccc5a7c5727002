//! `tautline tree`: the decomposition of the business into KPIs, with levels, targets and owners.
//!
//! * [`svg`]: as a picture for a slide. [`mapping`]: as a table, from business metrics to KPIs and back.

mod layout;
pub mod mapping;
pub mod svg;

use std::fmt::Write;

use unicode_width::UnicodeWidthStr;

use crate::catalog::{Catalog, GrowthBase, Level, Node, NodeId, Relation, Role, Target};
use crate::words::{Language, percent};

/// As a tree of lines for a terminal.
pub fn text(catalog: &Catalog) -> String {
    let mut rows: Vec<(String, [String; 4])> = Vec::new();
    for id in roots(catalog) {
        rows.push((catalog.node(id).title.clone(), columns(catalog, id)));
        below(catalog, id, "", &mut rows);
    }
    let mut widths = [0; 5];
    for (name, cells) in &rows {
        widths[0] = widths[0].max(name.width());
        for (at, cell) in cells.iter().enumerate() {
            widths[at + 1] = widths[at + 1].max(cell.width());
        }
    }
    let mut out = String::new();
    for (name, cells) in rows {
        let mut line = padded(&name, widths[0]);
        for (cell, width) in cells.iter().zip(&widths[1..]) {
            line.push_str("  ");
            line.push_str(&padded(cell, *width));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

fn below(catalog: &Catalog, id: NodeId, indent: &str, rows: &mut Vec<(String, [String; 4])>) {
    let children: Vec<NodeId> = catalog.children(id).collect();
    for (i, &child) in children.iter().enumerate() {
        let last = i + 1 == children.len();
        let branch = if last { "└─ " } else { "├─ " };
        rows.push((
            format!("{indent}{branch}{}", catalog.node(child).title),
            columns(catalog, child),
        ));
        below(
            catalog,
            child,
            &format!("{indent}{}", if last { "   " } else { "│  " }),
            rows,
        );
    }
}

fn columns(catalog: &Catalog, id: NodeId) -> [String; 4] {
    let node = catalog.node(id);
    let role = match node.role {
        Role::Business => "business",
        Role::Kpi => "KPI",
    };
    let relation = node.parent.as_ref().map_or("", |parent| match parent.relation {
        Relation::Sum => ", adds up",
        Relation::Product => ", multiplies",
        Relation::Ratio => ", part of a ratio",
        Relation::Influence => ", influences",
    });
    let each = if node.each.is_empty() {
        String::new()
    } else {
        format!(", each {}", node.each.join(" × "))
    };
    let weight = node
        .weight
        .map_or_else(String::new, |weight| format!(", weight {weight}"));
    [
        format!("{role} {}{relation}{each}", level(node.level)),
        format!("{} {}", node.period.as_str(), target(catalog, node)),
        format!("{}{weight}", node.owner.as_deref().unwrap_or("no owner")),
        node.name.clone(),
    ]
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Strategy => "strategy",
        Level::Tactic => "tactic",
        Level::Execution => "execution",
        Level::Individual => "individual",
    }
}

fn target(catalog: &Catalog, node: &Node) -> String {
    let unit = catalog.metric(node.metric).unit.as_deref();
    match &node.target {
        Target::None => "no target".to_owned(),
        Target::Number(number) => Language::En.quantity(*number, unit),
        Target::Band(band) => Language::En.goal(band.middle(), Some(*band), unit),
        Target::Growth { growth, over } => {
            let base = match over {
                GrowthBase::LastYear => "last year".to_owned(),
                GrowthBase::Year(year) => year.to_string(),
                GrowthBase::Value(value) => Language::En.quantity(*value, unit),
            };
            let sign = if *growth >= 0.0 { "+" } else { "" };
            format!("{sign}{} over {base}", percent(*growth))
        }
        Target::Table(rows) => format!("{} targets from a file", rows.len()),
    }
}

/// As a Mermaid flow chart.
pub fn mermaid(catalog: &Catalog) -> String {
    let mut out = String::from("flowchart BT\n");
    for (index, node) in catalog.nodes.iter().enumerate() {
        let quoted = node.title.replace('"', "#quot;");
        let lines = format!(
            "{quoted}<br/>{} · {}",
            target(catalog, node),
            node.owner.as_deref().unwrap_or("no owner")
        );
        let (open, close) = if node.role == Role::Kpi {
            ("([", "])")
        } else {
            ("[", "]")
        };
        // Writing to a String does not fail.
        let _ = writeln!(out, "  n{index}{open}\"{lines}\"{close}");
        if let Some(parent) = &node.parent {
            let arrow = if parent.relation == Relation::Influence {
                "-.->"
            } else {
                "-->"
            };
            let _ = writeln!(out, "  n{index} {arrow} n{}", parent.node.0);
        }
    }
    out
}

fn roots(catalog: &Catalog) -> impl Iterator<Item = NodeId> + '_ {
    (0u32..)
        .zip(&catalog.nodes)
        .filter(|(_, node)| node.parent.is_none())
        .map(|(index, _)| NodeId(index))
}

fn padded(text: &str, to: usize) -> String {
    format!("{text}{}", " ".repeat(to.saturating_sub(text.width())))
}
