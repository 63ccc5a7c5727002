//! The alert that is asked about: from labels as they are written, or from a node and a kind of the catalogue.

use jiff::Timestamp;

use crate::alert::identity::fingerprint;
use crate::alert::record::{AlertRecord, AlertState, Facts, Figure, Labels};
use crate::catalog::diagnostic::nearest;
use crate::catalog::expr::Expr;
use crate::catalog::{Catalog, Node, OnMissing, Rule, RuleLevel, RuleOn, Severity};
use crate::evaluate::Period;

/// An alert that nobody has raised.
#[derive(Clone, Debug)]
pub struct Alert {
    /// Its identity.
    pub(super) labels: Labels,
    /// Its level.
    pub(super) severity: Severity,
    /// Who answers for what it is about.
    pub(super) facts: Facts,
    /// The rule that raises it, at once.
    pub(super) rule: Rule,
}

/// What is asked about.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Asked {
    /// Labels, as matchers see them: `severity` and `kind` among them.
    pub labels: Labels,
    /// A node of the catalogue, whose labels are filled in; with the values of its dimensions: `leads/east`.
    pub node: Option<String>,
    /// A kind of drift or the name of a rule.
    pub kind: Option<String>,
}

/// What cannot be an alert.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotAnAlert {
    /// There is no such node.
    #[error("no node '{0}' in the catalogue{hint}", hint = crate::report::did_you_mean(.1.as_deref()))]
    NoNode(String, Option<String>),
    /// There is no such level.
    #[error("severity={0}: a severity of the catalogue is {known}", known = .1.join(", "))]
    NoSeverity(String, Vec<&'static str>),
    /// No rule of the kind looks at the node.
    #[error("no rule '{kind}' applies to node '{node}'; it has {}", .known.join(", "))]
    NoRule {
        /// What was asked for.
        kind: String,
        /// The node.
        node: String,
        /// What there is.
        known: Vec<String>,
    },
    /// Which rule is not said.
    #[error("which rule? write --kind with one of {}", .0.join(", "))]
    NoKind(Vec<String>),
    /// The node has instances.
    #[error("'{node}' is one for each {}; write --node {node}/{}", .each.join(", "), .each.join("/").to_uppercase())]
    Values {
        /// The node.
        node: String,
        /// Its dimensions.
        each: Vec<String>,
    },
}

impl Alert {
    /// The alert that is meant, as it would fire at `at`.
    ///
    /// # Errors
    /// What does not fit the catalogue, with what does.
    pub fn of(asked: &Asked, catalog: &Catalog, at: Timestamp) -> Result<Alert, NotAnAlert> {
        let mut labels = asked.labels.clone();
        let severity = labels
            .remove("severity")
            .map(|word| severity(catalog, word))
            .transpose()?;
        let kind = asked.kind.clone().or(labels.remove("kind"));
        let rule = match &asked.node {
            Some(node) => {
                let (node, values) = instance(catalog, node)?;
                let rule = rule_of(catalog, node, kind.as_deref())?;
                for (name, value) in node.each.iter().zip(values) {
                    labels.entry(name.clone()).or_insert(value);
                }
                add_identity(&mut labels, catalog, node, Some(&rule), at);
                rule
            }
            None => {
                let node = labels.get("node").map(|name| find(catalog, name)).transpose()?;
                let name = labels.get("alertname").cloned().or(kind.clone());
                let rule = named(catalog, name.as_deref(), node);
                if let Some(node) = node {
                    add_identity(&mut labels, catalog, node, None, at);
                }
                if !rule.name.is_empty() {
                    labels
                        .entry("alertname".to_owned())
                        .or_insert_with(|| rule.name.clone());
                }
                Rule {
                    kind: kind.unwrap_or(rule.kind),
                    ..rule
                }
            }
        };
        let mildest = rule
            .levels
            .first()
            .map_or(Severity::WARNING, |level| level.severity);
        Ok(Alert {
            facts: owners(catalog, &labels),
            severity: severity.unwrap_or(mildest),
            rule: at_once(rule, severity.unwrap_or(mildest)),
            labels,
        })
    }

    /// As it is kept when it fires.
    pub(super) fn record(&self) -> AlertRecord {
        AlertRecord {
            fingerprint: fingerprint(&self.rule.name, &self.labels),
            rule: self.rule.name.clone(),
            kind: self.rule.kind.clone(),
            labels: self.labels.clone(),
            state: AlertState::Firing,
            severity: self.severity,
            facts: self.facts.clone(),
            ..AlertRecord::blank()
        }
    }
}

fn severity(catalog: &Catalog, word: String) -> Result<Severity, NotAnAlert> {
    let ladder = &catalog.severities;
    let known = || ladder.names().collect();
    ladder
        .named(&word)
        .ok_or_else(|| NotAnAlert::NoSeverity(word, known()))
}

fn find<'c>(catalog: &'c Catalog, name: &str) -> Result<&'c Node, NotAnAlert> {
    let names = || catalog.nodes.iter().map(|node| node.name.as_str());
    catalog
        .nodes
        .iter()
        .find(|node| node.name == name)
        .ok_or_else(|| NotAnAlert::NoNode(name.to_owned(), nearest(name, names()).map(str::to_owned)))
}

/// A node with the values of its dimensions, from `node/value/value`.
fn instance<'c>(catalog: &'c Catalog, text: &str) -> Result<(&'c Node, Vec<String>), NotAnAlert> {
    let mut parts = text.split('/');
    let node = find(catalog, parts.next().unwrap_or_default())?;
    let values: Vec<String> = parts.map(str::to_owned).collect();
    if values.len() != node.each.len() {
        return Err(NotAnAlert::Values {
            node: node.name.clone(),
            each: node.each.clone(),
        });
    }
    Ok((node, values))
}

/// The rule of a kind, or a name, that looks at a node.
fn rule_of(catalog: &Catalog, node: &Node, kind: Option<&str>) -> Result<Rule, NotAnAlert> {
    let looks_at = |rule: &&Rule| {
        let fits = match rule.on {
            RuleOn::Link => node.parent.is_some() && node.role == crate::catalog::Role::Kpi,
            RuleOn::Node => true,
            RuleOn::Item => node.overdue_after.is_some(),
            RuleOn::Source => false,
            RuleOn::Siblings => catalog.nodes.iter().any(|kpi| {
                let parent = kpi.parent.as_ref().map(|parent| catalog.node(parent.node));
                kpi.role == crate::catalog::Role::Kpi && parent.is_some_and(|parent| parent.name == node.name)
            }),
        };
        fits && rule.applies_to(&node.name)
    };
    let rules: Vec<&Rule> = catalog.rules.iter().filter(looks_at).collect();
    let known = || -> Vec<String> {
        let mut names: Vec<String> = rules.iter().map(|rule| rule.name.clone()).collect();
        names.dedup();
        names
    };
    let Some(kind) = kind else {
        return Err(NotAnAlert::NoKind(known()));
    };
    let found = rules.iter().find(|rule| rule.name == kind || rule.kind == kind);
    let missing = || NotAnAlert::NoRule {
        kind: kind.to_owned(),
        node: node.name.clone(),
        known: known(),
    };
    found.map(|rule| (**rule).clone()).ok_or_else(missing)
}

/// The rule of a name, where the catalogue has one; else one of which only the name is known.
fn named(catalog: &Catalog, name: Option<&str>, node: Option<&Node>) -> Rule {
    let fits = |rule: &&Rule| {
        (Some(rule.name.as_str()) == name || Some(rule.kind.as_str()) == name)
            && node.is_none_or(|node| rule.applies_to(&node.name))
    };
    catalog.rules.iter().find(fits).cloned().unwrap_or_else(|| Rule {
        name: name.unwrap_or_default().to_owned(),
        kind: name.unwrap_or_default().to_owned(),
        on: RuleOn::Node,
        nodes: Vec::new(),
        except: Vec::new(),
        off: Vec::new(),
        levels: Vec::new(),
        clear: None,
        keep_firing_for: jiff::SignedDuration::ZERO,
        for_events: 1,
        new_group_delay: None,
        on_missing: OnMissing::default(),
        labels: Labels::new(),
        title: None,
        title_zh: None,
        place: None,
    })
}

/// The labels that every alert about a node has.
fn add_identity(labels: &mut Labels, catalog: &Catalog, node: &Node, rule: Option<&Rule>, at: Timestamp) {
    let mut add = |name: &str, value: &str| {
        labels.entry(name.to_owned()).or_insert_with(|| value.to_owned());
    };
    add("node", &node.name);
    if let Some(parent) = &node.parent {
        add("parent", &catalog.node(parent.node).name);
    }
    if let Some(owner) = &node.owner {
        add("owner", owner);
    }
    let Some(rule) = rule else { return };
    add("alertname", &rule.name);
    for (name, value) in &rule.labels {
        add(name, value);
    }
    if rule.is_of_a_period() {
        let period = Period::containing(
            node.period,
            catalog.calendar.day_of(at),
            catalog.calendar_of(node),
        );
        add("period", &period.id(catalog.calendar_of(node)));
    }
}

/// Who answers for the node and for what it serves.
fn owners(catalog: &Catalog, labels: &Labels) -> Facts {
    let figure = |label: &str| {
        let name = labels.get(label)?;
        let node = catalog.nodes.iter().find(|node| node.name == *name)?;
        Some(Figure {
            title: node.title.clone(),
            owner: node.owner.clone(),
            ..Figure::default()
        })
    };
    Facts {
        node: figure("node"),
        parent_owner: figure("parent").and_then(|parent| parent.owner),
        parent: figure("parent"),
        ..Facts::default()
    }
}

/// The same rule, without the time for which it must hold.
fn at_once(rule: Rule, severity: Severity) -> Rule {
    let always = Expr::compile("true", &[]).ok();
    let when = rule.levels.first().map(|level| level.when.clone()).or(always);
    Rule {
        levels: when
            .map(|when| RuleLevel {
                severity,
                when,
                hold_for: jiff::SignedDuration::ZERO,
            })
            .into_iter()
            .collect(),
        keep_firing_for: jiff::SignedDuration::ZERO,
        for_events: 1,
        nodes: Vec::new(),
        except: Vec::new(),
        ..rule
    }
}
