//! What a process serves that follows another: that it lives, how far it follows, and that it is not the one to ask.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

/// What everybody is told who asks for more.
const STANDBY: &str =
    "standby: this tautline does not lead; ask the one that does, or wait until this one takes over\n";

/// How far a process follows.
#[derive(Debug)]
pub struct Shown {
    /// Behind the last record that it has; below 0 before it has any.
    offset: AtomicI64,
    /// How many offsets are missing; below 0 while that is unknown.
    lag: AtomicI64,
}

impl Default for Shown {
    fn default() -> Shown {
        Shown {
            offset: AtomicI64::new(-1),
            lag: AtomicI64::new(-1),
        }
    }
}

impl Shown {
    /// Tells how far it follows.
    pub fn tell(&self, offset: Option<i64>, lag: Option<i64>) {
        self.offset.store(offset.unwrap_or(-1), Ordering::Relaxed);
        self.lag.store(lag.unwrap_or(-1), Ordering::Relaxed);
    }
}

/// Serves on `listener` until `stop` completes.
///
/// # Errors
/// When the listener fails for good.
pub async fn run(
    listener: TcpListener,
    shown: Arc<Shown>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let router = Router::new()
        .route("/-/healthy", get(async || "tautline is healthy.\n"))
        .route("/metrics", get(async move || metrics(&shown)))
        .fallback(async || (StatusCode::SERVICE_UNAVAILABLE, STANDBY));
    axum::serve(listener, router).with_graceful_shutdown(stop).await
}

fn metrics(shown: &Shown) -> Response {
    let mut text =
        "# HELP tautline_replica_leads Whether this process leads those that keep the state together.\n\
                    # TYPE tautline_replica_leads gauge\ntautline_replica_leads 0\n"
            .to_owned();
    for (name, help, value) in [
        (
            "offset",
            "Offset of the state's topic behind the last record that this process has.",
            &shown.offset,
        ),
        (
            "lag_records",
            "Offsets of the state's topic that this process does not have yet.",
            &shown.lag,
        ),
    ] {
        let value = value.load(Ordering::Relaxed);
        if value >= 0 {
            text.push_str(&format!(
                "# HELP tautline_replica_{name} {help}\n# TYPE tautline_replica_{name} gauge\ntautline_replica_{name} {value}\n"
            ));
        }
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}
