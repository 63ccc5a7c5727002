//! A schema registry as Confluent's answers: paths, content types, error bodies, basic authentication.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Router, serve};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::{free_port, runtime};

/// The password of the user `tautline`; it must be seen nowhere.
pub(crate) const PASSWORD: &str = "open-sesame-4711";
/// `tautline:open-sesame-4711` in Base64.
const AUTHORIZATION: &str = "Basic dGF1dGxpbmU6b3Blbi1zZXNhbWUtNDcxMQ==";
const KIND: &str = "application/vnd.schemaregistry.v1+json";

/// A registry that one test has for itself. It is down until it is started.
pub(crate) struct Registry {
    port: u16,
    shared: Arc<Shared>,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

#[derive(Default)]
struct Shared {
    schemas: Mutex<BTreeMap<u32, Value>>,
    fails: AtomicBool,
    asked: AtomicU64,
}

impl Registry {
    /// A registry with a port, on which nobody listens.
    pub(crate) fn down() -> Registry {
        Registry {
            port: free_port(),
            shared: Arc::default(),
            running: None,
        }
    }

    /// What stands in the settings, as the value of `schema_registry`.
    pub(crate) fn setting(&self) -> String {
        format!(
            "{{url: \"http://127.0.0.1:{}\", username: tautline, password: {PASSWORD}}}",
            self.port
        )
    }

    /// Its address.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Registers a schema, as a producer does before it writes.
    pub(crate) fn register(&self, id: u32, schema: &Value) {
        self.shared.schemas.lock().unwrap().insert(id, schema.clone());
    }

    /// Listens.
    pub(crate) fn start(&mut self) {
        let app = Router::new()
            .route("/schemas/ids/{id}", get(by_id))
            .with_state(self.shared.clone());
        let listener = runtime()
            .block_on(TcpListener::bind(("127.0.0.1", self.port)))
            .unwrap();
        let (stop, stopped) = oneshot::channel();
        let server = serve(listener, app).with_graceful_shutdown(async {
            let _ = stopped.await;
        });
        let task = runtime().spawn(async { server.await.unwrap() });
        self.running = Some((stop, task));
    }

    /// Listens no more, and closes what is open.
    pub(crate) fn stop(&mut self) {
        let (stop, task) = self.running.take().unwrap();
        stop.send(()).unwrap();
        runtime().block_on(task).unwrap();
    }

    /// Answers every request with an error of its own from now on, or no more.
    pub(crate) fn fails(&self, fails: bool) {
        self.shared.fails.store(fails, Ordering::Relaxed);
    }

    /// Requests so far.
    pub(crate) fn asked(&self) -> u64 {
        self.shared.asked.load(Ordering::Relaxed)
    }
}

async fn by_id(State(shared): State<Arc<Shared>>, Path(id): Path<u32>, headers: HeaderMap) -> Response {
    shared.asked.fetch_add(1, Ordering::Relaxed);
    let is = |name, value: &str| headers.get(name).is_some_and(|found| found == value);
    if !is(header::AUTHORIZATION, AUTHORIZATION) {
        return error(401, 401, "Unauthorized");
    }
    if shared.fails.load(Ordering::Relaxed) {
        return error(500, 50001, "Error in the backend datastore");
    }
    match shared.schemas.lock().unwrap().get(&id) {
        Some(schema) => answer(200, &json!({"schema": schema.to_string()})),
        None => error(404, 40403, &format!("Schema {id} not found")),
    }
}

fn error(status: u16, code: u32, message: &str) -> Response {
    answer(status, &json!({"error_code": code, "message": message}))
}

fn answer(status: u16, body: &Value) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    (status, [(header::CONTENT_TYPE, KIND)], body.to_string()).into_response()
}
