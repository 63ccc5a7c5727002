//! Notices: the difference between where an alert stands and what people know. Deciding from state rather than from
//! events is what makes a restart, a replay of history or a change of routes harmless: nobody is told twice, nobody
//! is left with an alert that is over.

use jiff::Timestamp;

use super::engine::Route;
use super::identity::{episode_id, notice_id};
use super::notice::{Again, Notice, NoticeKind, ResolveReason, Verdict};
use super::record::{AlertRecord, AlertState, Ended, Facts, Labels};
use super::transition::{REFIRE_WINDOW, settle_flapping};

/// Decides who has to be told what, and notes it in the record.
pub(super) fn tell(
    record: &mut AlertRecord,
    store_id: &str,
    route: Route<'_>,
    at: Timestamp,
    notices: &mut Vec<Notice>,
) {
    if record.history.flapping {
        settle_flapping(&mut record.history, &mut record.told, at);
    }
    let firing = record.state == AlertState::Firing;
    // While it flaps, people know that it does: only worse news goes through.
    let held_back = record
        .told
        .flapping
        .is_some_and(|told| !firing || record.severity <= told);
    if !held_back && let Some(ended) = record.told.owed.take() {
        tell_resolved(record, store_id, &ended, notices);
    }

    let nobody_knows = record.told.receivers.is_empty();
    // A recovering alert that nobody knows of is not worth a first message; if it falls back, it is.
    if nobody_knows && firing && !held_back {
        tell_fired(record, store_id, route, at, notices);
    } else if firing && record.told.severity.is_some_and(|told| told < record.severity) {
        tell_escalated(record, store_id, route, at, notices);
    }
}

fn tell_fired(
    record: &mut AlertRecord,
    store_id: &str,
    route: Route<'_>,
    at: Timestamp,
    notices: &mut Vec<Notice>,
) {
    let receivers = without_repeats(route(&record.labels, record.severity));
    if receivers.is_empty() {
        return;
    }
    record.seq += 1;
    record.told.severity = Some(record.severity);
    if record.history.flapping {
        record.told.flapping = Some(record.severity);
    }
    for receiver in &receivers {
        notices.push(open_notice(record, store_id, receiver, NoticeKind::Fired, at));
    }
    record.told.receivers = receivers;
}

/// Those who know hear that it is worse; those who are only told at this level hear of it for the first time.
fn tell_escalated(
    record: &mut AlertRecord,
    store_id: &str,
    route: Route<'_>,
    at: Timestamp,
    notices: &mut Vec<Notice>,
) {
    record.seq += 1;
    record.told.severity = Some(record.severity);
    record.told.flapping = record.told.flapping.map(|told| told.max(record.severity));
    for receiver in &record.told.receivers {
        notices.push(open_notice(record, store_id, receiver, NoticeKind::Escalated, at));
    }
    for receiver in without_repeats(route(&record.labels, record.severity)) {
        if !record.told.receivers.contains(&receiver) {
            notices.push(open_notice(record, store_id, &receiver, NoticeKind::Fired, at));
            record.told.receivers.push(receiver);
        }
    }
}

fn tell_resolved(record: &AlertRecord, store_id: &str, ended: &Ended, notices: &mut Vec<Notice>) {
    let episode = episode_id(store_id, record.fingerprint, ended.episode);
    let seq = ended.seq + 1;
    let verdict = match ended.reason {
        ResolveReason::PeriodClosed => verdict(&ended.facts),
        _ => None,
    };
    for receiver in &ended.receivers {
        notices.push(Notice {
            id: notice_id(&episode, seq),
            episode: episode.clone(),
            seq,
            receiver: receiver.clone(),
            kind: NoticeKind::Resolved,
            reason: Some(ended.reason),
            alert_kind: record.kind.clone(),
            severity: ended.severity,
            labels: record.labels.clone(),
            fired_at: ended.fired_at,
            decided_at: ended.ended_at,
            facts: ended.facts.clone(),
            facts_at_firing: ended.facts_at_firing.clone(),
            peak: ended.peak.clone(),
            verdict,
            again: None,
            flapping: false,
            told_at: None,
            bundle: String::new(),
            group: Labels::new(),
            storm: false,
            quiet: false,
            because: None,
            ack: None,
            explains: Vec::new(),
            aside: None,
        });
    }
}

/// A notice about the running episode, with the current `seq`.
fn open_notice(
    record: &AlertRecord,
    store_id: &str,
    receiver: &str,
    kind: NoticeKind,
    at: Timestamp,
) -> Notice {
    let episode = episode_id(store_id, record.fingerprint, record.episodes);
    let fired = kind == NoticeKind::Fired;
    Notice {
        id: notice_id(&episode, record.seq),
        episode,
        seq: record.seq,
        receiver: receiver.to_owned(),
        kind,
        reason: None,
        alert_kind: record.kind.clone(),
        severity: record.severity,
        labels: record.labels.clone(),
        fired_at: record.fired_at.unwrap_or(at),
        decided_at: at,
        facts: record.facts.clone(),
        facts_at_firing: record.facts_at_firing.clone(),
        peak: None,
        verdict: None,
        again: if fired { again(record, store_id) } else { None },
        flapping: fired && record.history.flapping,
        told_at: None,
        bundle: String::new(),
        group: Labels::new(),
        storm: false,
        quiet: false,
        because: None,
        ack: None,
        explains: Vec::new(),
        aside: None,
    }
}

fn again(record: &AlertRecord, store_id: &str) -> Option<Again> {
    let (fired, ended) = (record.fired_at?, record.history.ended_at?);
    let count = u32::try_from(record.history.fired.len()).unwrap_or(u32::MAX);
    let soon = fired.duration_since(ended) <= REFIRE_WINDOW;
    (soon && count > 1).then(|| Again {
        count,
        previous: episode_id(store_id, record.fingerprint, record.episodes - 1),
    })
}

fn verdict(facts: &Facts) -> Option<Verdict> {
    let completion = facts.node.as_ref()?.completion?;
    Some(match completion >= 1.0 {
        true => Verdict::Met,
        false => Verdict::Missed,
    })
}

fn without_repeats(receivers: Vec<String>) -> Vec<String> {
    let mut unique = Vec::with_capacity(receivers.len());
    for receiver in receivers {
        if !unique.contains(&receiver) {
            unique.push(receiver);
        }
    }
    unique
}
