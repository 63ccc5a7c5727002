//! `alertmanager`: every replica of an Alertmanager that a company has already.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;

use super::super::load::SecretKeys;
use super::{Checker, Common, Secret, entry};
use crate::catalog::file::Duration as Time;

/// An Alertmanager.
#[derive(Clone, PartialEq, Debug)]
pub struct Alertmanager {
    /// Its replicas, each at the address under which its API begins; one at least.
    pub urls: Vec<Url>,
    /// User name and password, where it asks for them.
    pub credentials: Option<(String, Secret)>,
    /// How often it is told again what fires.
    pub resend: Duration,
}

entry! {
    pub(super) struct AlertmanagerEntry {
        #[serde(default)]
        urls: Vec<String>,
        username: Option<String>,
        password: Option<String>,
        password_file: Option<PathBuf>,
        resend: Option<Time>,
    }
}

const PASSWORD: SecretKeys = SecretKeys {
    file: "password_file",
    example: "password_file: /run/secrets/alertmanager or password: ${ALERTMANAGER_PASSWORD}",
};

pub(super) fn read(
    checker: &mut Checker,
    path: &[&str],
    entry: AlertmanagerEntry,
    common: &Common,
) -> Option<Alertmanager> {
    if entry.urls.is_empty() {
        checker.problem(
            path,
            "the replicas are missing; write urls: [https://alertmanager-0:9093, https://alertmanager-1:9093]",
        );
        return None;
    }
    let mut urls = Vec::new();
    for url in &entry.urls {
        let url = checker.check_url(path, "https://alertmanager-0.example.com:9093", url, common)?;
        if !url.username().is_empty() || url.password().is_some() {
            let message = "the URL holds a user or a password, and it is printed; write username: … and password_file: …";
            checker.problem(path, message);
            return None;
        }
        urls.push(url);
    }
    let has_password = entry.password.is_some() || entry.password_file.is_some();
    let credentials = match entry.username {
        None if has_password => {
            checker.problem(path, "a password without a user; add username: …");
            return None;
        }
        None => None,
        Some(username) => {
            let password = checker.secret(path, &PASSWORD, entry.password, entry.password_file)?;
            Some((username, Secret::new(password)))
        }
    };
    let resend = entry
        .resend
        .map_or(Ok(Duration::from_mins(1)), |time| Duration::try_from(time.0));
    let allowed = Duration::from_secs(1)..=Duration::from_hours(1);
    let Some(resend) = resend.ok().filter(|resend| allowed.contains(resend)) else {
        checker.problem(
            path,
            "what fires may be sent again every 1s to 1h; write resend: 1m",
        );
        return None;
    };
    Some(Alertmanager {
        urls,
        credentials,
        resend,
    })
}
