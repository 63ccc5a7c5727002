//! What is corrected: copies are counted once, and an event that is taken back is as if it had not been.

use std::collections::BTreeMap;

use super::*;
use crate::decode::Change;
use crate::fold::dedup::{Bounds, Seen};
use crate::fold::partial::{Kind, Partial};

const RETRACTING: &str = r#"
sources:
  orders: {topics: [t], format: json, time: time, id: id, dedup: 7d, retract: cancelled, fields: {amount: amount, region: region, cancelled: {path: data.cancelled, type: bool}}}
metrics:
  revenue: {source: orders, agg: sum, expr: amount, filter: amount > -500}
  orders:  {source: orders, agg: count}
  average: {source: orders, agg: avg, expr: amount}
nodes:
  revenue: {metric: revenue, role: business, period: month}
  orders:  {metric: orders, role: kpi, parent: revenue, each: [region], period: month}
  average: {metric: average, role: kpi, parent: revenue, each: [region], period: month}
"#;

fn retracting() -> Catalog {
    load(&Files::new("", [("a.yaml", RETRACTING)]))
        .map_err(|d| d.to_string())
        .unwrap()
}

#[derive(Clone, Debug)]
struct Sale {
    amount: i64,
    region: u8,
    day: i64,
}

impl Sale {
    fn payload(&self, cancelled: bool) -> String {
        format!(
            r#"{{"time": {}, "amount": {}, "region": "r{}", "data": {{"cancelled": {cancelled}}}}}"#,
            self.day * 86_400_000,
            self.amount,
            self.region
        )
    }
}

fn sale() -> impl Strategy<Value = Sale> {
    (-1000i64..1000, 0u8..3, 0i64..3).prop_map(|(amount, region, day)| Sale { amount, region, day })
}

/// What the state holds after events were folded by two workers and committed every now and then; empty cells are as
/// good as none.
fn committed(payloads: &[String], every: usize) -> BTreeMap<(String, String, i32), Partial> {
    let catalog = retracting();
    let plan = Arc::new(Plan::compile(&catalog));
    let mut cells = Cells::new(plan.clone());
    let mut workers = [0, 1].map(|_| Worker::new(&catalog, plan.clone()));
    let mut state = BTreeMap::new();
    let mut commit = |cells: &mut Cells| {
        for cell in cells.take_changed() {
            state.insert((cell.table, cell.key, cell.day), cell.partial);
        }
    };
    for (at, payload) in payloads.iter().enumerate() {
        let worker = &mut workers[at % 2];
        fold_one(worker, &catalog, payload).unwrap();
        if at % every == 0 {
            cells.merge(worker.take()).unwrap();
            commit(&mut cells);
        }
    }
    workers
        .iter_mut()
        .for_each(|worker| cells.merge(worker.take()).unwrap());
    commit(&mut cells);
    let empty = [Kind::Sum, Kind::Count, Kind::Avg].map(Partial::empty);
    state.retain(|_, partial| !empty.contains(partial));
    state
}

proptest! {
    /// Any events and the retractions of some of them, in any order, are the events that were not taken back.
    #[test]
    fn what_is_taken_back_was_never_there(
        sales in proptest::collection::vec((sale(), any::<bool>(), any::<u32>(), any::<u32>()), 0..60),
        every in 1usize..20,
    ) {
        let mut events: Vec<(u32, String)> = Vec::new();
        let mut rest = Vec::new();
        for (sale, taken_back, at, back_at) in &sales {
            events.push((*at, sale.payload(false)));
            if *taken_back {
                events.push((*back_at, sale.payload(true)));
            } else {
                rest.push(sale.payload(false));
            }
        }
        events.sort();
        let events: Vec<String> = events.into_iter().map(|(_, payload)| payload).collect();
        prop_assert_eq!(committed(&events, every), committed(&rest, usize::MAX));
    }
}

#[test]
fn taking_back_everything_leaves_nothing_in_the_state() {
    let sale = Sale {
        amount: 5,
        region: 1,
        day: 1,
    };
    let one = committed(&[sale.payload(false)], 1);
    let names: Vec<&str> = one.keys().map(|(table, ..)| table.as_str()).collect();
    assert_eq!(
        names,
        [
            "orders (time time): avg(amount) less cancelled; cancelled = data.cancelled by region",
            "orders (time time): count() less cancelled; cancelled = data.cancelled by region",
            "orders (time time): sum(amount) where amount > -500; amount = amount less cancelled; cancelled = data.cancelled",
        ]
    );
    assert!(committed(&[sale.payload(false), sale.payload(true)], 1).is_empty());
    // More taken back than there was: said as it is, and no average.
    let less = committed(&[sale.payload(true)], 1);
    let values: Vec<Option<f64>> = less
        .values()
        .zip([Agg::Avg, Agg::Count, Agg::Sum])
        .map(|(partial, agg)| partial.value(agg))
        .collect();
    assert_eq!(values, [None, Some(-1.0), Some(-5.0)]);
}

#[test]
fn a_retraction_may_bear_the_id_of_its_event() {
    let catalog = retracting();
    let mut worker = Worker::new(&catalog, Arc::new(Plan::compile(&catalog)));
    let mut seen = Seen::new(Bounds::of_partition(
        catalog.sources[0].dedup.as_ref().unwrap(),
        1,
    ));
    let mut reader = Reader::new(&catalog.sources[0]);
    let mut fold = |cancelled: bool| {
        let payload = format!(r#"{{"id": 1, "time": 1, "amount": 5, "data": {{"cancelled": {cancelled}}}}}"#);
        let record = Record {
            payload: Some(payload.as_bytes()),
            ..Record::default()
        };
        worker
            .fold_once(
                SourceId(0),
                &Change::add(reader.read_one(&record).unwrap()),
                0,
                &mut seen,
            )
            .unwrap()
    };
    assert_eq!(
        [fold(false), fold(true), fold(true), fold(false)],
        [
            Folded::Counted,
            Folded::Counted,
            Folded::Duplicate,
            Folded::Duplicate
        ]
    );
}

#[test]
fn a_copy_counts_once_and_a_rejected_or_filtered_event_is_not_remembered() {
    let yaml = r#"
sources:
  orders: {topics: [t], format: json, time: time, id: id, dedup: 7d, fields: {paid: {path: paid, type: bool}, amount: amount}}
metrics:
  revenue: {source: orders, agg: sum, expr: amount, filter: paid}
nodes:
  revenue: {metric: revenue, role: business, period: month}
"#;
    let catalog = load(&Files::new("", [("a.yaml", yaml)]))
        .map_err(|d| d.to_string())
        .unwrap();
    let plan = Arc::new(Plan::compile(&catalog));
    let mut worker = Worker::new(&catalog, plan.clone());
    let dedup = catalog.sources[0].dedup.as_ref().unwrap();
    let mut seen = Seen::new(Bounds::of_partition(dedup, 1));
    let mut reader = Reader::new(&catalog.sources[0]);
    let mut fold = |payload: &str| {
        let event = reader.read_one(&Record {
            payload: Some(payload.as_bytes()),
            ..Record::default()
        })?;
        worker.fold_once(SourceId(0), &Change::add(event), 0, &mut seen)
    };
    let day = 86_400_000;
    for (payload, expected) in [
        (
            r#"{"id": "a", "time": 1, "paid": true, "amount": 5}"#.to_owned(),
            Ok(Folded::Counted),
        ),
        (
            r#"{"id": "a", "time": 2, "paid": true, "amount": 5}"#.to_owned(),
            Ok(Folded::Duplicate),
        ),
        (
            r#"{"id": "b", "time": 2, "paid": true, "amount": "x"}"#.to_owned(),
            Err("wrong_type"),
        ),
        (
            r#"{"id": "b", "time": 2, "paid": true, "amount": 5}"#.to_owned(),
            Ok(Folded::Counted),
        ),
        (
            r#"{"id": 7, "time": 2, "paid": false, "amount": 5}"#.to_owned(),
            Ok(Folded::Filtered),
        ),
        (
            r#"{"id": 7, "time": 2, "paid": true, "amount": 5}"#.to_owned(),
            Ok(Folded::Counted),
        ),
        (
            r#"{"id": {}, "time": 2, "paid": true, "amount": 5}"#.to_owned(),
            Err("missing_id"),
        ),
        (
            r#"{"id": "", "time": 2, "paid": true, "amount": 5}"#.to_owned(),
            Err("missing_id"),
        ),
        (
            format!(r#"{{"id": "c", "time": {}, "paid": true, "amount": 5}}"#, 8 * day),
            Ok(Folded::Counted),
        ),
        // "a" is out of the window now; what is late by more than the window is not remembered.
        (
            r#"{"id": "a", "time": 3, "paid": true, "amount": 5}"#.to_owned(),
            Ok(Folded::Counted),
        ),
        (
            r#"{"id": "a", "time": 3, "paid": true, "amount": 5}"#.to_owned(),
            Ok(Folded::Counted),
        ),
    ] {
        assert_eq!(
            fold(&payload).map_err(|reject| reject.reason()),
            expected,
            "{payload}"
        );
    }
}
