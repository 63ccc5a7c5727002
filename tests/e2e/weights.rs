//! Weights that follow the evidence: proposed at a close, approved by somebody, in force from the next period on, and kept
//! whatever happens.

use std::f64::consts::TAU;
use std::time::Duration;

use jiff::{Timestamp, ToSpan};
use serde_json::{Value, json};

use crate::parts::daemon::{APPROVER, Daemon, Site, TOKEN, shown, tautline, zone_at_noon};
use crate::parts::http::{Answer, send};
use crate::parts::{scratch, wait};

const WITHIN: Duration = Duration::from_secs(60);
/// Days of history: a link takes a season to learn.
const DAYS: i32 = 500;
/// So late an event may come that the last close lies more than a month back.
const LATE: &str = "45d";

#[test]
fn a_proposal_is_approved_applies_from_the_next_period_on_and_is_kept() {
    let site = Site::without_broker().declares(&catalog(LATE));
    let mut daemon = site.start();
    let bearer = format!("Bearer {TOKEN}");
    let headers = [
        ("Content-Type", "application/x-ndjson"),
        ("Authorization", bearer.as_str()),
    ];
    let history = history();
    let taken = send(daemon.port(), "/api/v1/events/shop", &headers, history.as_bytes()).unwrap();
    assert_eq!(taken.status, 200, "{taken:?}");
    let proposal = wait::until_ok("weights are proposed", WITHIN, || {
        pending(&daemon).ok_or_else(|| daemon.get("/api/v1/weights").body)
    });
    assert_eq!(waiting(&daemon), Some(1.0));

    // Revenue moves with visits and not with articles: these give what those get.
    let closed = proposal["closed"].as_str().unwrap().to_owned();
    let after = |node: &str| {
        let lines = proposal["lines"].as_array().unwrap();
        let line = lines.iter().find(|line| line["node"] == node).unwrap();
        line["after"].as_f64().unwrap()
    };
    let (visits, articles) = (after("visits"), after("articles"));
    assert!(
        visits > articles && visits + articles == before(&proposal),
        "{proposal:#}"
    );
    let page = daemon.get("/nodes/revenue?lang=en").body;
    assert!(
        page.contains("id=\"weights-form\"") && page.contains("explains"),
        "{page}"
    );
    let running = weight(&daemon, "visits");
    replayed_says_the_same(&site, &history, &proposals(&daemon));

    // Only who may, and only once.
    let approval = json!({"decision": "approve", "by": "王芳", "note": "as the review said"});
    let nobody = decide(&daemon, &closed, TOKEN, &approval);
    assert_eq!(nobody.status, 403, "{nobody:?}");
    let unclear = decide(
        &daemon,
        &closed,
        APPROVER,
        &json!({"decision": "yes", "by": "li"}),
    );
    assert_eq!(unclear.status, 422, "{unclear:?}");
    let unknown = decide(&daemon, "1999-01", APPROVER, &approval);
    assert_eq!(unknown.status, 404, "{unknown:?}");
    let approved = decide(&daemon, &closed, APPROVER, &approval);
    assert_eq!(
        (approved.status, &approved.json()["data"]["state"]),
        (200, &"approved".into())
    );
    daemon.kill();

    // Answered is kept, and decided is decided; the running period keeps its weights.
    daemon = site.start();
    wait::until_ok("the decision is there", WITHIN, || {
        standing(&daemon, &closed, "approved")
    });
    let again = decide(
        &daemon,
        &closed,
        APPROVER,
        &json!({"decision": "reject", "by": "li"}),
    );
    assert_eq!(again.status, 409, "{again:?}");
    assert_eq!(waiting(&daemon), Some(0.0));
    assert_eq!(weight(&daemon, "visits"), running);

    // Events are late by an hour only: time goes on into the next period, where what was approved applies.
    site.write_catalog(&catalog("1h"));
    assert_eq!(daemon.post("/-/reload").status, 200);
    let applies = |daemon: &Daemon| {
        wait::until_ok("what was approved applies", WITHIN, || {
            match weight(daemon, "visits") {
                Some(weight) if (weight - visits / 100.0).abs() < 1e-9 => Ok(()),
                seen => Err(format!("{seen:?} and not {visits}")),
            }
        });
    };
    applies(&daemon);
    assert!((weight(&daemon, "articles").unwrap() - articles / 100.0).abs() < 1e-9);
    daemon.kill();

    daemon = site.start();
    applies(&daemon);
    let all = daemon.get("/api/v1/weights").json();
    let proposals = all["data"]["parents"][0]["proposals"].as_array().unwrap();
    let mut closes: Vec<&str> = proposals
        .iter()
        .map(|one| one["closed"].as_str().unwrap())
        .collect();
    let count = closes.len();
    closes.dedup();
    assert_eq!(closes.len(), count, "each close proposes once: {closes:?}");
    let settings = site.settings();
    let explained = tautline(&[
        "explain",
        "visits",
        "--language",
        "en",
        "--config",
        settings.to_str().unwrap(),
    ]);
    let text = String::from_utf8_lossy(&explained.stdout).into_owned();
    assert!(
        text.contains(&format!("王芳 approved what the close of {closed} proposed")),
        "{}",
        shown(&explained)
    );

    // What is declared anew wins, and that is said. It is another weight than the approved one, so that its coming is seen.
    assert_ne!(articles, 25.0);
    site.write_catalog(&catalog("1h").replace("weight: 40", "weight: 25"));
    assert_eq!(daemon.post("/-/reload").status, 200);
    wait::until_ok("what is declared is in force", WITHIN, || {
        match weight(&daemon, "articles") {
            Some(weight) if (weight - 0.25).abs() < 1e-9 => Ok(()),
            seen => Err(format!("{seen:?}")),
        }
    });
    let page = daemon.get("/nodes/visits?lang=en").body;
    assert!(page.contains("what is declared wins"), "{page}");
    daemon.stop();
}

/// The same events through `backtest` propose what the daemon does; it closes the days that may still be late, too.
#[track_caller]
fn replayed_says_the_same(site: &Site, history: &str, told: &[Value]) {
    let folder = scratch("weights");
    let file = folder.path().join("history.ndjson");
    std::fs::write(&file, history).unwrap();
    let settings = site.settings();
    let replayed = tautline(&[
        "backtest",
        "--config",
        settings.to_str().unwrap(),
        "--input",
        file.to_str().unwrap(),
        "--format",
        "ndjson",
    ]);
    let text = String::from_utf8_lossy(&replayed.stdout).into_owned();
    let lines = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let found: Vec<(Value, Value)> = lines
        .filter(|line| line["kind"] == "weights_proposed")
        .map(|line| (line["period"].clone(), points(&line["weights"])))
        .collect();
    // The page has the newest first.
    let told: Vec<(Value, Value)> = told
        .iter()
        .rev()
        .map(|proposal| (proposal["closed"].clone(), points(proposal)))
        .collect();
    assert!(
        !told.is_empty() && found.starts_with(&told),
        "{told:?} in {}",
        shown(&replayed)
    );
}

/// Of each KPI the points before and after.
fn points(proposal: &Value) -> Value {
    let lines = proposal["lines"].as_array().unwrap().iter();
    lines
        .map(|line| json!([line["node"], line["before"], line["after"]]))
        .collect()
}

/// What the proposal's KPIs weighed together.
fn before(proposal: &Value) -> f64 {
    let lines = proposal["lines"].as_array().unwrap();
    lines.iter().map(|line| line["before"].as_f64().unwrap()).sum()
}

fn proposals(daemon: &Daemon) -> Vec<Value> {
    let all = daemon.get("/api/v1/weights").json();
    let found = all["data"]["parents"][0]["proposals"].as_array();
    found.cloned().unwrap_or_default()
}

fn pending(daemon: &Daemon) -> Option<Value> {
    let all = proposals(daemon).into_iter();
    all.into_iter()
        .find(|proposal| proposal["standing"]["state"] == "pending")
}

fn standing(daemon: &Daemon, closed: &str, state: &str) -> Result<(), String> {
    let all = proposals(daemon);
    let found = all.iter().find(|proposal| proposal["closed"] == closed);
    match found {
        Some(proposal) if proposal["standing"]["state"] == state => Ok(()),
        seen => Err(format!("{seen:?}")),
    }
}

fn waiting(daemon: &Daemon) -> Option<f64> {
    let metrics = daemon.metrics();
    metrics.get("tautline_weight_proposals_pending", &[("parent", "revenue")])
}

fn weight(daemon: &Daemon, node: &str) -> Option<f64> {
    daemon
        .metrics()
        .get("tautline_kpi_weight_ratio", &[("node", node)])
}

fn decide(daemon: &Daemon, closed: &str, token: &str, decision: &Value) -> Answer {
    let bearer = format!("Bearer {token}");
    let headers = [
        ("Content-Type", "application/json"),
        ("Authorization", bearer.as_str()),
    ];
    let path = format!("/api/v1/weights/revenue/{closed}");
    send(daemon.port(), &path, &headers, decision.to_string().as_bytes()).unwrap()
}

/// A line a day and metric: revenue follows visits at once, articles go their own way.
fn history() -> String {
    let today = Timestamp::now();
    let wave = |day: i32, length: f64, phase: f64| (f64::from(day) / length * TAU + phase).sin();
    let mut lines = String::new();
    for day in 0..DAYS {
        let at = today - (24 * i64::from(DAYS - 1 - day)).hours();
        let visits = 1000.0 * (0.25 * wave(day, 97.0, 0.0) + 0.1 * wave(day, 41.0, 1.0)).exp();
        let articles = 20.0 * (0.15 * wave(day, 71.0, 2.0)).exp();
        let noise = 1.0 + 0.02 * wave(day, 5.3, 0.0);
        for (kind, value) in [
            ("visits", visits),
            ("revenue", visits * 50.0 * noise),
            ("articles", articles),
        ] {
            lines.push_str(&format!(
                "{{\"time\": \"{at}\", \"kind\": \"{kind}\", \"value\": {value:.2}}}\n"
            ));
        }
    }
    lines
}

fn catalog(lateness: &str) -> String {
    let metric = |name: &str| {
        format!("  {name}: {{source: shop, agg: sum, expr: value, filter: kind == \"{name}\"}}\n")
    };
    let metrics: String = ["revenue", "visits", "articles"].map(metric).concat();
    format!(
        "calendar: {{timezone: {zone}}}\n\
         weights: propose\n\
         sources:\n  shop: {{http: true, format: json, time: time, lateness: {lateness}, fields: {{kind: kind, value: value}}}}\n\
         metrics:\n{metrics}\
         nodes:\n\
         \x20 revenue:  {{metric: revenue, role: business, period: month, target: 1500000}}\n\
         \x20 visits:   {{metric: visits, role: kpi, parent: revenue, period: month, target: 30000, weight: 60, owner: sales}}\n\
         \x20 articles: {{metric: articles, role: kpi, parent: revenue, period: month, target: 600, weight: 40, owner: content}}\n",
        zone = zone_at_noon()
    )
}
