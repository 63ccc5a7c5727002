//! Weights that the closes of a history propose: once each, as in the daemon.

use jiff::ToSpan;
use jiff::civil::date;

use super::*;
use crate::catalog::load::{Files, load};
use crate::evaluate::weights::Proposal;

/// Revenue follows visits at once, and articles go their own way.
pub(crate) const CATALOG: &str = "calendar: {timezone: Asia/Shanghai}
sources:
  shop: {topics: [t], format: json, time: t, lateness: 2h, fields: {kind: kind, value: value}}
metrics:
  revenue:  {source: shop, agg: sum, expr: value, filter: kind == \"revenue\"}
  visits:   {source: shop, agg: sum, expr: value, filter: kind == \"visits\"}
  articles: {source: shop, agg: sum, expr: value, filter: kind == \"articles\"}
nodes:
  revenue:  {metric: revenue, role: business, period: quarter, target: 4500000, owner: ceo}
  visits:   {metric: visits, role: kpi, parent: revenue, period: quarter, target: 90000, weight: 60, owner: sales}
  articles: {metric: articles, role: kpi, parent: revenue, period: quarter, target: 1800, weight: 40, owner: content}
";

/// Its events on 500 days from 1 April 2025 on, one JSON object a line.
pub(crate) fn events() -> String {
    let wave =
        |day: i32, length: f64, phase: f64| (f64::from(day) / length * std::f64::consts::TAU + phase).sin();
    let mut events = String::new();
    for day in 0..500 {
        let date = date(2025, 4, 1).saturating_add(day.days());
        let visits = 1000.0 * (0.25 * wave(day, 97.0, 0.0) + 0.1 * wave(day, 41.0, 1.0)).exp();
        let articles = 20.0 * (0.15 * wave(day, 71.0, 2.0)).exp();
        let noise = 1.0 + 0.02 * wave(day, 5.3, 0.0);
        for (kind, value) in [
            ("visits", visits),
            ("revenue", visits * 50.0 * noise),
            ("articles", articles),
        ] {
            events.push_str(&format!(
                "{{\"t\": \"{date}T10:00:00+08:00\", \"kind\": \"{kind}\", \"value\": {value:.2}}}\n"
            ));
        }
    }
    events
}

fn replayed(catalog: &str) -> Replay {
    let catalog = load(&Files::new("", [("a.yaml", catalog)]));
    let catalog = Arc::new(catalog.map_err(|problems| problems.to_string()).unwrap());
    let mut replay = Replay::new(catalog, Arc::new(Routing::to_receiver("ops")));
    for (n, line) in events().lines().enumerate() {
        let day = date(2025, 4, 1).saturating_add(i32::try_from(n / 3).unwrap().days());
        let record = Record {
            payload: Some(line.as_bytes()),
            ..Record::default()
        };
        let at = format!("{day}T10:00:00+08:00").parse().unwrap();
        replay.record(SourceId(0), &record, at).unwrap();
    }
    replay
}

fn points(proposed: &Proposed) -> Vec<(f64, f64)> {
    let lines = proposed.proposal.proposal.lines.iter();
    lines.map(|line| (line.before, line.after)).collect()
}

#[test]
fn every_close_proposes_once_and_takes_the_place_of_what_waited() {
    let replay = replayed(CATALOG);
    let told: Vec<String> = replay
        .proposed()
        .iter()
        .map(|one| {
            let Proposal { closed, standing, .. } = &one.proposal.proposal;
            let settled = one.settled.map(|at| at.to_string());
            format!(
                "{closed} {} at {} until {} in {} messages",
                standing.as_str(),
                one.raised,
                settled.as_deref().unwrap_or("now"),
                one.notices
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            "2025-Q3 superseded at 2025-09-30T17:59:59.999Z until 2025-12-31T17:59:59.999Z in 1 messages",
            "2025-Q4 superseded at 2025-12-31T17:59:59.999Z until 2026-03-31T17:59:59.999Z in 1 messages",
            "2026-Q1 superseded at 2026-03-31T17:59:59.999Z until 2026-06-30T17:59:59.999Z in 1 messages",
            "2026-Q2 pending at 2026-06-30T17:59:59.999Z until now in 1 messages",
        ]
    );
    // Nobody decided: each proposes from what is declared.
    for one in replay.proposed() {
        let [(60.0, visits), (40.0, articles)] = points(one)[..] else {
            panic!("{one:?}")
        };
        assert!(visits > 60.0 && visits + articles == 100.0, "{one:?}");
    }
}

#[test]
fn what_applies_by_itself_is_where_the_next_close_goes_on() {
    let mut replay = replayed(&format!("weights: auto\n{CATALOG}"));
    let proposed = replay.proposed().to_vec();
    assert!(proposed.len() > 1, "{proposed:?}");
    for (one, next) in proposed.iter().zip(&proposed[1..]) {
        let after: Vec<f64> = points(one).iter().map(|(_, after)| *after).collect();
        let before: Vec<f64> = points(next).iter().map(|(before, _)| *before).collect();
        assert_eq!(after, before);
    }
    assert!(proposed.iter().all(|one| one.settled == Some(one.raised)));
    assert!(proposed.iter().all(|one| one.notices == 0), "nobody is to decide");
    // The quarter that runs at the end counts with the last of them.
    let snapshot = replay
        .snapshot("2026-08-14T00:00:00+08:00".parse().unwrap())
        .unwrap();
    let weights: Vec<Option<f64>> = snapshot.nodes[1..].iter().map(|node| node.weight).collect();
    let last: Vec<Option<f64>> = points(proposed.last().unwrap())
        .iter()
        .map(|(_, after)| Some(*after))
        .collect();
    assert_eq!(weights, last);
}
