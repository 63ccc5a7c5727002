//! What a catalogue file may say: the YAML as types. Meaning is given to it by [`super::load`].

use std::collections::BTreeMap;
use std::fmt;

use jiff::{SignedDuration, Span, SpanRelativeTo};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};

use super::agg::AggWord;
use super::model::{
    Direction, Expected, Format, Layout, Level, OnMissing, PeriodKind, Profile, Relation, Role, RuleOn,
    WeightMode,
};
use super::severity::Grade;
use super::template::{TemplateEntry, UseEntry};
use super::yaml::{Named, Spanned};

/// One file; sections of several files merge.
#[derive(Deserialize, JsonSchema, Debug, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    pub(super) calendar: Option<Spanned<CalendarEntry>>,
    /// Calendars that metrics name.
    pub(super) calendars: Named<CalendarEntry>,
    pub(super) sources: Named<SourceEntry>,
    pub(super) metrics: Named<MetricEntry>,
    pub(super) nodes: Named<NodeEntry>,
    pub(super) rules: Named<RuleEntry>,
    pub(super) templates: Named<TemplateEntry>,
    pub(super) r#use: Named<UseEntry>,
    /// How bad an alert may be, from the least bad to the worst.
    pub(super) severities: Option<Spanned<Vec<SeverityEntry>>>,
    pub(super) assess: Option<Spanned<AssessEntry>>,
    /// How weights follow what the KPIs are seen to explain.
    pub(super) weights: Option<Spanned<WeightsEntry>>,
    /// Accepted findings: code, then subject, then reason.
    pub(super) lint: Named<Named<String>>,
}

#[derive(Deserialize, JsonSchema, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct CalendarEntry {
    pub(super) timezone: Option<Spanned<String>>,
    pub(super) fiscal_year_starts: Option<Spanned<String>>,
    pub(super) week_starts: Option<Weekday>,
    pub(super) workdays: Option<Vec<Weekday>>,
    pub(super) holidays: Option<Spanned<String>>,
}

/// `warning`, or `{name: major, like: warning, title: Major, title_zh: 重大}`.
#[derive(Debug)]
pub(super) struct SeverityEntry {
    pub(super) name: Spanned<String>,
    pub(super) like: Option<Spanned<String>>,
    pub(super) title: Option<String>,
    pub(super) title_zh: Option<String>,
}

/// A step that the catalogue adds.
#[derive(Deserialize, JsonSchema, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct AddedSeverity {
    name: Spanned<String>,
    /// The built-in severity that it looks like to who knows no others.
    #[schemars(with = "Option<Grade>")]
    like: Option<Spanned<String>>,
    title: Option<String>,
    title_zh: Option<String>,
}

/// `assess: {kpi: 70, business: 30}`.
#[derive(Deserialize, JsonSchema, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct AssessEntry {
    pub(super) kpi: f64,
    pub(super) business: f64,
}

/// `weights: propose`, or `weights: {mode: auto, step: 5}`.
#[derive(Debug)]
pub(super) struct WeightsEntry(pub(super) WeightsMap);

#[derive(Deserialize, JsonSchema, Debug, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct WeightsMap {
    pub(super) mode: Option<WeightMode>,
    pub(super) rate: Option<f64>,
    pub(super) step: Option<f64>,
    pub(super) floor: Option<f64>,
    pub(super) cap: Option<f64>,
}

#[derive(Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Weekday {
    #[serde(alias = "mon")]
    Monday,
    #[serde(alias = "tue")]
    Tuesday,
    #[serde(alias = "wed")]
    Wednesday,
    #[serde(alias = "thu")]
    Thursday,
    #[serde(alias = "fri")]
    Friday,
    #[serde(alias = "sat")]
    Saturday,
    #[serde(alias = "sun")]
    Sunday,
}

#[derive(Deserialize, JsonSchema, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct SourceEntry {
    pub(super) topics: Option<Spanned<Vec<Spanned<String>>>>,
    #[serde(default)]
    pub(super) http: bool,
    pub(super) format: Format,
    #[serde(default)]
    pub(super) payload: Layout,
    pub(super) time: Option<Spanned<String>>,
    /// Zone of times that are written without an offset.
    pub(super) timezone: Option<Spanned<String>>,
    pub(super) lateness: Option<Duration>,
    pub(super) max_skew: Option<Duration>,
    pub(super) max_rejected: Option<Share>,
    pub(super) expected_interval: Option<Spanned<ExpectedEntry>>,
    pub(super) stale_after: Option<Spanned<Duration>>,
    #[serde(default)]
    pub(super) heartbeat: Vec<Spanned<String>>,
    pub(super) idle_timeout: Option<Duration>,
    pub(super) owner: Option<String>,
    pub(super) id: Option<Spanned<String>>,
    pub(super) retract: Option<Spanned<String>>,
    pub(super) dedup: Option<Spanned<Duration>>,
    pub(super) dedup_max_keys: Option<Spanned<WholeNumber>>,
    pub(super) fields: Named<FieldEntry>,
}

/// `10m`, `learned` or `never`.
#[derive(Clone, Copy, Debug)]
pub(super) struct ExpectedEntry(pub(super) Expected);

/// `amount: data.amount`, or `amount: {path: data.amount, type: number}`.
#[derive(Debug)]
pub(super) struct FieldEntry {
    pub(super) path: Spanned<String>,
    pub(super) kind: Option<FieldKind>,
}

#[derive(Deserialize, JsonSchema, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum FieldKind {
    Text,
    Number,
    Bool,
}

#[derive(Deserialize, JsonSchema, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum MetricType {
    Simple,
    Ratio,
    Derived,
    Duration,
    Conversion,
    Manual,
}

#[derive(Deserialize, JsonSchema, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct MetricEntry {
    pub(super) title: Option<String>,
    pub(super) r#type: Option<Spanned<MetricType>>,
    pub(super) source: Option<Spanned<String>>,
    pub(super) calendar: Option<Spanned<String>>,
    pub(super) agg: Option<Spanned<AggWord>>,
    pub(super) percentile: Option<Spanned<f64>>,
    pub(super) expr: Option<Spanned<String>>,
    pub(super) filter: Option<Spanned<String>>,
    pub(super) within: Option<Spanned<Duration>>,
    pub(super) max_keys: Option<Spanned<WholeNumber>>,
    pub(super) key: Option<Spanned<String>>,
    pub(super) start: Option<Spanned<String>>,
    pub(super) end: Option<Spanned<String>>,
    pub(super) max_items: Option<Spanned<WholeNumber>>,
    pub(super) max_cells: Option<Spanned<WholeNumber>>,
    pub(super) backfill: Option<Spanned<Duration>>,
    pub(super) entered_by: Option<Spanned<Vec<String>>>,
    pub(super) every: Option<Spanned<PeriodKind>>,
    pub(super) grace: Option<Spanned<Duration>>,
    pub(super) entity: Option<Spanned<String>>,
    pub(super) base_metric: Option<Spanned<String>>,
    pub(super) conversion_metric: Option<Spanned<String>>,
    pub(super) window: Option<Spanned<Duration>>,
    pub(super) numerator: Option<Spanned<PartEntry>>,
    pub(super) denominator: Option<Spanned<PartEntry>>,
    pub(super) unit: Option<String>,
    #[serde(default)]
    pub(super) dimensions: Vec<Spanned<String>>,
}

/// A part of a ratio: the name of a metric, or an aggregation over the ratio's own source.
#[derive(Debug)]
pub(super) enum PartEntry {
    Name(String),
    Inline(Box<InlinePart>),
}

#[derive(Deserialize, JsonSchema, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct InlinePart {
    pub(super) agg: Spanned<AggWord>,
    pub(super) percentile: Option<Spanned<f64>>,
    pub(super) expr: Option<Spanned<String>>,
    pub(super) filter: Option<Spanned<String>>,
    pub(super) within: Option<Spanned<Duration>>,
    pub(super) max_keys: Option<Spanned<WholeNumber>>,
}

#[derive(Deserialize, JsonSchema, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct NodeEntry {
    pub(super) title: Option<String>,
    pub(super) metric: Spanned<String>,
    pub(super) role: Role,
    pub(super) level: Option<Level>,
    pub(super) parent: Option<Spanned<String>>,
    pub(super) relation: Option<Spanned<Relation>>,
    #[serde(default)]
    pub(super) each: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) drill: Vec<Spanned<String>>,
    pub(super) period: PeriodEntry,
    pub(super) target: Option<Spanned<TargetEntry>>,
    pub(super) baseline: Option<f64>,
    #[serde(default)]
    pub(super) direction: Direction,
    pub(super) overdue_after: Option<Spanned<Duration>>,
    pub(super) owner: Option<String>,
    pub(super) weight: Option<Spanned<f64>>,
    pub(super) profile: Option<ProfileEntry>,
    pub(super) min_share: Option<Share>,
    pub(super) min_count: Option<Spanned<u64>>,
    pub(super) new_group_delay: Option<Spanned<Duration>>,
    pub(super) last_year: Option<FileEntry>,
    #[serde(default)]
    pub(super) rules: Named<Override>,
}

/// `month`, or `{every: 10d, from: 2026-01-01}`.
#[derive(Debug)]
pub(super) enum PeriodEntry {
    Kind(PeriodKind),
    Every(EveryEntry),
}

#[derive(Deserialize, JsonSchema, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct EveryEntry {
    pub(super) every: Spanned<Duration>,
    pub(super) from: Spanned<String>,
}

/// `workdays`, or `{file: plan.csv}`.
#[derive(Debug)]
pub(super) enum ProfileEntry {
    Named(Profile),
    File(FileEntry),
}

#[derive(Debug)]
pub(super) enum TargetEntry {
    Number(f64),
    Band(Vec<Amount>),
    Growth(GrowthEntry),
    File(FileEntry),
}

#[derive(Debug)]
pub(super) struct GrowthEntry {
    pub(super) growth: Share,
    pub(super) over: Over,
}

#[derive(Deserialize, JsonSchema, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct FileEntry {
    pub(super) file: Spanned<String>,
}

/// What a growth target grows over: `last_year`, a year such as `2025`, or `{value: 1000000}`.
#[derive(Debug)]
pub(super) enum Over {
    LastYear,
    Year(i16),
    Value(f64),
}

/// `behind_pace: off`, or what differs from the general rule.
#[derive(Debug)]
pub(super) enum Override {
    Off,
    Changed(Box<RuleEntry>),
}

#[derive(Deserialize, JsonSchema, Debug, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RuleEntry {
    pub(super) on: Option<RuleOn>,
    pub(super) nodes: Vec<Spanned<String>>,
    pub(super) when: Option<Spanned<String>>,
    pub(super) clear: Option<Spanned<String>>,
    pub(super) r#for: Option<Duration>,
    pub(super) keep_firing_for: Option<Duration>,
    pub(super) for_events: Option<u32>,
    pub(super) new_group_delay: Option<Spanned<Duration>>,
    pub(super) on_missing: Option<OnMissing>,
    pub(super) severity: Option<Spanned<String>>,
    pub(super) levels: Vec<LevelEntry>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) title: Option<RuleTitleEntry>,
}

/// A title for everybody, or `{en: …, zh: …}`.
#[derive(Debug)]
pub(super) struct RuleTitleEntry {
    pub(super) text: Spanned<String>,
    pub(super) zh: Option<Spanned<String>>,
}

impl<'de> Deserialize<'de> for RuleTitleEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RuleTitleEntry, D::Error> {
        #[derive(Deserialize, Debug)]
        #[serde(deny_unknown_fields)]
        struct ByLanguage {
            en: Spanned<String>,
            zh: Spanned<String>,
        }
        struct TextOrMap;
        impl<'de> Visitor<'de> for TextOrMap {
            type Value = Entry;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a title, or {en: …, zh: …}")
            }
            fn visit_str<E>(self, text: &str) -> Result<Entry, E> {
                Ok(Entry::Text(text.to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Entry, A::Error> {
                ByLanguage::deserialize(MapAccessDeserializer::new(map)).map(Entry::ByLanguage)
            }
        }
        enum Entry {
            Text(String),
            ByLanguage(ByLanguage),
        }
        impl<'de> Deserialize<'de> for Entry {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Entry, D::Error> {
                deserializer.deserialize_any(TextOrMap)
            }
        }
        let entry = Spanned::<Entry>::deserialize(deserializer)?;
        Ok(match entry.value {
            Entry::Text(text) => RuleTitleEntry {
                text: Spanned::new(text, entry.location),
                zh: None,
            },
            Entry::ByLanguage(ByLanguage { en, zh }) => RuleTitleEntry {
                text: en,
                zh: Some(zh),
            },
        })
    }
}

#[derive(Deserialize, JsonSchema, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct LevelEntry {
    pub(super) severity: Spanned<String>,
    pub(super) when: Spanned<String>,
    pub(super) r#for: Option<Duration>,
}

/// A share: `30%` or `0.3`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Share(pub(super) f64);

/// A number such as 1_200 or 3%.
#[derive(Clone, Copy, Debug)]
pub(super) struct Amount(pub(super) f64);

/// A number of things: `5000000` or `5_000_000`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WholeNumber(pub(super) usize);

/// A length of time: `7d`, `2h`, `1h30m`, `500ms`, or as ISO 8601 writes it: `P90D`, `PT2H`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Duration(pub(crate) SignedDuration);

/// Reads `7d`, `2h`, `1h30m`, `500ms`, `P90D`, `PT2H`; days have 24 hours. Months and years have no length of their own.
pub(crate) fn parse_duration(text: &str) -> Option<SignedDuration> {
    let mut total_ms: i64 = 0;
    let mut rest = text.trim();
    if rest.starts_with('P') {
        let span: Span = rest.parse().ok()?;
        let length = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
        return (!length.is_negative()).then_some(length);
    }
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let unit = rest[digits..].bytes().take_while(u8::is_ascii_alphabetic).count();
        let count: i64 = rest[..digits].parse().ok()?;
        let unit_ms = match &rest[digits..digits + unit] {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 7 * 86_400_000,
            _ => return None,
        };
        total_ms = total_ms.checked_add(count.checked_mul(unit_ms)?)?;
        rest = &rest[digits + unit..];
    }
    Some(SignedDuration::from_millis(total_ms))
}

fn parse_share(text: &str) -> Option<f64> {
    let (number, scale) = match text.trim().strip_suffix('%') {
        Some(number) => (number, 100.0),
        None => (text, 1.0),
    };
    number
        .trim()
        .parse::<f64>()
        .ok()
        .filter(|n| n.is_finite())
        .map(|n| n / scale)
}

/// A number, or a text such as `3%` or `1_200`.
pub(super) fn parse_number(text: &str) -> Option<f64> {
    parse_share(&text.replace('_', ""))
}

/// Deserializes from a scalar text, a number, or (through `map`) a mapping.
struct Either<T> {
    expecting: &'static str,
    text: fn(&str) -> Option<T>,
    number: fn(f64) -> Option<T>,
}

impl<T> Either<T> {
    fn given<E: de::Error>(&self, found: impl fmt::Display, value: Option<T>) -> Result<T, E> {
        value.ok_or_else(|| E::custom(format!("found '{found}', expected {}", self.expecting)))
    }
}

macro_rules! scalar {
    ($type:ty, $expecting:literal, $text:expr, $number:expr $(, map: $map:expr)?) => {
        impl<'de> Visitor<'de> for Either<$type> {
            type Value = $type;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.expecting)
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<$type, E> {
                self.given(text, (self.text)(text))
            }
            fn visit_bool<E: de::Error>(self, truth: bool) -> Result<$type, E> {
                self.given(truth, (self.text)(if truth { "on" } else { "off" }))
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<$type, E> {
                self.given(number, (self.number)(number as f64))
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<$type, E> {
                self.given(number, (self.number)(number as f64))
            }
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<$type, E> {
                self.given(number, (self.number)(number))
            }
            $(fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<$type, A::Error> {
                let read: fn(MapAccessDeserializer<A>) -> Result<$type, A::Error> = $map;
                read(MapAccessDeserializer::new(map))
            })?
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$type, D::Error> {
                deserializer.deserialize_any(Either { expecting: $expecting, text: $text, number: $number })
            }
        }
    };
}

scalar!(
    Share,
    "a share such as 30% or 0.3",
    |text| parse_share(text).map(Share),
    |n| Some(Share(n))
);
scalar!(
    Amount,
    "a number such as 1_200 or 3%",
    |text| parse_number(text).map(Amount),
    |n| Some(Amount(n))
);
scalar!(
    WholeNumber,
    "a whole number such as 5_000_000",
    |text| text.replace('_', "").parse().ok().map(WholeNumber),
    |n| (n.fract() == 0.0 && (0.0..=1e15).contains(&n)).then_some(WholeNumber(n as usize))
);
scalar!(
    Duration,
    "a length of time such as 7d, 2h or 1h30m",
    |text| parse_duration(text).map(Duration),
    |n| (n == 0.0).then_some(Duration(SignedDuration::ZERO))
);
scalar!(
    ExpectedEntry,
    "a length of time such as 10m, or learned, or never",
    |text| match text {
        "learned" => Some(ExpectedEntry(Expected::Learned)),
        "never" => Some(ExpectedEntry(Expected::Never)),
        length => parse_duration(length).map(|length| ExpectedEntry(Expected::Every(length))),
    },
    |_| None
);
scalar!(
    PartEntry,
    "the name of a metric, or {agg: …, expr: …}",
    |text| Some(PartEntry::Name(text.to_owned())),
    |_| None,
    map: |map| InlinePart::deserialize(map).map(|part| PartEntry::Inline(Box::new(part)))
);
scalar!(
    Override,
    "off, or what differs from the general rule",
    |text| (text == "off").then_some(Override::Off),
    |_| None,
    map: |map| RuleEntry::deserialize(map).map(|rule| Override::Changed(Box::new(rule)))
);
/// One of the words of an enum without data.
fn word<T: serde::de::DeserializeOwned>(text: &str) -> Option<T> {
    let plain: de::value::StrDeserializer<'_, de::value::Error> =
        de::IntoDeserializer::into_deserializer(text);
    T::deserialize(plain).ok()
}

scalar!(
    PeriodEntry,
    "one of day, week, month, quarter, half, year, or {every: 10d, from: 2026-01-01}",
    |text| word(text).map(PeriodEntry::Kind),
    |_| None,
    map: |map| EveryEntry::deserialize(map).map(PeriodEntry::Every)
);
scalar!(
    ProfileEntry,
    "one of linear, workdays, last_year, flat, or {file: plan.csv}",
    |text| word(text).map(ProfileEntry::Named),
    |_| None,
    map: |map| FileEntry::deserialize(map).map(ProfileEntry::File)
);
scalar!(
    WeightsEntry,
    "one of propose, auto, off, or {mode: propose, rate: 0.5, step: 10, floor: 5, cap: 100}",
    |text| word(text).map(|mode| WeightsEntry(WeightsMap { mode: Some(mode), ..WeightsMap::default() })),
    |_| None,
    map: |map| WeightsMap::deserialize(map).map(WeightsEntry)
);
scalar!(
    Over,
    "last_year, a year such as 2025, or {value: 1000000}",
    |text| (text == "last_year").then_some(Over::LastYear),
    |n| (n.fract() == 0.0 && (1900.0..=2200.0).contains(&n)).then_some(Over::Year(n as i16)),
    map: |map| OverValue::deserialize(map).map(|over| Over::Value(over.value))
);

#[derive(Deserialize, JsonSchema, Debug)]
#[serde(deny_unknown_fields)]
struct OverValue {
    value: f64,
}

/// A target as a mapping: which of the three it is shows by its keys.
#[derive(Deserialize, JsonSchema, Debug)]
#[serde(deny_unknown_fields)]
struct TargetMap {
    growth: Option<Share>,
    over: Option<Over>,
    band: Option<Vec<Amount>>,
    file: Option<Spanned<String>>,
}

impl TargetMap {
    fn target<E: de::Error>(self) -> Result<TargetEntry, E> {
        match (self.growth, self.over, self.file, self.band) {
            (Some(growth), Some(over), None, None) => Ok(TargetEntry::Growth(GrowthEntry { growth, over })),
            (Some(_), None, None, None) => Err(E::custom(
                "growth over what? add 'over: last_year', 'over: 2025' or 'over: {value: …}'",
            )),
            (None, None, None, Some(band)) => Ok(TargetEntry::Band(band)),
            (None, None, Some(file), None) => Ok(TargetEntry::File(FileEntry { file })),
            _ => Err(E::custom(
                "a target is a number, {growth: 30%, over: last_year}, {band: [20, 30]} or {file: targets.csv}",
            )),
        }
    }
}

scalar!(
    TargetEntry,
    "a number, {growth: 30%, over: last_year}, {band: [20, 30]} or {file: targets.csv}",
    |text| parse_number(text).map(TargetEntry::Number),
    |n| Some(TargetEntry::Number(n)),
    map: |map| TargetMap::deserialize(map)?.target()
);

impl<'de> Deserialize<'de> for SeverityEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<SeverityEntry, D::Error> {
        struct NameOrAdded;
        impl<'de> Visitor<'de> for NameOrAdded {
            type Value = Entry;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("info, warning, critical, or {name: major, like: warning}")
            }
            fn visit_str<E>(self, text: &str) -> Result<Entry, E> {
                Ok(Entry::Name(text.to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Entry, A::Error> {
                AddedSeverity::deserialize(MapAccessDeserializer::new(map)).map(Entry::Added)
            }
        }
        enum Entry {
            Name(String),
            Added(AddedSeverity),
        }
        impl<'de> Deserialize<'de> for Entry {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Entry, D::Error> {
                deserializer.deserialize_any(NameOrAdded)
            }
        }
        let entry = Spanned::<Entry>::deserialize(deserializer)?;
        Ok(match entry.value {
            Entry::Name(name) => SeverityEntry {
                name: Spanned::new(name, entry.location),
                like: None,
                title: None,
                title_zh: None,
            },
            Entry::Added(added) => SeverityEntry {
                name: added.name,
                like: added.like,
                title: added.title,
                title_zh: added.title_zh,
            },
        })
    }
}

impl<'de> Deserialize<'de> for FieldEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<FieldEntry, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Typed {
            path: String,
            r#type: Option<FieldKind>,
        }
        struct PathOrTyped;
        impl<'de> Visitor<'de> for PathOrTyped {
            type Value = (String, Option<FieldKind>);
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a path such as data.amount, or {path: data.amount, type: number}")
            }
            fn visit_str<E>(self, path: &str) -> Result<Self::Value, E> {
                Ok((path.to_owned(), None))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                let typed = Typed::deserialize(MapAccessDeserializer::new(map))?;
                Ok((typed.path, typed.r#type))
            }
        }
        struct Entry((String, Option<FieldKind>));
        impl<'de> Deserialize<'de> for Entry {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Entry, D::Error> {
                deserializer.deserialize_any(PathOrTyped).map(Entry)
            }
        }
        let entry = Spanned::<Entry>::deserialize(deserializer)?;
        let Entry((path, kind)) = entry.value;
        Ok(FieldEntry {
            path: Spanned::new(path, entry.location),
            kind,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_read() {
        let ms = |text| parse_duration(text).map(|d| d.as_millis());
        assert_eq!(ms("7d"), Some(7 * 86_400_000));
        assert_eq!(ms("1h30m"), Some(5_400_000));
        assert_eq!(ms("500ms"), Some(500));
        assert_eq!(ms("0s"), Some(0));
        for text in ["", "5", "d", "5x", "-1h", "99999999999999999999d"] {
            assert_eq!(ms(text), None, "{text}");
        }
    }

    #[test]
    fn shares_and_numbers_may_be_percentages() {
        assert_eq!(parse_share("30%"), Some(0.3));
        assert_eq!(parse_share("0.3"), Some(0.3));
        assert_eq!(parse_number("1_200"), Some(1200.0));
        assert_eq!(parse_number("many"), None);
    }
}
