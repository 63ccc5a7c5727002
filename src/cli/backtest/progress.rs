//! A bar on stderr while history runs, where a person watches.

use std::io::{IsTerminal, Write};

use jiff::civil::Date;

/// Characters of the bar.
const WIDTH: usize = 40;

/// How far a replay is. Shows nothing where stderr is no terminal; leaves nothing behind.
pub(super) struct Progress {
    is_shown: bool,
    all: usize,
    done: usize,
    /// Per cent that are shown.
    percent: usize,
}

impl Progress {
    /// Of so many steps.
    pub(super) fn new(all: usize) -> Progress {
        Progress {
            is_shown: std::io::stderr().is_terminal(),
            all,
            done: 0,
            percent: 0,
        }
    }

    /// One more; `day` is the day that is replayed.
    pub(super) fn step(&mut self, day: impl FnOnce() -> Date) {
        self.done += 1;
        let percent = self.done * 100 / self.all.max(1);
        if !self.is_shown || percent == self.percent {
            return;
        }
        self.percent = percent;
        let filled = WIDTH * percent / 100;
        // A bar that cannot be drawn is no reason to stop.
        let _ = write!(
            std::io::stderr().lock(),
            "\r[{}{}] {percent:3}%  {}",
            "█".repeat(filled),
            " ".repeat(WIDTH - filled),
            day()
        );
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_shown {
            let _ = write!(std::io::stderr().lock(), "\r\x1b[K");
        }
    }
}
