//! Fakes: the services that messages go to, to test against: real HTTP servers that keep a vendor's limits, answer with
//! its own error words, and can be told to misbehave.
//!
//! A process of its own can be asked over HTTP, too: `GET /messages` lists what was shown, `GET /requests` every
//! request, `POST /answers` takes a list of [`Scripted`] answers.
//!
//! One file a vendor says what it refuses: [`feishu`], [`dingtalk`], [`wecom`], [`teams`], [`slack_bot`], [`pagerduty`],
//! [`smtp`], [`alertmanager`], and [`program`] for webhooks; Slack's webhook is
//! [`super::fake_slack`]. `limits` is how they count.

pub mod alertmanager;
pub mod dingtalk;
pub mod feishu;
mod limits;
pub mod pagerduty;
pub mod program;
pub mod slack_bot;
pub mod smtp;
pub mod teams;
pub mod wecom;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

pub(super) use limits::Window;

/// A running fake; it ends when this is dropped.
pub struct Fake {
    address: SocketAddr,
    room: Arc<Room>,
    server: JoinHandle<()>,
}

/// What a vendor says to a request.
pub trait Vendor: Send {
    /// Judges a request by the vendor's rules.
    fn judge(&mut self, call: &Call) -> Verdict;

    /// The body of a good answer.
    fn good(&self) -> &'static str;
}

/// A request to a vendor.
#[derive(Debug)]
pub struct Call {
    /// Path of the address.
    pub path: String,
    /// Its query.
    pub query: BTreeMap<String, String>,
    /// Whether it says that it is JSON.
    pub is_json: bool,
    /// Its header `Authorization`.
    pub authorization: Option<String>,
    /// Headers that are text, by their names in small letters.
    pub headers: BTreeMap<String, String>,
    /// Its body.
    pub body: String,
    /// When it came, for limits.
    pub at: Instant,
    /// When it came, by the wall clock.
    pub received: Timestamp,
}

/// What a vendor says.
#[derive(Debug)]
pub struct Verdict {
    /// Status of the answer.
    pub status: u16,
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: String,
    /// What people see, if they see it.
    pub shows: Option<serde_json::Value>,
    /// Why it was refused, in more words than the vendor has.
    pub why: String,
}

impl Verdict {
    /// It is shown.
    pub fn good(body: &str, shows: serde_json::Value) -> Verdict {
        Verdict {
            status: 200,
            headers: Vec::new(),
            body: body.to_owned(),
            shows: Some(shows),
            why: String::new(),
        }
    }

    /// It is not shown.
    pub fn refused(status: u16, body: impl Into<String>, why: impl Into<String>) -> Verdict {
        Verdict {
            status,
            headers: Vec::new(),
            body: body.into(),
            shows: None,
            why: why.into(),
        }
    }
}

/// The clock that limits are counted by.
pub type Clock = Box<dyn Fn() -> Instant + Send + Sync>;

/// A message that was shown.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Message {
    /// When it arrived, by the wall clock.
    pub received: Timestamp,
    /// What was sent.
    pub payload: serde_json::Value,
}

/// A request and what was answered, refused ones too.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Request {
    /// When it arrived, by the wall clock.
    pub received: Timestamp,
    /// Status of the answer; 0 where none was given.
    pub status: u16,
    /// Body of the answer.
    pub answer: String,
    /// Why it was refused, in more words than Slack has.
    pub why: String,
}

/// An answer to give instead of judging the next request.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scripted {
    /// Status; 0: never answer.
    pub status: u16,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: String,
    /// Time until the answer, in milliseconds.
    pub delay_ms: u64,
    /// Whether the message is shown all the same, as when an answer is lost on its way back.
    pub shows: bool,
}

impl Default for Scripted {
    fn default() -> Scripted {
        Scripted {
            status: 200,
            headers: Vec::new(),
            body: "ok".to_owned(),
            delay_ms: 0,
            shows: false,
        }
    }
}

impl Scripted {
    /// An answer with this status and body.
    pub fn new(status: u16, body: &str) -> Scripted {
        Scripted {
            status,
            body: body.to_owned(),
            ..Scripted::default()
        }
    }

    /// The request is taken and never answered.
    pub fn hang() -> Scripted {
        Scripted::new(0, "")
    }

    /// The same, with a header.
    pub fn with_header(mut self, name: &str, value: &str) -> Scripted {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same, some time later.
    pub fn after(mut self, delay: Duration) -> Scripted {
        self.delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self
    }

    /// The same, and the message is shown.
    pub fn and_show(mut self) -> Scripted {
        self.shows = true;
        self
    }
}

/// What the server knows.
struct Room {
    inner: Mutex<Inner>,
    vendor: Mutex<Box<dyn Vendor>>,
    clock: Clock,
    shown: watch::Sender<usize>,
}

#[derive(Default)]
struct Inner {
    messages: Vec<Message>,
    requests: Vec<Request>,
    script: VecDeque<Scripted>,
}

impl Fake {
    /// Starts on a free port of this machine.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(vendor: Box<dyn Vendor>) -> io::Result<Fake> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        Fake::serve(listener, vendor, Box::new(Instant::now))
    }

    /// Starts on a socket that is bound already; to be called within a tokio runtime.
    ///
    /// # Errors
    /// When the socket has no address.
    pub fn serve(listener: TcpListener, vendor: Box<dyn Vendor>, clock: Clock) -> io::Result<Fake> {
        let address = listener.local_addr()?;
        let room = Arc::new(Room {
            inner: Mutex::default(),
            vendor: Mutex::new(vendor),
            clock,
            shown: watch::channel(0).0,
        });
        let app = Router::new()
            .route("/messages", get(messages))
            .route("/requests", get(requests))
            .route("/answers", post(answers))
            .fallback(webhook)
            .with_state(Arc::clone(&room));
        let server = tokio::spawn(async move {
            // Ends with the task: `axum::serve` never returns of itself.
            let _ = axum::serve(listener, app).await;
        });
        Ok(Fake {
            address,
            room,
            server,
        })
    }

    /// Address of this path of the server.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What was shown so far, oldest first.
    pub fn messages(&self) -> Vec<Message> {
        self.room.lock().messages.clone()
    }

    /// Every request so far, oldest first, refused ones too.
    pub fn requests(&self) -> Vec<Request> {
        self.room.lock().requests.clone()
    }

    /// Waits until more than `n` messages were shown, and gives them all.
    pub async fn wait_for_more_than(&self, n: usize) -> Vec<Message> {
        let mut shown = self.room.shown.subscribe();
        // The sender lives in the room, which lives as long as `self`.
        let _ = shown.wait_for(|shown| *shown > n).await;
        self.messages()
    }

    /// Answers the next request like this; several are used one after the other.
    pub fn script(&self, answer: Scripted) {
        self.room.lock().script.push_back(answer);
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Room {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show(&self, payload: serde_json::Value) {
        let received = Timestamp::now();
        let mut inner = self.lock();
        inner.messages.push(Message { received, payload });
        self.shown.send_replace(inner.messages.len());
    }

    fn note(&self, received: Timestamp, status: u16, answer: &str, why: &str) {
        self.lock().requests.push(Request {
            received,
            status,
            answer: answer.to_owned(),
            why: why.to_owned(),
        });
    }

    fn vendor(&self) -> MutexGuard<'_, Box<dyn Vendor>> {
        self.vendor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn webhook(
    State(room): State<Arc<Room>>,
    uri: Uri,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
    body: String,
) -> Response {
    let received = Timestamp::now();
    let is_json = headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/json"));
    let call = Call {
        path: uri.path().to_owned(),
        query,
        is_json,
        authorization: headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned),
        headers: headers
            .iter()
            .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
            .collect(),
        body,
        at: (room.clock)(),
        received,
    };
    let scripted = room.lock().script.pop_front();
    if let Some(scripted) = scripted {
        return follow(&room, scripted, &call).await;
    }
    let verdict = room.vendor().judge(&call);
    room.note(received, verdict.status, &verdict.body, &verdict.why);
    if let Some(shown) = verdict.shows {
        room.show(shown);
    }
    answer(verdict.status, verdict.headers, verdict.body)
        .unwrap_or_else(|| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

async fn follow(room: &Room, scripted: Scripted, call: &Call) -> Response {
    let good = room.vendor().good();
    room.note(call.received, scripted.status, &scripted.body, "scripted");
    // What is shown is shown by the vendor's own rules, whatever is answered.
    if (scripted.shows || (scripted.status == 200 && scripted.body == good))
        && let Some(shown) = room.vendor().judge(call).shows
    {
        room.show(shown);
    }
    tokio::time::sleep(Duration::from_millis(scripted.delay_ms)).await;
    match answer(scripted.status, scripted.headers, scripted.body) {
        Some(response) => response,
        None => std::future::pending().await,
    }
}

/// `None` for a status that there is not.
fn answer(status: u16, headers: Vec<(String, String)>, body: String) -> Option<Response> {
    let mut response = (StatusCode::from_u16(status).ok()?, body).into_response();
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    Some(response)
}

async fn messages(State(room): State<Arc<Room>>) -> Json<Vec<Message>> {
    Json(room.lock().messages.clone())
}

async fn requests(State(room): State<Arc<Room>>) -> Json<Vec<Request>> {
    Json(room.lock().requests.clone())
}

async fn answers(State(room): State<Arc<Room>>, Json(script): Json<Vec<Scripted>>) -> StatusCode {
    room.lock().script.extend(script);
    StatusCode::NO_CONTENT
}
