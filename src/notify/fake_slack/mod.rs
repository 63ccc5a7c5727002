//! A Slack to test against and to show in the demo: a real HTTP server with an incoming webhook that keeps Slack's
//! limits, answers with Slack's own error words, and can be told to misbehave.
//!
//! A process of its own can be asked over HTTP, too: `GET /messages` lists what was shown, `POST /answers` takes a
//! list of [`Scripted`] answers.
//!
//! * `rules`: what Slack refuses. `show`: a message as text for a terminal.

pub(super) mod rules;
mod show;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// One message a second in the long run, and a few at once.
const PER_MESSAGE: Duration = Duration::from_secs(1);
const BURST: u32 = 5;

/// A running fake; it ends when this is dropped.
pub struct FakeSlack {
    address: SocketAddr,
    room: Arc<Room>,
    server: JoinHandle<()>,
}

/// A message that was shown.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Message {
    /// When it arrived, by the wall clock.
    pub received: Timestamp,
    /// What was sent.
    pub payload: serde_json::Value,
}

impl Message {
    /// The message as Slack would show it, in a terminal.
    pub fn as_text(&self) -> String {
        show::text(&self.payload)
    }

    /// The text of the notification.
    pub fn summary(&self) -> &str {
        self.payload["text"].as_str().unwrap_or("")
    }
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
    shown: watch::Sender<usize>,
}

#[derive(Default)]
struct Inner {
    messages: Vec<Message>,
    requests: Vec<Request>,
    script: VecDeque<Scripted>,
    /// When the rate limit has forgotten every message.
    quiet_at: Option<Instant>,
}

impl FakeSlack {
    /// Starts on a free port of this machine.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start() -> io::Result<FakeSlack> {
        FakeSlack::serve(TcpListener::bind(("127.0.0.1", 0)).await?)
    }

    /// Starts on a socket that is bound already; to be called within a tokio runtime.
    ///
    /// # Errors
    /// When the socket has no address.
    pub fn serve(listener: TcpListener) -> io::Result<FakeSlack> {
        let address = listener.local_addr()?;
        let room = Arc::new(Room {
            inner: Mutex::default(),
            shown: watch::channel(0).0,
        });
        let app = Router::new()
            .route("/services/{*secret}", post(webhook))
            .route("/messages", get(messages))
            .route("/requests", get(requests))
            .route("/answers", post(answers))
            .with_state(Arc::clone(&room));
        let server = tokio::spawn(async move {
            // Ends with the task: `axum::serve` never returns of itself.
            let _ = axum::serve(listener, app).await;
        });
        Ok(FakeSlack {
            address,
            room,
            server,
        })
    }

    /// Address of the webhook.
    pub fn webhook_url(&self) -> String {
        format!("http://{}/services/T0000FAKE/B0000FAKE/notsosecret", self.address)
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

impl Drop for FakeSlack {
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
}

impl Inner {
    /// Whether the rate limit lets one more through.
    fn lets_through(&mut self, now: Instant) -> bool {
        let quiet_at = self.quiet_at.map_or(now, |at| at.max(now));
        let lets_through = quiet_at - now <= PER_MESSAGE * (BURST - 1);
        if lets_through {
            self.quiet_at = Some(quiet_at + PER_MESSAGE);
        }
        lets_through
    }
}

async fn webhook(State(room): State<Arc<Room>>, headers: HeaderMap, body: String) -> Response {
    let received = Timestamp::now();
    let scripted = room.lock().script.pop_front();
    if let Some(scripted) = scripted {
        return follow(&room, received, scripted, &body).await;
    }
    if !room.lock().lets_through(Instant::now()) {
        let body = r#"{"retry_after":1,"ok":false,"error":"rate_limited"}"#;
        room.note(received, 429, body, "more than one message a second");
        return (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "1")], body).into_response();
    }
    let is_json = headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/json"));
    match rules::check(&body, is_json) {
        Ok(payload) => {
            room.show(payload);
            room.note(received, 200, "ok", "");
            "ok".into_response()
        }
        Err(refusal) => {
            room.note(received, 400, refusal.word, &refusal.why);
            (StatusCode::BAD_REQUEST, refusal.word).into_response()
        }
    }
}

async fn follow(room: &Room, received: Timestamp, scripted: Scripted, body: &str) -> Response {
    let Scripted {
        status,
        headers,
        body: answer,
        delay_ms,
        shows,
    } = scripted;
    room.note(received, status, &answer, "scripted");
    if shows || (status == 200 && answer == "ok") {
        room.show(serde_json::from_str(body).unwrap_or_default());
    }
    tokio::time::sleep(Duration::from_millis(delay_ms)).await;
    let Ok(status) = StatusCode::from_u16(status) else {
        return std::future::pending().await;
    };
    let mut response = (status, answer).into_response();
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
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

#[cfg(test)]
mod tests;
