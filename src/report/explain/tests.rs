use super::*;
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
fn what_cannot_be_explained_says_why_and_what_to_ask() {
    assert_eq!(
        told("articels", &[], None, Language::En),
        "no node 'articels' in the catalogue; did you mean 'articles'?"
    );
    let which = told("regions", &[], Some("2026-06-16T00:00:00+08:00"), Language::En);
    assert!(
        which.contains("tautline explain regions east") && which.contains("\n  west"),
        "{which}"
    );
    let before = told("articles", &["east"], None, Language::En);
    assert!(before.contains("had no numbers"), "{before}");
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
