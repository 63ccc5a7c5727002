use std::sync::atomic::{AtomicU32, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

use reqwest::Url;

use super::*;
use crate::settings::Secret;

/// Asks for an id and gives its answer; the registry has a moment for it.
async fn answer(registry: &Registry, id: u32) -> Look {
    for _ in 0..1000 {
        match registry.look(SchemaId(id)) {
            Look::Waiting => tokio::time::sleep(Duration::from_millis(5)).await,
            found => return found,
        }
    }
    Look::Waiting
}

/// A registry that answers as Confluent's does.
async fn start(asked: Arc<AtomicU32>) -> Registry {
    let app = Router::new().fallback(reply).with_state(asked);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    let settings = SchemaRegistry {
        url: Url::parse(&format!("http://{address}/api/")).unwrap(),
        credentials: Some(("me".to_owned(), Secret::new("word"))),
    };
    Registry::start(&settings, &tokio::runtime::Handle::current()).unwrap()
}

async fn reply(State(asked): State<Arc<AtomicU32>>, uri: Uri, headers: HeaderMap) -> Response {
    const KIND: &str = "application/vnd.schemaregistry.v1+json";
    let attempt = asked.fetch_add(1, Ordering::Relaxed);
    let said = |status: u16, body: &str| {
        let status = StatusCode::from_u16(status).unwrap();
        (status, [(header::CONTENT_TYPE, KIND)], body.to_owned()).into_response()
    };
    // "me:word" in Base64.
    if headers
        .get(header::AUTHORIZATION)
        .is_none_or(|value| value != "Basic bWU6d29yZA==")
    {
        return said(401, r#"{"error_code":401,"message":"Unauthorized"}"#);
    }
    match uri.path() {
        "/api/schemas/ids/1" => said(
            200,
            r#"{"schema":"{\"type\":\"record\",\"name\":\"a.R\",\"fields\":[{\"name\":\"p\",\"type\":\"P\"}]}","references":[{"name":"a.P","subject":"a/P","version":2}]}"#,
        ),
        "/api/subjects/a%2FP/versions/2" => said(
            200,
            r#"{"subject":"a/P","version":2,"id":9,"schema":"{\"type\":\"enum\",\"name\":\"a.P\",\"symbols\":[\"x\"]}"}"#,
        ),
        "/api/schemas/ids/2" => said(
            200,
            r#"{"schema":"syntax = \"proto3\";","schemaType":"PROTOBUF"}"#,
        ),
        "/api/schemas/ids/3" => said(200, r#"{"schema":"{\"type\":\"recrod\"}"}"#),
        "/api/schemas/ids/4" if attempt < 2 => said(
            500,
            r#"{"error_code":50001,"message":"Error in the backend data store"}"#,
        ),
        "/api/schemas/ids/4" => said(200, r#"{"schema":"\"string\""}"#),
        "/api/schemas/ids/5" => said(404, "<html>nobody here</html>"),
        _ => said(404, r#"{"error_code":40403,"message":"Schema not found"}"#),
    }
}

#[tokio::test]
async fn what_the_registry_says_is_believed() {
    let registry = start(Arc::default()).await;
    assert!(matches!(answer(&registry, 1).await, Look::Schema(_)));
    assert!(matches!(
        answer(&registry, 2).await,
        Look::Unusable("it is not Avro")
    ));
    assert!(matches!(
        answer(&registry, 3).await,
        Look::Unusable("it is no Avro schema")
    ));
    assert!(matches!(answer(&registry, 99).await, Look::Missing));
    assert_eq!(registry.status().away, None);
}

#[tokio::test]
async fn it_is_asked_until_it_answers() {
    let asked = Arc::new(AtomicU32::new(0));
    let registry = start(asked.clone()).await;
    assert!(matches!(answer(&registry, 4).await, Look::Schema(_)));
    let status = registry.status();
    assert_eq!(
        (status.away, status.requests),
        (None, BTreeMap::from([("failed", 2), ("found", 1)]))
    );
    // It is asked once, however often somebody looks.
    assert!(matches!(answer(&registry, 4).await, Look::Schema(_)));
    assert_eq!(asked.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn another_s_404_is_no_answer() {
    let registry = start(Arc::default()).await;
    registry.look(SchemaId(5));
    let away = loop {
        match registry.status().away {
            Some((_, what)) => break what,
            None => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    };
    assert_eq!(away, "it answers 404: is the address right?");
    assert!(matches!(registry.look(SchemaId(5)), Look::Waiting));
    // One that makes trouble does not keep the others waiting for long.
    assert!(matches!(answer(&registry, 99).await, Look::Missing));
}

#[tokio::test]
async fn partitions_that_wait_are_counted_by_source() {
    let registry = start(Arc::default()).await;
    for n in 0..2 {
        registry.hold(("t".into(), n), "orders");
    }
    registry.release(&("t".into(), 0));
    assert_eq!(registry.status().held, BTreeMap::from([("orders".to_owned(), 1)]));
}
