//! Payload: an event by Standard Webhooks, one a notice.

use serde_json::{Value as Json, json};

use crate::alert::notice::{Notice, NoticeKind};
use crate::notify::message::Message;
use crate::notify::{Form, wire};

/// `{"type": "kpi.alert.firing", "timestamp": …, "data": …}`.
pub(super) fn event(notice: &Notice, message: &Message, form: Form) -> Json {
    json!({
        "type": event_type(notice.kind),
        "timestamp": notice.told_at.unwrap_or(notice.decided_at).to_string(),
        "data": wire::notice(notice, message, form),
    })
}

/// What has happened, as receivers filter by it.
fn event_type(kind: NoticeKind) -> &'static str {
    match kind {
        NoticeKind::Fired => "kpi.alert.firing",
        NoticeKind::Escalated => "kpi.alert.escalated",
        NoticeKind::DeEscalated => "kpi.alert.de_escalated",
        NoticeKind::Repeat => "kpi.alert.repeated",
        NoticeKind::Acked => "kpi.alert.acknowledged",
        NoticeKind::Resolved => "kpi.alert.resolved",
        NoticeKind::Correction => "kpi.alert.corrected",
        NoticeKind::Reminder => "kpi.silence.ending",
        NoticeKind::Digest => "kpi.digest",
        NoticeKind::Proposal => "kpi.weights.proposed",
    }
}
