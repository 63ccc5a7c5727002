//! Proposals as people read them: with titles, and who answers.

use serde::{Deserialize, Serialize};

use super::book::Proposal;
use crate::catalog::Catalog;

/// A proposal with the titles of its nodes.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Titled {
    /// Title of the parent.
    pub title: String,
    /// Who answers for the parent.
    pub owner: Option<String>,
    /// Titles of the KPIs, in the order of the lines.
    pub titles: Vec<String>,
    /// What was proposed.
    #[serde(flatten)]
    pub proposal: Proposal,
}

impl Titled {
    /// With names in place of titles, where there is no catalogue at hand.
    pub fn untitled(proposal: &Proposal) -> Titled {
        Titled {
            title: proposal.parent.clone(),
            owner: None,
            titles: proposal.lines.iter().map(|line| line.node.clone()).collect(),
            proposal: proposal.clone(),
        }
    }

    /// With the titles of a catalogue; a node that it does not have any more goes by its name.
    pub fn of(catalog: &Catalog, proposal: &Proposal) -> Titled {
        let title = |name: &String| {
            let node = catalog.node_named(name);
            node.map_or_else(|| name.clone(), |node| catalog.node(node).title.clone())
        };
        let parent = catalog.node_named(&proposal.parent);
        Titled {
            title: title(&proposal.parent),
            owner: parent.and_then(|node| catalog.node(node).owner.clone()),
            titles: proposal.lines.iter().map(|line| title(&line.node)).collect(),
            proposal: proposal.clone(),
        }
    }
}
