//! How long it takes from the append of an event until it is visible on /metrics, while orders come at a steady rate.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::orders::Orders;
use crate::parts::broker::Broker;
use crate::parts::daemon::Site;
use crate::parts::produce::Producer;
use crate::{PARTITIONS, SOURCE, TOPIC, TOPICS, TWELVE_METRICS};

/// Events that share an append time.
const BURST_EVERY: Duration = Duration::from_millis(10);
/// The first seconds are the start of everything, and not measured.
const WARM_UP: Duration = Duration::from_secs(5);
const VISIBLE_WITHIN: Duration = Duration::from_secs(60);

/// Appends `rate` events a second for `seconds`, scrapes all the while, and prints how long events took.
///
/// An event counts as visible when a scrape shows it counted: the numbers of the same scrape have it in. Between two
/// scrapes it is taken for not visible yet, and the time that the producer gathers records is in it.
pub(crate) fn measure(rate: u64, seconds: u64) {
    let broker = Broker::start();
    for topic in TOPICS {
        broker.create_topic(topic, PARTITIONS);
    }
    let site = Site::new(&broker);
    site.write_catalog(TWELVE_METRICS);
    let daemon = site.start();
    let (appended, bursts) = channel();
    let mut waiting = std::collections::VecDeque::new();
    let mut took: Vec<Duration> = Vec::new();
    let (done, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    let started = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut producer, mut orders) = (Producer::new(&broker, TOPIC), Orders::new());
            while started.elapsed() < WARM_UP + Duration::from_secs(seconds) {
                // A producer that is behind does not catch up at once: a burst stays one of a hundredth of a second.
                let due = (started.elapsed().as_secs_f64() * rate as f64) as u64;
                let due = due.min(producer.sent() + rate / 100);
                let at = Timestamp::now();
                let appended_at = Instant::now();
                while producer.sent() < due {
                    let partition = (producer.sent() % PARTITIONS.unsigned_abs() as u64) as i32;
                    producer.send(partition, orders.next(at));
                }
                appended.send((producer.sent(), appended_at)).unwrap();
                let next = appended_at + BURST_EVERY;
                producer.poll(next.saturating_duration_since(Instant::now()));
            }
            sent.store(producer.sent(), Ordering::Release);
            producer.flush();
            done.store(true, Ordering::Release);
        });
        let mut visible = 0.0;
        loop {
            let was_done = done.load(Ordering::Acquire);
            waiting.extend(bursts.try_iter());
            if was_done && waiting.is_empty() {
                break;
            }
            if let Ok(metrics) = daemon.try_metrics() {
                visible = metrics.sum("tautline_events_total", &[("source", SOURCE)]);
            }
            let now = Instant::now();
            let is_visible = |(count, _): &(u64, Instant)| *count as f64 <= visible;
            while let Some((_, at)) = waiting.front().copied().filter(is_visible) {
                waiting.pop_front();
                if at - started > WARM_UP {
                    took.push(now - at);
                }
            }
            let oldest = waiting.front().map_or(Duration::ZERO, |(_, at)| now - *at);
            assert!(
                oldest < VISIBLE_WITHIN,
                "not visible within {VISIBLE_WITHIN:?}: {visible}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    daemon.stop();
    took.sort_unstable();
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize].as_millis();
    let reached = sent.load(Ordering::Acquire) / (WARM_UP.as_secs() + seconds);
    println!(
        "{reached} events/s ({rate} asked for) for {seconds} s, append to visible on /metrics: p50 {} ms, p99 {} ms, most {} ms",
        at(0.5),
        at(0.99),
        at(1.0)
    );
}
