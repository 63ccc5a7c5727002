//! `email`: people with mail addresses, by an SMTP server.

use std::net::IpAddr;
use std::path::PathBuf;

use lettre::message::Mailbox;
use schemars::JsonSchema;
use serde::Deserialize;

use super::super::load::SecretKeys;
use super::{Checker, Common, Secret, entry, is_public};

/// People to whom one mail goes at most.
const MOST: usize = 50;

/// People with mail addresses.
#[derive(Clone, PartialEq, Debug)]
pub struct Email {
    /// Name or address of the SMTP server.
    pub server: String,
    /// Its port.
    pub port: u16,
    /// How the way to it is encrypted.
    pub tls: MailTls,
    /// User name and password, where the server asks for them.
    pub credentials: Option<(String, Secret)>,
    /// Who the mails are from.
    pub from: Mailbox,
    /// Who gets them; one at least.
    pub to: Vec<Mailbox>,
}

impl Email {
    /// Whether the server is this machine.
    pub fn is_loopback(&self) -> bool {
        let ip: Option<IpAddr> = self.server.trim_matches(['[', ']']).parse().ok();
        self.server == "localhost" || ip.is_some_and(|ip| ip.is_loopback())
    }
}

/// How the way to a mail server is encrypted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MailTls {
    /// It begins in the clear and must change to TLS before anything is said.
    #[default]
    Starttls,
    /// TLS from the first byte.
    Tls,
    /// Not at all.
    None,
}

impl MailTls {
    /// The port where servers wait for it.
    fn port(self) -> u16 {
        match self {
            MailTls::Starttls => 587,
            MailTls::Tls => 465,
            MailTls::None => 25,
        }
    }
}

entry! {
    pub(super) struct EmailEntry {
        server: Option<String>,
        port: Option<u16>,
        #[serde(default)]
        tls: MailTls,
        username: Option<String>,
        password: Option<String>,
        password_file: Option<PathBuf>,
        from: Option<String>,
        #[serde(default)]
        to: Vec<String>,
    }
}

const PASSWORD: SecretKeys = SecretKeys {
    file: "password_file",
    example: "password_file: /run/secrets/smtp or password: ${SMTP_PASSWORD}",
};

pub(super) fn read(
    checker: &mut Checker,
    path: &[&str],
    entry: EmailEntry,
    common: &Common,
) -> Option<Email> {
    let at = |key: &'static str| -> Vec<&str> { path.iter().copied().chain([key]).collect() };
    let Some(server) = entry
        .server
        .map(|server| server.trim().to_owned())
        .filter(|s| !s.is_empty())
    else {
        checker.problem(path, "the mail server is missing; write server: smtp.example.com");
        return None;
    };
    if server.contains(['/', '@']) || (server.contains(':') && server.parse::<IpAddr>().is_err()) {
        let message = "this is no name of a mail server; write server: smtp.example.com, and port: 587 if it is another";
        checker.problem(&at("server"), message);
        return None;
    }
    let credentials = credentials(checker, path, entry.username, entry.password, entry.password_file)?;
    let Some(from) = entry.from else {
        checker.problem(
            path,
            "the sender is missing; write from: 'tautline <kpi@example.com>'",
        );
        return None;
    };
    let from = address(checker, &at("from"), &from)?;
    if entry.to.is_empty() || entry.to.len() > MOST {
        let message = format!(
            "a mail goes to 1 to {MOST} people; write to: [ops@example.com], or the address of a mailing list"
        );
        checker.problem(&at("to"), message);
        return None;
    }
    let to: Option<Vec<Mailbox>> = entry
        .to
        .iter()
        .map(|to| address(checker, &at("to"), to))
        .collect();
    let email = Email {
        port: entry.port.unwrap_or(entry.tls.port()),
        server,
        tls: entry.tls,
        credentials,
        from,
        to: to?,
    };
    let literal: Option<IpAddr> = email.server.parse().ok();
    let private = email.is_loopback() || literal.is_some_and(|ip| !is_public(ip));
    if private && !common.allow_private {
        let where_to = match email.is_loopback() {
            true => "this machine",
            false => "a private network",
        };
        let message = format!("the mail server is on {where_to}; if that is meant, add allow_private: true");
        checker.problem(&at("server"), message);
    }
    if email.tls == MailTls::None && !email.is_loopback() && !common.allow_insecure {
        let message = "mail goes unencrypted to this machine only, unless allow_insecure: true; write tls: starttls or tls: tls";
        checker.problem(&at("tls"), message);
    }
    Some(email)
}

type Credentials = Option<(String, Secret)>;

fn credentials(
    checker: &mut Checker,
    path: &[&str],
    username: Option<String>,
    password: Option<String>,
    file: Option<PathBuf>,
) -> Option<Credentials> {
    match (username, password.is_some() || file.is_some()) {
        (None, false) => Some(None),
        (None, true) => {
            checker.problem(path, "a password without a user; add username: …");
            None
        }
        (Some(username), _) => {
            let password = checker.secret(path, &PASSWORD, password, file)?;
            Some(Some((username, Secret::new(password))))
        }
    }
}

/// A mail address with or without a name before it.
fn address(checker: &mut Checker, path: &[&str], text: &str) -> Option<Mailbox> {
    let mailbox = text.parse::<Mailbox>().ok();
    // Addresses beyond ASCII need servers all the way that know them.
    let mailbox = mailbox.filter(|mailbox| AsRef::<str>::as_ref(&mailbox.email).is_ascii());
    if mailbox.is_none() {
        let message =
            format!("'{text}' is no mail address; write ops@example.com or 'Ops <ops@example.com>'");
        checker.problem(path, message);
    }
    mailbox
}
