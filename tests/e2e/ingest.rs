//! Events over HTTP: what was answered with 200 is counted, once, whatever happens afterwards.

use std::time::Duration;

use jiff::Timestamp;

use crate::parts::daemon::{Daemon, Site, TOKEN, shown, tautline, zone_at_noon};
use crate::parts::http::{Answer, send};
use crate::parts::scratch;

const WITHIN: Duration = Duration::from_secs(30);

#[test]
fn answered_events_are_counted_once_also_after_a_crash() {
    let site = Site::without_broker().declares(&catalog());
    let daemon = site.start();
    let paid = |amount: u32| format!(r#"{{"status": "paid", "amount": {amount}}}"#);

    let one = post(&daemon, "json", &[], &paid(100));
    assert_eq!(
        (one.status, &one.json()["data"]["accepted"]),
        (200, &1.into()),
        "{one:?}"
    );
    let array = format!("[{}, 7, {}]", paid(20), paid(30));
    let array = post(&daemon, "json", &[], &array).json();
    assert_eq!(array["data"]["accepted"], 2);
    assert_eq!(array["data"]["errors"][0]["index"], 1);
    assert_eq!(array["data"]["errors"][0]["reason"], "not_an_object");
    let lines = format!("{}\n\noops\n{}\n", paid(1), paid(2));
    let keyed = [("Idempotency-Key", "the-first")];
    let lines_answer = post(&daemon, "x-ndjson", &keyed, &lines).json();
    assert_eq!(
        (
            &lines_answer["data"]["accepted"],
            &lines_answer["data"]["repeated"]
        ),
        (&2.into(), &false.into())
    );
    assert_eq!(lines_answer["data"]["errors"][0]["index"], 2);
    daemon.kill();

    // The last answer came a moment before the crash.
    let daemon = site.start();
    daemon.wait_for_value("revenue", WITHIN, 153.0);
    let again = post(&daemon, "x-ndjson", &keyed, &lines).json();
    assert_eq!(
        (&again["data"]["accepted"], &again["data"]["repeated"]),
        (&2.into(), &true.into())
    );
    let other = post(&daemon, "x-ndjson", &keyed, &paid(1));
    assert_eq!(other.status, 422, "{other:?}");
    let last = post(&daemon, "json", &[], &paid(1000));
    assert_eq!(last.status, 200, "{last:?}");
    daemon.wait_for_value("revenue", WITHIN, 1153.0);
    let letters: Vec<String> = site
        .dead_letters()
        .iter()
        .map(|letter| format!("{} {} {}", letter["topic"], letter["index"], letter["reason"]))
        .collect();
    assert_eq!(
        letters,
        [
            r#""http:orders" 1 "not_an_object""#,
            r#""http:orders" 2 "invalid_json""#
        ]
    );
    daemon.stop();
}

#[test]
fn events_with_ids_count_once_without_any_key() {
    let declared = catalog().replace("format: json,", "format: json, id: id, dedup: 1d,");
    let site = Site::without_broker().declares(&declared);
    let mut daemon = site.start();
    let paid = |id: &str, amount: u32| format!(r#"{{"id": "{id}", "status": "paid", "amount": {amount}}}"#);
    let counts = |answer: &Answer| {
        assert_eq!(answer.status, 200, "{answer:?}");
        let data = &answer.json()["data"];
        ["accepted", "duplicates", "rejected"].map(|name| data[name].as_u64().unwrap())
    };

    let two = format!("[{}, {}]", paid("a", 100), paid("b", 20));
    assert_eq!(counts(&post(&daemon, "json", &[], &two)), [2, 0, 0]);
    // Whoever asked did not get the answer, and asks again: at once, after a crash, and after another.
    assert_eq!(counts(&post(&daemon, "json", &[], &two)), [0, 2, 0]);
    for round in ["c", "d"] {
        daemon.kill();
        daemon = site.start();
        let again = format!(
            "[{}, {}, {}, {{}}]",
            paid("a", 100),
            paid("b", 20),
            paid(round, 3)
        );
        assert_eq!(counts(&post(&daemon, "json", &[], &again)), [1, 2, 1]);
    }
    daemon.wait_for_value("revenue", WITHIN, 126.0);
    daemon.wait_for_evaluations(3);
    daemon.wait_for_value("revenue", WITHIN, 126.0);
    // A reload keeps what is remembered, too.
    assert_eq!(daemon.post("/-/reload").status, 200);
    assert_eq!(counts(&post(&daemon, "json", &[], &two)), [0, 2, 0]);
    daemon.wait_for_value("revenue", WITHIN, 126.0);
    daemon.stop();
}

/// Structured, in a batch, and in binary mode, with its attributes as headers.
#[test]
fn cloudevents_are_taken_in_every_mode_of_http() {
    let site = Site::without_broker().declares(&of_cloudevents());
    let mut daemon = site.start();
    let event = |id: &str, kind: &str, amount: &str| {
        let at = Timestamp::now();
        format!(
            r#"{{"specversion": "1.0", "id": "{id}", "source": "/pos", "type": "{kind}", "time": "{at}", "data": {{"amount": {amount}}}}}"#
        )
    };
    let counts = |answer: &Answer| {
        let data = &answer.json()["data"];
        ["accepted", "duplicates", "rejected"].map(|name| data[name].as_u64().unwrap())
    };

    let one = post(
        &daemon,
        "cloudevents+json; charset=utf-8",
        &[],
        &event("a", "订单.已付", "1"),
    );
    assert_eq!((one.status, counts(&one)), (200, [1, 0, 0]), "{one:?}");
    // One is of another type, one has no amount, one comes for the second time.
    let batch = [
        event("b", "订单.已付", "20"),
        event("c", "订单.退款", "7"),
        event("d", "订单.已付", "null"),
        event("a", "订单.已付", "1"),
    ];
    let batch = post(
        &daemon,
        "cloudevents-batch+json",
        &[],
        &format!("[{}]", batch.join(", ")),
    );
    assert_eq!((batch.status, counts(&batch)), (200, [2, 1, 1]), "{batch:?}");
    let error = &batch.json()["data"]["errors"][0];
    assert_eq!(
        (&error["index"], &error["reason"]),
        (&2.into(), &"missing_field".into())
    );

    // The attributes as senders write them: percent-encoded, by some in quotes.
    let at = Timestamp::now().to_string();
    let paid = "%E8%AE%A2%E5%8D%95.%E5%B7%B2%E4%BB%98";
    let binary = |id: &str, kind: &str, body: &str| {
        let headers = [
            ("ce-specversion", "1.0"),
            ("ce-id", id),
            ("ce-source", "/pos"),
            ("CE-Type", kind),
            ("ce-time", at.as_str()),
        ];
        post(&daemon, "json", &headers, body)
    };
    for (id, kind, body, status, expected) in [
        ("e", paid, r#"{"amount": 300}"#, 200, [1, 0, 0]),
        ("e", paid, r#"{"amount": 300}"#, 200, [0, 1, 0]),
        ("f", &format!("\"{paid}\""), r#"{"amount": 4000}"#, 200, [1, 0, 0]),
        ("g", "other", r#"{"amount": 50000}"#, 200, [1, 0, 0]),
        ("h", paid, r#"{"amount": "lots"}"#, 422, [0, 0, 1]),
    ] {
        let answer = binary(id, kind, body);
        assert_eq!((answer.status, counts(&answer)), (status, expected), "{answer:?}");
    }
    daemon.wait_for_value("revenue", WITHIN, 4321.0);

    // What was answered is there after a crash, and its ids are known.
    daemon.kill();
    daemon = site.start();
    let again = post(&daemon, "cloudevents+json", &[], &event("f", "订单.已付", "4000"));
    assert_eq!((again.status, counts(&again)), (200, [0, 1, 0]), "{again:?}");
    daemon.wait_for_value("revenue", WITHIN, 4321.0);
    daemon.stop();
}

fn of_cloudevents() -> String {
    catalog()
        .replace(
            "format: json, fields: {status: status, amount: amount}",
            "format: cloudevents, time: time, id: id, dedup: 1d, fields: {type: type, amount: data.amount}",
        )
        .replace("status == \"paid\"", "type == \"订单.已付\"")
}

#[test]
fn a_refusal_says_what_to_do() {
    let site = Site::with_broker_away().declares(&catalog().replace(
        "metrics:",
        "  closed: {topics: [t], format: json, fields: {}}\nmetrics:",
    ));
    let daemon = site.start();
    let json = ("Content-Type", "application/json");
    let bearer = format!("Bearer {TOKEN}");
    let known = ("Authorization", bearer.as_str());
    let large = vec![b' '; 8 * 1024 * 1024 + 1];
    for (path, headers, body, status, says) in [
        ("orders", vec![json], &b"{}"[..], 401, "Authorization: Bearer"),
        (
            "orders",
            vec![json, ("Authorization", "Bearer guessed")],
            b"{}",
            401,
            "serve.tokens",
        ),
        ("order", vec![json, known], b"{}", 404, "did you mean 'orders'?"),
        ("closed", vec![json, known], b"{}", 404, "http: true"),
        ("orders", vec![known], b"{}", 415, "application/x-ndjson"),
        ("orders", vec![json, known], &large, 413, "several requests"),
        ("orders", vec![json, known], b"{", 422, "invalid_json"),
        (
            "orders",
            vec![json, known],
            br#"{"status": "paid"}"#,
            422,
            "field 'amount' (amount) is missing",
        ),
        (
            "orders",
            vec![json, known, ("Idempotency-Key", "")],
            b"{}",
            400,
            "1 to 200",
        ),
    ] {
        let answer = send(site.port(), &format!("/api/v1/events/{path}"), &headers, body).unwrap();
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(answer.body.contains(says), "{answer:?}");
        assert_eq!(answer.json()["status"], "error");
    }
    daemon.stop();
}

#[test]
fn a_file_is_imported_once() {
    let site = Site::without_broker().declares(&catalog().replace("fields: {", "time: at, fields: {"));
    let daemon = site.start();
    let folder = scratch("import");
    let import = |name: &str, text: &str, more: &[&str]| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        let settings = site.settings();
        let mut args = vec![
            "import",
            "--source",
            "orders",
            "--config",
            settings.to_str().unwrap(),
        ];
        args.extend(more);
        args.push(file.to_str().unwrap());
        tautline(&args)
    };
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let lines: String = (0..12_000)
        .map(|_| format!("{{\"at\": {now}, \"status\": \"paid\", \"amount\": 1}}\n"))
        .collect();
    let first = import("a.ndjson", &lines, &[]);
    assert!(first.status.success(), "{}", shown(&first));
    assert_eq!(
        String::from_utf8_lossy(&first.stdout),
        "12000 events taken, 0 rejected\n"
    );
    daemon.wait_for_value("revenue", WITHIN, 12_000.0);

    let again = import("a.ndjson", &lines, &["--format", "json"]);
    assert_eq!(
        String::from_utf8_lossy(&again.stdout),
        "{\"accepted\":12000,\"duplicates\":0,\"rejected\":0,\"repeated\":12000}\n"
    );
    let csv = format!("time,status,amount\n{now},paid,0.5\n{now},paid,lots\n{now},open,\n");
    let table = import("b.csv", &csv, &[]);
    assert_eq!(table.status.code(), Some(1), "{}", shown(&table));
    assert_eq!(
        String::from_utf8_lossy(&table.stdout),
        "2 events taken, 1 rejected\n"
    );
    assert!(
        shown(&table).contains("b.csv:3: wrong_type: field 'amount' (amount) is a text that is no number"),
        "{}",
        shown(&table)
    );
    daemon.wait_for_value("revenue", WITHIN, 12_000.5);
    daemon.stop();
}

fn post(daemon: &Daemon, kind: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let (kind, bearer) = (format!("application/{kind}"), format!("Bearer {TOKEN}"));
    let mut all = vec![
        ("Content-Type", kind.as_str()),
        ("Authorization", bearer.as_str()),
    ];
    all.extend(headers);
    send(daemon.port(), "/api/v1/events/orders", &all, body.as_bytes()).unwrap()
}

fn catalog() -> String {
    format!(
        "calendar: {{timezone: {zone}}}\n\
         sources:\n  orders: {{http: true, format: json, fields: {{status: status, amount: amount}}}}\n\
         metrics:\n  revenue: {{source: orders, agg: sum, expr: amount, filter: status == \"paid\"}}\n\
         nodes:\n  revenue: {{metric: revenue, role: business, period: year, target: 10000}}\n",
        zone = zone_at_noon()
    )
}
