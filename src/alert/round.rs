//! A round of questions: which rules are asked about which nodes, links, items, sources and siblings at a step.
//!
//! At first, once a minute of the watermark, and when a day closes that is all of them. In between, only what changed is asked
//! about, and what has to be looked at anyway: identities that breach or cannot be judged, and those of which there are records.
//! (So a rule that failed is asked again where it did, and says that it is well.)

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashSet;
use jiff::Timestamp;

use super::feed_standing::FeedStandings;
use super::identity::Fingerprint;
use super::judge::{Judged, Subjected};
use super::sample::{Condition, Sample};
use super::{shared, source};
use crate::catalog::attribute::{Attribute, Subject, vocabulary_of};
use crate::catalog::{Catalog, Role, Rule, RuleOn};
use crate::evaluate::instances::{Arrivals, Family, number};
use crate::evaluate::{Changed, NodeState, Period, Snapshot};

/// Names and ends of the periods of a snapshot: as many as there are kinds of period, however many instances.
#[derive(Debug, Default)]
pub(super) struct Periods(Vec<PeriodName>);

/// What a period is called, and when it is over.
#[derive(Debug)]
pub(super) struct PeriodName {
    period: Period,
    /// Index of the calendar that names it.
    calendar: Option<usize>,
    pub(super) id: String,
    pub(super) ends_at: Timestamp,
}

impl Periods {
    /// The periods of a snapshot.
    pub(super) fn of(catalog: &Catalog, snapshot: &Snapshot) -> Periods {
        let mut periods = Periods(Vec::new());
        for state in &snapshot.instances {
            if periods.name(catalog, state).is_none() {
                let node = catalog.node(state.key.node);
                let calendar = catalog.calendar_of(node);
                periods.0.push(PeriodName {
                    period: state.period,
                    calendar: catalog.metric(node.metric).calendar,
                    id: state.period.id(calendar),
                    ends_at: state.period.ends_at(calendar),
                });
            }
        }
        periods
    }

    pub(super) fn name(&self, catalog: &Catalog, state: &NodeState) -> Option<&PeriodName> {
        let calendar = catalog.metric(catalog.node(state.key.node).metric).calendar;
        self.0
            .iter()
            .find(|known| known.period == state.period && known.calendar == calendar)
    }
}

/// Where there are alert records. Elsewhere only what breaches is worth a sample: of the many identities that are well
/// and always were, not even the fingerprint is made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Known<'r> {
    /// Everything is looked at.
    Everywhere,
    /// Of these rules and nodes.
    At(HashSet<(&'r str, &'r str)>),
}

impl Known<'_> {
    pub(super) fn holds(&self, rule: &str, node: &str) -> bool {
        match self {
            Known::Everywhere => true,
            Known::At(pairs) => pairs.contains(&(rule, node)),
        }
    }
}

/// What a step leaves for the next one.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Number of the snapshot that was asked about; `None` before the first.
    serial: Option<u64>,
    /// Instances by their position, by rule: to be asked about again, whether they changed or not.
    at: Vec<Vec<u32>>,
    periods: Arc<Periods>,
    feeds: FeedStandings,
    failures: Arc<BTreeMap<String, String>>,
}

/// What the questions of a step are asked about.
pub struct Scene<'a> {
    catalog: &'a Catalog,
    snapshot: &'a Snapshot,
    family: Arc<Family>,
    periods: Arc<Periods>,
    feeds: FeedStandings,
    /// What may have changed, and what of it was not there before; `None`: everything.
    changed: Option<(&'a [u32], &'a Arrivals)>,
}

/// The answers.
#[derive(Default)]
pub(super) struct Round<'a> {
    pub(super) samples: Vec<Sample<'a, Subjected<'a>>>,
    /// Instances that the next round asks about as well, if there are records of them, or anyway.
    places: Vec<Place>,
}

/// Instances about which all rules are asked before the next: a few hundred kilobytes.
const NEAR: usize = 256;

struct Place {
    rule: usize,
    at: u32,
    /// `None`: it is asked about anyway.
    if_held: Option<Fingerprint>,
}

impl Watch {
    /// Rules that could not be evaluated at the last step, each with the first node where it could not, and why.
    pub(super) fn failures(&self) -> &Arc<BTreeMap<String, String>> {
        &self.failures
    }

    pub(super) fn scene<'a>(&self, catalog: &'a Catalog, snapshot: &'a Snapshot) -> Scene<'a> {
        let feeds = FeedStandings::of(catalog, snapshot);
        let has_name = |at: &u32| {
            let state = &snapshot.instances[*at as usize];
            self.periods.name(catalog, state).is_some()
        };
        let changed = match &snapshot.changed {
            Changed::Some { at, arrivals } => Some((at.as_slice(), arrivals)).filter(|(at, _)| {
                let follows = self.serial.is_some_and(|serial| serial + 1 == snapshot.serial);
                follows && feeds == self.feeds && at.iter().all(has_name)
            }),
            Changed::All => None,
        };
        Scene {
            catalog,
            snapshot,
            family: snapshot.family(),
            periods: match changed {
                Some(_) => self.periods.clone(),
                None => Arc::new(Periods::of(catalog, snapshot)),
            },
            feeds,
            changed,
        }
    }

    /// Asks about what changed, and what is to be looked at anyway.
    pub(super) fn round<'a>(&self, scene: &'a Scene<'a>, known: &Known<'_>) -> Round<'a> {
        let mut round = Round::default();
        let changed = scene.changed;
        let mut of_all = match changed {
            Some(_) => Vec::new(),
            None => Round::of_all(scene, known),
        };
        for (index, rule) in scene.catalog.rules.iter().enumerate() {
            match (rule.on, changed) {
                (RuleOn::Source, _) => {
                    let sources = &scene.catalog.sources;
                    let of_sources = source::samples(rule, sources, &scene.snapshot.intake, known);
                    let samples = of_sources.into_iter();
                    round
                        .samples
                        .extend(samples.map(|sample| sample.map(Subjected::Source)));
                }
                (RuleOn::Siblings, _) => {
                    let of_siblings = shared::samples(rule, scene.catalog, scene.snapshot, known);
                    let samples = of_siblings.map(|sample| sample.map(Subjected::Siblings));
                    round.samples.extend(samples);
                }
                (RuleOn::Item, _) => round.ask_of_items(scene, rule, known),
                (RuleOn::Node | RuleOn::Link, None) => round.append(std::mem::take(&mut of_all[index])),
                (RuleOn::Node | RuleOn::Link, Some((changed, arrivals))) => {
                    let watched = self.at.get(index).map_or(&[][..], Vec::as_slice);
                    let watched: Cow<'_, [u32]> = match arrivals.is_empty() {
                        true => watched.into(),
                        false => watched.iter().map(|at| arrivals.moved(*at)).collect(),
                    };
                    for at in scene.to_ask(rule, (changed, arrivals), &watched) {
                        round.ask(scene, (index, rule), at, watched.binary_search(&at).is_ok());
                    }
                }
            }
        }
        round
    }
}

impl<'a> Scene<'a> {
    /// All of a snapshot.
    pub fn of(catalog: &'a Catalog, snapshot: &'a Snapshot) -> Scene<'a> {
        Watch::default().scene(catalog, snapshot)
    }

    /// What every rule says of every identity that is known or breaches.
    pub fn samples(&'a self, known: &Known<'_>) -> Vec<Sample<'a, Subjected<'a>>> {
        Watch::default().round(self, known).samples
    }

    /// Positions of the instances that a rule is asked about again, ascending.
    fn to_ask(&self, rule: &Rule, (changed, arrivals): (&[u32], &Arrivals), watched: &[u32]) -> Vec<u32> {
        let mut to_ask: Vec<u32> = changed.iter().chain(watched).copied().collect();
        let mut ask_children = |of: u32| to_ask.extend_from_slice(self.family.children(of as usize));
        match rule.on {
            RuleOn::Link if asks_parent(rule) => changed.iter().for_each(|at| ask_children(*at)),
            // Before their parent was there, no rule on links was about them.
            RuleOn::Link => arrivals.positions().for_each(ask_children),
            _ => {}
        }
        to_ask.sort_unstable();
        to_ask.dedup();
        to_ask
    }

    /// A rule about an instance; `None` where it does not apply.
    fn judged(&'a self, rule: &'a Rule, at: usize) -> Option<Judged<'a>> {
        let (catalog, snapshot) = (self.catalog, self.snapshot);
        let node: &NodeState = snapshot.instances.get(at)?;
        let declared = catalog.node(node.key.node);
        let parent = match rule.on {
            RuleOn::Link if declared.role != Role::Kpi => return None,
            RuleOn::Link => Some(&snapshot.instances[self.family.parent(at)?]),
            _ => None,
        };
        if !rule.applies_to(&declared.name) {
            return None;
        }
        Some(Judged {
            catalog,
            snapshot,
            rule,
            node,
            parent,
            item: None,
            period: self.periods.name(catalog, node)?,
            feeds: [node, parent.unwrap_or(node)].map(|state| self.feeds.of_node(state)),
        })
    }
}

/// Whether a rule on links reads numbers of the parent that change with every event.
fn asks_parent(rule: &Rule) -> bool {
    let asks = &vocabulary_of(rule.on).asks;
    let mut uses = rule.expressions().flat_map(|expr| expr.uses());
    uses.any(|index| asks[*index].subject == Subject::Parent || asks[*index].attribute == Attribute::Gap)
}

impl<'a> Round<'a> {
    /// Asks every rule on nodes or links about every instance; by rule. Of some instances all rules are asked before the next
    /// ones are looked at: to go through all of them for each rule is to read them from memory as often.
    fn of_all(scene: &'a Scene<'a>, known: &Known<'_>) -> Vec<Round<'a>> {
        let rules = &scene.catalog.rules;
        let of_nodes = |rule: &Rule| -> Vec<bool> {
            let nodes = scene.catalog.nodes.iter();
            nodes.map(|node| known.holds(&rule.name, &node.name)).collect()
        };
        let asked = (0..).zip(rules);
        let asked = asked.filter(|(_, rule)| matches!(rule.on, RuleOn::Node | RuleOn::Link));
        let asked: Vec<(usize, &Rule, Vec<bool>)> =
            asked.map(|(index, rule)| (index, rule, of_nodes(rule))).collect();
        let mut rounds: Vec<Round<'a>> = rules.iter().map(|_| Round::default()).collect();
        let instances = &scene.snapshot.instances;
        for first in (0..instances.len()).step_by(NEAR) {
            for (index, rule, is_known) in &asked {
                for at in first..instances.len().min(first + NEAR) {
                    let is_known = is_known[instances[at].key.node.0 as usize];
                    rounds[*index].ask(scene, (*index, rule), number(at), is_known);
                }
            }
        }
        rounds
    }

    fn append(&mut self, other: Round<'a>) {
        self.samples.extend(other.samples);
        self.places.extend(other.places);
    }

    /// Asks a rule about an instance. Of what is well and has no record nothing is said.
    fn ask(&mut self, scene: &'a Scene<'a>, (index, rule): (usize, &'a Rule), at: u32, is_known: bool) {
        let Some(judged) = scene.judged(rule, at as usize) else {
            return;
        };
        let (condition, is_new) = judged.look();
        let begins = condition.is_breach() || condition == Condition::Error;
        let place = |if_held| Place {
            rule: index,
            at,
            if_held,
        };
        if begins {
            self.places.push(place(None));
        }
        if is_known || (begins && !is_new) {
            let sample = judged.sample((condition, is_new));
            if !begins {
                self.places.push(place(Some(sample.fingerprint)));
            }
            self.samples.push(sample.map(Subjected::Instance));
        }
    }

    /// Asks a rule about every item that is overdue.
    fn ask_of_items(&mut self, scene: &'a Scene<'a>, rule: &'a Rule, known: &Known<'_>) {
        for open in &scene.snapshot.items {
            let at = scene.snapshot.instances.position(&open.key);
            let (Some(judged), Some(after)) = (at.and_then(|at| scene.judged(rule, at)), open.overdue_after)
            else {
                continue;
            };
            let is_known = known.holds(&rule.name, &scene.catalog.node(open.key.node).name);
            for item in open.items.iter().filter(|item| item.is_overdue) {
                let judged = Judged {
                    item: Some((item, after)),
                    ..judged
                };
                let (condition, is_new) = judged.look();
                let begins = condition.is_breach() || condition == Condition::Error;
                if is_known || (begins && !is_new) {
                    let sample = judged.sample((condition, is_new));
                    self.samples.push(sample.map(Subjected::Instance));
                }
            }
        }
    }

    /// What the next round has to know, given of whom there are records after the step.
    pub(super) fn watch(self, scene: &Scene<'_>, holds: impl Fn(Fingerprint) -> bool) -> Watch {
        let failures = Arc::new(self.failures());
        let mut at = vec![Vec::new(); scene.catalog.rules.len()];
        for place in self.places {
            if place.if_held.is_none_or(&holds) {
                at[place.rule].push(place.at);
            }
        }
        Watch {
            serial: Some(scene.snapshot.serial),
            at,
            periods: scene.periods.clone(),
            feeds: scene.feeds.clone(),
            failures,
        }
    }

    fn failures(&self) -> BTreeMap<String, String> {
        let mut failures = BTreeMap::new();
        for sample in self
            .samples
            .iter()
            .filter(|sample| sample.condition == Condition::Error)
        {
            let why = match sample.about {
                Subjected::Instance(judged) => judged.failure(),
                Subjected::Source(_) | Subjected::Siblings(_) => Some("it cannot be evaluated".to_owned()),
            };
            if let Some(why) = why {
                failures
                    .entry(sample.rule.name.clone())
                    .or_insert_with(|| format!("{}: {why}", sample.node));
            }
        }
        failures
    }
}
