//! Inhibition: alerts that others explain are not told. By rules on labels, as in Alertmanager, and by the tree: a parent
//! that is told explains those of its parts that matter little, a broken feed everything that is computed from it, and what
//! most links of a node say together what each of them says.

use hashbrown::{HashMap, HashSet};
use smallvec::SmallVec;

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
    // Only the rules of the settings ask for them.
    let labels_of = |record: &AlertRecord| match routing.inhibit.is_empty() {
        true => Labels::new(),
        false => matched_labels(record),
    };
    let running: Vec<(&AlertRecord, Labels)> = open
        .iter()
        .filter(|record| is_running(record))
        .map(|record| (*record, labels_of(record)))
        .collect();
    let mut explained = Explained::default();
    let mut feeds = Feeds::default();
    let mut shared = Vec::new();
    let mut parents = Parents::default();
    for (record, _) in &running {
        if is_feed(record) {
            feeds.add(world, record);
        } else if record.facts.shared.is_some() {
            shared.push(*record);
        } else if let (Some(node), true) = (label(record, "node"), is_of_node(record)) {
            parents.add(world, node, record);
        }
    }
    let sources: Vec<Sources<'_>> = routing
        .inhibit
        .iter()
        .map(|rule| Sources::of(rule, &running))
        .collect();
    for (target, labels) in &running {
        let source = sources
            .iter()
            .find_map(|sources| sources.explain(labels))
            .or_else(|| feeds.explain(target))
            .or_else(|| by_shared(world, &shared, target))
            .or_else(|| parents.explain(routing, world, target));
        if let Some(source) = source {
            explained.by.insert(target.fingerprint, source);
        }
    }
    explained
}

/// The alerts that explain by one rule, by the values of its `equal`.
struct Sources<'r> {
    rule: &'r InhibitRule,
    by_values: HashMap<Values<'r>, Found>,
}

/// The first sources with the same values.
#[derive(Default)]
struct Found {
    any: Option<Fingerprint>,
    /// One that is not a target as well.
    pure: Option<Fingerprint>,
}

impl<'r> Sources<'r> {
    fn of(rule: &'r InhibitRule, running: &'r [(&AlertRecord, Labels)]) -> Sources<'r> {
        let mut by_values: HashMap<Values<'r>, Found> = HashMap::new();
        let sources = running
            .iter()
            .filter(|(_, labels)| matches_all(&rule.source, labels));
        for (source, labels) in sources {
            let found = by_values.entry(values(labels, &rule.equal)).or_default();
            found.any.get_or_insert(source.fingerprint);
            if !matches_all(&rule.target, labels) {
                found.pure.get_or_insert(source.fingerprint);
            }
        }
        Sources { rule, by_values }
    }

    fn explain(&self, labels: &'r Labels) -> Option<Fingerprint> {
        if !matches_all(&self.rule.target, labels) {
            return None;
        }
        let found = self.by_values.get(&values(labels, &self.rule.equal))?;
        // Two alerts that are both, source and target, do not silence each other.
        match matches_all(&self.rule.source, labels) {
            true => found.pure,
            false => found.any,
        }
    }
}

/// Feeds that are broken.
#[derive(Default)]
struct Feeds<'r> {
    /// Alerts about sources, each with the nodes that are computed from it.
    sources: Vec<(&'r AlertRecord, HashSet<&'r str>)>,
    /// Alerts about the feeds of nodes, by the node.
    nodes: HashMap<&'r str, OfNode<'r>>,
}

/// Alerts about a node's instances.
struct OfNode<'r> {
    /// The dimensions that tell its instances apart.
    each: &'r [String],
    /// By their values.
    instances: HashMap<Values<'r>, &'r AlertRecord>,
}

impl<'r> OfNode<'r> {
    fn new(world: &'r dyn World, node: &str) -> OfNode<'r> {
        OfNode {
            each: world.each_of(node),
            instances: HashMap::new(),
        }
    }

    fn add(&mut self, record: &'r AlertRecord) {
        let values = values(&record.labels, self.each);
        self.instances.entry(values).or_insert(record);
    }

    /// That of the instance which an alert is about, or a part of.
    fn of(&self, target: &'r AlertRecord) -> Option<&'r AlertRecord> {
        self.instances.get(&values(&target.labels, self.each)).copied()
    }
}

type Values<'r> = SmallVec<[&'r str; 2]>;

/// The values of some labels; a missing one is empty.
fn values<'r>(labels: &'r Labels, names: &[String]) -> Values<'r> {
    let value = |name: &String| labels.get(name).map(String::as_str);
    names.iter().map(|name| value(name).unwrap_or_default()).collect()
}

impl<'r> Feeds<'r> {
    fn add(&mut self, world: &'r dyn World, feed: &'r AlertRecord) {
        let Some(node) = silent_node(feed) else {
            let readers = label(feed, "source").map(|source| world.readers(source));
            let readers = readers.into_iter().flatten().collect();
            return self.sources.push((feed, readers));
        };
        let of_node = self.nodes.entry(node).or_insert_with(|| OfNode::new(world, node));
        of_node.add(feed);
    }

    /// A broken feed explains whatever is computed from it: that of one instance nothing of another. Of feeds themselves only
    /// that of a source of which nothing comes explains one: that of a node which is silent.
    fn explain(&self, target: &'r AlertRecord) -> Option<Fingerprint> {
        if is_feed(target) {
            let is_gap = target.kind == DriftKind::FeedGap.as_str();
            let node = silent_node(target).filter(|_| is_gap)?;
            let is_silent = |(source, readers): &&(&AlertRecord, HashSet<&str>)| {
                let of_source = source.facts.source.as_ref();
                of_source.is_some_and(|of| of.silent.is_some()) && readers.contains(node)
            };
            let found = self.sources.iter().find(is_silent);
            return found.map(|(source, _)| source.fingerprint);
        }
        let mut nodes = [label(target, "node"), label(target, "parent")]
            .into_iter()
            .flatten();
        nodes.find_map(|node| {
            let of_source = self.sources.iter().find(|(_, readers)| readers.contains(node));
            let of_node = || self.nodes.get(node)?.of(target);
            let broken = of_source.map(|(source, _)| *source).or_else(of_node);
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

/// Nodes that are behind, by name and period: what is said of their instances.
#[derive(Default)]
struct Parents<'r>(HashMap<(&'r str, Option<&'r str>), OfNode<'r>>);

impl<'r> Parents<'r> {
    fn add(&mut self, world: &'r dyn World, node: &'r str, record: &'r AlertRecord) {
        let key = (node, label(record, "period"));
        let of_node = self.0.entry(key).or_insert_with(|| OfNode::new(world, node));
        of_node.add(record);
    }

    /// A parent that is behind explains its parts that are, unless one makes up a good share of the gap; the east of a parent
    /// nothing of the west. What a link says of a KPI and its parent is an explanation itself: no node explains it.
    fn explain(&self, routing: &Routing, world: &dyn World, target: &'r AlertRecord) -> Option<Fingerprint> {
        if !is_of_node(target) {
            return None;
        }
        let parent = world.parent_of(label(target, "node")?)?;
        let of_node = self.0.get(&(parent, label(target, "period")))?;
        let source = of_node.of(target)?;
        let share = world.share(target)?;
        // What is behind where its parent is ahead is no part of a gap.
        let is_small = (0.0..routing.manners.explain_share).contains(&share);
        is_small.then_some(source.fingerprint)
    }
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

    /// Visits of stores and what they sell, and sales of the whole, computed from orders.
    struct Shops(crate::catalog::Calendar);

    impl World for Shops {
        fn calendar(&self) -> &crate::catalog::Calendar {
            &self.0
        }
        fn parent_of(&self, node: &str) -> Option<&str> {
            (node == "visits").then_some("sales")
        }
        fn readers(&self, source: &str) -> Vec<&str> {
            if source == "orders" {
                vec!["sales", "all"]
            } else {
                Vec::new()
            }
        }
        fn each_of(&self, node: &str) -> &[String] {
            static STORE: std::sync::LazyLock<[String; 1]> =
                std::sync::LazyLock::new(|| ["store".to_owned()]);
            if node == "all" { &[] } else { &*STORE }
        }
        fn share(&self, record: &AlertRecord) -> Option<f64> {
            let is_ahead = record.labels["store"] == "20";
            Some(if is_ahead { -0.1 } else { 0.1 })
        }
        fn shares(&self, _: &AlertRecord, _: &AlertRecord) -> bool {
            false
        }
        fn causes(&self, _: &AlertRecord) -> Option<crate::alert::notice::Causes> {
            None
        }
        fn forecasts(&self) -> Vec<crate::alert::record::Figure> {
            Vec::new()
        }
        fn proposals(&self) -> Vec<&crate::evaluate::weights::Proposal> {
            Vec::new()
        }
        fn titled(&self, _: &crate::evaluate::weights::Proposal) -> crate::evaluate::weights::Titled {
            unreachable!("nothing is proposed")
        }
        fn final_facts(&self, _: &AlertRecord) -> Option<crate::alert::record::Facts> {
            None
        }
    }

    /// Of a link of a store: of its KPI, or of what it serves.
    fn gap(store: &str, stream: &str) -> AlertRecord {
        let mut record = AlertRecord {
            kind: "feed_gap".to_owned(),
            ..alert(
                "visits",
                Severity::WARNING,
                &[("parent", "sales"), ("store", store), ("gap", stream)],
            )
        };
        record.facts.link = Some(crate::alert::record::LinkFigure {
            stream: Some(stream.to_owned()),
            ..Default::default()
        });
        record
    }

    #[test]
    fn a_broken_feed_explains_what_is_computed_from_it_and_nothing_of_another_store() {
        let world = Shops(nothing());
        let by_gap = |gap: &AlertRecord, target: &AlertRecord| {
            let open = [gap, target];
            let explained = explained(&Routing::default(), &world, &open);
            explained.by(target.fingerprint).is_some()
        };
        let of = |node: &str, labels: &[(&str, &str)]| alert(node, Severity::WARNING, labels);
        let kpi = gap("17", "kpi");
        assert!(by_gap(
            &kpi,
            &of("visits", &[("parent", "sales"), ("store", "17")])
        ));
        assert!(!by_gap(
            &kpi,
            &of("visits", &[("parent", "sales"), ("store", "18")])
        ));
        assert!(
            !by_gap(&kpi, &of("visits", &[("parent", "sales")])),
            "nor of the whole"
        );
        assert!(
            !by_gap(&kpi, &of("sales", &[("store", "17")])),
            "which has a feed of its own"
        );
        let parent = gap("17", "parent");
        assert!(by_gap(&parent, &of("sales", &[("store", "17")])));
        assert!(by_gap(
            &parent,
            &of("visits", &[("parent", "sales"), ("store", "17")])
        ));
        assert!(!by_gap(
            &parent,
            &of("visits", &[("parent", "sales"), ("store", "18")])
        ));
        // A source explains all that is computed from it, and the silence of it only where nothing comes.
        let mut source = AlertRecord {
            kind: "feed_gap".to_owned(),
            ..alert("", Severity::WARNING, &[("source", "orders")])
        };
        source.labels.remove("node");
        source.facts.source = Some(Default::default());
        assert!(by_gap(&source, &of("sales", &[("store", "18")])));
        assert!(!by_gap(&source, &of("costs", &[])));
        assert!(!by_gap(&source, &parent));
        source.facts.source.as_mut().unwrap().silent = Some(Default::default());
        assert!(by_gap(&source, &parent));
        assert!(!by_gap(&source, &kpi));
    }

    #[test]
    fn an_instance_that_is_behind_explains_its_own_parts_and_none_of_another() {
        let world = Shops(nothing());
        let behind = |node: &str, store: &str, period: &str| AlertRecord {
            kind: "behind_pace".to_owned(),
            ..alert(node, Severity::WARNING, &[("store", store), ("period", period)])
        };
        let sales = behind("sales", "17", "2026-06");
        let explains = |visits: AlertRecord| {
            let explained = explained(&Routing::default(), &world, &[&sales, &visits]);
            explained.by(visits.fingerprint).is_some()
        };
        assert!(explains(behind("visits", "17", "2026-06")));
        assert!(!explains(behind("visits", "18", "2026-06")));
        assert!(!explains(behind("visits", "17", "2026-07")));
        // One whose parent is ahead is no part of a gap.
        let sales = behind("sales", "20", "2026-06");
        let visits = behind("visits", "20", "2026-06");
        let explained = explained(&Routing::default(), &world, &[&sales, &visits]);
        assert!(explained.by(visits.fingerprint).is_none());
    }

    #[test]
    fn an_alert_explains_neither_itself_nor_another_that_is_both() {
        let (one, other) = (
            alert("a", Severity::CRITICAL, &[]),
            alert("b", Severity::CRITICAL, &[]),
        );
        let everything = "node=~.+";
        assert!(found(everything, &[], std::slice::from_ref(&one)).is_empty());
        assert!(found(everything, &[], &[one.clone(), other]).is_empty());
        let milder = alert("c", Severity::WARNING, &[]);
        assert_eq!(found(everything, &[], &[one, milder]), ["c by a"]);
    }

    #[test]
    fn a_label_that_must_be_equal_and_is_missing_is_empty() {
        let source = alert("a", Severity::CRITICAL, &[]);
        let (none, empty) = (
            alert("b", Severity::WARNING, &[]),
            alert("c", Severity::WARNING, &[("region", "")]),
        );
        let elsewhere = alert("d", Severity::WARNING, &[("region", "east")]);
        let alerts = [source, none, empty, elsewhere.clone()];
        let target = "severity=warning";
        assert_eq!(found(target, &["region"], &alerts), ["b by a", "c by a"]);
        let east = alert("e", Severity::CRITICAL, &[("region", "east")]);
        assert_eq!(found(target, &["region"], &[east, elsewhere]), ["d by e"]);
    }

    #[test]
    fn what_is_only_pending_explains_nothing_and_what_recovers_still_does() {
        let target = alert("b", Severity::WARNING, &[]);
        let since = Timestamp::UNIX_EPOCH;
        for (state, explains) in [
            (AlertState::Pending { since }, false),
            (AlertState::Inactive, false),
            (AlertState::Recovering { since }, true),
            (AlertState::Firing, true),
        ] {
            let source = AlertRecord {
                state,
                ..alert("a", Severity::CRITICAL, &[])
            };
            let pairs = found("severity=warning", &[], &[source, target.clone()]);
            assert_eq!(!pairs.is_empty(), explains, "{state:?}");
        }
    }

    /// Every pair, looked at one by one: what the rule says, without an index.
    fn searched(rule: &InhibitRule, alerts: &[AlertRecord]) -> Vec<Option<usize>> {
        let labels: Vec<Labels> = alerts.iter().map(matched_labels).collect();
        let value = |labels: &Labels, name: &String| labels.get(name).cloned().unwrap_or_default();
        let explains = |source: usize, target: usize| {
            let is_both =
                |of: usize| matches_all(&rule.source, &labels[of]) && matches_all(&rule.target, &labels[of]);
            source != target
                && matches_all(&rule.source, &labels[source])
                && matches_all(&rule.target, &labels[target])
                && !(is_both(source) && is_both(target))
                && rule
                    .equal
                    .iter()
                    .all(|name| value(&labels[source], name) == value(&labels[target], name))
        };
        let all = 0..alerts.len();
        all.clone()
            .map(|target| all.clone().find(|source| explains(*source, target)))
            .collect()
    }

    proptest::proptest! {
        #[test]
        fn an_index_finds_what_a_search_would(
            drawn in proptest::collection::vec((proptest::bool::ANY, 0usize..3, 0usize..3), 0..25),
            equal in proptest::sample::subsequence(vec!["region", "team"], 0..=2),
            target in proptest::sample::select(vec!["severity=warning", "node=~.+", "team!=blue"]),
        ) {
            let words = ["", "blue", "red"];
            let alerts: Vec<AlertRecord> = drawn.iter().enumerate().map(|(n, (critical, region, team))| {
                let mut labels = vec![("team", words[*team])];
                labels.extend((*region > 0).then(|| ("region", words[*region])));
                let severity = if *critical { Severity::CRITICAL } else { Severity::WARNING };
                alert(&format!("n{n}"), severity, &labels)
            }).collect();
            let rule = InhibitRule {
                source: vec![Matcher::parse("severity=critical").unwrap()],
                target: vec![Matcher::parse(target).unwrap()],
                equal: equal.iter().map(|name| (*name).to_owned()).collect(),
            };
            let named = |n: usize| alerts[n].labels["node"].clone();
            let expected: Vec<String> = searched(&rule, &alerts).into_iter().enumerate().filter_map(|(target, source)| {
                Some(format!("{} by {}", named(target), named(source?)))
            }).collect();
            proptest::prop_assert_eq!(found(target, &equal, &alerts), expected);
        }
    }
}
