//! Rules against Prometheus' own: thousands of random series and rules through `promtool test rules` and through
//! `tautline test`, both asked for the same states at every step. What they are asked for comes from a model of a few
//! lines, so that neither can agree with itself.

use std::fmt::Write;
use std::process::Command;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use crate::parts::broker::Broker;
use crate::parts::daemon::{Site, shown};
use crate::parts::events::{Order, level_under};
use crate::parts::produce::Producer;
use crate::parts::{scratch, unique, wait};

const BATCHES: u64 = 20;
/// Cases of one batch, which are one run of each program.
const CASES: usize = 150;
/// Minutes of each case.
const STEPS: usize = 40;
const OPERATORS: [&str; 6] = [">", ">=", "<", "<=", "==", "!="];

/// A rule on a series.
struct Case {
    values: String,
    /// What holds at each step.
    expanded: Vec<Option<f64>>,
    operator: &'static str,
    threshold: f64,
    hold_for: usize,
    keep_firing_for: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Inactive,
    Pending,
    Firing,
    Recovering,
}

#[test]
fn a_rule_that_cannot_be_evaluated_says_so_and_why() {
    let broker = Broker::shared();
    let topic = unique("levels");
    broker.create_topic(&topic, 1);
    let catalog = level_under(
        &topic,
        "
  broken: {on: node, nodes: [level], when: double(node.owner) > 1.0, for: 0s, severity: warning}
  whole: {on: node, nodes: [level], when: node.value >= 100.0, for: 0s, severity: warning}
",
    );
    let site = Site::new(broker).declares(&catalog);
    let daemon = site.start();
    daemon.wait_until_ready();
    let mut producer = Producer::new(broker, &topic);
    producer.send(0, Order::paid("o", "150").structured());
    producer.flush();
    let rules = wait::until("the rule fails", Duration::from_secs(60), || {
        let rules = daemon
            .get("/api/v1/rules?rule_name[]=broken&rule_name[]=whole")
            .json();
        let rules = rules["data"]["groups"][0]["rules"].clone();
        (rules[0]["health"] == "err").then_some(rules)
    });
    let error = rules[0]["lastError"].as_str().unwrap();
    assert!(
        error.starts_with("level: ") && error.contains("invalid float"),
        "{error}"
    );
    assert_eq!(
        (rules[1]["health"].as_str(), rules[1]["lastError"].as_str()),
        (Some("ok"), Some(""))
    );
    daemon.stop();
}

#[test]
fn rules_fire_when_those_of_prometheus_do() {
    let folder = scratch("rules");
    let at = |name: &str| folder.path().join(name);
    let mut steps_in_each = [0usize; 4];
    for seed in 0..BATCHES {
        let mut rng = StdRng::seed_from_u64(seed);
        let cases: Vec<Case> = (0..CASES).map(|_| case(&mut rng)).collect();
        let states: Vec<Vec<State>> = cases.iter().map(model).collect();
        for state in states.iter().flatten() {
            steps_in_each[*state as usize] += 1;
        }
        std::fs::write(at("rules.yml"), prometheus_rules(&cases)).unwrap();
        std::fs::write(at("theirs.yml"), prometheus_tests(&cases, &states)).unwrap();
        std::fs::create_dir_all(at("catalog")).unwrap();
        std::fs::write(at("catalog/catalog.yaml"), catalog(&cases)).unwrap();
        std::fs::write(at("ours.yaml"), our_tests(&cases, &states)).unwrap();
        let theirs = Command::new("promtool")
            .args(["test", "rules"])
            .arg(at("theirs.yml"))
            .output()
            .unwrap();
        assert!(
            theirs.status.success(),
            "promtool, seed {seed}: {}",
            shown(&theirs)
        );
        let ours = Command::new(env!("CARGO_BIN_EXE_tautline"))
            .arg("test")
            .arg(at("ours.yaml"))
            .output()
            .unwrap();
        assert!(ours.status.success(), "tautline, seed {seed}: {}", shown(&ours));
    }
    assert!(
        steps_in_each.iter().all(|steps| *steps > 5_000),
        "the cases say too little: {steps_in_each:?}"
    );
}

/// Prometheus' alerting rule: pending until it has held for `for`, firing until it has not held for `keep_firing_for`.
fn model(case: &Case) -> Vec<State> {
    let (mut state, mut since) = (State::Inactive, 0);
    let step = |(now, value): (usize, &Option<f64>)| {
        let holds = value.is_some_and(|value| case.holds(value));
        if matches!(state, State::Inactive) && holds {
            (state, since) = (State::Pending, now);
        }
        state = match (state, holds) {
            (State::Pending, true) if now - since >= case.hold_for => State::Firing,
            (State::Pending, false) => State::Inactive,
            (State::Recovering, true) => State::Firing,
            (State::Firing, false) => {
                since = now;
                State::Recovering
            }
            (state, _) => state,
        };
        if state == State::Recovering && now - since >= case.keep_firing_for {
            state = State::Inactive;
        }
        state
    };
    case.expanded.iter().enumerate().map(step).collect()
}

impl Case {
    fn holds(&self, value: f64) -> bool {
        match self.operator {
            ">" => value > self.threshold,
            ">=" => value >= self.threshold,
            "<" => value < self.threshold,
            "<=" => value <= self.threshold,
            "==" => value == self.threshold,
            _ => value != self.threshold,
        }
    }
}

fn case(rng: &mut StdRng) -> Case {
    let (mut words, mut expanded): (Vec<String>, Vec<Option<f64>>) = (Vec::new(), Vec::new());
    let mut gap = 0;
    while expanded.len() < STEPS {
        let value = f64::from(rng.random_range(0..5)) / 2.0;
        let times = rng.random_range(0..4);
        let last = expanded.last().copied().flatten();
        match rng.random_range(0..8) {
            0 => {
                words.push("stale".to_owned());
                expanded.push(None);
            }
            // Prometheus looks back five minutes at most.
            1 if gap == 0 => {
                gap = 3;
                words.push(format!("_x{times}"));
                expanded.extend((0..times).map(|_| last));
                continue;
            }
            2 => {
                words.push(format!("{value}x{times}"));
                expanded.extend((0..=times).map(|_| Some(value)));
            }
            3 => {
                words.push(format!("{value}+0.5x{times}"));
                expanded.extend((0..=times).map(|n| Some(value + 0.5 * f64::from(n))));
            }
            4 => {
                words.push(format!("{value}-0.5x{times}"));
                expanded.extend((0..=times).map(|n| Some(value - 0.5 * f64::from(n))));
            }
            _ => {
                words.push(value.to_string());
                expanded.push(Some(value));
            }
        }
        gap = 0;
    }
    expanded.truncate(STEPS);
    Case {
        values: words.join(" "),
        expanded,
        operator: OPERATORS.choose(rng).unwrap(),
        threshold: f64::from(rng.random_range(0..5)) / 2.0,
        hold_for: *[0, 0, 1, 2, 3, 5].choose(rng).unwrap(),
        keep_firing_for: *[0, 0, 1, 2, 4].choose(rng).unwrap(),
    }
}

fn prometheus_rules(cases: &[Case]) -> String {
    let mut text = String::from("groups:\n- name: all\n  interval: 1m\n  rules:\n");
    for (n, case) in cases.iter().enumerate() {
        let Case {
            operator,
            threshold,
            hold_for,
            keep_firing_for,
            ..
        } = case;
        writeln!(
            text,
            "  - {{alert: a{n}, expr: 's{n} {operator} {threshold}', for: {hold_for}m, keep_firing_for: {keep_firing_for}m}}"
        )
        .unwrap();
    }
    text
}

fn prometheus_tests(cases: &[Case], states: &[Vec<State>]) -> String {
    let mut text = String::from(
        "rule_files: [rules.yml]\nevaluation_interval: 1m\ntests:\n- interval: 1m\n  input_series:\n",
    );
    for (n, case) in cases.iter().enumerate() {
        writeln!(text, "  - {{series: 's{n}', values: '{}'}}", case.values).unwrap();
    }
    text.push_str("  alert_rule_test:\n");
    for (n, states) in states.iter().enumerate() {
        for (minute, state) in states.iter().enumerate() {
            let fires = matches!(state, State::Firing | State::Recovering);
            let expected = if fires { "{exp_labels: {}}" } else { "" };
            writeln!(
                text,
                "  - {{eval_time: {minute}m, alertname: a{n}, exp_alerts: [{expected}]}}"
            )
            .unwrap();
        }
    }
    text
}

fn catalog(cases: &[Case]) -> String {
    let mut text = String::from(
        "sources: {s: {topics: [t], format: json, time: t, fields: {}}}\nmetrics: {m: {source: s, agg: count}}\nnodes:\n",
    );
    for n in 0..cases.len() {
        writeln!(
            text,
            "  n{n}: {{metric: m, role: business, period: month, target: 1}}"
        )
        .unwrap();
    }
    text.push_str("rules:\n");
    for (n, case) in cases.iter().enumerate() {
        let Case {
            operator,
            threshold,
            hold_for,
            keep_firing_for,
            ..
        } = case;
        writeln!(
            text,
            "  a{n}: {{on: node, nodes: [n{n}], when: 'node.pace {operator} {threshold:?}', for: {hold_for}m, keep_firing_for: {keep_firing_for}m, on_missing: resolve, severity: warning}}"
        )
        .unwrap();
    }
    text
}

fn our_tests(cases: &[Case], states: &[Vec<State>]) -> String {
    let names: Vec<String> = (0..cases.len()).map(|n| format!("a{n}")).collect();
    let mut text = format!(
        "catalog: catalog\ntests:\n- name: as Prometheus\n  start: 2026-06-03T00:00:00Z\n  evaluate_every: 1m\n  rules: [{}]\n  input_series:\n",
        names.join(", ")
    );
    for (n, case) in cases.iter().enumerate() {
        writeln!(
            text,
            "  - {{series: 'kpi_pace_ratio{{node=\"n{n}\"}}', interval: 1m, values: '{}'}}",
            case.values
        )
        .unwrap();
    }
    text.push_str("  exp_states:\n");
    for (n, states) in states.iter().enumerate() {
        for (minute, state) in states.iter().enumerate() {
            let state = match state {
                State::Inactive => "inactive",
                State::Pending => "pending",
                State::Firing => "firing",
                State::Recovering => "recovering",
            };
            writeln!(text, "  - {{at: {minute}m, alert: a{n}, state: {state}}}").unwrap();
        }
    }
    text
}
