//! How silent every source is, look by look of the evaluator.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::heartbeats::Heartbeats;
use crate::catalog::{Catalog, SourceId};
use crate::evaluate::drift::days_of;
use crate::evaluate::drift::link::Days;
use crate::evaluate::silence::{Look, Silence, Silent};

/// The silence of every source, by [`SourceId`].
pub(super) struct Silences {
    catalog: Arc<Catalog>,
    silences: Vec<Silence>,
    /// Of which something came since the last look.
    heard: Vec<bool>,
    heartbeats: Arc<Heartbeats>,
    every: SignedDuration,
    /// On which days silence says nothing.
    days: Days,
    /// Whether the state has what is here.
    is_kept: bool,
}

impl Silences {
    /// Goes on from what the state knows; one look `every` so often.
    pub(super) fn new(
        catalog: Arc<Catalog>,
        silences: Vec<Silence>,
        heartbeats: Arc<Heartbeats>,
        every: Duration,
    ) -> Silences {
        Silences {
            heard: vec![false; silences.len()],
            days: days_of(&catalog.calendar),
            every: SignedDuration::try_from(every).unwrap_or(SignedDuration::MAX),
            is_kept: true,
            catalog,
            silences,
            heartbeats,
        }
    }

    /// Something came of a source.
    pub(super) fn hear(&mut self, source: SourceId) {
        self.heard[source.0 as usize] = true;
    }

    /// Looks at every source; `could_hear`: whether something could have come of it.
    pub(super) fn look(&mut self, now: Timestamp, could_hear: impl Fn(SourceId) -> bool) -> Vec<Silent> {
        let Silences {
            catalog,
            silences,
            heard,
            heartbeats,
            every,
            days,
            is_kept,
        } = self;
        let sources = (0..).map(SourceId).zip(&catalog.sources);
        let looked = sources
            .zip(silences)
            .zip(heard)
            .map(|(((id, source), silence), heard)| {
                let look = Look {
                    now,
                    heard: std::mem::take(heard) | heartbeats.take(id),
                    could_hear: could_hear(id),
                    every: *every,
                    timezone: &catalog.calendar.timezone,
                };
                *is_kept &= !silence.look(source, look, |day| days.is_unusual(day.0));
                silence.silent(source)
            });
        looked.collect()
    }

    /// What the state is to have, where that changed since [`Silences::kept`], or `anyway`.
    pub(super) fn to_keep(&self, anyway: bool) -> Option<String> {
        if self.is_kept && !anyway {
            return None;
        }
        let names = self.catalog.sources.iter().map(|source| source.name.as_str());
        let by_name: BTreeMap<&str, &Silence> = names.zip(&self.silences).collect();
        serde_json::to_string(&by_name).ok()
    }

    /// The state has it.
    pub(super) fn kept(&mut self) {
        self.is_kept = true;
    }
}
