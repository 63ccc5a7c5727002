use super::*;
use crate::alert::notice::ResolveReason;
use crate::notify::office::{Office, Script, decide};
use crate::notify::outbox::{Outbox, OutboxError};
use crate::notify::{Limit, samples};
use crate::state::Store;

fn fails() -> Option<Answer> {
    Some(Answer::Retry {
        after: None,
        maybe_shown: false,
        reason: "500".into(),
    })
}
fn is_lost() -> Option<Answer> {
    Some(Answer::Retry {
        after: None,
        maybe_shown: true,
        reason: "timeout".into(),
    })
}
fn wait(seconds: u64) -> Option<Answer> {
    let after = Some(Duration::from_secs(seconds));
    Some(Answer::Retry {
        after,
        maybe_shown: false,
        reason: "429".into(),
    })
}
fn refuses() -> Option<Answer> {
    Some(Answer::Drop {
        reason: "400 invalid_blocks".into(),
    })
}

fn fired(episode: u32) -> Notice {
    samples::numbered(samples::hollow(), episode)
}
fn resolved(episode: u32) -> Notice {
    samples::numbered(samples::over(ResolveReason::Recovered), episode)
}
fn to(receiver: &str, notice: Notice) -> Notice {
    Notice {
        receiver: receiver.into(),
        ..notice
    }
}

#[tokio::test(start_paused = true)]
async fn ten_at_once_leave_one_a_second_after_a_short_burst() {
    let (store, script) = (Store::in_memory().unwrap(), Script::new([]));
    let office = Office::open(&store, &script);
    office.decide(&(0..10).map(fired).collect::<Vec<_>>());
    office.until_settled().await;
    let seconds: Vec<f64> = script.seconds().iter().map(|at| at.round()).collect();
    assert_eq!(seconds, [0.0, 0.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
    assert_eq!(office.outcomes("ops"), "delivered 10");
    office.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_asks_to_wait_is_waited_for() {
    let (store, script) = (Store::in_memory().unwrap(), Script::new([wait(30)]));
    let office = Office::open(&store, &script);
    office.decide(&[fired(1), fired(2)]);
    office.until_settled().await;
    assert_eq!(script.ids(), ["e1.1", "e1.1", "e2.1"]);
    let seconds = script.seconds();
    assert!((30.0..30.1).contains(&(seconds[1] - seconds[0])), "{seconds:?}");
    assert_eq!(office.outcomes("ops"), "delivered 2, retried 1");
    office.close().await;
}

#[tokio::test(start_paused = true)]
async fn who_always_asks_for_no_wait_is_asked_once_a_minute() {
    let (store, script) = (Store::in_memory().unwrap(), Script::new((0..8).map(|_| wait(0))));
    let office = Office::open(&store, &script);
    office.decide(&[fired(1)]);
    office.until_settled().await;
    let seconds = script.seconds();
    assert!(seconds[3] < 5.0 && seconds[4] >= 60.0, "{seconds:?}");
    assert!(
        seconds[4..].windows(2).all(|pair| pair[1] - pair[0] >= 60.0),
        "{seconds:?}"
    );
    office.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_was_asked_for_holds_also_when_its_message_is_moot() {
    let (store, script) = (Store::in_memory().unwrap(), Script::new([wait(30)]));
    let office = Office::open(&store, &script);
    office.decide(&[fired(1)]);
    tokio::time::sleep(Duration::from_secs(3)).await;
    office.decide(&[resolved(1), fired(2)]);
    office.until_settled().await;
    assert_eq!(script.ids(), ["e1.1", "e2.1"]);
    let seconds = script.seconds();
    assert!((30.0..30.1).contains(&(seconds[1] - seconds[0])), "{seconds:?}");
    assert_eq!(office.outcomes("ops"), "delivered 1, retried 1, superseded 2");
    office.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_is_away_is_tried_less_and_less_often_whatever_waits() {
    let (store, script) = (Store::in_memory().unwrap(), Script::new((0..9).map(|_| fails())));
    let office = Office::open(&store, &script);
    office.decide(&[fired(1), fired(2), resolved(2)]);
    // New notices wake the queue; they do not hurry it.
    tokio::time::sleep(Duration::from_secs(3)).await;
    office.decide(&[fired(3)]);
    office.until_settled().await;
    let ids = script.ids();
    // After three failures the next is tried as well. Episode 2 was over before anybody could be told of it.
    assert_eq!(ids[..4], ["e1.1", "e1.1", "e1.1", "e3.1"]);
    let tried = |id: &str| ids.iter().filter(|tried| *tried == id).count();
    assert_eq!(tried("e1.1") + tried("e3.1"), 11);
    let seconds = script.seconds();
    // What stepped aside goes as soon as the destination is back.
    assert!(seconds[10] - seconds[9] < 1.0, "{seconds:?}");
    let waits: Vec<f64> = seconds[..10].windows(2).map(|pair| pair[1] - pair[0]).collect();
    for (wait, planned) in waits.iter().zip([2.0, 5.0, 15.0, 30.0, 60.0, 120.0]) {
        assert!((planned - 0.001..planned * 1.1 + 0.1).contains(wait), "{waits:?}");
    }
    assert_eq!(office.outcomes("ops"), "delivered 2, retried 9, superseded 2");
    office.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_notice_that_always_fails_holds_up_only_its_own_episode() {
    let (store, script) = (Store::in_memory().unwrap(), Script::new([]));
    script.when("e1.1", fails);
    let office = Office::open(&store, &script);
    let milder = Notice {
        id: "e1.2".into(),
        kind: NoticeKind::DeEscalated,
        ..fired(1)
    };
    office.decide(&[fired(1), milder, fired(2), fired(3)]);
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(script.ids()[..4], ["e1.1", "e1.1", "e1.1", "e2.1"]);
    assert_eq!(office.outcomes("ops").split(',').next(), Some("delivered 2"));
    tokio::time::sleep(Duration::from_hours(2)).await;
    office.decide(&[fired(4), resolved(2)]);
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(script.ids().iter().filter(|id| *id != "e1.1").count(), 4);
    // Only what else is said of its episode waits with it.
    assert_eq!(store.pending_counts().unwrap()["ops"], 2);
    office.close().await;
}

/// By a clock that moves between two looks at it.
#[tokio::test]
async fn one_that_stepped_aside_goes_when_it_is_due() {
    let (store, script) = (Store::in_memory().unwrap(), Script::new([]));
    decide(&store, &[fired(1)]);
    let receivers = ["ops".to_owned()];
    let position = store.pending(Of::These(&receivers), 1).unwrap()[0].position;
    let postponed = Postponed {
        attempts: ASIDE_AFTER,
        next_attempt: Timestamp::now() - SignedDuration::from_secs(1),
        maybe_shown: false,
        reason: "500".into(),
    };
    store.postpone(position, &postponed).unwrap();
    let office = Office::open(&store, &script);
    let settled = tokio::time::timeout(Duration::from_secs(10), office.until_settled());
    assert!(settled.await.is_ok(), "it is never tried");
    assert_eq!(script.ids(), ["e1.1"]);
    office.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_message_about_several_that_is_not_taken_is_made_smaller_until_the_bad_one_is_alone() {
    for (answer, outcome) in [
        (refuses as fn() -> Option<Answer>, "dead 1"),
        (fails, "delivered 7"),
    ] {
        let (store, script) = (Store::in_memory().unwrap(), Script::new([]));
        script.when("e6.1", answer);
        let office = Office::open(&store, &script);
        let bundled = |episode| Notice {
            bundle: "a".into(),
            ..fired(episode)
        };
        office.decide(&(1..=8).map(bundled).collect::<Vec<_>>());
        tokio::time::sleep(Duration::from_mins(5)).await;
        let log = store.recent_notices(9).unwrap();
        let delivered = log
            .iter()
            .filter(|logged| logged.status == Status::Delivered)
            .count();
        assert_eq!(delivered, 7, "{:?}", script.ids());
        assert!(
            office.outcomes("ops").contains(outcome),
            "{}",
            office.outcomes("ops")
        );
        office.close().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_busy_for_a_moment_is_tried_three_times_at_once() {
    let busy = (0..5).map(|_| {
        Some(Answer::Busy {
            reason: "-1 system busy".into(),
        })
    });
    let (store, script) = (Store::in_memory().unwrap(), Script::new(busy));
    let office = Office::open(&store, &script);
    office.decide(&[fired(1)]);
    office.until_settled().await;
    let seconds = script.seconds();
    let waits: Vec<f64> = seconds.windows(2).map(|pair| pair[1] - pair[0]).collect();
    for (wait, planned) in waits.iter().zip([1.0, 1.0, 1.0, 2.0, 5.0]) {
        assert!((planned - 0.001..planned * 1.1 + 0.1).contains(wait), "{waits:?}");
    }
    assert_eq!(waits.len(), 5);
    assert_eq!(office.outcomes("ops"), "delivered 1, retried 5");
    office.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_missed_alert_is_counted_within_ten_seconds_whatever_else_comes() {
    let (store, script) = (Store::in_memory().unwrap(), Script::new([None]));
    let office = Office::open(&store, &script);
    office.decide(&[fired(0)]);
    // Others wake the sender every three seconds.
    for episode in 1..=6 {
        tokio::time::sleep(Duration::from_secs(3)).await;
        office.decide(&[fired(episode)]);
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    // The first is due to be heard after ten seconds; twenty have passed.
    assert!(office.stats().missed()["ops"] >= 1);
    tokio::time::sleep(Duration::from_secs(18)).await;
    assert_eq!(office.stats().missed()["ops"], 7);
    office.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_delivered_for_a_day_is_given_up_and_the_next_goes_on() {
    let (store, script) = (
        Store::in_memory().unwrap(),
        Script::new((0..160).map(|_| fails())),
    );
    let office = Office::open(&store, &script);
    office.decide(&[fired(1)]);
    tokio::time::sleep(Duration::from_secs(86_300)).await;
    office.until_settled().await;
    let last = *script.seconds().last().unwrap();
    assert!((86_399.0..86_402.0).contains(&last), "{last}");
    let log = store.recent_notices(1).unwrap();
    assert_eq!(log[0].status, Status::Dead);
    assert_eq!(log[0].detail.as_deref(), Some("given up: 500"));
    script.answers.lock().unwrap().clear();
    office.decide(&[fired(2), resolved(1)]);
    office.until_settled().await;
    assert_eq!(script.ids().last().unwrap(), "e2.1");
    // Nobody heard of episode 1, so nobody hears of its end.
    assert!(
        office
            .outcomes("ops")
            .starts_with("dead 1, delivered 1, retried ")
    );
    assert!(office.outcomes("ops").ends_with(", superseded 1"));
    office.close().await;
}

#[tokio::test(start_paused = true)]
async fn an_episode_that_ends_untold_is_never_told() {
    let (store, script) = (Store::in_memory().unwrap(), Script::new([fails(), fails()]));
    let office = Office::open(&store, &script);
    office.decide(&[fired(1)]);
    tokio::time::sleep(Duration::from_secs(3)).await;
    office.decide(&[samples::numbered(samples::worse(), 1), resolved(1)]);
    office.until_settled().await;
    assert_eq!(script.ids(), ["e1.1", "e1.1"]);
    assert_eq!(office.outcomes("ops"), "retried 2, superseded 3");
    office.close().await;
}

#[tokio::test(start_paused = true)]
async fn an_episode_that_may_have_been_seen_is_told_to_its_end() {
    let (store, script) = (Store::in_memory().unwrap(), Script::new([is_lost()]));
    let office = Office::open(&store, &script);
    office.decide(&[fired(1), resolved(1)]);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(office.outcomes("ops"), "superseded 2");
    office.decide(&[fired(2)]);
    tokio::time::sleep(Duration::from_secs(1)).await;
    office.decide(&[resolved(2)]);
    office.until_settled().await;
    assert_eq!(script.ids(), ["e2.1", "e2.1", "e2.3"]);
    office.close().await;
}

#[tokio::test(start_paused = true)]
async fn who_did_not_hear_how_it_ended_does_not_hear_that_it_ended_otherwise() {
    let correction = || Notice {
        id: "e1.4".into(),
        kind: NoticeKind::Correction,
        ..resolved(1)
    };
    let (store, script) = (Store::in_memory().unwrap(), Script::new([refuses(), refuses()]));
    let office = Office::open(&store, &script);
    office.decide(&[fired(1)]);
    office.until_settled().await;
    office.decide(&[resolved(1)]);
    office.until_settled().await;
    office.decide(&[correction()]);
    office.until_settled().await;
    assert_eq!(script.ids(), ["e1.1", "e1.1+"]);
    assert_eq!(office.outcomes("ops"), "dead 1, superseded 2");
    office.close().await;
    // Who heard it does.
    let (store, script) = (Store::in_memory().unwrap(), Script::new([]));
    let office = Office::open(&store, &script);
    office.decide(&[fired(1), resolved(1), correction()]);
    office.until_settled().await;
    assert_eq!(office.outcomes("ops"), "superseded 3");
    office.decide(&[fired(2)]);
    office.until_settled().await;
    office.decide(&[resolved(2)]);
    office.until_settled().await;
    let of_two = Notice {
        id: "e2.4".into(),
        kind: NoticeKind::Correction,
        ..resolved(2)
    };
    office.decide(&[of_two]);
    office.until_settled().await;
    assert_eq!(script.ids(), ["e2.1", "e2.3", "e2.4"]);
    office.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_message_goes_once_as_plain_text() {
    let answers = [refuses(), Some(Answer::OK), refuses(), refuses()];
    let (store, script) = (Store::in_memory().unwrap(), Script::new(answers));
    let office = Office::open(&store, &script);
    office.decide(&[fired(1), fired(2), fired(3)]);
    office.until_settled().await;
    assert_eq!(script.ids(), ["e1.1", "e1.1+", "e2.1", "e2.1+", "e3.1"]);
    assert_eq!(office.outcomes("ops"), "dead 1, delivered 2");
    let log = store.recent_notices(10).unwrap();
    let details: Vec<_> = log.iter().map(|logged| logged.detail.as_deref()).collect();
    assert_eq!(
        details,
        [
            None,
            Some("refused, as plain text too: 400 invalid_blocks"),
            Some("as plain text")
        ]
    );
    office.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_takes_nothing_gets_nothing_and_a_start_tries_again() {
    let (store, script) = (
        Store::in_memory().unwrap(),
        Script::new([Some(Answer::Disable {
            reason: "404 no_service".into(),
        })]),
    );
    let office = Office::open(&store, &script);
    office.decide(&[fired(1), fired(2)]);
    office.until_settled().await;
    office.decide(&[fired(3)]);
    office.until_settled().await;
    assert_eq!(script.ids(), ["e1.1"]);
    assert_eq!(office.outcomes("ops"), "dead 3");
    let log = store.recent_notices(1).unwrap();
    assert_eq!(
        log[0].detail.as_deref(),
        Some("destination disabled: 404 no_service")
    );
    office.close().await;

    let office = Office::open(&store, &script);
    office.decide(&[fired(4)]);
    office.until_settled().await;
    assert_eq!(script.ids(), ["e1.1", "e4.1"]);
    office.close().await;
}

#[tokio::test(start_paused = true)]
async fn notices_to_nobody_are_given_up() {
    let (store, script) = (Store::in_memory().unwrap(), Script::new([]));
    decide(&store, &[to("former", fired(1)), fired(2)]);
    let office = Office::open(&store, &script);
    office.until_settled().await;
    assert_eq!(script.ids(), ["e2.1"]);
    assert_eq!(
        (office.outcomes("former"), office.outcomes("ops")),
        ("dead 1".into(), "delivered 1".into())
    );
    office.close().await;
}

#[tokio::test(start_paused = true)]
async fn one_address_has_one_queue_and_another_does_not_wait_for_it() {
    let store = Store::in_memory().unwrap();
    let (shared, other) = (Script::new([fails()]), Script::new([]));
    let targets = [("ops", 1, &shared), ("sales", 1, &shared), ("boss", 2, &other)];
    let office = Office::with(&store, Box::new(store.clone()), &targets);
    office.decide(&[
        fired(1),
        to("sales", fired(2)),
        to("boss", fired(3)),
        fired(4),
        to("sales", fired(5)),
    ]);
    office.until_settled().await;
    assert_eq!(shared.ids(), ["e1.1", "e1.1", "e2.1", "e4.1", "e5.1"]);
    assert_eq!(other.ids(), ["e3.1"]);
    assert!(other.seconds()[0] < 1.0);
    let seconds: Vec<f64> = shared.seconds().iter().map(|at| at.floor()).collect();
    assert!(seconds[4] - seconds[1] >= 1.0, "{seconds:?}");
    office.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_restart_goes_on_where_it_was() {
    let store = Store::in_memory().unwrap();
    let script = Script::new([Some(Answer::OK), wait(60)]);
    let office = Office::open(&store, &script);
    office.decide(&(1..=4).map(fired).collect::<Vec<_>>());
    tokio::time::sleep(Duration::from_secs(10)).await;
    office.close().await;
    assert_eq!(script.ids(), ["e1.1", "e2.1"]);

    // The wall clock stands still while the runtime's does not: the wait of the second starts anew, no more.
    let office = Office::open(&store, &script);
    office.until_settled().await;
    assert_eq!(script.ids(), ["e1.1", "e2.1", "e2.1", "e3.1", "e4.1"]);
    assert!(script.seconds()[2] >= 60.0);
    let log = store.recent_notices(10).unwrap();
    assert!(log.iter().all(|logged| logged.status == Status::Delivered));
    assert_eq!(log[2].attempts, 1);
    office.close().await;
}

#[tokio::test(start_paused = true)]
async fn stopping_does_not_wait_for_a_receiver_that_hangs() {
    let (store, script) = (Store::in_memory().unwrap(), Script::new([None]));
    let office = Office::open(&store, &script);
    office.decide(&[fired(1)]);
    while script.ids().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let began = Instant::now();
    office.close().await;
    assert!((5.0..6.0).contains(&began.elapsed().as_secs_f64()));
    assert!(store.oldest_undelivered().unwrap().is_some());
}

/// A store whose first settles fail.
struct Broken {
    store: Store,
    failures: Mutex<u32>,
}

impl Outbox for Broken {
    fn pending(&self, of: Of<'_>, limit: usize) -> Result<Vec<Pending>, OutboxError> {
        self.store.pending(of, limit)
    }
    fn siblings(&self, receiver: &str, episode: &str) -> Result<Vec<Sibling>, OutboxError> {
        self.store.siblings(receiver, episode)
    }
    fn shown(&self, receiver: &str, episode: &str) -> Result<Option<String>, OutboxError> {
        self.store.shown(receiver, episode)
    }
    fn bundle(&self, receiver: &str, bundle: &str) -> Result<Vec<Pending>, OutboxError> {
        self.store.bundle(receiver, bundle)
    }
    fn standing(&self, receiver: &str, ended_since: Timestamp) -> Result<Vec<Notice>, OutboxError> {
        Outbox::standing(&self.store, receiver, ended_since)
    }
    fn missed(&self, before: Timestamp, since: Timestamp) -> Result<Vec<(i64, String)>, OutboxError> {
        self.store.missed(before, since)
    }
    fn settle(&self, at: &[i64], settled: &Settled, now: Timestamp) -> Result<(), OutboxError> {
        let mut failures = self.failures.lock().unwrap();
        if *failures > 0 {
            *failures -= 1;
            return Err(OutboxError("disk full".into()));
        }
        self.store.settle(at, settled, now)
    }
    fn mark(&self, positions: &[i64], maybe_shown: bool) -> Result<(), OutboxError> {
        self.store.mark(positions, maybe_shown)
    }
    fn postpone(&self, position: i64, postponed: &Postponed) -> Result<(), OutboxError> {
        self.store.postpone(position, postponed)
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_delivered_is_recorded_before_anything_else_is_sent() {
    let (store, script) = (Store::in_memory().unwrap(), Script::new([]));
    let broken = Broken {
        store: store.clone(),
        failures: Mutex::new(50),
    };
    let office = Office::with(&store, Box::new(broken), &[("ops", 1, &script)]);
    office.decide(&[fired(1), fired(2)]);
    office.until_settled().await;
    assert_eq!(script.ids(), ["e1.1", "e2.1"]);
    assert!(script.seconds()[1] >= 50.0);
    office.close().await;
}

#[tokio::test(start_paused = true)]
async fn notices_of_a_bundle_are_one_message_and_settle_together() {
    let (store, script) = (Store::in_memory().unwrap(), Script::new([fails()]));
    let office = Office::open(&store, &script);
    let bundled = |episode, bundle: &str| Notice {
        bundle: bundle.into(),
        ..fired(episode)
    };
    office.decide(&[bundled(1, "a"), fired(2), bundled(3, "a"), bundled(4, "b")]);
    office.until_settled().await;
    assert_eq!(script.ids(), ["e1.1 e3.1", "e1.1 e3.1", "e2.1", "e4.1"]);
    assert_eq!(office.outcomes("ops"), "delivered 4, retried 1");
    office.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_waits_longer_than_a_minute_goes_together_and_what_is_refused_together_goes_alone() {
    let store = Store::in_memory().unwrap();
    let answers = [wait(90), refuses(), Some(Answer::OK), Some(Answer::OK)];
    let script = Script::gathering(answers);
    let office = Office::open(&store, &script);
    office.decide(&[fired(1), fired(2), resolved(2), fired(3)]);
    tokio::time::sleep(Duration::from_secs(100)).await;
    office.until_settled().await;
    assert_eq!(script.ids(), ["e1.1", "e1.1 e3.1", "e1.1", "e3.1"]);
    assert_eq!(office.outcomes("ops"), "delivered 2, retried 1, superseded 2");
    // What may be there already goes again alone: whoever looks for it finds that one.
    let script = Script::gathering([is_lost(), wait(90)]);
    office.close().await;
    let office = Office::open(&store, &script);
    office.decide(&[fired(4)]);
    tokio::time::sleep(Duration::from_secs(1)).await;
    office.decide(&[fired(5), fired(6)]);
    tokio::time::sleep(Duration::from_secs(100)).await;
    office.until_settled().await;
    assert_eq!(script.ids(), ["e4.1", "e4.1", "e4.1", "e5.1 e6.1"]);
    office.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_needs_no_ping_is_not_sent_where_nothing_can_be_brought_up_to_date_but_an_end_is() {
    let (store, script) = (Store::in_memory().unwrap(), Script::new([]));
    let office = Office::open(&store, &script);
    let quiet = |notice: Notice| Notice {
        quiet: true,
        bundle: "a".into(),
        ..notice
    };
    let milder = Notice {
        id: "e1.2".into(),
        kind: NoticeKind::DeEscalated,
        ..fired(1)
    };
    office.decide(&[fired(1)]);
    office.until_settled().await;
    office.decide(&[quiet(milder), quiet(resolved(1))]);
    office.until_settled().await;
    assert_eq!(script.ids(), ["e1.1", "e1.3"]);
    assert_eq!(office.outcomes("ops"), "delivered 2, superseded 1");
    office.close().await;
}

#[tokio::test(start_paused = true)]
async fn waits_are_counted_by_what_they_are_for_and_what_is_not_heard_in_time_is_missed() {
    let (store, script) = (
        Store::in_memory().unwrap(),
        Script::new([wait(60), refuses(), refuses()]),
    );
    let office = Office::open(&store, &script);
    office.decide(&[fired(1), resolved(2), fired(3), fired(4), fired(5), fired(6)]);
    office.until_settled().await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    let waits = office.stats().waits();
    let seconds = |why: &'static str| waits[&("ops".to_owned(), why)].as_secs_f64();
    assert!((60.0..60.2).contains(&seconds("retry")), "{waits:?}");
    assert!((1.0..6.0).contains(&seconds("rate_limit")), "{waits:?}");
    // The first is refused; the other four had to wait for it.
    assert_eq!(office.stats().missed()["ops"], 5);
    office.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_destinations_share_holds_for_all_of_them_together() {
    let limit = Limit {
        per_message: Duration::from_secs(2),
        burst: 2,
    };
    let store = Store::in_memory().unwrap();
    let (one, other, apart) = (
        Script::sharing(7, limit),
        Script::sharing(7, limit),
        Script::sharing(8, limit),
    );
    let targets = [("one", 1, &one), ("other", 2, &other), ("apart", 3, &apart)];
    let office = Office::with(&store, Box::new(store.clone()), &targets);
    let to = |receiver: &str, episode| Notice {
        receiver: receiver.to_owned(),
        ..fired(episode)
    };
    let notices: Vec<Notice> = (1..=4)
        .flat_map(|n| ["one", "other", "apart"].map(|receiver| to(receiver, n)))
        .collect();
    office.decide(&notices);
    office.until_settled().await;
    let mut together: Vec<f64> = one.seconds();
    together.extend(other.seconds());
    together.sort_by(f64::total_cmp);
    let rounded = |seconds: &[f64]| -> Vec<i64> { seconds.iter().map(|at| at.floor() as i64).collect() };
    assert_eq!(rounded(&together), [0, 0, 2, 4, 6, 8, 10, 12]);
    // Neither waits until the other has nothing left.
    assert!(one.seconds()[1] < other.seconds()[3] && other.seconds()[1] < one.seconds()[3]);
    assert_eq!(rounded(&apart.seconds()), [0, 0, 2, 4]);
    assert_eq!(office.outcomes("one"), "delivered 4");
    let waits = office.stats().waits();
    assert!(
        waits[&("other".to_owned(), "rate_limit")].as_secs_f64() > 5.0,
        "{waits:?}"
    );
    office.close().await;
}
