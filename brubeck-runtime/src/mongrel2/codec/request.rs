//! What Mongrel2 sends to a handler: requests, and notices about connections.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};

use super::{Mongrel2Headers, json_headers, tnetstring_headers};
use crate::codec::{Cursor, ParseError, lenstr, netstring};

/// One frame from Mongrel2.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Incoming {
    /// A client asks for something.
    Request(Mongrel2Request),
    /// A client is gone, or a reply named a connection that is. May come twice, or never.
    Disconnect {
        /// The `send_ident` of the server.
        ident: Bytes,
        /// The connection.
        conn_id: Bytes,
    },
    /// So many more bytes may be sent, with `download.flow_control`.
    Credits {
        /// The `send_ident` of the server.
        ident: Bytes,
        /// The connection.
        conn_id: Bytes,
        /// How many bytes Mongrel2 wrote to the client.
        bytes: u64,
    },
}

/// A request, as it is on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mongrel2Request {
    /// The `send_ident` of the server; replies begin with it.
    pub ident: Bytes,
    /// The connection, an opaque text; replies name it.
    pub conn_id: Bytes,
    /// The path, percent-encoded, never normalised; `@name` or `<name` from a message socket.
    pub path: Bytes,
    /// The headers.
    pub headers: Mongrel2Headers,
    /// The body. Of a WebSocket handshake: the value for `Sec-WebSocket-Accept`.
    pub body: Bytes,
}

/// How Mongrel2 writes headers, set per handler in its configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Protocol {
    /// Almost JSON, the default.
    Json,
    /// A tnetstring dictionary.
    Tnetstring,
}

impl Mongrel2Request {
    /// A request, for a stand-in of Mongrel2.
    #[must_use]
    pub fn new(
        ident: impl Into<Bytes>,
        conn_id: impl Into<Bytes>,
        path: impl Into<Bytes>,
        headers: Mongrel2Headers,
        body: impl Into<Bytes>,
    ) -> Self {
        Self {
            ident: ident.into(),
            conn_id: conn_id.into(),
            path: path.into(),
            headers,
            body: body.into(),
        }
    }

    /// The frame as Mongrel2 would write it.
    ///
    /// ```
    /// use brubeck_runtime::wire::mongrel2::{Protocol, Mongrel2Request};
    ///
    /// let headers = [("METHOD", "GET")].into_iter().collect();
    /// let request = Mongrel2Request::new("m2-1", "7", "/hi", headers, "");
    /// assert_eq!(request.encode(Protocol::Json), r#"m2-1 7 /hi 16:{"METHOD":"GET"},0:,"#);
    /// assert_eq!(request.encode(Protocol::Tnetstring), "m2-1 7 /hi 15:6:METHOD,3:GET,}0:,");
    /// ```
    #[must_use]
    pub fn encode(&self, protocol: Protocol) -> Bytes {
        let (headers, tag) = match protocol {
            Protocol::Json => (json_headers::encode(&self.headers), b','),
            Protocol::Tnetstring => (tnetstring_headers::encode(&self.headers), b'}'),
        };
        let mut output = BytesMut::new();
        for word in [&self.ident, &self.conn_id, &self.path] {
            output.put_slice(word);
            output.put_u8(b' ');
        }
        lenstr::encode(&mut output, &headers);
        output.put_u8(tag);
        netstring::encode(&mut output, &self.body);
        output.freeze()
    }
}

/// A frame that could not be read, and whom to tell.
///
/// If the connection was legible, a handler can answer status 400 and close it.
///
/// ```
/// use brubeck_runtime::wire::mongrel2;
/// use bytes::Bytes;
///
/// let error = mongrel2::decode(&Bytes::from_static(b"m2-1 7 /hi 3:{7},0:,")).unwrap_err();
/// assert_eq!(error.connection().unwrap(), ("m2-1".into(), "7".into()));
/// assert_eq!(error.to_string(), "unreadable message from Mongrel2: expected a header name in quotes at byte 14");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mongrel2DecodeError {
    reason: ParseError,
    connection: Option<(Bytes, Bytes)>,
}

impl Mongrel2DecodeError {
    /// What is wrong, and where.
    #[must_use]
    pub const fn reason(&self) -> &ParseError {
        &self.reason
    }

    /// The server's ident and the connection, if they could be read.
    #[must_use]
    pub fn connection(&self) -> Option<(Bytes, Bytes)> {
        self.connection.clone()
    }
}

impl fmt::Display for Mongrel2DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unreadable message from Mongrel2: {}", self.reason)
    }
}

impl std::error::Error for Mongrel2DecodeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.reason)
    }
}

/// Reads one frame; the byte behind the header block shows the [`Protocol`].
///
/// A client can send a message that looks like a notice. It arrives as a request: only what no client can send, the path `@*`
/// with no headers but Mongrel2's own, is taken for a notice.
///
/// # Errors
/// [`Mongrel2DecodeError`], with the connection if it was legible.
pub fn decode(frame: &Bytes) -> Result<Incoming, Mongrel2DecodeError> {
    let mut cursor = Cursor::new(frame);
    let no_connection = |reason| Mongrel2DecodeError {
        reason,
        connection: None,
    };
    let ident = word(&mut cursor, "the ident of the server and a space").map_err(no_connection)?;
    let conn_id = word(&mut cursor, "a connection id and a space").map_err(no_connection)?;
    match rest(cursor) {
        Ok((path, headers, body)) => Ok(sort(Mongrel2Request {
            ident,
            conn_id,
            path,
            headers,
            body,
        })),
        Err(reason) => Err(Mongrel2DecodeError {
            reason,
            connection: Some((ident, conn_id)),
        }),
    }
}

fn word(cursor: &mut Cursor<'_>, what: &'static str) -> Result<Bytes, ParseError> {
    let at = cursor.position();
    let word = cursor.take_until(b' ', what)?;
    if word.is_empty() {
        Err(ParseError::Expected { at, what })
    } else {
        Ok(word)
    }
}

fn rest(mut cursor: Cursor<'_>) -> Result<(Bytes, Mongrel2Headers, Bytes), ParseError> {
    let path = word(&mut cursor, "a path and a space")?;
    let length = cursor.read_length()?;
    let block = cursor.split_to(length)?;
    let at = cursor.position();
    let headers = match cursor.byte() {
        Some(b',') => json_headers::decode(block)?,
        Some(b'}') => tnetstring_headers::decode(block)?,
        _ => {
            return Err(ParseError::Expected {
                at,
                what: "the `,` or `}` that ends the headers",
            });
        }
    };
    let body = netstring::decode(&mut cursor)?;
    cursor.expect_end()?;
    Ok((path, headers, body))
}

/// Tells notices from requests.
fn sort(request: Mongrel2Request) -> Incoming {
    let Mongrel2Request {
        path, headers, body, ..
    } = &request;
    let is_method_json = headers.method().is_some_and(|method| method == "JSON");
    if path != "@*" || !is_method_json {
        return Incoming::Request(request);
    }
    match (body.as_ref(), headers.len(), headers.download_credits()) {
        (br#"{"type":"disconnect"}"#, 1, None) => Incoming::Disconnect {
            ident: request.ident,
            conn_id: request.conn_id,
        },
        (br#"{"type":"credits"}"#, 2, Some(bytes)) => Incoming::Credits {
            ident: request.ident,
            conn_id: request.conn_id,
            bytes,
        },
        _ => Incoming::Request(request),
    }
}
