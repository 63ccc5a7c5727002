//! The barrier at the start: nobody is told anything before what was there has been read, so that no alert is told of
//! half a history. One partition that cannot be read must not silence all alerts for ever: after `catchup_max` people
//! are told all the same, and that the numbers may not be whole.

use std::time::{Duration, Instant};

/// Whether people may be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Gate {
    /// Not yet.
    #[default]
    Closed,
    /// What was there at the start has not been read, and that takes too long: they are, with a mark.
    Overdue,
    /// What was there at the start has been read.
    Open,
}

/// Since when something is left to read of what was there. Outlives a pipeline: a reload does not begin it anew.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Barrier {
    behind_since: Option<Instant>,
}

impl Barrier {
    /// Where it stands at a moment.
    pub(super) fn look(&mut self, caught_up: bool, at: Instant, catchup_max: Duration) -> Gate {
        if caught_up {
            self.behind_since = None;
            return Gate::Open;
        }
        let since = *self.behind_since.get_or_insert(at);
        match at.saturating_duration_since(since) >= catchup_max {
            true => Gate::Overdue,
            false => Gate::Closed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_with_the_end_of_history_or_after_a_while() {
        let (start, most) = (Instant::now(), Duration::from_secs(600));
        let mut barrier = Barrier::default();
        for (seconds, caught_up, expected) in [
            (0, false, Gate::Closed),
            (599, false, Gate::Closed),
            (600, false, Gate::Overdue),
            (7200, false, Gate::Overdue),
            (7201, true, Gate::Open),
            // A new partition is a new history, with its own time.
            (7300, false, Gate::Closed),
            (7899, false, Gate::Closed),
            (7900, false, Gate::Overdue),
        ] {
            let at = start + Duration::from_secs(seconds);
            assert_eq!(barrier.look(caught_up, at, most), expected, "at {seconds} s");
        }
    }
}
