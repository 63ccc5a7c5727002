//! What settings name of the catalogue: rules in templates, and labels in routes. It is collected while the settings
//! are read, and compared when both are known.

use std::collections::BTreeSet;

use super::routes::hint;
use crate::alert::delivery::DELIVERY_FAILED;
use crate::alert::dispatch::matcher::Matcher;
use crate::alert::{RULE_ERROR, TOO_MANY_ALERTS};
use crate::catalog::{Catalog, Diagnostic, Place};

/// Labels that tautline sets itself, and what matchers see beside labels.
const SET: [&str; 11] = [
    "alertname",
    "item",
    "kind",
    "node",
    "owner",
    "parent",
    "period",
    "receiver",
    "rule",
    "severity",
    "source",
];

/// A name, with its place.
#[derive(Clone, Debug)]
pub struct Named {
    pub(super) place: Place,
    pub(super) name: Name,
}

/// What is named.
#[derive(Clone, Debug)]
pub(super) enum Name {
    /// A rule whose messages have own wording.
    Rule(String),
    /// A label.
    Label(String),
    /// A label, and one of its values perhaps.
    Matcher(Matcher),
}

/// Own wording for rules that there are not.
pub(super) fn problems(named: &[Named], catalog: &Catalog) -> Vec<Diagnostic> {
    let of_catalog = catalog.rules.iter().map(|rule| rule.name.as_str());
    let own = [RULE_ERROR, TOO_MANY_ALERTS, DELIVERY_FAILED];
    let known: BTreeSet<&str> = of_catalog.chain(own).collect();
    let unknown = named.iter().filter_map(|named| match &named.name {
        Name::Rule(rule) if !known.contains(rule.as_str()) => Some(Diagnostic {
            place: named.place.clone(),
            message: format!("there is no rule '{rule}'; {}", hint(rule, known.iter().copied())),
        }),
        _ => None,
    });
    unknown.collect()
}

/// Labels that no alert has: what asks for them is never met, or always.
pub(super) fn doubts(named: &[Named], catalog: &Catalog) -> Vec<Diagnostic> {
    let dimensions = catalog.nodes.iter().flat_map(|node| &node.each);
    let of_rules = catalog.rules.iter().flat_map(|rule| rule.labels.keys());
    let declared = dimensions.chain(of_rules).map(String::as_str);
    let known: BTreeSet<&str> = declared.chain(SET).collect();
    let of_label = |label: &str| {
        let is_unknown = !known.contains(label);
        is_unknown.then(|| {
            format!(
                "no alert has the label '{label}'; {}",
                hint(label, known.iter().copied())
            )
        })
    };
    let doubt = |named: &Named| {
        let message = match &named.name {
            Name::Rule(_) => None,
            Name::Label(label) => of_label(label),
            Name::Matcher(matcher) => of_label(&matcher.name),
        };
        Some(Diagnostic {
            place: named.place.clone(),
            message: message?,
        })
    };
    named.iter().filter_map(doubt).collect()
}

#[cfg(test)]
mod tests {
    use super::super::load::{doubts, suffice, tests::load_text};
    use crate::catalog::load::{Files, load};

    #[test]
    fn names_of_what_the_catalogue_does_not_have_are_told_with_the_nearest() {
        let yaml = "sources: {s: {topics: [t], format: json, time: at, fields: {team: team}}}
metrics: {m: {source: s, agg: count}}
nodes: {n: {metric: m, role: business, each: [team], period: month}}
rules: {late: {on: node, labels: {desk: finance}, levels: [{severity: warning, when: node.pace < 1}]}}
";
        let catalog = load(&Files::new("", [("a.yaml", yaml)]))
            .map_err(|found| found.to_string())
            .unwrap();
        let settings = |templates: &str| {
            load_text(&format!(
                "kafka: {{brokers: b}}
receivers:
  ops: {{slack_webhook: {{url: https://example.com/s, templates: {{rules: {{{templates}: {{title: x}}}}}}}}}}
routes:
  receiver: ops
  group_by: [tema, severity, desk]
  routes:
  - {{receiver: ops, matchers: [severity=critical, desk=finance]}}
  - {{receiver: ops, matchers: ['severity=~\"critical|warning\"', nod!=a]}}
inhibit_rules:
- {{source_matchers: [team=a], target_matchers: ['severity!=info'], equal: [\"period\", regoin]}}
"
            ))
            .unwrap()
        };
        let found = suffice(&settings("lat"), &catalog).unwrap_err().to_string();
        assert!(
            found.contains(":3:") && found.ends_with("there is no rule 'lat'; did you mean 'late'?"),
            "{found}"
        );
        let settings = settings("late");
        assert!(suffice(&settings, &catalog).is_ok());
        let doubts: Vec<String> = doubts(&settings, &catalog)
            .iter()
            .map(|doubt| {
                format!(
                    "{} {}",
                    doubt.place.line,
                    doubt.message.split(';').next().unwrap_or_default()
                )
            })
            .collect();
        assert_eq!(
            doubts,
            [
                "6 no alert has the label 'tema'",
                "9 no alert has the label 'nod'",
                "11 no alert has the label 'regoin'",
            ]
        );
    }
}
