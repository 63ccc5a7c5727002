//! Discover: from a sample of a topic to the YAML of a source and of metrics that suit it. Pure: records in, text out.
//!
//! * [`observe`]: what the records are and what stands in them. No opinion.
//! * [`guess`]: what that probably means, each guess with its reason.
//! * [`yaml`]: the guesses as a file of the catalogue, the reasons as comments.
//!
//! What is written is read back: the catalogue's loader must take it, and the decoder of the new source goes over the
//! sample again, so that the number of usable records that is told is the one that the daemon will see.

pub mod guess;
pub mod observe;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::catalog::Source;
use crate::catalog::load::{Files, load};
use crate::decode::{Learned, Reader, Record, SchemaId, WriterSchema, schema_of};
use guess::Guess;
use observe::{Observed, Unreadable};

/// Records of a topic, newest last in each partition.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// Name of the topic.
    pub topic: String,
    /// Where the records are from, in words, for the head of the file.
    pub origin: String,
    /// The records.
    pub records: Vec<Taken>,
    /// What the schema registry has under the ids of [`Sample::schema_ids`]: schemas, or why one is of no use.
    pub schemas: BTreeMap<SchemaId, Result<Arc<WriterSchema>, &'static str>>,
}

impl Sample {
    /// The schemas that its records name, if at least half of them do: then it is in the wire format of a schema
    /// registry.
    pub fn schema_ids(&self) -> BTreeSet<SchemaId> {
        let ids = self
            .records
            .iter()
            .filter_map(|taken| schema_of(taken.payload.as_deref()?));
        let ids: Vec<SchemaId> = ids.collect();
        if ids.len() * 2 < self.records.len() {
            return BTreeSet::new();
        }
        ids.into_iter().collect()
    }
}

/// A record of its own.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    /// The key, if it has one.
    pub key: Option<Vec<u8>>,
    /// The value; `None` for a tombstone.
    pub payload: Option<Vec<u8>>,
    /// Headers, in order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Timestamp of the record, in milliseconds since the epoch.
    pub timestamp_ms: Option<i64>,
}

/// What a sample turned out to be.
#[derive(Clone, Debug)]
pub struct Discovery {
    /// Records looked at.
    pub records: usize,
    /// What was guessed.
    pub guess: Guess,
    /// Events of the sample that the new source can read.
    pub usable: usize,
    /// Why the others cannot be read, by the words of [`crate::decode::Reject::reason`].
    pub rejected: BTreeMap<&'static str, usize>,
    /// The guesses as a file of the catalogue.
    pub yaml: String,
}

/// Looks at a sample. `now_ms` is the time, in milliseconds since the epoch: nothing later is taken for an event time.
///
/// # Errors
/// When no record can be read: why, and what to do.
pub fn discover(sample: &Sample, now_ms: i64) -> Result<Discovery, Unreadable> {
    let observed = observe::observe(sample)?;
    let guess = guess::guess(sample, &observed, now_ms);
    let (usable, rejected) = read_back(sample, now_ms, &observed, &yaml::write(sample, &guess, None));
    let yaml = yaml::write(sample, &guess, Some((usable, &rejected)));
    Ok(Discovery {
        records: sample.records.len(),
        guess,
        usable,
        rejected,
        yaml,
    })
}

/// Reads the sample with the source that was written: how many events are usable, and why the others are not.
fn read_back(
    sample: &Sample,
    now_ms: i64,
    observed: &Observed,
    yaml: &str,
) -> (usize, BTreeMap<&'static str, usize>) {
    let mut rejected = BTreeMap::new();
    let Ok(catalog) = load(&Files::new("", [("discovered.yaml", yaml)])) else {
        // Not reached as far as the property test can tell; what was observed is then the better answer than none.
        return (observed.rows.len(), observed.unreadable.clone());
    };
    let usable = catalog
        .sources
        .first()
        .map_or(0, |source| count(sample, now_ms, source, &mut rejected));
    (usable, rejected)
}

fn count(
    sample: &Sample,
    now_ms: i64,
    source: &Source,
    rejected: &mut BTreeMap<&'static str, usize>,
) -> usize {
    let mut reader = Reader::new(source);
    let mut usable = 0;
    for taken in &sample.records {
        let headers: Vec<(&str, &[u8])> = taken
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_slice()))
            .collect();
        let record = Record {
            topic: &sample.topic,
            key: taken.key.as_deref(),
            payload: taken.payload.as_deref(),
            headers: &headers,
            // A line of a file has none; in Kafka every record has one.
            timestamp_ms: taken.timestamp_ms.or(Some(now_ms)),
            ..Record::default()
        };
        if let Some(id) = reader.schema_needed(&record) {
            reader.learn(
                id,
                match sample.schemas.get(&id) {
                    Some(Ok(schema)) => Learned::Schema(schema),
                    Some(Err(why)) => Learned::Unusable(why),
                    None => Learned::Missing,
                },
            );
        }
        reader.read(&record, |item| match item.found {
            Ok(crate::decode::Found::Tombstone) => {}
            Ok(crate::decode::Found::Change(change)) => {
                let no_id = |event: &crate::decode::Event<'_>| source.dedup.is_some() && event.id().is_err();
                if change.after.as_ref().is_some_and(no_id) {
                    *rejected.entry("missing_id").or_default() += 1;
                } else {
                    usable += 1;
                }
            }
            Err(reject) => *rejected.entry(reject.reason()).or_default() += 1,
        });
    }
    usable
}

#[cfg(test)]
mod tests;
