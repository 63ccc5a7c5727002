//! The whole sender under load, over every channel: real requests to the fakes, virtual time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::runtime::{Handle, Runtime};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::fakes::smtp::Smtp;
use super::fakes::{Fake, Scripted};
use super::office::decide_at;
use super::outbox::{By, Status, run_by};
use super::robots::{ALL, Outcomes, mail, robot, wording};
use super::{Answer, Channel, Limit, Parcel, Sending, Stats, Target, Waiting, open, samples};
use crate::alert::notice::{Notice, NoticeKind, ResolveReason};
use crate::alert::record::Labels;
use crate::settings::{self, Mention, Receiver};
use crate::state::{LoggedNotice, Store};
use crate::words::Language;

const MINUTES: u32 = 10;
const ALERTS_A_MINUTE: u32 = 1000;
/// Decisions of two seconds and a half go together, by parent: 24 times a minute, in four bundles.
const FLUSHES: u32 = 24;
const BUNDLES: u32 = 4;
/// The key of WeCom is withdrawn halfway.
const WITHDRAWN_AT: u32 = MINUTES * FLUSHES / 2;

/// A channel with the server that it writes to.
struct Way {
    name: &'static str,
    frozen: Arc<Frozen>,
    server: Server,
}

enum Server {
    Web(Fake),
    Mail(Smtp),
}

/// A channel that is written to while virtual time stands still: tokio moves a paused clock only when nothing runs.
struct Frozen {
    channel: Arc<dyn Channel>,
    clock: Arc<Mutex<Instant>>,
    outside: Handle,
    /// Episodes in each message that arrived.
    arrived: Mutex<Vec<usize>>,
    /// Episodes that were said again, each time that what stands was.
    resent: Mutex<Vec<usize>>,
}

impl Channel for Frozen {
    fn send<'a>(&'a self, parcel: Parcel<'a>) -> Sending<'a> {
        let (channel, outside) = (Arc::clone(&self.channel), self.outside.clone());
        let (notices, form) = (parcel.notices.to_vec(), parcel.form);
        let (shown, tried_since) = (parcel.shown.map(str::to_owned), parcel.tried_since);
        let mut episodes: Vec<String> = notices.iter().map(|notice| notice.episode.clone()).collect();
        episodes.sort();
        episodes.dedup();
        *self.clock.lock().unwrap() = Instant::now();
        Box::pin(async move {
            let sent = tokio::task::spawn_blocking(move || {
                outside.block_on(channel.send(Parcel {
                    notices: &notices,
                    form,
                    shown: shown.as_deref(),
                    tried_since,
                }))
            });
            let answer = sent.await.unwrap();
            if let Answer::Ok { .. } = answer {
                self.arrived.lock().unwrap().push(episodes.len());
            }
            answer
        })
    }
    fn destination(&self) -> &str {
        self.channel.destination()
    }
    fn limits(&self) -> &[Limit] {
        self.channel.limits()
    }
    fn bundles(&self, head: &Notice) -> bool {
        self.channel.bundles(head)
    }
    fn gathers(&self, head: Waiting<'_>, other: Waiting<'_>) -> bool {
        self.channel.gathers(head, other)
    }
    fn room(&self) -> usize {
        self.channel.room()
    }
    fn updates(&self) -> bool {
        self.channel.updates()
    }
    fn takes(&self, notice: &Notice) -> bool {
        self.channel.takes(notice)
    }
    fn resends_every(&self) -> Option<Duration> {
        self.channel.resends_every()
    }
    fn resend<'a>(&'a self, standing: &'a [Notice]) -> Sending<'a> {
        let (channel, outside) = (Arc::clone(&self.channel), self.outside.clone());
        let notices = standing.to_vec();
        *self.clock.lock().unwrap() = Instant::now();
        Box::pin(async move {
            let resent = tokio::task::spawn_blocking(move || outside.block_on(channel.resend(&notices)));
            let answer = resent.await.unwrap();
            assert!(matches!(answer, Answer::Ok { .. }), "{answer:?}");
            self.resent.lock().unwrap().push(standing.len());
            answer
        })
    }
}

/// Every channel, over fakes that keep their vendors' limits.
fn ways(outside: &Handle) -> Vec<Way> {
    let frozen = |channel, clock| {
        Arc::new(Frozen {
            channel,
            clock,
            outside: outside.clone(),
            arrived: Mutex::default(),
            resent: Mutex::default(),
        })
    };
    let mut ways: Vec<Way> = ALL
        .iter()
        .map(|name| {
            let robot = outside.block_on(robot(name, Mention::default()));
            Way {
                name,
                frozen: frozen(robot.channel, robot.clock),
                server: Server::Web(robot.fake),
            }
        })
        .collect();
    let server = outside.block_on(Smtp::start(None)).unwrap();
    let receiver = Receiver::local(settings::Channel::Email(mail(server.port())));
    let (channel, _) = open(&receiver, wording(Language::Zh)).unwrap();
    ways.push(Way {
        name: "email",
        frozen: frozen(channel, Arc::new(Mutex::new(Instant::now()))),
        server: Server::Mail(server),
    });
    ways
}

/// The notices of one flush for one receiver: new alerts, and the ends of every third one of the flush before.
fn flush(number: u32, receiver: &str, now: Timestamp) -> Vec<Notice> {
    let alerts = ALERTS_A_MINUTE / FLUSHES + u32::from(number % FLUSHES < ALERTS_A_MINUTE % FLUSHES);
    let first = number * 100;
    let ends = (0..30).filter(|n| number > 0 && n % 3 == 0);
    let fired = (0..alerts).map(|n| samples::numbered(samples::hollow(), first + n));
    let ended = ends.map(|n| samples::numbered(samples::over(ResolveReason::Recovered), first - 100 + n));
    fired
        .chain(ended)
        .enumerate()
        .map(|(index, notice)| Notice {
            labels: labels_of(&notice),
            id: format!("{receiver}.{}", notice.id),
            episode: format!("{receiver}.{}", notice.episode),
            receiver: receiver.to_owned(),
            bundle: format!("{receiver}.{number}.{}", index % BUNDLES as usize),
            told_at: Some(now),
            ..notice
        })
        .collect()
}

/// The labels of a notice, with its episode among them: to an Alertmanager an alert is its labels.
fn labels_of(notice: &Notice) -> Labels {
    let mut labels = notice.labels.clone();
    labels.insert("item".to_owned(), notice.episode.clone());
    labels
}

/// What is left of ten minutes.
struct Left {
    /// Notices that were decided.
    decided: usize,
    log: Vec<LoggedNotice>,
    outcomes: Outcomes,
}

#[test]
fn a_thousand_alerts_a_minute_are_all_accounted_for_and_no_limit_is_broken() {
    let outside = Runtime::new().unwrap();
    let ways = ways(outside.handle());
    for way in &ways {
        match &way.server {
            Server::Web(fake) => {
                fake.script(Scripted::new(500, ""));
                fake.script(Scripted::new(503, "").with_header("Retry-After", "30"));
            }
            Server::Mail(server) => {
                server.script("MAIL", "451 4.3.0 try again later");
                server.script("RCPT", "452 4.3.1 too busy");
            }
        }
    }
    // Each with a clock and a store of its own.
    let lefts: Vec<Left> = std::thread::scope(|scope| {
        let running: Vec<_> = ways
            .iter()
            .map(|way| scope.spawn(|| virtual_time().block_on(ten_minutes(way))))
            .collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for (way, left) in ways.iter().zip(&lefts) {
        every_notice_is_counted(way, left);
        no_limit_is_broken(way);
        match way.name {
            "alertmanager" => it_knows_what_stands(way, left),
            _ => nothing_is_left_out_silently(way),
        }
        let of = |outcome: &str| left.outcomes[&(way.name.to_owned(), outcome.to_owned())];
        // What is withdrawn leaves the rest to the dead, and nothing else does.
        assert_eq!(
            of("dead") > 0,
            way.name == "wecom",
            "{}: {:?}",
            way.name,
            left.outcomes
        );
        // What takes less than there is leaves out what is over before it is told, and nothing else.
        if ["dingtalk", "webhook", "pagerduty"].contains(&way.name) {
            assert!(of("superseded") > 0, "{}: {:?}", way.name, left.outcomes);
        }
        // Where people read, what waits is told together: nobody hears of an alert much later than others do.
        if ["slack", "slack_bot", "feishu", "dingtalk", "teams", "email"].contains(&way.name) {
            let late = left.log.iter().filter(|logged| {
                let waited = logged.settled.unwrap().duration_since(logged.decided);
                let is_news = logged.notice.kind == NoticeKind::Fired && logged.status == Status::Delivered;
                is_news && waited > SignedDuration::from_mins(3)
            });
            assert_eq!(late.count(), 0, "{}", way.name);
        }
    }
}

/// A clock that moves when nothing runs.
fn virtual_time() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap()
}

/// Delivered, superseded or dead-lettered with a reason, and counted as what it is.
fn every_notice_is_counted(way: &Way, left: &Left) {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for logged in &left.log {
        let is_explained = logged.status == Status::Delivered || logged.detail.is_some();
        assert!(
            logged.settled.is_some() && is_explained,
            "{}: {logged:?}",
            way.name
        );
        *counts.entry(logged.status.as_str()).or_default() += 1;
    }
    assert_eq!(counts.values().sum::<u64>(), left.decided as u64, "{}", way.name);
    for status in Status::SETTLED {
        let key = (way.name.to_owned(), status.as_str().to_owned());
        let counted = counts.get(status.as_str()).copied().unwrap_or(0);
        assert_eq!(left.outcomes[&key], counted, "{} {status:?}", way.name);
    }
    let retried = left.outcomes[&(way.name.to_owned(), "retried".to_owned())];
    assert_eq!(retried, 2, "{}", way.name);
}

fn no_limit_is_broken(way: &Way) {
    match &way.server {
        Server::Web(fake) => {
            let broken: Vec<String> = fake
                .requests()
                .into_iter()
                .filter(|request| !request.why.is_empty() && request.why != "scripted")
                .map(|request| request.why)
                .collect();
            assert!(broken.is_empty(), "{}: {broken:?}", way.name);
        }
        Server::Mail(server) => assert_eq!(server.wrong(), Vec::<String>::new(), "{}", way.name),
    }
}

/// A message about more alerts than it lists says so.
fn nothing_is_left_out_silently(way: &Way) {
    let arrived = way.frozen.arrived.lock().unwrap();
    let shown: Vec<String> = match &way.server {
        Server::Web(fake) => {
            let messages = fake.messages().into_iter();
            // A message that is brought up to date is followed by the one that says why.
            let posts = messages.filter(|message| message.payload["method"] != "chat.update");
            posts.map(|message| message.payload.to_string()).collect()
        }
        Server::Mail(server) => server
            .mails()
            .into_iter()
            .map(|mail| decoded(&mail.content))
            .collect(),
    };
    assert_eq!(arrived.len(), shown.len(), "{}", way.name);
    let mut largest = 0;
    for (episodes, shown) in arrived.iter().zip(&shown) {
        largest = largest.max(*episodes);
        match way.name {
            "webhook" | "pagerduty" => assert_eq!(*episodes, 1, "{}", way.name),
            "webhook v4" => {
                let group: serde_json::Value = serde_json::from_str(shown).unwrap();
                assert_eq!(group["alerts"].as_array().unwrap().len(), *episodes);
            }
            // Ten are listed at most.
            _ if *episodes > 10 => {
                let (_, behind) = shown
                    .split_once("另有 ")
                    .unwrap_or_else(|| panic!("{}: {episodes} in {shown}", way.name));
                let digits = behind.split(' ').next().unwrap_or_default();
                let more: usize = digits.parse().unwrap();
                assert!(
                    more >= episodes - 10 && more < *episodes,
                    "{}: {episodes}, {more} more",
                    way.name
                );
            }
            _ => {}
        }
    }
    let is_slow = ["slack", "slack_bot", "dingtalk", "wecom", "email"].contains(&way.name);
    assert!(!is_slow || largest > 100, "{}: {largest}", way.name);
}

/// What fires was said again every minute, in requests of a bounded size; what ended was never said to fire again.
fn it_knows_what_stands(way: &Way, left: &Left) {
    let Server::Web(fake) = &way.server else {
        panic!("{} is no mail server", way.name)
    };
    let mut is_over: BTreeMap<String, bool> = BTreeMap::new();
    for message in fake.messages() {
        let alerts = message.payload.as_array().unwrap().clone();
        assert!((1..=64).contains(&alerts.len()), "{}", alerts.len());
        for alert in alerts {
            let item = alert["labels"]["item"].as_str().unwrap().to_owned();
            let ends: Timestamp = alert["endsAt"].as_str().unwrap().parse().unwrap();
            let over = ends <= message.received;
            let before = is_over.insert(item.clone(), over);
            assert!(before != Some(true) || over, "{item} ended, and fires again");
        }
    }
    // What was over before it was told is superseded, with its end.
    let delivered = |kind: NoticeKind| -> Vec<&str> {
        let told = left
            .log
            .iter()
            .filter(|logged| logged.status == Status::Delivered);
        told.filter(|logged| logged.notice.kind == kind)
            .map(|logged| logged.notice.labels["item"].as_str())
            .collect()
    };
    let (fired, ended) = (delivered(NoticeKind::Fired), delivered(NoticeKind::Resolved));
    assert!(ended.len() > 1000, "{}", ended.len());
    assert!(ended.iter().all(|item| is_over[*item]));
    assert_eq!(is_over.values().filter(|over| **over).count(), ended.len());
    assert_eq!(is_over.len(), fired.len());
    let resent = way.frozen.resent.lock().unwrap();
    assert!(resent.len() >= MINUTES as usize - 1, "{resent:?}");
    let most = resent.iter().max().copied().unwrap_or(0);
    assert!(
        most > (MINUTES - 2) as usize * ALERTS_A_MINUTE as usize,
        "{resent:?}"
    );
    let by_one = way.frozen.arrived.lock().unwrap();
    assert!(by_one.iter().all(|episodes| *episodes == 1));
}

/// The text of a mail.
fn decoded(content: &str) -> String {
    let parts = content.split("\r\n\r\n");
    let texts = parts.map(|part| {
        let lines: String = part.lines().take_while(|line| !line.starts_with("--")).collect();
        use base64::Engine;
        let decoded = base64::engine::general_purpose::STANDARD
            .decode(lines)
            .unwrap_or_default();
        String::from_utf8_lossy(&decoded).into_owned()
    });
    texts.collect()
}

async fn ten_minutes(way: &Way) -> Left {
    let store = Store::in_memory().unwrap();
    let target = Target {
        receiver: way.name.to_owned(),
        destination: 1,
        channel: Arc::clone(&way.frozen) as Arc<dyn Channel>,
        give_up_after: Duration::from_hours(24),
    };
    let (stop, stopping) = watch::channel(false);
    let (wake, stats) = (Arc::new(Notify::new()), Arc::new(Stats::default()));
    let (began, start) = (Instant::now(), Timestamp::now());
    let now = || start + SignedDuration::try_from(began.elapsed()).unwrap();
    let sender = tokio::spawn(run_by(
        By {
            now: start,
            look_every: Duration::from_mins(1),
        },
        Box::new(store.clone()),
        vec![target],
        Arc::clone(&wake),
        stopping,
        Arc::clone(&stats),
    ));
    let mut decided = 0;
    for number in 0..MINUTES * FLUSHES {
        let notices = flush(number, way.name, now());
        decided += notices.len();
        decide_at(&store, &notices, now());
        if let (true, "wecom", Server::Web(fake)) = (number == WITHDRAWN_AT, way.name, &way.server) {
            let withdrawn = r#"{"errcode":93000,"errmsg":"invalid webhook url"}"#;
            fake.script(Scripted::new(200, withdrawn));
        }
        wake.notify_one();
        tokio::time::sleep(Duration::from_mins(1) / FLUSHES).await;
    }
    while store.oldest_undelivered().unwrap().is_some() {
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    stop.send_replace(true);
    sender.await.unwrap();
    Left {
        decided,
        log: store.recent_notices(usize::MAX).unwrap(),
        outcomes: stats.by_receiver_and_outcome(),
    }
}
