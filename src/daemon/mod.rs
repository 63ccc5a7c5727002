//! The daemon: starts tasks and wires channels. The only place, besides the command line, that knows everybody.
//!
//! * [`reader`]: fold threads, each with its [`partitions`]. [`folder`]: what they fold with.
//! * [`backfill`]: records of the past, read again for definitions that are new.
//! * [`door`]: folds what is sent over HTTP.
//! * [`evaluator`]: the one thread that merges, judges and commits.
//! * [`barrier`]: nobody is told before history is read, or before that takes too long.
//! * [`pipeline`]: both together, over one catalogue and one set of partitions.
//! * [`publisher`]: what the server shows, and changes of health said once.
//! * [`discovery`]: watches which partitions there are.
//! * [`alert_log`]: brings what was decided and told to a topic. [`replicas`]: several processes that keep one state.
//! * [`history`]: folds what does not come from Kafka.
//! * [`replay`]: history through the same core, day by day of arrival.
//! * [`dead_letter`]: the file of rejected events. [`clock`]: the only clock.

mod alert_log;
mod backfill;
mod barrier;
pub mod clock;
pub mod dead_letter;
mod discovery;
mod door;
pub(crate) mod evaluator;
pub(crate) mod folder;
pub(crate) mod heartbeats;
pub mod history;
mod partitions;
mod pipeline;
mod publisher;
mod reader;
pub mod replay;
pub mod replicas;
pub(crate) mod rhythms;
mod supervisor;

pub use clock::{Clock, SystemClock};
pub use evaluator::Report;
pub use supervisor::{Daemon, Options};
