//! Which of many go first when there are too many, without keeping them all in order all the time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Of so many entries one is put on the list of those that go next, whenever the list is made.
const LIST_SHARE: usize = 16;

/// Entries that go next: every one with a rank up to the highest listed is here, along with some that are over (gone, or of
/// another rank by now). The list is made when it is needed, so that most tables have none.
#[derive(Debug)]
pub(super) struct Oldest<R: Ord> {
    next: BinaryHeap<Reverse<R>>,
    listed_to: Option<R>,
}

impl<R: Ord> Default for Oldest<R> {
    fn default() -> Oldest<R> {
        Oldest {
            next: BinaryHeap::new(),
            listed_to: None,
        }
    }
}

impl<R: Ord + Clone> Oldest<R> {
    /// An entry has a new rank.
    pub(super) fn ranked(&mut self, rank: R) {
        if self.listed_to.as_ref().is_some_and(|to| rank <= *to) {
            self.next.push(Reverse(rank));
        }
    }

    /// The lowest rank of all entries, or one that is over; `None` where there are no entries.
    pub(super) fn pop<I: Iterator<Item = R>>(&mut self, all: impl FnOnce() -> I) -> Option<R> {
        if self.next.is_empty() {
            let mut all: Vec<R> = all().collect();
            let count = (all.len() / LIST_SHARE).max(1).min(all.len());
            let (_, last, _) = all.select_nth_unstable(count.checked_sub(1)?);
            self.listed_to = Some(last.clone());
            all.truncate(count);
            self.next = all.into_iter().map(Reverse).collect();
        }
        self.next.pop().map(|Reverse(rank)| rank)
    }
}
