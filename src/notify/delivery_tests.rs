//! From a destination that takes nothing to somebody who hears of it: the sender, the state, and the alerts together.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::Answer;
use super::office::{Office, Script, decide};
use super::samples;
use crate::alert::dispatch::Moment;
use crate::alert::dispatch::matcher::Matcher;
use crate::alert::dispatch::path::identify;
use crate::alert::dispatch::route::{Route, Routing};
use crate::alert::engine::Engine;
use crate::alert::notice::{Notice, NoticeKind, ResolveReason};
use crate::alert::sample::Sample;
use crate::alert::source::OfSource;
use crate::catalog::Calendar;
use crate::state::{Commit, Store};

/// The alerts of a daemon that has no rules, over a state in memory.
struct Watch {
    store: Store,
    engine: Engine,
    routing: Routing,
    receivers: Vec<String>,
    began: (tokio::time::Instant, Timestamp),
}

impl Watch {
    fn over(store: &Store, routing: Routing) -> Watch {
        let mut engine = Engine::new(store.id());
        let restored = store.restore().unwrap();
        engine.restore(restored.alerts, restored.dispatch);
        Watch {
            store: store.clone(),
            engine,
            routing,
            receivers: ["boss", "ops", "sales"].map(str::to_owned).into(),
            began: (tokio::time::Instant::now(), Timestamp::now()),
        }
    }

    /// The daemon stops and starts, at the same moment.
    fn restart(self) -> Watch {
        let began = self.began;
        Watch {
            began,
            ..Watch::over(&self.store, self.routing)
        }
    }

    fn now(&self) -> Timestamp {
        self.began.1 + SignedDuration::try_from(self.began.0.elapsed()).unwrap()
    }

    /// One step and its commit: the notices of it.
    fn step(&mut self) -> Vec<Notice> {
        let now = self.now();
        self.engine
            .heed(self.store.deliveries(&self.receivers, now).unwrap());
        let calendar = calendar();
        let moment = Moment {
            now,
            routing: &self.routing,
            is_back: false,
            catching_up: false,
            world: &calendar,
        };
        let nothing: [Sample<'_, OfSource<'_>>; 0] = [];
        let step = self.engine.step(&nothing, &[], now, Some(moment));
        self.store
            .commit(&Commit {
                alerts: &step.changed,
                removed_alerts: &step.removed,
                notices: &step.notices,
                dispatch: step.kept.as_ref(),
                wall_ms: now.as_millisecond(),
                ..Commit::default()
            })
            .unwrap();
        step.notices
    }

    /// What is told within so many seconds: `fired boss, fired ops`.
    async fn told(&mut self, seconds: u64) -> String {
        let mut told = Vec::new();
        for _ in 0..seconds {
            told.extend(self.step());
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let words = told.iter().map(|notice| {
            let of = &notice.labels["receiver"];
            format!("{} {}: {of}", notice.kind.as_str(), notice.receiver)
        });
        words.collect::<Vec<_>>().join(", ")
    }
}

fn calendar() -> Calendar {
    Calendar {
        timezone: jiff::tz::TimeZone::UTC,
        fiscal_year_starts: (1, 1),
        week_starts: jiff::civil::Weekday::Monday,
        workdays: [true; 7],
        workdays_declared: false,
        special_days: BTreeMap::new(),
    }
}

/// Everything to ops, what is critical to the boss.
fn routing() -> Routing {
    let mut root = Route {
        routes: vec![Route {
            matchers: vec![Matcher::parse("severity=\"critical\"").unwrap()],
            ..Route::to_receiver("boss")
        }],
        ..Route::to_receiver("ops")
    };
    identify(&mut root);
    Routing {
        root: Some(root),
        ..Routing::default()
    }
}

fn fired(receiver: &str, episode: u32) -> Notice {
    Notice {
        receiver: receiver.to_owned(),
        ..samples::numbered(samples::hollow(), episode)
    }
}

fn disable() -> Option<Answer> {
    Some(Answer::Disable {
        reason: "404 no_service".into(),
    })
}

fn refuse() -> Option<Answer> {
    Some(Answer::Drop {
        reason: "400 invalid_blocks".into(),
    })
}

fn open(store: &Store, ops: &Arc<Script>, boss: &Arc<Script>) -> Office {
    Office::with(
        store,
        Box::new(store.clone()),
        &[("ops", 1, ops), ("boss", 2, boss)],
    )
}

#[tokio::test(start_paused = true)]
async fn that_a_destination_takes_nothing_is_told_to_another_until_it_does_again() {
    let store = Store::in_memory().unwrap();
    let (ops, boss) = (Script::new([disable()]), Script::new([]));
    let mut watch = Watch::over(&store, routing());
    assert_eq!(watch.told(5).await, "", "all is well");

    let office = open(&store, &ops, &boss);
    decide(&store, &[fired("ops", 1), fired("ops", 2)]);
    office.until_settled().await;
    assert_eq!(watch.told(30).await, "fired ops: ops, fired boss: ops");
    office.until_settled().await;
    assert_eq!(boss.ids().len(), 1, "{:?}", boss.ids());

    // Neither what is lost meanwhile nor a restart tells it again.
    decide(&store, &[fired("ops", 3)]);
    office.until_settled().await;
    assert_eq!(watch.told(90).await, "");
    let mut watch = watch.restart();
    assert_eq!(watch.told(90).await, "");
    office.close().await;

    // A start tries it again, and it takes what comes.
    let office = open(&store, &ops, &boss);
    decide(&store, &[fired("ops", 4)]);
    office.until_settled().await;
    assert_eq!(watch.told(90).await, "resolved ops: ops, resolved boss: ops");
    office.until_settled().await;
    assert_eq!(boss.ids().len(), 2);
    // Ops was never told that it is not reached, so it is not told that this is over.
    let told_ops: Vec<String> = ops.ids().into_iter().filter(|id| !id.starts_with('e')).collect();
    assert_eq!(told_ops, Vec::<String>::new());
    office.close().await;
}

#[tokio::test(start_paused = true)]
async fn one_message_that_is_refused_among_others_that_arrive_is_told_and_over_soon() {
    let store = Store::in_memory().unwrap();
    let (ops, boss) = (Script::new([refuse(), refuse()]), Script::new([]));
    let mut watch = Watch::over(&store, routing());
    let office = open(&store, &ops, &boss);
    decide(&store, &[fired("ops", 1), fired("ops", 2)]);
    office.until_settled().await;
    assert_eq!(ops.ids(), ["e1.1", "e1.1+", "e2.1"]);
    let told: Vec<Notice> = {
        let mut told = Vec::new();
        for _ in 0..10 {
            told.extend(watch.step());
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        told
    };
    let facts = told[0].facts.delivery.as_ref().unwrap();
    assert_eq!((facts.receiver.as_str(), facts.lost), ("ops", 1));
    assert_eq!(
        facts.reason.as_deref(),
        Some("refused, as plain text too: 400 invalid_blocks")
    );
    assert!(told.iter().all(|notice| notice.kind == NoticeKind::Fired));
    assert_eq!(watch.told(90).await, "resolved ops: ops, resolved boss: ops");
    office.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_given_up_after_its_time_is_told() {
    let store = Store::in_memory().unwrap();
    let fails = (0..1000).map(|_| {
        Some(Answer::Retry {
            after: None,
            maybe_shown: false,
            reason: "status 503".into(),
        })
    });
    let (ops, boss) = (Script::new(fails), Script::new([]));
    let mut watch = Watch::over(&store, routing());
    let office = open(&store, &ops, &boss);
    decide(&store, &[fired("ops", 1)]);
    tokio::time::sleep(Duration::from_secs(23 * 3600)).await;
    assert_eq!(watch.told(10).await, "", "it is tried still");
    tokio::time::sleep(Duration::from_secs(2 * 3600)).await;
    assert_eq!(watch.told(10).await, "fired ops: ops, fired boss: ops");
    office.close().await;
}

#[tokio::test(start_paused = true)]
async fn who_is_not_reached_either_is_not_who_hears_of_it() {
    for (fallback, expected) in [
        (
            None,
            "fired ops: boss, fired sales: boss, fired ops: ops, fired sales: ops",
        ),
        (
            Some("sales"),
            "fired ops: boss, fired sales: boss, fired ops: ops, fired sales: ops",
        ),
        // One that is not reached is no help: the tree is looked through.
        (
            Some("boss"),
            "fired ops: boss, fired sales: boss, fired ops: ops, fired sales: ops",
        ),
    ] {
        let store = Store::in_memory().unwrap();
        let mut routing = routing();
        routing.fallback = fallback.map(str::to_owned);
        let root = routing.root.as_mut().unwrap();
        root.routes.push(Route {
            matchers: vec![Matcher::parse("team=\"sales\"").unwrap()],
            ..Route::to_receiver("sales")
        });
        identify(root);
        let (ops, boss) = (Script::new([disable()]), Script::new([disable()]));
        let mut watch = Watch::over(&store, routing);
        let office = open(&store, &ops, &boss);
        decide(&store, &[fired("ops", 1), fired("boss", 1)]);
        while store.pending_counts().unwrap().keys().any(|who| who != "sales") {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let mut told: Vec<String> = watch.told(30).await.split(", ").map(str::to_owned).collect();
        told.sort();
        let mut expected: Vec<&str> = expected.split(", ").collect();
        expected.sort_unstable();
        assert_eq!(told, expected, "fallback {fallback:?}");
        office.close().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_is_gone_from_the_settings_is_no_trouble_any_more() {
    let store = Store::in_memory().unwrap();
    let (ops, boss) = (Script::new([disable()]), Script::new([]));
    let mut watch = Watch::over(&store, routing());
    let office = open(&store, &ops, &boss);
    decide(&store, &[fired("ops", 1)]);
    office.until_settled().await;
    watch.told(10).await;
    office.close().await;
    watch.receivers.retain(|receiver| receiver != "ops");
    let mut ended = Vec::new();
    for _ in 0..10 {
        ended.extend(watch.step());
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(
        ended
            .iter()
            .all(|notice| notice.reason == Some(ResolveReason::Updated))
    );
    assert_eq!(ended.len(), 2, "{ended:?}");
}
