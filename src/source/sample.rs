//! The newest records of a topic, read without a trace: nothing is joined, stored or committed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tautline_native::batch::Record;

use super::kafka::{Connection, KafkaReader, TopicPartition};
use crate::catalog::diagnostic::nearest;
use crate::discover::Taken;

/// How long nothing may come before the sample is taken for complete.
const QUIET: Duration = Duration::from_secs(10);
/// Topics that an error names.
const NAMED: usize = 10;

/// Records of a topic.
#[derive(Debug, Default)]
pub struct Newest {
    /// Partitions of the topic.
    pub partitions: usize,
    /// Records that it holds, by the offsets of its partitions.
    pub held: u64,
    /// The newest ones, in order within a partition.
    pub records: Vec<Taken>,
}

/// Part of a partition that is read.
struct Stretch {
    partition: TopicPartition,
    from: i64,
    until: i64,
    next: i64,
}

/// Reads about `most` of the newest records, as many from each partition as it has of them.
///
/// # Errors
/// In words: no broker answers, no such topic (with those that are near), or nothing could be read.
pub fn newest(connection: &Connection, topic: &str, most: usize) -> Result<Newest, String> {
    let mut reader =
        KafkaReader::connect(connection).map_err(|error| format!("kafka.properties: {error}"))?;
    let away = |error: rdkafka::error::KafkaError| {
        format!(
            "no broker answers at {}: {error}; set kafka.brokers in the settings, or name them with --brokers",
            connection.brokers
        )
    };
    let partitions = reader.partitions(topic).map_err(away)?;
    if partitions.is_empty() {
        let known = reader.topics().map_err(away)?;
        return Err(unknown(topic, &connection.brokers, &known));
    }
    let name: Arc<str> = topic.into();
    let mut bounds = Vec::new();
    for partition in &partitions {
        let (low, high) = reader.bounds(topic, *partition).map_err(away)?;
        bounds.push((low, high));
    }
    let mut stretches: Vec<Stretch> = std::iter::zip(&partitions, starts(&bounds, most))
        .zip(&bounds)
        .map(|((partition, from), (_, until))| Stretch {
            partition: (name.clone(), *partition),
            from,
            until: *until,
            next: from,
        })
        .filter(|stretch| stretch.from < stretch.until)
        .collect();
    let mut found = Newest {
        partitions: partitions.len(),
        held: bounds
            .iter()
            .map(|(low, high)| high.saturating_sub(*low).unsigned_abs())
            .sum(),
        records: Vec::new(),
    };
    if stretches.is_empty() {
        return Ok(found);
    }
    let assigned: Vec<(TopicPartition, i64)> = stretches
        .iter()
        .map(|stretch| (stretch.partition.clone(), stretch.from))
        .collect();
    reader.assign(&assigned).map_err(|error| error.to_string())?;
    read(&reader, &mut stretches, &mut found.records);
    if found.records.is_empty() {
        return Err(format!(
            "topic '{topic}' holds {} records, and none came within {} s; may this client read it? (kafka.properties)",
            found.held,
            QUIET.as_secs()
        ));
    }
    Ok(found)
}

/// Reads until every stretch is at its end, or nothing more comes.
fn read(reader: &KafkaReader, stretches: &mut [Stretch], records: &mut Vec<Taken>) {
    let mut moved = Instant::now();
    // With transactions or compaction the last offsets hold no record: then the client says that it is at the end.
    let at_end = |stretch: &Stretch, reader: &KafkaReader| {
        let ends = reader.ends();
        ends.iter()
            .any(|(partition, end)| *partition == stretch.partition && end.reached)
    };
    while moved.elapsed() < QUIET {
        let polled = reader.poll(Duration::from_millis(100));
        for record in polled.records() {
            moved = Instant::now();
            let stretch = stretches
                .iter_mut()
                .find(|stretch| stretch.partition.1 == record.partition());
            let Some(stretch) = stretch else { continue };
            if record.offset() < stretch.until {
                records.push(taken(&record));
            }
            stretch.next = record.offset() + 1;
        }
        if polled.is_empty() && stretches.iter().all(|s| s.next >= s.until || at_end(s, reader)) {
            return;
        }
        if stretches.iter().all(|stretch| stretch.next >= stretch.until) {
            return;
        }
    }
}

fn taken(record: &Record<'_>) -> Taken {
    let headers = record.headers();
    Taken {
        key: record.key().map(<[u8]>::to_vec),
        payload: record.payload().map(<[u8]>::to_vec),
        headers: headers
            .filter_map(|(name, value)| Some((name.to_owned(), value?.to_vec())))
            .collect(),
        timestamp_ms: record.timestamp_ms(),
    }
}

/// Where to start in each partition, so that together they have `most` records, or all: what a short partition does
/// not have is taken from the longer ones.
fn starts(bounds: &[(i64, i64)], most: usize) -> Vec<i64> {
    let held = |&(low, high): &(i64, i64)| high.saturating_sub(low).max(0);
    let mut order: Vec<usize> = (0..bounds.len()).collect();
    order.sort_by_key(|&at| held(&bounds[at]));
    let mut left = i64::try_from(most).unwrap_or(i64::MAX);
    let mut starts = vec![0; bounds.len()];
    for (done, &at) in order.iter().enumerate() {
        let sharing = i64::try_from(order.len() - done).unwrap_or(1).max(1);
        let share = left / sharing + i64::from(left % sharing > 0);
        let taken = share.min(held(&bounds[at]));
        starts[at] = bounds[at].1 - taken;
        left -= taken;
    }
    starts
}

/// What to say of a topic that is not there.
pub(super) fn unknown(topic: &str, brokers: &str, known: &[String]) -> String {
    let near = nearest(topic, known.iter().map(String::as_str));
    let part = || {
        known
            .iter()
            .find(|name| name.contains(topic) || topic.contains(name.as_str()))
    };
    let hint = match near.or_else(|| part().map(String::as_str)) {
        Some(near) => format!("did you mean '{near}'?"),
        None if known.is_empty() => "it has none".to_owned(),
        None => {
            let more = if known.len() > NAMED { ", …" } else { "" };
            let named: Vec<&str> = known.iter().take(NAMED).map(String::as_str).collect();
            format!("it has {}{more}", named.join(", "))
        }
    };
    format!("the broker at {brokers} has no topic '{topic}'; {hint}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_topic_that_is_not_there_is_answered_with_those_that_are() {
        let known = ["cms.articles", "sales.orders"].map(str::to_owned);
        for (topic, expected) in [
            ("sales.order", "did you mean 'sales.orders'?"),
            ("orders", "did you mean 'sales.orders'?"),
            ("visits", "it has cms.articles, sales.orders"),
        ] {
            let said = unknown(topic, "b:9092", &known);
            assert!(said.ends_with(expected), "{said}");
        }
    }

    #[test]
    fn what_a_short_partition_lacks_comes_from_the_long_ones() {
        assert_eq!(starts(&[(0, 1000), (5, 7), (0, 0)], 100), [902, 5, 0]);
        assert_eq!(starts(&[(10, 20)], 100), [10]);
    }

    proptest! {
        #[test]
        fn the_sample_has_its_size(bounds in proptest::collection::vec((0i64..50, 0i64..500), 1..6), most in 1usize..800) {
            let bounds: Vec<(i64, i64)> = bounds.into_iter().map(|(low, n)| (low, low + n)).collect();
            let held: i64 = bounds.iter().map(|(low, high)| high - low).sum();
            let taken: i64 = std::iter::zip(&bounds, starts(&bounds, most)).map(|((low, high), from)| {
                assert!((*low..=*high).contains(&from));
                high - from
            }).sum();
            prop_assert_eq!(taken, held.min(most as i64));
        }
    }
}
