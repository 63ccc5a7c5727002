//! Batches from a client that speaks Kafka's protocol with librdkafka's own cluster in this process; against a real broker
//! the end-to-end tests of tautline read.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::config::FromClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer, DefaultConsumerContext};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tautline_native::batch::{BatchQueue, MOST};

const TOPIC: &str = "orders";
const PARTITIONS: i32 = 2;
const EACH: i64 = 700;
/// Looks for a record before the test gives up.
const LOOKS: usize = 3_000;
const WAIT: Duration = Duration::from_millis(20);

fn client(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers)
        .set("group.id", "batch")
        .set("enable.auto.commit", "false");
    config
}

/// Writes [`EACH`] records to each partition: every third with headers, every fifth a tombstone.
fn fill(brokers: &str) {
    let producer = BaseProducer::from_config(&client(brokers)).unwrap();
    for n in 0..EACH {
        for partition in 0..PARTITIONS {
            let (key, payload) = (format!("k{n}"), format!("p{n}"));
            let mut record = BaseRecord::to(TOPIC)
                .partition(partition)
                .key(&key)
                .timestamp(1_780_000_000_000 + n);
            if n % 5 > 0 {
                record = record.payload(&payload);
            }
            if n % 3 == 0 {
                let headers = OwnedHeaders::new()
                    .insert(Header {
                        key: "n",
                        value: Some(&key),
                    })
                    .insert(Header::<&str> {
                        key: "none",
                        value: None,
                    });
                record = record.headers(headers);
            }
            producer.send(record).unwrap();
        }
        producer.poll(Duration::ZERO);
    }
    producer.flush(Duration::from_secs(30)).unwrap();
}

type Queue = BatchQueue<DefaultConsumerContext>;

fn assigned(consumer: &Arc<BaseConsumer>) -> Queue {
    let queue = BatchQueue::new(consumer.clone()).unwrap();
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        queue.collect(TOPIC, partition).unwrap();
        list.add_partition_offset(TOPIC, partition, Offset::Beginning)
            .unwrap();
    }
    consumer.assign(&list).unwrap();
    queue
}

fn cluster() -> MockCluster<'static, DefaultProducerContext> {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(TOPIC, PARTITIONS, 1).unwrap();
    fill(&cluster.bootstrap_servers());
    cluster
}

#[test]
fn every_record_comes_once_and_whole() {
    let cluster = cluster();
    let consumer: Arc<BaseConsumer> = Arc::new(client(&cluster.bootstrap_servers()).create().unwrap());
    let queue = assigned(&consumer);
    let mut next = [0; PARTITIONS as usize];
    for _ in 0..LOOKS {
        assert!(consumer.poll(Duration::ZERO).is_none_or(|polled| polled.is_err()));
        let batch = queue.take(WAIT);
        assert!(batch.len() <= MOST);
        for record in batch.iter().flatten() {
            let n = record.offset();
            let at = &mut next[record.partition() as usize];
            assert_eq!((record.topic(), n), (TOPIC, *at));
            *at += 1;
            let (key, payload) = (format!("k{n}"), format!("p{n}"));
            assert_eq!(record.key(), Some(key.as_bytes()));
            assert_eq!(record.payload(), (n % 5 > 0).then_some(payload.as_bytes()));
            assert_eq!(record.timestamp_ms(), Some(1_780_000_000_000 + n));
            let expected: Vec<(&str, Option<&[u8]>)> = match n % 3 {
                0 => vec![("n", Some(key.as_bytes())), ("none", None)],
                _ => vec![],
            };
            assert_eq!(record.headers().collect::<Vec<_>>(), expected);
            let detached = record.detach();
            assert_eq!(detached.payload(), record.payload());
            assert_eq!(detached.headers().map_or(0, Headers::count), expected.len());
        }
        if next == [EACH; PARTITIONS as usize] {
            return;
        }
    }
    panic!("{next:?} of {EACH} records came");
}

/// A partition is paused in the middle of a batch: what is in the batch counts as read, and nothing else comes of it
/// until it goes on, behind it.
#[test]
fn a_pause_loses_nothing_and_repeats_nothing() {
    let cluster = cluster();
    let consumer: Arc<BaseConsumer> = Arc::new(client(&cluster.bootstrap_servers()).create().unwrap());
    let queue = assigned(&consumer);
    let mut of_one = TopicPartitionList::new();
    of_one.add_partition(TOPIC, 0);
    let mut read: BTreeMap<i32, Vec<i64>> = BTreeMap::new();
    let (mut paused, mut paused_at) = (0, 0);
    for look in 0..LOOKS {
        consumer.poll(Duration::ZERO);
        if paused == 1 && look > paused_at + 20 {
            consumer.resume(&of_one).unwrap();
            paused = 2;
        }
        let batch = queue.take(WAIT);
        for record in batch.iter().flatten() {
            let may_come = record.partition() != 0 || paused != 1 || look == paused_at;
            assert!(may_come, "a paused partition delivers {record:?}");
            read.entry(record.partition()).or_default().push(record.offset());
            if record.partition() == 0 && paused == 0 {
                consumer.pause(&of_one).unwrap();
                (paused, paused_at) = (1, look);
            }
        }
        if (0..PARTITIONS).all(|partition| read.get(&partition).is_some_and(|read| read.len() as i64 >= EACH))
        {
            break;
        }
    }
    for partition in 0..PARTITIONS {
        assert_eq!(read[&partition], Vec::from_iter(0..EACH), "partition {partition}");
    }
}

#[test]
fn the_queue_may_outlive_every_other_handle() {
    let cluster = cluster();
    let consumer: Arc<BaseConsumer> = Arc::new(client(&cluster.bootstrap_servers()).create().unwrap());
    let queue = assigned(&consumer);
    drop(consumer);
    for _ in 0..LOOKS {
        let batch = queue.take(WAIT);
        if !batch.is_empty() {
            drop(batch);
            return;
        }
    }
    panic!("nothing came");
}

#[test]
fn a_name_that_is_none_is_refused() {
    let consumer: Arc<BaseConsumer> = Arc::new(client("127.0.0.1:1").create().unwrap());
    let queue = BatchQueue::new(consumer).unwrap();
    assert!(queue.collect("a\0b", 0).is_err());
    assert!(queue.take(Duration::ZERO).is_empty());
}
