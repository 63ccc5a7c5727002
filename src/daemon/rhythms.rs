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
use crate::evaluate::silence::{Freshness, Look, Silence, Silent};
use crate::evaluate::surge::{Rush, Surge};
use crate::fold::day::Day;
use crate::source::watermark::Reach;

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
    #[serde(skip)]
    hearing: Hearing,
}

/// Whether something could be heard of a source: it was read up to its end, and is behind for a moment at most. A busy topic
/// always is for some of the looks.
#[derive(Default)]
struct Hearing {
    /// Since when it can be read.
    since: Option<Timestamp>,
    /// When it was last read up to its end, if it was since then.
    at_end: Option<Timestamp>,
}

/// How long it takes until the end of a partition that a broker told before it was away is told anew.
const SETTLED_AFTER: SignedDuration = SignedDuration::from_secs(5);
/// How long a source may be behind before what comes of it counts as what had waited.
const PATIENCE: SignedDuration = SignedDuration::from_secs(60);
/// How long after a silence that was too long what comes may have waited.
const RUSH_AFTER: SignedDuration = SignedDuration::from_hours(1);

impl Hearing {
    /// Takes in how far the source is read.
    fn look(&mut self, now: Timestamp, reach: Reach) -> bool {
        let since = *self.since.get_or_insert(now);
        match reach {
            Reach::Away => *self = Hearing::default(),
            Reach::Behind => self.at_end = self.at_end.filter(|at| now.duration_since(*at) <= PATIENCE),
            Reach::AtEnd => {
                let is_settled = self.at_end.is_some() || now.duration_since(since) >= SETTLED_AFTER;
                self.at_end = is_settled.then_some(now);
            }
            Reach::Pushed => self.at_end = Some(now),
        }
        self.at_end.is_some()
    }
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

    /// Looks at every source; `reach`: how far it is read.
    pub(crate) fn look(&mut self, now: Timestamp, reach: impl Fn(SourceId) -> Reach) -> Vec<(Silent, Rush)> {
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
            let reach = match heartbeats.are_known(id) {
                true => reach(id),
                false => Reach::Away,
            };
            let could_hear_before = rhythm.hearing.at_end.is_some();
            let could_hear = rhythm.hearing.look(now, reach);
            let look = Look {
                now,
                heard: std::mem::take(&mut rhythm.heard) | heartbeats.take(id),
                could_hear,
                at_end: could_hear && reach != Reach::Behind,
                every: *every,
                timezone,
            };
            let is_unusual = |day: Day| days.is_unusual(day.0);
            let was_stale = rhythm.silence.silent(source).freshness == Freshness::Stale;
            *is_kept &= !rhythm.silence.look(source, look, is_unusual);
            let events = std::mem::take(&mut rhythm.events);
            let silent = rhythm.silence.silent(source);
            // What waited while nobody brought it comes in a rush that says nothing, and need not come at once.
            let is_catching_up = was_stale
                || silent
                    .back
                    .is_some_and(|back| now.duration_since(back.at) < RUSH_AFTER);
            let watched = could_hear && could_hear_before && !is_catching_up;
            *is_kept &= !rhythm.surge.look((now, timezone), events, watched, is_unusual);
            (silent, rhythm.surge.rush())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_780_000_000 + seconds).unwrap()
    }

    #[test]
    fn a_busy_source_is_heard_although_it_is_behind_now_and_then() {
        let mut hearing = Hearing::default();
        let heard = |hearing: &mut Hearing, seconds, reach| hearing.look(at(seconds), reach);
        // At the start it is behind; then at its end, as soon as that is sure.
        assert!(!heard(&mut hearing, 0, Reach::Behind));
        assert!(!heard(&mut hearing, 4, Reach::AtEnd));
        assert!(heard(&mut hearing, 5, Reach::AtEnd));
        // A load that takes a while to be read.
        assert!((6..=65).all(|seconds| heard(&mut hearing, seconds, Reach::Behind)));
        assert!(!heard(&mut hearing, 66, Reach::Behind));
        assert!(heard(&mut hearing, 67, Reach::AtEnd));
        // After the broker was away its ends are those of before at first.
        assert!(!heard(&mut hearing, 68, Reach::Away));
        assert!(!heard(&mut hearing, 69, Reach::AtEnd));
        assert!(!heard(&mut hearing, 70, Reach::Behind));
        assert!(!heard(&mut hearing, 600, Reach::Behind));
        assert!(heard(&mut hearing, 601, Reach::AtEnd));
        assert!(heard(&mut Hearing::default(), 0, Reach::Pushed));
    }
}
