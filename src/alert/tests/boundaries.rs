//! On an exact tick, `for` and `keep_firing_for` last exactly as long as they say; and what a reload does to clocks.

use super::*;

/// Steps once a second and returns the second at which something was told.
fn first_told(bench: &mut Bench, from: i64, condition: Condition) -> i64 {
    let rule = bench.rules[0].clone();
    (from..from + 10_000)
        .find(|second| {
            let sample = Sample {
                rule: &rule,
                node: NODE,
                fingerprint: fingerprint_of(NODE),
                condition,
                period_end: Some(minute(FAR)),
                is_new: false,
                about: Known {
                    node: NODE,
                    completion: 0.5,
                    asked: &bench.asked,
                },
            };
            let at = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(*second);
            let routing = routing_of(&[(Severity::INFO, "ops".to_owned())]);
            let world = nothing();
            let moment = Some(moment(at, &routing, &world));
            let step = bench.engine.step(&[sample], &bench.rules, at, moment);
            !step.notices.is_empty()
        })
        .unwrap()
}

#[test]
fn holding_times_last_exactly_as_long_as_they_say() {
    let mut bench = Bench::new(patient());
    assert_eq!(first_told(&mut bench, 0, WARNING), 600);
    assert_eq!(first_told(&mut bench, 1000, CLEAR), 1000 + 900);
}

#[test]
fn keep_firing_for_never_helps_a_pending_alert() {
    let mut bench = Bench::new(patient());
    bench.judge(0, WARNING);
    bench.judge(9, CLEAR);
    bench.judge(10, WARNING);
    assert_eq!(bench.state(), "pending since 10");
}

#[test]
fn a_reload_keeps_since_and_judges_again_at_the_next_step() {
    let mut bench = Bench::new(patient());
    bench.judge(0, WARNING);
    bench.judge(4, WARNING);
    bench.rules[0].levels[0].hold_for = SignedDuration::from_mins(5);
    assert_eq!(bench.judge(5, WARNING), "1 fired ops");

    bench.judge(6, CLEAR);
    bench.rules[0].keep_firing_for = SignedDuration::from_mins(2);
    assert_eq!(bench.judge(8, CLEAR), "2 resolved ops Recovered");
}

/// People were told already.
#[test]
fn a_longer_for_does_not_put_a_firing_alert_back_to_pending() {
    let mut bench = Bench::new(patient());
    bench.judge(0, WARNING);
    bench.judge(10, WARNING);
    bench.rules[0].levels[0].hold_for = SignedDuration::from_hours(10);
    assert_eq!(bench.judge(11, WARNING), "");
    assert_eq!(bench.state(), "firing warning");
}

#[test]
fn a_level_that_a_reload_took_away_is_left_in_its_time() {
    let mut bench = Bench::new(patient());
    bench.judge(0, CRITICAL);
    bench.judge(20, CRITICAL);
    bench.rules[0].levels.pop();
    bench.judge(21, WARNING);
    assert_eq!(bench.state(), "firing critical");
    bench.judge(36, WARNING);
    assert_eq!(bench.state(), "firing warning");
}

/// A watermark does not move back, but a restart may bring one that is a little older.
#[test]
fn an_older_watermark_does_no_harm() {
    let mut bench = Bench::new(patient());
    bench.judge(10, WARNING);
    bench.judge(15, MISSING);
    bench.judge(8, WARNING);
    bench.judge(10, WARNING);
    assert_eq!(bench.state(), "pending since 10");
    assert_eq!(bench.judge(20, WARNING), "1 fired ops");
}
