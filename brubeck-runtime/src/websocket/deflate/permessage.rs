//! What was agreed to about deflated messages: `permessage-deflate`, RFC 7692.

use crate::websocket::Close;
use crate::websocket::codec::deflate::{self, InflateError, MAX_WINDOW_BITS};
use http::HeaderMap;
use http::header::{HeaderValue, SEC_WEBSOCKET_EXTENSIONS};

/// Smaller messages are sent as they are: there is little to win.
const WORTH: usize = 128;

/// Both sides deflate messages where that is worth it, each by itself, so that no memory is kept for a quiet connection
/// and one deflated message does for many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PermessageDeflate {
    /// How far the client looks back, in bits.
    window: u8,
}

impl PermessageDeflate {
    /// Agrees to the first offer of the client that can be kept.
    pub(crate) fn agree(headers: &HeaderMap) -> Option<PermessageDeflate> {
        headers
            .get_all(SEC_WEBSOCKET_EXTENSIONS)
            .iter()
            .flat_map(|value| split(value.as_bytes(), b','))
            .find_map(PermessageDeflate::offered)
    }

    /// One offer (7.1): one that names what is not known, or twice, is declined.
    fn offered(offer: &[u8]) -> Option<PermessageDeflate> {
        let mut words = split(offer, b';');
        if words.next() != Some(b"permessage-deflate") {
            return None;
        }
        let mut window = MAX_WINDOW_BITS;
        let mut seen: Vec<&[u8]> = Vec::new();
        for word in words {
            let mut sides = word.splitn(2, |byte| *byte == b'=').map(<[u8]>::trim_ascii);
            let (name, value) = (sides.next()?, sides.next());
            if seen.contains(&name) {
                return None;
            }
            match (name, value) {
                (b"server_no_context_takeover" | b"client_no_context_takeover", None) => {}
                (b"client_max_window_bits", None) => {}
                (b"client_max_window_bits", Some(value)) => drop(bits(value)?),
                (b"server_max_window_bits", Some(value)) => window = bits(value)?,
                _ => return None,
            }
            seen.push(name);
        }
        Some(PermessageDeflate { window })
    }

    /// What the client is told.
    pub(crate) fn header(self) -> HeaderValue {
        let agreed = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
        let text = match self.window {
            MAX_WINDOW_BITS => return HeaderValue::from_static(agreed),
            window => format!("{agreed}; server_max_window_bits={window}"),
        };
        HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(agreed))
    }

    /// Whether its client understands what is deflated for all.
    pub(crate) fn is_common(self) -> bool {
        self.window == MAX_WINDOW_BITS
    }

    /// A message for this client; `None` where it is sent as it is.
    pub(crate) fn deflate(self, bytes: &[u8]) -> Option<Vec<u8>> {
        match bytes.len() {
            WORTH.. => deflate::deflate(bytes, self.window),
            _ => None,
        }
    }

    /// A message of many clients.
    pub(crate) fn for_all(bytes: &[u8]) -> Option<Vec<u8>> {
        PermessageDeflate {
            window: MAX_WINDOW_BITS,
        }
        .deflate(bytes)
    }

    /// A message of this client.
    pub(crate) fn inflate(self, bytes: &[u8], limit: usize) -> Result<Vec<u8>, Close> {
        deflate::inflate(bytes, limit).map_err(|error| match error {
            InflateError::TooLarge => Close::TOO_LARGE,
            InflateError::Malformed => Close::NOT_UTF8,
        })
    }
}

/// Where a separator stands outside of quotes.
fn split(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    let parts = text.split(move |byte| {
        quoted ^= *byte == b'"';
        !quoted && *byte == separator
    });
    parts.map(<[u8]>::trim_ascii)
}

fn bits(value: &[u8]) -> Option<u8> {
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

    fn agreed(offers: &[&'static str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for offer in offers {
            headers.append(SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_static(offer));
        }
        let header = PermessageDeflate::agree(&headers)?.header();
        let text = header.to_str().unwrap();
        let rest = text
            .strip_prefix("permessage-deflate; server_no_context_takeover; client_no_context_takeover")
            .unwrap();
        Some(rest.to_owned())
    }

    #[test]
    fn what_can_be_kept_is_agreed_to() {
        for offer in [
            "permessage-deflate",
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate;client_max_window_bits = 9 ; server_no_context_takeover",
            "permessage-deflate; client_max_window_bits=\"15\"; client_no_context_takeover",
            "x-other; a=\", permessage-deflate; b\", permessage-deflate",
        ] {
            assert_eq!(agreed(&[offer]).as_deref(), Some(""), "{offer}");
        }
        let small = "; server_max_window_bits=10";
        assert_eq!(
            agreed(&["permessage-deflate; server_max_window_bits=10"]).as_deref(),
            Some(small)
        );
        // The first that can be kept.
        let some = "permessage-deflate; unknown, permessage-deflate; server_max_window_bits=10";
        assert_eq!(agreed(&[some, "permessage-deflate"]).as_deref(), Some(small));
    }

    #[test]
    fn what_cannot_be_kept_is_declined() {
        assert_eq!(agreed(&[]), None);
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
            assert_eq!(agreed(&[offer]), None, "{offer}");
        }
    }

    #[test]
    fn small_messages_are_sent_as_they_are() {
        let deflate = PermessageDeflate { window: 15 };
        assert_eq!(deflate.deflate(&[b'a'; WORTH - 1]), None);
        assert!(deflate.deflate(&[b'a'; WORTH]).is_some());
        assert!(PermessageDeflate { window: 9 }.deflate(&[b'a'; 10_000]).is_some());
        assert!(!PermessageDeflate { window: 9 }.is_common());
    }
}
