//! Forecasts as they were made in the course of the history, against what came.

use jiff::Timestamp;
use jiff::civil::Date;

use super::Replay;
use crate::evaluate::{InstanceKey, Period, Snapshot};

/// Shares of a period at which its forecasts are looked at.
const SHARES: [f64; 3] = [0.25, 0.5, 0.75];

/// A forecast of the history, by what had arrived when a day closed.
#[derive(Clone, PartialEq, Debug)]
pub struct Foretold {
    /// Of which instance.
    pub key: InstanceKey,
    /// Of which period.
    pub period: Period,
    /// The share of the period that had just passed: 0.25, 0.5 or 0.75.
    pub share: f64,
    /// The day that closed: the first one by whose end that share had passed.
    pub made: Date,
    /// Share of the period that had really passed by then, in whole days.
    pub elapsed: f64,
    /// Value of the period so far.
    pub value: f64,
    /// Projected value at the period's end.
    pub forecast: f64,
    /// The range in which the outcome lies four times in five; `None` with too little history.
    pub range80: Option<(f64, f64)>,
    /// What came, with what arrived late; `None` while the period runs.
    pub outcome: Option<f64>,
    is_settled: bool,
}

impl Foretold {
    /// Error of a forecast as a share of what came; `None` where nothing came, or is not known yet.
    pub fn error(&self, forecast: f64) -> Option<f64> {
        let outcome = self.outcome.filter(|outcome| *outcome != 0.0)?;
        Some(((forecast - outcome) / outcome).abs())
    }
}

/// Takes down the forecasts of a snapshot that was taken as the day of `at` closed.
pub(super) fn take_down(replay: &mut Replay, snapshot: &Snapshot, at: Timestamp) {
    let Some(known) = &mut replay.foretold else { return };
    let made = replay.catalog.calendar.day_of(at);
    for state in snapshot.instances.iter() {
        let days = |to: Date| state.period.start.until(to).map_or(0, |span| span.get_days());
        let (passed, all) = (days(made) + 1, days(state.period.end));
        let (Some(value), Some(forecast)) = (state.value, state.forecast) else {
            continue;
        };
        let now = |share: &f64| passed < all && passed == (share * f64::from(all)).ceil() as i32;
        known.extend(SHARES.into_iter().filter(now).map(|share| Foretold {
            key: state.key.clone(),
            period: state.period,
            share,
            made,
            elapsed: f64::from(passed) / f64::from(all),
            value,
            forecast,
            range80: state.range80(),
            outcome: None,
            is_settled: false,
        }));
    }
}

/// Says what came of those whose first day is before `from`: their days are let go.
pub(super) fn settle(replay: &mut Replay, from: Date) {
    settle_where(replay, |one| one.period.start < from);
}

/// Says what came of those whose period is over when `today` closes.
pub(super) fn settle_over(replay: &mut Replay, today: Date) {
    settle_where(replay, |one| {
        one.period.end.yesterday().is_ok_and(|last| last <= today)
    });
}

fn settle_where(replay: &mut Replay, is_due: impl Fn(&Foretold) -> bool) {
    let Replay {
        foretold: Some(known),
        evaluator,
        cells,
        ..
    } = replay
    else {
        return;
    };
    for one in known.iter_mut().filter(|one| !one.is_settled && is_due(one)) {
        one.outcome = evaluator.final_value(cells, &one.key, &one.period);
        one.is_settled = true;
    }
}
