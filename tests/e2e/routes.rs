//! The routing tree against Alertmanager's own: random trees are written once, read by both, and lead to the same receivers.

use std::fmt::Write;
use std::process::Command;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use tautline::alert::dispatch::matcher::Matcher;
use tautline::alert::dispatch::route::{Route, To};
use tautline::alert::record::Labels;

use crate::parts::scratch;

/// Trees, each asked with several sets of labels.
const TREES: u64 = 60;
const ASKED: usize = 4;
const NAMES: [&str; 3] = ["team", "region", "severity"];
const VALUES: [&str; 4] = ["a", "b", "ab", "营收"];

#[test]
fn a_route_leads_where_alertmanager_s_leads() {
    let folder = scratch("routes");
    let file = folder.path().join("alertmanager.yml");
    let settings = folder.path().join("tautline.yaml");
    let mut several = 0;
    for seed in 0..TREES {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut receivers = Vec::new();
        let mut root = tree(&mut rng, "0".to_owned(), 3, &mut receivers);
        root.matchers.clear();
        let mut tree = String::new();
        write_route(&mut tree, &root, 1);
        let mut text = String::from("receivers:\n");
        let mut ours = String::from("kafka: {brokers: b}\nreceivers:\n");
        for receiver in &receivers {
            writeln!(text, "- name: '{receiver}'").unwrap();
            let url = "https://hooks.example.com/s";
            writeln!(ours, "  '{receiver}': {{slack_webhook: {{url: {url}}}}}").unwrap();
        }
        write!(text, "route:\n{tree}").unwrap();
        write!(ours, "routes:\n{tree}").unwrap();
        std::fs::write(&file, &text).unwrap();
        std::fs::write(&settings, &ours).unwrap();
        let read = tautline::settings::load(Some(&settings));
        let read = read.unwrap_or_else(|problems| panic!("seed {seed}: {problems}\n{ours}"));
        let root = read.routing.root.as_ref().unwrap();
        for _ in 0..ASKED {
            let mut labels = Labels::new();
            for name in NAMES {
                if rng.random_bool(0.8) {
                    let value = VALUES.choose(&mut rng).unwrap();
                    labels.insert(name.to_owned(), (*value).to_owned());
                }
            }
            let mut found = Vec::new();
            root.collect(&labels, &mut found);
            let ours: Vec<&str> = found.iter().map(|route| receiver(route)).collect();
            several += usize::from(ours.len() > 1);
            let output = Command::new("amtool")
                .args(["config", "routes", "test"])
                .arg(format!("--config.file={}", file.display()))
                .args(labels.iter().map(|(name, value)| format!("{name}={value}")))
                .env("HOME", folder.path())
                .output()
                .unwrap();
            let theirs = String::from_utf8(output.stdout).unwrap();
            assert_eq!(
                ours.join(","),
                theirs.trim(),
                "seed {seed}, {labels:?}\n{text}{}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }
    assert!(
        several > 20,
        "only {several} times several receivers: the trees say too little"
    );
}

fn receiver(route: &Route) -> &str {
    match &route.to {
        To::Receiver(name) => name,
        other => panic!("no route leads to {other:?}"),
    }
}

/// What is written for both.
fn tree(rng: &mut StdRng, id: String, depth: usize, receivers: &mut Vec<String>) -> Route {
    receivers.push(id.clone());
    let children = if depth == 0 { 0 } else { rng.random_range(0..4) };
    let matchers = (0..rng.random_range(0..3)).map(|_| {
        let value = if rng.random_bool(0.5) {
            (*VALUES.choose(rng).unwrap()).to_owned()
        } else {
            (*["a|b", "a.*", ".+", ""].choose(rng).unwrap()).to_owned()
        };
        Matcher::new(
            NAMES.choose(rng).unwrap(),
            &value,
            rng.random_bool(0.5),
            rng.random_bool(0.7),
        )
        .unwrap()
    });
    let matchers = matchers.collect();
    let go_on = rng.random_bool(0.4);
    let routes = (0..children)
        .map(|n| tree(rng, format!("{id}.{n}"), depth - 1, receivers))
        .collect();
    Route {
        id: id.clone(),
        matchers,
        go_on,
        routes,
        ..Route::to_receiver(&id)
    }
}

fn write_route(text: &mut String, route: &Route, depth: usize) {
    let pad = "  ".repeat(depth);
    // One that names no receiver has that of the route above.
    if depth == 1 || !inherits(&route.id) {
        writeln!(text, "{pad}receiver: '{}'", route.id).unwrap();
    } else {
        writeln!(text, "{pad}group_by: [team]").unwrap();
    }
    if !route.matchers.is_empty() {
        writeln!(text, "{pad}matchers:").unwrap();
        for matcher in &route.matchers {
            writeln!(text, "{pad}- '{matcher}'").unwrap();
        }
    }
    writeln!(text, "{pad}continue: {}", route.go_on && depth > 1).unwrap();
    if !route.routes.is_empty() {
        writeln!(text, "{pad}routes:").unwrap();
        for below in &route.routes {
            let mut entry = String::new();
            write_route(&mut entry, below, depth + 1);
            let entry = entry.replacen(&"  ".repeat(depth + 1), &format!("{pad}- "), 1);
            text.push_str(&entry);
        }
    }
}

/// Some of the routes, by their ids: the last child of a route that has three.
fn inherits(id: &str) -> bool {
    id.ends_with(".2")
}
