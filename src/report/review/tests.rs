use super::*;
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
