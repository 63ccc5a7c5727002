//! Findings about targets: periods without one, growth that contradicts itself, parts that do not add up.

use std::collections::BTreeMap;

use jiff::civil::Date;

use super::{Findings, S04, S12, S13};
use crate::catalog::{Catalog, Direction, GrowthBase, Node, NodeId, Relation, Target, TargetRow};

/// Share of the whole by which the parts may differ from it.
const ROUNDING: f64 = 0.01;
/// Names that a message lists at most.
const SHOWN: usize = 5;

pub(super) fn lint(catalog: &Catalog, today: Date, findings: &mut Findings) {
    for (index, node) in (0u32..).zip(&catalog.nodes) {
        match &node.target {
            Target::Table(rows) => table(catalog, node, rows, today, findings),
            Target::Growth { growth, over } => self::growth(catalog, node, *growth, *over, today, findings),
            Target::None | Target::Number(_) | Target::Band(_) => {}
        }
        parts(catalog, NodeId(index), today, findings);
    }
}

/// Every instance that the file knows has a line for the running and the next period.
fn table(catalog: &Catalog, node: &Node, rows: &[TargetRow], today: Date, findings: &mut Findings) {
    let running = catalog.calendar_of(node).bounds(node.period, today);
    let next = catalog.calendar_of(node).bounds(node.period, running.1);
    for (which, (start, end)) in [("running", running), ("next", next)] {
        let mut covered: BTreeMap<&[String], bool> = BTreeMap::new();
        for row in rows {
            *covered.entry(&row.dimensions).or_default() |= (start..end).contains(&row.start);
        }
        let missing: Vec<String> = covered
            .iter()
            .filter(|(_, covered)| !**covered)
            .map(|(dimensions, _)| dimensions.join("/"))
            .collect();
        if missing.is_empty() && !rows.is_empty() {
            continue;
        }
        let whom = if missing.len() == covered.len() {
            String::new()
        } else {
            format!(" for {}", listed(&missing))
        };
        let name = &node.name;
        let message = format!(
            "the target file of '{name}' has no line{whom} in the {which} {}, which begins on {start}; add one with start {start}",
            node.period.as_str()
        );
        if which == "running" {
            findings.warning(S04, name, &node.place, message);
        } else {
            findings.note(S04, name, &node.place, message);
        }
    }
}

fn listed(names: &[String]) -> String {
    let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn growth(
    catalog: &Catalog,
    node: &Node,
    growth: f64,
    over: GrowthBase,
    today: Date,
    findings: &mut Findings,
) {
    let percent = growth * 100.0;
    let mut found = |message: String| findings.warning(S12, &node.name, &node.place, message);
    let name = &node.name;
    match node.direction {
        Direction::Higher if growth <= 0.0 => found(format!(
            "'{name}' is to grow by {percent}%, which is no growth; write growth above 0, or direction: lower"
        )),
        Direction::Lower if growth >= 0.0 => found(format!(
            "less of '{name}' is better, and its target grows by {percent}%; write a growth below 0, such as growth: -10%"
        )),
        _ => {}
    }
    match over {
        GrowthBase::Value(base) => {
            let target = base * (1.0 + growth);
            let contradicts = match (node.direction, node.baseline) {
                (_, None) => base <= 0.0,
                (Direction::Higher, Some(baseline)) => target <= baseline,
                (Direction::Lower, Some(baseline)) => target >= baseline,
            };
            if contradicts {
                let baseline = node.baseline.unwrap_or(0.0);
                found(format!(
                    "the target of '{name}' comes to {target}, and its baseline is {baseline}: completion would be backwards; \
                     correct 'over', 'growth' or 'baseline'"
                ));
            }
        }
        GrowthBase::Year(year) => {
            let running = catalog.calendar_of(node).fiscal_year(today);
            if year >= running {
                found(format!(
                    "'{name}' grows over {year}, which is not over yet; write over: {}, or over: last_year",
                    running - 1
                ));
            }
        }
        GrowthBase::LastYear => {}
    }
}

/// Children by `sum` have targets that come to their parent's. Children with the parent's split come to it together; a
/// finer split comes to it by itself.
fn parts(catalog: &Catalog, id: NodeId, today: Date, findings: &mut Findings) {
    let whole = catalog.node(id);
    let Some(target) = catalog.target_on(whole, today).filter(|_| whole.each.is_empty()) else {
        return;
    };
    let by_sum = |child: &&Node| {
        let relation = child.parent.as_ref().map(|parent| parent.relation);
        relation == Some(Relation::Sum) && child.period == whole.period
    };
    let children: Vec<&Node> = catalog
        .children(id)
        .map(|child| catalog.node(child))
        .filter(by_sum)
        .collect();
    let (together, split): (Vec<&Node>, Vec<&Node>) =
        children.into_iter().partition(|child| child.each.is_empty());
    let groups = std::iter::once(together).chain(split.into_iter().map(|child| vec![child]));
    for group in groups.filter(|group| !group.is_empty()) {
        let Some(sum) = group
            .iter()
            .map(|child| catalog.target_on(child, today))
            .sum::<Option<f64>>()
        else {
            continue;
        };
        if (sum - target).abs() > ROUNDING * target.abs() {
            let names: Vec<String> = group.iter().map(|child| format!("'{}'", child.name)).collect();
            let message = format!(
                "the targets of {} come to {sum}, and '{}', which they add up to, has {target}: {} of {} is nobody's; make them meet",
                listed(&names),
                whole.name,
                (target - sum).abs(),
                target
            );
            if let Some(first) = group.first() {
                findings.warning(S13, &first.name, &first.place, message);
            }
        }
    }
}
