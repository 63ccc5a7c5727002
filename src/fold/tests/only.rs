//! A plan of some columns says of these what the whole plan does.

use super::*;
use crate::decode::Found;
use crate::fold::dedup::{Bounds, Seen};

/// Cells of the columns that are kept, and what became of every event.
fn fold(
    plan: Plan,
    catalog: &Catalog,
    payloads: &[String],
    keep: impl Fn(&str) -> bool,
) -> (Vec<String>, Vec<String>) {
    let plan = Arc::new(plan);
    let mut worker = Worker::new(catalog, plan.clone());
    let mut cells = Cells::new(plan);
    let mut reader = Reader::new(&catalog.sources[0]);
    let mut seen = Seen::new(Bounds {
        hours: 48,
        max_keys: 1000,
    });
    let mut outcomes = Vec::new();
    for (offset, payload) in payloads.iter().enumerate() {
        let record = Record {
            payload: Some(payload.as_bytes()),
            ..Record::default()
        };
        reader.read(&record, |item| {
            let done = item.found.and_then(|found| match found {
                Found::Change(change) => worker.fold_once(SourceId(0), &change, offset as i64, &mut seen),
                Found::Tombstone => Ok(Folded::Filtered),
            });
            outcomes.push(format!("{done:?}"));
        });
    }
    cells.merge(worker.take()).unwrap();
    let cells = cells.take_changed();
    let mut cells: Vec<String> = cells
        .iter()
        .filter(|cell| keep(&cell.table))
        .map(|cell| format!("{cell:?}"))
        .collect();
    cells.sort();
    (cells, outcomes)
}

proptest! {
    #[test]
    fn some_columns_count_what_they_do_among_all(
        events in proptest::collection::vec((0u8..12, 0usize..4, 0i64..50, 0i64..3000, any::<bool>()), 0..60),
        bits in 0u16..512,
    ) {
        let text = CATALOG.replace("time: time, fields", "time: time, id: id, dedup: 2d, fields");
        let catalog = load(&Files::new("", [("a.yaml", text.as_str())])).map_err(|d| d.to_string()).unwrap();
        let plan = Plan::compile(&catalog);
        let names: Vec<String> = plan.groups.iter().flat_map(|group| group.columns.iter().map(|column| column.name.clone())).collect();
        let kept = |name: &str| names.iter().position(|other| other == name).is_some_and(|at| bits >> at & 1 == 1);
        let payloads: Vec<String> = events.iter().map(|(id, kind, amount, minutes, has_amount)| {
            let kind = ["paid", "paid", "cancelled", "lost"][*kind];
            let amount = if *has_amount { format!(r#""amount": {amount}, "#) } else { String::new() };
            let ms = 1_780_000_000_000i64 + minutes * 60_000;
            format!(r#"{{"id": "{id}", "type": "{kind}", {amount}"time": {ms}, "customer": "c{id}", "region": "r", "channel": "web"}}"#)
        }).collect();
        let only = plan.only(kept);
        let (some, outcomes) = fold(only, &catalog, &payloads, kept);
        let (all, expected) = fold(Plan::compile(&catalog), &catalog, &payloads, kept);
        prop_assert_eq!(outcomes, expected);
        prop_assert_eq!(some, all);
    }
}
