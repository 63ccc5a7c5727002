//! Routes: who is told what, when, and who is told next. Alertmanager's words, where it has one.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use std::sync::Arc;

use jiff::SignedDuration;
use schemars::JsonSchema;
use serde::Deserialize;

use super::load::Checker;
use super::named::Name;
use super::times::IntervalEntry;
use crate::alert::dispatch::digest::{DigestPlan, Schedule};
use crate::alert::dispatch::inhibit::InhibitRule;
use crate::alert::dispatch::matcher::Matcher;
use crate::alert::dispatch::path;
use crate::alert::dispatch::route::{
    EndOfHeld, GroupBy, Guard, Manners, Person, Route, Routing, Rung, Timing, To, WORKING_HOURS,
};
use crate::alert::record::Retention;
use crate::alert::{FIRED_MAX, HISTORY_WINDOW};
use crate::catalog::diagnostic::nearest;
use crate::catalog::file::Duration as Time;
use crate::words::{Language, length};

/// Seconds for which nobody is told while history is read.
const CATCHUP_MAX: std::ops::RangeInclusive<i64> = 1..=86_400;
/// Seconds for which what is over is kept.
const KEPT: std::ops::RangeInclusive<i64> = 7 * 86_400..=36_500 * 86_400;
/// Seconds over which new alerts are counted.
const STORM_WINDOW: std::ops::RangeInclusive<i64> = 1..=3_600;

/// By how much a digest may go later where nothing is said.
const JITTER: SignedDuration = SignedDuration::from_mins(3);

/// The parts of the file that say who is told.
pub(super) struct Parts {
    pub(super) routes: Option<RouteEntry>,
    pub(super) inhibit_rules: Vec<InhibitEntry>,
    pub(super) time_intervals: BTreeMap<String, Vec<IntervalEntry>>,
    pub(super) people: BTreeMap<String, PersonEntry>,
    pub(super) digests: BTreeMap<String, DigestEntry>,
    pub(super) alerts: AlertsEntry,
}

/// A route of the tree.
#[derive(Deserialize, JsonSchema, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct RouteEntry {
    /// Who is told; the route above says it where this is missing.
    receiver: Option<String>,
    /// The owner of what the alert is about, instead: `receiver` is who is told where `people` knows nobody.
    to: Option<Whom>,
    #[serde(default)]
    matchers: Vec<String>,
    /// Whether the next sibling is tried as well.
    #[serde(default)]
    r#continue: bool,
    #[serde(default)]
    routes: Vec<RouteEntry>,
    /// Labels that alerts must share to be told together; `...`: each on its own.
    group_by: Option<Vec<String>>,
    group_wait: Option<Time>,
    group_interval: Option<Time>,
    /// From the end of an alert to its message.
    resolve_wait: Option<Time>,
    repeat_interval: Option<Time>,
    /// By how much each interval between repeats is longer than the one before: 2 for 4 h, 8 h, 16 h, …
    repeat_backoff: Option<f64>,
    /// Names of the only times in which what fires on is repeated; `working_hours` where no `repeat_interval` is said.
    repeat_time_intervals: Option<Vec<String>>,
    mute_time_intervals: Option<Vec<String>>,
    active_time_intervals: Option<Vec<String>>,
    /// Who is told when nobody acknowledges.
    escalate: Option<Vec<RungEntry>>,
}

/// Whom the catalogue names.
#[derive(Deserialize, JsonSchema, Debug, Clone, Copy)]
#[serde(rename_all = "snake_case")]
pub(super) enum Whom {
    /// The owner of the node.
    Owner,
    /// The owner's manager.
    Manager,
    /// The owner of what the node serves.
    ParentOwner,
}

#[derive(Deserialize, JsonSchema, Debug)]
#[serde(deny_unknown_fields)]
struct RungEntry {
    /// Time after the first message.
    after: Time,
    receiver: Option<String>,
    to: Option<Whom>,
}

#[derive(Deserialize, JsonSchema, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct InhibitEntry {
    source_matchers: Vec<String>,
    target_matchers: Vec<String>,
    #[serde(default)]
    equal: Vec<String>,
}

#[derive(Deserialize, JsonSchema, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct PersonEntry {
    /// Where they are reached.
    receiver: String,
    /// Their manager, another of the people.
    manager: Option<String>,
}

#[derive(Deserialize, JsonSchema, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct DigestEntry {
    /// Five fields, as cron has them: `0 9 * * MON-FRI`.
    cron: String,
    /// IANA name; the catalogue's where it is missing.
    time_zone: Option<String>,
    receiver: String,
    #[serde(default)]
    matchers: Vec<String>,
    /// Whether a digest with nothing to say is left out; it is, unless this says false.
    skip_if_empty: Option<bool>,
    /// It goes up to this much later; 3m where it is missing.
    jitter: Option<Time>,
}

#[derive(Deserialize, JsonSchema, Debug, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AlertsEntry {
    /// New alerts for one receiver within `storm_window` beyond which they become one summary.
    storm_max: Option<usize>,
    /// 1m where it is missing.
    storm_window: Option<Time>,
    /// Episodes of one alert within `flap_window` from which on it is flapping.
    flap_max: Option<usize>,
    /// 1h where it is missing; flapping ends when nothing began or ended for as long.
    flap_window: Option<Time>,
    /// How soon after its last end an alert that fires is back again, and not news: 1h where it is missing.
    refire_window: Option<Time>,
    /// How long an acknowledgement holds.
    ack_ttl: Option<Time>,
    /// How long before its end a silence is reminded of.
    remind_before: Option<Time>,
    /// Share of its parent's gap from which on a part is told although its parent is.
    explain_share: Option<f64>,
    /// From the end of what explained an alert to the message about it, while it fires on; the `group_wait` of its route
    /// where it is missing.
    inhibit_release_wait: Option<Time>,
    /// How long nobody is told while history is read at a start; then they are, with a mark.
    catchup_max: Option<Time>,
    /// How those who know of an alert hear of its end while it is silenced, explained by another, or muted.
    resolve_when_silenced: Option<EndOfHeld>,
    /// Open alerts of a rule beyond which its further breaches have none, and one alert says so.
    max_per_rule: Option<usize>,
    /// How long a rule must fail before that is an alert of its own: 15m where it is missing.
    error_for: Option<Time>,
    /// How long an episode is kept after its end, in event time; 800d where it is missing.
    keep_episodes: Option<Time>,
    /// How long it is kept who was told what of it; 90d where it is missing.
    keep_notices: Option<Time>,
    /// Who hears that a receiver is not reached, where routes lead only to that receiver.
    fallback_receiver: Option<String>,
}

/// What a route takes over from the one above.
#[derive(Clone)]
struct Inherited {
    receiver: String,
    group_by: GroupBy,
    timing: Timing,
    escalate: Vec<Rung>,
    mute: Vec<String>,
    active: Vec<String>,
    repeat_within: Vec<String>,
    says_repeats: bool,
}

impl Checker {
    pub(super) fn routing(&mut self, parts: Parts, receivers: &BTreeSet<String>) -> Arc<Routing> {
        let intervals: BTreeMap<_, _> = parts
            .time_intervals
            .into_iter()
            .map(|(name, entries)| {
                let path = ["time_intervals".to_owned(), name.clone()];
                if entries.is_empty() {
                    self.problem_at(
                        &path,
                        format!("'{name}' holds no stretch of time, so it never is; write [{{weekdays: [\"monday:friday\"]}}], or leave it out"),
                    );
                }
                let read = entries
                    .into_iter()
                    .filter_map(|entry| self.interval(&path, entry))
                    .collect();
                (name, read)
            })
            .collect();
        let people = self.people(parts.people, receivers);
        let root = self.root(
            parts.routes,
            receivers,
            &intervals.keys().cloned().collect::<Vec<_>>(),
        );
        let inhibit = parts
            .inhibit_rules
            .into_iter()
            .enumerate()
            .map(|(n, entry)| self.inhibit(n, entry))
            .collect();
        let digests = parts
            .digests
            .into_iter()
            .filter_map(|(name, entry)| self.digest(name, entry, receivers))
            .collect();
        let fallback = parts.alerts.fallback_receiver.clone();
        if let Some(name) = &fallback {
            let path = ["alerts".to_owned(), "fallback_receiver".to_owned()];
            self.must_be_there(&path, name, receivers);
        }
        let manners = self.manners(parts.alerts);
        Arc::new(Routing {
            root,
            inhibit,
            intervals,
            people,
            digests,
            fallback,
            manners,
        })
    }

    fn root(
        &mut self,
        entry: Option<RouteEntry>,
        receivers: &BTreeSet<String>,
        intervals: &[String],
    ) -> Option<Route> {
        let Some(entry) = entry else {
            // With one receiver there is nothing to choose.
            if receivers.len() > 1 {
                self.problem(
                    &["receivers"],
                    "with several receivers, 'routes' must say who is told: routes: {receiver: …}",
                );
            }
            return receivers
                .iter()
                .next()
                .map(|receiver| Route::to_receiver(receiver));
        };
        if receivers.is_empty() {
            self.problem(
                &["routes"],
                "there is nobody to route to; declare 'receivers' first",
            );
            return None;
        }
        let Some(receiver) = entry.receiver.clone() else {
            self.problem(
                &["routes"],
                "the first route must name a receiver, for what no other route takes",
            );
            return None;
        };
        if !entry.matchers.is_empty() {
            self.problem(
                &["routes", "matchers"],
                "the first route takes everything; matchers belong to the routes below it",
            );
        }
        let inherited = Inherited {
            receiver,
            group_by: GroupBy::default(),
            timing: Timing::default(),
            escalate: Vec::new(),
            mute: Vec::new(),
            active: Vec::new(),
            repeat_within: vec![WORKING_HOURS.to_owned()],
            says_repeats: false,
        };
        let mut root = self.route(entry, &inherited, (receivers, intervals), &["routes".to_owned()]);
        path::identify(&mut root);
        Some(root)
    }

    fn route(
        &mut self,
        entry: RouteEntry,
        inherited: &Inherited,
        around: (&BTreeSet<String>, &[String]),
        path: &[String],
    ) -> Route {
        let (receivers, intervals) = around;
        let at = |key: &str| -> Vec<String> { path.iter().cloned().chain([key.to_owned()]).collect() };
        let receiver = entry.receiver.unwrap_or_else(|| inherited.receiver.clone());
        self.must_be_there(&at("receiver"), &receiver, receivers);
        let timing = Timing {
            group_wait: entry
                .group_wait
                .map(|time| time.0)
                .or(inherited.timing.group_wait),
            group_interval: or(entry.group_interval, inherited.timing.group_interval),
            resolve_wait: or(entry.resolve_wait, inherited.timing.resolve_wait),
            repeat_interval: or(entry.repeat_interval, inherited.timing.repeat_interval),
            repeat_backoff: entry.repeat_backoff.unwrap_or(inherited.timing.repeat_backoff),
        };
        if timing.repeat_interval < SignedDuration::from_mins(1) {
            self.problem_at(
                &at("repeat_interval"),
                "repeats may be a minute apart at least".to_owned(),
            );
        }
        if !(1.0..=10.0).contains(&timing.repeat_backoff) {
            self.problem_at(
                &at("repeat_backoff"),
                "each interval may be 1 to 10 times the one before".to_owned(),
            );
        }
        let names = |checker: &mut Checker, key: &str, names: Option<Vec<String>>, above: &[String]| {
            let Some(names) = names else {
                return above.to_vec();
            };
            for name in &names {
                if !intervals.contains(name) && name != WORKING_HOURS {
                    let hint = hint(name, intervals.iter().map(String::as_str));
                    checker.problem_at(
                        &at(key),
                        format!("there is no time interval '{name}' under time_intervals; {hint}"),
                    );
                }
            }
            names
        };
        let mute = names(
            self,
            "mute_time_intervals",
            entry.mute_time_intervals,
            &inherited.mute,
        );
        let active = names(
            self,
            "active_time_intervals",
            entry.active_time_intervals,
            &inherited.active,
        );
        // Who says how often means at any hour.
        let always = Vec::new();
        let above = if entry.repeat_interval.is_some() {
            &always
        } else {
            &inherited.repeat_within
        };
        let says_repeats = inherited.says_repeats
            || entry.repeat_interval.is_some()
            || entry.repeat_time_intervals.is_some();
        let repeat_within = names(self, "repeat_time_intervals", entry.repeat_time_intervals, above);
        let matchers = self.matchers(&at("matchers"), &entry.matchers);
        let grouped = entry.group_by.iter().flatten().filter(|name| *name != "...");
        self.labels(&at("group_by"), grouped);
        let is_each = |names: &Vec<String>| names.iter().any(|name| name == "...");
        if entry
            .group_by
            .as_ref()
            .is_some_and(|names| names.len() > 1 && is_each(names))
        {
            self.problem_at(
                &at("group_by"),
                "'...' tells each alert on its own, so no label can stand beside it; write [\"...\"] or the labels alone".to_owned(),
            );
        }
        let group_by = entry.group_by.map_or_else(
            || inherited.group_by.clone(),
            |names| match is_each(&names) {
                true => GroupBy::Each,
                false => GroupBy::Labels(names),
            },
        );
        let escalate = match entry.escalate {
            None => inherited.escalate.clone(),
            Some(rungs) => {
                self.in_order(&at("escalate"), &rungs);
                rungs
                    .into_iter()
                    .map(|rung| {
                        let named = rung.receiver.unwrap_or_else(|| receiver.clone());
                        self.must_be_there(&at("escalate"), &named, receivers);
                        Rung {
                            after: rung.after.0,
                            to: whom(rung.to, named),
                        }
                    })
                    .collect()
            }
        };
        let below = Inherited {
            receiver: receiver.clone(),
            group_by: group_by.clone(),
            timing,
            escalate: escalate.clone(),
            mute: mute.clone(),
            active: active.clone(),
            repeat_within: repeat_within.clone(),
            says_repeats,
        };
        let mut routes = Vec::new();
        for (index, entry) in entry.routes.into_iter().enumerate() {
            let mut path = at("routes");
            path.push(index.to_string());
            routes.push(self.route(entry, &below, around, &path));
        }
        Route {
            id: String::new(),
            path: String::new(),
            to: whom(entry.to, receiver),
            matchers,
            go_on: entry.r#continue,
            group_by,
            timing,
            mute,
            active,
            repeat_within,
            says_repeats,
            escalate,
            routes,
            place: Some(self.place_of(path)),
        }
    }

    /// Whether steps of an escalation stand in the order in which they come.
    fn in_order(&mut self, path: &[String], rungs: &[RungEntry]) {
        for (index, pair) in (1..).zip(rungs.windows(2)) {
            let [before, step] = pair else { continue };
            if step.after.0 < before.after.0 {
                let mut place = path.to_vec();
                place.extend([index.to_string(), "after".to_owned()]);
                self.problem_at(
                    &place,
                    format!(
                        "this step comes after {}, and the one above it only after {}; write the steps in the order of their times",
                        length(step.after.0.as_secs(), Language::En),
                        length(before.after.0.as_secs(), Language::En),
                    ),
                );
            }
        }
    }

    fn must_be_there(&mut self, path: &[String], name: &str, receivers: &BTreeSet<String>) {
        if !receivers.contains(name) {
            let hint = hint(name, receivers.iter().map(String::as_str));
            self.problem_at(path, format!("there is no receiver '{name}'; {hint}"));
        }
    }

    pub(super) fn matchers(&mut self, path: &[String], texts: &[String]) -> Vec<Matcher> {
        let mut matchers = Vec::new();
        for (index, text) in texts.iter().enumerate() {
            match Matcher::parse(text) {
                Ok(matcher) => {
                    let index = index.to_string();
                    let mut place: Vec<&str> = path.iter().map(String::as_str).collect();
                    place.push(&index);
                    self.names(&place, Name::Matcher(matcher.clone()));
                    matchers.push(matcher);
                }
                Err(message) => {
                    let mut place = path.to_vec();
                    place.push(index.to_string());
                    self.problem_at(&place, message);
                }
            }
        }
        matchers
    }

    /// Notes names of labels.
    fn labels<'n>(&mut self, path: &[String], names: impl Iterator<Item = &'n String>) {
        for name in names {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            self.names(&path, Name::Label(name.clone()));
        }
    }

    fn inhibit(&mut self, n: usize, entry: InhibitEntry) -> InhibitRule {
        let path = |key: &str| ["inhibit_rules".to_owned(), n.to_string(), key.to_owned()];
        if entry.source_matchers.is_empty() || entry.target_matchers.is_empty() {
            self.problem_at(
                &["inhibit_rules".to_owned(), n.to_string()],
                "source_matchers and target_matchers need at least one matcher each".to_owned(),
            );
        }
        let rule = InhibitRule {
            source: self.matchers(&path("source_matchers"), &entry.source_matchers),
            target: self.matchers(&path("target_matchers"), &entry.target_matchers),
            equal: entry.equal,
        };
        self.labels(&path("equal"), rule.equal.iter());
        rule
    }

    fn people(
        &mut self,
        entries: BTreeMap<String, PersonEntry>,
        receivers: &BTreeSet<String>,
    ) -> BTreeMap<String, Person> {
        let names: Vec<String> = entries.keys().cloned().collect();
        let mut people = BTreeMap::new();
        for (name, entry) in entries {
            let path = |key: &str| ["people".to_owned(), name.clone(), key.to_owned()];
            self.must_be_there(&path("receiver"), &entry.receiver, receivers);
            if let Some(manager) = &entry.manager
                && !names.contains(manager)
            {
                let hint = hint(manager, names.iter().map(String::as_str));
                self.problem_at(
                    &path("manager"),
                    format!("'{manager}' is not one of people; {hint}"),
                );
            }
            if entry.manager.as_ref() == Some(&name) {
                self.problem_at(
                    &path("manager"),
                    format!("'{name}' cannot be their own manager; name another of people, or leave it out"),
                );
            }
            let person = Person {
                receiver: entry.receiver,
                manager: entry.manager,
            };
            people.insert(name, person);
        }
        people
    }

    fn digest(
        &mut self,
        name: String,
        entry: DigestEntry,
        receivers: &BTreeSet<String>,
    ) -> Option<DigestPlan> {
        let path = |key: &str| ["digests".to_owned(), name.clone(), key.to_owned()];
        self.must_be_there(&path("receiver"), &entry.receiver, receivers);
        let matchers = self.matchers(&path("matchers"), &entry.matchers);
        let zone = match &entry.time_zone {
            None => None,
            Some(zone) => Some(self.zone(&path("time_zone"), zone)?),
        };
        let cron = match Schedule::from_str(&entry.cron) {
            Ok(cron) => cron,
            Err(message) => {
                self.problem_at(&path("cron"), message);
                return None;
            }
        };
        let Some(gap) = cron.shortest_gap() else {
            self.problem_at(
                &path("cron"),
                format!("'{}' never comes: no month has such a day; write \"0 9 1 * *\" for the first of each month", entry.cron),
            );
            return None;
        };
        if entry.jitter.is_some_and(|jitter| jitter.0 > gap) {
            self.problem_at(
                &path("jitter"),
                format!(
                    "a digest may not go later than the next one, and '{}' comes every {}; write a shorter jitter",
                    entry.cron,
                    length(gap.as_secs(), Language::En)
                ),
            );
        }
        Some(DigestPlan {
            cron,
            zone,
            receiver: entry.receiver,
            matchers,
            skip_if_empty: entry.skip_if_empty.unwrap_or(true),
            jitter: or(entry.jitter, gap.min(JITTER)),
            name,
        })
    }

    fn manners(&mut self, entry: AlertsEntry) -> Manners {
        let usual = Manners::default();
        let storm = Guard {
            max: entry.storm_max.unwrap_or(usual.storm.max),
            window: or(entry.storm_window, usual.storm.window),
        };
        let flap = Guard {
            max: entry.flap_max.unwrap_or(usual.flap.max),
            window: or(entry.flap_window, usual.flap.window),
        };
        let refire_window = or(entry.refire_window, usual.refire_window);
        if !STORM_WINDOW.contains(&storm.window.as_secs()) {
            self.problem(
                &["alerts", "storm_window"],
                "new alerts are counted over 1s to 1h; 1m is usual",
            );
        }
        if !(2..=FIRED_MAX).contains(&flap.max) {
            self.problem(
                &["alerts", "flap_max"],
                format!("an alert flaps from 2 to {FIRED_MAX} episodes on; 5 is usual"),
            );
        }
        if !(SignedDuration::from_mins(1)..=HISTORY_WINDOW).contains(&flap.window) {
            self.problem(
                &["alerts", "flap_window"],
                "episodes are counted over 1m to 24h; 1h is usual",
            );
        }
        if refire_window > HISTORY_WINDOW {
            self.problem(
                &["alerts", "refire_window"],
                "an alert is back again within 24h at most; 1h is usual, 0s for never",
            );
        }
        let retention = Retention {
            episodes: or(entry.keep_episodes, usual.retention.episodes),
            notices: or(entry.keep_notices, usual.retention.notices),
        };
        for (key, kept) in [
            ("keep_episodes", retention.episodes),
            ("keep_notices", retention.notices),
        ] {
            if !KEPT.contains(&kept.as_secs()) {
                self.problem(
                    &["alerts", key],
                    "what is over is kept for 7d to 36500d: corrections are told within the first 7 days",
                );
            }
        }
        if entry.storm_max == Some(0) {
            self.problem(&["alerts", "storm_max"], "at least one alert must be told");
        }
        if entry
            .explain_share
            .is_some_and(|share| !(0.0..=1.0).contains(&share))
        {
            self.problem(
                &["alerts", "explain_share"],
                "a share lies between 0 and 1; 0.2 is usual",
            );
        }
        if entry.max_per_rule == Some(0) {
            self.problem(
                &["alerts", "max_per_rule"],
                "at least one alert must be kept of a rule",
            );
        }
        if entry.ack_ttl.is_some_and(|ttl| ttl.0.is_zero()) {
            self.problem(
                &["alerts", "ack_ttl"],
                "an acknowledgement must hold for some time; 24h is usual",
            );
        }
        let catchup_max = or(entry.catchup_max, usual.catchup_max);
        if !CATCHUP_MAX.contains(&catchup_max.as_secs()) {
            self.problem(
                &["alerts", "catchup_max"],
                "catching up may take 1s to 24h before people are told; 10m is usual",
            );
        }
        Manners {
            catchup_max,
            storm,
            flap,
            retention,
            error_for: or(entry.error_for, usual.error_for),
            refire_window,
            ack_ttl: or(entry.ack_ttl, usual.ack_ttl),
            remind_before: or(entry.remind_before, usual.remind_before),
            explain_share: entry.explain_share.unwrap_or(usual.explain_share),
            inhibit_release_wait: entry.inhibit_release_wait.map(|time| time.0),
            max_per_rule: entry.max_per_rule.unwrap_or(usual.max_per_rule),
            resolve_when_silenced: entry.resolve_when_silenced.unwrap_or(usual.resolve_when_silenced),
        }
    }
}

fn or(time: Option<Time>, otherwise: SignedDuration) -> SignedDuration {
    time.map_or(otherwise, |time| time.0)
}

fn whom(to: Option<Whom>, receiver: String) -> To {
    match to {
        None => To::Receiver(receiver),
        Some(Whom::Owner) => To::Owner(receiver),
        Some(Whom::Manager) => To::Manager(receiver),
        Some(Whom::ParentOwner) => To::ParentOwner(receiver),
    }
}

/// The nearest known name, else all of them.
pub(super) fn hint<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    match nearest(name, known.clone()) {
        Some(near) => format!("did you mean '{near}'?"),
        None => match known.collect::<Vec<_>>().join(", ") {
            all if all.is_empty() => "none is declared".to_owned(),
            all => format!("known are {all}"),
        },
    }
}
