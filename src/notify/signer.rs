//! Links that do something: whoever has one may acknowledge or silence one episode, or those of one message, for a while. The signature is over
//! all that the link says, so that nothing in it can be changed.

use jiff::{SignedDuration, Timestamp};
use ring::hmac;

/// How long a link does what it says.
const VALID_FOR: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Signs links, and knows its own.
#[derive(Clone)]
pub struct Signer {
    key: hmac::Key,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer(<secret>)")
    }
}

/// A link that does not do what it says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadLink {
    /// Somebody changed it, or it is of another installation.
    #[error("the link is not one of ours")]
    Forged,
    /// It was good once.
    #[error("the link has expired")]
    Expired,
}

impl Signer {
    /// A signer with this secret, of any length.
    pub fn new(secret: &[u8]) -> Signer {
        Signer {
            key: hmac::Key::new(hmac::HMAC_SHA256, secret),
        }
    }

    /// `<page>/<action>/<episode>?until=…&sig=…`, good for a week from `now`. Instead of an episode, bundles of notices can
    /// stand there, with commas between them.
    pub fn link(&self, page: &str, action: &str, episode: &str, now: Timestamp) -> String {
        let until = now
            .saturating_add(VALID_FOR)
            .unwrap_or(Timestamp::MAX)
            .as_second();
        let signature = hmac::sign(&self.key, signed(action, episode, until).as_bytes());
        format!(
            "{page}/{action}/{episode}?until={until}&sig={}",
            hex(signature.as_ref())
        )
    }

    /// Whether a link with these parts is good at `now`.
    ///
    /// # Errors
    /// When it is not one of ours, or has expired.
    pub fn verify(
        &self,
        action: &str,
        episode: &str,
        until: i64,
        signature: &str,
        now: Timestamp,
    ) -> Result<(), BadLink> {
        let given = from_hex(signature).ok_or(BadLink::Forged)?;
        hmac::verify(&self.key, signed(action, episode, until).as_bytes(), &given)
            .map_err(|_| BadLink::Forged)?;
        if now.as_second() > until {
            return Err(BadLink::Expired);
        }
        Ok(())
    }
}

fn signed(action: &str, episode: &str, until: i64) -> String {
    format!("{action}\n{episode}\n{until}")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(link: &str) -> (String, String, i64, String) {
        let (path, query) = link.split_once('?').unwrap();
        let mut path = path.rsplit('/');
        let (episode, action) = (path.next().unwrap(), path.next().unwrap());
        let (until, sig) = query.strip_prefix("until=").unwrap().split_once("&sig=").unwrap();
        (action.into(), episode.into(), until.parse().unwrap(), sig.into())
    }

    #[test]
    fn a_link_is_good_for_a_week_and_only_as_it_was_made() {
        let (signer, now) = (Signer::new(b"secret"), Timestamp::UNIX_EPOCH);
        let (action, episode, until, sig) = parts(&signer.link("https://kpi.example", "ack", "5e1f", now));
        let week = now + VALID_FOR;
        assert_eq!(signer.verify(&action, &episode, until, &sig, now), Ok(()));
        assert_eq!(signer.verify(&action, &episode, until, &sig, week), Ok(()));
        let later = week + SignedDuration::from_secs(1);
        assert_eq!(
            signer.verify(&action, &episode, until, &sig, later),
            Err(BadLink::Expired)
        );
        for (action, episode, until, sig) in [
            ("silence", "5e1f", until, sig.as_str()),
            ("ack", "5e1e", until, &sig),
            ("ack", "5e1f", until + 1, &sig),
            ("ack", "5e1f", until, &sig[2..]),
            ("ack", "5e1f", until, "zz"),
            ("ack", "5e1f", until, "é"),
            ("ack", "5e1f", until, ""),
        ] {
            assert_eq!(
                signer.verify(action, episode, until, sig, now),
                Err(BadLink::Forged)
            );
        }
        let other = Signer::new(b"another");
        assert_eq!(
            other.verify(&action, &episode, until, &sig, now),
            Err(BadLink::Forged)
        );
    }
}
