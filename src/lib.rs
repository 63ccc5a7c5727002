//! tautline tells a company, in time, that its KPIs and its business have come apart.
//!
//! This page is the map. One business event walks through the modules like this:
//!
//! ```text
//! Kafka ─▶ source ─▶ decode ─▶ fold ─▶ evaluate ─▶ alert ─▶ outbox ─▶ notify ─▶ Slack
//!                                │         │           │        │
//!                                └─────────┴── state ──┴────────┘      serve: /metrics, page, API
//! ```
//!
//! * [`catalog`]: what the business declares: sources, metrics, nodes, rules; checked at load, errors with their place.
//! * [`source`]: where records come from (Kafka, HTTP), with topic, partition and offset.
//! * [`decode`]: bytes to an [`decode::Event`]: only the fields that the catalogue asks for, in one pass.
//! * [`fold`]: where the partition is read: filter, pick the cells, update their partials. No lock, no clock.
//! * [`evaluate`]: in one place: merges partials into a [`evaluate::Snapshot`] at a watermark.
//! * [`alert`]: the state machine that turns judgements into episodes; [`alert::dispatch`]: who is told of them, and when.
//! * [`state`]: offsets, partials, alert records and notices in one atomic commit; [`state::replica`]: one state that several
//!   processes keep.
//! * [`notify`]: drains the outbox, one queue a destination.
//! * [`serve`]: metrics, page and API, all read from the latest snapshot.
//! * [`discover`]: from a sample of a topic to the YAML of a source and its metrics.
//! * [`report`]: explanations and reviews, from the state and the catalogue.
//! * [`settings`]: what the operator sets. [`words`]: words and numbers for people, zh and en. [`cli`]: one file a
//!   command. [`daemon`]: starts tasks and wires channels.
//!
//! What cannot do without unsafe code stands in a crate of its own, `tautline-native` (in `crates/native`): records of Kafka in
//! batches, and the quotes of a JSON document found by vectors.
//!
//! `catalog`, `fold`, `evaluate` and `alert` are pure: they do no I/O, start no task and read no clock; time is an
//! argument. Dependencies point one way: `catalog ← fold ← evaluate ← alert`, edges depend on the core, and only
//! `daemon` and `cli` know everybody.

pub mod alert;
pub mod catalog;
pub mod cli;
pub mod daemon;
pub mod decode;
pub mod discover;
pub mod evaluate;
pub mod fixed;
pub mod fold;
pub mod notify;
pub mod report;
pub mod serve;
pub mod settings;
pub mod source;
pub mod state;
pub mod words;
