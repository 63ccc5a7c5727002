//! Pace: how fast one destination may be written to, and when a failed attempt is made again.

use std::time::Duration;

use tokio::time::Instant;

/// One message a second in the long run is what chat services accept.
const PER_MESSAGE: Duration = Duration::from_secs(1);
/// Messages that may go at once after a quiet time.
const BURST: u32 = 3;

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

/// A little more than the wait, so that many senders that failed together do not come back together.
pub(super) fn with_jitter(wait: Duration) -> Duration {
    wait.mul_f64(1.0 + rand::random_range(0.0..0.1))
}

/// A token bucket of one message a second, as the moment at which it would be full again (generic cell rate
/// algorithm: one timestamp is the whole state).
#[derive(Debug, Default)]
pub(super) struct Pace {
    full_at: Option<Instant>,
}

impl Pace {
    /// From when on a message may go.
    pub(super) fn free_at(&self, now: Instant) -> Instant {
        let credit = PER_MESSAGE * (BURST - 1);
        self.full_at
            .and_then(|full| full.checked_sub(credit))
            .map_or(now, |free| free.max(now))
    }

    /// A message goes now.
    pub(super) fn take(&mut self, now: Instant) {
        let full = self.full_at.map_or(now, |full| full.max(now));
        self.full_at = Some(full + PER_MESSAGE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_go_at_once_and_then_one_a_second() {
        let start = Instant::now();
        let (mut pace, mut now, mut sent) = (Pace::default(), start, Vec::new());
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
        assert_eq!(pace.free_at(rested), rested + PER_MESSAGE);
    }

    #[test]
    fn waits_grow_to_ten_minutes_and_stay_there() {
        let waits: Vec<u64> = (1..=10).map(|attempts| wait_after(attempts).as_secs()).collect();
        assert_eq!(waits, [2, 5, 15, 30, 60, 120, 300, 600, 600, 600]);
        let jittered = with_jitter(Duration::from_secs(100));
        assert!((100.0..110.0).contains(&jittered.as_secs_f64()));
    }
}
