//! Feeds that cannot be used, and bounds that were reached: from counts to what people are told.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::routing_of;
use crate::alert::engine::Engine;
use crate::alert::judge;
use crate::alert::notice::{Notice, NoticeKind, ResolveReason};
use crate::catalog::load::{Files, load};
use crate::catalog::{Catalog, Severity};
use crate::evaluate::intake::Recent;
use crate::evaluate::silence::{Back, Freshness, Silent};
use crate::evaluate::surge::Rush;
use crate::evaluate::{Evaluator, FeedState, Horizon};
use crate::fold::cells::{Bound, Cells};
use crate::fold::plan::Plan;
use crate::words::{Language, sentence};

const CATALOG: &str = r#"
sources:
  orders: {topics: [t], format: json, time: t, max_rejected: 5%, fields: {a: a}}
  visits: {topics: [v], format: json, time: t, fields: {a: a}}
metrics:
  all: {source: orders, agg: count}
nodes:
  all: {metric: all, role: business, period: month}
rules:
  many-lost: {on: source, when: 'source.name == "visits" && source.rejected > 0.0', severity: info, title: "{{ source.name }} lost {{ source.rejected_share }}"}
"#;

fn catalog(yaml: &str) -> Arc<Catalog> {
    let catalog = load(&Files::new("", [("a.yaml", yaml)]));
    Arc::new(catalog.map_err(|d| d.to_string()).unwrap())
}

fn of(read: u64, rejected: u64) -> Recent {
    Recent {
        read,
        rejected,
        reason: (rejected > 0).then(|| "missing_time".to_owned()),
        let_go: 0,
        ..Recent::default()
    }
}

/// What is told of orders and visits when one hour after the other brings these counts; everything goes through the
/// state's form in between.
fn told(hours: &[[Recent; 2]]) -> Vec<Notice> {
    let catalog = catalog(CATALOG);
    told_under(hours.iter().map(|intake| (&catalog, &intake[..])))
}

/// The same, where every hour has its catalogue.
fn told_under<'a>(hours: impl IntoIterator<Item = (&'a Arc<Catalog>, &'a [Recent])>) -> Vec<Notice> {
    let mut records = Vec::new();
    let mut notices = Vec::new();
    let first: Timestamp = "2026-06-10T00:00:00Z".parse().unwrap();
    for (hour, (catalog, intake)) in (0..).zip(hours) {
        let mut engine = Engine::new("s");
        engine.restore(records, Default::default());
        engine.withdraw(|record| judge::withdrawn(catalog, record));
        let plan = Arc::new(Plan::compile(catalog));
        let cells = Cells::new(plan.clone());
        let mut evaluator = Evaluator::new(catalog.clone(), plan.clone());
        let routing = routing_of(&[(Severity::INFO, "ops".to_owned())]);
        let when = judge::When {
            at: first + SignedDuration::from_hours(hour),
            horizon: Horizon::Known,
            tell: Some(judge::Tell::at(
                first + SignedDuration::from_hours(hour),
                &routing,
            )),
            intake,
        };
        let (_, step) = judge::step(catalog, &mut evaluator, &cells, &mut engine, when);
        notices.extend(step.notices);
        let kept = engine
            .records()
            .map(|record| serde_json::to_string(record).unwrap());
        records = kept
            .map(|record| serde_json::from_str(&record).unwrap())
            .collect();
    }
    notices
}

fn kinds(notices: &[Notice]) -> Vec<(&str, &str, NoticeKind, Severity)> {
    notices
        .iter()
        .map(|notice| {
            let name = notice.labels["alertname"].as_str();
            (
                name,
                notice.labels["source"].as_str(),
                notice.kind,
                notice.severity,
            )
        })
        .collect()
}

#[test]
fn a_feed_whose_events_cannot_be_used_is_told_once_and_taken_back() {
    use NoticeKind::{Escalated, Fired, Resolved};
    let quiet = || of(1000, 0);
    let notices = told(&[
        // As many as are allowed; more, of few events, are too few to say so.
        [of(1000, 50), quiet()],
        [of(20, 9), quiet()],
        [of(1000, 51), quiet()],
        [of(1000, 700), quiet()],
        // Nothing is known after a day of silence: it stays.
        [of(0, 0), quiet()],
        [of(1000, 0), quiet()],
    ]);
    assert_eq!(
        kinds(&notices),
        [
            ("rejected", "orders", Fired, Severity::WARNING),
            ("rejected", "orders", Escalated, Severity::CRITICAL),
            ("rejected", "orders", Resolved, Severity::CRITICAL),
        ]
    );
    assert_eq!(notices[0].alert_kind, "feed_gap");
    let facts = notices[0].facts.source.as_ref().unwrap();
    assert_eq!((facts.read, facts.rejected, facts.allowed), (1000, 51, 0.05));
    assert_eq!(notices[0].facts.compared.number(), Some(51.0));
}

#[test]
fn a_bound_that_was_reached_is_told_and_own_rules_ask_sources() {
    let beyond = Recent {
        let_go: 3,
        bounds: [Bound::Values].into(),
        ..of(1000, 0)
    };
    let notices = told(&[
        [of(1000, 0), of(100, 1)],
        [beyond.clone(), of(100, 1)],
        [of(1000, 0), of(100, 1)],
    ]);
    let names: Vec<(&str, NoticeKind)> = notices
        .iter()
        .map(|notice| (notice.labels["alertname"].as_str(), notice.kind))
        .collect();
    assert_eq!(
        names,
        [
            ("many-lost", NoticeKind::Fired),
            ("limit_reached", NoticeKind::Fired),
            ("limit_reached", NoticeKind::Resolved),
        ]
    );
    assert_eq!(notices[0].facts.title, "visits lost 1%");
    // Which one it was is still known when it is over: the heading stays.
    let at_firing = |notice: &Notice| {
        notice
            .facts_at_firing
            .clone()
            .unwrap_or_else(|| notice.facts.clone())
    };
    for notice in &notices[1..] {
        assert_eq!(
            sentence::heading("limit_reached", "limit_reached", &at_firing(notice), Language::En),
            "Source orders has reached a limit of the settings"
        );
    }
}

#[test]
fn a_surge_is_told_and_is_over_when_the_hour_is() {
    let rush = |events| Recent {
        rush: Rush {
            events,
            busiest: 1_000,
        },
        ..of(1000, 0)
    };
    let hours = [2_999, 3_000, 2_500, 1_999].map(|events| [rush(events), of(10, 0)]);
    let notices = told(&hours);
    assert_eq!(
        kinds(&notices),
        [
            ("surge", "orders", NoticeKind::Fired, Severity::WARNING),
            ("surge", "orders", NoticeKind::Resolved, Severity::WARNING),
        ]
    );
}

/// Orders after so many minutes without one, of which an hour is allowed.
fn silent(minutes: i64) -> Recent {
    let share = minutes as f64 / 60.0;
    Recent {
        silent: Silent {
            freshness: if share < 1.0 {
                Freshness::Live
            } else {
                Freshness::Stale
            },
            since: Some("2026-06-09T00:00:00Z".parse().unwrap()),
            lasted: SignedDuration::from_mins(minutes),
            share,
            expected: None,
            back: None,
        },
        ..of(1000, 0)
    }
}

#[test]
fn a_source_that_is_silent_for_too_long_is_told_with_its_owner_and_what_is_computed_from_it_waits() {
    const RULES: &str = "
  low: {on: node, when: node.value < 1.0}
  gone: {on: node, when: node.value < 1.0, on_missing: no_data}
";
    let catalog = catalog(&format!(
        "sources:\n  orders: {{topics: [t], format: json, time: t, stale_after: 1h, owner: data, fields: {{a: a}}}}\nmetrics:\n  all: {{source: orders, agg: count}}\nnodes:\n  all: {{metric: all, role: business, period: month}}\nrules:{RULES}"
    ));
    let hours = [silent(60), silent(10), silent(61), silent(200), silent(0)].map(|recent| [recent]);
    let notices = told_under(hours.iter().map(|intake| (&catalog, &intake[..])));
    let told: Vec<(&str, NoticeKind, Option<ResolveReason>)> = notices
        .iter()
        .map(|notice| (notice.labels["alertname"].as_str(), notice.kind, notice.reason))
        .collect();
    assert_eq!(
        told,
        [
            // While it is stale nothing begins but that.
            ("stale", NoticeKind::Fired, None),
            ("gone", NoticeKind::Fired, None),
            ("stale", NoticeKind::Resolved, Some(ResolveReason::Recovered)),
            ("low", NoticeKind::Fired, None),
            // What fires stays, or ends as its rule says.
            ("gone", NoticeKind::Resolved, Some(ResolveReason::NoData)),
            ("stale", NoticeKind::Fired, None),
            ("gone", NoticeKind::Fired, None),
            ("stale", NoticeKind::Resolved, Some(ResolveReason::Recovered)),
        ]
    );
    assert_eq!(notices[0].labels["owner"], "data");
    let facts = notices[0].facts.source.as_ref().unwrap().silent.unwrap();
    assert_eq!((facts.lasted_seconds, facts.allowed_seconds), (3600, Some(3600)));
    assert_eq!(
        sentence::heading("stale", "feed_gap", &notices[0].facts, Language::En),
        "Nothing comes from source orders any more"
    );
}

#[test]
fn what_is_over_because_its_source_is_gone_says_so() {
    const RULES: &str = "rules:
  low: {on: node, when: node.value < 1.0, for: 0s}
  many-lost: {on: source, when: source.rejected > 0.0}
";
    let under = |more_sources: &str, more_metrics: &str, nodes: &[&str]| {
        let nodes = nodes
            .iter()
            .map(|node| format!("  {node}: {{metric: {node}, role: business, period: month}}\n"));
        catalog(&format!(
            "sources:\n  orders: {{topics: [t], format: json, time: t, fields: {{a: a}}}}\n{more_sources}metrics:\n  all: {{source: orders, agg: count}}\n  some: {{source: orders, agg: count, filter: a == \"b\"}}\n{more_metrics}nodes:\n{}{RULES}",
            nodes.collect::<String>()
        ))
    };
    let before = under(
        "  visits: {topics: [v], format: json, time: t, fields: {a: a}}\n",
        "  visits: {source: visits, agg: count}\n  rate: {numerator: visits, denominator: all}\n",
        &["all", "some", "visits"],
    );
    let after = under("", "", &["all"]);
    let (both, one) = ([of(10, 0), of(10, 1)], [of(10, 0)]);
    let hours: [(_, &[Recent]); 4] = [(&before, &both), (&before, &both), (&after, &one), (&after, &one)];
    let notices = told_under(hours);
    let mut ends: Vec<(String, Option<ResolveReason>)> = notices
        .iter()
        .filter(|notice| notice.kind == NoticeKind::Resolved)
        .map(|notice| {
            let about = notice.labels.get("node").or_else(|| notice.labels.get("source"));
            (
                format!("{} {}", notice.labels["alertname"], about.unwrap()),
                notice.reason,
            )
        })
        .collect();
    ends.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(
        ends,
        [
            ("low some".to_owned(), Some(ResolveReason::Updated)),
            ("low visits".to_owned(), Some(ResolveReason::SourceGone)),
            ("many-lost visits".to_owned(), Some(ResolveReason::SourceGone)),
        ]
    );
}

/// What is told of a node whose feed the last close found to be so, hour by hour, while its source stands so.
fn told_of_feed(hours: &[(i64, Recent, FeedState)]) -> Vec<(String, NoticeKind)> {
    let catalog = catalog(
        "sources:\n  orders: {topics: [t], format: json, time: t, stale_after: 1h, fields: {a: a}}\nmetrics:\n  all: {source: orders, agg: count}\nnodes:\n  all: {metric: all, role: business, period: month}\n",
    );
    let plan = Arc::new(Plan::compile(&catalog));
    let cells = Cells::new(plan.clone());
    let mut evaluator = Evaluator::new(catalog.clone(), plan);
    let mut engine = Engine::new("s");
    let routing = routing_of(&[(Severity::INFO, "ops".to_owned())]);
    let mut told = Vec::new();
    for (hour, recent, feed) in hours {
        let at = midnight() + SignedDuration::from_hours(*hour);
        let when = judge::When {
            at,
            horizon: Horizon::Known,
            tell: Some(judge::Tell::at(at, &routing)),
            intake: std::slice::from_ref(recent),
        };
        let suppose = |snapshot: &mut crate::evaluate::Snapshot| {
            let feed = Arc::new(feed.clone());
            for state in snapshot.instances.iter_mut() {
                state.feed = Some(feed.clone());
            }
        };
        let (_, step) = judge::step_as_if(&catalog, &mut evaluator, &cells, &mut engine, when, suppose);
        let notices = step.notices.iter();
        told.extend(notices.map(|notice| (notice.labels["alertname"].clone(), notice.kind)));
    }
    told
}

fn midnight() -> Timestamp {
    "2026-06-10T00:00:00Z".parse().unwrap()
}

#[test]
fn a_dead_source_is_told_once_and_its_nodes_only_if_they_stay_silent_when_it_is_back() {
    let silent_since = |since: &str| FeedState {
        silent_days: 2,
        silent_since: Some(since.parse().unwrap()),
        ..FeedState::default()
    };
    let silent_node = || silent_since("2026-06-08");
    let back = || Recent {
        silent: Silent {
            back: Some(Back {
                at: midnight() + SignedDuration::from_hours(10),
                silent_from: Some("2026-06-08T15:00:00Z".parse().unwrap()),
            }),
            ..silent(0).silent
        },
        ..silent(0)
    };
    let stale = [
        (8, silent(90), silent_node()),
        (9, silent(150), silent_node()),
        (10, back(), silent_node()),
        (23, back(), silent_node()),
    ];
    let once = [
        ("stale".to_owned(), NoticeKind::Fired),
        ("stale".to_owned(), NoticeKind::Resolved),
    ];
    // The next close finds that it is silent no more, or that it still is.
    let fine = [
        (25, back(), FeedState::default()),
        (26, back(), FeedState::default()),
    ];
    let hours = [stale.as_slice(), fine.as_slice()].concat();
    assert_eq!(told_of_feed(&hours), once);
    let still = [(25, back(), silent_node()), (26, back(), silent_node())];
    let mut told = once.to_vec();
    told.push(("silent".to_owned(), NoticeKind::Fired));
    let hours = [stale.as_slice(), still.as_slice()].concat();
    assert_eq!(told_of_feed(&hours), told);
    // What was silent before its source was is so when the source is back.
    let long = || silent_since("2026-06-05");
    let hours = [
        (7, silent(10), long()),
        (8, silent(90), long()),
        (9, back(), long()),
        (10, back(), long()),
    ];
    assert_eq!(
        told_of_feed(&hours),
        [
            ("silent".to_owned(), NoticeKind::Fired),
            ("stale".to_owned(), NoticeKind::Fired),
            ("stale".to_owned(), NoticeKind::Resolved),
        ]
    );
}

#[test]
fn that_some_events_cannot_be_used_explains_no_silence_and_no_other_unit() {
    let feed = FeedState {
        silent_days: 3,
        factor: 100.0,
        ..FeedState::default()
    };
    let told = told_of_feed(&[(8, of(1000, 40), feed.clone()), (9, of(1000, 40), feed.clone())]);
    let mut names: Vec<&str> = told.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["other_unit", "rejected", "silent"]);
    // Nor does that nothing comes explain that what came was of another unit.
    let told = told_of_feed(&[(8, silent(90), feed.clone()), (9, silent(150), feed)]);
    let mut names: Vec<&str> = told.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["other_unit", "stale"]);
}
