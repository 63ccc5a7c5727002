//! The catalogue compiled for the fold: per source its filters, its inputs, and its grouping sets with their columns.
//!
//! Metrics that aggregate the same thing share a column, and all columns of a grouping set share one look-up an event.

mod definition;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use hashbrown::HashMap;

use super::interner::{Interner, MAX_VALUE_BYTES};
use super::partial::Kind;
use crate::catalog::expr::Expr;
use crate::catalog::{Agg, Catalog, Conversion, Duration, FieldId, MetricId, MetricKind, Simple, SourceId};

/// The catalogue compiled.
#[derive(Debug)]
pub struct Plan {
    /// By [`SourceId`].
    pub sources: Vec<SourcePlan>,
    /// Grouping sets of all sources.
    pub groups: Vec<Group>,
    /// Dimension values, shared by all threads.
    pub interner: Interner,
    columns: HashMap<(MetricId, Vec<String>), ColumnRef>,
    /// Where the new ones of the metrics that count keys that return are.
    new_columns: HashMap<(MetricId, Vec<String>), ColumnRef>,
    /// How metrics that are reckoned of others are, by their name: what nodes show.
    pub formulas: BTreeMap<String, String>,
}

/// What one source feeds.
#[derive(Clone, Debug, Default)]
pub struct SourcePlan {
    /// Which events take back.
    pub retract: Option<Expr>,
    /// Different filters; each is evaluated once an event.
    pub filters: Vec<Expr>,
    /// Different values that columns take from an event; each is read once.
    pub inputs: Vec<Input>,
    /// What begins and ends items; each once.
    pub marks: Vec<MarkedBy>,
    /// Grouping sets, as indices into [`Plan::groups`].
    pub groups: Vec<usize>,
    /// Columns that are not folded here, and whose events count all the same: see [`Plan::only`].
    pub silent: Vec<Column>,
}

/// A value that columns take from an event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Input {
    /// The field.
    pub field: FieldId,
    /// How it is read.
    pub kind: InputKind,
    /// Filters under which it is needed; `None` stands for "always".
    pub needed_under: Vec<Option<usize>>,
}

/// How an input is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InputKind {
    /// As an exact number; missing is a reason to reject the event.
    Number,
    /// As a key, hashed; missing is skipped, as in SQL's `count(distinct …)`.
    Key,
}

/// A grouping set: one row a day and combination of dimension values.
#[derive(Debug)]
pub struct Group {
    /// Its source.
    pub source: SourceId,
    /// Dimensions by name, sorted.
    pub names: Vec<String>,
    /// Their fields.
    pub fields: Vec<FieldId>,
    /// Whether its source takes things back.
    pub retracts: bool,
    /// Whether longer values than the settings allow count as "other". What people type in is short and kept anyway.
    pub is_bounded: bool,
    /// Aggregates of a row.
    pub columns: Vec<Column>,
    /// Combinations of dimension values that are kept; further ones count as "other". What metrics share has the
    /// largest of their bounds.
    pub max_series: usize,
    /// The metric that it is for; the first one, where several share it.
    pub metric: MetricId,
    /// Whether there are as many. Set where cells are merged, read where events are folded: from then on values that
    /// nobody has seen are not remembered either.
    pub is_full: AtomicBool,
}

impl Group {
    /// Whether it keeps no further combination.
    pub fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }
}

/// One aggregate.
#[derive(Clone, Debug)]
pub struct Column {
    /// What its cells hold.
    pub kind: Kind,
    /// Index into [`SourcePlan::inputs`]; `None` for a count.
    pub input: Option<usize>,
    /// Index into [`SourcePlan::filters`].
    pub filter: Option<usize>,
    /// Its definition in words: the name of its cells in the state. Another definition is another name.
    pub name: String,
    /// The metric that it is for; the first one, where several share it.
    pub metric: MetricId,
    /// How many keys or items it remembers, if it does.
    pub max_keys: usize,
    /// What begins and ends items, for a column of durations or conversions.
    pub marks: Option<MarkedBy>,
    /// The column to whose items its marks belong, where that is another one: attempts that begin in one source and
    /// succeed in another.
    pub feeds: Option<ColumnRef>,
}

/// Which events mark an item.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MarkedWhen {
    /// None.
    Never,
    /// Every event.
    Always,
    /// Those that pass a filter, as an index into [`SourcePlan::filters`].
    Passes(usize),
}

impl MarkedWhen {
    /// Whether an event that passes these filters does.
    pub fn holds(self, passes: &[bool]) -> bool {
        match self {
            MarkedWhen::Never => false,
            MarkedWhen::Always => true,
            MarkedWhen::Passes(filter) => passes[filter],
        }
    }
}

/// What begins and ends items.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MarkedBy {
    /// The field that names an item.
    pub key: FieldId,
    /// Which events are starts.
    pub start: MarkedWhen,
    /// Which are ends.
    pub end: MarkedWhen,
}

impl MarkedBy {
    /// Whether an event that passes these filters is a start or an end.
    pub fn applies(&self, passes: &[bool]) -> bool {
        self.start.holds(passes) || self.end.holds(passes)
    }
}

impl Column {
    /// Whether its cells may come to hold nothing again.
    pub fn can_fall(&self) -> bool {
        self.remembers_keys() || (self.marks.is_some() && self.feeds.is_none())
    }

    /// Whether an event that passes these filters has something for it.
    pub fn applies(&self, passes: &[bool]) -> bool {
        match &self.marks {
            Some(marks) => marks.applies(passes),
            None => self.filter.is_none_or(|filter| passes[filter]),
        }
    }

    /// Whether its cells follow from keys that are remembered, not from rows alone.
    pub fn remembers_keys(&self) -> bool {
        matches!(self.kind, Kind::New { .. })
    }
}

/// Where a metric's cells are.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ColumnRef {
    /// Index into [`Plan::groups`].
    pub group: usize,
    /// Index into [`Group::columns`].
    pub column: usize,
}

impl Plan {
    /// Compiles what the nodes of a catalogue need, for dimension values of the usual length.
    pub fn compile(catalog: &Catalog) -> Plan {
        Plan::bounded(catalog, MAX_VALUE_BYTES)
    }

    /// Compiles what the nodes of a catalogue need; events may bring dimension values of at most so many bytes.
    pub fn bounded(catalog: &Catalog, max_value_bytes: usize) -> Plan {
        let mut plan = Plan {
            sources: catalog.sources.iter().map(|_| SourcePlan::default()).collect(),
            groups: Vec::new(),
            interner: Interner::default(),
            columns: HashMap::new(),
            new_columns: HashMap::new(),
            formulas: BTreeMap::new(),
        };
        plan.interner.limit(max_value_bytes);
        for node in &catalog.nodes {
            let metric = catalog.metric(node.metric);
            if let Some(formula) = definition::of_formula(catalog, node.metric) {
                plan.formulas.insert(metric.name.clone(), formula);
            }
            plan.need(catalog, node.metric, &node.each);
            for dimension in &node.drill {
                let names: Vec<String> = node.each.iter().chain([dimension]).cloned().collect();
                plan.need(catalog, node.metric, &names);
            }
        }
        plan
    }

    /// Where the cells of a simple metric, split by these dimensions (in any order), are.
    pub fn column(&self, metric: MetricId, dimensions: &[String]) -> Option<ColumnRef> {
        self.columns.get(&(metric, sorted(dimensions))).copied()
    }

    /// Where the new ones of a metric that counts keys that return are.
    pub fn new_column(&self, metric: MetricId, dimensions: &[String]) -> Option<ColumnRef> {
        self.new_columns.get(&(metric, sorted(dimensions))).copied()
    }

    /// The same plan with these columns only, by name. What becomes of an event stays as it is: it is rejected for the
    /// sake of the other columns too, and counts where it counts in one of them. Dimension values have the same numbers.
    pub fn only(&self, keep: impl Fn(&str) -> bool) -> Plan {
        let mut sources = self.sources.clone();
        let mut moved: HashMap<ColumnRef, ColumnRef> = HashMap::new();
        let groups = self.groups.iter().enumerate().map(|(at, group)| {
            let mut columns = Vec::new();
            for (column, of) in group.columns.iter().enumerate() {
                if keep(&of.name) {
                    let from = ColumnRef { group: at, column };
                    let column = columns.len();
                    moved.insert(from, ColumnRef { group: at, column });
                    columns.push(of.clone());
                } else {
                    sources[group.source.0 as usize].silent.push(of.clone());
                }
            }
            Group {
                source: group.source,
                names: group.names.clone(),
                fields: group.fields.clone(),
                retracts: group.retracts,
                is_bounded: group.is_bounded,
                columns,
                max_series: group.max_series,
                metric: group.metric,
                is_full: AtomicBool::new(false),
            }
        });
        let mut groups: Vec<Group> = groups.collect();
        for column in groups.iter_mut().flat_map(|group| &mut group.columns) {
            column.feeds = column.feeds.and_then(|fed| moved.get(&fed).copied());
        }
        let kept = |columns: &HashMap<(MetricId, Vec<String>), ColumnRef>| {
            let columns = columns.iter();
            columns
                .filter_map(|(of, at)| Some((of.clone(), *moved.get(at)?)))
                .collect()
        };
        Plan {
            columns: kept(&self.columns),
            new_columns: kept(&self.new_columns),
            formulas: self.formulas.clone(),
            interner: self.interner.clone(),
            sources,
            groups,
        }
    }

    fn need(&mut self, catalog: &Catalog, metric: MetricId, dimensions: &[String]) {
        match &catalog.metric(metric).kind {
            MetricKind::Ratio {
                numerator,
                denominator,
            } => {
                self.need(catalog, *numerator, dimensions);
                self.need(catalog, *denominator, dimensions);
            }
            MetricKind::Derived { inputs, .. } => {
                inputs
                    .iter()
                    .for_each(|input| self.need(catalog, *input, dimensions));
            }
            MetricKind::Duration(duration) => {
                let names = sorted(dimensions);
                if !self.columns.contains_key(&(metric, names.clone())) {
                    let column = self.add_duration(catalog, metric, duration, &names);
                    self.columns.insert((metric, names), column);
                }
            }
            MetricKind::Conversion(conversion) => {
                let names = sorted(dimensions);
                if !self.columns.contains_key(&(metric, names.clone())) {
                    let column = self.add_conversion(catalog, metric, conversion, &names);
                    self.columns.insert((metric, names), column);
                }
            }
            MetricKind::Simple(simple) => {
                let names = sorted(dimensions);
                if !self.columns.contains_key(&(metric, names.clone())) {
                    if simple.agg == Agg::CountReturning {
                        let new = self.add(catalog, metric, simple, Agg::CountNew, &names);
                        self.new_columns.insert((metric, names.clone()), new);
                    }
                    let column = self.add(catalog, metric, simple, simple.agg, &names);
                    self.columns.insert((metric, names), column);
                }
            }
        }
    }

    fn add(
        &mut self,
        catalog: &Catalog,
        metric: MetricId,
        simple: &Simple,
        agg: Agg,
        names: &[String],
    ) -> ColumnRef {
        let retract = catalog.source(simple.source).retract.as_ref();
        let source = &mut self.sources[simple.source.0 as usize];
        source.retract = retract.map(|retract| retract.condition.clone());
        let filter = simple.filter.as_ref().map(|filter| source.filter(filter));
        let kind = if agg.is_numeric() {
            InputKind::Number
        } else {
            InputKind::Key
        };
        let keys = simple.keys.as_ref();
        let partial = match Kind::of(agg) {
            Kind::New { .. } => Kind::New {
                within: keys
                    .and_then(|keys| keys.within.as_ref())
                    .map(|within| within.days),
            },
            kind => kind,
        };
        let input = simple.field.filter(|_| agg != Agg::Count).map(|field| {
            let known = source
                .inputs
                .iter()
                .position(|input| input.field == field && input.kind == kind);
            let index = known.unwrap_or_else(|| {
                source.inputs.push(Input {
                    field,
                    kind,
                    needed_under: Vec::new(),
                });
                source.inputs.len() - 1
            });
            if !source.inputs[index].needed_under.contains(&filter) {
                source.inputs[index].needed_under.push(filter);
            }
            index
        });
        let group = self.group(catalog, simple.source, names, metric);
        // What counts as "other" under one bound would be taken back from its own value under another one: under another
        // bound it is another definition.
        let bound = self.interner.max_bytes();
        let of = &self.groups[group];
        let is_bound = of.retracts && of.is_bounded && !names.is_empty() && bound != MAX_VALUE_BYTES;
        let bound = is_bound.then_some(bound);
        let columns = &mut self.groups[group].columns;
        let same =
            |column: &Column| column.kind == partial && column.input == input && column.filter == filter;
        let column = columns.iter().position(same).unwrap_or_else(|| {
            columns.push(Column {
                kind: partial,
                input,
                filter,
                name: definition::of_simple(catalog, simple, partial, names, bound),
                metric,
                max_keys: 0,
                marks: None,
                feeds: None,
            });
            columns.len() - 1
        });
        if columns[column].remembers_keys() {
            let max_keys = keys.map_or(0, |keys| keys.max);
            columns[column].max_keys = columns[column].max_keys.max(max_keys);
        }
        ColumnRef { group, column }
    }

    fn add_duration(
        &mut self,
        catalog: &Catalog,
        metric: MetricId,
        duration: &Duration,
        names: &[String],
    ) -> ColumnRef {
        let of = duration.marks.source;
        let source = &mut self.sources[of.0 as usize];
        let marks = MarkedBy {
            key: duration.key,
            start: MarkedWhen::Passes(source.filter(&duration.start)),
            end: MarkedWhen::Passes(source.filter(&duration.end)),
        };
        if !source.marks.contains(&marks) {
            source.marks.push(marks);
        }
        let group = self.group(catalog, of, names, metric);
        let columns = &mut self.groups[group].columns;
        let known = columns
            .iter()
            .position(|column| column.kind == Kind::Durations && column.marks == Some(marks));
        let column = known.unwrap_or_else(|| {
            columns.push(Column {
                kind: Kind::Durations,
                input: None,
                filter: None,
                name: definition::of_duration(catalog, duration, names),
                metric,
                max_keys: 0,
                marks: Some(marks),
                feeds: None,
            });
            columns.len() - 1
        });
        columns[column].max_keys = columns[column].max_keys.max(duration.max_items);
        ColumnRef { group, column }
    }

    fn add_conversion(
        &mut self,
        catalog: &Catalog,
        metric: MetricId,
        conversion: &Conversion,
        names: &[String],
    ) -> ColumnRef {
        let Conversion { base, goal, .. } = conversion;
        let same_source = base.step.source == goal.step.source;
        let begins = self.marked_when(&base.step);
        let succeeds = self.marked_when(&goal.step);
        let marks = MarkedBy {
            key: base.entity,
            start: begins,
            end: if same_source { succeeds } else { MarkedWhen::Never },
        };
        let column = Column {
            kind: Kind::Conversions {
                window_ms: conversion.window_ms,
            },
            input: None,
            filter: None,
            name: definition::of_conversion(catalog, conversion, names),
            metric,
            max_keys: conversion.max_items,
            marks: Some(marks),
            feeds: None,
        };
        let at = self.add_marked(catalog, base.step.source, names, column);
        if !same_source {
            let name = &self.groups[at.group].columns[at.column].name;
            let ends = Column {
                kind: Kind::Conversions {
                    window_ms: conversion.window_ms,
                },
                input: None,
                filter: None,
                name: format!("{name} (ends)"),
                metric,
                max_keys: 0,
                marks: Some(MarkedBy {
                    key: goal.entity,
                    start: MarkedWhen::Never,
                    end: succeeds,
                }),
                feeds: Some(at),
            };
            self.add_marked(catalog, goal.step.source, &[], ends);
        }
        at
    }

    /// The column of this name, made when it is new.
    fn add_marked(&mut self, catalog: &Catalog, of: SourceId, names: &[String], column: Column) -> ColumnRef {
        let source = &mut self.sources[of.0 as usize];
        if let Some(marks) = column.marks.filter(|marks| !source.marks.contains(marks)) {
            source.marks.push(marks);
        }
        let group = self.group(catalog, of, names, column.metric);
        let columns = &mut self.groups[group].columns;
        let known = columns.iter().position(|other| other.name == column.name);
        let at = known.unwrap_or(columns.len());
        match known {
            Some(known) => columns[known].max_keys = columns[known].max_keys.max(column.max_keys),
            None => columns.push(column),
        }
        ColumnRef { group, column: at }
    }

    fn marked_when(&mut self, step: &Simple) -> MarkedWhen {
        let source = &mut self.sources[step.source.0 as usize];
        match &step.filter {
            Some(filter) => MarkedWhen::Passes(source.filter(filter)),
            None => MarkedWhen::Always,
        }
    }

    /// Where what succeeds in another source comes in, for a column of conversions.
    pub fn fed_by(&self, column: ColumnRef) -> Option<ColumnRef> {
        let columns = self.groups.iter().enumerate().flat_map(|(group, of)| {
            let columns = of.columns.iter().enumerate();
            columns.map(move |(at, it)| (ColumnRef { group, column: at }, it))
        });
        columns
            .into_iter()
            .find(|(_, it)| it.feeds == Some(column))
            .map(|(at, _)| at)
    }

    /// The grouping set of a source by these names, made when it is new.
    fn group(&mut self, catalog: &Catalog, of: SourceId, names: &[String], metric: MetricId) -> usize {
        let max_series = catalog.metric(metric).max_cells;
        let source = &mut self.sources[of.0 as usize];
        let known = source
            .groups
            .iter()
            .copied()
            .find(|&group| self.groups[group].names == names);
        if let Some(known) = known {
            let group = &mut self.groups[known];
            group.max_series = group.max_series.max(max_series);
        }
        known.unwrap_or_else(|| {
            self.groups.push(Group {
                source: of,
                retracts: catalog.source(of).retracts(),
                is_bounded: catalog.metric(metric).manual.is_none(),
                names: names.to_vec(),
                fields: names
                    .iter()
                    .filter_map(|name| definition::field_of(catalog, of, name))
                    .collect(),
                columns: Vec::new(),
                max_series,
                metric,
                is_full: AtomicBool::new(false),
            });
            source.groups.push(self.groups.len() - 1);
            self.groups.len() - 1
        })
    }
}

impl SourcePlan {
    /// The index of a filter, added when it is new.
    fn filter(&mut self, filter: &Expr) -> usize {
        let known = self
            .filters
            .iter()
            .position(|other| other.source() == filter.source());
        known.unwrap_or_else(|| {
            self.filters.push(filter.clone());
            self.filters.len() - 1
        })
    }
}

fn sorted(dimensions: &[String]) -> Vec<String> {
    let mut names = dimensions.to_vec();
    names.sort();
    names
}
