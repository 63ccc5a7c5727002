//! Receivers: whom messages go to. A receiver is one channel, with the keys that every channel has; each channel's
//! own keys are in the file with its name.

mod alertmanager;
mod dingtalk;
mod email;
mod feishu;
mod mention;
mod pagerduty;
mod slack_bot;
mod slack_webhook;
mod slack_workspace;
mod teams;
mod templates;
mod webhook;
mod wecom;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Certificate, Url};
use schemars::JsonSchema;
use serde::Deserialize;

use super::Secret;
use super::address::{is_loopback, is_public, literal};
use super::load::{Checker, SecretKeys};
use crate::catalog::file::Duration as Time;

pub use alertmanager::Alertmanager;
pub use dingtalk::DingTalk;
pub use email::{Email, MailTls};
pub use feishu::Feishu;
pub use mention::Mention;
pub use pagerduty::PagerDuty;
pub use slack_bot::SlackBot;
pub use slack_webhook::SlackWebhook;
pub use slack_workspace::{PER_MINUTE as SLACK_WORKSPACE_PER_MINUTE, Rate as SlackRate};
pub use teams::Teams;
pub use templates::{Templates, Words};
pub use webhook::{OwnBody, OwnEnd, Signature, Webhook, WebhookFormat};
pub use wecom::WeCom;

/// Somebody who can be told.
#[derive(Clone, PartialEq, Debug)]
pub struct Receiver {
    /// How they are reached.
    pub channel: Channel,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// How long a notice is tried before it is given up.
    pub give_up_after: Duration,
    /// Whether the address may be on a private network or on this machine.
    pub allow_private: bool,
    /// Certificate authorities that are trusted besides those of the system, as PEM.
    pub ca: Option<Vec<u8>>,
    /// Own wording of its messages.
    pub templates: Templates,
}

impl Receiver {
    /// The same on this machine, where tests have their services.
    #[cfg(test)]
    pub(crate) fn local(channel: Channel) -> Receiver {
        Receiver {
            allow_private: true,
            ..Receiver::new(channel)
        }
    }

    /// A receiver for whom nothing else was set.
    pub fn new(channel: Channel) -> Receiver {
        Receiver {
            channel,
            timeout: Duration::from_secs(15),
            give_up_after: Duration::from_hours(24),
            allow_private: false,
            ca: None,
            templates: Templates::default(),
        }
    }
}

/// A way to reach people.
#[derive(Clone, PartialEq, Debug)]
pub enum Channel {
    /// A Slack incoming webhook.
    SlackWebhook(SlackWebhook),
    /// A Slack app in a channel.
    SlackBot(SlackBot),
    /// A custom bot of Feishu or Lark.
    Feishu(Feishu),
    /// A robot of a DingTalk group.
    DingTalk(DingTalk),
    /// A robot of a WeCom group.
    WeCom(WeCom),
    /// A workflow of Teams.
    Teams(Teams),
    /// People with mail addresses.
    Email(Email),
    /// A service of PagerDuty.
    PagerDuty(PagerDuty),
    /// A program, by a signed webhook.
    Webhook(Webhook),
    /// An Alertmanager.
    Alertmanager(Alertmanager),
}

/// A mapping of a channel: its own keys, and those that every channel has. They are written out in every one of them,
/// so that an unknown key is told with the nearest known one, at its place.
macro_rules! entry {
    ($vis:vis struct $name:ident { $($(#[$attribute:meta])* $field:ident: $type:ty,)* }) => {
        #[derive(serde::Deserialize, schemars::JsonSchema, Debug)]
        #[serde(deny_unknown_fields)]
        $vis struct $name {
            $($(#[$attribute])* $field: $type,)*
            timeout: Option<crate::catalog::file::Duration>,
            give_up_after: Option<crate::catalog::file::Duration>,
            #[serde(default)]
            allow_insecure: bool,
            #[serde(default)]
            allow_private: bool,
            ca_file: Option<std::path::PathBuf>,
            templates: Option<super::templates::TemplatesEntry>,
        }

        impl $name {
            $vis fn common(&self) -> super::Common {
                super::Common {
                    timeout: self.timeout,
                    give_up_after: self.give_up_after,
                    allow_insecure: self.allow_insecure,
                    allow_private: self.allow_private,
                    ca_file: self.ca_file.clone(),
                    templates: self.templates.clone(),
                }
            }
        }
    };
}
use entry;

/// What every channel has.
#[derive(Debug)]
struct Common {
    timeout: Option<Time>,
    give_up_after: Option<Time>,
    allow_insecure: bool,
    allow_private: bool,
    ca_file: Option<PathBuf>,
    templates: Option<templates::TemplatesEntry>,
}

/// How a URL is written that is a secret.
struct UrlKeys {
    /// One of `url_file` and `url`, with values.
    choice: &'static str,
    /// What such a URL looks like.
    looks_like: &'static str,
}

/// Makes the mapping of a receiver, and the one place where the key of a channel meets the function that reads it.
macro_rules! channels {
    ($($key:ident: $entry:path => $variant:ident,)*) => {
        /// Exactly one of these; which of them, is checked by hand, for a better error.
        #[derive(Deserialize, JsonSchema, Debug)]
        #[serde(deny_unknown_fields)]
        #[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
        pub(super) struct ReceiverEntry {
            $($key: Option<$entry>,)*
        }

        const CHANNELS: &[&str] = &[$(stringify!($key)),*];

        impl Channel {
            /// The key of the channel in the settings.
            pub fn key(&self) -> &'static str {
                match self {
                    $(Channel::$variant(_) => stringify!($key),)*
                }
            }
        }

        impl ReceiverEntry {
            fn given(&self) -> Vec<&'static str> {
                let all = [$((stringify!($key), self.$key.is_some())),*];
                all.into_iter().filter(|(_, given)| *given).map(|(key, _)| key).collect()
            }
        }

        impl Checker {
            fn receiver(&mut self, name: &str, entry: ReceiverEntry) -> Option<Receiver> {
                $(if let Some(entry) = entry.$key {
                    let path = ["receivers", name, stringify!($key)];
                    let common = entry.common();
                    let channel = $key::read(self, &path, entry, &common)?;
                    return Some(self.with_common(&path, Channel::$variant(channel), &common));
                })*
                None
            }
        }
    };
}

channels! {
    dingtalk: dingtalk::DingTalkEntry => DingTalk,
    feishu: feishu::FeishuEntry => Feishu,
    slack_bot: slack_bot::SlackBotEntry => SlackBot,
    slack_webhook: slack_webhook::SlackWebhookEntry => SlackWebhook,
    teams: teams::TeamsEntry => Teams,
    wecom: wecom::WeComEntry => WeCom,
    email: email::EmailEntry => Email,
    pagerduty: pagerduty::PagerDutyEntry => PagerDuty,
    webhook: webhook::WebhookEntry => Webhook,
    alertmanager: alertmanager::AlertmanagerEntry => Alertmanager,
}

impl Checker {
    pub(super) fn receivers(
        &mut self,
        entries: BTreeMap<String, ReceiverEntry>,
    ) -> BTreeMap<String, Receiver> {
        let mut receivers = BTreeMap::new();
        for (name, entry) in entries {
            let message = match entry.given().as_slice() {
                [_] => {
                    if let Some(receiver) = self.receiver(&name, entry) {
                        receivers.insert(name, receiver);
                    }
                    continue;
                }
                [] => format!(
                    "receiver '{name}' has no channel; write one of {}",
                    CHANNELS.join(", ")
                ),
                several => format!(
                    "receiver '{name}' has several channels: {}; make it one receiver each, and name all of them in 'routes'",
                    several.join(", ")
                ),
            };
            self.problem(&["receivers", &name], message);
        }
        self.same_workspace(receivers.iter());
        receivers
    }

    fn with_common(&mut self, path: &[&str], channel: Channel, common: &Common) -> Receiver {
        let plain = Receiver::new(channel);
        let templates = templates::read(self, path, common.templates.clone());
        let ca = common
            .ca_file
            .as_ref()
            .and_then(|file| self.authorities(path, file));
        let mut time = |key: &str, time: Option<Time>, default: Duration| match time {
            None => default,
            Some(time) => match Duration::try_from(time.0) {
                Ok(time) if !time.is_zero() => time,
                _ => {
                    let path: Vec<&str> = path.iter().copied().chain([key]).collect();
                    self.problem(
                        &path,
                        format!("with no time for it nothing is sent; write {key}: 10s"),
                    );
                    default
                }
            },
        };
        Receiver {
            timeout: time("timeout", common.timeout, plain.timeout),
            give_up_after: time("give_up_after", common.give_up_after, plain.give_up_after),
            allow_private: common.allow_private,
            ca,
            templates,
            channel: plain.channel,
        }
    }

    /// Certificate authorities from a file, as PEM.
    fn authorities(&mut self, path: &[&str], file: &Path) -> Option<Vec<u8>> {
        let file = self.below(file.to_owned());
        let read = std::fs::read(&file).map_err(|error| error.to_string());
        let checked = read.and_then(|pem| match Certificate::from_pem_bundle(&pem) {
            Ok(all) if !all.is_empty() => Ok(pem),
            _ => Err("it holds no certificate as PEM".to_owned()),
        });
        match checked {
            Ok(pem) => Some(pem),
            Err(reason) => {
                let path: Vec<&str> = path.iter().copied().chain(["ca_file"]).collect();
                self.problem(&path, format!("{} cannot be used: {reason}", file.display()));
                None
            }
        }
    }

    /// A URL that is a secret, from a file or a variable: it is never shown.
    fn secret_url(
        &mut self,
        path: &[&str],
        keys: &UrlKeys,
        url: Option<String>,
        url_file: Option<PathBuf>,
        common: &Common,
    ) -> Option<Secret> {
        let names = SecretKeys {
            file: "url_file",
            example: keys.choice,
        };
        let url = self.secret(path, &names, url, url_file)?;
        self.check_url(path, keys.looks_like, &url, common)?;
        Some(Secret::new(url.trim()))
    }

    /// The secret by which messages to a robot are signed; not every robot has one.
    fn signing_secret(
        &mut self,
        path: &[&str],
        secret: Option<String>,
        file: Option<PathBuf>,
    ) -> Option<Secret> {
        if secret.is_none() && file.is_none() {
            return None;
        }
        let names = SecretKeys {
            file: "secret_file",
            example: "secret_file: /run/secrets/robot or secret: ${ROBOT_SECRET}",
        };
        self.secret(path, &names, secret, file).map(Secret::new)
    }

    /// Whether messages may go to this URL; says why not.
    fn check_url(&mut self, path: &[&str], looks_like: &str, url: &str, common: &Common) -> Option<Url> {
        let parsed = Url::parse(url.trim()).ok().filter(Url::has_host);
        let Some(url) = parsed else {
            self.problem(
                path,
                format!("the URL cannot be read; it looks like {looks_like}"),
            );
            return None;
        };
        let loopback = is_loopback(&url);
        if url.scheme() != "https" && !(url.scheme() == "http" && (loopback || common.allow_insecure)) {
            self.problem(
                path,
                "the URL must begin with https; http goes to this machine only, unless allow_insecure: true",
            );
            return None;
        }
        // What a name stands for is looked at when it is used.
        let private = loopback || literal(&url).is_some_and(|ip| !is_public(ip));
        if private && !common.allow_private {
            let where_to = if loopback {
                "this machine"
            } else {
                "a private network"
            };
            self.problem(
                path,
                format!("the URL goes to {where_to}; if that is meant, add allow_private: true"),
            );
            return None;
        }
        Some(url)
    }
}

#[cfg(test)]
mod tests;
