//! Signatures of webhooks: Standard Webhooks 1.0.0 (<https://www.standardwebhooks.com>), and Grafana's.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use ring::signature::Ed25519KeyPair;

/// Shortest and longest symmetric secret that the standard allows, in bytes.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// A key that signs by the standard.
pub(in crate::notify) enum Key {
    /// `whsec_…`: HMAC-SHA256, version `v1`.
    Shared(hmac::Key),
    /// `whsk_…`: ed25519, version `v1a`.
    Own(Ed25519KeyPair),
}

impl Key {
    /// Reads `whsec_` or `whsk_` with base64 behind it.
    ///
    /// # Errors
    /// What is wrong with it; never holds the secret.
    pub(in crate::notify) fn parse(text: &str) -> Result<Key, String> {
        let text = text.trim();
        let decoded = |encoded: &str| {
            STANDARD
                .decode(encoded)
                .map_err(|_| "behind its prefix, a secret is base64".to_owned())
        };
        if let Some(encoded) = text.strip_prefix("whsec_") {
            let bytes = decoded(encoded)?;
            if !SECRET_BYTES.contains(&bytes.len()) {
                return Err(format!(
                    "a secret has {} to {} bytes, this one {}; make one with: echo whsec_$(openssl rand -base64 32)",
                    SECRET_BYTES.start(),
                    SECRET_BYTES.end(),
                    bytes.len()
                ));
            }
            return Ok(Key::Shared(hmac::Key::new(hmac::HMAC_SHA256, &bytes)));
        }
        if let Some(encoded) = text.strip_prefix("whsk_") {
            let bytes = decoded(encoded)?;
            // The seed alone, or the seed with the public key behind it.
            let pair = match bytes.len() {
                32 => Ed25519KeyPair::from_seed_unchecked(&bytes),
                64 => Ed25519KeyPair::from_seed_and_public_key(&bytes[..32], &bytes[32..]),
                other => {
                    return Err(format!(
                        "an ed25519 key has 32 bytes, or 64 with the public key, this one {other}"
                    ));
                }
            };
            return pair
                .map(Key::Own)
                .map_err(|_| "this is no ed25519 key, or its public key is another's".to_owned());
        }
        Err("a secret begins with whsec_, or with whsk_ for an ed25519 key".to_owned())
    }

    /// `v1,<base64>` or `v1a,<base64>`.
    fn sign(&self, signed: &[u8]) -> String {
        match self {
            Key::Shared(key) => format!("v1,{}", STANDARD.encode(hmac::sign(key, signed))),
            Key::Own(pair) => format!("v1a,{}", STANDARD.encode(pair.sign(signed))),
        }
    }
}

/// The value of `webhook-signature`: one signature a key, so that a receiver may know either while keys change.
pub(in crate::notify) fn standard(keys: &[Key], id: &str, timestamp: i64, body: &str) -> String {
    let signed = format!("{id}.{timestamp}.{body}");
    let signatures: Vec<String> = keys.iter().map(|key| key.sign(signed.as_bytes())).collect();
    signatures.join(" ")
}

/// The value of `X-Grafana-Alerting-Signature`: hex, over `timestamp:body`, or over the body alone.
pub(in crate::notify) fn grafana(secret: &str, timestamp: Option<i64>, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let mut context = hmac::Context::with_key(&key);
    if let Some(timestamp) = timestamp {
        context.update(format!("{timestamp}:").as_bytes());
    }
    context.update(body.as_bytes());
    let tag = context.sign();
    tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use ring::signature::{ED25519, KeyPair, UnparsedPublicKey};

    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const BODY: &str = r#"{"test": 2432232314}"#;

    #[test]
    fn the_vector_of_the_standard() {
        let key = Key::parse(SECRET).unwrap();
        let signature = standard(&[key], ID, 1_614_265_330, BODY);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn while_keys_change_both_sign() {
        let other = format!("whsec_{}", STANDARD.encode([7; 24]));
        let keys = [Key::parse(&other).unwrap(), Key::parse(SECRET).unwrap()];
        let signatures = standard(&keys, ID, 1_614_265_330, BODY);
        let parts: Vec<&str> = signatures.split(' ').collect();
        assert_eq!(parts[1], "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert!(parts[0].starts_with("v1,") && parts[0] != parts[1]);
    }

    #[test]
    fn an_ed25519_key_signs_what_its_public_key_verifies() {
        let seed = [9; 32];
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
        let public = pair.public_key().as_ref();
        let both = [seed.as_slice(), public].concat();
        for secret in [STANDARD.encode(seed), STANDARD.encode(both)] {
            let key = Key::parse(&format!("whsk_{secret}")).unwrap();
            let signatures = standard(&[key], ID, 1_614_265_330, BODY);
            let signature = STANDARD.decode(signatures.strip_prefix("v1a,").unwrap()).unwrap();
            let signed = format!("{ID}.1614265330.{BODY}");
            let verified = UnparsedPublicKey::new(&ED25519, public).verify(signed.as_bytes(), &signature);
            assert!(verified.is_ok());
        }
    }

    #[test]
    fn grafanas_vector() {
        assert_eq!(
            grafana("test_secret", Some(1_599_360_473), r#"{"a":1}"#),
            "5861ac5b8da5c40a6c0f350d7709d4c55fefafda52dcaf230c7f35cf3e01bd04"
        );
        assert_ne!(
            grafana("test_secret", None, r#"{"a":1}"#),
            grafana("test_secret", Some(0), r#"{"a":1}"#)
        );
    }

    #[test]
    fn a_wrong_secret_is_refused_and_not_told() {
        let encoded = |bytes: usize| STANDARD.encode(vec![1; bytes]);
        for (secret, reason) in [
            ("verysecret".to_owned(), "a secret begins with whsec_"),
            (
                "whsec_verysecret!".to_owned(),
                "behind its prefix, a secret is base64",
            ),
            (
                format!("whsec_{}", encoded(23)),
                "a secret has 24 to 64 bytes, this one 23",
            ),
            (
                format!("whsec_{}", encoded(65)),
                "a secret has 24 to 64 bytes, this one 65",
            ),
            (format!("whsk_{}", encoded(31)), "an ed25519 key has 32 bytes"),
            (format!("whsk_{}", encoded(64)), "this is no ed25519 key"),
        ] {
            let told = Key::parse(&secret).err().unwrap();
            assert!(told.starts_with(reason) && !told.contains("verysecret"), "{told}");
        }
        for bytes in [24, 64] {
            assert!(Key::parse(&format!("whsec_{}", encoded(bytes))).is_ok());
        }
    }
}
