//! The harness itself: the broker is real, keeps its data over restarts, and ends with whoever started it.

use std::path::Path;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::parts::broker::Broker;
use crate::parts::browser::Browser;
use crate::parts::process::Process;
use crate::parts::produce::Producer;
use crate::parts::{scratch, unique, wait};

#[test]
fn a_broker_keeps_records_and_address_over_restarts() {
    let mut broker = Broker::start();
    let topic = unique("orders");
    broker.create_topic(&topic, 2);
    let mut producer = Producer::new(&broker, &topic);
    producer.send(0, "one");
    producer.send_with_headers(1, &[("ce_id", "1")], "two");
    producer.flush();
    for signal in ["TERM", "KILL"] {
        broker.stop(signal);
        broker.start_again();
    }
    producer.send(1, "three");
    producer.flush();

    let consumer: BaseConsumer = broker.client().set("group.id", "reader").create().unwrap();
    let ends: Vec<_> = (0..2)
        .map(|partition| {
            wait::until_ok(
                "the end of the partition is known",
                Duration::from_secs(20),
                || {
                    let watermarks = consumer.fetch_watermarks(&topic, partition, Duration::from_secs(2));
                    watermarks.map_err(|error| error.to_string())
                },
            )
        })
        .collect();
    assert_eq!(ends, [(0, 1), (0, 2)]);
    let described = broker.tool(
        "org.apache.kafka.tools.TopicCommand",
        &["--describe", "--topic", &topic],
    );
    assert!(described.contains("PartitionCount: 2"), "{described}");
}

#[test]
fn a_process_ends_with_its_owner_and_tells_how() {
    let folder = scratch("process");
    let log = folder.path().join("log");
    let start = |script: &str| Process::start("sh", Path::new("sh"), &["-c", script], folder.path(), &log);

    let mut short = start("echo said; echo warned >&2; exit 7");
    assert_eq!(short.wait_for_end(Duration::from_secs(10)), 7);
    assert_eq!(short.log(), "said\nwarned\n");

    let mut told = start("exec sleep 1000");
    told.signal("TERM");
    assert_eq!(told.wait_for_end(Duration::from_secs(10)), 128 + 15);

    let dropped = start("exec sleep 1000");
    let alive = Path::new("/proc").join(dropped.pid().to_string());
    assert!(alive.exists());
    drop(dropped);
    wait::until("the process is gone", Duration::from_secs(10), || {
        (!alive.exists()).then_some(())
    });
}

#[test]
fn a_browser_sees_text_and_width() {
    let folder = scratch("browser");
    let page = |width: &str| {
        format!(
            "data:text/html,<meta name=viewport content='width=device-width'><div style='width:{width}'>seen</div>"
        )
    };
    let too_wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth";
    let mut browser = Browser::start();
    browser.resize(390, 844, true);
    for (width, expected) in [("80%", false), ("1000px", true)] {
        browser.open(&page(width));
        assert_eq!(browser.text(), "seen");
        assert_eq!(browser.evaluate(too_wide), expected, "{width}");
    }
    let picture = folder.path().join("page.png");
    browser.screenshot(&picture);
    assert!(std::fs::read(picture).unwrap().starts_with(b"\x89PNG\r\n"));
}
