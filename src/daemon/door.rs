//! The door: folds what is sent over HTTP, as a fold thread folds what Kafka brings. A request is answered by the
//! evaluator, after the commit that holds its events.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender};
use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64;

use super::clock::Clock;
use super::folder::{Arrival, Folder};
use super::reader::{Assigned, Batch};
use crate::catalog::entries::metric_of;
use crate::catalog::{Agg, Catalog, MetricKind, SourceId};
use crate::decode::Record;
use crate::fold::dedup::Seen;
use crate::fold::plan::Plan;
use crate::source::entry::{self, Entry};
use crate::source::push::{self, Answer, EventError, Inbox, Parcel, Receipt, Refused, Submission};
use crate::state::{KEPT_REQUESTS, KeptRequest, Position};

/// How soon a stop is seen while nobody sends.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Requests that one batch takes at most.
const REQUESTS_A_BATCH: usize = 256;

/// An answer that waits for the commit.
pub(super) struct Ack {
    pub(super) answer: Answer,
    pub(super) receipt: Receipt,
}

pub(super) struct Door {
    inbox: Inbox,
    folder: Folder,
    /// By name of the source.
    desks: HashMap<String, Desk>,
    taken: TakenRequests,
    /// Manual metrics that show the last entry.
    last_shown: HashSet<String>,
    /// Entries of manual metrics, by metric.
    entries: HashMap<String, Vec<Entry>>,
    clock: Arc<dyn Clock>,
    hand_over: SyncSender<Batch>,
    stop: Arc<AtomicBool>,
}

/// What a source's requests have brought so far.
struct Desk {
    source: SourceId,
    position: Position,
    /// The ids that it brought, of a source whose copies are looked for.
    seen: Option<Seen>,
    moved: bool,
}

/// What a door is made of.
pub(super) struct DoorParts {
    pub(super) inbox: Inbox,
    pub(super) catalog: Arc<Catalog>,
    pub(super) plan: Arc<Plan>,
    /// Where each source stands that takes events over HTTP.
    pub(super) desks: Vec<Assigned>,
    /// Requests that were taken before, oldest first.
    pub(super) kept: Vec<KeptRequest>,
    /// Entries that people typed in before.
    pub(super) entries: Vec<Entry>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) hand_over: SyncSender<Batch>,
    pub(super) stop: Arc<AtomicBool>,
}

impl Door {
    pub(super) fn new(parts: DoorParts) -> Door {
        let name = |source: SourceId| parts.catalog.source(source).name.clone();
        let desk = |assigned: Assigned| Desk {
            source: assigned.source,
            position: assigned.position,
            seen: assigned.seen,
            moved: false,
        };
        let desks = parts.desks.into_iter();
        let mut entries: HashMap<String, Vec<Entry>> = HashMap::new();
        for entry in parts.entries {
            entries.entry(entry.metric.clone()).or_default().push(entry);
        }
        Door {
            inbox: parts.inbox,
            desks: desks
                .map(|assigned| (name(assigned.source), desk(assigned)))
                .collect(),
            folder: Folder::new(parts.catalog.clone(), parts.plan),
            taken: TakenRequests::new(parts.kept),
            entries,
            last_shown: last_shown(&parts.catalog),
            clock: parts.clock,
            hand_over: parts.hand_over,
            stop: parts.stop,
        }
    }

    /// Takes requests until told to stop, or until nobody takes what it folds.
    pub(super) fn run(mut self) {
        let inbox = self.inbox.clone();
        // The door before this one has ended, however it did: the receiver itself is whole.
        let inbox = inbox.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        while !self.stop.load(Ordering::Relaxed) {
            let first = match inbox.recv_timeout(LOOK_EVERY) {
                Ok(submission) => submission,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let more = inbox.try_iter().take(REQUESTS_A_BATCH - 1);
            let batch = self.batch(std::iter::once(first).chain(more));
            if self.hand_over.send(batch).is_err() {
                return;
            }
        }
    }

    fn batch(&mut self, submissions: impl Iterator<Item = Submission>) -> Batch {
        let mut acks = Vec::new();
        let mut requests = Vec::new();
        let mut entries = Vec::new();
        for Submission { parcel, answer } in submissions {
            match self.take(parcel, &mut requests, &mut entries) {
                Ok(receipt) => acks.push(Ack { answer, receipt }),
                // Who asked may be gone.
                Err(refused) => drop(answer.send(Err(refused))),
            }
        }
        let mut seen = Vec::new();
        let mut positions = Vec::new();
        for desk in self.desks.values_mut().filter(|desk| desk.moved) {
            desk.moved = false;
            positions.push(desk.position.clone());
            let delta = desk.seen.as_mut().map(Seen::take);
            if let Some(delta) = delta.filter(|delta| !delta.is_empty()) {
                let Position { topic, partition, .. } = &desk.position;
                seen.push((desk.source, (topic.clone(), *partition), delta));
            }
        }
        Batch {
            seen,
            positions,
            folded: self.folder.take(),
            ends: Vec::new(),
            acks,
            requests,
            entries,
        }
    }

    fn take(
        &mut self,
        parcel: Parcel,
        requests: &mut Vec<KeptRequest>,
        entries: &mut Vec<Entry>,
    ) -> Result<Receipt, Refused> {
        let body_hash = xxh3_64(&parcel.body);
        if let Some(key) = &parcel.key
            && let Some(before) = self.taken.find(&parcel.source, key, body_hash)?
        {
            return Ok(before);
        }
        let receipt = match metric_of(&parcel.source) {
            Some(metric) => self.enter(metric, &parcel, entries)?,
            None => self.fold(&parcel)?,
        };
        if let Some(key) = parcel.key {
            let kept = KeptRequest {
                source: parcel.source,
                key,
                body_hash,
                receipt: receipt.clone(),
            };
            self.taken.keep(kept.clone());
            requests.push(kept);
        }
        Ok(receipt)
    }

    /// Takes an entry: its event is folded as any other, and it is kept with its number.
    fn enter(&mut self, metric: &str, parcel: &Parcel, entries: &mut Vec<Entry>) -> Result<Receipt, Refused> {
        let draft = serde_json::from_slice(&parcel.body).map_err(|_| Refused::UnknownSource)?;
        let known = self.entries.entry(metric.to_owned()).or_default();
        let is_last = self.last_shown.contains(metric);
        let (entry, event) = entry::next(known, metric, draft, self.clock.now(), is_last)?;
        let receipt = self.fold(&Parcel {
            body: event.into_bytes(),
            ..parcel.clone()
        })?;
        if receipt.accepted == 0 {
            return Ok(receipt);
        }
        let number = Some(entry.number);
        self.entries
            .entry(metric.to_owned())
            .or_default()
            .push(entry.clone());
        entries.push(entry);
        Ok(Receipt { number, ..receipt })
    }

    fn fold(&mut self, parcel: &Parcel) -> Result<Receipt, Refused> {
        let desk = self.desks.get_mut(&parcel.source).ok_or(Refused::UnknownSource)?;
        let now = self.clock.now();
        let headers: Vec<(&str, &[u8])> = parcel
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_slice()))
            .collect();
        let record = Record {
            topic: &desk.position.topic,
            partition: desk.position.partition,
            offset: desk.position.next_offset,
            key: None,
            payload: Some(&parcel.body),
            headers: &headers,
            timestamp_ms: Some(now.as_millisecond()),
        };
        let arrival = Arrival {
            now,
            newest_ms: desk.position.newest_event_ms,
        };
        let account = self
            .folder
            .fold_as(parcel.layout, desk.source, &record, arrival, desk.seen.as_mut());
        let mut receipt = Receipt {
            accepted: account.events - account.rejected - account.duplicates,
            duplicates: account.duplicates,
            rejected: account.rejected,
            ..Receipt::default()
        };
        for letter in self.folder.newest_dead_letters(account.rejected) {
            receipt.list(EventError {
                index: letter.index,
                reason: letter.reason.to_owned(),
                detail: letter.detail.clone(),
            });
        }
        desk.moved = true;
        desk.position.next_offset += account.events.max(1).cast_signed();
        desk.position.newest_event_ms = desk.position.newest_event_ms.max(account.newest_ms);
        Ok(receipt)
    }
}

fn last_shown(catalog: &Catalog) -> HashSet<String> {
    let manual = catalog
        .named_metrics()
        .filter(|(_, metric)| metric.manual.is_some());
    let is_last = |kind: &MetricKind| matches!(kind, MetricKind::Simple(simple) if simple.agg == Agg::Last);
    manual
        .filter(|(_, metric)| is_last(&metric.kind))
        .map(|(_, metric)| metric.name.clone())
        .collect()
}

/// The requests with a key that were taken, as many as the state keeps.
#[derive(Default)]
struct TakenRequests {
    by_key: HashMap<(String, String), (u64, Receipt)>,
    oldest_first: VecDeque<(String, String)>,
}

impl TakenRequests {
    fn new(kept: Vec<KeptRequest>) -> TakenRequests {
        let mut taken = TakenRequests::default();
        kept.into_iter().for_each(|request| taken.keep(request));
        taken
    }

    /// The receipt of the request of this key.
    fn find(&self, source: &str, key: &str, body_hash: u64) -> Result<Option<Receipt>, Refused> {
        match self.by_key.get(&(source.to_owned(), key.to_owned())) {
            None => Ok(None),
            Some((hash, _)) if *hash != body_hash => Err(Refused::KeyReused),
            Some((_, receipt)) => Ok(Some(Receipt {
                repeated: true,
                ..receipt.clone()
            })),
        }
    }

    fn keep(&mut self, request: KeptRequest) {
        let name = (request.source, request.key);
        self.by_key
            .insert(name.clone(), (request.body_hash, request.receipt));
        self.oldest_first.push_back(name);
        if self.oldest_first.len() > KEPT_REQUESTS
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.by_key.remove(&oldest);
        }
    }
}

/// Where the requests of every source stand that takes them; the first time at their beginning.
pub(super) fn positions(
    catalog: &Catalog,
    known: impl Fn(&str) -> Option<Position>,
) -> Vec<(SourceId, Position)> {
    let pushed = (0..)
        .map(SourceId)
        .zip(&catalog.sources)
        .filter(|(_, source)| source.http || source.manual);
    pushed
        .map(|(id, source)| {
            let (topic, partition) = push::partition_of(&source.name);
            let position = known(&topic).unwrap_or(Position {
                topic,
                partition,
                next_offset: 0,
                newest_event_ms: None,
            });
            (id, position)
        })
        .collect()
}
