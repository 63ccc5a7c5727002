//! Mail servers that speak TLS from the first byte or after STARTTLS, with a certificate that an authority of their own
//! has signed.

use super::tests::{answer, opened_with, settings};
use super::*;
use crate::notify::fakes::smtp::Smtp;
use crate::notify::tls_front::{Front, OTHER, OURS};

/// A receiver behind a front that trusts this authority.
fn mailer(front: &Front, tls: MailTls, server: &str, ca: Option<&[u8]>) -> crate::notify::Target {
    let mail = settings::Email {
        server: server.to_owned(),
        ..settings(front.port, tls, Some("verysecret"), &["ops@example.com"])
    };
    opened_with(mail, ca)
}

#[tokio::test]
async fn a_mail_goes_to_a_server_whose_authority_is_in_the_settings() {
    for tls in [MailTls::Tls, MailTls::Starttls] {
        let server = Smtp::start(Some(("kpi", "verysecret"))).await.unwrap();
        let front = Front::before(server.port(), tls == MailTls::Starttls).await;
        for name in ["127.0.0.1", "localhost"] {
            let sent = answer(&mailer(&front, tls, name, Some(OURS))).await;
            assert!(matches!(sent, Answer::Ok { .. }), "{tls:?} {name}: {sent:?}");
        }
        let mails = server.mails();
        assert_eq!(mails.len(), 2);
        assert_eq!(mails[0].user.as_deref(), Some("kpi"));
        assert_eq!(server.wrong(), Vec::<String>::new());
        // Neither user nor mail went in the clear.
        let clear = front.clear.lock().unwrap().join("\n");
        let is_tls_all = tls == MailTls::Tls;
        assert_eq!(clear.is_empty(), is_tls_all, "{clear}");
        assert!(
            clear
                .lines()
                .all(|line| line.starts_with("EHLO") || line == "STARTTLS"),
            "{clear}"
        );
    }
}

#[tokio::test]
async fn a_server_whose_authority_is_another_gets_nothing_and_the_reason_says_what_to_do() {
    for tls in [MailTls::Tls, MailTls::Starttls] {
        let server = Smtp::start(None).await.unwrap();
        let front = Front::before(server.port(), tls == MailTls::Starttls).await;
        for ca in [Some(OTHER), None] {
            let refused = format!("{:?}", answer(&mailer(&front, tls, "127.0.0.1", ca)).await);
            assert!(
                refused.contains("Retry")
                    && refused.contains("no known authority has signed the server's certificate")
                    && refused.contains("ca_file"),
                "{tls:?}: {refused}"
            );
        }
        // The right authority, and the name of somebody else.
        let elsewhere = answer(&mailer(&front, tls, "127.0.0.2", Some(OURS))).await;
        let elsewhere = format!("{elsewhere:?}");
        assert!(
            elsewhere.contains("the server's certificate is for another name"),
            "{tls:?}: {elsewhere}"
        );
        assert!(server.mails().is_empty());
    }
}
