//! Siblings under rules: the links that serve one node instance, or all instances of a node, and what they say together.

use super::asked::Asked;
use super::judge::{figure, sources_of};
use super::record::{Facts, Figure, Labels, SharedFacts};
use super::round::Known;
use super::sample::{About, Condition, Sample};
use crate::catalog::attribute::{Attribute, Title};
use crate::catalog::expr::Value;
use crate::catalog::{Catalog, Node, Rule, RuleOn};
use crate::evaluate::{InstanceKey, SharedDrift, Snapshot};

/// Links that serve the same, under a rule.
#[derive(Clone, Copy)]
pub struct OfSiblings<'a> {
    catalog: &'a Catalog,
    snapshot: &'a Snapshot,
    rule: &'a Rule,
    said: &'a SharedDrift,
}

/// What a rule says of every set of siblings that is known or breaches.
pub(super) fn samples<'a>(
    rule: &'a Rule,
    catalog: &'a Catalog,
    snapshot: &'a Snapshot,
    known: &Known<'_>,
) -> impl Iterator<Item = Sample<'a, OfSiblings<'a>>> {
    let judged = snapshot.shared.iter().filter_map(move |said| {
        let about = OfSiblings {
            catalog,
            snapshot,
            rule,
            said,
        };
        let node = about.node();
        if !rule.applies_to(&node.name) {
            return None;
        }
        let condition = about.condition();
        let is_known = known.holds(&rule.name, &node.name);
        let begins = condition.is_breach() || condition == Condition::Error;
        (is_known || begins).then(|| Sample {
            rule,
            node: &node.name,
            fingerprint: about.fingerprint(),
            condition,
            period_end: None,
            is_new: false,
            about,
        })
    });
    judged.collect::<Vec<_>>().into_iter()
}

impl<'a> OfSiblings<'a> {
    /// The node that they serve.
    fn node(&self) -> &'a Node {
        self.catalog.node(self.said.key.node)
    }

    /// The parent's numbers; of all instances of a node there are none.
    fn figure(&self) -> Figure {
        match self.snapshot.instances.find(&self.said.key) {
            Some(state) => figure(self.catalog, self.snapshot, state),
            None => Figure {
                title: self.node().title.clone(),
                unit: self.catalog.metric(self.node().metric).unit.clone(),
                owner: self.node().owner.clone(),
                ..Figure::default()
            },
        }
    }

    /// Names of links: the values of their dimensions, with the KPI where there are several.
    fn names(&self) -> Vec<String> {
        let drifting = &self.said.drifting;
        let is_of_one_kpi = drifting.windows(2).all(|pair| pair[0].node == pair[1].node);
        let name = |key: &InstanceKey| {
            let title = &self.catalog.node(key.node).title;
            match (key.dimensions.is_empty(), is_of_one_kpi) {
                (true, _) => title.clone(),
                (false, true) => key.dimensions.join(" / "),
                (false, false) => format!("{title} · {}", key.dimensions.join(" / ")),
            }
        };
        drifting.iter().take(SharedFacts::NAMED).map(name).collect()
    }
}

impl<'a> Asked<'a> for OfSiblings<'a> {
    const ON: RuleOn = RuleOn::Siblings;

    fn rule(&self) -> &'a Rule {
        self.rule
    }

    fn value(&self, attribute: Attribute) -> Value<'a> {
        match attribute {
            Attribute::Name => Value::Text(&self.node().name),
            Attribute::Title => Value::Text(&self.node().title),
            Attribute::Owner => self.node().owner.as_deref().map_or(Value::Missing, Value::Text),
            Attribute::SharedDrift => Value::Number(self.said.evidence),
            Attribute::Drifting => Value::Number(self.said.drifting.len() as f64),
            Attribute::JudgedLinks => Value::Number(self.said.judged as f64),
            // Where none drifts, nothing is off.
            Attribute::ParentGap => Value::Number(self.said.gap.unwrap_or(0.0)),
            _ => Value::Missing,
        }
    }

    fn is_share(attribute: Attribute) -> bool {
        matches!(attribute, Attribute::ParentGap | Attribute::SharedDrift)
    }
}

impl About for OfSiblings<'_> {
    fn sources(&self) -> Vec<String> {
        sources_of(self.catalog, self.node().metric)
    }

    fn labels(&self) -> Labels {
        let node = self.node();
        let mut labels = self.rule.labels.clone();
        let values = node.each.iter().zip(self.said.key.dimensions.iter());
        labels.extend(values.map(|(name, value)| (name.clone(), value.to_string())));
        labels.insert("alertname".to_owned(), self.rule.name.clone());
        labels.insert("node".to_owned(), node.name.clone());
        if let Some(parent) = &node.parent {
            labels.insert("parent".to_owned(), self.catalog.node(parent.node).name.clone());
        }
        if let Some(owner) = &node.owner {
            labels.insert("owner".to_owned(), owner.clone());
        }
        labels
    }

    fn facts(&self) -> Facts {
        let title = |title: &Option<Title>| title.as_ref().map(|title| self.title(title));
        Facts {
            title: title(&self.rule.title).unwrap_or_default(),
            title_zh: title(&self.rule.title_zh),
            node: Some(self.figure()),
            shared: Some(SharedFacts {
                is_more: self.said.is_more,
                drifting: self.said.drifting.len(),
                judged: self.said.judged,
                going: self.said.going,
                names: self.names(),
                since: self.said.since,
                gap: self.said.gap,
                kpi: self.said.kpi,
                parent: self.said.parent,
                confidence: self.said.confidence,
            }),
            compared: self.compared(),
            ..Facts::default()
        }
    }
}
