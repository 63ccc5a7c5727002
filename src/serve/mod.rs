//! Serve: metrics, page and API, all read from the latest [`View`]. No handler computes: what is shown was decided
//! by `evaluate` and `alert`.
//!
//! * [`view`]: what the daemon publishes for this module.
//! * [`metrics`]: `/metrics` in the Prometheus text format.
//! * [`api`]: `/api/v1/…` as JSON.
//! * `access`: who may do what. * `alertmanager`: the part of Alertmanager's API that its tools use.
//!   `routing_tree`: the settings' routes in its words.
//! * `weights`: weights that are proposed, and where somebody decides.
//! * `ingest`: takes events. * `entries`: takes what people type in.
//! * `taking`: links of messages that acknowledge and silence. [`orders`]: what people ask of alerts, on its way to the
//!   evaluator and back.
//! * [`health`]: `/-/healthy`, `/-/ready`, `/-/reload`.
//! * [`standby`]: all that a process serves that follows another.
//! * [`page`]: the pages for people; `alerts_page`: who was told what. `preview`: what a silence would hold back.

mod access;
mod alertmanager;
mod alerts_page;
pub mod api;
mod backfills;
mod bounds;
mod chart;
mod entries;
mod entry_form;
pub mod health;
mod ingest;
pub mod metrics;
mod node_page;
mod openapi;
pub mod orders;
pub mod page;
mod preview;
mod routing_tree;
mod slack;
pub mod standby;
mod taking;
#[cfg(test)]
mod taking_tests;
pub mod view;
mod weights;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::Future;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_stream::wrappers::WatchStream;
use tokio_stream::{Stream, StreamExt};

use entry_form::FormState;
use ingest::Refusal;

use crate::alert::dispatch::matcher::Matcher;
use crate::alert::dispatch::{Command, Held};
use crate::catalog::file::parse_duration;
use crate::decode::MAX_BATCH_BYTES;
use crate::notify::{Signer, SlackApp};
use crate::settings::{Right, Token};
use crate::source::push::Intake;
use crate::state::{Asked, LoggedNotice, NotAPlace, StateError, Store};
use crate::words::Language;
use orders::Orders;
use taking::Action;

pub use backfills::{Backfilled, Backfilling, Backfills};
pub use view::{AlertView, Histogram, NotReady, ReadyState, Rejected, Stats, View};

/// A request to reload the catalogue. The daemon answers with a short summary, or with what is wrong (one
/// diagnostic a line); the old catalogue then stays.
pub type ReloadRequest = oneshot::Sender<Result<String, String>>;

/// How long the end of a server waits for answers that are on their way: who has asked half of a question is not waited for.
pub const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// The most entries of a page of the log of alerts.
const LONGEST_LOG_PAGE: usize = 1000;

/// What the server shares with the daemon.
#[derive(Clone, Debug)]
pub struct Shared {
    /// The latest view.
    pub view: watch::Receiver<Arc<View>>,
    /// Where reload requests go.
    pub reload: mpsc::Sender<ReloadRequest>,
    /// Where events that are sent to us are handed in.
    pub intake: Intake,
    /// Where orders about alerts go.
    pub orders: Orders,
    /// Knows the links of messages.
    pub signer: Signer,
    /// Where the history of an episode is read.
    pub store: Store,
    /// Who may do what.
    pub tokens: Arc<[Token]>,
    /// The apps whose buttons people press in Slack.
    pub slack_apps: watch::Receiver<Arc<[SlackApp]>>,
}

#[derive(Clone)]
struct App {
    shared: Shared,
    stopping: watch::Receiver<bool>,
}

impl App {
    fn view(&self) -> Arc<View> {
        self.shared.view.borrow().clone()
    }
}

/// Serves on `listener` until `stop` completes, then ends open event streams and finishes what was begun.
///
/// # Errors
/// When the listener fails for good.
pub async fn run(
    listener: TcpListener,
    shared: Shared,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let (stopped, stopping) = watch::channel(false);
    let stop = async move {
        stop.await;
        // Event streams never end by themselves; without this, shutdown would wait for every open page.
        stopped.send_replace(true);
    };
    axum::serve(listener, router(App { shared, stopping }))
        .with_graceful_shutdown(stop)
        .await
}

fn router(app: App) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/nodes/{name}", get(node))
        .route("/nodes/{name}/entries", post(node_entry))
        .route("/nodes/{name}/weights", post(node_weights))
        .route("/alerts", get(alerts))
        .route("/episodes/{episode}", get(episode))
        .route("/episodes/{episode}/{action}", get(ask_taking).post(do_taking))
        .route("/rejected", get(rejected))
        .route("/events", get(events))
        .route("/assets/style.css", get(async || page::style()))
        .route("/assets/page.js", get(async || page::script()))
        .route("/metrics", get(metrics_text))
        .route("/-/healthy", get(async || "tautline is healthy.\n"))
        .route("/-/ready", get(ready))
        .route("/-/reload", post(reload).put(reload))
        .route(
            "/api/v1/events/{source}",
            post(post_events).layer(DefaultBodyLimit::max(MAX_BATCH_BYTES)),
        )
        .route("/api/v1/entries/{metric}", get(get_entries).post(post_entry))
        .route("/api/v1/weights", get(api_weights))
        .route("/api/v1/weights/{parent}/{period}", post(api_decide))
        .route("/api/v1/nodes", get(api_nodes))
        .route("/api/v1/nodes/{name}", get(api_node))
        .route("/api/v1/alerts", get(api_alerts))
        .route("/api/v1/rules", get(api_rules))
        .route("/api/v1/sources", get(api_sources))
        .route("/api/v1/openapi.json", get(async || openapi::document()))
        .route("/api/v1/silences/preview", get(api_preview))
        .route("/api/v1/episodes", get(api_episodes))
        .route("/api/v1/notices", get(api_notices))
        .route("/api/v1/episodes/{episode}/history", get(api_history))
        .route("/api/v1/episodes/{episode}/ack", post(api_ack).delete(api_unack))
        .route("/api/v1/slack/actions", post(slack_actions))
        .route("/api/v2/status", get(v2_status))
        .route("/api/v2/receivers", get(v2_receivers))
        .route("/api/v2/alerts", get(v2_alerts))
        .route("/api/v2/alerts/groups", get(v2_groups))
        .route("/api/v2/silences", get(v2_silences).post(v2_post_silence))
        .route("/api/v2/silence/{id}", get(v2_silence).delete(v2_delete_silence))
        .route("/ack/{episode}", get(ask_ack).post(do_ack))
        .route("/silence/{episode}", get(ask_silence).post(do_silence))
        .fallback(not_found)
        .layer(axum::middleware::from_fn_with_state(app.clone(), access::guard))
        .layer(axum::middleware::from_fn(secure))
        .with_state(app)
}

/// Sets the headers that keep a page from running or embedding anything that is not its own, and refuses changes
/// that another site asks a visitor's browser to make.
async fn secure(request: Request, next: Next) -> Response {
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let foreign = request
        .headers()
        .get("sec-fetch-site")
        .is_some_and(|site| site == "cross-site" || site == "same-site");
    let mut response = if changes && foreign {
        (
            StatusCode::FORBIDDEN,
            "cross-site requests may not change anything\n",
        )
            .into_response()
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, page::content_security_policy());
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

#[derive(Deserialize, Default)]
struct PageQuery {
    lang: Option<String>,
    /// Number of the entry that is to be corrected.
    correct: Option<u64>,
    /// Number of the entry that was just taken.
    entered: Option<u64>,
    /// Whether a decision on weights was just taken.
    decided: Option<u8>,
    /// Matchers of a silence that is thought of, one a line.
    matchers: Option<String>,
}

/// The reader of a page: language by `?lang=`, else by `Accept-Language`, else by the settings.
fn reader(view: &View, query: &PageQuery, headers: &HeaderMap) -> page::Reader {
    let chosen = query.lang.as_deref().and_then(Language::from_tag);
    let accepted = || {
        let header = headers.get(header::ACCEPT_LANGUAGE)?.to_str().ok()?;
        Language::from_accept(header)
    };
    page::Reader {
        language: chosen.or_else(accepted).unwrap_or(view.language),
        chosen: chosen.is_some(),
    }
}

async fn index(State(app): State<App>, Query(query): Query<PageQuery>, headers: HeaderMap) -> Html<String> {
    let view = app.view();
    let reader = reader(&view, &query, &headers);
    Html(page::index(&view, reader).into_string())
}

async fn node(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(query): Query<PageQuery>,
    headers: HeaderMap,
) -> Response {
    let view = app.view();
    let reader = reader(&view, &query, &headers);
    let form = FormState {
        correct: query.correct,
        entered: query.entered,
        weights: weights::FormState {
            decided: query.decided.is_some(),
            ..weights::FormState::default()
        },
        ..FormState::default()
    };
    node_shown(&view, reader, &name, &form, StatusCode::OK)
}

fn node_shown(
    view: &View,
    reader: page::Reader,
    name: &str,
    form: &FormState,
    status: StatusCode,
) -> Response {
    match node_page::node(view, reader, name, form) {
        Some(page) => (status, Html(page.into_string())).into_response(),
        None => (
            StatusCode::NOT_FOUND,
            Html(page::not_found(view, reader).into_string()),
        )
            .into_response(),
    }
}

/// Back to a node's page, which says then what was done.
fn back_to(reader: page::Reader, node: &str, done: &str) -> Response {
    let page = reader.to_node(node);
    let joint = if page.contains('?') { '&' } else { '?' };
    Redirect::to(&format!("{page}{joint}{done}")).into_response()
}

/// An entry from the form on a node's page: back to the page when it is durable, or the form again with what is wrong.
async fn node_entry(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(query): Query<PageQuery>,
    headers: HeaderMap,
    Form(sent): Form<BTreeMap<String, String>>,
) -> Response {
    let view = app.view();
    let reader = reader(&view, &query, &headers);
    let node = view.catalog.nodes.iter().find(|node| node.name == name);
    let metric = node.map(|node| view.catalog.metric(node.metric).name.clone());
    let (token, key, given) = entry_form::given(&sent);
    let result = match access::authorize(&app.shared.tokens, Right::Enter, token) {
        Ok(_) => {
            let metric = metric.unwrap_or_default();
            entries::enter(&app.shared.intake, &view.catalog, &metric, given, key).await
        }
        Err(refusal) => Err(refusal),
    };
    match result {
        Ok(receipt) => {
            let number = receipt.number.unwrap_or_default();
            back_to(reader, &name, &format!("entered={number}#entry"))
        }
        Err(Refusal(status, _, message)) => {
            let form = FormState {
                correct: sent.get("replaces").and_then(|number| number.parse().ok()),
                entered: None,
                error: Some(message),
                sent,
                ..FormState::default()
            };
            node_shown(&app.view(), reader, &name, &form, status)
        }
    }
}

/// A decision on weights from the form on a node's page: back to the page when it is durable, or the form again with what
/// is wrong.
async fn node_weights(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(query): Query<PageQuery>,
    headers: HeaderMap,
    Form(sent): Form<BTreeMap<String, String>>,
) -> Response {
    let reader = reader(&app.view(), &query, &headers);
    let (token, decision) = weights::given(&name, &sent);
    let allowed = access::authorize(&app.shared.tokens, Right::Decide, token.as_deref());
    let result = match allowed.and(decision) {
        Ok(decision) => weights::decide(&app.shared.orders, decision).await,
        Err(refusal) => Err(refusal),
    };
    match result {
        Ok(_) => back_to(reader, &name, "decided=1#weights"),
        Err(Refusal(status, _, message)) => {
            let form = FormState {
                weights: weights::FormState {
                    decided: false,
                    error: Some(message),
                    sent,
                },
                ..FormState::default()
            };
            node_shown(&app.view(), reader, &name, &form, status)
        }
    }
}

async fn api_weights(State(app): State<App>) -> Response {
    weights::list(&app.view())
}

async fn api_decide(
    State(app): State<App>,
    Path((parent, period)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let given = access::shown(&headers);
    let decision = access::authorize(&app.shared.tokens, Right::Decide, given.as_deref())
        .and_then(|_| weights::read(parent.clone(), period.clone(), &body));
    let taken = match decision {
        Ok(decision) => weights::decide(&app.shared.orders, decision).await,
        Err(refusal) => Err(refusal),
    };
    weights::answer(&parent, &period, taken)
}

async fn rejected(
    State(app): State<App>,
    Query(query): Query<PageQuery>,
    headers: HeaderMap,
) -> Html<String> {
    let view = app.view();
    let reader = reader(&view, &query, &headers);
    Html(page::rejected(&view, reader).into_string())
}

async fn not_found(State(app): State<App>, request: Request) -> Response {
    if request.uri().path().starts_with("/api/") {
        return api::not_found("no such endpoint");
    }
    let view = app.view();
    let reader = reader(&view, &PageQuery::default(), request.headers());
    (
        StatusCode::NOT_FOUND,
        Html(page::not_found(&view, reader).into_string()),
    )
        .into_response()
}

/// One server-sent event a version; the page then fetches itself anew.
async fn events(State(app): State<App>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let versions = WatchStream::new(app.shared.view).map(|view| Some(view.version));
    let stops = WatchStream::new(app.stopping).filter_map(|stopping| stopping.then_some(None));
    let until_stop = versions.merge(stops).map_while(|version| version);
    let messages = until_stop.map(|version| Ok(Event::default().event("version").data(version.to_string())));
    Sse::new(messages).keep_alive(KeepAlive::default())
}

async fn metrics_text(State(app): State<App>) -> Response {
    let view = app.view();
    // Many series take a while to write: not on a thread that others wait for.
    let written =
        tokio::task::spawn_blocking(move || metrics::text(&view).map_err(|error| error.to_string())).await;
    match written.unwrap_or_else(|error| Err(error.to_string())) {
        Ok(text) => (
            [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
            text,
        )
            .into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics could not be written");
            (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response()
        }
    }
}

async fn ready(State(app): State<App>, headers: HeaderMap) -> Response {
    let wants_json = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("application/json"));
    health::ready(&app.view().ready, wants_json)
}

async fn reload(State(app): State<App>) -> Response {
    health::reload(&app.shared.reload).await
}

async fn post_events(
    State(app): State<App>,
    Path(source): Path<String>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let shared = &app.shared;
    let catalog = app.view().catalog.clone();
    ingest::take(&shared.intake, &shared.tokens, &catalog, source, &headers, body).await
}

async fn get_entries(State(app): State<App>, Path(metric): Path<String>) -> Response {
    entries::list(&app.view(), &metric)
}

async fn post_entry(
    State(app): State<App>,
    Path(metric): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let shared = &app.shared;
    let given = access::shown(&headers);
    let checked = access::authorize(&shared.tokens, Right::Enter, given.as_deref())
        .and_then(|_| ingest::idempotency_key(&headers))
        .and_then(|key| Ok((key, entries::read(&body)?)));
    let catalog = app.view().catalog.clone();
    entries::answer(match checked {
        Ok((key, given)) => entries::enter(&shared.intake, &catalog, &metric, given, key).await,
        Err(refusal) => Err(refusal),
    })
}

async fn api_nodes(State(app): State<App>) -> Response {
    api::nodes(&app.view())
}

async fn api_node(State(app): State<App>, Path(name): Path<String>) -> Response {
    api::node(&app.view(), &name)
}

async fn api_alerts(State(app): State<App>) -> Response {
    api::alerts(&app.view())
}

async fn api_rules(State(app): State<App>, Query(pairs): Pairs) -> Response {
    match api::RulesAsked::read(&pairs) {
        Ok(asked) => api::rules(&app.view(), &asked),
        Err(message) => api::bad_data(&message),
    }
}

async fn api_sources(State(app): State<App>) -> Response {
    api::sources(&app.view())
}

type Pairs = Query<Vec<(String, String)>>;

/// The token of who may acknowledge and silence.
fn responder<'a>(app: &'a App, headers: &HeaderMap) -> Result<&'a Token, Refusal> {
    access::authorize(
        &app.shared.tokens,
        Right::Respond,
        access::shown(headers).as_deref(),
    )
}

/// A refusal in the shape of Alertmanager's errors.
fn refused(Refusal(status, _, message): Refusal) -> Response {
    (status, axum::Json(message)).into_response()
}

fn bad(message: String) -> Response {
    (StatusCode::BAD_REQUEST, axum::Json(message)).into_response()
}

async fn v2_status(State(app): State<App>) -> Response {
    alertmanager::status(&app.view())
}

async fn v2_receivers(State(app): State<App>) -> Response {
    alertmanager::receivers(&app.view())
}

async fn v2_alerts(State(app): State<App>, Query(pairs): Pairs) -> Response {
    match alertmanager::Asked::read(&pairs) {
        Ok(asked) => alertmanager::alerts(&app.view(), &asked),
        Err(message) => bad(message),
    }
}

async fn v2_groups(State(app): State<App>, Query(pairs): Pairs) -> Response {
    match alertmanager::Asked::read(&pairs) {
        Ok(asked) => alertmanager::groups(&app.view(), &asked),
        Err(message) => bad(message),
    }
}

async fn v2_silences(State(app): State<App>, Query(pairs): Pairs) -> Response {
    let filters = pairs.iter().filter(|(key, _)| key == "filter");
    match filters
        .map(|(_, text)| Matcher::parse(text))
        .collect::<Result<Vec<_>, _>>()
    {
        Ok(filters) => alertmanager::silences(&app.view(), &filters),
        Err(message) => bad(message),
    }
}

/// What a silence with the matchers of `filter` would hold back.
async fn api_preview(State(app): State<App>, Query(pairs): Pairs) -> Response {
    let filters = pairs.iter().filter(|(key, _)| key == "filter");
    match preview::Preview::read(filters.map(|(_, text)| text.as_str())) {
        Ok(filters) => preview::answer(&app.view(), &filters),
        Err(message) => api::bad_data(&message),
    }
}

async fn v2_silence(State(app): State<App>, Path(id): Path<String>) -> Response {
    alertmanager::silence(&app.view(), &id)
}

async fn v2_post_silence(
    State(app): State<App>,
    Query(pairs): Pairs,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let token = match responder(&app, &headers) {
        Ok(token) => token,
        Err(refusal) => return refused(refusal),
    };
    let force = pairs.iter().any(|(key, value)| key == "force" && value == "true");
    alertmanager::post_silence(&app.shared, token, &body, force).await
}

async fn v2_delete_silence(State(app): State<App>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    match responder(&app, &headers) {
        Ok(token) => alertmanager::delete_silence(&app.shared, token, id).await,
        Err(refusal) => refused(refusal),
    }
}

/// What `POST /api/v1/episodes/{episode}/ack` sends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AckBody {
    by: String,
    #[serde(default)]
    comment: String,
    /// When it ends; beside it nothing says how long it lasts.
    #[serde(default)]
    until: Option<Timestamp>,
    /// How long it lasts, as the settings write it: `8h`.
    #[serde(default)]
    lasts: Option<String>,
}

impl AckBody {
    /// Reads what was sent at `now`.
    ///
    /// # Errors
    /// What is wrong with it, and what to write.
    fn read(body: &[u8], now: Timestamp) -> Result<(AckBody, Option<SignedDuration>), String> {
        let sent: AckBody = serde_json::from_slice(body).map_err(|error| {
            format!("write {{\"by\": \"…\", \"comment\": \"…\", \"lasts\": \"8h\"}}: {error}")
        })?;
        if sent.by.trim().is_empty() {
            return Err("by is empty: write who takes it".to_owned());
        }
        let lasts = match (sent.until, sent.lasts.as_deref()) {
            (None, None) => None,
            (Some(_), Some(_)) => return Err("write until or lasts, not both".to_owned()),
            (Some(until), None) if until <= now => {
                return Err(format!("until is {until}, which is past; write a later moment"));
            }
            (Some(until), None) => Some(until.duration_since(now)),
            (None, Some(text)) => {
                let lasts = parse_duration(text).filter(SignedDuration::is_positive);
                Some(lasts.ok_or_else(|| {
                    format!("lasts is '{text}', which is no time; write '30m', '8h' or '3d'")
                })?)
            }
        };
        Ok((sent, lasts))
    }
}

async fn api_ack(
    State(app): State<App>,
    Path(episode): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let token = match responder(&app, &headers) {
        Ok(token) => token,
        Err(refusal) => return refused(refusal),
    };
    let now = app.view().stats.now.unwrap_or_else(Timestamp::now);
    let (sent, lasts) = match AckBody::read(&body, now) {
        Ok(read) => read,
        Err(message) => return bad(message),
    };
    let command = Command::Ack {
        episode,
        by: sent.by,
        comment: sent.comment,
        lasts,
    };
    ordered(&app, access::by(token, command)).await
}

/// A button in Slack was pressed.
async fn slack_actions(State(app): State<App>, headers: HeaderMap, body: Bytes) -> Response {
    slack::actions(&app.shared, &headers, &body).await
}

async fn api_unack(State(app): State<App>, Path(episode): Path<String>, headers: HeaderMap) -> Response {
    match responder(&app, &headers) {
        Ok(token) => ordered(&app, access::by(token, Command::Unack { episode })).await,
        Err(refusal) => refused(refusal),
    }
}

async fn ordered(app: &App, command: Command) -> Response {
    match app.shared.orders.give(command).await {
        Ok(episode) => {
            axum::Json(serde_json::json!({"status": "success", "data": {"episode": episode}})).into_response()
        }
        Err(not_done) => alertmanager::refused(&not_done),
    }
}

/// Who was told what of an episode, when, and why somebody was not.
async fn alerts(State(app): State<App>, Query(query): Query<PageQuery>, headers: HeaderMap) -> Html<String> {
    let view = app.view();
    let reader = reader(&view, &query, &headers);
    Html(alerts_page::alerts(&view, reader, query.matchers.as_deref()).into_string())
}

async fn episode(
    State(app): State<App>,
    Path(episode): Path<String>,
    Query(query): Query<PageQuery>,
    headers: HeaderMap,
) -> Response {
    let view = app.view();
    let reader = reader(&view, &query, &headers);
    match history_of(&app, episode.clone()).await {
        Ok((told, held)) => {
            Html(alerts_page::history(&view, reader, &episode, &told, &held).into_string()).into_response()
        }
        Err(unread) => unread,
    }
}

async fn api_history(State(app): State<App>, Path(episode): Path<String>) -> Response {
    match history_of(&app, episode).await {
        Ok((told, held)) => api::history(&told, &held),
        Err(unread) => unread,
    }
}

async fn api_notices(State(app): State<App>, asked: Result<Query<LogQuery>, QueryRejection>) -> Response {
    let store = app.shared.store.clone();
    match asked_of_log(asked) {
        Ok(asked) => match read_of(move || store.notice_log(&asked)).await {
            Ok(page) => api::notices(&page),
            Err(unread) => unread,
        },
        Err(message) => api::bad_data(&message),
    }
}

async fn api_episodes(State(app): State<App>, asked: Result<Query<LogQuery>, QueryRejection>) -> Response {
    let store = app.shared.store.clone();
    match asked_of_log(asked) {
        Ok(asked) => match read_of(move || store.episode_log(&asked)).await {
            Ok(page) => api::episodes(&app.view(), &page),
            Err(unread) => unread,
        },
        Err(message) => api::bad_data(&message),
    }
}

/// What the log of alerts is asked with.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LogQuery {
    rule: Option<String>,
    node: Option<String>,
    receiver: Option<String>,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
    after: Option<String>,
    limit: Option<usize>,
}

fn asked_of_log<Place: FromStr<Err = NotAPlace>>(
    query: Result<Query<LogQuery>, QueryRejection>,
) -> Result<Asked<Place>, String> {
    let Query(query) = query.map_err(|rejection| rejection.body_text())?;
    let usual: Asked<Place> = Asked::default();
    let limit = query.limit.unwrap_or(usual.limit);
    if !(1..=LONGEST_LOG_PAGE).contains(&limit) {
        return Err(format!("a page has 1 to {LONGEST_LOG_PAGE} entries, not {limit}"));
    }
    let after = query.after.as_deref().map(Place::from_str).transpose();
    Ok(Asked {
        rule: query.rule,
        node: query.node,
        receiver: query.receiver,
        from: query.from,
        until: query.until,
        after: after.map_err(|error| format!("after: {error}"))?,
        limit,
    })
}

/// Who was told of an episode, and why somebody was not.
async fn history_of(app: &App, episode: String) -> Result<(Vec<LoggedNotice>, Vec<Held>), Response> {
    let store = app.shared.store.clone();
    read_of(move || {
        let told = store.notices_of(&episode)?;
        Ok((told, store.held(&episode)?))
    })
    .await
}

/// What the store has; reading it may wait for a disk.
async fn read_of<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, StateError> + Send + 'static,
) -> Result<T, Response> {
    let failed = |error: &dyn std::fmt::Display| {
        (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response()
    };
    match tokio::task::spawn_blocking(read).await {
        Ok(read) => read.map_err(|error| failed(&error)),
        Err(error) => Err(failed(&error)),
    }
}

#[derive(Deserialize)]
struct LinkQuery {
    until: Option<i64>,
    sig: Option<String>,
    lang: Option<String>,
}

async fn ask_ack(
    app: State<App>,
    path: Path<String>,
    query: Query<LinkQuery>,
    headers: HeaderMap,
) -> Response {
    followed(&app, Action::Ack, &path, &query, &headers, None).await
}

async fn do_ack(
    app: State<App>,
    path: Path<String>,
    query: Query<LinkQuery>,
    headers: HeaderMap,
    Form(sent): Form<BTreeMap<String, String>>,
) -> Response {
    followed(&app, Action::Ack, &path, &query, &headers, Some(&sent)).await
}

async fn ask_silence(
    app: State<App>,
    path: Path<String>,
    query: Query<LinkQuery>,
    headers: HeaderMap,
) -> Response {
    followed(&app, Action::Silence, &path, &query, &headers, None).await
}

async fn do_silence(
    app: State<App>,
    path: Path<String>,
    query: Query<LinkQuery>,
    headers: HeaderMap,
    Form(sent): Form<BTreeMap<String, String>>,
) -> Response {
    followed(&app, Action::Silence, &path, &query, &headers, Some(&sent)).await
}

async fn followed(
    app: &App,
    action: Action,
    subject: &str,
    query: &LinkQuery,
    headers: &HeaderMap,
    sent: Option<&BTreeMap<String, String>>,
) -> Response {
    let view = app.view();
    let language = PageQuery {
        lang: query.lang.clone(),
        ..PageQuery::default()
    };
    let reader = reader(&view, &language, headers);
    let link = taking::Followed {
        action,
        subject,
        until: query.until.unwrap_or_default(),
        signature: query.sig.as_deref().unwrap_or_default(),
    };
    if let Some((status, page)) = taking::refused(&view, reader, &app.shared, &link) {
        return (status, Html(page.into_string())).into_response();
    }
    let episodes = match episodes_of(app, subject).await {
        Ok(episodes) => episodes,
        Err(unread) => return unread,
    };
    let taken = taking::Taken {
        action,
        episodes: &episodes,
        needs_token: false,
        error: None,
    };
    let (status, page) = match sent {
        None => taking::ask(&view, reader, &taken),
        Some(sent) => taking::act(&view, reader, &app.shared, &taken, sent, |command| command).await,
    };
    (status, Html(page.into_string())).into_response()
}

/// The episodes that a link is about: one, or those of messages.
async fn episodes_of(app: &App, subject: &str) -> Result<Vec<String>, Response> {
    if !subject.contains(['.', ',']) {
        return Ok(vec![subject.to_owned()]);
    }
    let (store, subject) = (app.shared.store.clone(), subject.to_owned());
    read_of(move || {
        let parts: Vec<&str> = subject.split(',').collect();
        store.episodes_of_messages(&parts)
    })
    .await
}

/// The page that asks whether an alert is to be acknowledged or silenced, from the page of alerts.
async fn ask_taking(
    State(app): State<App>,
    Path((episode, action)): Path<(String, Action)>,
    Query(query): Query<PageQuery>,
    headers: HeaderMap,
) -> Response {
    let view = app.view();
    let taken = taking::Taken {
        action,
        episodes: &[episode],
        needs_token: true,
        error: None,
    };
    let (status, page) = taking::ask(&view, reader(&view, &query, &headers), &taken);
    (status, Html(page.into_string())).into_response()
}

/// Does it, where the token that was sent allows it.
async fn do_taking(
    State(app): State<App>,
    Path((episode, action)): Path<(String, Action)>,
    Query(query): Query<PageQuery>,
    headers: HeaderMap,
    Form(sent): Form<BTreeMap<String, String>>,
) -> Response {
    let view = app.view();
    let reader = reader(&view, &query, &headers);
    let mut taken = taking::Taken {
        action,
        episodes: &[episode],
        needs_token: true,
        error: None,
    };
    let given = sent.get("token").map(|token| token.trim());
    let given = given.filter(|token| !token.is_empty());
    let (status, page) = match access::authorize(&app.shared.tokens, Right::Respond, given) {
        Ok(token) => {
            let by_whom = |command| access::by(token, command);
            taking::act(&view, reader, &app.shared, &taken, &sent, by_whom).await
        }
        Err(Refusal(status, _, message)) => {
            taken.error = Some(message);
            (status, taking::ask(&view, reader, &taken).1)
        }
    };
    (status, Html(page.into_string())).into_response()
}
