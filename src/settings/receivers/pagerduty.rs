//! `pagerduty`: a service of PagerDuty, by an integration of the Events API v2.

use std::path::PathBuf;

use reqwest::Url;

use super::super::load::SecretKeys;
use super::{Checker, Common, Secret, entry};

/// Where events go; services in the EU have `https://events.eu.pagerduty.com`.
const API: &str = "https://events.pagerduty.com";
/// Characters of a routing key.
const KEY: usize = 32;

/// A service of PagerDuty.
#[derive(Clone, PartialEq, Debug)]
pub struct PagerDuty {
    /// The integration key, which is the secret.
    pub routing_key: Secret,
    /// Where the Events API begins.
    pub api_url: Url,
}

entry! {
    pub(super) struct PagerDutyEntry {
        routing_key: Option<String>,
        routing_key_file: Option<PathBuf>,
        api_url: Option<String>,
    }
}

const ROUTING_KEY: SecretKeys = SecretKeys {
    file: "routing_key_file",
    example: "routing_key_file: /run/secrets/pagerduty or routing_key: ${PAGERDUTY_KEY}",
};

pub(super) fn read(
    checker: &mut Checker,
    path: &[&str],
    entry: PagerDutyEntry,
    common: &Common,
) -> Option<PagerDuty> {
    let at_url: Vec<&str> = path.iter().copied().chain(["api_url"]).collect();
    let key = checker.secret(path, &ROUTING_KEY, entry.routing_key, entry.routing_key_file);
    let api = entry.api_url.as_deref().unwrap_or(API);
    let api_url = checker.check_url(&at_url, API, api, common)?;
    let key = key?.trim().to_owned();
    if key.len() != KEY || !key.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        let message = "this is no routing key, which has 32 letters and digits; it is the integration key of 'Events API V2' among the service's integrations";
        checker.problem(path, message);
        return None;
    }
    Some(PagerDuty {
        routing_key: Secret::new(key),
        api_url,
    })
}
