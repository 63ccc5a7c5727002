//! What dispatch needs to know of the business, from the catalogue and the snapshot of a step.

use std::cell::RefCell;

use hashbrown::HashMap;

use super::causes;
use super::dispatch::World;
use super::judge::figure;
use super::notice::Causes;
use super::record::{AlertRecord, Facts, Figure, Labels};
use crate::catalog::attribute::DriftKind;
use crate::catalog::{Calendar, Catalog, Role, SourceId};
use crate::evaluate::attribution::{Attribution, Driver, Untold, attribute};
use crate::evaluate::drill::{Counted, Known};
use crate::evaluate::pace::completion;
use crate::evaluate::weights::{Proposal, Titled};
use crate::evaluate::{Evaluator, InstanceKey, NodeState, Period, Snapshot};
use crate::fold::cells::Cells;
use crate::fold::day::Day;

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

    /// The instance that an alert is about.
    fn instance(&self, record: &AlertRecord) -> Option<InstanceKey> {
        let node = self.catalog.node_named(record.labels.get("node")?)?;
        causes::instance(self.catalog, node, &record.labels)
    }

    fn value_before(&self, part: &NodeState) -> Option<f64> {
        let calendar = self.catalog.calendar_of(self.catalog.node(part.key.node));
        let period = part.period.before(calendar)?;
        let mut known = self.before.borrow_mut();
        let value = known.entry_ref(&part.key);
        *value.or_insert_with(|| self.evaluator.final_value(self.cells, &part.key, &period))
    }

    /// How a KPI stands over the days that its parent answers.
    fn driver(&self, kpi: &NodeState, parent: &NodeState) -> Result<Driver, Untold> {
        let at = self.snapshot.watermark.ok_or(Untold::NoValue)?;
        self.evaluator.driver(self.cells, kpi, parent, at)
    }

    /// A figure with the value that its closed period has by now.
    fn final_figure(&self, node: &str, told: &Figure, labels: &Labels) -> Option<Figure> {
        let node = self.catalog.node_named(node)?;
        let declared = self.catalog.node(node);
        let key = causes::instance(self.catalog, node, labels)?;
        let period = Period::named(&told.period, self.catalog.calendar_of(declared))?;
        let value = self.evaluator.final_value(self.cells, &key, &period)?;
        let target = told.target?;
        Some(Figure {
            value: Some(value),
            completion: match told.band {
                Some(band) => Some(band.completion(value)),
                None => completion(value, target, declared.baseline, declared.direction),
            },
            ..told.clone()
        })
    }
}

impl Known for Business<'_> {
    fn before(&self, part: &NodeState) -> Option<f64> {
        self.value_before(part)
    }

    fn by_dimension(&self, whole: &NodeState, dimension: &str) -> Vec<Counted> {
        let Some(at) = self.snapshot.watermark else {
            return Vec::new();
        };
        let last_day = Day::of(self.catalog.calendar.day_of(at));
        self.evaluator
            .by_dimension(self.cells, whole, dimension, last_day)
    }
}

impl World for Business<'_> {
    fn calendar(&self) -> &Calendar {
        &self.catalog.calendar
    }

    fn parent_of(&self, node: &str) -> Option<&str> {
        let parent = self
            .catalog
            .node(self.catalog.node_named(node)?)
            .parent
            .as_ref()?;
        Some(&self.catalog.node(parent.node).name)
    }

    fn readers(&self, source: &str) -> Vec<&str> {
        let position = self.catalog.sources.iter().position(|known| known.name == source);
        let Some(source) = position.and_then(|at| u32::try_from(at).ok()).map(SourceId) else {
            return Vec::new();
        };
        let nodes = self.catalog.nodes.iter();
        nodes
            .filter(|node| self.catalog.is_made_from(node.metric, source))
            .map(|node| node.name.as_str())
            .collect()
    }

    fn each_of(&self, node: &str) -> &[String] {
        let node = self.catalog.node_named(node);
        node.map_or(&[], |node| &self.catalog.node(node).each)
    }

    fn share(&self, record: &AlertRecord) -> Option<f64> {
        let key = self.instance(record)?;
        let state = self.snapshot.instances.find(&key)?;
        let parent = state.parent.as_ref()?;
        let mut known = self.attributions.borrow_mut();
        let attribution = known
            .entry_ref(parent)
            .or_insert_with(|| attribute(self.catalog, self.snapshot, parent, |_, _| Err(Untold::Learning)))
            .as_ref()?;
        let distance = attribution.distance();
        let part = attribution
            .accounts
            .iter()
            .flat_map(|account| &account.parts)
            .find(|part| part.key == key)?;
        (distance != 0.0).then_some(part.amount.ok()? / distance)
    }

    fn shares(&self, shared: &AlertRecord, target: &AlertRecord) -> bool {
        let key_of = |record: &AlertRecord| {
            let node = self.catalog.node_named(record.labels.get("node")?)?;
            let has_values = |name: &String| record.labels.contains_key(name);
            let is_whole = !self.catalog.node(node).each.iter().any(has_values);
            let whole = InstanceKey {
                node,
                dimensions: [].into(),
            };
            if is_whole {
                Some(whole)
            } else {
                causes::instance(self.catalog, node, &record.labels)
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
        let key = causes::about(self.catalog, &record.kind, &record.labels, &record.facts)?;
        let driver = |kpi: &NodeState, parent: &NodeState| self.driver(kpi, parent);
        causes::of(self.catalog, self.snapshot, &key, self, driver)
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

    fn proposals(&self) -> Vec<&Proposal> {
        self.evaluator.book().pending().collect()
    }

    fn titled(&self, proposal: &Proposal) -> Titled {
        Titled::of(self.catalog, proposal)
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
