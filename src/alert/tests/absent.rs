//! Identities that are not judged any more: their rule is gone, their period is over, or their data is.

use super::*;
use crate::alert::notice::ResolveReason;
use crate::alert::notice::Verdict;

fn firing() -> Bench {
    let mut bench = Bench::new(patient());
    bench.period_end = 1000;
    bench.judge(0, WARNING);
    bench.judge(10, WARNING);
    assert_eq!(bench.state(), "firing warning");
    bench
}

#[test]
fn a_rule_that_is_gone_resolves_its_alerts() {
    let mut bench = firing();
    bench.rules.clear();
    assert_eq!(bench.vanish(11), "2 resolved ops RuleDeleted");
    assert_eq!(bench.vanish(12), "");
}

#[test]
fn a_rule_that_does_not_apply_any_more_resolves_its_alerts() {
    let mut bench = firing();
    bench.rules[0].except = vec![NODE.to_owned()];
    assert_eq!(bench.vanish(11), "2 resolved ops RuleDeleted");
}

#[test]
fn a_rule_that_is_switched_off_at_the_node_pauses_its_alerts() {
    let mut bench = firing();
    bench.rules[0].except = vec![NODE.to_owned()];
    bench.rules[0].off = vec![NODE.to_owned()];
    assert_eq!(bench.vanish(11), "2 resolved ops Paused");
    assert_eq!(bench.vanish(12), "");
    bench.rules[0].except.clear();
    bench.rules[0].off.clear();
    bench.judge(13, WARNING);
    assert_eq!(
        bench.state(),
        "pending since 13",
        "switched on again, it begins anew"
    );
}

#[test]
fn an_identity_that_is_not_declared_any_more_resolves() {
    let mut bench = firing();
    let is_gone = |record: &AlertRecord| record.labels["node"] == NODE;
    bench
        .engine
        .withdraw(|record| is_gone(record).then_some(ResolveReason::Updated));
    assert_eq!(bench.vanish(11), "2 resolved ops Updated");
}

#[test]
fn an_identity_that_is_judged_was_not_withdrawn() {
    let mut bench = firing();
    bench.engine.withdraw(|_| Some(ResolveReason::Updated));
    assert_eq!(bench.judge(11, WARNING), "");
    assert_eq!(bench.vanish(12), "");
    assert_eq!(bench.state(), "firing warning");
}

#[test]
fn a_period_that_is_over_resolves_with_a_verdict() {
    for (completion, verdict) in [(0.99, Verdict::Missed), (1.0, Verdict::Met)] {
        let mut bench = firing();
        bench.completion = completion;
        bench.judge(999, WARNING);
        assert_eq!(bench.vanish(999), "");
        let notices = bench.step(1000, &[]).notices;
        assert_eq!(words(&notices), "2 resolved ops PeriodClosed");
        assert_eq!(notices[0].verdict, Some(verdict));
        let told = notices[0].facts.node.as_ref().unwrap().completion;
        assert_eq!(told, Some(completion), "the facts of the last sample");
    }
}

#[test]
fn final_figures_are_judged_once_before_the_period_closes() {
    let mut bench = firing();
    bench.completion = 1.2;
    let notices = bench.step(1000, &[(NODE, WARNING)]).notices;
    assert_eq!(words(&notices), "2 resolved ops PeriodClosed");
    assert_eq!(notices[0].verdict, Some(Verdict::Met));
    assert_eq!(bench.judge(1001, WARNING), "");
    assert_eq!(bench.state(), "inactive");

    let mut bench = Bench::new(hasty());
    bench.period_end = 1000;
    bench.judge(0, WARNING);
    assert_eq!(bench.judge(1000, CLEAR), "2 resolved ops Recovered");
}

/// An alert that begins with the end of its period could only be told to be over.
#[test]
fn nothing_begins_with_the_close() {
    let mut bench = Bench::new(hasty());
    bench.period_end = 1000;
    assert_eq!(bench.judge(1000, WARNING), "");
    assert_eq!(bench.engine.records().count(), 0);

    let mut bench = Bench::new(patient());
    bench.period_end = 1000;
    bench.judge(990, WARNING);
    assert_eq!(bench.judge(1000, WARNING), "");
    assert_eq!(bench.state(), "inactive");
}

#[test]
fn otherwise_the_data_is_missing() {
    let mut bench = firing();
    bench.judge(12, CLEAR);
    assert_eq!(bench.vanish(13), "");
    bench.judge(113, CLEAR);
    assert_eq!(bench.state(), "recovering since 112", "the clock stood still");

    let mut bench = firing();
    bench.rules[0].on_missing = OnMissing::NoData;
    assert_eq!(bench.vanish(11), "2 resolved ops NoData");
}

#[test]
fn a_pending_alert_that_vanishes_goes_without_a_word() {
    let mut bench = Bench::new(patient());
    bench.judge(0, WARNING);
    assert_eq!(bench.vanish(5), "");
    assert_eq!(bench.engine.records().count(), 0);
    assert!(bench.store.is_empty());
}

#[test]
fn records_of_closed_periods_are_forgotten_after_a_week() {
    let week = 7 * 24 * 60;
    let mut bench = firing();
    bench.vanish(1000);
    assert_eq!(bench.news(1000 + week - 1, &[]), Step::default());
    bench.restart();
    let step = bench.step(1000 + week, &[]);
    assert_eq!(step.removed, [fingerprint_of(NODE)]);
    assert!(bench.store.is_empty());
}

/// A calendar that is corrected moves the end of periods.
#[test]
fn a_period_that_is_moved_is_forgotten_by_its_new_end() {
    let week = 7 * 24 * 60;
    let mut bench = firing();
    bench.period_end = 2000;
    bench.judge(11, WARNING);
    assert_eq!(bench.judge(1000, WARNING), "");
    assert_eq!(bench.vanish(2000), "2 resolved ops PeriodClosed");
    assert!(bench.step(1000 + week, &[]).removed.is_empty());
    assert_eq!(bench.step(2000 + week, &[]).removed.len(), 1);
}

/// What is owed is told before it is forgotten.
#[test]
fn nothing_is_forgotten_that_somebody_has_to_be_told() {
    let mut bench = firing();
    bench.quiet = true;
    bench.vanish(1000);
    assert!(bench.step(FAR / 2, &[]).removed.is_empty());
    bench.quiet = false;
    let step = bench.step(FAR / 2 + 1, &[]);
    assert_eq!(words(&step.notices), "2 resolved ops PeriodClosed");
    // What changes is written down once more before it is forgotten.
    assert_eq!(step.changed.len(), 1);
    assert_eq!(bench.step(FAR / 2 + 2, &[]).removed.len(), 1);
}
