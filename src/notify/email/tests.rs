use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::alert::notice::{Notice, ResolveReason};
use crate::notify::fakes::smtp::{Mail, Smtp};
use crate::notify::robots::{meaning, wording};
use crate::notify::{Form, Target, samples, target};
use crate::settings::Secret;
use crate::words::Language;

pub(super) fn settings(port: u16, tls: MailTls, password: Option<&str>, to: &[&str]) -> settings::Email {
    settings::Email {
        server: "127.0.0.1".to_owned(),
        port,
        tls,
        credentials: password.map(|password| ("kpi".to_owned(), Secret::new(password))),
        from: "指标 <kpi@example.com>".parse().unwrap(),
        to: to.iter().map(|to| to.parse().unwrap()).collect(),
    }
}

pub(super) fn opened(settings: settings::Email) -> Target {
    opened_with(settings, None)
}

/// One that trusts this authority.
pub(super) fn opened_with(settings: settings::Email, ca: Option<&[u8]>) -> Target {
    let receiver = Receiver {
        ca: ca.map(<[u8]>::to_vec),
        timeout: Duration::from_millis(500),
        ..Receiver::local(settings::Channel::Email(settings))
    };
    target("ops", &receiver, wording(Language::Zh)).unwrap()
}

fn mailer(server: &Smtp) -> Target {
    opened(settings(
        server.port(),
        MailTls::None,
        None,
        &["Ops <ops@example.com>", "li@example.com"],
    ))
}

async fn send(target: &Target, notices: &[Notice], form: Form, shown: Option<&str>) -> Answer {
    let parcel = Parcel {
        notices,
        form,
        shown,
        tried_since: None,
    };
    target.channel.send(parcel).await
}

pub(super) async fn answer(target: &Target) -> Answer {
    send(target, &[samples::hollow()], Form::Full, None).await
}

/// A header, unfolded.
fn header(mail: &Mail, name: &str) -> Option<String> {
    let head = mail
        .content
        .split("\r\n\r\n")
        .next()
        .unwrap()
        .replace("\r\n ", " ");
    let prefix = format!("{name}: ");
    let line = head.lines().find(|line| line.starts_with(&prefix));
    line.map(|line| line[prefix.len()..].to_owned())
}

/// A header in words of RFC 2047, as a mail program shows it.
fn decoded(text: &str) -> String {
    let words = text.split(' ').map(|word| {
        let inside = word
            .strip_prefix("=?utf-8?b?")
            .and_then(|word| word.strip_suffix("?="));
        let bytes = STANDARD
            .decode(inside.unwrap_or_else(|| panic!("{word}")))
            .unwrap();
        assert!(word.len() <= 75, "{word}");
        String::from_utf8(bytes).unwrap()
    });
    words.collect()
}

#[tokio::test]
async fn a_mail_arrives_whole() {
    let server = Smtp::start(Some(("kpi", "verysecret"))).await.unwrap();
    let mailer = opened(settings(
        server.port(),
        MailTls::None,
        Some("verysecret"),
        &["ops@example.com"],
    ));
    let id = match answer(&mailer).await {
        Answer::Ok { shown: Some(id) } => id,
        other => panic!("{other:?}"),
    };
    let mail = server.mails().remove(0);
    assert_eq!(
        (mail.from.as_str(), mail.to.join(" ").as_str()),
        ("kpi@example.com", "ops@example.com")
    );
    assert_eq!(mail.user.as_deref(), Some("kpi"));
    assert_eq!(
        decoded(&header(&mail, "Subject").unwrap()),
        "🟠 文章数已完成，营收没有"
    );
    assert_eq!(header(&mail, "Message-ID").unwrap(), id);
    assert!(
        id.starts_with("<tautline.5e1f.1.") && id.ends_with("@example.com>"),
        "{id}"
    );
    assert!(
        header(&mail, "Content-Type")
            .unwrap()
            .starts_with("multipart/alternative")
    );
    assert!(header(&mail, "References").is_none() && header(&mail, "Importance").is_none());
    assert_eq!(header(&mail, "Auto-Submitted").as_deref(), Some("auto-generated"));
    assert_eq!(server.wrong(), Vec::<String>::new());
}

#[tokio::test]
async fn the_mails_of_an_episode_are_one_conversation_and_a_copy_has_the_same_id() {
    let server = Smtp::start(None).await.unwrap();
    let mailer = mailer(&server);
    let shown = |answer| match answer {
        Answer::Ok { shown: Some(shown) } => shown,
        other => panic!("{other:?}"),
    };
    let root = shown(answer(&mailer).await);
    assert_eq!(shown(answer(&mailer).await), root);
    for notice in [samples::worse(), samples::over(ResolveReason::Recovered)] {
        assert_eq!(
            shown(send(&mailer, &[notice], Form::Full, Some(&root)).await),
            root
        );
    }
    let mails = server.mails();
    let ids: Vec<String> = mails
        .iter()
        .map(|mail| header(mail, "Message-ID").unwrap())
        .collect();
    assert!(
        ids[0] == ids[1] && ids[1] != ids[2] && ids[2] != ids[3],
        "{ids:?}"
    );
    for mail in &mails[2..] {
        assert_eq!(header(mail, "References").as_ref(), Some(&root));
        assert_eq!(header(mail, "In-Reply-To").as_ref(), Some(&root));
    }
    assert_eq!(header(&mails[2], "Importance").as_deref(), Some("high"));
}

#[tokio::test]
async fn every_answer_has_a_meaning() {
    let server = Smtp::start(None).await.unwrap();
    let mailer = mailer(&server);
    for (command, reply, expected) in [
        ("CONNECT", "421 4.3.2 try again later", "retry"),
        ("CONNECT", "554 5.3.2 no mail here", "disable"),
        ("MAIL", "451 4.3.0 busy", "retry"),
        ("MAIL", "550 5.7.1 sender refused", "disable"),
        ("MAIL", "552 5.3.4 too big", "drop"),
        ("DATA", "451 4.3.0 busy", "retry"),
        (".", "452 4.3.1 no space", "retry"),
        (".", "554 5.7.1 looks like spam", "drop"),
    ] {
        server.script(command, reply);
        assert_eq!(meaning(&answer(&mailer).await), expected, "{command} {reply}");
    }
    for command in ["MAIL", "."] {
        server.script(command, "");
        match answer(&mailer).await {
            Answer::Retry { maybe_shown, .. } => assert_eq!(maybe_shown, command == "."),
            other => panic!("{command} {other:?}"),
        }
    }
    assert_eq!(meaning(&answer(&mailer).await), "ok");
    assert_eq!(server.wrong(), Vec::<String>::new());
}

#[tokio::test]
async fn one_recipient_who_is_taken_is_enough() {
    let server = Smtp::start(None).await.unwrap();
    let to = |to: &[&str]| opened(settings(server.port(), MailTls::None, None, to));
    assert_eq!(
        meaning(&answer(&to(&["nobody@example.com", "li@example.com"])).await),
        "ok"
    );
    assert_eq!(server.mails()[0].to, ["li@example.com"]);
    assert_eq!(meaning(&answer(&to(&["nobody@example.com"])).await), "disable");
}

#[tokio::test]
async fn a_wrong_password_is_told_without_it_and_nothing_goes_in_the_clear() {
    let server = Smtp::start(Some(("kpi", "right"))).await.unwrap();
    let with = |tls, password| opened(settings(server.port(), tls, password, &["ops@example.com"]));
    let wrong = format!("{:?}", answer(&with(MailTls::None, Some("verysecret"))).await);
    assert!(wrong.contains("Disable") && wrong.contains("535"), "{wrong}");
    assert!(
        !wrong.contains("verysecret") && !wrong.contains(&STANDARD.encode("verysecret")),
        "{wrong}"
    );
    assert_eq!(meaning(&answer(&with(MailTls::None, None)).await), "disable");
    // This server knows no STARTTLS; the password stays here.
    let clear = format!("{:?}", answer(&with(MailTls::Starttls, Some("right"))).await);
    assert!(
        clear.contains("Retry") && clear.contains("offers no STARTTLS"),
        "{clear}"
    );
    assert!(server.mails().is_empty());
    // This one says so, and then is none: the mail does not go.
    let server = Smtp::offering_starttls().await.unwrap();
    for tls in [MailTls::Starttls, MailTls::Tls] {
        let mailer = opened(settings(server.port(), tls, Some("right"), &["ops@example.com"]));
        assert!(!matches!(answer(&mailer).await, Answer::Ok { .. }));
    }
    assert!(server.mails().is_empty());
}

#[tokio::test]
async fn a_name_on_a_private_network_is_refused() {
    let server = Smtp::start(None).await.unwrap();
    // They are looked up, and stand for this machine.
    for name in ["localhost.localdomain", "localhost", "127.0.0.1"] {
        let settings = settings::Email {
            server: name.to_owned(),
            ..settings(server.port(), MailTls::None, None, &["ops@example.com"])
        };
        let receiver = Receiver {
            timeout: Duration::from_millis(500),
            ..Receiver::new(settings::Channel::Email(settings))
        };
        let mailer = target("ops", &receiver, wording(Language::Zh)).unwrap();
        let told = format!("{:?}", answer(&mailer).await);
        assert!(told.contains("Retry") && server.mails().is_empty(), "{told}");
    }
}

#[tokio::test]
async fn the_longest_message_arrives() {
    let server = Smtp::start(None).await.unwrap();
    let mailer = mailer(&server);
    let many: Vec<Notice> = (1..=40)
        .map(|n| {
            let mut notice = samples::numbered(samples::worse(), n);
            notice.facts.title = "🔴营收\r\nBcc: all@example.com ".repeat(200);
            notice.alert_kind = "own".to_owned();
            notice
        })
        .collect();
    for notices in [&many[..1], &many] {
        for form in [Form::Full, Form::Plain] {
            assert_eq!(meaning(&send(&mailer, notices, form, None).await), "ok");
        }
    }
    assert_eq!(server.wrong(), Vec::<String>::new());
    assert!(
        server
            .mails()
            .iter()
            .all(|mail| header(mail, "Bcc").is_none() && mail.to.len() == 2)
    );
}

#[test]
fn a_mail_in_text_alone_says_it_all() {
    let message = wording(Language::Zh).message(&[samples::hollow()]);
    insta::assert_snapshot!("text.zh", letter::text(&message));
}

#[test]
fn mails_look_as_they_were_looked_at() {
    let many: Vec<Notice> = (1..=14).map(|n| samples::numbered(samples::worse(), n)).collect();
    for (name, language, notices) in [
        ("fired.zh", Language::Zh, vec![samples::hollow()]),
        ("escalated.en", Language::En, vec![samples::worse()]),
        (
            "resolved.zh",
            Language::Zh,
            vec![samples::over(ResolveReason::Recovered)],
        ),
        ("many.en", Language::En, many),
    ] {
        let message = wording(language).message(&notices);
        insta::assert_snapshot!(name, html::page(&message));
    }
}
