//! The engine: all alert records, stepped together from one watermark to the next.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::book::{Book, Changes};
use super::crowd::{Crowd, TOO_MANY_ALERTS};
use super::delivery::{self, Delivery};
use super::dispatch::route::{Guard, Manners, Routing};
use super::dispatch::silence::Silences;
use super::dispatch::{Command, Dispatcher, Held, Kept, Moment, Refusal};
use super::identity::{Fingerprint, fingerprint};
use super::notice::{Notice, ResolveReason};
use super::policy::Policy;
use super::record::{AlertRecord, AlertState, Clocks, Past};
use super::round::{Known, Watch};
use super::rule_error::{self, RULE_ERROR, Watched};
use super::sample::{About, Condition, Sample};
use super::transition::{advance, end};
use crate::catalog::{Ladder, Rule, Severity};

/// Open alerts of a rule beyond which its further breaches have none, unless the settings say otherwise. Each takes some
/// ten kilobytes.
pub const MAX_PER_RULE: usize = 10_000;

/// All alert records. Everything that outlives a step is in the records: an engine that is dropped and made anew from
/// them goes on as if nothing had happened.
#[derive(Debug)]
pub struct Engine {
    /// Part of every episode id.
    store_id: String,
    book: Book,
    dispatcher: Dispatcher,
    /// How notices reach receivers; `None` where nobody says.
    deliveries: Option<Vec<Delivery>>,
    /// Number of the step, to tell which records were judged in it.
    step: u64,
    /// Bounds on alerts of a rule and on episodes of an alert.
    manners: Manners,
    /// Breaches of this step that have none, by rule.
    beyond: BTreeMap<String, u64>,
    /// What the next step has to look at, whether it changed or not.
    watch: Watch,
}

/// What a step did. To be committed together with the offsets that led to it.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Step {
    /// Records to write, by fingerprint.
    pub changed: Vec<AlertRecord>,
    /// Records to delete, by fingerprint.
    pub removed: Vec<Fingerprint>,
    /// Notices for the outbox; those about one identity in the order of their decisions.
    pub notices: Vec<Notice>,
    /// Ends that those who know of the beginning are not told: kept as superseded, so that nothing goes on for them.
    pub unsaid: Vec<Notice>,
    /// Who is not told of what, and why, where that has changed.
    pub held: Vec<Held>,
    /// What dispatch remembers, if it has changed.
    pub kept: Option<Kept>,
}

/// A judgement with its rule, whoever made it.
struct Judgement<'a> {
    policy: Policy<'a>,
    fingerprint: Fingerprint,
    condition: Condition,
    period_end: Option<Timestamp>,
    is_new: bool,
    about: &'a dyn About,
}

impl Engine {
    /// An engine that knows of nothing yet. `store_id` belongs to the state store that keeps its records: it changes
    /// only when that is created anew.
    pub fn new(store_id: &str) -> Engine {
        Engine {
            store_id: store_id.to_owned(),
            book: Book::default(),
            dispatcher: Dispatcher::default(),
            deliveries: None,
            step: 0,
            manners: Manners::default(),
            beyond: BTreeMap::new(),
            watch: Watch::default(),
        }
    }

    /// The same, within the bounds of the settings.
    pub fn within(mut self, manners: Manners) -> Engine {
        self.manners = manners;
        self
    }

    /// Takes over what an earlier run left.
    pub fn restore(&mut self, records: Vec<AlertRecord>, kept: Kept) {
        for record in records {
            self.book.insert(record, self.step);
        }
        self.dispatcher.restore(kept);
        self.watch = Watch::default();
    }

    /// Takes over what an earlier run left of episodes beside the records.
    pub fn recall(&mut self, past: Past) {
        self.book.recall(past);
    }

    /// To be called after [`Engine::restore`]: levels of another ladder become those of this one, by their names. What this
    /// one lacks falls to what is nearest, and its alerts go on from there.
    pub fn seat(&mut self, ladder: &Ladder) {
        for entry in self.book.entries_mut() {
            entry.record.seat(ladder);
        }
    }

    /// All silences that are known.
    pub fn silences(&self) -> &Silences {
        self.dispatcher.silences()
    }

    /// When the next thing is due to be told, by the wall clock, if nothing happens before.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.dispatcher.next()
    }

    /// Carries out what somebody asks for at `now` by the wall clock; people hear of it with the next step. Returns the
    /// id of the silence or of the episode.
    ///
    /// # Errors
    /// When the episode does not fire, or the silence cannot be.
    pub fn command(
        &mut self,
        command: Command,
        routing: &Routing,
        now: Timestamp,
    ) -> (Result<String, Refusal>, Step) {
        let mut changes = Changes::default();
        let times = (now, routing.manners.ack_ttl);
        let answer = self
            .dispatcher
            .carry_out(command, &mut self.book, &self.store_id, times, &mut changes);
        (answer, self.step_of(Vec::new(), changes))
    }

    /// All records, in no order. Identities that never breached have none.
    pub fn records(&self) -> impl Iterator<Item = &AlertRecord> {
        self.book.entries().map(|entry| &entry.record)
    }

    /// Rules that could not be evaluated at the last step, each with the first node where it could not, and why.
    pub fn failures(&self) -> &Arc<BTreeMap<String, String>> {
        self.watch.failures()
    }

    pub(super) fn take_watch(&mut self) -> Watch {
        std::mem::take(&mut self.watch)
    }

    pub(super) fn keep_watch(&mut self, watch: Watch) {
        self.watch = watch;
    }

    /// Whether there is a record of an identity.
    pub(super) fn holds(&self, fingerprint: Fingerprint) -> bool {
        self.book.get(fingerprint).is_some()
    }

    /// Rules and nodes of which there are records: all of their identities are judged where everything is asked about.
    pub fn known(&self) -> Known<'_> {
        Known::At(self.records().filter_map(judged_with).collect())
    }

    /// To be called after [`Engine::restore`] and after every change of the catalogue: what is not declared any more
    /// (a node that is gone, another owner in the identity) resolves at the next step for the reason that is given, unless
    /// that step judges it.
    pub fn withdraw(&mut self, why: impl Fn(&AlertRecord) -> Option<ResolveReason>) {
        self.watch = Watch::default();
        for entry in self.book.entries_mut() {
            entry.withdrawn = why(&entry.record);
        }
    }

    /// Takes how notices reach all receivers of the settings: the next steps judge it.
    pub fn heed(&mut self, deliveries: Vec<Delivery>) {
        self.deliveries = Some(deliveries);
    }

    /// Moves all alerts on to the watermark `at`.
    ///
    /// `samples` are the judgements of all identities that exist and have a record or breach, `rules` the rules of the catalogue: an alert that is
    /// not judged resolves if its rule is gone or its period is over, and is without data otherwise. A step at the end
    /// of a period should bring its final figures; it resolves what still fires, and nothing begins with it.
    ///
    /// Without a `moment` (history is replayed, or the daemon catches up) states move on and nobody is told. The first
    /// step that has one brings people up to date: what still fires, and the end of what they know of.
    pub fn step<A: About>(
        &mut self,
        samples: &[Sample<'_, A>],
        rules: &[Rule],
        at: Timestamp,
        moment: Option<Moment<'_>>,
    ) -> Step {
        self.step += 1;
        let mut changes = Changes::default();
        self.beyond.clear();
        self.judge_samples(samples, at, &mut changes);
        self.judge_crowds(rules, at, &mut changes);
        self.judge_rules(samples, at, &mut changes);
        self.judge_deliveries(at, &mut changes);
        self.judge_absent(rules, at, &mut changes);
        let notices = moment.map_or_else(Vec::new, |moment| {
            self.dispatcher
                .pass(&mut self.book, &self.store_id, at, moment, &mut changes)
        });
        self.book.forget_expired(at, &mut changes);
        self.step_of(notices, changes)
    }

    /// Tells people what has become due since the last step, which was at `at`; nothing is judged.
    pub fn tell(&mut self, at: Timestamp, moment: Moment<'_>) -> Step {
        let mut changes = Changes::default();
        let notices = self
            .dispatcher
            .pass(&mut self.book, &self.store_id, at, moment, &mut changes);
        self.step_of(notices, changes)
    }

    fn step_of(&mut self, notices: Vec<Notice>, changes: Changes) -> Step {
        let (changed, removed) = self.book.written(changes);
        Step {
            changed,
            removed,
            notices,
            unsaid: self.dispatcher.take_unsaid(),
            held: self.dispatcher.take_held(),
            kept: self.dispatcher.take_changed(),
        }
    }

    fn judge_samples<A: About>(&mut self, samples: &[Sample<'_, A>], at: Timestamp, changes: &mut Changes) {
        for sample in samples {
            let judgement = Judgement {
                policy: Policy::Rule(sample.rule),
                fingerprint: sample.fingerprint,
                condition: sample.condition,
                period_end: sample.period_end,
                is_new: sample.is_new,
                about: &sample.about,
            };
            self.judge(&judgement, at, changes);
        }
    }

    /// Judges how many alerts the rules have.
    fn judge_crowds(&mut self, rules: &[Rule], at: Timestamp, changes: &mut Changes) {
        let open = self.book.open_records().filter_map(Crowd::rule_of);
        let known = open.filter(|name| rules.iter().any(|rule| rule.name == *name));
        let crowds = Crowd::all(&self.beyond, known.map(str::to_owned), self.manners.max_per_rule);
        for crowd in crowds {
            let judgement = Judgement {
                policy: Policy::Crowd,
                fingerprint: fingerprint(TOO_MANY_ALERTS, &crowd.labels()),
                condition: crowd.condition(),
                period_end: None,
                is_new: false,
                about: &crowd,
            };
            self.judge(&judgement, at, changes);
        }
    }

    /// Whether a rule has as many alerts as are kept of one; what begins now is counted then.
    fn is_crowded(&mut self, policy: &Policy<'_>) -> bool {
        let Policy::Rule(rule) = policy else {
            return false;
        };
        let is_full = self.book.open_of(&rule.name) >= self.manners.max_per_rule;
        if is_full {
            *self.beyond.entry(rule.name.clone()).or_default() += 1;
        }
        is_full
    }

    /// Judges the rules themselves: those that cannot be evaluated, and those that could not and now can.
    fn judge_rules<A: About>(&mut self, samples: &[Sample<'_, A>], at: Timestamp, changes: &mut Changes) {
        let hold_for = self.manners.error_for;
        let open: Vec<Watched> = self.book.open_records().filter_map(Watched::of).collect();
        for (watched, condition) in rule_error::judgements(samples, &open) {
            let judgement = Judgement {
                policy: Policy::RuleError { hold_for },
                fingerprint: fingerprint(RULE_ERROR, &watched.labels()),
                condition,
                period_end: None,
                is_new: false,
                about: &watched,
            };
            self.judge(&judgement, at, changes);
        }
    }

    /// Judges how notices reach receivers; what was told of one who is not in the settings any more is over.
    fn judge_deliveries(&mut self, at: Timestamp, changes: &mut Changes) {
        let Some(deliveries) = self.deliveries.take() else {
            return;
        };
        for judged in delivery::judged(&deliveries) {
            let judgement = Judgement {
                policy: Policy::Delivery,
                fingerprint: judged.fingerprint(),
                condition: judged.condition(),
                period_end: None,
                is_new: false,
                about: &judged,
            };
            self.judge(&judgement, at, changes);
        }
        self.deliveries = Some(deliveries);
        for fingerprint in self.book.open() {
            let Some(entry) = self.book.get_mut(fingerprint) else {
                continue;
            };
            if entry.judged != self.step && delivery::is_of(&entry.record) {
                entry.judged = self.step;
                let before = Position::of(&entry.record);
                end(&mut entry.record, ResolveReason::Updated, at);
                let is_changed = before != Position::of(&entry.record);
                self.book.settle(fingerprint, is_changed, changes);
            }
        }
    }

    fn judge(&mut self, judgement: &Judgement<'_>, at: Timestamp, changes: &mut Changes) {
        let fingerprint = judgement.fingerprint;
        let is_closed = judgement.period_end.is_some_and(|period_end| period_end <= at);
        let may_begin = judgement.condition.is_breach() && !is_closed && !judgement.is_new;
        let Some(state) = self.book.get(fingerprint).map(|entry| entry.record.state) else {
            if may_begin && !self.is_crowded(&judgement.policy) {
                let before = self.book.episodes_before(fingerprint);
                self.book
                    .insert(begin(judgement, before, self.manners.flap, at), self.step);
                self.book.settle(fingerprint, true, changes);
            }
            return;
        };
        // One that is over and owes somebody a word has its place still.
        let begins = state == AlertState::Inactive && may_begin && !self.book.is_open(fingerprint);
        if begins && self.is_crowded(&judgement.policy) {
            return;
        }
        let flap = self.manners.flap;
        let Some(entry) = self.book.get_mut(fingerprint) else {
            return;
        };
        if entry.judged == self.step {
            return;
        }
        entry.judged = self.step;
        entry.withdrawn = None;
        let record = &mut entry.record;
        if record.state == AlertState::Inactive && !may_begin {
            return;
        }

        let before = Position::of(record);
        let period_end_before = record.period_end;
        let is_relabelled = relabel(record, judgement);
        // Words are only made where there is something to say: while frozen, the last known ones stay.
        let facts = match judgement.condition {
            Condition::Missing | Condition::Withheld | Condition::NewDefinition | Condition::Error => None,
            _ => Some(judgement.about.facts()),
        };
        let is_news = facts.as_ref().is_some_and(|facts| *facts != record.facts);
        advance(record, judgement.policy, judgement.condition, facts, flap, at);
        if is_closed {
            end(record, ResolveReason::PeriodClosed, at);
        }
        let is_changed = is_news || is_relabelled || before != Position::of(record);
        if period_end_before != judgement.period_end {
            self.book
                .expire_with(fingerprint, period_end_before, judgement.period_end);
        }
        self.book.settle(fingerprint, is_changed, changes);
    }

    /// What nobody judged in this step.
    fn judge_absent(&mut self, rules: &[Rule], at: Timestamp, changes: &mut Changes) {
        let Manners { flap, error_for, .. } = self.manners;
        for fingerprint in self.book.open() {
            let Some(entry) = self.book.get_mut(fingerprint) else {
                continue;
            };
            if entry.judged == self.step {
                continue;
            }
            let withdrawn = entry.withdrawn;
            let record = &mut entry.record;
            let before = Position::of(record);
            let is_closed = record.period_end.is_some_and(|period_end| period_end <= at);
            match (policy_of(record, rules, error_for), withdrawn) {
                (Err(reason), _) | (Ok(_), Some(reason)) => end(record, reason, at),
                (Ok(_), None) if is_closed => end(record, ResolveReason::PeriodClosed, at),
                // Nobody was told of it, so nothing is kept for when it comes back.
                (Ok(_), None) if matches!(record.state, AlertState::Pending { .. }) => {
                    end(record, ResolveReason::NoData, at);
                }
                (Ok(policy), None) => advance(record, policy, Condition::Missing, None, flap, at),
            }
            let is_changed = before != Position::of(record);
            self.book.settle(fingerprint, is_changed, changes);
        }
    }
}

/// The rule and the node whose samples judge a record.
fn judged_with(record: &AlertRecord) -> Option<(&str, &str)> {
    // What watches a rule is judged by the samples of that rule.
    let rule = match record.rule.as_str() {
        RULE_ERROR => record.labels.get("rule")?,
        rule => rule,
    };
    let judged = record.labels.get("node").or_else(|| record.labels.get("source"));
    Some((rule, judged?))
}

/// The record of an identity that breaches for the first time, or after it was forgotten with so many episodes.
fn begin(judgement: &Judgement<'_>, episodes: u64, flap: Guard, at: Timestamp) -> AlertRecord {
    let mut record = AlertRecord {
        fingerprint: judgement.fingerprint,
        rule: judgement.policy.name().to_owned(),
        kind: judgement.policy.kind().to_owned(),
        labels: judgement.about.labels(),
        sources: judgement.about.sources(),
        period_end: judgement.period_end,
        episodes,
        ..AlertRecord::blank()
    };
    let facts = Some(judgement.about.facts());
    advance(
        &mut record,
        judgement.policy,
        judgement.condition,
        facts,
        flap,
        at,
    );
    record
}

/// Takes over what a reload of the catalogue may have changed without changing the identity.
fn relabel(record: &mut AlertRecord, judgement: &Judgement<'_>) -> bool {
    let labels = judgement.about.labels();
    let is_same = record.labels == labels
        && record.kind == judgement.policy.kind()
        && record.period_end == judgement.period_end;
    if !is_same {
        record.labels = labels;
        record.kind = judgement.policy.kind().to_owned();
        record.period_end = judgement.period_end;
    }
    !is_same
}

/// The rule of a record, if it is still there and applies; otherwise why its alerts end.
fn policy_of<'r>(
    record: &AlertRecord,
    rules: &'r [Rule],
    error_for: SignedDuration,
) -> Result<Policy<'r>, ResolveReason> {
    if delivery::is_of(record) {
        return Ok(Policy::Delivery);
    }
    if let Some(rule) = Crowd::rule_of(record) {
        let is_there = rules.iter().any(|known| known.name == rule);
        return if is_there {
            Ok(Policy::Crowd)
        } else {
            Err(ResolveReason::RuleDeleted)
        };
    }
    let watched = Watched::of(record);
    let (name, node) = match &watched {
        Some(watched) => (watched.rule(), Some(watched.node())),
        None => (
            record.rule.as_str(),
            record.labels.get("node").map(String::as_str),
        ),
    };
    let mut named = rules.iter().filter(|rule| rule.name == name);
    let applies = named
        .clone()
        .find(|rule| node.is_none_or(|node| rule.applies_to(node)));
    match applies {
        Some(_) if watched.is_some() => Ok(Policy::RuleError { hold_for: error_for }),
        Some(rule) => Ok(Policy::Rule(rule)),
        None if named.any(|rule| node.is_some_and(|node| rule.is_off_at(node))) => Err(ResolveReason::Paused),
        None => Err(ResolveReason::RuleDeleted),
    }
}

/// What of a record moves with a judgement, besides its facts: to see whether it has to be written.
#[derive(PartialEq)]
struct Position {
    state: AlertState,
    severity: Severity,
    clocks: Clocks,
    is_flapping: bool,
}

impl Position {
    fn of(record: &AlertRecord) -> Position {
        Position {
            state: record.state,
            severity: record.severity,
            clocks: record.clocks.clone(),
            is_flapping: record.history.flapping,
        }
    }
}
