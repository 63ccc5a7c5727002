//! A crash at every write. SQLite only ever appends to its log of writes, so what a crash leaves is a beginning of that
//! log: a whole one, or one that ends within a write. For each of them a new start must end with the same notices, ids
//! included, as the run that was never interrupted.

use std::path::Path;

use jiff::Timestamp;

use super::case::{self, Case};
use super::play::play_from;
use crate::notify::outbox::Status;
use crate::state::{LoggedNotice, Store};

/// Bytes of the log before its first frame, and of a frame: its head and a page.
const HEAD: usize = 32;
const FRAME: usize = 24 + 4096;

const CATALOG: &str = "sources:
  orders: {topics: [t], format: json, time: t, id: id, dedup: 1d, fields: {v: v}}
metrics:
  sales: {source: orders, agg: sum, expr: v}
nodes:
  revenue: {metric: sales, role: business, period: month, target: 3000}
  leads:   {metric: sales, role: kpi, parent: revenue, relation: influence, period: month, target: 100, owner: growth}
rules:
  done-but-flat: {on: link, nodes: [leads], when: kpi.completion >= 0.9 && parent.pace < 0.5, for: 6h, keep_firing_for: 6h, severity: warning}
  behind: {on: node, nodes: [revenue], when: node.value < 250.0, for: 0s, severity: critical}
";

const SETTINGS: &str = "kafka: {brokers: b}
receivers:
  ops:  {slack_webhook: {url_file: none}}
  boss: {slack_webhook: {url_file: none}}
routes:
  receiver: ops
  repeat_interval: 12h
  escalate: [{after: 3h, receiver: boss}]
  routes: [{matchers: [severity=\"critical\"], receiver: boss, continue: true, repeat_interval: 8h}, {receiver: ops}]
";

/// Alerts of two rules: one that fires, recovers and fires again, in a silence, taken by somebody, with a receiver that
/// fails now and then; and a restart in the middle.
const TESTS: &str = "catalog: catalog
settings: tautline.yaml
tests:
- name: a story
  start: 2026-06-01T00:00:00Z
  until: 2d12h
  evaluate_every: 6h
  rules: [done-but-flat, behind]
  input_series:
  - {series: 'kpi_completion_ratio{node=\"leads\"}', interval: 6h, values: '0.5 0.95x4 0.2x1 0.95x9'}
  - {series: 'kpi_pace_ratio{node=\"revenue\"}', interval: 6h, values: '0.3x20'}
  input_events: {orders: orders.ndjson}
  restart_at: [1d3h]
  silence: [{matchers: [node=\"leads\"], from: 13h, to: 20h}]
  ack: [{at: 1d1h, alert: behind, by: li, lasts: 6h}]
  inject: [{receiver: boss, at: 1h, answer: 429, retry_after: 20}, {receiver: ops, at: 12h, answer: lost}]
  exp_notices: []
";

/// Several alerts at once at the end of a month: a storm, digests, periods that close, one that was closed wrongly because an
/// event was late, a receiver that fails, a restart, and a rule that a reload takes away.
const CATALOG_OF_MONTH: &str = "sources:
  orders: {topics: [t], format: json, time: t, id: id, dedup: 40d, lateness: 1h, fields: {v: v, shop: shop}}
metrics:
  sales: {source: orders, agg: sum, expr: v, dimensions: [shop]}
nodes:
  shops: {metric: sales, role: business, period: month, each: [shop], target: 100, rules: {target_at_risk: off, behind_pace: off, silent: off}}
";
const RULES_OF_MONTH: &str =
    "rules: {low: {on: node, nodes: [shops], when: node.value < 95.0, for: 0s, severity: warning}}\n";
const SETTINGS_OF_MONTH: &str = "kafka: {brokers: b}
receivers:
  ops:  {slack_webhook: {url_file: none}}
  boss: {slack_webhook: {url_file: none}}
routes: {receiver: ops, group_by: [node, shop], repeat_interval: 1d}
digests: {daily: {cron: \"0 8 * * *\", receiver: boss, jitter: 0s}}
alerts: {storm_max: 2}
";
const TESTS_OF_MONTH: &str = "catalog: catalog
settings: tautline.yaml
tests:
- name: a month ends
  start: 2026-06-30T00:00:00Z
  until: 3d6h
  evaluate_every: 6h
  rules: [low]
  input_events: {orders: orders.ndjson}
  reload: [{at: 3d2h, catalog: other}]
  restart_at: [1d6h]
  inject: [{receiver: ops, at: 2h, answer: 500, times: 2}, {receiver: boss, at: 1d8h, answer: lost}]
  exp_notices: []
";

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn read(folder: &Path) -> Case {
    let mut cases = case::read(&folder.join("tests.yaml"))
        .map_err(|problems| problems.to_string())
        .unwrap();
    cases.remove(0)
}

fn story(folder: &Path) -> Case {
    write(folder, "catalog/catalog.yaml", CATALOG);
    write(folder, "tautline.yaml", SETTINGS);
    write(folder, "tests.yaml", TESTS);
    let events: String = (0..40)
        .map(|n| {
            let (day, hour) = (1 + n / 20, n % 20);
            format!(
                "{{\"t\": \"2026-06-0{day}T{hour:02}:30:00Z\", \"id\": \"o{}\", \"v\": 10}}\n",
                n / 2 * 2
            )
        })
        .collect();
    write(folder, "orders.ndjson", &events);
    read(folder)
}

fn story_of_month(folder: &Path) -> Case {
    write(
        folder,
        "catalog/catalog.yaml",
        &format!("{CATALOG_OF_MONTH}{RULES_OF_MONTH}"),
    );
    write(folder, "other/catalog.yaml", CATALOG_OF_MONTH);
    write(folder, "tautline.yaml", SETTINGS_OF_MONTH);
    write(folder, "tests.yaml", TESTS_OF_MONTH);
    let mut events: Vec<(String, String, u32)> = Vec::new();
    for shop in ["a", "b", "c", "d"] {
        events.push(("2026-06-30T02:00:00Z".to_owned(), shop.to_owned(), 60));
    }
    events.push(("2026-06-30T05:00:00Z".to_owned(), "a".to_owned(), 40));
    events.push(("2026-06-30T09:00:00Z".to_owned(), "e".to_owned(), 1));
    for day in 1..=3 {
        for hour in ["01", "07", "13", "19"] {
            events.push((format!("2026-07-0{day}T{hour}:00:00Z"), "a".to_owned(), 30));
            events.push((format!("2026-07-0{day}T{hour}:10:00Z"), "b".to_owned(), 10));
        }
    }
    let mut lines: Vec<String> = (1..)
        .zip(&events)
        .map(|(n, (at, shop, v))| {
            format!("{{\"t\": \"{at}\", \"id\": \"o{n}\", \"shop\": \"{shop}\", \"v\": {v}}}\n")
        })
        .collect();
    // It comes two days late, and b had met its target after all.
    let late = "{\"t\": \"2026-06-30T20:00:00Z\", \"_arrival\": \"2026-07-02T10:00:00Z\", \"id\": \"late\", \"shop\": \"b\", \"v\": 50}\n";
    lines.push(late.to_owned());
    write(folder, "orders.ndjson", &lines.concat());
    read(folder)
}

/// What must not depend on crashes. Numbers in a message are those of the moment at which it was made again.
fn told(notices: &[LoggedNotice]) -> Vec<String> {
    notices
        .iter()
        .map(|logged| {
            assert!(
                logged.status != Status::Pending,
                "{:?} was left behind",
                logged.notice.id
            );
            let notice = &logged.notice;
            format!(
                "{} {} {} {} {} {:?} {:?}",
                notice.id,
                notice.receiver,
                notice.kind.as_str(),
                notice.severity.as_str(),
                notice.bundle,
                notice.reason,
                notice.told_at.map(Timestamp::as_second)
            )
        })
        .collect()
}

#[test]
fn a_crash_at_any_write_changes_nothing_that_anybody_is_told() {
    let kinds = ["fired", "repeat", "resolved", "acked", "boss", "ops"];
    crash_everywhere(story, &kinds);
}

#[test]
fn a_crash_at_any_write_at_the_end_of_a_month_changes_nothing_either() {
    let kinds = [
        "fired",
        "repeat",
        "resolved",
        "digest",
        "correction",
        "PeriodClosed",
        "RuleDeleted",
    ];
    crash_everywhere(story_of_month, &kinds);
}

/// Whether a frame ends a commit: it says then how many pages the file has (SQLite, "WAL-mode file format").
fn is_commit(frame: &[u8]) -> bool {
    frame[4..8] != [0; 4]
}

/// Plays a story to its end, then again from every point at which a crash may have left the log.
fn crash_everywhere(story: fn(&Path) -> Case, kinds: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let case = story(folder.path());
    let file = folder.path().join("state.db");
    let store = Store::open(&file).unwrap();
    store.keep_every_write().unwrap();
    let wal = folder.path().join("state.db-wal");
    let length = || usize::try_from(std::fs::metadata(&wal).unwrap().len()).unwrap();
    let begin = length();
    let mut moments: Vec<(Timestamp, usize)> = Vec::new();
    let straight = play_from(&case, store.clone(), case.start, |now| {
        moments.push((now, length()))
    })
    .unwrap();
    let straight = told(&straight.notices);
    let (base, log) = (std::fs::read(&file).unwrap(), std::fs::read(&wal).unwrap());
    for kind in kinds {
        assert!(
            straight.iter().any(|line| line.contains(kind)),
            "the story has no {kind}: {straight:#?}"
        );
    }

    // Frames without their commit are as if they had never been written: what differs are the commits.
    let frames = (begin - HEAD) / FRAME..(log.len() - HEAD) / FRAME;
    let commits = frames.filter(|frame| is_commit(&log[HEAD + frame * FRAME..]));
    let ends = (0..).zip(commits.map(|frame| HEAD + (frame + 1) * FRAME));
    let cuts = ends.flat_map(|(n, end)| {
        // Now and then one that breaks off within.
        let torn = (n % 8 == 0).then_some(end - FRAME * 2 / 3);
        torn.into_iter().chain([end])
    });
    let mut crashes = 0;
    for cut in cuts.filter(|cut| *cut < log.len()) {
        crashes += 1;
        let again = tempfile::tempdir().unwrap();
        let file = again.path().join("state.db");
        std::fs::write(&file, &base).unwrap();
        std::fs::write(again.path().join("state.db-wal"), &log[..cut]).unwrap();
        let store = Store::open(&file).unwrap();
        store.keep_every_write().unwrap();
        // Whatever was being written then is begun anew at that moment.
        let at = moments
            .iter()
            .find(|(_, length)| *length > cut)
            .map_or(case.until, |(at, _)| *at);
        let crashed = play_from(&case, store, at, |_| {}).unwrap();
        assert_eq!(
            told(&crashed.notices),
            straight,
            "crash at byte {cut} of the log, at {at}"
        );
    }
    assert!(crashes > 100, "only {crashes} writes");
}
