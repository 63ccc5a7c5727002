//! A body as a JSON value, for those who want to see all of it: by the same walk that the daemon reads wanted fields
//! with. And what a schema says of its fields, beyond their values.

use std::collections::HashMap;

use apache_avro::Schema;
use apache_avro::schema::Name;
use serde_json::{Map, Number, Value};

use super::program::{Program, name_of};
use super::walk::walk;
use super::{SchemaId, WriterSchema, split};
use crate::decode::json::{Paths, Span};

/// Deepest field that is shown, in keys.
const MOST_KEYS: usize = 16;
/// Most fields that are shown.
const MOST_FIELDS: usize = 2_000;

/// A field of a schema, records and their fields alike, in the order of the schema.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SchemaField {
    /// Keys that lead to it.
    pub keys: Vec<String>,
    /// What the schema says of its values.
    pub kind: FieldKind,
    /// Its `doc`.
    pub doc: Option<String>,
}

/// What a schema says of values, beyond what shows in JSON.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FieldKind {
    /// A moment: `timestamp-millis`, `timestamp-micros` or `timestamp-nanos`.
    Moment(&'static str),
    /// A day.
    Date,
    /// A time of day, or a time of no zone.
    Local,
    /// A decimal, with so many digits behind the point.
    Decimal(usize),
    /// A UUID.
    Uuid,
    /// One of a few texts.
    Enum,
    /// A record: its fields follow.
    Record,
    /// A map: only a path with a key reaches into it.
    Map,
    /// Bytes that are no number and no text.
    Bytes,
    /// Anything else.
    Plain,
}

/// Everything that a schema has, ready to be shown.
#[derive(Debug)]
pub struct Shown {
    fields: Vec<SchemaField>,
    paths: Paths,
    program: Program,
}

/// The id of a payload's schema; `None` where the payload is not in the wire format of a schema registry.
pub fn schema_of(payload: &[u8]) -> Option<SchemaId> {
    split(payload).map(|(id, _)| id)
}

impl Shown {
    /// Prepares a schema.
    ///
    /// # Errors
    /// In words, why records of the schema cannot be read.
    pub fn new(schema: &WriterSchema) -> Result<Shown, &'static str> {
        let mut names = HashMap::new();
        let schemas = || schema.others.iter().chain([&schema.root]);
        schemas().for_each(|schema| collect(schema, &mut names));
        let mut fields = Vec::new();
        if !matches!(follow(&schema.root, &names), Schema::Record(_)) {
            return Err("it is no record");
        }
        list(&schema.root, &names, &mut Vec::new(), None, &mut fields);
        let paths = Paths::new(
            (0..)
                .zip(&fields)
                .map(|(slot, field)| (field.keys.as_slice(), slot)),
        );
        let program = Program::compile(&schema.root, &schema.others, &paths)?;
        Ok(Shown {
            fields,
            paths,
            program,
        })
    }

    /// Its fields, each behind the record that it is in.
    pub fn fields(&self) -> &[SchemaField] {
        &self.fields
    }

    /// A payload in the wire format as a JSON object; `None` when it is not what the schema says. A list, a map and
    /// bytes are an empty list: no path reaches into them. What is null is left out.
    pub fn value(&self, payload: &[u8]) -> Option<Map<String, Value>> {
        let (_, body) = split(payload)?;
        let mut spans = vec![Span::Missing; self.fields.len()];
        let mut scratch = String::new();
        walk(&self.program, &self.paths, body, &mut spans, &mut scratch).ok()?;
        let mut object = Map::new();
        for (field, span) in self.fields.iter().zip(spans) {
            let value = match span {
                Span::Missing | Span::Text { .. } | Span::Number { .. } => continue,
                Span::Bool(truth) => Value::Bool(truth),
                Span::Scratch { start, end } => Value::from(&scratch[start..end]),
                Span::ScratchNumber { start, end } | Span::Time { start, end, .. } => {
                    let text = &scratch[start..end];
                    let number = serde_json::from_str::<Number>(text);
                    number.map_or_else(|_| Value::from(text), Value::Number)
                }
                Span::Composite if field.kind == FieldKind::Record => Value::Object(Map::new()),
                Span::Composite => Value::Array(Vec::new()),
            };
            put(&mut object, &field.keys, value);
        }
        Some(object)
    }
}

/// Puts a value at its place; the objects around it are there already.
fn put(object: &mut Map<String, Value>, keys: &[String], value: Value) {
    let Some((last, above)) = keys.split_last() else {
        return;
    };
    let mut at = object;
    for key in above {
        match at.get_mut(key) {
            Some(Value::Object(inner)) => at = inner,
            _ => return,
        }
    }
    at.insert(last.clone(), value);
}

fn collect<'s>(schema: &'s Schema, names: &mut HashMap<&'s Name, &'s Schema>) {
    if let Some(name) = name_of(schema) {
        names.insert(name, schema);
    }
    match schema {
        Schema::Record(record) => record
            .fields
            .iter()
            .for_each(|field| collect(&field.schema, names)),
        Schema::Array(array) => collect(&array.items, names),
        Schema::Map(map) => collect(&map.types, names),
        Schema::Union(union) => union
            .variants()
            .iter()
            .for_each(|variant| collect(variant, names)),
        _ => {}
    }
}

fn follow<'s>(schema: &'s Schema, names: &HashMap<&'s Name, &'s Schema>) -> &'s Schema {
    match schema {
        Schema::Ref { name } => names.get(name).copied().unwrap_or(schema),
        schema => schema,
    }
}

/// Lists a value and what is in it. Of a union the first branch that says something counts.
fn list(
    schema: &Schema,
    names: &HashMap<&Name, &Schema>,
    keys: &mut Vec<String>,
    doc: Option<&String>,
    fields: &mut Vec<SchemaField>,
) {
    if keys.len() > MOST_KEYS || fields.len() >= MOST_FIELDS {
        return;
    }
    let schema = follow(schema, names);
    let schema = match schema {
        Schema::Union(union) => {
            let mut branches = union.variants().iter().map(|branch| follow(branch, names));
            branches
                .find(|branch| !matches!(branch, Schema::Null))
                .unwrap_or(schema)
        }
        schema => schema,
    };
    if !keys.is_empty() {
        fields.push(SchemaField {
            keys: keys.clone(),
            kind: kind(schema),
            doc: doc.map(|doc| doc.trim().to_owned()).filter(|doc| !doc.is_empty()),
        });
    }
    if let Schema::Record(record) = schema {
        for field in &record.fields {
            keys.push(field.name.clone());
            list(&field.schema, names, keys, field.doc.as_ref(), fields);
            keys.pop();
        }
    }
}

fn kind(schema: &Schema) -> FieldKind {
    match schema {
        Schema::TimestampMillis => FieldKind::Moment("timestamp-millis"),
        Schema::TimestampMicros => FieldKind::Moment("timestamp-micros"),
        Schema::TimestampNanos => FieldKind::Moment("timestamp-nanos"),
        Schema::Date => FieldKind::Date,
        Schema::TimeMillis
        | Schema::TimeMicros
        | Schema::LocalTimestampMillis
        | Schema::LocalTimestampMicros
        | Schema::LocalTimestampNanos => FieldKind::Local,
        Schema::Decimal(decimal) => FieldKind::Decimal(decimal.scale),
        Schema::Uuid(_) => FieldKind::Uuid,
        Schema::Enum(_) => FieldKind::Enum,
        Schema::Record(_) => FieldKind::Record,
        Schema::Map(_) => FieldKind::Map,
        Schema::Bytes | Schema::Fixed(_) | Schema::BigDecimal | Schema::Duration(_) => FieldKind::Bytes,
        _ => FieldKind::Plain,
    }
}
