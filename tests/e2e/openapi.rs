//! The API's document against the API: every answer of a daemon at work fits what the document says of it.

use serde_json::{Value, json};

use crate::alert::Story;
use crate::parts::http;

#[test]
fn what_the_daemon_answers_is_what_its_document_says() {
    let story = Story::told();
    let daemon = &story.daemon;

    let document = daemon.get("/api/v1/openapi.json").json();
    let alerts = daemon.get("/api/v2/alerts").json();
    assert_eq!(alerts.as_array().map(Vec::len), Some(1), "{alerts}");
    let mut checked = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        let asked = match path.as_str() {
            "/api/v1/nodes/{name}" => "/api/v1/nodes/revenue".to_owned(),
            "/api/v1/episodes/{episode}/history" => "/api/v1/episodes/none/history".to_owned(),
            "/api/v1/entries/{metric}" | "/api/v2/silence/{id}" => path.replace(['{', '}'], ""),
            whole => whole.to_owned(),
        };
        if methods.get("get").is_none() {
            continue;
        }
        let answer = http::get(daemon.port(), &asked).unwrap();
        let described = &methods["get"]["responses"][answer.status.to_string()];
        assert!(
            !described.is_null(),
            "{path} answers {}: {}",
            answer.status,
            answer.body
        );
        let described = match described["$ref"].as_str() {
            Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap(),
            None => described,
        };
        let schema = &described["content"]["application/json"]["schema"];
        if schema.is_null() || path.starts_with("/-/") {
            continue;
        }
        checked += 1;
        fits(&document, schema, &answer.json(), path);
    }
    assert!(checked >= 10, "{checked}");

    // Filters of Prometheus.
    let rules = daemon
        .get("/api/v1/rules?rule_name[]=done-but-flat&exclude_alerts=true")
        .json();
    let groups = rules["data"]["groups"].as_array().unwrap();
    assert_eq!(groups.len(), 1, "{rules}");
    assert_eq!(groups[0]["rules"][0]["state"], "firing");
    assert!(groups[0]["rules"][0].get("alerts").is_none(), "{rules}");
    let none = daemon.get("/api/v1/rules?type=record").json();
    assert_eq!(none["data"]["groups"], json!([]));
    assert_eq!(
        http::get(daemon.port(), "/api/v1/rules?type=both")
            .unwrap()
            .status,
        400
    );
    story.daemon.stop();
}

fn fits(document: &Value, schema: &Value, answer: &Value, path: &str) {
    let whole = json!({"components": document["components"], "allOf": [schema]});
    let validator = jsonschema::validator_for(&whole).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(answer)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{path}: {errors:#?}\n{answer:#}");
}
