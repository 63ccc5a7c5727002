//! The checked catalogue. Everything here refers by index to what exists: a dangling name cannot be written down.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp, civil, tz::TimeZone};

use super::Place;
use super::agg::Agg;
use super::attribute::Title;
use super::expr::Expr;
use super::path::FieldPath;
use super::severity::{Ladder, Severity};
use super::target::Band;

/// Index of a [`Source`] in [`Catalog::sources`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct SourceId(pub u32);
/// Index of a [`Metric`] in [`Catalog::metrics`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct MetricId(pub u32);
/// Index of a [`Node`] in [`Catalog::nodes`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct NodeId(pub u32);
/// Index of a field in [`Source::fields`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct FieldId(pub u16);

/// What the business declares, checked.
#[derive(Clone, Debug)]
pub struct Catalog {
    /// The calendar of every metric that names no other; its zone is everybody's.
    pub calendar: Calendar,
    /// Calendars that metrics name, in the zone of the default one.
    pub calendars: Vec<NamedCalendar>,
    /// Where events come from.
    pub sources: Vec<Source>,
    /// Standard definitions. Inline parts of a ratio are metrics too, named `<ratio>.numerator` and `.denominator`.
    pub metrics: Vec<Metric>,
    /// Metrics put to work in the tree; a parent stands before its children.
    pub nodes: Vec<Node>,
    /// How bad an alert may be.
    pub severities: Ladder,
    /// Steps that it declares beside the built-in ones, and where.
    pub added_severities: Vec<(Severity, Place)>,
    /// Built-in rules as overridden, and own rules.
    pub rules: Vec<Rule>,
    /// How the score of an owner is made up.
    pub assess: Assess,
    /// How weights follow what the KPIs are seen to explain.
    pub weighting: Weighting,
    /// Findings of the SMART lint that somebody has looked at and accepts.
    pub accepted: Vec<Accepted>,
}

/// How the score of an owner is made up: of its KPIs, and of the business that these serve. In points of any scale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Assess {
    /// Points for the KPIs.
    pub kpi: f64,
    /// Points for the business metrics.
    pub business: f64,
}

impl Default for Assess {
    /// KPIs alone: what a catalogue that says nothing is used to.
    fn default() -> Assess {
        Assess {
            kpi: 100.0,
            business: 0.0,
        }
    }
}

/// How weights follow what the KPIs are seen to explain of the business. Weights, steps and bounds are in points.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weighting {
    /// What happens when the links speak for other weights.
    pub mode: WeightMode,
    /// η: which part of the way to what the evidence says is gone at one close, 0 to 1.
    pub rate: f64,
    /// Most points by which a weight changes at one close.
    pub step: f64,
    /// No weight is lowered below this.
    pub floor: f64,
    /// No weight is raised above this.
    pub cap: f64,
}

impl Default for Weighting {
    fn default() -> Weighting {
        Weighting {
            mode: WeightMode::Propose,
            rate: 0.5,
            step: 10.0,
            floor: 5.0,
            cap: 100.0,
        }
    }
}

/// What happens when the links speak for other weights.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WeightMode {
    /// A proposal waits for somebody to decide.
    Propose,
    /// The proposal applies by itself from the next period on.
    Auto,
    /// Weights are what is declared, and what was decided before.
    Off,
}

impl WeightMode {
    /// The mode of a word.
    fn of(word: &str) -> Option<WeightMode> {
        Some(match word {
            "propose" => WeightMode::Propose,
            "auto" => WeightMode::Auto,
            "off" => WeightMode::Off,
            _ => return None,
        })
    }
}

impl<'de> serde::Deserialize<'de> for WeightMode {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<WeightMode, D::Error> {
        /// Bare, `off` is false to some YAML readers.
        #[derive(serde::Deserialize)]
        #[serde(untagged)]
        enum Word {
            Text(String),
            Truth(bool),
        }
        let word = match Word::deserialize(deserializer)? {
            Word::Text(word) => word,
            Word::Truth(truth) => (if truth { "on" } else { "off" }).to_owned(),
        };
        WeightMode::of(&word).ok_or_else(|| {
            serde::de::Error::custom(format!("found '{word}', expected one of propose, auto, off"))
        })
    }
}

/// A finding of the SMART lint that somebody has looked at and accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The kind of finding.
    pub code: super::lint::Code,
    /// Name of the node, metric or owner that it is about.
    pub subject: String,
    /// Why it is accepted.
    pub reason: String,
    /// Where it is written.
    pub place: Place,
}

impl Catalog {
    /// The source behind an id.
    pub fn source(&self, id: SourceId) -> &Source {
        &self.sources[id.0 as usize]
    }
    /// The metric behind an id.
    pub fn metric(&self, id: MetricId) -> &Metric {
        &self.metrics[id.0 as usize]
    }
    /// The calendar by which a node's periods and working days are counted: that of its metric.
    pub fn calendar_of(&self, node: &Node) -> &Calendar {
        let named = self.metric(node.metric).calendar;
        named.map_or(&self.calendar, |index| &self.calendars[index].calendar)
    }
    /// The node behind an id.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    /// The node of a name.
    pub fn node_named(&self, name: &str) -> Option<NodeId> {
        let position = self.nodes.iter().position(|node| node.name == name)?;
        u32::try_from(position).ok().map(NodeId)
    }

    /// Whether a metric is computed from the events of a source.
    pub fn is_made_from(&self, metric: MetricId, source: SourceId) -> bool {
        match &self.metric(metric).kind {
            MetricKind::Simple(simple) => simple.source == source,
            MetricKind::Duration(duration) => duration.marks.source == source,
            MetricKind::Conversion(conversion) => [&conversion.base, &conversion.goal]
                .iter()
                .any(|step| step.step.source == source),
            MetricKind::Ratio {
                numerator,
                denominator,
            } => self.is_made_from(*numerator, source) || self.is_made_from(*denominator, source),
            MetricKind::Derived { inputs, .. } => {
                inputs.iter().any(|input| self.is_made_from(*input, source))
            }
        }
    }
    /// Whether a metric's value grows with the period: totals, and sums and differences of totals.
    pub fn accumulates(&self, id: MetricId) -> bool {
        match &self.metric(id).kind {
            MetricKind::Simple(simple) => simple.agg.accumulates(),
            MetricKind::Ratio { .. } | MetricKind::Duration(_) | MetricKind::Conversion(_) => false,
            MetricKind::Derived { expr, inputs } => {
                expr.is_linear() && inputs.iter().all(|input| self.accumulates(*input))
            }
        }
    }
    /// Whether people type in a metric, or a part of it.
    pub fn is_typed_in(&self, id: MetricId) -> bool {
        let metric = self.metric(id);
        match &metric.kind {
            MetricKind::Ratio {
                numerator,
                denominator,
            } => self.is_typed_in(*numerator) || self.is_typed_in(*denominator),
            MetricKind::Derived { inputs, .. } => inputs.iter().any(|input| self.is_typed_in(*input)),
            MetricKind::Simple(_) | MetricKind::Duration(_) | MetricKind::Conversion(_) => {
                metric.manual.is_some()
            }
        }
    }
    /// Metrics that the catalogue names, with their ids: all but the inline parts of ratios.
    pub fn named_metrics(&self) -> impl Iterator<Item = (MetricId, &Metric)> {
        let is_part = |name: &str| {
            let owner = name
                .strip_suffix(".numerator")
                .or(name.strip_suffix(".denominator"));
            owner.is_some_and(|owner| self.metrics.iter().any(|metric| metric.name == owner))
        };
        (0u32..)
            .map(MetricId)
            .zip(&self.metrics)
            .filter(move |(_, metric)| !is_part(&metric.name))
    }
    /// The children of a node, in declaration order.
    pub fn children(&self, id: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        let is_child = move |node: &Node| node.parent.as_ref().is_some_and(|parent| parent.node == id);
        (0u32..)
            .zip(&self.nodes)
            .filter(move |(_, node)| is_child(node))
            .map(|(i, _)| NodeId(i))
    }
}

/// A calendar of `calendars:`.
#[derive(Clone, Debug)]
pub struct NamedCalendar {
    /// Its name.
    pub name: String,
    /// The calendar.
    pub calendar: Calendar,
}

/// Days, weeks and years as the business counts them.
#[derive(Clone, Debug)]
pub struct Calendar {
    /// IANA zone; a day is a local day of this zone.
    pub timezone: TimeZone,
    /// Month and day on which the fiscal year begins.
    pub fiscal_year_starts: (i8, i8),
    /// First day of a week.
    pub week_starts: civil::Weekday,
    /// Working days by weekday, Monday first.
    pub workdays: [bool; 7],
    /// Whether the catalogue says which days are working days; plans then follow them by default.
    pub workdays_declared: bool,
    /// Days that differ from their weekday.
    pub special_days: BTreeMap<civil::Date, SpecialDay>,
}

impl Calendar {
    /// The first moment of a local day. Where a clock change swallows midnight, the first moment that exists.
    pub fn start_of(&self, day: civil::Date) -> Timestamp {
        let midnight = day.to_datetime(civil::Time::midnight());
        // Dates beyond the range of a timestamp (year 9999) do not occur: event times are checked at the door.
        self.timezone
            .to_ambiguous_timestamp(midnight)
            .compatible()
            .unwrap_or(Timestamp::MAX)
    }

    /// The local day of a moment.
    pub fn day_of(&self, at: Timestamp) -> civil::Date {
        self.timezone.to_datetime(at).date()
    }

    /// Whether people work on a day.
    pub fn is_workday(&self, day: civil::Date) -> bool {
        match self.special_days.get(&day).map(|special| special.kind) {
            Some(DayKind::Holiday) => false,
            Some(DayKind::Workday) => true,
            Some(DayKind::Promotion) | None => self.workdays[day.weekday().to_monday_zero_offset() as usize],
        }
    }
}

/// A day of the holiday file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecialDay {
    /// What kind of day.
    pub kind: DayKind,
    /// Its name, for people.
    pub name: String,
}

/// How a special day differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DayKind {
    /// Nobody works.
    Holiday,
    /// A make-up working day on a weekend.
    Workday,
    /// A promotion: ordinary working rules, unusual volume.
    Promotion,
}

/// How a record's bytes are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One JSON object a record.
    Json,
    /// CloudEvents 1.0, structured or binary mode, told apart by the record's headers.
    CloudEvents,
    /// Debezium's change events, in JSON or in Avro: rows of a table, before and after each change.
    Debezium,
    /// Avro with a schema registry, in the wire format of Confluent's serializers.
    Avro,
}

/// How many events a record holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// One.
    #[default]
    Single,
    /// Newline-delimited JSON: one a line; blank lines are none.
    Lines,
    /// A JSON array with one object an event.
    Array,
}

/// Where events come from.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its name in the catalogue.
    pub name: String,
    /// Kafka topics; may be none where events come over HTTP.
    pub topics: Vec<String>,
    /// Whether it takes events over HTTP.
    pub http: bool,
    /// Whether its events are the entries of a manual metric; the catalogue's loader makes such a source.
    pub manual: bool,
    /// Format of the records.
    pub format: Format,
    /// How many events a record holds (`payload:` in the catalogue).
    pub layout: Layout,
    /// Path of the event time; without one the record's timestamp is the event time.
    pub time: Option<FieldPath>,
    /// Zone of event times that are written without an offset; without one they are rejected.
    pub timezone: Option<TimeZone>,
    /// How long an event may be late before it counts as late; keeps the watermark back.
    pub lateness: SignedDuration,
    /// How far ahead of the clock an event may be before it is quarantined.
    pub max_skew: SignedDuration,
    /// Share of rejected events above which the feed counts as broken.
    pub max_rejected: f64,
    /// How often it brings something.
    pub expected_interval: Expected,
    /// The silence from which on it counts as stale, where it is said.
    pub stale_after: Option<SignedDuration>,
    /// Topics whose records only say that the feed is alive.
    pub heartbeats: Vec<String>,
    /// After how long without a record a partition that stands at its end no longer holds the watermark back.
    pub idle_timeout: SignedDuration,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Which events take back: they subtract what they would add.
    pub retract: Option<Retract>,
    /// How copies of an event are told, if they are.
    pub dedup: Option<Dedup>,
    /// The fields that may be used by metrics.
    pub fields: Vec<Field>,
    /// Where it is declared.
    pub place: Place,
}

/// How often a source brings something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Expected {
    /// As often as it usually does at that hour of the week.
    #[default]
    Learned,
    /// At least this often.
    Every(SignedDuration),
    /// Nobody knows, and silence says nothing.
    Never,
}

/// The shortest silence that is too long where the catalogue says how often something is expected.
const LEAST_STALE_AFTER: SignedDuration = SignedDuration::from_mins(5);

impl Source {
    /// The silence from which on it counts as stale; `None` where that is learned, or never said.
    pub fn stale_after(&self) -> Option<SignedDuration> {
        let expected = match self.expected_interval {
            Expected::Every(interval) => Some((interval * 3).max(LEAST_STALE_AFTER)),
            Expected::Learned | Expected::Never => None,
        };
        self.stale_after.or(expected)
    }

    /// Whether its events may take back what earlier ones added.
    pub fn retracts(&self) -> bool {
        self.format == Format::Debezium || self.retract.is_some()
    }

    /// Whether an aggregation over it comes out right: one that cannot forget a value needs events that only add.
    pub fn can_fold(&self, agg: Agg) -> bool {
        match agg {
            Agg::Sum | Agg::Count | Agg::Avg => true,
            // A changed row brings its newest value along; of an event that was taken back nothing newer is known.
            Agg::Last => self.retract.is_none(),
            _ => !self.retracts(),
        }
    }
}

/// Which events of a source take back.
#[derive(Clone, Debug)]
pub struct Retract {
    /// True of an event that takes back; variables are the source's fields, by index.
    pub condition: Expr,
    /// Where it is declared.
    pub place: Place,
}

/// How copies of an event are told: by id, in the partition that brought it, over a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dedup {
    /// Path of the id.
    pub id: FieldPath,
    /// How long an id is remembered, in event time.
    pub window: SignedDuration,
    /// How many ids are remembered, over all partitions of the source.
    pub max_keys: usize,
}

/// A named field of a source.
#[derive(Clone, Debug)]
pub struct Field {
    /// Name used by metrics.
    pub name: String,
    /// Where it is in the record.
    pub path: FieldPath,
    /// Its type, declared or found from its uses; [`FieldType::Any`] where nothing tells.
    pub kind: FieldType,
    /// Where it is declared.
    pub place: Place,
}

/// Type of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldType {
    /// Not known: only counted or used as a key or dimension.
    Any,
    /// Text.
    Text,
    /// A number (a JSON number, or a text that is one).
    Number,
    /// True or false.
    Bool,
}

/// A standard definition.
#[derive(Clone, Debug)]
pub struct Metric {
    /// Its name in the catalogue.
    pub name: String,
    /// Its title for people; the name where none is given.
    pub title: String,
    /// Unit, such as `CNY`, `days`.
    pub unit: Option<String>,
    /// Index into [`Catalog::calendars`]; `None`: the default one.
    pub calendar: Option<usize>,
    /// Fields that it may be broken down by (names; each simple part's source has them).
    pub dimensions: Vec<String>,
    /// Of a metric that people type in: who does, and how often.
    pub manual: Option<Manual>,
    /// How it is computed.
    pub kind: MetricKind,
    /// Combinations of dimension values that are kept a split; further ones count under [`OTHER`].
    pub max_cells: usize,
    /// How far back records are read again for it when its definition is new; `None`: it is counted from then on.
    pub backfill: Option<SignedDuration>,
    /// Where it is declared.
    pub place: Place,
}

/// The dimension value under which what is beyond [`Metric::max_cells`] counts.
pub const OTHER: &str = "other";

impl Metric {
    /// The source that it aggregates; `None` for one that is made of other metrics.
    pub fn source(&self) -> Option<SourceId> {
        match &self.kind {
            MetricKind::Simple(simple) => Some(simple.source),
            MetricKind::Duration(duration) => Some(duration.marks.source),
            MetricKind::Conversion(conversion) => Some(conversion.base.step.source),
            MetricKind::Ratio { .. } | MetricKind::Derived { .. } => None,
        }
    }
}

/// Who types a metric in, and how often. Its entries are the events of a source of its own.
#[derive(Clone, Debug)]
pub struct Manual {
    /// Who may; at least one.
    pub entered_by: Vec<String>,
    /// For every such period an entry is due; `None`: whenever somebody likes.
    pub every: Option<PeriodKind>,
    /// How long after the end of such a period its entry may come.
    pub grace: SignedDuration,
}

/// How a metric is computed.
#[derive(Clone, Debug)]
pub enum MetricKind {
    /// An aggregation over one source.
    Simple(Simple),
    /// From a start to an end of an item.
    Duration(Box<Duration>),
    /// The share of attempts that succeed in time.
    Conversion(Box<Conversion>),
    /// Numerator over denominator; no value while the denominator is empty.
    Ratio {
        /// Above the line.
        numerator: MetricId,
        /// Below the line.
        denominator: MetricId,
    },
    /// An expression over other metrics; its variables are metrics by their place in the catalogue.
    Derived {
        /// The expression.
        expr: Expr,
        /// The metrics that the expression names.
        inputs: Vec<MetricId>,
    },
}

/// An aggregation over one source.
#[derive(Clone, Debug)]
pub struct Simple {
    /// The source.
    pub source: SourceId,
    /// The aggregation.
    pub agg: Agg,
    /// The aggregated field; `None` only for [`Agg::Count`].
    pub field: Option<FieldId>,
    /// Which events count; variables are the source's fields, by index.
    pub filter: Option<Expr>,
    /// How keys are remembered, for an aggregation that does.
    pub keys: Option<Keys>,
}

/// From a start to an end of an item, by key; items that are open count with their age.
#[derive(Clone, Debug)]
pub struct Duration {
    /// The source, the key as the field, and the aggregation over durations; without a filter.
    pub marks: Simple,
    /// The field that names an item.
    pub key: FieldId,
    /// Which events begin it; variables are the source's fields, by index.
    pub start: Expr,
    /// Which events end it.
    pub end: Expr,
    /// In what it is measured.
    pub unit: TimeUnit,
    /// How many items are remembered.
    pub max_items: usize,
}

/// A funnel of two steps: of the entities that take the first one, the share that takes the next one in time.
///
/// An attempt begins with a base event of an entity that has none open; it succeeds with the first event of the goal at
/// or after it, within the window; it fails when the window is over.
#[derive(Clone, Debug)]
pub struct Conversion {
    /// The first step.
    pub base: Step,
    /// The next one.
    pub goal: Step,
    /// Within which it is taken, in milliseconds.
    pub window_ms: i64,
    /// How many entities are remembered.
    pub max_items: usize,
}

/// A step of a funnel.
#[derive(Clone, Debug)]
pub struct Step {
    /// The metric that names it.
    pub metric: MetricId,
    /// Which events are it: source and filter of the metric that names it.
    pub step: Simple,
    /// The field that names the entity.
    pub entity: FieldId,
}

/// In what a duration is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeUnit {
    /// Seconds.
    Seconds,
    /// Minutes.
    Minutes,
    /// Hours.
    Hours,
    /// Days of 24 hours.
    Days,
}

impl TimeUnit {
    /// By its word.
    pub fn of(word: &str) -> Option<TimeUnit> {
        Some(match word {
            "seconds" | "second" => TimeUnit::Seconds,
            "minutes" | "minute" => TimeUnit::Minutes,
            "hours" | "hour" => TimeUnit::Hours,
            "days" | "day" => TimeUnit::Days,
            _ => return None,
        })
    }

    /// How many seconds one has.
    pub fn seconds(self) -> f64 {
        match self {
            TimeUnit::Seconds => 1.0,
            TimeUnit::Minutes => 60.0,
            TimeUnit::Hours => 3600.0,
            TimeUnit::Days => 86_400.0,
        }
    }
}

/// How the keys of a metric are remembered.
#[derive(Clone, Debug)]
pub struct Keys {
    /// Days after which a key that comes back is new again; never, where there is none.
    pub within: Option<Within>,
    /// How many are remembered.
    pub max: usize,
}

/// After how many days without an event a key that comes back is new again.
#[derive(Clone, Debug)]
pub struct Within {
    /// In days.
    pub days: i32,
    /// Where it is declared.
    pub place: Place,
}

/// What a node is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The progress bar of the business; not assessed.
    Business,
    /// Assessed; has owner and weight.
    Kpi,
}

/// Level of the decomposition.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// 战略
    Strategy,
    /// 战术
    Tactic,
    /// 执行
    Execution,
    /// 个人
    Individual,
}

/// How a child serves its parent.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Relation {
    /// Children add up to the parent.
    Sum,
    /// Children multiply to the parent.
    Product,
    /// Numerator and denominator of the parent.
    Ratio,
    /// The child drives the parent.
    Influence,
}

/// Which way is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// More is better.
    #[default]
    Higher,
    /// Less is better.
    Lower,
}

/// Length of a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PeriodKind {
    /// A local day.
    Day,
    /// A week of the calendar.
    Week,
    /// A month.
    Month,
    /// A fiscal quarter.
    Quarter,
    /// A fiscal half year.
    Half,
    /// A fiscal year.
    Year,
    /// A number of days, one after the other.
    #[serde(skip)]
    Every {
        /// Length in days.
        days: u16,
        /// First day of one of them.
        from: civil::Date,
    },
}

impl PeriodKind {
    /// How many days one of them has at most.
    pub fn longest_days(self) -> i32 {
        match self {
            PeriodKind::Day => 1,
            PeriodKind::Week => 7,
            PeriodKind::Month => 31,
            PeriodKind::Quarter => 92,
            PeriodKind::Half => 184,
            PeriodKind::Year => 366,
            PeriodKind::Every { days, .. } => i32::from(days),
        }
    }

    /// The word for it in the catalogue.
    pub fn as_str(self) -> &'static str {
        match self {
            PeriodKind::Day => "day",
            PeriodKind::Week => "week",
            PeriodKind::Month => "month",
            PeriodKind::Quarter => "quarter",
            PeriodKind::Half => "half",
            PeriodKind::Year => "year",
            PeriodKind::Every { .. } => "custom",
        }
    }
}

/// What share of the target should be done by when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// As last year where there is a year of data, else by working days where the calendar declares them, else linear.
    #[default]
    Default,
    /// By time elapsed.
    Linear,
    /// By working time elapsed.
    Workdays,
    /// As the same period a year before, aligned by holiday and weekday.
    LastYear,
    /// The whole target at any time.
    Flat,
    /// By the weights of a file.
    #[serde(skip)]
    File,
}

/// The link to the parent.
#[derive(Clone, Debug)]
pub struct ParentLink {
    /// The parent.
    pub node: NodeId,
    /// How this node serves it.
    pub relation: Relation,
}

/// A metric put to work in the tree.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name in the catalogue.
    pub name: String,
    /// Title for people: its own, else the metric's.
    pub title: String,
    /// The metric.
    pub metric: MetricId,
    /// Business or KPI.
    pub role: Role,
    /// Level.
    pub level: Level,
    /// The parent, except for roots.
    pub parent: Option<ParentLink>,
    /// One instance for every combination of values of these dimensions.
    pub each: Vec<String>,
    /// Dimensions by which its value is counted as well, each alone, so that a gap can be split by them. They make no instances.
    pub drill: Vec<String>,
    /// Its period.
    pub period: PeriodKind,
    /// Its targets.
    pub target: Target,
    /// Value at which completion is 0.
    pub baseline: Option<f64>,
    /// Which way is good.
    pub direction: Direction,
    /// Of a duration: the age from which an open item is overdue.
    pub overdue_after: Option<SignedDuration>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Weight in the owner's score, in points.
    pub weight: Option<f64>,
    /// Plan of the period.
    pub profile: Profile,
    /// For [`Profile::File`]: the weight of the days from a date on.
    pub plan: BTreeMap<civil::Date, f64>,
    /// Share of the period before which pace is "too early".
    pub min_share: f64,
    /// Events of the period below which it is, too; 0: none are asked for.
    pub min_count: u64,
    /// Event time after the first day of an instance for which no rule begins to say anything of it.
    pub new_group_delay: SignedDuration,
    /// What a day brought by month in the year before the node's first day, where a file says so.
    pub last_year: Vec<MonthlyRates>,
    /// Where it is declared.
    pub place: Place,
}

/// The target of a node.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// Tracked, without a target.
    None,
    /// The same number every period.
    Number(f64),
    /// The same range every period.
    Band(Band),
    /// The base period's actual value, grown: `base × (1 + growth)`.
    Growth {
        /// 0.3 for 30 %.
        growth: f64,
        /// The base.
        over: GrowthBase,
    },
    /// By period start and dimension values, from a CSV.
    Table(Vec<TargetRow>),
}

/// What a growth target grows over.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum GrowthBase {
    /// The period of the same kind a year before, from tautline's own history.
    LastYear,
    /// The same period of a given year, from tautline's own history.
    Year(i16),
    /// A stated value of the base period.
    Value(f64),
}

/// One line of a target file: `start,[dimension…,]target`, or `start,[dimension…,]low,high`.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetRow {
    /// First day of the period.
    pub start: civil::Date,
    /// Dimension values in the order of [`Node::each`]; empty for a node without `each`.
    pub dimensions: Vec<String>,
    /// Target value; of a band its middle.
    pub target: f64,
    /// The band, where the target is one.
    pub band: Option<Band>,
    /// Since when it is known; the latest one announced by a day is the target of that day.
    pub announced: Option<civil::Date>,
}

/// What a day brought, by month, before tautline looked: lines of a `last_year` file put together.
#[derive(Clone, Debug, PartialEq)]
pub struct MonthlyRates {
    /// Dimension values in the order of [`Node::each`]; empty for a node without `each`.
    pub dimensions: Vec<String>,
    /// Mean daily value by calendar month, January first; each above 0.
    pub rates: [f64; 12],
}

/// What a rule looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RuleOn {
    /// Every node instance: variables `node.*`.
    Node,
    /// Every KPI and its parent: variables `kpi.*`, `parent.*`, `link.*`.
    Link,
    /// Every open item that is overdue: variables `item.*`, `node.*`.
    Item,
    /// Every source: variables `source.*`.
    Source,
    /// The links that serve one node instance, or all instances of a node: variables `siblings.*`.
    Siblings,
}

/// What an active alert does while an operand has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnMissing {
    /// Stays as it is; its clocks stand still.
    #[default]
    Keep,
    /// Missing counts as a breach at the lowest level.
    Alert,
    /// Missing counts as clear.
    Resolve,
    /// Resolves at once, with the reason "no data".
    NoData,
}

/// One level of a rule: warning, critical, …
#[derive(Clone, Debug)]
pub struct RuleLevel {
    /// Severity of this level.
    pub severity: Severity,
    /// Breach condition; variables are listed in `evaluate`.
    pub when: Expr,
    /// Event time for which `when` must hold before this level counts.
    pub hold_for: SignedDuration,
}

/// A rule: built in ([`Rule::kind`] names a drift kind) or own. Several rules of one name never apply to one node:
/// a node that overrides a built-in rule is excepted from the general one.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its name: the drift kind for built-in rules.
    pub name: String,
    /// The drift kind that its alerts carry; own rules carry their name.
    pub kind: String,
    /// What it looks at.
    pub on: RuleOn,
    /// Node names it applies to, with `*` at the end as a wildcard; empty: all.
    pub nodes: Vec<String>,
    /// Node names it does not apply to.
    pub except: Vec<String>,
    /// Those of them that switched it off, and have no rule of their own in its place.
    pub off: Vec<String>,
    /// Its levels, the mildest first; never empty. One alert identity climbs and descends them.
    pub levels: Vec<RuleLevel>,
    /// Clear condition; `None`: no level's `when` holds.
    pub clear: Option<Expr>,
    /// Event time for which it must stay clear before it resolves, and stay lower before it steps down.
    pub keep_firing_for: SignedDuration,
    /// Breaching updates that it needs, besides time, before it fires; 1 for none.
    pub for_events: u32,
    /// What it takes in place of [`Node::new_group_delay`].
    pub new_group_delay: Option<SignedDuration>,
    /// What happens while an operand has no value.
    pub on_missing: OnMissing,
    /// Labels added to its alerts.
    pub labels: BTreeMap<String, String>,
    /// Title of its alerts; `None`: the message of its kind.
    pub title: Option<Title>,
    /// The same in Chinese, where the rule says it in two languages.
    pub title_zh: Option<Title>,
    /// Where it is declared; `None` for a built-in rule.
    pub place: Option<Place>,
}

impl Rule {
    /// Whether the rule applies to a node of this name.
    pub fn applies_to(&self, node: &str) -> bool {
        let matches = |pattern: &String| match pattern.strip_suffix('*') {
            Some(prefix) => node.starts_with(prefix),
            None => node == pattern,
        };
        !self.except.iter().any(matches) && (self.nodes.is_empty() || self.nodes.iter().any(matches))
    }

    /// Whether its alerts belong to a period and end with it. A link does not come together when a month ends, and an
    /// item is not done.
    pub fn is_of_a_period(&self) -> bool {
        !matches!(self.on, RuleOn::Item | RuleOn::Source | RuleOn::Siblings)
            && super::attribute::DriftKind::of(&self.kind).is_none()
    }

    /// Whether a node of this name switched the rule off.
    pub fn is_off_at(&self, node: &str) -> bool {
        self.off.iter().any(|off| off == node)
    }
}
