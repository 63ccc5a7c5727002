//! The alert about a rule that cannot be evaluated: while a rule errors, its own alerts are frozen, so somebody has to
//! be told that nobody is watching. One identity a rule and node, whatever the number of instances and periods.

use std::collections::{BTreeSet, HashSet};

use jiff::SignedDuration;

use super::record::{AlertRecord, Compared, Facts, Figure, Labels};
use super::sample::{About, Condition, Sample};
use crate::catalog::Severity;

/// Name and kind of the alert; no rule of the catalogue may have it.
pub const RULE_ERROR: &str = "rule_error";
/// Event time for which a rule must fail before anybody is told: one bad update is not worth a message.
pub(super) const ERROR_FOR: SignedDuration = SignedDuration::from_mins(15);
/// Its level.
pub(super) const SEVERITY: Severity = Severity::WARNING;

/// A rule on a node.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Watched {
    rule: String,
    node: String,
}

impl Watched {
    /// What a record of this alert watches; `None` for any other record.
    pub(super) fn of(record: &AlertRecord) -> Option<Watched> {
        if record.rule != RULE_ERROR {
            return None;
        }
        Some(Watched {
            rule: record.labels.get("rule")?.clone(),
            node: record.labels.get("node")?.clone(),
        })
    }

    pub(super) fn rule(&self) -> &str {
        &self.rule
    }

    pub(super) fn node(&self) -> &str {
        &self.node
    }
}

impl About for Watched {
    fn labels(&self) -> Labels {
        let pairs = [
            ("alertname", RULE_ERROR),
            ("rule", &self.rule),
            ("node", &self.node),
        ];
        pairs
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    fn facts(&self) -> Facts {
        let node = Figure {
            title: self.node.clone(),
            ..Figure::default()
        };
        Facts {
            title: self.rule.clone(),
            title_zh: None,
            node: Some(node),
            parent: None,
            item: None,
            source: None,
            shared: None,
            entry: None,
            delivery: None,
            crowd: None,
            parent_owner: None,
            link: None,
            compared: Compared::default(),
        }
    }
}

/// The rules that fail now, and those of `open` (which failed before) that are judged again; the rest of `open` is not
/// judged at all. In a fixed order.
pub(super) fn judgements<A>(samples: &[Sample<'_, A>], open: &[Watched]) -> Vec<(Watched, Condition)> {
    let fails = |sample: &&Sample<'_, A>| sample.condition == Condition::Error;
    let failing: BTreeSet<(&str, &str)> = samples.iter().filter(fails).map(key).collect();
    let quiet: HashSet<(&str, &str)> = open
        .iter()
        .map(|watched| (watched.rule(), watched.node()))
        .filter(|key| !failing.contains(key))
        .collect();
    let judged: BTreeSet<(&str, &str)> = match quiet.is_empty() {
        true => BTreeSet::new(),
        false => samples
            .iter()
            .map(key)
            .filter(|key| quiet.contains(key))
            .collect(),
    };
    let breach = failing.into_iter().map(|key| (key, Condition::Breach(SEVERITY)));
    let clear = judged.into_iter().map(|key| (key, Condition::Clear));
    breach
        .chain(clear)
        .map(|((rule, node), condition)| {
            let watched = Watched {
                rule: rule.to_owned(),
                node: node.to_owned(),
            };
            (watched, condition)
        })
        .collect()
}

fn key<'s, A>(sample: &'s Sample<'_, A>) -> (&'s str, &'s str) {
    (&sample.rule.name, sample.node)
}
