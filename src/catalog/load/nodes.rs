//! Nodes: the tree, with targets and plans.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use jiff::civil::Date;

use super::metrics::Metrics;
use super::sources::Sources;
use super::{Entry, Loader, Owned, entries, yaml};
use crate::catalog::Band;
use crate::catalog::agg::Agg;
use crate::catalog::file::{Amount, NodeEntry, Over, PeriodEntry, ProfileEntry, TargetEntry};
use crate::catalog::model::{
    Direction, GrowthBase, Level, MetricId, MetricKind, Node, NodeId, ParentLink, PeriodKind, Profile,
    Relation, Role, Target,
};
use crate::catalog::yaml::Spanned;

/// Share of the period before which pace is "too early", unless a node says otherwise.
const MIN_SHARE: f64 = 0.05;
/// Most dimensions that a node may be split by.
pub(crate) const MAX_DIMENSIONS: usize = 6;

/// Nodes, parents before their children.
pub(super) struct Nodes {
    pub(super) nodes: Vec<Node>,
}

impl Loader<'_> {
    pub(super) fn nodes(
        &mut self,
        declared: &Owned<NodeEntry>,
        metrics: &Metrics,
        sources: &Sources,
    ) -> Nodes {
        let known = self.problems.len();
        let names: Vec<&str> = entries(declared).map(|entry| entry.name.value.as_str()).collect();
        let mut parents: Vec<Option<usize>> = Vec::new();
        for entry in entries(declared) {
            parents.push(match &entry.value.parent {
                Some(parent) => self.resolve("node", entry.at(parent), &parent.value, names.iter().copied()),
                None => None,
            });
        }
        let Some(order) = self.parents_first(declared, &parents) else {
            return Nodes { nodes: Vec::new() };
        };
        let mut nodes = Vec::new();
        for &index in &order {
            let Some((file, name, value)) = declared.get(index) else {
                continue;
            };
            let entry = Entry {
                file: file.clone(),
                name,
                value,
            };
            let parent = parents[index].and_then(|parent| order.iter().position(|&at| at == parent));
            nodes.extend(self.node(&entry, parent, &nodes, metrics, sources));
        }
        // Indices hold only where every node was made; otherwise the catalogue is refused anyway. A part that is missing
        // because it was refused is told as that.
        if nodes.len() == declared.len() && self.problems.len() == known {
            self.ratios(declared, &order, &nodes);
        }
        Nodes { nodes }
    }

    /// A ratio is its first part by its second: with one part or three, or with parts that are split finer than it is,
    /// nothing would ever be compared with it.
    fn ratios(&mut self, declared: &Owned<NodeEntry>, order: &[usize], nodes: &[Node]) {
        let mut parts: BTreeMap<NodeId, Vec<usize>> = BTreeMap::new();
        for (at, node) in nodes.iter().enumerate() {
            if let Some(link) = node
                .parent
                .as_ref()
                .filter(|link| link.relation == Relation::Ratio)
            {
                parts.entry(link.node).or_default().push(at);
            }
        }
        for (whole, parts) in parts {
            let whole = &nodes[whole.0 as usize];
            let name = |at: usize| nodes[at].name.as_str();
            let finer = parts.iter().find_map(|&at| {
                let mut each = nodes[at].each.iter();
                Some((at, each.find(|dimension| !whole.each.contains(dimension))?))
            });
            let (wrong, message) = match (finer, parts.as_slice()) {
                (Some((at, dimension)), _) => (
                    at,
                    format!(
                        "'{}' is a part of the ratio '{whole}' and is split by '{dimension}', which '{whole}' is not: no quotient comes of it; remove '{dimension}' from 'each', split '{whole}' by it as well, or write relation: influence",
                        name(at),
                        whole = whole.name,
                    ),
                ),
                (None, [_, _]) => continue,
                (None, [only]) => (
                    *only,
                    format!(
                        "'{}' is the only part of the ratio '{whole}', and a ratio has two, the first divided by the second; give another node parent: {whole} and relation: ratio, or write relation: influence",
                        name(*only),
                        whole = whole.name,
                    ),
                ),
                (None, [first, second, third, ..]) => (
                    *third,
                    format!(
                        "'{}' is one part too many of the ratio '{}', which is '{}' divided by '{}'; write relation: influence, or another parent",
                        name(*third),
                        whole.name,
                        name(*first),
                        name(*second),
                    ),
                ),
                (None, []) => continue,
            };
            let (file, name, value) = &declared[order[wrong]];
            let location = value
                .relation
                .as_ref()
                .map_or(name.location, |relation| relation.location);
            self.problem(yaml::place(file, location), message);
        }
    }

    /// The order of the file, with every parent before its children, and children of one parent always in the order in
    /// which they are declared: of a ratio, that says which is divided by which. `None` when somebody is their own
    /// ancestor.
    fn parents_first(
        &mut self,
        declared: &Owned<NodeEntry>,
        parents: &[Option<usize>],
    ) -> Option<Vec<usize>> {
        let mut children: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (at, parent) in parents.iter().enumerate() {
            if let Some(parent) = parent {
                children.entry(*parent).or_default().push(at);
            }
        }
        let mut order = Vec::new();
        let mut placed = vec![false; parents.len()];
        for start in 0..parents.len() {
            let mut path = vec![start];
            while let Some(parent) = parents[path[path.len() - 1]].filter(|parent| !placed[*parent]) {
                if path.contains(&parent) {
                    let names: Vec<&str> = path.iter().map(|&at| declared[at].1.value.as_str()).collect();
                    let (file, name, _) = &declared[start];
                    let message = format!(
                        "the parents go in a circle: {} → {}; one of them must have another parent or none",
                        names.join(" → "),
                        declared[parent].1.value
                    );
                    self.problem(yaml::place(file, name.location), message);
                    return None;
                }
                path.push(parent);
            }
            for at in path.into_iter().rev() {
                let siblings = parents[at].and_then(|parent| children.get(&parent));
                let before = siblings
                    .into_iter()
                    .flatten()
                    .take_while(|sibling| **sibling < at);
                for &next in before.chain([&at]) {
                    if !std::mem::replace(&mut placed[next], true) {
                        order.push(next);
                    }
                }
            }
        }
        Some(order)
    }

    fn node(
        &mut self,
        entry: &Entry<'_, NodeEntry>,
        parent: Option<usize>,
        made: &[Node],
        metrics: &Metrics,
        sources: &Sources,
    ) -> Option<Node> {
        let value = entry.value;
        let metric = self.resolve(
            "metric",
            entry.at(&value.metric),
            &value.metric.value,
            metrics.names(),
        )?;
        let each = self.each(entry, metric, metrics, sources);
        let drill = self.drill(entry, metric, metrics, sources);
        let overdue_after = self.overdue_after(entry, metric, metrics)?;
        let period = self.period(entry)?;
        for part in metrics.parts(metric) {
            let Some(within) = part.keys.as_ref().and_then(|keys| keys.within.as_ref()) else {
                continue;
            };
            let longest = period.longest_days();
            if within.days < longest {
                let message = format!(
                    "within a period of node '{}' ({}, up to {longest}d) a key could be new twice; write within: {longest}d or more, or remove 'within'",
                    entry.name.value,
                    period.as_str(),
                );
                self.problem(within.place.clone(), message);
            }
        }
        let parent = self.parent_link(entry, parent, made, &each);
        self.same_calendar(entry, parent.as_ref(), made, metric, metrics);
        let target = self.target(entry, &each);
        if let Some(weight) = value
            .weight
            .as_ref()
            .filter(|weight| !(0.0..=100.0).contains(&weight.value))
        {
            self.problem(
                entry.at(weight),
                format!("a weight is 0 to 100 points, and this is {}", weight.value),
            );
        }
        let level = value.level.unwrap_or(match value.role {
            Role::Business => Level::Strategy,
            Role::Kpi => Level::Tactic,
        });
        let (profile, plan) = self.profile(entry);
        let last_year = value
            .last_year
            .as_ref()
            .map_or_else(Vec::new, |named| self.last_year(&entry.file, &named.file, &each));
        let metric_title = &metrics.metrics[metric].title;
        Some(Node {
            name: entry.name.value.clone(),
            title: value.title.clone().unwrap_or_else(|| metric_title.clone()),
            metric: MetricId(u32::try_from(metric).unwrap_or(u32::MAX)),
            role: value.role,
            level,
            parent,
            each,
            drill,
            period,
            target,
            baseline: value.baseline,
            overdue_after,
            direction: value.direction,
            owner: value.owner.clone(),
            weight: value.weight.as_ref().map(|weight| weight.value),
            profile,
            plan,
            last_year,
            min_share: value.min_share.map_or(MIN_SHARE, |share| share.0),
            min_count: self.min_count(entry, metric, metrics),
            new_group_delay: self.new_group_delay(entry),
            place: entry.place(),
        })
    }

    fn min_count(&mut self, entry: &Entry<'_, NodeEntry>, metric: usize, metrics: &Metrics) -> u64 {
        let Some(count) = &entry.value.min_count else {
            return 0;
        };
        let counts = |kind: &MetricKind| match kind {
            MetricKind::Simple(simple) => !matches!(simple.agg, Agg::Min | Agg::Max | Agg::Last),
            _ => true,
        };
        if !counts(&metrics.metrics[metric].kind) {
            self.problem(
                entry.at(count),
                format!(
                    "metric '{}' is a smallest, largest or newest value, whose events are not counted; leave out min_count",
                    metrics.metrics[metric].name
                ),
            );
        }
        count.value
    }

    fn new_group_delay(&mut self, entry: &Entry<'_, NodeEntry>) -> SignedDuration {
        let Some(delay) = &entry.value.new_group_delay else {
            return SignedDuration::ZERO;
        };
        if entry.value.each.is_empty() {
            self.problem(
                entry.at(delay),
                "new_group_delay is for values of 'each' that appear, and this node has no 'each'; leave it out",
            );
        }
        delay.value.0
    }

    fn each(
        &mut self,
        entry: &Entry<'_, NodeEntry>,
        metric: usize,
        metrics: &Metrics,
        sources: &Sources,
    ) -> Vec<String> {
        let mut each = Vec::new();
        let parts = metrics.parts(metric);
        for dimension in &entry.value.each {
            let place = entry.at(dimension);
            if each.contains(&dimension.value) {
                self.problem(place, format!("'{}' stands here twice", dimension.value));
            } else if self.dimension(place, &dimension.value, &parts, sources) {
                each.push(dimension.value.clone());
            }
        }
        if let Some(first) = entry.value.each.get(MAX_DIMENSIONS) {
            self.problem(
                entry.at(first),
                format!("a node may be split by {MAX_DIMENSIONS} dimensions at most"),
            );
        }
        each
    }

    /// Dimensions by which a gap is to be split, without instances.
    fn drill(
        &mut self,
        entry: &Entry<'_, NodeEntry>,
        metric: usize,
        metrics: &Metrics,
        sources: &Sources,
    ) -> Vec<String> {
        let mut drill: Vec<String> = Vec::new();
        let parts = metrics.parts(metric);
        for dimension in &entry.value.drill {
            let (place, name) = (entry.at(dimension), &dimension.value);
            let is_split = entry.value.each.iter().any(|each| each.value == *name);
            if is_split {
                let message =
                    format!("the node is split by '{name}' already: 'each' has it; leave it out of 'drill'");
                self.problem(place, message);
            } else if drill.contains(name) {
                self.problem(place, format!("'{name}' stands here twice"));
            } else if self.dimension(place, name, &parts, sources) {
                drill.push(name.clone());
            }
        }
        if let Some(first) = entry.value.drill.get(MAX_DIMENSIONS) {
            self.problem(
                entry.at(first),
                format!("a gap may be split by {MAX_DIMENSIONS} dimensions at most; each of them is counted"),
            );
        }
        if let Some(first) = entry.value.drill.first().filter(|_| !metrics.adds_up(metric)) {
            let message = format!(
                "metric '{}' does not add up over the values of a dimension, so no gap of it comes from them; leave out 'drill'",
                metrics.metrics[metric].name
            );
            self.problem(entry.at(first), message);
        }
        drill
    }

    fn parent_link(
        &mut self,
        entry: &Entry<'_, NodeEntry>,
        parent: Option<usize>,
        made: &[Node],
        each: &[String],
    ) -> Option<ParentLink> {
        let value = entry.value;
        let name = &entry.name.value;
        let Some(named) = &value.parent else {
            if value.role == Role::Kpi {
                let message = format!(
                    "KPI '{name}' has no parent: which business metric does it serve? add 'parent: …' and 'relation: influence'"
                );
                self.problem(entry.place(), message);
            }
            return None;
        };
        let relation = match &value.relation {
            Some(relation) => relation.value,
            None if value.role == Role::Kpi => Relation::Influence,
            None => {
                let message = format!(
                    "how does '{name}' serve '{}'? add relation: sum, product, ratio or influence",
                    named.value
                );
                self.problem(entry.at(named), message);
                return None;
            }
        };
        let parent = parent?;
        let above = made.get(parent)?;
        if let Some(missing) = above.each.iter().find(|dimension| !each.contains(dimension)) {
            let message = format!(
                "parent '{}' is split by '{missing}' and '{name}' is not; add it to 'each', or name another parent",
                above.name
            );
            self.problem(entry.at(named), message);
        }
        if above.role == Role::Kpi && value.role == Role::Business {
            let message = format!(
                "'{name}' is business and its parent '{}' is a KPI; KPIs serve business, not the other way round",
                above.name
            );
            self.problem(entry.at(named), message);
        }
        Some(ParentLink {
            node: NodeId(u32::try_from(parent).unwrap_or(u32::MAX)),
            relation,
        })
    }

    /// What a parent is made of is counted by its calendar: quarters of two fiscal years do not come to each other.
    fn same_calendar(
        &mut self,
        entry: &Entry<'_, NodeEntry>,
        parent: Option<&ParentLink>,
        made: &[Node],
        metric: usize,
        metrics: &Metrics,
    ) {
        let Some(link) = parent.filter(|link| link.relation != Relation::Influence) else {
            return;
        };
        let above = &made[link.node.0 as usize];
        let calendar = |metric: usize| metrics.metrics[metric].calendar;
        if calendar(metric) != calendar(above.metric.0 as usize) {
            let message = format!(
                "'{}' is a part of '{}', and their metrics are counted by two calendars; give both the same 'calendar', or write relation: influence",
                entry.name.value, above.name
            );
            self.problem(entry.place(), message);
        }
    }

    /// The age from which an open item is overdue: `Some(None)` where none is said.
    fn overdue_after(
        &mut self,
        entry: &Entry<'_, NodeEntry>,
        metric: usize,
        metrics: &Metrics,
    ) -> Option<Option<SignedDuration>> {
        let Some(after) = &entry.value.overdue_after else {
            return Some(None);
        };
        let message = if !matches!(metrics.metrics[metric].kind, MetricKind::Duration(_)) {
            // A metric that is refused is something else for the time being.
            if !self.problems.is_empty() {
                return Some(None);
            }
            format!(
                "metric '{}' has no items that could be overdue; 'overdue_after' goes with a metric of type: duration",
                metrics.metrics[metric].name
            )
        } else if after.value.0.is_zero() {
            "every item would be overdue from its start; write an age such as 30d".to_owned()
        } else {
            return Some(Some(after.value.0));
        };
        self.problem(entry.at(after), message);
        None
    }

    fn period(&mut self, entry: &Entry<'_, NodeEntry>) -> Option<PeriodKind> {
        let every = match &entry.value.period {
            PeriodEntry::Kind(kind) => return Some(*kind),
            PeriodEntry::Every(every) => every,
        };
        let hours = every.every.value.0.as_hours();
        let days = u16::try_from(hours / 24)
            .ok()
            .filter(|days| *days > 0 && hours % 24 == 0);
        if days.is_none() {
            self.problem(
                entry.at(&every.every),
                "a period is a whole number of days, such as 10d",
            );
        }
        let from = every.from.value.parse().ok();
        if from.is_none() {
            let message = format!(
                "'{}' is no date; write the first day of a period as 2026-01-01",
                every.from.value
            );
            self.problem(entry.at(&every.from), message);
        }
        Some(PeriodKind::Every {
            days: days?,
            from: from?,
        })
    }

    fn profile(&mut self, entry: &Entry<'_, NodeEntry>) -> (Profile, BTreeMap<Date, f64>) {
        match &entry.value.profile {
            None => (Profile::Default, BTreeMap::new()),
            Some(ProfileEntry::Named(profile)) => (*profile, BTreeMap::new()),
            Some(ProfileEntry::File(named)) => (Profile::File, self.plan_file(&entry.file, &named.file)),
        }
    }

    fn target(&mut self, entry: &Entry<'_, NodeEntry>, each: &[String]) -> Target {
        let value = entry.value;
        let Some(target) = &value.target else {
            return Target::None;
        };
        match &target.value {
            TargetEntry::Number(number) => {
                let reachable = match value.direction {
                    Direction::Higher => *number > value.baseline.unwrap_or(0.0),
                    Direction::Lower => {
                        value.baseline.is_none_or(|baseline| *number < baseline) && *number > 0.0
                    }
                };
                if !reachable {
                    let message = match (value.direction, value.baseline) {
                        (Direction::Higher, Some(baseline)) => {
                            format!("the target {number} is not above the baseline {baseline}")
                        }
                        (Direction::Lower, Some(baseline)) if *number > 0.0 => {
                            format!("the target {number} is not below the baseline {baseline}")
                        }
                        _ => format!(
                            "a target of {number} has no completion; write one above 0, or a baseline"
                        ),
                    };
                    self.problem(entry.at(target), message);
                }
                Target::Number(*number)
            }
            TargetEntry::Band(given) => self.band(entry, target, given),
            TargetEntry::Growth(growth) => Target::Growth {
                growth: growth.growth.0,
                over: match growth.over {
                    Over::LastYear => GrowthBase::LastYear,
                    Over::Year(year) => GrowthBase::Year(year),
                    Over::Value(base) => GrowthBase::Value(base),
                },
            },
            TargetEntry::File(named) => {
                let rows = self.targets(&entry.file, &named.file, each);
                if rows.iter().any(|row| row.band.is_some()) {
                    self.no_direction(entry, target);
                }
                Target::Table(rows)
            }
        }
    }

    /// A target that is a range.
    fn band(
        &mut self,
        entry: &Entry<'_, NodeEntry>,
        target: &Spanned<TargetEntry>,
        given: &[Amount],
    ) -> Target {
        let band = match given {
            [low, high] => Band::new(low.0, high.0),
            _ => None,
        };
        let Some(band) = band else {
            let given: Vec<String> = given.iter().map(|amount| amount.0.to_string()).collect();
            let message = format!(
                "a band is the least and the most that is good, such as band: [20, 30], and this is [{}]",
                given.join(", ")
            );
            self.problem(entry.at(target), message);
            return Target::None;
        };
        self.no_direction(entry, target);
        Target::Band(band)
    }

    /// Of a band neither more nor less is better, and what is outside of it says how far it is by its width.
    fn no_direction(&mut self, entry: &Entry<'_, NodeEntry>, target: &Spanned<TargetEntry>) {
        let value = entry.value;
        let superfluous = match (value.direction, value.baseline) {
            (Direction::Lower, _) => Some("direction: lower"),
            (Direction::Higher, Some(_)) => Some("baseline"),
            (Direction::Higher, None) => None,
        };
        if let Some(superfluous) = superfluous {
            let message = format!(
                "the target of '{}' is a band, of which neither more nor less is better; leave out '{superfluous}', or write one number",
                entry.name.value
            );
            self.problem(entry.at(target), message);
        }
    }
}
