//! Digests: what changed since the last one, also of what nobody was told one by one.

use super::desk::{Desk, messages, second};
use super::*;
use crate::alert::dispatch::interval::Interval;
use crate::alert::notice::{Aside, DigestLine};

const HOUR: i64 = 3600;

/// A desk with a digest every hour, which is quiet within the first hour of the day.
fn desk() -> Desk {
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
    let night = Interval {
        times: vec![(jiff::civil::time(0, 0, 0, 0), Some(jiff::civil::time(1, 0, 0, 0)))],
        ..Interval::default()
    };
    desk.routing.intervals.insert("night".to_owned(), vec![night]);
    desk.route().mute = vec!["night".to_owned()];
    assert!(desk.at(0).is_empty());
    desk
}

/// What the digest of a moment says: what fires, and what is over.
fn digest(desk: &mut Desk, at: i64) -> (Vec<String>, Vec<String>) {
    desk.restart();
    let notices = desk.step(at, true).notices;
    let told = notices.iter().find(|notice| notice.receiver == "boss");
    let Some(Aside::Digest(digest)) = told.and_then(|notice| notice.aside.as_deref()) else {
        panic!("no digest, but {}", messages(&notices));
    };
    let word = |line: &DigestLine| {
        let was = line.was.map_or("-", Severity::as_str);
        format!(
            "{} {} was {was}, {} times{}{}",
            line.labels["node"],
            line.severity.as_str(),
            line.episodes,
            if line.is_new { ", new" } else { "" },
            if line.untold { ", untold" } else { "" },
        )
    };
    (
        digest.open.iter().map(word).collect(),
        digest.ended.iter().map(word).collect(),
    )
}

#[test]
fn what_came_and_went_while_it_was_muted_is_in_the_next_digest() {
    let mut desk = desk();
    for (from, to) in [(100, 200), (300, 400)] {
        desk.fire(&["a1"]);
        assert!(desk.until(from, from + 10).is_empty());
        desk.clear("a1");
        assert!(desk.until(to, to + 10).is_empty());
    }
    desk.fire(&["a2"]);
    assert!(desk.until(500, 510).is_empty());
    assert_eq!(
        digest(&mut desk, HOUR),
        (
            vec!["a2 warning was -, 1 times, new".to_owned()],
            vec!["a1 warning was -, 1 times, new, untold".to_owned(); 2]
        )
    );
    assert_eq!(desk.until(HOUR + 1, HOUR + 10), ["3605: ops[fired a2]"]);
    desk.clear("a2");
    assert_eq!(desk.until(HOUR + 20, HOUR + 30), ["3625: ops[resolved a2]"]);
    // Who was told of the beginning knows of the end.
    assert_eq!(
        digest(&mut desk, 2 * HOUR),
        (Vec::new(), vec!["a2 warning was -, 1 times".to_owned()])
    );
}

#[test]
fn what_changed_its_level_since_the_last_digest_says_what_it_was() {
    let mut desk = desk();
    desk.fire(&["a1", "a2"]);
    desk.until(HOUR - 100, HOUR - 90);
    assert_eq!(digest(&mut desk, HOUR).0.len(), 2);
    desk.worsen("a1");
    desk.worsen("a2");
    desk.until(HOUR + 100, HOUR + 110);
    // Back where it was: nothing has changed between the two.
    desk.fire(&["a2"]);
    desk.until(HOUR + 200, HOUR + 210);
    // New, and worse by now than when it fired.
    desk.fire(&["a3"]);
    desk.until(HOUR + 300, HOUR + 310);
    desk.worsen("a3");
    desk.until(HOUR + 400, HOUR + 410);
    assert_eq!(
        digest(&mut desk, 2 * HOUR).0,
        [
            "a1 critical was warning, 0 times",
            "a3 critical was warning, 1 times, new",
            "a2 warning was -, 0 times"
        ]
    );
    let (open, _) = digest(&mut desk, 3 * HOUR);
    assert_eq!(open[0], "a1 critical was -, 0 times");
}

#[test]
fn a_level_that_goes_up_and_down_does_not_grow_its_record() {
    let mut desk = desk();
    for at in 1..200 {
        match at % 2 {
            0 => desk.worsen("a1"),
            _ => desk.fire(&["a1"]),
        }
        desk.at(HOUR + at);
    }
    let record = desk.engine.records().next().unwrap();
    assert_eq!(
        record.history.levels.len(),
        crate::alert::record::History::LEVELS_MAX
    );
    assert_eq!(
        record.history.level_at(Timestamp::MIN, Severity::CRITICAL),
        Some(Severity::WARNING)
    );
}

/// A digest that is declared again after it was not for a while is another one: with the id of one that was sent it would
/// be taken for that and never go.
#[test]
fn a_digest_that_is_declared_again_has_ids_of_its_own() {
    let mut desk = desk();
    desk.fire(&["a1"]);
    desk.until(HOUR - 100, HOUR - 90);
    let mut ids = std::collections::BTreeSet::new();
    for at in [HOUR, 3 * HOUR] {
        desk.restart();
        let notices = desk.step(at, true).notices;
        let of_digest = |notice: &&Notice| notice.kind == NoticeKind::Digest;
        let sent = notices.iter().find(of_digest).expect("a digest");
        assert!(ids.insert(sent.id.clone()), "{} once more", sent.id);
        let declared = std::mem::take(&mut desk.routing.digests);
        desk.restart();
        desk.at(at + 10);
        desk.routing.digests = declared;
        desk.restart();
        desk.at(2 * HOUR + 20);
    }
}

#[test]
fn every_episode_that_ended_since_the_last_digest_is_in_it() {
    let mut desk = desk();
    for from in [100, 200, 300, 400, 500] {
        desk.fire(&["a1"]);
        desk.until(from, from + 10);
        desk.clear("a1");
        desk.until(from + 50, from + 60);
    }
    desk.fire(&["a1"]);
    desk.until(600, 610);
    // It fires again: what was before is said as well, and the last line stands for the first three.
    let single = "a1 warning was -, 1 times, new, untold".to_owned();
    let rest = "a1 warning was -, 3 times, new, untold".to_owned();
    assert_eq!(
        digest(&mut desk, HOUR),
        (
            vec!["a1 warning was -, 6 times, new".to_owned()],
            vec![single.clone(), single, rest]
        )
    );
}

#[test]
fn a_digest_knows_what_ended_in_a_period_whose_alerts_are_forgotten() {
    let mut desk = desk();
    desk.routing.digests[0].cron = "0 9 1 2 *".parse().unwrap();
    desk.period_end = Some(second(3 * HOUR));
    desk.fire(&["a1"]);
    desk.until(2 * HOUR, 2 * HOUR + 10);
    desk.clear("a1");
    desk.until(2 * HOUR + 20, 2 * HOUR + 30);
    let day = 24 * HOUR;
    desk.at(9 * day);
    assert_eq!(desk.engine.records().count(), 0);
    assert_eq!(
        digest(&mut desk, 31 * day + 9 * HOUR),
        (Vec::new(), vec!["a1 warning was -, 1 times, new".to_owned()])
    );
}
