//! HMAC-SHA256 in base64, by which robots know that a message is from somebody who knows their secret.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

/// base64(HMAC-SHA256(key, message)).
pub(super) fn sha256(key: &[u8], message: &[u8]) -> String {
    STANDARD.encode(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message))
}
