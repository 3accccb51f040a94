//! A WebSocket client that can send any bytes, valid or not.

use super::with_timeout;
use std::net::SocketAddr;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// The key of RFC 6455, section 1.3.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// The value of `sec-websocket-accept` in the response to [`KEY`].
pub const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A stream of bytes: a socket, or one in memory.
pub trait ByteStream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<I: AsyncRead + AsyncWrite + Unpin + Send> ByteStream for I {}

/// A connection after its WebSocket handshake.
pub struct WebSocketClient {
    stream: BufReader<Box<dyn ByteStream>>,
    /// The head of the handshake response, in lower case.
    pub head: String,
}

/// A frame from the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The byte with FIN, the reserved bits and the opcode.
    pub first: u8,
    pub payload: Vec<u8>,
}

impl Frame {
    pub fn text(text: &str) -> Frame {
        Frame {
            first: 0x81,
            payload: text.into(),
        }
    }
}

/// Encodes a masked client frame.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..=125 => frame.push(0x80 | length as u8),
        length @ 126..=0xffff => {
            frame.push(0xfe);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(0xff);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    frame.extend(mask);
    frame.extend(
        payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    frame
}

impl WebSocketClient {
    /// Uses a connection after its handshake.
    pub fn over(stream: impl ByteStream + 'static) -> WebSocketClient {
        WebSocketClient {
            stream: BufReader::new(Box::new(stream)),
            head: String::new(),
        }
    }

    /// Opens a WebSocket with additional header lines, each ending in CRLF. A valid handshake needs
    /// `sec-websocket-version` among them.
    ///
    /// # Errors
    ///
    /// Returns the head of a response with another status than 101, as far as it was received, or the text of an I/O
    /// error.
    pub async fn handshake(
        address: SocketAddr,
        path: &str,
        headers: &str,
    ) -> Result<WebSocketClient, String> {
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-key: {KEY}\r\n{headers}\r\n"
        );
        WebSocketClient::handshake_raw(address, &request).await
    }

    /// Sends `request` as it is. Otherwise like [`handshake`](WebSocketClient::handshake).
    pub async fn handshake_raw(address: SocketAddr, request: &str) -> Result<WebSocketClient, String> {
        with_timeout(async {
            let stream = TcpStream::connect(address)
                .await
                .map_err(|error| error.to_string())?;
            let mut stream = BufReader::new(Box::new(stream) as Box<dyn ByteStream>);
            let sent = stream.get_mut().write_all(request.as_bytes()).await;
            sent.map_err(|error| error.to_string())?;
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                match stream.read_line(&mut head).await {
                    Ok(0) => return Err(head),
                    Ok(_) => {}
                    Err(error) => return Err(error.to_string()),
                }
            }
            if !head.starts_with("HTTP/1.1 101 ") {
                return Err(head);
            }
            Ok(WebSocketClient {
                stream,
                head: head.to_lowercase(),
            })
        })
        .await
    }

    /// Opens a WebSocket with a valid handshake. Panics with the location of the caller if that fails.
    #[track_caller]
    pub fn open(address: SocketAddr, path: &str) -> impl Future<Output = WebSocketClient> {
        let caller = std::panic::Location::caller();
        let path = path.to_owned();
        async move {
            let opened = WebSocketClient::handshake(address, &path, "sec-websocket-version: 13\r\n").await;
            opened.unwrap_or_else(|response| panic!("no WebSocket at {caller}: {response}"))
        }
    }

    /// Sends bytes as they are. Ignores errors, because the server may have closed the connection.
    pub async fn send_raw(&mut self, bytes: &[u8]) {
        let _ = with_timeout(self.stream.get_mut().write_all(bytes)).await;
    }

    /// Sends bytes as they are, and waits for as long as it takes. What was sent is unknown if the future is dropped.
    pub async fn write_raw(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.get_mut().write_all(bytes).await
    }

    pub async fn send(&mut self, first: u8, payload: &[u8]) {
        self.send_raw(&frame(first, payload)).await;
    }

    pub async fn send_text(&mut self, text: &str) {
        self.send(0x81, text.as_bytes()).await;
    }

    /// Reads the next frame. Returns `None` if the connection ends before or within it.
    pub async fn recv_frame(&mut self) -> Option<Frame> {
        with_timeout(self.read_frame()).await.ok()
    }

    /// Reads the next frame, with a pause after each part of its payload. Returns `None` if the connection ends before or within it.
    pub async fn recv_slowly(&mut self, part: usize, pause: std::time::Duration) -> Option<Frame> {
        let (first, length) = with_timeout(self.read_head()).await.ok()?;
        let mut payload = vec![0; length];
        for part in payload.chunks_mut(part) {
            with_timeout(self.stream.read_exact(part)).await.ok()?;
            tokio::time::sleep(pause).await;
        }
        Some(Frame { first, payload })
    }

    /// Reads the next frame, which must be a text message.
    #[track_caller]
    pub fn recv_text(&mut self) -> impl Future<Output = String> {
        let caller = std::panic::Location::caller();
        async move {
            match self.recv_frame().await {
                Some(Frame { first: 0x81, payload }) => String::from_utf8(payload).expect("UTF-8"),
                other => panic!("expected a text at {caller}, got {other:?}"),
            }
        }
    }

    /// Reads the first byte of a frame, and the length of its payload.
    async fn read_head(&mut self) -> std::io::Result<(u8, usize)> {
        let first = self.stream.read_u8().await?;
        let length = match self.stream.read_u8().await? {
            126 => self.stream.read_u16().await?.into(),
            127 => self.stream.read_u64().await?,
            length => length.into(),
        };
        Ok((first, length as usize))
    }

    async fn read_frame(&mut self) -> std::io::Result<Frame> {
        let (first, length) = self.read_head().await?;
        let mut payload = vec![0; length];
        self.stream.read_exact(&mut payload).await?;
        Ok(Frame { first, payload })
    }

    /// Skips frames until a close frame, and returns the code of that frame, or 1005 if it has none. Returns `None` if
    /// the connection ends first.
    pub async fn recv_close(&mut self) -> Option<u16> {
        loop {
            let frame = self.recv_frame().await?;
            if frame.first == 0x88 {
                let code = frame
                    .payload
                    .first_chunk()
                    .copied()
                    .map_or(1005, u16::from_be_bytes);
                return Some(code);
            }
        }
    }
}
