//! Evaluate: one place where partials are merged and a [`Snapshot`] is computed at a watermark. Pure: no I/O, no clock.

pub mod snapshot;

pub use snapshot::*;
