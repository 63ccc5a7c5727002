//! The way to a mail server: one connection a mail. What is said on it decides what a failure means: a server that
//! does not know the user will not know them later, one that is busy will.

use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};

use crate::notify::Answer;
use crate::notify::answer::vendors_words;
use crate::notify::http::{private, public, without};
use crate::notify::tls::untrusted;
use crate::settings::{self, MailTls, Receiver, Secret};

/// A mail server.
pub(super) struct Server {
    host: String,
    port: u16,
    tls: MailTls,
    parameters: TlsParameters,
    credentials: Option<Credentials>,
    hello: ClientId,
    timeout: Duration,
    /// Whether it may be on a private network.
    open: bool,
    /// What no answer may repeat: the password, and how it is sent.
    hidden: Vec<String>,
}

/// How far a mail has come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Step {
    Connect,
    Authenticate,
    Address,
    Content,
}

/// Why a mail did not go.
enum Failure {
    /// The server, or the way to it, says so.
    Smtp(Error),
    /// It cannot go this way, now or ever.
    Other(String, bool),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Smtp(error)
    }
}

impl Server {
    pub(super) fn new(settings: &settings::Email, receiver: &Receiver) -> Result<Server, String> {
        let mut parameters = TlsParameters::builder(settings.server.clone());
        if let Some(pem) = &receiver.ca {
            let authority = Certificate::from_pem(pem).map_err(|error| format!("email: ca_file: {error}"))?;
            parameters = parameters.add_root_certificate(authority);
        }
        Ok(Server {
            host: settings.server.clone(),
            port: settings.port,
            tls: settings.tls,
            parameters: parameters
                .build_rustls()
                .map_err(|error| format!("email: {error}"))?,
            credentials: settings
                .credentials
                .as_ref()
                .map(|(user, password)| Credentials::new(user.clone(), password.reveal().to_owned())),
            hello: ClientId::Domain(settings.from.email.domain().to_owned()),
            timeout: receiver.timeout,
            open: receiver.allow_private,
            hidden: settings.credentials.as_ref().map_or_else(Vec::new, hidden),
        })
    }

    /// Makes one attempt.
    pub(super) async fn deliver(&self, mail: &lettre::Message) -> Answer {
        let mut step = Step::Connect;
        let delivered = tokio::time::timeout(self.timeout, self.attempt(mail, &mut step)).await;
        match delivered {
            Ok(Ok(())) => Answer::OK,
            Ok(Err(failure)) => judge(failure, step, &self.hidden),
            Err(_) => Answer::Retry {
                after: None,
                maybe_shown: step == Step::Content,
                reason: format!("no answer within {} s", self.timeout.as_secs_f64()),
            },
        }
    }

    async fn attempt(&self, mail: &lettre::Message, step: &mut Step) -> Result<(), Failure> {
        let addresses = self.addresses().await?;
        let wrapped = (self.tls == MailTls::Tls).then(|| self.parameters.clone());
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(&*addresses, Some(self.timeout), &self.hello, wrapped, None)
                .await?;
        if self.tls == MailTls::Starttls {
            if !connection.can_starttls() {
                let reason = "the server offers no STARTTLS, and nothing is sent in the clear: write tls: tls, or mend the server";
                return Err(Failure::Other(reason.to_owned(), false));
            }
            connection.starttls(self.parameters.clone(), &self.hello).await?;
        }
        *step = Step::Authenticate;
        if let Some(credentials) = &self.credentials {
            let offered = connection.server_info().get_auth_mechanism(DEFAULT_MECHANISMS);
            if offered.is_none() {
                let reason = "the server takes no user and password (PLAIN or LOGIN) this way";
                return Err(Failure::Other(reason.to_owned(), true));
            }
            connection.auth(DEFAULT_MECHANISMS, credentials).await?;
        }
        *step = Step::Address;
        self.address(&mut connection, mail).await?;
        *step = Step::Content;
        connection.message(&mail.formatted()).await?;
        // It is delivered; how the conversation ends changes nothing.
        connection.abort().await;
        Ok(())
    }

    /// Says who it is from and for. One recipient who is taken is enough.
    async fn address(
        &self,
        connection: &mut AsyncSmtpConnection,
        mail: &lettre::Message,
    ) -> Result<(), Failure> {
        let envelope = mail.envelope();
        let mut options = Vec::new();
        if connection.server_info().supports_feature(Extension::EightBitMime) {
            options.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        connection
            .command(Mail::new(envelope.from().cloned(), options))
            .await?;
        let (mut taken, mut refused) = (0, None);
        for to in envelope.to() {
            match connection.command(Rcpt::new(to.clone(), Vec::new())).await {
                Ok(_) => taken += 1,
                Err(error) if error.status().is_some() => {
                    let reason = said(&error, &self.hidden);
                    tracing::warn!(server = self.host, to = %to, reason, "mail server refuses a recipient");
                    refused = Some(error);
                }
                Err(error) => return Err(error.into()),
            }
        }
        match refused {
            Some(error) if taken == 0 => Err(error.into()),
            _ => {
                connection.command(Data).await?;
                Ok(())
            }
        }
    }

    /// Where the server is; public addresses only, unless others are allowed.
    async fn addresses(&self) -> Result<Vec<SocketAddr>, Failure> {
        let host = self.host.trim_matches(['[', ']']);
        let found = tokio::net::lookup_host((host, self.port)).await;
        let found: Vec<SocketAddr> = match found {
            Ok(found) => found.collect(),
            Err(error) => return Err(Failure::Other(format!("{host}: {error}"), false)),
        };
        if self.open {
            return Ok(found);
        }
        public(found).ok_or_else(|| Failure::Other(private(host), false))
    }
}

/// A password, alone and as AUTH sends it.
fn hidden((user, password): &(String, Secret)) -> Vec<String> {
    let password = password.reveal();
    let plain = STANDARD.encode(format!("\0{user}\0{password}"));
    vec![plain, STANDARD.encode(password), password.to_owned()]
}

/// What a failure means.
fn judge(failure: Failure, step: Step, hidden: &[String]) -> Answer {
    let error = match failure {
        Failure::Other(reason, true) => return Answer::Disable { reason },
        Failure::Other(reason, false) => {
            return Answer::Retry {
                after: None,
                maybe_shown: false,
                reason,
            };
        }
        Failure::Smtp(error) => error,
    };
    let mut reason = said(&error, hidden);
    if let Some(why) = untrusted(&error) {
        reason = format!("{reason}: {why}");
    }
    let code = error.status().map_or(0, u16::from);
    match (code, step) {
        // Too large, or content that the server does not like: in text alone it may pass.
        (552, _) | (500..=599, Step::Content) => Answer::Drop { reason },
        (500..=599, Step::Authenticate) => Answer::Disable {
            reason: format!("{reason}: check username and password"),
        },
        (500..=599, Step::Address) => Answer::Disable {
            reason: format!("{reason}: check from and to, and whether the server wants a user"),
        },
        (500..=599, Step::Connect) => Answer::Disable { reason },
        // Without an answer to the content it may have been taken.
        (0, Step::Content) => Answer::Retry {
            after: None,
            maybe_shown: true,
            reason,
        },
        _ => Answer::Retry {
            after: None,
            maybe_shown: false,
            reason,
        },
    }
}

/// What the server said, or what went wrong on the way to it.
fn said(error: &Error, hidden: &[String]) -> String {
    let mut text = match error.status() {
        Some(_) => String::new(),
        None => error.to_string(),
    };
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&error.to_string());
        cause = error.source();
    }
    // Before anything is cut: a piece of a secret is one, too.
    let text = without(text, hidden);
    match error.status() {
        Some(code) => vendors_words(i64::from(u16::from(code)), &text),
        None => text.chars().take(200).collect(),
    }
}
