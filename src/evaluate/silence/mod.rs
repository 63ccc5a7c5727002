//! Silence of a source: for how long nothing has come of it, and whether that is too long.
//!
//! Only time counts in which something could have been heard: while the daemon is not running, a broker is away or older
//! records are still being read, the clock stands. How long is too long the catalogue says (`expected_interval`,
//! `stale_after`), or what is usual at that hour of the week, slot by slot of five minutes: a silence is told when chance
//! explains it less than once in a million times.

mod usual;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize, Serializer};

use crate::catalog::{Expected, Source};
use crate::fold::day::Day;
use usual::{After, Usual};

const SLOT_S: i64 = 300;
/// −log₁₀ of the probability of a silence at which it is told.
const TOLD: f64 = 6.0;
/// Of what it takes to be told, from which on a source is late.
const LATE: f64 = 0.5;
/// Longer steps between two looks are time in which nobody looked.
const LONGEST_STEP: SignedDuration = SignedDuration::from_secs(60);

/// How a source stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Freshness {
    /// It brings events as usual, or is as silent as it usually is.
    #[default]
    Live,
    /// It should have brought something.
    Late,
    /// It has been silent for too long: numbers made of it may lack events.
    Stale,
}

/// The end of a silence that was too long.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Back {
    /// When it ended.
    pub at: Timestamp,
    /// When something was last heard before it; `None` where nothing ever was.
    pub silent_from: Option<Timestamp>,
}

/// What is said of a silence.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize)]
pub struct Silent {
    /// How the source stands.
    pub freshness: Freshness,
    /// When something was last heard; `None` where nothing ever was.
    pub since: Option<Timestamp>,
    /// The end of the last silence that was too long, if there was one.
    #[serde(skip)]
    pub back: Option<Back>,
    /// For how long nothing was heard while something could have been; in JSON in seconds.
    #[serde(rename = "lasted_seconds", serialize_with = "in_seconds")]
    pub lasted: SignedDuration,
    /// The silence as a share of what it takes to be told; 0 where nothing is known to compare it with.
    pub share: f64,
    /// How often something is expected, where the catalogue says so; in JSON in seconds.
    #[serde(rename = "expected_seconds", serialize_with = "maybe_in_seconds")]
    pub expected: Option<SignedDuration>,
}

fn in_seconds<S: Serializer>(length: &SignedDuration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(length.as_secs_f64())
}

fn maybe_in_seconds<S: Serializer>(
    length: &Option<SignedDuration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    length.map(|length| length.as_secs_f64()).serialize(serializer)
}

/// One look at a source.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    /// The wall clock.
    pub now: Timestamp,
    /// Whether something came of it since the last look.
    pub heard: bool,
    /// Whether something could have been heard: it is read up to its end, and who brings it answers.
    pub could_hear: bool,
    /// Whether everything that has come of it by now is read.
    pub at_end: bool,
    /// The time between two looks, where nothing delays one.
    pub every: SignedDuration,
    /// Zone of hours and days.
    pub timezone: &'a TimeZone,
}

/// The silence of one source, over restarts.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Silence {
    heard_at: Option<Timestamp>,
    /// For how long nothing was heard, in seconds.
    lasted_s: f64,
    /// −log₁₀ of the probability of the running silence.
    evidence: f64,
    usual: Usual,
    /// Something came after it was stale, and more of it waits to be read.
    #[serde(default)]
    is_returning: bool,
    /// When it was last stale no more, and since when nothing had come before.
    #[serde(default)]
    back: Option<Back>,
    /// When something was last heard before it became stale.
    #[serde(default)]
    silent_from: Option<Timestamp>,
    #[serde(skip)]
    looked_at: Option<Timestamp>,
    #[serde(skip)]
    slot: Option<Slot>,
    /// What the last whole slot was.
    #[serde(skip)]
    after: Option<After>,
}

/// Five minutes of the clock.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Slot {
    /// Since the epoch.
    number: i64,
    heard: bool,
    /// Whether nobody looked away.
    whole: bool,
}

impl Silence {
    /// Takes in a look. `is_unusual`: on such a day silence says nothing. True where the state should be written soon.
    pub fn look(&mut self, source: &Source, look: Look<'_>, is_unusual: impl Fn(Day) -> bool) -> bool {
        let before = self.freshness(source);
        let step = self.looked_at.map(|last| look.now.duration_since(last));
        let longest = LONGEST_STEP.max(look.every * 3);
        let watched = look.could_hear && step.is_some_and(|step| !step.is_negative() && step <= longest);
        self.looked_at = look.could_hear.then_some(look.now);
        let closed = self.pass(source, look, watched, is_unusual);
        let was_returning = self.is_returning;
        if look.heard {
            if before == Freshness::Stale && !was_returning {
                self.silent_from = self.heard_at;
            }
            self.is_returning = before == Freshness::Stale;
            self.heard_at = Some(look.now);
        }
        // What waited while it was stale is read first: until then numbers lack events as they did before.
        let is_back = self.is_returning && look.at_end;
        if is_back {
            self.back = Some(Back {
                at: look.now,
                silent_from: self.silent_from,
            });
        }
        if is_back || (look.heard && !self.is_returning) {
            self.is_returning = false;
            self.lasted_s = 0.0;
            self.evidence = 0.0;
        } else if let (true, Some(step)) = (watched, step) {
            self.lasted_s += step.as_secs_f64();
        }
        closed || self.freshness(source) != before || self.is_returning != was_returning
    }

    /// When something was last heard, if ever.
    pub fn heard_at(&self) -> Option<Timestamp> {
        self.heard_at
    }

    /// What is said of it.
    pub fn silent(&self, source: &Source) -> Silent {
        let lasted = SignedDuration::from_millis((self.lasted_s * 1000.0) as i64);
        let share = match (source.stale_after(), source.expected_interval) {
            (Some(after), _) => self.lasted_s / after.as_secs_f64().max(1.0),
            (None, Expected::Learned) if self.usual.is_warm() => self.evidence / TOLD,
            (None, _) => 0.0,
        };
        let late = match source.expected_interval {
            Expected::Every(interval) => lasted > interval,
            Expected::Learned | Expected::Never => share >= LATE,
        };
        Silent {
            freshness: match late {
                _ if share >= 1.0 => Freshness::Stale,
                true => Freshness::Late,
                false => Freshness::Live,
            },
            since: self.heard_at,
            back: self.back,
            lasted,
            share,
            expected: match source.expected_interval {
                Expected::Every(interval) => Some(interval),
                Expected::Learned | Expected::Never => None,
            },
        }
    }

    fn freshness(&self, source: &Source) -> Freshness {
        self.silent(source).freshness
    }

    /// Moves on to the slot of a look, after closing the one before. True when one was closed.
    fn pass(
        &mut self,
        source: &Source,
        look: Look<'_>,
        watched: bool,
        is_unusual: impl Fn(Day) -> bool,
    ) -> bool {
        let number = look.now.as_second().div_euclid(SLOT_S);
        if let Some(slot) = self.slot.as_mut().filter(|slot| slot.number == number) {
            slot.heard |= look.heard;
            slot.whole &= watched;
            return false;
        }
        let next = Slot {
            number,
            heard: look.heard,
            whole: watched,
        };
        let Some(slot) = self.slot.replace(next) else {
            return false;
        };
        let is_whole = slot.whole && watched && slot.number + 1 == number;
        let before = self.after.take();
        if !is_whole {
            return false;
        }
        self.after = Some(if slot.heard {
            After::Something
        } else {
            After::Silence
        });
        let began = Timestamp::from_second(slot.number * SLOT_S).unwrap_or(look.now);
        let local = look.timezone.to_datetime(began);
        if is_unusual(Day::of(local.date())) {
            return true;
        }
        let hour = local.weekday().to_monday_zero_offset() as usize * 24 + local.hour() as usize;
        let Some(before) = before else { return true };
        if !slot.heard {
            self.evidence -= self.usual.probability(hour, before).log10();
        }
        // What is told as too long does not become usual.
        if slot.heard || self.freshness(source) != Freshness::Stale {
            self.usual.add(hour, before, !slot.heard);
        }
        true
    }
}

#[cfg(test)]
mod tests;
