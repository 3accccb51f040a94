//! An HTTP client that can send any bytes, valid or not, and reads one response at a time.

use super::with_timeout;
use std::io::ErrorKind;
use std::net::SocketAddr;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// One connection to a web server.
pub struct Browser {
    stream: BufReader<TcpStream>,
}

/// A response: names of headers in lower case, their values without surrounding whitespace, and the decoded body.
#[derive(Debug, PartialEq)]
pub struct WebResponse {
    pub line: String,
    pub status: u16,
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
}

impl Browser {
    pub async fn connect(address: SocketAddr) -> Browser {
        with_timeout(Browser::try_connect(address))
            .await
            .expect("a listening server")
    }

    pub async fn try_connect(address: SocketAddr) -> std::io::Result<Browser> {
        Ok(Browser {
            stream: BufReader::new(TcpStream::connect(address).await?),
        })
    }

    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.stream.get_mut().write_all(bytes.as_ref()).await
    }

    /// Sends bytes as they are.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        with_timeout(self.try_send(bytes))
            .await
            .expect("an open connection");
    }

    /// Requests a path with GET and reads the response.
    pub async fn get(&mut self, path: &str) -> WebResponse {
        self.send(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n"))
            .await;
        self.read_response().await
    }

    pub async fn post(&mut self, path: &str, body: &[u8]) -> WebResponse {
        let length = body.len();
        self.send(format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n"
        ))
        .await;
        self.send(body).await;
        self.read_response().await
    }

    /// Reads the next response with its body.
    pub async fn read_response(&mut self) -> WebResponse {
        with_timeout(self.try_read_response(false))
            .await
            .expect("a response")
    }

    /// Reads the response to a HEAD request, which has no body.
    pub async fn read_head_response(&mut self) -> WebResponse {
        with_timeout(self.try_read_response(true))
            .await
            .expect("a response")
    }

    /// Reads the next response. `head` says that it belongs to a HEAD request, so it has no body.
    ///
    /// # Errors
    ///
    /// Returns an error if the connection fails, or ends within the response, or if the head is invalid.
    ///
    /// # Panics
    ///
    /// Panics if the length or a chunk of the body is invalid, or if the head has both a content length and a transfer
    /// encoding.
    pub async fn try_read_response(&mut self, head: bool) -> std::io::Result<WebResponse> {
        let line = self.try_read_line().await?;
        let invalid =
            |reason: &str| std::io::Error::new(ErrorKind::InvalidData, format!("{reason}: {line:?}"));
        let status = line
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .ok_or_else(|| invalid("no status code"))?;
        let mut headers = Vec::new();
        loop {
            let mut header = Vec::new();
            self.stream.read_until(b'\n', &mut header).await?;
            let header = header
                .strip_suffix(b"\r\n")
                .ok_or_else(|| invalid("a header line without CRLF"))?;
            if header.is_empty() {
                break;
            }
            let colon = header
                .iter()
                .position(|byte| *byte == b':')
                .ok_or_else(|| invalid("a header line without a colon"))?;
            let name = String::from_utf8_lossy(&header[..colon]).to_ascii_lowercase();
            headers.push((name, header[colon + 1..].trim_ascii().to_vec()));
        }
        let mut response = WebResponse {
            line,
            status,
            headers,
            body: Vec::new(),
        };
        if !head && !matches!(status, 204 | 304) {
            match (
                response.header("content-length"),
                response.header("transfer-encoding"),
            ) {
                (Some(length), None) => {
                    response.body = vec![0; length.parse().expect("a length")];
                    self.stream.read_exact(&mut response.body).await?;
                }
                (None, Some("chunked")) => response.body = self.chunks().await?,
                (Some(_), Some(_)) => panic!("both content-length and transfer-encoding: {response:?}"),
                (None, _) => {
                    self.stream.read_to_end(&mut response.body).await?;
                }
            }
        }
        Ok(response)
    }

    async fn chunks(&mut self) -> std::io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let size = self.try_read_line().await?;
            let size = usize::from_str_radix(&size, 16).expect("a size");
            let mut chunk = vec![0; size + 2];
            self.stream.read_exact(&mut chunk).await?;
            assert!(chunk.ends_with(b"\r\n"), "a chunk is longer than its size");
            chunk.truncate(size);
            if chunk.is_empty() {
                return Ok(body);
            }
            body.append(&mut chunk);
        }
    }

    /// Reads the next line, such as the status line of a response, without its end.
    ///
    /// # Errors
    ///
    /// Returns an error if the connection fails, or ends within the line.
    pub async fn try_read_line(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line).await?;
        match line.strip_suffix("\r\n") {
            Some(line) => Ok(line.to_owned()),
            None => Err(std::io::Error::new(
                ErrorKind::UnexpectedEof,
                format!("no CRLF after {line:?}"),
            )),
        }
    }

    /// Reads until the server closes or resets the connection, and returns the bytes.
    pub async fn read_to_close(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        match with_timeout(self.stream.read_to_end(&mut rest)).await {
            Ok(_) => rest,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => rest,
            Err(error) => panic!("{error}"),
        }
    }
}

impl WebResponse {
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(known, _)| known == name)?;
        Some(std::str::from_utf8(value).expect("a header in UTF-8"))
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a body in UTF-8")
    }
}
