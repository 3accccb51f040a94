//! The ZMTP 3 handshake, checked before a peer is let in.

use std::io;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::Refusal;

const GREETING: usize = 64;

/// The most a peer may send before it is connected: its greeting and its READY.
const MAX_HANDSHAKE: usize = 512;

const SHORT_COMMAND: u8 = 4;
const LONG_COMMAND: u8 = 6;

/// The READY of a ROUTER without an identity.
pub(super) const READY: &[u8] = b"\x04\x29\x05READY\x0bSocket-Type\0\0\0\x06ROUTER\x08Identity\0\0\0\0";

/// Our greeting: ZMTP 3.0, mechanism NULL.
pub(super) fn greeting() -> [u8; GREETING] {
    let mut greeting = [0; GREETING];
    greeting[0] = 0xff;
    greeting[9] = 0x7f;
    greeting[10] = 3;
    greeting[12..16].copy_from_slice(b"NULL");
    greeting
}

/// Greets a peer and hears it out; gives its identity, empty if it did not choose one. Nothing beyond its READY is read.
pub(super) async fn greet<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> Result<Bytes, Refusal> {
    stream.write_all(&greeting()).await?;
    let signature: [u8; 10] = read(stream).await?;
    if !matches!(signature, [0xff, .., last] if last & 1 == 1) {
        return Err(Refusal::Protocol("it does not speak ZMTP"));
    }
    let [major, _minor] = read(stream).await?;
    if major < 3 {
        return Err(Refusal::Protocol("it speaks a ZMTP older than 3.0"));
    }
    let mechanism: [u8; 20] = read(stream).await?;
    if !matches!(mechanism, [b'N', b'U', b'L', b'L', zeros @ ..] if zeros == [0; 16]) {
        return Err(Refusal::Protocol(
            "it asks for a security mechanism; only NULL is spoken here",
        ));
    }
    let _as_server_and_filler: [u8; 32] = read(stream).await?;
    read_ready(&command(stream).await?)
}

async fn read<const N: usize>(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

/// Reads one command frame; gives its body.
pub(super) async fn command<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Bytes, Refusal> {
    const MALFORMED: Refusal = Refusal::Protocol("it does not say READY");
    let length = match stream.read_u8().await? {
        SHORT_COMMAND => u64::from(stream.read_u8().await?),
        LONG_COMMAND => stream.read_u64().await?,
        _ => return Err(MALFORMED),
    };
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > MAX_HANDSHAKE - GREETING - 9 {
        return Err(Refusal::Protocol("its READY is too long"));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(body.into())
}

/// Reads what a READY says; other properties are passed over.
fn read_ready(body: &Bytes) -> Result<Bytes, Refusal> {
    const MALFORMED: Refusal = Refusal::Protocol("its READY is malformed");
    let mut rest = body.clone();
    let mut take = |length: usize| (rest.len() >= length).then(|| rest.split_to(length));
    let mut text = |prefix: usize| {
        let mut length = take(prefix)?;
        let length = length.get_uint(prefix);
        take(usize::try_from(length).ok()?)
    };
    let mut seen = 0;
    if text(1).ok_or(MALFORMED)? != b"READY"[..] {
        return Err(Refusal::Protocol("it does not say READY"));
    }
    seen += 1 + 5;
    let (mut socket_type, mut identity) = (None, None);
    while seen < body.len() {
        let name = text(1).ok_or(MALFORMED)?;
        let value = text(4).ok_or(MALFORMED)?;
        seen += 1 + name.len() + 4 + value.len();
        let place = if name.eq_ignore_ascii_case(b"Socket-Type") {
            &mut socket_type
        } else if name.eq_ignore_ascii_case(b"Identity") {
            &mut identity
        } else {
            continue;
        };
        if place.replace(value).is_some() {
            return Err(MALFORMED);
        }
    }
    let socket_type = socket_type.ok_or(MALFORMED)?;
    if ![&b"DEALER"[..], b"REQ", b"ROUTER"].contains(&&socket_type[..]) {
        return Err(Refusal::Protocol(
            "its socket type cannot talk to a ROUTER; use DEALER",
        ));
    }
    let identity = identity.unwrap_or_default();
    if identity.len() > 255 {
        return Err(Refusal::Protocol("its identity is longer than 255 bytes"));
    }
    Ok(identity)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The READY of a DEALER.
    fn ready(identity: &[u8]) -> Vec<u8> {
        let mut body = b"\x05READY".to_vec();
        for (name, value) in [(&b"Socket-Type"[..], &b"DEALER"[..]), (b"Identity", identity)] {
            body.push(name.len() as u8);
            body.extend_from_slice(name);
            body.extend_from_slice(&(value.len() as u32).to_be_bytes());
            body.extend_from_slice(value);
        }
        let header = match u8::try_from(body.len()) {
            Ok(length) => vec![SHORT_COMMAND, length],
            Err(_) => [&[LONG_COMMAND][..], &(body.len() as u64).to_be_bytes()].concat(),
        };
        [header, body].concat()
    }

    /// What `greet` makes of these bytes followed by silence.
    async fn greeted(bytes: &[u8]) -> Result<Bytes, Refusal> {
        let (mut ours, mut theirs) = tokio::io::duplex(4096);
        theirs.write_all(bytes).await.unwrap();
        theirs.shutdown().await.unwrap();
        greet(&mut ours).await
    }

    #[tokio::test]
    async fn a_peer_says_who_it_is() {
        for identity in [&b""[..], b"me", &[7; 255]] {
            let bytes = [&greeting()[..], &ready(identity)].concat();
            assert_eq!(greeted(&bytes).await.unwrap(), identity);
        }
        let body = b"\x05READY\x08identity\0\0\0\x02me\x03X-Y\0\0\0\x01z\x0bSOCKET-TYPE\0\0\0\x06DEALER";
        assert_eq!(read_ready(&Bytes::from_static(body)).unwrap(), "me");
    }

    #[tokio::test]
    async fn what_is_no_zmtp_3_peer_is_refused() {
        let with = |at: usize, byte: u8| {
            let mut bytes = greeting().to_vec();
            bytes[at] = byte;
            [bytes, ready(b"")].concat()
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
            (then(b"\x04\x06\x05ERROR"), "does not say READY"),
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
                "use DEALER",
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

    #[test]
    fn a_property_said_twice_is_refused() {
        let mut body = ready(b"a").split_off(2);
        body.extend_from_slice(b"\x08IDENTITY\0\0\0\x01b");
        assert!(read_ready(&body.into()).is_err());
    }

    proptest! {
        #[test]
        fn any_ready_is_read_or_refused(tail in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = read_ready(&Bytes::from([&b"\x05READY"[..], &tail].concat()));
            let _ = read_ready(&Bytes::from(tail));
        }
    }
}
