//! Drift: whether a KPI and the business it serves have come apart. The place of the detector; here is what it sees.

use super::Evaluator;
use crate::catalog::NodeId;
use crate::evaluate::InstanceKey;
use crate::fold::cells::Cells;
use crate::fold::day::Day;

/// What both sides of a link brought, day by day, as known now.
#[derive(Clone, PartialEq, Debug)]
pub struct LinkFlows {
    /// First day.
    pub from: Day,
    /// What the KPI brought each day; `None` where it has no value.
    pub kpi: Vec<Option<f64>>,
    /// What the parent brought each day; as long as `kpi`.
    pub parent: Vec<Option<f64>>,
}

impl Evaluator {
    /// The daily flows of a KPI instance and its parent over the days `from..to`; `None` for what has no parent.
    pub fn link_flows(&self, cells: &Cells, kpi: &InstanceKey, from: Day, to: Day) -> Option<LinkFlows> {
        let parent = super::parent_of(&self.catalog, kpi)?;
        Some(LinkFlows {
            from,
            kpi: self.flow(cells, kpi, from, to)?,
            parent: self.flow(cells, &parent, from, to)?,
        })
    }

    /// What each of the days `from..to` brought to an instance.
    pub fn flow(&self, cells: &Cells, key: &InstanceKey, from: Day, to: Day) -> Option<Vec<Option<f64>>> {
        let NodeId(index) = key.node;
        let cell_key = self.cell_key(key);
        Some(
            self.nodes
                .get(index as usize)?
                .as_ref()?
                .flow(cells, &cell_key, from, to),
        )
    }
}
