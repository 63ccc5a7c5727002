//! Commits of one file become rows of another, whatever they change; what fails leaves both as they were.

use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use rusqlite::types::Value;

use super::*;
use crate::state::{Commit, Position};

/// A topic in memory.
#[derive(Clone, Default)]
struct Topic(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    records: Vec<Change>,
    /// What the next writes come to.
    failures: Vec<StateError>,
}

impl Topic {
    fn records(&self) -> Vec<Change> {
        self.0.lock().unwrap().records.clone()
    }

    /// As compaction leaves it: the newest record of each key, in their order.
    fn compacted(&self) -> Vec<Change> {
        let records = self.records();
        let is_newest = |(place, change): &(usize, &Change)| {
            records[place + 1..].iter().all(|later| later.key != change.key)
        };
        records
            .iter()
            .enumerate()
            .filter(is_newest)
            .map(|(_, change)| change.clone())
            .collect()
    }

    fn fail(&self, error: StateError) {
        self.0.lock().unwrap().failures.push(error);
    }
}

impl Journal for Topic {
    fn write(&mut self, changes: &[Change]) -> Result<i64, StateError> {
        let mut inner = self.0.lock().unwrap();
        if let Some(failure) = inner.failures.pop() {
            return Err(failure);
        }
        inner.records.extend(changes.iter().cloned());
        Ok(inner.records.len() as i64)
    }
}

/// A state that leads, what it wrote, and what it says when it does not lead any more.
fn leading() -> (Store, Topic, Arc<Term>) {
    let connection = Sqlite::open_in_memory().unwrap();
    schema::prepare(&connection).unwrap();
    let tables = Tables::of(&connection).unwrap();
    let topic = Topic::default();
    let mut whole = topic.clone();
    tables
        .all(&connection, |changes| whole.write(&changes).map(drop))
        .unwrap();
    let mut connection = connection;
    let transaction = connection.transaction().unwrap();
    write_standing(&transaction, "t", 0, None, 0).unwrap();
    transaction.commit().unwrap();
    let term = Arc::new(Term::default());
    let leading = Leading::new(tables, Box::new(topic.clone()), "t".to_owned(), term.clone());
    (Store::leading(connection, None, leading).unwrap(), topic, term)
}

/// A file that took these records.
fn follower(records: &[Change]) -> Sqlite {
    let mut connection = Sqlite::open_in_memory().unwrap();
    schema::prepare(&connection).unwrap();
    let tables = Tables::of(&connection).unwrap();
    let transaction = connection.transaction().unwrap();
    tables.clear(&transaction).unwrap();
    let mut putter = Putter::default();
    for change in records {
        putter
            .put(&tables, &transaction, &change.key, change.row.as_deref())
            .unwrap();
    }
    assert!(!putter.is_open());
    transaction.commit().unwrap();
    connection
}

/// Every row of every table, in the order of their keys.
fn dump(connection: &Sqlite) -> Vec<String> {
    let mut lines = Vec::new();
    let mut select = connection
        .prepare(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT IN ('replica', 'sqlite_sequence') ORDER BY name",
        )
        .unwrap();
    let names: Vec<String> = select
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    for name in names {
        let mut select = connection.prepare(&format!("SELECT * FROM main.{name}")).unwrap();
        let columns = select.column_count();
        let mut rows = select.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let cells: Vec<Value> = (0..columns).map(|column| row.get(column).unwrap()).collect();
            let shown = cells.into_iter().map(|cell| match cell {
                // What takes long to write out differs in its end as well.
                Value::Text(text) if text.len() > 1000 => {
                    format!("{} bytes, the end {:?}", text.len(), &text[text.len() - 30..])
                }
                cell => format!("{cell:?}"),
            });
            lines.push(format!("{name} {}", shown.collect::<Vec<_>>().join(", ")));
        }
    }
    lines.sort();
    lines
}

/// A change of a table of text keys and anything as values, as a commit makes it.
#[derive(Clone, Debug)]
enum Act {
    Meta(u8, String),
    Number(u8, i64),
    Request(u8, u8),
    Forget(u8),
    Seen(i32, Vec<u8>),
    Log(String),
    Renumber(i64),
    Logged,
}

fn acts() -> impl Strategy<Value = Vec<Vec<Act>>> {
    let act = prop_oneof![
        (0_u8..4, ".{0,20}").prop_map(|(key, text)| Act::Meta(key, text)),
        (0_u8..4, any::<i64>()).prop_map(|(key, number)| Act::Number(key, number)),
        (0_u8..3, 0_u8..3).prop_map(|(source, key)| Act::Request(source, key)),
        (0_u8..4).prop_map(Act::Forget),
        (any::<i32>(), prop::collection::vec(any::<u8>(), 0..9))
            .prop_map(|(hour, bytes)| Act::Seen(hour, bytes)),
        ".{0,5}".prop_map(Act::Log),
        (-9_i64..9).prop_map(Act::Renumber),
        Just(Act::Logged),
    ];
    prop::collection::vec(prop::collection::vec(act, 0..6), 0..8)
}

fn carry_out(transaction: &Transaction<'_>, act: &Act) -> rusqlite::Result<usize> {
    match act {
        Act::Meta(key, text) => transaction.execute(
            "INSERT INTO meta (key, value) VALUES ('k' || ?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            params![key, text],
        ),
        Act::Number(key, number) => {
            transaction.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('k' || ?1, ?2)", params![key, number])
        }
        // Replaces a row with another primary key.
        Act::Request(source, key) => transaction.execute(
            "INSERT OR REPLACE INTO requests (source, key, body_hash, receipt) VALUES (?1, ?2, -1, '{}')",
            params![source.to_string(), key.to_string()],
        ),
        Act::Forget(key) => transaction.execute("DELETE FROM meta WHERE key = 'k' || ?1", params![key]),
        Act::Seen(hour, bytes) => transaction.execute(
            "INSERT OR REPLACE INTO seen (topic, partition, hour, chunk, hashes) VALUES ('\"]#1', 0, ?1, -5, ?2)",
            params![hour, bytes],
        ),
        Act::Log(text) => {
            transaction.execute("INSERT INTO alert_log (key, body) VALUES ('e', ?1)", params![text])
        }
        // Another primary key for the same row.
        Act::Renumber(by) => transaction.execute(
            "UPDATE OR REPLACE alert_log SET number = number + ?1 WHERE number = (SELECT max(number) FROM alert_log)",
            params![by],
        ),
        Act::Logged => transaction.execute("DELETE FROM alert_log", []),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever commits change, who follows holds the same: record by record, and from what compaction leaves.
    #[test]
    fn who_follows_holds_what_who_leads_wrote(commits in acts()) {
        let (store, topic, _term) = leading();
        for acts in commits {
            store
                .write(|transaction| {
                    for act in &acts {
                        carry_out(transaction, act)?;
                    }
                    Ok(())
                })
                .unwrap();
        }
        let wanted = dump(&store.lock());
        prop_assert_eq!(dump(&follower(&topic.records())), wanted.clone());
        prop_assert_eq!(dump(&follower(&topic.compacted())), wanted);
    }
}

#[test]
fn a_long_row_goes_in_parts_and_what_compaction_leaves_of_a_longer_one_is_not_taken_for_it() {
    let (store, topic, _term) = leading();
    let texts = [2_500_000, 1_000_000, 1_900_000, 10].map(|length| "字".repeat(length / 3));
    for text in &texts {
        let before = topic.records().len();
        let dispatch = |transaction: &Transaction<'_>| crate::state::put_meta(transaction, "dispatch", text);
        store.write(dispatch).unwrap();
        assert_eq!(topic.records().len() - before, text.len() / 900_000 + 1);
        for change in &topic.records()[before..] {
            assert!(change.row.as_ref().unwrap().len() < 1_000_000, "{}", change.key);
        }
        let wanted = dump(&store.lock());
        assert_eq!(dump(&follower(&topic.records())), wanted);
        assert_eq!(dump(&follower(&topic.compacted())), wanted);
    }
    let forget = |transaction: &Transaction<'_>| {
        Ok(transaction.execute("DELETE FROM meta WHERE key = 'dispatch'", [])?)
    };
    store.write(forget).unwrap();
    assert_eq!(dump(&follower(&topic.compacted())), dump(&store.lock()));
}

#[test]
fn what_kafka_does_not_take_is_not_here_either_and_comes_with_the_next_try() {
    let (store, topic, term) = leading();
    let moved = |next_offset| Position {
        topic: "orders".into(),
        partition: 0,
        next_offset,
        newest_event_ms: None,
    };
    let commit = |store: &Store, next_offset| {
        store.commit(&Commit {
            positions: &[moved(next_offset)],
            ..Commit::default()
        })
    };
    commit(&store, 1).unwrap();
    let before = (dump(&store.lock()), topic.records().len());
    topic.fail(StateError::NotReplicated("no".to_owned()));
    let error = commit(&store, 2).unwrap_err();
    assert!(error.to_string().contains("nothing is lost"), "{error}");
    assert_eq!((dump(&store.lock()), topic.records().len()), before);
    assert_eq!((&*term.lost().borrow(), term.is_disturbed()), (&None, true));
    // Kafka is left alone for a while.
    let error = commit(&store, 2).unwrap_err();
    assert!(matches!(error, StateError::NotReplicated(_)), "{error}");
    std::thread::sleep(RETRY_AFTER);
    commit(&store, 3).unwrap();
    assert_eq!(store.positions().unwrap(), [moved(3)]);
    assert_eq!(dump(&follower(&topic.records())), dump(&store.lock()));

    // Nothing goes to the topic when nothing has changed.
    let length = topic.records().len();
    commit(&store, 3).unwrap();
    let rows = topic.records()[length..]
        .iter()
        .map(|change| change.key.clone())
        .collect::<Vec<_>>();
    assert!(rows.len() <= 2, "{rows:?}");

    // Who does not lead any more writes nothing again, and says so.
    topic.fail(StateError::Deposed("fenced".to_owned()));
    let before = dump(&store.lock());
    for _ in 0..2 {
        let error = commit(&store, 4).unwrap_err();
        assert!(matches!(error, StateError::Deposed(_)), "{error}");
        assert_eq!(dump(&store.lock()), before);
    }
    assert_eq!(term.lost().borrow().as_deref(), Some("fenced"));
}

#[test]
fn a_row_that_no_tautline_wrote_is_named() {
    let connection = Sqlite::open_in_memory().unwrap();
    schema::prepare(&connection).unwrap();
    let tables = Tables::of(&connection).unwrap();
    let mut connection = connection;
    let transaction = connection.transaction().unwrap();
    for (key, says) in [
        ("hello", "no list of a table"),
        ("[\"nowhere\", 1]", "knows no such table"),
        ("[\"meta\"]", "other parts"),
        ("[\"meta\", true]", "no list of a table"),
        ("[\"meta\", 1.5]", "no list of a table"),
    ] {
        let error = Putter::default()
            .put(&tables, &transaction, key, None)
            .unwrap_err()
            .to_string();
        assert!(error.contains(says) && error.contains(key), "{error}");
    }
    let error = Putter::default()
        .put(&tables, &transaction, "[\"meta\",\"a\"]", Some(b"\xff"))
        .unwrap_err();
    assert!(error.to_string().contains("unreadable row"), "{error}");
}
