//! Fuzzing of every decoder, on the stable toolchain and for a bounded time: seeds that are good records, mutated.
//!
//! No bytes may make a decoder panic, give a number that is not finite, or a time outside of 1970 to 9999. The JSON
//! reader must find what serde_json finds in the same bytes.
//!
//! A failure prints what to set to see it again: `TAUTLINE_FUZZ_SEED=… TAUTLINE_FUZZ_AT=… cargo test --test fuzz NAME`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on fails"
)]
#![allow(clippy::print_stderr, reason = "the seed is worth a line")]

mod mutate;

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tautline::catalog::load::{Files, load};
use tautline::catalog::{FieldId, Source, expr};
use tautline::decode::{Event, FieldValue, Found, Learned, Reader, Record, SchemaId, WriterSchema};

use mutate::mutate;

/// How long each decoder is fuzzed, unless `TAUTLINE_FUZZ_SECONDS` says otherwise.
const SECONDS: u64 = 4;
/// 9999-12-31T00:00:00Z.
const LATEST_MS: i64 = 253_402_214_400_000;

fn variable(name: &str) -> Option<u64> {
    Some(std::env::var(name).ok()?.parse().expect("a whole number"))
}

/// Says how to see a failure again.
struct Witness<'a> {
    seed: u64,
    at: u64,
    input: &'a [u8],
}

impl Drop for Witness<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Witness { seed, at, input } = self;
            eprintln!("TAUTLINE_FUZZ_SEED={seed} TAUTLINE_FUZZ_AT={at}");
            eprintln!("{:?}", String::from_utf8_lossy(input));
            eprintln!("{input:?}");
        }
    }
}

/// Mutates the corpus again and again until the time is over.
fn fuzz(name: &str, corpus: &[&[u8]], tokens: &[&[u8]], mut check: impl FnMut(&[u8], &mut StdRng)) {
    let seed = variable("TAUTLINE_FUZZ_SEED").unwrap_or_else(|| rand::rng().random());
    let time = Duration::from_secs(variable("TAUTLINE_FUZZ_SECONDS").unwrap_or(SECONDS));
    let only = variable("TAUTLINE_FUZZ_AT");
    let started = Instant::now();
    let mut at = only.unwrap_or(0);
    loop {
        // Every input has a generator of its own, so that one can be made again without those before it.
        let mut rng = StdRng::seed_from_u64(seed ^ at.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let input = mutate(corpus, tokens, &mut rng);
        let witness = Witness {
            seed,
            at,
            input: &input,
        };
        check(&input, &mut rng);
        drop(witness);
        at += 1;
        if only.is_some() || started.elapsed() >= time {
            break;
        }
    }
    eprintln!("{name}: {at} inputs, TAUTLINE_FUZZ_SEED={seed}");
}

const FIELDS: &str = "a: a, b: data.b, c: data.c.d, whole: data, text: {path: t, type: text}, number: {path: n, type: number}, truth: {path: x, type: bool}, same: data.b";

fn source(format: &str, more: &str) -> Source {
    let yaml =
        format!("sources:\n  s: {{topics: [t], format: {format}, time: time, {more}fields: {{{FIELDS}}}}}\n");
    load(&Files::new("", [("a.yaml", yaml.as_str())]))
        .map_err(|d| d.to_string())
        .unwrap()
        .sources
        .remove(0)
}

/// Reads everything that an event can be asked for.
fn inspect(event: &Event<'_>, fields: usize) {
    assert!((0..=LATEST_MS).contains(&event.time_ms), "{}", event.time_ms);
    let _ = event.id();
    for field in 0..fields {
        let id = FieldId(field as u16);
        let _ = (event.value(id), event.key(id));
        if let Ok(number) = event.number(id) {
            assert!(number.to_f64().is_finite());
        }
        if let expr::Value::Number(number) = event.filter_value(field) {
            assert!(number.is_finite(), "{number}");
        }
    }
}

/// Reads all events of a record; how many there are.
fn read_all(reader: &mut Reader, record: &Record<'_>, fields: usize) -> usize {
    let mut count = 0;
    reader.read(record, |item| {
        let text = item.text.as_ptr_range();
        let payload = record.payload.unwrap_or_default().as_ptr_range();
        assert!(item.text.is_empty() || (payload.start <= text.start && text.end <= payload.end));
        match item.found {
            Ok(Found::Change(change)) => {
                count += 1;
                for event in change.before.iter().chain(&change.after) {
                    inspect(event, fields);
                }
            }
            Ok(Found::Tombstone) => {}
            Err(reject) => assert!(!reject.reason().is_empty() && !reject.to_string().is_empty()),
        }
    });
    count
}

fn plain(payload: &[u8]) -> Record<'_> {
    Record {
        payload: Some(payload),
        timestamp_ms: Some(1_780_277_400_000),
        ..Record::default()
    }
}

const JSON: &[&[u8]] = &[
    br#"{"time": 1780277400, "a": "x", "data": {"b": 12.50, "c": {"d": true}}, "t": "text", "n": 1e3, "x": false}"#,
    br#" { "t" : "\u00e9\ud83d\ude00\n" , "n" : "-7" , "data" : { "c" : { "d" : null } , "b" : [ 1 , { "b" : 2 } ] } , "time" : "2026-06-01T09:30:00+08:00" } "#,
    br#"{"time":1,"data":{"b":1},"data":{"c":{"d":2}},"a":{"a":[[]]},"n":"NaN","t":-0.0}"#,
    br#"{"time": 9.5, "skip": {"a": [1, {"b": "}"}], "\\": "\""}, "n": 1e400, "a": 18446744073709551615}"#,
];
const JSON_TOKENS: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\"",
    b"\\",
    b"\\u",
    b"\\ud800",
    b"\\udc00",
    b"null",
    b"true",
    b"false",
    b"-",
    b"0",
    b"1e999",
    b"-1e999",
    b"1e-999",
    b"NaN",
    b"inf",
    b"\"NaN\"",
    b"\"inf\"",
    b"\"1e999\"",
    b"9223372036854775808",
    b"\"data\"",
    b"\"b\"",
    b"\"c\":{",
    b"\"time\":",
    b"\n",
    b" ",
    b"\xff",
    b"\xc3",
    b"\xef\xbb\xbf",
    b"{\"data\":",
    b"[[[[[[[[",
];

#[test]
fn json_against_serde_json() {
    let source = source("json", "");
    let mut reader = Reader::new(&source);
    fuzz("json", JSON, JSON_TOKENS, |input, _| {
        let record = plain(input);
        read_all(&mut reader, &record, source.fields.len());
        let full: Option<serde_json::Value> = serde_json::from_slice(input).ok();
        let found = reader.read_one(&record);
        match (full, found) {
            (Some(full), Ok(event)) => same(&full, &event),
            (Some(full), Err(reject)) => {
                let allowed = match reject.reason() {
                    "missing_time" | "invalid_time" | "too_deep" => true,
                    "not_an_object" => !full.is_object(),
                    _ => false,
                };
                assert!(allowed, "{reject}, and serde_json reads {full}");
            }
            // What nobody asks for is not looked at.
            (None, _) => {}
        }
    });
}

/// The wanted values are those that a full parser finds.
fn same(full: &serde_json::Value, event: &Event<'_>) {
    for (field, path) in ["a", "data.b", "data.c.d", "data", "t", "n", "x", "data.b"]
        .iter()
        .enumerate()
    {
        let there = path.split('.').try_fold(full, |at, key| at.as_object()?.get(key));
        let found = event.value(FieldId(field as u16));
        let equal = match there {
            None | Some(serde_json::Value::Null) => found == FieldValue::Missing,
            Some(serde_json::Value::Bool(truth)) => found == FieldValue::Bool(*truth),
            Some(serde_json::Value::String(text)) => found == FieldValue::Text(text),
            Some(serde_json::Value::Number(number)) => match found {
                // serde_json may be off by the last bit of a float.
                FieldValue::Number(text) => {
                    let (mine, its): (f64, f64) = (text.parse().unwrap(), number.as_f64().unwrap());
                    (mine - its).abs() <= its.abs() * 1e-15
                }
                _ => false,
            },
            Some(_) => found == FieldValue::Composite,
        };
        assert!(equal, "{path}: {found:?}, and serde_json finds {there:?}");
    }
}

#[test]
fn several_events_in_one_record() {
    for payload in ["lines", "array"] {
        let source = source("json", &format!("payload: {payload}, "));
        let mut reader = Reader::new(&source);
        let corpus: Vec<Vec<u8>> = vec![
            [JSON[0], b"\n\n", JSON[2], b"\r\n"].concat(),
            [b"[", JSON[0], b",", JSON[1], b"]"].concat(),
        ];
        let corpus: Vec<&[u8]> = corpus.iter().map(Vec::as_slice).collect();
        fuzz(payload, &corpus, JSON_TOKENS, |input, _| {
            let count = read_all(&mut reader, &plain(input), source.fields.len());
            let full: Option<Vec<serde_json::Value>> = serde_json::from_slice(input).ok();
            if let (Some(full), "array") = (full, payload) {
                assert!(count <= full.len(), "{count} events in a list of {}", full.len());
            }
        });
    }
}

#[test]
fn cloud_events_in_both_modes() {
    let source = source("cloudevents", "id: id, dedup: 1d, ");
    let mut reader = Reader::new(&source);
    let corpus: Vec<&[u8]> = [
        &br#"{"specversion": "1.0", "id": "7", "type": "t", "time": "2026-06-01T01:30:00Z", "data": {"b": 4, "c": {"d": "x"}}}"#[..],
        br#"{"b": "3", "c": {"d": 1}}"#,
        b"2026-06-01T01:30:00.123456789+08:00",
        b"1780277400",
    ]
    .to_vec();
    fuzz("cloudevents", &corpus, JSON_TOKENS, |input, rng| {
        let cut = rng.random_range(0..=input.len());
        let headers: [(&str, &[u8]); 5] = [
            ("ce_specversion", b"1.0"),
            ("ce_id", &input[..cut]),
            ("CE_TIME", &input[cut..]),
            ("ce_a", input),
            ("ce_n", &input[..cut]),
        ];
        let count = if rng.random() { headers.len() } else { 0 };
        let record = Record {
            headers: &headers[..count],
            key: Some(input),
            ..plain(input)
        };
        read_all(&mut reader, &record, source.fields.len());
    });
}

/// Structured mode only: in binary mode a record is the data of one event.
#[test]
fn several_cloud_events_in_one_record() {
    let event = &br#"{"specversion": "1.0", "id": "7", "type": "t", "time": "2026-06-01T01:30:00Z", "data": {"b": 4, "c": {"d": "x"}}}"#[..];
    let other =
        &br#"{"specversion":"1.0","id":"\u00e9","time":"2026-06-01T09:30:00+08:00","data":{"b":"]},{"}}"#[..];
    for payload in ["lines", "array"] {
        let source = source("cloudevents", &format!("payload: {payload}, id: id, dedup: 1d, "));
        let mut reader = Reader::new(&source);
        let lines = [event, b"\n \r\n", other, b"\n"].concat();
        let array = [b" [ ", event, b" , ", other, b"] "].concat();
        let (good, corpus) = match payload {
            "lines" => (&lines, [&lines[..], event]),
            _ => (&array, [&array[..], b"[]"]),
        };
        assert_eq!(
            read_all(&mut reader, &plain(good), source.fields.len()),
            2,
            "the corpus is good"
        );
        fuzz(
            &format!("cloudevents {payload}"),
            &corpus,
            JSON_TOKENS,
            |input, rng| {
                let headers: [(&str, &[u8]); 3] = [
                    ("ce_specversion", b"1.0"),
                    ("ce_id", input),
                    ("ce_time", b"1780277400"),
                ];
                let count = if rng.random() { headers.len() } else { 0 };
                let record = Record {
                    headers: &headers[..count],
                    ..plain(input)
                };
                let found = read_all(&mut reader, &record, source.fields.len());
                let full: Option<Vec<serde_json::Value>> = serde_json::from_slice(input).ok();
                if let (Some(full), "array", 0) = (full, payload, count) {
                    assert!(found <= full.len(), "{found} events in a list of {}", full.len());
                }
            },
        );
    }
}

#[test]
fn rows_of_debezium_in_json() {
    let source = source("debezium", "");
    let mut reader = Reader::new(&source);
    let corpus: Vec<&[u8]> = vec![
        br#"{"op": "u", "before": {"time": 20605, "a": 1, "data": {"b": 2}}, "after": {"time": 1780277400000, "n": "12.5"}, "ts_ms": 5}"#,
        br#"{"schema": {"type": "struct"}, "payload": {"op": "d", "before": {"time": "2026-06-01", "t": "x"}, "after": null}}"#,
        br#"{"schema": null, "payload": null}"#,
    ];
    let tokens = [
        JSON_TOKENS,
        &[
            b"\"op\":\"c\"",
            b"\"r\"",
            b"\"t\"",
            b"\"before\":",
            b"\"after\":",
            b"\"payload\":",
        ],
    ]
    .concat();
    fuzz("debezium", &corpus, &tokens, |input, _| {
        read_all(&mut reader, &plain(input), source.fields.len());
    });
}

const AVRO_SCHEMA: &str = r#"{"type": "record", "name": "R", "fields": [
    {"name": "time", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "a", "type": ["null", "string", "double", {"type": "map", "values": "float"}]},
    {"name": "list", "type": {"type": "array", "items": ["null", "R"]}},
    {"name": "data", "type": {"type": "map", "values": ["null", "double", {"type": "record", "name": "D", "fields": [
        {"name": "d", "type": {"type": "bytes", "logicalType": "decimal", "precision": 60, "scale": 3}}]}]}},
    {"name": "t", "type": {"type": "enum", "name": "E", "symbols": ["x", "y"]}},
    {"name": "n", "type": "double"},
    {"name": "x", "type": "boolean"},
    {"name": "rest", "type": {"type": "fixed", "name": "F", "size": 3}}]}"#;
/// In the wire format, by the schema above. A line a field: time, a, list, data, t, n, x, rest.
#[rustfmt::skip]
const AVRO: &[&[u8]] = &[
    &[
        0, 0, 0, 0, 1,
        2,
        2, 2, b'h',
        2, 0, 0,
        2, 2, b'b', 2, 0, 0, 0, 0, 0, 0, 0xf8, 0x7f, 0, // NaN
        2,
        0, 0, 0, 0, 0, 0, 0xf0, 0x7f, // infinity
        1,
        1, 2, 3,
    ],
    &[
        0, 0, 0, 0, 1,
        2,
        0,
        0,
        1, 12, 2, b'c', 4, 4, 0xff, 1, 0, // a block that says its length
        0,
        0, 0, 0, 0, 0, 0, 0, 0,
        1,
        1, 2, 3,
    ],
    &[
        0, 0, 0, 0, 1,
        0,
        6, 2, 2, b'k', 0, 0, 0x80, 0x7f, 0,
        0,
        0,
        0,
        0, 0, 0, 0, 0, 0, 0xf0, 0xff,
        0,
        1, 2, 3,
    ],
];
const AVRO_TOKENS: &[&[u8]] = &[
    &[0],
    &[1],
    &[2],
    &[0xff; 9],
    &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
    &[0x80; 20],
    &[0xff],
    b"\x02b",
    b"\x02c",
    &[0, 0, 0, 0, 0, 0, 0xf8, 0x7f],
    &[0, 0, 0, 0, 0, 0, 0xf0, 0x7f],
    &[3, 2],
    &[2, 2, 2, 2, 2, 2, 2, 2],
    b"\x02\xff",
];

#[test]
fn avro_in_the_wire_format() {
    let source = source("avro", "");
    let mut reader = Reader::new(&source);
    let schema = WriterSchema::parse(AVRO_SCHEMA, &[]).unwrap();
    reader.learn(SchemaId(1), Learned::Schema(&schema));
    assert!(
        AVRO.iter()
            .all(|payload| reader.read_one(&plain(payload)).is_ok()),
        "the corpus is good"
    );
    fuzz("avro", AVRO, AVRO_TOKENS, |input, _| {
        read_all(&mut reader, &plain(input), source.fields.len());
    });
}

#[test]
fn schemas_of_avro() {
    let source = source("avro", "");
    let tokens: &[&[u8]] = &[
        b"\"R\"",
        b"\"record\"",
        b"\"array\"",
        b"\"items\"",
        b"\"fixed\"",
        b"\"size\": 99999999999999999999",
        b"\"scale\": 1000000000",
        b"null",
        b"\"int\"",
        b"\"logicalType\": \"date\"",
        b"[",
        b"]",
        b"{",
        b"}",
        b",",
        b"\"D\"",
        b"\"null\"",
    ];
    fuzz("avro schemas", &[AVRO_SCHEMA.as_bytes()], tokens, |input, rng| {
        let Ok(schema) = WriterSchema::parse(&String::from_utf8_lossy(input), &[]) else {
            return;
        };
        let mut reader = Reader::new(&source);
        reader.learn(SchemaId(1), Learned::Schema(&schema));
        for _ in 0..20 {
            let payload = mutate(AVRO, AVRO_TOKENS, rng);
            read_all(&mut reader, &plain(&payload), source.fields.len());
        }
    });
}

#[test]
fn rows_of_debezium_in_avro() {
    let source = source("debezium", "");
    let mut reader = Reader::new(&source);
    let row = AVRO_SCHEMA
        .replacen("\"R\", \"fields\"", "\"Row\", \"fields\"", 1)
        .replace("[\"null\", \"R\"]", "[\"null\", \"Row\"]");
    let schema = format!(
        r#"{{"type": "record", "name": "Envelope", "fields": [{{"name": "op", "type": "string"}}, {{"name": "before", "type": ["null", {row}]}}, {{"name": "after", "type": ["null", "Row"]}}]}}"#
    );
    reader.learn(
        SchemaId(1),
        Learned::Schema(&WriterSchema::parse(&schema, &[]).unwrap()),
    );
    let row = &AVRO[0][5..];
    let update = [&[0, 0, 0, 0, 1, 2, b'u', 2][..], row, &[2], row].concat();
    let delete = [&[0, 0, 0, 0, 1, 2, b'd', 2][..], row, &[0]].concat();
    assert_eq!(read_all(&mut reader, &plain(&update), 8), 1, "the corpus is good");
    fuzz("debezium avro", &[&update, &delete], AVRO_TOKENS, |input, _| {
        read_all(&mut reader, &plain(input), source.fields.len());
    });
}
