//! The whole sender under load, over every channel: real requests to the fakes, virtual time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::runtime::{Handle, Runtime};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::fakes::Scripted;
use super::office::decide;
use super::robots::{NAMES, Outcomes, Robot, robot};
use super::{Channel, Limit, Parcel, Sending, Stats, Target, run, samples};
use crate::alert::notice::{Notice, ResolveReason};
use crate::settings::Mention;
use crate::state::Store;

const MINUTES: u32 = 10;
const ALERTS_A_MINUTE: u32 = 1000;
/// Decisions of two seconds and a half go together, by parent: 24 times a minute, in four bundles.
const FLUSHES: u32 = 24;
const BUNDLES: u32 = 4;

/// A channel that is written to while virtual time stands still: tokio moves a paused clock only when nothing runs.
struct Frozen {
    channel: Arc<dyn Channel>,
    clock: Arc<Mutex<Instant>>,
    outside: Handle,
}

impl Channel for Frozen {
    fn send<'a>(&'a self, parcel: Parcel<'a>) -> Sending<'a> {
        let (channel, outside) = (Arc::clone(&self.channel), self.outside.clone());
        let (notices, form) = (parcel.notices.to_vec(), parcel.form);
        *self.clock.lock().unwrap() = Instant::now();
        Box::pin(async move {
            let sent = tokio::task::spawn_blocking(move || {
                let notices = notices;
                outside.block_on(channel.send(Parcel {
                    notices: &notices,
                    form,
                    shown: None,
                    tried_since: None,
                }))
            });
            sent.await.unwrap()
        })
    }
    fn destination(&self) -> &str {
        self.channel.destination()
    }
    fn limits(&self) -> &[Limit] {
        self.channel.limits()
    }
}

/// The notices of one flush for one receiver: new alerts, and the ends of every third one of the flush before.
fn flush(number: u32, receiver: &str) -> Vec<Notice> {
    let alerts = ALERTS_A_MINUTE / FLUSHES + u32::from(number % FLUSHES < ALERTS_A_MINUTE % FLUSHES);
    let first = number * 100;
    let ends = (0..30).filter(|n| number > 0 && n % 3 == 0);
    let fired = (0..alerts).map(|n| samples::numbered(samples::hollow(), first + n));
    let ended = ends.map(|n| samples::numbered(samples::over(ResolveReason::Recovered), first - 100 + n));
    fired
        .chain(ended)
        .enumerate()
        .map(|(index, notice)| Notice {
            id: format!("{receiver}.{}", notice.id),
            episode: format!("{receiver}.{}", notice.episode),
            receiver: receiver.to_owned(),
            bundle: format!("{receiver}.{number}.{}", index % BUNDLES as usize),
            ..notice
        })
        .collect()
}

#[test]
fn a_thousand_alerts_a_minute_are_all_accounted_for_and_no_limit_is_broken() {
    let outside = Runtime::new().unwrap();
    let robots: Vec<Robot> = NAMES
        .iter()
        .map(|name| outside.block_on(robot(name, Mention::default())))
        .collect();
    for robot in &robots {
        robot.fake.script(Scripted::new(500, ""));
        robot
            .fake
            .script(Scripted::new(503, "").with_header("Retry-After", "30"));
    }
    let inside = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    let (decided, outcomes) = inside.block_on(ten_minutes(&robots, outside.handle()));
    for robot in &robots {
        let of = |outcome: &str| outcomes[&(robot.name.to_owned(), outcome.to_owned())];
        let settled = of("delivered") + of("superseded") + of("dead");
        assert_eq!(settled, decided, "{}: {outcomes:?}", robot.name);
        assert_eq!(of("retried"), 2, "{}", robot.name);
        let requests = robot.fake.requests();
        let refused = requests
            .iter()
            .filter(|request| !request.why.is_empty() && request.why != "scripted");
        assert_eq!(refused.count(), 0, "{}", robot.name);
        let scripted = requests
            .iter()
            .filter(|request| request.why == "scripted")
            .count();
        assert_eq!(
            requests.len(),
            robot.fake.messages().len() + scripted,
            "{}",
            robot.name
        );
    }
    // Those that may send only 15 messages a minute are behind, so that something is over before it is told; and the
    // robot that is withdrawn in the end leaves the rest to the dead.
    let of = |name: &str, outcome: &str| outcomes[&(name.to_owned(), outcome.to_owned())];
    assert!(
        of("dingtalk", "superseded") > 0 && of("wecom", "dead") > 0,
        "{outcomes:?}"
    );
    assert_eq!(of("feishu", "dead"), 0);
}

/// How many notices were decided for each receiver, and what became of them.
async fn ten_minutes(robots: &[Robot], outside: &Handle) -> (u64, Outcomes) {
    let store = Store::in_memory().unwrap();
    let targets = robots.iter().enumerate().map(|(index, robot)| Target {
        receiver: robot.name.to_owned(),
        destination: index as u64,
        channel: Arc::new(Frozen {
            channel: Arc::clone(&robot.channel),
            clock: Arc::clone(&robot.clock),
            outside: outside.clone(),
        }),
        give_up_after: Duration::from_hours(24),
    });
    let (stop, stopping) = watch::channel(false);
    let (wake, stats) = (Arc::new(Notify::new()), Arc::new(Stats::default()));
    let sender = run(
        Box::new(store.clone()),
        targets.collect(),
        Arc::clone(&wake),
        stopping,
        Arc::clone(&stats),
    );
    let sender = tokio::spawn(sender);
    let mut decided = 0;
    for number in 0..MINUTES * FLUSHES {
        for robot in robots {
            let notices = flush(number, robot.name);
            decided += notices.len() as u64;
            decide(&store, &notices);
        }
        wake.notify_one();
        tokio::time::sleep(Duration::from_mins(1) / FLUSHES).await;
    }
    // The key of WeCom is withdrawn a quarter of an hour later: what is still there goes to the dead.
    let wecom = robots.iter().find(|robot| robot.name == "wecom").unwrap();
    tokio::time::sleep(Duration::from_mins(15)).await;
    wecom.fake.script(Scripted::new(
        200,
        r#"{"errcode":93000,"errmsg":"invalid webhook url"}"#,
    ));
    while store.oldest_undelivered().unwrap().is_some() {
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    stop.send_replace(true);
    sender.await.unwrap();
    (decided / robots.len() as u64, stats.by_receiver_and_outcome())
}
