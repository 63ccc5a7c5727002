use super::*;
use crate::notify::fakes::{Call, Scripted, Vendor, wecom as fake};
use crate::notify::robots::{meaning, mention, robot};
use crate::notify::samples;
use crate::settings::Mention;

#[tokio::test]
async fn every_answer_has_a_meaning() {
    let robot = robot("wecom", Mention::default()).await;
    for (status, body, expected) in [
        (200, r#"{"errcode":0,"errmsg":"ok"}"#, "ok"),
        (
            200,
            r#"{"errcode":0,"errmsg":"ok. Warning: wrong json format. "}"#,
            "ok",
        ),
        (
            200,
            r#"{"errcode":40058,"errmsg":"markdown.content exceed max length 4096"}"#,
            // It goes in two parts.
            "ok",
        ),
        (
            200,
            r#"{"errcode":45009,"errmsg":"api freq out of limit"}"#,
            "retry in 60 s",
        ),
        (
            200,
            r#"{"errcode":93000,"errmsg":"invalid webhook url"}"#,
            "disable",
        ),
        (
            200,
            r#"{"errcode":40008,"errmsg":"invalid message type"}"#,
            "drop",
        ),
        (200, r#"{"errcode":-1,"errmsg":"system busy"}"#, "busy"),
        (200, "", "retry"),
    ] {
        let answer = robot.answer_to(Scripted::new(status, body)).await;
        assert_eq!(meaning(&answer), expected, "{status} {body}");
    }
}

#[tokio::test]
async fn a_message_in_chinese() {
    let robot = robot("wecom", Mention::default()).await;
    robot.send(&[samples::hollow()], Form::Full).await;
    let shown = robot.last();
    let content = shown["markdown"]["content"].as_str().unwrap();
    // The links are good for a week from now, so their ends differ.
    let lines: Vec<&str> = content
        .lines()
        .filter(|line| !line.starts_with("[打开页面]"))
        .collect();
    assert_eq!(lines.len() + 1, content.lines().count());
    insta::assert_snapshot!(lines.join("\n"));
}

#[tokio::test]
async fn people_are_called_as_wecom_can() {
    let by_id = robot("wecom", mention(&["li"], &[], false)).await;
    by_id.send(&[samples::hollow()], Form::Full).await;
    assert!(
        by_id.last()["markdown"]["content"]
            .as_str()
            .unwrap()
            .ends_with("<@li>")
    );
    let everybody = robot("wecom", mention(&["li"], &["13800000000"], true)).await;
    everybody.send(&[samples::hollow()], Form::Full).await;
    let shown = everybody.last();
    assert_eq!(shown["text"]["mentioned_list"], serde_json::json!(["li", "@all"]));
    assert_eq!(
        shown["text"]["mentioned_mobile_list"],
        serde_json::json!(["13800000000"])
    );
    let over = samples::over(crate::alert::notice::ResolveReason::Recovered);
    everybody.send(&[over], Form::Full).await;
    assert_eq!(everybody.last()["msgtype"], "markdown");
    let mut sly = samples::hollow();
    sly.facts.title = "<@all>".into();
    by_id.send(&[sly], Form::Full).await;
    assert!(!by_id.last().to_string().contains("<@all>"));
}

#[test]
fn the_robot_counts_bytes_and_a_minute() {
    let call = |kind: &str, bytes: usize| {
        let text = format!("{}🔴营", "a".repeat(bytes - 7));
        Call {
            path: String::new(),
            query: [("key".to_owned(), "k".to_owned())].into(),
            is_json: true,
            authorization: None,
            headers: Default::default(),
            body: format!(r#"{{"msgtype":"{kind}","{kind}":{{"content":"{text}"}}}}"#),
            at: tokio::time::Instant::now(),
            received: Timestamp::now(),
        }
    };
    for (kind, bytes, shown) in [
        ("markdown", 4096, true),
        ("markdown", 4097, false),
        ("text", 2048, true),
        ("text", 2049, false),
    ] {
        assert_eq!(
            fake::WeCom::new().judge(&call(kind, bytes)).shows.is_some(),
            shown,
            "{kind} {bytes}"
        );
    }
    let (mut robot, call) = (fake::WeCom::new(), call("text", 100));
    assert_eq!((0..21).filter(|_| robot.judge(&call).shows.is_some()).count(), 20);
}

#[tokio::test]
async fn a_half_that_is_there_is_not_sent_again() {
    let robot = robot("wecom", Mention::default()).await;
    let too_long = r#"{"errcode":40058,"errmsg":"markdown.content exceed max length"}"#;
    let slow = Scripted::new(200, r#"{"errcode":45009,"errmsg":"freq out of limit"}"#);
    for scripted in [
        Scripted::new(200, too_long),
        Scripted::new(200, r#"{"errcode":0,"errmsg":"ok"}"#),
        slow,
        Scripted::new(200, too_long),
        Scripted::new(200, r#"{"errcode":0,"errmsg":"ok"}"#),
    ] {
        robot.fake.script(scripted);
    }
    let first = robot.send(&[samples::hollow()], Form::Full).await;
    assert!(
        matches!(
            first,
            Answer::Retry {
                maybe_shown: true,
                ..
            }
        ),
        "{first:?}"
    );
    assert_eq!(robot.fake.messages().len(), 1);
    assert_eq!(robot.send(&[samples::hollow()], Form::Full).await, Answer::OK);
    let shown = robot.fake.messages();
    assert_eq!(shown.len(), 2);
    assert_ne!(shown[0].payload, shown[1].payload, "the second half");
}

#[tokio::test]
async fn what_wecom_finds_too_long_goes_in_two_parts_that_lose_nothing() {
    let robot = robot("wecom", Mention::default()).await;
    let too_long = r#"{"errcode":40058,"errmsg":"markdown.content exceed max length"}"#;
    assert_eq!(
        robot
            .answer_to(Scripted::new(200, r#"{"errcode":0,"errmsg":"ok"}"#))
            .await,
        Answer::OK
    );
    let whole = robot.last()["markdown"]["content"].as_str().unwrap().to_owned();
    assert_eq!(robot.answer_to(Scripted::new(200, too_long)).await, Answer::OK);
    let shown = robot.fake.messages();
    let parts: Vec<&str> = shown[1..]
        .iter()
        .map(|message| message.payload["markdown"]["content"].as_str().unwrap())
        .collect();
    assert_eq!(parts.len(), 2);
    assert_eq!(parts.join("\n"), whole);
    assert!(
        parts.iter().all(|part| part.len() < whole.len() * 3 / 4),
        "{parts:?}"
    );
}
