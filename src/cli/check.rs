//! `tautline check`: settings and catalogue, every mistake with its place, and the findings of the SMART lint.

use std::collections::BTreeSet;
use std::fmt::Write;

use serde_json::{Value, json};

use crate::catalog::lint::{Finding, Severity};
use crate::catalog::{Catalog, Diagnostics, Place, Role, Rule};

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
    let declared = || catalog.sources.iter().filter(|source| !source.manual);
    let sources = declared().map(|source| source.name.as_str()).collect();
    let metrics: Vec<&str> = catalog
        .named_metrics()
        .map(|(_, metric)| metric.name.as_str())
        .collect();
    let business = catalog
        .nodes
        .iter()
        .filter(|node| node.role == Role::Business)
        .count();
    let kpis = catalog.nodes.len() - business;
    let built_in: BTreeSet<&str> = catalog
        .rules
        .iter()
        .filter(|rule| rule.place.is_none())
        .map(|rule| rule.name.as_str())
        .collect();
    // What a node changes of a built-in rule is none of its own.
    let is_own = |rule: &&Rule| !built_in.contains(rule.name.as_str());
    let own = catalog.rules.iter().filter(is_own).count();
    format!(
        "{}{}\n{}{}\n{}: {business} business, {kpis} assessed\n{} and {} of your own\n",
        count(declared().count(), "source"),
        named(sources),
        count(metrics.len(), "metric"),
        named(metrics.clone()),
        count(catalog.nodes.len(), "node"),
        count(built_in.len(), "built-in rule"),
        own,
    )
}

/// Findings of the lint, a line each, with how many there are.
pub fn findings(findings: &[Finding]) -> String {
    let mut out = String::new();
    for finding in findings {
        // Writing to a String does not fail.
        let _ = writeln!(out, "{finding}");
    }
    let count = |severity| {
        let open = findings.iter().filter(|finding| finding.accepted.is_none());
        open.filter(|finding| finding.severity == severity).count()
    };
    let (warnings, notes) = (count(Severity::Warning), count(Severity::Note));
    let accepted = findings.len() - open(findings);
    let _ = writeln!(
        out,
        "SMART lint: {warnings} warnings, {notes} notes, {accepted} accepted"
    );
    out
}

/// How many findings are not accepted.
pub fn open(findings: &[Finding]) -> usize {
    findings
        .iter()
        .filter(|finding| finding.accepted.is_none())
        .count()
}

/// A right catalogue with its findings, for a program to read.
pub fn json(catalog: &Catalog, findings: &[Finding]) -> String {
    let finding = |finding: &Finding| {
        let mut value = at(&finding.place, &finding.message);
        value["code"] = json!(finding.code.as_str());
        value["severity"] = json!(finding.severity.as_str());
        value["subject"] = json!(finding.subject);
        value["accepted"] = json!(finding.accepted);
        value
    };
    json!({
        "ok": true,
        "sources": catalog.sources.len(),
        "metrics": catalog.metrics.len(),
        "nodes": catalog.nodes.len(),
        "problems": [],
        "findings": findings.iter().map(finding).collect::<Vec<_>>(),
    })
    .to_string()
}

/// The mistakes of a wrong one, for a program to read.
pub fn refused(diagnostics: &Diagnostics) -> String {
    let problems: Vec<Value> = diagnostics
        .0
        .iter()
        .map(|problem| at(&problem.place, &problem.message))
        .collect();
    json!({"ok": false, "problems": problems}).to_string()
}

fn at(place: &Place, message: &str) -> Value {
    json!({"file": &*place.file, "line": place.line, "column": place.column, "message": message})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{lint, load};

    #[test]
    fn the_shipped_example_has_no_findings() {
        let catalog = load::load_dir(std::path::Path::new("config/catalog"))
            .map_err(|e| e.to_string())
            .unwrap();
        let found = lint::lint(&catalog, "2026-11-24".parse().unwrap(), None);
        assert_eq!(findings(&found), "SMART lint: 0 warnings, 0 notes, 0 accepted\n");
    }

    #[test]
    fn a_program_reads_findings_with_code_and_place() {
        let yaml =
            "sources: {s: {topics: [t], format: json, fields: {}}}\nmetrics: {m: {source: s, agg: count}}\n";
        let catalog = load::load(&load::Files::new("", [("a.yaml", yaml)])).unwrap();
        let found = lint::lint(&catalog, "2026-11-24".parse().unwrap(), None);
        let value: Value = serde_json::from_str(&json(&catalog, &found)).unwrap();
        let finding = &value["findings"][0];
        assert_eq!(
            (
                &finding["code"],
                &finding["line"],
                &finding["severity"],
                &finding["accepted"]
            ),
            (&json!("S09"), &json!(2), &json!("note"), &Value::Null)
        );
        assert_eq!(open(&found), 1);
    }
}
