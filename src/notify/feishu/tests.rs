use super::*;
use crate::alert::notice::{Digest, NoticeKind};
use crate::notify::fakes::{Call, Scripted, Vendor, feishu as fake};
use crate::notify::robots::{meaning, mention, robot};
use crate::notify::samples;
use crate::settings::Mention;

#[test]
fn the_signature_is_feishus() {
    assert_eq!(
        sign(1_599_360_473, "test_secret"),
        "FW06sV98dJlmB07TC2kBBUSpkGrDmWP+mE2IRa7SQhA="
    );
}

#[tokio::test]
async fn every_answer_has_a_meaning() {
    let robot = robot("feishu", Mention::default()).await;
    for (status, body, expected) in [
        (200, r#"{"code":0,"msg":"success"}"#, "ok"),
        (200, r#"{"StatusCode":0,"StatusMessage":"success"}"#, "ok"),
        (200, r#"{"code":9499,"msg":"Bad Request"}"#, "drop"),
        (400, r#"{"code":9499,"msg":"Bad Request"}"#, "drop"),
        (200, r#"{"code":19021,"msg":"sign match fail"}"#, "disable"),
        (200, r#"{"code":19022,"msg":"Ip Not Allowed"}"#, "disable"),
        (200, r#"{"code":19024,"msg":"Key Words Not Found"}"#, "disable"),
        (200, r#"{"code":11232,"msg":"frequency limited"}"#, "retry in 5 s"),
        (429, r#"{"code":99991400}"#, "retry in 5 s"),
        (400, r#"{"code":230020,"msg":"rate"}"#, "retry in 5 s"),
        (500, r#"{"code":1,"msg":"internal"}"#, "retry"),
        (200, "<html>Sign in</html>", "retry"),
        (200, "", "retry"),
    ] {
        let answer = robot.answer_to(Scripted::new(status, body)).await;
        assert_eq!(meaning(&answer), expected, "{status} {body}");
    }
    let limited = Scripted::new(429, r#"{"code":99991400}"#).with_header("x-ogw-ratelimit-reset", "9");
    assert_eq!(meaning(&robot.answer_to(limited).await), "retry in 9 s");
}

#[tokio::test]
async fn a_wrong_clock_is_told_from_a_wrong_secret() {
    let robot = robot("feishu", Mention::default()).await;
    let reason = |answer| match answer {
        Answer::Disable { reason } => reason,
        other => panic!("{other:?}"),
    };
    let refusal = r#"{"code":19021,"msg":"sign match fail"}"#;
    let old = Scripted::new(200, refusal).with_header("Date", "Mon, 01 Jun 2020 00:00:00 GMT");
    let told = reason(robot.answer_to(old).await);
    assert!(
        told.contains("this machine's clock is") && told.contains("ahead of the server's"),
        "{told}"
    );
    let now =
        jiff::fmt::rfc2822::to_string(&Timestamp::now().to_zoned_datetime(jiff::tz::TimeZone::UTC)).unwrap();
    let right = Scripted::new(200, refusal).with_header("Date", &now);
    let told = reason(robot.answer_to(right).await);
    assert!(told.ends_with("check the secret"), "{told}");
}

#[tokio::test]
async fn people_are_called_where_something_is_wrong_and_not_where_it_is_over() {
    let robot = robot("feishu", mention(&["ou_1"], &[], true)).await;
    robot.send(&[samples::hollow()], Form::Full).await;
    assert!(
        robot
            .last()
            .to_string()
            .contains("<at id=all></at> <at id=ou_1></at>")
    );
    robot.send(&[samples::hollow()], Form::Plain).await;
    assert!(robot.last().to_string().contains("<at user_id=ou_1></at>"));
    let over = samples::over(crate::alert::notice::ResolveReason::Recovered);
    robot.send(&[over], Form::Full).await;
    assert!(!robot.last().to_string().contains("<at"));
    let mut sly = samples::hollow();
    sly.facts.title = "<at id=all></at>".into();
    robot.send(&[sly], Form::Full).await;
    assert!(
        robot.last()["card"]["elements"]
            .to_string()
            .matches("<at id=all>")
            .count()
            == 1
    );
}

#[tokio::test]
async fn a_card_in_chinese() {
    let robot = robot("feishu", Mention::default()).await;
    robot.send(&[samples::hollow()], Form::Full).await;
    let mut card = robot.last()["card"].clone();
    for button in card["elements"]
        .as_array_mut()
        .unwrap()
        .iter_mut()
        .filter_map(|element| element["actions"].as_array_mut())
        .flatten()
    {
        let url = button["url"]
            .as_str()
            .unwrap()
            .split("?until")
            .next()
            .unwrap()
            .to_owned();
        button["url"] = url.into();
    }
    insta::assert_snapshot!(serde_json::to_string_pretty(&card).unwrap());
}

#[test]
fn the_bot_takes_20_kb_and_not_a_byte_more() {
    let body = |bytes: usize| {
        let around = r#"{"msg_type":"text","content":{"text":""}}"#.len();
        let text = format!("{}🔴营", "a".repeat(bytes - around - 7));
        let body = format!(r#"{{"msg_type":"text","content":{{"text":"{text}"}}}}"#);
        assert_eq!(body.len(), bytes);
        body
    };
    for (bytes, shown) in [(20 * 1024, true), (20 * 1024 + 1, false)] {
        assert_eq!(
            fake::Feishu::new(None).judge(&call(body(bytes))).shows.is_some(),
            shown
        );
    }
}

#[test]
fn the_bot_takes_five_a_second_and_a_hundred_a_minute() {
    let mut bot = fake::Feishu::new(None);
    let mut call = call(r#"{"msg_type":"text","content":{"text":"t"}}"#.to_owned());
    let mut shown = 0;
    for _ in 0..6 {
        shown += usize::from(bot.judge(&call).shows.is_some());
    }
    assert_eq!(shown, 5);
    for _ in 0..120 {
        call.at += Duration::from_millis(250);
        shown += usize::from(bot.judge(&call).shows.is_some());
    }
    assert_eq!(shown, 100);
}

#[test]
fn a_timestamp_is_good_for_an_hour() {
    let secret = "s";
    let now = Timestamp::from_second(1_700_000_000).unwrap();
    for (off, shown) in [
        (0, true),
        (3600, true),
        (-3600, true),
        (3601, false),
        (-3601, false),
    ] {
        let seconds = now.as_second() + off;
        let body = serde_json::json!({
            "msg_type": "text", "content": {"text": "t"}, "timestamp": seconds.to_string(), "sign": sign(seconds, secret),
        });
        let call = Call {
            received: now,
            ..call(body.to_string())
        };
        assert_eq!(
            fake::Feishu::new(Some(secret)).judge(&call).shows.is_some(),
            shown,
            "{off}"
        );
    }
}

#[test]
fn a_digest_stays_off_the_hour_and_an_alert_does_not_wait() {
    let digest = Digest {
        name: None,
        from: Timestamp::UNIX_EPOCH,
        until: Timestamp::UNIX_EPOCH,
        open: Vec::new(),
        ended: Vec::new(),
        waiting: Vec::new(),
        forecast: Vec::new(),
    };
    let digest = Notice {
        kind: NoticeKind::Digest,
        aside: Some(Box::new(Aside::Digest(digest))),
        ..samples::hollow()
    };
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    for (decided, waits) in [
        ("2026-06-20T01:00:00Z", true),
        ("2026-06-20T01:30:59Z", true),
        ("2026-06-20T01:31:00Z", false),
        ("2026-06-20T01:29:59Z", false),
    ] {
        let until = off_the_hour(&digest, at(decided));
        assert_eq!(until.is_some(), waits, "{decided}");
        let minutes = until.map(|until| until.duration_since(at(decided)).as_secs());
        assert!(minutes.is_none_or(|seconds| (60..300).contains(&seconds)));
    }
    assert_eq!(off_the_hour(&samples::hollow(), at("2026-06-20T01:00:00Z")), None);
}

fn call(body: String) -> Call {
    Call {
        path: String::new(),
        query: Default::default(),
        is_json: true,
        authorization: None,
        headers: Default::default(),
        body,
        at: tokio::time::Instant::now(),
        received: Timestamp::now(),
    }
}
