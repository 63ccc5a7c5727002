//! Weights that follow the evidence: what is in force, proposed and decided, as page and API show it, and where somebody
//! decides.

use std::collections::BTreeMap;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::civil::Date;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use super::ingest::Refusal;
use super::orders::{NotDone, Orders};
use super::page::{Reader, encoded};
use super::view::View;
use crate::catalog::{NodeId, WeightMode};
use crate::evaluate::weights::{Decision, Proposal, Refused, Setting, all_weighted, weighted};
use crate::words::{Language, percent, weights as words};

/// Characters of a name.
const MAX_NAME: usize = 100;
/// Characters of a note.
const MAX_NOTE: usize = 500;
/// Decided proposals and settings on a page, the newest; the API has all of them.
const SHOWN: usize = 24;

/// Where the form stands.
#[derive(Clone, Debug, Default)]
pub(super) struct FormState {
    /// Whether a decision was just taken.
    pub(super) decided: bool,
    /// What was wrong with what was sent.
    pub(super) error: Option<String>,
    /// What was sent.
    pub(super) sent: BTreeMap<String, String>,
}

/// What `POST /api/v1/weights/{parent}/{period}` sends.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct Given {
    decision: String,
    by: String,
    #[serde(default)]
    note: Option<String>,
}

/// Reads a decision from a request.
///
/// # Errors
/// 422, with what is wrong.
pub(super) fn read(parent: String, closed: String, body: &[u8]) -> Result<Decision, Refusal> {
    let given: Given = serde_json::from_slice(body).map_err(|error| {
        bad(format!(
            "{error}; a decision is a JSON object such as {{\"decision\": \"approve\", \"by\": \"li\", \"note\": \"…\"}}"
        ))
    })?;
    decision(parent, closed, &given.decision, &given.by, given.note.as_deref())
}

/// What the form on a page sends: the token, and the decision.
///
/// # Errors
/// 422, with what is wrong.
pub(super) fn given(
    parent: &str,
    sent: &BTreeMap<String, String>,
) -> (Option<String>, Result<Decision, Refusal>) {
    let text = |name: &str| sent.get(name).map_or("", |text| text.trim());
    let token = Some(text("token")).filter(|token| !token.is_empty());
    let taken = if text("confirm") == "yes" {
        let closed = text("closed").to_owned();
        decision(
            parent.to_owned(),
            closed,
            text("decision"),
            text("by"),
            Some(text("note")),
        )
    } else {
        Err(bad("confirm that you have read what changes".to_owned()))
    };
    (token.map(str::to_owned), taken)
}

fn decision(
    parent: String,
    closed: String,
    word: &str,
    by: &str,
    note: Option<&str>,
) -> Result<Decision, Refusal> {
    let approve = match word {
        "approve" => true,
        "reject" => false,
        other => return Err(bad(format!("'{other}' is no decision; write approve or reject"))),
    };
    let plain = |text: &str| -> String { text.trim().chars().filter(|char| !char.is_control()).collect() };
    let by = plain(by);
    if by.is_empty() || by.chars().count() > MAX_NAME {
        return Err(bad(format!(
            "'by' is the name of who decides, {MAX_NAME} characters at most"
        )));
    }
    let note = note.map(plain).filter(|note| !note.is_empty());
    if note.as_ref().is_some_and(|note| note.chars().count() > MAX_NOTE) {
        return Err(bad(format!("a note has {MAX_NOTE} characters at most")));
    }
    Ok(Decision {
        parent,
        closed,
        approve,
        by,
        note,
    })
}

fn bad(message: String) -> Refusal {
    Refusal(StatusCode::UNPROCESSABLE_ENTITY, "bad_data", message)
}

/// Takes a decision; returns how the proposal stands once that is durable.
///
/// # Errors
/// Where it cannot be taken, or nobody answers.
pub(super) async fn decide(orders: &Orders, decision: Decision) -> Result<String, Refusal> {
    orders.decide(decision).await.map_err(|not_done| {
        let (status, word) = match &not_done {
            NotDone::Weights(Refused::Unknown { .. }) => (StatusCode::NOT_FOUND, "not_found"),
            NotDone::Weights(Refused::Decided { .. }) => (StatusCode::CONFLICT, "decided"),
            NotDone::Refused(_) => (StatusCode::BAD_REQUEST, "bad_data"),
            NotDone::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
        };
        Refusal(status, word, not_done.to_string())
    })
}

/// The answer to a decision.
pub(super) fn answer(parent: &str, closed: &str, taken: Result<String, Refusal>) -> Response {
    match taken {
        Ok(state) => {
            let data = json!({"parent": parent, "closed": closed, "state": state});
            Json(json!({"status": "success", "data": data})).into_response()
        }
        Err(refusal) => refusal.into_response(),
    }
}

/// Every parent with weighted KPIs: what is in force, what was proposed and decided, and what was in force.
pub(super) fn list(view: &View) -> Response {
    let catalog = &view.catalog;
    let day = today(view);
    let mut parents = Vec::new();
    for (parent, kpis) in all_weighted(catalog) {
        let node = catalog.node(parent);
        let in_force: BTreeMap<&str, Option<f64>> = kpis
            .iter()
            .map(|kpi| {
                let weight = view
                    .snapshot
                    .nodes
                    .get(kpi.0 as usize)
                    .and_then(|info| info.weight);
                let declared = catalog.node(*kpi).weight;
                (catalog.node(*kpi).name.as_str(), weight.or(declared))
            })
            .collect();
        let newest_first = |proposals: &[Proposal]| -> Vec<Value> {
            proposals
                .iter()
                .rev()
                .map(|proposal| proposal_json(view, proposal))
                .collect()
        };
        let settings: Vec<&Setting> = view.book.settings(&node.name).iter().rev().collect();
        parents.push(json!({
            "parent": node.name,
            "title": node.title,
            "weights": in_force,
            "proposals": newest_first(view.book.proposals(&node.name)),
            "history": settings,
        }));
    }
    let mode = match catalog.weighting.mode {
        WeightMode::Propose => "propose",
        WeightMode::Auto => "auto",
        WeightMode::Off => "off",
    };
    let data = json!({
        "mode": mode,
        "day": day,
        "pending": view.book.pending().count(),
        "parents": parents,
    });
    Json(json!({"status": "success", "data": data})).into_response()
}

fn proposal_json(view: &View, proposal: &Proposal) -> Value {
    let mut json = json!(proposal);
    let reasons = proposal.lines.iter().map(|line| {
        words::reason(
            line,
            title(view, &line.node),
            title(view, &proposal.parent),
            view.language,
        )
    });
    for (line, reason) in json["lines"].as_array_mut().into_iter().flatten().zip(reasons) {
        line["reason"] = reason.into();
    }
    json
}

/// The local day of the watermark.
fn today(view: &View) -> Option<Date> {
    Some(view.catalog.calendar.day_of(view.snapshot.watermark?))
}

/// The title of a node, or its name where the catalogue has it no more.
fn title<'v>(view: &'v View, name: &'v str) -> &'v str {
    let node = view.catalog.nodes.iter().find(|node| node.name == name);
    node.map_or(name, |node| node.title.as_str())
}

/// The part of a node's page about weights: of its KPIs, and its own.
pub(super) fn section(view: &View, reader: Reader, at: usize, form: &FormState) -> Markup {
    let catalog = &view.catalog;
    let Some(node) = catalog.nodes.get(at) else {
        return html! {};
    };
    let id = NodeId(u32::try_from(at).unwrap_or(u32::MAX));
    let has_weighted = !weighted(catalog, id).is_empty();
    let above = node.parent.as_ref().filter(|_| node.weight.is_some());
    html! {
        @if has_weighted { (of_kpis(view, reader, &node.name, form)) }
        @if let Some(link) = above { (of_its_own(view, reader, &node.name, &catalog.node(link.node).name)) }
    }
}

fn of_kpis(view: &View, reader: Reader, parent: &str, form: &FormState) -> Markup {
    let language = reader.language;
    let proposals = view.book.proposals(parent);
    let settings = view.book.settings(parent);
    let is_pending = |proposal: &&Proposal| proposal.standing.as_str() == "pending";
    let pending = proposals.iter().rev().find(is_pending);
    let decided: Vec<&Proposal> = proposals
        .iter()
        .rev()
        .filter(|known| !is_pending(known))
        .collect();
    // Without a word but the first declaration there is nothing to tell.
    if pending.is_none() && decided.is_empty() && settings.len() < 2 && form.error.is_none() {
        return html! {};
    }
    html! {
        h3 id="weights" { (language.pick("KPI 权重", "Weights of its KPIs")) }
        @if form.decided { p.taken role="status" { (language.pick("决定已保存", "The decision is saved")) } }
        @if let Some(error) = &form.error { p.refused role="alert" { (error) } }
        @if let Some(proposal) = pending { (ask(view, reader, proposal, form)) }
        @if !decided.is_empty() {
            details {
                summary { (language.pick("以往建议", "Earlier proposals")) " (" (decided.len()) ")" }
                ul.weights {
                    @for proposal in decided.into_iter().take(SHOWN) {
                        li {
                            (proposal.closed) " · " (words::standing(&proposal.standing, language))
                            (reasons(view, language, proposal))
                        }
                    }
                }
            }
        }
        @if settings.len() > 1 {
            h4 { (language.pick("权重沿革", "History of the weights")) }
            ul.weights {
                @for setting in settings.iter().rev().take(SHOWN) {
                    li { (words::setting(setting, None, language)) " (" (points(view, language, setting)) ")" }
                }
            }
        }
    }
}

/// What a setting says of each KPI.
fn points(view: &View, language: Language, setting: &Setting) -> String {
    let each = setting.weights.iter();
    let said: Vec<String> = each
        .map(|(node, weight)| format!("{} {}", title(view, node), language.number(*weight)))
        .collect();
    said.join(language.pick("，", ", "))
}

fn reasons(view: &View, language: Language, proposal: &Proposal) -> Markup {
    let parent = title(view, &proposal.parent);
    html! {
        ul {
            @for line in &proposal.lines { li { (words::reason(line, title(view, &line.node), parent, language)) } }
        }
    }
}

/// The proposal that waits, with its numbers and the form to decide.
fn ask(view: &View, reader: Reader, proposal: &Proposal, form: &FormState) -> Markup {
    let language = reader.language;
    let sent = |name: &str| form.sent.get(name).map(String::as_str).unwrap_or_default();
    let action = reader.link(&format!("/nodes/{}/weights", encoded(&proposal.parent)));
    let number = |value: f64| language.number(value);
    html! {
        p.note {
            @match language {
                Language::Zh => { (proposal.closed) " 结束时建议调整权重；批准后从下一期间起生效，正在进行的期间不变。" },
                Language::En => { "Proposed at the close of " (proposal.closed) ". What is approved applies from the start of the next period; nothing changes inside a running one." },
            }
        }
        (reasons(view, language, proposal))
        div.scroll { table.entries {
            thead { tr {
                th { "KPI" }
                th { (language.pick("现在", "Now")) }
                th { (language.pick("建议", "Proposed")) }
                th { (language.pick("解释占比", "Explains")) }
                th { (language.pick("联动强度", "Link strength")) }
                th { (language.pick("把握", "Confidence")) }
            } }
            tbody {
                @for line in &proposal.lines {
                    tr {
                        td { a href=(reader.to_node(&line.node)) { (title(view, &line.node)) } }
                        td { (number(line.before)) }
                        td { (number(line.after)) }
                        @match &line.evidence {
                            Some(evidence) => {
                                td { (percent(evidence.share)) }
                                td { (format!("{:.2}", evidence.strength)) }
                                td { (percent(evidence.confidence)) }
                            },
                            None => { td { "—" } td { "—" } td { "—" } },
                        }
                    }
                }
            }
        } }
        form.entry id="weights-form" method="post" action=(action) {
            input type="hidden" name="closed" value=(proposal.closed);
            label { span { (language.pick("决定人", "Who decides")) }
                input id="weights-by" name="by" required maxlength=(MAX_NAME) autocomplete="name" value=(sent("by")); }
            label { span { (language.pick("口令", "Token")) }
                input id="weights-token" type="password" name="token" required autocomplete="current-password"; }
            label.long { span { (language.pick("说明（可不填）", "Note (optional)")) }
                input id="weights-note" name="note" maxlength=(MAX_NOTE) autocomplete="off" value=(sent("note")); }
            label.long.check {
                input id="weights-confirm" type="checkbox" name="confirm" value="yes" required;
                span { (language.pick("我已看过上面的变化，并据此决定", "I have read what changes, and decide on it")) }
            }
            p.send {
                button type="submit" name="decision" value="approve" { (language.pick("批准", "Approve")) }
                button type="submit" name="decision" value="reject" { (language.pick("否决", "Reject")) }
            }
        }
    }
}

/// What has been in force for a KPI, and what is proposed of it.
fn of_its_own(view: &View, reader: Reader, kpi: &str, parent: &str) -> Markup {
    let language = reader.language;
    let settings = view.book.settings(parent);
    let pending = view.book.pending().find(|proposal| proposal.parent == parent);
    let line = pending.and_then(|proposal| proposal.lines.iter().find(|line| line.node == kpi));
    if line.is_none() && settings.len() < 2 {
        return html! {};
    }
    html! {
        h3 { (language.pick("权重", "Weight")) }
        @if let Some(line) = line {
            p.note {
                (language.pick("建议：", "Proposed: "))
                (words::reason(line, title(view, kpi), title(view, parent), language)) " "
                a href={ (reader.to_node(parent)) "#weights" } { (language.pick("去决定", "Decide")) }
            }
        }
        ul.weights {
            @for setting in settings.iter().rev().take(SHOWN) {
                li { (words::setting(setting, setting.weights.get(kpi).copied(), language)) }
            }
        }
    }
}

/// On the first page: proposals that wait for somebody.
pub(super) fn waiting(view: &View, reader: Reader) -> Markup {
    let language = reader.language;
    html! {
        @for proposal in view.book.pending() {
            p.note {
                @match language {
                    Language::Zh => { (title(view, &proposal.parent)) " 的 KPI 权重有调整建议，" },
                    Language::En => { "Other weights are proposed for the KPIs of " (title(view, &proposal.parent)) ": " },
                }
                a href={ (reader.to_node(&proposal.parent)) "#weights" } { (language.pick("等待决定", "decide")) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_is_a_word_a_name_and_a_note() {
        let read = |body: &str| read("revenue".to_owned(), "2026-06".to_owned(), body.as_bytes());
        let taken =
            read(r#"{"decision": "approve", "by": " 王芳 ", "note": ""}"#).unwrap_or_else(|_| panic!());
        assert_eq!(
            (taken.approve, taken.by.as_str(), taken.note),
            (true, "王芳", None)
        );
        for (body, says) in [
            (r#"{"decision": "maybe", "by": "li"}"#, "write approve or reject"),
            (r#"{"decision": "reject", "by": " "}"#, "name of who decides"),
            (r#"{"decision": "reject"}"#, "missing field `by`"),
            (
                r#"{"decision": "reject", "by": "li", "why": 1}"#,
                "unknown field `why`",
            ),
            ("[]", "a decision is a JSON object"),
        ] {
            let Err(Refusal(status, _, message)) = read(body) else {
                panic!("{body}");
            };
            assert!(
                status == StatusCode::UNPROCESSABLE_ENTITY && message.contains(says),
                "{message}"
            );
        }
    }

    #[test]
    fn a_form_is_confirmed_or_nothing_is_done() {
        let mut sent: BTreeMap<String, String> = [
            ("closed", "2026-06"),
            ("decision", "reject"),
            ("by", "li"),
            ("token", "t"),
            ("note", "too early"),
        ]
        .map(|(name, text)| (name.to_owned(), text.to_owned()))
        .into();
        let (token, refused) = given("revenue", &sent);
        assert_eq!(token.as_deref(), Some("t"));
        assert!(refused.is_err_and(|Refusal(_, _, message)| message.contains("confirm")));
        sent.insert("confirm".to_owned(), "yes".to_owned());
        let (_, taken) = given("revenue", &sent);
        let taken = taken.unwrap_or_else(|_| panic!());
        assert_eq!((taken.approve, taken.note.as_deref()), (false, Some("too early")));
    }
}
