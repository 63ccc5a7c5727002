//! Alert: the state machine that turns judgements into episodes and notices. Pure: time is an argument.
//!
//! * [`sample`]: what evaluation hands over: the judgement of one rule on one identity.
//! * [`record`]: what is kept of one alert identity, and persisted.
//! * `transition`: the state machine: one record, one judgement, one moment.
//! * [`dispatch`]: who is told what, and when: routes, groups, silences, escalation.
//! * [`engine`]: all records, stepped together; `book` keeps them.
//! * [`delivery`]: the alert about a receiver whom notices do not reach; `rule_error`: about a rule that fails;
//!   `crowd`: about one with more alerts than are kept.
//! * [`notice`]: one thing to tell one receiver about an episode.
//! * [`causes`]: where most of the distance comes from that an alert is about.
//! * [`judge`]: what a rule says of a node or a link; `round`: which rules are asked about which of them at a step.
//! * `feed_standing`: how the sources stand that nodes are computed from.
//! * [`identity`]: fingerprints and ids.

pub mod causes;
pub mod delivery;
pub mod dispatch;
pub mod engine;
mod feed_standing;
pub mod identity;
pub mod judge;
pub mod notice;
pub mod record;
pub mod sample;
pub mod shared;
pub mod source;

mod asked;
mod book;
mod business;
mod crowd;
mod policy;
mod round;
mod rule_error;
mod transition;

pub use book::RETENTION;
pub use crowd::TOO_MANY_ALERTS;
pub use rule_error::RULE_ERROR;
pub use transition::{FIRED_MAX, HISTORY_WINDOW};

#[cfg(test)]
mod tests;
