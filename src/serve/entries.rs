//! Entries: what people type in, by `POST /api/v1/entries/{metric}` or on the page of a node. Answered once it is
//! durable; listed with who and when, and with what was corrected.

use std::collections::BTreeMap;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Deserialize;
use serde_json::{Value, json};

use super::ingest::Refusal;
use super::view::View;
use crate::catalog::diagnostic::nearest;
use crate::catalog::entries::source_of;
use crate::catalog::{Calendar, Catalog, Layout, Manual, Metric};
use crate::fixed::Fixed;
use crate::source::entry::{Draft, Entry};
use crate::source::push::{Intake, Parcel, Receipt};

/// Longest note, in characters.
const MAX_NOTE: usize = 500;
/// Longest dimension value, in characters.
const MAX_DIMENSION: usize = 200;

/// An entry as somebody sends it.
#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Given {
    /// A number, or a text that is one.
    pub(super) value: Value,
    /// Who enters it: one of `entered_by`.
    pub(super) by: String,
    /// A day, or RFC 3339; now if it is not given.
    #[serde(default)]
    pub(super) at: Option<String>,
    #[serde(default)]
    pub(super) dimensions: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) note: Option<String>,
    /// Number of the entry that it corrects.
    #[serde(default)]
    pub(super) replaces: Option<u64>,
}

/// Reads an entry from a request.
///
/// # Errors
/// 422, with what is wrong.
pub(super) fn read(body: &[u8]) -> Result<Given, Refusal> {
    serde_json::from_slice(body).map_err(|error| {
        let message = format!(
            "{error}; an entry is a JSON object such as {{\"value\": 8.4, \"by\": \"service-lead\"}}"
        );
        Refusal(StatusCode::UNPROCESSABLE_ENTITY, "bad_data", message)
    })
}

/// The manual metric of a name.
///
/// # Errors
/// 404, with the nearest name.
pub(super) fn find<'c>(catalog: &'c Catalog, name: &str) -> Result<(&'c Metric, &'c Manual), Refusal> {
    let manual = || {
        catalog
            .named_metrics()
            .filter(|(_, metric)| metric.manual.is_some())
    };
    let found = manual().find(|(_, metric)| metric.name == name);
    if let Some((_, metric)) = found
        && let Some(declared) = &metric.manual
    {
        return Ok((metric, declared));
    }
    let names: Vec<&str> = manual().map(|(_, metric)| metric.name.as_str()).collect();
    let message = if catalog.named_metrics().any(|(_, metric)| metric.name == name) {
        format!("metric '{name}' is not typed in: it comes from events")
    } else if let Some(near) = nearest(name, names.iter().copied()) {
        format!("there is no metric '{name}'; did you mean '{near}'?")
    } else {
        format!(
            "there is no metric '{name}'; those with type: manual are: {}",
            names.join(", ")
        )
    };
    Err(Refusal(StatusCode::NOT_FOUND, "not_found", message))
}

/// Checks an entry as far as the catalogue says, and hands it in; the answer comes when it is durable.
///
/// # Errors
/// What is wrong with it, or why it is not durable.
pub(super) async fn enter(
    intake: &Intake,
    catalog: &Catalog,
    metric: &str,
    given: Given,
    key: Option<String>,
) -> Result<Receipt, Refusal> {
    let (metric, declared) = find(catalog, metric)?;
    let draft = draft(metric, declared, &catalog.calendar, given)
        .map_err(|message| Refusal(StatusCode::UNPROCESSABLE_ENTITY, "bad_data", message))?;
    let body = serde_json::to_vec(&draft)
        .map_err(|error| Refusal(StatusCode::BAD_REQUEST, "bad_data", error.to_string()))?;
    let parcel = Parcel {
        source: source_of(&metric.name),
        layout: Layout::Single,
        headers: Vec::new(),
        body,
        key,
    };
    let receipt = intake.submit(parcel).await.map_err(Refusal::from)?;
    match receipt.errors.first() {
        Some(error) if receipt.accepted == 0 => {
            let message = match error.reason.as_str() {
                "future" => "the day is in the future; an entry is for a day that has begun".to_owned(),
                _ => error.detail.clone(),
            };
            Err(Refusal(StatusCode::UNPROCESSABLE_ENTITY, "rejected", message))
        }
        _ => Ok(receipt),
    }
}

fn draft(metric: &Metric, declared: &Manual, calendar: &Calendar, given: Given) -> Result<Draft, String> {
    let by = given.by.trim();
    if !declared.entered_by.iter().any(|who| who == by) {
        let who = declared.entered_by.join(", ");
        return Err(format!(
            "'{by}' may not enter '{}'; entered_by has {who}",
            metric.name
        ));
    }
    let value = match &given.value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_owned(),
        other => return Err(format!("'value' is a number, and this is {other}")),
    };
    let no_number = |_| match value.contains([',', '，']) {
        true => format!(
            "'{value}' has a comma, which some read as a point; write the number without, such as 12000 or 8.4"
        ),
        false => format!("'value' is a number such as 8.4, and this is '{value}'"),
    };
    Fixed::parse(&value).map_err(no_number)?;
    let at = given.at.as_deref().map(str::trim).filter(|at| !at.is_empty());
    let at_ms = at.map(|at| moment(at, calendar)).transpose()?;
    let note = given
        .note
        .map(|note| note.trim().to_owned())
        .filter(|note| !note.is_empty());
    if note.as_ref().is_some_and(|note| note.chars().count() > MAX_NOTE) {
        return Err(format!("'note' has at most {MAX_NOTE} characters"));
    }
    let inherits = given.replaces.is_some() && given.dimensions.is_empty();
    let names: Vec<&str> = metric.dimensions.iter().map(String::as_str).collect();
    if let Some(unknown) = given
        .dimensions
        .keys()
        .find(|name| !names.contains(&name.as_str()))
    {
        let known = if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(", ")
        };
        return Err(format!(
            "'{}' has no dimension '{unknown}'; it has {known}",
            metric.name
        ));
    }
    for name in names.iter().filter(|_| !inherits) {
        let value = given.dimensions.get(*name).map_or("", |value| value.trim());
        if value.is_empty() || value.chars().count() > MAX_DIMENSION {
            return Err(format!(
                "say which {name} the value is for: dimensions: {{\"{name}\": \"…\"}}"
            ));
        }
    }
    let trimmed = |(name, value): (String, String)| (name, value.trim().to_owned());
    Ok(Draft {
        value,
        by: by.to_owned(),
        at_ms,
        dimensions: given.dimensions.into_iter().map(trimmed).collect(),
        note,
        replaces: given.replaces,
    })
}

/// A day is its beginning in the calendar's zone.
fn moment(text: &str, calendar: &Calendar) -> Result<i64, String> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at.as_millisecond());
    }
    match text.parse::<Date>() {
        Ok(day) if text.len() == 10 => Ok(calendar.start_of(day).as_millisecond()),
        _ => Err(format!(
            "'at' is a day such as 2026-11-24, or a time with its offset, and this is '{text}'"
        )),
    }
}

/// The answer to an entry that was sent.
pub(super) fn answer(result: Result<Receipt, Refusal>) -> Response {
    match result {
        Ok(receipt) => {
            let data = json!({"number": receipt.number, "repeated": receipt.repeated});
            Json(json!({"status": "success", "data": data})).into_response()
        }
        Err(refusal) => refusal.into_response(),
    }
}

/// Entries of a metric, the newest first, each with the number of the one that corrects it.
pub(super) fn of_metric<'v>(view: &'v View, metric: &str) -> Vec<(&'v Entry, Option<u64>)> {
    let mine: Vec<&Entry> = view
        .entries
        .iter()
        .filter(|entry| entry.metric == metric)
        .collect();
    let corrected: BTreeMap<u64, u64> = mine
        .iter()
        .filter_map(|entry| Some((entry.replaces?, entry.number)))
        .collect();
    let mut all: Vec<(&Entry, Option<u64>)> = mine
        .into_iter()
        .map(|entry| (entry, corrected.get(&entry.number).copied()))
        .collect();
    all.sort_by_key(|(entry, _)| std::cmp::Reverse(entry.number));
    all
}

/// `GET /api/v1/entries/{metric}`.
pub(super) fn list(view: &View, metric: &str) -> Response {
    let (metric, declared) = match find(&view.catalog, metric) {
        Ok(found) => found,
        Err(refusal) => return refusal.into_response(),
    };
    let time = |ms: i64| {
        Timestamp::from_millisecond(ms)
            .map(|at| at.to_string())
            .unwrap_or_default()
    };
    let entries: Vec<Value> = of_metric(view, &metric.name)
        .into_iter()
        .map(|(entry, replaced_by)| {
            json!({
                "number": entry.number,
                "value": entry.value,
                "by": entry.by,
                "at": time(entry.at_ms),
                "entered_at": time(entry.entered_ms),
                "dimensions": entry.dimensions,
                "note": entry.note,
                "replaces": entry.replaces,
                "replaced_by": replaced_by,
            })
        })
        .collect();
    let data = json!({
        "metric": metric.name,
        "unit": metric.unit,
        "entered_by": declared.entered_by,
        "entries": entries,
    });
    Json(json!({"status": "success", "data": data})).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::load::{Files, load};

    fn said(given: &str) -> Result<Draft, String> {
        let yaml = "calendar: {timezone: Asia/Shanghai}\nmetrics:\n  nps: {type: manual, agg: last, unit: points, entered_by: [lead, 王芳], every: week, dimensions: [store]}\n";
        let catalog = load(&Files::new("", [("a.yaml", yaml)]))
            .map_err(|e| e.to_string())
            .unwrap();
        let (metric, declared) = find(&catalog, "nps").map_err(|refusal| refusal.2).unwrap();
        assert!(find(&catalog, "npss").is_err_and(|refusal| refusal.2.contains("did you mean 'nps'?")));
        let given = serde_json::from_str(given).map_err(|error| error.to_string())?;
        draft(metric, declared, &catalog.calendar, given)
    }

    #[test]
    fn an_entry_says_who_what_when_and_for_whom() {
        let draft =
            said(r#"{"value": 8.4, "by": "王芳", "at": "2026-11-24", "dimensions": {"store": " s1 "}}"#)
                .unwrap();
        assert_eq!(
            (
                draft.value.as_str(),
                draft.at_ms,
                draft.dimensions["store"].as_str()
            ),
            ("8.4", Some(1_795_449_600_000), "s1")
        );
        for (given, expected) in [
            (
                r#"{"value": 8, "by": "me", "dimensions": {"store": "s1"}}"#,
                "entered_by has lead, 王芳",
            ),
            (
                r#"{"value": "8,4", "by": "lead", "dimensions": {"store": "s1"}}"#,
                "'8,4' has a comma",
            ),
            (
                r#"{"value": "12，000", "by": "lead", "dimensions": {"store": "s1"}}"#,
                "has a comma",
            ),
            (
                r#"{"value": "eight", "by": "lead", "dimensions": {"store": "s1"}}"#,
                "such as 8.4, and this is 'eight'",
            ),
            (
                r#"{"value": true, "by": "lead", "dimensions": {"store": "s1"}}"#,
                "is a number",
            ),
            (r#"{"value": 8, "by": "lead"}"#, "say which store"),
            (
                r#"{"value": 8, "by": "lead", "dimensions": {"shop": "s1"}}"#,
                "no dimension 'shop'; it has store",
            ),
            (
                r#"{"value": 8, "by": "lead", "at": "24.11.2026", "dimensions": {"store": "s1"}}"#,
                "a day such as",
            ),
            (r#"{"value": 8, "by": "lead", "when": 1}"#, "unknown field `when`"),
        ] {
            let message = said(given).unwrap_err();
            assert!(message.contains(expected), "{given}: {message}");
        }
        assert!(said(r#"{"value": 8, "by": "lead", "replaces": 3}"#).is_ok());
    }
}
