//! Weights that wait for somebody to decide: each proposal is told once, to who answers for the business.

use serde::{Deserialize, Serialize};

use super::route::Routing;
use crate::alert::record::{AlertRecord, Labels};
use crate::catalog::Severity;
use crate::evaluate::weights::{Proposal, Titled};

/// Name and kind by which matchers know a proposal.
pub const WEIGHTS_PROPOSED: &str = "weights_proposed";

/// What is remembered of a proposal that waits for a decision.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Asked {
    /// Name of the parent.
    parent: String,
    /// Name of the closed period.
    closed: String,
    /// Who is still to be told of it.
    pub(super) waits: Vec<Waits>,
}

/// Somebody who is to be told.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Waits {
    /// Name of the receiver.
    pub(super) receiver: String,
    /// The route whose times hold.
    pub(super) route: String,
}

impl Asked {
    /// Whom a proposal is to be told: the owner where people know them, else where the routes lead. `None`: nobody.
    pub(super) fn of(proposal: &Titled, routing: &Routing) -> Option<Asked> {
        let destinations = routing.destinations(&as_alert(proposal));
        let first = destinations.first()?;
        let owner = proposal.owner.as_ref();
        let waits = match owner.and_then(|owner| routing.people.get(owner)) {
            Some(person) => vec![Waits {
                receiver: person.receiver.clone(),
                route: first.route.id.clone(),
            }],
            None => destinations
                .iter()
                .map(|destination| Waits {
                    receiver: destination.receiver.clone(),
                    route: destination.route.id.clone(),
                })
                .collect(),
        };
        Some(Asked {
            parent: proposal.proposal.parent.clone(),
            closed: proposal.proposal.closed.clone(),
            waits,
        })
    }

    /// Whether it is about this proposal.
    pub(super) fn is_of(&self, proposal: &Proposal) -> bool {
        self.parent == proposal.parent && self.closed == proposal.closed
    }
}

/// A proposal as routes, silences and digests match it.
pub(super) fn as_alert(proposal: &Titled) -> AlertRecord {
    let mut labels: Labels = [
        ("alertname", WEIGHTS_PROPOSED),
        ("node", proposal.proposal.parent.as_str()),
        ("period", proposal.proposal.closed.as_str()),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    labels.extend(
        proposal
            .owner
            .iter()
            .map(|owner| ("owner".to_owned(), owner.clone())),
    );
    AlertRecord {
        rule: WEIGHTS_PROPOSED.to_owned(),
        kind: WEIGHTS_PROPOSED.to_owned(),
        labels,
        severity: Severity::INFO,
        fired_at: Some(proposal.proposal.at),
        ..AlertRecord::blank()
    }
}
