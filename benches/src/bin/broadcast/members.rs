//! The members: WebSocket clients that check what they read.

use brubeck_benches::Result;
use brubeck_benches::child::{self, Ready};
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// The first bytes of frames.
const TEXT: u8 = 0x81;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

/// Time without a byte after which a member stops to wait.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// The burst, and the members that it is for.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Burst {
    /// The members that read
    pub(crate) members: usize,
    /// The members that read nothing
    pub(crate) silent: usize,
    pub(crate) messages: usize,
    /// The size of a message
    pub(crate) bytes: usize,
}

/// What all members have received.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Received {
    pub(crate) delivered: usize,
    pub(crate) out_of_order: usize,
    /// The longest time without a message, after the first one and before the last one of a member, in seconds.
    pub(crate) longest_gap: f64,
    pub(crate) seconds: f64,
}

/// Opens all members, waits for the parent, and reads a burst.
pub(crate) async fn run(address: &str, burst: Burst) -> Result {
    let Burst {
        members,
        silent,
        messages,
        bytes,
    } = burst;
    let mut streams = Vec::new();
    for _ in 0..members + silent {
        streams.push(open(address).await?);
    }
    // They stay open, and nothing reads from them.
    let _silent = streams.split_off(members);
    while get(address, "/members").await? != (members + silent).to_string() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    child::send(&Ready {
        address: String::new(),
        pids: Vec::new(),
    })?;
    if !child::wait_for_start().await {
        return Ok(());
    }
    let began = Instant::now();
    let mut reading = JoinSet::new();
    for stream in streams {
        reading.spawn(read(stream, messages));
    }
    get(address, &format!("/burst?count={messages}&bytes={bytes}")).await?;
    let mut received = Received::default();
    let mut open = Vec::new();
    while let Some(member) = reading.join_next().await {
        let (one, stream) = member?;
        received.delivered += one.delivered;
        received.out_of_order += one.out_of_order;
        received.longest_gap = received.longest_gap.max(one.longest_gap);
        open.push(stream);
    }
    received.seconds = began.elapsed().as_secs_f64();
    child::send(&received)?;
    child::wait_for_end().await;
    Ok(())
}

async fn open(address: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!(
        "GET /room HTTP/1.1\r\nhost: {address}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    if !head.starts_with(b"HTTP/1.1 101 ") {
        return Err(String::from_utf8_lossy(&head).into());
    }
    Ok(stream)
}

async fn get(address: &str, target: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {target} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut response = String::new();
    stream.read_to_string(&mut response).await?;
    Ok(response.rsplit("\r\n").next().unwrap_or_default().to_owned())
}

/// Reads messages until all have arrived, the connection ends, or none comes. Returns the stream, which is still open.
async fn read(mut stream: TcpStream, messages: usize) -> (Received, TcpStream) {
    let mut received = Received::default();
    let mut buffer = Vec::with_capacity(64 << 10);
    let (mut next, mut last) = (0, None);
    while received.delivered < messages {
        let read = tokio::time::timeout(READ_TIMEOUT, stream.read_buf(&mut buffer)).await;
        let Ok(Ok(1..)) = read else { break };
        let mut whole = 0;
        while let Some((first, payload, size)) = frame(buffer.get(whole..).unwrap_or_default()) {
            whole += size;
            if first == PING {
                let _ = stream.write_all(&[PONG, 0x80, 0, 0, 0, 0]).await;
                continue;
            }
            if first != TEXT {
                return (received, stream);
            }
            let now = Instant::now();
            let gap = now - last.replace(now).unwrap_or(now);
            received.longest_gap = received.longest_gap.max(gap.as_secs_f64());
            let text = std::str::from_utf8(payload).unwrap_or_default();
            let number: Option<usize> = text.trim_end().parse().ok();
            received.out_of_order += usize::from(number != Some(next));
            next = number.unwrap_or(next) + 1;
            received.delivered += 1;
        }
        buffer.drain(..whole);
    }
    (received, stream)
}

/// Returns the first byte of the first frame, its payload, and its size. Returns `None` unless all of it is there.
fn frame(bytes: &[u8]) -> Option<(u8, &[u8], usize)> {
    let (first, length, header): (u8, usize, usize) = match bytes {
        [first, 126, high, low, ..] => (*first, u16::from_be_bytes([*high, *low]).into(), 4),
        [first, 127, rest @ ..] => {
            let length = u64::from_be_bytes(*rest.first_chunk()?);
            (*first, usize::try_from(length).ok()?, 10)
        }
        [first, length @ ..=125, ..] => (*first, (*length).into(), 2),
        _ => return None,
    };
    Some((first, bytes.get(header..)?.get(..length)?, header + length))
}
