//! Alert: the state machine that turns judgements into episodes and notices. Pure: time is an argument.
//!
//! * [`record`]: what is kept of one alert identity, and persisted.
//! * [`notice`]: one thing to tell one receiver about an episode.

pub mod notice;
pub mod record;
