//! Notices, as they are put into the outbox.

use jiff::{SignedDuration, Timestamp};
use xxhash_rust::xxh3::xxh3_64;

use super::look::What;
use super::proposals::as_alert;
use super::silence::Silence;
use crate::alert::HISTORY_WINDOW;
use crate::alert::identity::{episode_id, notice_id};
use crate::alert::notice::{
    Again, Aside, Because, EndingSilence, Heading, Notice, NoticeKind, ResolveReason, Verdict,
};
use crate::alert::record::{AlertRecord, Facts, Labels};
use crate::catalog::Severity;
use crate::evaluate::weights::{Proposal, Titled};

/// To whom, in which message, and when.
pub(super) struct Envelope<'a> {
    pub(super) store_id: &'a str,
    pub(super) receiver: &'a str,
    pub(super) bundle: &'a str,
    pub(super) group: &'a Labels,
    /// Matchers of the route, and of those above it.
    pub(super) route: &'a str,
    /// How long its groups wait, where it says so.
    pub(super) group_wait: Option<SignedDuration>,
    pub(super) is_storm: bool,
    /// How soon after its last end an alert is back again.
    pub(super) refire_window: SignedDuration,
    /// The wall clock and the watermark.
    pub(super) times: (Timestamp, Timestamp),
}

/// The notice of one want.
pub(super) fn notice(
    record: &AlertRecord,
    what: &What,
    seq: u32,
    explains: Vec<Heading>,
    envelope: &Envelope<'_>,
) -> Option<Notice> {
    match what {
        What::Resolved { episode, quiet, .. } => resolved(record, *episode, *quiet, envelope),
        What::Correction => corrected(record, seq, envelope),
        What::Fired { .. } => Some(Notice {
            again: again(record, envelope),
            flapping: record.history.flapping,
            because: because(record, envelope),
            explains,
            ..running(record, NoticeKind::Fired, seq, envelope)
        }),
        What::Escalated => Some(Notice {
            explains,
            left: left(record),
            ..running(record, NoticeKind::Escalated, seq, envelope)
        }),
        What::Milder => Some(Notice {
            quiet: true,
            left: left(record),
            ..running(record, NoticeKind::DeEscalated, seq, envelope)
        }),
        What::Repeat { .. } => Some(Notice {
            because: because(record, envelope),
            ..running(record, NoticeKind::Repeat, seq, envelope)
        }),
        What::Acked => Some(running(record, NoticeKind::Acked, seq, envelope)),
    }
}

/// Why the receiver is told now.
fn because(record: &AlertRecord, envelope: &Envelope<'_>) -> Option<Because> {
    let mut tellings = record.told.tellings.iter();
    let telling = tellings.find(|telling| telling.receiver == envelope.receiver)?;
    telling.because.clone()
}

/// The other levels at which the episode stood, or as which it was told.
fn left(record: &AlertRecord) -> Vec<Severity> {
    let stood = record.history.levels.iter().map(|change| change.from);
    let told = record.told.tellings.iter().filter_map(|telling| telling.severity);
    let mut left: Vec<Severity> = stood
        .chain(told)
        .filter(|level| *level != record.severity)
        .collect();
    left.sort_unstable();
    left.dedup();
    left
}

/// About the episode that runs.
fn running(record: &AlertRecord, kind: NoticeKind, seq: u32, envelope: &Envelope<'_>) -> Notice {
    let (now, at) = envelope.times;
    let episode = episode_id(envelope.store_id, record.fingerprint, record.episodes);
    Notice {
        kind,
        severity: record.severity,
        fired_at: record.fired_at.unwrap_or(at),
        facts: record.facts.clone(),
        facts_at_firing: record.facts_at_firing.clone(),
        ack: record.told.ack.clone(),
        ..about(record, &episode, seq, (now, at), envelope)
    }
}

pub(super) fn resolved(
    record: &AlertRecord,
    number: u64,
    quiet: bool,
    envelope: &Envelope<'_>,
) -> Option<Notice> {
    let ended = record.told.owed.iter().find(|ended| ended.episode == number)?;
    let episode = episode_id(envelope.store_id, record.fingerprint, ended.episode);
    Some(Notice {
        kind: NoticeKind::Resolved,
        reason: Some(ended.reason),
        severity: ended.severity,
        fired_at: ended.fired_at,
        facts: ended.facts.clone(),
        facts_at_firing: ended.facts_at_firing.clone(),
        peak: ended.peak.clone(),
        verdict: match ended.reason {
            ResolveReason::PeriodClosed => verdict(&ended.facts),
            _ => None,
        },
        quiet,
        ..about(
            record,
            &episode,
            ended.seq + 1,
            (envelope.times.0, ended.ended_at),
            envelope,
        )
    })
}

fn corrected(record: &AlertRecord, seq: u32, envelope: &Envelope<'_>) -> Option<Notice> {
    let (closed, correction) = (record.told.closed.as_ref()?, record.told.correction.as_ref()?);
    let episode = episode_id(envelope.store_id, record.fingerprint, closed.episode);
    Some(Notice {
        kind: NoticeKind::Correction,
        severity: record.severity,
        fired_at: closed.fired_at,
        facts: correction.facts.clone(),
        facts_at_firing: record.facts_at_firing.clone(),
        verdict: Some(correction.verdict),
        ..about(record, &episode, seq, envelope.times, envelope)
    })
}

/// What all notices about an episode share.
fn about(
    record: &AlertRecord,
    episode: &str,
    seq: u32,
    times: (Timestamp, Timestamp),
    envelope: &Envelope<'_>,
) -> Notice {
    let (now, at) = times;
    Notice {
        id: notice_id(episode, seq),
        seq,
        alert_kind: record.kind.clone(),
        labels: record.labels.clone(),
        bundle: envelope.bundle.to_owned(),
        group: envelope.group.clone(),
        route: envelope.route.to_owned(),
        wait_ms: envelope
            .group_wait
            .map_or(0, |wait| u64::try_from(wait.as_millis()).unwrap_or(0)),
        storm: envelope.is_storm,
        ..Notice::blank(episode, envelope.receiver, now, at)
    }
}

/// That a silence ends soon.
pub(super) fn reminder(
    silence: &Silence,
    alerts: usize,
    receiver: &str,
    store_id: &str,
    times: (Timestamp, Timestamp),
) -> Notice {
    let ends = silence.ends_at.as_millisecond();
    let episode = format!(
        "{:016x}",
        xxh3_64(format!("{store_id}/reminder/{}/{ends}", silence.id).as_bytes())
    );
    Notice {
        kind: NoticeKind::Reminder,
        alert_kind: "silence".to_owned(),
        severity: Severity::INFO,
        aside: Some(Box::new(Aside::Silence(EndingSilence {
            id: silence.id.clone(),
            created_by: silence.created_by.clone(),
            comment: silence.comment.clone(),
            matchers: silence.matchers.iter().map(ToString::to_string).collect(),
            ends_at: silence.ends_at,
            alerts: u32::try_from(alerts).unwrap_or(u32::MAX),
        }))),
        ..Notice::blank(&episode, receiver, times.0, times.1)
    }
}

/// That weights wait for somebody to decide.
pub(super) fn proposal(
    proposal: &Titled,
    receiver: &str,
    store_id: &str,
    times: (Timestamp, Timestamp),
) -> Notice {
    let Proposal {
        parent, closed, at, ..
    } = &proposal.proposal;
    let episode = format!(
        "{:016x}",
        xxh3_64(format!("{store_id}/weights/{parent}/{closed}").as_bytes())
    );
    let about = as_alert(proposal);
    Notice {
        kind: NoticeKind::Proposal,
        alert_kind: about.kind,
        severity: about.severity,
        labels: about.labels,
        fired_at: *at,
        aside: Some(Box::new(Aside::Weights(proposal.clone()))),
        ..Notice::blank(&episode, receiver, times.0, times.1)
    }
}

fn again(record: &AlertRecord, envelope: &Envelope<'_>) -> Option<Again> {
    let (fired, ended) = (record.fired_at?, record.history.ended_at?);
    let lately = record
        .history
        .fired
        .iter()
        .filter(|other| fired.duration_since(**other) <= HISTORY_WINDOW);
    let count = u32::try_from(lately.count()).unwrap_or(u32::MAX);
    let window = envelope.refire_window;
    let soon = !window.is_zero() && fired.duration_since(ended) <= window;
    (soon && count > 1).then(|| Again {
        count,
        previous: episode_id(envelope.store_id, record.fingerprint, record.episodes - 1),
    })
}

/// Whether the business met its target: of a link the parent, else the node.
pub(in crate::alert) fn verdict(facts: &Facts) -> Option<Verdict> {
    let completion = facts.parent.as_ref().or(facts.node.as_ref())?.completion?;
    Some(match completion >= 1.0 {
        true => Verdict::Met,
        false => Verdict::Missed,
    })
}
