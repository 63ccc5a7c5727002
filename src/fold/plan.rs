//! The catalogue compiled for the fold: per source its filters, its inputs, and its grouping sets with their columns.
//!
//! Metrics that aggregate the same thing share a column, and all columns of a grouping set share one look-up an event.

use hashbrown::HashMap;

use super::interner::Interner;
use super::partial::Kind;
use crate::catalog::expr::Expr;
use crate::catalog::{Agg, Catalog, FieldId, MetricId, MetricKind, Simple, SourceId};

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
}

/// What one source feeds.
#[derive(Debug, Default)]
pub struct SourcePlan {
    /// Which events take back.
    pub retract: Option<Expr>,
    /// Different filters; each is evaluated once an event.
    pub filters: Vec<Expr>,
    /// Different values that columns take from an event; each is read once.
    pub inputs: Vec<Input>,
    /// Grouping sets, as indices into [`Plan::groups`].
    pub groups: Vec<usize>,
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
    /// Aggregates of a row.
    pub columns: Vec<Column>,
}

/// One aggregate.
#[derive(Debug)]
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
    /// How many keys it remembers, if it does.
    pub max_keys: usize,
}

impl Column {
    /// Whether its cells may come to hold nothing again.
    pub fn can_fall(&self) -> bool {
        self.remembers_keys()
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
    /// Compiles what the nodes of a catalogue need.
    pub fn compile(catalog: &Catalog) -> Plan {
        let mut plan = Plan {
            sources: catalog.sources.iter().map(|_| SourcePlan::default()).collect(),
            groups: Vec::new(),
            interner: Interner::default(),
            columns: HashMap::new(),
            new_columns: HashMap::new(),
        };
        for node in &catalog.nodes {
            plan.need(catalog, node.metric, &node.each);
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
        let filter = simple.filter.as_ref().map(|filter| {
            let known = source
                .filters
                .iter()
                .position(|other| other.source() == filter.source());
            known.unwrap_or_else(|| {
                source.filters.push(filter.clone());
                source.filters.len() - 1
            })
        });
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
        let known = source
            .groups
            .iter()
            .copied()
            .find(|&group| self.groups[group].names == names);
        let group = known.unwrap_or_else(|| {
            self.groups.push(Group {
                source: simple.source,
                retracts: catalog.source(simple.source).retracts(),
                names: names.to_vec(),
                fields: names
                    .iter()
                    .filter_map(|name| field_of(catalog, simple.source, name))
                    .collect(),
                columns: Vec::new(),
            });
            source.groups.push(self.groups.len() - 1);
            self.groups.len() - 1
        });
        let columns = &mut self.groups[group].columns;
        let same =
            |column: &Column| column.kind == partial && column.input == input && column.filter == filter;
        let column = columns.iter().position(same).unwrap_or_else(|| {
            columns.push(Column {
                kind: partial,
                input,
                filter,
                name: definition(catalog, simple, partial, names),
                metric,
                max_keys: 0,
            });
            columns.len() - 1
        });
        if columns[column].remembers_keys() {
            let max_keys = keys.map_or(0, |keys| keys.max);
            columns[column].max_keys = columns[column].max_keys.max(max_keys);
        }
        ColumnRef { group, column }
    }
}

fn sorted(dimensions: &[String]) -> Vec<String> {
    let mut names = dimensions.to_vec();
    names.sort();
    names
}

fn field_of(catalog: &Catalog, source: SourceId, name: &str) -> Option<FieldId> {
    let position = catalog
        .source(source)
        .fields
        .iter()
        .position(|field| field.name == name)?;
    u16::try_from(position).ok().map(FieldId)
}

/// `orders: sum(data.amount) where type == "order.paid" by region`, with paths instead of names, so that renaming a
/// field does not lose its history and pointing it elsewhere does not mix two things.
fn definition(catalog: &Catalog, simple: &Simple, kind: Kind, names: &[String]) -> String {
    let source = catalog.source(simple.source);
    let path = |field: FieldId| source.fields[usize::from(field.0)].path.to_string();
    let agg = kind.word();
    let field = simple.field.map_or_else(String::new, path);
    let mut text = format!("{}: {agg}({field})", source.name);
    let retract = source.retract.as_ref().map(|retract| &retract.condition);
    for (word, condition) in [("where", &simple.filter.as_ref()), ("less", &retract)] {
        let Some(condition) = condition else { continue };
        text.push_str(&format!(" {word} {}", condition.source()));
        // A condition speaks of fields by name: where they point belongs to the definition.
        for &variable in condition.uses() {
            let field = &source.fields[variable];
            text.push_str(&format!("; {} = {}", field.name, field.path));
        }
    }
    if let Kind::New { within: Some(days) } = kind {
        text.push_str(&format!(" within {days}d"));
    }
    if !names.is_empty() {
        let by = names
            .iter()
            .filter_map(|name| field_of(catalog, simple.source, name).map(path));
        text.push_str(&format!(" by {}", by.collect::<Vec<_>>().join(", ")));
    }
    text
}
