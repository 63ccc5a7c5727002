//! `tautline route explain`: who is told of an alert, when, and why. The way through the tree is the one that dispatch
//! walks, and the times are those that the engine gives when the alert is played to it.

mod alert;
mod play;
#[cfg(test)]
mod tests;
mod text;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::alert::dispatch::matcher::{Matcher, matches_all};
use crate::alert::dispatch::path::{Placed, placed};
use crate::alert::dispatch::route::{GroupBy, Route, Routing, To, Visit, matched_labels};
use crate::alert::dispatch::silence::Silences;
use crate::alert::notice::{Because, NoticeKind};
use crate::alert::record::Labels;
use crate::catalog::Calendar;

pub use alert::{Alert, Asked, NotAnAlert};
pub use text::text;

/// Who is told of an alert that fires at a moment, when, and why.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Explanation {
    /// The labels that matchers see.
    pub labels: Labels,
    /// When it fires, by the wall clock.
    pub at: Timestamp,
    /// Every route that was looked at, in the order of the file.
    pub path: Vec<Step>,
    /// Who is told, in the order in which they hear of it.
    pub receivers: Vec<Listener>,
    /// What would keep everybody from being told.
    pub inhibited_by: Vec<Inhibition>,
    /// Silences that hold it back at some time, the first to begin first; `None`: they are not known here.
    pub silences: Option<Vec<Silencing>>,
    /// Digests that it would be in.
    pub digests: Vec<InDigest>,
    /// How long an acknowledgement stops repeats and escalation, in seconds.
    pub ack_seconds: i64,
    /// How far ahead was looked, at most.
    pub looked_until: Timestamp,
}

/// A route, and what became of it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Step {
    /// Its number in the tree: `0`, `0.2`, `0.2.1`.
    pub route: String,
    /// How many routes are above it.
    pub depth: usize,
    /// Where it is declared; `None` for one that nobody wrote.
    pub place: Option<String>,
    /// Who is told by it.
    pub to: String,
    /// Its conditions.
    pub matchers: Vec<Condition>,
    /// Whether it says `continue`.
    pub goes_on: bool,
    /// What became of it.
    pub outcome: Outcome,
    /// Whether the alert ends here: its receiver is told.
    pub takes: bool,
}

/// A condition of a route on one label.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Condition {
    /// As Alertmanager writes it.
    pub matcher: String,
    /// What the label is; empty where there is none.
    pub found: String,
    /// Whether it is met.
    pub met: bool,
}

/// What became of a route.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It matches.
    Matched,
    /// One of its conditions is not met.
    Refused,
    /// A route before it took the alert.
    NotTried,
}

/// Somebody who is told, or would be.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Listener {
    /// The receiver.
    pub receiver: String,
    /// Number of the route that leads there.
    pub route: String,
    /// Whom of the catalogue the route means, where it does not name the receiver.
    pub meant: Option<Meant>,
    /// Labels that alerts share that are one message with it; `None`: it is on its own.
    pub group_by: Option<Labels>,
    /// What happens, in order.
    pub timeline: Vec<Entry>,
    /// When an alert that joins the group would be told, and when it fires; `None` where none can join.
    pub joins: Option<Join>,
    /// From the end of the alert to its message, in seconds; `None` where there is none.
    pub resolve_seconds: Option<i64>,
    /// Between repeats, in seconds.
    pub repeat_seconds: i64,
    /// By how much each of those intervals is longer than the one before.
    pub repeat_backoff: f64,
    /// Names of the only times in which it is told again; empty: always.
    pub repeat_within: Vec<String>,
}

/// Somebody of the catalogue.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Meant {
    /// `owner`, `manager` or `parent_owner`.
    pub role: &'static str,
    /// Their name; `None`: the catalogue, or `people`, names nobody.
    pub name: Option<String>,
    /// Whether `people` says where they are reached; otherwise the route's own receiver is told.
    pub is_reached: bool,
}

/// One line of what happens.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Entry {
    /// When, by the wall clock.
    pub at: Timestamp,
    /// What.
    pub what: Happening,
}

/// What happens at a moment.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Happening {
    /// Nobody is told: `mute nights`.
    Held(Vec<String>),
    /// A message goes.
    Notice {
        /// Why.
        kind: NoticeKind,
        /// Why now, where that is not plain.
        because: Option<Because>,
    },
}

/// A second alert of the same group.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Join {
    /// When it fires.
    pub fires: Timestamp,
    /// When it is told.
    pub told: Timestamp,
}

/// A rule by which another alert would keep this one from being told.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Inhibition {
    /// Of the other alert.
    pub source_matchers: Vec<String>,
    /// Labels that it must share, as they are here.
    pub equal: Labels,
}

/// A silence that holds the alert back.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Silencing {
    /// Its id.
    pub id: String,
    /// Who made it.
    pub created_by: String,
    /// Why.
    pub comment: String,
    /// Its matchers, as text.
    pub matchers: Vec<String>,
    /// When it begins.
    pub starts_at: Timestamp,
    /// When it ends.
    pub ends_at: Timestamp,
}

/// A digest that holds the alert.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct InDigest {
    /// Its name in the settings.
    pub name: String,
    /// Who gets it.
    pub receiver: String,
    /// When.
    pub at: Timestamp,
}

/// Explains who is told of an alert that fires at `at`; `silences` are those that there are, where they are known.
pub fn explain(
    routing: &Routing,
    silences: Option<&Silences>,
    calendar: &Calendar,
    alert: &Alert,
    at: Timestamp,
) -> Explanation {
    let mut labels = matched_labels(&alert.record());
    // An empty label is none.
    labels.retain(|_, value| !value.is_empty());
    let played = play::play(
        &play::Scene {
            routing,
            silences,
            calendar,
        },
        alert,
        at,
    );
    let looked_until = at.saturating_add(play::FARTHEST).unwrap_or(Timestamp::MAX);
    Explanation {
        path: path(routing, &labels),
        receivers: played.listeners,
        inhibited_by: inhibitions(routing, &labels),
        silences: silences.map(|silences| silencing(silences, &labels, (at, looked_until))),
        digests: played.digests,
        ack_seconds: routing.manners.ack_ttl.as_secs(),
        looked_until,
        labels,
        at,
    }
}

fn path(routing: &Routing, labels: &Labels) -> Vec<Step> {
    let Some(root) = &routing.root else {
        return Vec::new();
    };
    let all = placed(root);
    let place = |route: &Route| all.iter().find(|placed| placed.route.id == route.id);
    let mut steps: Vec<Step> = Vec::new();
    let mut see =
        |route: &Route, outcome| steps.extend(place(route).map(|found| step(found, labels, outcome)));
    let mut taking: Vec<&str> = Vec::new();
    see(root, Outcome::Matched);
    root.visit(labels, &mut |route, visit| match visit {
        Visit::Entered => see(route, Outcome::Matched),
        Visit::Refused(_) => see(route, Outcome::Refused),
        Visit::Passed => see(route, Outcome::NotTried),
        Visit::Takes => taking.extend(place(route).map(|found| found.number.as_str())),
    });
    for step in &mut steps {
        step.takes = taking.contains(&step.route.as_str());
    }
    steps
}

fn step(placed: &Placed<'_>, labels: &Labels, outcome: Outcome) -> Step {
    let route = placed.route;
    let condition = |matcher: &Matcher| Condition {
        matcher: matcher.to_string(),
        found: labels.get(&matcher.name).cloned().unwrap_or_default(),
        met: matcher.matches(labels),
    };
    Step {
        route: placed.number.clone(),
        depth: placed.depth,
        place: route.place.as_ref().map(ToString::to_string),
        to: match &route.to {
            To::Receiver(receiver) => receiver.clone(),
            To::Owner(otherwise) => format!("owner, else {otherwise}"),
            To::Manager(otherwise) => format!("manager, else {otherwise}"),
            To::ParentOwner(otherwise) => format!("parent_owner, else {otherwise}"),
        },
        matchers: route.matchers.iter().map(condition).collect(),
        goes_on: route.go_on,
        outcome,
        takes: false,
    }
}

fn inhibitions(routing: &Routing, labels: &Labels) -> Vec<Inhibition> {
    let rules = routing
        .inhibit
        .iter()
        .filter(|rule| matches_all(&rule.target, labels));
    rules
        .map(|rule| Inhibition {
            source_matchers: rule.source.iter().map(ToString::to_string).collect(),
            equal: rule
                .equal
                .iter()
                .map(|name| (name.clone(), labels.get(name).cloned().unwrap_or_default()))
                .collect(),
        })
        .collect()
}

/// Those that hold an alert with these labels back between two moments.
fn silencing(silences: &Silences, labels: &Labels, (from, until): (Timestamp, Timestamp)) -> Vec<Silencing> {
    let matching = silences.all.values().filter(|silence| {
        silence.ends_at > from && silence.starts_at <= until && matches_all(&silence.matchers, labels)
    });
    let mut found: Vec<Silencing> = matching
        .map(|silence| Silencing {
            id: silence.id.clone(),
            created_by: silence.created_by.clone(),
            comment: silence.comment.clone(),
            matchers: silence.matchers.iter().map(ToString::to_string).collect(),
            starts_at: silence.starts_at,
            ends_at: silence.ends_at,
        })
        .collect();
    found.sort_by_key(|silence| silence.starts_at);
    found
}

/// What alerts share that are one message with one; `None`: nothing joins it.
fn shared(route: &Route, alert: &Alert) -> Option<Labels> {
    match route.group_by {
        GroupBy::Each => None,
        GroupBy::Labels(_) => Some(route.group_of(&alert.record())),
    }
}

fn seconds(time: SignedDuration) -> i64 {
    time.as_secs()
}
