//! What is made of small topics, and that anything at all becomes a file that the catalogue's loader takes.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::catalog::Catalog;

/// 2026-11-24T12:00:00Z.
const NOW_MS: i64 = 1_795_521_600_000;

fn sample(records: impl IntoIterator<Item = Value>) -> Sample {
    let records = records.into_iter().map(|value| Taken {
        payload: Some(value.to_string().into_bytes()),
        timestamp_ms: Some(NOW_MS - 60_000),
        ..Taken::default()
    });
    Sample {
        topic: "sales.orders".to_owned(),
        origin: "From a test.".to_owned(),
        records: records.collect(),
        ..Sample::default()
    }
}

fn catalog(yaml: &str) -> Catalog {
    load(&Files::new("", [("discovered.yaml", yaml)]))
        .map_err(|problems| format!("{problems}\n{yaml}"))
        .unwrap()
}

fn orders(n: usize) -> impl Iterator<Item = Value> {
    (0..n).map(|n| {
        let kind = if n % 5 == 0 { "order.refunded" } else { "order.paid" };
        let currency = if n % 4 == 0 { "USD" } else { "CNY" };
        json!({
            "specversion": "1.0", "id": format!("e-{n}"), "source": "/erp", "type": kind,
            "time": format!("2026-11-24T{:02}:{:02}:00+08:00", n / 60 % 20, n % 60), "datacontenttype": "application/json",
            "data": {
                "amount": format!("{}.5{}", 100 + n, n % 10), "currency": currency, "quantity": 1 + n % 3,
                "region": (["east", "west", "north"][n % 3]), "store": format!("s-{}", n % 12),
                "customer": {"id": format!("c-{}", n * 7 % 61), "name": format!("Somebody {n}"), "phone": format!("138{:08}", n)},
                "lines": [{"sku": "a"}],
            },
        })
    })
}

#[test]
fn cloud_events_of_orders() {
    let found = discover(&sample(orders(120)), NOW_MS).unwrap();
    catalog(&found.yaml);
    insta::assert_snapshot!(found.yaml);
}

#[test]
fn rows_of_a_table() {
    let row = |n: i64, state: &str| json!({"id": n, "state": state, "total": format!("{n}.00"), "created_at": 1_795_000_000_000_000 + n, "shop": format!("s{}", n % 4)});
    let changes = (1..40).map(|n| {
        let payload = json!({"op": "u", "ts_ms": NOW_MS, "before": row(n, "open"), "after": row(n, "paid"), "source": {"table": "orders"}});
        json!({"schema": {"type": "struct"}, "payload": payload})
    });
    let mut sample = sample(changes);
    sample.records.push(Taken::default());
    let found = discover(&sample, NOW_MS).unwrap();
    catalog(&found.yaml);
    insta::assert_snapshot!(found.yaml);
}

#[test]
fn chinese_keys_and_a_local_time() {
    let visits = (0..30).map(|n| {
        json!({"时间": "2026-11-24 09:30:00", "门店": format!("店{}", n % 3), "金额": n, "手机": format!("1380013{n:04}"), "a.b": 1, "minutes": n % 7, "seen_at": "2026-11-24T09:30:00Z", "单价": "1,200.00"})
    });
    let mut sample = sample(visits);
    sample.topic = "到店".to_owned();
    sample.records.push(Taken {
        payload: Some(b"oops".to_vec()),
        ..Taken::default()
    });
    let found = discover(&sample, NOW_MS).unwrap();
    catalog(&found.yaml);
    insta::assert_snapshot!(found.yaml);
}

/// Orders in Avro by schema 7, which the sample knows or not.
fn avro_orders(known: bool) -> Sample {
    let schema = json!({"type": "record", "name": "Order", "fields": [
        {"name": "order_uid", "type": {"type": "string", "logicalType": "uuid"}},
        {"name": "moment", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "due", "type": {"type": "int", "logicalType": "date"}},
        {"name": "gross", "doc": "Turnover of the order in EUR", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
        {"name": "state", "type": {"type": "enum", "name": "State", "symbols": ["open", "paid"]}},
        {"name": "tags", "type": {"type": "map", "values": "string"}},
        {"name": "customer", "type": ["null", {"type": "record", "name": "Customer", "fields": [{"name": "city", "type": "string"}]}]}]});
    let order = |n: u8| {
        let uuid = format!("00000000-0000-4000-8000-0000000000{n:02x}");
        let mut payload = vec![0, 0, 0, 0, 7, 72];
        payload.extend(uuid.as_bytes());
        // 2026-11-24T11:00:00Z in microseconds, as zigzag varint.
        let mut left = (1_795_518_000_000_000u64 + u64::from(n)) << 1;
        while left >= 0x80 {
            payload.push((left & 0x7f) as u8 | 0x80);
            left >>= 7;
        }
        payload.push(left as u8);
        // 100 days since 1970; so many cents; a state; an empty map; a customer in a town.
        payload.extend([0xc8, 0x01, 4, 1, n, (n % 2) * 2, 0, 2, 2, b'a' + n % 3]);
        payload
    };
    let records = (0..60).map(|n| Taken {
        payload: Some(order(n)),
        timestamp_ms: Some(NOW_MS - 60_000),
        ..Taken::default()
    });
    let schema = WriterSchema::parse(&schema.to_string(), &[]).unwrap();
    let mut sample = Sample {
        topic: "sales.orders".to_owned(),
        origin: "From a test.".to_owned(),
        records: records.collect(),
        ..Sample::default()
    };
    if known {
        let ids = sample.schema_ids();
        assert_eq!(ids, BTreeSet::from([SchemaId(7)]));
        sample.schemas.insert(SchemaId(7), Ok(Arc::new(schema)));
    }
    sample
}

#[test]
fn avro_is_read_by_its_schema() {
    let found = discover(&avro_orders(true), NOW_MS).unwrap();
    assert_eq!(found.usable, 60, "{}", found.yaml);
    catalog(&found.yaml);
    insta::assert_snapshot!(found.yaml);
}

#[test]
fn avro_without_its_schema_says_what_is_missing() {
    let mut sample = avro_orders(false);
    let said = discover(&sample, NOW_MS).unwrap_err().to_string();
    assert!(
        said.contains("no registry is known: write kafka: {schema_registry:"),
        "{said}"
    );
    let why = "the registry does not know it";
    sample.schemas.insert(SchemaId(7), Err(why));
    let said = discover(&sample, NOW_MS).unwrap_err().to_string();
    assert!(
        said.contains("(schema 7: the registry does not know it)"),
        "{said}"
    );
}

#[test]
fn binary_cloud_events_lines_and_arrays_are_recognised() {
    let data = json!({"amount": 7});
    let header = |name: &str, value: &str| (format!("ce_{name}"), value.as_bytes().to_vec());
    let binary = Taken {
        payload: Some(data.to_string().into_bytes()),
        headers: vec![
            header("specversion", "1.0"),
            header("id", "1"),
            header("type", "paid"),
            header("time", "2026-11-24T01:00:00Z"),
        ],
        ..Taken::default()
    };
    let text = |payload: &str| Taken {
        payload: Some(payload.as_bytes().to_vec()),
        ..Taken::default()
    };
    for (record, expected) in [
        (binary, "format: cloudevents"),
        (text("{\"a\": 1}\n{\"a\": 2}\n"), "payload: lines"),
        (text("[{\"a\": 1}, {\"a\": 2}]"), "payload: array"),
    ] {
        let sample = Sample {
            topic: "t".to_owned(),
            records: vec![record],
            ..Sample::default()
        };
        let found = discover(&sample, NOW_MS).unwrap();
        assert!(found.yaml.contains(expected), "{}", found.yaml);
        assert!(found.rejected.is_empty() && found.usable >= 1, "{}", found.yaml);
        catalog(&found.yaml);
    }
}

#[test]
fn a_sample_without_a_readable_record_says_why() {
    let said = |records: Vec<Taken>| {
        let sample = Sample {
            topic: "t".to_owned(),
            records,
            ..Sample::default()
        };
        discover(&sample, NOW_MS).unwrap_err().to_string()
    };
    let of = |payload: &[u8]| Taken {
        payload: Some(payload.to_vec()),
        ..Taken::default()
    };
    for (records, expected) in [
        (vec![], "holds no record yet"),
        (
            vec![of(b"\0\0\0\0\x07abc"), of(b"\0\0\0\0\x07abd")],
            "no registry is known: write kafka: {schema_registry:",
        ),
        (vec![Taken::default()], "tombstones"),
        (
            vec![of(b"7"), of(b"oops"), of(b"\xff")],
            "invalid_json: 1, invalid_utf8: 1, not_an_object: 1",
        ),
    ] {
        let said = said(records);
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn an_event_that_lacks_a_field_is_left_to_the_other_metrics() {
    let records = (0..20).map(|n| {
        if n % 2 == 0 {
            json!({"amount": n})
        } else {
            json!({"note": "x"})
        }
    });
    let found = discover(&sample(records), NOW_MS).unwrap();
    assert!(
        found.yaml.contains("expr: amount, filter: amount != null"),
        "{}",
        found.yaml
    );
}

fn any_object() -> impl Strategy<Value = Value> {
    let key = prop_oneof![
        3 => proptest::sample::select(vec!["id", "time", "type", "amount", "currency", "data", "customer", "phone", "op", "before", "after", "payload", "schema", "specversion", "source", "at", "in", "$type", "金额", "a.b", "", "y"]).prop_map(str::to_owned),
        1 => ".{0,6}",
    ];
    let value = crate::decode::any_json();
    proptest::collection::hash_map(key, value, 0..8).prop_map(|map| Value::Object(map.into_iter().collect()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Whatever stands in a topic, what is written is a catalogue, and nothing panics.
    #[test]
    fn any_objects_become_a_catalogue(objects in proptest::collection::vec(any_object(), 1..12), topic in "\\PC{1,12}|[a-z.]{1,9}") {
        let mut sample = sample(objects);
        sample.topic = topic;
        let found = discover(&sample, NOW_MS);
        if let Ok(found) = found {
            let catalog = catalog(&found.yaml);
            prop_assert_eq!(catalog.sources[0].fields.len(), found.guess.fields.len());
            prop_assert_eq!(catalog.named_metrics().count(), found.guess.metrics.len());
        }
    }

    #[test]
    fn any_bytes_are_looked_at(payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..5)) {
        let records = payloads.into_iter().map(|payload| Taken { payload: Some(payload), ..Taken::default() });
        let _ = discover(&Sample { topic: "t".to_owned(), records: records.collect(), ..Sample::default() }, NOW_MS);
    }
}
