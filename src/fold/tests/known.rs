//! Keys that are new, and keys that return: by an independent model, in any order, split and number of threads.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::evaluate::value::Formula;
use crate::fold::cells::{StoredCell, StoredKey};
use crate::fold::day::Day;
use crate::fold::partial::Partial;

const CATALOG: &str = r#"
calendar: {timezone: Europe/Berlin}
sources:
  orders: {topics: [t], format: json, time: time, fields: {type: type, amount: amount, customer: customer, region: region}}
metrics:
  new:       {source: orders, agg: count_new, expr: customer, filter: type == "paid"}
  back:      {source: orders, agg: count_new, expr: customer, filter: type == "paid", within: 2d}
  returning: {source: orders, agg: count_returning, expr: customer, filter: type == "paid"}
nodes:
  new:       {metric: new, role: business, period: month}
  regions:   {metric: new, role: business, parent: new, relation: sum, each: [region], period: month}
  back:      {metric: back, role: kpi, parent: new, each: [region], period: day}
  returning: {metric: returning, role: kpi, parent: new, period: month}
"#;

fn catalog() -> Catalog {
    load(&Files::new("", [("a.yaml", CATALOG)]))
        .map_err(|d| d.to_string())
        .unwrap()
}

type State = (
    BTreeMap<(String, String, i32), Partial>,
    BTreeMap<(String, u64), StoredKey>,
);

/// What the state holds after events were folded in this order by some workers, committed every now and then, with a
/// restart in between.
fn committed(catalog: &Catalog, orders: &[Order], every: usize, workers: usize, restart: usize) -> State {
    let mut state = State::default();
    let start = |state: &State| {
        let plan = Arc::new(Plan::compile(catalog));
        let mut cells = Cells::new(plan.clone());
        let cell = |((table, key, day), partial): (&(String, String, i32), &Partial)| StoredCell {
            table: table.clone(),
            key: key.clone(),
            day: *day,
            partial: partial.clone(),
        };
        cells.restore(state.0.iter().map(cell).collect());
        cells.restore_keys(state.1.values().cloned().collect());
        let workers: Vec<Worker> = (0..workers).map(|_| Worker::new(catalog, plan.clone())).collect();
        (cells, workers)
    };
    let commit = |cells: &mut Cells, state: &mut State| {
        for cell in cells.take_changed() {
            state.0.insert((cell.table, cell.key, cell.day), cell.partial);
        }
        for key in cells.take_changed_keys() {
            state.1.insert((key.table.clone(), key.hash), key);
        }
    };
    let (mut cells, mut threads) = start(&state);
    for (at, order) in orders.iter().enumerate() {
        let worker = at % workers;
        fold_one(&mut threads[worker], catalog, &order.payload()).unwrap();
        if at % every == 0 {
            cells.merge(threads[worker].take()).unwrap();
        }
        if at % (2 * every) == 0 {
            commit(&mut cells, &mut state);
        }
        if at == restart {
            threads
                .iter_mut()
                .for_each(|thread| cells.merge(thread.take()).unwrap());
            commit(&mut cells, &mut state);
            (cells, threads) = start(&state);
        }
    }
    threads
        .iter_mut()
        .for_each(|thread| cells.merge(thread.take()).unwrap());
    commit(&mut cells, &mut state);
    let nothing = Partial::Count(0);
    state.0.retain(|_, partial| *partial != nothing);
    state
}

fn day_of(order: &Order) -> i32 {
    let zone = jiff::tz::TimeZone::get("Europe/Berlin").unwrap();
    let at = jiff::Timestamp::from_millisecond(1_780_000_000_000 + order.minutes * 60_000).unwrap();
    Day::of(zone.to_datetime(at).date()).0
}

/// New keys by region and day: of each customer's orders in time, those that follow no other within so many days.
fn naive(orders: &[Order], within: Option<i32>) -> BTreeMap<(String, i32), i64> {
    let mut by_customer: BTreeMap<u8, Vec<(i64, u64, i32, String)>> = BTreeMap::new();
    for order in orders.iter().filter(|order| order.paid) {
        let region = format!("r{}", order.region);
        let tie = xxhash_rust::xxh3::xxh3_64(region.as_bytes());
        by_customer
            .entry(order.customer)
            .or_default()
            .push((order.minutes, tie, day_of(order), region));
    }
    let mut counts = BTreeMap::new();
    for mut orders in by_customer.into_values() {
        orders.sort();
        let mut last: Option<i32> = None;
        for (.., day, region) in orders {
            if last.is_none_or(|last| within.is_some_and(|within| day - last > within)) {
                *counts.entry((region, day)).or_insert(0) += 1;
            }
            last = Some(day);
        }
    }
    counts
}

fn counts(state: &State, table: &str) -> BTreeMap<(String, i32), i64> {
    let cells = state.0.iter().filter(|((name, ..), _)| name == table);
    cells
        .map(|((_, key, day), partial)| match partial {
            Partial::Count(count) => ((key.clone(), *day), *count),
            _ => panic!("a count"),
        })
        .collect()
}

proptest! {
    #[test]
    fn any_order_split_and_restart_gives_the_model(
        orders in orders(),
        shuffle in proptest::collection::vec(any::<u32>(), 60),
        every in 1usize..20,
        workers in 1usize..4,
        restart in 0usize..60,
    ) {
        let catalog = catalog();
        let straight = committed(&catalog, &orders, 1000, 1, 1000);
        let mut shuffled: Vec<(u32, Order)> = shuffle.iter().copied().zip(orders.iter().cloned()).collect();
        shuffled.sort_by_key(|(at, _)| *at);
        let shuffled: Vec<Order> = shuffled.into_iter().map(|(_, order)| order).collect();
        prop_assert_eq!(&committed(&catalog, &shuffled, every, workers, restart), &straight);

        let condition = "where type == \"paid\"; type = type";
        prop_assert_eq!(counts(&straight, &format!("orders (time time, days of Europe/Berlin): count_new(customer) {condition} by region")), naive(&orders, None));
        prop_assert_eq!(
            counts(&straight, &format!("orders (time time, days of Europe/Berlin): count_new(customer) {condition} within 2d by region")),
            naive(&orders, Some(2))
        );
    }

    /// Those that return are all that came, less those that never came before.
    #[test]
    fn returning_is_what_is_not_new(orders in orders()) {
        let catalog = catalog();
        let plan = Arc::new(Plan::compile(&catalog));
        let mut cells = Cells::new(plan.clone());
        let mut worker = Worker::new(&catalog, plan.clone());
        for order in &orders {
            fold_one(&mut worker, &catalog, &order.payload()).unwrap();
        }
        cells.merge(worker.take()).unwrap();
        let metric = catalog.metrics.iter().position(|metric| metric.name == "returning").unwrap();
        let formula = Formula::of(&catalog, &plan, MetricId(u32::try_from(metric).unwrap()), &[]).unwrap();
        let mut sorted: Vec<&Order> = orders.iter().filter(|order| order.paid).collect();
        sorted.sort_by_key(|order| order.minutes);
        let first = |customer: u8| sorted.iter().find(|order| order.customer == customer).map(|order| day_of(order));
        let days: BTreeSet<i32> = sorted.iter().map(|order| day_of(order)).collect();
        for (from, to) in days.iter().flat_map(|from| days.iter().map(move |to| (*from, *to + 1))).filter(|(from, to)| from < to) {
            let came: BTreeSet<u8> = sorted.iter().filter(|order| (from..to).contains(&day_of(order))).map(|order| order.customer).collect();
            let returned = came.iter().filter(|customer| first(**customer) < Some(from)).count();
            prop_assert_eq!(formula.value(&cells, &Default::default(), Day(from), Day(to)), Some(returned as f64));
        }
    }
}
