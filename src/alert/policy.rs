//! What the state machine needs to know of a rule, whether the catalogue or tautline itself made it.

use jiff::SignedDuration;
use smallvec::SmallVec;

use super::{crowd, delivery, rule_error};
use crate::catalog::{OnMissing, Rule, Severity};

/// The rule behind a judgement.
#[derive(Clone, Copy)]
pub(super) enum Policy<'a> {
    /// A rule of the catalogue.
    Rule(&'a Rule),
    /// The rule that watches over the rules: see [`rule_error`].
    RuleError {
        /// How long a rule must fail.
        hold_for: SignedDuration,
    },
    /// The rule that watches over receivers: see [`delivery`].
    Delivery,
    /// The rule that watches over the number of alerts: see [`crowd`].
    Crowd,
}

/// A level and the event time for which it must hold.
pub(super) type Hold = (Severity, SignedDuration);

impl Policy<'_> {
    pub(super) fn name(&self) -> &str {
        match self {
            Policy::Rule(rule) => &rule.name,
            Policy::RuleError { .. } => rule_error::RULE_ERROR,
            Policy::Delivery => delivery::DELIVERY_FAILED,
            Policy::Crowd => crowd::TOO_MANY_ALERTS,
        }
    }

    pub(super) fn kind(&self) -> &str {
        match self {
            Policy::Rule(rule) => &rule.kind,
            Policy::RuleError { .. } => rule_error::RULE_ERROR,
            Policy::Delivery => delivery::DELIVERY_FAILED,
            Policy::Crowd => crowd::TOO_MANY_ALERTS,
        }
    }

    /// The levels, the mildest first.
    pub(super) fn holds(&self) -> SmallVec<[Hold; 3]> {
        match self {
            Policy::Rule(rule) => rule
                .levels
                .iter()
                .map(|level| (level.severity, level.hold_for))
                .collect(),
            Policy::RuleError { hold_for } => SmallVec::from_slice(&[(rule_error::SEVERITY, *hold_for)]),
            Policy::Delivery => SmallVec::from_slice(&[(delivery::SEVERITY, SignedDuration::ZERO)]),
            Policy::Crowd => SmallVec::from_slice(&[(crowd::SEVERITY, SignedDuration::ZERO)]),
        }
    }

    pub(super) fn mildest(&self) -> Option<Severity> {
        self.holds().first().map(|(severity, _)| *severity)
    }

    pub(super) fn keep_firing_for(&self) -> SignedDuration {
        match self {
            Policy::Rule(rule) => rule.keep_firing_for,
            Policy::RuleError { .. } | Policy::Delivery | Policy::Crowd => SignedDuration::ZERO,
        }
    }

    pub(super) fn for_events(&self) -> u32 {
        match self {
            Policy::Rule(rule) => rule.for_events,
            Policy::RuleError { .. } | Policy::Delivery | Policy::Crowd => 1,
        }
    }

    pub(super) fn on_missing(&self) -> OnMissing {
        match self {
            Policy::Rule(rule) => rule.on_missing,
            Policy::RuleError { .. } | Policy::Delivery | Policy::Crowd => OnMissing::Keep,
        }
    }
}
