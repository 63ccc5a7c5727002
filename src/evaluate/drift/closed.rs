//! What was known of a link as months closed: enough to say how it was then, and how it has changed.

use std::collections::VecDeque;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::date;
use super::link::date_of;
use crate::evaluate::snapshot::LinkState;

/// Closes of months that are kept: three years, and the one before.
const KEPT: usize = 37;

/// A link as a month closed.
#[derive(Clone, PartialEq, Debug)]
pub struct ClosedLink {
    /// The last day of the month.
    pub day: Date,
    /// What was known of it then; findings are not kept.
    pub link: LinkState,
}

/// The same in few bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Packed {
    day: i32,
    scores: [f32; 7],
    parent_gap: Option<f32>,
    strength: Option<f32>,
    lag_days: Option<f32>,
    elasticity: Option<f32>,
    judged_days: u32,
}

/// Closes of months, oldest first.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
pub(super) struct Closes(VecDeque<Packed>);

impl Closes {
    /// Takes a day close; only the last days of months are kept.
    pub(super) fn add(&mut self, day: i32, state: &LinkState) {
        let date = date_of(day);
        if date.day() != date.days_in_month() {
            return;
        }
        let packed = |value: Option<f64>| value.map(|value| value as f32);
        self.0.push_back(Packed {
            day,
            scores: state.scores.map(|score| score as f32),
            parent_gap: packed(state.parent_gap),
            strength: packed(state.strength),
            lag_days: packed(state.lag_days),
            elasticity: packed(state.elasticity),
            judged_days: state.judged_days,
        });
        if self.0.len() > KEPT {
            self.0.pop_front();
        }
    }

    /// The last one by the end of a day.
    pub(super) fn by(&self, day: i32) -> Option<ClosedLink> {
        let packed = self.0.iter().rev().find(|close| close.day <= day)?;
        let value = |value: Option<f32>| value.map(f64::from);
        Some(ClosedLink {
            day: date(packed.day)?,
            link: LinkState {
                findings: Vec::new(),
                scores: packed.scores.map(f64::from),
                sure: None,
                parent_gap: value(packed.parent_gap),
                strength: value(packed.strength),
                lag_days: value(packed.lag_days),
                elasticity: value(packed.elasticity),
                ranges: None,
                judged_days: packed.judged_days,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan;

    use super::super::link::day_of;
    use super::*;

    #[test]
    fn months_are_kept_for_three_years_and_found_by_any_later_day() {
        let first = jiff::civil::date(2022, 1, 1);
        let mut closes = Closes::default();
        for ago in 0..1500 {
            let day = day_of(first) + ago;
            let state = LinkState {
                strength: Some(f64::from(ago) / 2048.0),
                judged_days: ago as u32,
                ..LinkState::default()
            };
            closes.add(day, &state);
        }
        assert_eq!(closes.0.len(), KEPT);
        let by = |date: Date| closes.by(day_of(date));
        let may = by(jiff::civil::date(2025, 6, 29)).unwrap();
        assert_eq!(may.day, jiff::civil::date(2025, 5, 31));
        let days = (may.day - first).get_days();
        assert_eq!(
            (may.link.judged_days, may.link.strength),
            (days as u32, Some(f64::from(days) / 2048.0))
        );
        assert_eq!(by(may.day).map(|close| close.day), Some(may.day));
        let before = by(may.day.saturating_sub(1.day()));
        assert_eq!(
            before.map(|close| close.day),
            Some(jiff::civil::date(2025, 4, 30))
        );
        assert_eq!(by(jiff::civil::date(2022, 12, 31)), None, "forgotten");
    }
}
