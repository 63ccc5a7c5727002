//! A writer's schema, compiled for the paths that are asked for: how to read what is wanted and to step over the rest.

use std::collections::{HashMap, HashSet};

use apache_avro::Schema;
use apache_avro::schema::{InnerDecimalSchema, Name, UuidSchema};

use crate::decode::json::{Paths, TimeUnit};

/// Most instructions of one schema: more is no schema of an event.
const MOST_OPS: usize = 100_000;
/// Deepest nesting of types that is compiled.
const MOST_LEVELS: usize = 256;

/// Instructions, by index.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) ops: Vec<Op>,
    pub(super) root: usize,
    /// Nodes of the path tree that the schema has a value for.
    reached: HashSet<usize>,
}

/// How one value is read.
#[derive(Debug)]
pub(super) struct Op {
    pub(super) what: What,
    /// Where the value goes.
    pub(super) slots: Box<[usize]>,
}

/// What a value is.
#[derive(Debug)]
pub(super) enum What {
    /// So many bytes that nobody asks for.
    Skip(u64),
    Null,
    Bool,
    /// A whole number; with a unit, one that stands for a time.
    Whole(Option<TimeUnit>),
    /// Days since 1970.
    Date,
    Float,
    Double,
    Text,
    /// Bytes that are no text.
    Bytes,
    /// Bytes that are a number, with so many decimals.
    Decimal(usize),
    /// The same, in a fixed number of bytes.
    FixedDecimal {
        bytes: usize,
        scale: usize,
    },
    /// Sixteen bytes that are a UUID.
    Uuid,
    /// Bytes of fixed length that are no text.
    Fixed(u64),
    Enum(Box<[Box<str>]>),
    Record(Box<[usize]>),
    Array(usize),
    Map {
        /// Entries that are asked for.
        wanted: Box<[Entry]>,
        others: usize,
    },
    Union(Box<[usize]>),
}

/// An entry of a map that is asked for.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: Box<[u8]>,
    /// Its node of the path tree.
    pub(super) node: usize,
    /// How its value is read.
    pub(super) value: usize,
}

impl Program {
    /// Compiles a schema, given those that it refers to.
    ///
    /// # Errors
    /// In words: it refers to a type that is not there, or is beyond all measure.
    pub(super) fn compile(root: &Schema, others: &[Schema], paths: &Paths) -> Result<Program, &'static str> {
        let mut compiler = Compiler {
            names: HashMap::new(),
            paths,
            ops: Vec::new(),
            made: HashMap::new(),
            reached: HashSet::new(),
        };
        for schema in others.iter().chain([root]) {
            compiler.collect(schema, 0)?;
        }
        let root = compiler.value(root, Some(Paths::ROOT), 0)?;
        Ok(Program {
            ops: compiler.ops,
            root,
            reached: compiler.reached,
        })
    }

    /// Slots of paths that the schema has nothing for.
    pub(super) fn absent(&self, paths: &Paths) -> Vec<usize> {
        let nodes = (0..paths.len()).filter(|node| !self.reached.contains(node));
        nodes.flat_map(|node| paths.slots(node)).copied().collect()
    }
}

struct Compiler<'s> {
    names: HashMap<&'s Name, &'s Schema>,
    paths: &'s Paths,
    ops: Vec<Op>,
    /// Instructions of named types by the node they are read for: types may contain themselves.
    made: HashMap<(&'s Name, Option<usize>), usize>,
    reached: HashSet<usize>,
}

impl<'s> Compiler<'s> {
    /// Finds the named types.
    fn collect(&mut self, schema: &'s Schema, level: usize) -> Result<(), &'static str> {
        if level > MOST_LEVELS {
            return Err("its types are nested too deeply");
        }
        if let Some(name) = name_of(schema) {
            self.names.insert(name, schema);
        }
        match schema {
            Schema::Record(record) => record
                .fields
                .iter()
                .try_for_each(|field| self.collect(&field.schema, level + 1)),
            Schema::Array(array) => self.collect(&array.items, level + 1),
            Schema::Map(map) => self.collect(&map.types, level + 1),
            Schema::Union(union) => union
                .variants()
                .iter()
                .try_for_each(|variant| self.collect(variant, level + 1)),
            _ => Ok(()),
        }
    }

    /// Compiles a value; `node` is its place in the path tree, `None` when nobody asks for it or anything in it.
    fn value(
        &mut self,
        schema: &'s Schema,
        node: Option<usize>,
        level: usize,
    ) -> Result<usize, &'static str> {
        if level > MOST_LEVELS || self.ops.len() > MOST_OPS {
            return Err("it is too large");
        }
        let schema = match schema {
            Schema::Ref { name } => self
                .names
                .get(name)
                .copied()
                .ok_or("it refers to a type that is not there")?,
            schema => schema,
        };
        self.reached.extend(node);
        // Its place is taken before its parts are compiled: they may contain it.
        let at = match name_of(schema) {
            Some(name) => {
                if let Some(&made) = self.made.get(&(name, node)) {
                    return Ok(made);
                }
                let at = self.place(node);
                self.made.insert((name, node), at);
                at
            }
            None => self.place(node),
        };
        let what = self.what(schema, node, level)?;
        self.ops[at].what = match (node, self.width(&what)) {
            (None, Some(width)) => What::Skip(width),
            _ => what,
        };
        Ok(at)
    }

    fn place(&mut self, node: Option<usize>) -> usize {
        let slots = node.map_or(&[][..], |node| self.paths.slots(node));
        self.ops.push(Op {
            // Of no known width until it is compiled.
            what: What::Bytes,
            slots: slots.into(),
        });
        self.ops.len() - 1
    }

    fn what(&mut self, schema: &'s Schema, node: Option<usize>, level: usize) -> Result<What, &'static str> {
        Ok(match schema {
            Schema::Null => What::Null,
            Schema::Boolean => What::Bool,
            Schema::Int | Schema::Long => What::Whole(None),
            Schema::TimestampMillis => What::Whole(Some(TimeUnit::Millis)),
            Schema::TimestampMicros => What::Whole(Some(TimeUnit::Micros)),
            Schema::TimestampNanos => What::Whole(Some(TimeUnit::Nanos)),
            Schema::LocalTimestampMillis => What::Whole(Some(TimeUnit::LocalMillis)),
            Schema::LocalTimestampMicros => What::Whole(Some(TimeUnit::LocalMicros)),
            Schema::LocalTimestampNanos => What::Whole(Some(TimeUnit::LocalNanos)),
            Schema::TimeMillis | Schema::TimeMicros => What::Whole(Some(TimeUnit::NoInstant)),
            Schema::Date => What::Date,
            Schema::Float => What::Float,
            Schema::Double => What::Double,
            Schema::String | Schema::Uuid(UuidSchema::String) => What::Text,
            Schema::Bytes | Schema::BigDecimal | Schema::Uuid(UuidSchema::Bytes) => What::Bytes,
            Schema::Uuid(UuidSchema::Fixed(fixed)) if fixed.size == 16 => What::Uuid,
            Schema::Fixed(fixed) | Schema::Duration(fixed) | Schema::Uuid(UuidSchema::Fixed(fixed)) => {
                What::Fixed(fixed.size as u64)
            }
            Schema::Decimal(decimal) => match &decimal.inner {
                InnerDecimalSchema::Bytes => What::Decimal(decimal.scale),
                InnerDecimalSchema::Fixed(fixed) => What::FixedDecimal {
                    bytes: fixed.size,
                    scale: decimal.scale,
                },
            },
            Schema::Enum(symbols) => What::Enum(
                symbols
                    .symbols
                    .iter()
                    .map(|symbol| symbol.as_str().into())
                    .collect(),
            ),
            Schema::Record(record) => {
                let mut parts = Vec::new();
                for field in &record.fields {
                    let node = node.and_then(|node| self.paths.child_of(node, field.name.as_bytes()));
                    let part = self.value(&field.schema, node, level + 1)?;
                    self.append(&mut parts, part);
                }
                What::Record(parts.into())
            }
            // Lists are not entered.
            Schema::Array(array) => What::Array(self.value(&array.items, None, level + 1)?),
            Schema::Map(map) => {
                let paths = self.paths;
                let mut wanted = Vec::new();
                for (key, child) in node.into_iter().flat_map(|node| paths.children(node)) {
                    wanted.push(Entry {
                        key: key.into(),
                        node: child,
                        value: self.value(&map.types, Some(child), level + 1)?,
                    });
                }
                What::Map {
                    wanted: wanted.into(),
                    others: self.value(&map.types, None, level + 1)?,
                }
            }
            Schema::Union(union) => {
                let mut branches = Vec::new();
                for variant in union.variants() {
                    branches.push(self.value(variant, node, level + 1)?);
                }
                What::Union(branches.into())
            }
            Schema::Ref { .. } => return Err("it refers to a type that is not there"),
        })
    }

    /// Adds a part to those of a record; neighbours of fixed width that nobody asks for become one.
    fn append(&mut self, parts: &mut Vec<usize>, part: usize) {
        let width = |op: &Op| match op.what {
            What::Skip(width) if op.slots.is_empty() => Some(width),
            _ => None,
        };
        let joined = parts
            .last()
            .and_then(|last| width(&self.ops[*last]))
            .zip(width(&self.ops[part]))
            .and_then(|(a, b)| a.checked_add(b));
        if let Some(bytes) = joined {
            parts.pop();
            self.ops.push(Op {
                what: What::Skip(bytes),
                slots: Box::default(),
            });
            parts.push(self.ops.len() - 1);
        } else {
            parts.push(part);
        }
    }

    /// How many bytes a value always has, if that is so.
    fn width(&self, what: &What) -> Option<u64> {
        match what {
            What::Skip(width) | What::Fixed(width) => Some(*width),
            What::Null => Some(0),
            What::Bool => Some(1),
            What::Float => Some(4),
            What::Double => Some(8),
            What::Uuid => Some(16),
            What::FixedDecimal { bytes, .. } => Some(*bytes as u64),
            What::Record(parts) => parts.iter().try_fold(0u64, |sum, part| {
                let width = match self.ops[*part].what {
                    What::Skip(width) => width,
                    _ => return None,
                };
                sum.checked_add(width)
            }),
            _ => None,
        }
    }
}

/// The name of a type that has one.
pub(super) fn name_of(schema: &Schema) -> Option<&Name> {
    match schema {
        Schema::Record(record) => Some(&record.name),
        Schema::Enum(symbols) => Some(&symbols.name),
        Schema::Fixed(fixed) | Schema::Duration(fixed) | Schema::Uuid(UuidSchema::Fixed(fixed)) => {
            Some(&fixed.name)
        }
        Schema::Decimal(decimal) => match &decimal.inner {
            InnerDecimalSchema::Fixed(fixed) => Some(&fixed.name),
            InnerDecimalSchema::Bytes => None,
        },
        _ => None,
    }
}
