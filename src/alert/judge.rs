//! Rules over a snapshot: what each says of a node or a link. The step between evaluation and the state machine;
//! [`round`](super::round) says which of them are asked.

use jiff::{SignedDuration, Timestamp, civil};
use smallvec::SmallVec;

use super::business::Business;
use super::delivery;
use super::dispatch::route::Routing;
use super::dispatch::{Moment, World};
use super::engine::{Engine, Step};
use super::feed_standing::FeedStanding;
use super::identity::{Fingerprint, fingerprint_of};
use super::notice::ResolveReason;
use super::record::{AlertRecord, EntryFacts, Facts, Figure, ItemFacts, Labels, LinkFigure};
pub use super::round::{Known, Scene};
use super::round::{PeriodName, Periods};
use super::sample::{About, Condition, Sample};
use super::shared::OfSiblings;
use super::source::OfSource;
use crate::catalog::attribute::{
    Attribute, DriftKind, RuleVariable, Subject, Title, TitlePart, vocabulary_of,
};
use crate::catalog::expr::Value;
use crate::catalog::{Catalog, Level, MetricId, Rule, RuleOn, Source, SourceId};
use crate::evaluate::intake::Recent;
use crate::evaluate::{Changed, Evaluator, Horizon, NodeState, OpenItem, Snapshot};
use crate::fold::cells::Cells;
use crate::fold::day::Day;
use crate::words;

/// Score counts completion up to this.
const SCORE_CAP: f64 = 1.2;

/// A node, a link or an item under a rule.
#[derive(Clone, Copy)]
pub struct Judged<'a> {
    pub(super) catalog: &'a Catalog,
    pub(super) snapshot: &'a Snapshot,
    pub(super) rule: &'a Rule,
    pub(super) node: &'a NodeState,
    pub(super) parent: Option<&'a NodeState>,
    /// The item, for a rule on items, and the age from which it is overdue.
    pub(super) item: Option<(&'a OpenItem, SignedDuration)>,
    pub(super) period: &'a PeriodName,
    /// How the sources stand that it and its parent are computed from.
    pub(super) feeds: [FeedStanding; 2],
}

/// What a sample is about.
#[derive(Clone, Copy)]
pub enum Subjected<'a> {
    /// A node, a link or an item.
    Instance(Judged<'a>),
    /// A source.
    Source(OfSource<'a>),
    /// Links that serve the same.
    Siblings(OfSiblings<'a>),
}

impl About for Subjected<'_> {
    fn labels(&self) -> Labels {
        match self {
            Subjected::Instance(judged) => judged.labels(),
            Subjected::Source(source) => source.labels(),
            Subjected::Siblings(siblings) => siblings.labels(),
        }
    }

    fn facts(&self) -> Facts {
        match self {
            Subjected::Instance(judged) => judged.facts(),
            Subjected::Source(source) => source.facts(),
            Subjected::Siblings(siblings) => siblings.facts(),
        }
    }

    fn sources(&self) -> Vec<String> {
        match self {
            Subjected::Instance(judged) => judged.sources(),
            Subjected::Source(source) => source.sources(),
            Subjected::Siblings(siblings) => siblings.sources(),
        }
    }
}

/// When to judge, and how.
#[derive(Clone, Copy, Debug)]
pub struct When<'a> {
    /// The watermark.
    pub at: Timestamp,
    /// How much of the cells counts.
    pub horizon: Horizon,
    /// Who is told what, and when that is; `None`: states move on without anybody being told.
    pub tell: Option<Tell<'a>>,
    /// What came of each source lately, by [`SourceId`](crate::catalog::SourceId); of none where that is not known.
    pub intake: &'a [Recent],
}

/// Telling people of a step.
#[derive(Clone, Copy, Debug)]
pub struct Tell<'a> {
    /// The wall clock.
    pub now: Timestamp,
    /// Who is told what.
    pub routing: &'a Routing,
    /// Whether nobody could be told until now.
    pub is_back: bool,
    /// Whether history is still being read, so that the numbers may not be whole.
    pub catching_up: bool,
}

impl<'a> Tell<'a> {
    /// At an ordinary moment.
    pub fn at(now: Timestamp, routing: &'a Routing) -> Tell<'a> {
        Tell {
            now,
            routing,
            is_back: false,
            catching_up: false,
        }
    }

    fn moment(self, world: &'a dyn World) -> Moment<'a> {
        Moment {
            now: self.now,
            routing: self.routing,
            is_back: self.is_back,
            catching_up: self.catching_up,
            world,
        }
    }
}

/// Tells people what became due since a step at `at`, which made this snapshot; nothing is judged.
pub fn tell(
    catalog: &Catalog,
    evaluator: &Evaluator,
    cells: &Cells,
    engine: &mut Engine,
    (snapshot, at): (&Snapshot, Timestamp),
    tell: Tell<'_>,
) -> Step {
    let known = Business::new(catalog, snapshot, evaluator, cells);
    engine.tell(at, tell.moment(&known))
}

/// One judgement, as the daemon and a replay of history make it: the snapshot at a watermark, and what it does to alerts.
pub fn step(
    catalog: &Catalog,
    evaluator: &mut Evaluator,
    cells: &Cells,
    engine: &mut Engine,
    when: When<'_>,
) -> (Snapshot, Step) {
    let snapshot = snapshot_of(evaluator, cells, when);
    let step = judge(catalog, evaluator, cells, engine, when, &snapshot);
    (snapshot, step)
}

/// The same, where `suppose` changes what the snapshot says before it is judged: a test that says how things stand.
pub fn step_as_if(
    catalog: &Catalog,
    evaluator: &mut Evaluator,
    cells: &Cells,
    engine: &mut Engine,
    when: When<'_>,
    suppose: impl FnOnce(&mut Snapshot),
) -> (Snapshot, Step) {
    let mut snapshot = snapshot_of(evaluator, cells, when);
    suppose(&mut snapshot);
    snapshot.changed = Changed::All;
    let step = judge(catalog, evaluator, cells, engine, when, &snapshot);
    (snapshot, step)
}

fn snapshot_of(evaluator: &mut Evaluator, cells: &Cells, when: When<'_>) -> Snapshot {
    let mut snapshot = evaluator.snapshot(cells, when.at, when.horizon);
    if when.horizon == Horizon::Day {
        evaluator.close_day(&mut snapshot);
    }
    snapshot.intake = when.intake.to_vec();
    snapshot
}

fn judge(
    catalog: &Catalog,
    evaluator: &Evaluator,
    cells: &Cells,
    engine: &mut Engine,
    when: When<'_>,
    snapshot: &Snapshot,
) -> Step {
    let watch = engine.take_watch();
    let scene = watch.scene(catalog, snapshot);
    let round = watch.round(&scene, &engine.known());
    let known = Business::new(catalog, snapshot, evaluator, cells);
    let moment = when.tell.map(|tell| tell.moment(&known));
    let step = engine.step(&round.samples, &catalog.rules, when.at, moment);
    let next = round.watch(&scene, |fingerprint| engine.holds(fingerprint));
    engine.keep_watch(next);
    step
}

/// What a rule reads of an instance, in the names of its conditions and as `written` puts it; a link's rule reads the
/// parent too.
pub fn readings(
    catalog: &Catalog,
    snapshot: &Snapshot,
    rule: &Rule,
    node: &NodeState,
    written: impl Fn(Value<'_>) -> String,
) -> Vec<(String, String)> {
    let periods = Periods::of(catalog, snapshot);
    let Some(period) = periods.name(catalog, node) else {
        return Vec::new();
    };
    let judged = Judged {
        catalog,
        snapshot,
        rule,
        node,
        parent: node.parent.as_ref().and_then(|key| snapshot.instances.find(key)),
        item: None,
        period,
        feeds: [FeedStanding::Fine; 2],
    };
    let words = vocabulary_of(rule.on);
    let mut uses: Vec<usize> = rule
        .levels
        .iter()
        .map(|level| &level.when)
        .chain(&rule.clear)
        .flat_map(|expr| expr.uses().iter().copied())
        .collect();
    uses.sort_unstable();
    uses.dedup();
    uses.into_iter()
        .map(|index| {
            (
                words.variables[index].name.clone(),
                written(judged.value(words.asks[index])),
            )
        })
        .collect()
}

/// Until when a rule begins to say nothing of an instance, whose values of `each` were first seen too short a time ago;
/// `None` where it may. The first day is a part of a day, and does not count.
pub fn new_until(
    catalog: &Catalog,
    snapshot: &Snapshot,
    rule: &Rule,
    instance: &NodeState,
) -> Option<Timestamp> {
    let node = catalog.node(instance.key.node);
    let delay = rule.new_group_delay.unwrap_or(node.new_group_delay);
    if delay.is_zero() || node.each.is_empty() {
        return None;
    }
    let whole_from = Day(instance.seen_from?.0.saturating_add(1)).date();
    let until = catalog
        .calendar_of(node)
        .start_of(whole_from)
        .saturating_add(delay)
        .ok()?;
    (snapshot.watermark? < until).then_some(until)
}

/// Why the catalogue does not declare any more what an alert is about, in the same words; `None` where it does.
pub fn withdrawn(catalog: &Catalog, record: &AlertRecord) -> Option<ResolveReason> {
    if declares(catalog, record) {
        return None;
    }
    let is_there = |name: &String| catalog.sources.iter().any(|source| source.name == *name);
    Some(match record.sources.iter().all(is_there) {
        true => ResolveReason::Updated,
        false => ResolveReason::SourceGone,
    })
}

fn declares(catalog: &Catalog, record: &AlertRecord) -> bool {
    if delivery::is_of(record) {
        return true;
    }
    let label = |name: &str| record.labels.get(name).map(String::as_str);
    if let Some(source) = label("source").filter(|_| label("node").is_none()) {
        let is_it =
            |declared: &Source| declared.name == source && declared.owner.as_deref() == label("owner");
        return catalog.sources.iter().any(is_it);
    }
    let Some(node) = catalog
        .nodes
        .iter()
        .find(|node| Some(node.name.as_str()) == label("node"))
    else {
        return false;
    };
    let parent = node
        .parent
        .as_ref()
        .map(|parent| catalog.node(parent.node).name.as_str());
    let has = |name: &String| label(name).is_some();
    // What all instances of a node say together has the values of none.
    let is_of_siblings = |rule: &Rule| rule.name == record.rule && rule.on == RuleOn::Siblings;
    let is_whole = || catalog.rules.iter().any(is_of_siblings) && !node.each.iter().any(has);
    label("owner") == node.owner.as_deref()
        && label("parent") == parent
        && (node.each.iter().all(has) || is_whole())
}

impl<'a> Judged<'a> {
    /// What it says, and whether nothing may begin with it yet.
    pub(super) fn look(&self) -> (Condition, bool) {
        let condition = self.condition();
        let begins = condition.is_breach();
        let is_new = begins && new_until(self.catalog, self.snapshot, self.rule, self.node).is_some();
        (condition, is_new)
    }

    /// The sample of what it says.
    pub(super) fn sample(self, (condition, is_new): (Condition, bool)) -> Sample<'a, Judged<'a>> {
        Sample {
            rule: self.rule,
            node: &self.catalog.node(self.node.key.node).name,
            fingerprint: self.fingerprint(),
            condition,
            // What is remembered of an item is let go some time after the last period in which it was overdue.
            period_end: (self.rule.is_of_a_period() || self.item.is_some()).then_some(self.period.ends_at),
            is_new,
            about: self,
        }
    }

    /// Of the same pairs as [`About::labels`], without making them.
    fn fingerprint(&self) -> Fingerprint {
        let declared = self.catalog.node(self.node.key.node);
        let mut pairs: SmallVec<[(&str, &str); 12]> = SmallVec::new();
        // Later ones win, as in a map: what tautline sets, then dimensions, then the rule's own labels.
        pairs.push(("alertname", &self.rule.name));
        pairs.push(("node", &declared.name));
        if self.rule.is_of_a_period() {
            pairs.push(("period", &self.period.id));
        }
        if let Some((item, _)) = self.item {
            pairs.push(("item", &item.name));
        }
        if let Some(parent) = &declared.parent {
            pairs.push(("parent", &self.catalog.node(parent.node).name));
        }
        if let Some(owner) = &declared.owner {
            pairs.push(("owner", owner));
        }
        for (name, value) in declared.each.iter().zip(self.node.key.dimensions.iter()) {
            if !pairs.iter().any(|(taken, _)| taken == name) {
                pairs.push((name, value));
            }
        }
        for (name, value) in &self.rule.labels {
            if !pairs.iter().any(|(taken, _)| taken == name) {
                pairs.push((name, value));
            }
        }
        pairs.sort_unstable();
        fingerprint_of(&self.rule.name, pairs)
    }

    fn condition(&self) -> Condition {
        if !self.node.is_judged() || self.parent.is_some_and(|parent| !parent.is_judged()) {
            return Condition::NewDefinition;
        }
        if let Some(condition) = self.of_feeds() {
            return condition;
        }
        let asks = &vocabulary_of(self.rule.on).asks;
        self.rule
            .condition(|expr| expr.attempt(|index| self.value(asks[index])))
    }

    /// What follows from how its feeds stand, whatever the rule says; `None` where they are fine.
    fn of_feeds(&self) -> Option<Condition> {
        if self.feeds == [FeedStanding::Fine; 2] {
            return None;
        }
        let is_stale = self.feeds.contains(&FeedStanding::Stale);
        // What a dead feed leaves of a number says nothing of the business. What is told of feeds goes on.
        if is_stale && !DriftKind::is_about_feeds(&self.rule.kind) {
            return Some(match self.rule.on {
                // An item whose end did not come is not known to be over, nor to be late.
                RuleOn::Item => Condition::Withheld,
                _ => Condition::Missing,
            });
        }
        let is_over = self.rule.kind == DriftKind::FeedGap.as_str() && self.is_silence_over();
        is_over.then_some(Condition::Clear)
    }

    /// Whether all silences that the last close saw came with one of a source that is back. What is still silent says so at
    /// the next close; what was silent before its source was still is.
    fn is_silence_over(&self) -> bool {
        let is_over = |side: usize, since: Option<civil::Date>| match self.feeds[side] {
            FeedStanding::Back { silent_from } => since >= silent_from,
            FeedStanding::Fine | FeedStanding::Stale => false,
        };
        if self.rule.on == RuleOn::Node {
            let feed = self.node.feed.as_deref();
            return is_over(0, feed.and_then(|feed| feed.silent_since));
        }
        let findings = self.node.link.as_deref().map_or(&[][..], |link| &link.findings);
        let gaps = findings
            .iter()
            .filter(|finding| finding.kind == DriftKind::FeedGap);
        gaps.clone().count() > 0
            && gaps
                .clone()
                .all(|gap| is_over(usize::from(gap.stream == Some("parent")), gap.since))
    }

    /// Why the rule cannot be evaluated; `None` where it can.
    pub(super) fn failure(&self) -> Option<String> {
        let asks = &vocabulary_of(self.rule.on).asks;
        let mut expressions = self.rule.expressions();
        expressions.find_map(|expr| expr.attempt(|index| self.value(asks[index])).err())
    }

    fn value(&self, variable: RuleVariable) -> Value<'a> {
        let state = match variable.subject {
            Subject::Node | Subject::Kpi => self.node,
            Subject::Parent => match self.parent {
                Some(parent) => parent,
                None => return Value::Missing,
            },
            Subject::Link => return self.link(variable.attribute),
            Subject::Item => return self.item(variable.attribute),
            Subject::Source | Subject::Siblings => return Value::Missing,
        };
        let declared = self.catalog.node(state.key.node);
        let number = |value: Option<f64>| value.map_or(Value::Missing, Value::Number);
        match variable.attribute {
            Attribute::Name => Value::Text(&declared.name),
            Attribute::Title => Value::Text(&declared.title),
            Attribute::Owner => declared.owner.as_deref().map_or(Value::Missing, Value::Text),
            Attribute::Level => Value::Text(match declared.level {
                Level::Strategy => "strategy",
                Level::Tactic => "tactic",
                Level::Execution => "execution",
                Level::Individual => "individual",
            }),
            // Ids are made on demand; what rules compare is the kind of period, which the node declares.
            Attribute::Period => Value::Text(state.period.kind.as_str()),
            Attribute::Value => number(state.value),
            Attribute::Target => number(state.target),
            Attribute::Completion => number(state.completion),
            Attribute::Pace => number(state.pace.ratio()),
            Attribute::Burn => number(state.burn.factor()),
            Attribute::HasBurn => Value::Bool(state.burn.applies()),
            Attribute::ExpectedShare => Value::Number(state.expected_share),
            Attribute::Forecast => number(state.forecast),
            Attribute::TargetProbability => number(state.target_probability),
            Attribute::Score => number(
                state
                    .completion
                    .map(|completion| completion.clamp(0.0, SCORE_CAP)),
            ),
            Attribute::Elapsed => Value::Number(state.elapsed),
            Attribute::Unreconciled => number(state.unreconciled.as_ref().map(|mismatch| mismatch.share())),
            Attribute::MissedEntryDays => number(state.entry_due.as_ref().map(|due| due.late_days)),
            // Where links watch the feed they say it: a rule that spoke before is at rest then.
            Attribute::SilentDays => Value::Number(
                state
                    .feed
                    .as_ref()
                    .map_or(0.0, |feed| f64::from(feed.silent_days)),
            ),
            Attribute::UnitFactor => Value::Number(state.feed.as_ref().map_or(1.0, |feed| feed.factor)),
            Attribute::Gap
            | Attribute::Strength
            | Attribute::LagDays
            | Attribute::ItemName
            | Attribute::AgeDays
            | Attribute::OverdueDays
            | Attribute::ParentGap
            | Attribute::SharedDrift
            | Attribute::Drifting
            | Attribute::JudgedLinks
            | Attribute::Drift(_)
            | Attribute::SourceName
            | Attribute::Rejected
            | Attribute::RejectedShare
            | Attribute::MaxRejected
            | Attribute::LetGo
            | Attribute::Staleness
            | Attribute::SilentMinutes
            | Attribute::Surge => Value::Missing,
        }
    }

    fn link(&self, attribute: Attribute) -> Value<'a> {
        let number = |value: Option<f64>| value.map_or(Value::Missing, Value::Number);
        let judged = self.node.link.as_deref();
        match attribute {
            Attribute::Gap => {
                let parent = self.parent.and_then(|parent| parent.pace.ratio());
                let paces = self.node.pace.ratio().zip(parent);
                number(paces.map(|(kpi, parent)| kpi - parent))
            }
            Attribute::Strength => number(judged.and_then(|link| link.strength)),
            Attribute::LagDays => number(judged.and_then(|link| link.lag_days)),
            Attribute::ParentGap => number(judged.and_then(|link| link.parent_gap)),
            Attribute::Drift(kind) => number(judged.map(|link| link.score(kind))),
            _ => Value::Missing,
        }
    }

    fn item(&self, attribute: Attribute) -> Value<'a> {
        let Some((item, after)) = self.item else {
            return Value::Missing;
        };
        let days = |time: SignedDuration| Value::Number(time.as_secs_f64() / 86_400.0);
        match attribute {
            Attribute::ItemName => Value::Text(&item.name),
            Attribute::AgeDays => days(item.age),
            Attribute::OverdueDays => days(item.age - after),
            _ => Value::Missing,
        }
    }

    /// Who answers for what the node serves.
    fn parent_owner(&self) -> Option<String> {
        let parent = self.catalog.node(self.node.key.node).parent.as_ref()?;
        self.catalog.node(parent.node).owner.clone()
    }

    /// What is told of an item: its age in whole days (in whole hours, where less than two days are allowed), so that
    /// it is not another one with every second.
    fn item_facts(&self) -> Option<ItemFacts> {
        let (item, after) = self.item?;
        let declared = self.catalog.node(self.node.key.node);
        let step = if after < SignedDuration::from_hours(48) {
            3600
        } else {
            86_400
        };
        Some(ItemFacts {
            name: item.name.to_string(),
            node: declared.title.clone(),
            instance: self.node.key.dimensions.join(" / "),
            owner: declared.owner.clone(),
            started: item.started,
            age_seconds: item.age.as_secs() / step * step,
            allowed_seconds: after.as_secs(),
        })
    }

    /// The entry that is missing, for the rule that says so.
    fn entry_facts(&self) -> Option<EntryFacts> {
        let due = self.node.entry_due.as_ref().filter(|due| due.late_days > 0.0)?;
        let declared = self.catalog.node(self.node.key.node);
        let manual = self.catalog.metric(declared.metric).manual.as_ref()?;
        (self.rule.kind == DriftKind::FeedGap.as_str()).then(|| EntryFacts {
            from: due.from,
            last: due.to.yesterday().unwrap_or(due.from),
            entered_by: manual.entered_by.clone(),
        })
    }

    /// The numbers behind a judgement of the link, or of the feed of a node that no link watches.
    fn told_of_link(&self) -> Option<LinkFigure> {
        let kind = DriftKind::of(&self.rule.kind)?;
        if let (RuleOn::Node, Some(feed)) = (self.rule.on, self.node.feed.as_deref()) {
            let (since, gap, confidence) = match kind {
                DriftKind::FeedGap => (feed.silent_since, None, feed.silent_confidence),
                DriftKind::UnitChange => (feed.changed_since, Some(feed.factor), feed.changed_confidence),
                _ => return None,
            };
            return Some(LinkFigure {
                since,
                gap,
                confidence,
                ..LinkFigure::default()
            });
        }
        let link = self.node.link.as_deref()?;
        let finding = link.finding(kind)?;
        Some(LinkFigure {
            since: finding.since,
            gap: finding.gap,
            kpi: finding.kpi,
            parent: finding.parent,
            evidence: finding.evidence,
            confidence: finding.confidence,
            lag_days: link.lag_days,
            strength: link.strength,
            stream: finding.stream.map(str::to_owned),
            answered: finding.answered,
            answered_after: finding.lag_days,
        })
    }

    fn title(&self, title: &Title) -> String {
        let mut text = String::new();
        for part in &title.0 {
            match part {
                TitlePart::Text(plain) => text.push_str(plain),
                TitlePart::Value(variable) => match (self.value(*variable), variable.attribute) {
                    (Value::Text(value), Attribute::Title) => {
                        text.push_str(value);
                        text.push_str(&self.instance_of(variable.subject));
                    }
                    (Value::Text(value), _) => text.push_str(value),
                    (
                        Value::Number(number),
                        Attribute::Value | Attribute::Target | Attribute::Forecast | Attribute::LagDays,
                    ) => {
                        text.push_str(&words::Language::En.number(number));
                    }
                    (Value::Number(days), Attribute::AgeDays | Attribute::OverdueDays) => {
                        text.push_str(&words::Language::En.number(days.floor()));
                    }
                    (Value::Number(ratio), _) => text.push_str(&words::percent(ratio)),
                    (Value::Bool(_) | Value::Missing, _) => text.push('—'),
                },
            }
        }
        text
    }

    /// ` · 华东` for one of many instances.
    fn instance_of(&self, subject: Subject) -> String {
        let state = if subject == Subject::Parent {
            self.parent
        } else {
            Some(self.node)
        };
        match state {
            Some(state) if !state.key.dimensions.is_empty() => {
                format!(" · {}", state.key.dimensions.join(" / "))
            }
            _ => String::new(),
        }
    }
}

impl About for Judged<'_> {
    fn labels(&self) -> Labels {
        let catalog = self.catalog;
        let declared = catalog.node(self.node.key.node);
        let mut labels: Labels = self.rule.labels.clone();
        labels.extend(
            declared
                .each
                .iter()
                .zip(self.node.key.dimensions.iter())
                .map(|(name, value)| (name.clone(), value.to_string())),
        );
        labels.insert("alertname".to_owned(), self.rule.name.clone());
        labels.insert("node".to_owned(), declared.name.clone());
        if self.rule.is_of_a_period() {
            labels.insert("period".to_owned(), self.period.id.clone());
        }
        if let Some((item, _)) = self.item {
            labels.insert("item".to_owned(), item.name.to_string());
        }
        if let Some(parent) = &declared.parent {
            labels.insert("parent".to_owned(), catalog.node(parent.node).name.clone());
        }
        if let Some(owner) = &declared.owner {
            labels.insert("owner".to_owned(), owner.clone());
        }
        labels
    }

    fn facts(&self) -> Facts {
        Facts {
            title: self
                .rule
                .title
                .as_ref()
                .map(|title| self.title(title))
                .unwrap_or_default(),
            title_zh: self.rule.title_zh.as_ref().map(|title| self.title(title)),
            item: self.item_facts(),
            source: None,
            shared: None,
            entry: self.entry_facts(),
            delivery: None,
            crowd: None,
            parent_owner: self.parent_owner(),
            // The numbers of the node change with every event: what is told of an item is about the item.
            node: self
                .item
                .is_none()
                .then(|| figure(self.catalog, self.snapshot, self.node)),
            parent: self
                .parent
                .map(|parent| figure(self.catalog, self.snapshot, parent)),
            link: self.told_of_link(),
            compared: {
                let asks = &vocabulary_of(self.rule.on).asks;
                self.rule.compared(|index| self.value(asks[index]))
            },
        }
    }

    fn sources(&self) -> Vec<String> {
        let metric = |state: &NodeState| self.catalog.node(state.key.node).metric;
        let mut sources = sources_of(self.catalog, metric(self.node));
        sources.extend(
            self.parent
                .into_iter()
                .flat_map(|parent| sources_of(self.catalog, metric(parent))),
        );
        sources.sort();
        sources.dedup();
        sources
    }
}

/// Names of the sources whose events a metric is computed from. What people type in has none.
pub(super) fn sources_of(catalog: &Catalog, metric: MetricId) -> Vec<String> {
    (0..)
        .map(SourceId)
        .zip(&catalog.sources)
        .filter(|(id, source)| !source.manual && catalog.is_made_from(metric, *id))
        .map(|(_, source)| source.name.clone())
        .collect()
}

/// The numbers of a node instance, for a message.
pub(super) fn figure(catalog: &Catalog, snapshot: &Snapshot, state: &NodeState) -> Figure {
    let declared = catalog.node(state.key.node);
    Figure {
        title: declared.title.clone(),
        instance: state.key.dimensions.join(" / "),
        unit: catalog.metric(declared.metric).unit.clone(),
        owner: declared.owner.clone(),
        weight: snapshot.weight(catalog, &state.key),
        period: state.period.id(catalog.calendar_of(declared)),
        value: state.value,
        target: state.target,
        band: state.band(),
        completion: state.completion,
        // For a level the plan expects the whole target at any time.
        expected_share: match (catalog.accumulates(declared.metric), state.band()) {
            (true, Some(_)) => None,
            (true, None) => state.target.map(|_| state.expected_share),
            (false, _) => state.target.map(|_| 1.0),
        },
        pace: state.pace.ratio(),
        forecast: state.forecast,
        target_probability: state.target_probability,
        unreconciled: state.unreconciled.as_deref().copied(),
        daily: state.daily.to_vec(),
    }
}
