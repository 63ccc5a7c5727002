use super::*;
use proptest::prelude::*;
use std::collections::{HashMap, HashSet};

const WEEK: Bounds = Bounds {
    hours: 7 * 24,
    max_keys: usize::MAX,
};

/// The rows of the state.
#[derive(Default)]
struct Rows(Chunks);

impl Rows {
    fn commit(&mut self, delta: SeenDelta) {
        self.0.extend(delta.chunks);
        if let Some(from) = delta.needed_from {
            self.0 = self.0.split_off(&from);
        }
    }
}

fn sorted(seen: &Seen) -> Vec<u64> {
    let mut hashes: Vec<u64> = seen.table.iter().copied().collect();
    hashes.sort_unstable();
    hashes
}

proptest! {
    /// Against a plain map from id to hour, with hand-overs, commits and crashes anywhere: what was not committed
    /// is read again.
    #[test]
    fn a_copy_within_the_window_is_known_whatever_crashes(
        events in proptest::collection::vec((0u64..300, 0i64..400), 0..600),
        hand_overs in proptest::collection::vec(1usize..60, 1..30),
        crash_every in 2usize..6,
    ) {
        let mut seen = Seen::new(WEEK);
        let mut rows = Rows::default();
        let mut model: HashMap<u64, i64> = HashMap::new();
        let mut newest = i64::MIN;
        let mut at = 0;
        for (turn, many) in hand_overs.iter().cycle().enumerate() {
            let batch = &events[at..events.len().min(at + many)];
            if batch.is_empty() {
                break;
            }
            if turn % crash_every == 1 {
                // A crash after the batch was folded and before it was committed.
                batch.iter().for_each(|(id, hour)| if !seen.contains(*id) { seen.insert(*id, hour * HOUR_MS) });
                seen = Seen::restore(WEEK, rows.0.clone());
            }
            for (id, hour) in batch {
                let known = model.get(id).is_some_and(|at| *at >= newest - 7 * 24);
                prop_assert_eq!(seen.contains(*id), known);
                if !known {
                    seen.insert(*id, hour * HOUR_MS + 5);
                    model.insert(*id, *hour);
                    newest = newest.max(*hour);
                }
            }
            rows.commit(seen.take());
            at += batch.len();
        }
        prop_assert_eq!(sorted(&Seen::restore(WEEK, rows.0)), sorted(&seen));
    }

    /// Neither the memory nor the state outgrows the bound, and what goes is the oldest.
    #[test]
    fn bounds_are_kept(
        max_keys in 1usize..4000,
        hours in proptest::collection::vec((0i64..3, 0usize..3000), 0..12),
    ) {
        let bounds = Bounds { hours: 100, max_keys };
        let mut seen = Seen::new(bounds);
        let mut rows = Rows::default();
        let (mut id, mut evicted, mut at) = (0u64, 0, 1000);
        for (later, many) in hours {
            at += later;
            for _ in 0..many {
                id += 1;
                seen.insert(id, at * HOUR_MS);
            }
            let delta = seen.take();
            evicted += delta.evicted;
            rows.commit(delta);
            prop_assert!(seen.len() <= max_keys);
            let kept = rows.0.values().map(Vec::len).sum::<usize>() as u64;
            prop_assert!(kept < seen.len() as u64 + CHUNK, "{} for {}", kept, seen.len());
            let oldest = id + 1 - seen.len() as u64;
            prop_assert_eq!(sorted(&seen), (oldest..=id).collect::<Vec<_>>());
            prop_assert_eq!(sorted(&Seen::restore(bounds, rows.0.clone())), sorted(&seen));
        }
        prop_assert_eq!(evicted, id - seen.len() as u64);
    }
}

#[test]
fn an_hour_that_was_evicted_and_begun_again_is_kept_whole() {
    let bounds = Bounds {
        hours: 9,
        max_keys: 2000,
    };
    let mut seen = Seen::new(bounds);
    let mut rows = Rows::default();
    let mut fill = |seen: &mut Seen, ids: std::ops::Range<u64>, hour: i64| {
        ids.for_each(|id| seen.insert(id, hour * HOUR_MS));
        rows.commit(seen.take());
        Seen::restore(bounds, rows.0.clone())
    };
    fill(&mut seen, 0..2000, 10);
    // Makes hour 10 go, and come again in the same hand-over.
    (2000..4000).for_each(|id| seen.insert(id, 11 * HOUR_MS));
    seen.hours.get_mut(&11).unwrap().hashes.truncate(500);
    seen.table.retain(|id| *id < 2500);
    let mut restored = fill(&mut seen, 5000..5010, 10);
    assert!((5000..5010).chain(2000..2500).all(|id| restored.contains(id)));
    let again = fill(&mut restored, 6000..6100, 10);
    assert!(
        (5000..5010)
            .chain(6000..6100)
            .chain(2000..2500)
            .all(|id| again.contains(id))
    );
}

#[test]
fn a_partition_has_its_share_of_the_bound_and_whole_hours() {
    let dedup = crate::catalog::Dedup {
        id: crate::catalog::FieldPath::Payload(vec!["id".into()]),
        window: jiff::SignedDuration::from_mins(90),
        max_keys: 10,
    };
    assert_eq!(
        Bounds::of_partition(&dedup, 4),
        Bounds {
            hours: 2,
            max_keys: 3
        }
    );
}

#[test]
fn an_event_and_its_retraction_may_bear_one_id() {
    assert_ne!(hash_of("7", false), hash_of("7", true));
}

#[test]
fn no_short_id_is_taken_for_another_or_for_what_it_takes_back() {
    let ids = (0..100_000).map(|id: u32| id.to_string());
    let hashes: HashSet<u64> = ids
        .flat_map(|id| [false, true].map(|retracts| hash_of(&id, retracts)))
        .collect();
    assert_eq!(hashes.len(), 200_000);
}

#[test]
fn what_another_one_remembers_of_the_same_partition_is_remembered_too_and_kept() {
    let bounds = Bounds {
        hours: 24,
        max_keys: 100,
    };
    let (mut one, mut other) = (Seen::new(bounds), Seen::new(bounds));
    for (hash, hour) in [(1, 100), (2, 130)] {
        one.insert(hash, hour * HOUR_MS);
    }
    let mut kept = Chunks::new();
    kept.extend(one.take().chunks);
    // One of its ids is known, one is new, and one is out of the window.
    for (hash, hour) in [(9, 100), (2, 130), (3, 129)] {
        other.insert(hash, hour * HOUR_MS);
    }
    let mut restored = Seen::restore(bounds, kept.clone());
    restored.absorb(&other);
    kept.extend(restored.take().chunks);
    let again = Seen::restore(bounds, kept);
    assert_eq!(
        [1, 2, 3, 9].map(|hash| again.contains(hash)),
        [false, true, true, false]
    );
    assert_eq!(again.len(), 2);
}
