//! Fold: where the partition is read. Filter, pick the cells, update their partials: no shuffle, no lock, no clock.
//!
//! * [`partial`]: mergeable aggregates; order and partition do not matter to the result.
//! * `plan`: the catalogue compiled: which aggregates over which grouping sets each source feeds.
//! * `delta`: what one worker folded since it last handed over; merged where things are evaluated.

pub mod cells;
pub mod partial;
