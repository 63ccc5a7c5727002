//! Who is told what: receivers, routes that change, and time in which nobody can be told.

use super::*;

fn fired() -> Bench {
    let mut bench = Bench::new(rule(&[(Severity::WARNING, 0), (Severity::CRITICAL, 0)], 0));
    assert_eq!(bench.judge(0, WARNING), "1 fired ops");
    bench
}

#[test]
fn one_decision_has_one_id_for_all_its_receivers() {
    let mut bench = fired();
    let notices = bench.step(1, &[(NODE, CRITICAL)]).notices;
    assert_eq!(words(&notices), "2 escalated ops, 2 fired boss");
    assert_eq!(notices[0].id, notices[1].id);
    assert_eq!(notices[0].id, format!("{}.2", notices[0].episode));
}

#[test]
fn a_receiver_that_the_route_names_twice_is_told_once() {
    let mut bench = Bench::new(hasty());
    bench.routes.push((Severity::INFO, "ops".to_owned()));
    assert_eq!(bench.judge(0, WARNING), "1 fired ops");
}

/// A route that changes while it fires: those who know are told the end, nobody else is.
#[test]
fn who_was_told_is_told_the_end_whatever_the_route_says() {
    let mut bench = fired();
    bench.routes = vec![(Severity::INFO, "sales".to_owned())];
    assert_eq!(bench.judge(1, WARNING), "");
    assert_eq!(bench.judge(2, CLEAR), "2 resolved ops Recovered");
    assert_eq!(bench.judge(3, WARNING), "1 fired sales");
}

#[test]
fn an_escalation_reaches_those_who_know_and_those_of_the_route() {
    let mut bench = fired();
    bench.routes = vec![(Severity::INFO, "sales".to_owned())];
    assert_eq!(bench.judge(1, CRITICAL), "2 escalated ops, 2 fired sales");
    assert_eq!(
        bench.judge(2, CLEAR),
        "3 resolved ops Recovered, 3 resolved sales Recovered"
    );
}

#[test]
fn an_alert_without_receivers_is_told_when_there_is_one() {
    let mut bench = Bench::new(hasty());
    let routes = std::mem::take(&mut bench.routes);
    assert_eq!(bench.judge(0, WARNING), "");
    bench.routes = routes;
    assert_eq!(bench.judge(1, WARNING), "1 fired ops");

    bench.judge(2, CLEAR);
    bench.routes.clear();
    bench.judge(3, WARNING);
    assert_eq!(bench.judge(4, CLEAR), "", "nobody knew");
}

#[test]
fn what_came_and_went_in_quiet_is_not_told() {
    let mut bench = Bench::new(hasty());
    bench.quiet = true;
    bench.judge(0, WARNING);
    bench.judge(1, CLEAR);
    bench.quiet = false;
    assert_eq!(bench.judge(2, CLEAR), "");
    let record = bench.record().unwrap();
    assert_eq!(record.episodes, 1, "but it is on record");
    assert_eq!(record.history.ended_at, Some(minute(1)));
}

#[test]
fn what_still_fires_after_quiet_is_told_with_the_time_at_which_it_fired() {
    let mut bench = Bench::new(hasty());
    bench.quiet = true;
    bench.judge(0, WARNING);
    bench.quiet = false;
    let notices = bench.step(5, &[(NODE, WARNING)]).notices;
    assert_eq!(words(&notices), "1 fired ops");
    assert_eq!(
        (notices[0].fired_at, notices[0].decided_at),
        (minute(0), minute(5))
    );
}

/// The first word about an alert should not be of something that is clear already.
#[test]
fn what_recovers_after_quiet_is_told_only_if_it_falls_back() {
    let mut bench = Bench::new(patient());
    bench.quiet = true;
    bench.judge(0, WARNING);
    bench.judge(10, WARNING);
    bench.judge(11, CLEAR);
    bench.quiet = false;
    assert_eq!(bench.judge(12, CLEAR), "");
    assert_eq!(bench.judge(13, WARNING), "1 fired ops");
}

#[test]
fn an_end_in_quiet_is_told_afterwards_with_its_own_time() {
    let mut bench = fired();
    bench.quiet = true;
    assert_eq!(bench.judge(5, CLEAR), "");
    bench.restart();
    assert_eq!(bench.judge(6, WARNING), "", "the next episode");
    bench.quiet = false;
    let notices = bench.step(9, &[(NODE, WARNING)]).notices;
    assert_eq!(words(&notices), "2 resolved ops Recovered, 1 fired ops");
    assert_eq!(notices[0].decided_at, minute(5));
    assert_ne!(notices[0].episode, notices[1].episode);
}

#[test]
fn levels_that_came_and_went_in_quiet_are_not_told() {
    let mut bench = fired();
    bench.quiet = true;
    bench.judge(1, CRITICAL);
    bench.judge(2, WARNING);
    bench.quiet = false;
    assert_eq!(bench.judge(3, WARNING), "");

    bench.quiet = true;
    bench.judge(4, CRITICAL);
    bench.quiet = false;
    assert_eq!(bench.judge(5, CRITICAL), "2 escalated ops, 2 fired boss");
}

/// Another store is another world: its episodes are not those that an old incident belongs to.
#[test]
fn ids_depend_on_the_store_and_on_nothing_else() {
    let id = |store: &str| {
        let mut bench = Bench::new(hasty());
        bench.engine = Engine::new(store);
        bench.step(0, &[(NODE, WARNING)]).notices[0].id.clone()
    };
    assert_eq!(id("store"), id("store"));
    assert_ne!(id("store"), id("another"));
}
