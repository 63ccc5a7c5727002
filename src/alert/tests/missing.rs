//! Data that is missing, by what the rule says of it.

use super::*;

fn with(on_missing: OnMissing) -> Bench {
    Bench::new(Rule {
        on_missing,
        ..patient()
    })
}

#[test]
fn keep_stops_every_clock_for_as_long_as_the_gap() {
    let mut bench = with(OnMissing::Keep);
    bench.judge(0, WARNING);
    bench.judge(10, CRITICAL);
    bench.judge(15, MISSING);
    bench.judge(500, MISSING);
    // 485 minutes of gap: critical has held for 5 of its 20 minutes.
    bench.judge(500, CRITICAL);
    assert_eq!(bench.judge(514, CRITICAL), "");
    assert_eq!(bench.judge(515, CRITICAL), "2 escalated ops, 2 fired boss");

    bench.judge(520, CLEAR);
    bench.judge(525, MISSING);
    bench.judge(625, CLEAR);
    assert_eq!(bench.state(), "recovering since 620");
    assert_eq!(bench.judge(634, CLEAR), "");
    assert_eq!(
        bench.judge(635, CLEAR),
        "3 resolved ops Recovered, 3 resolved boss Recovered"
    );
}

#[test]
fn alert_counts_it_as_a_breach_of_the_mildest_level() {
    let mut bench = with(OnMissing::Alert);
    assert_eq!(bench.judge(0, MISSING), "");
    assert_eq!(
        bench.state(),
        "inactive",
        "what was never seen has nothing to raise"
    );
    bench.judge(1, WARNING);
    assert_eq!(bench.judge(11, MISSING), "1 fired ops");
    bench.judge(12, CLEAR);
    bench.judge(13, MISSING);
    assert_eq!(bench.state(), "firing warning");
}

#[test]
fn resolve_counts_it_as_clear() {
    let mut bench = with(OnMissing::Resolve);
    bench.judge(0, WARNING);
    bench.judge(9, MISSING);
    assert_eq!(bench.state(), "inactive");
    bench.judge(10, WARNING);
    bench.judge(20, WARNING);
    bench.judge(21, MISSING);
    assert_eq!(bench.state(), "recovering since 21");
    assert_eq!(bench.judge(36, MISSING), "2 resolved ops Recovered");
}

#[test]
fn no_data_resolves_at_once() {
    let mut bench = with(OnMissing::NoData);
    bench.judge(0, WARNING);
    assert_eq!(bench.judge(1, MISSING), "");
    assert_eq!(bench.state(), "inactive");
    bench.judge(10, WARNING);
    bench.judge(20, WARNING);
    assert_eq!(bench.judge(21, MISSING), "2 resolved ops NoData");
}

/// The numbers of a moment without numbers are not worth keeping.
#[test]
fn the_last_known_numbers_stay() {
    let mut bench = with(OnMissing::NoData);
    bench.judge(0, WARNING);
    bench.judge(10, WARNING);
    bench.completion = f64::NAN;
    let notices = bench.step(11, &[(NODE, MISSING)]).notices;
    assert_eq!(notices[0].facts.node.as_ref().unwrap().completion, Some(0.5));
}
