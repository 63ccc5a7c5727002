//! Who is told when: groups, repeats, silences, acknowledgements, escalation, storms, digests.

use super::desk::{Desk, messages, second};
use super::*;
use crate::alert::dispatch::inhibit::InhibitRule;
use crate::alert::dispatch::interval::Interval;
use crate::alert::dispatch::route::{EndOfHeld, Person, Rung, To, WORKING_HOURS};
use crate::alert::dispatch::silence::{Silence, SilenceRefusal};
use crate::alert::dispatch::{Command, Refusal};
use crate::alert::notice::{Aside, Because};
use crate::evaluate::weights::{Line, Proposal, Standing, Titled};

#[test]
fn the_first_waits_for_others_and_what_joins_comes_at_the_next_interval() {
    let mut desk = Desk::by_team();
    desk.fire(&["a1"]);
    assert!(desk.until(0, 2).is_empty());
    desk.fire(&["a2", "b1"]);
    assert_eq!(
        desk.until(3, 10),
        ["5: ops[fired a1, fired a2]", "8: ops[fired b1]"]
    );
    desk.fire(&["a3"]);
    assert_eq!(desk.until(11, 70), ["65: ops[fired a3]"]);
    // A critical alert does not wait, and takes along who does.
    desk.fire(&["a4"]);
    desk.worsen("a5");
    assert_eq!(desk.until(71, 130), ["71: ops[fired a4, fired a5]"]);
}

#[test]
fn alerts_may_be_told_together_by_what_only_matchers_see() {
    let cases: [(&str, &[&str]); 2] = [("severity", &["a1 b1", "a2 b2"]), ("kind", &["a1 a2 b1 b2"])];
    for (label, expected) in cases {
        let mut desk = Desk::by_team();
        desk.route().group_by = GroupBy::Labels(vec![label.to_owned()]);
        desk.route().timing.group_wait = Some(SignedDuration::from_secs(5));
        desk.fire(&["a1", "b1"]);
        desk.worsen("a2");
        desk.worsen("b2");
        assert_eq!(desk.until(0, 4).len(), 0);
        let notices = desk.step(5, true).notices;
        let mut bundles: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for notice in &notices {
            bundles
                .entry(&notice.bundle)
                .or_default()
                .push(&notice.labels["node"]);
        }
        let mut found: Vec<String> = bundles
            .into_values()
            .map(|mut nodes| {
                nodes.sort_unstable();
                nodes.join(" ")
            })
            .collect();
        found.sort();
        assert_eq!(found, expected, "{label}");
    }
}

#[test]
fn what_joins_waits_for_its_turn_also_where_the_first_goes_at_once() {
    let mut desk = Desk::by_team();
    desk.route().timing.group_wait = Some(SignedDuration::ZERO);
    desk.fire(&["a1"]);
    assert_eq!(desk.until(0, 9), ["0: ops[fired a1]"]);
    desk.fire(&["a2"]);
    assert_eq!(desk.until(10, 30), Vec::<String>::new());
    desk.fire(&["a3"]);
    assert_eq!(desk.until(31, 70), ["60: ops[fired a2, fired a3]"]);
    desk.worsen("a4");
    assert_eq!(desk.until(71, 80), ["71: ops[fired a4]"]);
}

#[test]
fn an_end_has_a_wait_of_its_own_and_escalation_none() {
    let mut desk = Desk::by_team();
    desk.fire(&["a1", "a2"]);
    desk.until(0, 5);
    desk.worsen("a1");
    assert_eq!(desk.at(10), "ops[escalated a1]");
    desk.clear("a2");
    assert_eq!(desk.until(20, 30), ["25: ops[resolved a2]"]);
    // What came and went before its turn is not told at all.
    desk.fire(&["a3"]);
    desk.until(31, 33);
    desk.clear("a3");
    assert!(desk.until(34, 200).is_empty());
}

#[test]
fn a_repeat_comes_exactly_when_it_is_due_and_never_after_an_acknowledgement() {
    let mut desk = Desk::by_team();
    desk.route().timing.repeat_interval = SignedDuration::from_secs(100);
    desk.fire(&["a1"]);
    assert_eq!(
        desk.until(0, 320),
        [
            "5: ops[fired a1]",
            "105: ops[repeat a1]",
            "205: ops[repeat a1]",
            "305: ops[repeat a1]"
        ]
    );
    desk.ack("a1", 320);
    assert_eq!(desk.until(321, 900), ["321: ops[acked a1]"]);
    // Worse than what was taken: it is nobody's again.
    desk.worsen("a1");
    assert_eq!(
        desk.until(901, 1001),
        ["901: ops[escalated a1]", "1001: ops[repeat a1]"]
    );
    // An acknowledgement holds for a day.
    desk.ack("a1", 1002);
    assert_eq!(desk.until(1003, 1300), ["1003: ops[acked a1]"]);
    assert_eq!(desk.at(1002 + 24 * 3600), "ops[repeat a1]");
    assert_eq!(
        desk.command(
            Command::Unack {
                episode: "none".into()
            },
            1
        ),
        Err(Refusal::NotFiring("none".to_owned()))
    );
}

#[test]
fn repeats_may_come_more_and_more_seldom() {
    let mut desk = Desk::by_team();
    desk.route().timing.repeat_interval = SignedDuration::from_secs(100);
    desk.route().timing.repeat_backoff = 2.0;
    desk.fire(&["a1"]);
    assert_eq!(
        desk.until(0, 800),
        [
            "5: ops[fired a1]",
            "105: ops[repeat a1]",
            "305: ops[repeat a1]",
            "705: ops[repeat a1]"
        ]
    );
    // What gets worse begins anew.
    desk.worsen("a1");
    assert_eq!(
        desk.until(801, 902),
        ["801: ops[escalated a1]", "901: ops[repeat a1]"]
    );
    let timing = desk.route().timing;
    let days = |repeats| timing.until_repeat(repeats).as_secs() / 86_400;
    assert_eq!([days(20), days(40), days(u32::MAX)], [30, 30, 30]);
}

#[test]
fn where_no_route_says_how_often_repeats_come_in_working_hours() {
    const HOUR: i64 = 3600;
    // The epoch is a Thursday. It fires at three in the morning.
    let mut desk = Desk::by_team();
    desk.route().repeat_within = vec![WORKING_HOURS.to_owned()];
    desk.fire(&["a1"]);
    let told = |desk: &mut Desk, hours: std::ops::Range<i64>| -> Vec<String> {
        let told = hours.filter_map(|hour| {
            let told = desk.at(hour * HOUR + 5);
            (!told.is_empty()).then(|| format!("{hour}: {told}"))
        });
        told.collect()
    };
    desk.at(3 * HOUR);
    assert_eq!(
        told(&mut desk, 3..7 * 24),
        [
            "3: ops[fired a1]",
            // Friday at nine, and on Monday after the weekend; then each day at the same time.
            "33: ops[repeat a1]",
            "105: ops[repeat a1]",
            "129: ops[repeat a1]",
            "153: ops[repeat a1]",
        ]
    );
    // Its own hours: at night.
    let night = Interval {
        times: vec![(jiff::civil::time(22, 0, 0, 0), None)],
        ..Interval::default()
    };
    desk.routing
        .intervals
        .insert(WORKING_HOURS.to_owned(), vec![night]);
    assert_eq!(told(&mut desk, 7 * 24..8 * 24), ["190: ops[repeat a1]"]);
}

#[test]
fn the_end_of_what_is_silenced_is_told_as_the_settings_say() {
    for (manner, told) in [
        (EndOfHeld::Quiet, vec!["105: ops[quietly resolved a1]"]),
        (EndOfHeld::Normal, vec!["105: ops[resolved a1]"]),
        (EndOfHeld::Never, vec![]),
    ] {
        let mut desk = Desk::by_team();
        desk.routing.manners.resolve_when_silenced = manner;
        desk.fire(&["a1"]);
        desk.until(0, 10);
        desk.silence("node=a1", 50, 1000).unwrap();
        desk.clear("a1");
        assert_eq!(desk.until(100, 1200), told, "{manner:?}");
        // The next episode is told as any other.
        desk.fire(&["a1"]);
        assert_eq!(desk.until(1201, 1300).len(), 1, "{manner:?}");
        desk.clear("a1");
        assert_eq!(desk.until(1301, 1400), ["1306: ops[resolved a1]"], "{manner:?}");
    }
}

#[test]
fn an_end_that_is_not_told_is_decided_all_the_same() {
    let mut desk = Desk::by_team();
    desk.routing.manners.resolve_when_silenced = EndOfHeld::Never;
    desk.fire(&["a1"]);
    desk.until(0, 10);
    let episode = desk.episode("a1");
    desk.silence("node=a1", 50, 1000).unwrap();
    desk.clear("a1");
    let step = desk.step(100, true);
    assert_eq!(messages(&step.notices), "");
    assert_eq!(messages(&step.unsaid), "ops[quietly resolved a1]");
    assert_eq!(step.unsaid[0].id, format!("{episode}.2"));
    assert!(desk.step(101, true).unsaid.is_empty(), "once");
}

#[test]
fn a_silence_holds_back_and_what_still_fires_is_told_when_it_ends() {
    let mut desk = Desk::by_team();
    desk.routing.manners.remind_before = SignedDuration::from_hours(1);
    let id = desk.silence("team=growth", 0, 1000).unwrap();
    desk.fire(&["a1", "b1"]);
    assert_eq!(desk.until(1, 200), ["6: ops[fired b1]"]);
    let held = desk
        .engine
        .records()
        .find(|record| record.labels["node"] == "a1")
        .unwrap();
    assert_eq!(held.told.tellings[0].held, [format!("silence {id}")]);
    // Ended by hand: told after the wait, with the reason.
    desk.command(Command::Expire { id: id.clone() }, 300).unwrap();
    desk.at(301);
    let notices = desk.step(306, true).notices;
    assert_eq!(messages(&notices), "ops[fired a1]");
    assert_eq!(notices[0].because, Some(Because::SilenceEnded));
    // Who was told of the beginning is told of the end, quietly.
    desk.silence("team=growth", 400, 2000).unwrap();
    desk.clear("a1");
    assert_eq!(desk.until(401, 500), ["406: ops[quietly resolved a1]"]);
}

#[test]
fn who_was_told_before_a_silence_is_told_again_when_it_ends() {
    let mut desk = Desk::by_team();
    desk.fire(&["a1", "b1"]);
    assert_eq!(desk.until(0, 10), ["5: ops[fired a1] ops[fired b1]"]);
    desk.silence("node=a1", 100, 1000).unwrap();
    desk.silence("node=b1", 100, 1000).unwrap();
    // It is over before the silence: nothing fires that could be told.
    desk.clear("b1");
    assert_eq!(desk.until(101, 1004), ["106: ops[quietly resolved b1]"]);
    desk.restart();
    let notices = desk.step(1005, true).notices;
    assert_eq!(messages(&notices), "ops[repeat a1]");
    assert_eq!(notices[0].because, Some(Because::SilenceEnded));
    assert_eq!(
        notices[0].id,
        format!("{}.2", desk.episode("a1")),
        "the same episode"
    );
    assert!(desk.until(1006, 2000).is_empty(), "once");
    // From then on it is repeated as if it had been told first then.
    let day = 24 * 3600;
    assert_eq!(
        desk.until(1005 + day - 5, 1005 + day + 5),
        [format!("{}: ops[repeat a1]", 1005 + day)]
    );
}

#[test]
fn the_end_of_a_silence_is_not_told_of_what_somebody_has_taken() {
    let mut desk = Desk::by_team();
    desk.routing.manners.remind_before = SignedDuration::ZERO;
    desk.fire(&["a1", "a2"]);
    desk.until(0, 10);
    desk.silence("node=a1", 100, 1000).unwrap();
    desk.ack("a1", 200);
    // Who was not told in the silence that somebody took it hears of that.
    assert_eq!(desk.until(201, 1100), ["1000: ops[acked a1]"]);
    // Worse than before the silence: that is what is told, and at once.
    desk.silence("node=a2", 2000, 3000).unwrap();
    desk.worsen("a2");
    assert_eq!(desk.until(2001, 3100), ["3000: ops[escalated a2]"]);
}

#[test]
fn a_silence_that_ends_in_a_quiet_time_is_told_of_behind_it() {
    let mut desk = Desk::by_team();
    desk.routing.manners.remind_before = SignedDuration::ZERO;
    let night = Interval {
        times: vec![(jiff::civil::time(1, 0, 0, 0), Some(jiff::civil::time(2, 0, 0, 0)))],
        ..Interval::default()
    };
    desk.routing.intervals.insert("night".to_owned(), vec![night]);
    desk.route().mute = vec!["night".to_owned()];
    desk.fire(&["a1"]);
    desk.until(0, 10);
    desk.silence("node=a1", 100, 3700).unwrap();
    assert_eq!(desk.until(3500, 7300), ["7205: ops[repeat a1]"]);
}

#[test]
fn who_acts_on_a_part_of_the_alerts_touches_no_other() {
    let mut desk = Desk::by_team();
    desk.fire(&["a1", "a2", "b1", "b2"]);
    desk.until(0, 5);
    let growth = vec![Matcher::parse("team=\"growth\"").unwrap()];
    let within = |command: Command| Command::Within(growth.clone(), Box::new(command));
    let unack = |desk: &Desk, node: &str| Command::Unack {
        episode: desk.episode(node),
    };
    let silence = |matchers: &[&str], id: &str| Command::Silence {
        silence: Silence {
            id: id.to_owned(),
            matchers: matchers
                .iter()
                .map(|matcher| Matcher::parse(matcher).unwrap())
                .collect(),
            starts_at: second(10),
            ends_at: second(1000),
            created_by: "wang".to_owned(),
            comment: "stocktaking".to_owned(),
            updated_at: second(10),
            reminded: false,
        },
        force: true,
    };
    let theirs = desk.command(silence(&["node=b1"], ""), 10).unwrap();
    let refused = [
        unack(&desk, "b1"),
        silence(&["node=a1"], ""),
        silence(&["team=sales"], ""),
        silence(&["team=growth"], &theirs),
        Command::Expire { id: theirs.clone() },
        within(unack(&desk, "a1")),
    ];
    for command in refused {
        let outcome = desk.command(within(command.clone()), 11);
        assert_eq!(
            outcome,
            Err(Refusal::OutOfScope("team=\"growth\"".to_owned())),
            "{command:?}"
        );
    }
    let ours = desk
        .command(within(silence(&["team=growth", "node=a1"], "")), 12)
        .unwrap();
    assert!(desk.command(within(unack(&desk, "a1")), 13).is_ok());
    let changed = desk
        .command(within(silence(&["team=growth", "node=a1"], &ours)), 13)
        .unwrap();
    let ends = within(Command::Expire { id: changed });
    assert!(desk.command(ends, 14).is_ok());
    let unknown = Command::Unack {
        episode: "none".to_owned(),
    };
    assert_eq!(
        desk.command(within(unknown), 14),
        Err(Refusal::NotFiring("none".to_owned()))
    );
}

#[test]
fn a_silence_that_would_hold_back_nearly_everything_is_refused_unless_it_is_meant() {
    let mut desk = Desk::by_team();
    desk.fire(&["a1", "a2", "a3", "b1"]);
    desk.until(0, 5);
    let broad = |refused: Result<String, Refusal>| {
        matches!(refused, Err(Refusal::Silence(SilenceRefusal::TooBroad(_))))
    };
    assert!(broad(desk.silence("team=growth", 6, 100)), "three of four");
    assert!(broad(desk.silence("node=~a1|b1", 6, 100)), "names no value");
    assert!(desk.silence("node=a1", 6, 100).is_ok());
    assert!(desk.silence("team=sales", 6, 100).is_ok());
    let past = desk.silence("node=a1", 6, 5);
    assert_eq!(
        past.unwrap_err().to_string(),
        "the end must lie after the beginning"
    );
}

#[test]
fn the_end_of_a_silence_is_announced_to_who_made_it() {
    let mut desk = Desk::by_team();
    let wang = Person {
        receiver: "wang-phone".to_owned(),
        manager: None,
    };
    desk.routing.people.insert("wang".to_owned(), wang);
    desk.silence("node=a1", 0, 3600).unwrap();
    desk.fire(&["a1"]);
    assert!(desk.until(1, 30).is_empty());
    let notices = desk.step(2700, true).notices;
    assert_eq!(messages(&notices), "wang-phone[reminder]");
    let Some(Aside::Silence(ending)) = notices[0].aside.as_deref() else {
        panic!("{:?}", notices[0].aside)
    };
    assert_eq!(
        (ending.alerts, ending.matchers.as_slice()),
        (1, &["node=\"a1\"".to_owned()][..])
    );
    assert!(desk.until(2701, 2710).is_empty());
}

#[test]
fn a_ladder_is_climbed_while_nobody_acknowledges() {
    let mut desk = Desk::by_team();
    let rung = |after, to| Rung {
        after: SignedDuration::from_secs(after),
        to,
    };
    desk.route().escalate = vec![
        rung(60, To::Manager("ops".to_owned())),
        rung(120, To::Receiver("ceo".to_owned())),
    ];
    let person = |receiver: &str, manager: Option<&str>| Person {
        receiver: receiver.to_owned(),
        manager: manager.map(str::to_owned),
    };
    desk.routing
        .people
        .insert("li".to_owned(), person("li-phone", Some("wang")));
    desk.routing
        .people
        .insert("wang".to_owned(), person("wang-phone", None));
    desk.fire(&["a1"]);
    assert_eq!(
        desk.until(0, 70),
        ["5: ops[fired a1]", "70: wang-phone[fired a1]"]
    );
    desk.ack("a1", 71);
    assert_eq!(desk.until(72, 300), ["72: ops[acked a1] wang-phone[acked a1]"]);
    desk.clear("a1");
    assert_eq!(
        desk.until(301, 310),
        ["306: ops[resolved a1] wang-phone[resolved a1]"]
    );
}

#[test]
fn a_step_that_fell_due_in_a_silence_is_not_taken_where_somebody_acknowledges_meanwhile() {
    let mut desk = Desk::by_team();
    desk.route().escalate = vec![Rung {
        after: SignedDuration::from_secs(60),
        to: To::Receiver("ceo".to_owned()),
    }];
    desk.fire(&["a1", "a2"]);
    desk.until(0, 10);
    desk.silence("node=a1", 20, 100).unwrap();
    desk.silence("node=a2", 20, 100).unwrap();
    assert!(desk.until(21, 80).is_empty());
    desk.ack("a1", 81);
    desk.until(82, 104);
    let notices = desk.step(105, true).notices;
    let climbed: Vec<&Notice> = notices.iter().filter(|notice| notice.receiver == "ceo").collect();
    assert_eq!(climbed.len(), 1, "{}", messages(&notices));
    assert_eq!(climbed[0].labels["node"], "a2");
    // It is told because nobody has acknowledged it, not because a silence is over.
    assert_eq!(
        climbed[0].because,
        Some(Because::Unacknowledged { since: second(5) })
    );
    assert!(desk.until(106, 300).is_empty());
}

#[test]
fn an_owner_is_told_where_people_know_one() {
    let mut desk = Desk::by_team();
    desk.route().to = To::Owner("ops".to_owned());
    desk.fire(&["a1"]);
    assert_eq!(desk.until(0, 5), ["5: ops[fired a1]"]);
    let li = Person {
        receiver: "li-phone".to_owned(),
        manager: None,
    };
    desk.routing.people.insert("li".to_owned(), li);
    desk.fire(&["b1"]);
    assert_eq!(desk.until(6, 20), ["11: li-phone[fired b1]"]);
}

#[test]
fn the_owner_of_what_a_node_serves_is_told_where_people_know_one() {
    let mut desk = Desk::by_team();
    desk.route().to = To::ParentOwner("ops".to_owned());
    let zhou = Person {
        receiver: "zhou-phone".to_owned(),
        manager: None,
    };
    desk.routing.people.insert("zhou".to_owned(), zhou);
    for (owner, told) in [
        (Some("zhou"), "zhou-phone"),
        (Some("nobody"), "ops"),
        (None, "ops"),
    ] {
        // Who answers for the node itself is somebody else.
        let labels = [("owner".to_owned(), "li".to_owned())].into();
        let record = AlertRecord {
            facts: Facts {
                parent_owner: owner.map(str::to_owned),
                ..Facts::default()
            },
            ..AlertRecord::sample(labels, Severity::WARNING)
        };
        let receivers: Vec<String> = desk
            .routing
            .destinations(&record)
            .into_iter()
            .map(|destination| destination.receiver)
            .collect();
        assert_eq!(receivers, [told], "{owner:?}");
    }
}

#[test]
fn nights_delay_and_do_not_drop() {
    let mut desk = Desk::by_team();
    let time = |hour| jiff::civil::Time::new(hour, 0, 0, 0).unwrap();
    let night = Interval {
        times: vec![(time(0), Some(time(1)))],
        ..Interval::default()
    };
    desk.routing.intervals.insert("night".to_owned(), vec![night]);
    desk.route().mute = vec!["night".to_owned()];
    desk.fire(&["a1", "a2"]);
    assert!(desk.until(0, 100).is_empty());
    desk.clear("a2");
    assert!(desk.until(101, 110).is_empty());
    desk.at(3600);
    let notices = desk.step(3605, true).notices;
    assert_eq!(messages(&notices), "ops[fired a1]");
    assert_eq!(notices[0].because, Some(Because::MuteEnded));
}

#[test]
fn what_another_alert_explains_waits_until_that_is_over() {
    let mut desk = Desk::by_team();
    desk.routing.inhibit.push(InhibitRule {
        source: vec![Matcher::parse("severity=critical").unwrap()],
        target: vec![Matcher::parse("severity=warning").unwrap()],
        equal: vec!["team".to_owned()],
    });
    desk.fire(&["a1", "b1"]);
    desk.worsen("a2");
    assert_eq!(desk.until(0, 20), ["0: ops[fired a2]", "5: ops[fired b1]"]);
    desk.clear("a2");
    let told = desk.until(21, 40);
    assert_eq!(told, ["26: ops[resolved a2, fired a1]"]);
}

#[test]
fn many_at_once_are_one_summary_and_each_is_still_told_its_end() {
    let mut desk = Desk::by_team();
    desk.routing.manners.storm.max = 3;
    desk.route().group_by = GroupBy::Each;
    desk.fire(&["a1", "a2", "a3", "b1", "b2"]);
    let told = desk.until(0, 5);
    assert_eq!(
        told,
        ["5: ops[storm fired a1, storm fired a2, storm fired a3, storm fired b1, storm fired b2]"]
    );
    // More within the minute wait for the next summary.
    desk.fire(&["b3", "b4"]);
    assert_eq!(desk.until(6, 70), ["65: ops[fired b4] ops[fired b3]"]);
    desk.clear("a1");
    assert_eq!(desk.until(71, 80), ["76: ops[resolved a1]"]);
}

#[test]
fn many_one_by_one_become_summaries_as_well() {
    let mut desk = Desk::by_team();
    desk.routing.manners.storm.max = 3;
    desk.route().group_by = GroupBy::Each;
    desk.route().timing.group_wait = Some(SignedDuration::ZERO);
    let names = ["a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8", "a9"];
    let mut told = Vec::new();
    for (at, name) in (0..).step_by(2).zip(names) {
        desk.fire(&[name]);
        told.extend(desk.until(at, at + 1));
    }
    assert_eq!(told, ["0: ops[fired a1]", "2: ops[fired a2]", "4: ops[fired a3]"]);
    // The fourth was the first too many: it waits for those that follow within the minute.
    let summary = "66: ops[storm fired a4, storm fired a5, storm fired a6, storm fired a7, storm fired a8, storm fired a9]";
    assert_eq!(desk.until(18, 130), [summary]);
    // Who comes alone behind it is told when the storm is over.
    desk.fire(&["b2"]);
    assert_eq!(desk.until(131, 300), ["131: ops[fired b2]"]);
}

#[test]
fn one_too_many_that_stays_alone_is_told_after_the_minute() {
    let mut desk = Desk::by_team();
    desk.routing.manners.storm.max = 2;
    desk.route().group_by = GroupBy::Each;
    for (at, name) in [(0, "a1"), (1, "a2"), (2, "a3")] {
        desk.fire(&[name]);
        desk.step(at, true);
    }
    assert_eq!(
        desk.until(3, 200),
        ["5: ops[fired a1]", "6: ops[fired a2]", "67: ops[fired a3]"]
    );
}

#[test]
fn who_was_explained_waits_for_as_long_as_the_settings_say() {
    let mut desk = Desk::by_team();
    desk.routing.manners.inhibit_release_wait = Some(SignedDuration::from_secs(30));
    desk.routing.inhibit.push(InhibitRule {
        source: vec![Matcher::parse("severity=critical").unwrap()],
        target: vec![Matcher::parse("severity=warning").unwrap()],
        equal: vec!["team".to_owned()],
    });
    desk.fire(&["a1"]);
    desk.worsen("a2");
    assert_eq!(desk.until(0, 20), ["0: ops[fired a2]"]);
    desk.clear("a2");
    assert_eq!(desk.until(21, 100), ["26: ops[resolved a2]", "51: ops[fired a1]"]);
}

#[test]
fn an_acknowledgement_of_what_got_worse_at_night_holds() {
    let mut desk = Desk::by_team();
    let time = |hour| jiff::civil::Time::new(hour, 0, 0, 0).unwrap();
    let night = Interval {
        times: vec![(time(1), Some(time(2)))],
        ..Interval::default()
    };
    desk.routing.intervals.insert("night".to_owned(), vec![night]);
    desk.route().mute = vec!["night".to_owned()];
    desk.fire(&["a1"]);
    assert_eq!(desk.until(0, 10), ["5: ops[fired a1]"]);
    desk.worsen("a1");
    assert!(desk.until(4000, 4010).is_empty());
    desk.ack("a1", 4011);
    assert!(desk.until(4012, 4020).is_empty());
    let record = desk.engine.records().next().unwrap();
    assert!(record.told.ack.is_some(), "it was taken as it stands");
    assert_eq!(desk.until(7199, 7210), ["7200: ops[escalated a1, acked a1]"]);
    // What gets worse than what was taken is news.
    desk.firing.insert("a1".to_owned(), Severity::WARNING);
    desk.at(7211);
    desk.ack("a1", 7212);
    desk.worsen("a1");
    assert!(
        desk.at(7213).contains("escalated"),
        "it is worse than what was taken"
    );
}

#[test]
fn what_is_about_the_machinery_is_repeated_sooner_and_at_any_hour() {
    for (kind, said, expected) in [
        ("feed_gap", false, Some(4 * 3600)),
        ("hollow", false, None),
        ("feed_gap", true, None),
    ] {
        let mut desk = Desk::by_team();
        desk.route().repeat_within = vec![WORKING_HOURS.to_owned()];
        desk.route().says_repeats = said;
        desk.rule.kind = kind.to_owned();
        desk.fire(&["a1"]);
        desk.until(0, 10);
        // A Thursday night.
        let told = desk.step(5 + 4 * 3600, true).notices;
        let repeated = told.iter().any(|notice| notice.kind == NoticeKind::Repeat);
        assert_eq!(repeated, expected.is_some(), "{kind} {said}");
    }
}

#[test]
fn the_settings_say_how_long_a_storm_is() {
    let mut desk = Desk::by_team();
    desk.routing.manners.storm = Guard {
        max: 3,
        window: SignedDuration::from_mins(5),
    };
    desk.route().group_by = GroupBy::Each;
    desk.fire(&["a1", "a2", "a3", "b1", "b2"]);
    desk.until(0, 5);
    desk.fire(&["b3", "b4"]);
    assert_eq!(desk.until(6, 310), ["305: ops[fired b4] ops[fired b3]"]);
}

#[test]
fn an_end_says_whether_others_of_its_group_go_on() {
    let mut desk = Desk::by_team();
    desk.fire(&["a1", "a2", "a3", "b1"]);
    desk.until(0, 10);
    let mut ends = Vec::new();
    // The end of a2 is known when that of a1 is told, and is told three seconds later.
    for (second, name) in [(11, "a1"), (14, "a2"), (30, "a3")] {
        for second in second - 3..second {
            ends.extend(desk.step(second, true).notices);
        }
        desk.clear(name);
    }
    for second in 30..40 {
        ends.extend(desk.step(second, true).notices);
    }
    let ends: Vec<(&str, bool)> = ends
        .iter()
        .filter(|notice| notice.kind == NoticeKind::Resolved)
        .map(|notice| (notice.labels["node"].as_str(), notice.group_fires))
        .collect();
    assert_eq!(ends, [("a1", true), ("a2", true), ("a3", false)]);
}

#[test]
fn a_digest_says_what_fires_and_what_ended_since_the_last() {
    let mut desk = Desk::by_team();
    desk.routing.digests.push(DigestPlan {
        name: "hourly".to_owned(),
        cron: "0 * * * *".parse().unwrap(),
        zone: None,
        receiver: "boss".to_owned(),
        matchers: Vec::new(),
        skip_if_empty: true,
        jitter: SignedDuration::ZERO,
    });
    assert!(desk.at(0).is_empty());
    assert!(desk.at(3600).is_empty(), "nothing to say");
    desk.fire(&["a1", "a2"]);
    desk.until(3700, 3710);
    desk.clear("a2");
    desk.until(3711, 3720);
    let notices = desk.step(7200, true).notices;
    assert_eq!(messages(&notices), "boss[digest]");
    let Some(Aside::Digest(digest)) = notices[0].aside.as_deref() else {
        panic!("{:?}", notices[0].aside)
    };
    let names = |lines: &[crate::alert::notice::DigestLine]| -> Vec<String> {
        lines
            .iter()
            .map(|line| format!("{} {}", line.labels["node"], line.is_new))
            .collect()
    };
    assert_eq!(
        (names(&digest.open), names(&digest.ended)),
        (vec!["a1 true".to_owned()], vec!["a2 true".to_owned()])
    );
    desk.restart();
    assert!(desk.until(7201, 7300).is_empty());
    // Hours that were missed are one digest.
    assert_eq!(desk.at(7200 + 5 * 3600 + 30), "boss[digest]");
}

#[test]
fn what_came_and_went_while_nobody_could_be_told_is_one_message() {
    let mut desk = Desk::by_team();
    desk.fire(&["b1"]);
    desk.until(0, 10);
    // Away: states move on.
    desk.fire(&["a1", "a2"]);
    desk.step(2000, false);
    desk.clear("a1");
    desk.step(2100, false);
    desk.restart();
    desk.is_back = true;
    let notices = desk.step(3000, true).notices;
    assert_eq!(messages(&notices), "ops[digest]");
    let Some(Aside::Digest(digest)) = notices[0].aside.as_deref() else {
        panic!("{:?}", notices[0].aside)
    };
    assert_eq!((digest.name.as_deref(), digest.ended.len()), (None, 1));
    assert_eq!(digest.ended[0].labels["node"], "a1");
    desk.is_back = false;
    assert_eq!(desk.until(3001, 3060), ["3005: ops[fired a2]"]);
}

/// The nodes of the digest of what happened while nobody could be told.
fn away(notices: &[Notice]) -> Vec<String> {
    let digest = notices.iter().find_map(|notice| match notice.aside.as_deref() {
        Some(Aside::Digest(digest)) => Some(digest),
        _ => None,
    });
    let lines = digest.map(|digest| &digest.ended).into_iter().flatten();
    lines.map(|line| line.labels["node"].clone()).collect()
}

#[test]
fn what_would_have_been_held_back_while_nobody_could_be_told_is_not_told_afterwards() {
    let mut desk = Desk::by_team();
    desk.routing.inhibit = vec![InhibitRule {
        source: vec![Matcher::parse("node=b1").unwrap()],
        target: vec![Matcher::parse("node=b2").unwrap()],
        equal: Vec::new(),
    }];
    desk.until(0, 20);
    desk.worsen("b3");
    assert_eq!(desk.until(21, 22), ["21: ops[fired b3]"]);
    desk.silence("node=a1", 23, 10_000).unwrap();
    desk.fire(&["a1", "a2", "b1", "b2"]);
    desk.step(2000, false);
    desk.firing.clear();
    desk.step(2100, false);
    // b2 came once more when nothing explained it.
    desk.fire(&["b2"]);
    desk.step(2200, false);
    desk.firing.clear();
    desk.step(2300, false);
    desk.restart();
    desk.is_back = true;
    let notices = desk.step(3000, true).notices;
    assert_eq!(away(&notices), ["b2", "a2", "b1"]);
    desk.is_back = false;
    // Who was told that b3 fires hears of its end, and of that alone.
    assert_eq!(desk.until(3001, 3010), ["3005: ops[resolved b3]"]);
}

#[test]
fn who_is_not_to_be_told_at_night_hears_in_the_morning_what_happened_while_nobody_could_be() {
    let mut desk = Desk::by_team();
    let night = Interval {
        times: vec![(
            jiff::civil::time(0, 30, 0, 0),
            Some(jiff::civil::time(2, 0, 0, 0)),
        )],
        ..Interval::default()
    };
    desk.routing.intervals.insert("night".to_owned(), vec![night]);
    desk.route().mute = vec!["night".to_owned()];
    desk.until(0, 20);
    desk.fire(&["a1"]);
    desk.step(2000, false);
    desk.clear("a1");
    desk.step(2100, false);
    desk.is_back = true;
    assert_eq!(desk.at(3000), "");
    desk.is_back = false;
    assert_eq!(desk.engine.next_due(), Some(second(7200)));
    assert_eq!(desk.until(7190, 7210), ["7200: ops[digest]"]);
}

#[test]
fn what_is_told_while_history_is_read_is_marked_and_told_once() {
    let mut desk = Desk::by_team();
    desk.fire(&["a1"]);
    for at in 0..600 {
        assert!(desk.step(at, false).notices.is_empty());
    }
    (desk.is_back, desk.catching_up) = (true, true);
    let early: Vec<Notice> = (600..660).flat_map(|at| desk.step(at, true).notices).collect();
    assert_eq!(messages(&early), "ops[fired a1]");
    assert!(early[0].catching_up);
    desk.restart();
    (desk.is_back, desk.catching_up) = (false, false);
    assert!(desk.until(660, 700).is_empty(), "it is not told again");
    desk.clear("a1");
    let ended: Vec<Notice> = (700..710).flat_map(|at| desk.step(at, true).notices).collect();
    assert_eq!(messages(&ended), "ops[resolved a1]");
    assert!(!ended[0].catching_up);
}

#[test]
fn when_the_next_thing_is_due_is_known() {
    let mut desk = Desk::by_team();
    desk.fire(&["a1"]);
    desk.at(0);
    assert_eq!(desk.engine.next_due(), Some(second(5)));
    desk.at(5);
    assert_eq!(desk.engine.next_due(), Some(second(5 + 24 * 3600)));
    desk.clear("a1");
    desk.at(10);
    assert_eq!(desk.engine.next_due(), Some(second(15)));
    desk.at(15);
    assert_eq!(desk.engine.next_due(), None);
}

#[test]
fn a_node_that_is_behind_explains_those_of_its_parts_that_matter_little() {
    for (share, told) in [(0.1, "5: ops[fired b1]"), (0.5, "5: ops[fired a1, fired b1]")] {
        let mut desk = Desk::by_team();
        desk.route().group_by = GroupBy::Labels(Vec::new());
        desk.rule.kind = "behind_pace".to_owned();
        desk.world.share = Some(share);
        desk.fire(&["a1", "b1"]);
        assert!(desk.until(0, 4).is_empty());
        desk.restart();
        let notices = desk.step(5, true).notices;
        let mut words: Vec<&str> = notices
            .iter()
            .map(|notice| notice.labels["node"].as_str())
            .collect();
        words.sort_unstable();
        let words: Vec<String> = words.iter().map(|node| format!("fired {node}")).collect();
        assert_eq!(format!("5: ops[{}]", words.join(", ")), told);
        let of_parent = notices
            .iter()
            .find(|notice| notice.labels["node"] == "b1")
            .unwrap();
        let explains: &[&str] = if share < 0.2 { &["a1 is behind plan"] } else { &[] };
        let said: Vec<&str> = of_parent
            .explains
            .iter()
            .map(|heading| heading.en.as_str())
            .collect();
        assert_eq!(said, explains);
        // What explained it is over: it is told after the wait.
        desk.clear("b1");
        if share < 0.2 {
            assert_eq!(desk.until(10, 20), ["15: ops[resolved b1, fired a1]"]);
        }
    }
}

#[test]
fn who_is_not_told_how_a_silenced_period_ended_hears_no_correction() {
    let mut desk = Desk::by_team();
    desk.routing.manners.resolve_when_silenced = EndOfHeld::Never;
    desk.period_end = Some(second(100));
    desk.world.completion = Some(0.4);
    desk.fire(&["a1", "b1"]);
    desk.until(0, 50);
    desk.silence("node=a1", 51, 1000).unwrap();
    assert_eq!(desk.until(52, 120), ["105: ops[resolved b1]"]);
    desk.world.completion = Some(1.1);
    let corrected: Vec<Notice> = (121..=190).flat_map(|at| desk.step(at, true).notices).collect();
    assert_eq!(messages(&corrected), "ops[correction b1]");
}

#[test]
fn a_verdict_that_late_events_change_is_corrected_once() {
    let mut desk = Desk::by_team();
    desk.period_end = Some(second(100));
    desk.world.completion = Some(0.4);
    desk.fire(&["a1"]);
    assert_eq!(desk.until(0, 99), ["5: ops[fired a1]"]);
    let ended = desk.until(100, 120);
    assert_eq!(ended, ["105: ops[resolved a1]"]);
    assert!(desk.until(121, 150).is_empty(), "it is as it was told");
    desk.world.completion = Some(1.1);
    let corrected: Vec<Notice> = (151..=190).flat_map(|at| desk.step(at, true).notices).collect();
    assert_eq!(messages(&corrected), "ops[correction a1]");
    assert_eq!(corrected[0].verdict, Some(crate::alert::notice::Verdict::Met));
    assert_eq!(corrected[0].seq, 3, "fired, resolved, corrected");
    desk.restart();
    desk.world.completion = Some(0.9);
    let again = desk.until(191, 230);
    assert_eq!(again.len(), 1, "{again:?}");
    assert!(again[0].ends_with("ops[correction a1]"));
}

/// Other weights for the KPIs of b1, proposed at a close.
fn proposed(closed: &str) -> Titled {
    let line = |node: &str, before, after| Line {
        node: node.to_owned(),
        before,
        after,
        evidence: None,
    };
    Titled {
        title: "B1".to_owned(),
        owner: Some("li".to_owned()),
        titles: vec!["A1".to_owned(), "A2".to_owned()],
        proposal: Proposal {
            parent: "b1".to_owned(),
            closed: closed.to_owned(),
            at: second(0),
            next: "1970-01-02".parse().unwrap(),
            lines: vec![line("a1", 50.0, 44.0), line("a2", 50.0, 56.0)],
            standing: Standing::Pending,
        },
    }
}

#[test]
fn weights_that_wait_are_told_once_and_those_of_the_next_close_again() {
    let mut desk = Desk::by_team();
    desk.world.proposals = vec![proposed("1969-12")];
    assert!(desk.step(0, false).notices.is_empty(), "history is read");
    // `until` starts anew before every second.
    assert_eq!(desk.until(1, 100), ["1: ops[proposal b1]"]);
    assert!(desk.until(86_400, 86_500).is_empty(), "it is not repeated");
    desk.world.proposals.clear();
    assert!(desk.until(86_501, 86_510).is_empty(), "it is decided");
    desk.world.proposals = vec![proposed("1970-01")];
    let notices = desk.step(86_511, true).notices;
    assert_eq!(messages(&notices), "ops[proposal b1]");
    let Some(Aside::Weights(told)) = notices[0].aside.as_deref() else {
        panic!("{:?}", notices[0].aside)
    };
    assert_eq!(*told, proposed("1970-01"));
    // What a record of it holds is what is told: nobody reads it otherwise when it was kept.
    let kept: Notice = serde_json::from_str(&serde_json::to_string(&notices[0]).unwrap()).unwrap();
    assert_eq!(kept, notices[0]);
}

#[test]
fn weights_that_wait_go_to_the_owner_of_the_business_in_the_times_of_the_route() {
    let mut desk = Desk::by_team();
    let li = Person {
        receiver: "li-phone".to_owned(),
        manager: None,
    };
    desk.routing.people.insert("li".to_owned(), li);
    let time = |hour| jiff::civil::Time::new(hour, 0, 0, 0).unwrap();
    let night = Interval {
        times: vec![(time(0), Some(time(1)))],
        ..Interval::default()
    };
    desk.routing.intervals.insert("night".to_owned(), vec![night]);
    desk.route().mute = vec!["night".to_owned()];
    desk.world.proposals = vec![proposed("1969-12")];
    assert!(desk.until(0, 10).is_empty());
    assert_eq!(desk.engine.next_due(), Some(second(3600)));
    assert_eq!(desk.until(3599, 3700), ["3600: li-phone[proposal b1]"]);
    // Who decides in the night hears nothing of it in the morning.
    desk.world.proposals = vec![proposed("1970-01")];
    let tomorrow = 24 * 3600;
    assert!(desk.until(tomorrow, tomorrow + 10).is_empty());
    desk.world.proposals.clear();
    assert!(desk.until(tomorrow + 3600, tomorrow + 3700).is_empty());
}

#[test]
fn a_silence_holds_back_weights_that_wait_and_whom_a_new_route_names_is_not_told_again() {
    let mut desk = Desk::by_team();
    desk.world.proposals = vec![proposed("1969-12")];
    desk.silence("alertname=weights_proposed", 0, 20).unwrap();
    assert!(desk.until(0, 19).is_empty());
    assert_eq!(desk.until(20, 30), ["20: ops[proposal b1]"]);
    desk.route().to = To::Receiver("boss".to_owned());
    assert!(desk.until(31, 60).is_empty());
}

#[test]
fn a_digest_names_weights_that_still_wait() {
    let mut desk = Desk::by_team();
    desk.routing.digests.push(DigestPlan {
        name: "hourly".to_owned(),
        cron: "0 * * * *".parse().unwrap(),
        zone: None,
        receiver: "boss".to_owned(),
        matchers: vec![Matcher::parse("node=b1").unwrap()],
        skip_if_empty: true,
        jitter: SignedDuration::ZERO,
    });
    desk.at(0);
    desk.world.proposals = vec![proposed("1969-12")];
    assert_eq!(desk.until(1, 10), ["1: ops[proposal b1]"]);
    let notices = desk.step(3600, true).notices;
    assert_eq!(messages(&notices), "boss[digest]");
    let Some(Aside::Digest(digest)) = notices[0].aside.as_deref() else {
        panic!("{:?}", notices[0].aside)
    };
    assert_eq!(digest.waiting, [proposed("1969-12")]);
    desk.world.proposals.clear();
    assert!(desk.at(7200).is_empty(), "nothing to say");
}
