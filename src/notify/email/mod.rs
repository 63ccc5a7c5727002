//! E-mail, by an SMTP server: text and HTML in one mail; the mails of an episode are one conversation.
//!
//! * `letter`: a message as a mail. `html`: how it looks. `smtp`: the way to the server.

mod html;
mod letter;
mod smtp;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tls_tests;

use std::sync::Arc;
use std::time::Duration;

use super::{Answer, Channel, Limit, Opened, Parcel, Sending, Wording, destination};
use crate::settings::{self, MailTls, Receiver};
use letter::Letter;
use smtp::Server;

/// Mail servers count by the hour; storms are summaries before they come here.
const LIMITS: [Limit; 1] = [Limit {
    per_message: Duration::from_secs(2),
    burst: 5,
}];

/// People with mail addresses.
struct Email {
    server: Server,
    shown: String,
    settings: settings::Email,
    wording: Wording,
}

/// A receiver's mail addresses, ready to be written to.
pub(super) fn open(
    settings: &settings::Email,
    receiver: &Receiver,
    wording: Wording,
) -> Result<Opened, String> {
    let scheme = match settings.tls {
        MailTls::Tls => "smtps",
        MailTls::Starttls | MailTls::None => "smtp",
    };
    let to: Vec<String> = settings.to.iter().map(|to| to.email.to_string()).collect();
    let channel = Email {
        server: Server::new(settings, receiver)?,
        shown: format!(
            "{scheme}://{}:{} to {}",
            settings.server,
            settings.port,
            to.join(", ")
        ),
        settings: settings.clone(),
        wording,
    };
    let key = format!("{}:{}\n{}", settings.server, settings.port, to.join("\n"));
    Ok((Arc::new(channel), destination(&key)))
}

impl Email {
    async fn send(&self, parcel: Parcel<'_>) -> Answer {
        let message = self.wording.message(parcel.notices);
        let Some(head) = parcel.notices.first() else {
            return Answer::OK;
        };
        let letter = Letter {
            message: &message,
            form: parcel.form,
            id: letter::id(&head.id, &head.receiver, &self.settings.from),
            root: parcel.shown,
            is_urgent: parcel.notices.iter().any(letter::is_urgent),
        };
        let mail = match letter.mail(&self.settings.from, &self.settings.to) {
            Ok(mail) => mail,
            Err(reason) => return Answer::Drop { reason },
        };
        match self.server.deliver(&mail).await {
            // Every mail of the conversation names the first one.
            Answer::Ok { .. } => Answer::Ok {
                shown: Some(parcel.shown.map_or(letter.id.clone(), str::to_owned)),
            },
            answer => answer,
        }
    }
}

impl Channel for Email {
    fn send<'a>(&'a self, parcel: Parcel<'a>) -> Sending<'a> {
        Box::pin(self.send(parcel))
    }

    fn destination(&self) -> &str {
        &self.shown
    }

    fn limits(&self) -> &[Limit] {
        &LIMITS
    }
}
