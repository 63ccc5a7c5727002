//! Which node a command is about.

use clap::Args;

use crate::catalog::Catalog;

/// Nodes that are listed at most where none was named.
const LISTED: usize = 30;

/// A node of the catalogue, or one of its instances.
#[derive(Args, Debug)]
pub(super) struct OfNode {
    /// Name of the node in the catalogue; without one, the nodes are listed
    node: Option<String>,
    /// Of a node with `each`: the values of its dimensions, in their order
    #[arg(value_name = "VALUE")]
    pub(super) values: Vec<String>,
}

impl OfNode {
    /// Its name.
    ///
    /// # Errors
    /// Where none was given: what there is to choose from, and how to.
    pub(super) fn name(&self, catalog: &Catalog, command: &str) -> Result<&str, String> {
        self.node.as_deref().ok_or_else(|| which(catalog, command))
    }
}

fn which(catalog: &Catalog, command: &str) -> String {
    let nodes = &catalog.nodes;
    let Some(first) = nodes.first() else {
        return format!("there is no node to {command}: the catalogue declares none");
    };
    let mut text = format!("say which node, such as: tautline {command} {}", first.name);
    let width = nodes
        .iter()
        .take(LISTED)
        .map(|node| node.name.len())
        .max()
        .unwrap_or(0);
    for node in nodes.iter().take(LISTED) {
        let title = if node.title == node.name { "" } else { &node.title };
        let line = format!("  {:<width$}  {title}", node.name);
        text.push('\n');
        text.push_str(line.trim_end());
    }
    if nodes.len() > LISTED {
        text.push_str(&format!("\n  and {} more: tautline tree", nodes.len() - LISTED));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::load::{Files, load};

    #[test]
    fn who_names_no_node_is_told_which_there_are() {
        let declared = |count: usize| {
            let nodes: String = (0..count)
                .map(|number| {
                    format!("  n{number:02}: {{title: 第 {number} 个, metric: m, role: business, period: month}}\n")
                })
                .collect();
            let yaml = format!(
                "sources: {{s: {{topics: [t], format: json, fields: {{}}}}}}\nmetrics: {{m: {{source: s, agg: count}}}}\nnodes:\n{nodes}"
            );
            load(&Files::new("", [("a.yaml", yaml.as_str())]))
                .map_err(|problems| problems.to_string())
                .unwrap()
        };
        let of = OfNode {
            node: None,
            values: Vec::new(),
        };
        let told = of.name(&declared(2), "explain").unwrap_err();
        assert_eq!(
            told,
            "say which node, such as: tautline explain n00\n  n00  第 0 个\n  n01  第 1 个"
        );
        let told = of.name(&declared(40), "suggest").unwrap_err();
        assert!(
            told.ends_with("  n29  第 29 个\n  and 10 more: tautline tree"),
            "{told}"
        );
        let named = OfNode {
            node: Some("n01".to_owned()),
            values: Vec::new(),
        };
        assert_eq!(named.name(&declared(2), "explain"), Ok("n01"));
    }
}
