//! A client for one request over HTTP/2 without TLS, which sends everything before it reads.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const END_STREAM: u8 = 1;
/// The setting of RFC 8441 with the value 1.
const ENABLE_CONNECT_PROTOCOL: [u8; 6] = [0, 8, 0, 0, 0, 1];
const END_HEADERS: u8 = 4;

/// The window of a stream before the server extends it. Bodies must not be larger.
pub const INITIAL_WINDOW: usize = 65_535;

/// What a server has sent on a stream.
#[derive(Debug, Default)]
pub struct Http2Response {
    /// The status, if it is in the static table (RFC 7541, appendix A), such as 200 and 404.
    pub status: Option<u16>,
    pub body: Vec<u8>,
    /// The error code, if the server has reset the stream.
    pub reset: Option<u32>,
    /// `true` if the settings of the server have allowed WebSockets.
    pub offers_websockets: bool,
}

/// Opens a WebSocket (RFC 8441) and sends bytes of frames on it. Returns what the server has sent, when that is `expected` bytes, or when the
/// server has ended the stream.
pub async fn websocket(
    address: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    frames: Vec<u8>,
    expected: usize,
) -> Http2Response {
    fn literal(name: &str, value: &str) -> Vec<u8> {
        let length = |text: &str| u8::try_from(text.len()).expect("a short text");
        [
            &[0, length(name)],
            name.as_bytes(),
            &[length(value)],
            value.as_bytes(),
        ]
        .concat()
    }
    let authority = address.to_string();
    let pseudo = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "http"),
        (":path", path),
        (":authority", &authority),
    ];
    let fields = pseudo.iter().chain(headers);
    let head: Vec<u8> = fields.flat_map(|(name, value)| literal(name, value)).collect();
    tokio::task::spawn_blocking(move || exchange(address, head, &frames, Until::Bytes(expected)))
        .await
        .expect("no panic")
}

/// The end of an exchange.
#[derive(Clone, Copy, PartialEq)]
enum Until {
    /// The end of the response. Only then the client ends its body.
    End,
    Reset,
    /// This number of bytes, or the end of the response.
    Bytes(usize),
}

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a length").to_be_bytes();
    [&length[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
}

/// Posts a body, and returns the response. If the body is not complete, waits until the server resets the stream.
pub async fn post(address: SocketAddr, path: &str, body: Vec<u8>, is_complete: bool) -> Http2Response {
    assert!(
        body.len() <= INITIAL_WINDOW,
        "the server does not extend the window"
    );
    // `:method: POST`, `:scheme: http`, and a literal `:path` and `:authority`.
    let length = u8::try_from(path.len()).expect("a short path");
    let head = [b"\x83\x86\x04", &[length][..], path.as_bytes(), b"\x01\x01a"].concat();
    let until = if is_complete { Until::End } else { Until::Reset };
    tokio::task::spawn_blocking(move || exchange(address, head, &body, until))
        .await
        .expect("no panic")
}

fn exchange(address: SocketAddr, head: Vec<u8>, body: &[u8], until: Until) -> Http2Response {
    let mut stream = TcpStream::connect(address).expect("a connection");
    let timeout = Some(Duration::from_secs(20));
    stream.set_read_timeout(timeout).expect("a timeout");
    let mut request = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    request.extend(frame(SETTINGS, 0, 0, b""));
    request.extend(frame(HEADERS, END_HEADERS, 1, &head));
    for chunk in body.chunks(16_384) {
        request.extend(frame(DATA, 0, 1, chunk));
    }
    if until == Until::End {
        request.extend(frame(DATA, END_STREAM, 1, b""));
    }
    stream.write_all(&request).expect("an open connection");
    let mut response = Http2Response::default();
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).expect("a frame");
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length.try_into().expect("a length")];
        stream.read_exact(&mut payload).expect("a frame");
        if head[3] == SETTINGS
            && payload
                .chunks(6)
                .any(|setting| setting == ENABLE_CONNECT_PROTOCOL)
        {
            response.offers_websockets = true;
        }
        if head[8] != 1 {
            continue;
        }
        match head[3] {
            HEADERS => {
                let statuses = [200, 204, 206, 304, 400, 404, 500];
                let index = payload.first().and_then(|first| first.checked_sub(0x88));
                response.status = index.and_then(|index| statuses.get(usize::from(index)).copied());
            }
            DATA => response.body.extend(&payload),
            RST_STREAM => {
                let code: [u8; 4] = payload[..].try_into().expect("a code");
                response.reset = Some(u32::from_be_bytes(code));
                return response;
            }
            _ => {}
        }
        let has_ended = matches!(head[3], HEADERS | DATA) && head[4] & END_STREAM != 0;
        let has_enough = matches!(until, Until::Bytes(expected) if response.body.len() >= expected);
        if has_enough || (has_ended && until != Until::Reset) {
            return response;
        }
    }
}
