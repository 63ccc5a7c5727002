//! What must hold over any sequence of judgements, times, restarts, routes and quiet.

use std::collections::{BTreeSet, HashMap};

use proptest::prelude::*;

use super::*;
use crate::alert::identity::episode_id;
use crate::alert::notice::{Aside, Digest, DigestLine};

const NODES: [&str; 3] = ["articles", "visits", "leads"];

/// Where everything stands after a step.
type Records = BTreeMap<Fingerprint, AlertRecord>;

/// One step of a random story.
#[derive(Clone, Debug)]
struct Scene {
    /// Minutes since the step before.
    pause: i64,
    /// The condition of each node; `None`: it is not judged.
    judged: [Option<Condition>; 3],
    routes: usize,
    quiet: bool,
    restart: bool,
    /// The rule is in the catalogue.
    ruled: bool,
}

fn condition() -> impl Strategy<Value = Option<Condition>> {
    prop_oneof![
        4 => Just(Some(WARNING)),
        3 => Just(Some(CRITICAL)),
        1 => Just(Some(BAND)),
        4 => Just(Some(CLEAR)),
        1 => Just(Some(MISSING)),
        1 => Just(Some(ERROR)),
        1 => Just(None),
    ]
}

fn scene() -> impl Strategy<Value = Scene> {
    let judged = [condition(), condition(), condition()];
    (
        0i64..12,
        judged,
        0usize..4,
        prop::bool::weighted(0.2),
        any::<bool>(),
        prop::bool::weighted(0.95),
    )
        .prop_map(|(pause, judged, routes, quiet, restart, ruled)| Scene {
            pause,
            judged,
            routes,
            quiet,
            restart,
            ruled,
        })
}

/// What holds over a whole story.
#[derive(Clone, Copy, Debug)]
struct World {
    /// Minute at which the period ends.
    period_end: i64,
    /// New alerts of a receiver that are a storm, within so many minutes.
    storm: (usize, i64),
}

fn world() -> impl Strategy<Value = World> {
    let storm = prop_oneof![Just((20, 1)), (1usize..3, 1i64..30)];
    let period_end = prop_oneof![Just(300), 5i64..400];
    (period_end, storm).prop_map(|(period_end, storm)| World { period_end, storm })
}

/// Who reads digests, and hears of nothing else.
const READER: &str = "reader";

/// Often none: that is where alerts flap.
fn minutes() -> impl Strategy<Value = i64> {
    prop_oneof![Just(0), 1i64..15]
}

fn any_rule() -> impl Strategy<Value = Rule> {
    let on_missing = prop::sample::select(vec![
        OnMissing::Keep,
        OnMissing::Alert,
        OnMissing::Resolve,
        OnMissing::NoData,
    ]);
    (minutes(), minutes(), minutes(), 1u32..3, on_missing).prop_map(
        |(warning, critical, keep_firing_for, for_events, on_missing)| Rule {
            for_events,
            on_missing,
            ..rule(
                &[(Severity::WARNING, warning), (Severity::CRITICAL, critical)],
                keep_firing_for,
            )
        },
    )
}

fn routes(which: usize) -> Vec<(Severity, String)> {
    let (ops, boss) = (
        (Severity::INFO, "ops".to_owned()),
        (Severity::CRITICAL, "boss".to_owned()),
    );
    match which {
        0 => Vec::new(),
        1 => vec![ops],
        2 => vec![ops, boss],
        _ => vec![(Severity::INFO, "sales".to_owned()), boss],
    }
}

/// Plays a story; the last step takes the rule away and lets everybody know.
fn play(rule: &Rule, world: World, scenes: &[Scene], may_restart: bool) -> Vec<(Step, Records)> {
    let mut bench = Bench::new(rule.clone());
    bench.period_end = world.period_end;
    bench.manners.storm = Guard {
        max: world.storm.0,
        window: SignedDuration::from_mins(world.storm.1),
    };
    bench.digests.push(DigestPlan {
        name: "hourly".to_owned(),
        cron: "0 * * * *".parse().unwrap(),
        zone: None,
        receiver: READER.to_owned(),
        matchers: Vec::new(),
        skip_if_empty: true,
        jitter: SignedDuration::ZERO,
    });
    let mut at = 0;
    let mut steps = Vec::new();
    let last = Scene {
        pause: 1,
        judged: [None; 3],
        routes: 1,
        quiet: false,
        restart: true,
        ruled: false,
    };
    for scene in scenes.iter().chain([&last]) {
        if scene.restart && may_restart {
            bench.restart();
        }
        at += scene.pause;
        bench.routes = routes(scene.routes);
        bench.quiet = scene.quiet;
        bench.rules = if scene.ruled {
            vec![rule.clone()]
        } else {
            Vec::new()
        };
        let judged: Vec<(&str, Condition)> = NODES
            .into_iter()
            .zip(scene.judged)
            .filter_map(|(node, condition)| Some((node, condition?)))
            .filter(|_| scene.ruled)
            .collect();
        let step = bench.step(at, &judged);
        let records = bench
            .engine
            .records()
            .map(|record| (record.fingerprint, record.clone()));
        steps.push((step, records.collect()));
    }
    steps
}

/// What one receiver knows of one episode.
#[derive(Default)]
struct Knowledge {
    fired: bool,
    resolved: bool,
}

/// A digest has what fires, and what is over, each once.
fn check_digest(digest: &Digest, records: &Records) -> Result<(), TestCaseError> {
    let stands = |line: &DigestLine| records.values().find(|record| record.labels == line.labels);
    let mut seen = BTreeSet::new();
    for line in digest.open.iter().chain(&digest.ended) {
        let runs = stands(line).is_some_and(super::super::transition::is_running);
        prop_assert!(runs || line.ended_at.is_some(), "{:?}", line);
        prop_assert!(seen.insert(&line.episode), "twice: {:?}", line);
        prop_assert!(!line.untold || line.ended_at.is_some(), "{:?}", line);
        prop_assert!(line.was != Some(line.severity), "{:?}", line);
    }
    for record in records
        .values()
        .filter(|record| super::super::transition::is_running(record))
    {
        let episode = episode_id("store", record.fingerprint, record.episodes);
        prop_assert!(seen.contains(&episode), "missing: {:?}", record);
    }
    Ok(())
}

fn check(steps: &[(Step, Records)], scenes: &[Scene]) -> Result<(), TestCaseError> {
    let mut known: HashMap<(String, String), Knowledge> = HashMap::new();
    let mut seqs: HashMap<String, u32> = HashMap::new();
    let mut ids = BTreeSet::new();
    for (n, (step, _)) in steps.iter().enumerate() {
        let quiet = scenes.get(n).is_some_and(|scene| scene.quiet);
        prop_assert!(!quiet || step.notices.is_empty(), "told while quiet");
        let mut decided = BTreeSet::new();
        for notice in &step.notices {
            prop_assert_eq!(&notice.id, &format!("{}.{}", notice.episode, notice.seq));
            prop_assert!(
                ids.insert((notice.id.clone(), notice.receiver.clone())),
                "told twice: {:?}",
                notice
            );
            // Every decision comes with the next number, and with only one.
            if decided.insert(notice.id.clone()) {
                let seq = seqs.entry(notice.episode.clone()).or_default();
                prop_assert_eq!(notice.seq, *seq + 1);
                *seq = notice.seq;
            }
            prop_assert_eq!(notice.receiver == READER, notice.kind == NoticeKind::Digest);
            if let Some(Aside::Digest(digest)) = notice.aside.as_deref() {
                check_digest(digest, &steps[n].1)?;
                continue;
            }
            let key = (notice.episode.clone(), notice.receiver.clone());
            let knows = known.entry(key).or_default();
            prop_assert!(!knows.resolved, "told after the end: {:?}", notice);
            match notice.kind {
                NoticeKind::Fired => prop_assert!(!std::mem::replace(&mut knows.fired, true), "fired twice"),
                NoticeKind::Escalated
                | NoticeKind::DeEscalated
                | NoticeKind::Repeat
                | NoticeKind::Acked
                | NoticeKind::Reminder
                | NoticeKind::Correction
                | NoticeKind::Digest
                | NoticeKind::Proposal => prop_assert!(knows.fired, "{:?} of what did not fire", notice.kind),
                NoticeKind::Resolved => {
                    prop_assert!(knows.fired, "resolved what did not fire");
                    knows.resolved = true;
                }
            }
        }
        for record in steps[n].1.values() {
            let own =
                |notice: &&Notice| notice.labels == record.labels && notice.kind != NoticeKind::Resolved;
            let is_told_now = step.notices.iter().any(|notice| own(&notice));
            let is_known = record
                .told
                .tellings
                .iter()
                .any(|telling| telling.severity.is_some())
                || !record.told.knows_flapping.is_empty()
                // It is in the next summary.
                || record.told.tellings.iter().any(|telling| telling.storm);
            let is_firing = record.state == AlertState::Firing;
            prop_assert!(
                !is_told_now || is_firing,
                "told of what does not fire: {:?}",
                record
            );
            let somebody_listens = scenes.get(n).is_none_or(|scene| scene.routes > 0);
            prop_assert!(
                !is_firing || is_known || quiet || !somebody_listens,
                "nobody knows: {:?}",
                record
            );
        }
    }
    for ((episode, receiver), knows) in &known {
        prop_assert!(knows.resolved, "{} is left with {}", receiver, episode);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn people_are_told_once_and_to_the_end(
        rule in any_rule(),
        world in world(),
        scenes in prop::collection::vec(scene(), 1..120),
    ) {
        let steps = play(&rule, world, &scenes, true);
        check(&steps, &scenes)?;
    }

    /// What a store holds between two steps is all there is: a restart changes nothing.
    #[test]
    fn a_restart_between_any_two_steps_changes_nothing(
        rule in any_rule(),
        world in world(),
        scenes in prop::collection::vec(scene(), 1..120),
    ) {
        let straight = play(&rule, world, &scenes, false);
        let restarted = play(&rule, world, &scenes, true);
        for (n, (straight, restarted)) in straight.iter().zip(&restarted).enumerate() {
            prop_assert_eq!(straight, restarted, "step {}", n);
        }
    }

    #[test]
    fn the_same_story_has_the_same_ids(
        rule in any_rule(),
        world in world(),
        scenes in prop::collection::vec(scene(), 1..60),
    ) {
        prop_assert_eq!(play(&rule, world, &scenes, true), play(&rule, world, &scenes, true));
    }
}
