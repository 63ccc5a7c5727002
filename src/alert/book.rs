//! The book of records: each by its fingerprint, with what a step needs to find without looking at all of them.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;
use jiff::{SignedDuration, Timestamp};

use super::identity::Fingerprint;
use super::notice::ResolveReason;
use super::record::{AlertRecord, AlertState, Episode, Past};
use super::transition::is_running;

/// Event time after the end of its period for which a record is kept, for pages that show what was.
pub const RETENTION: SignedDuration = SignedDuration::from_hours(7 * 24);

/// All records.
#[derive(Debug, Default)]
pub(super) struct Book {
    entries: HashMap<Fingerprint, Entry>,
    /// Identities that need a look at every step, judged or not: those that are not inactive, or owe somebody a word.
    open: BTreeSet<Fingerprint>,
    /// Identities of which people were told how their period ended.
    closed: BTreeSet<Fingerprint>,
    /// How many of the open ones each rule has.
    open_by_rule: HashMap<String, usize>,
    /// How many episodes those had whose records are forgotten.
    forgotten: HashMap<Fingerprint, u64>,
    /// What ended since the last digests, by its end: a record knows its last episode alone, and is forgotten.
    ended: BTreeMap<(Timestamp, Fingerprint, u64), Episode>,
    /// When the records of closed periods are forgotten.
    expiries: BTreeSet<(Timestamp, Fingerprint)>,
}

/// A record, and what is only known while the process runs.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) record: AlertRecord,
    /// Number of the step that last judged it.
    pub(super) judged: u64,
    /// Why its identity is not declared any more.
    pub(super) withdrawn: Option<ResolveReason>,
}

/// What a step changed so far, in a fixed order.
#[derive(Default)]
pub(super) struct Changes {
    changed: BTreeSet<Fingerprint>,
    removed: BTreeSet<Fingerprint>,
}

impl Book {
    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    pub(super) fn entries_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.entries.values_mut()
    }

    pub(super) fn get(&self, fingerprint: Fingerprint) -> Option<&Entry> {
        self.entries.get(&fingerprint)
    }

    /// The records of which people were told how their period ended.
    pub(super) fn closed(&self) -> Vec<Fingerprint> {
        self.closed.iter().copied().collect()
    }

    pub(super) fn get_mut(&mut self, fingerprint: Fingerprint) -> Option<&mut Entry> {
        self.entries.get_mut(&fingerprint)
    }

    /// The records that need a look at every step. A list of its own, because looking at one may close it.
    pub(super) fn open(&self) -> Vec<Fingerprint> {
        self.open.iter().copied().collect()
    }

    pub(super) fn open_records(&self) -> impl Iterator<Item = &AlertRecord> {
        self.open
            .iter()
            .filter_map(|fingerprint| self.entries.get(fingerprint))
            .map(|entry| &entry.record)
    }

    pub(super) fn insert(&mut self, record: AlertRecord, judged: u64) {
        let fingerprint = record.fingerprint;
        self.expire_with(fingerprint, None, record.period_end);
        if is_open(&record) {
            self.note_open(fingerprint, &record.rule);
        }
        if record.told.closed.is_some() {
            self.closed.insert(fingerprint);
        }
        let entry = Entry {
            record,
            judged,
            withdrawn: None,
        };
        self.entries.insert(fingerprint, entry);
    }

    /// Notes that the period of a record ends at another time than it did.
    pub(super) fn expire_with(
        &mut self,
        fingerprint: Fingerprint,
        before: Option<Timestamp>,
        now: Option<Timestamp>,
    ) {
        if let Some(before) = before {
            self.expiries.remove(&(expiry(before), fingerprint));
        }
        if let Some(now) = now {
            self.expiries.insert((expiry(now), fingerprint));
        }
    }

    /// After something happened to a record: keeps the sets in step with it, and drops the record when there is
    /// nothing to remember.
    pub(super) fn settle(&mut self, fingerprint: Fingerprint, is_changed: bool, changes: &mut Changes) {
        let Some(entry) = self.entries.get(&fingerprint) else {
            return;
        };
        if entry.record.state == AlertState::Inactive && entry.record.fired_at.is_none() {
            return self.remove(fingerprint, changes);
        }
        if entry.record.told.closed.is_some() {
            self.closed.insert(fingerprint);
        }
        let is_open = is_open(&entry.record);
        if is_open != self.open.contains(&fingerprint) {
            let rule = entry.record.rule.clone();
            if is_open {
                self.note_open(fingerprint, &rule);
            } else {
                self.note_over(fingerprint, &rule);
            }
        }
        if is_changed {
            changes.changed.insert(fingerprint);
            self.note_end(fingerprint);
        }
    }

    /// Notes the last episode of a record, where it is over and was not noted before.
    fn note_end(&mut self, fingerprint: Fingerprint) {
        let Some(record) = self.entries.get(&fingerprint).map(|entry| &entry.record) else {
            return;
        };
        let Some(ended_at) = record.history.ended_at.filter(|_| !is_running(record)) else {
            return;
        };
        let key = (ended_at, fingerprint, record.episodes);
        if !self.ended.contains_key(&key)
            && let Some(episode) = record.episode()
        {
            self.ended.insert(key, episode);
            self.bound_ended();
        }
    }

    fn bound_ended(&mut self) {
        while self.ended.len() > Past::ENDED_MAX {
            self.ended.pop_first();
        }
    }

    /// What ended after a time, the first first.
    pub(super) fn ended_since(&self, since: Timestamp) -> impl Iterator<Item = &Episode> {
        let later = self.ended.iter().filter(move |((end, ..), _)| *end > since);
        later.map(|(_, episode)| episode)
    }

    /// Forgets what ended before every digest that is still to come.
    pub(super) fn forget_ended(&mut self, until: Timestamp) {
        while let Some(first) = self.ended.first_entry().filter(|first| first.key().0 <= until) {
            first.remove();
        }
    }

    /// Whether a record needs a look at every step.
    pub(super) fn is_open(&self, fingerprint: Fingerprint) -> bool {
        self.open.contains(&fingerprint)
    }

    /// How many alerts of a rule are open.
    pub(super) fn open_of(&self, rule: &str) -> usize {
        self.open_by_rule.get(rule).copied().unwrap_or(0)
    }

    fn note_open(&mut self, fingerprint: Fingerprint, rule: &str) {
        if self.open.insert(fingerprint) {
            match self.open_by_rule.get_mut(rule) {
                Some(count) => *count += 1,
                None => drop(self.open_by_rule.insert(rule.to_owned(), 1)),
            }
        }
    }

    fn note_over(&mut self, fingerprint: Fingerprint, rule: &str) {
        if self.open.remove(&fingerprint)
            && let Some(count) = self.open_by_rule.get_mut(rule)
        {
            *count -= 1;
        }
    }

    /// How many episodes an identity had before its record was forgotten.
    pub(super) fn episodes_before(&self, fingerprint: Fingerprint) -> u64 {
        self.forgotten.get(&fingerprint).copied().unwrap_or(0)
    }

    /// Takes over what an earlier run knew beside the records.
    pub(super) fn recall(&mut self, past: Past) {
        self.forgotten.extend(past.counts);
        let ended = past.ended.into_iter().filter_map(|episode| {
            let key = (episode.ended_at?, episode.fingerprint, episode.number);
            Some((key, episode))
        });
        self.ended.extend(ended);
        self.bound_ended();
    }

    /// Forgets identities whose period is long over.
    pub(super) fn forget_expired(&mut self, at: Timestamp, changes: &mut Changes) {
        let due: Vec<Fingerprint> = self
            .expiries
            .iter()
            .take_while(|(expiry, _)| *expiry <= at)
            .map(|(_, fingerprint)| *fingerprint)
            // What ends now is written down before it is forgotten.
            .filter(|fingerprint| !self.open.contains(fingerprint) && !changes.changed.contains(fingerprint))
            .collect();
        for fingerprint in due {
            self.remove(fingerprint, changes);
        }
    }

    fn remove(&mut self, fingerprint: Fingerprint, changes: &mut Changes) {
        if let Some(entry) = self.entries.remove(&fingerprint) {
            self.expire_with(fingerprint, entry.record.period_end, None);
            self.note_over(fingerprint, &entry.record.rule);
            if entry.record.episodes > 0 {
                self.forgotten.insert(fingerprint, entry.record.episodes);
            }
        }
        self.closed.remove(&fingerprint);
        changes.changed.remove(&fingerprint);
        changes.removed.insert(fingerprint);
    }

    /// The records to write and to delete.
    pub(super) fn written(&self, changes: Changes) -> (Vec<AlertRecord>, Vec<Fingerprint>) {
        let changed = changes
            .changed
            .iter()
            .filter_map(|fingerprint| self.entries.get(fingerprint))
            .map(|entry| entry.record.clone())
            .collect();
        (changed, changes.removed.into_iter().collect())
    }
}

fn is_open(record: &AlertRecord) -> bool {
    let told = &record.told;
    let is_owed = !told.owed.is_empty() || !told.untold.is_empty() || told.correction.is_some();
    record.state != AlertState::Inactive || is_owed
}

fn expiry(period_end: Timestamp) -> Timestamp {
    period_end.saturating_add(RETENTION).unwrap_or(Timestamp::MAX)
}
