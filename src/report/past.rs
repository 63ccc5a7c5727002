//! The past: snapshots at any moment since the first event, from the cells that the state keeps day by day.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use crate::alert::record::{AlertRecord, Episode};
use crate::catalog::{Catalog, MetricId};
use crate::evaluate::attribution::{self, Driver, Untold};
use crate::evaluate::definition::CountedSince;
use crate::evaluate::drift::ClosedLink;
use crate::evaluate::drill::{Counted, Known};
use crate::evaluate::intake::{Intake, Recent};
use crate::evaluate::silence::Silence;
use crate::evaluate::weights::Book;
use crate::evaluate::{Estimate, Evaluator, Horizon, InstanceKey, NodeState, Period, Snapshot};
use crate::fold::cells::Cells;
use crate::fold::day::Day;
use crate::fold::plan::Plan;
use crate::state::{LoggedNotice, Reading};

/// What the state keeps of how a source stands: of its last write, and not of any moment before.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct SourceKept {
    /// Its events of the 24 hours before, and its silence.
    pub recent: Recent,
    /// Whether it was ever looked at: else nothing is known of its silence.
    pub was_watched: bool,
    /// Event time of its newest event.
    pub newest_event: Option<Timestamp>,
}

/// What is kept of how often a source brings something, as far as reports ask.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Rhythm {
    silence: Silence,
}

/// How each source stands, by what was read, in the order of the catalogue.
fn sources(catalog: &Catalog, reading: &Reading) -> Vec<SourceKept> {
    fn by_name<T: serde::de::DeserializeOwned>(kept: Option<&str>) -> BTreeMap<String, T> {
        let read = kept.and_then(|kept| serde_json::from_str(kept).ok());
        read.unwrap_or_default()
    }
    let mut intake: BTreeMap<String, Intake> = by_name(reading.intake.as_deref());
    let mut rhythms: BTreeMap<String, Rhythm> = by_name(reading.rhythms.as_deref());
    let kept = catalog.sources.iter().map(|source| {
        let is_mine = |topic: &str| {
            let pushed = topic.strip_prefix("http:");
            pushed == Some(source.name.as_str()) || source.topics.iter().any(|mine| mine == topic)
        };
        let mine = reading
            .positions
            .iter()
            .filter(|position| is_mine(&position.topic));
        let newest = mine.filter_map(|position| position.newest_event_ms).max();
        let rhythm = rhythms.remove(&source.name);
        let silent = rhythm.as_ref().map(|rhythm| rhythm.silence.silent(source));
        SourceKept {
            was_watched: silent.is_some_and(|silent| silent.since.is_some() || !silent.lasted.is_zero()),
            recent: Recent {
                silent: silent.unwrap_or_default(),
                ..intake.remove(&source.name).unwrap_or_default().recent()
            },
            newest_event: newest.and_then(|ms| Timestamp::from_millisecond(ms).ok()),
        }
    });
    kept.collect()
}

/// What a state file held, ready to be evaluated at any moment up to its watermark.
pub struct Past {
    /// The catalogue in force now; the past is told in its words.
    pub catalog: Arc<Catalog>,
    /// Cells, to look at single days.
    pub cells: Cells,
    /// Alert records as they stand now.
    pub alerts: Vec<AlertRecord>,
    /// Episodes of the last two years, in the order of firing.
    pub episodes: Vec<Episode>,
    /// Notices that are still in the log, oldest first.
    pub notices: Vec<LoggedNotice>,
    /// How each source stands now, in the order of the catalogue.
    pub sources: Vec<SourceKept>,
    /// Weights that were declared, proposed and decided.
    pub book: Arc<Book>,
    /// Up to when everything is known; `None` before the first event.
    pub watermark: Option<Timestamp>,
    evaluator: Evaluator,
}

/// What is known of parts as of a moment.
pub struct KnownAt<'p> {
    past: &'p Past,
    at: Timestamp,
}

impl Known for KnownAt<'_> {
    fn before(&self, part: &NodeState) -> Option<f64> {
        self.past.value_before(part)
    }

    fn by_dimension(&self, whole: &NodeState, dimension: &str) -> Vec<Counted> {
        let Past {
            catalog,
            evaluator,
            cells,
            ..
        } = self.past;
        let last_day = Day::of(catalog.calendar.day_of(self.at));
        evaluator.by_dimension(cells, whole, dimension, last_day)
    }
}

impl Past {
    /// Compiles the catalogue over what was read; `max_value_bytes` are those of the daemon's settings, which decide with
    /// the catalogue what the cells are called.
    pub fn new(catalog: Arc<Catalog>, reading: Reading, max_value_bytes: usize) -> Past {
        let sources = sources(&catalog, &reading);
        let plan = Arc::new(Plan::bounded(&catalog, max_value_bytes));
        let mut cells = Cells::new(plan.clone());
        cells.restore(reading.cells);
        cells.restore_items(reading.items);
        let mut evaluator =
            Evaluator::new(catalog.clone(), plan).since(&CountedSince::of(&reading.definitions));
        evaluator.restore_learned(reading.learned);
        // What the daemon would do with this catalogue: what is declared anew wins from now on.
        let mut book = reading.weights;
        if let Some(watermark) = reading.watermark {
            book.declare(&catalog, Some(catalog.calendar.day_of(watermark)), watermark);
        }
        let book = Arc::new(book);
        evaluator.weigh(book.clone());
        Past {
            evaluator,
            catalog,
            cells,
            alerts: reading.alerts,
            episodes: reading.episodes,
            notices: reading.notices,
            sources,
            book,
            watermark: reading.watermark,
        }
    }

    /// Whether a moment is the present of what was read.
    pub fn is_now(&self, at: Timestamp) -> bool {
        self.watermark.is_some_and(|watermark| at >= watermark)
    }

    /// Every number as of a moment. Of its local day everything is known, of later days nothing.
    pub fn at(&mut self, at: Timestamp) -> Snapshot {
        let is_now = self.is_now(at);
        let horizon = if is_now { Horizon::Known } else { Horizon::Day };
        let mut snapshot = self.evaluator.snapshot(&self.cells, at, horizon);
        if !is_now {
            // What is kept of a link or feed is what is known of it now.
            for state in snapshot.instances.iter_mut() {
                (state.link, state.feed) = (None, None);
            }
        }
        snapshot
    }

    /// What was known of the link of an instance as the last month closed by the end of a day.
    pub fn link_closed(&self, key: &InstanceKey, day: Date) -> Option<ClosedLink> {
        self.evaluator.link_closed(key, Day::of(day))
    }

    /// How a KPI stands over the days that its parent answers, by a snapshot of now. Of the past it is not kept how its link
    /// stood.
    ///
    /// # Errors
    /// Why it is not known.
    pub fn driver(&self, snapshot: &Snapshot, kpi: &NodeState, parent: &NodeState) -> Result<Driver, Untold> {
        let at = snapshot.watermark.ok_or(Untold::NoValue)?;
        if self.is_now(at) {
            return self.evaluator.driver(&self.cells, kpi, parent, at);
        }
        let closed = self.link_closed(&kpi.key, self.catalog.calendar.day_of(at));
        attribution::answer(closed.as_ref().map(|closed| &closed.link))?;
        Err(Untold::Past)
    }

    /// What each of the days `from..to` brought to an instance; `None` for a day without a value.
    pub fn days(&self, key: &InstanceKey, from: Date, to: Date) -> Vec<Option<f64>> {
        self.evaluator
            .flow(&self.cells, key, Day::of(from), Day::of(to))
            .unwrap_or_default()
    }

    /// The value of an instance over a period, by all that is known now.
    pub fn value(&self, key: &InstanceKey, period: &Period) -> Option<f64> {
        self.evaluator.final_value(&self.cells, key, period)
    }

    /// What an instance came to in the period before that of `state`, by all that is known now.
    pub fn value_before(&self, state: &NodeState) -> Option<f64> {
        let calendar = self.catalog.calendar_of(self.catalog.node(state.key.node));
        self.value(&state.key, &state.period.before(calendar)?)
    }

    /// What is known of parts as of a moment, for a drill.
    pub fn known_at(&self, at: Timestamp) -> KnownAt<'_> {
        KnownAt { past: self, at }
    }

    /// The first day that the definition of an instance has seen whole; `None` before the first event.
    pub fn seen_whole_from(&self, state: &NodeState) -> Option<Date> {
        let counted = state.counted_since.map(|since| {
            let day = self.catalog.calendar.day_of(since);
            day.tomorrow().unwrap_or(day)
        });
        Some(self.first_day()?.max(counted.unwrap_or(Date::MIN)))
    }

    /// The periods before `running` that were over by `today` and are whole since `begins`, with their values, the newest
    /// first; those without a value are left out.
    pub fn closed(
        &self,
        key: &InstanceKey,
        running: &Period,
        begins: Date,
        today: Date,
        most: usize,
    ) -> Vec<(Period, f64)> {
        let calendar = self.catalog.calendar_of(self.catalog.node(key.node));
        std::iter::successors(running.before(calendar), |period| period.before(calendar))
            .take_while(|period| period.start >= begins)
            .filter(|period| period.end <= today)
            .take(most)
            .filter_map(|period| {
                Some((
                    period,
                    self.value(key, &period).filter(|value| value.is_finite())?,
                ))
            })
            .collect()
    }

    /// What of the value of an instance over a period is an estimate.
    pub fn estimates(&self, key: &InstanceKey, period: &Period) -> BTreeSet<Estimate> {
        self.evaluator.estimates(&self.cells, key, period)
    }

    /// What each of the days `from..to` brought to a metric beside an instance, see [`Evaluator::metric_flow`].
    pub fn metric_days(
        &self,
        metric: MetricId,
        like: &InstanceKey,
        from: Date,
        to: Date,
    ) -> Option<Vec<Option<f64>>> {
        self.evaluator
            .metric_flow(&self.cells, metric, like, Day::of(from), Day::of(to))
    }

    /// Every number as a day closed: at its last millisecond, or at the watermark where the day is not over.
    pub fn at_close_of(&mut self, day: Date) -> Snapshot {
        let close = self.close_of(day);
        self.at(self.watermark.map_or(close, |watermark| close.min(watermark)))
    }

    /// The last millisecond of a local day.
    pub fn close_of(&self, day: Date) -> Timestamp {
        let next = day.tomorrow().unwrap_or(day);
        self.catalog.calendar.start_of(next) - SignedDuration::from_millis(1)
    }

    /// The local day of the watermark.
    pub fn today(&self) -> Option<Date> {
        Some(self.catalog.calendar.day_of(self.watermark?))
    }

    /// The first day that has any event.
    pub fn first_day(&self) -> Option<Date> {
        self.cells.first_day().map(Day::date)
    }
}
