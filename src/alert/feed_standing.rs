//! How the sources stand that nodes are computed from: what a stale one leaves of a number says nothing of the business.

use jiff::{SignedDuration, civil};

use crate::catalog::{Catalog, SourceId};
use crate::evaluate::silence::{Freshness, Silent};
use crate::evaluate::{NodeState, Snapshot};

/// How the sources stand that a node is computed from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum FeedStanding {
    /// None of them is known to be broken.
    Fine,
    /// One was stale, and no day has closed since.
    Back {
        /// The day on which something had come before; `None` where nothing ever had.
        silent_from: Option<civil::Date>,
    },
    /// One is stale.
    Stale,
}

/// That by node; empty where all are fine.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct FeedStandings(Vec<FeedStanding>);

impl FeedStandings {
    /// At the watermark of a snapshot.
    pub(super) fn of(catalog: &Catalog, snapshot: &Snapshot) -> FeedStandings {
        let of_source = |silent: &Silent| {
            if silent.freshness == Freshness::Stale {
                return FeedStanding::Stale;
            }
            let calendar = &catalog.calendar;
            let Some((back, watermark)) = silent.back.zip(snapshot.watermark) else {
                return FeedStanding::Fine;
            };
            let next = calendar.day_of(back.at).tomorrow();
            let closes = next.map(|next| calendar.start_of(next) - SignedDuration::from_millis(1));
            match closes {
                Ok(closes) if watermark < closes => FeedStanding::Back {
                    silent_from: back.silent_from.map(|from| calendar.day_of(from)),
                },
                _ => FeedStanding::Fine,
            }
        };
        let sources = (0..).map(SourceId).zip(&snapshot.intake);
        let broken: Vec<(SourceId, FeedStanding)> = sources
            .map(|(id, recent)| (id, of_source(&recent.silent)))
            .filter(|(_, standing)| *standing != FeedStanding::Fine)
            .collect();
        if broken.is_empty() {
            return FeedStandings(Vec::new());
        }
        let standing = |metric| {
            let read = broken
                .iter()
                .filter(|(source, _)| catalog.is_made_from(metric, *source));
            read.map(|(_, standing)| *standing)
                .max()
                .unwrap_or(FeedStanding::Fine)
        };
        FeedStandings(catalog.nodes.iter().map(|node| standing(node.metric)).collect())
    }

    /// That of an instance's node.
    pub(super) fn of_node(&self, state: &NodeState) -> FeedStanding {
        let standing = self.0.get(state.key.node.0 as usize);
        standing.copied().unwrap_or(FeedStanding::Fine)
    }
}
