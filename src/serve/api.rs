//! `/api/v1/…`: the view as JSON. Alerts and rules have the shape of Prometheus, so that its tools can read them.

use std::collections::BTreeMap;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::backfills;
use super::view::{AlertView, View};
use crate::alert::dispatch::Held;
use crate::alert::record::{AlertState, Episode, Facts, Labels};
use crate::catalog::attribute::DriftKind;
use crate::catalog::{Rule, RuleOn};
use crate::evaluate::{FeedState, LinkState, NodeInfo, NodeState, OpenItems, Pace};
use crate::state::{EpisodePlace, LoggedNotice, NoticePlace, Page};
use crate::words::sentence;

fn success(data: Value) -> Response {
    Json(json!({"status": "success", "data": data})).into_response()
}

/// 404 in the shape of a Prometheus error.
pub fn not_found(message: &str) -> Response {
    let body = json!({"status": "error", "errorType": "not_found", "error": message});
    (StatusCode::NOT_FOUND, Json(body)).into_response()
}

/// 400 in the shape of a Prometheus error.
pub fn bad_data(message: &str) -> Response {
    let body = json!({"status": "error", "errorType": "bad_data", "error": message});
    (StatusCode::BAD_REQUEST, Json(body)).into_response()
}

/// Every node with its instances, in tree order of the catalogue.
pub fn nodes(view: &View) -> Response {
    let mut by_node: BTreeMap<u32, Vec<&NodeState>> = BTreeMap::new();
    for instance in &view.snapshot.instances {
        by_node.entry(instance.key.node.0).or_default().push(instance);
    }
    let nodes: Vec<Value> = (0u32..)
        .zip(view.snapshot.nodes.iter())
        .map(|(id, info)| node_json(view, info, by_node.get(&id).map_or(&[], Vec::as_slice)))
        .collect();
    success(json!({
        "version": view.version,
        "watermark": view.snapshot.watermark.map(|w| w.to_string()),
        "nodes": nodes,
    }))
}

/// One node by name.
pub fn node(view: &View, name: &str) -> Response {
    let Some(at) = view.snapshot.nodes.iter().position(|info| info.name == name) else {
        return not_found("no node of this name");
    };
    let instances: Vec<&NodeState> = view
        .snapshot
        .instances
        .iter()
        .filter(|instance| instance.key.node.0 as usize == at)
        .collect();
    success(node_json(view, &view.snapshot.nodes[at], &instances))
}

fn node_json(view: &View, info: &NodeInfo, instances: &[&NodeState]) -> Value {
    let instances: Vec<Value> = instances
        .iter()
        .map(|instance| instance_json(view, info, instance))
        .collect();
    let mut node = json!(info);
    node["instances"] = json!(instances);
    node["backfill"] = backfills::json(view, info);
    node
}

fn instance_json(view: &View, info: &NodeInfo, instance: &NodeState) -> Value {
    let dimensions: BTreeMap<&str, &str> = info
        .each
        .iter()
        .zip(instance.key.dimensions.iter())
        .map(|(name, value)| (name.as_str(), &**value))
        .collect();
    let alerts: Vec<&str> = view
        .alerts
        .iter()
        .filter(|alert| alert.is_firing() && alert.concerns(&view.snapshot, &instance.key))
        .map(|alert| alert.rule.as_str())
        .collect();
    let open = view.snapshot.items.iter().find(|open| open.key == instance.key);
    json!({
        "openItems": open.map(open_items),
        "dimensions": dimensions,
        "period": {
            "kind": instance.period.kind.as_str(),
            "start": instance.period.start.to_string(),
            "end": instance.period.end.to_string(),
        },
        "value": instance.value,
        "target": instance.target,
        "targetBand": instance.band().map(|band| [band.low, band.high]),
        "completion": instance.completion,
        "expectedShare": instance.expected_share,
        "elapsed": instance.elapsed,
        "pace": instance.pace.ratio(),
        "burn": instance.burn.factor(),
        "tooEarly": instance.pace == Pace::TooEarly,
        "judged": instance.is_judged(),
        "countedSince": instance.counted_since.map(|since| since.to_string()),
        "forecast": instance.forecast,
        "forecastRange80": instance.range80(),
        "targetProbability": instance.target_probability,
        "daily": instance.daily,
        "link": instance.link.as_deref().map(link_json),
        "feed": instance.feed.as_deref().map(feed_json),
        "firing": alerts,
    })
}

/// Open items: how many, and the oldest of them, with those that are overdue.
fn open_items(open: &OpenItems) -> Value {
    let items = open.items.iter().map(|item| {
        json!({
            "item": item.name,
            "started": item.started.to_string(),
            "ageSeconds": item.age.as_secs(),
            "overdue": item.is_overdue,
        })
    });
    json!({
        "count": open.count,
        "overdue": open.overdue,
        "overdueAfterSeconds": open.overdue_after.map(|after| after.as_secs()),
        "oldest": items.collect::<Vec<_>>(),
    })
}

/// What is said of the feed of a node that no link watches.
fn feed_json(feed: &FeedState) -> Value {
    json!({
        "silentDays": feed.silent_days,
        "silentSince": feed.silent_since.map(|day| day.to_string()),
        "silentConfidence": feed.silent_confidence,
        "factor": feed.factor,
        "changedSince": feed.changed_since.map(|day| day.to_string()),
        "changedConfidence": feed.changed_confidence,
    })
}

/// What the judgement says of a KPI's link to its parent. Shares: −0.2 is 20 % less.
fn link_json(link: &LinkState) -> Value {
    let scores: BTreeMap<&str, f64> = DriftKind::ALL
        .into_iter()
        .map(|kind| (kind.as_str(), link.score(kind)))
        .collect();
    let findings = link.findings.iter().map(|finding| {
        json!({
            "kind": finding.kind.as_str(),
            "since": finding.since.map(|day| day.to_string()),
            "gap": finding.gap,
            "kpi": finding.kpi,
            "parent": finding.parent,
            "evidence": finding.evidence,
            "confidence": finding.confidence,
            "stream": finding.stream,
            "answered": finding.answered,
            "answeredAfterDays": finding.lag_days,
        })
    });
    json!({
        "findings": findings.collect::<Vec<Value>>(),
        "scores": scores,
        "parentGap": link.parent_gap,
        "strength": link.strength,
        "strengthRange80": link.ranges.map(|ranges| ranges.strength),
        "lagDays": link.lag_days,
        "lagDaysRange80": link.ranges.map(|ranges| ranges.lag_days),
        "elasticity": link.elasticity,
        "elasticityRange80": link.elasticity.and(link.ranges).map(|ranges| ranges.elasticity),
        "judgedDays": link.judged_days,
    })
}

/// Pending and firing alerts, as Prometheus' `/api/v1/alerts`.
pub fn alerts(view: &View) -> Response {
    let alerts: Vec<Value> = view
        .alerts
        .iter()
        .filter_map(|alert| alert_json(view, alert))
        .collect();
    success(json!({ "alerts": alerts }))
}

fn alert_json(view: &View, alert: &AlertView) -> Option<Value> {
    let state = match alert.state {
        AlertState::Inactive => return None,
        AlertState::Pending { .. } => "pending",
        AlertState::Firing | AlertState::Recovering { .. } => "firing",
    };
    let mut labels: Labels = alert.labels.clone();
    labels
        .entry("alertname".into())
        .or_insert_with(|| alert.rule.clone());
    let mut json = json!({
        "labels": labels,
        "annotations": {
            "summary": sentence::heading(&alert.rule, &alert.kind, &alert.facts, view.language),
            "description": sentence::of(&alert.kind, &alert.facts, view.language),
            "kind": alert.kind,
            "severity": alert.severity.as_str(),
        },
        "state": state,
        "activeAt": alert.active_at.to_string(),
        "value": alert.facts.compared.number().map_or_else(|| "NaN".to_owned(), as_go_writes),
    });
    if let AlertState::Recovering { since } = alert.state {
        json["keepFiringSince"] = since.to_string().into();
    }
    Some(json)
}

/// A number as Prometheus writes it: `3e-01`, `1.25e+00`.
fn as_go_writes(value: f64) -> String {
    let text = format!("{value:e}");
    match text.split_once('e') {
        Some((digits, exponent)) => {
            let (sign, size) = match exponent.strip_prefix('-') {
                Some(size) => ('-', size),
                None => ('+', exponent),
            };
            format!("{digits}e{sign}{size:0>2}")
        }
        None => text,
    }
}

/// What of the rules is asked for, with the parameters of Prometheus.
#[derive(Debug, Default)]
pub struct RulesAsked {
    names: Vec<String>,
    groups: Vec<String>,
    without_alerts: bool,
    /// Only recording rules, of which there are none.
    recording: bool,
}

impl RulesAsked {
    /// Reads the query; parameters that are not known are let go, as Prometheus does.
    ///
    /// # Errors
    /// A word that is none of those that may be.
    pub fn read(pairs: &[(String, String)]) -> Result<RulesAsked, String> {
        let mut asked = RulesAsked::default();
        for (name, value) in pairs {
            match (name.as_str(), value.as_str()) {
                ("rule_name[]", _) => asked.names.push(value.clone()),
                ("rule_group[]", _) => asked.groups.push(value.clone()),
                ("type", "alert" | "record") => asked.recording = value == "record",
                ("type", _) => return Err(format!("type is alert or record, not '{value}'")),
                ("exclude_alerts", "true" | "false") => asked.without_alerts = value == "true",
                ("exclude_alerts", _) => {
                    return Err(format!("exclude_alerts is true or false, not '{value}'"));
                }
                _ => {}
            }
        }
        Ok(asked)
    }

    fn wants(&self, group: &str, rule: &Rule) -> bool {
        let named =
            |names: &[String], name: &str| names.is_empty() || names.iter().any(|known| known == name);
        !self.recording && named(&self.groups, group) && named(&self.names, &rule.name)
    }
}

/// When there was no evaluation yet, as Go writes no time.
const NEVER: &str = "0001-01-01T00:00:00Z";

fn last_evaluation(view: &View) -> String {
    let watermark = view.snapshot.watermark;
    watermark.map_or_else(|| NEVER.to_owned(), |at| at.to_string())
}

/// The file of rules that no file declares.
const BUILT_IN: &str = "built-in";

/// Every rule with its alerts, as Prometheus' `/api/v1/rules`: rules on nodes and rules on links are two groups, and those
/// of another file are a group of their own.
pub fn rules(view: &View, asked: &RulesAsked) -> Response {
    let groups: Vec<Value> = [
        (RuleOn::Node, "node"),
        (RuleOn::Link, "link"),
        (RuleOn::Item, "item"),
        (RuleOn::Source, "source"),
        (RuleOn::Siblings, "siblings"),
    ]
    .into_iter()
    .flat_map(|(on, name)| {
        let wanted = |rule: &&Rule| rule.on == on && asked.wants(name, rule);
        let mut by_file: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        for rule in view.catalog.rules.iter().filter(wanted) {
            let file = rule.place.as_ref().map_or(BUILT_IN, |place| &place.file);
            let rules = by_file.entry(file).or_default();
            rules.push(rule_json(view, rule, asked.without_alerts));
        }
        by_file.into_iter().map(move |(file, rules)| (name, file, rules))
    })
    .map(|(name, file, rules)| {
        json!({
            "name": name, "file": file, "interval": view.stats.evaluates_every.as_secs_f64(), "limit": 0,
            "rules": rules, "evaluationTime": 0, "lastEvaluation": last_evaluation(view),
        })
    })
    .collect();
    success(json!({ "groups": groups }))
}

fn rule_json(view: &View, rule: &Rule, without_alerts: bool) -> Value {
    let of_rule: Vec<&AlertView> = view
        .alerts
        .iter()
        .filter(|alert| alert.rule == rule.name && alert.state != AlertState::Inactive)
        .collect();
    let state = if of_rule.iter().any(|alert| alert.is_firing()) {
        "firing"
    } else if of_rule.is_empty() {
        "inactive"
    } else {
        "pending"
    };
    let alerts: Vec<Value> = of_rule
        .iter()
        .filter_map(|alert| alert_json(view, alert))
        .collect();
    let error = view.rule_errors.get(&rule.name);
    let mut json = json!({
        "type": "alerting",
        "name": rule.name,
        "query": rule.levels.first().map_or("", |level| level.when.source()),
        "duration": rule.levels.first().map_or(0.0, |level| level.hold_for.as_secs_f64()),
        "keepFiringFor": rule.keep_firing_for.as_secs_f64(),
        "labels": rule.labels,
        "annotations": {"severity": rule.levels.last().map(|level| level.severity.as_str()), "kind": rule.kind},
        "health": match (error, view.snapshot.watermark) {
            (Some(_), _) => "err",
            (None, Some(_)) => "ok",
            (None, None) => "unknown",
        },
        "lastError": error.map_or("", String::as_str),
        "state": state,
        "evaluationTime": 0,
        "lastEvaluation": last_evaluation(view),
    });
    if !without_alerts {
        json["alerts"] = alerts.into();
    }
    json
}

/// How the sources are doing.
pub fn sources(view: &View) -> Response {
    success(json!({ "sources": view.snapshot.sources }))
}

/// A notice of the log, in the history of its episode and beside others.
fn told_line(logged: &LoggedNotice) -> Value {
    let notice = &logged.notice;
    json!({
        "at": logged.decided.to_string(), "receiver": notice.receiver, "notice": notice.id,
        "kind": notice.kind, "severity": notice.severity.as_str(), "status": logged.status.as_str(),
        "settled": logged.settled.map(|at| at.to_string()), "attempts": logged.attempts,
        "detail": logged.detail,
    })
}

/// A page of the log of notices, the newest first.
pub fn notices(page: &Page<NoticePlace, LoggedNotice>) -> Response {
    let line = |logged: &LoggedNotice| {
        let notice = &logged.notice;
        let mut line = told_line(logged);
        line["episode"] = notice.episode.as_str().into();
        line["alert"] = notice.alert_kind.as_str().into();
        line["labels"] = json!(notice.labels);
        line["reason"] = json!(notice.reason);
        line
    };
    let lines: Vec<Value> = page.entries.iter().map(line).collect();
    success(json!({"notices": lines, "next": page.next.map(|place| place.to_string())}))
}

/// A page of the log of episodes, the newest first.
pub fn episodes(view: &View, page: &Page<EpisodePlace, (String, Episode)>) -> Response {
    let line = |(id, episode): &(String, Episode)| {
        json!({
            "episode": id,
            "rule": episode.rule,
            "kind": episode.kind,
            "labels": episode.labels,
            "severity": episode.severity.as_str(),
            "description": sentence::of(&episode.kind, &episode.facts, view.language),
            "firedAt": episode.fired_at.to_string(),
            "endedAt": episode.ended_at.map(|at| at.to_string()),
            "reason": episode.end_reason,
        })
    };
    let lines: Vec<Value> = page.entries.iter().map(line).collect();
    success(json!({"episodes": lines, "next": page.next.map(|place| place.to_string())}))
}

/// Who was told what of an episode, when, and why somebody was not; oldest first.
pub fn history(told: &[LoggedNotice], held: &[Held]) -> Response {
    let told = told.iter().map(|logged| {
        let (notice, mut line) = (&logged.notice, told_line(logged));
        line["numbers"] = notice.facts.numbers();
        line["numbersAtFiring"] = json!(notice.facts_at_firing.as_ref().map(Facts::numbers));
        line["numbersAtPeak"] = json!(notice.peak.as_ref().map(Facts::numbers));
        (logged.decided, line)
    });
    let held = held.iter().map(|held| {
        let line = json!({"at": held.at.to_string(), "receiver": held.receiver, "held_by": held.by});
        (held.at, line)
    });
    let mut lines: Vec<(jiff::Timestamp, Value)> = told.chain(held).collect();
    lines.sort_by_key(|(at, _)| *at);
    success(json!({"history": lines.into_iter().map(|(_, line)| line).collect::<Vec<_>>()}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::notice::ResolveReason;
    use crate::notify::samples;
    use crate::state::Status;

    #[tokio::test]
    async fn an_end_says_how_it_was_at_its_beginning_and_at_its_worst() {
        let notice = samples::over_after_worse(ResolveReason::Recovered);
        let logged = LoggedNotice {
            decided: notice.decided_at,
            status: Status::Delivered,
            settled: None,
            attempts: 0,
            detail: None,
            notice,
        };
        let body = history(&[logged], &[]).into_body();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let said: Value = serde_json::from_slice(&body).unwrap();
        let line = &said["data"]["history"][0];
        let done = |when: &str| line[when]["parent"]["completion"].as_f64();
        assert_eq!(
            ["numbersAtFiring", "numbersAtPeak", "numbers"].map(done),
            [Some(0.41), Some(0.35), Some(0.78)]
        );
    }

    #[test]
    fn numbers_are_written_as_prometheus_writes_them() {
        for (value, text) in [
            (0.3, "3e-01"),
            (1.0, "1e+00"),
            (1234.5, "1.2345e+03"),
            (-1e-12, "-1e-12"),
            (0.0, "0e+00"),
        ] {
            assert_eq!(as_go_writes(value), text);
        }
    }
}
