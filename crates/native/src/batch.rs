//! Records of Kafka, a batch at a time.
//!
//! The crate `rdkafka` hands out one record a call: an event object of its own, two looks at the clock and a walk through
//! two queues for each. librdkafka has a call that fills a list of records; it needs raw pointers.
//!
//! Chosen partitions deliver into a [`BatchQueue`] instead of the consumer's own queue. Everything else that a client
//! says (statistics, errors, commits) still comes through [`BaseConsumer::poll`], which must be called now and then.
//! Pausing, resuming and seeking work as ever: librdkafka marks what was fetched before with a version, and leaves it out
//! of later batches. What is in a batch counts as handed out: reading goes on behind it.

use std::ffi::{CStr, CString, c_void};
use std::fmt;
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::Timestamp;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders, OwnedMessage};
use rdkafka_sys as sys;

/// Most records of a batch.
pub const MOST: usize = 256;
/// Bytes that a processor fetches at a time.
const LINE: usize = 64;
/// Bytes of a record that are asked for ahead.
const AHEAD: usize = 1024;

/// A queue of records from chosen partitions.
pub struct BatchQueue<C: ConsumerContext + 'static> {
    queue: NonNull<sys::rd_kafka_queue_t>,
    /// Outlives the queue: fields are dropped after [`Drop::drop`].
    consumer: Arc<BaseConsumer<C>>,
}

// SAFETY: librdkafka's queues are shared between threads by design, each behind its own lock; the pointer is never
// written after it was made.
unsafe impl<C: ConsumerContext> Send for BatchQueue<C> {}
// SAFETY: as above; every method takes the queue's lock inside librdkafka.
unsafe impl<C: ConsumerContext> Sync for BatchQueue<C> {}

impl<C: ConsumerContext> BatchQueue<C> {
    /// A queue into which nothing delivers yet.
    ///
    /// # Errors
    /// When librdkafka has no memory for it.
    pub fn new(consumer: Arc<BaseConsumer<C>>) -> Result<BatchQueue<C>, KafkaError> {
        let client = consumer.client().native_ptr();
        // SAFETY: the client lives as long as `consumer`, which is held.
        let queue = unsafe { sys::rd_kafka_queue_new(client) };
        let queue =
            NonNull::new(queue).ok_or(KafkaError::ClientCreation("no memory for a queue".to_owned()))?;
        Ok(BatchQueue { queue, consumer })
    }

    /// From now on this partition delivers here. To be called before the partition is assigned: what it delivered before
    /// stays where it is.
    ///
    /// # Errors
    /// When the topic's name cannot be one.
    pub fn collect(&self, topic: &str, partition: i32) -> Result<(), KafkaError> {
        let unknown = || KafkaError::Subscription(format!("'{topic}' cannot be read, partition {partition}"));
        let name = CString::new(topic).map_err(|_| unknown())?;
        let client = self.consumer.client().native_ptr();
        // SAFETY: the client is alive, and the name ends with a zero byte; librdkafka copies it.
        let source = unsafe { sys::rd_kafka_queue_get_partition(client, name.as_ptr(), partition) };
        if source.is_null() {
            return Err(unknown());
        }
        // SAFETY: both are queues of this client. The forwarding holds a reference of its own to the target.
        unsafe { sys::rd_kafka_queue_forward(source, self.queue.as_ptr()) };
        // SAFETY: `source` is the reference that was handed out above, and is not used again.
        unsafe { sys::rd_kafka_queue_destroy(source) };
        Ok(())
    }

    /// The records that are there, [`MOST`] of them at most, in the order of their partitions; where there is none, waits
    /// for the first one until `wait` is over.
    pub fn take(&self, wait: Duration) -> Batch<'_> {
        let mut batch = Batch {
            records: [ptr::null_mut(); MOST],
            count: 0,
            queue: PhantomData,
        };
        // With time to wait librdkafka waits for the list to be full, so that only the first record is waited for.
        batch.fill(self.queue, MOST, Duration::ZERO);
        if batch.count == 0 && !wait.is_zero() {
            batch.fill(self.queue, 1, wait);
        }
        batch
    }
}

impl<C: ConsumerContext> Drop for BatchQueue<C> {
    fn drop(&mut self) {
        // SAFETY: this is the only reference that was handed out; batches borrow the queue and are gone. The client is
        // still there: `consumer` is dropped later.
        unsafe { sys::rd_kafka_queue_destroy(self.queue.as_ptr()) };
    }
}

impl<C: ConsumerContext> fmt::Debug for BatchQueue<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchQueue").finish_non_exhaustive()
    }
}

/// Records that were taken from a queue. They live as long as the batch.
pub struct Batch<'q> {
    /// The first `count` point to records that are owned.
    records: [*mut sys::rd_kafka_message_t; MOST],
    count: usize,
    queue: PhantomData<&'q ()>,
}

impl Batch<'_> {
    /// Fills the list, which is empty.
    fn fill(&mut self, queue: NonNull<sys::rd_kafka_queue_t>, most: usize, wait: Duration) {
        let most = most.min(MOST);
        let wait_ms = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
        let list = self.records.as_mut_ptr();
        // SAFETY: the list has room for `most` pointers, and what librdkafka writes there belongs to the caller.
        let count = unsafe { sys::rd_kafka_consume_batch_queue(queue.as_ptr(), wait_ms, list, most) };
        self.count = usize::try_from(count).unwrap_or(0).min(most);
    }

    /// Whether nothing came.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Number of records and errors.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Its records, and errors of partitions, in order.
    pub fn iter(&self) -> Iter<'_> {
        Iter {
            rest: &self.records[..self.count],
            topic: (ptr::null_mut(), ""),
        }
    }
}

impl<'b> IntoIterator for &'b Batch<'_> {
    type Item = Result<Record<'b>, KafkaError>;
    type IntoIter = Iter<'b>;

    fn into_iter(self) -> Iter<'b> {
        self.iter()
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        for record in &self.records[..self.count] {
            // SAFETY: each was handed out once by librdkafka, and everything that borrows from it borrows the batch.
            unsafe { sys::rd_kafka_message_destroy(*record) };
        }
    }
}

impl fmt::Debug for Batch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("count", &self.count).finish()
    }
}

/// The records of a batch, one after the other.
#[derive(Debug)]
pub struct Iter<'b> {
    rest: &'b [*mut sys::rd_kafka_message_t],
    /// The topic of the record before: neighbours mostly share it.
    topic: (*mut sys::rd_kafka_topic_t, &'b str),
}

impl<'b> Iterator for Iter<'b> {
    type Item = Result<Record<'b>, KafkaError>;

    #[inline]
    fn next(&mut self) -> Option<Result<Record<'b>, KafkaError>> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        ask_for_next(rest);
        // SAFETY: the pointers of a batch are valid until it is dropped, which `'b` excludes, and nobody writes there.
        let raw: &'b sys::rd_kafka_message_t = unsafe { &**first };
        if raw.err != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Some(Err(KafkaError::MessageConsumption(RDKafkaErrorCode::from(
                raw.err,
            ))));
        }
        if self.topic.0 != raw.rkt {
            self.topic = (raw.rkt, topic_of(raw));
        }
        Some(Ok(Record {
            raw,
            topic: self.topic.1,
        }))
    }
}

/// Asks for what is read next: another thread has written it, perhaps on another core, and it comes while the record
/// before it is worked on.
#[inline]
fn ask_for_next(rest: &[*mut sys::rd_kafka_message_t]) {
    if let Some(later) = rest.get(2) {
        prefetch(later.cast_const().cast());
    }
    let Some(next) = rest.first() else {
        return;
    };
    // SAFETY: the pointers of a batch are valid until it is dropped, and the list is borrowed from it.
    let next = unsafe { &**next };
    let payload = next.payload.cast_const().cast::<u8>();
    for at in (0..next.len.min(AHEAD)).step_by(LINE) {
        prefetch(payload.wrapping_add(at));
    }
}

/// Asks for the line of memory at an address, which may be any.
#[inline]
fn prefetch(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing as far as the program can tell, and never faults. Every x86-64 has it.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// The name of a record's topic; the broker allows no other names than ASCII.
fn topic_of(raw: &sys::rd_kafka_message_t) -> &str {
    // SAFETY: a record holds its topic as long as it lives.
    let name = unsafe { sys::rd_kafka_topic_name(raw.rkt) };
    if name.is_null() {
        return "";
    }
    // SAFETY: a text of librdkafka ends with a zero byte, and lives as long as the topic.
    let name: &CStr = unsafe { CStr::from_ptr(name) };
    name.to_str().unwrap_or_default()
}

/// A record of a batch.
#[derive(Clone, Copy)]
pub struct Record<'b> {
    raw: &'b sys::rd_kafka_message_t,
    topic: &'b str,
}

impl<'b> Record<'b> {
    /// Its topic.
    #[inline]
    pub fn topic(&self) -> &'b str {
        self.topic
    }

    /// Its partition.
    #[inline]
    pub fn partition(&self) -> i32 {
        self.raw.partition
    }

    /// Its place in the partition.
    #[inline]
    pub fn offset(&self) -> i64 {
        self.raw.offset
    }

    /// Its key.
    #[inline]
    pub fn key(&self) -> Option<&'b [u8]> {
        // SAFETY: key and length belong together, and live as long as the record.
        unsafe { bytes(self.raw.key, self.raw.key_len) }
    }

    /// Its value; `None` for a tombstone.
    #[inline]
    pub fn payload(&self) -> Option<&'b [u8]> {
        // SAFETY: payload and length belong together, and live as long as the record.
        unsafe { bytes(self.raw.payload, self.raw.len) }
    }

    /// When it was created or appended, in milliseconds since the epoch, where that is known.
    #[inline]
    pub fn timestamp_ms(&self) -> Option<i64> {
        let mut kind = sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the record is alive, and `kind` is written only.
        let ms = unsafe { sys::rd_kafka_message_timestamp(self.raw, &mut kind) };
        let is_known = kind != sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        (is_known && ms != -1).then_some(ms)
    }

    /// Its headers, in order: name and value. A header whose name is no UTF-8 is left out.
    #[inline]
    pub fn headers(&self) -> Headers<'b> {
        let mut list = ptr::null_mut();
        // SAFETY: the record is alive. Its headers are read on the first call, and kept by the record; a record is
        // never used by two threads at once (`Batch` is not `Sync`).
        let code = unsafe { sys::rd_kafka_message_headers(self.raw, &mut list) };
        let is_there = code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;
        Headers {
            list: NonNull::new(list).filter(|_| is_there),
            next: 0,
            record: PhantomData,
        }
    }

    /// A copy of its own.
    pub fn detach(&self) -> OwnedMessage {
        let mut headers = OwnedHeaders::new();
        let mut any = false;
        for (key, value) in self.headers() {
            headers = headers.insert(Header { key, value });
            any = true;
        }
        OwnedMessage::new(
            self.payload().map(<[u8]>::to_vec),
            self.key().map(<[u8]>::to_vec),
            self.topic.to_owned(),
            self.timestamp_ms()
                .map_or(Timestamp::NotAvailable, Timestamp::CreateTime),
            self.partition(),
            self.offset(),
            any.then_some(headers),
        )
    }
}

impl fmt::Debug for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (topic, partition, offset) = (self.topic, self.partition(), self.offset());
        write!(f, "Record({topic}[{partition}]@{offset})")
    }
}

/// Bytes of librdkafka; a null pointer stands for none.
///
/// # Safety
/// Where the pointer is not null, `length` bytes behind it are valid for `'b`, and are not written.
unsafe fn bytes<'b>(start: *const c_void, length: usize) -> Option<&'b [u8]> {
    let start = NonNull::new(start.cast::<u8>().cast_mut())?;
    // SAFETY: what the caller guarantees.
    Some(unsafe { std::slice::from_raw_parts(start.as_ptr(), length) })
}

/// The headers of a record.
#[derive(Debug)]
pub struct Headers<'b> {
    list: Option<NonNull<sys::rd_kafka_headers_t>>,
    next: usize,
    record: PhantomData<&'b ()>,
}

impl<'b> Iterator for Headers<'b> {
    type Item = (&'b str, Option<&'b [u8]>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let list = self.list?;
        loop {
            let (mut name, mut value, mut length) = (ptr::null(), ptr::null(), 0);
            // SAFETY: the list belongs to the record, which lives for `'b`; the other three are written only.
            let code = unsafe {
                sys::rd_kafka_header_get_all(list.as_ptr(), self.next, &mut name, &mut value, &mut length)
            };
            if code != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR || name.is_null() {
                return None;
            }
            self.next += 1;
            // SAFETY: a header's name ends with a zero byte, and lives as long as its list.
            let name: &'b CStr = unsafe { CStr::from_ptr(name) };
            if let Ok(name) = name.to_str() {
                // SAFETY: value and length belong together, and live as long as the list.
                return Some((name, unsafe { bytes(value, length) }));
            }
        }
    }
}
