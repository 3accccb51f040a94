//! The header block of a request.

use std::net::IpAddr;

use bytes::Bytes;

use crate::codec::ParseError;

/// Limit of header values in one request; a request with more is not decoded. Browsers send far fewer, and the memory
/// that a client can make this process use stays small.
pub const MAX_HEADER_VALUES: usize = 2048;

/// Limit of header values for which memory is reserved before they are read. Most browsers send fewer.
const MAX_PREALLOCATED_VALUES: usize = 32;

/// The size of a short header in a header block, with its quotes and separators. A block of `n` bytes seldom has more
/// than `n / TYPICAL_HEADER_BYTES` headers.
const TYPICAL_HEADER_BYTES: usize = 16;

/// The header names and values of a request, in the order in which Mongrel2 sent them. A repeated header has several
/// entries.
///
/// Mongrel2 converts the names of the client's headers to lower case and writes its own keys in upper case, so a
/// client cannot forge the latter. The typed accessors read only upper-case keys. Mongrel2 also sets some lower-case
/// headers, and a client can send those as well: `x-forwarded-for`, `x-mongrel2-upload-start` and
/// `x-mongrel2-upload-done`.
///
/// ```
/// use brubeck_runtime::wire::mongrel2::Mongrel2Headers;
///
/// let headers: Mongrel2Headers =
///     [("METHOD", "GET"), ("cookie", "a=1"), ("cookie", "b=2"), ("remote_addr", "6.6.6.6")].into_iter().collect();
/// assert_eq!(headers.get("cookie").unwrap(), "a=1");
/// assert_eq!(headers.get_all("cookie").count(), 2);
/// assert_eq!(headers.remote_addr(), None);
/// assert_eq!(headers.client_headers().count(), 3);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mongrel2Headers {
    entries: Vec<(Bytes, Bytes)>,
}

impl Mongrel2Headers {
    /// Creates an empty list with capacity for the headers of a typical block of `block_bytes`.
    pub(super) fn with_capacity_for(block_bytes: usize) -> Mongrel2Headers {
        Mongrel2Headers {
            entries: Vec::with_capacity((block_bytes / TYPICAL_HEADER_BYTES).min(MAX_PREALLOCATED_VALUES)),
        }
    }

    /// Adds a value. `at` is its position in the frame, for the error.
    pub(super) fn push(&mut self, at: usize, name: Bytes, value: Bytes) -> Result<(), ParseError> {
        if self.entries.len() == MAX_HEADER_VALUES {
            return Err(ParseError::TooMany {
                at,
                limit: MAX_HEADER_VALUES,
            });
        }
        self.entries.push((name, value));
        Ok(())
    }

    /// Returns all names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Bytes, &Bytes)> {
        self.entries.iter().map(|(name, value)| (name, value))
    }

    /// Returns the number of values.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns `true` if there are no headers.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the first value of `name`, which is case-sensitive. Mongrel2 also uses the first value.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Bytes> {
        self.get_all(name).next()
    }

    /// Returns every value of `name`, which is case-sensitive, in order.
    pub fn get_all<'h, 'n>(&'h self, name: &'n str) -> impl Iterator<Item = &'h Bytes> + use<'h, 'n> {
        self.iter()
            .filter(move |(other, _)| *other == name)
            .map(|(_, value)| value)
    }

    /// Returns the headers whose names have no upper-case letters: those that the client sent, and the few lower-case
    /// ones that Mongrel2 sets.
    pub fn client_headers(&self) -> impl Iterator<Item = (&Bytes, &Bytes)> {
        self.iter().filter(|(name, _)| !is_mongrel2_key(name))
    }

    /// Returns the keys that Mongrel2 added: the names with upper-case letters.
    pub fn mongrel2_headers(&self) -> impl Iterator<Item = (&Bytes, &Bytes)> {
        self.iter().filter(|(name, _)| is_mongrel2_key(name))
    }

    /// Returns `METHOD`: an HTTP method, `JSON`, `XML`, `WEBSOCKET_HANDSHAKE` or `WEBSOCKET`. The later parts of a
    /// streamed upload have none.
    #[must_use]
    pub fn method(&self) -> Option<&Bytes> {
        self.get("METHOD")
    }

    /// Returns `PATH`: percent-encoded and not normalised.
    #[must_use]
    pub fn path(&self) -> Option<&Bytes> {
        self.get("PATH")
    }

    /// Returns `URI`: the path and the query as the client sent them.
    #[must_use]
    pub fn uri(&self) -> Option<&Bytes> {
        self.get("URI")
    }

    /// Returns `QUERY`: `None` if the URI has no `?`, and empty if it ends with the `?`.
    #[must_use]
    pub fn query(&self) -> Option<&Bytes> {
        self.get("QUERY")
    }

    /// Returns `FRAGMENT`, if the client sent one. Browsers do not.
    #[must_use]
    pub fn fragment(&self) -> Option<&Bytes> {
        self.get("FRAGMENT")
    }

    /// Returns `VERSION`, such as `HTTP/1.1`.
    #[must_use]
    pub fn version(&self) -> Option<&Bytes> {
        self.get("VERSION")
    }

    /// Returns `PATTERN`: the route of Mongrel2's configuration that matched.
    #[must_use]
    pub fn pattern(&self) -> Option<&Bytes> {
        self.get("PATTERN")
    }

    /// Returns `URL_SCHEME`: `http` or `https`, also for WebSockets.
    #[must_use]
    pub fn url_scheme(&self) -> Option<&Bytes> {
        self.get("URL_SCHEME")
    }

    /// Returns `REMOTE_ADDR`: the IP address of the peer.
    #[must_use]
    pub fn remote_addr(&self) -> Option<IpAddr> {
        text(self.get("REMOTE_ADDR")?)?.parse().ok()
    }

    /// Returns `PEER_CERT_SHA1`: the SHA-1 of the TLS client certificate, in hexadecimal, with a superfluous `00` at
    /// the end.
    #[must_use]
    pub fn peer_cert_sha1(&self) -> Option<&Bytes> {
        self.get("PEER_CERT_SHA1")
    }

    /// Returns `FLAGS`: the first byte of a WebSocket frame, with the FIN bit set.
    #[must_use]
    pub fn flags(&self) -> Option<u8> {
        let digits = text(self.get("FLAGS")?)?.strip_prefix("0x")?;
        // `from_str_radix` accepts a sign.
        if digits.starts_with('+') {
            None
        } else {
            u8::from_str_radix(digits, 16).ok()
        }
    }

    /// Returns `UPLOAD_STREAM`: the offset, in bytes, of this part of a streamed upload.
    #[must_use]
    pub fn upload_stream(&self) -> Option<u64> {
        number(self.get("UPLOAD_STREAM")?)
    }

    /// Returns `true` if `UPLOAD_STREAM_DONE` is set: this is the last part of a streamed upload.
    #[must_use]
    pub fn upload_stream_done(&self) -> bool {
        self.get("UPLOAD_STREAM_DONE").is_some()
    }

    /// Returns `DOWNLOAD_CREDITS`, if `download.flow_control` is on. In the first request of a connection, it is the number of
    /// bytes that may be sent. In a credit notice, it is the number of bytes that may be sent in addition.
    #[must_use]
    pub fn download_credits(&self) -> Option<u64> {
        number(self.get("DOWNLOAD_CREDITS")?)
    }

    /// Returns the values grouped by name, for the encoders. Only adjacent values of one name form a group.
    pub(super) fn groups(&self) -> impl Iterator<Item = &[(Bytes, Bytes)]> {
        self.entries.chunk_by(|(left, _), (right, _)| left == right)
    }
}

impl<N: Into<Bytes>, V: Into<Bytes>> FromIterator<(N, V)> for Mongrel2Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(entries: I) -> Self {
        Self {
            entries: entries
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        }
    }
}

fn is_mongrel2_key(name: &[u8]) -> bool {
    name.iter().any(u8::is_ascii_uppercase)
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

fn number(bytes: &[u8]) -> Option<u64> {
    if bytes.iter().all(u8::is_ascii_digit) {
        text(bytes)?.parse().ok()
    } else {
        None
    }
}
