//! A small catalogue over hand-made events, with numbers worked out by hand.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{Timestamp, ToSpan};

use super::*;
use crate::alert::dispatch::route::Routing;
use crate::alert::engine::Engine;
use crate::alert::judge;
use crate::alert::sample::{About, Condition};
use crate::catalog::load::{Files, load};
use crate::catalog::{Band, Severity, SourceId};
use crate::decode::{Reader, Record, Sign};
use crate::fold::worker::Worker;

const CATALOG: &str = r#"
calendar: {timezone: Asia/Shanghai}
sources:
  orders: {topics: [orders], format: json, time: time, fields: {amount: amount, customer: customer, region: region, refund: {path: refund, type: bool}}}
  articles: {topics: [articles], format: json, time: time, fields: {author: author}}
metrics:
  revenue:       {source: orders, agg: sum, expr: amount, filter: refund == false, unit: CNY}
  refunds:       {source: orders, agg: sum, expr: amount, filter: refund == true, unit: CNY}
  net:           {expr: revenue - refunds, unit: CNY}
  orders:        {source: orders, agg: count, filter: refund == false}
  average_order: {numerator: revenue, denominator: orders}
  articles:      {source: articles, agg: count}
  typical:       {source: orders, agg: median, expr: amount, filter: refund == false}
  large:         {source: orders, agg: percentile, percentile: 0.99, expr: amount, filter: refund == false}
nodes:
  revenue:   {title: 销售额, metric: revenue, role: business, period: month, target: 3000, owner: ceo}
  net:       {metric: net, role: business, period: quarter, target: {growth: 50%, over: last_year}}
  regions:   {metric: revenue, role: business, parent: revenue, relation: sum, each: [region], period: month, target: {file: regions.csv}}
  average:   {metric: average_order, role: kpi, parent: revenue, period: month, target: 50}
  refunds:   {metric: refunds, role: kpi, parent: revenue, period: month, direction: lower, target: 300}
  articles:  {title: 文章, metric: articles, role: kpi, parent: revenue, period: month, target: 10, weight: 30, owner: content}
  local:     {metric: orders, role: kpi, parent: regions, each: [region], period: week}
  typical:   {metric: typical, role: kpi, parent: revenue, period: month, target: 100}
  large:     {metric: large, role: kpi, parent: revenue, period: month}
rules:
  done-but-flat:
    on: link
    nodes: [articles]
    when: kpi.completion >= 0.9 && parent.pace < 0.5
    clear: kpi.completion < 0.9 || parent.pace > 0.6
    for: 2d
    severity: critical
    title: "{{ kpi.title }} is done, {{ parent.title }} is at {{ parent.pace }}"
"#;

const REGIONS: &str =
    "start,region,target\n2026-06-01,east,2000\n2026-06-01,west,1000\n2026-06-01,north,500\n";

struct World {
    catalog: Arc<Catalog>,
    plan: Arc<Plan>,
    cells: Cells,
    worker: Worker,
}

impl World {
    fn new() -> World {
        World::of(CATALOG)
    }

    fn of(catalog: &str) -> World {
        World::in_files(&Files::new("", [("a.yaml", catalog), ("regions.csv", REGIONS)]))
    }

    fn in_files(files: &Files) -> World {
        let catalog = Arc::new(load(files).map_err(|d| d.to_string()).unwrap());
        let plan = Arc::new(Plan::compile(&catalog));
        World {
            cells: Cells::new(plan.clone()),
            worker: Worker::new(&catalog, plan.clone()),
            catalog,
            plan,
        }
    }

    fn event(&mut self, source: u32, payload: &str) {
        let mut reader = Reader::new(&self.catalog.sources[source as usize]);
        let record = Record {
            payload: Some(payload.as_bytes()),
            ..Record::default()
        };
        self.worker
            .fold(SourceId(source), &reader.read_one(&record).unwrap(), 0, Sign::Add)
            .unwrap();
        self.cells.merge(self.worker.take()).unwrap();
    }

    fn order(&mut self, time: &str, amount: &str, region: &str, refund: bool) {
        self.event(
            0,
            &format!(r#"{{"time": "{time}", "amount": {amount}, "region": "{region}", "refund": {refund}}}"#),
        );
    }

    fn evaluator(&self) -> Evaluator {
        Evaluator::new(self.catalog.clone(), self.plan.clone())
    }

    fn snapshot(&self, at: &str, horizon: Horizon) -> Snapshot {
        self.evaluator()
            .snapshot(&self.cells, at.parse().unwrap(), horizon)
    }

    fn state(&self, snapshot: &Snapshot, node: &str, dimensions: &[&str]) -> NodeState {
        let id = self
            .catalog
            .nodes
            .iter()
            .position(|other| other.name == node)
            .unwrap();
        let found = snapshot.instances.iter().find(|state| {
            state.key.node.0 as usize == id
                && state
                    .key
                    .dimensions
                    .iter()
                    .map(|value| &**value)
                    .eq(dimensions.iter().copied())
        });
        found
            .unwrap_or_else(|| panic!("no instance {node} {dimensions:?}"))
            .clone()
    }
}

/// Half of June: 900 of 3,000 in revenue, 100 refunded, 30 last June.
fn june() -> World {
    june_of(CATALOG)
}

fn june_of(catalog: &str) -> World {
    let mut world = World::of(catalog);
    world.order("2025-06-10T10:00:00+08:00", "30", "east", false);
    world.order("2026-05-31T23:59:59.999+08:00", "77.77", "east", false);
    world.order("2026-06-01T00:00:00+08:00", "600.5", "east", false);
    world.order("2026-06-02T10:00:00+08:00", "199.5", "west", false);
    world.order("2026-06-03T10:00:00+08:00", "100", "west", false);
    world.order("2026-06-03T11:00:00+08:00", "100", "west", true);
    world
}

const MID_JUNE: &str = "2026-06-16T00:00:00+08:00";

#[test]
fn values_targets_completion_and_pace() {
    let world = june();
    let snapshot = world.snapshot(MID_JUNE, Horizon::Known);
    let revenue = world.state(&snapshot, "revenue", &[]);
    assert_eq!(
        (revenue.value, revenue.target, revenue.completion),
        (Some(900.0), Some(3000.0), Some(0.3))
    );
    assert_eq!(
        (revenue.elapsed, revenue.expected_share, revenue.pace),
        (0.5, 0.5, Pace::Ratio(0.6))
    );
    let east = world.state(&snapshot, "regions", &["east"]);
    assert_eq!(
        (east.value, east.target, east.completion),
        (Some(600.5), Some(2000.0), Some(0.30025))
    );
    assert_eq!(east.parent, Some(revenue.key.clone()));
    // A target without an event yet is a node all the same.
    assert_eq!(world.state(&snapshot, "regions", &["north"]).value, Some(0.0));
    // Ratios are levels: their pace is their completion.
    let average = world.state(&snapshot, "average", &[]);
    assert_eq!(
        (average.value, average.completion, average.pace),
        (Some(300.0), Some(6.0), Pace::Ratio(6.0))
    );
    // The middle of 600.5, 199.5 and 100 and, of rank ⌊0.99 · 2⌋ = 1, the same; percentiles are levels.
    for node in ["typical", "large"] {
        let value = world.state(&snapshot, node, &[]).value.unwrap();
        assert!((value / 199.5 - 1.0).abs() < 0.01, "{value}");
    }
    assert!(
        matches!(world.state(&snapshot, "typical", &[]).pace, Pace::Ratio(pace) if (pace / 1.995 - 1.0).abs() < 0.01)
    );
    // 100 of 300 refunds where 150 were planned.
    assert_eq!(world.state(&snapshot, "refunds", &[]).pace, Pace::Ratio(1.5));
    // A difference of totals is a total; last year's quarter grown by half.
    let net = world.state(&snapshot, "net", &[]);
    assert_eq!((net.value, net.target), (Some(900.0 + 77.77 - 100.0), Some(45.0)));
    assert!(matches!(net.pace, Pace::Ratio(pace) if pace > 2.0));
    // A child of a split parent serves the instance with its own value.
    let local = world.state(&snapshot, "local", &["west"]);
    assert_eq!(
        local.parent,
        Some(world.state(&snapshot, "regions", &["west"]).key)
    );
    assert_eq!((local.value, local.pace), (Some(0.0), Pace::None));
}

#[test]
fn nothing_is_no_value_and_early_is_too_early() {
    let world = World::new();
    let snapshot = world.snapshot("2026-06-02T00:00:00+08:00", Horizon::Known);
    assert_eq!(world.state(&snapshot, "average", &[]).value, None);
    assert_eq!(world.state(&snapshot, "net", &[]).target, None);
    let revenue = world.state(&snapshot, "revenue", &[]);
    assert_eq!((revenue.value, revenue.pace), (Some(0.0), Pace::TooEarly));
    assert_eq!(*revenue.daily, [None]);
    // One of 30 days has passed: a thirtieth is below the 5 % that pace waits for.
    assert!(revenue.elapsed < 0.05);
}

#[test]
fn a_rate_of_few_events_is_too_early() {
    // Of June there are three orders and one that was given back.
    let declared = |node: &str| {
        CATALOG
            .lines()
            .find(|line| line.starts_with(&format!("  {node}:")) && line.contains("role: kpi"))
            .unwrap()
    };
    for (node, at_three) in [("average", true), ("typical", true), ("refunds", false)] {
        let line = declared(node);
        let judges_from = |least: u64| {
            let waiting = line.replace("period: month,", &format!("period: month, min_count: {least},"));
            let world = june_of(&CATALOG.replace(line, &waiting));
            let state = world.state(&world.snapshot(MID_JUNE, Horizon::Known), node, &[]);
            assert!(state.value.is_some() && state.completion.is_some(), "{node}");
            assert!(state.pace != Pace::TooEarly || state.target_probability.is_none());
            state.pace != Pace::TooEarly
        };
        assert_eq!([1, 3, 4].map(judges_from), [true, at_three, false], "{node}");
    }
}

#[test]
fn a_past_day_is_judged_as_of_that_day() {
    let world = june();
    let at = "2026-06-02T23:59:59.999+08:00";
    let then = world.state(&world.snapshot(at, Horizon::Day), "revenue", &[]);
    assert_eq!(then.value, Some(800.0));
    assert_eq!(
        world
            .state(&world.snapshot(at, Horizon::Known), "revenue", &[])
            .value,
        Some(900.0)
    );
    assert_eq!(then.daily.last(), Some(&Some(199.5)));
}

#[test]
fn instances_retire_when_nothing_comes_and_nothing_is_planned() {
    let mut world = june();
    world.order("2026-06-04T10:00:00+08:00", "1", "south", false);
    let regions = |at: &str| {
        let snapshot = world.snapshot(at, Horizon::Known);
        let id = world
            .catalog
            .nodes
            .iter()
            .position(|node| node.name == "regions")
            .unwrap();
        let of_regions = snapshot
            .instances
            .iter()
            .filter(|state| state.key.node.0 as usize == id);
        of_regions
            .map(|state| state.key.dimensions.join("/"))
            .collect::<Vec<_>>()
    };
    assert_eq!(regions(MID_JUNE), ["east", "north", "south", "west"]);
    assert_eq!(regions("2026-07-10T00:00:00+08:00"), ["east", "south", "west"]);
    assert!(regions("2026-09-10T00:00:00+08:00").is_empty());
}

#[test]
fn rules_see_nodes_and_links() {
    let mut world = june();
    for day in 1..=9 {
        world.event(
            1,
            &format!(r#"{{"time": "2026-06-{day:02}T10:00:00+08:00", "author": "a"}}"#),
        );
    }
    let condition = |at: &str, rule: &str, node: &str| {
        let snapshot = world.snapshot(at, Horizon::Known);
        let scene = judge::Scene::of(&world.catalog, &snapshot);
        let samples = scene.samples(&judge::Known::Everywhere);
        samples
            .iter()
            .find(|s| s.rule.name == rule && s.node == node)
            .map(|s| s.condition)
    };
    // 9 of 10 articles and 30 % of revenue: at 19/30 of June the parent's pace is 0.474.
    assert_eq!(
        condition("2026-06-20T00:00:00+08:00", "done-but-flat", "articles"),
        Some(Condition::Breach(Severity::CRITICAL))
    );
    assert_eq!(
        condition("2026-06-17T00:00:00+08:00", "done-but-flat", "articles"),
        Some(Condition::Band)
    );
    assert_eq!(
        condition("2026-06-15T00:00:00+08:00", "done-but-flat", "articles"),
        Some(Condition::Clear)
    );
    assert_eq!(
        condition("2026-06-01T12:00:00+08:00", "done-but-flat", "articles"),
        Some(Condition::Missing)
    );
    assert_eq!(condition(MID_JUNE, "done-but-flat", "average"), None);
    assert_eq!(
        condition(MID_JUNE, "behind_pace", "revenue"),
        Some(Condition::Breach(Severity::WARNING))
    );
    assert_eq!(
        condition(MID_JUNE, "behind_pace", "refunds"),
        Some(Condition::Clear)
    );
    assert_eq!(
        condition(MID_JUNE, "behind_pace", "local"),
        Some(Condition::Missing)
    );
}

/// The daemon makes samples only of what is known or breaches; people are told the same as if it made all.
#[test]
fn what_is_well_and_always_was_needs_no_sample() {
    let mut world = june();
    for day in 1..=9 {
        world.event(
            1,
            &format!(r#"{{"time": "2026-06-{day:02}T10:00:00+08:00", "author": "a"}}"#),
        );
    }
    let routing = Routing::to_receiver("ops");
    let (mut lazy, mut thorough) = (Engine::new("s"), Engine::new("s"));
    let (mut one, mut other) = (world.evaluator(), world.evaluator());
    let mut told = 0;
    let first: Timestamp = "2026-06-01T23:59:59+08:00".parse().unwrap();
    for at in (0..45).map(|days| first + jiff::SignedDuration::from_hours(24 * days)) {
        let when = judge::When {
            at,
            horizon: Horizon::Day,
            tell: Some(judge::Tell::at(at, &routing)),
            intake: &[],
        };
        let (_, step) = judge::step(&world.catalog, &mut one, &world.cells, &mut lazy, when);
        let mut snapshot = other.snapshot(&world.cells, at, Horizon::Day);
        other.close_day(&mut snapshot);
        let scene = judge::Scene::of(&world.catalog, &snapshot);
        let samples = scene.samples(&judge::Known::Everywhere);
        let expected = thorough.step(&samples, &world.catalog.rules, at, None);
        let tell = judge::Tell::at(at, &routing);
        let told_of_it = judge::tell(
            &world.catalog,
            &other,
            &world.cells,
            &mut thorough,
            (&snapshot, at),
            tell,
        );
        assert_eq!(step.notices, told_of_it.notices, "{at}");
        assert_eq!(step.removed, expected.removed, "{at}");
        let records = |engine: &Engine| -> BTreeMap<_, _> {
            engine
                .records()
                .map(|record| (record.fingerprint, record.clone()))
                .collect()
        };
        assert_eq!(records(&lazy), records(&thorough), "{at}");
        told += step.notices.len();
    }
    assert!(told > 4, "alerts fired and ended: {told}");
}

#[test]
fn what_people_are_told_names_where_the_distance_comes_from() {
    let mut world = june();
    for _ in 0..9 {
        world.event(1, r#"{"time": "2026-06-05T10:00:00+08:00", "author": "a"}"#);
    }
    let routing = Routing::to_receiver("ops");
    let (mut engine, mut evaluator) = (Engine::new("s"), world.evaluator());
    let first: Timestamp = "2026-06-10T23:59:59+08:00".parse().unwrap();
    let days = (0..15).map(|days| first + jiff::SignedDuration::from_hours(24 * days));
    let told = days.flat_map(|at| {
        let when = judge::When {
            at,
            horizon: Horizon::Day,
            tell: Some(judge::Tell::at(at, &routing)),
            intake: &[],
        };
        let (_, step) = judge::step(&world.catalog, &mut evaluator, &world.cells, &mut engine, when);
        step.notices
    });
    let told: Vec<_> = told.collect();
    let flat = told
        .iter()
        .find(|notice| notice.alert_kind == "done-but-flat")
        .unwrap();
    let causes = flat.causes.as_ref().unwrap();
    assert_eq!(
        (causes.of.as_str(), causes.unit.as_deref()),
        ("销售额", Some("CNY"))
    );
    let named: Vec<&str> = causes.parts.iter().map(|part| part.title.as_str()).collect();
    assert_eq!((named, causes.others), (vec!["east", "west", "north"], 0));
    let planned = flat.facts.parent.as_ref().unwrap().expected_share.unwrap();
    let amounts = [
        600.5 - 2000.0 * planned,
        299.5 - 1000.0 * planned,
        -500.0 * planned,
    ];
    let distance = 900.0 - 3000.0 * planned;
    for (part, amount) in causes.parts.iter().zip(amounts) {
        assert!((part.amount - amount).abs() < 1e-9, "{part:?} {amount}");
        assert!((part.share - amount / distance).abs() < 1e-9, "{part:?}");
    }
    // The targets of the regions come to 500 more than that of all.
    let rest = causes.not_explained.unwrap();
    assert!((rest.amount - 500.0 * planned).abs() < 1e-9, "{rest:?}");
}

#[test]
fn what_people_are_told_has_labels_and_figures() {
    let mut world = june();
    for _ in 0..9 {
        world.event(1, r#"{"time": "2026-06-05T10:00:00+08:00", "author": "a"}"#);
    }
    let snapshot = world.snapshot("2026-06-20T00:00:00+08:00", Horizon::Known);
    let scene = judge::Scene::of(&world.catalog, &snapshot);
    let samples = scene.samples(&judge::Known::Everywhere);
    let sample = samples.iter().find(|s| s.rule.name == "done-but-flat").unwrap();
    let labels: Vec<(String, String)> = sample.about.labels().into_iter().collect();
    let expected = [
        ("alertname", "done-but-flat"),
        ("node", "articles"),
        ("owner", "content"),
        ("parent", "revenue"),
        ("period", "2026-06"),
    ];
    assert_eq!(
        labels,
        expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
    let facts = sample.about.facts();
    assert_eq!(facts.title, "文章 is done, 销售额 is at 47%");
    // What the rule compares first, for programs.
    assert_eq!(facts.compared.number(), Some(0.9));
    assert_eq!(facts.node.unwrap().completion, Some(0.9));
    assert_eq!(facts.parent.unwrap().unit.as_deref(), Some("CNY"));
    assert_eq!(
        sample.period_end,
        Some("2026-07-01T00:00:00+08:00".parse::<Timestamp>().unwrap())
    );
    for sample in &samples {
        assert_eq!(
            sample.fingerprint,
            crate::alert::identity::fingerprint(&sample.rule.name, &sample.about.labels())
        );
    }
    let local = samples.iter().find(|s| s.node == "regions").unwrap();
    assert_eq!(
        local.about.labels().get("region").map(String::as_str),
        Some("east")
    );
}

#[test]
fn a_link_has_daily_flows() {
    let world = june();
    let snapshot = world.snapshot(MID_JUNE, Horizon::Known);
    let refunds = world.state(&snapshot, "refunds", &[]);
    let from = Day::of("2026-06-01".parse().unwrap());
    let revenue = world.state(&snapshot, "revenue", &[]);
    let flow = |key| world.evaluator().flow(&world.cells, key, from, Day(from.0 + 3));
    assert_eq!(flow(&refunds.key).unwrap(), [Some(0.0), Some(0.0), Some(100.0)]);
    assert_eq!(
        flow(&revenue.key).unwrap(),
        [Some(600.5), Some(199.5), Some(100.0)]
    );
}

#[test]
fn the_forecast_reads_the_latest_weeks() {
    let mut world = World::new();
    let start: jiff::civil::Date = "2026-05-01".parse().unwrap();
    for n in 0..46 {
        let date = start.saturating_add(n.days());
        world.order(&format!("{date}T10:00:00+08:00"), "100", "east", false);
    }
    let snapshot = world.snapshot(MID_JUNE, Horizon::Known);
    let revenue = world.state(&snapshot, "revenue", &[]);
    assert_eq!(revenue.value, Some(1500.0));
    assert!(
        (revenue.forecast.unwrap() - 3000.0).abs() < 1e-6,
        "{:?}",
        revenue.forecast
    );
}

#[test]
fn parts_that_do_not_come_to_their_whole_are_an_amount() {
    let mut world = june();
    let mismatch = |world: &World| {
        world
            .state(&world.snapshot(MID_JUNE, Horizon::Known), "revenue", &[])
            .unreconciled
    };
    // Values agree; the targets of the regions come to 3,500 where the whole has 3,000.
    let found = mismatch(&world).unwrap();
    assert_eq!(
        (found.of_target, found.whole, found.parts),
        (true, Some(3000.0), Some(3500.0))
    );
    assert!((found.share() - 1.0 / 6.0).abs() < 1e-12);
    // An order without a region is a part all the same; it has no target, so that targets are not compared any more.
    world.order("2026-06-05T10:00:00+08:00", "50", "", false);
    let found = mismatch(&world).unwrap();
    assert_eq!(
        (found.of_target, found.whole, found.share()),
        (false, Some(950.0), 0.0)
    );
    let net = world.state(&world.snapshot(MID_JUNE, Horizon::Known), "net", &[]);
    assert_eq!(net.unreconciled, None, "it has no parts");
}

/// Whether a division by zero, or an average of nothing, is told as a difference from an amount, and only from that.
#[test]
fn what_cannot_be_computed_disagrees_with_an_amount() {
    const PARTS: &str = r#"
calendar: {timezone: Asia/Shanghai}
sources:
  orders: {topics: [orders], format: json, time: time, fields: {amount: amount, of: of}}
metrics:
  revenue: {source: orders, agg: sum, expr: amount, filter: of == "whole"}
  orders:  {source: orders, agg: count, filter: of == "part"}
  paid:    {source: orders, agg: sum, expr: amount, filter: of == "part"}
  average: {numerator: paid, denominator: orders}
  typed:   {type: manual, agg: last, entered_by: [lead], every: month}
nodes:
  by-product: {metric: revenue, role: business, period: month}
  orders:     {metric: orders, role: business, parent: by-product, relation: product, period: month}
  average:    {metric: average, role: business, parent: by-product, relation: product, period: month}
  by-ratio:   {metric: revenue, role: business, period: month}
  above:      {metric: paid, role: business, parent: by-ratio, relation: ratio, period: month}
  below:      {metric: orders, role: business, parent: by-ratio, relation: ratio, period: month}
  undivided:  {metric: average, role: business, period: month}
  whole:      {metric: revenue, role: business, parent: undivided, relation: sum, period: month}
  by-hand:    {metric: typed, role: business, period: month}
  counted:    {metric: revenue, role: business, parent: by-hand, relation: sum, period: month}
"#;
    let found = |events: &[(&str, &str)]| {
        let mut world = World::of(PARTS);
        for (of, amount) in events {
            world.event(
                0,
                &format!(r#"{{"time": "2026-06-02T10:00:00+08:00", "amount": {amount}, "of": "{of}"}}"#),
            );
        }
        let snapshot = world.snapshot(MID_JUNE, Horizon::Known);
        let scene = judge::Scene::of(&world.catalog, &snapshot);
        let samples = scene.samples(&judge::Known::Everywhere);
        ["by-product", "by-ratio", "undivided", "by-hand"].map(|node| {
            let found = world.state(&snapshot, node, &[]).unreconciled.as_deref().copied();
            let sample = samples
                .iter()
                .find(|sample| sample.node == node && sample.rule.name == "unreconciled");
            let breach = Condition::Breach(Severity::WARNING);
            let is_told = sample.is_some_and(|sample| sample.condition == breach);
            assert_eq!(is_told, found.is_some_and(|found| found.share() > 0.01), "{node}");
            found.map(|found| (found.of_target, found.whole, found.parts))
        })
    };
    // Nothing disagrees with nothing. What nobody has typed in is missing, which is told as such.
    assert_eq!(
        found(&[]),
        [Some((false, Some(0.0), Some(0.0))), None, None, None]
    );
    // 70 and not one order behind it.
    let whole = Some(70.0);
    assert_eq!(
        found(&[("whole", "70")]),
        [
            Some((false, whole, Some(0.0))),
            Some((false, whole, None)),
            Some((false, None, whole)),
            None
        ]
    );
    // Two orders of 35 come to 70, and are 35 on average.
    assert_eq!(
        found(&[("whole", "70"), ("part", "35"), ("part", "35")]),
        [
            Some((false, whole, whole)),
            Some((false, whole, Some(35.0))),
            Some((false, Some(35.0), whole)),
            None
        ]
    );
}

#[test]
fn a_plan_follows_last_year_once_there_is_a_year_of_data() {
    let mut world = World::new();
    // Last June nothing sold but on its first ten days; May 2025 makes it a year.
    world.order("2025-05-20T10:00:00+08:00", "1", "east", false);
    for day in 1..=10 {
        world.order(&format!("2025-06-{day:02}T10:00:00+08:00"), "100", "east", false);
    }
    let at = |at: &str| {
        world
            .state(&world.snapshot(at, Horizon::Known), "revenue", &[])
            .expected_share
    };
    assert_eq!(at("2026-06-12T00:00:00+08:00"), 1.0);
    // 1 June 2026 is like 2 June 2025: nine of the ten days are in the period, and five of them have passed.
    assert_eq!(at("2026-06-06T00:00:00+08:00"), 5.0 / 9.0);
    // The region is the same plan here; a node without last year's data goes by the calendar.
    let west = world.state(&world.snapshot(MID_JUNE, Horizon::Known), "regions", &["west"]);
    assert_eq!(west.expected_share, 0.5);
}

/// 300 of 1,000 on the first working day, and nothing on the holidays after it: what each plan says of that, by hand.
#[test]
fn pace_follows_the_plan_also_over_holidays() {
    let catalog = r#"
calendar: {timezone: Asia/Shanghai, workdays: [mon, tue, wed, thu, fri], holidays: holidays.csv}
sources:
  orders: {topics: [orders], format: json, time: time, fields: {amount: amount}}
metrics:
  revenue: {source: orders, agg: sum, expr: amount}
nodes:
  flat:     {metric: revenue, role: business, period: week, target: 1000, profile: flat}
  spent:    {metric: revenue, role: business, period: week, target: 1000, profile: flat, direction: lower}
  file:     {metric: revenue, role: business, period: week, target: 1000, profile: {file: plan.csv}}
  workdays: {metric: revenue, role: business, period: week, target: 1000, profile: workdays}
"#;
    // Monday weighs 60, Friday 20 and Saturday, which is made up for, 20; Tuesday to Thursday are holidays.
    let holidays = "date,kind,name\n2026-06-02,holiday,a\n2026-06-03,holiday,a\n2026-06-04,holiday,a\n2026-06-06,workday,a\n";
    let plan = "date,weight\n2026-06-01,60\n2026-06-02,0\n2026-06-05,20\n2026-06-07,0\n";
    let files = Files::new(
        "",
        [
            ("a.yaml", catalog),
            ("holidays.csv", holidays),
            ("plan.csv", plan),
        ],
    );
    let mut world = World::in_files(&files);
    world.event(0, r#"{"time": "2026-06-01T01:00:00+08:00", "amount": 300}"#);
    let nodes = ["flat", "spent", "file", "workdays"];
    let at = |at: &str| {
        let snapshot = world.snapshot(at, Horizon::Known);
        nodes.map(|node| {
            let state = world.state(&snapshot, node, &[]);
            let pace = match state.pace {
                Pace::Ratio(pace) => Some(pace),
                _ => None,
            };
            (state.expected_share, pace)
        })
    };
    let assert_close = |found: [(f64, Option<f64>); 4], expected: [(f64, Option<f64>); 4]| {
        for ((node, found), expected) in nodes.iter().zip(found).zip(expected) {
            let (share, pace) = (found.0 - expected.0, found.1.zip(expected.1));
            let is_close =
                share.abs() < 1e-12 && pace.map_or(found.1 == expected.1, |(a, b)| (a - b).abs() < 1e-12);
            assert!(is_close, "{node}: {found:?}, not {expected:?}");
        }
    };
    // After three hours of Monday: a flat plan already has a pace, and a budget of which 700 are left stands at its cap.
    let (flat, spent) = ((1.0, Some(0.3)), (1.0, Some(2.0)));
    let three_hours = 3.0 / 24.0;
    assert_close(
        at("2026-06-01T03:00:00+08:00"),
        [
            flat,
            spent,
            (0.6 * three_hours, Some(0.3 / (0.6 * three_hours))),
            (three_hours / 3.0, None),
        ],
    );
    // Over the holidays nothing is expected that was not expected on Monday evening.
    for day in ["02", "03", "04"] {
        assert_close(
            at(&format!("2026-06-{day}T18:00:00+08:00")),
            [flat, spent, (0.6, Some(0.5)), (1.0 / 3.0, Some(0.9))],
        );
    }
    assert_close(
        at("2026-06-05T12:00:00+08:00"),
        [flat, spent, (0.7, Some(0.3 / 0.7)), (0.5, Some(0.6))],
    );
    assert_close(
        at("2026-06-07T12:00:00+08:00"),
        [flat, spent, (1.0, Some(0.3)), (1.0, Some(0.3))],
    );
}

#[test]
fn a_target_counts_from_the_day_it_was_announced() {
    let announced = "start,region,target,announced\n2026-06-01,east,2000,\n2026-06-01,east,3000,2026-06-10\n";
    let files = Files::new("", [("a.yaml", CATALOG), ("regions.csv", announced)]);
    let catalog = Arc::new(load(&files).map_err(|d| d.to_string()).unwrap());
    let plan = Arc::new(Plan::compile(&catalog));
    let mut evaluator = Evaluator::new(catalog.clone(), plan.clone());
    let cells = Cells::new(plan);
    let mut target = |at: &str| {
        let snapshot = evaluator.snapshot(&cells, at.parse().unwrap(), Horizon::Day);
        snapshot
            .instances
            .iter()
            .find(|state| !state.key.dimensions.is_empty())
            .unwrap()
            .target
    };
    assert_eq!(target("2026-06-09T23:00:00+08:00"), Some(2000.0));
    assert_eq!(target("2026-06-10T01:00:00+08:00"), Some(3000.0));
}

#[test]
fn a_new_definition_is_judged_from_the_first_period_that_it_saw_whole() {
    let mut world = june();
    world.order("2026-07-02T10:00:00+08:00", "50", "east", false);
    let revenue = world.catalog.nodes[0].metric;
    let column = world.plan.column(revenue, &[]).unwrap();
    let definition = |since: &str| definition::Definition {
        name: world.plan.groups[column.group].columns[column.column]
            .name
            .clone(),
        since_ms: Some(since.parse::<Timestamp>().unwrap().as_millisecond()),
        in_use: true,
        declared_ms: None,
    };
    let states = |since: &str, at: &str| {
        let since = CountedSince::of(&[definition(since)]);
        let snapshot =
            world
                .evaluator()
                .since(&since)
                .snapshot(&world.cells, at.parse().unwrap(), Horizon::Known);
        let scene = judge::Scene::of(&world.catalog, &snapshot);
        let samples = scene.samples(&judge::Known::Everywhere);
        let mut redefined: Vec<&str> = samples
            .iter()
            .filter(|sample| sample.condition == Condition::NewDefinition)
            .map(|sample| sample.node)
            .collect();
        redefined.sort_unstable();
        redefined.dedup();
        let shown = |node| {
            let state = world.state(&snapshot, node, &[]);
            (
                state.value.is_some(),
                state.completion.is_some(),
                state.forecast.is_some(),
                state.is_judged(),
                state.counted_since.is_some(),
            )
        };
        let redefined: Vec<String> = redefined.into_iter().map(str::to_owned).collect();
        (shown("revenue"), shown("articles"), redefined)
    };
    let whole = (true, true, true, true, true);
    let withheld = (true, false, false, false, true);
    let other = (true, true, true, true, false);

    // In the middle of June: the value is shown, and says nothing; links to it say nothing either. A metric that is
    // made of it (net) is in the same state, and so is what serves any of them.
    let (revenue, articles, redefined) = states("2026-06-05T12:00:00+08:00", "2026-06-16T00:00:00+08:00");
    assert_eq!((revenue, articles), (withheld, other));
    for node in ["revenue", "net", "average", "articles", "refunds"] {
        assert!(redefined.iter().any(|name| name == node), "{node}: {redefined:?}");
    }
    assert!(
        !redefined.iter().any(|name| name == "regions" || name == "local"),
        "{redefined:?}"
    );
    // At the very beginning of the month something of it may have been read before.
    let (revenue, ..) = states("2026-06-01T00:00:00+08:00", "2026-06-16T00:00:00+08:00");
    assert_eq!(revenue, withheld);
    for since in ["2026-05-31T23:59:59.999+08:00", "2025-01-01T00:00:00+08:00"] {
        let (revenue, ..) = states(since, "2026-06-16T00:00:00+08:00");
        assert_eq!(revenue, whole, "{since}");
    }
    let (revenue, ..) = states("2026-06-05T12:00:00+08:00", "2026-07-03T00:00:00+08:00");
    assert_eq!(revenue, whole);
}

#[test]
fn growth_is_not_measured_over_another_definition() {
    let world = june();
    let net = world
        .catalog
        .nodes
        .iter()
        .find(|node| node.name == "net")
        .unwrap();
    assert_eq!(net.period.as_str(), "quarter");
    let columns: Vec<String> = world
        .plan
        .groups
        .iter()
        .flat_map(|group| &group.columns)
        .map(|c| c.name.clone())
        .collect();
    let target = |since: &str| {
        let known: Vec<definition::Definition> = columns
            .iter()
            .map(|name| definition::Definition {
                name: name.clone(),
                since_ms: Some(since.parse::<Timestamp>().unwrap().as_millisecond()),
                in_use: true,
                declared_ms: None,
            })
            .collect();
        let mut evaluator = world.evaluator().since(&CountedSince::of(&known));
        let snapshot = evaluator.snapshot(
            &world.cells,
            "2026-06-16T00:00:00+08:00".parse().unwrap(),
            Horizon::Known,
        );
        world.state(&snapshot, "net", &[]).target
    };
    assert_eq!(target("2025-03-31T00:00:00+08:00"), Some(45.0));
    assert_eq!(target("2025-04-02T00:00:00+08:00"), None);
}

#[test]
fn a_link_learns_anew_under_a_new_definition() {
    let mut world = World::new();
    let times: Vec<Timestamp> = (0..90)
        .map(|day| {
            let noon: Timestamp = "2026-03-01T12:00:00+08:00".parse().unwrap();
            noon + jiff::SignedDuration::from_hours(24 * day)
        })
        .collect();
    for at in &times {
        world.order(&at.to_string(), "100", "east", false);
        world.event(1, &format!(r#"{{"time": "{at}", "author": "a"}}"#));
    }
    let judged = |evaluator: &mut Evaluator, days: &[Timestamp]| {
        let mut shown = None;
        for at in days {
            let mut snapshot = evaluator.snapshot(&world.cells, *at, Horizon::Day);
            evaluator.close_day(&mut snapshot);
            shown = world.state(&snapshot, "articles", &[]).link;
        }
        shown.map(|link| link.judged_days)
    };
    let (learned, last) = times.split_at(80);
    let mut before = world.evaluator();
    let days = judged(&mut before, learned).unwrap();
    assert!(days > 0);
    let restarted = |since: &CountedSince| {
        let mut after = world.evaluator().since(since);
        after.restore_learned(before.all_learned());
        judged(&mut after, last)
    };
    assert!(restarted(&CountedSince::default()).unwrap() > days);
    let revenue = world.plan.column(world.catalog.nodes[0].metric, &[]).unwrap();
    let since = CountedSince::of(&[definition::Definition {
        name: world.plan.groups[revenue.group].columns[revenue.column]
            .name
            .clone(),
        since_ms: Some(times[79].as_millisecond()),
        in_use: true,
        declared_ms: None,
    }]);
    assert_eq!(
        restarted(&since),
        Some(0),
        "what it learned is of another definition"
    );
}

#[test]
fn a_forecast_knows_what_is_late() {
    let mut world = World::new();
    let day = |number: i64| -> Timestamp {
        let first: Timestamp = "2026-03-01T12:00:00+08:00".parse().unwrap();
        first + jiff::SignedDuration::from_hours(24 * number)
    };
    let evening = |number: i64| day(number) + jiff::SignedDuration::new(12 * 3600 - 1, 0);
    let mut evaluator = world.evaluator();
    let mut shown = Snapshot::default();
    // Orders of 100 a day, half of them two days late; articles are there at once. To April 20.
    for today in 0..=50 {
        for ordered in [today, today - 2].into_iter().filter(|ordered| *ordered >= 0) {
            world.order(&day(ordered).to_string(), "50", "east", false);
        }
        world.event(1, &format!(r#"{{"time": "{}", "author": "a"}}"#, day(today)));
        shown = evaluator.snapshot(&world.cells, evening(today), Horizon::Day);
        evaluator.close_day(&mut shown);
    }
    let told = |world: &World, snapshot: &Snapshot| {
        ["revenue", "articles"].map(|node| {
            let state = world.state(snapshot, node, &[]);
            (state.value.unwrap(), state.forecast.unwrap())
        })
    };
    // Half of two days is missing of 2,000, and will have come when April ends.
    let [(revenue, of_revenue), (articles, of_articles)] = told(&world, &shown);
    assert_eq!((revenue, articles), (1900.0, 20.0));
    assert!((of_revenue - 3000.0).abs() < 5.0, "{of_revenue}");
    assert!((of_articles - 30.0).abs() < 1e-3, "{of_articles}");
    // The next noon: of today nothing has come yet, and of the two days before it no more than last night.
    let noon = evaluator.snapshot(&world.cells, day(51), Horizon::Known);
    let [(_, of_revenue), _] = told(&world, &noon);
    assert!((of_revenue - 3000.0).abs() < 80.0, "{of_revenue}");
    let mut after = world.evaluator();
    after.restore_learned(evaluator.all_learned());
    let restarted = after.snapshot(&world.cells, day(51), Horizon::Known);
    assert_eq!(told(&world, &restarted), told(&world, &noon));
    assert_eq!(after.drift.late, evaluator.drift.late);
    // What was late of a day of the past is there now.
    let past = after.snapshot(&world.cells, evening(40), Horizon::Day);
    let [(revenue, of_revenue), _] = told(&world, &past);
    assert_eq!(revenue, 1000.0);
    assert!((of_revenue - 3000.0).abs() < 1.0, "{of_revenue}");
    let is_late = |node: &str| {
        let node = world.catalog.node_named(node).unwrap();
        after.drift.late.keys().any(|key| key.node == node)
    };
    assert!(is_late("revenue") && is_late("local") && !is_late("articles"));
    // Three days that are closed at once, after an outage: of the last two nobody knows when their data came.
    for missed in 51..=53 {
        for _ in 0..2 {
            world.order(&day(missed).to_string(), "50", "east", false);
        }
    }
    let usual = |evaluator: &mut Evaluator, closed: i64| {
        let mut shown = evaluator.snapshot(&world.cells, evening(closed), Horizon::Day);
        evaluator.close_day(&mut shown);
        let revenue = world.catalog.node_named("revenue").unwrap();
        let late = evaluator.drift.late.iter().find(|(key, _)| key.node == revenue);
        let told = format!("{:?}", late.unwrap().1);
        told.split(", closed_to").next().unwrap().to_owned()
    };
    let first = usual(&mut evaluator, 51);
    assert_eq!(usual(&mut evaluator, 52), first);
    assert_eq!(usual(&mut evaluator, 53), first);
}

/// The catalogue with bands: of a level, of a total, and of totals from a file.
fn banded(average: &str) -> World {
    let catalog = CATALOG
        .replace(
            "period: month, target: 50}",
            &format!("period: month, target: {{band: {average}}}}}"),
        )
        .replace("direction: lower, target: 300}", "target: {band: [150, 250]}}");
    let regions = "start,region,low,high\n2026-06-01,east,1000,1400\n2026-06-01,west,100,200\n";
    World::in_files(&Files::new(
        "",
        [("a.yaml", catalog.as_str()), ("regions.csv", regions)],
    ))
}

#[test]
fn a_band_is_met_within_it_whichever_side_is_left() {
    let mut world = banded("[250, 290]");
    for (amount, region, refund) in [
        ("600.5", "east", false),
        ("199.5", "west", false),
        ("100", "west", false),
        ("100", "east", true),
    ] {
        world.order("2026-06-10T10:00:00+08:00", amount, region, refund);
    }
    let snapshot = world.snapshot(MID_JUNE, Horizon::Known);
    // 900 in three orders: 300 on average, 10 above a band that is 40 wide.
    let average = world.state(&snapshot, "average", &[]);
    assert_eq!(
        (average.value, average.target, average.band()),
        (Some(300.0), Some(270.0), Band::new(250.0, 290.0))
    );
    assert_eq!(
        (average.completion, average.pace),
        (Some(0.75), Pace::Ratio(0.75))
    );
    // 100 of 150 to 250 when half of the month has passed: by now it is 75 to 125.
    let refunds = world.state(&snapshot, "refunds", &[]);
    assert_eq!((refunds.completion, refunds.pace), (Some(0.5), Pace::Ratio(1.0)));
    assert!(!refunds.burn.applies());
    assert_eq!(attribution::planned(&world.catalog, &refunds), Some(100.0));
    // 299.5 of 100 to 200: 50 to 100 by now, and 199.5 above is more than all of its width.
    let west = world.state(&snapshot, "regions", &["west"]);
    assert_eq!((west.target, west.pace), (Some(150.0), Pace::Ratio(0.0)));
    assert!((west.completion.unwrap() - 0.005).abs() < 1e-12);
    assert_eq!(attribution::planned(&world.catalog, &west), Some(100.0));
    // Bands of parts need not come to the target of their whole.
    let revenue = world.state(&snapshot, "revenue", &[]);
    assert!(revenue.unreconciled.is_none_or(|found| !found.of_target));
}

#[test]
fn the_range_of_a_level_holds_what_its_chance_says() {
    let days = |mut world: World| {
        let first: Timestamp = "2026-05-01T12:00:00+08:00".parse().unwrap();
        for day in 0..46 {
            let at = first + jiff::SignedDuration::from_hours(24 * day);
            let amount = [90, 104, 97, 113][day as usize % 4];
            world.order(&at.to_string(), &amount.to_string(), "east", false);
        }
        world
    };
    let world = days(banded("[0, 1]"));
    let found = world.state(&world.snapshot(MID_JUNE, Horizon::Known), "average", &[]);
    let (low, high) = found.range80().unwrap();
    let (value, spread) = (found.forecast.unwrap(), found.level_spread.unwrap());
    assert!(
        (high - value - 1.281_552 * spread).abs() < 1e-6 && (value - low - 1.281_552 * spread).abs() < 1e-6
    );
    // A band that is this range is met with a probability of 80 %.
    let world = days(banded(&format!("[{low}, {high}]")));
    let found = world.state(&world.snapshot(MID_JUNE, Horizon::Known), "average", &[]);
    let chance = found.target_probability.unwrap();
    assert!((chance - 0.8).abs() < 1e-3, "{chance}");
    // Before there are two weeks of days there is neither.
    let young = june();
    let young = young.state(&young.snapshot(MID_JUNE, Horizon::Known), "average", &[]);
    assert_eq!((young.range80(), young.level_spread), (None, None));
}

#[test]
fn a_driver_is_read_over_the_days_that_its_parent_answers() {
    let mut world = World::new();
    let first: Timestamp = "2026-05-01T12:00:00+08:00".parse().unwrap();
    for day in 0..46 {
        let at = first + jiff::SignedDuration::from_hours(24 * day);
        world.order(&at.to_string(), "100", "east", false);
        world.event(1, &format!(r#"{{"time": "{at}", "author": "a"}}"#));
    }
    let driver = |at: &str, lag_days: f64| {
        let mut evaluator = world.evaluator();
        let at: Timestamp = at.parse().unwrap();
        let snapshot = evaluator.snapshot(&world.cells, at, Horizon::Day);
        let mut kpi = world.state(&snapshot, "articles", &[]);
        kpi.link = Some(Arc::new(LinkState {
            parent_gap: Some(0.0),
            elasticity: Some(0.5),
            lag_days: Some(lag_days),
            ..LinkState::default()
        }));
        let parent = world.state(&snapshot, "revenue", &[]);
        let found = evaluator.driver(&world.cells, &kpi, &parent, at)?;
        let plan = (found.plan * 1e6).round() / 1e6;
        Ok((found.elasticity, found.value, plan))
    };
    use attribution::Untold;
    // One a day, of 10 that are planned for a month: by the 16th of June half of them, for 15 that came.
    assert_eq!(driver("2026-06-16T00:00:00+08:00", 0.0), Ok((0.5, 15.0, 5.0)));
    // Five days before it is 27 May to 11 June: 5 of 31 days of one target, and 11 of 30 of the next.
    let shifted = 10.0 * (5.0 / 31.0 + 11.0 / 30.0);
    let shifted = (shifted * 1e6_f64).round() / 1e6;
    assert_eq!(driver("2026-06-16T00:00:00+08:00", 5.4), Ok((0.5, 16.0, shifted)));
    assert_eq!(
        driver("2026-06-02T00:00:00+08:00", 5.0),
        Err(Untold::TooEarly),
        "a thirtieth of the parent's period"
    );
    assert_eq!(
        driver("2026-05-16T00:00:00+08:00", 5.0),
        Err(Untold::TooShort),
        "what was on the last days of April is not known"
    );
}
