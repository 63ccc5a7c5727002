//! What must hold over any sequence of judgements, silences, acknowledgements, reloads, restarts, stretches in which
//! nobody can be told, digests that come and go, weeks in which records are forgotten, and wall clocks that jump: spec
//! §3.10, with the times of real routes.

use std::collections::{BTreeSet, HashMap};

use proptest::prelude::*;

use super::*;
use crate::alert::dispatch::Command;
use crate::alert::dispatch::inhibit::InhibitRule;
use crate::alert::dispatch::interval::Interval;
use crate::alert::dispatch::route::{EndOfHeld, Rung, To, matched_labels};
use crate::alert::dispatch::silence::Silence;
use crate::alert::identity::episode_id;
use crate::alert::notice::{Aside, Because, Digest};

const NODES: [&str; 3] = ["articles", "visits", "leads"];
const STORE: &str = "store";

/// Something that happens.
#[derive(Clone, Debug)]
enum Turn {
    /// So many seconds pass.
    Pause(i64),
    /// A node is judged so from now on.
    Judge(usize, Option<Condition>),
    /// What is about a node, or about a level, is silenced for so many seconds.
    Silence(usize, i64),
    /// The newest silence ends.
    Expire,
    /// Somebody takes a node's alert for so many seconds.
    Ack(usize, i64),
    Unack(usize),
    /// Other routes.
    Reload(usize),
    /// So many digests are declared.
    Digests(usize),
    /// How the end of what is held back is told.
    Ends(EndOfHeld),
    /// Days pass, of which nobody sees anything: records of periods that are over are forgotten.
    Days(i64),
    /// History is being read, or has been.
    CatchUp(bool),
    /// Another `for`, in seconds.
    Rule(i64),
    /// Nobody can be told, or somebody can again.
    Quiet(bool),
    /// The wall clock is set, by so many seconds.
    Jump(i64),
    Restart,
}

fn turn() -> impl Strategy<Value = Turn> {
    let condition = prop_oneof![
        3 => Just(Some(WARNING)),
        2 => Just(Some(CRITICAL)),
        1 => Just(Some(BAND)),
        4 => Just(Some(CLEAR)),
        1 => Just(Some(MISSING)),
        1 => Just(None),
    ];
    prop_oneof![
        6 => prop_oneof![0i64..20, 20i64..400, 400i64..20_000].prop_map(Turn::Pause),
        8 => (0usize..3, condition).prop_map(|(node, condition)| Turn::Judge(node, condition)),
        2 => (0usize..5, 1i64..4000).prop_map(|(what, lasts)| Turn::Silence(what, lasts)),
        1 => Just(Turn::Expire),
        2 => (0usize..3, 1i64..10_000).prop_map(|(node, lasts)| Turn::Ack(node, lasts)),
        1 => (0usize..3).prop_map(Turn::Unack),
        1 => (0usize..5).prop_map(Turn::Reload),
        1 => (0usize..3).prop_map(Turn::Digests),
        1 => prop::sample::select(vec![EndOfHeld::Quiet, EndOfHeld::Normal, EndOfHeld::Never]).prop_map(Turn::Ends),
        1 => (1i64..12).prop_map(Turn::Days),
        1 => any::<bool>().prop_map(Turn::CatchUp),
        1 => (0i64..900).prop_map(Turn::Rule),
        1 => any::<bool>().prop_map(Turn::Quiet),
        1 => (-4000i64..4000).prop_map(Turn::Jump),
        2 => Just(Turn::Restart),
    ]
}

fn routing(which: usize) -> Routing {
    let nights = Interval {
        times: vec![
            (jiff::civil::time(22, 0, 0, 0), None),
            (jiff::civil::time(0, 0, 0, 0), Some(jiff::civil::time(1, 0, 0, 0))),
        ],
        ..Interval::default()
    };
    let mut root = match which {
        0 => Route::to_receiver("ops"),
        1 => Route {
            group_by: GroupBy::Each,
            escalate: vec![Rung {
                after: SignedDuration::from_mins(20),
                to: To::Receiver("boss".to_owned()),
            }],
            timing: Timing {
                repeat_interval: SignedDuration::from_mins(30),
                ..Timing::default()
            },
            ..Route::to_receiver("ops")
        },
        2 => Route {
            mute: vec!["nights".to_owned()],
            ..Route::to_receiver("ops")
        },
        4 => Route {
            mute: vec!["nights".to_owned()],
            escalate: vec![Rung {
                after: SignedDuration::from_mins(20),
                to: To::Receiver("boss".to_owned()),
            }],
            ..Route::to_receiver("ops")
        },
        _ => Route {
            routes: vec![Route {
                matchers: vec![Matcher::parse("severity=\"critical\"").unwrap()],
                ..Route::to_receiver("boss")
            }],
            ..Route::to_receiver("sales")
        },
    };
    identify(&mut root);
    let inhibit = InhibitRule {
        source: vec![Matcher::parse("node=\"leads\"").unwrap()],
        target: vec![Matcher::parse("node=\"visits\"").unwrap()],
        equal: Vec::new(),
    };
    Routing {
        root: Some(root),
        inhibit: if which == 3 { vec![inhibit] } else { Vec::new() },
        intervals: [("nights".to_owned(), vec![nights])].into(),
        ..Routing::default()
    }
}

fn digests(count: usize) -> Vec<DigestPlan> {
    let plan = |name: &str| DigestPlan {
        name: name.to_owned(),
        cron: "0 */3 * * *".parse().unwrap(),
        zone: None,
        receiver: "reader".to_owned(),
        matchers: Vec::new(),
        skip_if_empty: false,
        jitter: SignedDuration::ZERO,
    };
    ["mornings", "evenings"]
        .into_iter()
        .take(count)
        .map(plan)
        .collect()
}

/// Two of the nodes are items: their identity has no period, and they are forgotten some time after the last in which
/// they were judged.
fn period_end(node: &str, at: i64) -> Option<Timestamp> {
    let days = 3 * 24 * 3600;
    (node != "leads").then(|| second((at / days + 1) * days))
}

/// What happened at one moment.
#[derive(Clone, PartialEq, Debug)]
struct Scene {
    now: Timestamp,
    /// The watermark.
    at: Timestamp,
    notices: Vec<Notice>,
    unsaid: Vec<Notice>,
    catching_up: bool,
    /// Names of the digests that are declared.
    digests: Vec<String>,
    /// Where everything stands afterwards.
    records: BTreeMap<Fingerprint, AlertRecord>,
    /// Ids of the silences in force.
    silences: Vec<Silence>,
    quiet: bool,
}

/// A daemon that lives through a story.
struct Life {
    engine: Engine,
    records: BTreeMap<Fingerprint, String>,
    ledger: Ledger,
    kept: String,
    rule: Rule,
    routing: Routing,
    judged: [Option<Condition>; 3],
    at: i64,
    wall: i64,
    quiet: bool,
    /// Nobody could be told until now.
    is_back: bool,
    catching_up: bool,
    digests: Vec<DigestPlan>,
    ends: EndOfHeld,
    has_rule: bool,
    scenes: Vec<Scene>,
}

fn second(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds)
}

impl Life {
    fn new() -> Life {
        Life {
            engine: Engine::new(STORE),
            records: BTreeMap::new(),
            ledger: Ledger::default(),
            kept: "{}".to_owned(),
            rule: rule(&[(Severity::WARNING, 0), (Severity::CRITICAL, 0)], 1),
            routing: routing(0),
            judged: [None; 3],
            // A little before the night.
            at: 21 * 3600,
            wall: 21 * 3600,
            quiet: false,
            is_back: false,
            catching_up: false,
            digests: Vec::new(),
            ends: EndOfHeld::default(),
            has_rule: true,
            scenes: Vec::new(),
        }
    }

    fn keep(&mut self, step: &Step) {
        self.ledger.keep(step);
        if let Some(kept) = &step.kept {
            self.kept = serde_json::to_string(kept).unwrap();
        }
        for record in &step.changed {
            self.records
                .insert(record.fingerprint, serde_json::to_string(record).unwrap());
        }
        for removed in &step.removed {
            self.records.remove(removed);
        }
    }

    /// One judgement of everything, or only a look at what is due.
    fn step(&mut self, judges: bool) {
        let world = nothing();
        let mut routing = self.routing.clone();
        routing.digests.clone_from(&self.digests);
        routing.manners.resolve_when_silenced = self.ends;
        let asked = Cell::new(0);
        let moment = Moment {
            is_back: self.is_back && !self.quiet,
            catching_up: self.catching_up,
            ..moment(second(self.wall), &routing, &world)
        };
        self.is_back &= self.quiet;
        let step = if judges {
            let rules = if self.has_rule {
                vec![self.rule.clone()]
            } else {
                Vec::new()
            };
            let judged = NODES.into_iter().zip(self.judged).filter(|_| self.has_rule);
            let samples: Vec<Sample<'_, Known<'_>>> = judged
                .filter_map(|(node, condition)| {
                    Some(Sample {
                        rule: &self.rule,
                        node,
                        fingerprint: fingerprint_of(node),
                        condition: condition?,
                        period_end: period_end(node, self.at),
                        is_new: false,
                        about: Known {
                            node,
                            completion: 0.5,
                            asked: &asked,
                        },
                    })
                })
                .collect();
            let tells = (!self.quiet).then_some(moment);
            self.engine.step(&samples, &rules, second(self.at), tells)
        } else {
            self.engine.tell(second(self.at), moment)
        };
        self.keep(&step);
        let records = self.engine.records();
        self.scenes.push(Scene {
            now: second(self.wall),
            at: second(self.at),
            notices: step.notices,
            unsaid: step.unsaid,
            catching_up: self.catching_up,
            digests: self.digests.iter().map(|plan| plan.name.clone()).collect(),
            records: records
                .map(|record| (record.fingerprint, record.clone()))
                .collect(),
            silences: self.engine.silences().all.values().cloned().collect(),
            quiet: self.quiet,
        });
    }

    /// Time passes; whatever becomes due meanwhile is told when it is.
    fn pause(&mut self, seconds: i64) {
        let end = self.wall + seconds;
        while let Some(due) = self.engine.next_due().filter(|_| !self.quiet) {
            let due = due.as_second() + i64::from(due.subsec_nanosecond() > 0);
            let due = due.max(self.wall + 1);
            if due > end {
                break;
            }
            (self.at, self.wall) = (self.at + due - self.wall, due);
            self.step(false);
        }
        (self.at, self.wall) = (self.at + end - self.wall, end);
        self.step(true);
    }

    fn command(&mut self, command: Command) {
        let (_, step) = self.engine.command(command, &self.routing, second(self.wall));
        self.keep(&step);
        self.step(true);
    }

    fn episode(&self, node: usize) -> String {
        let fingerprint = fingerprint_of(NODES[node]);
        let found = self
            .engine
            .records()
            .find(|record| record.fingerprint == fingerprint);
        found.map_or_else(String::new, |record| {
            episode_id(STORE, fingerprint, record.episodes)
        })
    }

    fn restart(&mut self) {
        self.engine = self.ledger.restart(self.records.values().cloned(), &self.kept);
    }

    fn take(&mut self, turn: &Turn, may_restart: bool) {
        match turn {
            Turn::Pause(seconds) => self.pause(*seconds),
            Turn::Judge(node, condition) => {
                self.judged[*node] = *condition;
                self.at += 1;
                self.wall += 1;
                self.step(true);
            }
            Turn::Silence(what, lasts) => {
                let matcher = match what {
                    3 => "severity=\"warning\"".to_owned(),
                    4 => "severity=\"critical\"".to_owned(),
                    node => format!("node=\"{}\"", NODES[*node]),
                };
                let silence = Silence {
                    id: String::new(),
                    matchers: vec![Matcher::parse(&matcher).unwrap()],
                    starts_at: second(self.wall),
                    ends_at: second(self.wall + lasts),
                    created_by: "li".to_owned(),
                    comment: String::new(),
                    updated_at: second(self.wall),
                    reminded: false,
                };
                self.command(Command::Silence { silence, force: true });
            }
            Turn::Expire => {
                let newest = self
                    .engine
                    .silences()
                    .all
                    .values()
                    .max_by_key(|silence| silence.updated_at);
                if let Some(id) = newest.map(|silence| silence.id.clone()) {
                    self.command(Command::Expire { id });
                }
            }
            Turn::Ack(node, lasts) => {
                let command = Command::Ack {
                    episode: self.episode(*node),
                    by: "li".to_owned(),
                    comment: String::new(),
                    lasts: Some(SignedDuration::from_secs(*lasts)),
                };
                self.command(command);
            }
            Turn::Unack(node) => {
                let episode = self.episode(*node);
                self.command(Command::Unack { episode });
            }
            Turn::Reload(which) => self.routing = routing(*which),
            Turn::Digests(count) => self.digests = digests(*count),
            Turn::Ends(ends) => self.ends = *ends,
            Turn::Days(days) => {
                let seconds = days * 24 * 3600;
                (self.at, self.wall) = (self.at + seconds, self.wall + seconds);
                self.step(true);
            }
            Turn::CatchUp(catching_up) => self.catching_up = *catching_up,
            Turn::Rule(seconds) => {
                for level in &mut self.rule.levels {
                    level.hold_for = SignedDuration::from_secs(*seconds);
                }
            }
            Turn::Quiet(quiet) => {
                self.is_back |= self.quiet && !quiet;
                self.quiet = *quiet;
                self.step(true);
            }
            Turn::Jump(seconds) => self.wall = (self.wall + seconds).max(0),
            Turn::Restart => {
                if may_restart {
                    self.restart();
                }
                // A daemon that starts looks at once.
                self.is_back = true;
                self.step(true);
            }
        }
    }
}

/// Lives through a story; in the end the rule is gone, and there is time to say so.
fn live(turns: &[Turn], may_restart: bool) -> Vec<Scene> {
    let mut life = Life::new();
    for turn in turns {
        life.take(turn, may_restart);
    }
    life.take(&Turn::Quiet(false), may_restart);
    life.has_rule = false;
    // Flapping is over within the hour, and the wall clock has been set back by some hours at most.
    for _ in 0..6 {
        life.pause(2 * 3600);
    }
    life.scenes
}

/// What one receiver knows of one episode.
#[derive(Default)]
struct Knowledge {
    fired: bool,
    resolved: bool,
    seq: u32,
}

/// Longer than this nobody waits whom nothing keeps from being told: `group_wait`, a turn of `group_interval`, and a
/// minute of a storm.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_secs(126);

/// What digests are held against: everything that ended, and when each was last sent.
#[derive(Default)]
struct Digested {
    /// By identity and number.
    ended: BTreeMap<(Fingerprint, u64), (Timestamp, Labels)>,
    sent: BTreeMap<String, Timestamp>,
}

impl Digested {
    fn see(&mut self, scene: &Scene) {
        for record in scene.records.values() {
            let is_over = !super::super::transition::is_running(record);
            if let (true, Some(ended), Some(_)) = (is_over, record.history.ended_at, record.fired_at) {
                let key = (record.fingerprint, record.episodes);
                self.ended.entry(key).or_insert((ended, record.labels.clone()));
            }
        }
        // One that is not declared any more begins anew.
        if !scene.quiet {
            self.sent.retain(|name, _| scene.digests.contains(name));
        }
    }

    fn check(&mut self, digest: &Digest, scene: &Scene) -> Result<(), TestCaseError> {
        let Some(name) = &digest.name else {
            return Ok(());
        };
        let Some(since) = self.sent.insert(name.clone(), scene.at) else {
            return Ok(());
        };
        let mut expected: BTreeMap<&Labels, u32> = BTreeMap::new();
        for (_, labels) in self.ended.values().filter(|(ended, _)| *ended > since) {
            *expected.entry(labels).or_default() += 1;
        }
        let mut found: BTreeMap<&Labels, u32> = BTreeMap::new();
        for line in &digest.ended {
            *found.entry(&line.labels).or_default() += line.episodes;
        }
        prop_assert_eq!(found, expected, "{} at {}", name, scene.at);
        Ok(())
    }
}

fn check(scenes: &[Scene]) -> Result<(), TestCaseError> {
    let mut known: HashMap<(String, String), Knowledge> = HashMap::new();
    let mut kinds: HashMap<String, NoticeKind> = HashMap::new();
    let mut ids = BTreeSet::new();
    let mut counts: BTreeMap<Fingerprint, u64> = BTreeMap::new();
    let mut digested = Digested::default();
    for scene in scenes {
        prop_assert!(!scene.quiet || scene.notices.is_empty(), "told while quiet");
        digested.see(scene);
        for notice in &scene.notices {
            prop_assert_eq!(notice.catching_up, scene.catching_up);
            if notice.kind == NoticeKind::Reminder {
                continue;
            }
            prop_assert!(
                ids.insert((notice.id.clone(), notice.receiver.clone())),
                "told twice: {:?}",
                notice
            );
            if let Some(Aside::Digest(digest)) = notice.aside.as_deref() {
                digested.check(digest, scene)?;
                // What happened while nobody could be told is told to those alone who know nothing of it.
                for line in digest.ended.iter().filter(|_| digest.name.is_none()) {
                    let is_known = known
                        .iter()
                        .any(|((episode, _), knows)| *episode == line.episode && knows.fired);
                    prop_assert!(!is_known, "told already: {:?}", line);
                }
                continue;
            }
            prop_assert_eq!(&notice.id, &format!("{}.{}", notice.episode, notice.seq));
            // One decision has one id, also where receivers hear of it one after the other. Who is told first and who is
            // told again at one moment is one decision.
            let same = |kind: NoticeKind| match kind {
                NoticeKind::Escalated | NoticeKind::Repeat => NoticeKind::Fired,
                kind => kind,
            };
            let kind = *kinds.entry(notice.id.clone()).or_insert(notice.kind);
            prop_assert_eq!(same(kind), same(notice.kind), "{} says two things", &notice.id);
            let knows = known
                .entry((notice.episode.clone(), notice.receiver.clone()))
                .or_default();
            prop_assert!(!knows.resolved, "told after the end: {:?}", notice);
            prop_assert!(notice.seq > knows.seq, "out of order: {:?}", notice);
            knows.seq = notice.seq;
            match notice.kind {
                NoticeKind::Fired => {
                    prop_assert!(
                        !std::mem::replace(&mut knows.fired, true),
                        "fired twice: {:?}",
                        notice
                    );
                }
                NoticeKind::Resolved => {
                    prop_assert!(knows.fired, "resolved what was not told: {:?}", notice);
                    knows.resolved = true;
                }
                _ => prop_assert!(knows.fired, "{:?} of what was not told", notice.kind),
            }
            let about = scene
                .records
                .values()
                .find(|record| record.labels == notice.labels);
            let is_new = matches!(
                notice.kind,
                NoticeKind::Fired | NoticeKind::Escalated | NoticeKind::Repeat
            );
            if let Some(record) = about.filter(|_| is_new) {
                prop_assert!(
                    record.state == AlertState::Firing,
                    "told of what does not fire: {:?}",
                    record
                );
                let labels = matched_labels(record);
                let silenced = scene
                    .silences
                    .iter()
                    .any(|silence| silence.holds(&labels, scene.now));
                prop_assert!(!silenced, "told in a silence: {:?}", notice);
                let taken = notice.kind == NoticeKind::Repeat && record.told.ack.is_some();
                prop_assert!(!taken, "repeated though somebody has taken it: {:?}", notice);
                let climbed = matches!(notice.because, Some(Because::Unacknowledged { .. }));
                let taken = climbed && record.told.ack.is_some();
                prop_assert!(
                    !taken,
                    "comes to somebody else though somebody has taken it: {:?}",
                    notice
                );
            }
        }
        for notice in &scene.unsaid {
            let key = (notice.episode.clone(), notice.receiver.clone());
            let knows = known.entry(key).or_default();
            prop_assert!(knows.fired && !knows.resolved, "kept from nobody: {:?}", notice);
            knows.resolved = true;
        }
        for record in scene.records.values().filter(|_| !scene.quiet) {
            let firing = record.state == AlertState::Firing;
            for telling in record.told.tellings.iter().filter(|_| firing) {
                // Also who is to hear that a silence is over.
                let has_news = telling.severity.is_none() || telling.because.is_some();
                let waits = has_news && telling.held.is_empty();
                let since = scene.now.duration_since(telling.since);
                prop_assert!(
                    !waits || since <= LONGEST_WAIT,
                    "{} waits for {since:?} to hear of {:?}",
                    telling.receiver,
                    record.labels
                );
            }
        }
        for record in scene.records.values() {
            // An episode that runs keeps its number, and one that begins has the next, also of what was forgotten.
            let last = counts.entry(record.fingerprint).or_default();
            prop_assert!(
                (*last..=*last + 1).contains(&record.episodes),
                "{} episodes after {last}",
                record.episodes
            );
            *last = record.episodes;
        }
    }
    for ((episode, receiver), knows) in &known {
        prop_assert!(
            knows.resolved || !knows.fired,
            "{} is left with {}",
            receiver,
            episode
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn everybody_is_told_once_in_time_and_to_the_end(turns in prop::collection::vec(turn(), 1..80)) {
        check(&live(&turns, true))?;
    }

    /// What is kept between two moments is all there is.
    #[test]
    fn no_restart_changes_what_is_told(turns in prop::collection::vec(turn(), 1..60)) {
        let (straight, restarted) = (live(&turns, false), live(&turns, true));
        prop_assert_eq!(straight.len(), restarted.len());
        for (n, (straight, restarted)) in straight.iter().zip(&restarted).enumerate() {
            prop_assert_eq!(straight, restarted, "moment {}", n);
        }
    }
}
