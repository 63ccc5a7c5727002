//! A ladder of the catalogue's own: its steps are levels of one identity, whatever becomes of the ladder.

use super::desk::Desk;
use super::*;
use crate::alert::dispatch::route::DEFAULT_WAIT;
use crate::catalog::{Grade, Ladder};

fn major() -> Severity {
    Severity::added("major", Grade::Warning, 1, "Major", "重大")
}

fn outage() -> Severity {
    Severity::added("outage", Grade::Critical, 1, "Outage", "停摆")
}

fn ladder(with: &[Severity]) -> Ladder {
    Ladder::new(Severity::BUILT_IN.iter().chain(with).copied().collect())
}

/// Four levels, each at once, left after 15 minutes.
fn four() -> Rule {
    let levels = [Severity::WARNING, major(), Severity::CRITICAL, outage()];
    rule(&levels.map(|level| (level, 0)), 15)
}

#[test]
fn one_identity_climbs_and_descends_four_levels() {
    let mut bench = Bench::new(four());
    assert_eq!(bench.judge(0, WARNING), "1 fired ops");
    let told = bench.step(1, &[(NODE, Condition::Breach(major()))]).notices;
    assert_eq!(words(&told[..1]), "2 escalated ops");
    assert_eq!(
        (told[0].severity.as_str(), told[0].left.as_slice()),
        ("major", [Severity::WARNING].as_slice())
    );
    // Two steps at once are one notice.
    let told = bench.step(2, &[(NODE, Condition::Breach(outage()))]).notices;
    assert_eq!(words(&told[..1]), "3 escalated ops");
    assert_eq!(told[0].left, [Severity::WARNING, major()]);
    assert_eq!(bench.state(), "firing outage");
    // Down to what was breached within 15 minutes, then on.
    bench.judge(3, Condition::Breach(major()));
    assert_eq!(bench.state(), "firing outage");
    assert_eq!(bench.judge(18, Condition::Breach(major())), "4 milder ops");
    assert_eq!(bench.state(), "firing major");
    assert_eq!(bench.record().unwrap().episodes, 1);
    bench.judge(19, CLEAR);
    assert_eq!(bench.judge(34, CLEAR), "5 resolved ops Recovered");
}

#[test]
fn a_step_up_ends_an_acknowledgement() {
    let mut desk = Desk::by_team();
    desk.rule = four();
    desk.firing.insert("a1".to_owned(), major());
    // What is like a warning waits for others, what is like critical does not.
    let wait = DEFAULT_WAIT.as_secs();
    assert_eq!(desk.until(0, 60), [format!("{wait}: ops[fired a1]")]);
    desk.ack("a1", 61);
    assert_eq!(desk.until(62, 70), ["62: ops[acked a1]"]);
    desk.firing.insert("a1".to_owned(), outage());
    assert_eq!(desk.until(71, 80), ["71: ops[escalated a1]"]);
    assert_eq!(desk.engine.records().next().unwrap().told.ack, None);
    desk.firing.insert("a2".to_owned(), outage());
    assert_eq!(desk.at(81), "ops[fired a2]");
}

#[test]
fn routes_see_the_name_of_a_severity() {
    let mut desk = Desk::by_team();
    desk.rule = four();
    let below = Route {
        matchers: vec![Matcher::parse("severity=\"major\"").unwrap()],
        ..Route::to_receiver("major-chat")
    };
    desk.route().routes.push(below);
    identify(desk.route());
    desk.firing.insert("a1".to_owned(), major());
    desk.firing.insert("b1".to_owned(), Severity::WARNING);
    let told = desk.until(0, 10).join(", ");
    assert!(
        told.contains("major-chat[fired a1]") && told.contains("ops[fired b1]"),
        "{told}"
    );
}

/// Restarts with the rule and the ladder of another catalogue.
fn reload(bench: &mut Bench, levels: &[Severity], with: &[Severity]) {
    bench.restart();
    bench.engine.seat(&ladder(with));
    let levels: Vec<(Severity, i64)> = levels.iter().map(|level| (*level, 0)).collect();
    bench.rules = vec![rule(&levels, 15)];
    // What was moved is written with its next change.
    bench.store = bench
        .engine
        .records()
        .map(|record| (record.fingerprint, serde_json::to_string(record).unwrap()))
        .collect();
}

#[test]
fn a_restart_keeps_where_an_alert_stands() {
    let mut bench = Bench::new(four());
    bench.judge(0, WARNING);
    bench.judge(1, Condition::Breach(outage()));
    let before = bench.record().cloned();
    bench.restart();
    bench.engine.seat(&ladder(&[major(), outage()]));
    assert_eq!(bench.record().cloned(), before);
    assert_eq!(bench.judge(2, Condition::Breach(outage())), "");
    assert_eq!(bench.state(), "firing outage");
}

#[test]
fn an_alert_outlives_a_change_of_the_ladder() {
    let mut bench = Bench::new(four());
    bench.judge(0, WARNING);
    bench.judge(1, Condition::Breach(outage()));
    // Without outage it is critical, and nobody is told again.
    reload(&mut bench, &[Severity::WARNING, Severity::CRITICAL], &[]);
    assert_eq!(bench.state(), "firing critical");
    assert_eq!(bench.judge(2, CRITICAL), "");
    assert_eq!(bench.record().unwrap().episodes, 1);
    // A step between that is new is one like any other: down to it is told quietly, once it has been left long enough.
    let minor = Severity::added("minor", Grade::Warning, -1, "Minor", "次要");
    reload(
        &mut bench,
        &[minor, Severity::WARNING, Severity::CRITICAL],
        &[minor],
    );
    assert_eq!(bench.judge(3, Condition::Breach(minor)), "");
    assert_eq!(bench.judge(18, Condition::Breach(minor)), "3 milder ops");
    assert_eq!(bench.state(), "firing minor");
    // Outage is back under its name, at another place.
    let outage = Severity::added("outage", Grade::Critical, -1, "Outage", "停摆");
    reload(
        &mut bench,
        &[Severity::WARNING, outage, Severity::CRITICAL],
        &[outage],
    );
    assert_eq!(bench.state(), "firing warning", "minor is gone");
    assert_eq!(bench.judge(19, Condition::Breach(outage)), "4 escalated ops");
    assert_eq!(bench.judge(20, CRITICAL), "5 escalated ops, 5 fired boss");
}

#[test]
fn clocks_of_levels_that_become_one_go_on() {
    // Held for ten minutes each.
    let levels = [(Severity::WARNING, 10), (major(), 10), (Severity::CRITICAL, 30)];
    let mut bench = Bench::new(rule(&levels, 15));
    bench.judge(0, WARNING);
    bench.judge(5, Condition::Breach(major()));
    reload(&mut bench, &[], &[]);
    bench.rules = vec![rule(&[(Severity::WARNING, 10)], 15)];
    assert_eq!(bench.record().unwrap().clocks.levels.len(), 1);
    assert_eq!(bench.judge(9, WARNING), "");
    assert_eq!(bench.judge(10, WARNING), "1 fired ops");
}
