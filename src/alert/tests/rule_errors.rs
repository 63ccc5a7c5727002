//! A rule that cannot be evaluated: its alerts freeze, and after a while somebody is told.

use super::*;

#[test]
fn a_rule_that_fails_for_a_quarter_of_an_hour_is_told_about_once() {
    let mut bench = Bench::new(patient());
    assert_eq!(
        words(&bench.step(0, &[("articles", ERROR), ("visits", CLEAR)]).notices),
        ""
    );
    assert_eq!(
        words(&bench.step(14, &[("articles", ERROR), ("visits", CLEAR)]).notices),
        ""
    );
    let step = bench.step(15, &[("articles", ERROR), ("visits", CLEAR)]);
    let [notice] = step.notices.as_slice() else {
        panic!("one notice: {:?}", step.notices);
    };
    assert_eq!(notice.kind, NoticeKind::Fired);
    assert_eq!(notice.alert_kind, "rule_error");
    let labels = [
        ("alertname", "rule_error"),
        ("rule", "hollow"),
        ("node", "articles"),
    ];
    let expected: Labels = labels
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    assert_eq!(notice.labels, expected);

    assert_eq!(bench.judge(16, ERROR), "");
    assert_eq!(bench.judge(17, CLEAR), "2 resolved ops Recovered");
}

#[test]
fn the_settings_say_for_how_long_a_rule_may_fail() {
    let mut bench = Bench::new(patient());
    bench.manners.error_for = SignedDuration::from_mins(2);
    bench.engine = Engine::new("store").within(bench.manners);
    assert_eq!(bench.judge(0, ERROR), "");
    assert_eq!(bench.judge(1, ERROR), "");
    assert_eq!(bench.judge(2, ERROR), "1 fired ops");
}

#[test]
fn an_error_that_passes_is_not_told() {
    let mut bench = Bench::new(patient());
    for (at, condition) in [(0, ERROR), (10, CLEAR), (11, ERROR), (20, ERROR)] {
        assert_eq!(bench.judge(at, condition), "");
    }
    bench.judge(21, CLEAR);
    assert_eq!(bench.engine.records().count(), 0);
}

#[test]
fn an_alert_of_the_rule_is_frozen_meanwhile() {
    let mut bench = Bench::new(patient());
    bench.judge(0, WARNING);
    bench.judge(10, WARNING);
    bench.judge(11, CLEAR);
    bench.judge(12, ERROR);
    assert_eq!(bench.judge(40, ERROR), "1 fired ops", "only that the rule fails");
    assert_eq!(bench.state(), "recovering since 11");
    assert_eq!(
        bench.judge(41, CLEAR),
        "2 resolved ops Recovered",
        "only that the rule works again"
    );
    assert_eq!(bench.state(), "recovering since 40");
    assert_eq!(bench.judge(55, CLEAR), "2 resolved ops Recovered");
}

#[test]
fn it_goes_with_its_rule() {
    let mut bench = Bench::new(patient());
    bench.judge(0, ERROR);
    bench.judge(15, ERROR);
    assert_eq!(
        bench.vanish(16),
        "",
        "a rule that judges nothing is not known to work"
    );
    bench.rules.clear();
    assert_eq!(bench.vanish(17), "2 resolved ops RuleDeleted");
}

/// Its record has no period to outlive, and its count of episodes is part of ids.
#[test]
fn its_episodes_are_counted_on_over_months() {
    let mut bench = Bench::new(patient());
    bench.judge(0, ERROR);
    let first = bench.step(15, &[(NODE, ERROR)]).notices;
    bench.judge(16, CLEAR);
    bench.judge(100_000, ERROR);
    let second = bench.step(100_015, &[(NODE, ERROR)]).notices;
    assert_eq!((first.len(), second.len()), (1, 1));
    assert_ne!(first[0].episode, second[0].episode);
}
