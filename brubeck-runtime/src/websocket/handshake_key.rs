//! The key of a WebSocket handshake.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::HeaderMap;
use http::header::SEC_WEBSOCKET_KEY;

/// The reason for rejecting a handshake without a valid key.
pub(crate) const INVALID_KEY: &str = "the Sec-WebSocket-Key is not the base64 of 16 bytes";

/// Returns the key of a handshake. Returns `None` unless there is one, which is the base64 of 16 bytes (RFC 6455, section 4.2.1).
pub(crate) fn handshake_key(headers: &HeaderMap) -> Option<&[u8]> {
    let mut keys = headers.get_all(SEC_WEBSOCKET_KEY).iter();
    let (Some(key), None) = (keys.next(), keys.next()) else {
        return None;
    };
    let nonce = BASE64_STANDARD.decode(key.as_bytes()).ok()?;
    (nonce.len() == 16).then_some(key.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn key_is_base64_of_16_bytes() {
        let is_valid = |keys: &[&'static str]| {
            let header = |key: &&'static str| (SEC_WEBSOCKET_KEY, HeaderValue::from_static(key));
            handshake_key(&keys.iter().map(header).collect()).is_some()
        };
        assert!(is_valid(&["dGhlIHNhbXBsZSBub25jZQ=="]));
        for keys in [
            &[] as &[&str],
            &["************************"],
            &["dGhlIHNhbXBsZSBub25jZQ"],
            &["dGhlIHNhbXBsZSBub25jZTE="],
            &["dGhlIHNhbXBsZSBub25j"],
            &[""],
            &["dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ=="],
        ] {
            assert!(!is_valid(keys), "{keys:?}");
        }
    }
}
