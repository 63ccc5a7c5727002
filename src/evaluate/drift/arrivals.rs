//! How late data comes, as forecasts are told of it: at which age the volume of days arrives. That a judged day waits for its data
//! is another matter, see [`super::health::Lateness`]: that learns within days, and forgets signs.

use serde::{Deserialize, Serialize};

use super::super::outlook::{AGES, Arrived};

/// How much of the shares a close teaches: half of them after eight.
const PACE: f64 = 0.08;

/// The share of what arrives in a day by the age of its day, in days. At first everything is believed to come in time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Arrivals([f32; AGES]);

impl Default for Arrivals {
    fn default() -> Arrivals {
        let mut shares = [0.0; AGES];
        shares[0] = 1.0;
        Arrivals(shares)
    }
}

impl Arrivals {
    /// Takes in what arrived between two closes that follow each other. A day on which most of what came was taken back says nothing.
    pub(super) fn learn(&mut self, by_age: &[f64; AGES]) {
        let volume: f64 = by_age.iter().sum();
        let seen = by_age.map(|arrived| arrived / volume);
        if volume > 0.0 && seen.iter().all(|share| (-1.0..=2.0).contains(share)) {
            for (share, seen) in self.0.iter_mut().zip(seen) {
                *share += (PACE * (seen - f64::from(*share))) as f32;
            }
        }
    }

    /// What is usual, where days are late.
    pub(super) fn usual(&self) -> Option<Arrived> {
        Arrived::of(&self.0.map(f64::from))
    }
}

/// What arrived since the last close, by the age of its day: `flow` is what each of the latest days has brought by now, `known` what
/// it had brought then.
pub(super) fn by_age(
    day: i32,
    first_day: i32,
    flow: &[Option<f64>],
    known: impl Fn(i32) -> f64,
) -> [f64; AGES] {
    let mut by_age = [0.0; AGES];
    for (ago, value) in flow.iter().rev().enumerate() {
        let of_day = day - ago as i32;
        if of_day < first_day {
            break;
        }
        if let Some(value) = value.filter(|value| value.is_finite()) {
            by_age[ago.min(AGES - 1)] += value - known(of_day);
        }
    }
    by_age
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What has come by the end of a day whose data is known to have come so, after so many closes.
    fn after(closes: usize, by_age: &[f64]) -> Option<Arrived> {
        let mut arrivals = Arrivals::default();
        let mut came = [0.0; AGES];
        came[..by_age.len()].copy_from_slice(by_age);
        (0..closes).for_each(|_| arrivals.learn(&came));
        arrivals.usual()
    }

    #[test]
    fn one_close_is_no_habit_and_twenty_are() {
        // A gap that is filled at once, and orders that are cancelled.
        assert_eq!(after(1, &[100.0, 100.0, 100.0, 100.0]), None);
        assert_eq!(after(1, &[100.0, -40.0, -40.0]), None);
        assert_eq!(after(20, &[300.0, -100.0, -100.0]), None);
        // Half of a day late by two days: 0.5 + 0.5 · 0.92²⁰ of it by its end.
        let mut expected = [0.0; AGES];
        expected[0] = 0.5 + 0.5 * 0.92f64.powi(20);
        expected[2] = 1.0 - expected[0];
        let (found, expected) = (after(20, &[50.0, 0.0, 50.0]), Arrived::of(&expected));
        assert!(format!("{found:.4?}") == format!("{expected:.4?}"), "{found:?}");
    }

    #[test]
    fn what_arrived_is_told_by_the_age_of_its_day() {
        let known = |day: i32| if day == 10 { 0.0 } else { 100.0 };
        let flow = [Some(7.0), None, Some(103.0), Some(98.0), Some(50.0)];
        let found = by_age(10, 7, &flow, known);
        assert_eq!(found[..3], [50.0, -2.0, 3.0]);
        assert_eq!(
            found[3..],
            [0.0; AGES - 3],
            "nothing is asked of days before the first"
        );
    }
}
