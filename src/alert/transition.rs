//! The state machine: what one judgement at one moment does to one record. Nobody is told anything here: that is
//! `tell`, which looks at where the record stands afterwards.

use jiff::{SignedDuration, Timestamp};

use super::dispatch::route::Guard;
use super::dispatch::verdict;
use super::notice::ResolveReason;
use super::policy::{Hold, Policy};
use super::record::{
    AlertRecord, AlertState, Clocks, Closed, Ended, Facts, History, LevelChange, LevelClock, Telling, Told,
    Untold,
};
use super::sample::Condition;
use crate::catalog::{OnMissing, Severity};

/// Time within which episodes of one identity are counted, for "again, 3rd time in 24 h".
pub const HISTORY_WINDOW: SignedDuration = SignedDuration::from_hours(24);
/// For how long firing times are kept, for digests: those of a month at most.
const FIRED_KEPT: SignedDuration = SignedDuration::from_hours(32 * 24);
/// Firing times kept of an identity. A rule that fires every second must not grow its record by each; beyond this the
/// count in messages stands still, and no flap guard asks for more.
pub const FIRED_MAX: usize = 100;

/// Moves a record on by one judgement. `facts` are the numbers of the judgement; `None` while there are none.
pub(super) fn advance(
    record: &mut AlertRecord,
    policy: Policy<'_>,
    condition: Condition,
    facts: Option<Facts>,
    flap: Guard,
    at: Timestamp,
) {
    let condition = match (condition, policy.on_missing(), policy.mildest()) {
        // What was never active has nothing to keep, raise or resolve.
        (Condition::Missing | Condition::Withheld | Condition::NewDefinition, ..)
            if record.state == AlertState::Inactive =>
        {
            return;
        }
        (Condition::NewDefinition, ..) => return end(record, ResolveReason::Updated, at),
        (Condition::Missing, OnMissing::NoData, _) => return end(record, ResolveReason::NoData, at),
        // What fires does not get milder because data is missing.
        (Condition::Missing, OnMissing::Alert, Some(mildest)) => Condition::Breach(at_least(record, mildest)),
        (Condition::AtLeast(level), OnMissing::Keep | OnMissing::Alert, _) => {
            Condition::Breach(at_least(record, level))
        }
        (Condition::AtLeast(level), ..) => Condition::Breach(level),
        (Condition::Missing, OnMissing::Resolve, _) => Condition::Clear,
        (condition, ..) => condition,
    };
    if matches!(
        condition,
        Condition::Missing | Condition::Withheld | Condition::Error
    ) {
        return stop_clocks(record, at);
    }
    restart_clocks(record, at);
    if let Some(facts) = facts {
        record.facts = facts;
    }

    let breach = match condition {
        Condition::Breach(severity) => Some(severity),
        _ => None,
    };
    record.clocks.observe(breach, &policy.holds(), at);
    match (record.state, condition) {
        (AlertState::Inactive, Condition::Breach(severity)) => {
            record.state = AlertState::Pending { since: at };
            pend(record, policy, severity, flap, at);
        }
        (AlertState::Pending { .. }, Condition::Breach(severity)) => pend(record, policy, severity, flap, at),
        (AlertState::Pending { .. }, _) => end(record, ResolveReason::Recovered, at),
        (AlertState::Firing, Condition::Clear) => {
            record.state = AlertState::Recovering { since: at };
            recover(record, policy, at, at);
        }
        (AlertState::Recovering { since }, Condition::Clear) => recover(record, policy, since, at),
        (AlertState::Recovering { .. }, _) => {
            record.state = AlertState::Firing;
            record.history.relapses += 1;
            climb(record, policy, breach, at);
        }
        (AlertState::Firing, _) => climb(record, policy, breach, at),
        (AlertState::Inactive, _) => {}
    }
    if is_running(record) {
        watch_peak(record);
    }
}

/// Ends whatever is going on: a pending alert goes without a word, a told one resolves.
pub(super) fn end(record: &mut AlertRecord, reason: ResolveReason, at: Timestamp) {
    if reason != ResolveReason::Recovered && reason != ResolveReason::NoData {
        // The identity itself is gone, so it cannot come and go any more: what was held back is told now.
        record.history.flapping = false;
        record.told.knows_flapping.clear();
    }
    if is_running(record) {
        let tellings = std::mem::take(&mut record.told.tellings);
        let (told, untold): (Vec<Telling>, Vec<Telling>) = tellings
            .into_iter()
            .partition(|telling| telling.severity.is_some());
        let waited = untold.into_iter().filter(|telling| telling.held.is_empty());
        let receivers: Vec<String> = waited.map(|telling| telling.receiver).collect();
        if !receivers.is_empty() {
            record.told.untold.push(Untold {
                episode: record.episodes,
                receivers,
            });
        }
        record.told.ack = None;
        let is_untold = told.is_empty();
        if let (false, Some(fired_at)) = (is_untold, record.fired_at) {
            if let (ResolveReason::PeriodClosed, Some(verdict)) = (reason, verdict(&record.facts)) {
                record.told.closed = Some(Closed {
                    episode: record.episodes,
                    // The end is one notice more.
                    seq: record.seq + 1,
                    tellings: told.clone(),
                    verdict,
                    fired_at,
                });
            }
            record.told.owed.push(Ended {
                episode: record.episodes,
                seq: record.seq,
                tellings: told,
                since: None,
                reason,
                severity: record.severity,
                fired_at,
                ended_at: at,
                facts: record.facts.clone(),
                facts_at_firing: record.facts_at_firing.clone(),
                peak: record.history.peak.clone(),
            });
        }
        record.history.untold = is_untold;
        record.history.ended_at = Some(at);
        record.history.end_reason = Some(reason);
    }
    record.state = AlertState::Inactive;
    record.clocks = Clocks::default();
}

/// A level, or the one at which it fires already.
fn at_least(record: &AlertRecord, level: Severity) -> Severity {
    match is_running(record) {
        true => level.max(record.severity),
        false => level,
    }
}

/// Whether an episode is running.
pub(super) fn is_running(record: &AlertRecord) -> bool {
    matches!(record.state, AlertState::Firing | AlertState::Recovering { .. })
}

/// Ends the flapping of an alert of which no episode began or ended for as long as the guard looks back.
pub(super) fn settle_flapping(history: &mut History, told: &mut Told, flap: Guard, at: Timestamp) {
    let last_change = history.fired.last().copied().max(history.ended_at);
    if last_change.is_none_or(|last| at.duration_since(last) >= flap.window) {
        history.flapping = false;
        told.knows_flapping.clear();
    }
}

/// One more breaching update of a pending alert: fires when a level has held for its time.
fn pend(record: &mut AlertRecord, policy: Policy<'_>, breach: Severity, flap: Guard, at: Timestamp) {
    record.severity = breach;
    let needed = policy.for_events().max(1);
    if record.clocks.breaches < needed && record.clocks.counted_at.is_none_or(|counted| counted < at) {
        record.clocks.breaches += 1;
        record.clocks.counted_at = Some(at);
    }
    if record.clocks.breaches >= needed
        && let Some(level) = record.clocks.highest_due(&policy.holds(), at)
    {
        fire(record, level, flap, at);
    }
}

fn fire(record: &mut AlertRecord, level: Severity, flap: Guard, at: Timestamp) {
    settle_flapping(&mut record.history, &mut record.told, flap, at);
    let history = &mut record.history;
    history
        .fired
        .retain(|fired| at.duration_since(*fired) <= FIRED_KEPT);
    if history.fired.len() == FIRED_MAX {
        history.fired.remove(0);
    }
    history.fired.push(at);
    let lately = history
        .fired
        .iter()
        .filter(|fired| at.duration_since(**fired) < flap.window);
    if lately.count() >= flap.max {
        history.flapping = true;
    }
    history.relapses = 0;
    history.peak = None;
    history.levels.clear();
    record.state = AlertState::Firing;
    record.severity = level;
    record.episodes += 1;
    record.seq = 0;
    record.fired_at = Some(at);
    record.facts_at_firing = Some(record.facts.clone());
}

fn recover(record: &mut AlertRecord, policy: Policy<'_>, since: Timestamp, at: Timestamp) {
    if at.duration_since(since) >= policy.keep_firing_for() {
        end(record, ResolveReason::Recovered, at);
    }
}

/// Moves a firing alert up to a level that has held for its `for`, or down from levels that have not been breached for
/// `keep_firing_for`. Between the fire and the clear condition no level changes.
fn climb(record: &mut AlertRecord, policy: Policy<'_>, breach: Option<Severity>, at: Timestamp) {
    let Some(breach) = breach else { return };
    let up = record.clocks.highest_due(&policy.holds(), at);
    let kept = record
        .clocks
        .highest_kept(record.severity, policy.keep_firing_for(), at)
        .unwrap_or(breach.min(record.severity));
    let level = up.map_or(kept, |up| up.max(kept));
    let from = std::mem::replace(&mut record.severity, level);
    if from != level {
        record.history.note_level(LevelChange { at, from });
    }
}

fn watch_peak(record: &mut AlertRecord) {
    let now = record.facts.badness();
    let worst = record.history.peak.as_ref().and_then(Facts::badness);
    if now.is_some_and(|now| worst.is_none_or(|worst| now > worst)) {
        record.history.peak = Some(record.facts.clone());
    }
}

fn stop_clocks(record: &mut AlertRecord, at: Timestamp) {
    if record.state != AlertState::Inactive && record.clocks.stopped_at.is_none() {
        record.clocks.stopped_at = Some(at);
    }
}

fn restart_clocks(record: &mut AlertRecord, at: Timestamp) {
    let Some(stopped) = record.clocks.stopped_at.take() else {
        return;
    };
    // A restart may bring a watermark that is a little older: clocks never move back.
    let gap = at.duration_since(stopped).max(SignedDuration::ZERO);
    let shifted = |since: Timestamp| since.saturating_add(gap).unwrap_or(since);
    if let AlertState::Pending { since } | AlertState::Recovering { since } = &mut record.state {
        *since = shifted(*since);
    }
    for clock in &mut record.clocks.levels {
        clock.since = shifted(clock.since);
    }
}

impl Clocks {
    /// Notes which levels are breached now: those up to `breach`.
    fn observe(&mut self, breach: Option<Severity>, levels: &[Hold], at: Timestamp) {
        for clock in &mut self.levels {
            let breached = breach.is_some_and(|breach| clock.severity <= breach);
            if clock.breached != breached {
                (clock.breached, clock.since) = (breached, at);
            }
        }
        let Some(breach) = breach else { return };
        for (severity, _) in levels {
            let known = self.levels.iter().any(|clock| clock.severity == *severity);
            if *severity <= breach && !known {
                self.levels.push(LevelClock {
                    severity: *severity,
                    breached: true,
                    since: at,
                });
            }
        }
    }

    /// The highest level that has been breached for its `for`.
    fn highest_due(&self, levels: &[Hold], at: Timestamp) -> Option<Severity> {
        let due = |(severity, hold): &&Hold| {
            self.levels.iter().any(|clock| {
                clock.severity == *severity && clock.breached && at.duration_since(clock.since) >= *hold
            })
        };
        levels.iter().filter(due).map(|(severity, _)| *severity).max()
    }

    /// The highest level up to `current` that is breached, or was less than `keep` ago.
    fn highest_kept(&self, current: Severity, keep: SignedDuration, at: Timestamp) -> Option<Severity> {
        self.levels
            .iter()
            .filter(|clock| clock.severity <= current)
            .filter(|clock| clock.breached || at.duration_since(clock.since) < keep)
            .map(|clock| clock.severity)
            .max()
    }
}
