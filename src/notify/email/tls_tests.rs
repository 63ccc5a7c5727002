//! Mail servers that speak TLS from the first byte or after STARTTLS, with a certificate that an authority of their own
//! has signed.

use std::io;
use std::sync::{Arc, Mutex};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::tests::{answer, opened, settings};
use super::*;
use crate::notify::fakes::smtp::Smtp;

const OURS: &[u8] = include_bytes!("tls/ours.pem");
const OTHER: &[u8] = include_bytes!("tls/other.pem");

/// TLS before a mail server that has none.
struct Front {
    port: u16,
    /// What clients said before there was TLS.
    clear: Arc<Mutex<Vec<String>>>,
}

impl Front {
    async fn before(server: &Smtp, tls: MailTls) -> Front {
        let certificate = CertificateDer::from_pem_slice(include_bytes!("tls/server.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_slice(include_bytes!("tls/server.key")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        // On every address of this machine: its certificate is for one of them.
        let listener = TcpListener::bind(("0.0.0.0", 0)).await.unwrap();
        let front = Front {
            port: listener.local_addr().unwrap().port(),
            clear: Arc::default(),
        };
        let (clear, behind) = (Arc::clone(&front.clear), server.port());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, clear) = (acceptor.clone(), Arc::clone(&clear));
                tokio::spawn(async move { pass(stream, &acceptor, tls, &clear, behind).await });
            }
        });
        front
    }
}

async fn pass(
    mut stream: TcpStream,
    acceptor: &TlsAcceptor,
    tls: MailTls,
    clear: &Mutex<Vec<String>>,
    behind: u16,
) -> io::Result<()> {
    let mut server = TcpStream::connect(("127.0.0.1", behind)).await?;
    if tls == MailTls::Starttls {
        for answer in ["220 mail.example ESMTP", "250-mail.example\r\n250 STARTTLS"] {
            stream.write_all(format!("{answer}\r\n").as_bytes()).await?;
            let said = line(&mut stream).await?;
            clear.lock().unwrap().push(said);
        }
        stream.write_all(b"220 2.0.0 go ahead\r\n").await?;
        // The greeting was ours.
        line(&mut server).await?;
    }
    let mut inside = acceptor.accept(stream).await?;
    tokio::io::copy_bidirectional(&mut inside, &mut server).await?;
    Ok(())
}

async fn line(stream: &mut TcpStream) -> io::Result<String> {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        line.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
}

/// A receiver behind a front that trusts this authority.
fn mailer(front: &Front, tls: MailTls, server: &str, ca: Option<&[u8]>) -> crate::notify::Target {
    opened(settings::Email {
        server: server.to_owned(),
        ca: ca.map(<[u8]>::to_vec),
        ..settings(front.port, tls, Some("verysecret"), &["ops@example.com"])
    })
}

#[tokio::test]
async fn a_mail_goes_to_a_server_whose_authority_is_in_the_settings() {
    for tls in [MailTls::Tls, MailTls::Starttls] {
        let server = Smtp::start(Some(("kpi", "verysecret"))).await.unwrap();
        let front = Front::before(&server, tls).await;
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
        let front = Front::before(&server, tls).await;
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
