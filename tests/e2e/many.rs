//! A node with very many instances: the daemon folds them, serves them to whoever reads how slowly ever, and has them again
//! after a restart.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::parts::broker::Broker;
use crate::parts::daemon::{Daemon, Site, zone_at_noon};
use crate::parts::metrics::Metrics;
use crate::parts::produce::Producer;
use crate::parts::{unique, wait};

const WITHIN: Duration = Duration::from_secs(240);
const PARTITIONS: i32 = 4;
const STORES: u64 = 100_000;
/// Visits that come while somebody reads the answer slowly.
const MEANWHILE: u64 = 30_000;

/// One who asks for /metrics, takes the beginning of the answer, and then nothing.
struct SlowReader {
    stream: TcpStream,
    taken: Vec<u8>,
}

impl SlowReader {
    fn ask(daemon: &Daemon) -> SlowReader {
        let mut stream = TcpStream::connect(("127.0.0.1", daemon.port())).unwrap();
        stream.set_read_timeout(Some(WITHIN)).unwrap();
        stream
            .write_all(b"GET /metrics HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
            .unwrap();
        let mut taken = vec![0; 4096];
        stream.read_exact(&mut taken).unwrap();
        SlowReader { stream, taken }
    }

    /// A little more of the answer.
    fn sip(&mut self) {
        let mut more = vec![0; 512];
        self.stream.read_exact(&mut more).unwrap();
        self.taken.extend(more);
    }

    /// The rest of it, down to the last byte that was announced.
    fn finish(mut self) -> Metrics {
        let before = self.taken.len();
        self.stream.read_to_end(&mut self.taken).unwrap();
        let text = String::from_utf8(self.taken).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.0 200"), "{head}");
        let announced = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.parse::<usize>().unwrap())
        });
        assert_eq!(announced, Some(body.len()), "{head}");
        // Most of it was still with the daemon: more than the sockets of both sides hold.
        assert!(text.len() > before + 16_000_000, "{before} of {}", text.len());
        Metrics::parse(body)
    }
}

#[test]
fn a_hundred_thousand_instances_are_folded_served_and_found_again() {
    let broker = Broker::shared();
    let topic = unique("visits");
    broker.create_topic(&topic, PARTITIONS);
    let site = Site::new(broker).declares(&catalog(&topic));
    let daemon = site.start();
    let mut producer = Producer::new(broker, &topic);
    let mut sent = 0;
    let mut send = |stores: std::ops::Range<u64>| {
        for store in stores {
            let partition = (store % PARTITIONS as u64) as i32;
            producer.send(partition, format!(r#"{{"store": "store-{store:06}"}}"#));
            sent += 1;
        }
        producer.flush();
        sent
    };
    let all = send(0..STORES);
    wait_for_total(&daemon, all);
    daemon.wait_until_ready();

    // While the first third of the stores is visited again, two readers hold their answers open.
    let mut slow = [SlowReader::ask(&daemon), SlowReader::ask(&daemon)];
    let mut all = all;
    for part in 0..3 {
        let from = part * MEANWHILE / 3;
        all = send(from..from + MEANWHILE / 3);
        // Events go on to be folded and numbers to be judged and shown, each time.
        wait_for_total(&daemon, all);
        slow.iter_mut().for_each(SlowReader::sip);
    }
    // Whoever asks now gets the numbers of now.
    assert_counts(&daemon.metrics(), all);
    // What was asked for before is whole, and as it was then.
    for reader in slow {
        assert_counts(&reader.finish(), STORES);
    }
    daemon.kill();

    let daemon = site.start();
    daemon.wait_until_ready();
    wait_for_total(&daemon, all);
    assert_counts(&daemon.metrics(), all);
    let log = daemon.log();
    assert!(!log.contains("ERROR"), "{log}");
    daemon.stop();
}

/// Looks at one node: the metrics of all of them are many megabytes.
#[track_caller]
fn wait_for_total(daemon: &Daemon, count: u64) {
    wait::until_ok("every visit is counted", WITHIN, || {
        let node = daemon.get("/api/v1/nodes/total").json();
        match node["data"]["instances"][0]["value"].as_f64() {
            Some(value) if value == count as f64 => Ok(()),
            value => Err(format!("{value:?} of {count}; {}", daemon.log())),
        }
    });
}

/// Every store is there, the first ones visited twice, once more than the rest, and together they are the total.
#[track_caller]
fn assert_counts(metrics: &Metrics, total: u64) {
    let by_store = metrics.by("tautline_kpi_value", "store");
    assert_eq!(by_store.len() as u64, STORES);
    let again = total - STORES;
    let wrong: BTreeSet<&str> = by_store
        .iter()
        .filter(|(store, visits)| {
            let number: u64 = store.trim_start_matches("store-").parse().unwrap();
            **visits != if number < again { 2.0 } else { 1.0 }
        })
        .map(|(store, _)| store.as_str())
        .collect();
    assert!(wrong.is_empty(), "{} wrong: {:?}", wrong.len(), wrong.first());
    assert_eq!(
        metrics.get("tautline_kpi_value", &[("node", "total")]),
        Some(total as f64)
    );
}

fn catalog(topic: &str) -> String {
    format!(
        r#"
calendar: {{timezone: {zone}}}
sources:
  visits: {{topics: [{topic}], format: json, fields: {{store: store}}}}
metrics:
  visits: {{source: visits, agg: count, dimensions: [store]}}
nodes:
  total: {{metric: visits, role: business, period: year}}
  stores: {{metric: visits, role: business, parent: total, relation: sum, each: [store], period: year}}
"#,
        zone = zone_at_noon(),
    )
}
