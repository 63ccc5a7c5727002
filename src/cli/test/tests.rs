use super::*;
use crate::daemon::replay::weights_tests;

const CATALOG: &str = "calendar: {timezone: Asia/Shanghai}
sources:
  orders: {topics: [t], format: json, time: t, fields: {v: v}}
metrics:
  sales: {source: orders, agg: sum, expr: v}
nodes:
  revenue: {metric: sales, role: business, period: month, target: 3100, rules: {target_at_risk: off}}
  leads:   {metric: sales, role: kpi, parent: revenue, relation: influence, period: month, target: 100, owner: growth}
rules:
  done-but-flat: {on: link, nodes: [leads], when: kpi.completion >= 0.9 && parent.pace < 0.5, for: 2d, keep_firing_for: 1d, severity: critical}
";

/// What the tests of a file say, or what is wrong with it.
fn said(tests: &str) -> String {
    said_of(tests, &[])
}

fn said_of(tests: &str, more: &[(&str, &str)]) -> String {
    said_with(CATALOG, tests, more)
}

fn said_with(catalog: &str, tests: &str, more: &[(&str, &str)]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    };
    write("catalog/catalog.yaml", catalog);
    write("tests.yaml", tests);
    more.iter().for_each(|(name, text)| write(name, text));
    let text = match verdicts_of(&folder.path().join("tests.yaml"), None) {
        Ok(verdicts) => verdicts.iter().map(verdict::text).collect(),
        Err(message) => message,
    };
    text.replace(&format!("{}/", folder.path().display()), "")
}

/// One test over July: leads come to 4 % a day, revenue stays at 0.3 of its pace.
fn july(rest: &str) -> String {
    format!(
        "catalog: catalog
tests:
- name: done but flat
  start: 2026-07-01T00:00:00+08:00
  rules: [done-but-flat]
  input_series:
  - {{series: 'kpi_completion_ratio{{node=\"leads\"}}', interval: 1d, values: '0+0.04x30'}}
  - {{series: 'kpi_pace_ratio{{node=\"revenue\"}}', interval: 1d, values: '0.3x30'}}
{rest}"
    )
}

#[test]
fn the_example_of_the_specification_passes() {
    assert_eq!(
        said(&july(
            "  restart_at: [12d]
  silence: [{matchers: [node=\"leads\"], from: 26d, to: 27d}]
  inject: [{receiver: ops, at: 25d, answer: 429, retry_after: 30}]
  exp_states:  [{at: 10d, alert: done-but-flat, state: inactive}, {at: 24d, alert: done-but-flat, state: pending}, {at: 25d, alert: done-but-flat, state: firing}]
  exp_notices: [{receiver: ops, kind: fired, between: [25d, 26d]}]
"
        )),
        "ok   done but flat (tests.yaml:3:3)\n"
    );
}

#[test]
fn a_difference_is_shown_line_by_line() {
    insta::assert_snapshot!(said(&july(
        "  exp_states:
  - {at: 24d, alert: done-but-flat, state: firing, severity: critical}
  - {at: 25d, alert: done-but-flat, state: inactive}
  exp_notices:
  - {receiver: ops, kind: fired, between: [24d, 24d12h]}
  - {receiver: ops, kind: repeat, between: [26d, 27d]}
  - {receiver: ops, kind: resolved, between: [27d, 28d]}
"
    )));
}

#[test]
fn what_keeps_somebody_from_being_told_is_in_the_difference() {
    insta::assert_snapshot!(said(&july(
        "  silence: [{matchers: [node=\"leads\"], from: 24d, to: 28d, created_by: li}]
  exp_notices: [{receiver: ops, kind: fired, between: [25d, 26d]}]
"
    )));
}

/// Also by rules on nodes, which say nothing of what the node serves.
#[test]
fn the_owner_of_what_a_kpi_serves_hears_of_the_kpi_alone() {
    let catalog = CATALOG
        .replace("target: 3100, rules", "target: 3100, owner: cfo, rules")
        .replace(
            "{on: link, nodes: [leads], when: kpi.completion >= 0.9 && parent.pace < 0.5, for: 2d",
            "{on: node, nodes: [leads], when: node.completion >= 0.9, for: 2d",
        );
    let settings = "kafka: {brokers: b}
receivers: {ops: {slack_webhook: {url_file: none}}, boss: {slack_webhook: {url_file: none}}}
people: {cfo: {receiver: boss}}
routes: {receiver: ops, to: parent_owner}
";
    let tests =
        july("  until: 25d12h\n  exp_notices: [{receiver: boss, kind: fired, between: [25d, 26d]}]\n")
            .replace(
                "catalog: catalog\n",
                "catalog: catalog\nsettings: tautline.yaml\n",
            );
    let said = said_with(&catalog, &tests, &[("tautline.yaml", settings)]);
    assert_eq!(said, "ok   done but flat (tests.yaml:4:3)\n");
}

#[test]
fn what_a_receiver_refuses_is_not_told() {
    let answers = |inject: &str, expected: &str| {
        said(&july(&format!(
            "  inject: [{inject}]\n  exp_notices: [{expected}]\n  until: 25d12h\n"
        )))
    };
    let passed = "ok   done but flat (tests.yaml:3:3)\n";
    // Two attempts, two and five seconds apart.
    assert_eq!(
        answers(
            "{receiver: ops, at: 0d, answer: 500, times: 2}",
            "{receiver: ops, kind: fired, between: [25d7s, 25d8s]}"
        ),
        passed
    );
    // Refused as blocks, then as plain text.
    assert_eq!(
        answers(
            "{receiver: ops, at: 0d, answer: 400, times: 2}",
            "{receiver: ops, kind: fired, outcome: dead, between: [25d, 25d1s]}"
        ),
        passed
    );
    assert_eq!(
        answers(
            "{receiver: ops, at: 0d, answer: 410}",
            "{receiver: ops, kind: fired, outcome: dead, between: [25d, 25d1s]}"
        ),
        passed
    );
    // Whoever may have seen it is told once more, with the same id.
    assert_eq!(
        answers(
            "{receiver: ops, at: 0d, answer: lost}",
            "{receiver: ops, kind: fired, between: [25d2s, 25d3s]}"
        ),
        passed
    );
}

#[test]
fn an_acknowledgement_stops_repeats_and_nobody_can_take_what_does_not_fire() {
    let passes = july(
        "  ack: [{at: 25d1h, alert: done-but-flat, by: li, lasts: 2d}]
  until: 28d
  exp_notices:
  - {receiver: ops, kind: fired, between: [25d, 25d1s]}
  - {receiver: ops, kind: acked, between: [25d1h, 25d1h1s]}
  - {receiver: ops, kind: repeat, between: [27d9h, 27d9h1s]}
",
    );
    assert_eq!(said(&passes), "ok   done but flat (tests.yaml:3:3)\n");
    let fails = july("  ack: [{at: 3d, alert: done-but-flat}]\n  exp_notices: []\n");
    let said = said(&fails);
    assert!(
        said.contains("nobody can acknowledge done-but-flat: it does not fire"),
        "{said}"
    );
}

#[test]
fn a_rule_that_is_gone_after_a_reload_is_over() {
    let without = CATALOG.split("rules:\n  done-but-flat").next().unwrap();
    let tests = july(
        "  reload: [{at: 25d12h, catalog: without}]
  exp_notices:
  - {receiver: ops, kind: fired, between: [25d, 25d1s]}
  - {receiver: ops, kind: resolved, between: [25d12h, 25d12h10s]}
",
    );
    assert_eq!(
        said_of(&tests, &[("without/catalog.yaml", without)]),
        "ok   done but flat (tests.yaml:3:3)\n"
    );
}

#[test]
fn routes_come_from_the_settings_and_need_no_secrets() {
    let settings = "kafka: {brokers: b}
receivers:
  ops:  {slack_webhook: {url_file: /run/secrets/there_is_none}}
  boss: {slack_webhook: {url_file: /run/secrets/there_is_none}}
routes: {receiver: ops, routes: [{matchers: [severity=\"critical\"], receiver: boss, group_wait: 0s}]}
";
    let tests =
        july("  exp_notices: [{receiver: boss, kind: fired, alert: done-but-flat, between: [25d, 25d]}]\n")
            .replace(
                "catalog: catalog\n",
                "catalog: catalog\nsettings: tautline.yaml\n",
            );
    assert_eq!(
        said_of(&tests, &[("tautline.yaml", settings)]),
        "ok   done but flat (tests.yaml:4:3)\n"
    );
}

/// What the daemon would refuse is refused here.
#[test]
fn routes_of_a_severity_that_there_is_not_are_refused() {
    let settings = "receivers: {ops: {slack_webhook: {url_file: /run/secrets/there_is_none}}}
routes:
  receiver: ops
  routes:
  - {matchers: [severity=\"critcal\"], receiver: ops}
";
    let tests = july("  exp_notices: []\n").replace(
        "catalog: catalog\n",
        "catalog: catalog\nsettings: tautline.yaml\n",
    );
    assert_eq!(
        said_of(&tests, &[("tautline.yaml", settings)]),
        "tautline.yaml:5:5: severity=\"critcal\": the catalogue has no severity 'critcal'; did you mean 'critical'?"
    );
}

/// 100 a day on plan, and nothing from the fourth day on; each event arrives a minute after it happened.
#[test]
fn events_are_folded_as_the_daemon_folds_them() {
    let events: String = (0..3)
        .map(|day| {
            format!(
                "{{\"t\": \"2026-07-0{}T10:00:00+08:00\", \"v\": 100, \"_arrival\": \"2026-07-0{}T10:01:00+08:00\"}}\n",
                day + 1,
                day + 1
            )
        })
        .collect();
    let tests = "catalog: catalog
tests:
- name: sales stop
  start: 2026-07-01T00:00:00+08:00
  rules: [behind_pace]
  input_events: {orders: orders.ndjson}
  restart_at: [2d, 11d]
  until: 14d
  exp_states:
  - {at: 9d, alert: behind_pace, node: revenue, state: inactive}
  - {at: 11d, alert: behind_pace, node: revenue, state: pending}
  - {at: 13d, alert: behind_pace, node: revenue, state: firing}
";
    let said = said_of(tests, &[("orders.ndjson", &events)]);
    assert_eq!(said, "ok   sales stop (tests.yaml:3:3)\n");
}

#[test]
fn what_appears_is_left_alone_for_a_while_also_over_a_restart() {
    let catalog = "calendar: {timezone: Asia/Shanghai}
sources:
  orders: {topics: [t], format: json, time: t, fields: {v: v, region: region}}
metrics:
  sales: {source: orders, agg: sum, expr: v, dimensions: [region]}
nodes:
  regions: {metric: sales, role: business, each: [region], period: month, new_group_delay: 3d}
rules:
  low:   {on: node, when: node.value < 1000.0}
  empty: {on: node, when: node.value < 1000.0, new_group_delay: 0s}
";
    let events = "{\"t\": \"2026-07-01T09:00:00+08:00\", \"v\": 1, \"region\": \"east\"}
{\"t\": \"2026-07-10T15:00:00+08:00\", \"v\": 1, \"region\": \"west\"}
{\"t\": \"2026-07-12T15:00:00+08:00\", \"v\": 1, \"region\": \"west\"}
";
    // The first day does not count: three days later it is the 14th.
    let tests = "catalog: catalog
tests:
- name: a region opens
  start: 2026-07-01T00:00:00+08:00
  rules: [low, empty]
  input_events: {orders: orders.ndjson}
  restart_at: [5d, 11d, 12d20h]
  until: 14d
  exp_states:
  - {at: 1d, alert: empty, labels: {region: east}, state: firing}
  - {at: 3d23h, alert: low, labels: {region: east}, state: inactive}
  - {at: 4d1h, alert: low, labels: {region: east}, state: firing}
  - {at: 10d, alert: empty, labels: {region: west}, state: firing}
  - {at: 12d23h, alert: low, labels: {region: west}, state: inactive}
  - {at: 12d23h, alert: low, labels: {region: east}, state: firing}
  - {at: 13d1h, alert: low, labels: {region: west}, state: firing}
";
    let said = said_with(catalog, tests, &[("orders.ndjson", events)]);
    assert_eq!(said, "ok   a region opens (tests.yaml:3:3)\n");
}

#[test]
fn a_source_is_stale_to_the_minute_and_what_is_computed_from_it_waits() {
    let catalog = "calendar: {timezone: Asia/Shanghai}
sources:
  orders: {topics: [t], format: json, time: t, expected_interval: 1h, stale_after: 150m, fields: {v: v}}
metrics:
  sales: {source: orders, agg: sum, expr: v}
nodes:
  sales: {metric: sales, role: business, period: day}
rules:
  # True once half of the day is over: of a day that brings nothing since ten.
  slow: {on: node, when: node.elapsed >= 0.5 && node.value < 10.0}
";
    let events = "{\"t\": \"2026-07-01T09:00:00+08:00\", \"v\": 1}
{\"t\": \"2026-07-01T10:05:00+08:00\", \"v\": 1}
{\"t\": \"2026-07-01T15:00:00+08:00\", \"v\": 1}
";
    let tests = "catalog: catalog
tests:
- name: orders stop
  start: 2026-07-01T08:00:00+08:00
  rules: [stale, slow]
  input_events: {orders: orders.ndjson}
  restart_at: [3h, 5h]
  until: 8h
  exp_states:
  - {at: 4h34m, alert: stale, labels: {source: orders}, state: inactive}
  - {at: 4h35m, alert: stale, labels: {source: orders}, state: firing}
  - {at: 4h35m, alert: slow, node: sales, state: firing}
  - {at: 6h59m, alert: stale, labels: {source: orders}, state: firing}
  - {at: 7h, alert: stale, labels: {source: orders}, state: inactive}
";
    let said = said_with(catalog, tests, &[("orders.ndjson", events)]);
    assert_eq!(said, "ok   orders stop (tests.yaml:3:3)\n");
}

#[test]
fn mistakes_are_told_with_their_place() {
    for (find, replace, expected) in [
        (
            "exp_states",
            "exp_state",
            "tests.yaml:9:3: unknown key 'exp_state'; did you mean 'exp_states'?",
        ),
        (
            "alert: done-but-flat",
            "alert: done-but-flt",
            "tests.yaml:9:33: no rule 'done-but-flt' in the catalogue; did you mean 'done-but-flat'?",
        ),
        (
            "{at: 10d,",
            "{at: ten,",
            "tests.yaml:9:21: 'ten' is no moment of the test; write the time since its start, such as 25d or 1d12h",
        ),
        (
            "state: inactive",
            "state: idle",
            "tests.yaml:9:55: 'idle' is not one of inactive, pending, firing, recovering",
        ),
        (
            "state: inactive",
            "state: inactive, severity: critcal",
            "tests.yaml:9:75: no severity 'critcal' in the catalogue; did you mean 'critical'?",
        ),
        (
            "kpi_completion_ratio",
            "kpi_completion",
            "tests.yaml:7:14: there is no series 'kpi_completion'; did you mean 'kpi_completion_ratio'?",
        ),
        (
            "node=\"leads\"",
            "node=\"lead\"",
            "tests.yaml:7:14: no node 'lead' in the catalogue; did you mean 'leads'?",
        ),
        (
            "node=\"leads\"",
            "node=\"leads\", region=\"east\"",
            "tests.yaml:7:14: node 'leads' has no label 'region'; it is named by node",
        ),
        (
            "0+0.04x30",
            "0+0.04y30",
            "tests.yaml:7:74: '0+0.04y30' is no value of a series; write 3, 0+0.04x30, 5-1x4, 1x5, _, _x3 or stale",
        ),
        (
            "start: 2026-07-01T00:00:00+08:00",
            "start: July",
            "tests.yaml:4:10: 'July' is no instant; write start: 2026-07-01T00:00:00+08:00",
        ),
        (
            "rules: [done-but-flat]",
            "rules: [hollw]",
            "tests.yaml:5:11: no rule 'hollw' in the catalogue; did you mean 'hollow'?",
        ),
        (
            "catalog: catalog",
            "settings: x",
            "tests.yaml:1:1: the key 'catalog' is missing; write the folder of the catalogue, such as catalog: ../catalog",
        ),
        (
            "  exp_states: [{at: 10d, alert: done-but-flat, state: inactive}]",
            "  exp_notices: [{receiver: pager, kind: fired, between: [1d, 2d]}]",
            "tests.yaml:9:28: there is no receiver 'pager'; known are ops",
        ),
        (
            "  exp_states: [{at: 10d, alert: done-but-flat, state: inactive}]",
            "  exp_notices: [{receiver: ops, kind: fired, between: [1d]}]",
            "tests.yaml:9:55: write the first moment and the last, such as between: [25d, 26d]",
        ),
        (
            "  exp_states: [{at: 10d, alert: done-but-flat, state: inactive}]",
            "  until: 1d",
            "tests.yaml:4:10: nothing is expected, so nothing can fail; write exp_states or exp_notices",
        ),
    ] {
        let good = july("  exp_states: [{at: 10d, alert: done-but-flat, state: inactive}]\n");
        assert!(good.contains(find), "{find}");
        let found = said(&good.replacen(find, replace, 1));
        assert_eq!(found.lines().next(), Some(expected));
    }
}

#[test]
fn the_schema_takes_the_example_and_refuses_a_slip() {
    let schema = jsonschema::validator_for(&schema()).unwrap();
    let example = include_str!("../../../config/tests/done-but-flat.yaml");
    let example: serde_json::Value = crate::catalog::yaml::read(&"example".into(), example).unwrap();
    let errors: Vec<String> = schema
        .iter_errors(&example)
        .map(|error| error.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:?}");
    let slip: serde_json::Value =
        serde_json::json!({"catalog": "c", "tests": [{"name": "n", "start": "s", "exp_state": []}]});
    assert!(!schema.is_valid(&slip));
}

const STORES: &str = "calendar: {timezone: Asia/Shanghai}
sources:
  orders: {topics: [t], format: json, time: t, fields: {v: v, store: store}}
metrics:
  sales:  {source: orders, agg: sum, expr: v, dimensions: [store]}
  visits: {source: orders, agg: count, dimensions: [store]}
nodes:
  revenue: {metric: sales, role: business, each: [store], period: month, owner: ops}
  visits:  {metric: visits, role: kpi, each: [store], parent: revenue, relation: influence, period: month, owner: growth}
";

#[test]
fn forty_stores_that_fall_together_are_one_alert_and_come_back_one_by_one() {
    let mut series = String::new();
    for store in 1..=40 {
        let label = format!("store=\"s{store:02}\"");
        // Thirty fall, one of them for good; the first is sure a day before the others, which lean by then.
        let evidence = match store {
            1 => "0x1 0.5 1.1x3 0x9",
            2 => "0x1 0.4x1 1.2x18",
            3..=30 => "0x1 0.4x1 1.2x2 0x9",
            _ => "0x20",
        };
        for (series_of, values) in [
            (format!("kpi_value{{node=\"revenue\", {label}}}"), "100x20"),
            (
                format!("drift_score{{kind=\"hollow\", node=\"visits\", {label}}}"),
                evidence,
            ),
            (
                format!("link_parent_gap_ratio{{node=\"visits\", {label}}}"),
                "-0.15x20",
            ),
            (format!("kpi_value{{node=\"visits\", {label}}}"), "100x20"),
        ] {
            series += &format!("  - {{series: '{series_of}', interval: 1d, values: '{values}'}}\n");
        }
    }
    let tests = format!(
        "catalog: catalog
tests:
- name: forty stores
  start: 2026-07-01T00:00:00+08:00
  until: 7d12h
  restart_at: [6d]
  input_series:
{series}  exp_states:
  - {{at: 5d, alert: shared_drift, state: firing, severity: warning}}
  - {{at: 5d, alert: hollow, labels: {{store: s07}}, state: firing}}
  exp_notices:
  - {{receiver: ops, kind: fired, alert: shared_drift, node: revenue, between: [3d, 4d]}}
  - {{receiver: ops, kind: repeat, alert: shared_drift, between: [5d9h, 5d10h]}}
  - {{receiver: ops, kind: repeat, alert: shared_drift, between: [6d9h, 6d10h]}}
  - {{receiver: ops, kind: resolved, alert: shared_drift, node: revenue, between: [7d, 7d12h]}}
  - {{receiver: ops, kind: fired, alert: hollow, labels: {{store: s02}}, between: [7d, 7d12h]}}
"
    );
    assert_eq!(
        said_with(STORES, &tests, &[]),
        "ok   forty stores (tests.yaml:3:3)\n"
    );
    // Why the stores are not told is written down with each of them.
    let wrong = tests.replace("between: [3d, 4d]", "between: [2d, 3d]");
    let difference = said_with(STORES, &wrong, &[]);
    assert!(
        difference.contains("ops is not told: explained by shared_drift revenue"),
        "{difference}"
    );
}

#[test]
fn a_month_with_restarts_a_silence_and_a_receiver_that_fails() {
    let story = "catalog: catalog
tests:
- name: a month
  start: 2026-07-01T00:00:00+08:00
  until: 30d
  rules: [done-but-flat]
  input_series:
  - {series: 'kpi_completion_ratio{node=\"leads\"}', interval: 1d, values: '0+0.04x30'}
  - {series: 'kpi_pace_ratio{node=\"revenue\"}', interval: 1d, values: '0.3x26 0.8x3'}
  restart_at: [12d, 24d12h, 25d1h, 27d6h, 28d12h]
  silence: [{matchers: [node=\"leads\"], from: 27d12h, to: 29d}]
  inject:
  - {receiver: ops, at: 25d, answer: 503, until: 25d2h}
  - {receiver: ops, at: 28d, answer: 429, retry_after: 30}
  exp_states:
  - {at: 10d, alert: done-but-flat, state: inactive}
  - {at: 24d, alert: done-but-flat, state: pending}
  - {at: 26d, alert: done-but-flat, state: firing, severity: critical}
  - {at: 27d12h, alert: done-but-flat, state: recovering}
  - {at: 29d, alert: done-but-flat, state: inactive}
  exp_notices:
  - {receiver: ops, kind: fired, between: [25d2h, 25d2h11m]}
  - {receiver: ops, kind: repeat, between: [26d9h, 26d9h1s]}
  - {receiver: ops, kind: resolved, between: [28d30s, 28d1m]}
";
    assert_eq!(said(story), "ok   a month (tests.yaml:3:3)\n");
}

#[test]
fn a_rule_that_cannot_be_evaluated_is_an_alert_of_its_own() {
    let catalog = CATALOG.replace(
        "rules:\n",
        "rules:\n  broken: {on: node, nodes: [leads], when: double(node.owner) > 1.0, for: 0s, severity: warning}\n",
    );
    let story = "catalog: catalog
tests:
- name: broken
  start: 2026-07-01T00:00:00+08:00
  until: 3h
  rules: [broken]
  input_series: [{series: 'kpi_completion_ratio{node=\"leads\"}', interval: 1h, values: '0.1x3'}]
  exp_notices: [{receiver: ops, kind: fired, alert: rule_error, node: leads, between: [15m, 30m]}]
";
    assert_eq!(said_with(&catalog, story, &[]), "ok   broken (tests.yaml:3:3)\n");
}

/// Fifteen months to the end of a quarter: its close proposes weights, which wait. Nobody is told of them twice, whatever
/// restarts come between.
#[test]
fn weights_that_wait_are_told_once_over_restarts() {
    let tests = "catalog: catalog
tests:
- name: proposals
  start: 2025-04-01T00:00:00+08:00
  rules: [unreconciled]
  evaluate_every: 1d
  input_events: {shop: shop.ndjson}
  restart_at: [456d, 457d, 460d]
  until: 480d
  exp_notices:
  - {receiver: ops, kind: proposal, node: revenue, between: [183d, 184d]}
  - {receiver: ops, kind: proposal, node: revenue, between: [275d, 276d]}
  - {receiver: ops, kind: proposal, node: revenue, between: [365d, 366d]}
  - {receiver: ops, kind: proposal, node: revenue, between: [456d, 457d]}
";
    let said = said_with(
        weights_tests::CATALOG,
        tests,
        &[("shop.ndjson", &weights_tests::events())],
    );
    assert_eq!(said, "ok   proposals (tests.yaml:3:3)\n");
}

#[test]
fn a_month_takes_as_many_looks_as_it_has_moments() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    std::fs::create_dir_all(folder.path().join("catalog")).unwrap();
    write("catalog/catalog.yaml", CATALOG);
    write(
        "tests.yaml",
        &july("  until: 30d\n  evaluate_every: 1d\n  exp_notices: []\n"),
    );
    let cases = case::read(&folder.path().join("tests.yaml")).map_err(|problems| problems.to_string());
    let case = &cases.unwrap()[0];
    let store = crate::state::Store::in_memory().unwrap();
    let mut looks = 0;
    play::play_from(case, store, case.start, |_| looks += 1).unwrap();
    // One a day, and what becomes due between them: no look a second, which would be millions.
    assert!((30..200).contains(&looks), "{looks}");
}
