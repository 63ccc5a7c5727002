//! `POST /api/v1/events/{source}`: takes events, and answers once they are durable.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use percent_encoding::percent_decode;
use serde_json::json;

use super::access;
use crate::catalog::diagnostic::nearest;
use crate::catalog::{Catalog, Layout};
use crate::decode::MAX_BATCH_BYTES;
use crate::settings::{Right, Token};
use crate::source::push::{Intake, Parcel, Receipt, Refused};

/// Longest key of a request, in bytes.
const MAX_KEY_BYTES: usize = 200;

/// A request that is not taken: status, word, and what to do.
pub(super) struct Refusal(pub(super) StatusCode, pub(super) &'static str, pub(super) String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Refusal(status, kind, message) = self;
        let body = Json(json!({"status": "error", "errorType": kind, "error": message}));
        match status {
            StatusCode::UNAUTHORIZED => {
                (status, [(header::WWW_AUTHENTICATE, "Bearer")], body).into_response()
            }
            StatusCode::SERVICE_UNAVAILABLE => (status, [(header::RETRY_AFTER, "1")], body).into_response(),
            _ => (status, body).into_response(),
        }
    }
}

/// Takes the events of a request.
pub(super) async fn take(
    intake: &Intake,
    tokens: &[Token],
    catalog: &Catalog,
    source: String,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let parcel = access::authorize(tokens, Right::Send, access::shown(headers).as_deref())
        .and_then(|_| find(catalog, &source))
        .and_then(|()| parcel(source, headers, body));
    let parcel = match parcel {
        Ok(parcel) => parcel,
        Err(refusal) => return refusal.into_response(),
    };
    match intake.submit(parcel).await {
        Ok(receipt) => answer(&receipt),
        Err(refused) => Refusal::from(refused).into_response(),
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Refusal {
        let status = match refused {
            Refused::Full | Refused::NotDurable => StatusCode::SERVICE_UNAVAILABLE,
            Refused::UnknownSource | Refused::NoSuchEntry => StatusCode::NOT_FOUND,
            Refused::KeyReused | Refused::AlreadyReplaced | Refused::CorrectionMoves => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
        };
        Refusal(status, "refused", refused.to_string())
    }
}

/// 200 when an event was taken, now or before, or none was sent; 422 when every one was rejected.
fn answer(receipt: &Receipt) -> Response {
    if receipt.accepted + receipt.duplicates > 0 || receipt.rejected == 0 {
        return Json(json!({"status": "success", "data": receipt})).into_response();
    }
    let body = json!({
        "status": "error",
        "errorType": "rejected",
        "error": "no event could be used: 'errors' says why",
        "data": receipt,
    });
    (StatusCode::UNPROCESSABLE_ENTITY, Json(body)).into_response()
}

fn find(catalog: &Catalog, name: &str) -> Result<(), Refusal> {
    let taking = || {
        let http = catalog.sources.iter().filter(|source| source.http);
        http.map(|source| source.name.as_str())
    };
    if taking().any(|source| source == name) {
        return Ok(());
    }
    let message = if catalog.sources.iter().any(|source| source.name == name) {
        format!("source '{name}' takes no events over HTTP; add 'http: true' to it in the catalogue")
    } else if let Some(near) = nearest(name, taking()) {
        format!("there is no source '{name}'; did you mean '{near}'?")
    } else {
        let names: Vec<&str> = taking().take(20).collect();
        let known = if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(", ")
        };
        format!("there is no source '{name}'; those with 'http: true' are: {known}")
    };
    Err(Refusal(StatusCode::NOT_FOUND, "not_found", message))
}

fn parcel(
    source: String,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Parcel, Refusal> {
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Refusal(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            format!("a request may have {MAX_BATCH_BYTES} bytes; send the events in several requests"),
        ),
        status => Refusal(status, "bad_data", rejection.body_text()),
    })?;
    let key = idempotency_key(headers)?;
    let attributes = headers.iter().filter_map(|(name, value)| {
        let attribute = name.as_str().strip_prefix("ce-")?;
        Some((format!("ce_{attribute}"), attribute_value(value.as_bytes())))
    });
    Ok(Parcel {
        layout: layout(headers, &body)?,
        source,
        headers: attributes.collect(),
        body: body.into(),
        key,
    })
}

/// The value of an attribute of a CloudEvent in binary mode: headers have it percent-encoded, and some senders quote it
/// (CloudEvents' HTTP binding, 3.1.3.2).
fn attribute_value(header: &[u8]) -> Vec<u8> {
    let quoted = header
        .strip_prefix(b"\"")
        .and_then(|value| value.strip_suffix(b"\""));
    let Some(quoted) = quoted else {
        return percent_decode(header).collect();
    };
    let mut plain = Vec::with_capacity(quoted.len());
    let mut bytes = quoted.iter();
    while let Some(&byte) = bytes.next() {
        let escaped = (byte == b'\\').then(|| bytes.next()).flatten();
        plain.push(*escaped.unwrap_or(&byte));
    }
    percent_decode(&plain).collect()
}

/// The key under which a request counts once.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let Some(key) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    match key.to_str().map(str::trim) {
        Ok(key) if !key.is_empty() && key.len() <= MAX_KEY_BYTES => Ok(Some(key.to_owned())),
        _ => {
            let message = format!("an Idempotency-Key is 1 to {MAX_KEY_BYTES} visible ASCII characters");
            Err(Refusal(StatusCode::BAD_REQUEST, "bad_data", message))
        }
    }
}

/// How the body is laid out, by its content type; JSON is one object or an array of them.
fn layout(headers: &HeaderMap, body: &[u8]) -> Result<Layout, Refusal> {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    match kind.as_str() {
        "application/json" if body.trim_ascii_start().starts_with(b"[") => Ok(Layout::Array),
        "application/json" | "application/cloudevents+json" => Ok(Layout::Single),
        "application/cloudevents-batch+json" => Ok(Layout::Array),
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" | "application/x-jsonlines" => {
            Ok(Layout::Lines)
        }
        _ => Err(Refusal(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "bad_data",
            format!(
                "the content type '{kind}' is not read; send application/json for one object or an array, application/x-ndjson for one object a line"
            ),
        )),
    }
}
