//! Rules: the built-in ones as nodes override them, and own rules.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::SignedDuration;

use super::hysteresis::contradiction;
use super::{Loader, Owned, entries};
use crate::catalog::attribute::{Title, vocabulary_of};
use crate::catalog::expr::{Expr, Type};
use crate::catalog::file::{LevelEntry, NodeEntry, Override, RuleEntry};
use crate::catalog::model::{OnMissing, Rule, RuleLevel, RuleOn};
use crate::catalog::severity::Severity;
use crate::catalog::yaml;
use crate::catalog::yaml::{Location, Spanned};

/// A rule that every node has without being asked, in the words of the catalogue.
struct BuiltIn {
    name: &'static str,
    /// Kind of its alerts, where it is not the name.
    kind: Option<&'static str>,
    on: RuleOn,
    when: &'static str,
    clear: &'static str,
    hold_for: SignedDuration,
    severity: Severity,
    /// When it is critical.
    critical: Option<&'static str>,
}

impl BuiltIn {
    /// A rule by which the judgement of links is told: it fires and clears as the detector says.
    const fn drift(
        name: &'static str,
        when: &'static str,
        clear: &'static str,
        critical: Option<&'static str>,
    ) -> BuiltIn {
        BuiltIn {
            name,
            kind: None,
            on: RuleOn::Link,
            when,
            clear,
            hold_for: SignedDuration::ZERO,
            severity: Severity::WARNING,
            critical,
        }
    }
}

/// Alerts that no rule of a catalogue makes.
const OWN_ALERTS: [&str; 3] = ["delivery_failed", "rule_error", "too_many_alerts"];

const BUILT_IN: [BuiltIn; 19] = [
    BuiltIn::drift(
        "hollow",
        "link.hollow >= 1",
        "link.hollow < 1",
        Some("link.hollow >= 1 && link.parent_gap <= -0.2"),
    ),
    BuiltIn::drift(
        "gaming",
        "link.gaming >= 1",
        "link.gaming < 1",
        Some("link.gaming >= 1 && link.parent_gap <= -0.2"),
    ),
    BuiltIn::drift(
        "uncredited",
        "link.uncredited >= 1",
        "link.uncredited < 1",
        Some("link.uncredited >= 1 && link.parent_gap >= 0.2"),
    ),
    BuiltIn::drift("weak_link", "link.weak_link >= 1", "link.weak_link < 1", None),
    BuiltIn::drift("lag_change", "link.lag_change >= 1", "link.lag_change < 1", None),
    BuiltIn::drift("feed_gap", "link.feed_gap >= 1", "link.feed_gap < 1", None),
    BuiltIn::drift(
        "unit_change",
        "link.unit_change >= 1",
        "link.unit_change < 1",
        None,
    ),
    // One shock that most of the links of a node share: their own alerts are explained by it.
    BuiltIn {
        name: "shared_drift",
        kind: None,
        on: RuleOn::Siblings,
        when: "siblings.drift >= 1",
        clear: "siblings.drift < 0.5",
        hold_for: SignedDuration::ZERO,
        severity: Severity::WARNING,
        critical: Some("siblings.drift >= 1 && (siblings.parent_gap <= -0.2 || siblings.parent_gap >= 0.2)"),
    },
    BuiltIn {
        name: "behind_pace",
        kind: None,
        on: RuleOn::Node,
        // A bad beginning is made up for, and a good pace of late says that it will be: see docs/detection.md.
        when: "node.pace < 0.9 && (!node.has_burn || node.burn >= 1.4)",
        clear: "node.pace >= 0.95",
        hold_for: SignedDuration::from_hours(48),
        severity: Severity::WARNING,
        critical: None,
    },
    BuiltIn {
        name: "target_at_risk",
        kind: None,
        on: RuleOn::Node,
        when: "node.target_probability < 0.2 && node.elapsed >= 0.25",
        clear: "node.target_probability >= 0.3",
        hold_for: SignedDuration::from_hours(24),
        severity: Severity::WARNING,
        critical: None,
    },
    BuiltIn {
        name: "unreconciled",
        kind: None,
        on: RuleOn::Node,
        when: "node.unreconciled > 0.01",
        clear: "node.unreconciled <= 0.01",
        hold_for: SignedDuration::from_hours(24),
        severity: Severity::WARNING,
        critical: None,
    },
    BuiltIn {
        name: "entry_missed",
        // An entry that nobody typed in is a feed that stopped.
        kind: Some("feed_gap"),
        on: RuleOn::Node,
        when: "node.missed_entry_days > 0.0",
        clear: "node.missed_entry_days <= 0.0",
        hold_for: SignedDuration::ZERO,
        severity: Severity::WARNING,
        critical: None,
    },
    // Of a node that no link watches; of the others their links say it.
    BuiltIn {
        name: "silent",
        kind: Some("feed_gap"),
        on: RuleOn::Node,
        when: "node.silent_days > 0.0",
        clear: "node.silent_days <= 0.0",
        hold_for: SignedDuration::ZERO,
        severity: Severity::WARNING,
        critical: None,
    },
    BuiltIn {
        name: "other_unit",
        kind: Some("unit_change"),
        on: RuleOn::Node,
        when: "node.unit_factor > 2.0 || node.unit_factor < 0.5",
        clear: "node.unit_factor <= 2.0 && node.unit_factor >= 0.5",
        hold_for: SignedDuration::ZERO,
        severity: Severity::WARNING,
        critical: None,
    },
    BuiltIn {
        name: "overdue",
        kind: None,
        on: RuleOn::Item,
        when: "item.overdue_days > 0.0",
        clear: "item.overdue_days <= 0.0",
        hold_for: SignedDuration::ZERO,
        severity: Severity::WARNING,
        critical: None,
    },
    // One bad event of a source that brings few is not a broken feed: it takes a number of them.
    BuiltIn {
        name: "rejected",
        kind: Some("feed_gap"),
        on: RuleOn::Source,
        when: "source.rejected >= 10.0 && source.rejected_share > source.max_rejected",
        clear: "source.rejected_share <= source.max_rejected",
        hold_for: SignedDuration::ZERO,
        severity: Severity::WARNING,
        critical: Some("source.rejected >= 10.0 && source.rejected_share >= 0.5"),
    },
    BuiltIn {
        name: "stale",
        kind: Some("feed_gap"),
        on: RuleOn::Source,
        when: "source.staleness >= 1.0",
        clear: "source.staleness < 1.0",
        hold_for: SignedDuration::ZERO,
        severity: Severity::WARNING,
        critical: None,
    },
    // A load that was repeated, or a producer in a loop; or customers.
    BuiltIn {
        name: "surge",
        kind: None,
        on: RuleOn::Source,
        when: "source.surge >= 3.0",
        clear: "source.surge < 2.0",
        hold_for: SignedDuration::ZERO,
        severity: Severity::WARNING,
        critical: None,
    },
    BuiltIn {
        name: "limit_reached",
        kind: None,
        on: RuleOn::Source,
        when: "source.let_go > 0.0",
        clear: "source.let_go <= 0.0",
        hold_for: SignedDuration::ZERO,
        severity: Severity::WARNING,
        critical: None,
    },
];

impl BuiltIn {
    /// As if it had been written in a catalogue file.
    fn entry(&self) -> RuleEntry {
        let written = |text: &str| Spanned::new(text.to_owned(), Location::UNKNOWN);
        let levels = self.critical.map(|when| LevelEntry {
            severity: written(Severity::CRITICAL.as_str()),
            when: written(when),
            r#for: None,
        });
        RuleEntry {
            levels: levels.into_iter().collect(),
            on: Some(self.on),
            when: Some(written(self.when)),
            clear: Some(written(self.clear)),
            r#for: Some(crate::catalog::file::Duration(self.hold_for)),
            severity: Some(written(self.severity.as_str())),
            ..RuleEntry::default()
        }
    }
}

impl Loader<'_> {
    pub(super) fn rules(&mut self, declared: &Owned<RuleEntry>, nodes: &Owned<NodeEntry>) -> Vec<Rule> {
        let mut rules = Vec::new();
        let here: Arc<str> = "built in".into();
        for built_in in &BUILT_IN {
            let rule = self.rule(&here, built_in.name, Location::UNKNOWN, &built_in.entry(), None);
            rules.extend(rule.map(|rule| Rule {
                kind: built_in.kind.unwrap_or(built_in.name).to_owned(),
                ..rule
            }));
        }
        let node_names: Vec<&str> = entries(nodes).map(|entry| entry.name.value.as_str()).collect();
        for entry in entries(declared) {
            if BUILT_IN.iter().any(|built_in| built_in.name == entry.name.value) {
                let message = format!(
                    "'{}' is a built-in rule; change it at a node: rules: {{{}: {{for: 3d}}}} or off",
                    entry.name.value, entry.name.value
                );
                self.problem(entry.place(), message);
                continue;
            }
            if OWN_ALERTS.contains(&entry.name.value.as_str()) {
                let message = format!(
                    "'{}' is the name of an alert of tautline's own; choose another name",
                    entry.name.value
                );
                self.problem(entry.place(), message);
                continue;
            }
            for pattern in &entry.value.nodes {
                let known = match pattern.value.strip_suffix('*') {
                    Some(prefix) => node_names.iter().any(|name| name.starts_with(prefix)),
                    None => {
                        self.resolve(
                            "node",
                            entry.at(pattern),
                            &pattern.value,
                            node_names.iter().copied(),
                        );
                        true
                    }
                };
                if !known {
                    self.problem(
                        entry.at(pattern),
                        format!("no node begins with what '{}' says", pattern.value),
                    );
                }
            }
            rules.extend(self.rule(
                &entry.file,
                &entry.name.value,
                entry.name.location,
                entry.value,
                None,
            ));
        }
        for entry in entries(nodes) {
            for (name, changed) in &entry.value.rules.0 {
                self.override_rule(&entry.file, &entry.name.value, name, changed, &mut rules);
            }
        }
        rules
    }

    /// A node that overrides a rule is excepted from the general one and gets its own.
    fn override_rule(
        &mut self,
        file: &Arc<str>,
        node: &str,
        name: &Spanned<String>,
        changed: &Override,
        rules: &mut Vec<Rule>,
    ) {
        let names: Vec<String> = rules.iter().map(|rule| rule.name.clone()).collect();
        let place = yaml::place(file, name.location);
        let Some(general) = self.resolve(
            "rule",
            place.clone(),
            &name.value,
            names.iter().map(String::as_str),
        ) else {
            return;
        };
        if rules[general].on == RuleOn::Source {
            let message = format!(
                "rule '{}' is about sources, not nodes; its bound is at the source: expected_interval, max_rejected, or the bound that was reached",
                name.value
            );
            self.problem(place, message);
            return;
        }
        rules[general].except.push(node.to_owned());
        let Override::Changed(entry) = changed else {
            rules[general].off.push(node.to_owned());
            return;
        };
        if !entry.nodes.is_empty() || entry.on.is_some() {
            self.problem(
                place,
                "a node changes a rule for itself: 'nodes' and 'on' do not belong here",
            );
            return;
        }
        let general = rules[general].clone();
        if let Some(mut own) = self.rule(file, &name.value, name.location, entry, Some(&general)) {
            own.nodes = vec![node.to_owned()];
            own.except = Vec::new();
            rules.push(own);
        }
    }

    /// Makes a rule of an entry; what it does not say is taken from `general`, where there is one.
    fn rule(
        &mut self,
        file: &Arc<str>,
        name: &str,
        location: Location,
        entry: &RuleEntry,
        general: Option<&Rule>,
    ) -> Option<Rule> {
        let place = yaml::place(file, location);
        let on = match entry.on.or(general.map(|rule| rule.on)) {
            Some(on) => on,
            None => {
                self.problem(
                    place,
                    format!("rule '{name}' says not what it is on; add 'on: link', 'on: siblings', 'on: node', 'on: item' or 'on: source'"),
                );
                return None;
            }
        };
        if on == RuleOn::Source && !entry.nodes.is_empty() {
            let message = format!(
                "rule '{name}' is on sources and judges no nodes; ask source.name, and remove 'nodes'"
            );
            self.problem(place, message);
            return None;
        }
        if let (RuleOn::Source | RuleOn::Siblings, Some(delay)) = (on, &entry.new_group_delay) {
            self.problem(
                yaml::place(file, delay.location),
                "new_group_delay is for values of a node's 'each' that appear, and this rule judges no single node; leave it out",
            );
        }
        let levels = self.levels(file, name, location, entry, on, general)?;
        let clear = match &entry.clear {
            Some(text) => {
                let clear = self.condition(file, text, on)?;
                if let Some(number) = contradiction(&levels, &clear, on) {
                    let message = format!(
                        "rule '{name}' would be breached and over at once, such as at {number}; 'clear' holds only where 'when' does not"
                    );
                    self.problem(yaml::place(file, text.location), message);
                    return None;
                }
                Some(clear)
            }
            // Another `when` beyond it has taken its meaning: over is where that does not hold.
            None => general
                .and_then(|rule| rule.clear.clone())
                .filter(|clear| contradiction(&levels, clear, on).is_none()),
        };
        let title = match &entry.title {
            Some(entry) => Some(self.title(file, &entry.text, on)?),
            None => general.and_then(|rule| rule.title.clone()),
        };
        let title_zh = match entry.title.as_ref().map(|entry| &entry.zh) {
            Some(Some(text)) => Some(self.title(file, text, on)?),
            Some(None) => None,
            None => general.and_then(|rule| rule.title_zh.clone()),
        };
        for label in entry.labels.keys() {
            let reserved = [
                "alertname",
                "node",
                "parent",
                "period",
                "owner",
                "severity",
                "kind",
                "item",
                "source",
            ];
            if reserved.contains(&label.as_str()) {
                self.problem(
                    place.clone(),
                    format!("the label '{label}' is set by tautline; choose another name"),
                );
            }
        }
        let mut labels: BTreeMap<String, String> =
            general.map(|rule| rule.labels.clone()).unwrap_or_default();
        labels.extend(entry.labels.clone());
        let own = general.is_none() && location != Location::UNKNOWN;
        Some(Rule {
            name: name.to_owned(),
            kind: general.map_or_else(|| name.to_owned(), |rule| rule.kind.clone()),
            on,
            nodes: entry.nodes.iter().map(|node| node.value.clone()).collect(),
            except: Vec::new(),
            off: Vec::new(),
            levels,
            clear,
            keep_firing_for: entry
                .keep_firing_for
                .map(|time| time.0)
                .or(general.map(|rule| rule.keep_firing_for))
                .unwrap_or(SignedDuration::ZERO),
            for_events: entry
                .for_events
                .or(general.map(|rule| rule.for_events))
                .unwrap_or(1)
                .max(1),
            new_group_delay: entry
                .new_group_delay
                .as_ref()
                .map(|delay| delay.value.0)
                .or(general.and_then(|rule| rule.new_group_delay)),
            on_missing: entry
                .on_missing
                .or(general.map(|rule| rule.on_missing))
                // An item is judged while it is open and overdue: one that is not is settled.
                .unwrap_or(match on {
                    RuleOn::Item => OnMissing::Resolve,
                    RuleOn::Node | RuleOn::Link | RuleOn::Source | RuleOn::Siblings => OnMissing::Keep,
                }),
            labels,
            title,
            title_zh,
            place: (own || general.is_some()).then_some(place),
        })
    }

    fn title(&mut self, file: &Arc<str>, text: &Spanned<String>, on: RuleOn) -> Option<Title> {
        match Title::parse(&text.value, on) {
            Ok(title) => Some(title),
            Err((offset, message)) => {
                let place = self.inside(file, text.location, &text.value, offset);
                self.problem(place, message);
                None
            }
        }
    }

    fn levels(
        &mut self,
        file: &Arc<str>,
        name: &str,
        location: Location,
        entry: &RuleEntry,
        on: RuleOn,
        general: Option<&Rule>,
    ) -> Option<Vec<RuleLevel>> {
        let mut levels = Vec::new();
        for level in &entry.levels {
            let when = self.condition(file, &level.when, on)?;
            let hold_for = level
                .r#for
                .or(entry.r#for)
                .map_or(SignedDuration::ZERO, |time| time.0);
            levels.push(RuleLevel {
                severity: self.severity(file, &level.severity)?,
                when,
                hold_for,
            });
        }
        let severity = match &entry.severity {
            Some(name) => Some(self.severity(file, name)?),
            None => None,
        };
        if let Some(text) = &entry.when {
            let when = self.condition(file, text, on)?;
            let severity = severity
                .or(general.map(|rule| rule.levels[0].severity))
                .unwrap_or(Severity::WARNING);
            let hold_for = entry
                .r#for
                .map(|time| time.0)
                .or(general.map(|rule| rule.levels[0].hold_for))
                .unwrap_or(SignedDuration::ZERO);
            levels.push(RuleLevel {
                severity,
                when,
                hold_for,
            });
        }
        if levels.is_empty()
            && let Some(general) = general
        {
            levels.clone_from(&general.levels);
            for level in &mut levels {
                level.hold_for = entry.r#for.map_or(level.hold_for, |time| time.0);
                level.severity = severity.unwrap_or(level.severity);
            }
        }
        if levels.is_empty() {
            let message = format!("rule '{name}' says not when it fires; add 'when: …'");
            self.problem(yaml::place(file, location), message);
            return None;
        }
        levels.sort_by_key(|level| level.severity);
        if levels.windows(2).any(|pair| pair[0].severity == pair[1].severity) {
            let message = format!("rule '{name}' has two levels of one severity");
            self.problem(yaml::place(file, location), message);
            return None;
        }
        Some(levels)
    }

    fn condition(&mut self, file: &Arc<str>, text: &Spanned<String>, on: RuleOn) -> Option<Expr> {
        let expr = self.expr(file, text, &vocabulary_of(on).variables)?;
        if !matches!(expr.kind(), Type::Bool | Type::Any) {
            let message = format!("a condition is true or false, and this is {}", expr.kind().noun());
            self.problem(yaml::place(file, text.location), message);
            return None;
        }
        Some(expr)
    }
}
