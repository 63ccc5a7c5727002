use super::*;
use crate::catalog::load::Files;
use crate::report::world;
use crate::words::Language;

fn told(name: &str, dimensions: &[&str], at: Option<&str>, language: Language) -> String {
    let mut past = world::june();
    let dimensions: Vec<String> = dimensions.iter().map(|value| (*value).to_owned()).collect();
    let at = at.map(|at| at.parse().unwrap());
    match explain(&mut past, name, &dimensions, at) {
        Ok(found) => text(&found, language, &past.catalog.calendar.timezone),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_kpi_with_every_number_behind_it() {
    insta::assert_snapshot!(told(
        "articles",
        &[],
        Some("2026-06-16T00:00:00+08:00"),
        Language::En
    ));
}

#[test]
fn a_business_metric_with_its_parts_in_chinese() {
    insta::assert_snapshot!(told(
        "revenue",
        &[],
        Some("2026-06-16T00:00:00+08:00"),
        Language::Zh
    ));
}

#[test]
fn what_is_late_is_said_beside_the_forecast() {
    let mut past = world::june();
    let at = "2026-06-16T00:00:00+08:00".parse().unwrap();
    let mut found = explain(&mut past, "articles", &[], Some(at)).unwrap();
    assert_eq!(found.forecast_late, None, "everything comes on its day");
    found.forecast_late = Some(1.5);
    let text = |language| text(&found, language, &past.catalog.calendar.timezone);
    assert!(
        text(Language::En)
            .contains("+ about 7.999 to come (1.5 of it of past days whose data is late), four times"),
        "{}",
        text(Language::En)
    );
    assert!(
        text(Language::Zh).contains("（其中约 1.5 属于数据尚未到齐的过去几天）"),
        "{}",
        text(Language::Zh)
    );
}

#[test]
fn what_cannot_be_explained_says_why_and_what_to_ask() {
    assert_eq!(
        told("articels", &[], None, Language::En),
        "no node 'articels' in the catalogue; did you mean 'articles'?"
    );
    let which = told("regions", &[], Some("2026-06-16T00:00:00+08:00"), Language::En);
    assert!(
        which.contains("; say which, such as regions east") && which.contains("\n  west"),
        "{which}"
    );
    let unknown = told(
        "regions",
        &["north"],
        Some("2026-06-16T00:00:00+08:00"),
        Language::En,
    );
    assert!(
        unknown.contains("; 'north' is none of them; say which, such as regions east"),
        "{unknown}"
    );
    assert_eq!(
        told("articles", &["east"], None, Language::En),
        "'articles' is one node for all and not one for each value; leave out 'east'"
    );
    assert_eq!(
        told("zzz", &[], None, Language::En),
        "no node 'zzz' in the catalogue; `tautline tree` shows all"
    );
}

#[test]
fn an_instance_that_is_left_alone_says_until_when() {
    let mut past = world::june();
    let regions = std::sync::Arc::make_mut(&mut past.catalog).nodes.iter_mut();
    for node in regions {
        node.new_group_delay = jiff::SignedDuration::from_hours(20 * 24);
    }
    let mut told = |node: &str, of: &[String], at: &str| {
        let found = explain(&mut past, node, of, Some(at.parse().unwrap())).unwrap();
        text(&found, Language::En, &past.catalog.calendar.timezone)
    };
    let east = ["east".to_owned()];
    // Its target names it from the first of June on; the first day does not count.
    let new = told("regions", &east, "2026-06-16T00:00:00+08:00");
    assert!(new.contains("new: no alert before 22 June 00:00"), "{new}");
    let known = told("regions", &east, "2026-06-22T00:00:00+08:00");
    assert!(!known.contains("new: no alert"), "{known}");
    let whole = told("revenue", &[], "2026-06-16T00:00:00+08:00");
    assert!(!whole.contains("new: no alert"), "{whole}");
}

#[test]
fn the_days_add_up_to_the_value() {
    let mut past = world::june();
    let at = Some("2026-06-24T12:00:00+08:00".parse().unwrap());
    let found = explain(&mut past, "regions", &["east".to_owned()], at).unwrap();
    let sum: f64 = found.days.iter().filter_map(|day| day.value).sum();
    assert_eq!((found.days.len(), Some(sum)), (24, found.value));
    assert_eq!(found.target_from, TargetFrom::File { announced: None });
}

#[test]
fn the_weight_is_that_of_its_period_and_its_history_is_told() {
    let mut past = world::june_with(world::reweighed());
    let mut told = |node: &str, at: &str| {
        let found = explain(&mut past, node, &[], Some(at.parse().unwrap())).unwrap();
        (
            found.weight,
            text(&found, Language::En, &past.catalog.calendar.timezone),
        )
    };
    // The month began before the change, and keeps its weight to its end.
    let (weight, _) = told("articles", "2026-06-30T00:00:00+08:00");
    assert_eq!(weight, Some(100.0));
    let (weight, _) = told("weekly", "2026-06-14T12:00:00+08:00");
    assert_eq!(weight, Some(50.0));
    let (weight, _) = told("weekly", "2026-06-16T12:00:00+08:00");
    assert_eq!(weight, Some(60.0));
    let (weight, now) = told("articles", "2026-07-02T09:00:00+08:00");
    assert_eq!(weight, Some(90.0));
    for said in [
        "Weight · From the beginning 100 points: as the catalogue declares",
        "Weight · From 2026-06-15 90 points: 王芳 approved what the close of 2026-05 proposed",
        "Weight proposed · 文章 explains 12% of what the KPIs explain of 销售额 (seen over 252 days): 90 → 84 points.",
    ] {
        assert!(now.contains(said), "{said} in\n{now}");
    }
}

/// Different keys are exact up to 4,096; what is more says so. Percentiles always do, and nothing else does.
#[test]
fn an_estimate_says_that_it_is_one() {
    let yaml = "sources:\n  s: {topics: [t], format: json, time: t, fields: {c: c, v: v}}\nmetrics:\n  people: {source: s, agg: count_distinct, expr: c}\n  half: {source: s, agg: p50, expr: v}\n  each: {source: s, type: ratio, numerator: {agg: sum, expr: v}, denominator: {agg: count_distinct, expr: c}}\nnodes:\n  people: {metric: people, role: business, period: month}\n  half: {metric: half, role: business, period: month}\n  each: {metric: each, role: business, period: month}\n";
    let files = Files::new("", [("a.yaml", yaml)]);
    let said = |customers: u32, node: &str, language| {
        let event = |c| {
            (
                0,
                format!(r#"{{"t": "2026-06-02T10:00:00Z", "c": "c{c}", "v": 2}}"#),
            )
        };
        let events: Vec<_> = (0..customers).map(event).collect();
        let mut past = world::unjudged(&files, &events, "2026-06-03T10:00:00Z");
        let found = explain(&mut past, node, &[], None).unwrap();
        text(&found, language, &past.catalog.calendar.timezone)
    };
    let distinct = "more than 4,096 different keys, counted by HyperLogLog, standard error 0.8%";
    for node in ["people", "each"] {
        assert!(!said(4096, node, Language::En).contains("estimate"), "{node}");
        assert!(said(4097, node, Language::En).contains(distinct), "{node}");
    }
    assert!(said(4097, "people", Language::Zh).contains("不同的键多于 4,096 个"));
    let half = said(3, "half", Language::En);
    assert!(
        half.contains("a percentile, read from a DDSketch, at most 0.8% off"),
        "{half}"
    );
}

/// A shop without orders, where articles are written: what drives revenue, of what, and what it is split into.
const SHOP: &str = "
calendar: {timezone: UTC}
sources:
  orders:   {topics: [o], format: json, time: t, fields: {v: v, region: region}}
  articles: {topics: [a], format: json, time: t, fields: {v: v}}
metrics:
  revenue:  {source: orders, agg: sum, expr: v, dimensions: [region]}
  articles: {source: articles, agg: count}
nodes:
  revenue:  {title: Revenue, metric: revenue, role: business, period: month, target: 300}
  regions:  {title: Regions, metric: revenue, role: business, parent: revenue, relation: sum, each: [region], period: month}
  articles: {title: Articles, metric: articles, role: kpi, parent: revenue, period: month, target: 10}
";

fn of_shop(name: &str, sources: &[u32], at: Option<&str>, language: Language) -> String {
    let event = |source: &u32| {
        let payload = r#"{"t": "2026-05-20T10:00:00Z", "v": 2, "region": "east"}"#;
        let later = payload.replace("05-20", "06-20");
        [(*source, payload.to_owned()), (*source, later)]
    };
    let events: Vec<_> = sources.iter().flat_map(event).collect();
    let files = Files::new("", [("a.yaml", SHOP)]);
    let mut past = world::unjudged(&files, &events, "2026-06-21T10:00:00Z");
    let at = at.map(|at| at.parse().unwrap());
    let found = explain(&mut past, name, &[], at).unwrap();
    text(&found, language, &past.catalog.calendar.timezone)
}

#[test]
fn a_link_of_which_nothing_is_known_says_why() {
    for (sources, at, said) in [
        (
            &[1][..],
            None,
            "not judged yet: the parent has brought nothing yet",
        ),
        (&[0], None, "not judged yet: this has brought nothing yet"),
        (
            &[0, 1],
            None,
            "not judged yet: no day has closed since both have data",
        ),
        (
            &[0, 1],
            Some("2026-06-20T12:00:00Z"),
            "not kept: by then it had closed no month",
        ),
    ] {
        let told = of_shop("articles", sources, at, Language::En);
        assert!(told.contains(said), "{said} in\n{told}");
    }
    let told = of_shop("articles", &[1], None, Language::Zh);
    assert!(told.contains("还没有判断：上级还没有数据"), "{told}");
    // What nothing drives has no link to speak of.
    let told = of_shop("revenue", &[0, 1], None, Language::En);
    assert!(!told.contains("not judged yet"), "{told}");
}

#[test]
fn an_account_that_cannot_be_made_says_why() {
    let told = of_shop("revenue", &[0, 1], None, Language::En);
    for said in [
        "by its parts\n  cannot be told: Regions · east: it has no target for these days\n",
        "Articles       not yet: its link is still being learned\n",
    ] {
        assert!(told.contains(said), "{said} in\n{told}");
    }
    let told = of_shop("revenue", &[0, 1], None, Language::Zh);
    assert!(told.contains("无法给出：Regions · east没有目标"), "{told}");
}

#[test]
fn a_gap_is_split_by_a_dimension_that_makes_no_instances() {
    const CATALOG: &str = r#"
calendar: {timezone: Asia/Shanghai}
sources:
  days: {topics: [days], format: json, time: time, fields: {value: value, shop: shop, channel: channel}}
metrics:
  sales: {source: days, agg: sum, expr: value, dimensions: [shop, channel]}
nodes:
  all:   {title: 销售额, metric: sales, role: business, period: month, profile: linear, target: 6000, drill: [channel]}
  shops: {title: 门店, metric: sales, role: business, parent: all, relation: sum, each: [shop], period: month, profile: linear, drill: [channel]}
"#;
    let mut events = Vec::new();
    for (month, days) in [(5, 31), (6, 15)] {
        for day in 1..=days {
            for (shop, channel) in [("a", "web"), ("a", "app"), ("a", "store"), ("b", "store")] {
                // As much everywhere in May; in June half of it on the web.
                let value = if month == 6 && channel == "web" { 25 } else { 50 };
                events.push((
                    0,
                    format!(r#"{{"time": "2026-{month:02}-{day:02}T10:00:00+08:00", "value": {value}, "shop": "{shop}", "channel": "{channel}"}}"#),
                ));
            }
        }
    }
    let files = crate::catalog::load::Files::new("", [("a.yaml", CATALOG)]);
    let mut past = world::unjudged(&files, &events, "2026-06-16T00:00:00+08:00");
    let found = explain(&mut past, "all", &[], None).unwrap();
    // 2,625 of 3,000 that were planned: of the web a quarter of them, 750, and 375 came.
    let by_channel = found
        .drills
        .iter()
        .find(|drill| drill.dimensions == ["channel"])
        .unwrap();
    let parts: Vec<(&str, f64)> = by_channel
        .parts
        .iter()
        .map(|part| (part.values[0].as_str(), (part.amount * 1e6).round() / 1e6))
        .collect();
    assert_eq!((parts.as_slice(), by_channel.others), (&[("web", -375.0)][..], 2));
    assert!(by_channel.not_explained.abs() < 1e-9, "{by_channel:?}");
    assert!(
        found.not_counted_by.is_empty(),
        "shops have a node, channels are drilled"
    );
    let told = text(&found, Language::En, &past.catalog.calendar.timezone);
    assert!(told.contains("  channel") && told.contains("web −375"), "{told}");
    // No instance comes of it, and messages name the same.
    let snapshot = past.at(found.at);
    assert_eq!(snapshot.instances.iter().count(), 3);
    let key = snapshot
        .instances
        .iter()
        .find(|state| state.key.dimensions.is_empty())
        .unwrap()
        .key
        .clone();
    let driver = |_: &NodeState, _: &NodeState| Err(crate::evaluate::attribution::Untold::Learning);
    let causes =
        crate::alert::causes::of(&past.catalog, &snapshot, &key, &past.known_at(found.at), driver).unwrap();
    assert_eq!(
        (causes.parts[0].title.as_str(), causes.parts[0].amount.round()),
        ("web", -375.0)
    );
}

#[test]
fn a_band_says_where_the_value_stands_and_what_of_it_is_due() {
    const CATALOG: &str = r#"
calendar: {timezone: Asia/Shanghai}
sources:
  days: {topics: [days], format: json, time: time, fields: {value: value}}
metrics:
  stock: {source: days, agg: last, expr: value, unit: days}
  spend: {source: days, agg: sum, expr: value}
nodes:
  stock: {metric: stock, role: business, period: month, target: {band: [20, 30]}}
  spend: {metric: spend, role: business, period: month, profile: linear, target: {band: [900, 1300]}}
"#;
    let event = |day: i32| {
        (
            0,
            format!(r#"{{"time": "2026-06-{day:02}T10:00:00+08:00", "value": 34}}"#),
        )
    };
    let events: Vec<(u32, String)> = (1..=15).map(event).collect();
    let files = crate::catalog::load::Files::new("", [("a.yaml", CATALOG)]);
    let mut past = world::unjudged(&files, &events, "2026-06-16T00:00:00+08:00");
    let mut told = |node: &str, language| {
        let found = explain(&mut past, node, &[], None).unwrap();
        text(&found, language, &past.catalog.calendar.timezone)
    };
    // Four above a band of ten.
    let stock = told("stock", Language::En);
    for said in [
        "20 to 30 days = the same every period",
        "60% = 1 − 4 / 10: 4 above the band",
    ] {
        assert!(stock.contains(said), "{said} in\n{stock}");
    }
    let stock = told("stock", Language::Zh);
    for said in ["20 至 30 days = 每期相同", "60% = 1 − 4 / 10：高于区间 4"] {
        assert!(stock.contains(said), "{said} in\n{stock}");
    }
    // 510 where half of 900 to 1,300 is due.
    let spend = told("spend", Language::En);
    for said in ["expects 50% = 450 to 650 by now", "1.00"] {
        assert!(spend.contains(said), "{said} in\n{spend}");
    }
}

#[test]
fn values_below_nothing_have_no_ratio_and_that_is_said() {
    let link = LinkText {
        as_of: None,
        strength: None,
        lag_days: None,
        elasticity: None,
        ranges: None,
        parent_gap: None,
        judged_days: 3,
        below_zero: Some(LinkSide::Parent),
        findings: Vec::new(),
        evidence: BTreeMap::new(),
    };
    let mut past = world::june();
    let mut found = explain(&mut past, "articles", &[], None).unwrap();
    found.link = Some(link);
    let told = |language| text(&found, language, &past.catalog.calendar.timezone);
    let english = told(Language::En);
    let said = "not judged: values of the parent come to less than 0 of late";
    assert!(english.contains(said), "{said} in\n{english}");
    assert!(told(Language::Zh).contains("不判断：上级近来的数值合计为负"));
    // One that is judged, and has come apart.
    let found_hollow = LinkFound {
        kind: "hollow",
        since: Some(jiff::civil::date(2026, 6, 3)),
        confidence: Some(0.982),
    };
    let judged = found.link.as_mut().unwrap();
    judged.below_zero = None;
    judged.parent_gap = Some(-0.31);
    judged.findings.push(found_hollow);
    let told = |language| text(&found, language, &past.catalog.calendar.timezone);
    let said = "−31% from what this explains, hollow since 2026-06-03, 98% sure, judged for 3 days";
    let english = told(Language::En);
    assert!(english.contains(said), "{said} in\n{english}");
    let said = "相差 −31%，hollow 自 2026-06-03 起，把握 98%，已观察 3 天";
    let chinese = told(Language::Zh);
    assert!(chinese.contains(said), "{said} in\n{chinese}");
    let mut snapshot = past.at(found.at);
    let place = |snapshot: &Snapshot, name: &str| {
        let id = past.catalog.node_named(name).unwrap();
        let is_it = |state: &NodeState| state.key.node == id;
        snapshot.instances.iter().position(is_it).unwrap()
    };
    let (kpi, parent) = (place(&snapshot, "articles"), place(&snapshot, "revenue"));
    let side = |snapshot: &Snapshot| below_zero(snapshot, &snapshot.instances[kpi]);
    assert_eq!(side(&snapshot), None);
    // Refunds of more than what came, over four weeks together; what was before does not count.
    snapshot.instances[parent].daily = [vec![Some(900.0)], vec![Some(-1.0); 28]].concat().into();
    assert_eq!(side(&snapshot), Some(LinkSide::Parent));
    snapshot.instances[parent].daily = [vec![Some(-900.0)], vec![Some(1.0); 28]].concat().into();
    assert_eq!(side(&snapshot), None);
}
