//! Findings about targets against what was reached before: beyond all experience, or easier than the last time.

use std::collections::BTreeMap;

use super::{Findings, S15};
use crate::catalog::{Catalog, Direction, Node, NodeId};

/// How many times as good as the best closed period a target may be.
const BEYOND: f64 = 2.0;
/// Closed periods without which nothing is said.
const LEAST: usize = 3;
/// Instances that a message names at most.
const SHOWN: usize = 3;

/// What an instance of a node came to in its closed periods.
#[derive(Clone, PartialEq, Debug)]
pub struct Reached {
    /// The node.
    pub node: NodeId,
    /// Its dimension values.
    pub dimensions: Vec<String>,
    /// The target of its running period.
    pub target: f64,
    /// Closed periods that were seen whole, by name with their value, the newest first.
    pub closed: Vec<(String, f64)>,
    /// What the period a year before the running one came to, if that is known.
    pub year_ago: Option<f64>,
}

impl Reached {
    /// The best of the closed periods.
    fn best(&self, direction: Direction) -> Option<&(String, f64)> {
        let closed = self.closed.iter();
        match direction {
            Direction::Higher => closed.max_by(|a, b| a.1.total_cmp(&b.1)),
            Direction::Lower => closed.min_by(|a, b| a.1.total_cmp(&b.1)),
        }
    }
}

pub(super) fn lint(catalog: &Catalog, history: &[Reached], findings: &mut Findings) {
    let mut by_node: BTreeMap<u32, Vec<&Reached>> = BTreeMap::new();
    for reached in history.iter().filter(|reached| reached.closed.len() >= LEAST) {
        by_node.entry(reached.node.0).or_default().push(reached);
    }
    for (id, all) in by_node {
        let node = catalog.node(NodeId(id));
        let unit = catalog.metric(node.metric).unit.as_deref();
        told(
            node,
            &all,
            findings,
            |reached| beyond(node, unit, reached),
            |examples, more| {
                format!(
                    "{examples}{more}: nobody has come near; set a target that can be reached (`tautline suggest {}` proposes some)",
                    node.name
                )
            },
        );
        told(
            node,
            &all,
            findings,
            |reached| easier(node, unit, reached),
            |examples, more| {
                format!(
                    "{examples}{more}: it is reached by falling back; aim higher, or accept it with the reason"
                )
            },
        );
    }
}

/// One finding for all instances of a node to which it applies.
fn told(
    node: &Node,
    all: &[&Reached],
    findings: &mut Findings,
    example: impl Fn(&Reached) -> Option<String>,
    message: impl Fn(String, String) -> String,
) {
    let examples: Vec<String> = all.iter().filter_map(|reached| example(reached)).collect();
    if examples.is_empty() {
        return;
    }
    let more = match examples.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    let shown = examples[..examples.len().min(SHOWN)].join("; ");
    findings.note(S15, &node.name, &node.place, message(shown, more));
}

fn beyond(node: &Node, unit: Option<&str>, reached: &Reached) -> Option<String> {
    let (period, best) = reached.best(node.direction)?;
    let (is_beyond, words) = match node.direction {
        Direction::Higher => (reached.target > best * BEYOND, "more than twice"),
        Direction::Lower => (reached.target < best / BEYOND, "less than half"),
    };
    (*best > 0.0 && is_beyond).then(|| {
        format!(
            "{} is {words} the best of {} periods, {} in {period}",
            of(node, unit, reached),
            reached.closed.len(),
            amount(*best, unit)
        )
    })
}

/// A season may bring less than the last period; then the same period a year ago did too.
fn easier(node: &Node, unit: Option<&str>, reached: &Reached) -> Option<String> {
    let (period, last) = reached.closed.first()?;
    let is_easier = |than: f64| match node.direction {
        Direction::Higher => reached.target < than,
        Direction::Lower => reached.target > than,
    };
    (is_easier(*last) && reached.year_ago.is_none_or(is_easier)).then(|| {
        let word = match node.direction {
            Direction::Higher => "below",
            Direction::Lower => "above",
        };
        format!(
            "{} is {word} what the last period came to, {} in {period}",
            of(node, unit, reached),
            amount(*last, unit)
        )
    })
}

fn of(node: &Node, unit: Option<&str>, reached: &Reached) -> String {
    let target = amount(reached.target, unit);
    match reached.dimensions.as_slice() {
        [] => format!("the target of '{}', {target},", node.name),
        values => format!(
            "the target of '{}' for {}, {target},",
            node.name,
            values.join("/")
        ),
    }
}

/// A number with its unit, as the catalogue writes both.
fn amount(value: f64, unit: Option<&str>) -> String {
    // Four digits say what there is to say.
    let digits = 3 - value.abs().max(1e-12).log10().floor() as i32;
    let scale = 10f64.powi(digits.clamp(-12, 12));
    let value = (value * scale).round() / scale;
    match unit {
        Some("%") => format!("{}%", value * 100.0),
        Some(unit) => format!("{value} {unit}"),
        None => value.to_string(),
    }
}
