//! Funnels over two sources: a restart between any two events changes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::fold::cells::{StoredItem, StoredMark};
use crate::fold::partial::Partial;

const CATALOG: &str = r#"
sources:
  visits: {topics: [v], format: json, time: t, fields: {who: who, channel: channel}}
  orders: {topics: [o], format: json, time: t, fields: {who: buyer}}
metrics:
  visits: {source: visits, agg: count}
  orders: {source: orders, agg: count}
  buyers: {type: conversion, entity: who, base_metric: visits, conversion_metric: orders, window: 2d}
nodes:
  buyers:   {metric: buyers, role: business, period: month}
  channels: {metric: buyers, role: business, parent: buyers, relation: influence, each: [channel], period: month}
"#;

/// What the state has: cells and items, those without marks forgotten.
type Kept = (
    BTreeMap<(String, String, i32), StoredCell>,
    BTreeMap<(String, u64), StoredItem>,
);

/// Folds events `(hour, who, channel; `None` for an order)`; from what is kept anew after each, or never.
fn kept(events: &[(i64, u8, Option<u8>)], restarts: bool) -> Kept {
    let catalog = load(&Files::new("", [("a.yaml", CATALOG)]))
        .map_err(|problems| problems.to_string())
        .unwrap();
    let start = || {
        let plan = Arc::new(Plan::compile(&catalog));
        (Cells::new(plan.clone()), Worker::new(&catalog, plan))
    };
    let (mut cells, mut worker) = start();
    let (mut kept_cells, mut kept_items) = Kept::default();
    for (offset, (hour, who, channel)) in (0..).zip(events) {
        let t = 1_780_000_000_000 + hour * 3_600_000;
        let (source, payload) = match channel {
            Some(channel) => (
                0,
                format!(r#"{{"t": {t}, "who": "w{who}", "channel": "c{channel}"}}"#),
            ),
            None => (1, format!(r#"{{"t": {t}, "buyer": "w{who}"}}"#)),
        };
        let mut reader = Reader::new(&catalog.sources[source as usize]);
        let record = Record {
            payload: Some(payload.as_bytes()),
            ..Record::default()
        };
        let event = reader.read_one(&record).unwrap();
        worker.fold(SourceId(source), &event, offset, Sign::Add).unwrap();
        cells.merge(worker.take()).unwrap();
        for cell in cells.take_changed() {
            kept_cells.insert((cell.table.clone(), cell.key.clone(), cell.day), cell);
        }
        for item in cells.take_changed_items() {
            kept_items.insert((item.table.clone(), item.hash), item);
        }
        if restarts {
            (cells, worker) = start();
            cells.restore(kept_cells.values().cloned().collect());
            cells.restore_items(kept_items.values().cloned().collect());
        }
    }
    (kept_cells, kept_items)
}

proptest! {
    #[test]
    fn a_restart_between_any_two_events_changes_nothing(
        events in proptest::collection::vec((0i64..200, 0u8..3, proptest::option::of(0u8..2)), 0..40),
    ) {
        prop_assert_eq!(kept(&events, true), kept(&events, false));
    }
}

#[test]
fn what_succeeds_in_another_source_counts_where_the_attempt_began() {
    let (cells, items) = kept(&[(0, 1, Some(0)), (30, 1, None), (31, 2, None)], true);
    let found: Vec<(&str, Partial)> = cells
        .values()
        .map(|cell| (cell.key.as_str(), cell.partial.clone()))
        .collect();
    let one_of_one = Partial::Conversions {
        begun: 1,
        converted: 1,
    };
    assert_eq!(found, [("", one_of_one.clone()), ("c0", one_of_one)]);
    let ends: Vec<&StoredMark> = items
        .values()
        .flat_map(|item| item.marks.iter().filter(|mark| mark.is_end))
        .collect();
    assert!(
        ends.len() == 4 && ends.iter().all(|mark| mark.key.is_empty()),
        "{ends:?}"
    );
}
