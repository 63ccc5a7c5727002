//! Plays an alert to the engine on a clock that jumps from one due moment to the next, and notes what it tells.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::{Alert, Entry, Happening, InDigest, Join, Listener, Meant, seconds, shared};
use crate::alert::dispatch::path::placed;
use crate::alert::dispatch::route::{Destination, Route, Routing, To};
use crate::alert::dispatch::silence::Silences;
use crate::alert::dispatch::{Held, Kept, Moment};
use crate::alert::engine::{Engine, Step};
use crate::alert::identity::fingerprint;
use crate::alert::notice::{Aside, Notice, NoticeKind};
use crate::alert::record::{AlertRecord, Facts, Labels};
use crate::alert::sample::{Condition, Sample};
use crate::catalog::Calendar;

/// How far ahead is looked.
pub(super) const FARTHEST: SignedDuration = SignedDuration::from_hours(8 * 24);
/// From the first message to an alert that joins the group.
const JOINS_AFTER: SignedDuration = SignedDuration::from_secs(10);
/// From the first message to the end of the alert.
const ENDS_AFTER: SignedDuration = SignedDuration::from_mins(10);
/// The label that makes the alert that joins another one.
const ANOTHER: &str = "another";

/// What was told.
pub(super) struct Played {
    pub(super) listeners: Vec<Listener>,
    pub(super) digests: Vec<InDigest>,
}

/// One that fires at a moment, and is over at another.
struct Actor<'a> {
    alert: &'a Alert,
    fires: Timestamp,
    ends: Option<Timestamp>,
}

impl Actor<'_> {
    fn condition(&self, now: Timestamp) -> Condition {
        match self.fires <= now && self.ends.is_none_or(|end| now < end) {
            true => Condition::Breach(self.alert.severity),
            false => Condition::Clear,
        }
    }

    fn turns(&self) -> impl Iterator<Item = Timestamp> {
        [Some(self.fires), self.ends].into_iter().flatten()
    }
}

/// What came out of a performance.
#[derive(Default)]
struct Heard {
    notices: Vec<Notice>,
    held: Vec<Held>,
}

impl Heard {
    fn of<'h>(&'h self, receiver: &'h str, kind: NoticeKind) -> impl Iterator<Item = Timestamp> + 'h {
        self.notices
            .iter()
            .filter(move |notice| notice.receiver == receiver && notice.kind == kind)
            .filter_map(|notice| notice.told_at)
    }

    fn has(&self, receiver: &str, kind: NoticeKind) -> bool {
        self.of(receiver, kind).next().is_some()
    }
}

/// Where an alert is played.
pub(super) struct Scene<'a> {
    pub(super) routing: &'a Routing,
    /// Silences that there are, where they are known.
    pub(super) silences: Option<&'a Silences>,
    pub(super) calendar: &'a Calendar,
}

pub(super) fn play(scene: &Scene<'_>, alert: &Alert, at: Timestamp) -> Played {
    let routing = scene.routing;
    let record = alert.record();
    let first = routing.destinations(&record);
    let rungs = rungs(routing, &first, &record);
    let everybody: BTreeSet<&str> = first
        .iter()
        .map(|destination| destination.receiver.as_str())
        .chain(rungs.iter().map(|rung| rung.receiver.as_str()))
        .collect();
    let stays = Actor {
        alert,
        fires: at,
        ends: None,
    };
    let digests = routing.digests.len();
    let heard = perform(scene, &[stays], |heard| {
        let seen: BTreeSet<&str> = heard.notices.iter().filter_map(digest_name).collect();
        let is_told = |receiver: &&str| {
            heard.has(receiver, NoticeKind::Fired) && heard.has(receiver, NoticeKind::Repeat)
        };
        everybody.iter().all(is_told) && seen.len() >= digests
    });

    let first_told = |receiver: &str| heard.of(receiver, NoticeKind::Fired).min();
    let last_first = first
        .iter()
        .filter_map(|destination| first_told(&destination.receiver))
        .max();
    let joined = last_first.map(|told| joining(scene, alert, at, told, &everybody));
    let ended = last_first.map(|told| ending(scene, alert, at, told, &everybody));

    let listener = |receiver: &str, destination: &Destination<'_>, meant: Option<Meant>| {
        let group_by = shared(destination.route, alert);
        let (timing, repeat_within) = destination.route.repeats(record.is_technical());
        Listener {
            receiver: receiver.to_owned(),
            route: number(routing, destination.route),
            meant,
            joins: group_by.as_ref().and(joined.as_ref()).and_then(|(fires, heard)| {
                let told = heard.of(receiver, NoticeKind::Fired).max()?;
                (told >= *fires).then_some(Join { fires: *fires, told })
            }),
            group_by,
            timeline: timeline(&heard, receiver),
            resolve_seconds: ended.as_ref().and_then(|(end, heard)| {
                let told = heard.of(receiver, NoticeKind::Resolved).min()?;
                Some(seconds(told.duration_since(*end)))
            }),
            repeat_seconds: seconds(timing.repeat_interval),
            repeat_backoff: timing.repeat_backoff,
            repeat_within: repeat_within.to_vec(),
        }
    };
    let mut listeners: Vec<Listener> = first
        .iter()
        .map(|destination| {
            let meant = whom(&destination.route.to, &record, routing);
            listener(&destination.receiver, destination, meant)
        })
        .collect();
    for rung in &rungs {
        if !listeners.iter().any(|known| known.receiver == rung.receiver) {
            listeners.push(listener(&rung.receiver, rung.from, rung.meant.clone()));
        }
    }
    Played {
        listeners,
        digests: in_digests(&heard),
    }
}

/// Where a route stands.
fn number(routing: &Routing, route: &Route) -> String {
    let all = routing.root.iter().flat_map(placed);
    let mut found = all.filter(|placed| placed.route.id == route.id);
    found.next().map(|placed| placed.number).unwrap_or_default()
}

/// Who is told when nobody acknowledges.
struct Climbed<'d, 'r> {
    receiver: String,
    meant: Option<Meant>,
    /// What leads there.
    from: &'d Destination<'r>,
}

fn rungs<'d, 'r>(
    routing: &Routing,
    first: &'d [Destination<'r>],
    record: &AlertRecord,
) -> Vec<Climbed<'d, 'r>> {
    let all = first.iter().flat_map(|from| {
        from.route.escalate.iter().map(move |rung| Climbed {
            receiver: routing.receiver(&rung.to, record),
            meant: whom(&rung.to, record, routing),
            from,
        })
    });
    all.collect()
}

/// When a second alert of the group fires, and what is told then.
fn joining(
    scene: &Scene<'_>,
    alert: &Alert,
    at: Timestamp,
    told: Timestamp,
    everybody: &BTreeSet<&str>,
) -> (Timestamp, Heard) {
    let fires = told + JOINS_AFTER;
    let mut another = alert.clone();
    another.labels.insert(ANOTHER.to_owned(), "1".to_owned());
    let actors = [
        Actor {
            alert,
            fires: at,
            ends: None,
        },
        Actor {
            alert: &another,
            fires,
            ends: None,
        },
    ];
    let mut heard = perform(scene, &actors, |heard| {
        let is_told = |receiver: &&str| heard.of(receiver, NoticeKind::Fired).any(|told| told >= fires);
        everybody.iter().all(is_told)
    });
    heard.notices.retain(|notice| notice.labels.contains_key(ANOTHER));
    (fires, heard)
}

/// When the alert is over, and what is told then.
fn ending(
    scene: &Scene<'_>,
    alert: &Alert,
    at: Timestamp,
    told: Timestamp,
    everybody: &BTreeSet<&str>,
) -> (Timestamp, Heard) {
    let end = told + ENDS_AFTER;
    let actor = Actor {
        alert,
        fires: at,
        ends: Some(end),
    };
    let heard = perform(scene, &[actor], |heard| {
        let knew = |receiver: &&&str| heard.has(receiver, NoticeKind::Fired);
        let is_told = |receiver: &&str| heard.has(receiver, NoticeKind::Resolved);
        let mut knowing = everybody.iter().filter(knew).peekable();
        knowing.peek().is_some() && knowing.all(is_told)
    });
    (end, heard)
}

/// Plays until `is_enough`, or nothing is due any more within [`FARTHEST`].
fn perform(scene: &Scene<'_>, actors: &[Actor<'_>], is_enough: impl Fn(&Heard) -> bool) -> Heard {
    let mut engine = Engine::new("route explain");
    let mut kept = Kept::default();
    kept.silences = scene.silences.cloned().unwrap_or_default();
    engine.restore(Vec::new(), kept);
    let mut heard = Heard::default();
    let Some(begin) = actors.iter().map(|actor| actor.fires).min() else {
        return heard;
    };
    let end = begin.saturating_add(FARTHEST).unwrap_or(Timestamp::MAX);
    let mut now = begin;
    loop {
        let moment = Moment {
            now,
            routing: scene.routing,
            is_back: false,
            catching_up: false,
            world: scene.calendar,
        };
        let is_turn = actors.iter().flat_map(Actor::turns).any(|turn| turn == now);
        let step = match is_turn {
            true => judged(&mut engine, actors, now, moment),
            false => engine.tell(now, moment),
        };
        heard.notices.extend(step.notices);
        heard.held.extend(step.held);
        let turn = actors
            .iter()
            .flat_map(Actor::turns)
            .filter(|turn| *turn > now)
            .min();
        // Time goes on, whatever is said to be due.
        let due = engine
            .next_due()
            .map(|due| due.max(now + SignedDuration::from_millis(1)));
        match due.into_iter().chain(turn).min() {
            Some(next) if next <= end && !is_enough(&heard) => now = next,
            _ => return heard,
        }
    }
}

fn judged(engine: &mut Engine, actors: &[Actor<'_>], now: Timestamp, moment: Moment<'_>) -> Step {
    let samples: Vec<Sample<'_, &Alert>> = actors
        .iter()
        .map(|actor| Sample {
            rule: &actor.alert.rule,
            node: actor.alert.labels.get("node").map_or("", String::as_str),
            fingerprint: fingerprint(&actor.alert.rule.name, &actor.alert.labels),
            condition: actor.condition(now),
            period_end: None,
            is_new: false,
            about: actor.alert,
        })
        .collect();
    let rules: Vec<_> = actors
        .iter()
        .map(|actor| actor.alert.rule.clone())
        .take(1)
        .collect();
    engine.step(&samples, &rules, now, Some(moment))
}

/// What happens to one receiver, up to the first repeat.
fn timeline(heard: &Heard, receiver: &str) -> Vec<Entry> {
    let held = heard
        .held
        .iter()
        .filter(|held| held.receiver == receiver && !held.by.is_empty());
    let mut entries: Vec<Entry> = held
        .map(|held| Entry {
            at: held.at,
            what: Happening::Held(held.by.clone()),
        })
        .collect();
    let notices = heard
        .notices
        .iter()
        .filter(|notice| notice.receiver == receiver && notice.kind != NoticeKind::Digest);
    entries.extend(notices.filter_map(|notice| {
        Some(Entry {
            at: notice.told_at?,
            what: Happening::Notice {
                kind: notice.kind,
                because: notice.because.clone(),
            },
        })
    }));
    entries.sort_by_key(|entry| entry.at);
    let is_repeat = |entry: &Entry| {
        let kind = NoticeKind::Repeat;
        matches!(&entry.what, Happening::Notice { kind: found, .. } if *found == kind)
    };
    if let Some(first) = entries.iter().position(is_repeat) {
        entries.truncate(first + 1);
    }
    entries
}

fn digest_name(notice: &Notice) -> Option<&str> {
    match notice.aside.as_deref()? {
        Aside::Digest(digest) => digest.name.as_deref(),
        Aside::Silence(_) | Aside::Weights(_) => None,
    }
}

/// The next of each digest that holds it.
fn in_digests(heard: &Heard) -> Vec<InDigest> {
    let mut found: Vec<InDigest> = Vec::new();
    for notice in &heard.notices {
        let (Some(name), Some(at)) = (digest_name(notice), notice.told_at) else {
            continue;
        };
        let holds_it =
            matches!(notice.aside.as_deref(), Some(Aside::Digest(digest)) if !digest.open.is_empty());
        if holds_it && !found.iter().any(|known| known.name == name) {
            found.push(InDigest {
                name: name.to_owned(),
                receiver: notice.receiver.clone(),
                at,
            });
        }
    }
    found
}

/// Whom a route means that names somebody of the catalogue.
fn whom(to: &To, record: &AlertRecord, routing: &Routing) -> Option<Meant> {
    let owner = record.labels.get("owner");
    let person = |name: &String| routing.people.get(name);
    let (role, name) = match to {
        To::Receiver(_) => return None,
        To::Owner(_) => ("owner", owner.cloned()),
        To::Manager(_) => (
            "manager",
            owner.and_then(person).and_then(|person| person.manager.clone()),
        ),
        To::ParentOwner(_) => {
            let parent = record.facts.parent.as_ref();
            ("parent_owner", parent.and_then(|parent| parent.owner.clone()))
        }
    };
    Some(Meant {
        role,
        is_reached: name.as_ref().and_then(person).is_some(),
        name,
    })
}

impl crate::alert::sample::About for &Alert {
    fn labels(&self) -> Labels {
        self.labels.clone()
    }

    fn facts(&self) -> Facts {
        self.facts.clone()
    }
}
