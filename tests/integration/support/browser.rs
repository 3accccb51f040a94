//! A browser that says exactly what it is told to, and reads exactly one answer.

use super::within;
use std::io::ErrorKind;
use std::net::SocketAddr;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// One connection to a web server.
pub struct Browser {
    stream: BufReader<TcpStream>,
}

/// One answer, as it came.
#[derive(Debug, PartialEq)]
pub struct Answer {
    pub line: String,
    pub status: u16,
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
}

impl Browser {
    pub async fn connect(address: SocketAddr) -> Browser {
        within(Browser::try_connect(address))
            .await
            .expect("a server that listens")
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
        within(self.try_send(bytes)).await.expect("an open connection");
    }

    /// `GET` of a path, and its answer.
    pub async fn get(&mut self, path: &str) -> Answer {
        self.send(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n"))
            .await;
        self.answer().await
    }

    pub async fn post(&mut self, path: &str, body: &[u8]) -> Answer {
        let length = body.len();
        self.send(format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n"
        ))
        .await;
        self.send(body).await;
        self.answer().await
    }

    /// The next answer, whole.
    pub async fn answer(&mut self) -> Answer {
        within(self.try_answer(false)).await.expect("an answer")
    }

    /// The next answer, to a `HEAD`.
    pub async fn answer_to_head(&mut self) -> Answer {
        within(self.try_answer(true)).await.expect("an answer")
    }

    /// The next answer, or why there is none.
    pub async fn try_answer(&mut self, head: bool) -> std::io::Result<Answer> {
        let line = self.line().await?;
        let wrong = |what: &str| std::io::Error::new(ErrorKind::InvalidData, format!("{what}: {line:?}"));
        let status = line
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .ok_or_else(|| wrong("no status"))?;
        let mut headers = Vec::new();
        loop {
            let mut header = Vec::new();
            self.stream.read_until(b'\n', &mut header).await?;
            let header = header
                .strip_suffix(b"\r\n")
                .ok_or_else(|| wrong("a head that ends early"))?;
            if header.is_empty() {
                break;
            }
            let colon = header
                .iter()
                .position(|byte| *byte == b':')
                .ok_or_else(|| wrong("no header"))?;
            let name = String::from_utf8_lossy(&header[..colon]).to_ascii_lowercase();
            headers.push((name, header[colon + 1..].trim_ascii().to_vec()));
        }
        let mut answer = Answer {
            line,
            status,
            headers,
            body: Vec::new(),
        };
        if !head && !matches!(status, 204 | 304) {
            match (
                answer.header("content-length"),
                answer.header("transfer-encoding"),
            ) {
                (Some(length), None) => {
                    answer.body = vec![0; length.parse().expect("a length")];
                    self.stream.read_exact(&mut answer.body).await?;
                }
                (None, Some("chunked")) => answer.body = self.chunks().await?,
                (Some(_), Some(_)) => panic!("two ends: {answer:?}"),
                (None, _) => {
                    self.stream.read_to_end(&mut answer.body).await?;
                }
            }
        }
        Ok(answer)
    }

    async fn chunks(&mut self) -> std::io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let size = self.line().await?;
            let size = usize::from_str_radix(&size, 16).expect("a size");
            let mut chunk = vec![0; size + 2];
            self.stream.read_exact(&mut chunk).await?;
            assert!(chunk.ends_with(b"\r\n"), "a chunk is longer than it says");
            chunk.truncate(size);
            if chunk.is_empty() {
                return Ok(body);
            }
            body.append(&mut chunk);
        }
    }

    async fn line(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line).await?;
        match line.strip_suffix("\r\n") {
            Some(line) => Ok(line.to_owned()),
            None => Err(std::io::Error::new(
                ErrorKind::UnexpectedEof,
                format!("closed after {line:?}"),
            )),
        }
    }

    /// Waits for the server to close, and says what came before.
    pub async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        match within(self.stream.read_to_end(&mut rest)).await {
            Ok(_) => rest,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => rest,
            Err(error) => panic!("{error}"),
        }
    }
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(known, _)| known == name)?;
        Some(std::str::from_utf8(value).expect("a header in ASCII"))
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a body in UTF-8")
    }
}
