//! What is told together, and when: groups flush, storms become summaries, and it is noted who knows what.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::{HashMap, HashSet};
use jiff::{SignedDuration, Timestamp};

use super::group::{Group, GroupKey, due, later};
use super::inhibit::Explained;
use super::look::{Release, STORM, Want, Wants, What, key};
use super::route::{Routing, Timing};
use super::words::{self, Envelope};
use super::{Dispatcher, Held, Moment};
use crate::alert::book::{Book, Changes};
use crate::alert::identity::{Fingerprint, episode_id};
use crate::alert::notice::{Heading, Notice};
use crate::alert::record::{AlertRecord, Telling, Told};
use crate::alert::transition::is_running;
use crate::catalog::Severity;
use crate::words::{Language, sentence};

/// Notices of a pass for which it is looked up where the distance comes from.
const MOST_CAUSES: usize = 20;

/// A group with what is told of it now.
struct Message {
    key: GroupKey,
    wants: Vec<Want>,
    bundle: String,
    is_storm: bool,
}

impl Dispatcher {
    /// Decides which wants are told now, and notes it.
    #[expect(
        clippy::too_many_arguments,
        reason = "one step of the pass, which has all of them"
    )]
    pub(super) fn send(
        &mut self,
        wants: Wants,
        book: &mut Book,
        store_id: &str,
        at: Timestamp,
        moment: Moment<'_>,
        explained: &Explained,
        changes: &mut Changes,
    ) -> Vec<Notice> {
        let now = moment.now;
        if let Some(look) = wants.next_look {
            self.due_later(look);
        }
        let had_rushes = !self.kept.rushes.is_empty();
        let storm = moment.routing.manners.storm;
        self.kept.rushes.retain(|_, rush| !rush.is_over(storm, now));
        self.is_changed |= had_rushes;

        let (messages, waiting) = self.messages(wants, book, moment);
        for (fingerprint, receiver) in waiting {
            let Some(entry) = book.get_mut(fingerprint) else {
                continue;
            };
            let record = &mut entry.record;
            let mut tellings = record.told.tellings.iter_mut();
            if let Some(telling) = tellings.find(|telling| telling.receiver == receiver) {
                telling.storm = true;
            }
            self.held.push(Held {
                episode: episode_id(store_id, fingerprint, record.episodes),
                at: now,
                receiver,
                by: vec![STORM.to_owned()],
            });
            book.settle(fingerprint, true, changes);
        }
        let mut notices = Vec::new();
        let mut ends = Vec::new();
        let mut numbers = Numbers::default();
        let mut asked = 0;
        for message in &messages {
            let route = moment.routing.route(&message.key.route);
            for want in &message.wants {
                let explains = explains(book, explained, want);
                // What a storm is made of nobody reads one by one.
                let is_news = matches!(want.what, What::Fired { .. } | What::Escalated);
                let is_asked = is_news && !message.is_storm && asked < MOST_CAUSES;
                asked += usize::from(is_asked);
                let Some(entry) = book.get_mut(want.fingerprint) else {
                    continue;
                };
                let envelope = Envelope {
                    store_id,
                    receiver: &message.key.receiver,
                    bundle: &message.bundle,
                    group: &message.key.labels,
                    route: route.map_or("", |route| &route.path),
                    group_wait: route.and_then(|route| route.timing.group_wait),
                    is_storm: message.is_storm,
                    refire_window: moment.routing.manners.refire_window,
                    times: (now, at),
                };
                let seq = numbers.of(&mut entry.record, &want.what);
                let told_before = notices.len();
                let told = words::notice(&entry.record, &want.what, seq, explains, &envelope);
                notices.extend(told.map(|notice| {
                    Notice {
                        causes: is_asked
                            .then(|| moment.world.causes(&entry.record).map(Box::new))
                            .flatten(),
                        ..notice
                    }
                }));
                if matches!(want.what, What::Resolved { .. }) && notices.len() > told_before {
                    ends.push((told_before, &message.key));
                }
                note(&mut entry.record, &want.what, &message.key.receiver, now);
                book.settle(want.fingerprint, true, changes);
            }
        }
        for fingerprint in numbers.corrected {
            if let Some(entry) = book.get_mut(fingerprint) {
                let told = &mut entry.record.told;
                if let (Some(closed), Some(correction)) = (&mut told.closed, told.correction.take()) {
                    closed.verdict = correction.verdict;
                    closed.seq += 1;
                }
                book.settle(fingerprint, true, changes);
            }
        }
        note_what_goes_on(&mut notices, &ends, book);
        self.forget_groups(book);
        notices
    }

    /// The messages of this moment, with the ids that they have from now on; and who is not told now of what, because it
    /// was the first too many.
    fn messages(
        &mut self,
        wants: Wants,
        book: &Book,
        moment: Moment<'_>,
    ) -> (Vec<Message>, Vec<(Fingerprint, String)>) {
        let (now, routing) = (moment.now, moment.routing);
        let severity = |fingerprint: Fingerprint| {
            book.get(fingerprint)
                .map_or(Severity::INFO, |entry| entry.record.severity)
        };
        let mut due_fired: BTreeMap<String, usize> = BTreeMap::new();
        let mut planned: Vec<(GroupKey, Vec<(Want, Timestamp)>)> = Vec::new();
        for (key, wants) in wants.groups {
            let group = self.kept.groups.get(&key.text());
            let timing = timing(routing, &key);
            let first = wants
                .iter()
                .filter_map(|want| match want.what {
                    What::Fired {
                        release: Some(Release::After(_)),
                        ..
                    } => None,
                    What::Fired { since, .. } => Some(since),
                    _ => None,
                })
                .min();
            let held = self.kept.rushes.get(&key.receiver);
            let held = held.and_then(|rush| rush.holds_until(now));
            let timed: Vec<(Want, Timestamp)> = wants
                .into_iter()
                .map(|want| {
                    let at = when(&want, &timing, group, first, severity(want.fingerprint));
                    let at = match want.what {
                        What::Fired { .. } => held.map_or(at, |until| until.max(at)),
                        _ => at,
                    };
                    (want, at)
                })
                .collect();
            let fired = timed
                .iter()
                .filter(|(want, at)| is_fired(want) && *at <= now)
                .count();
            *due_fired.entry(key.receiver.clone()).or_default() += fired;
            planned.push((key, timed));
        }
        let guard = routing.manners.storm;
        let stormy: BTreeSet<String> = due_fired
            .iter()
            .filter(|(receiver, count)| {
                let rush = self.kept.rushes.get(*receiver).cloned().unwrap_or_default();
                rush.is_storm(**count, guard, now)
            })
            .map(|(receiver, _)| receiver.clone())
            .collect();
        // One more is no summary: where they come one by one, it waits for the next ones.
        let (singles, stormy): (BTreeSet<String>, BTreeSet<String>) = stormy
            .into_iter()
            .partition(|receiver| due_fired.get(receiver) == Some(&1));
        let mut waiting = Vec::new();
        for receiver in &singles {
            due_fired.remove(receiver);
            let rush = self.kept.rushes.entry(receiver.clone()).or_default();
            rush.hold(guard, now);
            self.is_changed = true;
        }
        for (key, timed) in &mut planned {
            let Some(until) = self
                .kept
                .rushes
                .get(&key.receiver)
                .and_then(|rush| rush.holds_until(now))
            else {
                continue;
            };
            for (want, at) in timed.iter_mut().filter(|(want, _)| is_fired(want)) {
                if *at <= now && singles.contains(&key.receiver) {
                    waiting.push((want.fingerprint, key.receiver.clone()));
                }
                *at = until.max(*at);
            }
        }
        (self.pack(planned, &due_fired, &stormy, moment), waiting)
    }

    fn pack(
        &mut self,
        planned: Vec<(GroupKey, Vec<(Want, Timestamp)>)>,
        due_fired: &BTreeMap<String, usize>,
        stormy: &BTreeSet<String>,
        moment: Moment<'_>,
    ) -> Vec<Message> {
        let now = moment.now;
        let mut messages = Vec::new();
        let mut summaries: HashMap<String, String> = HashMap::new();
        for (key, timed) in planned {
            let text = key.text();
            let timing = timing(moment.routing, &key);
            let is_due = timed.iter().any(|(_, at)| *at <= now);
            let repeats = timed
                .iter()
                .any(|(want, at)| matches!(want.what, What::Repeat { .. }) && *at <= now);
            let is_held = self
                .kept
                .rushes
                .get(&key.receiver)
                .is_some_and(|rush| rush.holds_until(now).is_some());
            let (mut told, mut storm) = (Vec::new(), Vec::new());
            for (want, at) in timed {
                let goes = match &want.what {
                    _ if !is_due => false,
                    // Repeats that would follow within one interval go with the first.
                    What::Repeat { .. } => at <= now || (repeats && at <= later(now, timing.group_interval)),
                    What::Fired { .. } if is_held => at <= now,
                    // What waits longer than its group does not go with it.
                    What::Fired {
                        release: Some(Release::After(_)),
                        ..
                    } => at <= now,
                    _ => true,
                };
                match goes {
                    false => self.due_later(at.max(now)),
                    true if is_fired(&want) && stormy.contains(&key.receiver) => storm.push(want),
                    true => {
                        if let What::Fired { .. } | What::Escalated | What::Milder | What::Acked = want.what {
                            // What is told now fires on: it is looked at again for its repeat, and for who is next.
                            self.due_later(later(now, timing.repeat_interval));
                            let route = moment.routing.route(&key.route);
                            for rung in route.iter().flat_map(|route| &route.escalate) {
                                self.due_later(later(now, rung.after));
                            }
                        }
                        told.push(want);
                    }
                }
            }
            if told.is_empty() && storm.is_empty() {
                continue;
            }
            let group = self.kept.groups.entry(text).or_insert(Group {
                began: now,
                messages: 0,
            });
            self.is_changed = true;
            if !told.is_empty() {
                // An episode that ended comes before the next one of the same alert.
                told.sort_by_key(|want| !matches!(want.what, What::Resolved { .. }));
                group.messages += 1;
                messages.push(Message {
                    bundle: key.bundle(group.began, group.messages),
                    key: key.clone(),
                    wants: told,
                    is_storm: false,
                });
            }
            if !storm.is_empty() {
                group.messages += 1;
                let own = key.bundle(group.began, group.messages);
                // All groups of a receiver share one summary: that of the first.
                let bundle = summaries.entry(key.receiver.clone()).or_insert(own).clone();
                messages.push(Message {
                    key,
                    wants: storm,
                    bundle,
                    is_storm: true,
                });
            }
        }
        for (receiver, count) in due_fired.iter().filter(|(_, count)| **count > 0) {
            let rush = self.kept.rushes.entry(receiver.clone()).or_default();
            let guard = moment.routing.manners.storm;
            rush.note(*count, stormy.contains(receiver), guard, now);
            self.is_changed = true;
        }
        messages
    }

    /// Groups of which nobody knows anything any more.
    fn forget_groups(&mut self, book: &Book) {
        if self.kept.groups.is_empty() {
            return;
        }
        let live: HashSet<String> = open_tellings(book).map(|telling| key(telling).text()).collect();
        let before = self.kept.groups.len();
        self.kept.groups.retain(|text, _| live.contains(text));
        self.is_changed |= before != self.kept.groups.len();
    }
}

/// Who knows of what fires, and of ends that they are still owed.
fn open_tellings(book: &Book) -> impl Iterator<Item = &Telling> {
    book.open_records().flat_map(|record| {
        let of_ended = record.told.owed.iter().flat_map(|ended| &ended.tellings);
        record.told.tellings.iter().chain(of_ended)
    })
}

/// Notes at the ends that are told now whether the receiver knows of others of the same group that are not over.
fn note_what_goes_on(notices: &mut [Notice], ends: &[(usize, &GroupKey)], book: &Book) {
    if ends.is_empty() {
        return;
    }
    let going_on: HashSet<GroupKey> = open_tellings(book)
        .filter(|telling| telling.severity.is_some())
        .map(key)
        .collect();
    for (at, group) in ends {
        notices[*at].group_fires = going_on.contains(*group);
    }
}

/// The times of a group; what a route that is gone owes is told at once.
fn timing(routing: &Routing, key: &GroupKey) -> Timing {
    let gone = Timing {
        group_wait: Some(SignedDuration::ZERO),
        group_interval: SignedDuration::ZERO,
        resolve_wait: SignedDuration::ZERO,
        ..Timing::default()
    };
    routing.route(&key.route).map_or(gone, |route| route.timing)
}

fn is_fired(want: &Want) -> bool {
    matches!(want.what, What::Fired { .. })
}

/// When something is told, if nothing else of its group is before.
fn when(
    want: &Want,
    timing: &Timing,
    group: Option<&Group>,
    first: Option<Timestamp>,
    severity: Severity,
) -> Timestamp {
    match want.what {
        // What was held back comes after the wait, not at the next turn.
        What::Fired {
            since,
            release: Some(Release::After(wait)),
        } => later(since, wait),
        What::Fired {
            since,
            release: Some(Release::AsUsual),
        } => due(timing, None, since, since, severity),
        What::Fired { since, .. } => due(timing, group, first.unwrap_or(since), since, severity),
        What::Repeat {
            at,
            is_released: true,
        } => due(timing, None, at, at, severity),
        What::Repeat { at, .. } => at,
        What::Resolved { since, .. } => later(since, timing.resolve_wait),
        What::Escalated | What::Milder | What::Acked | What::Correction => Timestamp::MIN,
    }
}

/// Numbers of notices within their episodes: one decision has one, however many receivers it has.
#[derive(Default)]
struct Numbers {
    given: HashMap<(Fingerprint, u8), u32>,
    corrected: Vec<Fingerprint>,
}

impl Numbers {
    fn of(&mut self, record: &mut AlertRecord, what: &What) -> u32 {
        let class = match what {
            What::Fired { .. } | What::Escalated | What::Repeat { .. } => 0,
            What::Milder => 1,
            What::Acked => 2,
            What::Resolved { episode, .. } => {
                let ended = record.told.owed.iter().find(|ended| ended.episode == *episode);
                return ended.map_or(0, |ended| ended.seq + 1);
            }
            What::Correction => {
                if !self.corrected.contains(&record.fingerprint) {
                    self.corrected.push(record.fingerprint);
                }
                return record.told.closed.as_ref().map_or(0, |closed| closed.seq + 1);
            }
        };
        *self.given.entry((record.fingerprint, class)).or_insert_with(|| {
            record.seq += 1;
            record.seq
        })
    }
}

/// Notes what a receiver knows from now on.
fn note(record: &mut AlertRecord, what: &What, receiver: &str, now: Timestamp) {
    let (severity, is_flapping) = (record.severity, record.history.flapping);
    let told: &mut Told = &mut record.told;
    if let What::Resolved { episode, .. } = what {
        for ended in told.owed.iter_mut().filter(|ended| ended.episode == *episode) {
            ended.tellings.retain(|telling| telling.receiver != receiver);
        }
        told.owed.retain(|ended| !ended.tellings.is_empty());
        return;
    }
    let Some(telling) = told
        .tellings
        .iter_mut()
        .find(|telling| telling.receiver == receiver)
    else {
        return;
    };
    match what {
        What::Fired { .. } | What::Escalated => {
            telling.severity = Some(severity);
            telling.told_at = Some(now);
            telling.repeats = 0;
            telling.storm = false;
            telling.first_told_at.get_or_insert(now);
            telling.because = None;
            if is_flapping {
                let known = told.knows_flapping.entry(receiver.to_owned()).or_insert(severity);
                *known = severity.max(*known);
            }
        }
        What::Milder => telling.severity = Some(severity),
        What::Repeat { .. } => {
            telling.told_at = Some(now);
            telling.severity = Some(severity);
            // What is told again behind a silence begins anew.
            match telling.because.take() {
                Some(_) => telling.repeats = 0,
                None => telling.repeats = telling.repeats.saturating_add(1),
            }
        }
        What::Acked => telling.knows_ack = true,
        What::Resolved { .. } | What::Correction => {}
    }
}

/// Headings of what an alert explains, for its first notice.
fn explains(book: &Book, explained: &Explained, want: &Want) -> Vec<Heading> {
    if !matches!(want.what, What::Fired { .. } | What::Escalated) {
        return Vec::new();
    }
    let heading = |record: &AlertRecord, language| {
        sentence::heading(&record.rule, &record.kind, &record.facts, language)
    };
    let mut headings: Vec<Heading> = explained
        .of(want.fingerprint)
        .filter_map(|target| book.get(target))
        .filter(|entry| is_running(&entry.record))
        .map(|entry| Heading {
            en: heading(&entry.record, Language::En),
            zh: heading(&entry.record, Language::Zh),
        })
        .collect();
    headings.sort();
    headings
}
