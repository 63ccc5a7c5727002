//! Pace: how fast one destination may be written to, and when a failed attempt is made again.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How fast a destination may be written to in the long run, and how many messages may go at once after a quiet time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limit {
    /// Time between two messages in the long run.
    pub per_message: Duration,
    /// Messages that may go at once; at least 1.
    pub burst: u32,
}

impl Limit {
    /// What chat services accept where they say nothing else.
    pub const ONE_A_SECOND: Limit = Limit {
        per_message: Duration::from_secs(1),
        burst: 3,
    };

    /// So many in any minute, some of them at once.
    pub fn a_minute(most: NonZeroU32) -> Limit {
        let burst = (most.get() / 3).clamp(1, 10);
        // What went at once counts towards the minute.
        let spread = (most.get() - burst).max(1);
        Limit {
            per_message: Duration::from_mins(1) / spread,
            burst,
        }
    }
}

/// Paces that several destinations share, by what they have in common.
#[derive(Debug, Default)]
pub(super) struct Shared(BTreeMap<u64, Arc<Mutex<Pace>>>);

impl Shared {
    /// The one of a key; of all who ask the slowest says how fast it is.
    pub(super) fn of(&mut self, (key, limit): (u64, Limit)) -> Arc<Mutex<Pace>> {
        let pace = || Arc::new(Mutex::new(Pace::new(&[limit])));
        let shared = Arc::clone(self.0.entry(key).or_insert_with(pace));
        shared
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .slow_to(limit);
        shared
    }
}

/// Waits after the first, second, … failed attempt; the last one repeats. The first attempt is made at once.
const WAITS: [Duration; 8] = [
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_secs(30),
    Duration::from_mins(1),
    Duration::from_mins(2),
    Duration::from_mins(5),
    Duration::from_mins(10),
];

/// No wait is longer, whatever a server or a clock says.
pub(super) const LONGEST_WAIT: Duration = Duration::from_mins(10);

/// The wait after this many failed attempts, without jitter.
pub(super) fn wait_after(attempts: u32) -> Duration {
    let index = usize::try_from(attempts).unwrap_or(usize::MAX).saturating_sub(1);
    WAITS.get(index).copied().unwrap_or(LONGEST_WAIT)
}

/// How often it is tried again at once where a service says that it is busy for a moment.
const BUSY_TRIES: u32 = 3;
/// Time between these attempts.
const BUSY_WAIT: Duration = Duration::from_secs(1);

/// The wait after this many attempts that a service was too busy for, without jitter.
pub(super) fn wait_while_busy(attempts: u32) -> Duration {
    match attempts.checked_sub(BUSY_TRIES) {
        Some(beyond) if beyond > 0 => wait_after(beyond),
        _ => BUSY_WAIT,
    }
}

/// A little more than the wait, so that many senders that failed together do not come back together.
pub(super) fn with_jitter(wait: Duration) -> Duration {
    wait.mul_f64(1.0 + rand::random_range(0.0..0.1))
}

/// Token buckets, each as the moment at which it would be full again (generic cell rate algorithm: one timestamp is the
/// whole state).
#[derive(Debug)]
pub(super) struct Pace {
    buckets: Vec<(Limit, Option<Instant>)>,
    /// Until when the destination asks to be left alone, whatever waits for it.
    asked_until: Option<Instant>,
}

impl Pace {
    pub(super) fn new(limits: &[Limit]) -> Pace {
        Pace {
            buckets: limits.iter().map(|limit| (*limit, None)).collect(),
            asked_until: None,
        }
    }

    /// No faster than this.
    fn slow_to(&mut self, limit: Limit) {
        for (own, _) in &mut self.buckets {
            if own.per_message < limit.per_message {
                *own = limit;
            }
        }
    }

    /// From when on a message may go.
    pub(super) fn free_at(&self, now: Instant) -> Instant {
        let free = self.buckets.iter().filter_map(|(limit, full_at)| {
            let credit = limit.per_message * limit.burst.saturating_sub(1);
            full_at.and_then(|full| full.checked_sub(credit))
        });
        free.chain(self.asked_until)
            .max()
            .map_or(now, |free| free.max(now))
    }

    /// The destination asks to wait: what is behind the message that it did not take has to wait as well.
    pub(super) fn hold_until(&mut self, until: Instant) {
        self.asked_until = self.asked_until.max(Some(until));
    }

    /// Takes the next place, and says when it is: now, or later.
    pub(super) fn reserve(&mut self, now: Instant) -> Instant {
        let at = self.free_at(now);
        self.take(at);
        at
    }

    /// A message goes now.
    pub(super) fn take(&mut self, now: Instant) {
        for (limit, full_at) in &mut self.buckets {
            let full = full_at.map_or(now, |full| full.max(now));
            *full_at = Some(full + limit.per_message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::fakes::Window;

    #[test]
    fn three_go_at_once_and_then_one_a_second() {
        let start = Instant::now();
        let mut pace = Pace::new(&[Limit::ONE_A_SECOND]);
        let (mut now, mut sent) = (start, Vec::new());
        for _ in 0..6 {
            now = pace.free_at(now);
            pace.take(now);
            sent.push((now - start).as_secs_f64());
        }
        assert_eq!(sent, [0.0, 0.0, 0.0, 1.0, 2.0, 3.0]);
        let rested = now + Duration::from_secs(60);
        for _ in 0..3 {
            assert_eq!(pace.free_at(rested), rested);
            pace.take(rested);
        }
        assert_eq!(pace.free_at(rested), rested + Duration::from_secs(1));
    }

    #[test]
    fn so_many_a_minute_are_no_more_in_any_minute() {
        for most in [1, 2, 9, 10, 11, 60, 300] {
            let start = Instant::now();
            let mut pace = Pace::new(&[Limit::a_minute(NonZeroU32::new(most).unwrap())]);
            let mut window = Window::new(most as usize, Duration::from_mins(1));
            let mut now = start;
            for _ in 0..most * 3 {
                now = pace.free_at(now);
                pace.take(now);
                assert!(window.lets_through(now), "{most}");
            }
            assert!((now - start).as_secs() <= 300, "{most}: {:?}", now - start);
        }
    }

    #[test]
    fn of_those_who_share_a_pace_the_slowest_counts() {
        let of = |most| Limit::a_minute(NonZeroU32::new(most).unwrap());
        let mut all = Shared::default();
        let first = all.of((1, of(300)));
        let second = all.of((1, of(60)));
        assert!(Arc::ptr_eq(&first, &second) && Arc::ptr_eq(&first, &all.of((1, of(300)))));
        assert_eq!(first.lock().unwrap().buckets[0].0, of(60));
        assert_eq!(all.of((2, of(300))).lock().unwrap().buckets[0].0, of(300));
    }

    #[test]
    fn of_several_limits_all_hold() {
        let limit = |milliseconds, burst| Limit {
            per_message: Duration::from_millis(milliseconds),
            burst,
        };
        let start = Instant::now();
        let (mut pace, mut now, mut sent) = (Pace::new(&[limit(200, 2), limit(600, 4)]), start, Vec::new());
        for _ in 0..7 {
            now = pace.free_at(now);
            pace.take(now);
            sent.push((now - start).as_millis());
        }
        assert_eq!(sent, [0, 0, 200, 400, 600, 1200, 1800]);
    }

    #[test]
    fn waits_grow_to_ten_minutes_and_stay_there() {
        let waits: Vec<u64> = (1..=10).map(|attempts| wait_after(attempts).as_secs()).collect();
        assert_eq!(waits, [2, 5, 15, 30, 60, 120, 300, 600, 600, 600]);
        let busy: Vec<u64> = (1..=6)
            .map(|attempts| wait_while_busy(attempts).as_secs())
            .collect();
        assert_eq!(busy, [1, 1, 1, 2, 5, 15]);
        let jittered = with_jitter(Duration::from_secs(100));
        assert!((100.0..110.0).contains(&jittered.as_secs_f64()));
    }
}
