//! Targets that the history of a node speaks for: what it reaches in every other period, and what it reaches in one of
//! five.

use jiff::civil::Date;
use serde::Serialize;

use crate::catalog::Direction;
use crate::evaluate::{InstanceKey, Period};
use crate::report::NamedPeriod;
use crate::report::past::Past;

/// Closed periods that are looked at, at most.
const PERIODS: usize = 12;
/// Closed periods without which nothing is proposed.
const LEAST: usize = 3;
/// Periods with one a year before that it takes to speak of growth.
const LEAST_GROWTHS: usize = 2;
/// Share of periods that do not reach the stretch.
const STRETCH: f64 = 0.8;

/// Targets for a period to come.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Proposal {
    /// The period.
    pub period: NamedPeriod,
    /// What it reaches in every other period.
    pub median: f64,
    /// What it reaches in one of five.
    pub stretch: f64,
    /// Where both come from.
    pub basis: Basis,
    /// Closed periods with their values, the newest first.
    pub history: Vec<(String, f64)>,
}

/// Where a proposal comes from.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
#[serde(rename_all = "snake_case", tag = "basis")]
pub enum Basis {
    /// The same period a year before, grown as the latest periods have over theirs.
    LastYear {
        /// Its value.
        base: f64,
        /// Median growth: 0.3 for 30 %.
        growth: f64,
        /// Growth that one of five exceeds.
        stretch_growth: f64,
        /// Periods whose growth is known.
        periods: usize,
    },
    /// What a day brought in the closed periods, times the days of the period; of a level, the level.
    Recent {
        /// Closed periods.
        periods: usize,
        /// Days of the period that the target is for; `None` for a level.
        days: Option<i32>,
    },
}

/// Proposes targets for the period after the one that holds `today`.
pub(super) fn propose(past: &Past, key: &InstanceKey, today: Date, begins: Date) -> Option<Proposal> {
    let catalog = &past.catalog;
    let node = catalog.node(key.node);
    let calendar = catalog.calendar_of(node);
    let running = Period::containing(node.period, today, calendar);
    let next = Period::containing(node.period, running.end, calendar);
    let adds_up = catalog.accumulates(node.metric);
    let value = |period: &Period| {
        let is_whole = period.start >= begins && period.end <= today;
        past.value(key, period)
            .filter(|value| is_whole && value.is_finite())
    };
    let closed = past.closed(key, &running, begins, today, PERIODS);
    if closed.len() < LEAST {
        return None;
    }
    let stretch_at = if node.direction == Direction::Lower {
        1.0 - STRETCH
    } else {
        STRETCH
    };
    let growths: Vec<f64> = closed
        .iter()
        .take(PERIODS / 2)
        .filter_map(|(period, now)| {
            Some(now / value(&period.shifted(-1, calendar)).filter(|then| *then > 0.0)?)
        })
        .collect();
    let base = value(&next.shifted(-1, calendar)).filter(|base| *base > 0.0);
    let (median, stretch, basis) = match base {
        Some(base) if growths.len() >= LEAST_GROWTHS => {
            let [middle, most] = [0.5, stretch_at].map(|share| quantile(&growths, share));
            let basis = Basis::LastYear {
                base,
                growth: middle - 1.0,
                stretch_growth: most - 1.0,
                periods: growths.len(),
            };
            (base * middle, base * most, basis)
        }
        _ => {
            let days = |period: &Period| {
                let days = period.start.until(period.end).map_or(1, |span| span.get_days());
                adds_up.then_some(days.max(1))
            };
            let length = |period: &Period| days(period).map_or(1.0, f64::from);
            let rates: Vec<f64> = closed
                .iter()
                .map(|(period, value)| value / length(period))
                .collect();
            let [middle, most] = [0.5, stretch_at].map(|share| quantile(&rates, share) * length(&next));
            let basis = Basis::Recent {
                periods: rates.len(),
                days: days(&next),
            };
            (middle, most, basis)
        }
    };
    Some(Proposal {
        period: NamedPeriod::of(next, calendar),
        median,
        stretch,
        basis,
        history: closed
            .iter()
            .map(|(period, value)| (period.id(calendar), *value))
            .collect(),
    })
}

/// A quantile, linear between the values around it.
fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = share * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    low + (high - low) * at.fract()
}
