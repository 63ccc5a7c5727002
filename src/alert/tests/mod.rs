//! The alerting specification as tests, and the bench that they share: an engine, the store behind it, and words for
//! what came out.

mod absent;
mod boundaries;
mod crowd;
mod desk;
mod digests;
mod dispatch;
mod flapping;
mod held;
mod invariants;
mod items;
mod ladder;
mod levels;
mod missing;
mod reload;
mod rule_errors;
mod sources;
mod stories;
mod table;
mod telling;

use std::cell::Cell;
use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::dispatch::digest::DigestPlan;
use super::dispatch::matcher::Matcher;
use super::dispatch::path::identify;
use super::dispatch::route::{GroupBy, Guard, Manners, Route, Routing, Timing};
use super::dispatch::{Kept, Moment, World};
use super::engine::{Engine, Step};
use super::identity::{Fingerprint, fingerprint};
use super::notice::{Notice, NoticeKind};
use super::record::{AlertRecord, AlertState, Compared, Episode, Facts, Figure, Labels, Past};
use super::sample::{About, Condition, Sample};
use crate::catalog::expr::Expr;
use crate::catalog::{Calendar, Grade, OnMissing, Rule, RuleLevel, RuleOn, Severity};

const INFO: Condition = Condition::Breach(Severity::INFO);
const WARNING: Condition = Condition::Breach(Severity::WARNING);
const CRITICAL: Condition = Condition::Breach(Severity::CRITICAL);
const BAND: Condition = Condition::Band;
const CLEAR: Condition = Condition::Clear;
const MISSING: Condition = Condition::Missing;
const ERROR: Condition = Condition::Error;

/// Minutes of a period that ends after every test that does not care.
const FAR: i64 = 1_000_000;
/// The node of the tests that need only one.
const NODE: &str = "articles";

fn minute(minutes: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minutes)
}

/// A rule with levels held for so many minutes, kept firing for so many.
fn rule(levels: &[(Severity, i64)], keep_firing_for: i64) -> Rule {
    let level = |(severity, minutes): &(Severity, i64)| RuleLevel {
        severity: *severity,
        when: Expr::compile("true", &[]).unwrap(),
        hold_for: SignedDuration::from_mins(*minutes),
    };
    Rule {
        name: "hollow".to_owned(),
        kind: "hollow".to_owned(),
        on: RuleOn::Link,
        nodes: Vec::new(),
        except: Vec::new(),
        off: Vec::new(),
        levels: levels.iter().map(level).collect(),
        clear: None,
        keep_firing_for: SignedDuration::from_mins(keep_firing_for),
        for_events: 1,
        new_group_delay: None,
        on_missing: OnMissing::Keep,
        labels: BTreeMap::new(),
        title: None,
        title_zh: None,
        place: None,
    }
}

/// Warning after 10 minutes, critical after 20, gone after 15 clear ones.
fn patient() -> Rule {
    rule(&[(Severity::WARNING, 10), (Severity::CRITICAL, 20)], 15)
}

/// Warning at once, gone at once.
fn hasty() -> Rule {
    rule(&[(Severity::WARNING, 0)], 0)
}

/// What evaluation would know of a node; counts how often it is asked.
struct Known<'a> {
    node: &'a str,
    completion: f64,
    asked: &'a Cell<u32>,
}

impl About for Known<'_> {
    fn labels(&self) -> Labels {
        self.asked.set(self.asked.get() + 1);
        let pairs = [("alertname", "hollow"), ("node", self.node)];
        pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    }

    fn facts(&self) -> Facts {
        self.asked.set(self.asked.get() + 1);
        let node = Figure {
            title: self.node.to_owned(),
            completion: Some(self.completion),
            pace: Some(self.completion),
            ..Figure::default()
        };
        Facts {
            title: String::new(),
            title_zh: None,
            node: Some(node),
            parent: None,
            item: None,
            source: None,
            shared: None,
            entry: None,
            delivery: None,
            crowd: None,
            parent_owner: None,
            link: None,
            compared: Compared::default(),
        }
    }
}

/// The calendar of a business of which nothing else is known.
pub(super) fn nothing() -> Calendar {
    Calendar {
        timezone: jiff::tz::TimeZone::UTC,
        fiscal_year_starts: (1, 1),
        week_starts: jiff::civil::Weekday::Monday,
        workdays: [true, true, true, true, true, false, false],
        workdays_declared: false,
        special_days: BTreeMap::new(),
    }
}

/// Receivers, each from a severity on, told at once; nothing is repeated.
fn routing_of(routes: &[(Severity, String)]) -> Routing {
    let at_once = Timing {
        group_wait: Some(SignedDuration::ZERO),
        group_interval: SignedDuration::ZERO,
        resolve_wait: SignedDuration::ZERO,
        repeat_interval: SignedDuration::MAX,
        ..Timing::default()
    };
    let below = routes.iter().map(|(from, receiver)| Route {
        matchers: match from.like() {
            Grade::Info => Vec::new(),
            Grade::Warning => vec![Matcher::parse("severity=~\"warning|critical\"").unwrap()],
            Grade::Critical => vec![Matcher::parse("severity=\"critical\"").unwrap()],
        },
        go_on: true,
        timing: at_once,
        group_by: GroupBy::Each,
        ..Route::to_receiver(receiver)
    });
    let below: Vec<Route> = below.collect();
    let mut root = Route {
        routes: below,
        ..Route::to_receiver(NOBODY)
    };
    identify(&mut root);
    Routing {
        root: (!routes.is_empty()).then_some(root),
        ..Routing::default()
    }
}

fn moment<'a>(now: Timestamp, routing: &'a Routing, world: &'a Calendar) -> Moment<'a> {
    Moment {
        now,
        routing,
        is_back: false,
        catching_up: false,
        world,
    }
}

/// Takes what no route takes; the tests look away.
const NOBODY: &str = "nobody";

/// What a state store knows of episodes beside the records.
#[derive(Default)]
struct Ledger {
    episodes: BTreeMap<(Fingerprint, u64), Episode>,
}

impl Ledger {
    fn keep(&mut self, step: &Step) {
        for episode in step.changed.iter().filter_map(AlertRecord::episode) {
            let key = (episode.fingerprint, episode.number);
            let known = self.episodes.entry(key).or_insert_with(|| episode.clone());
            if known.ended_at.is_none() {
                *known = episode;
            }
        }
    }

    /// What a start finds, with these records.
    fn past(&self, records: &[AlertRecord], kept: &Kept) -> Past {
        let is_forgotten =
            |fingerprint: Fingerprint| !records.iter().any(|record| record.fingerprint == fingerprint);
        let mut counts: BTreeMap<Fingerprint, u64> = BTreeMap::new();
        for (fingerprint, number) in self.episodes.keys().filter(|(known, _)| is_forgotten(*known)) {
            counts.insert(*fingerprint, *number);
        }
        let until = kept.digested_until();
        let is_news = |episode: &&Episode| until.is_some_and(|until| episode.ended_at > Some(until));
        Past {
            counts: counts.into_iter().collect(),
            ended: self.episodes.values().filter(is_news).cloned().collect(),
        }
    }

    /// An engine that begins anew from what is kept.
    fn restart(&self, records: impl IntoIterator<Item = String>, kept: &str) -> Engine {
        let records = records
            .into_iter()
            .map(|json| serde_json::from_str(&json).unwrap());
        let (records, kept): (Vec<AlertRecord>, Kept) =
            (records.collect(), serde_json::from_str(kept).unwrap());
        let past = self.past(&records, &kept);
        let mut engine = Engine::new("store");
        engine.restore(records, kept);
        engine.recall(past);
        engine
    }
}

/// An engine with its surroundings. Every record goes through the store as JSON.
struct Bench {
    engine: Engine,
    /// What a state store would hold.
    store: BTreeMap<Fingerprint, String>,
    ledger: Ledger,
    /// And what dispatch remembers, as JSON.
    kept: String,
    /// Rules of the catalogue; samples are judged by the first.
    rules: Vec<Rule>,
    /// Receivers, each from a severity on.
    routes: Vec<(Severity, String)>,
    quiet: bool,
    /// Minute at which the period of every identity ends.
    period_end: i64,
    manners: Manners,
    digests: Vec<DigestPlan>,
    completion: f64,
    /// Number of times that labels or facts were asked for.
    asked: Cell<u32>,
}

impl Bench {
    fn new(rule: Rule) -> Bench {
        Bench {
            engine: Engine::new("store"),
            store: BTreeMap::new(),
            ledger: Ledger::default(),
            kept: "{}".to_owned(),
            rules: vec![rule],
            routes: vec![
                (Severity::INFO, "ops".to_owned()),
                (Severity::CRITICAL, "boss".to_owned()),
            ],
            quiet: false,
            period_end: FAR,
            manners: Manners::default(),
            digests: Vec::new(),
            completion: 0.5,
            asked: Cell::new(0),
        }
    }

    /// Judges these nodes and no others.
    fn step(&mut self, at: i64, judged: &[(&str, Condition)]) -> Step {
        let judging = self.rules.first().cloned().unwrap_or_else(hasty);
        let sample = |(node, condition): &(&'static str, Condition)| Sample {
            rule: &judging,
            node,
            fingerprint: fingerprint_of(node),
            condition: *condition,
            period_end: Some(minute(self.period_end)),
            is_new: false,
            about: Known {
                node,
                completion: self.completion,
                asked: &self.asked,
            },
        };
        let judged: Vec<(&'static str, Condition)> = judged
            .iter()
            .map(|(node, condition)| (interned(node), *condition))
            .collect();
        let samples: Vec<_> = judged.iter().map(sample).collect();
        let mut routing = routing_of(&self.routes);
        routing.manners = self.manners;
        routing.digests.clone_from(&self.digests);
        let world = nothing();
        let moment = (!self.quiet).then(|| moment(minute(at), &routing, &world));
        let step = self.engine.step(&samples, &self.rules, minute(at), moment);
        self.ledger.keep(&step);
        if let Some(kept) = &step.kept {
            self.kept = serde_json::to_string(kept).unwrap();
        }
        for record in &step.changed {
            let json = serde_json::to_string(record).unwrap();
            self.store.insert(record.fingerprint, json);
        }
        for removed in &step.removed {
            assert!(
                self.store.remove(removed).is_some(),
                "{removed} was never written"
            );
        }
        // What the step says has changed is all that has.
        let json = |record: &AlertRecord| (record.fingerprint, serde_json::to_string(record).unwrap());
        let kept: BTreeMap<Fingerprint, String> = self.engine.records().map(json).collect();
        assert_eq!(self.store, kept);
        step
    }

    /// The same, without what is written down now and then that somebody could be told.
    fn news(&mut self, at: i64, judged: &[(&str, Condition)]) -> Step {
        let step = self.step(at, judged);
        Step { kept: None, ..step }
    }

    /// Judges the one node.
    fn judge(&mut self, at: i64, condition: Condition) -> String {
        words(&self.step(at, &[(NODE, condition)]).notices)
    }

    /// Judges nothing: the identity is gone.
    fn vanish(&mut self, at: i64) -> String {
        words(&self.step(at, &[]).notices)
    }

    /// Begins anew from what the store holds.
    fn restart(&mut self) {
        self.engine = self.ledger.restart(self.store.values().cloned(), &self.kept);
    }

    fn record(&self) -> Option<&AlertRecord> {
        let wanted = fingerprint_of(NODE);
        self.engine.records().find(|record| record.fingerprint == wanted)
    }

    /// Where the one node stands: `pending since 3`, `firing warning`.
    fn state(&self) -> String {
        let Some(record) = self.record() else {
            return "inactive".to_owned();
        };
        let minutes = |at: Timestamp| at.as_second() / 60;
        match record.state {
            AlertState::Inactive => "inactive".to_owned(),
            AlertState::Pending { since } => format!("pending since {}", minutes(since)),
            AlertState::Firing => format!("firing {}", record.severity.as_str()),
            AlertState::Recovering { since } => format!("recovering since {}", minutes(since)),
        }
    }
}

fn fingerprint_of(node: &str) -> Fingerprint {
    let labels = [("node".to_owned(), node.to_owned())];
    fingerprint("hollow", &labels.into())
}

/// The nodes of the tests live as long as they do.
fn interned(node: &str) -> &'static str {
    ["articles", "calls", "leads", "visits", "zeros"]
        .into_iter()
        .find(|known| *known == node)
        .unwrap()
}

/// Notices in short: `1 fired ops, 1 fired boss`; a resolve with its reason.
fn words(notices: &[Notice]) -> String {
    let word = |notice: &Notice| {
        let Notice { seq, receiver, .. } = notice;
        match (notice.kind, notice.reason) {
            (NoticeKind::Fired, _) if notice.flapping => format!("{seq} flapping {receiver}"),
            (NoticeKind::Fired, _) => format!("{seq} fired {receiver}"),
            (NoticeKind::Escalated, _) => format!("{seq} escalated {receiver}"),
            (NoticeKind::DeEscalated, _) => format!("{seq} milder {receiver}"),
            (NoticeKind::Repeat, _) => format!("{seq} repeat {receiver}"),
            (NoticeKind::Acked, _) => format!("{seq} acked {receiver}"),
            (NoticeKind::Reminder, _) => format!("{seq} reminder {receiver}"),
            (NoticeKind::Correction, _) => format!("{seq} correction {receiver}"),
            (NoticeKind::Digest, _) => format!("{seq} digest {receiver}"),
            (NoticeKind::Proposal, _) => format!("{seq} proposal {receiver}"),
            (NoticeKind::Resolved, reason) => format!("{seq} resolved {receiver} {:?}", reason.unwrap()),
        }
    };
    let told = notices.iter().filter(|notice| notice.receiver != NOBODY);
    told.map(word).collect::<Vec<_>>().join(", ")
}
