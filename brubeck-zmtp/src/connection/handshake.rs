//! The handshake with a peer, over a stream.

use std::io::{self, ErrorKind};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::codec::{
    CommandProgress, HandshakeError, SocketType, check_greeting, decode_ready, encode_ready, greeting,
    split_command,
};

/// Completes the handshake, sending our `READY` first. Returns an error if the socket type of the peer is not one of
/// `accepted`.
pub(crate) async fn client_handshake<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    socket_type: SocketType,
    identity: &[u8],
    accepted: &[SocketType],
) -> io::Result<()> {
    exchange_greeting(stream).await?;
    send_ready(stream, socket_type, identity).await?;
    read_ready(stream, accepted).await.map(drop)
}

/// Sends our greeting, and checks the greeting of the peer.
pub(crate) async fn exchange_greeting<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> io::Result<()> {
    stream.write_all(&greeting()).await?;
    stream.flush().await?;
    let mut received = Vec::new();
    loop {
        let missing = check_greeting(&received).map_err(invalid)?;
        if missing == 0 {
            return Ok(());
        }
        read_at_most(stream, missing, &mut received).await?;
    }
}

/// Sends our `READY` command.
pub(crate) async fn send_ready<S: AsyncWrite + Unpin>(
    stream: &mut S,
    socket_type: SocketType,
    identity: &[u8],
) -> io::Result<()> {
    stream.write_all(&encode_ready(socket_type, identity)).await?;
    stream.flush().await
}

/// Reads the `READY` command of the peer, and no byte beyond it. Returns the identity of the peer, which is empty if it has
/// none.
pub(crate) async fn read_ready<S: AsyncRead + Unpin>(
    stream: &mut S,
    accepted: &[SocketType],
) -> io::Result<Bytes> {
    let mut received = Vec::new();
    loop {
        match split_command(&received).map_err(invalid)? {
            CommandProgress::Complete(body) => return decode_ready(body, accepted).map_err(invalid),
            CommandProgress::Missing(missing) => read_at_most(stream, missing, &mut received).await?,
        }
    }
}

/// Reads at least one byte and at most `limit` bytes. The limit keeps bytes after the handshake in the stream.
async fn read_at_most(
    stream: &mut (impl AsyncRead + Unpin),
    limit: usize,
    received: &mut Vec<u8>,
) -> io::Result<()> {
    if stream.take(limit as u64).read_buf(received).await? == 0 {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}

fn invalid(error: HandshakeError) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn reads_no_byte_beyond_the_handshake() {
        for width in [64, 100, 4096] {
            let (mut ours, mut theirs) = tokio::io::duplex(width);
            let peer = tokio::spawn(async move {
                client_handshake(&mut theirs, SocketType::Dealer, b"me", &[SocketType::Router])
                    .await
                    .unwrap();
                theirs.write_all(b"\0\x01x").await.unwrap();
                theirs
            });
            exchange_greeting(&mut ours).await.unwrap();
            assert_eq!(read_ready(&mut ours, &[SocketType::Dealer]).await.unwrap(), "me");
            send_ready(&mut ours, SocketType::Router, b"").await.unwrap();
            let mut message = [0; 3];
            ours.read_exact(&mut message).await.unwrap();
            assert_eq!(&message, b"\0\x01x");
            peer.await.unwrap();
        }
    }

    #[tokio::test]
    async fn refuses_an_invalid_greeting_before_it_is_complete() {
        let (mut ours, mut theirs) = tokio::io::duplex(4096);
        theirs.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        let error = exchange_greeting(&mut ours).await.unwrap_err();
        assert!(error.to_string().contains("does not use ZMTP"), "{error}");
    }
}
