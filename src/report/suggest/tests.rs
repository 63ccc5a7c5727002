use jiff::ToSpan;

use super::*;
use crate::catalog::load::Files;
use crate::report::world;
use crate::words::Language;

const CATALOG: &str = r#"
calendar: {timezone: Asia/Shanghai}
sources:
  days: {topics: [days], format: json, time: time, fields: {what: what, value: value}}
metrics:
  revenue:  {source: days, agg: sum, expr: value, filter: what == "revenue", unit: CNY}
  visits:   {title: 拜访, source: days, agg: sum, expr: value, filter: what == "visits"}
  articles: {source: days, agg: sum, expr: value, filter: what == "articles"}
  calls:    {source: days, agg: sum, expr: value, filter: what == "calls"}
  revenue-per-visit: {type: ratio, numerator: revenue, denominator: visits}
nodes:
  revenue:  {title: 销售额, metric: revenue, role: business, level: strategy, period: month, profile: linear, target: 3000, owner: ceo}
  visits:   {metric: visits, role: kpi, parent: revenue, relation: influence, period: month, profile: linear, target: 10, weight: 60, owner: sales}
  articles: {metric: articles, role: kpi, parent: revenue, relation: influence, period: month, profile: linear, target: 10, weight: 40, owner: content}
  value:    {metric: revenue-per-visit, role: business, period: month}
"#;

/// Ten months: visits are what they are, revenue answers by half four days later, articles by nothing.
fn ten_months() -> Past {
    let mut state = 7u64;
    let mut noise = || {
        let mut uniform = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1u64 << 53) as f64
        };
        (0..12).map(|_| uniform()).sum::<f64>() - 6.0
    };
    let mut events = Vec::new();
    let mut moves = Vec::new();
    let first = jiff::civil::date(2025, 9, 1);
    for day in 0..303i32 {
        moves.push(0.3 * noise());
        let answer = moves
            .len()
            .checked_sub(5)
            .map_or(0.0, |before| 0.5 * moves[before]);
        let date = first.saturating_add(day.days());
        let mut event = |what: &str, value: f64| {
            events.push((
                0,
                format!(r#"{{"time": "{date}T10:00:00+08:00", "what": "{what}", "value": {value:.2}}}"#),
            ));
        };
        event("visits", 40.0 * moves[moves.len() - 1].exp());
        event("revenue", 1000.0 * (answer + 0.05 * noise()).exp());
        event("articles", 5.0 * (0.2 * noise()).exp());
    }
    world::unjudged(
        &Files::new("", [("a.yaml", CATALOG)]),
        &events,
        "2026-07-01T09:00:00+08:00",
    )
}

#[test]
fn what_drives_it_what_does_not_and_what_to_aim_at() {
    let mut past = ten_months();
    let found = suggest(&mut past, "revenue", &[]).unwrap();
    let driver = &found.drivers[0];
    assert_eq!((driver.metric.as_str(), driver.lag_days), ("visits", 4));
    assert!((driver.elasticity.unwrap() - 0.5).abs() < 0.1, "{driver:?}");
    assert_eq!(driver.kpis, ["visits"]);
    let idle: Vec<&str> = found.idle_kpis.iter().map(|kpi| kpi.node.as_str()).collect();
    assert_eq!(idle, ["articles"]);
    // What revenue is a part of moves with it by arithmetic, and is no driver; what no node uses is not counted.
    let named = |name: &str| found.not_looked_at.iter().find(|other| other.metric == name);
    assert_eq!(named("calls").unwrap().why, Why::NotCounted);
    assert!(
        named("revenue-per-visit").is_none()
            && found
                .drivers
                .iter()
                .all(|driver| driver.metric != "revenue-per-visit")
    );
    insta::assert_snapshot!("english", text(&found, Language::En));
    insta::assert_snapshot!("chinese", text(&found, Language::Zh));
}

#[test]
fn kpis_that_are_arithmetic_are_named_with_the_reason() {
    let catalog = CATALOG.replace(
        "  value:    {metric: revenue-per-visit, role: business, period: month}",
        "  each:     {title: 客单, metric: revenue-per-visit, role: kpi, parent: revenue, period: month}
  again:    {title: 再算, metric: revenue, role: kpi, parent: visits, period: month}
  ratio:    {title: 单价, metric: revenue-per-visit, role: business, period: month}
  shown:    {title: 分母, metric: visits, role: kpi, parent: ratio, period: month}",
    );
    let mut past = world::unjudged(
        &Files::new("", [("a.yaml", catalog.as_str())]),
        &[],
        "2026-07-01T09:00:00+08:00",
    );
    // Without any event there is nothing to compare, and arithmetic is said all the same.
    let found = suggest(&mut past, "revenue", &[]);
    assert!(matches!(found, Err(Unexplained::NoEvents)), "{found:?}");
    let day = (
        0,
        r#"{"time": "2026-06-20T10:00:00+08:00", "what": "visits", "value": 3}"#.to_owned(),
    );
    let mut past = world::unjudged(
        &Files::new("", [("a.yaml", catalog.as_str())]),
        &[day],
        "2026-07-01T09:00:00+08:00",
    );
    let found = suggest(&mut past, "revenue", &[]).unwrap();
    let why = |found: &Suggestion| -> Vec<(String, Arithmetic)> {
        let kpis = found.arithmetic_kpis.iter();
        kpis.map(|kpi| (kpi.node.clone(), kpi.why)).collect()
    };
    assert_eq!(
        why(&found),
        [
            ("each".to_owned(), Arithmetic::MadeOfNode),
            ("again".to_owned(), Arithmetic::Same)
        ]
    );
    let told = text(&found, Language::En);
    for said in [
        "KPIs that were not compared, because they move with it by arithmetic:",
        "  - 客单 (each): revenue-per-visit is reckoned from the node's metric",
        "  - 再算 (again): revenue is the node's own metric",
    ] {
        assert!(told.contains(said), "{said} in\n{told}");
    }
    let told = text(&found, Language::Zh);
    assert!(
        told.contains("  - 再算（again）：用的是同一个指标 revenue"),
        "{told}"
    );
    let found = suggest(&mut past, "ratio", &[]).unwrap();
    assert_eq!(why(&found), [("shown".to_owned(), Arithmetic::PartOfNode)]);
}

#[test]
fn a_target_follows_the_closed_periods_day_by_day() {
    let mut past = ten_months();
    let target = suggest(&mut past, "revenue", &[]).unwrap().target.unwrap();
    assert_eq!(target.period.id, "2026-08");
    assert_eq!(
        target.basis,
        Basis::Recent {
            periods: 10,
            days: Some(31)
        }
    );
    let rates: Vec<f64> = target.history.iter().map(|(_, value)| value / 30.4).collect();
    assert!(
        target.median > 28.0 * 950.0 && target.median < 32.0 * 1050.0,
        "{rates:?}"
    );
    assert!(target.stretch > target.median && target.stretch < 1.1 * target.median);
}

#[test]
fn nothing_is_suggested_from_a_month() {
    let mut past = world::june();
    let found = suggest(&mut past, "revenue", &[]).unwrap();
    assert!(found.drivers.is_empty() && found.idle_kpis.is_empty() && found.target.is_none());
    assert!(
        found
            .not_looked_at
            .iter()
            .any(|other| other.why == Why::TooFewDays)
    );
    let error = suggest(&mut past, "revenu", &[]).unwrap_err().to_string();
    assert!(error.contains("did you mean 'revenue'?"), "{error}");
}
