//! The app as one person meets it: knows what Slack sends when somebody presses a button, and answers that person alone.

use reqwest::Url;
use reqwest::header::HeaderMap;
use ring::hmac;
use serde_json::json;

use crate::notify::http::Http;
use crate::settings::{self, Channel, Receiver, Settings};
use crate::words::Language;

/// An app that has a signing secret.
pub struct App {
    key: hmac::Key,
    http: Http,
    headers: HeaderMap,
    whisper: Url,
    language: Language,
}

impl App {
    /// The apps of all receivers that can be spoken to.
    ///
    /// # Errors
    /// When one of them cannot be written to; the text never holds a secret.
    pub fn of(settings: &Settings) -> Result<Vec<App>, String> {
        let bots = settings
            .receivers
            .values()
            .filter_map(|receiver| match &receiver.channel {
                Channel::SlackBot(bot) => Some((bot, receiver)),
                _ => None,
            });
        bots.filter_map(|(bot, receiver)| App::new(bot, receiver, settings.language).transpose())
            .collect()
    }

    fn new(bot: &settings::SlackBot, receiver: &Receiver, language: Language) -> Result<Option<App>, String> {
        let Some(secret) = &bot.signing_secret else {
            return Ok(None);
        };
        let (http, headers) = super::way(bot, receiver)?;
        Ok(Some(App {
            key: hmac::Key::new(hmac::HMAC_SHA256, secret.reveal().as_bytes()),
            http,
            headers,
            whisper: super::method(bot, "chat.postEphemeral")?,
            language,
        }))
    }

    /// Whether the signature of what Slack sent is made with this app's secret.
    pub(crate) fn has_signed(&self, signed: &[u8], signature: &[u8]) -> bool {
        hmac::verify(&self.key, signed, signature).is_ok()
    }

    /// Says to the one who pressed a button that it came too late. Nobody else sees it, and a failure is only logged:
    /// the message itself says how the episode stands.
    pub(crate) async fn tell_too_late(&self, channel: &str, user: &str) {
        let text = self.language.pick(
            "这个告警已经结束，不需要再认领。",
            "This alert is over already: nobody needs to take it any more.",
        );
        let body = json!({"channel": channel, "user": user, "text": text}).to_string();
        let sent = self
            .http
            .post_to(self.whisper.clone(), self.headers.clone(), body);
        let failed = match sent.await {
            Ok(reply) => {
                let said: serde_json::Value = serde_json::from_str(&reply.body).unwrap_or_default();
                (said["ok"] != true).then(|| format!("{} {}", reply.status, said["error"]))
            }
            Err(answer) => Some(format!("{answer:?}")),
        };
        if let Some(reason) = failed {
            tracing::warn!(reason, "the one who pressed a button too late could not be told");
        }
    }

    /// An app with this secret that reaches nobody.
    #[cfg(test)]
    pub(crate) fn with_secret(secret: &str) -> App {
        let bot = settings::SlackBot {
            token: settings::Secret::new("xoxb-unused"),
            channel: "C00000000".to_owned(),
            signing_secret: Some(settings::Secret::new(secret)),
            workspace: None,
            workspace_per_minute: settings::SLACK_WORKSPACE_PER_MINUTE,
            api_url: "http://127.0.0.1:9/api".parse().unwrap(),
        };
        let receiver = Receiver::local(Channel::SlackBot(bot.clone()));
        App::new(&bot, &receiver, Language::En).unwrap().unwrap()
    }
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App")
            .field("destination", &self.http.destination())
            .finish()
    }
}
