use super::*;
use crate::notify::fakes::{Call, Scripted, Vendor, dingtalk as fake};
use crate::notify::robots::{self, meaning, mention, robot};
use crate::notify::samples;
use crate::settings::{Mention, Secret};
use crate::words::Language;

#[test]
fn the_signature_is_dingtalks_and_made_afresh() {
    assert_eq!(
        sign(1_599_360_473_000, "SECtest_secret"),
        "fXpCDxr7J6DlI4knyio3CRz6ECZg6MP632Vyhoo81J0="
    );
    let robot = settings::DingTalk {
        url: Secret::new("https://oapi.dingtalk.com/robot/send?access_token=t"),
        secret: Some(Secret::new("SECtest_secret")),
        mention: Mention::default(),
    };
    let receiver = Receiver::local(settings::Channel::DingTalk(robot.clone()));
    let dingtalk = DingTalk {
        http: Http::new("dingtalk", robot.url.reveal(), &receiver).unwrap(),
        robot,
        wording: robots::wording(Language::Zh),
    };
    for _ in 0..2 {
        let url = dingtalk.url(Timestamp::from_millisecond(1_599_360_473_000).unwrap());
        assert_eq!(
            url.as_str(),
            "https://oapi.dingtalk.com/robot/send?access_token=t&timestamp=1599360473000\
             &sign=fXpCDxr7J6DlI4knyio3CRz6ECZg6MP632Vyhoo81J0%3D"
        );
    }
}

#[tokio::test]
async fn every_answer_has_a_meaning() {
    let robot = robot("dingtalk", Mention::default()).await;
    for (status, body, expected) in [
        (200, r#"{"errcode":0,"errmsg":"ok"}"#, "ok"),
        (
            200,
            r#"{"errcode":310000,"errmsg":"keywords not in content"}"#,
            "disable",
        ),
        (200, r#"{"errcode":310000,"errmsg":"sign not match"}"#, "disable"),
        (
            200,
            r#"{"errcode":300001,"errmsg":"token is not exist"}"#,
            "disable",
        ),
        (
            200,
            r#"{"errcode":300005,"errmsg":"token is not exist"}"#,
            "disable",
        ),
        (
            200,
            r#"{"errcode":130101,"errmsg":"send too fast"}"#,
            "retry in 600 s",
        ),
        (200, r#"{"errcode":90030,"errmsg":"busy"}"#, "retry in 5 s"),
        (200, r#"{"errcode":-1,"errmsg":"busy"}"#, "busy"),
        (200, r#"{"errcode":40035,"errmsg":"param"}"#, "drop"),
        (
            200,
            r#"{"status":1111,"wait":5,"source":"x5","punish":"deny"}"#,
            "retry in 5 s",
        ),
        (200, "<html>", "retry"),
    ] {
        let answer = robot.answer_to(Scripted::new(status, body)).await;
        assert_eq!(meaning(&answer), expected, "{status} {body}");
    }
    let old = Scripted::new(200, r#"{"errcode":310000,"errmsg":"sign not match"}"#)
        .with_header("Date", "Mon, 01 Jun 2020 00:00:00 GMT");
    let answer = format!("{:?}", robot.answer_to(old).await);
    assert!(answer.contains("this machine's clock is"), "{answer}");
}

#[tokio::test]
async fn without_people_it_is_a_card_with_buttons_and_with_them_they_are_called() {
    let card = robot("dingtalk", Mention::default()).await;
    card.send(&[samples::hollow()], Form::Full).await;
    let shown = card.last();
    assert_eq!(shown["msgtype"], "actionCard");
    assert_eq!(shown["actionCard"]["btns"][0]["title"], "打开页面");
    insta::assert_snapshot!(shown["actionCard"]["text"].as_str().unwrap());

    let calling = robot("dingtalk", mention(&["manager1"], &["13800000000"], true)).await;
    calling.send(&[samples::hollow()], Form::Full).await;
    let shown = calling.last();
    assert_eq!(shown["msgtype"], "markdown");
    assert!(
        shown["markdown"]["text"]
            .as_str()
            .unwrap()
            .ends_with("@all @manager1 @13800000000")
    );
    assert_eq!(shown["at"]["atMobiles"][0], "13800000000");
    assert_eq!(shown["at"]["isAtAll"], true);
    let over = samples::over(crate::alert::notice::ResolveReason::Recovered);
    calling.send(&[over], Form::Full).await;
    assert!(!calling.last().to_string().contains("13800000000"));
}

#[test]
fn the_robot_takes_20_a_minute_and_then_nothing_for_ten_minutes() {
    let mut robot = fake::DingTalk::new(None);
    let body = r#"{"msgtype":"text","text":{"content":"t"}}"#.to_owned();
    let mut call = Call {
        path: String::new(),
        query: [("access_token".to_owned(), "t".to_owned())].into(),
        is_json: true,
        authorization: None,
        headers: Default::default(),
        body,
        at: tokio::time::Instant::now(),
        received: Timestamp::now(),
    };
    let mut shown = |call: &Call| robot.judge(call).shows.is_some();
    assert_eq!((0..21).filter(|_| shown(&call)).count(), 20);
    call.at += Duration::from_secs(599);
    assert!(!shown(&call));
    call.at += Duration::from_secs(1);
    assert!(shown(&call));
}

#[test]
fn the_robot_takes_20_000_bytes_and_not_one_more() {
    for (bytes, shown) in [(20_000, true), (20_001, false)] {
        let around = r#"{"msgtype":"text","text":{"content":""}}"#.len();
        let text = format!("{}🔴营", "a".repeat(bytes - around - 7));
        let call = Call {
            path: String::new(),
            query: [("access_token".to_owned(), "t".to_owned())].into(),
            is_json: true,
            authorization: None,
            headers: Default::default(),
            body: format!(r#"{{"msgtype":"text","text":{{"content":"{text}"}}}}"#),
            at: tokio::time::Instant::now(),
            received: Timestamp::now(),
        };
        assert_eq!(
            fake::DingTalk::new(None).judge(&call).shows.is_some(),
            shown,
            "{bytes}"
        );
    }
}
