//! What a silence would hold back if it were made now: asked before, so that nobody finds out after.

use axum::Json;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::view::{AlertView, View};
use crate::alert::dispatch::matcher::{Matcher, matches_all};
use crate::alert::dispatch::silence::{SilenceRefusal, check_matchers};

/// What a silence with some matchers would hold back.
pub(super) struct Preview<'v> {
    /// The alerts that fire and meet the matchers, the worst first.
    pub(super) held: Vec<&'v AlertView>,
    /// How many fire.
    pub(super) firing: usize,
    /// Why it would be refused.
    pub(super) refusal: Option<SilenceRefusal>,
}

impl Preview<'_> {
    /// Matchers as they are written; what is empty is let go.
    ///
    /// # Errors
    /// Which cannot be read.
    pub(super) fn read<'t>(lines: impl Iterator<Item = &'t str>) -> Result<Vec<Matcher>, String> {
        let lines = lines.map(str::trim).filter(|line| !line.is_empty());
        lines.map(Matcher::parse).collect()
    }

    /// Looks at what fires.
    pub(super) fn of<'v>(view: &'v View, matchers: &[Matcher]) -> Preview<'v> {
        let firing: Vec<(&AlertView, _)> = view
            .alerts
            .iter()
            .filter(|alert| alert.is_firing())
            .map(|alert| (alert, alert.matched_labels()))
            .collect();
        let mut held: Vec<&AlertView> = firing
            .iter()
            .filter(|(_, labels)| matches_all(matchers, labels))
            .map(|(alert, _)| *alert)
            .collect();
        held.sort_by_key(|alert| (std::cmp::Reverse(alert.severity), alert.active_at));
        let labels: Vec<_> = firing.into_iter().map(|(_, labels)| labels).collect();
        Preview {
            held,
            firing: labels.len(),
            refusal: check_matchers(matchers, &labels).err(),
        }
    }
}

/// `GET /api/v1/silences/preview`.
pub(super) fn answer(view: &View, filters: &[Matcher]) -> Response {
    let preview = Preview::of(view, filters);
    let alerts = preview.held.iter().map(|alert| {
        json!({
            "episode": alert.episode,
            "labels": alert.matched_labels(),
            "activeAt": alert.active_at.to_string(),
        })
    });
    let needs_force = matches!(preview.refusal, Some(SilenceRefusal::TooBroad(_)));
    let data = json!({
        "count": preview.held.len(),
        "firing": preview.firing,
        "needsForce": needs_force,
        "refusal": preview.refusal.as_ref().map(ToString::to_string),
        "alerts": alerts.collect::<Vec<_>>(),
    });
    Json(json!({"status": "success", "data": data})).into_response()
}
