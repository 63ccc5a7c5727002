//! Entries of manual metrics: however they are corrected, what counts is what stands.

use super::*;
use crate::decode::Found;
use crate::source::entry::{Draft, Entry, next};

const TYPED_IN: &str = r#"
calendar: {timezone: UTC}
metrics:
  total:  {type: manual, agg: sum, entered_by: [a], dimensions: [store]}
  newest: {type: manual, agg: last, entered_by: [a], dimensions: [store]}
nodes:
  total:  {metric: total, role: business, period: month, each: [store]}
  newest: {metric: newest, role: kpi, parent: total, period: month, each: [store]}
"#;

/// What somebody does: the value in hundredths, the day, the store, and which of the entries so far it corrects.
type Step = (i64, i64, u8, Option<proptest::sample::Index>);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let which = proptest::option::of(any::<proptest::sample::Index>());
    proptest::collection::vec((-10_000i64..10_000, 0i64..3, 0u8..2, which), 1..30)
}

/// A short name, and one of as many characters as an entry may have: far more bytes than an event's value may.
fn name_of(store: u8) -> String {
    match store {
        0 => "s0".to_owned(),
        other => format!("{}{other}", "店".repeat(199)),
    }
}

/// The entries that were taken, and the cells that their events come to, of the metric at `source`.
fn typed_in(steps: &[Step], metric: &str, source: usize) -> (Vec<Entry>, Vec<StoredCell>) {
    let catalog = load(&Files::new("", [("a.yaml", TYPED_IN)]))
        .map_err(|d| d.to_string())
        .unwrap();
    let plan = Arc::new(Plan::compile(&catalog));
    let mut cells = Cells::new(plan.clone());
    let mut worker = Worker::new(&catalog, plan);
    let mut reader = Reader::new(&catalog.sources[source]);
    let source = SourceId(u32::try_from(source).unwrap());
    let mut entries: Vec<Entry> = Vec::new();
    for (offset, (cents, day, store, corrects)) in (0i64..).zip(steps) {
        let replaces = corrects
            .filter(|_| !entries.is_empty())
            .map(|which| entries[which.index(entries.len())].number);
        let is_new = replaces.is_none();
        let draft = Draft {
            value: format!("{}", *cents as f64 / 100.0),
            by: "a".to_owned(),
            at_ms: is_new.then_some(1_780_000_000_000 + day * 86_400_000),
            dimensions: is_new
                .then(|| ("store".to_owned(), name_of(*store)))
                .into_iter()
                .collect(),
            note: None,
            replaces,
        };
        // What was corrected already is refused, and nothing changes.
        let Ok((entry, event)) = next(
            &entries,
            metric,
            draft,
            jiff::Timestamp::UNIX_EPOCH,
            metric == "newest",
        ) else {
            continue;
        };
        let record = Record {
            payload: Some(event.as_bytes()),
            ..Record::default()
        };
        reader.read(&record, |item| match item.found.unwrap() {
            Found::Change(change) => {
                worker.fold_change(source, &change, offset).unwrap();
            }
            Found::Tombstone => panic!("an entry is no tombstone"),
        });
        cells.merge(worker.take()).unwrap();
        entries.push(entry);
    }
    (entries, cells.take_changed())
}

fn standing(entries: &[Entry]) -> impl Iterator<Item = &Entry> {
    let replaced = |number| entries.iter().any(|other| other.replaces == Some(number));
    entries.iter().filter(move |entry| !replaced(entry.number))
}

proptest! {
    #[test]
    fn a_sum_is_that_of_the_entries_that_stand(steps in steps()) {
        let (entries, cells) = typed_in(&steps, "total", 0);
        let mut expected: BTreeMap<(String, i32), i64> = BTreeMap::new();
        for entry in standing(&entries) {
            let cents = (entry.value.parse::<f64>().unwrap() * 100.0).round() as i64;
            let day = i32::try_from(entry.at_ms.div_euclid(86_400_000)).unwrap();
            *expected.entry((entry.dimensions["store"].clone(), day)).or_default() += cents;
        }
        let found: BTreeMap<(String, i32), i64> = cells
            .into_iter()
            .map(|cell| ((cell.key, cell.day), (cell.partial.value(Agg::Sum).unwrap() * 100.0).round() as i64))
            .collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn the_last_of_a_day_is_the_newest_that_stands(steps in steps()) {
        let (entries, cells) = typed_in(&steps, "newest", 1);
        let mut expected: BTreeMap<(String, i32), i64> = BTreeMap::new();
        // Those that stand, in the order in which what they correct was typed in.
        let mut standing: Vec<&Entry> = standing(&entries).collect();
        standing.sort_by_key(|entry| {
            let before = |entry: &&Entry| entries.iter().find(|other| Some(other.number) == entry.replaces);
            std::iter::successors(Some(*entry), before).last().map(|entry| entry.number)
        });
        for entry in standing {
            let day = i32::try_from(entry.at_ms.div_euclid(86_400_000)).unwrap();
            expected.insert((entry.dimensions["store"].clone(), day), (entry.value.parse::<f64>().unwrap() * 100.0).round() as i64);
        }
        let found: BTreeMap<(String, i32), i64> = cells
            .into_iter()
            .map(|cell| ((cell.key, cell.day), (cell.partial.value(Agg::Last).unwrap() * 100.0).round() as i64))
            .collect();
        prop_assert_eq!(found, expected);
    }
}
