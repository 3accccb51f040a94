//! What every socket here has in common: how it is named, sent on and let go.

use std::io;
use std::time::Duration;

use brubeck_zmtp::connection::random_name;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt};
use zeromq::{PullSocket, Socket, SocketEvent, SocketOptions, SocketSend, ZmqError, ZmqMessage};

/// What a socket tells about its connections. It ends when the socket and all that writes for it are gone.
pub(crate) type Monitor = BoxStream<'static, SocketEvent>;

pub(crate) fn monitor(socket: &mut impl Socket) -> Monitor {
    socket.monitor().boxed()
}

/// What became of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// It is on its way.
    Yes,
    /// Nobody is there to take it.
    Gone,
    /// The queue to the peer is full.
    Stalled,
}

/// Sends without ever waiting.
///
/// A send that waits keeps a lock of the socket; if its peer dies meanwhile, everything that needs the lock blocks the
/// thread, for ever. So the future is polled once and dropped if it is not ready.
pub(crate) fn send_now(socket: &mut impl SocketSend, message: ZmqMessage) -> Sent {
    match socket.send(message).now_or_never() {
        Some(Ok(())) => Sent::Yes,
        Some(Err(_)) => Sent::Gone,
        None => Sent::Stalled,
    }
}

/// Options of a socket that connects, with an identity nobody can guess.
///
/// A new socket gets a new one, so that the server never mistakes it for the one before. Hexadecimal, because the wire
/// of the services sets identities between spaces.
pub(crate) fn connecting(timeout: Duration) -> io::Result<SocketOptions> {
    let identity = random_name()?;
    let mut options = SocketOptions::default();
    options.connect_timeout(timeout);
    options.peer_identity(Bytes::from(identity).try_into().map_err(io::Error::other)?);
    Ok(options)
}

/// Why a connection that connects is lost, in words that help.
pub(crate) fn reason(error: &ZmqError) -> String {
    let text = error.to_string();
    // The crate tells this one apart only in words.
    if text.contains("Unknown command") {
        format!(
            "{text}: the peer sends ZeroMQ heartbeats, which are not spoken here; set ZMQ_HEARTBEAT_IVL to 0 there"
        )
    } else {
        text
    }
}

/// Waits until a socket that was dropped has written everything.
///
/// The tasks that write keep the sending side of the socket's monitor alive; it ends with the last of them.
pub(crate) async fn written(monitor: &mut Monitor) {
    while monitor.next().await.is_some() {}
}

/// A PULL that is dropped goes on living, with its connection, unless its backend is told.
pub(crate) struct Pull(pub(crate) PullSocket);

impl Drop for Pull {
    fn drop(&mut self) {
        self.0.backend().shutdown();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use brubeck_zmtp::connection::handshake::{get_ready, greet, hear};
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;
    use zeromq::SocketRecv;

    #[tokio::test]
    async fn heartbeats_of_a_peer_end_the_connection_with_a_remedy() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("tcp://{}", listener.local_addr().unwrap());
        let beats = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            greet(&mut stream).await.unwrap();
            get_ready(&mut stream, "PUSH", b"").await.unwrap();
            hear(&mut stream, &["PULL"]).await.unwrap();
            stream.write_all(b"\x04\x07\x04PING\0\0").await.unwrap();
            stream
        };
        let mut pull = PullSocket::new();
        let (connected, _stream) = tokio::join!(pull.connect(&address), beats);
        connected.unwrap();
        let error = pull.recv().await.unwrap_err();
        assert!(reason(&error).contains("ZMQ_HEARTBEAT_IVL"), "{error}");
    }
}
