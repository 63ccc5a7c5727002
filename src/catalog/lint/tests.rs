use super::*;
use crate::catalog::load::{Files, load};

/// A catalogue without findings; every test changes one thing.
const SMART: &str = r#"
sources:
  orders: {topics: [orders], format: json, fields: {type: type, amount: amount, customer: customer, region: region}}
metrics:
  revenue:   {title: 销售额, source: orders, agg: sum, expr: amount, filter: type == "paid", unit: CNY}
  refunds:   {title: 退款, source: orders, agg: sum, expr: amount, filter: type == "refunded", unit: CNY}
  orders:    {title: 订单, source: orders, agg: count, filter: type == "paid"}
  customers: {title: 客户, source: orders, agg: count_distinct, expr: customer}
  average:   {title: 客单价, numerator: revenue, denominator: orders, unit: CNY}
nodes:
  revenue:   {metric: revenue, role: business, period: month, target: 1000, owner: ceo}
  regions:   {metric: revenue, role: business, parent: revenue, relation: sum, each: [region], period: month, target: {file: regions.csv}, owner: heads}
  refunds:   {metric: refunds, role: kpi, direction: lower, parent: revenue, period: month, target: {growth: -10%, over: last_year}, weight: 30, owner: sales}
  average:   {metric: average, role: kpi, parent: revenue, period: month, target: 30, weight: 70, owner: sales}
  customers: {metric: customers, role: kpi, parent: revenue, period: month, target: 30, weight: 60, owner: growth}
  orders:    {metric: orders, role: kpi, parent: revenue, period: month, target: 30, weight: 40, owner: growth}
rules:
  done-but-flat: {on: link, when: kpi.completion >= 0.9 && parent.pace < 0.9}
"#;

const REGIONS: &str = "start,region,target
2026-11-01,east,600
2026-11-01,west,400
2026-12-01,east,600
2026-12-01,west,400
";

/// Without west in November and without east in December.
const NOVEMBER: &str = "start,region,target\n2026-11-01,east,1000\n2026-10-01,west,400\n2026-12-15,west,1\n";

/// A business metric that no KPI serves.
const ALONE: &str = "\
sources: {s: {topics: [t], format: json, fields: {who: who}}}
metrics: {visits: {source: s, agg: count}, people: {source: s, agg: count_distinct, expr: who}}
nodes:
  visits: {metric: visits, role: business, period: month, target: 10, owner: a}
";

/// And the only one that does.
const PEOPLE: &str = "  people: {metric: people, role: kpi, parent: visits, period: month, target: 3, weight: 100, owner: b}\n";

fn found(yaml: &str, csv: &str) -> Vec<String> {
    let files = Files::new("", [("a.yaml", yaml), ("regions.csv", csv)]);
    let catalog = load(&files).map_err(|problems| problems.to_string()).unwrap();
    let findings = lint(&catalog, "2026-11-24".parse().unwrap(), None);
    findings.iter().map(Finding::to_string).collect()
}

#[test]
fn a_smart_catalogue_has_no_findings() {
    assert_eq!(found(SMART, REGIONS), [""; 0]);
}

/// What is written in the place of what, and the only finding that comes of it.
const CASES: &[(&str, &str, &str)] = &[
    (
        "filter: type == \"paid\", unit: CNY}",
        "filter: type == \"paid\"}",
        "a.yaml:5:3: S01 warning: metric 'revenue' has no unit: a number of what? add unit: CNY, days, items, …",
    ),
    (
        "denominator: orders, unit: CNY",
        "denominator: orders",
        "a.yaml:9:3: S01 note: metric 'average' divides CNY and has no unit of its own; add unit: CNY, or what one of it is",
    ),
    (
        "target: 1000, owner: ceo",
        "target: 1000",
        "a.yaml:11:3: S02 note: 'revenue' has no owner: who is told when it stands still? add owner: …",
    ),
    (
        "{metric: customers, role: kpi, parent: revenue, period: month, target: 30,",
        "{metric: customers, role: kpi, parent: revenue, period: month,",
        "a.yaml:15:3: S03 warning: KPI 'customers' has no target, so nobody can say whether it is done; \
         add target: 1200, {growth: 30%, over: last_year} or {file: targets.csv}",
    ),
    (
        "target: 30, weight: 60, owner: growth}\n  orders:    {metric: orders, role: kpi, parent: revenue, period: month, target: 30, weight: 40,",
        "target: 30, owner: growth}\n  orders:    {metric: orders, role: kpi, parent: revenue, period: month, target: 30, weight: 100,",
        "a.yaml:15:3: S05 note: KPI 'customers' has no weight and does not count in its owner's score; add weight: 0 to 100",
    ),
    (
        "weight: 70",
        "weight: 60",
        "a.yaml:13:3: S06 warning: the weights of 'sales' come to 90 and not to 100: refunds 30, average 60",
    ),
    (
        "  customers: {title",
        "  unused: {source: orders, agg: count}\n  customers: {title",
        "a.yaml:8:3: S09 note: metric 'unused' is never used; put it to work in a node with metric: unused, or remove it",
    ),
    (
        "on: link,",
        "on: link, nodes: [average],",
        "a.yaml:16:3: S10 note: KPI 'orders' counts actions, and nothing tests whether 'revenue' follows; \
         add a rule with on: link, nodes: [orders], such as when: kpi.completion >= 0.9 && parent.pace < 0.9",
    ),
    (
        "filter: type == \"refunded\"",
        "filter: amount > 0.0",
        "a.yaml:6:3: S11 warning: 'refunds' takes the events of orders with [amount > 0.0] and 'revenue' takes \
         the events of orders with [type == \"paid\"] (at a.yaml:5:3): one thing in two definitions (口径不统一); \
         let one be the standard, or give both titles that say the difference",
    ),
    (
        "filter: type == \"refunded\"",
        "filter: type == \"paid\"",
        "a.yaml:6:3: S11 warning: metrics 'revenue' and 'refunds' are the same definition; keep one of them (the other is at a.yaml:5:3)",
    ),
    (
        "growth: -10%",
        "growth: 10%",
        "a.yaml:13:3: S12 warning: less of 'refunds' is better, and its target grows by 10%; write a growth below 0, such as growth: -10%",
    ),
    (
        "target: {growth: -10%, over: last_year}",
        "baseline: 80, target: {growth: -10%, over: {value: 100}}",
        "a.yaml:13:3: S12 warning: the target of 'refunds' comes to 90, and its baseline is 80: completion would be \
         backwards; correct 'over', 'growth' or 'baseline'",
    ),
    (
        "over: last_year",
        "over: 2026",
        "a.yaml:13:3: S12 warning: 'refunds' grows over 2026, which is not over yet; write over: 2025, or over: last_year",
    ),
    (
        "target: 1000",
        "target: 1200",
        "a.yaml:12:3: S13 warning: the targets of 'regions' come to 1000, and 'revenue', which they add up to, has 1200: \
         200 of 1200 is nobody's; make them meet",
    ),
    (
        "numerator: revenue, denominator: orders, unit: CNY",
        "expr: revenue - fees, unit: CNY}\n  fees:      {title: 手续费, source: orders, agg: max, expr: amount, unit: USD",
        "a.yaml:9:3: S16 warning: metric 'average' adds or subtracts 'revenue' in CNY and 'fees' in USD; convert one of them, \
         such as fees * 7.1, or correct its unit",
    ),
    (
        "nodes:\n  revenue:   {metric: revenue, role: business, period: month, target: 1000, owner: ceo}\n  regions:   {metric: revenue,",
        "  largest:   {title: 最大一单, source: orders, agg: max, expr: amount, unit: USD}\nnodes:\n  revenue:   {metric: revenue, role: business, period: month, target: 1000, owner: ceo}\n  regions:   {metric: largest,",
        "a.yaml:13:3: S16 warning: 'regions' is in USD and 'revenue', to which it adds up, in CNY; convert its metric, correct a \
         unit, or write relation: influence",
    ),
    (
        "{metric: customers, role: kpi, parent: revenue, period: month",
        "{metric: customers, role: kpi, parent: revenue, relation: product, period: week",
        "a.yaml:15:3: S17 warning: 'customers' is a part of 'revenue', and the two are never compared: its period is week and \
         that of 'revenue' month; give both one period, or write relation: influence",
    ),
    (
        "rules:\n",
        "severities: [info, warning, {name: major, like: warning}, critical]\nrules:\n",
        "a.yaml:17:36: S18 warning: no rule has the severity 'major', so no alert ever does; give one of the levels of a rule \
         severity: major, or leave the step out",
    ),
    (
        "rules:\n",
        "lint: {S09: {orders: soon}}\nrules:\n",
        "a.yaml:17:14: S14 note: there is no S09 about 'orders' to accept; remove this line",
    ),
];

#[test]
fn says_what_is_not_smart_where_and_what_to_write_instead() {
    for (find, replace, expected) in CASES {
        assert!(SMART.contains(find), "{find}");
        assert_eq!(found(&SMART.replacen(find, replace, 1), REGIONS), [*expected]);
    }
}

/// A new code comes with a case.
#[test]
fn every_code_is_found_in_some_case() {
    let cases = CASES
        .iter()
        .map(|(find, replace, _)| found(&SMART.replacen(find, replace, 1), REGIONS));
    let others = [
        found(SMART, NOVEMBER),
        found(ALONE, ""),
        found(&format!("{ALONE}{PEOPLE}"), ""),
        held_against(2001.0, &[700.0, 1000.0, 900.0], None, false)
            .iter()
            .map(Finding::to_string)
            .collect(),
    ];
    let all: Vec<String> = cases.chain(others).flatten().collect();
    for code in Code::ALL {
        let marked = format!(": {} ", code.as_str());
        assert!(all.iter().any(|finding| finding.contains(&marked)), "{marked}");
    }
    let mut codes: Vec<&str> = Code::ALL.iter().map(Code::as_str).collect();
    codes.dedup();
    assert_eq!(codes.len(), Code::ALL.len());
}

#[test]
fn a_root_needs_kpis_and_not_just_one() {
    assert_eq!(
        found(ALONE, "")[1],
        "a.yaml:4:3: S08 warning: nobody serves 'visits': no KPI stands below it; add one with role: kpi and parent: visits"
    );
    let one = format!("{ALONE}{PEOPLE}");
    assert_eq!(
        found(&one, ""),
        [
            "a.yaml:5:3: S07 note: 'visits' hangs by 'people' alone, with weight 100; add a second KPI, such as one of \
          quality, that shows when it is gamed"
        ]
    );
}

#[test]
fn an_only_kpi_has_the_whole_weight_of_its_owner() {
    let alone = SMART.replace("weight: 60, owner: growth", "weight: 60, owner: marketing");
    assert_eq!(
        found(&alone, REGIONS)[0],
        "a.yaml:15:3: S06 warning: the only KPI of 'marketing' is 'customers' with weight 60; write 100, or declare what the other 40 are for"
    );
}

#[test]
fn target_files_reach_into_the_next_period() {
    assert_eq!(
        found(SMART, NOVEMBER),
        [
            "a.yaml:12:3: S04 warning: the target file of 'regions' has no line for west in the running month, which begins \
             on 2026-11-01; add one with start 2026-11-01",
            "a.yaml:12:3: S04 note: the target file of 'regions' has no line for east in the next month, which begins on \
             2026-12-01; add one with start 2026-12-01",
        ]
    );
}

#[test]
fn a_target_of_its_time_is_the_one_that_is_added_up() {
    let announced = "start,region,target,announced
2026-11-01,east,600,
2026-11-01,west,900,
2026-11-01,west,400,2026-11-10
2026-11-01,west,800,2026-11-28
2026-12-01,east,1,
2026-12-01,west,1,
";
    assert_eq!(found(SMART, announced), [""; 0]);
}

#[test]
fn a_finding_is_accepted_with_a_reason() {
    let accepted = SMART
        .replace("weight: 70", "weight: 60")
        .replace("rules:\n", "lint:\n  S06: {sales: the rest is a bonus}\nrules:\n");
    assert_eq!(
        found(&accepted, REGIONS),
        [
            "a.yaml:13:3: S06 warning: the weights of 'sales' come to 90 and not to 100: refunds 30, average 60 (accepted: the rest is a bonus)"
        ]
    );
    let files = Files::new("", [("a.yaml", "lint: {S99: {a: b}}")]);
    let problems = load(&files).map(|_| ()).unwrap_err().to_string();
    assert_eq!(
        problems,
        "a.yaml:1:8: there is no finding 'S99'; did you mean 'S09'?"
    );
}

/// What the months before came to, the newest first; June is running.
fn against(target: f64, closed: &[f64], year_ago: Option<f64>, lower: bool) -> Vec<String> {
    let findings = held_against(target, closed, year_ago, lower);
    findings.into_iter().map(|finding| finding.message).collect()
}

fn held_against(target: f64, closed: &[f64], year_ago: Option<f64>, lower: bool) -> Vec<Finding> {
    let direction = if lower { "lower" } else { "higher" };
    let yaml = format!(
        "sources:\n  s: {{topics: [t], format: json, fields: {{a: a}}}}\nmetrics:\n  m: {{source: s, agg: sum, expr: a, unit: CNY}}\nnodes:\n  n: {{metric: m, role: business, direction: {direction}, period: month, target: {target}, owner: o, each: []}}\nlint: {{S08: {{n: a test}}}}\n"
    );
    let catalog = load(&Files::new("", [("a.yaml", yaml.as_str())]))
        .map_err(|problems| problems.to_string())
        .unwrap();
    let closed = (1..=5)
        .rev()
        .map(|month| format!("2026-{month:02}"))
        .zip(closed.iter().copied());
    let reached = Reached {
        node: crate::catalog::NodeId(0),
        dimensions: Vec::new(),
        target,
        closed: closed.collect(),
        year_ago,
    };
    let findings = lint(&catalog, "2026-06-10".parse().unwrap(), Some(&[reached]));
    findings
        .into_iter()
        .filter(|finding| finding.code == S15)
        .collect()
}

#[test]
fn a_target_is_held_against_what_was_reached() {
    assert_eq!(against(1100.0, &[1000.0, 700.0, 900.0], None, false), [""; 0]);
    // Exactly twice the best is a stretch that somebody may mean.
    assert_eq!(against(2000.0, &[1000.0, 700.0, 900.0], None, false), [""; 0]);
    assert_eq!(
        against(2001.0, &[700.0, 1000.0, 900.0], None, false),
        [
            "the target of 'n', 2001 CNY, is more than twice the best of 3 periods, 1000 CNY in 2026-04: nobody has come near; set a target that can be reached (`tautline suggest n` proposes some)"
        ]
    );
    assert_eq!(
        against(999.0, &[1000.0, 700.0, 900.0], None, false),
        [
            "the target of 'n', 999 CNY, is below what the last period came to, 1000 CNY in 2026-05: it is reached by falling back; aim higher, or accept it with the reason"
        ]
    );
    // After a season comes less, as it did a year ago; too little is too little.
    assert_eq!(
        against(800.0, &[1000.0, 700.0, 900.0], Some(750.0), false),
        [""; 0]
    );
    assert_eq!(
        against(800.0, &[1000.0, 700.0, 900.0], Some(850.0), false).len(),
        1
    );
    // Two periods are no experience.
    assert_eq!(against(5000.0, &[1000.0, 700.0], None, false), [""; 0]);
    // Where less is better it is the other way round.
    assert_eq!(against(650.0, &[800.0, 700.0, 900.0], None, true), [""; 0]);
    assert!(
        against(340.0, &[800.0, 700.0, 900.0], None, true)[0]
            .contains("less than half the best of 3 periods, 700 CNY")
    );
    assert!(
        against(801.0, &[800.0, 700.0, 900.0], None, true)[0].contains("above what the last period came to")
    );
}

#[test]
fn what_only_a_state_can_tell_is_not_accepted_in_vain_without_one() {
    let yaml = SMART.to_owned() + "lint: {S15: {revenue: the board wants it}}\n";
    assert_eq!(found(&yaml, REGIONS), [""; 0]);
    let files = Files::new("", [("a.yaml", yaml.as_str()), ("regions.csv", REGIONS)]);
    let catalog = load(&files).map_err(|problems| problems.to_string()).unwrap();
    let findings = lint(&catalog, "2026-11-24".parse().unwrap(), Some(&[]));
    assert_eq!(
        findings.iter().map(|finding| finding.code).collect::<Vec<_>>(),
        [S14]
    );
}
