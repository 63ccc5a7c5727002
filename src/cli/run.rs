//! `tautline run`: the daemon, alone or as one of several that keep one state.

use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};

use super::{load_all, logging};
use crate::daemon::replicas::{Loaded, Member};
use crate::daemon::{Daemon, Options, SystemClock};
use crate::serve::ReloadRequest;
use crate::settings;
use crate::state::Store;

/// Where reload requests go, while there is a daemon.
type Reloads = watch::Receiver<Option<mpsc::Sender<ReloadRequest>>>;

pub(super) fn run(config: Option<&Path>) -> Result<(), String> {
    let loaded = load_all(config).map_err(|diagnostics| diagnostics.to_string())?;
    logging::start("info");
    for warning in settings::doubts(&loaded.0, &loaded.1) {
        tracing::warn!(place = %warning.place, message = warning.message, "settings");
    }
    // A file that cannot be used is said before anything else begins.
    let store = match loaded.0.state_prefix {
        None => Some(Store::open(&loaded.0.state_sqlite).map_err(|error| error.to_string())?),
        Some(_) => None,
    };
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
        let (stop, stopping) = watch::channel(false);
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            stop.send_replace(true);
        });
        let (to_daemon, reloads) = watch::channel(None);
        tokio::spawn(async move {
            while hang_up.recv().await.is_some() {
                reload(&reloads).await;
            }
        });
        let listen = loaded.0.serve.listen;
        let listener = TcpListener::bind(listen)
            .await
            .map_err(|error| format!("cannot listen on {listen}: {error}; set serve.listen"))?;
        tracing::info!(%listen, state = %loaded.0.state_sqlite.display(), "tautline starts");
        match store {
            Some(store) => alone(loaded, store, listener, to_daemon, stopping).await,
            None => among_several(loaded, listener, to_daemon, stopping).await,
        }
    })
}

async fn alone(
    (settings, catalog): Loaded,
    store: Store,
    listener: TcpListener,
    to_daemon: watch::Sender<Option<mpsc::Sender<ReloadRequest>>>,
    mut stopping: watch::Receiver<bool>,
) -> Result<(), String> {
    let store = store.logging(settings.kafka.alert_log.is_some());
    let daemon = Daemon::start(Options {
        settings,
        catalog,
        store,
        clock: Arc::new(SystemClock),
        listener,
    })
    .await?;
    to_daemon.send_replace(Some(daemon.reloads()));
    let stop = async move {
        // A lost sender means that nobody can say it any more.
        let _ = stopping.wait_for(|stop| *stop).await;
    };
    daemon.run_until(stop).await
}

async fn among_several(
    loaded: Loaded,
    listener: TcpListener,
    to_daemon: watch::Sender<Option<mpsc::Sender<ReloadRequest>>>,
    stopping: watch::Receiver<bool>,
) -> Result<(), String> {
    let file = loaded.0.file.clone();
    let prefix = loaded.0.state_prefix.clone().unwrap_or_default();
    let listener = listener
        .into_std()
        .map_err(|error| format!("cannot listen: {error}"))?;
    let member = Member {
        loaded,
        load: Box::new(move || load_all(Some(&file)).map_err(|diagnostics| diagnostics.to_string())),
        prefix,
        clock: Arc::new(SystemClock),
        listener,
        reloads: to_daemon,
    };
    member.run(stopping).await
}

/// The supervisor logs how it went.
async fn reload(reloads: &Reloads) {
    let Some(reloads) = reloads.borrow().clone() else {
        tracing::info!("settings and catalogue are read again when this process leads");
        return;
    };
    let (answer, answered) = oneshot::channel();
    if reloads.send(answer).await.is_ok() {
        let _ = answered.await;
    }
}
