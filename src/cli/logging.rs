//! Logs are events with fields, on stderr: readable on a terminal, JSON otherwise.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Starts logging at `default` level; `TAUTLINE_LOG` overrides it (`debug`, `tautline::alert=trace`, …).
pub(super) fn start(default: &str) {
    let filter = EnvFilter::try_from_env("TAUTLINE_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false);
    // A logger that is there already (in tests) stays.
    let _ = if std::io::stderr().is_terminal() {
        builder.compact().try_init()
    } else {
        builder.json().flatten_event(true).try_init()
    };
}
