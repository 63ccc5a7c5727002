//! What dispatch needs to know of the business, from the catalogue and the snapshot of a step.

use std::cell::RefCell;
use std::sync::Arc;

use hashbrown::HashMap;

use super::dispatch::World;
use super::judge::figure;
use super::notice::{Cause, Causes};
use super::record::{AlertRecord, Facts, Figure, Labels};
use super::rule_error::RULE_ERROR;
use crate::catalog::attribute::DriftKind;
use crate::catalog::{Calendar, Catalog, NodeId, Relation, Role, SourceId};
use crate::evaluate::attribution::{Attribution, Contribution, attribute};
use crate::evaluate::drill::{Part, drill};
use crate::evaluate::pace::completion;
use crate::evaluate::{Evaluator, InstanceKey, NodeState, Period, Snapshot};
use crate::fold::cells::Cells;

/// Parts of a distance that are named.
const NAMED_CAUSES: usize = 3;
/// Share of a distance from which on a part is named.
const LEAST_CAUSE: f64 = 0.1;
/// Kinds of alerts that are about no distance from a plan.
const UNCAUSED: [&str; 4] = ["feed_gap", "unit_change", "unreconciled", RULE_ERROR];

/// Nodes in the table of forecasts at most.
const FORECASTS: usize = 20;

/// The business at one step.
pub(super) struct Business<'a> {
    catalog: &'a Catalog,
    snapshot: &'a Snapshot,
    evaluator: &'a Evaluator,
    cells: &'a Cells,
    /// What the distances of parents are made of, as far as it was asked.
    attributions: RefCell<HashMap<InstanceKey, Option<Attribution>>>,
    /// What instances came to in the period before, as far as it was asked.
    before: RefCell<HashMap<InstanceKey, Option<f64>>>,
}

impl<'a> Business<'a> {
    pub(super) fn new(
        catalog: &'a Catalog,
        snapshot: &'a Snapshot,
        evaluator: &'a Evaluator,
        cells: &'a Cells,
    ) -> Business<'a> {
        Business {
            catalog,
            snapshot,
            evaluator,
            cells,
            attributions: RefCell::default(),
            before: RefCell::default(),
        }
    }

    fn node(&self, name: &str) -> Option<NodeId> {
        let position = self.catalog.nodes.iter().position(|node| node.name == name)?;
        u32::try_from(position).ok().map(NodeId)
    }

    /// The instance of a node that these labels name.
    fn key(&self, node: NodeId, labels: &Labels) -> Option<InstanceKey> {
        let each = &self.catalog.node(node).each;
        let value = |name: &String| labels.get(name).map(|value| Arc::from(value.as_str()));
        Some(InstanceKey {
            node,
            dimensions: each.iter().map(value).collect::<Option<_>>()?,
        })
    }

    /// What an instance came to in the period before the running one.
    fn before(&self, part: &NodeState) -> Option<f64> {
        let calendar = self.catalog.calendar_of(self.catalog.node(part.key.node));
        let last = part.period.start.yesterday().ok()?;
        let period = Period::containing(part.period.kind, last, calendar);
        let mut known = self.before.borrow_mut();
        let value = known.entry_ref(&part.key);
        *value.or_insert_with(|| self.evaluator.final_value(self.cells, &part.key, &period))
    }

    /// The few dimension values that most of a distance comes from, where the node is split.
    fn values(&self, key: &InstanceKey) -> Option<(Vec<Cause>, usize)> {
        let drills = drill(self.catalog, self.snapshot, key, |part| self.before(part));
        let found = drills.into_iter().next()?;
        let declared = self.catalog.node(found.node);
        let cause = |part: &Part| {
            let values = declared.each.iter().zip(part.key.dimensions.iter());
            let beyond: Vec<&str> = values
                .filter(|(name, _)| found.dimensions.contains(name))
                .map(|(_, value)| &**value)
                .collect();
            Cause {
                title: beyond.join(" / "),
                amount: part.amount,
                share: part.share,
            }
        };
        let named: Vec<Cause> = found.parts.iter().take(NAMED_CAUSES).map(cause).collect();
        let others = found.others + found.parts.len() - named.len();
        Some((named, others))
    }

    /// The parts or factors that most of a distance comes from.
    fn parts(&self, key: &InstanceKey) -> Option<(Vec<Cause>, usize)> {
        let found = attribute(self.catalog, self.snapshot, key, |_| None)?;
        let distance = found.distance();
        let accounts = found.accounts.into_iter();
        let account = accounts
            .filter(|account| account.relation != Relation::Influence)
            .min_by(|a, b| a.not_explained.abs().total_cmp(&b.not_explained.abs()))?;
        let cause = |part: &Contribution| {
            let amount = part.amount?;
            let node = self.catalog.node(part.key.node);
            let values: Vec<&str> = part.key.dimensions.iter().map(|value| &**value).collect();
            Some(Cause {
                title: match values.is_empty() {
                    true => node.title.clone(),
                    false => values.join(" / "),
                },
                amount,
                share: amount / distance,
            })
        };
        let named: Vec<Cause> = account
            .parts
            .iter()
            .filter_map(cause)
            .filter(|cause| cause.share >= LEAST_CAUSE)
            .take(NAMED_CAUSES)
            .collect();
        let others = account.parts.len() - named.len();
        (!named.is_empty()).then_some((named, others))
    }

    /// A figure with the value that its closed period has by now.
    fn final_figure(&self, node: &str, told: &Figure, labels: &Labels) -> Option<Figure> {
        let node = self.node(node)?;
        let declared = self.catalog.node(node);
        let key = self.key(node, labels)?;
        let period = Period::named(&told.period, self.catalog.calendar_of(declared))?;
        let value = self.evaluator.final_value(self.cells, &key, &period)?;
        let target = told.target?;
        Some(Figure {
            value: Some(value),
            completion: completion(value, target, declared.baseline, declared.direction),
            ..told.clone()
        })
    }
}

impl World for Business<'_> {
    fn calendar(&self) -> &Calendar {
        &self.catalog.calendar
    }

    fn parent_of(&self, node: &str) -> Option<&str> {
        let parent = self.catalog.node(self.node(node)?).parent.as_ref()?;
        Some(&self.catalog.node(parent.node).name)
    }

    fn reads(&self, node: &str, source: &str) -> bool {
        let position = self.catalog.sources.iter().position(|known| known.name == source);
        let source = position
            .and_then(|position| u32::try_from(position).ok())
            .map(SourceId);
        match (self.node(node), source) {
            (Some(node), Some(source)) => self.catalog.is_made_from(self.catalog.node(node).metric, source),
            _ => false,
        }
    }

    fn share(&self, record: &AlertRecord) -> Option<f64> {
        let key = self.key(self.node(record.labels.get("node")?)?, &record.labels)?;
        let state = self.snapshot.instances.iter().find(|state| state.key == key)?;
        let parent = state.parent.as_ref()?;
        let mut known = self.attributions.borrow_mut();
        let attribution = known
            .entry_ref(parent)
            .or_insert_with(|| attribute(self.catalog, self.snapshot, parent, |_| None))
            .as_ref()?;
        let distance = attribution.distance();
        let part = attribution
            .accounts
            .iter()
            .flat_map(|account| &account.parts)
            .find(|part| part.key == key)?;
        (distance != 0.0).then_some(part.amount? / distance)
    }

    fn shares(&self, shared: &AlertRecord, target: &AlertRecord) -> bool {
        let key_of = |record: &AlertRecord| {
            let node = self.node(record.labels.get("node")?)?;
            let has_values = |name: &String| record.labels.contains_key(name);
            let is_whole = !self.catalog.node(node).each.iter().any(has_values);
            let whole = InstanceKey {
                node,
                dimensions: [].into(),
            };
            if is_whole {
                Some(whole)
            } else {
                self.key(node, &record.labels)
            }
        };
        let (Some(parent), Some(key)) = (key_of(shared), key_of(target)) else {
            return false;
        };
        let find = |key: &InstanceKey| {
            let at = self.snapshot.shared.binary_search_by(|known| known.key.cmp(key));
            at.ok().map(|at| &self.snapshot.shared[at])
        };
        let Some(said) = find(&parent) else { return false };
        if let Some(kind) = DriftKind::of(&target.kind) {
            return said.holds(&key, kind);
        }
        // What is said of all instances of a node holds what is said of one.
        let is_part = parent.dimensions.is_empty() && !key.dimensions.is_empty() && key.node == parent.node;
        is_part && find(&key).is_some_and(|part| part.is_more == said.is_more)
    }

    fn causes(&self, record: &AlertRecord) -> Option<Causes> {
        let facts = &record.facts;
        let is_about_more = facts.item.is_some() || facts.source.is_some() || facts.entry.is_some();
        if is_about_more || UNCAUSED.contains(&record.kind.as_str()) {
            return None;
        }
        // Of a link the business is what falls behind.
        let label = match facts.parent {
            Some(_) => "parent",
            None => "node",
        };
        let key = self.key(self.node(record.labels.get(label)?)?, &record.labels)?;
        let (parts, others) = self.values(&key).or_else(|| self.parts(&key))?;
        let node = self.catalog.node(key.node);
        Some(Causes {
            of: node.title.clone(),
            unit: self.catalog.metric(node.metric).unit.clone(),
            parts,
            others,
        })
    }

    fn forecasts(&self) -> Vec<Figure> {
        let with_target = self.snapshot.instances.iter().filter(|state| {
            state.key.dimensions.is_empty() && state.completion.is_some() && state.target.is_some()
        });
        let mut figures: Vec<(bool, Figure)> = with_target
            .map(|state| {
                let is_kpi = self.catalog.node(state.key.node).role == Role::Kpi;
                (is_kpi, figure(self.catalog, self.snapshot, state))
            })
            .collect();
        // The least likely to be met first; of equal ones the business before its KPIs.
        figures.sort_by(|(a_is_kpi, a), (b_is_kpi, b)| {
            let chance = |figure: &Figure| figure.target_probability.unwrap_or(2.0);
            chance(a).total_cmp(&chance(b)).then(a_is_kpi.cmp(b_is_kpi))
        });
        figures
            .into_iter()
            .map(|(_, figure)| figure)
            .take(FORECASTS)
            .collect()
    }

    fn final_facts(&self, record: &AlertRecord) -> Option<Facts> {
        let (labels, told) = (&record.labels, &record.facts);
        let figure_of = |label: &str, told: &Option<Figure>| match told {
            Some(told) => self.final_figure(labels.get(label)?, told, labels).map(Some),
            None => Some(None),
        };
        Some(Facts {
            node: figure_of("node", &told.node)?,
            parent: figure_of("parent", &told.parent)?,
            ..told.clone()
        })
    }
}
