use super::*;
use crate::catalog::load::{Files, load};
use crate::catalog::{FieldId, Source, expr};
use crate::fixed::Fixed;
use proptest::prelude::*;

fn source(format: &str) -> Source {
    let yaml = format!(
        "sources:\n  s: {{topics: [t], format: {format}, time: time, fields: {{kind: type, amount: data.amount, name: data.customer.name, data: data, ok: data.ok}}}}\nmetrics:\n  m: {{source: s, agg: sum, expr: amount}}\n"
    );
    load(&Files::new("", [("a.yaml", yaml.as_str())]))
        .unwrap()
        .sources
        .remove(0)
}

const KIND: FieldId = FieldId(0);
const AMOUNT: FieldId = FieldId(1);
const NAME: FieldId = FieldId(2);
const DATA: FieldId = FieldId(3);
const OK: FieldId = FieldId(4);

fn plain(payload: &[u8]) -> Record<'_> {
    Record {
        payload: Some(payload),
        ..Record::default()
    }
}

#[test]
fn reads_only_what_is_asked_for() {
    let payload = r#" {"id": "x", "skip": {"a": [1, {"b": "}"}], "time": 3}, "type": "order.paid", "time": "2026-06-01T01:30:00Z",
        "data": {"amount": 12.50, "ok": true, "customer": {"id": 7, "name": "a\"b\u00e9\ud83d\ude00"}, "x": null}} "#;
    let mut reader = Reader::new(&source("json"));
    let event = reader.read_one(&plain(payload.as_bytes())).unwrap();
    assert_eq!(event.time_ms, 1_780_277_400_000);
    assert_eq!(event.value(KIND), FieldValue::Text("order.paid"));
    assert_eq!(event.number(AMOUNT), Ok(Fixed::parse("12.5").unwrap()));
    assert_eq!(event.value(NAME), FieldValue::Text("a\"bé😀"));
    assert_eq!(event.value(DATA), FieldValue::Composite);
    assert_eq!(event.value(OK), FieldValue::Bool(true));
}

#[test]
fn nothing_stays_from_the_record_before() {
    let mut reader = Reader::new(&source("json"));
    reader
        .read_one(&plain(br#"{"time": 1, "type": "a\n", "data": {"amount": 1}}"#))
        .unwrap();
    let event = reader.read_one(&plain(br#"{"time": 2}"#)).unwrap();
    assert_eq!(
        (event.value(KIND), event.number(AMOUNT)),
        (FieldValue::Missing, Err(Reject::MissingField { field: AMOUNT }))
    );
}

proptest! {
    /// Keys are guessed from the event before: whatever that was, the next one is read as if it came first.
    #[test]
    fn what_came_before_changes_nothing(
        before in proptest::collection::vec(proptest::collection::hash_map(key(), any_json(), 0..6), 1..4),
        object in proptest::collection::hash_map(key(), any_json(), 0..6),
        pretty: bool,
        broken in proptest::option::of(0usize..200),
    ) {
        let text = |object: &std::collections::HashMap<String, serde_json::Value>, pretty: bool| {
            // A hash map's order differs from map to map.
            let fields: Vec<String> = object.iter().chain([(&"time".to_owned(), &1.into())]).map(|(key, value)| {
                let value = if pretty { serde_json::to_string_pretty(value).unwrap() } else { value.to_string() };
                format!("{}:{}{value}", serde_json::Value::from(key.as_str()), if pretty { " \n" } else { "" })
            }).collect();
            format!("{{{}}}", fields.join(","))
        };
        let mut payload = text(&object, pretty).into_bytes();
        if let Some(at) = broken.filter(|at| *at < payload.len()) {
            payload[at] = b'"';
        }
        let mut reader = Reader::new(&source("json"));
        for (n, before) in before.iter().enumerate() {
            let _ = reader.read_one(&plain(text(before, n % 2 == 0).as_bytes()));
        }
        let record = plain(&payload);
        let mut fresh = Reader::new(&source("json"));
        let seen = |event: Result<crate::decode::Event<'_>, Reject>| format!("{event:?}");
        prop_assert_eq!(seen(reader.read_one(&record)), seen(fresh.read_one(&record)));
    }
}

#[test]
fn cloud_events_come_in_both_modes() {
    let mut reader = Reader::new(&source("cloudevents"));
    let headers: [(&str, &[u8]); 3] = [
        ("ce_specversion", b"1.0"),
        ("ce_type", b"order.paid"),
        ("ce_time", b"2026-06-01T01:30:00Z"),
    ];
    let record = Record {
        payload: Some(br#"{"amount": "3", "customer": {"name": "n"}}"#),
        headers: &headers,
        ..Record::default()
    };
    let event = reader.read_one(&record).unwrap();
    assert_eq!(
        (event.time_ms, event.value(KIND)),
        (1_780_277_400_000, FieldValue::Text("order.paid"))
    );
    assert_eq!(
        (event.number(AMOUNT), event.value(NAME)),
        (Ok(Fixed::from_int(3)), FieldValue::Text("n"))
    );
    let structured =
        br#"{"specversion": "1.0", "type": "t", "time": "2026-06-01T01:30:00Z", "data": {"amount": 4}}"#;
    assert_eq!(
        reader.read_one(&plain(structured)).unwrap().number(AMOUNT),
        Ok(Fixed::from_int(4))
    );
}

#[test]
fn parts_of_the_record_are_fields_like_others() {
    let yaml = "sources:\n  s: {topics: [t], format: json, fields: {key: $key, at: $timestamp, tenant: $header.x.tenant, topic: $topic, partition: $partition, offset: $offset, type: $$type}}\nmetrics:\n  m: {source: s, agg: max, expr: offset, filter: partition > 2}\n";
    let source = load(&Files::new("", [("a.yaml", yaml)]))
        .unwrap()
        .sources
        .remove(0);
    let mut reader = Reader::new(&source);
    let headers: [(&str, &[u8]); 3] = [
        ("x.tenant", b"old"),
        ("other", b"\xff"),
        ("x.tenant", "北".as_bytes()),
    ];
    let record = Record {
        topic: "orders",
        partition: 3,
        offset: 1_000_000_000_000,
        key: Some(b"k\"1"),
        payload: Some(br#"{"$type": "a", "key": "no"}"#),
        headers: &headers,
        timestamp_ms: Some(1_780_277_400_000),
    };
    let event = reader.read_one(&record).unwrap();
    let found: Vec<FieldValue<'_>> = (0..7).map(|field| event.value(FieldId(field))).collect();
    assert_eq!(
        found,
        [
            FieldValue::Text("k\"1"),
            FieldValue::Number("1780277400000"),
            FieldValue::Text("北"),
            FieldValue::Text("orders"),
            FieldValue::Number("3"),
            FieldValue::Number("1000000000000"),
            FieldValue::Text("a"),
        ]
    );
    assert_eq!(event.time_ms, 1_780_277_400_000);
    assert_eq!(event.filter_value(4), expr::Value::Number(3.0));
    let bare = Record {
        key: None,
        headers: &[],
        ..record
    };
    let event = reader.read_one(&bare).unwrap();
    assert_eq!(
        (event.value(FieldId(0)), event.value(FieldId(2))),
        (FieldValue::Missing, FieldValue::Missing)
    );
    let poison = Record {
        key: Some(b"\xff"),
        ..record
    };
    let reject = reader.read_one(&poison).map(|_| ()).unwrap_err();
    assert_eq!(
        (reject.reason(), reject.to_string().as_str()),
        ("invalid_utf8", "the record's key is not UTF-8 at byte 0")
    );
}

#[test]
fn the_event_time_may_be_a_header_or_the_record_s_own() {
    let headers: [(&str, &[u8]); 1] = [("sent", b"2026-06-01T01:30:00Z")];
    let record = Record {
        payload: Some(b"{}"),
        headers: &headers,
        timestamp_ms: Some(5),
        ..Record::default()
    };
    for (time, expected) in [("$header.sent", 1_780_277_400_000), ("$timestamp", 5)] {
        let yaml = format!("sources:\n  s: {{topics: [t], format: json, time: {time}, fields: {{}}}}\n");
        let source = load(&Files::new("", [("a.yaml", yaml.as_str())]))
            .unwrap()
            .sources
            .remove(0);
        assert_eq!(
            Reader::new(&source).read_one(&record).unwrap().time_ms,
            expected,
            "{time}"
        );
    }
}

#[test]
fn a_deleted_row_leaves_a_tombstone() {
    let yaml = "sources:\n  s: {topics: [t], format: debezium, fields: {table: $envelope.source.table, key: $key, id: id}}\n";
    let source = load(&Files::new("", [("a.yaml", yaml)]))
        .map_err(|d| d.to_string())
        .unwrap()
        .sources
        .remove(0);
    let mut reader = Reader::new(&source);
    let mut read = |payload: Option<&[u8]>| {
        let mut seen = String::new();
        let record = Record {
            key: Some(b"k"),
            payload,
            timestamp_ms: Some(1),
            ..Record::default()
        };
        reader.read(&record, |item| {
            seen = match item.found {
                Ok(Found::Tombstone) => "tombstone".to_owned(),
                Ok(Found::Change(change)) => {
                    let image = |event: &Option<Event<'_>>| {
                        event.as_ref().map(|event| {
                            (0..3)
                                .map(|f| event.key(FieldId(f)).unwrap().unwrap_or("").to_owned())
                                .collect::<Vec<_>>()
                                .join(" ")
                        })
                    };
                    format!("{:?} {:?}", image(&change.before), image(&change.after))
                }
                Err(reject) => reject.reason().to_owned(),
            }
        });
        seen
    };
    for payload in [
        None,
        Some(&b""[..]),
        Some(b"null"),
        Some(br#"{"schema": null, "payload": null}"#),
    ] {
        assert_eq!(read(payload), "tombstone");
    }
    let update = br#"{"payload": {"op": "u", "before": {"id": 1, "payload": {"op": "d"}}, "source": {"table": "orders"}, "after": {"id": 2}}, "schema": {"op": "x"}}"#;
    assert_eq!(read(Some(update)), r#"Some("orders k 1") Some("orders k 2")"#);
    assert_eq!(read(Some(b"{}")), "no_envelope");
    assert_eq!(read(Some(b"{")), "invalid_json");
}

#[test]
fn poison_is_refused_with_its_reason() {
    let deep = format!("{{\"time\": 1, \"x\": {}1{}}}", "[".repeat(100), "]".repeat(100));
    let deep_wanted = format!("{{\"data\": {}1{}}}", "{\"customer\": ".repeat(3), "}".repeat(3));
    let large = vec![b' '; MAX_EVENT_BYTES + 1];
    let mut reader = Reader::new(&source("json"));
    for (payload, reason) in [
        (&b""[..], "empty"),
        (b"{\"type\": \"a\xff\"}", "invalid_utf8"),
        (b"{\"time\": 1", "invalid_json"),
        (b"{\"time\": 1, \"x\": \"", "invalid_json"),
        (b"{\"time\": 1, \"x\": \"\\", "invalid_json"),
        (b"{\"time\": 1, \"x\": [1}", "invalid_json"),
        (b"{\"time\": 1} {", "invalid_json"),
        (b"{\"time\" 1}", "invalid_json"),
        (b"{time: 1}", "invalid_json"),
        (b"{\"time\": 1, \"type\": \"\\q\"}", "invalid_json"),
        (b"{\"time\": 1, \"type\": \"\\ud800\"}", "invalid_json"),
        (b"{\"time\": tru}", "invalid_json"),
        (b"{\"time\": 01}", "invalid_json"),
        (b"{\"time\": 1.}", "invalid_json"),
        (b"{\"time\": 1.2.3}", "invalid_json"),
        (b"{\"time\": 1e}", "invalid_json"),
        (b"{\"time\": -}", "invalid_json"),
        (b"[1, 2]", "not_an_object"),
        (b"17", "not_an_object"),
        (b"hello", "invalid_json"),
        (b"{}", "missing_time"),
        (b"{\"time\": null}", "missing_time"),
        (b"{\"time\": \"soon\"}", "invalid_time"),
        (deep.as_bytes(), "too_deep"),
        (deep_wanted.as_bytes(), "missing_time"),
        (&large, "too_large"),
    ] {
        let found = reader
            .read_one(&plain(payload))
            .map(|_| "accepted")
            .unwrap_or_else(|reject| reject.reason());
        assert_eq!(
            found,
            reason,
            "{}",
            String::from_utf8_lossy(&payload[..payload.len().min(60)])
        );
    }
    let mut amount = |text: &str| {
        let payload = format!("{{\"time\": 1, \"data\": {{\"amount\": {text}}}}}");
        reader
            .read_one(&plain(payload.as_bytes()))
            .unwrap()
            .number(AMOUNT)
            .map_err(|reject| reject.reason())
    };
    assert_eq!(amount("1e400"), Err("out_of_range"));
    assert_eq!(amount("\"NaN\""), Err("wrong_type"));
    assert_eq!(amount("true"), Err("wrong_type"));
}

pub(crate) fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        ".*".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            proptest::collection::hash_map(key(), inner, 0..5)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("data".to_owned()),
        Just("amount".to_owned()),
        Just("customer".to_owned()),
        Just("name".to_owned()),
        Just("type".to_owned()),
        ".{0,6}"
    ]
}

proptest! {
    /// Whatever else is in the object, the wanted values are those that a full parser finds.
    #[test]
    fn finds_what_a_full_parser_finds(mut object in proptest::collection::hash_map(key(), any_json(), 0..6), pretty: bool) {
        object.insert("time".to_owned(), 1.into());
        let value = serde_json::Value::Object(object.into_iter().collect());
        let payload = if pretty { serde_json::to_string_pretty(&value).unwrap() } else { value.to_string() };
        let mut reader = Reader::new(&source("json"));
        let event = reader.read_one(&plain(payload.as_bytes())).unwrap();
        for (field, pointer) in [(KIND, "/type"), (AMOUNT, "/data/amount"), (NAME, "/data/customer/name"), (DATA, "/data")] {
            // Lists are not walked into, and serde's pointers do walk: only the part that keys lead to counts.
            let by_keys = pointer.split('/').skip(1).try_fold(&value, |at, key| at.as_object()?.get(key));
            let expected = match by_keys {
                None | Some(serde_json::Value::Null) => FieldValue::Missing,
                Some(serde_json::Value::Bool(truth)) => FieldValue::Bool(*truth),
                Some(serde_json::Value::Number(number)) => {
                    let written = number.to_string();
                    prop_assert_eq!(event.value(field), FieldValue::Number(&written));
                    continue;
                }
                Some(serde_json::Value::String(text)) => {
                    prop_assert_eq!(event.value(field), FieldValue::Text(text));
                    continue;
                }
                Some(_) => FieldValue::Composite,
            };
            prop_assert_eq!(event.value(field), expected);
        }
    }

    /// No bytes make it panic.
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..80), braces: bool) {
        let mut payload = if braces { b"{\"data\": ".to_vec() } else { Vec::new() };
        payload.extend(bytes);
        let _ = Reader::new(&source("json")).read_one(&plain(&payload));
    }
}
