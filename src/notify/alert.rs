//! Alerts in Alertmanager's form: labels that identify, annotations for people, a start and an end. Values are never
//! labels.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::message::Message;
use super::text::Fitter;
use crate::alert::notice::{Notice, NoticeKind, ResolveReason};
use crate::alert::record::Labels;
use crate::catalog::Severity;

/// Bytes of one label's value, and of one annotation.
const LABEL: usize = 300;
const ANNOTATION: usize = 1500;

/// One alert.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Alert {
    /// What identifies it; the severity is one of them, since receivers route by it.
    pub(super) labels: BTreeMap<String, String>,
    /// What people read.
    pub(super) annotations: BTreeMap<String, String>,
    /// When it fired.
    pub(super) starts_at: Timestamp,
    /// When it ended; `None` while it fires. Never before its start.
    pub(super) ended_at: Option<Timestamp>,
    /// Where to read more.
    pub(super) generator_url: String,
}

impl Alert {
    /// What a notice says of its alert.
    pub(super) fn of(notice: &Notice, message: &Message) -> Alert {
        let mut fit = Fitter::default();
        let mut annotations = BTreeMap::new();
        let mut annotate = |name: &str, text: &str| {
            if !text.is_empty() {
                annotations.insert(name.to_owned(), fit.json_bytes(text, ANNOTATION));
            }
        };
        annotate("summary", &message.title);
        annotate("description", &message.lead);
        annotate("notice", &notice.id);
        annotate("episode", &notice.episode);
        annotate("reason", notice.reason.map_or("", reason));
        if let Some(ack) = &notice.ack {
            annotate("acknowledged_by", &ack.by);
        }
        Alert {
            labels: with_severity(labels(&notice.labels), notice.severity),
            annotations,
            starts_at: notice.fired_at,
            ended_at: is_over(notice).then_some(notice.decided_at.max(notice.fired_at)),
            generator_url: message
                .links
                .first()
                .map(|link| link.url.clone())
                .unwrap_or_default(),
        }
    }

    /// The same alert at another severity, which is another alert to Alertmanager.
    pub(super) fn at(&self, severity: Severity) -> Alert {
        Alert {
            labels: with_severity(self.labels.clone(), severity),
            ..self.clone()
        }
    }
}

/// Whether a notice says that its alert is over.
pub(super) fn is_over(notice: &Notice) -> bool {
    matches!(notice.kind, NoticeKind::Resolved | NoticeKind::Correction)
}

pub(super) fn reason(reason: ResolveReason) -> &'static str {
    match reason {
        ResolveReason::Recovered => "recovered",
        ResolveReason::PeriodClosed => "period_closed",
        ResolveReason::RuleDeleted => "rule_deleted",
        ResolveReason::Paused => "paused",
        ResolveReason::NoData => "no_data",
        ResolveReason::Updated => "updated",
        ResolveReason::SourceGone => "source_gone",
    }
}

fn with_severity(mut labels: BTreeMap<String, String>, severity: Severity) -> BTreeMap<String, String> {
    labels.insert("severity".to_owned(), severity.as_str().to_owned());
    labels
}

/// Labels under names that Prometheus allows: letters, digits and `_`, no digit first. Empty values count as absent.
pub(super) fn labels(labels: &Labels) -> BTreeMap<String, String> {
    let mut fit = Fitter::default();
    let mut out = BTreeMap::new();
    // Names that are right already keep theirs, whatever the others become.
    let (right, wrong): (Vec<_>, Vec<_>) = labels
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .partition(|(name, _)| legal(name) == name.as_str());
    for (name, value) in right.into_iter().chain(wrong) {
        let mut name = legal(name);
        while out.contains_key(&name) {
            name.push('_');
        }
        out.insert(name, fit.json_bytes(value, LABEL));
    }
    out
}

/// The name of a label as Prometheus allows it.
pub(crate) fn legal(name: &str) -> String {
    let mut out: String = name
        .chars()
        .take(LABEL / 4)
        .map(|char| if char.is_ascii_alphanumeric() { char } else { '_' })
        .collect();
    if out.is_empty() || out.starts_with(|char: char| char.is_ascii_digit()) {
        out.insert(0, '_');
    }
    out
}

/// 16 hex digits that are the same for the same labels.
pub(super) fn fingerprint(labels: &BTreeMap<String, String>) -> String {
    let mut bytes = Vec::new();
    for (name, value) in labels {
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(0xff);
        bytes.extend_from_slice(value.as_bytes());
        bytes.push(0xff);
    }
    format!("{:016x}", xxhash_rust::xxh3::xxh3_64(&bytes))
}
