//! Folds a change: takes back what a thing was, adds what it is; both or neither.

use super::dedup::{self, Seen};
use super::partial::Kind;
use super::worker::{Folded, Worker};
use crate::catalog::SourceId;
use crate::decode::{Change, Reject, Sign};

impl Worker {
    /// Folds an event with its images; `offset` as in [`Worker::fold`].
    ///
    /// An update whose row before cannot be folded takes nothing back: that row was rejected when it came, and is in
    /// no number.
    ///
    /// # Errors
    /// Why the event cannot be used; nothing of it is folded then.
    pub fn fold_change(
        &mut self,
        source: SourceId,
        change: &Change<'_>,
        offset: i64,
    ) -> Result<Folded, Reject> {
        let takes_back = self.takes_back(source);
        if change.lacks_before && takes_back {
            return Err(Reject::MissingBefore);
        }
        let before = change.before.as_ref().filter(|_| takes_back);
        match (before, &change.after) {
            (None, None) => Ok(Folded::Filtered),
            (None, Some(after)) => self.fold(source, after, offset, Sign::Add),
            (Some(before), None) => self
                .fold(source, before, offset, Sign::Retract)
                .map_err(|reject| match reject {
                    Reject::MissingField { .. } => Reject::MissingBefore,
                    other => other,
                }),
            (Some(before), Some(after)) => {
                self.check(source, after)?;
                let was = self.fold(source, before, offset, Sign::Retract);
                let is = self.fold(source, after, offset, Sign::Add)?;
                Ok(if was == Ok(Folded::Counted) {
                    Folded::Counted
                } else {
                    is
                })
            }
        }
    }

    /// Folds an event of a source whose events have ids, unless it is a copy of one that was counted.
    ///
    /// # Errors
    /// Why the event cannot be used; nothing of it is folded or remembered then.
    pub fn fold_once(
        &mut self,
        source: SourceId,
        change: &Change<'_>,
        offset: i64,
        seen: &mut Seen,
    ) -> Result<Folded, Reject> {
        let Some(event) = change.after.as_ref().or(change.before.as_ref()) else {
            return Ok(Folded::Filtered);
        };
        let takes_back = self.plan().sources[source.0 as usize].takes_back(event);
        let id = dedup::hash_of(event.id()?, takes_back);
        if seen.contains(id) {
            return Ok(Folded::Duplicate);
        }
        let folded = self.fold_change(source, change, offset)?;
        if folded == Folded::Counted {
            seen.insert(id, event.time_ms);
        }
        Ok(folded)
    }

    /// Whether a source feeds anything that must forget what a thing was.
    fn takes_back(&self, source: SourceId) -> bool {
        let plan = self.plan();
        let source = &plan.sources[source.0 as usize];
        let folded = source
            .groups
            .iter()
            .flat_map(|&group| &plan.groups[group].columns);
        folded
            .chain(&source.silent)
            .any(|column| !matches!(column.kind, Kind::Last | Kind::Durations))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::catalog::load::{Files, load};
    use crate::catalog::{Agg, Catalog};
    use crate::decode::{Found, Reader, Record};
    use crate::fold::cells::{Cells, StoredCell};
    use crate::fold::partial::{Kind, Partial};
    use crate::fold::plan::Plan;

    const CATALOG: &str = r#"
sources:
  orders: {topics: [t], format: debezium, time: day, fields: {amount: amount, state: state, region: region}}
metrics:
  revenue: {source: orders, agg: sum, expr: amount, filter: state == "paid"}
  average: {source: orders, agg: avg, expr: amount, filter: state == "paid"}
  orders:  {source: orders, agg: count}
nodes:
  revenue: {metric: revenue, role: business, period: month}
  average: {metric: average, role: kpi, parent: revenue, each: [region], period: month}
  orders:  {metric: orders, role: kpi, parent: revenue, each: [region], period: month}
"#;

    fn catalog(text: &str) -> Catalog {
        load(&Files::new("", [("a.yaml", text)]))
            .map_err(|d| d.to_string())
            .unwrap()
    }

    struct Table {
        worker: Worker,
        cells: Cells,
        reader: Reader,
    }

    impl Table {
        fn new(text: &str) -> Table {
            let catalog = catalog(text);
            let plan = Arc::new(Plan::compile(&catalog));
            Table {
                worker: Worker::new(&catalog, plan.clone()),
                cells: Cells::new(plan),
                reader: Reader::new(&catalog.sources[0]),
            }
        }

        fn fold(&mut self, payload: &str) -> Result<Folded, &'static str> {
            let record = Record {
                payload: Some(payload.as_bytes()),
                ..Record::default()
            };
            let mut result = Err("not visited");
            let worker = &mut self.worker;
            self.reader.read(&record, |item| {
                result = item
                    .found
                    .and_then(|found| match found {
                        Found::Change(change) => worker.fold_change(SourceId(0), &change, 0),
                        Found::Tombstone => Ok(Folded::Filtered),
                    })
                    .map_err(|reject| reject.reason());
            });
            result
        }

        fn changed(&mut self) -> Vec<StoredCell> {
            self.cells.merge(self.worker.take()).unwrap();
            self.cells.take_changed()
        }
    }

    #[derive(Clone, Debug)]
    struct Row {
        amount: i64,
        paid: bool,
        region: u8,
        day: i64,
    }

    impl Row {
        fn json(&self) -> String {
            let state = if self.paid { "paid" } else { "open" };
            let (amount, region, day) = (self.amount, self.region, 20_600 + self.day);
            format!(
                r#"{{"id": 1, "amount": "{amount}.5", "state": "{state}", "region": "r{region}", "day": {day}}}"#
            )
        }
    }

    fn change(op: &str, before: Option<&Row>, after: Option<&Row>) -> String {
        let row = |row: Option<&Row>| row.map_or("null".to_owned(), Row::json);
        let envelope = format!(
            r#"{{"before": {}, "after": {}, "source": {{"table": "orders"}}, "op": "{op}", "ts_ms": 1}}"#,
            row(before),
            row(after)
        );
        // Both ways of Connect's JSON converter.
        if before.is_some() {
            format!(r#"{{"schema": {{"type": "struct"}}, "payload": {envelope}}}"#)
        } else {
            envelope
        }
    }

    fn rows() -> impl Strategy<Value = Vec<(usize, Option<Row>)>> {
        let row =
            (-1000i64..1000, any::<bool>(), 0u8..2, 0i64..3).prop_map(|(amount, paid, region, day)| Row {
                amount,
                paid,
                region,
                day,
            });
        proptest::collection::vec((0usize..4, proptest::option::of(row)), 0..40)
    }

    proptest! {
        /// After any history of a table the cells are those of its rows as they are now, also in a state that was
        /// written and read on the way.
        #[test]
        fn the_cells_are_those_of_the_rows_that_are_left(history in rows(), restart in 0usize..40) {
            let mut table = Table::new(CATALOG);
            let mut left: BTreeMap<usize, Row> = BTreeMap::new();
            let mut state: BTreeMap<(String, String, i32), StoredCell> = BTreeMap::new();
            for (n, (id, row)) in history.iter().enumerate() {
                let before = left.get(id).cloned();
                let payload = match (&before, row) {
                    (None, None) => continue,
                    (None, Some(row)) => change(if n % 2 == 0 { "c" } else { "r" }, None, Some(row)),
                    (Some(before), Some(row)) => change("u", Some(before), Some(row)),
                    (Some(before), None) => change("d", Some(before), None),
                };
                match row {
                    Some(row) => left.insert(*id, row.clone()),
                    None => left.remove(id),
                };
                prop_assert_eq!(table.fold(&payload), Ok(Folded::Counted));
                if n == restart {
                    for cell in table.changed() {
                        state.insert((cell.table.clone(), cell.key.clone(), cell.day), cell);
                    }
                    table = Table::new(CATALOG);
                    table.cells.restore(state.values().cloned().collect());
                }
            }
            for cell in table.changed() {
                state.insert((cell.table.clone(), cell.key.clone(), cell.day), cell);
            }
            let mut expected = Table::new(CATALOG);
            for row in left.values() {
                expected.fold(&change("c", None, Some(row))).unwrap();
            }
            let expected: BTreeMap<_, _> = expected.changed().into_iter().map(|cell| ((cell.table.clone(), cell.key.clone(), cell.day), cell.partial)).collect();
            for (place, cell) in state {
                let empty = match cell.partial {
                    Partial::Sum(..) => Partial::empty(Kind::Sum),
                    Partial::Avg(..) => Partial::empty(Kind::Avg),
                    _ => Partial::empty(Kind::Count),
                };
                prop_assert_eq!(&cell.partial, expected.get(&place).unwrap_or(&empty), "{:?}", place);
            }
        }
    }

    #[test]
    fn a_change_is_folded_whole_or_not_at_all() {
        let paid = r#"{"amount": 1, "state": "paid", "day": 20600}"#;
        let worthless = r#"{"state": "paid", "day": 20600}"#;
        for (op, before, after, expected) in [
            ("c", "null", paid, Ok(Folded::Counted)),
            ("c", paid, paid, Ok(Folded::Counted)),
            ("c", "null", worthless, Err("missing_field")),
            ("u", paid, worthless, Err("missing_field")),
            ("u", "null", paid, Err("missing_before")),
            ("d", "null", "null", Err("missing_before")),
            // Only the key was logged.
            (
                "d",
                r#"{"id": 1, "amount": null, "state": "paid", "day": 20600}"#,
                "null",
                Err("missing_before"),
            ),
            (
                "d",
                r#"{"id": 1, "amount": null, "state": null, "day": null}"#,
                "null",
                Err("missing_before"),
            ),
            ("c", "null", "null", Err("not_an_object")),
            ("c", "null", "\"{}\"", Err("not_an_object")),
            ("t", "null", "null", Err("unknown_operation")),
        ] {
            let mut table = Table::new(CATALOG);
            let found = table.fold(&format!(
                r#"{{"op": "{op}", "before": {before}, "after": {after}}}"#
            ));
            assert_eq!(found, expected, "{op} {before} {after}");
            assert_eq!(
                table.changed().is_empty(),
                expected.is_err(),
                "{op} {before} {after}"
            );
        }
        let mut table = Table::new(CATALOG);
        assert_eq!(table.fold(paid), Err("no_envelope"));
        // What was rejected when it came is in no number: only its correction counts.
        let update = format!(r#"{{"op": "u", "before": {worthless}, "after": {paid}}}"#);
        assert_eq!(table.fold(&update), Ok(Folded::Counted));
        let counts: Vec<Partial> = table
            .changed()
            .into_iter()
            .filter(|cell| cell.table.contains("count("))
            .map(|cell| cell.partial)
            .collect();
        assert_eq!(counts, [Partial::Count(1)]);
    }

    #[test]
    fn the_newest_row_needs_no_row_before() {
        let mut table = Table::new(
            "
sources:
  stock: {topics: [t], format: debezium, time: $envelope.ts_ms, fields: {pieces: pieces}}
metrics:
  stock: {source: stock, agg: last, expr: pieces}
nodes:
  stock: {metric: stock, role: business, period: month}
",
        );
        for (op, pieces, ms) in [("c", 5, 1_780_000_000_000i64), ("u", 7, 1_780_000_001_000)] {
            let payload = format!(
                r#"{{"op": "{op}", "before": null, "after": {{"pieces": {pieces}}}, "ts_ms": {ms}}}"#
            );
            assert_eq!(table.fold(&payload), Ok(Folded::Counted));
        }
        assert_eq!(
            table.fold(r#"{"op": "d", "before": {"id": 1}, "after": null, "ts_ms": 1780000002000}"#),
            Ok(Folded::Filtered)
        );
        let cells = table.changed();
        assert_eq!(
            cells
                .iter()
                .map(|cell| cell.partial.value(Agg::Last))
                .collect::<Vec<_>>(),
            [Some(7.0)]
        );
    }
}
