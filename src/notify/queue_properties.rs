//! Whatever destinations answer, and whatever clocks and restarts do meanwhile: every notice ends as delivered,
//! superseded or dead-lettered and is counted once, and what people see of an episode makes sense.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use proptest::collection::vec;
use proptest::prelude::*;

use super::Answer;
use super::office::{Office, Script, Sent, decide_at};
use super::outbox::{By, Status};
use super::samples;
use crate::alert::notice::{Notice, ResolveReason};
use crate::state::{LoggedNotice, Store};

/// Who is told, and by which destination: two share one.
const RECEIVERS: [(&str, usize); 3] = [("ops", 0), ("sales", 0), ("boss", 1)];
const DESTINATIONS: usize = 2;
/// Episodes of each receiver.
const EPISODES: u32 = 4;
const GIVE_UP_AFTER: SignedDuration = SignedDuration::from_hours(24);
/// Failures that outlast every notice.
const FOR_GOOD: usize = 1500;
/// No server is waited for any longer.
const LONGEST: f64 = 600.0;

#[derive(Clone, Debug)]
enum Event {
    /// An episode of a receiver begins, gets worse, or ends: the next of these.
    Decide(usize, u32),
    /// So many seconds pass.
    Wait(u64),
    /// The process stops and starts; meanwhile the wall clock moves by so many seconds, back as well.
    Restart(i64),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        8 => (0..RECEIVERS.len(), 0..EPISODES).prop_map(|(receiver, episode)| Event::Decide(receiver, episode)),
        4 => prop_oneof![0u64..5, 0u64..900, 0u64..30_000].prop_map(Event::Wait),
        1 => prop_oneof![0i64..10, -7200i64..7200, 0i64..100_000].prop_map(Event::Restart),
    ];
    vec(event, 1..60)
}

fn answers() -> impl Strategy<Value = Vec<Answer>> {
    let retry = |after: Option<u64>, maybe_shown, reason: &str| Answer::Retry {
        after: after.map(Duration::from_secs),
        maybe_shown,
        reason: reason.to_owned(),
    };
    let answer = prop_oneof![
        6 => Just(Answer::OK),
        2 => (0u64..900).prop_map(move |seconds| retry(Some(seconds), false, "429")),
        2 => Just(retry(None, false, "503")),
        2 => Just(retry(None, true, "timeout")),
        1 => Just(Answer::Drop { reason: "400".to_owned() }),
        1 => Just(Answer::Disable { reason: "410".to_owned() }),
    ];
    // What is dead stays dead.
    (vec(answer, 0..30), prop::bool::weighted(0.2)).prop_map(move |(mut answers, is_dead)| {
        if is_dead {
            answers.extend(std::iter::repeat_n(retry(None, false, "refused"), FOR_GOOD));
        }
        answers
    })
}

/// What is left of a run.
struct Left {
    decided: usize,
    log: Vec<LoggedNotice>,
    counts: BTreeMap<(String, String), u64>,
    /// Attempts by destination and by start of the process.
    sent: Vec<Vec<Vec<Sent>>>,
}

/// A sender under a wall clock of its own.
struct Bench {
    store: Store,
    scripts: Vec<Arc<Script>>,
    office: Option<Office>,
    /// The wall clock at the last start, which was then.
    wall: (Timestamp, tokio::time::Instant),
    /// How far each episode of a receiver is.
    steps: BTreeMap<(usize, u32), u32>,
    left: Left,
}

impl Bench {
    fn open(answers: Vec<Vec<Answer>>) -> Bench {
        let scripts = answers
            .into_iter()
            .map(|answers| Script::gathering(answers.into_iter().map(Some)));
        let mut bench = Bench {
            store: Store::in_memory().unwrap(),
            scripts: scripts.collect(),
            office: None,
            wall: (
                "2026-06-01T00:00:00Z".parse().unwrap(),
                tokio::time::Instant::now(),
            ),
            steps: BTreeMap::new(),
            left: Left {
                decided: 0,
                log: Vec::new(),
                counts: BTreeMap::new(),
                sent: vec![Vec::new(); DESTINATIONS],
            },
        };
        bench.start();
        bench
    }

    fn now(&self) -> Timestamp {
        self.wall.0 + SignedDuration::try_from(self.wall.1.elapsed()).unwrap()
    }

    fn start(&mut self) {
        let by = By {
            now: self.wall.0,
            look_every: Duration::from_secs(600),
        };
        let targets: Vec<(&str, u64, &Arc<Script>)> = RECEIVERS
            .iter()
            .map(|(receiver, at)| (*receiver, *at as u64, &self.scripts[*at]))
            .collect();
        self.office = Some(Office::by(
            by,
            &self.store,
            Box::new(self.store.clone()),
            &targets,
        ));
    }

    async fn stop(&mut self) {
        let stats = self.office.take().unwrap().close().await;
        for (outcome, count) in stats.by_receiver_and_outcome() {
            *self.left.counts.entry(outcome).or_default() += count;
        }
        for (script, sent) in self.scripts.iter().zip(&mut self.left.sent) {
            sent.push(script.take_sent());
        }
    }

    async fn play(&mut self, event: &Event) {
        match event {
            Event::Wait(seconds) => tokio::time::sleep(Duration::from_secs(*seconds)).await,
            Event::Restart(step) => {
                self.stop().await;
                self.wall = (
                    self.now() + SignedDuration::from_secs(*step),
                    tokio::time::Instant::now(),
                );
                self.start();
            }
            Event::Decide(receiver, episode) => {
                let step = self.steps.entry((*receiver, *episode)).or_default();
                let notice = match *step {
                    0 => samples::hollow(),
                    1 => samples::worse(),
                    2 => samples::over(ResolveReason::Recovered),
                    _ => return,
                };
                *step += 1;
                let number = 10 * u32::try_from(*receiver).unwrap() + episode;
                let notice = Notice {
                    receiver: RECEIVERS[*receiver].0.to_owned(),
                    ..samples::numbered(notice, number)
                };
                decide_at(&self.store, &[notice], self.now());
                self.left.decided += 1;
                self.office.as_ref().unwrap().wake();
            }
        }
    }

    /// Lets everything come to its end.
    async fn finish(mut self) -> Left {
        // A day for the last notice, and as much as the wall clock was set back.
        let mut looks = 6 * 24 * 4;
        while self.store.oldest_undelivered().unwrap().is_some() && looks > 0 {
            tokio::time::sleep(Duration::from_secs(600)).await;
            looks -= 1;
        }
        self.stop().await;
        self.left.log = self.store.recent_notices(usize::MAX).unwrap();
        self.left
    }
}

fn run(events: &[Event], answers: Vec<Vec<Answer>>) -> Left {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut bench = Bench::open(answers);
        for event in events {
            bench.play(event).await;
        }
        bench.finish().await
    })
}

/// Whether people see what was sent, or nobody knows.
fn may_be_seen(sent: &Sent) -> bool {
    sent.answer.as_ref().is_some_and(Answer::may_have_shown)
}

fn is_ok(sent: &Sent) -> bool {
    matches!(sent.answer, Some(Answer::Ok { .. }))
}

/// Every notice is settled, in one of three ways, with a reason where it did not arrive, and counted once.
fn every_notice_has_ended(left: &Left) -> Result<(), TestCaseError> {
    prop_assert_eq!(left.log.len(), left.decided);
    let mut outcomes: BTreeMap<(String, String), u64> = BTreeMap::new();
    for logged in &left.log {
        let id = &logged.notice.id;
        let is_end = matches!(
            logged.status,
            Status::Delivered | Status::Superseded | Status::Dead
        );
        prop_assert!(is_end && logged.settled.is_some(), "{id} is {:?}", logged.status);
        let is_explained = logged.status == Status::Delivered || logged.detail.is_some();
        prop_assert!(is_explained, "{id} is {:?}, and nobody says why", logged.status);
        if let (Some(detail), Some(settled)) = (&logged.detail, logged.settled)
            && detail.starts_with("given up")
        {
            let age = settled.duration_since(logged.decided);
            prop_assert!(age >= GIVE_UP_AFTER, "{id} was given up after {age:#}");
        }
        let outcome = (logged.notice.receiver.clone(), logged.status.as_str().to_owned());
        *outcomes.entry(outcome).or_default() += 1;
    }
    let mut counts = left.counts.clone();
    counts.retain(|(_, outcome), count| *count > 0 && outcome != "retried");
    prop_assert_eq!(counts, outcomes);
    Ok(())
}

/// What people see of every notice and every episode.
fn episodes_make_sense(left: &Left) -> Result<(), TestCaseError> {
    let all: Vec<&Sent> = left.sent.iter().flatten().flatten().collect();
    for logged in &left.log {
        let notice = &logged.notice;
        let mine = |sent: &&&Sent| sent.ids().any(|id| id == notice.id);
        let attempts: Vec<&&Sent> = all.iter().filter(mine).collect();
        let oks = attempts.iter().filter(|sent| is_ok(sent)).count();
        prop_assert_eq!(
            oks,
            usize::from(logged.status == Status::Delivered),
            "{}",
            notice.id
        );
        let is_last = attempts.last().is_some_and(|sent| is_ok(sent));
        prop_assert!(
            oks == 0 || is_last,
            "{} was sent again after it arrived",
            notice.id
        );
        if attempts.is_empty() {
            continue;
        }
        // Nothing is said of an episode that overtakes what was decided before, and no end without a beginning.
        let mut of_episode: Vec<(u32, &Sent)> = all
            .iter()
            .flat_map(|sent| sent.ids().map(move |id| (id, *sent)))
            .filter_map(|(id, sent)| {
                let (episode, seq) = id.split_once('.')?;
                (episode == notice.episode).then(|| (seq.parse().unwrap(), sent))
            })
            .collect();
        let told = of_episode.clone();
        // Of a message that tells several things, where it begins.
        of_episode.dedup_by(|later, first| std::ptr::eq(later.1, first.1));
        let is_in_order = of_episode.windows(2).all(|pair| pair[0].0 <= pair[1].0);
        prop_assert!(is_in_order, "{} is told out of order", notice.episode);
        let of_episode = told;
        let end = of_episode.iter().position(|(seq, _)| *seq == 3);
        let before = &of_episode[..end.unwrap_or(0)];
        // One message may tell its beginning and its end.
        let together = end.is_some_and(|end| {
            let (_, last) = of_episode[end];
            of_episode
                .iter()
                .any(|(seq, sent)| *seq < 3 && std::ptr::eq(*sent, last))
        });
        let is_known = end.is_none() || together || before.iter().any(|(_, sent)| may_be_seen(sent));
        prop_assert!(
            is_known,
            "the end of {} is told to who knows of no beginning",
            notice.episode
        );
    }
    Ok(())
}

/// Nobody is written to before the time that they asked for, and never who takes nothing any more.
fn destinations_are_respected(left: &Left) -> Result<(), TestCaseError> {
    for sent in left.sent.iter().flatten() {
        for pair in sent.windows(2) {
            let waited = pair[1].at - pair[0].at;
            match &pair[0].answer {
                Some(Answer::Disable { .. }) => {
                    return Err(TestCaseError::fail(format!("{} goes nowhere", pair[1].id)));
                }
                Some(Answer::Retry {
                    after: Some(after), ..
                }) => {
                    let asked = after.as_secs_f64().min(LONGEST);
                    prop_assert!(waited >= asked - 0.01, "{waited} s instead of {asked}");
                }
                // Unless the next one is about something else: this one may be moot by now.
                Some(Answer::Drop { .. }) => {
                    prop_assert_ne!(&pair[1].id, &pair[0].id, "refused, and sent in the same form");
                }
                _ => {}
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn every_notice_ends_and_is_counted_whatever_happens(
        events in events(), answers in vec(answers(), DESTINATIONS),
    ) {
        let left = run(&events, answers);
        every_notice_has_ended(&left)?;
        episodes_make_sense(&left)?;
        destinations_are_respected(&left)?;
    }
}
