//! Identities and ids. All of them are hashes of what they name, never random and never of a time: replaying the same
//! judgements gives the same ids, so that a receiver can tell a repeat from something new.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use xxhash_rust::xxh3::Xxh3;

use super::record::Labels;

/// Identity of an alert: a hash of rule name and identity labels. Shown and stored as 16 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(u64);

/// Text that is not a [`Fingerprint`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a fingerprint is 16 hex digits")]
pub struct NotAFingerprint;

/// The fingerprint of a rule on one identity. Severity, values and words are attributes: they must not be among
/// `identity`, or the alert would become another one with each change.
pub fn fingerprint(rule: &str, identity: &Labels) -> Fingerprint {
    fingerprint_of(
        rule,
        identity
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str())),
    )
}

/// The fingerprint of a rule and its labels in the order of their names.
pub fn fingerprint_of<'l>(rule: &str, identity: impl IntoIterator<Item = (&'l str, &'l str)>) -> Fingerprint {
    let mut hash = Canonical::default();
    hash.text(rule);
    for (name, value) in identity {
        hash.text(name);
        hash.text(value);
    }
    Fingerprint(hash.digest())
}

/// The id of the `n`th episode of an identity, 16 hex digits. The store id keeps it apart from the episodes of a
/// state store that was thrown away; the count is kept in the record, so it survives restarts.
pub fn episode_id(store_id: &str, fingerprint: Fingerprint, n: u64) -> String {
    let mut hash = Canonical::default();
    hash.text(store_id);
    hash.number(fingerprint.0);
    hash.number(n);
    format!("{:016x}", hash.digest())
}

/// The id of the `seq`th notice of an episode; the same for every receiver of one decision, and over every retry.
pub fn notice_id(episode: &str, seq: u32) -> String {
    format!("{episode}.{seq}")
}

/// A hash of a sequence of texts and numbers in which every text carries its length: `("ab", "c")` is not `("a", "bc")`.
#[derive(Default)]
struct Canonical(Xxh3);

impl Canonical {
    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.update(text.as_bytes());
    }

    fn number(&mut self, number: u64) {
        self.0.update(&number.to_le_bytes());
    }

    fn digest(&self) -> u64 {
        self.0.digest()
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for Fingerprint {
    type Err = NotAFingerprint;

    fn from_str(text: &str) -> Result<Fingerprint, NotAFingerprint> {
        // `from_str_radix` alone would take a sign and any length.
        if text.len() != 16 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(NotAFingerprint);
        }
        u64::from_str_radix(text, 16)
            .map(Fingerprint)
            .map_err(|_| NotAFingerprint)
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Fingerprint, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn a_fingerprint_depends_on_rule_and_labels_and_on_where_one_ends() {
        let base = fingerprint("hollow", &labels(&[("node", "ab"), ("parent", "c")]));
        assert_eq!(
            base,
            fingerprint("hollow", &labels(&[("parent", "c"), ("node", "ab")]))
        );
        assert_ne!(
            base,
            fingerprint("gaming", &labels(&[("node", "ab"), ("parent", "c")]))
        );
        assert_ne!(
            base,
            fingerprint("hollow", &labels(&[("node", "a"), ("parent", "bc")]))
        );
    }

    /// Ids are stored and sent: these must never change, or a restart after an upgrade would open every incident anew.
    #[test]
    fn ids_stay_the_same_over_versions() {
        let fingerprint = fingerprint("hollow", &labels(&[("node", "articles"), ("period", "2026-06")]));
        let episode = episode_id("store", fingerprint, 1);
        insta::assert_snapshot!(format!("{fingerprint} {}", notice_id(&episode, 2)), @"71df9bc5187907e9 4415a9b083f8bba3.2");
    }

    #[test]
    fn a_fingerprint_is_16_hex_digits_in_text_and_json() {
        let fingerprint = Fingerprint(0xab);
        assert_eq!(fingerprint.to_string(), "00000000000000ab");
        assert_eq!("00000000000000ab".parse(), Ok(fingerprint));
        assert_eq!(
            serde_json::to_string(&fingerprint).unwrap(),
            "\"00000000000000ab\""
        );
        assert_eq!(
            serde_json::from_str::<Fingerprint>("\"00000000000000ab\"").unwrap(),
            fingerprint
        );
        for bad in [
            "",
            "ab",
            "+0000000000000ab",
            "000000000000000ab",
            "00000000000000zz",
        ] {
            assert_eq!(bad.parse::<Fingerprint>(), Err(NotAFingerprint), "{bad}");
        }
    }
}
