//! A rule that breaches in more places than alerts are kept of.

use super::*;
use crate::alert::dispatch::Kept;
use crate::alert::dispatch::route::Manners;

/// Two alerts of a rule are kept.
fn of_two() -> Manners {
    Manners {
        max_per_rule: 2,
        ..Manners::default()
    }
}

#[test]
fn beyond_the_bound_one_alert_tells_of_all_others() {
    let mut bench = Bench::new(hasty());
    bench.engine = Engine::new("store").within(of_two());
    let all = [
        ("articles", WARNING),
        ("calls", WARNING),
        ("visits", WARNING),
        ("zeros", WARNING),
    ];
    let step = bench.step(0, &all);
    let told: Vec<&str> = step
        .notices
        .iter()
        .map(|notice| notice.alert_kind.as_str())
        .collect();
    assert_eq!(
        told.iter().filter(|kind| **kind == "too_many_alerts").count(),
        1,
        "{told:?}"
    );
    assert_eq!(told.len(), 3, "{told:?}");
    let crowd = step
        .notices
        .iter()
        .find(|notice| notice.alert_kind == "too_many_alerts")
        .unwrap();
    let facts = crowd.facts.crowd.unwrap();
    assert_eq!((facts.kept, facts.beyond), (2, 2));
    assert_eq!(crowd.labels["rule"], "hollow");
    let firing = |bench: &Bench| -> Vec<String> {
        let open = bench
            .engine
            .records()
            .filter(|record| record.state == AlertState::Firing);
        let mut nodes: Vec<String> = open
            .filter_map(|record| record.labels.get("node").cloned())
            .collect();
        nodes.sort();
        nodes
    };
    assert_eq!(firing(&bench), ["articles", "calls"]);

    // Those that have one keep it, also over a restart; whoever ends makes room for the next.
    let mut restarted = Engine::new("store").within(of_two());
    restarted.restore(bench.engine.records().cloned().collect(), Kept::default());
    bench.engine = restarted;
    let one_ends = [
        ("articles", CLEAR),
        ("calls", WARNING),
        ("visits", WARNING),
        ("zeros", WARNING),
    ];
    bench.step(1, &one_ends);
    assert_eq!(
        firing(&bench),
        ["calls"],
        "who knew of it is told of its end first"
    );
    bench.step(2, &one_ends);
    assert_eq!(firing(&bench), ["calls", "visits"]);
    // With the last one it is over.
    let two_are_left = [("calls", WARNING), ("visits", CLEAR), ("zeros", WARNING)];
    bench.step(3, &two_are_left);
    let step = bench.step(4, &two_are_left);
    assert_eq!(firing(&bench), ["calls", "zeros"]);
    assert!(
        step.notices
            .iter()
            .any(|notice| notice.alert_kind == "too_many_alerts" && notice.kind == NoticeKind::Resolved),
        "{:?}",
        step.notices
    );

    // Where nothing is judged any more nothing is beyond: a rule on items has no samples when there are none.
    bench.step(5, &all);
    let crowded = |bench: &Bench| {
        let mut records = bench.engine.records();
        records.any(|record| record.rule == "too_many_alerts" && record.state == AlertState::Firing)
    };
    assert!(crowded(&bench));
    bench.step(6, &[]);
    assert!(!crowded(&bench));
}
