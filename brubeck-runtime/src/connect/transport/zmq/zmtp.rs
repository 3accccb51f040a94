//! As much of ZMTP 3.0 as a socket needs that only sends, or only receives, and binds.
//!
//! The `zeromq` crate cannot be used for those: its PUSH never notices that a peer is gone, so it goes on handing
//! messages to the dead, and its DEALER does not tell which of many peers sent what cannot be read.

use std::io::{self, ErrorKind};

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

const MORE: u8 = 1;
const LONG: u8 = 2;
const COMMAND: u8 = 4;

/// The longest command that is read; a READY has two short properties.
const MAX_COMMAND: u64 = 4096;

/// The most frames of one message.
const MAX_FRAMES: usize = 16;

/// Signature, version 3.0, mechanism NULL, no server.
const GREETING: [u8; 64] = {
    let mut greeting = [0; 64];
    greeting[0] = 0xff;
    greeting[8] = 1;
    greeting[9] = 0x7f;
    greeting[10] = 3;
    let mechanism = *b"NULL";
    let mut at = 0;
    while at < mechanism.len() {
        greeting[12 + at] = mechanism[at];
        at += 1;
    }
    greeting
};

fn refused(what: impl Into<String>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what.into())
}

/// Greets the peer, and tells it what this socket is; fails if the peer is none of those that are wanted.
pub(super) async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    socket_type: &str,
    identity: &[u8],
    wanted: &[&str],
) -> io::Result<()> {
    stream.write_all(&GREETING).await?;
    let mut greeting = [0; 64];
    // The first ten bytes tell whether more is coming: older peers, and those that are no ZeroMQ, send fewer.
    let (signature, rest) = greeting.split_at_mut(10);
    stream.read_exact(signature).await?;
    if !matches!(signature, [0xff, .., last] if *last & 1 == 1) {
        return Err(refused("it does not speak ZeroMQ"));
    }
    stream.read_exact(rest).await?;
    match rest {
        [version, _minor, mechanism @ ..] if *version >= 3 => {
            let name = mechanism.get(..20).unwrap_or_default();
            if name
                .strip_prefix(b"NULL")
                .is_none_or(|rest| rest.iter().any(|byte| *byte != 0))
            {
                return Err(refused("it wants a security mechanism, which is not spoken here"));
            }
        }
        _ => return Err(refused("it speaks a ZeroMQ older than version 4")),
    }

    let mut ready = BytesMut::new();
    ready.put_slice(b"\x05READY");
    property(&mut ready, b"Socket-Type", socket_type.as_bytes());
    property(&mut ready, b"Identity", identity);
    write_frame(stream, COMMAND, &ready).await?;

    let Incoming::Command(command) = read_frame(stream, 0).await? else {
        return Err(refused("it sent a message before it was ready"));
    };
    let mut properties = match command.strip_prefix(b"\x05READY") {
        Some(properties) => properties,
        None => return Err(refused("it did not get ready")),
    };
    while let Some((name, value, rest)) = next_property(properties) {
        if name.eq_ignore_ascii_case(b"Socket-Type") {
            return match wanted.iter().any(|wanted| value == wanted.as_bytes()) {
                true => Ok(()),
                false => Err(refused(format!(
                    "it is a {} where only a {} makes sense",
                    value.escape_ascii(),
                    wanted.join(" or a ")
                ))),
            };
        }
        properties = rest;
    }
    Err(refused("it does not tell its socket type"))
}

fn property(output: &mut BytesMut, name: &[u8], value: &[u8]) {
    // Names are our own and identities at most 255 bytes, so both lengths fit.
    output.put_u8(u8::try_from(name.len()).unwrap_or_default());
    output.put_slice(name);
    output.put_u32(u32::try_from(value.len()).unwrap_or_default());
    output.put_slice(value);
}

fn next_property(text: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (length, text) = text.split_first()?;
    let (name, text) = text.split_at_checked(usize::from(*length))?;
    let (length, text) = text.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (value, rest) = text.split_at_checked(length)?;
    Some((name, value, rest))
}

async fn write_frame<W: AsyncWrite + Unpin>(writer: &mut W, flags: u8, body: &[u8]) -> io::Result<()> {
    let mut head = BytesMut::with_capacity(9);
    match u8::try_from(body.len()) {
        Ok(length) => {
            head.put_u8(flags);
            head.put_u8(length);
        }
        Err(_) => {
            head.put_u8(flags | LONG);
            head.put_u64(body.len() as u64);
        }
    }
    writer.write_all(&head).await?;
    writer.write_all(body).await
}

/// Writes a message of one frame; the caller flushes.
pub(super) async fn write_message<W: AsyncWrite + Unpin>(writer: &mut W, frame: &[u8]) -> io::Result<()> {
    write_frame(writer, 0, frame).await
}

enum Incoming {
    Command(Bytes),
    Frame { body: Bytes, more: bool },
}

/// Reads one frame of at most `limit` bytes. Memory grows with what really comes, not with what is announced.
async fn read_frame<R: AsyncRead + Unpin>(reader: &mut R, limit: u64) -> io::Result<Incoming> {
    let flags = reader.read_u8().await?;
    if flags & !(MORE | LONG | COMMAND) != 0 {
        return Err(refused("it sent a frame with unknown flags"));
    }
    let length = match flags & LONG {
        0 => u64::from(reader.read_u8().await?),
        _ => reader.read_u64().await?,
    };
    let limit = if flags & COMMAND == 0 { limit } else { MAX_COMMAND };
    if length > limit {
        return Err(refused(format!(
            "it announced a frame of {length} bytes, and {limit} are taken at most"
        )));
    }
    let mut body = Vec::new();
    reader.take(length).read_to_end(&mut body).await?;
    if (body.len() as u64) < length {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    let body = Bytes::from(body);
    Ok(match flags & COMMAND {
        0 => Incoming::Frame {
            body,
            more: flags & MORE != 0,
        },
        _ => Incoming::Command(body),
    })
}

/// What the peer of a handshaken connection sends.
pub(super) enum Said {
    /// A whole message.
    Message(Vec<Bytes>),
    /// A heartbeat, with the frame body that answers it.
    Ping(Bytes),
}

/// Reads until there is a whole message of at most `limit` bytes, or something to answer.
///
/// Not to be dropped half-way: what was read is lost then. `partial` keeps the frames of a message between two pings.
pub(super) async fn read<R: AsyncRead + Unpin>(
    reader: &mut R,
    partial: &mut Vec<Bytes>,
    limit: u64,
) -> io::Result<Said> {
    loop {
        let taken: u64 = partial.iter().map(|frame| frame.len() as u64).sum();
        match read_frame(reader, limit.saturating_sub(taken)).await? {
            Incoming::Frame { body, more } => {
                if partial.len() == MAX_FRAMES {
                    return Err(refused(format!(
                        "it sent a message of more than {MAX_FRAMES} frames"
                    )));
                }
                partial.push(body);
                if !more {
                    return Ok(Said::Message(std::mem::take(partial)));
                }
            }
            Incoming::Command(command) => {
                // PING carries two bytes of a time to live, and up to 16 that come back.
                if let Some(ping) = command.strip_prefix(b"\x04PING") {
                    let mut pong = BytesMut::from(&b"\x04PONG"[..]);
                    pong.put_slice(ping.get(2..18.min(ping.len())).unwrap_or_default());
                    return Ok(Said::Ping(pong.freeze()));
                }
                if let Some(reason) = command.strip_prefix(b"\x05ERROR") {
                    return Err(refused(format!(
                        "it refused: {}",
                        reason.get(1..).unwrap_or_default().escape_ascii()
                    )));
                }
            }
        }
    }
}

/// Answers a heartbeat; the caller flushes.
pub(super) async fn write_pong<W: AsyncWrite + Unpin>(writer: &mut W, pong: &[u8]) -> io::Result<()> {
    write_frame(writer, COMMAND, pong).await
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read_all(bytes: &[u8], limit: u64) -> io::Result<Vec<Vec<Bytes>>> {
        let (mut reader, mut partial, mut messages) = (bytes, Vec::new(), Vec::new());
        while !reader.is_empty() {
            if let Said::Message(frames) = read(&mut reader, &mut partial, limit).await? {
                messages.push(frames);
            }
        }
        Ok(messages)
    }

    #[tokio::test]
    async fn two_sockets_that_fit_shake_hands() {
        let (mut push, mut pull) = tokio::io::duplex(1024);
        let (one, other) = tokio::join!(
            handshake(&mut push, "PUSH", b"", &["PULL"]),
            handshake(&mut pull, "PULL", b"", &["PUSH"])
        );
        one.unwrap();
        other.unwrap();
        let (mut push, mut sub) = tokio::io::duplex(1024);
        let (one, _) = tokio::join!(
            handshake(&mut push, "PUSH", b"", &["PULL"]),
            handshake(&mut sub, "SUB", b"", &["PUB"])
        );
        assert_eq!(
            one.unwrap_err().to_string(),
            "it is a SUB where only a PULL makes sense"
        );
    }

    #[tokio::test]
    async fn what_is_no_zeromq_is_refused() {
        for (bytes, why) in [
            (&b"GET / HTTP/1.1\r\n\r\n"[..], "does not speak ZeroMQ"),
            (b"\xff\0\0\0\0\0\0\0\x01\x7f\x01\0", "eof"),
        ] {
            let (mut ours, mut theirs) = tokio::io::duplex(1024);
            theirs.write_all(bytes).await.unwrap();
            theirs.shutdown().await.unwrap();
            let error = handshake(&mut ours, "PUSH", b"", &["PULL"]).await.unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
        }
    }

    #[tokio::test]
    async fn what_was_written_is_read() {
        let mut written = Vec::new();
        let large = vec![7; 300];
        for frame in [&b""[..], b"hello", &large] {
            write_message(&mut written, frame).await.unwrap();
        }
        assert_eq!(
            read_all(&written, 300).await.unwrap(),
            [[Bytes::new()], [Bytes::from("hello")], [Bytes::from(large)]]
        );
    }

    #[tokio::test]
    async fn parts_of_a_message_stay_together_around_a_ping() {
        let bytes = b"\x01\x00\x04\x09\x04PING\0\0ab\x00\x02hi";
        assert_eq!(
            read_all(bytes, 9).await.unwrap(),
            [[Bytes::new(), Bytes::from("hi")]]
        );
        let (mut reader, mut partial) = (&b"\x04\x09\x04PING\0\0ab"[..], Vec::new());
        let Ok(Said::Ping(pong)) = read(&mut reader, &mut partial, 9).await else {
            panic!()
        };
        assert_eq!(pong, "\x04PONGab");
    }

    #[tokio::test]
    async fn nothing_larger_than_the_limit_is_taken() {
        let announced = b"\x02\xff\xff\xff\xff\xff\xff\xff\xff";
        assert!(
            read_all(announced, 1 << 20)
                .await
                .unwrap_err()
                .to_string()
                .contains("1048576")
        );
        let in_parts = b"\x01\x02ab\x00\x02cd";
        assert!(
            read_all(in_parts, 3)
                .await
                .unwrap_err()
                .to_string()
                .contains("2 bytes")
        );
        assert!(
            read_all(&[1, 0].repeat(17), 1)
                .await
                .unwrap_err()
                .to_string()
                .contains("16 frames")
        );
        assert!(read_all(b"\x00\x05abc", 9).await.is_err());
        assert!(read_all(b"\x80\x00", 9).await.is_err());
    }
}
