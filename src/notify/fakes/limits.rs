//! How vendors count: messages in a window that moves with the clock.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// So many messages in any stretch of time of this length.
#[derive(Debug)]
pub(in crate::notify) struct Window {
    most: usize,
    span: Duration,
    taken: VecDeque<Instant>,
}

impl Window {
    pub(in crate::notify) fn new(most: usize, span: Duration) -> Window {
        Window {
            most,
            span,
            taken: VecDeque::new(),
        }
    }

    /// Whether one more may come now; it is counted if so.
    pub(in crate::notify) fn lets_through(&mut self, now: Instant) -> bool {
        while self.taken.front().is_some_and(|first| now - *first >= self.span) {
            self.taken.pop_front();
        }
        let lets_through = self.taken.len() < self.most;
        if lets_through {
            self.taken.push_back(now);
        }
        lets_through
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn n_go_in_any_window_and_not_one_more() {
        let start = Instant::now();
        let mut window = Window::new(2, Duration::from_secs(1));
        let mut at = |ms: u64| window.lets_through(start + Duration::from_millis(ms));
        assert_eq!(
            [0, 500, 999, 1000, 1400, 1500].map(&mut at),
            [true, true, false, true, false, true]
        );
    }
}
