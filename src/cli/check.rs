//! `tautline check`: settings and catalogue, every mistake with its place.

use serde_json::json;

use crate::catalog::{Catalog, Diagnostic, Diagnostics, Role};

/// What a correct catalogue holds, in one line a kind.
pub fn summary(catalog: &Catalog) -> String {
    let count = |n: usize, one: &str| format!("{n} {one}{}", if n == 1 { "" } else { "s" });
    let named = |names: Vec<&str>| {
        if names.is_empty() {
            String::new()
        } else {
            format!(": {}", names.join(", "))
        }
    };
    let sources = catalog
        .sources
        .iter()
        .map(|source| source.name.as_str())
        .collect();
    // Inline parts of ratios are metrics without a name of their own.
    let metrics: Vec<&str> = catalog
        .metrics
        .iter()
        .map(|metric| metric.name.as_str())
        .filter(|name| !is_part(catalog, name))
        .collect();
    let business = catalog
        .nodes
        .iter()
        .filter(|node| node.role == Role::Business)
        .count();
    let kpis = catalog.nodes.len() - business;
    let own = catalog.rules.iter().filter(|rule| rule.place.is_some()).count();
    format!(
        "{}{}\n{}{}\n{}: {business} business, {kpis} assessed\n{} and {} of your own\n",
        count(catalog.sources.len(), "source"),
        named(sources),
        count(metrics.len(), "metric"),
        named(metrics.clone()),
        count(catalog.nodes.len(), "node"),
        count(catalog.rules.len() - own, "built-in rule"),
        own,
    )
}

fn is_part(catalog: &Catalog, name: &str) -> bool {
    let owner = name
        .strip_suffix(".numerator")
        .or(name.strip_suffix(".denominator"));
    owner.is_some_and(|owner| catalog.metrics.iter().any(|metric| metric.name == owner))
}

/// The result for a program to read.
pub fn json(result: &Result<&Catalog, &Diagnostics>) -> String {
    let problem = |diagnostic: &Diagnostic| {
        json!({
            "file": &*diagnostic.place.file,
            "line": diagnostic.place.line,
            "column": diagnostic.place.column,
            "message": diagnostic.message,
        })
    };
    let value = match result {
        Ok(catalog) => json!({
            "ok": true,
            "sources": catalog.sources.len(),
            "metrics": catalog.metrics.len(),
            "nodes": catalog.nodes.len(),
            "problems": [],
        }),
        Err(diagnostics) => {
            json!({"ok": false, "problems": diagnostics.0.iter().map(problem).collect::<Vec<_>>()})
        }
    };
    value.to_string()
}
