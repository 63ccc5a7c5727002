//! `/api/v1/openapi.json`: what the API takes and answers, written by hand in `openapi.yaml` and kept true by tests: every
//! route of the router is in it, and what the daemon answers fits it.

use std::sync::LazyLock;

use axum::http::header;
use axum::response::{IntoResponse, Response};

use crate::catalog::yaml;

const TEXT: &str = include_str!("openapi.yaml");

static DOCUMENT: LazyLock<Result<String, String>> = LazyLock::new(|| {
    let mut document: serde_json::Value =
        yaml::read(&"openapi.yaml".into(), TEXT).map_err(|error| error.to_string())?;
    document["info"]["version"] = env!("CARGO_PKG_VERSION").into();
    serde_json::to_string_pretty(&document).map_err(|error| error.to_string())
});

/// The document.
pub(super) fn document() -> Response {
    match &*DOCUMENT {
        Ok(text) => ([(header::CONTENT_TYPE, "application/json")], text.as_str()).into_response(),
        Err(error) => (axum::http::StatusCode::INTERNAL_SERVER_ERROR, error.as_str()).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use serde_json::Value;

    use super::*;

    /// Methods by path.
    type Routes = BTreeMap<String, BTreeSet<String>>;

    const METHODS: [&str; 4] = ["get", "post", "put", "delete"];

    fn document() -> Value {
        serde_json::from_str(DOCUMENT.as_ref().unwrap()).unwrap()
    }

    /// The routes for programs, as the router declares them: axum does not tell them itself.
    fn declared() -> Routes {
        let source = include_str!("mod.rs");
        let router = source
            .split("fn router(")
            .nth(1)
            .unwrap()
            .split(".fallback(")
            .next()
            .unwrap();
        let mut routes = Routes::new();
        for part in router.split(".route(").skip(1) {
            let path = part.split('"').nth(1).unwrap();
            let handlers = part.split_once(',').unwrap().1;
            let is_for_programs = path.starts_with("/api/") || path.starts_with("/-/") || path == "/metrics";
            if !is_for_programs {
                continue;
            }
            let has = |method: &&&str| {
                handlers
                    .split(|char: char| !char.is_alphanumeric() && char != '_' && char != '(')
                    .any(|word| word.starts_with(&format!("{method}(")))
            };
            let methods = METHODS.iter().filter(has).map(|method| (*method).to_owned());
            assert!(
                routes.insert(path.to_owned(), methods.collect()).is_none(),
                "{path} twice"
            );
        }
        assert!(
            routes.len() > 15,
            "the router is declared in another way: {routes:?}"
        );
        routes
    }

    #[test]
    fn every_route_for_programs_is_in_the_document_and_nothing_else() {
        let document = document();
        let documented: Routes = document["paths"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(path, methods)| {
                (
                    path.clone(),
                    methods.as_object().unwrap().keys().cloned().collect(),
                )
            })
            .collect();
        assert_eq!(documented, declared());
    }

    #[test]
    fn every_operation_says_what_it_is_for_what_it_takes_and_what_it_answers() {
        let document = document();
        let mut ids = BTreeSet::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                let at = format!("{method} {path}");
                let id = operation["operationId"]
                    .as_str()
                    .unwrap_or_else(|| panic!("{at} has no id"));
                assert!(ids.insert(id.to_owned()), "{id} twice");
                assert!(
                    operation["summary"].is_string() && operation["tags"].is_array(),
                    "{at}"
                );
                assert!(operation["responses"]["200"].is_object(), "{at}");
                if method == "post" || method == "delete" {
                    let is_open = path.starts_with("/-/");
                    assert!(is_open || operation["security"].is_array(), "{at} needs a token");
                }
                let none = Vec::new();
                let parameters = operation["parameters"].as_array().unwrap_or(&none);
                let in_path: BTreeSet<&str> = parameters
                    .iter()
                    .map(|parameter| resolved(&document, parameter))
                    .filter(|parameter| parameter["in"] == "path")
                    .map(|parameter| parameter["name"].as_str().unwrap())
                    .collect();
                let wanted: BTreeSet<&str> = path
                    .split('/')
                    .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
                    .collect();
                assert_eq!(in_path, wanted, "{at}");
            }
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn walk(document: &Value, value: &Value, found: &mut usize) {
            if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
                let pointer = reference.strip_prefix('#').unwrap();
                assert!(document.pointer(pointer).is_some(), "{reference}");
                *found += 1;
            }
            match value {
                Value::Object(fields) => fields.values().for_each(|value| walk(document, value, found)),
                Value::Array(values) => values.iter().for_each(|value| walk(document, value, found)),
                _ => {}
            }
        }
        let (document, mut found) = (document(), 0);
        walk(&document, &document, &mut found);
        assert!(found > 50, "{found}");
    }

    fn resolved<'d>(document: &'d Value, value: &'d Value) -> &'d Value {
        match value.get("$ref").and_then(Value::as_str) {
            Some(reference) => document.pointer(reference.strip_prefix('#').unwrap()).unwrap(),
            None => value,
        }
    }
}
