//! End-to-end tests on real parts: a Kafka broker, Prometheus, Alertmanager, kcat, Chromium, and the `tautline` binary as a user runs
//! it. `tests/parts` installs the parts; a part that is missing fails its tests.
//!
//! `parts` holds what starts and asks them; every other file is one promise of the daemon.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on fails"
)]
#![allow(clippy::print_stderr, reason = "what a test measured is worth a line")]

mod access;
mod alert;
mod alert_log;
mod alertmanager;
mod amtool;
mod avro;
mod backfill;
mod bounds;
mod broker_loss;
mod catchup;
mod channels;
mod check;
mod copies;
mod correction;
mod demo;
mod discover;
mod entries;
mod every_type;
mod exactly_once;
mod harness;
mod history;
mod ingest;
mod items;
mod kcat;
mod many;
mod newcomer;
mod openapi;
mod parts;
mod poison;
mod prometheus;
mod reload;
mod replicas;
mod routes;
mod rules;
mod secrets;
mod silence;
mod slack_bot;
mod slack_down;
mod tree;
mod weights;
