use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use apache_avro::{Decimal, Schema, Uuid};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::catalog::load::{Files, load};
use crate::catalog::{FieldId, Source};
use crate::decode::{FieldValue, Found, Reader, Record};
use crate::fixed::Fixed;

fn source(format: &str, time: &str, fields: &str) -> Source {
    let time = if time.is_empty() {
        String::new()
    } else {
        format!("time: {time}, ")
    };
    let yaml = format!("sources:\n  s: {{topics: [t], format: {format}, {time}fields: {{{fields}}}}}\n");
    load(&Files::new("", [("a.yaml", yaml.as_str())]))
        .map_err(|d| d.to_string())
        .unwrap()
        .sources
        .remove(0)
}

/// A record as a producer writes it.
fn framed(id: u32, body: &[u8]) -> Vec<u8> {
    let mut payload = vec![0];
    payload.extend(id.to_be_bytes());
    payload.extend(body);
    payload
}

fn record(payload: &[u8]) -> Record<'_> {
    Record {
        payload: Some(payload),
        timestamp_ms: Some(1),
        ..Record::default()
    }
}

fn parsed(schema: &serde_json::Value) -> WriterSchema {
    WriterSchema::parse(&schema.to_string(), &[]).unwrap()
}

/// A reader that knows one schema, as id 7.
fn knowing(source: &Source, schema: &serde_json::Value) -> Reader {
    let mut reader = Reader::new(source);
    reader.learn(SchemaId(7), Learned::Schema(&parsed(schema)));
    reader
}

/// A value as the library writes it.
fn written(schema: &Schema, value: Value) -> Vec<u8> {
    let writer = GenericDatumWriter::builder(schema).build().unwrap();
    writer.write_value_to_vec(value).unwrap()
}

fn one_field(kind: &serde_json::Value) -> serde_json::Value {
    json!({"type": "record", "name": "R", "fields": [{"name": "a", "type": kind}]})
}

/// What the field `a` of this type and value is read as.
fn read_as(kind: &serde_json::Value, value: Value) -> String {
    let schema = one_field(kind);
    let row = Value::Record(vec![("a".to_owned(), value)]);
    let body = written(&Schema::parse(&schema).unwrap(), row);
    let mut reader = knowing(&source("avro", "", "a: a"), &schema);
    let payload = framed(7, &body);
    let event = reader.read_one(&record(&payload)).unwrap();
    match event.value(FieldId(0)) {
        FieldValue::Text(text) => format!("text {text}"),
        FieldValue::Number(text) => format!("number {text}"),
        other => format!("{other:?}"),
    }
}

#[test]
fn every_type_is_read_as_people_write_it() {
    let decimal = |bytes: &[u8]| Value::Decimal(Decimal::from(bytes));
    let uuid = Uuid::parse_str("00112233-4455-6677-8899-aabbccddeeff").unwrap();
    let money = json!({"type": "bytes", "logicalType": "decimal", "precision": 30, "scale": 2});
    let fixed = |size: usize, more: serde_json::Value| {
        let mut kind = json!({"type": "fixed", "name": "F", "size": size});
        kind.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        kind
    };
    let logical = |kind: &str, logical: &str| json!({"type": kind, "logicalType": logical});
    for (kind, value, expected) in [
        (json!("null"), Value::Null, "Missing"),
        (json!("boolean"), Value::Boolean(true), "Bool(true)"),
        (json!("int"), Value::Int(i32::MIN), "number -2147483648"),
        (
            json!("long"),
            Value::Long(i64::MIN),
            "number -9223372036854775808",
        ),
        (json!("float"), Value::Float(0.1), "number 0.1"),
        (json!("double"), Value::Double(-1e300), "number -1e300"),
        (json!("double"), Value::Double(12.0), "number 12"),
        (json!("double"), Value::Double(f64::NAN), "text NaN"),
        (json!("float"), Value::Float(f32::INFINITY), "text inf"),
        (json!("string"), Value::String("北\"".to_owned()), "text 北\""),
        (json!("bytes"), Value::Bytes(vec![1]), "Composite"),
        (logical("int", "date"), Value::Date(20_605), "text 2026-06-01"),
        (logical("int", "date"), Value::Date(i32::MAX), "number 2147483647"),
        (
            logical("long", "timestamp-micros"),
            Value::TimestampMicros(5),
            "number 5",
        ),
        (logical("int", "time-millis"), Value::TimeMillis(7), "number 7"),
        (
            logical("string", "uuid"),
            Value::Uuid(uuid),
            "text 00112233-4455-6677-8899-aabbccddeeff",
        ),
        (
            fixed(16, json!({"logicalType": "uuid"})),
            Value::Uuid(uuid),
            "text 00112233-4455-6677-8899-aabbccddeeff",
        ),
        (fixed(2, json!({})), Value::Fixed(2, vec![1, 2]), "Composite"),
        (
            fixed(3, json!({"logicalType": "decimal", "precision": 5, "scale": 5})),
            decimal(&[0, 0, 5]),
            "number 0.00005",
        ),
        (money.clone(), decimal(&[0x04, 0xd2]), "number 12.34"),
        (money.clone(), decimal(&[0xff]), "number -0.01"),
        (money.clone(), decimal(&[0xff, 0x7f]), "number -1.29"),
        (money.clone(), decimal(&[0; 3]), "number 0.00"),
        (
            json!({"type": "enum", "name": "E", "symbols": ["paid", "open"]}),
            Value::Enum(1, "open".to_owned()),
            "text open",
        ),
        (
            json!({"type": "array", "items": "int"}),
            Value::Array(vec![Value::Int(1)]),
            "Composite",
        ),
        (
            json!(["null", "string"]),
            Value::Union(0, Box::new(Value::Null)),
            "Missing",
        ),
        (
            json!(["null", "string"]),
            Value::Union(1, Box::new(Value::String("x".to_owned()))),
            "text x",
        ),
    ] {
        assert_eq!(read_as(&kind, value), expected, "{kind}");
    }
}

#[test]
fn long_decimals_keep_every_digit() {
    let written = |bytes: &[u8], scale| {
        let mut text = String::new();
        number::write_decimal(&mut text, bytes, scale).unwrap();
        text
    };
    // 2^128 and -2^128, by hand.
    let mut two_to_128 = vec![1];
    two_to_128.extend([0; 16]);
    assert_eq!(written(&two_to_128, 0), "340282366920938463463374607431768211456");
    let mut minus = vec![0xff];
    minus.extend([0; 16]);
    assert_eq!(written(&minus, 30), "-340282366.920938463463374607431768211456");
    assert_eq!(written(&[], 0), "0");
    assert_eq!(written(&[5], 3), "0.005");
    assert_eq!(written(&[5], 400), "5e-400");
    assert_eq!(written(&[1; 65], 2), "1e999");
}

#[test]
fn times_of_known_unit_are_exact_and_local_ones_are_none() {
    for (kind, logical, value, expected) in [
        ("long", "timestamp-millis", 5_000_000_000, Ok(5_000_000_000)),
        ("long", "timestamp-micros", 5_000_000_001_999, Ok(5_000_000_001)),
        (
            "long",
            "timestamp-nanos",
            5_000_000_000_000_000,
            Ok(5_000_000_000),
        ),
        ("long", "timestamp-millis", -1, Err("invalid_time")),
        (
            "long",
            "local-timestamp-millis",
            1_780_277_400_000,
            Err("invalid_time"),
        ),
        ("long", "none", 1_780_277_400, Ok(1_780_277_400_000)),
        ("int", "time-millis", 34_200_000, Err("invalid_time")),
        ("int", "date", 20_605, Err("invalid_time")),
    ] {
        let schema = one_field(&json!({"type": kind, "logicalType": logical}));
        let mut body = Vec::new();
        write_long(&mut body, value);
        let payload = framed(7, &body);
        let found = knowing(&source("avro", "a", ""), &schema)
            .read_one(&record(&payload))
            .map(|event| event.time_ms)
            .map_err(|reject| reject.reason());
        assert_eq!(found, expected, "{logical} {value}");
    }
}

/// What the clocks of the source's zone show; a day begins when its clocks do.
#[test]
fn times_without_a_zone_are_those_of_the_zone_that_the_source_declares() {
    let mut berlin = source("avro", "a", "");
    berlin.timezone = Some(jiff::tz::TimeZone::get("Europe/Berlin").unwrap());
    let moment = |text: &str| Ok(text.parse::<jiff::Timestamp>().unwrap().as_millisecond());
    let wall = |text: &str| {
        let utc: jiff::Timestamp = format!("{text}Z").parse().unwrap();
        utc.as_millisecond()
    };
    for (kind, logical, value, expected) in [
        (
            "long",
            "local-timestamp-millis",
            wall("2026-06-01T09:30:00.250"),
            moment("2026-06-01T07:30:00.250Z"),
        ),
        (
            "long",
            "local-timestamp-micros",
            wall("2026-06-01T09:30:00") * 1000 + 999,
            moment("2026-06-01T07:30:00Z"),
        ),
        (
            "long",
            "local-timestamp-nanos",
            wall("2026-12-01T09:30:00") * 1_000_000,
            moment("2026-12-01T08:30:00Z"),
        ),
        // Clocks go back at 3: the first of the two. They go forward at 2: half an hour after it.
        (
            "long",
            "local-timestamp-millis",
            wall("2026-10-25T02:30:00"),
            moment("2026-10-25T00:30:00Z"),
        ),
        (
            "long",
            "local-timestamp-millis",
            wall("2026-03-29T02:30:00"),
            moment("2026-03-29T01:30:00Z"),
        ),
        ("int", "date", 20_605, moment("2026-05-31T22:00:00Z")),
        // The first hour of 1970 in Berlin was still 1969 in Greenwich.
        ("long", "local-timestamp-millis", 0, Err("invalid_time")),
        ("long", "local-timestamp-millis", i64::MAX, Err("invalid_time")),
        ("int", "time-millis", 34_200_000, Err("invalid_time")),
        // A moment is one everywhere.
        ("long", "timestamp-millis", 5_000_000_000, Ok(5_000_000_000)),
    ] {
        let schema = one_field(&json!({"type": kind, "logicalType": logical}));
        let mut body = Vec::new();
        write_long(&mut body, value);
        let payload = framed(7, &body);
        let found = knowing(&berlin, &schema)
            .read_one(&record(&payload))
            .map(|event| event.time_ms)
            .map_err(|reject| reject.reason());
        assert_eq!(found, expected, "{logical} {value}");
    }
}

fn write_long(body: &mut Vec<u8>, value: i64) {
    let mut left = (value << 1 ^ value >> 63).cast_unsigned();
    while left >= 0x80 {
        body.push(left as u8 | 0x80);
        left >>= 7;
    }
    body.push(left as u8);
}

#[test]
fn a_schema_may_change_and_every_record_is_read_by_its_own() {
    let first = json!({"type": "record", "name": "Order", "fields": [
        {"name": "amount", "type": "int"}, {"name": "old", "type": "string"}]});
    let second = json!({"type": "record", "name": "Order", "fields": [
        {"name": "region", "type": ["null", "string"], "default": null}, {"name": "amount", "type": "double"}]});
    let mut reader = Reader::new(&source("avro", "", "amount: amount, region: region"));
    assert_eq!(
        reader.learn(SchemaId(1), Learned::Schema(&parsed(&first))),
        [FieldId(1)]
    );
    assert_eq!(reader.learn(SchemaId(2), Learned::Schema(&parsed(&second))), []);
    let old = framed(1, &[20, 2, b'x']);
    let mut new = framed(2, &[2, 2, b'n']);
    new.extend(2.5f64.to_le_bytes());
    for (payload, amount, region) in [(&old, "10", None), (&new, "2.5", Some("n"))] {
        let payload = record(payload);
        assert_eq!(reader.schema_needed(&payload), None);
        let event = reader.read_one(&payload).unwrap();
        assert_eq!(event.number(FieldId(0)), Ok(Fixed::parse(amount).unwrap()));
        assert_eq!(event.key(FieldId(1)), Ok(region));
    }
}

#[test]
fn a_schema_is_asked_for_until_it_is_known() {
    let mut reader = Reader::new(&source("avro", "", "a: a"));
    let payload = framed(7, &[2]);
    assert_eq!(reader.schema_needed(&record(&payload)), Some(SchemaId(7)));
    let reason = |reader: &mut Reader| {
        let found = reader.read_one(&record(&payload)).map(|_| ());
        found.map_err(|reject| (reject.reason(), reject.to_string()))
    };
    reader.learn(SchemaId(7), Learned::Missing);
    assert_eq!(
        reason(&mut reader),
        Err(("unknown_schema", "the schema registry has no schema 7".to_owned()))
    );
    assert_eq!(
        reader.schema_needed(&record(&payload)),
        Some(SchemaId(7)),
        "it may be registered later"
    );
    reader.learn(SchemaId(7), Learned::Unusable("it is not Avro"));
    assert_eq!(
        reason(&mut reader),
        Err((
            "unusable_schema",
            "schema 7 cannot be used: it is not Avro".to_owned()
        ))
    );
    reader.learn(SchemaId(7), Learned::Schema(&parsed(&one_field(&json!("int")))));
    assert_eq!(
        (reason(&mut reader), reader.schema_needed(&record(&payload))),
        (Ok(()), None)
    );
}

#[test]
fn schemas_may_refer_to_each_other_and_to_themselves() {
    let referenced =
        r#"{"type": "record", "name": "shop.Customer", "fields": [{"name": "id", "type": "long"}]}"#;
    let schema = r#"{"type": "record", "name": "shop.Order", "fields": [
        {"name": "next", "type": ["null", "Order"]}, {"name": "customer", "type": "Customer"}]}"#;
    let schema = WriterSchema::parse(schema, &[referenced.to_owned()]).unwrap();
    let mut reader = Reader::new(&source("avro", "", "id: customer.id, next: next.customer.id"));
    reader.learn(SchemaId(7), Learned::Schema(&schema));
    // The next one's next is none, its customer 2; this one's customer is 1.
    let payload = framed(7, &[2, 0, 4, 2]);
    let event = reader.read_one(&record(&payload)).unwrap();
    assert_eq!(
        (event.value(FieldId(0)), event.value(FieldId(1))),
        (FieldValue::Number("1"), FieldValue::Number("2"))
    );
    let mut deep = vec![2; 200];
    deep.push(0);
    deep.resize(402, 2);
    let payload = framed(7, &deep);
    assert_eq!(
        reader
            .read_one(&record(&payload))
            .map(|_| ())
            .unwrap_err()
            .reason(),
        "too_deep"
    );
}

#[test]
fn poison_is_refused_with_its_reason() {
    let schema = json!({"type": "record", "name": "R", "fields": [
        {"name": "a", "type": ["null", "string"]},
        {"name": "many", "type": {"type": "array", "items": "null"}},
        {"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["x"]}},
        {"name": "ok", "type": "boolean"}]});
    let mut reader = knowing(&source("avro", "", "a: a"), &schema);
    let huge = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]; // 2^63 - 1
    let nulls = [&[0][..], &huge, &[0, 0, 1]].concat();
    let length = [&[2][..], &huge].concat();
    for (payload, reason) in [
        (framed(7, &[2, 2, b'x', 0, 0, 1]), "accepted"),
        (framed(7, &nulls), "accepted"),
        (framed(7, &length), "invalid_avro"),
        (framed(7, &[2, 1]), "invalid_avro"),
        (framed(7, &[2, 2, 0xff, 0, 0, 1]), "invalid_avro"),
        (framed(7, &[4]), "invalid_avro"),
        (framed(7, &[0, 0, 2, 1]), "invalid_avro"),
        // Nobody asks for the truth, which would be none.
        (framed(7, &[0, 0, 0, 2]), "accepted"),
        (framed(7, &[0, 0, 0, 1, 0]), "invalid_avro"),
        (framed(7, &[0xff; 12]), "invalid_avro"),
        (framed(7, &[]), "invalid_avro"),
        (framed(8, &[]), "unknown_schema"),
        (vec![0, 0, 0], "no_schema_id"),
        (b"{\"a\": 1}".to_vec(), "no_schema_id"),
        (Vec::new(), "empty"),
    ] {
        let found = reader.read_one(&record(&payload)).map(|_| "accepted");
        assert_eq!(
            found.unwrap_or_else(|reject| reject.reason()),
            reason,
            "{payload:?}"
        );
    }
}

#[test]
fn rows_of_debezium_come_in_avro_as_in_json() {
    let schema = json!({"type": "record", "name": "Envelope", "fields": [
        {"name": "before", "type": ["null", {"type": "record", "name": "Row", "fields": [
            {"name": "id", "type": "long"}, {"name": "state", "type": ["null", "string"]}]}]},
        {"name": "after", "type": ["null", "Row"]},
        {"name": "source", "type": {"type": "record", "name": "Source", "fields": [{"name": "table", "type": "string"}]}},
        {"name": "op", "type": "string"},
        {"name": "ts_ms", "type": ["null", "long"]}]});
    let mut reader = knowing(
        &source(
            "debezium",
            "",
            "id: id, state: state, table: $envelope.source.table",
        ),
        &schema,
    );
    let update = [2, 14, 2, 2, b'a', 2, 14, 2, 2, b'b', 2, b't', 2, b'u', 0];
    let payload = framed(7, &update);
    let mut seen = Vec::new();
    reader.read(&record(&payload), |item| {
        let Ok(Found::Change(change)) = item.found else {
            panic!("{item:?}");
        };
        for row in [change.before.unwrap(), change.after.unwrap()] {
            let field = |n| row.key(FieldId(n)).unwrap().unwrap().to_owned();
            seen.push([field(0), field(1), field(2)].join(" "));
        }
    });
    assert_eq!(seen, ["7 a t", "7 b t"]);
    let json = br#"{"op": "c", "after": {"id": 1, "state": "x"}, "source": {"table": "t"}}"#;
    let event = reader.read_one(&record(json)).unwrap();
    assert_eq!(event.key(FieldId(1)), Ok(Some("x")));
}

/// A value of Avro; its schema follows from it.
#[derive(Clone, Debug)]
enum Any {
    Leaf(serde_json::Value, Value),
    Enum(u8),
    Fixed(Vec<u8>),
    Optional(bool, Box<Any>),
    List(usize, Box<Any>),
    Map(Vec<String>, Box<Any>),
    Record(Vec<(String, Any)>),
}

impl Any {
    /// Types get names from where they stand.
    fn schema(&self, name: &str) -> serde_json::Value {
        match self {
            Any::Leaf(schema, _) => schema.clone(),
            Any::Enum(_) => json!({"type": "enum", "name": format!("E{name}"), "symbols": ["x", "y", "z"]}),
            Any::Fixed(bytes) => json!({"type": "fixed", "name": format!("F{name}"), "size": bytes.len()}),
            // Unions do not nest.
            Any::Optional(_, inner) if matches!(**inner, Any::Optional(..)) => inner.schema(name),
            Any::Optional(_, inner) => match inner.schema(name) {
                null if null == "null" => null,
                inner => json!(["null", inner]),
            },
            Any::List(_, inner) => json!({"type": "array", "items": inner.schema(&format!("{name}l"))}),
            Any::Map(_, inner) => json!({"type": "map", "values": inner.schema(&format!("{name}m"))}),
            Any::Record(fields) => {
                let fields: Vec<_> = fields
                    .iter()
                    .map(|(key, value)| json!({"name": key, "type": value.schema(&format!("{name}{key}_"))}))
                    .collect();
                json!({"type": "record", "name": format!("R{name}"), "fields": fields})
            }
        }
    }

    fn value(&self) -> Value {
        match self {
            Any::Leaf(_, value) => value.clone(),
            Any::Enum(n) => Value::Enum(u32::from(*n), ["x", "y", "z"][usize::from(*n)].to_owned()),
            Any::Fixed(bytes) => Value::Fixed(bytes.len(), bytes.clone()),
            Any::Optional(_, inner) if matches!(**inner, Any::Optional(..)) => inner.value(),
            Any::Optional(there, inner) => match inner.value() {
                Value::Null => Value::Null,
                inner if *there => Value::Union(1, Box::new(inner)),
                _ => Value::Union(0, Box::new(Value::Null)),
            },
            Any::List(count, inner) => Value::Array(vec![inner.value(); *count]),
            Any::Map(keys, inner) => {
                Value::Map(keys.iter().map(|key| (key.clone(), inner.value())).collect())
            }
            Any::Record(fields) => Value::Record(
                fields
                    .iter()
                    .map(|(key, value)| (key.clone(), value.value()))
                    .collect(),
            ),
        }
    }
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![Just("a"), Just("b"), Just("c"), Just("d")].prop_map(str::to_owned)
}

fn record_of(inner: impl Strategy<Value = Any>) -> impl Strategy<Value = Any> {
    proptest::collection::btree_map(key(), inner, 0..5)
        .prop_shuffle_fields()
        .prop_map(Any::Record)
}

/// Fields of a record stand in any order.
trait Shuffle: Strategy<Value = std::collections::BTreeMap<String, Any>> + Sized {
    fn prop_shuffle_fields(self) -> impl Strategy<Value = Vec<(String, Any)>> {
        self.prop_map(|fields| fields.into_iter().collect::<Vec<_>>())
            .prop_shuffle()
    }
}
impl<S: Strategy<Value = std::collections::BTreeMap<String, Any>>> Shuffle for S {}

fn any_value() -> impl Strategy<Value = Any> {
    let decimal = json!({"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 3});
    let millis = json!({"type": "long", "logicalType": "timestamp-millis"});
    let leaf = |kind: &str, value: Value| Any::Leaf(json!(kind), value);
    let leaf = prop_oneof![
        Just(leaf("null", Value::Null)),
        any::<bool>().prop_map(move |v| leaf("boolean", Value::Boolean(v))),
        any::<i32>().prop_map(move |v| leaf("int", Value::Int(v))),
        any::<i64>().prop_map(move |v| leaf("long", Value::Long(v))),
        any::<f32>().prop_map(move |v| leaf("float", Value::Float(v))),
        any::<f64>().prop_map(move |v| leaf("double", Value::Double(v))),
        ".{0,8}".prop_map(move |v| leaf("string", Value::String(v))),
        proptest::collection::vec(any::<u8>(), 0..6).prop_map(move |v| leaf("bytes", Value::Bytes(v))),
        any::<i64>().prop_map(move |v| Any::Leaf(millis.clone(), Value::TimestampMillis(v))),
        any::<i64>().prop_map(move |v| {
            Any::Leaf(
                decimal.clone(),
                Value::Decimal(Decimal::from(v.to_be_bytes().as_slice())),
            )
        }),
        (0u8..3).prop_map(Any::Enum),
        proptest::collection::vec(any::<u8>(), 1..9).prop_map(Any::Fixed),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        let boxed = inner.clone().prop_map(Box::new);
        prop_oneof![
            (any::<bool>(), boxed.clone()).prop_map(|(there, inner)| Any::Optional(there, inner)),
            (0usize..4, boxed.clone()).prop_map(|(count, inner)| Any::List(count, inner)),
            (proptest::collection::btree_set(key(), 0..3), boxed)
                .prop_map(|(keys, inner)| Any::Map(keys.into_iter().collect(), inner)),
            record_of(inner),
        ]
    })
}

/// What stands at a path, lists not entered.
fn at_path<'v>(value: &'v Value, path: &[&str]) -> Option<&'v Value> {
    let value = match value {
        Value::Union(_, inner) => inner,
        value => value,
    };
    let Some((key, rest)) = path.split_first() else {
        return Some(value);
    };
    match value {
        Value::Record(fields) => fields
            .iter()
            .find(|(name, _)| name == key)
            .and_then(|(_, v)| at_path(v, rest)),
        Value::Map(entries) => entries.get(*key).and_then(|v| at_path(v, rest)),
        _ => None,
    }
}

proptest! {
    /// Whatever else is in the record, the wanted values are those that the library wrote.
    #[test]
    fn finds_what_the_library_wrote(row in record_of(any_value())) {
        const PATHS: [&str; 8] = ["a", "b", "a.a", "a.b", "b.a.c", "c.d", "d.d.d", "c.a.b.c"];
        let schema = row.schema("");
        let avro = Schema::parse(&schema).unwrap();
        let value = row.value();
        let body = written(&avro, value.clone());
        let fields: Vec<String> = PATHS.iter().enumerate().map(|(n, path)| format!("f{n}: {path}")).collect();
        let mut reader = knowing(&source("avro", "", &fields.join(", ")), &schema);
        let payload = framed(7, &body);
        let event = reader.read_one(&record(&payload)).unwrap();
        for (n, path) in PATHS.iter().enumerate() {
            let keys: Vec<&str> = path.split('.').collect();
            let found = event.value(FieldId(n as u16));
            let number = |found: FieldValue<'_>| match found {
                FieldValue::Number(text) => text.parse::<f64>().ok(),
                _ => None,
            };
            match at_path(&value, &keys) {
                None | Some(Value::Null) => prop_assert_eq!(found, FieldValue::Missing),
                Some(Value::Boolean(truth)) => prop_assert_eq!(found, FieldValue::Bool(*truth)),
                Some(Value::Int(v)) => prop_assert_eq!(found, FieldValue::Number(&v.to_string())),
                Some(Value::Long(v) | Value::TimestampMillis(v)) => {
                    prop_assert_eq!(found, FieldValue::Number(&v.to_string()));
                }
                Some(Value::Float(v)) if v.is_finite() => {
                    let FieldValue::Number(text) = found else { panic!("{found:?}") };
                    prop_assert_eq!(text.parse::<f32>().unwrap().to_bits(), v.to_bits());
                }
                Some(Value::Double(v)) if v.is_finite() => {
                    prop_assert_eq!(number(found).map(f64::to_bits), Some(v.to_bits()));
                }
                Some(Value::Float(_) | Value::Double(_)) => prop_assert!(matches!(found, FieldValue::Text(_))),
                Some(Value::String(text) | Value::Enum(_, text)) => prop_assert_eq!(found, FieldValue::Text(text)),
                Some(Value::Decimal(decimal)) => {
                    let bytes: Vec<u8> = decimal.try_into().unwrap();
                    let unscaled = i64::from_be_bytes(bytes.try_into().unwrap());
                    let FieldValue::Number(text) = found else { panic!("{found:?}") };
                    prop_assert_eq!(text.replace('.', "").parse::<i64>().unwrap(), unscaled);
                    prop_assert_eq!(text.len() - text.find('.').unwrap(), 4);
                }
                Some(_) => prop_assert_eq!(found, FieldValue::Composite),
            }
        }
        // Cut anywhere, it is refused.
        for end in 0..body.len() {
            let payload = framed(7, &body[..end]);
            prop_assert!(reader.read_one(&record(&payload)).is_err(), "{} of {}", end, body.len());
        }
    }

    /// No bytes make it panic.
    #[test]
    fn any_bytes_are_read_or_refused(row in record_of(any_value()), body in proptest::collection::vec(any::<u8>(), 0..60)) {
        let mut reader = knowing(&source("avro", "", "a: a, b: a.b"), &row.schema(""));
        let _ = reader.read_one(&record(&framed(7, &body)));
    }
}
