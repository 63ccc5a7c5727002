//! How often a source is silent, by the hour of the week: what silence has to be compared with.

use serde::{Deserialize, Serialize};

/// Hours of a week; hour 0 begins on Monday at midnight.
pub(super) const HOURS: usize = 168;
/// Slots of five minutes that make up four weeks.
const WARM: f32 = 28.0 * 288.0;
/// What is left after a slot of what was known of its hour: 4 % go a week, which has twelve slots of that hour.
const KEPT_A_SLOT: f32 = 0.9966;

/// Slots and silent ones, of one kind.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
struct Count(f32, f32);

impl Count {
    /// Silent ones as a share of all, with half a silent one more than was seen.
    fn share(self) -> f32 {
        (self.1 + 0.5) / (self.0 + 1.0)
    }

    fn add(&mut self, is_silent: bool) {
        self.0 = self.0 * KEPT_A_SLOT + 1.0;
        self.1 = self.1 * KEPT_A_SLOT + f32::from(u8::from(is_silent));
    }
}

/// What came before a slot: what follows silence is silent more often.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum After {
    /// Something came in the slot before.
    Something,
    /// Nothing did.
    Silence,
}

/// A Markov chain of slots, one for each hour of the week.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Usual {
    /// By the hour of the week; empty before anything is known.
    after_something: Vec<Count>,
    after_silence: Vec<Count>,
    /// Slots seen so far.
    seen: f32,
}

impl Usual {
    /// Whether enough was seen to say what is usual.
    pub(super) fn is_warm(&self) -> bool {
        self.seen >= WARM
    }

    /// Takes in a slot.
    pub(super) fn add(&mut self, hour: usize, after: After, is_silent: bool) {
        // Beyond this a float of this size would not count further, and nothing asks for more.
        self.seen = (self.seen + 1.0).min(10.0 * WARM);
        let counts = match after {
            After::Something => &mut self.after_something,
            After::Silence => &mut self.after_silence,
        };
        counts.resize(HOURS, Count::default());
        counts[hour].add(is_silent);
    }

    /// Probability that a slot is silent: that of its hour, and not less than that of all hours that are seldom silent
    /// together. An hour that never was silent only says that it is one of those: by itself it would count as surer than
    /// others by luck.
    pub(super) fn probability(&self, hour: usize, after: After) -> f64 {
        let counts = match after {
            After::Something => &self.after_something,
            After::Silence => &self.after_silence,
        };
        let own = counts.get(hour).copied().unwrap_or_default();
        let seldom = counts.iter().filter(|count| count.share() < 0.5);
        let all = seldom.fold(Count::default(), |all, count| {
            Count(all.0 + count.0, all.1 + count.1)
        });
        let own = if own.1 < 0.5 { all } else { own };
        f64::from(own.share().max(all.share())).min(1.0)
    }
}
