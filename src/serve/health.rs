//! `/-/ready` and `/-/reload`: what an orchestrator and an operator ask.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::sync::{mpsc, oneshot};

use super::ReloadRequest;
use super::view::{NotReady, ReadyState};

/// 200 when ready, else 503 with every reason, one a line or as JSON.
pub fn ready(state: &ReadyState, as_json: bool) -> Response {
    let status = if state.reasons.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    if as_json {
        let reasons: Vec<_> = state
            .reasons
            .iter()
            .map(|reason| json!({"code": reason.code(), "message": sentence(reason)}))
            .collect();
        return (
            status,
            Json(json!({"ready": reasons.is_empty(), "reasons": reasons})),
        )
            .into_response();
    }
    let text = if state.reasons.is_empty() {
        "tautline is ready.\n".to_owned()
    } else {
        state
            .reasons
            .iter()
            .map(|reason| format!("{}\n", sentence(reason)))
            .collect()
    };
    (status, text).into_response()
}

fn sentence(reason: &NotReady) -> String {
    match reason {
        NotReady::Starting => "starting: the state is being restored".to_owned(),
        NotReady::TopicsMissing { topics } => {
            format!(
                "Kafka answers, but has none of the topics {} yet; reading begins when they are made",
                topics.join(", ")
            )
        }
        NotReady::CatchingUp {
            records_left,
            is_overdue,
        } => {
            let left = match records_left {
                Some(left) => format!("{left} records of history left to read"),
                None => "history is being read".to_owned(),
            };
            let told = match is_overdue {
                true => "it takes longer than alerts.catchup_max, so notices are sent and say so",
                false => "no notice is sent until then",
            };
            format!("catching up: {left}; {told}")
        }
        NotReady::BrokerAway { since } => {
            format!("no Kafka broker has answered since {since}; reading goes on when one does")
        }
        NotReady::RegistryAway {
            since,
            reason,
            partitions,
        } => {
            let wait = if *partitions == 1 {
                "partition waits"
            } else {
                "partitions wait"
            };
            format!(
                "the schema registry has not answered since {since} ({reason}): {partitions} {wait}, and nothing is lost; reading goes on when it does"
            )
        }
        NotReady::StateFailed(error) => format!("the last commit failed and will be tried again: {error}"),
    }
}

/// Asks the daemon to reload: 200 with its summary, 400 with what is wrong in the catalogue, 503 while it is
/// stopping.
pub async fn reload(daemon: &mpsc::Sender<ReloadRequest>) -> Response {
    let (answer, answered) = oneshot::channel();
    let asked = daemon.send(answer).await.is_ok();
    match answered.await {
        Ok(Ok(summary)) if asked => (StatusCode::OK, format!("{summary}\n")).into_response(),
        Ok(Err(diagnostics)) if asked => {
            (StatusCode::BAD_REQUEST, format!("{diagnostics}\n")).into_response()
        }
        _ => (
            StatusCode::SERVICE_UNAVAILABLE,
            "the daemon is stopping; nothing was reloaded\n",
        )
            .into_response(),
    }
}
