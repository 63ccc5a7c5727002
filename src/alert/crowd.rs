//! The alert about a rule that breaches in more places than alerts are kept of: every alert takes memory, and a rule over
//! a million instances may breach at each of them.

use std::collections::BTreeMap;

use super::record::{AlertRecord, CrowdFacts, Facts, Labels};
use super::sample::{About, Condition};
use crate::catalog::Severity;

/// Name and kind of the alert; no rule of the catalogue may have it.
pub const TOO_MANY_ALERTS: &str = "too_many_alerts";
/// Its level.
pub(super) const SEVERITY: Severity = Severity::WARNING;

/// A rule with more breaches than alerts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Crowd {
    rule: String,
    /// Alerts that are kept.
    kept: usize,
    /// Breaches beyond them, at this step.
    beyond: u64,
}

impl Crowd {
    /// The rule that a record of this alert is about; `None` for any other record.
    pub(super) fn rule_of(record: &AlertRecord) -> Option<&str> {
        let is_it = record.rule == TOO_MANY_ALERTS;
        is_it.then(|| record.labels.get("rule").map(String::as_str))?
    }

    pub(super) fn condition(&self) -> Condition {
        match self.beyond {
            0 => Condition::Clear,
            _ => Condition::Breach(SEVERITY),
        }
    }

    /// The rules that have such an alert, or need one: `beyond` are the breaches by rule, `open` the rules that have one.
    pub(super) fn all(
        beyond: &BTreeMap<String, u64>,
        open: impl Iterator<Item = String>,
        kept: usize,
    ) -> Vec<Crowd> {
        let mut rules: BTreeMap<String, u64> = open.map(|rule| (rule, 0)).collect();
        rules.extend(beyond.iter().map(|(rule, count)| (rule.clone(), *count)));
        let crowd = |(rule, beyond)| Crowd { rule, kept, beyond };
        rules.into_iter().map(crowd).collect()
    }
}

impl About for Crowd {
    fn labels(&self) -> Labels {
        [("alertname", TOO_MANY_ALERTS), ("rule", &self.rule)]
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    fn facts(&self) -> Facts {
        Facts {
            title: self.rule.clone(),
            crowd: Some(CrowdFacts {
                kept: u64::try_from(self.kept).unwrap_or(u64::MAX),
                beyond: self.beyond,
            }),
            ..Facts::default()
        }
    }
}
