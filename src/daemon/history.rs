//! Folds history that does not come from Kafka into a state, through the same decoder and fold as the daemon.

use std::sync::Arc;

use jiff::Timestamp;

use crate::catalog::{Catalog, Source, SourceId};
use crate::decode::{Found, Reader, Record, Reject};
use crate::fold::FoldError;
use crate::fold::cells::Cells;
use crate::fold::dedup::{Bounds, Seen};
use crate::fold::plan::Plan;
use crate::fold::worker::Worker;
use crate::state::{Commit, StateError, Store};

/// Folds records, then commits once.
pub struct History {
    readers: Vec<Reader>,
    worker: Worker,
    cells: Cells,
    /// By source, of those whose copies are looked for; not kept, live events bring other ids.
    seen: Vec<Option<Seen>>,
    folded: i64,
}

impl History {
    /// History for a state that holds none yet.
    pub fn new(catalog: &Catalog) -> History {
        let plan = Arc::new(Plan::compile(catalog));
        let seen = |source: &Source| Some(Seen::new(Bounds::of_partition(source.dedup.as_ref()?, 1)));
        History {
            seen: catalog.sources.iter().map(seen).collect(),
            readers: catalog.sources.iter().map(Reader::new).collect(),
            worker: Worker::new(catalog, plan.clone()),
            cells: Cells::new(plan),
            folded: 0,
        }
    }

    /// Folds one record of a source.
    ///
    /// # Errors
    /// Why an event of it was rejected, the first one; its other events are folded.
    pub fn fold(&mut self, source: SourceId, record: &Record<'_>) -> Result<(), Reject> {
        let History {
            readers,
            worker,
            seen,
            folded,
            ..
        } = self;
        let seen = &mut seen[source.0 as usize];
        let mut first = Ok(());
        readers[source.0 as usize].read(record, |item| {
            let done = item.found.and_then(|found| match found {
                Found::Change(change) => match seen {
                    Some(seen) => worker.fold_once(source, &change, *folded, seen).map(|_| ()),
                    None => worker.fold_change(source, &change, *folded).map(|_| ()),
                },
                Found::Tombstone => Ok(()),
            });
            *folded += i64::from(done.is_ok());
            if first.is_ok() {
                first = done;
            }
        });
        first
    }

    /// Number of events folded.
    pub fn folded(&self) -> i64 {
        self.folded
    }

    /// Merges what was folded since the last call: keeps the worker small.
    ///
    /// # Errors
    /// When a sum leaves the range of exact numbers.
    pub fn merge(&mut self) -> Result<(), FoldError> {
        self.cells.merge(self.worker.take())
    }

    /// Writes everything into the state. The daemon will judge the days from `judged_to` on.
    ///
    /// # Errors
    /// When the state cannot be written.
    pub fn commit(mut self, store: &Store, judged_to: Timestamp) -> Result<(), StateError> {
        let cells = self.cells.take_changed();
        store.commit(&Commit {
            cells: &cells,
            watermark_ms: Some(judged_to.as_millisecond()),
            ..Commit::default()
        })
    }
}
