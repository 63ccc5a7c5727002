//! Days that are no longer kept: forgotten for good, in memory and in the state, and their places are free again.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::bounds::Fold;
use crate::catalog::OTHER;
use crate::fold::day::Day;

#[test]
fn a_forgotten_day_does_not_come_back_and_is_counted() {
    let mut fold = Fold::new(10);
    fold.event_on(100, "ann", "north", 1);
    fold.event_on(101, "ann", "north", 2);
    fold.hand_over();
    fold.cells.keep_from(Day(101));
    fold.commit();
    let only = |amount| BTreeMap::from([(String::new(), amount), ("ann/north".to_owned(), amount)]);
    assert_eq!(fold.amounts(), only(2));
    fold.event_on(100, "ann", "north", 4);
    fold.event_on(102, "ann", "north", 8);
    fold.hand_over();
    assert_eq!(fold.amounts(), only(10));
    // Once for the total, once for the parts.
    assert_eq!(fold.too_old, 2);
    // Asking for more again brings nothing back, and what comes late is still let go: half a day would be wrong.
    fold.restart();
    fold.cells.keep_from(Day(90));
    fold.event_on(100, "ann", "north", 16);
    fold.hand_over();
    assert_eq!(fold.amounts(), only(10));
    assert_eq!(fold.too_old, 4);
}

#[test]
fn the_place_of_a_combination_is_free_when_all_its_days_are_forgotten() {
    let mut fold = Fold::new(1);
    fold.event_on(100, "ann", "north", 1);
    fold.hand_over();
    fold.event_on(101, "ben", "south", 2);
    fold.hand_over();
    let other = format!("{OTHER}/{OTHER}");
    assert!(fold.amounts().contains_key(&other));
    fold.cells.keep_from(Day(102));
    fold.event_on(102, "cy", "west", 4);
    fold.hand_over();
    let mine = BTreeMap::from([(String::new(), 4), ("cy/west".to_owned(), 4)]);
    assert_eq!(fold.amounts(), mine);
    // The one that was there first has no privilege.
    fold.event_on(103, "ann", "north", 8);
    fold.hand_over();
    assert_eq!(fold.amounts()[&other], 8);
}

#[test]
fn a_start_from_the_state_is_free_of_values_that_came_and_went() {
    let mut fold = Fold::new(10_000);
    for day in 0..3 {
        for person in 0..600 {
            fold.event_on(100 + day, &format!("p{day}-{person}"), "s", 1);
        }
        fold.hand_over();
        fold.cells.keep_from(Day(100 + day));
        fold.commit();
        // As many without a day as with one are no reason, and neither are a few hundred.
        assert!(!fold.cells.is_mostly_forgotten(), "{day}");
    }
    for person in 0..600 {
        fold.event_on(103, &format!("p3-{person}"), "s", 1);
    }
    fold.hand_over();
    fold.cells.keep_from(Day(103));
    fold.commit();
    assert!(fold.cells.is_mostly_forgotten());
    let amounts = fold.amounts();
    fold.restart();
    assert!(!fold.cells.is_mostly_forgotten());
    assert_eq!(fold.amounts(), amounts);
    assert!(fold.plan.interner.find("p3-7").is_some());
    assert_eq!(fold.plan.interner.find("p0-7"), None);
}

proptest! {
    /// Whenever days are forgotten, and whenever everything is made anew from the state: what is kept is the sum of
    /// the events of its days, to the last one.
    #[test]
    fn what_is_kept_is_whole(
        steps in proptest::collection::vec((0u8..3, 0i32..12, 0u8..3, 1u32..100), 0..60),
    ) {
        let mut fold = Fold::new(100);
        let mut model: BTreeMap<(i32, String), i64> = BTreeMap::new();
        let (mut first, mut too_old) = (0, 0);
        for (what, day, person, amount) in steps {
            match what {
                0 => {
                    // What waits is handed over before: it arrived before.
                    fold.hand_over();
                    first = first.max(day);
                    fold.cells.keep_from(Day(first));
                    fold.commit();
                    model.retain(|(day, _), _| *day >= first);
                }
                1 => {
                    fold.hand_over();
                    fold.restart();
                }
                _ => {
                    fold.event_on(day, &format!("p{person}"), "s", amount);
                    if day < first {
                        too_old += 2;
                        continue;
                    }
                    for key in [String::new(), format!("p{person}/s")] {
                        *model.entry((day, key)).or_insert(0) += i64::from(amount);
                    }
                }
            }
        }
        fold.hand_over();
        let mut expected: BTreeMap<String, i64> = BTreeMap::new();
        for ((_, key), amount) in &model {
            *expected.entry(key.clone()).or_insert(0) += amount;
        }
        prop_assert_eq!(fold.amounts(), expected);
        prop_assert_eq!(fold.too_old, too_old);
        prop_assert!(fold.kept.keys().all(|(_, _, day)| *day >= first));
    }
}
