//! Poison: whatever is in a topic is counted by reason and kept with reason and offset, and disturbs nothing else.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::parts::broker::Broker;
use crate::parts::daemon::{Site, zone_at_noon};
use crate::parts::events::Order;
use crate::parts::metrics::Metrics;
use crate::parts::produce::Producer;
use crate::parts::{unique, wait};

const WITHIN: Duration = Duration::from_secs(60);

/// Lines of the full file and of the one after it: every offset once, whenever the daemon was killed.
#[test]
fn the_dead_letter_file_is_moved_when_it_is_full_and_a_crash_repeats_nothing() {
    const ROUNDS: i64 = 12;
    const EACH: i64 = 40;
    let broker = Broker::shared();
    let topic = unique("orders");
    broker.create_topic(&topic, 1);
    let site = Site::new(broker).declares(&catalog(&topic));
    // A round fills it more than once over.
    let settings = std::fs::read_to_string(site.settings()).unwrap();
    let limited = settings.replace("dead-letter.ndjson}", "dead-letter.ndjson, max_bytes: 4000}");
    assert_ne!(settings, limited);
    std::fs::write(site.settings(), limited).unwrap();
    let file = site.settings().with_file_name("dead-letter.ndjson");
    let moved = site.settings().with_file_name("dead-letter.ndjson.1");

    let mut producer = Producer::new(broker, &topic);
    let offsets = |path: &std::path::Path| -> Vec<i64> {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let whole = text.lines().filter_map(|line| serde_json::from_str(line).ok());
        whole
            .map(|line: serde_json::Value| line["offset"].as_i64().unwrap())
            .collect()
    };
    for round in 1..=ROUNDS {
        let daemon = site.spawn();
        for _ in 0..EACH {
            producer.send(0, "no json");
        }
        producer.flush();
        // Killed as soon as the file shows something of the round, which is mostly before its commit.
        let begun = (round - 1) * EACH;
        wait::until("something of the round is in the file", WITHIN, || {
            (offsets(&file).last().copied() >= Some(begun)).then_some(())
        });
        daemon.kill();
    }
    let daemon = site.start();
    // The file may have shown the last of them before the kill.
    daemon.wait_until_ready();
    let last = ROUNDS * EACH - 1;
    wait::until("everything is in the file", WITHIN, || {
        (offsets(&file).last().copied() == Some(last)).then_some(())
    });
    daemon.stop();
    let both: Vec<i64> = [&moved, &file].iter().flat_map(|path| offsets(path)).collect();
    let first = both[0];
    assert!(
        std::fs::metadata(&moved).unwrap().len() > 4000,
        "it is moved when it is full"
    );
    assert_eq!(both, (first..=last).collect::<Vec<_>>());
}

#[test]
fn every_bad_record_is_counted_and_kept_and_every_good_one_counts() {
    let broker = Broker::shared();
    let topic = unique("orders");
    broker.create_topic(&topic, 1);
    let site = Site::new(broker).declares(&catalog(&topic));
    let daemon = site.start();
    daemon.wait_until_ready();

    let poison = poison();
    let mut producer = Producer::new(broker, &topic);
    let mut good = 0u32;
    let mut expected: Vec<(i64, &str)> = Vec::new();
    for (i, (reason, payload)) in poison.iter().enumerate() {
        producer.send(0, Order::paid(&format!("before-{i}"), "1.25").structured());
        // With one partition the number of records sent before is the offset.
        expected.push((producer.sent() as i64, reason));
        producer.send(0, payload);
        good += 1;
    }
    producer.flush();

    let mut wanted: BTreeMap<String, f64> = BTreeMap::from([("folded".to_owned(), f64::from(good))]);
    for (_, reason) in &expected {
        *wanted.entry((*reason).to_owned()).or_default() += 1.0;
    }
    daemon.wait_for(
        "every record is counted by what became of it",
        WITHIN,
        |metrics| {
            let seen = metrics.by("tautline_events_total", "outcome");
            let seen: BTreeMap<_, _> = seen.into_iter().filter(|(_, count)| *count != 0.0).collect();
            if seen == wanted {
                Ok(())
            } else {
                Err(format!("{seen:?}\nwanted {wanted:?}"))
            }
        },
    );
    daemon.wait_for_evaluations(2);
    let metrics = daemon.metrics();
    assert_eq!(
        metrics.get("tautline_kpi_value", &[("node", "revenue")]),
        Some(f64::from(good) * 1.25)
    );
    assert_eq!(
        metrics.get("tautline_kpi_value", &[("node", "orders")]),
        Some(f64::from(good))
    );
    assert_eq!(
        metrics.get("tautline_dead_letter_events_total", &[]),
        Some(expected.len() as f64)
    );
    assert_letters(&site, &expected, &poison, &topic);
    // The newest one stands first on the page, with its reason and where the whole record is.
    let (reason, payload) = poison.last().unwrap();
    let newest = 2 * poison.len() as i64 - 1;
    assert_eq!((*reason, expected.last()), ("future", Some(&(newest, "future"))));
    let letter = site.dead_letters().pop().unwrap();
    assert_eq!(
        (letter["reason"].as_str(), letter["offset"].as_i64()),
        (Some("future"), Some(newest))
    );
    assert_eq!(
        letter["payload"].as_str().map(str::as_bytes),
        Some(&payload[..]),
        "a small one is kept whole"
    );
    assert_newest_is_shown(&daemon.get("/rejected?lang=en").body, &topic, newest);
    // As many bad events as good ones: the feed is told as broken, and still is after a restart.
    let broken = [
        ("alertname", "rejected"),
        ("kind", "feed_gap"),
        ("source", "orders"),
    ];
    let is_told = |metrics: &Metrics| match metrics.get("tautline_alert_state", &broken) {
        Some(3.0) => Ok(()),
        other => Err(format!("{other:?}")),
    };
    daemon.wait_for("the broken feed is told", WITHIN, is_told);

    // After a restart nothing is read, counted or kept again.
    daemon.stop();
    let daemon = site.start();
    daemon.wait_until_ready();
    daemon.wait_for_evaluations(5);
    assert_eq!(
        daemon.metrics().get("tautline_kpi_value", &[("node", "orders")]),
        Some(f64::from(good))
    );
    assert_letters(&site, &expected, &poison, &topic);
    is_told(&daemon.metrics()).unwrap();
    let page = daemon.get("/?lang=en").body;
    assert!(
        page.contains("Many events of source orders cannot be used"),
        "{page}"
    );
    assert_newest_is_shown(&daemon.get("/rejected?lang=en").body, &topic, newest);
    daemon.stop();
}

/// The first row of the page of rejected events is the one from the future, of this offset.
#[track_caller]
fn assert_newest_is_shown(page: &str, topic: &str, offset: i64) {
    let row = page
        .split("<tbody>")
        .nth(1)
        .and_then(|rows| rows.split("</tr>").next());
    let row = row.unwrap_or_else(|| panic!("no rows: {page}"));
    for part in [
        "<code>future</code>".to_owned(),
        format!("<td>{topic}</td>"),
        format!("<td class=\"number\">{offset}</td>"),
    ] {
        assert!(row.contains(&part), "{part} is not in {row}");
    }
}

#[track_caller]
fn assert_letters(site: &Site, expected: &[(i64, &str)], poison: &[(&str, Vec<u8>)], topic: &str) {
    let letters = site.dead_letters();
    let kept: Vec<(i64, &str)> = letters
        .iter()
        .map(|letter| {
            (
                letter["offset"].as_i64().unwrap(),
                letter["reason"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(kept, expected, "{letters:#?}");
    for (letter, (_, payload)) in letters.iter().zip(poison) {
        assert_eq!(letter["topic"], topic);
        assert_eq!(letter["partition"], 0);
        assert_eq!(letter["source"], "orders");
        assert_eq!(letter["payload_bytes"], payload.len());
        assert!(
            letter["detail"].as_str().is_some_and(|detail| !detail.is_empty()),
            "{letter}"
        );
        let text = letter["payload"].as_str().unwrap();
        assert!(
            text.len() <= payload.len().min(64 * 1024) * 3,
            "bounded: {} bytes",
            text.len()
        );
        let begins = String::from_utf8_lossy(&payload[..payload.len().min(20)]).into_owned();
        assert!(
            text.starts_with(begins.trim_end_matches('\u{fffd}')),
            "{text:.100}"
        );
    }
}

/// Bad records with the reason under which each must be counted.
fn poison() -> Vec<(&'static str, Vec<u8>)> {
    let order = |amount: &str| Order::paid("bad", amount).structured();
    let good = order("1.25");
    let replaced = |from: &str, to: &str| {
        let changed = good.replacen(from, to, 1);
        assert_ne!(changed, good, "{from}");
        changed.into_bytes()
    };
    let at = good
        .split("\"time\":\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap()
        .to_owned();
    let mut not_utf8 = good.clone().into_bytes();
    let customer = good.find("c1").unwrap();
    not_utf8[customer] = 0xff;
    // Good but for its size.
    let pad = format!("\"pad\":\"{}\",\"data\"", "x".repeat(5 * 1024 * 1024));
    let large = good.replacen("\"data\"", &pad, 1).into_bytes();
    let deep = format!(
        r#"{{"specversion":"1.0","type":"order.paid","time":"{at}","x":{}1{},"data":{{"amount":1.25}}}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    vec![
        ("invalid_json", good.as_bytes()[..good.len() - 7].to_vec()),
        ("invalid_json", b"{".to_vec()),
        ("invalid_json", b"<order>12.50</order>".to_vec()),
        ("invalid_json", order("NaN").into_bytes()),
        ("invalid_json", order("Infinity").into_bytes()),
        ("invalid_json", order("01").into_bytes()),
        ("not_an_object", b"[1.25]".to_vec()),
        ("empty", Vec::new()),
        ("too_deep", deep.into_bytes()),
        ("invalid_utf8", not_utf8),
        ("too_large", large),
        ("wrong_type", order("\"NaN\"").into_bytes()),
        ("wrong_type", order("\"twelve\"").into_bytes()),
        ("wrong_type", order("true").into_bytes()),
        ("wrong_type", order("[1.25]").into_bytes()),
        ("wrong_type", order("{\"value\":1.25}").into_bytes()),
        ("out_of_range", order("1e400").into_bytes()),
        ("out_of_range", order("-1e400").into_bytes()),
        ("out_of_range", order("1e19").into_bytes()),
        (
            "out_of_range",
            order(&format!("1{}", "0".repeat(400))).into_bytes(),
        ),
        ("missing_field", replaced("\"amount\":1.25,", "")),
        ("missing_field", order("null").into_bytes()),
        ("missing_time", replaced("\"time\":", "\"tame\":")),
        ("invalid_time", replaced(&at, "yesterday")),
        ("future", replaced(&at, "2099-01-01T00:00:00Z")),
    ]
}

fn catalog(topic: &str) -> String {
    format!(
        r#"
calendar: {{timezone: {zone}}}
sources:
  orders: {{topics: [{topic}], format: cloudevents, time: time, fields: {{type: type, amount: data.amount}}}}
metrics:
  revenue: {{source: orders, agg: sum, expr: amount, filter: type == "order.paid", unit: CNY}}
  orders: {{source: orders, agg: count}}
nodes:
  revenue: {{metric: revenue, role: business, level: strategy, period: day, target: 1000, owner: chain}}
  orders: {{metric: orders, role: kpi, level: tactic, parent: revenue, relation: influence, period: day, target: 1000, weight: 100, owner: sales}}
"#,
        zone = zone_at_noon(),
    )
}
