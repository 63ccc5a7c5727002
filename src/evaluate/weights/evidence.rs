//! What the links of a parent's KPIs say of them.
//!
//! What a KPI explains of its parent's variation over the judged days is (β · σx)² / σy², with β its elasticity, σx the
//! deviation of the KPI at its lag and σy that of the parent. As β = ρ · σy / σx, that is ρ², the square of the link's
//! strength, learned with the same half-life. A share is what one explains of what all explain together.
//!
//! How far it can be relied on follows from the standard error of a correlation, (1 − ρ²) / √(n − 1) (Fisher 1915), with n
//! windows that do not overlap among the days judged: confidence is 1 less that.

use super::formula::Evidence;
use crate::catalog::NodeId;
use crate::catalog::attribute::DriftKind;
use crate::evaluate::drift::link::Tuning;
use crate::evaluate::snapshot::{LinkState, Snapshot};

/// What is found out of one KPI.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Found {
    /// As the formula takes it.
    pub evidence: Evidence,
    /// How strongly the parent follows, 0 to 1; the mean over its instances.
    pub strength: f64,
    /// Days judged; the mean over its instances.
    pub judged_days: u32,
    /// The drift that its link is in.
    pub drift: Option<DriftKind>,
}

/// What the links of the KPIs of one parent say at a day close, in the order of `kpis`.
///
/// Nothing is said of a KPI without a link that has been judged for long enough, or whose feed is broken; and of none of
/// them while no link is known well: shares of noise are no evidence.
pub fn gather(snapshot: &Snapshot, kpis: &[NodeId]) -> Vec<Option<Found>> {
    let links: Vec<Option<Links>> = kpis.iter().map(|kpi| Links::of(snapshot, *kpi)).collect();
    let known = || links.iter().flatten();
    let all: f64 = known().map(|links| links.explained).sum();
    if !known().any(|links| links.is_known) || all <= 0.0 {
        return vec![None; kpis.len()];
    }
    let found = links.into_iter().map(|links| {
        let links = links?;
        Some(Found {
            evidence: Evidence {
                share: links.explained / all,
                confidence: links.confidence,
                is_drifted: links.drift.is_some(),
            },
            strength: links.strength,
            judged_days: links.judged_days,
            drift: links.drift,
        })
    });
    found.collect()
}

/// The links of one KPI, one an instance, taken together.
struct Links {
    /// Share of the parent's variation that it explains; 0 in drift: what moves the KPI does not move the parent then.
    explained: f64,
    confidence: f64,
    strength: f64,
    judged_days: u32,
    drift: Option<DriftKind>,
    is_known: bool,
}

impl Links {
    fn of(snapshot: &Snapshot, kpi: NodeId) -> Option<Links> {
        let instances = snapshot.instances.iter().filter(|state| state.key.node == kpi);
        let links: Vec<(&LinkState, f64)> = instances
            .filter_map(|state| state.link.as_deref())
            .filter(|link| !has_broken_feed(link))
            .filter_map(|link| Some((link, link.strength?)))
            .collect();
        if links.is_empty() {
            return None;
        }
        let count = links.len() as f64;
        let mean = |of: fn(&LinkState, f64) -> f64| {
            links
                .iter()
                .map(|(link, strength)| of(link, *strength))
                .sum::<f64>()
                / count
        };
        let drifts: Vec<DriftKind> = links.iter().filter_map(|(link, _)| drift(link)).collect();
        // Of a KPI of many people most of them must be in drift before the KPI is.
        let drift = drifts.first().copied().filter(|_| drifts.len() * 2 > links.len());
        let explained = |link: &LinkState, strength: f64| match self::drift(link) {
            None => strength * strength,
            Some(_) => 0.0,
        };
        Some(Links {
            explained: if drift.is_some() { 0.0 } else { mean(explained) },
            confidence: mean(|link, strength| confidence(link.judged_days, strength)),
            strength: mean(|_, strength| strength),
            judged_days: mean(|link, _| f64::from(link.judged_days)).round() as u32,
            drift,
            is_known: links.iter().any(|(link, _)| link.elasticity_in_force().is_some()),
        })
    }
}

fn has_broken_feed(link: &LinkState) -> bool {
    [DriftKind::FeedGap, DriftKind::UnitChange]
        .iter()
        .any(|kind| link.finding(*kind).is_some())
}

/// The drift in which a KPI can only lose.
fn drift(link: &LinkState) -> Option<DriftKind> {
    [DriftKind::Hollow, DriftKind::Gaming, DriftKind::WeakLink]
        .into_iter()
        .find(|kind| link.finding(*kind).is_some())
}

/// How far a correlation of this strength over so many days can be relied on, 0 to 1.
pub(super) fn confidence(judged_days: u32, strength: f64) -> f64 {
    let tuning = Tuning::default();
    let window = tuning.window[tuning.window.len() - 1] as f64;
    // A mean that forgets by half in h days knows as much as 2h / ln 2 days do.
    let remembered = 2.0 * tuning.link_half_life / std::f64::consts::LN_2;
    let windows = f64::from(judged_days).min(remembered) / window;
    if windows <= 1.0 {
        return 0.0;
    }
    (1.0 - (1.0 - strength * strength) / (windows - 1.0).sqrt()).clamp(0.0, 1.0)
}
