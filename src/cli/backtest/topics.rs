//! The topics of a catalogue as history: every record that Kafka still has, when it arrived by its timestamp.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use super::progress::Progress;
use crate::catalog::{Catalog, SourceId};
use crate::cli::complain;
use crate::daemon::replay::Replay;
use crate::decode::{Learned, SchemaId};
use crate::settings::Settings;
use crate::source::history::{Ends, History};
use crate::source::kafka::{Connection, headers_of, record_of};
use crate::source::registry::once;

/// The records of the topics through a catalogue, up to `ends`, which are asked for where they are not known yet, and the
/// time of the last arrival.
pub(super) fn replayed(
    catalog: &Arc<Catalog>,
    settings: &Settings,
    ends: &mut Ends,
    foretells: bool,
) -> Result<(Replay, Timestamp), String> {
    let mut has_topics = catalog.sources.iter().map(|source| !source.topics.is_empty());
    if !has_topics.any(|has| has) {
        return Err("no source of the catalogue reads a topic; give the history as --input FILE".to_owned());
    }
    let connection = Connection {
        brokers: settings.kafka.brokers.clone(),
        group: settings.kafka.group.clone(),
        properties: settings.kafka.properties.clone(),
    };
    let mut history = History::open(&connection, catalog, ends)?;
    let partitions = |source: SourceId| history.partitions(source) + usize::from(catalog.source(source).http);
    let mut replay = Replay::of_records(catalog.clone(), settings.routing.clone(), partitions)
        .foretelling(foretells)
        .keeping(settings.keep_days)
        .limiting(settings.max_value_bytes);
    for source in catalog.sources.iter().filter(|source| source.topics.is_empty()) {
        complain(&format!(
            "{}: has no topic, and nothing of it is replayed",
            source.name
        ));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
    let mut last = None;
    let mut progress = Progress::new(usize::try_from(history.records()).unwrap_or(usize::MAX));
    while let Some(arrived) = history.next_record()? {
        let headers: Vec<(&str, &[u8])> = headers_of(&arrived.message).collect();
        let record = record_of(&arrived.message, &headers);
        let at = Timestamp::from_millisecond(arrived.at_ms).map_err(|_| {
            format!(
                "topic '{}', partition {}, offset {}: the record has no timestamp",
                record.topic, record.partition, record.offset
            )
        })?;
        if let Some(id) = replay.schema_needed(arrived.source, &record) {
            learn(&mut replay, settings, &runtime, arrived.source, id)?;
        }
        progress.step(|| catalog.calendar.day_of(at));
        replay.record(arrived.source, &record, at)?;
        last = Some(at);
    }
    last.map(|last| (replay, last)).ok_or_else(|| {
        let topics: BTreeSet<&str> = catalog
            .sources
            .iter()
            .flat_map(|source| source.topics.iter().map(String::as_str))
            .collect();
        format!(
            "no records in {} at {}: is it the right broker?",
            Vec::from_iter(topics).join(", "),
            connection.brokers
        )
    })
}

fn learn(
    replay: &mut Replay,
    settings: &Settings,
    runtime: &tokio::runtime::Runtime,
    source: SourceId,
    id: SchemaId,
) -> Result<(), String> {
    let Some(registry) = &settings.kafka.schema_registry else {
        let why = "the settings name no schema registry (kafka.schema_registry)";
        replay.learn(source, id, Learned::Unusable(why));
        return Ok(());
    };
    for (id, schema) in runtime.block_on(once::fetch(registry, [id]))? {
        let learned = match &schema {
            Ok(schema) => Learned::Schema(schema),
            Err(why) => Learned::Unusable(why),
        };
        replay.learn(source, id, learned);
    }
    Ok(())
}
