//! The messages of the handshake: the greeting and the `READY` command (RFC 37, mechanism `NULL`).

use std::fmt;

use bytes::{BufMut, Bytes};

/// Size of a greeting, in bytes.
pub const GREETING_SIZE: usize = 64;

/// Maximum length of an identity, in bytes.
pub const MAX_IDENTITY: usize = 255;

/// Maximum length of the body of a `READY` command, in bytes. Our own has at most 296. The rest leaves space for
/// properties that are ignored.
pub const MAX_READY: usize = 439;

const SIGNATURE_FIRST: u8 = 0xff;
const SIGNATURE_LAST: u8 = 0x7f;
const SIGNATURE_END: usize = 9;
const VERSION_MAJOR: usize = 10;
const MECHANISM: std::ops::Range<usize> = 12..32;
const NULL_MECHANISM: [u8; 20] = *b"NULL\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

const SHORT_COMMAND: u8 = 4;
const LONG_COMMAND: u8 = 6;

/// A socket type, which peers exchange in their handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SocketType {
    /// `DEALER`: exchanges messages with any number of peers, without addressing them.
    Dealer,
    /// `ROUTER`: addresses each peer by its identity.
    Router,
    /// `REQ`: sends one request, then waits for the response.
    Req,
    /// `REP`: responds to one request after the other.
    Rep,
    /// `PUSH`: only sends.
    Push,
    /// `PULL`: only receives.
    Pull,
    /// `PUB`: sends to all subscribers.
    Pub,
    /// `SUB`: subscribes.
    Sub,
    /// `XPUB`: a `PUB` that receives the subscriptions as messages.
    XPub,
    /// `XSUB`: a `SUB` that sends subscriptions as messages.
    XSub,
}

impl SocketType {
    /// Returns the name in the protocol, such as `"DEALER"`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dealer => "DEALER",
            Self::Router => "ROUTER",
            Self::Req => "REQ",
            Self::Rep => "REP",
            Self::Push => "PUSH",
            Self::Pull => "PULL",
            Self::Pub => "PUB",
            Self::Sub => "SUB",
            Self::XPub => "XPUB",
            Self::XSub => "XSUB",
        }
    }
}

impl fmt::Display for SocketType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Encodes our greeting: ZMTP 3.1, mechanism `NULL`.
pub fn greeting() -> [u8; GREETING_SIZE] {
    let mut greeting = [0; GREETING_SIZE];
    let known = [
        &[SIGNATURE_FIRST][..],
        &[0; SIGNATURE_END - 1],
        &[SIGNATURE_LAST],
        &[3, 1],
        &NULL_MECHANISM,
    ];
    for (byte, value) in greeting.iter_mut().zip(known.into_iter().flatten()) {
        *byte = *value;
    }
    greeting
}

/// Checks the first bytes of a peer's greeting. Returns the number of missing bytes.
///
/// Call it each time bytes arrive. Clients of other protocols, and peers with an older ZMTP, may send fewer than
/// [`GREETING_SIZE`] bytes and then wait.
///
/// # Errors
/// Returns an error if the peer uses a version older than ZMTP 3.0 or another protocol, or requires a security mechanism.
pub fn check_greeting(received: &[u8]) -> Result<usize, HandshakeError> {
    // The lowest bit of the last signature byte distinguishes ZMTP 2 and later from ZMTP 1.
    let wrong_first = received.first().is_some_and(|first| *first != SIGNATURE_FIRST);
    if wrong_first || received.get(SIGNATURE_END).is_some_and(|last| last & 1 == 0) {
        return Err(HandshakeError::NotZmtp);
    }
    if received.get(VERSION_MAJOR).is_some_and(|major| *major < 3) {
        return Err(HandshakeError::OldVersion);
    }
    let mechanism = received.iter().take(MECHANISM.end).skip(MECHANISM.start);
    if mechanism
        .zip(NULL_MECHANISM)
        .any(|(byte, expected)| *byte != expected)
    {
        return Err(HandshakeError::Mechanism);
    }
    Ok(GREETING_SIZE.saturating_sub(received.len()))
}

/// Encodes the `READY` command of a socket. An identity longer than [`MAX_IDENTITY`] is truncated.
pub fn encode_ready(socket_type: SocketType, identity: &[u8]) -> Vec<u8> {
    let identity = identity.get(..MAX_IDENTITY).unwrap_or(identity);
    let mut body = b"\x05READY".to_vec();
    for (name, value) in [
        (&b"Socket-Type"[..], socket_type.name().as_bytes()),
        (b"Identity", identity),
    ] {
        body.put_u8(name.len() as u8);
        body.put_slice(name);
        body.put_u32(value.len() as u32);
        body.put_slice(value);
    }
    let mut command = Vec::with_capacity(9 + body.len());
    match u8::try_from(body.len()) {
        Ok(length) => command.put_slice(&[SHORT_COMMAND, length]),
        Err(_) => {
            command.put_u8(LONG_COMMAND);
            command.put_u64(body.len() as u64);
        }
    }
    command.put_slice(&body);
    command
}

/// The result of [`split_command`].
#[derive(Debug, PartialEq, Eq)]
pub enum CommandProgress<'a> {
    /// At least this many bytes are missing. Reading this many never reads beyond the command.
    Missing(usize),
    /// The body of the complete command.
    Complete(&'a [u8]),
}

/// Finds the first command in the bytes received after the greeting.
///
/// # Errors
/// Returns an error if the bytes are not a command, or if the body of the command is longer than [`MAX_READY`].
pub fn split_command(received: &[u8]) -> Result<CommandProgress<'_>, HandshakeError> {
    let missing = |needed: usize| Ok(CommandProgress::Missing(needed.saturating_sub(received.len())));
    let (header, length) = match (received.first(), received.get(1)) {
        (Some(&SHORT_COMMAND), Some(&length)) => (2, usize::from(length)),
        (Some(&LONG_COMMAND), _) => match received.get(1..9).and_then(|bytes| bytes.try_into().ok()) {
            Some(length) => (
                9,
                usize::try_from(u64::from_be_bytes(length)).unwrap_or(usize::MAX),
            ),
            None => return missing(9),
        },
        (None | Some(&SHORT_COMMAND), _) => return missing(2),
        (Some(_), _) => return Err(HandshakeError::NotReady),
    };
    if length > MAX_READY {
        return Err(HandshakeError::ReadyTooLong);
    }
    match received.get(header..header + length) {
        Some(body) => Ok(CommandProgress::Complete(body)),
        None => missing(header + length),
    }
}

/// Decodes the body of a `READY` command. Returns the identity of the peer, which is empty if it has none.
///
/// Properties other than `Socket-Type` and `Identity` are ignored.
///
/// # Errors
/// Returns an error if the command is malformed or not a `READY`, if the identity is longer than [`MAX_IDENTITY`], or if the
/// socket type is not one of `accepted`.
pub fn decode_ready(body: &[u8], accepted: &[SocketType]) -> Result<Bytes, HandshakeError> {
    let mut reader = CommandReader(body);
    let command = reader.sized(1).ok_or(HandshakeError::Malformed)?;
    if command == b"ERROR" {
        let reason = reader.sized(1).unwrap_or_default();
        return Err(HandshakeError::Refused(reason.escape_ascii().to_string()));
    }
    if command != b"READY" {
        return Err(HandshakeError::NotReady);
    }
    let (mut socket_type, mut identity) = (None, None);
    while !reader.0.is_empty() {
        let name = reader.sized(1).ok_or(HandshakeError::Malformed)?;
        let value = reader.sized(4).ok_or(HandshakeError::Malformed)?;
        // Property names are case-insensitive (RFC 37, section "Connection Metadata").
        let property = if name.eq_ignore_ascii_case(b"Socket-Type") {
            &mut socket_type
        } else if name.eq_ignore_ascii_case(b"Identity") {
            &mut identity
        } else {
            continue;
        };
        if property.replace(value).is_some() {
            return Err(HandshakeError::Malformed);
        }
    }
    let socket_type = socket_type.ok_or(HandshakeError::Malformed)?;
    if !accepted
        .iter()
        .any(|accepted| accepted.name().as_bytes() == socket_type)
    {
        return Err(HandshakeError::SocketType {
            found: socket_type.escape_ascii().to_string(),
            accepted: accepted.to_vec(),
        });
    }
    let identity = identity.unwrap_or_default();
    if identity.len() > MAX_IDENTITY {
        return Err(HandshakeError::IdentityTooLong);
    }
    Ok(Bytes::copy_from_slice(identity))
}

/// Reads the fields of a command body.
struct CommandReader<'a>(&'a [u8]);

impl<'a> CommandReader<'a> {
    /// Reads `length` bytes.
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// Reads a field with a length prefix of `prefix` bytes.
    fn sized(&mut self, prefix: usize) -> Option<&'a [u8]> {
        let length = self
            .take(prefix)?
            .iter()
            .fold(0, |length: u64, byte| (length << 8) | u64::from(*byte));
        self.take(usize::try_from(length).ok()?)
    }
}

/// The reason why the handshake of a peer was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The first bytes are not a greeting of ZMTP 2 or later.
    NotZmtp,
    /// The peer announced a version between ZMTP 1 and ZMTP 3.0.
    OldVersion,
    /// The peer requires a security mechanism, which means any other than `NULL`.
    Mechanism,
    /// The peer sent something other than a `READY` or `ERROR` command.
    NotReady,
    /// The peer announced a command longer than [`MAX_READY`].
    ReadyTooLong,
    /// A field of the command is incomplete, missing, or duplicated.
    Malformed,
    /// The peer refused the connection with an `ERROR` command, for this reason.
    Refused(String),
    /// The socket type of the peer is not accepted.
    SocketType {
        /// The socket type of the peer.
        found: String,
        /// The socket types that are accepted.
        accepted: Vec<SocketType>,
    },
    /// The identity of the peer is longer than [`MAX_IDENTITY`].
    IdentityTooLong,
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotZmtp => {
                f.write_str("the peer does not use ZMTP, or uses ZMTP 1; ZMTP 3.0 is required: upgrade the peer to libzmq 4.0 or later")
            }
            Self::OldVersion => f.write_str(
                "the peer uses a ZMTP version older than 3.0; upgrade it to libzmq 4.0 or later (pyzmq 14 or later)",
            ),
            Self::Mechanism => f.write_str("the peer requires a security mechanism; only NULL is supported"),
            Self::NotReady => f.write_str("the peer did not send a READY command"),
            Self::ReadyTooLong => f.write_str("the READY command of the peer is too long"),
            Self::Malformed => f.write_str("the READY command of the peer is malformed"),
            Self::Refused(reason) => write!(f, "the peer refused the connection: {reason}"),
            Self::SocketType { found, accepted } => {
                let names: Vec<_> = accepted.iter().map(|accepted| accepted.name()).collect();
                write!(
                    f,
                    "the peer is a {found} socket, but only {} is accepted",
                    names.join(" or ")
                )
            }
            Self::IdentityTooLong => {
                write!(f, "the identity of the peer is longer than {MAX_IDENTITY} bytes")
            }
        }
    }
}

impl std::error::Error for HandshakeError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ACCEPTED: &[SocketType] = &[SocketType::Dealer, SocketType::Req];

    fn ready(identity: &[u8]) -> Vec<u8> {
        encode_ready(SocketType::Dealer, identity)
    }

    /// Decodes a greeting and the command that follows.
    fn decode(bytes: &[u8]) -> Result<Bytes, HandshakeError> {
        let (greeting, rest) = bytes.split_at_checked(GREETING_SIZE).unwrap_or((bytes, b""));
        // Each prefix of a valid greeting is valid.
        for end in 0..=greeting.len() {
            assert_eq!(check_greeting(&greeting[..end])?, GREETING_SIZE - end);
        }
        match split_command(rest)? {
            CommandProgress::Complete(body) => decode_ready(body, ACCEPTED),
            CommandProgress::Missing(missing) => panic!("{missing} bytes are missing"),
        }
    }

    #[test]
    fn encodes_ready_without_an_identity() {
        assert_eq!(
            encode_ready(SocketType::Router, b""),
            b"\x04\x29\x05READY\x0bSocket-Type\0\0\0\x06ROUTER\x08Identity\0\0\0\0"
        );
    }

    #[test]
    fn decodes_the_identity() {
        for identity in [&b""[..], b"me", &[7; 255]] {
            let bytes = [&greeting()[..], &ready(identity)].concat();
            assert_eq!(decode(&bytes).unwrap(), identity);
        }
        let body = b"\x05READY\x08identity\0\0\0\x02me\x03X-Y\0\0\0\x01z\x0bSOCKET-TYPE\0\0\0\x06DEALER";
        assert_eq!(decode_ready(body, ACCEPTED).unwrap(), "me");
    }

    #[test]
    fn refuses_invalid_handshakes_with_the_reason() {
        let ready = ready(b"");
        let with = |at: usize, byte: u8| {
            let mut bytes = greeting().to_vec();
            bytes[at] = byte;
            [&bytes[..], &ready].concat()
        };
        let then = |more: &[u8]| [&greeting()[..], more].concat();
        for (bytes, reason) in [
            (b"GET / HTTP/1.1\r\n".to_vec(), "does not use ZMTP"),
            (with(0, 0xfe), "does not use ZMTP"),
            (with(9, 0), "does not use ZMTP"),
            (with(10, 2), "older than 3.0"),
            (with(12, b'P'), "security mechanism"),
            (with(16, b'X'), "security mechanism"),
            (then(b"\0\x01x"), "did not send a READY"),
            (then(b"\x04\x0a\x05ERROR\x03why"), "refused the connection: why"),
            (then(b"\x04\x06\x05HELLO"), "did not send a READY"),
            (then(b"\x06\0\0\x40\0\0\0\0\0"), "is too long"),
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
                "a PUSH socket, but only DEALER or REQ",
            ),
        ] {
            let error = decode(&bytes).unwrap_err().to_string();
            assert!(
                error.contains(reason),
                "{error}, not {reason}: {}",
                bytes.escape_ascii()
            );
        }
    }

    #[test]
    fn refuses_a_duplicated_property() {
        let mut body = ready(b"a").split_off(2);
        body.extend_from_slice(b"\x08IDENTITY\0\0\0\x01b");
        assert_eq!(decode_ready(&body, ACCEPTED), Err(HandshakeError::Malformed));
    }

    #[test]
    fn split_command_never_requests_bytes_beyond_the_command() {
        for identity in [&b"me"[..], &[7; 255]] {
            let command = ready(identity);
            let mut end = 0;
            loop {
                match split_command(&command[..end]).unwrap() {
                    CommandProgress::Missing(missing) => end += missing,
                    CommandProgress::Complete(body) => {
                        assert_eq!(decode_ready(body, ACCEPTED).unwrap(), identity);
                        break;
                    }
                }
            }
            assert_eq!(end, command.len());
        }
    }

    proptest! {
        #[test]
        fn decodes_or_refuses_any_bytes(tail in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = decode_ready(&[&b"\x05READY"[..], &tail].concat(), ACCEPTED);
            let _ = decode_ready(&tail, ACCEPTED);
            let _ = split_command(&tail);
            let _ = check_greeting(&tail);
        }
    }
}
