//! Who is told what, and when: the routing tree, with Alertmanager's words and semantics, and owners from the catalogue.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jiff::SignedDuration;

use super::digest::DigestPlan;
use super::inhibit::InhibitRule;
use super::interval::Interval;
use super::matcher::Matcher;
use super::path;
use crate::alert::delivery;
use crate::alert::engine::MAX_PER_RULE;
use crate::alert::record::{AlertRecord, Labels, Retention};
use crate::alert::rule_error::ERROR_FOR;
use crate::catalog::{Place, Severity};

/// What the operator declares about telling.
#[derive(Clone, Debug, Default)]
pub struct Routing {
    /// The tree; `None`: nobody is told.
    pub root: Option<Route>,
    /// Alerts that others explain, by labels.
    pub inhibit: Vec<InhibitRule>,
    /// Named stretches of time, for `mute` and `active` of routes.
    pub intervals: BTreeMap<String, Vec<Interval>>,
    /// People and teams that the catalogue names as owners.
    pub people: BTreeMap<String, Person>,
    /// Digests.
    pub digests: Vec<DigestPlan>,
    /// Who hears first that a receiver is not reached, where routes lead only there; `None`: the first of the tree who is.
    pub fallback: Option<String>,
    /// Bounds and times that hold for all.
    pub manners: Manners,
}

/// Bounds and times that hold for all routes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Manners {
    /// More new alerts for one receiver than so many become one summary.
    pub storm: Guard,
    /// So many episodes of one alert and it is flapping, until none has begun or ended for as long.
    pub flap: Guard,
    /// An episode that fires within this event time after the last one's end is the same trouble back again.
    pub refire_window: SignedDuration,
    /// How long an acknowledgement holds, unless it says otherwise.
    pub ack_ttl: SignedDuration,
    /// How long before its end a silence is reminded of.
    pub remind_before: SignedDuration,
    /// Share of its parent's gap from which on a part is told although its parent is.
    pub explain_share: f64,
    /// From the end of what explained an alert to the message about it, while it fires on; `None`: the wait of its group.
    pub inhibit_release_wait: Option<SignedDuration>,
    /// How long nobody is told while history is read at a start.
    pub catchup_max: SignedDuration,
    /// How those who know of an alert hear of its end while it is held back.
    pub resolve_when_silenced: EndOfHeld,
    /// Open alerts of a rule beyond which its further breaches have none.
    pub max_per_rule: usize,
    /// Event time for which a rule must fail before that is an alert of its own.
    pub error_for: SignedDuration,
    /// How long what is over is kept.
    pub retention: Retention,
}

/// How many of something are too many within a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Guard {
    /// How many.
    pub max: usize,
    /// Within which time.
    pub window: SignedDuration,
}

/// How the end of an alert is told that is silenced, explained by another, or muted, to those who know of its beginning.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EndOfHeld {
    /// Without calling anybody where the channel can (a thread, an update), else as always.
    #[default]
    Quiet,
    /// As always.
    Normal,
    /// Not at all: what they know stays as it is.
    Never,
}

impl Default for Manners {
    fn default() -> Manners {
        Manners {
            storm: Guard {
                max: 20,
                window: SignedDuration::from_mins(1),
            },
            flap: Guard {
                max: 5,
                window: SignedDuration::from_hours(1),
            },
            refire_window: SignedDuration::from_hours(1),
            ack_ttl: SignedDuration::from_hours(24),
            remind_before: SignedDuration::from_mins(15),
            explain_share: 0.2,
            inhibit_release_wait: None,
            catchup_max: SignedDuration::from_mins(10),
            resolve_when_silenced: EndOfHeld::default(),
            max_per_rule: MAX_PER_RULE,
            error_for: ERROR_FOR,
            retention: Retention::default(),
        }
    }
}

/// Somebody whom the catalogue names as an owner.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Person {
    /// Where they are reached.
    pub receiver: String,
    /// Their manager, by name.
    pub manager: Option<String>,
}

/// A route of the tree.
#[derive(Clone, PartialEq, Debug)]
pub struct Route {
    /// What makes it itself, by [`path::identify`]: the same wherever it stands.
    pub id: String,
    /// Its matchers behind those of the routes above it, as Alertmanager writes them: `{}/{severity="critical"}`.
    pub path: String,
    /// Who is told.
    pub to: To,
    /// Conditions, all of them; empty: everything.
    pub matchers: Vec<Matcher>,
    /// Whether the next sibling is tried as well.
    pub go_on: bool,
    /// Which alerts are told together.
    pub group_by: GroupBy,
    /// When.
    pub timing: Timing,
    /// Names of times in which nobody is told.
    pub mute: Vec<String>,
    /// Names of the only times in which somebody is; empty: always.
    pub active: Vec<String>,
    /// Names of the only times in which what fires on is repeated; empty: always.
    pub repeat_within: Vec<String>,
    /// Whether somebody said how often, or when, that is.
    pub says_repeats: bool,
    /// Who is told when nobody acknowledges, in the order of time.
    pub escalate: Vec<Rung>,
    /// Routes below this one: the first that matches wins.
    pub routes: Vec<Route>,
    /// Where it is declared; `None` for one that nobody wrote.
    pub place: Option<Place>,
}

/// What becomes of a route while an alert looks for its receivers.
#[derive(Clone, Copy, Debug)]
pub enum Visit<'r> {
    /// All of its conditions are met.
    Entered,
    /// This condition is not met: the first of them.
    Refused(&'r Matcher),
    /// A route before it took the alert, and does not say `continue`.
    Passed,
    /// Its receiver is told: it matches, and none of the routes below it does.
    Takes,
}

/// Whom a route leads to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum To {
    /// A receiver of the settings.
    Receiver(String),
    /// The owner of the node, else this receiver.
    Owner(String),
    /// The owner's manager, else this receiver.
    Manager(String),
    /// The owner of what the node serves, else this receiver.
    ParentOwner(String),
}

impl To {
    /// The receiver by name: who is told where the catalogue names nobody.
    pub fn named(&self) -> &str {
        match self {
            To::Receiver(name) | To::Owner(name) | To::Manager(name) | To::ParentOwner(name) => name,
        }
    }
}

/// Which alerts are told together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GroupBy {
    /// Those that share the values of these labels.
    Labels(Vec<String>),
    /// Each on its own.
    Each,
}

/// When a group is told. Wall-clock time.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Timing {
    /// From the first alert of a group to its first message; `None`: 5 s, and none at all for a critical alert.
    pub group_wait: Option<SignedDuration>,
    /// Between messages about new alerts of a group.
    pub group_interval: SignedDuration,
    /// From the end of an alert to the message about it.
    pub resolve_wait: SignedDuration,
    /// Between messages about what still fires.
    pub repeat_interval: SignedDuration,
    /// By how much each interval between repeats is longer than the one before; 1: as long.
    pub repeat_backoff: f64,
}

impl Timing {
    /// The longest time between two repeats, however often it was repeated; a longer `repeat_interval` stays as it is.
    pub const LONGEST_BACKOFF: SignedDuration = SignedDuration::from_hours(30 * 24);

    /// From the last message about what still fires to the next, after so many repeats.
    pub fn until_repeat(&self, repeats: u32) -> SignedDuration {
        let most = Self::LONGEST_BACKOFF.max(self.repeat_interval);
        let factor = self
            .repeat_backoff
            .powi(i32::try_from(repeats).unwrap_or(i32::MAX));
        let seconds = self.repeat_interval.as_secs_f64() * factor;
        // Also what is not a number any more.
        match seconds < most.as_secs_f64() {
            true => SignedDuration::from_secs_f64(seconds),
            false => most,
        }
    }
}

impl Default for Timing {
    fn default() -> Timing {
        Timing {
            group_wait: None,
            group_interval: SignedDuration::from_mins(1),
            resolve_wait: DEFAULT_WAIT,
            repeat_interval: SignedDuration::from_hours(24),
            repeat_backoff: 1.0,
        }
    }
}

/// The time in which what fires on is repeated where no route says how often: 9 to 18 o'clock on working days of the
/// catalogue's calendar, unless `time_intervals` declare it otherwise.
pub const WORKING_HOURS: &str = "working_hours";

static USUAL_WORKING_HOURS: LazyLock<Interval> = LazyLock::new(|| Interval {
    times: vec![(
        jiff::civil::time(9, 0, 0, 0),
        Some(jiff::civil::time(18, 0, 0, 0)),
    )],
    workdays: Some(true),
    ..Interval::default()
});

/// `group_wait` where nothing is said.
pub const DEFAULT_WAIT: SignedDuration = SignedDuration::from_secs(5);

/// `repeat_interval` of what is about the machinery, where nothing is said: it is repaired at any hour.
pub const TECHNICAL_REPEAT: SignedDuration = SignedDuration::from_hours(4);

/// One step of an escalation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rung {
    /// Time after the first message without an acknowledgement.
    pub after: SignedDuration,
    /// Who is told then.
    pub to: To,
}

/// Where an alert goes: one receiver by one route.
#[derive(Clone, PartialEq, Debug)]
pub struct Destination<'r> {
    /// Name of the receiver.
    pub receiver: String,
    /// The route that leads there.
    pub route: &'r Route,
}

impl Routing {
    /// Everything to one receiver, with the default times.
    pub fn to_receiver(receiver: &str) -> Routing {
        Routing {
            root: Some(Route::to_receiver(receiver)),
            ..Routing::default()
        }
    }

    /// Where an alert goes, each receiver once, in the order of the tree.
    pub fn destinations(&self, record: &AlertRecord) -> Vec<Destination<'_>> {
        let labels = matched_labels(record);
        let mut routes = Vec::new();
        if let Some(root) = &self.root {
            root.collect(&labels, &mut routes);
        }
        let mut found: Vec<Destination<'_>> = Vec::new();
        for route in routes {
            let receiver = self.receiver(&route.to, record);
            if !found.iter().any(|known| known.receiver == receiver) {
                found.push(Destination { receiver, route });
            }
        }
        self.add_reached(record, &mut found);
        found
    }

    /// That somebody is not reached must not be told to them alone.
    fn add_reached<'r>(&'r self, record: &AlertRecord, found: &mut Vec<Destination<'r>>) {
        let Some(unreached) = delivery::unreached(record) else {
            return;
        };
        let is_reached = |name: &str| !unreached.contains(&name);
        if found.iter().any(|destination| is_reached(&destination.receiver)) {
            return;
        }
        let named = self.fallback.as_deref().into_iter().chain(self.named());
        let other = named.into_iter().find(|name| is_reached(name));
        if let (Some(first), Some(other)) = (found.first(), other) {
            let destination = Destination {
                receiver: other.to_owned(),
                route: first.route,
            };
            found.push(destination);
        }
    }

    /// Every receiver that the tree names, in its order, then those of people.
    fn named(&self) -> impl Iterator<Item = &str> {
        let mut named = Vec::new();
        if let Some(root) = &self.root {
            root.named(&mut named);
        }
        let of_people = self.people.values().map(|person| person.receiver.as_str());
        named.into_iter().chain(of_people)
    }

    /// The stretches of a named time. `working_hours` is known also where nobody declares it.
    pub fn stretches(&self, name: &str) -> &[Interval] {
        match self.intervals.get(name) {
            Some(declared) => declared,
            None if name == WORKING_HOURS => std::slice::from_ref(&*USUAL_WORKING_HOURS),
            None => &[],
        }
    }

    /// The route with an id; where that leads to another receiver by now, the one that takes the same alerts.
    pub fn route(&self, id: &str) -> Option<&Route> {
        fn find<'r>(route: &'r Route, is_it: &impl Fn(&Route) -> bool) -> Option<&'r Route> {
            if is_it(route) {
                return Some(route);
            }
            route.routes.iter().find_map(|below| find(below, is_it))
        }
        let (root, conditions) = (self.root.as_ref()?, path::conditions_of(id));
        find(root, &|route| route.id == id)
            .or_else(|| find(root, &|route| path::conditions_of(&route.id) == conditions))
    }

    /// The receiver that is meant, for an alert.
    pub fn receiver(&self, to: &To, record: &AlertRecord) -> String {
        let owner = owner_of(record);
        let reached = |name: Option<&str>| Some(self.people.get(name?)?.receiver.clone());
        let (found, otherwise) = match to {
            To::Receiver(name) => (Some(name.clone()), name),
            To::Owner(otherwise) => (reached(owner), otherwise),
            To::Manager(otherwise) => {
                let manager = owner.and_then(|owner| self.people.get(owner)?.manager.as_deref());
                (reached(manager), otherwise)
            }
            To::ParentOwner(otherwise) => {
                let of_parent = record.facts.parent.as_ref();
                let owner = of_parent.and_then(|parent| parent.owner.as_deref());
                let owner = record.facts.parent_owner.as_deref().or(owner);
                (reached(owner), otherwise)
            }
        };
        found.unwrap_or_else(|| otherwise.clone())
    }
}

/// Who answers for what an alert is about.
fn owner_of(record: &AlertRecord) -> Option<&str> {
    let facts = &record.facts;
    let of_node = facts.node.as_ref().and_then(|node| node.owner.as_deref());
    let of_item = facts.item.as_ref().and_then(|item| item.owner.as_deref());
    let label = record.labels.get("owner").map(String::as_str);
    label.or(of_node).or(of_item)
}

/// The labels of an alert that matchers see.
pub fn matched_labels(record: &AlertRecord) -> Labels {
    seen_by_matchers(&record.labels, record.severity, &record.kind)
}

/// The labels that matchers see: those of the identity, with `severity` and `kind`.
pub fn seen_by_matchers(identity: &Labels, severity: Severity, kind: &str) -> Labels {
    let mut labels = identity.clone();
    labels.insert("severity".to_owned(), severity.as_str().to_owned());
    labels.insert("kind".to_owned(), kind.to_owned());
    labels
}

impl Route {
    /// How often what fires on is repeated, and within which times. Where nobody said so, what is about the machinery and
    /// not the business is repeated sooner, at any hour.
    pub fn repeats(&self, is_technical: bool) -> (Timing, &[String]) {
        if self.says_repeats || !is_technical {
            return (self.timing, &self.repeat_within);
        }
        let timing = Timing {
            repeat_interval: TECHNICAL_REPEAT,
            ..self.timing
        };
        (timing, &[])
    }

    /// A route for everything to one receiver, with the default times.
    pub fn to_receiver(receiver: &str) -> Route {
        let mut route = Route {
            id: String::new(),
            path: String::new(),
            to: To::Receiver(receiver.to_owned()),
            matchers: Vec::new(),
            go_on: false,
            group_by: GroupBy::default(),
            timing: Timing::default(),
            mute: Vec::new(),
            active: Vec::new(),
            repeat_within: vec![WORKING_HOURS.to_owned()],
            says_repeats: false,
            escalate: Vec::new(),
            routes: Vec::new(),
            place: None,
        };
        path::identify(&mut route);
        route
    }

    fn named<'r>(&'r self, named: &mut Vec<&'r str>) {
        let rungs = self.escalate.iter().map(|rung| &rung.to);
        named.extend([&self.to].into_iter().chain(rungs).map(To::named));
        self.routes.iter().for_each(|below| below.named(named));
    }

    /// The routes that take these labels: of every subtree the deepest that match.
    pub fn collect<'r>(&'r self, labels: &Labels, found: &mut Vec<&'r Route>) {
        self.visit(labels, &mut |route, visit| {
            if let Visit::Takes = visit {
                found.push(route);
            }
        });
    }

    /// Walks the tree as these labels do, and says what becomes of every route on the way.
    pub fn visit<'r>(&'r self, labels: &Labels, see: &mut dyn FnMut(&'r Route, Visit<'r>)) {
        let (mut is_taken, mut is_over) = (false, false);
        for route in &self.routes {
            if is_over {
                see(route, Visit::Passed);
            } else if let Some(unmet) = route.matchers.iter().find(|matcher| !matcher.matches(labels)) {
                see(route, Visit::Refused(unmet));
            } else {
                see(route, Visit::Entered);
                route.visit(labels, see);
                (is_taken, is_over) = (true, !route.go_on);
            }
        }
        if !is_taken {
            see(self, Visit::Takes);
        }
    }

    /// The labels that alerts must share to be told together, as matchers see them. One that gets worse stays in the group
    /// in which it began.
    pub fn group_of(&self, record: &AlertRecord) -> Labels {
        match &self.group_by {
            GroupBy::Each => record.labels.clone(),
            GroupBy::Labels(names) => {
                let labels = matched_labels(record);
                let value = |name: &String| labels.get(name).cloned().unwrap_or_default();
                names.iter().map(|name| (name.clone(), value(name))).collect()
            }
        }
    }
}

impl Default for GroupBy {
    fn default() -> GroupBy {
        GroupBy::Labels(["alertname", "parent", "period"].map(str::to_owned).to_vec())
    }
}
