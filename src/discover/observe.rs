//! What the records of a sample are, and what stands in them.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value};

use super::{Sample, Taken};
use crate::catalog::{Format, Layout};
use crate::decode::{FieldValue, event_time};
use crate::decode::{SchemaField, SchemaId, Shown, schema_of};

/// Keys deeper than this are not looked at: the catalogue's paths end there.
const MAX_DEPTH: usize = 16;
/// Different paths that are kept apart: objects that are used as tables have any number of keys.
const MAX_PATHS: usize = 1_000;

/// Why a sample tells nothing.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub String);

/// What was seen in a sample.
#[derive(Clone, Debug)]
pub struct Observed {
    /// Format of most records.
    pub format: Format,
    /// How many events a record holds.
    pub layout: Layout,
    /// For Debezium: whether the envelope stands in Connect's `schema`/`payload` wrapper.
    pub wrapped: bool,
    /// Whether the records are in Avro, in the wire format of a schema registry.
    pub framed: bool,
    /// What their schemas say of a path, the newest schema first.
    pub schema_fields: HashMap<Vec<String>, SchemaField>,
    /// Records of that format.
    pub of_format: usize,
    /// Its events.
    pub rows: Vec<Row>,
    /// Records that are of no use, by reason.
    pub unreadable: BTreeMap<&'static str, usize>,
    /// What stands on every path, in the order in which the paths were met.
    pub paths: Vec<(Vec<String>, Values)>,
    /// Keys that no path of the catalogue can name, and paths beyond the bound.
    pub beyond: Vec<String>,
}

/// One event: an object, and the record that brought it.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its fields: of CloudEvents the attributes with `data`, of a change the row.
    pub object: Map<String, Value>,
    /// The change around a row.
    pub envelope: Option<Map<String, Value>>,
    /// Timestamp of the record.
    pub timestamp_ms: Option<i64>,
}

impl Row {
    /// The value on a path.
    pub fn at(&self, path: &[String]) -> Option<&Value> {
        let (first, rest) = path.split_first()?;
        let mut value = self.object.get(first)?;
        for key in rest {
            value = value.as_object()?.get(key)?;
        }
        (!value.is_null()).then_some(value)
    }
}

/// What stands on one path over all events.
#[derive(Clone, Debug, Default)]
pub struct Values {
    /// Events that have it, null not counted.
    pub seen: usize,
    /// Texts among them.
    pub texts: usize,
    /// Texts that are a number.
    pub numeric_texts: usize,
    /// Numbers.
    pub numbers: usize,
    /// Whole ones among the numbers and numeric texts.
    pub whole: usize,
    /// Numbers below zero.
    pub negative: usize,
    /// True or false.
    pub bools: usize,
    /// Lists and objects.
    pub composites: usize,
    /// How often each value came, as written.
    pub counts: HashMap<String, usize>,
    /// Event times in milliseconds since the epoch, with the timestamps of their records; small numbers are days in
    /// rows of Debezium.
    pub times: Vec<(i64, Option<i64>)>,
    /// Longest text, in characters.
    pub longest: usize,
}

impl Values {
    /// Number of different values.
    pub fn distinct(&self) -> usize {
        self.counts.len()
    }

    /// Values by how often they came, most first; equal ones in the order of the alphabet.
    pub fn frequent(&self) -> Vec<(&str, usize)> {
        let mut all: Vec<(&str, usize)> = self.counts.iter().map(|(v, n)| (v.as_str(), *n)).collect();
        all.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        all
    }

    fn add(&mut self, value: &Value, days: bool, timestamp_ms: Option<i64>) {
        self.seen += 1;
        let mut number = |text: &str| {
            let parsed: Option<f64> = text.trim().parse().ok().filter(|number: &f64| number.is_finite());
            self.whole += usize::from(parsed.is_some_and(|number| number.fract() == 0.0));
            self.negative += usize::from(parsed.is_some_and(|number| number < 0.0));
            parsed.is_some()
        };
        let (field, text) = match value {
            Value::Null => return,
            Value::Bool(truth) => {
                self.bools += 1;
                (FieldValue::Bool(*truth), truth.to_string())
            }
            Value::Number(written) => {
                let text = written.to_string();
                number(&text);
                self.numbers += 1;
                (FieldValue::Missing, text)
            }
            Value::String(text) => {
                self.numeric_texts += usize::from(number(text));
                self.texts += 1;
                self.longest = self.longest.max(text.chars().count());
                (FieldValue::Text(text), text.clone())
            }
            Value::Array(_) | Value::Object(_) => {
                self.composites += 1;
                return;
            }
        };
        let field = match field {
            FieldValue::Missing => FieldValue::Number(&text),
            other => other,
        };
        if let Ok(ms) = event_time(field, days) {
            self.times.push((ms, timestamp_ms));
        }
        *self.counts.entry(text).or_default() += 1;
    }
}

/// What one record is.
enum Shape {
    Events(Kind, Vec<Row>),
    /// Confluent's wire format, and no schema that says how it is read: why.
    Registry(&'static str),
    Tombstone,
    Unreadable(&'static str),
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    format: u8,
    layout: u8,
    wrapped: bool,
    framed: bool,
}

/// Schemas of a sample, ready to read its records.
type Schemas = BTreeMap<SchemaId, Result<Shown, &'static str>>;

const FORMATS: [Format; 4] = [Format::Json, Format::CloudEvents, Format::Debezium, Format::Avro];
const LAYOUTS: [Layout; 3] = [Layout::Single, Layout::Lines, Layout::Array];

/// Looks at every record of a sample.
///
/// # Errors
/// When no record can be read.
pub fn observe(sample: &Sample) -> Result<Observed, Unreadable> {
    let mut by_kind: BTreeMap<Kind, (usize, Vec<Row>)> = BTreeMap::new();
    let mut unreadable: BTreeMap<&'static str, usize> = BTreeMap::new();
    let schemas: Schemas = sample
        .schemas
        .iter()
        .map(|(id, schema)| (*id, schema.clone().and_then(|schema| Shown::new(&schema))))
        .collect();
    let mut framed = 0;
    for taken in &sample.records {
        match shape(taken, &schemas) {
            Shape::Events(kind, rows) => {
                let known = by_kind.entry(kind).or_default();
                known.0 += 1;
                known.1.extend(rows);
            }
            Shape::Registry(reason) => {
                framed += 1;
                *unreadable.entry(reason).or_default() += 1;
            }
            Shape::Tombstone => *unreadable.entry("empty").or_default() += 1,
            Shape::Unreadable(reason) => *unreadable.entry(reason).or_default() += 1,
        }
    }
    let most = by_kind
        .iter()
        .max_by_key(|(_, (records, _))| *records)
        .map(|(kind, _)| *kind);
    let kind = match most {
        Some(kind) if by_kind.get(&kind).is_some_and(|(records, _)| *records >= framed) => kind,
        _ => return Err(nothing(sample, framed, &unreadable)),
    };
    let (of_format, rows) = by_kind.remove(&kind).unwrap_or_default();
    let others: usize = by_kind.values().map(|(records, _)| *records).sum();
    if others > 0 {
        unreadable.insert("another format", others);
    }
    let mut observed = Observed {
        format: FORMATS[usize::from(kind.format)],
        layout: LAYOUTS[usize::from(kind.layout)],
        wrapped: kind.wrapped,
        framed: kind.framed,
        schema_fields: if kind.framed {
            schema_fields(&schemas, FORMATS[usize::from(kind.format)])
        } else {
            HashMap::new()
        },
        of_format,
        rows: Vec::new(),
        unreadable,
        paths: Vec::new(),
        beyond: Vec::new(),
    };
    let days = observed.format == Format::Debezium;
    let mut index = HashMap::new();
    for row in &rows {
        let mut path = Vec::new();
        walk(&row.object, &mut path, &mut |path, value| {
            observed.note(&mut index, path, value, days, row.timestamp_ms);
        });
    }
    observed.rows = rows;
    Ok(observed)
}

impl Observed {
    fn note(
        &mut self,
        index: &mut HashMap<Vec<String>, usize>,
        path: &[String],
        value: &Value,
        days: bool,
        timestamp_ms: Option<i64>,
    ) {
        let last = path.last().map_or("", String::as_str);
        if last.is_empty() || last.contains('.') || path.len() > MAX_DEPTH {
            let shown = path.join(" / ");
            if self.beyond.len() < MAX_PATHS && !self.beyond.contains(&shown) {
                self.beyond.push(shown);
            }
            return;
        }
        let at = match index.get(path) {
            Some(at) => *at,
            None if self.paths.len() >= MAX_PATHS => return,
            None => {
                index.insert(path.to_vec(), self.paths.len());
                self.paths.push((path.to_vec(), Values::default()));
                self.paths.len() - 1
            }
        };
        if !value.is_null() {
            self.paths[at].1.add(value, days, timestamp_ms);
        }
    }
}

/// Visits every value that is no object with keys, by its path; keys that cannot be named are visited and not entered.
fn walk(object: &Map<String, Value>, path: &mut Vec<String>, visit: &mut impl FnMut(&[String], &Value)) {
    for (key, value) in object {
        path.push(key.clone());
        let nameable = !key.is_empty() && !key.contains('.') && path.len() <= MAX_DEPTH;
        match value {
            Value::Object(inner) if nameable && !inner.is_empty() => walk(inner, path, visit),
            _ => visit(path, value),
        }
        path.pop();
    }
}

/// What the schemas say of each path; of a table's rows the columns. Ids grow: the highest is the newest.
fn schema_fields(schemas: &Schemas, format: Format) -> HashMap<Vec<String>, SchemaField> {
    let mut fields = HashMap::new();
    let newest_first = schemas.values().rev().flatten();
    for field in newest_first.flat_map(Shown::fields) {
        let keys = match format {
            Format::Debezium => field.keys.strip_prefix(&["after".to_owned()]),
            _ => Some(field.keys.as_slice()),
        };
        if let Some(keys) = keys {
            fields.entry(keys.to_vec()).or_insert_with(|| field.clone());
        }
    }
    fields
}

fn shape(taken: &Taken, schemas: &Schemas) -> Shape {
    let Some(payload) = taken.payload.as_deref().filter(|payload| !payload.is_empty()) else {
        return Shape::Tombstone;
    };
    if let Some(id) = schema_of(payload) {
        return match schemas.get(&id) {
            Some(Ok(schema)) => match schema.value(payload) {
                Some(object) => avro(taken, schema, object),
                None => Shape::Unreadable("invalid_avro"),
            },
            Some(Err(why)) => Shape::Registry(why),
            None => Shape::Registry("no registry"),
        };
    }
    let Ok(text) = std::str::from_utf8(payload) else {
        return Shape::Unreadable("invalid_utf8");
    };
    let attributes = attributes(taken);
    match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(data)) if !attributes.is_empty() => {
            let mut object = attributes;
            object.insert("data".to_owned(), Value::Object(data));
            events(1, 0, false, vec![row(taken, object)])
        }
        Ok(Value::Object(object)) => single(taken, object),
        Ok(Value::Null) => Shape::Tombstone,
        Ok(Value::Array(list)) => several(taken, list, 2),
        Ok(_) => Shape::Unreadable("not_an_object"),
        Err(_) => {
            let lines = text.lines().filter(|line| !line.trim().is_empty());
            let read: Vec<Option<Value>> = lines.map(|line| serde_json::from_str(line).ok()).collect();
            let good = read.iter().flatten().count();
            if read.len() > 1 && good * 2 > read.len() {
                several(taken, read.into_iter().flatten().collect(), 1)
            } else {
                Shape::Unreadable("invalid_json")
            }
        }
    }
}

/// Attributes of a CloudEvent in binary mode.
fn attributes(taken: &Taken) -> Map<String, Value> {
    let is_event = |(name, _): &(String, Vec<u8>)| name.eq_ignore_ascii_case("ce_specversion");
    if !taken.headers.iter().any(is_event) {
        return Map::new();
    }
    let attribute = |(name, value): &(String, Vec<u8>)| {
        let name = name.to_ascii_lowercase();
        let value = std::str::from_utf8(value).ok()?;
        Some((name.strip_prefix("ce_")?.to_owned(), Value::from(value)))
    };
    taken.headers.iter().filter_map(attribute).collect()
}

fn avro(taken: &Taken, schema: &Shown, object: Map<String, Value>) -> Shape {
    let has = |key: &str| schema.fields().iter().any(|field| field.keys == [key]);
    // What is null is not in the value, and the row before a first change is.
    if is_operation(&object) && has("before") && has("after") {
        return match change(taken, object, false) {
            Shape::Events(kind, rows) => Shape::Events(Kind { framed: true, ..kind }, rows),
            other => other,
        };
    }
    let kind = Kind {
        format: 3,
        layout: 0,
        wrapped: false,
        framed: true,
    };
    Shape::Events(kind, vec![row(taken, object)])
}

fn events(format: u8, layout: u8, wrapped: bool, rows: Vec<Row>) -> Shape {
    let kind = Kind {
        format,
        layout,
        wrapped,
        framed: false,
    };
    Shape::Events(kind, rows)
}

fn row(taken: &Taken, object: Map<String, Value>) -> Row {
    Row {
        object,
        envelope: None,
        timestamp_ms: taken.timestamp_ms,
    }
}

fn single(taken: &Taken, object: Map<String, Value>) -> Shape {
    if is_cloud_event(&object) {
        return events(1, 0, false, vec![row(taken, object)]);
    }
    if is_change(&object) {
        return change(taken, object, false);
    }
    match object.get("payload") {
        Some(Value::Object(inner)) if object.contains_key("schema") && is_change(inner) => {
            let inner = inner.clone();
            change(taken, inner, true)
        }
        Some(Value::Null) if object.contains_key("schema") => Shape::Tombstone,
        _ => {
            let mut object = object;
            // Connect's own description of a row is not a part of it.
            if object.contains_key("payload") && object.get("schema").is_some_and(Value::is_object) {
                object.remove("schema");
            }
            events(0, 0, false, vec![row(taken, object)])
        }
    }
}

fn several(taken: &Taken, list: Vec<Value>, layout: u8) -> Shape {
    let objects: Vec<Map<String, Value>> = list
        .into_iter()
        .filter_map(|value| match value {
            Value::Object(object) => Some(object),
            _ => None,
        })
        .collect();
    if objects.is_empty() {
        return Shape::Unreadable("not_an_object");
    }
    let format = u8::from(objects.iter().all(is_cloud_event));
    let rows = objects.into_iter().map(|object| row(taken, object)).collect();
    events(format, layout, false, rows)
}

fn is_cloud_event(object: &Map<String, Value>) -> bool {
    ["specversion", "id", "type", "source"]
        .iter()
        .all(|key| object.get(*key).is_some_and(Value::is_string))
}

fn is_change(object: &Map<String, Value>) -> bool {
    is_operation(object) && (object.contains_key("before") || object.contains_key("after"))
}

fn is_operation(object: &Map<String, Value>) -> bool {
    let op = object.get("op").and_then(Value::as_str).unwrap_or_default();
    matches!(op, "c" | "u" | "d" | "r")
}

fn change(taken: &Taken, mut envelope: Map<String, Value>, wrapped: bool) -> Shape {
    let image = |envelope: &mut Map<String, Value>, side| match envelope.remove(side) {
        Some(Value::Object(row)) => Some(row),
        _ => None,
    };
    let (before, after) = (image(&mut envelope, "before"), image(&mut envelope, "after"));
    // A row that went without a trace is a change all the same; it shows no column.
    let object = after.or(before).unwrap_or_default();
    let row = Row {
        envelope: Some(envelope),
        ..row(taken, object)
    };
    events(2, 0, wrapped, vec![row])
}

/// Why nothing can be said. `framed`: records whose schema is not at hand.
fn nothing(sample: &Sample, framed: usize, unreadable: &BTreeMap<&'static str, usize>) -> Unreadable {
    let topic = &sample.topic;
    let count = sample.records.len();
    let reasons: Vec<String> = unreadable
        .iter()
        .map(|(reason, n)| format!("{reason}: {n}"))
        .collect();
    let reasons = reasons.join(", ");
    Unreadable(if count == 0 {
        format!(
            "topic '{topic}' holds no record yet: nothing can be learned from it; produce a few events first"
        )
    } else if framed * 2 >= count && sample.schemas.is_empty() {
        format!(
            "topic '{topic}' is in the wire format of a schema registry, Avro most likely ({framed} of {count} records begin with a zero byte and the number of a schema), and no registry is known: write kafka: {{schema_registry: {{url: http://127.0.0.1:8081}}}} in the settings, or name it with --registry"
        )
    } else if framed * 2 >= count {
        let refused: Vec<String> = sample
            .schemas
            .iter()
            .filter_map(|(id, schema)| Some(format!("schema {id}: {}", schema.as_ref().err()?)))
            .collect();
        format!(
            "topic '{topic}' is in the wire format of a schema registry, and its records cannot be read ({}): is it the registry that its producers write with? Only Avro is read, Protobuf and JSON Schema are not",
            refused.join("; ")
        )
    } else if unreadable.get("empty").copied().unwrap_or(0) == count {
        format!(
            "all {count} records of topic '{topic}' are empty (tombstones): nothing can be learned from them; take a larger --sample"
        )
    } else {
        format!(
            "none of the {count} records of topic '{topic}' is a JSON object ({reasons}): discover reads JSON, CloudEvents, Debezium, and Avro with a schema registry"
        )
    })
}
