//! What one alert wants to be told, of every receiver.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::group::{GroupKey, Rush, later};
use super::interval::Interval;
use super::renamed;
use super::route::{EndOfHeld, Route, matched_labels};
use super::silence::Silences;
use super::words::{self, Envelope};
use super::{Held, Moment};
use crate::alert::identity::{Fingerprint, episode_id};
use crate::alert::notice::{Because, Notice};
use crate::alert::record::{AlertRecord, AlertState, Ended, Telling, Told};
use crate::alert::transition::{is_running, settle_flapping};
use crate::catalog::Severity;

/// What is to be told, in the order in which it was found, by group.
#[derive(Default)]
pub(super) struct Wants {
    pub(super) groups: Vec<(GroupKey, Vec<Want>)>,
    index: hashbrown::HashMap<GroupKey, usize>,
    /// Ends that are not told to those who know of the beginning, because the settings say so.
    pub(super) unsaid: Vec<Notice>,
    /// The next moment at which an alert has to be looked at again, though nothing happens to it: the next step of an
    /// escalation, the end of an acknowledgement or of a time in which nobody is told.
    pub(super) next_look: Option<Timestamp>,
}

impl Wants {
    fn look_at(&mut self, at: Timestamp) {
        self.next_look = Some(self.next_look.map_or(at, |next| next.min(at)));
    }

    fn add(&mut self, key: GroupKey, want: Want) {
        let at = *self.index.entry(key).or_insert_with_key(|key| {
            self.groups.push((key.clone(), Vec::new()));
            self.groups.len() - 1
        });
        self.groups[at].1.push(want);
    }
}

/// One thing to tell one receiver.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Want {
    pub(super) fingerprint: Fingerprint,
    pub(super) what: What,
}

/// What is to be told.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum What {
    /// A new episode, which waits since then; how it is told if it was held back.
    Fired {
        since: Timestamp,
        release: Option<Release>,
    },
    Escalated,
    Milder,
    /// Due then; or since then after a silence, and due after the wait of its group.
    Repeat {
        at: Timestamp,
        is_released: bool,
    },
    Acked,
    /// The end of an episode, known since then; `quiet` where its beginning would be held back now.
    Resolved {
        episode: u64,
        since: Timestamp,
        quiet: bool,
    },
    /// What was said of a closed period is not true any more.
    Correction,
}

/// When something is told that was held back.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Release {
    /// After the wait of its group.
    AsUsual,
    /// After this time.
    After(SignedDuration),
}

/// One look at one alert.
pub(super) struct Looking<'a> {
    pub(super) moment: Moment<'a>,
    /// The watermark.
    pub(super) at: Timestamp,
    pub(super) silences: &'a Silences,
    /// New alerts of every receiver lately.
    pub(super) rushes: &'a BTreeMap<String, Rush>,
    /// The alert that explains it.
    pub(super) explained_by: Option<String>,
    pub(super) store_id: &'a str,
    /// Whether routes may be others than at the last look.
    pub(super) is_first: bool,
}

impl Looking<'_> {
    /// Brings what is noted of receivers up to date with where the alert stands; whether anything changed.
    pub(super) fn look(&self, record: &mut AlertRecord, wants: &mut Wants, log: &mut Vec<Held>) -> bool {
        let before = (record.told.clone(), record.history.flapping);
        if record.history.flapping {
            let flap = self.moment.routing.manners.flap;
            settle_flapping(&mut record.history, &mut record.told, flap, self.at);
        }
        self.want_ends(record, wants);
        if is_running(record) {
            if self.is_first {
                renamed::from_gone(record, self.moment.routing);
            }
            self.keep_ack(record);
            if let Some(ack) = &record.told.ack {
                wants.look_at(ack.until);
            }
            self.keep_tellings(record, wants);
            self.want_news(record, wants, log);
        }
        self.note_untold(record, log);
        if record.told.correction.is_some() {
            want_correction(record, wants);
        }
        before.0 != record.told || before.1 != record.history.flapping
    }

    fn want_ends(&self, record: &mut AlertRecord, wants: &mut Wants) {
        if record.told.owed.is_empty() {
            return;
        }
        let flaps = Flaps::of(record);
        let held = !self.held_by_all(record).is_empty();
        let manner = self.moment.routing.manners.resolve_when_silenced;
        if manner == EndOfHeld::Never {
            wants.unsaid.extend(self.unsaid(record, held));
        }
        for ended in &mut record.told.owed {
            if ended.tellings.iter().all(|telling| flaps.hold(telling)) {
                continue;
            }
            let since = *ended.since.get_or_insert(self.moment.now);
            if manner == EndOfHeld::Never {
                let (told, kept) = (std::mem::take(&mut ended.tellings), &mut record.told.closed);
                let hears = |telling: &Telling| flaps.hold(telling) || (!held && !self.is_muted(telling));
                ended.tellings = told.iter().filter(|telling| hears(telling)).cloned().collect();
                // Who does not hear how it ended does not hear that it ended otherwise.
                if let Some(closed) = kept.as_mut().filter(|closed| closed.episode == ended.episode) {
                    let is_left = |telling: &Telling| {
                        let left = ended.tellings.iter();
                        left.clone().any(|left| left.receiver == telling.receiver)
                    };
                    closed.tellings.retain(is_left);
                }
                if kept.as_ref().is_some_and(|closed| closed.tellings.is_empty()) {
                    *kept = None;
                }
            }
            for telling in ended.tellings.iter().filter(|telling| !flaps.hold(telling)) {
                let what = What::Resolved {
                    episode: ended.episode,
                    since,
                    quiet: manner == EndOfHeld::Quiet && (held || self.is_muted(telling)),
                };
                wants.add(key(telling), want(record.fingerprint, what));
            }
        }
        record.told.owed.retain(|ended| !ended.tellings.is_empty());
    }

    /// The ends of which somebody does not hear: for the outbox the episode is over all the same.
    fn unsaid(&self, record: &AlertRecord, held: bool) -> Vec<Notice> {
        let of_ended = |ended: &Ended| {
            let flaps = Flaps::of(record);
            let unheard = ended.tellings.iter().filter(move |telling| !flaps.hold(telling));
            let unheard = unheard.filter(|telling| held || self.is_muted(telling));
            let notice = |telling: &Telling| {
                let envelope = Envelope {
                    store_id: self.store_id,
                    receiver: &telling.receiver,
                    bundle: "",
                    group: &telling.group,
                    route: "",
                    group_wait: None,
                    is_storm: false,
                    refire_window: self.moment.routing.manners.refire_window,
                    times: (self.moment.now, self.at),
                };
                words::resolved(record, ended.episode, true, &envelope)
            };
            unheard.filter_map(notice).collect::<Vec<Notice>>()
        };
        record.told.owed.iter().flat_map(of_ended).collect()
    }

    /// An acknowledgement ends with its time, and when it gets worse than what was taken.
    fn keep_ack(&self, record: &mut AlertRecord) {
        let Some(ack) = &record.told.ack else { return };
        let taken = ack.severity.or(most_told(&record.told));
        let is_worse = taken.is_some_and(|taken| taken < record.severity);
        if is_worse || ack.until <= self.moment.now {
            record.told.ack = None;
            for telling in &mut record.told.tellings {
                telling.knows_ack = false;
            }
        }
    }

    /// Adds receivers who should be told, and forgets those who were not and should not any more.
    fn keep_tellings(&self, record: &mut AlertRecord, wants: &mut Wants) {
        let told = most_told(&record.told);
        let firing = record.state == AlertState::Firing;
        // Whom a changed route leads to is told with the next episode, or when it gets worse.
        if firing && told.is_none_or(|told| told < record.severity) {
            let destinations = self.moment.routing.destinations(record);
            record.told.tellings.retain(|telling| {
                telling.severity.is_some()
                    || telling.rung.is_some()
                    || destinations
                        .iter()
                        .any(|destination| destination.receiver == telling.receiver)
            });
            for destination in destinations {
                let telling = Telling::new(&destination.receiver, destination.route, record, self.moment.now);
                add(&mut record.told, telling);
            }
        }
        if record.told.ack.is_some() {
            // A step that was kept from being told is one that need not be.
            let tellings = &mut record.told.tellings;
            tellings.retain(|telling| telling.rung.is_none() || telling.severity.is_some());
        } else if firing {
            self.climb_ladders(record, wants);
        }
    }

    /// Where nobody has acknowledged for long enough, somebody else is told.
    fn climb_ladders(&self, record: &mut AlertRecord, wants: &mut Wants) {
        let now = self.moment.now;
        let first_told: Vec<(String, Timestamp)> = record
            .told
            .tellings
            .iter()
            .filter(|telling| telling.rung.is_none())
            .filter_map(|telling| Some((telling.route.clone(), telling.first_told_at?)))
            .collect();
        for (route_id, since) in first_told {
            let Some(route) = self.moment.routing.route(&route_id) else {
                continue;
            };
            for (n, rung) in route.escalate.iter().enumerate() {
                let due = later(since, rung.after);
                if due > now {
                    wants.look_at(due);
                    continue;
                }
                let receiver = self.moment.routing.receiver(&rung.to, record);
                let mut telling = Telling::new(&receiver, route, record, now);
                telling.rung = u32::try_from(n).ok();
                telling.because = Some(Because::Unacknowledged { since });
                add(&mut record.told, telling);
            }
        }
    }

    fn want_news(&self, record: &mut AlertRecord, wants: &mut Wants, log: &mut Vec<Held>) {
        let now = self.moment.now;
        let flaps = Flaps::of(record);
        let firing = record.state == AlertState::Firing;
        let held_by_all = self.held_by_all(record);
        let (fingerprint, severity) = (record.fingerprint, record.severity);
        let is_technical = record.is_technical();
        let taken_by = record.told.ack.as_ref().map(|ack| ack.by.as_str());
        let mut note = |receiver: &str, by: Vec<String>| {
            log.push(Held {
                episode: episode_id(self.store_id, fingerprint, record.episodes),
                at: now,
                receiver: receiver.to_owned(),
                by,
            });
        };
        for telling in &mut record.told.tellings {
            let mut held = held_by_all.clone();
            held.extend(muted_by(&self.moment, &telling.route));
            if flaps.hold(telling) && telling.severity.is_none() {
                held.push(FLAPPING.to_owned());
            }
            if held != telling.held {
                note(&telling.receiver, held.clone());
                let is_known = telling.severity.is_some();
                // Who knew of it before a silence is told again behind it, whatever else holds it back at its end.
                if is_known && is_silenced(&telling.held) && !is_silenced(&held) {
                    telling.because = Some(Because::SilenceEnded);
                }
                if held.is_empty() {
                    let is_climbed = matches!(telling.because, Some(Because::Unacknowledged { .. }));
                    if !is_known && !is_climbed {
                        telling.because = released(&telling.held).or(telling.because.take());
                    }
                    telling.since = now;
                }
                telling.held = held;
            }
            if let Some(edge) = next_edge(&self.moment, &telling.route) {
                wants.look_at(edge);
            }
            if !telling.held.is_empty() {
                continue;
            }
            let waits = telling.severity.is_none() && firing;
            let is_stormy = waits && self.is_stormy(&telling.receiver);
            if is_stormy != telling.storm {
                let by = is_stormy.then(|| STORM.to_owned());
                note(&telling.receiver, by.into_iter().collect());
                telling.storm = is_stormy;
            }
            if let (Some(by), Some(_), true) = (taken_by, telling.severity, firing) {
                let due = self.repeats_at(telling, is_technical, telling.told_at.max(telling.spared_at));
                if due <= now {
                    note(&telling.receiver, vec![format!("{ACKNOWLEDGED}{by}")]);
                    telling.spared_at = Some(now);
                } else {
                    wants.look_at(due);
                }
            }
            // Somebody sees to it: there is nothing to be told again.
            if taken_by.is_some() && telling.severity.is_some() {
                telling.because = None;
            }
            let mut add = |what: What| wants.add(key(telling), want(fingerprint, what));
            match telling.severity {
                None if firing => add(What::Fired {
                    since: telling.since,
                    release: telling.because.as_ref().map(|because| self.release(because)),
                }),
                Some(told) if told < severity && firing => add(What::Escalated),
                Some(_) if telling.because.is_some() && firing => add(What::Repeat {
                    at: telling.since,
                    is_released: true,
                }),
                Some(told) if told > severity && firing => add(What::Milder),
                Some(_) if firing && taken_by.is_none() => add(What::Repeat {
                    at: self.repeats_at(telling, is_technical, telling.told_at),
                    is_released: false,
                }),
                _ => {}
            }
            if taken_by.is_some() && telling.severity.is_some() && !telling.knows_ack {
                add(What::Acked);
            }
        }
    }

    fn release(&self, because: &Because) -> Release {
        let wait = self.moment.routing.manners.inhibit_release_wait;
        match (because, wait) {
            (Because::InhibitionEnded, Some(wait)) => Release::After(wait),
            _ => Release::AsUsual,
        }
    }

    /// When who was last told then is told again that it still fires.
    fn repeats_at(&self, telling: &Telling, is_technical: bool, last: Option<Timestamp>) -> Timestamp {
        let route = self.moment.routing.route(&telling.route);
        let (timing, within) = route.map(|route| route.repeats(is_technical)).unwrap_or_default();
        let at = later(
            last.unwrap_or(self.moment.now),
            timing.until_repeat(telling.repeats),
        );
        self.first_within(within, at)
    }

    /// Whether so much is new to a receiver that more of it waits for the next summary.
    fn is_stormy(&self, receiver: &str) -> bool {
        let rush = self.rushes.get(receiver);
        rush.is_some_and(|rush| rush.holds_until(self.moment.now).is_some())
    }

    /// Writes down who would have heard of what is over by now.
    fn note_untold(&self, record: &mut AlertRecord, log: &mut Vec<Held>) {
        for untold in std::mem::take(&mut record.told.untold) {
            let lines = untold.receivers.into_iter().map(|receiver| Held {
                episode: episode_id(self.store_id, record.fingerprint, untold.episode),
                at: self.moment.now,
                receiver,
                by: vec![OVER.to_owned()],
            });
            log.extend(lines);
        }
    }

    /// What keeps everybody from being told: silences, and alerts that explain it.
    fn held_by_all(&self, record: &AlertRecord) -> Vec<String> {
        let mut held = Vec::new();
        // Mostly nobody has silenced anything, and labels are a map that is made anew.
        if !self.silences.all.is_empty() {
            let silences = self.silences.holding(&matched_labels(record), self.moment.now);
            held.extend(silences.into_iter().map(|id| format!("{SILENCE}{id}")));
        }
        held.extend(self.explained_by.as_ref().map(|by| format!("{EXPLAINED}{by}")));
        held
    }

    fn is_muted(&self, telling: &Telling) -> bool {
        muted_by(&self.moment, &telling.route).is_some()
    }

    /// The first moment from `at` and from now on that lies in one of these times; without any, `at`. What is not due yet
    /// is asked for again when it is.
    fn first_within(&self, names: &[String], at: Timestamp) -> Timestamp {
        if at > self.moment.now {
            return at;
        }
        let calendar = self.moment.world.calendar();
        let stretches: Vec<&Interval> = names
            .iter()
            .flat_map(|name| self.moment.routing.stretches(name))
            .collect();
        if stretches.is_empty() {
            return at;
        }
        let mut first = self.moment.now;
        for _ in 0..MOST_EDGES {
            if stretches.iter().any(|interval| interval.holds(first, calendar)) {
                return first;
            }
            let edges = stretches
                .iter()
                .map(|interval| interval.next_edge(first, calendar));
            first = edges.min().unwrap_or(Timestamp::MAX);
        }
        // It is looked at again then.
        first
    }
}

/// Who knows that it flaps, and so is told worse news alone.
struct Flaps(Vec<String>);

impl Flaps {
    fn of(record: &AlertRecord) -> Flaps {
        let firing = record.state == AlertState::Firing;
        let known = record.told.knows_flapping.iter();
        let known = known.filter(|(_, told)| !firing || record.severity <= **told);
        Flaps(known.map(|(receiver, _)| receiver.clone()).collect())
    }

    fn hold(&self, telling: &Telling) -> bool {
        self.0.contains(&telling.receiver)
    }
}

/// When the times of a route may change what is to be told.
pub(super) fn next_edge(moment: &Moment<'_>, route: &str) -> Option<Timestamp> {
    let route = moment.routing.route(route)?;
    let names = route.mute.iter().chain(&route.active);
    let intervals = names.flat_map(|name| moment.routing.stretches(name));
    let edge = |interval: &Interval| interval.next_edge(moment.now, moment.world.calendar());
    intervals.map(edge).min()
}

/// The time of day, or the holiday, in which nobody is told by a route.
pub(super) fn muted_by(moment: &Moment<'_>, route: &str) -> Option<String> {
    let route: &Route = moment.routing.route(route)?;
    let holds = |name: &String| {
        let stretches = moment.routing.stretches(name);
        let calendar = moment.world.calendar();
        stretches
            .iter()
            .any(|interval| interval.holds(moment.now, calendar))
    };
    let muted = route.mute.iter().find(|name| holds(name));
    let is_outside = !route.active.is_empty() && !route.active.iter().any(holds);
    match (muted, is_outside) {
        (Some(name), _) => Some(format!("{MUTE}{name}")),
        (None, true) => Some(format!("{OUTSIDE}{}", route.active.join(", "))),
        (None, false) => None,
    }
}

/// Beginnings and ends of times within which a moment is looked for: those of a quarter at least.
const MOST_EDGES: usize = 300;

pub(super) const SILENCE: &str = "silence ";
pub(super) const EXPLAINED: &str = "explained by ";
pub(super) const FLAPPING: &str = "flapping";
const MUTE: &str = "mute ";
const OUTSIDE: &str = "outside ";
pub(super) const STORM: &str = "storm";
const ACKNOWLEDGED: &str = "acknowledged by ";
const OVER: &str = "over before its turn";

fn is_silenced(held: &[String]) -> bool {
    held.iter().any(|by| by.starts_with(SILENCE))
}

/// Why somebody is told now who was not before, by what has held it back.
fn released(held: &[String]) -> Option<Because> {
    held.iter().find_map(|by| {
        if by.starts_with(SILENCE) {
            Some(Because::SilenceEnded)
        } else if by.starts_with(EXPLAINED) {
            Some(Because::InhibitionEnded)
        } else if by.starts_with(MUTE) || by.starts_with(OUTSIDE) {
            Some(Because::MuteEnded)
        } else {
            None
        }
    })
}

fn want_correction(record: &AlertRecord, wants: &mut Wants) {
    for telling in record.told.closed.iter().flat_map(|closed| &closed.tellings) {
        wants.add(key(telling), want(record.fingerprint, What::Correction));
    }
}

/// The highest level that somebody knows of.
fn most_told(told: &Told) -> Option<Severity> {
    told.tellings.iter().filter_map(|telling| telling.severity).max()
}

/// Each receiver is told once, whatever leads there.
fn add(told: &mut Told, telling: Telling) {
    let mut known = told.tellings.iter_mut();
    match known.find(|known| known.receiver == telling.receiver) {
        // A route leads there by now, whether or not somebody acknowledges.
        Some(known) if known.severity.is_none() && telling.rung.is_none() => known.rung = None,
        Some(_) => {}
        None => told.tellings.push(telling),
    }
}

pub(super) fn key(telling: &Telling) -> GroupKey {
    GroupKey {
        receiver: telling.receiver.clone(),
        route: telling.route.clone(),
        labels: telling.group.clone(),
    }
}

fn want(fingerprint: Fingerprint, what: What) -> Want {
    Want { fingerprint, what }
}
