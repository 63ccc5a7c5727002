//! A small shop with a year of events, for the tests of reports.

use std::sync::Arc;

use jiff::Timestamp;

use super::past::Past;
use crate::alert::dispatch::route::Routing;
use crate::alert::engine::Engine;
use crate::alert::judge;
use crate::alert::record::{AlertRecord, Episode};
use crate::catalog::load::{Files, load};
use crate::catalog::{Catalog, SourceId};
use crate::decode::{Reader, Record, Sign};
use crate::evaluate::weights::{Book, Line, LineEvidence, Proposal, Setting, Standing, Why};
use crate::evaluate::{Evaluator, Horizon};
use crate::fold::cells::Cells;
use crate::fold::interner::MAX_VALUE_BYTES;
use crate::fold::plan::Plan;
use crate::fold::worker::Worker;
use crate::state::Reading;

const CATALOG: &str = r#"
calendar: {timezone: Asia/Shanghai}
assess: {kpi: 70, business: 30}
sources:
  orders: {topics: [orders], format: json, time: time, fields: {amount: amount, region: region}}
  articles: {topics: [articles], format: json, time: time, fields: {author: author}}
metrics:
  revenue:  {source: orders, agg: sum, expr: amount, unit: CNY, dimensions: [region]}
  articles: {source: articles, agg: count}
nodes:
  revenue:  {title: 销售额, metric: revenue, role: business, level: strategy, period: month, profile: linear, target: 3000, owner: ceo}
  regions:  {title: 区域销售额, metric: revenue, role: business, parent: revenue, relation: sum, each: [region], period: month, profile: linear, target: {file: regions.csv}, owner: regions}
  articles: {title: 文章, metric: articles, role: kpi, parent: revenue, relation: influence, period: month, profile: linear, target: 10, weight: 100, owner: content}
  weekly:   {title: 每周文章, metric: articles, role: kpi, parent: revenue, relation: influence, period: week, profile: linear, target: 2, weight: 50, owner: content}
rules:
  done-but-flat:
    on: link
    nodes: [articles]
    when: kpi.completion >= 0.9 && parent.pace < 0.9
    for: 1d
    severity: critical
    title: "{{ kpi.title }} is done, {{ parent.title }} is not"
"#;

const REGIONS: &str = "start,region,target\n2026-06-01,east,2000\n2026-06-01,west,1000\n";

/// June 2026: two articles on each of its first six days, 60 a day in the east, 20 in the west, nothing on the 20th.
/// Known up to the morning of 2 July.
pub(super) fn june() -> Past {
    june_with(Book::default())
}

/// The same with a book of weights.
pub(super) fn june_with(weights: Book) -> Past {
    let files = Files::new("", [("a.yaml", CATALOG), ("regions.csv", REGIONS)]);
    let catalog = Arc::new(load(&files).map_err(|error| error.to_string()).unwrap());
    let mut events = Vec::new();
    let mut event = |source: u32, payload: String| events.push((source, payload));
    for day in 1..=30 {
        let time = format!("2026-06-{day:02}T10:00:00+08:00");
        if day != 20 {
            event(
                0,
                format!(r#"{{"time": "{time}", "amount": 60, "region": "east"}}"#),
            );
            event(
                0,
                format!(r#"{{"time": "{time}", "amount": 20, "region": "west"}}"#),
            );
        }
        if day <= 6 {
            event(1, format!(r#"{{"time": "{time}", "author": "a"}}"#));
            event(1, format!(r#"{{"time": "{time}", "author": "b"}}"#));
        }
    }
    let (plan, mut cells) = folded(&catalog, &events);
    let stored = cells.take_changed();
    let watermark: Timestamp = "2026-07-02T09:00:00+08:00".parse().unwrap();
    let (alerts, episodes) = judged(&catalog, plan, &cells, watermark);
    Past::new(
        catalog,
        Reading {
            silences: Default::default(),
            cells: stored,
            items: Vec::new(),
            learned: Default::default(),
            definitions: Vec::new(),
            weights,
            alerts,
            episodes,
            notices: Vec::new(),
            positions: Vec::new(),
            intake: None,
            rhythms: None,
            watermark: Some(watermark),
        },
        MAX_VALUE_BYTES,
    )
}

/// A book in which the weights of June's shop changed on the 15th, and a proposal of its last day waits.
pub(super) fn reweighed() -> Book {
    let setting = |number, from: Option<&str>, articles, weekly, why| Setting {
        parent: "revenue".to_owned(),
        number,
        from: from.map(|day| day.parse().unwrap()),
        weights: [("articles".to_owned(), articles), ("weekly".to_owned(), weekly)].into(),
        why,
        by: (number > 1).then(|| "王芳".to_owned()),
        note: None,
        at: "2026-06-10T08:00:00Z".parse().unwrap(),
    };
    let closed = "2026-05".to_owned();
    let approved = Why::Approved { closed };
    let settings = vec![
        setting(1, None, 100.0, 50.0, Why::Declared),
        setting(2, Some("2026-06-15"), 90.0, 60.0, approved),
    ];
    let line = |node: &str, before, after, share| Line {
        node: node.to_owned(),
        before,
        after,
        evidence: Some(LineEvidence {
            share,
            confidence: 0.7,
            strength: 0.4,
            judged_days: 252,
            drift: None,
        }),
    };
    let proposal = Proposal {
        parent: "revenue".to_owned(),
        closed: "2026-06".to_owned(),
        at: "2026-06-30T23:59:59.999+08:00".parse().unwrap(),
        next: "2026-07-01".parse().unwrap(),
        lines: vec![
            line("articles", 90.0, 84.0, 0.12),
            line("weekly", 60.0, 66.0, 0.88),
        ],
        standing: Standing::Pending,
    };
    Book::restore(settings, vec![proposal])
}

/// Events folded, each with the index of its source.
fn folded(catalog: &Catalog, events: &[(u32, String)]) -> (Arc<Plan>, Cells) {
    let plan = Arc::new(Plan::compile(catalog));
    let mut worker = Worker::new(catalog, plan.clone());
    for (source, payload) in events {
        let mut reader = Reader::new(&catalog.sources[*source as usize]);
        let record = Record {
            payload: Some(payload.as_bytes()),
            ..Record::default()
        };
        worker
            .fold(
                SourceId(*source),
                &reader.read_one(&record).unwrap(),
                0,
                Sign::Add,
            )
            .unwrap();
    }
    let mut cells = Cells::new(plan.clone());
    cells.merge(worker.take()).unwrap();
    (plan, cells)
}

/// A state that nothing has judged yet, of events each with the index of its source, known up to `watermark`.
pub(super) fn unjudged(files: &Files, events: &[(u32, String)], watermark: &str) -> Past {
    let catalog = Arc::new(load(files).map_err(|error| error.to_string()).unwrap());
    let (_, mut cells) = folded(&catalog, events);
    Past::new(
        catalog,
        Reading {
            silences: Default::default(),
            cells: cells.take_changed(),
            items: Vec::new(),
            learned: Default::default(),
            definitions: Vec::new(),
            weights: Default::default(),
            alerts: Vec::new(),
            episodes: Vec::new(),
            notices: Vec::new(),
            positions: Vec::new(),
            intake: None,
            rhythms: None,
            watermark: Some(watermark.parse().unwrap()),
        },
        MAX_VALUE_BYTES,
    )
}

/// What the daemon would have judged, day by day.
fn judged(
    catalog: &Arc<Catalog>,
    plan: Arc<Plan>,
    cells: &Cells,
    watermark: Timestamp,
) -> (Vec<AlertRecord>, Vec<Episode>) {
    let mut evaluator = Evaluator::new(catalog.clone(), plan);
    let mut engine = Engine::new("test");
    let mut episodes: Vec<Episode> = Vec::new();
    let closes = (1..=31).map(|day| {
        let start: Timestamp = "2026-06-01T23:59:59.999+08:00".parse().unwrap();
        start + jiff::SignedDuration::from_hours(24 * (day - 1))
    });
    for at in closes.filter(|at| *at < watermark).chain([watermark]) {
        let routing = Routing::to_receiver("ops");
        let when = judge::When {
            at,
            horizon: Horizon::Day,
            tell: Some(judge::Tell::at(at, &routing)),
            intake: &[],
        };
        let (_, step) = judge::step(catalog, &mut evaluator, cells, &mut engine, when);
        for episode in step.changed.iter().filter_map(AlertRecord::episode) {
            episodes
                .retain(|known| (known.fingerprint, known.number) != (episode.fingerprint, episode.number));
            episodes.push(episode);
        }
    }
    episodes.sort_by_key(|episode| episode.fired_at);
    (engine.records().cloned().collect(), episodes)
}
