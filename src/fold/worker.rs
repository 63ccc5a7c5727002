//! One thread's fold: an event is folded whole or rejected whole.

use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashTable};
use xxhash_rust::xxh3::xxh3_64;

use super::day::DayClock;
use super::delta::{Delta, DimensionKey, GroupDelta, RowKey};
use super::interner::{LocalInterner, ValueId};
use super::partial::{Newest, Partial};
use super::plan::{Group, InputKind, Plan};
use crate::catalog::{Catalog, SourceId};
use crate::decode::{Event, Reject};
use crate::fixed::Fixed;

/// What became of an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Folded {
    /// It counts in at least one metric.
    Counted,
    /// No filter lets it pass.
    Filtered,
}

/// An input of one event.
#[derive(Clone, Copy, Debug)]
enum Value {
    Nothing,
    Number(Fixed),
    Key(u64),
}

/// Folds the events of all sources that one thread reads.
#[derive(Debug)]
pub struct Worker {
    plan: Arc<Plan>,
    days: DayClock,
    values: LocalInterner,
    groups: Vec<Rows>,
    // Buffers of one event.
    passes: Vec<bool>,
    inputs: Vec<Value>,
    key: RowKey,
}

#[derive(Debug, Default)]
struct Rows {
    index: HashTable<u32>,
    delta: GroupDelta,
}

impl Worker {
    /// A worker that has folded nothing.
    pub fn new(catalog: &Catalog, plan: Arc<Plan>) -> Worker {
        Worker {
            days: DayClock::new(catalog.calendar.clone()),
            values: LocalInterner::new(plan.interner.clone()),
            groups: plan.groups.iter().map(|_| Rows::default()).collect(),
            passes: Vec::new(),
            inputs: Vec::new(),
            key: RowKey {
                day: super::day::Day(0),
                dimensions: DimensionKey::new(),
            },
            plan,
        }
    }

    /// Folds one event; `offset` is its place in the partition, by which "last" is decided between equal times.
    ///
    /// # Errors
    /// Why the event cannot be used; nothing of it is folded then.
    pub fn fold(&mut self, source: SourceId, event: &Event<'_>, offset: i64) -> Result<Folded, Reject> {
        let plan = self.plan.clone();
        let source = &plan.sources[source.0 as usize];
        self.passes.clear();
        self.passes.extend(
            source
                .filters
                .iter()
                .map(|filter| filter.test(|i| event.filter_value(i)) == Some(true)),
        );
        self.inputs.clear();
        for input in &source.inputs {
            let needed = input
                .needed_under
                .iter()
                .any(|filter| filter.is_none_or(|filter| self.passes[filter]));
            self.inputs.push(match input.kind {
                _ if !needed => Value::Nothing,
                InputKind::Number => Value::Number(event.number(input.field)?),
                InputKind::Key => match event.key(input.field)? {
                    Some(key) => Value::Key(xxh3_64(key.as_bytes())),
                    None => Value::Nothing,
                },
            });
        }
        // A dimension that is an object rejects the event before anything of it is folded.
        for &group in &source.groups {
            for &field in &plan.groups[group].fields {
                event.key(field)?;
            }
        }
        self.key.day = self.days.day_of(event.time_ms);
        let mut counted = false;
        for &group in &source.groups {
            counted |= self.fold_group(group, &plan.groups[group], event, offset)?;
        }
        Ok(if counted {
            Folded::Counted
        } else {
            Folded::Filtered
        })
    }

    fn fold_group(
        &mut self,
        index: usize,
        group: &Group,
        event: &Event<'_>,
        offset: i64,
    ) -> Result<bool, Reject> {
        if !group
            .columns
            .iter()
            .any(|column| column.filter.is_none_or(|filter| self.passes[filter]))
        {
            return Ok(false);
        }
        self.key.dimensions.clear();
        for &field in &group.fields {
            let id = event
                .key(field)?
                .map_or(ValueId::default(), |value| self.values.id(value));
            self.key.dimensions.push(id);
        }
        let row = self.groups[index].row(&self.key, group) * group.columns.len();
        let partials = &mut self.groups[index].delta.partials[row..row + group.columns.len()];
        for (partial, column) in partials.iter_mut().zip(&group.columns) {
            if column.filter.is_some_and(|filter| !self.passes[filter]) {
                continue;
            }
            let input = column.input.map_or(Value::Nothing, |input| self.inputs[input]);
            add(partial, input, event.time_ms, offset);
        }
        Ok(true)
    }

    /// Hands over what was folded since the last call.
    pub fn take(&mut self) -> Delta {
        Delta {
            groups: self.groups.iter_mut().map(Rows::take).collect(),
        }
    }
}

/// Adds one value. A delta lives for less than a second: its sums stay far from the range's end, and the merge into
/// the cells is checked.
fn add(partial: &mut Partial, input: Value, time_ms: i64, offset: i64) {
    match (partial, input) {
        (Partial::Count(count), _) => *count += 1,
        (Partial::Sum(sum, count) | Partial::Avg(sum, count), Value::Number(value)) => {
            *sum = sum.saturating_add(value);
            *count += 1;
        }
        (Partial::Min(low), Value::Number(value)) => *low = Some(low.map_or(value, |low| low.min(value))),
        (Partial::Max(high), Value::Number(value)) => {
            *high = Some(high.map_or(value, |high| high.max(value)))
        }
        (Partial::Last(newest), Value::Number(value)) => {
            *newest = (*newest).max(Some(Newest {
                time_ms,
                offset,
                value,
            }))
        }
        (Partial::Distinct(set), Value::Key(hash)) => set.insert(hash),
        _ => {}
    }
}

impl Rows {
    /// The row of a key, made when it is new.
    fn row(&mut self, key: &RowKey, group: &Group) -> usize {
        let hasher = HASHER.get_or_init(DefaultHashBuilder::default);
        let hash = hash_of(hasher, key);
        let keys = &self.delta.keys;
        if let Some(row) = self.index.find(hash, |row| keys[*row as usize] == *key) {
            return *row as usize;
        }
        let row = self.delta.keys.len();
        self.delta.keys.push(key.clone());
        self.delta
            .partials
            .extend(group.columns.iter().map(|column| Partial::empty(column.agg)));
        let keys = &self.delta.keys;
        self.index
            .insert_unique(hash, u32::try_from(row).unwrap_or(u32::MAX), |row| {
                hash_of(hasher, &keys[*row as usize])
            });
        row
    }

    fn take(&mut self) -> GroupDelta {
        self.index.clear();
        std::mem::take(&mut self.delta)
    }
}

static HASHER: std::sync::OnceLock<DefaultHashBuilder> = std::sync::OnceLock::new();

fn hash_of(hasher: &DefaultHashBuilder, key: &RowKey) -> u64 {
    let mut state = hasher.build_hasher();
    key.hash(&mut state);
    state.finish()
}
