//! Plays the chain: history into the state, then the last days through Kafka at a pace that people can follow, then
//! live.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan, tz::TimeZone};
use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::chain::{self, Chain, ChainEvent};
use super::{ChainClock, files};
use crate::catalog::{Catalog, SourceId, load};
use crate::daemon::history::History;
use crate::daemon::{Clock, Daemon, Options};
use crate::decode::Record;
use crate::notify::fake_slack::FakeSlack;
use crate::settings;
use crate::state::Store;

/// Days before the chain's present in which the story unfolds.
const STORY_DAYS: i32 = 12;
/// Months of history before the story.
const HISTORY_MONTHS: i32 = 13;
/// Days before the story that are judged, so that clocks of rules stand where they would.
const JUDGED_DAYS: i32 = 40;
/// Real time in which a day of the story passes.
const STORY_DAY: Duration = Duration::from_millis(2500);
const SEED: u64 = 20_260_626;
const ZONE: &str = "Asia/Shanghai";

/// Plays until Ctrl-C, or with `once` until the first alert is delivered.
pub(super) async fn play(port: u16, once: bool) -> Result<(), String> {
    let zone = TimeZone::get(ZONE).map_err(|error| error.to_string())?;
    let present = chain::present(Timestamp::now(), &zone);
    let today = zone.to_datetime(present).date();
    let story_from = today.saturating_sub(STORY_DAYS.days());
    let history_from = story_from.saturating_sub(HISTORY_MONTHS.months());

    let listener = TcpListener::bind(("127.0.0.1", port)).await.map_err(|error| {
        format!("cannot listen on 127.0.0.1:{port}: {error}; try --port 0 for a free port")
    })?;
    let port = listener.local_addr().map_err(|error| error.to_string())?.port();
    let slack = FakeSlack::start()
        .await
        .map_err(|error| format!("cannot start the fake Slack: {error}"))?;
    let cluster = MockCluster::new(1).map_err(|error| format!("cannot start the Kafka mock: {error}"))?;
    for (topic, partitions) in [
        ("demo.erp.orders", 4),
        ("demo.crm.visits", 2),
        ("demo.cms.articles", 1),
    ] {
        cluster
            .create_topic(topic, partitions, 1)
            .map_err(|error| format!("Kafka mock: {error}"))?;
    }
    let folder = std::env::temp_dir().join(format!("tautline-demo-{}", std::process::id()));
    let months = files::months(history_from, today);
    let file = files::write(
        &folder,
        &cluster.bootstrap_servers(),
        &slack.webhook_url(),
        port,
        months,
    )
    .map_err(|error| format!("cannot write {}: {error}", folder.display()))?;
    let settings = settings::load(Some(&file)).map_err(|diagnostics| diagnostics.to_string())?;
    let catalog = load::load_dir(&settings.catalog).map_err(|diagnostics| diagnostics.to_string())?;
    let (settings, catalog) = (Arc::new(settings), Arc::new(catalog));
    let store = Store::open(&settings.state_sqlite).map_err(|error| error.to_string())?;

    let mut chain = Chain::new(SEED, zone.clone(), story_from);
    say(&format!(
        "history: {history_from} to {story_from}, folded as the daemon folds it"
    ));
    let judged_from = catalog
        .calendar
        .start_of(story_from.saturating_sub(JUDGED_DAYS.days()));
    let started = std::time::Instant::now();
    let folded = fold_history(
        &mut chain,
        &catalog,
        &store,
        history_from,
        story_from,
        judged_from,
    )?;
    say(&format!(
        "{folded} events in {:.1} s",
        started.elapsed().as_secs_f64()
    ));

    let clock = ChainClock::starting_at(catalog.calendar.start_of(story_from));
    let shared_clock: Arc<dyn Clock> = clock.clone();
    let daemon = Daemon::start(Options {
        settings,
        catalog,
        store,
        clock: shared_clock,
        listener,
    })
    .await?;
    say(&format!(
        "page: http://127.0.0.1:{port}/   settings and catalogue: {}",
        folder.display()
    ));
    say(&format!(
        "now {STORY_DAYS} days of the story pass in {} s; messages appear as Slack would show them",
        { (STORY_DAY * STORY_DAYS.unsigned_abs()).as_secs() }
    ));

    let (stop_playing, stopping) = watch::channel(false);
    let brokers = cluster.bootstrap_servers();
    let player = std::thread::Builder::new()
        .name("play".to_owned())
        .spawn(move || play_live(&brokers, &mut chain, &clock, story_from, present, &stopping))
        .map_err(|error| format!("cannot start a thread: {error}"))?;

    let shown = async {
        let mut shown = 0;
        loop {
            let messages = slack.wait_for_more_than(shown).await;
            for message in &messages[shown..] {
                say(&format!("\n{}", message.as_text()));
            }
            shown = messages.len();
            if once && shown > 0 {
                return;
            }
        }
    };
    let stop = async {
        tokio::select! {
            () = shown => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    };
    let ended = daemon.run_until(stop).await;
    stop_playing.send_replace(true);
    let played = player.join().map_err(|_| "the player failed".to_owned())?;
    if once && ended.is_ok() {
        let count = slack.messages().len();
        say(&format!(
            "\n{folded} events of history, {played} live; {count} delivered. That is what tautline does."
        ));
    }
    // The folder is only a convenience for the curious while the demo runs.
    let _ = std::fs::remove_dir_all(&folder);
    ended
}

fn fold_history(
    chain: &mut Chain,
    catalog: &Catalog,
    store: &Store,
    from: Date,
    to: Date,
    judged_from: Timestamp,
) -> Result<i64, String> {
    let mut history = History::new(catalog);
    let days = from
        .until((jiff::Unit::Day, to))
        .map_or(1, |span| span.get_days().max(1));
    for n in 0..days {
        for event in chain.day(from.saturating_add(n.days())) {
            let source = source_of(catalog, event.topic).ok_or("the demo's catalogue lacks a topic")?;
            let record = Record {
                payload: Some(event.payload.as_bytes()),
                ..Record::default()
            };
            history
                .fold(source, &record)
                .map_err(|reject| format!("the demo's own event was rejected: {reject}"))?;
        }
        history.merge().map_err(|error| error.to_string())?;
        progress(n + 1, days, history.folded());
    }
    let folded = history.folded();
    history
        .commit(store, judged_from)
        .map_err(|error| error.to_string())?;
    Ok(folded)
}

fn source_of(catalog: &Catalog, topic: &str) -> Option<SourceId> {
    let position = catalog
        .sources
        .iter()
        .position(|source| source.topics.iter().any(|t| t == topic))?;
    u32::try_from(position).ok().map(SourceId)
}

/// Plays the story and then real time; returns the number of events. Ends when told to.
fn play_live(
    brokers: &str,
    chain: &mut Chain,
    clock: &ChainClock,
    from: Date,
    present: Timestamp,
    stopping: &watch::Receiver<bool>,
) -> u64 {
    let Ok(producer) = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("linger.ms", "20")
        .create::<BaseProducer<DefaultProducerContext>>()
    else {
        return 0;
    };
    let mut played = 0;
    let mut day = from;
    let mut real_since: Option<(std::time::Instant, Timestamp)> = None;
    loop {
        let events = chain.day(day);
        for event in events {
            loop {
                if *stopping.borrow() {
                    let _ = producer.flush(Duration::from_secs(1));
                    return played;
                }
                let now = match real_since {
                    Some((since, at)) => {
                        at + jiff::SignedDuration::try_from(since.elapsed()).unwrap_or_default()
                    }
                    None => story_time(clock.now()),
                };
                if real_since.is_none() && now >= present {
                    real_since = Some((std::time::Instant::now(), present));
                }
                clock.set(now);
                producer.poll(Duration::ZERO);
                if event.at <= now {
                    break;
                }
                std::thread::sleep(TICK);
            }
            send(&producer, &event);
            played += 1;
        }
        day = day.saturating_add(1.day());
    }
}

/// How often the player moves the clock.
const TICK: Duration = Duration::from_millis(10);

/// The chain's time one tick later, while the story passes quickly.
fn story_time(now: Timestamp) -> Timestamp {
    let day = Duration::from_secs(24 * 3600).as_secs_f64();
    let step = day * TICK.as_secs_f64() / STORY_DAY.as_secs_f64();
    now + jiff::SignedDuration::from_millis((step * 1000.0) as i64)
}

fn send(producer: &BaseProducer, event: &ChainEvent) {
    let mut record = BaseRecord::to(event.topic)
        .key(&event.key)
        .payload(&event.payload)
        .timestamp(event.at.as_millisecond());
    // A full queue drains within a moment.
    while let Err((_, unsent)) = producer.send(record) {
        record = unsent;
        producer.poll(Duration::from_millis(50));
    }
}

/// Progress on one line of a terminal, or nothing where there is none.
fn progress(done: i32, of: i32, events: i64) {
    let mut err = std::io::stderr().lock();
    if !err.is_terminal() {
        return;
    }
    let filled = (30 * done / of).unsigned_abs() as usize;
    let bar = format!("{}{}", "█".repeat(filled), "░".repeat(30 - filled));
    let end = if done == of { "\n" } else { "" };
    let _ = write!(err, "\r  {bar} {done}/{of} days, {events} events{end}").and_then(|()| err.flush());
}

fn say(line: &str) {
    super::super::print(line);
}
