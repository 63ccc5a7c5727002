//! Exactly once: a daemon that is killed at any moment counts every event once and decides every notice once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::parts::broker::Broker;
use crate::parts::daemon::{Daemon, Site, zone_at_noon};
use crate::parts::events::Order;
use crate::parts::produce::Producer;
use crate::parts::slack::Slack;
use crate::parts::{unique, wait};

const EVENTS: u64 = 200_000;
const PARTITIONS: i32 = 4;
const KILLS: u64 = 20;
/// The longest time that the daemon lives before it is killed.
const LONGEST_LIFE: Duration = Duration::from_millis(1500);
/// Slow enough that events are still coming whenever it is killed.
const EVENTS_A_SECOND: u64 = 9_000;
const REGIONS: [&str; 4] = ["east", "south", "north", "west"];
/// Fewer than the number up to which different keys are counted exactly.
const CUSTOMERS: u64 = 3_900;
/// Shares of a region's expected revenue at which a rule fires.
const MARKS: [f64; 3] = [0.05, 0.45, 0.85];
const MEAN_CENTS: u64 = 50_000;

/// Lets the generator end when the test fails.
struct GiveUp<'a>(&'a AtomicU64);

const GIVEN_UP: u64 = u64::MAX;

impl Drop for GiveUp<'_> {
    fn drop(&mut self) {
        self.0.store(GIVEN_UP, Ordering::Relaxed);
    }
}

/// What the generator knows of what it made.
#[derive(Default)]
struct Expected {
    orders: u64,
    cents: u64,
    cents_by_region: BTreeMap<&'static str, u64>,
    buyers: BTreeSet<u64>,
}

#[test]
fn killed_twenty_times_while_reading_it_counts_and_tells_everything_once() {
    let seed =
        std::env::var("TAUTLINE_SEED").map_or_else(|_| rand::rng().random(), |seed| seed.parse().unwrap());
    eprintln!("TAUTLINE_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let broker = Broker::shared();
    let topic = unique("exactly-once");
    broker.create_topic(&topic, PARTITIONS);
    let slack = Slack::start();
    let site = Site::new(broker)
        .tells(&slack.webhook())
        .declares(&catalog(&topic));

    // The generator writes as far as it is allowed to, at its own rate, while the daemon lives and dies.
    let allowed = AtomicU64::new(0);
    let mut told_at_kill = Vec::new();
    let expected = std::thread::scope(|scope| {
        let _give_up = GiveUp(&allowed);
        let generator_rng = StdRng::seed_from_u64(rng.random());
        let generator = scope.spawn(|| generate(broker, &topic, generator_rng, &allowed));
        for kill in 1..=KILLS {
            allowed.store(EVENTS * kill / KILLS, Ordering::Relaxed);
            let daemon = site.spawn();
            let life = LONGEST_LIFE.mul_f64(rng.random());
            // Nothing to wait for: any moment may be the wrong one.
            std::thread::sleep(life);
            daemon.kill();
            told_at_kill.push(slack.messages().len());
        }
        generator.join().unwrap()
    });

    let daemon = site.start();
    daemon.wait_for(
        "all events are counted",
        Duration::from_secs(120),
        |metrics| match metrics.get("tautline_kpi_value", &[("node", "orders")]) {
            Some(value) if value >= EVENTS as f64 => Ok(()),
            seen => Err(format!("{seen:?} of {EVENTS}; {}", daemon.log())),
        },
    );
    let decisions = MARKS.len() * REGIONS.len();
    wait::until_ok("every decision is told", Duration::from_secs(60), || {
        let ids = slack.ids();
        if ids.len() >= decisions {
            Ok(())
        } else {
            Err(format!("{} of {decisions}", ids.len()))
        }
    });
    daemon.wait_for_evaluations(5);
    assert_numbers(&daemon, &expected);
    daemon.stop();

    // What was committed at the end is what the next start finds.
    let daemon = site.start();
    daemon.wait_until_ready();
    daemon.wait_for_evaluations(5);
    assert_numbers(&daemon, &expected);
    daemon.stop();
    assert_told_once(&slack, &told_at_kill, decisions);
}

fn catalog(topic: &str) -> String {
    let expected = EVENTS / REGIONS.len() as u64 * MEAN_CENTS / 100;
    let rules: String = MARKS
        .iter()
        .enumerate()
        .map(|(i, mark)| {
            format!(
                "  mark-{i}: {{on: node, nodes: [region-revenue], when: \"node.value >= {:.1}\", for: 0s, severity: info, \
                 title: \"{{{{ node.title }}}} passes mark {i}\"}}\n",
                expected as f64 * mark
            )
        })
        .collect();
    format!(
        r#"
calendar: {{timezone: {zone}}}
sources:
  orders:
    topics: [{topic}]
    format: cloudevents
    time: time
    lateness: 10m
    fields: {{type: type, amount: data.amount, customer: data.customer, region: data.region}}
metrics:
  revenue: {{source: orders, agg: sum, expr: amount, filter: type == "order.paid", unit: CNY, dimensions: [region]}}
  orders: {{source: orders, agg: count}}
  buyers: {{source: orders, agg: count_distinct, expr: customer, filter: type == "order.paid"}}
nodes:
  revenue: {{metric: revenue, role: business, level: strategy, period: day, owner: chain}}
  region-revenue: {{metric: revenue, role: business, level: strategy, parent: revenue, relation: sum, each: [region], period: day, owner: regions}}
  orders: {{metric: orders, role: kpi, level: tactic, parent: revenue, relation: influence, period: day, target: {EVENTS}, weight: 50, owner: sales, rules: {{behind_pace: off, target_at_risk: off}}}}
  buyers: {{metric: buyers, role: kpi, level: tactic, parent: revenue, relation: influence, period: day, target: {CUSTOMERS}, weight: 50, owner: sales, rules: {{behind_pace: off, target_at_risk: off}}}}
rules:
{rules}"#,
        zone = zone_at_noon(),
    )
}

fn generate(broker: &Broker, topic: &str, mut rng: StdRng, allowed: &AtomicU64) -> Expected {
    let mut producer = Producer::new(broker, topic);
    let mut expected = Expected::default();
    let began = Instant::now();
    while expected.orders < EVENTS && allowed.load(Ordering::Relaxed) != GIVEN_UP {
        let due = (began.elapsed().as_secs_f64() * EVENTS_A_SECOND as f64) as u64;
        if expected.orders >= due.min(allowed.load(Ordering::Relaxed)) {
            producer.poll(Duration::from_millis(5));
            continue;
        }
        let (cents, customer) = (
            rng.random_range(1..MEAN_CENTS * 2),
            rng.random_range(0..CUSTOMERS),
        );
        let region = REGIONS[rng.random_range(0..REGIONS.len())];
        let paid = rng.random_bool(0.97);
        let age = SignedDuration::from_millis(rng.random_range(0..5_000));
        let (id, customer_id) = (format!("o{}", expected.orders), format!("c{customer}"));
        let amount = format!("{}.{:02}", cents / 100, cents % 100);
        let order = Order {
            id: &id,
            at: Timestamp::now() - age,
            kind: if paid { "order.paid" } else { "order.cancelled" },
            amount: &amount,
            customer: &customer_id,
            region,
        };
        let partition = rng.random_range(0..PARTITIONS);
        if rng.random_bool(0.25) {
            producer.send_with_headers(partition, &order.headers(), order.data());
        } else {
            producer.send(partition, order.structured());
        }
        expected.orders += 1;
        if paid {
            expected.cents += cents;
            *expected.cents_by_region.entry(region).or_default() += cents;
            expected.buyers.insert(customer);
        }
    }
    producer.flush();
    expected
}

/// Metrics and API say what the generator knows, to the last digit.
#[track_caller]
fn assert_numbers(daemon: &Daemon, expected: &Expected) {
    let money = |cents: u64| format!("{}.{:02}0000", cents / 100, cents % 100);
    let count = |count: usize| format!("{count}.000000");
    let mut wanted = BTreeMap::from([
        ("revenue".to_owned(), money(expected.cents)),
        ("orders".to_owned(), count(expected.orders as usize)),
        ("buyers".to_owned(), count(expected.buyers.len())),
    ]);
    for (region, cents) in &expected.cents_by_region {
        wanted.insert(format!("region-revenue/{region}"), money(*cents));
    }

    let metrics = daemon.metrics();
    let on_metrics = wanted.keys().map(|name| {
        let (node, region) = name.split_once('/').unzip();
        let mut labels = vec![("node", node.unwrap_or(name))];
        labels.extend(region.map(|region| ("region", region)));
        let value = metrics.get("tautline_kpi_value", &labels).unwrap_or(f64::NAN);
        (name.clone(), format!("{value:.6}"))
    });
    assert_eq!(on_metrics.collect::<BTreeMap<_, _>>(), wanted, "/metrics");

    let api = daemon.get("/api/v1/nodes").json();
    let nodes = api["data"]["nodes"].as_array().unwrap();
    let instances = nodes.iter().flat_map(|node| {
        node["instances"]
            .as_array()
            .unwrap()
            .iter()
            .map(move |i| (node, i))
    });
    let on_api = instances.map(|(node, instance)| {
        let node = node["name"].as_str().unwrap();
        let region = instance["dimensions"]["region"].as_str();
        let name = region.map_or_else(|| node.to_owned(), |region| format!("{node}/{region}"));
        (name, format!("{:.6}", instance["value"].as_f64().unwrap()))
    });
    assert_eq!(on_api.collect::<BTreeMap<_, _>>(), wanted, "/api/v1/nodes");
}

/// Every decision has one notice. A notice may be there twice only where the daemon was killed before it knew that
/// Slack had taken it: then it was the last one before a kill, and comes again, the same, as the next one.
#[track_caller]
fn assert_told_once(slack: &Slack, told_at_kill: &[usize], decisions: usize) {
    let messages = slack.messages();
    let ids: BTreeSet<&str> = messages.iter().map(|message| message.id.as_str()).collect();
    assert_eq!(ids.len(), decisions, "{messages:#?}");
    for (i, message) in messages.iter().enumerate() {
        let Some(first) = messages[..i].iter().position(|earlier| earlier.id == message.id) else {
            continue;
        };
        let lost_answer = first + 1 == i && told_at_kill.contains(&i);
        assert!(
            lost_answer,
            "told twice: {message:?}, as {first} and {i}; kills at {told_at_kill:?}"
        );
        assert_eq!(messages[first].text, message.text);
    }
}
