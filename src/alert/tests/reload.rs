//! A reload that declares routes anew goes on where it was: with the groups, the repeats and the ladders of what fires.

use super::desk::{Desk, messages, second};
use super::*;
use crate::alert::dispatch::route::{Rung, To};

/// A route for what the growth team answers for, which repeats every 100 s and asks the boss after 60 s.
fn growth() -> Route {
    Route {
        matchers: vec![Matcher::parse("team=growth").unwrap()],
        group_by: GroupBy::Labels(vec!["team".to_owned()]),
        timing: Timing {
            group_interval: SignedDuration::from_secs(40),
            resolve_wait: SignedDuration::from_secs(20),
            repeat_interval: SignedDuration::from_secs(100),
            ..Timing::default()
        },
        repeat_within: Vec::new(),
        escalate: vec![Rung {
            after: SignedDuration::from_secs(60),
            to: To::Receiver("boss".to_owned()),
        }],
        ..Route::to_receiver("ops")
    }
}

/// Another for everything of the same team, which would tell nobody for an hour.
fn audit() -> Route {
    Route {
        go_on: true,
        timing: Timing {
            group_wait: Some(SignedDuration::from_hours(1)),
            ..Timing::default()
        },
        escalate: Vec::new(),
        matchers: vec![Matcher::parse("team=growth").unwrap()],
        ..Route::to_receiver("audit")
    }
}

fn tree(routes: Vec<Route>) -> Routing {
    let mut root = Route {
        routes,
        ..Route::to_receiver("everybody")
    };
    identify(&mut root);
    Routing {
        root: Some(root),
        ..Routing::default()
    }
}

/// What the growth team hears of two alerts, the second of which joins 30 s later, and of their ends.
fn story(reload: impl Fn(&mut Desk)) -> Vec<String> {
    let mut desk = Desk::new(tree(vec![growth()]));
    desk.fire(&["a1"]);
    let mut told = desk.until(0, 20);
    reload(&mut desk);
    desk.fire(&["a2"]);
    told.extend(desk.until(21, 110));
    desk.clear("a1");
    told.extend(desk.until(111, 200));
    told
}

#[test]
fn a_route_in_front_of_others_changes_nothing_for_what_fires() {
    let as_before = [
        "5: ops[fired a1]",
        // At the next multiple of the group's interval, not after another wait.
        "45: ops[fired a2]",
        "70: boss[fired a1]",
        "105: ops[repeat a1, repeat a2]",
        "110: boss[fired a2]",
        "131: ops[resolved a1] boss[resolved a1]",
    ];
    assert_eq!(story(|_| ()), as_before);
    let in_front = story(|desk| desk.routing = tree(vec![audit(), growth()]));
    assert_eq!(in_front, as_before);
}

#[test]
fn a_route_whose_receiver_changes_keeps_its_times_for_those_who_were_told() {
    let mut desk = Desk::new(tree(vec![growth()]));
    desk.fire(&["a1"]);
    assert_eq!(desk.until(0, 20), ["5: ops[fired a1]"]);
    let others = Route {
        to: To::Receiver("shops".to_owned()),
        ..growth()
    };
    desk.routing = tree(vec![others]);
    assert_eq!(desk.until(21, 110), ["70: boss[fired a1]", "105: ops[repeat a1]"]);
    desk.clear("a1");
    assert_eq!(desk.until(111, 150), ["131: ops[resolved a1] boss[resolved a1]"]);
}

#[test]
fn who_is_led_to_by_another_route_after_theirs_is_gone_goes_on_by_that() {
    let mut desk = Desk::new(tree(vec![growth()]));
    desk.fire(&["a1"]);
    assert_eq!(desk.until(0, 20), ["5: ops[fired a1]"]);
    let narrower = Route {
        matchers: vec![
            Matcher::parse("team=growth").unwrap(),
            Matcher::parse("node=~\"a.*\"").unwrap(),
        ],
        ..growth()
    };
    desk.routing = tree(vec![narrower]);
    assert_eq!(desk.until(21, 110), ["70: boss[fired a1]", "105: ops[repeat a1]"]);
}

#[test]
fn what_an_earlier_version_kept_by_the_number_of_a_route_goes_on() {
    let mut desk = Desk::new(tree(vec![growth()]));
    desk.fire(&["a1"]);
    desk.until(0, 20);
    let id = desk.routing.root.as_ref().unwrap().routes[0].id.clone();
    let records: Vec<AlertRecord> = desk.engine.records().cloned().collect();
    let records = serde_json::to_string(&records).unwrap();
    assert!(records.contains(&id) && desk.kept.contains(&id));
    let mut old = Desk::new(tree(vec![growth()]));
    old.firing = desk.firing.clone();
    old.kept = desk.kept.replace(&id, "0.0");
    old.engine.restore(
        serde_json::from_str(&records.replace(&id, "0.0")).unwrap(),
        serde_json::from_str(&old.kept).unwrap(),
    );
    let step = old.step(21, true);
    assert_eq!(messages(&step.notices), "");
    assert_eq!(
        step.changed[0].told.tellings[0].route, id,
        "it is written with its id"
    );
    assert!(old.kept.contains(&id));
    // From here on a route in front takes nothing away.
    old.routing = tree(vec![audit(), growth()]);
    old.fire(&["a2"]);
    assert_eq!(
        old.until(22, 105),
        [
            "45: ops[fired a2]",
            "70: boss[fired a1]",
            "105: ops[repeat a1, repeat a2]"
        ]
    );
    assert_eq!(old.engine.next_due().map(|due| due > second(105)), Some(true));
}
