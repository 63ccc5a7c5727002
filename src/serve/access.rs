//! Who may do what: tokens, the roles that they have, and what each role allows.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::App;
use super::ingest::Refusal;
use crate::alert::dispatch::Command;
use crate::settings::{Right, Token};

/// Paths that answer everybody: whether the daemon lives, what a page that asks for a token looks like, and links of
/// messages, which are signed.
const OPEN: [&str; 4] = ["/-/", "/assets/", "/ack/", "/silence/"];

/// The token that a request shows, as a bearer.
pub(super) fn shown(headers: &HeaderMap) -> Option<String> {
    credentials(headers, "bearer").map(str::to_owned)
}

/// The same, or the password that a browser asks its user for. For what only reads: a browser shows it again by itself,
/// also when another site makes it ask for something.
fn shown_to_read(headers: &HeaderMap) -> Option<String> {
    shown(headers).or_else(|| {
        let plain = BASE64_STANDARD.decode(credentials(headers, "basic")?).ok()?;
        let plain = String::from_utf8(plain).ok()?;
        let (_, password) = plain.split_once(':')?;
        Some(password.to_owned())
    })
}

fn credentials<'h>(headers: &'h HeaderMap, scheme: &str) -> Option<&'h str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (given, credentials) = value.split_once(' ')?;
    given.eq_ignore_ascii_case(scheme).then(|| credentials.trim())
}

/// The token of those that allow something.
///
/// # Errors
/// 401 where none is shown, or one that nobody has; 403 where what is shown does not allow it.
pub(super) fn authorize<'t>(
    tokens: &'t [Token],
    right: Right,
    given: Option<&str>,
) -> Result<&'t Token, Refusal> {
    let refuse = |status: StatusCode, message: String| {
        let kind = if status == StatusCode::FORBIDDEN {
            "forbidden"
        } else {
            "unauthorized"
        };
        Err(Refusal(status, kind, message))
    };
    let [first, ..] = right.roles() else {
        unreachable!("every right has a role");
    };
    if !tokens.iter().any(|token| token.role.allows(right)) {
        return refuse(
            StatusCode::UNAUTHORIZED,
            format!(
                "nobody may {right} yet; add serve: {{tokens: [{{token_file: /run/secrets/{0}, role: {0}}}]}} to the settings",
                first
            ),
        );
    }
    let Some(given) = given else {
        let message = "send the header 'Authorization: Bearer <token>' with a token of serve.tokens";
        return refuse(StatusCode::UNAUTHORIZED, message.to_owned());
    };
    // Every token is compared, so that the time says nothing about them. Of two alike the one counts that allows more.
    let known = tokens.iter().fold(None, |known: Option<&Token>, token| {
        let is_it = token.secret.is(given);
        let is_better = known.is_none_or(|known| !known.role.allows(right));
        if is_it && is_better { Some(token) } else { known }
    });
    match known {
        Some(token) if token.role.allows(right) => Ok(token),
        Some(token) => {
            let able: Vec<String> = right.roles().iter().map(ToString::to_string).collect();
            let message = format!(
                "this token has the role {}, which may not {right}; these may: {}",
                token.role,
                able.join(", ")
            );
            refuse(StatusCode::FORBIDDEN, message)
        }
        None => {
            let message = "the token is not one of serve.tokens in the settings";
            refuse(StatusCode::UNAUTHORIZED, message.to_owned())
        }
    }
}

/// A command by who shows this token: where it has a scope, on the alerts of that alone.
pub(super) fn by(token: &Token, command: Command) -> Command {
    if token.scope.is_empty() {
        command
    } else {
        Command::Within(token.scope.clone(), Box::new(command))
    }
}

/// Whether somebody has to show a token for something that is open to all where no such token is declared.
fn is_closed(tokens: &[Token], right: Right) -> bool {
    let first = right.roles().first();
    tokens.iter().any(|token| Some(&token.role) == first)
}

/// Asks for a token before anything is shown, as soon as there is one with the role `viewer`; and before a reload, as soon
/// as there is one with the role `admin`.
pub(super) async fn guard(State(app): State<App>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    // What changes something by the API asks for its own token.
    let shows = reads || path.starts_with("/nodes/") || path.starts_with("/episodes/");
    let right = if path == "/-/reload" {
        Some(Right::Reload)
    } else if shows && !OPEN.iter().any(|open| path.starts_with(open)) {
        Some(Right::Read)
    } else {
        None
    };
    let tokens = &app.shared.tokens;
    let Some(right) = right.filter(|right| is_closed(tokens, *right)) else {
        return next.run(request).await;
    };
    let given = match right {
        Right::Read => shown_to_read(request.headers()),
        _ => shown(request.headers()),
    };
    match authorize(tokens, right, given.as_deref()) {
        Ok(_) => next.run(request).await,
        Err(Refusal(status, kind, message)) => {
            let is_page = !path.starts_with("/api/") && path != "/metrics";
            let mut response = if is_page {
                (status, format!("{message}\n")).into_response()
            } else {
                let body = serde_json::json!({"status": "error", "errorType": kind, "error": message});
                (status, Json(body)).into_response()
            };
            if status == StatusCode::UNAUTHORIZED && right == Right::Read {
                // Browsers ask their user for a name, which is not looked at, and a password, which is the token.
                let asks = HeaderValue::from_static("Basic realm=\"tautline\", charset=\"UTF-8\"");
                response.headers_mut().insert(header::WWW_AUTHENTICATE, asks);
            }
            response
        }
    }
}
