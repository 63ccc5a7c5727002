//! The fold as a whole: order, splits and batches do not matter, and an independent model agrees.

mod bounds;
mod corrections;
mod entries;
mod funnel;
mod kept;
mod known;
mod only;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;

use super::cells::{Cells, StoredCell};
use super::plan::Plan;
use super::worker::{Folded, Worker};
use crate::catalog::load::{Files, load};
use crate::catalog::{Agg, Catalog, MetricId, SourceId};
use crate::decode::{Reader, Record, Reject, Sign};

const CATALOG: &str = r#"
calendar: {timezone: Europe/Berlin}
sources:
  orders: {topics: [t], format: json, time: time, fields: {type: type, amount: amount, customer: customer, region: region, channel: channel}}
metrics:
  revenue:   {source: orders, agg: sum, expr: amount, filter: type == "paid"}
  all:       {source: orders, agg: count}
  customers: {source: orders, agg: count_distinct, expr: customer, filter: type == "paid"}
  smallest:  {source: orders, agg: min, expr: amount, filter: type == "paid"}
  largest:   {source: orders, agg: max, expr: amount, filter: type == "paid"}
  newest:    {source: orders, agg: last, expr: amount, filter: type == "paid"}
  average:   {source: orders, agg: avg, expr: amount, filter: type == "paid"}
  median:    {source: orders, agg: median, expr: amount, filter: type == "paid"}
  p90:       {source: orders, agg: p90, expr: amount, filter: type == "paid"}
nodes:
  revenue:   {metric: revenue, role: business, period: month}
  regions:   {metric: revenue, role: business, parent: revenue, relation: sum, each: [region], period: month}
  channels:  {metric: all, role: kpi, parent: revenue, each: [channel, region], period: month}
  customers: {metric: customers, role: kpi, parent: revenue, period: month}
  smallest:  {metric: smallest, role: kpi, parent: revenue, period: month}
  largest:   {metric: largest, role: kpi, parent: revenue, period: month}
  newest:    {metric: newest, role: kpi, parent: revenue, period: month}
  average:   {metric: average, role: kpi, parent: revenue, each: [region], period: month}
  median:    {metric: median, role: kpi, parent: revenue, period: month}
  p90:       {metric: p90, role: kpi, parent: revenue, period: month}
"#;

fn catalog() -> Catalog {
    load(&Files::new("", [("a.yaml", CATALOG)]))
        .map_err(|d| d.to_string())
        .unwrap()
}

#[derive(Clone, Debug)]
struct Order {
    paid: bool,
    cents: i64,
    customer: u8,
    region: u8,
    minutes: i64,
    partition: usize,
}

impl Order {
    fn payload(&self) -> String {
        let kind = if self.paid { "paid" } else { "cancelled" };
        let (ms, amount) = (
            1_780_000_000_000 + self.minutes * 60_000,
            format!("{}.{:02}", self.cents / 100, self.cents % 100),
        );
        format!(
            r#"{{"type": "{kind}", "time": {ms}, "amount": {amount}, "customer": "c{}", "region": "r{}", "channel": "web"}}"#,
            self.customer, self.region
        )
    }
}

fn orders() -> impl Strategy<Value = Vec<Order>> {
    let order = (
        any::<bool>(),
        0i64..100_000,
        0u8..20,
        0u8..3,
        0i64..10_000,
        0usize..4,
    )
        .prop_map(|(paid, cents, customer, region, minutes, partition)| Order {
            paid,
            cents,
            customer,
            region,
            minutes,
            partition,
        });
    proptest::collection::vec(order, 0..60)
}

/// Folds every partition in its order; `turns` says which partition goes next, `hand_over` after how many events a
/// worker hands over, `workers` how many there are.
fn fold(
    catalog: &Catalog,
    orders: &[Order],
    turns: &[usize],
    hand_over: usize,
    workers: usize,
) -> Vec<StoredCell> {
    let plan = Arc::new(Plan::compile(catalog));
    let mut cells = Cells::new(plan.clone());
    let mut threads: Vec<Worker> = (0..workers).map(|_| Worker::new(catalog, plan.clone())).collect();
    let mut reader = Reader::new(&catalog.sources[0]);
    let mut partitions: Vec<std::vec::IntoIter<(i64, &Order)>> = (0..4)
        .map(|p| {
            (0i64..)
                .zip(orders.iter().filter(|o| o.partition == p))
                .collect::<Vec<_>>()
                .into_iter()
        })
        .collect();
    let mut count = 0;
    let order = turns
        .iter()
        .copied()
        .chain((0..4).flat_map(|p| std::iter::repeat_n(p, orders.len())));
    for p in order {
        let Some((offset, order)) = partitions[p % 4].next() else {
            continue;
        };
        let worker = p % 4 % workers;
        let payload = order.payload();
        let event = reader
            .read_one(&Record {
                payload: Some(payload.as_bytes()),
                ..Record::default()
            })
            .unwrap();
        threads[worker]
            .fold(SourceId(0), &event, offset, Sign::Add)
            .unwrap();
        count += 1;
        if count % hand_over == 0 {
            cells.merge(threads[worker].take()).unwrap();
        }
    }
    for thread in &mut threads {
        cells.merge(thread.take()).unwrap();
    }
    let mut stored = cells.take_changed();
    stored.sort_by(|a, b| (&a.table, &a.key, a.day).cmp(&(&b.table, &b.key, b.day)));
    stored
}

proptest! {
    /// Any interleaving of the partitions, any batching and any number of threads give identical partials.
    #[test]
    fn order_does_not_matter(
        orders in orders(),
        turns in proptest::collection::vec(0usize..4, 0..80),
        hand_over in 1usize..20,
        workers in 1usize..4,
    ) {
        let catalog = catalog();
        let straight = fold(&catalog, &orders, &[], usize::MAX, 1);
        prop_assert_eq!(fold(&catalog, &orders, &turns, hand_over, workers), straight);
    }

    /// Which partition an event is in changes nothing but the tie-break of "last".
    #[test]
    fn partitions_do_not_matter(orders in orders(), moves in proptest::collection::vec(0usize..4, 60)) {
        let catalog = catalog();
        let mut moved = orders.clone();
        moved.iter_mut().zip(moves).for_each(|(order, partition)| order.partition = partition);
        let but_last = |cells: Vec<StoredCell>| -> Vec<StoredCell> {
            cells.into_iter().filter(|cell| !cell.table.contains("last(")).collect()
        };
        prop_assert_eq!(but_last(fold(&catalog, &moved, &[], 7, 2)), but_last(fold(&catalog, &orders, &[], 3, 1)));
    }

    /// Sums, counts and distinct counts equal a plain model's, to the last digit.
    #[test]
    fn a_plain_model_agrees(orders in orders()) {
        let catalog = catalog();
        let zone = jiff::tz::TimeZone::get("Europe/Berlin").unwrap();
        let mut sums: BTreeMap<(String, i32), i128> = BTreeMap::new();
        let mut customers: BTreeMap<i32, BTreeSet<u8>> = BTreeMap::new();
        for order in orders.iter().filter(|order| order.paid) {
            let at = jiff::Timestamp::from_millisecond(1_780_000_000_000 + order.minutes * 60_000).unwrap();
            let day = super::day::Day::of(zone.to_datetime(at).date()).0;
            *sums.entry((format!("r{}", order.region), day)).or_default() += i128::from(order.cents) * 10_000;
            customers.entry(day).or_default().insert(order.customer);
        }
        let cells = fold(&catalog, &orders, &[], 5, 2);
        let found: BTreeMap<(String, i32), i128> = cells
            .iter()
            .filter(|cell| cell.table.contains("sum(") && cell.table.ends_with("by region"))
            .map(|cell| {
                let super::partial::Partial::Sum(sum, _) = cell.partial else { panic!("a sum") };
                ((cell.key.clone(), cell.day), sum.micros())
            })
            .collect();
        prop_assert_eq!(found, sums);
        let counted: BTreeMap<i32, f64> = cells
            .iter()
            .filter(|cell| cell.table.contains("count_distinct("))
            .map(|cell| (cell.day, cell.partial.value(Agg::CountDistinct).unwrap()))
            .collect();
        let expected: BTreeMap<i32, f64> = customers.iter().map(|(day, set)| (*day, set.len() as f64)).collect();
        prop_assert_eq!(counted, expected);
    }
}

#[test]
fn percentiles_of_the_same_thing_share_a_sketch() {
    let catalog = catalog();
    let plan = Plan::compile(&catalog);
    let column = |name: &str| {
        let metric = catalog.metrics.iter().position(|metric| metric.name == name);
        plan.column(MetricId(u32::try_from(metric.unwrap()).unwrap()), &[])
            .unwrap()
    };
    assert_eq!(column("median"), column("p90"));
    let shared = &plan.groups[column("p90").group].columns[column("p90").column];
    assert_eq!(
        shared.name,
        "orders (time time, days of Europe/Berlin): quantiles(amount) where type == \"paid\"; type = type"
    );
}

fn fold_one(worker: &mut Worker, catalog: &Catalog, payload: &str) -> Result<Folded, Reject> {
    let mut reader = Reader::new(&catalog.sources[0]);
    let event = reader.read_one(&Record {
        payload: Some(payload.as_bytes()),
        ..Record::default()
    })?;
    worker.fold(SourceId(0), &event, 0, Sign::Add)
}

#[test]
fn an_event_is_folded_whole_or_not_at_all() {
    let catalog = catalog();
    let plan = Arc::new(Plan::compile(&catalog));
    let mut worker = Worker::new(&catalog, plan.clone());
    for (payload, reason) in [
        (r#"{"type": "paid", "time": 1, "amount": "a lot"}"#, "wrong_type"),
        (r#"{"type": "paid", "time": 1}"#, "missing_field"),
        (
            r#"{"type": "paid", "time": 1, "amount": 5, "region": {"x": 1}}"#,
            "wrong_type",
        ),
        (r#"{"type": "paid", "time": 1, "amount": 1e30}"#, "out_of_range"),
    ] {
        assert_eq!(
            fold_one(&mut worker, &catalog, payload).map_err(|r| r.reason()),
            Err(reason),
            "{payload}"
        );
    }
    assert!(worker.take().groups.iter().all(|group| group.keys.is_empty()));
    // Where the filter does not pass, the amount is nobody's business.
    assert_eq!(
        fold_one(&mut worker, &catalog, r#"{"type": "cancelled", "time": 1}"#),
        Ok(Folded::Counted)
    );
    assert_eq!(
        fold_one(
            &mut worker,
            &catalog,
            r#"{"type": "paid", "time": 1, "amount": 1}"#
        ),
        Ok(Folded::Counted)
    );
}

#[test]
fn restored_cells_are_the_same_cells() {
    let catalog = catalog();
    let orders: Vec<Order> = (0..50)
        .map(|n| Order {
            paid: n % 3 > 0,
            cents: n * 37,
            customer: n as u8,
            region: (n % 3) as u8,
            minutes: n * 300,
            partition: 0,
        })
        .collect();
    let stored = fold(&catalog, &orders, &[], 9, 1);
    let mut cells = Cells::new(Arc::new(Plan::compile(&catalog)));
    cells.restore(stored.clone());
    assert!(cells.take_changed().is_empty());
    let plan = Arc::new(Plan::compile(&catalog));
    let mut worker = Worker::new(&catalog, plan.clone());
    fold_one(&mut worker, &catalog, &orders[1].payload()).unwrap();
    let mut again = Cells::new(plan);
    again.restore(stored.clone());
    again.merge(worker.take()).unwrap();
    let changed = again.take_changed();
    assert!(!changed.is_empty() && changed.len() < stored.len());
    for cell in changed {
        assert!(
            stored
                .iter()
                .any(|other| other.table == cell.table && other.key == cell.key && other.day == cell.day)
        );
    }
}
