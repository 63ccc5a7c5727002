//! The alert about a receiver whom notices do not reach: one was refused or given up, or the destination takes none any
//! more. One identity a receiver. It is routed as any other, and never only to the one who cannot be reached.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::identity::{Fingerprint, fingerprint};
use super::record::{AlertRecord, Facts, Labels};
use super::sample::{About, Condition};
use crate::catalog::Severity;

/// Name and kind of the alert; no rule of the catalogue may have it.
pub const DELIVERY_FAILED: &str = "delivery_failed";
/// Its level.
pub(super) const SEVERITY: Severity = Severity::WARNING;

/// How notices reach a receiver of the settings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delivery {
    /// Its name.
    pub receiver: String,
    /// What did not reach it since something last did; `None`: everything does.
    pub failure: Option<Failure>,
}

/// What did not reach a receiver.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// Notices that were refused or given up.
    pub lost: u64,
    /// When the first of them was, by the wall clock.
    pub since: Timestamp,
    /// Why the last of them was; never holds a secret.
    pub reason: Option<String>,
}

/// What is told of a receiver who is not reached.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct DeliveryFacts {
    /// Its name.
    pub receiver: String,
    /// Notices that were refused or given up since it was last reached.
    pub lost: u64,
    /// When the first of them was, by the wall clock.
    pub since: Option<Timestamp>,
    /// Why the last of them was.
    pub reason: Option<String>,
    /// Others who are not reached either.
    pub others: Vec<String>,
}

/// A receiver under the rule.
pub(super) struct Judged<'a> {
    delivery: &'a Delivery,
    all: &'a [Delivery],
}

impl Judged<'_> {
    pub(super) fn fingerprint(&self) -> Fingerprint {
        fingerprint(DELIVERY_FAILED, &self.labels())
    }

    pub(super) fn condition(&self) -> Condition {
        match self.delivery.failure {
            Some(_) => Condition::Breach(SEVERITY),
            None => Condition::Clear,
        }
    }
}

/// Every receiver with what the rule says of it.
pub(super) fn judged(all: &[Delivery]) -> impl Iterator<Item = Judged<'_>> {
    all.iter().map(move |delivery| Judged { delivery, all })
}

/// Whether a record is of this alert.
pub(super) fn is_of(record: &AlertRecord) -> bool {
    record.rule == DELIVERY_FAILED
}

/// Who is not reached, by a record of this alert; `None` for any other record.
pub(super) fn unreached(record: &AlertRecord) -> Option<Vec<&str>> {
    let receiver = record.labels.get("receiver").filter(|_| is_of(record))?;
    let others = record.facts.delivery.iter().flat_map(|facts| &facts.others);
    Some(others.chain([receiver]).map(String::as_str).collect())
}

impl About for Judged<'_> {
    fn labels(&self) -> Labels {
        [
            ("alertname", DELIVERY_FAILED),
            ("receiver", &self.delivery.receiver),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    fn facts(&self) -> Facts {
        let failure = self.delivery.failure.as_ref();
        let others = self
            .all
            .iter()
            .filter(|other| other.failure.is_some() && other.receiver != self.delivery.receiver);
        Facts {
            delivery: Some(DeliveryFacts {
                receiver: self.delivery.receiver.clone(),
                lost: failure.map_or(0, |failure| failure.lost),
                since: failure.map(|failure| failure.since),
                reason: failure.and_then(|failure| failure.reason.clone()),
                others: others.map(|other| other.receiver.clone()).collect(),
            }),
            ..Facts::default()
        }
    }
}
