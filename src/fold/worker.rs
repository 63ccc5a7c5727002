//! One thread's fold: an event is folded whole or rejected whole.

use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashTable};
use xxhash_rust::xxh3::xxh3_64;

use super::applied::Combinations;
use super::day::DayClock;
use super::delta::{Arrival, Delta, DimensionKey, GroupDelta, MarkOf, RowKey};
use super::interner::{LocalInterner, ValueId};
use super::partial::{Newest, Partial, take_newer};
use super::plan::{Column, Group, InputKind, Plan, SourcePlan};
use crate::catalog::{Catalog, SourceId};
use crate::decode::{Event, Reject, Sign};
use crate::fixed::Fixed;

/// What became of an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Folded {
    /// It counts in at least one metric.
    Counted,
    /// No filter lets it pass.
    Filtered,
    /// An event of this id was counted already.
    Duplicate,
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
    /// By source.
    combinations: Vec<Combinations>,
    // Buffers of one event.
    passes: Vec<bool>,
    inputs: Vec<Value>,
    key: RowKey,
}

#[derive(Debug)]
struct Rows {
    index: HashTable<u32>,
    /// Indices into the delta's arrivals.
    arrivals: HashTable<u32>,
    /// Another one in every process: nobody can choose dimension values that fall on one place.
    seed: u64,
    /// The row of the last key.
    last: usize,
    delta: GroupDelta,
}

impl Worker {
    /// A worker that has folded nothing.
    pub fn new(catalog: &Catalog, plan: Arc<Plan>) -> Worker {
        Worker {
            days: DayClock::new(catalog.calendar.clone()),
            values: LocalInterner::new(plan.interner.clone()),
            groups: plan.groups.iter().map(|_| Rows::new()).collect(),
            combinations: plan.sources.iter().map(|_| Combinations::default()).collect(),
            passes: Vec::new(),
            inputs: Vec::new(),
            key: RowKey {
                day: super::day::Day(0),
                dimensions: DimensionKey::new(),
            },
            plan,
        }
    }

    /// Folds one event, or takes it back; `offset` is its place in the partition, by which "last" is decided between
    /// equal times.
    ///
    /// # Errors
    /// Why the event cannot be used; nothing of it is folded then.
    pub fn fold(
        &mut self,
        source: SourceId,
        event: &Event<'_>,
        offset: i64,
        sign: Sign,
    ) -> Result<Folded, Reject> {
        self.check(source, event)?;
        let Worker {
            plan,
            days,
            values,
            groups,
            combinations,
            passes,
            inputs,
            key,
        } = self;
        let combinations = &mut combinations[source.0 as usize];
        let source = &plan.sources[source.0 as usize];
        let sign = if source.takes_back(event) {
            sign.other()
        } else {
            sign
        };
        key.day = days.day_of(event.time_ms);
        let applied = combinations.of(plan, source, passes);
        let max_bytes = values.max_bytes();
        for applied in applied {
            let index = applied.group;
            let group = &plan.groups[index];
            key.dimensions.clear();
            let is_full = group.is_full();
            let mut is_long = false;
            for &field in &group.fields {
                key.dimensions.push(match event.key(field)? {
                    None => ValueId::default(),
                    Some(value) if group.is_bounded && value.len() > max_bytes => {
                        is_long = true;
                        ValueId::OTHER
                    }
                    Some(value) if is_full => values.id_if_met(value),
                    Some(value) => values.id(value),
                });
            }
            let rows = &mut groups[index];
            let row = rows.row(key, group);
            rows.delta.events[row] += 1;
            let width = group.columns.len();
            for &at in &applied.columns {
                let column = &group.columns[at];
                if let Some(marks) = &column.marks {
                    // What has begun has: a row before its change says nothing about items.
                    if let (Sign::Add, Some(name)) = (sign, event.key(marks.key)?) {
                        let is_end = [
                            (marks.start.holds(passes), false),
                            (marks.end.holds(passes), true),
                        ];
                        is_long |= name.len() > max_bytes;
                        for (_, is_end) in is_end.into_iter().filter(|(passes, _)| *passes) {
                            rows.mark(row, at, (name, max_bytes), event.time_ms, is_end);
                        }
                    }
                    continue;
                }
                let input = column.input.map_or(Value::Nothing, |input| inputs[input]);
                if !column.remembers_keys() {
                    let partial = &mut rows.delta.partials[row * width + at];
                    add(partial, input, sign, event.time_ms, offset);
                } else if let Value::Key(hash) = input {
                    rows.arrive(row, at, hash, event.time_ms);
                }
            }
            rows.delta.long_values += u64::from(is_long);
        }
        let counts = |column: &Column| column.applies(passes);
        Ok(if !applied.is_empty() || source.silent.iter().any(counts) {
            Folded::Counted
        } else {
            Folded::Filtered
        })
    }

    /// Evaluates the filters and reads the inputs of an event.
    ///
    /// # Errors
    /// Why [`Worker::fold`] would reject it.
    pub(super) fn check(&mut self, source: SourceId, event: &Event<'_>) -> Result<(), Reject> {
        let source = &self.plan.sources[source.0 as usize];
        self.passes.clear();
        self.passes.extend(
            source
                .filters
                .iter()
                .map(|filter| filter.test(|i| event.filter_value(i)) == Some(true)),
        );
        read_inputs(source, event, &self.passes, &mut self.inputs)?;
        // A dimension or a key that is an object rejects the event before anything of it is folded.
        for marks in &source.marks {
            if marks.applies(&self.passes) {
                event.key(marks.key)?;
            }
        }
        for &group in &source.groups {
            for &field in &self.plan.groups[group].fields {
                event.check_key(field)?;
            }
        }
        Ok(())
    }

    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Hands over what was folded since the last call.
    pub fn take(&mut self) -> Delta {
        Delta {
            groups: self.groups.iter_mut().map(Rows::take).collect(),
        }
    }
}

impl SourcePlan {
    /// Whether an event takes back what it says.
    pub(super) fn takes_back(&self, event: &Event<'_>) -> bool {
        let condition = self.retract.as_ref();
        condition.is_some_and(|condition| condition.test(|i| event.filter_value(i)) == Some(true))
    }
}

/// Reads every input that a passing filter needs.
fn read_inputs(
    source: &SourcePlan,
    event: &Event<'_>,
    passes: &[bool],
    inputs: &mut Vec<Value>,
) -> Result<(), Reject> {
    inputs.clear();
    for input in &source.inputs {
        let needed = input
            .needed_under
            .iter()
            .any(|filter| filter.is_none_or(|filter| passes[filter]));
        inputs.push(match input.kind {
            _ if !needed => Value::Nothing,
            InputKind::Number => Value::Number(event.number(input.field)?),
            InputKind::Key => match event.key(input.field)? {
                Some(key) => Value::Key(xxh3_64(key.as_bytes())),
                None => Value::Nothing,
            },
        });
    }
    Ok(())
}

/// Adds one value, or takes it back. What cannot be taken back is not in the plan of a source that does; the newest
/// value stays the newest. A delta lives for less than a second: its sums stay far from the range's end, and the merge into
/// the cells is checked.
fn add(partial: &mut Partial, input: Value, sign: Sign, time_ms: i64, offset: i64) {
    match (partial, input, sign) {
        (Partial::Count(count), _, Sign::Add) => *count += 1,
        (Partial::Count(count), _, Sign::Retract) => *count -= 1,
        (Partial::Sum(sum, count) | Partial::Avg(sum, count), Value::Number(value), Sign::Add) => {
            *sum = sum.saturating_add(value);
            *count += 1;
        }
        (Partial::Sum(sum, count) | Partial::Avg(sum, count), Value::Number(value), Sign::Retract) => {
            *sum = sum.saturating_sub(value);
            *count -= 1;
        }
        (_, _, Sign::Retract) => {}
        (Partial::Min(low), Value::Number(value), _) => *low = Some(low.map_or(value, |low| low.min(value))),
        (Partial::Max(high), Value::Number(value), _) => {
            *high = Some(high.map_or(value, |high| high.max(value)))
        }
        (Partial::Last(newest), Value::Number(value), _) => {
            let other = Newest {
                time_ms,
                offset,
                value,
            };
            take_newer(newest, other);
        }
        (Partial::Distinct(set), Value::Key(hash), _) => set.insert(hash),
        (Partial::Quantiles(sketch), Value::Number(value), _) => sketch.insert(value),
        _ => {}
    }
}

impl Rows {
    fn new() -> Rows {
        Rows {
            index: HashTable::new(),
            arrivals: HashTable::new(),
            seed: DefaultHashBuilder::default().hash_one(0),
            last: 0,
            delta: GroupDelta::default(),
        }
    }

    /// The row of a key, made when it is new.
    #[inline]
    fn row(&mut self, key: &RowKey, group: &Group) -> usize {
        // Of a total there is one row a day, and days come in order.
        if self
            .delta
            .keys
            .get(self.last)
            .is_some_and(|last| is_same(last, key))
        {
            return self.last;
        }
        let hash = hash_of(self.seed, key);
        let found = self
            .index
            .find(hash, |row| is_same(&self.delta.keys[*row as usize], key));
        self.last = match found {
            Some(row) => *row as usize,
            None => self.add_row(hash, key, group),
        };
        self.last
    }

    #[cold]
    fn add_row(&mut self, hash: u64, key: &RowKey, group: &Group) -> usize {
        let Rows {
            index, seed, delta, ..
        } = self;
        let row = delta.keys.len();
        delta.keys.push(key.clone());
        delta.events.push(0);
        delta
            .partials
            .extend(group.columns.iter().map(|column| Partial::empty(column.kind)));
        let hash_at = |row: &u32| hash_of(*seed, &delta.keys[*row as usize]);
        index.insert_unique(hash, u32::try_from(row).unwrap_or(u32::MAX), hash_at);
        row
    }

    /// Notes that a key came in a row; what a row says twice is kept once.
    fn arrive(&mut self, row: usize, column: usize, hash: u64, first_ms: i64) {
        let arrivals = &mut self.delta.arrivals;
        let arrival = Arrival {
            row: u32::try_from(row).unwrap_or(u32::MAX),
            column: u16::try_from(column).unwrap_or(u16::MAX),
            hash,
            first_ms,
        };
        let place = |arrival: &Arrival| (arrival.row, arrival.column, arrival.hash);
        // Keys are hashes already; the row is mixed in (with a multiplier of Fibonacci hashing).
        let hash_of = |arrival: &Arrival| {
            let row = u64::from(arrival.row) << 16 | u64::from(arrival.column);
            arrival.hash ^ row.wrapping_mul(0x9E37_79B9_7F4A_7C15)
        };
        let is_same = |at: &u32| place(&arrivals[*at as usize]) == place(&arrival);
        match self.arrivals.find(hash_of(&arrival), is_same) {
            Some(&at) => {
                let known = &mut arrivals[at as usize];
                known.first_ms = known.first_ms.min(first_ms);
            }
            None => {
                arrivals.push(arrival);
                let at = u32::try_from(arrivals.len() - 1).unwrap_or(u32::MAX);
                let hash_at = |at: &u32| hash_of(&arrivals[*at as usize]);
                self.arrivals.insert_unique(hash_of(&arrival), at, hash_at);
            }
        }
    }

    /// Notes that an item begins or ends. It is known by its whole name, also where no more than the beginning is kept.
    fn mark(
        &mut self,
        row: usize,
        column: usize,
        (name, max_bytes): (&str, usize),
        time_ms: i64,
        is_end: bool,
    ) {
        let kept = name.floor_char_boundary(max_bytes);
        self.delta.names.push_str(&name[..kept]);
        let hash = xxh3_64(name.as_bytes());
        if kept < name.len() {
            // Two names that begin alike stay two, also in what people are told.
            self.delta.names.push_str(&format!("…{hash:016x}"));
        }
        self.delta.marks.push(MarkOf {
            row: u32::try_from(row).unwrap_or(u32::MAX),
            column: u16::try_from(column).unwrap_or(u16::MAX),
            is_end,
            hash,
            time_ms,
            name_end: self.delta.names.len(),
        });
    }

    fn take(&mut self) -> GroupDelta {
        self.index.clear();
        self.arrivals.clear();
        std::mem::take(&mut self.delta)
    }
}

/// Whether two keys are the same; keys are a few numbers, for which a call that compares memory takes longer.
#[inline]
fn is_same(a: &RowKey, b: &RowKey) -> bool {
    let (x, y) = (a.dimensions.as_slice(), b.dimensions.as_slice());
    a.day == b.day && x.len() == y.len() && std::iter::zip(x, y).all(|(x, y)| x == y)
}

/// A hash of a key: two dimension values at a time are mixed in by a multiplication whose halves are folded, as foldhash
/// and wyhash do it.
#[inline]
fn hash_of(seed: u64, key: &RowKey) -> u64 {
    const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;
    let fold = |hash: u64| {
        let product = u128::from(hash) * u128::from(MULTIPLIER);
        (product as u64) ^ (product >> 64) as u64
    };
    let day = u64::from(key.day.0.cast_unsigned());
    let pairs = key.dimensions.chunks(2);
    pairs.fold(fold(seed ^ day), |hash, pair| {
        let second = pair.get(1).map_or(0, |value| value.0);
        fold(hash.rotate_left(23) ^ (u64::from(pair[0].0) | u64::from(second) << 32))
    })
}
