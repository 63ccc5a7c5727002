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
