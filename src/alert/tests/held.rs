//! The history says of everybody who was not told why not.

use super::desk::{Desk, second};
use super::*;

/// Every line from one second to another, `6: ops storm`; restarting all the while.
fn held(desk: &mut Desk, from: i64, to: i64) -> Vec<String> {
    let mut lines = Vec::new();
    for at in from..=to {
        desk.restart();
        for held in desk.step(at, true).held {
            assert_eq!(held.at, second(at));
            let by = match held.by.is_empty() {
                true => "nothing any more".to_owned(),
                false => held.by.join(", "),
            };
            lines.push(format!("{at}: {} {by}", held.receiver));
        }
    }
    lines
}

#[test]
fn what_came_and_went_before_its_turn_says_so() {
    let mut desk = Desk::by_team();
    desk.fire(&["a1"]);
    assert!(held(&mut desk, 0, 2).is_empty());
    let episode = desk.episode("a1");
    desk.clear("a1");
    let step = desk.step(3, true);
    let lines: Vec<(&str, &str)> = step
        .held
        .iter()
        .map(|held| (held.episode.as_str(), held.by[0].as_str()))
        .collect();
    assert_eq!(lines, [(episode.as_str(), "over before its turn")]);
    assert!(held(&mut desk, 4, 100).is_empty(), "once");
    // What was told, or held back for a reason of its own, needs no other.
    desk.fire(&["a2"]);
    desk.silence("node=a3", 101, 1000).unwrap();
    desk.fire(&["a3"]);
    assert_eq!(held(&mut desk, 101, 200).len(), 1);
    desk.clear("a2");
    desk.clear("a3");
    assert!(held(&mut desk, 201, 300).is_empty());
}

#[test]
fn what_a_storm_holds_back_says_so() {
    let mut desk = Desk::by_team();
    desk.routing.manners.storm.max = 3;
    desk.route().group_by = GroupBy::Each;
    desk.fire(&["a1", "a2", "a3", "b1", "b2"]);
    assert!(held(&mut desk, 0, 5).is_empty(), "they are told in the summary");
    desk.fire(&["b3", "b4"]);
    assert_eq!(held(&mut desk, 6, 30), ["6: ops storm", "6: ops storm"]);
    desk.clear("b4");
    assert_eq!(held(&mut desk, 31, 60), ["31: ops over before its turn"]);
    assert_eq!(held(&mut desk, 61, 100), ["65: ops nothing any more"]);
}

#[test]
fn every_repeat_that_an_acknowledgement_stops_is_written_down() {
    let mut desk = Desk::by_team();
    desk.route().timing.repeat_interval = SignedDuration::from_secs(100);
    desk.fire(&["a1"]);
    assert!(held(&mut desk, 0, 50).is_empty());
    desk.ack("a1", 50);
    desk.at(51);
    assert_eq!(desk.engine.next_due(), Some(second(105)));
    assert_eq!(
        held(&mut desk, 52, 320),
        [
            "105: ops acknowledged by li",
            "205: ops acknowledged by li",
            "305: ops acknowledged by li"
        ]
    );
    // Given back: it is repeated at once, as it has been due.
    let episode = desk.episode("a1");
    let unack = crate::alert::dispatch::Command::Unack { episode };
    desk.command(unack, 320).unwrap();
    assert_eq!(
        desk.until(321, 430),
        ["321: ops[repeat a1]", "421: ops[repeat a1]"]
    );
}

#[test]
fn episodes_of_what_flaps_say_so() {
    let mut desk = Desk::by_team();
    desk.routing.manners.flap.max = 2;
    desk.engine = Engine::new("store").within(desk.routing.manners);
    for at in 0..3 {
        desk.fire(&["a1"]);
        for second in 100 * at..100 * at + 50 {
            let step = desk.step(second, true);
            let by: Vec<&str> = step
                .held
                .iter()
                .flat_map(|held| &held.by)
                .map(String::as_str)
                .collect();
            let expected: &[&str] = if (at, second) == (2, 200) {
                &["flapping"]
            } else {
                &[]
            };
            assert_eq!(by, expected, "{second}");
        }
        desk.clear("a1");
        desk.step(100 * at + 50, true);
        desk.step(100 * at + 60, true);
    }
}
