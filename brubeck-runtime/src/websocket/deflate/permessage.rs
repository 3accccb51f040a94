//! Negotiation and use of `permessage-deflate` (RFC 7692).

use crate::websocket::Close;
use crate::websocket::codec::deflate::{self, InflateError, MAX_WINDOW_BITS};
use http::HeaderMap;
use http::header::{HeaderValue, SEC_WEBSOCKET_EXTENSIONS};

/// The size in bytes from which messages are compressed. Compression of smaller messages saves little.
const MIN_COMPRESSED_BYTES: usize = 128;

/// The negotiated parameters of `permessage-deflate`.
///
/// Context takeover is disabled for both sides. Idle connections therefore take no memory for compression, and a broadcast message is
/// compressed once for all clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PermessageDeflate {
    /// The window size of the client's decompressor, in bits.
    window: u8,
}

impl PermessageDeflate {
    /// Accepts the first offer of the client that is supported. Returns `None` if there is none.
    pub(crate) fn negotiate(headers: &HeaderMap) -> Option<PermessageDeflate> {
        headers
            .get_all(SEC_WEBSOCKET_EXTENSIONS)
            .iter()
            .flat_map(|value| split(value.as_bytes(), b','))
            .find_map(PermessageDeflate::accept)
    }

    /// Parses an offer (section 7.1). Returns `None` for other extensions, and for unknown, duplicate or invalid parameters.
    fn accept(offer: &[u8]) -> Option<PermessageDeflate> {
        let mut parts = split(offer, b';');
        if parts.next() != Some(b"permessage-deflate") {
            return None;
        }
        let mut window = MAX_WINDOW_BITS;
        let mut seen: Vec<&[u8]> = Vec::new();
        for parameter in parts {
            let mut pair = parameter.splitn(2, |byte| *byte == b'=').map(<[u8]>::trim_ascii);
            let (name, value) = (pair.next()?, pair.next());
            if seen.contains(&name) {
                return None;
            }
            match (name, value) {
                // Context takeover is always disabled, so there is nothing to record.
                (b"server_no_context_takeover" | b"client_no_context_takeover", None) => {}
                // The client's window can be of any size, because the whole output is the window.
                (b"client_max_window_bits", None) => {}
                (b"client_max_window_bits", Some(value)) => drop(window_bits(value)?),
                (b"server_max_window_bits", Some(value)) => window = window_bits(value)?,
                _ => return None,
            }
            seen.push(name);
        }
        Some(PermessageDeflate { window })
    }

    /// Returns the `sec-websocket-extensions` header of the response.
    pub(crate) fn header(self) -> HeaderValue {
        let parameters = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
        let text = match self.window {
            MAX_WINDOW_BITS => return HeaderValue::from_static(parameters),
            window => format!("{parameters}; server_max_window_bits={window}"),
        };
        // The fallback is unreachable: the text is ASCII.
        HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(parameters))
    }

    /// Returns `true` if the client can decompress broadcast messages, which use the largest window.
    pub(crate) fn has_max_window(self) -> bool {
        self.window == MAX_WINDOW_BITS
    }

    /// Compresses a message for this client. Returns `None` if the message is smaller than [`MIN_COMPRESSED_BYTES`], or if compression
    /// would save fewer than five bytes.
    pub(crate) fn deflate(self, bytes: &[u8]) -> Option<Vec<u8>> {
        match bytes.len() {
            MIN_COMPRESSED_BYTES.. => deflate::deflate(bytes, self.window),
            _ => None,
        }
    }

    /// Compresses a message for all clients with the [largest window](Self::has_max_window). Returns `None` in the same cases as
    /// [`deflate`](Self::deflate).
    pub(crate) fn deflate_for_broadcast(bytes: &[u8]) -> Option<Vec<u8>> {
        PermessageDeflate {
            window: MAX_WINDOW_BITS,
        }
        .deflate(bytes)
    }

    /// Decompresses a message of this client.
    ///
    /// # Errors
    ///
    /// Returns the close for the client if the message is invalid, or its content exceeds `limit` bytes.
    pub(crate) fn inflate(self, bytes: &[u8], limit: usize) -> Result<Vec<u8>, Close> {
        deflate::inflate(bytes, limit).map_err(|error| match error {
            InflateError::TooLarge => Close::TOO_LARGE,
            InflateError::Malformed => Close::NOT_UTF8,
        })
    }
}

/// Splits a header value at a separator, except within quoted strings.
fn split(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    let parts = text.split(move |byte| {
        quoted ^= *byte == b'"';
        !quoted && *byte == separator
    });
    parts.map(<[u8]>::trim_ascii)
}

/// Parses a window size of 8 to 15 bits, which may be quoted.
fn window_bits(value: &[u8]) -> Option<u8> {
    let value = match value {
        [b'"', value @ .., b'"'] => value,
        value => value,
    };
    match value {
        [digit @ b'8'..=b'9'] => Some(digit - b'0'),
        [b'1', digit @ b'0'..=b'5'] => Some(10 + digit - b'0'),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn negotiated(offers: &[&'static str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for offer in offers {
            headers.append(SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_static(offer));
        }
        let header = PermessageDeflate::negotiate(&headers)?.header();
        let text = header.to_str().unwrap();
        let rest = text
            .strip_prefix("permessage-deflate; server_no_context_takeover; client_no_context_takeover")
            .unwrap();
        Some(rest.to_owned())
    }

    #[test]
    fn accepts_first_supported_offer() {
        for offer in [
            "permessage-deflate",
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate;client_max_window_bits = 9 ; server_no_context_takeover",
            "permessage-deflate; client_max_window_bits=\"15\"; client_no_context_takeover",
            "x-other; a=\", permessage-deflate; b\", permessage-deflate",
        ] {
            assert_eq!(negotiated(&[offer]).as_deref(), Some(""), "{offer}");
        }
        let small = "; server_max_window_bits=10";
        assert_eq!(
            negotiated(&["permessage-deflate; server_max_window_bits=10"]).as_deref(),
            Some(small)
        );
        let some = "permessage-deflate; unknown, permessage-deflate; server_max_window_bits=10";
        assert_eq!(negotiated(&[some, "permessage-deflate"]).as_deref(), Some(small));
    }

    #[test]
    fn declines_unsupported_offers() {
        assert_eq!(negotiated(&[]), None);
        for offer in [
            "",
            "x-webkit-deflate-frame",
            "permessage-deflate; unknown",
            "permessage-deflate;",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; server_max_window_bits=7",
            "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; server_max_window_bits=08",
            "permessage-deflate; server_max_window_bits=10; server_max_window_bits=10",
            "permessage-deflate; client_max_window_bits=",
            "permessage-deflate; client_max_window_bits=1",
            "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
            "x; a=\", permessage-deflate\"",
        ] {
            assert_eq!(negotiated(&[offer]), None, "{offer}");
        }
    }

    #[test]
    fn does_not_compress_small_messages() {
        let deflate = PermessageDeflate { window: 15 };
        assert_eq!(deflate.deflate(&[b'a'; MIN_COMPRESSED_BYTES - 1]), None);
        assert!(deflate.deflate(&[b'a'; MIN_COMPRESSED_BYTES]).is_some());
    }

    #[test]
    fn small_window_compresses_but_excludes_broadcast_compression() {
        let small = PermessageDeflate { window: 9 };
        assert!(small.deflate(&[b'a'; 10_000]).is_some());
        assert!(!small.has_max_window());
    }
}
