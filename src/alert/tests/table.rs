//! The table of states and inputs, row by row.

use super::*;

/// What happened before, the input, and what comes of it.
type Row<'a> = (&'a [(i64, Condition)], (i64, Condition), &'a str, &'a str);

fn check(rule: &Rule, rows: &[Row<'_>]) {
    for (before, (at, condition), state, notices) in rows {
        for restarts in [false, true] {
            let mut bench = Bench::new(rule.clone());
            for (at, condition) in *before {
                bench.judge(*at, *condition);
            }
            if restarts {
                bench.restart();
            }
            let told = bench.judge(*at, *condition);
            let row = format!("{before:?} then {condition:?} at {at}, restarts: {restarts}");
            assert_eq!(bench.state(), *state, "{row}");
            assert_eq!(told, *notices, "{row}");
        }
    }
}

#[test]
#[rustfmt::skip]
fn a_rule_with_holding_times() {
    let firing: &[_] = &[(0, WARNING), (10, WARNING)];
    let critical: &[_] = &[(0, CRITICAL), (20, CRITICAL)];
    let recovering: &[_] = &[(0, WARNING), (10, WARNING), (12, CLEAR)];
    check(&patient(), &[
        // inactive
        (&[],                          (0, WARNING),   "pending since 0",      ""),
        (&[],                          (0, BAND),      "inactive",             ""),
        (&[],                          (0, CLEAR),     "inactive",             ""),
        (&[],                          (0, MISSING),   "inactive",             ""),
        (&[],                          (0, ERROR),     "inactive",             ""),
        // pending
        (&[(0, WARNING)],              (9, WARNING),   "pending since 0",      ""),
        (&[(0, WARNING)],              (10, WARNING),  "firing warning",       "1 fired ops"),
        (&[(0, WARNING)],              (20, CRITICAL), "firing warning",       "1 fired ops"),
        (&[(0, CRITICAL)],             (20, CRITICAL), "firing critical",      "1 fired ops, 1 fired boss"),
        (&[(0, WARNING)],              (10, BAND),     "inactive",             ""),
        (&[(0, WARNING)],              (10, CLEAR),    "inactive",             ""),
        (&[(0, WARNING)],              (10, MISSING),  "pending since 0",      ""),
        (&[(0, WARNING), (4, MISSING)],(14, WARNING),  "pending since 10",     ""),
        (&[(0, WARNING), (4, MISSING)],(10, BAND),     "inactive",             ""),
        (&[(0, WARNING)],              (10, ERROR),    "pending since 0",      ""),
        (&[(0, WARNING), (4, ERROR)],  (14, WARNING),  "pending since 10",     ""),
        // firing
        (firing,                       (11, WARNING),  "firing warning",       ""),
        (firing,                       (11, BAND),     "firing warning",       ""),
        (firing,                       (11, CLEAR),    "recovering since 11",  ""),
        (firing,                       (30, MISSING),  "firing warning",       ""),
        (firing,                       (30, ERROR),    "firing warning",       ""),
        (&[(0, WARNING), (10, CRITICAL)], (29, CRITICAL), "firing warning",    ""),
        (&[(0, WARNING), (10, CRITICAL)], (30, CRITICAL), "firing critical",   "2 escalated ops, 2 fired boss"),
        (critical,                     (21, WARNING),  "firing critical",      ""),
        (&[(0, CRITICAL), (20, CRITICAL), (21, WARNING)], (35, WARNING), "firing critical", ""),
        (&[(0, CRITICAL), (20, CRITICAL), (21, WARNING)], (36, WARNING), "firing warning",  "2 milder ops, 2 milder boss"),
        // recovering
        (recovering,                   (13, WARNING),  "firing warning",       ""),
        (recovering,                   (13, BAND),     "firing warning",       ""),
        (recovering,                   (26, CLEAR),    "recovering since 12",  ""),
        (recovering,                   (27, CLEAR),    "inactive",             "2 resolved ops Recovered"),
        (recovering,                   (27, MISSING),  "recovering since 12",  ""),
        (recovering,                   (27, ERROR),    "recovering since 12",  ""),
        // resolved
        (&[(0, WARNING), (10, WARNING), (12, CLEAR), (27, CLEAR)], (28, WARNING), "pending since 28", ""),
        (&[(0, WARNING), (10, WARNING), (12, CLEAR), (27, CLEAR)], (28, CLEAR),   "inactive",         ""),
        (&[(0, WARNING), (10, WARNING), (12, CLEAR), (27, CLEAR), (28, WARNING)],
                                       (38, WARNING),  "firing warning",       "1 fired ops"),
    ]);
}

#[test]
#[rustfmt::skip]
fn a_rule_without_holding_times() {
    check(&hasty(), &[
        (&[],                          (0, WARNING),   "firing warning",       "1 fired ops"),
        (&[(0, WARNING)],              (1, BAND),      "firing warning",       ""),
        (&[(0, WARNING)],              (1, CLEAR),     "inactive",             "2 resolved ops Recovered"),
    ]);
}

#[test]
#[rustfmt::skip]
fn a_rule_that_needs_three_updates() {
    let rule = Rule { for_events: 3, ..hasty() };
    check(&rule, &[
        (&[],                          (0, WARNING),   "pending since 0",      ""),
        (&[(0, WARNING)],              (1, WARNING),   "pending since 0",      ""),
        (&[(0, WARNING), (1, WARNING)], (2, WARNING),  "firing warning",       "1 fired ops"),
        (&[(0, WARNING), (1, CLEAR), (2, WARNING)], (3, WARNING), "pending since 2", ""),
        // The same watermark again is not another update.
        (&[(0, WARNING), (1, WARNING)], (1, WARNING),  "pending since 0",      ""),
    ]);
}

/// A relapse is the same episode, with a count.
#[test]
fn falling_back_counts_as_a_relapse_of_the_episode() {
    let mut bench = Bench::new(patient());
    for (at, condition) in [
        (0, WARNING),
        (10, WARNING),
        (12, CLEAR),
        (13, BAND),
        (14, CLEAR),
        (15, WARNING),
    ] {
        bench.judge(at, condition);
    }
    let record = bench.record().unwrap();
    assert_eq!((record.episodes, record.history.relapses), (1, 2));
}

#[test]
fn an_episode_begins_without_what_was_of_the_one_before() {
    let mut bench = Bench::new(rule(&[(Severity::WARNING, 0)], 5));
    bench.completion = 0.1;
    for (at, condition) in [(0, WARNING), (1, CLEAR), (2, WARNING), (3, CLEAR), (8, CLEAR)] {
        bench.judge(at, condition);
    }
    bench.completion = 0.4;
    bench.judge(9, WARNING);
    let record = bench.record().unwrap();
    assert_eq!((record.episodes, record.history.relapses), (2, 0));
    assert_eq!(record.history.peak, record.facts_at_firing);
}

#[test]
fn a_resolve_tells_how_it_was_and_how_it_is() {
    let mut bench = Bench::new(patient());
    for (at, condition, completion) in [
        (0, WARNING, 0.5),
        (10, WARNING, 0.4),
        (11, WARNING, 0.2),
        (12, CLEAR, 0.8),
    ] {
        bench.completion = completion;
        bench.judge(at, condition);
    }
    bench.completion = 0.9;
    let notices = bench.step(27, &[(NODE, CLEAR)]).notices;
    let [notice] = notices.as_slice() else {
        panic!("one notice: {notices:?}");
    };
    let completion = |facts: &Facts| facts.node.as_ref().unwrap().completion.unwrap();
    assert_eq!(completion(&notice.facts), 0.9);
    assert_eq!(completion(notice.facts_at_firing.as_ref().unwrap()), 0.4);
    assert_eq!(completion(notice.peak.as_ref().unwrap()), 0.2);
    assert_eq!(notice.fired_at, minute(10));
    assert_eq!(notice.duration(), SignedDuration::from_mins(17));
    assert_eq!(notice.verdict, None);
}

/// 100,000 identities times several rules are ordinary: those that are well must cost nothing but a look.
#[test]
fn who_is_well_is_neither_kept_nor_described() {
    let mut bench = Bench::new(patient());
    for (at, condition) in [(0, CLEAR), (1, BAND), (2, MISSING), (3, CLEAR)] {
        assert_eq!(bench.news(at, &[(NODE, condition)]), Step::default());
    }
    assert_eq!(bench.asked.get(), 0);
    assert_eq!(bench.engine.records().count(), 0);

    // Pending and over: nobody was told, so nothing is remembered either.
    bench.judge(4, WARNING);
    let step = bench.step(5, &[(NODE, CLEAR)]);
    assert_eq!((step.changed.len(), step.removed.len()), (0, 1));
    assert_eq!(bench.engine.records().count(), 0);
}

#[test]
fn a_step_without_news_writes_nothing() {
    let mut bench = Bench::new(patient());
    bench.judge(0, WARNING);
    bench.judge(10, WARNING);
    assert_eq!(bench.news(11, &[(NODE, WARNING)]), Step::default());
    bench.completion = 0.6;
    assert_eq!(bench.step(12, &[(NODE, WARNING)]).changed.len(), 1);
    assert_eq!(
        bench.step(13, &[(NODE, MISSING)]).changed.len(),
        1,
        "the clocks stop"
    );
    assert_eq!(bench.news(14, &[(NODE, MISSING)]), Step::default());
}
