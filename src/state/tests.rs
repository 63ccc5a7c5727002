use super::*;
use crate::alert::identity::{episode_id, fingerprint};
use crate::alert::notice::{NoticeKind, ResolveReason};
use crate::alert::record::{AlertState, Clocks, Facts, History, Labels, Told};
use crate::catalog::Severity;
use crate::evaluate::drift::StoredLink;
use crate::fold::cells::{StoredMark, StoredRun};
use crate::fold::day::Day;
use crate::fold::partial::Partial;
use crate::notify::outbox::{Of, Outbox, Postponed, Settled};
use crate::notify::samples;
use crate::source::push::Receipt;
use jiff::Timestamp;

fn position(next_offset: i64) -> Position {
    Position {
        topic: "orders".into(),
        partition: 3,
        next_offset,
        newest_event_ms: Some(1_780_000_000_000),
    }
}

fn cell(day: i32, count: i64) -> StoredCell {
    StoredCell {
        table: "orders_count".into(),
        key: "华东\u{1f}web".into(),
        day,
        partial: Partial::Count(count),
    }
}

fn key(hash: u64, days: &[i32]) -> StoredKey {
    let run = |day: &i32| StoredRun {
        first_ms: i64::from(*day) * 86_400_000 + 1,
        first: Day(*day),
        last: Day(day + 3),
        key: "华东".into(),
    };
    StoredKey {
        table: "orders_new".into(),
        hash,
        runs: days.iter().map(run).collect(),
    }
}

fn item(hash: u64, marks: &[(i64, bool)]) -> StoredItem {
    let mark = |(time_ms, is_end): &(i64, bool)| StoredMark {
        time_ms: *time_ms,
        day: Day(1),
        is_end: *is_end,
        key: "华东".into(),
    };
    StoredItem {
        table: "launches".into(),
        hash,
        name: format!("p{hash}"),
        marks: marks.iter().map(mark).collect(),
    }
}

fn seen(chunks: &[((i32, u64), &[u64])], needed_from: Option<(i32, u64)>) -> ((Arc<str>, i32), SeenDelta) {
    let delta = SeenDelta {
        chunks: chunks.iter().map(|(key, ids)| (*key, ids.to_vec())).collect(),
        needed_from,
        evicted: 0,
    };
    (("orders".into(), 3), delta)
}

fn record(name: &str, episodes: u64) -> AlertRecord {
    AlertRecord {
        fingerprint: named(name),
        rule: "hollow".into(),
        kind: "hollow".into(),
        labels: samples::hollow().labels,
        sources: Vec::new(),
        state: AlertState::Pending {
            since: Timestamp::UNIX_EPOCH,
        },
        severity: Severity::CRITICAL,
        episodes,
        seq: 2,
        fired_at: None,
        facts: samples::hollow().facts,
        facts_at_firing: Some(Facts::default()),
        period_end: None,
        clocks: Clocks::default(),
        history: History::default(),
        told: Told::default(),
    }
}

fn named(name: &str) -> Fingerprint {
    fingerprint(name, &Labels::new())
}

#[test]
fn what_was_committed_is_restored_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/folder/state.db");
    let store = Store::open(&path).unwrap();
    let id = store.id().to_owned();
    let commit = Commit {
        positions: &[position(10)],
        cells: &[cell(1, 5), cell(2, 1)],
        items: &[item(1, &[(5, false)]), item(2, &[(6, false)])],
        keys: &[key(7, &[1]), key(u64::MAX, &[2]), key(9, &[3])],
        seen: &[seen(
            &[((8, 0), &[1, 2]), ((9, 0), &[3]), ((9, 1), &[u64::MAX])],
            None,
        )],
        alerts: &[record("a", 1), record("b", 1)],
        notices: &[samples::hollow()],
        watermark_ms: Some(42),
        dead_letter_bytes: 7,
        ..Commit::default()
    };
    store.commit(&commit).unwrap();
    let commit = Commit {
        positions: &[position(20)],
        cells: &[cell(2, 9)],
        items: &[item(1, &[]), item(2, &[(6, false), (9, true)])],
        keys: &[key(7, &[]), key(8, &[]), key(9, &[3, 90])],
        seen: &[seen(&[((9, 1), &[u64::MAX, 5])], Some((9, 1)))],
        alerts: &[record("b", 2)],
        removed_alerts: &[named("a"), named("unknown")],
        dead_letter_bytes: 8,
        ..Commit::default()
    };
    store.commit(&commit).unwrap();
    // A crash: what is not committed is gone, what is committed is not.
    drop(store);

    let store = Store::open(&path).unwrap();
    assert_eq!(store.id(), id);
    let restored = store.restore().unwrap();
    assert_eq!(restored.positions, [position(20)]);
    assert_eq!(restored.cells, [cell(1, 5), cell(2, 9)]);
    assert_eq!(restored.items, [item(2, &[(6, false), (9, true)])]);
    let mut keys = restored.keys;
    keys.sort_by_key(|key| key.hash);
    assert_eq!(keys, [key(9, &[3, 90]), key(u64::MAX, &[2])]);
    let (partition, kept) = seen(&[((9, 1), &[u64::MAX, 5])], None);
    assert_eq!(
        restored.seen.into_iter().collect::<Vec<_>>(),
        [(partition, kept.chunks)]
    );
    assert_eq!(restored.alerts, [record("b", 2)]);
    assert_eq!((restored.watermark_ms, restored.dead_letter_bytes), (Some(42), 8));
    assert_eq!(store.pending(Of::These(&["ops".into()]), 9).unwrap().len(), 1);
}

#[test]
fn a_commit_that_fails_changes_nothing() {
    let store = Store::in_memory().unwrap();
    store
        .commit(&Commit {
            positions: &[position(10)],
            ..Commit::default()
        })
        .unwrap();
    let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON notices BEGIN SELECT RAISE(ABORT, 'no'); END";
    store.lock().execute_batch(refuse).unwrap();
    let commit = Commit {
        positions: &[position(20)],
        cells: &[cell(1, 1)],
        notices: &[samples::hollow()],
        ..Commit::default()
    };
    assert!(store.commit(&commit).is_err());
    let restored = store.restore().unwrap();
    assert_eq!(restored.positions, [position(10)]);
    assert!(restored.cells.is_empty());
}

#[test]
fn a_full_disk_says_what_to_do_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let store = Store::open(&path).unwrap();
    let first = Commit {
        positions: &[position(10)],
        notices: &[samples::numbered(samples::hollow(), 1)],
        ..Commit::default()
    };
    store.commit(&first).unwrap();
    let pages: i64 = store
        .lock()
        .query_row("PRAGMA page_count", [], |row| row.get(0))
        .unwrap();
    store.lock().pragma_update(None, "max_page_count", pages).unwrap();
    let many: Vec<Notice> = (2..200)
        .map(|n| samples::numbered(samples::hollow(), n))
        .collect();
    let second = Commit {
        positions: &[position(20)],
        notices: &many,
        ..Commit::default()
    };
    let refused = store.commit(&second).unwrap_err();
    assert!(matches!(refused, StateError::Full(_)), "{refused:?}");
    let said = refused.to_string();
    assert!(
        said.contains("database or disk is full") && said.contains("free some on the disk"),
        "{said}"
    );
    assert_eq!(store.positions().unwrap(), [position(10)]);
    assert_eq!(store.recent_notices(999).unwrap().len(), 1);
    // What was delivered before is still noted: that takes no room.
    let delivered = Settled::with(Status::Delivered, None);
    store.settle(&[1], &delivered, Timestamp::UNIX_EPOCH).unwrap();

    store
        .lock()
        .pragma_update(None, "max_page_count", 1_000_000)
        .unwrap();
    store.commit(&second).unwrap();
    assert_eq!(store.positions().unwrap(), [position(20)]);
    assert_eq!(store.recent_notices(999).unwrap().len(), 199);
    let whole: String = store
        .lock()
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(whole, "ok");
}

/// Every row that a commit writes is one at which it can fail.
#[test]
fn a_commit_that_fails_at_any_row_changes_nothing() {
    let whole = Commit {
        positions: &[position(20)],
        cells: &[cell(1, 1), cell(2, 2)],
        keys: &[key(7, &[1, 9])],
        items: &[item(7, &[(1, false), (2, true)])],
        alerts: &[record("a", 1), record("b", 1)],
        notices: &[
            samples::numbered(samples::hollow(), 1),
            samples::numbered(samples::hollow(), 2),
        ],
        watermark_ms: Some(5),
        ..Commit::default()
    };
    let tables = [
        "positions",
        "cell_tables",
        "cells",
        "keys",
        "items",
        "alerts",
        "episodes",
        "notices",
        "meta",
    ];
    let mut failed = 0;
    for nth in 0.. {
        let store = Store::in_memory().unwrap();
        let before = store.dump();
        let count = "CREATE TEMP TABLE writes (left INTEGER); INSERT INTO writes VALUES";
        store.lock().execute_batch(&format!("{count} ({nth});")).unwrap();
        for table in tables {
            for event in ["INSERT", "UPDATE"] {
                let trigger = format!(
                    "CREATE TEMP TRIGGER crash_{table}_{event} BEFORE {event} ON main.{table} BEGIN
                     SELECT RAISE(ABORT, 'crash') FROM writes WHERE left = 0;
                     UPDATE writes SET left = left - 1; END;"
                );
                store.lock().execute_batch(&trigger).unwrap();
            }
        }
        if store.commit(&whole).is_ok() {
            break;
        }
        failed += 1;
        assert_eq!(store.dump(), before, "write {nth}");
    }
    assert!(failed >= 12, "only {failed} rows were written");
}

#[test]
fn a_second_process_is_refused_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let _first = Store::open(&path).unwrap();
    let refused = Store::open(&path).err().unwrap().to_string();
    assert!(refused.contains("another tautline is using it"), "{refused}");
    assert!(refused.contains("state.db"), "{refused}");
}

#[test]
fn reports_read_one_moment_while_the_daemon_writes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let missing = Reading::of(&path).err().unwrap().to_string();
    assert!(missing.contains("`tautline run` makes it"), "{missing}");

    let store = Store::open(&path).unwrap();
    let commit = |day, at_ms| {
        let cells = [cell(day, 5)];
        let commit = Commit {
            cells: &cells,
            watermark_ms: Some(at_ms),
            ..Commit::default()
        };
        store.commit(&commit).unwrap();
    };
    commit(1, 1000);
    let reading = Reading::of(&path).unwrap();
    assert_eq!(reading.cells, [cell(1, 5)]);
    assert_eq!(
        reading.watermark,
        Some(Timestamp::from_millisecond(1000).unwrap())
    );
    commit(2, 2000);
    assert_eq!(Reading::of(&path).unwrap().cells.len(), 2);
    drop(store);
    assert_eq!(
        Reading::of(&path).unwrap().cells.len(),
        2,
        "nor does it need the daemon"
    );
}

#[test]
fn episodes_outlive_their_records() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let store = Store::open(&path).unwrap();
    let at = |hour: i64| Timestamp::from_second(hour * 3600).unwrap();
    let write = |alerts: &[AlertRecord]| {
        let commit = Commit {
            alerts,
            ..Commit::default()
        };
        store.commit(&commit).unwrap();
    };
    let mut alert = record("a", 1);
    (alert.state, alert.fired_at) = (AlertState::Firing, Some(at(1)));
    let mut quiet = record("never fired", 0);
    quiet.fired_at = None;
    write(&[alert.clone(), quiet]);
    let running = Reading::of(&path).unwrap().episodes;
    assert_eq!(running.len(), 1);
    assert_eq!((running[0].fired_at, running[0].ended_at), (at(1), None));

    let mut ended = alert.clone();
    ended.state = AlertState::Inactive;
    (ended.history.ended_at, ended.history.end_reason) = (Some(at(5)), Some(ResolveReason::Recovered));
    let mut again = alert.clone();
    (again.episodes, again.fired_at) = (2, Some(at(9)));
    // Both in one commit, as after a replay.
    write(&[ended, again.clone()]);
    let forget = Commit {
        removed_alerts: &[again.fingerprint],
        ..Commit::default()
    };
    store.commit(&forget).unwrap();
    // What was forgotten goes on counting where it was.
    let counts = store.restore().unwrap().past.counts;
    assert_eq!(counts, [(again.fingerprint, 2)]);
    let reading = Reading::of(&path).unwrap();
    assert_eq!(reading.alerts.len(), 1);
    let times: Vec<_> = reading
        .episodes
        .iter()
        .map(|episode| (episode.number, episode.fired_at, episode.ended_at))
        .collect();
    assert_eq!(times, [(1, at(1), Some(at(5))), (2, at(9), None)]);
}

#[test]
fn what_ended_since_the_last_digest_is_found_at_a_start() {
    use crate::alert::dispatch::Kept;
    let store = Store::in_memory().unwrap();
    let at = |hour: i64| Timestamp::from_second(hour * 3600).unwrap();
    let over = |name: &str, hour: i64| {
        let mut alert = record(name, 1);
        (alert.state, alert.fired_at) = (AlertState::Inactive, Some(at(1)));
        alert.history.ended_at = Some(at(hour));
        alert
    };
    let kept: Kept = serde_json::from_str(
        r#"{"digests": {"monthly": {"wall": "1970-01-01T05:00:00Z", "at": "1970-01-01T05:00:00Z"}}}"#,
    )
    .unwrap();
    let mut pending_again = over("b", 6);
    let commit = |alerts: &[AlertRecord]| {
        let commit = Commit {
            alerts,
            dispatch: Some(&kept),
            ..Commit::default()
        };
        store.commit(&commit).unwrap();
    };
    commit(&[over("a", 5), over("c", 7), pending_again.clone()]);
    pending_again.state = AlertState::Pending { since: at(8) };
    pending_again.severity = Severity::INFO;
    commit(&[pending_again]);
    let ended = store.restore().unwrap().past.ended;
    let found: Vec<_> = ended
        .iter()
        .map(|episode| (episode.ended_at, episode.severity))
        .collect();
    // What is over stays as it ended, whatever begins afterwards.
    assert_eq!(
        found,
        [
            (Some(at(6)), Severity::CRITICAL),
            (Some(at(7)), Severity::CRITICAL)
        ]
    );
}

#[test]
fn a_file_of_another_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let store = Store::open(&path).unwrap();
    store
        .lock()
        .execute("UPDATE meta SET value = 99 WHERE key = 'schema'", [])
        .unwrap();
    drop(store);
    let refused = Store::open(&path).err().unwrap();
    assert!(
        matches!(refused, StateError::Schema { found: 99, .. }),
        "{refused}"
    );
}

#[test]
fn a_file_of_the_first_version_is_brought_up_to_date() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let store = Store::open(&path).unwrap();
    let commit = Commit {
        positions: &[position(10)],
        cells: &[cell(1, 5)],
        ..Commit::default()
    };
    store.commit(&commit).unwrap();
    let link =
        "INSERT INTO links VALUES ('visits', '[]', x'00'); UPDATE meta SET value = 10 WHERE key = 'schema'";
    store.lock().execute_batch(link).unwrap();
    drop(store);
    let store = Store::open(&path).unwrap();
    // What links had learned before version 11 is not read as if it were of it.
    assert!(store.restore().unwrap().learned.links.is_empty());
    let as_before = "DROP TABLE seen; DROP TABLE episodes; DROP TABLE keys; DROP TABLE items; DROP TABLE links; DROP TABLE feeds; DROP TABLE definitions; DROP TABLE entries; UPDATE meta SET value = 1 WHERE key = 'schema'";
    store.lock().execute_batch(as_before).unwrap();
    let id = store.id().to_owned();
    drop(store);
    let store = Store::open(&path).unwrap();
    let restored = store.restore().unwrap();
    assert_eq!(
        (store.id(), restored.positions, restored.cells),
        (id.as_str(), vec![position(10)], vec![cell(1, 5)])
    );
    let found: i64 = store
        .lock()
        .query_row("SELECT value FROM meta WHERE key = 'schema'", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(found, 12);
}

#[test]
fn a_notice_that_is_decided_again_stays_as_it_was() {
    let store = Store::in_memory().unwrap();
    let commit = |wall_ms, receiver: &str| {
        let notices = [Notice {
            receiver: receiver.into(),
            ..samples::hollow()
        }];
        store
            .commit(&Commit {
                notices: &notices,
                wall_ms,
                ..Commit::default()
            })
            .unwrap();
    };
    commit(1000, "ops");
    let ops = ["ops".to_owned()];
    let first = store.pending(Of::These(&ops), 9).unwrap();
    assert_eq!(first[0].notice, Ok(samples::hollow()));
    assert_eq!(first[0].decided.as_millisecond(), 1000);
    store
        .settle(
            &[first[0].position],
            &Settled::with(Status::Delivered, None),
            Timestamp::UNIX_EPOCH,
        )
        .unwrap();
    commit(2000, "ops");
    assert!(store.pending(Of::These(&ops), 9).unwrap().is_empty());
    // Another receiver of the same notice has its own delivery.
    commit(3000, "boss");
    assert_eq!(store.pending(Of::Others(&ops), 9).unwrap()[0].receiver, "boss");
    assert_eq!(
        store.oldest_undelivered().unwrap().map(|at| at.as_millisecond()),
        Some(3000)
    );
    let counts = store.outcome_counts().unwrap();
    assert_eq!(counts[&("ops".to_owned(), "delivered".to_owned())], 1);
    assert_eq!(counts[&("boss".to_owned(), "pending".to_owned())], 1);
}

#[test]
fn the_state_of_an_attempt_is_kept() {
    let store = Store::in_memory().unwrap();
    store
        .commit(&Commit {
            notices: &[samples::hollow()],
            ..Commit::default()
        })
        .unwrap();
    let ops = ["ops".to_owned()];
    let position = store.pending(Of::These(&ops), 1).unwrap()[0].position;
    let postponed = Postponed {
        attempts: 3,
        next_attempt: Timestamp::from_millisecond(5000).unwrap(),
        maybe_shown: true,
        reason: "timeout".into(),
    };
    store.postpone(position, &postponed).unwrap();
    let pending = &store.pending(Of::These(&ops), 1).unwrap()[0];
    assert_eq!(
        (pending.attempts, pending.next_attempt, pending.maybe_shown),
        (3, Some(postponed.next_attempt), true)
    );
    let siblings = store.siblings("ops", "5e1f").unwrap();
    assert!(siblings[0].maybe_shown && !siblings[0].resolves && siblings[0].status == Status::Pending);
    let log = store.recent_notices(9).unwrap();
    assert_eq!(log[0].detail.as_deref(), Some("timeout"));
}

#[test]
fn old_notices_of_episodes_that_are_over_are_let_go() {
    use crate::alert::notice::ResolveReason;
    let store = Store::in_memory().unwrap();
    let commit = |notices: &[Notice], wall_ms| {
        store
            .commit(&Commit {
                notices,
                wall_ms,
                ..Commit::default()
            })
            .unwrap();
    };
    let over = samples::numbered(samples::over(ResolveReason::Recovered), 1);
    commit(
        &[
            samples::numbered(samples::hollow(), 1),
            over,
            samples::numbered(samples::hollow(), 2),
        ],
        0,
    );
    store
        .settle(
            &[1, 2, 3],
            &Settled::with(Status::Delivered, None),
            Timestamp::UNIX_EPOCH,
        )
        .unwrap();
    let day = 24 * 3600 * 1000;
    let left = |at: i64, episode: u32| {
        commit(&[samples::numbered(samples::hollow(), episode)], at);
        let log = store.recent_notices(99).unwrap();
        log.iter()
            .rev()
            .map(|logged| logged.notice.id.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(left(89 * day, 3), ["e1.1", "e1.3", "e2.1", "e3.1"]);
    // Episode 2 still burns: that it was told decides whether its end will be.
    assert_eq!(left(91 * day, 4), ["e2.1", "e3.1", "e4.1"]);
}

#[test]
fn what_is_over_without_a_word_does_not_stand_and_is_let_go() {
    use crate::alert::notice::ResolveReason;
    use crate::notify::outbox::Outbox;
    let store = Store::in_memory().unwrap();
    let commit = |notices: &[Notice], unsaid: &[Notice], wall_ms| {
        let commit = Commit {
            notices,
            unsaid,
            wall_ms,
            ..Commit::default()
        };
        store.commit(&commit).unwrap();
    };
    commit(&[samples::numbered(samples::hollow(), 1)], &[], 0);
    let delivered = Settled::with(Status::Delivered, None);
    store.settle(&[1], &delivered, Timestamp::UNIX_EPOCH).unwrap();
    let receiver = samples::hollow().receiver;
    let standing = || store.standing(&receiver, Timestamp::MIN).unwrap().len();
    assert_eq!(standing(), 1);
    commit(
        &[],
        &[samples::numbered(samples::over(ResolveReason::Recovered), 1)],
        0,
    );
    assert_eq!(standing(), 0);
    let log = store.recent_notices(9).unwrap();
    assert_eq!(log[0].status, Status::Superseded);
    assert_eq!(log[0].detail.as_deref(), Some("resolve_when_silenced: never"));
    let day = 24 * 3600 * 1000;
    commit(&[samples::numbered(samples::hollow(), 2)], &[], 91 * day);
    assert_eq!(store.recent_notices(9).unwrap().len(), 1);
}

#[test]
fn who_waits_by_its_route_is_not_missed_before() {
    use crate::notify::outbox::Outbox;
    let store = Store::in_memory().unwrap();
    let mut patient = samples::numbered(samples::hollow(), 2);
    patient.wait_ms = 60_000;
    let commit = Commit {
        notices: &[samples::numbered(samples::hollow(), 1), patient],
        ..Commit::default()
    };
    store.commit(&commit).unwrap();
    // Asked for at `now`, ten seconds after the usual decision.
    let missed = |now: i64| {
        let before = Timestamp::from_second(now - 10).unwrap();
        store.missed(before, Timestamp::MAX).unwrap().len()
    };
    assert_eq!([missed(10), missed(11), missed(120), missed(121)], [0, 1, 1, 2]);
}

#[test]
fn the_episodes_of_messages_are_found() {
    let store = Store::in_memory().unwrap();
    let bundled = |n: u32, bundle: &str| Notice {
        bundle: bundle.to_owned(),
        ..samples::numbered(samples::hollow(), n)
    };
    let commit = Commit {
        notices: &[
            bundled(1, "9a.1"),
            bundled(2, "9a.1"),
            bundled(3, "9b.1"),
            bundled(4, "9c.1"),
        ],
        ..Commit::default()
    };
    store.commit(&commit).unwrap();
    let of = |parts: &[&str]| {
        let mut episodes = store.episodes_of_messages(parts).unwrap();
        episodes.sort();
        episodes
    };
    assert_eq!(of(&["9a.1", "9b.1"]), ["e1", "e2", "e3"]);
    assert_eq!(of(&["9c.1", "e1", "none.1"]), ["e1", "e4"]);
}

#[test]
fn requests_are_kept_with_the_commit_that_holds_their_events() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let request = |key: &str, accepted| KeptRequest {
        source: "orders".to_owned(),
        key: key.to_owned(),
        body_hash: u64::MAX,
        receipt: Receipt {
            accepted,
            rejected: 1,
            ..Receipt::default()
        },
    };
    let store = Store::open(&path).unwrap();
    for requests in [
        vec![request("a", 1), request("b", 2)],
        vec![request("a", 3)],
        vec![],
    ] {
        store
            .commit(&Commit {
                requests: &requests,
                ..Commit::default()
            })
            .unwrap();
    }
    drop(store);
    assert_eq!(
        Store::open(&path).unwrap().requests().unwrap(),
        [request("b", 2), request("a", 3)]
    );
}

#[test]
fn a_forgotten_day_is_gone_from_the_file_and_the_others_are_not() {
    let store = Store::in_memory().unwrap();
    let cells = [cell(1, 10), cell(2, 20)];
    let commit = Commit {
        cells: &cells,
        ..Commit::default()
    };
    store.commit(&commit).unwrap();
    assert_eq!(store.restore().unwrap().kept_from, None);
    let forgotten = [ForgottenDay {
        tables: vec![cells[0].table.clone(), "never_written".to_owned()],
        key: cells[0].key.clone(),
        day: 1,
    }];
    // A commit that failed before may still hold the day.
    let commit = Commit {
        cells: &cells[..1],
        forgotten: &forgotten,
        kept_from: Some(Day(2)),
        ..Commit::default()
    };
    store.commit(&commit).unwrap();
    let restored = store.restore().unwrap();
    assert_eq!(restored.cells, cells[1..]);
    assert_eq!(restored.kept_from, Some(Day(2)));
}

impl Store {
    /// Every row of every table, as text.
    fn dump(&self) -> Vec<String> {
        let connection = self.lock();
        let mut names = connection
            .prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name")
            .unwrap();
        let names: Vec<String> = names
            .query_map([], |row| row.get(0))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let mut rows = Vec::new();
        for name in names {
            let mut select = connection.prepare(&format!("SELECT * FROM {name}")).unwrap();
            let columns = select.column_count();
            let mut found = select.query([]).unwrap();
            while let Some(row) = found.next().unwrap() {
                let values: Vec<String> = (0..columns)
                    .map(|column| format!("{:?}", row.get_ref(column).unwrap()))
                    .collect();
                rows.push(format!("{name}: {}", values.join(", ")));
            }
        }
        rows
    }
}

#[test]
fn weights_are_kept_with_the_commit_and_a_decision_takes_the_place_of_what_was_pending() {
    use crate::evaluate::weights::{Changed, Proposal, Setting, Standing, Why};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let store = Store::open(&path).unwrap();
    let at: jiff::Timestamp = "2026-07-01T00:00:00Z".parse().unwrap();
    let setting = |number, why| Setting {
        parent: "revenue".to_owned(),
        number,
        from: None,
        weights: [("visits".to_owned(), 33.3)].into(),
        why,
        by: None,
        note: Some("\"as said\"".to_owned()),
        at,
    };
    let proposal = |closed: &str, days: i64, standing| Proposal {
        parent: "revenue".to_owned(),
        closed: closed.to_owned(),
        at: at + jiff::SignedDuration::from_hours(24 * days),
        next: "2026-07-01".parse().unwrap(),
        lines: Vec::new(),
        standing,
    };
    let declared = Changed {
        settings: vec![setting(1, Why::Declared)],
        proposals: Vec::new(),
    };
    store.keep_weights(&declared).unwrap();
    let proposed = Changed {
        settings: Vec::new(),
        proposals: vec![
            proposal("2026-07", 31, Standing::Pending),
            proposal(
                "2026-06",
                0,
                Standing::Superseded {
                    by: "2026-07".to_owned(),
                },
            ),
        ],
    };
    let commit = |changed| {
        store.commit(&Commit {
            weights: Some(changed),
            ..Commit::default()
        })
    };
    commit(&proposed).unwrap();
    let closed = "2026-07".to_owned();
    let decided = Changed {
        settings: vec![setting(2, Why::Approved { closed })],
        proposals: vec![proposal(
            "2026-07",
            31,
            Standing::Rejected {
                by: "li".to_owned(),
                note: None,
                at,
            },
        )],
    };
    commit(&decided).unwrap();
    // A setting is never changed: what has its number already is refused, and nothing of it is kept.
    let twice = Changed {
        settings: vec![setting(2, Why::Declared)],
        proposals: vec![proposal("2026-08", 62, Standing::Pending)],
    };
    commit(&twice).unwrap_err();
    drop(store);

    let book = Store::open(&path).unwrap().weights().unwrap();
    let standings: Vec<(&str, &str)> = book
        .all_proposals()
        .map(|proposal| (proposal.closed.as_str(), proposal.standing.as_str()))
        .collect();
    assert_eq!(standings, [("2026-06", "superseded"), ("2026-07", "rejected")]);
    assert_eq!(
        book.settings("revenue"),
        [declared.settings, decided.settings].concat()
    );
    assert_eq!(super::Reading::of(&path).unwrap().weights, book);
}

#[test]
fn what_was_dropped_once_is_dead_now() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let notice = crate::notify::samples::hollow();
    let store = Store::open(&path).unwrap();
    let commit = Commit {
        notices: std::slice::from_ref(&notice),
        wall_ms: 1,
        ..Commit::default()
    };
    store.commit(&commit).unwrap();
    drop(store);
    let older = rusqlite::Connection::open(&path).unwrap();
    older
        .pragma_update(None, "ignore_check_constraints", true)
        .unwrap();
    let changed = older.execute(
        "UPDATE notices SET status = 'dropped', detail = '400 invalid_blocks', settled_ms = 5",
        [],
    );
    assert_eq!(changed, Ok(1));
    drop(older);
    let store = Store::open(&path).unwrap();
    let log = store.recent_notices(9).unwrap();
    assert_eq!(log[0].status, Status::Dead);
    assert_eq!(
        log[0].detail.as_deref(),
        Some("refused, as plain text too: 400 invalid_blocks")
    );
    let of_ops = store
        .deliveries(&["ops".to_owned()], jiff::Timestamp::UNIX_EPOCH)
        .unwrap();
    assert_eq!(of_ops[0].failure.as_ref().map(|failure| failure.lost), Some(1));
}

#[test]
fn a_link_that_was_forgotten_is_gone_unless_it_came_back() {
    let store = Store::in_memory().unwrap();
    let link = |store: &str, body: u8| StoredLink {
        node: "visits".to_owned(),
        dimensions: vec![store.to_owned()],
        body: vec![body],
    };
    let learned = |links: Vec<StoredLink>, forgotten: &[&str]| Learned {
        links,
        forgotten: forgotten
            .iter()
            .map(|store| ("visits".to_owned(), vec![(*store).to_owned()]))
            .collect(),
        feeds: Vec::new(),
    };
    let commit = |learned: &Learned| {
        let commit = Commit {
            learned: Some(learned),
            ..Commit::default()
        };
        store.commit(&commit).unwrap();
    };
    commit(&learned(
        vec![link("east", 1), link("west", 1), link("north", 1)],
        &[],
    ));
    // Several closes between two commits: what is forgotten last is gone, what came back last is there.
    let mut pending = learned(vec![link("east", 2), link("west", 2)], &["north"]);
    pending.extend(learned(vec![link("north", 3)], &["east"]));
    commit(&pending);
    let restored = store.restore().unwrap();
    assert_eq!(restored.learned.links, [link("north", 3), link("west", 2)]);
}

/// Three episodes of two rules, each told to one receiver, an hour apart.
fn logged_store() -> Store {
    let store = Store::in_memory().unwrap();
    for (hour, name, receiver) in [(1, "a", "ops"), (2, "b", "boss"), (3, "c", "ops")] {
        let at = Timestamp::from_second(hour * 3600).unwrap();
        let mut alert = record(name, 1);
        alert.rule = format!("rule-{receiver}");
        alert.labels.insert("node".to_owned(), name.to_owned());
        alert.labels.insert("alertname".to_owned(), alert.rule.clone());
        (alert.state, alert.fired_at) = (AlertState::Firing, Some(at));
        if name == "a" {
            alert.state = AlertState::Inactive;
            alert.history.ended_at = Some(at + SignedDuration::from_mins(10));
            alert.history.end_reason = Some(ResolveReason::Recovered);
        }
        let notice = Notice {
            receiver: receiver.to_owned(),
            labels: alert.labels.clone(),
            ..Notice::blank(&episode_id(store.id(), alert.fingerprint, 1), receiver, at, at)
        };
        let commit = Commit {
            alerts: &[alert],
            notices: &[notice],
            wall_ms: at.as_millisecond(),
            ..Commit::default()
        };
        store.commit(&commit).unwrap();
    }
    store
}

#[test]
fn the_log_is_asked_by_rule_node_receiver_and_time() {
    let store = logged_store();
    let hour = |hour: i64| Some(Timestamp::from_second(hour * 3600).unwrap());
    let text = |text: &str| Some(text.to_owned());
    let cases: [(Asked<()>, &str, &str); 7] = [
        (Asked::default(), "c b a", "c b a"),
        (
            Asked {
                rule: text("rule-ops"),
                ..Asked::default()
            },
            "c a",
            "c a",
        ),
        (
            Asked {
                node: text("b"),
                ..Asked::default()
            },
            "b",
            "b",
        ),
        (
            Asked {
                receiver: text("boss"),
                ..Asked::default()
            },
            "b",
            "b",
        ),
        (
            Asked {
                receiver: text("nobody"),
                ..Asked::default()
            },
            "",
            "",
        ),
        (
            Asked {
                until: hour(3),
                ..Asked::default()
            },
            "b a",
            "b a",
        ),
        // What still fires was not over before.
        (
            Asked {
                from: hour(3),
                ..Asked::default()
            },
            "c b",
            "c",
        ),
    ];
    fn of<Place>(asked: &Asked<()>) -> Asked<Place> {
        let Asked {
            rule, node, receiver, ..
        } = asked.clone();
        Asked {
            rule,
            node,
            receiver,
            from: asked.from,
            until: asked.until,
            ..Asked::default()
        }
    }
    for (asked, episodes, notices) in cases {
        let found = store.episode_log(&of(&asked)).unwrap();
        let names: Vec<&str> = found
            .entries
            .iter()
            .map(|(_, episode)| &*episode.labels["node"])
            .collect();
        assert_eq!(
            (names.join(" ").as_str(), found.next),
            (episodes, None),
            "{asked:?}"
        );
        let found = store.notice_log(&of(&asked)).unwrap();
        let names: Vec<&str> = found
            .entries
            .iter()
            .map(|logged| &*logged.notice.labels["node"])
            .collect();
        assert_eq!(
            (names.join(" ").as_str(), found.next),
            (notices, None),
            "{asked:?}"
        );
    }
}

#[test]
fn the_log_comes_in_pages_that_lose_nothing_and_say_nothing_twice() {
    let store = logged_store();
    let (mut episodes, mut notices) = (Vec::new(), Vec::new());
    let mut asked = Asked {
        limit: 1,
        ..Asked::default()
    };
    loop {
        let page = store.episode_log(&asked).unwrap();
        episodes.extend(
            page.entries
                .iter()
                .map(|(_, episode)| episode.labels["node"].clone()),
        );
        // As a client hands it back.
        let Some(next) = page.next else { break };
        asked.after = Some(next.to_string().parse().unwrap());
    }
    let mut asked = Asked {
        limit: 2,
        ..Asked::default()
    };
    loop {
        let page = store.notice_log(&asked).unwrap();
        notices.extend(
            page.entries
                .iter()
                .map(|logged| logged.notice.labels["node"].clone()),
        );
        let Some(next) = page.next else { break };
        asked.after = Some(next.to_string().parse().unwrap());
    }
    assert_eq!(
        (episodes.join(" "), notices.join(" ")),
        ("c b a".to_owned(), "c b a".to_owned())
    );
    for nonsense in ["", "1.2", "x.0000000000000000.1", "1.0.1"] {
        assert!(nonsense.parse::<EpisodePlace>().is_err(), "{nonsense}");
    }
}

#[test]
fn what_is_over_is_kept_for_as_long_as_the_settings_say() {
    let store = Store::in_memory().unwrap();
    let day = |day: i64| Timestamp::from_second(day * 86_400).unwrap();
    let write = |at: i64, alerts: &[AlertRecord], notices: &[Notice]| {
        let commit = Commit {
            alerts,
            notices,
            wall_ms: day(at).as_millisecond(),
            retention: Retention {
                episodes: SignedDuration::from_hours(24 * 30),
                notices: SignedDuration::from_hours(24 * 10),
            },
            ..Commit::default()
        };
        store.commit(&commit).unwrap();
    };
    let told = |id: &str, kind: NoticeKind, at: i64| Notice {
        id: format!("{id}.{at}"),
        kind,
        ..Notice::blank(id, "ops", day(at), day(at))
    };
    let mut over = record("over", 1);
    (over.state, over.fired_at) = (AlertState::Inactive, Some(day(1)));
    (over.history.ended_at, over.history.end_reason) = (Some(day(2)), Some(ResolveReason::Recovered));
    let mut runs = record("runs", 1);
    (runs.state, runs.fired_at) = (AlertState::Firing, Some(day(1)));
    write(
        2,
        &[over, runs],
        &[
            told("over", NoticeKind::Fired, 1),
            told("over", NoticeKind::Resolved, 2),
            told("runs", NoticeKind::Fired, 1),
            told("digest", NoticeKind::Digest, 2),
            told("weights", NoticeKind::Proposal, 2),
        ],
    );
    let delivered = Settled::with(Status::Delivered, None);
    Outbox::settle(&store, &[1, 2, 3, 4, 5], &delivered, day(2)).unwrap();
    let kept = |at: i64| {
        let mut later = record("later", 1);
        (later.state, later.fired_at) = (AlertState::Firing, Some(day(at)));
        write(at, &[later], &[told("later", NoticeKind::Fired, at)]);
        let episodes = store.episode_log(&Asked::default()).unwrap();
        let notices = store.notice_log(&Asked::default()).unwrap();
        let told = notices
            .entries
            .iter()
            .map(|logged| logged.notice.episode.as_str())
            .collect::<Vec<_>>();
        (episodes.entries.len(), told.join(" "))
    };
    assert_eq!(kept(12), (3, "later weights digest runs over over".to_owned()));
    assert_eq!(
        kept(13),
        (3, "later later runs".to_owned()),
        "ten days after they were delivered"
    );
    assert_eq!(kept(32).0, 3);
    assert_eq!(kept(33).0, 2, "thirty days after its end; what runs is kept");
}

/// What the log has yet to take, without the numbers of facts.
fn unlogged(store: &Store) -> Vec<(i64, serde_json::Value)> {
    let lines = store.unlogged(100).unwrap();
    lines
        .into_iter()
        .map(|line| {
            let mut body: serde_json::Value = serde_json::from_str(&line.body).unwrap();
            assert_eq!(
                (&body["number"], &body["state"], &body["episode"]),
                (&line.number.into(), &store.id().into(), &line.key.as_str().into())
            );
            for key in ["numbers", "labels", "number", "state", "episode"] {
                body.as_object_mut().unwrap().remove(key);
            }
            (line.number, body)
        })
        .collect()
}

#[test]
fn every_decision_and_what_came_of_it_waits_for_the_log_once() {
    let store = Store::in_memory().unwrap().logging(true);
    let fired = AlertRecord {
        state: AlertState::Firing,
        fired_at: Some(Timestamp::UNIX_EPOCH),
        ..record("a", 1)
    };
    let held = Held {
        episode: "e.1".into(),
        at: Timestamp::from_millisecond(1000).unwrap(),
        receiver: "boss".into(),
        by: vec!["mute nights".into()],
    };
    let unsaid = Notice {
        id: "u.1".into(),
        ..samples::hollow()
    };
    let commit = Commit {
        alerts: &[fired],
        notices: &[samples::hollow()],
        unsaid: &[unsaid],
        held: &[held],
        wall_ms: 1000,
        ..Commit::default()
    };
    store.commit(&commit).unwrap();
    // Decided again after a crash: it is there already.
    store.commit(&commit).unwrap();
    let pending = store.pending(Of::Others(&[]), 10).unwrap();
    let positions: Vec<i64> = pending.iter().map(|pending| pending.position).collect();
    let settled = Settled::with(Status::Delivered, None);
    let at = Timestamp::from_millisecond(5000).unwrap();
    store.settle(&positions, &settled, at).unwrap();
    store.settle(&positions, &settled, at).unwrap();
    let lines = unlogged(&store);
    let kinds: Vec<(i64, &str, &str, &str)> = lines
        .iter()
        .map(|(number, body)| {
            let text = |key: &str| body[key].as_str().unwrap_or("-");
            (*number, text("type"), text("status"), text("at"))
        })
        .collect();
    assert_eq!(
        kinds,
        [
            (1, "episode", "-", "1970-01-01T00:00:01Z"),
            (2, "notice", "superseded", "1970-01-01T00:00:01Z"),
            (3, "notice", "pending", "1970-01-01T00:00:01Z"),
            (4, "held", "-", "1970-01-01T00:00:01Z"),
            (5, "outcome", "delivered", "1970-01-01T00:00:05Z"),
        ]
    );
    assert_eq!(lines[3].1["heldBy"], serde_json::json!(["mute nights"]));
    assert_eq!(lines[4].1["failedAttempts"], 0);

    // What the topic has is forgotten, and numbers are never given again.
    store.logged(4).unwrap();
    assert_eq!(store.unlogged_count().unwrap(), 1);
    store.logging_up_to(5).unwrap();
    store.log_reaches(5).unwrap();
    assert_eq!(store.unlogged_count().unwrap(), 0);
    let again = Held {
        episode: "e.1".into(),
        at: Timestamp::from_millisecond(2000).unwrap(),
        receiver: "boss".into(),
        by: Vec::new(),
    };
    let commit = Commit {
        held: std::slice::from_ref(&again),
        wall_ms: 2000,
        ..Commit::default()
    };
    store.commit(&commit).unwrap();
    assert_eq!(unlogged(&store)[0].0, 6);

    // Given and taken, but the answer was lost.
    store.logging_up_to(6).unwrap();
    store.log_reaches(6).unwrap();
    assert_eq!(store.unlogged_count().unwrap(), 0);
    let later = Held {
        at: Timestamp::from_millisecond(2500).unwrap(),
        ..again.clone()
    };
    let commit = Commit {
        held: &[later],
        wall_ms: 2500,
        ..Commit::default()
    };
    store.commit(&commit).unwrap();

    // A state that was brought back from a copy goes on behind what the topic has, with all that it has not given.
    store.log_reaches(50).unwrap();
    assert_eq!(unlogged(&store)[0].0, 51);
    store
        .commit(&Commit {
            held: &[Held {
                at: Timestamp::from_millisecond(3000).unwrap(),
                ..again
            }],
            wall_ms: 3000,
            ..Commit::default()
        })
        .unwrap();
    let numbers: Vec<i64> = unlogged(&store).iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, [51, 52]);
}

#[test]
fn without_a_log_nothing_waits_for_it() {
    let store = Store::in_memory().unwrap();
    let commit = Commit {
        notices: &[samples::hollow()],
        ..Commit::default()
    };
    store.commit(&commit).unwrap();
    assert_eq!(store.unlogged_count().unwrap(), 0);
}
