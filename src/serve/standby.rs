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
const STANDBY: &str = "standby: another tautline leads; ask that one, or wait until this one takes over\n";

/// How far a process follows: behind the last record that it has, below 0 before it has any.
pub type Followed = Arc<AtomicI64>;

/// Serves on `listener` until `stop` completes.
///
/// # Errors
/// When the listener fails for good.
pub async fn run(
    listener: TcpListener,
    followed: Followed,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let router = Router::new()
        .route("/-/healthy", get(async || "tautline is healthy.\n"))
        .route(
            "/metrics",
            get(async move || metrics(followed.load(Ordering::Relaxed))),
        )
        .fallback(async || (StatusCode::SERVICE_UNAVAILABLE, STANDBY));
    axum::serve(listener, router).with_graceful_shutdown(stop).await
}

fn metrics(followed: i64) -> Response {
    let mut text =
        "# HELP tautline_replica_leads Whether this process leads those that keep the state together.\n\
                    # TYPE tautline_replica_leads gauge\ntautline_replica_leads 0\n"
            .to_owned();
    if followed >= 0 {
        text.push_str(&format!(
            "# HELP tautline_replica_offset Offset of the state's topic behind the last record that this process has.\n\
             # TYPE tautline_replica_offset gauge\ntautline_replica_offset {followed}\n"
        ));
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}
