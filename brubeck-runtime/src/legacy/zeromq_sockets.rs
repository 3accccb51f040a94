//! Helpers that avoid the known problems of the sockets of the `zeromq` crate.

use std::io;
use std::time::Duration;

use brubeck_zmtp::random_identity;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt};
use zeromq::{PullSocket, Socket, SocketEvent, SocketOptions, SocketSend, ZmqError, ZmqMessage};

/// The events of a socket. The stream ends when the socket and all its writing tasks have ended.
pub(super) type Monitor = BoxStream<'static, SocketEvent>;

/// Returns the events of a socket.
pub(super) fn monitor(socket: &mut impl Socket) -> Monitor {
    socket.monitor().boxed()
}

/// The result of [`send_now`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SendNowResult {
    /// The message was queued.
    Queued,
    /// The message was not queued: the peer is not connected, or its connection failed.
    NotConnected,
    /// The send queue of the peer is full.
    QueueFull,
}

/// Sends a message without waiting.
///
/// A send that waits holds a lock of the socket. If the peer disconnects during that time, the lock is never released, and
/// every operation that needs it blocks its thread forever. The future is therefore polled once, and dropped unless it is
/// ready.
pub(super) fn send_now(socket: &mut impl SocketSend, message: ZmqMessage) -> SendNowResult {
    match socket.send(message).now_or_never() {
        Some(Ok(())) => SendNowResult::Queued,
        Some(Err(_)) => SendNowResult::NotConnected,
        None => SendNowResult::QueueFull,
    }
}

/// Creates the options of a socket that connects, with a random identity.
///
/// A new identity for each socket ensures that the peer does not confuse the socket with an earlier one. The identity is
/// hexadecimal, because the dialects delimit identities with spaces.
pub(super) fn options(connect_timeout: Duration) -> io::Result<SocketOptions> {
    let identity = Bytes::from(random_identity()?);
    let mut options = SocketOptions::default();
    options.connect_timeout(connect_timeout);
    options.peer_identity(identity.try_into().map_err(io::Error::other)?);
    Ok(options)
}

/// Returns the message of an error, with the remedy if one is known.
pub(super) fn error_text(error: &ZmqError) -> String {
    let text = error.to_string();
    // The crate has no variant for this error.
    if text.contains("Unknown command") {
        format!(
            "{text}: the peer sends ZeroMQ heartbeats, which this socket does not support; set ZMQ_HEARTBEAT_IVL to 0 on the peer"
        )
    } else {
        text
    }
}

/// Waits until the socket loses a connection or has ended.
pub(super) async fn disconnected(monitor: &mut Monitor) {
    while let Some(event) = monitor.next().await {
        if let SocketEvent::Disconnected(_) = event {
            return;
        }
    }
}

/// Waits until a dropped socket has written all messages, or has lost its connections. Its writing tasks keep the monitor open
/// until they end.
pub(super) async fn all_written(monitor: &mut Monitor) {
    while monitor.next().await.is_some() {}
}

/// A `PULL` socket that closes its connection on drop, which `PullSocket` alone does not.
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
    async fn heartbeat_error_names_the_remedy() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("tcp://{}", listener.local_addr().unwrap());
        let peer = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            handshake(&mut stream, "PUSH", "").await;
            stream.write_all(b"\x04\x07\x04PING\0\0").await.unwrap();
            stream
        };
        let mut pull = PullSocket::new();
        let (connected, _stream) = tokio::join!(pull.connect(&address), peer);
        connected.unwrap();
        let error = pull.recv().await.unwrap_err();
        assert!(error_text(&error).contains("ZMQ_HEARTBEAT_IVL"), "{error}");
    }
}
