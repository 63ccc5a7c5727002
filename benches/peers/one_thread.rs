//! Programs of one thread, each in a process of its own: this binary again. They read the whole topic through librdkafka,
//! perhaps keep one sum by two dimensions in memory, and commit nothing.

use std::collections::HashMap;
use std::process::Command;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use serde::Deserialize;

use super::parts::broker::Broker;
use super::{Measured, PARTITIONS, ROUND_WITHIN, TOPIC, cpu_seconds, measured};

/// What a program reads of an event.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reads {
    /// Nothing: what librdkafka alone costs.
    Nothing,
    /// The three fields of its sum, by sonic-rs, borrowed.
    Fields,
    /// Everything, into a `serde_json::Value`, as one writes it first.
    Value,
}

const WORDS: [(Reads, &str); 3] = [
    (Reads::Nothing, "consume"),
    (Reads::Fields, "sum-fields"),
    (Reads::Value, "sum-value"),
];

impl Reads {
    /// By the first argument of the process.
    pub(super) fn of(word: &str) -> Option<Reads> {
        let found = WORDS.iter().find(|(_, other)| *other == word)?;
        Some(found.0)
    }
}

#[derive(Deserialize)]
struct Order<'a> {
    #[serde(borrow)]
    data: Data<'a>,
}

#[derive(Deserialize)]
struct Data<'a> {
    region: &'a str,
    store: &'a str,
    amount: f64,
}

/// Cents by region and store.
#[derive(Default)]
struct Sums(HashMap<String, HashMap<String, i64>>);

impl Sums {
    fn add(&mut self, region: &str, store: &str, amount: f64) {
        let cents = (amount * 100.0).round() as i64;
        // Only what is new is copied.
        let stores = match self.0.get_mut(region) {
            Some(stores) => stores,
            None => self.0.entry(region.to_owned()).or_default(),
        };
        match stores.get_mut(store) {
            Some(sum) => *sum += cents,
            None => drop(stores.insert(store.to_owned(), cents)),
        }
    }
}

/// Runs a program in a process of its own.
pub(super) fn measure(reads: Reads, broker: &Broker, events: u64) -> Measured {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([WORDS[reads as usize].1, &broker.bootstrap(), &events.to_string()])
        .output()
        .unwrap();
    measured(&output)
}

/// Reads the whole topic and prints seconds and CPU-seconds.
pub(super) fn read(reads: Reads, brokers: &str, events: u64) {
    let started = Instant::now();
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "peer")
        .set("enable.auto.commit", "false")
        // As tautline sets them: the comparison is of the reading, not of the settings.
        .set("fetch.queue.backoff.ms", "5")
        .set("queued.min.messages", "100000")
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset(TOPIC, partition, Offset::Beginning)
            .unwrap();
    }
    consumer.assign(&list).unwrap();
    let mut sums = Sums::default();
    let mut read = 0;
    while read < events {
        assert!(
            started.elapsed() < ROUND_WITHIN,
            "{read} of {events} events within {ROUND_WITHIN:?}"
        );
        let Some(message) = consumer.poll(Duration::from_millis(100)) else {
            continue;
        };
        let message = message.unwrap();
        let payload = message.payload().unwrap_or_default();
        match reads {
            Reads::Nothing => {}
            Reads::Fields => {
                let Order { data } = sonic_rs::from_slice(payload).unwrap();
                sums.add(data.region, data.store, data.amount);
            }
            Reads::Value => {
                let event: serde_json::Value = serde_json::from_slice(payload).unwrap();
                let data = &event["data"];
                let text = |key: &str| data[key].as_str().unwrap();
                sums.add(text("region"), text("store"), data["amount"].as_f64().unwrap());
            }
        }
        read += 1;
    }
    println!(
        "measured {} {}",
        started.elapsed().as_secs_f64(),
        cpu_seconds("self")
    );
}
