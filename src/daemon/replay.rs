//! History through the same fold, evaluation and state machine as the daemon, as it would have seen it: record by record
//! in the order of arrival, judged at the close of every local day.

mod foretold;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::evaluator::day_closes;
use super::folder::{Arrival, Folder, Outcomes, is_rejection};
use crate::alert::dispatch::route::Routing;
use crate::alert::engine::{Engine, Step};
use crate::alert::judge;
use crate::alert::notice::Aside;
use crate::alert::record::{AlertRecord, AlertState, Facts, Fingerprint, Labels};
use crate::catalog::{Catalog, Format, Severity, Source, SourceId};
use crate::decode::{Learned, Record, SchemaId};
use crate::evaluate::intake::{Intake, Recent};
use crate::evaluate::weights::{Book, Standing, Titled};
use crate::evaluate::{Evaluator, Horizon, Snapshot, retention};
use crate::fold::cells::Cells;
use crate::fold::dedup::{Bounds, Seen};
use crate::fold::plan::Plan;
pub use foretold::Foretold;

/// One episode of the history.
#[derive(Clone, Debug)]
pub struct Episode {
    /// Drift kind, or the rule's name.
    pub kind: String,
    /// Labels of its alert.
    pub labels: Labels,
    /// The highest level it reached.
    pub severity: Severity,
    /// When the daemon would have told that it fires.
    pub raised: Timestamp,
    /// When it would have told that it is over; `None` while it fires.
    pub cleared: Option<Timestamp>,
    /// Numbers when it was raised.
    pub facts: Facts,
    /// Messages that it costs, over all receivers.
    pub notices: u32,
}

/// Weights that a close of the history proposed.
#[derive(Clone, PartialEq, Debug)]
pub struct Proposed {
    /// What was proposed, as it stands at the end.
    pub proposal: Titled,
    /// When the daemon would have told of it.
    pub raised: Timestamp,
    /// When nobody was to decide any more: it applied by itself, or a later close proposed anew; `None` while it waits.
    pub settled: Option<Timestamp>,
    /// Messages that it costs, over all receivers.
    pub notices: u32,
}

/// The ids that partitions of a source brought.
struct OfPartitions {
    bounds: Bounds,
    seen: Vec<(Arc<str>, i32, Seen)>,
}

impl OfPartitions {
    fn of(&mut self, topic: &str, partition: i32) -> &mut Seen {
        let is_it = |(of, number, _): &(Arc<str>, i32, Seen)| *number == partition && **of == *topic;
        let known = self.seen.iter().position(is_it);
        let at = known.unwrap_or_else(|| {
            self.seen.push((topic.into(), partition, Seen::new(self.bounds)));
            self.seen.len() - 1
        });
        &mut self.seen[at].2
    }
}

/// A replay of history.
pub struct Replay {
    catalog: Arc<Catalog>,
    plan: Arc<Plan>,
    folder: Folder,
    /// By source, the ids that each of its partitions brought, where copies are looked for.
    seen: Vec<Option<OfPartitions>>,
    cells: Cells,
    evaluator: Evaluator,
    engine: Engine,
    routing: Arc<Routing>,
    /// Days close this much later than they end: the lateness that the catalogue allows.
    lateness: SignedDuration,
    /// How many days back days are kept at least; `None` keeps them all.
    keep_days: Option<i32>,
    /// The last close.
    closed: Option<Timestamp>,
    offset: i64,
    /// What came of each source lately.
    intake: Vec<Intake>,
    outcomes: Outcomes,
    /// A reason of the newest rejected event of each source, for people.
    rejected: BTreeMap<String, String>,
    episodes: Vec<Episode>,
    /// Weights that closes proposed, the oldest first.
    proposed: Vec<Proposed>,
    /// Forecasts in the order in which they were made; `None` where they are not taken down.
    foretold: Option<Vec<Foretold>>,
    /// Episodes that fire now.
    open: HashMap<Fingerprint, usize>,
}

impl Replay {
    /// A replay of nothing yet, of history in JSON, also that of sources whose records are Avro: paths are the same.
    pub fn new(catalog: Arc<Catalog>, routing: Arc<Routing>) -> Replay {
        Replay::of_records(in_json(catalog), routing, |_| 1)
    }

    /// A replay of nothing yet, of records as they stand in topics; `partitions` says how many a source has.
    pub fn of_records(
        catalog: Arc<Catalog>,
        routing: Arc<Routing>,
        partitions: impl Fn(SourceId) -> usize,
    ) -> Replay {
        let plan = Arc::new(Plan::compile(&catalog));
        let seen = |(id, source): (SourceId, &Source)| {
            let dedup = source.dedup.as_ref()?;
            Some(OfPartitions {
                bounds: Bounds::of_partition(dedup, partitions(id).max(1)),
                seen: Vec::new(),
            })
        };
        let lateness = catalog.sources.iter().map(|source| source.lateness).max();
        Replay {
            folder: Folder::new(catalog.clone(), plan.clone()),
            seen: (0..).map(SourceId).zip(&catalog.sources).map(seen).collect(),
            cells: Cells::new(plan.clone()),
            plan: plan.clone(),
            evaluator: Evaluator::new(catalog.clone(), plan).alone(),
            engine: Engine::new("backtest").within(routing.manners),
            routing,
            lateness: lateness.unwrap_or(SignedDuration::ZERO),
            keep_days: None,
            closed: None,
            offset: 0,
            intake: catalog.sources.iter().map(|_| Intake::default()).collect(),
            outcomes: Outcomes::new(),
            rejected: BTreeMap::new(),
            episodes: Vec::new(),
            proposed: Vec::new(),
            foretold: None,
            open: HashMap::new(),
            catalog,
        }
    }

    /// Keeps days as far back as the daemon does.
    pub fn keeping(mut self, days: i32) -> Replay {
        self.keep_days = Some(days);
        self
    }

    /// Takes down, or does not, the forecasts of every period when a quarter, a half and three quarters of it have passed.
    pub fn foretelling(mut self, foretells: bool) -> Replay {
        self.foretold = foretells.then(Vec::new);
        self
    }

    /// Takes values of at most so many bytes, as the daemon does.
    pub fn limiting(self, max_value_bytes: usize) -> Replay {
        self.plan.interner.limit(max_value_bytes);
        self
    }

    /// Takes in a record that arrived at `at`, after closing the days that were over by then. Arrivals must not go back.
    ///
    /// # Errors
    /// When a sum leaves the range of exact numbers.
    pub fn record(&mut self, source: SourceId, record: &Record<'_>, at: Timestamp) -> Result<(), String> {
        if self.closed.is_none() {
            // The first day closes at its end, not the days before it.
            let day = self.catalog.calendar.day_of(at - self.lateness);
            self.closed = Some(self.catalog.calendar.start_of(day) - SignedDuration::from_millis(1));
            let mut book = Book::default();
            book.declare(&self.catalog, None, at);
            self.evaluator.weigh(Arc::new(book));
        }
        self.pass(at)?;
        let record = Record {
            offset: self.offset,
            timestamp_ms: record.timestamp_ms.or(Some(at.as_millisecond())),
            ..*record
        };
        self.offset += 1;
        let of_source = self.seen[source.0 as usize].as_mut();
        let seen = of_source.map(|seen| seen.of(record.topic, record.partition));
        self.folder.fold(source, &record, Arrival::at(at), seen);
        Ok(())
    }

    /// The schema that must be [learned](Replay::learn) before this record can be taken in.
    pub fn schema_needed(&self, source: SourceId, record: &Record<'_>) -> Option<SchemaId> {
        self.folder.schema_needed(source, record)
    }

    /// Takes what the schema registry says of an id.
    pub fn learn(&mut self, source: SourceId, id: SchemaId, learned: Learned<'_>) {
        self.folder.learn(source, id, learned);
    }

    /// Closes every local day that is over at `at`.
    ///
    /// # Errors
    /// When a sum leaves the range of exact numbers.
    pub fn pass(&mut self, at: Timestamp) -> Result<(), String> {
        let Some(closed) = self.closed else {
            return Ok(());
        };
        let now = at - self.lateness;
        for close in day_closes(&self.catalog.calendar, closed, now) {
            self.close(close)?;
        }
        Ok(())
    }

    /// Every number at a moment, after closing the days that are over by then.
    ///
    /// # Errors
    /// When a sum leaves the range of exact numbers.
    pub fn snapshot(&mut self, at: Timestamp) -> Result<Snapshot, String> {
        self.pass(at)?;
        self.merge(at - self.lateness)?;
        Ok(self.evaluator.snapshot(&self.cells, at, Horizon::Known))
    }

    fn close(&mut self, at: Timestamp) -> Result<(), String> {
        self.closed = Some(at);
        self.merge(at)?;
        if let Some(days) = self.keep_days {
            let from = retention::kept_from(&self.catalog, at, days);
            foretold::settle(self, from.date());
            self.cells.keep_from(from);
        }
        self.intake
            .iter_mut()
            .for_each(|intake| intake.pass(at + self.lateness));
        let intake: Vec<Recent> = self.intake.iter().map(Intake::recent).collect();
        let (snapshot, step) = judge::step(
            &self.catalog,
            &mut self.evaluator,
            &self.cells,
            &mut self.engine,
            judge::When {
                at,
                horizon: Horizon::Day,
                tell: Some(judge::Tell::at(at + self.lateness, &self.routing)),
                intake: &intake,
            },
        );
        foretold::take_down(self, &snapshot, at);
        let now = at + self.lateness;
        self.follow(&step, now);
        self.propose_weights(&snapshot, (at, now));
        self.tell_until(&snapshot, at)?;
        // Nothing is kept here: the replay is over when the process is.
        self.cells.let_go_changed();
        self.cells.take_forgotten();
        self.evaluator.let_go_learned();
        Ok(())
    }

    /// Proposes weights where a month or quarter closes with the day, and tells of it.
    fn propose_weights(&mut self, closed: &Snapshot, (at, now): (Timestamp, Timestamp)) {
        let changed = self.evaluator.propose_weights(closed, now);
        if changed.is_empty() {
            return;
        }
        for proposal in changed.proposals {
            let proposal = Titled::of(&self.catalog, &proposal);
            let settled = (proposal.proposal.standing != Standing::Pending).then_some(now);
            match self.proposed.iter_mut().find(|known| known.is_of(&proposal)) {
                Some(known) => (known.proposal, known.settled) = (proposal, settled),
                None => self.proposed.push(Proposed {
                    proposal,
                    raised: now,
                    settled,
                    notices: 0,
                }),
            }
        }
        self.tell_at(now, (closed, at));
    }

    fn tell_at(&mut self, told: Timestamp, known: (&Snapshot, Timestamp)) {
        let step = judge::tell(
            &self.catalog,
            &self.evaluator,
            &self.cells,
            &mut self.engine,
            known,
            judge::Tell::at(told, &self.routing),
        );
        self.follow(&step, told);
    }

    /// Follows what is told after a step until the next day closes: groups wait, and what fires is repeated.
    fn tell_until(&mut self, snapshot: &Snapshot, at: Timestamp) -> Result<(), String> {
        let now = at + self.lateness;
        let day = self
            .catalog
            .calendar
            .day_of(at)
            .tomorrow()
            .map_err(|error| error.to_string())?;
        let next_close = self.catalog.calendar.start_of(day.tomorrow().unwrap_or(day)) + self.lateness;
        let mut told = now;
        while let Some(due) = self.engine.next_due().filter(|due| *due < next_close) {
            // Time goes on, whatever is said to be due.
            told = due.max(told + SignedDuration::from_millis(1));
            self.tell_at(told, (snapshot, at));
        }
        Ok(())
    }

    /// Takes over what arrived until a day was closed.
    fn merge(&mut self, at: Timestamp) -> Result<(), String> {
        let taken = self.folder.take();
        for (key, count) in taken.outcomes {
            let (source, outcome) = key;
            let arrived = at + self.lateness;
            self.intake[source.0 as usize].count(arrived, count, is_rejection(outcome).then_some(outcome));
            *self.outcomes.entry(key).or_insert(0) += count;
        }
        for letter in taken.dead_letters {
            let source = self.catalog.source(letter.source).name.clone();
            self.rejected.insert(source, letter.detail);
        }
        self.cells.merge(taken.delta).map_err(|error| error.to_string())
    }

    /// Takes over what began and ended in a step.
    fn follow(&mut self, step: &Step, told: Timestamp) {
        for record in &step.changed {
            let fires = matches!(record.state, AlertState::Firing | AlertState::Recovering { .. });
            match self.open.get(&record.fingerprint) {
                None if fires => {
                    self.open.insert(record.fingerprint, self.episodes.len());
                    self.episodes.push(episode(record, told));
                }
                Some(&at) if fires => {
                    let severity = &mut self.episodes[at].severity;
                    *severity = (*severity).max(record.severity);
                }
                Some(&at) => {
                    self.episodes[at].cleared = Some(told);
                    self.open.remove(&record.fingerprint);
                }
                None => {}
            }
        }
        for fingerprint in &step.removed {
            if let Some(at) = self.open.remove(fingerprint) {
                self.episodes[at].cleared = Some(told);
            }
        }
        for notice in &step.notices {
            if let Some(Aside::Weights(proposal)) = notice.aside.as_deref() {
                let known = self.proposed.iter_mut().find(|known| known.is_of(proposal));
                known.into_iter().for_each(|known| known.notices += 1);
            }
            let about =
                |episode: &&mut Episode| episode.kind == notice.alert_kind && episode.labels == notice.labels;
            if let Some(episode) = self.episodes.iter_mut().rev().find(about) {
                episode.notices += 1;
            }
        }
    }

    /// Episodes so far, in the order in which they were raised.
    pub fn episodes(&self) -> &[Episode] {
        &self.episodes
    }

    /// Weights that closes proposed so far, in the order in which they did.
    pub fn proposed(&self) -> &[Proposed] {
        &self.proposed
    }

    /// Forecasts in the order in which they were made, with what came in the periods that are over; none without
    /// [`Replay::foretelling`].
    pub fn foretold(&mut self) -> &[Foretold] {
        let today = self.closed.map(|at| self.catalog.calendar.day_of(at));
        if let Some(today) = today {
            // Of periods that run still nothing is said.
            foretold::settle_over(self, today);
        }
        self.foretold.as_deref().unwrap_or_default()
    }

    /// How many events had an outcome, by source and outcome.
    pub fn outcomes(&self) -> BTreeMap<(String, &'static str), u64> {
        let name = |source: &SourceId| self.catalog.source(*source).name.clone();
        self.outcomes
            .iter()
            .map(|((source, outcome), count)| ((name(source), *outcome), *count))
            .collect()
    }

    /// Why the newest rejected event of each source was rejected.
    pub fn rejected(&self) -> &BTreeMap<String, String> {
        &self.rejected
    }
}

impl Proposed {
    fn is_of(&self, other: &Titled) -> bool {
        let id = |titled: &Titled| (titled.proposal.parent.clone(), titled.proposal.closed.clone());
        id(&self.proposal) == id(other)
    }
}

fn in_json(mut catalog: Arc<Catalog>) -> Arc<Catalog> {
    if catalog.sources.iter().any(|source| source.format == Format::Avro) {
        let sources = &mut Arc::make_mut(&mut catalog).sources;
        let avro = sources.iter_mut().filter(|source| source.format == Format::Avro);
        avro.for_each(|source| source.format = Format::Json);
    }
    catalog
}

fn episode(record: &AlertRecord, raised: Timestamp) -> Episode {
    Episode {
        kind: record.kind.clone(),
        labels: record.labels.clone(),
        severity: record.severity,
        raised,
        cleared: None,
        facts: record.facts.clone(),
        notices: 0,
    }
}

#[cfg(test)]
mod same_tests;
#[cfg(test)]
mod shared_tests;
#[cfg(test)]
pub(crate) mod weights_tests;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::load::{Files, load};
    use jiff::ToSpan;
    use jiff::civil::date;

    const YAML: &str = "sources:\n  s: {topics: [t], format: json, time: t, fields: {k: k, v: v}}\nmetrics:\n  visits: {source: s, agg: sum, expr: v, filter: k == \"visits\"}\n  sales: {source: s, agg: sum, expr: v, filter: k == \"sales\"}\nnodes:\n  sales: {metric: sales, role: business, period: month, target: 150000}\n  visits: {metric: visits, role: kpi, owner: o, parent: sales, relation: influence, period: month, target: 3000}\n";

    fn catalog() -> Arc<Catalog> {
        Arc::new(
            load(&Files::new("", [("a.yaml", YAML)]))
                .map_err(|d| d.to_string())
                .unwrap(),
        )
    }

    /// Two events a day for 240 days; sales halve after 180.
    fn events() -> Vec<(Timestamp, String)> {
        let first = date(2025, 1, 1);
        let mut events = Vec::new();
        for n in 0..240 {
            let day = first.saturating_add(n.days());
            let wave = 1.0 + 0.05 * (f64::from(n) / 3.0).sin();
            let sales = if n >= 180 { 2500.0 } else { 5000.0 };
            for (key, value) in [("visits", 100.0 * wave), ("sales", sales * wave)] {
                let at = format!("{day}T12:00:00Z");
                let line = format!("{{\"t\":\"{at}\",\"k\":\"{key}\",\"v\":{value:.2}}}");
                events.push((at.parse().unwrap(), line));
            }
        }
        events
    }

    /// The episodes of a replay whose judges are dropped and made anew from what is kept, every day or never.
    fn told(restarts: bool) -> Vec<(String, Timestamp, Option<Timestamp>)> {
        let mut replay = Replay::new(catalog(), Default::default());
        for (at, line) in events() {
            let record = Record {
                payload: Some(line.as_bytes()),
                ..Record::default()
            };
            replay.record(SourceId(0), &record, at).unwrap();
            if restarts {
                let learned = replay.evaluator.all_learned();
                replay.evaluator = Evaluator::new(replay.catalog.clone(), replay.plan.clone());
                replay.evaluator.restore_learned(learned);
                let records = replay.engine.records().cloned().collect();
                replay.engine = Engine::new("backtest");
                replay.engine.restore(records, Default::default());
            }
        }
        let episodes = replay.episodes().iter();
        episodes
            .map(|episode| (episode.kind.clone(), episode.raised, episode.cleared))
            .collect()
    }

    #[test]
    fn a_restart_every_day_tells_the_same_episodes() {
        assert_eq!(told(true), told(false));
    }

    #[test]
    fn a_node_that_no_link_watches_has_its_feed_told() {
        // Sales alone, in cents for ten days and silent for ten days later.
        let yaml = YAML.split("  visits: {metric: visits").next().unwrap();
        let catalog = load(&Files::new("", [("a.yaml", yaml)]))
            .map_err(|d| d.to_string())
            .unwrap();
        let mut replay = Replay::new(Arc::new(catalog), Default::default());
        let first = date(2025, 1, 1);
        for n in 0..240i64 {
            let day = first.saturating_add(n.days());
            let value = match n {
                150..160 => 500_000,
                200..210 => continue,
                _ => 5000 + n % 10,
            };
            for key in ["sales", "visits"] {
                let value = if key == "sales" { value } else { 1 };
                let line = format!("{{\"t\":\"{day}T12:00:00Z\",\"k\":\"{key}\",\"v\":{value}}}");
                let record = Record {
                    payload: Some(line.as_bytes()),
                    ..Record::default()
                };
                let at = format!("{day}T12:00:00Z").parse().unwrap();
                replay.record(SourceId(0), &record, at).unwrap();
            }
        }
        let of_feed = replay
            .episodes()
            .iter()
            .filter(|episode| crate::catalog::attribute::DriftKind::of(&episode.kind).is_some());
        let told: Vec<String> = of_feed
            .map(|episode| {
                let day = |at: Timestamp| jiff::tz::TimeZone::UTC.to_datetime(at).date();
                let link = episode.facts.link.clone().unwrap();
                format!(
                    "{} of {} raised {} cleared {} since {} times {:.0}",
                    episode.kind,
                    episode.labels["node"],
                    day(episode.raised),
                    episode.cleared.map(day).unwrap(),
                    link.since.unwrap(),
                    link.gap.unwrap_or(0.0)
                )
            })
            .collect();
        // 2025-05-31 is day 150: one odd day may be one odd order. 2025-07-20 is day 200.
        assert_eq!(
            told,
            [
                "unit_change of sales raised 2025-06-01 cleared 2025-06-10 since 2025-05-31 times 100",
                "feed_gap of sales raised 2025-07-22 cleared 2025-07-30 since 2025-07-20 times 0",
            ]
        );
    }

    #[test]
    fn history_of_an_avro_source_is_json() {
        let yaml = YAML.replace("format: json", "format: avro");
        let catalog = load(&Files::new("", [("a.yaml", yaml.as_str())]));
        let catalog = Arc::new(catalog.map_err(|d| d.to_string()).unwrap());
        let mut replay = Replay::new(catalog, Default::default());
        for (at, line) in &events()[..4] {
            let record = Record {
                payload: Some(line.as_bytes()),
                ..Record::default()
            };
            replay.record(SourceId(0), &record, *at).unwrap();
        }
        let snapshot = replay.snapshot("2025-01-03T00:00:00Z".parse().unwrap()).unwrap();
        // 100 on the first day, 100 · (1 + 0.05 sin(1/3)) = 101.64 on the second.
        let value = snapshot.instances[1].value.unwrap();
        assert!((value - 201.64).abs() < 1e-9, "{value}");
    }

    #[test]
    fn halved_sales_are_told_as_hollow() {
        let told = told(false);
        let onset: Timestamp = "2025-06-30T00:00:00Z".parse().unwrap();
        let (_, raised, _) = told.iter().find(|(kind, ..)| kind == "hollow").unwrap();
        assert!(*raised > onset && *raised < onset + SignedDuration::from_hours(24 * 14));
        let drift = |kind: &String| crate::catalog::attribute::DriftKind::of(kind).is_some();
        assert!(
            told.iter()
                .filter(|(kind, ..)| drift(kind))
                .all(|(_, raised, _)| *raised > onset)
        );
    }
}
