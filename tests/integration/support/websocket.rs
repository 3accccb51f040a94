//! A client of WebSockets that sends what it is told to, right or wrong.

use super::within;
use std::net::SocketAddr;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// One connection that became a WebSocket.
pub struct Wire {
    stream: BufReader<TcpStream>,
    /// The head of the response that opened it, in lower case.
    pub head: String,
}

/// One frame of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
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

/// A frame of a client, masked.
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

impl Wire {
    /// Opens one; what was answered, if that is something else.
    pub async fn ask(address: SocketAddr, path: &str, more: &str) -> Result<Wire, String> {
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-key: {KEY}\r\n{more}\r\n"
        );
        Wire::raw(address, &request).await
    }

    pub async fn raw(address: SocketAddr, request: &str) -> Result<Wire, String> {
        within(async {
            let stream = TcpStream::connect(address)
                .await
                .map_err(|error| error.to_string())?;
            let mut stream = BufReader::new(stream);
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
            match head.starts_with("HTTP/1.1 101 ") {
                true => Ok(Wire {
                    stream,
                    head: head.to_lowercase(),
                }),
                false => Err(head),
            }
        })
        .await
    }

    #[track_caller]
    pub fn open(address: SocketAddr, path: &str) -> impl Future<Output = Wire> {
        let caller = std::panic::Location::caller();
        let path = path.to_owned();
        async move {
            let asked = Wire::ask(address, &path, "sec-websocket-version: 13\r\n").await;
            asked.unwrap_or_else(|answer| panic!("no WebSocket at {caller}: {answer}"))
        }
    }

    /// Sends bytes as they are; the server may have closed already.
    pub async fn send_raw(&mut self, bytes: &[u8]) {
        let _ = within(self.stream.get_mut().write_all(bytes)).await;
    }

    pub async fn send(&mut self, first: u8, payload: &[u8]) {
        self.send_raw(&frame(first, payload)).await;
    }

    pub async fn say(&mut self, text: &str) {
        self.send(0x81, text.as_bytes()).await;
    }

    /// The next frame; `None` where the connection ended.
    pub async fn next(&mut self) -> Option<Frame> {
        within(self.read()).await.ok()
    }

    /// The next frame, which is a text.
    #[track_caller]
    pub fn heard(&mut self) -> impl Future<Output = String> {
        let caller = std::panic::Location::caller();
        async move {
            match self.next().await {
                Some(Frame { first: 0x81, payload }) => String::from_utf8(payload).expect("UTF-8"),
                other => panic!("no text at {caller}: {other:?}"),
            }
        }
    }

    async fn read(&mut self) -> std::io::Result<Frame> {
        let first = self.stream.read_u8().await?;
        let length = match self.stream.read_u8().await? {
            126 => self.stream.read_u16().await?.into(),
            127 => self.stream.read_u64().await?,
            length => length.into(),
        };
        let mut payload = vec![0; length as usize];
        self.stream.read_exact(&mut payload).await?;
        Ok(Frame { first, payload })
    }

    /// How it ends: the code of the close, if there is one, after whatever else is sent.
    pub async fn end(&mut self) -> Option<u16> {
        loop {
            let frame = self.next().await?;
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
