//! Fold: where the partition is read. Filter, pick the cells, update their partials: no shuffle, no lock, no clock.
//!
//! * [`plan`]: the catalogue compiled: which columns over which grouping sets each source feeds.
//! * [`worker`]: what one thread folds; [`applied`]: which columns an event is for; [`delta`]: what it hands over.
//! * [`cells`]: everything merged, by series and day, where things are evaluated.
//! * [`partial`]: mergeable aggregates; order and partition do not matter to the result.
//!   [`distinct`] and [`quantiles`] are the larger ones.
//! * [`known`]: keys that came before, for those that are new.
//! * [`items`]: what is under way, and how long it lasted ([`durations`]).
//! * [`dedup`]: copies of an event are counted once.
//! * [`day`]: local days of event times. [`interner`]: dimension values as numbers.

mod applied;
pub mod cells;
mod change;
pub mod day;
pub mod dedup;
pub mod delta;
pub mod distinct;
pub mod durations;
pub mod interner;
pub mod items;
pub mod known;
mod oldest;
pub mod partial;
pub mod plan;
pub mod quantiles;
pub mod worker;

pub use partial::FoldError;

#[cfg(test)]
mod tests;
