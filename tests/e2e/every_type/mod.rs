//! Every type of metric, over every kind of source, through kills at any moment: what comes out is what a plain model
//! of the same events says, and what a daemon says that nobody killed.

mod catalog;
mod model;
mod streams;
mod typed;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, ZonedDateTime};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use self::streams::{Sent, Span, Topics, World};
use self::typed::{GIVEN_UP, Typed};
use crate::parts::broker::Broker;
use crate::parts::daemon::{Daemon, Site, zone_at_noon};
use crate::parts::produce::Producer;
use crate::parts::registry::Registry;
use crate::parts::wait;

const REGIONS: [&str; 4] = ["east", "south", "north", "west"];
/// The window of the conversion.
const WINDOW_MS: i64 = 6 * 3_600_000;
const KILLS: usize = 10;
/// The longest time that the daemon lives before it is killed.
const LONGEST_LIFE: Duration = Duration::from_millis(1500);
/// Portions in which the records of one life are written.
const PORTIONS: usize = 10;
const WITHIN: Duration = Duration::from_secs(60);
/// What depends on the time of day, and what a second daemon is not sent.
const OF_ITS_OWN: [&str; 10] = [
    "hours_mean",
    "hours_p90",
    "hours_longest",
    "buyers",
    "groups",
    "people",
    "complaints",
    "satisfaction",
    "stock",
    "walk_ins",
];

/// Lets the sender end when the test fails.
struct GiveUp<'a>(&'a AtomicUsize);

impl Drop for GiveUp<'_> {
    fn drop(&mut self) {
        self.0.store(GIVEN_UP, Ordering::Relaxed);
    }
}

/// The period: it began at midnight two days ago, and things have happened since four days ago.
struct Period {
    zone: String,
    from: ZonedDateTime,
    now: ZonedDateTime,
}

impl Period {
    fn now() -> Period {
        let zone = zone_at_noon();
        let now = Timestamp::now().to_zoned_datetime(TimeZone::get(&zone).unwrap());
        let from = now.start_of_day().unwrap() - 2.days();
        Period { zone, from, now }
    }

    fn starts_ms(&self) -> i64 {
        self.from.timestamp().as_millisecond()
    }

    fn span(&self) -> Span {
        let at = |zoned: ZonedDateTime| zoned.timestamp().as_millisecond();
        Span {
            from: at(&self.now - 4.days()),
            to: at(&self.now - 1.minute()),
        }
    }

    /// Local days, the newest first, and whether they are in the period.
    fn days(&self) -> Vec<(String, bool)> {
        let day = |ago: i64| ((&self.now - ago.days()).date().to_string(), ago <= 2);
        (0..4).map(day).collect()
    }
}

fn iso(ms: i64) -> String {
    Timestamp::from_millisecond(ms).unwrap().to_string()
}

#[test]
fn killed_ten_times_every_type_of_metric_comes_to_what_a_plain_model_says() {
    let seed =
        std::env::var("TAUTLINE_SEED").map_or_else(|_| rand::rng().random(), |seed| seed.parse().unwrap());
    eprintln!("TAUTLINE_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let broker = Broker::shared();
    let topics = Topics::create(broker);
    let mut registry = Registry::down();
    registry.register(streams::SCHEMA, &streams::contract_schema());
    registry.start();
    let period = Period::now();
    let world = World::make(&topics, period.span(), rng.random());
    let typed = Typed::make(&period.days(), period.span().to, rng.random());
    // The period before has the length of this one.
    let first = (&period.from - 20.days()).date().to_string();
    let catalog = catalog::text(&topics, &period.zone, &first);
    let site = || Site::new(broker).asks(&registry.setting()).declares(&catalog);

    let killed = site();
    live_and_die(broker, &killed, &world, &typed, &mut rng);
    let check = |daemon: &Daemon| differences(daemon, &world, &typed, period.starts_ms());
    let daemon = killed.start();
    wait::until_ok("it says what the model says", WITHIN, || check(&daemon));
    daemon.wait_for_evaluations(5);
    wait::until_ok("it still does", Duration::ZERO, || check(&daemon));
    daemon.stop();
    // What was committed at the end is what the next start finds.
    let daemon = killed.start();
    daemon.wait_until_ready();
    wait::until_ok("it does after a restart", WITHIN, || check(&daemon));
    let found = values(&daemon).unwrap().1;
    daemon.stop();

    // To the last bit, estimates as well.
    let undisturbed = site().start();
    wait::until_ok("a daemon that nobody killed says the same", WITHIN, || {
        let (_, others) = values(&undisturbed)?;
        let differ = |(name, value): (&String, &f64)| {
            let other = others.get(name).copied();
            let is_same =
                OF_ITS_OWN.contains(&name.as_str()) || other.map(f64::to_bits) == Some(value.to_bits());
            (!is_same).then(|| format!("{name} {value} is {other:?}"))
        };
        let wrong: Vec<String> = found.iter().filter_map(differ).collect();
        if wrong.is_empty() {
            Ok(())
        } else {
            Err(wrong.join("; "))
        }
    });
    undisturbed.stop();
}

/// Writes everything while the daemon lives and dies.
fn live_and_die(broker: &Broker, site: &Site, world: &World, typed: &Typed, rng: &mut StdRng) {
    let mut producers: Vec<Producer> = world
        .records
        .iter()
        .map(|(topic, _)| Producer::new(broker, topic))
        .collect();
    let allowed = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let _give_up = GiveUp(&allowed);
        let sender = scope.spawn(|| typed.send_all(site.port(), &allowed));
        for kill in 0..KILLS {
            let daemon = site.spawn();
            let life = LONGEST_LIFE.mul_f64(rng.random());
            allowed.store(typed.len() * (kill + 1) / KILLS, Ordering::Relaxed);
            for portion in kill * PORTIONS..(kill + 1) * PORTIONS {
                for ((_, records), producer) in std::iter::zip(&world.records, &mut producers) {
                    let at = |portion| records.len() * portion / (KILLS * PORTIONS);
                    records[at(portion)..at(portion + 1)]
                        .iter()
                        .for_each(|record| write(producer, record));
                    producer.poll(Duration::ZERO);
                }
                // Nothing to wait for: any moment may be the wrong one.
                std::thread::sleep(life / PORTIONS as u32);
            }
            daemon.kill();
        }
        producers.iter().for_each(Producer::flush);
        let daemon = site.start();
        sender.join().unwrap();
        daemon.kill();
    });
}

fn write(producer: &mut Producer, record: &Sent) {
    match (&record.payload, &record.key) {
        (Some(payload), Some(key)) => producer.send_with_key(record.partition, key, &record.headers, payload),
        (Some(payload), None) => producer.send_with_headers(record.partition, &record.headers, payload),
        (None, _) => producer.send_tombstone(record.partition),
    }
}

/// The watermark in milliseconds since the epoch, and the value of every instance, `region` behind the name.
fn values(daemon: &Daemon) -> Result<(i64, BTreeMap<String, f64>), String> {
    let answer = daemon.get("/api/v1/nodes").json();
    let watermark: Timestamp = answer["data"]["watermark"]
        .as_str()
        .and_then(|text| text.parse().ok())
        .ok_or("there is no watermark")?;
    let mut values = BTreeMap::new();
    for node in answer["data"]["nodes"].as_array().unwrap() {
        for instance in node["instances"].as_array().unwrap() {
            let name = node["name"].as_str().unwrap();
            let region = instance["dimensions"]["region"].as_str();
            let name = region.map_or_else(|| name.to_owned(), |region| format!("{name}/{region}"));
            let value = instance["value"].as_f64().unwrap_or(f64::NAN);
            values.insert(name, value);
        }
    }
    Ok((watermark.as_millisecond(), values))
}

/// Where the daemon and the model differ.
fn differences(daemon: &Daemon, world: &World, typed: &Typed, from: i64) -> Result<(), String> {
    let (watermark, found) = values(daemon)?;
    let expected = model::expected(world, typed, from, watermark);
    let wrong = expected
        .iter()
        .filter_map(|(name, wanted)| match found.get(name) {
            Some(value) if wanted.is(*value) => None,
            other => Some(format!("{name} is {other:?}, not {wanted:?}")),
        });
    let unknown = found.keys().filter(|name| !expected.contains_key(*name));
    let wrong: Vec<String> = wrong
        .chain(unknown.map(|name| format!("{name} is not in the model")))
        .collect();
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(wrong.join("\n"))
    }
}
