//! One identity climbs and descends the levels of its rule; every level has a clock of its own.

use super::*;

#[test]
fn the_milder_level_counts_while_the_worse_one_is_breached() {
    let mut bench = Bench::new(patient());
    bench.judge(0, CRITICAL);
    assert_eq!(
        bench.judge(10, CRITICAL),
        "1 fired ops",
        "warning held with critical"
    );
    assert_eq!(bench.judge(20, CRITICAL), "2 escalated ops, 2 fired boss");
}

#[test]
fn an_escalation_needs_its_level_without_a_break() {
    let mut bench = Bench::new(patient());
    for (at, condition) in [
        (0, WARNING),
        (10, CRITICAL),
        (20, WARNING),
        (21, CRITICAL),
        (40, CRITICAL),
    ] {
        bench.judge(at, condition);
    }
    assert_eq!(bench.state(), "firing warning");
    assert_eq!(bench.judge(41, CRITICAL), "2 escalated ops, 2 fired boss");
}

#[test]
fn an_alert_that_fires_starts_at_the_highest_level_that_is_due() {
    let mut bench = Bench::new(rule(&[(Severity::WARNING, 30), (Severity::CRITICAL, 0)], 15));
    assert_eq!(bench.judge(0, CRITICAL), "1 fired ops, 1 fired boss");
}

/// Down is an update without a notice; up again is news.
#[test]
fn a_level_that_is_back_is_told_again() {
    let mut bench = Bench::new(patient());
    bench.judge(0, CRITICAL);
    bench.judge(20, CRITICAL);
    assert_eq!(bench.judge(21, WARNING), "");
    assert_eq!(bench.judge(36, WARNING), "2 milder ops, 2 milder boss");
    assert_eq!(bench.state(), "firing warning");
    bench.judge(40, CRITICAL);
    assert_eq!(bench.judge(60, CRITICAL), "3 escalated ops, 3 escalated boss");
}

/// Steps down to the worst level of late, not to the one of this moment.
#[test]
fn a_step_down_stops_at_a_level_that_was_breached_lately() {
    let levels = [
        (Severity::INFO, 0),
        (Severity::WARNING, 0),
        (Severity::CRITICAL, 0),
    ];
    let mut bench = Bench::new(rule(&levels, 15));
    for (at, condition) in [(0, CRITICAL), (1, WARNING), (14, INFO), (16, INFO)] {
        bench.judge(at, condition);
    }
    assert_eq!(bench.state(), "firing warning");
    bench.judge(29, INFO);
    assert_eq!(bench.state(), "firing info");
}

/// The band is for keeping what is: a level is neither taken nor left there, though it is not breached either.
#[test]
fn no_level_changes_in_the_band() {
    let mut bench = Bench::new(patient());
    bench.judge(0, CRITICAL);
    bench.judge(20, CRITICAL);
    bench.judge(21, BAND);
    bench.judge(60, BAND);
    assert_eq!(bench.state(), "firing critical");
    bench.judge(61, WARNING);
    assert_eq!(bench.state(), "firing warning");
}

#[test]
fn falling_back_and_climbing_in_one_step_is_an_escalation() {
    let mut bench = Bench::new(rule(&[(Severity::WARNING, 0), (Severity::CRITICAL, 0)], 15));
    bench.judge(0, WARNING);
    bench.judge(1, CLEAR);
    assert_eq!(bench.judge(2, CRITICAL), "2 escalated ops, 2 fired boss");
}
