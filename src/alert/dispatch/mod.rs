//! Dispatch: who is told what of the alerts, and when. States are decided elsewhere; here stands only the difference
//! between where an alert is and what each receiver knows. Deciding from state rather than from events is what makes a
//! restart, a replay of history or a change of routes harmless: nobody is told twice, nobody is left with an alert that
//! is over.
//!
//! * [`route`]: the routing tree, owners, times. [`matcher`], [`interval`]: its conditions. [`path`]: which route is which.
//! * `look`: what one alert wants to be told, of every receiver. `group`: what is told together, and when.
//! * [`silence`], [`inhibit`]: why somebody is not told. [`digest`]: many things at once.
//! * `away`: what came and went while nobody could be told. `proposals`: weights that wait for somebody to decide. `words`: notices.

pub mod digest;
pub mod inhibit;
pub mod interval;
pub mod matcher;
pub mod path;
pub mod route;
pub mod silence;

mod away;
mod group;
mod look;
mod proposals;
mod renamed;
mod send;
mod words;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::book::{Book, Changes};
use super::identity::{Fingerprint, episode_id};
use super::notice::{Ack, Causes, Notice};
use super::record::{AlertRecord, Correction, Facts, Figure, Labels};
use crate::catalog::Calendar;
use crate::evaluate::weights::{Proposal, Titled};
use digest::LastDigest;
use group::{Groups, Rush};
use matcher::Matcher;
use proposals::Asked;
use route::{Routing, matched_labels};
use silence::{Silence, SilenceRefusal, Silences};

pub use proposals::WEIGHTS_PROPOSED;
pub(super) use words::verdict;

/// How often it is written down that somebody is there to be told.
const NOTE_EVERY: SignedDuration = SignedDuration::from_secs(10);

/// What dispatch needs to know of the business.
pub trait World {
    /// The calendar of the catalogue.
    fn calendar(&self) -> &Calendar;
    /// The node that a node serves.
    fn parent_of(&self, node: &str) -> Option<&str>;
    /// The nodes that are computed from a source.
    fn readers(&self, source: &str) -> Vec<&str>;
    /// The dimensions that tell the instances of a node apart.
    fn each_of(&self, node: &str) -> &[String];
    /// Which share of its parent's distance from the plan a node makes up, 0 to 1; `None` where it is not known.
    fn share(&self, record: &AlertRecord) -> Option<f64>;
    /// Whether what links say together, as an alert of theirs tells it, holds what a link's own alert says.
    fn shares(&self, shared: &AlertRecord, target: &AlertRecord) -> bool;
    /// Where the distance from the plan comes from that an alert is about; `None` where that is not known.
    fn causes(&self, record: &AlertRecord) -> Option<Causes>;
    /// Where nodes will end up, those first that are least likely to meet their targets.
    fn forecasts(&self) -> Vec<Figure>;
    /// Weights that wait for somebody to decide.
    fn proposals(&self) -> Vec<&Proposal>;
    /// The same with titles, and who answers.
    fn titled(&self, proposal: &Proposal) -> Titled;
    /// The numbers of the closed period that an alert was about, as they are known by now; `None` where they cannot be
    /// told.
    fn final_facts(&self, record: &AlertRecord) -> Option<Facts>;
}

/// A business of which nothing but the calendar is known.
impl World for Calendar {
    fn calendar(&self) -> &Calendar {
        self
    }
    fn parent_of(&self, _: &str) -> Option<&str> {
        None
    }
    fn readers(&self, _: &str) -> Vec<&str> {
        Vec::new()
    }
    fn each_of(&self, _: &str) -> &[String] {
        &[]
    }
    fn share(&self, _: &AlertRecord) -> Option<f64> {
        None
    }
    fn shares(&self, _: &AlertRecord, _: &AlertRecord) -> bool {
        false
    }
    fn causes(&self, _: &AlertRecord) -> Option<Causes> {
        None
    }
    fn forecasts(&self) -> Vec<Figure> {
        Vec::new()
    }
    fn proposals(&self) -> Vec<&Proposal> {
        Vec::new()
    }
    fn titled(&self, proposal: &Proposal) -> Titled {
        Titled::untitled(proposal)
    }
    fn final_facts(&self, _: &AlertRecord) -> Option<Facts> {
        None
    }
}

/// A moment at which people can be told.
#[derive(Clone, Copy)]
pub struct Moment<'a> {
    /// The wall clock.
    pub now: Timestamp,
    /// Who is told what.
    pub routing: &'a Routing,
    /// Nobody could be told until now: what came and went meanwhile is told in one message.
    pub is_back: bool,
    /// History is still being read: what is told says so.
    pub catching_up: bool,
    /// What is known of the business.
    pub world: &'a dyn World,
}

/// What people ask for.
#[derive(Clone, PartialEq, Debug)]
pub enum Command {
    /// Takes an episode.
    Ack {
        /// The episode.
        episode: String,
        /// Who.
        by: String,
        /// What they say.
        comment: String,
        /// For how long; `None`: as the settings say.
        lasts: Option<SignedDuration>,
    },
    /// Gives an episode back.
    Unack {
        /// The episode.
        episode: String,
    },
    /// Makes or changes a silence.
    Silence {
        /// The silence; its id is empty for a new one.
        silence: Silence,
        /// Also if it matches most of what fires.
        force: bool,
    },
    /// Ends a silence.
    Expire {
        /// Its id.
        id: String,
    },
    /// Any of these, by somebody who acts on the alerts alone that meet these conditions.
    Within(Vec<Matcher>, Box<Command>),
}

/// Why a command is not carried out.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// There is no such episode that fires.
    #[error("no alert fires with the episode {0}; it may be over")]
    NotFiring(String),
    /// A silence is not taken.
    #[error(transparent)]
    Silence(#[from] SilenceRefusal),
    /// Who asks acts on other alerts.
    #[error("this token acts on alerts with {0} alone; a silence by it has to name that as well")]
    OutOfScope(String),
}

/// Why somebody is not told of something, or is again: a line of an episode's history.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Held {
    /// The episode.
    pub episode: String,
    /// When, by the wall clock.
    pub at: Timestamp,
    /// Who.
    pub receiver: String,
    /// Why: `silence 1f…`, `mute nights`, `explained by behind_pace revenue`, `flapping`, `storm`, `acknowledged by li` (of
    /// a repeat), `over before its turn`; empty: nothing any more.
    pub by: Vec<String>,
}

/// What outlives a step besides the records. Part of every commit that changes it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Kept {
    groups: Groups,
    rushes: BTreeMap<String, Rush>,
    digests: BTreeMap<String, LastDigest>,
    /// How many digests there ever were, of whatever name; part of their ids, so that none comes twice.
    digests_made: u64,
    /// What came and went while nobody could be told, for those who are not to be told yet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    away: Vec<away::Waiting>,
    /// Proposals that wait for a decision, and who has not been told yet.
    asked: Vec<Asked>,
    passed: Option<Passed>,
    /// Silences.
    pub silences: Silences,
}

impl Kept {
    /// The event time up to which every digest, also that of what happened while nobody could be told, has said what
    /// ended; `None` where there was none yet.
    pub(crate) fn digested_until(&self) -> Option<Timestamp> {
        let of_digests = self.digests.values().map(|last| last.at);
        of_digests.chain(self.passed.map(|passed| passed.at)).min()
    }
}

/// When somebody could last be told.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
struct Passed {
    /// By the wall clock.
    wall: Timestamp,
    /// The watermark then.
    at: Timestamp,
}

/// What dispatch remembers from step to step.
#[derive(Debug, Default)]
pub(super) struct Dispatcher {
    kept: Kept,
    is_changed: bool,
    held: Vec<Held>,
    unsaid: Vec<Notice>,
    /// When the next thing is due, if nothing else happens.
    next: Option<Timestamp>,
    /// Whether routes have the ids that they have by now.
    is_named: bool,
}

impl Dispatcher {
    pub(super) fn restore(&mut self, kept: Kept) {
        self.kept = kept;
        self.is_named = false;
    }

    pub(super) fn silences(&self) -> &Silences {
        &self.kept.silences
    }

    pub(super) fn next(&self) -> Option<Timestamp> {
        self.next
    }

    /// What has changed since it was last asked.
    pub(super) fn take_changed(&mut self) -> Option<Kept> {
        std::mem::take(&mut self.is_changed).then(|| self.kept.clone())
    }

    pub(super) fn take_held(&mut self) -> Vec<Held> {
        std::mem::take(&mut self.held)
    }

    pub(super) fn take_unsaid(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.unsaid)
    }

    /// Tells whoever is to be told at this moment.
    pub(super) fn pass(
        &mut self,
        book: &mut Book,
        store_id: &str,
        at: Timestamp,
        moment: Moment<'_>,
        changes: &mut Changes,
    ) -> Vec<Notice> {
        let now = moment.now;
        self.next = None;
        let is_first = !std::mem::replace(&mut self.is_named, true);
        if is_first {
            self.is_changed |= renamed::from_numbers(&mut self.kept, book, moment.routing, changes);
        }
        if !self.is_fresh(now) {
            look_back(book, moment.world, changes);
        }
        let explained = {
            let open: Vec<&AlertRecord> = book.open_records().collect();
            inhibit::explained(moment.routing, moment.world, &open)
        };
        let mut wants = look::Wants::default();
        for fingerprint in book.open() {
            let explained_by = explained
                .by(fingerprint)
                .and_then(|source| book.get(source))
                .map(|source| name(&source.record));
            let Some(entry) = book.get_mut(fingerprint) else {
                continue;
            };
            let looking = look::Looking {
                moment,
                at,
                silences: &self.kept.silences,
                rushes: &self.kept.rushes,
                explained_by,
                store_id,
                is_first,
            };
            let is_changed = looking.look(&mut entry.record, &mut wants, &mut self.held);
            book.settle(fingerprint, is_changed, changes);
        }
        self.unsaid.append(&mut wants.unsaid);
        let mut notices = self.send(wants, book, store_id, at, moment, &explained, changes);
        notices.extend(self.digests(book, store_id, at, moment));
        notices.extend(self.while_away(book, store_id, at, moment));
        if let Some(until) = self.kept.digested_until() {
            book.forget_ended(until);
        }
        notices.extend(self.reminders(book, store_id, at, moment));
        notices.extend(self.proposals(store_id, at, moment));
        for notice in &mut notices {
            notice.catching_up = moment.catching_up;
        }
        self.is_changed |= self.kept.silences.forget(now);
        self.note_passing(at, now);
        notices
    }

    fn due_later(&mut self, at: Timestamp) {
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }

    /// Whether it was just now that people could be told.
    fn is_fresh(&self, now: Timestamp) -> bool {
        self.kept
            .passed
            .is_some_and(|passed| passed.wall <= now && now.duration_since(passed.wall) < NOTE_EVERY)
    }

    fn note_passing(&mut self, at: Timestamp, now: Timestamp) {
        if !self.is_fresh(now) {
            self.kept.passed = Some(Passed { wall: now, at });
            self.is_changed = true;
        }
    }

    fn digests(&mut self, book: &Book, store_id: &str, at: Timestamp, moment: Moment<'_>) -> Vec<Notice> {
        let plans = &moment.routing.digests;
        let before = self.kept.digests.len();
        self.kept
            .digests
            .retain(|name, _| plans.iter().any(|plan| plan.name == *name));
        self.is_changed |= before != self.kept.digests.len();
        if plans.is_empty() {
            return Vec::new();
        }
        let mut notices = Vec::new();
        for plan in plans {
            let last = self.kept.digests.get(&plan.name).copied();
            let (digest, this) = digest::due(plan, last, book, moment.world, (moment.now, at), store_id);
            notices.extend(digest.map(|digest| {
                self.kept.digests_made += 1;
                let episode = digest::episode(store_id, self.kept.digests_made);
                digest::notice(&episode, &plan.receiver, digest, (moment.now, at))
            }));
            let next = digest::next(plan, this, moment.world);
            self.next = self.next.into_iter().chain(next).min();
            if last != Some(this) {
                self.kept.digests.insert(plan.name.clone(), this);
                self.is_changed = true;
            }
        }
        notices
    }

    /// Reminds of silences that end soon: who made one, else those who are kept from being told.
    fn reminders(&mut self, book: &Book, store_id: &str, at: Timestamp, moment: Moment<'_>) -> Vec<Notice> {
        let (now, routing) = (moment.now, moment.routing);
        let mut notices = Vec::new();
        for silence in self.kept.silences.all.values_mut() {
            let remind_at = silence.ends_at - routing.manners.remind_before;
            let turns = [remind_at, silence.ends_at].into_iter().filter(|at| *at > now);
            self.next = self.next.into_iter().chain(turns).min();
            let is_due = remind_at > silence.starts_at && remind_at <= now && silence.ends_at > now;
            if silence.reminded || !is_due {
                continue;
            }
            let held: Vec<&AlertRecord> = book
                .open_records()
                .filter(|record| {
                    super::transition::is_running(record) && silence.holds(&matched_labels(record), now)
                })
                .collect();
            let receivers = match routing.people.get(&silence.created_by) {
                Some(person) => vec![person.receiver.clone()],
                None => {
                    let all = held.iter().flat_map(|record| routing.destinations(record));
                    // Who is not told of an alert now does not hear either that it may be told soon.
                    let all =
                        all.filter(|destination| look::muted_by(&moment, &destination.route.id).is_none());
                    let names: std::collections::BTreeSet<String> =
                        all.map(|destination| destination.receiver).collect();
                    names.into_iter().collect()
                }
            };
            if receivers.is_empty() && !held.is_empty() {
                // Perhaps there is time yet when somebody is told again.
                continue;
            }
            silence.reminded = true;
            self.is_changed = true;
            for receiver in receivers {
                notices.push(words::reminder(
                    silence,
                    held.len(),
                    &receiver,
                    store_id,
                    (now, at),
                ));
            }
        }
        notices
    }

    /// Asks once for a decision on the weights that wait for one; what is decided, or proposed anew, is forgotten.
    fn proposals(&mut self, store_id: &str, at: Timestamp, moment: Moment<'_>) -> Vec<Notice> {
        let waiting = moment.world.proposals();
        let before = self.kept.asked.clone();
        let asked = &mut self.kept.asked;
        asked.retain(|asked| waiting.iter().any(|proposal| asked.is_of(proposal)));
        let mut notices = Vec::new();
        let mut edges = Vec::new();
        for proposal in waiting {
            let known = asked.iter().position(|asked| asked.is_of(proposal));
            if known.is_some_and(|at| asked[at].waits.is_empty()) {
                continue;
            }
            let titled = moment.world.titled(proposal);
            if known.is_none() {
                asked.extend(Asked::of(&titled, moment.routing));
            }
            let Some(asked) = asked.iter_mut().find(|asked| asked.is_of(proposal)) else {
                continue;
            };
            let labels = matched_labels(&proposals::as_alert(&titled));
            if !self.kept.silences.holding(&labels, moment.now).is_empty() {
                continue;
            }
            asked.waits.retain(|waits| {
                if look::muted_by(&moment, &waits.route).is_some() {
                    edges.extend(look::next_edge(&moment, &waits.route));
                    return true;
                }
                let times = (moment.now, at);
                notices.push(words::proposal(&titled, &waits.receiver, store_id, times));
                false
            });
        }
        self.is_changed |= before != self.kept.asked;
        self.next = self.next.into_iter().chain(edges).min();
        notices
    }

    /// Whether a command touches only what is within somebody's scope. What is not there is refused by who carries it out.
    fn allow(
        &self,
        scope: &[Matcher],
        command: &Command,
        book: &Book,
        store_id: &str,
    ) -> Result<(), Refusal> {
        let names_all = |silence: &Silence| scope.iter().all(|matcher| silence.matchers.contains(matcher));
        let is_ours = |id: &str| self.kept.silences.all.get(id).is_none_or(names_all);
        let is_allowed = match command {
            Command::Ack { episode, .. } | Command::Unack { episode } => running(book, store_id, episode)
                .is_none_or(|record| matcher::matches_all(scope, &matched_labels(record))),
            Command::Silence { silence, .. } => names_all(silence) && is_ours(&silence.id),
            Command::Expire { id } => is_ours(id),
            Command::Within(..) => false,
        };
        if is_allowed {
            return Ok(());
        }
        let scope: Vec<String> = scope.iter().map(ToString::to_string).collect();
        Err(Refusal::OutOfScope(scope.join(", ")))
    }

    /// Carries out what somebody asks for. Returns the id of the silence, for one.
    pub(super) fn carry_out(
        &mut self,
        command: Command,
        book: &mut Book,
        store_id: &str,
        (now, ack_ttl): (Timestamp, SignedDuration),
        changes: &mut Changes,
    ) -> Result<String, Refusal> {
        match command {
            Command::Within(scope, command) => {
                self.allow(&scope, &command, book, store_id)?;
                self.carry_out(*command, book, store_id, (now, ack_ttl), changes)
            }
            Command::Ack {
                episode,
                by,
                comment,
                lasts,
            } => {
                let ack = Ack {
                    by,
                    at: now,
                    comment,
                    until: group::later(now, lasts.unwrap_or(ack_ttl)),
                    severity: running(book, store_id, &episode).map(|record| record.severity),
                };
                set_ack(book, store_id, &episode, Some(ack), changes)?;
                Ok(episode)
            }
            Command::Unack { episode } => {
                set_ack(book, store_id, &episode, None, changes)?;
                Ok(episode)
            }
            Command::Silence { silence, force } => {
                let active: Vec<Labels> = book
                    .open_records()
                    .filter(|record| super::transition::is_running(record))
                    .map(matched_labels)
                    .collect();
                let id = self.kept.silences.put(silence, force, &active, store_id, now)?;
                self.is_changed = true;
                Ok(id)
            }
            Command::Expire { id } => {
                self.kept.silences.expire(&id, now)?;
                self.is_changed = true;
                Ok(id)
            }
        }
    }
}

/// Looks whether what was told of closed periods is still true.
fn look_back(book: &mut Book, world: &dyn World, changes: &mut Changes) {
    for fingerprint in book.closed() {
        let Some(entry) = book.get_mut(fingerprint) else {
            continue;
        };
        let record = &mut entry.record;
        // Those who do not know the verdict yet get the right one first.
        let (Some(closed), true) = (&record.told.closed, record.told.owed.is_empty()) else {
            continue;
        };
        let Some(facts) = world.final_facts(record) else {
            continue;
        };
        let now = words::verdict(&facts).filter(|verdict| *verdict != closed.verdict);
        let correction = now.map(|verdict| Correction { verdict, facts });
        if correction.as_ref().map(|correction| correction.verdict)
            != record
                .told
                .correction
                .as_ref()
                .map(|correction| correction.verdict)
        {
            record.told.correction = correction;
            book.settle(fingerprint, true, changes);
        }
    }
}

/// The alert whose episode runs.
fn running<'b>(book: &'b Book, store_id: &str, episode: &str) -> Option<&'b AlertRecord> {
    book.open_records().find(|record| {
        super::transition::is_running(record)
            && episode_id(store_id, record.fingerprint, record.episodes) == episode
    })
}

fn set_ack(
    book: &mut Book,
    store_id: &str,
    episode: &str,
    ack: Option<Ack>,
    changes: &mut Changes,
) -> Result<(), Refusal> {
    let found = running(book, store_id, episode).map(|record| record.fingerprint);
    let fingerprint: Fingerprint = found.ok_or_else(|| Refusal::NotFiring(episode.to_owned()))?;
    if let Some(entry) = book.get_mut(fingerprint) {
        for telling in &mut entry.record.told.tellings {
            telling.knows_ack = ack.is_none();
        }
        entry.record.told.ack = ack;
    }
    book.settle(fingerprint, true, changes);
    Ok(())
}

/// An alert in a few words: `behind_pace revenue`.
fn name(record: &AlertRecord) -> String {
    let what = record.labels.get("node").or_else(|| record.labels.get("source"));
    match what {
        Some(what) => format!("{} {what}", record.rule),
        None => record.rule.clone(),
    }
}
