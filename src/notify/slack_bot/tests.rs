use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::{Notify, watch};

use super::*;
use crate::alert::notice::{Ack, Again, ResolveReason};
use crate::notify::fakes::slack_bot::{SlackBot as FakeApp, channel};
use crate::notify::fakes::{Fake, Scripted};
use crate::notify::office::{decide, decide_at};
use crate::notify::robots::{meaning, wording};
use crate::notify::{Stats, Target, outbox, samples, target};
use crate::settings::Secret;
use crate::state::Store;
use crate::words::Language;

const TOKEN: &str = "xoxb-verysecret";

async fn app() -> Fake {
    Fake::start(FakeApp::new(TOKEN)).await.unwrap()
}

fn settings(fake: &Fake, channel: &str, signing_secret: Option<&str>) -> Receiver {
    let bot = settings::SlackBot {
        token: Secret::new(TOKEN),
        channel: channel.to_owned(),
        signing_secret: signing_secret.map(Secret::new),
        workspace: None,
        workspace_per_minute: settings::SLACK_WORKSPACE_PER_MINUTE,
        api_url: fake.url("/api").parse().unwrap(),
    };
    Receiver {
        timeout: Duration::from_secs(5),
        ..Receiver::local(settings::Channel::SlackBot(bot))
    }
}

fn bot(fake: &Fake) -> Target {
    let receiver = settings(fake, FakeApp::CHANNEL, None);
    target("ops", &receiver, wording(Language::En)).unwrap()
}

async fn send(bot: &Target, notices: &[Notice], shown: Option<&str>) -> Answer {
    let parcel = Parcel {
        notices,
        form: Form::Full,
        shown,
        tried_since: None,
    };
    bot.channel.send(parcel).await
}

/// The same after an attempt of which nobody knows what came of it.
async fn send_again(bot: &Target, notices: &[Notice], shown: Option<&str>) -> Answer {
    let parcel = Parcel {
        notices,
        form: Form::Full,
        shown,
        tried_since: Some(Timestamp::now()),
    };
    bot.channel.send(parcel).await
}

fn shown(answer: &Answer) -> String {
    match answer {
        Answer::Ok { shown: Some(shown) } => shown.clone(),
        other => panic!("{other:?}"),
    }
}

/// What stands in the channel: summaries of messages as they stand, with those of the answers below, `*` where an
/// answer is shown in the channel as well.
fn standing(fake: &Fake) -> Vec<String> {
    let text = |payload: &Json| {
        let text = payload["text"].as_str().unwrap();
        text.split(" — ").next().unwrap().to_owned()
    };
    let mut lines = Vec::new();
    for (now, answers) in channel(&fake.messages()).values() {
        lines.push(text(now));
        lines.extend(answers.iter().map(|answer| {
            let mark = if answer["reply_broadcast"] == true {
                "*"
            } else {
                ""
            };
            format!("  {}{mark}", text(answer))
        }));
    }
    lines
}

#[tokio::test]
async fn one_message_stands_for_an_episode_and_what_happens_is_answered_below() {
    let fake = app().await;
    let bot = bot(&fake);
    let place = shown(&send(&bot, &[samples::hollow()], None).await);
    let acked = Notice {
        kind: NoticeKind::Acked,
        ack: Some(Ack {
            by: "li".into(),
            at: Timestamp::UNIX_EPOCH,
            comment: String::new(),
            until: Timestamp::UNIX_EPOCH,
            severity: None,
        }),
        ..samples::worse()
    };
    for notice in [samples::worse(), acked, samples::over(ResolveReason::Recovered)] {
        assert_eq!(shown(&send(&bot, &[notice], Some(&place)).await), place);
    }
    assert_eq!(
        standing(&fake),
        [
            "✅ Resolved: 文章数已完成，营收没有",
            "  🔴⬆️ Now critical: 文章数已完成，营收没有*",
            "  👀 Acknowledged: 文章数已完成，营收没有",
            "  ✅ Resolved: 文章数已完成，营收没有*",
        ]
    );
    let first = &fake.messages()[0].payload;
    assert_eq!(first["metadata"]["event_payload"]["id"], "5e1f.1");
    assert!(
        !fake
            .requests()
            .iter()
            .any(|request| request.answer.contains("error"))
    );
}

#[tokio::test]
async fn less_bad_changes_what_is_shown_and_tells_nobody() {
    let fake = app().await;
    let bot = bot(&fake);
    let milder = Notice {
        kind: NoticeKind::DeEscalated,
        quiet: true,
        ..samples::hollow()
    };
    assert_eq!(send(&bot, std::slice::from_ref(&milder), None).await, Answer::OK);
    assert!(fake.messages().is_empty());
    let place = shown(&send(&bot, &[samples::worse()], None).await);
    send(&bot, &[milder], Some(&place)).await;
    assert_eq!(standing(&fake), ["🟠⬇️ Down to warning: 文章数已完成，营收没有"]);
}

#[tokio::test]
async fn a_message_that_is_gone_is_posted_anew() {
    for word in ["message_not_found", "cant_update_message", "edit_window_closed"] {
        let fake = app().await;
        let bot = bot(&fake);
        let place = shown(&send(&bot, &[samples::hollow()], None).await);
        fake.script(Scripted::new(200, &format!(r#"{{"ok":false,"error":"{word}"}}"#)));
        let anew = shown(&send(&bot, &[samples::worse()], Some(&place)).await);
        assert_ne!(anew, place, "{word}");
        send(&bot, &[samples::over(ResolveReason::Recovered)], Some(&anew)).await;
        assert_eq!(
            standing(&fake),
            [
                "🟠 文章数已完成，营收没有",
                "✅ Resolved: 文章数已完成，营收没有",
                "  ✅ Resolved: 文章数已完成，营收没有*"
            ]
        );
    }
}

#[tokio::test]
async fn what_may_be_there_is_looked_for_before_it_is_posted_again() {
    // Every request is a second after the one before, by the clock of the limits.
    let (start, requests) = (tokio::time::Instant::now(), AtomicU32::new(0));
    let clock = move || start + Duration::from_secs(requests.fetch_add(1, Ordering::Relaxed).into());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let fake = Fake::serve(listener, FakeApp::new(TOKEN), Box::new(clock)).unwrap();
    let bot = bot(&fake);
    let first = [samples::hollow()];
    let place = shown(&send_again(&bot, &first, None).await);
    // Other messages come in between; 40 fill three pages.
    for n in 1..=40 {
        let body = json!({"channel": FakeApp::CHANNEL, "text": format!("lunch? {n}")});
        let post = reqwest::Client::new().post(fake.url("/api/chat.postMessage"));
        let answer = post.bearer_auth(TOKEN).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 200);
    }
    assert_eq!(shown(&send_again(&bot, &first, None).await), place);
    let worse = [samples::worse()];
    for _ in 0..2 {
        assert_eq!(shown(&send_again(&bot, &worse, Some(&place)).await), place);
    }
    let mut lines = standing(&fake);
    lines.retain(|line| !line.starts_with("lunch"));
    assert_eq!(
        lines,
        [
            "🔴⬆️ Now critical: 文章数已完成，营收没有",
            "  🔴⬆️ Now critical: 文章数已完成，营收没有*",
        ]
    );
}

#[tokio::test]
async fn who_cannot_look_posts_again_and_who_cannot_look_now_waits() {
    let fake = Fake::start(FakeApp::without_history(TOKEN)).await.unwrap();
    let first = [samples::hollow()];
    send(&bot(&fake), &first, None).await;
    shown(&send_again(&bot(&fake), &first, None).await);
    assert_eq!(standing(&fake).len(), 2);
    let by_name = target("ops", &settings(&fake, "#ops", None), wording(Language::En)).unwrap();
    shown(&send_again(&by_name, &first, None).await);
    assert_eq!(standing(&fake).len(), 3);

    let fake = app().await;
    let bot = bot(&fake);
    for (status, body) in [
        (200, r#"{"ok":false,"error":"fatal_error"}"#),
        (502, "<html>"),
        (200, "{}"),
    ] {
        fake.script(Scripted::new(status, body));
        assert_eq!(meaning(&send_again(&bot, &first, None).await), "retry", "{body}");
    }
    fake.script(Scripted::new(429, r#"{"ok":false,"error":"ratelimited"}"#).with_header("Retry-After", "7"));
    assert_eq!(meaning(&send_again(&bot, &first, None).await), "retry in 7 s");
    assert!(fake.messages().is_empty());
}

#[tokio::test]
async fn a_storm_is_one_message_that_no_single_end_overwrites() {
    let fake = app().await;
    let bot = bot(&fake);
    let storm: Vec<Notice> = (1..=30)
        .map(|n| Notice {
            storm: true,
            ..samples::numbered(samples::hollow(), n)
        })
        .collect();
    assert!(bot.channel.bundles(&storm[0]) && !bot.channel.bundles(&samples::hollow()));
    let place = shown(&send(&bot, &storm, None).await);
    let over = samples::numbered(samples::over(ResolveReason::Recovered), 7);
    assert_eq!(shown(&send(&bot, &[over], Some(&place)).await), place);
    assert_eq!(
        standing(&fake),
        ["🟠 30 alerts at once", "  ✅ Resolved: 文章数已完成，营收没有*"]
    );
}

#[tokio::test]
async fn every_answer_has_a_meaning() {
    let fake = app().await;
    let bot = bot(&fake);
    for (status, body, expected) in [
        (200, "ratelimited", "retry"),
        (200, "internal_error", "retry"),
        (200, "service_unavailable", "retry"),
        (200, "request_timeout", "retry"),
        (200, "msg_too_long", "drop"),
        (200, "no_text", "drop"),
        (200, "invalid_blocks", "drop"),
        (200, "msg_blocks_too_long", "drop"),
        (200, "too_many_attachments", "drop"),
        (200, "invalid_auth", "disable"),
        (200, "token_revoked", "disable"),
        (200, "account_inactive", "disable"),
        (200, "is_archived", "disable"),
        (200, "channel_not_found", "disable"),
        (200, "not_in_channel", "disable"),
        (200, "restricted_action", "disable"),
        (200, "missing_scope", "disable"),
        (200, "something_new", "retry"),
        (500, "fatal_error", "retry"),
    ] {
        let error = format!(r#"{{"ok":false,"error":"{body}"}}"#);
        fake.script(Scripted::new(status, &error));
        let answer = send(&bot, &[samples::hollow()], None).await;
        assert_eq!(meaning(&answer), expected, "{body}");
    }
    fake.script(Scripted::new(429, r#"{"ok":false,"error":"ratelimited"}"#).with_header("Retry-After", "30"));
    assert_eq!(
        meaning(&send(&bot, &[samples::hollow()], None).await),
        "retry in 30 s"
    );
    fake.script(Scripted::new(200, "<html>Sign in</html>"));
    assert_eq!(meaning(&send(&bot, &[samples::hollow()], None).await), "retry");
}

#[tokio::test]
async fn a_wrong_token_or_channel_is_told_without_the_token() {
    let fake = app().await;
    for (token, channel, says) in [
        ("xoxb-hidden", FakeApp::CHANNEL, "install the app anew"),
        (TOKEN, "#nowhere", "write the channel's id"),
    ] {
        let mut receiver = settings(&fake, channel, None);
        if let settings::Channel::SlackBot(bot) = &mut receiver.channel {
            bot.token = Secret::new(token);
        }
        let bot = target("ops", &receiver, wording(Language::En)).unwrap();
        let told = format!("{:?} {bot:?}", send(&bot, &[samples::hollow()], None).await);
        assert!(told.contains("Disable") && told.contains(says), "{told}");
        assert!(!told.contains("hidden") && !told.contains("verysecret"), "{told}");
    }
}

#[tokio::test]
async fn the_button_is_slacks_own_where_slack_can_be_known() {
    let fake = app().await;
    let button = |secret| {
        let receiver = settings(&fake, "#ops", secret);
        target("ops", &receiver, wording(Language::En)).unwrap()
    };
    send(&button(None), &[samples::hollow()], None).await;
    send(&button(Some("s")), &[samples::hollow()], None).await;
    send(
        &button(Some("s")),
        &[samples::over(ResolveReason::Recovered)],
        None,
    )
    .await;
    let buttons: Vec<Vec<String>> = fake
        .messages()
        .iter()
        .map(|message| {
            let blocks = message.payload["blocks"].as_array().unwrap();
            let actions = blocks.iter().find(|block| block["type"] == "actions").unwrap();
            let shown = |button: &Json| match button["action_id"].as_str() {
                Some(action) => format!("{action} {}", button["value"].as_str().unwrap()),
                None => button["text"]["text"].as_str().unwrap().to_owned(),
            };
            actions["elements"]
                .as_array()
                .unwrap()
                .iter()
                .map(shown)
                .collect()
        })
        .collect();
    assert_eq!(buttons[0], ["Open the page", "Acknowledge", "Silence"]);
    assert_eq!(buttons[1], ["Open the page", "tautline_ack 5e1f", "Silence"]);
    assert_eq!(buttons[2], ["Open the page"]);
}

/// Sends what the store holds until all of it is settled, then dies without a word.
async fn sends_and_dies(store: &Store, fake: &Fake) {
    let (_stop, stopping) = watch::channel(false);
    let sender = tokio::spawn(outbox::run(
        Box::new(store.clone()),
        vec![bot(fake)],
        Arc::new(Notify::new()),
        stopping,
        Arc::new(Stats::default()),
    ));
    while store.oldest_undelivered().unwrap().is_some() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    sender.abort();
    let _ = sender.await;
}

#[tokio::test]
async fn a_kill_between_slacks_answer_and_the_store_doubles_nothing() {
    let fake = app().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tautline.db");
    let store = Store::open(&path).unwrap();
    decide(&store, &[samples::hollow()]);
    fake.script(Scripted::hang().and_show());
    let (_stop, stopping) = watch::channel(false);
    let sender = tokio::spawn(outbox::run(
        Box::new(store.clone()),
        vec![bot(&fake)],
        Arc::new(Notify::new()),
        stopping,
        Arc::new(Stats::default()),
    ));
    fake.wait_for_more_than(0).await;
    sender.abort();
    let _ = sender.await;
    drop(store);

    let store = Store::open(&path).unwrap();
    sends_and_dies(&store, &fake).await;
    assert_eq!(standing(&fake), ["🟠 文章数已完成，营收没有"]);
    decide(&store, &[samples::over(ResolveReason::Recovered)]);
    sends_and_dies(&store, &fake).await;
    assert_eq!(
        standing(&fake),
        [
            "✅ Resolved: 文章数已完成，营收没有",
            "  ✅ Resolved: 文章数已完成，营收没有*"
        ]
    );
}

#[tokio::test]
async fn an_alert_that_comes_back_goes_on_below_its_old_message() {
    let store = Store::in_memory().unwrap();
    let fake = app().await;
    let again = |episode: u32, previous: &str| {
        let again = Some(Again {
            count: episode,
            previous: previous.to_owned(),
        });
        Notice {
            again,
            ..samples::numbered(samples::hollow(), episode)
        }
    };
    let over = |episode| samples::numbered(samples::over(ResolveReason::Recovered), episode);
    for notice in [
        samples::numbered(samples::hollow(), 1),
        over(1),
        again(2, "e1"),
        over(2),
        // Nothing is known of the one before: it has a message of its own.
        again(4, "e3"),
    ] {
        decide(&store, &[notice]);
        sends_and_dies(&store, &fake).await;
    }
    assert_eq!(
        standing(&fake),
        [
            "✅ Resolved: 文章数已完成，营收没有",
            "  ✅ Resolved: 文章数已完成，营收没有*",
            "  🟠 文章数已完成，营收没有 (again: 2 times in 24 h)*",
            "  ✅ Resolved: 文章数已完成，营收没有*",
            "🟠 文章数已完成，营收没有 (again: 4 times in 24 h)",
        ]
    );
}

#[tokio::test]
async fn after_an_outage_what_is_new_is_one_message_and_the_rest_goes_on() {
    let store = Store::in_memory().unwrap();
    let fake = app().await;
    let bundled = |bundle: &str, notice: Notice| Notice {
        bundle: bundle.to_owned(),
        ..notice
    };
    let over = |episode| samples::numbered(samples::over(ResolveReason::Recovered), episode);
    decide(&store, &[bundled("a", samples::numbered(samples::hollow(), 1))]);
    sends_and_dies(&store, &fake).await;
    let milder = Notice {
        id: "e1.2".to_owned(),
        kind: NoticeKind::DeEscalated,
        quiet: true,
        ..samples::numbered(samples::hollow(), 1)
    };
    let long_ago = Timestamp::now() - jiff::SignedDuration::from_mins(5);
    let waited = [
        bundled("b", milder),
        bundled("c", samples::numbered(samples::hollow(), 2)),
        bundled("d", samples::numbered(samples::hollow(), 3)),
        bundled("e", samples::numbered(samples::worse(), 3)),
        bundled("f", over(1)),
    ];
    decide_at(&store, &waited, long_ago);
    sends_and_dies(&store, &fake).await;
    decide_at(&store, &[bundled("g", over(2)), bundled("h", over(3))], long_ago);
    sends_and_dies(&store, &fake).await;
    assert_eq!(
        standing(&fake),
        [
            "✅ Resolved: 文章数已完成，营收没有",
            "  ✅ Resolved: 文章数已完成，营收没有*",
            "🔴 2 alerts",
            "  ✅ 2 over*",
        ]
    );
}

#[tokio::test]
async fn after_a_kill_the_same_message_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tautline.db");
    let fake = app().await;
    for notice in [
        samples::hollow(),
        samples::worse(),
        samples::over(ResolveReason::Recovered),
    ] {
        let store = Store::open(&path).unwrap();
        decide(&store, &[notice]);
        sends_and_dies(&store, &fake).await;
    }
    assert_eq!(
        standing(&fake),
        [
            "✅ Resolved: 文章数已完成，营收没有",
            "  🔴⬆️ Now critical: 文章数已完成，营收没有*",
            "  ✅ Resolved: 文章数已完成，营收没有*",
        ]
    );
}
