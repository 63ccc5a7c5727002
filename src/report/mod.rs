//! Reports: what was, in words and numbers that a manager reads. Made from the state file and the catalogue by the code
//! that the daemon judges with, so that a report and a message never disagree.
//!
//! * [`past`]: the state as it was at any moment since its first event.
//! * [`explain`]: every number behind a node's state. [`review`]: the review (复盘) of a closed period.

pub mod explain;
pub mod past;
pub mod review;
#[cfg(test)]
mod world;
