//! Sources: topics, format, and the fields that metrics may use.

use std::collections::HashMap;

use jiff::SignedDuration;

use super::{Entry, Loader, Owned, entries};
use crate::catalog::diagnostic::Place;
use crate::catalog::expr::{Type, Variable};
use crate::catalog::file::{FieldKind, SourceEntry};
use crate::catalog::model::{Dedup, Expected, Field, FieldType, Format, Layout, Retract, Source};
use crate::catalog::path::FieldPath;

const LATENESS: SignedDuration = SignedDuration::from_secs(0);
const MAX_SKEW: SignedDuration = SignedDuration::from_mins(5);
const MAX_REJECTED: f64 = 0.01;
pub(super) const IDLE_TIMEOUT: SignedDuration = SignedDuration::from_secs(3);
const DEDUP_MAX_KEYS: usize = 5_000_000;

/// Sources under construction: what their fields turn out to be is found from the metrics.
pub(super) struct Sources {
    pub(super) sources: Vec<Source>,
    /// For every field whose type was found from a use: the use, for messages.
    typed_by: HashMap<(usize, usize), String>,
}

impl Sources {
    /// The fields of a source as variables of an expression.
    pub(super) fn variables(&self, source: usize) -> Vec<Variable> {
        let kind = |field: &Field| match field.kind {
            FieldType::Any => Type::Any,
            FieldType::Text => Type::Text,
            FieldType::Number => Type::Number,
            FieldType::Bool => Type::Bool,
        };
        self.sources[source]
            .fields
            .iter()
            .map(|field| Variable::new(field.name.clone(), kind(field)))
            .collect()
    }

    /// Gives a field of unknown type the type that a use of it needs.
    ///
    /// # Errors
    /// In words, when an earlier use or its declaration says otherwise.
    pub(super) fn use_as(
        &mut self,
        source: usize,
        field: usize,
        kind: FieldType,
        user: &str,
    ) -> Result<(), String> {
        let known = self.sources[source].fields[field].kind;
        if known == FieldType::Any {
            self.sources[source].fields[field].kind = kind;
            self.typed_by.insert((source, field), user.to_owned());
            return Ok(());
        }
        if known == kind {
            return Ok(());
        }
        let noun = |kind| match kind {
            FieldType::Any => "anything",
            FieldType::Text => "a text",
            FieldType::Number => "a number",
            FieldType::Bool => "true or false",
        };
        let by = self
            .typed_by
            .get(&(source, field))
            .map_or("its declaration", String::as_str);
        let name = &self.sources[source].fields[field].name;
        Err(format!(
            "'{name}' is used as {} here, and {by} says that it is {}",
            noun(kind),
            noun(known)
        ))
    }
}

impl Loader<'_> {
    pub(super) fn sources(&mut self, declared: &Owned<SourceEntry>) -> Sources {
        let mut sources = Vec::new();
        let mut topics: HashMap<String, (String, Place)> = HashMap::new();
        for entry in entries(declared) {
            let value = entry.value;
            let declared_topics = value.topics.as_ref().map_or(&[][..], |topics| &topics.value);
            if declared_topics.is_empty() && !value.http {
                let message = format!(
                    "source '{}' has no topic; write topics: [orders], or http: true for events that are sent over HTTP",
                    entry.name.value
                );
                let place = value
                    .topics
                    .as_ref()
                    .map_or(entry.place(), |topics| entry.at(topics));
                self.problem(place, message);
            }
            for topic in declared_topics {
                let place = entry.at(topic);
                if let Some((other, first)) = topics.get(&topic.value) {
                    let message = format!(
                        "topic '{}' is read by source '{other}' already, at {first}; one source a topic, with all its fields",
                        topic.value
                    );
                    self.problem(place, message);
                } else {
                    topics.insert(topic.value.clone(), (entry.name.value.clone(), place));
                }
            }
            if value.format == Format::Avro && value.http {
                let message = format!(
                    "source '{}' is Avro, and events that are sent over HTTP are JSON; give them a source of their own: format: json, http: true",
                    entry.name.value
                );
                self.problem(entry.place(), message);
            }
            if value.format == Format::Avro && value.payload != Layout::Single {
                let message = format!(
                    "a record of source '{}' is one event, as Avro is written; remove 'payload'",
                    entry.name.value
                );
                self.problem(entry.place(), message);
            }
            let mut path = |spanned: &crate::catalog::yaml::Spanned<String>| {
                let path = FieldPath::parse(&spanned.value).and_then(|path| match path {
                    FieldPath::Envelope(_) if value.format != Format::Debezium => Err(format!(
                        "'{path}' is a key of a Debezium envelope, and the format of source '{}' is another; format: debezium has it",
                        entry.name.value
                    )),
                    path => Ok(path),
                });
                path.unwrap_or_else(|message| {
                    self.problem(entry.at(spanned), message);
                    FieldPath::Payload(vec![spanned.value.clone()])
                })
            };
            let id = value.id.as_ref().map(&mut path);
            let time = value.time.as_ref().map(&mut path);
            let fields = value.fields.0.iter().map(|(name, field)| Field {
                name: name.value.clone(),
                path: path(&field.path),
                kind: match field.kind {
                    None => FieldType::Any,
                    Some(FieldKind::Text) => FieldType::Text,
                    Some(FieldKind::Number) => FieldType::Number,
                    Some(FieldKind::Bool) => FieldType::Bool,
                },
                place: entry.at(name),
            });
            let fields = fields.collect();
            let zone = value.timezone.as_ref();
            let timezone = zone.and_then(|zone| self.zone(&zone.value, entry.at(zone)));
            let dedup = self.dedup(&entry, id);
            self.freshness(&entry);
            sources.push(Source {
                name: entry.name.value.clone(),
                topics: declared_topics.iter().map(|topic| topic.value.clone()).collect(),
                http: value.http,
                manual: false,
                format: value.format,
                layout: value.payload,
                time,
                timezone,
                lateness: value.lateness.map_or(LATENESS, |lateness| lateness.0),
                max_skew: value.max_skew.map_or(MAX_SKEW, |skew| skew.0),
                max_rejected: value.max_rejected.map_or(MAX_REJECTED, |share| share.0),
                expected_interval: value
                    .expected_interval
                    .as_ref()
                    .map_or(Expected::Learned, |expected| expected.value.0),
                stale_after: value.stale_after.as_ref().map(|after| after.value.0),
                heartbeats: value.heartbeat.iter().map(|topic| topic.value.clone()).collect(),
                idle_timeout: value.idle_timeout.map_or(IDLE_TIMEOUT, |timeout| timeout.0),
                owner: value.owner.clone(),
                retract: None,
                dedup,
                fields,
                place: entry.place(),
            });
        }
        let mut sources = Sources {
            sources,
            typed_by: HashMap::new(),
        };
        self.retractions(declared, &mut sources);
        sources
    }

    /// When a source counts as stale must be later than when something is expected, and heartbeats come from elsewhere.
    fn freshness(&mut self, entry: &Entry<'_, SourceEntry>) {
        let SourceEntry {
            topics,
            heartbeat,
            expected_interval,
            stale_after,
            ..
        } = entry.value;
        let name = &entry.name.value;
        let expected = expected_interval
            .as_ref()
            .map_or(Expected::Learned, |at| at.value.0);
        if let (Some(at), Expected::Every(interval)) = (expected_interval, expected)
            && interval.is_zero()
        {
            let message = format!(
                "source '{name}' expects something every 0 seconds; write how often it brings something, such as 10m, or never, where its silence says nothing"
            );
            self.problem(entry.at(at), message);
        }
        if let Some(after) = stale_after {
            let problem = match expected {
                Expected::Never => Some(format!(
                    "source '{name}' is never expected to bring anything, so it is never stale; remove 'stale_after', or 'expected_interval: never'"
                )),
                Expected::Every(interval) if after.value.0 < interval => Some(format!(
                    "source '{name}' would be stale before anything is expected of it; 'stale_after' is at least as long as 'expected_interval'"
                )),
                Expected::Learned if after.value.0.is_zero() => Some(format!(
                    "source '{name}' would always be stale; write how long it may be silent, such as 2h"
                )),
                Expected::Learned | Expected::Every(_) => None,
            };
            if let Some(message) = problem {
                self.problem(entry.at(after), message);
            }
        }
        let own = topics.as_ref().map_or(&[][..], |topics| &topics.value);
        for beat in heartbeat {
            if own.iter().any(|topic| topic.value == beat.value) {
                let message = format!(
                    "topic '{}' holds the events of source '{name}': whatever it brings says that the feed is alive; 'heartbeat' names topics that hold no events",
                    beat.value
                );
                self.problem(entry.at(beat), message);
            }
        }
    }

    /// Conditions of sources that take events back.
    fn retractions(&mut self, declared: &Owned<SourceEntry>, sources: &mut Sources) {
        for (index, entry) in entries(declared).enumerate() {
            let Some(text) = &entry.value.retract else {
                continue;
            };
            let user = format!("'retract' of source '{}'", entry.name.value);
            let condition = self.event_condition(&entry.file, text, index, sources, &user);
            sources.sources[index].retract = condition.map(|condition| Retract {
                condition,
                place: entry.at(text),
            });
        }
    }

    /// How copies are told: an id and a window, or neither.
    fn dedup(&mut self, entry: &Entry<'_, SourceEntry>, id: Option<FieldPath>) -> Option<Dedup> {
        let SourceEntry {
            id: at_id,
            dedup,
            dedup_max_keys,
            ..
        } = entry.value;
        let name = &entry.name.value;
        let of_row = entry.value.format == Format::Debezium;
        let (place, message) = match (at_id, dedup, dedup_max_keys) {
            (Some(at), None, _) => (
                entry.at(at),
                format!(
                    "source '{name}' names an id and does nothing with it; add how long copies are looked for: dedup: 7d"
                ),
            ),
            (None, Some(at), _) => (
                entry.at(at),
                format!(
                    "source '{name}' says not by what copies are told; add the path of the events' id: id: id"
                ),
            ),
            (None, None, Some(at)) => (
                entry.at(at),
                format!(
                    "source '{name}' looks for no copies; add id: id and dedup: 7d, or remove 'dedup_max_keys'"
                ),
            ),
            (Some(at), _, _) if of_row => (
                entry.at(at),
                "a row keeps its id when it changes, and rows of a snapshot share their place in the log: nothing tells copies; remove 'id' and 'dedup'".to_owned(),
            ),
            (_, Some(at), _) if at.value.0.is_zero() => (
                entry.at(at),
                "no copy comes within no time; write a window such as 7d, or remove 'id' and 'dedup'"
                    .to_owned(),
            ),
            (_, _, Some(at)) if at.value.0 == 0 => (
                entry.at(at),
                "at least one id must be remembered; write a number such as 5_000_000".to_owned(),
            ),
            (_, window, max_keys) => {
                return Some(Dedup {
                    id: id?,
                    window: window.as_ref()?.value.0,
                    max_keys: max_keys.as_ref().map_or(DEDUP_MAX_KEYS, |max| max.value.0),
                });
            }
        };
        self.problem(place, message);
        None
    }
}
