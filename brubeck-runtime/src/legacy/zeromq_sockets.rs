//! Safe use of the sockets of the `zeromq` crate.

use std::io;
use std::time::Duration;

use brubeck_zmtp::random_identity;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt};
use zeromq::{PullSocket, Socket, SocketEvent, SocketOptions, SocketSend, ZmqError, ZmqMessage};

/// The events of a socket. It ends when the socket and all its writing tasks have ended.
pub(super) type Monitor = BoxStream<'static, SocketEvent>;

/// Returns the events of a socket.
pub(super) fn monitor(socket: &mut impl Socket) -> Monitor {
    socket.monitor().boxed()
}

/// The result of [`send_now`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SendOutcome {
    /// The message was queued.
    Yes,
    /// The peer is not connected.
    NoPeer,
    /// The queue to the peer is full.
    Stalled,
}

/// Sends without waiting.
///
/// A send that waits holds a lock of the socket. If its peer dies then, everything that needs the lock blocks its thread
/// forever. So the future is polled once, and dropped unless it is ready.
pub(super) fn send_now(socket: &mut impl SocketSend, message: ZmqMessage) -> SendOutcome {
    match socket.send(message).now_or_never() {
        Some(Ok(())) => SendOutcome::Yes,
        Some(Err(_)) => SendOutcome::NoPeer,
        None => SendOutcome::Stalled,
    }
}

/// Creates the options of a socket that connects, with a random identity.
///
/// Each socket gets an identity of its own, so that the server never takes it for the one before. It is hexadecimal,
/// because the wire of the services puts identities between spaces.
pub(super) fn options(connect_timeout: Duration) -> io::Result<SocketOptions> {
    let identity = Bytes::from(random_identity()?);
    let mut options = SocketOptions::default();
    options.connect_timeout(connect_timeout);
    options.peer_identity(identity.try_into().map_err(io::Error::other)?);
    Ok(options)
}

/// Describes an error, with a remedy if there is one.
pub(super) fn error_text(error: &ZmqError) -> String {
    let text = error.to_string();
    // The crate has no variant for this error.
    if text.contains("Unknown command") {
        format!(
            "{text}: the peer sends ZeroMQ heartbeats, which this socket does not support; set ZMQ_HEARTBEAT_IVL to 0 there"
        )
    } else {
        text
    }
}

/// Waits until the socket loses its connection.
pub(super) async fn disconnected(monitor: &mut Monitor) {
    while let Some(event) = monitor.next().await {
        if let SocketEvent::Disconnected(_) = event {
            return;
        }
    }
}

/// Waits until a dropped socket has written everything: its writing tasks keep the monitor open until they end.
pub(super) async fn all_written(monitor: &mut Monitor) {
    while monitor.next().await.is_some() {}
}

/// A `PULL` that closes its connection when it is dropped. The socket itself does not.
pub(super) struct Pull(pub(super) PullSocket);

impl Drop for Pull {
    fn drop(&mut self) {
        self.0.backend().shutdown();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::handshake;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;
    use zeromq::SocketRecv;

    #[tokio::test]
    async fn heartbeats_of_a_peer_end_the_connection_with_a_remedy() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("tcp://{}", listener.local_addr().unwrap());
        let beats = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            handshake(&mut stream, "PUSH", "").await;
            stream.write_all(b"\x04\x07\x04PING\0\0").await.unwrap();
            stream
        };
        let mut pull = PullSocket::new();
        let (connected, _stream) = tokio::join!(pull.connect(&address), beats);
        connected.unwrap();
        let error = pull.recv().await.unwrap_err();
        assert!(error_text(&error).contains("ZMQ_HEARTBEAT_IVL"), "{error}");
    }
}
