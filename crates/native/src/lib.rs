//! What tautline does below safe Rust. tautline itself forbids unsafe code; what cannot do without it stands here, behind
//! functions that are safe to call, each module with one job.
//!
//! * [`batch`]: records of Kafka, a batch at a time.
//! * [`marks`]: the quotes and backslashes of a document, found by vectors.

pub mod batch;
pub mod marks;
