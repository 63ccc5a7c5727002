//! What changes no verdict: over how many partitions events come, in which order inside a day, what else the catalogue
//! declares, in which order it does, and whether history is read as it came or at once. And what does: events that come later
//! than their source allows.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use jiff::ToSpan;
use jiff::civil::date;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use super::*;
use crate::catalog::load::{Files, load};
use crate::source::watermark::{Allowed, Progress, Watermarks};
use crate::state::Position;

const SOURCES: &str = "
sources:
  s: {topics: [t], format: json, time: t, id: id, dedup: 3d, fields: {k: k, v: v}}
metrics:
  visits: {source: s, agg: sum, expr: v, filter: k == \"visits\"}
  sales: {source: s, agg: sum, expr: v, filter: k == \"sales\"}
  calls: {source: s, agg: sum, expr: v, filter: k == \"calls\"}
  renewals: {source: s, agg: sum, expr: v, filter: k == \"renewals\"}
nodes:
";
const SALES: &str = "  sales: {metric: sales, role: business, period: month, target: 150000}\n";
const VISITS: &str = "  visits: {metric: visits, role: kpi, owner: o, parent: sales, relation: influence, period: month, target: 3000}\n";
const RENEWALS: &str = "  renewals: {metric: renewals, role: business, period: month, target: 60000}\n";
const CALLS: &str = "  calls: {metric: calls, role: kpi, owner: o, parent: renewals, relation: influence, period: month, target: 900}\n";

/// Several events a day for 240 days; sales halve after 180 and visits fall silent for some days before.
fn days() -> Vec<Vec<String>> {
    let first = date(2025, 1, 1);
    let day = |n: i32| {
        let wave = 1.0 + 0.05 * (f64::from(n) / 3.0).sin();
        let sales = if n >= 180 { 2500.0 } else { 5000.0 };
        let mut events = Vec::new();
        for (key, value) in [
            ("visits", 100.0 * wave),
            ("sales", sales * wave),
            ("calls", 30.0 / wave),
            ("renewals", 2000.0),
        ] {
            if key == "visits" && (120..126).contains(&n) {
                continue;
            }
            for part in 0..4 {
                let at = format!("{}T{:02}:30:00Z", first.saturating_add(n.days()), 8 + part * 3);
                let value = value / 4.0;
                events.push(format!(
                    r#"{{"t":"{at}","id":"{key}-{n}-{part}","k":"{key}","v":{value:.2}}}"#
                ));
            }
        }
        events
    };
    (0..240).map(day).collect()
}

/// What is told of visits and sales: of which node, of what kind, from which day to which, and by what numbers.
fn told(nodes: &[&str], partitions: i32, shuffled: Option<u64>) -> Vec<String> {
    let yaml = format!("{SOURCES}{}", nodes.concat());
    let catalog = load(&Files::new("", [("a.yaml", yaml.as_str())]));
    let catalog = Arc::new(catalog.map_err(|d| d.to_string()).unwrap());
    let mut replay = Replay::of_records(catalog, Default::default(), |_| partitions as usize);
    let rng = &mut StdRng::seed_from_u64(shuffled.unwrap_or(1));
    for (n, mut events) in (0i64..).zip(days()) {
        if shuffled.is_some() {
            events.shuffle(rng);
        }
        let day = date(2025, 1, 1).saturating_add(n.days());
        for (minute, event) in events.iter().enumerate() {
            let record = Record {
                topic: "t",
                partition: rng.random_range(0..partitions),
                payload: Some(event.as_bytes()),
                ..Record::default()
            };
            let at = format!("{day}T23:{minute:02}:00Z").parse().unwrap();
            replay.record(SourceId(0), &record, at).unwrap();
        }
    }
    of_visits_and_sales(&replay)
}

fn of_visits_and_sales(replay: &Replay) -> Vec<String> {
    let day = |at: Timestamp| jiff::tz::TimeZone::UTC.to_datetime(at).date();
    let of_them = replay
        .episodes()
        .iter()
        .filter(|episode| ["visits", "sales"].contains(&episode.labels["node"].as_str()));
    let mut told: Vec<String> = of_them
        .map(|episode| {
            format!(
                "{} of {} from {} to {:?}: {:?}",
                episode.kind,
                episode.labels["node"],
                day(episode.raised),
                episode.cleared.map(day),
                episode.facts.link
            )
        })
        .collect();
    told.sort();
    told
}

#[test]
fn partitions_order_inside_a_day_and_other_links_change_no_verdict() {
    let expected = told(&[SALES, VISITS], 1, None);
    let kinds = |kind: &str| expected.iter().filter(|line| line.starts_with(kind)).count();
    assert_eq!(
        (kinds("hollow of visits"), kinds("feed_gap of visits")),
        (1, 1),
        "{expected:#?}"
    );
    for (what, nodes, partitions, shuffled) in [
        ("partitions", &[SALES, VISITS][..], 7, None),
        ("order inside a day", &[SALES, VISITS], 1, Some(3)),
        ("both", &[SALES, VISITS], 3, Some(4)),
        ("another link", &[SALES, VISITS, RENEWALS, CALLS], 1, None),
        ("order of declaration", &[CALLS, RENEWALS, VISITS, SALES], 1, None),
    ] {
        assert_eq!(told(nodes, partitions, shuffled), expected, "{what}");
    }
}

/// An event of a topic, when it came and to which partition.
struct Came {
    at: Timestamp,
    partition: i32,
    event: String,
}

/// The same days in the order in which they came: `delay` says by how many minutes an event is late, of the day and what it is.
fn came(partitions: i32, mut delay: impl FnMut(&mut StdRng, i64, &str) -> i64) -> Vec<Came> {
    let rng = &mut StdRng::seed_from_u64(11);
    let mut all = Vec::new();
    for (n, events) in (0i64..).zip(days()) {
        for event in events {
            let said: serde_json::Value = serde_json::from_str(&event).unwrap();
            let of: Timestamp = said["t"].as_str().unwrap().parse().unwrap();
            let late = delay(rng, n, said["k"].as_str().unwrap());
            all.push(Came {
                at: of + SignedDuration::from_mins(late),
                partition: rng.random_range(0..partitions),
                event,
            });
        }
    }
    all.sort_by_key(|came| came.at);
    all
}

/// How history is read.
enum Read {
    /// As it came: days close by the clock, as in a backtest.
    AsItCame,
    /// So many records of a partition at most before another one is looked at: days close by the watermark, as in a daemon that
    /// begins with what the topics hold.
    InGulps(usize),
}

/// What is told of a history, and what it all comes to in the end.
fn read(lateness: &str, history: &[Came], partitions: i32, how: &Read) -> (Vec<String>, Vec<Option<f64>>) {
    let yaml =
        format!("{SOURCES}{SALES}{VISITS}").replace("dedup: 3d", &format!("dedup: 3d, lateness: {lateness}"));
    let catalog = load(&Files::new("", [("a.yaml", yaml.as_str())]));
    let catalog = Arc::new(catalog.map_err(|d| d.to_string()).unwrap());
    let allows = catalog.sources[0].lateness;
    let mut replay = Replay::of_records(catalog, Default::default(), |_| partitions as usize);
    let record = |came: &'_ Came| (came.partition, came.at.as_millisecond());
    let last = history.last().unwrap().at;
    match how {
        Read::AsItCame => {
            for came in history {
                let record = Record {
                    topic: "t",
                    partition: record(came).0,
                    payload: Some(came.event.as_bytes()),
                    ..Record::default()
                };
                replay.record(SourceId(0), &record, came.at).unwrap();
            }
        }
        Read::InGulps(most) => {
            let mut queues: Vec<VecDeque<&Came>> = (0..partitions).map(|_| VecDeque::new()).collect();
            history
                .iter()
                .for_each(|came| queues[came.partition as usize].push_back(came));
            let began = Instant::now();
            let mut watermarks = Watermarks::default();
            let mut positions: Vec<Position> = (0..partitions)
                .map(|partition| Position {
                    topic: "t".into(),
                    partition,
                    next_offset: 0,
                    newest_event_ms: None,
                })
                .collect();
            for position in &positions {
                watermarks.track(Progress {
                    source: SourceId(0),
                    position: position.clone(),
                    end: None,
                    high_at_start: i64::MAX,
                    pushed: false,
                    moved_at: began,
                });
            }
            let first = replay.catalog.calendar.day_of(history[0].at - allows);
            replay.closed = Some(replay.catalog.calendar.start_of(first) - SignedDuration::from_millis(1));
            let rng = &mut StdRng::seed_from_u64(*most as u64);
            while queues.iter().any(|queue| !queue.is_empty()) {
                let at = rng.random_range(0..queues.len());
                let count = rng.random_range(1..=*most).min(queues[at].len());
                for came in queues[at].drain(..count) {
                    let position = &mut positions[at];
                    let record = Record {
                        topic: "t",
                        partition: came.partition,
                        offset: position.next_offset,
                        timestamp_ms: Some(record(came).1),
                        payload: Some(came.event.as_bytes()),
                        ..Record::default()
                    };
                    let seen = replay.seen[0].as_mut().map(|seen| seen.of("t", came.partition));
                    let account = replay.folder.fold(SourceId(0), &record, Arrival::at(last), seen);
                    position.next_offset += 1;
                    position.newest_event_ms = position.newest_event_ms.max(account.newest_ms);
                }
                watermarks.moved(positions[at].clone(), began);
                let allowed = |_| Allowed {
                    lateness: allows,
                    idle_timeout: Duration::from_secs(3),
                };
                if let Some(watermark) = watermarks.advance(last, began, false, None, allowed) {
                    replay.pass(watermark + allows).unwrap();
                }
            }
        }
    }
    // Of the day of the last arrival, and of none without any.
    let end = last + SignedDuration::from_hours(24);
    let snapshot = replay.snapshot(end).unwrap();
    let values = snapshot.instances.iter().map(|state| state.value).collect();
    (of_visits_and_sales(&replay), values)
}

/// An event that is late by no more than its source allows is read before its day closes, whichever way it is read: in its own
/// partition it stands before everything that moves the watermark past that day, and of later days a close sees nothing.
#[test]
fn history_with_late_events_is_told_the_same_as_it_came_and_at_once() {
    // One event of four is late by up to thirty hours.
    let late = |rng: &mut StdRng, _, _: &str| {
        if rng.random_bool(0.25) {
            rng.random_range(0..1800)
        } else {
            0
        }
    };
    for partitions in [1, 3, 7] {
        let history = came(partitions, late);
        let as_it_came = read("36h", &history, partitions, &Read::AsItCame);
        let kinds = |kind: &str| as_it_came.0.iter().filter(|line| line.starts_with(kind)).count();
        assert_eq!(
            (kinds("hollow of visits"), kinds("feed_gap of visits")),
            (1, 1),
            "{as_it_came:#?}"
        );
        for most in [3, 300, usize::MAX / 2] {
            let found = read("36h", &history, partitions, &Read::InGulps(most));
            assert_eq!(found, as_it_came, "{most} at once of {partitions} partitions");
        }
    }
}

/// What comes later than its source allows is not there when its day closes, and was there all along for who reads later: a
/// daemon that catches up does not tell of a gap that has been filled since. Numbers are the same.
#[test]
fn what_is_later_than_allowed_is_a_gap_as_it_came_and_none_to_who_reads_it_later() {
    // A week of visits comes a week later.
    let late = |_: &mut StdRng, n: i64, of: &str| {
        if of == "visits" && (140..147).contains(&n) {
            7 * 1440
        } else {
            0
        }
    };
    let history = came(3, late);
    let as_it_came = read("2h", &history, 3, &Read::AsItCame);
    let at_once = read("2h", &history, 3, &Read::InGulps(usize::MAX / 2));
    let gaps = |told: &[String]| {
        told.iter()
            .filter(|line| line.starts_with("feed_gap of visits"))
            .count()
    };
    // That of days 120 to 125, of which nothing ever came, is told by both.
    assert_eq!(
        (gaps(&as_it_came.0), gaps(&at_once.0)),
        (2, 1),
        "{as_it_came:#?} {at_once:#?}"
    );
    assert_eq!(as_it_came.1, at_once.1);
}
