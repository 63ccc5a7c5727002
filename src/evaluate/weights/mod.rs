//! Weights that follow what the KPIs are seen to explain of the business that they serve.
//!
//! At each close of a month or a quarter, for each parent with weighted KPIs: [`evidence`] of each from its link,
//! [`formula`] for what that speaks for, and the [`Book`] for what was proposed, decided, and has been in force since when.
//!
//! A weight changes at the start of a period, never inside one: the weight of a KPI over a period is the one in force on
//! the period's first day.

mod book;
mod evidence;
mod formula;
#[cfg(test)]
mod tests;
mod titled;

pub use book::{Book, Changed, Decision, Line, LineEvidence, Proposal, Refused, Setting, Standing, Why};
pub use evidence::{Found, gather};
pub use formula::{Evidence, Member, propose};
pub use titled::Titled;

use std::collections::BTreeMap;

use jiff::civil::Date;

use super::snapshot::Period;
use crate::catalog::{Calendar, Catalog, Node, NodeId, PeriodKind, Role};

/// The KPIs that serve a parent and have a weight.
pub fn weighted(catalog: &Catalog, parent: NodeId) -> Vec<NodeId> {
    let of_parent = weighted_nodes(catalog).filter(|(of, _)| *of == parent);
    of_parent.map(|(_, kpi)| kpi).collect()
}

/// The same of every parent that has any, in the order of the catalogue.
pub fn all_weighted(catalog: &Catalog) -> BTreeMap<NodeId, Vec<NodeId>> {
    let mut all: BTreeMap<NodeId, Vec<NodeId>> = BTreeMap::new();
    for (parent, kpi) in weighted_nodes(catalog) {
        all.entry(parent).or_default().push(kpi);
    }
    all
}

/// KPIs with a weight, each with its parent.
fn weighted_nodes(catalog: &Catalog) -> impl Iterator<Item = (NodeId, NodeId)> {
    let ids = (0u32..).map(NodeId).zip(&catalog.nodes);
    let is_weighted = |node: &Node| node.role == Role::Kpi && node.weight.is_some();
    ids.filter(move |(_, node)| is_weighted(node))
        .filter_map(|(id, node)| Some((node.parent.as_ref()?.node, id)))
}

/// When the weights of a parent's KPIs are looked at, and from when they may change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rhythm {
    /// They are looked at when one of these closes: a month, or a quarter where a KPI has a longer period than a month.
    pub closes: PeriodKind,
    /// They change when one of these begins: none of the KPIs' periods of the calendar runs over its start.
    pub begins: PeriodKind,
}

impl Rhythm {
    /// The rhythm of KPIs with these periods.
    pub fn of(periods: impl Iterator<Item = PeriodKind>) -> Rhythm {
        let longest = periods.map(PeriodKind::longest_days).max().unwrap_or(0);
        // Weeks and numbers of days begin anywhere: each of their periods keeps the weight of its first day.
        let begins = match longest {
            ..=31 => PeriodKind::Month,
            32..=92 => PeriodKind::Quarter,
            93..=184 => PeriodKind::Half,
            _ => PeriodKind::Year,
        };
        let closes = if begins == PeriodKind::Month {
            PeriodKind::Month
        } else {
            PeriodKind::Quarter
        };
        Rhythm { closes, begins }
    }

    /// The period that a day is the last one of.
    pub fn closed_on(self, day: Date, calendar: &Calendar) -> Option<Period> {
        let period = Period::containing(self.closes, day, calendar);
        (day.tomorrow().ok() == Some(period.end)).then_some(period)
    }

    /// The first day after `day` on which weights may change.
    pub fn next_start(self, day: Date, calendar: &Calendar) -> Date {
        Period::containing(self.begins, day, calendar).end
    }
}
