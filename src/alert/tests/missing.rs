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
fn what_fires_gets_no_milder_because_data_is_missing() {
    let unanswered = Condition::AtLeast(Severity::WARNING);
    for on_missing in [OnMissing::Keep, OnMissing::Alert] {
        let mut bench = Bench::new(Rule {
            on_missing,
            ..rule(&[(Severity::WARNING, 0), (Severity::CRITICAL, 0)], 0)
        });
        bench.judge(0, CRITICAL);
        bench.judge(1, MISSING);
        assert_eq!(bench.state(), "firing critical");
        // The milder condition holds, of the worse one nobody knows.
        bench.judge(2, unanswered);
        assert_eq!(bench.state(), "firing critical");
        bench.judge(3, WARNING);
        assert_eq!(bench.state(), "firing warning");
        bench.judge(4, unanswered);
        assert_eq!(bench.state(), "firing warning");
    }
    // What does not fire yet begins with what is known.
    let mut bench = Bench::new(rule(&[(Severity::WARNING, 0), (Severity::CRITICAL, 0)], 0));
    assert_eq!(bench.judge(0, unanswered), "1 fired ops");
}

#[test]
fn a_worse_condition_without_an_answer_is_not_one_that_does_not_hold() {
    let rule = rule(&[(Severity::WARNING, 0), (Severity::CRITICAL, 0)], 0);
    let asked = Cell::new(0);
    // The worst level is asked first.
    let condition = rule.condition(|_| {
        asked.set(asked.get() + 1);
        Ok((asked.get() > 1).then_some(true))
    });
    assert_eq!(condition, Condition::AtLeast(Severity::WARNING));
    assert_eq!(rule.condition(|_| Ok(Some(true))), CRITICAL);
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
