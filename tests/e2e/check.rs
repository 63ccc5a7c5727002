//! `tautline check`: every mistake with its place, what was found, and what to write instead.

use std::path::Path;

use crate::parts::daemon::{shown, tautline};
use crate::parts::scratch;

const SETTINGS: &str = "\
kafka: {brokers: \"127.0.0.1:9092\"}
catalog: catalog/
state: {sqlite: tautline.db}
serve: {listen: \"127.0.0.1:9464\"}
receivers:
  ops: {slack_webhook: {url: \"http://127.0.0.1:9/\", allow_private: true}}
routes: {receiver: ops}
";

const CATALOG: &str = "\
calendar: {timezone: Asia/Shanghai}
sources:
  orders:
    topics: [orders]
    format: cloudevents
    time: time
    fields: {type: type, amount: data.amount, region: data.region}
metrics:
  revenue:
    source: orders
    agg: sum
    expr: amount
    filter: type == \"order.paid\" && amount > 0.0
    unit: CNY
    dimensions: [region]
  orders: {source: orders, agg: count}
nodes:
  revenue: {metric: revenue, role: business, level: strategy, period: month, target: 1000, owner: chain}
  region-revenue: {metric: revenue, role: business, level: strategy, parent: revenue, relation: sum, each: [region], period: month, owner: regions}
  orders: {metric: orders, role: kpi, level: tactic, parent: revenue, relation: influence, period: month, target: 10, weight: 100, owner: sales}
rules:
  done-but-flat: {on: link, nodes: [orders], when: kpi.completion >= 0.9 && parent.pace < 0.9, for: 1d, severity: critical}
";

/// What is wrong, in which file, the text that is replaced, what replaces it, and what the message must say. `▸` in
/// the replacement stands before the place that must be named.
type Mistake = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static [&'static str],
);

const MISTAKES: [Mistake; 16] = [
    (
        "misspelt metric",
        "catalog",
        "{metric: orders,",
        "{metric: ▸order,",
        &["order", "did you mean 'orders'"],
    ),
    (
        "misspelt parent",
        "catalog",
        "parent: revenue, relation: influence",
        "parent: ▸revenu, relation: influence",
        &["revenu", "did you mean 'revenue'"],
    ),
    (
        "unknown field",
        "catalog",
        "expr: amount",
        "expr: ▸amont",
        &["amont", "orders", "did you mean 'amount'"],
    ),
    (
        "unknown field in a filter",
        "catalog",
        "&& amount >",
        "&& ▸amont >",
        &["amont", "did you mean 'amount'"],
    ),
    (
        "unknown source",
        "catalog",
        "{source: orders, agg: count}",
        "{source: ▸ordres, agg: count}",
        &["ordres", "did you mean 'orders'"],
    ),
    (
        "unknown dimension",
        "catalog",
        "dimensions: [region]",
        "dimensions: [▸regoin]",
        &["regoin", "did you mean 'region'"],
    ),
    (
        "wrong type in a filter",
        "catalog",
        "amount > 0.0",
        "amount ▸== \"x\"",
        &["amount", "number"],
    ),
    (
        "wrong type of a value",
        "catalog",
        "target: 10,",
        "target: ▸[10],",
        &["found a list", "expected a number"],
    ),
    (
        "unknown aggregation",
        "catalog",
        "agg: sum",
        "agg: ▸summ",
        &["summ", "did you mean 'sum'"],
    ),
    (
        "cycle",
        "catalog",
        "  revenue: {metric: revenue,",
        "  ▸revenue: {parent: orders, relation: influence, metric: revenue,",
        &["circle", "revenue → orders → revenue"],
    ),
    (
        "KPI without parent",
        "catalog",
        "  orders: {metric: orders, role: kpi, level: tactic, parent: revenue, relation: influence,",
        "  ▸orders: {metric: orders, role: kpi, level: tactic,",
        &["orders", "parent"],
    ),
    (
        "two definitions of one name",
        "catalog",
        "rules:\n",
        "  ▸orders: {metric: orders, role: kpi, parent: revenue, relation: influence, period: month}\nrules:\n",
        &["'orders' is defined twice", "first at line 20"],
    ),
    (
        "unknown key",
        "catalog",
        "unit: CNY",
        "▸unti: CNY",
        &["unti", "did you mean 'unit'"],
    ),
    (
        "unknown attribute in a rule",
        "catalog",
        "parent.pace <",
        "▸parent.pase <",
        &["'parent.pase'", "did you mean 'parent.pace'"],
    ),
    (
        "unknown setting",
        "settings",
        "listen:",
        "▸lisen:",
        &["lisen", "did you mean 'listen'"],
    ),
    (
        "unknown receiver",
        "settings",
        "routes: {receiver: ops}",
        "routes: {receiver: ▸opps}",
        &["opps", "did you mean 'ops'"],
    ),
];

#[test]
fn every_mistake_is_named_with_its_place() {
    let mut failures = Vec::new();
    for (what, file, found, instead, parts) in MISTAKES {
        let (settings, catalog) = match file {
            "settings" => (SETTINGS.replacen(found, instead, 1), CATALOG.to_owned()),
            _ => (SETTINGS.to_owned(), CATALOG.replacen(found, instead, 1)),
        };
        let wrong = if file == "settings" { &settings } else { &catalog };
        let (line, column) = place_of_mark(wrong).unwrap_or_else(|| panic!("'{found}' is not in the {file}"));
        let file = if file == "settings" {
            "tautline.yaml"
        } else {
            "catalog.yaml"
        };
        let place = format!("{file}:{line}:{column}: ");

        let folder = scratch("check");
        let output = check(
            folder.path(),
            &settings.replace('▸', ""),
            &catalog.replace('▸', ""),
        );
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let names_place = text.lines().any(|line| line.contains(&place));
        let says_it = parts.iter().all(|part| text.contains(part));
        if output.status.code() != Some(1) || !names_place || !says_it {
            failures.push(format!(
                "{what}: exit 1, '{place}' and {parts:?} expected, but {}",
                shown(&output)
            ));
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {}:\n\n{}",
        failures.len(),
        MISTAKES.len(),
        failures.join("\n\n")
    );
}

#[test]
fn a_name_that_two_files_define_is_shown_at_both_places() {
    let folder = scratch("check");
    let again = "metrics:\n  revenue: {source: orders, agg: count}\n";
    std::fs::create_dir(folder.path().join("catalog")).unwrap();
    std::fs::write(folder.path().join("catalog/more.yaml"), again).unwrap();
    let output = check(folder.path(), SETTINGS, CATALOG);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{}", shown(&output));
    for part in ["more.yaml:2:3: ", "catalog.yaml:9:3", "revenue"] {
        assert!(text.contains(part), "'{part}' is missing: {}", shown(&output));
    }
}

#[test]
fn a_right_catalogue_prints_a_summary() {
    let folder = scratch("check");
    let output = check(folder.path(), SETTINGS, CATALOG);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
    for part in ["1 source", "2 metrics", "3 nodes"] {
        assert!(text.contains(part), "'{part}' is missing: {}", shown(&output));
    }
}

#[test]
fn strict_fails_on_findings_that_nobody_accepted() {
    let folder = scratch("check");
    let unused = CATALOG.replace(
        "nodes:\n",
        "  unused: {source: orders, agg: count, filter: amount > 9.0}\nnodes:\n",
    );
    check(folder.path(), SETTINGS, &unused);
    let config = folder.path().join("tautline.yaml");
    let run = |args: &[&str]| {
        let output = tautline(&[&["check", "--config", config.to_str().unwrap()], args].concat());
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains("S09"), "{}", shown(&output));
        output.status.code()
    };
    assert_eq!(run(&[]), Some(0));
    assert_eq!(run(&["--strict"]), Some(1));
    assert_eq!(run(&["--strict", "--format", "json"]), Some(1));
}

#[test]
fn the_tree_shows_levels_targets_and_owners() {
    let folder = scratch("tree");
    check(folder.path(), SETTINGS, CATALOG);
    let config = folder.path().join("tautline.yaml");
    let output = tautline(&["tree", "--config", config.to_str().unwrap()]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
    for part in [
        "revenue",
        "region-revenue",
        "orders",
        "strategy",
        "tactic",
        "chain",
        "sales",
        "10",
    ] {
        assert!(text.contains(part), "'{part}' is missing: {}", shown(&output));
    }
}

#[test]
fn wrong_usage_ends_with_2_and_help_with_0() {
    for (args, code) in [
        (&["chek"][..], 2),
        (&["run", "--no-such-flag"], 2),
        (&[], 2),
        (&["--help"], 0),
        (&["run", "--help"], 0),
        (&["check", "--config", "/nowhere/tautline.yaml"], 1),
    ] {
        let output = tautline(args);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", shown(&output));
    }
}

fn check(folder: &Path, settings: &str, catalog: &str) -> std::process::Output {
    std::fs::create_dir_all(folder.join("catalog")).unwrap();
    std::fs::write(folder.join("tautline.yaml"), settings).unwrap();
    std::fs::write(folder.join("catalog/catalog.yaml"), catalog).unwrap();
    tautline(&[
        "check",
        "--config",
        folder.join("tautline.yaml").to_str().unwrap(),
    ])
}

/// Line and column of the mark, both from 1.
fn place_of_mark(text: &str) -> Option<(usize, usize)> {
    let (line, content) = text.lines().enumerate().find(|(_, line)| line.contains('▸'))?;
    let column = content.chars().position(|c| c == '▸')?;
    Some((line + 1, column + 1))
}
