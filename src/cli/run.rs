//! `tautline run`: the daemon.

use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

use super::{load_all, logging};
use crate::daemon::{Daemon, Options, SystemClock};
use crate::serve::ReloadRequest;
use crate::settings;
use crate::state::Store;

pub(super) fn run(config: Option<&Path>) -> Result<(), String> {
    let (settings, catalog) = load_all(config).map_err(|diagnostics| diagnostics.to_string())?;
    logging::start("info");
    for warning in settings::doubts(&settings, &catalog) {
        tracing::warn!(place = %warning.place, message = warning.message, "settings");
    }
    let store = Store::open(&settings.state_sqlite).map_err(|error| error.to_string())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start: {error}"))?;
    runtime.block_on(async {
        // Before anything is served: who sees that it serves may ask it to end.
        let listen_for = |kind| signal(kind).map_err(|error| error.to_string());
        let mut terminate = listen_for(SignalKind::terminate())?;
        let mut interrupt = listen_for(SignalKind::interrupt())?;
        let mut hang_up = listen_for(SignalKind::hangup())?;
        let listener = TcpListener::bind(settings.serve.listen)
            .await
            .map_err(|error| format!("cannot listen on {}: {error}; set serve.listen", settings.serve.listen))?;
        tracing::info!(listen = %settings.serve.listen, state = %settings.state_sqlite.display(), "tautline starts");
        let options = Options { settings, catalog, store, clock: Arc::new(SystemClock), listener };
        let daemon = Daemon::start(options).await?;
        let reloads = daemon.reloads();
        tokio::spawn(async move {
            while hang_up.recv().await.is_some() {
                reload(&reloads).await;
            }
        });
        let stop = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        daemon.run_until(stop).await
    })
}

/// The supervisor logs how it went.
async fn reload(reloads: &mpsc::Sender<ReloadRequest>) {
    let (answer, answered) = oneshot::channel();
    if reloads.send(answer).await.is_ok() {
        let _ = answered.await;
    }
}
