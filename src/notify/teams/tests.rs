use super::*;
use crate::notify::fakes::{Call, Scripted, Vendor, teams as fake};
use crate::notify::robots::{meaning, mention, robot};
use crate::notify::samples;
use crate::settings::Mention;

#[tokio::test]
async fn every_answer_has_a_meaning() {
    let robot = robot("teams", Mention::default()).await;
    for (status, body, expected) in [
        (202, "", "ok"),
        (200, "", "ok"),
        (
            400,
            r#"{"error":{"code":"WorkflowTriggerIsNotEnabled","message":"m"}}"#,
            "disable",
        ),
        (
            400,
            r#"{"error":{"code":"InvalidRequestContent","message":"m"}}"#,
            "drop",
        ),
        (
            401,
            r#"{"error":{"code":"DirectApiAuthorizationRequired"}}"#,
            "disable",
        ),
        (404, r#"{"error":{"code":"WorkflowNotFound"}}"#, "disable"),
        (403, "<html>blocked by the proxy</html>", "retry"),
        (404, "", "retry"),
        (413, "", "drop"),
        (429, "", "retry in 5 s"),
        (502, "", "retry"),
    ] {
        let answer = robot.answer_to(Scripted::new(status, body)).await;
        assert_eq!(meaning(&answer), expected, "{status} {body}");
    }
}

#[tokio::test]
async fn a_card_calls_people_where_something_is_wrong() {
    let robot = robot("teams", mention(&["li@example.com"], &[], false)).await;
    robot.send(&[samples::hollow()], Form::Full).await;
    let card = robot.last()["attachments"][0]["content"].clone();
    assert_eq!(
        card["msteams"]["entities"][0]["mentioned"]["id"],
        "li@example.com"
    );
    assert!(card["body"].to_string().contains("<at>li@example.com</at>"));
    assert_eq!(card["actions"][0]["title"], "打开页面");
    insta::assert_snapshot!(serde_json::to_string_pretty(&card["body"]).unwrap());
    let over = samples::over(crate::alert::notice::ResolveReason::Recovered);
    robot.send(&[over], Form::Full).await;
    assert!(!robot.last().to_string().contains("<at>"));
}

#[test]
fn a_workflow_shows_no_bad_card_and_says_nothing_of_it() {
    let card = |buttons: usize| {
        let button = serde_json::json!({"type": "Action.OpenUrl", "title": "t", "url": "https://a.example"});
        serde_json::json!({"type": "message", "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "content": {"type": "AdaptiveCard", "version": "1.4", "body": [{"type": "TextBlock", "text": "t"}],
                "actions": vec![button; buttons]},
        }]})
    };
    let call = |body: String| Call {
        path: String::new(),
        query: [("sig".to_owned(), "s".to_owned())].into(),
        is_json: true,
        authorization: None,
        headers: Default::default(),
        body,
        at: tokio::time::Instant::now(),
        received: Timestamp::now(),
    };
    for (buttons, shown) in [(6, true), (7, false)] {
        let verdict = fake::Teams::new().judge(&call(card(buttons).to_string()));
        assert_eq!((verdict.status, verdict.shows.is_some()), (202, shown));
    }
    for (bytes, status) in [(28 * 1024, 202), (28 * 1024 + 1, 413)] {
        let body = format!("{}{}", card(1), " ".repeat(bytes - card(1).to_string().len()));
        assert_eq!(fake::Teams::new().judge(&call(body)).status, status);
    }
    let mut workflow = fake::Teams::new();
    let call = call(card(1).to_string());
    assert_eq!(
        (0..5).filter(|_| workflow.judge(&call).shows.is_some()).count(),
        4
    );
}
