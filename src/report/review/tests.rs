use jiff::civil::date;

use super::*;
use crate::catalog::load::Files;
use crate::report::world;

fn june() -> Review {
    review(&mut world::june(), None).unwrap()
}

#[test]
fn the_last_month_that_is_over_in_english() {
    insta::assert_snapshot!(markdown(&june(), Language::En, &TimeZone::UTC));
}

#[test]
fn the_same_in_chinese() {
    insta::assert_snapshot!(markdown(&june(), Language::Zh, &TimeZone::UTC));
}

#[test]
fn scores_weigh_capped_completions_and_mix_process_and_result() {
    let found = june();
    let [content] = &found.owners[..] else {
        panic!("{:?}", found.owners)
    };
    // 12 of 10 articles count 1.2; the weeks that close in June (from Monday the 1st): 12 and 0, 0, 0 of 2 each: 1.2, 0, 0, 0.
    let kpi = (100.0 * 1.2 + 50.0 * (1.2 / 4.0)) / 150.0;
    let business = 80.0 * 29.0 / 3000.0;
    assert!((content.kpi.unwrap() - kpi).abs() < 1e-9, "{content:?}");
    assert!((content.business.unwrap() - business).abs() < 1e-9, "{content:?}");
    assert!((content.combined.unwrap() - (0.7 * kpi + 0.3 * business)).abs() < 1e-9);
}

#[test]
fn a_period_that_runs_is_told_as_such_and_one_unknown_is_refused() {
    let mut past = world::june();
    let calendar = past.catalog.calendar.clone();
    let quarter = Period::named("2026-Q3", &calendar).unwrap();
    let running = review(&mut past, Some(quarter)).unwrap();
    assert!(!running.is_over);
    assert!(running.results.iter().all(|result| result.closed == 0));
    let long_ago = Period::named("2025", &calendar).unwrap();
    let refused = review(&mut past, Some(long_ago)).unwrap_err().to_string();
    assert!(refused.contains("begins on 2026-06-01"), "{refused}");
}

#[test]
fn a_page_holds_the_same_and_needs_nothing_from_elsewhere() {
    let page = html(&june(), Language::En, &TimeZone::UTC);
    assert!(page.contains("<h1>Review of June 2026</h1>"));
    assert!(page.contains("class=\"callout\""));
    assert!(!page.contains("http"), "{page}");
}

#[test]
fn a_score_counts_every_period_with_the_weight_of_its_time() {
    let found = review(&mut world::june_with(world::reweighed()), None).unwrap();
    let [content] = &found.owners[..] else {
        panic!("{:?}", found.owners)
    };
    // June began with 100 points for the month. The weeks of the 1st and the 8th count 50, those of the 15th and 22nd 60:
    // 1.2 · 50 / 220 at a mean weight of 55.
    let kpi = (100.0 * 1.2 + 55.0 * (1.2 * 50.0 / 220.0)) / 155.0;
    assert!((content.kpi.unwrap() - kpi).abs() < 1e-9, "{content:?} {kpi}");
}

#[test]
fn what_a_close_proposed_of_weights_is_told_with_its_reasons() {
    let found = review(&mut world::june_with(world::reweighed()), None).unwrap();
    let english = markdown(&found, Language::En, &TimeZone::UTC);
    for said in [
        "## Weight proposals",
        "销售额, at the close of 2026-06: waits for a decision.",
        "文章 explains 12% of what the KPIs explain of 销售额 (seen over 252 days): 90 → 84 points.",
    ] {
        assert!(english.contains(said), "{said} in\n{english}");
    }
    let chinese = markdown(&found, Language::Zh, &TimeZone::UTC);
    for said in [
        "## 权重建议",
        "销售额（2026-06 结束时）：待决定。",
        "每周文章占 88%（已观察 252 天）：60 → 66 分。",
    ] {
        assert!(chinese.contains(said), "{said} in\n{chinese}");
    }
    assert!(!markdown(&june(), Language::En, &TimeZone::UTC).contains("Weight proposals"));
}

/// Four stores without targets of their own that brought 100 a day each in May; in June one of them brings 20. Known up
/// to the end of a day.
fn stores(up_to: Date) -> Past {
    let catalog = r#"
calendar: {timezone: UTC}
sources: {orders: {topics: [orders], format: json, time: time, fields: {amount: amount, store: store}}}
metrics: {revenue: {source: orders, agg: sum, expr: amount, unit: CNY, dimensions: [store]}}
nodes:
  revenue: {title: 销售额, metric: revenue, role: business, period: month, profile: linear, target: 12000, owner: ceo}
  stores:  {title: 门店, metric: revenue, role: business, parent: revenue, relation: sum, each: [store], period: month}
"#;
    let files = Files::new("", [("a.yaml", catalog)]);
    let mut events = Vec::new();
    let mut day: Date = "2026-05-01".parse().unwrap();
    while day <= up_to {
        for store in ["north", "east", "south", "west"] {
            let amount = if store == "east" && day.month() == 6 {
                20
            } else {
                100
            };
            events.push((
                0,
                format!(r#"{{"time": "{day}T10:00:00Z", "amount": {amount}, "store": "{store}"}}"#),
            ));
        }
        day = day.tomorrow().unwrap();
    }
    world::unjudged(&files, &events, &format!("{up_to}T23:00:00Z"))
}

#[test]
fn a_missed_target_says_which_few_values_most_of_it_comes_from() {
    let found = review(&mut stores(date(2026, 7, 1)), None).unwrap();
    let english = markdown(&found, Language::En, &TimeZone::UTC);
    let said = "## Where most of a gap comes from\n\n- 销售额, −¥2,400 against its target: east −¥2,400 (100% of it); 3 others.\n";
    assert!(english.contains(said), "{english}");
    let chinese = markdown(&found, Language::Zh, &TimeZone::UTC);
    let said = "## 差距主要来自\n\n- 销售额，距目标 −¥2,400：east −¥2,400（占 100%）；另有 3 项。\n";
    assert!(chinese.contains(said), "{chinese}");
    let page = html(&found, Language::Zh, &TimeZone::UTC);
    assert!(page.contains("<li>销售额，距目标 −¥2,400：east"), "{page}");
}

#[test]
fn a_period_that_runs_behind_says_where_its_distance_from_plan_comes_from_and_a_met_one_nothing() {
    let mut past = stores(date(2026, 6, 15));
    let calendar = past.catalog.calendar.clone();
    let may = review(&mut past, Period::named("2026-05", &calendar)).unwrap();
    assert!(!markdown(&may, Language::En, &TimeZone::UTC).contains("Where most of a gap"));
    let june = review(&mut past, Period::named("2026-06", &calendar)).unwrap();
    let said = "- 销售额, behind its plan: east −¥1,196 (101% of it); 3 others.";
    let english = markdown(&june, Language::En, &TimeZone::UTC);
    assert!(english.contains(said), "{english}");
}

#[test]
fn what_is_not_judged_says_why() {
    let files = |node: &str| {
        let catalog = format!(
            "calendar: {{timezone: UTC}}
sources: {{s: {{topics: [t], format: json, time: t, fields: {{v: v}}}}}}
metrics:
  total: {{source: s, agg: sum, expr: v}}
  share: {{source: s, type: ratio, numerator: {{agg: count, filter: v > 1}}, denominator: {{agg: count, filter: v > 5}}}}
nodes: {{n: {{period: month, role: business, {node}}}}}"
        );
        Files::new("", [("a.yaml", catalog.as_str())])
    };
    let events: Vec<_> = ["2026-05-20", "2026-06-10", "2026-07-01"]
        .map(|day| (0, format!(r#"{{"t": "{day}T10:00:00Z", "v": 2}}"#)))
        .into();
    for (node, expected, english, chinese) in [
        ("metric: total", Unjudged::NoTarget, "no target", "无目标"),
        (
            "metric: share, target: 0.3",
            Unjudged::NoValue,
            "no value",
            "无数值",
        ),
    ] {
        let mut past = world::unjudged(&files(node), &events, "2026-07-01T23:00:00Z");
        let found = review(&mut past, None).unwrap();
        assert_eq!(found.results[0].unjudged, Some(expected), "{node}");
        let told = |language| markdown(&found, language, &TimeZone::UTC);
        assert!(told(Language::En).contains(english), "{node}");
        assert!(told(Language::Zh).contains(chinese), "{node}");
    }
    assert_eq!(june().results[0].unjudged, None);
}

#[test]
fn owners_of_business_targets_are_told_what_these_came_to() {
    let found = june();
    // East came to 1,740 of 2,000 and west to 580 of 1,000; the whole, of which the ceo answers for, to 2,320 of 3,000.
    let told: Vec<_> = found
        .business_owners
        .iter()
        .map(|of| (of.owner.as_str(), of.met, of.closed))
        .collect();
    assert_eq!(told, [("regions", 0, 2), ("ceo", 0, 1)]);
    let regions = found.business_owners[0].completion.unwrap();
    assert!((regions - (0.87 + 0.58) / 2.0).abs() < 1e-9, "{regions}");
}

#[test]
fn forecasts_of_instances_are_told_the_heaviest_miss_first() {
    let found = june();
    let titles: Vec<&str> = found.forecasts.iter().map(|of| of.title.as_str()).collect();
    assert_eq!(titles[..2], ["销售额", "文章"]);
    assert_eq!((titles.len(), found.forecasts_more), (4, 0));
    let of = |forecast, outcome| ForecastResult {
        title: format!("{forecast}"),
        unit: None,
        forecast,
        outcome,
        rule_of_three: None,
    };
    let (light, mut heavy) = (found.results[1].clone(), found.results[1].clone());
    heavy.weight = Some(10.0);
    // Misses of 0.5 and 0.2, of weights 1 and 10; and five that hit.
    let mut all = vec![(&light, of(50.0, 100.0)), (&heavy, of(80.0, 100.0))];
    all.extend((0..5).map(|_| (&light, of(0.0, 0.0))));
    let (shown, more) = heaviest(all);
    let order: Vec<f64> = shown.iter().map(|(_, found)| found.forecast).collect();
    assert_eq!((order, more), (vec![80.0, 50.0, 0.0, 0.0, 0.0], 2));
}

#[test]
fn what_to_look_at_is_ranked_with_owners_and_at_most_eight_lines() {
    let mut found = review(&mut world::june_with(world::reweighed()), None).unwrap();
    let english = markdown(&found, Language::En, &TimeZone::UTC);
    let said = "- 销售额: the weights proposed at the close of 2026-06 wait for a decision. (ceo)\n- 区域销售额 has no target for 2026-07 yet. (regions)";
    assert!(english.contains(said), "{english}");
    let chinese = markdown(&found, Language::Zh, &TimeZone::UTC);
    assert!(
        chinese.contains("- 销售额：2026-06 结束时的权重建议待决定。（ceo）"),
        "{chinese}"
    );
    let one = found.next[0].clone();
    found.next = vec![one; 11];
    assert!(markdown(&found, Language::En, &TimeZone::UTC).contains("And 3 more."));
}

#[test]
fn the_quality_of_data_is_told_by_source() {
    let mut found = june();
    found.corrections = 2;
    found.feeds[0].alerts = vec![FeedAlert {
        rule: "rejected".to_owned(),
        times: 2,
        lasted_seconds: 3 * 86_400,
    }];
    found.feeds[0].rejected = Some(Rejected {
        read: 200,
        rejected: 30,
        reason: Some("no_time".to_owned()),
    });
    let english = markdown(&found, Language::En, &TimeZone::UTC);
    let said = "rejected fired 2 times, for 3 days together; at worst 30 of 200 events in 24 hours were rejected, most often for no";
    assert!(english.contains(said), "{english}");
    assert!(english.contains("Late events corrected 2 verdicts."), "{english}");
    let chinese = markdown(&found, Language::Zh, &TimeZone::UTC);
    assert!(
        chinese.contains("rejected 告警 2 次，共 3 天；24 小时内 200 个事件中最多拒绝 30 个"),
        "{chinese}"
    );
}
