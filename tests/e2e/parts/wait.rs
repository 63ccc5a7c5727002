//! Waiting for a condition: the only place that sleeps.

use std::time::{Duration, Instant};

/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Looks until `look` finds something and returns it; panics when the time is over.
#[track_caller]
pub(crate) fn until<T>(what: &str, within: Duration, look: impl FnMut() -> Option<T>) -> T {
    match within_time(within, look) {
        Some(found) => found,
        None => panic!("not within {within:?}: {what}"),
    }
}

/// Looks until `look` gives `Ok` and returns what is in it; panics with the last `Err` when the time is over.
#[track_caller]
pub(crate) fn until_ok<T>(what: &str, within: Duration, mut look: impl FnMut() -> Result<T, String>) -> T {
    let mut last = String::new();
    let found = within_time(within, || look().map_err(|seen| last = seen).ok());
    match found {
        Some(found) => found,
        None => panic!("not within {within:?}: {what}; last seen: {last}"),
    }
}

/// Looks until `look` finds something, or `None` when the time is over.
pub(crate) fn within_time<T>(within: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if started.elapsed() >= within {
            return None;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Looks again and again for as long as `time` lasts, and panics at the first `Err`.
#[track_caller]
pub(crate) fn holds_for(what: &str, time: Duration, mut look: impl FnMut() -> Result<(), String>) {
    let broken = within_time(time, || look().err());
    if let Some(seen) = broken {
        panic!("did not hold for {time:?}: {what}; seen: {seen}");
    }
}
