//! Messages from Mongrel2: requests, and notices about connections.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};

use super::{Mongrel2Headers, json_headers, tnetstring_headers};
use crate::codec::{Cursor, ParseError, lenstr, netstring};

/// A message from Mongrel2.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Incoming {
    /// A request of a client, a further part of a streamed upload, a WebSocket frame, or a message of a message socket.
    Request(Mongrel2Request),
    /// A connection is closed, or a reply named a closed connection. Mongrel2 may send this notice twice, or not at
    /// all.
    Disconnect {
        /// The `send_ident` of the server.
        ident: Bytes,
        /// The id of the connection.
        conn_id: Bytes,
    },
    /// More bytes may be sent to a client. Sent if `download.flow_control` is on.
    Credits {
        /// The `send_ident` of the server.
        ident: Bytes,
        /// The id of the connection.
        conn_id: Bytes,
        /// The number of bytes that Mongrel2 has written to the client since the last notice.
        bytes: u64,
    },
}

/// A request as Mongrel2 sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mongrel2Request {
    /// The `send_ident` of the server. Replies begin with it.
    pub ident: Bytes,
    /// The id of the connection, an opaque text. Replies name it.
    pub conn_id: Bytes,
    /// The path, percent-encoded and not normalised, or the `@name` or `<name` of a message socket.
    pub path: Bytes,
    /// The headers of the client and the keys of Mongrel2.
    pub headers: Mongrel2Headers,
    /// The body, a part of a streamed upload, the payload of a WebSocket frame, or the text of a message. In a
    /// WebSocket handshake, the value for `Sec-WebSocket-Accept`. Empty if Mongrel2 writes the body to a file.
    pub body: Bytes,
}

/// The encoding of the header block, which Mongrel2's configuration sets for each handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Protocol {
    /// JSON with raw bytes in its strings. The default.
    Json,
    /// A tnetstring dictionary.
    Tnetstring,
}

impl Mongrel2Request {
    /// Creates a request, for test servers.
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

    /// Encodes the frame as Mongrel2 does.
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

/// The error for a message that could not be decoded.
///
/// It includes the connection if that part was valid, so that a handler can send a 400 response and close it.
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
    /// Returns the error, with its position in the frame.
    #[must_use]
    pub const fn reason(&self) -> &ParseError {
        &self.reason
    }

    /// Returns the ident of the server and the id of the connection, if these could be decoded.
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

/// Decodes one frame. The byte after the header block shows its [`Protocol`].
///
/// A client of a message socket can send a message that looks like a notice. It is decoded as a request: a notice has
/// the path `@*` and only headers of Mongrel2, which no client can send.
///
/// # Errors
/// Returns an error if the frame is malformed. It includes the connection if that part was valid.
pub fn decode(frame: &Bytes) -> Result<Incoming, Mongrel2DecodeError> {
    let mut cursor = Cursor::new(frame);
    let no_connection = |reason| Mongrel2DecodeError {
        reason,
        connection: None,
    };
    let ident = word(&mut cursor, "the ident of the server and a space").map_err(no_connection)?;
    let conn_id = word(&mut cursor, "a connection id and a space").map_err(no_connection)?;
    match path_headers_and_body(cursor) {
        Ok((path, headers, body)) => Ok(classify(Mongrel2Request {
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

fn word(cursor: &mut Cursor<'_>, expected: &'static str) -> Result<Bytes, ParseError> {
    let at = cursor.position();
    let word = cursor.take_until(b' ', expected)?;
    if word.is_empty() {
        Err(ParseError::Expected { at, what: expected })
    } else {
        Ok(word)
    }
}

fn path_headers_and_body(mut cursor: Cursor<'_>) -> Result<(Bytes, Mongrel2Headers, Bytes), ParseError> {
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

/// Recognises the notices among the requests.
fn classify(request: Mongrel2Request) -> Incoming {
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
