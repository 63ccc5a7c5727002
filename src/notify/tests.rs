use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use tokio::sync::{Notify, watch};

use super::fake_slack::{FakeSlack, Scripted};
use super::*;
use crate::alert::dispatch::route::Routing;
use crate::settings::{DeadLetter, Kafka, Secret, Serve, SlackWebhook};
use crate::state::{Commit, Store};
use crate::words::Language;

fn settings(urls: &[(&str, &str)]) -> Settings {
    let receiver = |url: &str| {
        let url = Secret::new(url);
        Receiver::local(settings::Channel::SlackWebhook(SlackWebhook::at(url)))
    };
    Settings {
        file: "tautline.yaml".into(),
        kafka: Kafka {
            brokers: String::new(),
            group: String::new(),
            properties: BTreeMap::new(),
            workers: None,
            schema_registry: None,
            alert_log: None,
        },
        catalog: PathBuf::new(),
        state_sqlite: PathBuf::new(),
        state_prefix: None,
        dead_letter: DeadLetter {
            path: PathBuf::new(),
            max_bytes: 0,
        },
        serve: Serve {
            listen: ([127, 0, 0, 1], 0).into(),
            external_url: Some("https://kpi.example".into()),
            tokens: Vec::new(),
        },
        evaluate_every: Duration::from_secs(1),
        keep_days: 1100,
        max_value_bytes: 256,
        language: Language::Zh,
        receivers: urls
            .iter()
            .map(|(name, url)| ((*name).to_owned(), receiver(url)))
            .collect(),
        routing: Arc::new(Routing::to_receiver("ops")),
        warnings: Vec::new(),
        named: Vec::new(),
    }
}

fn wording() -> Wording {
    Wording::of(
        &settings(&[]),
        &jiff::tz::TimeZone::UTC,
        Some(&Signer::new(b"key")),
    )
}

#[test]
fn receivers_with_one_address_share_a_destination_and_nothing_prints_it() {
    let hook = "https://hooks.slack.com/services/T0/B0/verysecret";
    let all = targets(
        &settings(&[
            ("a", hook),
            ("b", "https://hooks.slack.com/services/T0/B1/other"),
            ("c", hook),
        ]),
        &wording(),
    );
    let all = all.unwrap();
    assert_eq!(all[0].destination, all[2].destination);
    assert_ne!(all[0].destination, all[1].destination);
    let printed = format!("{all:?}");
    assert!(
        printed.contains("https://hooks.slack.com/…") && !printed.contains("secret"),
        "{printed}"
    );
    let refused = targets(&settings(&[("boss", "verysecret")]), &wording()).unwrap_err();
    assert!(
        refused.contains("receiver 'boss'") && !refused.contains("secret"),
        "{refused}"
    );
}

#[tokio::test]
async fn from_the_commit_to_slack() {
    let fake = FakeSlack::start().await.unwrap();
    fake.script(Scripted::new(429, "").with_header("Retry-After", "1"));
    fake.script(Scripted::new(400, "invalid_blocks"));
    let store = Store::in_memory().unwrap();
    let all = targets(&settings(&[("ops", &fake.webhook_url())]), &wording()).unwrap();
    let (wake, stats) = (Arc::new(Notify::new()), Arc::new(Stats::default()));
    let (stop, stopping) = watch::channel(false);
    let task = tokio::spawn(run(
        Box::new(store.clone()),
        all,
        Arc::clone(&wake),
        stopping,
        Arc::clone(&stats),
    ));

    let notices: Vec<Notice> = (1..=5).map(|n| samples::numbered(samples::hollow(), n)).collect();
    let wall_ms = Timestamp::now().as_millisecond();
    store
        .commit(&Commit {
            notices: &notices,
            wall_ms,
            ..Commit::default()
        })
        .unwrap();
    wake.notify_one();
    let shown = fake.wait_for_more_than(4).await;
    stop.send_replace(true);
    task.await.unwrap();

    for (message, notice) in shown.iter().zip(&notices) {
        assert!(message.as_text().contains(&notice.id), "{}", message.as_text());
    }
    assert!(
        shown[0].payload.get("blocks").is_none(),
        "refused as blocks, so it came as text"
    );
    assert!(
        shown[1]
            .as_text()
            .contains("[打开页面] https://kpi.example/nodes/articles")
    );
    let answers: Vec<u16> = fake.requests().iter().map(|request| request.status).collect();
    assert_eq!(answers, [429, 400, 200, 200, 200, 200, 200]);
    let count = |outcome: &str| stats.by_receiver_and_outcome()[&("ops".to_owned(), outcome.to_owned())];
    assert_eq!((count("delivered"), count("retried"), count("dead")), (5, 1, 0));
    assert_eq!(store.oldest_undelivered().unwrap(), None);
}
