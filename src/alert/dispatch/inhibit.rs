//! Inhibition: alerts that others explain are not told. By rules on labels, as in Alertmanager, and by the tree: a parent
//! that is told explains those of its parts that matter little, a broken feed everything that is computed from it, and what
//! most links of a node say together what each of them says.

use hashbrown::HashMap;

use super::World;
use super::matcher::{Matcher, matches_all};
use super::route::{Routing, matched_labels};
use crate::alert::record::{AlertRecord, Fingerprint, Labels};
use crate::alert::transition::is_running;
use crate::catalog::attribute::DriftKind;

/// Kinds that say of a node by itself that it is behind.
const NODE_KINDS: [&str; 2] = ["behind_pace", "target_at_risk"];

/// While an alert that meets `source` fires, those that meet `target` and share the values of `equal` are not told.
#[derive(Clone, PartialEq, Debug)]
pub struct InhibitRule {
    /// Of the alert that explains.
    pub source: Vec<Matcher>,
    /// Of the alerts that are explained.
    pub target: Vec<Matcher>,
    /// Labels that both must share; a missing one is empty.
    pub equal: Vec<String>,
}

/// Which alert explains which.
#[derive(Debug, Default)]
pub(super) struct Explained {
    by: HashMap<Fingerprint, Fingerprint>,
}

impl Explained {
    /// What explains an alert, if something does.
    pub(super) fn by(&self, fingerprint: Fingerprint) -> Option<Fingerprint> {
        self.by.get(&fingerprint).copied()
    }

    /// What an alert explains.
    pub(super) fn of(&self, source: Fingerprint) -> impl Iterator<Item = Fingerprint> {
        self.by
            .iter()
            .filter(move |(_, by)| **by == source)
            .map(|(target, _)| *target)
    }
}

/// Finds what explains what among the alerts that are open. Only what is firing, or not over yet, explains.
pub(super) fn explained(routing: &Routing, world: &dyn World, open: &[&AlertRecord]) -> Explained {
    let running: Vec<(&AlertRecord, Labels)> = open
        .iter()
        .filter(|record| is_running(record))
        .map(|record| (*record, matched_labels(record)))
        .collect();
    let mut explained = Explained::default();
    let mut feeds = Feeds::default();
    let mut shared = Vec::new();
    let mut parents: HashMap<(&str, Option<&str>), &AlertRecord> = HashMap::new();
    for (record, _) in &running {
        if is_feed(record) {
            feeds.add(record);
        } else if record.facts.shared.is_some() {
            shared.push(*record);
        } else if let (Some(node), true) = (label(record, "node"), is_of_node(record)) {
            parents.entry((node, label(record, "period"))).or_insert(record);
        }
    }
    for (target, labels) in &running {
        let source = by_rules(routing, &running, target, labels)
            .or_else(|| feeds.explain(world, target))
            .or_else(|| by_shared(world, &shared, target))
            .or_else(|| by_parent(routing, world, &parents, target));
        if let Some(source) = source {
            explained.by.insert(target.fingerprint, source);
        }
    }
    explained
}

fn by_rules(
    routing: &Routing,
    running: &[(&AlertRecord, Labels)],
    target: &AlertRecord,
    labels: &Labels,
) -> Option<Fingerprint> {
    routing.inhibit.iter().find_map(|rule| {
        if !matches_all(&rule.target, labels) {
            return None;
        }
        let is_both = matches_all(&rule.source, labels);
        let value = |labels: &Labels, name: &str| labels.get(name).cloned().unwrap_or_default();
        let source = running.iter().find(|(source, of_source)| {
            source.fingerprint != target.fingerprint
                && matches_all(&rule.source, of_source)
                // Two alerts that are both, source and target, do not silence each other.
                && !(is_both && matches_all(&rule.target, of_source))
                && rule.equal.iter().all(|name| value(labels, name) == value(of_source, name))
        });
        source.map(|(source, _)| source.fingerprint)
    })
}

/// Feeds that are broken.
#[derive(Default)]
struct Feeds<'r> {
    /// Alerts about sources.
    sources: Vec<&'r AlertRecord>,
    /// Alerts about the feed of a node, by the node.
    nodes: HashMap<&'r str, &'r AlertRecord>,
}

impl<'r> Feeds<'r> {
    fn add(&mut self, feed: &'r AlertRecord) {
        match silent_node(feed) {
            Some(node) => {
                self.nodes.entry(node).or_insert(feed);
            }
            None => self.sources.push(feed),
        }
    }

    /// A broken feed explains whatever is computed from it. Of feeds themselves only that of a source of which nothing comes
    /// explains one: that of a node which is silent.
    fn explain(&self, world: &dyn World, target: &AlertRecord) -> Option<Fingerprint> {
        let reads = |node: &str, source: &AlertRecord| {
            label(source, "source").is_some_and(|name| world.reads(node, name))
        };
        if is_feed(target) {
            let is_gap = target.kind == DriftKind::FeedGap.as_str();
            let node = silent_node(target).filter(|_| is_gap)?;
            let is_silent = |source: &&&AlertRecord| {
                let of_source = source.facts.source.as_ref();
                of_source.is_some_and(|of| of.silent.is_some()) && reads(node, source)
            };
            return self
                .sources
                .iter()
                .find(is_silent)
                .map(|source| source.fingerprint);
        }
        let mut nodes = [label(target, "node"), label(target, "parent")]
            .into_iter()
            .flatten();
        nodes.find_map(|node| {
            let of_source = self.sources.iter().find(|source| reads(node, source));
            let broken = of_source.or_else(|| self.nodes.get(node));
            broken.map(|feed| feed.fingerprint)
        })
    }
}

/// The node whose feed an alert is about; `None` of a source.
fn silent_node(feed: &AlertRecord) -> Option<&str> {
    let stream = feed.facts.link.as_ref().and_then(|link| link.stream.as_deref());
    let side = match stream {
        Some("parent") => "parent",
        _ => "node",
    };
    label(feed, side)
}

/// What most links of a node say together explains what each of them says: one shock is told once. Where it is said of a whole
/// node and of an instance, of the whole.
fn by_shared(world: &dyn World, shared: &[&AlertRecord], target: &AlertRecord) -> Option<Fingerprint> {
    let is_told = DriftKind::of(&target.kind).is_some() || target.facts.shared.is_some();
    if !is_told || is_feed(target) {
        return None;
    }
    let holds =
        |source: &&&AlertRecord| source.fingerprint != target.fingerprint && world.shares(source, target);
    let sources = shared.iter().filter(holds);
    sources
        .min_by_key(|source| source.labels.len())
        .map(|source| source.fingerprint)
}

/// A parent that is behind explains its parts that are, unless one makes up a good share of the gap. What a link says of
/// a KPI and its parent is an explanation itself: no node explains it.
fn by_parent(
    routing: &Routing,
    world: &dyn World,
    parents: &HashMap<(&str, Option<&str>), &AlertRecord>,
    target: &AlertRecord,
) -> Option<Fingerprint> {
    if !is_of_node(target) {
        return None;
    }
    let parent = world.parent_of(label(target, "node")?)?;
    let source = parents.get(&(parent, label(target, "period")))?;
    let share = world.share(target)?;
    (share < routing.manners.explain_share).then_some(source.fingerprint)
}

fn label<'r>(record: &'r AlertRecord, name: &str) -> Option<&'r str> {
    record.labels.get(name).map(String::as_str)
}

fn is_feed(record: &AlertRecord) -> bool {
    DriftKind::is_about_feeds(&record.kind)
}

/// Whether it says that a node is behind, by itself.
fn is_of_node(record: &AlertRecord) -> bool {
    NODE_KINDS.contains(&record.kind.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::identity::fingerprint;
    use crate::alert::record::AlertState;
    use crate::alert::tests::nothing;
    use crate::catalog::Severity;
    use jiff::Timestamp;

    fn alert(node: &str, severity: Severity, labels: &[(&str, &str)]) -> AlertRecord {
        let named = [("node", node)].into_iter().chain(labels.iter().copied());
        let labels: Labels = named
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        AlertRecord {
            fingerprint: fingerprint("hollow", &labels),
            state: AlertState::Firing,
            ..AlertRecord::sample(labels, severity)
        }
    }

    /// Which of these explains which, by node: `b by a`.
    fn found(target: &str, equal: &[&str], alerts: &[AlertRecord]) -> Vec<String> {
        let matchers = |text: &str| vec![Matcher::parse(text).unwrap()];
        let routing = Routing {
            inhibit: vec![InhibitRule {
                source: matchers("severity=critical"),
                target: matchers(target),
                equal: equal.iter().map(|name| (*name).to_owned()).collect(),
            }],
            ..Routing::default()
        };
        let open: Vec<&AlertRecord> = alerts.iter().collect();
        let explained = explained(&routing, &nothing(), &open);
        let name = |fingerprint: Fingerprint| {
            let named = alerts.iter().find(|alert| alert.fingerprint == fingerprint);
            named.map_or("?", |alert| &alert.labels["node"])
        };
        let pairs = alerts.iter().filter_map(|alert| {
            let by = explained.by(alert.fingerprint)?;
            Some(format!("{} by {}", alert.labels["node"], name(by)))
        });
        pairs.collect()
    }

    #[test]
    fn an_alert_explains_neither_itself_nor_another_that_is_both() {
        let (one, other) = (
            alert("a", Severity::Critical, &[]),
            alert("b", Severity::Critical, &[]),
        );
        let everything = "node=~.+";
        assert!(found(everything, &[], std::slice::from_ref(&one)).is_empty());
        assert!(found(everything, &[], &[one.clone(), other]).is_empty());
        let milder = alert("c", Severity::Warning, &[]);
        assert_eq!(found(everything, &[], &[one, milder]), ["c by a"]);
    }

    #[test]
    fn a_label_that_must_be_equal_and_is_missing_is_empty() {
        let source = alert("a", Severity::Critical, &[]);
        let (none, empty) = (
            alert("b", Severity::Warning, &[]),
            alert("c", Severity::Warning, &[("region", "")]),
        );
        let elsewhere = alert("d", Severity::Warning, &[("region", "east")]);
        let alerts = [source, none, empty, elsewhere.clone()];
        let target = "severity=warning";
        assert_eq!(found(target, &["region"], &alerts), ["b by a", "c by a"]);
        let east = alert("e", Severity::Critical, &[("region", "east")]);
        assert_eq!(found(target, &["region"], &[east, elsewhere]), ["d by e"]);
    }

    #[test]
    fn what_is_only_pending_explains_nothing_and_what_recovers_still_does() {
        let target = alert("b", Severity::Warning, &[]);
        let since = Timestamp::UNIX_EPOCH;
        for (state, explains) in [
            (AlertState::Pending { since }, false),
            (AlertState::Inactive, false),
            (AlertState::Recovering { since }, true),
            (AlertState::Firing, true),
        ] {
            let source = AlertRecord {
                state,
                ..alert("a", Severity::Critical, &[])
            };
            let pairs = found("severity=warning", &[], &[source, target.clone()]);
            assert_eq!(!pairs.is_empty(), explains, "{state:?}");
        }
    }
}
