//! The handshake of ZMTP 3, checked before anything else is read.

use std::io::{self, ErrorKind};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

const GREETING: usize = 64;

/// The most a peer may send before it is connected: its greeting and its READY.
const MAX_HANDSHAKE: usize = 512;

const SHORT_COMMAND: u8 = 4;
const LONG_COMMAND: u8 = 6;

/// Our greeting: ZMTP 3.0, mechanism NULL.
fn greeting() -> [u8; GREETING] {
    let mut greeting = [0; GREETING];
    greeting[0] = 0xff;
    greeting[9] = 0x7f;
    greeting[10] = 3;
    greeting[12..16].copy_from_slice(b"NULL");
    greeting
}

fn refused(why: impl Into<String>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, why.into())
}

/// Completes the handshake with a peer that is to be one of those that are wanted.
pub async fn introduce<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    socket_type: &str,
    identity: &[u8],
    wanted: &[&str],
) -> io::Result<()> {
    greet(stream).await?;
    get_ready(stream, socket_type, identity).await?;
    hear(stream, wanted).await.map(drop)
}

/// Exchanges greetings with a peer.
pub async fn greet<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> io::Result<()> {
    stream.write_all(&greeting()).await?;
    // The first bytes tell whether more is coming: older peers, and those that are no ZeroMQ, send fewer.
    let signature: [u8; 10] = read(stream).await?;
    if !matches!(signature, [0xff, .., last] if last & 1 == 1) {
        return Err(refused("it does not speak ZMTP"));
    }
    let [major, _minor] = read(stream).await?;
    if major < 3 {
        return Err(refused("it speaks a ZMTP older than 3.0"));
    }
    let mechanism: [u8; 20] = read(stream).await?;
    if !matches!(mechanism, [b'N', b'U', b'L', b'L', zeros @ ..] if zeros == [0; 16]) {
        return Err(refused(
            "it asks for a security mechanism; only NULL is spoken here",
        ));
    }
    let _as_server_and_filler: [u8; 32] = read(stream).await?;
    Ok(())
}

/// Tells a peer that was greeted what this socket is.
pub async fn get_ready<S: AsyncWrite + Unpin>(
    stream: &mut S,
    socket_type: &str,
    identity: &[u8],
) -> io::Result<()> {
    let mut body = BytesMut::from(&b"\x05READY"[..]);
    for (name, value) in [
        (&b"Socket-Type"[..], socket_type.as_bytes()),
        (b"Identity", identity),
    ] {
        // Names are our own and identities at most 255 bytes, so both lengths fit.
        body.put_u8(u8::try_from(name.len()).unwrap_or_default());
        body.put_slice(name);
        body.put_u32(u32::try_from(value.len()).unwrap_or_default());
        body.put_slice(value);
    }
    let mut command = BytesMut::new();
    match u8::try_from(body.len()) {
        Ok(length) => command.put_slice(&[SHORT_COMMAND, length]),
        Err(_) => {
            command.put_u8(LONG_COMMAND);
            command.put_u64(body.len() as u64);
        }
    }
    command.put_slice(&body);
    stream.write_all(&command).await
}

/// Hears what a peer is that was greeted; gives its identity, empty if it did not choose one. Nothing beyond its READY is
/// read.
///
/// # Errors
/// It is none of those that are wanted, or does not say so as it must.
pub async fn hear<S: AsyncRead + Unpin>(stream: &mut S, wanted: &[&str]) -> io::Result<Bytes> {
    read_ready(&command(stream).await?, wanted)
}

async fn read<const N: usize>(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

/// Reads one command frame; gives its body.
async fn command<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Bytes> {
    let length = match stream.read_u8().await? {
        SHORT_COMMAND => u64::from(stream.read_u8().await?),
        LONG_COMMAND => stream.read_u64().await?,
        _ => return Err(refused("it does not say READY")),
    };
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > MAX_HANDSHAKE - GREETING - 9 {
        return Err(refused("its READY is too long"));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(body.into())
}

/// Reads what a READY says; other properties are passed over.
fn read_ready(body: &Bytes, wanted: &[&str]) -> io::Result<Bytes> {
    let malformed = || refused("its READY is malformed");
    let mut rest = body.clone();
    let mut take = |length: usize| (rest.len() >= length).then(|| rest.split_to(length));
    let mut text = |prefix: usize| {
        let mut length = take(prefix)?;
        let length = length.get_uint(prefix);
        take(usize::try_from(length).ok()?)
    };
    let mut seen = 0;
    let command = text(1).ok_or_else(malformed)?;
    if command == b"ERROR"[..] {
        let why = text(1).unwrap_or_default();
        return Err(refused(format!("it refused: {}", why.escape_ascii())));
    }
    if command != b"READY"[..] {
        return Err(refused("it does not say READY"));
    }
    seen += 1 + 5;
    let (mut socket_type, mut identity) = (None, None);
    while seen < body.len() {
        let name = text(1).ok_or_else(malformed)?;
        let value = text(4).ok_or_else(malformed)?;
        seen += 1 + name.len() + 4 + value.len();
        let place = if name.eq_ignore_ascii_case(b"Socket-Type") {
            &mut socket_type
        } else if name.eq_ignore_ascii_case(b"Identity") {
            &mut identity
        } else {
            continue;
        };
        if place.replace(value).is_some() {
            return Err(malformed());
        }
    }
    let socket_type = socket_type.ok_or_else(malformed)?;
    if !wanted.iter().any(|wanted| socket_type == wanted.as_bytes()) {
        return Err(refused(format!(
            "it is a {} where only a {} makes sense",
            socket_type.escape_ascii(),
            wanted.join(" or a ")
        )));
    }
    let identity = identity.unwrap_or_default();
    if identity.len() > 255 {
        return Err(refused("its identity is longer than 255 bytes"));
    }
    Ok(identity)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WANTED: &[&str] = &["DEALER", "REQ"];

    /// The READY of a DEALER.
    async fn ready(identity: &[u8]) -> Vec<u8> {
        let mut written = Vec::new();
        get_ready(&mut written, "DEALER", identity).await.unwrap();
        written
    }

    /// What is made of these bytes followed by silence.
    async fn greeted(bytes: &[u8]) -> io::Result<Bytes> {
        let (mut ours, mut theirs) = tokio::io::duplex(4096);
        theirs.write_all(bytes).await.unwrap();
        theirs.shutdown().await.unwrap();
        greet(&mut ours).await?;
        hear(&mut ours, WANTED).await
    }

    #[tokio::test]
    async fn the_ready_of_a_socket_without_an_identity() {
        let mut written = Vec::new();
        get_ready(&mut written, "ROUTER", b"").await.unwrap();
        assert_eq!(
            written,
            b"\x04\x29\x05READY\x0bSocket-Type\0\0\0\x06ROUTER\x08Identity\0\0\0\0"
        );
    }

    #[tokio::test]
    async fn a_peer_says_who_it_is() {
        for identity in [&b""[..], b"me", &[7; 255]] {
            let bytes = [&greeting()[..], &ready(identity).await].concat();
            assert_eq!(greeted(&bytes).await.unwrap(), identity);
        }
        let body = b"\x05READY\x08identity\0\0\0\x02me\x03X-Y\0\0\0\x01z\x0bSOCKET-TYPE\0\0\0\x06DEALER";
        assert_eq!(read_ready(&Bytes::from_static(body), WANTED).unwrap(), "me");
    }

    #[tokio::test]
    async fn what_is_no_zmtp_3_peer_is_refused() {
        let ready = ready(b"").await;
        let with = |at: usize, byte: u8| {
            let mut bytes = greeting().to_vec();
            bytes[at] = byte;
            [&bytes[..], &ready].concat()
        };
        let then = |more: &[u8]| [&greeting()[..], more].concat();
        for (bytes, why) in [
            (b"GET / HTTP/1.1\r\n".to_vec(), "does not speak ZMTP"),
            (with(0, 0xfe), "does not speak ZMTP"),
            (with(9, 0), "does not speak ZMTP"),
            (with(10, 2), "older than 3.0"),
            (with(12, b'P'), "security mechanism"),
            (with(16, b'X'), "security mechanism"),
            (then(b"\0\x01x"), "does not say READY"),
            (then(b"\x04\x0a\x05ERROR\x03why"), "it refused: why"),
            (then(b"\x04\x06\x05HELLO"), "does not say READY"),
            (then(b"\x06\0\0\x40\0\0\0\0\0"), "READY is too long"),
            (then(b"\x04\x00"), "malformed"),
            (then(b"\x04\x03\x05RE"), "malformed"),
            (then(b"\x04\x06\x05READY"), "malformed"),
            (then(b"\x04\x0a\x05READY\xffabc"), "malformed"),
            (
                then(b"\x04\x1b\x05READY\x0bSocket-Type\0\0\0\x06PUSHX"),
                "malformed",
            ),
            (
                then(b"\x04\x1a\x05READY\x0bSocket-Type\0\0\0\x04PUSH"),
                "a PUSH where only a DEALER or a REQ",
            ),
        ] {
            let error = greeted(&bytes).await.unwrap_err().to_string();
            assert!(
                error.contains(why),
                "{error}, not {why}: {}",
                bytes.escape_ascii()
            );
        }
    }

    #[tokio::test]
    async fn a_property_said_twice_is_refused() {
        let mut body = ready(b"a").await.split_off(2);
        body.extend_from_slice(b"\x08IDENTITY\0\0\0\x01b");
        assert!(read_ready(&body.into(), WANTED).is_err());
    }

    proptest! {
        #[test]
        fn any_ready_is_read_or_refused(tail in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = read_ready(&Bytes::from([&b"\x05READY"[..], &tail].concat()), WANTED);
            let _ = read_ready(&Bytes::from(tail), WANTED);
        }
    }
}
