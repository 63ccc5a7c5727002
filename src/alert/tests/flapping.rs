//! Alerts that come back: "again", and, when they come and go too fast, one word and then silence.

use super::desk::Desk;
use super::*;

/// One episode, a minute long.
fn episode(bench: &mut Bench, at: i64) -> (String, String) {
    (bench.judge(at, WARNING), bench.judge(at + 1, CLEAR))
}

fn fired_and_resolved() -> (String, String) {
    ("1 fired ops".to_owned(), "2 resolved ops Recovered".to_owned())
}

/// Four episodes in plain words, the fifth flapping and still open to people although it is over.
fn flapping() -> Bench {
    let mut bench = Bench::new(rule(&[(Severity::WARNING, 0), (Severity::CRITICAL, 0)], 0));
    for at in [0, 10, 20, 30] {
        assert_eq!(episode(&mut bench, at), fired_and_resolved());
    }
    assert_eq!(
        episode(&mut bench, 40),
        ("1 flapping ops".to_owned(), String::new())
    );
    bench
}

#[test]
fn an_alert_that_is_back_within_the_hour_says_so() {
    let mut bench = Bench::new(hasty());
    let mut again = Vec::new();
    let mut episodes = Vec::new();
    // The fourth comes more than an hour after the end of the third, the last a day later.
    for at in [0, 61, 122, 184, 185 + 24 * 60] {
        let notices = bench.step(at, &[(NODE, WARNING)]).notices;
        episodes.push(notices[0].episode.clone());
        again.push(notices[0].again.clone());
        bench.judge(at + 1, CLEAR);
    }
    let counts: Vec<Option<u32>> = again
        .iter()
        .map(|again| again.as_ref().map(|again| again.count))
        .collect();
    assert_eq!(counts, [None, Some(2), Some(3), None, None]);
    assert_eq!(again[2].as_ref().unwrap().previous, episodes[1]);
}

#[test]
fn who_waits_longer_hears_of_the_flapping_as_well() {
    let mut desk = Desk::by_team();
    let at_once = Timing {
        group_wait: Some(SignedDuration::ZERO),
        ..Timing::default()
    };
    let mut fast = Route {
        go_on: true,
        timing: at_once,
        ..Route::to_receiver("fast")
    };
    fast.repeat_within = Vec::new();
    let slow = Route {
        repeat_within: Vec::new(),
        ..Route::to_receiver("ops")
    };
    desk.route().routes = vec![fast, slow];
    identify(desk.route());
    let mut heard: Vec<String> = Vec::new();
    for episode in 0..6 {
        let at = episode * 120;
        desk.fire(&["a1"]);
        for second in at..at + 60 {
            desk.restart();
            let told = desk.step(second, true).notices;
            heard.extend(
                told.iter()
                    .filter(|notice| notice.flapping)
                    .map(|notice| notice.receiver.clone()),
            );
        }
        desk.clear("a1");
        let ends: Vec<String> = (at + 60..at + 120)
            .flat_map(|second| desk.step(second, true).notices)
            .map(|notice| notice.receiver)
            .collect();
        // Who knows that it flaps hears of no end.
        assert_eq!(ends.len(), if episode < 4 { 2 } else { 0 }, "{episode}: {ends:?}");
    }
    assert_eq!(heard, ["fast", "ops"]);
}

#[test]
fn more_episodes_are_not_told() {
    let mut bench = flapping();
    assert_eq!(episode(&mut bench, 50), (String::new(), String::new()));
    assert_eq!(
        episode(&mut bench, 109),
        (String::new(), String::new()),
        "59 minutes later is not quiet"
    );
    assert_eq!(bench.record().unwrap().episodes, 7, "but counted");
}

#[test]
fn an_hour_of_quiet_ends_it() {
    let mut bench = flapping();
    assert_eq!(bench.judge(100, CLEAR), "");
    assert_eq!(bench.judge(101, CLEAR), "2 resolved ops Recovered");
    assert_eq!(episode(&mut bench, 102), fired_and_resolved());
}

#[test]
fn an_alert_that_fires_on_steadily_is_told_after_an_hour() {
    let mut bench = flapping();
    assert_eq!(bench.judge(50, WARNING), "");
    assert_eq!(bench.judge(109, WARNING), "");
    assert_eq!(bench.judge(110, WARNING), "2 resolved ops Recovered, 1 fired ops");
    assert_eq!(bench.judge(111, CLEAR), "2 resolved ops Recovered");
}

#[test]
fn a_flapping_episode_that_stays_is_an_ordinary_one_after_an_hour() {
    let mut bench = Bench::new(hasty());
    for at in [0, 10, 20, 30] {
        episode(&mut bench, at);
    }
    assert_eq!(bench.judge(40, WARNING), "1 flapping ops");
    assert_eq!(bench.judge(100, WARNING), "");
    assert_eq!(bench.judge(101, CLEAR), "2 resolved ops Recovered");
}

#[test]
fn worse_news_goes_through() {
    let mut bench = flapping();
    let told = bench.judge(50, CRITICAL);
    assert_eq!(told, "2 resolved ops Recovered, 1 flapping ops, 1 flapping boss");
    bench.judge(51, CLEAR);
    assert_eq!(bench.judge(52, CRITICAL), "", "once");
}

#[test]
fn worse_news_of_the_flapping_episode_is_not_told_again_with_the_next() {
    let mut bench = flapping();
    bench.judge(101, CLEAR);
    for at in [102, 104, 106, 108] {
        episode(&mut bench, at);
    }
    assert_eq!(bench.judge(110, WARNING), "1 flapping ops");
    assert_eq!(bench.judge(111, CRITICAL), "2 escalated ops, 2 flapping boss");
    assert_eq!(bench.judge(112, CLEAR), "");
    assert_eq!(bench.judge(113, CRITICAL), "");
}

/// A watermark may jump over the whole time in which nothing happened.
#[test]
fn flapping_ends_even_if_nobody_looked_meanwhile() {
    let mut bench = flapping();
    assert_eq!(bench.judge(200, WARNING), "2 resolved ops Recovered, 1 fired ops");
}

#[test]
fn the_end_of_the_identity_is_told_at_once() {
    let mut bench = flapping();
    bench.rules.clear();
    assert_eq!(bench.vanish(42), "2 resolved ops Recovered");
}

#[test]
fn flapping_that_nobody_saw_is_told_when_it_goes_on() {
    let mut bench = Bench::new(hasty());
    bench.quiet = true;
    for at in [0, 10, 20, 30, 40, 50] {
        episode(&mut bench, at);
    }
    bench.quiet = false;
    assert_eq!(bench.judge(55, CLEAR), "");
    assert_eq!(bench.judge(60, WARNING), "1 flapping ops");
}

#[test]
fn the_settings_say_what_flapping_is_and_what_is_back_again() {
    let mut bench = Bench::new(hasty());
    bench.manners.flap = Guard {
        max: 2,
        window: SignedDuration::from_mins(30),
    };
    bench.manners.refire_window = SignedDuration::from_mins(10);
    bench.engine = Engine::new("store").within(bench.manners);
    assert_eq!(episode(&mut bench, 0), fired_and_resolved());
    let back = bench.step(31, &[(NODE, WARNING)]).notices;
    assert_eq!(
        (back[0].flapping, &back[0].again),
        (false, &None),
        "half an hour later"
    );
    bench.judge(32, CLEAR);
    assert_eq!(bench.judge(40, WARNING), "1 flapping ops");
    bench.judge(41, CLEAR);
    assert_eq!(bench.judge(70, CLEAR), "");
    assert_eq!(
        bench.judge(71, CLEAR),
        "2 resolved ops Recovered",
        "half an hour of quiet"
    );
}

/// A rule that fires every second must not grow its record by each.
#[test]
fn the_memory_of_episodes_is_bounded() {
    let mut bench = Bench::new(hasty());
    for n in 0..600 {
        episode(&mut bench, 2 * n);
    }
    let record = bench.record().unwrap();
    assert_eq!(record.episodes, 600);
    assert!(record.history.fired.len() <= 100);
}
