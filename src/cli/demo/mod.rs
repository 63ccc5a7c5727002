//! `tautline demo`: an in-process Kafka mock, a simulated retail chain, the daemon, and a fake Slack. The daemon is the
//! real one, with settings and catalogue in files as a user would have them; only the clock follows the chain.

mod chain;
mod files;
mod stage;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use clap::Args;
use jiff::Timestamp;

use crate::daemon::Clock;

/// Arguments of `demo`.
#[derive(Args, Debug)]
pub(super) struct DemoArgs {
    /// Port of the page; 0 takes a free one
    #[arg(long, value_name = "N", default_value_t = 9464)]
    port: u16,
    /// End after the first delivered alert, with a summary
    #[arg(long)]
    once: bool,
}

/// Runs the demo until it is told to stop.
pub(super) fn demo(args: &DemoArgs) -> Result<(), String> {
    super::logging::start("warn");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start: {error}"))?;
    runtime.block_on(stage::play(args.port, args.once))
}

/// The clock of the chain: moved by whoever plays the events.
#[derive(Default)]
struct ChainClock {
    now_ms: AtomicI64,
}

impl ChainClock {
    fn starting_at(start: Timestamp) -> Arc<ChainClock> {
        Arc::new(ChainClock {
            now_ms: AtomicI64::new(start.as_millisecond()),
        })
    }

    fn set(&self, now: Timestamp) {
        self.now_ms.store(now.as_millisecond(), Ordering::Relaxed);
    }
}

impl Clock for ChainClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.now_ms.load(Ordering::Relaxed)).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}
