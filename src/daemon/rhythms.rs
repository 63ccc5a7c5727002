//! How silent every source is, and how busy, look by look of the evaluator.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::heartbeats::Heartbeats;
use super::pipeline::by_source;
use crate::catalog::{Catalog, SourceId};
use crate::evaluate::drift::days_of;
use crate::evaluate::drift::link::Days;
use crate::evaluate::silence::{Look, Silence, Silent};
use crate::evaluate::surge::{Rush, Surge};
use crate::fold::day::Day;

/// What is known of how often a source brings something.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Rhythm {
    silence: Silence,
    surge: Surge,
    /// Whether something came since the last look.
    #[serde(skip)]
    heard: bool,
    /// Events that did.
    #[serde(skip)]
    events: u64,
    /// Whether something could have come at the last look.
    #[serde(skip)]
    could_hear: bool,
}

/// The rhythm of every source, by [`SourceId`].
pub(crate) struct Rhythms {
    catalog: Arc<Catalog>,
    rhythms: Vec<Rhythm>,
    heartbeats: Arc<Heartbeats>,
    every: SignedDuration,
    /// On which days silence says nothing.
    days: Days,
    /// Whether the state has what is here.
    is_kept: bool,
}

impl Rhythms {
    /// Goes on from what the state knows; one look `every` so often.
    pub(crate) fn restore(
        catalog: Arc<Catalog>,
        kept: Option<&str>,
        heartbeats: Arc<Heartbeats>,
        every: Duration,
    ) -> Rhythms {
        Rhythms {
            rhythms: by_source(&catalog, kept),
            days: days_of(&catalog.calendar),
            every: SignedDuration::try_from(every).unwrap_or(SignedDuration::MAX),
            is_kept: true,
            catalog,
            heartbeats,
        }
    }

    /// Something came of a source.
    pub(crate) fn hear(&mut self, source: SourceId) {
        self.rhythms[source.0 as usize].heard = true;
    }

    /// So many events came of a source.
    pub(crate) fn count(&mut self, source: SourceId, events: u64) {
        self.rhythms[source.0 as usize].events += events;
    }

    /// Looks at every source; `could_hear`: whether something could have come of it.
    pub(crate) fn look(
        &mut self,
        now: Timestamp,
        could_hear: impl Fn(SourceId) -> bool,
    ) -> Vec<(Silent, Rush)> {
        let Rhythms {
            catalog,
            rhythms,
            heartbeats,
            every,
            days,
            is_kept,
        } = self;
        let sources = (0..).map(SourceId).zip(&catalog.sources);
        let looked = sources.zip(rhythms).map(|((id, source), rhythm)| {
            let timezone = &catalog.calendar.timezone;
            let could_hear = could_hear(id);
            let look = Look {
                now,
                heard: std::mem::take(&mut rhythm.heard) | heartbeats.take(id),
                could_hear,
                every: *every,
                timezone,
            };
            let is_unusual = |day: Day| days.is_unusual(day.0);
            *is_kept &= !rhythm.silence.look(source, look, is_unusual);
            let events = std::mem::take(&mut rhythm.events);
            let watched = could_hear && std::mem::replace(&mut rhythm.could_hear, could_hear);
            *is_kept &= !rhythm.surge.look((now, timezone), events, watched, is_unusual);
            (rhythm.silence.silent(source), rhythm.surge.rush())
        });
        looked.collect()
    }

    /// When sources count as stale if nothing comes of them, where the catalogue says so.
    pub(crate) fn stale_from<'a>(&'a self, sources: &'a [SourceId]) -> impl Iterator<Item = Timestamp> + 'a {
        sources.iter().filter_map(|id| {
            let after = self.catalog.source(*id).stale_after()?;
            let silence = &self.rhythms[id.0 as usize].silence;
            silence.heard_at()?.checked_add(after).ok()
        })
    }

    /// What the state is to have, where that changed since [`Rhythms::kept`], or `anyway`.
    pub(crate) fn to_keep(&self, anyway: bool) -> Option<String> {
        if self.is_kept && !anyway {
            return None;
        }
        let names = self.catalog.sources.iter().map(|source| source.name.as_str());
        let by_name: BTreeMap<&str, &Rhythm> = names.zip(&self.rhythms).collect();
        serde_json::to_string(&by_name).ok()
    }

    /// The state has it.
    pub(crate) fn kept(&mut self) {
        self.is_kept = true;
    }
}
