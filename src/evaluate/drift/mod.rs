//! Drift: whether a KPI and the business it serves have come apart.
//!
//! [`link`] is the judgement of one link: numbers in, numbers out. Here is what it sees of catalogue and cells, and what
//! the snapshot shows of it. A link is judged when a local day closes, never in between. [`shared`] is what many links say
//! together, and [`pool`] makes one link of all instances of a KPI. [`health`] is what is asked of a feed before anything is read
//! out of it, and [`feed`] asks it of nodes that no
//! link watches. [`sure`] says how sure all of that is. [`arrivals`] is how late data comes, for forecasts.

mod arrivals;
mod closed;
mod feed;
mod health;
mod kept;
pub mod link;
mod pool;
pub mod shared;
mod sure;

use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::Evaluator;
use super::instances::{Family, Instances};
use super::outlook::Awaited;
use super::snapshot::{
    FeedState, InstanceKey, LinkFinding, LinkState, NodeInfo, NodeState, SharedDrift, Snapshot,
};
use crate::catalog::attribute::DriftKind;
use crate::catalog::{Calendar, Catalog, DayKind, Direction, NodeId, Relation, Role};
use crate::fold::cells::{Cells, Version};
use crate::fold::day::Day;
use arrivals::Arrivals;
pub use closed::ClosedLink;
use closed::Closes;
use feed::Feed;
use kept::{LinkOf, SideOf};
use link::{Announced, Before, DayInput, Days, Link, RING, Side, Special, Tuning, Voice};
use pool::{Pool, adds_up, target_of};

/// KPIs of one parent that are judged together at most: more are parts of one kind, of which none is the parent's cause.
const FAMILY: usize = 16;

/// The links of a catalogue, and what is late of its instances.
#[derive(Debug)]
pub(super) struct Drift {
    /// Special days of the default calendar.
    days: Days,
    /// Of the calendars that metrics name, by [`Metric::calendar`](crate::catalog::Metric::calendar).
    named_days: Vec<Days>,
    tuning: Tuning,
    /// One of a node with `each` that has no values of its dimensions is that of all instances as one, see [`pool`].
    links: HashMap<InstanceKey, Judged>,
    /// Links that were forgotten since [`Evaluator::take_learned`].
    forgotten: Vec<InstanceKey>,
    /// By [`NodeId`].
    feeds: Vec<Option<Feed>>,
    /// What is awaited of what comes late, as of the last close.
    pub(super) late: HashMap<InstanceKey, Awaited>,
    /// The cells of the latest snapshot of a day, and whether it was the first of them: of several days that close one after the
    /// other over the same cells nobody knows when their data came.
    closing: Option<(Version, bool)>,
    /// What links say together since the last close; `None`: not asked yet.
    shared: Option<Arc<[SharedDrift]>>,
    /// The last day that was closed.
    closed_to: Option<i32>,
    /// What it was at [`Evaluator::take_learned`]: what is closed further has been learned since.
    taken_to: Option<i32>,
}

/// One side of a link as a day closes.
#[derive(Clone, Copy)]
struct Closing<'a> {
    /// What each of the latest days brought, the closing day last.
    flow: &'a [Option<f64>],
    /// The target of the running period.
    target: Option<Announced>,
}

/// A link and what was told to it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Judged {
    link: Link,
    /// The last target announced, of KPI and parent: first day of its period, and the target.
    announced: [Option<(i32, f64)>; 2],
    /// The first day that both definitions have seen whole; `None`: all of them.
    whole_from: Option<i32>,
    /// What was known as months closed.
    closes: Closes,
    /// How late data comes, of KPI and parent.
    #[serde(skip)]
    arrivals: [Arrivals; 2],
    #[serde(skip)]
    state: Option<Arc<LinkState>>,
}

/// A link as it is kept over a restart.
#[derive(Clone, PartialEq, Debug)]
pub struct StoredLink {
    /// Name of the KPI's node.
    pub node: String,
    /// Its values of the `each` dimensions.
    pub dimensions: Vec<String>,
    /// The link, encoded, and what it was learned of.
    pub body: Vec<u8>,
}

/// A feed as it is kept over a restart.
#[derive(Clone, PartialEq, Debug)]
pub struct StoredFeed {
    /// Name of its node.
    pub node: String,
    /// The feed, encoded, and what it was learned of.
    pub body: Vec<u8>,
}

/// What the judgement has learned, as it is kept over a restart.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Learned {
    /// Of links.
    pub links: Vec<StoredLink>,
    /// Links that were forgotten: node and values of the `each` dimensions. Those of them that `links` holds came back.
    pub forgotten: Vec<(String, Vec<String>)>,
    /// Of feeds that no link watches.
    pub feeds: Vec<StoredFeed>,
}

impl Learned {
    /// Whether it is nothing.
    pub fn is_empty(&self) -> bool {
        self.links.is_empty() && self.forgotten.is_empty() && self.feeds.is_empty()
    }

    /// Adds what was learned later.
    pub fn extend(&mut self, later: Learned) {
        // What came back later is written after it was deleted; what is forgotten later is not written before.
        let gone: HashSet<(&str, &[String])> = later
            .forgotten
            .iter()
            .map(|(node, dimensions)| (node.as_str(), dimensions.as_slice()))
            .collect();
        self.links.retain(|link| {
            gone.is_empty() || !gone.contains(&(link.node.as_str(), link.dimensions.as_slice()))
        });
        drop(gone);
        self.links.extend(later.links);
        self.forgotten.extend(later.forgotten);
        self.feeds.extend(later.feeds);
    }
}

/// A day as a date, if there is one.
fn date(day: i32) -> Option<Date> {
    Some(Day(day).date()).filter(|date| *date > Date::MIN)
}

/// The special days of a calendar.
pub(crate) fn days_of(calendar: &Calendar) -> Days {
    let special = calendar.special_days.iter().map(|(date, special)| {
        let kind = match special.kind {
            DayKind::Holiday => Special::Holiday,
            DayKind::Workday => Special::Workday,
            DayKind::Promotion => Special::Promotion,
        };
        (*date, kind)
    });
    Days::new(special)
}

impl<'s> Closing<'s> {
    fn of(side: &'s NodeState) -> Closing<'s> {
        Closing {
            flow: &side.daily,
            target: target_of(side),
        }
    }
}

impl Drift {
    pub(super) fn new(catalog: &Catalog) -> Drift {
        let named = catalog.calendars.iter().map(|named| days_of(&named.calendar));
        Drift {
            days: days_of(&catalog.calendar),
            named_days: named.collect(),
            tuning: Tuning::default(),
            links: HashMap::new(),
            forgotten: Vec::new(),
            feeds: catalog.nodes.iter().map(|_| None).collect(),
            late: HashMap::new(),
            closing: None,
            shared: None,
            closed_to: None,
            taken_to: None,
        }
    }
}

impl Drift {
    /// A day is looked at with these cells.
    pub(super) fn looked_at(&mut self, cells: Version) {
        let is_new = self.closing.is_none_or(|(known, _)| known != cells);
        self.closing = Some((cells, is_new));
    }
}

impl Evaluator {
    /// Closes a local day: judges every link by a snapshot at the day's end, and shows the judgement in it. Days are
    /// closed once, in order; a day that is closed already changes nothing.
    pub fn close_day(&mut self, snapshot: &mut Snapshot) {
        let Some(at) = snapshot.watermark else { return };
        let today = Day::of(self.catalog.calendar.day_of(at));
        if self.drift.closed_to.is_some_and(|closed| closed >= today.0) {
            return;
        }
        self.drift.closed_to = Some(today.0);
        let family = snapshot.family();
        let instances = &snapshot.instances;
        let mut pools: HashMap<NodeId, Pool<'_>> = HashMap::new();
        // By position.
        let mut closed: Vec<Option<Arc<LinkState>>> = vec![None; instances.len()];
        for (parent, kpis) in families(&self.catalog, instances, &family) {
            let of_parent = Closing::of(parent);
            let parent_whole_from = self.whole_from(parent);
            let mut pooled = None;
            // As they were before the day: whichever is judged first, each is told the same of the others.
            let mut before: Vec<(&InstanceKey, Voice)> = Vec::new();
            if (2..=FAMILY).contains(&kpis.len()) {
                let Drift { links, tuning, .. } = &self.drift;
                let known = kpis
                    .iter()
                    .filter_map(|(_, kpi)| Some((&kpi.key, links.get(&kpi.key)?.link.voice(tuning))));
                before.extend(known);
            }
            for (at, kpi) in kpis {
                let others = before.iter().filter(|(key, _)| **key != kpi.key);
                let others: Vec<&Voice> = others.map(|(_, voice)| voice).collect();
                let of_kpi = Closing::of(kpi);
                let node = kpi.key.node;
                // What a link learned under another definition says nothing of this one.
                let whole_from = self.whole_from(kpi).max(parent_whole_from);
                let before = |this: &Evaluator| [this.before(kpi), this.before(parent)];
                let sides = [of_kpi, of_parent];
                let judged = self.close_link(today, &kpi.key, sides, whole_from, before, &others);
                closed[at] = judged.and_then(|judged| judged.state.clone());
                // What has brought nothing yet is no part of a sum.
                let first_day = judged.map(|judged| judged.link.first_day());
                if let Some(first_day) = first_day.filter(|_| adds_up(&self.catalog, node)) {
                    let pool = pools.entry(node).or_default();
                    pool.add(&kpi.key, of_kpi.flow, of_kpi.target, first_day);
                    if pooled != Some(node) {
                        pool.add_parent(&parent.key, of_parent.flow, of_parent.target);
                        pooled = Some(node);
                    }
                }
            }
        }
        for (node, pool) in pools {
            self.close_whole(today, node, &pool);
        }
        self.forget_links(today);
        self.close_feeds(today, &snapshot.instances);
        self.count_links();
        for (state, closed) in snapshot.instances.iter_mut().zip(closed) {
            state.feed = self.feed_of(state);
            state.link = closed.or_else(|| self.link_of(state));
        }
        self.note_late();
        self.forget_shown();
        self.drift.shared = None;
        snapshot.shared = self.shared(&snapshot.instances);
    }

    /// Notes what is awaited of what comes late, by what links and feeds have seen up to the last close. Of the links of one parent
    /// the one that has known it the longest is asked.
    fn note_late(&mut self) {
        let Drift {
            links,
            feeds,
            late,
            closed_to,
            ..
        } = &mut self.drift;
        late.clear();
        let is_open = |link: &Link| Some(link.closed_to()) == *closed_to;
        let mut parents: HashMap<InstanceKey, Option<(i32, &InstanceKey)>> = HashMap::new();
        for (key, judged) in links.iter().filter(|(_, judged)| is_open(&judged.link)) {
            let [of_kpi, of_parent] = &judged.arrivals;
            if let Some(arrived) = of_kpi.usual() {
                late.insert(key.clone(), judged.link.awaited(Side::Kpi, arrived));
            }
            if of_parent.usual().is_some() {
                parents.extend(super::parent_of(&self.catalog, key).map(|parent| (parent, None)));
            }
        }
        // Of most there is none, and nobody's parent is looked for.
        let asked = if parents.is_empty() { None } else { Some(&*links) };
        for (key, judged) in asked.into_iter().flatten() {
            let parent = super::parent_of(&self.catalog, key).filter(|_| is_open(&judged.link));
            if let Some(known) = parent.and_then(|parent| parents.get_mut(&parent)) {
                let this = (judged.link.first_day(), key);
                *known = Some(known.map_or(this, |known| known.min(this)));
            }
        }
        for (parent, longest) in parents {
            let judged = longest.and_then(|(_, key)| links.get(key));
            let awaited = judged.and_then(|judged| {
                let arrived = judged.arrivals[1].usual()?;
                Some(judged.link.awaited(Side::Parent, arrived))
            });
            late.extend(awaited.map(|awaited| (parent, awaited)));
        }
        for (node, feed) in (0u32..).map(NodeId).zip(feeds) {
            let awaited = feed.as_ref().and_then(Feed::awaited);
            late.extend(awaited.map(|awaited| (whole_of(node), awaited)));
        }
    }

    /// Forgets the links of instances that have been gone for as long as a link remembers: nothing in them is of any use, and
    /// values that come and go would pile up for ever.
    fn forget_links(&mut self, today: Day) {
        let Drift { links, forgotten, .. } = &mut self.drift;
        let gone = links.extract_if(|_, judged| judged.link.closed_to() < today.0 - RING as i32);
        forgotten.extend(gone.map(|(key, _)| key));
    }

    /// Closes the day for what no link watches: nodes as a whole that read a source.
    fn close_feeds(&mut self, today: Day, instances: &Instances) {
        let is_watched = watched_by_links(&self.catalog, &self.drift.links);
        for state in instances {
            let NodeId(node) = state.key.node;
            let declared = self.catalog.node(state.key.node);
            let has_feed =
                declared.each.is_empty() && self.catalog.metric(declared.metric).source().is_some();
            if !has_feed || is_watched[node as usize] {
                self.drift.feeds[node as usize] = None;
                continue;
            }
            let whole_from = self.whole_from(state);
            let known = self.drift.feeds[node as usize].take();
            let known = known.filter(|feed| feed.whole_from == whole_from);
            let Some(mut feed) = known.or_else(|| self.begin_feed(today, state, whole_from)) else {
                continue;
            };
            let (days, tuning) = (self.days(state.key.node), &self.drift.tuning);
            let is_level = self.is_level(state.key.node);
            if !is_level && is_new(self.drift.closing) {
                feed.learn_arrivals(today.0, &state.daily);
            }
            feed.close(today.0, &state.daily, is_level, days, tuning);
            self.drift.feeds[node as usize] = Some(feed);
        }
    }

    fn begin_feed(&self, today: Day, node: &NodeState, whole_from: Option<i32>) -> Option<Feed> {
        let is_level = self.is_level(node.key.node);
        let first_day = first_flow(&node.daily, is_level, today, whole_from)?;
        Some(Feed::new(first_day, whole_from))
    }

    /// Closes the day for a link, which is begun where there is none yet.
    fn close_link(
        &mut self,
        today: Day,
        key: &InstanceKey,
        sides: [Closing<'_>; 2],
        whole_from: Option<i32>,
        before: impl FnOnce(&Evaluator) -> [Before; 2],
        others: &[&Voice],
    ) -> Option<&Judged> {
        let parent = self.catalog.node(key.node).parent.as_ref()?.node;
        let is_known = |judged: &&mut Judged| judged.whole_from == whole_from;
        if self.drift.links.get_mut(key).filter(is_known).is_none() {
            self.drift.links.remove(key);
            let begun = self.begin(today, parent, sides, whole_from, before)?;
            self.drift.links.insert(key.clone(), begun);
        }
        let days = calendar_of(&self.catalog, parent);
        let Drift {
            links,
            tuning,
            days: default,
            named_days,
            closing,
            ..
        } = &mut self.drift;
        let judged = links.get_mut(key)?;
        let days = days.map_or(&*default, |index| &named_days[index]);
        let Judged {
            link,
            announced,
            arrivals,
            ..
        } = judged;
        if is_new(*closing) {
            let came = link.came(today.0, sides.map(|side| side.flow));
            for (arrivals, came) in arrivals.iter_mut().zip(came) {
                came.iter().for_each(|came| arrivals.learn(came));
            }
        }
        let mut announce = |at: usize| announcement(sides[at].target, &mut announced[at]);
        let targets = [announce(0), announce(1)];
        let input = |at: usize| DayInput {
            flow: sides[at].flow,
            targets: targets[at].as_slice(),
        };
        link.close_among(others, today.0, [input(0), input(1)], days, tuning);
        let state = state_of(link, tuning);
        judged.closes.add(today.0, &state);
        judged.state = Some(Arc::new(state));
        Some(judged)
    }

    /// A link begins once both sides have brought something, on the first day that did; history of long before is not gone
    /// through, a young link takes a season to learn.
    fn begin(
        &self,
        today: Day,
        parent: NodeId,
        sides: [Closing<'_>; 2],
        whole_from: Option<i32>,
        before: impl FnOnce(&Evaluator) -> [Before; 2],
    ) -> Option<Judged> {
        let [of_kpi, of_parent] = before(self);
        let first =
            |side: usize, before: &Before| first_flow(sides[side].flow, before.level, today, whole_from);
        let first_day = first(0, &of_kpi)?.min(first(1, &of_parent)?);
        let (days, tuning) = (self.days(parent), &self.drift.tuning);
        let link = Link::new(first_day, of_kpi, of_parent, days, tuning);
        Some(Judged {
            link,
            announced: [None; 2],
            whole_from,
            closes: Closes::default(),
            arrivals: Default::default(),
            state: None,
        })
    }

    /// Closes the day for all instances of a KPI as one, of enough of them.
    fn close_whole(&mut self, today: Day, node: NodeId, pool: &Pool<'_>) {
        if pool.instances() < shared::LEAST {
            return;
        }
        let sides = [&pool.kpi, &pool.parent].map(|total| Closing {
            flow: &total.flow,
            target: total.target,
        });
        let before = |this: &Evaluator| {
            let of_parent = this.catalog.node(node).parent.as_ref();
            let parent = of_parent.map_or(node, |parent| parent.node);
            [
                pool.kpi.before(&this.catalog, node),
                pool.parent.before(&this.catalog, parent),
            ]
        };
        self.close_link(today, &whole_of(node), sides, pool.whole_from, before, &[]);
    }

    /// The calendar's special days by which a link is judged: those of its parent.
    fn days(&self, parent: NodeId) -> &Days {
        let named = calendar_of(&self.catalog, parent);
        named.map_or(&self.drift.days, |index| &self.drift.named_days[index])
    }

    /// The first day that the definition of a side, and how it is reckoned of others, has seen whole.
    fn whole_from(&self, side: &NodeState) -> Option<i32> {
        let reckoned_since = self.infos[side.key.node.0 as usize].reckoned_since;
        let since = side.counted_since.max(reckoned_since)?;
        Some(Day::of(self.catalog.calendar.day_of(since)).0 + 1)
    }

    /// Whether the values of a node do not add up over days.
    fn is_level(&self, node: NodeId) -> bool {
        !self.catalog.accumulates(self.catalog.node(node).metric)
    }

    /// What the catalogue knows of a side before its first day.
    fn before(&self, side: &NodeState) -> Before {
        let node = self.catalog.node(side.key.node);
        let is_same = |dimensions: &[String]| {
            let values = side.key.dimensions.iter().map(|value| &**value);
            dimensions.iter().map(String::as_str).eq(values)
        };
        Before {
            level: self.is_level(side.key.node),
            lower: node.direction == Direction::Lower,
            last_year: node
                .last_year
                .iter()
                .find(|monthly| is_same(&monthly.dimensions))
                .map(|monthly| monthly.rates),
        }
    }

    /// What each of the days `from..to` brought to an instance, as known now.
    pub fn flow(&self, cells: &Cells, key: &InstanceKey, from: Day, to: Day) -> Option<Vec<Option<f64>>> {
        let NodeId(index) = key.node;
        let compiled = self.nodes.get(index as usize)?.as_ref()?;
        Some(compiled.flow(cells, &self.cell_key(key), from, to))
    }

    /// Shows the judgement of its link and its feed in an instance of a snapshot.
    pub(super) fn show_judgement(&self, state: &mut NodeState) {
        state.feed = self.feed_of(state);
        state.link = self.link_of(state);
    }

    fn feed_of(&self, state: &NodeState) -> Option<Arc<FeedState>> {
        let NodeId(node) = state.key.node;
        self.drift.feeds[node as usize]
            .as_ref()
            .map(|feed| feed.state.clone())
    }

    fn link_of(&self, state: &NodeState) -> Option<Arc<LinkState>> {
        // Half of a hundred thousand instances are no KPIs: nobody looks for their links.
        let may_have_one = is_judged(&self.catalog, state.key.node);
        let judged = may_have_one.then(|| self.drift.links.get(&state.key)).flatten()?;
        judged.state.clone()
    }

    /// What was known of a link as the last month closed by the end of a day; `None` before the first, or without a link.
    pub fn link_closed(&self, key: &InstanceKey, day: Day) -> Option<ClosedLink> {
        self.drift.links.get(key)?.closes.by(day.0)
    }

    /// Takes over what an earlier run learned. What the catalogue does not declare any more is left out, and so is what
    /// was learned of something else under the same name, and what cannot be read: such a link or feed begins anew.
    pub fn restore_learned(&mut self, learned: Learned) {
        let place = |infos: &[NodeInfo], name: &str| infos.iter().position(|info| info.name == name);
        for stored in learned.feeds {
            let Some(at) = place(&self.infos, &stored.node) else {
                continue;
            };
            let of = SideOf::new(&self.catalog, &self.catalog.nodes[at]);
            let decoded = kept::decode::<Feed, _, Arrivals>(&stored.body, &of);
            let feed = decoded.and_then(|(feed, arrivals)| feed.restored(arrivals));
            if let Some(feed) = feed {
                self.drift.closed_to = self.drift.closed_to.max(Some(feed.closed_to()));
                self.drift.feeds[at] = Some(feed);
            }
        }
        for stored in learned.links {
            let position = place(&self.infos, &stored.node);
            let node = position.and_then(|at| u32::try_from(at).ok()).map(NodeId);
            let Some(node) = node.filter(|node| {
                let declared = self.catalog.node(*node);
                let is_instance = declared.each.len() == stored.dimensions.len();
                let is_whole = stored.dimensions.is_empty() && adds_up(&self.catalog, *node);
                is_judged(&self.catalog, *node) && (is_instance || is_whole)
            }) else {
                continue;
            };
            let of = LinkOf::new(&self.catalog, node);
            let Some((judged, arrivals)) = kept::decode::<Judged, _, [Arrivals; 2]>(&stored.body, &of) else {
                continue;
            };
            let judged = Judged { arrivals, ..judged };
            let closed_to = self.drift.closed_to.max(Some(judged.link.closed_to()));
            self.drift.closed_to = closed_to;
            let key = InstanceKey {
                node,
                dimensions: stored.dimensions.into_iter().map(Into::into).collect(),
            };
            self.drift.links.insert(key, judged);
        }
        for (feed, is_watched) in std::iter::zip(
            &mut self.drift.feeds,
            watched_by_links(&self.catalog, &self.drift.links),
        ) {
            *feed = feed.take().filter(|_| !is_watched);
        }
        self.drift.taken_to = self.drift.closed_to;
        self.drift.shared = None;
        self.note_late();
        self.forget_shown();
        // What links say depends on how many there are.
        self.count_links();
        let Drift { links, tuning, .. } = &mut self.drift;
        for judged in links.values_mut() {
            judged.state = Some(Arc::new(state_of(&judged.link, tuning)));
        }
    }

    /// What links say together, by instances that show them. They say another thing when a day closes, never in between.
    pub(super) fn shared(&mut self, instances: &Instances) -> Arc<[SharedDrift]> {
        let Drift {
            links,
            shared,
            closed_to,
            ..
        } = &mut self.drift;
        let catalog = &self.catalog;
        let said = shared.get_or_insert_with(|| {
            // One that was closed no more, for lack of instances, says nothing of today.
            let whole = |node: NodeId| {
                if !adds_up(catalog, node) {
                    return None;
                }
                let judged = links.get(&whole_of(node))?;
                let is_closed = Some(judged.link.closed_to()) == *closed_to;
                judged.state.as_deref().filter(|_| is_closed)
            };
            shared::shared(catalog, instances, whole).into()
        });
        said.clone()
    }

    /// Limits follow the number of links that are judged, from the next close on.
    fn count_links(&mut self) {
        let Drift { links, tuning, .. } = &self.drift;
        let links = links.values().filter(|judged| judged.link.is_warm(tuning));
        let links = links.count();
        self.drift.tuning = Tuning::default().of_a_fleet(links);
    }

    /// Everything that was learned, to be kept.
    #[cfg(test)]
    pub(crate) fn all_learned(&self) -> Learned {
        self.learned_after(None)
    }

    /// What was learned since the last call, to be kept.
    pub fn take_learned(&mut self) -> Learned {
        let named = |key: InstanceKey| {
            let dimensions = key.dimensions.iter().map(ToString::to_string).collect();
            (self.catalog.node(key.node).name.clone(), dimensions)
        };
        let forgotten = std::mem::take(&mut self.drift.forgotten);
        let forgotten = forgotten.into_iter().map(named).collect();
        let taken_to = std::mem::replace(&mut self.drift.taken_to, self.drift.closed_to);
        // Between two closes nobody goes through a hundred thousand links.
        let learned = if taken_to == self.drift.closed_to {
            Learned::default()
        } else {
            self.learned_after(taken_to)
        };
        Learned { forgotten, ..learned }
    }

    /// Forgets what [`Evaluator::take_learned`] would give: nothing is kept of a replay.
    pub fn let_go_learned(&mut self) {
        self.drift.forgotten.clear();
        self.drift.taken_to = self.drift.closed_to;
    }

    /// What was learned as later days closed.
    fn learned_after(&self, day: Option<i32>) -> Learned {
        let catalog = &*self.catalog;
        let is_later = |closed_to: i32| Some(closed_to) > day;
        let links = self.drift.links.iter();
        let links = links.filter(|(_, judged)| is_later(judged.link.closed_to()));
        let links = links.filter_map(|(key, judged)| {
            Some(StoredLink {
                node: catalog.node(key.node).name.clone(),
                dimensions: key.dimensions.iter().map(ToString::to_string).collect(),
                body: kept::encode(judged, &LinkOf::new(catalog, key.node), &judged.arrivals)?,
            })
        });
        let feeds = std::iter::zip(&catalog.nodes, &self.drift.feeds);
        let feeds = feeds.filter_map(|(node, feed)| {
            let feed = feed.as_ref().filter(|feed| is_later(feed.closed_to()))?;
            Some(StoredFeed {
                node: node.name.clone(),
                body: kept::encode(feed, &SideOf::new(catalog, node), feed.arrivals())?,
            })
        });
        Learned {
            links: links.collect(),
            forgotten: Vec::new(),
            feeds: feeds.collect(),
        }
    }
}

/// Whether a day closes over cells that no other day has closed over.
fn is_new(closing: Option<(Version, bool)>) -> bool {
    closing.is_none_or(|(_, is_new)| is_new)
}

/// The index of the calendar that a node's metric names; `None` for the default one.
fn calendar_of(catalog: &Catalog, node: NodeId) -> Option<usize> {
    catalog.metric(catalog.node(node).metric).calendar
}

/// By [`NodeId`], whether a link watches the feed.
fn watched_by_links(catalog: &Catalog, links: &HashMap<InstanceKey, Judged>) -> Vec<bool> {
    let mut is_watched = vec![false; catalog.nodes.len()];
    for node in links.keys().map(|key| key.node) {
        is_watched[node.0 as usize] = true;
        if let Some(parent) = &catalog.node(node).parent {
            is_watched[parent.node.0 as usize] = true;
        }
    }
    is_watched
}

/// Whether the link of a node to its parent is judged: of a KPI that drives its parent. Parts of a sum or a ratio are
/// arithmetic, and reconciled instead.
fn is_judged(catalog: &Catalog, node: NodeId) -> bool {
    let node = catalog.node(node);
    let relation = node.parent.as_ref().map(|parent| parent.relation);
    node.role == Role::Kpi && relation == Some(Relation::Influence)
}

/// Parent instances with their judged KPIs, and where these stand.
fn families<'s>(
    catalog: &Catalog,
    instances: &'s Instances,
    family: &Family,
) -> Vec<(&'s NodeState, Vec<(usize, &'s NodeState)>)> {
    let judged = |parent: usize| {
        let children = family.children(parent).iter();
        let kpis = children.map(|child| (*child as usize, &instances[*child as usize]));
        let kpis: Vec<_> = kpis.filter(|(_, kpi)| is_judged(catalog, kpi.key.node)).collect();
        (!kpis.is_empty()).then(|| (&instances[parent], kpis))
    };
    (0..instances.len()).filter_map(judged).collect()
}

/// The key of the link of all instances of a node as one.
fn whole_of(node: NodeId) -> InstanceKey {
    InstanceKey {
        node,
        dimensions: [].into(),
    }
}

/// The first of the latest days that brought something, of those that a definition has seen whole. A level of 0 is
/// something.
fn first_flow(flow: &[Option<f64>], is_level: bool, today: Day, whole_from: Option<i32>) -> Option<i32> {
    let days = (0i32..)
        .zip(flow.iter().rev())
        .map(|(ago, value)| (today.0 - ago, value));
    let of_definition = days.take_while(|(day, _)| whole_from.is_none_or(|from| *day >= from));
    let with_some = of_definition.filter(|(_, value)| value.is_some_and(|value| is_level || value != 0.0));
    with_some.last().map(|(day, _)| day)
}

/// The target of the running period, if it is news.
fn announcement(target: Option<Announced>, last: &mut Option<(i32, f64)>) -> Option<Announced> {
    let told = target.map(|target| (target.start, target.target));
    if told.is_none() || *last == told {
        return None;
    }
    *last = told;
    target
}

fn state_of(link: &Link, tuning: &Tuning) -> LinkState {
    let reading = link.reading(tuning);
    let share = |log: f64| log.exp() - 1.0;
    let findings = reading.findings.iter().map(|finding| {
        let is_feed = finding.side.is_some();
        let of_link = |value: f64| (!is_feed).then_some(value);
        LinkFinding {
            kind: finding.kind,
            since: date(finding.since),
            gap: match finding.kind {
                DriftKind::FeedGap => None,
                DriftKind::UnitChange => Some(finding.gap.exp()),
                _ => Some(share(finding.gap)),
            },
            kpi: of_link(share(finding.moves[0])),
            parent: of_link(share(finding.moves[1])),
            evidence: of_link(finding.evidence),
            confidence: Some(finding.confidence),
            stream: finding.side.map(|side| match side {
                Side::Kpi => "kpi",
                Side::Parent => "parent",
            }),
            answered: finding.answer.map(|answer| answer.share),
            lag_days: finding.answer.map(|answer| answer.lag_days),
        }
    });
    LinkState {
        findings: findings.collect(),
        scores: reading.scores,
        sure: Some(reading.sure),
        parent_gap: reading.gap.map(share),
        strength: reading.strength,
        lag_days: reading.lag_days,
        elasticity: reading.elasticity,
        ranges: reading.ranges,
        judged_days: reading.judged_days,
    }
}

#[cfg(test)]
mod cases;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;
