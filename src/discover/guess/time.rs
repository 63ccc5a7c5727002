//! The event time and the id.

use super::words::{self, any};
use super::{Reasoned, path_text, per_cent};
use crate::catalog::{FieldPath, Format};
use crate::decode::FieldKind;
use crate::discover::observe::{Observed, Values};

/// 2000-01-01: a number that would be an earlier time is none.
const EARLIEST_MS: i64 = 946_684_800_000;
/// How far ahead of the clock an event may be.
const AHEAD_MS: i64 = 86_400_000;
/// Share of events that must have a time.
const MOST: f64 = 0.95;

/// The event time: the field in which nearly every event has one, the likeliest by its name.
pub(super) fn time(observed: &Observed, now_ms: i64) -> Reasoned<Option<FieldPath>> {
    let rows = observed.rows.len();
    let plausible = |values: &Values| {
        let times = values.times.iter();
        times
            .filter(|(ms, _)| (EARLIEST_MS..=now_ms + AHEAD_MS).contains(ms))
            .count()
    };
    let mut best: Option<(i32, &[String], &Values)> = None;
    for (keys, values) in &observed.paths {
        let points = points(observed, keys, values);
        let enough = plausible(values) as f64 >= MOST * rows as f64 && rows > 0;
        if enough && points > 0 && best.is_none_or(|(most, ..)| points > most) {
            best = Some((points, keys, values));
        }
    }
    if let Some((_, keys, values)) = best {
        let form = match moment(observed, keys) {
            Some(logical) => format!("{logical} by its schema,"),
            None if values.numbers > 0 => {
                "a number of seconds, milliseconds, … since 1970, or days".to_owned()
            }
            None => "a time with its offset".to_owned(),
        };
        return Reasoned {
            value: Some(FieldPath::Payload(keys.to_vec())),
            why: format!(
                "{form} in {} of events{}",
                per_cent(plausible(values), rows),
                distance(values)
            ),
        };
    }
    let has_ts = |row: &crate::discover::observe::Row| {
        row.envelope
            .as_ref()
            .is_some_and(|envelope| envelope.get("ts_ms").is_some_and(serde_json::Value::is_number))
    };
    if observed.format == Format::Debezium && observed.rows.iter().all(has_ts) {
        return Reasoned {
            value: Some(FieldPath::Envelope(vec!["ts_ms".to_owned()])),
            why: "no column says when it happened: a change counts on the day on which it was made"
                .to_owned(),
        };
    }
    Reasoned {
        value: None,
        why: match local(observed) {
            Some((path, example)) => format!(
                "'{path}' holds times without an offset, such as {example}: tautline does not guess the zone; write time: {path} with timezone: Asia/Shanghai, or whichever it is, or let the producer write 2026-06-01T09:30:00+08:00; until then the record's own timestamp is taken"
            ),
            None => {
                "no field holds a time in nearly every event: the record's own timestamp is taken".to_owned()
            }
        },
    }
}

/// The word of a schema for a field that is a moment.
fn moment(observed: &Observed, keys: &[String]) -> Option<&'static str> {
    match observed.schema_fields.get(keys)?.kind {
        FieldKind::Moment(logical) => Some(logical),
        _ => None,
    }
}

/// How likely a field is the event time by its name; 0: not at all.
fn points(observed: &Observed, keys: &[String], values: &Values) -> i32 {
    let leaf = words::words(keys.last().map_or("", String::as_str));
    if observed.format == Format::CloudEvents && keys.len() == 1 && keys[0] == "time" {
        return 1000;
    }
    let named = any(&leaf, &words::TIME);
    // A number is a time only if it is called so: an amount in cents is about as large.
    let is_text = values.texts > values.numeric_texts;
    if !named && !is_text && moment(observed, keys).is_none() {
        return 0;
    }
    let mut points = 10 - i32::try_from(keys.len()).unwrap_or(10).min(9);
    points += if named { 20 } else { 0 };
    points += if any(&leaf, &words::HAPPENED) { 20 } else { 0 };
    points += if leaf.len() == 1 && named { 15 } else { 0 };
    points -= if any(&leaf, &words::LATER) { 25 } else { 0 };
    points.max(1)
}

/// How far the times lie from the timestamps of their records, in words.
fn distance(values: &Values) -> String {
    let mut distances: Vec<i64> = values
        .times
        .iter()
        .filter_map(|(ms, timestamp)| Some((ms - (*timestamp)?).abs()))
        .collect();
    if distances.is_empty() {
        return String::new();
    }
    distances.sort_unstable();
    let median = distances[distances.len() / 2] / 1000;
    let shown = match median {
        0 => "less than a second".to_owned(),
        1..120 => format!("{median} s"),
        120..7200 => format!("{} min", median / 60),
        7200..172_800 => format!("{} h", median / 3600),
        _ => format!("{} days", median / 86_400),
    };
    format!(", mostly {shown} from the record's own timestamp")
}

/// A field that holds times of no zone, and one of them.
fn local(observed: &Observed) -> Option<(String, String)> {
    observed.paths.iter().find_map(|(keys, values)| {
        let example = local_time(values)?;
        any(&words::words(keys.last()?), &words::TIME).then(|| (path_text(keys), example.to_owned()))
    })
}

/// The commonest value, if it is a time or date without an offset.
fn local_time(values: &Values) -> Option<&str> {
    let (example, _) = *values.frequent().first()?;
    let text = example.replace('/', "-").replace(' ', "T");
    let is_local = text.parse::<jiff::civil::DateTime>().is_ok() || text.parse::<jiff::civil::Date>().is_ok();
    (values.texts > values.numeric_texts && text.len() >= 8 && is_local).then_some(example)
}

/// Why a field is a time that is not the event time; `None` when it is none.
pub(super) fn another(observed: &Observed, keys: &[String], values: &Values) -> Option<String> {
    match observed.schema_fields.get(keys).map(|field| field.kind) {
        Some(FieldKind::Moment(_)) => {
            return Some("a time: days and periods come from the event time".to_owned());
        }
        Some(FieldKind::Date) => return Some("a date: no moment follows from it".to_owned()),
        Some(FieldKind::Local) => {
            return Some("a time of day, or of no zone, by its schema: no moment follows from it".to_owned());
        }
        _ => {}
    }
    let leaf = words::words(keys.last().map_or("", String::as_str));
    let plausible = values.times.iter().filter(|(ms, _)| *ms >= EARLIEST_MS).count();
    let mostly = plausible as f64 >= MOST * values.seen as f64;
    let is_text = values.texts > values.numeric_texts;
    if mostly && (is_text || any(&leaf, &words::TIME)) {
        return Some("a time: days and periods come from the event time".to_owned());
    }
    local_time(values).map(|_| "times without an offset: tautline does not guess the zone".to_owned())
}

/// The id by which copies are told.
pub(super) fn id(observed: &Observed) -> Reasoned<Option<FieldPath>> {
    let rows = observed.rows.len();
    let none = |why: String| Reasoned { value: None, why };
    if observed.format == Format::Debezium {
        return none("a row keeps its id when it changes: copies cannot be told".to_owned());
    }
    let unique = |values: &Values| {
        let whole = values.texts + values.numbers == rows && values.whole >= values.numbers;
        // A few copies are what an id is there to find.
        whole && values.distinct() as f64 >= 0.99 * rows as f64
    };
    let is_named_so = |keys: &[String]| {
        let leaf = keys.last().map_or("", String::as_str).to_lowercase();
        words::EVENT_ID.contains(&leaf.as_str())
    };
    let event_level = |keys: &[String]| match observed.format {
        Format::CloudEvents => keys.len() == 1 && keys[0] == "id",
        _ => keys.len() == 1 && is_named_so(keys),
    };
    let found = observed
        .paths
        .iter()
        .find(|(keys, values)| rows > 0 && event_level(keys) && unique(values));
    if let Some((keys, values)) = found {
        let copies = rows - values.distinct();
        let seen = match copies {
            0 => format!("different in each of {rows} events"),
            n => format!("in all {rows} events, {n} of which are copies"),
        };
        return Reasoned {
            value: Some(FieldPath::Payload(keys.clone())),
            why: format!("{seen}; copies within dedup count once"),
        };
    }
    let other = observed.paths.iter().find(|(keys, values)| {
        let leaf = words::words(keys.last().map_or("", String::as_str));
        rows > 1
            && any(&leaf, &words::CODE)
            && unique(values)
            && super::personal::personal(keys, values).is_none()
    });
    none(match other {
        Some((keys, _)) => {
            let path = path_text(keys);
            format!(
                "none that surely names the event; '{path}' is different in each of {rows} events: if no two events share it ever, add id: {path} and dedup: 7d"
            )
        }
        None => "no field names the event: a copy that its producer sends counts twice".to_owned(),
    })
}
