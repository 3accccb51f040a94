//! The two sockets of one connection to Mongrel2: how they are opened, read and let go.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use tokio::time::timeout;
use zeromq::util::PeerIdentity;
use zeromq::{PullSocket, Socket, SocketEvent, SocketOptions, SocketRecv, XPubSocket, ZmqError};

use super::super::super::Timing;
use super::super::socket::{self, Monitor, Pull, connecting, connections, reason};

pub(super) const CLOSED: &str = "Mongrel2 closed the connection";

/// One connection.
pub(super) struct Sockets {
    pub(super) requests: Pull,
    pub(super) monitor: Monitor,
    pub(super) replies: XPub,
    pub(super) recv_ident: Bytes,
}

/// An XPUB that is dropped keeps reading its connection, which therefore stays open, unless that is taken from it.
pub(super) struct XPub {
    pub(super) socket: XPubSocket,
    peer: Option<PeerIdentity>,
}

impl XPub {
    async fn connect(options: SocketOptions, address: &str) -> Result<Self, ZmqError> {
        let mut socket = XPubSocket::with_options(options);
        let mut monitor = socket::monitor(&mut socket);
        socket.connect(address).await?;
        let peer = match monitor.next().now_or_never() {
            Some(Some(SocketEvent::Connected(_, peer))) => Some(peer),
            _ => None,
        };
        Ok(Self { socket, peer })
    }
}

impl Drop for XPub {
    fn drop(&mut self) {
        if let Some(peer) = &self.peer {
            self.socket.backend().peer_disconnected(peer);
        }
    }
}

/// Connects the replies first, and the requests only once Mongrel2 is known to listen to the replies.
pub(super) async fn connect(send_spec: String, recv_spec: String, timing: Timing) -> Result<Sockets, String> {
    let options = || connecting(timing.connect).map_err(|error| error.to_string());
    let mut replies = XPub::connect(options()?, &recv_spec)
        .await
        .map_err(|error| format!("recv_spec {recv_spec}: {error}"))?;
    let recv_ident = subscription(&mut replies.socket, timing.subscription)
        .await
        .map_err(|why| {
            format!("recv_spec {recv_spec}: {why}; it must be the address Mongrel2 receives replies on")
        })?;

    let mut requests = Pull(PullSocket::with_options(options()?));
    let monitor = socket::monitor(&mut requests.0);
    requests
        .0
        .connect(&send_spec)
        .await
        .map_err(|error| format!("send_spec {send_spec}: {error}"))?;
    Ok(Sockets {
        requests,
        monitor,
        replies,
        recv_ident,
    })
}

/// Waits for Mongrel2 to say which replies it wants.
async fn subscription(replies: &mut XPubSocket, limit: Duration) -> Result<Bytes, String> {
    let subscribed = async {
        loop {
            let mut frame = frame_while_connected(replies).await?;
            if frame.first() == Some(&1) {
                return Ok(frame.split_off(1));
            }
        }
    };
    timeout(limit, subscribed)
        .await
        .unwrap_or_else(|_| Err(format!("Mongrel2 did not subscribe within {limit:?}")))
}

/// The next frame an XPUB is sent; fails once its connection is gone, which the socket alone would not tell.
pub(super) async fn frame_while_connected(socket: &mut XPubSocket) -> Result<Bytes, String> {
    let backend = socket.backend();
    let mut receive = socket.recv();
    poll_fn(|cx| match receive.as_mut().poll(cx) {
        Poll::Ready(received) => Poll::Ready(received.map_err(|error| reason(&error))),
        Poll::Pending if connections(&*backend) == 0 => Poll::Ready(Err(CLOSED.to_owned())),
        Poll::Pending => Poll::Pending,
    })
    .await
    .map(|message| message.into_vec().into_iter().next().unwrap_or_default())
}
