//! Too many combinations of dimension values: what has no room counts as "other", and nothing is lost.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::catalog::OTHER;
use crate::fixed::Fixed;
use crate::fold::FoldError;
use crate::fold::cells::{Bound, ForgottenDay};
use crate::fold::partial::Partial;

fn few(max_cells: usize) -> Catalog {
    let yaml = format!(
        "sources:\n  s: {{topics: [t], format: json, time: t, fields: {{amount: amount, person: person, shop: shop}}}}\nmetrics:\n  m: {{source: s, agg: sum, expr: amount, max_cells: {max_cells}}}\nnodes:\n  all: {{metric: m, role: business, period: month}}\n  people: {{metric: m, role: business, parent: all, relation: sum, each: [person, shop], period: month}}\n"
    );
    load(&Files::new("", [("a.yaml", yaml.as_str())]))
        .map_err(|d| d.to_string())
        .unwrap()
}

pub(super) struct Fold {
    catalog: Catalog,
    pub(super) plan: Arc<Plan>,
    pub(super) cells: Cells,
    worker: Worker,
    /// As the state has them.
    pub(super) kept: BTreeMap<(String, String, i32), StoredCell>,
    in_other: u64,
    /// Events with a value that is too long.
    long_values: u64,
    /// Events whose day is no longer kept.
    pub(super) too_old: u64,
}

impl Fold {
    pub(super) fn new(max_cells: usize) -> Fold {
        let catalog = few(max_cells);
        let plan = Arc::new(Plan::compile(&catalog));
        Fold {
            cells: Cells::new(plan.clone()),
            worker: Worker::new(&catalog, plan.clone()),
            kept: BTreeMap::new(),
            in_other: 0,
            long_values: 0,
            too_old: 0,
            catalog,
            plan,
        }
    }

    fn event(&mut self, person: &str, shop: &str, amount: u32) {
        self.event_on(20_605, person, shop, amount);
    }

    /// An event in the second hour of a day, in days since 1970-01-01.
    pub(super) fn event_on(&mut self, day: i32, person: &str, shop: &str, amount: u32) {
        let at = i64::from(day) * 86_400 + 3600;
        let payload = format!(r#"{{"t": {at}, "amount": {amount}, "person": "{person}", "shop": "{shop}"}}"#);
        let record = Record {
            payload: Some(payload.as_bytes()),
            ..Record::default()
        };
        let mut reader = Reader::new(&self.catalog.sources[0]);
        let event = reader.read_one(&record).unwrap();
        self.worker.fold(SourceId(0), &event, 0, Sign::Add).unwrap();
    }

    pub(super) fn hand_over(&mut self) {
        self.cells.merge(self.worker.take()).unwrap();
        self.commit();
    }

    /// What the evaluator does before a commit, and the state with it.
    pub(super) fn commit(&mut self) {
        for cell in self.cells.take_changed() {
            let place = (cell.table.clone(), cell.key.clone(), cell.day);
            self.kept.insert(place, cell);
        }
        for ForgottenDay { tables, key, day } in self.cells.take_forgotten() {
            for table in tables {
                self.kept.remove(&(table, key.clone(), day));
            }
        }
        for evicted in self.cells.take_evicted() {
            match evicted.bound {
                Bound::Cells => self.in_other += evicted.count,
                Bound::Days => self.too_old += evicted.count,
                Bound::Values => self.long_values += evicted.count,
                other => panic!("{other:?}"),
            }
        }
    }

    /// Everything anew from what the state has.
    pub(super) fn restart(&mut self) {
        let plan = Arc::new(Plan::compile(&self.catalog));
        let kept_from = self.cells.kept_from();
        self.cells = Cells::new(plan.clone());
        self.cells.restore_kept_from(kept_from);
        self.cells.restore(self.kept.values().cloned().collect());
        self.worker = Worker::new(&self.catalog, plan.clone());
        self.plan = plan;
    }

    /// Whole amounts by person and shop; the total is under "".
    pub(super) fn amounts(&self) -> BTreeMap<String, i64> {
        let amount = |cell: &StoredCell| match &cell.partial {
            Partial::Sum(sum, _) => sum.to_f64() as i64,
            other => panic!("{other:?}"),
        };
        let mut amounts = BTreeMap::new();
        for cell in self.kept.values() {
            *amounts.entry(cell.key.replace('\u{1f}', "/")).or_insert(0) += amount(cell);
        }
        amounts
    }
}

#[test]
fn what_has_no_room_counts_as_other_also_after_a_restart() {
    let mut fold = Fold::new(2);
    fold.event("ann", "north", 1);
    fold.event("ben", "south", 2);
    fold.hand_over();
    // A new combination of known values, and values that nobody knows.
    fold.event("ann", "south", 4);
    fold.event("cy", "west", 8);
    fold.event("ann", "north", 16);
    fold.hand_over();
    let expected = |ann, other, total| {
        BTreeMap::from([
            (String::new(), total),
            ("ann/north".to_owned(), ann),
            ("ben/south".to_owned(), 2),
            (format!("{OTHER}/{OTHER}"), other),
        ])
    };
    assert_eq!(fold.amounts(), expected(17, 12, 31));
    assert_eq!(fold.in_other, 2);
    assert_eq!(
        fold.plan.interner.find("cy"),
        None,
        "what never ends needs no memory"
    );

    fold.restart();
    fold.event("cy", "west", 32);
    fold.event("ann", "north", 64);
    fold.hand_over();
    assert_eq!(fold.amounts(), expected(81, 44, 127));
    assert_eq!(fold.in_other, 3);
}

/// What is taken back is taken from where it was put: another bound on values is another definition of what could be put
/// somewhere else under it, and of nothing else.
#[test]
fn another_bound_on_values_is_another_definition_where_events_take_back() {
    let yaml = r#"
sources:
  plain:   {topics: [a], format: json, fields: {amount: amount, shop: shop}}
  less:    {topics: [b], format: json, retract: is_less == true, fields: {amount: amount, shop: shop, is_less: {path: less, type: bool}}}
  changes: {topics: [c], format: debezium, fields: {amount: amount, shop: shop}}
metrics:
  plain:   {source: plain, agg: sum, expr: amount}
  less:    {source: less, agg: sum, expr: amount}
  changes: {source: changes, agg: count}
  typed:   {type: manual, agg: sum, entered_by: [lead], dimensions: [shop]}
nodes:
  plain:        {metric: plain, role: business, period: month}
  less:         {metric: less, role: business, period: month}
  changes:      {metric: changes, role: business, period: month}
  typed:        {metric: typed, role: business, period: month}
  plain-shop:   {metric: plain, role: business, period: month, each: [shop]}
  less-shop:    {metric: less, role: business, period: month, each: [shop]}
  changes-shop: {metric: changes, role: business, period: month, each: [shop]}
  typed-shop:   {metric: typed, role: business, period: month, each: [shop]}
"#;
    let catalog = load(&Files::new("", [("a.yaml", yaml)]))
        .map_err(|d| d.to_string())
        .unwrap();
    let names = |bytes: usize| {
        let plan = Plan::bounded(&catalog, bytes);
        assert_eq!(plan.interner.max_bytes(), bytes);
        catalog
            .nodes
            .iter()
            .map(|node| {
                let at = plan.column(node.metric, &node.each).unwrap();
                (
                    node.name.clone(),
                    plan.groups[at.group].columns[at.column].name.clone(),
                )
            })
            .collect::<BTreeMap<String, String>>()
    };
    let (usual, longer, shorter) = (names(256), names(512), names(16));
    let differing = |other: &BTreeMap<String, String>| {
        let differs = |(node, name): (&String, &String)| (other[node] != *name).then(|| node.clone());
        usual.iter().filter_map(differs).collect::<Vec<_>>()
    };
    assert_eq!(differing(&longer), ["changes-shop", "less-shop"]);
    assert_eq!(differing(&shorter), ["changes-shop", "less-shop"]);
    assert_eq!(
        longer["changes-shop"],
        format!("{} of at most 512 bytes", usual["changes-shop"])
    );
}

#[test]
fn a_value_that_is_too_long_counts_as_other_and_needs_no_memory() {
    let mut fold = Fold::new(10);
    fold.plan.interner.limit(16);
    // Bytes count, not characters: 6 of 3 bytes are too many, 5 are not.
    let (long, wide, fits) = ("x".repeat(17), "店".repeat(6), "店".repeat(5));
    fold.event(&long, "north", 1);
    fold.event(&wide, "north", 2);
    fold.event(&fits, "north", 4);
    fold.event(&"x".repeat(16), &"y".repeat(100_000), 8);
    fold.hand_over();
    let expected = BTreeMap::from([
        (String::new(), 15),
        (format!("{OTHER}/north"), 3),
        (format!("{fits}/north"), 4),
        (format!("{}/{OTHER}", "x".repeat(16)), 8),
    ]);
    assert_eq!(
        (fold.amounts(), fold.long_values, fold.in_other),
        (expected, 3, 0)
    );
    for value in [&*long, &*wide, &*"y".repeat(100_000)] {
        assert_eq!(fold.plan.interner.find(value), None);
    }
}

#[test]
fn of_a_long_name_of_an_item_the_beginning_is_kept_and_it_stays_one_item() {
    let yaml = "sources:\n  s: {topics: [t], format: json, time: t, fields: {id: id, is: is}}\nmetrics:\n  m: {source: s, type: duration, key: id, start: is == \"open\", end: is == \"done\", agg: avg, unit: hours}\nnodes:\n  all: {metric: m, role: business, period: month}\n";
    let catalog = load(&Files::new("", [("a.yaml", yaml)]))
        .map_err(|d| d.to_string())
        .unwrap();
    let plan = Arc::new(Plan::compile(&catalog));
    plan.interner.limit(16);
    let (mut cells, mut worker) = (Cells::new(plan.clone()), Worker::new(&catalog, plan.clone()));
    let mut reader = Reader::new(&catalog.sources[0]);
    let mut mark = |id: &str, is: &str, hour: i64| {
        let payload = format!(
            r#"{{"t": {}, "id": "{id}", "is": "{is}"}}"#,
            1_780_272_000 + hour * 3600
        );
        let record = Record {
            payload: Some(payload.as_bytes()),
            ..Record::default()
        };
        let event = reader.read_one(&record).unwrap();
        worker.fold(SourceId(0), &event, 0, Sign::Add).unwrap();
    };
    // Alike for the 16 bytes that are kept; cut before the character that would be halved.
    let (one, other) = ("x".repeat(15) + "店一", "x".repeat(15) + "店二");
    mark(&one, "open", 1);
    mark(&other, "open", 2);
    mark(&one, "done", 5);
    cells.merge(worker.take()).unwrap();
    let at = plan.column(catalog.nodes[0].metric, &[]).unwrap();
    let open: Vec<(i64, &str)> = cells.open_items(at, &Default::default()).collect();
    let (start_ms, name) = open[0];
    assert_eq!((open.len(), start_ms), (1, (1_780_272_000 + 2 * 3600) * 1000));
    assert!(
        name.starts_with(&("x".repeat(15) + "…")) && name.len() == 15 + 3 + 16,
        "{name}"
    );
    let evicted: Vec<(Bound, u64)> = cells
        .take_evicted()
        .iter()
        .map(|it| (it.bound, it.count))
        .collect();
    assert_eq!(evicted, [(Bound::Values, 3)]);
}

/// The sum and the events that are not in it; the largest number of an event is far from the range's end.
#[test]
fn a_sum_that_would_leave_its_range_stays_and_says_how_many_events_are_not_in_it() {
    let mut fold = Fold::new(10);
    fold.event("ann", "north", 1);
    // As if 10¹⁴ events had come before.
    let mut before = fold.worker.take();
    let nearly = Fixed::from_micros(i128::MAX - 5_000_000);
    for partial in before.groups.iter_mut().flat_map(|group| &mut group.partials) {
        *partial = Partial::Sum(nearly, 1);
    }
    fold.cells.merge(before).unwrap();
    fold.event("ann", "north", 3);
    fold.hand_over();
    assert_eq!(fold.cells.take_evicted(), []);

    fold.event("ann", "north", 2);
    fold.event("ann", "north", 1);
    fold.event("ben", "north", 7);
    assert_eq!(fold.cells.merge(fold.worker.take()), Err(FoldError::Overflow));
    let evicted: Vec<(Bound, u64)> = fold
        .cells
        .take_evicted()
        .iter()
        .map(|it| (it.bound, it.count))
        .collect();
    // Of the total three events; of ann's own cell two.
    assert!(
        evicted.contains(&(Bound::Range, 3)) && evicted.contains(&(Bound::Range, 2)),
        "{evicted:?}"
    );
    fold.commit();
    let sums: BTreeMap<String, Fixed> = fold
        .kept
        .values()
        .map(|cell| match &cell.partial {
            Partial::Sum(sum, _) => (cell.key.replace('\u{1f}', "/"), *sum),
            other => panic!("{other:?}"),
        })
        .collect();
    let held = Fixed::from_micros(i128::MAX - 2_000_000);
    assert_eq!((sums[""], sums["ann/north"]), (held, held));
    assert_eq!(sums["ben/north"], Fixed::from_int(7), "others are merged");
}

proptest! {
    #[test]
    fn the_parts_add_up_to_the_total_however_few_have_room(
        events in proptest::collection::vec((0u8..6, 0u8..3, 0u32..1000), 0..60),
        max_cells in 1usize..8,
        hand_over in 1usize..10,
    ) {
        let mut fold = Fold::new(max_cells);
        for (at, (person, shop, amount)) in events.iter().enumerate() {
            fold.event(&format!("p{person}"), &format!("s{shop}"), *amount);
            if at % hand_over == 0 {
                fold.hand_over();
            }
        }
        fold.hand_over();
        let mut amounts = fold.amounts();
        let total = amounts.remove("").unwrap_or(0);
        prop_assert_eq!(total, events.iter().map(|(_, _, amount)| i64::from(*amount)).sum::<i64>());
        prop_assert_eq!(total, amounts.values().sum::<i64>());
        let other = format!("{OTHER}/{OTHER}");
        prop_assert_eq!(fold.in_other > 0, amounts.contains_key(&other));
        amounts.remove(&other);
        prop_assert!(amounts.len() <= max_cells);
        let named: usize = events
            .iter()
            .filter(|(person, shop, _)| amounts.contains_key(&format!("p{person}/s{shop}")))
            .count();
        prop_assert_eq!(fold.in_other as usize, events.len() - named);
    }
}
