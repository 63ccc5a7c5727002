//! Writes records to a topic and knows that they arrived.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, Message, OwnedHeaders, ToBytes};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};

use super::broker::Broker;

const FLUSH_WITHIN: Duration = Duration::from_secs(60);

/// Counts what became of the records.
#[derive(Default)]
struct Deliveries {
    delivered: AtomicU64,
    failed: AtomicU64,
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();
    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let counter = match result {
            Ok(_) => &self.delivered,
            Err((error, message)) => {
                eprintln!("not delivered to {}: {error}", message.topic());
                &self.failed
            }
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Writes to one topic.
pub(crate) struct Producer {
    producer: BaseProducer<Deliveries>,
    topic: String,
    sent: u64,
}

impl Producer {
    /// A producer that writes each record once and in order, also over a broker's restart.
    pub(crate) fn new(broker: &Broker, topic: &str) -> Producer {
        let producer = broker
            .client()
            .set("enable.idempotence", "true")
            .set("linger.ms", "5")
            .set("compression.type", "lz4")
            .set("queue.buffering.max.messages", "1000000")
            .create_with_context(Deliveries::default())
            .unwrap();
        Producer {
            producer,
            topic: topic.to_owned(),
            sent: 0,
        }
    }

    /// Queues a record for a partition.
    pub(crate) fn send(&mut self, partition: i32, payload: impl AsRef<[u8]>) {
        self.queue(
            BaseRecord::<(), [u8]>::to(&self.topic.clone())
                .partition(partition)
                .payload(payload.as_ref()),
        );
    }

    /// Queues a record of this time, in milliseconds since the epoch.
    #[allow(dead_code, reason = "benches/peers writes records of now")]
    pub(crate) fn send_at(&mut self, partition: i32, time_ms: i64, payload: impl AsRef<[u8]>) {
        self.queue(
            BaseRecord::<(), [u8]>::to(&self.topic.clone())
                .partition(partition)
                .timestamp(time_ms)
                .payload(payload.as_ref()),
        );
    }

    /// Queues a record with headers: CloudEvents in binary mode.
    pub(crate) fn send_with_headers(
        &mut self,
        partition: i32,
        headers: &[(&str, impl AsRef<str>)],
        payload: impl AsRef<[u8]>,
    ) {
        let topic = self.topic.clone();
        let record = BaseRecord::<(), [u8]>::to(&topic)
            .partition(partition)
            .payload(payload.as_ref());
        self.queue(record.headers(list_of(headers)));
    }

    /// Queues a record with a key and headers.
    #[allow(dead_code, reason = "benches/peers writes no keys")]
    pub(crate) fn send_with_key(
        &mut self,
        partition: i32,
        key: &str,
        headers: &[(&str, impl AsRef<str>)],
        payload: impl AsRef<[u8]>,
    ) {
        let topic = self.topic.clone();
        let record = BaseRecord::<str, [u8]>::to(&topic)
            .partition(partition)
            .key(key)
            .payload(payload.as_ref());
        self.queue(record.headers(list_of(headers)));
    }

    /// Queues a record without a value.
    #[allow(dead_code, reason = "benches/peers deletes nothing")]
    pub(crate) fn send_tombstone(&mut self, partition: i32) {
        self.queue(BaseRecord::<(), [u8]>::to(&self.topic.clone()).partition(partition));
    }

    fn queue<K: ToBytes + ?Sized>(&mut self, record: BaseRecord<'_, K, [u8]>) {
        let mut record = record;
        loop {
            match self.producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), unsent)) => {
                    record = unsent;
                    self.poll(Duration::from_millis(20));
                }
                Err((error, _)) => panic!("cannot produce to {}: {error}", self.topic),
            }
        }
        self.sent += 1;
    }

    /// Takes delivery reports, waiting for one at most `wait`.
    pub(crate) fn poll(&self, wait: Duration) {
        self.producer.poll(wait);
    }

    /// Records queued so far.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// Waits until every record is on the broker.
    #[track_caller]
    pub(crate) fn flush(&self) {
        self.producer.flush(FLUSH_WITHIN).unwrap();
        let deliveries = self.producer.context();
        let counts = (
            deliveries.delivered.load(Ordering::Relaxed),
            deliveries.failed.load(Ordering::Relaxed),
        );
        assert_eq!(
            counts,
            (self.sent, 0),
            "(delivered, failed) of {} records",
            self.sent
        );
    }
}

fn list_of(headers: &[(&str, impl AsRef<str>)]) -> OwnedHeaders {
    headers.iter().fold(OwnedHeaders::new(), |list, (key, value)| {
        list.insert(Header {
            key,
            value: Some(value.as_ref()),
        })
    })
}
