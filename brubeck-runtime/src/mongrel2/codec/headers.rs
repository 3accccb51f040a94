//! The header block of a request.

use std::net::IpAddr;

use bytes::Bytes;

use crate::codec::ParseError;

/// The most header values read from one request: beyond what any browser sends, and little memory for a client to take.
pub const MAX_HEADER_VALUES: usize = 2048;

/// So many values, a few more than most browsers send, take one piece of memory.
const ROOM: usize = 32;

/// Header names and values, in the order they came; a header that came twice has two entries.
///
/// Mongrel2 writes the client's names in lower case and its own keys in UPPER CASE, so a client cannot forge the latter. The
/// typed accessors read only Mongrel2's keys. Four lower-case ones it sets or replaces are not safe in this sense:
/// `x-forwarded-for`, `x-mongrel2-upload-start`, `x-mongrel2-upload-done`.
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
    /// None yet, with room for as many as a block of so many bytes has, mostly.
    pub(super) fn with_room(bytes: usize) -> Mongrel2Headers {
        Mongrel2Headers {
            entries: Vec::with_capacity((bytes / 16).min(ROOM)),
        }
    }

    /// Adds a value; `at` is where it stands in the frame.
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

    /// All names and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Bytes, &Bytes)> {
        self.entries.iter().map(|(name, value)| (name, value))
    }

    /// How many values there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The first value of `name`, in exactly this case. Mongrel2 itself uses the first, too.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Bytes> {
        self.get_all(name).next()
    }

    /// Every value of `name`, in exactly this case, in order.
    pub fn get_all<'h, 'n>(&'h self, name: &'n str) -> impl Iterator<Item = &'h Bytes> + use<'h, 'n> {
        self.iter()
            .filter(move |(there, _)| *there == name)
            .map(|(_, value)| value)
    }

    /// What the client sent: names with no upper-case letter.
    pub fn client_headers(&self) -> impl Iterator<Item = (&Bytes, &Bytes)> {
        self.iter().filter(|(name, _)| !is_of_mongrel2(name))
    }

    /// What Mongrel2 says about the request: names in UPPER CASE.
    pub fn mongrel2_headers(&self) -> impl Iterator<Item = (&Bytes, &Bytes)> {
        self.iter().filter(|(name, _)| is_of_mongrel2(name))
    }

    /// `METHOD`: of HTTP, or `JSON`, `XML`, `WEBSOCKET_HANDSHAKE`, `WEBSOCKET`. Absent in later parts of a streamed upload.
    #[must_use]
    pub fn method(&self) -> Option<&Bytes> {
        self.get("METHOD")
    }

    /// `PATH`: percent-encoded, never normalised.
    #[must_use]
    pub fn path(&self) -> Option<&Bytes> {
        self.get("PATH")
    }

    /// `URI`: the path and the query as sent.
    #[must_use]
    pub fn uri(&self) -> Option<&Bytes> {
        self.get("URI")
    }

    /// `QUERY`: `None` without a `?`, empty with nothing behind it.
    #[must_use]
    pub fn query(&self) -> Option<&Bytes> {
        self.get("QUERY")
    }

    /// `FRAGMENT`: only if the client sent one, which browsers do not.
    #[must_use]
    pub fn fragment(&self) -> Option<&Bytes> {
        self.get("FRAGMENT")
    }

    /// `VERSION`: `HTTP/1.0` or `HTTP/1.1`.
    #[must_use]
    pub fn version(&self) -> Option<&Bytes> {
        self.get("VERSION")
    }

    /// `PATTERN`: the route of Mongrel2's configuration that matched.
    #[must_use]
    pub fn pattern(&self) -> Option<&Bytes> {
        self.get("PATTERN")
    }

    /// `URL_SCHEME`: `http` or `https`, also for WebSockets.
    #[must_use]
    pub fn url_scheme(&self) -> Option<&Bytes> {
        self.get("URL_SCHEME")
    }

    /// `REMOTE_ADDR`: the address of the peer.
    #[must_use]
    pub fn remote_addr(&self) -> Option<IpAddr> {
        text(self.get("REMOTE_ADDR")?)?.parse().ok()
    }

    /// `PEER_CERT_SHA1`: of a TLS client certificate, in hexadecimal, with a surplus `00` at the end.
    #[must_use]
    pub fn peer_cert_sha1(&self) -> Option<&Bytes> {
        self.get("PEER_CERT_SHA1")
    }

    /// `FLAGS`: the first byte of a WebSocket frame, with FIN set.
    #[must_use]
    pub fn flags(&self) -> Option<u8> {
        let digits = text(self.get("FLAGS")?)?.strip_prefix("0x")?;
        if digits.starts_with('+') {
            None
        } else {
            u8::from_str_radix(digits, 16).ok()
        }
    }

    /// `UPLOAD_STREAM`: the offset, in bytes, of this part of a streamed upload.
    #[must_use]
    pub fn upload_stream(&self) -> Option<u64> {
        number(self.get("UPLOAD_STREAM")?)
    }

    /// `UPLOAD_STREAM_DONE`: whether this is the last part of a streamed upload.
    #[must_use]
    pub fn upload_stream_done(&self) -> bool {
        self.get("UPLOAD_STREAM_DONE").is_some()
    }

    /// `DOWNLOAD_CREDITS`: how many bytes may be sent, with `download.flow_control`.
    #[must_use]
    pub fn download_credits(&self) -> Option<u64> {
        number(self.get("DOWNLOAD_CREDITS")?)
    }

    /// Names with all their neighbouring values, as they are written in one go.
    pub(super) fn groups(&self) -> impl Iterator<Item = &[(Bytes, Bytes)]> {
        self.entries.chunk_by(|(one, _), (other, _)| one == other)
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

fn is_of_mongrel2(name: &[u8]) -> bool {
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
